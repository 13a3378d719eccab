//! [`BpfCall`]: a `bpf(2)` call of a loader, as its caller's memory shows it. The layouts are those of `union bpf_attr`.

use std::io::{IoSlice, IoSliceMut};

use corematrix_record::MapDefinition;
use libbpf_rs::libbpf_sys as sys;
use nix::sys::uio::{RemoteIoVec, process_vm_readv, process_vm_writev};
use nix::unistd::Pid;

use crate::type_name::map_type_name;

/// What of `union bpf_attr` is read; calls that are looked at need less.
const ATTR: usize = 160;
/// More instructions than the kernel takes.
const MOST_INSNS: u32 = 1 << 20;
/// Types of an object, at most.
const MOST_BTF: u32 = 16 << 20;
/// Function records of a program, at most, and their bytes.
const MOST_FUNCTIONS: u32 = 1 << 16;
const MOST_FUNCTION_RECORD: u32 = 64;
/// A verifier log, at most: what it says comes at its end.
const MOST_LOG: usize = 64 << 20;
/// Where the level of the log is in the attribute of a load, and one that no kernel knows.
const LOG_LEVEL: u64 = 24;
const UNKNOWN_LEVEL: u32 = 1 << 31;
/// Logs are read in pieces, since most are far shorter than their room.
const LOG_PIECE: usize = 64 << 10;

/// A call that makes a map, loads types, or loads a program.
pub enum BpfCall {
    /// `BPF_MAP_CREATE`.
    MapCreate(MapCreate),
    /// `BPF_BTF_LOAD`.
    BtfLoad(BtfLoad),
    /// `BPF_PROG_LOAD`.
    ProgLoad(ProgLoad),
}

/// A map that was to be made.
pub struct MapCreate {
    /// As the kernel keeps it: 15 bytes.
    pub name: String,
    /// What was asked for.
    pub definition: MapDefinition,
    /// The descriptor of the map that those in it are like, for a map of maps.
    pub inner: u32,
    /// Its descriptor or an errno.
    pub result: Result<i32, i32>,
}

/// Types that were to be loaded.
pub struct BtfLoad {
    /// All of them.
    pub bytes: Vec<u8>,
    /// The descriptor or an errno.
    pub result: Result<i32, i32>,
}

/// A program that was to be loaded.
pub struct ProgLoad {
    /// As the kernel keeps it: 15 bytes.
    pub name: String,
    /// Its instructions, 8 bytes each.
    pub insns: Vec<u8>,
    /// Its functions: the first instruction, and the id of the function's type.
    pub functions: Vec<(u32, u32)>,
    /// The descriptor of its types; 0 for none.
    pub btf: u32,
    /// What the verifier wrote.
    pub log: Vec<u8>,
    /// Its descriptor or an errno.
    pub result: Result<i32, i32>,
}

/// A call that has not returned yet.
pub struct PendingCall {
    call: BpfCall,
    /// Where the verifier writes, and how much.
    log: (u64, usize),
    /// Where the caller's memory was changed so that the kernel refuses the call, and what was there.
    refused: Option<(u64, [u8; 4])>,
}

/// A word of an attribute.
struct Attr([u8; ATTR]);

impl Attr {
    fn word(&self, at: usize) -> u32 {
        u32::from_ne_bytes([self.0[at], self.0[at + 1], self.0[at + 2], self.0[at + 3]])
    }

    fn address(&self, at: usize) -> u64 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.0[at..at + 8]);
        u64::from_ne_bytes(bytes)
    }

    fn name(&self, at: usize) -> String {
        let bytes = &self.0[at..at + 16];
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        String::from_utf8_lossy(&bytes[..end]).into_owned()
    }
}

impl PendingCall {
    /// Reads a call as it begins; `None` if it is none of those that are looked at, or cannot be read.
    pub fn read(caller: Pid, command: u64, attr: u64, size: u64) -> Option<PendingCall> {
        let command = u32::try_from(command).ok()?;
        if ![sys::BPF_MAP_CREATE, sys::BPF_BTF_LOAD, sys::BPF_PROG_LOAD].contains(&command) {
            return None;
        }
        let given = memory(caller, attr, usize::try_from(size).ok()?.min(ATTR))?;
        let mut all = Attr([0; ATTR]);
        all.0[..given.len()].copy_from_slice(&given);
        let pending = |call, log| PendingCall { call, log, refused: None };
        Some(match command {
            sys::BPF_MAP_CREATE => pending(BpfCall::MapCreate(map_create(&all)), (0, 0)),
            sys::BPF_BTF_LOAD => {
                let bytes = memory(caller, all.address(0), all.word(16).min(MOST_BTF) as usize)?;
                pending(BpfCall::BtfLoad(BtfLoad { bytes, result: Err(0) }), (0, 0))
            }
            _ => {
                let log = (all.address(32), all.word(28) as usize);
                pending(BpfCall::ProgLoad(prog_load(caller, &all)?), log)
            }
        })
    }

    /// Whether it is to load the program of this name, as the kernel keeps it, and gives the kernel no room for a log.
    pub fn loads_without_log(&self, name: &str) -> bool {
        matches!(&self.call, BpfCall::ProgLoad(load) if load.name == name) && (self.log.0 == 0 || self.log.1 == 0)
    }

    /// Has the kernel refuse a load whose attribute is at `attr`, as it does for any level of the log that it does not know.
    pub fn refuse(&mut self, caller: Pid, attr: u64) {
        let place = attr.wrapping_add(LOG_LEVEL);
        let Some(known) = memory(caller, place, 4).and_then(|bytes| bytes.first_chunk::<4>().copied()) else { return };
        if write(caller, place, &UNKNOWN_LEVEL.to_ne_bytes()) {
            self.refused = Some((place, known));
        }
    }

    /// The call once it has returned; `result` is an errno or what it gave. `None` for one that was to be refused.
    pub fn returned(self, caller: Pid, result: Result<i32, i32>) -> Option<BpfCall> {
        if let Some((place, known)) = self.refused {
            write(caller, place, &known);
            if result.is_err() {
                return None;
            }
        }
        Some(match self.call {
            BpfCall::MapCreate(call) => BpfCall::MapCreate(MapCreate { result, ..call }),
            BpfCall::BtfLoad(call) => BpfCall::BtfLoad(BtfLoad { result, ..call }),
            BpfCall::ProgLoad(call) => {
                BpfCall::ProgLoad(ProgLoad { result, log: text(caller, self.log.0, self.log.1), ..call })
            }
        })
    }
}

fn map_create(attr: &Attr) -> MapCreate {
    let definition = MapDefinition {
        map_type: Some(map_type_name(attr.word(0))),
        key_size: Some(attr.word(4)),
        value_size: Some(attr.word(8)),
        max_entries: Some(attr.word(12)),
        map_flags: Some(attr.word(16)).filter(|flags| *flags != 0),
    };
    MapCreate { name: attr.name(28), definition, inner: attr.word(20), result: Err(0) }
}

fn prog_load(caller: Pid, attr: &Attr) -> Option<ProgLoad> {
    let insns = memory(caller, attr.address(8), attr.word(4).min(MOST_INSNS) as usize * 8)?;
    let (count, size) = (attr.word(88).min(MOST_FUNCTIONS), attr.word(76).min(MOST_FUNCTION_RECORD) as usize);
    let functions = match size {
        8.. => memory(caller, attr.address(80), count as usize * size).unwrap_or_default(),
        _ => Vec::new(),
    };
    let record = |record: &[u8]| {
        let word = |at: usize| u32::from_ne_bytes([record[at], record[at + 1], record[at + 2], record[at + 3]]);
        (word(0), word(4))
    };
    let functions = functions.chunks_exact(size.max(8)).map(record).collect();
    let (name, btf) = (attr.name(48), attr.word(72));
    Some(ProgLoad { name, insns, functions, btf, log: Vec::new(), result: Err(0) })
}

/// Memory of another process; `None` if not all of it can be read.
fn memory(process: Pid, address: u64, length: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; length];
    if length == 0 {
        return Some(bytes);
    }
    let base = usize::try_from(address).ok()?;
    let remote = [RemoteIoVec { base, len: length }];
    let read = process_vm_readv(process, &mut [IoSliceMut::new(&mut bytes)], &remote).ok()?;
    (read == length).then_some(bytes)
}

/// Writes to memory of another process; whether all of it was written.
fn write(process: Pid, address: u64, bytes: &[u8]) -> bool {
    let Ok(base) = usize::try_from(address) else { return false };
    let remote = [RemoteIoVec { base, len: bytes.len() }];
    process_vm_writev(process, &[IoSlice::new(bytes)], &remote) == Ok(bytes.len())
}

/// A text of another process that ends with a zero byte, or with its room.
fn text(process: Pid, address: u64, room: usize) -> Vec<u8> {
    let mut text = Vec::new();
    while text.len() < room.min(MOST_LOG) {
        let length = LOG_PIECE.min(room - text.len());
        let Some(piece) = memory(process, address + text.len() as u64, length) else { break };
        match piece.iter().position(|byte| *byte == 0) {
            Some(end) => {
                text.extend_from_slice(&piece[..end]);
                break;
            }
            None => text.extend_from_slice(&piece),
        }
    }
    text
}
