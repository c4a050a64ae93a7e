//! Signals that tell a long-running command to stop.

use std::future::poll_fn;
use std::task::Poll;

use tokio::signal::unix::{SignalKind, signal};

/// Waits for the first of these signals; from this call on, none of them ends the process by itself.
///
/// A signal that cannot be handled keeps its usual effect.
pub(crate) fn first_of<const N: usize>(kinds: [SignalKind; N]) -> impl Future<Output = ()> {
    let mut handled: Vec<_> = kinds
        .into_iter()
        .filter_map(|kind| signal(kind).inspect_err(|error| tracing::warn!(%error, "a signal cannot be handled")).ok())
        .collect();
    poll_fn(move |context| {
        let received = handled.iter_mut().any(|one| one.poll_recv(context).is_ready());
        if received { Poll::Ready(()) } else { Poll::Pending }
    })
}
