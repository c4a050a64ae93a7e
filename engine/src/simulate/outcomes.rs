//! What the tasks of a simulation do: the outcomes file.

use std::time::Duration;

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::Value;
use windrose_core::catalog::OperatorKind;
use windrose_core::dag::Dag;
use windrose_core::run_state::RunType;

use super::SimError;

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
}

impl Default for Outcomes {
    fn default() -> Self {
        Self { mode: Mode::default(), runs: one_run() }
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
            Written::Text(text) => parse_duration(&text).map(Self::Time).ok_or_else(|| {
                serde::de::Error::custom(format!(
                    "'{text}' is not a duration; write a number of waves, or one like \"90s\", \"5m\", \"1h30m\", \"7d\""
                ))
            }),
        }
    }
}

/// `90s`, `1h30m`, `7d`: numbers with a unit, one after another.
fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let unit = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |at| digits + at);
        let seconds = match rest[digits..unit].trim() {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        total = total.checked_add(Duration::try_from_secs_f64(number * seconds).ok()?)?;
        rest = &rest[unit..];
    }
    Some(total)
}

impl Outcomes {
    /// Whether any duration is a time.
    pub(super) fn by_clock(&self) -> bool {
        self.runs.iter().flat_map(|run| run.script.values()).any(|task| matches!(task.duration, Some(Span::Time(_))))
    }

    pub(super) fn check(&self, dag: &Dag) -> Result<(), SimError> {
        for (id, script) in self.runs.iter().flat_map(|run| &run.script) {
            let Some(position) = dag.position(id).or_else(|| position_of_mapped(dag, id)) else {
                return Err(SimError::UnknownTask { task: id.clone(), dag: dag.dag_id.to_string() });
            };
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
