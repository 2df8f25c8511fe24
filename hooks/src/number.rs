//! Numbers for people to read.

/// Formats a number with this many significant digits, as C's `%g` does.
pub(crate) fn significant(value: f64, digits: usize) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if !value.is_finite() || value == 0.0 {
        return value.to_string();
    }
    // Rounding may carry into another digit, so the exponent is that of the rounded number.
    let scientific = format!("{value:.*e}", digits.saturating_sub(1));
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits = i32::try_from(digits).unwrap_or(i32::MAX);
    if (-4..digits).contains(&exponent) {
        let decimals = (digits - 1 - exponent) as usize;
        return trimmed(&format!("{value:.decimals$}")).to_owned();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trimmed(mantissa), exponent.abs())
}

fn trimmed(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_formatted_like_in_c() {
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
            assert_eq!(significant(value, 6), expected);
        }
        assert_eq!(significant(0.251234, 4), "0.2512");
    }
}
