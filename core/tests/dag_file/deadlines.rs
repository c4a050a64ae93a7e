//! `deadline`: what is read, and in which words it is refused.

use std::time::Duration;

use windrose_core::dag_file::content_hash;
use windrose_core::deadline::{By, Condition, Reference};

use crate::{messages, read, read_well};

fn file(deadline: &str) -> String {
    format!("timezone = \"Europe/Berlin\"\ndeadline = {deadline}\n[tasks.a]\noperator = \"empty\"\n")
}

/// The condition of one deadline that is told of.
fn condition(deadline: &str) -> Condition {
    let dag = read_well(&file(&format!("{{ {deadline}, notify = {{ notifier = \"webhook\", url = \"u\" }} }}")));
    dag.deadlines[0].condition.clone()
}

#[test]
fn a_list_of_deadlines_keeps_its_order_its_names_and_who_is_told() {
    let dag = read_well(
        r#"
        [[deadline]]
        not_done_by = "2h"
        notify = { notifier = "webhook", url = "http://a/" }
        [[deadline]]
        not_started_by = 900
        reference = "queued_at"
        notify = [{ notifier = "webhook", url = "http://a/" }, { notifier = "webhook", url = "http://b/" }]
        [[deadline]]
        no_success_since = "26h"
        name = "fresh"
        notify = { notifier = "webhook", url = "http://a/" }
        [tasks.a]
        operator = "empty"
        "#,
    );
    let names: Vec<_> = dag.deadlines.iter().map(|deadline| deadline.name.as_str()).collect();
    assert_eq!(names, ["not_done_by 2h", "not_started_by 900 after queued_at", "fresh"]);
    assert_eq!(dag.deadlines[2].condition, Condition::NoSuccessSince(Duration::from_secs(26 * 3600)));
    assert_eq!(dag.deadlines[1].notifiers.len(), 2);
    assert_eq!(dag.deadlines[1].notifiers[1].parameters["url"], "http://b/");
    assert!(read_well("deadline = []\n[tasks.a]\noperator = 'empty'\n").deadlines.is_empty());
}

#[test]
fn a_deadline_counts_from_its_reference() {
    let after = |reference, seconds: i64| By::After { reference, offset: seconds * 1_000_000 };
    let fixed =
        Reference::At(windrose_core::dag_file::instant_from_text("2026-01-31T05:00:00Z", chrono_tz::UTC).unwrap());
    let average = |max_runs, min_runs| Reference::AverageRuntime { max_runs, min_runs };
    for (written, by) in [
        ("not_done_by = \"2h\"", after(Reference::RunAfter, 7200)),
        ("not_done_by = \"2h\", reference = \"logical_date\"", after(Reference::LogicalDate, 7200)),
        ("not_done_by = \"5m\", reference = \"started_at\"", after(Reference::StartedAt, 300)),
        ("not_done_by = 0, reference = 2026-01-31T06:00:00", after(fixed.clone(), 0)),
        ("not_done_by = \"-1h\", reference = 2026-01-31T06:00:00", after(fixed, -3600)),
        ("not_done_by = \"5m\", reference = \"average_runtime\"", after(average(10, 10), 300)),
        ("not_done_by = 0, reference = \"average_runtime\", max_runs = 5, min_runs = 2", after(average(5, 2), 0)),
        ("not_done_by = 0, reference = \"average_runtime\", max_runs = 5", after(average(5, 5), 0)),
    ] {
        assert_eq!(condition(written), Condition::NotDoneBy(by), "{written}");
    }
    for written in ["\"06:30\"", "\"06:30:00\"", "06:30:00"] {
        let Condition::NotStartedBy(By::TimeOfDay(time)) = condition(&format!("not_started_by = {written}")) else {
            panic!("{written} is a time of day")
        };
        assert_eq!(time.to_string(), "06:30:00");
    }
}

#[test]
fn a_deadline_is_part_of_what_a_version_is() {
    let hash = |hours| content_hash(&file(&format!("{{ not_done_by = \"{hours}h\" }}"))).unwrap();
    assert_ne!(hash(1), hash(2));
}

#[test]
fn bad_deadlines_are_shown_at_their_place() {
    let found = read(
        r#"
deadline = [
  { not_done_by = "2h" },
  { not_done_by = "2h", not_started_by = "1h", notify = { notifier = "webhook", url = "u" } },
  { notify = [] },
  { not_done_by = "25:00", notify = { notifier = "webhok", url = "u" } },
  { not_done_by = 2026-01-31T06:00:00, notify = { notifier = "webhook", url = "u" } },
  { not_started_by = "-5m", reference = "run_afte", notify = { notifier = "webhook", url = "u" } },
  { not_started_by = "-5m", notify = { notifier = "webhook", url = "{{ oops" } },
  { not_started_by = "5m", reference = "started_at", notify = { notifier = "webhook", url = "u" } },
  { not_done_by = "06:30", reference = "queued_at", notify = { notifier = "webhook", url = "u" } },
  { not_done_by = "5m", max_runs = 3, notify = { notifier = "webhook", url = "u" } },
  { not_done_by = 0, reference = "average_runtime", min_runs = 11, notify = { notifier = "webhook", url = "u" } },
  { no_success_since = 0, reference = "queued_at", notify = { notifier = "webhook", url = "u" } },
  { no_sucess_since = "1d", notify = { notifier = "webhook", url = "u" } },
  { no_success_since = "1d", name = "", notify = { notifier = "webhook", url = "u" } },
  { no_success_since = "1d", notify = { notifier = "webhook", url = "u" } },
  { no_success_since = "1d", notify = { notifier = "webhook", url = "u" } },
  "2h",
]
[tasks.a]
operator = "empty"
"#,
    );
    insta::assert_snapshot!(found.expect_err("the file is refused").render(false));
}

#[test]
fn a_deadline_that_is_no_table_is_refused_with_an_example() {
    let told = messages(&file("\"2h\""));
    assert_eq!(told, ["2: 'deadline' must be a table or a list of tables, not a string"]);
}
