//! DAGs, their versions, and the errors of their files.

use std::collections::HashSet;

use windrose_store::{DagChange, ImportErrorRow, LoadedDag, StoreError};

use crate::fixture::{Fixture, at, dag};

crate::on_both_databases!(
    a_loaded_dag_is_listed_with_all_its_facts,
    a_new_version_keeps_the_old_source_and_the_pause,
    loading_the_same_version_again_changes_nothing,
    pausing_tells_whether_it_changed_anything,
    a_dag_without_a_file_is_marked_until_it_is_loaded_again,
    import_errors_replace_those_before,
);

fn loaded(id: &str, hash: &str) -> LoadedDag {
    LoadedDag {
        dag_id: id.into(),
        file: format!("{id}.toml"),
        hash: hash.into(),
        source: format!("# {hash}"),
        description: Some("moves rows".into()),
        owner: Some("ann".into()),
        tags: vec!["etl".into(), "naïve".into()],
        schedule: Some("@daily".into()),
        git_commit: Some("0c6df0f".into()),
        author: Some("Ann <ann@example.com>".into()),
        assets: Vec::new(),
    }
}

async fn a_loaded_dag_is_listed_with_all_its_facts(f: Fixture) {
    let change = f.store.put_dag(&loaded("etl", "v1"), true, at(1)).await.unwrap();
    assert_eq!(change, DagChange { is_new: true, new_version: true, paused: true, passed_over: None });
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
    f.store.put_dag(&loaded("etl", "v1"), true, at(1)).await.unwrap();
    let change = f.store.put_dag(&loaded("etl", "v2"), false, at(2)).await.unwrap();
    assert_eq!(change, DagChange { is_new: false, new_version: true, paused: true, passed_over: None });
    let row = f.store.dag(&dag("etl")).await.unwrap().unwrap();
    assert_eq!((row.version.as_str(), row.first_seen_at, row.changed_at), ("v2", at(1), at(2)));
    let versions = f.store.dag_versions(&dag("etl")).await.unwrap();
    assert_eq!(versions.iter().map(|v| v.hash.as_str()).collect::<Vec<_>>(), ["v2", "v1"]);
    let old = f.store.dag_version(&dag("etl"), "v1").await.unwrap().unwrap();
    assert_eq!((old.source.as_str(), old.created_at), ("# v1", at(1)));
    assert_eq!(old.git_commit.as_deref(), Some("0c6df0f"));
    assert_eq!(old.author.as_deref(), Some("Ann <ann@example.com>"));
}

async fn loading_the_same_version_again_changes_nothing(f: Fixture) {
    f.store.put_dag(&loaded("etl", "v1"), false, at(1)).await.unwrap();
    let before = f.store.dag(&dag("etl")).await.unwrap();
    let change = f.store.put_dag(&loaded("etl", "v1"), true, at(5)).await.unwrap();
    assert_eq!(change, DagChange { is_new: false, new_version: false, paused: false, passed_over: None });
    assert_eq!(f.store.dag(&dag("etl")).await.unwrap(), before);
    assert_eq!(f.store.dag_versions(&dag("etl")).await.unwrap().len(), 1);
}

async fn pausing_tells_whether_it_changed_anything(f: Fixture) {
    f.store.put_dag(&loaded("etl", "v1"), false, at(1)).await.unwrap();
    assert!(f.store.set_paused(&dag("etl"), true).await.unwrap());
    assert!(!f.store.set_paused(&dag("etl"), true).await.unwrap());
    assert!(f.store.dag(&dag("etl")).await.unwrap().unwrap().paused);
    let error = f.store.set_paused(&dag("nobody"), true).await.unwrap_err();
    assert!(matches!(&error, StoreError::NotFound { .. }) && error.to_string().contains("'nobody'"), "{error}");
}

async fn a_dag_without_a_file_is_marked_until_it_is_loaded_again(f: Fixture) {
    f.store.put_dag(&loaded("etl", "v1"), false, at(1)).await.unwrap();
    f.store.put_dag(&loaded("kept", "v1"), false, at(1)).await.unwrap();
    let present = HashSet::from([dag("kept")]);
    assert_eq!(f.store.mark_absent(&present, at(2)).await.unwrap(), [dag("etl")]);
    assert_eq!(f.store.mark_absent(&present, at(3)).await.unwrap(), []);
    assert_eq!(f.store.dag(&dag("etl")).await.unwrap().unwrap().absent_since, Some(at(2)));
    f.store.put_dag(&loaded("etl", "v1"), false, at(4)).await.unwrap();
    assert_eq!(f.store.dag(&dag("etl")).await.unwrap().unwrap().absent_since, None);
}

async fn import_errors_replace_those_before(f: Fixture) {
    let error = |file: &str, id: Option<&str>| ImportErrorRow {
        file: file.into(),
        dag_id: id.map(dag),
        message: "line 3, column 1: unknown key 'shedule'; did you mean 'schedule'?".into(),
        at: at(1),
    };
    f.store.replace_import_errors(&[error("b.toml", None), error("a.toml", Some("a"))]).await.unwrap();
    assert_eq!(f.store.import_errors().await.unwrap(), [error("a.toml", Some("a")), error("b.toml", None)]);
    f.store.replace_import_errors(&[error("c.toml", None)]).await.unwrap();
    assert_eq!(f.store.import_errors().await.unwrap(), [error("c.toml", None)]);
}
