use quick_xml::Reader;
use quick_xml::events::Event;

use super::*;
use crate::gate::{Expectations, GateLimits, decide};
use crate::record::sample::{self, NASTY};
use crate::record::{KernelWarning, WarningKind};

/// An element as a reader of the file gets it.
#[derive(Debug, Default, Clone)]
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    text: String,
}

impl Element {
    fn attribute(&self, name: &str) -> &str {
        let found = self.attributes.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value.as_str())
    }
}

fn xml(record: &RunRecord) -> String {
    String::from_utf8(render(record, None).unwrap()).unwrap()
}

/// Every element in the order of its start, with the text directly in it.
fn parse(xml: &str) -> Vec<Element> {
    let mut reader = Reader::from_str(xml);
    let (mut elements, mut open) = (Vec::<Element>::new(), Vec::<usize>::new());
    loop {
        let event = reader.read_event().unwrap();
        match &event {
            Event::Start(start) | Event::Empty(start) => {
                let attributes = start.attributes().map(|attribute| {
                    let attribute = attribute.unwrap();
                    let key = String::from_utf8(attribute.key.as_ref().to_vec()).unwrap();
                    let raw = String::from_utf8(attribute.value.to_vec()).unwrap();
                    (key, quick_xml::escape::unescape(&raw).unwrap().into_owned())
                });
                let attributes = attributes.collect();
                let name = String::from_utf8(start.name().as_ref().to_vec()).unwrap();
                elements.push(Element { name, attributes, text: String::new() });
                if matches!(event, Event::Start(_)) {
                    open.push(elements.len() - 1);
                }
            }
            Event::CData(data) => {
                let text = std::str::from_utf8(data).unwrap();
                elements[*open.last().unwrap()].text.push_str(text);
            }
            Event::Text(text) => panic!("text outside CDATA: {text:?}"),
            Event::End(_) => drop(open.pop()),
            Event::Eof => break,
            _ => {}
        }
    }
    assert!(open.is_empty());
    elements
}

/// The element inside the case `name` of class `class` in the suite `suite`, or the case itself if it has none.
fn outcome(elements: &[Element], suite: &str, class: &str, name: &str) -> Element {
    let in_suite = elements.iter().skip_while(|e| e.name != "testsuite" || e.attribute("name") != suite).skip(1);
    let in_suite: Vec<&Element> = in_suite.take_while(|e| e.name != "testsuite").collect();
    let is_case = |e: &&Element| e.attribute("classname") == class && e.attribute("name") == name;
    let at = in_suite.iter().position(is_case).unwrap_or_else(|| panic!("no case `{name}` in {suite}"));
    in_suite.get(at + 1).filter(|e| e.name != "testcase").map_or(in_suite[at], |e| *e).clone()
}

#[test]
fn every_kernel_is_a_suite_and_every_program_a_case() {
    let elements = parse(&xml(&sample::record()));
    let suites: Vec<_> = elements.iter().filter(|e| e.name == "testsuite").collect();
    let counts: Vec<_> = suites.iter().map(|s| (s.attribute("name"), s.attribute("tests"))).collect();
    // Ten programs each, and a case more for each kernel that could not be used.
    assert_eq!(counts, [("5.4", "11"), ("5.10", "11"), ("6.1", "10"), ("6.12", "10")]);
    assert!(suites.iter().all(|suite| suite.attribute("timestamp") == "2026-11-22T18:00:00Z"));
}

#[test]
fn verdicts_become_the_outcomes_that_a_pipeline_knows() {
    let elements = parse(&xml(&sample::record()));
    let table = [
        ("6.1", "opensnoop", "open_exit", "testcase", ""),
        ("6.1", "execsnoop", "probe", "failure", "verifier rejected"),
        ("6.1", "execsnoop", "vfs_read_exit", "failure", "attach target missing"),
        ("6.1", "hostile <object>", "it's \"odd\" & <new>", "failure", "relocation failed"),
        ("6.1", "hostile <object>", "slow", "failure", "timed out"),
        ("6.1", "hostile <object>", "deadly", "error", "kernel crashed"),
        ("6.12", "hostile <object>", "it's \"odd\" & <new>", "error", "infrastructure failure"),
        ("6.12", "hostile <object>", "slow", "skipped", "not run"),
        ("6.12", "hostile <object>", "deadly", "skipped", "cannot be judged"),
        ("5.4", "5.4", "kernel", "skipped", "unavailable"),
        ("5.4", "execsnoop", "probe", "skipped", "not run"),
        ("5.10", "5.10", "kernel", "error", "boot failed"),
    ];
    for (suite, class, name, element, kind) in table {
        let outcome = outcome(&elements, suite, class, name);
        assert_eq!((outcome.name.as_str(), outcome.attribute("type")), (element, kind), "{suite} {class} {name}");
        assert_eq!(element == "testcase", outcome.attribute("message").is_empty(), "{suite} {class} {name}");
    }
}

#[test]
fn passed_programs_tell_their_dangers_once() {
    let program = "tracepoint__syscalls__sys_exit_execve";
    let mut record = sample::record();
    let out = outcome(&parse(&xml(&record)), "6.12", "execsnoop", program);
    let line = "silent danger: `struct inode.i_ctime_nsec` has 4 bytes in the kernel, 8 bytes in the object \
    (src/execsnoop.bpf.c:41)";
    assert_eq!((out.name.as_str(), out.text.as_str()), ("system-out", line));
    let other = outcome(&parse(&xml(&record)), "6.12", "execsnoop", "tracepoint__syscalls__sys_enter_execve");
    assert_eq!(other.name, "testcase");
    // A failure is not silent.
    record.cells[3].programs[1].verdict = Verdict::TimedOut;
    let failed = outcome(&parse(&xml(&record)), "6.12", "execsnoop", program);
    assert_eq!((failed.name.as_str(), failed.text.contains("danger")), ("failure", false));
}

#[test]
fn text_comes_back_as_it_was_but_for_what_xml_cannot_hold() {
    let elements = parse(&xml(&sample::record()));
    let rejected = outcome(&elements, "6.1", "execsnoop", "probe");
    assert_eq!(
        rejected.text,
        "section: kprobe/do_exit\nerrno: 13\nlog: logs/6.1/execsnoop/probe.log\n(120 lines of the verifier log \
    omitted)\n; return *(int *)ctx;\n0: (61) r0 = *(u32 *)(r1 +4096)\nR1 <&\"'> ]]>  ü 日本 `x`\ninvalid bpf_context \
    access off=4096 size=4"
    );
    let unresolved = outcome(&elements, "6.1", "hostile <object>", "it's \"odd\" & <new>");
    assert_eq!(unresolved.attribute("message"), "R1 <&\"'> ]]> ü 日本 `x`");
    let boot = outcome(&elements, "5.10", "5.10", "kernel");
    assert!(boot.text.starts_with("hint: read the console in"), "{}", boot.text);
    assert!(boot.text.ends_with("\n[    1.3] ---[ end Kernel panic ]]>---"), "{}", boot.text);
}

#[test]
fn every_character_survives_or_is_dropped() {
    for c in (0..=0x10ffff_u32).step_by(7).chain(0..0x100).filter_map(char::from_u32) {
        let text: String = ['a', c, 'b', ']', ']', '>', c].iter().collect();
        let clean = allowed(&text);
        let expected = if c == '\u{fffe}' || c == '\u{ffff}' { "ab]]>".to_owned() } else { text };
        if !c.is_control() {
            assert_eq!(clean, expected);
        }
    }
    let mut record = sample::record();
    record.kernels[3].notes =
        vec![(0..=0x2ff).filter_map(char::from_u32).collect(), "]]>]]>]]".to_owned(), NASTY.to_owned()];
    record.kernels[3].name = "]]>\x1b\n\"<6.12>\u{ffff}".to_owned();
    let elements = parse(&xml(&record));
    assert!(elements.iter().any(|e| e.attribute("name") == "]]> \"<6.12>"));
    let out = elements.iter().find(|e| e.name == "system-out" && e.text.contains("ü")).unwrap();
    assert!(out.text.contains("\n]]>]]>]]\n"), "{}", out.text);
}

#[test]
fn objects_without_programs_and_required_kernels_are_not_missing() {
    let mut record = sample::large(0, 1);
    record.kernels.push(sample::kernel("9.9"));
    record.kernels[1].state = KernelState::Unavailable { reason: "gone".to_owned(), hint: None };
    let (mut broken, hollow) = (sample::object("broken", &[]), sample::object("hollow", &[]));
    broken.broken = Some("no section headers".to_owned());
    let record = sample::assemble(record.kernels, vec![broken, hollow], |_, _, _| unreachable!());
    let elements = parse(&xml(&record));
    assert_eq!(outcome(&elements, "5.4", "broken", "object").attribute("message"), "no section headers");
    assert_eq!(outcome(&elements, "5.4", "hollow", "object").name, "skipped");
    assert_eq!(outcome(&elements, "9.9", "9.9", "kernel").name, "error");
}

#[test]
fn any_start_time_gives_a_report() {
    for started in ["", "yesterday", "9999-12-31T23:59:59-23:59", "0000-01-01T00:00:00+23:59"] {
        let mut record = sample::large(3, 1);
        record.started = started.to_owned();
        assert!(xml(&record).contains("timestamp="), "{started}");
    }
}

/// What may stand in an element, in this order, and which attributes it may and must have: as in `tests/fixtures/junit/junit.xsd`.
fn grammar(element: &str) -> (&'static [&'static str], &'static [&'static str], &'static [&'static str]) {
    let outcome: (&[&str], &[&str], &[&str]) = (&[], &["type", "message"], &[]);
    match element {
        "testsuites" => (&["testsuite"], &[], &[]),
        "testsuite" => (
            &["testcase", "system-out", "system-err"],
            &["id", "package", "skipped", "hostname", "timestamp", "time"],
            &["name", "tests", "failures", "errors"],
        ),
        "testcase" => {
            (&["skipped", "failure", "error", "system-out", "system-err"], &["file"], &["name", "classname", "time"])
        }
        "skipped" | "failure" | "error" => outcome,
        "system-out" | "system-err" => (&[], &[], &[]),
        other => panic!("`{other}` is no element of JUnit"),
    }
}

/// Reads the file as the strictest of pipelines would: nothing unknown, nothing out of order, and numbers that are true.
fn read_strictly(xml: &str) {
    let mut reader = Reader::from_str(xml);
    // Open elements with what stood in them so far.
    let mut open: Vec<(String, Vec<String>)> = Vec::new();
    let mut suites: Vec<([u32; 3], [u32; 3])> = Vec::new();
    loop {
        let event = reader.read_event().unwrap();
        match &event {
            Event::Start(start) | Event::Empty(start) => {
                let name = String::from_utf8(start.name().as_ref().to_vec()).unwrap();
                let (_, may, must) = grammar(&name);
                let attributes: Vec<(String, String)> = start
                    .attributes()
                    .map(|attribute| {
                        let attribute = attribute.unwrap();
                        let value = String::from_utf8(attribute.value.to_vec()).unwrap();
                        (String::from_utf8(attribute.key.as_ref().to_vec()).unwrap(), value)
                    })
                    .collect();
                let value =
                    |key: &str| attributes.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str());
                must.iter().for_each(|key| assert!(value(key).is_some(), "{name} has no {key}"));
                for (key, value) in &attributes {
                    assert!(may.contains(&key.as_str()) || must.contains(&key.as_str()), "{name} has {key}");
                    assert!(key == "package" || !value.is_empty(), "{name} has an empty {key}");
                }
                let number = |key: &str| value(key).unwrap().parse::<u32>().unwrap();
                if let Some(time) = value("time") {
                    assert!(time.parse::<f64>().unwrap() >= 0.0, "{time}");
                }
                match (name.as_str(), suites.last_mut()) {
                    ("testsuite", _) => suites.push((["tests", "failures", "errors"].map(number), [0; 3])),
                    ("testcase", Some((_, counted))) => counted[0] += 1,
                    ("failure", Some((_, counted))) => counted[1] += 1,
                    ("error", Some((_, counted))) => counted[2] += 1,
                    _ => {}
                }
                if let Some((parent, before)) = open.last_mut() {
                    let (order, ..) = grammar(parent);
                    let place = |name: &String| order.iter().position(|known| known == name);
                    assert!(place(&name).is_some(), "{name} in {parent}");
                    assert!(before.last().is_none_or(|last| place(last) <= place(&name)), "{before:?} {name}");
                    let outcomes = ["skipped", "failure", "error"];
                    let is_outcome = |name: &String| outcomes.contains(&name.as_str());
                    assert!(!is_outcome(&name) || !before.iter().any(is_outcome), "two outcomes of a case");
                    before.push(name.clone());
                } else {
                    assert_eq!(name, "testsuites");
                }
                if matches!(event, Event::Start(_)) {
                    open.push((name, Vec::new()));
                }
            }
            Event::End(_) => drop(open.pop()),
            Event::Text(_) | Event::CData(_) => assert!(grammar(&open.last().unwrap().0).0.is_empty()),
            Event::Eof => break,
            _ => {}
        }
    }
    assert!(open.is_empty() && suites.iter().all(|(stated, counted)| stated == counted), "{suites:?}");
}

#[test]
fn the_strictest_reader_takes_every_record() {
    for record in [sample::record(), sample::large(60, 13), sample::large(0, 0), sample::large(0, 2)] {
        read_strictly(&xml(&record));
        let report = decide(&record, None, &Expectations::default(), &GateLimits::now());
        read_strictly(&String::from_utf8(render(&record, Some(&report)).unwrap()).unwrap());
    }
}

#[test]
fn with_a_gate_it_is_red_where_the_gate_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("suite.toml");
    let expect = "[[expect]]\nobject = \"execsnoop\"\nprogram = \"vfs_*\"\nkernel = \"6.1\"\nreason = \"renamed\"\n\
                  link = \"https://example.org/1\"\n[[expect]]\nobject = \"opensnoop\"\nprogram = \"open_enter\"\nreason = \"old\"";
    std::fs::write(&path, expect).unwrap();
    let expectations = Expectations::read(&path).unwrap();
    let mut record = sample::record();
    record.cells[4 + 3].kernel_log = vec![KernelWarning {
        program: Some("open_exit".to_owned()),
        kind: WarningKind::Warning,
        headline: "WARNING: at x.c:1 f".to_owned(),
        text: "text".to_owned(),
        count: 1,
    }];
    let report = decide(&record, None, &expectations, &GateLimits::now());
    let elements = parse(&String::from_utf8(render(&record, Some(&report)).unwrap()).unwrap());
    let case = |kernel: &str, class: &str, name: &str| {
        let outcome = outcome(&elements, kernel, class, name);
        format!("{} {}: {}", outcome.name, outcome.attribute("type"), outcome.attribute("message"))
            .trim_end()
            .to_owned()
    };
    let place = path.display().to_string();
    let lines = [
        case("6.1", "execsnoop", "vfs_read_entry"),
        case("6.12", "execsnoop", "vfs_read_entry"),
        // It loads, and its kernel complains.
        case("6.12", "opensnoop", "open_exit"),
        case("6.12", "opensnoop", "open_enter"),
        case("gate", "object fails as a whole", "`opensnoop` on 6.12"),
        case("gate", "infrastructure", "kernel 5.10"),
        case("gate", "unexpected pass", "`opensnoop/open_enter` on 6.1, 6.12"),
    ];
    insta::assert_snapshot!(lines.join("\n").replace(&place, "suite.toml"), @r"
    skipped attach target missing: renamed (https://example.org/1); `vfs_read` is not among the functions of this kernel's BTF
    failure failure: `execsnoop/vfs_read_entry` on 6.12: attach target missing (missing attach target): `vfs_read` is not among the functions of this kernel's BTF
    failure kernel warning: `opensnoop/open_exit` on 6.12: WARNING: at x.c:1 f
    testcase :
    failure object fails as a whole: `opensnoop` on 6.12: does not load as a whole, as its own loader would load it: map `events`: type 27 is not supported
    error infrastructure: kernel 5.10: did not boot: no hello within 20s; the console ends with a kernel panic
    system-out :
    ");
}

#[test]
fn an_expected_failure_is_skipped_with_its_reason() {
    let objects = vec![sample::object("o", &[("p", "kprobe/x")])];
    let mut record = sample::assemble(vec![sample::kernel("6.1")], objects, |_, _, _| {
        (Verdict::VerifierRejected, Some("too many".to_owned()))
    });
    record.cells[0].programs[0].expected = Some("it needs 6.6".to_owned());
    let elements = parse(&xml(&record));
    assert!(elements.iter().all(|one| one.name != "failure"), "{elements:?}");
    let skipped = elements.iter().find(|one| one.name == "skipped").unwrap();
    assert_eq!(skipped.attribute("message"), "expected: it needs 6.6; too many");
}
