//! Why a task instance does not run, or does not end.

use windrose_core::cause::Cause;
use windrose_core::ids::{RunKey, TaskId, TaskInstanceKey};
use windrose_core::task_state::TaskStateName;
use windrose_core::time::Timestamp;
use windrose_engine::admission::Obstacle;
use windrose_engine::explain::{Above, Reason};
use windrose_engine::{RunMachine, TaskSnapshot};

use super::dag::paused;
use super::run::key_of;
use super::{Why, instance_name, listed, ordinal};
use crate::drive::Driver;

impl Driver {
    /// Every reason. It is never empty.
    pub(super) fn explain_task(&self, machine: &RunMachine, row: &TaskSnapshot, cause: Option<&Cause>) -> Vec<Why> {
        let key = key_of(machine.facts().key, row);
        let mut why = Vec::new();
        for reason in machine.explain(row.task.as_str(), row.map_index) {
            match reason {
                Reason::Admission => why.extend(self.explain_admission(machine, &key)),
                Reason::Queued { .. } | Reason::Running { .. } | Reason::Deferred { .. } => {
                    why.push(self.explain_attempt(machine, row));
                    // A deferred one that wants to go on.
                    if self.runs.admission.is_waiting(&key) {
                        why.extend(self.explain_admission(machine, &key));
                    }
                }
                reason => why.push(explain_reason(machine, row, reason, cause)),
            }
        }
        if why.is_empty() {
            let text = "nothing that is known will wake it, which must not be";
            why.push(Why::new("stuck", text, "clearing it; please report this"));
        }
        why
    }

    /// One that a worker holds.
    fn explain_attempt(&self, machine: &RunMachine, row: &TaskSnapshot) -> Why {
        let columns = &row.columns;
        if self.only_looks {
            let text = "the lease of its worker ended with the process that ran it";
            return Why::new("lease_ended", text, "the start of a scheduler: remote work is taken hold of again");
        }
        let since = |at: Option<Timestamp>| at.map(|at| format!(" since {at}")).unwrap_or_default();
        let limit = machine
            .plan()
            .dag()
            .position(row.task.as_str())
            .and_then(|position| machine.plan().dag().tasks[position].execution_timeout.zip(columns.started_at));
        let wakes = match limit {
            Some((limit, started)) => format!("its end, or its execution_timeout at {}", started.plus(limit)),
            None => "its end".to_owned(),
        };
        match row.state.name() {
            TaskStateName::Queued => {
                let text = format!("it is with the worker{}, which has not begun", since(columns.queued_at));
                Why::new("queued", text, "a free place of the worker")
            }
            TaskStateName::Deferred => {
                let text = format!("it waits for something outside{}, and holds no worker", since(columns.started_at));
                Why::new("deferred", text, "what it waits for; its log tells of it")
            }
            _ => Why::new("running", format!("it is running{}", since(columns.started_at)), wakes),
        }
    }

    /// One that waits for slots.
    fn explain_admission(&self, machine: &RunMachine, key: &TaskInstanceKey) -> Vec<Why> {
        let from = (key.run, &machine.facts().dag_id);
        let mut obstacles = self.runs.admission.obstacles(key);
        if obstacles.is_empty() && self.only_looks {
            obstacles.push(Obstacle::Turn);
        }
        obstacles.iter().map(|obstacle| self.explain_obstacle(key, obstacle, from)).collect()
    }

    fn explain_obstacle(
        &self,
        key: &TaskInstanceKey,
        obstacle: &Obstacle,
        from: (RunKey, &windrose_core::ids::DagId),
    ) -> Why {
        let holders = self.runs.admission.holders(key, obstacle);
        let names: Vec<String> = holders.iter().map(|holder| self.name_of_task(holder, from)).collect();
        let held_by = if names.is_empty() { String::new() } else { format!(" held by {}", listed(&names)) };
        let ends = "the end of one of them";
        match obstacle {
            Obstacle::NoSuchPool { pool } => {
                let text = format!("its pool '{pool}' does not exist");
                Why::new("no_pool", text, format!("'windrose pools set {pool} SLOTS'"))
            }
            Obstacle::LargerThanPool { pool, wanted, slots } => {
                let text = format!("it wants {wanted} slots, and its pool '{pool}' has only {slots}");
                Why::new("larger_than_pool", text, format!("'windrose pools set {pool} {wanted}'"))
            }
            Obstacle::PoolFull { pool, wanted, .. } => {
                let line = self.runs.admission.line(key);
                let in_use = line.as_ref().map(|l| format!("{}/{}", l.used, l.slots)).unwrap_or_default();
                let place = line.map(|l| format!("; it is {} in line", ordinal(l.place))).unwrap_or_default();
                let wants = if *wanted > 1 { format!(", and it wants {wanted}") } else { String::new() };
                let text = format!("pool '{pool}' is {in_use}{held_by}{wants}{place}");
                Why::new("pool_full", text, format!("{ends}, or 'windrose pools set {pool} SLOTS'")).by(names)
            }
            Obstacle::RunFull { max_active_tasks } => {
                let text =
                    format!("{max_active_tasks} task instances of its run (max_active_tasks) are active{held_by}");
                Why::new("max_active_tasks", text, ends).by(names)
            }
            Obstacle::TaskFull { limit } => {
                let text = format!("{limit} instances of its task (max_active_tis) are active{held_by}");
                Why::new("max_active_tis", text, ends).by(names)
            }
            Obstacle::NoWorker { queue } => {
                let text = format!("no worker serves queue '{queue}'");
                Why::new("no_worker", text, format!("a worker with '{queue}' among its worker.queues"))
            }
            Obstacle::DagPaused => paused(from.1),
            Obstacle::Turn if self.only_looks => Why::new("ready", "it is ready", "a scheduler"),
            Obstacle::Turn => {
                let text = format!("all places of the worker are taken (parallelism = {})", self.parallelism);
                let place =
                    self.runs.admission.line(key).map(|line| format!("; it is {} in line", ordinal(line.place)));
                Why::new("parallelism", text + &place.unwrap_or_default(), "the end of any task")
            }
        }
    }
}

/// What needs no look outside the run.
fn explain_reason(machine: &RunMachine, row: &TaskSnapshot, reason: Reason, cause: Option<&Cause>) -> Why {
    let because = cause.map(|cause| format!(": {}", cause.sentence())).unwrap_or_default();
    match reason {
        Reason::RunQueued => Why::new("run_queued", "its run has not begun", "the start of its run"),
        Reason::RunEnded { state } => {
            Why::new("run_ended", format!("its run is {}", state.as_str()), "clearing it, or its run")
        }
        Reason::Final { state } => {
            let when = row.columns.ended_at.map(|at| format!(" since {at}")).unwrap_or_default();
            Why::new("final", format!("it is {}{when}{because}", state.as_str()), "clearing it")
        }
        Reason::Upstream { rule, tasks } => {
            let names: Vec<String> = tasks.iter().map(|above| instance_name(&above.task, above.map_index)).collect();
            let text = format!("its rule {} waits for {}", rule.as_str(), states_of(&tasks));
            Why::new("upstream", text, "the end of what is upstream of it").by(names)
        }
        Reason::Setups { tasks } => {
            let names: Vec<String> = tasks.iter().map(|above| instance_name(&above.task, above.map_index)).collect();
            Why::new("setup", format!("its setup is not done: {}", states_of(&tasks)), "the end of the setup").by(names)
        }
        Reason::InScope { tasks } => {
            let names: Vec<String> = tasks.iter().map(|above| instance_name(&above.task, above.map_index)).collect();
            let text = format!("a teardown waits for everything after its setup: {}", states_of(&tasks));
            Why::new("in_scope", text, "the end of what stands between its setup and itself").by(names)
        }
        Reason::PreviousRun { tasks } => previous_run(&tasks),
        Reason::Retry { at } => {
            let task = machine.plan().dag().position(row.task.as_str()).map(|p| &machine.plan().dag().tasks[p]);
            let retries = task.map_or(0, |task| task.retries);
            let before = row.columns.max_tries.saturating_sub(retries);
            let retry = row.columns.try_number.saturating_sub(before);
            let text = format!("it waits for retry {retry} of {retries} until {at}{because}");
            Why::new("retry", text, "the clock").until(at)
        }
        Reason::Reschedule { at } => {
            let looks = if row.columns.pokes == 1 { "once" } else { &format!("{} times", row.columns.pokes) };
            let since = row.columns.first_poke_at.map(|at| format!(" since {at}")).unwrap_or_default();
            let text = format!("it has looked {looks}{since} for what it waits for, and looks again at {at}");
            Why::new("reschedule", text, "the clock").until(at)
        }
        Reason::ToBeJudged => Why::new("deciding", "it is about to be decided on", "the scheduler's next turn"),
        Reason::Admission | Reason::Queued { .. } | Reason::Running { .. } | Reason::Deferred { .. } => {
            Why::new("ready", "it is ready", "the scheduler's next turn")
        }
    }
}

fn previous_run(tasks: &[TaskId]) -> Why {
    let names: Vec<String> = tasks.iter().map(ToString::to_string).collect();
    let text = if names.is_empty() {
        "it depends on the run before this one, of which nothing is known yet".to_owned()
    } else {
        format!("it depends on the run before this one, in which {} has not succeeded", listed(&names))
    };
    Why::new("previous_run", text, "success in the run before").by(names)
}

/// "a (running since 10:00), b (none)".
fn states_of(tasks: &[Above]) -> String {
    let told: Vec<String> = tasks
        .iter()
        .map(|above| {
            let since = above.since.map(|at| format!(" since {at}")).unwrap_or_default();
            let state = if above.state == TaskStateName::None { "not begun" } else { above.state.as_str() };
            format!("{} ({state}{since})", instance_name(&above.task, above.map_index))
        })
        .collect();
    listed(&told)
}
