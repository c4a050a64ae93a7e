//! The fields at the top of the file.

use toml::de::DeTable;

use super::ids::check_id;
use super::known_fields::{DAG_FIELDS, DAG_FIELDS_NOT_SUPPORTED, meant_by};
use super::params::read_params;
use super::reader::Fields;
use super::reporter::{Finding, Reporter, Span};
use super::schedule::{read_schedule, read_zone};
use super::suggest::nearest;
use super::template_check::check_templates;
use super::values::json_object;
use super::{DagSource, Defaults, dates, own_fields};
use crate::dag::{Dag, Schedule};
use crate::ids::DagId;
use crate::timetable::{Bounds, Timetable};
use crate::trigger_rule::TriggerRule;

/// Airflow's limit.
const MAX_TAG_LENGTH: usize = 100;

/// The field, or the file's stem.
pub(super) fn read_dag_id(fields: &Fields<'_>, source: &DagSource, reporter: &mut Reporter<'_>) -> DagId {
    if fields.get("dag_id").is_some() {
        let Some(word) = fields.word("dag_id", reporter) else { return DagId::from("") };
        check_id("dag_id", &word.text, word.span, reporter);
        return DagId::from(word.text);
    }
    let stem = source.path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    check_id("dag_id taken from the file's name", &stem, Span::TOP, reporter);
    DagId::from(stem)
}

/// Reports what no DAG has, and what is refused for now.
pub(super) fn refuse_unknown_fields(root: &DeTable<'_>, reporter: &mut Reporter<'_>) {
    for key in root.keys() {
        let name = key.get_ref().as_ref();
        if DAG_FIELDS_NOT_SUPPORTED.contains(&name) {
            reporter.add(Finding::not_supported(key.span(), name));
        } else if !DAG_FIELDS.contains(&name) {
            let near = meant_by(name).or_else(|| nearest(name, DAG_FIELDS.iter().copied()));
            let finding = Finding::error(key.span(), format!("a DAG has no field '{name}'")).label("unknown field");
            reporter.add(match near {
                Some(_) => finding.did_you_mean(near),
                None => finding.help(format!("it has {}", DAG_FIELDS.join(", "))),
            });
        }
    }
}

/// Fills in everything but id, tasks, groups and edges.
pub(super) fn read_dag_fields(dag: &mut Dag, fields: &Fields<'_>, defaults: &Defaults, reporter: &mut Reporter<'_>) {
    dag.description = fields.text("description", reporter);
    dag.doc = fields.text("doc", reporter);
    dag.owner = fields.text("owner", reporter);
    dag.tags = read_tags(fields, reporter);
    dag.timezone = read_zone(fields, reporter).unwrap_or(defaults.timezone);
    dag.schedule = read_schedule(fields, defaults, reporter);
    dag.start_date = dates::instant(fields, "start_date", dag.timezone, reporter);
    dag.end_date = dates::instant(fields, "end_date", dag.timezone, reporter);
    dag.catchup = own_fields::read_catchup(fields, defaults, reporter);
    let max_active_runs = fields.count("max_active_runs", 1, reporter);
    dag.max_active_runs = max_active_runs.unwrap_or(defaults.max_active_runs);
    dag.max_map_length = defaults.max_map_length;
    dag.max_active_tasks = fields.count("max_active_tasks", 1, reporter).unwrap_or(defaults.max_active_tasks);
    dag.dagrun_timeout = fields.positive_duration("dagrun_timeout", reporter);
    dag.paused = Some(fields.flag("paused", reporter).unwrap_or(defaults.dags_are_paused_at_creation));
    dag.fail_fast = fields.flag("fail_fast", reporter).unwrap_or(false);
    dag.render_native = fields.flag("render_native", reporter).unwrap_or(false);
    if let Some(vars) = fields.table("vars", reporter) {
        dag.vars = json_object(vars, reporter);
        vars.values().for_each(|node| check_templates("vars", node, reporter));
    }
    dag.params = read_params(fields, "params", dag.schedule != Schedule::None, reporter);
    dag.files = fields.words("files", reporter).unwrap_or_default().into_iter().map(|word| word.text).collect();
    own_fields::read_own_fields(dag, fields, reporter);
    check_continuous(dag, max_active_runs, fields, reporter);
    check_timetable(dag, fields, reporter);
}

/// What the timetable itself has to say, if the fields were right one by one.
fn check_timetable(dag: &Dag, fields: &Fields<'_>, reporter: &mut Reporter<'_>) {
    if !reporter.is_empty() {
        return;
    }
    match Timetable::new(&dag.schedule, dag.timezone) {
        Err(why) => reporter.add(Finding::error(fields.span("schedule"), why.to_string())),
        Ok(timetable) => {
            if let Err(why) = timetable.check_bounds(&Bounds::from(dag)) {
                reporter.add(Finding::error(fields.span("catchup"), why.to_string()));
            }
        }
    }
}

/// As in Airflow: tasks of a DAG that fails fast cannot have other rules.
pub(super) fn check_fail_fast(dag: &Dag, rule_span: impl Fn(usize) -> Span, reporter: &mut Reporter<'_>) {
    if !dag.fail_fast {
        return;
    }
    for (position, task) in dag.tasks.iter().enumerate() {
        if !matches!(task.trigger_rule, TriggerRule::AllSuccess | TriggerRule::AllDoneSetupSuccess) {
            let message = format!(
                "with 'fail_fast' the trigger rule of '{}' must be all_success, not {}",
                task.id,
                task.trigger_rule.as_str()
            );
            reporter.add(Finding::error(rule_span(position), message));
        }
    }
}

fn read_tags(fields: &Fields<'_>, reporter: &mut Reporter<'_>) -> Vec<String> {
    let words = fields.words("tags", reporter).unwrap_or_default();
    for word in words.iter().filter(|word| word.text.chars().count() > MAX_TAG_LENGTH) {
        reporter.add(Finding::error(word.span, format!("a tag has at most {MAX_TAG_LENGTH} characters")));
    }
    words.into_iter().map(|word| word.text).collect()
}

/// A continuous DAG has one run at a time: Airflow refuses more, and takes our default for one.
fn check_continuous(dag: &mut Dag, given: Option<u32>, fields: &Fields<'_>, reporter: &mut Reporter<'_>) {
    if dag.schedule != Schedule::Continuous {
        return;
    }
    if given.is_some_and(|runs| runs > 1) {
        let message = "a '@continuous' DAG has one run at a time, so 'max_active_runs' can only be 1";
        reporter.add(Finding::error(fields.span("max_active_runs"), message));
    }
    dag.max_active_runs = 1;
}
