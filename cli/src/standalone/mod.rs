//! `windrose standalone`: scheduler, worker and web page in one process.

mod other_dags;
mod port;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::net::TcpListener;
use tokio::signal::unix::SignalKind;
use tokio_util::sync::CancellationToken;
use windrose_operators::catalog::OperatorCatalog;
use windrose_scheduler::{Options, Scheduler};
use windrose_store::task_log::TaskLogs;
use windrose_store::{StandaloneLock, Store, StoreError};
use windrose_worker::lookup::SecretLookup;
use windrose_worker::port::WorkerPort;
use windrose_worker::{Worker, WorkerOptions};

use crate::args::StandaloneArgs;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::{bundles, database, signals};

use port::StandalonePort;

/// How often the lock on the database is confirmed.
const LOCK_CHECK: Duration = Duration::from_secs(5);

/// How long the scheduler may take for its last transaction; while the database is away it would take for ever.
const LAST_WRITE: Duration = Duration::from_secs(10);

/// Runs until it is told to stop (SIGINT or SIGTERM) or a part of it fails.
pub(crate) async fn run(mut config: Config, args: StandaloneArgs) -> Result<ExitCode> {
    if args.dags.is_some() {
        config.bundles.clear();
    }
    let dags = args.dags.unwrap_or(config.dags);
    config.dags = std::path::absolute(&dags)
        .with_context(|| format!("the folder of DAG files {} has no absolute path", dags.display()))?;
    config.web.bind = args.bind.unwrap_or(config.web.bind);
    start_logging(&config);
    let listener = if args.no_web { None } else { Some(listen(&config).await?) };
    let store = database::open(&config).await?;
    let holder = format!("process {} on {}", std::process::id(), host());
    let lock = store.lock_standalone(&holder).await?;
    let stop = CancellationToken::new();
    let outcome = tokio::select! {
        outcome = serve(&config, store.clone(), listener, &stop, asked_to_stop(args.exit_with_stdin)) => outcome,
        error = keep_lock(lock, &store, &holder) => Err(error.into()),
    };
    stop.cancel();
    store.close().await;
    outcome.map(|()| ExitCode::SUCCESS)
}

/// Ends only when another process has taken the database over while the connection that holds the lock was broken.
async fn keep_lock(mut lock: StandaloneLock, store: &Store, holder: &str) -> StoreError {
    loop {
        tokio::time::sleep(LOCK_CHECK).await;
        if lock.still_held().await.is_ok() {
            continue;
        }
        match store.lock_standalone(holder).await {
            Ok(again) => lock = again,
            Err(error @ StoreError::InUse { .. }) => return error,
            Err(error) => tracing::warn!(%error, "the lock on the database is not confirmed"),
        }
    }
}

/// Waits for a signal or, if that counts, for the end of standard input.
fn asked_to_stop(with_stdin: bool) -> impl Future<Output = ()> {
    // Now, not at the first poll: whoever reads that Windrose is ready may tell it to stop.
    let signalled = signals::first_of([SignalKind::interrupt(), SignalKind::terminate()]);
    let input_ends = async move {
        if !with_stdin {
            std::future::pending::<()>().await;
        }
        // One that cannot be read has ended too.
        let read = || std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        let _ = tokio::task::spawn_blocking(read).await;
    };
    async move {
        tokio::select! {
            () = signalled => {}
            () = input_ends => {}
        }
    }
}

async fn serve(
    config: &Config,
    store: Store,
    listener: Option<TcpListener>,
    stop: &CancellationToken,
    asked_to_stop: impl Future<Output = ()>,
) -> Result<()> {
    let clock = Arc::new(SystemClock);
    let sweep_caught = Arc::new(AtomicU64::new(0));
    let lookup = bundles::LateLookup::default();
    let options = Options {
        bundles: bundles::options(config, &lookup)?,
        catalog: Arc::new(OperatorCatalog),
        defaults: config.dag_file_defaults()?,
        parallelism: config.scheduler.parallelism as usize,
        queues: config.worker.served_queues(),
        sweep_every: Duration::from_secs(config.scheduler.sweep_seconds.get()),
        sweep_caught: Arc::clone(&sweep_caught),
    };
    let (scheduler, handle) = Scheduler::load(store.clone(), clock, options).await?;
    let port: Arc<dyn WorkerPort> = Arc::new(StandalonePort::new(handle, store.clone()));
    let worker_options = worker_options(config)?;
    let secrets = SecretLookup::new(
        worker_options.backends.clone(),
        Arc::clone(&worker_options.environment),
        Arc::clone(&port),
        worker_options.secrets_ttl,
    );
    // Nothing else sets it.
    let _ = lookup.set(Arc::new(secrets));
    let worker = Worker::new(port, worker_options);

    let scheduler_stop = CancellationToken::new();
    let mut scheduling = tokio::spawn(scheduler.run(scheduler_stop.clone()));
    let working = tokio::spawn(worker.run(stop.clone()));
    let address = match listener {
        None => None,
        Some(listener) => {
            let address = listener.local_addr().context("the web server's address cannot be found out")?;
            let state = windrose_web::State {
                store,
                logs: TaskLogs::new(config.log_folder()),
                clock: Arc::new(SystemClock),
                catalog: Arc::new(OperatorCatalog),
                defaults: Arc::new(config.dag_file_defaults()?),
                sweep_caught,
                hooks: Arc::new(bundles::HookVariables::new(config, &lookup)),
            };
            tokio::spawn(windrose_web::serve(listener, state, stop.clone()));
            Some(address)
        }
    };
    match address {
        Some(address) => println!("windrose is ready: http://{address}"),
        None => println!("windrose is ready: (no web page)"),
    }
    let ended = tokio::select! {
        () = asked_to_stop => None,
        ended = &mut scheduling => Some(ended),
    };
    tracing::info!("stopping: processes of running tasks are ended, remote work goes on");
    stop.cancel();
    // The worker first: what it still reports must find the scheduler.
    let _ = tokio::time::timeout(Duration::from_secs(config.worker.grace_seconds + 5), working).await;
    scheduler_stop.cancel();
    let ended = match ended {
        Some(ended) => ended,
        None => match tokio::time::timeout(LAST_WRITE, scheduling).await {
            Ok(ended) => ended,
            Err(_) => {
                tracing::warn!("the last decisions cannot be written; they are decided anew at the next start");
                return Ok(());
            }
        },
    };
    ended.context("the scheduler failed")?.context("the scheduler had to stop")
}

fn worker_options(config: &Config) -> Result<WorkerOptions> {
    let mut options = WorkerOptions::new(config.data.join("scratch"), config.log_folder(), Arc::new(SystemClock));
    options.versions = config.data.join("versions");
    options.processes = config.worker.processes;
    options.cancel_grace = Duration::from_secs(config.worker.grace_seconds);
    options.secrets_ttl = Duration::from_secs(config.secrets.cache_seconds);
    options.backends = config.backends()?;
    Ok(options)
}

async fn listen(config: &Config) -> Result<TcpListener> {
    let address = config.web.bind;
    if !address.ip().is_loopback() {
        anyhow::bail!(
            "the web page has no sign-in yet, so it is served on loopback only; {address} is not, use 127.0.0.1"
        );
    }
    TcpListener::bind(address).await.with_context(|| {
        format!("the web page cannot be served on {address}; choose another address with --bind, or --no-web")
    })
}

fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "this host".to_owned(), |name| name.trim().to_owned())
}

fn start_logging(config: &Config) {
    let filter = tracing_subscriber::EnvFilter::try_new(&config.log)
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    // A second standalone in one process (tests) keeps the first one's.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_writer(std::io::stderr)
        .try_init();
}
