//! Trying a DAG in simulated time.
