//! [`Channel`]: the host's end of the data channel.

use std::io::{self, Read, Write};
use std::os::fd::BorrowedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::{Deserialize, Serialize};

use super::compose::{DATA_SOCKET, SERIAL_SOCKET};
use crate::protocol::{FrameReader, GuestMessage, ProtocolError, encode};

/// How often a waiting host looks at whether it should stop.
const SLICE: Duration = Duration::from_millis(100);
/// Bytes a second that the slowest guest takes: an emulated serial port manages many times as many.
const SLOWEST: u64 = 16 << 10;

/// The sockets QEMU will connect to.
#[derive(Debug)]
pub struct Listeners([(Port, UnixListener); 2]);

impl Listeners {
    /// Binds both sockets in the machine's directory.
    pub fn bind(scratch: &Path) -> io::Result<Self> {
        let bind = |port, name| {
            let listener = UnixListener::bind(scratch.join(name))?;
            listener.set_nonblocking(true)?;
            Ok::<_, io::Error>((port, listener))
        };
        Ok(Listeners([bind(Port::Virtio, DATA_SOCKET)?, bind(Port::Serial, SERIAL_SOCKET)?]))
    }
}

/// A way from guest to host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Port {
    /// The virtio port.
    Virtio,
    /// The second ISA serial port.
    Serial,
}

/// The outcome of waiting.
#[derive(Debug)]
pub enum Received {
    /// A message with its blob.
    Message(GuestMessage, Vec<u8>),
    /// Nothing until the deadline.
    Silence,
    /// The other end is gone.
    Closed,
    /// Something that is no message.
    Garbage(String),
    /// The user wants to stop.
    Stopped,
}

/// Why a message could not be sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The channel is broken.
    #[error(transparent)]
    Broken(#[from] ProtocolError),
    /// The guest no longer takes anything.
    #[error("the guest accepts no data")]
    Stuck,
    /// The user wants to stop.
    #[error("stopped by the user")]
    Stopped,
}

/// The host's end of the data channel. The guest may answer on the virtio port or on the serial port; the first one to carry a
/// whole message is the channel from then on.
#[derive(Debug, Default)]
pub struct Channel {
    listeners: Option<Listeners>,
    streams: Vec<Connection>,
    chosen: Option<Port>,
    received: u64,
}

#[derive(Debug)]
struct Connection {
    port: Port,
    stream: UnixStream,
    reader: FrameReader,
}

impl Channel {
    /// A channel that waits for QEMU to connect.
    pub fn new(listeners: Listeners) -> Self {
        Channel { listeners: Some(listeners), ..Channel::default() }
    }

    /// The port on which the guest answered.
    pub fn port(&self) -> Option<Port> {
        self.chosen
    }

    /// How many bytes have come so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Takes a port before the guest has spoken: it is known to listen there. QEMU connects before it runs a machine.
    pub fn choose(&mut self, port: Port, deadline: Instant) -> io::Result<()> {
        loop {
            self.accept()?;
            if self.streams.iter().any(|connection| connection.port == port) {
                self.prefer(port);
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The other stream stays open, or QEMU would complain; it is no longer read.
    fn prefer(&mut self, port: Port) {
        self.chosen = Some(port);
        self.streams.sort_by_key(|connection| connection.port != port);
    }

    /// Waits for the next message until `deadline`, or until `stop` says so. Silence may end early where there is something to read
    /// from `beside`.
    pub fn receive(&mut self, deadline: Instant, stop: &dyn Fn() -> bool, beside: Option<BorrowedFd<'_>>) -> Received {
        loop {
            // First of all: a guest that has always something to say must not keep the user from stopping it.
            if stop() {
                return Received::Stopped;
            }
            match self.take_message() {
                Ok(Some((message, blob))) => return Received::Message(message, blob),
                Ok(None) => {}
                Err(error) => return Received::Garbage(error.to_string()),
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Received::Silence;
            }
            match self.read_some(left.min(SLICE), beside) {
                Ok(false) => {}
                Ok(true) if self.streams.iter().all(|one| one.reader.is_empty()) => return Received::Silence,
                Ok(true) => {}
                Err(_) => return Received::Closed,
            }
        }
    }

    /// Sends a message. The guest must have spoken first. A guest that takes not a byte for as long as `patience` is given up, and so is
    /// one that takes all of it too slowly: it must not hold up the host for ever, and a large object over a slow port takes its time.
    pub fn send<T: Serialize>(
        &mut self,
        message: &T,
        blob: &[u8],
        patience: Duration,
        stop: &dyn Fn() -> bool,
    ) -> Result<(), SendError> {
        let frame = encode(message, blob)?;
        let broken = |error: io::Error| SendError::Broken(error.into());
        let first = self.streams.first_mut().ok_or_else(|| broken(io::ErrorKind::NotConnected.into()))?;
        let stream = &mut first.stream;
        let (mut left, mut progress) = (frame.as_slice(), Instant::now());
        let deadline = progress + patience + Duration::from_secs(frame.len() as u64 / SLOWEST);
        while !left.is_empty() {
            match stream.write(left) {
                Ok(sent) => {
                    (left, progress) = (&left[sent..], Instant::now());
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(broken(error)),
            }
            if stop() {
                return Err(SendError::Stopped);
            }
            let left_in_all = deadline.saturating_duration_since(Instant::now());
            let wait = patience.saturating_sub(progress.elapsed()).min(left_in_all).min(SLICE);
            if wait.is_zero() {
                return Err(SendError::Stuck);
            }
            wait_for(&mut [PollFd::new(stream, PollFlags::OUT)], wait).map_err(broken)?;
        }
        Ok(())
    }

    fn take_message(&mut self) -> Result<Option<(GuestMessage, Vec<u8>)>, ProtocolError> {
        for connection in &mut self.streams {
            if let Some(message) = connection.reader.take_message()? {
                if self.chosen.is_none() {
                    let port = connection.port;
                    self.prefer(port);
                }
                return Ok(Some(message));
            }
        }
        Ok(None)
    }

    /// Accepts and reads what there is, waiting at most `limit` for it. An error means that the channel is closed. Returns whether there
    /// is something to read from `beside`.
    fn read_some(&mut self, limit: Duration, beside: Option<BorrowedFd<'_>>) -> io::Result<bool> {
        self.accept()?;
        let readers = if self.chosen.is_some() { 1 } else { self.streams.len() };
        if readers == 0 {
            std::thread::sleep(limit.min(Duration::from_millis(2)));
            return Ok(false);
        }
        let mut waiting: Vec<PollFd<'_>> =
            self.streams[..readers].iter().map(|one| PollFd::new(&one.stream, PollFlags::IN)).collect();
        waiting.extend(beside.map(|beside| PollFd::from_borrowed_fd(beside, PollFlags::IN)));
        wait_for(&mut waiting, limit)?;
        let beside = beside.is_some() && waiting.last().is_some_and(|last| !last.revents().is_empty());
        let mut chunk = vec![0; 1 << 16];
        for Connection { stream, reader, .. } in &mut self.streams[..readers] {
            match stream.read(&mut chunk) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    self.received += read as u64;
                    reader.push(&chunk[..read]);
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(beside)
    }

    fn accept(&mut self) -> io::Result<()> {
        let Some(Listeners(listeners)) = &self.listeners else { return Ok(()) };
        for (port, listener) in listeners {
            match listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(true)?;
                    self.streams.push(Connection { port: *port, stream, reader: FrameReader::for_host() });
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        if self.streams.len() == listeners.len() {
            self.listeners = None;
        }
        Ok(())
    }
}

/// Waits until one of them is ready, at most for `limit` and for [`SLICE`].
fn wait_for(what: &mut [PollFd<'_>], limit: Duration) -> io::Result<()> {
    let limit = Timespec { tv_sec: 0, tv_nsec: i64::from(limit.min(SLICE).subsec_nanos()) };
    match poll(what, Some(&limit)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connected() -> (tempfile::TempDir, Channel, UnixStream, UnixStream) {
        let folder = tempfile::tempdir().expect("a folder");
        let listeners = Listeners::bind(folder.path()).expect("binds");
        let data = UnixStream::connect(folder.path().join(DATA_SOCKET)).expect("connects");
        let serial = UnixStream::connect(folder.path().join(SERIAL_SOCKET)).expect("connects");
        (folder, Channel::new(listeners), data, serial)
    }

    fn hello() -> GuestMessage {
        GuestMessage::LoadDone { took_ms: 7 }
    }

    const PATIENCE: Duration = Duration::from_millis(300);

    /// More than a socket holds.
    const LARGE: usize = 4 << 20;

    /// A channel whose guest has spoken on its virtio port.
    fn in_touch() -> (tempfile::TempDir, Channel, [UnixStream; 2]) {
        let (folder, mut channel, mut data, serial) = connected();
        data.write_all(&encode(&hello(), b"").expect("encodes")).expect("writes");
        assert!(matches!(channel.receive(soon(), &|| false, None), Received::Message(..)));
        (folder, channel, [data, serial])
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(300)
    }

    #[test]
    fn guest_is_heard_on_either_port_and_answered_on_the_same() {
        for use_serial in [false, true] {
            let (_folder, mut channel, mut data, mut serial) = connected();
            let guest = if use_serial { &mut serial } else { &mut data };
            guest.write_all(&encode(&hello(), b"log").expect("encodes")).expect("writes");
            let received = channel.receive(soon(), &|| false, None);
            assert!(
                matches!(received, Received::Message(ref message, ref blob) if *message == hello() && blob == b"log")
            );
            channel.send(&hello(), b"", PATIENCE, &|| false).expect("sends");
            let mut first = [0; 4];
            guest.read_exact(&mut first).expect("is answered");
            assert_eq!(first, *b"CMX1");
        }
    }

    #[test]
    fn guest_that_takes_nothing_is_given_up() {
        let (_folder, mut channel, _guest) = in_touch();
        let (begin, blob) = (Instant::now(), vec![1; LARGE]);
        let error = channel.send(&hello(), &blob, PATIENCE, &|| false).expect_err("nobody reads");
        assert!(matches!(error, SendError::Stuck), "{error}");
        assert!(begin.elapsed() >= PATIENCE, "{:?}", begin.elapsed());
        let error = channel.send(&hello(), &blob, PATIENCE * 1000, &|| true).expect_err("the user stops");
        assert!(matches!(error, SendError::Stopped), "{error}");
    }

    #[test]
    fn guest_that_is_slow_gets_everything_and_one_that_is_gone_is_noticed() {
        let (_folder, mut channel, [mut data, _serial]) = in_touch();
        let blob: Vec<u8> = (0..LARGE).map(|at| (at / 1000) as u8).collect();
        let frame = encode(&hello(), &blob).expect("encodes");
        let guest = std::thread::spawn(move || {
            let mut taken = vec![0; frame.len()];
            // Longer in all than the host's patience, never so long at once.
            for piece in taken.chunks_mut(frame.len() / 8) {
                std::thread::sleep(PATIENCE / 4);
                data.read_exact(piece).expect("reads");
            }
            taken == frame
        });
        channel.send(&hello(), &blob, PATIENCE, &|| false).expect("sends");
        assert!(guest.join().expect("ends"));
        let error = channel.send(&hello(), &blob, PATIENCE, &|| false).expect_err("it hung up");
        assert!(matches!(error, SendError::Broken(_)), "{error}");
    }

    #[test]
    fn silence_close_garbage_and_stop_are_told_apart() {
        let (_folder, mut channel, mut data, _serial) = connected();
        assert!(matches!(channel.receive(soon(), &|| false, None), Received::Silence));
        assert!(matches!(channel.receive(soon(), &|| true, None), Received::Stopped));
        data.write_all(b"[    0.000000] Linux version").expect("writes");
        assert!(matches!(channel.receive(soon(), &|| false, None), Received::Garbage(_)));
        let (_folder, mut channel, data, _serial) = connected();
        assert!(matches!(channel.receive(soon(), &|| false, None), Received::Silence));
        drop(data);
        assert!(matches!(channel.receive(soon(), &|| false, None), Received::Closed));
    }
}
