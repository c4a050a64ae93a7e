//! Operators that ask people and wait for the answer (Airflow's human-in-the-loop operators).

mod answer;
pub mod approval;
pub mod hitl;
pub mod hitl_branch;
pub mod hitl_entry;
mod question;

#[cfg(test)]
mod tests;
