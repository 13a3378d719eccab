//! Frames: how messages and blobs lie in a stream of bytes; see [`super`].

use std::io::{Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::BUILD_ID;

const MAGIC: [u8; 4] = *b"CMX1";
const PREFIX: usize = 12;
/// No header comes near this; more means that the stream is garbage.
const MAX_HEADER: usize = 64 << 20;
/// No object is nearly as large.
const MAX_BLOB: usize = 1 << 30;
/// What the host takes from a guest, which is not trusted: a header has a program's warnings at most, a blob its verifier log.
const MAX_HEADER_FROM_GUEST: usize = 16 << 20;
/// Longer logs come without their beginning.
pub const MAX_BLOB_FROM_GUEST: usize = 256 << 20;

/// What can go wrong with the stream.
#[derive(Debug, thiserror::Error)]
pub enum ProtocolError {
    /// The stream ended or broke.
    #[error("the data channel failed: {0}")]
    Io(#[from] std::io::Error),
    /// The bytes are not a frame.
    #[error("the data channel carries garbage: {0}")]
    Garbage(String),
    /// The guest was built from other messages.
    #[error("the guest is of build `{}`, but the host is of build `{BUILD_ID}`", .0.escape_debug())]
    OtherBuild(String),
}

/// What every build's hello has.
#[derive(Deserialize)]
struct Greeting {
    hello: Build,
}

#[derive(Deserialize)]
struct Build {
    build: String,
}

/// Puts a message and its blob into one frame.
pub fn encode<T: Serialize>(message: &T, blob: &[u8]) -> Result<Vec<u8>, ProtocolError> {
    let header = serde_json::to_vec(message).map_err(|error| ProtocolError::Garbage(error.to_string()))?;
    let too_long = |what| ProtocolError::Garbage(format!("{what} too long to send"));
    let header_len = u32::try_from(header.len()).map_err(|_| too_long("header"))?;
    let blob_len = u32::try_from(blob.len()).map_err(|_| too_long("blob"))?;
    let mut frame = Vec::with_capacity(PREFIX + header.len() + blob.len());
    frame.extend_from_slice(&MAGIC);
    frame.extend_from_slice(&header_len.to_le_bytes());
    frame.extend_from_slice(&blob_len.to_le_bytes());
    frame.extend_from_slice(&header);
    frame.extend_from_slice(blob);
    Ok(frame)
}

/// Writes one frame.
pub fn write_message<T: Serialize>(to: &mut impl Write, message: &T, blob: &[u8]) -> Result<(), ProtocolError> {
    to.write_all(&encode(message, blob)?)?;
    Ok(to.flush()?)
}

/// Reads one frame; blocks until it is complete.
pub fn read_message<T: DeserializeOwned>(from: &mut impl Read) -> Result<(T, Vec<u8>), ProtocolError> {
    let mut reader = FrameReader::for_guest();
    loop {
        let mut chunk = vec![0; reader.missing()];
        from.read_exact(&mut chunk)?;
        reader.push(&chunk);
        if let Some(message) = reader.take_message()? {
            return Ok(message);
        }
    }
}

/// Puts frames together from pieces, for a reader that must not block for ever.
#[derive(Debug)]
pub struct FrameReader {
    bytes: Vec<u8>,
    max_header: usize,
    max_blob: usize,
}

impl FrameReader {
    /// Reads what the host sends.
    pub fn for_guest() -> FrameReader {
        FrameReader { bytes: Vec::new(), max_header: MAX_HEADER, max_blob: MAX_BLOB }
    }

    /// Reads what a guest sends.
    pub fn for_host() -> FrameReader {
        FrameReader { bytes: Vec::new(), max_header: MAX_HEADER_FROM_GUEST, max_blob: MAX_BLOB_FROM_GUEST }
    }

    /// Takes the next piece of the stream.
    pub fn push(&mut self, piece: &[u8]) {
        self.bytes.extend_from_slice(piece);
    }

    /// Whether part of a frame is waiting for its rest.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// How many bytes are missing, at least, until the next frame (or its prefix) is complete.
    fn missing(&self) -> usize {
        let want = self.lengths().map_or(PREFIX, |(header, blob)| PREFIX + header + blob);
        want.saturating_sub(self.bytes.len())
    }

    fn lengths(&self) -> Option<(usize, usize)> {
        let word = |at: usize| Some(u32::from_le_bytes(self.bytes.get(at..at + 4)?.try_into().ok()?) as usize);
        Some((word(4)?, word(8)?))
    }

    /// Takes the next frame out, if it is complete.
    pub fn take_message<T: DeserializeOwned>(&mut self) -> Result<Option<(T, Vec<u8>)>, ProtocolError> {
        let Some((header_len, blob_len)) = self.lengths() else { return Ok(None) };
        if self.bytes[..4] == MAGIC && (header_len > self.max_header || blob_len > self.max_blob) {
            let sizes = format!("a message of {header_len} bytes with {blob_len} bytes of data exceeds the limit");
            return Err(ProtocolError::Garbage(sizes));
        }
        if self.bytes[..4] != MAGIC {
            let begin = String::from_utf8_lossy(&self.bytes[..self.bytes.len().min(80)]).into_owned();
            return Err(ProtocolError::Garbage(format!("{begin:?}")));
        }
        let end = PREFIX + header_len + blob_len;
        if self.bytes.len() < end {
            return Ok(None);
        }
        let header = &self.bytes[PREFIX..PREFIX + header_len];
        let message = serde_json::from_slice(header).map_err(|error| not_understood(header, &error))?;
        let blob = self.bytes[PREFIX + header_len..end].to_vec();
        self.bytes.drain(..end);
        Ok(Some((message, blob)))
    }
}

/// Why a header is no message: the most likely reason first.
fn not_understood(header: &[u8], error: &serde_json::Error) -> ProtocolError {
    match serde_json::from_slice::<Greeting>(header) {
        Ok(Greeting { hello: Build { build } }) if build != BUILD_ID => {
            ProtocolError::OtherBuild(build.chars().take(80).collect())
        }
        _ => ProtocolError::Garbage(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::HostMessage;
    use super::*;
    use crate::attach::Reach;

    fn message() -> HostMessage {
        HostMessage::Load {
            object: "naïve".into(),
            programs: vec!["a".into(), "b".into()],
            full_logs: false,
            visited: vec!["a".into()],
            setup: Box::default(),
            reach: Reach::Attach,
            extern_users: std::collections::BTreeMap::new(),
            loader: None,
            compared: false,
            brief: false,
            together: false,
        }
    }

    #[test]
    fn message_and_blob_survive_the_trip() {
        let frame = encode(&message(), b"\x7fELF").expect("encodes");
        let (back, blob): (HostMessage, _) = read_message(&mut frame.as_slice()).expect("reads");
        assert_eq!((back, blob.as_slice()), (message(), b"\x7fELF".as_slice()));
    }

    #[test]
    fn frames_are_put_together_from_any_pieces() {
        let mut stream = encode(&message(), b"one").expect("encodes");
        stream.extend(encode(&HostMessage::Shutdown, b"").expect("encodes"));
        for size in 1..stream.len() {
            let (mut reader, mut seen) = (FrameReader::for_guest(), Vec::new());
            for piece in stream.chunks(size) {
                reader.push(piece);
                while let Some((message, _)) = reader.take_message::<HostMessage>().expect("is a frame") {
                    seen.push(message);
                }
            }
            assert_eq!(seen, [message(), HostMessage::Shutdown]);
            assert!(reader.is_empty());
        }
    }

    #[test]
    fn garbage_is_named_not_waited_for() {
        let mut reader = FrameReader::for_guest();
        reader.push(b"Kernel panic - not syncing");
        let error = reader.take_message::<HostMessage>().expect_err("is garbage");
        assert!(error.to_string().contains("Kernel panic"), "{error}");
    }

    #[test]
    fn frame_that_is_too_large_is_refused_before_it_has_come() {
        for (header, blob) in [(MAX_HEADER_FROM_GUEST as u32 + 1, 0), (2, MAX_BLOB_FROM_GUEST as u32 + 1)] {
            let mut reader = FrameReader::for_host();
            reader.push(&[&MAGIC[..], &header.to_le_bytes(), &blob.to_le_bytes()].concat());
            let error = reader.take_message::<HostMessage>().expect_err("is too large");
            assert!(error.to_string().contains("exceeds the limit"), "{error}");
        }
    }

    #[test]
    fn stream_that_ends_early_is_an_error() {
        let frame = encode(&message(), b"x").expect("encodes");
        assert!(read_message::<HostMessage>(&mut &frame[..frame.len() - 1]).is_err());
    }

    #[test]
    fn guest_of_another_build_is_named_whatever_its_hello_has() {
        let mut reader = FrameReader::for_host();
        reader.push(&encode(&serde_json::json!({"hello": {"build": "0.0.1-0", "colour": "red"}}), &[]).unwrap());
        let error = reader.take_message::<crate::GuestMessage>().unwrap_err();
        assert!(matches!(&error, ProtocolError::OtherBuild(build) if build == "0.0.1-0"));
        assert!(error.to_string().contains(BUILD_ID) && error.to_string().lines().count() == 1, "{error}");
    }
}
