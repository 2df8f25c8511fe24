//! Random numbers that a resumed run draws again.

use crate::SavedVars;
use candle_core::{DType, Device, Shape, Tensor, Var};
use candle_nn::init::NormalOrUniform;
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use monitored::StepRandom;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Variables that layers create, as in a `VarMap`, whose initial values depend only on a seed and on their names: not on the
/// process, the order of the layers or the device.
///
/// ```
/// use candle_core::{DType, Device};
/// use monitored_candle::SeededVars;
///
/// let weight = || {
///     let vars = SeededVars::new(7);
///     candle_nn::linear(2, 1, vars.builder(DType::F32, &Device::Cpu).pp("layer"))?;
///     vars.saved().vars()["layer.weight"].to_vec2::<f32>()
/// };
/// assert_eq!(weight()?, weight()?);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SeededVars {
    seed: u64,
    vars: Arc<Mutex<BTreeMap<String, Var>>>,
}

impl SeededVars {
    /// Creates an empty set of variables.
    #[must_use]
    pub fn new(seed: u64) -> SeededVars {
        SeededVars { seed, vars: Arc::default() }
    }

    /// Returns the builder for layers.
    #[must_use]
    pub fn builder(&self, dtype: DType, device: &Device) -> VarBuilder<'static> {
        VarBuilder::from_backend(Box::new(self.clone()), dtype, device.clone())
    }

    /// Returns the variables of all layers that were built so far.
    #[must_use]
    pub fn saved(&self) -> SavedVars {
        SavedVars::new(self.lock().clone())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Var>> {
        self.vars.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn initial(&self, shape: &Shape, name: &str, init: Init) -> Vec<f64> {
        // FNV-1a, which is the same everywhere.
        let hash = name.bytes().fold(0xCBF2_9CE4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
        });
        let mut random = StepRandom::new(self.seed, 0).stream(hash);
        let count = shape.elem_count();
        let mut draw = |number: &mut dyn FnMut(&mut StepRandom) -> f64| {
            (0..count).map(|_| number(&mut random)).collect()
        };
        match init {
            Init::Const(value) => vec![value; count],
            Init::Randn { mean, stdev } => draw(&mut |random| mean + stdev * random.normal()),
            Init::Uniform { lo, up } => draw(&mut |random| lo + (up - lo) * random.uniform()),
            Init::Kaiming { dist, fan, non_linearity } => {
                let deviation = non_linearity.gain() / (fan.for_shape(shape) as f64).sqrt();
                let bound = 3f64.sqrt() * deviation;
                match dist {
                    NormalOrUniform::Normal => draw(&mut |random| deviation * random.normal()),
                    NormalOrUniform::Uniform => draw(&mut |random| bound * (2.0 * random.uniform() - 1.0)),
                }
            }
        }
    }
}

impl SimpleBackend for SeededVars {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        init: Init,
        dtype: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        let mut vars = self.lock();
        if let Some(known) = vars.get(name) {
            if *known.shape() != shape {
                candle_core::bail!("variable '{name}' has shape {:?}, not {shape:?}", known.shape())
            }
            return Ok(known.as_tensor().clone());
        }
        let values = Tensor::from_vec(self.initial(&shape, name, init), shape, &Device::Cpu)?;
        let var = Var::from_tensor(&values.to_dtype(dtype)?.to_device(device)?)?;
        let tensor = var.as_tensor().clone();
        vars.insert(name.to_owned(), var);
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        match self.lock().get(name) {
            Some(known) => Ok(known.as_tensor().clone()),
            None => candle_core::bail!("there is no variable '{name}', and its shape is not known"),
        }
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.lock().contains_key(name)
    }
}

/// Sets a share of the elements to zero and scales up the others. The random numbers are the step's, so a resumed run drops the same
/// elements.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use monitored::StepRandom;
/// use monitored_candle::dropout;
///
/// let x = Tensor::ones((4, 4), DType::F32, &Device::Cpu)?;
/// let dropped = || dropout(&x, 0.5, &mut StepRandom::new(7, 100))?.to_vec2::<f32>();
/// assert_eq!(dropped()?, dropped()?);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// An error for a share outside of 0 (included) to 1 (excluded); the errors of candle.
pub fn dropout(input: &Tensor, share: f64, random: &mut StepRandom) -> candle_core::Result<Tensor> {
    if !(0.0..1.0).contains(&share) {
        candle_core::bail!("the share of dropout must be from 0 (included) to 1 (excluded), not {share}")
    }
    let scale = (1.0 / (1.0 - share)) as f32;
    let mask: Vec<f32> =
        (0..input.elem_count()).map(|_| if random.uniform() < share { 0.0 } else { scale }).collect();
    let mask = Tensor::from_vec(mask, input.shape(), &Device::Cpu)?;
    input * mask.to_dtype(input.dtype())?.to_device(input.device())?
}
