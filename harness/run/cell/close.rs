//! Closing programs: the verdict of each, with what is known about it, goes to the report.

use super::super::session::Session;
use super::super::{certain_failure, dangers, judgement, prediction};
use super::Cell;
use crate::event::Event;
use crate::judge::headroom::{Load, headroom};
use crate::judge::{self, Diagnosis, KernelView, exercise};
use crate::predict::Prediction;
use crate::protocol::libbpf_log;
use crate::protocol::{ProgramOutcome, Stage};
use crate::record::{Cause, ProgramRecord, Verdict};

impl Cell<'_> {
    /// Why the object could not be prepared whole. Of an extern libbpf does not say whose it is.
    pub(super) fn whole_failure(&self, warnings: &[String]) -> String {
        let reason = judge::prepare_failure(warnings);
        let users = libbpf_log::missing_extern(&reason).and_then(|name| self.planned.extern_users().remove(name));
        let Some(users) = users else { return reason };
        let users: Vec<String> = users.iter().map(|user| format!("`{user}`")).collect();
        format!("{reason}; {} refers to it", users.join(", "))
    }

    pub(super) fn close(&mut self, session: &Session<'_>, program: usize, outcome: &ProgramOutcome, log: &[u8]) {
        let mut record =
            judgement::record(self.planned, program, outcome, log, (&session.view(), &self.machine), &self.evidence);
        let known = judgement::info(self.planned, &record.name);
        if let (Some(Cause::ReturnValue | Cause::ContextArgumentChanged), Some(kernel)) =
            (record.cause, session.types())
        {
            judgement::blame_arguments(&dangers::changed_arguments(self.planned, program, kernel), &mut record);
        }
        // libbpf comes to the verifier without the map.
        let judged = matches!(record.verdict, Verdict::Loaded | Verdict::VerifierRejected);
        if let (true, Some(reason)) = (judged, self.map_by_profile(known)) {
            record.verdict = Verdict::MapCreationFailed;
            record.cause = Some(Cause::Unrecognised);
            record.reason = Some(reason);
        }
        if let (Verdict::Loaded, Some(facts)) = (record.verdict, self.attached.take()) {
            judgement::attached(known, &facts, (&session.view(), &self.machine), &mut record);
        }
        if outcome.stage == Stage::Loaded {
            record.headroom = headroom(&Load {
                statistics: record.statistics.as_ref(),
                loaded: record.loaded.as_ref(),
                insns: self.evidence.instructions_of(&record.name),
                program: known,
                object: self.planned.object.inventory.as_ref().ok(),
                release: session.view().release(),
            });
            record.exercise = self.exercised.take();
            record.cost = self.cost.take();
            let plan = self.planned.programs_setup.iter().find(|known| known.program == record.name);
            if let (Verdict::Loaded, Some(plan)) = (record.verdict, plan.and_then(|setup| setup.exercise.as_ref())) {
                exercise::judge(plan, &mut record);
            }
        }
        self.otherwise_by_profile(session, &mut record);
        session.wanted.note(record.cause, known.and_then(|known| known.prog_type.as_deref()));
        // Of a program that loaded the statistics are the whole log, unless more was asked for.
        if outcome.stage != Stage::Loaded || session.run.full_logs {
            self.save_log(session, &mut record, log);
        }
        self.done(session, program, record);
    }

    /// Saves a verifier log, if there is one.
    pub(super) fn save_log(&mut self, session: &Session<'_>, record: &mut ProgramRecord, log: &[u8]) {
        if log.is_empty() {
            return;
        }
        let names = [&session.run.plan.kernels[session.kernel].name, &self.planned.object.name, &record.name];
        match session.run.logs.save(&names, log) {
            Ok(path) => record.log_file = Some(path),
            Err(error) => self.notes.push(format!("cannot save the verifier log of `{}`: {error}", record.name)),
        }
    }

    pub(super) fn close_as(&mut self, session: &Session<'_>, program: usize, verdict: Verdict, reason: &str) {
        let mut record = ProgramRecord::not_run(&self.planned.programs[program], reason);
        record.verdict = verdict;
        record.cause = Cause::of(verdict);
        self.done(session, program, record);
    }

    pub(super) fn close_all(&mut self, session: &Session<'_>, verdict: Verdict, reason: &str) {
        for program in self.open.clone() {
            self.close_as(session, program, verdict, reason);
        }
    }

    /// Closes what is open with a verdict that does not show anything about the object.
    pub(super) fn close_all_unjudged(&mut self, session: &Session<'_>, diagnosis: &Diagnosis) {
        for program in self.open.clone() {
            let mut record = ProgramRecord::not_run(&self.planned.programs[program], "");
            record.verdict = diagnosis.verdict;
            record.reason.clone_from(&diagnosis.reason);
            record.cause = diagnosis.cause;
            record.evidence.clone_from(&diagnosis.evidence);
            self.done(session, program, record);
        }
    }

    /// What BTF predicts for the object. Another library than libbpf has rules of its own, and so has libbpf when it replaces one.
    pub(super) fn predicted(&self, session: &Session<'_>) -> Option<&Prediction> {
        let read = || session.predict(self.object, self.planned);
        if self.planned.loader.is_some() {
            return None;
        }
        self.prediction.get_or_init(read).as_ref()
    }

    pub(super) fn done(&mut self, session: &Session<'_>, program: usize, mut record: ProgramRecord) {
        let mut is_certain = false;
        if self.planned.loader.is_none() {
            let predicted = self.predicted(session).and_then(|prediction| prediction.programs.get(program));
            let kind = judgement::info(self.planned, &record.name).and_then(|known| known.prog_type.as_deref());
            let facts = (kind, self.whole.as_ref());
            is_certain = certain_failure::is_certain(self.planned, &record, predicted, facts);
            record.predicted = predicted.filter(|outcome| prediction::is_refuted(outcome, &record, kind)).cloned();
        }
        let is_failure = !record.verdict.is_pass() && !self.planned.loading.leaves_out(&record.name);
        self.is_in_doubt |= is_failure && !is_certain;
        self.open.retain(|index| *index != program);
        let (kernel, object) = (session.kernel, self.object);
        self.results[program] = Some(record.clone());
        session.send(Event::ProgramDone { kernel, object, program, record: Box::new(record) });
    }
}
