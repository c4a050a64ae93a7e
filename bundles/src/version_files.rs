//! The files of a bundle that belong to a DAG's version: what its tasks name, what Python code among that imports, and what
//! the DAG's `files` patterns match.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use globset::{GlobBuilder, GlobSetBuilder};
use windrose_core::catalog::{Catalog, NamedFileKind};
use windrose_core::dag::Dag;
use windrose_core::dag_version::{bytes_hash, imported_modules, mentioned_files, named_files, version_hash};
use windrose_core::ids::TaskId;

use crate::files::{BundleFiles, NamedPath};

/// The most files of one version.
const MAX_FILES: usize = 2_000;
/// The most bytes of one version.
const MAX_BYTES: usize = 64 << 20;

/// A file that belongs to a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionFile {
    /// [`bytes_hash`] of its content.
    pub hash: String,
    /// What it holds.
    pub content: Arc<[u8]>,
}

/// The files of a version.
#[derive(Debug, Clone, Default)]
pub struct VersionFiles {
    /// By their path in the bundle.
    pub files: BTreeMap<PathBuf, VersionFile>,
    /// Every place that was looked at, there or not: a change at one of them may make another version.
    pub looked_at: BTreeSet<PathBuf>,
    /// It has patterns or folders, so a new file may come to belong to it.
    pub is_open_ended: bool,
    /// What is wrong.
    pub problems: Vec<FileProblem>,
}

/// A file that a task names cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileProblem {
    /// The task that names it; none for the DAG's patterns.
    pub task: Option<TaskId>,
    /// The name as it is written.
    pub name: String,
    /// What is wrong, as a sentence.
    pub message: String,
}

impl VersionFiles {
    /// The name of the version of a DAG file with this content hash.
    #[must_use]
    pub fn version(&self, content_hash: &str) -> String {
        version_hash(content_hash, self.files.iter().map(|(path, file)| (path.as_path(), file.hash.as_str())))
    }
}

/// Collects the files of a DAG. Blocking. A name is looked for in the folder of the DAG's file, and if it is not there, from
/// the top of the bundle.
#[must_use]
pub fn version_files(dag: &Dag, dag_file: &Path, files: &dyn BundleFiles, catalog: &dyn Catalog) -> VersionFiles {
    let folder = dag_file.parent().unwrap_or(Path::new(""));
    let mut collector = Collector { folder, files, found: VersionFiles::default(), bytes: 0 };
    for named in named_files(dag, catalog) {
        if let Err(message) = collector.take_named(&named.file.name, named.file.kind) {
            collector.found.problems.push(FileProblem { task: Some(named.task), name: named.file.name, message });
        }
    }
    if !dag.files.is_empty() {
        collector.found.is_open_ended = true;
        if let Err(message) = collector.take_matching(&dag.files) {
            collector.found.problems.push(FileProblem { task: None, name: String::new(), message });
        }
    }
    collector.found
}

struct Collector<'a> {
    folder: &'a Path,
    files: &'a dyn BundleFiles,
    found: VersionFiles,
    bytes: usize,
}

impl Collector<'_> {
    fn take_named(&mut self, name: &str, kind: NamedFileKind) -> Result<(), String> {
        let mut places = vec![NamedPath::new(self.folder, name)?];
        if !self.folder.as_os_str().is_empty() {
            places.push(NamedPath::new(Path::new(""), name)?);
        }
        for place in &places {
            let is_tree = kind == NamedFileKind::Tree && self.take_tree(place)?;
            if is_tree || self.take(place)? {
                if kind == NamedFileKind::Python {
                    self.take_imports(place)?;
                }
                return Ok(());
            }
        }
        Err(match places.as_slice() {
            [one] => format!("there is no file '{one}' in the bundle"),
            _ => format!("there is no file '{name}', neither in the DAG's folder nor at the top of the bundle"),
        })
    }

    /// False if there is no such file.
    fn take(&mut self, path: &NamedPath) -> Result<bool, String> {
        if self.found.files.contains_key(path.as_path()) {
            return Ok(true);
        }
        self.found.looked_at.insert(path.as_path().to_owned());
        let Some(content) = self.files.read(path)? else { return Ok(false) };
        self.bytes += content.len();
        if self.found.files.len() >= MAX_FILES || self.bytes > MAX_BYTES {
            return Err(format!(
                "the DAG's files are more than {MAX_FILES}, or have more than {MAX_BYTES} bytes in all; name fewer of them"
            ));
        }
        let file = VersionFile { hash: bytes_hash(&content), content: content.into() };
        self.found.files.insert(path.as_path().to_owned(), file);
        Ok(true)
    }

    /// False if nothing is below it.
    fn take_tree(&mut self, folder: &NamedPath) -> Result<bool, String> {
        self.found.looked_at.insert(folder.as_path().to_owned());
        // A file has nothing below it.
        let below = self.files.below(folder).unwrap_or_default();
        self.found.is_open_ended |= !below.is_empty();
        for path in &below {
            self.take(path)?;
        }
        Ok(!below.is_empty())
    }

    /// What a Python file imports from the bundle or mentions by name, and what that imports.
    fn take_imports(&mut self, file: &NamedPath) -> Result<(), String> {
        let mut open = vec![file.as_path().to_owned()];
        let mut seen = BTreeSet::new();
        while let Some(path) = open.pop() {
            let Some(file) = self.found.files.get(&path).filter(|_| seen.insert(path.clone())) else { continue };
            let text = String::from_utf8_lossy(&file.content).into_owned();
            let own = path.parent().unwrap_or(Path::new("")).to_owned();
            for name in mentioned_files(&text) {
                for folder in [own.as_path(), self.folder] {
                    // It need not be meant as a file at all.
                    if let Ok(place) = NamedPath::new(folder, name) {
                        let _ = self.take(&place);
                    }
                }
            }
            for module in imported_modules(&path, &text, &[self.folder]) {
                let Some(place) = module.to_str().and_then(|name| NamedPath::new(Path::new(""), name).ok()) else {
                    continue;
                };
                // A module that cannot be read is the script's own affair: it may be another of that name.
                if self.take(&place).unwrap_or(false) {
                    open.push(module);
                }
            }
        }
        Ok(())
    }

    fn take_matching(&mut self, patterns: &[String]) -> Result<(), String> {
        let mut set = GlobSetBuilder::new();
        for pattern in patterns {
            NamedPath::new(Path::new(""), pattern)?;
            let glob = GlobBuilder::new(pattern).literal_separator(true).build();
            set.add(glob.map_err(|error| format!("'{pattern}' in files is no pattern: {}", error.kind()))?);
        }
        let set = set.build().map_err(|error| format!("files: {error}"))?;
        let folder = NamedPath::new(self.folder, "")?;
        for path in self.files.below(&folder)? {
            let inner = path.as_path().strip_prefix(self.folder).unwrap_or(path.as_path());
            if set.is_match(inner) {
                self.take(&path)?;
            }
        }
        Ok(())
    }
}
