//! `[defaults]`, Airflow's `default_args`: a field applies to every task that can take it.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};
use toml::de::DeTable;

use super::known_fields::{
    SENSOR_FIELDS, TASK_FIELDS, TASK_FIELDS_NOT_SUPPORTED, TASK_FIELDS_WITHOUT_DEFAULT, meant_by,
};
use super::reader::Fields;
use super::reporter::{Finding, Reporter, Span};
use super::suggest::nearest;
use super::values::json_of;
use crate::catalog::{Catalog, OperatorKind, ParameterProblem, ProblemKind};

/// Every default is tried with every operator of the file.
const MAX_DEFAULTS: usize = 1_000;

/// The defaults of a file.
pub(super) struct DefaultArgs<'d> {
    pub(super) table: Option<&'d DeTable<'d>>,
    for_operators: Vec<OperatorDefault>,
    taken_by: HashMap<String, Vec<usize>>,
}

/// A default that is no field of every task, so that it is an operator's parameter.
struct OperatorDefault {
    key: String,
    value: Value,
    span: Span,
}

/// Reads `[defaults]`.
pub(super) fn read_default_args<'d>(fields: &Fields<'d>, reporter: &mut Reporter<'_>) -> DefaultArgs<'d> {
    let table = fields.table("defaults", reporter);
    let mut for_operators = Vec::new();
    if table.is_some_and(|table| table.len() > MAX_DEFAULTS) {
        let message = format!("'defaults' has more than {MAX_DEFAULTS} fields");
        reporter.add(Finding::error(fields.span("defaults"), message));
        return DefaultArgs { table: None, for_operators, taken_by: HashMap::new() };
    }
    for (key, node) in table.into_iter().flatten() {
        let name = key.get_ref().as_ref();
        let span = Span::from(key.span());
        if TASK_FIELDS_NOT_SUPPORTED.contains(&name) {
            reporter.add(Finding::not_supported(span, name));
        } else if TASK_FIELDS_WITHOUT_DEFAULT.contains(&name) {
            reporter.add(Finding::error(span, format!("'{name}' belongs to one task and cannot be a default of all")));
        } else if matches!(name, "start_date" | "end_date") {
            let finding = Finding::error(span, format!("'{name}' is a field of the DAG, not of its tasks"));
            reporter.add(finding.help("move it to the top of the file"));
        } else if !TASK_FIELDS.contains(&name) {
            for_operators.push(OperatorDefault { key: name.to_owned(), value: json_of(node, reporter), span });
        }
    }
    DefaultArgs { table, for_operators, taken_by: HashMap::new() }
}

impl DefaultArgs<'_> {
    /// The defaults that this operator takes as parameters.
    pub(super) fn for_operator(
        &mut self,
        operator: &str,
        kind: OperatorKind,
        catalog: &dyn Catalog,
    ) -> impl Iterator<Item = (&str, &Value)> {
        if !self.taken_by.contains_key(operator) {
            let takes = |default: &OperatorDefault| {
                let is_sensor_field = kind == OperatorKind::Sensor && SENSOR_FIELDS.contains(&default.key.as_str());
                !is_sensor_field && takes(catalog, operator, default)
            };
            let taken = (0..self.for_operators.len()).filter(|&index| takes(&self.for_operators[index])).collect();
            self.taken_by.insert(operator.to_owned(), taken);
        }
        let taken = self.taken_by.get(operator).into_iter().flatten();
        taken.map(|&index| (self.for_operators[index].key.as_str(), &self.for_operators[index].value))
    }

    /// Reports the defaults that no operator at all could take.
    pub(super) fn refuse_unknown(&self, catalog: &dyn Catalog, reporter: &mut Reporter<'_>) {
        let taken: HashSet<usize> = self.taken_by.values().flatten().copied().collect();
        for (index, default) in self.for_operators.iter().enumerate() {
            if taken.contains(&index) || SENSOR_FIELDS.contains(&default.key.as_str()) || reporter.is_full() {
                continue;
            }
            if catalog.names().into_iter().any(|operator| takes(catalog, operator, default)) {
                continue;
            }
            let near = meant_by(&default.key)
                .or_else(|| nearest(&default.key, TASK_FIELDS.iter().chain(SENSOR_FIELDS).copied()));
            let message = format!("no task can take the default '{}'", default.key);
            reporter.add(Finding::error(default.span, message).label("unknown field").did_you_mean(near));
        }
    }
}

fn takes(catalog: &dyn Catalog, operator: &str, default: &OperatorDefault) -> bool {
    let alone = Map::from_iter([(default.key.clone(), default.value.clone())]);
    let is_unknown = |problem: &ParameterProblem| {
        matches!(problem.kind, ProblemKind::UnknownKey { .. }) && problem.path.as_slice() == [default.key.as_str()]
    };
    !catalog.check(operator, &alone).iter().any(is_unknown)
}
