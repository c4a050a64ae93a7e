//! A session whose statement is cancelled on the server when the attempt is cancelled.

use std::time::Duration;

use windrose_core::cause::Cause;
use windrose_core::connection::Connection;

use super::connect::{Destination, Dialect, destination};
use super::error::statement_failed;
use super::hook_params::HookParams;
use super::patience::{TRIES, pause_after};
use super::session::Session;
use crate::aws::redshift::iam_login::with_iam_login;
use crate::context::TaskContext;
use crate::error::TaskError;

/// How long the order to cancel a statement may take.
const CANCEL: Duration = Duration::from_secs(10);

/// A session, at one of several tries.
async fn patiently_opened(
    ctx: &TaskContext,
    destination: &Destination,
    connection: &Connection,
) -> Result<Session, TaskError> {
    let mut failed = 0;
    loop {
        let refused = tokio::select! {
            biased;
            () = ctx.cancelled.cancelled() => return Err(TaskError::Cancelled),
            opened = Session::open(destination, connection) => match opened {
                Ok(session) => return Ok(session),
                Err(refused) => refused,
            },
        };
        failed += 1;
        let Some(pause) = pause_after(failed).filter(|_| refused.passes) else {
            return Err(TaskError::retryable(refused.cause));
        };
        let (what, seconds) = (refused.cause.sentence(), pause.as_secs());
        ctx.warn(format!("{what} This was try {failed} of {TRIES}; the next one is in {seconds} s."));
        ctx.sleep(pause).await?;
    }
}

/// What it takes to cancel what a session runs.
pub struct Watch {
    connection: Connection,
    destination: Destination,
    process: Option<i64>,
}

impl Watch {
    /// Opens a session with the database that this connection names. While the server is away it is tried again.
    ///
    /// # Errors
    /// The connection does not exist, is wrong, or cannot be made.
    pub async fn open(ctx: &TaskContext, conn_id: &str, hook: &HookParams) -> Result<(Session, Self), TaskError> {
        let connection = ctx.services.connection(conn_id).await?;
        let connection = with_iam_login(ctx, connection, hook.aws_conn_id.as_deref()).await?;
        let destination = destination(&connection, hook).map_err(TaskError::fatal)?;
        let mut session = patiently_opened(ctx, &destination, &connection).await?;
        let process = session.server_process().await;
        let process = process.map_err(|e| TaskError::retryable(statement_failed(&e, "SELECT pg_backend_pid()")))?;
        Ok((session, Self { connection, destination, process }))
    }

    /// Whose SQL the session speaks.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.destination.dialect
    }

    /// Does this work with the session. If the attempt is cancelled meanwhile, so is the session's statement.
    ///
    /// # Errors
    /// Those of the work, or [`TaskError::Cancelled`].
    pub async fn over<T>(
        &self,
        ctx: &TaskContext,
        work: impl Future<Output = Result<T, TaskError>>,
    ) -> Result<T, TaskError> {
        tokio::select! {
            biased;
            () = ctx.cancelled.cancelled() => {}
            done = work => return done,
        }
        if let Some(process) = self.process {
            self.cancel(ctx, process).await;
        }
        Err(TaskError::Cancelled)
    }

    /// Asks the server, over a session of its own, to give up what the other session runs.
    async fn cancel(&self, ctx: &TaskContext, process: i64) {
        let asking = async {
            let opened = Session::open(&self.destination, &self.connection).await;
            let mut session = opened.map_err(|refused| refused.cause)?;
            let order = format!("SELECT pg_cancel_backend({process})");
            let answer = session.run(&order).await.map_err(|error| statement_failed(&error, &order))?;
            session.close().await;
            Ok::<_, Cause>(answer)
        };
        match tokio::time::timeout(CANCEL, asking).await {
            Ok(Ok(_)) => ctx.info("The statement was cancelled on the server."),
            Ok(Err(cause)) => {
                ctx.error(format!("The statement could not be cancelled on the server: {}", cause.sentence()));
            }
            Err(_) => ctx.error("The statement could not be cancelled on the server in time; it may still run there."),
        }
    }
}
