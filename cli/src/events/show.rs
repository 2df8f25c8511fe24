//! `monitored events show`: the values of a tag.
//!
//! Values that do not fit in a line, such as images, are described by their sizes.
//!
//! # Output
//!
//! One line for each value: the step, the time in seconds since 1970, and the value. Scalars have the shortest
//! decimal digits that identify the stored `f32` or `f64`, so a value can be compared with another program's. Points
//! that a restart replaced are left out.
//!
//! With `--json` there is one object. NaN and infinities are strings, since JSON has no numbers for them. The last key
//! of each point names the kind of its value:
//!
//! | key | content |
//! |---|---|
//! | `value` | the number of a scalar |
//! | `histogram` | `limits` and `counts` of the buckets, and `min`, `max`, `num`, `sum` and `sum_squares` |
//! | `image` | `width`, `height` and the number of encoded `bytes` |
//! | `audio` | `sample_rate`, `channels` and `frames` |
//! | `tensor` | `dtype`, `shape`, and `strings` if these are its elements |
//! | `unreadable` | the error of a tensor that is damaged |
//! | `other` | nothing, for a kind that is not known |

use super::run::each_event;
use crate::output::{Result, write_json};
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::PathBuf;
use summary::{EventData, Restarts, TagKind, Value, ValueData};
use tensor::text::escaped;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A run's folder, or one event file.
    path: PathBuf,
    /// The tag, as `monitored events list` prints it.
    tag: String,
    /// Print a JSON object.
    #[arg(long)]
    json: bool,
}

/// A value of the tag.
struct Point {
    /// The training step.
    step: i64,
    /// The time, in seconds since 1970.
    wall_time: f64,
    /// The value as it was written.
    value: Value,
    /// The number of a scalar.
    number: Option<f64>,
}

impl Arguments {
    /// Reads the whole run before it prints anything, because a later restart may void points that were already read.
    pub(crate) fn run(self, out: &mut dyn Write) -> Result {
        // Other tags are collected as well, for the message about an unknown one.
        let (mut points, mut known, mut others) = (Vec::new(), false, BTreeSet::new());
        // Only the first value of some tags names the plug-in.
        let mut plugin = None;
        let mut restarts = Restarts::new();
        let unreadable = each_event(&self.path, |_, event| {
            let void = restarts.observe(&event);
            if let Some(first) = void.and_then(|void| void.first_step_of(&self.tag)) {
                points.retain(|point: &Point| point.step < first);
            }
            let (step, wall_time) = (event.step, event.wall_time);
            let Some(EventData::Summary(summary)) = event.data else { return };
            for value in summary.values {
                if value.tag != self.tag {
                    others.insert(value.tag);
                    continue;
                }
                known = true;
                // `take` moves the known name through, so that it is cloned only once.
                plugin = plugin.take().or_else(|| value.shown_by().map(str::to_owned));
                let is_scalar = TagKind::of(&value, plugin.as_deref()) == TagKind::Scalar;
                let number = value.number().filter(|_| is_scalar);
                points.push(Point { step, wall_time, value, number });
            }
        })?;
        if self.json {
            let rows: Vec<Json> = points.iter().map(Point::as_json).collect();
            let object = json!({"tag": self.tag, "points": rows, "damage": unreadable.damage});
            write_json(out, &object, true)?;
        } else {
            points.iter().try_for_each(|point| point.print(out))?;
            out.flush()?;
            unreadable.report();
        }
        // After the output: a tag that is missing because of damage is explained by the report before.
        if !known {
            let (path, tags) = (self.path.display(), Vec::from_iter(others).join(", "));
            let text = format!("no tag '{}' in {path}; its tags are: {tags}", self.tag);
            return Err(io::Error::new(io::ErrorKind::NotFound, text).into());
        }
        Ok(unreadable.outcome())
    }
}

impl Point {
    /// Describes the point as a JSON object, whose last key names the kind of the value.
    fn as_json(&self) -> Json {
        let mut row = json!({"step": self.step, "wall_time": self.wall_time});
        let (key, value) = match (&self.value.data, self.number) {
            (_, Some(number)) => ("value", number_json(number)),
            (Some(ValueData::Histogram(histogram)), _) => {
                let numbers =
                    |values: &[f64]| values.iter().map(|&value| number_json(value)).collect::<Vec<_>>();
                let object = json!({
                    "min": number_json(histogram.min), "max": number_json(histogram.max), "num": histogram.num,
                    "sum": number_json(histogram.sum), "sum_squares": number_json(histogram.sum_squares),
                    "limits": numbers(&histogram.limits), "counts": numbers(&histogram.counts),
                });
                ("histogram", object)
            }
            (Some(ValueData::Image(image)), _) => {
                let bytes = image.encoded.len();
                ("image", json!({"height": image.height, "width": image.width, "bytes": bytes}))
            }
            (Some(ValueData::Audio(audio)), _) => (
                "audio",
                json!({"sample_rate": audio.sample_rate, "channels": audio.channels, "frames": audio.frames}),
            ),
            (Some(ValueData::Tensor(stored)), _) => match stored.to_tensor() {
                Ok(tensor) => {
                    let strings = tensor.as_strings().ok().map(|strings| {
                        strings
                            .iter()
                            .map(|string| String::from_utf8_lossy(string).into_owned())
                            .collect::<Vec<_>>()
                    });
                    let (dtype, shape) = (tensor.dtype().name(), tensor.shape().dims());
                    ("tensor", json!({"dtype": dtype, "shape": shape, "strings": strings}))
                }
                Err(error) => ("unreadable", json!(error.to_string())),
            },
            _ => ("other", Json::Null),
        };
        row[key] = value;
        row
    }

    /// Prints the point as one line.
    fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "{:>10}  {:>17.6}  ", self.step, self.wall_time)?;
        match (&self.value.data, self.number) {
            (_, Some(number)) => writeln!(out, "{}", shortest(number)),
            (Some(ValueData::Histogram(histogram)), _) => {
                let (least, most, count) = (histogram.min, histogram.max, histogram.num);
                let mean = if count > 0.0 { histogram.sum / count } else { 0.0 };
                writeln!(out, "{count} values from {least} to {most}, mean {mean}")
            }
            (Some(ValueData::Image(image)), _) => {
                writeln!(out, "{} x {} image, {} bytes", image.width, image.height, image.encoded.len())
            }
            (Some(ValueData::Audio(audio)), _) => {
                writeln!(
                    out,
                    "{} frames of {} channel(s) at {} Hz",
                    audio.frames, audio.channels, audio.sample_rate
                )
            }
            (Some(ValueData::Tensor(stored)), _) => match stored.to_tensor() {
                Ok(tensor) => match tensor.as_strings() {
                    Ok([text]) => writeln!(out, "{}", escaped(String::from_utf8_lossy(text))),
                    _ => writeln!(out, "{} {} {tensor}", tensor.dtype(), tensor.shape()),
                },
                Err(error) => writeln!(out, "unreadable: {}", escaped(error)),
            },
            _ => writeln!(out, "unknown kind"),
        }
    }
}

/// Formats a number with as many digits as distinguish it from its neighbors of the same size.
fn shortest(number: f64) -> String {
    // A number that was stored as `f32` has its shortest form as `f32`; as `f64` it would show digits that
    // were never stored.
    let single = number as f32;
    if f64::from(single) == number || number.is_nan() { format!("{single:?}") } else { format!("{number:?}") }
}

/// Returns a number, or its name where JSON has none.
fn number_json(number: f64) -> Json {
    if number.is_finite() { json!(number) } else { json!(number.to_string()) }
}
