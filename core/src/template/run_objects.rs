//! `dag`, `dag_run`, `task` and `ti`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use minijinja::value::{Object, ObjectRepr, Value, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State};
use serde_json::Value as Json;

use super::context::TemplateContext;
use super::lookup::XComQuery;
use super::names::{Names, date_or_none};
use super::time::{DeltaValue, StdDateTime};
use super::value::{List, Record, Set, from_json, python_str, refused, split_arguments};
use crate::dag::Catchup;
use crate::outcome::RETURN_VALUE;
use crate::time::Timestamp;

fn text(value: Option<&str>) -> Value {
    value.map_or_else(|| Value::from(()), Value::from)
}

fn number(value: Option<u32>) -> Value {
    value.map_or_else(|| Value::from(()), Value::from)
}

fn span(duration: Option<Duration>) -> Value {
    let micros = duration.map(|d| i64::try_from(d.as_micros()).unwrap_or(i64::MAX));
    micros.map_or_else(|| Value::from(()), |micros| DeltaValue::timedelta(micros).into_value())
}

fn object(map: &serde_json::Map<String, Json>) -> Value {
    from_json(&Json::Object(map.clone()))
}

/// Airflow's name for whoever nobody named.
const NO_OWNER: &str = "airflow";

/// A date of Python's library, as the run's are in Airflow; those of the context are pendulum's.
fn std_date(at: Option<Timestamp>) -> Value {
    at.map_or_else(|| Value::from(()), StdDateTime::utc_value)
}

/// `dag`
pub(super) fn dag(ctx: &TemplateContext) -> Value {
    let dag = &ctx.dag;
    let defaults: serde_json::Map<_, _> =
        dag.params.iter().map(|(name, param)| (name.clone(), param.default.clone().unwrap_or_default())).collect();
    Record::value(
        format!("<DAG: {}>", dag.dag_id),
        [
            ("dag_id", Value::from(dag.dag_id.as_str())),
            ("description", text(dag.description.as_deref())),
            ("doc_md", text(dag.doc.as_deref())),
            ("owner", Value::from(dag.owner.as_deref().unwrap_or(NO_OWNER))),
            ("tags", Set::of(dag.tags.iter().map(String::as_str))),
            ("start_date", date_or_none(dag.start_date)),
            ("end_date", date_or_none(dag.end_date)),
            ("timezone", Value::from(dag.timezone.name())),
            ("max_active_runs", Value::from(dag.max_active_runs)),
            ("max_active_tasks", Value::from(dag.max_active_tasks)),
            ("dagrun_timeout", span(dag.dagrun_timeout)),
            ("fail_fast", Value::from(dag.fail_fast)),
            ("catchup", Value::from(dag.catchup != Catchup::No)),
            ("dag_display_name", Value::from(dag.dag_id.as_str())),
            ("params", object(&defaults)),
            ("task_ids", List::value(dag.tasks.iter().map(|task| Value::from(task.id.as_str())).collect())),
        ],
    )
}

/// `dag_run`
pub(super) fn dag_run(ctx: &TemplateContext) -> Value {
    let run = &ctx.run;
    Record::value(
        format!("<DagRun {} {}>", run.dag_id, run.run_id),
        [
            ("dag_id", Value::from(run.dag_id.as_str())),
            ("run_id", Value::from(run.run_id.as_str())),
            ("run_type", Value::from(run.run_type.as_str())),
            ("logical_date", std_date(run.logical_date)),
            ("data_interval_start", std_date(run.data_interval.map(|i| i.start))),
            ("data_interval_end", std_date(run.data_interval.map(|i| i.end))),
            ("run_after", std_date(Some(run.run_after))),
            ("start_date", std_date(ctx.run_started_at)),
            ("end_date", Value::from(())),
            ("clear_number", Value::from(0)),
            ("triggering_user_name", Value::from(())),
            ("partition_key", Value::from(())),
            ("partition_date", Value::from(())),
            ("note", Value::from(())),
            ("state", Value::from("running")),
            ("conf", object(&run.conf)),
        ],
    )
}

/// `task`, with the operator's parameters as they are written.
pub(super) fn task(ctx: &TemplateContext) -> Value {
    let task = ctx.task();
    let ids = |positions: Vec<usize>| {
        let mut ids: Vec<_> = positions.into_iter().map(|at| ctx.dag.tasks[at].id.as_str()).collect();
        ids.sort_unstable();
        Set::of(ids.into_iter())
    };
    let label = task.id.as_str().rsplit('.').next().unwrap_or_default();
    let owner = task.owner.as_deref().or(ctx.dag.owner.as_deref()).unwrap_or(NO_OWNER);
    let parameters = task.parameters.iter().map(|(name, value)| (name.clone(), from_json(value)));
    Record::with_more(
        format!("<Task({}): {}>", task.operator, task.id),
        [
            ("task_id", Value::from(task.id.as_str())),
            ("label", Value::from(label)),
            ("dag_id", Value::from(ctx.dag.dag_id.as_str())),
            ("dag", dag(ctx)),
            ("owner", Value::from(owner)),
            ("doc_md", text(task.doc.as_deref())),
            ("task_type", Value::from(task.operator.as_str())),
            ("operator_name", Value::from(task.operator.as_str())),
            ("retries", Value::from(task.retries)),
            ("retry_delay", span(Some(task.retry_delay))),
            ("max_retry_delay", span(task.max_retry_delay)),
            ("execution_timeout", span(task.execution_timeout)),
            ("pool", Value::from(task.pool.as_str())),
            ("pool_slots", Value::from(task.pool_slots)),
            ("queue", Value::from(task.queue.as_str())),
            ("weight_rule", Value::from(task.weight_rule.as_str())),
            ("start_date", date_or_none(ctx.dag.start_date)),
            ("end_date", date_or_none(ctx.dag.end_date)),
            ("max_active_tis_per_dag", number(task.max_active_tis_per_dag)),
            ("max_active_tis_per_dagrun", number(task.max_active_tis_per_dagrun)),
            ("map_index_template", text(task.map_index_template.as_deref())),
            ("priority_weight", Value::from(task.priority_weight)),
            ("trigger_rule", Value::from(task.trigger_rule.as_str())),
            ("depends_on_past", Value::from(task.depends_on_past)),
            ("wait_for_downstream", Value::from(task.wait_for_downstream)),
            ("do_xcom_push", Value::from(task.do_xcom_push)),
            ("params", object(&ctx.params)),
            ("upstream_task_ids", ids(ctx.dag.upstream(ctx.position))),
            ("downstream_task_ids", ids(ctx.dag.downstream(ctx.position))),
        ],
        parameters,
    )
}

/// `ti`
pub(super) fn task_instance(names: &Arc<Names>) -> Value {
    let ctx = &names.ctx;
    let attributes = Record::value(
        "ti",
        [
            ("task_id", Value::from(ctx.task().id.as_str())),
            ("dag_id", Value::from(ctx.run.dag_id.as_str())),
            ("run_id", Value::from(ctx.run.run_id.as_str())),
            ("try_number", Value::from(ctx.try_number)),
            ("max_tries", Value::from(ctx.task().retries)),
            ("map_index", Value::from(ctx.map_index)),
            ("state", Value::from("running")),
            ("queue", Value::from(ctx.task().queue.as_str())),
            ("start_date", date_or_none(Some(ctx.now))),
            ("end_date", Value::from(())),
            ("task", task(ctx)),
            ("dag_run", dag_run(ctx)),
        ],
    );
    Value::from_object(TaskInstance { names: Arc::clone(names), attributes })
}

struct TaskInstance {
    names: Arc<Names>,
    attributes: Value,
}

impl TaskInstance {
    /// Airflow's rules: one task id gives its value, or the list of its mapped instances' values; a list of task ids
    /// gives a list; a task without a value gives `None`, and the default only where map indexes are named.
    fn xcom_pull(&self, arguments: &[Value]) -> Result<Value, Error> {
        let (plain, named) = split_arguments(arguments)?;
        let (tasks, dag_id, key, prior): (Option<Value>, Option<Value>, Option<String>, Option<bool>) =
            from_args(plain)?;
        let tasks = tasks.or(named.get("task_ids")?).filter(|tasks| !tasks.is_none());
        let dag_id = dag_id.or(named.get("dag_id")?).filter(|id| !id.is_none());
        let query = XComQuery {
            task_id: String::new(),
            key: key.or(named.get("key")?).unwrap_or_else(|| RETURN_VALUE.to_owned()),
            map_index: None,
            dag_id: dag_id.as_ref().map(python_str).transpose()?,
            run_id: named.get("run_id")?,
            include_prior_dates: prior.or(named.get("include_prior_dates")?).unwrap_or(false),
        };
        let map_indexes: Option<Value> = if named.has("map_indexes") { Some(named.get("map_indexes")?) } else { None };
        let default: Option<Value> = named.get("default")?;
        named.assert_all_used()?;

        let single_task = tasks.as_ref().is_none_or(|tasks| tasks.kind() == ValueKind::String);
        let task_ids: Vec<String> = match tasks {
            None => vec![self.names.ctx.task().id.as_str().to_owned()],
            Some(tasks) if single_task => vec![python_str(&tasks)?],
            Some(tasks) => tasks.try_iter()?.checked().map(|id| python_str(&id?)).collect::<Result<_, _>>()?,
        };
        let Some(map_indexes) = map_indexes else {
            return self.pull_all(&query, task_ids, single_task);
        };
        let single_index = !matches!(map_indexes.kind(), ValueKind::Seq | ValueKind::Iterable);
        let indexes: Vec<i32> = match &map_indexes {
            none if none.is_none() => vec![-1],
            one if single_index => vec![i32::try_from(one.clone())?],
            many => many.try_iter()?.checked().map(|at| i32::try_from(at?)).collect::<Result<_, _>>()?,
        };
        let mut found = Vec::new();
        for task_id in task_ids {
            for &index in &indexes {
                let query = XComQuery { task_id: task_id.clone(), map_index: Some(index), ..query.clone() };
                let first = self.pull(&query)?.into_iter().next().filter(|value| !value.is_none());
                found.push(first.or_else(|| default.clone()).unwrap_or_else(|| Value::from(())));
            }
        }
        Ok(if single_task && single_index { found.swap_remove(0) } else { List::value(found) })
    }

    fn pull_all(&self, query: &XComQuery, task_ids: Vec<String>, single_task: bool) -> Result<Value, Error> {
        let mut found = Vec::new();
        for task_id in task_ids {
            let values = self.pull(&XComQuery { task_id, ..query.clone() })?;
            if values.is_empty() {
                found.push(Value::from(()));
            }
            found.extend(values);
        }
        Ok(if single_task && found.len() == 1 { found.swap_remove(0) } else { List::value(found) })
    }

    fn pull(&self, query: &XComQuery) -> Result<Vec<Value>, Error> {
        let found = self.names.lookup.xcom(query).map_err(refused)?;
        Ok(found.iter().map(from_json).collect())
    }
}

impl fmt::Debug for TaskInstance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ctx = &self.names.ctx;
        write!(f, "<TaskInstance: {}.{} {}>", ctx.run.dag_id, ctx.task().id, ctx.run.run_id)
    }
}

impl Object for TaskInstance {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.attributes.get_attr(key.as_str()?).ok().filter(|value| !value.is_undefined())
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        arguments: &[Value],
    ) -> Result<Value, Error> {
        match method {
            "xcom_pull" => self.xcom_pull(arguments),
            "get_dagrun" => from_args(arguments).map(|()| dag_run(&self.names.ctx)),
            "xcom_push" => Err(refused("ti.xcom_push in a template is not supported yet")),
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}
