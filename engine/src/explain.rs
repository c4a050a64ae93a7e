//! Why a task instance is not running, and what will wake it.

use windrose_core::ids::{AttemptId, TaskId};
use windrose_core::run_state::RunState;
use windrose_core::task_state::{TaskState, TaskStateName};
use windrose_core::time::Timestamp;
use windrose_core::trigger_rule::TriggerRule;

use crate::readiness::Judgement;
use crate::run_machine::RunMachine;

/// A task instance that another one waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Above {
    /// Its task.
    pub task: TaskId,
    /// −1 if it is not mapped, or not expanded yet.
    pub map_index: i32,
    /// Where it is.
    pub state: TaskStateName,
    /// When its attempt began, or was dispatched if no worker has begun; none if no attempt holds it.
    pub since: Option<Timestamp>,
}

/// One reason why a task instance is not running, which names what will wake it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The run has no place under `max_active_runs` yet.
    RunQueued,
    /// The run has ended; only a clear or a mark moves it.
    RunEnded {
        /// How.
        state: RunState,
    },
    /// It is final already.
    Final {
        /// How.
        state: TaskStateName,
    },
    /// These tasks upstream of it are not final, and its trigger rule waits for them.
    Upstream {
        /// Its rule.
        rule: TriggerRule,
        /// Which.
        tasks: Vec<Above>,
    },
    /// These setups, in whose scope it stands, are not done.
    Setups {
        /// Which.
        tasks: Vec<Above>,
    },
    /// It is a teardown, and these tasks between its setups and itself are not done.
    InScope {
        /// Which.
        tasks: Vec<Above>,
    },
    /// `depends_on_past` or `wait_for_downstream`: the run before is not ready.
    PreviousRun {
        /// Which of its tasks have not ended well; empty as long as nothing is known of that run.
        tasks: Vec<TaskId>,
    },
    /// Its next try is due then.
    Retry {
        /// When.
        at: Timestamp,
    },
    /// Its next look is due then.
    Reschedule {
        /// When.
        at: Timestamp,
    },
    /// It is ready and waits for slots: ask [`crate::Admission::obstacles`].
    Admission,
    /// An attempt was dispatched, and no worker has begun yet.
    Queued {
        /// The attempt.
        attempt: AttemptId,
    },
    /// A worker is at it.
    Running {
        /// The attempt.
        attempt: AttemptId,
    },
    /// Its attempt waits for something outside.
    Deferred {
        /// The attempt.
        attempt: AttemptId,
    },
    /// Its surroundings changed; the next event of the run judges it.
    ToBeJudged,
}

impl RunMachine {
    /// Every reason why a task instance is not running. It is empty for unknown ones, and for one that nothing will ever
    /// wake, which must not exist in a running run.
    #[must_use]
    pub fn explain(&self, task: &str, map_index: i32) -> Vec<Reason> {
        let Some(p) = self.find(task, map_index) else { return Vec::new() };
        let state = self.tasks[p as usize].state;
        if state.is_final() {
            return vec![Reason::Final { state: state.name() }];
        }
        match self.state {
            RunState::Queued => return vec![Reason::RunQueued],
            RunState::Success | RunState::Failed => return vec![Reason::RunEnded { state: self.state }],
            RunState::Running => {}
        }
        let mut reasons = Vec::new();
        match state {
            TaskState::Scheduled => reasons.push(Reason::Admission),
            TaskState::Queued(attempt) => reasons.push(Reason::Queued { attempt }),
            TaskState::Running(attempt) => reasons.push(Reason::Running { attempt }),
            TaskState::Deferred(attempt) => reasons.push(Reason::Deferred { attempt }),
            TaskState::UpForRetry(at) => reasons.push(Reason::Retry { at }),
            TaskState::UpForReschedule(at) => reasons.push(Reason::Reschedule { at }),
            TaskState::None | TaskState::Final(_) => {}
        }
        if self.can_be_judged(p) {
            self.explain_dependencies(p, &mut reasons);
        }
        reasons
    }

    fn explain_dependencies(&self, i: u32, reasons: &mut Vec<Reason>) {
        let p = self.position_of(i);
        if self.is_dirty[i as usize] || self.dirty_mapped.contains(&p) {
            reasons.push(Reason::ToBeJudged);
        }
        match self.judge(i) {
            Judgement::Run | Judgement::End(_) => {}
            Judgement::WaitForPast => reasons.push(self.previous_run(p)),
            Judgement::Wait => {
                let sources = self.plan.sources.get(&p).filter(|_| self.is_unexpanded(p));
                let mut above: Vec<u32> =
                    self.plan.upstream.of(p).iter().chain(sources.into_iter().flatten()).copied().collect();
                above.sort_unstable();
                above.dedup();
                let direct = self.unfinished(i, &above);
                if !direct.is_empty() {
                    let rule = self.plan.task(p).trigger_rule;
                    reasons.push(Reason::Upstream { rule, tasks: direct });
                }
                let tasks = self.unfinished(i, self.plan.scope_above(p));
                if !tasks.is_empty() {
                    let is_teardown = self.plan.task(p).teardown.is_some();
                    reasons.push(if is_teardown { Reason::InScope { tasks } } else { Reason::Setups { tasks } });
                }
                if !self.past.allows(&self.plan, p) {
                    reasons.push(self.previous_run(p));
                }
            }
        }
    }

    fn previous_run(&self, p: u32) -> Reason {
        let tasks = self.past.blockers(&self.plan, p).into_iter().map(|p| self.plan.task(p).id.clone());
        Reason::PreviousRun { tasks: tasks.collect() }
    }

    fn unfinished(&self, i: u32, above: &[u32]) -> Vec<Above> {
        let p = self.position_of(i);
        let instances = above.iter().flat_map(|&above| {
            if self.plan.mapped_together(p, above) {
                self.partner_above(i, above).into_iter().collect()
            } else {
                self.instances_of(above)
            }
        });
        instances
            .map(|p| &self.tasks[p as usize])
            .filter(|row| !row.state.is_final())
            .map(|row| Above {
                task: row.task.clone(),
                map_index: row.map_index,
                state: row.state.name(),
                since: row.state.attempt().and(row.columns.started_at.or(row.columns.queued_at)),
            })
            .collect()
    }
}
