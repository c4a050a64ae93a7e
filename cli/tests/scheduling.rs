//! Runs that come by themselves, what they may take, and DAG files that change meanwhile.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use windrose_testkit::process::{Workspace, is_alive, wait_until};

fn workspace() -> Workspace {
    Workspace::new(env!("CARGO_BIN_EXE_windrose"), None)
}

/// A DAG of parallel tasks that note their beginning and their end.
fn parallel(workspace: &mut Workspace, head: &str, pool: &str) {
    let ledger = workspace.path().join("ledger");
    workspace.set_env("LEDGER", ledger.to_str().unwrap());
    let task = |n: u32| {
        format!(
            "[tasks.t{n}]\noperator = \"bash\"\n{pool}\nbash_command = 'echo start >> \"$LEDGER\"; sleep 0.1; echo end >> \"$LEDGER\"'\n"
        )
    };
    let tasks: String = (0..4).map(task).collect();
    workspace.write_dag("parallel.toml", &format!("{head}\n{tasks}"));
}

fn most_at_once(workspace: &Workspace) -> (usize, i32) {
    let text = std::fs::read_to_string(workspace.path().join("ledger")).unwrap();
    let (mut now, mut most) = (0, 0);
    for line in text.lines() {
        now += if line == "start" { 1 } else { -1 };
        most = most.max(now);
    }
    (text.lines().count(), most)
}

#[test]
fn a_scheduled_dag_gets_its_runs_each_once() {
    let workspace = workspace();
    workspace.write_dag(
        "ticks.toml",
        "schedule = { every = \"1s\" }\nstart_date = 2026-01-01\n[tasks.a]\noperator = \"empty\"\n",
    );
    let standalone = workspace.standalone();
    let runs = wait_until("three scheduled runs", || {
        let runs = workspace.json(&["runs", "list", "ticks", "--state", "success"]);
        if runs.as_array().unwrap().len() >= 3 { Ok(runs) } else { Err(runs.to_string()) }
    });
    standalone.kill();
    let mut dates: Vec<_> = runs.as_array().unwrap().iter().map(|run| run["logical_date"].to_string()).collect();
    assert!(runs.as_array().unwrap().iter().all(|run| run["run_type"] == "scheduled"));
    assert!(!dates.contains(&"null".to_owned()), "{runs}");
    let count = dates.len();
    dates.sort();
    dates.dedup();
    assert_eq!(dates.len(), count);
}

#[test]
fn a_pool_limits_how_many_run_at_once() {
    let mut workspace = workspace();
    parallel(&mut workspace, "", "pool = \"few\"");
    workspace.ok(&["pools", "set", "few", "2"]);
    let _standalone = workspace.standalone();
    workspace.ok(&["dags", "trigger", "parallel", "--wait"]);
    let (lines, most) = most_at_once(&workspace);
    assert_eq!(lines, 8);
    assert!(most <= 2, "{most} at once in a pool of 2");
}

#[test]
fn runs_beyond_max_active_runs_wait_in_the_queue_also_over_a_kill() {
    let mut workspace = workspace();
    parallel(&mut workspace, "max_active_runs = 1\nmax_active_tasks = 1", "");
    let standalone = workspace.standalone();
    for run in ["one", "two", "three"] {
        workspace.ok(&["dags", "trigger", "parallel", "--run-id", run]);
    }
    let running = workspace.json(&["runs", "list", "parallel", "--state", "running"]);
    assert!(running.as_array().unwrap().len() <= 1, "{running}");
    standalone.kill();
    let _standalone = workspace.standalone();
    for run in ["one", "two", "three"] {
        assert_eq!(workspace.run_to_end("parallel", run).state(), "success");
    }
}

#[test]
fn a_retry_waits_for_its_delay_and_a_timeout_ends_the_process_group() {
    let workspace = workspace();
    workspace.write_dag(
        "late.toml",
        r#"
[tasks.again]
operator = "bash"
retries = 1
retry_delay = 1
bash_command = "date +%s%3N; exit 1"
[tasks.slow]
operator = "bash"
execution_timeout = 0.3
bash_command = "sleep 1000 & echo child $!; wait"
"#,
    );
    let _standalone = workspace.standalone();
    let said = workspace.refused(&["dags", "trigger", "late", "--run-id", "r", "--wait"]);
    assert!(said.contains("execution timeout of 0.3 s was exceeded"), "{said}");
    let moment = |number: &str| -> u64 {
        let log = workspace.ok(&["tasks", "logs", "late", "again", "--run-id", "r", "--try", number]);
        log.lines().find_map(|line| line.split_once(' ')?.1.trim().parse().ok()).unwrap_or_else(|| panic!("{log}"))
    };
    assert!(moment("2") >= moment("1") + 1000, "the second try came before its delay was over");
    let log = workspace.task_log("late", "r", "slow");
    let child = log.lines().find_map(|line| line.split_once(" child ")?.1.trim().parse().ok()).unwrap();
    wait_until("the child's end", || if is_alive(child) { Err("it lives".to_owned()) } else { Ok(()) });
}

#[test]
fn a_changed_file_takes_effect_and_a_broken_one_keeps_the_last_good_version() {
    let workspace = workspace();
    let version = |word: &str| format!("[tasks.a]\noperator = \"bash\"\nbash_command = \"echo {word}\"\n");
    workspace.write_dag("changing.toml", &version("first"));
    let _standalone = workspace.standalone();
    let hash = || workspace.json(&["dags", "show", "changing"])["version"].clone();
    let before = hash();
    workspace.write_dag("changing.toml", &version("second"));
    wait_until("the new version", || if hash() == before { Err("the old".to_owned()) } else { Ok(()) });
    workspace.ok(&["dags", "trigger", "changing", "--run-id", "two", "--wait"]);
    assert!(workspace.task_log("changing", "two", "a").contains("second"));

    workspace.write_dag("changing.toml", "[tasks.a]\noperator = ");
    wait_until("the error", || {
        let said = String::from_utf8(workspace.run(&["dags", "list"]).stderr).unwrap();
        if said.contains("changing.toml:2:") { Ok(()) } else { Err(said) }
    });
    workspace.ok(&["dags", "trigger", "changing", "--run-id", "three", "--wait"]);
    assert!(workspace.task_log("changing", "three", "a").contains("second"), "the last good version");

    std::fs::remove_file(workspace.path().join("dags/changing.toml")).unwrap();
    wait_until("its absence", || {
        let shown = workspace.json(&["dags", "show", "changing"]);
        if shown["absent"] == true { Ok(()) } else { Err(shown.to_string()) }
    });
    assert!(workspace.refused(&["dags", "trigger", "changing"]).contains("there is no DAG 'changing'"));
}

/// A scheduled DAG of one task that depends on its own past.
fn ticks_that_depend_on_the_past(workspace: &Workspace, name: &str, command: &str) {
    let text = format!(
        "schedule = {{ every = \"1s\" }}\nstart_date = 2026-01-01\n[tasks.a]\noperator = \"bash\"\n\
         bash_command = \"{command}\"\ndepends_on_past = true\n"
    );
    workspace.write_dag(name, &text);
}

fn states_of(workspace: &Workspace, dag: &str) -> Vec<String> {
    let runs = workspace.json(&["runs", "list", dag]);
    runs.as_array().unwrap().iter().rev().map(|run| run["state"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_task_that_depends_on_its_past_waits_for_a_failed_run_before_also_after_a_restart() {
    let workspace = workspace();
    ticks_that_depend_on_the_past(&workspace, "bad.toml", "exit 1");
    ticks_that_depend_on_the_past(&workspace, "good.toml", "true");
    for runs in [3, 5] {
        let standalone = workspace.standalone();
        // The good DAG's runs end, so as many of the bad one's have had their chance.
        wait_until("enough runs", || {
            let (good, bad) = (states_of(&workspace, "good"), states_of(&workspace, "bad"));
            let done = good.iter().filter(|state| *state == "success").count();
            if done >= runs && bad.len() >= runs { Ok(()) } else { Err(format!("{good:?} {bad:?}")) }
        });
        let bad = states_of(&workspace, "bad");
        assert_eq!(bad[0], "failed", "{bad:?}");
        assert!(bad[1..].iter().all(|state| state == "running" || state == "queued"), "{bad:?}");
        standalone.kill();
    }
}

#[test]
fn a_logical_date_that_is_taken_is_refused_by_hand_and_left_out_by_the_schedule() {
    let workspace = workspace();
    workspace.write_dag(
        "ticks.toml",
        "schedule = { every = \"1s\" }\nstart_date = 2026-01-01\n[tasks.a]\noperator = \"empty\"\n",
    );
    let _standalone = workspace.standalone();
    // One that is still to come.
    let next = workspace.json(&["dags", "next", "ticks", "-n", "4"]);
    let (date, scheduled) = (next[3]["logical_date"].as_str().unwrap(), next[3]["run_id"].as_str().unwrap());
    workspace.ok(&["dags", "trigger", "ticks", "--run-id", "mine", "--logical-date", date, "--wait"]);
    let said = workspace.refused(&["dags", "trigger", "ticks", "--run-id", "other", "--logical-date", date]);
    assert!(said.contains("already has a run for") && said.contains("choose another logical date"), "{said}");

    let runs = wait_until("runs behind that date", || {
        let runs = workspace.json(&["runs", "list", "ticks", "--state", "success"]);
        let later = runs.as_array().unwrap().iter().filter(|run| run["logical_date"].as_str() > Some(date)).count();
        if later >= 2 { Ok(runs) } else { Err(runs.to_string()) }
    });
    let of_date: Vec<_> = runs.as_array().unwrap().iter().filter(|run| run["logical_date"] == date).collect();
    assert_eq!(of_date.len(), 1, "{runs:#}");
    assert_eq!(of_date[0]["run_id"], "mine");
    assert!(runs.as_array().unwrap().iter().all(|run| run["run_id"] != scheduled), "{runs:#}");
}

/// A bash task that notes its beginning and its end, and waits for the file `go`.
fn until_go(workspace: &mut Workspace) -> (std::path::PathBuf, String) {
    let go = workspace.path().join("go");
    workspace.set_env("LEDGER", workspace.path().join("ledger").to_str().unwrap());
    let command =
        format!("until [ -e {} ]; do sleep 0.02; done; echo \"$AIRFLOW_CTX_DAG_RUN_ID b\" >> $LEDGER", go.display());
    (go, command)
}

#[test]
fn wait_for_downstream_waits_for_what_follows_in_the_run_before_also_over_a_kill() {
    let mut workspace = workspace();
    let (go, slow) = until_go(&mut workspace);
    for (name, field) in [("downstream.toml", "wait_for_downstream"), ("past.toml", "depends_on_past")] {
        let text = format!(
            "chain = [\"a\", \"b\"]\n[tasks.a]\noperator = \"bash\"\n{field} = true\n\
             bash_command = 'echo \"$AIRFLOW_CTX_DAG_RUN_ID a\" >> $LEDGER'\n\
             [tasks.b]\noperator = \"bash\"\nbash_command = '{slow}'\n"
        );
        workspace.write_dag(name, &text);
    }
    let trigger = |dag: &str, run: &str, date: &str| {
        workspace.ok(&["dags", "trigger", dag, "--run-id", run, "--logical-date", date]);
    };
    let standalone = workspace.standalone();
    for dag in ["downstream", "past"] {
        trigger(dag, &format!("{dag}_one"), "2026-01-01T00:00:00Z");
        let _ = workspace.task_in(dag, &format!("{dag}_one"), "b", "running");
    }
    trigger("downstream", "downstream_two", "2026-01-02T00:00:00Z");
    trigger("past", "past_two", "2026-01-02T00:00:00Z");
    // It looks at its own past only, so it runs; by then the other one has been decided on.
    let _ = workspace.task_in("past", "past_two", "a", "success");
    let state = || workspace.find_run("downstream", "downstream_two").unwrap().task("a")["state"].clone();
    assert_eq!(state(), "none");
    standalone.kill();

    let _standalone = workspace.standalone();
    let _ = workspace.task_in("downstream", "downstream_one", "b", "running");
    assert_eq!(state(), "none");
    std::fs::write(go, "").unwrap();
    for run in ["downstream_one", "downstream_two"] {
        assert_eq!(workspace.run_to_end("downstream", run).state(), "success");
    }
    let ledger = std::fs::read_to_string(workspace.path().join("ledger")).unwrap();
    let place = |line: &str| ledger.lines().position(|found| found == line).unwrap_or_else(|| panic!("{ledger}"));
    assert!(place("downstream_one b") < place("downstream_two a"), "{ledger}");
    assert!(place("past_two a") < place("past_one b"), "{ledger}");
}

#[test]
fn as_many_runs_as_max_active_runs_go_on_at_once_and_the_next_one_takes_a_free_place() {
    let workspace = workspace();
    let folder = workspace.path().to_str().unwrap().to_owned();
    workspace.write_dag(
        "two.toml",
        &format!(
            "max_active_runs = 2\n[tasks.t]\noperator = \"bash\"\n\
             bash_command = \"until [ -e {folder}/go_{{{{ run_id }}}} ]; do sleep 0.02; done\"\n"
        ),
    );
    let _standalone = workspace.standalone();
    for run in ["one", "two"] {
        workspace.ok(&["dags", "trigger", "two", "--run-id", run]);
        let _ = workspace.task_in("two", run, "t", "running");
    }
    workspace.ok(&["dags", "trigger", "two", "--run-id", "three"]);
    workspace.ok(&["dags", "trigger", "two", "--run-id", "four"]);
    let state = |run: &str| workspace.find_run("two", run).unwrap().state().to_owned();
    assert_eq!([state("three"), state("four")], ["queued", "queued"]);
    std::fs::write(format!("{folder}/go_two"), "").unwrap();
    assert_eq!(workspace.run_to_end("two", "two").state(), "success");
    let _ = workspace.task_in("two", "three", "t", "running");
    assert_eq!([state("one"), state("four")], ["running", "queued"], "the oldest takes the place");
    workspace.ok(&["runs", "cancel", "two", "one"]);
    let _ = workspace.task_in("two", "four", "t", "running");
    for run in ["three", "four"] {
        std::fs::write(format!("{folder}/go_{run}"), "").unwrap();
        assert_eq!(workspace.run_to_end("two", run).state(), "success");
    }
}
