//! Nested elements: tuples, components by name, sparse tensors.
//!
//! An element is a flat list of components (TensorFlow's order: maps by their sorted keys), and a [`Structure`] describes how they are
//! nested. [`Structure::pack`] returns the nested form of a list, [`Nested::flatten`] the list of a nested form, so any
//! transformation takes and returns nested elements:
//!
//! ```
//! use dataset::{Dataset, Remainder};
//! use dataset::nest::{Nested, Structure};
//! use ops::array::constant;
//! use session_core::Graph;
//!
//! let graph = Graph::new();
//! let examples = Nested::map([
//!     ("label", Nested::from(constant(&graph, vec![0i64, 1]))),
//!     ("image", Nested::from(constant(&graph, [[1.0f32, 2.0], [3.0, 4.0]]))),
//! ]);
//! let structure = examples.structure();
//! let dataset = Dataset::from_tensor_slices(&graph, examples.flatten_rows())
//!     .map(|_, element| {
//!         let element = structure.pack(element);
//!         let image = element["image"].output() * 0.5f32;
//!         Nested::map([("image", Nested::from(image)), ("label", element["label"].clone())]).flatten()
//!     })
//!     .batch(2, Remainder::Drop);
//! let next = structure.pack(&dataset.make_initializable_iterator().get_next());
//! assert_eq!(next["image"].output().shape().to_string(), "[2,2]");
//! assert_eq!(next["label"].output().shape().to_string(), "[2]");
//! # graph.finalize().unwrap();
//! ```

use crate::op::op;
use ops::parsing::SparseTensor;
use session_core::{DType, Output};
use std::collections::BTreeMap;
use std::ops::Index;

/// The nesting of elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Structure {
    /// One component.
    Tensor,
    /// A sparse tensor with values of a dtype, which is one component.
    Sparse(DType),
    /// Several parts in a row.
    Tuple(Vec<Structure>),
    /// Parts by name.
    Map(BTreeMap<String, Structure>),
}

/// Outputs in the nesting of elements.
#[derive(Clone, Debug)]
pub enum Nested {
    /// One component.
    Tensor(Output),
    /// A sparse tensor.
    Sparse(SparseTensor),
    /// Several parts in a row.
    Tuple(Vec<Nested>),
    /// Parts by name.
    Map(BTreeMap<String, Nested>),
}

impl Structure {
    /// Returns the number of components.
    ///
    /// ```
    /// use dataset::nest::Structure;
    /// let pair = Structure::Tuple(vec![Structure::Tensor, Structure::Tensor]);
    /// assert_eq!(pair.components(), 2);
    /// ```
    #[must_use]
    pub fn components(&self) -> usize {
        match self {
            Structure::Tensor | Structure::Sparse(_) => 1,
            Structure::Tuple(parts) => parts.iter().map(Structure::components).sum(),
            Structure::Map(parts) => parts.values().map(Structure::components).sum(),
        }
    }

    /// Returns the nested form of an element's components. Sparse tensors are taken out of their component.
    ///
    /// # Panics
    /// For another number of components than [`components`](Structure::components) returns.
    #[must_use]
    #[track_caller]
    pub fn pack(&self, components: &[Output]) -> Nested {
        let (found, expected) = (components.len(), self.components());
        assert!(found == expected, "an element of {found} components has no structure of {expected}");
        self.packed(&mut components.iter())
    }

    #[track_caller]
    fn packed(&self, components: &mut std::slice::Iter<'_, Output>) -> Nested {
        match self {
            Structure::Tensor => Nested::Tensor(one(components)),
            Structure::Sparse(dtype) => {
                // The component is a variant of the three tensors.
                let component = one(components);
                let builder = op(&component.graph(), "DeserializeSparse").input(&component);
                let parts = builder.attr("dtype", *dtype).attr("Tserialized", DType::Variant).finish();
                let [indices, values, dense_shape] = [0, 1, 2].map(|part| parts.output(part));
                Nested::Sparse(SparseTensor { indices, values, dense_shape })
            }
            Structure::Tuple(parts) => {
                Nested::Tuple(parts.iter().map(|part| part.packed(components)).collect())
            }
            Structure::Map(parts) => {
                // In the order of the keys, as in TensorFlow.
                let named = parts.iter().map(|(name, part)| (name.clone(), part.packed(components)));
                Nested::Map(named.collect())
            }
        }
    }
}

/// The next component; [`Structure::pack`] has counted them.
#[track_caller]
fn one(components: &mut std::slice::Iter<'_, Output>) -> Output {
    components.next().cloned().unwrap_or_else(|| panic!("an element lacks a component"))
}

impl Nested {
    /// Returns parts in a row.
    ///
    /// ```
    /// use dataset::nest::{Nested, Structure};
    /// use ops::array::constant;
    /// use session_core::{DType, Graph};
    ///
    /// let graph = Graph::new();
    /// let pair = Nested::tuple([constant(&graph, 1.0f32), constant(&graph, 2i64)]);
    /// assert_eq!(pair.structure(), Structure::Tuple(vec![Structure::Tensor, Structure::Tensor]));
    /// assert_eq!(pair[1].output().dtype(), DType::Int64);
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    pub fn tuple<P: Into<Nested>>(parts: impl IntoIterator<Item = P>) -> Nested {
        Nested::Tuple(parts.into_iter().map(Into::into).collect())
    }

    /// Returns parts by name. If two parts have the same name, the last one replaces the other.
    #[must_use]
    pub fn map<N: Into<String>, P: Into<Nested>>(parts: impl IntoIterator<Item = (N, P)>) -> Nested {
        Nested::Map(parts.into_iter().map(|(name, part)| (name.into(), part.into())).collect())
    }

    /// Returns the nesting.
    #[must_use]
    pub fn structure(&self) -> Structure {
        match self {
            Nested::Tensor(_) => Structure::Tensor,
            Nested::Sparse(sparse) => Structure::Sparse(sparse.values.dtype()),
            Nested::Tuple(parts) => Structure::Tuple(parts.iter().map(Nested::structure).collect()),
            Nested::Map(parts) => {
                Structure::Map(parts.iter().map(|(name, part)| (name.clone(), part.structure())).collect())
            }
        }
    }

    /// Returns the components of an element, each sparse tensor as one.
    #[must_use]
    #[track_caller]
    pub fn flatten(&self) -> Vec<Output> {
        self.components("SerializeSparse")
    }

    /// Returns the components of a value that is cut into elements by [`from_tensor_slices`](crate::Dataset::from_tensor_slices), with a
    /// part for each row of a sparse tensor.
    #[must_use]
    #[track_caller]
    pub fn flatten_rows(&self) -> Vec<Output> {
        self.components("SerializeManySparse")
    }

    #[track_caller]
    fn components(&self, serialize: &str) -> Vec<Output> {
        let mut components = Vec::new();
        self.collect(serialize, &mut components);
        components
    }

    #[track_caller]
    fn collect(&self, serialize: &str, to: &mut Vec<Output>) {
        match self {
            Nested::Tensor(output) => to.push(output.clone()),
            Nested::Sparse(SparseTensor { indices, values, dense_shape }) => {
                let builder = op(&values.graph(), serialize).input(indices).input(values).input(dense_shape);
                to.push(builder.attr("out_type", DType::Variant).finish_output());
            }
            Nested::Tuple(parts) => parts.iter().for_each(|part| part.collect(serialize, to)),
            Nested::Map(parts) => parts.values().for_each(|part| part.collect(serialize, to)),
        }
    }

    /// Returns the component.
    ///
    /// # Panics
    /// If it is anything else than one tensor.
    #[must_use]
    #[track_caller]
    pub fn output(&self) -> &Output {
        match self {
            Nested::Tensor(output) => output,
            other => panic!("{:?} is not a tensor", other.structure()),
        }
    }

    /// Returns the sparse tensor.
    ///
    /// # Panics
    /// If it is anything else.
    #[must_use]
    #[track_caller]
    pub fn sparse(&self) -> &SparseTensor {
        match self {
            Nested::Sparse(sparse) => sparse,
            other => panic!("{:?} is not a sparse tensor", other.structure()),
        }
    }

    /// Returns the part of a name, if there is one.
    ///
    /// ```
    /// use dataset::nest::Nested;
    /// use ops::array::constant;
    /// use session_core::Graph;
    ///
    /// let graph = Graph::new();
    /// let example = Nested::map([("label", constant(&graph, 1i64))]);
    /// assert!(example.get("label").is_some());
    /// assert!(example.get("image").is_none());
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Nested> {
        if let Nested::Map(parts) = self { parts.get(name) } else { None }
    }
}

impl Index<&str> for Nested {
    type Output = Nested;

    /// Returns the part of a name.
    #[track_caller]
    fn index(&self, name: &str) -> &Nested {
        self.get(name).unwrap_or_else(|| panic!("{:?} has no '{name}'", self.structure()))
    }
}

impl Index<usize> for Nested {
    type Output = Nested;

    /// Returns the part of a number.
    #[track_caller]
    fn index(&self, number: usize) -> &Nested {
        let part = if let Nested::Tuple(parts) = self { parts.get(number) } else { None };
        part.unwrap_or_else(|| panic!("{:?} has no part number {number}", self.structure()))
    }
}

impl From<Output> for Nested {
    fn from(output: Output) -> Nested {
        Nested::Tensor(output)
    }
}

impl From<SparseTensor> for Nested {
    fn from(sparse: SparseTensor) -> Nested {
        Nested::Sparse(sparse)
    }
}
