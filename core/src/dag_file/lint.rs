//! What is allowed but rarely meant.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;
use std::time::Duration;

use regex::Regex;
use serde_json::Value;
use toml::de::DeTable;

use super::diagnostics::Diagnostics;
use super::known_fields::{SENSOR_FIELDS, TASK_FIELDS};
use super::reader::Fields;
use super::reporter::{Finding, Reporter, Span};
use super::{DagSource, read_document};
use crate::catalog::{Catalog, OperatorKind};
use crate::dag::{Dag, Schedule, SensorMode, Task};
use crate::trigger_rule::TriggerRule;

/// A poke in a slot that waits longer than this between looks wastes the slot.
const LONG_POKE_INTERVAL: Duration = Duration::from_secs(300);

/// Warnings about a DAG that [`super::parse`] made of this source.
#[must_use]
pub fn lint(dag: &Dag, source: &DagSource, catalog: &dyn Catalog) -> Diagnostics {
    let mut reporter = Reporter::new(source);
    if let Some(document) = read_document(source, &mut reporter) {
        let file = File { dag, root: document.get_ref(), catalog };
        file.check_dag(&mut reporter);
        file.check_names(&mut reporter);
        file.check_chains(&mut reporter);
        file.check_defaults(&mut reporter);
        for (position, task) in dag.tasks.iter().enumerate() {
            file.check_task(position, task, &mut reporter);
        }
    }
    reporter.finish()
}

struct File<'a> {
    dag: &'a Dag,
    root: &'a DeTable<'a>,
    catalog: &'a dyn Catalog,
}

impl<'a> File<'a> {
    fn table(&self, name: &str) -> Option<&'a DeTable<'a>> {
        self.root.get(name)?.get_ref().as_table()
    }

    /// Where a key of one of the file's tables stands.
    fn key_span(&self, table: &str, key: &str) -> Span {
        let key = self.table(table).and_then(|table| table.get_key_value(key));
        key.map_or(Span::TOP, |(key, _)| key.span().into())
    }

    /// Where a field of a task stands, or else the task.
    fn field_span(&self, task: &Task, field: &str) -> Span {
        let id = task.id.as_str();
        let table = self.table("tasks").and_then(|tasks| tasks.get(id)?.get_ref().as_table());
        let node = table.and_then(|table| table.get(field));
        node.map_or_else(|| self.key_span("tasks", id), |node| node.span().into())
    }

    fn check_dag(&self, reporter: &mut Reporter<'_>) {
        let fields = Fields::of(self.root);
        let dag = self.dag;
        if dag.tasks.is_empty() {
            reporter.add(Finding::warning(Span::TOP, "the DAG has no tasks"));
        }
        if dag.start_date.is_none() && !matches!(dag.schedule, Schedule::None | Schedule::Assets { times: None, .. }) {
            let finding = Finding::warning(fields.span("schedule"), "the DAG has a schedule but no 'start_date'");
            reporter.add(finding.help("without one the first run depends on when the DAG is first seen"));
        }
        if let (Some(start), Some(end)) = (dag.start_date, dag.end_date)
            && end < start
        {
            reporter.add(Finding::warning(
                fields.span("end_date"),
                "'end_date' is before 'start_date': there will be no run",
            ));
        }
        let used: HashSet<&str> =
            dag.tasks.iter().filter_map(|task| task.group.as_deref()).flat_map(outwards).collect();
        for group in dag.groups.keys().filter(|group| !used.contains(group.as_str())) {
            let message = format!("the group '{group}' has no tasks, so links to it link nothing");
            reporter.add(Finding::warning(self.key_span("groups", group), message));
        }
    }

    fn check_task(&self, position: usize, task: &Task, reporter: &mut Reporter<'_>) {
        self.check_leaf(position, task, reporter);
        match task.kind {
            OperatorKind::Sensor => self.check_sensor(task, reporter),
            OperatorKind::Remote if task.retries == 0 => {
                let message = format!("'{}' calls another system and has no retries", task.id);
                let finding = Finding::warning(self.field_span(task, "retries"), message);
                reporter.add(finding.help("a short outage there fails the run; add retries = 2"));
            }
            _ => {}
        }
        if task.retries > 0 && task.retry_on.as_ref().is_some_and(Vec::is_empty) {
            let message = "'retry_on' is empty, so nothing is retried";
            reporter.add(Finding::warning(self.field_span(task, "retry_on"), message));
        }
        self.check_question_marks(task, reporter);
    }

    /// The leaves decide over the run: one that succeeds whatever happened hides every failure above it.
    fn check_leaf(&self, position: usize, task: &Task, reporter: &mut Reporter<'_>) {
        let hides = matches!(
            task.trigger_rule,
            TriggerRule::AllDone | TriggerRule::AllDoneMinOneSuccess | TriggerRule::Always | TriggerRule::OneDone
        );
        if !hides || task.teardown.is_some() {
            return;
        }
        if self.dag.downstream(position).is_empty() && !self.dag.upstream(position).is_empty() {
            let message = format!(
                "'{}' is the end of the DAG and runs whatever happened before: the run succeeds even if tasks above it fail",
                task.id
            );
            let finding = Finding::warning(self.field_span(task, "trigger_rule"), message).label("hides failures");
            reporter.add(finding.help("make it a teardown, or put an 'empty' task with all_success beside it"));
        }
    }

    fn check_sensor(&self, task: &Task, reporter: &mut Reporter<'_>) {
        let Some(sensor) = task.sensor else { return };
        if !sensor.timeout_given {
            let message = format!("the sensor '{}' has no 'timeout', so it waits for up to 7 days", task.id);
            reporter.add(Finding::warning(self.field_span(task, "timeout"), message).help("add timeout = \"12h\""));
        }
        if sensor.mode == SensorMode::Poke && sensor.poke_interval >= LONG_POKE_INTERVAL {
            let message = format!("the sensor '{}' keeps its pool slot through long waits", task.id);
            let finding = Finding::warning(self.field_span(task, "poke_interval"), message);
            reporter.add(finding.help("mode = \"reschedule\" or \"deferred\" gives the slot back"));
        }
    }

    /// In a full URL everything from `?` on is dropped, as in Airflow.
    fn check_question_marks(&self, task: &Task, reporter: &mut Reporter<'_>) {
        if task.parameters.get("wildcard_match") != Some(&Value::Bool(true)) {
            return;
        }
        let keys: Vec<&str> = match task.parameters.get("bucket_key") {
            Some(Value::String(key)) => vec![key],
            Some(Value::Array(keys)) => keys.iter().filter_map(Value::as_str).collect(),
            _ => return,
        };
        let is_cut = |key: &&str| {
            let scheme = key.split_once("://").map(|(scheme, _)| scheme.to_lowercase());
            scheme.is_some_and(|scheme| ["s3", "s3a", "s3n"].contains(&scheme.as_str()))
                && outside_templates(key).contains('?')
        };
        if keys.iter().any(is_cut) {
            let message = "in a full URL everything from '?' on is dropped, so it is no wildcard here";
            let finding = Finding::warning(self.field_span(task, "bucket_key"), message);
            reporter.add(finding.help("give 'bucket_name' and a 'bucket_key' without s3://…"));
        }
    }

    /// Constants that nobody uses, and those that are used but not there.
    fn check_names(&self, reporter: &mut Reporter<'_>) {
        static VAR: LazyLock<Option<Regex>> =
            LazyLock::new(|| Regex::new(r#"\bvars(?:\.([A-Za-z_]\w*)|\[\s*['"]([^'"]+)['"]\s*\])"#).ok());
        let Some(pattern) = VAR.as_ref() else { return };
        let mut used = HashSet::new();
        let mut visit = |field: Option<(&Task, &str)>, text: &str| {
            for found in pattern.captures_iter(text) {
                let Some(name) = found.get(1).or_else(|| found.get(2)) else { continue };
                used.insert(name.as_str().to_owned());
                if let Some((task, field)) = field.filter(|_| !self.dag.vars.contains_key(name.as_str())) {
                    let message = format!("'vars.{}' is used in '{field}' but is not in [vars]", name.as_str());
                    reporter.add(Finding::warning(self.field_span(task, field), message));
                }
            }
        };
        self.dag.vars.values().for_each(|value| each_text(value, &mut |text| visit(None, text)));
        for task in &self.dag.tasks {
            for field in self.catalog.template_fields(&task.operator) {
                if let Some(value) = task.parameters.get(*field) {
                    each_text(value, &mut |text| visit(Some((task, field)), text));
                }
            }
            task.env.values().for_each(|text| visit(Some((task, "env")), text));
        }
        for name in self.dag.vars.keys().filter(|name| !used.contains(*name)) {
            reporter.add(Finding::warning(self.key_span("vars", name), format!("'vars.{name}' is not used")));
        }
    }

    /// Each link of a chain sees the links before it only.
    fn check_chains(&self, reporter: &mut Reporter<'_>) {
        let fields = Fields::of(self.root);
        let links = super::chain::read_chains(&fields, reporter);
        let mut linked_groups: HashMap<&str, Span> = HashMap::new();
        for link in &links {
            for word in [&link.from, &link.to] {
                if let Some(group) = self.dag.groups.get(&word.text) {
                    linked_groups.entry(&group.id).or_insert(word.span);
                }
            }
            let group_of = |id: &str| self.dag.position(id).and_then(|task| self.dag.tasks[task].group.as_deref());
            let (Some(from), Some(to)) = (group_of(&link.from.text), group_of(&link.to.text)) else { continue };
            let around_both = outwards(from).filter(|group| outwards(to).any(|other| other == *group));
            for (group, span) in around_both.filter_map(|group| linked_groups.get_key_value(group)) {
                let message =
                    format!("the group '{group}' is linked before a link within it, which does not count then");
                let finding = Finding::warning(*span, message);
                reporter.add(finding.help("put the chain of the group's own tasks first, or use their 'upstream'"));
            }
        }
    }

    fn check_defaults(&self, reporter: &mut Reporter<'_>) {
        let has_sensor = self.dag.tasks.iter().any(|task| task.sensor.is_some());
        for key in self.table("defaults").into_iter().flat_map(DeTable::keys) {
            let name = key.get_ref().as_ref();
            let taken = TASK_FIELDS.contains(&name)
                || (has_sensor && SENSOR_FIELDS.contains(&name))
                || self.dag.tasks.iter().any(|task| task.parameters.contains_key(name));
            if !taken {
                reporter.add(Finding::warning(key.span(), format!("no task of this file takes the default '{name}'")));
            }
        }
    }
}

/// A group's id and those of the groups around it.
fn outwards(group: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(group), |group| group.rsplit_once('.').map(|(outer, _)| outer))
}

fn each_text(value: &Value, visit: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => visit(text),
        Value::Array(items) => items.iter().for_each(|item| each_text(item, visit)),
        Value::Object(fields) => fields.values().for_each(|field| each_text(field, visit)),
        _ => {}
    }
}

/// The text without what stands between `{{` and `}}`.
fn outside_templates(text: &str) -> String {
    let mut rest = text;
    let mut outside = String::new();
    while let Some((before, template)) = rest.split_once("{{") {
        outside.push_str(before);
        rest = template.split_once("}}").map_or("", |(_, after)| after);
    }
    outside + rest
}
