//! `smtp`: a mail.

use std::time::Duration;

use async_trait::async_trait;
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, MessageBuilder};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use windrose_core::catalog::OperatorKind;
use windrose_core::connection::Connection;

use crate::context::TaskContext;
use crate::error::TaskError;
use crate::operator::{Done, Operator, Parameters, Runnable};

/// How long the server may take for each answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Airflow's defaults.
const PORT: u16 = 25;

/// One address, several with commas between them, or a list.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Addresses {
    One(String),
    Several(Vec<String>),
}

impl Addresses {
    fn read(&self) -> Result<Vec<Mailbox>, TaskError> {
        let texts: Vec<&str> = match self {
            Self::One(text) => text.split([',', ';']).collect(),
            Self::Several(texts) => texts.iter().map(String::as_str).collect(),
        };
        texts.into_iter().map(str::trim).filter(|text| !text.is_empty()).map(mailbox).collect()
    }
}

fn mailbox(text: &str) -> Result<Mailbox, TaskError> {
    text.parse().map_err(|_| TaskError::failed(format!("'{text}' is no mail address; write name@example.com.")))
}

/// Parameters of `smtp`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Smtp {
    /// To whom: one address, several with commas between them, or a list.
    #[schemars(extend("x-template" = true))]
    to: Addresses,
    /// From whom; `from_email` of the connection's extra, or its login, if it is left out.
    #[serde(default)]
    #[schemars(extend("x-template" = true))]
    from_email: Option<String>,
    /// The subject.
    #[serde(default)]
    #[schemars(extend("x-template" = true))]
    subject: String,
    /// The text, as HTML.
    #[serde(default)]
    #[schemars(extend("x-template" = true))]
    html_content: String,
    /// Who gets a copy.
    #[serde(default)]
    #[schemars(extend("x-template" = true))]
    cc: Option<Addresses>,
    /// Who gets a copy that the others do not see.
    #[serde(default)]
    #[schemars(extend("x-template" = true))]
    bcc: Option<Addresses>,
    /// The connection to the server; `disable_ssl` and `disable_tls` of its extra switch encryption off.
    #[serde(default = "default_connection")]
    #[schemars(extend("x-template" = true))]
    smtp_conn_id: String,
}

fn default_connection() -> String {
    "smtp_default".to_owned()
}

impl Parameters for Smtp {
    const NAME: &'static str = "smtp";
    const AIRFLOW: &'static str = "airflow.providers.smtp.notifications.smtp.SmtpNotifier";
    const SUMMARY: &'static str = "Sends a mail.";
    const KIND: OperatorKind = OperatorKind::Work;

    fn build(self) -> Result<Runnable, String> {
        Ok(Runnable::Work(Box::new(self)))
    }
}

impl Smtp {
    fn mail(&self, connection: &Connection) -> Result<Message, TaskError> {
        let extra = connection.extra_object();
        let named = extra.get("from_email").and_then(Value::as_str).map(str::to_owned);
        let from = self.from_email.clone().or(named).or_else(|| connection.login.clone()).ok_or_else(|| {
            TaskError::failed("The mail has no sender; give 'from_email' here or in the connection's extra.")
        })?;
        let subject = self.subject.lines().collect::<Vec<_>>().join(" ");
        let mut mail = Message::builder().from(mailbox(&from)?).subject(subject).message_id(None);
        mail = self.to.read()?.into_iter().fold(mail, MessageBuilder::to);
        if let Some(cc) = &self.cc {
            mail = cc.read()?.into_iter().fold(mail, MessageBuilder::cc);
        }
        if let Some(bcc) = &self.bcc {
            mail = bcc.read()?.into_iter().fold(mail, MessageBuilder::bcc);
        }
        mail.header(ContentType::TEXT_HTML)
            .body(self.html_content.clone())
            .map_err(|error| TaskError::failed(format!("The mail cannot be written: {error}")))
    }
}

fn transport(connection: &Connection) -> Result<AsyncSmtpTransport<Tokio1Executor>, TaskError> {
    let host = connection.host.clone().filter(|host| !host.is_empty()).ok_or_else(|| {
        TaskError::failed(format!("The connection '{}' names no host; put the mail server there.", connection.conn_id))
    })?;
    let extra = connection.extra_object();
    let is_set = |name: &str| match extra.get(name) {
        Some(Value::Bool(set)) => *set,
        Some(Value::String(text)) => text.eq_ignore_ascii_case("true"),
        _ => false,
    };
    let parameters = || {
        TlsParameters::new(host.clone())
            .map_err(|error| TaskError::failed(format!("TLS to {host} cannot be set up: {error}")))
    };
    let tls = match (is_set("disable_ssl"), is_set("disable_tls")) {
        (false, _) => Tls::Wrapper(parameters()?),
        (true, false) => Tls::Required(parameters()?),
        (true, true) => Tls::None,
    };
    let builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&host)
        .port(connection.port.unwrap_or(PORT))
        .tls(tls)
        .timeout(Some(TIMEOUT));
    Ok(match (&connection.login, &connection.password) {
        (Some(login), Some(password)) if !login.is_empty() => {
            builder.credentials(Credentials::new(login.clone(), password.clone()))
        }
        _ => builder,
    }
    .build())
}

#[async_trait]
impl Operator for Smtp {
    async fn execute(&self, ctx: &TaskContext) -> Result<Done, TaskError> {
        let connection = ctx.services.connection(&self.smtp_conn_id).await?;
        let mail = self.mail(&connection)?;
        let sent = transport(&connection)?.send(mail).await;
        sent.map_err(|error| TaskError::failed(format!("The mail server did not take the mail: {error}")))?;
        Ok(Done::default())
    }
}
