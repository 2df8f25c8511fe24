//! Formatting of floats: the shortest digits that distinguish a value from its neighbors, in one notation for
//! all elements of a tensor.

use crate::{bf16, f16};

/// The maximum number of digits after the point.
const PRECISION: usize = 8;

/// A float with the shortest digits of its own type. The value is exact, because every type fits a double.
#[derive(Clone)]
pub(super) struct Number {
    value: f64,
    /// The digits without sign and point. The first is nonzero unless the value is 0. Empty if the value is
    /// not finite.
    digits: String,
    /// The power of ten of the first digit.
    exponent: i32,
    kind: &'static Kind,
}

/// The differences between the floating-point types.
struct Kind {
    /// Rounds a double to the type.
    round: fn(f64) -> f64,
    /// The thresholds for scientific notation: in a tensor of rank 1 or more, and for a scalar.
    large: [f64; 2],
}

impl Number {
    fn new(value: f64, shortest: &str, kind: &'static Kind) -> Number {
        let (mantissa, exponent) = shortest.split_once('e').unwrap_or(("", "0"));
        let digits = mantissa.chars().filter(char::is_ascii_digit).collect();
        let exponent = exponent.parse().unwrap_or(0);
        Number { value, digits, exponent, kind }
    }

    fn is_finite(&self) -> bool {
        self.value.is_finite()
    }

    fn sign(&self, plus: bool) -> &'static str {
        match (self.value.is_nan(), self.value.is_sign_negative()) {
            (false, true) => "-",
            _ if plus => "+",
            _ => "",
        }
    }

    /// Returns the digits before and after the point, the latter without trailing zeros and at most `most` of
    /// them. Beyond that, the exact value is rounded rather than its shortest digits.
    fn positional(&self, most: usize) -> (String, String) {
        let count = self.digits.len() as i32;
        // Rounding the shortest digits would round twice: 0.123456785 may be shortened up to the tie and then
        // rounded away from it.
        if count - 1 - self.exponent > most as i32 {
            return split(&format!("{:.most$}", self.value.abs()));
        }
        let zeros = |n: i32| "0".repeat(n.max(0) as usize);
        if self.exponent < 0 {
            return ("0".to_owned(), trimmed(&(zeros(-self.exponent - 1) + &self.digits)));
        }
        let whole = (self.exponent + 1).min(count) as usize;
        let int = self.digits[..whole].to_owned() + &zeros(self.exponent + 1 - count);
        (int, trimmed(&self.digits[whole..]))
    }

    /// Returns the first digit, the remaining digits without trailing zeros, and the power of ten.
    fn scientific(&self, most: usize) -> (String, String, i32) {
        if self.digits.len() > most + 1 {
            let rounded = format!("{:.most$e}", self.value.abs());
            let (mantissa, exponent) = rounded.split_once('e').unwrap_or((&rounded, "0"));
            let (int, fraction) = split(mantissa);
            return (int, fraction, exponent.parse().unwrap_or(0));
        }
        (self.digits[..1].to_owned(), trimmed(&self.digits[1..]), self.exponent)
    }

    /// Formats a scalar.
    pub(super) fn scalar(&self) -> String {
        self.alone("", ".0", false)
    }

    /// Formats as [`scalar`](Number::scalar) does, with `empty` for the point and fraction of an integral
    /// value.
    fn alone(&self, empty_scientific: &str, empty: &str, plus: bool) -> String {
        let sign = self.sign(plus);
        let size = self.value.abs();
        if !self.is_finite() {
            return format!("{sign}{}", if self.value.is_nan() { "nan" } else { "inf" });
        }
        let fraction = |digits: &str, empty: &str| match digits {
            "" => empty.to_owned(),
            digits => format!(".{digits}"),
        };
        if size == 0.0 || (1e-4..self.kind.large[1]).contains(&size) {
            let (int, digits) = self.positional(usize::from(u16::MAX));
            return format!("{sign}{int}{}", fraction(&digits, empty));
        }
        let (int, digits, exponent) = self.scientific(usize::from(u16::MAX));
        format!("{sign}{int}{}e{exponent:+03}", fraction(&digits, empty_scientific))
    }
}

/// Formats a complex scalar as Python does.
pub(super) fn complex_scalar(re: &Number, im: &Number) -> String {
    if re.value == 0.0 && re.value.is_sign_positive() {
        return format!("{}j", im.alone("", "", false));
    }
    format!("({}{}j)", re.alone("", "", false), im.alone("", "", true))
}

fn trimmed(digits: &str) -> String {
    digits.trim_end_matches('0').to_owned()
}

fn split(text: &str) -> (String, String) {
    let (int, fraction) = text.split_once('.').unwrap_or((text, ""));
    (int.to_owned(), trimmed(fraction))
}

impl From<f64> for Number {
    fn from(value: f64) -> Number {
        // NumPy's limits: a type changes to scientific notation where its own digits end, doubles in an array
        // already at 1e8.
        static KIND: Kind = Kind { round: |double| double, large: [1e8, 1e16] };
        Number::new(value, &shortest(value, &KIND), &KIND)
    }
}

impl From<f32> for Number {
    fn from(value: f32) -> Number {
        static KIND: Kind = Kind { round: |double| f64::from(double as f32), large: [1e6, 1e6] };
        Number::new(f64::from(value), &shortest(f64::from(value), &KIND), &KIND)
    }
}

impl From<f16> for Number {
    fn from(value: f16) -> Number {
        static KIND: Kind = Kind { round: |double| f64::from(f16::from_f64(double)), large: [1e3, 1e3] };
        Number::new(f64::from(value), &shortest(f64::from(value), &KIND), &KIND)
    }
}

impl From<bf16> for Number {
    fn from(value: bf16) -> Number {
        static KIND: Kind = Kind { round: |double| f64::from(bf16::from_f64(double)), large: [1e6, 1e6] };
        Number::new(f64::from(value), &shortest(f64::from(value), &KIND), &KIND)
    }
}

/// Returns the fewest digits that the type parses back to the value, the nearest among them, ties to even.
fn shortest(value: f64, kind: &Kind) -> String {
    // `{:e}` alone breaks ties away from zero.
    let candidates = (0..17).map(|digits| format!("{value:.digits$e}"));
    let mut matching =
        candidates.filter(|text| text.parse::<f64>().is_ok_and(|double| (kind.round)(double) == value));
    matching.next().unwrap_or_else(|| format!("{value:e}"))
}

/// The common format of the numbers of a tensor.
pub(super) struct FloatFormat {
    plus: bool,
    /// Columns before the point, including the sign.
    left: usize,
    /// Columns after the point.
    right: usize,
    /// The digits after the point and of the exponent, for scientific notation.
    scientific: Option<(usize, usize)>,
}

impl FloatFormat {
    /// Chooses the format for these numbers. With `plus`, positive numbers get a sign, too.
    pub(super) fn of(numbers: &[Number], plus: bool) -> FloatFormat {
        let finite = || numbers.iter().filter(|number| number.is_finite());
        let mut format = FloatFormat { plus, left: 0, right: 0, scientific: None };
        if wide(finite()) {
            format.fit_scientific(finite());
        } else {
            format.fit_positional(finite());
        }
        for number in numbers.iter().filter(|number| !number.is_finite()) {
            let len = number.alone("", "", plus).len();
            // `nan` and `inf` may use the columns of the point and the fraction, too, so they widen a column
            // only if they must.
            format.left = format.left.max(len.saturating_sub(format.right + 1));
        }
        format
    }

    fn fit_positional<'a>(&mut self, numbers: impl Iterator<Item = &'a Number>) {
        for number in numbers {
            let (int, fraction) = number.positional(PRECISION);
            self.left = self.left.max(number.sign(self.plus).len() + int.len());
            self.right = self.right.max(fraction.len());
        }
    }

    fn fit_scientific<'a>(&mut self, numbers: impl Iterator<Item = &'a Number>) {
        // NumPy writes at least two digits of an exponent.
        let (mut precision, mut exponent_digits) = (0, 2);
        for number in numbers {
            let (int, fraction, exponent) = number.scientific(PRECISION);
            self.left = self.left.max(number.sign(self.plus).len() + int.len());
            precision = precision.max(fraction.len());
            exponent_digits = exponent_digits.max(exponent.unsigned_abs().to_string().len());
        }
        self.right = precision + 2 + exponent_digits;
        self.scientific = Some((precision, exponent_digits));
    }

    /// Formats a number, padded to the common width.
    pub(super) fn word(&self, number: &Number) -> String {
        let width = self.left + 1 + self.right;
        if !number.is_finite() {
            return format!("{:>width$}", number.alone("", "", self.plus));
        }
        let sign = number.sign(self.plus);
        let (left, right) = (self.left, self.right);
        let Some((precision, exponent_digits)) = self.scientific else {
            let (int, fraction) = number.positional(PRECISION);
            return format!("{:>left$}.{fraction:<right$}", sign.to_owned() + &int);
        };
        // All numbers get the same number of digits: digits of the exact value follow the shortest ones.
        let exact = format!("{:.precision$e}", number.value.abs());
        let (mantissa, exponent) = exact.split_once('e').unwrap_or((&exact, "0"));
        let (int, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        let exponent_width = exponent_digits + 1;
        format!("{:>left$}.{fraction}e{exponent:+0exponent_width$}", sign.to_owned() + int)
    }
}

/// Returns true if the magnitudes differ too much, or are too large or too small, for positional notation.
fn wide<'a>(numbers: impl Iterator<Item = &'a Number>) -> bool {
    let sizes = numbers.filter(|number| number.value != 0.0).map(|number| (number.value.abs(), number.kind));
    let range = sizes.fold(None, |range, (size, kind)| match range {
        None => Some((size, size, kind)),
        Some((min, max, _)) => Some((size.min(min), size.max(max), kind)),
    });
    range.is_some_and(|(min, max, kind)| {
        // Rounded to the type, as NumPy computes them: in doubles, a quotient such as 1000.00001 of two
        // floats would exceed the limit.
        max >= kind.large[0] || min < (kind.round)(1e-4) || (kind.round)(max / min) > 1000.0
    })
}
