//! Templates against what Airflow renders.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod template_world;
mod vector_file;

use std::sync::Arc;

use serde_json::Value;
use template_world::World;
use vector_file::{Family, folder, read_rows};
use windrose_core::template::{Lookup, TemplateError, render};

/// What a value looks like that JSON cannot hold.
fn comparable(expect: &Value) -> Value {
    match (&expect["__type__"], &expect["__str__"], &expect["items"]) {
        (Value::String(_), text @ Value::String(_), _) => text.clone(),
        (Value::String(_), _, items @ Value::Array(_)) => items.clone(),
        _ => expect.clone(),
    }
}

fn check(row: &Value, rendered: &Result<Value, TemplateError>) -> Result<(), String> {
    match (&row["error"], rendered) {
        (Value::Null, Ok(got)) if *got == comparable(&row["expect"]) => Ok(()),
        (Value::Null, Ok(got)) => Err(format!("got {got}, expected {}", row["expect"])),
        (Value::Null, Err(error)) => Err(format!("refused: {error}")),
        (_, Ok(got)) => Err(format!("not refused: {got}")),
        (_, Err(_)) => Ok(()),
    }
}

#[test]
fn templates_render_as_in_airflow() {
    let contexts: Value =
        serde_json::from_str(&std::fs::read_to_string(folder().join("templates_contexts.json")).unwrap()).unwrap();
    let mut templates = Family::new("templates");
    let mut informative = (0, 0);
    for row in read_rows("templates.jsonl") {
        let world = World::of(&contexts[row["context"].as_str().unwrap()]);
        let lookup: Arc<dyn Lookup> = Arc::new(world.clone());
        let rendered = render(&row["template"], "field", &world.context(), &lookup, row["native"].as_bool().unwrap());
        let result = check(&row, &rendered);
        if row["python_specific"] == true {
            informative.1 += 1;
            match result {
                Ok(()) => informative.0 += 1,
                Err(why) => println!("informative {}: {why}", row["id"]),
            }
        } else {
            templates.record(&row, result);
        }
    }
    println!("templates that show Python's own objects (informative): {}/{}", informative.0, informative.1);
    Family::finish(&[templates]);
}
