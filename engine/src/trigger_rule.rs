//! What a trigger rule decides: a total function from counters to a verdict. It answers and changes nothing.
//!
//! The rules are those of Airflow 3's `TriggerRuleDep`.

use windrose_core::trigger_rule::TriggerRule as Rule;

use crate::counters::UpstreamCounts;

/// What is to become of a task that has not run yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Not decided yet.
    Wait,
    /// It may run.
    Run,
    /// It is left out.
    Skip,
    /// It cannot run because what it needs failed.
    UpstreamFailed,
}

/// The verdict of a rule over a task's direct upstream tasks. A task without any may run.
#[must_use]
pub fn verdict(rule: Rule, up: &UpstreamCounts) -> Verdict {
    let failures = up.failed + up.upstream_failed;
    let done = up.all_done();
    match rule {
        _ if up.total == 0 => Verdict::Run,
        Rule::Always => Verdict::Run,
        Rule::AllSuccess if failures > 0 => Verdict::UpstreamFailed,
        Rule::AllSuccess if up.skipped > 0 => Verdict::Skip,
        Rule::AllSuccess => run_if(up.success == up.total),
        Rule::AllFailed if up.success + up.skipped > 0 => Verdict::Skip,
        Rule::AllFailed => run_if(failures == up.total),
        Rule::AllDone => run_if(done),
        Rule::AllDoneSetupSuccess => after_setups(up),
        Rule::AllDoneMinOneSuccess if up.skipped > 0 => Verdict::Skip,
        Rule::AllDoneMinOneSuccess if done && up.success == 0 => Verdict::UpstreamFailed,
        Rule::AllDoneMinOneSuccess => run_if(done),
        Rule::AllSkipped if up.success + failures > 0 => Verdict::Skip,
        Rule::AllSkipped => run_if(up.skipped == up.total),
        Rule::OneSuccess if up.success > 0 => Verdict::Run,
        Rule::OneSuccess if up.skipped == up.total => Verdict::Skip,
        Rule::OneSuccess if done => Verdict::UpstreamFailed,
        Rule::OneFailed if failures > 0 => Verdict::Run,
        Rule::OneFailed if done => Verdict::Skip,
        // `upstream_failed` is not done: nothing was.
        Rule::OneDone if up.success + up.failed > 0 => Verdict::Run,
        Rule::OneDone if done => Verdict::Skip,
        Rule::OneSuccess | Rule::OneFailed | Rule::OneDone => Verdict::Wait,
        Rule::NoneFailed | Rule::NoneFailedMinOneSuccess if failures > 0 => Verdict::UpstreamFailed,
        Rule::NoneFailedMinOneSuccess if up.skipped == up.total => Verdict::Skip,
        Rule::NoneFailed | Rule::NoneFailedMinOneSuccess => run_if(up.success + up.skipped == up.total),
        Rule::NoneSkipped if up.skipped > 0 => Verdict::Skip,
        Rule::NoneSkipped => run_if(done),
    }
}

/// What the setups decide in whose scope a task stands without being directly below them, and for a teardown the tasks in
/// its scope: they only have to be done. An end that it names comes before the trigger rule's.
#[must_use]
pub const fn scope_verdict(is_teardown: bool, above: &UpstreamCounts) -> Verdict {
    if is_teardown {
        run_if(above.all_done())
    } else if above.failed + above.upstream_failed > 0 {
        Verdict::UpstreamFailed
    } else if above.skipped > 0 {
        Verdict::Skip
    } else {
        run_if(above.success == above.total)
    }
}

/// The rule of teardowns: they run once everything is done and at least one of their setups has succeeded.
const fn after_setups(up: &UpstreamCounts) -> Verdict {
    if !up.all_done() {
        Verdict::Wait
    } else if up.setups > 0 && up.setups_skipped >= up.setups {
        Verdict::Skip
    } else if up.setups > 0 && up.setups_success == 0 {
        Verdict::UpstreamFailed
    } else {
        Verdict::Run
    }
}

const fn run_if(condition: bool) -> Verdict {
    if condition { Verdict::Run } else { Verdict::Wait }
}
