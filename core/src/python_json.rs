//! JSON as Python's `json.dumps` writes it: spaces after separators, characters outside ASCII escaped.

use serde_json::Value;

use crate::python_text::float_repr;

/// The keyword arguments of `json.dumps`.
#[derive(Debug, Clone)]
pub struct JsonStyle {
    /// `sort_keys`
    pub sort_keys: bool,
    /// `ensure_ascii`
    pub ensure_ascii: bool,
    /// `indent`, in spaces
    pub indent: Option<usize>,
    /// `separators`: between items, and between key and value
    pub separators: (String, String),
}

impl Default for JsonStyle {
    fn default() -> Self {
        Self { sort_keys: false, ensure_ascii: true, indent: None, separators: (", ".to_owned(), ": ".to_owned()) }
    }
}

/// `json.dumps(value)`
#[must_use]
pub fn dumps(value: &Value) -> String {
    dumps_styled(value, &JsonStyle::default())
}

/// `json.dumps(value, …)`
#[must_use]
pub fn dumps_styled(value: &Value, style: &JsonStyle) -> String {
    let mut out = String::new();
    write_value(&mut out, value, style, 0);
    out
}

fn write_value(out: &mut String, value: &Value, style: &JsonStyle, level: usize) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(float) => out.push_str(&float_repr(float)),
            None => out.push_str(&number.to_string()),
        },
        Value::String(text) => write_text(out, text, style.ensure_ascii),
        Value::Array(items) => {
            write_items(out, '[', ']', items.iter(), style, level, |out, item| {
                write_value(out, item, style, level + 1);
            });
        }
        Value::Object(map) => {
            let mut pairs: Vec<_> = map.iter().collect();
            if style.sort_keys {
                pairs.sort_by_key(|(key, _)| *key);
            }
            write_items(out, '{', '}', pairs.into_iter(), style, level, |out, (key, item)| {
                write_text(out, key, style.ensure_ascii);
                out.push_str(&style.separators.1);
                write_value(out, item, style, level + 1);
            });
        }
    }
}

fn write_items<T>(
    out: &mut String,
    open: char,
    close: char,
    items: impl ExactSizeIterator<Item = T>,
    style: &JsonStyle,
    level: usize,
    mut write: impl FnMut(&mut String, T),
) {
    let empty = items.len() == 0;
    let new_line = |out: &mut String, level: usize| {
        if let Some(width) = style.indent.filter(|_| !empty) {
            out.push('\n');
            out.push_str(&" ".repeat(width.saturating_mul(level).min(10_000)));
        }
    };
    out.push(open);
    for (index, item) in items.enumerate() {
        if index > 0 {
            let separator = &style.separators.0;
            out.push_str(if style.indent.is_some() { separator.trim_end() } else { separator });
        }
        new_line(out, level + 1);
        write(out, item);
    }
    new_line(out, level);
    out.push(close);
}

fn write_text(out: &mut String, text: &str, ensure_ascii: bool) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if u32::from(c) < 0x20 || (ensure_ascii && !c.is_ascii()) => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
