use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::bisect::config::ConfigDifference as BisectedOption;
use crate::compare::{ObjectGrid, differences};
use crate::gate::{Expectations, GateLimits};
use crate::object::find_objects;
use crate::plan::{Schedule, ScheduledObject, ScheduledPart};
use crate::predict::{PredictedCell, PredictedKernel};
use crate::protocol::feature_probe::{Answer as FeatureAnswer, FeatureProbe};
use crate::record::{
    LeastPrivileges, MapData, MapFate, MapUpgrade, Need, PredictedOutcome, UpgradeRecord, Verdict, sample,
};
use crate::report::UpgradeReport;
use crate::schema::{check, fits};

/// Checks that the schema of an answer is current, and that answers fit it.
fn check_answers<A: Answer + schemars::JsonSchema>(title: &str, answers: &[A]) {
    let mut schema = schemars::schema_for!(A).to_value();
    schema["title"] = title.into();
    schema["properties"]["schema"] = json!({ "const": format!("corematrix/{}", A::SCHEMA) });
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    schema["required"] = std::iter::once(json!("schema")).chain(required).collect::<Vec<Value>>().into();
    let schema = check(&format!("{}.schema.json", A::SCHEMA), schema);
    for answer in answers {
        let value = serde_json::to_value(answer.named()).unwrap();
        assert!(fits(&schema, &schema, &value), "{}: {value:#}", A::SCHEMA);
        let mut other = value.clone();
        other["schema"] = "corematrix/other-1".into();
        assert!(!fits(&schema, &schema, &other), "{}", A::SCHEMA);
        let last = schema["required"].as_array().unwrap().last().unwrap().as_str().unwrap();
        other = value.clone();
        other.as_object_mut().unwrap().remove(last);
        assert!(!fits(&schema, &schema, &other), "{}", A::SCHEMA);
    }
}

#[test]
fn answers_about_privileges_fit_their_schema() {
    let on = |kernel: &str, needs: Need, token: Option<bool>| LeastOnKernel {
        kernel: kernel.to_owned(),
        least: LeastPrivileges { needs, token },
    };
    let kernels = vec![
        on("5.10", Need::Capabilities(vec!["CAP_BPF".to_owned()]), None),
        on("6.12", Need::Unknown("the guest died".to_owned()), None),
        on("7.3", Need::Root, Some(false)),
    ];
    let row = |program: Option<&str>, kernels| LeastPrivilegesOf {
        program: program.map(str::to_owned),
        words: "needs CAP_BPF on 5.10".to_owned(),
        kernels,
    };
    let rows = vec![row(Some("p"), kernels), row(None, Vec::new())];
    let objects = vec![ObjectPrivileges { object: "o".to_owned(), rows }];
    check_answers("least privileges of corematrix", &[PrivilegesAnswer { objects }]);
}

#[test]
fn answers_about_kernels_fit_their_schemas() {
    let listed = ListedKernel {
        name: "6.12".to_owned(),
        default: true,
        optional: false,
        source: "apt".to_owned(),
        fallbacks: Vec::new(),
        pinned_release: None,
        stored_versions: 1,
        stored_bytes: 7,
        btf: Some("its own"),
    };
    check_answers("kernels list of corematrix", &[KernelList { kernels: vec![listed] }]);
    let catalogued = CataloguedKernel {
        name: "debian:12".to_owned(),
        about: "Debian 12".to_owned(),
        series: Some("6.1".to_owned()),
        source: "apt".to_owned(),
        known: crate::manifest::catalogue::Known::Booted,
        note: Some("what to do".to_owned()),
        no_btf: false,
        own: false,
        declared: false,
    };
    check_answers("kernels catalogue of corematrix", &[CatalogueList { kernels: vec![catalogued] }]);
    let facts = || [("release".to_owned(), "6.12.1".to_owned())].into();
    let shown = ShownKernel { name: "6.12".to_owned(), facts: facts(), notes: Vec::new() };
    check_answers("kernels show of corematrix", &[ShownKernels { kernels: vec![shown] }]);
    let states = [
        OutdatedState::Current,
        OutdatedState::Outdated,
        OutdatedState::Fixed,
        OutdatedState::NotPinned,
        OutdatedState::Unknown,
    ];
    let outdated = states.map(|state| OutdatedKernel {
        name: "6.12".to_owned(),
        state,
        pinned: Some("1".to_owned()),
        newest: None,
        reason: None,
    });
    check_answers("kernels outdated of corematrix", &[OutdatedKernels { kernels: outdated.into() }]);
    let folder = VerifiedFolder { name: "6.12-x".to_owned(), damaged_files: vec!["vmlinux".to_owned()] };
    let verified = VerifiedKernel { name: "6.12".to_owned(), optional: false, versions: vec![folder] };
    let booted = BootedKernel { boots: Some(true), facts: facts(), ..BootedKernel::untried("6.12") };
    let answer = VerifiedKernels { kernels: vec![verified], boots: vec![booted, BootedKernel::untried("7.3")] };
    check_answers("kernels verify of corematrix", &[answer]);
    let kernel = |name: &str| DiffedKernel { name: name.to_owned(), release: name.to_owned() };
    let types = || TypesDifference {
        added: vec!["struct a".to_owned()],
        removed: Vec::new(),
        changed: Vec::new(),
        same: 1,
        functions_added: 0,
        functions_removed: 0,
        details: Vec::new(),
    };
    let option = ChangedOption { name: "CONFIG_X".to_owned(), before: None, after: Some("y".to_owned()) };
    let config = ConfigDifference { added: 1, options: vec![option], ..ConfigDifference::default() };
    let diffs = [Some(config), None].map(|config| KernelDiff {
        first: kernel("5.10"),
        second: kernel("6.1"),
        config,
        types: types(),
    });
    check_answers("kernels diff of corematrix", &diffs);
    let hit = KernelHit {
        kind: "field".to_owned(),
        type_name: "int".to_owned(),
        bit_offset: Some(0),
        bits: Some(32),
        value: None,
        module: None,
    };
    let found = [Some(vec![hit]), None].map(|found| KernelWithName {
        kernel: "6.1".to_owned(),
        release: "6.1.0".to_owned(),
        unknown: found.is_none().then(|| "in module xfs on 6.12".to_owned()),
        found,
    });
    check_answers("btf find of corematrix", &[FoundName { name: "s.a".to_owned(), kernels: found.into() }]);
    let known = [Ok(vec!["field int".to_owned()]), Err("damaged".to_owned())].map(|answer: Result<_, String>| {
        let (group, release) = ("store".to_owned(), "6.1.0".to_owned());
        HistoryKernel { group, release, found: answer.clone().ok(), error: answer.err() }
    });
    check_answers("btf history of corematrix", &[NameHistory { name: "s.a".to_owned(), kernels: known.into() }]);
}

#[test]
fn answers_about_the_machine_fit_their_schemas() {
    let states = [CheckState::Ok, CheckState::Note, CheckState::Bad];
    let checks = || states.map(|state| DoctorCheck { name: "disk".into(), state, text: "1 MiB".into(), hint: None });
    let estimate = || Estimate { value: 1, measured: true, basis: "measured here".to_owned() };
    let forecast = Forecast {
        kernels: 8,
        to_fetch: 0,
        to_boot: 1,
        guests: 2,
        disk_bytes: estimate(),
        memory_bytes: estimate(),
        time_ms: estimate(),
    };
    let reports = [Some(forecast), None].map(|forecast| DoctorReport { checks: checks().into(), forecast });
    check_answers("doctor of corematrix", &reports);
    let folder = ListedFolder {
        kind: "kernel".to_owned(),
        name: "6.12-x".to_owned(),
        kernel: None,
        bytes: 1,
        source: String::new(),
    };
    let snapshot = ListedSnapshot { kernel: "6.12".to_owned(), bytes: 1, in_use: false, idle_seconds: 3 };
    let contents = StoreContents { store: "/s".to_owned(), folders: vec![folder], snapshots: vec![snapshot], bytes: 2 };
    check_answers("store list of corematrix", &[contents]);
}

#[test]
fn answers_about_objects_and_runs_fit_their_schemas() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/objects");
    let objects = find_objects(&[fixtures]).unwrap().objects;
    assert!(!objects.is_empty());
    let list = ObjectList { objects: objects.iter().map(ListedObject::of).collect() };
    check_answers("list of corematrix", &[list]);

    let (before, after) = (sample::record(), sample::large(12, 3));
    let found = differences(&before, &after);
    assert!(!found.is_empty());
    let grid = ObjectGrid::of(&[(&before, 0), (&before, 0)], &["a".to_owned(), "b".to_owned()]);
    let builds = vec![ObjectDifferences { name: "b".to_owned(), differences: found.clone() }];
    check_answers("compare of corematrix", &[ComparedRuns { differences: found }]);
    check_answers("compare --objects of corematrix", &[ComparedObjects { grid, builds }]);

    let covered = before.objects.iter().zip(before.cells.chunks(before.kernels.len())).map(|(object, cells)| {
        let kernel = |cell: &crate::record::CellRecord| CoveredKernel {
            kernel: cell.kernel.clone(),
            guards: cell.coverage.guards.clone(),
        };
        CoveredObject {
            object: object.name.clone(),
            guards: object.coverage.guards.clone(),
            kernels: cells.iter().map(kernel).collect(),
        }
    });
    check_answers("coverage of corematrix", &[CoverageAnswer { objects: covered.collect(), below: Vec::new() }]);

    let cell = &before.cells[0];
    let explained = cell.programs.iter().map(|program| ExplainedProgram {
        program: program.name.clone(),
        summary: "it loads".to_owned(),
        verdict: program.verdict,
        cause: program.cause,
        reason: program.reason.clone(),
        explanation: program.explanation.as_deref().cloned(),
        hints: program.hints.clone(),
    });
    let answer = ExplainedCell {
        object: cell.object.clone(),
        kernel: cell.kernel.clone(),
        programs: explained.collect(),
        missing: Vec::new(),
    };
    check_answers("explain of corematrix", &[answer]);
    let reproduced = cell.programs.iter().map(|program| ReproducedProgram {
        program: program.name.clone(),
        outcome: "same".to_owned(),
        verdict: program.verdict,
        cause: program.cause,
        reason: program.reason.clone(),
        recorded_verdict: None,
        recorded_cause: None,
    });
    let difference = ReproDifference { what: "libbpf".to_owned(), recorded: "1".to_owned(), here: "2".to_owned() };
    let answer = ReproAnswer {
        object: cell.object.clone(),
        kernel: cell.kernel.clone(),
        outcome: "same".to_owned(),
        run: None,
        programs: reproduced.collect(),
        differences: vec![difference],
    };
    check_answers("repro of corematrix", &[answer]);
}

#[test]
fn answers_from_types_fit_their_schemas() {
    let cell = PredictedCell {
        modules: ["xfs".to_owned()].into(),
        programs: vec![PredictedOutcome::Resolves],
        relocations: [("resolved", 1)].into(),
        guards: vec![Some(true), None],
        values: Vec::new(),
    };
    let kernel = |name: Option<&str>| PredictedKernel {
        group: "store".to_owned(),
        name: name.map(str::to_owned),
        release: "6.12.1".to_owned(),
        types: "/types".into(),
    };
    let (known, unread, cells) = (kernel(Some("6.12")), kernel(None), [cell]);
    let objects = || vec![PredictedObject { name: "one", programs: vec!["p"], relocations: 1 }];
    let kernels = vec![
        KernelPrediction { kernel: &known, objects: Some(&cells), error: None },
        KernelPrediction { kernel: &unread, objects: None, error: Some("it is truncated") },
    ];
    check_answers("predict of corematrix", &[Predictions { predicted: true, objects: objects(), kernels }]);
    let kernel = MinimalKernel {
        name: None,
        release: "6.12.1".to_owned(),
        group: "store".to_owned(),
        types: "/types".into(),
        in_manifest: false,
        shown_by_it_alone: 2,
    };
    let not_read = vec![UnreadKernel { release: "5.4".to_owned(), error: "it is truncated".to_owned() }];
    let minimal = MinimalKernels {
        predicted: true,
        kernels: vec![kernel],
        of: 2,
        kinds: 2,
        behaviours: 3,
        is_smallest: true,
        not_read,
    };
    check_answers("plan --minimal of corematrix", &[minimal]);
    let object = ScheduledObject { name: "one".to_owned(), programs: 1, expected_cost: 5 };
    let part = ScheduledPart { partition: "1/1".to_owned(), objects: vec!["one".to_owned()], expected_cost: 5 };
    let schedule = Schedule { kernels: vec!["6.12".to_owned()], objects: vec![object], partitions: vec![part] };
    check_answers("plan of corematrix", &[schedule]);
}

#[test]
fn answers_of_guests_fit_their_schemas() {
    let asked = [("ringbuf".to_owned(), FeatureAnswer::Yes)];
    let probe = FeatureProbe { map_types: asked.into(), ..FeatureProbe::default() };
    let kernel = |probe: Option<FeatureProbe>| ProbedKernel {
        kernel: "6.12".to_owned(),
        release: None,
        failure: probe.is_none().then(|| "it did not boot".to_owned()),
        probe,
    };
    let probed = ProbedKernels { libbpf: "1.7".to_owned(), kernels: vec![kernel(Some(probe)), kernel(None)] };
    check_answers("kernels probe of corematrix", &[probed]);
    let step = |outcome| BisectionStep {
        kernel: "6.12".to_owned(),
        version: "6.12.1-1".to_owned(),
        release: None,
        outcome,
        verdict: None,
        cause: None,
    };
    let change = BisectionChange { before: "6.1".to_owned(), after: "6.12".to_owned(), works: false };
    let relocation = BisectedRelocation { name: "a.b".to_owned(), good: "a".to_owned(), bad: "b".to_owned() };
    let option = BisectedOption { name: "CONFIG_X".to_owned(), good: None, bad: Some("y".to_owned()) };
    let bisected = BisectedObject {
        object: "one".to_owned(),
        program: None,
        last_good: Some(step("good")),
        first_bad: None,
        kernels: 2,
        guests: 2,
        steps: vec![step("good"), step("skipped")],
        changes: vec![change],
        relocations: vec![relocation],
        config: Some(vec![option]),
    };
    check_answers("bisect of corematrix", &[bisected]);
    let on_kernel = GuardOnKernel { kernel: "6.12".to_owned(), verdict: Verdict::Loaded, picked: None, wrong: None };
    let guard = LoadedGuard {
        name: "a.b".to_owned(),
        programs: vec!["p".to_owned()],
        source: "guards/one.c".into(),
        checked: None,
        kernels: vec![on_kernel],
    };
    check_answers("explain --prove of corematrix", &[GuardProofs { object: "one".to_owned(), guards: vec![guard] }]);
    let report = crate::gate::decide(&sample::record(), None, &Expectations::default(), &GateLimits::now());
    assert!(!report.decisions.is_empty());
    check_answers("gate of corematrix", &[report]);
}

#[test]
fn answers_about_upgrades_fit_their_schema() {
    let mut record = sample::record();
    let map = |fate, data, misread| MapUpgrade { map: "m".to_owned(), fate, reason: None, data, misread };
    let misread = vec!["`a` at offset 0 is read as `b`".to_owned()];
    let maps = vec![
        map(MapFate::Reused, Some(MapData::Survives { entries: 8 }), misread),
        map(MapFate::Recreated, Some(MapData::Lost { kept: 0, entries: 8 }), Vec::new()),
        map(MapFate::Reused, Some(MapData::NotFilled { reason: "it keeps nothing".to_owned() }), Vec::new()),
        map(MapFate::New, None, Vec::new()),
    ];
    record.cells[2].upgrade = Some(UpgradeRecord { from: "old".to_owned(), problem: None, maps });
    check_answers("upgrade of corematrix", &[UpgradeReport::of(&record)]);
}
