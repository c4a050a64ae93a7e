//! What goes wrong ends in a sentence that says what, where, and what to do; other DAGs and runs do not notice.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::net::TcpListener;

use windrose_testkit::process::{Workspace, wait_until};
use windrose_testkit::{PostgresServer, SlowBucket, TestDatabase};

const GOOD: &str = "[tasks.a]\noperator = \"bash\"\nbash_command = \"echo fine\"\n";

fn workspace() -> Workspace {
    Workspace::new(env!("CARGO_BIN_EXE_windrose"), None)
}

fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "'{part}' is missing in: {text}");
    }
}

/// Runs a DAG of one failing task `t`, and checks its sentence in the run and in its log.
fn task_fails(workspace: &Workspace, task: &str, parts: &[&str]) -> String {
    workspace.write_dag("failing.toml", &format!("[tasks.t]\n{task}\n"));
    let _standalone = workspace.standalone();
    let said = workspace.refused(&["dags", "trigger", "failing", "--run-id", "r", "--wait"]);
    says(&said, parts);
    let log = workspace.task_log("failing", "r", "t");
    says(&log, parts);
    said + &log
}

#[test]
fn broken_files_do_not_disturb_good_ones() {
    let workspace = workspace();
    workspace.write_dag("good.toml", GOOD);
    workspace.write_dag("broken.toml", "oops = [");
    workspace.write_dag(
        "cycle.toml",
        "chain = [\"a\", \"b\", \"a\"]\n[tasks.a]\noperator = \"empty\"\n[tasks.b]\noperator = \"empty\"\n",
    );
    workspace.write_dag("unknown.toml", "[tasks.a]\noperator = \"bahs\"\n");
    workspace.write_dag("twice.toml", &format!("dag_id = \"good\"\n{GOOD}"));
    let checked = workspace.refused(&["dags", "check"]);
    says(&checked, &["broken.toml:1:", "a → b → a", "remove one of these edges", "did you mean 'bash'?"]);
    says(&checked, &["the DAG id 'good' is already used by dags/good.toml; give one of the two another dag_id"]);

    let _standalone = workspace.standalone();
    workspace.ok(&["dags", "trigger", "good", "--wait"]);
    let listed = workspace.run(&["dags", "list"]);
    let errors = String::from_utf8(listed.stderr).unwrap();
    says(
        &errors,
        &["broken.toml:1:", "cycle.toml:1:", "unknown.toml:2:12", "twice.toml has errors", "already used by"],
    );
    says(&workspace.refused(&["dags", "trigger", "cycle"]), &["knows no DAG 'cycle'", "windrose dags check"]);
}

#[test]
fn a_missing_connection_names_every_place_that_was_asked() {
    let said = task_fails(
        &workspace(),
        "operator = \"sql_execute_query\"\nconn_id = \"nowhere\"\nsql = \"SELECT 1\"",
        &["`nowhere` isn't defined", "windrose connections set nowhere", "WINDROSE_CONN_NOWHERE", "metadata database"],
    );
    assert!(!said.contains("connections add"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_are_refused_are_named_without_the_password() {
    let database = TestDatabase::postgres().await;
    let (_, host) = database.url().rsplit_once('@').unwrap();
    let uri = format!("postgres://no_such_user:wrongpassword@{host}");
    let work = move || {
        let mut workspace = workspace();
        workspace.set_env("AIRFLOW_CONN_WAREHOUSE", &uri);
        let task = "operator = \"sql_execute_query\"\nconn_id = \"warehouse\"\nsql = \"SELECT 1\"";
        task_fails(&workspace, task, &["'warehouse'", "no_such_user"])
    };
    let said = tokio::task::spawn_blocking(work).await.unwrap();
    assert!(!said.contains("wrongpassword"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_says_what_where_and_what_to_do_and_not_the_password() {
    let server = PostgresServer::private(false).await.unwrap();
    server.administrate("CREATE ROLE guarded LOGIN PASSWORD 'right'").await.unwrap();
    let url = server.url("postgres");
    let (_, host) = url.rsplit_once('@').unwrap();
    let (address, _) = host.split_once('/').unwrap();
    let uri = format!("postgres://guarded:wrong-guess@{host}");
    let place = format!("{address} cannot be connected to");
    let work = move || {
        let mut workspace = workspace();
        workspace.set_env("AIRFLOW_CONN_WAREHOUSE", &uri);
        let task = "operator = \"sql_execute_query\"\nconn_id = \"warehouse\"\nsql = \"SELECT 1\"";
        let reason = "password authentication failed for user \"guarded\"";
        let advice = "Check the login and the password of the connection 'warehouse' where it is kept.";
        let said = task_fails(&workspace, task, &["'warehouse'", &place, reason, advice]);
        let run = workspace.json(&["runs", "show", "failing", "r"]).to_string();
        (said + &run, workspace)
    };
    let (said, workspace) = tokio::task::spawn_blocking(work).await.unwrap();
    assert!(said.contains("\"connection\""), "the cause has its kind: {said}");
    assert!(!said.contains("wrong-guess"), "{said}");
    let search =
        std::process::Command::new("grep").args(["-r", "-l", "-F", "wrong-guess"]).arg(workspace.path()).output();
    assert_eq!(String::from_utf8(search.unwrap().stdout).unwrap(), "", "files with the password");
}

#[test]
fn an_error_of_sqlite_is_shown_as_it_is() {
    let mut workspace = workspace();
    let file = workspace.path().join("data.db");
    workspace.set_env("AIRFLOW_CONN_LITE", &format!("sqlite://{}", file.display()));
    let task = "operator = \"sql_execute_query\"\nconn_id = \"lite\"\nsql = \"SELECT * FROM nosuch\"";
    task_fails(&workspace, task, &["The database refused the statement", "no such table: nosuch"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_postgresql_comes_with_its_sqlstate() {
    let database = TestDatabase::postgres().await;
    let url = database.url().to_owned();
    let work = move || {
        let mut workspace = workspace();
        workspace.set_env("AIRFLOW_CONN_WAREHOUSE", &url);
        let task = "operator = \"sql_execute_query\"\nconn_id = \"warehouse\"\nsql = \"SELECT * FROM nosuch\"";
        task_fails(&workspace, task, &["relation \"nosuch\" does not exist", "42P01", "at character 15"]);
    };
    tokio::task::spawn_blocking(work).await.unwrap();
}

#[test]
fn an_object_that_never_comes_fails_with_the_time_that_was_waited() {
    let mut workspace = workspace();
    workspace.set_env("AIRFLOW_CONN_AWS_DEFAULT", &SlowBucket::start().connection());
    let task = "operator = \"s3_key_sensor\"\nbucket_key = \"s3://inbox/a\"\ntimeout = 0.1\npoke_interval = 0.2";
    task_fails(&workspace, task, &["timeout"]);
}

#[test]
fn an_undefined_name_in_a_template_is_named_with_its_field() {
    let task = "operator = \"bash\"\nbash_command = \"echo {{ nosuch }}\"";
    task_fails(&workspace(), task, &["'bash_command'", "line 1", "'nosuch' is undefined"]);
}

#[test]
fn a_csv_with_a_bad_row_fails_with_the_line_of_the_script() {
    let workspace = workspace();
    workspace.write_dag("rows.csv", "id,price\n1,2.5\n2,abc\n");
    workspace.write_dag(
        "load.py",
        "import csv, pathlib\ndef main():\n    rows = csv.DictReader(open(pathlib.Path(__file__).parent / 'rows.csv'))\n    return sum(float(r['price']) for r in rows)\n",
    );
    let task = "operator = \"python\"\npython_callable = \"load.py:main\"";
    task_fails(&workspace, task, &["ValueError", "load.py:4", "could not convert string to float: 'abc'"]);
}

#[test]
fn a_port_in_use_and_a_second_standalone_are_refused() {
    let workspace = workspace();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = workspace.refused(&["standalone", "--bind", &address]);
    says(&said, &[&address, "choose another address with --bind, or --no-web"]);

    let standalone = workspace.standalone();
    let said = workspace.refused(&["standalone", "--no-web"]);
    let holder = format!("process {}", standalone.pid());
    says(&said, &["another Windrose works on this database", &holder, "use another database"]);
}

#[test]
fn a_database_of_a_newer_windrose_is_refused() {
    let workspace = workspace();
    workspace.ok(&["db", "migrate"]);
    let path = workspace.path().join(".windrose/windrose.db");
    let script = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); \
                  c.execute(\"INSERT INTO schema_version VALUES (999, 'future')\"); c.commit()";
    assert!(std::process::Command::new("python3").args(["-c", script]).arg(path).status().unwrap().success());
    for command in [&["db", "check"][..], &["dags", "list"], &["standalone", "--no-web"]] {
        says(&workspace.refused(command), &["schema version 999", "knows versions up to", "Use the newer Windrose"]);
    }
}

#[test]
fn a_wrong_configuration_names_the_key_and_what_is_possible() {
    let workspace = workspace();
    std::fs::write(workspace.path().join("windrose.toml"), "[worker]\nproceses = 3\n").unwrap();
    says(&workspace.refused(&["dags", "list"]), &["configuration is wrong", "windrose.toml", "proceses", "processes"]);
}

#[test]
fn a_folder_or_a_database_that_is_not_there_is_named() {
    let workspace = workspace();
    let said = workspace.refused(&["standalone", "--no-web", "--dags", "/no/such"]);
    says(&said, &["/no/such", "Create it, or name another one"]);
    let said = workspace.refused(&["dags", "list", "--database", "postgres://me:hidden-word@127.0.0.1:1/db"]);
    says(&said, &["127.0.0.1:1", "Check that the server runs"]);
    assert!(!said.contains("hidden-word"), "{said}");
}

#[test]
fn a_folder_of_dags_that_is_none_is_named() {
    let workspace = workspace();
    let file = workspace.path().join("a_file");
    std::fs::write(&file, "").unwrap();
    let link = workspace.path().join("a_link");
    std::os::unix::fs::symlink(workspace.path().join("nothing"), &link).unwrap();
    for (path, why) in [(&file, "Not a directory"), (&link, "No such file or directory")] {
        let path = path.to_str().unwrap();
        let said = workspace.refused(&["standalone", "--no-web", "--dags", path]);
        says(&said, &[path, why, "name another one"]);
    }
    let said = workspace.refused(&["dags", "check", link.to_str().unwrap()]);
    says(&said, &["there is no file or folder", "a_link"]);
}

#[test]
fn a_link_to_a_dag_file_that_is_not_there_is_an_error_of_that_file_only() {
    let workspace = workspace();
    workspace.write_dag("good.toml", GOOD);
    let link = workspace.path().join("dags/broken.toml");
    std::os::unix::fs::symlink("nothing.toml", &link).unwrap();
    says(&workspace.refused(&["dags", "check"]), &["dags/broken.toml", "links to a file that is not there"]);
    let _standalone = workspace.standalone();
    workspace.ok(&["dags", "trigger", "good", "--wait"]);
    let errors = String::from_utf8(workspace.run(&["dags", "list"]).stderr).unwrap();
    says(&errors, &["broken.toml has errors", "links to a file that is not there"]);

    std::fs::remove_file(&link).unwrap();
    wait_until("the error to be gone", || {
        let said = String::from_utf8(workspace.run(&["dags", "list"]).stderr).unwrap();
        if said.is_empty() { Ok(()) } else { Err(said) }
    });
}

#[test]
fn a_full_disk_makes_everything_wait_until_there_is_space() {
    let workspace = workspace();
    let disk = workspace.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let mount = std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "none"]).arg(&disk).output();
    assert!(mount.is_ok_and(|m| m.status.success()), "this test mounts a small disk: run it as root");
    let _mounted = Mounted(disk.clone());
    workspace.write_dag("good.toml", GOOD);
    let go = workspace.path().join("go");
    let task = |n: u32| {
        let command = format!("until [ -e {} ]; do sleep 0.05; done", go.display());
        format!("[tasks.w{n}]\noperator = \"bash\"\nbash_command = \"{command}\"\n")
    };
    workspace.write_dag("waits.toml", &(0..8).map(task).collect::<String>());
    let data = disk.to_str().unwrap();
    let command = workspace.command(&["standalone", "--no-web", "--data", data]);
    let _standalone = workspace.standalone_from(command);
    wait_until("the DAG", || {
        workspace.json(&["dags", "list", "--data", data])[0]["dag_id"].as_str().map(|_| ()).ok_or("none".into())
    });
    let waiting = workspace.run(&["dags", "trigger", "waits", "--data", data, "--run-id", "r"]);
    assert!(waiting.status.success(), "{}", String::from_utf8_lossy(&waiting.stderr));
    wait_until("its tasks to run", || {
        let shown = workspace.json(&["tasks", "list", "waits", "r", "--data", data]);
        let running = shown.as_array().unwrap().iter().filter(|task| task["state"] == "running").count();
        if running == 8 { Ok(()) } else { Err(shown.to_string()) }
    });
    let filler = disk.join("filler");
    // Fails when the disk is full, as it shall.
    let _ = std::fs::write(&filler, vec![0_u8; 8 << 20]);
    let mut count = 0;
    let said = wait_until("a command that finds no space", || {
        // Pages that SQLite already has are still used up.
        count += 1;
        let run = format!("r{count}");
        let output = workspace.run(&["dags", "trigger", "good", "--data", data, "--run-id", &run]);
        let said = String::from_utf8(output.stderr).unwrap();
        if output.status.code() == Some(1) { Ok(said) } else { Err(format!("{:?} {said}", output.status)) }
    });
    says(&said, &["disk of the metadata database is full", "Free some space"]);
    // What the server cannot write it keeps, and says so while it waits: no restart is needed.
    std::fs::write(&go, "").unwrap();
    let log = wait_until("the server to wait", || {
        let log = workspace.log();
        if log.contains("waiting for the metadata database") { Ok(log) } else { Err(log) }
    });
    says(&log, &["disk of the metadata database is full", "Free some space"]);
    std::fs::remove_file(&filler).unwrap();
    let again = workspace.run(&["dags", "trigger", "good", "--data", data, "--run-id", "after", "--wait"]);
    assert!(again.status.success(), "{}\n{}", String::from_utf8_lossy(&again.stderr), workspace.log());
    let ended = workspace.run(&["runs", "watch", "waits", "r", "--data", data]);
    assert!(ended.status.success(), "{}\n{}", String::from_utf8_lossy(&ended.stdout), workspace.log());
}

struct Mounted(std::path::PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
