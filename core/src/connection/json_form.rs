//! The JSON form: an object with Airflow's field names.

use serde_json::{Map, Value};

use super::{Connection, ConnectionError, Reading, normalized_type};
use crate::python_json::dumps;

/// The fields that may stand beside `conn_type`.
const FIELDS: [&str; 9] = ["conn_type", "description", "host", "login", "password", "schema", "port", "extra", "uri"];

pub(super) fn parse(conn_id: &str, json: &str, reading: Reading) -> Result<Connection, ConnectionError> {
    let value: Value = serde_json::from_str(json).map_err(|error| not_json(conn_id, &error))?;
    let Value::Object(map) = value else {
        return Err(shape(conn_id, "not an object".to_owned()));
    };
    of_map(conn_id, &map, reading)
}

pub(super) fn not_json(conn_id: &str, error: &serde_json::Error) -> ConnectionError {
    ConnectionError::Json { conn_id: conn_id.to_owned(), line: error.line(), column: error.column() }
}

pub(super) fn shape(conn_id: &str, reason: String) -> ConnectionError {
    ConnectionError::Shape { conn_id: conn_id.to_owned(), reason }
}

/// The connection with these fields.
pub(super) fn of_map(conn_id: &str, map: &Map<String, Value>, reading: Reading) -> Result<Connection, ConnectionError> {
    if let Some(unknown) = map.keys().find(|key| !FIELDS.contains(&key.as_str())) {
        return Err(shape(conn_id, format!("a connection has no field '{unknown}'; it has {}", FIELDS.join(", "))));
    }
    if let Some(uri) = text(conn_id, map, "uri")?.filter(|uri| !uri.is_empty()) {
        let mixed = map.iter().any(|(key, value)| key != "uri" && key != "description" && !value.is_null());
        if mixed {
            return Err(shape(conn_id, "it has 'uri' beside other fields; write one or the other".to_owned()));
        }
        return Connection::from_uri(conn_id, &uri, reading);
    }
    let connection = Connection {
        conn_id: conn_id.to_owned(),
        conn_type: normalized_type(&text(conn_id, map, "conn_type")?.unwrap_or_default()),
        description: text(conn_id, map, "description")?,
        host: text(conn_id, map, "host")?,
        login: text(conn_id, map, "login")?,
        password: text(conn_id, map, "password")?,
        schema: text(conn_id, map, "schema")?,
        port: port(conn_id, map.get("port"))?,
        extra: extra(map.get("extra")),
    };
    connection.normalized(reading)
}

fn text(conn_id: &str, map: &Map<String, Value>, key: &str) -> Result<Option<String>, ConnectionError> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        // An all-digits password that lost its quotes.
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(_) => Err(shape(conn_id, format!("the field '{key}' is not a text"))),
    }
}

/// 0 is none, as in Airflow, which keeps it in a URI only.
fn port(conn_id: &str, port: Option<&Value>) -> Result<Option<u16>, ConnectionError> {
    let bad = || shape(conn_id, "the field 'port' is not a whole number from 0 to 65535".to_owned());
    let read = match port {
        None | Some(Value::Null | Value::Bool(false)) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => text.trim().parse().map(Some).map_err(|_| bad()),
        Some(Value::Number(number)) => {
            number.as_u64().and_then(|port| u16::try_from(port).ok()).map(Some).ok_or_else(bad)
        }
        Some(_) => Err(bad()),
    };
    read.map(|port| port.filter(|port| *port != 0))
}

/// What Python holds for false is no extra.
fn extra(extra: Option<&Value>) -> Option<String> {
    match extra? {
        Value::Null | Value::Bool(false) => None,
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Array(items) if items.is_empty() => None,
        Value::Object(map) if map.is_empty() => None,
        Value::Number(number) if number.as_f64() == Some(0.0) => None,
        other => Some(dumps(other)),
    }
}

/// The server takes only JSON objects.
pub(super) fn check_extra(connection: &Connection) -> Result<(), ConnectionError> {
    let Some(extra) = connection.extra.as_deref().filter(|extra| !extra.is_empty()) else { return Ok(()) };
    match serde_json::from_str(extra) {
        Ok(Value::Object(_)) => Ok(()),
        _ => Err(ConnectionError::Extra { conn_id: connection.conn_id.clone() }),
    }
}

pub(super) fn write(connection: &Connection) -> String {
    let mut map = Map::new();
    // A URI without a scheme has an empty type, and always a host and a schema; fields without a type have none.
    if !connection.conn_type.is_empty() || connection.host.is_some() && connection.schema.is_some() {
        map.insert("conn_type".to_owned(), connection.conn_type.clone().into());
    }
    let texts = [
        ("description", &connection.description),
        ("host", &connection.host),
        ("login", &connection.login),
        ("password", &connection.password),
        ("schema", &connection.schema),
    ];
    for (name, value) in texts {
        if let Some(value) = value {
            map.insert(name.to_owned(), value.clone().into());
        }
    }
    if let Some(port) = connection.port {
        map.insert("port".to_owned(), port.into());
    }
    let extra = connection.extra_json();
    let empty = match &extra {
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Null => true,
        _ => false,
    };
    if !empty {
        map.insert("extra".to_owned(), extra);
    }
    dumps(&Value::Object(map))
}
