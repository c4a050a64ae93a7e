//! Templates: Airflow's names, macros and filters over Jinja's syntax.
//!
//! Every string inside a value is a template; keys of objects are not. An undefined name is an error. What a template
//! asks of the world goes through [`Lookup`], and only when the template names it. A template that never ends or makes
//! too much text runs out of steps and fails.

mod accessors;
mod asset_events;
mod context;
mod environment;
mod error;
mod file_vars;
mod filters;
mod jinja_filters;
mod lookup;
mod macros;
mod names;
mod native;
mod operators;
mod run_objects;
mod syntax;
mod text_methods;
mod time;
mod value;

use std::borrow::Cow;
use std::sync::Arc;

use minijinja::Value as Dynamic;
use serde_json::Value;

pub use context::{TemplateContext, context_json, merged_params};
pub use error::TemplateError;
pub use lookup::{AssetEventQuery, Lookup, PreviousSuccess, XComQuery};
pub use syntax::check_syntax;

use names::Names;

/// Renders every string in `value`.
///
/// With `native` (`render_native` of the DAG), a text that reads as a Python literal becomes that value, as in
/// Airflow's `render_template_as_native_obj`. `field` is the parameter's name, for errors.
///
/// # Errors
/// The first template that is not well formed, names something undefined, fails, or exceeds the bounds.
pub fn render(
    value: &Value,
    field: &str,
    ctx: &Arc<TemplateContext>,
    lookup: &Arc<dyn Lookup>,
    native: bool,
) -> Result<Value, TemplateError> {
    Renderer::new(ctx, lookup).render(value, field, native)
}

/// The names of all filters that templates may use.
#[must_use]
pub fn known_filters() -> &'static [&'static str] {
    environment::FILTERS
}

/// The names of all tests (`is …`) that templates may use.
#[must_use]
pub fn known_tests() -> &'static [&'static str] {
    environment::TESTS
}

/// Renders several fields of one attempt: what one changes in `params`, or looks up, the next ones see.
pub struct Renderer {
    names: Arc<Names>,
}

impl Renderer {
    /// A renderer for one attempt.
    #[must_use]
    pub fn new(ctx: &Arc<TemplateContext>, lookup: &Arc<dyn Lookup>) -> Self {
        Self { names: Names::new(ctx, lookup) }
    }

    /// `triggering_asset_events` and `inlet_events` as JSON, for processes.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn asset_events(&self) -> Result<(Value, Value), TemplateError> {
        let events = asset_events::for_processes(&self.names.ctx, &self.names.lookup);
        let error = |message| TemplateError { field: "inlets".to_owned(), line: None, column: None, message };
        events.map_err(error)
    }

    /// See [`render`].
    ///
    /// # Errors
    /// See [`render`].
    pub fn render(&self, value: &Value, field: &str, native: bool) -> Result<Value, TemplateError> {
        // Airflow leaves an empty field alone.
        if value.as_str() == Some("") {
            return Ok(value.clone());
        }
        render_with(value, field, &self.names, native)
    }
}

/// Whether rendering may look something up or compute: without it, [`render`] is a quick copy that never blocks.
/// It is not the identity even then: one newline at a text's end is dropped, as by Jinja, and `native` reads literals.
#[must_use]
pub fn needs_rendering(value: &Value) -> bool {
    match value {
        Value::String(text) => is_template(text),
        Value::Array(items) => items.iter().any(needs_rendering),
        Value::Object(map) => map.values().any(needs_rendering),
        _ => false,
    }
}

fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

fn render_with(value: &Value, field: &str, names: &Arc<Names>, native: bool) -> Result<Value, TemplateError> {
    match value {
        Value::String(text) => render_text(text, names, native).map_err(|error| at_field(error, field)),
        Value::Array(items) => {
            let item = |(index, item)| render_with(item, &format!("{field}[{index}]"), names, native);
            items.iter().enumerate().map(item).collect::<Result<_, _>>().map(Value::Array)
        }
        Value::Object(map) => {
            let item = |(key, item): (&String, _)| {
                render_with(item, &format!("{field}.{key}"), names, native).map(|item| (key.clone(), item))
            };
            map.iter().map(item).collect::<Result<_, _>>().map(Value::Object)
        }
        other => Ok(other.clone()),
    }
}

fn at_field(error: TemplateError, field: &str) -> TemplateError {
    if error.field.is_empty() { TemplateError { field: field.to_owned(), ..error } } else { error }
}

fn render_text(text: &str, names: &Arc<Names>, native: bool) -> Result<Value, TemplateError> {
    let text = normalized(text);
    let rendered = if is_template(&text) {
        let source = syntax::rewritten(&text)?;
        let is_users_text = source == *text;
        let located = |error: &minijinja::Error| TemplateError::from_engine(error, &source, is_users_text);
        let env = environment::shared();
        let template = env.template_from_named_str("template", &source).map_err(|error| located(&error))?;
        template.render(Dynamic::from_dyn_object(Arc::clone(names))).map_err(|error| located(&error))?
    } else {
        text.strip_suffix('\n').unwrap_or(&text).to_owned()
    };
    Ok(if native { native::literal_or_text(rendered) } else { Value::String(rendered) })
}

/// Jinja reads every kind of line end as `\n`.
fn normalized(text: &str) -> Cow<'_, str> {
    if text.contains('\r') { Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n")) } else { Cow::Borrowed(text) }
}
