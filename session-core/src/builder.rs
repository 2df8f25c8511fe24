//! Construction of operations.

use crate::graph::Shared;
use crate::op_def::{ArgDef, ArgType, AttrDef, OpDef};
use crate::operation::{INVALID, Node};
use crate::{
    AsOutput, AttrValue, Attrs, Endpoint, Error, Graph, GraphMember, HostFunction, Operation, Output,
    OutputInfo, PartialShape,
};
use crate::{OpId, Origin, Phase, Result, ShapeContext};
use std::borrow::Cow;
use std::panic::Location;
use std::sync::{Arc, OnceLock};
use tensor::{DType, Tensor};

/// Builds one operation. Give the inputs in the order of the definition, then the attributes, then call
/// [`finish`](Self::finish).
///
/// Types, list lengths, and shapes follow from the inputs. An error does not stop the program: the graph
/// records it together with the caller's location, and the failed operation poisons whatever is built on it.
///
/// ```
/// use session_core::{DType, Graph, OpDef, OutputInfo, PartialShape};
/// static ADD: OpDef = OpDef::new("AddV2", "x: T, y: T -> z: T").attrs("T: type");
/// let graph = Graph::new();
/// let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::from([Some(2)]), is_ref: false };
/// let x = graph.undefined_op("Placeholder").name("x").described_output(info).finish_output();
/// let sum = graph.op(&ADD).input(&x).input(&x).name("sum").finish_output();
/// assert_eq!((sum.name(), sum.dtype()), ("sum:0".to_owned(), DType::Float32));
/// ```
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
    /// The outputs as described, for op types without a definition.
    described: Vec<OutputInfo>,
    location: &'static Location<'static>,
    origin: Option<Origin>,
    /// True if the inputs are given later, by `set_inputs`.
    open_inputs: bool,
    host: Option<HostFunction>,
    /// The error of the operation, if the caller knows of one already.
    problem: Option<Error>,
    /// The graphs of control inputs that belong elsewhere.
    foreign: Vec<Graph>,
}

#[derive(Debug)]
enum Argument {
    One(Output),
    Many(Vec<Output>),
    /// A value that becomes a separate `Const` once the operation has its name.
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
        // Resolved once, here: while a body of a function is being built, everything below belongs to the
        // body.
        let graph = graph.current();
        OpBuilder {
            def,
            op_type,
            name: graph.context.name.clone(),
            absolute: false,
            arguments: Vec::new(),
            // As many as the operation will have in most cases.
            attrs: Attrs::with_capacity(def.map_or(0, |def| def.signature().attrs.len())),
            control_inputs: graph.context.control_inputs.clone(),
            device: None,
            described: Vec::new(),
            location: graph.location(),
            origin: graph.context.origin.clone(),
            open_inputs: false,
            host: None,
            problem: None,
            foreign: Vec::new(),
            graph,
        }
    }

    /// Returns the definition of the op type.
    #[must_use]
    pub fn definition(&self) -> Option<&'static OpDef> {
        self.def
    }

    /// Adds the next input.
    ///
    /// ```
    /// use session_core::OpDef;
    /// # use session_core::{DType, Graph, OutputInfo, PartialShape};
    /// let graph = Graph::new();
    /// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::from([Some(2)]), is_ref: false };
    /// # let x = graph.undefined_op("Placeholder").name("x").described_output(info).finish_output();
    /// static NEG: OpDef = OpDef::new("Neg", "x: T -> y: T").attrs("T: type");
    /// assert_eq!(graph.op(&NEG).input(&x).finish().num_inputs(), 1);
    /// ```
    pub fn input(mut self, input: impl AsOutput) -> Self {
        self.arguments.push(Argument::One(input.as_output().clone()));
        self
    }

    /// Adds the next input, which is a list.
    ///
    /// ```
    /// use session_core::OpDef;
    /// # use session_core::{DType, Graph, OutputInfo, PartialShape};
    /// let graph = Graph::new();
    /// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::from([Some(2)]), is_ref: false };
    /// # let x = graph.undefined_op("Placeholder").name("x").described_output(info).finish_output();
    /// static ADD_N: OpDef = OpDef::new("AddN", "inputs: N * T -> sum: T").attrs("N: int >= 1, T: type");
    /// let sum = graph.op(&ADD_N).input_list([&x, &x, &x]).finish();
    /// assert_eq!(sum.attr("N").unwrap().as_int(), Some(3));
    /// ```
    pub fn input_list<O: AsOutput>(mut self, inputs: impl IntoIterator<Item = O>) -> Self {
        // The iterator is consumed at once, so that the builder has no lifetime.
        self.arguments.push(Argument::Many(inputs.into_iter().map(|o| o.as_output().clone()).collect()));
        self
    }

    /// Adds the next input, which is a constant. It becomes a `Const` named `<operation>/<argument>`, as
    /// TensorFlow names numbers that a caller passes.
    pub fn constant(mut self, value: impl Into<Tensor>) -> Self {
        self.arguments.push(Argument::Constant(value.into()));
        self
    }

    /// Sets an attribute.
    ///
    /// ```
    /// use session_core::Graph;
    /// let op = Graph::new().undefined_op("Sleep").attr("seconds", 3i64).finish();
    /// assert_eq!(op.attr("seconds").unwrap().as_int(), Some(3));
    /// ```
    pub fn attr(mut self, name: &str, value: impl Into<AttrValue>) -> Self {
        let name = self.attr_name(name).unwrap_or_else(|| Cow::Owned(name.to_owned()));
        self.attrs.insert(name, value.into());
        self
    }

    /// Returns the name of an attribute as the definition has it, so that operations need no copies of it.
    fn attr_name(&self, name: &str) -> Option<Cow<'static, str>> {
        let known = self.def?.signature().attrs.iter().find(|attr| attr.name == name)?;
        Some(Cow::Borrowed(&known.name))
    }

    /// Sets several attributes.
    ///
    /// ```
    /// use session_core::{AttrValue, Graph};
    /// let attrs = [("seconds", AttrValue::Int(3))];
    /// assert!(Graph::new().undefined_op("Sleep").attrs(attrs).finish().attr("seconds").is_some());
    /// ```
    pub fn attrs<K: Into<Cow<'static, str>>>(
        mut self,
        attrs: impl IntoIterator<Item = (K, AttrValue)>,
    ) -> Self {
        for (name, value) in attrs {
            let name = name.into();
            self.attrs.insert(self.attr_name(&name).unwrap_or(name), value);
        }
        self
    }

    /// Requests a name in the current scope. The default is the name of the op type. The name is made unique
    /// unless it ends with `/`: then it is the name of exactly that scope, relative to the root of the graph
    /// and without the `/` (S-7).
    ///
    /// ```
    /// use session_core::Graph;
    /// let graph = Graph::new();
    /// let layer = graph.scope("layer");
    /// assert_eq!(layer.undefined_op("NoOp").name("init").finish().name(), "layer/init");
    /// assert_eq!(layer.undefined_op("NoOp").name("init").finish().name(), "layer/init_1");
    /// ```
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the name to use if the graph handle has none, instead of the name of the op type.
    ///
    /// ```
    /// use session_core::Graph;
    /// assert_eq!(Graph::new().undefined_op("NoOp").default_name("init").finish().name(), "init");
    /// ```
    pub fn default_name(mut self, name: &str) -> Self {
        self.name.get_or_insert_with(|| name.to_owned());
        self
    }

    /// Requests a name relative to the root of the graph.
    ///
    /// ```
    /// use session_core::Graph;
    /// let layer = Graph::new().scope("layer");
    /// assert_eq!(layer.undefined_op("NoOp").absolute_name("init").finish().name(), "init");
    /// ```
    pub fn absolute_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self.absolute = true;
        self
    }

    /// Adds a control input, in addition to those of the graph handle: an operation that must run before this
    /// one.
    ///
    /// ```
    /// use session_core::Graph;
    /// let graph = Graph::new();
    /// let first = graph.undefined_op("NoOp").name("first").finish();
    /// let second = graph.undefined_op("NoOp").control_input(&first).finish();
    /// assert_eq!(second.control_inputs(), [first]);
    /// ```
    pub fn control_input(mut self, operation: &Operation) -> Self {
        // A repeated control input adds nothing.
        match operation.check_belongs_to(&self.graph) {
            Ok(()) if !self.control_inputs.contains(&operation.id()) => {
                self.control_inputs.push(operation.id());
            }
            Ok(()) => {}
            // The error was recorded when that operation was created.
            Err(_) if operation.error().is_some() => {}
            Err(_) if self.graph.captures_control(operation) => {}
            Err(error) => {
                // Kept until `finish`, which knows the name of the operation and records the error in both
                // graphs.
                self.foreign.push(operation.graph());
                return self.error(error);
            }
        }
        self
    }

    /// Makes the builder fail with this error, or with the first of several. Constructors use it for
    /// arguments that they cannot turn into inputs.
    ///
    /// ```
    /// use session_core::{Error, Graph};
    /// let graph = Graph::new();
    /// graph.undefined_op("NoOp").error(Error::value("the axis is negative")).finish();
    /// assert_eq!(graph.check().unwrap_err().message(), "the axis is negative");
    /// ```
    pub fn error(mut self, error: Error) -> Self {
        // The first error wins: constructors often fail again because of it.
        self.problem.get_or_insert(error);
        self
    }

    /// Sets the device, instead of that of the graph handle.
    ///
    /// ```
    /// use session_core::Graph;
    /// let op = Graph::new().undefined_op("NoOp").device("/device:CPU:0").finish();
    /// assert_eq!(op.device(), "/device:CPU:0");
    /// ```
    pub fn device(mut self, device: impl Into<String>) -> Self {
        self.device = Some(device.into());
        self
    }

    /// Describes the next output of an operation whose type has no definition or whose inputs are open. If
    /// outputs follow from a definition, a description of each refines its shape.
    pub fn described_output(mut self, info: OutputInfo) -> Self {
        self.described.push(info);
        self
    }

    /// Sets the source location that errors report. The default is the caller of [`Graph::op`].
    pub fn location(mut self, location: &'static Location<'static>) -> Self {
        self.location = location;
        self
    }

    /// Sets the origin of the operation, which errors report with its location or instead of it. See
    /// [`Operation::origin`].
    pub fn origin(mut self, origin: Origin) -> Self {
        self.origin = Some(origin);
        self
    }

    /// Leaves the inputs open until [`Operation::set_inputs`], which is how importers close loops. The
    /// outputs must be described.
    pub fn open_inputs(mut self) -> Self {
        self.open_inputs = true;
        self
    }

    /// The closure of the program that the operation calls when it runs.
    pub fn host_function(mut self, function: &HostFunction) -> Self {
        self.host = Some(function.clone());
        self
    }

    /// Creates the operation. If that fails, the graph records the error, and the returned operation only
    /// carries it.
    ///
    /// ```
    /// use session_core::Graph;
    /// let graph = Graph::new();
    /// assert!(graph.undefined_op("NoOp").finish().error().is_none());
    /// assert!(graph.undefined_op("NoOp").name("not a name").finish().error().is_some());
    /// assert!(graph.check().is_err()); // recorded
    /// ```
    pub fn finish(self) -> Operation {
        // Taken before `try_finish` consumes the builder.
        let graph = self.graph.clone();
        let invalid = self.invalid_copy();
        let foreign = self.foreign_graphs();
        // The error of a failed input was reported when that input failed.
        let inherited = self.all_inputs().find_map(|input| input.operation().error()).cloned();
        match inherited.map_or_else(|| self.try_finish(), Err) {
            Ok(operation) => operation,
            Err(error) => {
                // Only errors of this build: an inherited one was recorded with the operation that failed
                // first.
                if error.phase() == Some(Phase::Build) && !already_known(&graph, &error) {
                    graph.shared.record(&error);
                    // The program may check and run only the other graph, which would otherwise never report
                    // its foreign element.
                    foreign.iter().for_each(|other| graph.shared.record_elsewhere(&error, other));
                }
                invalid(error)
            }
        }
    }

    /// Creates the operation as [`finish`](Self::finish) does and returns its first output.
    pub fn finish_output(self) -> Output {
        let operation = self.finish();
        if operation.num_outputs() == 0 {
            let error =
                // The graph records this error here, because the operation itself was created without one.
                operation.place(Error::runtime("the operation has no output").with_phase(Phase::Build));
            operation.shared.record(&error);
            return operation.graph().invalid_output(operation.name(), DType::Float32, error);
        }
        operation.output(0)
    }

    /// Creates the operation, or returns the error without recording it.
    ///
    /// ```
    /// use session_core::Graph;
    /// let graph = Graph::new();
    /// assert!(graph.undefined_op("NoOp").name("not a name").try_finish().is_err());
    /// assert!(graph.check().is_ok()); // nothing was recorded
    /// ```
    ///
    /// # Errors
    /// Fails for a wrong number or wrong types of inputs, missing or invalid attributes, incompatible shapes,
    /// an illegal name, a finalized graph, or an input of another graph.
    pub fn try_finish(self) -> Result<Operation> {
        let name = self.name.clone().unwrap_or_else(|| self.op_type.clone().into_owned());
        // The scoped name is for messages, so it is computed before the name is made unique.
        let scoped = match name.strip_suffix('/') {
            Some(exact) => exact.to_owned(),
            None if self.absolute => name.clone(),
            None => format!("{}{name}", self.graph.context.scope),
        };
        let (op_type, location, origin) = (self.op_type.clone(), self.location, self.origin.clone());
        // The place is added to every error here rather than where each error is created.
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

    /// Returns the graphs of the inputs and control inputs that belong elsewhere.
    fn foreign_graphs(&self) -> Vec<Arc<Shared>> {
        let inputs = self.all_inputs().filter(|input| !input.is_in(&self.graph));
        let mut graphs: Vec<Arc<Shared>> = self.foreign.iter().map(|graph| graph.shared.clone()).collect();
        for shared in inputs.map(|input| &input.operation().shared) {
            if !graphs.iter().any(|known| Arc::ptr_eq(known, shared)) {
                graphs.push(shared.clone());
            }
        }
        graphs
    }

    /// Creates the constants among the inputs, in a scope reserved by the name of the operation.
    fn make_constants(&mut self, name: &str) -> Result<Option<String>> {
        if !self.arguments.iter().any(|argument| matches!(argument, Argument::Constant(_))) {
            return Ok(None);
        }
        let missing = || Error::runtime("its library does not define Const");
        let def = self.def.ok_or_else(missing)?;
        let constant = def.op_library().and_then(|library| library.find("Const")).ok_or_else(missing)?;
        // An absolute name counts from the root, and so do the names of its constants.
        let start = if self.absolute { self.graph.root() } else { self.graph.clone() };
        // Constants depend on nothing, so they can be folded and shared.
        let scope = start.scope(name).without_control_dependencies();
        for (index, argument) in self.arguments.iter_mut().enumerate() {
            let Argument::Constant(value) = argument else { continue };
            let named = def.signature().inputs.get(index).map_or("Const", |arg| &arg.name);
            let dtype = AttrValue::Type(value.dtype());
            let builder = scope.op(constant).location(self.location).name(named);
            // `try_finish`, because the operation itself reports a failure of its constants; recording both
            // would report it twice.
            let made = builder.attr("value", value.clone()).attr("dtype", dtype).try_finish()?;
            *argument = Argument::One(made.output(0));
        }
        Ok(Some(scope.scope_name().to_owned()))
    }

    /// Replaces outputs of surrounding graphs by arguments of the body under construction.
    fn capture(&mut self) -> Result<()> {
        let graph = &self.graph;
        let inputs = self.arguments.iter_mut().flat_map(|argument| match argument {
            Argument::One(output) => std::slice::from_mut(output),
            Argument::Many(outputs) => outputs.as_mut_slice(),
            Argument::Constant(_) => &mut [],
        });
        for input in inputs.filter(|input| !input.is_in(graph)) {
            *input = graph.captured(input)?;
        }
        Ok(())
    }

    fn build(mut self, name: &str) -> Result<Operation> {
        if let Some(problem) = self.problem.take() {
            return Err(problem);
        }
        // Before the constants, which are created in the body and need no capture.
        if self.graph.is_function_body() {
            self.capture()?;
        }
        // The constants reserve the name of the operation as their scope, so the operation must then use
        // exactly that name.
        let reserved = self.make_constants(name)?;
        let name = reserved.as_deref().unwrap_or(name);
        // After the capture, which has replaced the outputs of surrounding graphs; whatever is foreign now is
        // an error.
        for input in self.all_inputs() {
            input.check_belongs_to(&self.graph)?;
        }
        let outputs = match self.def {
            Some(def) if !self.open_inputs => {
                let inferred = self.infer(def)?;
                // A description may know more than the shape function, as in graphs that another program
                // exported.
                refined(inferred, &self.described)
            }
            Some(def) => {
                // The dtypes of open inputs are unknown, so the attributes must be given; the outputs are
                // described.
                def.signature().attrs.iter().try_for_each(|attr| check_attr(&mut self.attrs, attr))?;
                std::mem::take(&mut self.described)
            }
            None => std::mem::take(&mut self.described),
        };
        self.enter_container();
        self.attrs.shrink_to_fit();
        let inputs: Vec<Endpoint> = self.all_inputs().map(Output::endpoint).collect();
        let device = self.device.unwrap_or_else(|| self.graph.context.device.clone());
        // Empty until `set_inputs`. `OnceLock` rather than a lock: the inputs are read in every compilation
        // and set once.
        let inputs = if self.open_inputs { OnceLock::new() } else { OnceLock::from(inputs) };
        // The node is made under the graph's lock, because its name and id depend on what the graph holds by
        // then.
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

    /// Places a stateful operation without its own container in the container of the graph handle.
    fn enter_container(&mut self) {
        let container = &self.graph.context.container;
        let stateful = self.def.is_some_and(OpDef::is_stateful);
        if stateful
            && !container.is_empty()
            && let Some(own) = self.attrs.get_mut("container")
            // TensorFlow's definitions have the default `""`, which stands for the container of the scope.
            && own.as_str() == Some("")
        {
            *own = AttrValue::from(container.as_str());
        }
    }

    /// Checks inputs and attributes against the definition, infers the rest, and returns the outputs.
    fn infer(&mut self, def: &'static OpDef) -> Result<Vec<OutputInfo>> {
        let signature = def.signature();
        if self.arguments.len() != signature.inputs.len() {
            let (expected, found) = (signature.inputs.len(), self.arguments.len());
            return Err(Error::type_mismatch(format!("takes {expected} inputs, but {found} were given")));
        }
        // In the order of the arguments: the first argument that binds an attribute decides, and later ones
        // must agree with it.
        for (arg, argument) in signature.inputs.iter().zip(&self.arguments) {
            bind(&mut self.attrs, arg, argument)?;
        }
        // After all arguments, so that a default is filled in only where no input determines the value.
        for attr in &signature.attrs {
            check_attr(&mut self.attrs, attr)?;
        }
        let mut outputs = Vec::new();
        for arg in &signature.outputs {
            // Before shapes: a shape function may rely on the number of outputs.
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

    /// Returns the number of outputs that the operation will have, as far as its attributes and lists of inputs determine it.
    fn expected_outputs(&self, def: &'static OpDef) -> usize {
        let signature = def.signature();
        let is_list = |arg: &ArgDef| matches!(arg.arg_type, ArgType::Repeated(..) | ArgType::List(_));
        if !signature.outputs.iter().any(is_list) {
            return signature.outputs.len();
        }
        // A copy: this runs before the build, whose attributes it must not change.
        let mut attrs = self.attrs.clone();
        for (arg, argument) in signature.inputs.iter().zip(&self.arguments) {
            // The build reports their errors.
            let _ = bind(&mut attrs, arg, argument);
        }
        let count = |arg: &ArgDef| match &arg.arg_type {
            ArgType::Repeated(count, _) => attrs.get(count).and_then(AttrValue::as_int),
            ArgType::List(types) => {
                attrs.get(types).and_then(AttrValue::as_types).map(|types| types.len() as i64)
            }
            ArgType::Fixed(_) | ArgType::Attr(_) => Some(1),
        };
        signature.outputs.iter().map(|arg| count(arg).and_then(output_count).unwrap_or(1)).sum()
    }

    /// Returns a closure that creates an operation that carries an error instead of this one. It has as many
    /// outputs as can be determined, so that model code can run to its end.
    fn invalid_copy(&self) -> impl FnOnce(Error) -> Operation + use<> {
        let (graph, op_type, def, location) =
            (self.graph.clone(), self.op_type.clone(), self.def, self.location);
        let name = self.name.clone().unwrap_or_else(|| op_type.clone().into_owned());
        // A guess that lets most model code continue: outputs usually have the dtype of the first input.
        let dtype = self.all_inputs().next().map_or(DType::Float32, Output::dtype);
        let described = self.described.clone();
        let count = def.map_or(described.len(), |def| self.expected_outputs(def));
        move |error| {
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

/// Returns the inferred outputs, refined by shapes from the descriptions. A contradictory description is
/// ignored.
fn refined(mut inferred: Vec<OutputInfo>, described: &[OutputInfo]) -> Vec<OutputInfo> {
    for (info, described) in inferred.iter_mut().zip(described) {
        if let Some(shape) = info.shape.merge(&described.shape) {
            info.shape = shape;
        }
    }
    inferred
}

/// Returns true if the graph has recorded the error, because an input carries it.
fn already_known(graph: &Graph, error: &Error) -> bool {
    // Only the first error is reported, so it suffices not to add to it.
    // Compared by text, because the place that was added to the copy makes it another object.
    graph.check().is_err_and(|first| first.to_string() == error.to_string())
}

impl Graph {
    /// Creates an output that only carries an error: whatever is built on it, fetches it, or feeds it fails
    /// with that error. Constructors that return an output use it when they fail. The graph reports the error
    /// once the output is used; [`add_error`](Graph::add_error) reports it at once.
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
    /// Sets the inputs of an operation that was created with [`OpBuilder::open_inputs`].
    ///
    /// # Errors
    /// Fails if the inputs are already set or if one belongs to another graph.
    pub fn set_inputs(&self, inputs: &[Output]) -> Result<()> {
        inputs.check_belongs_to(&self.own_graph()).map_err(|error| self.place(error))?;
        let endpoints = inputs.iter().map(Output::endpoint).collect();
        // A second call would change an operation that an engine may have compiled.
        self.node.inputs.set(endpoints).map_err(|_| self.place(Error::runtime("the inputs are already set")))
    }
}

/// Sets the attributes that follow from an argument, or checks them against it.
fn bind(attrs: &mut Attrs, arg: &'static ArgDef, argument: &Argument) -> Result<()> {
    match (&arg.arg_type, argument) {
        (ArgType::Repeated(count, each), Argument::Many(outputs)) => {
            agree(attrs, count, AttrValue::from(outputs.len()), &arg.name)?;
            outputs.iter().try_for_each(|output| bind_one(attrs, each, &arg.name, output))
        }
        (ArgType::List(types), Argument::Many(outputs)) => {
            // The dtypes of the list are the attribute; there is nothing to check one by one.
            let dtypes: Vec<DType> = outputs.iter().map(Output::dtype).collect();
            agree(attrs, types, AttrValue::from(dtypes), &arg.name)
        }
        (ArgType::Fixed(_) | ArgType::Attr(_), Argument::One(output)) => {
            // Kernels of reference arguments assign in place, which a plain value does not allow.
            if arg.is_ref && !output.is_ref() {
                let text = format!("input '{}' must be a reference to a variable", arg.name);
                return Err(Error::type_mismatch(text));
            }
            bind_one(attrs, &arg.arg_type, &arg.name, output)
        }
        (_, Argument::One(_)) => Err(Error::type_mismatch(format!(
            "input '{}' takes a list, but a single tensor was given",
            arg.name
        ))),
        // `make_constants` has replaced them all.
        (_, Argument::Constant(_)) => Err(Error::runtime("a constant has no value")),
        (_, Argument::Many(_)) => Err(Error::type_mismatch(format!(
            "input '{}' takes a single tensor, but a list was given",
            arg.name
        ))),
    }
}

fn bind_one(attrs: &mut Attrs, arg_type: &'static ArgType, name: &str, output: &Output) -> Result<()> {
    match arg_type {
        ArgType::Attr(attr) => agree(attrs, attr, AttrValue::Type(output.dtype()), name),
        ArgType::Fixed(dtype) if *dtype == output.dtype() => Ok(()),
        ArgType::Fixed(dtype) => {
            let found = output.dtype();
            Err(Error::type_mismatch(format!("input '{name}' ('{}') is {found}, not {dtype}", output.name())))
        }
        ArgType::Repeated(..) | ArgType::List(_) => {
            Err(Error::type_mismatch("a list of lists cannot be an input"))
        }
    }
}

fn agree(attrs: &mut Attrs, attr: &'static str, value: AttrValue, input: &str) -> Result<()> {
    match attrs.get(attr) {
        // The first input with this attribute decides, as in TensorFlow, so the message blames the later one.
        None => {
            attrs.insert(attr, value);
            Ok(())
        }
        Some(known) if *known == value => Ok(()),
        Some(known) => {
            let text = format!(
                "input '{input}' does not agree with the other inputs: {attr} is {}, not {}",
                show(&value),
                show(known)
            );
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

/// Fills in the default, or checks the value that was given or inferred.
fn check_attr(attrs: &mut Attrs, def: &'static AttrDef) -> Result<()> {
    if let Some(value) = attrs.get(&def.name) {
        return def.check(value);
    }
    let default = def.default.clone();
    let default = default.ok_or_else(|| Error::value(format!("attribute '{}' is missing", def.name)))?;
    attrs.insert(def.name.as_str(), default);
    Ok(())
}

/// The maximum number of outputs. An absurd number from a file must not exhaust the memory.
const MAX_OUTPUTS: usize = 1 << 20;

/// Returns a number of outputs from an attribute, unless it is negative or absurd.
fn output_count(count: i64) -> Option<usize> {
    usize::try_from(count).ok().filter(|&count| count <= MAX_OUTPUTS)
}

fn dtypes_of(arg_type: &ArgType, attrs: &Attrs) -> Result<Vec<DType>> {
    let missing = |name: &str| Error::value(format!("attribute '{name}' is missing"));
    Ok(match arg_type {
        ArgType::Fixed(dtype) => vec![*dtype],
        ArgType::Attr(name) => {
            vec![attrs.get(name).and_then(AttrValue::as_type).ok_or_else(|| missing(name))?]
        }
        ArgType::Repeated(count, each) => {
            let count = attrs.get(count).and_then(AttrValue::as_int).ok_or_else(|| missing(count))?;
            let invalid = || Error::value(format!("{count} is not a valid number of outputs"));
            dtypes_of(each, attrs)?.repeat(output_count(count).ok_or_else(invalid)?)
        }
        ArgType::List(name) => attrs.get(name).and_then(AttrValue::as_types).ok_or_else(|| missing(name))?,
    })
}
