//! A run in parts, merged, is the undivided run, and what is no whole run is refused.

use super::*;
use crate::record::Partition;
use crate::record::{KernelState, PartitionRecord, RunRecord};
use crate::record::{json, sample};

/// The record of a part of a run, as if its objects cost `costs`.
fn part_of(whole: &RunRecord, costs: &[usize], part: Partition) -> RunRecord {
    let mine = split(costs, part.of).into_iter().nth(part.number - 1).unwrap_or_default();
    let mut record = whole.clone();
    record.objects = mine.iter().map(|&object| whole.objects[object].clone()).collect();
    let kernels = 0..whole.kernels.len();
    record.cells =
        mine.iter().flat_map(|&object| kernels.clone().map(move |kernel| whole.cell(object, kernel).clone())).collect();
    let objects = whole.objects.iter().map(|object| object.name.clone()).collect();
    record.partition = Some(PartitionRecord { part, objects });
    record.started = format!("2026-11-22T18:00:{:02}Z", part.number);
    record.kernels.iter_mut().for_each(|kernel| kernel.hello_ms = vec![part.number as u64]);
    record
}

fn split_up(whole: &RunRecord, of: usize) -> Vec<RunRecord> {
    let costs: Vec<usize> = (0..whole.objects.len()).map(|object| 10 + object * 7 % 13).collect();
    (1..=of).map(|number| part_of(whole, &costs, Partition { number, of })).collect()
}

/// A run of 8 objects with names that differ.
fn whole() -> RunRecord {
    let mut record = sample::large(80, 5);
    let kernels = record.kernels.len();
    for o in 0..record.objects.len() {
        record.objects[o].name = format!("object-{o}");
        for k in 0..kernels {
            record.cells[o * kernels + k].object = format!("object-{o}");
        }
    }
    record
}

#[test]
fn a_run_in_parts_is_the_undivided_run_byte_for_byte() {
    let whole = whole();
    for of in [1, 2, 3, 5, 11] {
        let mut parts = split_up(&whole, of);
        // In any order.
        parts.rotate_left(of / 2);
        let merged = merge(&parts).unwrap();
        let bytes = |record: &RunRecord| json::render(&record.without_noise()).unwrap();
        assert_eq!(bytes(&merged), bytes(&whole), "{of}");
        assert_eq!(merged.started, "2026-11-22T18:00:01Z");
    }
}

#[test]
fn noise_is_all_that_is_taken_away() {
    let record = sample::record();
    let mut other = record.clone();
    other.started = "2027-01-01T00:00:00Z".to_owned();
    other.kernels[2].hello_ms.push(3);
    other.cells[2].wall_ms += 1;
    assert_eq!(record.without_noise(), other.without_noise());
    other.cells[2].programs[0].reason = Some("another".to_owned());
    assert_ne!(record.without_noise(), other.without_noise());
}

#[test]
fn what_is_no_whole_run_is_refused() {
    let whole = whole();
    let refusal = |parts: &[RunRecord]| merge(parts).unwrap_err().to_string();
    let parts = split_up(&whole, 3);
    let changed = |change: &dyn Fn(&mut RunRecord)| {
        let mut parts = parts.clone();
        change(&mut parts[1]);
        refusal(&parts)
    };
    let refusals = [
        refusal(&parts[..2]),
        refusal(&parts[1..2]),
        refusal(&[parts[0].clone(), parts[1].clone(), parts[1].clone()]),
        refusal(std::slice::from_ref(&whole)),
        refusal(&[]),
        refusal(&[split_up(&whole, 2), parts.clone()].concat()),
        changed(&|record| record.tool.libbpf = "1.6.0".to_owned()),
        changed(&|record| record.kernels[0].name = "4.19".to_owned()),
        changed(&|record| record.kernels[1].identity.as_mut().unwrap().release = "5.10.0-77".to_owned()),
        changed(&|record| record.objects[0].name = "lost".to_owned()),
    ];
    insta::assert_snapshot!(refusals.join("\n"), @"
    part 3/3 is missing
    parts 1/3, 3/3 are missing
    part 2/3 was given twice
    run 1 is not a part: it was run without `--partition`
    run 1 is not a part: it was run without `--partition`
    parts 1/2 and 1/3 are not of one run: they are of runs with different numbers of parts
    parts 1/3 and 2/3 are not of one run: one was run by corematrix 0.1.0 with libbpf 1.7.0, another by corematrix 0.1.0 with libbpf 1.6.0
    parts 1/3 and 2/3 are not of one run: the kernels are 5.4, 5.10, 5.15, 6.1, 6.6 in one part and 4.19, 5.10, 5.15, 6.1, 6.6 in another
    parts 1/3 and 2/3 are not of one run: kernel 5.10 is 5.10.0-9-cloud-amd64 in one part and 5.10.0-77 in another, or another build
    no part has the object `object-0`
    ");
}

#[test]
fn a_kernel_that_one_part_could_not_use_is_told() {
    let mut parts = split_up(&whole(), 2);
    let reason = "no hello".to_owned();
    parts[0].kernels[1].state = KernelState::BootFailed { reason, hint: None, console_tail: Vec::new() };
    parts[1].interrupted = true;
    parts[1].finished = None;
    let merged = merge(&parts).unwrap();
    assert_eq!(merged.kernels[1].state, KernelState::Ready);
    assert_eq!(merged.kernels[1].notes, ["unusable in one of the parts: no hello"]);
    assert!(merged.interrupted && merged.finished.is_none());
}

#[test]
fn parts_are_stable_and_of_equal_cost() {
    let costs: Vec<usize> = (0..40).map(|thing| 1000 + thing * 7919 % 5000).collect();
    for parts in [1, 2, 3, 5, 40, 41] {
        let split_once = split(&costs, parts);
        assert_eq!(split_once, split(&costs, parts));
        let mut all: Vec<usize> = split_once.concat();
        all.sort_unstable();
        assert_eq!(all, (0..40).collect::<Vec<_>>());
        let loads = split_once.iter().map(|part| part.iter().map(|&thing| costs[thing]).sum::<usize>());
        let (least, most) = (loads.clone().min().unwrap(), loads.max().unwrap());
        assert!(parts > 5 || most - least < 6000, "{parts}: {least} to {most}");
    }
    assert_eq!(split(&[5, 5, 5], 2), [vec![0, 2], vec![1]]);
    // Of more parts than anyone has machines most are empty, and take no memory.
    assert_eq!(split(&[5, 9], usize::MAX), [vec![1], vec![0]]);
    assert!(split(&[], 5).is_empty());
}

#[test]
fn partitions_are_read_as_they_are_written() {
    assert_eq!("2/5".parse(), Ok(Partition { number: 2, of: 5 }));
    assert_eq!(Partition { number: 2, of: 5 }.to_string(), "2/5");
    for bad in ["", "2", "0/3", "4/3", "1/0", "a/b", "-1/2", "1/2/3"] {
        assert!(bad.parse::<Partition>().is_err(), "{bad}");
    }
}
