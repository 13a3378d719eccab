//! [`Channel`]: the host's end of the data channel.

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::{Deserialize, Serialize};

use super::compose::{DATA_SOCKET, SERIAL_SOCKET};
use crate::protocol::{FrameReader, GuestMessage, ProtocolError, encode};

/// How often a waiting host looks at whether it should stop.
const SLICE: Duration = Duration::from_millis(100);

/// The sockets QEMU will connect to.
#[derive(Debug)]
pub struct Listeners([(Port, UnixListener); 2]);

impl Listeners {
    /// Binds both sockets in the machine's folder.
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

/// What came of waiting.
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

/// The host's end of the data channel. The guest may answer on the virtio port or on the serial port; the first one to carry a
/// whole message is the channel from then on.
#[derive(Debug, Default)]
pub struct Channel {
    listeners: Option<Listeners>,
    streams: Vec<Connection>,
    chosen: Option<Port>,
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

    /// Takes a port before the guest has spoken: it is known to listen there. QEMU connects before it runs a machine.
    pub fn choose(&mut self, port: Port, deadline: Instant) -> io::Result<()> {
        while !self.streams.iter().any(|connection| connection.port == port) {
            if Instant::now() > deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.accept()?;
            std::thread::sleep(Duration::from_millis(1));
        }
        self.prefer(port);
        Ok(())
    }

    /// The other stream stays open, or QEMU would complain; nobody reads it any more.
    fn prefer(&mut self, port: Port) {
        self.chosen = Some(port);
        self.streams.sort_by_key(|connection| connection.port != port);
    }

    /// Waits for the next message until `deadline`, or until `stop` says so.
    pub fn receive(&mut self, deadline: Instant, stop: &dyn Fn() -> bool) -> Received {
        loop {
            match self.take_message() {
                Ok(Some((message, blob))) => return Received::Message(message, blob),
                Ok(None) => {}
                Err(error) => return Received::Garbage(error.to_string()),
            }
            if stop() {
                return Received::Stopped;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Received::Silence;
            }
            match self.read_some(left.min(SLICE)) {
                Ok(()) => {}
                Err(_) => return Received::Closed,
            }
        }
    }

    /// Sends a message. The guest must have spoken first.
    pub fn send<T: Serialize>(&mut self, message: &T, blob: &[u8]) -> Result<(), ProtocolError> {
        let frame = encode(message, blob)?;
        let first = self.streams.first_mut().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))?;
        let stream = &mut first.stream;
        stream.set_nonblocking(false)?;
        let sent = stream.write_all(&frame);
        stream.set_nonblocking(true)?;
        Ok(sent?)
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

    /// Accepts and reads what there is, waiting at most `limit` for it. An error means that the channel is closed.
    fn read_some(&mut self, limit: Duration) -> io::Result<()> {
        self.accept()?;
        let readers = if self.chosen.is_some() { 1 } else { self.streams.len() };
        if readers == 0 {
            std::thread::sleep(limit.min(Duration::from_millis(2)));
            return Ok(());
        }
        let mut waiting: Vec<PollFd<'_>> =
            self.streams[..readers].iter().map(|one| PollFd::new(&one.stream, PollFlags::IN)).collect();
        let limit = Timespec { tv_sec: 0, tv_nsec: i64::from(limit.min(SLICE).subsec_nanos()) };
        match poll(&mut waiting, Some(&limit)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut chunk = vec![0; 1 << 16];
        for Connection { stream, reader, .. } in &mut self.streams[..readers] {
            match stream.read(&mut chunk) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => reader.push(&chunk[..read]),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn accept(&mut self) -> io::Result<()> {
        let Some(Listeners(listeners)) = &self.listeners else { return Ok(()) };
        for (port, listener) in listeners {
            match listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(true)?;
                    self.streams.push(Connection { port: *port, stream, reader: FrameReader::default() });
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

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(300)
    }

    #[test]
    fn guest_is_heard_on_either_port_and_answered_on_the_same() {
        for use_serial in [false, true] {
            let (_folder, mut channel, mut data, mut serial) = connected();
            let guest = if use_serial { &mut serial } else { &mut data };
            guest.write_all(&encode(&hello(), b"log").expect("encodes")).expect("writes");
            let received = channel.receive(soon(), &|| false);
            assert!(
                matches!(received, Received::Message(ref message, ref blob) if *message == hello() && blob == b"log")
            );
            channel.send(&hello(), b"").expect("sends");
            let mut first = [0; 4];
            guest.read_exact(&mut first).expect("is answered");
            assert_eq!(first, *b"CMX1");
        }
    }

    #[test]
    fn silence_close_garbage_and_stop_are_told_apart() {
        let (_folder, mut channel, mut data, _serial) = connected();
        assert!(matches!(channel.receive(soon(), &|| false), Received::Silence));
        assert!(matches!(channel.receive(soon(), &|| true), Received::Stopped));
        data.write_all(b"[    0.000000] Linux version").expect("writes");
        assert!(matches!(channel.receive(soon(), &|| false), Received::Garbage(_)));
        let (_folder, mut channel, data, _serial) = connected();
        assert!(matches!(channel.receive(soon(), &|| false), Received::Silence));
        drop(data);
        assert!(matches!(channel.receive(soon(), &|| false), Received::Closed));
    }
}
