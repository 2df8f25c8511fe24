//! Double-precision draws for sampling by rejection.

use super::generator::Generator;
use super::{bits, normal, philox};

/// Uniform and normal numbers from one sequence of blocks. Each block gives two numbers of one kind,
/// the second of which is used first.
///
/// A number takes as many draws as the rejections require. Every output element has a sequence of its own,
/// 256 blocks long, so elements can be computed in any order.
pub(super) struct Draws {
    /// The source of blocks.
    generator: Generator,
    /// The uniform numbers of the current block.
    uniform: Pair,
    /// The normal numbers of the current block.
    normal: Pair,
}

/// Two numbers of one block.
#[derive(Default)]
struct Pair {
    /// The numbers.
    numbers: [f64; 2],
    /// The number of those that were not used yet.
    left: usize,
}

impl Draws {
    /// Begins with the next block of a generator.
    pub(super) fn new(generator: Generator) -> Draws {
        Draws { generator, uniform: Pair::default(), normal: Pair::default() }
    }

    /// Draws a uniform number in \[0, 1).
    pub(super) fn uniform(&mut self) -> f64 {
        // Both kinds share the blocks, but each keeps the rest of its own: TensorFlow's two distributions do
        // the same.
        let generator = &mut self.generator;
        self.uniform.next(|| {
            let [a, b, c, d] = block(generator);
            [bits::unit_f64(a, b), bits::unit_f64(c, d)]
        })
    }

    /// Draws a number of the standard normal distribution.
    pub(super) fn normal(&mut self) -> f64 {
        let generator = &mut self.generator;
        self.normal.next(|| normal::pair_f64(block(generator)))
    }
}

impl Pair {
    /// Returns the next number, after refilling an empty pair.
    fn next(&mut self, refill: impl FnOnce() -> [f64; 2]) -> f64 {
        if self.left == 0 {
            *self = Pair { numbers: refill(), left: 2 };
        }
        self.left -= 1;
        self.numbers[self.left]
    }
}

/// Returns the next block of four words.
/// The generator moves on to the one after it.
fn block(generator: &mut Generator) -> [u32; 4] {
    let next = generator.reserve(1);
    philox::block(next.key, next.counter)
}
