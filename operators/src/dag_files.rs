//! Files beside the DAG file: scripts and statements that tasks name. Nothing outside the folder is reached this way,
//! neither by `..` nor through a symbolic link.

use std::path::{Path, PathBuf};

/// The file of the DAG's folder with this relative name.
///
/// # Errors
/// A sentence that says why it is refused or not there.
pub fn dag_file(folder: &Path, name: &str) -> Result<PathBuf, String> {
    let root = folder
        .canonicalize()
        .map_err(|error| format!("The DAG's folder {} cannot be read: {error}", folder.display()))?;
    let path = match root.join(name).canonicalize() {
        Ok(path) => path,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(format!("There is no file '{name}' in the DAG's folder {}.", folder.display()));
        }
        Err(error) => return Err(format!("The file '{name}' of the DAG's folder cannot be read: {error}")),
    };
    if !path.starts_with(&root) {
        return Err(format!(
            "'{name}' leads out of the DAG's folder, which is not allowed. Move the file into the folder."
        ));
    }
    if !path.is_file() {
        return Err(format!("'{name}' is not a file."));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_inside_the_folder_are_given() {
        let around = tempfile::tempdir().unwrap();
        let folder = around.path().join("dags");
        std::fs::create_dir_all(folder.join("scripts")).unwrap();
        std::fs::write(folder.join("scripts/load.py"), "").unwrap();
        std::fs::write(around.path().join("secret"), "").unwrap();
        std::os::unix::fs::symlink(around.path().join("secret"), folder.join("link")).unwrap();
        let outside = around.path().join("secret");
        let refused = |name: &str| dag_file(&folder, name).unwrap_err();

        assert!(dag_file(&folder, "scripts/load.py").is_ok());
        assert!(dag_file(&folder, "scripts/../scripts/load.py").is_ok());
        assert!(refused("../secret").contains("leads out"));
        assert!(refused(outside.to_str().unwrap()).contains("leads out"));
        assert!(refused("link").contains("leads out"));
        assert!(refused("scripts").contains("not a file"));
        assert!(refused("nowhere.py").contains("There is no file"));
        assert!(refused("a\0b").contains("cannot be read"));
    }
}
