//! Whose rights `UNLOAD` and `COPY` use on S3.
//!
//! Airflow writes keys into the statement unless the `aws` connection names a role; a role of its own (`iam_role`) needs no
//! secret in the SQL.

use std::error::Error;

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use windrose_core::cause::Cause;

use crate::aws::error::AwsError;
use crate::aws::parameters::{AwsParameters, Verify, default_conn_id};
use crate::aws::session::session_for;
use crate::context::TaskContext;
use crate::error::TaskError;

/// What a task says about it.
#[derive(Debug, Clone, Default)]
pub(super) struct TransferCredentials {
    /// A role of Redshift's, a chain of roles, or `default`.
    pub(super) iam_role: Option<String>,
    /// The `aws` connection; `None` if the task names none.
    pub(super) aws_conn_id: Option<String>,
    pub(super) verify: Option<Verify>,
}

/// Parts of the statement. The text may hold secrets.
pub(super) struct Clause {
    pub(super) credentials: String,
    /// The bucket's region, which the connection's extra may name.
    pub(super) region: Option<String>,
}

impl TransferCredentials {
    /// The worker's own way to AWS.
    pub(super) fn aws(&self) -> AwsParameters {
        AwsParameters {
            aws_conn_id: self.aws_conn_id.clone().or_else(default_conn_id),
            verify: self.verify.clone(),
            ..AwsParameters::default()
        }
    }

    /// Who acts on S3, for error messages.
    pub(super) fn acting(&self) -> String {
        match (&self.iam_role, &self.aws_conn_id) {
            (Some(role), _) => format!("IAM_ROLE {role}"),
            (None, Some(id)) => format!("the role or keys of the connection '{id}'"),
            (None, None) => "the keys of the connection 'aws_default'".to_owned(),
        }
    }

    /// The clause for a statement. Keys in it are masked in the log from here on.
    pub(super) async fn clause(&self, ctx: &TaskContext) -> Result<Clause, TaskError> {
        // Airflow looks at the connection only if the task names it.
        let named = match self.aws_conn_id.as_deref().filter(|id| !id.is_empty()) {
            Some(id) => ctx.services.find_connection(id).await?,
            None => None,
        };
        let extra = named.map(|connection| connection.extra_object()).unwrap_or_default();
        let text = |key: &str| extra.get(key).and_then(|v| v.as_str()).filter(|t| !t.is_empty()).map(str::to_owned);
        let region = text("region");
        if let Some(role) = &self.iam_role {
            let default = role.eq_ignore_ascii_case("default");
            let role = if default { "default".to_owned() } else { quoted(role) };
            return Ok(Clause { credentials: format!("IAM_ROLE {role}"), region });
        }
        let block = match text("role_arn") {
            Some(role) => format!("aws_iam_role={role}"),
            None => self.keys(ctx).await?,
        };
        Ok(Clause { credentials: format!("credentials\n{}", quoted(&block)), region })
    }

    async fn keys(&self, ctx: &TaskContext) -> Result<String, TaskError> {
        let session = session_for(ctx, &self.aws()).await?;
        let keys: Credentials = session.credentials().await.map_err(|e| no_credentials(self, &e))?;
        ctx.services.add_secret(keys.secret_access_key());
        let mut block =
            format!("aws_access_key_id={};aws_secret_access_key={}", keys.access_key_id(), keys.secret_access_key());
        if let Some(token) = keys.session_token() {
            ctx.services.add_secret(token);
            block.push_str(";token=");
            block.push_str(token);
        }
        ctx.warn(format!(
            "The statement carries AWS keys ({}) in clear text to Redshift. Set iam_role to a role of Redshift's, or to \
             \"default\".",
            session.identity()
        ));
        Ok(block)
    }
}

/// A text as a literal of SQL.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn no_credentials(given: &TransferCredentials, error: &CredentialsError) -> TaskError {
    let mut link: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(e) = link {
        if let Some(refused) = e.downcast_ref::<AwsError>() {
            return refused.clone().into();
        }
        link = e.source();
    }
    TaskError::retryable(Cause::Connection {
        id: given.aws().aws_conn_id.unwrap_or_default(),
        message: format!(
            "Unable to locate credentials for the statement ({error}). Set iam_role, or put keys or role_arn into the \
             connection."
        ),
        asked: Vec::new(),
    })
}
