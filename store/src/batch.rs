//! What one scheduler batch writes: [`Batch`], committed by [`Store::commit`](crate::Store::commit) in one transaction.

use serde_json::Value;
use windrose_core::approval::Answer;
use windrose_core::attempt::AttemptEnd;
use windrose_core::ids::{AttemptId, DagId, RunId, RunKey, TaskId, TaskInstanceKey};
use windrose_core::run::{DataInterval, RunFacts};
use windrose_core::run_state::RunState;
use windrose_core::task_instance::TaskChange;
use windrose_core::task_state::TaskState;
use windrose_core::time::Timestamp;

use crate::tables::approvals::{AskingTry, NewQuestion};
use crate::tables::assets::{AssetEventRow, AssetQueueRow, AssetRunRow};
use crate::tables::backfills::BackfillWrite;

/// All writes of one batch. They are applied in the order of the fields, and within a field in the order of the list;
/// either all of them happen or none.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Runs to create, with all their task instances.
    pub new_runs: Vec<NewRun>,
    /// Task instances to add to runs that exist (mapped instances, tasks of a newer DAG version).
    pub new_tasks: Vec<NewTask>,
    /// Task instances that are gone: rows that stood for all instances of a mapped task. Earlier changes of theirs in the
    /// same batch are left out.
    pub removed_tasks: Vec<RemovedTask>,
    /// Runs that change.
    pub runs: Vec<RunWrite>,
    /// Task instances that change. Several changes of one task instance become one write: each must go on from where the
    /// one before ended.
    pub tasks: Vec<TaskChange>,
    /// Attempts that were dispatched.
    pub attempts_started: Vec<AttemptStart>,
    /// Attempts that are over.
    pub attempts_ended: Vec<AttemptEnd>,
    /// Task instances whose XComs are removed; before [`Batch::xcoms`] are written.
    pub clear_xcoms: Vec<TaskInstanceKey>,
    /// Values that tasks leave behind; they replace older ones of the same name.
    pub xcoms: Vec<XComRow>,
    /// What the templates of attempts became; it replaces what they were before.
    pub rendered: Vec<RenderedRow>,
    /// What tasks ask people.
    pub questions: Vec<NewQuestion>,
    /// Answers to questions that have none.
    pub answers: Vec<(AskingTry, Answer)>,
    /// What becomes of backfills.
    pub backfills: Vec<BackfillWrite>,
    /// What people note about runs, in place of what was noted before.
    pub notes: Vec<(RunKey, String)>,
    /// Runs that had ended, were cleared and wait again since then.
    pub requeued: Vec<(RunKey, Timestamp)>,
    /// Commands that were carried out.
    pub commands_done: Vec<CommandDone>,
    /// Assets that have changed.
    pub asset_events: Vec<AssetEventRow>,
    /// Assets that wait to bring about a run.
    pub asset_queue: Vec<AssetQueueRow>,
    /// What those among the new runs that assets have brought about stand for.
    pub asset_runs: Vec<AssetRunRow>,
    /// What people can read later.
    pub events: Vec<EventRow>,
    /// DAGs that change.
    pub dags: Vec<DagWrite>,
    /// What is to be sent.
    pub notifications: Vec<NewNotification>,
    /// Deadlines that are missed now; none was before.
    pub missed_deadlines: Vec<MissedDeadline>,
}

impl Batch {
    /// True if there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self {
            new_runs,
            new_tasks,
            removed_tasks,
            runs,
            tasks,
            attempts_started,
            attempts_ended,
            clear_xcoms,
            xcoms,
            rendered,
            questions,
            answers,
            backfills,
            notes,
            requeued,
            commands_done,
            asset_events,
            asset_queue,
            asset_runs,
            events,
            dags,
            notifications,
            missed_deadlines,
        } = self;
        new_runs.is_empty()
            && new_tasks.is_empty()
            && removed_tasks.is_empty()
            && runs.is_empty()
            && tasks.is_empty()
            && attempts_started.is_empty()
            && attempts_ended.is_empty()
            && clear_xcoms.is_empty()
            && xcoms.is_empty()
            && rendered.is_empty()
            && questions.is_empty()
            && answers.is_empty()
            && backfills.is_empty()
            && notes.is_empty()
            && requeued.is_empty()
            && commands_done.is_empty()
            && asset_events.is_empty()
            && asset_queue.is_empty()
            && asset_runs.is_empty()
            && events.is_empty()
            && dags.is_empty()
            && notifications.is_empty()
            && missed_deadlines.is_empty()
    }
}

/// A run to create.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// What is known of it.
    pub facts: RunFacts,
    /// The state it begins in.
    pub state: RunState,
    /// Now.
    pub created_at: Timestamp,
    /// When it began, if it begins at once.
    pub started_at: Option<Timestamp>,
    /// Its task instances.
    pub tasks: Vec<NewTask>,
}

/// A task instance to create, in state `none`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTask {
    /// Which.
    pub key: TaskInstanceKey,
    /// The last try number that may be followed by another one: the task's `retries`.
    pub max_tries: u32,
}

/// A task instance to remove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovedTask {
    /// Which.
    pub key: TaskInstanceKey,
    /// Where it must be now. It has no attempt.
    pub from: TaskState,
}

/// A run's next state.
#[derive(Debug, Clone)]
pub struct RunWrite {
    /// Which run.
    pub key: RunKey,
    /// Where it must be now.
    pub from: RunState,
    /// Where it goes; may be the same.
    pub to: RunState,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// The DAG version it is pinned to from now on; `None` keeps the present one.
    pub dag_version: Option<String>,
}

/// An attempt that is dispatched with this batch.
#[derive(Debug, Clone)]
pub struct AttemptStart {
    /// Its lease.
    pub attempt: AttemptId,
    /// The task instance.
    pub key: TaskInstanceKey,
    /// How often the task instance was cleared before.
    pub generation: u32,
    /// 1 for the first try.
    pub try_number: u32,
    /// When it was dispatched.
    pub queued_at: Timestamp,
}

/// A value that a task leaves behind.
#[derive(Debug, Clone, PartialEq)]
pub struct XComRow {
    /// Who leaves it.
    pub key: TaskInstanceKey,
    /// Its name: Airflow's `key`.
    pub name: String,
    /// The value.
    pub value: Value,
    /// When.
    pub created_at: Timestamp,
}

/// What the templates of a task instance's attempt became.
#[derive(Debug, Clone, PartialEq)]
pub struct RenderedRow {
    /// Whose.
    pub key: TaskInstanceKey,
    /// By field, without secrets.
    pub fields: Value,
    /// The name of a mapped instance, without secrets.
    pub map_index_name: Option<String>,
    /// When.
    pub rendered_at: Timestamp,
}

/// A command that was carried out, or could not be.
#[derive(Debug, Clone)]
pub struct CommandDone {
    /// Which.
    pub id: String,
    /// When.
    pub done_at: Timestamp,
    /// What became of it, for whoever gave it.
    pub result: Value,
}

/// A line of the event log.
#[derive(Debug, Clone, PartialEq)]
pub struct EventRow {
    /// When.
    pub at: Timestamp,
    /// The DAG, if it is about one.
    pub dag_id: Option<DagId>,
    /// The run, if it is about one.
    pub run_id: Option<RunId>,
    /// The task and its map index, if it is about one.
    pub task: Option<(TaskId, i32)>,
    /// What happened: `running`, `success`, `cleared`, ….
    pub what: String,
    /// Who did it: a user, `scheduler`, a worker.
    pub who: String,
    /// More about it.
    pub detail: Option<String>,
}

/// A change of a DAG that follows from its runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DagWrite {
    /// It gets no more runs until a person says so.
    Pause(DagId),
    /// It is at work since then, with deadlines.
    Active {
        /// The DAG.
        dag_id: DagId,
        /// Since when.
        since: Timestamp,
    },
    /// This scheduled run was passed over: the schedule goes on after it.
    PassedOver {
        /// The DAG.
        dag_id: DagId,
        /// What the run would have stood for.
        data_interval: DataInterval,
    },
}

/// Something to send.
#[derive(Debug, Clone, PartialEq)]
pub struct NewNotification {
    /// Its id; unique everywhere.
    pub id: String,
    /// The DAG it is about.
    pub dag_id: DagId,
    /// The run, if it is about one.
    pub run: Option<RunKey>,
    /// The task and its map index, if it is about one.
    pub task: Option<(TaskId, i32)>,
    /// Why: `on_failure`, `deadline`, ….
    pub reason: String,
    /// By whom, with which parameters, as the DAG file says.
    pub notifier: Value,
    /// What its templates are told.
    pub facts: Value,
    /// Now; it is due at once.
    pub created_at: Timestamp,
}

/// A deadline that was missed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MissedDeadline {
    /// The DAG.
    pub dag_id: DagId,
    /// The run, if it is a deadline of runs.
    pub run: Option<RunKey>,
    /// Which of the DAG's deadlines.
    pub deadline: String,
    /// The instant from which it counted.
    pub counted_from: Timestamp,
    /// When it was found to be missed.
    pub missed_at: Timestamp,
}
