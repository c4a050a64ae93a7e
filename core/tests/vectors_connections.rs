//! Connections and secrets against what Airflow makes of them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod vector_file;

use indexmap::IndexMap;
use serde_json::{Value, json};
use vector_file::{Family, read_rows};
use windrose_core::connection::{
    Connection, ConnectionError, Reading, SecretNaming, connection_from_secret, normalized_secret,
};

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn of_fields(fields: &Value, reading: Reading) -> Result<Connection, ConnectionError> {
    let connection = Connection {
        conn_id: "c".to_owned(),
        conn_type: text(&fields["conn_type"]).unwrap_or_default(),
        description: text(&fields["description"]),
        host: text(&fields["host"]),
        login: text(&fields["login"]),
        password: text(&fields["password"]),
        schema: text(&fields["schema"]),
        port: fields["port"].as_u64().map(|port| u16::try_from(port).unwrap()),
        extra: text(&fields["extra"]),
    };
    connection.normalized(reading)
}

fn shown(connection: &Connection) -> Value {
    json!({
        "conn_type": connection.conn_type,
        "host": connection.host,
        "login": connection.login,
        "password": connection.password,
        "schema": connection.schema,
        "port": connection.port,
        "extra": connection.extra,
        "description": connection.description,
        "extra_dejson": connection.extra_json(),
        "get_uri": connection.to_uri(),
        "as_json": connection.to_json(),
    })
}

fn compare(expect: &Value, got: Result<Connection, ConnectionError>, secrets: &str) -> Result<(), String> {
    let connection = match (&expect["error"], got) {
        (Value::Null, Err(error)) => return Err(format!("refused: {error}")),
        (_, Err(error)) => {
            let leaked = secrets.len() > 6 && error.to_string().contains(secrets);
            return if leaked { Err(format!("the error shows the text: {error}")) } else { Ok(()) };
        }
        (Value::Null, Ok(connection)) => connection,
        (refused, Ok(connection)) => return Err(format!("not refused: {connection:?}, {refused}")),
    };
    let got = shown(&connection);
    let mut expect = expect["expect"].clone();
    if expect["conn_type"].is_null() {
        expect["conn_type"] = json!("");
    }
    let differing: Vec<_> = expect.as_object().unwrap().iter().filter(|(key, value)| got[key] != **value).collect();
    if differing.is_empty() { Ok(()) } else { Err(format!("expected {differing:?}, got {got}")) }
}

/// Reads a row in both ways and, where there is one, reads what was written.
fn check_read(
    row: &Value,
    read: impl Fn(Reading) -> Result<Connection, ConnectionError>,
    text: &str,
) -> Result<(), String> {
    compare(row, read(Reading::Task), text)?;
    let server = if row["core"].is_null() { row } else { &row["core"] };
    compare(server, read(Reading::Server), text).map_err(|e| format!("server: {e}"))?;
    if row["round_trip"].is_null() {
        return Ok(());
    }
    let first = read(Reading::Task).unwrap();
    let again = Connection::from_uri("c", &first.to_uri(), Reading::Task);
    match (&row["round_trip"]["get_uri_again"], again) {
        (Value::String(uri), Ok(again)) => {
            let same = again == first;
            if again.to_uri() == *uri && row["round_trip"]["same"] == same {
                Ok(())
            } else {
                Err(format!("round trip: same {same}, {} for {uri}", again.to_uri()))
            }
        }
        (Value::Null, _) => Ok(()),
        (_, Err(error)) => Err(format!("round trip: {error}")),
        (other, Ok(_)) => Err(format!("round trip: unexpected {other}")),
    }
}

fn naming(kwargs: &Value, kind: &str) -> SecretNaming {
    let prefix_key = format!("{kind}_prefix");
    let default = format!("airflow/{kind}");
    let prefix = match kwargs.get(&prefix_key) {
        Some(given) => given.as_str(),
        None => Some(default.as_str()),
    };
    let pattern = kwargs[format!("{kind}_lookup_pattern")].as_str();
    SecretNaming::new(prefix, kwargs["sep"].as_str().unwrap_or("/"), pattern).unwrap()
}

/// What the backend finds under the name it makes of the id.
fn stored<'a>(row: &'a Value, id: &str, kind: &str) -> Option<&'a str> {
    let name = naming(&row["backend_kwargs"], kind).secret_name(id)?;
    row["secret"].as_str().filter(|_| row["secret_name"] == name)
}

fn check_secret(row: &Value) -> Result<(), String> {
    let conn_id = row["conn_id"].as_str().unwrap();
    let words: IndexMap<String, Vec<String>> =
        serde_json::from_value(row["backend_kwargs"]["extra_conn_words"].clone()).unwrap_or_default();
    let Some(secret) = stored(row, conn_id, "connections") else {
        return if row["expect"].is_null() && row["error"].is_null() { Ok(()) } else { Err("not found".to_owned()) };
    };
    if row["expect"].is_null() && row["error"].is_null() {
        return Err("found".to_owned());
    }
    if let Some(expect) = row["get_conn_value"].as_str() {
        let got = normalized_secret(conn_id, secret, &words).map_err(|e| e.to_string())?;
        if got != expect {
            return Err(format!("normalised to {got}"));
        }
    }
    compare(row, connection_from_secret(conn_id, secret, &words).map(|read| read.connection), secret)
}

fn check_secret_variable(row: &Value) -> Result<(), String> {
    let got = stored(row, row["key"].as_str().unwrap(), "variables");
    if row["expect_value"].as_str() == got { Ok(()) } else { Err(format!("got {got:?}")) }
}

#[test]
fn connections_are_read_and_written_as_in_airflow() {
    let mut families =
        ["uri", "json", "fields", "secret", "secret_variable"].map(|kind| Family::new(&format!("connections: {kind}")));
    for row in read_rows("connections.jsonl") {
        let kind = row["kind"].as_str().unwrap();
        let check = |row: &Value| match kind {
            "uri" => {
                let uri = row["uri"].as_str().unwrap();
                check_read(row, |reading| Connection::from_uri("c", uri, reading), uri)
            }
            "json" => {
                let json = row["json"].as_str().unwrap();
                check_read(row, |reading| Connection::from_json("c", json, reading), json)
            }
            "fields" => check_read(row, |reading| of_fields(&row["fields"], reading), ""),
            "secret" => check_secret(row),
            "secret_variable" => check_secret_variable(row),
            other => panic!("no test for the kind '{other}'"),
        };
        families.iter_mut().find(|f| f.name.ends_with(&format!(": {kind}"))).unwrap().judge(&row, check);
    }
    Family::finish_kinds("connections", &families);
}

#[test]
fn the_database_of_a_secret_that_aws_manages_is_kept() {
    let text = r#"{"engine": "redshift", "username": "u", "password": "p", "host": "h", "dbName": "dev", "dbClusterIdentifier": "x"}"#;
    let read = connection_from_secret("c", text, &IndexMap::new()).unwrap();
    assert_eq!(read.connection.schema.as_deref(), Some("dev"));
    assert_eq!(read.schema_from.as_deref(), Some("dbName"));
    assert_eq!(read.dropped, ["dbClusterIdentifier"]);
}

#[test]
fn no_error_shows_the_secret() {
    let texts = ["{\"password\": \"hunter22\"", "{\"password\": [\"hunter22\"]}", "x://u:hunter22/h", "{\"hunter22\""];
    for text in texts {
        let error = connection_from_secret("c", text, &IndexMap::new()).unwrap_err();
        assert!(!error.to_string().contains("hunter22"), "{error}");
        assert!(!format!("{error:?}").contains("hunter22"), "{error:?}");
    }
}

#[test]
fn an_environment_variable_holds_a_uri_or_json() {
    let uri = Connection::from_text("c", " postgres://u:p@h/db\n", Reading::Task).unwrap();
    let json = Connection::from_text("c", r#" {"conn_type": "postgres", "login": "u"}"#, Reading::Task).unwrap();
    assert_eq!((uri.schema.as_deref(), json.login.as_deref()), (Some("db"), Some("u")));
}
