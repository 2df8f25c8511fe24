//! Numbers for people.

use std::fmt;

/// A number with six significant digits, as C's `%g` prints it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Significant(pub(crate) f64);

const DIGITS: i32 = 6;

impl fmt::Display for Significant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.0;
        if !value.is_finite() || value == 0.0 {
            return write!(f, "{}", if value.is_nan() { "nan".to_owned() } else { value.to_string() });
        }
        // Rounding may carry into another digit, so the exponent is that of the rounded number.
        let scientific = format!("{value:.*e}", DIGITS as usize - 1);
        let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        if (-4..DIGITS).contains(&exponent) {
            let decimals = (DIGITS - 1 - exponent) as usize;
            return f.write_str(trimmed(&format!("{value:.decimals$}")));
        }
        let sign = if exponent < 0 { '-' } else { '+' };
        write!(f, "{}e{sign}{:02}", trimmed(mantissa), exponent.abs())
    }
}

fn trimmed(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_c_prints_them() {
        let printed = |value: f64| Significant(value).to_string();
        for (value, expected) in [
            (123.456789, "123.457"),
            (0.1, "0.1"),
            (100.0, "100"),
            (0.00012345678, "0.000123457"),
            (0.00001, "1e-05"),
            (999999.5, "1e+06"),
            (123456789.0, "1.23457e+08"),
            (-2.5, "-2.5"),
            (0.0, "0"),
            (f64::INFINITY, "inf"),
            (f64::NAN, "nan"),
        ] {
            assert_eq!(printed(value), expected);
        }
    }
}
