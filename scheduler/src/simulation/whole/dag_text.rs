//! A DAG as the text of its file.

use serde_json::Value;
use windrose_core::dag::{Dag, OnLost, Task};
use windrose_core::mapping::{Expansion, Source};

/// What the reader makes this DAG of.
pub(super) fn dag_text(dag: &Dag, schedule: &str) -> String {
    let mut lines = vec![
        schedule.to_owned(),
        format!("max_active_runs = {}", dag.max_active_runs),
        format!("max_active_tasks = {}", dag.max_active_tasks),
        format!("fail_fast = {}", dag.fail_fast),
    ];
    lines.extend(dag.dagrun_timeout.map(|timeout| format!("dagrun_timeout = {}", timeout.as_secs())));
    for group in dag.groups.values() {
        lines.push(format!("[groups.{}]", group.id));
        lines.extend(group.expansion.as_ref().map(expand));
    }
    for (position, task) in dag.tasks.iter().enumerate() {
        let upstream: Vec<&str> =
            dag.upstream(position).into_iter().map(|above| dag.tasks[above].id.as_str()).collect();
        task_lines(task, &upstream, &mut lines);
    }
    lines.join("\n")
}

fn task_lines(task: &Task, upstream: &[&str], lines: &mut Vec<String>) {
    lines.push(format!("[tasks.{}]", task.id));
    lines.push("operator = \"work\"".to_owned());
    lines.push(format!("upstream = {upstream:?}"));
    lines.push(format!("trigger_rule = \"{}\"", task.trigger_rule.as_str()));
    lines.push(format!("retries = {}\nretry_delay = {}", task.retries, task.retry_delay.as_secs()));
    lines.push(format!("pool = \"{}\"\npool_slots = {}", task.pool, task.pool_slots));
    let on_lost = if task.on_lost == OnLost::Fail { "fail" } else { "retry" };
    lines.push(format!("on_lost = \"{on_lost}\""));
    let flags = [
        ("depends_on_past", task.depends_on_past),
        ("wait_for_downstream", task.wait_for_downstream),
        ("setup", task.setup),
        ("teardown", task.teardown.is_some()),
        ("on_failure_fail_dagrun", task.teardown.is_some() && task.on_failure_fail_dagrun),
    ];
    lines.extend(flags.into_iter().filter(|(_, on)| *on).map(|(name, _)| format!("{name} = true")));
    lines.extend(task.max_active_tis_per_dag.map(|limit| format!("max_active_tis_per_dag = {limit}")));
    lines.extend(task.group.as_ref().map(|group| format!("group = \"{group}\"")));
    lines.extend(task.expansion.as_ref().map(expand));
}

fn expand(expansion: &Expansion) -> String {
    let Expansion::Product(sources) = expansion else { panic!("no other expansion is made at random") };
    let source = |source: &Source| match source {
        Source::List(values) => Value::from(values.clone()).to_string(),
        Source::XCom(task) => format!("{{ xcom = \"{task}\" }}"),
        other => panic!("no such source is made at random: {other:?}"),
    };
    let fields: Vec<String> = sources.iter().map(|(name, from)| format!("{name} = {}", source(from))).collect();
    format!("expand = {{ {} }}", fields.join(", "))
}
