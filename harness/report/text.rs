//! Text of guests and objects made fit to print: [`one_line`], [`printable`], [`shorten_middle`], [`paragraph`].

use console::{measure_text_width, strip_ansi_codes};
use textwrap::{Options, WordSplitter};

/// Longer reasons are cut in tables; `report.json` has them whole.
const LONGEST_LINE: usize = 400;

/// `text` as one line without escapes and control characters, cut at its end if it is very long.
pub fn one_line(text: &str) -> String {
    let plain = strip_ansi_codes(text);
    let spaced: String = plain.chars().map(|c| if moves_the_cursor(c) { ' ' } else { c }).collect();
    let words: Vec<&str> = spaced.split(' ').filter(|word| !word.is_empty()).collect();
    let mut line = words.join(" ");
    if let Some((end, _)) = line.char_indices().nth(LONGEST_LINE) {
        line.truncate(end);
        line.push('…');
    }
    line
}

/// A line without escapes and control characters; its blanks and tabs stay.
pub fn printable(line: &str) -> String {
    strip_ansi_codes(line).chars().map(|c| if c != '\t' && moves_the_cursor(c) { ' ' } else { c }).collect()
}

/// Control characters, and those that break lines or turn the writing direction.
fn moves_the_cursor(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `text` in at most `width` columns; what is too much is cut out of its middle, since names that share their beginning
/// differ at the end.
pub fn shorten_middle(text: &str, width: usize) -> String {
    if measure_text_width(text) <= width {
        return text.to_owned();
    }
    let room = width.saturating_sub(1);
    let head = prefix(text.chars(), room.div_ceil(2));
    let tail = prefix(text.chars().rev(), room - measure_text_width(&head));
    format!("{head}…{}", tail.chars().rev().collect::<String>())
}

/// As many of `chars` as fit into `width` columns.
fn prefix(chars: impl Iterator<Item = char>, width: usize) -> String {
    let mut text = String::new();
    for c in chars {
        text.push(c);
        if measure_text_width(&text) > width {
            text.pop();
            break;
        }
    }
    text
}

/// What [`unbroken`] puts for a blank.
const NO_BREAK: &str = "\u{a0}";

/// `text` that [`paragraph`] keeps on one line.
pub fn unbroken(text: &str) -> String {
    text.replace(' ', NO_BREAK)
}

/// Wraps `text` at `width`, the first line indented by `indent` and the others by four columns more. Ends with a newline.
pub fn paragraph(text: &str, indent: usize, width: usize) -> String {
    let (first, rest) = (" ".repeat(indent), " ".repeat(indent + 4));
    let options = Options::new(width.max(indent + 24))
        .initial_indent(&first)
        .subsequent_indent(&rest)
        // A package or kernel name must stay whole, to be copied.
        .word_splitter(WordSplitter::NoHyphenation);
    let mut wrapped = textwrap::fill(&one_line(text), options).replace(NO_BREAK, " ");
    wrapped.push('\n');
    wrapped
}

/// `1 program`, `2 programs`.
pub fn counted(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_has_neither_escapes_nor_control_characters() {
        assert_eq!(one_line("\x1b[31mbad\x1b[0m:\r\n\tR1 \0type=inv\x1b"), "bad: R1 type=inv");
        let long = one_line(&"ü".repeat(10_000));
        assert_eq!(long.chars().count(), LONGEST_LINE + 1);
        assert!(long.ends_with('…'));
    }

    #[test]
    fn code_keeps_its_blanks() {
        assert_eq!(printable("\tint  x; \x1b[31mred\x1b[0m\r\0"), "\tint  x; red  ");
    }

    #[test]
    fn shortened_names_keep_both_ends() {
        assert_eq!(shorten_middle("short", 5), "short");
        assert_eq!(shorten_middle("tracepoint__syscalls__sys_enter_execve", 16), "tracepoi…_execve");
        for width in 0..8 {
            assert!(measure_text_width(&shorten_middle("日本語の名前です", width)) <= width.max(1));
        }
    }

    #[test]
    fn paragraphs_hang() {
        let text = paragraph("no package matches `linux-image-5.4.*-cloud-amd64` in any suite", 2, 40);
        assert_eq!(text, "  no package matches\n      `linux-image-5.4.*-cloud-amd64` in\n      any suite\n");
    }
}
