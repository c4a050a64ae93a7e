//! Whether a database's refusal comes again with the same statement.

/// The statement itself is at fault: it comes again until somebody changes the statement, a name in it or a privilege.
pub const SYNTAX: &str = "sql_syntax";

/// The moment was bad: the same statement may go through later.
pub const TRANSIENT: &str = "sql_transient";

/// What Redshift says by its Data API, where there is no SQLSTATE.
const SYNTAX_TEXTS: [&str; 4] = ["syntax error at", "does not exist", "permission denied for", "must be owner of"];

const TRANSIENT_TEXTS: [&str; 6] = [
    "serializable isolation violation",
    "could not serialize access",
    "deadlock detected",
    "too many connections",
    "connection limit",
    "terminating connection",
];

/// [`SYNTAX`] or [`TRANSIENT`], by SQLSTATE where there is one, or else by the text. None if it is neither, or not known.
///
/// Classes: <https://www.postgresql.org/docs/current/errcodes-appendix.html>. Redshift gives its serializable isolation
/// violation (its error 1023) the SQLSTATE of an internal error.
#[must_use]
pub fn nature(sqlstate: Option<&str>, message: &str) -> Option<&'static str> {
    match sqlstate.map(|state| (state, state.get(..2).unwrap_or_default())) {
        Some((_, "42")) => Some(SYNTAX),
        Some(("55P03" | "55006", _) | (_, "08" | "40" | "53" | "57" | "58")) => Some(TRANSIENT),
        Some((_, "XX")) | None => by_text(message),
        Some(_) => None,
    }
}

fn by_text(message: &str) -> Option<&'static str> {
    let lower = message.to_lowercase();
    let says = |texts: &[&str]| texts.iter().any(|text| lower.contains(text));
    if says(&TRANSIENT_TEXTS) {
        Some(TRANSIENT)
    } else if says(&SYNTAX_TEXTS) {
        Some(SYNTAX)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_again_is_told_from_what_may_pass() {
        for (sqlstate, message, expected) in [
            (Some("42601"), "syntax error at or near \"SELEC\"", Some(SYNTAX)),
            (Some("42P01"), "relation \"x\" does not exist", Some(SYNTAX)),
            (Some("40001"), "could not serialize access", Some(TRANSIENT)),
            (Some("57P01"), "terminating connection due to administrator command", Some(TRANSIENT)),
            (Some("55P03"), "could not obtain lock", Some(TRANSIENT)),
            (Some("XX000"), "1023 DETAIL: Serializable isolation violation on table", Some(TRANSIENT)),
            (Some("22P02"), "invalid input syntax for type integer: syntax error at", None),
            (Some("23505"), "duplicate key", None),
            (None, "ERROR: syntax error at or near \"SELEC\" Position: 1", Some(SYNTAX)),
            (None, "ERROR: permission denied for relation sales", Some(SYNTAX)),
            (None, "ERROR: Spectrum Scan Error", None),
            (Some("4"), "too short", None),
        ] {
            assert_eq!(nature(sqlstate, message), expected, "{sqlstate:?} {message}");
        }
    }
}
