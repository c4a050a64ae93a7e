//! What is to become of a task instance that no worker holds: the sum of everything it depends on.

use windrose_core::task_state::FinalState;

use crate::counters::UpstreamCounts;
use crate::run_machine::RunMachine;
use crate::trigger_rule::{Verdict, scope_verdict, verdict};

/// The answer for one task instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// Something upstream is to come.
    Wait,
    /// Ready, but the run before is not.
    WaitForPast,
    /// It may run.
    Run,
    /// It ends without running.
    End(FinalState),
}

impl RunMachine {
    /// Judges one task instance by the counters as they stand. A mark does not wait for the run before, as in Airflow.
    pub(crate) fn judge(&self, i: u32) -> Judgement {
        if self.routed_away[i as usize] > 0 {
            return Judgement::End(FinalState::Skipped);
        }
        let p = self.position_of(i);
        let by_rule = match self.verdict(i) {
            Verdict::Wait => Judgement::Wait,
            Verdict::Skip => Judgement::End(FinalState::Skipped),
            Verdict::UpstreamFailed => Judgement::End(FinalState::UpstreamFailed),
            Verdict::Run if self.past.allows(&self.plan, p) => Judgement::Run,
            Verdict::Run => Judgement::WaitForPast,
        };
        self.with_sources(p, by_rule)
    }

    /// What its trigger rule and the scope of setups say. `always`, and having nothing upstream, overrule both.
    fn verdict(&self, i: u32) -> Verdict {
        let p = self.position_of(i);
        let rule = self.plan.task(p).trigger_rule;
        let counts = together(self.counts[p as usize], self.group_counts.get(&i));
        let by_rule = verdict(rule, &counts);
        let unconditional = counts.total == 0 || rule == windrose_core::trigger_rule::TriggerRule::Always;
        let scope = self.scope_counts.get(&p).filter(|_| !unconditional);
        let is_teardown = self.plan.task(p).teardown.is_some();
        match scope.map(|scope| scope_verdict(is_teardown, &together(*scope, self.group_scope_counts.get(&i)))) {
            None | Some(Verdict::Run) => by_rule,
            Some(Verdict::Wait) if by_rule == Verdict::Run => Verdict::Wait,
            Some(Verdict::Wait) => by_rule,
            Some(end) => end,
        }
    }
}

fn together(shared: UpstreamCounts, of_instance: Option<&UpstreamCounts>) -> UpstreamCounts {
    of_instance.map_or(shared, |own| shared.plus(own))
}
