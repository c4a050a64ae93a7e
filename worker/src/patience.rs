//! Calls through the port that wait for the other side to come back.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::port::PortError;

/// The first pause; it doubles up to [`LONGEST`].
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(15);

/// Repeats a call while the other side is unavailable, with pauses that double and are spread at random.
///
/// # Errors
/// [`PortError::Closed`] as soon as the other side says so, and [`PortError::Unavailable`] when `give_up` is set
/// while waiting.
pub(crate) async fn patiently<T, F: Future<Output = Result<T, PortError>>>(
    what: &str,
    give_up: &CancellationToken,
    mut call: impl FnMut() -> F,
) -> Result<T, PortError> {
    let mut pause = FIRST;
    loop {
        let error = match call().await {
            Err(error @ PortError::Unavailable(_)) => error,
            settled => return settled,
        };
        tracing::warn!(what, %error, retry_in_ms = pause.as_millis(), "waiting for the scheduler or its database");
        tokio::select! {
            () = tokio::time::sleep(pause.mul_f64(0.5 + rand::random::<f64>() / 2.0)) => {}
            () = give_up.cancelled() => return Err(error),
        }
        pause = (pause * 2).min(LONGEST);
    }
}
