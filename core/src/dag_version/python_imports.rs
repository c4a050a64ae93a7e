//! Which modules a Python file imports and which files it mentions, by its text alone.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

/// Paths at which modules that this file imports may be, relative to the bundle: `folders` are what Python searches besides
/// the file's own folder. Most of them do not exist. What is imported by other means (`importlib`) is not seen.
#[must_use]
pub fn imported_modules(file: &Path, text: &str, folders: &[&Path]) -> Vec<PathBuf> {
    let own = file.parent().unwrap_or(Path::new(""));
    let mut found = Vec::new();
    for module in modules(text) {
        let Imported { dots, path, names } = module;
        let roots: Vec<PathBuf> = if dots > 0 {
            own.ancestors().nth(dots - 1).map(Path::to_owned).into_iter().collect()
        } else {
            std::iter::once(own).chain(folders.iter().copied()).map(Path::to_owned).collect()
        };
        for root in roots {
            add_module(&root, &path, &names, &mut found);
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Names of files that this Python text holds as plain texts: what looks like a relative path with an ending. Whether they are
/// files at all is for the caller to find out.
#[must_use]
pub fn mentioned_files(text: &str) -> Vec<&str> {
    const AT_MOST: usize = 200;
    let mut found: Vec<&str> =
        LITERAL.captures_iter(text).filter_map(|found| found.get(1).or(found.get(2))).map(|m| m.as_str()).collect();
    found.sort_unstable();
    found.dedup();
    found.truncate(AT_MOST);
    found
}

#[expect(clippy::expect_used, reason = "a test reads literals with it")]
static LITERAL: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#""([A-Za-z0-9_./-]+\.[A-Za-z0-9]{1,10})"|'([A-Za-z0-9_./-]+\.[A-Za-z0-9]{1,10})'"#)
        .expect("the pattern is right")
});

struct Imported {
    dots: usize,
    path: Vec<String>,
    names: Vec<String>,
}

/// `a.b` may be `a/b.py` or `a/b/__init__.py`, and runs `a/__init__.py` first; a name in it may be a module of its own.
fn add_module(root: &Path, path: &[String], names: &[String], found: &mut Vec<PathBuf>) {
    let mut at = root.to_owned();
    if path.is_empty() {
        found.push(at.join("__init__.py"));
    }
    for part in path {
        at.push(part);
        found.push(at.with_extension("py"));
        found.push(at.join("__init__.py"));
    }
    for name in names {
        found.push(at.join(name).with_extension("py"));
        found.push(at.join(name).join("__init__.py"));
    }
}

#[expect(clippy::expect_used, reason = "a test reads imports with it")]
static STATEMENT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?m)^[ \t]*(?:import[ \t]+(?P<plain>[^\n#;]+)|from[ \t]+(?P<dots>\.*)[ \t]*(?P<module>[\w.]*)[ \t]+import[ \t]*(?P<names>\([^)]*\)|[^\n#;]+))")
        .expect("the pattern is right")
});

fn modules(text: &str) -> Vec<Imported> {
    // A line may go on after a backslash.
    let text = text.replace("\\\n", " ");
    let mut modules = Vec::new();
    for statement in STATEMENT.captures_iter(&text) {
        let part = |name: &str| statement.name(name).map_or("", |found| found.as_str());
        if statement.name("plain").is_some() {
            for module in part("plain").split(',') {
                modules.push(Imported { dots: 0, path: dotted(first_word(module)), names: Vec::new() });
            }
            continue;
        }
        let names = part("names").trim_matches(['(', ')']).lines().map(|line| line.split('#').next().unwrap_or(""));
        let names: Vec<String> = names
            .flat_map(|line| line.split(','))
            .map(first_word)
            .filter(|name| is_identifier(name))
            .map(str::to_owned)
            .collect();
        modules.push(Imported { dots: part("dots").len(), path: dotted(part("module")), names });
    }
    modules
}

/// Without `as …`.
fn first_word(text: &str) -> &str {
    text.split_whitespace().next().unwrap_or("")
}

fn dotted(module: &str) -> Vec<String> {
    module.split('.').filter(|part| is_identifier(part)).map(str::to_owned).collect()
}

fn is_identifier(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{imported_modules, mentioned_files};

    fn imports(text: &str) -> Vec<String> {
        let found = imported_modules(Path::new("team/scripts/load.py"), text, &[Path::new("team")]);
        found.iter().map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn modules_are_looked_for_where_python_looks() {
        assert_eq!(
            imports("import helpers\n"),
            [
                "team/helpers/__init__.py",
                "team/helpers.py",
                "team/scripts/helpers/__init__.py",
                "team/scripts/helpers.py"
            ]
        );
    }

    #[test]
    fn every_form_of_import_is_read() {
        let text = "import os, a.b as c  # import commented\n\
                    if True:\n    from d import (\n        e as f,  # why\n        g,\n    )\n\
                    from .h import i\nfrom .. import j\nfrom k import \\\n    l\ntext = 'from m import n'\n";
        let found = imports(text);
        for path in [
            "team/scripts/os.py",
            "team/a/__init__.py",
            "team/a/b.py",
            "team/scripts/a/b.py",
            "team/d.py",
            "team/d/e.py",
            "team/d/g.py",
            "team/scripts/h.py",
            "team/scripts/h/i.py",
            "team/j.py",
            "team/k/l.py",
            "team/scripts/k/l/__init__.py",
        ] {
            assert!(found.iter().any(|found| found == path), "{path} is not in {found:?}");
        }
        assert!(
            !found.iter().any(|found| found.contains("commented") || found.contains("/m.py") || found.contains("why"))
        );
        assert!(!found.iter().any(|found| found == "team/h.py"), "a relative import has one place");
    }

    #[test]
    fn files_are_mentioned_in_plain_texts() {
        let text =
            "open(os.path.join(here, 'rows.csv'))\nload(\"sql/a-b.sql\")\nx = 'no file'\ny = f'{z}.csv'\nw = '.5'\n";
        assert_eq!(mentioned_files(text), ["rows.csv", "sql/a-b.sql"]);
    }
}
