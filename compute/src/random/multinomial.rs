//! Draws from a categorical distribution given by unnormalized log-probabilities.

use super::fill::for_parts;
use super::generator::Generator;
use super::words::Words;
use crate::Pool;

/// Fills each row of `out` with class numbers drawn with the probabilities softmax(row of `logits`),
/// the operation `Multinomial`.
///
/// `logits` holds `rows` rows of classes and `out` as many rows of samples, row after row. A logit
/// that is not a finite number has the probability 0; if a row has no finite logit, its samples are
/// the number of classes, which is not a class.
///
/// The numbers are those of TensorFlow with one thread; with more, TensorFlow's depend on how it
/// splits the rows. Advances the generator by 512 blocks for each sample, the number of samples in a
/// row rounded up to a multiple of four. Uses one f64 of memory per class and thread.
///
/// # Panics
/// When `logits` or `out` cannot be split into `rows` rows of equal length. 0 rows must be empty.
///
/// ```
/// use compute::Pool;
/// use compute::random::{Generator, fill_multinomial};
///
/// let logits = [0.0f32, f32::NEG_INFINITY, 0.0, f32::NEG_INFINITY];
/// let mut out = [0i64; 6];
/// fill_multinomial(&mut Generator::new(1, 2), &logits, 2, &mut out, &Pool::single());
/// assert_eq!(out, [0; 6]);
/// ```
pub fn fill_multinomial<L, C>(
    generator: &mut Generator,
    logits: &[L],
    rows: usize,
    out: &mut [C],
    pool: &Pool,
) where
    L: Copy + Into<f64> + Sync,
    C: Class,
{
    let classes = row_len(logits.len(), rows);
    let samples = row_len(out.len(), rows);
    let start = generator.reserve_outputs(rows * samples.next_multiple_of(4) * WORDS_PER_SAMPLE);
    if samples == 0 {
        return;
    }
    // A part is at least a row, so that rows of few samples are not spread thin over threads.
    let grain = samples * 4096_usize.div_ceil(samples + classes);
    for_parts(out, grain, pool, |from, part| {
        let mut cumulative = vec![0.0; classes];
        let mut words = Words::new(start);
        words.skip((from * WORDS_PER_SAMPLE) as u64);
        for (i, out) in part.chunks_mut(samples).enumerate() {
            let row = (from / samples + i) * classes;
            accumulate(&logits[row..row + classes], &mut cumulative);
            draw(&mut words, &cumulative, out);
        }
    });
}

/// The words of one sample: a double takes two.
const WORDS_PER_SAMPLE: usize = 2;

/// Returns the length of a row, which must be whole.
fn row_len(len: usize, rows: usize) -> usize {
    let row_len = len.checked_div(rows).unwrap_or(0);
    assert_eq!(row_len * rows, len, "{len} elements in {rows} rows");
    row_len
}

/// Writes the running sums of the unnormalized probabilities.
/// Logits that are not finite add nothing. The largest one adds 1.
fn accumulate<L: Copy + Into<f64>>(logits: &[L], sums: &mut [f64]) {
    let finite = |&x: &L| Some(x.into()).filter(|x: &f64| x.is_finite());
    // Subtracted before the exponential, so that the largest term is 1 and the sum neither overflows nor
    // vanishes.
    let max = logits.iter().filter_map(finite).fold(f64::MIN, f64::max);
    let mut sum = 0.0;
    for (out, logit) in sums.iter_mut().zip(logits) {
        sum += finite(logit).map_or(0.0, |x| (x - max).exp());
        *out = sum;
    }
}

/// Draws samples of one row by bisection in the cumulative probabilities.
///
/// A sample takes two words and, for `n` classes, about `log2 n` comparisons.
fn draw<C: Class>(words: &mut Words, cumulative: &[f64], out: &mut [C]) {
    let total = cumulative.last().copied().unwrap_or(0.0);
    for out in out {
        let target = words.next_f64() * total;
        // Classes of probability 0 add nothing to the sum before them and are passed over. If all are such,
        // so is the last.
        *out = C::from_usize(cumulative.partition_point(|&sum| sum <= target));
    }
}

/// A type of class numbers: `i32` or `i64`.
pub trait Class: sealed::Class {}

impl Class for i32 {}
impl Class for i64 {}

mod sealed {
    /// A type of class numbers: `i32` or `i64`.
    pub trait Class: Send {
        /// Converts the number of a class.
        fn from_usize(class: usize) -> Self;
    }

    impl Class for i32 {
        fn from_usize(class: usize) -> i32 {
            class as i32
        }
    }

    impl Class for i64 {
        fn from_usize(class: usize) -> i64 {
            class as i64
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_without_a_finite_logit_have_no_class() {
        let logits = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
        let mut out = [0i32; 4];
        fill_multinomial(&mut Generator::new(1, 1), &logits, 1, &mut out, &Pool::single());
        assert_eq!(out, [3; 4]);
    }

    #[test]
    fn no_rows_and_no_samples_are_allowed() {
        let mut generator = Generator::new(1, 1);
        fill_multinomial::<f32, i32>(&mut generator, &[], 0, &mut [], &Pool::single());
        fill_multinomial::<f32, i32>(&mut generator, &[1.0; 6], 2, &mut [], &Pool::single());
        assert_eq!(generator, Generator::new(1, 1));
    }

    #[test]
    fn more_threads_draw_the_same() {
        let logits: Vec<f64> = (0..400 * 7).map(|i| f64::from(i * 37 % 64) / 8.0).collect();
        let results = [1, 2, 3].map(|threads| {
            let mut out = vec![0i64; 400 * 19];
            let pool = Pool::new(threads).unwrap();
            fill_multinomial(&mut Generator::new(8, 9), &logits, 400, &mut out, &pool);
            out
        });
        assert!(results.iter().all(|r| *r == results[0]));
    }
}
