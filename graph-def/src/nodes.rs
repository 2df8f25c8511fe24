//! The nodes of a message: their inputs, and the order in which they can be created.
//!
//! The order is topological, and among nodes that are ready it is the order of the message, so that names and ids do not depend on the reader.
//! Edges into a `Merge` from a `NextIteration` close a loop and do not count. Any other cycle is an error that names one of its nodes.

use crate::Result;
use crate::definitions::Definitions;
use crate::make::Maker;
use crate::proto::NodeDef;
use session_core::{Error, Graph, Operation, Output};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};

/// The syntax of inputs.
pub(crate) enum Syntax {
    /// The syntax of graphs: `node`, `node:index`, `^node`.
    Graph {
        /// The replacements of tensors of the message, by the shortest form of their names.
        replaced: BTreeMap<String, Output>,
        /// True if the devices in the message are ignored.
        clear_devices: bool,
        /// The version of TensorFlow's graphs that wrote the message.
        producer: i32,
    },
    /// The syntax of functions: `argument`, `node:output_arg:index`, `^node`.
    Function {
        /// The outputs that represent the arguments.
        arguments: HashMap<String, Output>,
    },
}

/// One input of a node.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    /// An output of a node, by position.
    Data(usize, Place),
    /// An existing output.
    Given(Output),
    /// A node that must have run before.
    Control(usize),
    /// An argument of the function that must have a value.
    After(Output),
}

/// The position of an output among a node's outputs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// An output by its index.
    Index(usize),
    /// An output by its output argument and the index in it.
    Named(String, usize),
}

/// All nodes with their inputs resolved.
pub(crate) struct Nodes<'a> {
    /// The nodes of the message.
    pub(crate) nodes: &'a [NodeDef],
    /// The resolved inputs of each node.
    pub(crate) inputs: Vec<Vec<Input>>,
    /// The results of a function, which count as used.
    pub(crate) returned: Vec<Input>,
    /// The definitions of op types for this message.
    pub(crate) definitions: &'a Definitions<'a>,
    /// Names of the input map that no node uses.
    unused: Vec<String>,
    /// The places of the nodes by name.
    by_name: HashMap<&'a str, usize>,
    syntax: Syntax,
}

/// The result of an import of nodes.
pub(crate) struct Made {
    /// The created operations.
    pub(crate) operations: Vec<Operation>,
    /// Names of the input map that no node used.
    pub(crate) unused: Vec<String>,
}

impl<'a> Nodes<'a> {
    /// Returns true if devices of nodes are ignored.
    pub(crate) fn clears_devices(&self) -> bool {
        matches!(self.syntax, Syntax::Graph { clear_devices: true, .. })
    }

    /// Returns true if a placeholder of scalar shape may have any: old writers left the shape out, which reads the same.
    pub(crate) fn leaves_out_shapes(&self) -> bool {
        /// The last version of which that is so.
        const LAST: i32 = 23;
        matches!(self.syntax, Syntax::Graph { producer, .. } if producer <= LAST)
    }

    /// Resolves the inputs of all nodes.
    ///
    /// # Errors
    /// A value error for a name that occurs twice, and for an input that names no node.
    pub(crate) fn new(
        nodes: &'a [NodeDef],
        syntax: Syntax,
        definitions: &'a Definitions<'a>,
    ) -> Result<Nodes<'a>> {
        let mut by_name = HashMap::with_capacity(nodes.len());
        for (index, node) in nodes.iter().enumerate() {
            if by_name.insert(node.name.as_str(), index).is_some() {
                return Err(at(node, Error::value("the message has two nodes of this name")));
            }
        }
        let mut all = Nodes {
            nodes,
            inputs: Vec::new(),
            returned: Vec::new(),
            definitions,
            unused: Vec::new(),
            by_name,
            syntax,
        };
        let mut used = HashSet::new();
        for node in nodes {
            let inputs: Result<Vec<Input>> =
                node.input.iter().map(|text| all.resolve(text, &mut used)).collect();
            all.inputs.push(inputs.map_err(|error| at(node, error))?);
        }
        if let Syntax::Graph { replaced, .. } = &all.syntax {
            all.unused = replaced.keys().filter(|name| !used.contains(name.as_str())).cloned().collect();
        }
        Ok(all)
    }

    /// Returns the place of a node by its name.
    fn node(&self, name: &str) -> Result<usize> {
        let missing = || Error::value(format!("its input '{name}' does not exist"));
        self.by_name.get(name).copied().ok_or_else(missing)
    }

    /// Resolves an input of a graph: `name`, `name:output`, or `^name`.
    fn resolve<'t>(&self, text: &'t str, used: &mut HashSet<&'t str>) -> Result<Input> {
        if let Some(name) = text.strip_prefix('^') {
            return match &self.syntax {
                // In a function, a name after `^` may be that of an argument, which is no node.
                Syntax::Function { arguments } if arguments.contains_key(name) => {
                    Ok(Input::After(arguments[name].clone()))
                }
                _ => Ok(Input::Control(self.node(name)?)),
            };
        }
        match &self.syntax {
            Syntax::Graph { replaced, .. } => {
                let short = text.strip_suffix(":0").unwrap_or(text);
                if let Some(output) = replaced.get(short) {
                    used.insert(short);
                    return Ok(Input::Given(output.clone()));
                }
                // The last colon: names of nodes have none in valid graphs, and the error for an invalid one
                // names the whole text.
                let Some((name, index)) = text.rsplit_once(':') else {
                    return Ok(Input::Data(self.node(text)?, Place::Index(0)));
                };
                Ok(Input::Data(self.node(name)?, Place::Index(number(text, index)?)))
            }
            Syntax::Function { arguments } => self.resolve_in_function(text, arguments),
        }
    }

    pub(crate) fn resolve_in_function(
        &self,
        text: &str,
        arguments: &HashMap<String, Output>,
    ) -> Result<Input> {
        let Some((name, rest)) = text.split_once(':') else {
            if let Some(output) = arguments.get(text) {
                return Ok(Input::Given(output.clone()));
            }
            return Ok(Input::Data(self.node(text)?, Place::Index(0)));
        };
        let (arg, index) = rest.split_once(':').unwrap_or((rest, "0"));
        // Some producers write `argument:0`.
        if let (Some(output), true) = (arguments.get(name), rest == "0") {
            return Ok(Input::Given(output.clone()));
        }
        Ok(Input::Data(self.node(name)?, Place::Named(arg.to_owned(), number(text, index)?)))
    }

    /// Returns true if an input is a loop's backward edge, which the order ignores.
    pub(crate) fn leads_back(&self, node: usize, input: &Input) -> bool {
        let Input::Data(source, _) = input else { return false };
        matches!(self.nodes[node].op.as_str(), "Merge" | "RefMerge")
            && matches!(self.nodes[*source].op.as_str(), "NextIteration" | "RefNextIteration")
    }

    /// Returns an order in which each node follows its inputs; the order of the message wherever possible.
    pub(crate) fn order(&self) -> Result<Vec<usize>> {
        let mut waits = vec![0usize; self.nodes.len()];
        let mut waiting: Vec<Vec<usize>> = vec![Vec::new(); self.nodes.len()];
        for (node, inputs) in self.inputs.iter().enumerate() {
            for input in inputs {
                if let (Input::Data(source, _) | Input::Control(source), false) =
                    (input, self.leads_back(node, input))
                {
                    // Counted per edge: a node may use an operation twice, and is released once for each.
                    waits[node] += 1;
                    waiting[*source].push(node);
                }
            }
        }
        let ready = waits.iter().enumerate().filter(|(_, count)| **count == 0);
        // A heap by position instead of a queue: among nodes that are ready the one that the message lists
        // first is created first.
        let mut ready: BinaryHeap<Reverse<usize>> = ready.map(|(node, _)| Reverse(node)).collect();
        let mut order = Vec::with_capacity(self.nodes.len());
        while let Some(Reverse(node)) = ready.pop() {
            order.push(node);
            for &next in &waiting[node] {
                waits[next] -= 1;
                if waits[next] == 0 {
                    ready.push(Reverse(next));
                }
            }
        }
        match waits.iter().position(|&count| count > 0) {
            Some(node) => {
                Err(at(&self.nodes[node], Error::value("the node is part of a cycle, or depends on one")))
            }
            None => Ok(order),
        }
    }

    /// Creates all operations, each named `scope` and its name.
    pub(crate) fn import(&self, graph: &Graph, scope: &str) -> Result<Made> {
        Ok(Made { operations: self.make_all(graph, scope)?.into_operations(), unused: self.unused.clone() })
    }

    /// Creates all operations of a function's body, and returns its results.
    pub(crate) fn import_body(
        &mut self,
        body: &Graph,
        returned: Vec<Input>,
    ) -> Result<(Vec<Operation>, Vec<Output>)> {
        self.returned = returned;
        let maker = self.make_all(body, "")?;
        let output = |input: &Input| match input {
            Input::Data(source, place) => maker.output(*source, place),
            Input::Given(output) => Ok(output.clone()),
            Input::Control(_) | Input::After(_) => Err(Error::value("a control input cannot be a result")),
        };
        let outputs: Result<Vec<Output>> = self.returned.iter().map(output).collect();
        Ok((maker.into_operations(), outputs?))
    }

    /// Creates all operations in topological order. Backward edges of loops are connected at the end.
    fn make_all(&self, graph: &Graph, scope: &str) -> Result<Maker<'_>> {
        let mut maker = Maker::new(self, graph, scope);
        for node in self.order()? {
            maker.make(node).map_err(|error| at(&self.nodes[node], error))?;
        }
        maker.close_loops()?;
        Ok(maker)
    }
}

/// Parses the index of an output.
fn number(text: &str, index: &str) -> Result<usize> {
    index.parse().map_err(|_| Error::value(format!("its input '{text}' has no valid output number")))
}

/// Adds the node to an error.
pub(crate) fn at(node: &NodeDef, error: Error) -> Error {
    error.with_node(&node.name, &node.op)
}
