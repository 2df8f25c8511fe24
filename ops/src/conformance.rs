//! A conformance suite for the tests of engines (feature `conformance`).
//!
//! An engine's test file has one line, which makes a test of each check:
//!
//! ```
//! ops::conformance_tests!(embedded_engine::EmbeddedEngine::new());
//! ```
//!
//! A check takes the engine, builds its own graph, and panics when the engine does something else than the rule in
//! its name (`s_33_...`) or comment cites. Numbers were read from TensorFlow 2.21.
//!
//! Not here is what needs operations that this crate does not define, such as a queue on which a run blocks while
//! its session is closed (S-55).

// A failed expectation is the report.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc)]

pub mod feeds;
pub mod fetches;
pub mod life_cycle;
pub mod runs;
pub mod training;
pub mod values;
pub mod variables;

use session_core::{Engine, Error, Graph, Result, Session, SessionConfig, Tensor};
use std::fmt::Debug;
use std::sync::Arc;

/// One check: what it is called, and what it does.
pub type Check = (&'static str, fn(&dyn Engine));

/// Returns all checks.
#[must_use]
pub fn checks() -> Vec<Check> {
    [
        fetches::CHECKS,
        feeds::CHECKS,
        life_cycle::CHECKS,
        runs::CHECKS,
        variables::CHECKS,
        training::CHECKS,
        values::CHECKS,
    ]
    .concat()
}

/// Makes a test of each check, for an engine that the expression makes.
///
/// ```
/// ops::conformance_tests!(embedded_engine::EmbeddedEngine::new());
/// ```
#[macro_export]
macro_rules! conformance_tests {
    ($engine:expr) => {
        $crate::conformance_tests!(@family $engine, fetches:
            s_30_every_kind_of_leaf s_31_s_32_containers_nest s_33_a_leaf_is_evaluated_once
            s_36_wrong_fetches_run_nothing s_37_unfetchable_outputs_are_refused);
        $crate::conformance_tests!(@family $engine, feeds:
            s_39_any_tensor_can_be_fed s_40_unknown_keys s_43_shapes_and_dtypes_are_checked
            s_45_unfeedable_outputs_are_refused s_46_the_later_feed_wins s_47_a_fetched_feed_is_the_fed_value
            s_48_feeding_cuts_the_graph s_49_placeholders_need_a_value);
        $crate::conformance_tests!(@family $engine, life_cycle:
            s_51_unknown_targets s_52_an_empty_graph_cannot_run s_53_closed_sessions_run_nothing
            s_54_callables_of_closed_sessions s_56_the_graph_can_grow s_57_sessions_keep_their_state_apart
            s_13_frozen_graphs_keep_running build_errors_are_returned);
        $crate::conformance_tests!(@family $engine, runs:
            s_63_runs_can_time_out a_run_can_be_cancelled s_64_metadata_is_overwritten
            s_66_callables_take_values_by_position s_56_threads_share_a_session control_inputs_come_first
            errors_name_the_operation);
        $crate::conformance_tests!(@family $engine, variables:
            s_28_variables_need_a_value s_25_s_27_initializing_and_reporting s_26_values_of_other_variables
            assignments_change_the_value fetched_values_do_not_change initial_values_can_be_fed
            rows_can_be_changed s_330_s_380_the_step_is_read_before_it_is_incremented);
        $crate::conformance_tests!(@family $engine, training:
            optimizers_take_tensorflows_steps schedules_follow_the_step moving_averages_follow
            metrics_accumulate_over_batches);
        $crate::conformance_tests!(@family $engine, values:
            random_numbers_are_tensorflows seeds_start_again_in_each_session unseeded_numbers_differ
            summaries_are_messages);
    };
    (@family $engine:expr, $family:ident: $($check:ident)*) => {
        mod $family {
            #[allow(unused_imports)]
            use super::*;
            $(
                #[test]
                fn $check() {
                    $crate::conformance::$family::$check(&$engine);
                }
            )*
        }
    };
}

/// Lists the checks of a module.
macro_rules! list {
    ($($check:ident)*) => {
        /// The checks of this module.
        pub const CHECKS: &[$crate::conformance::Check] = &[$((stringify!($check), $check)),*];
    };
}
pub(crate) use list;

/// Creates a session on a graph, in this process.
fn open(engine: &dyn Engine, graph: &Graph) -> Arc<dyn Session> {
    graph.check().unwrap();
    engine.new_session(graph, "", &SessionConfig::default()).unwrap()
}

/// Returns the error of what must fail, whose text must contain this.
#[track_caller]
fn fails<T: Debug>(result: Result<T>, expected: &str) -> Error {
    match result {
        Ok(value) => panic!("gave {value:?} where it should fail with '{expected}'"),
        Err(error) => {
            assert!(error.chain().contains(expected), "'{error:?}' does not contain '{expected}'");
            error
        }
    }
}

/// Numbers that agree to the precision of 32-bit floats.
#[track_caller]
fn assert_close(found: &Tensor, expected: &[f64]) {
    let found = found.to_vec::<f32>().unwrap();
    assert_eq!(found.len(), expected.len(), "{found:?}, not {expected:?}");
    for (&found_one, &expected_one) in found.iter().zip(expected) {
        let limit = 2e-6 * expected_one.abs().max(1e-3);
        assert!((f64::from(found_one) - expected_one).abs() <= limit, "{found:?}, not {expected:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The list of names in the macro cannot be derived from the modules, so it is held against them.
    #[test]
    fn the_macro_lists_every_check() {
        let source = include_str!("conformance.rs");
        let macro_text = source.split("macro_rules! conformance_tests").nth(1).unwrap();
        let macro_text = macro_text.split("(@family $engine:expr").next().unwrap();
        let listed: Vec<&str> =
            macro_text.split_whitespace().map(|word| word.trim_end_matches(");")).collect();
        for (name, _) in checks() {
            assert!(listed.contains(&name), "{name} is missing in conformance_tests!");
        }
    }
}
