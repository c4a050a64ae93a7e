//! Time in waves.

use std::ops::Range;
use std::time::Duration;

use windrose_core::run_state::RunState;
use windrose_core::time::Timestamp;

use super::outcomes::Span;
use super::stage::{Attempt, Stage};

/// Plays these runs together until none of them can make any further progress.
pub(super) fn play(stage: &mut Stage, runs: Range<usize>) {
    for run in runs.clone() {
        stage.start(run, instant(0));
    }
    let mut wave = 1;
    loop {
        let moved = one_wave(stage, runs.clone(), wave);
        let next_end = runs.clone().flat_map(|run| &stage.runs[run].running).map(|a| a.ends).min();
        wave = match (moved, next_end) {
            (true, _) => wave + 1,
            // Nothing happens in between.
            (false, Some(end)) => end.max(wave + 1),
            (false, None) => break,
        };
    }
}

/// One wave; false if nothing happened in it.
fn one_wave(stage: &mut Stage, runs: Range<usize>, wave: u64) -> bool {
    let now = instant(wave);
    let mut moved = false;
    for run in runs.clone().filter(|&run| stage_is_active(stage, run)).collect::<Vec<_>>() {
        let machine = &mut stage.runs[run].machine;
        machine.fire_timers(now);
        moved |= machine.pass(now);
        stage.drain(run, now, wave);
    }
    moved |= stage.admit(now, wave, |span| wave + u64::from(waves(span)) - 1) > 0;
    for run in runs {
        let mut due: Vec<Attempt> = stage.runs[run].running.iter().filter(|a| a.ends <= wave).cloned().collect();
        due.sort_by_key(|a| (a.position, a.key.map_index));
        for attempt in due {
            // One that was taken away by a report before it is not running any more.
            if stage.runs[run].running.iter().any(|a| a.attempt == attempt.attempt) {
                moved |= stage.report_attempt(run, now, wave, attempt);
            }
        }
    }
    moved
}

fn stage_is_active(stage: &Stage, run: usize) -> bool {
    stage.runs[run].machine.state() == RunState::Running
}

const fn waves(span: Span) -> u32 {
    match span {
        Span::Waves(waves) => waves,
        Span::Time(_) => 1,
    }
}

/// Waves are a second apart, so that rows have distinct times.
fn instant(wave: u64) -> Timestamp {
    Timestamp::from_micros(0).plus(Duration::from_secs(wave))
}
