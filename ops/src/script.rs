//! Operations that call closures of the program: TensorFlow's `py_func`, in Rust.
//!
//! [`host_func`] builds an operation of type `PyFunc`, or `PyFuncStateless`, that passes the values of its inputs to a closure. It runs
//! wherever operations run: in steps, in functions, in loops, in datasets. The closure belongs to the operation and is not stored in files:
//! a graph that is read from a file refers to its closures by tokens, and the import binds them again.
//!
//! The embedded engine calls the closures. TensorFlow's own runtime has no kernel for these op types; the TensorFlow engine registers one.

use crate::array::constants::zeros_like;
use crate::library::op_defs;
use session_core::{
    AsOutput, DType, Error, Graph, HostContext, HostFunction, HostGradient, OpDef, Operation, Output,
    OutputInfo, PartialShape, Result,
};
use std::sync::Arc;
use tensor::{Element, Shape, Tensor, memory};

op_defs! {
    PY_FUNC: OpDef::new("PyFunc", "input: Tin -> output: Tout")
        .attrs("token: string, Tin: list(type) >= 0, Tout: list(type) >= 0")
        .stateful().gradient(host_gradient);
    PY_FUNC_STATELESS: OpDef::new("PyFuncStateless", "input: Tin -> output: Tout")
        .attrs("token: string, Tin: list(type) >= 0, Tout: list(type) >= 0")
        .gradient(host_gradient);
    EAGER_PY_FUNC: OpDef::new("EagerPyFunc", "input: Tin -> output: Tout")
        .attrs("token: string, is_async: bool = false, Tin: list(type) >= 0, Tout: list(type) >= 0")
        .stateful().gradient(host_gradient);
}

/// Returns true for the op types that call host functions: `PyFunc`, `PyFuncStateless` and `EagerPyFunc`.
#[must_use]
pub fn is_host_func(op_type: &str) -> bool {
    DEFS.iter().any(|def| def.name() == op_type)
}

/// Begins an operation that calls a closure of the program.
///
/// Declare its inputs and outputs, then give the closure: [`call`](HostFunc::call) takes one over tensors, and
/// [`call_with_slices`](HostFunc::call_with_slices), [`call_with_scalars`](HostFunc::call_with_scalars) and, with the feature
/// `ndarray`, `call_with_arrays` take closures over plain numbers.
///
/// ```
/// use ops::{array::placeholder, script::host_func};
/// use session_core::{DType, Graph, Tensor};
///
/// let graph = Graph::new();
/// let words = placeholder(&graph.named("words"), DType::String, [None]);
/// let lengths = host_func(&graph.named("lengths"))
///     .input(&words)
///     .output(DType::Int64, [None])
///     .call(|inputs, _context| {
///         let lengths: Vec<i64> = inputs[0].as_strings()?.iter().map(|word| word.len() as i64).collect();
///         Ok(vec![Tensor::from(lengths)])
///     });
/// assert_eq!(lengths.output(0).name(), "lengths:0");
/// graph.finalize()?;
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// When it runs, an error of the closure becomes the operation's error, with its code and the operation's name and place, and
/// so does a panic (`Internal`). Outputs of another number, dtype or shape than declared are `InvalidArgument`.
pub fn host_func(graph: &Graph) -> HostFunc {
    HostFunc {
        graph: graph.clone(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        stateless: false,
        token: None,
        gradient: None,
        problem: None,
    }
}

type GradientCall = dyn Fn(&HostGradient<'_>, &HostContext<'_>) -> Result<Vec<Tensor>> + Send + Sync;

/// The builder of an operation that calls a closure; see [`host_func`].
#[must_use = "the operation exists only after a closure was given"]
pub struct HostFunc {
    graph: Graph,
    inputs: Vec<Output>,
    outputs: Vec<OutputInfo>,
    stateless: bool,
    token: Option<String>,
    gradient: Option<Arc<GradientCall>>,
    problem: Option<Error>,
}

impl HostFunc {
    /// Adds an input.
    pub fn input(mut self, input: impl AsOutput) -> HostFunc {
        self.inputs.push(input.as_output().clone());
        self
    }

    /// Adds several inputs.
    pub fn inputs<O: AsOutput>(mut self, inputs: impl IntoIterator<Item = O>) -> HostFunc {
        self.inputs.extend(inputs.into_iter().map(|input| input.as_output().clone()));
        self
    }

    /// Declares the next output. The closure must return a tensor of this dtype and of a compatible shape.
    pub fn output(mut self, dtype: DType, shape: impl Into<PartialShape>) -> HostFunc {
        self.outputs.push(OutputInfo { dtype, shape: shape.into(), is_ref: false });
        self
    }

    /// Declares that the outputs depend only on the inputs and that the closure has no side effects. The engine may then compute equal inputs
    /// once and skip unused outputs. By default the closure is stateful: it is called in every run that needs the operation.
    pub fn stateless(mut self) -> HostFunc {
        self.stateless = true;
        self
    }

    /// Sets the token that stands for the closure in files. Default: `pyfunc_` and a number.
    pub fn token(mut self, token: impl Into<String>) -> HostFunc {
        self.token = Some(token.into());
        self
    }

    /// Adds the gradient: a closure that returns one gradient for each input of floating or complex dtype, in order. Without
    /// it nothing flows back through the operation, as through TensorFlow's `py_func`.
    ///
    /// ```
    /// # use ops::{array::placeholder, gradients, script::host_func};
    /// # use session_core::{DType, Graph, Tensor};
    /// let graph = Graph::new();
    /// let x = placeholder(&graph, DType::Float32, [None]);
    /// let square = host_func(&graph)
    ///     .input(&x)
    ///     .gradient(|values, _context| {
    ///         let (x, dy) = (values.inputs[0].as_slice::<f32>()?, values.gradients[0].as_slice::<f32>()?);
    ///         let dx: Vec<f32> = x.iter().zip(dy).map(|(x, dy)| 2.0 * x * dy).collect();
    ///         Ok(vec![Tensor::from(dx)])
    ///     })
    ///     .call_with_slices(|inputs: &[&[f32]], output: &mut [f32]| {
    ///         output.iter_mut().zip(inputs[0]).for_each(|(y, x)| *y = x * x);
    ///         Ok(())
    ///     });
    /// let dx = gradients(&[square], &[&x])?.remove(0).expect("it has a gradient");
    /// assert_eq!(dx.shape(), x.shape());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn gradient(
        mut self,
        gradient: impl Fn(&HostGradient<'_>, &HostContext<'_>) -> Result<Vec<Tensor>> + Send + Sync + 'static,
    ) -> HostFunc {
        self.gradient = Some(Arc::new(gradient));
        self
    }

    /// Builds the operation, which calls this closure with the values of its inputs. The closure returns one tensor for each declared output.
    ///
    /// ```
    /// use ops::{array::constant, script::host_func};
    /// use session_core::{DType, Graph, PartialShape, Tensor};
    /// let graph = Graph::new();
    /// let x = constant(&graph, [1.0f32, 2.0, 3.0]);
    /// let length = host_func(&graph)
    ///     .input(&x)
    ///     .output(DType::Int64, PartialShape::scalar())
    ///     .stateless()
    ///     .call(|inputs, _context| Ok(vec![Tensor::scalar(inputs[0].elements() as i64)]));
    /// assert_eq!(length.output(0).dtype(), DType::Int64);
    /// # graph.finalize().unwrap();
    /// ```
    #[track_caller]
    pub fn call(
        self,
        call: impl Fn(&[Tensor], &HostContext<'_>) -> Result<Vec<Tensor>> + Send + Sync + 'static,
    ) -> Operation {
        self.finish(HostFunction::new(call))
    }

    /// Builds the operation, which calls an existing host function. The operation uses the token and the gradient of the function unless the
    /// builder has others.
    #[track_caller]
    pub fn finish(self, function: HostFunction) -> Operation {
        let function = match self.token {
            Some(token) => function.with_token(token),
            None => function,
        };
        let function = match self.gradient {
            Some(gradient) => function.with_gradient(move |values, context| gradient(values, context)),
            None => function,
        };
        // Without the promise of being stateless the closure runs in every step, even
        // if its inputs are constants.
        let def = if self.stateless { &PY_FUNC_STATELESS } else { &PY_FUNC };
        let types: Vec<DType> = self.outputs.iter().map(|output| output.dtype).collect();
        let builder = self.graph.op(def).input_list(&self.inputs).host_function(&function);
        let builder = builder.attr("token", function.token()).attr("Tout", types);
        let builder = match self.problem {
            Some(problem) => builder.error(problem),
            None => builder,
        };
        self.outputs.into_iter().fold(builder, |builder, output| builder.described_output(output)).finish()
    }

    /// Builds an operation with one output that calls a closure with the elements of its inputs, all of type `T`, and the elements of the
    /// output, which are initially zero.
    ///
    /// Without a declared output of known shape, the output has the shape of the first input.
    #[track_caller]
    pub fn call_with_slices<T: Element, U: Element>(
        self,
        call: impl Fn(&[&[T]], &mut [U]) -> Result<()> + Send + Sync + 'static,
    ) -> Output {
        let like_input =
            self.inputs.first().map_or_else(PartialShape::unknown, |input| input.shape().clone());
        let this = self.typed::<T, U>(like_input);
        let declared = this.outputs.first().and_then(|output| output.shape.to_shape());
        let unknown = declared.is_none() && this.inputs.is_empty();
        let this = this.checked(!unknown, "the shape of the output is not known: declare it with `output`");
        this.one(move |inputs, _| {
            let slices = inputs.iter().map(Tensor::as_slice::<T>).collect::<Result<Vec<&[T]>, _>>()?;
            let shape = declared.as_ref().or_else(|| inputs.first().map(Tensor::shape)).cloned();
            let shape = shape.unwrap_or_default();
            // Through `memory`, so that memory limits hold for the closure's output too.
            let mut output = memory::filled(U::default(), shape.elements())?;
            call(&slices, &mut output)?;
            Ok(Tensor::from_vec(output, shape)?)
        })
    }

    /// Makes an operation of one output that calls a closure with one element of each input, which all are `T`, for each
    /// element of the first input. The inputs have one shape, which the output has, too; scalars go with any shape.
    ///
    /// ```
    /// # use ops::{array::placeholder, script::host_func};
    /// # use session_core::{DType, Graph};
    /// let graph = Graph::new();
    /// let x = placeholder(&graph, DType::Float32, [None]);
    /// let clipped = host_func(&graph).input(&x).stateless().call_with_scalars(|x: &[f32]| x[0].clamp(-1.0, 1.0));
    /// assert_eq!(clipped.dtype(), DType::Float32);
    /// ```
    #[track_caller]
    pub fn call_with_scalars<T: Element, U: Element>(
        self,
        call: impl Fn(&[T]) -> U + Send + Sync + 'static,
    ) -> Output {
        let like_input = self.inputs.first().map_or_else(PartialShape::scalar, |input| input.shape().clone());
        self.typed::<T, U>(like_input).one(move |inputs, _| {
            let shape = inputs.first().map_or_else(Shape::default, |input| input.shape().clone());
            let slices = inputs.iter().map(Tensor::as_slice::<T>).collect::<Result<Vec<&[T]>, _>>()?;
            let fits = |input: &Tensor| *input.shape() == shape || input.shape().rank() == 0;
            if let Some((index, other)) = inputs.iter().enumerate().find(|(_, input)| !fits(input)) {
                let text = format!("input {index} has shape {}, not {shape} as input 0", other.shape());
                return Err(Error::invalid_argument(text));
            }
            let count = shape.elements();
            // A scalar is broadcast: its only element serves every place.
            let element = |slice: &[T], place: usize| slice.get(place).or_else(|| slice.first()).copied();
            // One buffer for all calls.
            let mut arguments: Vec<T> = Vec::with_capacity(slices.len());
            let values = memory::collected((0..count).map(|place| {
                arguments.clear();
                arguments.extend(slices.iter().filter_map(|slice| element(slice, place)));
                call(&arguments)
            }))?;
            Ok(Tensor::from_vec(values, shape)?)
        })
    }

    /// Builds an operation with one output that calls a closure with `ndarray` views of its inputs, all of type `T`.
    #[cfg(feature = "ndarray")]
    #[track_caller]
    pub fn call_with_arrays<T: Element, U: Element, D: ndarray::Dimension>(
        self,
        call: impl Fn(&[ndarray::ArrayViewD<'_, T>]) -> Result<ndarray::Array<U, D>> + Send + Sync + 'static,
    ) -> Output {
        self.typed::<T, U>(PartialShape::unknown()).one(move |inputs, _| {
            let views = inputs.iter().map(Tensor::as_ndarray::<T>).collect::<Result<Vec<_>, _>>()?;
            Ok(Tensor::from(call(&views)?))
        })
    }

    /// Declares the one output, unless that was done, and checks the dtypes of a closure over `T` that returns `U`.
    fn typed<T: Element, U: Element>(mut self, shape: PartialShape) -> HostFunc {
        if self.outputs.is_empty() {
            self = self.output(U::DTYPE, shape);
        }
        let other = self.inputs.iter().position(|input| input.dtype() != T::DTYPE);
        if let Some((index, input)) = other.map(|index| (index, self.inputs[index].clone())) {
            let text = format!(
                "input {index}, '{}', is {}: the closure takes {}",
                input.name(),
                input.dtype(),
                T::DTYPE
            );
            return self.failed(Error::type_mismatch(text));
        }
        let declared = self.outputs[0].dtype;
        let one = self.outputs.len() == 1;
        let this = self.checked(one, "a closure over plain values returns one output: use `call` for more");
        let text = format!("the output is declared as {declared}, but the closure returns {}", U::DTYPE);
        if declared == U::DTYPE { this } else { this.failed(Error::type_mismatch(text)) }
    }

    /// Records an error unless the condition holds.
    fn checked(self, holds: bool, otherwise: &str) -> HostFunc {
        if holds { self } else { self.failed(Error::value(otherwise)) }
    }

    /// Records an error, which the operation then carries. The first one stays.
    fn failed(mut self, problem: Error) -> HostFunc {
        self.problem.get_or_insert(problem);
        self
    }

    /// Builds the operation of a closure that returns one tensor.
    #[track_caller]
    fn one(
        self,
        call: impl Fn(&[Tensor], &HostContext<'_>) -> Result<Tensor> + Send + Sync + 'static,
    ) -> Output {
        self.call(move |inputs, context| Ok(vec![call(inputs, context)?])).output(0)
    }
}

impl std::fmt::Debug for HostFunc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostFunc")
            .field("inputs", &self.inputs)
            .field("outputs", &self.outputs)
            .finish_non_exhaustive()
    }
}

/// The gradient of a call: a call of the gradient's closure, where there is one.
fn host_gradient(operation: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let (inputs, outputs) = (operation.inputs(), operation.outputs());
    let function = operation.host_function().and_then(|host| host.gradient(inputs.len(), outputs.len()));
    let Some(function) = function else { return Ok(vec![None; inputs.len()]) };
    let graph = operation.graph();
    let grads = grads.iter().zip(&outputs);
    let grads: Vec<Output> = grads
        .map(|(grad, output)| grad.clone().unwrap_or_else(|| zeros_like(output.within(&graph))))
        .collect();
    let mut builder = host_func(&graph).inputs(inputs.iter().chain(&outputs).chain(&grads));
    builder.stateless = operation.op_type() == PY_FUNC_STATELESS.name();
    let differentiable = |input: &&Output| input.dtype().is_floating() || input.dtype().is_complex();
    for input in inputs.iter().filter(differentiable) {
        builder = builder.output(input.dtype(), input.shape().clone());
    }
    let mut gradients = builder.finish(function).outputs().into_iter();
    Ok(inputs.iter().map(|input| differentiable(&input).then(|| gradients.next()).flatten()).collect())
}
