//! From an Airflow connection to the options of a database session.

use std::time::Duration;

use serde_json::{Map, Value};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::sqlite::SqliteConnectOptions;
use windrose_core::cause::Cause;
use windrose_core::connection::Connection;

use super::hook_params::{HookParams, command_line};

/// Whose SQL it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// PostgreSQL.
    Postgres,
    /// Amazon Redshift, which speaks PostgreSQL's protocol and much of its SQL.
    Redshift,
    /// A SQLite file.
    Sqlite,
}

/// How to open a session.
#[derive(Clone)]
pub enum Target {
    /// PostgreSQL or Redshift.
    Postgres(Box<PgConnectOptions>),
    /// A file.
    Sqlite(Box<SqliteConnectOptions>),
}

/// A database that a connection names.
#[derive(Clone)]
pub struct Destination {
    /// Whose SQL it speaks.
    pub dialect: Dialect,
    /// How to open a session.
    pub target: Target,
    /// How long opening may take.
    pub timeout: Duration,
}

/// How long opening a session may take unless the connection's extra says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// The database of this connection; what the task says of it wins.
///
/// # Errors
/// If its type or something in it is not supported.
pub fn destination(connection: &Connection, hook: &HookParams) -> Result<Destination, Cause> {
    let extra = connection.extra_object();
    let wrong = |message: String| Cause::Connection { id: connection.conn_id.clone(), message, asked: Vec::new() };
    let dialect = match connection.conn_type.as_str() {
        "postgres" | "postgresql" => Dialect::Postgres,
        "redshift" => Dialect::Redshift,
        "sqlite" => Dialect::Sqlite,
        other => {
            return Err(wrong(format!(
                "SQL on a connection of type '{other}' is not supported yet; postgres, redshift and sqlite are."
            )));
        }
    };
    let timeout = ["timeout", "connect_timeout"].iter().find_map(|key| seconds(extra.get(*key)?));
    let target = match dialect {
        Dialect::Sqlite if hook.database.is_some() || !hook.options.is_empty() => {
            return Err(wrong(
                "A SQLite connection names its file as the host: there is no database or option to choose. Leave out \
                 database, schema and options."
                    .to_owned(),
            ));
        }
        Dialect::Sqlite => Target::Sqlite(Box::new(
            SqliteConnectOptions::new().filename(sqlite_path(connection)).create_if_missing(true),
        )),
        _ => Target::Postgres(Box::new(postgres(connection, &extra, hook, dialect).map_err(wrong)?)),
    };
    Ok(Destination { dialect, target, timeout: timeout.unwrap_or(CONNECT_TIMEOUT) })
}

fn postgres(
    connection: &Connection,
    extra: &Map<String, Value>,
    hook: &HookParams,
    dialect: Dialect,
) -> Result<PgConnectOptions, String> {
    if truth(extra.get("iam")) {
        return Err(
            "iam = true is not supported yet on connections of type postgres, only on those of type redshift; \
                    give the connection a login and a password."
                .to_owned(),
        );
    }
    let text = |key: &str| extra.get(key).and_then(Value::as_str);
    let default_port = if dialect == Dialect::Redshift { 5439 } else { 5432 };
    let port = extra.get("port").and_then(whole).and_then(|port| u16::try_from(port).ok());
    let mut options = PgConnectOptions::new_without_pgpass()
        .host(text("host").or(connection.host.as_deref()).unwrap_or("localhost"))
        .port(port.or(connection.port).unwrap_or(default_port))
        .ssl_mode(ssl_mode(extra, dialect)?)
        .application_name("windrose")
        .extra_float_digits(None);
    if let Some(login) = text("user").or(connection.login.as_deref()) {
        options = options.username(login);
    }
    if let Some(password) = text("password").or(connection.password.as_deref()) {
        options = options.password(password);
    }
    // What the operator says wins over the connection, and its extra over its fields.
    let own = hook.database.as_deref();
    let named = own.or_else(|| text("database")).or_else(|| text("dbname")).or(connection.schema.as_deref());
    if let Some(named) = named.filter(|named| !named.is_empty()) {
        options = options.database(named);
    }
    let settings = match text("options") {
        Some(line) if hook.options.is_empty() => command_line(line).map_err(|wrong| format!("The extra's {wrong}"))?,
        _ => hook.options.clone(),
    };
    if dialect == Dialect::Redshift && !settings.is_empty() {
        return Err("options are not supported yet on connections of type redshift; use SET in the SQL.".to_owned());
    }
    let fixed = |name: &str| ["timezone", "datestyle", "client_encoding"].contains(&name.to_lowercase().as_str());
    if let Some((name, _)) = settings.iter().find(|(name, _)| fixed(name)) {
        return Err(format!("Sessions begin with a {name} of their own, over options: set it in the SQL."));
    }
    if !settings.is_empty() {
        options = options.options(settings);
    }
    with_certificates(options, extra)
}

/// The files that TLS needs. That one cannot be read is said here: the driver would not say which.
fn with_certificates(mut options: PgConnectOptions, extra: &Map<String, Value>) -> Result<PgConnectOptions, String> {
    let file = |key: &str| match extra.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()) {
        // A certificate itself instead of a file's name.
        Some(text) if is_pem(text) => Ok(Some(text)),
        Some(path) => match std::fs::File::open(path) {
            Ok(_) => Ok(Some(path)),
            Err(error) => Err(format!(
                "The file {path}, which {key} names in the extra, cannot be read: {error}. It must be on the worker's \
                 machine."
            )),
        },
        None => Ok(None),
    };
    // libpq's word for the system's authorities, which are trusted anyway.
    if extra.get("sslrootcert").and_then(Value::as_str) != Some("system")
        && let Some(certificates) = file("sslrootcert")?
    {
        options = if is_pem(certificates) {
            options.ssl_root_cert_from_pem(certificates.as_bytes().to_vec())
        } else {
            options.ssl_root_cert(certificates)
        };
    }
    match (file("sslcert")?, file("sslkey")?) {
        (Some(certificate), Some(key)) => {
            options = if is_pem(certificate) {
                options.ssl_client_cert_from_pem(certificate)
            } else {
                options.ssl_client_cert(certificate)
            };
            Ok(if is_pem(key) { options.ssl_client_key_from_pem(key) } else { options.ssl_client_key(key) })
        }
        (None, None) => Ok(options),
        _ => Err("sslcert and sslkey belong together: give both in the extra, or none.".to_owned()),
    }
}

fn is_pem(text: &str) -> bool {
    text.trim_start().starts_with("-----BEGIN")
}

/// Redshift's driver checks the certificate unless told otherwise, PostgreSQL's uses TLS where it can.
fn ssl_mode(extra: &Map<String, Value>, dialect: Dialect) -> Result<PgSslMode, String> {
    if extra.get("ssl").is_some_and(|ssl| !truth(Some(ssl))) {
        return Ok(PgSslMode::Disable);
    }
    match extra.get("sslmode").and_then(Value::as_str) {
        // As libpq does: who names an authority wants the server's certificate checked.
        Some("require") if extra.contains_key("sslrootcert") => Ok(PgSslMode::VerifyCa),
        // The driver would never try TLS.
        Some("allow") => Ok(PgSslMode::Prefer),
        Some(mode) => mode.parse().map_err(|_| {
            format!("sslmode = \"{mode}\" is unknown; use disable, allow, prefer, require, verify-ca or verify-full.")
        }),
        None if dialect == Dialect::Redshift => Ok(PgSslMode::VerifyCa),
        None => Ok(PgSslMode::Prefer),
    }
}

/// The host of a SQLite connection is its path; a URI leaves an absolute path in the schema.
fn sqlite_path(connection: &Connection) -> String {
    match (connection.host.as_deref().unwrap_or_default(), connection.schema.as_deref().unwrap_or_default()) {
        ("", "") => ":memory:".to_owned(),
        (host, "") => host.to_owned(),
        ("", schema) => format!("/{}", schema.trim_start_matches('/')),
        (host, schema) => format!("{host}/{schema}"),
    }
}

/// Values of a URI are texts; those of JSON have types.
pub(crate) fn truth(value: Option<&Value>) -> bool {
    match value {
        Some(Value::Bool(truth)) => *truth,
        Some(Value::String(text)) => matches!(text.to_lowercase().as_str(), "true" | "1" | "yes" | "on"),
        _ => false,
    }
}

pub(crate) fn whole(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn seconds(value: &Value) -> Option<Duration> {
    whole(value).filter(|seconds| *seconds > 0).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn options(conn_type: &str, extra: &Value, database: Option<&str>) -> PgConnectOptions {
        let connection = Connection {
            conn_type: conn_type.to_owned(),
            host: Some("db.example".to_owned()),
            schema: Some("from_schema".to_owned()),
            extra: Some(extra.to_string()),
            ..Connection::default()
        };
        let hook = HookParams { database: database.map(str::to_owned), ..HookParams::default() };
        match destination(&connection, &hook).unwrap().target {
            Target::Postgres(options) => *options,
            Target::Sqlite(_) => panic!("not SQLite"),
        }
    }

    #[test]
    fn the_operators_database_wins_over_extra_and_that_over_the_schema() {
        let extra = || json!({ "database": "from_extra" });
        assert_eq!(options("postgres", &extra(), Some("given")).get_database(), Some("given"));
        assert_eq!(options("postgres", &extra(), None).get_database(), Some("from_extra"));
        assert_eq!(options("postgres", &json!({}), None).get_database(), Some("from_schema"));
    }

    #[test]
    fn redshift_checks_certificates_and_has_its_own_port() {
        let redshift = options("redshift", &json!({}), None);
        assert!(matches!(redshift.get_ssl_mode(), PgSslMode::VerifyCa));
        assert_eq!(redshift.get_port(), 5439);
        for off in [json!({ "ssl": false }), json!({ "ssl": "false" }), json!({ "sslmode": "disable" })] {
            assert!(matches!(options("redshift", &off, None).get_ssl_mode(), PgSslMode::Disable));
        }
        assert!(matches!(options("postgres", &json!({}), None).get_ssl_mode(), PgSslMode::Prefer));
    }

    #[test]
    fn what_is_not_supported_is_refused() {
        let refused = |conn_type: &str, extra: Value| {
            let connection =
                Connection { conn_type: conn_type.to_owned(), extra: Some(extra.to_string()), ..Connection::default() };
            destination(&connection, &HookParams::default()).err().unwrap().sentence()
        };
        assert!(refused("mysql", json!({})).contains("not supported yet"));
        assert!(refused("redshift", json!({ "iam": true })).contains("not supported yet"));
        assert!(refused("postgres", json!({ "sslmode": "maybe" })).contains("unknown"));
        assert!(refused("postgres", json!({ "options": "-B 16" })).contains("The extra's options: '-B'"));
        assert!(refused("redshift", json!({ "options": "-c a=b" })).contains("use SET"));
        assert!(
            refused("postgres", json!({ "options": "-c TimeZone=Asia/Tokyo" })).contains("a TimeZone of their own")
        );
    }

    #[test]
    fn a_file_for_tls_that_is_not_there_is_named() {
        let connection = |extra: Value| Connection {
            conn_type: "postgres".to_owned(),
            extra: Some(extra.to_string()),
            ..Connection::default()
        };
        let refused = |extra: Value| destination(&connection(extra), &HookParams::default()).err().unwrap().sentence();
        let text = refused(json!({ "sslmode": "verify-ca", "sslrootcert": "/no/such.pem" }));
        assert!(text.contains("/no/such.pem, which sslrootcert names"), "{text}");
        let pem = "-----BEGIN CERTIFICATE-----";
        assert!(refused(json!({ "sslcert": pem })).contains("sslcert and sslkey belong together"));
    }

    #[test]
    fn who_names_an_authority_wants_it_asked() {
        let certificate = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----";
        let named = json!({ "sslmode": "require", "sslrootcert": certificate });
        assert!(matches!(options("postgres", &named, None).get_ssl_mode(), PgSslMode::VerifyCa));
        let unnamed = json!({ "sslmode": "require" });
        assert!(matches!(options("postgres", &unnamed, None).get_ssl_mode(), PgSslMode::Require));
    }
}
