//! Operators that have to do with other DAGs of the same installation.

pub mod external_task_sensor;
pub mod trigger_dag_run;

#[cfg(test)]
mod tests;
