//! `var.value`, `var.json` and `conn`: each name behind them is looked up when it is used.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Object, ObjectRepr, Value, from_args};
use minijinja::{Error, ErrorKind, State};

use super::lookup::Lookup;
use super::value::{from_json, refused, split_arguments};
use crate::connection::Connection;

/// `var.value` or `var.json`
pub(super) struct Variables {
    lookup: Arc<dyn Lookup>,
    json: bool,
}

impl Variables {
    pub(super) fn value(lookup: &Arc<dyn Lookup>, json: bool) -> Value {
        Value::from_object(Self { lookup: Arc::clone(lookup), json })
    }

    fn find(&self, key: &str) -> Result<Option<Value>, Error> {
        let Some(text) = self.lookup.variable(key).map_err(refused)? else { return Ok(None) };
        if !self.json {
            return Ok(Some(Value::from(text)));
        }
        // The text may be a secret, so the error does not show it.
        let json = serde_json::from_str(&text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            refused(format!("variable '{key}' is not JSON (line {line}, column {column}); use var.value.{key}"))
        })?;
        Ok(Some(from_json(&json)))
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("var")
    }
}

/// The name and the default of `get(name, default)`.
fn name_and_default(arguments: &[Value], default_name: &str) -> Result<(String, Option<Value>), Error> {
    let (plain, named) = split_arguments(arguments)?;
    let (name, default): (Option<String>, Option<Value>) = from_args(plain)?;
    let name = name.or(named.get("key")?).or(named.get("conn_id")?);
    let default = default.or(named.get(default_name)?).or(named.get("default")?);
    named.assert_all_used()?;
    Ok((name.ok_or_else(|| Error::from(ErrorKind::MissingArgument))?, default))
}

impl Object for Variables {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let key = key.as_str()?;
        let missing = || refused(format!("variable '{key}' not found; set it, or use var.value.get('{key}', default)"));
        Some(self.find(key).and_then(|found| found.ok_or_else(missing)).unwrap_or_else(Value::from))
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        arguments: &[Value],
    ) -> Result<Value, Error> {
        if method != "get" {
            return Err(Error::from(ErrorKind::UnknownMethod));
        }
        let (key, default) = name_and_default(arguments, "default_var")?;
        let missing = || refused(format!("variable '{key}' not found, and get() was given no default"));
        self.find(&key)?.or(default).ok_or_else(missing)
    }
}

/// `conn`
pub(super) struct Connections {
    lookup: Arc<dyn Lookup>,
}

impl Connections {
    pub(super) fn value(lookup: &Arc<dyn Lookup>) -> Value {
        Value::from_object(Self { lookup: Arc::clone(lookup) })
    }

    fn find(&self, conn_id: &str) -> Result<Option<Value>, Error> {
        let found = self.lookup.connection(conn_id).map_err(refused)?;
        Ok(found.map(|connection| Value::from_object(ConnectionValue(connection))))
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("conn")
    }
}

impl Object for Connections {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let conn_id = key.as_str()?;
        let missing = || refused(format!("the conn_id '{conn_id}' isn't defined; add the connection"));
        Some(self.find(conn_id).and_then(|found| found.ok_or_else(missing)).unwrap_or_else(Value::from))
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        arguments: &[Value],
    ) -> Result<Value, Error> {
        if method != "get" {
            return Err(Error::from(ErrorKind::UnknownMethod));
        }
        let (conn_id, default) = name_and_default(arguments, "default_conn")?;
        Ok(self.find(&conn_id)?.or(default).unwrap_or_else(|| Value::from(())))
    }
}

/// A connection. Its text does not show the password.
struct ConnectionValue(Connection);

impl fmt::Debug for ConnectionValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: Option<&str>| value.map_or_else(|| "None".to_owned(), crate::python_text::str_repr);
        let hidden = |value: Option<&str>| text(value.map(|_| "***"));
        let connection = &self.0;
        write!(
            f,
            "Connection(conn_id={}, conn_type={}, description={}, host={}, schema={}, login={}, password={}, port={}, \
             extra={})",
            text(Some(&connection.conn_id)),
            text(Some(&connection.conn_type)),
            text(connection.description.as_deref()),
            text(connection.host.as_deref()),
            text(connection.schema.as_deref()),
            text(connection.login.as_deref()),
            hidden(connection.password.as_deref()),
            connection.port.map_or_else(|| "None".to_owned(), |port| port.to_string()),
            hidden(connection.extra.as_deref()),
        )
    }
}

impl Object for ConnectionValue {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let connection = &self.0;
        let text = |value: &Option<String>| value.as_deref().map_or_else(|| Value::from(()), Value::from);
        Some(match key.as_str()? {
            "conn_id" => Value::from(connection.conn_id.as_str()),
            "conn_type" => Value::from(connection.conn_type.as_str()),
            "description" => text(&connection.description),
            "host" => text(&connection.host),
            "login" => text(&connection.login),
            "password" => text(&connection.password),
            "schema" => text(&connection.schema),
            "port" => connection.port.map_or_else(|| Value::from(()), Value::from),
            "extra" => text(&connection.extra),
            "extra_dejson" => from_json(&serde_json::Value::Object(connection.extra_object())),
            _ => return None,
        })
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        arguments: &[Value],
    ) -> Result<Value, Error> {
        match method {
            "get_uri" => from_args(arguments).map(|()| Value::from(self.0.to_uri())),
            "as_json" => from_args(arguments).map(|()| Value::from(self.0.to_json())),
            "get_password" => from_args(arguments).map(|()| Value::from(self.0.password.as_deref())),
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}
