//! Signatures: named inputs and outputs of a model, which are checked and run.

use crate::frozen::operation_name;
use crate::value::{SignatureOutputs, SignatureValue, suggestion};
use graph_def::Imported;
use graph_def::proto::{SignatureDef, TensorInfo, TensorInfoEncoding};
use session_core::{
    Callable, DType, Endpoint, Error, OpId, Operation, Output, PartialShape, Result, RunMetadata, RunOptions,
    Session, StepSignature, Tensor, check_value,
};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use summary::StoredTensor;

/// The kind of a value: the tensors of which it consists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Layout {
    /// One tensor.
    Dense,
    /// The components `values`, `indices` and `dense_shape`.
    Sparse,
    /// The components `0`, `1`, ...; those of a ragged tensor are its flat values and its row splits.
    Composite,
}

/// An input or output of a signature: its name, dtype, shape, and tensors in the graph.
///
/// ```
/// use saved_model::{Layout, SavedModel};
/// use session_core::DType;
/// # let folder = "tests/fixtures/dense/model";
/// let model = SavedModel::load(folder, ["serve"])?;
/// let signature = model.signature("serving_default")?;
/// let x = &signature.inputs()[0];
/// assert_eq!((x.name(), x.dtype(), x.layout()), ("x", DType::Float32, Layout::Dense));
/// assert_eq!(x.shape().to_string(), "[?,4]");
/// assert!(!x.is_optional());
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SignatureTensor {
    name: String,
    layout: Layout,
    dtype: DType,
    shape: PartialShape,
    components: Vec<Component>,
    default: Option<Tensor>,
}

/// A tensor of the graph, with its name as a part of a value; the name is empty for a dense one.
#[derive(Clone, Debug)]
struct Component {
    name: String,
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    Tensor(Output),
    /// An operation without outputs, which is run for its effect.
    Operation(Operation),
}

impl SignatureTensor {
    /// Returns the name in the signature.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the kind of value.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Returns the dtype. For a composite value it is the dtype of its values.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Returns the shape as far as it is known. For a sparse tensor it is the shape of the dense tensor.
    #[must_use]
    pub fn shape(&self) -> &PartialShape {
        &self.shape
    }

    /// Returns the tensors of the graph, each with its name as a component. A dense value has one tensor with an empty name; an output that is an
    /// operation has none.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &Output)> {
        self.components.iter().filter_map(|component| match &component.source {
            Source::Tensor(output) => Some((component.name.as_str(), output)),
            Source::Operation(_) => None,
        })
    }

    /// Returns true if a call may omit this input, because the signature or the graph has a default value for it.
    #[must_use]
    pub fn is_optional(&self) -> bool {
        self.default.is_some() || self.tensors().all(|(_, output)| has_value(output))
    }

    fn outputs(&self) -> impl Iterator<Item = &Output> {
        self.tensors().map(|(_, output)| output)
    }
}

fn has_value(output: &Output) -> bool {
    // Any other operation, such as a placeholder with a default or a constant, has a value without a feed.
    !matches!(output.operation().op_type(), "Placeholder" | "PlaceholderV2")
}

/// Resolves one entry of a signature.
fn resolve(imported: &Imported, name: &str, info: &TensorInfo) -> Result<SignatureTensor> {
    let tensor = |name: &str| imported.output(name).map(Source::Tensor);
    let component = |name: &str, source: Source| Component { name: name.to_owned(), source };
    let (layout, components) = match &info.encoding {
        None => return Err(Error::value("it does not name a tensor")),
        Some(TensorInfoEncoding::Name(tensor_name)) => {
            (Layout::Dense, vec![component("", tensor_or_operation(imported, tensor_name)?)])
        }
        Some(TensorInfoEncoding::CooSparse(sparse)) => {
            let parts = [
                ("values", &sparse.values_tensor_name),
                ("indices", &sparse.indices_tensor_name),
                ("dense_shape", &sparse.dense_shape_tensor_name),
            ];
            let parts: Result<Vec<Component>> =
                parts.into_iter().map(|(part, name)| Ok(component(part, tensor(name)?))).collect();
            (Layout::Sparse, parts?)
        }
        Some(TensorInfoEncoding::Composite(composite)) => {
            let part = |(index, info): (usize, &TensorInfo)| match &info.encoding {
                Some(TensorInfoEncoding::Name(name)) => Ok(component(&index.to_string(), tensor(name)?)),
                _ => Err(Error::value(format!("its component {index} is not a tensor"))),
            };
            let parts: Result<Vec<Component>> = composite.components.iter().enumerate().map(part).collect();
            (Layout::Composite, parts?)
        }
    };
    let first = components.first().and_then(|component| match &component.source {
        Source::Tensor(output) => Some(output),
        Source::Operation(_) => None,
    });
    let said = info.tensor_shape.as_ref().map(PartialShape::try_from).transpose()?;
    let shape = match (layout, first) {
        // Old exporters left the shape out, which reads as that of a scalar. Then the graph has the actual shape.
        (Layout::Dense, Some(output)) => match said {
            Some(said) if said.rank() != Some(0) => output.shape().merge(&said).unwrap_or(said),
            _ => output.shape().clone(),
        },
        _ => said.unwrap_or_else(PartialShape::unknown),
    };
    let dtype = first.map_or(DType::Float32, Output::dtype);
    Ok(SignatureTensor { name: name.to_owned(), layout, dtype, shape, components, default: None })
}

fn tensor_or_operation(imported: &Imported, name: &str) -> Result<Source> {
    match imported.operation(operation_name(name)) {
        Ok(operation) if operation.num_outputs() == 0 => Ok(Source::Operation(operation.clone())),
        _ => imported.output(name).map(Source::Tensor),
    }
}

/// The inputs and outputs of a signature in an imported graph, sorted by name. It needs no session.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SignatureTensors {
    /// The inputs.
    pub inputs: Vec<SignatureTensor>,
    /// The outputs.
    pub outputs: Vec<SignatureTensor>,
}

impl SignatureTensors {
    /// Finds the tensors of a signature in a graph.
    ///
    /// # Errors
    /// A key error with the name of the input or output for a tensor that the graph does not have; entries without a tensor; default values that
    /// cannot be read.
    pub fn of(imported: &Imported, name: &str, def: &SignatureDef) -> Result<SignatureTensors> {
        let at = |what: &str, key: &str, error: Error| {
            error.context(format!("the {what} '{key}' of the signature '{name}' cannot be resolved"))
        };
        let mut inputs = Vec::new();
        for (key, info) in &def.inputs {
            let mut input = resolve(imported, key, info).map_err(|error| at("input", key, error))?;
            // An input must be fed, and an operation without outputs cannot be.
            if input.outputs().count() != input.components.len() {
                return Err(at("input", key, Error::value("it names an operation without outputs")));
            }
            if let Some(bytes) = def.defaults.get(key) {
                let value = StoredTensor::from_encoded(bytes.clone()).to_tensor();
                let value = value.map_err(|error| {
                    at("input", key, Error::invalid_argument("its default cannot be read").with_source(error))
                })?;
                // A default is one tensor, so only dense inputs have one.
                input.default = (input.layout == Layout::Dense).then_some(value);
            }
            inputs.push(input);
        }
        let outputs = def.outputs.iter();
        let outputs: Result<Vec<SignatureTensor>> = outputs
            .map(|(key, info)| resolve(imported, key, info).map_err(|error| at("output", key, error)))
            .collect();
        Ok(SignatureTensors { inputs, outputs: outputs? })
    }
}

/// A named set of inputs and outputs of a loaded model. Clones are handles to the same signature and share its compiled steps; several
/// threads may call it at once.
///
/// ```no_run
/// use saved_model::SavedModel;
/// let model = SavedModel::load("model", ["serve"])?;
/// let classify = model.signature("serving_default")?;
/// let answer = classify.run([("image", vec![0.0f32; 784])])?;
/// println!("{}", answer.tensor("probabilities")?);
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Signature(Arc<Inner>);

struct Inner {
    session: Arc<dyn Session>,
    name: String,
    method: String,
    inputs: Vec<SignatureTensor>,
    outputs: Vec<SignatureTensor>,
    /// For each name that a caller may use: the input, and the component of it.
    places: HashMap<String, (usize, Option<usize>)>,
    /// For each input, the place of its first component among all.
    starts: Vec<usize>,
    /// For each input, true if the outputs depend on it.
    needed: Vec<bool>,
    fetches: Vec<Endpoint>,
    targets: Vec<OpId>,
    /// Guards the list of compiled steps, each by which components it is fed; nothing else is locked meanwhile.
    steps: Mutex<Vec<(Vec<bool>, Callable)>>,
}

impl Signature {
    pub(crate) fn new(
        session: &Arc<dyn Session>,
        imported: &Imported,
        name: &str,
        def: &SignatureDef,
    ) -> Result<Signature> {
        let SignatureTensors { inputs, outputs } = SignatureTensors::of(imported, name, def)?;
        Ok(Signature::of(session, name, &def.method_name, inputs, outputs))
    }

    fn of(
        session: &Arc<dyn Session>,
        name: &str,
        method: &str,
        inputs: Vec<SignatureTensor>,
        outputs: Vec<SignatureTensor>,
    ) -> Signature {
        let (mut fetches, mut targets) = (Vec::new(), Vec::new());
        for component in outputs.iter().flat_map(|output| &output.components) {
            match &component.source {
                // One tensor may be the output of several entries, and is fetched once.
                Source::Tensor(output) if fetches.contains(&output.endpoint()) => {}
                Source::Tensor(output) => fetches.push(output.endpoint()),
                Source::Operation(operation) => targets.push(operation.id()),
            }
        }
        // Inputs that no output depends on may be omitted.
        let reached = reached(&outputs);
        let needed = inputs
            .iter()
            .map(|input| input.outputs().any(|output| reached.contains(&output.operation().id())));
        let needed = needed.collect();
        let mut starts = Vec::with_capacity(inputs.len());
        let mut next = 0;
        for input in &inputs {
            starts.push(next);
            next += input.components.len();
        }
        Signature(Arc::new(Inner {
            session: session.clone(),
            name: name.to_owned(),
            method: method.to_owned(),
            places: places(&inputs),
            inputs,
            outputs,
            starts,
            needed,
            fetches,
            targets,
            steps: Mutex::default(),
        }))
    }

    /// Returns the name of the signature.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns the kind of the signature, such as `tensorflow/serving/predict`.
    #[must_use]
    pub fn method_name(&self) -> &str {
        &self.0.method
    }

    /// Returns the inputs, sorted by name.
    #[must_use]
    pub fn inputs(&self) -> &[SignatureTensor] {
        &self.0.inputs
    }

    /// Returns the outputs, sorted by name.
    #[must_use]
    pub fn outputs(&self) -> &[SignatureTensor] {
        &self.0.outputs
    }

    /// Returns the tensor of the graph for an input or one of its components, by any name that [`run`](Signature::run) accepts.
    ///
    /// ```
    /// use saved_model::SavedModel;
    /// # let folder = "tests/fixtures/dense/model";
    /// let model = SavedModel::load(folder, ["serve"])?;
    /// let signature = model.signature("serving_default")?;
    /// assert_eq!(signature.input_tensor("x")?.name(), "x:0");
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// A key error for an unknown name, which suggests the most similar one; a value error for a composite input as a whole.
    pub fn input_tensor(&self, name: &str) -> Result<&Output> {
        let (index, component) = self.place(name)?;
        let input = &self.0.inputs[index];
        let whole = || {
            let text = format!("the input '{name}' consists of several tensors: {}", described(input));
            Error::value(text)
        };
        let component = match (component, input.components.len()) {
            (Some(component), _) => component,
            (None, 1) => 0,
            (None, _) => return Err(whole()),
        };
        input.outputs().nth(component).ok_or_else(whole)
    }

    /// Returns the signature with these outputs only. Operations that only the others need do not run.
    ///
    /// ```
    /// use saved_model::SavedModel;
    /// # let folder = "tests/fixtures/dense/model";
    /// let model = SavedModel::load(folder, ["serve"])?;
    /// let signature = model.signature("serving_default")?.with_outputs(["logits"])?;
    /// let answer = signature.run([("x", [[5.1f32, 3.5, 1.4, 0.2]])])?;
    /// assert_eq!(answer.iter().count(), 1);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// A key error for an unknown output, which suggests the most similar one.
    pub fn with_outputs(&self, names: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Signature> {
        let inner = &self.0;
        let mut outputs: Vec<SignatureTensor> = Vec::new();
        for name in names {
            let name = name.as_ref();
            let found = inner.outputs.iter().find(|output| output.name == name).ok_or_else(|| {
                let known = || inner.outputs.iter().map(|output| output.name.as_str());
                let suggestion = suggestion(name, known);
                Error::key(format!("the signature '{}' has no output '{name}'{suggestion}", inner.name))
            })?;
            // A name that is given twice counts once.
            if !outputs.iter().any(|output| output.name == name) {
                outputs.push(found.clone());
            }
        }
        Ok(Signature::of(&inner.session, &inner.name, &inner.method, inner.inputs.clone(), outputs))
    }

    /// Calls the signature: computes all outputs in one run.
    ///
    /// Inputs have their names in the signature. A sparse or ragged input takes a [`SignatureValue`], or its components one by one:
    /// `name/values`, `name/indices`, `name/dense_shape` for a sparse one, and `name/0`, `name/1`, ... for other composites. The names of
    /// TensorFlow 2, such as `name_values` and `name_component_0`, are accepted too.
    ///
    /// ```
    /// use saved_model::{SavedModel, SignatureValue};
    /// # let folder = "tests/fixtures/sparse_ragged/model";
    /// let model = SavedModel::load(folder, ["serve"])?;
    /// let features = SignatureValue::sparse([[0i64, 1], [1, 2]], [1.0f32, 2.0], [2i64, 6]);
    /// let answer = model.signature("sparse")?.run([("features", features)])?;
    /// assert!(answer.iter().count() > 0);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// A key error for an unknown name, which suggests the most similar one; a value error for inputs that are missing or given twice; a wrong
    /// dtype, or a shape that contradicts the graph; errors of the run. All of them name the signature.
    pub fn run<K: AsRef<str>, V: Into<SignatureValue>>(
        &self,
        inputs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<SignatureOutputs> {
        self.run_with(inputs, &RunOptions::default(), None)
    }

    /// Works as [`run`](Signature::run), with options, and records metadata of the run.
    ///
    /// ```
    /// use saved_model::SavedModel;
    /// use session_core::{RunMetadata, RunOptions};
    /// use std::time::Duration;
    /// # let folder = "tests/fixtures/dense/model";
    /// let model = SavedModel::load(folder, ["serve"])?;
    /// let signature = model.signature("serving_default")?;
    /// let options = RunOptions::with_timeout(Duration::from_secs(60));
    /// let mut metadata = RunMetadata::default();
    /// let answer = signature.run_with([("x", [[5.1f32, 3.5, 1.4, 0.2]])], &options, Some(&mut metadata))?;
    /// println!("{} in {:?}", answer.tensor("probabilities")?, metadata.elapsed);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`run`](Signature::run).
    pub fn run_with<K: AsRef<str>, V: Into<SignatureValue>>(
        &self,
        inputs: impl IntoIterator<Item = (K, V)>,
        options: &RunOptions,
        metadata: Option<&mut RunMetadata>,
    ) -> Result<SignatureOutputs> {
        let feeds = self.feeds(inputs)?;
        let fed: Vec<bool> = feeds.iter().map(Option::is_some).collect();
        let values: Vec<Tensor> = feeds.into_iter().flatten().collect();
        let step = self.step(fed.clone()).map_err(|error| self.at_run(error, &fed, &values))?;
        let results =
            step.call_with(&values, options, metadata).map_err(|error| self.at_run(error, &fed, &values))?;
        Ok(self.named(&results))
    }

    /// Compiles the signature for calls that pass the components of these inputs by position: the fastest way to call it many times. The results
    /// are in the order of [`outputs`](Signature::outputs), those of a composite output in the order of its components. A tensor that occurs
    /// several times is returned at its first position only.
    ///
    /// ```
    /// use saved_model::SavedModel;
    /// use session_core::Tensor;
    /// # let folder = "tests/fixtures/dense/model";
    /// let model = SavedModel::load(folder, ["serve"])?;
    /// let callable = model.signature("serving_default")?.callable(&["x"])?;
    /// let values = callable.call(&[Tensor::from([[5.1f32, 3.5, 1.4, 0.2]])])?;
    /// assert_eq!(values.len(), 2); // logits, probabilities
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// A key error for an unknown name; a value error for a name that is given twice, or if the outputs need an input that is omitted.
    pub fn callable(&self, inputs: &[&str]) -> Result<Callable> {
        let mut order: Vec<Endpoint> = Vec::new();
        let mut given = vec![false; self.0.inputs.len()];
        for name in inputs {
            let (input, component) = self.place(name)?;
            given[input] = true;
            let components = self.0.inputs[input].outputs().map(Output::endpoint).enumerate();
            order.extend(
                components.filter(|(i, _)| component.is_none_or(|c| c == *i)).map(|(_, endpoint)| endpoint),
            );
        }
        let mut seen = HashSet::new();
        if let Some(twice) = order.iter().position(|endpoint| !seen.insert(*endpoint)) {
            return Err(Error::value(format!(
                "an input of the signature '{}' is given twice, as value {twice}",
                self.0.name
            )));
        }
        let missing = |&(index, input): &(usize, &SignatureTensor)| {
            self.0.needed[index] && !given[index] && !input.outputs().all(has_value)
        };
        let missing: Vec<&str> =
            self.0.inputs.iter().enumerate().filter(missing).map(|(_, input)| input.name.as_str()).collect();
        self.check_missing(&missing)?;
        self.prepare(order)
    }

    fn prepare(&self, feeds: Vec<Endpoint>) -> Result<Callable> {
        let (fetches, targets) = (self.0.fetches.clone(), self.0.targets.clone());
        self.0.session.prepare(&StepSignature { fetches, targets, feeds })
    }

    fn place(&self, name: &str) -> Result<(usize, Option<usize>)> {
        self.0.places.get(name).copied().ok_or_else(|| {
            let known = || self.0.inputs.iter().map(|input| input.name.as_str());
            let suggestion = suggestion(name, known);
            Error::key(format!("the signature '{}' has no input '{name}'{suggestion}", self.0.name))
        })
    }

    /// The values of all components, in order; none where nothing is fed.
    fn feeds<K: AsRef<str>, V: Into<SignatureValue>>(
        &self,
        inputs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Vec<Option<Tensor>>> {
        let inner = &self.0;
        let mut feeds: Vec<Option<Tensor>> =
            vec![None; inner.inputs.iter().map(|input| input.components.len()).sum()];
        for (name, value) in inputs {
            let name = name.as_ref();
            let (index, component) = self.place(name)?;
            let input = &inner.inputs[index];
            let start = inner.starts[index];
            let values = value.into().into_components();
            let (first, expected) = match component {
                Some(component) => (start + component, 1),
                None => (start, input.components.len()),
            };
            if values.len() != expected {
                let text = format!(
                    "the input '{name}' of the signature '{}' consists of {expected} tensors ({}), {} were given",
                    inner.name,
                    described(input),
                    values.len()
                );
                return Err(Error::value(text));
            }
            for (place, value) in (first..).zip(values) {
                let output = input.outputs().nth(place - start);
                let output = output.ok_or_else(|| Error::value("an input without a tensor"))?;
                check_value(output, &value).map_err(|error| {
                    error
                        .context(format!("the input '{name}' of the signature '{}' does not fit", inner.name))
                })?;
                // Checked per component, because the components of an input may be given one by one.
                if feeds[place].replace(value).is_some() {
                    let text = format!("the input '{name}' of the signature '{}' is given twice", inner.name);
                    return Err(Error::value(text));
                }
            }
        }
        self.complete(&mut feeds)?;
        Ok(feeds)
    }

    /// Fills in the defaults of the signature, and checks that nothing is missing.
    fn complete(&self, feeds: &mut [Option<Tensor>]) -> Result<()> {
        let mut missing = Vec::new();
        for (index, input) in self.0.inputs.iter().enumerate() {
            let start = self.0.starts[index];
            let feeds = &mut feeds[start..start + input.components.len()];
            // The default of the signature comes before that of the graph.
            if let ([feed @ None], Some(default)) = (&mut *feeds, &input.default) {
                *feed = Some(default.clone());
            }
            let given = feeds.iter().filter(|feed| feed.is_some()).count();
            if given == feeds.len() {
                continue;
            }
            let lacking = input.components.iter().zip(input.outputs()).zip(feeds.iter());
            let lacking = lacking.filter(|((_, output), feed)| feed.is_none() && !has_value(output));
            let names = lacking.map(|((component, _), _)| match component.name.as_str() {
                "" => input.name.clone(),
                part => format!("{}/{part}", input.name),
            });
            // A composite input that is given in part is an error even if no output needs it.
            if given > 0 || self.0.needed[index] {
                missing.extend(names);
            }
        }
        let missing: Vec<&str> = missing.iter().map(String::as_str).collect();
        self.check_missing(&missing)
    }

    fn check_missing(&self, missing: &[&str]) -> Result<()> {
        if missing.is_empty() {
            return Ok(());
        }
        let all: Vec<String> = self.0.inputs.iter().map(described).collect();
        let missing: Vec<String> = missing.iter().map(|name| format!("'{name}'")).collect();
        Err(Error::value(format!(
            "the signature '{}' needs a value for {}; its inputs are {}",
            self.0.name,
            missing.join(", "),
            all.join(", ")
        )))
    }

    /// The compiled step that is fed these components.
    fn step(&self, fed: Vec<bool>) -> Result<Callable> {
        let steps = || self.0.steps.lock().unwrap_or_else(PoisonError::into_inner);
        // A program uses few combinations of inputs, so a list is enough.
        if let Some((_, step)) = steps().iter().find(|(known, _)| *known == fed) {
            return Ok(step.clone());
        }
        let endpoints = self.0.inputs.iter().flat_map(SignatureTensor::outputs).map(Output::endpoint);
        let endpoints = endpoints.zip(&fed).filter(|(_, fed)| **fed).map(|(endpoint, _)| endpoint).collect();
        // Compiled without the lock: two threads may compile the same step, of which the first is found from
        // then on.
        let step = self.prepare(endpoints)?;
        steps().push((fed, step.clone()));
        Ok(step)
    }

    fn named(&self, results: &[Tensor]) -> SignatureOutputs {
        let value = |output: &Output| {
            let place = self.0.fetches.iter().position(|endpoint| *endpoint == output.endpoint());
            place.and_then(|place| results.get(place)).cloned()
        };
        let values = self.0.outputs.iter().filter_map(|output| {
            let mut tensors = output.outputs().filter_map(value);
            let value = match output.layout {
                Layout::Dense => SignatureValue::Dense(tensors.next()?),
                Layout::Sparse => {
                    let (values, indices, dense_shape) = (tensors.next()?, tensors.next()?, tensors.next()?);
                    SignatureValue::Sparse { values, indices, dense_shape }
                }
                Layout::Composite => SignatureValue::Composite(tensors.collect()),
            };
            Some((output.name.clone(), value))
        });
        SignatureOutputs { values: values.collect() }
    }

    /// Adds to an error of a run the inputs that contradict the signature, because nothing else checks them.
    #[cold]
    fn at_run(&self, error: Error, fed: &[bool], values: &[Tensor]) -> Error {
        let inputs = self.0.inputs.iter().flat_map(|input| input.components.iter().map(move |_| input));
        let given = inputs.zip(fed).filter(|(_, fed)| **fed).map(|(input, _)| input).zip(values);
        let unlike = given.filter(|(input, value)| {
            input.layout == Layout::Dense && !input.shape.is_compatible_with(value.shape())
        });
        let unlike: Vec<String> = unlike
            .map(|(input, value)| {
                format!("; '{}' has shape {}, not {}", input.name, value.shape(), input.shape)
            })
            .collect();
        error.context(format!("the signature '{}' failed{}", self.0.name, unlike.concat()))
    }
}

/// The names by which callers may give inputs; those of the signature come before those of components.
fn places(inputs: &[SignatureTensor]) -> HashMap<String, (usize, Option<usize>)> {
    let mut places: HashMap<String, (usize, Option<usize>)> =
        inputs.iter().enumerate().map(|(index, input)| (input.name.clone(), (index, None))).collect();
    for (index, input) in inputs.iter().enumerate().filter(|(_, input)| input.layout != Layout::Dense) {
        for (component, Component { name, .. }) in input.components.iter().enumerate() {
            let own = match input.layout {
                Layout::Composite => format!("{}_component_{name}", input.name),
                _ => format!("{}_{name}", input.name),
            };
            for alias in [format!("{}/{name}", input.name), own] {
                // An input whose own name looks like that of a component keeps it.
                places.entry(alias).or_insert((index, Some(component)));
            }
        }
    }
    places
}

/// An input or output in a message: its name, dtype and shape.
fn described(tensor: &SignatureTensor) -> String {
    let SignatureTensor { name, layout, dtype, shape, components, .. } = tensor;
    match layout {
        Layout::Dense => format!("'{name}': {dtype} {shape}"),
        _ => {
            let parts: Vec<String> =
                components.iter().map(|component| format!("'{name}/{}'", component.name)).collect();
            parts.join(", ")
        }
    }
}

/// The operations that the outputs depend on.
fn reached(outputs: &[SignatureTensor]) -> HashSet<OpId> {
    let sources =
        outputs.iter().flat_map(|output| &output.components).map(|component| match &component.source {
            Source::Tensor(output) => output.operation().clone(),
            Source::Operation(operation) => operation.clone(),
        });
    let mut waiting: Vec<Operation> = sources.collect();
    let mut reached: HashSet<OpId> = waiting.iter().map(Operation::id).collect();
    while let Some(operation) = waiting.pop() {
        let before = operation.inputs().into_iter().map(|input| input.operation().clone());
        for next in before.chain(operation.control_inputs()) {
            if reached.insert(next.id()) {
                waiting.push(next);
            }
        }
    }
    reached
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |tensors: &[SignatureTensor]| tensors.iter().map(described).collect::<Vec<_>>();
        f.debug_struct("Signature")
            .field("name", &self.0.name)
            .field("inputs", &names(&self.0.inputs))
            .field("outputs", &names(&self.0.outputs))
            .finish_non_exhaustive()
    }
}
