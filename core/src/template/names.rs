//! The names a template can use, each looked up only when it is used.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::value::{Enumerator, Object, Value};
use minijinja::{Error, ErrorKind};

use super::accessors::{Connections, Variables};
use super::asset_events::{self, InletEvents};
use super::context::{DateTexts, TemplateContext, task_instance_key};
use super::file_vars::FileVars;
use super::lookup::{Lookup, PreviousSuccess};
use super::time::DateTimeValue;
use super::value::{Dict, List, Record, from_json};
use super::{macros, run_objects};
use crate::asset::{Inlet, Outlet};
use crate::dag::Task;
use crate::time::Timestamp;

/// Every name, for suggestions.
const NAMES: [&str; 31] = [
    "conn",
    "dag",
    "dag_run",
    "data_interval_end",
    "data_interval_start",
    "ds",
    "ds_nodash",
    "inlet_events",
    "inlets",
    "logical_date",
    "macros",
    "map_index_template",
    "mapped",
    "notification",
    "outlets",
    "params",
    "prev_data_interval_end_success",
    "prev_data_interval_start_success",
    "prev_end_date_success",
    "prev_start_date_success",
    "run_id",
    "task",
    "task_instance",
    "task_instance_key_str",
    "ti",
    "triggering_asset_events",
    "ts",
    "ts_nodash",
    "ts_nodash_with_tz",
    "var",
    "vars",
];

/// Names that Airflow 3 has no more or that mean nothing here, and what to write instead.
const REMOVED: [(&str, &str); 15] = [
    ("execution_date", "logical_date"),
    ("next_execution_date", "data_interval_end"),
    ("prev_execution_date", "prev_data_interval_start_success"),
    ("prev_execution_date_success", "prev_data_interval_start_success"),
    ("next_ds", "data_interval_end | ds"),
    ("next_ds_nodash", "data_interval_end | ds_nodash"),
    ("prev_ds", "macros.ds_add(ds, -1)"),
    ("prev_ds_nodash", "logical_date.subtract(days=1) | ds_nodash"),
    ("tomorrow_ds", "macros.ds_add(ds, 1)"),
    ("tomorrow_ds_nodash", "logical_date.add(days=1) | ds_nodash"),
    ("yesterday_ds", "macros.ds_add(ds, -1)"),
    ("yesterday_ds_nodash", "logical_date.subtract(days=1) | ds_nodash"),
    ("conf", "dag_run.conf"),
    ("test_mode", "params"),
    ("outlet_events", "'extra' of the outlet in the DAG file, or a Python task"),
];

/// What to say beside "is undefined".
pub(super) fn suggestion(expression: &str) -> Option<String> {
    if let Some((_, instead)) = REMOVED.iter().find(|(name, _)| *name == expression) {
        return Some(format!("use {instead}"));
    }
    if expression == "mapped" {
        return Some("only instances of mapped tasks and groups have it".to_owned());
    }
    if expression == "notification" {
        return Some("only templates of notifiers have it".to_owned());
    }
    if NAMES.contains(&expression) {
        return Some("this run has no logical date, so use dag_run.run_after".to_owned());
    }
    nearest(expression, NAMES.into_iter()).map(|near| format!("did you mean '{near}'?"))
}

/// The name that is most like `name`, if one is like it at all.
pub(super) fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |candidate: &str| strsim::damerau_levenshtein(name, candidate);
    let near = names.map(|candidate| (distance(candidate), candidate)).min()?;
    (near.0 <= 1 + name.chars().count() / 4).then_some(near.1)
}

/// The context a template is rendered with.
pub(super) struct Names {
    pub(super) ctx: Arc<TemplateContext>,
    pub(super) lookup: Arc<dyn Lookup>,
    vars: Value,
    /// `params` can be changed by a template, so all templates of a task see the same one.
    params: Value,
    previous: Mutex<Option<Option<PreviousSuccess>>>,
}

impl Names {
    pub(super) fn new(ctx: &Arc<TemplateContext>, lookup: &Arc<dyn Lookup>) -> Arc<Self> {
        Arc::new_cyclic(|names| Self {
            ctx: Arc::clone(ctx),
            lookup: Arc::clone(lookup),
            vars: Value::from_object(FileVars::new(ctx, names.clone())),
            params: Dict::value(ctx.params.iter().map(|(key, value)| (Value::from(key.as_str()), from_json(value)))),
            previous: Mutex::new(None),
        })
    }

    fn previous(&self) -> Result<Option<PreviousSuccess>, Error> {
        let mut known = self.previous.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_none() {
            let found = self.lookup.previous_success();
            *known = Some(found.map_err(|e| Error::new(ErrorKind::InvalidOperation, e))?);
        }
        Ok(known.flatten())
    }

    fn previous_date(&self, pick: impl Fn(&PreviousSuccess) -> Option<Timestamp>) -> Value {
        match self.previous() {
            Ok(run) => date_or_none(run.as_ref().and_then(pick)),
            Err(error) => Value::from(error),
        }
    }

    /// The names that exist only where there is a logical date.
    fn dated(&self, name: &str) -> Option<Value> {
        let logical_date = self.ctx.run.logical_date?;
        let interval = self.ctx.run.data_interval;
        Some(match name {
            "logical_date" => DateTimeValue::utc_value(logical_date),
            "data_interval_start" => date_or_none(interval.map(|i| i.start)),
            "data_interval_end" => date_or_none(interval.map(|i| i.end)),
            "prev_data_interval_start_success" => self.previous_date(|run| run.data_interval.map(|i| i.start)),
            "prev_data_interval_end_success" => self.previous_date(|run| run.data_interval.map(|i| i.end)),
            _ => {
                let texts = DateTexts::of(logical_date).named();
                let (_, text) = texts.into_iter().find(|(known, _)| *known == name)?;
                Value::from(text)
            }
        })
    }
}

/// The assets and aliases that the task reads, by name.
fn inlets(task: &Task) -> impl Iterator<Item = &str> {
    task.inlets.iter().map(|inlet| match inlet {
        Inlet::Asset(uri) => uri.as_str(),
        Inlet::Alias(name) => name.as_str(),
    })
}

/// The assets and aliases that the task changes, by name.
fn outlets(task: &Task) -> impl Iterator<Item = &str> {
    task.outlets.iter().map(|outlet| match outlet {
        Outlet::Asset { uri, .. } => uri.as_str(),
        Outlet::Alias { alias, .. } => alias.as_str(),
    })
}

/// A date, or `None`.
pub(super) fn date_or_none(at: Option<Timestamp>) -> Value {
    at.map_or_else(|| Value::from(()), DateTimeValue::utc_value)
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Names")
    }
}

impl Object for Names {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str()?;
        let ctx = &self.ctx;
        Some(match name {
            "run_id" => Value::from(ctx.run.run_id.as_str()),
            "dag" => run_objects::dag(ctx),
            "dag_run" => run_objects::dag_run(ctx),
            "task" => run_objects::task(ctx),
            "ti" | "task_instance" => run_objects::task_instance(self),
            "task_instance_key_str" => Value::from(task_instance_key(ctx)),
            "params" => self.params.clone(),
            "vars" => self.vars.clone(),
            "macros" => macros::value(ctx.now),
            "triggering_asset_events" => asset_events::triggering(&self.lookup).unwrap_or_else(Value::from),
            "inlet_events" => InletEvents::value(ctx, &self.lookup),
            "inlets" => List::value(inlets(ctx.task()).map(Value::from).collect()),
            "outlets" => List::value(outlets(ctx.task()).map(Value::from).collect()),
            "map_index_template" => {
                ctx.task().map_index_template.as_deref().map_or_else(|| Value::from(()), Value::from)
            }
            "mapped" if ctx.map_index >= 0 => from_json(&ctx.mapped.clone().into()),
            "notification" if !ctx.notification.is_empty() => from_json(&ctx.notification.clone().into()),
            "var" => Record::value(
                "var",
                [("value", Variables::value(&self.lookup, false)), ("json", Variables::value(&self.lookup, true))],
            ),
            "conn" => Connections::value(&self.lookup),
            "prev_start_date_success" => self.previous_date(|run| run.started_at),
            "prev_end_date_success" => self.previous_date(|run| run.ended_at),
            _ => return self.dated(name),
        })
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(&NAMES)
    }
}
