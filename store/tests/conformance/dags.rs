//! DAGs, their versions, and the errors of their files.

use std::collections::HashSet;

use windrose_core::dag_version::bytes_hash;
use windrose_core::ids::BundleName;
use windrose_store::{
    BundleLoad, CommitFacts, DEFAULT_BUNDLE, DagChange, ImportErrorRow, LoadedDag, StoreError, VersionFile,
};

use crate::fixture::{Fixture, at, dag};

crate::on_both_databases!(
    a_loaded_dag_is_listed_with_all_its_facts,
    a_new_version_keeps_the_old_source_and_the_pause,
    loading_the_same_version_again_changes_nothing,
    pausing_tells_whether_it_changed_anything,
    a_dag_without_a_file_is_marked_until_it_is_loaded_again,
    import_errors_replace_those_before,
    the_files_of_a_version_are_kept_once_each,
    an_older_version_stays_until_the_file_holds_another_one,
    bundles_tell_what_is_loaded_and_what_hinders_them,
);

fn loaded(id: &str, hash: &str) -> LoadedDag {
    LoadedDag {
        description: Some("moves rows".into()),
        owner: Some("ann".into()),
        tags: vec!["etl".into(), "naïve".into()],
        schedule: Some("@daily".into()),
        commit: Some(commit()),
        ..LoadedDag::plain(id, hash, &format!("# {hash}"))
    }
}

fn commit() -> CommitFacts {
    CommitFacts {
        id: "0c6df0f".into(),
        author: "Ann <ann@example.com>".into(),
        committed_at: at(0),
        subject: "Move rows".into(),
    }
}

async fn a_loaded_dag_is_listed_with_all_its_facts(f: Fixture) {
    let change = f.store.put_dag(&LoadedDag { paused: true, ..loaded("etl", "v1") }, at(1)).await.unwrap();
    assert_eq!(change, DagChange { is_new: true, new_version: true, paused: true, passed_over: None, is_held: false });
    let dags = f.store.dags().await.unwrap();
    assert_eq!(dags.len(), 1);
    let row = &dags[0];
    assert_eq!((row.file.as_str(), row.version.as_str(), row.paused), ("etl.toml", "v1", true));
    assert_eq!((row.description.as_deref(), row.owner.as_deref()), (Some("moves rows"), Some("ann")));
    assert_eq!((row.tags.clone(), row.schedule.as_deref()), (vec!["etl".into(), "naïve".to_owned()], Some("@daily")));
    assert_eq!((row.first_seen_at, row.changed_at, row.absent_since), (at(1), at(1), None));
    assert_eq!(f.store.dag(&dag("etl")).await.unwrap().as_ref(), Some(row));
    assert_eq!(f.store.dag(&dag("other")).await.unwrap(), None);
}

async fn a_new_version_keeps_the_old_source_and_the_pause(f: Fixture) {
    f.store.put_dag(&LoadedDag { paused: true, ..loaded("etl", "v1") }, at(1)).await.unwrap();
    let change = f.store.put_dag(&loaded("etl", "v2"), at(2)).await.unwrap();
    assert_eq!(change, DagChange { is_new: false, new_version: true, paused: true, passed_over: None, is_held: false });
    let row = f.store.dag(&dag("etl")).await.unwrap().unwrap();
    assert_eq!((row.version.as_str(), row.first_seen_at, row.changed_at), ("v2", at(1), at(2)));
    let versions = f.store.dag_versions(&dag("etl")).await.unwrap();
    assert_eq!(versions.iter().map(|v| v.hash.as_str()).collect::<Vec<_>>(), ["v2", "v1"]);
    let old = f.store.dag_version(&dag("etl"), "v1").await.unwrap().unwrap();
    assert_eq!((old.source.as_str(), old.created_at), ("# v1", at(1)));
    assert_eq!(old.commit, Some(commit()));
}

async fn loading_the_same_version_again_changes_nothing(f: Fixture) {
    f.store.put_dag(&loaded("etl", "v1"), at(1)).await.unwrap();
    let before = f.store.dag(&dag("etl")).await.unwrap();
    let change = f.store.put_dag(&LoadedDag { paused: true, ..loaded("etl", "v1") }, at(5)).await.unwrap();
    assert_eq!(
        change,
        DagChange { is_new: false, new_version: false, paused: false, passed_over: None, is_held: false }
    );
    assert_eq!(f.store.dag(&dag("etl")).await.unwrap(), before);
    assert_eq!(f.store.dag_versions(&dag("etl")).await.unwrap().len(), 1);
}

async fn pausing_tells_whether_it_changed_anything(f: Fixture) {
    f.store.put_dag(&loaded("etl", "v1"), at(1)).await.unwrap();
    assert!(f.store.set_paused(&dag("etl"), true).await.unwrap());
    assert!(!f.store.set_paused(&dag("etl"), true).await.unwrap());
    assert!(f.store.dag(&dag("etl")).await.unwrap().unwrap().paused);
    let error = f.store.set_paused(&dag("nobody"), true).await.unwrap_err();
    assert!(matches!(&error, StoreError::NotFound { .. }) && error.to_string().contains("'nobody'"), "{error}");
}

async fn a_dag_without_a_file_is_marked_until_it_is_loaded_again(f: Fixture) {
    f.store.put_dag(&loaded("etl", "v1"), at(1)).await.unwrap();
    f.store.put_dag(&loaded("kept", "v1"), at(1)).await.unwrap();
    let load = BundleLoad { present: HashSet::from([dag("kept")]), ..load(Vec::new()) };
    f.store.load_bundle(&load, at(2)).await.unwrap();
    f.store.load_bundle(&load, at(3)).await.unwrap();
    assert_eq!(f.store.dag(&dag("etl")).await.unwrap().unwrap().absent_since, Some(at(2)));
    assert_eq!(f.store.dag(&dag("kept")).await.unwrap().unwrap().absent_since, None);
    f.store.put_dag(&loaded("etl", "v1"), at(4)).await.unwrap();
    assert_eq!(f.store.dag(&dag("etl")).await.unwrap().unwrap().absent_since, None);
}

fn load(dags: Vec<LoadedDag>) -> BundleLoad {
    let present = dags.iter().map(|dag| dag.dag_id.clone()).collect();
    BundleLoad { bundle: DEFAULT_BUNDLE.into(), commit: Some(commit()), dags, present, errors: Vec::new() }
}

async fn import_errors_replace_those_before(f: Fixture) {
    let error = |bundle: &str, file: &str, id: Option<&str>| ImportErrorRow {
        bundle: bundle.into(),
        file: file.into(),
        dag_id: id.map(dag),
        message: "line 3, column 1: unknown key 'shedule'; did you mean 'schedule'?".into(),
        at: at(1),
        git_commit: Some("0c6df0f".into()),
        author: Some("Ann <ann@example.com>".into()),
    };
    let put = async |bundle: &str, errors: Vec<ImportErrorRow>| {
        let load = BundleLoad { bundle: bundle.into(), errors, ..load(Vec::new()) };
        f.store.load_bundle(&load, at(1)).await.unwrap();
    };
    let (a, b) = (error("dags", "a.toml", Some("a")), error("dags", "b.toml", None));
    let other = error("other", "a.toml", None);
    put("dags", vec![b.clone(), a.clone()]).await;
    put("other", vec![other.clone()]).await;
    assert_eq!(f.store.import_errors().await.unwrap(), [a, b, other.clone()]);
    let c = error("dags", "c.toml", None);
    put("dags", vec![c.clone()]).await;
    assert_eq!(f.store.import_errors().await.unwrap(), [c, other]);
}

async fn the_files_of_a_version_are_kept_once_each(f: Fixture) {
    let file = |path: &str, content: &str| VersionFile {
        path: path.into(),
        hash: bytes_hash(content.as_bytes()),
        content: content.as_bytes().into(),
    };
    let (sql, script) = (file("sql/load.sql", "SELECT 1"), file("load.py", "\0 not text"));
    let with = |id: &str, hash: &str, files: &[&VersionFile]| LoadedDag {
        files: files.iter().copied().cloned().collect(),
        ..loaded(id, hash)
    };
    let other = file("sql/load.sql", "SELECT 2");
    let both = vec![with("etl", "v1", &[&sql, &script]), with("copy", "v1", &[&sql])];
    f.store.load_bundle(&load(both), at(1)).await.unwrap();
    f.store.load_bundle(&load(vec![with("etl", "v2", &[&other])]), at(2)).await.unwrap();
    assert_eq!(f.store.version_files(&dag("etl"), "v1").await.unwrap(), [script, sql.clone()]);
    assert_eq!(f.store.version_files(&dag("etl"), "v2").await.unwrap(), [other]);
    assert_eq!(f.store.version_files(&dag("copy"), "v1").await.unwrap(), [sql]);
    assert_eq!(f.store.version_files(&dag("copy"), "v2").await.unwrap(), []);
}

async fn an_older_version_stays_until_the_file_holds_another_one(f: Fixture) {
    for (number, version) in [(1, "v1"), (2, "v2")] {
        f.store.put_dag(&loaded("etl", version), at(number)).await.unwrap();
    }
    let current = async || {
        let row = f.store.dag(&dag("etl")).await.unwrap().unwrap();
        (row.version, row.held_from)
    };
    assert!(f.store.hold_version(&dag("etl"), Some("v1")).await.unwrap());
    assert!(!f.store.hold_version(&dag("etl"), Some("v1")).await.unwrap());
    let change = f.store.put_dag(&loaded("etl", "v2"), at(3)).await.unwrap();
    assert!(change.is_held && !change.new_version);
    assert_eq!(current().await, ("v1".into(), Some("v2".into())));
    let change = f.store.put_dag(&loaded("etl", "v3"), at(4)).await.unwrap();
    assert!(!change.is_held && change.new_version);
    assert_eq!(current().await, ("v3".into(), None));
    assert!(f.store.hold_version(&dag("etl"), Some("v2")).await.unwrap());
    assert!(f.store.hold_version(&dag("etl"), None).await.unwrap());
    assert_eq!(current().await, ("v3".into(), None));
    let error = f.store.hold_version(&dag("etl"), Some("v9")).await.unwrap_err();
    assert!(error.to_string().contains("version v9 of DAG 'etl'"), "{error}");
}

async fn bundles_tell_what_is_loaded_and_what_hinders_them(f: Fixture) {
    let (data, other) = (BundleName::from("data"), BundleName::from("other"));
    let both = [(data.clone(), "https://host/data".to_owned()), (other.clone(), "/srv/dags".to_owned())];
    f.store.set_bundles(&both, at(1)).await.unwrap();
    let mine = LoadedDag { bundle: data.clone(), ..loaded("etl", "v1") };
    let load = BundleLoad { bundle: data.clone(), ..load(vec![mine]) };
    f.store.load_bundle(&load, at(2)).await.unwrap();
    f.store.bundle_checked(&data, Some("https://host/data cannot be fetched"), at(3)).await.unwrap();
    let rows = f.store.bundles().await.unwrap();
    assert_eq!(
        (rows[0].commit.clone(), rows[0].loaded_at, rows[0].checked_at),
        (Some(commit()), Some(at(2)), Some(at(3)))
    );
    assert_eq!(rows[0].trouble.as_deref(), Some("https://host/data cannot be fetched"));
    assert_eq!(
        (rows[1].name.clone(), rows[1].location.as_str(), rows[1].loaded_at),
        (other.clone(), "/srv/dags", None)
    );
    f.store.set_bundles(&both[1..], at(4)).await.unwrap();
    assert_eq!(f.store.bundles().await.unwrap().len(), 1);
    assert_eq!(f.store.dag(&dag("etl")).await.unwrap().unwrap().absent_since, Some(at(4)), "its bundle is gone");
}
