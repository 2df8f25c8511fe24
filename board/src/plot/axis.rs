//! Positions of values on an axis, and its ticks.
//!
//! A position is linear in the value, or in its logarithm: `(value - from) / (to - from)`, limited to the
//! range from 0 to 1. Ticks are multiples of a step of the form 1, 2 or 5 times a power of ten, the least
//! that yields no more than the requested number of intervals. On a logarithmic axis the step is a whole
//! number of powers of ten.
//!
//! Differences of ends are computed of their halves, because the difference of two finite numbers may be
//! infinite.

/// An axis from its least to its largest value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    /// The value at the lower end; its decimal logarithm on a logarithmic axis.
    from: f64,
    /// The value at the upper end.
    to: f64,
    /// True if positions are proportional to logarithms.
    log: bool,
}

impl Scale {
    /// Creates an axis that contains these values, with `room` for a margin of 8 % on both sides. A single value is
    /// in the middle of the axis.
    pub(super) fn linear(values: impl Iterator<Item = f64>, room: bool) -> Scale {
        let (mut from, mut to) = ends(values);
        if from == to {
            let half = if from == 0.0 { 1.0 } else { from.abs() / 2.0 };
            (from, to) = (from - half, to + half);
        } else if room {
            // Halves first: the difference of the largest numbers is infinite.
            let room = (to / 2.0 - from / 2.0) * 0.08;
            (from, to) = ((from - room).max(f64::MIN), (to + room).min(f64::MAX));
        }
        Scale { from, to, log: false }
    }

    /// Creates an axis of powers of ten that contains these values, which must be positive.
    pub(super) fn logarithmic(values: impl Iterator<Item = f64>) -> Scale {
        let (from, to) = ends(values.map(f64::log10));
        let (from, to) = if from == to { (from - 0.5, to + 0.5) } else { (from, to) };
        Scale { from, to, log: true }
    }

    /// Returns the position of a value, from 0 to 1.
    pub(super) fn share(&self, value: f64) -> f64 {
        let value = if self.log { value.log10() } else { value };
        // Halves, as in `linear`: the difference of two large numbers may be infinite.
        ((value / 2.0 - self.from / 2.0) / (self.to / 2.0 - self.from / 2.0)).clamp(0.0, 1.0)
    }

    /// Returns about `count` round values with their texts, in ascending order. On a logarithmic axis they are powers
    /// of ten.
    pub(super) fn ticks(&self, count: usize) -> Vec<(f64, String)> {
        let step = round_step((self.to / 2.0 - self.from / 2.0) * 2.0 / count.max(1) as f64);
        let step = if self.log { step.max(1.0).round() } else { step };
        let first = (self.from / step).ceil();
        let ticks = (0..=count * 2).map(|index| (first + index as f64) * step);
        // Rounding may put the last tick a little beyond the end.
        let ticks = ticks.take_while(|tick| *tick <= self.to + step * 1e-9);
        if self.log {
            return ticks.map(|tick| (10f64.powf(tick), text(10f64.powf(tick)))).collect();
        }
        // Enough decimal places to distinguish neighbors.
        let places = (-step.log10().floor()).clamp(0.0, 12.0) as usize;
        let largest = self.from.abs().max(self.to.abs());
        let plain = (1e-5..1e7).contains(&step.max(largest.min(1e6))) && largest < 1e7;
        let tick_text = |tick: f64| match tick {
            _ if tick.abs() < step / 2.0 => "0".to_owned(),
            _ if plain => format!("{tick:.places$}"),
            _ => format!("{tick:.1e}"),
        };
        ticks.map(|tick| (tick, tick_text(tick))).collect()
    }
}

/// Returns the smallest and the largest value; 0 and 1 if there are none.
fn ends(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (mut from, mut to) = (f64::INFINITY, f64::NEG_INFINITY);
    values.for_each(|value| (from, to) = (from.min(value), to.max(value)));
    if from <= to { (from, to) } else { (0.0, 1.0) }
}

/// Returns the next larger number of the form 1, 2 or 5 times a power of ten.
fn round_step(step: f64) -> f64 {
    if !(step.is_finite() && step > 0.0) {
        return 1.0;
    }
    let power = 10f64.powf(step.log10().floor());
    let lead = [1.0, 2.0, 5.0].into_iter().find(|lead| lead * power >= step * (1.0 - 1e-9));
    lead.unwrap_or(10.0) * power
}

/// Formats a number with about five significant digits; very large and very small ones with an exponent.
pub(super) fn text(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() => value.to_string(),
        0.0 => "0".to_owned(),
        size if !(1e-4..1e7).contains(&size) => format!("{value:.3e}"),
        size => {
            let places = (4.0 - size.log10().floor()).clamp(0.0, 8.0) as usize;
            let text = format!("{value:.places$}");
            if text.contains('.') {
                text.trim_end_matches('0').trim_end_matches('.').to_owned()
            } else {
                text
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        let texts = |scale: Scale, count| -> Vec<String> {
            scale.ticks(count).into_iter().map(|(_, text)| text).collect()
        };
        let linear = |from: f64, to: f64| Scale::linear([from, to].into_iter(), false);
        assert_eq!(texts(linear(0.0, 1000.0), 5), ["0", "200", "400", "600", "800", "1000"]);
        assert_eq!(texts(linear(-0.1, 0.1), 4), ["-0.10", "-0.05", "0", "0.05", "0.10"]);
        assert_eq!(texts(linear(3.0, 3.0), 3), ["2", "3", "4"]);
        assert_eq!(
            texts(Scale::logarithmic([0.01, 100.0].into_iter()), 4),
            ["0.01", "0.1", "1", "10", "100"]
        );
        assert!(texts(linear(f64::MIN, f64::MAX), 4).len() <= 9);
    }

    #[test]
    fn numbers_fit_in_a_few_characters() {
        for (value, expected) in [(0.5, "0.5"), (1234.5678, "1234.6"), (1e-9, "1.000e-9"), (-2.0, "-2")] {
            assert_eq!(text(value), expected);
        }
    }
}
