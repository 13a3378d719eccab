//! [`Lines`]: the lines of an output that comes in pieces, without colours.

/// What is longer is cut: no harness writes such a line.
const LONGEST: usize = 4096;

/// The lines of an output that comes in pieces.
#[derive(Debug, Default)]
pub(super) struct Lines {
    open: Vec<u8>,
}

impl Lines {
    /// Takes a piece, and gives each line that it ends.
    pub fn push(&mut self, bytes: &[u8], take: &mut dyn FnMut(&str)) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = LONGEST.saturating_sub(self.open.len());
            self.open.extend(&piece[..piece.len().min(room)]);
            if piece.ends_with(b"\n") {
                self.end(take);
            }
        }
    }

    /// Gives what has come since the last line.
    pub fn end(&mut self, take: &mut dyn FnMut(&str)) {
        let line = std::mem::take(&mut self.open);
        if !line.is_empty() {
            let text = String::from_utf8_lossy(&line);
            take(plain(text.trim_end_matches(['\n', '\r'])).as_str());
        }
    }
}

/// A line without the sequences that colour it.
fn plain(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("\x1b[") {
        text += &rest[..at];
        let after = &rest[at + 2..];
        match after.find(|c: char| !c.is_ascii_digit() && c != ';') {
            Some(end) if after[end..].starts_with('m') => rest = &after[end + 1..],
            _ => {
                text += &rest[at..at + 2];
                rest = after;
            }
        }
    }
    text + rest
}
