//! What a task names as its Python code: a file of the DAG's folder, or a function in one.

use std::path::Path;

/// A file of the DAG's folder, or a function in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Callable {
    /// The file's name, relative to the folder.
    pub(super) path: String,
    /// The function, with dots if it belongs to a class.
    pub(super) function: Option<String>,
}

impl Callable {
    /// Reads `scripts/load.py:main` or `scripts/load.py`; `None` if it is neither.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (path, function) = match text.rsplit_once(':') {
            Some((path, function)) => (path, Some(function)),
            None => (text, None),
        };
        let is_python = Path::new(path).extension().is_some_and(|ending| ending == "py");
        if !is_python || function == Some("") {
            return None;
        }
        Some(Self { path: path.to_owned(), function: function.map(str::to_owned) })
    }

    /// The file's name, relative to the folder.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Whether it is a function, not a whole file.
    pub(crate) fn is_function(&self) -> bool {
        self.function.is_some()
    }
}
