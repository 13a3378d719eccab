//! What libbpf itself makes of relocations, on any two BTFs: its own functions are called, which it does not export.

use std::collections::HashMap;
use std::ffi::{CString, c_char, c_int, c_void};
use std::sync::Mutex;

use corematrix::core_relo::{ObjectRelocation, Resolution};
use corematrix::libbpf_log::relocations::LoggedRelocations;
use corematrix::object::btf_ext::RelocationKind;
use corematrix::protocol::libbpf_log::{Level, Line};
use libbpf_sys::{bpf_core_relo, bpf_insn, btf};

#[repr(C)]
struct Candidate {
    btf: *const btf,
    id: u32,
}

#[repr(C)]
struct CandidateList {
    candidates: *mut Candidate,
    length: c_int,
}

#[repr(C)]
#[derive(Default, Clone, Copy)]
struct Answer {
    old: u64,
    new: u64,
    poison: bool,
    validate: bool,
    fail_size: bool,
    sizes: [u32; 4],
}

/// `struct bpf_core_spec` is smaller.
const SPEC_BYTES: usize = 2048;

unsafe extern "C" {
    fn bpf_core_essential_name_len(name: *const c_char) -> usize;
    fn bpf_core_add_cands(
        local: *mut Candidate,
        length: usize,
        target: *const btf,
        name: *const c_char,
        first: c_int,
        list: *mut CandidateList,
    ) -> c_int;
    fn bpf_core_calc_relo_insn(
        program: *const c_char,
        record: *const bpf_core_relo,
        number: c_int,
        local: *const btf,
        list: *mut CandidateList,
        scratch: *mut c_void,
        answer: *mut Answer,
    ) -> c_int;
    fn bpf_core_patch_insn(
        program: *const c_char,
        insn: *mut bpf_insn,
        at: c_int,
        record: *const bpf_core_relo,
        number: c_int,
        answer: *const Answer,
    ) -> c_int;
    fn vsnprintf(to: *mut c_char, room: usize, format: *const c_char, arguments: *mut c_void) -> c_int;
    fn free(memory: *mut c_void);
}

/// What libbpf logs. It has one printer for the whole process.
static LINES: Mutex<Vec<Line>> = Mutex::new(Vec::new());

unsafe extern "C" fn print(_: u32, format: *const c_char, arguments: *mut libbpf_sys::__va_list_tag) -> c_int {
    let mut text = [0u8; 2048];
    // SAFETY: libbpf's format and arguments belong together, and the buffer has the room that is said.
    let length = unsafe { vsnprintf(text.as_mut_ptr().cast(), text.len(), format, arguments.cast()) };
    let end = usize::try_from(length).unwrap_or(0).min(text.len() - 1);
    let text = String::from_utf8_lossy(&text[..end]).into_owned();
    LINES.lock().unwrap().push(Line { level: Level::Debug, text });
    0
}

/// BTF as libbpf holds it.
pub struct Types {
    own: *mut btf,
    /// Of a module.
    _base: Option<std::rc::Rc<Types>>,
}

impl Types {
    /// `None` where libbpf refuses it.
    pub fn new(raw: &[u8]) -> Option<Types> {
        // SAFETY: libbpf copies the bytes.
        let own = unsafe { libbpf_sys::btf__new(raw.as_ptr().cast(), raw.len().try_into().unwrap()) };
        (!own.is_null()).then_some(Types { own, _base: None })
    }

    fn name(&self, id: u32) -> Option<*const c_char> {
        // SAFETY: ids and offsets that are not there give null.
        unsafe {
            let found = libbpf_sys::btf__type_by_id(self.own, id);
            (!found.is_null()).then(|| libbpf_sys::btf__name_by_offset(self.own, (*found).name_off))
        }
    }
}

impl Drop for Types {
    fn drop(&mut self) {
        // SAFETY: it was made by `btf__new` and no one else has it.
        unsafe { libbpf_sys::btf__free(self.own) };
    }
}

/// libbpf's record of a relocation. The offset of the access string is that of the object's BTF.
pub fn record(relocation: &ObjectRelocation, access: u32) -> bpf_core_relo {
    let record = &relocation.record;
    bpf_core_relo {
        insn_off: record.insn_offset,
        type_id: record.type_id,
        access_str_off: access,
        kind: number(record.kind),
    }
}

fn number(kind: RelocationKind) -> u32 {
    (0..13).find(|&number| RelocationKind::from(number) == kind).unwrap_or(99)
}

/// Does with each relocation what `bpf_object__relocate_core` does.
pub fn resolve(local: &Types, target: &Types, relocations: &[(bpf_core_relo, &ObjectRelocation)]) -> Vec<Resolution> {
    // SAFETY: the printer has the type that libbpf asks for.
    unsafe { libbpf_sys::libbpf_set_print(Some(print)) };
    let program = CString::new("p").unwrap();
    let mut lists: HashMap<u32, CandidateList> = HashMap::new();
    let mut resolutions = Vec::new();
    for (record, relocation) in relocations {
        LINES.lock().unwrap().clear();
        LINES
            .lock()
            .unwrap()
            .push(Line { level: Level::Debug, text: "libbpf: sec 's': found 1 CO-RE relocations\n".to_owned() });
        let Some(at) = relocation.insn else {
            let outcome = corematrix::record::RelocationOutcome::Skipped;
            resolutions.push(Resolution { local: String::new(), candidates: Vec::new(), outcome });
            continue;
        };
        let mut insns = [bpf_insn::default(); 2];
        for (insn, bytes) in insns.iter_mut().zip(relocation.bytes().chunks_exact(8)) {
            insn.code = bytes[0];
            insn.set_dst_reg(bytes[1] & 15);
            insn.set_src_reg(bytes[1] >> 4);
            insn.off = i16::from_le_bytes([bytes[2], bytes[3]]);
            insn.imm = i32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
        }
        let say = |text: String| {
            LINES
                .lock()
                .unwrap()
                .push(Line { level: Level::Debug, text: format!("libbpf: prog 'p': relo #0: {text}\n") });
        };
        if let Err(code) = list(&mut lists, local, target, record) {
            say(format!("target candidate search failed for: {code}"));
        } else {
            let mut empty = CandidateList { candidates: std::ptr::null_mut(), length: 0 };
            let list = lists.get_mut(&record.type_id).unwrap_or(&mut empty);
            let mut answer = Answer::default();
            let mut scratch = vec![0u64; 3 * SPEC_BYTES / 8];
            // SAFETY: all are valid for the call; the scratch has room for three specs.
            let result = unsafe {
                let scratch = scratch.as_mut_ptr().cast();
                bpf_core_calc_relo_insn(program.as_ptr(), record, 0, local.own, list, scratch, &mut answer)
            };
            if result != 0 {
                say(format!("failed to relocate: {result}"));
                // libbpf gives up here, with a list half rewritten. We go on, with a new one.
                if let Some(list) = lists.remove(&record.type_id) {
                    // SAFETY: libbpf allocated it.
                    unsafe { free(list.candidates.cast()) };
                }
            } else {
                // SAFETY: there are two instructions, as a wide one takes.
                let result = unsafe {
                    bpf_core_patch_insn(program.as_ptr(), insns.as_mut_ptr(), at as c_int, record, 0, &answer)
                };
                if result != 0 {
                    say(format!("failed to patch insn #{at}: {result}"));
                }
            }
        }
        let mut log = LoggedRelocations::read(&LINES.lock().unwrap());
        let (_, found) = log.relocations.pop_first().expect("libbpf says something of each relocation");
        resolutions.push(Resolution { local: found.local, candidates: found.candidates, outcome: found.outcome });
    }
    for list in lists.into_values() {
        // SAFETY: libbpf allocated it.
        unsafe { free(list.candidates.cast()) };
    }
    resolutions
}

/// The candidates of a local type, looked up once.
fn list(
    lists: &mut HashMap<u32, CandidateList>,
    local: &Types,
    target: &Types,
    record: &bpf_core_relo,
) -> Result<(), i32> {
    if record.kind == 6 || lists.contains_key(&record.type_id) {
        return Ok(());
    }
    let name = local.name(record.type_id).ok_or(-22)?;
    // SAFETY: it is a string of the BTF.
    if unsafe { *name } == 0 {
        return Err(-22);
    }
    let mut list = CandidateList { candidates: std::ptr::null_mut(), length: 0 };
    let mut wanted = Candidate { btf: local.own, id: record.type_id };
    // SAFETY: all are valid for the call.
    let result = unsafe {
        let length = bpf_core_essential_name_len(name);
        bpf_core_add_cands(&mut wanted, length, target.own, c"vmlinux".as_ptr(), 1, &mut list)
    };
    lists.insert(record.type_id, list);
    if result == 0 { Ok(()) } else { Err(result) }
}
