//! Wake-ups between tasks and processes, so that nobody polls: LISTEN/NOTIFY on PostgreSQL; on SQLite a file beside the
//! database that is watched. A wake-up carries no fact, only where to look; one may come without need, or be lost with a
//! broken connection, after which all topics are woken.

use std::collections::VecDeque;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use sqlx::postgres::PgListener;
use sqlx::{AssertSqlSafe, ConnectOptions};
use tokio::sync::{OnceCell, broadcast};
use tokio::task::AbortHandle;

use crate::Store;
use crate::connect::Place;
use crate::dialect::WAKE_CHANNEL;
use crate::error::StoreError;
use crate::row_id::row_id;

/// Where to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    /// A command waits.
    Commands,
    /// A run was created or changed.
    Runs,
    /// A DAG was paused, unpaused, loaded or removed.
    Dags,
    /// A pool, connection or variable was changed.
    Settings,
    /// Somebody wants bundles to be asked for news.
    Bundles,
}

impl Topic {
    /// Every topic.
    pub const ALL: [Self; 5] = [Self::Commands, Self::Runs, Self::Dags, Self::Settings, Self::Bundles];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Commands => "commands",
            Self::Runs => "runs",
            Self::Dags => "dags",
            Self::Settings => "settings",
            Self::Bundles => "bundles",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.as_str() == word)
    }
}

/// More unread wake-ups than this are as good as all topics.
const BACKLOG: usize = 64;
/// The file of wake-ups is begun anew when it is longer.
const LONGEST_FILE: u64 = 64 * 1024;
const RECONNECT_DELAY: Duration = Duration::from_secs(1);

/// The wake-ups of one [`Store`].
pub(crate) struct Wake {
    /// Marks what this store sends, so that it does not wake itself twice.
    tag: String,
    sender: broadcast::Sender<Topic>,
    file: Option<PathBuf>,
    /// Begins with the first listener.
    source: OnceCell<Source>,
}

/// What brings wake-ups of other processes; ends when dropped.
enum Source {
    File { _watcher: Box<RecommendedWatcher> },
    Server(AbortHandle),
}

impl Drop for Source {
    fn drop(&mut self) {
        if let Self::Server(task) = self {
            task.abort();
        }
    }
}

impl Wake {
    pub(crate) fn new(place: &Place) -> Self {
        let file = match place {
            Place::Sqlite(path) => Some(Place::beside(path, ".wake")),
            Place::Postgres(_) => None,
        };
        Self { tag: row_id(), sender: broadcast::channel(BACKLOG).0, file, source: OnceCell::new() }
    }
}

/// Waits for wake-ups.
#[derive(Debug)]
pub struct Listener {
    pending: VecDeque<Topic>,
    receiver: broadcast::Receiver<Topic>,
    /// Keeps the source of wake-ups alive.
    _store: Store,
}

impl Listener {
    /// Waits for the next wake-up. Cancel safe.
    pub async fn next(&mut self) -> Topic {
        loop {
            if let Some(topic) = self.pending.pop_front() {
                return topic;
            }
            match self.receiver.recv().await {
                Ok(topic) => return topic,
                Err(broadcast::error::RecvError::Lagged(_)) => self.pending.extend(Topic::ALL),
                // The sender lives as long as the store, which this listener keeps.
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}

impl Store {
    /// Wakes everybody who listens on this database, in this process and in others. Call it after the commit.
    ///
    /// # Errors
    /// See [`StoreError`]; listeners of this process are woken even then.
    pub async fn notify(&self, topic: Topic) -> Result<(), StoreError> {
        let wake = &self.inner.wake;
        // Nobody may be listening here; others may.
        let _ = wake.sender.send(topic);
        let line = format!("{} {}", topic.as_str(), wake.tag);
        match wake.file.clone() {
            Some(path) => {
                let shown = path.display().to_string();
                let appended = tokio::task::spawn_blocking(move || append(&path, &line)).await;
                appended
                    .unwrap_or_else(|error| Err(std::io::Error::other(error)))
                    .map_err(|error| cannot_watch(&shown, error))
            }
            None => {
                // Both parts are words of ours; NOTIFY takes no parameters.
                let sql = format!("NOTIFY {WAKE_CHANNEL}, '{line}'");
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(self.writer()).await?;
                Ok(())
            }
        }
    }

    /// Begins to listen: wake-ups from now on are not missed.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn listen(&self) -> Result<Listener, StoreError> {
        let wake = &self.inner.wake;
        let receiver = wake.sender.subscribe();
        wake.source.get_or_try_init(|| self.start_source()).await?;
        Ok(Listener { pending: VecDeque::new(), receiver, _store: self.clone() })
    }

    async fn start_source(&self) -> Result<Source, StoreError> {
        let wake = &self.inner.wake;
        match (&self.inner.place, &wake.file) {
            (Place::Postgres(options), _) => {
                let mut listener = PgListener::connect(options.to_url_lossy().as_str()).await?;
                listener.listen(WAKE_CHANNEL).await?;
                let task = tokio::spawn(relay(listener, wake.sender.clone(), wake.tag.clone()));
                Ok(Source::Server(task.abort_handle()))
            }
            (Place::Sqlite(path), file) => {
                let file = file.clone().unwrap_or_else(|| Place::beside(path, ".wake"));
                watch(&file, wake.sender.clone(), wake.tag.clone())
            }
        }
    }
}

fn cannot_watch(path: &str, error: impl std::fmt::Display) -> StoreError {
    StoreError::Unavailable { message: format!("the file {path} cannot be used: {error}"), retryable: false }
}

fn append(path: &Path, line: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path)?;
    if file.metadata()?.len() > LONGEST_FILE {
        file.set_len(0)?;
    }
    // One write: lines of several processes do not mix.
    file.write_all(format!("{line}\n").as_bytes())
}

/// Sends on what a line says, unless this store wrote it itself.
fn dispatch(line: &str, sender: &broadcast::Sender<Topic>, own_tag: &str) {
    match line.split_once(' ') {
        Some((_, tag)) if tag == own_tag => {}
        Some((word, _)) => match Topic::parse(word) {
            Some(topic) => drop(sender.send(topic)),
            None => wake_all(sender),
        },
        None => wake_all(sender),
    }
}

fn wake_all(sender: &broadcast::Sender<Topic>) {
    for topic in Topic::ALL {
        // Without listeners there is nobody to wake.
        let _ = sender.send(topic);
    }
}

fn watch(path: &Path, sender: broadcast::Sender<Topic>, tag: String) -> Result<Source, StoreError> {
    let shown = path.display().to_string();
    let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
    let length = file.and_then(|file| file.metadata()).map_err(|error| cannot_watch(&shown, error))?.len();
    let read_until = Mutex::new(length);
    let watched = path.to_owned();
    let on_event = move |event: notify::Result<notify::Event>| {
        // Our own reading is an event too, of another kind.
        if event.is_ok_and(|event| event.kind.is_access()) {
            return;
        }
        let mut offset = read_until.lock().unwrap_or_else(PoisonError::into_inner);
        match read_from(&watched, *offset) {
            Ok(Some(text)) => {
                *offset += text.len() as u64;
                text.lines().for_each(|line| dispatch(line, &sender, &tag));
            }
            Ok(None) | Err(_) => {
                *offset = 0;
                wake_all(&sender);
            }
        }
    };
    let mut watcher = notify::recommended_watcher(on_event).map_err(|error| cannot_watch(&shown, error))?;
    watcher.watch(path, RecursiveMode::NonRecursive).map_err(|error| cannot_watch(&shown, error))?;
    Ok(Source::File { _watcher: Box::new(watcher) })
}

/// The whole lines after an offset; `None` if the file was begun anew since.
fn read_from(path: &Path, offset: u64) -> std::io::Result<Option<String>> {
    let mut file = std::fs::File::open(path)?;
    if file.metadata()?.len() < offset {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(offset))?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
    Ok(Some(text))
}

async fn relay(mut listener: PgListener, sender: broadcast::Sender<Topic>, tag: String) {
    loop {
        match listener.try_recv().await {
            Ok(Some(notification)) => dispatch(notification.payload(), &sender, &tag),
            // The connection broke; the next call makes a new one. What was sent in between is lost.
            Ok(None) => wake_all(&sender),
            Err(error) => {
                tracing::warn!(%error, "wake-ups from the metadata database are interrupted; connecting again");
                tokio::time::sleep(RECONNECT_DELAY).await;
                wake_all(&sender);
            }
        }
    }
}
