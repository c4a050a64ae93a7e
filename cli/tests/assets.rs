//! Assets with the real binary: tasks and people change them, DAGs start, templates see the events, and a kill loses and
//! doubles nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use serde_json::Value;
use windrose_testkit::process::{Workspace, wait_until};

fn workspace() -> Workspace {
    Workspace::new(env!("CARGO_BIN_EXE_windrose"), None)
}

fn runs(workspace: &Workspace, dag: &str) -> Vec<Value> {
    workspace.json(&["runs", "list", dag, "--limit", "1000"]).as_array().unwrap().clone()
}

fn id(run: &Value) -> String {
    run["run_id"].as_str().unwrap().to_owned()
}

/// Waits until a DAG has so many runs that have ended well, newest first.
fn ended(workspace: &Workspace, dag: &str, count: usize) -> Vec<Value> {
    wait_until(&format!("{count} runs of {dag}"), || {
        let runs = runs(workspace, dag);
        let done = runs.iter().filter(|run| run["state"] == "success").count();
        if done >= count { Ok(runs) } else { Err(format!("{runs:?}")) }
    })
}

#[test]
fn a_task_that_succeeds_starts_the_dags_that_wait_for_its_assets_and_templates_see_its_events() {
    let workspace = workspace();
    workspace.write_dag(
        "producer.toml",
        r#"
[tasks.load]
operator = "bash"
bash_command = "true"
outlets = [{ uri = "S3://bucket/raw/", extra = { day = "{{ ds }}", rows = 3 } }, { alias = "daily", uri = "s3://bucket/{{ run_id }}" }]
[tasks.fails]
operator = "bash"
bash_command = "false"
outlets = ["s3://bucket/never"]
"#,
    );
    workspace.write_dag(
        "consumer.toml",
        r#"
schedule = { assets = "s3://bucket/raw" }
[tasks.read]
operator = "bash"
inlets = ["s3://bucket/raw"]
bash_command = """
{% for uri, events in triggering_asset_events.items() %}{% for event in events %}
echo "got {{ uri }} {{ event.extra.rows }} {{ event.extra.day }} {{ event.source_dag_id }} {{ event.source_run_id }} {{ event.source_dag_run.logical_date | ds }}"
{% endfor %}{% endfor %}
echo "inlets {{ inlet_events['s3://bucket/raw'] | length }} {{ inlet_events[0][-1].extra.rows }} {{ logical_date is undefined }} {{ dag_run.run_type }}"
"""
"#,
    );
    let by_alias = "schedule = { assets = { any = [{ alias = \"daily\" }, \"s3://bucket/never\"] } }\n[tasks.a]\noperator = \"empty\"\n";
    workspace.write_dag("by_alias.toml", by_alias);
    let standalone = workspace.standalone();
    let _ = workspace.run(&[
        "dags",
        "trigger",
        "producer",
        "--run-id",
        "one",
        "--logical-date",
        "2026-01-02T00:00:00Z",
        "--wait",
    ]);

    let run = ended(&workspace, "consumer", 1).remove(0);
    assert_eq!((run["run_type"].as_str(), run["logical_date"].is_null()), (Some("asset_triggered"), true), "{run}");
    assert!(id(&run).starts_with("asset_triggered__20"), "{run}");
    let log = workspace.task_log("consumer", &id(&run), "read");
    assert!(log.contains("got s3://bucket/raw 3 2026-01-02 producer one 2026-01-02"), "{log}");
    assert!(log.contains("inlets 1 3 True asset_triggered"), "{log}");
    ended(&workspace, "by_alias", 1);

    let events = workspace.json(&["assets", "events"]);
    let uris: Vec<_> = events.as_array().unwrap().iter().map(|event| event["uri"].as_str().unwrap()).collect();
    assert_eq!(uris, ["s3://bucket/one", "s3://bucket/raw"], "a task that failed has changed nothing");
    assert_eq!(events[0]["aliases"], serde_json::json!(["daily"]));
    assert_eq!(events[1]["runs"][0], format!("consumer {}", id(&run)));
    let shown = workspace.json(&["assets", "show", "s3://bucket/raw"]);
    assert_eq!(shown["asset"]["changed_by"][0], "producer.load");
    assert_eq!(shown["asset"]["dags_waiting"][0], "consumer");
    assert_eq!(workspace.json(&["assets", "list", "--search", "never"])[0]["events"], 0);
    standalone.kill();
}

#[test]
fn events_by_hand_start_a_dag_once_all_its_assets_have_changed_also_over_a_kill() {
    let workspace = workspace();
    workspace.write_dag(
        "both.toml",
        "schedule = { assets = { all = [\"a\", { any = [\"b\", \"c\"] }] } }\n[tasks.t]\noperator = \"bash\"\nbash_command = \"true\"\n",
    );
    let standalone = workspace.standalone();
    workspace.ok(&["assets", "emit", "a", "--extra", r#"{"n": 1}"#]);
    assert_eq!(workspace.json(&["assets", "show", "a"])["queued"][0]["dag_id"], "both");
    standalone.kill();

    let standalone = workspace.standalone();
    let told = workspace.json(&["assets", "emit", "c"]);
    assert_eq!(told["queued"][0], "both");
    let first = id(&ended(&workspace, "both", 1)[0]);
    let events = workspace.json(&["assets", "events"]);
    for event in events.as_array().unwrap() {
        assert_eq!(event["runs"][0], format!("both {first}"), "{events}");
    }
    assert_eq!(events[1]["extra"]["n"], 1);

    // A paused DAG's queue stays as it is, and so do the events that come meanwhile.
    workspace.ok(&["assets", "emit", "b"]);
    workspace.ok(&["dags", "pause", "both"]);
    wait_until("the pause", || {
        let told = workspace.json(&["assets", "emit", "a"]);
        if told["queued"].as_array().unwrap().is_empty() { Ok(()) } else { Err(told.to_string()) }
    });
    standalone.kill();
    let _standalone = workspace.standalone();
    workspace.ok(&["dags", "unpause", "both"]);
    let runs_now = wait_until("the second run", || {
        workspace.ok(&["assets", "emit", "a"]);
        let runs = runs(&workspace, "both");
        if runs.len() == 2 { Ok(runs) } else { Err(format!("{runs:?}")) }
    });
    let second = id(&runs_now[0]);
    let of_b = workspace.json(&["assets", "events", "b"]);
    assert_eq!(of_b[0]["runs"], serde_json::json!([format!("both {second}")]));

    let said = workspace.refused(&["assets", "emit", "unknown"]);
    assert!(said.contains("no DAG names the asset 'unknown'"), "{said}");
    assert!(workspace.refused(&["assets", "emit", "a", "--extra", "[1]"]).contains("--extra must be a JSON object"));
}

#[test]
fn assets_or_times_each_start_runs() {
    let workspace = workspace();
    workspace.write_dag(
        "either.toml",
        "schedule = { assets = \"a\", every = \"1s\" }\nstart_date = 2026-01-01\nmax_active_runs = 1000\n\
         [tasks.t]\noperator = \"empty\"\n",
    );
    let _standalone = workspace.standalone();
    workspace.ok(&["assets", "emit", "a"]);
    let types = |kind: &str| {
        wait_until(kind, || {
            let runs = runs(&workspace, "either");
            if runs.iter().any(|run| run["run_type"] == kind) { Ok(()) } else { Err(format!("{runs:?}")) }
        });
    };
    types("asset_triggered");
    types("scheduled");
}

#[test]
fn a_task_in_python_says_what_its_events_carry_and_which_assets_came_through_an_alias() {
    let workspace = workspace();
    workspace.write_dag(
        "scripts/produce.py",
        "def produce(outlet_events):\n    outlet_events['a'].extra = {'rows': 7}\n    outlet_events['x'].add('s3://b/k', extra={'n': 1})\n\
         def read(triggering_asset_events, inlet_events):\n    print('rows', triggering_asset_events['a'][0]['extra']['rows'], len(inlet_events['a']))\n",
    );
    workspace.write_dag(
        "producer.toml",
        "[tasks.t]\noperator = \"python\"\npython_callable = \"scripts/produce.py:produce\"\noutlets = [\"a\", { alias = \"x\" }]\n",
    );
    workspace.write_dag(
        "consumer.toml",
        "schedule = { assets = { all = [\"a\", { alias = \"x\" }] } }\n[tasks.t]\noperator = \"python\"\n\
         python_callable = \"scripts/produce.py:read\"\ninlets = [\"a\"]\n",
    );
    let _standalone = workspace.standalone();
    workspace.ok(&["dags", "trigger", "producer", "--wait"]);
    let run = ended(&workspace, "consumer", 1).remove(0);
    let log = workspace.task_log("consumer", &id(&run), "t");
    assert!(log.contains("rows 7 1"), "{log}");
    let events = workspace.json(&["assets", "events", "--alias", "x"]);
    assert_eq!((&events[0]["uri"], &events[0]["extra"]["n"]), (&Value::from("s3://b/k"), &Value::from(1)));
}

#[test]
fn kills_at_any_moment_neither_lose_an_event_nor_make_a_run_twice() {
    let workspace = workspace();
    workspace.write_dag(
        "producer.toml",
        "schedule = { every = \"1s\" }\nstart_date = 2026-01-01\nmax_active_runs = 1\n[tasks.t]\noperator = \"bash\"\n\
         bash_command = 'sleep 0.0$((RANDOM % 10))'\noutlets = [\"a\"]\n",
    );
    let consumer = "schedule = { assets = \"a\" }\n[tasks.t]\noperator = \"bash\"\nbash_command = 'true'\n";
    workspace.write_dag("consumer.toml", consumer);
    for pause in [0, 150, 400, 700, 1100] {
        let standalone = workspace.standalone();
        std::thread::sleep(std::time::Duration::from_millis(pause));
        standalone.kill();
    }
    let standalone = workspace.standalone();
    ended(&workspace, "producer", 4);
    workspace.ok(&["dags", "pause", "producer"]);
    let quiet = || {
        let open = |dag| runs(&workspace, dag).iter().filter(|run| run["state"] != "success").count();
        let open = (open("producer"), open("consumer"));
        if open == (0, 0) { Ok(()) } else { Err(format!("{open:?}")) }
    };
    wait_until("the end of all runs", quiet);
    standalone.terminate();
    let _standalone = workspace.standalone();
    wait_until("the end of all runs", quiet);
    let produced: Vec<String> = runs(&workspace, "producer").iter().map(id).collect();
    let events = workspace.json(&["assets", "events", "a", "--limit", "1000"]);
    let events = events.as_array().unwrap();
    assert_eq!(events.len(), produced.len(), "an event for each task that succeeded: {events:#?}");
    for event in events {
        let from = event["from"].as_str().unwrap();
        assert!(produced.iter().any(|run| from.ends_with(run.as_str())), "{event}");
        assert_eq!(event["runs"].as_array().unwrap().len(), 1, "each event is one run's: {event}");
    }
    assert_eq!(runs(&workspace, "consumer").len(), produced.len());
}
