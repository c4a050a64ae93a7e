//! The files of the DAG's version: scripts and statements that tasks name. Nothing else is reached this way, neither by
//! `..` nor through a symbolic link.

use std::path::{Component, Path, PathBuf};

/// The file with this name: in the folder of the DAG file, or else at the top of the bundle.
///
/// # Errors
/// A sentence that says why it is refused or not there.
pub fn dag_file(bundle: &Path, dag_folder: &Path, name: &str) -> Result<PathBuf, String> {
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if !Path::new(name).components().all(plain) {
        return Err(format!(
            "'{name}' leads out of the DAG's bundle, which is not allowed. Name a file of the bundle."
        ));
    }
    let root = bundle
        .canonicalize()
        .map_err(|error| format!("The DAG's bundle {} cannot be read: {error}", bundle.display()))?;
    for folder in [dag_folder, bundle] {
        let path = match folder.join(name).canonicalize() {
            Ok(path) => path,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(format!("The file '{name}' of the DAG's folder cannot be read: {error}")),
        };
        if !path.starts_with(&root) {
            return Err(format!(
                "'{name}' leads out of the DAG's bundle, which is not allowed. Move the file into the bundle."
            ));
        }
        if !path.is_file() {
            return Err(format!("'{name}' is not a file."));
        }
        return Ok(path);
    }
    Err(format!(
        "There is no file '{name}' in this version of the DAG. If its name is only made at run time, list it in the DAG's \
         files."
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn only_files_inside_the_bundle_are_given() {
        let around = tempfile::tempdir().unwrap();
        let bundle = around.path().join("bundle");
        let folder = bundle.join("team");
        std::fs::create_dir_all(folder.join("scripts")).unwrap();
        std::fs::write(folder.join("scripts/load.py"), "").unwrap();
        std::fs::write(bundle.join("shared.sql"), "").unwrap();
        std::fs::write(around.path().join("secret"), "").unwrap();
        std::os::unix::fs::symlink(around.path().join("secret"), folder.join("link")).unwrap();
        let outside = around.path().join("secret");
        let refused = |name: &str| dag_file(&bundle, &folder, name).unwrap_err();

        assert!(dag_file(&bundle, &folder, "scripts/load.py").is_ok());
        assert!(dag_file(&bundle, &folder, "./shared.sql").is_ok());
        assert!(refused("scripts/../scripts/load.py").contains("leads out"));
        assert!(refused("../../secret").contains("leads out"));
        assert!(refused(outside.to_str().unwrap()).contains("leads out"));
        assert!(refused("link").contains("leads out"));
        assert!(refused("scripts").contains("not a file"));
        assert!(refused("nowhere.py").contains("There is no file"));
        assert!(refused("a\0b").contains("cannot be read"));
    }
}
