//! Time by the clock: from one event to the next.

use std::ops::Range;
use std::time::Duration;

use windrose_core::time::Timestamp;

use super::outcomes::Span;
use super::stage::{Attempt, Stage};
use crate::event::Event;

/// Plays these runs together until none of them can make any further progress.
pub(super) fn play(stage: &mut Stage, runs: Range<usize>) {
    let mut now = Timestamp::from_micros(0);
    for run in runs.clone() {
        stage.start(run, now);
    }
    loop {
        settle(stage, runs.clone(), now);
        let Some(next) = next_instant(stage, runs.clone()) else { break };
        now = next.max(now);
        for run in runs.clone() {
            let mut due: Vec<Attempt> = stage.runs[run].running.iter().filter(|a| end_of(a) <= now).cloned().collect();
            due.sort_by_key(|a| (a.ends, a.position, a.key.map_index));
            for attempt in due {
                if stage.runs[run].running.iter().any(|a| a.attempt == attempt.attempt) {
                    stage.report_attempt(run, now, seconds(now), attempt);
                }
            }
        }
    }
}

/// Passes and admission until nothing changes at this instant.
fn settle(stage: &mut Stage, runs: Range<usize>, now: Timestamp) {
    loop {
        for run in runs.clone() {
            let taken = stage.runs[run].machine.handle(now, Event::TimerDue);
            debug_assert!(taken.is_ok(), "looking at the clock is always possible");
            stage.drain(run, now, seconds(now));
        }
        let end = |span| micros(now).saturating_add(micros_of(span));
        if stage.admit(now, seconds(now), end) == 0 {
            break;
        }
    }
}

fn next_instant(stage: &Stage, runs: Range<usize>) -> Option<Timestamp> {
    let players = || runs.clone().map(|run| &stage.runs[run]);
    let timers = players().filter_map(|player| player.machine.poll_timeout());
    let ends = players().flat_map(|player| &player.running).map(end_of);
    timers.chain(ends).min()
}

fn end_of(attempt: &Attempt) -> Timestamp {
    Timestamp::from_micros(i64::try_from(attempt.ends).unwrap_or(i64::MAX))
}

fn micros(at: Timestamp) -> u64 {
    u64::try_from(at.as_micros()).unwrap_or(0)
}

fn seconds(at: Timestamp) -> u64 {
    micros(at) / 1_000_000
}

fn micros_of(span: Span) -> u64 {
    let time = match span {
        Span::Waves(count) => Duration::from_secs(u64::from(count)),
        Span::Time(time) => time,
    };
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
