//! An object with named attributes and nothing else: `dag`, `task`, `macros`.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use indexmap::IndexMap;
use minijinja::value::{Object, ObjectRepr, Value};

/// An object with named attributes.
pub(in crate::template) struct Record {
    /// What it looks like as text.
    shown: String,
    attributes: IndexMap<Cow<'static, str>, Value>,
}

impl Record {
    /// An object that shows itself as `shown`.
    pub(in crate::template) fn value<const N: usize>(
        shown: impl Into<String>,
        attributes: [(&'static str, Value); N],
    ) -> Value {
        Self::with_more(shown, attributes, std::iter::empty())
    }

    /// The same, with attributes whose names are only known now. The fixed ones win.
    pub(in crate::template) fn with_more<const N: usize>(
        shown: impl Into<String>,
        attributes: [(&'static str, Value); N],
        more: impl Iterator<Item = (String, Value)>,
    ) -> Value {
        let fixed = attributes.into_iter().map(|(name, value)| (Cow::Borrowed(name), value));
        let more = more.map(|(name, value)| (Cow::Owned(name), value));
        Value::from_object(Self { shown: shown.into(), attributes: more.chain(fixed).collect() })
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl Object for Record {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.attributes.get(key.as_str()?).cloned()
    }
}
