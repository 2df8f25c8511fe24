//! The traits of objects that can be saved and restored.

use crate::Result;
use crate::bundle::TensorSlice;
use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;
use tensor::{DType, Shape, Tensor};

/// Something whose tensors can be saved.
///
/// Tensors are immutable and shared, so handing them out is a snapshot and copies nothing.
///
/// ```
/// use checkpoint::{Result, SaveSource};
/// use tensor::Tensor;
///
/// struct Model { weights: Vec<f32>, step: i64 }
///
/// impl SaveSource for Model {
///     fn tensors(&self) -> Result<Vec<(String, Tensor)>> {
///         Ok(vec![
///             ("weights".to_string(), Tensor::from(self.weights.clone())),
///             ("global_step".to_string(), Tensor::scalar(self.step)),
///         ])
///     }
/// }
/// # assert_eq!(Model { weights: vec![1.0], step: 3 }.tensors().unwrap().len(), 2);
/// ```
pub trait SaveSource {
    /// Returns all tensors as they are now, each with the name under which it is stored, in any order.
    ///
    /// # Errors
    /// Any error that prevents the source from listing them, best as [`Error::Variables`](crate::Error::Variables).
    fn tensors(&self) -> Result<Vec<(String, Tensor)>>;

    /// Parts of partitioned variables. They are stored under their variable's full name and can be
    /// restored in other parts (S-275). None by default.
    ///
    /// # Errors
    /// As [`tensors`](SaveSource::tensors).
    fn slices(&self) -> Result<Vec<(Slice, Tensor)>> {
        Ok(Vec::new())
    }

    /// Returns tensors and slices together, which is what a saver requests. A source whose tensors and parts must be of one
    /// moment implements this too.
    ///
    /// # Errors
    /// As [`tensors`](SaveSource::tensors).
    fn snapshot(&self) -> Result<Snapshot> {
        Ok(Snapshot { tensors: self.tensors()?, slices: self.slices()? })
    }
}

/// Everything that a source saves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Tensors that are stored whole, with their names.
    pub tensors: Vec<(String, Tensor)>,
    /// Parts of partitioned variables.
    pub slices: Vec<(Slice, Tensor)>,
}

/// A part of a partitioned variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The whole variable's name.
    pub name: String,
    /// The whole variable's shape.
    pub full_shape: Shape,
    /// The slice of the whole.
    pub part: TensorSlice,
}

/// Something whose variables can be set.
///
/// ```
/// use checkpoint::{RestoreTarget, Result, VariableSpec};
/// use tensor::{DType, Tensor};
/// struct Model { weights: Tensor }
/// impl RestoreTarget for Model {
///     fn variables(&self) -> Vec<VariableSpec> {
///         vec![VariableSpec::new("weights", DType::Float32, Some(self.weights.shape().clone()))]
///     }
///     fn assign(&mut self, values: Vec<(String, Tensor)>) -> Result<()> {
///         for (_, value) in values {
///             self.weights = value;
///         }
///         Ok(())
///     }
/// }
/// # let model = Model { weights: Tensor::from([0.0f32; 2]) };
/// # assert_eq!(model.variables().len(), 1);
/// ```
pub trait RestoreTarget {
    /// Returns the variables that want values.
    fn variables(&self) -> Vec<VariableSpec>;

    /// Sets variables. Called once, with everything, after all of it was read and checked; each name is
    /// that of a [`VariableSpec`], each tensor has its dtype and, unless that left it open, its shape.
    ///
    /// # Errors
    /// Any error that prevents the target from accepting them, best as
    /// [`Error::Variables`](crate::Error::Variables).
    fn assign(&mut self, values: Vec<(String, Tensor)>) -> Result<()>;
}

/// A variable that wants a value.
///
/// ```
/// use checkpoint::VariableSpec;
/// let variable = VariableSpec::new("w", tensor::DType::Float32, Some([2].into())).stored_as("encoder/w");
/// assert_eq!((variable.name.as_str(), variable.key.as_str()), ("w", "encoder/w"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VariableSpec {
    /// The name by which the target knows the variable.
    pub name: String,
    /// The name under which it is stored. A map in the restore options comes after this one.
    pub key: String,
    /// The type of its elements.
    pub dtype: DType,
    /// The shape of the variable, if it is known.
    pub shape: Option<Shape>,
    /// For a part of a partitioned variable, the shape of the whole variable, and the part.
    pub slice: Option<(Shape, TensorSlice)>,
}

impl VariableSpec {
    /// Creates a variable that is stored under its own name.
    pub fn new(name: impl Into<String>, dtype: DType, shape: Option<Shape>) -> VariableSpec {
        let name = name.into();
        VariableSpec { key: name.clone(), name, dtype, shape, slice: None }
    }

    /// Returns the same variable, stored under another name.
    ///
    /// ```
    /// use checkpoint::VariableSpec;
    /// let variable = VariableSpec::new("w", tensor::DType::Float32, None).stored_as("encoder/w");
    /// assert_eq!(variable.key, "encoder/w");
    /// ```
    #[must_use]
    pub fn stored_as(mut self, key: impl Into<String>) -> VariableSpec {
        self.key = key.into();
        self
    }

    /// Returns the same variable as a part of a partitioned one, which is stored under `key`.
    ///
    /// ```
    /// use checkpoint::{VariableSpec, bundle::TensorSlice};
    /// let part = TensorSlice::new([(0, Some(2))]);
    /// let variable = VariableSpec::new("w/part_0", tensor::DType::Float32, None).part_of("w", [4].into(), part);
    /// assert_eq!(variable.key, "w");
    /// ```
    #[must_use]
    pub fn part_of(mut self, key: impl Into<String>, full_shape: Shape, part: TensorSlice) -> VariableSpec {
        self.key = key.into();
        self.slice = Some((full_shape, part));
        self
    }
}

impl<S: SaveSource + ?Sized> SaveSource for &S {
    fn tensors(&self) -> Result<Vec<(String, Tensor)>> {
        (**self).tensors()
    }

    fn slices(&self) -> Result<Vec<(Slice, Tensor)>> {
        (**self).slices()
    }

    fn snapshot(&self) -> Result<Snapshot> {
        (**self).snapshot()
    }
}

/// Lists of names and tensors.
impl SaveSource for [(String, Tensor)] {
    fn tensors(&self) -> Result<Vec<(String, Tensor)>> {
        Ok(self.to_vec())
    }
}

impl SaveSource for Vec<(String, Tensor)> {
    fn tensors(&self) -> Result<Vec<(String, Tensor)>> {
        Ok(self.clone())
    }
}

impl SaveSource for BTreeMap<String, Tensor> {
    fn tensors(&self) -> Result<Vec<(String, Tensor)>> {
        Ok(self.iter().map(|(name, tensor)| (name.clone(), tensor.clone())).collect())
    }
}

impl<H: BuildHasher> SaveSource for HashMap<String, Tensor, H> {
    fn tensors(&self) -> Result<Vec<(String, Tensor)>> {
        Ok(self.iter().map(|(name, tensor)| (name.clone(), tensor.clone())).collect())
    }
}

fn spec_of((name, tensor): (&String, &Tensor)) -> VariableSpec {
    VariableSpec::new(name, tensor.dtype(), Some(tensor.shape().clone()))
}

/// The map's present entries are the variables.
impl RestoreTarget for BTreeMap<String, Tensor> {
    fn variables(&self) -> Vec<VariableSpec> {
        self.iter().map(spec_of).collect()
    }

    fn assign(&mut self, values: Vec<(String, Tensor)>) -> Result<()> {
        self.extend(values);
        Ok(())
    }
}

/// The map's present entries are the variables.
impl<H: BuildHasher> RestoreTarget for HashMap<String, Tensor, H> {
    fn variables(&self) -> Vec<VariableSpec> {
        self.iter().map(spec_of).collect()
    }

    fn assign(&mut self, values: Vec<(String, Tensor)>) -> Result<()> {
        self.extend(values);
        Ok(())
    }
}
