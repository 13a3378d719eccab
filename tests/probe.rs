//! `corematrix kernels probe` on real kernels, held against what their BTF lists. Needs virtme-ng, QEMU and the kernels.

#![allow(clippy::unwrap_used)]

#[path = "common/need.rs"]
mod need;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use corematrix::explain::listed_features;
use corematrix::feature::Feature;
use corematrix::manifest::Manifest;
use corematrix::matrix::Places;
use corematrix::object::btf::Btf;
use corematrix::protocol::feature_probe::{Answer, FeatureProbe};
use corematrix::source::LockFile;
use corematrix::store::Store;

use need::need;

/// What a kernel lists and does not have without this option of its config.
const OPTIONS: [(Feature, &str, &str); 4] = [
    (Feature::ProgramType, "lirc_mode2", "CONFIG_BPF_LIRC_MODE2"),
    (Feature::ProgramType, "netfilter", "CONFIG_NETFILTER_BPF_LINK"),
    (Feature::ProgramType, "lsm", "CONFIG_BPF_LSM"),
    (Feature::MapType, "xskmap", "CONFIG_XDP_SOCKETS"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn probe(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_corematrix"));
    command.current_dir(root()).args(["kernels", "probe", "--kernel", "5.10", "--kernel", "6.12"]).args(args);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

#[test]
fn kernels_answer_as_their_btf_and_config_say() {
    need!("guests");
    let output: serde_json::Value = serde_json::from_slice(&probe(&["--json"]).stdout).unwrap();
    let manifest = Manifest::load(&root().join("kernels.toml")).unwrap();
    let lock = LockFile::open(&root().join("kernels.lock")).unwrap();
    let store = Store::open(&Places::from_environment(None).unwrap().store).unwrap();
    let mut differences = Vec::new();
    let mut probes = Vec::new();
    for kernel in output["kernels"].as_array().unwrap() {
        let name = kernel["kernel"].as_str().unwrap();
        let probe: FeatureProbe = serde_json::from_value(kernel["probe"].clone()).unwrap();
        let spec = manifest.kernels.iter().find(|spec| spec.name == name).unwrap();
        let stored = store.kernel(spec, &lock, true, &|_| {}).unwrap();
        assert_eq!(store.probe(&stored.identity).as_ref(), Some(&probe), "is kept");
        let btf = Btf::parse(&std::fs::read(stored.btf.unwrap()).unwrap()).unwrap();
        let config = std::fs::read_to_string(stored.config.unwrap()).unwrap();
        for (feature, answers) in [(Feature::MapType, &probe.map_types), (Feature::ProgramType, &probe.program_types)] {
            let expected = expected(feature, &btf, &config);
            for (one, answer) in answers {
                let wanted = if expected.get(one) == Some(&true) { Answer::Yes } else { Answer::No };
                if *answer != wanted {
                    differences.push(format!("{name}: {} `{one}`: {answer:?}, {wanted:?} expected", feature.label()));
                }
            }
            // Newer than libbpf knows.
            let unasked: Vec<&String> = expected.keys().filter(|one| !answers.contains_key(*one)).collect();
            println!("{name}: not asked for {} {unasked:?}", feature.label());
        }
        probes.push(probe);
    }
    assert!(differences.is_empty(), "{differences:#?}");
    let [old, new] = probes.as_slice() else { panic!("{} kernels", probes.len()) };
    for (probe, answer) in [(old, Answer::No), (new, Answer::Yes)] {
        assert_eq!((probe.helper("kprobe", "loop"), probe.map_types["arena"]), (answer, answer));
        assert_eq!((probe.helper("tracing", "loop"), probe.helper("lsm", "loop")), (answer, answer));
        assert_eq!(probe.attach_types["cgroup_unix_connect"], answer);
        assert_eq!(
            (probe.helper("xdp", "probe_read"), probe.helper("kprobe", "probe_read")),
            (Answer::No, Answer::Yes)
        );
    }
    // Asked once: now nothing is booted.
    let again = probe_text(&["--map-type", "BPF_MAP_TYPE_ARENA"]);
    assert_eq!(again, "map types\n         5.10  6.12\n  arena  -     yes\n");
}

fn probe_text(args: &[&str]) -> String {
    let output = probe(args);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("booting"), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

/// What the types list, without second names, and whether the config has it.
fn expected(feature: Feature, btf: &Btf, config: &str) -> BTreeMap<String, bool> {
    let listed = listed_features(btf, feature).into_iter();
    let listed = listed.filter(|name| name != "unspec" && !name.ends_with("_deprecated"));
    let built = |name: &str| {
        let option = OPTIONS.iter().find(|(kind, option, _)| *kind == feature && *option == name);
        option.is_none_or(|(_, _, option)| config.lines().any(|line| line == format!("{option}=y")))
    };
    listed.map(|name| (name.clone(), built(&name))).collect()
}
