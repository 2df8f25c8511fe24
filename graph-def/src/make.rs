//! Creation of the operations of a message.
//!
//! Operations are created in topological order, with the checks of every other operation: a file cannot build a graph that a program
//! could not build. Two kinds of nodes need more:
//!
//! - A node of an op type without a definition is created with the outputs that the op list, its attributes, or its users imply.
//! - A node with a backward edge (`Merge` in a loop of TensorFlow 1) is created with open inputs, which are connected when the rest of the
//!   loop exists.

use crate::Result;
use crate::convert::{attrs_from_proto, shape_from_proto};
use crate::definitions::{OutputArg, count_attr};
use crate::export::OUTPUT_SHAPES;
use crate::nodes::{Input, Nodes, Place, at};
use crate::proto::{NodeDef, Value};
use session_core::{
    ArgType, AttrValue, Attrs, DType, Error, Graph, OpBuilder, OpDef, Operation, Origin, Output, OutputInfo,
    PartialShape,
};
use std::collections::{BTreeMap, HashMap};

/// The prefix of the name of an operation that another one is colocated with.
const HERE: &[u8] = b"loc:@";

/// The limit on the outputs of one message: a damaged file must not exhaust the memory.
const MAX_OUTPUTS: usize = 1 << 22;

/// Creates operations one after the other, each after its inputs.
pub(crate) struct Maker<'a> {
    /// The nodes with their resolved inputs.
    nodes: &'a Nodes<'a>,
    /// The graph that gets the operations.
    graph: Graph,
    /// The prefix of all names, with a `/` at its end, or empty.
    scope: String,
    /// The origin of operations without a more specific one.
    imported: Origin,
    /// The operations so far, by the places of their nodes.
    made: Vec<Option<Operation>>,
    /// For operations of types that only the message defines: the names and numbers of their outputs.
    arguments: HashMap<usize, Vec<(String, usize)>>,
    /// The properties of outputs of operations of unknown type, inferred from their users.
    uses: Option<Uses>,
    /// The nodes with a backward edge among their inputs.
    open: Vec<usize>,
    /// The number of outputs so far, which is limited.
    outputs: usize,
}

/// For each used output, the dtype that its users require.
type Uses = HashMap<usize, BTreeMap<Slot, Option<DType>>>;

/// A position among a node's outputs, in their order as far as it is known.
type Slot = (String, usize);

impl<'a> Maker<'a> {
    /// Creates a maker; no operation exists yet.
    pub(crate) fn new(nodes: &'a Nodes<'a>, graph: &Graph, scope: &str) -> Maker<'a> {
        Maker {
            nodes,
            graph: graph.clone(),
            scope: scope.to_owned(),
            imported: nodes.definitions.origin(),
            made: vec![None; nodes.nodes.len()],
            arguments: HashMap::new(),
            uses: None,
            open: Vec::new(),
            outputs: 0,
        }
    }

    /// Returns the operations in the order of their nodes.
    pub(crate) fn into_operations(self) -> Vec<Operation> {
        self.made.into_iter().flatten().collect()
    }

    /// Creates the operation of a node, whose inputs exist unless they lead back in a loop.
    ///
    /// # Errors
    /// The errors of creating an operation, and errors of the node's attributes.
    pub(crate) fn make(&mut self, index: usize) -> Result<()> {
        let node = &self.nodes.nodes[index];
        if node.op.is_empty() {
            return Err(Error::invalid_argument(format!("the node '{}' has no op type", node.name)));
        }
        let mut attrs = attrs_from_proto(&node.attr)?;
        // Not an attribute of the operation: graphs here keep the shapes of outputs themselves, and an export
        // writes it again.
        attrs.remove(OUTPUT_SHAPES);
        if node.op == "Placeholder" && self.nodes.leaves_out_shapes() {
            let shape = attrs.get("shape").and_then(AttrValue::as_shape);
            if shape.is_some_and(|shape| shape.rank() == Some(0)) {
                attrs.insert("shape".to_owned(), AttrValue::Shape(PartialShape::unknown()));
            }
        }
        let origin = self.origin(node, &attrs);
        self.relocate(&mut attrs);
        let inputs = &self.nodes.inputs[index];
        // A `Merge` that a loop returns to precedes the operation that feeds it, so one of its inputs does
        // not exist yet.
        let is_open = inputs.iter().any(|input| self.nodes.leads_back(index, input));
        let builder = match self.nodes.definitions.known(&node.op) {
            Some(def) if is_open => {
                self.open.push(index);
                let builder = self.graph.op(def).open_inputs();
                described(builder, self.outputs_of(node, &attrs)?)
            }
            Some(def) => self.with_inputs(index, def, &attrs)?,
            None => self.unknown(index, &attrs)?,
        };
        // The slash at the end requests the exact name: a changed one would break every reference in the
        // file.
        let mut builder = builder.name(format!("{}{}/", self.scope, node.name)).attrs(attrs).origin(origin);
        if !node.device.is_empty() && !self.nodes.clears_devices() {
            builder = builder.device(&node.device);
        }
        for input in inputs {
            match input {
                Input::Control(source) => builder = builder.control_input(self.operation(*source)?),
                Input::After(argument) => builder = builder.control_input(argument.operation()),
                Input::Data(..) | Input::Given(_) => {}
            }
        }
        self.made[index] = Some(builder.try_finish()?);
        Ok(())
    }

    /// Connects the inputs of operations in loops, once all exist.
    pub(crate) fn close_loops(&mut self) -> Result<()> {
        for &index in &self.open {
            let node = &self.nodes.nodes[index];
            let inputs = self.data_inputs(index).and_then(|inputs| {
                let operation = self.operation(index)?;
                let expected = operation.output(0).dtype();
                // The dtype was taken from the attribute when the inputs did not exist.
                match inputs.iter().find(|input| input.dtype() != expected) {
                    Some(input) => Err(Error::type_mismatch(format!(
                        "input '{}' is {} instead of {expected}",
                        input.name(),
                        input.dtype()
                    ))),
                    None => operation.set_inputs(&inputs),
                }
            });
            inputs.map_err(|error| at(node, error))?;
        }
        Ok(())
    }

    /// Returns the operation of a node that was created.
    fn operation(&self, index: usize) -> Result<&Operation> {
        self.made[index].as_ref().ok_or_else(|| Error::value("an input was not created"))
    }

    /// Returns the data inputs of a node.
    fn data_inputs(&self, index: usize) -> Result<Vec<Output>> {
        let mut outputs = Vec::new();
        for input in &self.nodes.inputs[index] {
            match input {
                Input::Data(source, place) => outputs.push(self.output(*source, place)?),
                Input::Given(output) => outputs.push(output.clone()),
                Input::Control(_) | Input::After(_) => {}
            }
        }
        Ok(outputs)
    }

    /// Returns an output of a node that was created.
    pub(crate) fn output(&self, source: usize, place: &Place) -> Result<Output> {
        let operation = self.operation(source)?;
        let index = match place {
            Place::Index(index) => Some(*index),
            Place::Named(name, index) => self.position(source, name, *index)?,
        };
        let index = index.filter(|&index| index < operation.num_outputs());
        index.map(|index| operation.output(index)).ok_or_else(|| {
            let text = match place {
                Place::Index(index) => format!("'{}' has no output {index}", operation.name()),
                Place::Named(name, index) => format!("'{}' has no output {name}:{index}", operation.name()),
            };
            Error::value(text)
        })
    }

    /// Returns the index of the output that functions call `name:index`.
    fn position(&self, source: usize, name: &str, index: usize) -> Result<Option<usize>> {
        let operation = self.operation(source)?;
        let args = match self.arguments.get(&source) {
            Some(args) => args.clone(),
            None => crate::signature::output_args(&self.graph, operation).unwrap_or_default(),
        };
        let mut first = 0;
        for (arg, count) in args {
            if arg == name {
                return Ok((index < count).then_some(first + index));
            }
            first += count;
        }
        Ok(None)
    }

    /// Starts an operation of a known type with its inputs, grouped into arguments.
    fn with_inputs(&mut self, index: usize, def: &'static OpDef, attrs: &Attrs) -> Result<OpBuilder> {
        let node = &self.nodes.nodes[index];
        let mut filled = attrs.clone();
        for attr in &def.signature().attrs {
            // Only for the counts below. The builder fills in the defaults itself.
            if let (None, Some(default)) = (filled.get(&attr.name), &attr.default) {
                filled.insert(attr.name.clone(), default.clone());
            }
        }
        let mut inputs = self.data_inputs(index)?.into_iter();
        let mut builder = self.graph.op(def);
        for arg in &def.signature().inputs {
            let count = match &arg.arg_type {
                ArgType::Fixed(_) | ArgType::Attr(_) => None,
                ArgType::Repeated(count, _) => Some(count_attr(&filled, count)?),
                ArgType::List(types) => {
                    let types = filled.get(types).and_then(AttrValue::as_list).map(<[AttrValue]>::len);
                    Some(types.ok_or_else(|| {
                        Error::value(format!("the dtypes of argument '{}' are missing", arg.name))
                    })?)
                }
            };
            let missing = || Error::value(format!("input '{}' is missing", arg.name));
            builder = match count {
                None => builder.input(inputs.next().ok_or_else(missing)?),
                Some(count) if count > inputs.len() => return Err(missing()),
                Some(count) => builder.input_list(inputs.by_ref().take(count)),
            };
        }
        if inputs.len() > 0 {
            let (count, type_name) = (inputs.len(), def.name());
            return Err(Error::value(format!("the node has {count} more inputs than {type_name} takes")));
        }
        // Checks the number of outputs before they are created.
        let outputs = self.outputs_of(node, &filled)?;
        Ok(if node.attr.contains_key(OUTPUT_SHAPES) { described(builder, outputs) } else { builder })
    }

    /// Returns the outputs of an operation by its definition, with the shapes from the message.
    fn outputs_of(&mut self, node: &NodeDef, attrs: &Attrs) -> Result<Vec<OutputInfo>> {
        let args = match self.nodes.definitions.outputs(&node.op, attrs) {
            Some(args) => args?,
            None => Vec::new(),
        };
        self.infos(node, &args)
    }

    /// Returns the dtypes and shapes of a node's outputs; shapes come from the attribute `_output_shapes`.
    fn infos(&mut self, node: &NodeDef, args: &[OutputArg]) -> Result<Vec<OutputInfo>> {
        self.outputs = self.outputs.saturating_add(args.iter().map(|arg| arg.dtypes.len()).sum());
        if self.outputs > MAX_OUTPUTS {
            return Err(Error::value("the graph has too many outputs"));
        }
        let mut shapes = known_shapes(node);
        // A list of another length cannot be assigned to the outputs.
        if shapes.len() != args.iter().map(|arg| arg.dtypes.len()).sum::<usize>() {
            shapes.clear();
        }
        let each = args.iter().flat_map(|arg| arg.dtypes.iter().map(|&dtype| (dtype, arg.is_ref)));
        let infos = each.enumerate().map(|(index, (dtype, is_ref))| {
            let shape = shapes.get(index).cloned().unwrap_or_default();
            OutputInfo { dtype, shape, is_ref }
        });
        Ok(infos.collect())
    }

    /// Starts an operation of a type that the library does not define.
    fn unknown(&mut self, index: usize, attrs: &Attrs) -> Result<OpBuilder> {
        let node = &self.nodes.nodes[index];
        let args = match self.nodes.definitions.outputs(&node.op, attrs) {
            Some(args) => args?,
            None => self.guessed(index, attrs)?,
        };
        let names = args.iter().map(|arg| (arg.name.clone(), arg.dtypes.len())).collect();
        self.arguments.insert(index, names);
        let infos = self.infos(node, &args)?;
        let mut builder = self.graph.undefined_op(node.op.clone());
        for input in self.data_inputs(index)? {
            builder = builder.input(input);
        }
        Ok(described(builder, infos))
    }

    /// Infers the outputs of an operation without a definition: as many as are used or have a shape, with the dtypes that their
    /// users require, or that usually follows from attributes.
    fn guessed(&mut self, index: usize, attrs: &Attrs) -> Result<Vec<OutputArg>> {
        if self.uses.is_none() {
            self.uses = Some(uses(self.nodes));
        }
        let used = self.uses.as_ref().and_then(|uses| uses.get(&index)).cloned().unwrap_or_default();
        let lists = ["Tout", "output_types", "out_types", "component_types", "dtypes", "Toutput_types"];
        let list = lists.iter().find_map(|name| attrs.get(name)?.as_types());
        let single = ["dtype", "out_type", "T", "element_dtype", "value_dtype"];
        // Variant where nothing is known, which no kernel takes for numbers.
        let single = single.iter().find_map(|name| attrs.get(name)?.as_type()).unwrap_or(DType::Variant);
        let names: Vec<&str> = {
            let mut names: Vec<&str> = used.keys().map(|(name, _)| name.as_str()).collect();
            names.dedup();
            names
        };
        if names.len() > 1 {
            let text = "its type is not defined anywhere, and its outputs are used by names whose order is unknown; import with the definition of the type";
            return Err(Error::value(text));
        }
        let name = names.first().copied().unwrap_or_default().to_owned();
        // For outputs that are known by name, the position among the shapes is unknown.
        let shapes = if name.is_empty() { known_shapes(&self.nodes.nodes[index]).len() } else { 0 };
        let highest = used.keys().map(|(_, index)| index + 1).max().unwrap_or(0);
        // The number comes from the text of an input and may be anything.
        if highest > MAX_OUTPUTS {
            return Err(Error::value(format!(
                "its type is not defined anywhere, but its output {} is used",
                highest - 1
            )));
        }
        let count = highest.max(shapes).max(list.as_ref().map_or(0, Vec::len));
        let dtype = |index: usize| {
            let asked = used.get(&(name.clone(), index)).copied().flatten();
            asked.or_else(|| list.as_ref()?.get(index).copied()).unwrap_or(single)
        };
        let dtypes = (0..count).map(dtype).collect();
        Ok(vec![OutputArg { name, dtypes, is_ref: false }])
    }

    /// Returns the origin that errors show: the node's name in the file, if it differs from the operation's name, and the operations
    /// that it is colocated with.
    fn origin(&self, node: &NodeDef, attrs: &Attrs) -> Origin {
        let places = attrs.get("_class").and_then(AttrValue::as_list).unwrap_or_default().iter();
        let colocated = places.filter_map(|place| match place {
            AttrValue::String(text) => text.strip_prefix(HERE).map(String::from_utf8_lossy),
            _ => None,
        });
        let colocated: Vec<String> = colocated.map(|name| format!("'{name}'")).collect();
        if self.scope.is_empty() && colocated.is_empty() {
            return self.imported.clone();
        }
        let colocated = if colocated.is_empty() {
            String::new()
        } else {
            format!(", colocated with {}", colocated.join(" and "))
        };
        self.nodes.definitions.origin_of(&node.name, &colocated)
    }

    /// Moves the names in `_class` into the scope of the operations.
    fn relocate(&self, attrs: &mut Attrs) {
        if self.scope.is_empty() {
            return;
        }
        let Some(AttrValue::List(places)) = attrs.get_mut("_class") else { return };
        for place in places {
            if let AttrValue::String(text) = place
                && let Some(name) = text.strip_prefix(HERE)
            {
                // The operation that it names is imported into the same scope.
                *text = [HERE, self.scope.as_bytes(), name].concat().into();
            }
        }
    }
}

/// Adds outputs that are described rather than inferred.
fn described(mut builder: OpBuilder, outputs: Vec<OutputInfo>) -> OpBuilder {
    for output in outputs {
        builder = builder.described_output(output);
    }
    builder
}

/// Returns the output shapes in the message; unreadable ones are ignored.
fn known_shapes(node: &NodeDef) -> Vec<PartialShape> {
    let Some(Value::List(list)) = node.attr.get(OUTPUT_SHAPES).and_then(|attr| attr.value.as_ref()) else {
        return Vec::new();
    };
    list.shape.iter().map(|shape| shape_from_proto(shape).unwrap_or_default()).collect()
}

/// Collects which outputs of which nodes are used, and with what dtype.
fn uses(nodes: &Nodes<'_>) -> Uses {
    let mut uses = Uses::new();
    let mut note = |inputs: &[Input], dtypes: &[DType]| {
        let data = inputs.iter().filter(|input| !matches!(input, Input::Control(_) | Input::After(_)));
        for (position, input) in data.enumerate() {
            let Input::Data(source, place) = input else { continue };
            let slot = match place {
                Place::Index(index) => (String::new(), *index),
                Place::Named(name, index) => (name.clone(), *index),
            };
            let asked: &mut Option<DType> = uses.entry(*source).or_default().entry(slot).or_default();
            // The first user that requires a dtype decides; a second one that contradicts it fails when it is
            // created.
            *asked = asked.or_else(|| dtypes.get(position).copied());
        }
    };
    for (user, inputs) in nodes.nodes.iter().zip(&nodes.inputs) {
        let attrs = attrs_from_proto(&user.attr).unwrap_or_default();
        note(inputs, &nodes.definitions.input_dtypes(&user.op, &attrs));
    }
    note(&nodes.returned, &[]);
    uses
}
