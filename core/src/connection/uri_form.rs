//! The URI form: `type://login:password@host:port/schema?key=value`.
//!
//! A host may carry its own protocol (`http://https://example.com`). What the query cannot say, because a value is not
//! a text, stands as JSON under `__extra__`.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use super::split_url::{Parts, cleaned, split, unquote};
use super::{Connection, ConnectionError, Reading, normalized_type};
use crate::python_json::dumps;

/// The query's key for what is not a plain text.
const EXTRA_KEY: &str = "__extra__";

/// What `urllib.parse.quote(text, safe="")` leaves alone.
const QUOTED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'.').remove(b'-').remove(b'~');

pub(super) fn parse(conn_id: &str, uri: &str, reading: Reading) -> Result<Connection, ConnectionError> {
    let bad = |reason| ConnectionError::Uri { conn_id: conn_id.to_owned(), reason };
    if uri.is_empty() && reading == Reading::Server {
        return Ok(Connection { conn_id: conn_id.to_owned(), ..Connection::default() });
    }
    let protocols = uri.matches("://").count();
    if protocols > 2 {
        return Err(bad("it has '://' more than twice"));
    }
    let outer = cleaned(uri);
    let conn_type = split(&outer).map_err(bad)?.scheme.to_ascii_lowercase();
    let host_has_protocol = protocols == 2;
    let rest = uri.replace(&format!("{conn_type}://"), if host_has_protocol { "" } else { "//" });
    if host_has_protocol {
        let before = rest.split_once("://").map_or(rest.as_str(), |(before, _)| before);
        if before.contains(['@', ':']) {
            return Err(bad("login and password belong after the host's protocol: http://https://login:password@host"));
        }
    }
    let rest = cleaned(&rest);
    let parts = split(&rest).map_err(bad)?;
    let host = hostname(&parts);
    let protocol = if host_has_protocol { parts.scheme.to_ascii_lowercase() } else { String::new() };
    let path = parts.path.chars().next().map_or("", |first| &parts.path[first.len_utf8()..]);
    let connection = Connection {
        conn_id: conn_id.to_owned(),
        conn_type: normalized_type(&conn_type),
        description: None,
        host: Some(if protocol.is_empty() || host.is_empty() { host } else { format!("{protocol}://{host}") }),
        login: parts.username().map(unquote),
        password: parts.password().map(unquote),
        schema: Some(unquote(path)),
        port: parts.port().map_err(bad)?,
        extra: extra_of(&parts, reading),
    };
    connection.normalized(reading)
}

/// A socket's path may stand, percent-encoded, for the host; it keeps its case.
fn hostname(parts: &Parts<'_>) -> String {
    let host = unquote(&parts.hostname());
    if !host.contains('/') {
        return host;
    }
    let netloc = parts.netloc.rsplit_once('@').map_or(parts.netloc, |(_, host)| host);
    unquote(netloc.split_once(':').map_or(netloc, |(host, _)| host))
}

fn extra_of(parts: &Parts<'_>, reading: Reading) -> Option<String> {
    let mut query = Map::new();
    for (name, value) in parts.query_pairs() {
        query.insert(name, Value::String(value));
    }
    if query.is_empty() {
        return None;
    }
    if let Some(Value::String(extra)) = query.get(EXTRA_KEY) {
        return Some(extra.clone());
    }
    if reading == Reading::Server {
        for value in query.values_mut() {
            if let Some(json) = value.as_str().and_then(|text| serde_json::from_str(text).ok()) {
                *value = json;
            }
        }
    }
    Some(dumps(&Value::Object(query)))
}

pub(super) fn write(connection: &Connection) -> String {
    let quote = |text: &str| utf8_percent_encode(text, QUOTED).to_string();
    let mut uri = match connection.conn_type.as_str() {
        "" => "//".to_owned(),
        conn_type => format!("{}://", conn_type.to_lowercase().replace('_', "-")),
    };
    let mut host = connection.host.as_deref().unwrap_or_default();
    if let Some((protocol, name)) = host.split_once("://")
        && protocol != connection.conn_type
    {
        uri.push_str(&format!("{protocol}://"));
        host = name;
    }
    let mut authority = connection.login.as_deref().map(quote).unwrap_or_default();
    if let Some(password) = &connection.password {
        authority.push_str(&format!(":{}", quote(password)));
    }
    if !authority.is_empty() {
        uri.push_str(&authority);
        uri.push('@');
    }
    uri.push_str(&quote(host));
    if let Some(port) = connection.port.filter(|&port| port != 0) {
        let nothing_before = host.is_empty() && authority.is_empty();
        uri.push_str(&format!("{}:{port}", if nothing_before { "@" } else { "" }));
    }
    let schema = connection.schema.as_deref().filter(|schema| !schema.is_empty());
    if let Some(schema) = schema {
        uri.push_str(&format!("/{}", quote(schema)));
    }
    if let Some(extra) = connection.extra.as_deref().filter(|extra| !extra.is_empty()) {
        uri.push_str(if schema.is_some() { "?" } else { "/?" });
        uri.push_str(&query(connection, extra));
    }
    uri
}

/// Plain texts as they are, anything else as JSON under one key.
fn query(connection: &Connection, extra: &str) -> String {
    let map = connection.extra_object();
    let pair = |key: &str, value: &str| format!("{}={}", quote_plus(key), quote_plus(value));
    let pairs: Option<Vec<_>> = map.iter().map(|(key, value)| Some(pair(key, value.as_str()?))).collect();
    match pairs {
        Some(pairs) if !pairs.is_empty() => pairs.join("&"),
        _ => pair(EXTRA_KEY, extra),
    }
}

/// `urllib.parse.quote_plus(text)`
fn quote_plus(text: &str) -> String {
    utf8_percent_encode(text, QUOTED).to_string().replace("%20", "+")
}
