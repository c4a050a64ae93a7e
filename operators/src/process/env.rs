//! The environment of a task's process.

use std::collections::BTreeMap;
use std::ffi::OsString;

use indexmap::IndexMap;

use crate::context::TaskContext;

/// The environment that a task's process inherits: the worker's own without its configuration, which holds keys and
/// the metadata database's address.
#[must_use]
pub fn inherited_env() -> BTreeMap<OsString, OsString> {
    std::env::vars_os().filter(|(name, _)| !name.to_string_lossy().starts_with("WINDROSE_")).collect()
}

/// A task's own variables and Airflow's `AIRFLOW_CTX_*`, on top of the inherited ones if `inherit`.
#[must_use]
pub fn task_env(ctx: &TaskContext, own: &IndexMap<String, String>, inherit: bool) -> BTreeMap<OsString, OsString> {
    let info = &ctx.info;
    let mut env = if inherit { inherited_env() } else { BTreeMap::new() };
    let mut facts = vec![
        ("AIRFLOW_CTX_DAG_ID", info.dag_id.to_string()),
        ("AIRFLOW_CTX_TASK_ID", info.key.task.to_string()),
        ("AIRFLOW_CTX_DAG_RUN_ID", info.run_id.to_string()),
        ("AIRFLOW_CTX_TRY_NUMBER", info.try_number.to_string()),
    ];
    if let Some(date) = info.template_context["ts"].as_str() {
        facts.push(("AIRFLOW_CTX_LOGICAL_DATE", date.to_owned()));
    }
    env.extend(facts.into_iter().map(|(name, value)| (name.into(), value.into())));
    env.extend(own.iter().map(|(name, value)| (name.into(), value.into())));
    env
}
