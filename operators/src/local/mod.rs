//! Operators that need nothing but this machine.

pub mod bash;
pub mod branch;
pub mod empty;
pub mod latest_only;
pub mod short_circuit;
