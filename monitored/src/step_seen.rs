//! The global step as runs show it, for when the session that knows it is lost.

use session_core::keys::GLOBAL_STEP_READ;
use session_core::{Endpoint, Graph, Tensor};

/// Follows the read of the global step that hooks fetch with the runs. Costs no run of its own.
#[derive(Debug)]
pub(crate) struct StepSeen {
    read: Option<Endpoint>,
    /// Before the last run that showed it.
    before: Option<i64>,
    /// By how much the run before that advanced it.
    advance: i64,
}

impl StepSeen {
    /// Knows nothing yet.
    pub(crate) fn of(graph: &Graph) -> StepSeen {
        let read = graph.collection(&GLOBAL_STEP_READ).first().map(|read| read.endpoint());
        StepSeen { read, before: None, advance: 1 }
    }

    /// Takes what a run has delivered.
    #[inline]
    pub(crate) fn look(&mut self, fetches: &[Endpoint], results: &[Tensor]) {
        let Some(read) = self.read else { return };
        let position = fetches.iter().position(|&fetch| fetch == read);
        if let Some(before) = position.and_then(|position| results.get(position)?.as_scalar_i64().ok()) {
            if let Some(last) = self.before {
                self.advance = before.saturating_sub(last).max(0);
            }
            self.before = Some(before);
        }
    }

    /// The step after the last run, which is taken to have advanced it as the run before did.
    pub(crate) fn after(&self) -> Option<i64> {
        self.before.map(|before| before.saturating_add(self.advance))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ops::global_step::{get_or_create_global_step, global_step_read};

    #[test]
    fn the_last_run_is_taken_to_advance_as_the_one_before() {
        let graph = Graph::new();
        assert_eq!(StepSeen::of(&graph).after(), None);
        get_or_create_global_step(&graph);
        let read = global_step_read(&graph).unwrap().unwrap().endpoint();
        let mut seen = StepSeen::of(&graph);
        seen.look(&[], &[]);
        assert_eq!(seen.after(), None, "not fetched");
        for (before, after) in [(7i64, 8), (8, 9), (18, 28), (18, 18), (5, 5)] {
            seen.look(&[read], &[Tensor::from(before)]);
            assert_eq!(seen.after(), Some(after));
        }
    }
}
