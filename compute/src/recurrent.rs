//! Recurrent cells behind their products: all gates of a step in one pass over memory.
//!
//! | function | TensorFlow's operation |
//! | --- | --- |
//! | [`lstm`], [`lstm_gradient`] | `LSTMBlockCell`, `BlockLSTM`, `BlockLSTMV2` and their gradients |
//! | [`gru_gates`], [`gru_output`] | `GRUBlockCell` |
//! | [`gru_output_gradient`], [`gru_gates_gradient`] | `GRUBlockCellGrad` |
//!
//! All arrays hold one row for each sequence of a batch. The products of inputs and states with the weights are the caller's.

mod gru;
mod lstm;

pub use gru::{gru_gates, gru_gates_gradient, gru_output, gru_output_gradient};
pub use lstm::{GateOrder, Lstm, LstmStep, lstm, lstm_gradient};
