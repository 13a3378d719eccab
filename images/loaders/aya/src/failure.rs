//! What a call of the library failed with, as an answer's text.

use std::any::Any;
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// More than any sentence of the library.
const LONGEST: usize = 2000;

/// Where the library's errors begin to show the verifier's log.
const LOG: &str = ". Verifier output: ";

/// Calls the library. A panic in it is its answer, too: a program of the user's would end by it.
pub fn guarded<T, E: Error>(call: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(|error| text(&error)),
        Err(reason) => Err(one_line(&format!("panic: {}", panic_text(reason.as_ref())))),
    }
}

/// The error and what caused it, joined by `: `, without the verifier's log.
fn text(error: &dyn Error) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let own = error.to_string();
        let own = own.split(LOG).next().unwrap_or_default();
        // Some errors show their source themselves.
        if !text.contains(own) {
            text.push_str(if text.is_empty() { "" } else { ": " });
            text.push_str(own);
        }
        next = error.source();
    }
    one_line(&text)
}

fn one_line(text: &str) -> String {
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|end| line.is_char_boundary(*end)).unwrap_or_default();
        line.truncate(end);
        line.push('…');
    }
    line
}

fn panic_text(reason: &(dyn Any + Send)) -> &str {
    let text = reason.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| reason.downcast_ref::<&str>().copied()).unwrap_or("no reason given")
}

#[cfg(test)]
mod tests {
    use std::{fmt, io};

    use super::*;

    #[derive(Debug)]
    struct Outer(&'static str, io::Error);

    impl fmt::Display for Outer {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str(self.0)
        }
    }

    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.1)
        }
    }

    fn refused(text: &'static str) -> String {
        guarded(|| Err::<(), _>(Outer(text, io::Error::other("no entry")))).expect_err("it is an error")
    }

    #[test]
    fn sources_are_joined_once() {
        assert_eq!(refused("map error"), "map error: no entry");
        assert_eq!(refused("map error: no entry"), "map error: no entry");
    }

    #[test]
    fn the_log_is_left_out() {
        let text = "the BPF_PROG_LOAD syscall returned no entry. Verifier output: 0: R1=ctx\n1: (95) exit";
        assert_eq!(refused(text), "the BPF_PROG_LOAD syscall returned no entry");
    }

    #[test]
    fn a_panic_of_the_library_is_a_failure() {
        let failure = guarded(|| -> Result<(), io::Error> { panic!("range end 3\nout of range") });
        assert_eq!(failure, Err("panic: range end 3 out of range".to_owned()));
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let text = one_line(&"ä".repeat(LONGEST));
        assert_eq!(text.len(), LONGEST + "…".len());
    }
}
