//! [`render`]: builds of one object side by side, for a terminal.

use tabled::builder::Builder;
use tabled::settings::object::Columns;
use tabled::settings::{Alignment, Modify, Padding, Style};

use super::text::one_line;
use crate::compare::{ObjectGrid, ProgramFigures};

/// Columns that are of use; a shorter name is made by cutting its middle.
const LONGEST_NAME: usize = 32;

/// A line for each program, with the kernels that load it and the most instructions that a verifier walked through.
pub fn render(grid: &ObjectGrid) -> String {
    let mut builder = Builder::default();
    let name = |name: &str| super::text::shorten_middle(&one_line(name), LONGEST_NAME);
    let names = grid.columns.iter().map(|column| name(&column.name));
    builder.push_record([String::new()].into_iter().chain(names));
    for row in &grid.programs {
        let figures = row.figures.iter().map(|figures| figures.as_ref().map_or("-".to_owned(), words));
        builder.push_record([name(&row.program)].into_iter().chain(figures));
    }
    let mut total = |label: &str, of: &dyn Fn(usize) -> String| {
        builder.push_record([label.to_owned()].into_iter().chain((0..grid.columns.len()).map(of)));
    };
    total("relocations", &|column| grid.columns[column].relocations.to_string());
    total("guard sides verified", &|column| {
        format!("{} of {}", grid.columns[column].verified, grid.columns[column].sides)
    });
    total("bytes", &|column| grid.columns[column].size.to_string());
    let mut table = builder.build();
    table.with(Style::empty()).with(Padding::new(0, 3, 0, 0));
    table.with(Modify::new(Columns::new(1..)).with(Alignment::right()));
    let lines: Vec<String> = table.to_string().lines().map(|line| line.trim_end().to_owned() + "\n").collect();
    lines.concat()
}

/// `7/8 kernels, 1350 insns`.
fn words(figures: &ProgramFigures) -> String {
    let loads = format!("{}/{} load", figures.loads, figures.judged);
    figures.instructions.map_or(loads.clone(), |count| format!("{loads}, {count} insns"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{ObjectFigures, ProgramRow};

    #[test]
    fn builds_stand_side_by_side() {
        let column = |name: &str, sides| ObjectFigures {
            name: name.to_owned(),
            size: 4520,
            relocations: 12,
            sides,
            verified: 4,
        };
        let one = |loads, instructions| Some(ProgramFigures { loads, judged: 8, instructions });
        let row = |program: &str, figures: [Option<ProgramFigures>; 2]| ProgramRow {
            program: program.to_owned(),
            figures: figures.to_vec(),
        };
        let grid = ObjectGrid {
            columns: vec![column("clang-14/my", 6), column("clang-19/my", 4)],
            programs: vec![
                row("handle_exec", [one(8, Some(1200)), one(7, Some(1350))]),
                row("handle_exit", [None, one(0, None)]),
            ],
        };
        insta::assert_snapshot!(render(&grid), @r"
                                        clang-14/my            clang-19/my
        handle_exec            8/8 load, 1200 insns   7/8 load, 1350 insns
        handle_exit                               -               0/8 load
        relocations                              12                     12
        guard sides verified                 4 of 6                 4 of 4
        bytes                                  4520                   4520
        ");
    }
}
