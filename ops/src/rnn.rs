//! Recurrent nets: cells, and what applies them step by step.
//!
//! Variables have TensorFlow's names, shapes and order of gates, so that checkpoints of `tf.nn.rnn_cell` models load by name.
//!
//! ```
//! use ops::array::placeholder;
//! use ops::rnn::{BasicLstmCell, RnnOptions, dynamic_rnn};
//! use session_core::{DType, Graph};
//!
//! let graph = Graph::new();
//! let inputs = placeholder(&graph.named("inputs"), DType::Float32, [Some(8), None, Some(3)]); // batch, time, depth
//! let lengths = placeholder(&graph.named("lengths"), DType::Int32, [8]);
//! let cell = BasicLstmCell::new(16);
//! let (outputs, state) = dynamic_rnn(&cell, &inputs, &RnnOptions::new().sequence_length(&lengths));
//! assert_eq!(outputs.shape().to_string(), "[8,?,16]");
//! assert_eq!(state.h.shape().to_string(), "[8,16]");
//! assert!(graph.operation("rnn/basic_lstm_cell/kernel").is_ok());
//! # graph.finalize()?;
//! # Ok::<(), session_core::Error>(())
//! ```

mod attention;
mod beam_search;
mod block;
pub(crate) mod block_ops;
mod cells;
mod decoder;
mod helper;
mod lstm;
mod unrolled;
mod variables;
mod wrappers;

pub use attention::{
    AttentionMechanism, AttentionWrapper, AttentionWrapperState, BahdanauAttention, LuongAttention,
};
pub use beam_search::{BeamSearchDecoder, BeamSearchDecoderState, FinalBeamSearchDecoderOutput, tile_batch};
pub use block::{GruBlockCellV2, LstmBlockCell, LstmBlockFusedCell};
pub use cells::{BasicRnnCell, GruCell};
pub use decoder::{BasicDecoder, BasicDecoderOutput, DecodeOptions, Decoder, DecoderStep, dynamic_decode};
pub use helper::Helper;
pub use lstm::{BasicLstmCell, LayerNormBasicLstmCell, LstmCell, LstmStateTuple};
pub use unrolled::{
    RnnOptions, bidirectional_dynamic_rnn, dynamic_rnn, dynamic_rnn_from, static_rnn, static_rnn_from,
};
pub use wrappers::{DropoutWrapper, MultiRnnCell, ResidualWrapper};

use crate::Ints;
use crate::composite::unnamed;
use crate::control_flow::Structure;
use session_core::{DType, Graph, Output};
use std::panic::Location;

/// One step of a recurrent network.
pub trait RnnCell {
    /// The state that one step passes to the next.
    type State: Structure + Clone;

    /// Returns the number of outputs per step and sequence.
    fn output_size(&self) -> usize;

    /// Returns the initial state of a batch of sequences: zeros.
    fn zero_state(&self, graph: &Graph, batch_size: Ints, dtype: DType) -> Self::State;

    /// Creates the variables of the cell for inputs of this size unless they exist. The first step does it automatically, in the variable scope
    /// of the step.
    fn build(&self, graph: &Graph, input_size: usize, dtype: DType);

    /// Computes a step for inputs `[batch, depth]`, and returns its outputs and the next state. The variables must have been created by
    /// [`build`](RnnCell::build). The operations are in a scope of the cell's name, the results are not.
    #[track_caller]
    fn call(&self, graph: &Graph, inputs: &Output, state: &Self::State) -> (Output, Self::State);
}

impl<C: RnnCell + ?Sized> RnnCell for &C {
    type State = C::State;

    fn output_size(&self) -> usize {
        (**self).output_size()
    }

    fn zero_state(&self, graph: &Graph, batch_size: Ints, dtype: DType) -> Self::State {
        (**self).zero_state(graph, batch_size, dtype)
    }

    fn build(&self, graph: &Graph, input_size: usize, dtype: DType) {
        (**self).build(graph, input_size, dtype);
    }

    fn call(&self, graph: &Graph, inputs: &Output, state: &Self::State) -> (Output, Self::State) {
        (**self).call(graph, inputs, state)
    }
}

/// A function that is applied element by element, such as `|x| math::tanh(x)`.
pub type Activation = fn(&Output) -> Output;

/// Returns the scope of a step, which all steps of a cell in one place share.
///
/// The trailing slash takes the name as it is: all steps have their operations in `rnn/gru_cell`, as in
/// TensorFlow, instead of in `gru_cell_1` and so on.
#[track_caller]
fn step_scope(graph: &Graph, name: &str) -> Graph {
    graph.scope(&format!("{}{name}/", graph.scope_name())).located_at(Location::caller())
}

/// Returns results for use outside of the scope in which they were made: what is built on them goes where the cell or net was
/// called.
fn left<O: Structure, S: Structure>(graph: &Graph, (outputs, state): (O, S)) -> (O, S) {
    let outside = unnamed(graph);
    (placed(outputs, &outside), placed(state, &outside))
}

/// Returns a structure whose outputs place what is built on them in the scope of `graph`.
fn placed<S: Structure>(structure: S, graph: &Graph) -> S {
    let outputs = structure.outputs().iter().map(|output| output.within(graph)).collect();
    structure.with_outputs(outputs)
}

/// Returns the next state, where `choose` decides between each part of it and of the one before. Parts that belong to no
/// sequence, such as the number of steps, continue.
fn carried<S: Structure>(next: S, before: &S, choose: impl Fn(Output, Output) -> Output) -> S {
    let parts = next.outputs().into_iter().zip(before.outputs());
    let chosen = parts.map(|(next, before)| match next.shape().rank() {
        Some(0) => next,
        _ => choose(next, before),
    });
    let chosen = chosen.collect();
    next.with_outputs(chosen)
}

/// Returns zeros for a batch, `size` for each entry.
fn zeros_of(graph: &Graph, batch_size: Ints, size: usize, dtype: DType) -> Output {
    // The batch may be computed, so the shape is joined from a scalar and a constant where it is not known.
    use crate::array::{concat, constant, expand_dims, zeros};
    let sizes = match batch_size.known() {
        Some(batch) => Ints::from([batch[0], i64::try_from(size).unwrap_or(i64::MAX)]),
        None => match batch_size {
            Ints::Computed(batch) => {
                let size = constant(graph, [i32::try_from(size).unwrap_or(i32::MAX)]);
                let batch = crate::math::cast::cast(batch.within(graph), DType::Int32);
                Ints::from(concat(&[expand_dims(batch, 0), size], 0))
            }
            numbers => numbers,
        },
    };
    zeros(graph, dtype, sizes)
}
