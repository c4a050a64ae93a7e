//! The parameters that every AWS operator and sensor has, added to its own by [`aws_parameters!`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The connection that is used if a task names none.
pub const DEFAULT_CONN_ID: &str = "aws_default";

/// How a server's certificate is checked: Airflow's `verify`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Verify {
    /// False would switch the check off.
    Check(bool),
    /// Path of a file with the certificates that are trusted, in PEM form.
    CaBundle(String),
}

/// Which AWS a task talks to, and as whom.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct AwsParameters {
    /// The connection; `None` or empty is the SDK's default credential chain.
    pub aws_conn_id: Option<String>,
    /// Goes before the connection's region.
    pub region_name: Option<String>,
    /// Goes before the connection's `verify`.
    pub verify: Option<Verify>,
    /// Takes the place of the connection's `config_kwargs`.
    pub botocore_config: Option<Map<String, Value>>,
}

pub(crate) fn default_conn_id() -> Option<String> {
    Some(DEFAULT_CONN_ID.to_owned())
}

/// Declares the parameters of an AWS operator: the struct's own fields, then the shared ones. (`serde(flatten)` would do,
/// but it does not go together with `deny_unknown_fields`.)
macro_rules! aws_parameters {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Clone, serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        $vis struct $name {
            $($(#[$field_meta])* pub(in crate::aws) $field: $type,)*
            /// The `aws` connection; an empty text stands for the SDK's default credential chain.
            #[serde(default = "crate::aws::parameters::default_conn_id")]
            #[schemars(extend("x-template" = true))]
            aws_conn_id: Option<String>,
            /// The region; if none is given the connection's, then that of the SDK's default chain.
            #[serde(default)]
            #[schemars(extend("x-template" = true))]
            region_name: Option<String>,
            /// Deprecated: say `region_name`.
            #[serde(default)]
            #[schemars(extend("x-template" = true))]
            region: Option<String>,
            /// Path of a file with the certificates to trust instead of the system's.
            #[serde(default)]
            #[schemars(extend("x-template" = true))]
            verify: Option<crate::aws::parameters::Verify>,
            /// Settings of the client in botocore's words (`retries`, `connect_timeout`, `read_timeout`, `proxies`,
            /// `s3`), in place of the connection's `config_kwargs`.
            #[serde(default)]
            botocore_config: Option<serde_json::Map<String, serde_json::Value>>,
        }

        impl $name {
            fn aws(&self) -> crate::aws::parameters::AwsParameters {
                crate::aws::parameters::AwsParameters {
                    aws_conn_id: self.aws_conn_id.clone(),
                    region_name: self.region_name.clone().or_else(|| self.region.clone()).filter(|r| !r.is_empty()),
                    verify: self.verify.clone(),
                    botocore_config: self.botocore_config.clone(),
                }
            }
        }
    };
}
pub(crate) use aws_parameters;
