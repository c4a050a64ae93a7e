//! What admission does beyond Airflow's vectors.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use windrose_core::catalog::OperatorKind;
use windrose_core::dag::{Dag, Task};
use windrose_core::ids::{RunKey, TaskInstanceKey};
use windrose_core::time::Timestamp;
use windrose_engine::admission::Obstacle;
use windrose_engine::{Admission, Candidate};

const NOW: Timestamp = Timestamp::from_micros(0);

/// Tasks `t0`, `t1`, … with a pool, slots and a weight each.
fn dag_of(tasks: &[(&str, u32, i64)], max_active_tasks: u32) -> Arc<Dag> {
    let tasks = tasks.iter().enumerate().map(|(i, &(pool, slots, weight))| {
        let mut task = Task::new(format!("t{i}").into(), "op", OperatorKind::Work);
        task.pool = pool.to_owned();
        (task.pool_slots, task.priority_weight) = (slots, weight);
        task
    });
    let mut dag = Dag::new("d".into(), tasks.collect(), []);
    dag.max_active_tasks = max_active_tasks;
    Arc::new(dag)
}

fn candidate(dag: &Arc<Dag>, run: i64, position: usize) -> Candidate {
    Candidate {
        key: TaskInstanceKey::unmapped(RunKey(run), dag.tasks[position].id.clone()),
        dag: Arc::clone(dag),
        position,
        weight: dag.tasks[position].priority_weight,
        run_date: Timestamp::from_micros(run),
    }
}

fn admitted(admission: &mut Admission, free_slots: usize) -> Vec<(i64, usize)> {
    admission.admit(NOW, free_slots).iter().map(|a| (a.candidate.key.run.0, a.candidate.position)).collect()
}

#[test]
fn ten_thousand_candidates_of_a_full_pool_cost_the_others_nothing() {
    let dag = dag_of(&[("full", 1, 9), ("free", 1, 1)], 16);
    let mut admission = Admission::new();
    admission.set_pool("full", 0, false);
    admission.set_pool("free", 1, false);
    for run in 0..10_000 {
        admission.offer(candidate(&dag, run, 0));
    }
    let before = admission.work();
    admission.offer(candidate(&dag, 10_000, 1));
    assert_eq!(admitted(&mut admission, 5), [(10_000, 1)]);
    assert!(admission.work() - before < 10, "{} looks", admission.work() - before);
}

#[test]
fn ten_thousand_candidates_of_a_full_run_cost_one_look_when_one_of_them_ends() {
    let dag = dag_of(&vec![("p", 1, 1); 10_000], 1);
    let mut admission = Admission::new();
    admission.set_pool("p", -1, false);
    for position in 0..10_000 {
        admission.offer(candidate(&dag, 1, position));
    }
    assert_eq!(admitted(&mut admission, 100), [(1, 0)]);
    let before = admission.work();
    admission.release(&candidate(&dag, 1, 0).key);
    assert_eq!(admitted(&mut admission, 100), [(1, 1)]);
    assert!(admission.work() - before < 10, "{} looks", admission.work() - before);
}

#[test]
fn no_more_new_attempts_are_given_out_than_the_executor_can_take() {
    let dag = dag_of(&[("p", 1, 1), ("p", 1, 3), ("p", 1, 2)], 16);
    let mut admission = Admission::new();
    admission.set_pool("p", -1, false);
    (0..3).for_each(|position| admission.offer(candidate(&dag, 1, position)));
    assert_eq!(admitted(&mut admission, 2), [(1, 1), (1, 2)]);
    assert_eq!(admitted(&mut admission, 2), [(1, 0)]);
}

#[test]
fn a_paused_dag_waits_and_goes_on() {
    let dag = dag_of(&[("p", 1, 1)], 16);
    let mut admission = Admission::new();
    admission.set_pool("p", -1, false);
    admission.offer(candidate(&dag, 1, 0));
    admission.set_paused(&dag.dag_id, true);
    assert!(admitted(&mut admission, 9).is_empty());
    assert_eq!(admission.obstacles(&candidate(&dag, 1, 0).key), [Obstacle::DagPaused]);
    admission.set_paused(&dag.dag_id, false);
    assert_eq!(admitted(&mut admission, 9), [(1, 0)]);
}

#[test]
fn a_candidate_of_a_pool_that_does_not_exist_yet_waits_for_it() {
    let dag = dag_of(&[("later", 2, 1)], 16);
    let mut admission = Admission::new();
    let key = candidate(&dag, 1, 0).key;
    admission.offer(candidate(&dag, 1, 0));
    assert_eq!(admission.obstacles(&key), [Obstacle::NoSuchPool { pool: "later".to_owned() }]);
    admission.set_pool("later", 1, false);
    let too_large = Obstacle::LargerThanPool { pool: "later".to_owned(), wanted: 2, slots: 1 };
    assert_eq!(admission.obstacles(&key), [too_large]);
    admission.set_pool("later", 2, false);
    assert_eq!(admitted(&mut admission, 9), [(1, 0)]);
}

#[test]
fn a_pool_that_is_removed_and_made_again_still_counts_who_is_in_it() {
    let dag = dag_of(&[("p", 1, 1), ("p", 1, 1)], 16);
    let mut admission = Admission::new();
    admission.set_pool("p", 1, false);
    admission.offer(candidate(&dag, 1, 0));
    assert_eq!(admitted(&mut admission, 9), [(1, 0)]);
    admission.offer(candidate(&dag, 1, 1));
    admission.remove_pool("p");
    admission.set_pool("p", 1, false);
    assert!(admitted(&mut admission, 9).is_empty());
    admission.release(&candidate(&dag, 1, 0).key);
    assert_eq!(admitted(&mut admission, 9), [(1, 1)]);
}

#[test]
fn the_limit_of_a_task_over_all_runs_lets_the_next_one_in_when_one_ends() {
    let mut dag = Arc::unwrap_or_clone(dag_of(&[("p", 1, 1)], 16));
    dag.tasks[0].max_active_tis_per_dag = Some(1);
    let dag = Arc::new(dag);
    let mut admission = Admission::new();
    admission.set_pool("p", -1, false);
    (1..=3).for_each(|run| admission.offer(candidate(&dag, run, 0)));
    assert_eq!(admitted(&mut admission, 9), [(1, 0)]);
    assert_eq!(admission.obstacles(&candidate(&dag, 2, 0).key), [Obstacle::TaskFull { limit: 1 }]);
    admission.release(&candidate(&dag, 1, 0).key);
    assert_eq!(admitted(&mut admission, 9), [(2, 0)]);
}

#[test]
fn a_deferred_attempt_keeps_its_slots_only_in_a_pool_that_counts_deferred_ones() {
    for (include_deferred, expected) in [(false, vec![(1, 1)]), (true, vec![])] {
        let dag = dag_of(&[("p", 1, 1), ("p", 1, 1)], 16);
        let mut admission = Admission::new();
        admission.set_pool("p", 1, include_deferred);
        admission.occupy(candidate(&dag, 1, 0), false);
        admission.set_deferred(&candidate(&dag, 1, 0).key, true);
        admission.offer(candidate(&dag, 1, 1));
        assert_eq!(admitted(&mut admission, 9), expected);
    }
}

#[test]
fn in_a_pool_that_counts_deferred_ones_a_deferred_attempt_can_always_go_on() {
    let dag = dag_of(&[("p", 1, 1)], 16);
    let mut admission = Admission::new();
    admission.set_pool("p", 1, true);
    admission.occupy(candidate(&dag, 1, 0), true);
    admission.set_deferred(&candidate(&dag, 1, 0).key, false);
    assert_eq!(admitted(&mut admission, 0), [(1, 0)]);
    assert_eq!(admission.pool_use("p"), Some((1, 1)));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_pool_run_or_task_ever_holds_more_than_it_may(
        tasks in proptest::collection::vec((0..3_usize, 1..4_u32, -3..3_i64, proptest::option::of(1..3_u32)), 1..8),
        steps in proptest::collection::vec((0..6_u32, any::<u32>()), 0..120),
    ) {
        const POOLS: [&str; 3] = ["a", "b", "c"];
        let specs: Vec<_> = tasks.iter().map(|&(pool, slots, weight, _)| (POOLS[pool], slots, weight)).collect();
        let mut dag = Arc::unwrap_or_clone(dag_of(&specs, 2));
        for (task, spec) in dag.tasks.iter_mut().zip(&tasks) {
            task.max_active_tis_per_dag = spec.3;
        }
        let dag = Arc::new(dag);
        let mut admission = Admission::new();
        (0..).zip(POOLS).for_each(|(i, pool)| admission.set_pool(pool, i + 1, i == 1));
        // (run, task) → deferred
        let mut held: std::collections::BTreeMap<(i64, usize), bool> = std::collections::BTreeMap::new();
        let mut waiting: BTreeSet<(i64, usize)> = BTreeSet::new();
        for (what, which) in steps {
            let at = (i64::from(which % 4), (which / 4) as usize % dag.tasks.len());
            let one = candidate(&dag, at.0, at.1);
            match what {
                0 | 1 if !held.contains_key(&at) => {
                    admission.offer(one);
                    waiting.insert(at);
                }
                2 if held.contains_key(&at) => {
                    admission.release(&one.key);
                    held.remove(&at);
                    waiting.remove(&at);
                }
                3 if held.get(&at) == Some(&false) => {
                    admission.set_deferred(&one.key, true);
                    held.insert(at, true);
                }
                4 if held.get(&at) == Some(&true) => {
                    admission.set_deferred(&one.key, false);
                    waiting.insert(at);
                }
                5 => {
                    for a in admission.admit(NOW, (which % 5) as usize) {
                        let at = (a.candidate.key.run.0, a.candidate.position);
                        prop_assert_eq!(a.resumed, held.contains_key(&at));
                        prop_assert!(waiting.remove(&at), "{:?} did not wait", at);
                        held.insert(at, false);
                    }
                }
                _ => {}
            }
            for (i, pool) in (0..).zip(POOLS) {
                let of_pool = |(&(_, task), &deferred): (&(i64, usize), &bool)| {
                    let task = &dag.tasks[task];
                    if task.pool == pool && (!deferred || i == 1) { i64::from(task.pool_slots) } else { 0 }
                };
                let used: i64 = held.iter().map(of_pool).sum();
                prop_assert_eq!(admission.pool_use(pool), Some((used, i + 1)));
                prop_assert!(used <= i + 1, "pool {} holds {}", pool, used);
            }
            for run in 0..4 {
                let active = held.iter().filter(|&(at, deferred)| at.0 == run && !deferred).count();
                prop_assert!(active <= 2, "run {} has {} active tasks", run, active);
                prop_assert_eq!(admission.active_in_run(RunKey(run)) as usize, active);
            }
        }
        // Whoever still waits says why, or is let in.
        let free = admission.admit(NOW, usize::MAX);
        let let_in: BTreeSet<_> = free.iter().map(|a| (a.candidate.key.run.0, a.candidate.position)).collect();
        for at in waiting.difference(&let_in) {
            let key = candidate(&dag, at.0, at.1).key;
            let obstacles = admission.obstacles(&key);
            prop_assert!(!obstacles.is_empty() && !obstacles.contains(&Obstacle::Turn), "{:?}: {:?}", at, obstacles);
        }
    }
}

#[test]
fn a_candidate_of_a_queue_without_workers_waits_in_nobodys_way() {
    let task = |queue: &str, position: usize| {
        let mut task = Task::new(format!("t{position}").into(), "op", OperatorKind::Work);
        (task.queue, task.priority_weight) = (queue.to_owned(), 10 - i64::try_from(position).unwrap());
        task
    };
    let tasks = vec![task("gpu", 0), task("default", 1)];
    let dag = Arc::new(Dag::new("d".into(), tasks, []));
    let mut admission = Admission::new();
    admission.set_pool("default_pool", 5, false);
    let only = |queue: &str| Some(BTreeSet::from([queue.to_owned()]));
    admission.set_queues(only("default"));
    for run in 0..3 {
        admission.offer(candidate(&dag, run, 0));
    }
    admission.offer(candidate(&dag, 0, 1));
    let waits = candidate(&dag, 0, 0).key;
    assert_eq!(admission.obstacles(&waits), [Obstacle::NoWorker { queue: "gpu".to_owned() }]);
    assert_eq!(admitted(&mut admission, 9), [(0, 1)]);
    // One goes, the others change sides twice.
    admission.withdraw(&candidate(&dag, 1, 0).key);
    admission.set_queues(only("gpu"));
    admission.offer(candidate(&dag, 1, 1));
    assert_eq!(admitted(&mut admission, 1), [(0, 0)]);
    assert_eq!(admission.obstacles(&candidate(&dag, 1, 1).key), [Obstacle::NoWorker { queue: "default".to_owned() }]);
    admission.set_queues(only("default"));
    assert_eq!(admitted(&mut admission, 9), [(1, 1)]);
    admission.set_queues(None);
    assert_eq!(admitted(&mut admission, 9), [(2, 0)]);
}
