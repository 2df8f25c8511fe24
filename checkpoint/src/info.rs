//! Plain facts about stored tensors.

use crate::Error;
use tensor::{DType, Shape};

/// The description of a stored tensor.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("model.ckpt");
/// # let model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
/// # let prefix = checkpoint::Saver::default().save(&model, &path, Some(7))?;
/// let info = &checkpoint::list_variables(&prefix)?[0];
/// assert_eq!((info.name.as_str(), info.dtype, info.bytes), ("w", tensor::DType::Float32, 8));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TensorInfo {
    /// The name under which it is stored.
    pub name: String,
    /// The type of its elements.
    pub dtype: DType,
    /// The full shape of the tensor.
    pub shape: Shape,
    /// The bytes it takes in the file, lengths and checksums of strings included.
    pub bytes: u64,
}

/// The description of a stored tensor whose dtype is unknown, so that it can be listed but not read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnknownTensor {
    /// The name under which it is stored.
    pub name: String,
    /// The format's name of the type of its elements; in a bundle, a number.
    pub dtype: String,
    /// The shape of the tensor.
    pub shape: Shape,
    /// The bytes it takes in the file.
    pub bytes: u64,
}

/// Something in a checkpoint that cannot be used.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("model.ckpt");
/// # let model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
/// # let prefix = checkpoint::Saver::default().save(&model, &path, Some(7))?;
/// std::fs::write(checkpoint::data_path(&prefix, 0, 1), "damaged!")?;
/// let problems = checkpoint::CheckpointReader::open(&prefix)?.verify();
/// assert_eq!(problems[0].name.as_deref(), Some("w"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Problem {
    /// The tensor that is hit; `None` when it is the checkpoint as a whole.
    pub name: Option<String>,
    /// The defect, including the name of the file.
    pub error: Error,
}
