//! The clients of a session, one function per service. Each is cheap: the connections' pool, the credentials and the
//! retry budget are shared.

use aws_config::{Region, SdkConfig};

use super::session::AwsSession;

/// The builder of a service's configuration. The endpoint is set here, not in the shared configuration, so that the
/// connection's goes before one of the environment for the same service.
macro_rules! service_builder {
    ($session:expr, $sdk:ident, $name:literal) => {{
        let builder = $sdk::config::Builder::from(&$session.regional($name));
        match $session.endpoint($name) {
            Some(url) => builder.endpoint_url(url),
            None => builder,
        }
    }};
}

impl AwsSession {
    /// Where the connection says that a service is found, under botocore's name for it.
    fn endpoint(&self, name: &str) -> Option<String> {
        self.connection.service_setting(name, "endpoint_url").or_else(|| self.connection.endpoint_url.clone())
    }

    fn regional(&self, name: &str) -> SdkConfig {
        let config = self.config.clone();
        // S3, STS and IAM answer in any region; botocore signs for this one if it knows none.
        if config.region().is_none() && matches!(name, "s3" | "sts" | "iam") {
            return config.into_builder().region(Region::from_static("us-east-1")).build();
        }
        config
    }

    /// Amazon S3.
    #[must_use]
    pub fn s3(&self) -> aws_sdk_s3::Client {
        self.s3_in(None)
    }

    /// Amazon S3 in another region, for buckets that turn out to live there.
    #[must_use]
    pub fn s3_in(&self, region: Option<String>) -> aws_sdk_s3::Client {
        let endpoint = self.endpoint("s3").or_else(|| self.config.endpoint_url().map(str::to_owned));
        let bare_host = endpoint.as_deref().is_some_and(is_bare_host);
        let mut builder = service_builder!(self, aws_sdk_s3, "s3")
            .force_path_style(self.settings.s3_path_style.unwrap_or(bare_host))
            .disable_s3_express_session_auth(true);
        if let Some(region) = region {
            builder = builder.region(Region::new(region));
        }
        aws_sdk_s3::Client::from_conf(builder.build())
    }

    /// AWS Glue.
    #[must_use]
    pub fn glue(&self) -> aws_sdk_glue::Client {
        aws_sdk_glue::Client::from_conf(service_builder!(self, aws_sdk_glue, "glue").build())
    }

    /// Amazon CloudWatch Logs.
    #[must_use]
    pub fn logs(&self) -> aws_sdk_cloudwatchlogs::Client {
        aws_sdk_cloudwatchlogs::Client::from_conf(service_builder!(self, aws_sdk_cloudwatchlogs, "logs").build())
    }

    /// AWS IAM.
    #[must_use]
    pub fn iam(&self) -> aws_sdk_iam::Client {
        aws_sdk_iam::Client::from_conf(service_builder!(self, aws_sdk_iam, "iam").build())
    }

    /// AWS STS as a service of its own (not the one that gives a connection its role).
    #[must_use]
    pub fn sts(&self) -> aws_sdk_sts::Client {
        aws_sdk_sts::Client::from_conf(service_builder!(self, aws_sdk_sts, "sts").build())
    }

    /// Amazon SNS.
    #[must_use]
    pub fn sns(&self) -> aws_sdk_sns::Client {
        aws_sdk_sns::Client::from_conf(service_builder!(self, aws_sdk_sns, "sns").build())
    }

    /// Amazon Redshift.
    #[must_use]
    pub fn redshift(&self) -> aws_sdk_redshift::Client {
        aws_sdk_redshift::Client::from_conf(service_builder!(self, aws_sdk_redshift, "redshift").build())
    }

    /// The Amazon Redshift Data API.
    #[must_use]
    pub fn redshift_data(&self) -> aws_sdk_redshiftdata::Client {
        aws_sdk_redshiftdata::Client::from_conf(service_builder!(self, aws_sdk_redshiftdata, "redshift-data").build())
    }

    /// Amazon Redshift Serverless.
    #[must_use]
    pub fn redshift_serverless(&self) -> aws_sdk_redshiftserverless::Client {
        aws_sdk_redshiftserverless::Client::from_conf(
            service_builder!(self, aws_sdk_redshiftserverless, "redshift-serverless").build(),
        )
    }

    /// AWS Secrets Manager.
    #[must_use]
    pub fn secrets_manager(&self) -> aws_sdk_secretsmanager::Client {
        aws_sdk_secretsmanager::Client::from_conf(
            service_builder!(self, aws_sdk_secretsmanager, "secretsmanager").build(),
        )
    }

    /// Credentials as they are now, for services that take them in text (`COPY`, `UNLOAD`).
    ///
    /// # Errors
    /// The SDK's error: there are none, or the role cannot be taken on.
    pub async fn credentials(
        &self,
    ) -> Result<aws_credential_types::Credentials, aws_credential_types::provider::error::CredentialsError> {
        use aws_credential_types::provider::ProvideCredentials;
        match self.config.credentials_provider() {
            Some(provider) => provider.provide_credentials().await,
            None => Err(aws_credential_types::provider::error::CredentialsError::not_loaded_no_source()),
        }
    }
}

/// An endpoint that no bucket's name can be put in front of: an address, or `localhost`.
fn is_bare_host(endpoint: &str) -> bool {
    match url::Url::parse(endpoint).ok().as_ref().and_then(url::Url::host) {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(_) => true,
        None => false,
    }
}
