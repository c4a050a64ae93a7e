//! A wake-up is lost: the sweep finds what nobody told of, and counts it. In a healthy system it counts nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

#[path = "support/web.rs"]
mod web;

use serde_json::json;
use windrose_core::time::{Clock as _, Timestamp};
use windrose_store::{EncryptionKey, Store};
use windrose_testkit::TestDatabase;
use windrose_testkit::process::{Standalone, Workspace, wait_until};

use web::web_page;

const DAG: &str = "[tasks.a]\noperator = \"bash\"\nbash_command = \"true\"\n";

struct Noon;

impl windrose_core::time::Clock for Noon {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(1_767_268_800_000_000)
    }
}

fn caught(standalone: &Standalone) -> u64 {
    let page = String::from_utf8(web_page(&format!("{}/metrics", standalone.url))).unwrap();
    let count = page.lines().find_map(|line| line.strip_prefix("windrose_sweep_caught_total "));
    count.unwrap_or_else(|| panic!("{page}")).parse().unwrap()
}

fn catches(standalone: &Standalone, count: u64) {
    wait_until("the sweep's count", || {
        let now = caught(standalone);
        if now == count { Ok(()) } else { Err(now.to_string()) }
    });
}

/// Writes rows as a client would whose wake-up is then lost.
fn behind_its_back<T>(workspace: &Workspace, database: Option<&str>, write: impl AsyncFnOnce(&Store) -> T) -> T {
    let data = workspace.path().join(".windrose");
    let url = database.map_or_else(|| format!("sqlite:{}", data.join("windrose.db").display()), str::to_owned);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let key = EncryptionKey::load_or_create(&data.join("key")).unwrap();
        write(&Store::open(&url, key).await.unwrap()).await
    })
}

fn lost_wake_ups_are_caught(database: Option<&str>) {
    let mut workspace = Workspace::new(env!("CARGO_BIN_EXE_windrose"), database);
    workspace.set_env("WINDROSE__SCHEDULER__SWEEP_SECONDS", "1");
    workspace.write_dag("lost.toml", DAG);
    let standalone = workspace.standalone();
    workspace.ok(&["dags", "trigger", "lost", "--wait"]);
    workspace.ok(&["dags", "pause", "lost"]);
    workspace.ok(&["dags", "unpause", "lost"]);
    workspace.ok(&["pools", "set", "few", "2"]);
    workspace.write_dag("later.toml", DAG);
    wait_until("the other DAG", || {
        let dags = workspace.json(&["dags", "list"]);
        if dags.as_array().unwrap().len() == 2 { Ok(()) } else { Err(dags.to_string()) }
    });
    workspace.ok(&["dags", "trigger", "later", "--wait"]);
    assert_eq!(caught(&standalone), 0, "everything was told of");

    let trigger = json!({ "kind": "trigger", "dag_id": "lost", "run_id": "r", "logical_date": null, "note": null });
    behind_its_back(&workspace, database, async |store| {
        store.insert_command("trigger", &trigger, "test", Noon.now()).await.unwrap()
    });
    assert_eq!(workspace.run_to_end("lost", "r").state(), "success");
    // Exactly one: what was done before was not counted meanwhile.
    catches(&standalone, 1);

    behind_its_back(&workspace, database, async |store| store.set_paused(&"lost".into(), true).await.unwrap());
    catches(&standalone, 2);
    workspace.ok(&["dags", "trigger", "lost", "--run-id", "waits"]);
    assert_eq!(workspace.find_run("lost", "waits").unwrap().state(), "queued", "it is paused");
    behind_its_back(&workspace, database, async |store| store.delete_pool("few").await.unwrap());
    catches(&standalone, 3);
    assert!(workspace.log().contains("the sweep found what nobody told of"), "{}", workspace.log());
}

#[test]
fn what_nobody_told_of_is_found_and_counted_on_sqlite() {
    lost_wake_ups_are_caught(None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_told_of_is_found_and_counted_on_postgresql() {
    let database = TestDatabase::postgres().await;
    let url = database.url().to_owned();
    tokio::task::spawn_blocking(move || lost_wake_ups_are_caught(Some(&url))).await.unwrap();
}

#[test]
fn a_folder_of_dags_that_was_replaced_is_watched_again() {
    let mut workspace = Workspace::new(env!("CARGO_BIN_EXE_windrose"), None);
    workspace.set_env("WINDROSE__SCHEDULER__SWEEP_SECONDS", "1");
    workspace.write_dag("kept.toml", DAG);
    let _standalone = workspace.standalone();
    workspace.ok(&["dags", "trigger", "kept", "--wait"]);
    let dags = workspace.path().join("dags");
    std::fs::rename(&dags, workspace.path().join("away")).unwrap();
    wait_until("it to be noticed", || {
        let log = workspace.log();
        if log.contains("DAG files cannot be read") { Ok(()) } else { Err(log) }
    });
    let said = workspace.log();
    assert!(said.contains(dags.to_str().unwrap()), "{said}");
    workspace.ok(&["dags", "trigger", "kept", "--wait"]);

    std::fs::create_dir(&dags).unwrap();
    workspace.write_dag("kept.toml", DAG);
    workspace.write_dag("new.toml", DAG);
    wait_until("the new DAG", || {
        let output = workspace.run(&["dags", "trigger", "new", "--wait"]);
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    });
}

#[test]
fn sweeping_never_is_refused() {
    let mut workspace = Workspace::new(env!("CARGO_BIN_EXE_windrose"), None);
    workspace.set_env("WINDROSE__SCHEDULER__SWEEP_SECONDS", "0");
    let said = workspace.refused(&["dags", "list"]);
    assert!(said.contains("configuration is wrong") && said.to_lowercase().contains("sweep_seconds"), "{said}");
}
