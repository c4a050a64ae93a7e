//! The DAG model: what a valid DAG file means. Outside tests it is made by validation only, so it always holds that ids
//! are unique, every reference resolves and the graph has no cycle.

use std::collections::HashMap;
use std::time::Duration;

use chrono_tz::Tz;
use indexmap::IndexMap;
use petgraph::graph::{DiGraph, NodeIndex};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::asset::{AssetCondition, Inlet, Outlet};
use crate::catalog::OperatorKind;
use crate::deadline::Deadline;
use crate::ids::{DagId, TaskId};
use crate::mapping::{Expansion, MAX_MAP_LENGTH};
use crate::notify::Notifiers;
use crate::time::Timestamp;
use crate::trigger_rule::TriggerRule;

pub use crate::sensor_settings::{SensorMode, SensorSettings};

/// A validated DAG.
#[derive(Debug, Clone)]
pub struct Dag {
    /// Its id.
    pub dag_id: DagId,
    /// One line for people.
    pub description: Option<String>,
    /// Markdown.
    pub doc: Option<String>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// For filters.
    pub tags: Vec<String>,
    /// When runs are made.
    pub schedule: Schedule,
    /// No run before it.
    pub start_date: Option<Timestamp>,
    /// No run after it.
    pub end_date: Option<Timestamp>,
    /// The zone of the schedule and of local dates.
    pub timezone: Tz,
    /// What happens to runs that were due while nobody looked.
    pub catchup: Catchup,
    /// How many of its runs may be running at once.
    pub max_active_runs: u32,
    /// How many task instances of one run may be active at once.
    pub max_active_tasks: u32,
    /// A task whose return value is longer than this fails if others are mapped over it (Airflow's `max_map_length`).
    pub max_map_length: usize,
    /// A run that takes longer fails.
    pub dagrun_timeout: Option<Duration>,
    /// After so many failed runs in a row the DAG is paused; 0 is never.
    pub max_consecutive_failed_runs: u32,
    /// What a due run does while `max_active_runs` is reached.
    pub overlap: Overlap,
    /// A scheduled run starts up to this much late: see [`crate::jitter::start_delay`].
    pub jitter: Duration,
    /// Which failed tasks fail a run.
    pub run_fails_on: RunFailsOn,
    /// Who is told of how its runs end.
    pub notifiers: Notifiers,
    /// By when something must have happened.
    pub deadlines: Vec<Deadline>,
    /// Whether it is paused when first seen; `None` leaves that to the configuration.
    pub paused: Option<bool>,
    /// The first failure ends the run.
    pub fail_fast: bool,
    /// Templates yield values, not only text.
    pub render_native: bool,
    /// The file's constants.
    pub vars: Map<String, Value>,
    /// Run parameters: name → JSON Schema with `default`.
    pub params: IndexMap<String, Param>,
    /// Files beside those that tasks name, as patterns (`data/*.csv`) relative to the DAG's folder.
    pub files: Vec<String>,
    /// Tasks in the order of the file; the position is the node's index in [`Dag::graph`].
    pub tasks: Vec<Task>,
    /// Task groups by id.
    pub groups: IndexMap<String, Group>,
    /// An edge runs from a task to what waits for it. Node weights are positions in [`Dag::tasks`].
    pub graph: DiGraph<u32, ()>,
    positions: HashMap<TaskId, u32>,
}

impl Dag {
    /// A DAG of these tasks with Airflow's defaults for everything else. An edge is a pair of positions in `tasks`, from
    /// the upstream task to the downstream one; the caller sees to it that ids are unique, positions exist and the edges
    /// form no cycle. [`Dag::tasks`] must keep its ids and its order afterwards.
    #[must_use]
    pub fn new(dag_id: DagId, tasks: Vec<Task>, edges: impl IntoIterator<Item = (u32, u32)>) -> Self {
        let mut graph = DiGraph::with_capacity(tasks.len(), tasks.len());
        let mut positions = HashMap::with_capacity(tasks.len());
        for (position, task) in (0_u32..).zip(&tasks) {
            graph.add_node(position);
            positions.insert(task.id.clone(), position);
        }
        for (from, to) in edges {
            graph.add_edge(NodeIndex::new(from as usize), NodeIndex::new(to as usize), ());
        }
        Self {
            dag_id,
            description: None,
            doc: None,
            owner: None,
            tags: Vec::new(),
            schedule: Schedule::None,
            start_date: None,
            end_date: None,
            timezone: Tz::UTC,
            catchup: Catchup::No,
            max_active_runs: 16,
            max_active_tasks: 16,
            max_map_length: MAX_MAP_LENGTH,
            dagrun_timeout: None,
            max_consecutive_failed_runs: 0,
            overlap: Overlap::Queue,
            jitter: Duration::ZERO,
            run_fails_on: RunFailsOn::Leaves,
            notifiers: Notifiers::default(),
            deadlines: Vec::new(),
            paused: None,
            fail_fast: false,
            render_native: false,
            vars: Map::new(),
            params: IndexMap::new(),
            files: Vec::new(),
            tasks,
            groups: IndexMap::new(),
            graph,
            positions,
        }
    }

    /// The position of a task.
    #[must_use]
    pub fn position(&self, task: &str) -> Option<usize> {
        self.positions.get(task).map(|&position| position as usize)
    }

    /// The direct upstream tasks' positions, in the order of the file.
    #[must_use]
    pub fn upstream(&self, position: usize) -> Vec<usize> {
        self.neighbours(position, petgraph::Direction::Incoming)
    }

    /// The direct downstream tasks' positions, in the order of the file.
    #[must_use]
    pub fn downstream(&self, position: usize) -> Vec<usize> {
        self.neighbours(position, petgraph::Direction::Outgoing)
    }

    /// The group around a task that is mapped, if there is one; mapped groups do not nest.
    #[must_use]
    pub fn mapped_group(&self, position: usize) -> Option<&Group> {
        let mut at = self.tasks[position].group.as_deref();
        while let Some(group) = at.and_then(|id| self.groups.get(id)) {
            if group.expansion.is_some() {
                return Some(group);
            }
            at = group.parent.as_deref();
        }
        None
    }

    /// What a task is mapped over, by itself or with the group around it.
    #[must_use]
    pub fn expansion(&self, position: usize) -> Option<&Expansion> {
        let own = self.tasks[position].expansion.as_ref();
        own.or_else(|| self.mapped_group(position)?.expansion.as_ref())
    }

    fn neighbours(&self, position: usize, direction: petgraph::Direction) -> Vec<usize> {
        let mut found: Vec<_> =
            self.graph.neighbors_directed(NodeIndex::new(position), direction).map(NodeIndex::index).collect();
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// A run parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Param {
    /// Its value if the run gives none; `None` makes it required.
    pub default: Option<Value>,
    /// JSON Schema keywords, `default` left out.
    pub schema: Map<String, Value>,
}

/// What happens to runs that were due while the DAG was paused or nobody ran the scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Catchup {
    /// They are not made, but for the newest where Airflow makes it.
    No,
    /// All are made.
    All,
    /// The newest of them is made.
    Latest,
    /// One run is made that stands for all of them: its data interval reaches from the first one's start to the last
    /// one's end.
    Collapse,
}

/// What a run does that is due while `max_active_runs` is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overlap {
    /// It waits for a place, as in Airflow; without catchup a newer one may take its turn meanwhile.
    #[default]
    Queue,
    /// It is passed over for good.
    Skip,
    /// It takes the place of the oldest scheduled run, which is cancelled.
    CancelOld,
    /// It is created and cancelled at once, so that it can be seen and cleared.
    CancelNew,
}

/// Which failed tasks fail a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RunFailsOn {
    /// Those without a task downstream of them, as in Airflow.
    #[default]
    Leaves,
    /// Every one that is not to be tolerated ([`Task::tolerate_failure`]).
    Any,
}

/// When runs are made, as written; [`crate::dag`] keeps it as data, the timetable gives it a meaning.
#[derive(Debug, Clone, PartialEq)]
pub enum Schedule {
    /// By hand only.
    None,
    /// One run.
    Once,
    /// A new run as soon as the last one has ended.
    Continuous,
    /// Cron expressions (presets already expanded).
    Cron {
        /// One or more five-field expressions.
        expressions: Vec<String>,
        /// The zone they are read in; the DAG's if none.
        timezone: Option<Tz>,
        /// True is Airflow's `CronDataIntervalTimetable`, false its `CronTriggerTimetable`.
        data_interval: bool,
    },
    /// A fixed distance between runs.
    Every {
        /// The distance.
        interval: Duration,
        /// True is Airflow's `DeltaDataIntervalTimetable`, false its `DeltaTriggerTimetable`.
        data_interval: bool,
    },
    /// When assets have changed.
    Assets {
        /// Which.
        condition: AssetCondition,
        /// And at these times (Airflow's `AssetOrTimeSchedule`).
        times: Option<Box<Schedule>>,
    },
}

impl Schedule {
    /// What it waits for besides the time.
    #[must_use]
    pub const fn assets(&self) -> Option<&AssetCondition> {
        match self {
            Self::Assets { condition, .. } => Some(condition),
            _ => None,
        }
    }
}

/// A group of tasks.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Its full id: `extract.raw`.
    pub id: String,
    /// The group it is in.
    pub parent: Option<String>,
    /// For people.
    pub tooltip: Option<String>,
    /// What its tasks are mapped over, together.
    pub expansion: Option<Expansion>,
}

/// A task.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// Its full id.
    pub id: TaskId,
    /// The operator's name.
    pub operator: String,
    /// How the engine treats it.
    pub kind: OperatorKind,
    /// The operator's own parameters, as written; templates are rendered by the worker.
    pub parameters: Map<String, Value>,
    /// When it may run.
    pub trigger_rule: TriggerRule,
    /// How many tries after the first.
    pub retries: u32,
    /// How long after a failed try.
    pub retry_delay: Duration,
    /// The factor by which each delay grows; `None` keeps it constant.
    pub retry_exponential_backoff: Option<f64>,
    /// The longest delay.
    pub max_retry_delay: Option<Duration>,
    /// Only these causes are retried (see [`crate::cause::Cause::WORDS`]); `None` is all.
    pub retry_on: Option<Vec<String>>,
    /// These are not.
    pub no_retry_on: Vec<String>,
    /// What happens when the process that ran it is gone.
    pub on_lost: OnLost,
    /// A try that takes longer fails.
    pub execution_timeout: Option<Duration>,
    /// The pool it takes slots from.
    pub pool: String,
    /// How many.
    pub pool_slots: u32,
    /// Higher goes first.
    pub priority_weight: i64,
    /// How weights add up over the graph.
    pub weight_rule: WeightRule,
    /// Which workers may take it.
    pub queue: String,
    /// Waits for its own success (or skip) in the previous run.
    pub depends_on_past: bool,
    /// Waits also for what was directly downstream of it in the previous run.
    pub wait_for_downstream: bool,
    /// How many of its instances may be active over all runs.
    pub max_active_tis_per_dag: Option<u32>,
    /// How many of its instances may be active in one run.
    pub max_active_tis_per_dagrun: Option<u32>,
    /// The innermost group it is in.
    pub group: Option<String>,
    /// Airflow's setup task.
    pub setup: bool,
    /// Airflow's teardown task, with the setups it tears down.
    pub teardown: Option<Vec<TaskId>>,
    /// For a teardown: its failure fails the run.
    pub on_failure_fail_dagrun: bool,
    /// With [`RunFailsOn::Any`]: its failure does not fail the run.
    pub tolerate_failure: bool,
    /// Who is told of it.
    pub notifiers: Notifiers,
    /// Parameters that add to or replace the DAG's.
    pub params: IndexMap<String, Param>,
    /// Environment variables for its processes.
    pub env: IndexMap<String, String>,
    /// Markdown.
    pub doc: Option<String>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Keep the operator's result as an XCom.
    pub do_xcom_push: bool,
    /// The fields only sensors have.
    pub sensor: Option<SensorSettings>,
    /// What it is mapped over.
    pub expansion: Option<Expansion>,
    /// A template for the name of each of its mapped instances.
    pub map_index_template: Option<String>,
    /// The assets it changes.
    pub outlets: Vec<Outlet>,
    /// The assets it reads.
    pub inlets: Vec<Inlet>,
}

impl Task {
    /// A task with Airflow's default in every field.
    #[must_use]
    pub fn new(id: TaskId, operator: impl Into<String>, kind: OperatorKind) -> Self {
        Self {
            id,
            operator: operator.into(),
            kind,
            parameters: Map::new(),
            trigger_rule: TriggerRule::AllSuccess,
            retries: 0,
            retry_delay: Duration::from_secs(300),
            retry_exponential_backoff: None,
            max_retry_delay: None,
            retry_on: None,
            no_retry_on: Vec::new(),
            on_lost: OnLost::Retry,
            execution_timeout: None,
            pool: "default_pool".to_owned(),
            pool_slots: 1,
            priority_weight: 1,
            weight_rule: WeightRule::Downstream,
            queue: "default".to_owned(),
            depends_on_past: false,
            wait_for_downstream: false,
            max_active_tis_per_dag: None,
            max_active_tis_per_dagrun: None,
            group: None,
            setup: false,
            teardown: None,
            on_failure_fail_dagrun: false,
            tolerate_failure: false,
            notifiers: Notifiers::default(),
            params: IndexMap::new(),
            env: IndexMap::new(),
            doc: None,
            owner: None,
            do_xcom_push: true,
            sensor: (kind == OperatorKind::Sensor).then(SensorSettings::default),
            expansion: None,
            map_index_template: None,
            outlets: Vec::new(),
            inlets: Vec::new(),
        }
    }
}

/// What happens when the process that ran an attempt is gone and no remote work can be taken hold of again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnLost {
    /// It is tried again, and that uses up none of the user's retries.
    #[default]
    Retry,
    /// It fails.
    Fail,
}

/// Airflow's weight rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightRule {
    /// Its own weight and those of all tasks downstream.
    #[default]
    Downstream,
    /// Its own weight and those of all tasks upstream.
    Upstream,
    /// Its own weight.
    Absolute,
}

impl WeightRule {
    /// Airflow's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Downstream => "downstream",
            Self::Upstream => "upstream",
            Self::Absolute => "absolute",
        }
    }
}
