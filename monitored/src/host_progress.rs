//! The last completed step of a plain loop.
//!
//! A step changes objects of the program, and the session counts it. Between the two, a run may be cancelled, and hooks may fetch
//! a metric in a run of their own. So that each step happens exactly once, the number of completed steps and the metrics of the
//! last one are kept here, and saved as private state.

use checkpoint::{RestoreTarget, SaveSource, SavedObject, VariableSpec};
use session_core::Tensor;
use smallvec::SmallVec;
use std::sync::{Arc, Mutex};

/// The name of the saved object, which has no tensors.
const NAME: &str = "host_training";

#[derive(Debug)]
pub(crate) struct Progress {
    /// The number of completed steps.
    done: i64,
    /// The metrics of the last step, in the order of their declaration.
    metrics: SmallVec<[f64; 4]>,
    /// True while the loop is in a step.
    within: bool,
    /// True if a step may be made: one in each run of the loop, and one more after a recovery within it.
    allowed: bool,
}

/// The result of the step's operation: the increment of the global step, and the metrics.
#[derive(Debug, PartialEq)]
pub(crate) struct Done {
    steps: i64,
    metrics: SmallVec<[f64; 4]>,
}

impl Done {
    pub(crate) fn outputs(self) -> Vec<Tensor> {
        let mut outputs = Vec::with_capacity(1 + self.metrics.len());
        outputs.push(Tensor::scalar(self.steps));
        outputs.extend(self.metrics.into_iter().map(Tensor::scalar));
        outputs
    }
}

impl Progress {
    pub(crate) fn new(metrics: usize) -> Progress {
        Progress { done: 0, metrics: SmallVec::from_elem(f64::NAN, metrics), within: false, allowed: false }
    }

    /// Starts a step of the loop.
    pub(crate) fn begin(&mut self) {
        (self.within, self.allowed) = (true, true);
    }

    /// Ends the loop's step, successful or not.
    pub(crate) fn end(&mut self) {
        (self.within, self.allowed) = (false, false);
    }

    /// Returns a result without a call of the closure if there is a reason: the step was completed by a run that ended before it
    /// was counted, or no step was requested.
    pub(crate) fn known(&mut self, number: i64) -> Option<Done> {
        // The object's count is one ahead of the global step if a run completed the step and was lost before
        // it was counted.
        let counted = self.done == number.wrapping_add(1);
        let steps = i64::from(counted && self.allowed);
        // A run that hooks make on their own computes the metrics but must not train, so it gets those of the
        // last step.
        if self.allowed && !counted {
            return None;
        }
        self.allowed = false;
        Some(Done { steps, metrics: self.metrics.clone() })
    }

    /// Records a completed step.
    pub(crate) fn completed(&mut self, number: i64, metrics: SmallVec<[f64; 4]>) -> Done {
        self.done = number.wrapping_add(1);
        self.allowed = false;
        self.metrics.clone_from(&metrics);
        Done { steps: 1, metrics }
    }

    pub(crate) fn metrics(&self) -> &[f64] {
        &self.metrics
    }
}

/// Returns the progress as an object to save.
pub(crate) fn share(progress: &Arc<Mutex<Progress>>) -> SavedObject {
    let get = |progress: &Progress| (progress.done, progress.metrics.to_vec());
    // The state is restored in the middle of a step if a session is recovered, and that step may then be made
    // again.
    let set = |progress: &mut Progress, (done, metrics): (i64, Vec<f64>)| {
        progress.done = done;
        // A program that declares other metrics than before continues without the saved ones.
        if metrics.len() == progress.metrics.len() {
            progress.metrics = metrics.into();
        }
        progress.allowed = progress.within;
    };
    SavedObject::with_state(NAME, progress, get, set)
}

impl SaveSource for Progress {
    fn tensors(&self) -> checkpoint::Result<Vec<(String, Tensor)>> {
        Ok(Vec::new())
    }
}

impl RestoreTarget for Progress {
    fn variables(&self) -> Vec<VariableSpec> {
        Vec::new()
    }

    fn assign(&mut self, _: Vec<(String, Tensor)>) -> checkpoint::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_is_made_once() {
        let mut progress = Progress::new(1);
        let seven: SmallVec<[f64; 4]> = SmallVec::from_elem(7.0, 1);
        // A hook's own run, before the first step.
        assert_eq!(progress.known(0).unwrap().steps, 0);
        progress.begin();
        assert_eq!(progress.known(0), None);
        assert_eq!(progress.completed(0, seven.clone()).steps, 1);
        // A hook's own run after the step, whether the step was counted or not.
        for number in [0, 1] {
            assert_eq!(progress.known(number), Some(Done { steps: 0, metrics: seven.clone() }));
        }
        progress.end();
        // The step was completed, and cancelled before it was counted: it is counted now.
        progress.begin();
        assert_eq!(progress.known(0), Some(Done { steps: 1, metrics: seven.clone() }));
        progress.end();
        progress.begin();
        assert_eq!(progress.known(1), None);
    }

    #[test]
    fn a_recovery_within_a_step_allows_one_more() {
        let progress = Arc::new(Mutex::new(Progress::new(0)));
        let object = share(&progress);
        object.remember_initial().unwrap();
        let lock = || progress.lock().unwrap();
        lock().begin();
        assert_eq!(lock().known(0), None);
        lock().completed(0, SmallVec::new());
        object.reset(None).unwrap();
        assert_eq!(lock().known(0), None, "the step is made again");
        lock().completed(0, SmallVec::new());
        assert!(lock().known(1).is_some());
        lock().end();
        object.reset(None).unwrap();
        assert!(lock().known(0).is_some(), "no step is requested");
    }
}
