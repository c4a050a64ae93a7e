//! `short_circuit`: goes on only if a condition is true; else what is downstream is skipped.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use windrose_core::catalog::OperatorKind;
use windrose_core::outcome::Routing;

use crate::context::TaskContext;
use crate::error::TaskError;
use crate::operator::{Done, Operator, Parameters, Runnable};

/// Parameters of `short_circuit`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShortCircuit {
    /// Goes on if it is true. Of a rendered text, `False`, `0`, `0.0`, `None`, `null`, `no`, `off`, `[]`, `{}`, `()` and
    /// nothing are false, in any case of letters; of a value, what Python holds false.
    #[schemars(extend("x-template" = true))]
    condition: Value,
    /// True skips everything downstream; false skips the direct downstream tasks, and the trigger rules of the others
    /// decide.
    #[serde(default = "yes")]
    ignore_downstream_trigger_rules: bool,
}

fn yes() -> bool {
    true
}

impl Parameters for ShortCircuit {
    const NAME: &'static str = "short_circuit";
    const AIRFLOW: &'static str = "ShortCircuitOperator";
    const SUMMARY: &'static str = "Skips what is downstream unless a condition is true.";
    const KIND: OperatorKind = OperatorKind::ShortCircuit;

    fn build(self) -> Result<Runnable, String> {
        Ok(Runnable::Work(Box::new(self)))
    }
}

/// Python's truth of a value, and the truth of what a template renders to.
fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(truth) => *truth,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !matches!(
            text.trim().to_lowercase().as_str(),
            "" | "false" | "0" | "0.0" | "none" | "null" | "no" | "off" | "[]" | "{}" | "()"
        ),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

#[async_trait]
impl Operator for ShortCircuit {
    async fn execute(&self, ctx: &TaskContext) -> Result<Done, TaskError> {
        let holds = is_true(&self.condition);
        ctx.info(format!("Condition result is {}", if holds { "True" } else { "False" }));
        ctx.info(if holds { "Proceeding with downstream tasks..." } else { "Skipping downstream tasks..." });
        let ignore_trigger_rules = self.ignore_downstream_trigger_rules;
        let routing = (!holds).then_some(Routing::SkipDownstream { ignore_trigger_rules });
        Ok(Done { value: Some(self.condition.clone()), routing })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::registry;
    use crate::testing::TestTask;

    async fn routing(parameters: Value) -> Option<Routing> {
        let Value::Object(parameters) = parameters else { panic!("an object") };
        let runnable = registry::find("short_circuit").unwrap().build(parameters).unwrap();
        runnable.execute(&TestTask::new("only_if").build().0).await.unwrap().routing
    }

    #[tokio::test]
    async fn a_true_condition_goes_on() {
        for truth in [json!(true), json!("True"), json!("1"), json!("text"), json!(2), json!([0])] {
            assert_eq!(routing(json!({ "condition": truth })).await, None);
        }
    }

    #[tokio::test]
    async fn a_false_condition_skips_what_is_downstream() {
        for falsity in
            [json!(false), json!("False"), json!("0"), json!(""), json!("None"), json!(0), json!([]), json!(null)]
        {
            let all = Some(Routing::SkipDownstream { ignore_trigger_rules: true });
            assert_eq!(routing(json!({ "condition": falsity })).await, all);
        }
        let direct = json!({ "condition": false, "ignore_downstream_trigger_rules": false });
        assert_eq!(routing(direct).await, Some(Routing::SkipDownstream { ignore_trigger_rules: false }));
    }
}
