//! Numbers as text, as C's `printf` writes them.
//!
//! `precision`, `width`, `fill` and the flags `scientific` and `shortest` select the conversion. Without them
//! floats have six decimals, as with C's `%f`.
//!
//! # Semantics
//!
//! `AsString` takes a tensor of numbers, `bool` or strings and returns strings of the same shape.
//!
//! | dtype | text |
//! | --- | --- |
//! | floats | `%f`, with `scientific` `%e`, with `shortest` `%g`; `nan`, `inf`, `-inf` |
//! | complex numbers | the two parts in parentheses, each as a float of the format: `(1.000000,-2.000000)` |
//! | integers | decimal; `precision`, `scientific` and `shortest` are refused |
//! | `bool` | `true` or `false`, without a width |
//! | strings | as they are, filled up to the width |
//!
//! `fill` is empty for blanks on the left, `0` for zeros after the sign, `+` for a sign in front of positive
//! numbers as well (but unsigned ones), a blank for a blank instead of that sign, `-` for blanks on the right.
//! Floats narrower than `float64` are converted first, so they show the digits of their exact value. Combinations that C does not have are
//! `InvalidArgument` when the plan is compiled.
//!
//! ```text
//! width 8, fill 0, precision 2: [1.5, -2]   ->   ["00001.50", "-0002.00"]
//! ```

use crate::kernel::{Kernel, KernelContext, NodeSpec};
use crate::kernels::math::boxed;
use crate::registry::Registry;
use session_core::{Error, Result};
use tensor::{Bytes, Complex, DType, Tensor, memory};

/// Registers `AsString`.
pub(super) fn register(registry: &mut Registry) {
    registry.add("AsString", as_string);
}

/// The format of a number.
#[derive(Clone, Debug)]
struct Format {
    /// The number of digits after the point. For `Shortest` the number of significant digits, of which there
    /// is at least one.
    precision: usize,
    /// The notation of numbers.
    notation: Notation,
    /// The minimum width; shorter texts are filled up. In bytes.
    width: usize,
    /// The way in which short texts are filled up.
    fill: Fill,
}

/// The notations of floats.
#[derive(Clone, Copy, Debug)]
enum Notation {
    /// Without an exponent, as `%f`.
    Fixed,
    /// With an exponent, as `%e`.
    Scientific,
    /// The shorter of both, as `%g`.
    Shortest,
}

/// The ways to fill up a short text.
#[derive(Clone, Copy, Debug)]
enum Fill {
    /// Blanks before the text.
    Before,
    /// Zeros after the sign. Not for NaN and infinities.
    Zeros,
    /// This byte, a plus or a blank, where a negative number has its sign; then blanks before the text.
    Signed(u8),
    /// Blanks after the text.
    After,
}

/// Makes the kernel.
///
/// Fails with `InvalidArgument` for contradicting attributes, with `Unimplemented` for handles.
fn as_string(spec: &NodeSpec<'_>) -> Result<Box<dyn Kernel>> {
    let dtype = spec.input_dtype(0);
    let (scientific, shortest) = (spec.bool("scientific")?, spec.bool("shortest")?);
    if scientific && shortest {
        return Err(Error::invalid_argument("Cannot select both scientific and shortest notation"));
    }
    let precision = spec.int("precision")?;
    let has_fraction = dtype.is_floating() || dtype.is_complex();
    if !has_fraction && (scientific || shortest || precision > -1) {
        let text = format!("precision, scientific and shortest are not supported for datatype {dtype}");
        return Err(Error::invalid_argument(text));
    }
    let fill = match spec.str("fill")? {
        "" => Fill::Before,
        "0" => Fill::Zeros,
        " " | "+" if is_unsigned(dtype) => Fill::Before,
        " " => Fill::Signed(b' '),
        "+" => Fill::Signed(b'+'),
        "-" => Fill::After,
        other => return Err(Error::invalid_argument(format!("Fill argument not supported: '{other}'"))),
    };
    let notation = match (scientific, shortest) {
        (true, _) => Notation::Scientific,
        (_, true) => Notation::Shortest,
        _ => Notation::Fixed,
    };
    let format = Format {
        precision: usize::try_from(precision).unwrap_or(if has_fraction { 6 } else { 0 }),
        notation,
        width: usize::try_from(spec.int("width")?).unwrap_or(0),
        fill,
    };
    match dtype {
        DType::Bool => Ok(boxed(|context| written::<bool>(context, 0, |value| Ok(value.to_string().into())))),
        DType::String => Ok(boxed(move |context| {
            memory::check(context.input(0).elements().saturating_mul(format.width))?;
            super::map(context, |text| format.padded_text(text))
        })),
        DType::Complex64 => Ok(boxed(move |context| {
            written::<Complex<f32>>(context, format.least(), |value| {
                format.complex(value.re.into(), value.im.into())
            })
        })),
        DType::Complex128 => Ok(boxed(move |context| {
            written::<Complex<f64>>(context, format.least(), |value| format.complex(value.re, value.im))
        })),
        _ => for_dtype!(real dtype, T => Ok(boxed(move |context| {
            written::<T>(context, format.least(), |value| format.number(&value.to_string(), f64_of(value)))
        }))),
    }
}

/// Returns true for integers without a sign, to which C's flags for a sign do not apply.
fn is_unsigned(dtype: DType) -> bool {
    matches!(dtype, DType::UInt8 | DType::UInt16 | DType::UInt32 | DType::UInt64)
}

/// Formats all elements of a tensor.
///
/// `least` is the number of bytes that each text has at least; it is checked against the memory limit before
/// the first text is made, since a width or precision may be huge.
fn written<T: tensor::Element>(
    context: &mut KernelContext<'_>,
    least: usize,
    write: impl Fn(T) -> Result<Bytes>,
) -> Result<()> {
    let shape = context.input(0).shape().clone();
    memory::check(shape.elements().saturating_mul(least))?;
    let texts = memory::try_collected(context.slice::<T>(0)?.iter().map(|&value| write(value)))?;
    context.set(0, Tensor::from_strings(texts, shape)?);
    Ok(())
}

/// A number that is converted if it is a float. Integers are formatted from their own text.
///
/// An `i64` beyond `2^53` would change its digits on the way through `f64`.
trait AsFloat {
    /// True for floats.
    const IS_FLOAT: bool;
    /// Converts a float to `f64`.
    fn to_float(self) -> f64;
}

/// Implements the conversion.
macro_rules! to_float {
    ($($type:ty: $is_float:literal, |$value:ident| $convert:expr;)*) => {$(
        impl AsFloat for $type {
            const IS_FLOAT: bool = $is_float;
            fn to_float(self) -> f64 {
                let $value = self;
                $convert
            }
        }
    )*};
}

to_float! {
    f32: true, |x| x.into();
    f64: true, |x| x;
    tensor::f16: true, |x| x.to_f64();
    tensor::bf16: true, |x| x.to_f64();
    i8: false, |x| x.into();
    i16: false, |x| x.into();
    i32: false, |x| x.into();
    i64: false, |x| x as f64;
    u8: false, |x| x.into();
    u16: false, |x| x.into();
    u32: false, |x| x.into();
    u64: false, |x| x as f64;
}

/// Returns a float as `f64`; `None` for integers.
///
/// Selects between the two ways in [`Format::number`].
fn f64_of<T: AsFloat>(value: T) -> Option<f64> {
    T::IS_FLOAT.then(|| value.to_float())
}

impl Format {
    /// Returns the bytes that every finite number takes at least.
    ///
    /// An upper bound is not known before formatting.
    fn least(&self) -> usize {
        let digits = if matches!(self.notation, Notation::Shortest) { 0 } else { self.precision };
        self.width.max(digits)
    }

    /// Returns the text of a number, filled up to the width. `float` is its value if it is a float, `integer`
    /// its text otherwise.
    fn number(&self, integer: &str, float: Option<f64>) -> Result<Bytes> {
        let (text, finite): (Bytes, bool) = match float {
            None => (Bytes::copy_from_slice(integer.as_bytes()), true),
            Some(value) if value.is_nan() => {
                // C prints the sign of a NaN.
                (if value.is_sign_negative() { "-nan" } else { "nan" }.into(), false)
            }
            Some(value) if value.is_infinite() => (if value < 0.0 { "-inf" } else { "inf" }.into(), false),
            Some(value) => (self.digits(value)?, true),
        };
        match self.fill {
            Fill::Signed(sign) if !text.starts_with(b"-") => {
                self.padded(&with_run(&text, 0, sign, 1)?, finite)
            }
            _ => self.padded(&text, finite),
        }
    }

    /// Returns the text of a complex number: both parts are filled up to the width by themselves.
    fn complex(&self, re: f64, im: f64) -> Result<Bytes> {
        let [re, im] = [self.number("", Some(re))?, self.number("", Some(im))?];
        let mut out = memory::reserve(re.len().saturating_add(im.len()).saturating_add(3))?;
        for part in [&b"("[..], &re, b",", &im, b")"] {
            out.extend_from_slice(part);
        }
        Ok(out.into())
    }

    /// Formats a float.
    ///
    /// The value is finite. Precisions beyond `DIGITS` are completed by zeros, which need not be computed.
    fn digits(&self, value: f64) -> Result<Bytes> {
        let precision = self.precision.min(DIGITS);
        let text = match self.notation {
            Notation::Fixed => format!("{value:.precision$}"),
            Notation::Scientific => scientific(value, precision),
            Notation::Shortest => return Ok(shortest(value, precision.max(1)).into()),
        };
        let end = text.find('e').unwrap_or(text.len());
        with_run(text.as_bytes(), end, b'0', self.precision - precision)
    }

    /// Fills up the text of a number. NaN and infinities are never filled with zeros.
    ///
    /// `finite` is false for text that is not digits.
    fn padded(&self, text: &[u8], finite: bool) -> Result<Bytes> {
        let missing = self.width.saturating_sub(text.len());
        match self.fill {
            Fill::Zeros if finite => with_run(text, usize::from(text.starts_with(b"-")), b'0', missing),
            Fill::After => with_run(text, text.len(), b' ', missing),
            _ => with_run(text, 0, b' ', missing),
        }
    }

    /// Fills up a text.
    fn padded_text(&self, text: &Bytes) -> Result<Bytes> {
        if self.width <= text.len() { Ok(text.clone()) } else { self.padded(text, false) }
    }
}

/// More digits than any double has after its decimal point; from there on there are zeros.
///
/// The smallest subnormal number has 1074 of them.
const DIGITS: usize = 1100;

/// Returns the text with a byte inserted `count` times at a position.
///
/// Memory is requested at once and checked, so an absurd width is an error.
fn with_run(text: &[u8], at: usize, byte: u8, count: usize) -> Result<Bytes> {
    let mut out = memory::reserve(text.len().saturating_add(count))?;
    out.extend_from_slice(&text[..at]);
    out.resize(at + count, byte);
    out.extend_from_slice(&text[at..]);
    Ok(out.into())
}

/// Formats as `%e`, with an exponent of at least two digits.
///
/// Rust writes `1e5` where C writes `1e+05`.
fn scientific(value: f64, precision: usize) -> String {
    let text = format!("{value:.precision$e}");
    let (digits, exponent) = text.split_once('e').expect("this notation has an exponent");
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    format!("{digits}e{sign}{exponent:0>2}")
}

/// Formats as `%g`, without zeros at the end, and with an exponent only where it saves room.
///
/// `precision` is the number of significant digits, at least 1. As in C, an exponent is used below -4 and
/// from `precision` on: 1e10 is `1e+10` with 6 digits and `10000000000` with 12.
pub(super) fn shortest(value: f64, precision: usize) -> String {
    // The exponent after rounding decides: 999999.5 has 7 digits with a precision of 6.
    let rounded = scientific(value, precision - 1);
    let (digits, exponent) = rounded.split_once('e').expect("this notation has an exponent");
    let power: i64 = exponent.parse().expect("an exponent is a number");
    let trimmed = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    match usize::try_from(precision as i64 - 1 - power) {
        Ok(decimals) if power >= -4 => trimmed(&format!("{value:.decimals$}")),
        _ => format!("{}e{exponent}", trimmed(digits)),
    }
}
