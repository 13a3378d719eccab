//! [`linux`]: the kernel in a unified kernel image (UKI), an EFI program that holds kernel, initial RAM disk and command line as sections.
//!
//! The sections are described in the "UKI" specification of the UAPI group.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use crate::bytes::{u16_at, u32_at};

/// The headers of an image lie in its first bytes.
const HEAD: u64 = 64 << 10;
/// Sections that are looked at.
const MOST_SECTIONS: usize = 96;

/// Where the kernel lies, if the bytes begin a unified kernel image.
pub(crate) fn linux(head: &[u8]) -> Option<Range<usize>> {
    section(head, b".linux\0\0")
}

/// The kernel, if the bytes are a unified kernel image.
pub(crate) fn linux_of(image: &[u8]) -> Option<&[u8]> {
    image.get(linux(image)?)
}

/// Writes the initial RAM disk of a unified kernel image to a file, and says whether there is one.
pub(crate) fn take_initrd(image: &Path, to: &Path) -> io::Result<bool> {
    let mut file = File::open(image)?;
    let mut head = Vec::new();
    file.by_ref().take(HEAD).read_to_end(&mut head)?;
    let Some(place) = linux(&head).and_then(|_| section(&head, b".initrd\0")) else { return Ok(false) };
    file.seek(SeekFrom::Start(place.start as u64))?;
    io::copy(&mut file.take(place.len() as u64), &mut File::create(to)?)?;
    Ok(true)
}

fn section(head: &[u8], name: &[u8; 8]) -> Option<Range<usize>> {
    let header = head.starts_with(b"MZ").then(|| u32_at(head, 0x3c)).flatten()? as usize;
    if head.get(header..header.checked_add(4)?)? != b"PE\0\0" {
        return None;
    }
    let count = usize::from(u16_at(head, header + 6)?).min(MOST_SECTIONS);
    let first = header + 24 + usize::from(u16_at(head, header + 20)?);
    let found = (0..count).map(|at| first + 40 * at).find(|at| head.get(*at..*at + 8) == Some(name))?;
    let (in_memory, in_file) = (u32_at(head, found + 8)? as usize, u32_at(head, found + 16)? as usize);
    let start = u32_at(head, found + 20)? as usize;
    // The file pads what is in memory, if that is known.
    let length = if in_memory == 0 { in_file } else { in_memory.min(in_file) };
    Some(start..start.checked_add(length)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program with these sections behind its header.
    fn program(sections: &[(&[u8; 8], &[u8])]) -> Vec<u8> {
        let mut bytes = b"MZ".to_vec();
        bytes.resize(0x40, 0);
        bytes[0x3c] = 0x40;
        bytes.extend(b"PE\0\0\x64\x86");
        bytes.extend((sections.len() as u16).to_le_bytes());
        bytes.extend([0; 12]);
        bytes.extend(8u16.to_le_bytes());
        bytes.extend([0; 2 + 8]);
        let mut start = bytes.len() + 40 * sections.len();
        for (name, content) in sections {
            bytes.extend(**name);
            let padded = content.len().next_multiple_of(16);
            for word in [content.len(), 0, padded, start, 0, 0, 0, 0] {
                bytes.extend((word as u32).to_le_bytes());
            }
            start += padded;
        }
        for (_, content) in sections {
            bytes.extend(*content);
            bytes.resize(bytes.len() + content.len().next_multiple_of(16) - content.len(), 0);
        }
        bytes
    }

    #[test]
    fn kernel_and_initial_ram_disk_are_taken_without_their_padding() {
        let image = program(&[(b".osrel\0\0", b"ID=x"), (b".linux\0\0", b"a kernel"), (b".initrd\0", b"a disk")]);
        assert_eq!(linux_of(&image), Some(&b"a kernel"[..]));
        let folder = tempfile::tempdir().unwrap();
        let (file, disk) = (folder.path().join("image"), folder.path().join("initrd"));
        std::fs::write(&file, &image).unwrap();
        assert!(take_initrd(&file, &disk).unwrap());
        assert_eq!(std::fs::read(&disk).unwrap(), b"a disk");
        std::fs::write(&file, program(&[(b".text\0\0\0", b"x")])).unwrap();
        assert!(!take_initrd(&file, &disk).unwrap());
    }

    #[test]
    fn damage_is_no_image_and_never_a_panic() {
        let image = program(&[(b".linux\0\0", b"a kernel")]);
        for end in 0..image.len() {
            let _ = linux_of(&image[..end]);
        }
        for at in 0..image.len() {
            let mut broken = image.clone();
            broken[at] ^= 0xff;
            let _ = linux_of(&broken);
        }
        assert_eq!(linux_of(b"MZ"), None);
    }
}
