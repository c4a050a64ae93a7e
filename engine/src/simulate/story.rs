//! What happened in a simulation, event by event.

use std::fmt::Write as _;

use super::report::{SimReport, SimRun};

impl SimReport {
    /// One paragraph per run: what became ready, what ended, and how, wave by wave.
    #[must_use]
    pub fn story(&self) -> String {
        let mut text = String::new();
        for (number, run) in (1..).zip(&self.runs) {
            if number > 1 {
                text.push('\n');
            }
            self.describe(number, run, &mut text);
        }
        text
    }

    fn describe(&self, number: usize, run: &SimRun, text: &mut String) {
        let unit = if self.by_clock { "second" } else { "wave" };
        let end = match run.end_wave {
            Some(at) => format!("{} in {unit} {at}", run.state.as_str()),
            None => "stuck: nothing can change any more".to_owned(),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "run {number} ({}): {end}", run.run_type.as_str());
        let width = run.events.last().map_or(1, |e| e.at.to_string().len());
        for group in run.events.chunk_by(|a, b| a.at == b.at && a.what == b.what) {
            let tasks: Vec<&str> = group.iter().map(|e| e.task.as_str()).collect();
            let _ = writeln!(text, "  {unit} {:>width$}  {:<17} {}", group[0].at, group[0].what, tasks.join(", "));
        }
        for (task, ti) in run.tis.iter().filter(|(_, ti)| !ti.state.is_some_and(|s| s.is_final())) {
            let state = ti.state.map_or("no state", |s| s.as_str());
            let _ = writeln!(text, "  never ended: {task} ({state})");
        }
    }
}
