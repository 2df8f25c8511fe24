//! The constants whose gradients are requested.
//!
//! Gradient functions skip constant inputs, whose gradients could be used by nothing else.

use session_core::{Endpoint, GraphId, Output};
use std::cell::RefCell;

thread_local! {
    /// The constants among those that the calls at work on this thread differentiate with respect to, innermost last.
    static ASKED: RefCell<Vec<Vec<(GraphId, Endpoint)>>> = const { RefCell::new(Vec::new()) };
}

fn key(output: &Output) -> (GraphId, Endpoint) {
    (output.graph_id(), output.endpoint())
}

/// A call that differentiates; it ends when this is dropped.
pub(super) struct Asked;

impl Asked {
    pub(super) fn for_all(xs: &[Output]) -> Asked {
        let constants = xs.iter().filter(|x| x.constant_value().is_some()).map(key).collect();
        ASKED.with(|asked| asked.borrow_mut().push(constants));
        Asked
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        ASKED.with(|asked| asked.borrow_mut().pop());
    }
}

/// Returns true if the gradient of this input can be of use: it varies, or is a constant whose gradient is requested.
pub(crate) fn is_of_use(input: &Output) -> bool {
    input.constant_value().is_none()
        || ASKED.with(|asked| asked.borrow().last().is_some_and(|constants| constants.contains(&key(input))))
}
