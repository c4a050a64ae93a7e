//! A simulation as text for people: one bar per task instance, and below them what took the time.

use std::fmt::Write as _;
use std::time::Duration;

use windrose_core::attempt::AttemptOutcome;
use windrose_core::time::Timestamp;

use super::attempts::SimAttempt;
use super::report::{SimReport, SimRun, SimTask, SimTimeline};

/// More instances of a mapped task than this share one line.
const FOLDED: usize = 20;
/// How wide names may be.
const NAMES: usize = 28;
/// How wide `upstream_failed` is.
const STATES: usize = 15;
const LEAST_BAR: usize = 20;
/// Steps of a critical path that are shown.
const STEPS: usize = 12;

const LEGEND: &str =
    "█ runs  ▓ a try that fails  ░ waits for slots  · waits for its next try  ◆ nothing to do  * critical path\n";

/// A line of the chart.
struct Line<'r> {
    name: String,
    state: String,
    instances: usize,
    attempts: Vec<&'r SimAttempt>,
    is_critical: bool,
    /// When an instance without an attempt became ready.
    mark: Option<u64>,
}

impl SimReport {
    /// The timeline of every run in at most `width` columns, the critical paths, and how full the pools were.
    #[must_use]
    pub fn chart(&self, width: usize) -> String {
        let mut text = String::new();
        for (number, (run, timeline)) in (1..).zip(self.runs.iter().zip(&self.timelines)) {
            self.draw_run(number, run, timeline, width, &mut text);
            text.push('\n');
        }
        text.push_str(LEGEND);
        for pool in &self.pools {
            let of = match pool.slots {
                Some(slots) => format!("of {slots} slots"),
                None => "slots (no size is given, so it is unlimited)".to_owned(),
            };
            // Writing to a String cannot fail.
            let _ = write!(text, "pool {}: at most {} {of}, {:.1} on average", pool.pool, pool.peak, pool.average);
            if pool.waited > 0 {
                let _ = write!(text, "; {} tries waited {} for it", pool.waited, self.span(pool.waiting));
            }
            text.push('\n');
        }
        text
    }

    fn draw_run(&self, number: usize, run: &SimRun, timeline: &SimTimeline, width: usize, text: &mut String) {
        let end = match run.end_wave {
            Some(_) if self.by_clock => format!("{} after {}", run.state.as_str(), self.span(self.end(timeline))),
            Some(wave) => format!("{} in wave {wave}", run.state.as_str()),
            None => "stuck: nothing can change any more".to_owned(),
        };
        let _ = writeln!(text, "run {number} ({}): {end}", run.run_type.as_str());
        let lines = lines(run, timeline);
        let names = lines.iter().map(|line| line.name.chars().count()).max().unwrap_or(0).min(NAMES);
        let bar = width.saturating_sub(names + STATES + 5).max(LEAST_BAR);
        let scale = Scale { cells: bar, end: self.end(timeline), by_clock: self.by_clock };
        let _ = writeln!(text, "  {:names$} {}", "", scale.axis(|at| self.span(at)));
        for line in &lines {
            let star = if line.is_critical { '*' } else { ' ' };
            let name: String = line.name.chars().take(NAMES).collect();
            let bar = scale.bar(line);
            let _ = writeln!(text, "{star} {name:names$} {bar} {}", line.state);
        }
        for (task, reason) in timeline.stuck.iter().take(FOLDED) {
            let _ = writeln!(text, "  {task} never began: it waits for {reason}");
        }
        if !timeline.critical_path.is_empty() {
            let _ = writeln!(text, "critical path: {}", self.critical_path(timeline));
        }
        for (asset, task) in &timeline.assets {
            let _ = writeln!(text, "asset event: {asset} (by {task})");
        }
    }

    /// The end of the last attempt, in seconds or waves.
    fn end(&self, timeline: &SimTimeline) -> f64 {
        let ends = timeline
            .attempts
            .iter()
            .map(|attempt| units(attempt.started) + attempt.length(self.by_clock).as_secs_f64());
        ends.fold(if self.by_clock { 0.0 } else { 1.0 }, f64::max)
    }

    fn critical_path(&self, timeline: &SimTimeline) -> String {
        let step = |&at: &usize| {
            let attempt = &timeline.attempts[at];
            let waited = attempt.started.since(attempt.ready).as_secs_f64();
            let waits = match &attempt.waited_for {
                Some(reason) if waited > 0.0 => format!("waits {} for {reason}, ", self.span(waited)),
                _ => String::new(),
            };
            let again = if attempt.try_number > 1 { format!("try {}, ", attempt.try_number) } else { String::new() };
            format!("{} ({again}{waits}runs {})", attempt.task, self.span(attempt.length(self.by_clock).as_secs_f64()))
        };
        let path = &timeline.critical_path;
        let mut steps: Vec<String> = path.iter().take(STEPS / 2).map(step).collect();
        let rest = path.get(STEPS / 2..).unwrap_or_default();
        let left_out = rest.len().saturating_sub(STEPS / 2);
        if left_out > 0 {
            steps.push(format!("{left_out} more"));
        }
        steps.extend(rest[left_out..].iter().map(step));
        steps.join(" → ")
    }

    fn span(&self, units: f64) -> String {
        if !self.by_clock {
            return if units == 1.0 { "1 wave".to_owned() } else { format!("{units} waves") };
        }
        // Parts of milliseconds tell nobody anything.
        let span = Duration::try_from_secs_f64(units).unwrap_or(Duration::MAX);
        let rounded = Duration::from_millis(u64::try_from(span.as_millis()).unwrap_or(u64::MAX));
        humantime::format_duration(rounded).to_string()
    }
}

#[expect(clippy::cast_precision_loss, reason = "a simulation lasts a hundred years at most")]
fn units(at: Timestamp) -> f64 {
    at.as_micros() as f64 / 1e6
}

/// One line per instance, in the order of the DAG file; those of a large mapped task share one.
fn lines<'r>(run: &SimRun, timeline: &'r SimTimeline) -> Vec<Line<'r>> {
    let critical: Vec<&str> = timeline.critical_path.iter().map(|&at| timeline.attempts[at].task.as_str()).collect();
    let mut attempts: std::collections::HashMap<&str, Vec<&SimAttempt>> = std::collections::HashMap::new();
    for attempt in &timeline.attempts {
        attempts.entry(attempt.task.as_str()).or_default().push(attempt);
    }
    let instances: Vec<(&String, &SimTask)> = run.tis.iter().collect();
    let of_one_task = instances.chunk_by(|(a, _), (b, _)| task_of(a).is_some() && task_of(a) == task_of(b));
    let mut lines = Vec::new();
    for group in of_one_task {
        let mut alone = group.iter().map(|(name, task)| Line {
            name: (*name).clone(),
            state: task.state.map_or("", |state| state.as_str()).to_owned(),
            instances: 1,
            attempts: attempts.remove(name.as_str()).unwrap_or_default(),
            is_critical: critical.contains(&name.as_str()),
            mark: task.wave,
        });
        if group.len() > FOLDED {
            lines.extend(fold(group[0].0, &alone.collect::<Vec<_>>()));
        } else {
            lines.extend(&mut alone);
        }
    }
    lines
}

/// `load` of `load[3]`.
fn task_of(name: &str) -> Option<&str> {
    name.strip_suffix(']').and_then(|name| name.rsplit_once('[')).map(|(task, _)| task)
}

fn fold<'r>(first: &str, lines: &[Line<'r>]) -> Option<Line<'r>> {
    let task = task_of(first)?;
    let mut states: Vec<(&str, usize)> = Vec::new();
    for line in lines {
        match states.iter_mut().find(|(state, _)| *state == line.state) {
            Some((_, count)) => *count += 1,
            None => states.push((line.state.as_str(), 1)),
        }
    }
    let states = states
        .into_iter()
        .map(|(state, count)| if count == lines.len() { state.to_owned() } else { format!("{count} {state}") });
    Some(Line {
        name: format!("{task}[{}]", lines.len()),
        state: states.collect::<Vec<_>>().join(", "),
        instances: lines.len(),
        attempts: lines.iter().flat_map(|line| line.attempts.iter().copied()).collect(),
        is_critical: lines.iter().any(|line| line.is_critical),
        mark: None,
    })
}

/// From time to columns.
struct Scale {
    cells: usize,
    end: f64,
    by_clock: bool,
}

impl Scale {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "within the bar"
    )]
    fn cell(&self, at: f64) -> usize {
        // Waves count from 1.
        let (at, end) = if self.by_clock { (at, self.end) } else { (at - 1.0, self.end - 1.0) };
        if end <= 0.0 {
            return 0;
        }
        ((at.max(0.0) / end * self.cells as f64) as usize).min(self.cells)
    }

    /// The cells that an attempt takes; at least one.
    fn cells_of(&self, attempt: &SimAttempt) -> std::ops::Range<usize> {
        let from = self.cell(units(attempt.started)).min(self.cells - 1);
        let to = self.cell(units(attempt.started) + attempt.length(self.by_clock).as_secs_f64());
        from..to.max(from + 1)
    }

    fn axis(&self, span: impl Fn(f64) -> String) -> String {
        let (first, last) = if self.by_clock {
            ("0s".to_owned(), span(self.end))
        } else {
            ("wave 1".to_owned(), format!("{}", self.end - 1.0))
        };
        let gap = self.cells.saturating_sub(first.chars().count() + last.chars().count());
        format!("{first}{}{last}", " ".repeat(gap))
    }

    fn bar(&self, line: &Line<'_>) -> String {
        if line.instances > 1 {
            return self.density(line);
        }
        let mut cells = vec![' '; self.cells];
        if let (true, Some(at)) = (line.attempts.is_empty() && line.state == "success", line.mark) {
            #[expect(clippy::cast_precision_loss, reason = "a simulation lasts a hundred years at most")]
            let cell = self.cell(at as f64).min(self.cells - 1);
            cells[cell] = '◆';
        }
        let mut before: Option<usize> = None;
        for attempt in &line.attempts {
            let range = self.cells_of(attempt);
            let ready = self.cell(units(attempt.ready)).min(range.start);
            if let Some(before) = before.filter(|before| *before < ready) {
                cells[before..ready].fill('·');
            }
            cells[ready..range.start].fill('░');
            let ends_well = matches!(attempt.outcome, AttemptOutcome::Success | AttemptOutcome::Skipped);
            before = Some(range.end);
            cells[range].fill(if ends_well { '█' } else { '▓' });
        }
        cells.into_iter().collect()
    }

    /// How many of the instances run: the fullest cell is full.
    fn density(&self, line: &Line<'_>) -> String {
        const STEPS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        let mut changes = vec![0_i64; self.cells + 1];
        for attempt in &line.attempts {
            let range = self.cells_of(attempt);
            changes[range.start] += 1;
            changes[range.end] -= 1;
        }
        let mut running = 0;
        let counts: Vec<i64> = changes[..self.cells]
            .iter()
            .map(|change| {
                running += change;
                running
            })
            .collect();
        let most = counts.iter().copied().max().unwrap_or(0).max(1);
        let step = |count: &i64| usize::try_from((count * 8 + most - 1) / most).unwrap_or(0);
        counts.iter().map(|count| STEPS[step(count).min(8)]).collect()
    }
}
