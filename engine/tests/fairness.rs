//! Order, limits and fairness of admission, against a model that looks at every candidate each time.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use windrose_core::catalog::OperatorKind;
use windrose_core::dag::{Dag, Task};
use windrose_core::ids::{RunKey, TaskInstanceKey};
use windrose_core::time::Timestamp;
use windrose_engine::admission::{Line, Obstacle};
use windrose_engine::{Admission, Candidate};

const NOW: Timestamp = Timestamp::from_micros(0);
const POOLS: [&str; 3] = ["a", "b", "c"];
/// How many instances each task has in the model's runs.
const INSTANCES: i32 = 3;

/// What one task is like: pool, slots, weight, limit over all runs, limit per run.
type Shape = (usize, u32, i64, Option<u32>, Option<u32>);

fn dag_of(shapes: &[Shape], max_active_tasks: u32) -> Arc<Dag> {
    let tasks = shapes.iter().enumerate().map(|(i, &(pool, slots, weight, of_dag, of_run))| {
        let mut task = Task::new(format!("t{i}").into(), "op", OperatorKind::Work);
        task.pool = POOLS[pool].to_owned();
        (task.pool_slots, task.priority_weight) = (slots, weight);
        (task.max_active_tis_per_dag, task.max_active_tis_per_dagrun) = (of_dag, of_run);
        task
    });
    let mut dag = Dag::new("d".into(), tasks.collect(), []);
    dag.max_active_tasks = max_active_tasks;
    Arc::new(dag)
}

/// Run, position, map index.
type At = (i64, usize, i32);

fn candidate(dag: &Arc<Dag>, (run, position, map_index): At) -> Candidate {
    Candidate {
        key: TaskInstanceKey { run: RunKey(run), task: dag.tasks[position].id.clone(), map_index },
        dag: Arc::clone(dag),
        position,
        weight: dag.tasks[position].priority_weight,
        // Two runs share each date.
        run_date: Timestamp::from_micros(run / 2),
    }
}

fn place_of(candidate: &Candidate) -> At {
    (candidate.key.run.0, candidate.position, candidate.key.map_index)
}

/// Admission as Airflow's critical section is written: a list, sorted, and every limit looked at for each candidate.
struct Model {
    dag: Arc<Dag>,
    pools: [(i64, bool); 3],
    /// True: it is deferred and wants to go on.
    waiting: BTreeMap<At, bool>,
    /// True: it is deferred.
    held: BTreeMap<At, bool>,
}

impl Model {
    fn used(&self, pool: usize) -> i64 {
        let slots = |(at, deferred): (&At, &bool)| {
            let task = &self.dag.tasks[at.1];
            let counts = task.pool == POOLS[pool] && (!deferred || self.pools[pool].1);
            if counts { i64::from(task.pool_slots) } else { 0 }
        };
        self.held.iter().map(slots).sum()
    }

    fn active(&self, which: impl Fn(&At) -> bool) -> u32 {
        u32::try_from(self.held.iter().filter(|(at, deferred)| !**deferred && which(at)).count()).unwrap()
    }

    fn fits(&self, at: At, resumes: bool, free: usize) -> bool {
        let task = &self.dag.tasks[at.1];
        let pool = POOLS.iter().position(|pool| *pool == task.pool).unwrap();
        let (slots, include_deferred) = self.pools[pool];
        let wanted = if resumes && include_deferred { 0 } else { i64::from(task.pool_slots) };
        let pool_has_room = slots < 0 || wanted <= (slots - self.used(pool)).max(0);
        let run_has_room = self.active(|other| other.0 == at.0) < self.dag.max_active_tasks;
        let dag_limit = task.max_active_tis_per_dag.is_none_or(|limit| self.active(|o| o.1 == at.1) < limit);
        let same = |other: &At| (other.0, other.1) == (at.0, at.1);
        let run_limit = task.max_active_tis_per_dagrun.is_none_or(|limit| self.active(same) < limit);
        pool_has_room && run_has_room && (resumes || (dag_limit && run_limit && free > 0))
    }

    fn admit(&mut self, mut free: usize) -> Vec<At> {
        let mut admitted = Vec::new();
        loop {
            let mut order: Vec<(At, bool)> = self.waiting.iter().map(|(at, resumes)| (*at, *resumes)).collect();
            let weight = |at: &At| self.dag.tasks[at.1].priority_weight;
            order.sort_by_key(|(at, resumes)| (!resumes, Reverse(weight(at)), at.0 / 2, *at));
            let Some((at, resumes)) = order.into_iter().find(|(at, resumes)| self.fits(*at, *resumes, free)) else {
                return admitted;
            };
            self.waiting.remove(&at);
            self.held.insert(at, false);
            free -= usize::from(!resumes);
            admitted.push(at);
        }
    }
}

fn any_shape() -> impl Strategy<Value = Shape> {
    (0..3_usize, 1..4_u32, -2..3_i64, proptest::option::of(1..3_u32), proptest::option::of(1..3_u32))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_admission_takes_whom_airflows_order_takes(
        shapes in proptest::collection::vec(any_shape(), 1..6),
        max_active_tasks in 1..5_u32,
        steps in proptest::collection::vec((0..8_u32, any::<u32>()), 0..150),
    ) {
        let dag = dag_of(&shapes, max_active_tasks);
        let mut admission = Admission::new();
        let pools = [(1, false), (2, true), (-1, false)];
        let mut model = Model { dag: Arc::clone(&dag), pools, waiting: BTreeMap::new(), held: BTreeMap::new() };
        (0..3).for_each(|i| admission.set_pool(POOLS[i], pools[i].0, pools[i].1));
        for (what, which) in steps {
            let instance = i32::try_from(which / 64).unwrap_or(0) % INSTANCES;
            let at = (i64::from(which % 4), (which / 4) as usize % shapes.len(), instance);
            let one = candidate(&dag, at);
            let used_before: Vec<i64> = (0..3).map(|pool| model.used(pool)).collect();
            match (what, model.held.get(&at).copied()) {
                (0..=2, None) => {
                    admission.offer(one);
                    model.waiting.insert(at, false);
                }
                (3, None) => {
                    admission.withdraw(&one.key);
                    model.waiting.remove(&at);
                }
                (3, Some(_)) => {
                    admission.release(&one.key);
                    model.held.remove(&at);
                    model.waiting.remove(&at);
                }
                (4, Some(false)) => {
                    admission.set_deferred(&one.key, true);
                    model.held.insert(at, true);
                }
                (4, Some(true)) => {
                    admission.set_deferred(&one.key, false);
                    model.waiting.insert(at, true);
                }
                // Somebody makes a pool larger or smaller.
                (5, _) => {
                    let (pool, slots) = (which as usize % 3, i64::from(which / 3 % 6) - 1);
                    model.pools[pool] = (slots, which / 32 % 2 == 0);
                    admission.set_pool(POOLS[pool], slots, model.pools[pool].1);
                }
                (6 | 7, _) => {
                    let free = (which % 4) as usize;
                    let admitted: Vec<At> =
                        admission.admit(NOW, free).iter().map(|a| place_of(&a.candidate)).collect();
                    prop_assert_eq!(admitted, model.admit(free));
                }
                _ => {}
            }
            for pool in 0..3 {
                let used = model.used(pool);
                prop_assert_eq!(admission.pool_use(POOLS[pool]), Some((used, model.pools[pool].0)));
                let fits = model.pools[pool].0 < 0 || used <= model.pools[pool].0;
                let resized = what == 5;
                prop_assert!(fits || resized || used <= used_before[pool], "an over-full pool took in more");
            }
        }
        // Whoever is left out once there is no limit on workers can say why.
        prop_assert_eq!(
            admission.admit(NOW, usize::MAX).iter().map(|a| place_of(&a.candidate)).collect::<Vec<_>>(),
            model.admit(usize::MAX)
        );
        for at in model.waiting.keys() {
            let key = candidate(&dag, *at).key;
            let obstacles = admission.obstacles(&key);
            prop_assert!(!obstacles.is_empty() && !obstacles.contains(&Obstacle::Turn), "{:?}: {:?}", at, obstacles);
            for obstacle in &obstacles {
                let wants_what_is_held = match obstacle {
                    Obstacle::PoolFull { free, wanted, .. } => *free < i64::from(*wanted) && model.used(shapes[at.1].0) > 0,
                    Obstacle::RunFull { .. } | Obstacle::TaskFull { .. } => true,
                    _ => false,
                };
                let holders = admission.holders(&key, obstacle);
                let others = model.held.keys().filter(|other| *other != at).count();
                prop_assert!(!wants_what_is_held || others == 0 || !holders.is_empty(), "{:?}: {:?}", at, obstacle);
            }
        }
    }
}

/// Ten thousand instances of one task that cannot go on for some reason, and one of another that can.
fn work_for_another(hinder: impl Fn(&mut Dag, &mut Admission)) -> u64 {
    let mut dag = Arc::unwrap_or_clone(dag_of(&[(0, 1, 9, None, None)], 1_000_000));
    let mut admission = Admission::new();
    (0..3).for_each(|i| admission.set_pool(POOLS[i], -1, false));
    hinder(&mut dag, &mut admission);
    let dag = Arc::new(dag);
    (0..10_000).for_each(|index| admission.offer(candidate(&dag, (1, 0, index))));
    admission.admit(NOW, usize::MAX);
    let mut other = Arc::unwrap_or_clone(dag_of(&[(1, 1, 1, None, None)], 16));
    other.dag_id = "other".into();
    let before = admission.work();
    admission.offer(candidate(&Arc::new(other), (2, 0, -1)));
    let admitted = admission.admit(NOW, 1);
    assert_eq!(admitted.iter().map(|a| a.candidate.key.run.0).collect::<Vec<_>>(), [2], "it goes in the next round");
    admission.work() - before
}

#[test]
fn ten_thousand_that_wait_delay_another_by_no_more_than_one_round_whatever_they_wait_for() {
    let full_pool = work_for_another(|_, admission| admission.set_pool("a", 1, false));
    let full_run = work_for_another(|dag, _| dag.max_active_tasks = 2);
    let limited = work_for_another(|dag, _| dag.tasks[0].max_active_tis_per_dag = Some(2));
    let limited_in_run = work_for_another(|dag, _| dag.tasks[0].max_active_tis_per_dagrun = Some(2));
    let paused = work_for_another(|_, admission| admission.set_paused(&"d".into(), true));
    let all = [full_pool, full_run, limited, limited_in_run, paused];
    assert!(all.iter().all(|work| *work < 10), "{all:?} looks");
}

#[test]
fn ten_thousand_instances_of_a_limited_task_cost_the_same_each() {
    for (of_dag, of_run) in [(Some(3), None), (None, Some(3))] {
        let dag = dag_of(&[(0, 1, 1, of_dag, of_run)], 1_000_000);
        let mut admission = Admission::new();
        admission.set_pool("a", -1, false);
        (0..10_000).for_each(|index| admission.offer(candidate(&dag, (1, 0, index))));
        let mut order = Vec::new();
        loop {
            let admitted = admission.admit(NOW, usize::MAX);
            if admitted.is_empty() {
                break;
            }
            assert!(admitted.len() <= 3);
            order.extend(admitted.iter().map(|a| a.candidate.key.map_index));
            admitted.iter().for_each(|a| admission.release(&a.candidate.key));
        }
        assert_eq!(order, (0..10_000).collect::<Vec<_>>());
        assert!(admission.work() < 200_000, "{} looks", admission.work());
    }
}

#[test]
fn a_parked_candidate_comes_when_the_one_before_it_is_withdrawn() {
    let dag = dag_of(&[(0, 1, 1, Some(1), None)], 16);
    let mut admission = Admission::new();
    admission.set_pool("a", 1, false);
    (0..3).for_each(|index| admission.offer(candidate(&dag, (1, 0, index))));
    assert_eq!(admission.admit(NOW, 9).len(), 1);
    // The next one may come as far as its task is concerned, but the pool has no room.
    admission.set_pool("a", 0, false);
    admission.release(&candidate(&dag, (1, 0, 0)).key);
    assert!(admission.admit(NOW, 9).is_empty());
    admission.withdraw(&candidate(&dag, (1, 0, 1)).key);
    admission.set_pool("a", 1, false);
    let admitted: Vec<At> = admission.admit(NOW, 9).iter().map(|a| place_of(&a.candidate)).collect();
    assert_eq!(admitted, [(1, 0, 2)]);
}

#[test]
fn whoever_waits_for_a_pool_knows_its_place_and_who_holds_the_slots() {
    let dag = dag_of(&[(0, 1, 1, None, None), (0, 1, 5, None, None)], 16);
    let mut admission = Admission::new();
    admission.set_pool("a", 1, false);
    admission.offer(candidate(&dag, (1, 0, -1)));
    admission.admit(NOW, 9);
    for at in [(2, 0, -1), (3, 0, -1), (4, 1, -1)] {
        admission.offer(candidate(&dag, at));
    }
    let key = candidate(&dag, (3, 0, -1)).key;
    assert_eq!(admission.line(&key), Some(Line { pool: "a".to_owned(), used: 1, slots: 1, place: 3, length: 3 }));
    let obstacles = admission.obstacles(&key);
    assert_eq!(obstacles, [Obstacle::PoolFull { pool: "a".to_owned(), wanted: 1, free: 0 }]);
    assert_eq!(admission.holders(&key, &obstacles[0]), [candidate(&dag, (1, 0, -1)).key]);
}
