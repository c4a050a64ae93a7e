//! Which errors of opening a session pass by themselves, and how long to wait before it is tried again.

use std::io::ErrorKind;
use std::time::Duration;

/// How often a session is tried to be opened before that is a failure. Airflow's Redshift hook does the same.
pub const TRIES: u32 = 5;

/// No pause is longer.
const LONGEST: Duration = Duration::from_secs(20);

/// How long to wait after so many failed tries: one second, then always twice as long. `None` when it is enough.
#[must_use]
pub fn pause_after(failed: u32) -> Option<Duration> {
    let doublings = failed.saturating_sub(1).min(16);
    (failed < TRIES).then(|| Duration::from_secs(1 << doublings).min(LONGEST))
}

/// Whether another try may find the server in another mood: it was not there, hung up, or has no place or no time for
/// anyone yet. Whom it refuses, it will refuse again.
#[must_use]
pub fn passes(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => {
            let kind = matches!(
                error.kind(),
                ErrorKind::ConnectionRefused
                    | ErrorKind::ConnectionReset
                    | ErrorKind::ConnectionAborted
                    | ErrorKind::BrokenPipe
                    | ErrorKind::HostUnreachable
                    | ErrorKind::NetworkUnreachable
                    | ErrorKind::NetworkDown
                    | ErrorKind::Interrupted
                    | ErrorKind::TimedOut
                    | ErrorKind::UnexpectedEof
            );
            // The resolver's own errors have no kind.
            kind || error.to_string().contains("Temporary failure in name resolution")
        }
        sqlx::Error::Database(refusal) => refusal.code().is_some_and(|code| passing_state(&code)),
        _ => false,
    }
}

/// Too many connections, starting up or shutting down, and the connection's own troubles (class 08) other than that
/// the server does not want it or does not understand it.
fn passing_state(sqlstate: &str) -> bool {
    let passing = matches!(sqlstate, "53300" | "57P01" | "57P02" | "57P03");
    passing || (sqlstate.starts_with("08") && !matches!(sqlstate, "08004" | "08P01"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_tries_have_four_pauses_that_double() {
        let pauses: Vec<_> = (1..).map_while(pause_after).map(|pause| pause.as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8]);
        assert_eq!(pause_after(u32::MAX), None);
    }

    #[test]
    fn a_server_that_is_away_may_come_back() {
        for kind in [ErrorKind::ConnectionRefused, ErrorKind::ConnectionReset, ErrorKind::TimedOut] {
            assert!(passes(&sqlx::Error::Io(kind.into())), "{kind}");
        }
        for state in ["57P03", "53300", "08006"] {
            assert!(passing_state(state), "{state}");
        }
    }

    #[test]
    fn who_is_refused_stays_refused() {
        assert!(!passes(&sqlx::Error::Io(ErrorKind::InvalidData.into())), "a wrong certificate");
        assert!(!passes(&sqlx::Error::Tls("server does not support TLS".into())));
        for state in ["28P01", "28000", "3D000", "08004"] {
            assert!(!passing_state(state), "{state}");
        }
    }
}
