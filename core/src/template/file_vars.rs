//! `vars`: the constants of the DAG file. They may be templates themselves, and may name each other.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use minijinja::value::{Enumerator, Object, Value};
use minijinja::{Error, ErrorKind};

use super::context::TemplateContext;
use super::names::Names;
use super::value::from_json;

/// How far one constant has come.
#[derive(Clone)]
enum Rendering {
    /// Somebody up the stack is at it: asking again would never end.
    Begun,
    Done(Value),
}

/// The constants of the DAG file.
pub(super) struct FileVars {
    ctx: Arc<TemplateContext>,
    names: Weak<Names>,
    known: Mutex<HashMap<String, Rendering>>,
}

impl FileVars {
    pub(super) fn new(ctx: &Arc<TemplateContext>, names: Weak<Names>) -> Self {
        Self { ctx: Arc::clone(ctx), names, known: Mutex::new(HashMap::new()) }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Rendering>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rendered(&self, key: &str, written: &serde_json::Value) -> Result<Value, Error> {
        let known = self.lock().get(key).cloned();
        match known {
            Some(Rendering::Begun) => return Err(refused(format!("vars.{key} refers to itself; break the circle"))),
            Some(Rendering::Done(value)) => return Ok(value),
            None => self.lock().insert(key.to_owned(), Rendering::Begun),
        };
        let names = self.names.upgrade().ok_or_else(|| refused("the rendering is over"))?;
        let field = format!("vars.{key}");
        match super::render_with(written, &field, &names, self.ctx.dag.render_native) {
            Ok(json) => {
                let value = from_json(&json);
                self.lock().insert(key.to_owned(), Rendering::Done(value.clone()));
                Ok(value)
            }
            Err(error) => {
                self.lock().remove(key);
                Err(refused(error.to_string()))
            }
        }
    }
}

fn refused(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

impl fmt::Debug for FileVars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("vars")
    }
}

impl Object for FileVars {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let key = key.as_str()?;
        let written = self.ctx.dag.vars.get(key)?;
        Some(self.rendered(key, written).unwrap_or_else(Value::from))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.ctx.dag.vars.keys().map(|key| Value::from(key.as_str())).collect())
    }
}
