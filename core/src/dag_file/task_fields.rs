//! `[tasks.*]`: the fields of every task.

use std::collections::HashMap;

use indexmap::IndexMap;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::Defaults;
use super::assets::{read_inlets, read_outlets};
use super::default_args::DefaultArgs;
use super::ids::check_id;
use super::known_fields::TASK_FIELDS_NOT_SUPPORTED;
use super::mapping::read_expansion;
use super::notifiers::read_notifiers;
use super::operator_parameters::OperatorTable;
use super::params::read_table;
use super::reader::{Fields, Word, not_a_choice, table_of, word_of, wrong_kind};
use super::reporter::{Finding, Reporter, Span};
use super::sensor_fields::read_sensor_fields;
use super::suggest::nearest;
use super::template_check::check_templates;
use super::values::{Node, number_of};
use crate::catalog::{Catalog, OperatorKind};
use crate::cause::Cause;
use crate::dag::{OnLost, Param, Task, WeightRule};
use crate::ids::TaskId;
use crate::notify::Occasion;
use crate::trigger_rule::TriggerRule;

const WEIGHT_RULES: [(&str, WeightRule); 3] =
    [("downstream", WeightRule::Downstream), ("upstream", WeightRule::Upstream), ("absolute", WeightRule::Absolute)];
const OCCASIONS: [Occasion; 4] = [Occasion::Success, Occasion::Failure, Occasion::Retry, Occasion::Skipped];
const ON_LOST: [(&str, OnLost); 2] = [("retry", OnLost::Retry), ("fail", OnLost::Fail)];

/// A task as its table declares it, before ids in it are resolved.
pub(super) struct DeclaredTask {
    pub(super) task: Task,
    pub(super) span: Span,
    pub(super) trigger_rule_span: Span,
    pub(super) upstream: Vec<Word>,
    pub(super) setups: Vec<Word>,
    pub(super) group: Option<Word>,
    /// Tasks that it is mapped over.
    pub(super) sources: Vec<Word>,
}

/// Reads tasks one after the other.
pub(super) struct TaskReader<'d, 'c> {
    pub(super) catalog: &'c dyn Catalog,
    pub(super) defaults: &'c Defaults,
    pub(super) default_args: DefaultArgs<'d>,
    operator_kinds: HashMap<String, Option<OperatorKind>>,
}

impl<'d, 'c> TaskReader<'d, 'c> {
    pub(super) fn new(catalog: &'c dyn Catalog, defaults: &'c Defaults, default_args: DefaultArgs<'d>) -> Self {
        Self { catalog, defaults, default_args, operator_kinds: HashMap::new() }
    }

    /// Finds mistakes in `[defaults]` that no task would show because all of them say otherwise.
    pub(super) fn check_defaults(&self, reporter: &mut Reporter<'_>) {
        if let Some(table) = self.default_args.table {
            let mut nobody = Task::new(TaskId::from(""), "", OperatorKind::Work);
            self.read_common_fields(&mut nobody, &Fields::of(table), reporter);
        }
    }

    /// The task of one table; `None` if it has no usable id or is no table.
    pub(super) fn read(
        &mut self,
        key: &'d Spanned<DeString<'d>>,
        node: &'d Node<'d>,
        reporter: &mut Reporter<'_>,
    ) -> Option<DeclaredTask> {
        let span = Span::from(key.span());
        let id = key.get_ref().as_ref();
        let table = table_of(id, node, reporter)?;
        if !check_id("task id", id, span, reporter) {
            return None;
        }
        for (key, _) in table.iter().filter(|(key, _)| TASK_FIELDS_NOT_SUPPORTED.contains(&key.get_ref().as_ref())) {
            reporter.add(Finding::not_supported(key.span(), key.get_ref()));
        }
        let (operator, kind) = self.operator(id, span, table, reporter);
        let mut task = Task::new(TaskId::from(id), operator, kind.unwrap_or(OperatorKind::Work));
        let fields = Fields::with_fallback(table, self.default_args.table);
        self.read_common_fields(&mut task, &fields, reporter);
        let own = Fields::of(table);
        let mapped = read_expansion(&own, reporter);
        let (expansion, sources) = mapped.map_or((None, Vec::new()), |m| (Some(m.expansion), m.sources));
        task.expansion = expansion;
        if kind == Some(OperatorKind::Empty) && !task.outlets.is_empty() {
            // As in Airflow: its events come from an attempt, whose templates a worker renders.
            task.kind = OperatorKind::Work;
        }
        if let Some(kind) = kind {
            if kind == OperatorKind::Sensor {
                let own_interval = self.catalog.poke_interval(&task.operator);
                task.sensor = Some(read_sensor_fields(&fields, own_interval, reporter));
            }
            let expansion = task.expansion.as_ref();
            let table = OperatorTable { table, task_span: span, operator: &task.operator, kind, expansion };
            task.parameters = table.read(&mut self.default_args, self.catalog, reporter);
        }
        task.params = read_task_params(&fields, self.default_args.table, reporter);
        let mut declared = DeclaredTask {
            task,
            span,
            trigger_rule_span: fields.get("trigger_rule").map_or(span, |node| node.span().into()),
            upstream: own.words("upstream", reporter).unwrap_or_default(),
            setups: Vec::new(),
            group: own.word("group", reporter),
            sources,
        };
        read_setup_fields(&mut declared, &own, reporter);
        Some(declared)
    }

    /// The operator's name and kind; no kind if there is none.
    fn operator(
        &mut self,
        id: &str,
        span: Span,
        table: &'d DeTable<'d>,
        reporter: &mut Reporter<'_>,
    ) -> (String, Option<OperatorKind>) {
        let fields = Fields::of(table);
        if fields.get("operator").is_none() {
            reporter.add(missing_operator(id, span, table));
            return (String::new(), None);
        }
        let Some(word) = fields.word("operator", reporter) else { return (String::new(), None) };
        let catalog = self.catalog;
        let kind = *self.operator_kinds.entry(word.text.clone()).or_insert_with(|| catalog.kind(&word.text));
        if kind.is_none() {
            let finding = Finding::error(word.span, format!("there is no operator '{}'", word.text));
            let near = if reporter.is_full() { None } else { nearest_operator(&word.text, catalog) };
            reporter.add(match near {
                Some(_) => finding.did_you_mean(near),
                None => finding.help("'windrose operators list' shows all operators"),
            });
        }
        (word.text, kind)
    }

    fn read_common_fields(&self, task: &mut Task, fields: &Fields<'d>, reporter: &mut Reporter<'_>) {
        self.read_retry_fields(task, fields, reporter);
        read_admission_fields(task, fields, reporter);
        if let Some(word) = fields.word("trigger_rule", reporter) {
            match TriggerRule::parse(&word.text) {
                Some(rule) => task.trigger_rule = rule,
                None => {
                    let names = TriggerRule::ALL.iter().map(|rule| rule.as_str());
                    reporter.add(not_a_choice("trigger_rule", &word, names));
                }
            }
        }
        task.execution_timeout = fields.positive_duration("execution_timeout", reporter);
        task.wait_for_downstream = fields.flag("wait_for_downstream", reporter).unwrap_or(false);
        // As in Airflow, the one includes the other.
        task.depends_on_past = fields.flag("depends_on_past", reporter).unwrap_or(false) || task.wait_for_downstream;
        task.do_xcom_push = fields.flag("do_xcom_push", reporter).unwrap_or(true);
        task.env = read_env(fields, reporter);
        task.doc = fields.text("doc", reporter);
        task.owner = fields.text("owner", reporter);
        task.outlets = read_outlets(fields, reporter);
        task.inlets = read_inlets(fields, reporter);
        task.map_index_template = fields.text("map_index_template", reporter);
        if let Some(node) = fields.get("map_index_template") {
            check_templates("map_index_template", node, reporter);
        }
        task.notifiers = read_notifiers(fields, &OCCASIONS, self.catalog, reporter);
        task.tolerate_failure = fields.flag("tolerate_failure", reporter).unwrap_or(false);
    }

    fn read_retry_fields(&self, task: &mut Task, fields: &Fields<'d>, reporter: &mut Reporter<'_>) {
        task.retries = fields.count("retries", 0, reporter).unwrap_or(self.defaults.retries);
        task.retry_delay = fields.duration("retry_delay", reporter).unwrap_or(self.defaults.retry_delay);
        task.max_retry_delay = fields.duration("max_retry_delay", reporter);
        task.retry_exponential_backoff = read_backoff(fields, reporter);
        task.on_lost = fields.choice("on_lost", &ON_LOST, reporter).unwrap_or_default();
        task.retry_on = read_causes("retry_on", fields, reporter);
        task.no_retry_on = read_causes("no_retry_on", fields, reporter).unwrap_or_default();
    }
}

fn read_causes(key: &str, fields: &Fields<'_>, reporter: &mut Reporter<'_>) -> Option<Vec<String>> {
    let words = fields.words(key, reporter)?;
    for word in words.iter().filter(|word| !Cause::WORDS.contains(&word.text.as_str())) {
        reporter.add(not_a_choice(key, word, Cause::WORDS.into_iter()));
    }
    Some(words.into_iter().map(|word| word.text).collect())
}

fn read_admission_fields(task: &mut Task, fields: &Fields<'_>, reporter: &mut Reporter<'_>) {
    for (key, slot) in [("pool", &mut task.pool), ("queue", &mut task.queue)] {
        if let Some(word) = fields.word(key, reporter) {
            if word.text.is_empty() {
                reporter.add(Finding::error(word.span, format!("'{key}' must not be empty")));
            }
            *slot = word.text;
        }
    }
    task.pool_slots = fields.count("pool_slots", 1, reporter).unwrap_or(1);
    task.priority_weight = fields.integer("priority_weight", reporter).unwrap_or(1);
    task.weight_rule = fields.choice("weight_rule", &WEIGHT_RULES, reporter).unwrap_or_default();
    task.max_active_tis_per_dag = fields.count("max_active_tis_per_dag", 1, reporter);
    task.max_active_tis_per_dagrun = fields.count("max_active_tis_per_dagrun", 1, reporter);
}

fn missing_operator(id: &str, span: Span, table: &DeTable<'_>) -> Finding {
    let finding = Finding::error(span, format!("the task '{id}' has no 'operator'"));
    let is_task = |node: &Node<'_>| node.get_ref().as_table().is_some_and(|table| table.contains_key("operator"));
    match table.iter().find(|(_, node)| is_task(node)) {
        Some((inner, _)) => {
            let help = format!("an id with a dot needs quotes: [tasks.\"{id}.{}\"]", inner.get_ref());
            finding.label("this names two tables").help(help)
        }
        None => finding.label("add operator = \"…\""),
    }
}

fn nearest_operator(text: &str, catalog: &dyn Catalog) -> Option<&'static str> {
    let plain = snake_case(text);
    let names = catalog.names();
    let same = names.iter().copied().find(|name| *name == plain);
    same.or_else(|| nearest(&plain, names.iter().copied()))
}

/// Airflow's class name in the form of an operator's name: `S3KeySensor`, `BashOperator`.
fn snake_case(class: &str) -> String {
    let class = class.strip_suffix("Operator").filter(|rest| !rest.is_empty()).unwrap_or(class);
    let chars: Vec<char> = class.chars().collect();
    let mut name = String::new();
    for (index, &c) in chars.iter().enumerate() {
        let starts_word = index > 0
            && c.is_uppercase()
            && (!chars[index - 1].is_uppercase() || chars.get(index + 1).is_some_and(|next| next.is_lowercase()));
        if starts_word && !name.ends_with('_') {
            name.push('_');
        }
        name.extend(c.to_lowercase());
    }
    name
}

/// `true` is 2, a number is itself, `false` and 0 are none.
fn read_backoff(fields: &Fields<'_>, reporter: &mut Reporter<'_>) -> Option<f64> {
    let key = "retry_exponential_backoff";
    let node = fields.get(key)?;
    if let DeValue::Boolean(on) = node.get_ref() {
        return on.then_some(2.0);
    }
    match number_of(node.get_ref()) {
        Some(0.0) => None,
        Some(factor) if factor > 0.0 && factor.is_finite() => Some(factor),
        Some(_) => {
            reporter.add(Finding::error(node.span(), format!("'{key}' must be a positive factor")));
            None
        }
        None => {
            reporter.add(wrong_kind(key, node, "true, false or a factor"));
            None
        }
    }
}

fn read_env(fields: &Fields<'_>, reporter: &mut Reporter<'_>) -> IndexMap<String, String> {
    let mut env = IndexMap::new();
    for (name, node) in fields.table("env", reporter).into_iter().flatten() {
        if name.get_ref().is_empty() || name.get_ref().contains(['=', '\0']) {
            reporter
                .add(Finding::error(name.span(), "the name of an environment variable is not empty and has no '='"));
        }
        if let Some(word) = word_of(name.get_ref(), node, reporter) {
            check_templates("env", node, reporter);
            env.insert(name.get_ref().to_string(), word.text);
        }
    }
    env
}

/// As in Airflow, parameters of `[defaults]` are added to, not replaced.
fn read_task_params<'d>(
    fields: &Fields<'d>,
    defaults: Option<&'d DeTable<'d>>,
    reporter: &mut Reporter<'_>,
) -> IndexMap<String, Param> {
    let mut params = IndexMap::new();
    for node in [defaults.and_then(|table| table.get("params")), fields.own("params")].into_iter().flatten() {
        if let Some(table) = table_of("params", node, reporter) {
            params.extend(read_table(table, false, reporter));
        }
    }
    params
}

fn read_setup_fields(declared: &mut DeclaredTask, own: &Fields<'_>, reporter: &mut Reporter<'_>) {
    declared.task.setup = own.flag("setup", reporter).unwrap_or(false);
    let is_teardown = match own.get("teardown").map(|node| node.get_ref()) {
        None => false,
        Some(DeValue::Boolean(flag)) => *flag,
        Some(DeValue::Array(_)) => {
            declared.setups = own.words("teardown", reporter).unwrap_or_default();
            true
        }
        Some(_) => {
            let finding = Finding::error(own.span("teardown"), "'teardown' must be true, false or a list of setups");
            reporter.add(finding);
            false
        }
    };
    declared.task.on_failure_fail_dagrun = own.flag("on_failure_fail_dagrun", reporter).unwrap_or(false);
    if is_teardown {
        declared.task.teardown = Some(Vec::new());
        // Airflow gives every teardown this rule.
        let rule = TriggerRule::AllDoneSetupSuccess;
        if own.get("trigger_rule").is_some() && declared.task.trigger_rule != rule {
            let message = format!("the trigger rule of a teardown is always {}", rule.as_str());
            reporter.add(Finding::error(own.span("trigger_rule"), message).help("leave 'trigger_rule' out"));
        }
        declared.task.trigger_rule = rule;
    }
    let on_failure = own.get("on_failure_fail_dagrun").map(|node| node.span().into());
    super::setup_teardown::check_kind(declared, on_failure, reporter);
}

#[cfg(test)]
mod tests {
    use super::snake_case;

    #[test]
    fn class_names_become_operator_names() {
        assert_eq!(snake_case("S3KeySensor"), "s3_key_sensor");
        assert_eq!(snake_case("BashOperator"), "bash");
        assert_eq!(snake_case("GlueJobOperator"), "glue_job");
        assert_eq!(snake_case("SQLExecuteQueryOperator"), "sql_execute_query");
        assert_eq!(snake_case("Operator"), "operator");
    }
}
