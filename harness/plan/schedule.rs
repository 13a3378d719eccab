//! [`Schedule`]: what a run would do and in which parts, for a CI service.

use clap::ValueEnum;
use serde::Serialize;

use super::Plan;
use crate::answer::Answer;
use crate::parts::split;
use crate::record::Partition;

/// How a schedule is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum ScheduleFormat {
    /// The complete plan: kernels, objects, parts and costs.
    Json,
    /// One line for `strategy.matrix` with `fromJSON`; `matrix.partition` is `1/3`, `2/3` and so on.
    GithubMatrix,
    /// A hidden GitLab job to extend; `PARTITION` is `1/3`, `2/3` and so on.
    Gitlab,
}

/// What a run would do, and in which parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Schedule {
    /// Names of the kernels, in matrix order.
    pub kernels: Vec<String>,
    /// The objects, in the order given.
    pub objects: Vec<ScheduledObject>,
    /// The parts; none is empty.
    pub partitions: Vec<ScheduledPart>,
}

/// One object of a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ScheduledObject {
    /// Its name.
    pub name: String,
    /// How many programs it has.
    pub programs: usize,
    /// How long it takes, relative to the others.
    pub expected_cost: usize,
}

/// One part of a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ScheduledPart {
    /// What `--partition` takes: `1/3`.
    pub partition: String,
    /// Names of its objects.
    pub objects: Vec<String>,
    /// How long it takes, relative to the others.
    pub expected_cost: usize,
}

impl Answer for Schedule {
    const SCHEMA: &'static str = "plan-1";
}

impl Schedule {
    /// The schedule of a plan in at most `parts` parts; an object is never divided.
    pub fn new(plan: &Plan, parts: usize) -> Schedule {
        let objects: Vec<_> = plan
            .objects
            .iter()
            .map(|planned| ScheduledObject {
                name: planned.object.name.clone(),
                programs: planned.programs.len(),
                expected_cost: planned.expected_cost(),
            })
            .collect();
        Schedule::of(plan.kernels.iter().map(|kernel| kernel.name.clone()).collect(), objects, parts)
    }

    pub(super) fn of(kernels: Vec<String>, objects: Vec<ScheduledObject>, parts: usize) -> Schedule {
        let of = parts.clamp(1, objects.len().max(1));
        let costs: Vec<usize> = objects.iter().map(|object| object.expected_cost).collect();
        let part = |(index, places): (usize, Vec<usize>)| ScheduledPart {
            partition: Partition { number: index + 1, of }.to_string(),
            objects: places.iter().map(|&place| objects[place].name.clone()).collect(),
            expected_cost: places.iter().map(|&place| costs[place]).sum(),
        };
        let partitions = split(&costs, of).into_iter().enumerate().map(part).collect();
        Schedule { kernels, objects, partitions }
    }

    /// The schedule as text, with a newline at its end.
    ///
    /// # Errors
    /// None that comes from the schedule.
    pub fn render(&self, format: ScheduleFormat) -> Result<String, serde_json::Error> {
        let parts: Vec<&str> = self.partitions.iter().map(|part| part.partition.as_str()).collect();
        let list = serde_json::to_string(&parts)?;
        Ok(match format {
            ScheduleFormat::Json => self.json()?,
            ScheduleFormat::GithubMatrix => format!("{{\"partition\":{list}}}\n"),
            ScheduleFormat::Gitlab => {
                format!(".corematrix-partitions:\n  parallel:\n    matrix:\n      - PARTITION: {list}\n")
            }
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_written_for_the_engines() {
        let object = |(name, expected_cost): (&str, usize)| ScheduledObject {
            name: name.to_owned(),
            programs: 1,
            expected_cost,
        };
        let objects = [("a", 5), ("b", 9), ("c", 4)].map(object).to_vec();
        let schedule = Schedule::of(vec!["6.1".to_owned()], objects, 2);
        insta::assert_snapshot!(schedule.render(ScheduleFormat::GithubMatrix).unwrap(), @r#"{"partition":["1/2","2/2"]}"#);
        insta::assert_snapshot!(schedule.render(ScheduleFormat::Gitlab).unwrap(), @r#"
            .corematrix-partitions:
              parallel:
                matrix:
                  - PARTITION: ["1/2","2/2"]
            "#);
        let json: serde_json::Value = serde_json::from_str(&schedule.render(ScheduleFormat::Json).unwrap()).unwrap();
        assert_eq!(
            json["partitions"][1],
            serde_json::json!({"partition": "2/2", "objects": ["a", "c"], "expected_cost": 9})
        );
        // No part is empty.
        assert_eq!(Schedule::of(Vec::new(), schedule.objects, 9).partitions.len(), 3);
    }
}
