//! `corematrix shell`: driven through a terminal as a user does, and by a script.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::FromRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use common::{Lab, kernel, need, object, send, until};
use rustix::process::Signal;
use rustix::termios::{Winsize, tcsetwinsize};

/// A command on a separate terminal.
struct Terminal {
    child: Child,
    screen: File,
    /// What was shown, and how much of it has been looked at.
    shown: Arc<Mutex<String>>,
    seen: usize,
}

impl Terminal {
    fn start(mut command: Command, rows: u16, columns: u16) -> Terminal {
        let (mut screen, mut keys) = (0, 0);
        let none = std::ptr::null_mut();
        // SAFETY: both numbers are valid for the call, which takes null for what it need not do.
        let made = unsafe { libc::openpty(&mut screen, &mut keys, none, none.cast(), none.cast()) };
        assert_eq!(made, 0);
        // SAFETY: the call has just made both, and nothing else owns them.
        let (screen, keys) = unsafe { (File::from_raw_fd(screen), File::from_raw_fd(keys)) };
        resize(&screen, rows, columns);
        let twin = || Stdio::from(keys.try_clone().unwrap());
        command.stdin(twin()).stdout(twin()).stderr(twin()).env("SHELL", "/bin/bash").env("TERM", "xterm");
        // SAFETY: both calls are async-signal-safe; they make the terminal that of the new process.
        unsafe {
            command.pre_exec(|| {
                libc::setsid();
                libc::ioctl(0, libc::TIOCSCTTY, 0);
                Ok(())
            });
        }
        let child = command.spawn().unwrap();
        let shown = Arc::new(Mutex::new(String::new()));
        let (mut reader, sink) = (screen.try_clone().unwrap(), Arc::clone(&shown));
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(read @ 1..) = reader.read(&mut chunk) {
                sink.lock().unwrap().push_str(&String::from_utf8_lossy(&chunk[..read]));
            }
        });
        Terminal { child, screen, shown, seen: 0 }
    }

    /// Waits until `text` is shown, behind what was waited for before.
    #[track_caller]
    fn expect(&mut self, text: &str) {
        self.seen = until(text, || {
            let shown = self.shown.lock().unwrap();
            Some(self.seen + shown[self.seen..].find(text)? + text.len())
        });
    }

    fn type_keys(&mut self, keys: &str) {
        self.screen.write_all(keys.as_bytes()).unwrap();
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn resize(screen: &File, rows: u16, columns: u16) {
    tcsetwinsize(screen, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
}

#[test]
fn a_terminal_works_as_one_is_used_to() {
    need!("guests");
    let lab = Lab::with_file_systems("");
    let mut command = lab.tool("shell");
    command.args([kernel().name, "--object", &object("five")]);
    let mut user = Terminal::start(command, 30, 90);
    user.expect("# ");
    // What is typed is shown as well, so that no answer may stand in its question.
    user.type_keys("echo on=$(uname -r) size=$(stty size) bytes=$(wc -c < $OBJECT)\r");
    let bytes = fs::metadata(object("five")).unwrap().len();
    user.expect(&format!("on={} size=30 90 bytes={bytes}", kernel().stored.identity.release));
    resize(&user.screen, 44, 111);
    send(user.child.id().cast_signed(), Signal::WINCH);
    // Bash may take a moment to notice; the kernel's answer is what counts.
    user.type_keys("until [ \"$(stty size)\" = '44 111' ]; do :; done; echo re''sized\r");
    user.expect("resized");
    user.type_keys("sleep 1000\r");
    user.expect("sleep 1000");
    std::thread::sleep(std::time::Duration::from_secs(1));
    user.type_keys("\u{3}");
    user.expect("# ");
    user.type_keys("echo code=$?\r");
    user.expect("code=130");
    user.type_keys("sleep 1000\r");
    user.expect("sleep 1000");
    std::thread::sleep(std::time::Duration::from_secs(1));
    user.type_keys("\u{1a}");
    user.expect("Stopped");
    user.type_keys("kill %1; exit 5\r");
    let status = until("the shell to end", || user.child.try_wait().unwrap());
    assert_eq!(status.code(), Some(5), "{}", user.shown.lock().unwrap());
    lab.expect_nothing_left();
}

#[test]
fn a_guest_that_does_not_answer_can_be_left() {
    need!("guests");
    let lab = Lab::with_file_systems("");
    let mut command = lab.tool("shell");
    command.args([kernel().name, "--cold"]);
    let mut user = Terminal::start(command, 24, 80);
    user.expect("# ");
    user.type_keys("trap '' INT; sleep 1000\r");
    user.expect("sleep 1000");
    user.type_keys("\u{1d}\u{1d}\u{1d}");
    let status = until("the shell to end", || user.child.try_wait().unwrap());
    assert_eq!(status.code(), Some(130), "{}", user.shown.lock().unwrap());
    lab.expect_nothing_left();
}

#[test]
fn a_script_comes_through_standard_input() {
    need!("guests");
    let lab = Lab::with_file_systems("");
    let mut command = lab.tool("shell");
    command.args([kernel().name, "--cold"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // More than what may be on its way at once.
    let script = format!("uname -r\n{}echo no >&2\nexit 7\n", "true # nothing\n".repeat(20_000));
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    let (out, error) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert_eq!(out, format!("{}\n", kernel().stored.identity.release), "{error}");
    assert!(error.ends_with("no\n"), "{error}");
    assert_eq!(done.status.code(), Some(7));
    lab.expect_nothing_left();
}
