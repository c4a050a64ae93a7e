//! Wake-ups and the lock between processes, here two stores on one database.

use std::collections::HashSet;

use windrose_store::{StoreError, Topic};

use crate::fixture::Fixture;

crate::on_both_databases!(
    a_wake_up_reaches_this_process_and_others,
    every_topic_arrives_as_itself,
    a_second_standalone_is_refused_with_the_name_of_the_first,
    the_lock_is_free_again_after_its_holder_is_gone,
);

async fn a_wake_up_reaches_this_process_and_others(f: Fixture) {
    let other = f.second_store().await;
    let mut here = f.store.listen().await.unwrap();
    let mut there = other.listen().await.unwrap();
    f.store.notify(Topic::Runs).await.unwrap();
    assert_eq!(here.next().await, Topic::Runs);
    assert_eq!(there.next().await, Topic::Runs);
    other.notify(Topic::Commands).await.unwrap();
    assert_eq!(here.next().await, Topic::Commands, "its own wake-up did not come twice");
    assert_eq!(there.next().await, Topic::Commands);
}

async fn every_topic_arrives_as_itself(f: Fixture) {
    let other = f.second_store().await;
    let mut there = other.listen().await.unwrap();
    let mut seen = HashSet::new();
    for topic in Topic::ALL {
        f.store.notify(topic).await.unwrap();
        seen.insert(there.next().await);
    }
    assert_eq!(seen, HashSet::from(Topic::ALL));
}

async fn a_second_standalone_is_refused_with_the_name_of_the_first(f: Fixture) {
    let other = f.second_store().await;
    let mut first = f.store.lock_standalone("process 17 on host alpha").await.unwrap();
    let refused = other.lock_standalone("process 18 on host beta").await.unwrap_err();
    assert!(matches!(&refused, StoreError::InUse { holder } if holder == "process 17 on host alpha"), "{refused}");
    first.still_held().await.unwrap();
}

async fn the_lock_is_free_again_after_its_holder_is_gone(f: Fixture) {
    drop(f.store.lock_standalone("process 17 on host alpha").await.unwrap());
    let other = f.second_store().await;
    // The server learns a little later that a connection is gone.
    let taken = loop {
        match other.lock_standalone("process 18 on host beta").await {
            Err(StoreError::InUse { .. }) => tokio::task::yield_now().await,
            other => break other,
        }
    };
    taken.unwrap();
}
