//! [`XmlEvents`]: XML of others, one element after the other; none may be larger than the memory for names of archives.

use std::io::{self, BufReader, Read};

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use crate::source::archive::bounded::{HeaderRoom, Headers};
use crate::source::archive::tarball::damaged;

/// Elements within each other.
const DEEPEST: usize = 32;

/// What comes next. Names are without their prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Begin { name: String, attributes: Vec<(String, String)> },
    Text(String),
    End(String),
}

/// A stream of elements.
pub(super) struct XmlEvents<R: Read> {
    reader: Reader<BufReader<Headers<R>>>,
    room: HeaderRoom,
    buffer: Vec<u8>,
    depth: usize,
    /// The end of an element that has no content.
    closing: Option<String>,
}

impl Node {
    /// The value of an attribute.
    pub fn attribute(&self, wanted: &str) -> Option<&str> {
        let Node::Begin { attributes, .. } = self else { return None };
        attributes.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
    }
}

impl<R: Read> XmlEvents<R> {
    /// Of this stream, unpacked.
    pub fn of(stream: R) -> XmlEvents<R> {
        let (room, headers) = HeaderRoom::of(stream);
        let mut reader = Reader::from_reader(BufReader::new(headers));
        reader.config_mut().trim_text(true);
        XmlEvents { reader, room, buffer: Vec::new(), depth: 0, closing: None }
    }

    /// The next one; `None` at the end.
    pub fn next(&mut self) -> io::Result<Option<Node>> {
        if let Some(name) = self.closing.take() {
            self.depth -= 1;
            return Ok(Some(Node::End(name)));
        }
        loop {
            self.room.headers();
            self.buffer.clear();
            let event = self.reader.read_event_into(&mut self.buffer).map_err(damaged)?;
            let node = match event {
                Event::Eof if self.depth == 0 => return Ok(None),
                Event::Eof => return Err(damaged("it is truncated")),
                Event::Start(start) => begin(&start)?,
                Event::Empty(start) => {
                    let node = begin(&start)?;
                    self.closing = Some(local(start.local_name().as_ref()));
                    node
                }
                Event::End(end) => Node::End(local(end.local_name().as_ref())),
                Event::Text(text) => Node::Text(text.decode().map_err(damaged)?.into_owned()),
                Event::CData(text) => Node::Text(text.decode().map_err(damaged)?.into_owned()),
                Event::GeneralRef(reference) => {
                    let name = reference.decode().map_err(damaged)?.into_owned();
                    match reference.resolve_char_ref().map_err(damaged)? {
                        Some(c) => Node::Text(c.to_string()),
                        None => Node::Text(
                            quick_xml::escape::resolve_predefined_entity(&name)
                                .ok_or_else(|| damaged(format!("it uses an undeclared XML entity `{name}`")))?
                                .to_owned(),
                        ),
                    }
                }
                Event::DocType(_) => return Err(damaged("it declares XML entities")),
                _ => continue,
            };
            match node {
                Node::Begin { .. } => self.depth += 1,
                Node::End(_) => self.depth = self.depth.saturating_sub(1),
                Node::Text(_) => {}
            }
            if self.depth > DEEPEST {
                return Err(damaged(format!("elements are nested more than {DEEPEST} levels deep")));
            }
            return Ok(Some(node));
        }
    }

    /// The text up to the end of the element that has just begun; elements within it are passed over.
    pub fn text(&mut self) -> io::Result<String> {
        let (mut text, end) = (String::new(), self.depth);
        while let Some(node) = self.next()? {
            match node {
                Node::Text(more) if text.len() + more.len() <= 1 << 16 => text.push_str(&more),
                Node::Text(_) => return Err(damaged("it has a text node of more than 65536 bytes")),
                Node::End(_) if self.depth < end => break,
                _ => {}
            }
        }
        Ok(text)
    }
}

fn local(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

fn begin(start: &BytesStart<'_>) -> io::Result<Node> {
    let mut attributes = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(damaged)?;
        let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(damaged)?.into_owned();
        attributes.push((local(attribute.key.local_name().as_ref()), value));
    }
    Ok(Node::Begin { name: local(start.local_name().as_ref()), attributes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_texts_and_references_are_read() {
        let mut events = XmlEvents::of(&b"<?xml version='1.0'?><a:x k='1&amp;2'><y/>q&amp;r&#33;<z>no</z></a:x>"[..]);
        let first = events.next().unwrap().unwrap();
        assert_eq!(first.attribute("k"), Some("1&2"));
        assert_eq!(events.text().unwrap(), "q&r!no");
        assert_eq!(events.next().unwrap(), None);
    }

    #[test]
    fn what_would_fill_the_memory_is_refused() {
        let all = |stream: &mut dyn Read| {
            let mut events = XmlEvents::of(stream);
            loop {
                match events.next() {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("it was taken"),
                    Err(error) => return error.to_string(),
                }
            }
        };
        let endless = |begin: &'static [u8]| begin.chain(io::repeat(b'x').take(64 << 30));
        for begin in [&b"<a>"[..], b"<a k='", b"<", b"<!--"] {
            let error = all(&mut endless(begin));
            assert!(error.contains("more than 1048576 bytes"), "{error}");
        }
        let nested = "<a>".repeat(1 << 20);
        assert!(all(&mut nested.as_bytes()).contains("nested more than"));
        assert!(all(&mut &b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"[..]).contains("declares XML entities"));
        assert!(all(&mut &b"<a><b></b>"[..]).contains("truncated"));
    }
}
