use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::loader::Loader;
use crate::manifest::Manifest;
use crate::object::find_objects;
use crate::plan::{Plan, PlannedLoader, PlannedShape};
use crate::protocol::exercise::ExercisePlan;
use crate::protocol::{DataPatch, ProgramSetup};
use crate::record::{LoaderChoice, LoadingPrivileges, MachineSettings, MapLoading};
use crate::store::ModuleFile;
use crate::suite::{Settings, Shape};

fn kernel() -> KernelSpec {
    Manifest::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels.toml")).unwrap().kernels.remove(0)
}

fn planned() -> PlannedObject {
    let folder = tempfile::tempdir().unwrap();
    let bytes = include_bytes!("../../../tests/fixtures/suite/switches.bpf.o");
    std::fs::write(folder.path().join("switches.bpf.o"), bytes).unwrap();
    let objects = find_objects(&[folder.path().to_owned()]).unwrap().objects;
    Plan::new(vec![kernel()], objects, &Settings::default()).objects.remove(0)
}

fn digest(planned: &PlannedObject) -> String {
    ObjectInputs::of(planned, Reach::Load, false).unwrap().digest().unwrap()
}

/// Anything that is set for an object, or sent with it, changes its key; where its file lies does not.
#[test]
fn all_that_is_said_of_an_object_decides() {
    let change = |change: &dyn Fn(&mut PlannedObject)| {
        let mut planned = planned();
        change(&mut planned);
        digest(&planned)
    };
    let loader = |name: &str, sha256: &str| PlannedLoader {
        name: name.to_owned(),
        executable: Some(Loader { name: name.to_owned(), sha256: sha256.to_owned(), bytes: Arc::default() }),
        chosen: LoaderChoice::Option,
        profile: Profile::default(),
    };
    let other_loader = loader("aya", "2");
    let by_profile = |profile| PlannedLoader { executable: None, profile, ..loader("aya", "1") };
    let shape = |name: &str, setting: &str, bytes: u8| PlannedShape {
        of: "switches".to_owned(),
        shape: Shape {
            name: name.to_owned(),
            setup: ObjectSetup { patches: vec![patch(bytes)], ..ObjectSetup::default() },
            machine: MachineSettings::default(),
            settings: vec![setting.to_owned()],
        },
    };
    let flip = |bytes: &Arc<[u8]>| -> Arc<[u8]> {
        let mut bytes = bytes.to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        bytes.into()
    };
    let program = |exercise: Option<ExercisePlan>| ProgramSetup { program: "p".to_owned(), attach: None, exercise };
    let old = |bytes: &[u8]| {
        let mut old = planned();
        old.loaded = bytes.into();
        old
    };
    let keys = [
        change(&|_| ()),
        change(&|planned| planned.object.name.push('x')),
        change(&|planned| planned.object.sha256 = "other".to_owned()),
        change(&|planned| planned.loaded = flip(&planned.loaded)),
        change(&|planned| planned.programs[0].name.push('x')),
        change(&|planned| planned.programs[0].section.push('x')),
        change(&|planned| drop(planned.programs.pop())),
        change(&|planned| planned.shape = Some(shape("one", "a = 1", 1))),
        change(&|planned| planned.shape = Some(shape("two", "a = 1", 1))),
        change(&|planned| planned.shape = Some(shape("one", "a = 2", 1))),
        change(&|planned| planned.shape = Some(shape("one", "a = 1", 2))),
        change(&|planned| planned.machine.memory_mib = Some(1024)),
        change(&|planned| planned.machine.cpus = Some(2)),
        change(&|planned| planned.loading.legacy_maps = true),
        change(&|planned| planned.loading.privileges = Some(LoadingPrivileges::Token)),
        change(&|planned| planned.loading.privileges = Some(LoadingPrivileges::Capabilities(Vec::new()))),
        change(&|planned| planned.loading.maps.push(MapLoading { map: "counts".to_owned(), ..MapLoading::default() })),
        change(&|planned| planned.loader = Some(loader("aya", "1"))),
        change(&|planned| planned.loader = Some(other_loader.clone())),
        change(&|planned| planned.loader = Some(loader("cilium-ebpf", "1"))),
        change(&|planned| planned.loader = Some(by_profile(Profile::default()))),
        change(&|planned| planned.loader = Some(by_profile(Profile { needs_all_maps: true, ..Profile::default() }))),
        change(&|planned| planned.beside = Some("switches".to_owned())),
        change(&|planned| planned.patches.push(patch(1))),
        change(&|planned| planned.patches.push(patch(2))),
        change(&|planned| planned.programs_setup.push(program(None))),
        change(&|planned| planned.programs_setup.push(program(Some(ExercisePlan::default())))),
        change(&|planned| {
            planned.upgrades(&old(b"old"), false);
        }),
        change(&|planned| {
            planned.upgrades(&old(b"older"), false);
        }),
        change(&|planned| {
            planned.upgrades(&old(b"old"), true);
        }),
        change(&|planned| planned.shaped = true),
        ObjectInputs::of(&planned(), Reach::Load, true).unwrap().digest().unwrap(),
    ];
    let unique: BTreeSet<&String> = keys.iter().collect();
    assert_eq!(unique.len(), keys.len(), "two of these are one: {keys:#?}");
    let moved = change(&|planned| planned.object.origin.path = "/elsewhere/switches.bpf.o".into());
    assert_eq!(moved, keys[0]);
    assert_eq!(digest(&planned()), keys[0]);
}

#[test]
fn what_is_measured_has_no_key() {
    let (mut measured, old) = (planned(), planned());
    measured.measure_against(&old);
    assert!(ObjectInputs::of(&measured, Reach::Exercise, false).is_none());
}

fn patch(value: u8) -> DataPatch {
    DataPatch { section: ".rodata".to_owned(), offset: 0, bytes: vec![value] }
}

/// All that decides a cell.
#[derive(Clone)]
struct Inputs {
    build: String,
    object: String,
    reach: Reach,
    full_logs: bool,
    least_privileges: bool,
    isolation: Isolation,
    spec: KernelSpec,
    identity: KernelIdentity,
    snapshot: SnapshotKey,
    machine: CellMachine,
    room: (u64, Vec<LeftOutMap>, Option<String>),
    modules: CellModules,
}

fn inputs() -> Inputs {
    let spec = kernel();
    let sha = |text: &str| checksum::of_bytes(text.as_bytes());
    Inputs {
        build: "build".to_owned(),
        object: "object".to_owned(),
        reach: Reach::Load,
        full_logs: false,
        least_privileges: false,
        isolation: Isolation::Cell,
        machine: CellMachine::of(&spec, &MachineSettings::default()),
        spec,
        identity: KernelIdentity {
            release: "6.1.0".to_owned(),
            image_sha256: sha("image"),
            config_sha256: Some(sha("config")),
            btf_sha256: Some(sha("btf")),
            given_btf_sha256: None,
        },
        snapshot: SnapshotKey {
            kernel: "6.1".to_owned(),
            guest: BTreeMap::from([("the memory".to_owned(), "512 MiB".to_owned())]),
            host: BTreeMap::from([("QEMU".to_owned(), "10".to_owned())]),
        },
        room: (512, Vec::new(), None),
        modules: CellModules::default(),
    }
}

fn key(inputs: &Inputs) -> String {
    let Inputs { build, object, reach, full_logs, least_privileges, isolation, .. } = inputs;
    let (mib, without, note) = inputs.room.clone();
    let room = Room { mib, without, note };
    let (reach, full_logs, least_privileges) = (*reach, *full_logs, *least_privileges);
    let run = RunInputs { build, reach, full_logs, least_privileges, isolation: *isolation };
    let guest =
        GuestInputs { snapshot: &inputs.snapshot, machine: &inputs.machine, room: &room, modules: &inputs.modules };
    CellInputs::of(&run, object, (&inputs.spec, &inputs.identity), &guest).key().unwrap()
}

#[test]
fn kernel_guest_and_run_decide() {
    let change = |change: &dyn Fn(&mut Inputs)| {
        let mut inputs = inputs();
        change(&mut inputs);
        key(&inputs)
    };
    let module = |sha256: &str, optional| ModuleFile {
        name: "nf_tables".to_owned(),
        path: "/store/nf_tables.ko".into(),
        sha256: sha256.to_owned(),
        optional,
    };
    let left_out = LeftOutMap { map: "huge".to_owned(), ..LeftOutMap::default() };
    let keys = [
        change(&|_| ()),
        change(&|inputs| inputs.build.push('x')),
        change(&|inputs| inputs.object.push('x')),
        change(&|inputs| inputs.reach = Reach::Attach),
        change(&|inputs| inputs.reach = Reach::Exercise),
        change(&|inputs| inputs.full_logs = true),
        change(&|inputs| inputs.least_privileges = true),
        change(&|inputs| inputs.spec.name.push('x')),
        change(&|inputs| inputs.spec.boot_timeout += Duration::from_millis(1)),
        change(&|inputs| inputs.spec.program_timeout += Duration::from_millis(1)),
        change(&|inputs| inputs.identity.release.push('x')),
        change(&|inputs| inputs.identity.image_sha256.push('x')),
        change(&|inputs| inputs.identity.config_sha256 = None),
        change(&|inputs| inputs.identity.btf_sha256 = None),
        change(&|inputs| inputs.identity.given_btf_sha256 = Some("given".to_owned())),
        change(&|inputs| drop(inputs.snapshot.guest.insert("the memory".to_owned(), "1024 MiB".to_owned()))),
        change(&|inputs| drop(inputs.snapshot.guest.insert("the files".to_owned(), "loader 1".to_owned()))),
        change(&|inputs| drop(inputs.snapshot.host.insert("QEMU".to_owned(), "11".to_owned()))),
        change(&|inputs| inputs.machine.cpus = 2),
        change(&|inputs| inputs.machine.numa_nodes = 2),
        change(&|inputs| inputs.machine.profiles.push("hardened".to_owned())),
        change(&|inputs| inputs.machine.boot.push("lockdown=integrity".to_owned())),
        change(&|inputs| drop(inputs.machine.sysctls.insert("kernel.x".to_owned(), "1".to_owned()))),
        change(&|inputs| inputs.room.0 = 1024),
        change(&|inputs| inputs.room.1.push(left_out.clone())),
        change(&|inputs| inputs.room.2 = Some("tried in a larger guest".to_owned())),
        change(&|inputs| inputs.modules.files.push(module("1", false))),
        change(&|inputs| inputs.modules.files.push(module("2", false))),
        change(&|inputs| inputs.modules.files.push(module("1", true))),
        change(&|inputs| drop(inputs.modules.reasons.insert("nf_tables".to_owned(), "forbidden".to_owned()))),
        change(&|inputs| inputs.modules.impossible = Some("no such module".to_owned())),
        change(&|inputs| inputs.modules.notes.push("built in".to_owned())),
        change(&|inputs| inputs.isolation = Isolation::Shared),
    ];
    let unique: BTreeSet<&String> = keys.iter().collect();
    assert_eq!(unique.len(), keys.len(), "two of these are one: {keys:#?}");
    // Where a module lies, and whether a matrix may go on without a kernel, does not change an answer.
    let moved = ModuleFile { path: "/elsewhere/nf_tables.ko".into(), ..module("1", false) };
    assert_eq!(change(&|inputs| inputs.modules.files.push(moved.clone())), keys[26]);
    assert_eq!(change(&|inputs| inputs.spec.optional = !inputs.spec.optional), keys[0]);
}
