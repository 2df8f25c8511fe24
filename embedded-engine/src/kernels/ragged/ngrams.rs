//! Runs of neighboring strings.
//!
//! Each row is padded on both sides with `pad_width` copies of the pads; with -1 as many as an n-gram has
//! strings, less one. With `preserve_short_sequences` a row that is too short for every n-gram yields one
//! with all of its strings.
//!
//! # Semantics
//!
//! `StringNGrams` takes strings and the splits of their rows, and returns joined strings and new splits. Per
//! row, the n-grams of the first width in `ngram_widths` come first, then those of the next.
//!
//! A pad is never an n-gram by itself: at most `width - 1` pads are used on each side, whatever `pad_width`
//! is. A row without strings has n-grams of pads only if the pads of both sides reach each other.
//!
//! ```text
//! [a, b, c], width 2, pads L and R, pad_width -1   ->   [L a, a b, b c, c R]
//! ```
//!
//! Widths below 1 are `InvalidArgument`, and so are splits that do not end with the number of strings.

use super::{indices, splits};
use crate::kernel::{KernelContext, NodeSpec};
use crate::kernels::math::boxed;
use crate::registry::Registry;
use session_core::{AttrValue, Error, Result};
use tensor::{Bytes, DType, Tensor, memory};

/// Registers `StringNGrams`.
pub(super) fn register(registry: &mut Registry) {
    registry.add("StringNGrams", |spec| {
        let rules = Rules::of(spec)?;
        Ok(boxed(move |context| ngrams(context, &rules)))
    });
}

/// The attributes of a kernel.
struct Rules {
    /// The bytes between the strings of a run.
    separator: Bytes,
    /// The string before a row.
    left_pad: Bytes,
    /// The string after a row.
    right_pad: Bytes,
    /// The numbers of strings in a run. Each is at least 1.
    widths: Vec<usize>,
    /// The number of pads at each end; `None` for one less than the width.
    pad: Option<usize>,
    /// True to make one run of all strings of a row that is too short for any (`preserve_short_sequences`).
    keeps_short: bool,
    /// The dtype of the splits, `int32` or `int64`.
    splits: DType,
}

impl Rules {
    /// Reads the attributes.
    fn of(spec: &NodeSpec<'_>) -> Result<Rules> {
        let text = |name: &str| match spec.attr(name)? {
            AttrValue::String(text) => Ok(text.clone()),
            _ => Err(Error::value(format!("attribute '{name}' is not a string"))),
        };
        let width = |width: i64| usize::try_from(width).ok().filter(|&width| width > 0);
        let widths: Option<Vec<usize>> = spec.ints("ngram_widths")?.into_iter().map(width).collect();
        Ok(Rules {
            separator: text("separator")?,
            left_pad: text("left_pad")?,
            right_pad: text("right_pad")?,
            widths: widths
                .ok_or_else(|| Error::invalid_argument("ngram_widths must contain positive values"))?,
            pad: usize::try_from(spec.int("pad_width")?).ok(),
            keeps_short: spec.bool("preserve_short_sequences")?,
            splits: spec.dtype("Tsplits")?,
        })
    }

    /// Returns the number of pads at each end for runs of this width. At least one string of a run is no pad.
    fn pad(&self, width: usize) -> usize {
        self.pad.unwrap_or(usize::MAX).min(width - 1)
    }

    /// Returns the number of runs of this width in a row of `row` strings.
    fn count(&self, row: usize, width: usize) -> usize {
        (row + 2 * self.pad(width) + 1).saturating_sub(width)
    }

    /// Joins the strings of a run that begins `start` places after the first pad on the left.
    ///
    /// `start + width` is at most the number of strings and pads of the row.
    fn run(&self, row: &[Bytes], start: usize, width: usize) -> Bytes {
        let pad = self.pad(width);
        // Places count from the first pad on the left.
        let part = |place: usize| match place.checked_sub(pad) {
            None => &self.left_pad,
            Some(place) => row.get(place).unwrap_or(&self.right_pad),
        };
        let parts: Vec<&[u8]> = (start..start + width).map(|place| part(place).as_ref()).collect();
        parts.join(&self.separator[..]).into()
    }
}

/// Delivers the runs of all rows and their splits.
fn ngrams(context: &mut KernelContext<'_>, rules: &Rules) -> Result<()> {
    let data = context.input(0).as_strings()?;
    let splits = splits(context, 1)?;
    if splits.last() != Some(&data.len()) {
        let text = format!("the splits must end with the number of strings, {}", data.len());
        return Err(Error::invalid_argument(text));
    }
    let (mut runs, mut made) = (Vec::new(), vec![0]);
    for pair in splits.windows(2) {
        let row = &data[pair[0]..pair[1]];
        let before = runs.len();
        for &width in &rules.widths {
            let count = rules.count(row.len(), width);
            memory::grow(&mut runs, count)?;
            runs.extend((0..count).map(|start| rules.run(row, start, width)));
        }
        if rules.keeps_short && runs.len() == before && !row.is_empty() && !rules.widths.is_empty() {
            // One n-gram of the whole row, with pads only if the width of the pad was given explicitly.
            let pads = rules.pad.unwrap_or(0);
            let left = std::iter::repeat_n(&rules.left_pad, pads);
            let right = std::iter::repeat_n(&rules.right_pad, pads);
            let parts: Vec<&[u8]> = left.chain(row).chain(right).map(AsRef::as_ref).collect();
            runs.push(parts.join(&rules.separator[..]).into());
        }
        made.push(runs.len());
    }
    let count = runs.len();
    context.set(0, Tensor::from_strings(runs, [count])?);
    context.set(1, indices(made, rules.splits)?);
    Ok(())
}
