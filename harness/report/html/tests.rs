use super::super::SourceRoot;
use super::*;
use crate::record::RunRecord;
use crate::record::sample::{self, NASTY};

fn page(record: &RunRecord) -> String {
    let folder = tempfile::tempdir().unwrap();
    let sources = SourceRoot::around(folder.path());
    render(&Material { record, folder: folder.path(), sources: &sources, baseline: None }).unwrap()
}

/// What [`packed`] packed.
fn unpacked(packed: &str) -> serde_json::Value {
    let bytes = base64::Engine::decode(&STANDARD, packed).unwrap();
    serde_json::from_reader(flate2::read::GzDecoder::new(&*bytes)).unwrap()
}

/// What the page's script gets.
pub(crate) fn data_of(page: &str) -> serde_json::Value {
    let (_, rest) = page.split_once("<script type=\"text/plain\" id=\"data\">").unwrap();
    unpacked(rest.split_once("</script>").unwrap().0)
}

#[test]
fn hostile_names_stay_data() {
    let mut record = sample::record();
    let evil = "</script><script>alert(1)</script><!-- {{data}} ]]> \u{2028} & \"'";
    record.objects[0].name = evil.to_owned();
    for k in 0..4 {
        record.cells[k].object = evil.to_owned();
        record.cells[k].programs[0].reason = Some(NASTY.to_owned());
    }
    record.kernels[0].name = "<img src=x onerror=alert(2)>".to_owned();
    let page = page(&record);
    // The two of the page itself, and nothing else that a browser would take for one.
    assert_eq!(page.matches("<script").count(), 2);
    assert_eq!(page.matches("</script>").count(), 2);
    assert!(!page.contains("<img") && page.contains("&lt;img src=x"), "{page}");
    let data = data_of(&page);
    assert_eq!(data["objects"][0]["name"], evil);
    let texts = data["texts"].as_array().unwrap();
    assert!(texts.iter().any(|text| text == NASTY));
}

#[test]
fn the_page_needs_nothing_else() {
    let page = page(&sample::record());
    for outside in ["src=", "href=\"http", "url(", "@import", "fetch(", "XMLHttpRequest", "innerHTML", "eval("] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("default-src 'none'"));
    assert!(!page.contains("{{") && !page.contains("}}<"), "a mark was not filled in");
}

#[test]
fn the_answer_is_there_without_a_script() {
    let page = page(&sample::record());
    let (head, _) = page.split_once("<script").unwrap();
    assert!(head.contains("6 of 10 programs fail on at least one of 2 kernels"), "{head}");
    assert!(head.contains("Why: missing attach target"), "{head}");
}

#[test]
fn large_runs_make_small_pages() {
    let mut record = sample::large(60, 30);
    for cell in &mut record.cells {
        for program in &mut cell.programs {
            program.log_tail = (0..200).map(|line| format!("{line}: (85) call bpf_something#{line}")).collect();
        }
    }
    let page = page(&record);
    assert!(page.len() < 1 << 20, "{}", page.len());
    let data = data_of(&page);
    assert_eq!(data["cells"].as_array().unwrap().len(), record.cells.len());
}

#[test]
fn logs_that_take_too_much_room_are_cut_at_their_beginning() {
    let mut record = sample::large(60, 30);
    for (number, cell) in record.cells.iter_mut().enumerate() {
        for program in cell.programs.iter_mut().take(3) {
            program.log_tail = (0..900).map(|line| format!("{line}: words of {number} {}", program.name)).collect();
        }
    }
    let page = page(&record);
    assert!(page.len() < 8 << 20, "{}", page.len());
    let data = data_of(&page);
    let program = &data["cells"][0]["programs"][0];
    assert!(program["omitted"].as_u64().unwrap() >= 300, "{program}");
    let log = data["texts"][usize::try_from(program["log"].as_u64().unwrap()).unwrap()].as_str().unwrap();
    assert!(log.starts_with(|c: char| c.is_ascii_digit()) && log.contains("899: words of 0"), "{log}");
}
