//! The job operator, call by call.

use serde_json::{Value, json};

use super::endpoint::{Endpoint, complaint, operator};
use crate::operator::{Done, Runnable};
use crate::remote_job::{Progress, RemoteJob, run_remote};

fn job(parameters: Value) -> Box<dyn RemoteJob> {
    let Runnable::Remote(job) = operator("glue_job", parameters) else { panic!("a remote job") };
    job
}

pub(super) fn run(state: &str) -> Value {
    json!({"JobRun": {"Id": "jr_1", "JobName": "load it", "JobRunState": state, "StartedOn": 1_700_000_000.5,
                      "ErrorMessage": if state == "SUCCEEDED" { "" } else { "it broke" }}})
}

fn started(endpoint: &Endpoint) {
    endpoint.answer("GetJob", json!({"Job": {"Name": "load it"}})).answer("StartJobRun", json!({"JobRunId": "jr_1"}));
}

#[tokio::test]
async fn a_job_that_is_there_is_run_as_it_is_and_leaves_its_id_and_link() {
    let endpoint = Endpoint::scripted().await;
    started(&endpoint);
    let (ctx, services) = endpoint.context("submit_glue_job");
    let work = job(json!({
        "job_name": "load it", "wait_for_completion": false, "script_args": {"--day": "2024-01-01"},
        "run_job_kwargs": {"Timeout": 10}, "script_location": "s3://b/s.py", "iam_role_name": "r",
    }));
    assert_eq!(run_remote(work.as_ref(), &ctx).await.unwrap(), Done::with(json!("jr_1")));
    let calls = endpoint.calls();
    let request = json!({"JobName": "load it", "Arguments": {"--day": "2024-01-01"}, "Timeout": 10});
    assert_eq!(calls[1].body, request);
    assert_eq!(endpoint.take_operations(), ["GetJob", "StartJobRun"]);
    assert_eq!(services.pushed_value("glue_job_run_id"), Some(json!("jr_1")));
    let details = json!({
        "region_name": "us-east-1", "aws_domain": "aws.amazon.com", "aws_partition": "aws", "job_name": "load%20it",
        "job_run_id": "jr_1",
    });
    assert_eq!(services.pushed_value("glue_job_run_details"), Some(details));
    let page = "https://console.aws.amazon.com/gluestudio/home?region=us-east-1#/job/load%20it/run/jr_1";
    assert!(services.log_text().contains(&format!("You can monitor this Glue Job run at: {page}")));
}

const ROLE: &str = "<GetRoleResponse><GetRoleResult><Role><Path>/service-role/</Path><RoleName>r</RoleName>\
     <RoleId>i</RoleId><Arn>arn:aws:iam::1:role/service-role/r</Arn><CreateDate>2024-01-01T00:00:00Z</CreateDate></Role>\
     </GetRoleResult></GetRoleResponse>";

#[tokio::test]
async fn a_missing_job_is_created_with_the_role_behind_the_name() {
    let endpoint = Endpoint::scripted().await;
    endpoint.refuse("GetJob", "EntityNotFoundException", "no such job");
    endpoint.script("GetRole", 200, ROLE.to_owned());
    endpoint.answer("CreateJob", json!({"Name": "load it"})).answer("StartJobRun", json!({"JobRunId": "jr_1"}));
    let (ctx, _) = endpoint.context("submit_glue_job");
    let work = job(json!({
        "job_name": "load it", "wait_for_completion": false, "script_location": "s3://b/s.py", "iam_role_name": "r",
        "s3_bucket": "logs", "create_job_kwargs": {"GlueVersion": "4.0", "NumberOfWorkers": 10, "WorkerType": "G.1X"},
    }));
    run_remote(work.as_ref(), &ctx).await.unwrap();
    let create = json!({
        "Name": "load it", "Description": "AWS Glue Job with Airflow", "Role": "arn:aws:iam::1:role/service-role/r",
        "ExecutionProperty": {"MaxConcurrentRuns": 1}, "Command": {"Name": "glueetl", "ScriptLocation": "s3://b/s.py"},
        "MaxRetries": 0, "GlueVersion": "4.0", "NumberOfWorkers": 10, "WorkerType": "G.1X",
        "LogUri": "s3://logs/logs/glue-logs/load it",
    });
    assert_eq!(endpoint.calls()[2].body, create);
    assert_eq!(endpoint.take_operations(), ["GetJob", "GetRole", "CreateJob", "StartJobRun"]);
}

#[tokio::test]
async fn a_job_is_updated_only_if_that_is_asked_for_and_something_differs() {
    let endpoint = Endpoint::scripted().await;
    let same = json!({"Job": {
        "Name": "load it", "Description": "d", "Role": "arn:r", "ExecutionProperty": {"MaxConcurrentRuns": 1},
        "Command": {"Name": "glueetl"}, "MaxRetries": 0, "MaxCapacity": 10.0,
    }});
    for described in [same.clone(), same.clone(), same, json!({"Job": {}})] {
        endpoint.answer("GetJob", described);
    }
    endpoint.answer("UpdateJob", json!({}));
    for _ in 0..2 {
        endpoint.answer("StartJobRun", json!({"JobRunId": "jr_1"}));
    }
    let (ctx, _) = endpoint.context("submit_glue_job");
    let parameters = json!({
        "job_name": "load it", "wait_for_completion": false, "update_config": true, "iam_role_arn": "arn:r", "job_desc": "d",
        "durable": false,
    });
    run_remote(job(parameters.clone()).as_ref(), &ctx).await.unwrap();
    assert_eq!(endpoint.take_operations(), ["GetJob", "GetJob", "StartJobRun"]);
    run_remote(job(parameters).as_ref(), &ctx).await.unwrap();
    let calls = endpoint.calls();
    assert_eq!(calls[2].operation, "UpdateJob");
    assert_eq!(calls[2].body["JobName"], "load it");
    assert_eq!(calls[2].body["JobUpdate"]["Role"], "arn:r");
    assert_eq!(calls[2].body["JobUpdate"].get("Name"), None);
}

#[tokio::test]
async fn a_local_script_is_uploaded_unless_one_of_its_name_is_there() {
    let endpoint = Endpoint::scripted().await;
    let (ctx, _) = endpoint.context("submit_glue_job");
    std::fs::write(ctx.info.dag_folder.join("load.py"), "print(1)").unwrap();
    let parameters = json!({"job_name": "load it", "wait_for_completion": false, "script_location": "load.py",
                            "s3_bucket": "code", "iam_role_arn": "arn:r"});
    endpoint.script("HeadObject", 200, String::new());
    let error = run_remote(job(parameters.clone()).as_ref(), &ctx).await.unwrap_err().to_string();
    assert!(error.contains("The key artifacts/glue-scripts/load.py already exists."), "{error}");
    endpoint.take_operations();
    endpoint.script("HeadObject", 404, String::new()).script("PutObject", 200, String::new());
    started(&endpoint);
    run_remote(job(parameters).as_ref(), &ctx).await.unwrap();
    assert_eq!(endpoint.take_operations(), ["HeadObject", "PutObject", "GetJob", "StartJobRun"]);
}

#[tokio::test]
async fn waiting_ends_with_the_run_whatever_its_end_is_called() {
    for state in ["FAILED", "TIMEOUT", "ERROR", "EXPIRED", "STOPPED"] {
        let endpoint = Endpoint::scripted().await;
        started(&endpoint);
        endpoint
            .answer("GetJobRun", run("RUNNING"))
            .answer("GetJobRun", run("WAITING"))
            .answer("GetJobRun", run(state));
        let (ctx, services) = endpoint.context("submit_glue_job");
        let error = run_remote(job(json!({"job_name": "load it"})).as_ref(), &ctx).await.unwrap_err().to_string();
        assert!(error.contains(&format!("jr_1 ended in state {state}: it broke")), "{error}");
        assert!(error.contains("gluestudio") && error.contains("cloudwatch"), "{error}");
        let log = services.log_text();
        let expected = match state {
            "STOPPED" => "Glue job run jr_1 for job load it ended in state 'STOPPED' instead of succeeding.".to_owned(),
            state => format!("Exiting Job jr_1 Run State: {state}"),
        };
        assert!(log.contains(&expected), "{log}");
        assert!(log.contains("Polling for AWS Glue Job load it current run state with status WAITING"), "{log}");
    }
}

#[tokio::test]
async fn the_checkpoint_is_saved_before_the_run_is_started_and_again_with_its_id() {
    let endpoint = Endpoint::scripted().await;
    started(&endpoint);
    endpoint.answer("GetJobRun", run("SUCCEEDED"));
    let (ctx, services) = endpoint.context("submit_glue_job");
    run_remote(job(json!({"job_name": "load it"})).as_ref(), &ctx).await.unwrap();
    let runs: Vec<_> = services.checkpoints().iter().map(|saved| saved["run_id"].clone()).collect();
    assert_eq!(runs, [Value::Null, json!("jr_1")]);
}

#[tokio::test]
async fn a_run_whose_start_was_not_recorded_is_found_by_its_arguments_instead_of_starting_a_second_one() {
    let endpoint = Endpoint::scripted().await;
    let now = endpoint.context("submit_glue_job").0.services.now().as_micros();
    let about_to = json!({"job_name": "load it", "run_id": null, "asked_at": now});
    let seconds = now / 1_000_000;
    let run_with = |id: &str, args: Value, at: i64| json!({"Id": id, "Arguments": args, "StartedOn": at, "JobRunState": "RUNNING"});
    endpoint.answer(
        "GetJobRuns",
        json!({"JobRuns": [
            run_with("jr_other", json!({"--day": "2"}), seconds + 5),
            run_with("jr_ours", json!({"--day": "1"}), seconds + 1),
            run_with("jr_old", json!({"--day": "1"}), seconds - 3600),
        ]}),
    );
    endpoint.answer("GetJobRun", run("SUCCEEDED"));
    let (ctx, services) = endpoint.task("submit_glue_job").checkpoint(about_to).build();
    let work = job(json!({"job_name": "load it", "script_args": {"--day": "1"}}));
    assert_eq!(run_remote(work.as_ref(), &ctx).await.unwrap(), Done::with(json!("jr_ours")));
    assert_eq!(endpoint.take_operations(), ["GetJobRuns", "GetJobRun"]);
    assert_eq!(services.pushed_value("glue_job_run_id"), Some(json!("jr_ours")));
}

#[tokio::test]
async fn a_retry_takes_hold_of_the_run_unless_it_has_failed() {
    let endpoint = Endpoint::scripted().await;
    let earlier = json!({"job_name": "load it", "run_id": "jr_1", "asked_at": 0});
    let task = || endpoint.task("submit_glue_job").checkpoint(earlier.clone()).build();
    endpoint.answer("GetJobRun", run("RUNNING")).answer("GetJobRun", run("SUCCEEDED"));
    let (ctx, services) = task();
    run_remote(job(json!({"job_name": "load it"})).as_ref(), &ctx).await.unwrap();
    assert_eq!(endpoint.take_operations(), ["GetJobRun", "GetJobRun"]);
    assert!(services.log_text().contains("Reconnecting to existing job"));
    endpoint.answer("GetJobRun", run("FAILED")).answer("GetJob", json!({"Job": {}}));
    endpoint.answer("StartJobRun", json!({"JobRunId": "jr_2"})).answer("GetJobRun", run("SUCCEEDED"));
    let (ctx, _) = task();
    let done = run_remote(job(json!({"job_name": "load it"})).as_ref(), &ctx).await.unwrap();
    assert_eq!(done, Done::with(json!("jr_2")));
}

#[tokio::test]
async fn a_busy_job_names_its_runs_or_is_waited_for() {
    let endpoint = Endpoint::scripted().await;
    let busy = || {
        endpoint.answer("GetJob", json!({"Job": {}}));
        endpoint.refuse("StartJobRun", "ConcurrentRunsExceededException", "Concurrent runs exceeded for load it");
        endpoint.answer(
            "GetJobRuns",
            json!({"JobRuns": [
                {"Id": "jr_8", "JobRunState": "RUNNING"}, {"Id": "jr_7", "JobRunState": "SUCCEEDED"},
            ]}),
        );
    };
    busy();
    let (ctx, _) = endpoint.context("submit_glue_job");
    let parameters = json!({"job_name": "load it", "wait_for_completion": false, "durable": false});
    let error = run_remote(job(parameters.clone()).as_ref(), &ctx).await.unwrap_err().to_string();
    assert!(error.contains("Running: jr_8.") && error.contains("wait_for_free_slot"), "{error}");
    busy();
    endpoint.answer("StartJobRun", json!({"JobRunId": "jr_9"}));
    let mut patient = parameters;
    patient["wait_for_free_slot"] = json!(true);
    assert_eq!(run_remote(job(patient).as_ref(), &ctx).await.unwrap(), Done::with(json!("jr_9")));
}

#[tokio::test]
async fn cancelling_stops_the_run_unless_the_task_says_otherwise() {
    let endpoint = Endpoint::scripted().await;
    let handle = json!({"job_name": "load it", "run_id": "jr_1", "asked_at": 0});
    let (ctx, services) = endpoint.context("submit_glue_job");
    job(json!({"job_name": "load it", "stop_job_run_on_kill": false})).cancel(&ctx, &handle).await.unwrap();
    assert!(endpoint.take_operations().is_empty());
    let refused = json!({"SuccessfulSubmissions": [], "Errors": [{"ErrorDetail": {"ErrorMessage": "ended already"}}]});
    endpoint.answer("BatchStopJobRun", refused);
    job(json!({"job_name": "load it"})).cancel(&ctx, &handle).await.unwrap();
    assert_eq!(endpoint.take_operations(), ["BatchStopJobRun"]);
    assert!(services.log_text().contains("Failed to stop AWS Glue Job: load it. Run Id: jr_1. ended already"));
}

#[tokio::test]
async fn a_run_that_is_not_known_any_more_is_unknown() {
    let endpoint = Endpoint::scripted().await;
    endpoint.refuse("GetJobRun", "EntityNotFoundException", "no such run");
    let (ctx, _) = endpoint.context("submit_glue_job");
    let handle = json!({"job_name": "load it", "run_id": "jr_1", "asked_at": 0});
    assert!(matches!(job(json!({"job_name": "load it"})).poll(&ctx, &handle).await.unwrap(), Progress::Unknown));
}

#[test]
fn contradictions_are_refused_in_airflows_words() {
    for (parameters, expected) in [
        (
            json!({"iam_role_arn": "a", "iam_role_name": "b"}),
            "Cannot set iam_role_arn and iam_role_name simultaneously",
        ),
        (json!({"create_job_kwargs": {"NumberOfWorkers": 2}}), "Need to specify custom WorkerType"),
        (json!({"create_job_kwargs": {"WorkerType": "G.1X"}}), "Need to specify NumberOfWorkers"),
        (
            json!({"create_job_kwargs": {"WorkerType": "G.1X", "NumberOfWorkers": 2}, "num_of_dpus": 3}),
            "Cannot specify num_of_dpus with custom WorkerType",
        ),
        (json!({"script_args": {"--n": 1}}), "'--n' is 1"),
        (json!({"run_job_kwargs": {"Arguments": {}}}), "script_args"),
        (json!({"openlineage_inject_parent_job_info": true}), "not supported yet"),
    ] {
        let text = complaint("glue_job", parameters);
        assert!(text.contains(expected), "{text}");
    }
}
