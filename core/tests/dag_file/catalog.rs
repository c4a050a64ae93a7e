//! A catalog of a few operators.

use std::time::Duration;

use serde_json::{Map, Value};
use windrose_core::catalog::{Catalog, OperatorKind, ParameterProblem, ProblemKind};

pub(crate) struct SmallCatalog;

struct Entry {
    name: &'static str,
    kind: OperatorKind,
    required: &'static [&'static str],
    optional: &'static [&'static str],
    templated: &'static [&'static str],
}

const ENTRIES: &[Entry] = &[
    Entry { name: "empty", kind: OperatorKind::Empty, required: &[], optional: &[], templated: &[] },
    Entry {
        name: "bash",
        kind: OperatorKind::Work,
        required: &["bash_command"],
        optional: &["cwd", "aws_conn_id"],
        templated: &["bash_command", "cwd"],
    },
    Entry { name: "branch", kind: OperatorKind::Branch, required: &["choose"], optional: &[], templated: &["choose"] },
    Entry {
        name: "short_circuit",
        kind: OperatorKind::ShortCircuit,
        required: &["condition"],
        optional: &["ignore_downstream_trigger_rules"],
        templated: &["condition"],
    },
    Entry {
        name: "s3_key_sensor",
        kind: OperatorKind::Sensor,
        required: &["bucket_key"],
        optional: &["bucket_name", "wildcard_match", "aws_conn_id"],
        templated: &["bucket_key", "bucket_name"],
    },
    Entry {
        name: "glue_job_sensor",
        kind: OperatorKind::Sensor,
        required: &["job_name", "run_id"],
        optional: &[],
        templated: &["job_name", "run_id"],
    },
    Entry {
        name: "glue_crawler",
        kind: OperatorKind::Remote,
        required: &["config"],
        optional: &["wait_for_completion", "aws_conn_id"],
        templated: &["config"],
    },
    Entry {
        name: "redshift_to_s3",
        kind: OperatorKind::Work,
        required: &["s3_bucket", "s3_key"],
        optional: &["schema", "table", "unload_options", "timeout", "method"],
        templated: &["s3_bucket", "s3_key", "unload_options"],
    },
];

impl Catalog for SmallCatalog {
    fn kind(&self, operator: &str) -> Option<OperatorKind> {
        entry(operator).map(|entry| entry.kind)
    }

    fn poke_interval(&self, operator: &str) -> Option<Duration> {
        (operator == "glue_job_sensor").then_some(Duration::from_secs(120))
    }

    fn names(&self) -> Vec<&'static str> {
        ENTRIES.iter().map(|entry| entry.name).collect()
    }

    fn check(&self, operator: &str, params: &Map<String, Value>) -> Vec<ParameterProblem> {
        let entry = entry(operator).unwrap();
        let known: Vec<String> = entry.required.iter().chain(entry.optional).map(ToString::to_string).collect();
        let mut problems = Vec::new();
        for (name, value) in params {
            let at = |kind, message: &str| ParameterProblem { path: vec![name.clone()], message: message.into(), kind };
            if !known.contains(name) {
                problems.push(at(ProblemKind::UnknownKey { known: known.clone() }, ""));
            } else if name == "method" {
                problems.push(at(ProblemKind::NotSupported, ""));
            } else if name == "wildcard_match" && !value.is_boolean() {
                problems.push(at(ProblemKind::BadValue, "'wildcard_match' must be true or false"));
            } else if let Some(inner) = value.get("Nmae") {
                let path = vec![name.clone(), "Nmae".to_owned()];
                let kind = ProblemKind::UnknownKey { known: vec!["Name".to_owned(), "Role".to_owned()] };
                problems.push(ParameterProblem { path, message: inner.to_string(), kind });
            }
        }
        for name in entry.required.iter().filter(|name| !params.contains_key(**name)) {
            let message = format!("'{name}' is missing.");
            problems.push(ParameterProblem { path: vec![(*name).to_owned()], message, kind: ProblemKind::MissingKey });
        }
        problems
    }

    fn notifier_names(&self) -> Vec<&'static str> {
        vec!["slack", "webhook"]
    }

    fn template_fields(&self, operator: &str) -> &'static [&'static str] {
        entry(operator).map_or(&[], |entry| entry.templated)
    }
}

fn entry(operator: &str) -> Option<&'static Entry> {
    ENTRIES.iter().find(|entry| entry.name == operator)
}
