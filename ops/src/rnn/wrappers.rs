//! Cells that consist of other cells.

use super::{RnnCell, left, step_scope};
use crate::Ints;
use crate::nn::dropout;
use session_core::{DType, Graph, Output};
use std::panic::Location;

/// A stack of cells, in the scopes `multi_rnn_cell/cell_0` and so on. The outputs of each cell are the inputs of the next one.
///
/// ```
/// use ops::{array::placeholder, rnn::{GruCell, MultiRnnCell, RnnOptions, dynamic_rnn}};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let inputs = placeholder(&graph, DType::Float32, [4, 10, 3]);
/// let cell = MultiRnnCell::new([GruCell::new(32), GruCell::new(16)]);
/// let (outputs, states) = dynamic_rnn(&cell, &inputs, &RnnOptions::new());
/// assert_eq!((outputs.shape().to_string(), states.len()), ("[4,10,16]".into(), 2));
/// # graph.finalize().unwrap();
/// ```
#[derive(Debug)]
pub struct MultiRnnCell<C> {
    cells: Vec<C>,
}

impl<C: RnnCell> MultiRnnCell<C> {
    /// Creates a stack of these cells, the first one at the bottom.
    ///
    /// # Panics
    /// Panics without any cell.
    #[must_use]
    pub fn new(cells: impl IntoIterator<Item = C>) -> MultiRnnCell<C> {
        let cells: Vec<C> = cells.into_iter().collect();
        assert!(!cells.is_empty(), "a stack of cells needs at least one");
        MultiRnnCell { cells }
    }

    /// Returns the variable scope of a cell, such as `multi_rnn_cell/cell_0`.
    fn scope(graph: &Graph, number: usize) -> Graph {
        let reuse = graph.reuse();
        graph.variable_scope("multi_rnn_cell", reuse).variable_scope(&format!("cell_{number}"), reuse)
    }
}

impl<C: RnnCell> RnnCell for MultiRnnCell<C> {
    type State = Vec<C::State>;

    fn output_size(&self) -> usize {
        self.cells.last().map_or(0, RnnCell::output_size)
    }

    fn zero_state(&self, graph: &Graph, batch_size: Ints, dtype: DType) -> Self::State {
        let scope = graph.scope("MultiRNNCellZeroState");
        self.cells.iter().map(|cell| cell.zero_state(&scope, batch_size.clone(), dtype)).collect()
    }

    fn build(&self, graph: &Graph, input_size: usize, dtype: DType) {
        let mut size = input_size;
        for (number, cell) in self.cells.iter().enumerate() {
            cell.build(&Self::scope(graph, number), size, dtype);
            size = cell.output_size();
        }
    }

    fn call(&self, graph: &Graph, inputs: &Output, state: &Self::State) -> (Output, Self::State) {
        let scope = step_scope(graph, "multi_rnn_cell");
        let mut current = inputs.clone();
        let mut states = Vec::new();
        for (number, (cell, state)) in self.cells.iter().zip(state).enumerate() {
            // A cell's variables and its operations have the same scope name, as in TensorFlow's graphs.
            let (output, state) = cell.call(&step_scope(&scope, &format!("cell_{number}")), &current, state);
            current = output;
            states.push(state);
        }
        left(graph, (current, states))
    }
}

/// A cell with dropout on its inputs and outputs. It adds no scope.
///
/// ```
/// use ops::rnn::{DropoutWrapper, GruCell};
/// let cell = DropoutWrapper::new(GruCell::new(32), 0.9, 0.8, Some(1));
/// # let _ = cell;
/// ```
#[derive(Debug)]
pub struct DropoutWrapper<C> {
    cell: C,
    input_keep_prob: f64,
    output_keep_prob: f64,
    seed: Option<i64>,
}

impl<C: RnnCell> DropoutWrapper<C> {
    /// Wraps a cell and keeps these shares of its inputs and outputs.
    #[must_use]
    pub fn new(cell: C, input_keep_prob: f64, output_keep_prob: f64, seed: Option<i64>) -> DropoutWrapper<C> {
        DropoutWrapper { cell, input_keep_prob, output_keep_prob, seed }
    }
}

impl<C: RnnCell> RnnCell for DropoutWrapper<C> {
    type State = C::State;

    fn output_size(&self) -> usize {
        self.cell.output_size()
    }

    fn zero_state(&self, graph: &Graph, batch_size: Ints, dtype: DType) -> Self::State {
        self.cell.zero_state(graph, batch_size, dtype)
    }

    fn build(&self, graph: &Graph, input_size: usize, dtype: DType) {
        self.cell.build(graph, input_size, dtype);
    }

    fn call(&self, graph: &Graph, inputs: &Output, state: &Self::State) -> (Output, Self::State) {
        let graph = &graph.located_at(Location::caller());
        // `dropout` takes the share that is dropped, the wrapper the one that is kept.
        let inputs = dropout(inputs.within(graph), 1.0 - self.input_keep_prob, self.seed);
        let (output, state) = self.cell.call(graph, &inputs, state);
        // The next seed: the same numbers twice would not be independent.
        let seed = self.seed.map(|seed| seed.wrapping_add(1));
        (dropout(output.within(graph), 1.0 - self.output_keep_prob, seed), state)
    }
}

/// A cell whose inputs are added to its outputs. It adds no scope.
///
/// ```
/// use ops::rnn::{GruCell, ResidualWrapper};
/// let cell = ResidualWrapper::new(GruCell::new(32)); // for inputs of 32 numbers
/// # let _ = cell;
/// ```
#[derive(Debug)]
pub struct ResidualWrapper<C> {
    cell: C,
}

impl<C: RnnCell> ResidualWrapper<C> {
    /// Wraps a cell, to whose outputs its inputs are added.
    #[must_use]
    pub fn new(cell: C) -> ResidualWrapper<C> {
        ResidualWrapper { cell }
    }
}

impl<C: RnnCell> RnnCell for ResidualWrapper<C> {
    type State = C::State;

    fn output_size(&self) -> usize {
        self.cell.output_size()
    }

    fn zero_state(&self, graph: &Graph, batch_size: Ints, dtype: DType) -> Self::State {
        self.cell.zero_state(graph, batch_size, dtype)
    }

    fn build(&self, graph: &Graph, input_size: usize, dtype: DType) {
        self.cell.build(graph, input_size, dtype);
    }

    fn call(&self, graph: &Graph, inputs: &Output, state: &Self::State) -> (Output, Self::State) {
        let graph = &graph.located_at(Location::caller());
        let (output, state) = self.cell.call(graph, inputs, state);
        (&inputs.within(graph) + &output, state)
    }
}
