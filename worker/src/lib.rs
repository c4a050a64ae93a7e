//! The worker: runs attempts, whatever they do, and reports one outcome for each.
//!
//! It knows nothing of the engine. What it needs from outside is [`port::WorkerPort`]; the in-process channel of
//! standalone is one form of it.

mod approvals;
mod attempt;
pub mod lookup;
mod mapping;
pub mod masker;
mod notifications;
pub mod options;
mod other_dags;
mod patience;
pub mod port;
mod prepare;
mod render;
mod services;
mod verdict;
mod version_folders;
mod worker;

pub use options::WorkerOptions;
pub use worker::Worker;
