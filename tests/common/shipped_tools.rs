//! [`files`]: real tools of Debian's `libbpf-tools`, out of the user's store.

use std::path::{Path, PathBuf};

use corematrix::matrix::Places;
use corematrix::source::LockFile;
use corematrix::store::Store;

/// Each embeds one object.
const TOOLS: [&str; 40] = [
    "execsnoop",
    "opensnoop",
    "biosnoop",
    "biolatency",
    "tcpconnect",
    "tcplife",
    "runqlat",
    "filetop",
    "vfsstat",
    "mountsnoop",
    "biotop",
    "biostacks",
    "cachestat",
    "capable",
    "cpudist",
    "exitsnoop",
    "filelife",
    "fsdist",
    "klockstat",
    "ksnoop",
    "offcputime",
    "readahead",
    "runqslower",
    "sigsnoop",
    "statsnoop",
    "tcpconnlat",
    "tcprtt",
    "tcpstates",
    "tcptracer",
    "wakeuptime",
    "bindsnoop",
    "biopattern",
    "bitesize",
    "drsnoop",
    "fsslower",
    "funclatency",
    "gethostlatency",
    "hardirqs",
    "llcstat",
    "oomkill",
];

/// The files of the first tools.
pub fn files(count: usize) -> Vec<PathBuf> {
    let store = Store::open(&Places::from_environment(None).unwrap().store).unwrap();
    let lock = LockFile::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels.lock")).unwrap();
    let package = store.debian_package("libbpf-tools", &["bookworm".to_owned()], &lock, false, &|_| {}).unwrap();
    TOOLS[..count].iter().map(|tool| package.join("usr/sbin").join(tool)).collect()
}
