//! Methods of Python's `str` that the engine's compatibility layer lacks.

use minijinja::value::{Tuple, Value, from_args};
use minijinja::{Error, State};
use minijinja_contrib::pycompat::unknown_method_callback;

use super::time::datetime_of;
use super::value::refused;

/// Calls the method if it is one of those here.
pub(super) fn call(
    state: &mut State<'_, '_>,
    value: &Value,
    method: &str,
    arguments: &[Value],
) -> Option<Result<Value, Error>> {
    let text = value.as_str()?;
    Some(match method {
        "zfill" => from_args(arguments).and_then(|(width,): (usize,)| {
            charge(state, width)?;
            let (sign, digits) = text.split_at(usize::from(text.starts_with(['-', '+'])));
            let missing = width.saturating_sub(text.chars().count());
            Ok(Value::from(format!("{sign}{}{digits}", "0".repeat(missing))))
        }),
        // The rest of `format` is the compatibility layer's.
        "format" => match super::operators::check_widths(text) {
            Err(error) => Err(error),
            Ok(()) => {
                let pattern = with_dates(text, arguments)?;
                unknown_method_callback(state, &Value::from(pattern), "format", arguments)
            }
        },
        "ljust" | "rjust" | "center" => padded(state, text, method, arguments),
        "removeprefix" => {
            from_args(arguments).map(|(prefix,): (&str,)| Value::from(text.strip_prefix(prefix).unwrap_or(text)))
        }
        "removesuffix" => {
            from_args(arguments).map(|(suffix,): (&str,)| Value::from(text.strip_suffix(suffix).unwrap_or(text)))
        }
        "rsplit" => rsplit(text, arguments),
        "partition" => from_args(arguments).map(|(by,): (&str,)| match text.split_once(by) {
            Some((before, after)) => triple(before, by, after),
            None => triple(text, "", ""),
        }),
        "rpartition" => from_args(arguments).map(|(by,): (&str,)| match text.rsplit_once(by) {
            Some((before, after)) => triple(before, by, after),
            None => triple("", "", text),
        }),
        "casefold" => from_args(arguments).map(|()| Value::from(text.to_lowercase())),
        "swapcase" => from_args(arguments).map(|()| {
            let swap =
                |c: char| if c.is_lowercase() { c.to_uppercase().to_string() } else { c.to_lowercase().to_string() };
            Value::from(text.chars().map(swap).collect::<String>())
        }),
        "index" => from_args(arguments).and_then(|(part,): (&str,)| {
            let at = text.find(part).ok_or_else(|| refused("substring not found"))?;
            Ok(Value::from(text[..at].chars().count()))
        }),
        _ => return None,
    })
}

/// The pattern with dates in it, where it gives them a format: `{:%Y-%m-%d}`. None if it gives none.
fn with_dates(pattern: &str, arguments: &[Value]) -> Option<String> {
    if !pattern.contains(":%") {
        return None;
    }
    let (mut out, mut rest, mut next) = (String::new(), pattern, 0);
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        if from.starts_with("{{") || from.starts_with("}}") || from.starts_with('}') {
            let taken = if from.starts_with('}') && !from.starts_with("}}") { 1 } else { 2 };
            out.push_str(&from[..taken]);
            rest = &from[taken..];
            continue;
        }
        let Some((field, after)) = from[1..].split_once('}') else { break };
        let (name, format) = field.split_once(':').unwrap_or((field, ""));
        let place = if name.is_empty() { Some(next) } else { name.parse().ok() };
        next += usize::from(name.is_empty());
        let date = place.and_then(|place| arguments.get(place)).and_then(datetime_of);
        match date.filter(|_| format.starts_with('%')) {
            Some(date) => out.push_str(&date.strftime(format).replace('{', "{{").replace('}', "}}")),
            None => {
                let name = place.map_or_else(|| name.to_owned(), |place| place.to_string());
                let colon = if field.contains(':') { ":" } else { "" };
                out.push_str(&format!("{{{name}{colon}{format}}}"));
            }
        }
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

fn charge(state: &State<'_, '_>, bytes: usize) -> Result<(), Error> {
    state.consume_fuel(bytes as u64 / 64)
}

fn triple(before: &str, by: &str, after: &str) -> Value {
    Value::from(Tuple::from([Value::from(before), Value::from(by), Value::from(after)]))
}

fn padded(state: &State<'_, '_>, text: &str, method: &str, arguments: &[Value]) -> Result<Value, Error> {
    let (width, fill): (usize, Option<char>) = from_args(arguments)?;
    charge(state, width.saturating_mul(4))?;
    let missing = width.saturating_sub(text.chars().count());
    let before = match method {
        "ljust" => 0,
        "rjust" => missing,
        _ => missing / 2 + (missing & width & 1),
    };
    let pad = |count: usize| fill.unwrap_or(' ').to_string().repeat(count);
    Ok(Value::from(format!("{}{text}{}", pad(before), pad(missing - before))))
}

fn rsplit(text: &str, arguments: &[Value]) -> Result<Value, Error> {
    let (by, most): (Option<&str>, Option<i64>) = from_args(arguments)?;
    let most = most.and_then(|most| usize::try_from(most).ok()).map_or(usize::MAX, |most| most.saturating_add(1));
    let mut parts: Vec<Value> = match by {
        Some("") => return Err(refused("empty separator")),
        Some(by) => text.rsplitn(most, by).map(Value::from).collect(),
        None => text.trim().rsplitn(most, char::is_whitespace).map(Value::from).collect(),
    };
    parts.reverse();
    Ok(Value::from(parts))
}
