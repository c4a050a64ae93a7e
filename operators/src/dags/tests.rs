use serde_json::{Map, Value, json};
use windrose_core::dag::SensorMode;
use windrose_core::ids::TaskId;
use windrose_core::run_state::RunState;
use windrose_core::task_state::TaskStateName;
use windrose_core::time::Timestamp;

use crate::error::TaskError;
use crate::operator::{Done, Runnable};
use crate::other_dags::{OtherDag, OtherRun};
use crate::registry;
use crate::testing::{TestDags, TestRun, TestTask, sensor_settings};

const DATE: &str = "2026-01-02T00:00:00+00:00";

fn build(operator: &str, parameters: Value) -> Result<Runnable, String> {
    let Value::Object(parameters) = parameters else { return Err("no table".to_owned()) };
    registry::find(operator).unwrap().build(parameters)
}

fn date() -> Timestamp {
    serde_json::from_value(json!(DATE)).unwrap()
}

fn run(id: &str, state: RunState, tasks: &[(&str, TaskStateName)]) -> TestRun {
    TestRun {
        run: OtherRun { run_id: id.into(), state, triggered_by: "ann".to_owned() },
        logical_date: Some(date()),
        tasks: tasks.iter().map(|(id, state)| ((*id).into(), *state)).collect(),
    }
}

fn dags(runs: Vec<TestRun>) -> TestDags {
    let task = |id: &str, group: Option<&str>| (TaskId::from(id), group.map(str::to_owned));
    let dag = OtherDag {
        paused: true,
        present: true,
        tasks: vec![task("a", None), task("g.b", Some("g")), task("g.h.c", Some("g.h"))],
        groups: vec!["g".to_owned(), "g.h".to_owned()],
    };
    TestDags { dag: Some(dag), runs: runs.into(), ..TestDags::default() }
}

/// One look of a sensor in reschedule mode, in a run of the same date.
async fn look(parameters: Value, dags: TestDags) -> Result<Done, TaskError> {
    let mut all = Map::from_iter([("external_dag_id".to_owned(), json!("d"))]);
    all.extend(parameters.as_object().unwrap().clone());
    let sensor = build("external_task_sensor", all.into()).unwrap();
    let task = TestTask::new("sensor").other_dags(dags).sensor(sensor_settings(SensorMode::Reschedule));
    let (ctx, _) = task.with(|info| info.template_context = json!({ "logical_date": DATE })).build();
    sensor.execute(&ctx).await
}

fn waits(found: &Result<Done, TaskError>) -> bool {
    matches!(found, Err(TaskError::Reschedule { .. }))
}

#[tokio::test]
async fn the_sensor_waits_for_the_run_of_its_own_date() {
    assert!(waits(&look(json!({}), dags(vec![])).await));
    assert!(waits(&look(json!({}), dags(vec![run("r", RunState::Running, &[])])).await));
    assert!(waits(&look(json!({}), dags(vec![run("r", RunState::Failed, &[])])).await), "a failure is waited over");
    assert!(look(json!({}), dags(vec![run("r", RunState::Success, &[])])).await.is_ok());
    let earlier = look(json!({ "execution_delta": "1d" }), dags(vec![run("r", RunState::Success, &[])])).await;
    assert!(waits(&earlier), "the run of the day before is meant");
    let failed = look(json!({ "failed_states": ["failed"] }), dags(vec![run("r", RunState::Failed, &[])])).await;
    assert!(matches!(failed, Err(TaskError::Failed { .. })), "{failed:?}");
    let skipped = look(json!({ "skipped_states": ["failed"] }), dags(vec![run("r", RunState::Failed, &[])])).await;
    assert!(matches!(skipped, Err(TaskError::Skip { .. })), "{skipped:?}");
}

#[tokio::test]
async fn the_sensor_waits_for_all_tasks_and_all_instances_and_the_whole_group() {
    use TaskStateName::{Failed, Running, Success};
    let with = |tasks: &[(&str, TaskStateName)]| dags(vec![run("r", RunState::Running, tasks)]);
    let ids = json!({ "external_task_ids": ["a", "g.b"] });
    assert!(waits(&look(ids.clone(), with(&[("a", Success)])).await));
    assert!(waits(&look(ids.clone(), with(&[("a", Success), ("g.b", Success), ("g.b", Running)])).await));
    assert!(look(ids, with(&[("a", Success), ("g.b", Success), ("g.b", Success)])).await.is_ok());
    let group = json!({ "external_task_group_id": "g", "failed_states": ["failed"] });
    assert!(waits(&look(group.clone(), with(&[("a", Failed), ("g.b", Success)])).await));
    assert!(look(group.clone(), with(&[("g.b", Success), ("g.h.c", Success)])).await.is_ok());
    assert!(matches!(look(group, with(&[("g.b", Success), ("g.h.c", Failed)])).await, Err(TaskError::Failed { .. })));
}

#[tokio::test]
async fn what_does_not_exist_is_only_waited_for_unless_told_otherwise() {
    for (parameters, what) in
        [(json!({ "external_task_id": "x" }), "task x"), (json!({ "external_task_group_id": "x" }), "task group 'x'")]
    {
        assert!(waits(&look(parameters.clone(), dags(vec![run("r", RunState::Success, &[])])).await));
        let mut checked = parameters;
        checked["check_existence"] = json!(true);
        let Err(error) = look(checked, dags(vec![])).await else { panic!("{what} does not exist") };
        assert!(error.to_string().contains(what), "{error}");
    }
    let Err(error) = look(json!({ "check_existence": true }), TestDags::default()).await else { panic!("no DAG") };
    assert!(error.to_string().contains("DAG d does not exist"), "{error}");
}

#[test]
fn parameters_that_contradict_each_other_are_refused() {
    for parameters in [
        json!({ "external_task_id": "a", "external_task_ids": ["b"] }),
        json!({ "external_task_id": "a", "external_task_group_id": "g" }),
        json!({ "external_task_ids": ["a", "a"] }),
        json!({ "allowed_states": ["success"], "failed_states": ["success"] }),
        json!({ "allowed_states": ["skipped"] }),
        json!({ "external_task_id": "a", "allowed_states": ["great"] }),
    ] {
        let mut all = parameters.clone();
        all["external_dag_id"] = json!("d");
        assert!(build("external_task_sensor", all).is_err(), "{parameters}");
    }
    for parameters in [json!({ "logical_date": "soon" }), json!({ "allowed_states": ["great"] })] {
        let mut all = parameters.clone();
        all["trigger_dag_id"] = json!("d");
        assert!(build("trigger_dag_run", all).is_err(), "{parameters}");
    }
}

/// Runs `trigger_dag_run`; the outcome, what was wanted, and the checkpoint.
async fn trigger(
    parameters: Value,
    dags: TestDags,
    checkpoint: Option<Value>,
) -> (Result<Done, TaskError>, Vec<String>, Option<Value>) {
    let mut all = Map::from_iter([("trigger_dag_id".to_owned(), json!("d"))]);
    all.extend(parameters.as_object().unwrap().clone());
    let job = build("trigger_dag_run", all.into()).unwrap();
    let mut task = TestTask::new("trigger").other_dags(dags);
    if let Some(checkpoint) = checkpoint {
        task = task.checkpoint(checkpoint);
    }
    let (ctx, services) = task.build();
    let outcome = job.execute(&ctx).await;
    let wanted = services.wanted_of_dags();
    (outcome, wanted, services.checkpoints().last().cloned())
}

#[tokio::test]
async fn a_run_is_made_under_an_id_that_was_kept_before() {
    let (outcome, wanted, checkpoint) = trigger(json!({ "trigger_run_id": "r" }), dags(vec![]), None).await;
    assert!(outcome.is_ok(), "{outcome:?}");
    assert_eq!((wanted, checkpoint.unwrap()["run_id"].clone()), (vec!["trigger r".to_owned()], json!("r")));
    let (_, wanted, _) = trigger(json!({ "logical_date": "2026-01-02" }), dags(vec![]), None).await;
    assert_eq!(wanted, ["trigger manual__2026-01-02T00:00:00+00:00"]);
}

#[tokio::test]
async fn after_a_crash_the_kept_run_is_taken_hold_of_or_made_under_the_same_id() {
    let kept = json!({ "dag_id": "d", "run_id": "kept" });
    let made = dags(vec![run("kept", RunState::Success, &[])]);
    let (outcome, wanted, _) = trigger(json!({ "wait_for_completion": true }), made, Some(kept.clone())).await;
    assert!(outcome.is_ok() && wanted.is_empty(), "{outcome:?} {wanted:?}");
    let (_, wanted, _) = trigger(json!({}), dags(vec![]), Some(kept)).await;
    assert_eq!(wanted, ["trigger kept"]);
}

#[tokio::test]
async fn a_run_that_exists_fails_skips_or_is_cleared() {
    let existing = || dags(vec![run("r", RunState::Success, &[])]);
    for same in [json!({ "trigger_run_id": "r" }), json!({ "logical_date": "2026-01-02T00:00:00Z" })] {
        let with = |name: &str| {
            let mut parameters = same.clone();
            parameters[name] = json!(true);
            parameters
        };
        let (outcome, wanted, _) = trigger(same.clone(), existing(), None).await;
        assert!(matches!(outcome, Err(TaskError::Failed { .. })) && wanted.is_empty(), "{outcome:?}");
        let (outcome, ..) = trigger(with("skip_when_already_exists"), existing(), None).await;
        assert!(matches!(outcome, Err(TaskError::Skip { .. })), "{outcome:?}");
        let (outcome, wanted, _) = trigger(with("reset_dag_run"), existing(), None).await;
        assert!(outcome.is_ok(), "{outcome:?}");
        assert_eq!(wanted, ["clear r"]);
    }
    let (outcome, ..) = trigger(json!({ "fail_when_dag_is_paused": true }), dags(vec![]), None).await;
    assert!(outcome.is_err_and(|error| error.to_string().contains("Dag d is paused")));
    let (outcome, ..) = trigger(json!({}), TestDags::default(), None).await;
    assert!(outcome.is_err_and(|error| error.to_string().contains("There is no DAG 'd'")));
}
