//! The global step as seen by runs, for the case that the session that knows it is lost.

use session_core::keys::GLOBAL_STEP_READ;
use session_core::{Endpoint, Graph, Tensor};

/// Follows the global step that hooks fetch with the runs. Needs no run of its own.
#[derive(Debug)]
pub(crate) struct StepSeen {
    read: Option<Endpoint>,
    /// The step before the last run that fetched it.
    before: Option<i64>,
    /// The advance of the step in the run before that.
    advance: i64,
}

impl StepSeen {
    /// Creates a follower that knows no step yet.
    pub(crate) fn of(graph: &Graph) -> StepSeen {
        let read = graph.collection(&GLOBAL_STEP_READ).first().map(|read| read.endpoint());
        StepSeen { read, before: None, advance: 1 }
    }

    /// Takes the results of a run.
    #[inline]
    pub(crate) fn observe(&mut self, fetches: &[Endpoint], results: &[Tensor]) {
        let Some(read) = self.read else { return };
        let position = fetches.iter().position(|&fetch| fetch == read);
        if let Some(before) = position.and_then(|position| results.get(position)?.as_scalar_i64().ok()) {
            if let Some(last) = self.before {
                // A step that went back after an assignment counts as no advance.
                self.advance = before.saturating_sub(last).max(0);
            }
            self.before = Some(before);
        }
    }

    /// Returns the step after the last run, assuming that it advanced the step like the run before.
    pub(crate) fn after(&self) -> Option<i64> {
        self.before.map(|before| before.saturating_add(self.advance))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ops::global_step::{get_or_create_global_step, global_step_read};

    #[test]
    fn the_last_run_is_assumed_to_advance_like_the_one_before() {
        let graph = Graph::new();
        assert_eq!(StepSeen::of(&graph).after(), None);
        get_or_create_global_step(&graph);
        let read = global_step_read(&graph).unwrap().unwrap().endpoint();
        let mut seen = StepSeen::of(&graph);
        seen.observe(&[], &[]);
        assert_eq!(seen.after(), None, "not fetched");
        for (before, after) in [(7i64, 8), (8, 9), (18, 28), (18, 18), (5, 5)] {
            seen.observe(&[read], &[Tensor::from(before)]);
            assert_eq!(seen.after(), Some(after));
        }
    }
}
