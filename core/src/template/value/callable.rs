//! A function that takes its arguments as they come, named ones included.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Object, ObjectRepr, Value};
use minijinja::{Error, State};

/// A function that takes its arguments as they come.
pub(in crate::template) struct Callable {
    name: &'static str,
    function: fn(&[Value]) -> Result<Value, Error>,
}

impl Callable {
    pub(in crate::template) fn value(name: &'static str, function: fn(&[Value]) -> Result<Value, Error>) -> Value {
        Value::from_object(Self { name, function })
    }
}

impl fmt::Debug for Callable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<function {}>", self.name)
    }
}

impl Object for Callable {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, _state: &mut State<'_, '_>, arguments: &[Value]) -> Result<Value, Error> {
        (self.function)(arguments)
    }
}
