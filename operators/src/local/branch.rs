//! `branch`: chooses which of the direct downstream tasks go on; the others are skipped.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use windrose_core::catalog::OperatorKind;
use windrose_core::outcome::Routing;

use crate::context::TaskContext;
use crate::error::TaskError;
use crate::operator::{Done, Operator, Parameters, Runnable};

/// One id or several.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Choice {
    /// One id; empty or `None` follows nothing. A template may render to a list: `['a', 'b']`.
    One(String),
    /// Several ids; an empty list follows nothing.
    Several(Vec<String>),
}

/// Parameters of `branch`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Branch {
    /// The task or group to follow, or several of them, directly downstream. `""` and an empty list skip them all.
    #[schemars(extend("x-template" = true))]
    choose: Option<Choice>,
}

impl Parameters for Branch {
    const NAME: &'static str = "branch";
    const AIRFLOW: &'static str = "BranchPythonOperator";
    const SUMMARY: &'static str = "Follows the chosen downstream tasks and skips the others.";
    const KIND: OperatorKind = OperatorKind::Branch;

    fn build(self) -> Result<Runnable, String> {
        Ok(Runnable::Work(Box::new(self)))
    }
}

impl Branch {
    fn ids(&self) -> Result<Vec<String>, String> {
        let text = match &self.choose {
            None => return Ok(Vec::new()),
            Some(Choice::Several(ids)) => return Ok(ids.clone()),
            Some(Choice::One(text)) => text.trim(),
        };
        if text.is_empty() || text == "None" {
            return Ok(Vec::new());
        }
        if !text.starts_with('[') {
            return Ok(vec![text.to_owned()]);
        }
        // A list that was rendered to text is in Python's form; ids hold no quotes.
        serde_json::from_str(&text.replace('\'', "\""))
            .map_err(|_| format!("'{text}' is neither an id nor a list of ids."))
    }
}

#[async_trait]
impl Operator for Branch {
    async fn execute(&self, ctx: &TaskContext) -> Result<Done, TaskError> {
        let ids = self.ids().map_err(TaskError::failed)?;
        ctx.info(format!("Branch into {}", if ids.is_empty() { "nothing".to_owned() } else { ids.join(", ") }));
        let value = match &self.choose {
            Some(Choice::Several(_)) => ids.clone().into(),
            _ if ids.len() == 1 => Value::from(ids[0].clone()),
            _ if ids.is_empty() => Value::Null,
            _ => ids.clone().into(),
        };
        let follow = Routing::Follow { ids: ids.iter().map(|id| id.as_str().into()).collect() };
        Ok(Done { value: (!value.is_null()).then_some(value), routing: Some(follow) })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::registry;
    use crate::testing::TestTask;

    async fn follows(choose: Value) -> Vec<String> {
        let parameters = serde_json::Map::from_iter([("choose".to_owned(), choose)]);
        let runnable = registry::find("branch").unwrap().build(parameters).unwrap();
        let done = runnable.execute(&TestTask::new("pick").build().0).await.unwrap();
        let Some(Routing::Follow { ids }) = done.routing else { panic!("a branch routes") };
        ids.iter().map(ToString::to_string).collect()
    }

    #[tokio::test]
    async fn one_id_several_or_none_can_be_followed() {
        assert_eq!(follows(json!("a")).await, ["a"]);
        assert_eq!(follows(json!(["a", "b"])).await, ["a", "b"]);
        assert_eq!(follows(json!("['a', 'group.b']")).await, ["a", "group.b"]);
        for nothing in [json!(""), json!([]), json!("None"), json!("[]"), json!(null)] {
            assert!(follows(nothing).await.is_empty());
        }
    }
}
