//! Recurrent cells after their products: all gates of a step in one pass over memory.
//!
//! | function | TensorFlow's operation |
//! | --- | --- |
//! | [`lstm`], [`lstm_gradient`] | `LSTMBlockCell`, `BlockLSTM`, `BlockLSTMV2` and their gradients |
//! | [`gru_gates`], [`gru_output`] | `GRUBlockCell` |
//! | [`gru_output_gradient`], [`gru_gates_gradient`] | `GRUBlockCellGrad` |
//!
//! All arrays have one row for each sequence of a batch. The caller multiplies inputs and states with the weights.

mod gru;
mod lstm;

pub use gru::{gru_gates, gru_gates_gradient, gru_output, gru_output_gradient};
pub use lstm::{GateOrder, Lstm, LstmStep, lstm, lstm_gradient};
