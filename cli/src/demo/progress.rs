//! How the run is shown: on a terminal one line per task that changes in place, else a line per change.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use windrose_core::ids::TaskId;
use windrose_core::task_state::TaskStateName;
use windrose_core::time::Timestamp;
use windrose_store::TaskRow;

pub(super) struct Progress {
    lines: MultiProgress,
    terminal: bool,
    shown: BTreeMap<TaskId, Shown>,
}

struct Shown {
    state: TaskStateName,
    line: ProgressBar,
}

impl Progress {
    pub(super) fn new() -> Self {
        let lines = MultiProgress::with_draw_target(ProgressDrawTarget::stdout());
        Self { lines, terminal: std::io::stdout().is_terminal(), shown: BTreeMap::new() }
    }

    /// Tasks appear once something has happened to them.
    pub(super) fn show(&mut self, tasks: &[TaskRow], now: Timestamp) {
        let mut begun: Vec<_> = tasks.iter().filter(|task| task.state.name() != TaskStateName::None).collect();
        begun.sort_by_key(|task| task.columns.queued_at);
        for task in begun {
            self.show_task(task, now);
        }
    }

    fn show_task(&mut self, task: &TaskRow, now: Timestamp) {
        let state = task.state.name();
        let seconds =
            task.columns.started_at.map(|from| task.columns.ended_at.unwrap_or(now).since(from).as_secs_f64());
        let time = seconds.map(|seconds| format!("{seconds:.1} s")).unwrap_or_default();
        let known = self.shown.get(&task.key.task).map(|shown| shown.state);
        if !self.terminal {
            // A sensor goes through the same states at every poke: what it waits for is said once.
            let news = known != Some(state) && (known.is_none() || !passing(state));
            if news {
                println!("  {:32} {:20} {time}", task.key.task.as_str(), state.as_str());
            } else if known.is_some() {
                return;
            }
        }
        let lines = &self.lines;
        let shown = self
            .shown
            .entry(task.key.task.clone())
            .or_insert_with(|| Shown { state, line: lines.add(line(task.key.task.as_str())) });
        shown.state = state;
        if task.state.is_final() && !shown.line.is_finished() {
            shown.line.finish_with_message(format!("{:20} {time}", state.as_str()));
        } else if !task.state.is_final() {
            shown.line.set_message(format!("{:20} {time}", state.as_str()));
            shown.line.tick();
        }
    }

    /// Prints a line above the tasks.
    pub(super) fn say(&self, line: &str) {
        if self.terminal {
            // What cannot be shown is no reason to stop.
            let _ = self.lines.println(line);
        } else {
            println!("{line}");
        }
    }

    /// Leaves the lines as they are.
    pub(super) fn finish(&self) {
        for shown in self.shown.values().filter(|shown| !shown.line.is_finished()) {
            shown.line.abandon();
        }
    }
}

/// States between two others.
const fn passing(state: TaskStateName) -> bool {
    matches!(state, TaskStateName::Scheduled | TaskStateName::Queued | TaskStateName::Running)
}

fn line(task: &str) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_prefix(task.to_owned());
    let style = ProgressStyle::with_template("{spinner} {prefix:32} {msg}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
}
