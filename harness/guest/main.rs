//! `corematrix-guest`: the first process of a guest, and the only one but its own copies.
//!
//! It sets the guest up, opens the data channel, says hello, and loads the objects it is sent until the host stops it.
//! Nothing here decides what an outcome means; it reports facts and the host draws conclusions.

mod after_restore;
mod attach;
mod before_snapshot;
mod cost;
mod created_maps;
mod exercise;
mod external;
mod facts;
mod fault;
mod feature_probe;
mod fork;
mod init;
mod kernel_btf;
mod kernel_log;
mod live;
mod loaded;
mod loaded_map;
mod loader;
mod machine;
mod modules;
mod own_loader;
mod pins;
mod port;
mod prepared;
mod privileges;
mod residue;
mod reused;
mod symbols;
mod targets;
mod token;
mod transcript;
mod type_name;
mod upgrade;
mod visited;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::system::{RebootCommand, reboot, uname};

use corematrix_protocol::{self as protocol, BUILD_ID, GuestMessage, HostMessage, MODULES_DIR, ModuleLoad};
use fault::Faults;
use kernel_log::KernelLog;

/// What a panic ends a process with. A signal would be taken for the object's doing.
const PANICKED: i32 = 101;

fn main() {
    if std::env::args_os().nth(1).is_some_and(|word| word == "--version") {
        return println!("corematrix-guest {BUILD_ID}");
    }
    if std::process::id() != 1 || !Path::new(MODULES_DIR).is_dir() {
        eprintln!("error: `corematrix-guest` is the first process of a guest that `corematrix` starts");
        std::process::exit(2);
    }
    std::panic::set_hook(Box::new(|panic| {
        eprintln!("corematrix guest: {panic}");
        std::process::exit(PANICKED);
    }));
    if let Err(reason) = serve() {
        // The console is all that is left to say it on.
        eprintln!("corematrix guest: {reason}");
    }
    // With `-no-reboot` QEMU ends here. Data in flight on the channel has been taken by QEMU when `write` returned.
    let _ = reboot(RebootCommand::Restart);
    // PID 1 must not return: the kernel would panic and the blame would fall on it.
    loop {
        std::thread::park();
    }
}

fn serve() -> Result<(), String> {
    let notes = init::set_up()?;
    let faults = Faults::from_command_line();
    // Said once more in each hello, since it costs more than all the rest of it.
    let btf = std::fs::File::open("/sys/kernel/btf/vmlinux").and_then(protocol::checksum).ok();
    let loads = modules::load_wanted();
    let hello = || hello((&notes, &loads), btf.clone());
    let waking = after_restore::Waking::prepare()?;
    let mut port = port::open()?;
    faults.before_hello();
    send(&mut port, &hello(), &[])?;
    // A snapshot is taken here, while the guest waits for a message.
    loop {
        match protocol::read_message(&mut port).map_err(|error| error.to_string())? {
            (HostMessage::Shutdown, _) => return Ok(()),
            (HostMessage::File { path, mode }, content) => make_file(Path::new(&path), &content, mode)?,
            (HostMessage::Settle, _) => {
                // The benchmark compares with what libbpf does by itself.
                before_snapshot::prepare(!faults.bare());
                send(&mut port, &hello(), &[])?;
            }
            (HostMessage::Wake { realtime_ns }, entropy) => {
                faults.after_restore();
                let notes = if faults.asleep() { Vec::new() } else { waking.adapt(realtime_ns, &entropy) };
                let woken = waking.look().map_err(|error| error.to_string())?;
                send(&mut port, &GuestMessage::Woken { woken, notes }, &[])?;
            }
            (HostMessage::Live(order), blob) => live::serve(&mut port, order, &blob)?,
            (HostMessage::TellFacts, _) => send(&mut port, &GuestMessage::Facts(Box::new(facts::look())), &[])?,
            (HostMessage::TellState, _) => {
                let state = faults.state(residue::look());
                send(&mut port, &GuestMessage::State(Box::new(state)), &[])?;
            }
            (HostMessage::Arrange { sysctls }, _) => {
                send(&mut port, &GuestMessage::Arranged(machine::arrange(&sysctls)), &[])?;
            }
            (HostMessage::Probe(request), _) => {
                send(&mut port, &GuestMessage::Probed(feature_probe::features(&request)), &[])?;
            }
            (
                HostMessage::Load {
                    object,
                    programs,
                    full_logs,
                    visited,
                    setup,
                    reach,
                    extern_users,
                    loader,
                    compared,
                    brief,
                    together,
                },
                bytes,
            ) => {
                let bare = faults.bare();
                judge(
                    &mut port,
                    &loader::Request {
                        object,
                        programs,
                        full_logs,
                        visited,
                        setup: *setup,
                        extern_users,
                        reach,
                        bytes,
                        loader,
                        compared,
                        brief,
                        together,
                        bare,
                        faults: &faults,
                    },
                )?;
            }
        }
    }
}

/// Makes a file that the host sent, and the directories above it.
fn make_file(path: &Path, content: &[u8], mode: u32) -> Result<(), String> {
    let make = || {
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(path, content)?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
    };
    make().map_err(|error| format!("cannot create `{}`: {error}", path.display()))
}

fn hello((notes, loads): (&[String], &[ModuleLoad]), btf: Option<String>) -> GuestMessage {
    GuestMessage::Hello {
        build: BUILD_ID.to_owned(),
        release: uname().release().to_string_lossy().into_owned(),
        btf,
        lsm: std::fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default(),
        notes: notes.to_vec(),
        modules: loads.to_vec(),
    }
}

/// Judges one object in a process of its own, so that libbpf dying of a broken object is an outcome, not the end of the guest.
fn judge<P: Read + Write>(port: &mut P, request: &loader::Request<'_>) -> Result<(), String> {
    let object = &request.object;
    let begin = std::time::Instant::now();
    let mut log = KernelLog::open();
    let pins = pins::Pins::look();
    let ending = fork::run(|| {
        // The port is shared with the parent, which is silent until this process has ended.
        let mut send_from_child = |message: &GuestMessage, blob: &[u8]| match request.faults.twisted(message) {
            Some(twisted) => send(port, &twisted, blob),
            None => send(port, message, blob),
        };
        let judged = match (&request.setup.loading.privileges, &request.loader) {
            (Some(privileges), None) => match privileges::take_on(privileges) {
                Ok(()) => loader::judge(request, &mut log, &mut send_from_child),
                Err(privileges::Refused { missing, reason }) => {
                    send_from_child(&GuestMessage::NoSuchPrivileges { missing, reason }, &[])
                }
            },
            (_, None) => loader::judge(request, &mut log, &mut send_from_child),
            // What became of a loader is for the host: its programs are not judged then.
            (_, Some(executable)) => external::judge(request, executable, &mut log, &mut send_from_child)
                .or_else(|reason| send_from_child(&GuestMessage::Failed { reason }, &[])),
        };
        match judged {
            Ok(()) => 0,
            Err(reason) => {
                eprintln!("corematrix guest: {reason}");
                1
            }
        }
    })?;
    pins.restore();
    request.faults.after_object(&request.programs);
    // Some of it comes only when the last program is freed.
    let last = log.take_last();
    match ending {
        fork::Ending::Code(0) => {}
        fork::Ending::Code(code) => {
            let reason = format!("the loader of `{object}` ended with code {code}");
            send(port, &GuestMessage::Failed { reason }, &[])?;
        }
        fork::Ending::Signal(signal) => {
            let lines = last.as_ref().map(|(_, lines)| String::from_utf8_lossy(lines)).unwrap_or_default();
            send(port, &after_signal(signal, &lines), &[])?;
        }
    }
    if let Some((message, lines)) = last.filter(|_| !request.bare) {
        send(port, &message, &lines)?;
    }
    let took_ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
    send(port, &GuestMessage::LoadDone { took_ms }, &[])
}

/// What it means that the process that judged an object was killed; `log` is what the kernel logged last.
fn after_signal(signal: i32, log: &str) -> GuestMessage {
    match signal {
        // Nothing but the kernel's search for memory kills like this, unless the object itself does.
        libc::SIGKILL if protocol::is_out_of_memory(log) => GuestMessage::OutOfMemory,
        libc::SIGKILL => GuestMessage::Failed { reason: "the loader was killed by signal 9".to_owned() },
        _ => {
            let warnings = vec![format!("libbpf died of signal {signal} while it handled the object")];
            GuestMessage::OpenFailed { errno: 0, warnings }
        }
    }
}

fn send(port: &mut impl Write, message: &GuestMessage, blob: &[u8]) -> Result<(), String> {
    // Only a verifier log can be longer, and what it says comes at its end.
    let blob = &blob[blob.len().saturating_sub(protocol::MAX_BLOB_FROM_GUEST)..];
    protocol::write_message(port, message, blob).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_is_blamed_for_killing_libbpf_and_not_for_lack_of_memory() {
        assert!(matches!(after_signal(libc::SIGSEGV, ""), GuestMessage::OpenFailed { warnings, .. }
            if warnings == ["libbpf died of signal 11 while it handled the object"]));
        let log = "oom-kill:constraint=CONSTRAINT_NONE\nOut of memory: Killed process 90 (init) total-vm:5kB\n";
        assert_eq!(after_signal(libc::SIGKILL, log), GuestMessage::OutOfMemory);
        let of_group = "Memory cgroup out of memory: Killed process 90 (init)\n";
        assert!(matches!(after_signal(libc::SIGKILL, of_group), GuestMessage::Failed { .. }));
    }
}
