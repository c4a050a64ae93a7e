//! What `UNLOAD` and `COPY` tasks have in common: their parameters, and the two ways on which their statements go.

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::data_kwargs::data_api_route;
use super::transfer_credentials::{Clause, TransferCredentials};
use super::transfer_data::DataTransfer;
use super::transfer_wire::WireTransfer;
use crate::context::TaskContext;
use crate::operator::Runnable;

/// Airflow's default for `redshift_conn_id`.
pub(super) const DEFAULT_REDSHIFT_CONN_ID: &str = "redshift_default";

/// The key whose rows are replaced, of a table that does not say it.
pub(super) struct KeyWanted<'a> {
    pub(super) schema: &'a str,
    pub(super) table: &'a str,
}

/// Rows that go to S3 or come from it.
#[async_trait]
pub(super) trait Transfer: Send + Sync + 'static {
    /// `UNLOAD` or `COPY`.
    const COMMAND: &'static str;
    /// The operator's name, for error messages.
    const OPERATOR: &'static str;
    /// The expression that says how many rows the session's last command of this kind has moved.
    const COUNT: &'static str;

    /// Which table's primary key [`Transfer::script`] needs.
    fn key_wanted(&self) -> Option<KeyWanted<'_>>;

    /// The statements, to be carried out in one transaction. They hold the credentials.
    ///
    /// # Errors
    /// A sentence that names the parameter.
    fn script(&self, clause: &Clause, keys: &[String]) -> Result<Vec<String>, String>;

    /// What the task leaves behind once `rows` were moved.
    async fn result(&self, ctx: &TaskContext, credentials: &TransferCredentials, rows: Option<i64>) -> Value;
}

/// The parameters that both operators have.
pub(super) struct Route {
    pub(super) redshift_conn_id: Option<String>,
    pub(super) data_api_aws_conn_id: Option<String>,
    pub(super) redshift_data_api_kwargs: Map<String, Value>,
    pub(super) parameters: Value,
    pub(super) autocommit: bool,
    pub(super) credentials: TransferCredentials,
}

impl Route {
    /// The operator for this transfer.
    pub(super) fn runnable<T: Transfer>(self, transfer: T) -> Result<Runnable, String> {
        let route = data_api_route(&self.redshift_data_api_kwargs, &self.parameters)?;
        let Some(route) = route else {
            if self.data_api_aws_conn_id.is_some() {
                return Err("data_api_aws_conn_id is given, but no redshift_data_api_kwargs".to_owned());
            }
            return Ok(Runnable::Work(Box::new(WireTransfer { transfer, route: self })));
        };
        if let Some(KeyWanted { schema, table }) = transfer.key_wanted() {
            return Err(format!(
                "the Data API cannot be asked for the primary key of {schema}.{table}; give upsert_keys"
            ));
        }
        Ok(Runnable::Remote(Box::new(DataTransfer::new(transfer, self, route))))
    }
}

/// Declares the parameters of a transfer: the struct's own fields, then the shared ones. (`serde(flatten)` does not go
/// together with `deny_unknown_fields`.)
macro_rules! transfer_parameters {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Clone, serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        $vis struct $name {
            /// The bucket.
            #[schemars(extend("x-template" = true))]
            s3_bucket: String,
            /// What the objects' keys begin with.
            #[schemars(extend("x-template" = true))]
            s3_key: String,
            $($(#[$field_meta])* $field: $type,)*
            /// The connection to the database, `redshift_default` if not given. With `redshift_data_api_kwargs` it is
            /// looked up as an `aws` connection, unless `data_api_aws_conn_id` is given.
            #[serde(default)]
            #[schemars(extend("x-template" = true))]
            redshift_conn_id: Option<String>,
            /// Go by the Redshift Data API instead of the wire: `workgroup_name` or `cluster_identifier`, `database`,
            /// `secret_arn`, `db_user`, `poll_interval`, `wait_for_completion`, ….
            #[serde(default)]
            #[schemars(extend("x-template" = true))]
            redshift_data_api_kwargs: serde_json::Map<String, serde_json::Value>,
            /// The `aws` connection for the Data API.
            #[serde(default)]
            #[schemars(extend("x-template" = true))]
            data_api_aws_conn_id: Option<String>,
            /// The role that Redshift takes on for S3: an ARN, a chain of ARNs with commas between, or `default`. With it
            /// the statement carries no keys.
            #[serde(default)]
            #[schemars(extend("x-template" = true))]
            iam_role: Option<String>,
            /// The `aws` connection whose role, or else keys, go into the statement if there is no `iam_role`. If it is
            /// not given, the keys of `aws_default` do.
            #[serde(default)]
            #[schemars(extend("x-template" = true))]
            aws_conn_id: Option<String>,
            /// Path of a file with the certificates to trust instead of the system's.
            #[serde(default)]
            #[schemars(extend("x-template" = true))]
            verify: Option<crate::aws::parameters::Verify>,
            /// Values for `%s` or `%(name)s` in the statement; by the Data API a list of `name` and `value`.
            #[serde(default)]
            #[schemars(extend("x-template" = true))]
            parameters: serde_json::Value,
            /// A single statement commits by itself.
            #[serde(default)]
            autocommit: bool,
        }

        impl $name {
            fn route(&self) -> crate::aws::redshift::transfer::Route {
                crate::aws::redshift::transfer::Route {
                    redshift_conn_id: self.redshift_conn_id.clone().filter(|id| !id.is_empty()),
                    data_api_aws_conn_id: self.data_api_aws_conn_id.clone().filter(|id| !id.is_empty()),
                    redshift_data_api_kwargs: self.redshift_data_api_kwargs.clone(),
                    parameters: self.parameters.clone(),
                    autocommit: self.autocommit,
                    credentials: crate::aws::redshift::transfer_credentials::TransferCredentials {
                        iam_role: self.iam_role.clone().filter(|role| !role.is_empty()),
                        aws_conn_id: self.aws_conn_id.clone(),
                        verify: self.verify.clone(),
                    },
                }
            }
        }
    };
}
pub(super) use transfer_parameters;
