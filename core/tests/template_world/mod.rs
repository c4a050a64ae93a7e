//! A run, and the variables, connections and XComs around it, from the form in which the vectors describe them.

#![allow(dead_code, reason = "each test uses a part")]

use std::sync::Arc;

use chrono::DateTime;
use serde_json::{Map, Value};
use windrose_core::catalog::OperatorKind;
use windrose_core::connection::{Connection, Reading};
use windrose_core::dag::{Dag, Param, Task};
use windrose_core::ids::{DagId, RunId, RunKey, TaskId};
use windrose_core::run::{DataInterval, RunFacts};
use windrose_core::run_state::RunType;
use windrose_core::template::{Lookup, PreviousSuccess, TemplateContext, XComQuery, merged_params};
use windrose_core::time::Timestamp;

#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) described: Value,
    pub(crate) vars: Map<String, Value>,
}

fn instant(value: &Value) -> Option<Timestamp> {
    value.as_str().map(|text| DateTime::parse_from_rfc3339(text).unwrap().to_utc().into())
}

fn params(described: &Value) -> impl Iterator<Item = (String, Param)> {
    described.as_object().into_iter().flatten().map(|(name, value)| {
        let mut schema = value["__param__"].as_object().cloned().unwrap_or_default();
        let default = if schema.is_empty() { Some(value.clone()) } else { schema.remove("default") };
        (name.clone(), Param { default, schema })
    })
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

impl World {
    pub(crate) fn of(described: &Value) -> Self {
        Self { described: described.clone(), vars: Map::new() }
    }

    fn dag(&self) -> Dag {
        let (dag, task) = (&self.described["dag"], &self.described["task"]);
        let upstream: Vec<&str> =
            task["upstream"].as_array().into_iter().flatten().map(|id| id.as_str().unwrap()).collect();
        let id = |id: &str| Task::new(TaskId::from(id), "empty", OperatorKind::Empty);
        let mut main = id(task["task_id"].as_str().unwrap());
        main.retries = u32::try_from(task["retries"].as_u64().unwrap_or(0)).unwrap();
        main.pool = text(&task["pool"]).unwrap_or_else(|| "default_pool".to_owned());
        main.params = params(&task["params"]).collect();
        let tasks = std::iter::once(main).chain(upstream.iter().copied().map(id)).collect();
        let edges = (1..=upstream.len()).map(|at| (u32::try_from(at).unwrap(), 0));
        let mut built = Dag::new(DagId::from(dag["dag_id"].as_str().unwrap()), tasks, edges);
        built.description = text(&dag["description"]);
        built.owner = text(&dag["owner"]);
        built.tags = dag["tags"].as_array().into_iter().flatten().filter_map(text).collect();
        built.params = params(&dag["params"]).collect();
        built.vars = self.vars.clone();
        built
    }

    pub(crate) fn context(&self) -> Arc<TemplateContext> {
        let described = &self.described;
        let dag = Arc::new(self.dag());
        let start = instant(&described["data_interval_start"]);
        let end = instant(&described["data_interval_end"]);
        let conf = described["conf"].as_object().cloned().unwrap_or_default();
        let run = RunFacts {
            key: RunKey(1),
            dag_id: dag.dag_id.clone(),
            run_id: RunId::from(described["run_id"].as_str().unwrap()),
            run_type: RunType::parse(described["run_type"].as_str().unwrap()).unwrap(),
            logical_date: instant(&described["logical_date"]),
            data_interval: start.zip(end).map(|(start, end)| DataInterval { start, end }),
            run_after: instant(&described["run_after"]).unwrap(),
            conf: conf.clone(),
            dag_version: String::new(),
            triggered_by: String::new(),
        };
        Arc::new(TemplateContext {
            params: merged_params(&dag, &dag.tasks[0], &conf),
            dag,
            position: 0,
            run: Arc::new(run),
            run_started_at: instant(&described["start_date"]),
            try_number: u32::try_from(described["try_number"].as_u64().unwrap_or(1)).unwrap(),
            mapped: serde_json::Map::new(),
            notification: Map::new(),
            map_index: i32::try_from(described["map_index"].as_i64().unwrap_or(-1)).unwrap(),
            now: Timestamp::from_micros(1_720_000_000_000_000),
        })
    }
}

impl World {
    /// The DAG that is asked for, if it is another one.
    fn other_dag(&self, query: &XComQuery) -> Option<String> {
        query.dag_id.clone().filter(|dag| self.described["dag"]["dag_id"] != dag.as_str())
    }
}

impl Lookup for World {
    fn variable(&self, key: &str) -> Result<Option<String>, String> {
        Ok(text(&self.described["variables"][key]))
    }

    fn connection(&self, conn_id: &str) -> Result<Option<Connection>, String> {
        let uri = self.described["connections"][conn_id].as_str();
        uri.map(|uri| Connection::from_uri(conn_id, uri, Reading::Task).map_err(|e| e.to_string())).transpose()
    }

    fn xcom(&self, query: &XComQuery) -> Result<Vec<Value>, String> {
        let rows = self.described["xcoms"].as_array().into_iter().flatten();
        let mut found: Vec<(i64, Value)> = rows
            .filter(|row| row["task_id"] == query.task_id.as_str())
            .filter(|row| row["key"].as_str().unwrap_or("return_value") == query.key)
            .filter(|row| text(&row["run_id"]) == query.run_id && text(&row["dag_id"]) == self.other_dag(query))
            .map(|row| (row["map_index"].as_i64().unwrap_or(-1), row["value"].clone()))
            .filter(|(index, _)| query.map_index.is_none_or(|wanted| *index == i64::from(wanted)))
            .collect();
        found.sort_by_key(|(index, _)| *index);
        Ok(found.into_iter().map(|(_, value)| value).collect())
    }

    fn previous_success(&self) -> Result<Option<PreviousSuccess>, String> {
        let run = &self.described["prev_success"];
        if run.is_null() {
            return Ok(None);
        }
        let interval = instant(&run["data_interval_start"]).zip(instant(&run["data_interval_end"]));
        Ok(Some(PreviousSuccess {
            data_interval: interval.map(|(start, end)| DataInterval { start, end }),
            started_at: instant(&run["start_date"]),
            ended_at: instant(&run["end_date"]),
        }))
    }
}
