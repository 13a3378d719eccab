#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::symlink;

use super::*;

const LOOKUP: u32 = 1;
const READ_LINK: u32 = 5;
const READ: u32 = 15;
const READ_FOLDER: u32 = 28;

fn request(opcode: u32, node: NodeId, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend((40 + body.len() as u32).to_le_bytes());
    bytes.extend(opcode.to_le_bytes());
    bytes.extend(7u64.to_le_bytes());
    bytes.extend(node.to_le_bytes());
    bytes.resize(40, 0);
    bytes.extend(body);
    bytes
}

/// The errno, positive, and the reply's own bytes.
fn ask(files: &mut HostFiles, opcode: u32, node: NodeId, body: &[u8]) -> (i32, Vec<u8>) {
    let reply = files.answer(&request(opcode, node, body)).unwrap();
    assert_eq!(reply.len(), u32::from_le_bytes(reply[..4].try_into().unwrap()) as usize);
    assert_eq!(reply[8..16], 7u64.to_le_bytes());
    (-i32::from_le_bytes(reply[4..8].try_into().unwrap()), reply[16..].to_vec())
}

fn reading(size: u32) -> Vec<u8> {
    let mut body = vec![0; 40];
    body[16..20].copy_from_slice(&size.to_le_bytes());
    body
}

/// The number of the file at a path; `None` if the guest gets the answer that there is none.
fn find(files: &mut HostFiles, path: &Path) -> Option<NodeId> {
    path.components().skip(1).try_fold(ROOT, |folder, name| {
        let mut name = name.as_os_str().as_bytes().to_vec();
        name.push(0);
        let (errno, body) = ask(files, LOOKUP, folder, &name);
        assert_eq!((errno, body.len()), (0, 128));
        let node = u64::from_le_bytes(body[..8].try_into().unwrap());
        (node != 0).then_some(node)
    })
}

fn sample() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "content").unwrap();
    symlink("/etc/shadow", folder.path().join("link")).unwrap();
    fs::create_dir(folder.path().join("deep")).unwrap();
    folder
}

#[test]
fn files_links_and_folders_are_read() {
    let folder = sample();
    let mut files = HostFiles::new(View::Everything).unwrap();
    let file = find(&mut files, &folder.path().join("file")).unwrap();
    assert_eq!(ask(&mut files, READ, file, &reading(100)), (0, b"content".to_vec()));
    // The view is live, although the file is open.
    fs::write(folder.path().join("new"), "replaced").unwrap();
    fs::rename(folder.path().join("new"), folder.path().join("file")).unwrap();
    assert_eq!(ask(&mut files, READ, file, &reading(100)), (0, b"replaced".to_vec()));
    let link = find(&mut files, &folder.path().join("link")).unwrap();
    assert_eq!(ask(&mut files, READ_LINK, link, b""), (0, b"/etc/shadow".to_vec()));
    let (errno, _) = ask(&mut files, READ, link, &reading(100));
    assert_eq!(errno, libc::ELOOP, "the guest follows links, not the host");
    let node = find(&mut files, folder.path()).unwrap();
    let (_, names) = ask(&mut files, READ_FOLDER, node, &reading(4096));
    for name in ["file", "link", "deep"] {
        assert!(names.windows(name.len()).any(|bytes| bytes == name.as_bytes()), "{name}");
    }
    assert_eq!(find(&mut files, &folder.path().join("missing")), None);
}

#[test]
fn whatever_writes_is_refused() {
    let folder = sample();
    let mut files = HostFiles::new(View::Everything).unwrap();
    let node = find(&mut files, folder.path()).unwrap();
    for opcode in [4, 6, 8, 9, 10, 11, 12, 13, 16, 21, 24, 35, 43, 45, 47, 51] {
        assert_eq!(ask(&mut files, opcode, node, b"file\0").0, libc::EROFS, "{opcode}");
    }
    assert_eq!(fs::read_to_string(folder.path().join("file")).unwrap(), "content");
}

#[test]
fn names_that_lead_elsewhere_and_nonsense_are_refused() {
    let folder = sample();
    let mut files = HostFiles::new(View::Everything).unwrap();
    let node = find(&mut files, &folder.path().join("deep")).unwrap();
    for name in [&b"..\0"[..], b"../file\0", b".\0", b"\0", b"/etc\0"] {
        assert_eq!(ask(&mut files, LOOKUP, node, name).0, libc::EINVAL, "{name:?}");
    }
    assert_eq!(ask(&mut files, READ, 999, &reading(1)).0, libc::ESTALE);
    for length in 0..60 {
        for opcode in 0..60 {
            let mut bytes = request(opcode, ROOT, &[255; 20]);
            bytes.truncate(length);
            let _ = files.answer(&bytes);
        }
    }
    assert_eq!(find(&mut files, Path::new("/proc/self")), None, "the guest has its own");
}

#[test]
fn what_the_kernel_forgets_is_forgotten() {
    let folder = sample();
    let mut files = HostFiles::new(View::Everything).unwrap();
    let node = find(&mut files, &folder.path().join("file")).unwrap();
    let before = files.nodes.len();
    assert_eq!(files.answer(&request(2, node, &1u64.to_le_bytes())), None);
    assert_eq!(files.nodes.len(), before - 1);
    assert_eq!(ask(&mut files, READ, node, &reading(1)).0, libc::ESTALE);
    assert_eq!(files.answer(&request(2, ROOT, &u64::MAX.to_le_bytes())), None);
    assert!(find(&mut files, folder.path()).is_some(), "the root stays");
}

#[test]
fn programs_alone_are_shown_where_that_is_asked_for() {
    let folder = sample();
    let mut files = HostFiles::new(View::Programs(vec![folder.path().join("deep")])).unwrap();
    for (path, shown) in [
        (Path::new("/usr"), true),
        (Path::new("/etc/passwd"), true),
        (Path::new("/etc/shadow"), false),
        (Path::new("/root"), true),
        (Path::new("/home"), false),
        (&folder.path().join("deep"), true),
        (&folder.path().join("file"), false),
    ] {
        assert_eq!(find(&mut files, path).is_some(), shown, "{}", path.display());
    }
    assert_eq!(find(&mut files, &Path::new("/root").join(".ssh")), None);
    let root = ask(&mut files, READ_FOLDER, ROOT, &reading(8192)).1;
    assert!(!root.windows(4).any(|bytes| bytes == b"home"));
}

/// What a guest kernel of its own mind asks for: an honest one resolves links itself.
#[test]
fn hostile_guest_gets_nothing_through_a_link() {
    let host = tempfile::tempdir().unwrap();
    let (given, secret) = (host.path().join("given"), host.path().join("secret"));
    fs::create_dir(&given).unwrap();
    fs::create_dir_all(secret.join("deep")).unwrap();
    fs::write(secret.join("key"), "secret").unwrap();
    symlink(&secret, given.join("link")).unwrap();
    symlink(secret.join("key"), given.join("file-link")).unwrap();
    symlink("../secret", given.join("relative")).unwrap();
    for view in [View::Everything, View::Programs(vec![given.clone()])] {
        let mut files = HostFiles::new(view).unwrap();
        for link in ["link", "relative", "file-link"] {
            let link = find(&mut files, &given.join(link)).unwrap();
            for name in [&b"key\0"[..], b"deep\0", b"missing\0"] {
                let (errno, body) = ask(&mut files, LOOKUP, link, name);
                assert!(errno != 0 && body.is_empty(), "{name:?} was found behind a link");
            }
            for opcode in [READ, READ_FOLDER] {
                let (errno, body) = ask(&mut files, opcode, link, &reading(4096));
                assert!(errno != 0 && body.is_empty(), "{opcode} got behind a link");
            }
        }
        assert_eq!(files.nodes.values().filter(|node| node.path.ends_with("key")).count(), 0);
    }
}

/// A directory that becomes a link after the guest got to know what is in it.
#[test]
fn folder_that_becomes_a_link_leads_nowhere() {
    let host = tempfile::tempdir().unwrap();
    let (given, secret) = (host.path().join("given"), host.path().join("secret"));
    fs::create_dir_all(given.join("folder")).unwrap();
    fs::write(given.join("folder/key"), "shown").unwrap();
    fs::create_dir(&secret).unwrap();
    fs::write(secret.join("key"), "secret").unwrap();
    let mut files = HostFiles::new(View::Programs(vec![given.clone()])).unwrap();
    let key = find(&mut files, &given.join("folder/key")).unwrap();
    assert_eq!(ask(&mut files, READ, key, &reading(100)), (0, b"shown".to_vec()));
    fs::rename(given.join("folder"), given.join("old")).unwrap();
    symlink(&secret, given.join("folder")).unwrap();
    assert_ne!(ask(&mut files, READ, key, &reading(100)).0, 0);
    assert_ne!(ask(&mut files, READ_LINK, key, b"").0, 0);
}

#[test]
fn long_folders_are_listed_in_pieces_and_few_listings_are_kept() {
    let host = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..300).map(|number| format!("name-{number:04}")).collect();
    for name in &names {
        fs::write(host.path().join(name), "").unwrap();
    }
    let mut files = HostFiles::new(View::Everything).unwrap();
    let node = find(&mut files, host.path()).unwrap();
    let (mut seen, mut offset) = (Vec::new(), 0u64);
    loop {
        let mut body = reading(4096);
        body[8..16].copy_from_slice(&offset.to_le_bytes());
        let (errno, listed) = ask(&mut files, READ_FOLDER, node, &body);
        assert_eq!(errno, 0);
        if listed.is_empty() {
            break;
        }
        let mut rest = &listed[..];
        while !rest.is_empty() {
            let length = u32::from_le_bytes(rest[16..20].try_into().unwrap()) as usize;
            offset = u64::from_le_bytes(rest[8..16].try_into().unwrap());
            seen.push(String::from_utf8(rest[24..24 + length].to_vec()).unwrap());
            rest = &rest[(24 + length).next_multiple_of(8)..];
        }
    }
    seen.retain(|name| name.starts_with("name-"));
    seen.sort();
    assert_eq!(seen, names);
    for number in 0..50 {
        fs::create_dir(host.path().join(format!("folder-{number}"))).unwrap();
        let folder = find(&mut files, &host.path().join(format!("folder-{number}"))).unwrap();
        ask(&mut files, READ_FOLDER, folder, &reading(4096));
    }
    assert!(files.listings.len() <= MOST_LISTINGS);
}
