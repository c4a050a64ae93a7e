use std::sync::Arc;

use serde_json::json;
use windrose_core::cause::Cause;

use super::*;
use crate::context::LogSource;
use crate::registry;
use crate::testing::{TestServices, TestTask};

/// A DAG's folder with this script, and a context whose attempts find it.
fn world(script: &str) -> (tempfile::TempDir, TestTask) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("scripts")).unwrap();
    std::fs::write(folder.path().join("scripts/job.py"), script).unwrap();
    let dag_folder = folder.path().to_owned();
    let task = TestTask::new("job").real_time().with(|info| {
        info.is_in(&dag_folder);
        info.template_context = json!({
            "ds": "2026-01-02",
            "logical_date": "2026-01-02T00:00:00+00:00",
            "params": { "rows": 3 },
            "task_id": "job",
            "dag_run": { "run_id": "test_run", "conf": { "a": 1 } },
            "ti": { "task_id": "job", "try_number": 1 },
        });
    });
    (folder, task)
}

async fn run_task(task: TestTask, parameters: Value) -> (Result<Option<Value>, TaskError>, Arc<TestServices>) {
    let Value::Object(parameters) = parameters else { panic!("an object") };
    let runnable = registry::find("python").unwrap().build(parameters).unwrap();
    let (ctx, services) = task.build();
    (runnable.execute(&ctx).await.map(|done| done.value), services)
}

async fn run(script: &str, parameters: Value) -> (Result<Option<Value>, TaskError>, Arc<TestServices>) {
    let (_folder, task) = world(script);
    run_task(task, parameters).await
}

#[tokio::test]
async fn a_function_gets_its_arguments_and_its_result_is_json() {
    let script = "def main(a, b, c=0):\n    print('adding')\n    return {'sum': a + b + c}\n";
    let parameters = json!({ "python_callable": "scripts/job.py:main", "op_args": [1, 2], "op_kwargs": { "c": 3 } });
    let (result, services) = run(script, parameters).await;
    assert_eq!(result.unwrap(), Some(json!({ "sum": 6 })));
    assert!(services.lines().iter().any(|line| line.source == LogSource::Stdout && line.text == "adding"));
    assert!(services.log_text().contains("Returned value was: {\"sum\":6}"));
}

#[tokio::test]
async fn a_function_gets_what_it_names_of_the_context() {
    let script = "def main(ds, params, ti, logical_date, dag_run, **context):\n    \
                  return [ds, params['rows'], ti.task_id, logical_date.year, dag_run.conf['a'], 'templates_dict' in context]\n";
    let (result, _) = run(script, json!({ "python_callable": "scripts/job.py:main" })).await;
    assert_eq!(result.unwrap(), Some(json!(["2026-01-02", 3, "job", 2026, 1, true])));
}

#[tokio::test]
async fn a_function_that_names_nothing_gets_nothing() {
    let (result, _) = run("def main():\n    return None\n", json!({ "python_callable": "scripts/job.py:main" })).await;
    assert_eq!(result.unwrap(), None);
}

#[tokio::test]
async fn a_script_runs_as_a_program_with_its_command_line() {
    let script = "import sys\nif __name__ == '__main__':\n    print('args', *sys.argv[1:])\n";
    let (result, services) = run(script, json!({ "python_callable": "scripts/job.py", "op_args": ["x", 2] })).await;
    assert_eq!(result.unwrap(), None);
    assert!(services.log_text().contains("args x 2"));
}

#[tokio::test]
async fn an_exception_is_the_cause_with_its_place() {
    let script = "def main():\n    helper()\n\ndef helper():\n    raise ValueError('no rows')\n";
    let (result, services) = run(script, json!({ "python_callable": "scripts/job.py:main" })).await;
    let TaskError::Failed { cause: Cause::Python { exception, message, location }, retry } = result.unwrap_err() else {
        panic!("a Python cause")
    };
    assert_eq!((exception.as_str(), message.as_str(), retry), ("ValueError", "no rows", true));
    assert_eq!(location.as_deref(), Some("scripts/job.py:5"));
    assert!(services.lines().iter().any(|line| line.source == LogSource::Stderr && line.text.contains("Traceback")));
}

#[tokio::test]
async fn a_script_that_does_not_parse_names_its_line() {
    let (result, _) = run("def main(:\n", json!({ "python_callable": "scripts/job.py:main" })).await;
    let error = result.unwrap_err().to_string();
    assert!(error.contains("SyntaxError") && error.contains("scripts/job.py:1"), "{error}");
}

#[tokio::test]
async fn skip_and_fail_mean_what_they_say_in_airflows_words_too() {
    for (module, skip, fail) in [
        ("windrose", "windrose.Skip", "windrose.Fail"),
        ("airflow.exceptions", "airflow.exceptions.AirflowSkipException", "airflow.exceptions.AirflowFailException"),
    ] {
        let raising = |class: &str| format!("import {module}\ndef main():\n    raise {class}('because')\n");
        let parameters = || json!({ "python_callable": "scripts/job.py:main" });
        let skipped = run(&raising(skip), parameters()).await.0.unwrap_err();
        assert!(matches!(&skipped, TaskError::Skip { reason } if reason == "because"), "{skipped:?}");
        let failed = run(&raising(fail), parameters()).await.0.unwrap_err();
        assert!(matches!(failed, TaskError::Failed { retry: false, .. }), "{failed:?}");
    }
}

#[tokio::test]
async fn an_exit_code_is_the_processs_own() {
    let leaving = |code| format!("import sys\ndef main():\n    sys.exit({code})\n");
    let parameters = || json!({ "python_callable": "scripts/job.py:main", "skip_on_exit_code": 7 });
    let failed = run(&leaving(3), parameters()).await.0.unwrap_err();
    assert!(matches!(failed, TaskError::Failed { cause: Cause::ExitCode { code: 3, .. }, .. }), "{failed:?}");
    assert!(matches!(run(&leaving(7), parameters()).await.0.unwrap_err(), TaskError::Skip { .. }));
    assert_eq!(run(&leaving(0), parameters()).await.0.unwrap(), None);
}

#[tokio::test]
async fn a_task_asks_for_xcoms_variables_and_connections_and_leaves_xcoms() {
    let script = "import windrose\n\
                  def main(ti):\n    ti.xcom_push('count', 2)\n    windrose.xcom_push('day', __import__('datetime').date(2026, 1, 2))\n    \
                  return [ti.xcom_pull('extract'), windrose.xcom_pull('nobody'), windrose.variable('bucket'), \
                  windrose.variable('none', 'default'), windrose.connection('db').host]\n";
    let (_folder, task) = world(script);
    let connection = windrose_core::connection::Connection {
        conn_id: "db".to_owned(),
        host: Some("db.example".to_owned()),
        ..Default::default()
    };
    let task = task.xcom("extract", "return_value", json!([1, 2])).variable("bucket", "raw").connection(connection);
    let (result, services) = run_task(task, json!({ "python_callable": "scripts/job.py:main" })).await;
    assert_eq!(result.unwrap(), Some(json!([[1, 2], null, "raw", "default", "db.example"])));
    assert_eq!(services.pushed_value("count"), Some(json!(2)));
    assert_eq!(services.pushed_value("day"), Some(json!("2026-01-02")));
}

#[tokio::test]
async fn a_result_that_json_cannot_hold_fails_with_its_type() {
    let (result, _) =
        run("def main():\n    return object()\n", json!({ "python_callable": "scripts/job.py:main" })).await;
    assert!(result.unwrap_err().to_string().contains("of type object cannot be kept as an XCom"));
}

#[tokio::test]
async fn files_outside_the_dags_folder_are_refused() {
    let (result, _) = run("", json!({ "python_callable": "../job.py:main" })).await;
    let error = result.unwrap_err().to_string();
    assert!(error.contains("There is no file") || error.contains("leads out"), "{error}");
}

#[tokio::test]
async fn an_interpreter_that_is_not_there_is_named() {
    let parameters = json!({ "python_callable": "scripts/job.py:main", "python": "python9.9" });
    let (result, _) = run("def main():\n    pass\n", parameters).await;
    assert!(result.unwrap_err().to_string().contains("'python9.9' is not on this worker"));
}

#[test]
fn a_callable_that_is_no_python_file_is_refused() {
    for wrong in ["scripts/load.sh", "load", "load.py:", "module:main"] {
        let parameters = Map::from_iter([("python_callable".to_owned(), json!(wrong))]);
        assert!(registry::find("python").unwrap().build(parameters).is_err(), "{wrong}");
    }
}
