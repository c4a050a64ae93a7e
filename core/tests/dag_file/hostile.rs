//! Files that were made to do harm.

use std::fmt::Write;

use proptest::prelude::*;
use windrose_core::dag_file::{MAX_BYTES, MAX_DIAGNOSTICS, lint};

use crate::catalog::SmallCatalog;
use crate::{messages, read, source};

const SEEDS: [&str; 3] =
    [include_str!("seeds/pipeline.toml"), include_str!("seeds/groups.toml"), include_str!("seeds/odd_values.toml")];

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_mutated_file_is_read_or_refused_with_reasons(
        seed in 0..SEEDS.len(),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..20, "[\\[\\]{}\"'=.,#a-z0-9@* \n€-]{0,12}"), 1..6),
    ) {
        let mut text: Vec<char> = SEEDS[seed].chars().collect();
        for (at, length, insert) in cuts {
            let at = at.index(text.len() + 1);
            let end = (at + length).min(text.len());
            text.splice(at..end, insert.chars());
        }
        let text: String = text.into_iter().collect();
        match read(&text) {
            Ok(dag) => drop(lint(&dag, &source(&text), &SmallCatalog).render(false)),
            Err(found) => {
                prop_assert!(!found.is_empty());
                prop_assert!(!found.render(false).is_empty());
            }
        }
    }
}

#[test]
fn the_seeds_are_good_files() {
    for seed in SEEDS {
        if let Err(found) = read(seed) {
            panic!("{found}");
        }
    }
}

#[test]
fn a_file_that_is_too_long_is_not_read() {
    let told = messages(&"#".repeat(MAX_BYTES + 1));
    assert_eq!(told, [format!("1: the file has {} bytes; at most {MAX_BYTES} are read", MAX_BYTES + 1)]);
}

#[test]
fn a_file_on_one_line_is_reported_in_short_lines() {
    let tasks: Vec<String> = (0..20_000).map(|index| format!("\"ä{index}\" = {{ operator = 'x' }}")).collect();
    let found = read(&format!("tasks = {{ {} }}", tasks.join(", "))).unwrap_err();
    let report = found.render(false);
    assert!(report.contains("there is no operator 'x'"));
    assert!(report.lines().all(|line| line.chars().count() < 400));
}

#[test]
fn deep_nesting_is_refused() {
    assert!(read(&format!("vars.a = {}{}", "[".repeat(5_000), "]".repeat(5_000))).is_err());
    assert!(read(&format!("vars.a = {}", "{ a = ".repeat(5_000))).is_err());
    assert!(read(&format!("{}a = 1", "a.".repeat(5_000))).is_err());
}

#[test]
fn a_flood_of_errors_is_cut_short() {
    let mut text = String::new();
    for index in 0..10_000 {
        writeln!(text, "[tasks.t{index}]\noperator = 'nothing{index}'\nupstream = ['x{index}']").unwrap();
    }
    let found = read(&text).unwrap_err();
    assert_eq!(found.iter().count(), MAX_DIAGNOSTICS);
    assert!(found.left_out() > 0 && found.render(false).contains("more; correct these first"));
}

#[test]
fn a_long_line_of_tasks_is_read_without_deep_recursion() {
    let mut text = "[tasks.t0]\noperator='empty'\n".to_owned();
    for index in 1..15_000 {
        writeln!(text, "[tasks.t{index}]\noperator='empty'\nupstream=['t{}']", index - 1).unwrap();
    }
    assert_eq!(read(&text).unwrap().tasks.len(), 15_000);
    let ring = text.replacen("operator='empty'\n", "operator='empty'\nupstream=['t14999']\n", 1);
    let told = messages(&ring);
    assert_eq!(told.len(), 1);
    assert!(told[0].contains("t0 → t1 → t2"), "{}", &told[0][..80]);
}

#[test]
fn two_groups_cannot_make_millions_of_edges() {
    let mut text = "chain = ['g', 'h']\n[groups.g]\n[groups.h]\n".to_owned();
    for index in 0..1_100 {
        writeln!(text, "[tasks.'g.t{index}']\noperator='empty'\n[tasks.'h.t{index}']\noperator='empty'").unwrap();
    }
    assert_eq!(messages(&text), ["1: the DAG has more than 1000000 edges"]);
}

#[test]
fn ids_that_are_paths_or_too_long_are_refused() {
    let long = "x".repeat(251);
    for id in ["..", "a/b", "a b", "<b>", "", long.as_str()] {
        let told = messages(&format!("dag_id = \"{id}\"\n[tasks.\"{id}\"]\noperator = 'empty'"));
        assert_eq!(told.len(), 2, "{id}: {told:?}");
    }
}
