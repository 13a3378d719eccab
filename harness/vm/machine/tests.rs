//! Tests of guests that are lost, on a QEMU that is a shell script and a guest that is a socket.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use super::*;
use crate::protocol::encode;
use crate::vm::compose::{DATA_SOCKET, SERIAL_SOCKET};
use crate::vm::qmp::{Limit, Monitor};

/// Longer than any test takes that does not wait in vain.
const LONG: Duration = Duration::from_secs(60);

const SHAPE: GuestShape =
    GuestShape { memory_mib: 512, cpus: 1, numa_nodes: 1, append: Vec::new(), modules: Vec::new() };

/// A machine whose guest has spoken, and the guest's end of its two ports.
fn machine(qemu: &str) -> (Machine, [UnixStream; 2]) {
    let scratch = tempfile::tempdir().expect("a folder");
    let listeners = Listeners::bind(scratch.path()).expect("binds");
    let mut guest =
        [DATA_SOCKET, SERIAL_SOCKET].map(|name| UnixStream::connect(scratch.path().join(name)).expect("connects"));
    let mut command = Command::new("sh");
    command.args(["-c", qemu]);
    let child = ChildGroup::spawn(command).expect("starts");
    let mut machine = Machine::new(child, listeners, scratch, None, &SHAPE);
    let message = encode(&GuestMessage::LoadDone { took_ms: 7 }, b"").expect("encodes");
    guest[0].write_all(&message).expect("writes");
    machine.receive(LONG, &|| false).expect("the guest spoke");
    (machine, guest)
}

/// What a QEMU writes that stays after its guest can go on no more.
const ENTRY_FAILED: &str = "sleep 0.3; echo 'KVM: entry failed, hardware error 0x80000021' >&2; sleep 600";

#[test]
fn last_words_of_kvm_in_mid_run_blame_the_harness_at_once_and_end_qemu() {
    for words in [
        "KVM: entry failed, hardware error 0x80000021",
        "error: kvm run failed Bad address",
        "KVM internal error. Suberror: 3",
        "qemu: fatal: Trying to execute code outside RAM or ROM at 0x0000000000100000",
    ] {
        let begin = Instant::now();
        let (mut machine, _guest) = machine(&format!("sleep 0.3; echo '{words}' >&2; sleep 600"));
        assert_eq!(machine.receive(LONG, &|| false), Err(GuestLoss::Harness(words.to_owned())));
        assert!(begin.elapsed() < LONG / 4, "{:?}", begin.elapsed());
        assert!(machine.child.wait(Duration::ZERO).is_some(), "QEMU is still there");
    }
}

#[test]
fn last_words_are_noticed_while_a_command_is_attended_and_while_the_host_sends() {
    let (mut attended, _guest) = machine(ENTRY_FAILED);
    let begin = Instant::now();
    let lost = loop {
        match attended.attend(Duration::from_millis(50), &|| false, None) {
            Ok(None) if begin.elapsed() < LONG => {}
            other => break other,
        }
    };
    assert!(matches!(lost, Err(GuestLoss::Harness(ref line)) if line.starts_with("KVM: entry failed")), "{lost:?}");
    let (mut sent, _guest) = machine(ENTRY_FAILED);
    // More than a socket holds: the guest no longer takes anything.
    let lost = sent.send(&HostMessage::Settle, &vec![0; 4 << 20], LONG, &|| false);
    assert!(matches!(lost, Err(GuestLoss::Harness(ref line)) if line.starts_with("KVM: entry failed")), "{lost:?}");
    assert!(begin.elapsed() < LONG / 2, "{:?}", begin.elapsed());
}

#[test]
fn what_the_guest_said_before_comes_first_and_the_user_can_still_stop() {
    let (mut machine, mut guest) = machine(ENTRY_FAILED);
    let message = encode(&GuestMessage::LoadDone { took_ms: 8 }, b"").expect("encodes");
    guest[0].write_all(&message).expect("writes");
    std::thread::sleep(Duration::from_millis(600));
    assert!(matches!(machine.receive(LONG, &|| false), Ok((GuestMessage::LoadDone { took_ms: 8 }, _))));
    assert!(matches!(machine.receive(LONG, &|| false), Err(GuestLoss::Harness(_))));
    let (mut quiet, _guest) = self::machine("sleep 600");
    assert_eq!(quiet.receive(LONG, &|| true), Err(GuestLoss::Stopped));
}

#[test]
fn silence_after_a_remark_is_the_guest_s() {
    let (mut machine, _guest) = machine("echo 'qemu-system-x86_64: warning: no such feature' >&2; sleep 600");
    assert_eq!(machine.receive(Duration::from_millis(500), &|| false), Err(GuestLoss::Silent));
    assert!(machine.child.wait(Duration::ZERO).is_none(), "QEMU was ended");
}

#[test]
fn guest_that_gets_no_further_is_told_with_the_limit_that_it_had() {
    let qemu = Path::new("/usr/bin/qemu");
    let (mut mute, _guest) = machine("echo SeaBIOS; sleep 600");
    let failure = mute.boot_failure((qemu, Accelerator::Tcg), LONG, Duration::from_secs(1));
    assert_eq!(failure.reason(), "did not respond within 1s, and wrote nothing to its serial console");
    let (mut unsettled, _guest) = machine("sleep 600");
    let error = unsettled.settle(Duration::from_millis(1100), &|| false).expect_err("says nothing");
    assert_eq!(error.to_string(), "the guest did not settle: no response within 1s");
}

#[test]
fn qemu_that_kvm_fails_without_a_known_word_gets_a_hint_that_names_kvm() {
    let ended = |accelerator| {
        let (mut machine, _guest) = machine("exit 3");
        let failure = machine.boot_failure((Path::new("/usr/bin/qemu"), accelerator), LONG, LONG);
        assert!(matches!(failure, BootFailure::Harness { passing: true, .. }), "{failure:?}");
        failure.hint().unwrap_or_default().to_owned()
    };
    assert!(ended(Accelerator::Kvm).starts_with("`--accel tcg` uses emulation instead; `corematrix doctor`"));
    assert!(ended(Accelerator::Tcg).starts_with("`corematrix doctor`"));
}

#[test]
fn qemu_that_ends_or_gives_up_while_it_is_saved_or_restored_is_not_waited_for() {
    for (qemu, words) in [
        ("sleep 0.3; exit 7", "QEMU's monitor does not respond: it ended (exit status: 7)"),
        (ENTRY_FAILED, "QEMU's monitor does not respond: KVM: entry failed, hardware error 0x80000021"),
    ] {
        let (mut machine, _guest) = machine(qemu);
        let monitor = Monitor::bind(machine.scratch.path()).expect("binds");
        let begin = Instant::now();
        let error =
            machine.with_monitor(&monitor, Limit::from(begin, LONG), &|| false, |_| Ok(())).expect_err("was removed");
        assert_eq!(error.to_string(), words);
        assert!(begin.elapsed() < LONG / 4, "{:?}", begin.elapsed());
    }
}

#[test]
fn qemu_that_dies_while_it_saves_is_named_and_not_the_broken_connection() {
    let (mut machine, _guest) = machine("sleep 0.3; kill -SEGV $$");
    let monitor = Monitor::bind(machine.scratch.path()).expect("binds");
    let socket = machine.scratch.path().join("qmp.sock");
    let qemu = std::thread::spawn(move || {
        use std::io::{BufRead, BufReader, Write};
        let mut stream = BufReader::new(std::os::unix::net::UnixStream::connect(socket).expect("connects"));
        let (mut line, answers) = (String::new(), ["{\"QMP\": {}}", "{\"return\": {}}"]);
        for answer in answers {
            writeln!(stream.get_mut(), "{answer}").expect("answers");
            stream.read_line(&mut line).expect("reads");
        }
    });
    let limit = Limit::from(Instant::now(), LONG);
    let error = machine.with_monitor(&monitor, limit, &|| false, |qmp| qmp.quit()).expect_err("is dead");
    qemu.join().expect("ends");
    assert_eq!(error.to_string(), "QEMU's monitor does not respond: it ended (signal: 11 (SIGSEGV))");
}

#[test]
fn losses_are_told_in_words() {
    let expected = [
        (GuestLoss::Silent, "no response in time"),
        (GuestLoss::Stopped, "stopped by the user"),
        (GuestLoss::Crashed("Oops: 0000".to_owned()), "Oops: 0000"),
        (GuestLoss::Harness("KVM: entry failed".to_owned()), "KVM: entry failed"),
    ];
    for (loss, words) in expected {
        assert_eq!(loss.to_string(), words);
    }
}
