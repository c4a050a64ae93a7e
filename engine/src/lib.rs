//! The half of the scheduler that decides: pure state machines without I/O, clock or randomness.
//!
//! [`RunMachine`] is one DAG run, [`Admission`] gives ready task instances their slots over all runs. The contract of
//! a [`RunMachine`]:
//!
//! 1. [`RunMachine::handle`] takes one [`Event`] and the time. `Err` is a normal outcome: the event came too late (a
//!    report under an old lease), and nothing has changed.
//! 2. [`RunMachine::poll_effect`] is then drained. What it returns is written in one transaction; nothing is told to
//!    anyone before that has committed. Per drain there is at most one [`Effect::SetTask`] per task instance and at
//!    most one [`Effect::SetRun`], from the state before the drain to the state after it.
//! 3. [`RunMachine::poll_timeout`] says when to come back with [`Event::TimerDue`].
//!
//! Effects about slots ([`Effect::Offer`] and the like) go to [`Admission`], in order; what it admits comes back as
//! [`Event::Dispatched`]. Time never runs backwards between two calls.
//!
//! After a restart, rows are loaded with [`RunMachine::restore`] and the same path goes on. An event costs work in
//! proportion to the edges it touches, never to the size of the DAG.
//!
//! Task instances are numbered (see `instances`): in this crate `p` is the position of a task in the DAG, `i` the number
//! of an instance, and for tasks that are not mapped both are the same.

pub mod admission;
pub mod assets;
pub mod backfill;
mod command;
pub mod counters;
pub mod deadline;
pub mod due;
pub mod effect;
pub mod event;
pub mod explain;
mod fail_fast;
mod instances;
mod mapping;
mod notices;
pub mod past;
pub mod plan;
mod readiness;
mod rehearsal;
mod report;
mod retry;
mod routing;
pub mod run_creation;
pub mod run_machine;
mod run_outcome;
mod settle;
mod setup_scope;
pub mod simulate;
pub mod snapshot;
mod timers;
mod transition;
pub mod trigger_rule;

pub use admission::{Admission, Admitted};
pub use effect::{Candidate, Effect, RunChange};
pub use event::{Event, MarkedState, Refused, Selection};
pub use past::{PastNews, PreviousRun};
pub use plan::Plan;
pub use rehearsal::{PlannedChange, Rehearsal};
pub use run_machine::RunMachine;
pub use snapshot::{RunSnapshot, TaskSnapshot};
