//! [`ALL`]: what the guest does to make attached programs run. Everything may fail: a program may forbid it.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{FromRawFd, OwnedFd};
use std::path::Path;
use std::ptr;
use std::time::Duration;

use libbpf_rs::libbpf_sys::bpf_iter_create;

use super::super::attach::{CONTENTS, Held};
use super::super::fork;
use corematrix_protocol::user_space::SHELL;

/// A program may drop every packet; no one waits longer for one.
const PATIENCE: Duration = Duration::from_millis(100);
/// As much of an iterator's output as is read.
const MOST_OUTPUT: u64 = 1 << 20;

/// Does one thing; gets what keeps the program attached.
type Pull = fn(&Held);

/// As shells have it.
const CANNOT_EXECUTE: i32 = 127;

/// What the guest does, by name, in the order of [`corematrix_protocol::exercise::TRIGGERS`].
pub const ALL: [(&str, Pull); corematrix_protocol::exercise::TRIGGERS.len()] = [
    ("sleep", sleep),
    ("fork", fork_and_exit),
    ("exec", exec),
    ("file", files),
    ("directory", directories),
    ("memory", memory),
    ("signal", signal),
    ("tcp", tcp),
    ("udp", udp),
    ("its socket", own_socket),
    ("its iterator", iterate),
];

/// Does all of it once that needs no program.
pub fn pull_all() {
    // What is neither a link nor a socket is of no use to those who look for one.
    let Ok(nothing) = File::open("/dev/null") else { return };
    let held = Held::Descriptor(nothing.into());
    ALL.iter().for_each(|(_, pull)| pull(&held));
}

fn sleep(_: &Held) {
    std::thread::sleep(Duration::from_millis(2));
}

fn fork_and_exit(_: &Held) {
    let _ = fork::run(|| 0);
    // This executable is static. Whoever probes the C library has been given a process that uses it.
    let _ = command(&[SHELL, "-c", "(:); :"].map(str::to_owned));
}

/// This executable, which as any other process than the first prints its version and ends.
fn exec(_: &Held) {
    let _ = fork::run(|| {
        // SAFETY: all strings are valid and the lists end with null. A call that returns has failed.
        unsafe {
            let nowhere = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
            libc::dup2(nowhere, 1);
            libc::dup2(nowhere, 2);
            let arguments = [c"/init".as_ptr(), c"--version".as_ptr(), ptr::null()];
            libc::execve(c"/init".as_ptr(), arguments.as_ptr(), [ptr::null()].as_ptr());
        }
        1
    });
}

/// Executes a command of the guest and waits for its end.
///
/// # Errors
/// Why it was not executed, or that it failed; as a lowercase fragment.
pub fn command(words: &[String]) -> Result<(), String> {
    let path = words.first().map_or("", String::as_str);
    if !Path::new(path).exists() {
        return Err(format!("the guest has no `{path}`, {CONTENTS}"));
    }
    let arguments: Result<Vec<CString>, _> = words.iter().map(|word| CString::new(word.as_str())).collect();
    let arguments = arguments.map_err(|_| format!("`{path}` has an argument with a zero byte"))?;
    let mut pointers: Vec<*const libc::c_char> = arguments.iter().map(|argument| argument.as_ptr()).collect();
    pointers.push(ptr::null());
    let ending = fork::run(|| {
        // SAFETY: all strings are valid and the lists end with null. A call that returns has failed.
        unsafe {
            let nowhere = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
            libc::dup2(nowhere, 0);
            libc::dup2(nowhere, 1);
            libc::dup2(nowhere, 2);
            libc::execve(pointers[0], pointers.as_ptr(), [ptr::null()].as_ptr());
        }
        CANNOT_EXECUTE
    })?;
    match ending {
        fork::Ending::Code(0) => Ok(()),
        fork::Ending::Code(CANNOT_EXECUTE) => Err(format!("the guest cannot execute `{path}`")),
        fork::Ending::Code(code) => Err(format!("`{}` ended with code {code}", words.join(" "))),
        fork::Ending::Signal(signal) => Err(format!("`{}` died of signal {signal}", words.join(" "))),
    }
}

fn files(_: &Held) {
    let (path, other) = ("/tmp/corematrix-file", "/tmp/corematrix-moved");
    let _ = File::create(path).and_then(|mut file| {
        file.write_all(b"written")?;
        file.sync_all()
    });
    let _ = fs::read(path);
    let _ = fs::metadata(path);
    let _ = fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600));
    let _ = std::os::unix::fs::symlink(path, "/tmp/corematrix-link");
    let _ = fs::remove_file("/tmp/corematrix-link");
    let _ = fs::rename(path, other);
    let _ = fs::remove_file(other);
    let _ = fs::read("/proc/sys/kernel/hostname");
    let _ = fs::read("/proc/self/stat");
    let _ = File::open("/dev/null").map(|mut file| file.read(&mut [0]));
}

fn directories(_: &Held) {
    let path = "/tmp/corematrix-folder";
    let _ = fs::create_dir(path);
    let _ = fs::read_dir(path).map(Iterator::count);
    let _ = fs::remove_dir(path);
}

fn memory(_: &Held) {
    const SIZE: usize = 1 << 20;
    // SAFETY: maps fresh memory at a place of the kernel's choice, touches it, and unmaps just that.
    unsafe {
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        let memory = libc::mmap(ptr::null_mut(), SIZE, access, kind, -1, 0);
        if memory != libc::MAP_FAILED {
            (0..SIZE).step_by(4096).for_each(|at| memory.cast::<u8>().add(at).write_volatile(1));
            libc::mprotect(memory, SIZE, libc::PROT_READ);
            libc::munmap(memory, SIZE);
        }
    }
}

fn signal(_: &Held) {
    let _ = fork::run(|| {
        // SAFETY: the copy ends itself.
        unsafe { libc::kill(libc::getpid(), libc::SIGKILL) }
    });
}

fn tcp(_: &Held) {
    let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)) else { return };
    let Ok(address) = listener.local_addr() else { return };
    let Ok(mut client) = TcpStream::connect_timeout(&address, PATIENCE) else { return };
    // Connected, so that someone is waiting, unless the program took it away.
    let _ = listener.set_nonblocking(true);
    let _ = client.set_nodelay(true);
    let _ = client.write_all(b"ping");
    if let Ok((mut server, _)) = listener.accept() {
        let _ = server.set_read_timeout(Some(PATIENCE));
        let _ = client.set_read_timeout(Some(PATIENCE));
        let _ = server.read(&mut [0; 4]);
        let _ = server.write_all(b"pong");
        let _ = client.read(&mut [0; 4]);
        let _ = server.peer_addr();
    }
}

fn udp(_: &Held) {
    let Ok(socket) = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)) else { return };
    let Ok(address) = socket.local_addr() else { return };
    send_to(address);
    let _ = socket.set_read_timeout(Some(PATIENCE));
    let _ = socket.recv_from(&mut [0; 4]);
}

fn send_to(address: SocketAddr) {
    let _ = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map(|socket| socket.send_to(b"ping", address));
}

/// Sends something to the socket that the program hangs on, if it does.
fn own_socket(held: &Held) {
    let Held::Descriptor(descriptor) = held else { return };
    let Ok(socket) = descriptor.try_clone().map(UdpSocket::from) else { return };
    if let Ok(address) = socket.local_addr() {
        send_to(address);
    }
}

/// Reads what the program writes, if it is an iterator.
fn iterate(held: &Held) {
    let Held::Link(_) = held else { return };
    // SAFETY: a plain number; of what is no iterator it makes none.
    let descriptor = unsafe { bpf_iter_create(super::descriptor_of(held).unwrap_or(-1)) };
    if descriptor >= 0 {
        // SAFETY: the call has just made it, and nothing else owns it.
        let iterator = File::from(unsafe { OwnedFd::from_raw_fd(descriptor) });
        let _ = std::io::copy(&mut iterator.take(MOST_OUTPUT), &mut std::io::sink());
    }
}
