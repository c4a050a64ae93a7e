//! The template engine as Airflow sets it up: strict about undefined names, with Python's texts, and with bounds.

use std::sync::OnceLock;

use minijinja::value::{Rest, Value, ValueKind};
use minijinja::{Environment, Error, State, UndefinedBehavior};
use minijinja_contrib::pycompat::unknown_method_callback;

use super::value::{List, python_str};
use super::{filters, jinja_filters, operators, syntax};

/// How many steps a template may take. A step also pays for 64 bytes of text.
const FUEL: u64 = 1_000_000;

/// How deep macros may call each other. Each call needs room on the stack.
const DEEPEST_CALL: usize = 100;

/// The names of all filters, for suggestions.
pub(super) const FILTERS: &[&str] = &[
    "abs",
    "attr",
    "batch",
    "bool",
    "capitalize",
    "chain",
    "count",
    "d",
    "default",
    "dictsort",
    "ds",
    "ds_nodash",
    "e",
    "escape",
    "first",
    "float",
    "format",
    "groupby",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "lines",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "pprint",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "slice",
    "sort",
    "split",
    "string",
    "sum",
    "title",
    "tojson",
    "trim",
    "ts",
    "ts_nodash",
    "ts_nodash_with_tz",
    "unique",
    "upper",
    "urlencode",
    "zip",
    "truncate",
    "wordcount",
    "filesizeformat",
    "center",
    "striptags",
    "wordwrap",
    "forceescape",
];

/// The names of all tests, for suggestions.
pub(super) const TESTS: &[&str] = &[
    "!=",
    "<",
    "<=",
    "==",
    ">",
    ">=",
    "boolean",
    "callable",
    "defined",
    "divisibleby",
    "endingwith",
    "eq",
    "equalto",
    "escaped",
    "even",
    "false",
    "filter",
    "float",
    "ge",
    "greaterthan",
    "gt",
    "in",
    "int",
    "integer",
    "iterable",
    "le",
    "lessthan",
    "lower",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "odd",
    "safe",
    "sameas",
    "sequence",
    "startingwith",
    "string",
    "test",
    "true",
    "undefined",
    "upper",
];

/// Whether there is such a filter.
pub(super) fn has_filter(name: &str) -> bool {
    FILTERS.contains(&name)
}

/// Whether there is such a test.
pub(super) fn has_test(name: &str) -> bool {
    TESTS.contains(&name)
}

/// The environment that all templates share; what a run knows is in the context each is rendered with.
pub(super) fn shared() -> &'static Environment<'static> {
    static SHARED: OnceLock<Environment<'static>> = OnceLock::new();
    SHARED.get_or_init(build)
}

fn build() -> Environment<'static> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_fuel(Some(FUEL));
    env.set_recursion_limit(DEEPEST_CALL);
    // Without it errors do not know which expression was undefined. What it collects of the context is not shown.
    env.set_debug(true);
    // The engine's own would show the whole context, and so secrets.
    env.remove_global("debug");
    env.add_function(syntax::OPERATOR, operators::operator);
    env.add_function(syntax::LIST, operators::list_literal);
    env.add_function(syntax::DICT, operators::dict_literal);
    env.add_filter("striptags", minijinja_contrib::filters::striptags);
    env.add_filter("filesizeformat", minijinja_contrib::filters::filesizeformat);
    env.add_filter("wordcount", |text: &str| text.split_whitespace().count());
    env.add_filter("center", |text: &str, width: Option<usize>| {
        format!("{text:^width$}", width = width.unwrap_or(80).min(10_000))
    });
    env.add_test("callable", |value: &Value| value.kind() == ValueKind::Plain);
    env.add_function("cycler", |items: Rest<Value>| minijinja_contrib::globals::cycler(items.to_vec()));
    env.add_global("joiner", Value::from_function(minijinja_contrib::globals::joiner));
    filters::add_to(&mut env);
    jinja_filters::add_to(&mut env);
    env.set_unknown_method_callback(python_method);
    env.set_formatter(|out, _state, value| {
        if value.is_undefined() {
            // The engine's own formatter knows which expression it was.
            return minijinja::escape_formatter(out, _state, value);
        }
        out.write_str(&python_str(value)?).map_err(Error::from)
    });
    env
}

/// Python's methods of texts, lists and dicts that the engine made itself. New lists can be changed.
fn python_method(state: &mut State<'_, '_>, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    let result = super::text_methods::call(state, value, method, args)
        .unwrap_or_else(|| unknown_method_callback(state, value, method, args))?;
    if matches!(result.kind(), ValueKind::Seq | ValueKind::Iterable) && !result.is_tuple() {
        return Ok(List::value(result.try_iter()?.checked().collect::<Result<_, _>>()?));
    }
    Ok(result)
}
