//! The pages, asked for over HTTP, over a real database.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use serde_json::{Map, Value};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use windrose_core::catalog::{Catalog, OperatorKind, ParameterProblem};
use windrose_core::dag_file::Defaults;
use windrose_core::ids::{RunKey, TaskInstanceKey};
use windrose_core::run::RunFacts;
use windrose_core::run_state::{RunState, RunType};
use windrose_core::time::{Clock, Timestamp};
use windrose_store::task_log::TaskLogs;
use windrose_store::{
    Batch, BundleLoad, DEFAULT_BUNDLE, EncryptionKey, ImportErrorRow, LoadedDag, NewRun, NewTask, Store,
};

struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(1_767_268_800_000_000)
    }
}

struct NoHooks;

#[async_trait::async_trait]
impl windrose_web::HookSecrets for NoHooks {
    async fn secret(&self, _bundle: &str) -> Result<Option<String>, String> {
        Ok(None)
    }
}

struct OnlyEmpty;

impl Catalog for OnlyEmpty {
    fn kind(&self, operator: &str) -> Option<OperatorKind> {
        (operator == "empty").then_some(OperatorKind::Empty)
    }

    fn names(&self) -> Vec<&'static str> {
        vec!["empty"]
    }

    fn check(&self, _operator: &str, _params: &Map<String, Value>) -> Vec<ParameterProblem> {
        Vec::new()
    }

    fn template_fields(&self, _operator: &str) -> &'static [&'static str] {
        &[]
    }
}

struct Site {
    url: String,
    _folder: tempfile::TempDir,
    _stop: tokio_util::sync::DropGuard,
}

impl Site {
    async fn get(&self, path: &str) -> (u16, String) {
        let answer = windrose_testkit::http_client().get(format!("{}{path}", self.url)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }
}

async fn site() -> Site {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("windrose.db").display());
    let store = Store::open(&url, EncryptionKey::load_or_create(&folder.path().join("key")).unwrap()).await.unwrap();
    fill(&store).await;
    let stop = CancellationToken::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let state = windrose_web::State {
        store,
        logs: TaskLogs::new(folder.path().join("logs")),
        clock: Arc::new(Noon),
        catalog: Arc::new(OnlyEmpty),
        defaults: Arc::new(Defaults::default()),
        sweep_caught: Arc::new(AtomicU64::new(7)),
        hooks: Arc::new(NoHooks),
    };
    tokio::spawn(windrose_web::serve(listener, state, stop.clone()));
    Site { url: format!("http://{address}"), _folder: folder, _stop: stop.drop_guard() }
}

const SOURCE: &str = r#"
description = "<script>alert(1)</script>"
chain = ["load", "check", "archive"]
[tasks.load]
operator = "empty"
[tasks.check]
operator = "empty"
[tasks.archive]
operator = "empty"
"#;

async fn fill(store: &Store) {
    let dag = LoadedDag {
        description: Some("<script>alert(1)</script>".into()),
        tags: vec!["daily".into()],
        schedule: Some("@daily".into()),
        ..LoadedDag::plain("etl", "v1", SOURCE)
    };
    store.put_dag(&dag, Noon.now()).await.unwrap();
    let facts = RunFacts {
        key: RunKey(1),
        dag_id: "etl".into(),
        run_id: "manual__a/b?c".into(),
        run_type: RunType::Manual,
        logical_date: None,
        data_interval: None,
        run_after: Noon.now(),
        conf: Map::new(),
        dag_version: "v1".into(),
        triggered_by: "test".into(),
    };
    let task = |id: &str| NewTask { key: TaskInstanceKey::unmapped(RunKey(1), id.into()), max_tries: 0 };
    let tasks = vec![task("archive"), task("check"), task("load"), task("a_task_of_another_version")];
    let run = NewRun { facts, state: RunState::Queued, created_at: Noon.now(), started_at: None, tasks };
    store.commit(&Batch { new_runs: vec![run], ..Batch::default() }).await.unwrap();
    let error = ImportErrorRow {
        bundle: DEFAULT_BUNDLE.into(),
        file: "broken.toml".into(),
        dag_id: None,
        message: "no such operator".into(),
        at: Noon.now(),
        git_commit: None,
        author: None,
    };
    let load = BundleLoad {
        bundle: DEFAULT_BUNDLE.into(),
        commit: None,
        dags: Vec::new(),
        present: HashSet::from(["etl".into()]),
        errors: vec![error],
    };
    store.load_bundle(&load, Noon.now()).await.unwrap();
}

#[tokio::test]
async fn the_first_page_lists_dags_runs_and_broken_files() {
    let (status, page) = site().await.get("/").await;
    assert_eq!(status, 200);
    for text in ["etl", "@daily", "manual__a", "queued", "broken.toml has errors", "no such operator"] {
        assert!(page.contains(text), "{text} is not on the page:\n{page}");
    }
}

#[tokio::test]
async fn markup_in_a_name_or_a_file_stays_text() {
    let site = site().await;
    for path in ["/", "/dags/etl"] {
        let (status, page) = site.get(path).await;
        assert_eq!(status, 200);
        assert!(page.contains("&lt;script&gt;"), "{page}");
        assert!(!page.contains("<script>"), "{page}");
    }
}

#[tokio::test]
async fn a_run_whose_id_needs_escaping_is_reached_by_the_link_on_the_dags_page() {
    let site = site().await;
    let (_, page) = site.get("/dags/etl").await;
    let link = page.split("href=\"").find(|part| part.contains("/runs/")).and_then(|part| part.split('"').next());
    let (status, page) = site.get(link.expect("a link to the run")).await;
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("load"), "{page}");
}

#[tokio::test]
async fn what_is_not_there_is_a_404_that_says_so() {
    let site = site().await;
    for (path, text) in [
        ("/dags/nope", "there is no DAG"),
        ("/dags/etl/runs/nope", "there is no run"),
        ("/dags/etl/runs/manual__a%2Fb%3Fc/tasks/nope/-1/tries/1", "there is no task"),
        ("/nowhere", "there is no such page"),
    ] {
        let (status, page) = site.get(path).await;
        assert_eq!(status, 404, "{path}");
        assert!(page.contains(text), "{path}: {page}");
    }
}

#[tokio::test]
async fn health_says_which_database_answers() {
    let (status, body) = site().await.get("/health").await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status, 200);
    assert_eq!(body["status"], "healthy");
    assert!(body["database"]["location"].as_str().unwrap().ends_with("windrose.db"));
}

#[tokio::test]
async fn a_run_shows_its_tasks_in_the_order_of_the_file() {
    let (status, page) = site().await.get("/dags/etl/runs/manual__a%2Fb%3Fc").await;
    assert_eq!(status, 200, "{page}");
    let places: Vec<_> = ["load", "check", "archive", "a_task_of_another_version"]
        .iter()
        .map(|task| page.find(&format!("<td>{task}</td>")).unwrap_or_else(|| panic!("{task} is missing:\n{page}")))
        .collect();
    assert!(places.is_sorted(), "{places:?}\n{page}");
}

#[tokio::test]
async fn metrics_tell_what_the_sweep_has_caught() {
    let (status, text) = site().await.get("/metrics").await;
    assert_eq!(status, 200);
    assert!(text.lines().any(|line| line == "windrose_sweep_caught_total 7"), "{text}");
}
