//! `windrose init`

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use windrose_core::dag_file::schema::schema;
use windrose_operators::catalog::OperatorCatalog;

/// The files of a new DAG repository, but for the schema.
const FILES: &[(&str, &str)] = &[
    ("dags/hello.toml", include_str!("../init/hello.toml")),
    ("dags/scripts/greet.sh", include_str!("../init/greet.sh")),
    ("dags/scripts/letters.py", include_str!("../init/letters.py")),
    ("windrose.toml", include_str!("../init/windrose.toml")),
    (".github/workflows/dags.yml", include_str!("../init/dags.yml")),
    (".gitignore", include_str!("../init/gitignore")),
    ("README.md", include_str!("../init/README.md")),
];

/// Makes a DAG repository in a folder. Nothing that is there already is changed.
pub(crate) fn run(folder: &Path) -> Result<()> {
    let schema = serde_json::to_string_pretty(&schema(&OperatorCatalog))?;
    let mut files: Vec<(&str, &str)> = FILES.to_vec();
    files.push(("dag.schema.json", &schema));
    let there: Vec<&str> = files.iter().map(|(name, _)| *name).filter(|name| folder.join(name).exists()).collect();
    if !there.is_empty() {
        bail!("{} already has {}; choose an empty folder, or move them away", folder.display(), there.join(", "));
    }
    for (name, text) in files {
        let path = folder.join(name);
        let cannot = || format!("{} cannot be written", path.display());
        if let Some(above) = path.parent() {
            std::fs::create_dir_all(above).with_context(cannot)?;
        }
        std::fs::write(&path, text).with_context(cannot)?;
        eprintln!("made {}", path.display());
    }
    let enter = if folder == Path::new(".") { String::new() } else { format!("cd {} && ", folder.display()) };
    eprintln!("next: {enter}windrose dags check --strict dags && windrose standalone");
    Ok(())
}
