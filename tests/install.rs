//! An executable alone, on a machine that lacks something: the built-in manifest, `setup`, `init`, and what cannot be written.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Ended, Lab, Run, kernel, need, object, write_executable};
use corematrix::record::exit_code::{BAD_CONFIGURATION, GOOD, INFRASTRUCTURE};

/// What a machine has: a PATH of these programs, and a home.
struct Machine {
    lab: Lab,
}

impl Machine {
    fn with(programs: &[&str]) -> Machine {
        let machine = Machine { lab: Lab::new() };
        fs::create_dir(machine.bin()).unwrap();
        fs::create_dir(machine.path("home")).unwrap();
        fs::create_dir(machine.path("work")).unwrap();
        for program in programs {
            let path = std::env::var_os("PATH").unwrap();
            let found = std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file());
            symlink(found.unwrap_or_else(|| panic!("no {program}")), machine.bin().join(program)).unwrap();
        }
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.lab.path(name)
    }

    fn bin(&self) -> PathBuf {
        self.path("bin")
    }

    /// A program that is a shell script; `$LOG` is a file.
    fn script(&self, name: &str, text: &str) {
        let path = self.bin().join(name);
        let log = self.path("log");
        let text = format!("#!/bin/sh\nLOG={}\nBIN={}\n{text}\n", log.display(), self.bin().display());
        write_executable(&path, text.as_bytes());
    }

    /// Programs that do nothing but print their version.
    fn all_tools(&self) {
        self.script("qemu-system-x86_64", "echo QEMU emulator version 10.0.2");
        self.script("virtme-run", "");
        self.script("vng", "echo virtme-ng 1.42");
        self.script("curl", "");
        self.script("strings", "");
    }

    /// An `apt-get` that notes its arguments and installs a script for each package, and an `apt-cache` that knows `virtme-ng` of this
    /// version.
    fn apt(&self, virtme_ng: &str) {
        let install = r#"echo "apt-get $*" >> $LOG
for word; do case $word in
    qemu-system-x86) printf '#!/bin/sh\necho QEMU emulator version 10.0.2\n' > $BIN/qemu-system-x86_64; /bin/chmod +x $BIN/qemu-system-x86_64 ;;
    curl) : > $BIN/curl ;;
    binutils) : > $BIN/strings ;;
    virtme-ng) : > $BIN/virtme-run; printf '#!/bin/sh\necho virtme-ng 1.35\n' > $BIN/vng; /bin/chmod +x $BIN/virtme-run $BIN/vng ;;
esac; done"#;
        self.script("apt-get", install);
        self.script("apt-cache", &format!("echo '  Candidate: {virtme_ng}'"));
        // A test is no root on some machines.
        self.script("sudo", r#"exec "$@""#);
        if !self.bin().join("env").exists() {
            symlink("/usr/bin/env", self.bin().join("env")).unwrap();
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    fn corematrix(&self, args: &[&str]) -> Ended {
        self.run(Path::new(env!("CARGO_BIN_EXE_corematrix")), args)
    }

    fn run(&self, executable: &Path, args: &[&str]) -> Ended {
        let mut command = Command::new(executable);
        command.args(args).current_dir(self.path("work")).env_clear();
        command.env("PATH", self.bin()).env("HOME", self.path("home")).env("TMPDIR", self.lab.scratch());
        Run::start(command, &self.path("run")).wait()
    }
}

#[test]
fn without_a_manifest_the_built_in_one_is_taken_and_said() {
    let machine = Machine::with(&[]);
    let listed = machine.corematrix(&["kernels", "list"]);
    listed.expect(i32::from(GOOD)).expect_said(&["no `kernels.toml` found: using the built-in manifest"]);
    assert!(listed.stdout.contains("5.10.0-32-cloud-amd64"), "pinned by the built-in lock file: {}", listed.stdout);
    for words in [&["kernels", "lock"][..], &["kernels", "update"], &["kernels", "add", "mine", "host"]] {
        let refused = machine.corematrix(words);
        refused
            .expect(i32::from(BAD_CONFIGURATION))
            .expect_said(&["the built-in manifest cannot be changed", "`corematrix init`"]);
    }
    // A command that looks at no kernel does not mention any.
    let listed = machine.corematrix(&["list", "programs", &object("plain")]);
    assert_eq!(listed.expect(i32::from(GOOD)).stderr, "");
    // A file that is named has to be there.
    machine.corematrix(&["--manifest", "none.toml", "kernels", "list"]).expect(i32::from(BAD_CONFIGURATION));
    fs::write(machine.path("work/kernels.toml"), "[kernel.mine]\nsource = \"host\"\n").unwrap();
    let listed = machine.corematrix(&["kernels", "list"]);
    assert!(listed.stdout.contains("mine") && listed.stderr.is_empty(), "{listed:?}");
}

#[test]
fn an_executable_alone_judges_an_object() {
    need!("guests");
    let lab = Lab::new();
    kernel().copy_to(&lab.store());
    let (alone, work) = (lab.path("alone"), lab.path("work"));
    fs::create_dir(&work).unwrap();
    write_executable(&alone, &fs::read(env!("CARGO_BIN_EXE_corematrix")).unwrap());
    let mut command = Command::new(&alone);
    command.args(["run", &object("plain"), "--kernel", "5.10", "--offline"]).current_dir(&work);
    command.env("TMPDIR", lab.scratch()).env("COREMATRIX_STORE", lab.store());
    if let Some(virtme_run) = common::virtme_run() {
        command.env("COREMATRIX_VIRTME_RUN", virtme_run);
    }
    let ended = Run::start(command, &lab.path("run")).wait();
    ended.expect(i32::from(INFRASTRUCTURE)).expect_said(&["built-in manifest"]);
    let report = work.join("reports/latest/report.json");
    let record = corematrix::record::json::read(&report).unwrap();
    assert_eq!(common::programs(&record, "5.10", "plain")[0].verdict, corematrix::record::Verdict::Loaded);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(record.notices[0], format!("using the built-in manifest of corematrix {version}"));
}

#[test]
fn setup_says_that_nothing_is_missing() {
    let machine = Machine::with(&[]);
    machine.all_tools();
    let ended = machine.corematrix(&["setup"]);
    ended.expect(i32::from(GOOD));
    assert!(
        ended.stdout.contains("ok  virtme-ng  1.42") && ended.stdout.contains("ready; `corematrix doctor`"),
        "{ended:?}"
    );
}

#[test]
fn setup_calls_no_apt_unasked() {
    let machine = Machine::with(&[]);
    machine.apt("1.35-1");
    let ended = machine.corematrix(&["setup"]);
    ended.expect(i32::from(BAD_CONFIGURATION));
    ended.expect_said(&["not installed, because there is no terminal", "`corematrix setup --yes`", "apt-get install"]);
    assert_eq!(machine.log(), "");
}

#[test]
fn setup_installs_what_is_missing_and_says_so() {
    let machine = Machine::with(&[]);
    machine.apt("1.35-1");
    // Which QEMU is taken depends on this machine's release; that is a unit test's.
    machine.script("qemu-system-x86_64", "echo QEMU emulator version 10.0.2");
    let ended = machine.corematrix(&["setup", "--yes"]);
    ended.expect(i32::from(GOOD));
    assert!(ended.stdout.contains("missing  virtme-ng") && ended.stdout.contains("ok  virtme-ng  1.35"), "{ended:?}");
    let log = machine.log();
    assert!(log.starts_with("apt-get update"), "{log}");
    assert!(
        log.contains("curl ca-certificates binutils") && log.contains("--no-install-recommends virtme-ng"),
        "{log}"
    );
    assert_eq!(machine.corematrix(&["setup", "--yes"]).code, Some(0));
    assert_eq!(machine.log(), log, "the second time nothing is to be done");
}

#[test]
fn setup_without_apt_names_what_is_missing() {
    let machine = Machine::with(&[]);
    let ended = machine.corematrix(&["setup", "--yes"]);
    ended.expect(i32::from(INFRASTRUCTURE));
    ended.expect_said(&["`apt-get` is not available", "QEMU", "`curl`", "`strings` of binutils", "hint: "]);
}

#[test]
fn setup_without_python_says_so() {
    let machine = Machine::with(&[]);
    machine.all_tools();
    fs::remove_file(machine.bin().join("virtme-run")).unwrap();
    let ended = machine.corematrix(&["setup", "--yes"]);
    ended.expect(i32::from(INFRASTRUCTURE)).expect_said(&[
        "needs Python 3 with venv",
        "`python3` is not installed",
        "hint: ",
    ]);
}

/// A Python whose `venv` makes a directory with a pip that does this.
fn python(machine: &Machine, pip: &str) {
    let venv = format!(
        r#"case "$2" in venv) /bin/mkdir -p "$3/bin"
printf '#!/bin/sh\nD=%s\n%s\n' "$3" '{pip}' > "$3/bin/python"; /bin/chmod +x "$3/bin/python" ;; esac"#
    );
    machine.script("python3", &venv);
}

#[test]
fn setup_without_network_leaves_no_half_of_virtme_ng() {
    let machine = Machine::with(&[]);
    machine.all_tools();
    for tool in ["virtme-run", "vng"] {
        fs::remove_file(machine.bin().join(tool)).unwrap();
    }
    // Its files are there, and it fails at its end.
    python(&machine, ": > $D/bin/virtme-run; echo network is unreachable >&2; exit 1");
    let ended = machine.corematrix(&["setup", "--yes"]);
    ended.expect(i32::from(INFRASTRUCTURE)).expect_said(&["network is unreachable", "PyPI"]);
    machine.corematrix(&["setup"]).expect(i32::from(BAD_CONFIGURATION));
    let pip = r##"test ! -e $D/bin/virtme-run || exit 9; : > $D/bin/virtme-run; : > $D/bin/vng; /bin/chmod +x $D/bin/vng
printf "#!/bin/sh\necho virtme-ng 1.42\n" > $D/bin/vng"##;
    python(&machine, pip);
    let ended = machine.corematrix(&["setup", "--yes"]);
    ended.expect(i32::from(GOOD));
    assert!(ended.stdout.contains("home/.local/share/corematrix/virtme-ng-1.42-"), "{}", ended.stdout);
    // Its Python was upgraded: it is there, and does not start.
    let folder = fs::read_dir(machine.path("home/.local/share/corematrix")).unwrap().next().unwrap().unwrap().path();
    fs::write(folder.join("bin/vng"), "#!/bin/sh\nexit 1\n").unwrap();
    machine.corematrix(&["setup", "--yes"]).expect(i32::from(GOOD));
    let version = Command::new(folder.join("bin/vng")).output().unwrap();
    assert!(version.status.success(), "it was not made anew: {version:?}");
}

#[test]
fn setup_installs_python_tuf_where_a_kernel_needs_it() {
    let machine = Machine::with(&[]);
    machine.all_tools();
    python(&machine, r##"printf "#!/bin/sh\nexit 0\n" > $D/bin/python3; /bin/chmod +x $D/bin/python3"##);
    machine.corematrix(&["setup"]).expect(i32::from(GOOD));
    machine
        .corematrix(&["setup", "--tuf"])
        .expect(i32::from(BAD_CONFIGURATION))
        .expect_said(&["missing or too old: python-tuf"]);
    let url = "disk = \"https://a.example/x-{version}.img\"\ntuf = \"https://a.example/m/\"\ntuf-root = \"root.json\"";
    fs::write(machine.path("work/kernels.toml"), format!("[kernel.mine]\nsource = \"disk\"\n{url}\n")).unwrap();
    machine.corematrix(&["setup"]).expect(i32::from(BAD_CONFIGURATION));
    let ended = machine.corematrix(&["setup", "--yes"]);
    ended.expect(i32::from(GOOD));
    assert!(
        ended.stdout.contains("installing: python-tuf ") && ended.stdout.contains("/corematrix/python-tuf-"),
        "{ended:?}"
    );
    let ended = machine.corematrix(&["setup", "--tuf"]);
    ended.expect(i32::from(GOOD));
    assert!(!ended.stdout.contains("installing"), "{ended:?}");
}

#[test]
fn setup_takes_no_virtme_ng_that_is_too_old() {
    let machine = Machine::with(&[]);
    machine.all_tools();
    machine.script("vng", "echo virtme-ng 1.22");
    machine.apt("1.22-1");
    python(&machine, "echo pip \"$@\" >> $D/../../../../../log; : > $D/bin/virtme-run");
    let ended = machine.corematrix(&["setup", "--yes"]);
    ended.expect(i32::from(GOOD));
    assert!(
        ended.stdout.contains("the distribution packages virtme-ng 1.22-1, but 1.35 or later is needed"),
        "{ended:?}"
    );
    let log = machine.log();
    assert!(log.contains("pip -m pip install") && !log.contains("apt-get install"), "{log}");
}

#[test]
fn a_home_that_cannot_be_written_is_named() {
    let machine = Machine::with(&[]);
    machine.all_tools();
    fs::remove_dir(machine.path("home")).unwrap();
    fs::write(machine.path("home"), "no folder").unwrap();
    let ended = machine.corematrix(&["kernels", "list"]);
    ended.expect(i32::from(INFRASTRUCTURE)).expect_said(&["home/.cache/corematrix", "hint: ", "`--store`"]);
    let store = machine.path("elsewhere").display().to_string();
    machine.corematrix(&["kernels", "list", "--store", &store]).expect(i32::from(GOOD));
    fs::remove_file(machine.bin().join("virtme-run")).unwrap();
    python(&machine, "");
    let ended = machine.corematrix(&["setup", "--yes"]);
    ended.expect(i32::from(INFRASTRUCTURE)).expect_said(&["home/.local/share/corematrix", "`XDG_DATA_HOME`"]);
}

#[test]
fn init_writes_what_a_repository_needs_and_never_overwrites() {
    let machine = Machine::with(&[]);
    let (root, inner) = (machine.path("work"), machine.path("work/bpf"));
    fs::create_dir(root.join(".git")).unwrap();
    fs::create_dir(&inner).unwrap();
    fs::copy(object("plain"), inner.join("plain.bpf.o")).unwrap();
    let init = |folder: &Path, args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_corematrix"));
        command.arg("init").args(args).current_dir(folder).env_clear().env("HOME", machine.path("home"));
        Run::start(command, &machine.path("run")).wait()
    };
    let ended = init(&inner, &["plain.bpf.o", "--ci", "github"]);
    ended.expect(i32::from(GOOD));
    assert!(
        ended.stdout.contains("wrote: suite.toml") && ended.stdout.contains("next: corematrix run suite.toml"),
        "{ended:?}"
    );
    let workflow = fs::read_to_string(root.join(".github/workflows/corematrix.yml")).unwrap();
    assert!(workflow.contains("OBJECTS: \"bpf/suite.toml\""), "{workflow}");
    assert!(root.join("kernels.lock").is_file());
    // What editors take for the schema is there, from either directory.
    for (folder, file) in [(&root, "kernels.toml"), (&inner, "suite.toml")] {
        let text = fs::read_to_string(folder.join(file)).unwrap();
        let schema = text.lines().next().and_then(|line| line.strip_prefix("#:schema ")).unwrap();
        assert!(folder.join(schema).is_file(), "{schema}");
    }
    // All or nothing: the suite is there already.
    let suite = fs::read_to_string(inner.join("suite.toml")).unwrap();
    let again = init(&inner, &["plain.bpf.o", "--ci", "gitlab"]);
    again.expect(i32::from(BAD_CONFIGURATION)).expect_said(&["`suite.toml` exists"]);
    assert!(!root.join(".gitlab-ci.yml").exists());
    assert_eq!(fs::read_to_string(inner.join("suite.toml")).unwrap(), suite);
    let more = init(&inner, &["--ci", "gitlab"]);
    more.expect(i32::from(GOOD));
    assert!(more.stdout.contains("kept: ") && root.join(".gitlab-ci.yml").is_file(), "{more:?}");
    init(&inner, &[]).expect(i32::from(BAD_CONFIGURATION)).expect_said(&["nothing to write"]);
    // The files are sound, and found from the directory below.
    let mut command = Command::new(env!("CARGO_BIN_EXE_corematrix"));
    command.args(["list", "objects", "suite.toml"]).current_dir(&inner).env_clear().env("HOME", machine.path("home"));
    let listed = Run::start(command, &machine.path("run")).wait();
    assert_eq!(listed.expect(i32::from(GOOD)).stderr, "");
}

/// The directory of a release with two versions, whose executable is a script.
fn release(folder: &Path) {
    let script = r#"set -e; cd "$1"
for version in 0.9.0 0.10.0; do
    name=corematrix-$version-x86_64-linux
    mkdir -p $name/bin $name/share/doc/corematrix
    printf '#!/bin/sh\necho %s\n' $version > $name/bin/corematrix; chmod +x $name/bin/corematrix
    echo text > $name/share/doc/corematrix/LICENSE
    tar -czf $name.tar.gz $name; rm -r $name
done
sha256sum -- *.tar.gz > SHA256SUMS"#;
    assert!(Command::new("sh").args(["-c", script, "sh"]).arg(folder).status().unwrap().success());
}

fn install(lab: &Lab, args: &[&str]) -> Ended {
    let mut command = Command::new("sh");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/images/dist/install.sh")).args(args).env("TMPDIR", lab.scratch());
    command.arg("--prefix").arg(lab.path("prefix"));
    Run::start(command, &lab.path("install")).wait()
}

fn installed(lab: &Lab) -> String {
    let output = Command::new(lab.path("prefix/bin/corematrix")).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Serves the files of a directory on loopback, for as long as the test runs.
fn serve(folder: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut line = String::new();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            reader.read_line(&mut line).unwrap();
            let mut header = String::new();
            while reader.read_line(&mut header).unwrap() > 2 {
                header.clear();
            }
            let name = line.split(' ').nth(1).unwrap_or_default().trim_start_matches('/');
            let (status, body) = match fs::read(folder.join(name)) {
                Ok(body) => ("200 OK", body),
                Err(_) => ("404 Not Found", Vec::new()),
            };
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
    });
    address
}

#[test]
fn install_script_takes_the_latest_release_or_the_one_that_is_named() {
    need!("curl");
    let lab = Lab::new();
    let folder = lab.path("release");
    fs::create_dir(&folder).unwrap();
    release(&folder);
    let from = folder.display().to_string();
    install(&lab, &["--from", &from]).expect(0);
    assert_eq!(installed(&lab), "0.10.0");
    install(&lab, &["--from", &format!("file://{from}"), "--version", "v0.9.0"]).expect(0);
    assert_eq!(installed(&lab), "0.9.0");
    let address = serve(folder);
    let ended = install(&lab, &["--from", &address]);
    ended.expect(0);
    assert!(ended.stdout.contains("next: corematrix setup"), "{ended:?}");
    assert_eq!(installed(&lab), "0.10.0");
    assert!(lab.path("prefix/share/doc/corematrix/LICENSE").is_file());
    let refused = install(&lab, &["--from", &format!("{address}/none")]);
    refused.expect(2).expect_said(&["cannot fetch SHA256SUMS", "hint: "]);
    install(&lab, &["--from", &address, "--version", "1.0"])
        .expect(2)
        .expect_said(&["has no corematrix-1.0-x86_64-linux"]);
}

#[test]
fn install_script_installs_nothing_that_is_damaged() {
    let lab = Lab::new();
    let folder = lab.path("release");
    fs::create_dir(&folder).unwrap();
    release(&folder);
    let from = folder.display().to_string();
    install(&lab, &["--from", &from, "--version", "0.9.0"]).expect(0);
    let archive = folder.join("corematrix-0.10.0-x86_64-linux.tar.gz");
    let mut bytes = fs::read(&archive).unwrap();
    bytes.truncate(bytes.len() / 2);
    fs::write(&archive, bytes).unwrap();
    let ended = install(&lab, &["--from", &from]);
    ended.expect(2).expect_said(&["is not what SHA256SUMS says", "nothing was installed"]);
    assert_eq!(installed(&lab), "0.9.0", "what was there goes on");
    lab.expect_nothing_left();
}
