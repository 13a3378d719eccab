//! The page in a real browser: Chromium without a window opens it at an address, a script of the test works on it, and the test reads
//! what stands there then.

use std::process::Command;

use serde_json::Value;

use super::super::coverage::tests::record as covered;
use super::super::{Baseline, SourceRoot};
use super::*;
use crate::need::{self, need};
use crate::record::Verdict;
use crate::record::sample::{self, NASTY};
use crate::record::{Alternative, AlternativeKind, AlternativesRecord, OptionalRecord, RunRecord};

/// A page on disk, as someone opens it.
struct Page {
    folder: tempfile::TempDir,
}

impl Page {
    fn of(record: &RunRecord, baseline: Option<&RunRecord>) -> Page {
        let folder = tempfile::tempdir().unwrap();
        let sources = SourceRoot::around(folder.path());
        let baseline = baseline.map(|record| Baseline { name: "last night".to_owned(), record });
        let html = render(&Material { record, folder: folder.path(), sources: &sources, baseline }).unwrap();
        std::fs::create_dir_all(folder.path().join("reports/night 1")).unwrap();
        std::fs::write(folder.path().join("reports/night 1/report.html"), html).unwrap();
        Page { folder }
    }

    /// Opens the page at an address (`view=kernels`) and evaluates `script`, the body of a function. Returns its value. Fails if
    /// anything went wrong on the page.
    fn ask(&self, address: &str, script: &str) -> Value {
        let (answer, console) = self.open(address, script);
        assert!(console.is_empty(), "{address}: {console:?}");
        answer
    }

    /// The same, with what the console of the page says.
    fn open(&self, address: &str, script: &str) -> (Value, Vec<String>) {
        let whole = std::fs::read_to_string(self.folder.path().join("reports/night 1/report.html")).unwrap();
        let asked = format!(
            "<script>document.addEventListener('drawn', () => {{ const all = (one) => [...document.querySelectorAll(one)]; const texts = (one) => \
             all(one).map((node) => node.textContent); const press = (key) => document.activeElement.dispatchEvent(new \
             KeyboardEvent('keydown', {{ key, bubbles: true, cancelable: true }})); const answer = (() => {{ {script} }})(); const \
             out = document.createElement('pre'); out.id = 'answer'; out.textContent = JSON.stringify(answer); \
             document.body.append(out); }});</script>"
        );
        let page = self.folder.path().join("reports/night 1/asked.html");
        std::fs::write(&page, whole.replace("</body>", &format!("{asked}</body>"))).unwrap();
        let profile = tempfile::tempdir().unwrap();
        let url = format!("file://{}#{address}", page.display().to_string().replace(' ', "%20"));
        let said = Command::new(need::browser().unwrap())
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--no-first-run"])
            .args(["--window-size=1366,768", "--virtual-time-budget=2000", "--timeout=60000"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .args(["--dump-dom", &url])
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&said.stderr);
        let console = errors.lines().filter(|line| line.contains(":CONSOLE")).map(str::to_owned).collect();
        let page = String::from_utf8_lossy(&said.stdout);
        let answer = page.split_once("<pre id=\"answer\">").and_then(|(_, rest)| rest.split_once("</pre>"));
        let Some((answer, _)) = answer else { return (Value::Null, console) };
        let answer = answer.replace("&lt;", "<").replace("&gt;", ">").replace("&nbsp;", "\u{a0}").replace("&amp;", "&");
        (serde_json::from_str(&answer).unwrap(), console)
    }
}

fn texts(answer: &Value) -> Vec<&str> {
    answer.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

/// The sample, with what a suite says of it.
fn record() -> RunRecord {
    let mut record = sample::record();
    let member = |name: &str| Alternative { object: "execsnoop".to_owned(), name: Some(name.to_owned()) };
    record.alternatives.push(AlternativesRecord {
        name: "read".to_owned(),
        kind: AlternativeKind::Programs,
        declared: true,
        members: vec![member("vfs_read_entry"), member("probe")],
    });
    record.optional.push(OptionalRecord { what: member("vfs_read_exit"), reason: "a nicety".to_owned() });
    record
}

#[test]
fn a_broken_page_is_noticed() {
    need!("browser");
    let page = Page::of(&record(), None);
    let (answer, console) = page.open("", "return nothing.here;");
    assert!(answer.is_null() && console.iter().any(|line| line.contains("nothing is not defined")), "{console:?}");
}

#[test]
fn the_matrix_shows_every_program_on_every_kernel() {
    need!("browser");
    let page = Page::of(&record(), None);
    let answer = page.ask(
        "all=1",
        "return { rows: texts('.grid tbody .name'), kernels: texts('.grid thead button'), cells: all('.grid .cell').length, excused: \
         texts('.grid .excused'), labels: all('.cell').every((one) => one.getAttribute('aria-label')), inTab: all('.cell').filter((one) \
         => one.tabIndex === 0).length, count: texts('#count')[0], tabs: texts('[role=tab]') };",
    );
    assert_eq!(texts(&answer["rows"]).len(), 10, "{answer}");
    assert_eq!(texts(&answer["kernels"]), ["5.4", "5.10", "6.1", "6.12"]);
    assert_eq!((answer["cells"].as_u64(), answer["inTab"].as_u64()), (Some(40), Some(1)));
    // Optional on both kernels; `probe` serves instead on one of them.
    assert_eq!(texts(&answer["excused"]), ["(target)", "(target)", "(target)"]);
    assert_eq!(answer["labels"], true);
    assert_eq!(answer["count"], "10 programs × 4 kernels, 5 failing");
    assert_eq!(texts(&answer["tabs"])[0], "Matrix");
}

#[test]
fn an_address_filters_and_opens_the_evidence() {
    need!("browser");
    let page = Page::of(&record(), None);
    let answer = page.ask(
        "verdict=verifier_rejected&kernel=6.1&kernel=6.12&object=execsnoop&program=probe&on=6.1",
        "return { rows: texts('.grid tbody .name'), kernels: texts('.grid thead button'), title: texts('#detail h2')[0], evidence: \
         texts('#detail .what dd').join('|'), commands: texts('#detail .command code'), strip: texts('.strip button'), log: \
         texts('#detail pre.log')[0], parts: texts('#detail h3'), open: texts('.cell[aria-current]') };",
    );
    assert_eq!(texts(&answer["rows"]), ["probe"]);
    assert_eq!(texts(&answer["kernels"]), ["6.1", "6.12"]);
    assert_eq!(answer["title"], "execsnoop / probe on 6.1");
    assert!(answer["evidence"].as_str().unwrap().contains("invalid bpf_context access off=4096 size=4"), "{answer}");
    assert_eq!(
        texts(&answer["commands"]),
        [
            "corematrix repro 'reports/night 1' 6.1 execsnoop probe",
            "corematrix explain 'reports/night 1' 6.1 execsnoop probe",
        ]
    );
    assert_eq!(texts(&answer["strip"]), ["5.4 -", "5.10 -", "6.1 reject", "6.12 ok"]);
    assert!(answer["log"].as_str().unwrap().contains("0: (61) r0 = *(u32 *)(r1 +4096)"), "{answer}");
    assert_eq!(texts(&answer["open"]), ["reject"]);
}

#[test]
fn keys_lead_through_the_page() {
    need!("browser");
    let page = Page::of(&record(), None);
    let answer = page.ask(
        "all=1",
        "const at = () => document.activeElement.getAttribute('aria-label'); const seen = []; all('.cell')[2].focus(); \
         press('ArrowDown'); press('ArrowRight'); seen.push(at()); document.activeElement.click(); seen.push(at()); seen.push(location.hash); \
         press('Escape'); seen.push(at()); press('/'); seen.push(document.activeElement.id); document.activeElement.blur(); \
         document.getElementById('tab-matrix').focus(); press('ArrowRight'); seen.push(document.activeElement.id); \
         seen.push(all('main > section:not([hidden])').map((one) => one.id).join()); return seen;",
    );
    assert_eq!(
        texts(&answer),
        [
            "execsnoop, tracepoint__syscalls__sys_exit_execve on 6.12: ok !, loaded, reads wrong data",
            "Evidence",
            "#all=1&object=execsnoop&program=tracepoint__syscalls__sys_exit_execve&on=6.12",
            "execsnoop, tracepoint__syscalls__sys_exit_execve on 6.12: ok !, loaded, reads wrong data",
            "find",
            "tab-failures",
            "view-failures",
        ]
    );
}

#[test]
fn every_text_has_contrast_in_light_and_dark() {
    need!("browser");
    let worst = include_str!("contrast.js");
    let mut seen = std::collections::BTreeSet::new();
    let baseline = sample::record();
    for record in [every_look(), crate::record::sample::predicted(), covered(), record()] {
        let answer = Page::of(&record, Some(&baseline)).ask("all=1", worst);
        assert_eq!(texts(&answer["low"]), [""; 0], "contrast below 4.5:1");
        assert!(answer["measured"].as_u64().unwrap() > 100, "{answer}");
        seen.extend(texts(&answer["looks"]).into_iter().map(str::to_owned));
    }
    let looks = ["bad", "excused", "good", "grave", "none", "odd", "predicted", "predicted fails", "warn"];
    assert_eq!(Vec::from_iter(seen), looks);
}

/// Each verdict where it counts and where the suite allows it, and what loads and reads wrong data.
fn every_look() -> RunRecord {
    let names: Vec<String> = (0..Verdict::ALL.len()).map(|p| format!("p{p}")).collect();
    let programs: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "kprobe/x")).collect();
    let objects = vec![sample::object("counts", &programs), sample::object("allowed", &programs)];
    let mut record = sample::assemble(vec![sample::kernel("6.1"), sample::kernel("6.12")], objects, |_, p, _| {
        (Verdict::ALL[p], (!Verdict::ALL[p].is_pass()).then(|| "a reason".to_owned()))
    });
    let what = Alternative { object: "allowed".to_owned(), name: None };
    record.optional.push(OptionalRecord { what, reason: "a nicety".to_owned() });
    let loaded = Verdict::ALL.iter().position(|verdict| verdict.is_pass()).unwrap();
    record.cells[0].dangers = vec![sample::unattachable(&names[loaded])];
    record
}

#[test]
fn coverage_shows_sides_lines_and_what_is_unproven() {
    need!("browser");
    let page = Page::of(&covered(), None);
    let answer = page.ask(
        "view=coverage&source=a",
        "return { sides: all('.sides tbody tr:not(.guard)').map((row) => [...row.children].map((one) => one.textContent).join('|')), \
         guards: texts('.sides .guard'), lines: all('.lines .line').map((row) => [...row.children].map((one) => \
         one.textContent).join('|')), unproven: texts('.unproven li'), hash: location.hash };",
    );
    assert_eq!(
        texts(&answer["sides"]),
        [
            "exists (2 instructions)unproven|-|R",
            "does not exist (1 instruction)|RV|-",
            "!= 0 (4 instructions)|-|-",
            "== 0|RV|R",
        ]
    );
    assert!(texts(&answer["guards"])[2].contains("undecided: its value does not reach a branch"), "{answer}");
    assert_eq!(
        texts(&answer["lines"]),
        ["+|?|4|\tif (exists)", "!|?|5|\t\tnew();", "+|?|6|\t\told();", "+|?|7|\tif (flag)", "-|?|8|\t\tmore();",]
    );
    let unproven = texts(&answer["unproven"]);
    assert!(unproven.len() == 1 && unproven[0].contains("resolved on 6.12, but probe was not loaded"), "{unproven:?}");
    assert_eq!(answer["hash"], "#view=coverage&source=a");
    let plain = Page::of(&record(), None).ask("view=coverage", "return texts('[role=tab][aria-selected=true]');");
    assert_eq!(texts(&plain), ["Matrix"], "a run without coverage has no such view");
}

#[test]
fn changes_and_alternatives_have_their_views() {
    need!("browser");
    let (after, mut before) = (record(), record());
    for cell in [2, 3] {
        let loaded = &mut before.cells[cell].programs[2];
        *loaded = sample::program(&loaded.name, &loaded.section, Verdict::Loaded, None);
    }
    let page = Page::of(&after, Some(&before));
    let answer =
        page.ask("view=changes", "return { heads: texts('#view-changes h2'), all: texts('#view-changes .finding') };");
    assert_eq!(texts(&answer["heads"]), ["Worse (1)"]);
    assert!(
        texts(&answer["all"])[0].starts_with("execsnoop / vfs_read_entry on 6.1, 6.12loaded -> attach target missing"),
        "{answer}"
    );
    let answer = page.ask("view=alternatives", "return all('.service tbody tr').map((row) => [...row.children].map((one) => one.textContent).join('|') + ' ' + \
         row.querySelectorAll('.serves').length);");
    assert_eq!(texts(&answer), ["read|?|?|none| 0", "vfs_read_entry|-|-|target|(target) 0", "probe|-|-|reject|ok 1",]);
}

#[test]
fn machines_have_a_view_with_what_each_changed() {
    need!("browser");
    let page = Page::of(&crate::report::machines::tests::record(), None);
    let answer = page.ask(
        "view=machines",
        "return { heads: texts('#view-machines h2'), cells: texts('#view-machines td'), tab: texts('[role=tab][aria-selected=true]') };",
    );
    assert_eq!(texts(&answer["heads"]), ["harden", "quiet", "gone"]);
    assert_eq!(texts(&answer["cells"]), ["1 changed", "1 changed", "same", "same", "–", "–"]);
    assert_eq!(texts(&answer["tab"]), ["Machines (3)"]);
    let plain = Page::of(&record(), None).ask("view=machines", "return texts('[role=tab][aria-selected=true]');");
    assert_eq!(texts(&plain), ["Matrix"], "a run on the kernels' own machines has no such view");
}

#[test]
fn every_view_takes_hostile_names_and_many_kernels() {
    need!("browser");
    let mut record = record();
    record.objects[1].name = format!("</script><img src=x onerror=alert(1)> {NASTY}");
    for k in 0..4 {
        record.cells[4 + k].object = record.objects[1].name.clone();
    }
    let views = "const drawn = {}; for (const tab of all('[role=tab]')) { tab.click(); drawn[tab.id] = texts('main > section:not([hidden])')[0].length > 0; } \
                 return { drawn, images: all('img').length, wide: document.documentElement.scrollWidth > innerWidth };";
    for record in [record, sample::large(60, 30), sample::large(0, 0), sample::large(3, 0), covered()] {
        let answer = Page::of(&record, Some(&sample::record())).ask("", views);
        assert!(answer["drawn"].as_object().unwrap().values().all(|drawn| drawn == true), "{answer}");
        assert_eq!((answer["images"].as_u64(), &answer["wide"]), (Some(0), &Value::Bool(false)), "{answer}");
    }
}

#[test]
fn large_matrices_are_drawn_whole_and_ask_nothing_of_the_network() {
    need!("browser");
    let answer = Page::of(&sample::large(60, 30), None).ask(
        "all=1",
        "return { cells: all('.cell').length, loaded: performance.getEntriesByType('resource').length };",
    );
    assert_eq!((answer["cells"].as_u64(), answer["loaded"].as_u64()), (Some(1800), Some(0)));
}

#[test]
fn the_first_rows_of_a_huge_matrix_do_not_wait_for_the_last() {
    need!("browser");
    let page = Page::of(&sample::large(300, 30), None);
    let script = "const first = all('.cell').length; dispatchEvent(new Event('beforeprint')); return [first, all('.cell').length];";
    let answer = page.ask("all=1", script);
    let [first, all] = [0, 1].map(|at| answer[at].as_u64().unwrap());
    assert_eq!(all, 9000);
    assert!((1..all / 2).contains(&first), "{first} of {all}");
}
