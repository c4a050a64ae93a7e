//! A run that is cancelled stops what it has going on elsewhere; and people are asked before anything changes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[allow(dead_code, reason = "other tests use the rest")]
mod support;

use std::io::Write as _;
use std::process::{Command, Stdio};

use support::started_lab;
use windrose_testkit::process::{Workspace, wait_until};

const REMOTE: &str = r#"
[tasks.job]
operator            = "glue_job"
job_name            = "load_products"
script_location     = "s3://sample-inp-bucket-etl-demo/scripts/load_products.py"
iam_role_name       = "AWSGlueServiceRole-lab"
wait_for_completion = true
job_poll_interval   = 1
stop_job_run_on_kill = true
[tasks.statement]
operator       = "redshift_data"
workgroup_name = "sample-workgroup"
database       = "dev"
secret_arn     = "{{ var.value.redshift_secret_arn }}"
sql            = "SELECT 'held back'"
poll_interval  = 1
[tasks.process]
operator       = "bash"
bash_command   = "touch FOLDER/process; while test -d FOLDER; do sleep 0.05; done"
[tasks.after]
operator       = "empty"
upstream       = ["job", "statement", "process"]
"#;

#[test]
fn cancelling_a_run_stops_its_glue_job_its_statement_and_its_process() {
    let (lab, workspace) = started_lab();
    lab.hold("glue_job", "load_products");
    lab.hold("statement", "held back");
    workspace.write_dag("remote.toml", &REMOTE.replace("FOLDER", &workspace.path().display().to_string()));
    let _standalone = workspace.standalone();
    workspace.ok(&["dags", "trigger", "remote", "--run-id", "r"]);
    for look in ["GetJobRun", "DescribeStatement"] {
        wait_until(look, || if lab.count(look) > 0 { Ok(()) } else { Err(format!("{:?}", lab.operations())) });
    }
    let process = workspace.path().join("process");
    wait_until("the process", || if process.exists() { Ok(()) } else { Err("none".to_owned()) });
    workspace.ok(&["runs", "cancel", "remote", "r"]);
    let run = workspace.run_to_end("remote", "r");
    assert_eq!(run.state(), "failed");
    let states = run.states();
    assert_eq!((states["job"].as_str(), states["after"].as_str()), ("failed", "skipped"), "{states:?}");
    for stop in ["BatchStopJobRun", "CancelStatement"] {
        wait_until(stop, || if lab.count(stop) == 1 { Ok(()) } else { Err(format!("{:?}", lab.operations())) });
    }
}

/// Runs the binary at a terminal of its own, with this answer typed.
fn at_a_terminal(workspace: &Workspace, args: &str, answer: &str) -> (bool, String) {
    let mut script = Command::new("script");
    let command = format!("{} {args}", env!("CARGO_BIN_EXE_windrose"));
    script.args(["--quiet", "--return", "--command", &command, "/dev/null"]).current_dir(workspace.path());
    let mut script = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script, of util-linux");
    script.stdin.take().unwrap().write_all(answer.as_bytes()).unwrap();
    let output = script.wait_with_output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn a_person_at_a_terminal_sees_the_plan_and_is_asked() {
    let workspace = Workspace::new(env!("CARGO_BIN_EXE_windrose"), None);
    workspace.write_dag("one.toml", "[tasks.a]\noperator = \"bash\"\nbash_command = \"exit 1\"\n");
    let _standalone = workspace.standalone();
    workspace.refused(&["dags", "trigger", "one", "--run-id", "r", "--wait"]);
    let tries = || workspace.find_run("one", "r").unwrap().task("a")["try_number"].clone();
    let (done, said) = at_a_terminal(&workspace, "tasks clear one a --run-id r", "n\n");
    assert!(!done && said.contains("decided again") && said.contains("Do it? [y/N]"), "{said}");
    assert!(said.contains("nothing was changed"), "{said}");
    assert_eq!(tries(), 1);
    let (done, said) = at_a_terminal(&workspace, "tasks clear one a --run-id r", "y\n");
    assert!(done, "{said}");
    wait_until("the second try", || if tries() == 2 { Ok(()) } else { Err(tries().to_string()) });
}
