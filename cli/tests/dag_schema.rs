//! The JSON Schema of DAG files, judged by an implementation of JSON Schema that is not ours.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::path::{Path, PathBuf};
use std::process::Command;

use jsonschema::Validator;
use serde_json::{Map, Value, json};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn kept() -> Value {
    serde_json::from_str(&std::fs::read_to_string(root().join("docs/dag.schema.json")).unwrap()).unwrap()
}

fn validator() -> Validator {
    jsonschema::draft7::new(&kept()).unwrap()
}

/// As language servers see TOML: dates are texts.
fn json_of(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => json!(number),
        toml::Value::Boolean(flag) => flag.into(),
        toml::Value::Datetime(instant) => instant.to_string().into(),
        toml::Value::Array(items) => items.into_iter().map(json_of).collect(),
        toml::Value::Table(table) => {
            table.into_iter().map(|(key, value)| (key, json_of(value))).collect::<Map<_, _>>().into()
        }
    }
}

fn read(text: &str) -> Value {
    json_of(toml::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}")))
}

fn dag_files(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            dag_files(&path, found);
        } else if path.extension().is_some_and(|ext| ext == "toml") && path.file_name().unwrap() != "windrose.toml" {
            found.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
        }
    }
}

/// The DAG files of the documentation.
fn documented(found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(root().join("docs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ext| ext != "md") {
            continue;
        }
        let page = std::fs::read_to_string(&path).unwrap();
        for (number, block) in page.split("```toml\n").skip(1).enumerate() {
            let text = block.split("```").next().unwrap();
            if text.contains("[tasks.") && !text.contains('…') {
                found.push((format!("{} block {number}", path.display()), text.to_owned()));
            }
        }
    }
}

#[test]
fn the_kept_schema_is_what_the_program_prints() {
    let printed = Command::new(env!("CARGO_BIN_EXE_windrose")).args(["dags", "schema"]).output().unwrap();
    assert!(printed.status.success());
    let printed: Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert!(kept() == printed, "docs/dag.schema.json is out of date; run 'make docs'");
}

#[test]
fn every_example_is_valid() {
    let mut files = Vec::new();
    dag_files(&root().join("dags"), &mut files);
    dag_files(&root().join("cli/src/init"), &mut files);
    documented(&mut files);
    assert!(files.len() >= 10, "{}", files.len());
    let validator = validator();
    for (name, text) in files {
        let errors: Vec<String> = validator.iter_errors(&read(&text)).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:#?}");
    }
}

#[test]
fn what_the_program_refuses_by_name_or_kind_is_not_valid() {
    let validator = validator();
    let good = "[tasks.a]\noperator = \"bash\"\nbash_command = \"true\"\n";
    assert!(validator.is_valid(&read(good)));
    for wrong in [
        "shedule = \"@daily\"\n",
        "max_active_runs = 0\n",
        "tags = \"one\"\n",
        "schedule = { evry = \"5m\" }\n",
        "overlap = \"que\"\n",
    ] {
        assert!(!validator.is_valid(&read(&format!("{wrong}{good}"))), "{wrong}");
    }
    for wrong in [
        "bash_comand = \"true\"\n",
        "retries = -1\n",
        "trigger_rule = \"all_succes\"\n",
        "poke_interval = 5\n",
        "on_failure = { notifier = \"pigeon\" }\n",
    ] {
        assert!(!validator.is_valid(&read(&format!("{good}{wrong}"))), "{wrong}");
    }
    assert!(!validator.is_valid(&read("[tasks.a]\noperator = \"bahs\"\n")));
    assert!(!validator.is_valid(&read("[tasks.a]\nbash_command = \"true\"\n")));
}

#[test]
fn every_field_and_parameter_is_explained() {
    fn without_words(place: &str, schema: &Value, found: &mut Vec<String>) {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let target = field["$ref"].as_str().and_then(|target| target.strip_prefix("#/definitions/"));
            let is_told = field["description"].is_string() || target.is_some();
            if !is_told {
                found.push(format!("{place}.{name}"));
            }
        }
    }
    let schema = kept();
    let mut found = Vec::new();
    without_words("dag", &schema, &mut found);
    for task in schema["properties"]["tasks"]["additionalProperties"]["anyOf"].as_array().unwrap() {
        without_words(task["title"].as_str().unwrap(), task, &mut found);
    }
    for (name, definition) in schema["definitions"].as_object().unwrap() {
        if name.starts_with("task.") || name.starts_with("sensor.") {
            assert!(definition["description"].is_string(), "{name}");
        }
    }
    assert!(found.is_empty(), "{found:?}");
}
