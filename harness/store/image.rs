//! [`Image`]: what a kernel image holds: its release, the uncompressed kernel inside, its BTF, and how to boot it.
//!
//! A bzImage is a small program that unpacks the kernel proper, an ELF file. Without hardware virtualisation that costs
//! seconds at each boot, so the ELF is unpacked once, here. The header is described in the kernel's
//! `Documentation/arch/x86/boot.rst`.

pub(crate) mod unified;

use crate::bytes::{u16_at, u32_at};
use crate::protocol::facts::build_id_text;
use std::borrow::Cow;
use std::io::Read;

use object::elf::{ELF_NOTE_GNU, NT_GNU_BUILD_ID, NoteType};
use object::read::elf::{ElfFile64, ProgramHeader};
use object::{Endianness, Object, ObjectSection};

/// The largest kernel that is unpacked; real ones are below 100 MB, so more is damage or malice.
const UNPACKED_LIMIT: u64 = 1 << 30;

/// No config is larger.
const CONFIG_LIMIT: u64 = 4 << 20;

/// The size of an uncompressed lz4 block of the kernel's own (legacy) format.
const LZ4_BLOCK: usize = 8 << 20;

/// The type of the ELF note `Xen` that holds the entry point QEMU's direct boot needs.
const XEN_ELFNOTE_PHYS32_ENTRY: NoteType = NoteType(18);

/// Why an image is of no use.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ImageError {
    #[error("neither a bzImage nor an x86-64 ELF vmlinux")]
    Unknown,
    #[error("the kernel is for {0}, but corematrix boots only x86-64")]
    OtherMachine(&'static str),
    #[error("the image is truncated: {0}")]
    Truncated(&'static str),
    #[error("cannot unpack the kernel in the image: {0}")]
    Unpack(String),
    #[error("the kernel in the image unpacks to {0} bytes, too many for a kernel")]
    TooLarge(u64),
    #[error("the kernel in the image is not a valid ELF file: {0}")]
    Elf(String),
    #[error("the image contains no release string")]
    NoRelease,
    #[error("the vmlinux has no PVH note (`CONFIG_PVH`), so QEMU cannot boot it; use the bzImage instead")]
    NoPvh,
}

/// An image, understood.
#[derive(Debug)]
pub(crate) struct Image<'data> {
    /// `uname -r`.
    pub release: String,
    /// The uncompressed kernel; `None` if it is compressed in a way that corematrix does not know.
    pub vmlinux: Option<Cow<'data, [u8]>>,
    /// Whether QEMU can boot `vmlinux` directly.
    pub pvh: bool,
    /// Raw BTF of vmlinux.
    pub btf: Option<Vec<u8>>,
    /// The GNU build id, in hex.
    pub build_id: Option<String>,
    /// The config that `CONFIG_IKCONFIG` puts into a kernel.
    pub config: Option<Vec<u8>>,
    /// What else the user should know.
    pub note: Option<String>,
}

impl<'data> Image<'data> {
    /// Understands a bzImage or an ELF vmlinux.
    pub fn parse(bytes: &'data [u8]) -> Result<Image<'data>, ImageError> {
        if let Some(machine) = other_machine(bytes) {
            return Err(ImageError::OtherMachine(machine));
        }
        if bytes.starts_with(b"\x7fELF") {
            let ElfParts { pvh, btf, build_id } = inspect_elf(bytes)?;
            if !pvh {
                return Err(ImageError::NoPvh);
            }
            let release = release_of_vmlinux(bytes)?;
            let config = embedded_config(bytes);
            return Ok(Image { release, vmlinux: Some(Cow::Borrowed(bytes)), pvh, btf, build_id, config, note: None });
        }
        let release = release_of_bzimage(bytes)?;
        match unpack(payload(bytes)?)? {
            Some(vmlinux) => {
                if let Some(machine) = other_machine(&vmlinux) {
                    return Err(ImageError::OtherMachine(machine));
                }
                let ElfParts { pvh, btf, build_id } = inspect_elf(&vmlinux)?;
                let note =
                    (!pvh).then(|| "the kernel has no PVH note: it boots from its bzImage, which is slower".to_owned());
                let config = embedded_config(&vmlinux);
                Ok(Image { release, vmlinux: Some(Cow::Owned(vmlinux)), pvh, btf, build_id, config, note })
            }
            None => {
                let note =
                    "the image is compressed with bzip2, lzma or lzo, which corematrix cannot unpack: it boots from \
    its bzImage, which is slower, and its BTF cannot be read"
                        .to_owned();
                Ok(Image {
                    release,
                    vmlinux: None,
                    pvh: false,
                    btf: None,
                    build_id: None,
                    config: None,
                    note: Some(note),
                })
            }
        }
    }
}

/// Places in a kernel that may be its banner.
const MOST_BANNERS: usize = 64;

/// The release in the first bytes of a bzImage.
pub(crate) fn release_in_head(head: &[u8]) -> Option<String> {
    release_of_bzimage(head).ok()
}

/// The whole version string of a bzImage: its release, who built it, and which build it is.
pub(crate) fn banner_in_head(head: &[u8]) -> Option<String> {
    release_in_head(head)?;
    let text = head.get(0x200 + usize::from(u16_at(head, 0x20e)?)..)?;
    let end = text.iter().take(512).position(|&byte| byte == 0)?;
    Some(String::from_utf8_lossy(&text[..end]).into_owned())
}

/// The first word of the version string that the setup header points to.
fn release_of_bzimage(bytes: &[u8]) -> Result<String, ImageError> {
    if bytes.get(0x202..0x206) != Some(b"HdrS") {
        return Err(
            if bytes.get(0x1fe..0x200) == Some(b"\x55\xaa") || bytes.starts_with(b"MZ") && bytes.len() < 0x206 {
                ImageError::Truncated("the setup header is missing")
            } else {
                ImageError::Unknown
            },
        );
    }
    let offset = u16_at(bytes, 0x20e).map(usize::from).unwrap_or(0);
    if offset == 0 {
        return Err(ImageError::NoRelease);
    }
    let text = bytes.get(0x200 + offset..).ok_or(ImageError::Truncated("the version string is missing"))?;
    release_at(text).ok_or(ImageError::NoRelease)
}

/// The same of an uncompressed kernel: what stands behind `Linux version `.
pub(crate) fn banner_of_vmlinux(bytes: &[u8]) -> Option<String> {
    let text = banners(bytes).ok()?.into_iter().find(|text| release_at(text).is_some())?;
    let end = text.iter().take(512).position(|&byte| byte == 0 || byte == b'\n')?;
    Some(String::from_utf8_lossy(&text[..end]).into_owned())
}

/// The release in the banner `Linux version 6.1.0-50-cloud-amd64 (...)`.
pub(crate) fn release_of_vmlinux(bytes: &[u8]) -> Result<String, ImageError> {
    // The same text stands in format strings (`Linux version %s`), so the word behind it has to look like a release.
    banners(bytes)?.into_iter().find_map(release_at).ok_or(ImageError::NoRelease)
}

/// What stands behind each `Linux version ` in an uncompressed kernel.
fn banners(bytes: &[u8]) -> Result<Vec<&[u8]>, ImageError> {
    let elf = ElfFile64::<Endianness>::parse(bytes).map_err(|error| ImageError::Elf(error.to_string()))?;
    let banner = b"Linux version ";
    let in_rodata = elf.section_by_name(".rodata").and_then(|section| section.data().ok()).unwrap_or(bytes);
    let found = in_rodata.windows(banner.len()).enumerate().filter(|(_, window)| window == banner);
    Ok(found.take(MOST_BANNERS).map(|(at, _)| &in_rodata[at + banner.len()..]).collect())
}

/// The word at the start of `text` if it looks like a release; it becomes part of file names.
fn release_at(text: &[u8]) -> Option<String> {
    let end = text.iter().take(65).position(|&byte| byte == b' ' || byte == 0)?;
    let word = std::str::from_utf8(&text[..end]).ok()?;
    let sound = word.starts_with(|c: char| c.is_ascii_digit())
        && word.chars().all(|c| c.is_ascii_alphanumeric() || ".+-_~".contains(c));
    sound.then(|| word.to_owned())
}

/// The compressed kernel in a bzImage.
fn payload(bytes: &[u8]) -> Result<&[u8], ImageError> {
    let header = ImageError::Truncated("the setup header is missing");
    let sectors = match bytes.get(0x1f1) {
        Some(0) => 4,
        Some(&sectors) => usize::from(sectors),
        None => return Err(header),
    };
    let (Some(offset), Some(length)) =
        (u32_at(bytes, 0x248).map(|number| number as usize), u32_at(bytes, 0x24c).map(|number| number as usize))
    else {
        return Err(header);
    };
    let start = (sectors + 1) * 512 + offset;
    match bytes.get(start..start.saturating_add(length)) {
        Some(payload) if length > 4 => Ok(payload),
        _ => Err(ImageError::Truncated("the compressed kernel is truncated")),
    }
}

/// Unpacks the kernel; `None` if the compression is unknown. The payload's last four bytes are the unpacked size.
fn unpack(payload: &[u8]) -> Result<Option<Vec<u8>>, ImageError> {
    let size = u32_at(payload, payload.len() - 4).map_or(0, u64::from);
    if size > UNPACKED_LIMIT {
        return Err(ImageError::TooLarge(size));
    }
    let stream = &payload[..payload.len() - 4];
    let mut out = Vec::new();
    let mut read = |reader: &mut dyn Read| -> Result<(), ImageError> {
        reader.take(size + 1).read_to_end(&mut out).map_err(|error| ImageError::Unpack(error.to_string()))?;
        Ok(())
    };
    if payload.starts_with(b"\xfd7zXZ\0") {
        read(&mut liblzma::read::XzDecoder::new(stream))?;
    } else if payload.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        // The window of a kernel compressed with `--ultra` is larger than zstd accepts by default.
        let decoder = zstd::Decoder::with_buffer(stream).map(zstd::Decoder::single_frame);
        let mut decoder = decoder.map_err(|error| ImageError::Unpack(error.to_string()))?;
        decoder.window_log_max(30).map_err(|error| ImageError::Unpack(error.to_string()))?;
        read(&mut decoder)?;
    } else if payload.starts_with(&[0x1f, 0x8b]) {
        // gzip ends with the unpacked size on its own, so here it belongs to the stream.
        read(&mut flate2::read::GzDecoder::new(payload))?;
    } else if payload.starts_with(&[0x02, 0x21, 0x4c, 0x18]) {
        out = unpack_lz4(&stream[4..], size)?;
    } else {
        return Ok(None);
    }
    if out.len() as u64 != size {
        return Err(ImageError::Unpack(format!("it declares {size} bytes but holds {}", out.len())));
    }
    Ok(Some(out))
}

/// lz4's legacy format: blocks of at most 8 MiB, each behind its compressed size.
fn unpack_lz4(mut blocks: &[u8], size: u64) -> Result<Vec<u8>, ImageError> {
    let mut out = Vec::new();
    while let Some(length) = u32_at(blocks, 0).map(|number| number as usize) {
        let block = blocks.get(4..4usize.saturating_add(length));
        let block = block.ok_or(ImageError::Truncated("an lz4 block is truncated"))?;
        let unpacked =
            lz4_flex::block::decompress(block, LZ4_BLOCK).map_err(|error| ImageError::Unpack(error.to_string()))?;
        out.extend_from_slice(&unpacked);
        if out.len() as u64 > size {
            return Err(ImageError::Unpack(format!("it declares {size} bytes but holds more")));
        }
        blocks = &blocks[4 + length..];
    }
    Ok(out)
}

/// The config between the marks of `kernel/configs.c`, if the kernel was built with it.
fn embedded_config(vmlinux: &[u8]) -> Option<Vec<u8>> {
    let start = memchr::memmem::find(vmlinux, b"IKCFG_ST\x1f\x8b")? + 8;
    let mut config = Vec::new();
    flate2::read::GzDecoder::new(&vmlinux[start..]).take(CONFIG_LIMIT).read_to_end(&mut config).ok()?;
    config.windows(7).any(|window| window == b"CONFIG_").then_some(config)
}

/// The machine that a kernel is for if it is not x86-64, as far as its header shows it.
fn other_machine(bytes: &[u8]) -> Option<&'static str> {
    if bytes.starts_with(b"\x7fELF") {
        let number = u16_at(bytes, 18)?;
        return match if bytes[5] == 2 { number.swap_bytes() } else { number } {
            3 => Some("32-bit x86"),
            21 => Some("PowerPC"),
            22 => Some("s390"),
            40 => Some("arm"),
            183 => Some("arm64"),
            243 => Some("RISC-V"),
            258 => Some("LoongArch"),
            _ => None,
        };
    }
    if bytes.starts_with(&[0x1f, 0x8b]) {
        // `Image.gz`, which these two machines boot from; x86 has no such thing.
        let mut header = Vec::new();
        flate2::read::GzDecoder::new(bytes).take(64).read_to_end(&mut header).ok()?;
        return other_machine(&header);
    }
    // The headers of their bare images keep their mark at the same place.
    match bytes.get(0x38..0x3c)? {
        b"ARM\x64" => Some("arm64"),
        b"RSC\x05" => Some("RISC-V"),
        _ if bytes.get(0x24..0x28) == Some(&[0x18, 0x28, 0x6f, 0x01]) => Some("arm"),
        _ => None,
    }
}

/// What an ELF vmlinux shows.
struct ElfParts {
    /// Whether it has a PVH entry point.
    pvh: bool,
    btf: Option<Vec<u8>>,
    build_id: Option<String>,
}

fn inspect_elf(bytes: &[u8]) -> Result<ElfParts, ImageError> {
    let damaged = |error: object::Error| ImageError::Elf(error.to_string());
    let elf = ElfFile64::<Endianness>::parse(bytes).map_err(damaged)?;
    let endian = elf.endian();
    let (mut pvh, mut build_id) = (false, None);
    for segment in elf.elf_program_headers() {
        let Some(mut notes) = segment.notes(endian, bytes).map_err(damaged)? else {
            continue;
        };
        while let Some(note) = notes.next().map_err(damaged)? {
            pvh |= note.name() == b"Xen" && note.n_type(endian) == XEN_ELFNOTE_PHYS32_ENTRY;
            if note.name() == ELF_NOTE_GNU && note.n_type(endian) == NT_GNU_BUILD_ID {
                build_id = Some(build_id_text(note.desc()));
            }
        }
    }
    let btf = match elf.section_by_name(".BTF") {
        Some(section) => Some(section.data().map_err(damaged)?.to_vec()).filter(|btf| !btf.is_empty()),
        None => None,
    };
    Ok(ElfParts { pvh, btf, build_id })
}

#[cfg(test)]
pub(crate) mod tests;
