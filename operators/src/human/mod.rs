//! Operators that ask people and wait for the answer (Airflow's human-in-the-loop operators).

mod answer;
pub mod approval;
pub mod hitl;
pub mod hitl_branch;
pub mod hitl_entry;
mod question;

#[cfg(test)]
mod tests;

/// Whether the operator asks people to fill in its task's params.
#[must_use]
pub fn asks_people(operator: &str) -> bool {
    use crate::operator::Parameters as _;
    let names = [
        approval::ApprovalParameters::NAME,
        hitl::HitlParameters::NAME,
        hitl_branch::HitlBranchParameters::NAME,
        hitl_entry::HitlEntryParameters::NAME,
    ];
    names.contains(&operator)
}
