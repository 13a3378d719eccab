use super::*;

const YES: Answer = Answer::Yes;
const NO: Answer = Answer::No;

fn probe(release: usize) -> FeatureProbe {
    let since = |names: &[(&str, usize)]| -> BTreeMap<String, Answer> {
        names.iter().map(|(name, since)| (name.to_string(), if release >= *since { YES } else { NO })).collect()
    };
    let mut probe = FeatureProbe {
        whole: true,
        map_types: since(&[("hash", 0), ("bloom_filter", 1), ("user_ringbuf", 1), ("arena", 2), ("insn_array", 9)]),
        program_types: since(&[("kprobe", 0), ("netfilter", 2)]),
        attach_types: since(&[("trace_fentry", 0), ("trace_fsession", 2)]),
        existing_helpers: since(&[("probe_read", 0), ("loop", 1)]),
        helpers: [
            ("kprobe".to_owned(), since(&[("probe_read", 0), ("loop", 1)])),
            ("xdp".to_owned(), since(&[("probe_read", 9), ("loop", 2)])),
        ]
        .into(),
    };
    if release == 1 {
        probe.program_types.insert("ext".into(), Answer::Unknown);
    }
    probe
}

fn rendered(width: usize, change: impl Fn(&mut FeatureProbe)) -> String {
    let mut probes = [0, 1, 2, 2].map(probe);
    probes.iter_mut().for_each(change);
    let kernels: Vec<(&str, &FeatureProbe)> = ["5.10", "6.1", "6.12", "7.3"].into_iter().zip(&probes).collect();
    render(&kernels, width)
}

#[test]
fn kernels_stand_side_by_side_where_they_fit() {
    insta::assert_snapshot!(rendered(100, |_| {}));
}

#[test]
fn narrow_terminals_get_groups() {
    insta::assert_snapshot!(rendered(24, |_| {}));
}

#[test]
fn one_helper_is_told_by_program_type() {
    insta::assert_snapshot!(rendered(100, |probe| {
        *probe = FeatureProbe { helpers: probe.helpers.clone(), ..Default::default() };
        probe.helpers.values_mut().for_each(|all| all.retain(|name, _| name == "loop"));
    }));
}

#[test]
fn rows_that_say_the_same_are_told_once() {
    let of = |answer| FeatureProbe {
        map_types: (0..12).map(|number| (format!("type{number:02}"), answer)).collect(),
        ..Default::default()
    };
    let text = render(&[("5.10", &of(NO)), ("6.1", &of(YES))], 60);
    assert!(text.starts_with("map types\n  from 6.1: type00, type01, "), "{text}");
    assert!(text.lines().all(|line| line.len() <= 60), "{text}");
}

#[test]
fn what_comes_and_goes_is_told_kernel_by_kernel() {
    let kernels = ["5.10", "6.1", "6.12"];
    assert_eq!(words(&kernels, &[NO, YES, NO]), "only on 6.1");
    assert_eq!(words(&kernels, &[YES, NO, NO]), "up to 5.10");
    assert_eq!(words(&kernels, &[NO, Answer::Unknown, YES]), "on 6.12; unknown on 6.1");
    assert_eq!(render(&[], 80), "No kernel was probed.\n");
}
