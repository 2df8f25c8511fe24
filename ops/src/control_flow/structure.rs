//! Arguments and results of branches and loops: outputs in tuples, arrays, and vectors.

use super::TensorArray;
use super::grouping::with_dependencies;
use crate::array::constants::constant;
use session_core::{Operation, Output};

/// Outputs in some arrangement, as a branch returns it and as a loop carries it from one round to the next: an [`Output`],
/// a [`TensorArray`], an [`Operation`] to be run, nothing, or tuples, arrays, vectors and options of these.
///
/// ```
/// use ops::control_flow::Structure;
/// use session_core::Graph;
/// let graph = Graph::new();
/// let (a, b) = (ops::array::constant(&graph, 1f32), ops::array::constant(&graph, 2i32));
/// let state = (a.clone(), vec![b.clone(), a.clone()]);
/// assert_eq!(state.outputs(), [a.clone(), b.clone(), a.clone()]);
/// let swapped = state.with_outputs(vec![b.clone(), a.clone(), b.clone()]);
/// assert_eq!(swapped, (b.clone(), vec![a, b]));
/// ```
pub trait Structure: Sized {
    /// Appends the outputs of this structure, in order.
    fn append_to(&self, outputs: &mut Vec<Output>);

    /// Returns a structure of the same form with the next of these outputs. It takes as many as [`append_to`](Structure::append_to) appends.
    #[must_use]
    fn with_next_outputs(&self, outputs: &mut std::vec::IntoIter<Output>) -> Self;

    /// Returns the outputs, in order.
    #[must_use]
    fn outputs(&self) -> Vec<Output> {
        let mut outputs = Vec::new();
        self.append_to(&mut outputs);
        outputs
    }

    /// Returns a structure of the same form with other outputs, of which there must be as many.
    #[must_use]
    fn with_outputs(&self, outputs: Vec<Output>) -> Self {
        self.with_next_outputs(&mut outputs.into_iter())
    }
}

impl Structure for Output {
    fn append_to(&self, outputs: &mut Vec<Output>) {
        outputs.push(self.clone());
    }

    fn with_next_outputs(&self, outputs: &mut std::vec::IntoIter<Output>) -> Self {
        // Too few outputs occur only after a build error, which is recorded; a panic would hide it.
        outputs.next().unwrap_or_else(|| self.clone())
    }
}

/// An operation of a branch or an iteration. A function can only return values, so a constant that waits for
/// the operation leaves in its place, and outside the operation of that output represents it.
impl Structure for Operation {
    fn append_to(&self, outputs: &mut Vec<Output>) {
        outputs.push(with_dependencies([self], constant(&self.graph(), true)));
    }

    fn with_next_outputs(&self, outputs: &mut std::vec::IntoIter<Output>) -> Self {
        outputs.next().map_or_else(|| self.clone(), |output| output.operation().clone())
    }
}

impl Structure for TensorArray {
    fn append_to(&self, outputs: &mut Vec<Output>) {
        outputs.push(self.handle().clone());
    }

    fn with_next_outputs(&self, outputs: &mut std::vec::IntoIter<Output>) -> Self {
        outputs.next().map_or_else(|| self.clone(), |handle| self.with_handle(handle))
    }
}

impl Structure for () {
    fn append_to(&self, _: &mut Vec<Output>) {}

    fn with_next_outputs(&self, _: &mut std::vec::IntoIter<Output>) -> Self {}
}

impl<S: Structure> Structure for Vec<S> {
    fn append_to(&self, outputs: &mut Vec<Output>) {
        self.iter().for_each(|item| item.append_to(outputs));
    }

    fn with_next_outputs(&self, outputs: &mut std::vec::IntoIter<Output>) -> Self {
        self.iter().map(|item| item.with_next_outputs(outputs)).collect()
    }
}

impl<S: Structure> Structure for Option<S> {
    fn append_to(&self, outputs: &mut Vec<Output>) {
        self.iter().for_each(|item| item.append_to(outputs));
    }

    fn with_next_outputs(&self, outputs: &mut std::vec::IntoIter<Output>) -> Self {
        self.as_ref().map(|item| item.with_next_outputs(outputs))
    }
}

impl<S: Structure, const N: usize> Structure for [S; N] {
    fn append_to(&self, outputs: &mut Vec<Output>) {
        self.iter().for_each(|item| item.append_to(outputs));
    }

    fn with_next_outputs(&self, outputs: &mut std::vec::IntoIter<Output>) -> Self {
        self.each_ref().map(|item| item.with_next_outputs(outputs))
    }
}

macro_rules! tuples {
    ($(($($name:ident $index:tt),+))*) => {$(
        impl<$($name: Structure),+> Structure for ($($name,)+) {
            fn append_to(&self, outputs: &mut Vec<Output>) {
                $(self.$index.append_to(outputs);)+
            }

            fn with_next_outputs(&self, outputs: &mut std::vec::IntoIter<Output>) -> Self {
                ($(self.$index.with_next_outputs(outputs),)+)
            }
        }
    )*};
}

tuples! {
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
}
