//! Complaints as kernels write them, shortened.

use super::*;

const WARN: &str = "\
------------[ cut here ]------------
Illegal XDP return value 42, expect packet loss!
WARNING: CPU: 0 PID: 71 at net/core/filter.c:7420 bpf_warn_invalid_xdp_action+0x36/0x40
Modules linked in: virtio_console
CPU: 0 PID: 71 Comm: init Not tainted 5.10.0-32-cloud-amd64 #1 Debian 5.10.223-1
Call Trace:
 <IRQ>
 do_xdp_generic+0x1c/0x80
 </IRQ>
 <TASK>
 </TASK>
---[ end trace 8a4e2f9c0d1b3a57 ]---
";
const NEW_WARN: &str = "\
------------[ cut here ]------------
WARNING: kernel/bpf/verifier.c:2210 at reg_bounds_sanity_check+0x15/0x20, CPU#1: init/80
RIP: 0010:reg_bounds_sanity_check+0x15/0x20
---[ end trace 0000000000000000 ]---
";
const REFCOUNT: &str = "\
------------[ cut here ]------------
refcount_t: underflow; use-after-free.
WARNING: CPU: 0 PID: 9 at lib/refcount.c:28 refcount_warn_saturate+0xba/0x110
---[ end trace 0000000000000000 ]---
";
const KASAN: &str = "\
==================================================================
BUG: KASAN: slab-out-of-bounds in array_map_lookup_elem+0x12/0x34
Read of size 8 at addr ffff888100a3c008 by task init/71

Call Trace:
 <TASK>
 dump_stack_lvl+0x1/0x2
 </TASK>

Allocated by task 71:
==================================================================
";
const LOCKDEP: &str = "
======================================================
WARNING: possible circular locking dependency detected
6.12.0 #1 Not tainted
------------------------------------------------------
init/71 is trying to acquire lock:
stack backtrace:
CPU: 0 UID: 0 PID: 71 Comm: init
Call Trace:
 <TASK>
 dump_stack_lvl+0x1/0x2
 </TASK>
";
const OOPS: &str = "\
BUG: kernel NULL pointer dereference, address: 0000000000000008
#PF: supervisor read access in kernel mode
Oops: 0000 [#1] SMP NOPTI
CPU: 0 PID: 71 Comm: init Not tainted
Call Trace:
 <TASK>
 </TASK>
Modules linked in:
---[ end trace 0000000000000000 ]---
RIP: 0010:foo+0x1/0x2
";
const STALLS: &str = "\
watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [init:71]
Modules linked in:
Call Trace:
 <TASK>
 </TASK>
clocksource: timekeeping watchdog on CPU0: Marking clocksource 'tsc' as unstable because the skew is too large:
clocksource:                       'hpet' wd_nsec: 503967744
clocksource: 'tsc' is not current clocksource.
random: crng reseeded
INFO: task kworker/0:1:12 blocked for more than 120 seconds.
      Not tainted 6.12.0 #1
";
const REMARKS: &str = "\
init[71] is installing a program with bpf_probe_write_user helper that may corrupt user memory!
clocksource: Switched to clocksource tsc
DEBUG: all is well
traps: init[72] general protection fault ip:55 sp:7ff error:0 in init
==================================================================
nothing of interest
==================================================================
=======================================================
WARNING: The mand mount option has been deprecated and
         and is ignored by this kernel. Remove the mand
=======================================================
";

fn read(lines: &str) -> Vec<KernelWarning> {
    let mut log = KernelLog::default();
    log.read(Some("p".to_owned()), lines);
    log.finish().0
}

#[test]
fn complaints_are_told_from_remarks_and_from_each_other() {
    let all = [REMARKS, WARN, REMARKS, NEW_WARN, REFCOUNT, KASAN, LOCKDEP, OOPS, REMARKS, STALLS, REMARKS].concat();
    let found = read(&all);
    let lines: Vec<String> = found
        .iter()
        .map(|warning| {
            let lines: Vec<&str> = warning.text.lines().collect();
            let last = lines[lines.len() - 1].trim();
            format!("{}: {} [{} lines, to `{last}`]", warning.kind.label(), warning.headline, lines.len())
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @"
    warning: WARNING: at net/core/filter.c:7420 bpf_warn_invalid_xdp_action: Illegal XDP return value 42, expect packet loss! [12 lines, to `---[ end trace 8a4e2f9c0d1b3a57 ]---`]
    warning: WARNING: kernel/bpf/verifier.c:2210 at reg_bounds_sanity_check [4 lines, to `---[ end trace 0000000000000000 ]---`]
    reference count error: WARNING: at lib/refcount.c:28 refcount_warn_saturate: refcount_t: underflow; use-after-free. [4 lines, to `---[ end trace 0000000000000000 ]---`]
    sanitizer report: BUG: KASAN: slab-out-of-bounds in array_map_lookup_elem [11 lines, to `==================================================================`]
    locking error: WARNING: possible circular locking dependency detected [11 lines, to `</TASK>`]
    bug: BUG: kernel NULL pointer dereference, address: 0000000000000008 [9 lines, to `---[ end trace 0000000000000000 ]---`]
    stall: watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [init:71] [6 lines, to `</TASK>`]
    clock problem: clocksource: timekeeping watchdog on CPU0: Marking clocksource 'tsc' as unstable because the skew is too large: [3 lines, to `clocksource: 'tsc' is not current clocksource.`]
    stall: INFO: task kworker/0:1:12 blocked for more than 120 seconds. [6 lines, to `traps: init[72] general protection fault ip:55 sp:7ff error:0 in init`]
    ");
    // Alone they are the same.
    let alone = [WARN, NEW_WARN, REFCOUNT, KASAN, LOCKDEP, OOPS, STALLS].map(read).concat();
    assert_eq!(
        alone.iter().map(|one| &one.headline).collect::<Vec<_>>(),
        found.iter().map(|one| &one.headline).collect::<Vec<_>>()
    );
    assert_eq!(read(REMARKS), []);
    assert_eq!(read(WARN)[0].program.as_deref(), Some("p"));
}

#[test]
fn a_flood_is_bounded_and_repeats_are_counted() {
    let mut log = KernelLog::default();
    log.read(None, &WARN.repeat(3));
    let long = format!("BUG: scheduling while atomic: init/71/0x2\n{}", "a line\n".repeat(1000));
    log.read(None, &long);
    for letter in 'a'..='z' {
        log.read(None, &format!("BUG: {letter}\n---[ end trace 0 ]---\n"));
    }
    log.note_missing("it was written faster than read");
    let (warnings, notes) = log.finish();
    assert_eq!((warnings.len(), warnings[0].count), (MOST_IN_CELL, 3));
    assert!(warnings[1].text.ends_with("(901 more lines)"), "{}", warnings[1].text);
    assert_eq!(
        notes,
        [
            "the kernel log could not be read completely: it was written faster than read",
            "the kernel logged 12 more warnings, which are omitted"
        ]
    );
}

#[test]
fn a_taint_without_words_is_a_complaint_of_its_own() {
    let of = |lines: &str, bits: u64| {
        let mut log = KernelLog::default();
        log.read(None, lines);
        log.taint(bits);
        let (warnings, notes) = log.finish();
        (warnings.into_iter().map(|warning| (warning.kind, warning.headline)).collect::<Vec<_>>(), notes)
    };
    let headline = "the kernel became tainted (W: a warning), but its log gives no reason".to_owned();
    assert_eq!(of("", 1 << 9), (vec![(WarningKind::Taint, headline)], Vec::new()));
    assert_eq!(of(WARN, 1 << 9).0.len(), 1);
    let modules = "the kernel became tainted: E: an unsigned module was loaded, unknown bits 0x80000".to_owned();
    assert_eq!(of("", 1 << 13 | 1 << 19), (Vec::new(), vec![modules]));
}

#[test]
fn what_emulation_brings_about_is_noise() {
    let noise = |accel| read(STALLS).iter().map(|warning| warning.is_noise(accel)).collect::<Vec<_>>();
    assert_eq!((noise("tcg"), noise("kvm")), (vec![true, true, true], vec![false, true, false]));
    assert!(!read(WARN)[0].is_noise("tcg"));
}

#[test]
fn the_same_complaint_of_another_release_is_the_same() {
    let other = WARN.replace(":7420", ":7433").replace("PID: 71", "PID: 8");
    assert!(read(WARN)[0].is_like(&read(&other)[0]));
    assert!(!read(WARN)[0].is_like(&read(NEW_WARN)[0]));
}

#[test]
fn line_that_comes_by_chance_is_not_what_a_warning_says() {
    let beside = "tsc: Refined TSC clocksource calibration: 2596.144 MHz\n\
        clocksource: tsc: mask: 0xffffffffffffffff max_cycles: 0x256c0161b7a, max_idle_ns: 440795284980 ns\n\
        clocksource: Switched to clocksource tsc\n";
    for warning in [WARN, NEW_WARN] {
        let (cut, rest) = warning.split_once('\n').expect("has lines");
        let (alone, mixed) = (splats(warning), format!("{cut}\n{beside}{rest}"));
        let mixed = splats(&mixed);
        assert_eq!((mixed.len(), mixed[0].headline()), (1, alone[0].headline()));
    }
}
