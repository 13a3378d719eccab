//! Fallback coverage of the stories of `programs/` on three kernels: exactly the side is live that the kernel's BTF asks for. Needs
//! `make programs`, virtme-ng, QEMU and the kernels.

#![allow(clippy::unwrap_used)]

#[path = "stories/fact.rs"]
mod fact;

use std::path::Path;
use std::process::Command;

use corematrix::coverage::{Analysis, GuardRecord, Level, Liveness, proven, sides};
use corematrix::object::btf::Btf;
use corematrix::object::{ObjectTypes, find_objects};
use corematrix::record::RunRecord;
use corematrix::report::coverage::lcov;
use corematrix::store::{LockFile, Store};
use corematrix::verdict::Verdict;

use Liveness::{Dead, Live};
use fact::Fact;
use object::{Object as _, ObjectSymbol as _};

const KERNELS: [&str; 3] = ["5.10", "6.12", "7.3"];

/// Guards that are always reached where their program loads: object, program, what is asked, and the fact that decides.
const GUARDS: [(&str, &str, &str, &str); 21] = [
    ("bio-disk", "guarded", "struct bio___new.bi_bdev", "field bio.bi_bdev"),
    ("bpf-strncmp", "guarded", "enum bpf_func_id::BPF_FUNC_strncmp", "enumerator bpf_func_id.BPF_FUNC_strncmp"),
    ("capability-set", "guarded", "struct cred___new.cap_effective.val", "field cred.cap_effective.val"),
    ("ctime-width", "naive", "struct inode___careless.i_ctime_nsec", "field inode.i_ctime_nsec"),
    ("ctime-width", "guarded", "struct inode___new.i_ctime_nsec", "field inode.i_ctime_nsec"),
    ("hrtimer-state", "guarded", "struct hrtimer___new.is_queued", "field hrtimer.is_queued"),
    ("inet-csk-accept", "guarded", "struct proto_accept_arg___new", "type struct proto_accept_arg"),
    ("inode-ctime", "two_way", "struct inode___second.__i_ctime", "field inode.__i_ctime"),
    ("inode-ctime", "guarded", "struct inode___third.i_ctime_sec", "field inode.i_ctime_sec"),
    ("iter-type", "guarded", "struct iov_iter___new.iter_type", "field iov_iter.iter_type"),
    ("kernfs-parent", "guarded", "struct kernfs_node___new.__parent", "field kernfs_node.__parent"),
    ("module-layout", "guarded", "struct module___new.mem", "field module.mem"),
    ("on-cpu-width", "guarded", "struct task_struct.on_cpu", "field-size task_struct.on_cpu == 1"),
    ("request-disk", "guarded", "struct request_queue___new.disk", "field request_queue.disk"),
    ("rss-stat", "guarded", "struct mm_struct___old.rss_stat.count", "field mm_struct.rss_stat.count"),
    ("sched-switch-state", "guarded", "struct task_struct___new.__state", "field task_struct.__state"),
    ("slab-cpu-cache", "guarded", "struct kmem_cache.cpu_slab", "field kmem_cache.cpu_slab"),
    ("task-state", "guarded", "struct task_struct___new.__state", "field task_struct.__state"),
    ("tty-driver-type", "guarded", "struct tty_driver___new.type", "type enum tty_driver_type"),
    ("userns-count", "two_way", "struct user_namespace___first.count", "field user_namespace.count"),
    ("userns-count", "guarded", "struct user_namespace___third.ns.__ns_ref", "field user_namespace.ns.__ns_ref"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn corematrix(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_corematrix")).current_dir(root()).args(args).output().unwrap();
    assert!(output.status.code() < Some(2), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn types(record: &RunRecord) -> Vec<Btf> {
    let store = Store::open(None).unwrap();
    let sha256 = |kernel: &corematrix::record::KernelRecord| kernel.identity.clone().unwrap().btf_sha256.unwrap();
    record.kernels.iter().map(|kernel| Btf::parse(&store.btf(&sha256(kernel)).unwrap()).unwrap()).collect()
}

#[test]
fn the_side_is_live_that_the_kernels_btf_asks_for() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().display().to_string();
    let kernels = KERNELS.iter().flat_map(|kernel| ["--kernel", kernel]);
    let args: Vec<&str> = ["run", "target/programs", "--out", &out].into_iter().chain(kernels).collect();
    let table = corematrix(&args);
    assert!(table.contains("Fallback coverage: "), "{table}");
    let record = corematrix::report::json::read(&folder.path().join("report.json")).unwrap();
    let types = types(&record);
    let mut differences = Vec::new();
    for (name, program, asked, fact) in GUARDS {
        let object = record.objects.iter().position(|object| object.name == name).unwrap();
        let told = &record.objects[object];
        let program = told.programs.iter().position(|known| known.name == program).unwrap();
        let wanted = |guard: &GuardRecord| guard.asked == asked && guard.programs == [program];
        let number =
            told.coverage.guards.iter().position(wanted).unwrap_or_else(|| panic!("{name}: no guard `{asked}`"));
        let fact = Fact::parse(fact).unwrap();
        let mut layouts = [false; 2];
        for (kernel, btf) in types.iter().enumerate() {
            let cell = record.cell(object, kernel);
            let found = cell.coverage.guards[number];
            let yes = fact.holds(btf);
            let loaded = cell.programs[program].verdict == Verdict::Loaded;
            let verified = match (loaded, yes) {
                (false, _) => [Liveness::Unknown; 2],
                (true, true) => [Live, Dead],
                (true, false) => [Dead, Live],
            };
            layouts[usize::from(!yes)] |= loaded;
            if (found.resolved, found.verified) != (Some(yes), verified) {
                differences.push(format!("{name} {asked} on {}: {found:?}, the fact is {yes}", cell.kernel));
            }
        }
        // The union over the matrix proves what the matrix has.
        let union = [0, 1].map(|side| !proven(&record, object, number, side, Level::Verified).is_empty());
        if union != layouts {
            differences.push(format!("{name} {asked}: proven {union:?}, and the matrix has {layouts:?}"));
        }
    }
    assert!(differences.is_empty(), "{} differences:\n  {}", differences.len(), differences.join("\n  "));
    levels_do_not_contradict(&record);
    reports_agree(&record, &out);
}

/// A relocation is a constant to the verifier: what it leaves is on the side that the kernel's answer picks.
fn levels_do_not_contradict(record: &RunRecord) {
    for (index, cell) in record.cells.iter().enumerate() {
        let guards = &record.objects[index / record.kernels.len()].coverage.guards;
        for (guard, proof) in guards.iter().zip(&cell.coverage.guards).filter(|(guard, _)| guard.relocation.is_some()) {
            for (side, liveness) in proof.verified.into_iter().enumerate() {
                let picked = proof.resolved == Some(side == 0);
                assert!(liveness != Live || picked, "{} {} on {}: {proof:?}", cell.object, guard.name(), cell.kernel);
            }
        }
    }
}

/// Of the objects of the stories and of the ten that nobody here wrote: each relocation that asks for existence is one guard, and each
/// weak extern is at least one.
#[test]
fn every_guard_is_counted() {
    let store = Store::open(None).unwrap();
    let lock = LockFile::open(&root().join("kernels.lock")).unwrap();
    let package = store.debian_package("libbpf-tools", &["bookworm".to_owned()], &lock, false, &|_| {}).unwrap();
    let tools = [
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
    ];
    let mut inputs: Vec<_> = tools.iter().map(|tool| package.join("usr/sbin").join(tool)).collect();
    inputs.push(root().join("target/programs"));
    let objects = find_objects(&inputs).unwrap().objects;
    assert!(objects.len() > 40);
    let mut total = 0;
    for object in objects {
        let types = ObjectTypes::read(&object.bytes).unwrap();
        let kinds = ["field_exists", "type_exists", "type_matches", "enumval_exists"];
        let asking = types.relocations.iter().filter(|one| kinds.contains(&one.kind.to_string().as_str())).count();
        let programs: Vec<&str> =
            object.inventory.as_ref().unwrap().programs.iter().map(|one| one.name.as_str()).collect();
        let guards = Analysis::of(&object.bytes, &programs).guards;
        assert_eq!(guards.iter().filter(|guard| guard.kind.is_existence()).count(), asking, "{}", object.name);
        let elf = object::File::parse(&*object.bytes).unwrap();
        for symbol in elf.symbols().filter(|symbol| symbol.is_weak() && symbol.is_undefined()) {
            let name = symbol.name().unwrap();
            assert!(guards.iter().any(|guard| guard.asked == name), "{}: {name}", object.name);
        }
        total += asking;
    }
    assert!(total > 40, "{total}");
}

/// The tracefiles say of lines and branches what the record says.
fn reports_agree(record: &RunRecord, out: &str) {
    let objects: Vec<usize> = (0..record.objects.len()).collect();
    for level in [Level::Resolved, Level::Verified] {
        let text = lcov::render(record, &objects, level);
        let sum = |key: &str| -> usize {
            text.lines().filter_map(|line| line.strip_prefix(key)).map(|number| number.parse::<usize>().unwrap()).sum()
        };
        let all = objects.iter().flat_map(|&object| {
            sides(&record.objects[object].coverage.guards).map(move |(guard, side)| (object, guard, side))
        });
        let placed: Vec<_> =
            all.filter(|&(object, guard, _)| record.objects[object].coverage.guards[guard].source.is_some()).collect();
        let hit =
            placed.iter().filter(|(object, guard, side)| !proven(record, *object, *guard, *side, level).is_empty());
        assert_eq!((sum("BRF:"), sum("BRH:")), (placed.len(), hit.count()), "{level:?}");
        assert_eq!(sum("LF:"), text.lines().filter(|line| line.starts_with("DA:")).count());
    }
    let source = corematrix(&["coverage", out, "inode-ctime", "--source"]);
    assert!(source.contains("+++") && source.contains("if (bpf_core_field_exists(second->__i_ctime))"), "{source}");
    let unproven = corematrix(&["coverage", out, "inode-ctime", "--unproven"]);
    assert!(unproven.contains("needs a kernel that has `struct inode___second.__i_ctime`"), "{unproven}");
}
