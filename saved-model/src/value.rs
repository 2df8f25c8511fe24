//! The values that signatures accept and return.

use session_core::{Error, Result, Tensor};
use tensor::text::nearest;

/// A value of a signature: a tensor, or the components of a sparse or ragged one.
///
/// ```
/// use saved_model::SignatureValue;
/// use session_core::Tensor;
/// let dense = SignatureValue::from(vec![1.0f32, 2.0]);
/// assert_eq!(dense.tensor().unwrap(), &Tensor::from(vec![1.0f32, 2.0]));
/// let rows = SignatureValue::ragged([1.0f32, 2.0, 3.0], [[0i64, 2, 3]]);
/// assert_eq!(rows.components().len(), 2);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SignatureValue {
    /// A tensor.
    Dense(Tensor),
    /// A sparse tensor.
    Sparse {
        /// The values that are stored.
        values: Tensor,
        /// The coordinates of the values: a row for each value, `int64`.
        indices: Tensor,
        /// The shape of the dense tensor, `int64`.
        dense_shape: Tensor,
    },
    /// The components of another composite tensor, in the order of its signature.
    Composite(Vec<Tensor>),
}

impl SignatureValue {
    /// Creates a sparse value from its components: indices `[values, rank]`, values `[values]`, and the dense shape `[rank]`. Indices and shape
    /// are `int64`.
    ///
    /// ```
    /// use saved_model::SignatureValue;
    /// let value = SignatureValue::sparse([[0i64, 1], [1, 2]], [1.0f32, 2.0], [2i64, 6]);
    /// assert_eq!(value.components().len(), 3);
    /// assert!(value.tensor().is_none());
    /// ```
    pub fn sparse(
        indices: impl Into<Tensor>,
        values: impl Into<Tensor>,
        dense_shape: impl Into<Tensor>,
    ) -> SignatureValue {
        SignatureValue::Sparse {
            values: values.into(),
            indices: indices.into(),
            dense_shape: dense_shape.into(),
        }
    }

    /// Creates a ragged value from its flat values and the row splits of each ragged dimension, the outermost first.
    ///
    /// ```
    /// use saved_model::SignatureValue;
    /// let rows = SignatureValue::ragged([1.0f32, 2.0, 3.0], [[0i64, 2, 3]]); // [[1, 2], [3]]
    /// assert_eq!(rows.components().len(), 2);
    /// ```
    pub fn ragged(
        flat_values: impl Into<Tensor>,
        row_splits: impl IntoIterator<Item = impl Into<Tensor>>,
    ) -> SignatureValue {
        let splits = row_splits.into_iter().map(Into::into);
        SignatureValue::Composite([flat_values.into()].into_iter().chain(splits).collect())
    }

    /// Returns the tensor of a dense value, and `None` for a sparse or ragged one.
    #[must_use]
    pub fn tensor(&self) -> Option<&Tensor> {
        match self {
            SignatureValue::Dense(tensor) => Some(tensor),
            _ => None,
        }
    }

    /// Returns the tensors of the value, in the order of its [`Layout`](crate::Layout).
    ///
    /// ```
    /// use saved_model::SignatureValue;
    /// use session_core::Tensor;
    /// let value = SignatureValue::sparse([[0i64, 1], [1, 2]], [1.0f32, 2.0], [2i64, 6]);
    /// assert_eq!(value.components()[0], &Tensor::from([1.0f32, 2.0])); // the values come first
    /// ```
    #[must_use]
    pub fn components(&self) -> Vec<&Tensor> {
        match self {
            SignatureValue::Dense(tensor) => vec![tensor],
            SignatureValue::Sparse { values, indices, dense_shape } => vec![values, indices, dense_shape],
            SignatureValue::Composite(components) => components.iter().collect(),
        }
    }

    pub(crate) fn into_components(self) -> Vec<Tensor> {
        match self {
            SignatureValue::Dense(tensor) => vec![tensor],
            SignatureValue::Sparse { values, indices, dense_shape } => vec![values, indices, dense_shape],
            SignatureValue::Composite(components) => components,
        }
    }
}

impl<T: Into<Tensor>> From<T> for SignatureValue {
    fn from(value: T) -> SignatureValue {
        SignatureValue::Dense(value.into())
    }
}

/// The outputs of a call of a signature, by name.
///
/// ```
/// use saved_model::SavedModel;
/// # let folder = "tests/fixtures/dense/model";
/// let model = SavedModel::load(folder, ["serve"])?;
/// let outputs = model.signature("serving_default")?.run([("x", [[5.1f32, 3.5, 1.4, 0.2]])])?;
/// assert_eq!(outputs.tensor("logits")?.shape().to_string(), "[1,3]");
/// let names: Vec<&str> = outputs.iter().map(|(name, _value)| name).collect();
/// assert_eq!(names, ["logits", "probabilities"]);
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SignatureOutputs {
    pub(crate) values: Vec<(String, SignatureValue)>,
}

impl SignatureOutputs {
    /// Returns the value of an output.
    ///
    /// ```
    /// use saved_model::SavedModel;
    /// # let folder = "tests/fixtures/dense/model";
    /// let model = SavedModel::load(folder, ["serve"])?;
    /// let outputs = model.signature("serving_default")?.run([("x", [[5.1f32, 3.5, 1.4, 0.2]])])?;
    /// assert_eq!(outputs.get("logits")?.components().len(), 1);
    /// let error = outputs.get("logit").unwrap_err();
    /// assert!(error.to_string().contains("is 'logits' meant?"), "{error}");
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// A key error for a name that the signature does not have.
    pub fn get(&self, name: &str) -> Result<&SignatureValue> {
        let found = self.values.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value).ok_or_else(|| {
            let names = || self.values.iter().map(|(name, _)| name.as_str());
            Error::key(format!("the signature has no output '{name}'{}", suggestion(name, names)))
        })
    }

    /// Returns the tensor of a dense output.
    ///
    /// ```
    /// use saved_model::SavedModel;
    /// # let folder = "tests/fixtures/dense/model";
    /// let model = SavedModel::load(folder, ["serve"])?;
    /// let outputs = model.signature("serving_default")?.run([("x", [[5.1f32, 3.5, 1.4, 0.2]])])?;
    /// assert_eq!(outputs.tensor("probabilities")?.shape().to_string(), "[1,3]");
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// A key error for an unknown name; a type error for a sparse or ragged output.
    pub fn tensor(&self, name: &str) -> Result<&Tensor> {
        self.get(name)?.tensor().ok_or_else(|| {
            Error::type_mismatch(format!(
                "the output '{name}' is not one tensor; `get` returns its components"
            ))
        })
    }

    /// Returns all outputs, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &SignatureValue)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value))
    }
}

impl IntoIterator for SignatureOutputs {
    type Item = (String, SignatureValue);
    type IntoIter = std::vec::IntoIter<(String, SignatureValue)>;
    fn into_iter(self) -> Self::IntoIter {
        self.values.into_iter()
    }
}

/// The end of a message about an unknown name: the nearest known one, and the first of all others.
pub(crate) fn suggestion<'n, I: Iterator<Item = &'n str>>(name: &str, known: impl Fn() -> I) -> String {
    /// The number of names that are listed.
    const LISTED: usize = 12;
    let mut text = match nearest(name, known()) {
        Some(near) => format!("; is '{near}' meant?"),
        None => String::new(),
    };
    let names: Vec<String> = known().take(LISTED).map(|name| format!("'{name}'")).collect();
    let more = known().skip(LISTED).count();
    text.push_str(&match names.as_slice() {
        [] => "; there is none".to_owned(),
        names if more == 0 => format!(" (of {})", names.join(", ")),
        names => format!(" (of {} and {more} more)", names.join(", ")),
    });
    text
}
