//! What one step of a chain of tasks costs: two task instances change, one attempt ends, the next begins.
//!
//! It prints figures and judges none: run it by hand with
//! `cargo test --release -p windrose-store --test hot_path -- --ignored --nocapture`.

#![expect(clippy::unwrap_used, reason = "a failed step of a test is the test's failure")]

#[path = "conformance/fixture.rs"]
#[expect(dead_code, reason = "the fixture serves the conformance suite first")]
mod fixture;

use std::time::{Duration, Instant};

use fixture::{Fixture, at, ended, keys, moved, task};
use windrose_core::attempt::{AttemptEnd, AttemptOutcome};
use windrose_core::ids::{AttemptId, RunKey};
use windrose_core::task_state::{FinalState, TaskState};
use windrose_store::{AttemptStart, Batch, Store};
use windrose_testkit::{PostgresServer, TestDatabase};

const STEPS: usize = 2000;

#[tokio::test]
#[ignore = "a measurement, not a check"]
async fn a_chain_step_on_sqlite() {
    let f = Fixture::sqlite().await;
    measure("SQLite, synchronous = FULL", &f.store).await;
}

#[tokio::test]
#[ignore = "a measurement, not a check"]
async fn a_chain_step_on_postgres() {
    let server = PostgresServer::private(true).await.unwrap();
    let database = TestDatabase::on(server).await;
    measure("PostgreSQL, fsync on", &Store::open(database.url(), keys()).await.unwrap()).await;
}

async fn measure(name: &str, store: &Store) {
    let names: Vec<String> = (0..=STEPS).map(|n| format!("task_{n:05}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let run = fixture::new_run("chain", 1, &names);
    let key = run.facts.key;
    let began = Instant::now();
    store.commit(&Batch { new_runs: vec![run], ..Batch::default() }).await.unwrap();
    println!("{name}: a run of {} task instances is created in {:?}", names.len(), began.elapsed());
    store.commit(&fixture::dispatched(&task(key, names[0]), AttemptId(1))).await.unwrap();
    let mut times = Vec::with_capacity(STEPS);
    for step in 0..STEPS {
        let batch = chain_step(key, names[step], names[step + 1], step as u128 + 1);
        let began = Instant::now();
        store.commit(&batch).await.unwrap();
        times.push(began.elapsed());
    }
    times.sort();
    let at = |share: f64| times[(share * (STEPS - 1) as f64) as usize];
    let mean = times.iter().sum::<Duration>() / STEPS as u32;
    // On a busy machine the upper figures tell of the machine; the lower ones of the code.
    println!(
        "{name}: chain step p10 {:?}, p50 {:?}, p90 {:?}, p99 {:?}, mean {mean:?}",
        at(0.1),
        at(0.5),
        at(0.9),
        at(0.99)
    );
}

fn chain_step(run: RunKey, done: &str, next: &str, attempt: u128) -> Batch {
    let (done, next) = (task(run, done), task(run, next));
    Batch {
        tasks: vec![
            moved(&done, TaskState::Queued(AttemptId(attempt)), TaskState::Final(FinalState::Success)),
            moved(&next, TaskState::None, TaskState::Queued(AttemptId(attempt + 1))),
        ],
        attempts_started: vec![AttemptStart {
            attempt: AttemptId(attempt + 1),
            key: next,
            generation: 0,
            try_number: 1,
            queued_at: at(3),
        }],
        attempts_ended: vec![AttemptEnd {
            started_at: Some(at(3)),
            ..ended(&done, AttemptId(attempt), AttemptOutcome::Success)
        }],
        ..Batch::default()
    }
}
