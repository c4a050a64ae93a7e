//! A crash at any moment changes nothing: a run that is loaded from its rows goes on as if it had never stopped.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod support;

use proptest::prelude::*;
use support::harness::Harness;
use support::random_dag::any_dag;

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_run_restarted_at_any_moment_ends_the_same(
        dag in any_dag(),
        choices in proptest::collection::vec(any::<u32>(), 0..80),
    ) {
        let mut harness = Harness::started(dag);
        for choice in choices {
            harness.step(choice);
        }
        for at in 0..harness.history.len() {
            let (_, event, _) = &harness.history[at];
            prop_assert_eq!(
                harness.restarted_before(at),
                support::harness::Rows::sorted(harness.machine.snapshot()),
                "after a restart before event {} ({:?}) of {:#?}",
                at,
                event,
                harness.history.iter().map(|(now, event, _)| (now, event)).collect::<Vec<_>>()
            );
        }
    }
}
