//! `tf.Example`s.

use crate::array::{constant, reshape};
use crate::composite::Composite;
use crate::library::op_defs;
use crate::parsing::SparseTensor;
use crate::shapes::set_sparse_lists;
use session_core::{
    AsOutput, AttrValue, DType, Error, Graph, OpDef, Output, PartialShape, Result, Shape, ShapeContext,
    Tensor,
};

op_defs! {
    PARSE_EXAMPLE: OpDef::new(
            "ParseExample",
            "serialized: string, names: string, sparse_keys: Nsparse * string, dense_keys: Ndense * string, dense_defaults: Tdense -> sparse_indices: Nsparse * int64, sparse_values: sparse_types, sparse_shapes: Nsparse * int64, dense_values: Tdense",
        )
        .attrs("Nsparse: int >= 0, Ndense: int >= 0, sparse_types: list({float, int64, string}) >= 0, Tdense: list({float, int64, string}) >= 0, dense_shapes: list(shape) >= 0")
        .shape(parsed_shapes).not_differentiable();
    PARSE_EXAMPLE_V2: OpDef::new(
            "ParseExampleV2",
            "serialized: string, names: string, sparse_keys: string, dense_keys: string, ragged_keys: string, dense_defaults: Tdense -> sparse_indices: num_sparse * int64, sparse_values: sparse_types, sparse_shapes: num_sparse * int64, dense_values: Tdense, ragged_values: ragged_value_types, ragged_row_splits: ragged_split_types",
        )
        .attrs("Tdense: list({float, int64, string}) >= 0, num_sparse: int >= 0, sparse_types: list({float, int64, string}) >= 0, ragged_value_types: list({float, int64, string}) >= 0, ragged_split_types: list({int32, int64}) >= 0, dense_shapes: list(shape) >= 0")
        .shape(parsed_shapes).not_differentiable();
    PARSE_SINGLE_EXAMPLE: OpDef::new(
            "ParseSingleExample",
            "serialized: string, dense_defaults: Tdense -> sparse_indices: num_sparse * int64, sparse_values: sparse_types, sparse_shapes: num_sparse * int64, dense_values: Tdense",
        )
        .attrs("num_sparse: int >= 0, sparse_keys: list(string) >= 0, dense_keys: list(string) >= 0, sparse_types: list({float, int64, string}) >= 0, Tdense: list({float, int64, string}) >= 0, dense_shapes: list(shape) >= 0")
        .shape(parsed_shapes).not_differentiable();
}

/// Infers the shapes of all outputs: first those of sparse features, then dense, then ragged ones.
fn parsed_shapes(context: &mut ShapeContext<'_>) -> Result<()> {
    let Some((batch, rank)) = batch(context)? else { return Ok(()) };
    let (sparse, ragged) = (count(context, "sparse_types"), count(context, "ragged_value_types"));
    let dense = shapes(context, "dense_shapes");
    // Sparse values have one more axis than the batch: the place in the list of the feature.
    set_sparse_lists(context, 0, sparse, Some(rank + 1));
    for (index, shape) in dense.iter().enumerate() {
        context.set(3 * sparse + index, batch.concat(shape));
    }
    // Outputs follow in the order of the specification: three lists of sparse parts, the
    // dense values, the ragged ones.
    let (first, splits) = (3 * sparse + dense.len(), row_splits(&batch));
    for index in 0..ragged {
        context.set(first + index, PartialShape::of_rank(1));
        context.set(first + ragged + index, splits.clone());
    }
    Ok(())
}

/// Returns the shape of the serialized examples, a scalar or a vector, and its rank, if that is known.
pub(super) fn batch(context: &ShapeContext<'_>) -> Result<Option<(PartialShape, usize)>> {
    let batch = context.input(0);
    match batch.rank() {
        Some(2..) => {
            Err(Error::value(format!("serialized must be a scalar or a vector, not of shape {batch}")))
        }
        rank => Ok(rank.map(|rank| (batch, rank))),
    }
}

/// Returns the shape of the row splits of a ragged feature.
pub(super) fn row_splits(batch: &PartialShape) -> PartialShape {
    PartialShape::from([if batch.rank() == Some(0) { Some(0) } else { batch.dim(0).map(|size| size + 1) }])
}

/// Returns the length of an attribute that is a list.
pub(super) fn count(context: &ShapeContext<'_>, types: &str) -> usize {
    context.attr(types).and_then(AttrValue::as_list).map_or(0, <[AttrValue]>::len)
}

/// Returns an attribute that is a list of shapes.
pub(super) fn shapes(context: &ShapeContext<'_>, name: &str) -> Vec<PartialShape> {
    context.attr(name).and_then(AttrValue::as_shapes).unwrap_or_default()
}

/// The form in which a feature is parsed. The dtypes are `float32`, `int64`, and `string`.
#[derive(Clone, Debug)]
pub struct FeatureSpec {
    dtype: DType,
    form: Form,
}

#[derive(Clone, Debug)]
enum Form {
    Fixed { shape: Shape, default: Option<Tensor> },
    Sequence { shape: Shape, padding: Option<Tensor> },
    Sparse,
}

impl FeatureSpec {
    /// Describes a feature with a fixed number of values in each example: one for each element of the shape.
    ///
    /// ```
    /// # use ops::array::placeholder;
    /// # use ops::parsing::{FeatureSpec, parse_example, parse_single_example};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// # let records = placeholder(&graph, DType::String, [None]);
    /// let parsed = parse_example(&records, &[("image", FeatureSpec::fixed([28, 28], DType::Float32))]);
    /// assert_eq!(parsed.dense("image").shape().to_string(), "[?,28,28]");
    /// ```
    #[must_use]
    pub fn fixed(shape: impl Into<Shape>, dtype: DType) -> FeatureSpec {
        FeatureSpec { dtype, form: Form::Fixed { shape: shape.into(), default: None } }
    }

    /// Describes a feature with any number of blocks of this shape. Examples with fewer blocks than others
    /// are padded at the end, with zeros or empty strings unless a default value is given.
    ///
    /// ```
    /// # use ops::array::placeholder;
    /// # use ops::parsing::{FeatureSpec, parse_example, parse_single_example};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// # let records = placeholder(&graph, DType::String, [None]);
    /// let parsed = parse_example(&records, &[("pixels", FeatureSpec::fixed_sequence([3], DType::Int64))]);
    /// assert_eq!(parsed.dense("pixels").shape().to_string(), "[?,?,3]");
    /// ```
    #[must_use]
    pub fn fixed_sequence(shape: impl Into<Shape>, dtype: DType) -> FeatureSpec {
        FeatureSpec { dtype, form: Form::Sequence { shape: shape.into(), padding: None } }
    }

    /// Describes a feature with any number of values, parsed to a row of a sparse tensor.
    ///
    /// ```
    /// # use ops::array::placeholder;
    /// # use ops::parsing::{FeatureSpec, parse_example, parse_single_example};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// # let records = placeholder(&graph, DType::String, [None]);
    /// let parsed = parse_example(&records, &[("words", FeatureSpec::var_len(DType::String))]);
    /// assert_eq!(parsed.sparse("words").values.dtype(), DType::String);
    /// ```
    #[must_use]
    pub fn var_len(dtype: DType) -> FeatureSpec {
        FeatureSpec { dtype, form: Form::Sparse }
    }

    /// Sets the value for examples that lack the feature; without a default, a missing feature is an error. For sequences it is a scalar
    /// that pads.
    ///
    /// ```
    /// # use ops::array::placeholder;
    /// # use ops::parsing::{FeatureSpec, parse_example, parse_single_example};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// # let records = placeholder(&graph, DType::String, [None]);
    /// let label = FeatureSpec::fixed([], DType::Int64).default_value(Tensor::scalar(-1i64));
    /// let parsed = parse_example(&records, &[("label", label)]);
    /// assert_eq!(parsed.dense("label").dtype(), DType::Int64);
    /// ```
    #[must_use]
    pub fn default_value(mut self, value: impl Into<Tensor>) -> FeatureSpec {
        match &mut self.form {
            Form::Fixed { default: place, .. } | Form::Sequence { padding: place, .. } => {
                *place = Some(value.into());
            }
            Form::Sparse => {}
        }
        self
    }
}

/// The features that [`parse_example`] returns, by name.
#[derive(Clone, Debug)]
pub struct Parsed {
    dense: Vec<(String, Output)>,
    sparse: Vec<(String, SparseTensor)>,
}

impl Parsed {
    /// Returns a feature of fixed length, or a sequence.
    ///
    /// # Panics
    /// Panics if no such feature of this name was requested.
    #[must_use]
    #[track_caller]
    pub fn dense(&self, name: &str) -> Output {
        match self.dense.iter().find(|(known, _)| known == name) {
            Some((_, output)) => output.clone(),
            None => panic!("no dense feature '{name}' was requested"),
        }
    }

    /// Returns a feature of variable length.
    ///
    /// # Panics
    /// Panics if no such feature of this name was requested.
    #[must_use]
    #[track_caller]
    pub fn sparse(&self, name: &str) -> SparseTensor {
        match self.sparse.iter().find(|(known, _)| known == name) {
            Some((_, sparse)) => sparse.clone(),
            None => panic!("no sparse feature '{name}' was requested"),
        }
    }
}

/// Parses features from a vector of serialized `tf.Example`s. Features of fixed length have the shape `[batch, ...]`, sequences
/// `[batch, longest, ...]`, and features of variable length are sparse tensors with one row for each example.
///
/// ```
/// use ops::array::placeholder;
/// use ops::parsing::{FeatureSpec, parse_example};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let records = placeholder(&graph, DType::String, [None]);
/// let features = [("image", FeatureSpec::fixed([28, 28], DType::Float32)), ("tags", FeatureSpec::var_len(DType::String))];
/// let parsed = parse_example(&records, &features);
/// assert_eq!(parsed.dense("image").shape().to_string(), "[?,28,28]");
/// assert_eq!(parsed.sparse("tags").values.dtype(), DType::String);
/// # graph.finalize().unwrap();
/// ```
///
/// # Errors
/// Recorded in the graph: a dtype other than `float32`, `int64`, and `string`, and a default value that does not fit. At run time:
/// `InvalidArgument` for bytes that are not an example, for a feature of another kind or length, or for a missing feature without a
/// default. The message names the feature and the example, counted from 0.
#[must_use]
#[track_caller]
pub fn parse_example(serialized: impl AsOutput, features: &[(&str, FeatureSpec)]) -> Parsed {
    let serialized = serialized.as_output();
    let scope = Composite::new(&serialized.graph(), "ParseExample");
    parse(scope.graph(), serialized, features, |output| scope.leave(output))
}

/// Works as [`parse_example`] for one example, a scalar: the results have no dimension for the batch.
///
/// ```
/// # use ops::array::placeholder;
/// # use ops::parsing::{FeatureSpec, parse_example, parse_single_example};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// # use session_core::PartialShape;
/// let record = placeholder(&graph, DType::String, PartialShape::scalar());
/// let parsed = parse_single_example(&record, &[("image", FeatureSpec::fixed([28, 28], DType::Float32))]);
/// assert_eq!(parsed.dense("image").shape().to_string(), "[28,28]");
/// ```
///
/// # Errors
/// As [`parse_example`].
#[must_use]
#[track_caller]
pub fn parse_single_example(serialized: impl AsOutput, features: &[(&str, FeatureSpec)]) -> Parsed {
    let serialized = serialized.as_output();
    let outer = Composite::new(&serialized.graph(), "ParseSingleExample");
    let scope = Composite::new(outer.graph(), "ParseExample");
    if serialized.shape().rank().is_some_and(|rank| rank != 0) {
        let text = format!("one example is a scalar, not of shape {}", serialized.shape());
        outer.graph().add_error(Error::value(text));
    }
    parse(scope.graph(), serialized, features, |output| outer.leave(output))
}

fn parse(
    graph: &Graph,
    serialized: &Output,
    features: &[(&str, FeatureSpec)],
    leave: impl Fn(Output) -> Output,
) -> Parsed {
    // Names sorted, as in TensorFlow, so that the order in which features are
    // listed does not change the graph.
    let mut sorted: Vec<&(&str, FeatureSpec)> = features.iter().collect();
    sorted.sort_by_key(|(name, _)| *name);
    let (sparse, dense): (Vec<_>, Vec<_>) =
        sorted.into_iter().partition(|(_, spec)| matches!(spec.form, Form::Sparse));
    // The operation takes a default for each dense feature; an empty one says that the feature is required.
    let defaults: Vec<Output> = dense.iter().map(|(name, spec)| default(graph, name, spec)).collect();
    let types = |list: &[&(&str, FeatureSpec)]| {
        AttrValue::List(list.iter().map(|(_, spec)| AttrValue::Type(spec.dtype)).collect())
    };
    let keys = |list: &[&(&str, FeatureSpec)]| {
        Tensor::from_strings(list.iter().map(|(name, _)| name.as_bytes().to_vec()), [list.len()])
            .expect("one string for each")
    };
    let shapes = dense.iter().map(|(_, spec)| AttrValue::Shape(spec.shape())).collect();
    // Neither names for messages nor ragged features.
    let none = || Tensor::zeros(DType::String, [0]).expect("no elements");
    let builder = graph.op(&PARSE_EXAMPLE_V2).input(serialized).constant(none());
    let operation = builder
        .constant(keys(&sparse))
        .constant(keys(&dense))
        .constant(none())
        .input_list(&defaults)
        .attr("Tdense", types(&dense))
        .attr("num_sparse", sparse.len())
        .attr("sparse_types", types(&sparse))
        .attr("ragged_value_types", AttrValue::List(Vec::new()))
        .attr("ragged_split_types", AttrValue::List(Vec::new()))
        .attr("dense_shapes", AttrValue::List(shapes))
        .finish();
    let count = sparse.len();
    let output = |index: usize| leave(operation.output(index));
    let named = |name: &str| name.to_owned();
    Parsed {
        dense: dense.iter().enumerate().map(|(i, (name, _))| (named(name), output(3 * count + i))).collect(),
        sparse: sparse
            .iter()
            .enumerate()
            .map(|(i, (name, _))| {
                let (indices, values) = (output(i), output(count + i));
                (named(name), SparseTensor { indices, values, dense_shape: output(2 * count + i) })
            })
            .collect(),
    }
}

impl FeatureSpec {
    fn shape(&self) -> PartialShape {
        match &self.form {
            Form::Fixed { shape, .. } => shape.into(),
            Form::Sequence { shape, .. } => PartialShape::from([None]).concat(&shape.into()),
            Form::Sparse => PartialShape::unknown(),
        }
    }
}

/// Returns the default of a dense feature: no elements where there is none.
fn default(graph: &Graph, name: &str, spec: &FeatureSpec) -> Output {
    // Constants do not wait for what the scope's operations wait for.
    let constants = graph.without_control_dependencies();
    let given = match &spec.form {
        Form::Fixed { default, .. } => default,
        Form::Sequence { padding, .. } => padding,
        Form::Sparse => &None,
    };
    if let Some(value) = given
        && value.dtype() != spec.dtype
    {
        let text = format!("the default of feature '{name}' is of {}, not {}", value.dtype(), spec.dtype);
        graph.add_error(Error::type_mismatch(text));
    }
    match (&spec.form, given) {
        (Form::Fixed { shape, .. }, Some(value)) => {
            // Characters that a name of an operation must not have become underscores, as in TensorFlow.
            let key: String = name
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() || c == '_' || c == '.' { c } else { '_' })
                .collect();
            reshape(constant(&constants.named(&format!("key_{key}")), value.clone()), shape)
        }
        (_, Some(value)) => constant(&constants, value.clone()),
        (Form::Sequence { .. }, None) => constant(&constants, zero(spec.dtype, Shape::scalar())),
        (_, None) => constant(&constants, zero(spec.dtype, [0].into())),
    }
}

fn zero(dtype: DType, shape: Shape) -> Tensor {
    // A dtype without zeros is refused by the operation.
    Tensor::zeros(dtype, shape).unwrap_or_else(|_| Tensor::scalar(0f32))
}
