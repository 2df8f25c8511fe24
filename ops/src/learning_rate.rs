//! Learning rates that change with the global step.
//!
//! Each function takes the rate to begin with and the global step, an output or variable, and gives a scalar of the
//! rate's dtype (32-bit floats for a number) for the optimizers. Formulas and names are those of
//! `tf.compat.v1.train`.
//!
//! ```
//! use ops::global_step::get_or_create_global_step;
//! use ops::learning_rate::{Decay, exponential_decay};
//! use ops::optimizers::{GradientDescentOptimizer, Optimizer};
//! # use ops::{math::square, variables::variable};
//! # let graph = session_core::Graph::new();
//! # let loss = square(&variable(&graph.named("w"), 3.0f32));
//!
//! let step = get_or_create_global_step(&graph);
//! let rate = exponential_decay(0.1, &step, 1000, 0.96, Decay::Staircase);
//! let train_op = GradientDescentOptimizer::new(rate).minimize(&loss, Some(&step));
//! # graph.finalize()?;
//! # Ok::<(), session_core::Error>(())
//! ```

use crate::array::constants::number;
use crate::composite::Composite;
use crate::math::{
    add, cast, ceil, cos, equal, exp, floor, less_equal, log, minimum, mul, neg, pow, real_div, select, sqrt,
    sub,
};
use crate::random::random_normal;
use crate::scalar::Scalar;
use session_core::{AsOutput, DType, Error, Graph, Output};
use std::f64::consts::PI;

/// The scope of one schedule: its numbers have one dtype.
struct Schedule {
    scope: Composite,
    dtype: DType,
    rate: Output,
    step: Output,
}

impl Schedule {
    #[track_caller]
    fn new(name: &str, rate: Scalar, step: &Output) -> Schedule {
        let scope = Composite::new(&step.graph(), name);
        // A rate given as an output decides the dtype of the schedule; a number becomes the 32-bit float that
        // TensorFlow makes of a Python number.
        let dtype = match &rate {
            Scalar::Number(_) => DType::Float32,
            Scalar::Output(output) => output.dtype(),
        };
        let rate = scope.enter(rate.to_output(&scope.graph().named("learning_rate"), dtype));
        // All arithmetic is in the dtype of the rate. 64-bit steps lose digits in 32-bit floats from
        // 2^24 steps on, as in TensorFlow.
        let step = if step.dtype() == dtype { scope.enter(step) } else { cast(scope.enter(step), dtype) };
        let step = scope.enter(step);
        Schedule { scope, dtype, rate, step }
    }

    fn graph(&self) -> &Graph {
        self.scope.graph()
    }

    fn number(&self, value: f64) -> Output {
        number(self.graph(), self.dtype, value)
    }

    fn scalar(&self, name: &str, value: Scalar) -> Output {
        self.scope.enter(value.to_output(&self.graph().named(name), self.dtype))
    }

    /// Returns the number of times that `decay_steps` have passed; whole times only if it goes down in stairs.
    fn passed(&self, decay_steps: Scalar, decay: Decay) -> Output {
        let passed = real_div(&self.step, self.scalar("decay_steps", decay_steps));
        match decay {
            Decay::Smooth => passed,
            Decay::Staircase => floor(passed),
        }
    }

    /// `rate * factor`, the result.
    fn scaled(self, factor: &Output) -> Output {
        self.scope.leave(mul(self.scope.enter_last(&self.rate), factor))
    }
}

/// The progress of a decay between multiples of its `decay_steps`: TensorFlow's `staircase`.
///
/// ```
/// use ops::learning_rate::{Decay, exponential_decay};
/// let graph = session_core::Graph::new();
/// let step = ops::global_step::get_or_create_global_step(&graph);
/// let smooth = exponential_decay(0.1, &step, 1000, 0.5, Decay::Smooth); // 0.0707 at step 500
/// let staircase = exponential_decay(0.1, &step, 1000, 0.5, Decay::Staircase); // 0.1 up to step 999, then 0.05
/// # let _ = (smooth, staircase);
/// # graph.finalize().unwrap();
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Decay {
    /// The rate changes with each step.
    #[default]
    Smooth,
    /// The rate changes only every `decay_steps` steps: TensorFlow's `staircase=True`.
    Staircase,
}

/// The rate after the last step of a [`polynomial_decay`]: TensorFlow's `cycle`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AfterDecay {
    /// The rate stays at its final value.
    #[default]
    Hold,
    /// The decay restarts from the initial rate, stretched to the next multiple of `decay_steps`.
    Cycle,
}

/// Returns `rate * decay_rate ^ (step / decay_steps)`. With [`Decay::Staircase`], the exponent is rounded down.
///
/// ```
/// # use ops::{global_step::get_or_create_global_step, learning_rate::*};
/// # let graph = session_core::Graph::new();
/// # let step = get_or_create_global_step(&graph);
/// let rate = exponential_decay(0.1, &step, 1000, 0.5, Decay::Smooth); // halved over 1000 steps
/// assert_eq!(rate.shape().to_string(), "[]");
/// ```
#[must_use]
#[track_caller]
pub fn exponential_decay(
    learning_rate: impl Into<Scalar>,
    global_step: impl AsOutput,
    decay_steps: impl Into<Scalar>,
    decay_rate: impl Into<Scalar>,
    decay: Decay,
) -> Output {
    let schedule = Schedule::new("ExponentialDecay", learning_rate.into(), global_step.as_output());
    // A rate of decay below 1 takes the same share off the learning rate in each period.
    let passed = schedule.passed(decay_steps.into(), decay);
    let base = schedule.scalar("decay_rate", decay_rate.into());
    schedule.scaled(&pow(base, passed))
}

/// Returns `rate * exp(-decay_rate * step / decay_steps)`. With [`Decay::Staircase`], the quotient is rounded down.
///
/// ```
/// # use ops::{global_step::get_or_create_global_step, learning_rate::*};
/// # let graph = session_core::Graph::new();
/// # let step = get_or_create_global_step(&graph);
/// let rate = natural_exp_decay(0.1, &step, 1000, 0.5, Decay::Smooth); // 0.1 * exp(-0.5) at step 1000
/// assert_eq!(rate.shape().to_string(), "[]");
/// ```
#[must_use]
#[track_caller]
pub fn natural_exp_decay(
    learning_rate: impl Into<Scalar>,
    global_step: impl AsOutput,
    decay_steps: impl Into<Scalar>,
    decay_rate: impl Into<Scalar>,
    decay: Decay,
) -> Output {
    let schedule = Schedule::new("NaturalExpDecay", learning_rate.into(), global_step.as_output());
    let passed = schedule.passed(decay_steps.into(), decay);
    let exponent = mul(neg(schedule.scalar("decay_rate", decay_rate.into())), passed);
    schedule.scaled(&exp(exponent))
}

/// Returns `rate / (1 + decay_rate * step / decay_steps)`. With [`Decay::Staircase`], the quotient is rounded down.
///
/// ```
/// # use ops::{global_step::get_or_create_global_step, learning_rate::*};
/// # let graph = session_core::Graph::new();
/// # let step = get_or_create_global_step(&graph);
/// let rate = inverse_time_decay(0.1, &step, 1000, 0.5, Decay::Staircase); // 0.1 before step 1000, then 0.1 / 1.5
/// assert_eq!(rate.shape().to_string(), "[]");
/// ```
#[must_use]
#[track_caller]
pub fn inverse_time_decay(
    learning_rate: impl Into<Scalar>,
    global_step: impl AsOutput,
    decay_steps: impl Into<Scalar>,
    decay_rate: impl Into<Scalar>,
    decay: Decay,
) -> Output {
    let schedule = Schedule::new("InverseTimeDecay", learning_rate.into(), global_step.as_output());
    let passed = schedule.passed(decay_steps.into(), decay);
    let growth = mul(schedule.scalar("decay_rate", decay_rate.into()), passed);
    // Not a power: the rate is halved after one period at a decay rate of 1, and has a third left after two.
    let divisor = add(schedule.number(1.0), growth);
    schedule.scope.leave(real_div(schedule.scope.enter_last(&schedule.rate), divisor))
}

/// Returns `values[i]` up to and including step `boundaries[i]`, and the last value afterward. There must be
/// one more value than boundaries, and the boundaries must increase; otherwise it is a build error.
///
/// ```
/// # use ops::{global_step::get_or_create_global_step, learning_rate::*};
/// # let graph = session_core::Graph::new();
/// # let step = get_or_create_global_step(&graph);
/// let rate = piecewise_constant(&step, &[1000, 5000], &[0.1, 0.01, 0.001]);
/// assert_eq!(rate.shape().to_string(), "[]");
/// ```
#[must_use]
#[track_caller]
pub fn piecewise_constant(global_step: impl AsOutput, boundaries: &[i64], values: &[f64]) -> Output {
    let step = global_step.as_output();
    let scope = Composite::new(&step.graph(), "PiecewiseConstant");
    let inner = scope.graph();
    if values.len() != boundaries.len() + 1 || !boundaries.is_sorted() {
        let (bounds, count) = (boundaries.len(), values.len());
        let text = format!("{bounds} increasing boundaries separate {} values, not {count}", bounds + 1);
        inner.add_error(Error::value(text));
    }
    let rate_of = |value: f64| number(inner, DType::Float32, value);
    // Built from the last value to the first, so that the outermost selection is that of the lowest boundary
    // and a step takes the first value whose boundary it has not passed.
    let mut rate = rate_of(values.last().copied().unwrap_or(0.0));
    for (&boundary, &value) in boundaries.iter().zip(values).rev() {
        let limit = number(inner, step.dtype(), boundary);
        // A boundary belongs to the value before it.
        let here = less_equal(scope.enter(step), limit);
        rate = select(here, rate_of(value), rate);
    }
    scope.leave(rate)
}

/// Decays from `rate` to `end_learning_rate` within `decay_steps` steps: `(rate - end) * (1 - step /
/// decay_steps) ^ power + end`. Afterward the rate stays at the end, or with [`AfterDecay::Cycle`] the decay restarts, to end
/// at the next multiple of `decay_steps`.
///
/// ```
/// # use ops::{global_step::get_or_create_global_step, learning_rate::*};
/// # let graph = session_core::Graph::new();
/// # let step = get_or_create_global_step(&graph);
/// let rate = polynomial_decay(0.1, &step, 10_000, 0.001, 1.0, AfterDecay::Hold); // linear to 0.001
/// assert_eq!(rate.shape().to_string(), "[]");
/// ```
#[must_use]
#[track_caller]
pub fn polynomial_decay(
    learning_rate: impl Into<Scalar>,
    global_step: impl AsOutput,
    decay_steps: impl Into<Scalar>,
    end_learning_rate: impl Into<Scalar>,
    power: impl Into<Scalar>,
    after: AfterDecay,
) -> Output {
    let schedule = Schedule::new("PolynomialDecay", learning_rate.into(), global_step.as_output());
    let steps = schedule.scalar("decay_steps", decay_steps.into());
    let (step, steps) = match after {
        AfterDecay::Hold => (minimum(&schedule.step, &steps), steps),
        AfterDecay::Cycle => {
            // Rounding up counts the cycle under way. Step 0 would be in cycle 0, of no steps,
            // and is counted with the first.
            let begun = equal(&schedule.step, schedule.number(0.0));
            let cycles = select(begun, schedule.number(1.0), ceil(real_div(&schedule.step, &steps)));
            (schedule.step.clone(), mul(steps, cycles))
        }
    };
    let end = schedule.scalar("end_learning_rate", end_learning_rate.into());
    // The share of steps left, which the power bends; the end rate is reached where it is 0.
    let left = sub(schedule.number(1.0), real_div(step, steps));
    let left = pow(left, schedule.scalar("power", power.into()));
    let above = mul(sub(&schedule.rate, &end), left);
    schedule.scope.leave(add(schedule.scope.enter_last(above), end))
}

/// Decays along half a cosine wave from `rate` to `alpha * rate` within `decay_steps` steps, and stays there.
///
/// ```
/// # use ops::{global_step::get_or_create_global_step, learning_rate::*};
/// # let graph = session_core::Graph::new();
/// # let step = get_or_create_global_step(&graph);
/// let rate = cosine_decay(0.1, &step, 10_000, 0.01); // to 0.001
/// assert_eq!(rate.shape().to_string(), "[]");
/// ```
#[must_use]
#[track_caller]
pub fn cosine_decay(
    learning_rate: impl Into<Scalar>,
    global_step: impl AsOutput,
    decay_steps: impl Into<Scalar>,
    alpha: f64,
) -> Output {
    let schedule = Schedule::new("CosineDecay", learning_rate.into(), global_step.as_output());
    let steps = schedule.scalar("decay_steps", decay_steps.into());
    // Past its last step the cosine would rise again.
    let passed = real_div(minimum(&schedule.step, &steps), steps);
    let wave = half_cosine(&schedule, &passed);
    let factor = above_floor(&schedule, &wave, alpha);
    schedule.scaled(&factor)
}

/// `(1 + cos(pi * passed)) / 2`.
fn half_cosine(schedule: &Schedule, passed: &Output) -> Output {
    let wave = cos(mul(schedule.number(PI), passed));
    mul(schedule.number(0.5), add(schedule.number(1.0), wave))
}

/// `(1 - alpha) * wave + alpha`.
fn above_floor(schedule: &Schedule, wave: &Output, alpha: f64) -> Output {
    add(mul(schedule.number(1.0 - alpha), wave), schedule.number(alpha))
}

/// Decays repeatedly along cosines (SGDR, Loshchilov and Hutter). The first takes `first_decay_steps` steps;
/// each further one takes `t_mul` times as many and starts at `m_mul` times the rate. The minimum is `alpha *
/// rate`.
///
/// ```
/// # use ops::{global_step::get_or_create_global_step, learning_rate::*};
/// # let graph = session_core::Graph::new();
/// # let step = get_or_create_global_step(&graph);
/// // Periods of 1000, 2000, 4000 ... steps, each with 0.8 of the peak before.
/// let rate = cosine_decay_restarts(0.1, &step, 1000, 2.0, 0.8, 0.0);
/// assert_eq!(rate.shape().to_string(), "[]");
/// ```
#[must_use]
#[track_caller]
pub fn cosine_decay_restarts(
    learning_rate: impl Into<Scalar>,
    global_step: impl AsOutput,
    first_decay_steps: impl Into<Scalar>,
    t_mul: f64,
    m_mul: f64,
    alpha: f64,
) -> Output {
    let schedule = Schedule::new("SGDRDecay", learning_rate.into(), global_step.as_output());
    let completed = schedule.passed(first_decay_steps.into(), Decay::Smooth);
    let one = schedule.number(1.0);
    let (restarts, fraction) = if t_mul == 1.0 {
        let restarts = floor(&completed);
        let fraction = sub(&completed, &restarts);
        (restarts, fraction)
    } else {
        // Lengths are a geometric series: solve its sum for the number of terms.
        let factor = schedule.number(t_mul);
        let shrink = schedule.number(1.0 - t_mul);
        let terms = real_div(log(sub(&one, mul(&completed, &shrink))), log(&factor));
        let restarts = floor(terms);
        // The length of the period under way, in units of the first one, and the sum of those before it.
        let length = pow(&factor, &restarts);
        let before = real_div(sub(&one, &length), &shrink);
        (restarts, real_div(sub(&completed, before), length))
    };
    // Each restart begins at a lower rate than the one before if `m_mul` is below 1.
    let peak = pow(schedule.number(m_mul), restarts);
    let wave = mul(peak, half_cosine(&schedule, &fraction));
    let factor = above_floor(&schedule, &wave, alpha);
    schedule.scaled(&factor)
}

/// Returns a linear decay times a cosine of `num_periods` periods: `(alpha + linear) * cosine + beta`, times the rate.
///
/// ```
/// # use ops::{global_step::get_or_create_global_step, learning_rate::*};
/// # let graph = session_core::Graph::new();
/// # let step = get_or_create_global_step(&graph);
/// let rate = linear_cosine_decay(0.1, &step, 10_000, 0.5, 0.0, 0.001);
/// assert_eq!(rate.shape().to_string(), "[]");
/// ```
#[must_use]
#[track_caller]
pub fn linear_cosine_decay(
    learning_rate: impl Into<Scalar>,
    global_step: impl AsOutput,
    decay_steps: impl Into<Scalar>,
    num_periods: f64,
    alpha: f64,
    beta: f64,
) -> Output {
    let schedule = Schedule::new("LinearCosineDecay", learning_rate.into(), global_step.as_output());
    let decay_steps = schedule.scalar("decay_steps", decay_steps.into());
    let (linear, cosine) = linear_and_cosine(&schedule, &decay_steps, num_periods);
    let factor = add(mul(add(schedule.number(alpha), linear), cosine), schedule.number(beta));
    schedule.scaled(&factor)
}

/// Works as [`linear_cosine_decay`], with noise on the linear part whose variance is
/// `initial_variance / (1 + min(step, decay_steps)) ^ variance_decay`.
///
/// ```
/// # use ops::{global_step::get_or_create_global_step, learning_rate::*};
/// # let graph = session_core::Graph::new();
/// # let step = get_or_create_global_step(&graph);
/// let noise = NoiseOptions::default().initial_variance(0.01).seed(1);
/// let rate = noisy_linear_cosine_decay(0.1, &step, 10_000, noise, 0.5, 0.0, 0.001);
/// assert_eq!(rate.shape().to_string(), "[]");
/// ```
#[must_use]
#[track_caller]
pub fn noisy_linear_cosine_decay(
    learning_rate: impl Into<Scalar>,
    global_step: impl AsOutput,
    decay_steps: impl Into<Scalar>,
    noise: NoiseOptions,
    num_periods: f64,
    alpha: f64,
    beta: f64,
) -> Output {
    let schedule = Schedule::new("NoisyLinearCosineDecay", learning_rate.into(), global_step.as_output());
    let decay_steps = schedule.scalar("decay_steps", decay_steps.into());
    let (linear, cosine) = linear_and_cosine(&schedule, &decay_steps, num_periods);
    // The variance stays what it is at the end of the decay.
    let step = minimum(&schedule.step, &decay_steps);
    let later = pow(add(schedule.number(1.0), step), schedule.number(noise.variance_decay));
    let stddev = sqrt(real_div(schedule.number(noise.initial_variance), later));
    let drawn = random_normal(schedule.graph(), [0usize; 0], 0.0, &stddev, schedule.dtype, noise.seed);
    let linear = add(linear, drawn);
    let factor = add(mul(add(schedule.number(alpha), linear), cosine), schedule.number(beta));
    schedule.scaled(&factor)
}

/// Options of the noise of [`noisy_linear_cosine_decay`].
///
/// ```
/// use ops::learning_rate::NoiseOptions;
/// let noise = NoiseOptions::default().initial_variance(0.5).seed(1);
/// # let _ = noise;
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NoiseOptions {
    initial_variance: f64,
    variance_decay: f64,
    seed: Option<i64>,
}

impl Default for NoiseOptions {
    fn default() -> NoiseOptions {
        NoiseOptions { initial_variance: 1.0, variance_decay: 0.55, seed: None }
    }
}

impl NoiseOptions {
    /// Sets the variance at step 0. Default: 1.
    #[must_use]
    pub fn initial_variance(mut self, variance: f64) -> Self {
        self.initial_variance = variance;
        self
    }

    /// Sets the exponent with which the variance decreases: at step `n` it is `initial_variance / (1 + n)^exponent`. Default: 0.55.
    #[must_use]
    pub fn variance_decay(mut self, exponent: f64) -> Self {
        self.variance_decay = exponent;
        self
    }

    /// Sets the operation-level seed; see [`get_seed`](crate::random::get_seed). Default: none.
    #[must_use]
    pub fn seed(mut self, seed: i64) -> Self {
        self.seed = Some(seed);
        self
    }
}

fn linear_and_cosine(schedule: &Schedule, steps: &Output, num_periods: f64) -> (Output, Output) {
    let step = minimum(&schedule.step, steps);
    let linear = real_div(sub(steps, &step), steps);
    let periods = mul(schedule.number(2.0 * num_periods), real_div(step, steps));
    (linear, half_cosine(schedule, &periods))
}

/// Scales a learning rate up over the first steps: by `(step + 1) / warmup_steps` until the factor is 1. (An
/// extension of TensorFlow 1.)
///
/// ```
/// # use ops::{global_step::get_or_create_global_step, learning_rate::*};
/// # let graph = session_core::Graph::new();
/// # let step = get_or_create_global_step(&graph);
/// let rate = linear_warmup(exponential_decay(0.1, &step, 1000, 0.96, Decay::Smooth), &step, 500);
/// assert_eq!(rate.shape().to_string(), "[]");
/// ```
#[must_use]
#[track_caller]
pub fn linear_warmup(
    learning_rate: impl Into<Scalar>,
    global_step: impl AsOutput,
    warmup_steps: impl Into<Scalar>,
) -> Output {
    let schedule = Schedule::new("LinearWarmup", learning_rate.into(), global_step.as_output());
    let steps = schedule.scalar("warmup_steps", warmup_steps.into());
    // The first step has number 0; counted from 1, it is not trained with a rate of 0.
    let next = add(&schedule.step, schedule.number(1.0));
    let factor = minimum(real_div(next, steps), schedule.number(1.0));
    schedule.scaled(&factor)
}
