//! [`StateSocket`]: how a machine's state gets out of QEMU and back in.
//!
//! Over a unix socket, since every QEMU since 2012 can do that: `file:` is known from 8.2 on only, a file handed over by `fd:` is
//! deprecated from 9.1 on. It is half a megabyte.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The socket, in the machine's directory.
const SOCKET: &str = "state.sock";
/// Bytes that are copied at once.
const PIECE: usize = 1 << 16;
/// How often who waits looks at whether to go on.
const SLICE: Duration = Duration::from_millis(100);

/// Looked at while nothing happens; its error ends the copying.
pub(super) type GoOn<'a, E> = &'a mut dyn FnMut() -> Result<(), E>;

/// Where a machine's state goes through.
#[derive(Debug)]
pub(super) struct StateSocket(PathBuf);

impl StateSocket {
    /// The socket of the machine whose directory this is.
    pub fn beneath(scratch: &Path) -> StateSocket {
        StateSocket(scratch.join(SOCKET))
    }

    /// What QEMU calls it.
    pub fn uri(&self) -> String {
        format!("unix:{}", self.0.display())
    }

    /// Listens for QEMU, which connects to write a state.
    pub fn listen(&self) -> io::Result<UnixListener> {
        let listener = UnixListener::bind(&self.0)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    }

    /// Connects to QEMU, which listens to read a state.
    pub fn connect(&self) -> io::Result<UnixStream> {
        UnixStream::connect(&self.0)
    }
}

/// Writes to `file` what QEMU sends, until it hangs up: QEMU's monitor says whether that was all of it.
pub(super) fn receive<E: From<io::Error>>(listener: &UnixListener, file: &Path, go_on: GoOn<'_, E>) -> Result<(), E> {
    let mut stream = loop {
        match listener.accept() {
            Ok((stream, _)) => break stream,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        go_on()?;
        std::thread::sleep(Duration::from_millis(1));
    };
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(SLICE))?;
    let mut file = File::create(file)?;
    let mut piece = vec![0; PIECE];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(count) => file.write_all(&piece[..count])?,
            Err(error) if is_pause(&error) => {}
            Err(error) => return Err(error.into()),
        }
        go_on()?;
    }
}

/// Sends `file` to QEMU. One that hangs up before the end has a reason, which its monitor or its error output shows.
pub(super) fn send<E: From<io::Error>>(stream: &mut UnixStream, file: &Path, go_on: GoOn<'_, E>) -> Result<(), E> {
    stream.set_write_timeout(Some(SLICE))?;
    let mut file = File::open(file)?;
    let mut piece = vec![0; PIECE];
    loop {
        let count = file.read(&mut piece)?;
        if count == 0 {
            return Ok(());
        }
        let mut left = &piece[..count];
        while !left.is_empty() {
            match stream.write(left) {
                Ok(written) => left = &left[written..],
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                Err(error) if is_pause(&error) => {}
                Err(error) => return Err(error.into()),
            }
            go_on()?;
        }
    }
}

fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More than fits into a socket at once.
    const STATE: usize = 3 << 20;

    fn forever() -> Result<(), io::Error> {
        Ok(())
    }

    #[test]
    fn state_gets_through_whole_in_both_directions() {
        let folder = tempfile::tempdir().expect("a folder");
        let state: Vec<u8> = (0..STATE).map(|at| (at % 251) as u8).collect();
        let (saved, socket) = (folder.path().join("saved"), StateSocket::beneath(folder.path()));
        assert!(socket.uri().starts_with("unix:/"), "{}", socket.uri());
        let listener = socket.listen().expect("listens");
        std::thread::scope(|scope| {
            let qemu = scope.spawn(|| socket.connect().expect("connects").write_all(&state));
            receive(&listener, &saved, &mut forever).expect("receives");
            qemu.join().expect("ends").expect("writes");
        });
        assert!(std::fs::read(&saved).expect("reads") == state);
        drop(listener);
        std::fs::remove_file(folder.path().join(SOCKET)).expect("removes");
        // QEMU's listener blocks.
        let qemu = UnixListener::bind(folder.path().join(SOCKET)).expect("listens");
        let read = std::thread::scope(|scope| {
            let read = scope.spawn(|| {
                let mut all = Vec::new();
                qemu.accept().expect("accepts").0.read_to_end(&mut all).expect("reads");
                all
            });
            let mut stream = socket.connect().expect("connects");
            send(&mut stream, &saved, &mut forever).expect("sends");
            drop(stream);
            read.join().expect("ends")
        });
        assert!(read == state);
    }

    #[test]
    fn qemu_that_does_not_connect_read_or_end_is_given_up() {
        let folder = tempfile::tempdir().expect("a folder");
        let (saved, socket) = (folder.path().join("saved"), StateSocket::beneath(folder.path()));
        let mut give_up = || Err(io::Error::other("QEMU ended"));
        let listener = socket.listen().expect("listens");
        let gone = receive(&listener, &saved, &mut give_up).expect_err("nobody connects");
        assert_eq!(gone.to_string(), "QEMU ended");
        let silent = socket.connect().expect("connects");
        receive(&listener, &saved, &mut give_up).expect_err("nothing comes");
        let (deaf, _) = (socket.connect().expect("connects"), silent);
        std::fs::write(&saved, vec![1; STATE]).expect("writes");
        let mut deaf = deaf;
        send(&mut deaf, &saved, &mut give_up).expect_err("nothing is read");
    }

    #[test]
    fn qemu_that_hangs_up_is_asked_for_its_reason_instead() {
        let folder = tempfile::tempdir().expect("a folder");
        let (saved, socket) = (folder.path().join("saved"), StateSocket::beneath(folder.path()));
        let listener = socket.listen().expect("listens");
        let mut stream = socket.connect().expect("connects");
        drop(listener.accept().expect("accepts"));
        std::fs::write(&saved, vec![1; STATE]).expect("writes");
        send(&mut stream, &saved, &mut forever).expect("is no failure of its own");
    }
}
