//! Fields of the DAG that decide which runs there are, and when a run has failed. Most of their values are not Airflow's.

use toml::de::DeValue;

use super::Defaults;
use super::reader::{Fields, not_a_choice, wrong_kind};
use super::reporter::{Finding, Reporter};
use crate::dag::{Catchup, Dag, Overlap, RunFailsOn, Schedule};

const OVERLAPS: [(&str, Overlap); 4] = [
    ("queue", Overlap::Queue),
    ("skip", Overlap::Skip),
    ("cancel_old", Overlap::CancelOld),
    ("cancel_new", Overlap::CancelNew),
];
const RUN_FAILS_ON: [(&str, RunFailsOn); 2] = [("leaves", RunFailsOn::Leaves), ("any", RunFailsOn::Any)];

pub(super) fn read_catchup(fields: &Fields<'_>, defaults: &Defaults, reporter: &mut Reporter<'_>) -> Catchup {
    let of_flag = |flag| if flag { Catchup::All } else { Catchup::No };
    let Some(node) = fields.get("catchup") else { return of_flag(defaults.catchup) };
    match node.get_ref() {
        DeValue::Boolean(flag) => return of_flag(*flag),
        DeValue::String(text) if text == "latest" => return Catchup::Latest,
        DeValue::String(text) if text == "collapse" => return Catchup::Collapse,
        DeValue::String(_) => {
            if let Some(word) = fields.word("catchup", reporter) {
                reporter.add(not_a_choice("catchup", &word, ["true", "false", "latest", "collapse"].into_iter()));
            }
        }
        _ => reporter.add(wrong_kind("catchup", node, "true, false, \"latest\" or \"collapse\"")),
    }
    Catchup::No
}

/// Fills in what needs the schedule to be known.
pub(super) fn read_own_fields(dag: &mut Dag, fields: &Fields<'_>, reporter: &mut Reporter<'_>) {
    dag.overlap = fields.choice("overlap", &OVERLAPS, reporter).unwrap_or_default();
    dag.run_fails_on = fields.choice("run_fails_on", &RUN_FAILS_ON, reporter).unwrap_or_default();
    dag.jitter = fields.duration("jitter", reporter).unwrap_or_default();
    dag.max_consecutive_failed_runs = fields.count("max_consecutive_failed_runs", 0, reporter).unwrap_or(0);
    let repeats = matches!(dag.schedule, Schedule::Cron { .. } | Schedule::Every { .. });
    for (key, given) in [("jitter", !dag.jitter.is_zero()), ("overlap", dag.overlap != Overlap::Queue)] {
        if given && !repeats {
            let finding = Finding::error(fields.span(key), format!("'{key}' needs a schedule with 'cron' or 'every'"));
            reporter
                .add(finding.help(format!("leave '{key}' out: no other run of this DAG is due at a time of its own")));
        }
    }
}
