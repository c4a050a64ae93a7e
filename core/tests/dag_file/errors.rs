//! The words in which a file is refused. Each snapshot is what a person sees.

use windrose_core::dag_file::parse;

use crate::{messages, read};

fn refused(text: &str) -> String {
    read(text).expect_err("the file is refused").render(false)
}

#[test]
fn broken_toml_is_shown_at_its_place() {
    insta::assert_snapshot!(refused("description = \"x\nschedule = @daily\n[tasks.a]\noperator = 'empty'\n"));
}

#[test]
fn an_unknown_field_is_shown_with_the_nearest_known_one() {
    insta::assert_snapshot!(refused(
        r#"
shedule = "@daily"
schedule_interval = "@daily"
zzz = 1
[tasks.a]
operator = "bsh"
[tasks.b]
operator = "BashOperator"
[tasks.c]
operator = "bash"
bash_comand = "true"
upsteam = ["a"]
mode = "poke"
[tasks.d]
operator = "glue_crawler"
config = { Nmae = "x" }
[tasks.e]
operator = "s3_key_sensor"
bucket_key = "x"
wildcard_match = "yes"
mode = "reshedule"
[groups.g]
tooltipp = "x"
"#
    ));
}

#[test]
fn bad_values_are_shown_with_what_is_expected() {
    insta::assert_snapshot!(refused(
        r#"
dag_id = "a/b"
timezone = "Europe/Berln"
start_date = "2026-01-01"
end_date = 07:30:00
dagrun_timeout = "5 minutes"
max_active_runs = 0
tags = "etl"
catchup = "lates"
schedule = "61 * * * *"
[tasks.a]
operator = "empty"
retries = "three"
retry_delay = "-5m"
retry_exponential_backoff = -1
retry_on = ["time_out"]
trigger_rule = "all_sucess"
pool_slots = 0
weight_rule = "sideways"
execution_timeout = 0
upstream = "b"
do_xcom_push = "no"
env = { A = 1 }
[tasks.b]
"#
    ));
}

#[test]
fn what_is_not_done_yet_is_refused() {
    insta::assert_snapshot!(refused(
        r#"
[groups.g]
expand = { x = [1] }
[tasks.a]
operator = "bash"
bash_command = "true"
expand = { cwd = ["/", "/tmp"] }
[tasks.b]
operator = "redshift_to_s3"
s3_bucket = "b"
s3_key = "k"
method = "x"
"#
    ));
}

#[test]
fn overlap_and_jitter_need_runs_that_are_due_at_a_time() {
    for field in ["overlap = \"skip\"", "jitter = \"5m\""] {
        let told = refused(&format!("schedule = \"@once\"\n{field}\n"));
        assert!(told.contains("needs a schedule with 'cron' or 'every'"), "{told}");
    }
}

#[test]
fn links_that_lead_nowhere_are_shown() {
    insta::assert_snapshot!(refused(
        r#"
chain = ["first", "secnd", ["x"], []]
chains = ["first", [["first", "second"], ["first", "second", "first"]]]
[groups.extract]
upstream = ["extract.load"]
[tasks.first]
operator = "empty"
upstream = ["first", "load"]
[tasks.second]
operator = "empty"
group = "extrct"
[tasks."extract.load"]
operator = "empty"
upstream = ["extract"]
[tasks."other.load"]
operator = "empty"
[tasks.transform.load]
operator = "empty"
[tasks.extract]
operator = "empty"
"#
    ));
}

#[test]
fn a_cycle_is_shown_with_all_its_tasks() {
    insta::assert_snapshot!(refused(
        r#"
chain = ["start", "a", "b", "c"]
[tasks.start]
operator = "empty"
[tasks.a]
operator = "empty"
upstream = ["c"]
[tasks.b]
operator = "empty"
upstream = ["d"]
[tasks.c]
operator = "empty"
[tasks.d]
operator = "empty"
upstream = ["b"]
"#
    ));
}

#[test]
fn broken_templates_are_shown_at_their_field() {
    insta::assert_snapshot!(refused(
        r#"
[vars]
day = "{{ ds"
[tasks.a]
operator = "bash"
bash_command = """
echo
{% if x %}
"""
env = { A = "{{ }}" }
[tasks.b]
operator = "glue_crawler"
config = { Name = { Deep = ["{% nothing %}"] } }
"#
    ));
}

#[test]
fn parameters_must_fit_their_schema() {
    insta::assert_snapshot!(refused(
        r#"
[params.rows]
type = "integer"
default = "many"
[params.kind]
typ = "string"
[params.broken]
type = "strnig"
[params.day]
type = "string"
format = "date"
default = "tomorrow"
[tasks.a]
operator = "empty"
"#
    ));
}

#[test]
fn setups_and_teardowns_keep_airflows_rules() {
    insta::assert_snapshot!(refused(
        r#"
fail_fast = true
[tasks.make]
operator = "empty"
setup = true
teardown = true
[tasks.clean]
operator = "empty"
teardown = ["gone", "make"]
trigger_rule = "all_done"
[tasks.prepare]
operator = "empty"
setup = true
[tasks.work]
operator = "empty"
upstream = ["prepare"]
trigger_rule = "one_success"
on_failure_fail_dagrun = true
"#
    ));
}

#[test]
fn diagnostics_serialise_for_programs() {
    let found = read("[tasks.a]\noperator = 'bash'\n").unwrap_err();
    insta::assert_snapshot!(serde_json::to_string_pretty(&found).unwrap());
}

#[test]
fn columns_count_characters() {
    let found = read("[tasks.'ünï cödé']\noperator = 'empty'\nx = { 'ä' = 1, operator = 2 }\n").unwrap_err();
    let place = found.iter().next().map(|d| (d.line, d.column));
    assert_eq!(place, Some((1, 8)));
    assert!(found.to_string().starts_with("dags/example.toml:1:8: "));
}

#[test]
fn a_dag_without_an_id_takes_the_files_name_if_that_can_be_one() {
    let mut file = crate::source("[tasks.a]\noperator = 'empty'\n");
    file.path = "dags/my pipeline.toml".into();
    let found = parse(&file, &crate::catalog::SmallCatalog, &windrose_core::dag_file::Defaults::default()).unwrap_err();
    assert!(
        found.to_string().contains("the dag_id taken from the file's name 'my pipeline' may hold letters"),
        "{found}"
    );
}

#[test]
fn catching_up_needs_a_beginning() {
    let text = "schedule = '@daily'\ncatchup = true\n[tasks.a]\noperator = 'empty'\n";
    assert_eq!(messages(text), ["2: catchup = true needs a start_date; write one, or set catchup = false"]);
}
