//! The keys of a task's table that belong to its operator.

use std::collections::HashSet;

use serde_json::{Map, Value};
use toml::de::{DeTable, DeValue};

use super::default_args::DefaultArgs;
use super::known_fields::{SENSOR_FIELDS, TASK_FIELDS, meant_by};
use super::mapping;
use super::reader::Fields;
use super::reporter::{Finding, Reporter, Span};
use super::suggest::nearest;
use super::template_check::check_templates;
use super::values::{Node, json_of};
use crate::catalog::{Catalog, OperatorKind, ParameterProblem, ProblemKind};
use crate::mapping::Expansion;

/// A task's table and what its operator is.
pub(super) struct OperatorTable<'d, 'o> {
    pub(super) table: &'d DeTable<'d>,
    pub(super) task_span: Span,
    pub(super) operator: &'o str,
    pub(super) kind: OperatorKind,
    pub(super) expansion: Option<&'o Expansion>,
}

impl<'d> OperatorTable<'d, '_> {
    /// The operator's parameters, checked against the catalog.
    pub(super) fn read(
        &self,
        defaults: &mut DefaultArgs<'d>,
        catalog: &dyn Catalog,
        reporter: &mut Reporter<'_>,
    ) -> Map<String, Value> {
        let mut parameters = Map::new();
        for (key, node) in self.table {
            let name = key.get_ref().as_ref();
            if !self.is_common(name) {
                parameters.insert(name.to_owned(), json_of(node, reporter));
            }
        }
        for (key, value) in defaults.for_operator(self.operator, self.kind, catalog) {
            if !parameters.contains_key(key) {
                parameters.insert(key.to_owned(), value.clone());
            }
        }
        let fields = Fields::with_fallback(self.table, defaults.table);
        for problem in catalog.check(self.operator, &parameters) {
            if !(problem.kind == ProblemKind::MissingKey && self.is_mapped(&problem.path)) {
                reporter.add(self.finding(&problem, &fields));
            }
        }
        self.check_mapped(&parameters, catalog, reporter);
        for &name in catalog.template_fields(self.operator) {
            if let Some(node) = fields.get(name).filter(|_| parameters.contains_key(name)) {
                check_templates(name, node, reporter);
            }
        }
        parameters
    }

    /// Whether a mapped argument may be what is missing.
    fn is_mapped(&self, path: &[String]) -> bool {
        match self.expansion {
            Some(Expansion::Product(arguments)) => arguments.iter().any(|(name, _)| path.first() == Some(name)),
            Some(Expansion::Kwargs(_)) => true,
            None => false,
        }
    }

    /// Names and, as far as the file gives them, values of mapped arguments.
    fn check_mapped(&self, parameters: &Map<String, Value>, catalog: &dyn Catalog, reporter: &mut Reporter<'_>) {
        let Some(expansion) = self.expansion else { return };
        let fields = Fields::of(self.table);
        let node = fields.own("expand").or_else(|| fields.own("expand_kwargs"));
        let place = node.map_or(self.task_span, |node| node.span().into());
        let mut samples = mapping::samples(expansion);
        if let Expansion::Product(arguments) = expansion {
            samples.extend(arguments.iter().map(|(name, _)| Map::from_iter([(name.clone(), Value::Null)])));
        }
        let mut said = HashSet::new();
        for sample in samples {
            for name in sample.keys().filter(|name| parameters.contains_key(*name)) {
                if said.insert(name.clone()) {
                    let message = format!("'{name}' is both mapped and given a value of its own");
                    reporter.add(Finding::error(place, message).help("give it in one place"));
                }
            }
            for problem in catalog.check(self.operator, &sample) {
                let unknown = matches!(problem.kind, ProblemKind::UnknownKey { .. });
                let bad = problem.kind == ProblemKind::BadValue && sample.values().any(|value| !value.is_null());
                if !unknown && !bad && problem.kind != ProblemKind::NotSupported {
                    continue;
                }
                if said.insert(format!("{:?} {}", problem.path, problem.message)) {
                    let finding = match &problem.kind {
                        ProblemKind::UnknownKey { known } => self.unknown_key(&problem.path, known, place),
                        ProblemKind::NotSupported => Finding::not_supported(place, &problem.path.join(".")),
                        _ => Finding::error(place, problem.message.clone()),
                    };
                    reporter.add(finding);
                }
            }
        }
    }

    fn is_common(&self, name: &str) -> bool {
        TASK_FIELDS.contains(&name) || (self.kind == OperatorKind::Sensor && SENSOR_FIELDS.contains(&name))
    }

    fn finding(&self, problem: &ParameterProblem, fields: &Fields<'d>) -> Finding {
        let place = self.place(&problem.path, fields);
        let last = problem.path.last().map_or("", String::as_str);
        match &problem.kind {
            ProblemKind::UnknownKey { known } => self.unknown_key(&problem.path, known, place.key),
            ProblemKind::MissingKey => {
                Finding::error(place.key, problem.message.clone()).label(format!("'{}' needs it", self.operator))
            }
            ProblemKind::BadValue => Finding::error(place.value, problem.message.clone()),
            ProblemKind::NotSupported => Finding::not_supported(place.key, last),
        }
    }

    fn unknown_key(&self, path: &[String], known: &[String], span: Span) -> Finding {
        let name = path.last().map_or("", String::as_str);
        let at_top = path.len() == 1;
        if at_top && SENSOR_FIELDS.contains(&name) {
            let message = format!("'{name}' is a field of sensors, and '{}' is not a sensor", self.operator);
            return Finding::error(span, message).label("unknown field");
        }
        let message = match path.split_last() {
            Some((_, around)) if !around.is_empty() => format!("'{}' has no field '{name}'", around.join(".")),
            _ => format!("the operator '{}' has no field '{name}'", self.operator),
        };
        let finding = Finding::error(span, message).label("unknown field");
        let common = if at_top { TASK_FIELDS } else { &[] };
        let candidates = || known.iter().map(String::as_str).chain(common.iter().copied());
        let near = meant_by(name).filter(|_| at_top).or_else(|| nearest(name, candidates()));
        match near {
            Some(_) => finding.did_you_mean(near),
            None if known.is_empty() => finding,
            None => finding.help(format!("it has {}", known.join(", "))),
        }
    }

    /// Follows a path of keys as far as the file goes along.
    fn place(&self, path: &[String], fields: &Fields<'d>) -> Place {
        let mut place = Place { key: self.task_span, value: self.task_span };
        let Some((first, rest)) = path.split_first() else { return place };
        let Some((key, mut node)) = fields.entry(first) else { return place };
        place = Place { key: key.span().into(), value: node.span().into() };
        for step in rest {
            let Some((key_span, next)) = step_into(node, step) else { break };
            place = Place { key: key_span, value: next.span().into() };
            node = next;
        }
        place
    }
}

struct Place {
    key: Span,
    value: Span,
}

/// A path names no indexes, so in a list the first item that has the key is taken.
fn step_into<'d>(node: &'d Node<'d>, key: &str) -> Option<(Span, &'d Node<'d>)> {
    match node.get_ref() {
        DeValue::Table(table) => table.get_key_value(key).map(|(key, node)| (key.span().into(), node)),
        DeValue::Array(items) => items.iter().find_map(|item| step_into(item, key)),
        _ => None,
    }
}
