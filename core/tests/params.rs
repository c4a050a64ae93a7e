//! What a run is given, held against the parameters of its DAG.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use serde_json::{Map, Value, json};
use windrose_core::dag::{Dag, Param};
use windrose_core::params::{ParamViolation, check_conf};

fn dag(params: &Value) -> Dag {
    let mut dag = Dag::new("d".into(), Vec::new(), []);
    for (name, schema) in params.as_object().unwrap() {
        let mut schema = schema.as_object().unwrap().clone();
        let default = schema.shift_remove("default");
        dag.params.insert(name.clone(), Param { default, schema });
    }
    dag
}

fn violations(params: &Value, conf: &Value) -> Vec<ParamViolation> {
    let conf: Map<String, Value> = conf.as_object().unwrap().clone();
    check_conf(&dag(params), &conf).err().map(|refused| refused.violations).unwrap_or_default()
}

#[test]
fn every_violation_names_its_path_its_value_and_its_rule() {
    let params = json!({
        "rows": { "type": "integer", "maximum": 10, "default": 1 },
        "table": { "enum": ["a", "b"], "default": "a" },
        "options": { "type": "object", "properties": { "deep": { "items": { "type": "string", "minLength": 2 } } },
                     "default": {} },
        "day": { "type": "string", "format": "date", "default": "2026-01-01" },
    });
    let conf = json!({ "rows": 11, "table": "c", "options": { "deep": ["ok", "x", 3] }, "day": "never" });
    let found = violations(&params, &conf);
    let named: Vec<_> = found.iter().map(|v| (v.path.as_str(), v.value.clone().unwrap(), v.rule.as_str())).collect();
    assert_eq!(
        named,
        [
            ("/rows", json!(11), "maximum: 10"),
            ("/table", json!("c"), r#"enum: ["a","b"]"#),
            ("/options/deep/1", json!("x"), "minLength: 2"),
            ("/options/deep/2", json!(3), r#"type: "string""#),
            ("/day", json!("never"), r#"format: "date""#),
        ]
    );
    let sentence = check_conf(&dag(&params), conf.as_object().unwrap()).unwrap_err().to_string();
    assert!(sentence.contains("\n  /rows: 11 is greater than the maximum of 10 (maximum: 10)\n"), "{sentence}");
}

#[test]
fn a_parameter_without_a_default_must_be_given() {
    let params = json!({ "table": { "type": "string" }, "anything": {} });
    let found = violations(&params, &json!({}));
    let rules: Vec<_> = found.iter().map(|v| (v.path.as_str(), v.value.clone(), v.rule.as_str())).collect();
    assert_eq!(rules, [("/table", None, "required"), ("/anything", None, "required")]);
    assert_eq!(violations(&params, &json!({ "table": "t", "anything": null })), []);
    assert_eq!(violations(&params, &json!({ "table": null, "anything": 1 }))[0].rule, r#"type: "string""#);
}

#[test]
fn what_is_not_declared_is_let_through_and_types_are_not_changed() {
    let params = json!({ "rows": { "type": "integer", "default": 1 } });
    assert_eq!(violations(&params, &json!({ "more": [1, 2], "rows": 7 })), []);
    assert_eq!(violations(&params, &json!({ "rows": "7" })).len(), 1);
    assert_eq!(violations(&params, &json!({ "rows": null })).len(), 1);
    assert_eq!(
        violations(&json!({ "rows": { "type": ["integer", "null"], "default": 1 } }), &json!({ "rows": null })),
        []
    );
}

#[test]
fn a_long_value_is_not_repeated_in_the_sentence() {
    let long = "x".repeat(10_000);
    let found = violations(&json!({ "t": { "maxLength": 3, "default": "a" } }), &json!({ "t": long }));
    assert!(found[0].message.len() < 200, "{}", found[0].message);
    let found = violations(&json!({ "t": { "enum": vec!["y".repeat(500)], "default": "" } }), &json!({ "t": "a" }));
    assert!(found[0].rule.chars().count() < 100, "{}", found[0].rule);
}

#[test]
fn a_name_with_a_slash_is_escaped_in_its_path() {
    assert_eq!(violations(&json!({ "a/b~c": { "type": "integer" } }), &json!({ "a/b~c": "x" }))[0].path, "/a~1b~0c");
}
