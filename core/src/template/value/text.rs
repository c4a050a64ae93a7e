//! `str()` and `repr()` of a value.

use minijinja::Error;
use minijinja::value::{Value, ValueKind};

use super::containers::Set;
use super::{DEEPEST, refused};
use crate::python_text::{float_repr, str_repr};

/// The longest text one value may become, in bytes.
const LONGEST: usize = 32 * 1024 * 1024;

/// `str(value)`
pub(in crate::template) fn python_str(value: &Value) -> Result<String, Error> {
    if let Some(text) = value.as_str() {
        return Ok(text.to_owned());
    }
    python_repr(value)
}

/// `repr(value)`
pub(in crate::template) fn python_repr(value: &Value) -> Result<String, Error> {
    let mut out = String::new();
    write_repr(&mut out, value, 0)?;
    Ok(out)
}

fn write_repr(out: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
    if depth > DEEPEST || out.len() > LONGEST {
        return Err(refused("a list or dict is nested too deep or has too much text to be shown"));
    }
    match value.kind() {
        ValueKind::Undefined => out.push_str("Undefined"),
        ValueKind::String => out.push_str(&str_repr(value.as_str().unwrap_or_default())),
        ValueKind::Number if !value.is_integer() => {
            out.push_str(&f64::try_from(value.clone()).map_or_else(|_| value.to_string(), float_repr));
        }
        ValueKind::Bytes => {
            let escaped = value.as_bytes().unwrap_or_default().escape_ascii();
            out.push_str(&format!("b'{escaped}'"));
        }
        ValueKind::Seq if value.is_tuple() => {
            let one = value.len() == Some(1);
            write_items(out, value, ('(', if one { ",)" } else { ")" }), depth)?;
        }
        ValueKind::Seq if value.downcast_object_ref::<Set>().is_some() => {
            if value.len() == Some(0) {
                out.push_str("set()");
            } else {
                write_items(out, value, ('{', "}"), depth)?;
            }
        }
        ValueKind::Seq => write_items(out, value, ('[', "]"), depth)?,
        ValueKind::Iterable if value.len().is_some() => write_items(out, value, ('[', "]"), depth)?,
        ValueKind::Map => {
            out.push('{');
            for (index, key) in value.try_iter()?.checked().enumerate() {
                let key = key?;
                if index > 0 {
                    out.push_str(", ");
                }
                write_repr(out, &key, depth + 1)?;
                out.push_str(": ");
                write_repr(out, &value.get_item(&key)?, depth + 1)?;
            }
            out.push('}');
        }
        _ => out.push_str(&value.to_string()),
    }
    Ok(())
}

fn write_items(out: &mut String, value: &Value, (open, close): (char, &str), depth: usize) -> Result<(), Error> {
    out.push(open);
    for (index, item) in value.try_iter()?.checked().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        write_repr(out, &item?, depth + 1)?;
    }
    out.push_str(close);
    Ok(())
}
