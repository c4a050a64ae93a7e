//! Why a task instance does not go on that asks people.

use windrose_core::approval::Asked;
use windrose_core::run::RunFacts;
use windrose_engine::TaskSnapshot;

use super::{Why, instance_name, listed};
use crate::approvals::command;

pub(super) fn waits_for_people(facts: &RunFacts, row: &TaskSnapshot, asked: &Asked) -> Why {
    let question = &asked.question;
    let who = match question.assigned_users.as_slice() {
        [] => "anybody".to_owned(),
        users => listed(users),
    };
    let text = format!(
        "it has asked '{}' ({}) since {}, and waits for an answer of {who}",
        question.subject,
        question.options.join(", "),
        asked.asked_at
    );
    let answers = command(&facts.dag_id, &facts.run_id, &instance_name(&row.task, row.map_index));
    let why = |wakes: String| Why::new("approval", text.clone(), wakes).by(question.assigned_users.clone());
    match (question.expires_at, &question.defaults) {
        (None, _) => why(format!("'{answers}'")),
        (Some(at), None) => why(format!("'{answers}', or the clock, and then it fails")).until(at),
        (Some(at), Some(defaults)) => {
            why(format!("'{answers}', or the clock, and then it is {}", defaults.join(", "))).until(at)
        }
    }
}
