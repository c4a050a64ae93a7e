//! Attempts from claim to report, with a real worker, real processes and real logs.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod desk;
mod stubborn_operators;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use desk::{Office, bash, task};
use serde_json::json;
use windrose_core::catalog::OperatorKind;
use windrose_core::cause::Cause;
use windrose_core::dag::Task;
use windrose_core::ids::AttemptId;
use windrose_core::outcome::{Outcome, Report, Routing};

fn cause_of(report: &Report) -> (Cause, bool) {
    match &report.outcome {
        Outcome::Failed { cause, retry } => (cause.clone(), *retry),
        other => panic!("{other:?} is no failure"),
    }
}

/// Waits until the process is gone, or a zombie that only its parent has to collect.
async fn gone(pid: &str) {
    let stat = format!("/proc/{pid}/stat");
    while std::fs::read_to_string(&stat).is_ok_and(|text| !text.contains(") Z ")) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_task_that_succeeds_leaves_its_result_and_its_log() {
    let office = Office::open();
    office.desk.offer(office.claim(7, vec![bash("hello", "echo working; echo 42")]));
    let report = office.desk.report().await;
    assert_eq!((report.attempt, report.outcome), (AttemptId(7), Outcome::Success));
    assert_eq!(report.xcoms.len(), 1);
    assert_eq!((report.xcoms[0].key.as_str(), &report.xcoms[0].value), ("return_value", &json!("42")));
    let log = office.log_of("hello").await;
    assert!(log.contains("Starting attempt 1 of 1") && log.contains("working\n") && log.contains("Task succeeded."));
}

#[tokio::test]
async fn a_task_that_keeps_no_result_leaves_none() {
    let office = Office::open();
    office.desk.offer(office.claim(7, vec![Task { do_xcom_push: false, ..bash("hello", "echo 42") }]));
    assert!(office.desk.report().await.xcoms.is_empty());
}

#[tokio::test]
async fn a_task_that_fails_says_why() {
    let office = Office::open();
    office.desk.offer(office.claim(7, vec![bash("bad", "echo broken >&2; exit 4")]));
    let (cause, retry) = cause_of(&office.desk.report().await);
    assert_eq!((cause, retry), (Cause::ExitCode { code: 4, last_line: Some("broken".to_owned()) }, true));
    assert!(office.log_of("bad").await.contains("Task failed: The command ended with exit code 4: broken"));
}

#[tokio::test]
async fn parameters_that_are_wrong_and_operators_that_do_not_exist_fail_the_attempt() {
    let office = Office::open();
    office.desk.offer(office.claim(1, vec![task("odd", "bash", OperatorKind::Work, json!({ "bash_command": 5 }))]));
    assert!(matches!(cause_of(&office.desk.report().await).0, Cause::Parameters { .. }));
    office.desk.offer(office.claim(2, vec![task("none", "no_such", OperatorKind::Work, json!({}))]));
    assert!(matches!(cause_of(&office.desk.report().await), (Cause::Parameters { .. }, false)));
}

#[tokio::test]
async fn cancelling_ends_the_process_and_is_not_retried() {
    let office = Office::open();
    office.desk.offer(office.claim(7, vec![bash("long", "echo pid $$; sleep 600")]));
    let pid = office.logged("long", "pid ").await;
    office.desk.cancel(AttemptId(7), "ann in the UI");
    let report = office.desk.report().await;
    assert_eq!(cause_of(&report), (Cause::Cancelled { by: "ann in the UI".to_owned() }, false));
    gone(&pid).await;
}

#[tokio::test]
async fn a_cancellation_that_comes_before_its_claim_counts() {
    let office = Office::open();
    office.desk.cancel(AttemptId(7), "fail_fast");
    // The worker has taken the cancellation once it answers for something that was sent later.
    office.desk.cancel(AttemptId(8), "nobody");
    office.desk.offer(office.claim(1, vec![bash("first", "true")]));
    office.desk.report().await;
    office.desk.offer(office.claim(7, vec![bash("long", "sleep 600")]));
    assert_eq!(cause_of(&office.desk.report().await).0, Cause::Cancelled { by: "fail_fast".to_owned() });
}

#[tokio::test]
async fn an_execution_timeout_ends_the_process_and_may_be_retried() {
    let office = Office::open();
    let long = bash("long", "echo pid $$; sleep 600");
    let limit = Some(Duration::from_millis(300));
    office.desk.offer(office.claim(7, vec![Task { execution_timeout: limit, ..long }]));
    let (cause, retry) = cause_of(&office.desk.report().await);
    assert!(matches!(&cause, Cause::Timeout { what, .. } if what == "execution timeout"), "{cause:?}");
    assert!(retry);
    gone(&office.logged("long", "pid ").await).await;
}

#[tokio::test]
async fn an_outcome_is_repeated_until_the_database_is_back() {
    let office = Office::open();
    office.desk.refusals.store(3, Ordering::SeqCst);
    office.desk.offer(office.claim(7, vec![bash("hello", "true")]));
    assert_eq!(office.desk.report().await.outcome, Outcome::Success);
    assert_eq!(office.desk.refusals.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_shutdown_ends_processes_and_reports_nothing() {
    let office = Office::open();
    office.desk.offer(office.claim(7, vec![bash("long", "echo pid $$; sleep 600")]));
    let pid = office.logged("long", "pid ").await;
    office.shutdown.cancel();
    office.worker.await.unwrap();
    gone(&pid).await;
    assert!(office.desk.nothing_reported().await);
}

#[tokio::test]
async fn only_so_many_processes_run_at_once() {
    let office = Office::with(|options| options.processes = 1);
    let folder = office.folder.path().display().to_string();
    let alone = format!("mkdir {folder}/lock && sleep 0.05 && rmdir {folder}/lock");
    for attempt in 1..=4 {
        office.desk.offer(office.claim(attempt, vec![bash(&format!("task{attempt}"), &alone)]));
    }
    for _ in 1..=4 {
        assert_eq!(office.desk.report().await.outcome, Outcome::Success);
    }
}

#[tokio::test]
async fn a_branch_chooses_among_what_is_directly_downstream() {
    let office = Office::open();
    let pick = |choose: &str| task("pick", "branch", OperatorKind::Branch, json!({ "choose": choose }));
    office.desk.offer(office.claim(1, vec![pick("small"), bash("small", "true"), bash("big", "true")]));
    let report = office.desk.report().await;
    assert_eq!(report.routing, Some(Routing::Follow { ids: vec!["small".into()] }));
    office.desk.offer(office.claim(2, vec![pick("tiny"), bash("small", "true"), bash("big", "true")]));
    let (cause, _) = cause_of(&office.desk.report().await);
    assert!(cause.sentence().contains("Invalid tasks found: tiny"), "{}", cause.sentence());
}

#[tokio::test]
async fn secrets_are_masked_in_the_log_the_result_and_the_cause() {
    let connection = json!({ "conn_type": "postgres", "password": "hunter2-secret" }).to_string();
    let office = Office::with(|options| {
        options.environment = Arc::new(move |name| (name == "AIRFLOW_CONN_DB").then(|| connection.clone()));
    });
    let script = "import windrose\n\
                  def show():\n    password = windrose.connection('db').password\n    print('it is', password)\n    return password\n\
                  def fail():\n    raise ValueError('bad password ' + windrose.connection('db').password)\n";
    std::fs::write(office.folder.path().join("dags/job.py"), script).unwrap();
    let python = |id: &str, name: &str| {
        task(id, "python", OperatorKind::Work, json!({ "python_callable": format!("job.py:{name}") }))
    };
    office.desk.offer(office.claim(1, vec![python("show", "show")]));
    let report = office.desk.report().await;
    assert_eq!(report.xcoms[0].value, json!("***"));
    let log = office.log_of("show").await;
    assert!(log.contains("it is ***") && !log.contains("hunter2"), "{log}");
    office.desk.offer(office.claim(2, vec![python("fail", "fail")]));
    let sentence = cause_of(&office.desk.report().await).0.sentence();
    assert!(sentence.contains("bad password ***"), "{sentence}");
}

#[tokio::test]
async fn the_scratch_folder_of_an_attempt_is_removed() {
    let office = Office::open();
    office.desk.offer(office.claim(7, vec![bash("hello", "touch here; pwd")]));
    let folder = office.desk.report().await.xcoms[0].value.as_str().unwrap().to_owned();
    assert!(folder.contains("scratch"));
    office.shutdown.cancel();
    office.worker.await.unwrap();
    assert!(!std::path::Path::new(&folder).exists());
}

#[tokio::test]
async fn templates_are_rendered_with_the_run_and_with_what_they_look_up() {
    let connection = "postgres://user:hunter2-secret@db.example/x";
    let office = Office::with(|options| {
        options.environment = Arc::new(move |name| (name == "AIRFLOW_CONN_DB").then(|| connection.to_owned()));
    });
    let mut claim = office.claim(7, vec![bash("hello", "echo {{ params.n }} {{ conn.db.host }} {{ run_id }} $DAY")]);
    let dag = Arc::get_mut(&mut claim.dag).unwrap();
    dag.tasks[0].env.insert("DAY".to_owned(), "{{ ds[:2] }}".to_owned());
    Arc::get_mut(&mut claim.run).unwrap().conf.insert("n".to_owned(), json!(3));
    office.desk.offer(claim);
    let report = office.desk.report().await;
    assert_eq!(report.xcoms[0].value, json!("3 db.example manual__1 20"), "{:?}", report.outcome);
    let rendered = office.desk.rendered.lock().unwrap().clone();
    assert_eq!(rendered, [json!({ "bash_command": "echo 3 db.example manual__1 $DAY" })]);
}

#[tokio::test]
async fn a_template_that_fails_names_its_field_and_line() {
    let office = Office::open();
    office.desk.offer(office.claim(7, vec![bash("hello", "echo\necho {{ no_such_name }}")]));
    let (cause, _) = cause_of(&office.desk.report().await);
    assert!(
        matches!(&cause, Cause::Template { field, line: Some(2), message } if field == "bash_command" && message.contains("no_such_name")),
        "{cause:?}"
    );
}

#[tokio::test]
async fn a_script_of_the_dags_folder_is_a_template_too() {
    let office = Office::open();
    std::fs::write(office.folder.path().join("dags/job.sh"), "echo {{ run_id }}\n").unwrap();
    office.desk.offer(office.claim(7, vec![bash("hello", "job.sh")]));
    assert_eq!(office.desk.report().await.xcoms[0].value, json!("manual__1"));
    office.desk.offer(office.claim(8, vec![bash("out", "../../job.sh")]));
    assert!(matches!(cause_of(&office.desk.report().await).0, Cause::Template { .. }));
}

#[tokio::test]
async fn a_connection_that_is_nowhere_names_every_source() {
    let office = Office::open();
    let query = json!({ "sql": "SELECT 1", "conn_id": "nowhere" });
    office.desk.offer(office.claim(7, vec![task("query", "sql_execute_query", OperatorKind::Work, query)]));
    let (cause, retry) = cause_of(&office.desk.report().await);
    let Cause::Connection { id, asked, .. } = cause else { panic!("{cause:?}") };
    assert_eq!((id.as_str(), asked.len(), retry), ("nowhere", 3, true));
}
