//! Parameters of a statement, written into it as literals: `%s` and `%(name)s` as psycopg2 does, `?` and `:name` for
//! SQLite. Redshift knows no types for prepared parameters of arbitrary statements, and one way for all is simpler.

use regex::{Captures, Regex};
use serde_json::Value;
use std::sync::LazyLock;

use super::connect::Dialect;
use super::split::{Part, parts};

/// The statement with its parameters in place. Without parameters it is left alone, `%` signs included.
///
/// # Errors
/// A sentence that says which parameter does not fit.
pub fn with_parameters(statement: &str, parameters: &Value, dialect: Dialect) -> Result<String, String> {
    let given = match parameters {
        Value::Null => return Ok(statement.to_owned()),
        Value::Array(items) => Given::Positions(items),
        Value::Object(fields) => Given::Names(fields),
        _ => return Err("parameters must be a list or a table of names and values.".to_owned()),
    };
    let mut used = 0;
    let text = match dialect {
        Dialect::Sqlite => {
            let mut text = String::new();
            for (part, range) in parts(statement) {
                let piece = &statement[range];
                match part {
                    Part::Code => text.push_str(&replaced(&SQLITE_MARKS, piece, &given, &mut used, dialect)?),
                    Part::Quoted | Part::Comment => text.push_str(piece),
                }
            }
            text
        }
        Dialect::Postgres | Dialect::Redshift => replaced(&PERCENT_MARKS, statement, &given, &mut used, dialect)?,
    };
    match given {
        Given::Positions(items) if used < items.len() => {
            Err(format!("{} parameters are given, but the statement uses {used}.", items.len()))
        }
        _ => Ok(text),
    }
}

enum Given<'a> {
    Positions(&'a [Value]),
    Names(&'a serde_json::Map<String, Value>),
}

#[expect(clippy::expect_used, reason = "the pattern is fixed, and a test compiles it")]
static PERCENT_MARKS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"%(?:(?<escape>%)|(?<next>s)|\((?<name>[^)]*)\)s|(?<wrong>.|$))").expect("a pattern"));

#[expect(clippy::expect_used, reason = "the pattern is fixed, and a test compiles it")]
static SQLITE_MARKS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?<next>\?)|[:@](?<name>[A-Za-z_][A-Za-z0-9_]*)").expect("a pattern"));

fn replaced(
    marks: &Regex,
    text: &str,
    given: &Given<'_>,
    used: &mut usize,
    dialect: Dialect,
) -> Result<String, String> {
    let mut problem = None;
    let replacement = |mark: &Captures<'_>| match literal_for(mark, given, used, dialect) {
        Ok(literal) => literal,
        Err(message) => {
            problem.get_or_insert(message);
            String::new()
        }
    };
    let text = marks.replace_all(text, replacement).into_owned();
    problem.map_or(Ok(text), Err)
}

fn literal_for(mark: &Captures<'_>, given: &Given<'_>, used: &mut usize, dialect: Dialect) -> Result<String, String> {
    if mark.name("escape").is_some() {
        return Ok("%".to_owned());
    }
    match (mark.name("next"), mark.name("name"), given) {
        (Some(_), _, Given::Positions(items)) => {
            *used += 1;
            let item = items.get(*used - 1).ok_or_else(|| {
                format!("the statement asks for more parameters than the {} that are given.", items.len())
            })?;
            literal(item, dialect)
        }
        (_, Some(name), Given::Names(fields)) => {
            let field = fields
                .get(name.as_str())
                .ok_or_else(|| format!("the statement names the parameter '{}', which is not given.", name.as_str()))?;
            literal(field, dialect)
        }
        (Some(_), ..) => Err("the statement asks for parameters by position, but they are given by name.".to_owned()),
        (_, Some(_), _) => Err("the statement names its parameters, but they are given by position.".to_owned()),
        _ => Err(format!("'{}' is no placeholder: write %s, %(name)s, or %% for a percent sign.", &mark[0])),
    }
}

/// A value as SQL. Lists become arrays in PostgreSQL and a list in parentheses elsewhere.
fn literal(value: &Value, dialect: Dialect) -> Result<String, String> {
    Ok(match value {
        Value::Null => "NULL".to_owned(),
        Value::Bool(truth) if dialect == Dialect::Sqlite => i32::from(*truth).to_string(),
        Value::Bool(truth) => truth.to_string(),
        // Parenthesised, so that a minus sign before a negative number does not begin a comment.
        Value::Number(number) if number.to_string().starts_with('-') => format!("({number})"),
        Value::Number(number) => number.to_string(),
        Value::String(text) => quoted(text, dialect)?,
        Value::Array(items) => {
            let items = items.iter().map(|item| literal(item, dialect)).collect::<Result<Vec<_>, _>>()?;
            match dialect {
                Dialect::Postgres => format!("ARRAY[{}]", items.join(",")),
                Dialect::Redshift | Dialect::Sqlite => format!("({})", items.join(",")),
            }
        }
        Value::Object(_) => quoted(&value.to_string(), dialect)?,
    })
}

fn quoted(text: &str, dialect: Dialect) -> Result<String, String> {
    if text.contains('\0') {
        return Err("a parameter holds a zero byte, which no SQL text can.".to_owned());
    }
    let doubled = text.replace('\'', "''");
    Ok(match dialect {
        Dialect::Postgres if doubled.contains('\\') => format!("E'{}'", doubled.replace('\\', "\\\\")),
        // Redshift reads a backslash in an ordinary string as an escape.
        Dialect::Redshift => format!("'{}'", doubled.replace('\\', "\\\\")),
        Dialect::Postgres | Dialect::Sqlite => format!("'{doubled}'"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn postgres(statement: &str, parameters: &Value) -> Result<String, String> {
        with_parameters(statement, parameters, Dialect::Postgres)
    }

    #[test]
    fn values_take_the_places_of_their_marks() {
        let parameters = json!([1, "it's", null, true, -2.5]);
        let text = postgres("SELECT %s, %s, %s, %s, 3-%s, 5 %% 2", &parameters).unwrap();
        assert_eq!(text, "SELECT 1, 'it''s', NULL, true, 3-(-2.5), 5 % 2");
        let named = postgres("SELECT %(a)s, %(b)s, %(a)s", &json!({ "a": 1, "b": "x" })).unwrap();
        assert_eq!(named, "SELECT 1, 'x', 1");
        let sqlite = with_parameters("SELECT ?, '?', ? -- ?", &json!([1, "x"]), Dialect::Sqlite).unwrap();
        assert_eq!(sqlite, "SELECT 1, '?', 'x' -- ?");
        let sqlite = with_parameters("SELECT :a, ':a'", &json!({ "a": "x" }), Dialect::Sqlite).unwrap();
        assert_eq!(sqlite, "SELECT 'x', ':a'");
    }

    #[test]
    fn without_parameters_nothing_is_a_mark() {
        assert_eq!(postgres("SELECT 'a%s' LIKE '%b'", &Value::Null).unwrap(), "SELECT 'a%s' LIKE '%b'");
    }

    #[test]
    fn no_text_escapes_its_quotes() {
        let hostile = json!(["\\'; DROP TABLE t; --"]);
        assert_eq!(postgres("SELECT %s", &hostile).unwrap(), r"SELECT E'\\''; DROP TABLE t; --'");
        let redshift = with_parameters("SELECT %s", &hostile, Dialect::Redshift).unwrap();
        assert_eq!(redshift, r"SELECT '\\''; DROP TABLE t; --'");
    }

    #[test]
    fn marks_and_parameters_must_fit() {
        for (statement, parameters) in [
            ("SELECT %s, %s", json!([1])),
            ("SELECT %s", json!([1, 2])),
            ("SELECT %(a)s", json!({ "b": 1 })),
            ("SELECT %s", json!({ "a": 1 })),
            ("SELECT %(a)s", json!([1])),
            ("SELECT 5 % 2 + %s", json!([1])),
            ("SELECT %s", json!("text")),
            ("SELECT %s", json!(["a\0b"])),
        ] {
            assert!(postgres(statement, &parameters).is_err(), "{statement}");
        }
    }
}
