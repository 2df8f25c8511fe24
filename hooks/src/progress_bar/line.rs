//! The text of a line of progress, fitted to a width.

use super::pace;
use std::time::Duration;

/// The progress at a step.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Line {
    pub(super) step: i64,
    pub(super) end: Option<i64>,
    /// Steps per second.
    pub(super) rate: Option<f64>,
    /// The texts of the tensors.
    pub(super) values: String,
}

/// The widest bar, and the narrowest one that is useful.
const BAR: std::ops::RangeInclusive<usize> = 4..=16;

impl Line {
    /// Returns the complete text without a bar.
    // The texts of the parts bring their own leading spaces, so a part that is absent leaves no gap.
    pub(super) fn text(&self) -> String {
        [self.position(), self.eta(), self.speed(), self.values.clone()].concat()
    }

    /// Returns as much as fits into a width. The bar shrinks and disappears first, then the ETA and the percentage; speed and values
    /// remain.
    pub(super) fn with_bar(&self, width: usize, color: bool) -> String {
        // Before the width is measured: a control character has no width, or moves the cursor.
        let text = printable(&self.text());
        let room = width.saturating_sub(length(&text) + "[] ".len());
        if let Some(end) = self.end.filter(|&end| end > 0 && room >= *BAR.start()) {
            return format!("[{}] {text}", bar(self.step, end, room.min(*BAR.end()), color));
        }
        if length(&text) <= width {
            return text;
        }
        let known = [self.speed(), self.values.clone()].concat();
        let shorter = [format!("{}{known}", self.position()), format!("step {}{known}", self.step)];
        let fitting = shorter.iter().map(|text| printable(text)).find(|text| length(text) <= width);
        fitting.unwrap_or_else(|| printable(&shorter[1]).chars().take(width).collect())
    }

    fn position(&self) -> String {
        let step = self.step;
        match self.end {
            Some(end) if end > 0 => {
                let share = step.clamp(0, end) as f64 / end as f64;
                // Rounded down, so that 100% is shown only at the end.
                format!("step {step}/{end} {:.0}%", (share * 100.0).floor())
            }
            _ => format!("step {step}"),
        }
    }

    fn eta(&self) -> String {
        let left = |rate: f64| {
            let steps = self.end?.saturating_sub(self.step).max(0);
            Duration::try_from_secs_f64(steps as f64 / rate).ok()
        };
        let left = self.rate.and_then(left);
        left.map(|left| format!("  ETA {}", pace::clock_face(left))).unwrap_or_default()
    }

    fn speed(&self) -> String {
        self.rate.map(|rate| format!("  {} steps/s", pace::readable(rate))).unwrap_or_default()
    }
}

fn bar(step: i64, end: i64, width: usize, color: bool) -> String {
    let share = step.clamp(0, end) as f64 / end as f64;
    let done = (share * width as f64) as usize;
    let head = usize::from(done < width && step > 0);
    let (done, left) = ("=".repeat(done) + &">"[..head], "-".repeat(width - done - head));
    if color { format!("\x1b[36m{done}\x1b[0m{left}") } else { done + &left }
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// Replaces characters that would move the cursor.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(step: i64, end: Option<i64>, rate: Option<f64>, values: &str) -> Line {
        Line { step, end, rate, values: values.to_owned() }
    }

    fn text(step: i64, end: Option<i64>, rate: Option<f64>, values: &str) -> String {
        line(step, end, rate, values).text()
    }

    #[test]
    fn the_text_has_position_eta_speed_and_values() {
        let values = "  loss 0.25";
        assert_eq!(text(0, None, None, ""), "step 0");
        assert_eq!(text(7, None, Some(3.0), values), "step 7  3.00 steps/s  loss 0.25");
        let far = "step 1690/4000 42%  ETA 0:23  100 steps/s  loss 0.25";
        assert_eq!(text(1690, Some(4000), Some(100.0), values), far);
        assert_eq!(text(4000, Some(4000), Some(100.0), ""), "step 4000/4000 100%  ETA 0:00  100 steps/s");
        assert_eq!(text(3999, Some(4000), None, ""), "step 3999/4000 99%", "not done before it is done");
        assert_eq!(text(9, Some(4), Some(1.0), ""), "step 9/4 100%  ETA 0:00  1.00 steps/s");
        let endless = format!("step 0/{} 0%  0.00 steps/s", i64::MAX);
        assert_eq!(text(0, Some(i64::MAX), Some(1e-9), ""), endless, "longer than a clock can show");
        assert_eq!(text(3, Some(0), None, ""), "step 3");
    }

    #[test]
    fn bars_show_the_share_that_is_done() {
        let drawn = |step, end| line(step, end, None, "").with_bar(80, false);
        assert_eq!(drawn(0, Some(4)), "[----------------] step 0/4 0%");
        assert_eq!(drawn(1, Some(4)), "[====>-----------] step 1/4 25%");
        assert_eq!(drawn(4, Some(4)), "[================] step 4/4 100%");
        assert_eq!(drawn(9, Some(4)), "[================] step 9/4 100%", "beyond the end");
        assert_eq!(drawn(3, None), "step 3");
        let colored = line(2, Some(4), None, "").with_bar(80, true);
        assert_eq!(colored, "[\x1b[36m========>\x1b[0m-------] step 2/4 50%");
    }

    #[test]
    fn a_narrow_terminal_drops_the_bar_first() {
        let line = line(1690, Some(4000), Some(100.0), "  loss 0.25");
        let all = "step 1690/4000 42%  ETA 0:23  100 steps/s  loss 0.25"; // 52 characters
        for (width, expected) in [
            (80, format!("[======>---------] {all}")),
            (71, format!("[======>---------] {all}")),
            (63, format!("[===>----] {all}")),
            (59, format!("[=>--] {all}")),
            (58, all.to_owned()),
            (52, all.to_owned()),
            (51, "step 1690/4000 42%  100 steps/s  loss 0.25".to_owned()),
            (41, "step 1690  100 steps/s  loss 0.25".to_owned()),
            (20, "step 1690  100 steps".to_owned()),
            (0, String::new()),
        ] {
            assert_eq!(line.with_bar(width, false), expected, "{width}");
        }
    }

    #[test]
    fn values_do_not_move_the_cursor() {
        let text = line(1, None, None, "  name \x1b[2Jx\n").with_bar(80, false);
        assert_eq!(text, "step 1  name ?[2Jx?");
    }
}
