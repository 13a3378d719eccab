//! Records for the tests of the reports: [`record`] has one of everything, [`large`] is as wide and long as matrices get.

use crate::*;

/// What tries to break a report: escapes, control characters, XML, markup, wide characters.
pub const NASTY: &str = "\x1b[1;31mR1\x1b[0m <&\"'> ]]> \0\x08 ü 日本 `x`\u{fffe}";

/// A program that ended with `verdict` for `reason`; a refused one has a log.
pub fn program(name: &str, section: &str, verdict: Verdict, reason: Option<&str>) -> ProgramRecord {
    let described = ObjectProgram { name: name.to_owned(), section: section.to_owned() };
    let mut record = ProgramRecord::not_run(&described, "");
    record.verdict = verdict;
    record.reason = reason.map(str::to_owned);
    record.load_ms = 12;
    record.cause = match verdict {
        Verdict::RelocationFailed => Some(Cause::MissingField),
        Verdict::AttachTargetMissing => Some(Cause::MissingAttachTarget),
        Verdict::VerifierRejected => Some(Cause::ContextArgumentChanged),
        _ => Cause::of(verdict),
    };
    if verdict == Verdict::VerifierRejected {
        record.errno = Some(13);
        record.log_tail = vec![
            "; return *(int *)ctx;".to_owned(),
            "0: (61) r0 = *(u32 *)(r1 +4096)".to_owned(),
            NASTY.to_owned(),
            "invalid bpf_context access off=4096 size=4".to_owned(),
        ];
        record.log_omitted = 120;
        record.log_file = Some("logs/6.1/execsnoop/probe.log".to_owned());
    }
    record
}

/// A kernel that has been booted.
pub fn kernel(name: &str) -> KernelRecord {
    KernelRecord {
        name: name.to_owned(),
        source: format!("apt: linux-image-{name}.0-9-cloud-amd64"),
        optional: false,
        modules: Vec::new(),
        state: KernelState::Ready,
        identity: Some(KernelIdentity {
            release: format!("{name}.0-9-cloud-amd64"),
            image_sha256: "00".repeat(32),
            config_sha256: None,
            btf_sha256: Some("11".repeat(32)),
            given_btf_sha256: None,
        }),
        hello_ms: vec![2400],
        restore_ms: Vec::new(),
        notes: Vec::new(),
    }
}

/// An object with programs of these names and sections.
pub fn object(name: &str, programs: &[(&str, &str)]) -> ObjectRecord {
    let program =
        |(name, section): &(&str, &str)| ObjectProgram { name: (*name).to_owned(), section: (*section).to_owned() };
    ObjectRecord {
        name: name.to_owned(),
        origin: format!("objects/{name}.bpf.o"),
        sha256: "22".repeat(32),
        size: 12_345,
        programs: programs.iter().map(program).collect(),
        relocations: Vec::new(),
        broken: None,
        coverage: ObjectCoverage::default(),
        shape: None,
        machine: MachineSettings::default(),
        loading: LoadingRecord::default(),
        loader: None,
        beside: None,
    }
}

/// A record whose every cell is filled by `fill(object, program, kernel)`.
pub fn assemble(
    kernels: Vec<KernelRecord>,
    objects: Vec<ObjectRecord>,
    fill: impl Fn(usize, usize, usize) -> (Verdict, Option<String>),
) -> RunRecord {
    let mut cells = Vec::new();
    for (o, object) in objects.iter().enumerate() {
        for (k, kernel) in kernels.iter().enumerate() {
            let programs = object.programs.iter().enumerate().map(|(p, described)| {
                let (verdict, reason) = fill(o, p, k);
                program(&described.name, &described.section, verdict, reason.as_deref())
            });
            cells.push(CellRecord {
                kernel: kernel.name.clone(),
                object: object.name.clone(),
                whole: Some(WholeLoad { prepared: true, reason: None, left_out: Vec::new(), expected: None }),
                programs: programs.collect(),
                relocations: Vec::new(),
                dangers: Vec::new(),
                externs: Vec::new(),
                downgrades: Vec::new(),
                loader: None,
                modules: Vec::new(),
                coverage: CellCoverage::default(),
                prediction: None,
                upgrade: None,
                kernel_log: Vec::new(),
                privileges: None,
                wall_ms: 140,
                observed: None,
                machine: None,
                notes: Vec::new(),
            });
        }
    }
    RunRecord {
        schema_version: SCHEMA_VERSION,
        tool: ToolRecord {
            corematrix: "0.1.0".to_owned(),
            libbpf: "1.7.0".to_owned(),
            qemu: "10.0.2".to_owned(),
            virtme_ng: "1.42".to_owned(),
            accel: "tcg".to_owned(),
            accel_reason: "no kernel boots with KVM here".to_owned(),
            isolation: "shared".to_owned(),
        },
        started: "2026-11-22T18:00:00Z".to_owned(),
        finished: Some("2026-11-22T18:04:11Z".to_owned()),
        interrupted: false,
        kernels,
        objects,
        cells,
        notices: vec!["KVM does not work here, using TCG: expect a run to take ten times as long".to_owned()],
        alternatives: Vec::new(),
        optional: Vec::new(),
        minimum_coverage: None,
        partition: None,
    }
}

/// A relocation of the function `function`.
pub fn relocation(function: &str) -> CoreRelocation {
    CoreRelocation {
        section: "tracepoint/x".to_owned(),
        index: 0,
        function: function.to_owned(),
        insn: 3,
        kind: "byte_off".to_owned(),
        source: Some(SourcePlace {
            file: "src/execsnoop.bpf.c".to_owned(),
            line: 41,
            column: 7,
            text: "nsec = BPF_CORE_READ(inode, i_ctime_nsec);".to_owned(),
        }),
    }
}

/// The danger of a program that a kernel loads and cannot attach.
pub fn unattachable(program: &str) -> DangerRecord {
    let difference = Danger::CannotAttach { lacks: "`kprobe.multi` came with 5.18".to_owned() };
    DangerRecord {
        relocation: None,
        function: program.to_owned(),
        programs: vec![program.to_owned()],
        source: None,
        subject: program.to_owned(),
        words: difference.to_string(),
        difference,
    }
}

/// A danger of `relocation`, number `number` of its object, in the program that it lies in.
pub fn danger(number: usize, relocation: &CoreRelocation) -> DangerRecord {
    let difference = Danger::SizeChanged { local: 8, target: 4 };
    DangerRecord {
        relocation: Some(number),
        function: relocation.function.clone(),
        programs: vec![relocation.function.clone()],
        source: relocation.source.clone(),
        subject: "struct inode.i_ctime_nsec".to_owned(),
        words: difference.to_string(),
        difference,
    }
}

/// Four kernels, one of them unavailable and one not booting, and three objects with most verdicts.
pub fn record() -> RunRecord {
    let mut kernels = ["5.4", "5.10", "6.1", "6.12"].map(kernel).to_vec();
    kernels[0].optional = true;
    kernels[0].identity = None;
    kernels[0].hello_ms.clear();
    kernels[0].source = "mainline: v5.4".to_owned();
    kernels[0].state = KernelState::Unavailable {
        reason: "virtme-ng cannot download v5.4: the name of its server does not resolve".to_owned(),
        hint: Some(
            "connect this machine to the internet, or declare your own build with `source = \"path\"`".to_owned(),
        ),
    };
    kernels[1].hello_ms.clear();
    kernels[1].state = KernelState::BootFailed {
        reason: "no hello within 20s; the console ends with a kernel panic".to_owned(),
        hint: Some("read the console in `logs/5.10/console.log`".to_owned()),
        console_tail: vec![
            "[    1.2] Kernel panic - not syncing: No working init found.".to_owned(),
            NASTY.to_owned(),
            "[    1.3] ---[ end Kernel panic ]]>---".to_owned(),
        ],
    };
    kernels[2].notes.push("the package has no config: objects with kconfig externs cannot be judged".to_owned());
    let objects = vec![
        object(
            "execsnoop",
            &[
                ("tracepoint__syscalls__sys_enter_execve", "tracepoint/syscalls/sys_enter_execve"),
                ("tracepoint__syscalls__sys_exit_execve", "tracepoint/syscalls/sys_exit_execve"),
                ("vfs_read_entry", "fentry/vfs_read"),
                ("vfs_read_exit", "fexit/vfs_read"),
                ("probe", "kprobe/do_exit"),
            ],
        ),
        object("opensnoop", &[("open_enter", "tp_btf/sys_enter"), ("open_exit", "tp_btf/sys_exit")]),
        object(
            "hostile <object>",
            &[("it's \"odd\" & <new>", "kprobe/x"), ("slow", "kprobe/y"), ("deadly", "freplace/z")],
        ),
    ];
    let mut record = assemble(kernels, objects, |o, p, k| match (o, p, k) {
        (_, _, 0) => (Verdict::NotRun, Some("kernel `5.4` is unavailable".to_owned())),
        (_, _, 1) => (Verdict::NotRun, Some("kernel `5.10` did not boot".to_owned())),
        (0, 2 | 3, _) => {
            let reason = "`vfs_read` is not among the functions of this kernel's BTF".to_owned();
            (Verdict::AttachTargetMissing, Some(reason))
        }
        (0, 4, 2) => (Verdict::VerifierRejected, Some("invalid bpf_context access off=4096 size=4".to_owned())),
        (2, 0, 2) => (Verdict::RelocationFailed, Some(NASTY.to_owned())),
        (2, 1, 2) => (Verdict::TimedOut, Some("not loaded within 10s".to_owned())),
        (2, 2, 2) => (Verdict::KernelCrashed, Some("BUG: kernel NULL pointer dereference, address: 0".to_owned())),
        (2, 0, 3) => (Verdict::HarnessError, Some("the guest's answer was cut off".to_owned())),
        (2, 1, 3) => (Verdict::NotRun, Some("the run was interrupted".to_owned())),
        (2, 2, 3) => (Verdict::HarnessLimit, Some("an freplace program needs its target".to_owned())),
        _ => (Verdict::Loaded, None),
    });
    // `opensnoop` loads program by program on 6.12, but not as a loader loads it.
    let whole = WholeLoad {
        prepared: false,
        reason: Some("map `events`: type 27 is not supported".to_owned()),
        left_out: Vec::new(),
        expected: None,
    };
    record.cells[4 + 3].whole = Some(whole);
    record.notices.push(format!("odd notice {NASTY}"));
    record.objects[0].relocations.push(relocation("tracepoint__syscalls__sys_exit_execve"));
    for k in [2, 3] {
        // Two instructions of one line.
        let danger = danger(0, &record.objects[0].relocations[0]);
        record.cells[k].dangers = vec![danger.clone(), danger];
    }
    // `open_enter` is close to a limit on one of the kernels.
    for (k, used) in [(2, 870_123), (3, 12_345)] {
        record.cells[4 + k].programs[0].headroom = vec![
            LimitUse { limit: Limit::Instructions, used, most: 1_000_000 },
            LimitUse { limit: Limit::Stack, used: 64, most: 512 },
        ];
    }
    record
}

/// The same, with predictions from BTF where the first kernel is unavailable.
pub fn predicted() -> RunRecord {
    let mut record = record();
    let KernelState::Unavailable { reason, hint } = record.kernels[0].state.clone() else { return record };
    record.kernels[0].source = "btf: some-package 1.0 bullseye".to_owned();
    record.kernels[0].state =
        KernelState::Predicted { release: "5.4".to_owned(), btf_sha256: "5b".repeat(32), reason: Some(reason), hint };
    let outcomes = [
        PredictedOutcome::Resolves,
        PredictedOutcome::AbsentAndGuarded { absent: vec!["struct task_struct.__state".to_owned()] },
        PredictedOutcome::RejectedIfReached {
            missing: vec!["struct inode.i_ctime".to_owned(), NASTY.to_owned()],
            unfit: Vec::new(),
        },
        PredictedOutcome::MissingTarget { target: "vfs_read".to_owned(), why: None },
        PredictedOutcome::MissingKfunc { reason: "kfunc `bpf_x` is not in the kernel itself".to_owned() },
        PredictedOutcome::Refused { reason: NASTY.to_owned() },
        PredictedOutcome::Unknown { reason: "the program is too large to analyse".to_owned() },
    ];
    let kernels = record.kernels.len();
    let mut outcomes = outcomes.into_iter().cycle();
    for cell in record.cells.iter_mut().step_by(kernels) {
        for program in &mut cell.programs {
            program.reason = Some("predicted from BTF: no kernel was booted".to_owned());
        }
        let programs = outcomes.by_ref().take(cell.programs.len()).collect();
        cell.prediction = Some(CellPrediction { programs, relocations: Vec::new(), guards: Vec::new() });
    }
    record
}

/// `programs` programs in objects of about ten on `kernels` kernels; the older the kernel, the more of them fail.
pub fn large(programs: usize, kernels: usize) -> RunRecord {
    let names = ["5.4", "5.10", "5.15", "6.1", "6.6", "6.8", "6.10", "6.12", "6.17", "6.18", "6.19", "7.1", "7.3"];
    let kernels = (0..kernels).map(|k| kernel(&names.get(k).map_or(format!("8.{k}"), |name| (*name).to_owned())));
    let kernels: Vec<KernelRecord> = kernels.collect();
    let functions = ["do_sys_openat2", "vfs_read", "vfs_write", "tcp_v4_connect", "tcp_retransmit_skb"];
    let objects = (0..programs.div_ceil(10)).map(|o| {
        let in_object = (o * 10..programs.min(o * 10 + 10)).map(|p| {
            let function = functions[p % functions.len()];
            (
                format!("{}__{function}_{p}", if p % 2 == 0 { "handle_entry" } else { "return" }),
                format!("fentry/{function}"),
            )
        });
        let named: Vec<(String, String)> = in_object.collect();
        let borrowed: Vec<(&str, &str)> =
            named.iter().map(|(name, section)| (name.as_str(), section.as_str())).collect();
        object(["klockstat", "memleak", "tcplife", "biosnoop"][o % 4], &borrowed)
    });
    let objects: Vec<ObjectRecord> = objects.collect();
    assemble(kernels, objects, |o, p, k| match (o % 3, p, k) {
        (0, _, 0) => (Verdict::MissingBtf, Some("this kernel has no BTF".to_owned())),
        (0, 3, k) if k < 5 => (
            Verdict::AttachTargetMissing,
            Some("`tcp_retransmit_skb` is not among the functions of this kernel's BTF".to_owned()),
        ),
        (1, p, k) if p < 4 && k < 2 + p => (
            Verdict::RelocationFailed,
            Some(format!("<byte_off> [{p}] struct task_struct.field_{p} (0:1 @ offset 4): no such field")),
        ),
        (1, 5, k) if k > 8 => (Verdict::VerifierRejected, Some(format!("R{k} invalid mem access 'scalar'"))),
        _ => (Verdict::Loaded, None),
    })
}

/// Gives object `o` one guard in its first program, whose first side the kernels prove that `verified` says.
pub fn cover(record: &mut RunRecord, o: usize, verified: &[bool]) {
    let side = |when: &str| SideRecord { when: when.to_owned(), insns: 3, lines: LineSet::default() };
    record.objects[o].coverage.guards = vec![GuardRecord {
        kind: GuardKind::FieldExists,
        asked: "struct x.y".to_owned(),
        function: record.objects[o].programs[0].name.clone(),
        insn: 4,
        source: None,
        relocation: None,
        programs: vec![0],
        sides: [side("exists"), side("does not exist")],
        undecided: None,
    }];
    let kernels = record.kernels.len();
    for (k, live) in verified.iter().enumerate() {
        let first = if *live { Liveness::Live } else { Liveness::Dead };
        record.cells[o * kernels + k].coverage.guards =
            vec![GuardProof { resolved: None, verified: [first, Liveness::Unknown], executed: [false; 2] }];
    }
}
