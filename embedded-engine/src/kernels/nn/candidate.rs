//! Sampled classes, for losses over very many of them.
//!
//! # Semantics
//!
//! Samplers take `true_classes` `[batch, num_true]` (`int64`) and return `sampled_candidates` `[num_sampled]`
//! and the expected number of times that each true and each sampled class is drawn, `[batch, num_true]` and
//! `[num_sampled]` in `float32`, from which losses correct for the sampling.
//!
//! - `UniformCandidateSampler` draws the classes below `range_max` with equal probability.
//! - `LogUniformCandidateSampler` draws class `k` with the probability
//!   `ln((k + 2) / (k + 1)) / ln(range_max + 1)`, which suits classes sorted by frequency.
//! - `AllCandidateSampler` returns the classes below `num_sampled`, each expected once.
//! - `ComputeAccidentalHits` finds sampled classes that are true ones of an example. It returns for each the
//!   example, the position in `sampled_candidates` (the last one of a class that was drawn twice), and a
//!   weight of `-f32::MAX`, which is added to the logit.
//!
//! With `unique` a class is drawn again until it is new, and the expected numbers are `1 - (1 - p)^draws`;
//! more classes than `range_max` are `InvalidArgument`. True classes are not checked against the range.
//!
//! The generator belongs to the session and is part of its exported state.
//!
//! ```text
//! LogUniformCandidateSampler, range_max 3, 2 samples
//!
//! class                    0             1                  2
//! probability              ln 2 / ln 4   ln 1.5 / ln 4      ln (4 / 3) / ln 4
//!                          0.5           0.292              0.208
//! expected in 2 draws      1             0.585              0.415
//! ```
//!
//! A further sampler is a [`Distribution`] with a line in `register`.

use crate::kernel::{Kernel, KernelContext, NodeSpec};
use crate::kernels::math::boxed;
use crate::kernels::random::state;
use crate::registry::Registry;
use compute::random::Words;
use rustc_hash::{FxHashMap, FxHashSet};
use session_core::{Error, Result};
use tensor::{Tensor, memory};

/// Registers the op types. Attributes are checked when the plan is compiled.
pub(crate) fn register(registry: &mut Registry) {
    registry.add("UniformCandidateSampler", |spec| {
        let range = range(spec)?;
        sampler(spec, Uniform(range), range)
    });
    registry.add("LogUniformCandidateSampler", |spec| {
        let range = range(spec)?;
        sampler(spec, LogUniform { range, log_range: (range as f64).ln_1p() }, range)
    });
    registry.add("AllCandidateSampler", |spec| {
        let count = size(spec, "num_sampled")?;
        let truths = size(spec, "num_true")?;
        Ok(boxed(move |context| all(context, count, truths)))
    });
    registry.add("ComputeAccidentalHits", |spec| {
        let truths = size(spec, "num_true")?;
        Ok(boxed(move |context| accidental_hits(context, truths)))
    });
}

/// Returns an attribute that is a size. Fails for a negative one.
fn size(spec: &NodeSpec<'_>, name: &str) -> Result<usize> {
    let size = spec.int(name)?;
    usize::try_from(size)
        .map_err(|_| Error::invalid_argument(format!("{name} must not be negative ({size})")))
}

/// Returns the attribute `range_max`. Fails unless it is positive.
fn range(spec: &NodeSpec<'_>) -> Result<u64> {
    let range = spec.int("range_max")?;
    u64::try_from(range)
        .ok()
        .filter(|&range| range > 0)
        .ok_or_else(|| Error::invalid_argument(format!("range_max must be positive, not {range}")))
}

/// The distribution from which classes are drawn. It is fixed when the plan is compiled.
trait Distribution: Send + Sync + 'static {
    /// Draws a class with some of the random words, one or more at a time.
    fn draw(&self, words: &mut Words) -> u64;
    /// Returns the probability that one draw returns a class.
    fn probability(&self, class: i64) -> f64;
}

/// All classes below a number, with equal probability.
struct Uniform(u64);

impl Distribution for Uniform {
    /// Draws a number without a bias toward small ones: words that would cause a bias are drawn again.
    fn draw(&self, words: &mut Words) -> u64 {
        let mut wide = || {
            let (low, high) = (words.next_word(), words.next_word());
            u64::from(low) | u64::from(high) << 32
        };
        if self.0.is_power_of_two() {
            return wide() & (self.0 - 1);
        }
        // The lowest words are rejected, as many as `2^64` exceeds a multiple of the range by, so every class
        // has the same number of words.
        let rejected = u64::MAX % self.0 + 1;
        loop {
            let drawn = wide();
            if drawn >= rejected {
                return drawn % self.0;
            }
        }
    }

    fn probability(&self, _: i64) -> f64 {
        1.0 / self.0 as f64
    }
}

/// The classes below `range`, with probabilities that fall about as `1 / (k + 1)`.
struct LogUniform {
    /// The number of classes.
    range: u64,
    /// `ln(range + 1)`, by which probabilities add up to 1.
    log_range: f64,
}

impl Distribution for LogUniform {
    fn draw(&self, words: &mut Words) -> u64 {
        let (high, low) = (words.next_word(), words.next_word());
        // 52 random bits as the mantissa of a number from 1 to 2, high word first, which is TensorFlow's way
        // from words to doubles.
        let mantissa = u64::from(high & 0xf_ffff) << 32 | u64::from(low);
        let unit = f64::from_bits(1023 << 52 | mantissa) - 1.0;
        let value = (unit * self.log_range).exp() as u64;
        // Rounding may reach the end of the range.
        value.saturating_sub(1) % self.range
    }

    fn probability(&self, class: i64) -> f64 {
        ((class as f64 + 2.0) / (class as f64 + 1.0)).ln() / self.log_range
    }
}

/// Returns the kernel of a sampler for a distribution over `range` classes.
fn sampler(spec: &NodeSpec<'_>, distribution: impl Distribution, range: u64) -> Result<Box<dyn Kernel>> {
    let (count, truths, unique) = (size(spec, "num_sampled")?, size(spec, "num_true")?, spec.bool("unique")?);
    if unique && count as u64 > range {
        let text = format!("num_sampled ({count}) must not be larger than range_max ({range}) when unique");
        return Err(Error::invalid_argument(text));
    }
    let state = state(spec)?;
    Ok(boxed(move |context| {
        check_truths(context, truths)?;
        // More words than are drawn, so that the next execution has others whatever was drawn again here.
        let mut words = Words::new(
            state.of(context)?.lock().reserve((count as u64).saturating_mul(WORDS_PER_SAMPLE / 4)),
        );
        let (classes, tries) = draw(context, &distribution, &mut words, count, unique)?;
        let expected = |class: i64| {
            let p = distribution.probability(class);
            // Nothing was drawn again, so the expected number is that of draws with repetition, also with
            // `unique`.
            let once = tries == count as u64;
            (if once { p * count as f64 } else { -(tries as f64 * (-p).ln_1p()).exp_m1() }) as f32
        };
        let of_truths = memory::collected(context.slice::<i64>(0)?.iter().map(|&class| expected(class)))?;
        let of_sampled = memory::collected(classes.iter().map(|&class| expected(class)))?;
        let shape = context.input(0).shape().clone();
        context.set(0, Tensor::from(classes));
        context.set(1, Tensor::from_vec(of_truths, shape)?);
        context.set(2, Tensor::from(of_sampled));
        Ok(())
    }))
}

/// The number of random words that TensorFlow reserves for each sample. It is counted in words of 32 bits;
/// the generator counts blocks of four.
const WORDS_PER_SAMPLE: u64 = 2048;

/// Returns `count` classes, and the number of draws that they took.
///
/// Each draw takes some of `words`, which never run out. With `unique` a class that was drawn before is drawn
/// again; the caller has checked that `distribution` has enough of them. Fails if the run is ended, as rare
/// classes may take very many draws.
fn draw(
    context: &KernelContext<'_>,
    distribution: &dyn Distribution,
    words: &mut Words,
    count: usize,
    unique: bool,
) -> Result<(Vec<i64>, u64)> {
    let (mut classes, mut watch) = (memory::reserve(count)?, context.watch());
    let mut seen = FxHashSet::default();
    let mut tries = 0;
    while classes.len() < count {
        let class = distribution.draw(words) as i64;
        tries += 1;
        watch.tick(1)?;
        if !unique || seen.insert(class) {
            classes.push(class);
        }
    }
    Ok((classes, tries))
}

/// Returns the number of examples. Fails unless input 0 is a matrix with `truths` columns.
fn check_truths(context: &KernelContext<'_>, truths: usize) -> Result<usize> {
    match context.input(0).shape().dims() {
        &[rows, columns] if columns == truths => Ok(rows),
        _ => {
            let text = format!("true_classes must have {truths} columns: {}", context.input(0).shape());
            Err(Error::invalid_argument(text))
        }
    }
}

/// Delivers every class once, so all expected counts are 1.
fn all(context: &mut KernelContext<'_>, count: usize, truths: usize) -> Result<()> {
    check_truths(context, truths)?;
    let shape = context.input(0).shape().clone();
    context.set(0, Tensor::from(memory::collected((0..count).map(|class| class as i64))?));
    context.set(1, Tensor::try_full(1f32, shape)?);
    context.set(2, Tensor::try_full(1f32, [count])?);
    Ok(())
}

/// Delivers the examples, positions and weights of the accidental hits, by example and then by true class.
fn accidental_hits(context: &mut KernelContext<'_>, truths: usize) -> Result<()> {
    check_truths(context, truths)?;
    // Of a class that was sampled twice, the map keeps the later position.
    let places: FxHashMap<i64, i64> =
        context.slice::<i64>(1)?.iter().enumerate().map(|(place, &class)| (class, place as i64)).collect();
    let (mut rows, mut ids) = (Vec::new(), Vec::new());
    for (row, classes) in context.slice::<i64>(0)?.chunks_exact(truths.max(1)).enumerate() {
        for place in classes.iter().filter_map(|class| places.get(class)) {
            rows.push(row as i32);
            ids.push(*place);
        }
    }
    // Not minus infinity: the logit that it is added to stays finite, as in TensorFlow.
    let weights = memory::filled(-f32::MAX, ids.len())?;
    context.set(0, Tensor::from(rows));
    context.set(1, Tensor::from(ids));
    context.set(2, Tensor::from(weights));
    Ok(())
}
