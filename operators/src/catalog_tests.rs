use std::path::Path;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::*;
use crate::notifiers::{NOTIFIERS, find_notifier};
use crate::operator::{Parameters, Runnable};

/// Nested settings.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Inner {
    /// A number.
    #[serde(default)]
    #[expect(dead_code, reason = "only its schema is looked at")]
    depth: Option<u32>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Sample {
    /// What to do.
    #[schemars(extend("x-template" = true))]
    command: String,
    /// How often.
    #[serde(default)]
    #[expect(dead_code, reason = "only its schema is looked at")]
    times: u32,
    /// Where.
    #[serde(default)]
    #[expect(dead_code, reason = "only its schema is looked at")]
    inner: Option<Inner>,
    /// Not yet.
    #[serde(default)]
    #[schemars(extend("x-not-supported" = true))]
    #[expect(dead_code, reason = "only its schema is looked at")]
    exotic: bool,
    /// Words.
    #[serde(default)]
    #[expect(dead_code, reason = "only its schema is looked at")]
    words: IndexMap<String, String>,
}

impl Parameters for Sample {
    const NAME: &'static str = "sample";
    const AIRFLOW: &'static str = "SampleOperator";
    const SUMMARY: &'static str = "A sample.";
    const KIND: OperatorKind = OperatorKind::Work;

    fn build(self) -> Result<Runnable, String> {
        Err(format!("The command '{}' is refused.", self.command))
    }
}

static SAMPLE: LazyLock<OperatorEntry> = LazyLock::new(OperatorEntry::of::<Sample>);

fn check(params: Value) -> Vec<(String, ProblemKind, String)> {
    let Value::Object(params) = params else { panic!("parameters are an object") };
    check_parameters(&SAMPLE, &params).into_iter().map(|p| (p.path.join("."), p.kind, p.message)).collect()
}

#[test]
fn an_unknown_key_comes_with_the_known_ones() {
    let problems = check(json!({ "command": "{{ x }}", "tmies": 1 }));
    let known = ["command", "times", "inner", "exotic", "words"].map(str::to_owned);
    assert_eq!(problems.len(), 1, "{problems:?}");
    let ProblemKind::UnknownKey { known: mut found } = problems[0].1.clone() else { panic!("{problems:?}") };
    found.sort();
    let mut known = known.to_vec();
    known.sort();
    assert_eq!((problems[0].0.as_str(), found), ("tmies", known));
}

#[test]
fn an_unknown_key_of_a_nested_table_names_the_whole_path() {
    let problems = check(json!({ "command": "{{ x }}", "inner": { "dept": 1 } }));
    assert!(problems.iter().any(|p| p.0 == "inner.dept" || p.0 == "inner"), "{problems:?}");
    assert!(!problems.is_empty());
}

#[test]
fn a_missing_required_key_is_named() {
    assert!(check(json!({})).iter().any(|p| p.0 == "command" && p.1 == ProblemKind::MissingKey));
}

#[test]
fn a_value_of_the_wrong_type_is_named() {
    let problems = check(json!({ "command": "{{ x }}", "times": "often" }));
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!((problems[0].0.as_str(), &problems[0].1), ("times", &ProblemKind::BadValue));
}

#[test]
fn a_template_is_right_for_any_type() {
    assert_eq!(check(json!({ "command": "{{ x }}", "times": "{{ params.n }}", "inner": { "depth": "{{ 3 }}" } })), []);
}

#[test]
fn a_parameter_that_is_not_supported_is_refused_unless_it_has_its_default() {
    assert_eq!(check(json!({ "command": "{{ x }}", "exotic": false })), []);
    let problems = check(json!({ "command": "{{ x }}", "exotic": true }));
    assert_eq!(problems[0].1, ProblemKind::NotSupported);
}

#[test]
fn what_types_cannot_say_is_checked_when_nothing_is_templated() {
    let problems = check(json!({ "command": "rm" }));
    assert_eq!(problems[0].2, "The command 'rm' is refused.");
}

#[test]
fn the_registry_is_sorted_has_no_twins_and_its_schemas_compile() {
    let names: Vec<_> = REGISTRY.iter().map(|e| e.name).collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(names, sorted);
    for entry in REGISTRY.iter() {
        jsonschema::validator_for(entry.schema()).unwrap_or_else(|e| panic!("{}: {e}", entry.name));
        assert!(!entry.summary.is_empty() && !entry.airflow.is_empty(), "{} says what it is", entry.name);
        let fields = entry.schema()["properties"].as_object().into_iter().flatten();
        for (field, schema) in fields {
            assert!(schema["description"].is_string(), "{}.{field} has no doc comment", entry.name);
        }
    }
}

/// Every `const NAME: &'static str = "…"` in the sources is an operator that must be in the registry.
#[test]
fn every_operator_in_the_sources_is_in_the_registry() {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|e| e != "rs") || path.ends_with("catalog_tests.rs") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let names = text.lines().filter_map(|l| l.trim().strip_prefix("const NAME: &'static str = \""));
            found.extend(names.map(|rest| rest.trim_end_matches("\";").to_owned()));
        }
    }
    for name in &found {
        assert!(
            find(name).is_some() || find_notifier(name).is_some(),
            "operator '{name}' has no line in registry.rs, nor has a notifier of that name in notifiers/mod.rs"
        );
    }
    assert_eq!(found.len(), REGISTRY.len() + NOTIFIERS.len(), "{found:?}");
}

#[test]
fn sensors_know_how_often_they_look_and_other_operators_do_not_look() {
    let seconds = |operator: &str| OperatorCatalog.poke_interval(operator).map(|interval| interval.as_secs());
    // As in Airflow's provider.
    assert_eq!(seconds("glue_job_sensor"), Some(120));
    assert_eq!(seconds("glue_crawler_sensor"), Some(60));
    assert_eq!(seconds("s3_key_sensor"), Some(60));
    assert_eq!(seconds("bash"), None);
    assert_eq!(seconds("no_such_operator"), None);
}
