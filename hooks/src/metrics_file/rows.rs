//! The two formats of the file.

use serde_json::Value;
use session_core::{DType, Error, Result, Tensor};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Format {
    Csv,
    JsonLines,
}

const STEP: &str = "step";

impl Format {
    /// Returns the header line, if the format has one.
    pub(super) fn header<'a>(self, tags: impl Iterator<Item = &'a str>) -> Option<String> {
        if self == Format::JsonLines {
            return None;
        }
        let names: Vec<String> = std::iter::once(STEP).chain(tags).map(quoted).collect();
        Some(names.join(",") + "\n")
    }

    /// Returns one row, including its end of line.
    pub(super) fn row<'a>(
        self,
        step: i64,
        values: impl Iterator<Item = (&'a str, &'a Tensor)>,
    ) -> Result<String> {
        match self {
            Format::Csv => {
                let numbers = values.map(|(tag, value)| text(tag, value));
                let numbers: Vec<String> =
                    std::iter::once(Ok(step.to_string())).chain(numbers).collect::<Result<_>>()?;
                Ok(numbers.join(",") + "\n")
            }
            // Assembled by hand, because the map of the JSON library would sort the columns.
            Format::JsonLines => {
                let mut row = format!("{{{}:{step}", Value::from(STEP));
                for (tag, value) in values {
                    // The text of a finite number is valid JSON; that of NaN and infinity is not.
                    let number: Value = serde_json::from_str(&text(tag, value)?).unwrap_or(Value::Null);
                    row += &format!(",{}:{number}", Value::from(tag));
                }
                Ok(row + "}\n")
            }
        }
    }

    /// Returns the rows up to a step, after the header line. A last line that was cut short is not a row.
    ///
    /// # Errors
    /// A description of the content that does not belong to this file.
    pub(super) fn up_to(self, text: &str, header: Option<&str>, step: i64) -> Result<String, String> {
        let mut kept = header.unwrap_or("").to_owned();
        let rows = match header {
            Some(header) if text.starts_with(header) => &text[header.len()..],
            // An empty file, or one whose first line was cut short.
            Some(header) if header.starts_with(text) => "",
            Some(_) => return Err("has other columns".to_owned()),
            None => text,
        };
        // A process that was killed while writing leaves a line without an end.
        for line in rows.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            let of = self
                .step(line)
                .ok_or_else(|| format!("has a line that is not a row: {}", line.trim_end()))?;
            // Compared by step rather than by position, since rows may be missing or the interval may
            // have changed.
            if of <= step {
                kept += line;
            }
        }
        Ok(kept)
    }

    fn step(self, line: &str) -> Option<i64> {
        match self {
            Format::Csv => line.split(',').next()?.trim_end().parse().ok(),
            Format::JsonLines => serde_json::from_str::<Value>(line).ok()?.get(STEP)?.as_i64(),
        }
    }
}

/// Quotes a name as a column header (RFC 4180).
fn quoted(name: &str) -> String {
    if name.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", name.replace('"', "\"\""))
    } else {
        name.to_owned()
    }
}

/// Returns the shortest text that reads back as the same number.
fn text(tag: &str, value: &Tensor) -> Result<String> {
    let number = match value.dtype() {
        // Converted from its own type: as 64 bits, `0.1f32` would be written as `0.10000000149011612`.
        DType::Float32 => value.value::<f32>().map(|number| number.to_string()),
        dtype if dtype.is_floating() => value.as_scalar_f64().map(|number| number.to_string()),
        DType::Bool => value.value::<bool>().map(|value| u8::from(value).to_string()),
        _ => value.as_scalar_i64().map(|number| number.to_string()),
    };
    number.map_err(|error| Error::value(format!("'{tag}' is not one number: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(format: Format, value: impl Into<Tensor>) -> String {
        format.row(7, [("x", &value.into())].into_iter()).unwrap()
    }

    #[test]
    fn numbers_read_back() {
        assert_eq!(row(Format::Csv, 0.1f32), "7,0.1\n");
        assert_eq!(row(Format::Csv, 0.1f64 + 0.2), "7,0.30000000000000004\n");
        assert_eq!(row(Format::Csv, f32::NAN), "7,NaN\n");
        assert_eq!(row(Format::Csv, f32::NEG_INFINITY), "7,-inf\n");
        assert_eq!(row(Format::Csv, true), "7,1\n");
        assert_eq!(row(Format::JsonLines, 0.1f32), "{\"step\":7,\"x\":0.1}\n");
        assert_eq!(row(Format::JsonLines, -3i32), "{\"step\":7,\"x\":-3}\n");
        let two = [("b", &Tensor::from(1e30f32)), ("a \"x\"", &Tensor::from(2u8))];
        let two = Format::JsonLines.row(7, two.into_iter()).unwrap();
        assert_eq!(two, "{\"step\":7,\"b\":1e+30,\"a \\\"x\\\"\":2}\n", "in the order given");
        assert_eq!(row(Format::JsonLines, f32::INFINITY), "{\"step\":7,\"x\":null}\n");
        assert!(Format::Csv.row(7, [("x", &Tensor::from([1f32, 2.0]))].into_iter()).is_err());
        assert!(Format::Csv.row(7, [("x", &Tensor::from("word"))].into_iter()).is_err());
    }

    #[test]
    fn rows_up_to_a_step_are_kept() {
        let header = Format::Csv.header(["loss", "a,\"b\""].into_iter());
        assert_eq!(header.as_deref(), Some("step,loss,\"a,\"\"b\"\"\"\n"));
        let (csv, header) = (Format::Csv, Some("step,x\n"));
        assert_eq!(csv.up_to("", header, 5).unwrap(), "step,x\n");
        assert_eq!(csv.up_to("ste", header, 5).unwrap(), "step,x\n");
        assert_eq!(csv.up_to("step,x\n1,2\n5,3\n6,4\n7,", header, 5).unwrap(), "step,x\n1,2\n5,3\n");
        assert_eq!(csv.up_to("step,x\n1,2\n5,3", header, 5).unwrap(), "step,x\n1,2\n", "cut short");
        assert!(csv.up_to("step,y\n1,2\n", header, 5).is_err());
        assert!(csv.up_to("step,x\nnot a row\n", header, 5).is_err());
        let json = "{\"step\":1}\n{\"step\":6}\n{\"st";
        assert_eq!(Format::JsonLines.up_to(json, None, 5).unwrap(), "{\"step\":1}\n");
        assert!(Format::JsonLines.up_to("word\n", None, 5).is_err());
    }
}
