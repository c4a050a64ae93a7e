//! `redshift_to_s3`: writes the rows of a query or table to S3 by `UNLOAD`.

use async_trait::async_trait;
use serde_json::{Value, json};
use windrose_core::catalog::OperatorKind;

use super::transfer::{KeyWanted, Transfer, transfer_parameters};
use super::transfer_credentials::{Clause, TransferCredentials};
use super::unload_statement::Unload;
use super::unloaded_objects::unloaded_objects;
use crate::aws::session::session_for;
use crate::context::TaskContext;
use crate::error::TaskError;
use crate::operator::{Parameters, Runnable};

fn yes() -> bool {
    true
}

transfer_parameters! {
    /// Parameters of `redshift_to_s3`. The result is `{"rows": …, "objects": ["s3://…", …]}`.
    pub struct RedshiftToS3Parameters {
        /// The table's schema.
        #[serde(default)]
        #[schemars(extend("x-template" = true))]
        schema: Option<String>,
        /// The table, whose name also goes into the keys.
        #[serde(default)]
        #[schemars(extend("x-template" = true))]
        table: Option<String>,
        /// The query, instead of the whole table; also the name of a file in the DAG's folder that ends in `.sql`.
        #[serde(default)]
        #[schemars(extend("x-template" = true, "x-template-file" = [".sql"]))]
        select_query: Option<String>,
        /// Options of `UNLOAD`, each as it is written in SQL: `CSV`, `PARALLEL OFF`, `ALLOWOVERWRITE`, ….
        #[serde(default)]
        #[schemars(extend("x-template" = true))]
        unload_options: Vec<String>,
        /// Write the columns' names in the first line: adds `HEADER`.
        #[serde(default)]
        include_header: bool,
        /// With `table` the keys begin with `<s3_key>/<table>_`, else with `s3_key`.
        #[serde(default = "yes")]
        table_as_file_name: bool,
    }
}

impl Parameters for RedshiftToS3Parameters {
    const NAME: &'static str = "redshift_to_s3";
    const AIRFLOW: &'static str = "airflow.providers.amazon.aws.transfers.redshift_to_s3.RedshiftToS3Operator";
    const SUMMARY: &'static str = "Unloads the rows of a Redshift query or table to S3.";
    const KIND: OperatorKind = OperatorKind::Work;

    fn build(self) -> Result<Runnable, String> {
        let given = |text: &Option<String>| text.clone().filter(|t| !t.trim().is_empty());
        let unload = Unload {
            s3_bucket: self.s3_bucket.clone(),
            s3_key: self.s3_key.clone(),
            schema: given(&self.schema),
            table: given(&self.table),
            select_query: given(&self.select_query),
            unload_options: self.unload_options.clone(),
            include_header: self.include_header,
            table_as_file_name: self.table_as_file_name,
        };
        unload.check()?;
        self.route().runnable(unload)
    }
}

#[async_trait]
impl Transfer for Unload {
    const COMMAND: &'static str = "UNLOAD";
    const OPERATOR: &'static str = RedshiftToS3Parameters::NAME;
    const COUNT: &'static str = "pg_last_unload_count()";

    fn key_wanted(&self) -> Option<KeyWanted<'_>> {
        None
    }

    fn script(&self, clause: &Clause, _keys: &[String]) -> Result<Vec<String>, String> {
        Ok(vec![self.text(clause)?])
    }

    async fn result(&self, ctx: &TaskContext, credentials: &TransferCredentials, rows: Option<i64>) -> Value {
        let objects = async {
            let session = session_for(ctx, &credentials.aws()).await?;
            let manifest = self.has_option("MANIFEST");
            Ok::<_, TaskError>(unloaded_objects(&session, &self.s3_bucket, &self.prefix(), manifest).await?)
        };
        // The rows are written, whoever may look at them.
        let objects = objects.await.map_or_else(
            |error| {
                ctx.warn(format!("The objects written are not known: {error}"));
                Value::Null
            },
            |objects| json!(objects),
        );
        json!({"rows": rows, "objects": objects})
    }
}
