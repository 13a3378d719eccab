//! [`differences`]: fallback coverage of the stories: exactly the side of each guard is proven that the kernel's BTF asks for, at every
//! level, and the matrix proves the sides of which it has the layout.

use corematrix::coverage::{ProofLevel, on_kernel, proven};
use corematrix::record::ExerciseRecord;
use corematrix::record::RunRecord;
use corematrix::record::{GuardRecord, Liveness};

use crate::fact::{Fact, KernelFacts};

/// Guards that are always reached where their program loads: object, program, what the guard asks for, and the fact that decides.
const GUARDS: [(&str, &str, &str, &str); 22] = [
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
    ("xfs-groups", "guarded", "struct xfs_mount___third.m_groups", "in xfs field xfs_mount.m_groups"),
];

/// What the coverage of the record gets wrong, on the kernels that were judged. The run has to make programs run.
pub fn differences(record: &RunRecord, kernels: &[(usize, KernelFacts)]) -> Vec<String> {
    let mut wrong = Vec::new();
    let (mut seen_to_run, mut proven_to_run) = (0, 0);
    for (name, program, asked, fact) in GUARDS {
        let place = format!("{name}/{program} {asked}");
        let Some(object) = record.objects.iter().position(|object| object.name == name) else {
            wrong.push(format!("{place}: the run has no such object"));
            continue;
        };
        let object_record = &record.objects[object];
        let program = object_record.programs.iter().position(|known| known.name == program);
        let wanted = |guard: &GuardRecord| guard.asked == asked && program.is_some_and(|one| guard.programs == [one]);
        let (Some(program), Some(number)) = (program, object_record.coverage.guards.iter().position(wanted)) else {
            wrong.push(format!("{place}: there is no such guard"));
            continue;
        };
        let fact = Fact::parse(fact).expect("is a fact");
        let mut layouts = [false; 2];
        for (index, kernel) in kernels {
            let cell = record.cell(object, *index);
            let yes = fact.holds(kernel);
            let judged = &cell.programs[program];
            let loaded = judged.verdict.was_loaded();
            layouts[usize::from(!yes)] |= loaded && !fact.is_open(kernel);
            let ran = loaded && judged.exercise.as_ref().is_some_and(ExerciseRecord::ran);
            seen_to_run += usize::from(ran);
            for (side, picked) in [(0, yes), (1, !yes)] {
                let level = |level| on_kernel(record, object, *index, number, side, level);
                let found = [ProofLevel::Resolved, ProofLevel::Verified, ProofLevel::Executed].map(level);
                // Not every side lies on all ways through its program, so of what ran it may be unknown; most are proven.
                let executed = match (loaded, picked) {
                    (false, _) => None,
                    (true, false) => Some(false),
                    (true, true) => found[2].filter(|_| ran),
                };
                proven_to_run += usize::from(found[2] == Some(true));
                // What a machine with the module would answer is not known.
                let expected = match fact.is_open(kernel) {
                    true => [None; 3],
                    false => [Some(picked), loaded.then_some(picked), executed],
                };
                if found != expected {
                    let kernel = &cell.kernel;
                    wrong.push(format!("{place} on {kernel}, side {side}: {found:?}, and {expected:?} is right"));
                }
            }
        }
        let union = [0, 1].map(|side| !proven(record, object, number, side, ProofLevel::Verified).is_empty());
        if union != layouts {
            wrong.push(format!("{place}: proven {union:?}, and the matrix has {layouts:?}"));
        }
    }
    if seen_to_run == 0 || proven_to_run * 2 < seen_to_run {
        wrong.push(format!(
            "{seen_to_run} guarded programs ran, and {proven_to_run} of their sides are proven to have run"
        ));
    }
    wrong.extend(contradictions(record));
    wrong
}

/// A relocation is a constant to the verifier: what it leaves is on the side that the kernel's answer picks. What ran was left.
fn contradictions(record: &RunRecord) -> Vec<String> {
    let mut wrong = Vec::new();
    for (index, cell) in record.cells.iter().enumerate() {
        let guards = &record.objects[index / record.kernels.len()].coverage.guards;
        for (guard, proof) in guards.iter().zip(&cell.coverage.guards) {
            for (side, liveness) in proof.verified.into_iter().enumerate() {
                let picked = guard.relocation.is_none() || proof.resolved == Some(side == 0);
                let live = liveness == Liveness::Live;
                if (live && !picked) || (proof.executed[side] && !live) {
                    wrong.push(format!("{} {} on {}: {proof:?}", cell.object, guard.name(), cell.kernel));
                }
            }
        }
        for lines in &cell.coverage.programs {
            let gone = [&lines.dead, &lines.poisoned].map(|set| set.0.intersection(&lines.executed.0).count());
            if gone != [0, 0] || !lines.executed.0.is_subset(&lines.live.0) {
                wrong.push(format!("{} on {}: lines ran that are not left: {lines:?}", cell.object, cell.kernel));
            }
        }
    }
    wrong
}
