//! How much of the instruction limit programs may use.

use super::super::decision::{Rule, Weight};
use super::Gate;
use crate::compare::Place;
use crate::protocol::MAPS_ALONE;
use crate::record::Limit;

impl Gate<'_> {
    /// Programs that use more of the instruction limit than they may, each on the kernel where it is worst. Those of which that is not
    /// known do not pass in silence.
    pub(super) fn instructions(&mut self) {
        let Some(most) = self.limits.instructions_share else { return };
        let record = self.record;
        for (o, object) in record.objects.iter().enumerate() {
            let mut unknown = 0;
            for (p, program) in object.programs.iter().enumerate().filter(|(_, program)| program.name != MAPS_ALONE) {
                let uses = record.uses_of(o, p, Limit::Instructions);
                let loads = (0..record.kernels.len())
                    .filter(|&k| record.cell(o, k).programs.get(p).is_some_and(|program| program.verdict.is_pass()));
                unknown += usize::from(loads.count() > uses.len());
                let over = uses.iter().filter(|(_, one)| one.percent() > most).count();
                let Some((worst, one)) = uses.first().filter(|_| over > 0) else { continue };
                let place = Place::cell(&object.name, &record.kernels[*worst].name).of_program(&program.name);
                let others = match over - 1 {
                    0 => String::new(),
                    1 => "; also on 1 other kernel".to_owned(),
                    others => format!("; also on {others} other kernels"),
                };
                let story = format!("{one}; the limit is {most} %{others}");
                self.push(Weight::Red, Rule::TooManyInstructions, place, &story, None);
            }
            if unknown > 0 {
                let programs = if unknown == 1 { "1 program" } else { &format!("{unknown} programs") };
                let story = format!(
                    "the share of the instruction limit is unknown for {programs}: the loader left no verifier \
    statistics"
                );
                let hint = "run without `--max-instructions`, or load with libbpf (`--loader libbpf`)".to_owned();
                let place = Place::object(&object.name);
                self.push(Weight::Infrastructure, Rule::TooManyInstructions, place, &story, Some(hint));
            }
        }
    }
}
