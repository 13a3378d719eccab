//! Objects out of images in Debian's `docker-registry`, of the kinds that are published, and out of archives.

use std::fs;

use super::common::{Ended, Lab, Run, need, verdicts};
use super::oci::{MANIFEST, Repository, digest, layer};
use super::service::Service;
use super::{GOOD, INFRASTRUCTURE, story};
use corematrix::record::Verdict;

/// The command line cannot be used.
const USAGE: i32 = 2;
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

fn object(name: &str) -> Vec<u8> {
    fs::read(story(name)).unwrap()
}

/// An executable of another machine that embeds an object.
fn executable(name: &str) -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(4096, 0);
    (bytes[16], bytes[18]) = (3, 62);
    bytes.extend(object(name));
    bytes
}

fn file(path: &str, content: Vec<u8>) -> (String, Vec<u8>) {
    (path.to_owned(), content)
}

/// A container image: a tool, an object, and what a later layer takes away.
fn tool_image() -> [Vec<u8>; 2] {
    let lower = [
        file("usr/bin/tool", executable("inode-ctime")),
        file("usr/lib/old.bpf.o", object("bio-disk")),
        file("usr/bin/busybox", executable("inode-ctime")[..4096].to_vec()),
        file("etc/passwd", b"root:x:0:0::/:\n".to_vec()),
    ];
    let upper = [file("usr/lib/.wh.old.bpf.o", Vec::new()), file("opt/bpf-loop.bpf.o", object("bpf-loop"))];
    [layer(&lower), layer(&upper)]
}

fn list(lab: &Lab, inputs: &[&str]) -> Ended {
    let mut command = lab.tool("list");
    command.arg("objects").args(inputs);
    Run::start(command, &lab.path("list")).wait()
}

/// Without a kernel: nothing boots.
fn lab() -> Lab {
    let lab = Lab::new();
    lab.manifest("[kernel.host]\nsource = \"host\"\n");
    lab
}

#[test]
fn objects_of_an_image_run_and_are_kept_by_digest() {
    need!("guests", "programs", "docker-registry", "curl");
    let mut registry = Service::registry(false);
    let (pinned, _) = Repository::new(&registry, "acme/tools").push("1.0", &tool_image());
    let name = format!("oci://{}/acme/tools", registry.host());
    let lab = Lab::with_kernel("");
    let image = format!("{name}@sha256:{pinned}");

    let listed = list(&lab, &[&image]);
    listed.expect(GOOD);
    for place in [format!("{image}/usr/bin/tool: offset 0x1000"), format!("{image}/opt/bpf-loop.bpf.o")] {
        assert!(listed.stdout.contains(&place), "`{place}` is missing:\n{}", listed.stdout);
    }
    assert!(!listed.stdout.contains("old") && !listed.stderr.contains("notice"), "{}", listed.stdout);

    // A tag works, is looked up, and is reported.
    let tagged = list(&lab, &[&format!("{name}:1.0")]);
    tagged.expect(GOOD);
    tagged.expect_said(&["is not pinned", &image]);
    assert_eq!(tagged.stdout, listed.stdout);

    // From here on the network is gone.
    registry.stop();
    let ended = lab.run(&[&image, "--offline"]);
    let record = lab.report();
    assert!(ended.code == Some(GOOD) || ended.code == Some(1), "{ended:?}");
    assert!(verdicts(&record, &record.kernels[0].name, "inode-ctime").contains(&Verdict::Loaded));
    let origin = format!("{image}/usr/bin/tool: offset 0x1000");
    assert!(record.objects.iter().any(|object| object.origin == origin), "{:?}", record.objects);
    list(&lab, &[&format!("{name}:1.0"), "--offline"]).expect(GOOD);
    list(&lab, &[&format!("{name}:2.0"), "--offline"])
        .expect(INFRASTRUCTURE)
        .expect_said(&["the run is offline", "hint:"]);

    // What is said of the run later knows the object, too.
    let mut again = lab.tool("explain");
    again.arg(lab.out()).args([&record.kernels[0].name, "inode-ctime"]);
    let explained = Run::start(again, &lab.path("explain")).wait();
    assert!(!(explained.stdout + &explained.stderr).contains("no longer"), "the object is not found again");
    lab.expect_nothing_left();
}

#[test]
fn bytecode_images_and_gadgets_hold_one_object() {
    need!("programs", "docker-registry", "curl");
    let registry = Service::registry(false);
    let lab = lab();

    // An image of bpfman: one layer with the object, labels, an index for several machines.
    let bytecode = Repository::new(&registry, "bpfman/loop");
    let (index, _) = bytecode.push("latest", &[layer(&[file("./bpf-loop.bpf.o", object("bpf-loop"))])]);
    let listed = list(&lab, &[&format!("oci://{}/bpfman/loop@sha256:{index}", registry.host())]);
    listed.expect(GOOD);
    assert!(listed.stdout.contains(&format!("@sha256:{index}/bpf-loop.bpf.o")), "{}", listed.stdout);

    // A gadget: an artifact whose layers are files, each with a media type of its own.
    let gadgets = Repository::new(&registry, "gadget/trace_inode");
    let config = gadgets.blob_with(b"name: trace inode\n", "application/vnd.gadget.config.v1+yaml", "");
    let title = r#","annotations":{"org.opencontainers.image.title":"program.o"}"#;
    let program = gadgets.blob_with(&object("inode-ctime"), "application/vnd.gadget.ebpf.program.v1+binary", title);
    let wasm = gadgets.blob_with(b"\0asm", "application/vnd.gadget.wasm.program.v1+binary", "");
    let text = format!(
        r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","artifactType":"application/vnd.gadget.v1+binary","config":{config},"layers":[{program},{wasm}]}}"#
    );
    let gadget = gadgets.document(&text, MANIFEST, Some("latest"));
    let listed = list(&lab, &[&format!("oci://{}/gadget/trace_inode@sha256:{gadget}", registry.host())]);
    listed.expect(GOOD);
    assert!(listed.stdout.contains(&format!("trace_inode@sha256:{gadget}/program.o")), "{}", listed.stdout);
    assert!(listed.stdout.lines().any(|line| line.contains("trace_inode  ") || line.contains(" trace_inode ")));
    assert_eq!(registry.requests(&digest(b"\0asm"), "GET"), 0, "what holds no object is fetched");
}

#[test]
fn a_suite_pins_the_image_and_chooses_files() {
    need!("programs", "docker-registry", "curl");
    let registry = Service::registry(false);
    let (pinned, _) = Repository::new(&registry, "acme/tools").push("1.0", &tool_image());
    let name = format!("{}/acme/tools", registry.host());
    let lab = lab();
    let list = |oci: &str, files: &str| {
        let suite = format!("name = \"s\"\n[[image]]\noci = \"{oci}\"\n{files}\n");
        fs::write(lab.path("suite.toml"), suite).unwrap();
        list(&lab, &[lab.path("suite.toml").to_str().unwrap()])
    };
    let image = format!("{name}@sha256:{pinned}");
    let some = list(&image, "files = [\"opt/*\"]");
    some.expect(GOOD);
    assert!(
        some.stdout.contains(&format!("oci://{image}/opt/bpf-loop.bpf.o")) && !some.stdout.contains("usr/bin/tool")
    );
    let all = list(&image, "");
    all.expect(GOOD);
    assert!(all.stdout.contains("usr/bin/tool"), "{}", all.stdout);
    list(&image, "files = [\"nothing/*\"]")
        .expect(USAGE)
        .expect_said(&["has no file `nothing/*`", "hint: it has objects in `opt/bpf-loop.bpf.o`, `usr/bin/tool`"]);
    list(&format!("{name}:1.0"), "").expect(USAGE).expect_said(&["has no digest", &image]);
    list(&format!("{name}:9"), "").expect(USAGE).expect_said(&["has no digest", "@sha256:DIGEST"]);
    list("tools", "").expect(USAGE).expect_said(&["`tools` is not an image: it does not name a registry"]);
}

#[test]
fn images_that_cannot_be_used_say_why() {
    need!("programs", "docker-registry", "curl");
    let registry = Service::registry(false);
    let lab = lab();
    let said = |name: &str, code: i32, texts: &[&str]| {
        let ended = list(&lab, &[&format!("oci://{}/{name}", registry.host())]);
        ended.expect(code).expect_said(texts);
        ended.expect_said(&["hint:"]);
    };
    said("acme/none:1.0", INFRASTRUCTURE, &["the registry has no"]);
    said(&format!("acme/none@sha256:{}", "00".repeat(32)), INFRASTRUCTURE, &["the registry has no"]);
    said("acme/none@sha256:12", USAGE, &["its digest is not `sha256:` with 64 hex digits"]);

    let empty = Repository::new(&registry, "acme/empty");
    let (digest, _) = empty.push("1", &[layer(&[file("etc/motd", b"hello".to_vec())])]);
    said(
        &format!("acme/empty@sha256:{digest}"),
        USAGE,
        &[&format!("acme/empty@sha256:{digest}` contains no BPF object")],
    );

    // A layer that is no archive, and one that leads out.
    let bad = Repository::new(&registry, "acme/bad");
    for (tag, content, text) in [
        ("text", b"this is no layer".to_vec(), "it is neither a tar archive nor an ELF file"),
        ("out", hostile(), "outside the archive"),
    ] {
        let config = bad.blob_with(b"{}", "application/vnd.oci.image.config.v1+json", "");
        let layer = bad.blob_with(&content, LAYER, "");
        let text_of = format!(r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{config},"layers":[{layer}]}}"#);
        bad.document(&text_of, MANIFEST, Some(tag));
        said(&format!("acme/bad:{tag}"), INFRASTRUCTURE, &[text]);
    }
    // Of another machine.
    let config =
        bad.blob_with(br#"{"architecture":"s390x","os":"linux"}"#, "application/vnd.oci.image.config.v1+json", "");
    let layer = bad.blob_with(&tool_image()[0], LAYER, "");
    let text = format!(r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{config},"layers":[{layer}]}}"#);
    bad.document(&text, MANIFEST, Some("s390x"));
    said("acme/bad:s390x", INFRASTRUCTURE, &["is for linux/s390x, not for linux/amd64"]);
    let tmp = fs::read_dir(lab.store().join("tmp")).unwrap().count();
    assert_eq!(tmp, 0, "something half-made is left");
}

/// An archive with an ELF file outside of it.
fn hostile() -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..15].copy_from_slice(b"../../../evil.o");
    header.set_size(4);
    header.set_mode(0o644);
    header.set_cksum();
    let mut tar = tar::Builder::new(Vec::new());
    tar.append(&header, &b"\x7fELF"[..]).unwrap();
    tar.into_inner().unwrap()
}

#[test]
fn archives_are_read_like_folders_here_and_on_a_server() {
    need!("programs", "lighttpd", "curl");
    let files = [file("tools-1.0/bin/tool", executable("inode-ctime")), file("tools-1.0/README", b"text".to_vec())];
    let packed = layer(&files);
    let lab = lab();
    let local = lab.path("tools-1.0.tar.gz");
    fs::write(&local, &packed).unwrap();
    let listed = list(&lab, &[local.to_str().unwrap()]);
    listed.expect(GOOD);
    let place = format!("{}/tools-1.0/bin/tool: offset 0x1000", local.display());
    assert!(listed.stdout.contains(&place), "{}", listed.stdout);

    let mut web = Service::web();
    fs::write(web.files().join("t.tar.gz"), &packed).unwrap();
    let url = format!("http://{}/t.tar.gz", web.host());
    let sha256 = digest(&packed);
    list(&lab, &[&url]).expect(USAGE).expect_said(&["it has no checksum", "`#sha256=` and 64 hex digits"]);
    let wrong = format!("{url}#sha256={}", "00".repeat(32));
    list(&lab, &[&wrong]).expect(INFRASTRUCTURE).expect_said(&["its sha256 is", "hint:"]);
    let right = format!("{url}#sha256={sha256}");
    // In a store that does not know the archive yet.
    fs::remove_dir_all(lab.store().join("unpacked")).unwrap();
    let listed = list(&lab, &[&right]);
    listed.expect(GOOD);
    assert!(listed.stdout.contains(&format!("{right}/tools-1.0/bin/tool")), "{}", listed.stdout);
    web.stop();
    list(&lab, &[&right, "--offline"]).expect(GOOD);

    fs::write(lab.path("cut.tar.gz"), &packed[..packed.len() / 2]).unwrap();
    list(&lab, &[lab.path("cut.tar.gz").to_str().unwrap()]).expect(USAGE).expect_said(&["cut.tar.gz", "hint:"]);
    fs::write(lab.path("elf.tar"), &executable("inode-ctime")[..4096]).unwrap();
    list(&lab, &[lab.path("elf.tar").to_str().unwrap()]).expect(USAGE).expect_said(&["contains no BPF object"]);
    fs::write(lab.path("none.tar"), layer(&[file("a", b"b".to_vec())])).unwrap();
    list(&lab, &[lab.path("none.tar").to_str().unwrap()]).expect(USAGE).expect_said(&["contains no BPF object"]);
}

#[test]
fn an_image_that_was_saved_is_read_out_of_its_archive() {
    need!("programs");
    let lab = lab();
    let layers = tool_image();
    let names = [0, 1].map(|number| format!("{number}/layer.tar"));
    let manifest = format!(r#"[{{"Config":"c.json","RepoTags":["a:1"],"Layers":["{}","{}"]}}]"#, names[0], names[1]);
    let mut files = vec![file("manifest.json", manifest.into_bytes()), file("c.json", b"{}".to_vec())];
    files.extend(names.into_iter().zip(layers));
    let saved = lab.path("saved.tar");
    fs::write(&saved, layer(&files)).unwrap();
    let listed = list(&lab, &[saved.to_str().unwrap()]);
    listed.expect(GOOD);
    for inside in ["usr/bin/tool: offset 0x1000", "opt/bpf-loop.bpf.o"] {
        assert!(listed.stdout.contains(&format!("{}/{inside}", saved.display())), "{}", listed.stdout);
    }
    assert!(!listed.stdout.contains("old"), "{}", listed.stdout);
}

/// What `corematrix run` takes, other commands take as well.
#[test]
fn init_repro_and_bisect_look_into_archives() {
    need!("programs");
    let lab = lab();
    let files = [file("a.bpf.o", object("bpf-loop")), file("b.bpf.o", object("inode-ctime"))];
    let packed = lab.path("packed.tar.gz");
    fs::write(&packed, layer(&files)).unwrap();
    let run = |words: &[&str]| {
        let mut command = lab.tool(words[0]);
        command.args(&words[1..]);
        Run::start(command, &lab.path(words[0])).wait()
    };
    let (packed, suite) = (packed.to_str().unwrap(), lab.path("packed.toml"));
    run(&["init", packed, "-o", suite.to_str().unwrap()]).expect(GOOD);
    let text = fs::read_to_string(&suite).unwrap();
    assert_eq!(text.matches("packed.tar.gz").count(), 1, "{text}");
    let listed = list(&lab, &[suite.to_str().unwrap()]);
    listed.expect(GOOD);
    assert!(listed.stdout.contains("a.bpf.o") && listed.stdout.contains("b.bpf.o"), "{}", listed.stdout);
    run(&["init", suite.to_str().unwrap()]).expect(USAGE).expect_said(&["is already a suite"]);
    run(&["repro", "host", packed]).expect(USAGE).expect_said(&["holds 2 objects, but one is needed"]);
    run(&["bisect", packed, "--good", "1", "--bad", "2"])
        .expect(USAGE)
        .expect_said(&["holds 2 objects, but one is needed"]);
}
