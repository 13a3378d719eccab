//! [`source`]: a snippet as a whole program.

use crate::record::{Arm, Snippet};

/// What stands before every guard. The value goes to a variable, or the compiler would drop the reads.
const HEAD: &str = "#include <linux/bpf.h>\n#include <stdbool.h>\n#include <bpf/bpf_helpers.h>\n#include <bpf/bpf_core_read.h>\n\n\
                    char LICENSE[] SEC(\"license\") = \"GPL\";\nunsigned long long seen;\n\n";

/// C that compiles by itself: the snippet in a program that goes through every condition of `arms`.
pub fn source(snippet: &Snippet, arms: &[Arm]) -> String {
    // Statements are indented; everything up to the last line that is not stands outside of functions.
    let lines: Vec<&str> = snippet.code.lines().collect();
    let outside = lines.iter().rposition(|line| !line.is_empty() && !line.starts_with('\t')).map_or(0, |at| at + 1);
    let (top, statements) = (lines[..outside].join("\n"), lines[outside..].join("\n"));
    let function = top.lines().find_map(|line| line.strip_prefix("static __always_inline ")?.split_once('('));
    let name = function.and_then(|(head, _)| head.rsplit([' ', '*']).next());
    let body = match name {
        Some(name) => format!("\tseen = (unsigned long long){name}((void *)bpf_get_current_task());\n"),
        None => {
            let conditions = arms.iter().filter_map(|arm| arm.condition.as_ref());
            let asked: String = conditions.map(|condition| format!("\tseen += {condition};\n")).collect();
            format!("{statements}\n{asked}")
        }
    };
    format!("{HEAD}{top}\n\nSEC(\"raw_tp/sys_enter\") int guard(void *ctx)\n{{\n{body}\treturn 0;\n}}\n")
}
