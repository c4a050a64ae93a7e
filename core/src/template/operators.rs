//! Python's operators on values for which the engine has none: dates, spans of time, `%` on texts, sets of pairs.

use minijinja::formatting::{FormatStyle, format};
use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind, State};

use super::time::{DateValue, DeltaValue, StdDateTime, datetime_like, datetime_of};
use super::value::{Dict, List, python_repr, python_str, refused};

/// `left operator right`
pub(super) fn operator(state: &mut State<'_, '_>, symbol: &str, left: &Value, right: &Value) -> Result<Value, Error> {
    if left.is_undefined() || right.is_undefined() {
        return Err(undefined_operand(symbol, left));
    }
    if symbol == "~" {
        let text = python_str(left)? + &python_str(right)?;
        return Ok(Value::from(text));
    }
    if symbol == "%"
        && let Some(pattern) = left.as_str()
    {
        return percent_format(pattern, right);
    }
    if left.kind() == ValueKind::Plain || right.kind() == ValueKind::Plain {
        return on_times(symbol, left, right)?.ok_or_else(|| unsupported(symbol, left, right));
    }
    let result = plain(state, symbol, left, right)?;
    if result.is_tuple() || !matches!(result.kind(), ValueKind::Seq | ValueKind::Iterable) {
        return Ok(result);
    }
    state.consume_fuel(result.len().unwrap_or(0) as u64)?;
    Ok(List::value(result.try_iter()?.checked().collect::<Result<_, _>>()?))
}

fn undefined_operand(symbol: &str, left: &Value) -> Error {
    let side = if left.is_undefined() { "left" } else { "right" };
    Error::new(ErrorKind::UndefinedError, format!("what stands {side} of the operator '{symbol}' is undefined"))
}

fn unsupported(symbol: &str, left: &Value, right: &Value) -> Error {
    refused(format!("the operator '{symbol}' cannot be used on {} and {}", kind_of(left), kind_of(right)))
}

fn kind_of(value: &Value) -> String {
    if datetime_of(value).is_some() || value.downcast_object_ref::<DateValue>().is_some() {
        "a date".to_owned()
    } else if value.downcast_object_ref::<DeltaValue>().is_some() {
        "a span of time".to_owned()
    } else {
        format!("a {}", value.kind())
    }
}

/// What the engine itself can do, within what is left of the template's fuel.
fn plain(state: &mut State<'_, '_>, symbol: &str, left: &Value, right: &Value) -> Result<Value, Error> {
    let repeats = symbol == "*" && (left.kind() != ValueKind::Number || right.kind() != ValueKind::Number);
    if repeats {
        let count = [left, right].into_iter().find_map(Value::as_i64).unwrap_or(0).max(0);
        let size = [left, right].into_iter().filter_map(Value::len).max().unwrap_or(0) as u64;
        state.consume_fuel(size.saturating_mul(count.unsigned_abs()))?;
    }
    let source = match symbol {
        "+" => "a + b",
        "-" => "a - b",
        "*" => "a * b",
        "/" => "a / b",
        "//" => "a // b",
        _ => "a % b",
    };
    let operands = Value::from_pairs([("a", left.clone()), ("b", right.clone())]);
    let expression = state.env().compile_expression(source)?;
    expression.eval(operands).map_err(|error| match error.detail() {
        // The engine's place is that of our expression, not of the template.
        Some(detail) => Error::new(error.kind(), detail.to_owned()),
        None => Error::from(error.kind()),
    })
}

/// `'%02d' % 5`, `'%s/%s' % (a, b)`, `'%(x)s' % {'x': 1}`
pub(super) fn percent_format(pattern: &str, right: &Value) -> Result<Value, Error> {
    let mut arguments: Vec<Value> = if right.is_tuple() { right.try_iter()?.collect() } else { vec![right.clone()] };
    let expected = placeholders(pattern);
    check_widths(pattern)?;
    let pattern = &with_reprs(pattern, &mut arguments)?;
    if right.kind() != ValueKind::Map && expected < arguments.len() {
        return Err(refused("not all arguments converted during string formatting"));
    }
    format(FormatStyle::Printf, pattern, &arguments).map(Value::from)
}

/// `%r` as `%s` of what Python's `repr` says.
fn with_reprs(pattern: &str, arguments: &mut [Value]) -> Result<String, Error> {
    if !pattern.contains("%r") {
        return Ok(pattern.to_owned());
    }
    let mut place = 0;
    let mut out = String::new();
    let mut characters = pattern.chars().peekable();
    while let Some(character) = characters.next() {
        out.push(character);
        if character != '%' {
            continue;
        }
        match characters.peek() {
            Some('%') => out.extend(characters.next()),
            Some('r') => {
                characters.next();
                out.push('s');
                if let Some(argument) = arguments.get_mut(place) {
                    *argument = Value::from(python_repr(argument)?);
                }
                place += 1;
            }
            _ => place += 1,
        }
    }
    Ok(out)
}

/// A field as wide as a book is a mistake or an attack.
pub(super) fn check_widths(pattern: &str) -> Result<(), Error> {
    let digits = pattern.split(|c: char| !c.is_ascii_digit());
    if digits.into_iter().any(|number| number.trim_start_matches('0').len() > 5) || pattern.contains("%*") {
        return Err(refused("a format's width may have at most five digits, and cannot be '*'"));
    }
    Ok(())
}

fn placeholders(pattern: &str) -> usize {
    let escaped = pattern.matches("%%").count();
    pattern.matches('%').count() - 2 * escaped + pattern.matches('*').count()
}

fn on_times(symbol: &str, left: &Value, right: &Value) -> Result<Option<Value>, Error> {
    let sign = match symbol {
        "+" => 1,
        "-" => -1,
        _ => return scaled(symbol, left, right),
    };
    let date = |value: &Value| value.downcast_object_ref::<DateValue>().copied();
    let delta = |value: &Value| value.downcast_object_ref::<DeltaValue>().copied();
    if let (Some(end), Some(start), -1) = (datetime_of(left), datetime_of(right), sign) {
        let std = |value: &Value| value.downcast_object_ref::<StdDateTime>().is_some();
        let span = if std(left) && std(right) { end.std_minus(&start) } else { end.minus(&start) };
        return span.map(Some);
    }
    if let (Some(at), Some(by)) = (datetime_of(left), delta(right)) {
        return by.added_to(&at, sign).map(|at| Some(datetime_like(left, at)));
    }
    if let (Some(end), Some(start), -1) = (date(left), date(right), sign) {
        return Ok(Some(end.since(start)));
    }
    if let (Some(day), Some(by)) = (date(left), delta(right)) {
        return day.moved(&by, sign).map(Some);
    }
    match (delta(left), datetime_of(right), date(right), delta(right)) {
        (Some(by), Some(at), _, _) if sign == 1 => by.added_to(&at, 1).map(|at| Some(datetime_like(right, at))),
        (Some(by), _, Some(day), _) if sign == 1 => day.moved(&by, 1).map(Some),
        (Some(a), _, _, Some(b)) => {
            let sum = a.micros().zip(b.micros()).and_then(|(a, b)| a.checked_add(sign * b));
            Ok(sum.map(|micros| DeltaValue::timedelta(micros).into_value()))
        }
        _ => Ok(None),
    }
}

/// A span times or divided by a number, or by another span.
fn scaled(symbol: &str, left: &Value, right: &Value) -> Result<Option<Value>, Error> {
    let delta = |value: &Value| value.downcast_object_ref::<DeltaValue>().copied();
    let number = |value: &Value| f64::try_from(value.clone()).ok();
    let by_zero = || refused("division by zero");
    match (symbol, delta(left), delta(right)) {
        ("*", Some(span), None) => number(right).map(|factor| span.times(factor)).transpose(),
        ("*", None, Some(span)) => number(left).map(|factor| span.times(factor)).transpose(),
        ("/" | "//", Some(span), None) => match number(right) {
            Some(0.0) => return Err(by_zero()),
            divisor => divisor.map(|divisor| span.times(1.0 / divisor)).transpose(),
        },
        (_, Some(a), Some(b)) => {
            let Some((a, b)) = a.micros().zip(b.micros()) else { return Ok(None) };
            if b == 0 {
                return Err(by_zero());
            }
            #[expect(clippy::cast_precision_loss, reason = "Python's result is a float, too")]
            return Ok(match symbol {
                "/" => Some(Value::from(a as f64 / b as f64)),
                "//" => Some(Value::from(a.div_euclid(b))),
                "%" => Some(DeltaValue::timedelta(a.rem_euclid(b)).into_value()),
                _ => None,
            });
        }
        _ => Ok(None),
    }
    .map(|span| span.map(DeltaValue::into_value))
}

/// What a list literal becomes.
pub(super) fn list_literal(items: &Value) -> Result<Value, Error> {
    Ok(List::value(items.try_iter()?.checked().collect::<Result<_, _>>()?))
}

/// What a dict literal becomes.
pub(super) fn dict_literal(items: &Value) -> Result<Value, Error> {
    let pairs = items.try_iter()?.checked().map(|key| {
        let key = key?;
        if matches!(key.kind(), ValueKind::Seq | ValueKind::Map) && !key.is_tuple() {
            return Err(refused("a list or dict cannot be the key of a dict"));
        }
        let item = items.get_item(&key)?;
        Ok((key, item))
    });
    Ok(Dict::value(pairs.collect::<Result<Vec<_>, _>>()?))
}
