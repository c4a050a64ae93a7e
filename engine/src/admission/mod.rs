//! Admission: which ready task instances get slots, over all runs.
//!
//! A candidate is taken if its pool, its run (`max_active_tasks`), its task (`max_active_tis_per_dag`,
//! `max_active_tis_per_dagrun`) and the executor have room. Order is Airflow's: effective priority weight, then the run's
//! date, then the order in the DAG file. A candidate that does not fit never stands in the way of one that does.
//!
//! Candidates wait in lanes: those of one run that want the same pool and the same number of slots. A pool keeps the head
//! of each lane whose run has room, so a full pool, a run at its limit or a paused DAG costs one look, however many wait.

mod hold;
mod lane;
mod line;
mod pool;
mod queues;
mod run_starts;
mod task_limit;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use windrose_core::ids::{DagId, RunKey, TaskInstanceKey};
use windrose_core::time::Timestamp;

use crate::effect::{Candidate, Effect};

pub use line::Line;
pub use run_starts::{QueuedRun, StartObstacle, runs_to_start, start_obstacle};

use hold::Hold;
use lane::{Lane, LaneId, Rank};
use pool::Pool;
use task_limit::{Parked, TaskKey};

/// A task instance that got its slots.
#[derive(Debug, Clone, PartialEq)]
pub struct Admitted {
    /// Which.
    pub candidate: Candidate,
    /// False: give it a new attempt ([`crate::Event::Dispatched`]). True: its deferred attempt goes on
    /// ([`crate::Event::Resumed`]).
    pub resumed: bool,
    /// When.
    pub at: Timestamp,
}

/// Why a task instance that waits for admission is not admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// Its pool does not exist.
    NoSuchPool {
        /// The pool.
        pool: String,
    },
    /// It wants more slots than its pool has in all.
    LargerThanPool {
        /// The pool.
        pool: String,
        /// What it wants.
        wanted: u32,
        /// What there is.
        slots: i64,
    },
    /// Its pool has too few free slots.
    PoolFull {
        /// The pool.
        pool: String,
        /// What it wants.
        wanted: u32,
        /// What is free; below zero after a pool was made smaller.
        free: i64,
    },
    /// Its run has as many active task instances as `max_active_tasks` allows.
    RunFull {
        /// The limit.
        max_active_tasks: u32,
    },
    /// As many instances of the task are active as `max_active_tis_per_dag` or `max_active_tis_per_dagrun` allows.
    TaskFull {
        /// The limit.
        limit: u32,
    },
    /// No worker takes tasks of its queue.
    NoWorker {
        /// The queue.
        queue: String,
    },
    /// Its DAG is paused.
    DagPaused,
    /// Nothing but other candidates: its turn comes with the next free worker slot.
    Turn,
}

/// Pools, limits and priorities over all runs. It holds no task's state: it is told everything through effects of
/// [`crate::RunMachine`]s, and after a restart through [`Effect::Offer`] and [`Effect::Occupy`] again.
#[derive(Debug, Default)]
pub struct Admission {
    pools: HashMap<String, Pool>,
    lanes: HashMap<LaneId, Lane>,
    runs: HashMap<RunKey, RunUse>,
    /// Active instances of tasks that have a limit, by run.
    tasks: HashMap<TaskKey, HashMap<RunKey, u32>>,
    /// Candidates that a task's own limit keeps out.
    parked: HashMap<TaskKey, Parked>,
    /// The queues that have workers; `None` is all.
    served: Option<BTreeSet<String>>,
    /// Candidates of all other queues, by queue.
    unserved: HashMap<String, BTreeMap<Rank, Candidate>>,
    waiting: HashMap<TaskInstanceKey, Place>,
    held: HashMap<TaskInstanceKey, Hold>,
    paused: HashSet<DagId>,
    work: u64,
}

/// Where a candidate waits.
#[derive(Debug)]
enum Place {
    Lane(LaneId, Rank),
    /// At its task's own limit.
    Parked(TaskKey, RunKey, Rank),
    /// In a queue without workers.
    Unserved(String, Rank),
}

#[derive(Debug, Default)]
struct RunUse {
    active: u32,
    lanes: BTreeSet<LaneId>,
}

impl Admission {
    /// No pools yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes or changes a pool. `slots` −1 is unlimited. A pool that becomes too small keeps what it has given away.
    pub fn set_pool(&mut self, name: &str, slots: i64, include_deferred: bool) {
        let pool = self.pools.entry(name.to_owned()).or_default();
        pool.slots = slots;
        pool.include_deferred = include_deferred;
        let used = self
            .held
            .values()
            .filter(|h| h.candidate.task().pool == name)
            .map(|h| h.pool_slots(include_deferred))
            .sum();
        if let Some(pool) = self.pools.get_mut(name) {
            pool.used = used;
        }
        self.refresh_heads_of_pool(name);
        // What they want depends on whether the pool has counted them all along.
        let going_on = |key: &&TaskInstanceKey| self.held[*key].candidate.task().pool == name;
        let deferred: Vec<_> =
            self.waiting.keys().filter(|key| self.held.contains_key(key)).filter(going_on).cloned().collect();
        for key in deferred {
            self.withdraw(&key);
            self.set_deferred(&key, false);
        }
    }

    /// Removes a pool; its candidates wait until there is one of that name again.
    pub fn remove_pool(&mut self, name: &str) {
        self.pools.remove(name);
    }

    /// Removes every pool whose name is not to be kept.
    pub fn retain_pools(&mut self, keep: impl Fn(&str) -> bool) {
        self.pools.retain(|name, _| keep(name));
    }

    /// Keeps candidates of a DAG out, or lets them in again.
    pub fn set_paused(&mut self, dag: &DagId, paused: bool) {
        let changed = if paused { self.paused.insert(dag.clone()) } else { self.paused.remove(dag) };
        if changed {
            let of_dag = |lane: &Lane| lane.candidates.values().any(|c| &c.dag.dag_id == dag);
            let runs: HashSet<RunKey> =
                self.lanes.iter().filter(|(_, lane)| of_dag(lane)).map(|(id, _)| id.run).collect();
            for run in runs {
                self.refresh_run(run);
            }
        }
    }

    /// Passes on an effect of a [`crate::RunMachine`]; false if it is none of admission's.
    pub fn apply(&mut self, effect: &Effect) -> bool {
        match effect {
            Effect::Offer(candidate) => self.offer(candidate.clone()),
            Effect::Withdraw(key) => self.withdraw(key),
            Effect::Occupy { candidate, deferred } => self.occupy(candidate.clone(), *deferred),
            Effect::Release(key) => self.release(key),
            Effect::Defer(key) => self.set_deferred(key, true),
            Effect::SetTask(_)
            | Effect::SetRun(_)
            | Effect::AddTask(_)
            | Effect::Expand { .. }
            | Effect::EndAttempt(_)
            | Effect::PushXComs { .. }
            | Effect::EmitAssets { .. }
            | Effect::ClearXComs(_)
            | Effect::Notify { .. }
            | Effect::NotifyOfRun { .. }
            | Effect::CancelAttempt { .. } => return false,
        }
        true
    }

    /// A task instance is ready.
    pub fn offer(&mut self, candidate: Candidate) {
        self.withdraw(&candidate.key);
        self.enqueue(candidate, false);
    }

    /// A task instance is not ready any more.
    pub fn withdraw(&mut self, key: &TaskInstanceKey) {
        match self.waiting.remove(key) {
            Some(Place::Lane(lane, rank)) => {
                if let Some((candidate, _)) = self.take(&lane, &rank) {
                    self.left_lane(&candidate);
                }
            }
            Some(Place::Parked(task, run, rank)) => self.take_parked(&task, run, &rank),
            Some(Place::Unserved(queue, rank)) => self.take_unserved(&queue, &rank),
            None => {}
        }
    }

    /// A task instance holds slots already: a restart.
    pub fn occupy(&mut self, candidate: Candidate, deferred: bool) {
        self.release(&candidate.key);
        let hold = Hold { candidate, deferred: false };
        self.count(&hold, true);
        let key = hold.candidate.key.clone();
        self.held.insert(key.clone(), hold);
        if deferred {
            self.set_deferred(&key, true);
        }
    }

    /// An attempt is over and gives back what it has.
    pub fn release(&mut self, key: &TaskInstanceKey) {
        self.withdraw(key);
        if let Some(hold) = self.held.remove(key) {
            self.count(&hold, false);
        }
    }

    /// A deferred attempt gives its slots back; they stay counted in pools that include deferred ones. With false it wants
    /// them again, and a later [`Admission::admit`] returns it as resumed.
    pub fn set_deferred(&mut self, key: &TaskInstanceKey, deferred: bool) {
        let Some(hold) = self.held.get(key).cloned() else { return };
        if deferred {
            self.withdraw(key);
            if !hold.deferred {
                self.count(&hold, false);
                let hold = Hold { deferred: true, ..hold };
                self.count(&hold, true);
                self.held.insert(key.clone(), hold);
            }
        } else if hold.deferred && !self.waiting.contains_key(key) {
            self.enqueue(hold.candidate, true);
        }
    }

    /// Gives slots to as many candidates as there is room for, best first. At most `free_slots` of them need a new
    /// attempt: what the executor can take.
    pub fn admit(&mut self, now: Timestamp, free_slots: usize) -> Vec<Admitted> {
        let mut admitted = Vec::new();
        let mut free = free_slots;
        while let Some((id, rank)) = self.best(free > 0) {
            self.work += 1;
            let Some((candidate, resumed)) = self.take(&id, &rank) else { break };
            self.waiting.remove(&candidate.key);
            if !resumed && self.limit_reached(&candidate).is_some() {
                self.park(candidate, rank);
                continue;
            }
            if let Some(hold) = self.held.remove(&candidate.key) {
                self.count(&hold, false);
            }
            let hold = Hold { candidate: candidate.clone(), deferred: false };
            self.count(&hold, true);
            self.held.insert(candidate.key.clone(), hold);
            free -= usize::from(!resumed);
            admitted.push(Admitted { candidate, resumed, at: now });
        }
        admitted
    }

    /// How many task instances hold slots or are deferred.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// How many task instances of a run are active: they hold slots and are not deferred.
    #[must_use]
    pub fn active_in_run(&self, run: RunKey) -> u32 {
        self.runs.get(&run).map_or(0, |r| r.active)
    }

    /// How many candidates and lane heads have been looked at: the measure of what admission costs.
    #[must_use]
    pub const fn work(&self) -> u64 {
        self.work
    }

    /// The slots in use and the slots in all of a pool.
    #[must_use]
    pub fn pool_use(&self, name: &str) -> Option<(i64, i64)> {
        self.pools.get(name).map(|pool| (pool.used, pool.slots))
    }

    /// Everything that keeps a waiting task instance out; empty if it does not wait here.
    #[must_use]
    pub fn obstacles(&self, key: &TaskInstanceKey) -> Vec<Obstacle> {
        let Some(candidate) = self.candidate(key) else { return Vec::new() };
        let task = candidate.task();
        let mut found = Vec::new();
        match self.pools.get(&task.pool) {
            None => found.push(Obstacle::NoSuchPool { pool: task.pool.clone() }),
            // A deferred one that the pool has counted all along has its slots.
            Some(pool) if pool.include_deferred && self.held.contains_key(key) => {}
            Some(pool) => found.extend(pool.obstacle(&task.pool, task.pool_slots)),
        }
        if self.active_in_run(key.run) >= candidate.dag.max_active_tasks {
            found.push(Obstacle::RunFull { max_active_tasks: candidate.dag.max_active_tasks });
        }
        if let Some(limit) = self.limit_reached(candidate) {
            found.push(Obstacle::TaskFull { limit });
        }
        if matches!(self.waiting.get(key), Some(Place::Unserved(..))) {
            found.push(Obstacle::NoWorker { queue: task.queue.clone() });
        }
        if self.paused.contains(&candidate.dag.dag_id) {
            found.push(Obstacle::DagPaused);
        }
        if found.is_empty() {
            found.push(Obstacle::Turn);
        }
        found
    }
}
