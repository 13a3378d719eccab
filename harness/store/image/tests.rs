//! Tests of [`Image`] on small images made here, and the makers, which tests of the whole store use too.

use std::io::Write;

use super::*;

/// What a test kernel has.
#[derive(Clone, Copy)]
pub(crate) struct Parts {
    pub pvh: bool,
    pub btf: bool,
}

/// How a test kernel is compressed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Packed {
    Xz,
    Zstd,
    Gzip,
    Lz4,
    Unknown,
}

/// BTF without a type, whose strings are words.
pub(crate) const TYPES: &[u8] = b"\x9f\xeb\x01\0\x18\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x16\0\0\0\0btf of a test kernel\0";

/// A minimal x86-64 ELF with a banner in `.rodata`.
pub(crate) fn vmlinux(release: &str, parts: Parts) -> Vec<u8> {
    let mut note = Vec::new();
    for word in [4u32, 4, if parts.pvh { XEN_ELFNOTE_PHYS32_ENTRY.0 } else { 1 }] {
        note.extend(word.to_le_bytes());
    }
    note.extend(b"Xen\0\x10\0\0\0");
    let rodata = format!("Linux version %s\0Linux version {release} (someone@somewhere)\0").into_bytes();
    let btf = TYPES.to_vec();
    let names = b"\0.notes\0.rodata\0.BTF\0.shstrtab\0".to_vec();
    let mut sections = vec![(1u32, 7u32, &note), (8, 1, &rodata)];
    if parts.btf {
        sections.push((16, 1, &btf));
    }
    sections.push((21, 3, &names));

    let mut body = Vec::new();
    let mut headers = vec![0u8; 64];
    let first = 64 + 56;
    for (name, kind, data) in &sections {
        let offset = (first + body.len()) as u64;
        headers.extend(name.to_le_bytes());
        headers.extend(kind.to_le_bytes());
        for word in [0, 0, offset, data.len() as u64] {
            headers.extend(word.to_le_bytes());
        }
        headers.extend([0; 8]);
        for word in [4u64, 0] {
            headers.extend(word.to_le_bytes());
        }
        body.extend_from_slice(data);
        body.resize(body.len().next_multiple_of(8), 0);
    }
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
    for word in [0u64, 64, (first + body.len()) as u64] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend(0u32.to_le_bytes());
    for half in [64u16, 56, 1, 64, sections.len() as u16 + 1, sections.len() as u16] {
        elf.extend(half.to_le_bytes());
    }
    for word in [4u32, 4] {
        elf.extend(word.to_le_bytes());
    }
    for word in [first as u64, 0, 0, note.len() as u64, note.len() as u64, 4] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend(body);
    elf.extend(headers);
    elf
}

/// A bzImage round `kernel`.
pub(crate) fn bzimage(release: &str, kernel: &[u8], packed: Packed) -> Vec<u8> {
    let size = (kernel.len() as u32).to_le_bytes();
    let mut payload = match packed {
        Packed::Xz => {
            let mut out = Vec::new();
            liblzma::read::XzEncoder::new(kernel, 6).read_to_end(&mut out).unwrap();
            out
        }
        Packed::Zstd => zstd::encode_all(kernel, 3).unwrap(),
        Packed::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(kernel).unwrap();
            encoder.finish().unwrap()
        }
        Packed::Lz4 => {
            let mut out = vec![0x02, 0x21, 0x4c, 0x18];
            for block in kernel.chunks(kernel.len() / 2 + 1) {
                let block = lz4_flex::block::compress(block);
                out.extend((block.len() as u32).to_le_bytes());
                out.extend(block);
            }
            out
        }
        Packed::Unknown => b"BZh91AY".to_vec(),
    };
    if !matches!(packed, Packed::Gzip) {
        payload.extend(size);
    }
    let version = format!("{release} (builder) #1 SMP\0");
    let mut image = vec![0u8; 512 * 3];
    image[0x1f1] = 2;
    image[0x1fe..0x200].copy_from_slice(b"\x55\xaa");
    image[0x202..0x206].copy_from_slice(b"HdrS");
    image[0x20e..0x210].copy_from_slice(&0x100u16.to_le_bytes());
    image[0x248..0x24c].copy_from_slice(&16u32.to_le_bytes());
    image[0x24c..0x250].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    image[0x300..0x300 + version.len()].copy_from_slice(version.as_bytes());
    image.extend([0; 16]);
    image.extend(payload);
    image.extend(b"signature");
    image
}

const FULL: Parts = Parts { pvh: true, btf: true };

#[test]
fn unpacks_every_compression() {
    let kernel = vmlinux("6.1.0-50-cloud-amd64", FULL);
    for packed in [Packed::Xz, Packed::Zstd, Packed::Gzip, Packed::Lz4] {
        let bytes = bzimage("6.1.0-50-cloud-amd64", &kernel, packed);
        let image = Image::parse(&bytes).unwrap_or_else(|error| panic!("{packed:?}: {error}"));
        assert_eq!(image.release, "6.1.0-50-cloud-amd64");
        assert_eq!(image.vmlinux.as_deref(), Some(&kernel[..]), "{packed:?}");
        assert!(image.pvh);
        assert_eq!(image.btf.as_deref(), Some(TYPES));
        assert_eq!(image.note, None);
    }
}

#[test]
fn an_unknown_compression_boots_the_bzimage() {
    let bytes = bzimage("5.4.0", b"", Packed::Unknown);
    let image = Image::parse(&bytes).unwrap();
    assert!(image.vmlinux.is_none() && !image.pvh && image.note.is_some());
}

#[test]
fn missing_pvh_and_btf_are_told() {
    let bytes = bzimage("5.4.0", &vmlinux("5.4.0", Parts { pvh: false, btf: false }), Packed::Zstd);
    let image = Image::parse(&bytes).unwrap();
    assert!(!image.pvh && image.btf.is_none());
    assert!(image.note.unwrap().contains("PVH"));
}

#[test]
fn a_plain_vmlinux_tells_its_release_and_needs_pvh() {
    assert_eq!(Image::parse(&vmlinux("7.3.4", FULL)).unwrap().release, "7.3.4");
    let without = vmlinux("7.3.4", Parts { pvh: false, btf: true });
    assert_eq!(Image::parse(&without).unwrap_err(), ImageError::NoPvh);
}

#[test]
fn every_truncation_is_an_error_and_never_a_panic() {
    let kernel = vmlinux("6.1.0", FULL);
    for packed in [Packed::Xz, Packed::Zstd, Packed::Gzip, Packed::Lz4] {
        let bytes = bzimage("6.1.0", &kernel, packed);
        for end in 0..bytes.len() - b"signature".len() {
            assert!(Image::parse(&bytes[..end]).is_err(), "{packed:?} cut at {end}");
        }
    }
    for end in 0..kernel.len() {
        let _ = Image::parse(&kernel[..end]);
    }
    assert_eq!(
        Image::parse(&bzimage("6.1.0", &kernel, Packed::Xz)[..1700]).unwrap_err().to_string(),
        "the image is truncated: the compressed kernel is truncated"
    );
}

#[test]
fn damage_is_an_error_and_never_a_panic() {
    let kernel = vmlinux("6.1.0", FULL);
    for packed in [Packed::Xz, Packed::Zstd, Packed::Gzip, Packed::Lz4] {
        let bytes = bzimage("6.1.0", &kernel, packed);
        for at in 0..bytes.len() {
            let mut broken = bytes.clone();
            broken[at] ^= 0xff;
            let _ = Image::parse(&broken);
        }
    }
    for at in 0..kernel.len() {
        let mut broken = kernel.clone();
        broken[at] ^= 0xff;
        let _ = Image::parse(&broken);
    }
}

#[test]
fn a_bomb_is_refused() {
    let mut payload = zstd::encode_all(&b"x"[..], 3).unwrap();
    payload.extend(u32::MAX.to_le_bytes());
    assert_eq!(unpack(&payload).unwrap_err(), ImageError::TooLarge(u32::MAX.into()));
    let mut payload = zstd::encode_all(&vec![0; 1 << 20][..], 3).unwrap();
    payload.extend(100u32.to_le_bytes());
    assert!(matches!(unpack(&payload), Err(ImageError::Unpack(_))));
}

#[test]
fn other_files_are_refused() {
    for bytes in [&b""[..], b"hello", &[0; 4096]] {
        assert_eq!(Image::parse(bytes).unwrap_err(), ImageError::Unknown);
    }
}

#[test]
fn kernels_of_other_machines_are_named() {
    let mut arm64 = vec![0; 4096];
    arm64[..2].copy_from_slice(b"MZ");
    arm64[0x38..0x3c].copy_from_slice(b"ARM\x64");
    assert_eq!(Image::parse(&arm64).unwrap_err(), ImageError::OtherMachine("arm64"));
    let mut packed = Vec::new();
    flate2::read::GzEncoder::new(&arm64[..], flate2::Compression::fast()).read_to_end(&mut packed).unwrap();
    assert_eq!(Image::parse(&packed).unwrap_err(), ImageError::OtherMachine("arm64"));
    let mut elf = vmlinux("6.1.0", FULL);
    elf[18] = 243;
    assert_eq!(Image::parse(&elf).unwrap_err(), ImageError::OtherMachine("RISC-V"));
    let inside = bzimage(
        "6.1.0",
        &{
            elf[18] = 3;
            elf
        },
        Packed::Xz,
    );
    let message = Image::parse(&inside).unwrap_err().to_string();
    assert_eq!(message, "the kernel is for 32-bit x86, but corematrix boots only x86-64");
}

#[test]
fn a_build_id_is_told() {
    assert_eq!(Image::parse(&vmlinux("6.1.0", FULL)).unwrap().build_id, None);
    // The only note of the test kernel becomes a build id, and the kernel loses its PVH note by that.
    let mut kernel = vmlinux("6.1.0", FULL);
    let at = memchr::memmem::find(&kernel, b"Xen\0").unwrap();
    kernel[at..at + 4].copy_from_slice(b"GNU\0");
    kernel[at - 4] = 3;
    let bytes = bzimage("6.1.0", &kernel, Packed::Gzip);
    let image = Image::parse(&bytes).unwrap();
    assert_eq!((image.build_id.as_deref(), image.pvh), (Some("10000000"), false));
}

#[test]
fn a_release_never_leaves_its_folder() {
    let kernel = vmlinux("6.1.0", FULL);
    assert_eq!(Image::parse(&bzimage("../../etc", &kernel, Packed::Xz)).unwrap_err(), ImageError::NoRelease);
    assert_eq!(Image::parse(&bzimage("6.1/../x", &kernel, Packed::Xz)).unwrap_err(), ImageError::NoRelease);
}

#[test]
fn a_config_inside_the_kernel_is_found() {
    let mut packed = Vec::new();
    flate2::read::GzEncoder::new(&b"# Linux\nCONFIG_VIRTIO_PCI=y\n"[..], flate2::Compression::fast())
        .read_to_end(&mut packed)
        .unwrap();
    let mut kernel = vmlinux("6.6.0", Parts { pvh: true, btf: false });
    assert_eq!(Image::parse(&kernel).unwrap().config, None);
    kernel.extend(b"IKCFG_ST");
    kernel.extend(&packed);
    kernel.extend(b"IKCFG_ED");
    let bytes = bzimage("6.6.0", &kernel, Packed::Zstd);
    assert_eq!(Image::parse(&bytes).unwrap().config.unwrap(), b"# Linux\nCONFIG_VIRTIO_PCI=y\n");
}
