//! [`render`]: what machines that objects were tried on beside the kernel's own changed.

use super::super::machines::machine_views;
use super::super::text::paragraph;
use crate::record::RunRecord;

const TITLE: &str = "Effects of machine settings";

/// Each machine with what it changed, at most `width` columns wide.
pub fn render(record: &RunRecord, width: usize) -> String {
    let mut block = String::new();
    for view in machine_views(record) {
        block += &paragraph(&view.title(), 2, width);
        block.extend(view.lines(record).iter().map(|line| paragraph(line, 4, width)));
    }
    if block.is_empty() { block } else { paragraph(TITLE, 0, width) + &block }
}
