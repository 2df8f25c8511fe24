//! The variables of a cell: made at its first step, used by all.

use crate::initializers::Initializer;
use crate::variables::VariableBuilder;
use session_core::{DType, Error, Graph, GraphMember, Output, Reuse, Variable};
use std::sync::{Mutex, PoisonError};

/// The variables, once they are made. A cell has them whatever scope it is used in later.
#[derive(Debug, Default)]
pub(super) struct Variables {
    /// Guards the list; nothing is built under the lock.
    made: Mutex<Vec<(String, Variable)>>,
}

/// A variable to be created: its name below the cell's scope, such as `gates/kernel`,
/// its shape, and its initializer.
pub(super) struct Wanted<'a> {
    pub(super) name: &'a str,
    pub(super) shape: Vec<usize>,
    /// The scope's default where there is none.
    pub(super) initializer: Option<&'a dyn Initializer>,
}

impl<'a> Wanted<'a> {
    /// Without an initializer the variable scope's is taken, or else Glorot's uniform one, as
    /// TensorFlow's kernels have it.
    pub(super) fn new(name: &'a str, shape: impl Into<Vec<usize>>) -> Wanted<'a> {
        Wanted { name, shape: shape.into(), initializer: None }
    }

    pub(super) fn beginning_with(mut self, initializer: &'a dyn Initializer) -> Wanted<'a> {
        self.initializer = Some(initializer);
        self
    }
}

impl Variables {
    /// Makes the variables in a variable scope of the cell's name, unless they are made.
    pub(super) fn build(&self, graph: &Graph, cell: &str, dtype: DType, wanted: &[Wanted<'_>]) {
        let known = self.lock().clone();
        // Variables belong to the outermost graph, also while the body of a loop is being built.
        let (outside, reuse) = (graph.outermost(), graph.reuse());
        // Created before: the same cell in another scope, or at another step. Only shapes
        // and dtype can be wrong then.
        if let Some((_, first)) = known.first() {
            if first.check_belongs_to(&outside).is_err() {
                let text = format!(
                    "cell '{cell}' has its variables in another graph; each graph needs its own cell"
                );
                graph.add_error_of_both(&first.graph(), Error::value(text));
            }
            for ((_, variable), wanted) in known.iter().zip(wanted) {
                if !variable.shape().is_compatible_with(&wanted.shape) || variable.dtype() != dtype {
                    let (name, shape) = (variable.name(), variable.shape());
                    let of = variable.dtype();
                    let text = format!(
                        "variable '{name}' of the cell is {of} {shape}, but {dtype} {:?} is needed",
                        wanted.shape
                    );
                    graph.add_error(Error::value(text));
                    return;
                }
            }
            return;
        }
        // A kernel without columns would be accepted by every operation and train nothing.
        if let Some(empty) = wanted.iter().find(|wanted| wanted.shape.contains(&0)) {
            let (name, shape) = (empty.name, &empty.shape);
            let text = format!("cell '{cell}' has 0 units: its variable '{name}' would have shape {shape:?}");
            graph.add_error(Error::value(text));
        }
        let scope = graph.variable_scope(cell, Reuse::No);
        let made = wanted.iter().map(|wanted| {
            // A name with a slash opens a scope of its own, so the name in the
            // checkpoint is `gru_cell/gates/kernel`.
            let inner = match wanted.name.rsplit_once('/') {
                Some((part, _)) => scope.variable_scope(part, reuse),
                None => scope.clone(),
            };
            let name = wanted.name.rsplit('/').next().unwrap_or(wanted.name);
            let builder = VariableBuilder::new(&inner).scoped_name(name);
            let shape = wanted.shape.clone();
            let builder = match wanted.initializer {
                Some(initializer) => builder.initializer(shape, dtype, initializer),
                None => builder.shape(shape, dtype),
            };
            (wanted.name.to_owned(), builder.build())
        });
        let made: Vec<(String, Variable)> = made.collect();
        *self.lock() = made;
    }

    /// Returns the value of a variable, for use in a step. A name that `build` did not create is an
    /// error that the output carries.
    pub(super) fn get(&self, graph: &Graph, name: &str) -> Output {
        let found = self.lock().iter().find(|(known, _)| known == name).map(|(_, variable)| variable.clone());
        match found {
            // The snapshot is one read that all steps share, outside of the loop's body.
            Some(variable) => variable.snapshot().within(graph),
            None => {
                let error =
                    Error::runtime(format!("the cell has no variable '{name}': its build was not called"));
                graph.invalid_output(name, DType::Float32, error)
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(String, Variable)>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
