//! The feeds of a training: arrays, cut into batches.
//!
//! The position of a batch follows from the global step alone, so a resumed training continues with the rows that an
//! uninterrupted one would take.
//!
//! # Batches
//!
//! Batch `n` begins at row `n * batch`, modulo the number of rows of its array. A batch that reaches the end
//! continues with the first row, so all batches have the same size. Arrays stay in memory as a whole, and a batch
//! within an array shares its memory.
//!
//! With 10 rows and batches of 4, the steps from 0 on take the rows 0-3, 4-7, 8-1 (8, 9, 0, 1), 2-5 and 6-9,
//! and then the same again.
//!
//! # Conversions
//!
//! NumPy's default dtypes are wider than those of most placeholders, so arrays are converted. Floats are rounded to
//! the nearest. A number beyond the range, or a fraction for an integer, is an error: wrapped numbers would change a
//! training without a trace.

use super::arrays::{self, ArrayError};
use monitored_session::saved_model::find_tensor;
use monitored_session::session_core::{DType, Error, ErrorKind, Graph, Output, Tensor};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// `NAME=FILE.npy`, `NAME=FILE.npz` (the array of the same name), `NAME=FILE.npz:ARRAY`, or `FILE.npz` for all its arrays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FeedArgument {
    /// The tensor to feed; `None` for all arrays of an archive.
    name: Option<String>,
    /// The file with the array or arrays.
    file: PathBuf,
    /// The array in an archive, if it has another name than the tensor.
    array: Option<String>,
}

impl FromStr for FeedArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<FeedArgument, String> {
        let (name, rest) = match text.split_once('=') {
            Some((name, rest)) => (Some(name.to_owned()), rest),
            None => (None, text),
        };
        if name.as_deref() == Some("") || rest.is_empty() {
            return Err("it must have the form NAME=FILE.npy, NAME=FILE.npz:ARRAY or FILE.npz".to_owned());
        }
        // From the right: folders may have the same ending.
        let (file, array) = match rest.rsplit_once(".npz:") {
            Some((file, array)) => (format!("{file}.npz"), Some(array.to_owned())),
            None => (rest.to_owned(), None),
        };
        let is_archive = file.ends_with(".npz");
        if !is_archive && name.is_none() {
            return Err("it must name the placeholder, as in NAME=FILE.npy".to_owned());
        }
        Ok(FeedArgument { name, file: file.into(), array })
    }
}

impl FeedArgument {
    /// Reads the arrays and the names of the tensors that they feed.
    fn read(&self) -> Result<Vec<(String, Tensor)>, Error> {
        self.try_read().map_err(|error| {
            Error::value(format!("cannot read the feed '{}'", self.file.display())).with_source(error)
        })
    }

    /// Reads the arrays; errors do not name the file yet.
    fn try_read(&self) -> Result<Vec<(String, Tensor)>, ArrayError> {
        if self.file.extension().is_none_or(|extension| extension != "npz") {
            let name = self.name.clone().unwrap_or_default();
            return Ok(vec![(name, arrays::read_npy(&self.file)?)]);
        }
        match &self.name {
            Some(name) => {
                // Arrays have the names of operations, while tensors may be named with their index.
                let plain = name.strip_suffix(":0").unwrap_or(name);
                let array = self.array.as_deref().unwrap_or(plain);
                Ok(vec![(name.clone(), arrays::read_npz(&self.file, array)?)])
            }
            None => all_of(&self.file),
        }
    }
}

/// Reads all arrays of an `.npz` file; each is fed to the tensor of its name.
fn all_of(file: &Path) -> Result<Vec<(String, Tensor)>, ArrayError> {
    let names = arrays::names_in(file)?;
    names.into_iter().map(|name| Ok((name.clone(), arrays::read_npz(file, &name)?))).collect()
}

/// All feeds. Each step takes the next batch; the first row follows the last.
#[derive(Debug)]
pub(crate) struct Feeder {
    /// The fed outputs with their whole arrays.
    feeds: Vec<(Output, Tensor)>,
    /// The number of rows that a step takes; `None` for all.
    batch: Option<usize>,
}

impl Feeder {
    /// Reads all arrays and converts them to the dtypes of their placeholders.
    pub(crate) fn new(
        graph: &Graph,
        arguments: &[FeedArgument],
        batch: Option<u64>,
    ) -> Result<Feeder, Error> {
        let batch = batch.map(|batch| usize::try_from(batch).unwrap_or(usize::MAX));
        let mut feeds = Vec::new();
        for argument in arguments {
            for (name, array) in argument.read()? {
                let output = find_tensor(graph, &name)?;
                let array = converted(array, &output.name(), output.dtype())?;
                // Only with batches: without them an array without rows is fed as it is.
                if batch.is_some() && array.shape().dims().first() == Some(&0) {
                    return Err(Error::value(format!("the feed '{name}' has no rows")));
                }
                feeds.push((output, array));
            }
        }
        Ok(Feeder { feeds, batch })
    }

    /// Returns the outputs that each step feeds.
    pub(crate) fn outputs(&self) -> Vec<Output> {
        self.feeds.iter().map(|(output, _)| output.clone()).collect()
    }

    /// Returns each feed with all its rows.
    pub(crate) fn all(&self) -> &[(Output, Tensor)] {
        &self.feeds
    }

    /// Returns the number of steps that feed each row once; `None` without feeds.
    ///
    /// # Errors
    /// A value error if the batches do not divide the rows, or the feeds have different numbers of rows.
    pub(crate) fn runs(&self) -> Result<Option<u64>, Error> {
        let (Some(batch), false) = (self.batch, self.feeds.is_empty()) else {
            return Ok((!self.feeds.is_empty()).then_some(1));
        };
        let mut rows: Vec<usize> =
            self.feeds.iter().filter_map(|(_, array)| array.shape().dims().first().copied()).collect();
        // Equal neighbors are merged, so more than one item means different numbers.
        rows.dedup();
        match rows.as_slice() {
            [] => Ok(Some(1)),
            [rows] if rows % batch == 0 => Ok(Some((rows / batch) as u64)),
            [rows] => Err(Error::value(format!(
                "batches of {batch} rows do not divide the {rows} rows of the feeds: choose another --batch, or set --steps"
            ))),
            _ => Err(Error::value("the feeds have different numbers of rows: set --steps")),
        }
    }

    /// Returns the feeds of step `step`, counted from 0.
    pub(crate) fn step(&self, step: u64) -> Result<Vec<(Output, Tensor)>, Error> {
        let feed = |(output, array): &(Output, Tensor)| {
            let value = match (self.batch, array.shape().dims().first()) {
                (Some(batch), Some(&rows)) => rows_from(array, rows, batch, step)?,
                // Without batches, and for a scalar, each step takes the whole array.
                _ => array.clone(),
            };
            Ok((output.clone(), value))
        };
        self.feeds.iter().map(feed).collect()
    }
}

/// Returns the next `batch` rows; the first row follows the last.
fn rows_from(array: &Tensor, rows: usize, batch: usize, step: u64) -> Result<Tensor, Error> {
    // In 128 bits, since the product of a long training exceeds 64.
    let start = (u128::from(step) * batch as u128 % rows as u128) as usize;
    let mut parts = Vec::new();
    let (mut at, mut missing) = (start, batch);
    // A batch may be larger than the array, and then takes it several times.
    while missing > 0 {
        let end = (at + missing).min(rows);
        parts.push(array.rows(at, end)?);
        missing -= end - at;
        at = end % rows;
    }
    if parts.len() == 1 { Ok(parts.remove(0)) } else { Ok(Tensor::concat_rows(&parts)?) }
}

/// Converts an array to the dtype of its placeholder. NumPy's default dtypes are wider than TensorFlow's.
pub(crate) fn converted(array: Tensor, name: &str, wanted: DType) -> Result<Tensor, Error> {
    let found = array.dtype();
    if found == wanted {
        return Ok(array);
    }
    let refused = || {
        let text = format!("'{name}' has dtype {wanted}; the array has {found}, which is not compatible");
        Error::type_mismatch(text)
    };
    let numbers = as_f64(&array).ok_or_else(refused)?;
    let shape = array.shape().clone();
    macro_rules! integers {
        ($type:ty) => {{
            // The fraction is checked separately: the conversion would cut it off.
            let whole = |&n: &f64| <$type>::try_from(n as i128).ok().filter(|_| n.fract() == 0.0);
            let values: Option<Vec<$type>> = numbers.iter().map(whole).collect();
            Tensor::from_vec(values.ok_or_else(refused)?, shape)?
        }};
    }
    Ok(match wanted {
        DType::Float32 => {
            // A number beyond the range is refused; infinities and NaN stay what they are.
            let narrow = |&n: &f64| Some(n as f32).filter(|held| held.is_finite() || !n.is_finite());
            let values: Option<Vec<f32>> = numbers.iter().map(narrow).collect();
            Tensor::from_vec(values.ok_or_else(refused)?, shape)?
        }
        DType::Float64 => Tensor::from_vec(numbers, shape)?,
        DType::Int64 => integers!(i64),
        DType::Int32 => integers!(i32),
        DType::Int16 => integers!(i16),
        DType::Int8 => integers!(i8),
        DType::UInt8 => integers!(u8),
        DType::UInt16 => integers!(u16),
        _ => return Err(refused()),
    })
}

/// Returns the numbers if each is exactly representable.
fn as_f64(array: &Tensor) -> Option<Vec<f64>> {
    fn widen<T: monitored_session::tensor::Element + Copy + Into<f64>>(array: &Tensor) -> Option<Vec<f64>> {
        Some(array.as_slice::<T>().ok()?.iter().map(|&n| n.into()).collect())
    }
    match array.dtype() {
        DType::Float64 => array.to_vec::<f64>().ok(),
        DType::Float32 => widen::<f32>(array),
        DType::Int32 => widen::<i32>(array),
        DType::Int16 => widen::<i16>(array),
        DType::Int8 => widen::<i8>(array),
        DType::UInt8 => widen::<u8>(array),
        DType::UInt16 => widen::<u16>(array),
        DType::UInt32 => widen::<u32>(array),
        DType::Int64 => {
            // Every integer up to this size is exact as `f64`.
            const EXACT: u64 = 1 << 53;
            let numbers = array.to_vec::<i64>().ok()?;
            let exact = numbers.iter().all(|n| n.unsigned_abs() <= EXACT);
            exact.then(|| numbers.iter().map(|&n| n as f64).collect())
        }
        _ => None,
    }
}

/// Returns true if an error reports a placeholder without a feed.
pub(crate) fn is_unfed(error: &Error) -> bool {
    // The runtime reports it with a status and no kind of its own, so the text has to tell.
    error.kind() == ErrorKind::Status && error.message().starts_with("You must feed a value")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_name_a_placeholder_a_file_and_an_array() {
        let read = |text: &str| text.parse::<FeedArgument>();
        let full = read("x=a/b.npz:images").unwrap();
        assert_eq!(
            full,
            FeedArgument { name: Some("x".into()), file: "a/b.npz".into(), array: Some("images".into()) }
        );
        assert_eq!(read("x:0=b.npy").unwrap().name.as_deref(), Some("x:0"));
        assert_eq!(read("b.npz").unwrap().name, None);
        for wrong in ["b.npy", "=b.npy", "x=", ""] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn rows_repeat_after_the_last_one() {
        let array = Tensor::from([0i32, 1, 2, 3, 4]);
        let batch = |step| rows_from(&array, 5, 2, step).unwrap().to_vec::<i32>().unwrap();
        assert_eq!([batch(0), batch(1), batch(2), batch(3)], [[0, 1], [2, 3], [4, 0], [1, 2]]);
        assert_eq!(rows_from(&array, 5, 12, 0).unwrap().elements(), 12);
    }
}
