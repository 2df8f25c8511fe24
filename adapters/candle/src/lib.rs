//! [candle](candle_core) models under a monitored session.
//!
//! A [`CandleModel`] holds named `Var`s and an optimizer, and serves as a saved object: weights, moments and the optimizer's step are
//! ordinary tensors of checkpoints under stable names, which the tools of TensorFlow and safetensors read. With seeded
//! [initialization](SeededVars) and [`dropout`], a run that was killed and resumed ends with the weights of an uninterrupted one.
//! [`SavedVars`] saves variables without an optimizer.
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
//! # Names in checkpoints
//!
//! | tensor | name, in a saved object `model` |
//! | --- | --- |
//! | weight `layer.weight` | `model/layer.weight` |
//! | moments of [`Adam`] and [`AdamW`] | `model/layer.weight/Adam`, `model/layer.weight/Adam_1` |
//! | velocity of [`Sgd`] with momentum | `model/layer.weight/Momentum` |
//! | number of updates | `model/optimizer_step` |
//!
//! A saved object with an empty name leaves out the prefix. Moments are float64 for float64 weights and float32 for all others, also
//! for 16-bit weights.
//!
//! # Limits
//!
//! - candle's own optimizers keep their moments private, so no crate can save them: use those of this crate.
//! - candle's own random numbers (`candle_nn::ops::dropout`, initial values in a plain `VarMap`) depend on the process. Runs with
//!   them resume, but not exactly.
//! - 8-bit floating-point variables cannot be saved: checkpoints do not have these dtypes.
//!
//! # Features
//!
//! `cuda` and `metal` are candle's. Variables may be on any device; a save copies them to the host.

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

/// Runs the part of a step that uses candle, and turns its error into one of the step.
///
/// # Errors
/// The error of the function, with candle's message.
pub fn or_step_error<T>(function: impl FnOnce() -> candle_core::Result<T>) -> session_core::Result<T> {
    function().map_err(|error| session_core::Error::other(in_one_line(error)))
}

/// Removes what makes an error of candle longer than a line: backtraces, which go to the log, and line ends.
fn in_one_line(error: candle_core::Error) -> candle_core::Error {
    use candle_core::Error;
    match error {
        Error::WithBacktrace { inner, backtrace } => {
            log::debug!("{inner}\n{backtrace}");
            in_one_line(*inner)
        }
        Error::Context { inner, context } => Error::Msg(format!("{context}: {}", in_one_line(*inner))),
        other => other,
    }
}

/// Turns an error of candle into one that savers report.
fn failed(operation: &'static str) -> impl Fn(candle_core::Error) -> checkpoint::Error {
    move |error| checkpoint::Error::Variables {
        operation,
        code: checkpoint::Code::Unknown,
        source: checkpoint::BoxError::from(in_one_line(error)),
    }
}

/// Compiles and runs the programs of the README and of the guide.
#[cfg(doctest)]
mod guide {
    #[doc = include_str!("../README.md")]
    mod readme {}
    #[doc = include_str!("../../../docs/candle.md")]
    mod candle {}
}
