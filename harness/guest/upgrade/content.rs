//! [`fill`], [`read`]: data that is put into a map, and what is found of it later. Keys and values follow from their number alone.

use std::os::fd::RawFd;
use std::ptr;

use libbpf_rs::libbpf_sys as sys;

use corematrix_protocol as protocol;
use corematrix_record::MapDefinition;

/// Entries of a map.
const MOST_ENTRIES: u32 = 8;
/// Larger values are left alone.
const MOST_BYTES: usize = 4 << 20;

/// How user space gets at the data of a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    /// By an index.
    Index,
    /// By any key.
    Key,
    /// By a prefix: its length in bits, and the bytes.
    Prefix,
    /// What was put in is taken out.
    Taken,
}

/// How a map is filled, and whether each processor has a value of its own; or why it is not.
fn access(kind: &str) -> Result<(Access, bool), &'static str> {
    match kind {
        "array" => Ok((Access::Index, false)),
        "percpu_array" => Ok((Access::Index, true)),
        "hash" | "lru_hash" => Ok((Access::Key, false)),
        "percpu_hash" | "lru_percpu_hash" => Ok((Access::Key, true)),
        "lpm_trie" => Ok((Access::Prefix, false)),
        "queue" | "stack" => Ok((Access::Taken, false)),
        "prog_array" => Err("a program array holds programs of its object"),
        "array_of_maps" | "hash_of_maps" => Err("a map of maps holds maps of its object"),
        "ringbuf" | "user_ringbuf" | "perf_event_array" => Err("it passes data on and keeps none"),
        "sk_storage"
        | "task_storage"
        | "inode_storage"
        | "cgrp_storage"
        | "cgroup_storage"
        | "percpu_cgroup_storage" => Err("its data belongs to objects of the kernel"),
        "bloom_filter" => Err("a bloom filter cannot be read back"),
        _ => Err("user space alone cannot fill a map of this type"),
    }
}

/// Bytes of a value as user space sees it.
fn value_bytes(definition: &MapDefinition, per_cpu: bool) -> usize {
    let size = definition.value_size.unwrap_or_default() as usize;
    if !per_cpu {
        return size;
    }
    // SAFETY: takes nothing.
    let cpus = unsafe { sys::libbpf_num_possible_cpus() };
    size.next_multiple_of(8).saturating_mul(usize::try_from(cpus).unwrap_or(1))
}

/// A byte of entry `number` that is never 0.
fn pattern(number: u32, place: usize) -> u8 {
    ((number as usize * 31 + place * 7) % 251) as u8 + 1
}

fn key(access: Access, size: usize, number: u32) -> Vec<u8> {
    match access {
        Access::Taken => Vec::new(),
        Access::Index => number.to_ne_bytes().to_vec(),
        Access::Key => (0..size).map(|place| if place == 0 { number as u8 } else { pattern(number, place) }).collect(),
        Access::Prefix => {
            let data = size.saturating_sub(4);
            let bits = u32::try_from(data * 8).unwrap_or(u32::MAX).to_ne_bytes();
            bits.into_iter().chain((0..data).map(|place| pattern(number, place))).collect()
        }
    }
}

/// Puts entries into a map. Returns checksums of what is read back, or why that cannot be done.
pub fn fill(descriptor: RawFd, definition: &MapDefinition) -> Result<Vec<String>, String> {
    let (access, per_cpu) = access(definition.map_type.as_deref().unwrap_or_default())?;
    let (keys, size) = (definition.key_size.unwrap_or_default() as usize, value_bytes(definition, per_cpu));
    if size > MOST_BYTES || size == 0 {
        return Err(format!("a value takes {size} bytes"));
    }
    let entries = definition.max_entries.unwrap_or_default().min(MOST_ENTRIES);
    let mut written = Vec::new();
    for number in 0..entries {
        let key = key(access, keys, number);
        let value: Vec<u8> = (0..size).map(|place| pattern(number, place)).collect();
        let pointer = if key.is_empty() { ptr::null() } else { key.as_ptr().cast() };
        // SAFETY: the descriptor is that of a map whose keys and values are as large as these, or the kernel refuses it.
        let result = unsafe { sys::bpf_map_update_elem(descriptor, pointer, value.as_ptr().cast(), 0) };
        if result != 0 {
            let error = std::io::Error::from_raw_os_error(-result);
            return Err(format!("the kernel refuses to write to it: {error}"));
        }
        written.push(checksum(&value));
    }
    match access {
        // Reading takes it out.
        Access::Taken if definition.map_type.as_deref() == Some("stack") => {
            written.reverse();
            Ok(written)
        }
        Access::Taken => Ok(written),
        // What the kernel keeps of its own in a value (locks, timers) is not what was written.
        _ => Ok(read(descriptor, definition, written.len()).into_iter().flatten().collect()),
    }
}

/// Checksums of the first entries that [`fill`] made; `None` where there is none.
pub fn read(descriptor: RawFd, definition: &MapDefinition, entries: usize) -> Vec<Option<String>> {
    let Ok((access, per_cpu)) = access(definition.map_type.as_deref().unwrap_or_default()) else { return Vec::new() };
    let (keys, size) = (definition.key_size.unwrap_or_default() as usize, value_bytes(definition, per_cpu));
    if size > MOST_BYTES {
        return Vec::new();
    }
    let mut value = vec![0u8; size];
    let entries = u32::try_from(entries).unwrap_or(MOST_ENTRIES).min(MOST_ENTRIES);
    let one = |number: u32| {
        let key = key(access, keys, number);
        value.fill(0);
        let room = value.as_mut_ptr().cast();
        // SAFETY: as above; the kernel writes as much as there is room for.
        let result = unsafe {
            match access {
                Access::Taken => sys::bpf_map_lookup_and_delete_elem(descriptor, ptr::null(), room),
                _ => sys::bpf_map_lookup_elem(descriptor, key.as_ptr().cast(), room),
            }
        };
        (result == 0).then(|| checksum(&value))
    };
    (0..entries).map(one).collect()
}

fn checksum(value: &[u8]) -> String {
    // Reading from memory does not fail.
    protocol::checksum(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_and_fit() {
        for access in [Access::Index, Access::Key, Access::Prefix] {
            let keys: std::collections::BTreeSet<_> = (0..MOST_ENTRIES).map(|number| key(access, 8, number)).collect();
            assert_eq!(keys.len(), MOST_ENTRIES as usize);
        }
        assert_eq!(key(Access::Prefix, 8, 0)[..4], 32u32.to_ne_bytes());
        let short: std::collections::BTreeSet<_> =
            (0..MOST_ENTRIES).map(|number| key(Access::Key, 1, number)).collect();
        assert_eq!(short.len(), MOST_ENTRIES as usize);
        assert_eq!(key(Access::Taken, 0, 3), Vec::<u8>::new());
    }

    #[test]
    fn every_map_that_is_not_filled_says_why() {
        for kind in ["prog_array", "hash_of_maps", "ringbuf", "task_storage", "bloom_filter", "sockmap", "99"] {
            assert!(access(kind).is_err(), "{kind}");
        }
    }
}
