//! [`Btrfs`]: one subvolume of btrfs on a single device. Its log tree is not replayed: an image that was unmounted has none.
//!
//! The format is described in `btrfs_tree.h` of the kernel and in the documentation of btrfs, "On-disk Format".

mod files;
mod items;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::rc::Rc;

use self::items::{Items, Key};
use crate::source::archive::tarball::damaged;
use crate::source::disk::tree::{Inodes, Kind, MOST_ENTRIES};
use crate::source::disk::volume::{Block, Volume};

/// Where the first superblock lies.
const SUPERBLOCK: u64 = 64 << 10;
/// All that changes nothing here: RAID 5 and 6, a new extent tree, stripe trees and remapping are left out.
const KNOWN_INCOMPAT: u64 = 0x1_0000 | 0x1fff & !0x80;

const INODE: u8 = 1;
const FOLDER_ITEM: u8 = 84;
const FOLDER_INDEX: u8 = 96;
const ROOT: u8 = 132;

/// The tree of trees, its directory, and the tree of the topmost subvolume.
const ROOT_FOLDER: u64 = 6;
const TOP_SUBVOLUME: u64 = 5;
const FIRST_SUBVOLUME: u64 = 256;
const LAST_SUBVOLUME: u64 = u64::MAX - 256;
/// The inode at the top of each subvolume.
const TOP_FOLDER: u64 = 256;
/// Subvolumes that are looked at: snapshots may be many.
const MOST_SUBVOLUMES: usize = 64;

/// What all subvolumes share.
struct System {
    items: Items,
    /// Roots of trees by their numbers.
    trees: BTreeMap<u64, u64>,
}

pub(super) struct Btrfs {
    system: Rc<System>,
    subvolume: u64,
}

impl Btrfs {
    /// All subvolumes, the one that is mounted by default first.
    pub fn open(volume: &Volume) -> io::Result<Option<Vec<Btrfs>>> {
        if !volume.has(SUPERBLOCK + 64, b"_BHRfS_M") {
            return Ok(None);
        }
        let head = volume.block(SUPERBLOCK, 4096)?;
        let incompat = head.le64(188)?;
        if incompat & !KNOWN_INCOMPAT != 0 {
            return Err(damaged(format!("it uses unsupported features (0x{:x})", incompat & !KNOWN_INCOMPAT)));
        }
        let devices = head.le64(136)?;
        if devices != 1 {
            return Err(damaged(format!("it spans {devices} devices; only one is supported")));
        }
        let items = Items::open(volume, &head)?;
        let root = head.le64(80)?;
        let mut trees = BTreeMap::new();
        let whole = (Key { object: TOP_SUBVOLUME, kind: 0, offset: 0 }, Key::last(LAST_SUBVOLUME, u8::MAX));
        items.visit(root, whole, &mut |key, item| {
            if key.kind == ROOT && (key.object == TOP_SUBVOLUME || key.object >= FIRST_SUBVOLUME) {
                trees.insert(key.object, item.le64(176)?);
                if trees.len() > MOST_ENTRIES {
                    return Err(damaged(format!("it has more than {MOST_ENTRIES} subvolumes")));
                }
            }
            Ok(())
        })?;
        let mut default = TOP_SUBVOLUME;
        let names = (Key { object: ROOT_FOLDER, kind: FOLDER_ITEM, offset: 0 }, Key::last(ROOT_FOLDER, FOLDER_ITEM));
        items.visit(root, names, &mut |_, item| {
            if let Some((name, key)) = entry(item)?
                && name == "default"
            {
                default = key.object;
            }
            Ok(())
        })?;
        let mut all: Vec<u64> = trees.keys().copied().collect();
        all.sort_by_key(|tree| (*tree != default, *tree));
        all.truncate(MOST_SUBVOLUMES);
        let system = Rc::new(System { items, trees });
        Ok(Some(all.into_iter().map(|subvolume| Btrfs { system: Rc::clone(&system), subvolume }).collect()))
    }

    /// Calls `act` for each item of one kind that an inode has.
    fn visit(
        &self,
        (tree, inode): Node,
        kind: u8,
        act: &mut dyn FnMut(&Key, &Block) -> io::Result<()>,
    ) -> io::Result<()> {
        let root = self.system.trees.get(&tree).ok_or_else(|| damaged(format!("it has no subvolume {tree}")))?;
        self.system.items.visit(*root, (Key { object: inode, kind, offset: 0 }, Key::last(inode, kind)), act)
    }

    /// The mode and the size of an inode.
    fn inode(&self, node: Node) -> io::Result<(Kind, u64)> {
        let mut found = None;
        self.visit(node, INODE, &mut |_, item| {
            let mode = item.le32(52)?;
            found = Some((Kind::of_mode((mode & 0xffff) as u16), item.le64(16)?));
            Ok(())
        })?;
        found.ok_or_else(|| damaged(format!("it has no inode {}", node.1)))
    }
}

/// The tree of a subvolume, and an inode in it.
type Node = (u64, u64);

impl Inodes for Btrfs {
    type Node = Node;

    fn top(&self) -> Node {
        (self.subvolume, TOP_FOLDER)
    }

    fn kind(&self, node: &Node) -> io::Result<Kind> {
        self.inode(*node).map(|(kind, _)| kind)
    }

    fn entries(&self, folder: &Node) -> io::Result<Vec<(String, Node)>> {
        let mut entries = Vec::new();
        self.visit(*folder, FOLDER_INDEX, &mut |_, item| {
            if let Some((name, key)) = entry(item)? {
                let node = match key.kind {
                    ROOT => (key.object, TOP_FOLDER),
                    _ => (folder.0, key.object),
                };
                // The place of a snapshot within another one is empty.
                if self.system.trees.contains_key(&node.0) {
                    entries.push((name, node));
                }
            }
            match entries.len() > MOST_ENTRIES {
                true => Err(damaged(format!("a directory has more than {MOST_ENTRIES} entries"))),
                false => Ok(()),
            }
        })?;
        Ok(entries)
    }

    fn content(&self, node: &Node, limit: u64, out: &mut dyn Write) -> io::Result<()> {
        let (_, size) = self.inode(*node)?;
        files::content(self, *node, limit.min(size), out)
    }
}

/// The name and the key in an entry of a directory.
fn entry(item: &Block) -> io::Result<Option<(String, Key)>> {
    let name = item.name(30, item.le16(27)?.into())?;
    name.map(|name| Key::read(item, 0).map(|key| (name, key))).transpose()
}
