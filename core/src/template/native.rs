//! Reads a text as a Python literal, as `ast.literal_eval` does.

use serde_json::{Map, Number, Value};

/// How deep literals may be nested.
const DEEPEST: usize = 100;

/// The literal that the text is, or else the text.
pub(super) fn literal_or_text(text: String) -> Value {
    literal(&text).unwrap_or(Value::String(text))
}

fn literal(text: &str) -> Option<Value> {
    // An indented expression is a syntax error in Python.
    if text.starts_with([' ', '\t', '\n']) {
        return None;
    }
    let mut reader = Reader { rest: text, brackets: 0 };
    let value = reader.tuple_or_value()?;
    reader.space();
    let rest = reader.rest.trim();
    rest.is_empty().then_some(value)
}

struct Reader<'a> {
    rest: &'a str,
    brackets: usize,
}

impl<'a> Reader<'a> {
    /// Line ends are space only inside brackets.
    fn space(&mut self) {
        let inside = self.brackets > 0;
        self.rest = self.rest.trim_start_matches(|c| matches!(c, ' ' | '\t' | '\u{c}') || (inside && c == '\n'));
    }

    fn skip(&mut self, token: &str) -> bool {
        self.space();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// `1, 2` is a tuple.
    fn tuple_or_value(&mut self) -> Option<Value> {
        let first = self.value()?;
        if !self.skip(",") {
            return Some(first);
        }
        let mut items = vec![first];
        loop {
            self.space();
            if self.rest.is_empty() || self.rest.starts_with(['\n', ')']) {
                return Some(Value::Array(items));
            }
            items.push(self.value()?);
            if !self.skip(",") {
                return Some(Value::Array(items));
            }
        }
    }

    fn value(&mut self) -> Option<Value> {
        self.space();
        match self.rest.chars().next()? {
            '[' => self.bracketed(|reader| reader.items("]").map(Value::Array)),
            '(' => self.bracketed(|reader| {
                if reader.skip(")") {
                    return Some(Value::Array(Vec::new()));
                }
                let value = reader.tuple_or_value()?;
                reader.skip(")").then_some(value)
            }),
            '{' => self.bracketed(Self::dict_or_set),
            '+' | '-' => self.signed(),
            c if c.is_ascii_digit() || c == '.' => self.number(false),
            _ => self.word_or_text(),
        }
    }

    fn bracketed(&mut self, read: impl FnOnce(&mut Self) -> Option<Value>) -> Option<Value> {
        self.brackets += 1;
        if self.brackets > DEEPEST {
            return None;
        }
        self.rest = &self.rest[1..];
        let value = read(self)?;
        self.brackets -= 1;
        Some(value)
    }

    fn items(&mut self, close: &str) -> Option<Vec<Value>> {
        let mut items = Vec::new();
        loop {
            if self.skip(close) {
                return Some(items);
            }
            items.push(self.value()?);
            if !self.skip(",") {
                return self.skip(close).then_some(items);
            }
        }
    }

    fn dict_or_set(&mut self) -> Option<Value> {
        let mut map = Map::new();
        if self.skip("}") {
            return Some(Value::Object(map));
        }
        let first = self.value()?;
        if !self.skip(":") {
            let mut items = vec![first];
            if self.skip(",") {
                items.extend(self.items("}")?);
            } else if !self.skip("}") {
                return None;
            }
            return Some(Value::Array(items));
        }
        let mut key = first;
        loop {
            let value = self.value()?;
            map.insert(key_text(&key)?, value);
            let more = self.skip(",");
            if self.skip("}") {
                return Some(Value::Object(map));
            }
            if !more {
                return None;
            }
            key = self.value()?;
            if !self.skip(":") {
                return None;
            }
        }
    }

    fn signed(&mut self) -> Option<Value> {
        let mut negative = false;
        while let Some(rest) = self.rest.strip_prefix(['+', '-']) {
            negative ^= self.rest.starts_with('-');
            self.rest = rest.trim_start_matches(' ');
        }
        self.number(negative)
    }

    fn number(&mut self, negative: bool) -> Option<Value> {
        let length = number_length(self.rest);
        let (text, rest) = self.rest.split_at(length);
        // `1_000`, but not `_1`, `1_` or `1__0`.
        if text.is_empty() || text.starts_with('_') || text.ends_with('_') || text.contains("__") {
            return None;
        }
        let digits = text.replace('_', "");
        self.rest = rest;
        if rest.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '.') {
            return None;
        }
        let lower = digits.to_ascii_lowercase();
        let based = [("0x", 16), ("0o", 8), ("0b", 2)]
            .into_iter()
            .find_map(|(prefix, base)| lower.strip_prefix(prefix).map(|digits| i128::from_str_radix(digits, base)));
        let integer = match based {
            Some(number) => number.ok()?,
            None if digits.bytes().all(|b| b.is_ascii_digit()) => {
                if digits.len() > 1 && digits.starts_with('0') && digits.bytes().any(|b| b != b'0') {
                    return None;
                }
                digits.parse().ok()?
            }
            None => {
                let float: f64 = digits.parse().ok()?;
                return Number::from_f64(if negative { -float } else { float }).map(Value::Number);
            }
        };
        let integer = if negative { -integer } else { integer };
        // A whole number that JSON's readers would round stays a text.
        i64::try_from(integer).map(Value::from).or_else(|_| u64::try_from(integer).map(Value::from)).ok()
    }

    fn word_or_text(&mut self) -> Option<Value> {
        for (word, value) in [("True", Value::Bool(true)), ("False", Value::Bool(false)), ("None", Value::Null)] {
            if let Some(rest) = self.rest.strip_prefix(word)
                && !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_')
            {
                self.rest = rest;
                return Some(value);
            }
        }
        // Neighbouring texts are one.
        let mut text = self.text()?;
        loop {
            self.space();
            match self.text() {
                Some(more) => text.push_str(&more),
                None => return Some(Value::String(text)),
            }
        }
    }

    fn text(&mut self) -> Option<String> {
        let prefix = self.rest.find(['\'', '"']).filter(|&at| at <= 1)?;
        let raw = match self.rest[..prefix].to_ascii_lowercase().as_str() {
            "" | "u" => false,
            "r" => true,
            _ => return None,
        };
        let body = &self.rest[prefix..];
        let quote = ["'''", "\"\"\"", "'", "\""].into_iter().find(|quote| body.starts_with(quote))?;
        let mut out = String::new();
        let mut chars = body[quote.len()..].char_indices();
        loop {
            let (at, c) = chars.next()?;
            if body[quote.len() + at..].starts_with(quote) {
                self.rest = &body[quote.len() + at + quote.len()..];
                return Some(out);
            }
            match c {
                '\\' if raw => {
                    out.push('\\');
                    out.push(chars.next()?.1);
                }
                '\\' => escape(&mut out, &mut chars)?,
                '\n' if quote.len() == 1 => return None,
                c => out.push(c),
            }
        }
    }
}

fn number_length(text: &str) -> usize {
    let hexadecimal = text.get(..2).is_some_and(|start| matches!(start, "0x" | "0X" | "0o" | "0O" | "0b" | "0B"));
    let mut after_exponent = false;
    let belongs = |c: char| {
        let sign = after_exponent && matches!(c, '+' | '-');
        after_exponent = !hexadecimal && matches!(c, 'e' | 'E');
        sign || after_exponent
            || c.is_ascii_digit()
            || c == '_'
            || (!hexadecimal && c == '.')
            || (hexadecimal && c.is_ascii_alphanumeric())
    };
    text.chars()
        .map_while({
            let mut belongs = belongs;
            move |c| belongs(c).then_some(c.len_utf8())
        })
        .sum()
}

fn escape(out: &mut String, chars: &mut std::str::CharIndices<'_>) -> Option<()> {
    let (_, c) = chars.next()?;
    let digits = match c {
        'x' => 2,
        'u' => 4,
        'U' => 8,
        _ => 0,
    };
    match c {
        _ if digits > 0 => {
            let code: String = chars.by_ref().take(digits).map(|(_, c)| c).collect();
            let code = u32::from_str_radix(&code, 16).ok().filter(|_| code.len() == digits)?;
            out.push(char::from_u32(code)?);
        }
        '\n' => {}
        'n' => out.push('\n'),
        't' => out.push('\t'),
        'r' => out.push('\r'),
        '0' => out.push('\0'),
        'a' => out.push('\u{7}'),
        'b' => out.push('\u{8}'),
        'f' => out.push('\u{c}'),
        'v' => out.push('\u{b}'),
        '\\' | '\'' | '"' => out.push(c),
        other => {
            out.push('\\');
            out.push(other);
        }
    }
    Some(())
}

/// JSON's keys are texts.
fn key_text(key: &Value) -> Option<String> {
    match key {
        Value::String(text) => Some(text.clone()),
        Value::Null => Some("null".to_owned()),
        Value::Bool(_) | Value::Number(_) => Some(key.to_string()),
        _ => None,
    }
}
