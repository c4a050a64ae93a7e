//! Every public function of the store, on SQLite and on PostgreSQL, from one source. Each returns at least one row here: an
//! empty result hides columns that `Any` cannot decode.

#![expect(clippy::unwrap_used, reason = "a failed step of a test is the test's failure")]

mod fixture;

mod approvals;
mod assets;
mod backfills;
mod between_processes;
mod commit;
mod dags;
mod notifications;
mod opening;
mod records;
mod runs;
mod settings;
mod values;

/// Runs each scenario once per database.
macro_rules! on_both_databases {
    ($($scenario:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test] async fn $scenario() { super::$scenario(crate::fixture::Fixture::sqlite().await).await; })*
        }
        mod on_postgres {
            $(#[tokio::test] async fn $scenario() { super::$scenario(crate::fixture::Fixture::postgres().await).await; })*
        }
    };
}
pub(crate) use on_both_databases;
