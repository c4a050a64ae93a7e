//! Which files of the bundle a task names. A parameter says in its schema how it names them: `x-template-file` for those
//! that may hold the name of a template file instead of its text, `x-bundle-file` for those that always name one.

use serde_json::{Map, Value};
use windrose_core::catalog::{NamedFile, NamedFileKind};

use crate::operator::OperatorEntry;
use crate::python::Callable;

/// The file of `{ file = "load.sql" }`.
#[must_use]
pub fn file_of_table(value: &Value) -> Option<&str> {
    let table = value.as_object().filter(|table| table.len() == 1)?;
    table.get("file")?.as_str()
}

/// The parameters with names of files in the place of `{ file = … }`, where that is allowed.
pub(crate) fn without_file_tables(entry: &OperatorEntry, params: &Map<String, Value>) -> Map<String, Value> {
    let mut params = params.clone();
    for (name, value) in &mut params {
        if entry.template_files(name).next().is_some() {
            replace_tables(value);
        }
    }
    params
}

fn replace_tables(value: &mut Value) {
    match (file_of_table(value).map(str::to_owned), &mut *value) {
        (Some(file), _) => *value = file.into(),
        (None, Value::Array(items)) => items.iter_mut().for_each(replace_tables),
        _ => {}
    }
}

/// Everything that these parameters name.
pub(crate) fn named_files(entry: &OperatorEntry, params: &Map<String, Value>) -> Vec<NamedFile> {
    let mut files = Vec::new();
    for (parameter, value) in params {
        let endings: Vec<&str> = entry.template_files(parameter).collect();
        let mut add = |name: &str, kind| {
            files.push(NamedFile { parameter: parameter.clone(), name: name.to_owned(), kind });
        };
        if !endings.is_empty() {
            template_files(value, &endings, &mut |name| add(name, NamedFileKind::File));
        }
        let Some(how) = entry.schema()["properties"][parameter]["x-bundle-file"].as_str() else { continue };
        for text in texts(value).filter(|text| !text.contains("{{") && !text.contains("{%") && !text.is_empty()) {
            match how {
                "python" => {
                    if let Some(callable) = Callable::parse(text) {
                        add(callable.path(), NamedFileKind::Python);
                    }
                }
                "requirement" => {
                    if let Some(name) = path_of_requirement(text) {
                        add(name, NamedFileKind::Tree);
                    }
                }
                "folder" if !text.starts_with('/') => add(text, NamedFileKind::Tree),
                "file" if !text.contains("://") => add(text, NamedFileKind::File),
                _ => {}
            }
        }
    }
    files
}

fn template_files(value: &Value, endings: &[&str], add: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) if endings.iter().any(|ending| text.ends_with(ending)) => add(text),
        Value::Array(items) => items.iter().for_each(|item| template_files(item, endings, add)),
        Value::Object(_) => file_of_table(value).into_iter().for_each(add),
        _ => {}
    }
}

fn texts(value: &Value) -> impl Iterator<Item = &str> {
    let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    items.iter().filter_map(Value::as_str)
}

/// What pip takes from the bundle: `-r requirements.txt`, `-c constraints.txt`, `./lib`, `-e ./lib`.
pub(crate) fn path_of_requirement(text: &str) -> Option<&str> {
    let text = text.trim();
    for option in ["-r", "--requirement", "-c", "--constraint", "-e", "--editable"] {
        if let Some(rest) = text.strip_prefix(option)
            && rest.starts_with([' ', '='])
        {
            return Some(rest[1..].trim());
        }
    }
    text.starts_with("./").then_some(text)
}
