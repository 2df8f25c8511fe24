//! Functions with parameters, as old programs have them: each combination of parameters becomes a separate function.
//!
//! A parameter is an attribute of the function's signature: the dtype of an argument, the number of tensors in an argument, or a value that
//! attributes in the body refer to. The caller sets the parameters. Everything after this module sees only functions with concrete types.
//!
//! Instances are created on demand from the calls in the message, which may lead to further instances. Limits on their number and size end the
//! expansion of a damaged file.

use crate::proto::{ArgDef, AttrValue, FunctionDef, GraphDef, NameAttrList, NodeDef, OpDef, Value};
use crate::{Error, Result};
use prost::Message;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// The largest number of functions that are created. A damaged file could request ever more of them.
const MAX_INSTANCES: usize = 4096;

/// The largest size of one function's parameters, in bytes.
const MAX_PARAMETERS: usize = 1 << 16;

/// The largest nesting depth of one function's parameters.
const MAX_DEPTH: usize = 32;

/// The largest number of tensors in one argument.
const MAX_TENSORS: i64 = 1 << 16;

/// The parameters of a call, by name.
type Attrs = BTreeMap<String, AttrValue>;

/// Returns the message without functions that have parameters; `None` if it has no such functions.
pub(crate) fn without_parameters(message: &GraphDef) -> Result<Option<GraphDef>> {
    let Some(library) = &message.library else { return Ok(None) };
    let signatures =
        library.function.iter().filter_map(|function| Some((function.signature.as_ref()?, function)));
    let open: HashMap<&str, &FunctionDef> = signatures
        .filter(|(signature, _)| has_parameters(signature))
        .map(|(signature, function)| (signature.name.as_str(), function))
        .collect();
    if open.is_empty() {
        return Ok(None);
    }
    let names = library.function.iter().filter_map(|function| function.signature.as_ref());
    let taken = names.map(|signature| signature.name.clone()).collect();
    let mut instances = Instances { open, taken, known: HashMap::new(), waiting: Vec::new() };
    let mut made = message.clone();
    for node in &mut made.node {
        instances.in_node(node)?;
    }
    let functions = made.library.get_or_insert_default();
    let is_open = |function: &FunctionDef| function.signature.as_ref().is_some_and(has_parameters);
    functions.function.retain(|function| !is_open(function));
    for function in &mut functions.function {
        instances.in_function(function)?;
    }
    // New functions may call others with parameters: a loop until none is left. `MAX_INSTANCES` ends it for a
    // function that calls itself with ever new parameters.
    while let Some(mut function) = instances.waiting.pop() {
        instances.in_function(&mut function)?;
        functions.function.push(function);
    }
    // Gradients of functions that are left out are unused.
    let left: HashSet<&str> = instances.open.keys().copied().collect();
    functions.gradient.retain(|gradient| {
        !left.contains(gradient.function_name.as_str()) && !left.contains(gradient.gradient_func.as_str())
    });
    Ok(Some(made))
}

/// Returns true if a function has parameters: attributes, or arguments whose dtype or number is an attribute.
fn has_parameters(signature: &OpDef) -> bool {
    let mut args = signature.input_arg.iter().chain(&signature.output_arg);
    !signature.attr.is_empty()
        || args.any(|arg| {
            !arg.type_attr.is_empty() || !arg.number_attr.is_empty() || !arg.type_list_attr.is_empty()
        })
}

/// The expansion of a library. Created functions wait in a list rather than on the call stack, because a file determines the depth.
struct Instances<'a> {
    /// The functions with parameters, by name.
    open: HashMap<&'a str, &'a FunctionDef>,
    /// The names of all functions, which new ones must avoid.
    taken: HashSet<String>,
    /// The names of the created functions, by function and parameters.
    known: HashMap<(String, Vec<u8>), String>,
    /// Created functions whose own calls are not resolved yet.
    waiting: Vec<FunctionDef>,
}

impl Instances<'_> {
    /// Replaces calls with parameters in the body of a function.
    fn in_function(&mut self, function: &mut FunctionDef) -> Result<()> {
        let name = function.signature.as_ref().map(|signature| signature.name.clone()).unwrap_or_default();
        for node in &mut function.node_def {
            self.in_node(node).map_err(|error| error.context(format!("function '{name}'")))?;
        }
        Ok(())
    }

    /// Replaces calls with parameters in a node.
    fn in_node(&mut self, node: &mut NodeDef) -> Result<()> {
        self.in_calls(node).map_err(|error| crate::nodes::at(node, error))
    }

    /// Replaces the op type of a node that calls a function by its name.
    fn in_calls(&mut self, node: &mut NodeDef) -> Result<()> {
        for value in node.attr.values_mut() {
            self.in_value(value)?;
        }
        if let Some(name) = self.instance(&node.op, &mut node.attr)? {
            node.op = name;
        }
        Ok(())
    }

    /// Replaces functions with parameters in the value of an attribute, at any depth.
    fn in_value(&mut self, value: &mut AttrValue) -> Result<()> {
        match &mut value.value {
            Some(Value::Func(func)) => self.in_func(func),
            Some(Value::List(list)) => list.func.iter_mut().try_for_each(|func| self.in_func(func)),
            _ => Ok(()),
        }
    }

    /// Replaces one function with parameters by the name of an instance, which is created at first use.
    fn in_func(&mut self, func: &mut NameAttrList) -> Result<()> {
        for value in func.attr.values_mut() {
            self.in_value(value)?;
        }
        if let Some(name) = self.instance(&func.name, &mut func.attr)? {
            func.name = name;
        }
        Ok(())
    }

    /// Returns the name of the function that a call with these attributes refers to, and removes the parameters from them; `None`
    /// for a function without parameters.
    fn instance(&mut self, name: &str, attrs: &mut Attrs) -> Result<Option<String>> {
        let Some(function) = self.open.get(name).copied() else { return Ok(None) };
        let signature =
            function.signature.as_ref().ok_or_else(|| Error::value("a function has no signature"))?;
        let mut parameters = Attrs::new();
        for attr in &signature.attr {
            // Taken out of the call, since the instance has no such attribute any more.
            let given = attrs.remove(&attr.name).or_else(|| attr.default_value.clone());
            let missing = || {
                Error::value(format!("the call does not set parameter '{}' of function '{name}'", attr.name))
            };
            parameters.insert(attr.name.clone(), given.ok_or_else(missing)?);
        }
        // Before the size is computed, because that recurses, too.
        let deep = parameters.values().any(|value| !is_shallow(value, MAX_DEPTH));
        let encoded = NameAttrList { name: String::new(), attr: parameters.clone() };
        if deep || encoded.encoded_len() > MAX_PARAMETERS {
            return Err(Error::value(format!("the parameters of function '{name}' are too large")));
        }
        // Maps are sorted, so equal parameters have equal bytes.
        let key = (name.to_owned(), encoded.encode_to_vec());
        if let Some(known) = self.known.get(&key) {
            return Ok(Some(known.clone()));
        }
        if self.known.len() == MAX_INSTANCES {
            let text = format!(
                "functions with parameters are called with more than {MAX_INSTANCES} sets of parameters"
            );
            return Err(Error::value(text));
        }
        let fresh = self.fresh(name, &parameters);
        let made = instantiate(function, signature, &fresh, &parameters);
        self.waiting.push(made.map_err(|error| error.context(format!("function '{name}'")))?);
        self.known.insert(key, fresh.clone());
        Ok(Some(fresh))
    }

    /// Returns a name that no function has.
    fn fresh(&mut self, name: &str, parameters: &Attrs) -> String {
        let said = parameters.values().filter_map(|value| match &value.value {
            Some(Value::Type(number)) => {
                session_core::DType::from_number(*number).map(|dtype| dtype.name().to_owned())
            }
            // A minus is not allowed in the name of a function.
            Some(Value::Int(number)) => Some(number.to_string().replace('-', "m")),
            _ => None,
        });
        let base = std::iter::once(name.to_owned()).chain(said).collect::<Vec<_>>().join("_");
        let mut fresh = base.clone();
        let mut number = 0;
        while !self.taken.insert(fresh.clone()) {
            number += 1;
            fresh = format!("{base}_{number}");
        }
        fresh
    }
}

/// Returns true if functions are nested at most `depth` deep.
fn is_shallow(value: &AttrValue, depth: usize) -> bool {
    let shallow = |func: &NameAttrList| {
        depth.checked_sub(1).is_some_and(|depth| func.attr.values().all(|value| is_shallow(value, depth)))
    };
    match &value.value {
        Some(Value::Func(func)) => shallow(func),
        Some(Value::List(list)) => list.func.iter().all(shallow),
        _ => true,
    }
}

/// Creates the function for a call with these parameters.
fn instantiate(
    function: &FunctionDef,
    signature: &OpDef,
    name: &str,
    parameters: &Attrs,
) -> Result<FunctionDef> {
    let mut made = function.clone();
    for node in &mut made.node_def {
        for value in node.attr.values_mut() {
            substitute(value, parameters)?;
        }
    }
    let names = signature.input_arg.iter().map(|arg| arg.name.as_str());
    let mut taken: BTreeSet<String> =
        names.chain(made.node_def.iter().map(|node| node.name.as_str())).map(str::to_owned).collect();
    let mut lists = HashMap::new();
    let mut new = OpDef {
        name: name.to_owned(),
        attr: Vec::new(),
        input_arg: Vec::new(),
        output_arg: Vec::new(),
        ..signature.clone()
    };
    let mut arg_attr = BTreeMap::new();
    for (position, arg) in signature.input_arg.iter().enumerate() {
        let known = u32::try_from(position).ok().and_then(|position| function.arg_attr.get(&position));
        let args = closed(arg, parameters, &mut taken)?;
        if is_list(arg) {
            lists.insert(arg.name.clone(), args.iter().map(|arg| arg.name.clone()).collect::<Vec<_>>());
        } else if let (Some(known), Ok(now)) = (known, u32::try_from(new.input_arg.len())) {
            arg_attr.insert(now, known.clone());
        }
        new.input_arg.extend(args);
    }
    made.arg_attr = arg_attr;
    // The identity of resources is also given by position, and only speeds up runs.
    made.resource_arg_unique_id.clear();
    for node in &mut made.node_def {
        node.input = node.input.iter().flat_map(|input| expanded(input, &lists)).collect();
    }
    // Results have a name space of their own.
    let mut taken = BTreeSet::new();
    for arg in &signature.output_arg {
        let args = closed(arg, parameters, &mut taken)?;
        let missing = || Error::value(format!("result '{}' has no value", arg.name));
        let source = made.ret.remove(&arg.name).ok_or_else(missing)?;
        if !is_list(arg) {
            let single = expanded(&source, &lists).into_iter().next().unwrap_or(source);
            made.ret.insert(arg.name.clone(), single);
        } else {
            let items = match lists.get(&source) {
                Some(items) => items.clone(),
                // The source is a node's output argument that is itself a list: item by item.
                None => (0..args.len()).map(|index| format!("{source}:{index}")).collect(),
            };
            if items.len() != args.len() {
                let text =
                    format!("result '{}' has {} tensors instead of {}", arg.name, items.len(), args.len());
                return Err(Error::value(text));
            }
            made.ret.extend(args.iter().map(|arg| arg.name.clone()).zip(items));
        }
        new.output_arg.extend(args);
    }
    made.signature = Some(new);
    Ok(made)
}

/// Returns true for an argument that stands for a list of tensors.
fn is_list(arg: &ArgDef) -> bool {
    !arg.number_attr.is_empty() || !arg.type_list_attr.is_empty()
}

/// Returns the arguments, each a single tensor of one dtype, that replace this one.
fn closed(arg: &ArgDef, parameters: &Attrs, taken: &mut BTreeSet<String>) -> Result<Vec<ArgDef>> {
    let value = |name: &str| parameters.get(name).and_then(|value| value.value.as_ref());
    let wrong = |name: &str| {
        Error::value(format!(
            "parameter '{name}' of argument '{}' is missing or has the wrong type",
            arg.name
        ))
    };
    let types = match value(&arg.type_list_attr) {
        Some(Value::List(list)) => list.r#type.clone(),
        _ if !arg.type_list_attr.is_empty() => return Err(wrong(&arg.type_list_attr)),
        _ => {
            let dtype = match value(&arg.type_attr) {
                Some(Value::Type(dtype)) => *dtype,
                _ if !arg.type_attr.is_empty() => return Err(wrong(&arg.type_attr)),
                _ => arg.r#type,
            };
            let count = match value(&arg.number_attr) {
                Some(Value::Int(count)) if (0..=MAX_TENSORS).contains(count) => *count as usize,
                _ if !arg.number_attr.is_empty() => return Err(wrong(&arg.number_attr)),
                _ => 1,
            };
            vec![dtype; count]
        }
    };
    let mut args = Vec::with_capacity(types.len());
    for (index, dtype) in types.into_iter().enumerate() {
        let mut name = arg.name.clone();
        if is_list(arg) {
            // As TensorFlow names the parts, except where a node has that name already.
            name = format!("{}_{index}", arg.name);
            while !taken.insert(name.clone()) {
                name.push('_');
            }
        }
        let (type_attr, number_attr, type_list_attr) = Default::default();
        args.push(ArgDef { name, r#type: dtype, type_attr, number_attr, type_list_attr, ..arg.clone() });
    }
    Ok(args)
}

/// Returns the replacement of an input that is an argument of several tensors: all of them, or `argument:index`.
fn expanded(input: &str, lists: &HashMap<String, Vec<String>>) -> Vec<String> {
    if let Some(items) = lists.get(input) {
        return items.clone();
    }
    let item =
        input.rsplit_once(':').and_then(|(name, index)| lists.get(name)?.get(index.parse::<usize>().ok()?));
    vec![item.cloned().unwrap_or_else(|| input.to_owned())]
}

/// Replaces references to parameters by their values.
fn substitute(value: &mut AttrValue, parameters: &Attrs) -> Result<()> {
    match &mut value.value {
        Some(Value::Placeholder(name)) => {
            let missing =
                || Error::value(format!("an attribute refers to '{name}', which is not a parameter"));
            *value = parameters.get(name).ok_or_else(missing)?.clone();
            Ok(())
        }
        Some(Value::Func(func)) => func.attr.values_mut().try_for_each(|value| substitute(value, parameters)),
        Some(Value::List(list)) => {
            let mut attrs = list.func.iter_mut().flat_map(|func| func.attr.values_mut());
            attrs.try_for_each(|value| substitute(value, parameters))
        }
        _ => Ok(()),
    }
}
