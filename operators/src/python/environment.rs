//! Python environments with a task's requirements: made once for each set of them, and kept.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use windrose_core::cause::Cause;

use crate::context::TaskContext;
use crate::error::TaskError;
use crate::named_files::path_of_requirement;
use crate::process::{ProcessSpec, inherited_env, run_process};

/// The file that says that an environment is whole.
const READY: &str = ".ready";

/// The interpreter of the environment for these requirements, which is made if it is not there. `uv` makes it where it
/// is installed, else `venv` and `pip`.
///
/// # Errors
/// If it cannot be made; the reason is in the log.
pub(super) async fn interpreter(
    ctx: &TaskContext,
    python: &str,
    requirements: &[String],
) -> Result<PathBuf, TaskError> {
    let folder = folder(ctx, python, requirements);
    let interpreter = folder.join("bin/python");
    let using = || ctx.info(format!("Using the Python environment {}", folder.display()));
    if folder.join(READY).exists() {
        using();
        return Ok(interpreter);
    }
    let io_error = |error: std::io::Error| {
        TaskError::failed(format!("{} cannot be made: {error}. Check the disk and its rights.", folder.display()))
    };
    tokio::fs::create_dir_all(&folder).await.map_err(io_error)?;
    let lock = lock(folder.clone()).await.map_err(io_error)?;
    if folder.join(READY).exists() {
        // Somebody else has made it meanwhile.
        using();
    } else {
        make(ctx, python, requirements, &folder).await?;
        tokio::fs::write(folder.join(READY), requirements.join("\n")).await.map_err(io_error)?;
    }
    drop(lock);
    Ok(interpreter)
}

fn folder(ctx: &TaskContext, python: &str, requirements: &[String]) -> PathBuf {
    let mut sorted = requirements.to_vec();
    sorted.sort();
    // Paths among the requirements are relative to the DAG's folder, so then it is part of the name.
    let has_paths = sorted.iter().any(|text| path_of_requirement(text).is_some());
    let place = if has_paths { ctx.info.dag_folder.display().to_string() } else { String::new() };
    let name = format!("{python}\n{place}\n{}", sorted.join("\n"));
    let hash: String = Sha256::digest(name.as_bytes()).iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .unwrap_or_else(std::env::temp_dir);
    cache.join("windrose/python").join(hash)
}

/// Two tasks, or two workers, must not make the same environment at once. Released when the file is dropped.
async fn lock(folder: PathBuf) -> std::io::Result<std::fs::File> {
    let lock = tokio::task::spawn_blocking(move || {
        let file = std::fs::File::create(folder.with_extension("lock"))?;
        file.lock()?;
        Ok(file)
    });
    lock.await.map_err(std::io::Error::other)?
}

async fn make(ctx: &TaskContext, python: &str, requirements: &[String], folder: &Path) -> Result<(), TaskError> {
    let own = folder.join("bin/python");
    let venv = folder.as_os_str().to_owned();
    let has_uv =
        std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|p| p.join("uv").is_file()));
    let (tool, mut create, mut install): (_, Vec<std::ffi::OsString>, Vec<std::ffi::OsString>) = if has_uv {
        let create =
            vec!["uv".into(), "venv".into(), "--allow-existing".into(), "--python".into(), python.into(), venv];
        ("uv", create, vec!["uv".into(), "pip".into(), "install".into(), "--python".into(), own.into()])
    } else {
        let create = vec![python.into(), "-m".into(), "venv".into(), venv];
        let install =
            vec![own.into(), "-m".into(), "pip".into(), "install".into(), "--disable-pip-version-check".into()];
        ("venv and pip", create, install)
    };
    ctx.info(format!("Making a Python environment with {tool} in {}: {}", folder.display(), requirements.join(", ")));
    install.extend(requirements.iter().map(std::ffi::OsString::from));
    for command in [&mut create, &mut install] {
        let spec = ProcessSpec {
            program: command.remove(0),
            args: std::mem::take(command),
            env: inherited_env(),
            cwd: ctx.info.dag_folder.clone(),
            stdin: Vec::new(),
        };
        let end = run_process(ctx, &spec).await?;
        if end.check().is_err() {
            let last = end.last_stderr.or(end.last_stdout).unwrap_or_default();
            let message = format!(
                "The Python environment for {} cannot be made: {}. Correct the task's requirements, or see in its log what \
                 hinders their installation.",
                requirements.join(", "),
                last.trim_end_matches('.')
            );
            return Err(TaskError::retryable(Cause::Failed { message }));
        }
    }
    Ok(())
}
