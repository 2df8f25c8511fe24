//! Functions that variables are passed to, and the operations that call them.

use super::handles::{Frozen, Handles, Syntax};
use super::node::{source, value};
use graph_def::proto::{
    ArgAttrs, AttrList, FunctionDef, FunctionDefLibrary, GraphDef, NameAttrList, NodeDef, OpDef, Value,
};
use session_core::{Error, Result};
use std::collections::{BTreeMap, HashMap, HashSet};

/// An operation that calls functions with its inputs.
#[derive(Debug)]
pub(super) struct Call {
    /// The names of the functions.
    pub(super) functions: Vec<String>,
    /// The position of the input that is the first argument.
    pub(super) first: usize,
    /// The attribute with the dtypes of the arguments; empty for a node whose type is the function.
    pub(super) types: &'static str,
    /// True if the outputs are the arguments of a last iteration.
    pub(super) is_loop: bool,
}

impl Call {
    /// Returns the call of a node; `None` for one that calls nothing with its inputs.
    pub(super) fn of(node: &NodeDef, functions: &Functions) -> Option<Call> {
        let (attrs, first, types, is_loop): (&[&str], _, _, _) = match node.op.as_str() {
            "PartitionedCall" | "StatefulPartitionedCall" => (&["f"], 0, "Tin", false),
            "If" | "StatelessIf" => (&["then_branch", "else_branch"], 1, "Tin", false),
            "Case" | "StatelessCase" => (&["branches"], 1, "Tin", false),
            "While" | "StatelessWhile" => (&["cond", "body"], 0, "T", true),
            op if functions.known.contains_key(op) => {
                return Some(Call { functions: vec![op.to_owned()], first: 0, types: "", is_loop: false });
            }
            _ => return None,
        };
        let named = attrs.iter().filter_map(|attr| node.attr.get(*attr)?.value.as_ref());
        let functions = named.flat_map(called).map(|function| function.name.clone()).collect();
        Some(Call { functions, first, types, is_loop })
    }

    /// Replaces the name of a function.
    pub(super) fn rename(&self, node: &mut NodeDef, old: &str, new: &str) {
        if self.types.is_empty() {
            new.clone_into(&mut node.op);
            return;
        }
        for attr in node.attr.values_mut() {
            match &mut attr.value {
                Some(Value::Func(function)) if function.name == old => new.clone_into(&mut function.name),
                Some(Value::List(list)) => {
                    for function in list.func.iter_mut().filter(|function| function.name == old) {
                        new.clone_into(&mut function.name);
                    }
                }
                _ => {}
            }
        }
    }

    /// Returns the name of an output in the syntax of functions.
    pub(super) fn result(&self, output: usize, functions: &Functions) -> String {
        let own = || {
            let function = functions.known.get(self.functions.first()?)?;
            Some(function.signature.as_ref()?.output_arg.get(output)?.name.clone())
        };
        let result = if self.types.is_empty() { own() } else { None };
        result.unwrap_or_else(|| "output".to_owned())
    }
}

/// Returns the functions that an attribute names.
fn called(value: &Value) -> Vec<&NameAttrList> {
    match value {
        Value::Func(function) => vec![function],
        Value::List(AttrList { func, .. }) => func.iter().collect(),
        _ => Vec::new(),
    }
}

/// The functions of a graph, and copies of them for values instead of variables.
#[derive(Debug, Default)]
pub(super) struct Functions {
    /// The functions of the library.
    known: HashMap<String, FunctionDef>,
    /// The names of the copies, by the name of a function and its arguments.
    copies: HashMap<String, String>,
    /// The copies that were made.
    made: Vec<FunctionDef>,
}

impl Functions {
    pub(super) fn of(library: Option<&FunctionDefLibrary>) -> Functions {
        let functions = library.iter().flat_map(|library| &library.function);
        let known = functions.filter_map(|function| Some((name(function)?.to_owned(), function.clone())));
        Functions { known: known.collect(), ..Functions::default() }
    }

    /// Returns the outputs of a call that are arguments unchanged, each with the position of the argument.
    pub(super) fn passed_on(&self, call: &Call) -> Vec<(usize, usize)> {
        // The body of a loop is the last one; of branches any will do, since all must agree.
        let Some(function) = call.functions.last().and_then(|name| self.known.get(name)) else {
            return Vec::new();
        };
        let Some(signature) = &function.signature else { return Vec::new() };
        let returned = |result: &str| -> Option<usize> {
            let mut at = function.ret.get(result)?.as_str();
            // Nodes that pass the argument on; more of them than nodes would be a cycle.
            for _ in 0..=function.node_def.len() {
                let argument = signature.input_arg.iter().position(|arg| arg.name == source(at));
                if argument.is_some() {
                    return argument;
                }
                let node = function.node_def.iter().find(|node| node.name == source(at))?;
                at = node.input.first().filter(|_| node.op == "Identity")?;
            }
            None
        };
        let results = signature.output_arg.iter().enumerate();
        results.filter_map(|(output, arg)| Some((output, returned(&arg.name)?))).collect()
    }

    /// Returns the name of the copy of a function for these arguments, where values stand for variables.
    pub(super) fn frozen(&mut self, function: &str, arguments: &[Option<Frozen>]) -> Result<String> {
        // The arguments are part of the key: a function that is called with values and with variables needs
        // two copies.
        let key = format!("{function} {arguments:?}");
        if let Some(copy) = self.copies.get(&key) {
            return Ok(copy.clone());
        }
        let missing = || Error::key(format!("there is no function '{function}'"));
        let mut copy = self.known.get(function).ok_or_else(missing)?.clone();
        let new = self.unused(function);
        // Before the body, which may call the function itself.
        self.copies.insert(key, new.clone());
        self.freeze(&mut copy, arguments)
            .map_err(|error| error.context(format!("the function '{function}' cannot be frozen")))?;
        if let Some(signature) = &mut copy.signature {
            signature.name.clone_from(&new);
        }
        self.made.push(copy);
        Ok(new)
    }

    /// Returns a name for a copy that no function has.
    fn unused(&self, function: &str) -> String {
        let taken =
            |name: &String| self.known.contains_key(name) || self.copies.values().any(|copy| copy == name);
        let mut number = 0;
        loop {
            let name = format!("{function}_frozen_{number}");
            if !taken(&name) {
                return name;
            }
            number += 1;
        }
    }

    /// Freezes the arguments of a copy that are variables.
    fn freeze(&mut self, function: &mut FunctionDef, arguments: &[Option<Frozen>]) -> Result<()> {
        let signature = function.signature.as_mut().ok_or_else(|| Error::value("it has no signature"))?;
        if signature.input_arg.len() != arguments.len() {
            let (expected, given) = (signature.input_arg.len(), arguments.len());
            return Err(Error::value(format!("it takes {expected} arguments, and {given} are given")));
        }
        let mut handles = Handles::default();
        for (place, (arg, frozen)) in signature.input_arg.iter_mut().zip(arguments).enumerate() {
            let Some(frozen) = frozen else { continue };
            handles.add_resource(&arg.name, frozen.clone());
            arg.r#type = frozen.dtype.number();
            arg.handle_data.clear();
            arg.experimental_full_type.clear();
            let place = u32::try_from(place).map_err(|_| Error::value("it has too many arguments"))?;
            let shapes = AttrList { shape: vec![frozen.shape.clone()], ..AttrList::default() };
            let attr = BTreeMap::from([("_output_shapes".to_owned(), value(Value::List(shapes)))]);
            function.arg_attr.insert(place, ArgAttrs { attr });
            function.resource_arg_unique_id.remove(&place);
        }
        // The shapes of all arguments, among them those of handles.
        function.attr.remove("_input_shapes");
        handles.spread(&function.node_def, self, Syntax::Function);
        let mut added = Vec::new();
        let mut read = HashSet::new();
        for node in &mut function.node_def {
            let new = handles.converted(node, self, Syntax::Function, &mut added);
            let Some(new) = new.map_err(|error| error.with_node(&node.name, &node.op))? else { continue };
            if node.op == "ReadVariableOp" {
                read.insert(node.name.clone());
            }
            *node = new;
        }
        function.node_def.extend(added);
        for (arg, frozen) in signature.output_arg.iter_mut().filter_map(|arg| {
            let frozen = handles.resource(function.ret.get(&arg.name)?)?.clone();
            Some((arg, frozen))
        }) {
            arg.r#type = frozen.dtype.number();
            arg.handle_data.clear();
            arg.experimental_full_type.clear();
        }
        // The output of a read is called otherwise than that of an identity.
        let inputs = function.node_def.iter_mut().flat_map(|node| &mut node.input);
        for input in inputs.chain(function.ret.values_mut()) {
            if let Some((node, rest)) = input.split_once(":value:")
                && read.contains(node)
            {
                *input = format!("{node}:output:{rest}");
            }
        }
        Ok(())
    }

    /// Adds the copies to a graph, and removes the functions that nothing calls.
    pub(super) fn finish(self, graph: &mut GraphDef) {
        let Some(library) = &mut graph.library else { return };
        library.function.extend(self.made);
        let by_name: HashMap<&str, &FunctionDef> =
            library.function.iter().filter_map(|function| Some((name(function)?, function))).collect();
        let gradients: HashMap<&str, &str> = library
            .gradient
            .iter()
            .map(|gradient| (gradient.function_name.as_str(), gradient.gradient_func.as_str()))
            .collect();
        let mut waiting: Vec<&str> = graph.node.iter().flat_map(names).collect();
        let mut reached: HashSet<String> = HashSet::new();
        while let Some(name) = waiting.pop() {
            // A name that no function has is an op type.
            let Some(function) = by_name.get(name) else { continue };
            if reached.insert(name.to_owned()) {
                waiting.extend(function.node_def.iter().flat_map(names));
                // A gradient function is used although no node names it.
                waiting.extend(gradients.get(name));
            }
        }
        library.function.retain(|function| name(function).is_some_and(|name| reached.contains(name)));
        library.gradient.retain(|gradient| reached.contains(&gradient.function_name));
    }
}

/// Returns the name of a function.
fn name(function: &FunctionDef) -> Option<&str> {
    function.signature.as_ref().map(|OpDef { name, .. }| name.as_str())
}

/// Returns the names of the functions that a node may call: those in its attributes, and its type.
fn names(node: &NodeDef) -> Vec<&str> {
    let values = node.attr.values().filter_map(|attr| attr.value.as_ref());
    let mut names = vec![node.op.as_str()];
    names.extend(values.flat_map(called).flat_map(within));
    names
}

/// Returns the names of a function and of those that its attributes name.
fn within(function: &NameAttrList) -> Vec<&str> {
    let bound = function.attr.values().filter_map(|attr| attr.value.as_ref());
    let mut names = vec![function.name.as_str()];
    names.extend(bound.flat_map(called).flat_map(within));
    names
}
