//! `s3_to_redshift`: loads objects of S3 into a table by `COPY`.

use async_trait::async_trait;
use serde_json::{Value, json};
use windrose_core::catalog::OperatorKind;

use super::copy_statement::{Copy, Method};
use super::transfer::{KeyWanted, Transfer, transfer_parameters};
use super::transfer_credentials::{Clause, TransferCredentials};
use crate::context::TaskContext;
use crate::operator::{Parameters, Runnable};

fn append() -> String {
    "APPEND".to_owned()
}

transfer_parameters! {
    /// Parameters of `s3_to_redshift`. The result is `{"rows": …}`, the number of rows loaded.
    pub struct S3ToRedshiftParameters {
        /// The table's schema.
        #[serde(default)]
        #[schemars(extend("x-template" = true))]
        schema: Option<String>,
        /// The table.
        #[schemars(extend("x-template" = true))]
        table: String,
        /// The columns, in the order of the fields; all of the table's if none are given.
        #[serde(default)]
        #[schemars(extend("x-template" = true))]
        column_list: Vec<String>,
        /// Options of `COPY`, each as it is written in SQL: `CSV`, `IGNOREHEADER 1`, ….
        #[serde(default)]
        #[schemars(extend("x-template" = true))]
        copy_options: Vec<String>,
        /// What becomes of the table's rows: `APPEND` keeps them, `REPLACE` deletes them first, `UPSERT` deletes those
        /// whose keys are loaded. All in one transaction.
        #[serde(default = "append")]
        #[schemars(extend("x-template" = true))]
        method: String,
        /// The columns that `UPSERT` compares; the primary key if none are given.
        #[serde(default)]
        upsert_keys: Vec<String>,
    }
}

impl Parameters for S3ToRedshiftParameters {
    const NAME: &'static str = "s3_to_redshift";
    const AIRFLOW: &'static str = "airflow.providers.amazon.aws.transfers.s3_to_redshift.S3ToRedshiftOperator";
    const SUMMARY: &'static str = "Loads objects of S3 into a Redshift table.";
    const KIND: OperatorKind = OperatorKind::Work;

    fn build(self) -> Result<Runnable, String> {
        if self.table.trim().is_empty() {
            return Err("table is empty".to_owned());
        }
        let copy = Copy {
            s3_bucket: self.s3_bucket.clone(),
            s3_key: self.s3_key.clone(),
            schema: self.schema.clone().filter(|s| !s.trim().is_empty()),
            table: self.table.clone(),
            column_list: self.column_list.clone(),
            copy_options: self.copy_options.clone(),
            method: Method::named(&self.method)?,
        };
        self.route().runnable(Load { copy, upsert_keys: self.upsert_keys })
    }
}

struct Load {
    copy: Copy,
    upsert_keys: Vec<String>,
}

#[async_trait]
impl Transfer for Load {
    const COMMAND: &'static str = "COPY";
    const OPERATOR: &'static str = S3ToRedshiftParameters::NAME;
    const COUNT: &'static str = "pg_last_copy_count()";

    fn key_wanted(&self) -> Option<KeyWanted<'_>> {
        let wanted = self.copy.method == Method::Upsert && self.upsert_keys.is_empty();
        wanted.then(|| KeyWanted { schema: self.copy.schema.as_deref().unwrap_or("public"), table: &self.copy.table })
    }

    fn script(&self, clause: &Clause, keys: &[String]) -> Result<Vec<String>, String> {
        let keys = if self.upsert_keys.is_empty() { keys } else { &self.upsert_keys };
        Ok(self.copy.script(clause, keys))
    }

    async fn result(&self, _ctx: &TaskContext, _credentials: &TransferCredentials, rows: Option<i64>) -> Value {
        json!({"rows": rows})
    }
}
