//! Filters of Jinja2 that the engine lacks, or that differ from Jinja2's in what they take or give.

use minijinja::value::{Kwargs, Rest, Value, ValueKind, from_args};
use minijinja::{Environment, Error, ErrorKind};

use super::value::{List, python_str, refused, split_arguments};

/// No text is made wider.
const WIDEST: usize = 10_000;

/// Adds them to an environment.
pub(super) fn add_to(env: &mut Environment<'_>) {
    env.add_filter("int", int);
    env.add_filter("float", float);
    env.add_filter("list", list);
    env.add_filter("truncate", truncate);
    env.add_filter("wordwrap", wordwrap);
    env.add_filter("urlencode", urlencode);
    env.add_filter("forceescape", |value: &Value| python_str(value).map(|text| escaped(&text)));
}

/// A list of what something holds.
fn list(value: &Value) -> Result<Value, Error> {
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    Ok(List::value(value.try_iter()?.checked().collect::<Result<_, _>>()?))
}

/// `int(default=0, base=10)`: what cannot be read is the default; a float's text loses what stands after the point.
#[expect(clippy::needless_pass_by_value, reason = "the engine wants it so")]
fn int(value: &Value, default: Option<Value>, base: Option<u32>, named: Kwargs) -> Result<Value, Error> {
    let default = default.or(named.get("default")?).unwrap_or_else(|| Value::from(0));
    let base = base.or(named.get("base")?).unwrap_or(10);
    named.assert_all_used()?;
    defined(value)?;
    let read = match value.as_str() {
        Some(text) => read_int(text.trim(), base),
        None if value.kind() == ValueKind::Number && !value.is_integer() => {
            f64::try_from(value.clone()).ok().and_then(whole)
        }
        None if value.kind() == ValueKind::Bool => Some(Value::from(i64::from(value.is_true()))),
        None => (value.kind() == ValueKind::Number).then(|| value.clone()),
    };
    Ok(read.unwrap_or(default))
}

fn read_int(text: &str, base: u32) -> Option<Value> {
    let (sign, digits) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (if text.starts_with('-') { -1 } else { 1 }, rest),
        None => (1, text),
    };
    let lower = digits.to_ascii_lowercase();
    let prefix = match base {
        16 => "0x",
        8 => "0o",
        2 => "0b",
        _ => "",
    };
    let digits = lower.strip_prefix(prefix).unwrap_or(&lower).replace('_', "");
    let whole_number = (2..=36).contains(&base).then(|| i128::from_str_radix(&digits, base).ok()).flatten();
    whole_number.map(|number| Value::from(sign * number)).or_else(|| text.parse().ok().and_then(whole))
}

/// A float without what stands after the point.
fn whole(number: f64) -> Option<Value> {
    #[expect(clippy::cast_possible_truncation, reason = "bounded above")]
    (number.is_finite() && number.abs() < 1e38).then(|| Value::from(number.trunc() as i128))
}

#[expect(clippy::needless_pass_by_value, reason = "the engine wants it so")]
fn float(value: &Value, default: Option<Value>, named: Kwargs) -> Result<Value, Error> {
    let default = default.or(named.get("default")?).unwrap_or_else(|| Value::from(0.0));
    named.assert_all_used()?;
    defined(value)?;
    let read = match value.as_str() {
        Some(text) => text.trim().replace('_', "").parse::<f64>().ok(),
        None => f64::try_from(value.clone()).ok(),
    };
    Ok(read.map_or(default, Value::from))
}

fn defined(value: &Value) -> Result<(), Error> {
    if value.is_undefined() { Err(Error::from(ErrorKind::UndefinedError)) } else { Ok(()) }
}

/// `truncate(length=255, killwords=False, end='...', leeway=5)`
#[expect(clippy::needless_pass_by_value, reason = "the engine wants it so")]
fn truncate(text: &Value, arguments: Rest<Value>) -> Result<String, Error> {
    let (plain, named) = split_arguments(&arguments)?;
    let (length, killwords, end, leeway): (Option<usize>, Option<bool>, Option<String>, Option<usize>) =
        from_args(plain)?;
    let length = length.or(named.get("length")?).unwrap_or(255);
    let killwords = killwords.or(named.get("killwords")?).unwrap_or(false);
    let end = end.or(named.get("end")?).unwrap_or_else(|| "...".to_owned());
    let leeway = leeway.or(named.get("leeway")?).unwrap_or(5);
    named.assert_all_used()?;
    let text = python_str(text)?;
    let width = end.chars().count();
    if length < width {
        return Err(refused(format!("truncate needs a length of at least {width}, that of '{end}'")));
    }
    if text.chars().count() <= length.saturating_add(leeway) {
        return Ok(text);
    }
    let kept: String = text.chars().take(length - width).collect();
    let kept =
        if killwords { kept.as_str() } else { kept.rsplit_once(' ').map_or(kept.as_str(), |(before, _)| before) };
    Ok(format!("{kept}{end}"))
}

/// `wordwrap(width=79, break_long_words=True)`: each line by itself.
#[expect(clippy::needless_pass_by_value, reason = "the engine wants it so")]
fn wordwrap(text: &str, width: Option<usize>, break_long: Option<bool>, named: Kwargs) -> Result<String, Error> {
    let width = width.or(named.get("width")?).unwrap_or(79).clamp(1, WIDEST);
    let break_long = break_long.or(named.get("break_long_words")?).unwrap_or(true);
    let between = named.get::<Option<String>>("wrapstring")?.unwrap_or_else(|| "\n".to_owned());
    named.assert_all_used()?;
    let lines = text.lines().map(|line| wrapped(line, width, break_long).join(&between));
    Ok(lines.collect::<Vec<_>>().join(&between))
}

fn wrapped(line: &str, width: usize, break_long: bool) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in line.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        let used = lines.last().map_or(0, |line| line.chars().count());
        if used > 0 && used + 1 + word.len() <= width {
            if let Some(line) = lines.last_mut() {
                line.push(' ');
                line.extend(word);
            }
            continue;
        }
        if used > 0 {
            lines.push(String::new());
        }
        while break_long && word.len() > width {
            let rest = word.split_off(width);
            if let Some(line) = lines.last_mut() {
                line.extend(word);
            }
            lines.push(String::new());
            word = rest;
        }
        if let Some(line) = lines.last_mut() {
            line.extend(word);
        }
    }
    lines
}

/// A text as part of a path; a dict, or pairs, as a query.
fn urlencode(value: &Value) -> Result<String, Error> {
    let pairs: Vec<(Value, Value)> = match value.kind() {
        ValueKind::Map => {
            let keys = value.try_iter()?;
            keys.map(|key| value.get_item(&key).map(|item| (key, item))).collect::<Result<_, _>>()?
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let pair = |item: Value| Ok::<_, Error>((item.get_item_by_index(0)?, item.get_item_by_index(1)?));
            value.try_iter()?.map(pair).collect::<Result<_, _>>()?
        }
        _ => return Ok(percent_encoded(&python_str(value)?, true, "%20")),
    };
    let texts = pairs.iter().map(|(key, item)| {
        let part = |value: &Value| Ok::<_, Error>(percent_encoded(&python_str(value)?, false, "+"));
        Ok(format!("{}={}", part(key)?, part(item)?))
    });
    Ok(texts.collect::<Result<Vec<_>, Error>>()?.join("&"))
}

fn percent_encoded(text: &str, slashes_stay: bool, space: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b' ' => out.push_str(space),
            b'/' if slashes_stay => out.push('/'),
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'-' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn escaped(text: &str) -> String {
    let replaced = [("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("'", "&#39;"), ("\"", "&#34;")];
    replaced.into_iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}
