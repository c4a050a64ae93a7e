//! What ids may look like.

use super::reporter::{Finding, Reporter, Span};

const MAX_LENGTH: usize = 250;

/// Reports an id that Airflow would refuse, and the few that would be a path. `what` names it: `task id`.
pub(super) fn check_id(what: &str, id: &str, span: Span, reporter: &mut Reporter<'_>) -> bool {
    let shown: String = id.chars().take(60).collect();
    let problem = if id.is_empty() {
        "is empty"
    } else if id.chars().count() > MAX_LENGTH {
        "is longer than 250 characters"
    } else if !id.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c)) {
        "may hold letters, digits, '_', '-' and '.' only"
    } else if id.chars().all(|c| c == '.') {
        "must hold something other than dots"
    } else {
        return true;
    };
    reporter.add(Finding::error(span, format!("the {what} '{shown}' {problem}")));
    false
}
