//! [`GuestMemory`]: the RAM of a guest that is going to be snapshotted, and the options with which a restored guest maps the copy.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use rustix::fs::{MemfdFlags, ftruncate, memfd_create};

use super::GuestShape;
use crate::store::Seal;

/// What QEMU calls the RAM; the same on both sides of a snapshot.
const ID: &str = "corematrix-ram";

/// Memory that this process shares with a QEMU, so that it can be read once the guest is stopped. It is in no file system:
/// a full disk must not kill a guest.
#[derive(Debug)]
pub struct GuestMemory {
    memory: File,
    bytes: u64,
}

impl GuestMemory {
    /// Memory of `mib` MiB, not yet backed by anything.
    pub fn new(mib: u64) -> io::Result<Self> {
        let memory = File::from(memfd_create(ID, MemfdFlags::CLOEXEC)?);
        let bytes = mib << 20;
        ftruncate(&memory, bytes)?;
        Ok(GuestMemory { memory, bytes })
    }

    /// QEMU's options for a guest that runs in this memory, with these NUMA nodes.
    pub fn options(&self, nodes: &[Node]) -> Vec<String> {
        // Only QEMU, our child, looks it up, and only while this value lives.
        let path = format!("/proc/{}/fd/{}", std::process::id(), self.memory.as_raw_fd());
        options(Path::new(&path), self.bytes, "on", nodes)
    }

    /// Copies the pages that are not zero to a new sparse file. The guest must be stopped.
    pub fn save(&self, to: &Path) -> io::Result<Seal> {
        Seal::copy(&self.memory, self.bytes, to)
    }
}

/// QEMU's options for a guest that starts from a saved memory of `bytes`. It maps the file privately: restoring reads only the pages
/// that the guest touches, and what the guest writes never reaches the file.
pub fn restore_options(saved: &Path, bytes: u64, nodes: &[Node]) -> Vec<String> {
    options(saved, bytes, "off", nodes)
}

/// QEMU's options for the NUMA nodes of a guest whose memory is no one else's business.
pub fn node_options(nodes: &[Node]) -> Vec<String> {
    let object = |_: usize, id: &str, node: &Node| format!("memory-backend-ram,id={id},size={}M", node.mib);
    each_node(nodes, object)
}

/// A NUMA node: its memory, and its processors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where its memory begins, in MiB.
    from_mib: u64,
    /// MiB.
    mib: u64,
    /// The first processor and the last.
    cpus: (u32, u32),
}

impl Node {
    /// The nodes of a guest, which share memory and processors as evenly as can be; none for a guest with a single node.
    pub fn all(shape: &GuestShape) -> Vec<Node> {
        let count = shape.numa_nodes;
        if count < 2 {
            return Vec::new();
        }
        let border = |whole: u64, node: u32| whole * u64::from(node) / u64::from(count);
        let node = |number: u32| {
            let cpu = |node| u32::try_from(border(shape.cpus.into(), node)).unwrap_or_default();
            let (from_mib, to_mib) = (border(shape.memory_mib, number), border(shape.memory_mib, number + 1));
            Node { from_mib, mib: to_mib - from_mib, cpus: (cpu(number), cpu(number + 1).saturating_sub(1)) }
        };
        (0..count).map(node).collect()
    }
}

/// The options of all nodes, each with a memory of its own.
fn each_node(nodes: &[Node], object: impl Fn(usize, &str, &Node) -> String) -> Vec<String> {
    let mut options = Vec::new();
    for (number, node) in nodes.iter().enumerate() {
        let id = format!("{ID}-{number}");
        let (first, last) = node.cpus;
        let numa = format!("node,nodeid={number},cpus={first}-{last},memdev={id}");
        options.extend(["-object".to_owned(), object(number, &id, node), "-numa".to_owned(), numa]);
    }
    options
}

fn options(path: &Path, bytes: u64, share: &str, nodes: &[Node]) -> Vec<String> {
    // A comma separates QEMU's options; doubled it is one.
    let path = path.display().to_string().replace(',', ",,");
    if !nodes.is_empty() {
        // One file for all nodes, so that a snapshot is the same with any nodes.
        let object = |_: usize, id: &str, node: &Node| {
            let Node { mib, from_mib, .. } = node;
            format!("memory-backend-file,id={id},size={mib}M,mem-path={path},offset={},share={share}", from_mib << 20)
        };
        return each_node(nodes, object);
    }
    let object = format!("memory-backend-file,id={ID},size={bytes},mem-path={path},share={share}");
    ["-object", &object, "-machine", &format!("memory-backend={ID}")].map(str::to_owned).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_guest_wrote_is_saved() {
        use std::os::unix::fs::FileExt;
        let folder = tempfile::tempdir().expect("a folder");
        let memory = GuestMemory::new(4).expect("memory");
        // As QEMU does: by the path in its options.
        let options = memory.options(&[]);
        let path = options[1].split("mem-path=").nth(1).and_then(|rest| rest.split(',').next()).expect("has a path");
        File::options().write(true).open(path).expect("opens").write_all_at(b"guest", 1 << 20).expect("writes");
        let saved = folder.path().join("ram");
        assert_eq!(memory.save(&saved).expect("saves").bytes, 4 << 20);
        assert_eq!(&std::fs::read(&saved).expect("reads")[1 << 20..][..5], b"guest");
    }

    #[test]
    fn comma_in_a_path_does_not_end_it() {
        assert!(restore_options(Path::new("/a,b"), 4096, &[])[1].contains("mem-path=/a,,b,share=off"));
    }

    #[test]
    fn nodes_share_one_file_and_all_processors() {
        let shape = |nodes| GuestShape {
            memory_mib: 1000,
            cpus: 8,
            numa_nodes: nodes,
            append: Vec::new(),
            modules: Vec::new(),
        };
        assert_eq!(Node::all(&shape(1)), Vec::new());
        let nodes = Node::all(&shape(3));
        assert_eq!(nodes.iter().map(|node| node.mib).sum::<u64>(), 1000);
        assert_eq!(nodes.iter().map(|node| node.cpus).collect::<Vec<_>>(), [(0, 1), (2, 4), (5, 7)]);
        let options = restore_options(Path::new("/ram"), 1000 << 20, &nodes).join(" ");
        assert!(
            options.contains("size=333M,mem-path=/ram,offset=349175808,share=off -numa node,nodeid=1,cpus=2-4"),
            "{options}"
        );
        assert!(!options.contains("-machine"), "{options}");
        assert!(
            node_options(&nodes)
                .join(" ")
                .starts_with("-object memory-backend-ram,id=corematrix-ram-0,size=333M -numa")
        );
    }
}
