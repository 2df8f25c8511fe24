//! The display form of tensors, which matches NumPy's.
//!
//! Formatting has two phases: first the shown elements become words, because their common width and precision
//! depend on all of them. Then brackets, line breaks, and dots are placed around the words.

mod float;
mod text;

use crate::{Complex, DType, Tensor, bf16, f16};
use float::{FloatFormat, Number};
use std::fmt;

/// Tensors with more elements are summarized: only the first and last few along each dimension are shown.
const THRESHOLD: usize = 1000;
/// The number of elements shown at each end of a summarized dimension.
const EDGE: usize = 3;
/// The width at which lines are broken, where possible.
const LINE_WIDTH: usize = 75;
/// Tensors of a higher rank are shown as vectors: that many brackets are unreadable.
const MAX_RANK: usize = 64;

/// Writes the elements as NumPy's `str` does: nested brackets, aligned columns, the shortest digits that
/// distinguish a float (at most eight after the point), and a summary of tensors with more than 1000
/// elements. Strings look like Python bytes, quantized and eight-bit floating-point types like their raw
/// numbers, and handles like `<resource>`.
///
/// ```
/// use tensor::Tensor;
/// assert_eq!(Tensor::from([[1.0f32, 2.5], [-3.0, 4.0]]).to_string(), "[[ 1.   2.5]\n [-3.   4. ]]");
/// assert_eq!(Tensor::scalar(0.1f32).to_string(), "0.1");
/// ```
impl fmt::Display for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&render(self))
    }
}

/// Writes the dtype, shape, and elements, such as `Tensor(float32[2], [1. 2.])`.
impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = render(self);
        let gap = if values.contains('\n') { '\n' } else { ' ' };
        write!(f, "Tensor({}{},{gap}{values})", self.dtype(), self.shape())
    }
}

fn render(tensor: &Tensor) -> String {
    let flat = [tensor.elements()];
    let dims = if tensor.shape().rank() > MAX_RANK { &flat } else { tensor.shape().dims() };
    let summarised = tensor.elements() > THRESHOLD;
    if tensor.elements() == 0 {
        return "[]".to_owned();
    }
    let shown = shown(dims, summarised);
    let mut words = words(tensor, &shown, dims.is_empty()).into_iter();
    let mut text = String::new();
    Layout { summarised, words: &mut words }.write(&mut text, dims, 1);
    text
}

/// Returns the positions shown along a dimension and the place of the dots among them.
fn along(dim: usize, summarised: bool) -> (Vec<usize>, Option<usize>) {
    if summarised && dim > 2 * EDGE {
        ((0..EDGE).chain(dim - EDGE..dim).collect(), Some(EDGE))
    } else {
        ((0..dim).collect(), None)
    }
}

/// Returns the indices of the shown elements, in order.
fn shown(dims: &[usize], summarised: bool) -> Vec<usize> {
    dims.iter().fold(vec![0], |starts, &dim| {
        let (positions, _) = along(dim, summarised);
        starts.iter().flat_map(|start| positions.iter().map(move |at| start * dim + at)).collect()
    })
}

/// Arranges words in brackets and lines.
struct Layout<'a> {
    summarised: bool,
    words: &'a mut dyn Iterator<Item = String>,
}

impl Layout<'_> {
    /// Writes the part of a tensor with the given remaining dimensions, `indent` brackets deep.
    fn write(&mut self, text: &mut String, dims: &[usize], indent: usize) {
        match dims {
            [] => text.extend(self.words.next()),
            [dim] => self.write_row(text, *dim, indent),
            [dim, inner @ ..] => {
                let (positions, dots) = along(*dim, self.summarised);
                text.push('[');
                for at in 0..positions.len() {
                    if at > 0 {
                        // As NumPy does, one line break for each dimension that ends: matrices are set apart
                        // by an empty line.
                        text.extend(std::iter::repeat_n('\n', inner.len()));
                        text.extend(std::iter::repeat_n(' ', indent));
                    }
                    if dots == Some(at) {
                        text.push_str("...");
                        text.extend(std::iter::repeat_n('\n', inner.len()));
                        text.extend(std::iter::repeat_n(' ', indent));
                    }
                    self.write(text, inner, indent + 1);
                }
                text.push(']');
            }
        }
    }

    fn write_row(&mut self, text: &mut String, dim: usize, indent: usize) {
        let (positions, dots) = along(dim, self.summarised);
        // One column stays free for each closing bracket.
        let width = LINE_WIDTH.saturating_sub(indent);
        let mut line = Line { text, used: indent, indent, width };
        line.text.push('[');
        for at in 0..positions.len() {
            if dots == Some(at) {
                line.word("...");
            }
            if let Some(word) = self.words.next() {
                line.word(&word);
            }
        }
        line.text.push(']');
    }
}

/// The line of a row that is being filled.
struct Line<'a> {
    text: &'a mut String,
    /// The columns in use, including the indentation and the blank before the next word.
    used: usize,
    indent: usize,
    width: usize,
}

impl Line<'_> {
    fn word(&mut self, word: &str) {
        // The first word of a row stays on its line even if it is too long: a break there would gain nothing.
        let first = self.text.ends_with('[') && self.used == self.indent;
        if !first && self.used + word.len() > self.width {
            // Words are padded on the right, and NumPy leaves no blanks at the end of a line.
            let kept = self.text.trim_end().len();
            self.text.truncate(kept);
            self.text.push('\n');
            self.text.extend(std::iter::repeat_n(' ', self.indent));
            self.used = self.indent;
        } else if !first {
            self.text.push(' ');
        }
        self.text.push_str(word);
        self.used += word.len() + 1;
    }
}

/// Formats the shown elements as words, with a common width where NumPy does so.
fn words(tensor: &Tensor, shown: &[usize], scalar: bool) -> Vec<String> {
    macro_rules! pick {
        ($type:ty, $map:expr) => {
            tensor
                .as_slice::<$type>()
                .map(|all| shown.iter().map(|&at| all[at]).map($map).collect::<Vec<_>>())
                .unwrap_or_default()
        };
    }
    match tensor.dtype() {
        DType::Float32 => floats(&pick!(f32, Number::from), scalar),
        DType::Float64 => floats(&pick!(f64, Number::from), scalar),
        DType::Float16 => floats(&pick!(f16, Number::from), scalar),
        DType::BFloat16 => floats(&pick!(bf16, Number::from), scalar),
        DType::Complex64 => {
            complexes(&pick!(Complex<f32>, |c| [Number::from(c.re), Number::from(c.im)]), scalar)
        }
        DType::Complex128 => {
            complexes(&pick!(Complex<f64>, |c| [Number::from(c.re), Number::from(c.im)]), scalar)
        }
        DType::Bool => pick!(bool, |b| text::of_bool(b, scalar)),
        DType::Int32 => aligned(pick!(i32, |i| i.to_string())),
        DType::UInt8 => aligned(pick!(u8, |i| i.to_string())),
        DType::Int16 => aligned(pick!(i16, |i| i.to_string())),
        DType::Int8 => aligned(pick!(i8, |i| i.to_string())),
        DType::Int64 => aligned(pick!(i64, |i| i.to_string())),
        DType::UInt16 => aligned(pick!(u16, |i| i.to_string())),
        DType::UInt32 => aligned(pick!(u32, |i| i.to_string())),
        DType::UInt64 => aligned(pick!(u64, |i| i.to_string())),
        DType::String => {
            let all = tensor.as_strings().unwrap_or_default();
            shown.iter().map(|&at| text::of_bytes(&all[at])).collect()
        }
        DType::Resource | DType::Variant => vec![format!("<{}>", tensor.dtype())],
        _ => aligned(raw(tensor, shown)),
    }
}

/// Formats the raw numbers of dtypes that have no Rust type.
fn raw(tensor: &Tensor, shown: &[usize]) -> Vec<String> {
    let bytes = tensor.as_bytes().unwrap_or_default();
    // A nibble dtype has one element per byte, with the sign extended, so it is read like a byte.
    let number = |at: usize| match tensor.dtype() {
        DType::QInt8 | DType::Int4 => bytes[at].cast_signed().to_string(),
        DType::QInt16 => i16::from_ne_bytes([bytes[2 * at], bytes[2 * at + 1]]).to_string(),
        DType::QUInt16 => u16::from_ne_bytes([bytes[2 * at], bytes[2 * at + 1]]).to_string(),
        DType::QInt32 => {
            let four = &bytes[4 * at..4 * at + 4];
            i32::from_ne_bytes([four[0], four[1], four[2], four[3]]).to_string()
        }
        _ => bytes[at].to_string(),
    };
    shown.iter().map(|&at| number(at)).collect()
}

fn aligned(words: Vec<String>) -> Vec<String> {
    let width = words.iter().map(String::len).max().unwrap_or(0);
    words.into_iter().map(|word| format!("{word:>width$}")).collect()
}

fn floats(numbers: &[Number], scalar: bool) -> Vec<String> {
    if scalar {
        return numbers.iter().map(Number::scalar).collect();
    }
    let format = FloatFormat::of(numbers, false);
    numbers.iter().map(|number| format.word(number)).collect()
}

fn complexes(numbers: &[[Number; 2]], scalar: bool) -> Vec<String> {
    if scalar {
        return numbers.iter().map(|[re, im]| float::complex_scalar(re, im)).collect();
    }
    let (res, ims): (Vec<_>, Vec<_>) = numbers.iter().map(|[re, im]| (re.clone(), im.clone())).unzip();
    let (re_format, im_format) = (FloatFormat::of(&res, false), FloatFormat::of(&ims, true));
    let word = |(re, im): (&Number, &Number)| {
        let im = im_format.word(im);
        let end = im.trim_end().len();
        // NumPy puts the `j` right behind the digits and the padding after it.
        format!("{}{}j{}", re_format.word(re), &im[..end], &im[end..])
    };
    res.iter().zip(&ims).map(word).collect()
}
