//! [candle](candle_core) models under a monitored session.
//!
//! A [`CandleModel`] is a set of named `Var`s with an optimizer, and can be a saved object: weights, moments and the optimizer's
//! step are ordinary tensors of checkpoints, under stable names, that TensorFlow's and safetensors' tools read. With seeded
//! [initialization](SeededVars) and [`dropout`], a run that was killed ends with the weights of an uninterrupted one.
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use candle_nn::{Module, linear};
//! use monitored::HostTraining;
//! use monitored_candle::{Adam, CandleModel, SeededVars, or_step_error};
//! use std::sync::{Arc, Mutex};
//!
//! let vars = SeededVars::new(7);
//! let layer = linear(2, 1, vars.builder(DType::F32, &Device::Cpu).pp("layer"))?;
//! let model = Arc::new(Mutex::new(CandleModel::new(vars.saved(), Adam::new(0.1))?));
//!
//! let trained = model.clone();
//! let finished = HostTraining::new()
//!     .saved_object("model", &model) // layer.weight, layer.weight/Adam, ...
//!     .metrics(["loss"])
//!     .configure(|session| session.dry_run(20)) // instead: .checkpoint_dir(..) and a hook that ends it
//!     .run(move |step| {
//!         let mut random = step.random();
//!         let x: Vec<f32> = (0..8).map(|_| random.uniform() as f32).collect();
//!         or_step_error(|| {
//!             let x = Tensor::from_vec(x, (4, 2), &Device::Cpu)?;
//!             let loss = (layer.forward(&x)? - x.sum_keepdim(1)?)?.sqr()?.mean_all()?;
//!             trained.lock().unwrap().backward_step(&loss)?;
//!             Ok([("loss", loss.to_scalar::<f32>()?)])
//!         })
//!     })
//!     .map_err(candle_core::Error::wrap)?;
//! assert_eq!(finished.value, Some(20));
//! # Ok::<(), candle_core::Error>(())
//! ```
//!
//! # What it does not do
//!
//! candle's own optimizers keep their moments private, so they cannot be saved; use the ones here. candle's own random numbers
//! (`candle_nn::ops::dropout`, `Init` through a plain `VarMap`) depend on the process, so runs with them resume, but not
//! exactly.

mod convert;
mod gradients;
mod model;
mod optimizer;
mod seeded;
mod vars;

pub use convert::{from_candle, to_candle};
pub use gradients::Gradients;
pub use model::CandleModel;
pub use optimizer::{Adam, AdamW, OptimizerConfig, Sgd};
pub use seeded::{SeededVars, dropout};
pub use vars::SavedVars;

/// Runs the candle part of a step; its error becomes that of the step.
///
/// # Errors
/// As the function, with candle's message.
pub fn or_step_error<T>(function: impl FnOnce() -> candle_core::Result<T>) -> session_core::Result<T> {
    function().map_err(session_core::Error::other)
}

/// An error of candle, as savers report it.
fn failed(operation: &'static str) -> impl Fn(candle_core::Error) -> checkpoint::Error {
    move |error| checkpoint::Error::Variables {
        operation,
        code: checkpoint::Code::Unknown,
        source: checkpoint::BoxError::from(error),
    }
}
