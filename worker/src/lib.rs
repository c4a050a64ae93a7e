//! The worker: runs attempts, whatever they do, and reports one outcome for each.
//!
//! It knows nothing of the engine. What it needs from outside is [`port::WorkerPort`]; the in-process channel of
//! standalone is one form of it.

pub mod port;
