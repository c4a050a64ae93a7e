//! Airflow's rules for setups and teardowns.

use std::collections::HashMap;

use super::edges::Edges;
use super::reporter::{Finding, Reporter, Span};
use super::task_fields::DeclaredTask;
use crate::trigger_rule::TriggerRule;

/// Whatever a teardown lists is a setup.
pub(super) fn mark_listed_setups(tasks: &mut [DeclaredTask], reporter: &mut Reporter<'_>) {
    if tasks.iter().all(|declared| declared.setups.is_empty()) {
        return;
    }
    let positions: HashMap<String, usize> =
        tasks.iter().enumerate().map(|(position, declared)| (declared.task.id.to_string(), position)).collect();
    for index in 0..tasks.len() {
        for setup in tasks[index].setups.clone() {
            // An unknown id is found when the edges are resolved.
            let Some(&position) = positions.get(&setup.text) else { continue };
            if tasks[position].task.teardown.is_some() {
                let message = format!("'{}' is a teardown, so it cannot be the setup of another task", setup.text);
                reporter.add(Finding::error(setup.span, message));
            } else {
                tasks[position].task.setup = true;
            }
        }
    }
}

/// Gives each teardown the setups directly above it, and checks what stands below the setups.
pub(super) fn link_setups(tasks: &mut [DeclaredTask], edges: &Edges, reporter: &mut Reporter<'_>) {
    for index in 0..tasks.len() {
        let mut setups: Vec<u32> =
            edges.up[index].iter().copied().filter(|&above| tasks[above as usize].task.setup).collect();
        if setups.is_empty() {
            continue;
        }
        setups.sort_unstable();
        if tasks[index].task.teardown.is_some() {
            let ids = setups.iter().map(|&above| tasks[above as usize].task.id.clone()).collect();
            tasks[index].task.teardown = Some(ids);
        } else if tasks[index].task.trigger_rule != TriggerRule::AllSuccess {
            let setup = &tasks[setups[0] as usize].task.id;
            let message = format!(
                "'{}' is directly below the setup '{setup}', so its trigger rule must be all_success",
                tasks[index].task.id
            );
            reporter.add(Finding::error(tasks[index].trigger_rule_span, message));
        }
    }
}

/// The fields that make a task a setup or a teardown.
pub(super) fn check_kind(declared: &DeclaredTask, on_failure: Option<Span>, reporter: &mut Reporter<'_>) {
    let task = &declared.task;
    if task.setup && task.teardown.is_some() {
        let message = format!("'{}' cannot be both a setup and a teardown", task.id);
        reporter.add(Finding::error(declared.span, message));
    }
    if let Some(span) = on_failure.filter(|_| task.on_failure_fail_dagrun && task.teardown.is_none()) {
        let message = "'on_failure_fail_dagrun' is for teardowns; the failure of any other task counts anyway";
        reporter.add(Finding::error(span, message));
    }
}
