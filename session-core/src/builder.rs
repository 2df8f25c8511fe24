//! Making operations.

use crate::op_def::{ArgDef, ArgType, AttrDef, OpDef};
use crate::operation::{INVALID, Node};
use crate::{
    AsOutput, AttrValue, Attrs, Endpoint, Error, Graph, GraphMember, HostFunction, Operation, Output,
    OutputInfo, PartialShape,
};
use crate::{OpId, Phase, Result, ShapeContext};
use std::borrow::Cow;
use std::panic::Location;
use std::sync::{Arc, OnceLock};
use tensor::{DType, Tensor};

/// Makes one operation: inputs in the order of the definition, then attributes, then [`finish`](Self::finish).
///
/// Types, list lengths and shapes follow from the inputs. A mistake does not stop the program: it is kept in the
/// graph with the caller's place, and the operation that could not be made poisons what is built on it.
#[derive(Debug)]
#[must_use = "an operation exists only after `finish`"]
pub struct OpBuilder {
    graph: Graph,
    def: Option<&'static OpDef>,
    op_type: Cow<'static, str>,
    name: Option<String>,
    absolute: bool,
    arguments: Vec<Argument>,
    attrs: Attrs,
    control_inputs: Vec<OpId>,
    device: Option<String>,
    /// Described outputs, for types without definition.
    described: Vec<OutputInfo>,
    location: &'static Location<'static>,
    origin: Option<Arc<str>>,
    /// Inputs are given later, by `set_inputs`.
    open_inputs: bool,
    host: Option<HostFunction>,
    /// Why it cannot be made, if its caller knows already.
    problem: Option<Error>,
}

#[derive(Debug)]
enum Argument {
    One(Output),
    Many(Vec<Output>),
    /// To become a `Const` of its own when the operation has its name.
    Constant(Tensor),
}

impl OpBuilder {
    #[track_caller]
    pub(crate) fn new(graph: &Graph, def: &'static OpDef) -> OpBuilder {
        OpBuilder::with(graph, Some(def), Cow::Borrowed(def.name()))
    }

    #[track_caller]
    pub(crate) fn undefined(graph: &Graph, op_type: String) -> OpBuilder {
        OpBuilder::with(graph, None, Cow::Owned(op_type))
    }

    #[track_caller]
    fn with(graph: &Graph, def: Option<&'static OpDef>, op_type: Cow<'static, str>) -> OpBuilder {
        OpBuilder {
            graph: graph.clone(),
            def,
            op_type,
            name: graph.context.name.clone(),
            absolute: false,
            arguments: Vec::new(),
            attrs: Attrs::new(),
            control_inputs: graph.context.control_inputs.clone(),
            device: None,
            described: Vec::new(),
            location: graph.location(),
            origin: None,
            open_inputs: false,
            host: None,
            problem: None,
        }
    }

    /// The definition of its type.
    #[must_use]
    pub fn definition(&self) -> Option<&'static OpDef> {
        self.def
    }

    /// The next input.
    pub fn input(mut self, input: impl AsOutput) -> Self {
        self.arguments.push(Argument::One(input.as_output().clone()));
        self
    }

    /// The next input, which is a list.
    pub fn input_list<O: AsOutput>(mut self, inputs: impl IntoIterator<Item = O>) -> Self {
        self.arguments.push(Argument::Many(inputs.into_iter().map(|o| o.as_output().clone()).collect()));
        self
    }

    /// The next input, which is a constant: it becomes a `Const` named `<operation>/<argument>`, as TensorFlow
    /// names what a caller gives as numbers.
    pub fn constant(mut self, value: impl Into<Tensor>) -> Self {
        self.arguments.push(Argument::Constant(value.into()));
        self
    }

    /// An attribute.
    pub fn attr(mut self, name: &str, value: impl Into<AttrValue>) -> Self {
        self.attrs.insert(name.to_owned(), value.into());
        self
    }

    /// Several attributes.
    pub fn attrs(mut self, attrs: impl IntoIterator<Item = (String, AttrValue)>) -> Self {
        self.attrs.extend(attrs);
        self
    }

    /// The name asked for, in the current scope; the op type's name by default. Made unique, unless it ends with
    /// `/`: then it is the name of that scope, counted from the graph's top, without the `/` (S-7).
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The name when the graph handle gives none, in the place of the op type's.
    pub fn default_name(mut self, name: &str) -> Self {
        self.name.get_or_insert_with(|| name.to_owned());
        self
    }

    /// The name asked for, counted from the graph's top.
    pub fn absolute_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self.absolute = true;
        self
    }

    /// An operation that must have run before, in addition to those of the graph handle.
    pub fn control_input(mut self, operation: &Operation) -> Self {
        match operation.check_in(&self.graph) {
            Ok(()) if !self.control_inputs.contains(&operation.id()) => {
                self.control_inputs.push(operation.id());
            }
            Ok(()) => {}
            // The error was recorded when that operation was made.
            Err(_) if operation.error().is_some() => {}
            Err(error) => return self.problem(error),
        }
        self
    }

    /// Makes the builder fail with this error, or with the first of several: for arguments that a constructor could not
    /// turn into inputs.
    pub fn problem(mut self, error: Error) -> Self {
        self.problem.get_or_insert(error);
        self
    }

    /// The device, in the place of the graph handle's.
    pub fn device(mut self, device: impl Into<String>) -> Self {
        self.device = Some(device.into());
        self
    }

    /// Describes the next output of an operation whose type has no definition or whose inputs are open. Where outputs
    /// follow from a definition, a description of each adds what it knows of the shapes.
    pub fn described_output(mut self, info: OutputInfo) -> Self {
        self.described.push(info);
        self
    }

    /// The place in the program that errors name; the caller of [`Graph::op`] by default.
    pub fn location(mut self, location: &'static Location<'static>) -> Self {
        self.location = location;
        self
    }

    /// What it is made from, for errors to name beside the place; see [`Operation::origin`].
    pub fn origin(mut self, origin: impl Into<Arc<str>>) -> Self {
        self.origin = Some(origin.into());
        self
    }

    /// Leaves the inputs open, to be given by [`Operation::set_inputs`]: how importers close loops. Outputs
    /// must be described.
    pub fn open_inputs(mut self) -> Self {
        self.open_inputs = true;
        self
    }

    /// The closure of the program that the operation calls when it runs.
    pub fn host_function(mut self, function: &HostFunction) -> Self {
        self.host = Some(function.clone());
        self
    }

    /// Makes the operation. A mistake is recorded in the graph; the operation then only carries the error.
    pub fn finish(self) -> Operation {
        let graph = self.graph.clone();
        let invalid = self.invalid_copy();
        // An input that could not be made was reported when that happened.
        let inherited = self.all_inputs().find_map(|input| input.operation().error()).cloned();
        match inherited.map_or_else(|| self.try_finish(), Err) {
            Ok(operation) => operation,
            Err(error) => {
                if error.phase() == Some(Phase::Build) && !already_known(&graph, &error) {
                    graph.record(&error);
                }
                invalid(error)
            }
        }
    }

    /// As [`finish`](Self::finish), for operations of which the first output is all that matters.
    pub fn finish_output(self) -> Output {
        let operation = self.finish();
        if operation.num_outputs() == 0 {
            let error =
                operation.place(Error::runtime("the operation has no output").with_phase(Phase::Build));
            operation.graph().record(&error);
            return operation.graph().invalid_output(operation.name(), DType::Float32, error);
        }
        operation.output(0)
    }

    /// Makes the operation, or says why not without recording it.
    ///
    /// # Errors
    /// Wrong number or types of inputs, missing or wrong attributes, shapes that cannot fit, an illegal name, a
    /// finalized graph, an input of another graph.
    pub fn try_finish(self) -> Result<Operation> {
        let name = self.name.clone().unwrap_or_else(|| self.op_type.clone().into_owned());
        let scoped = match name.strip_suffix('/') {
            Some(exact) => exact.to_owned(),
            None if self.absolute => name.clone(),
            None => format!("{}{name}", self.graph.context.scope),
        };
        let (op_type, location, origin) = (self.op_type.clone(), self.location, self.origin.clone());
        self.build(&name).map_err(|error| {
            let error = error.with_node(scoped, op_type).with_location(location).with_phase(Phase::Build);
            match origin {
                Some(origin) => error.with_origin(origin),
                None => error,
            }
        })
    }

    fn all_inputs(&self) -> impl Iterator<Item = &Output> {
        self.arguments.iter().flat_map(|argument| match argument {
            Argument::One(output) => std::slice::from_ref(output),
            Argument::Many(outputs) => outputs.as_slice(),
            Argument::Constant(_) => &[],
        })
    }

    /// Makes the constants among the inputs, in a scope that holds the operation's name for it.
    fn make_constants(&mut self, name: &str) -> Result<Option<String>> {
        if !self.arguments.iter().any(|argument| matches!(argument, Argument::Constant(_))) {
            return Ok(None);
        }
        let missing = || Error::runtime("its library does not define Const");
        let def = self.def.ok_or_else(missing)?;
        let constant = def.op_library().and_then(|library| library.find("Const")).ok_or_else(missing)?;
        let start = if self.absolute { self.graph.root() } else { self.graph.clone() };
        // Constants wait for nothing: so they can be folded and shared.
        let scope = start.scope(name).without_control_dependencies();
        for (index, argument) in self.arguments.iter_mut().enumerate() {
            let Argument::Constant(value) = argument else { continue };
            let named = def.signature().inputs.get(index).map_or("Const", |arg| &arg.name);
            let dtype = AttrValue::Type(value.dtype());
            let builder = scope.op(constant).location(self.location).name(named);
            let made = builder.attr("value", value.clone()).attr("dtype", dtype).try_finish()?;
            *argument = Argument::One(made.output(0));
        }
        Ok(Some(scope.scope_name().to_owned()))
    }

    fn build(mut self, name: &str) -> Result<Operation> {
        if let Some(problem) = self.problem.take() {
            return Err(problem);
        }
        let reserved = self.make_constants(name)?;
        let name = reserved.as_deref().unwrap_or(name);
        for input in self.all_inputs() {
            input.check_in(&self.graph)?;
        }
        let outputs = match self.def {
            Some(def) if !self.open_inputs => {
                let inferred = self.infer(def)?;
                refined(inferred, &self.described)
            }
            Some(def) => {
                def.signature().attrs.iter().try_for_each(|attr| check_attr(&mut self.attrs, attr))?;
                std::mem::take(&mut self.described)
            }
            None => std::mem::take(&mut self.described),
        };
        self.enter_container();
        let inputs: Vec<Endpoint> = self.all_inputs().map(Output::endpoint).collect();
        let device = self.device.unwrap_or_else(|| self.graph.context.device.clone());
        let inputs = if self.open_inputs { OnceLock::new() } else { OnceLock::from(inputs) };
        self.graph.insert(name, self.absolute, |id, name| Node {
            id,
            name,
            op_type: self.op_type,
            def: self.def,
            attrs: self.attrs,
            inputs,
            control_inputs: self.control_inputs,
            device,
            outputs,
            location: self.location,
            origin: self.origin,
            host: self.host.map(OnceLock::from).unwrap_or_default(),
            invalid: None,
        })
    }

    /// Puts a stateful operation without container of its own into that of the graph handle.
    fn enter_container(&mut self) {
        let container = &self.graph.context.container;
        let stateful = self.def.is_some_and(OpDef::is_stateful);
        if stateful
            && !container.is_empty()
            && let Some(own) = self.attrs.get_mut("container")
            && own.as_str() == Some("")
        {
            *own = AttrValue::from(container.as_str());
        }
    }

    /// Checks inputs and attributes against the definition, fills in what follows, and gives the outputs.
    fn infer(&mut self, def: &'static OpDef) -> Result<Vec<OutputInfo>> {
        let signature = def.signature();
        if self.arguments.len() != signature.inputs.len() {
            let (expected, found) = (signature.inputs.len(), self.arguments.len());
            return Err(Error::type_mismatch(format!("takes {expected} inputs, {found} were given")));
        }
        for (arg, argument) in signature.inputs.iter().zip(&self.arguments) {
            bind(&mut self.attrs, arg, argument)?;
        }
        for attr in &signature.attrs {
            check_attr(&mut self.attrs, attr)?;
        }
        let mut outputs = Vec::new();
        for arg in &signature.outputs {
            for dtype in dtypes_of(&arg.arg_type, &self.attrs)? {
                outputs.push(OutputInfo { dtype, shape: PartialShape::unknown(), is_ref: arg.is_ref });
            }
        }
        if let Some(shape) = def.shape_fn() {
            let inputs: Vec<Output> = self.all_inputs().cloned().collect();
            let mut context = ShapeContext::new(&inputs, &self.attrs, outputs.len());
            shape(&mut context)?;
            for (output, shape) in outputs.iter_mut().zip(context.into_outputs()) {
                output.shape = shape;
            }
        }
        Ok(outputs)
    }

    /// What makes an operation that carries an error in the place of this one, with as many outputs as can
    /// be told, so that model code can go on to its end.
    fn invalid_copy(&self) -> impl FnOnce(Error) -> Operation + use<> {
        let (graph, op_type, def, location) =
            (self.graph.clone(), self.op_type.clone(), self.def, self.location);
        let name = self.name.clone().unwrap_or_else(|| op_type.clone().into_owned());
        let dtype = self.all_inputs().next().map_or(DType::Float32, Output::dtype);
        let described = self.described.clone();
        move |error| {
            let count = def.map_or(described.len(), |def| def.signature().outputs.len());
            let info = OutputInfo { dtype, shape: PartialShape::unknown(), is_ref: false };
            let node = Node {
                id: INVALID,
                name,
                op_type,
                def,
                attrs: Attrs::new(),
                inputs: OnceLock::from(Vec::new()),
                control_inputs: Vec::new(),
                device: String::new(),
                outputs: if described.is_empty() { vec![info; count] } else { described },
                location,
                origin: None,
                host: OnceLock::new(),
                invalid: Some(error),
            };
            Operation { shared: graph.shared.clone(), context: graph.context.clone(), node: Arc::new(node) }
        }
    }
}

/// What was inferred, with what descriptions know more of the shapes. A description that contradicts is not believed.
fn refined(mut inferred: Vec<OutputInfo>, described: &[OutputInfo]) -> Vec<OutputInfo> {
    for (info, described) in inferred.iter_mut().zip(described) {
        if let Some(shape) = info.shape.merge(&described.shape) {
            info.shape = shape;
        }
    }
    inferred
}

/// Whether the error is one that the graph has recorded: an inherited one.
fn already_known(graph: &Graph, error: &Error) -> bool {
    // Only the first one is ever reported, so it is enough not to add to it.
    graph.check().is_err_and(|first| first.to_string() == error.to_string())
}

impl Graph {
    /// Makes an output that only carries an error: whatever is built on it, fetches it or feeds it fails with that error.
    /// For constructors that return an output and cannot make it. The graph reports the error once the output is used to
    /// build; [`add_error`](Graph::add_error) makes it do so at once.
    ///
    /// ```
    /// use session_core::{DType, Error, Graph};
    /// let graph = Graph::new();
    /// let output = graph.invalid_output("missing", DType::Float32, Error::value("the batch has no labels"));
    /// assert_eq!(output.operation().error().unwrap().message(), "the batch has no labels");
    /// assert!(graph.check().is_ok());
    /// ```
    #[must_use]
    #[track_caller]
    pub fn invalid_output(&self, name: &str, dtype: DType, error: Error) -> Output {
        let location = self.location();
        let node = Node {
            id: INVALID,
            name: name.to_owned(),
            op_type: Cow::Borrowed("Invalid"),
            def: None,
            attrs: Attrs::new(),
            inputs: OnceLock::from(Vec::new()),
            control_inputs: Vec::new(),
            device: String::new(),
            outputs: vec![OutputInfo { dtype, shape: PartialShape::unknown(), is_ref: false }],
            location,
            origin: None,
            host: OnceLock::new(),
            invalid: Some(error.with_location(location).with_phase(Phase::Build)),
        };
        let operation =
            Operation { shared: self.shared.clone(), context: self.context.clone(), node: Arc::new(node) };
        operation.output(0)
    }
}

impl Operation {
    /// Gives the inputs of an operation that was made with [`OpBuilder::open_inputs`].
    ///
    /// # Errors
    /// When it has inputs already, or one belongs to another graph.
    pub fn set_inputs(&self, inputs: &[Output]) -> Result<()> {
        inputs.check_in(&self.graph()).map_err(|error| self.place(error))?;
        let endpoints = inputs.iter().map(Output::endpoint).collect();
        self.node.inputs.set(endpoints).map_err(|_| self.place(Error::runtime("the inputs are set already")))
    }
}

/// Sets the attributes that follow from an argument, or checks them against it.
fn bind(attrs: &mut Attrs, arg: &ArgDef, argument: &Argument) -> Result<()> {
    match (&arg.arg_type, argument) {
        (ArgType::Repeated(count, each), Argument::Many(outputs)) => {
            agree(attrs, count, AttrValue::from(outputs.len()), &arg.name)?;
            outputs.iter().try_for_each(|output| bind_one(attrs, each, &arg.name, output))
        }
        (ArgType::List(types), Argument::Many(outputs)) => {
            let dtypes: Vec<DType> = outputs.iter().map(Output::dtype).collect();
            agree(attrs, types, AttrValue::from(dtypes), &arg.name)
        }
        (ArgType::Fixed(_) | ArgType::Attr(_), Argument::One(output)) => {
            if arg.is_ref && !output.is_ref() {
                let text = format!("input '{}' must be a reference to a variable", arg.name);
                return Err(Error::type_mismatch(text));
            }
            bind_one(attrs, &arg.arg_type, &arg.name, output)
        }
        (_, Argument::One(_)) => Err(Error::type_mismatch(format!("input '{}' is a list", arg.name))),
        (_, Argument::Constant(_)) => Err(Error::runtime("a constant was not made")),
        (_, Argument::Many(_)) => Err(Error::type_mismatch(format!("input '{}' is not a list", arg.name))),
    }
}

fn bind_one(attrs: &mut Attrs, arg_type: &ArgType, name: &str, output: &Output) -> Result<()> {
    match arg_type {
        ArgType::Attr(attr) => agree(attrs, attr, AttrValue::Type(output.dtype()), name),
        ArgType::Fixed(dtype) if *dtype == output.dtype() => Ok(()),
        ArgType::Fixed(dtype) => {
            let found = output.dtype();
            Err(Error::type_mismatch(format!("input '{name}' ('{}') is {found}, not {dtype}", output.name())))
        }
        ArgType::Repeated(..) | ArgType::List(_) => Err(Error::type_mismatch("a list of lists")),
    }
}

fn agree(attrs: &mut Attrs, attr: &str, value: AttrValue, input: &str) -> Result<()> {
    match attrs.get(attr) {
        None => {
            attrs.insert(attr.to_owned(), value);
            Ok(())
        }
        Some(known) if *known == value => Ok(()),
        Some(known) => {
            let text =
                format!("input '{input}' does not agree: {attr} is {}, not {}", show(&value), show(known));
            Err(Error::type_mismatch(text))
        }
    }
}

fn show(value: &AttrValue) -> String {
    match value {
        AttrValue::Type(dtype) => dtype.to_string(),
        AttrValue::Int(value) => value.to_string(),
        AttrValue::List(values) => format!("[{}]", values.iter().map(show).collect::<Vec<_>>().join(", ")),
        other => format!("{other:?}"),
    }
}

/// Fills in the default, or checks what was given or found.
fn check_attr(attrs: &mut Attrs, def: &AttrDef) -> Result<()> {
    if let Some(value) = attrs.get(&def.name) {
        return def.check(value);
    }
    let default = def.default.clone();
    let default = default.ok_or_else(|| Error::value(format!("attribute '{}' is missing", def.name)))?;
    attrs.insert(def.name.clone(), default);
    Ok(())
}

/// No operation has more outputs: a wild number must not fill the memory.
const MAX_OUTPUTS: usize = 1 << 20;

fn dtypes_of(arg_type: &ArgType, attrs: &Attrs) -> Result<Vec<DType>> {
    let missing = |name: &str| Error::value(format!("attribute '{name}' is missing"));
    Ok(match arg_type {
        ArgType::Fixed(dtype) => vec![*dtype],
        ArgType::Attr(name) => {
            vec![attrs.get(name).and_then(AttrValue::as_type).ok_or_else(|| missing(name))?]
        }
        ArgType::Repeated(count, each) => {
            let count = attrs.get(count).and_then(AttrValue::as_int).ok_or_else(|| missing(count))?;
            let few = usize::try_from(count).ok().filter(|&count| count <= MAX_OUTPUTS);
            let few = few.ok_or_else(|| Error::value(format!("{count} is no number of outputs")))?;
            dtypes_of(each, attrs)?.repeat(few)
        }
        ArgType::List(name) => attrs.get(name).and_then(AttrValue::as_types).ok_or_else(|| missing(name))?,
    })
}
