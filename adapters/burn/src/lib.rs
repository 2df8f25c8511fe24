//! [burn] modules under a monitored session.
//!
//! A [`BurnModel`] holds a module and its optimizer, and serves as a saved object: parameters, the optimizer's state and its step are
//! ordinary tensors of checkpoints under stable names, which the tools of TensorFlow and safetensors read. A run that was killed and
//! resumed ends with the parameters of an uninterrupted one.
//!
//! ```
//! use burn::module::Module;
//! use burn::nn::{Linear, LinearConfig};
//! use burn::optim::AdamConfig;
//! use burn::tensor::{Device, Distribution, Tensor};
//! use monitored_burn::BurnModel;
//! use monitored_session::prelude::HostTraining;
//! use std::sync::{Arc, Mutex};
//!
//! let device = Device::default().autodiff();
//! device.seed(7); // the initial values
//! let layer = LinearConfig::new(2, 1).init(&device);
//! let model = Arc::new(Mutex::new(BurnModel::new(layer, AdamConfig::new().init())?));
//!
//! let trained = model.clone();
//! let finished = HostTraining::new()
//!     .saved_object("model", &model) // model/weight, model/weight/momentum.moment_1, ...
//!     .metrics(["loss"])
//!     .configure(|session| session.dry_run(20)) // instead: .checkpoint_dir(..) and a hook that ends it
//!     .run(move |step| {
//!         let mut model = trained.lock().unwrap();
//!         device.seed(step.random().next_u64()); // the random numbers of the step, dropout's too
//!         let x = Tensor::<2>::random([8, 2], Distribution::Default, &device);
//!         let loss = (model.module().forward(x.clone()) - x.sum_dim(1)).powi_scalar(2).mean();
//!         let value: f32 = loss.clone().into_scalar();
//!         model.backward_step(0.1, loss);
//!         Ok([("loss", value)])
//!     })?;
//! assert_eq!(finished.value, Some(20));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Names in checkpoints
//!
//! | tensor | name, in a saved object `model` |
//! | --- | --- |
//! | parameter `layer.weight` | `model/layer.weight` |
//! | state of the optimizer | `model/layer.weight/momentum.moment_1` and so on, with burn's names |
//! | parameters for which the optimizer has state | `model/optimizer_states`, in the order of the parameters' names |
//! | number of updates | `model/optimizer_step` |
//!
//! # Limits
//!
//! - Quantized parameters cannot be saved: checkpoints do not have these dtypes.
//! - A save copies all tensors to the host, and needs up to three times their memory while it does.

mod convert;
mod model;

pub use model::BurnModel;

/// Compiles and runs the programs of the guide.
#[cfg(doctest)]
mod guide {
    #[doc = include_str!("../../../docs/burn.md")]
    mod burn {}
}

/// Turns an error of burn into one that savers report.
fn failed(operation: &'static str) -> impl Fn(String) -> checkpoint::Error {
    move |text| checkpoint::Error::Variables {
        operation,
        code: checkpoint::Code::Unknown,
        source: checkpoint::BoxError::from(text),
    }
}
