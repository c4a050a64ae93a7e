//! The example pipeline and its kinds of remote work, with the real binary in the lab.

mod support;

use regex::Regex;
use serde_json::Value;
use support::pipeline::{FIRST_TO_LAST, ROWS, curated_rows_are_unloaded, run_pipeline};
use support::started_lab;
use windrose_testkit::process::{Workspace, wait_until};

#[test]
fn the_example_pipeline_makes_exactly_the_calls_it_should_and_moves_every_row() {
    let (lab, workspace) = started_lab();
    let server = run_pipeline(&lab, &workspace);

    // What each task has to ask for, in the order of the tasks; look-ups of secrets are cached and may come anywhere.
    let calls: Vec<_> = lab.operations().into_iter().filter(|name| name != "GetSecretValue").collect();
    let expected = Regex::new(concat!(
        "^(ListObjectsV2 ){2,}",
        "GetCrawler GetCrawler (UpdateCrawler )?StartCrawler ",
        "(GetCrawler ){2,}",
        "GetJob GetRole CreateJob StartJobRun ",
        "(GetJobRun GetJobRun (FilterLogEvents ){2,})+",
        "ExecuteStatement (DescribeStatement ){2,}",
        "AssumeRole (ListObjectsV2 )*$",
    ));
    let line = calls.iter().map(|name| format!("{name} ")).collect::<String>();
    assert!(expected.expect("a pattern").is_match(&line), "the calls were {line}");

    let wire: Vec<String> = lab.journal().iter().filter(|entry| entry["via"] == "wire").map(statement).collect();
    let of_tasks: Vec<_> = wire.iter().filter(|sql| sql.starts_with("DELETE") || sql.starts_with("UNLOAD")).collect();
    // The job empties the table too, before it loads it.
    let [job, delete, unload] = of_tasks.as_slice() else { panic!("the statements were {wire:#?}") };
    assert_eq!([job.as_str(), delete.as_str()], ["DELETE FROM products", "DELETE FROM products"]);
    assert!(unload.contains("products_f"), "the UNLOAD was {unload}");

    assert_eq!(curated_rows_are_unloaded(&lab), ROWS);
    drop(server);
}

fn statement(entry: &Value) -> String {
    entry["sql"].as_str().unwrap_or_default().trim().to_owned()
}

#[test]
fn nothing_the_pipeline_leaves_or_shows_contains_a_password_or_a_secret_key() {
    let (lab, workspace) = started_lab();
    let server = run_pipeline(&lab, &workspace);
    let run = workspace.json(&["runs", "show", "data_pipeline"]);
    let run_id = run["run"]["run_id"].as_str().expect("a run id").to_owned();

    let mut shown: Vec<(String, Vec<u8>)> = Vec::new();
    for args in [
        vec!["runs", "show", "data_pipeline"],
        vec!["runs", "list"],
        vec!["tasks", "list", "data_pipeline"],
        vec!["dags", "show", "data_pipeline"],
        vec!["connections", "list"],
        vec!["variables", "list"],
    ] {
        shown.push((args.join(" "), workspace.json(&args).to_string().into_bytes()));
    }
    for task in FIRST_TO_LAST {
        let log = workspace.run(&["tasks", "logs", "data_pipeline", task]);
        assert!(!log.stdout.is_empty(), "{task} has a log");
        shown.push((format!("log of {task}"), log.stdout));
    }
    let escaped = run_id.replace('+', "%2B").replace(':', "%3A");
    let mut pages =
        vec!["/".to_owned(), "/dags/data_pipeline".to_owned(), format!("/dags/data_pipeline/runs/{escaped}")];
    pages.extend(FIRST_TO_LAST.map(|task| format!("/dags/data_pipeline/runs/{escaped}/tasks/{task}/-1/tries/1")));
    for page in pages {
        shown.push((page.clone(), support::web::web_page(&format!("{}{page}", server.url))));
    }
    server.terminate();
    shown.extend(support::files_below(workspace.path()));

    assert!(shown.iter().any(|(name, _)| name.ends_with("windrose.db")), "the database is among what is searched");
    for (name, bytes) in &shown {
        for secret in lab.secrets() {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{name} contains a secret of the lab");
        }
    }
}

const GLUE_JOB: &str = r#"
schedule = "@once"
start_date = 2021-01-01
[tasks.load]
operator            = "glue_job"
job_name            = "load_products"
script_location     = "s3://sample-inp-bucket-etl-demo/scripts/load_products.py"
iam_role_name       = "AWSGlueServiceRole-lab"
wait_for_completion = true
job_poll_interval   = 1
"#;

#[test]
fn a_glue_job_that_runs_while_windrose_is_killed_is_waited_for_and_not_started_again() {
    let (lab, workspace) = started_lab();
    support::pipeline::upload_products(&lab, "products/products_");
    lab.hold("glue_job", "load_products");
    workspace.write_dag("glue.toml", GLUE_JOB);
    killed_and_cleared(
        &lab,
        &workspace,
        &RemoteWork { dag: "glue", task: "load", start: "StartJobRun", look: "GetJobRun" },
    );
    assert_eq!(lab.sql("SELECT count(*) FROM products"), [[Some(ROWS.to_string())]]);
}

const STATEMENT: &str = r#"
schedule = "@once"
start_date = 2021-01-01
[tasks.insert]
operator       = "redshift_data"
workgroup_name = "sample-workgroup"
database       = "dev"
secret_arn     = "{{ var.value.redshift_secret_arn }}"
sql            = "INSERT INTO times_run VALUES (1)"
poll_interval  = 1
"#;

#[test]
fn a_statement_that_runs_while_windrose_is_killed_is_waited_for_and_not_executed_again() {
    let (lab, workspace) = started_lab();
    let _ = lab.sql("CREATE TABLE times_run (one integer)");
    lab.hold("statement", "times_run");
    workspace.write_dag("statement.toml", STATEMENT);
    let work = RemoteWork { dag: "statement", task: "insert", start: "ExecuteStatement", look: "DescribeStatement" };
    killed_and_cleared(&lab, &workspace, &work);
    // Once for the run that was killed, once for the clear.
    assert_eq!(lab.sql("SELECT count(*) FROM times_run"), [[Some("2".to_owned())]]);
}

/// A DAG with one task, the call that starts its work and the call that looks how far it is.
struct RemoteWork {
    dag: &'static str,
    task: &'static str,
    start: &'static str,
    look: &'static str,
}

/// Windrose is killed while the work runs and started again; then the task is cleared.
fn killed_and_cleared(lab: &windrose_testkit::lab::Lab, workspace: &Workspace, work: &RemoteWork) {
    let first = workspace.standalone();
    // The work is waited for only after it was recorded.
    looked_at(lab, work, 1);
    first.kill();
    let looks = lab.count(work.look);

    let second = workspace.standalone();
    looked_at(lab, work, looks + 1);
    lab.release();
    let run = ended_run(workspace, work.dag);
    assert_eq!(run["run"]["state"], "success", "{run:#}");
    assert_eq!(lab.count(work.start), 1, "the restarted Windrose takes hold of the work");

    let cleared = workspace.run(&["tasks", "clear", "--yes", work.dag, work.task]);
    assert!(cleared.status.success(), "{}", String::from_utf8_lossy(&cleared.stderr));
    wait_until("a cleared task to do its work anew", || {
        let starts = lab.count(work.start);
        if starts == 2 {
            Ok(())
        } else {
            Err(format!("{starts} starts, {}\n{}", workspace.json(&["runs", "show", work.dag]), workspace.log()))
        }
    });
    let again = ended_run(workspace, work.dag);
    assert_eq!(again["run"]["state"], "success", "{again:#}");
    assert_eq!(lab.count(work.start), 2);
    drop(second);
}

fn looked_at(lab: &windrose_testkit::lab::Lab, work: &RemoteWork, times: usize) {
    wait_until("the work to be looked at", || {
        let operations = lab.operations();
        let looks = operations.iter().filter(|name| *name == work.look).count();
        if looks >= times { Ok(()) } else { Err(operations.join(" ")) }
    });
}

fn ended_run(workspace: &Workspace, dag: &str) -> Value {
    wait_until("the run to end", || {
        let run = workspace.json(&["runs", "show", dag]);
        let ended = matches!(run["run"]["state"].as_str(), Some("success" | "failed"));
        if ended { Ok(run) } else { Err(run.to_string()) }
    })
}

const COPY: &str = r#"
[tasks.copy]
operator         = "s3_to_redshift"
s3_bucket        = "sample-inp-bucket-etl-demo"
s3_key           = "bad/"
table            = "prices"
iam_role         = "default"
redshift_conn_id = "secrets_redshift_connection"
copy_options     = ["CSV", "IGNOREHEADER 1"]
"#;

#[test]
fn a_csv_with_a_bad_row_is_named_with_its_line_column_value_and_reason() {
    let (lab, workspace) = started_lab();
    let role = lab.text("/roles/etl-demo-s3-access");
    let _ = lab.sql(&format!(
        "CREATE TABLE raw_rows (id text, price text); CREATE TABLE prices (id integer, price numeric(8,2)); \
         INSERT INTO raw_rows VALUES ('1', '2.50'), ('2', 'cheap'); \
         UNLOAD ('SELECT * FROM raw_rows ORDER BY id') TO 's3://sample-inp-bucket-etl-demo/bad/rows_' \
         IAM_ROLE '{role}' CSV HEADER PARALLEL OFF"
    ));
    workspace.write_dag("bad.toml", COPY);
    let _standalone = workspace.standalone();
    let said = workspace.refused(&["dags", "trigger", "bad", "--run-id", "r", "--wait"]);
    let row = "Line 3 of s3://sample-inp-bucket-etl-demo/bad/rows_000, column price (numeric(8,2)), value 'cheap'";
    for part in ["Load into table 'prices' failed", row, "Invalid digit", "Mend the file"] {
        assert!(said.contains(part), "'{part}' is missing in: {said}");
    }
    assert_eq!(lab.sql("SELECT count(*) FROM prices"), [[Some("0".to_owned())]]);
}
