//! Whether a failed try is followed by another one, and when.

use windrose_core::cause::Cause;
use windrose_core::retry::{FailedTry, RetryPolicy, retry_delay};
use windrose_core::time::Timestamp;

use crate::run_machine::RunMachine;

impl RunMachine {
    /// When the next try is due; `None` if there is none.
    pub(crate) fn next_try(&self, now: Timestamp, p: u32, cause: &Cause) -> Option<Timestamp> {
        let (task, row) = (self.plan.task(self.position_of(p)), &self.tasks[p as usize]);
        let among = |words: &Vec<String>| words.iter().any(|word| cause.is(word));
        let wanted = task.retry_on.as_ref().is_none_or(among) && !among(&task.no_retry_on);
        if !wanted || row.columns.try_number > row.columns.max_tries {
            return None;
        }
        let failed = FailedTry {
            dag_id: self.facts.dag_id.as_str(),
            task_id: task.id.as_str(),
            logical_date: self.facts.logical_date,
            try_number: row.columns.try_number,
        };
        Some(now.plus(retry_delay(&RetryPolicy::of(task), &failed)))
    }
}
