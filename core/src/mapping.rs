//! Task mapping (Airflow's dynamic task mapping): how many instances a task has, and what each of them gets.
//!
//! The engine asks for lengths, which it knows from what tasks pushed; the worker asks for values, which it reads. Both
//! follow Airflow's `DictOfListsExpandInput` and `ListOfDictsExpandInput`.

use serde_json::{Map, Value};

use crate::ids::TaskId;

/// The most instances that one task can have in a run, and the longest value that can be mapped over, unless the
/// installation is configured otherwise (Airflow's `max_map_length` is 1024).
pub const MAX_MAP_LENGTH: usize = 100_000;

/// Something to map over.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// These values.
    List(Vec<Value>),
    /// The pairs `[key, value]` of this table, in its order.
    Table(Vec<(String, Value)>),
    /// What a task returned: a list, the pairs of a dict, or one value of each instance of a mapped task.
    XCom(TaskId),
    /// Lists of one element of each, as long as the shortest; with a fill value as long as the longest.
    Zip {
        /// Whose elements.
        sources: Vec<Source>,
        /// Stands in for what the shorter ones lack.
        fill: Option<Value>,
    },
    /// One after the other.
    Concat(Vec<Source>),
}

/// What a mapped task or group is expanded by.
#[derive(Debug, Clone, PartialEq)]
pub enum Expansion {
    /// `expand`: every combination of these; the last one changes fastest.
    Product(Vec<(String, Source)>),
    /// `expand_kwargs`: each element is a table of arguments.
    Kwargs(Source),
}

/// An instance cannot be given its arguments.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// The value read now has no such element.
    #[error(
        "the mapped value of '{of}' has {length} elements now, and this instance needs number {index}: it changed since \
         the task was expanded; clear the task that made it and this one together"
    )]
    OutOfRange {
        /// What was mapped over.
        of: String,
        /// Its length.
        length: usize,
        /// From 0.
        index: usize,
    },
    /// It is no list and no dict.
    #[error("'{of}' is {found}, over which nothing can be mapped; let it return a list or a dict")]
    NotMappable {
        /// What was mapped over.
        of: String,
        /// The kind of value.
        found: &'static str,
    },
    /// An element of `expand_kwargs` is no table.
    #[error(
        "expand_kwargs needs a list of tables, and element {index} is {found}; return a table of arguments for each"
    )]
    NotATable {
        /// From 0.
        index: usize,
        /// The kind of value.
        found: &'static str,
    },
}

/// What a task returned, for a mapped task the list of what its instances returned.
pub type ValueOf<'v> = dyn Fn(&TaskId) -> &'v Value + 'v;

/// What a JSON value is called in messages.
#[must_use]
pub const fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}

/// How many elements a value has for mapping; `None` if nothing can be mapped over it.
#[must_use]
pub fn mappable_length(value: &Value) -> Option<usize> {
    match value {
        Value::Array(items) => Some(items.len()),
        Value::Object(entries) => Some(entries.len()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

impl Source {
    /// The tasks whose return values it needs.
    pub fn tasks(&self) -> Vec<&TaskId> {
        match self {
            Self::List(_) | Self::Table(_) => Vec::new(),
            Self::XCom(task) => vec![task],
            Self::Zip { sources, .. } | Self::Concat(sources) => sources.iter().flat_map(Self::tasks).collect(),
        }
    }

    /// Its length, if the lengths of all it needs are known.
    pub fn length(&self, known: &dyn Fn(&TaskId) -> Option<usize>) -> Option<usize> {
        match self {
            Self::List(items) => Some(items.len()),
            Self::Table(entries) => Some(entries.len()),
            Self::XCom(task) => known(task),
            Self::Zip { sources, fill } => {
                let lengths: Option<Vec<usize>> = sources.iter().map(|source| source.length(known)).collect();
                let lengths = lengths?.into_iter();
                if fill.is_some() { lengths.max() } else { lengths.min() }
            }
            Self::Concat(sources) => sources.iter().map(|source| source.length(known)).sum(),
        }
    }

    /// Whether it is written in the DAG file as a whole; such values are rendered as templates.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        self.tasks().is_empty()
    }

    fn element(&self, index: usize, value_of: &ValueOf<'_>) -> Result<Value, MappingError> {
        let out_of_range = |length| MappingError::OutOfRange { of: self.name(), length, index };
        match self {
            Self::List(items) => items.get(index).cloned().ok_or_else(|| out_of_range(items.len())),
            Self::Table(entries) => entries
                .get(index)
                .map(|(key, value)| Value::Array(vec![Value::from(key.as_str()), value.clone()]))
                .ok_or_else(|| out_of_range(entries.len())),
            Self::XCom(task) => match value_of(task) {
                Value::Array(items) => items.get(index).cloned().ok_or_else(|| out_of_range(items.len())),
                Value::Object(entries) => entries
                    .iter()
                    .nth(index)
                    .map(|(key, value)| Value::Array(vec![Value::from(key.as_str()), value.clone()]))
                    .ok_or_else(|| out_of_range(entries.len())),
                other => Err(MappingError::NotMappable { of: self.name(), found: kind_of(other) }),
            },
            Self::Zip { sources, fill } => {
                let elements = sources.iter().map(|source| match (source.element(index, value_of), fill) {
                    (Err(MappingError::OutOfRange { .. }), Some(fill)) => Ok(fill.clone()),
                    (element, _) => element,
                });
                elements.collect::<Result<_, _>>().map(Value::Array)
            }
            Self::Concat(sources) => {
                let mut left = index;
                for source in sources {
                    let length = source.present_length(value_of)?;
                    if left < length {
                        return source.element(left, value_of);
                    }
                    left -= length;
                }
                Err(out_of_range(index - left))
            }
        }
    }

    fn present_length(&self, value_of: &ValueOf<'_>) -> Result<usize, MappingError> {
        let unmappable = std::cell::Cell::new(None);
        let length = self.length(&|task| {
            let value = value_of(task);
            let length = mappable_length(value);
            if length.is_none() {
                unmappable.set(Some(MappingError::NotMappable { of: task.to_string(), found: kind_of(value) }));
            }
            length
        });
        length
            .ok_or_else(|| unmappable.take().unwrap_or(MappingError::NotMappable { of: self.name(), found: "nothing" }))
    }

    fn name(&self) -> String {
        match self {
            Self::XCom(task) => task.to_string(),
            Self::List(_) | Self::Table(_) => "the value in the DAG file".to_owned(),
            Self::Zip { .. } => "zip".to_owned(),
            Self::Concat(_) => "concat".to_owned(),
        }
    }
}

/// One argument of an instance.
#[derive(Debug, Clone, PartialEq)]
pub struct MappedArgument {
    /// The parameter.
    pub name: String,
    /// Its value.
    pub value: Value,
    /// It stands in the DAG file, so its texts are templates; what a task returned is taken as it is.
    pub is_template: bool,
}

impl Expansion {
    /// The tasks whose return values it needs, each once.
    #[must_use]
    pub fn tasks(&self) -> Vec<&TaskId> {
        let mut tasks: Vec<&TaskId> = match self {
            Self::Product(arguments) => arguments.iter().flat_map(|(_, source)| source.tasks()).collect(),
            Self::Kwargs(source) => source.tasks(),
        };
        tasks.sort_unstable();
        tasks.dedup();
        tasks
    }

    /// How many instances there are, if the lengths of all it needs are known; `usize::MAX` stands for more than can be
    /// counted.
    pub fn length(&self, known: &dyn Fn(&TaskId) -> Option<usize>) -> Option<usize> {
        match self {
            Self::Product(arguments) => {
                let lengths: Option<Vec<usize>> = arguments.iter().map(|(_, source)| source.length(known)).collect();
                Some(lengths?.into_iter().fold(1, usize::saturating_mul))
            }
            Self::Kwargs(source) => source.length(known),
        }
    }

    /// The length, if it is known from the DAG file alone.
    #[must_use]
    pub fn literal_length(&self) -> Option<usize> {
        self.length(&|_| None)
    }

    /// The arguments of one instance. It costs the same for every instance, however many there are.
    ///
    /// # Errors
    /// If a value is not what the expansion needs.
    pub fn arguments(&self, map_index: usize, value_of: &ValueOf<'_>) -> Result<Vec<MappedArgument>, MappingError> {
        match self {
            Self::Product(arguments) => {
                let mut left = map_index;
                let mut found = Vec::with_capacity(arguments.len());
                for (name, source) in arguments.iter().rev() {
                    let length = source.present_length(value_of)?;
                    if length == 0 {
                        return Err(MappingError::OutOfRange { of: source.name(), length, index: map_index });
                    }
                    let value = source.element(left % length, value_of)?;
                    left /= length;
                    found.push(MappedArgument { name: name.clone(), value, is_template: source.is_literal() });
                }
                if left > 0 {
                    return Err(MappingError::OutOfRange {
                        of: "expand".to_owned(),
                        length: self.length(&|task| mappable_length(value_of(task))).unwrap_or(0),
                        index: map_index,
                    });
                }
                found.reverse();
                Ok(found)
            }
            Self::Kwargs(source) => match source.element(map_index, value_of)? {
                Value::Object(entries) => Ok(from_table(entries, source.is_literal())),
                other => Err(MappingError::NotATable { index: map_index, found: kind_of(&other) }),
            },
        }
    }
}

fn from_table(entries: Map<String, Value>, is_template: bool) -> Vec<MappedArgument> {
    entries.into_iter().map(|(name, value)| MappedArgument { name, value, is_template }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn list(value: Value) -> Source {
        let Value::Array(items) = value else { panic!("a list is needed") };
        Source::List(items)
    }

    fn plain(expansion: &Expansion, map_index: usize) -> Result<Vec<(String, Value)>, MappingError> {
        let (list, dict, text) = (json!([7, 8]), json!({ "k": 1, "l": 2 }), json!("text"));
        let value_of = |task: &TaskId| match task.as_str() {
            "list" => &list,
            "dict" => &dict,
            _ => &text,
        };
        Ok(expansion.arguments(map_index, &value_of)?.into_iter().map(|a| (a.name, a.value)).collect())
    }

    #[test]
    fn the_last_argument_of_a_product_changes_fastest() {
        let product =
            Expansion::Product(vec![("x".into(), list(json!([1, 2]))), ("y".into(), list(json!(["a", "b", "c"])))]);
        assert_eq!(product.literal_length(), Some(6));
        assert_eq!(plain(&product, 4).unwrap(), [("x".into(), json!(2)), ("y".into(), json!("b"))]);
        assert!(matches!(plain(&product, 6), Err(MappingError::OutOfRange { length: 6, index: 6, .. })));
    }

    #[test]
    fn a_dict_gives_pairs_and_zip_fills_or_ends_with_the_shortest() {
        let (dict, three) = (Source::XCom("dict".into()), list(json!(["a", "b", "c"])));
        let zip = |fill| Source::Zip { sources: vec![dict.clone(), three.clone()], fill };
        let known = |_: &TaskId| Some(2);
        assert_eq!((zip(None).length(&known), zip(Some(json!(0))).length(&known)), (Some(2), Some(3)));
        assert_eq!(plain(&Expansion::Product(vec![("x".into(), zip(None))]), 1).unwrap()[0].1, json!([["l", 2], "b"]));
        let filled = Expansion::Product(vec![("x".into(), zip(Some(json!(0))))]);
        assert_eq!(plain(&filled, 2).unwrap()[0].1, json!([0, "c"]));
    }

    #[test]
    fn concat_goes_from_one_to_the_next() {
        let both = Source::Concat(vec![list(json!([1])), Source::XCom("list".into())]);
        assert_eq!(both.length(&|_| None), None);
        let mapped = Expansion::Product(vec![("x".into(), both)]);
        assert_eq!(plain(&mapped, 2).unwrap()[0].1, json!(8));
        assert!(matches!(plain(&mapped, 3), Err(MappingError::OutOfRange { .. })));
    }

    #[test]
    fn what_is_no_list_says_so() {
        let mapped = Expansion::Product(vec![("x".into(), Source::XCom("other".into()))]);
        assert!(plain(&mapped, 0).unwrap_err().to_string().contains("'other' is a text"));
        let kwargs = Expansion::Kwargs(list(json!([{ "x": 1 }, 2])));
        assert_eq!(plain(&kwargs, 0).unwrap(), [("x".into(), json!(1))]);
        assert!(matches!(plain(&kwargs, 1), Err(MappingError::NotATable { index: 1, found: "a number" })));
    }
}
