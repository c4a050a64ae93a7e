//! What the tasks of a simulation do: the outcomes file.

use std::collections::BTreeSet;
use std::time::Duration;

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::Value;
use windrose_core::catalog::OperatorKind;
use windrose_core::dag::Dag;
use windrose_core::dag_file::parse_duration;
use windrose_core::ids::TaskInstanceKey;
use windrose_core::run_state::RunType;

use super::SimError;
use super::stage::name_of;

/// The outcomes file. The default is one scheduled run in which every task succeeds at its first try.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcomes {
    /// How the runs follow one another.
    #[serde(default)]
    pub mode: Mode,
    /// The runs, on consecutive days.
    #[serde(default = "one_run")]
    pub runs: Vec<RunScript>,
    /// The slots of pools; −1 is unlimited, as are pools that are not named.
    #[serde(default)]
    pub pools: IndexMap<String, i64>,
    /// How long each try of a task takes in all runs whose script does not say.
    #[serde(default)]
    pub durations: IndexMap<String, Span>,
    /// How long each try of all other tasks takes. Without it, one wave.
    #[serde(default)]
    pub default_duration: Option<Span>,
}

impl Default for Outcomes {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            runs: one_run(),
            pools: IndexMap::new(),
            durations: IndexMap::new(),
            default_duration: None,
        }
    }
}

fn one_run() -> Vec<RunScript> {
    vec![RunScript::default()]
}

/// How runs follow one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// A run begins when the one before it has ended or can make no further progress.
    #[default]
    Sequential,
    /// All runs are active from the start and advance together.
    Lockstep,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunScript {
    /// Why it exists.
    #[serde(default = "scheduled")]
    pub run_type: RunType,
    /// Task id → what its code does.
    #[serde(default)]
    pub script: IndexMap<String, TaskScript>,
}

impl Default for RunScript {
    fn default() -> Self {
        Self { run_type: scheduled(), script: IndexMap::new() }
    }
}

const fn scheduled() -> RunType {
    RunType::Scheduled
}

/// What a task's code does.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskScript {
    /// The outcome of try 1, 2, …; the last one repeats. Without any it succeeds.
    #[serde(default)]
    pub attempts: Vec<AttemptWord>,
    /// How long each try takes.
    #[serde(default)]
    pub duration: Option<Span>,
    /// For a branch: what it follows. Without it, everything.
    #[serde(default, deserialize_with = "given")]
    pub follow: Option<Follow>,
    /// For a short circuit: false skips what is downstream. Without it, true.
    #[serde(default)]
    pub condition: Option<bool>,
    /// What it returns, for tasks that are mapped over it. Without it, a list of one element.
    #[serde(default)]
    pub returns: Option<Returns>,
}

/// What a task returns.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Returns {
    /// This value; null is nothing.
    Value {
        /// The value.
        value: Value,
    },
    /// `echo`: the arguments it got. Another word: the argument of that name.
    Argument(String),
}

/// A null that was written down is an answer; a missing field is none.
fn given<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Follow>, D::Error> {
    Follow::deserialize(from).map(Some)
}

/// How a try ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptWord {
    /// The work is done.
    Success,
    /// It fails, and is tried again while tries remain.
    Fail,
    /// It fails for good.
    FailNoRetry,
    /// Its code asks to be skipped.
    Skip,
}

/// What a branch follows.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Follow {
    /// Nothing.
    Nothing,
    /// One task or group.
    One(String),
    /// These tasks or groups.
    Many(Vec<String>),
}

impl Follow {
    pub(super) fn ids(&self) -> Vec<windrose_core::ids::TaskId> {
        match self {
            Self::Nothing => Vec::new(),
            Self::One(id) => vec![id.as_str().into()],
            Self::Many(ids) => ids.iter().map(|id| id.as_str().into()).collect(),
        }
    }
}

/// How long a try takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// Waves; seconds if another duration of the same outcomes is a [`Span::Time`]. At least 1.
    Waves(u32),
    /// Time.
    Time(Duration),
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u32),
            Text(String),
        }
        match Written::deserialize(from)? {
            Written::Number(waves) => Ok(Self::Waves(waves.max(1))),
            Written::Text(text) => parse_duration(&text).map(Self::Time).map_err(serde::de::Error::custom),
        }
    }
}

impl Outcomes {
    /// Whether any duration is a time.
    pub(super) fn by_clock(&self) -> bool {
        let of_scripts = self.runs.iter().flat_map(|run| run.script.values()).filter_map(|task| task.duration);
        let all = of_scripts.chain(self.durations.values().copied()).chain(self.default_duration);
        all.into_iter().any(|span| matches!(span, Span::Time(_)))
    }

    /// How long a try of this task instance takes.
    pub(super) fn span(&self, script: Option<&TaskScript>, key: &TaskInstanceKey) -> Span {
        let given = script.and_then(|script| script.duration);
        let of_name = || self.durations.get(&name_of(key)).or_else(|| self.durations.get(key.task.as_str())).copied();
        given.or_else(of_name).or(self.default_duration).unwrap_or(Span::Waves(1))
    }

    pub(super) fn check(&self, dag: &Dag) -> Result<(), SimError> {
        let find = |id: &String| {
            let unknown = || SimError::UnknownTask { task: id.clone(), dag: dag.dag_id.to_string() };
            dag.position(id).or_else(|| position_of_mapped(dag, id)).ok_or_else(unknown)
        };
        for id in self.durations.keys() {
            find(id)?;
        }
        let unknown = self.pools.keys().find(|pool| !dag.tasks.iter().any(|task| task.pool == **pool));
        if let Some(pool) = unknown {
            let used: BTreeSet<&str> = dag.tasks.iter().map(|task| task.pool.as_str()).collect();
            let used = used.into_iter().collect::<Vec<_>>().join(", ");
            return Err(SimError::UnknownPool { pool: pool.clone(), dag: dag.dag_id.to_string(), used });
        }
        for (id, script) in self.runs.iter().flat_map(|run| &run.script) {
            let position = find(id)?;
            let kind = dag.tasks[position].kind;
            let misplaced = |field, expected| Err(SimError::Misplaced { task: id.clone(), field, expected });
            if script.follow.is_some() && kind != OperatorKind::Branch {
                return misplaced("follow", "branch");
            }
            if script.condition.is_some() && kind != OperatorKind::ShortCircuit {
                return misplaced("condition", "short circuit");
            }
        }
        Ok(())
    }
}

/// `load[3]`: an instance of a mapped task.
fn position_of_mapped(dag: &Dag, id: &str) -> Option<usize> {
    let (task, index) = id.strip_suffix(']')?.rsplit_once('[')?;
    index.parse::<u32>().ok()?;
    dag.position(task).filter(|&position| dag.expansion(position).is_some())
}
