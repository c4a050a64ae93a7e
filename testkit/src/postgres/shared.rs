//! The server that all test processes of a user and target folder share.

use std::fs::{File, OpenOptions};
use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use tokio::sync::OnceCell;

use super::programs::Programs;
use super::server::{PostgresServer, data, start};
use super::{TestkitError, files};

/// Kept until the process ends: the watchdog sees by it that the server is in use.
struct Use {
    server: Arc<PostgresServer>,
    folder: PathBuf,
    _user: File,
}

static SHARED: OnceCell<Use> = OnceCell::const_new();

/// Stops the server and removes its folder when nobody uses it: under the lock that every user takes before it begins.
/// Arguments: the folder, pg_ctl, and the server's user if this is root.
const WATCHDOG: &str = r#"
folder=$1; pg_ctl=$2
exec 8>"$folder.lock" 9>"$folder.users"
while sleep 5; do
  flock 8
  if flock --nonblock 9; then
    if [ -n "$3" ]; then setpriv --reuid "$3" --clear-groups "$pg_ctl" stop -D "$folder/data" -m immediate
    else "$pg_ctl" stop -D "$folder/data" -m immediate; fi
    rm -rf "$folder"
    exit
  fi
  flock --unlock 8
done
"#;

impl PostgresServer {
    /// The server that the tests of this machine share; started if nobody uses it yet.
    ///
    /// # Errors
    /// See [`TestkitError`].
    pub async fn shared() -> Result<Arc<Self>, TestkitError> {
        let shared = SHARED.get_or_try_init(|| async {
            // Waiting for locks and programs must not hold up the test's runtime.
            tokio::task::spawn_blocking(join).await.unwrap_or_else(|error| {
                Err(TestkitError::Program { program: "the start of the server".into(), output: error.to_string() })
            })
        });
        Ok(shared.await?.server.clone())
    }

    /// The name of this test program's template database, made by `migrate` the first time.
    pub(crate) async fn template<F, E>(&self, migrate: impl FnOnce(String) -> F) -> Result<String, TestkitError>
    where
        F: Future<Output = Result<(), E>>,
        E: std::fmt::Display,
    {
        let name = format!("template_{:016x}", hash_of_this_program());
        let folder = SHARED.get().map(|shared| shared.folder.clone()).unwrap_or_else(shared_folder);
        let _lock = tokio::task::spawn_blocking(move || lock(&folder, "templates"))
            .await
            .unwrap_or_else(|error| Err(TestkitError::Migration(error.to_string())))?;
        let mut connection = self.connect("postgres").await?;
        let found = sqlx::query("SELECT 1 FROM pg_database WHERE datname = $1")
            .bind(&name)
            .fetch_optional(&mut connection)
            .await?;
        if found.is_none() {
            // Under another name until it is complete: a process killed on the way leaves no half a template.
            let unfinished = self.create_database("template0").await?;
            migrate(self.url(&unfinished)).await.map_err(|error| TestkitError::Migration(error.to_string()))?;
            self.administrate(&format!("ALTER DATABASE {unfinished} RENAME TO {name}")).await?;
        }
        Ok(name)
    }
}

/// A program that was built anew may have other migrations.
fn hash_of_this_program() -> u64 {
    let mut hasher = DefaultHasher::new();
    let program = std::env::current_exe().unwrap_or_default();
    program.hash(&mut hasher);
    if let Ok(metadata) = program.metadata() {
        metadata.len().hash(&mut hasher);
        metadata.modified().ok().hash(&mut hasher);
    }
    hasher.finish()
}

/// One for each target folder, so that two checkouts do not share a server.
fn shared_folder() -> PathBuf {
    let mut hasher = DefaultHasher::new();
    std::env::current_exe().unwrap_or_default().parent().map(Path::to_owned).hash(&mut hasher);
    let uid = nix::unistd::Uid::effective();
    std::env::temp_dir().join(format!("windrose-postgres-shared-{uid}-{:08x}", hasher.finish() as u32))
}

fn beside(folder: &Path, suffix: &str) -> PathBuf {
    let mut name = folder.as_os_str().to_owned();
    name.push(format!(".{suffix}"));
    name.into()
}

fn open(folder: &Path, suffix: &str) -> Result<File, TestkitError> {
    let path = beside(folder, suffix);
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    opened.map_err(files(&path))
}

fn lock(folder: &Path, suffix: &str) -> Result<File, TestkitError> {
    let file = open(folder, suffix)?;
    file.lock().map_err(files(folder))?;
    Ok(file)
}

fn join() -> Result<Use, TestkitError> {
    let programs = Programs::find()?;
    let folder = shared_folder();
    let _lock = lock(&folder, "lock")?;
    let user = open(&folder, "users")?;
    user.lock_shared().map_err(files(&folder))?;
    let port = match running_port(&folder) {
        Some(port) => port,
        None => {
            // What a server that was killed left behind.
            if folder.exists() {
                let _ = super::server::stop(&programs, &folder);
                std::fs::remove_dir_all(&folder).map_err(files(&folder))?;
            }
            programs.make_folder(&folder)?;
            start(&programs, &folder, false)?
        }
    };
    ensure_watchdog(&programs, &folder)?;
    Ok(Use { server: Arc::new(PostgresServer::shared_at(programs, port)), folder, _user: user })
}

/// The port in `postmaster.pid`, if a server answers there.
fn running_port(folder: &Path) -> Option<u16> {
    let pid_file = std::fs::read_to_string(data(folder).join("postmaster.pid")).ok()?;
    let port = pid_file.lines().nth(3)?.trim().parse().ok()?;
    std::net::TcpStream::connect(("127.0.0.1", port)).ok()?;
    Some(port)
}

/// The watchdog holds the lock on its own file while it lives.
fn ensure_watchdog(programs: &Programs, folder: &Path) -> Result<(), TestkitError> {
    let failed = |error: std::io::Error| TestkitError::Program { program: "sh".into(), output: error.to_string() };
    let alive = open(folder, "watchdog")?;
    if alive.try_lock().is_err() {
        return Ok(());
    }
    drop(alive);
    let own = beside(folder, "watchdog");
    let mut command = Command::new("flock");
    command.arg("--nonblock").arg(own).args(["sh", "-c", WATCHDOG, "windrose-test-watchdog"]);
    command.arg(folder).arg(programs.path("pg_ctl")).arg(programs.user_id().unwrap_or_default());
    // A group of its own: the end of a test's group is not its end.
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().map(drop).map_err(failed)
}
