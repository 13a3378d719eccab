//! [`KeptCell`]: what a run observed of a cell, kept so that a later run need not observe it again.
//!
//! A file for each key, which is a checksum of everything that decides the cell. A file appears whole or not at all, and holds a checksum of
//! itself: anything damaged, foreign or of another format counts as absent. Two runs that write the same key write the same answer, so
//! nothing is locked.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::Store;
use crate::checksum;
use crate::record::{CellRecord, KernelIdentity};
use crate::whole_file;

/// Where these are, in the store.
pub(crate) const FOLDER: &str = "cells";
/// Bytes that they may take on disk. A cell of a shipped object takes a few thousand.
pub const CELLS_BUDGET: u64 = 256 << 20;
/// What one may take, unpacked. Whoever has longer logs is run again.
const MOST_BYTES: u64 = 16 << 20;
/// They repeat themselves, and the fastest level is enough.
const LEVEL: i32 = 1;
/// Raised when the meaning of a file changes.
const FORMAT: u32 = 1;
/// Hex digits of a SHA-256.
const DIGITS: usize = 64;

/// What a run observed of a cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptCell {
    /// When, RFC 3339 in UTC.
    pub observed: String,
    /// [`Store::knowledge`] of that time.
    pub knowledge: String,
    /// What it observed.
    pub record: CellRecord,
    /// The verifier logs of the programs, in their order.
    pub logs: Vec<Option<String>>,
}

/// What became of what was to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// There was nothing under its key.
    Anew,
    /// It took the place of what was there.
    Again,
    /// It is too large, or its key is none.
    Not,
}

#[derive(Serialize, Deserialize)]
struct Keyed<T> {
    format: u32,
    key: String,
    cell: T,
}

impl Store {
    /// What an earlier run observed under this key. That it is used keeps it from being removed before others.
    pub fn kept_cell(&self, key: &str) -> Option<KeptCell> {
        let path = self.cell_file(key)?;
        // Nothing else than a file is waited for.
        if !fs::symlink_metadata(&path).ok()?.is_file() {
            return None;
        }
        let file = File::open(&path).ok()?;
        let Keyed { format, key: known, cell } = serde_json::from_slice(&unsealed(&file)?).ok()?;
        if format != FORMAT || known != key {
            return None;
        }
        let _ = File::options().append(true).open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        Some(cell)
    }

    /// Keeps what a run observed. What is too large is not kept.
    ///
    /// # Errors
    /// Those of writing the file; an older one is untouched.
    pub fn keep_cell(&self, key: &str, cell: &KeptCell) -> io::Result<Kept> {
        let Some(path) = self.cell_file(key) else { return Ok(Kept::Not) };
        let json = serde_json::to_vec(&Keyed { format: FORMAT, key: key.to_owned(), cell })?;
        if json.len() as u64 > MOST_BYTES {
            return Ok(Kept::Not);
        }
        let packed = zstd::encode_all(&*json, LEVEL)?;
        fs::create_dir_all(self.root.join(FOLDER))?;
        let kept = if path.exists() { Kept::Again } else { Kept::Anew };
        let written = whole_file::replace(&path, |out| {
            out.write_all(checksum::of_bytes(&packed).as_bytes())?;
            out.write_all(&packed)
        });
        written.map(|()| kept).map_err(|error| error.source)
    }

    /// Removes what was least recently used until no more than `budget` bytes are left.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn shrink_cells(&self, budget: u64) -> io::Result<()> {
        let folder = self.root.join(FOLDER);
        if !folder.exists() {
            return Ok(());
        }
        let described = |entry: fs::DirEntry| {
            let found = entry.metadata().ok().filter(fs::Metadata::is_file)?;
            Some((found.modified().unwrap_or(SystemTime::UNIX_EPOCH), found.blocks() * 512, entry.path()))
        };
        let mut files: Vec<(SystemTime, u64, PathBuf)> =
            fs::read_dir(&folder)?.flatten().filter_map(described).collect();
        files.sort();
        let mut total: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, bytes, path) in files {
            if total <= budget {
                break;
            }
            // Another run may have removed it.
            let _ = fs::remove_file(path);
            total -= bytes;
        }
        Ok(())
    }

    /// What a verdict may rest on beside its own kernel: the kernels that the store has, and whether it knows their modules. In hex.
    pub fn knowledge(&self) -> String {
        let known: Vec<(String, KernelIdentity, bool)> = self
            .kernels()
            .into_iter()
            .map(|(name, kernel)| {
                let knows_modules = kernel.has_modules();
                (name, kernel.identity, knows_modules)
            })
            .collect();
        checksum::of_bytes(&serde_json::to_vec(&known).unwrap_or_default())
    }

    /// The file of a key; `None` for what is no key.
    fn cell_file(&self, key: &str) -> Option<PathBuf> {
        let is_key = key.len() == DIGITS && key.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_key.then(|| self.root.join(Path::new(FOLDER)).join(key))
    }
}

/// What a file holds, if its checksum is right and it is not too long.
fn unsealed(file: &File) -> Option<Vec<u8>> {
    let mut sealed = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut sealed).ok()?;
    let (seal, packed) = sealed.split_at_checked(DIGITS)?;
    if checksum::of_bytes(packed).as_bytes() != seal {
        return None;
    }
    let mut json = Vec::new();
    zstd::Decoder::new(packed).ok()?.take(MOST_BYTES + 1).read_to_end(&mut json).ok()?;
    (json.len() as u64 <= MOST_BYTES).then_some(json)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::record::sample;

    const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    fn cell() -> KeptCell {
        KeptCell {
            observed: "2026-11-29T20:00:00Z".to_owned(),
            knowledge: "all".to_owned(),
            record: sample::record().cells[2].clone(),
            logs: vec![None, Some("0: R1=ctx()\n".to_owned())],
        }
    }

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        (folder, store)
    }

    #[test]
    fn what_is_kept_comes_back() {
        let (_folder, store) = store();
        assert_eq!(store.kept_cell(KEY), None);
        assert_eq!(store.keep_cell(KEY, &cell()).unwrap(), Kept::Anew);
        assert_eq!(store.kept_cell(KEY), Some(cell()));
        assert_eq!(store.keep_cell(KEY, &cell()).unwrap(), Kept::Again);
        assert_eq!(store.kept_cell(&KEY.replace('0', "1")), None);
        // A key never leaves the directory.
        assert_eq!(store.keep_cell("../../etc/passwd", &cell()).unwrap(), Kept::Not);
        let huge = KeptCell { logs: vec![Some("x".repeat(MOST_BYTES as usize))], ..cell() };
        assert_eq!(store.keep_cell(KEY, &huge).unwrap(), Kept::Not);
        assert_eq!(store.kept_cell(KEY), Some(cell()), "what is too large replaces nothing");
    }

    #[test]
    fn damaged_and_foreign_files_count_as_absent() {
        let (_folder, store) = store();
        store.keep_cell(KEY, &cell()).unwrap();
        let path = store.cell_file(KEY).unwrap();
        let sound = fs::read(&path).unwrap();
        for at in 0..sound.len() {
            let mut bytes = sound.clone();
            bytes[at] ^= 1;
            fs::write(&path, &bytes).unwrap();
            assert_eq!(store.kept_cell(KEY), None, "bit {at}");
            fs::write(&path, &sound[..at]).unwrap();
            assert_eq!(store.kept_cell(KEY), None, "cut at {at}");
        }
        let sealed = |json: &[u8]| {
            let packed = zstd::encode_all(json, LEVEL).unwrap();
            [checksum::of_bytes(&packed).as_bytes(), &packed].concat()
        };
        // With a right checksum, too: another format, the cell of another key, something else, and what unpacks without an end.
        let of = |format, key: &str| serde_json::to_vec(&Keyed { format, key: key.to_owned(), cell: cell() }).unwrap();
        for json in [of(FORMAT + 1, KEY), of(FORMAT, "other"), b"{}".to_vec(), vec![b' '; 64 << 20]] {
            fs::write(&path, sealed(&json)).unwrap();
            assert_eq!(store.kept_cell(KEY), None);
        }
        fs::write(&path, sealed(&of(FORMAT, KEY))).unwrap();
        assert_eq!(store.kept_cell(KEY), Some(cell()));
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert_eq!(store.kept_cell(KEY), None);
    }

    #[test]
    fn what_was_used_last_stays() {
        let (_folder, store) = store();
        store.shrink_cells(0).unwrap();
        let keys = ["a", "b", "c"].map(|digit| digit.repeat(DIGITS));
        let long_ago = SystemTime::now() - Duration::from_secs(1000);
        for (at, key) in keys.iter().enumerate() {
            store.keep_cell(key, &cell()).unwrap();
            let file = File::options().append(true).open(store.cell_file(key).unwrap()).unwrap();
            file.set_modified(long_ago + Duration::from_secs(at as u64)).unwrap();
        }
        assert!(store.kept_cell(&keys[0]).is_some());
        let one = fs::metadata(store.cell_file(&keys[0]).unwrap()).unwrap().blocks() * 512;
        store.shrink_cells(one).unwrap();
        assert_eq!(keys.map(|key| store.kept_cell(&key).is_some()), [true, false, false]);
    }

    #[test]
    fn runs_that_write_at_once_leave_a_whole_file() {
        let (_folder, store) = store();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..20).for_each(|_| assert_ne!(store.keep_cell(KEY, &cell()).unwrap(), Kept::Not)));
                scope.spawn(|| {
                    (0..20).for_each(|_| assert!(store.kept_cell(KEY).is_none_or(|found| found == cell())));
                });
            }
        });
        assert_eq!(store.kept_cell(KEY), Some(cell()));
        assert_eq!(fs::read_dir(store.root.join(FOLDER)).unwrap().count(), 1);
    }
}
