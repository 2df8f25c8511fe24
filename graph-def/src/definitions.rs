//! Definitions of op types that the op library does not have.
//!
//! An import needs to know the number and dtypes of the outputs of every operation. It looks for the definition of an op type in the op
//! library, then in the op list of the message, then among its functions, and then in a table of all op types of TensorFlow.

use crate::Result;
use crate::convert::{attr_from_proto, maybe_ref_dtype};
use crate::op_outputs;
use crate::proto::{self, FunctionDefLibrary, OpList};
use ops::library;
use session_core::{ArgDef, ArgType, AttrValue, Attrs, DType, Error, OpDef, OpLibrary, Origin};
use std::collections::HashMap;

/// The data that accompanies the nodes of a message: definitions, which are a list of op types and the signatures of functions (op
/// types too), and the file that the message was read from.
pub(crate) struct Definitions<'a> {
    /// The definitions that came with the message, by op type.
    given: HashMap<&'a str, &'a proto::OpDef>,
    /// The file of the message, for errors.
    file: Option<&'a str>,
}

/// The outputs of one output argument.
#[derive(Clone, Debug)]
pub(crate) struct OutputArg {
    /// The name of the argument.
    pub(crate) name: String,
    /// The dtype of each tensor of the argument.
    pub(crate) dtypes: Vec<DType>,
    /// True if its tensors are references to variables.
    pub(crate) is_ref: bool,
}

impl<'a> Definitions<'a> {
    /// Collects the definitions of an op list and the signatures of a function library.
    pub(crate) fn new(list: Option<&'a OpList>, library: Option<&'a FunctionDefLibrary>) -> Definitions<'a> {
        let ops = list.iter().flat_map(|list| &list.op);
        let functions = library.iter().flat_map(|library| &library.function);
        let signatures = functions.filter_map(|function| function.signature.as_ref());
        Definitions { given: ops.chain(signatures).map(|def| (def.name.as_str(), def)).collect(), file: None }
    }

    /// Names the file that the message was read from.
    pub(crate) fn of_file(mut self, file: Option<&'a str>) -> Definitions<'a> {
        self.file = file;
        self
    }

    /// Returns the origin of operations without a more specific one.
    pub(crate) fn origin(&self) -> Origin {
        match self.file {
            Some(file) => Origin::file(format!("'{file}'")),
            None => Origin::message("an imported graph"),
        }
    }

    /// Returns the origin of an operation, with the name of its node and what it is colocated with.
    pub(crate) fn origin_of(&self, node: &str, colocated: &str) -> Origin {
        match self.file {
            Some(file) => Origin::file(format!("node '{node}' of '{file}'{colocated}")),
            None => Origin::message(format!("node '{node}' of the imported graph{colocated}")),
        }
    }

    /// Returns the definition in this op library.
    pub(crate) fn known(&self, op_type: &str) -> Option<&'static OpDef> {
        library().find(op_type)
    }

    /// Returns the outputs of an operation of this type, by argument; `None` for a type that is unknown to this op library, to the
    /// message and to TensorFlow.
    pub(crate) fn outputs(&self, op_type: &str, attrs: &Attrs) -> Option<Result<Vec<OutputArg>>> {
        // The library first: its kernels and gradients go by its own definitions, whatever a message claims
        // about the type.
        if let Some(def) = self.known(op_type) {
            return Some(def.signature().outputs.iter().map(|arg| known_output(arg, attrs)).collect());
        }
        if let Some(def) = self.given.get(op_type) {
            // A writer that strips defaults relies on the definition that it sends along. An unreadable
            // default is left out, and then reported if the outputs depend on it.
            let defaults = def.attr.iter().filter_map(|attr| {
                Some((attr.name.clone(), attr_from_proto(attr.default_value.as_ref()?.value.as_ref()?).ok()?))
            });
            let attrs = with_defaults(attrs, defaults);
            return Some(def.output_arg.iter().map(|arg| given_output(arg, &attrs)).collect());
        }
        let op_outputs::Outputs { args, defaults } = op_outputs::find(op_type)?;
        let attrs = with_defaults(attrs, defaults);
        Some(args.iter().map(|arg| given_output(arg, &attrs)).collect())
    }

    /// Returns the dtypes that an operation of this type requires of its inputs, as far as known.
    pub(crate) fn input_dtypes(&self, op_type: &str, attrs: &Attrs) -> Vec<DType> {
        let Some(def) = self.known(op_type) else { return Vec::new() };
        let dtypes = def.signature().inputs.iter().map_while(|arg| dtypes_of(&arg.arg_type, attrs).ok());
        dtypes.flatten().collect()
    }
}

/// Returns the attributes of an operation, with those that its writer left out because they have their defaults.
fn with_defaults(attrs: &Attrs, defaults: impl IntoIterator<Item = (String, AttrValue)>) -> Attrs {
    let mut filled = attrs.clone();
    for (name, default) in defaults {
        if !filled.contains_key(&name) {
            filled.insert(name, default);
        }
    }
    filled
}

/// Returns the tensors of an output argument of the op library.
fn known_output(arg: &ArgDef, attrs: &Attrs) -> Result<OutputArg> {
    Ok(OutputArg { name: arg.name.clone(), dtypes: dtypes_of(&arg.arg_type, attrs)?, is_ref: arg.is_ref })
}

/// Returns the tensors of an output argument of a definition in the message.
fn given_output(arg: &proto::ArgDef, attrs: &Attrs) -> Result<OutputArg> {
    let mut is_ref = arg.is_ref;
    let dtypes = if !arg.type_list_attr.is_empty() {
        types_attr(attrs, &arg.type_list_attr)?
    } else {
        let dtype = if arg.type_attr.is_empty() {
            // A definition may mark a reference in either way: by its flag or by the number of the dtype.
            let (dtype, reference) = maybe_ref_dtype(arg.r#type)?;
            is_ref |= reference;
            dtype
        } else {
            type_attr(attrs, &arg.type_attr)?
        };
        let count = if arg.number_attr.is_empty() { 1 } else { count_attr(attrs, &arg.number_attr)? };
        vec![dtype; count]
    };
    Ok(OutputArg { name: arg.name.clone(), dtypes, is_ref })
}

/// Returns the dtypes of an argument, whose number may depend on an attribute.
fn dtypes_of(arg_type: &ArgType, attrs: &Attrs) -> Result<Vec<DType>> {
    Ok(match arg_type {
        ArgType::Fixed(dtype) => vec![*dtype],
        ArgType::Attr(name) => vec![type_attr(attrs, name)?],
        ArgType::Repeated(count, each) => {
            let each = dtypes_of(each, attrs)?;
            each.repeat(count_attr(attrs, count)?)
        }
        ArgType::List(name) => types_attr(attrs, name)?,
    })
}

/// Returns the error for an attribute that is needed to determine the outputs.
fn missing(name: &str) -> Error {
    Error::value(format!("attribute '{name}' is missing or has the wrong type"))
}

/// Returns a dtype attribute.
fn type_attr(attrs: &Attrs, name: &str) -> Result<DType> {
    attrs.get(name).and_then(AttrValue::as_type).ok_or_else(|| missing(name))
}

/// Returns an attribute that is a list of dtypes.
fn types_attr(attrs: &Attrs, name: &str) -> Result<Vec<DType>> {
    attrs.get(name).and_then(AttrValue::as_types).ok_or_else(|| missing(name))
}

/// The largest number of inputs or outputs that an attribute may request: a damaged number must not exhaust the memory.
const MAX_COUNT: i64 = 1 << 20;

/// Returns an attribute that is a number of tensors.
///
/// # Errors
/// A value error if it is missing, negative, or larger than 2^20.
pub(crate) fn count_attr(attrs: &Attrs, name: &str) -> Result<usize> {
    let count = attrs.get(name).and_then(AttrValue::as_int).ok_or_else(|| missing(name))?;
    if !(0..=MAX_COUNT).contains(&count) {
        return Err(Error::value(format!(
            "attribute '{name}' is {count}, which is not a valid number of tensors"
        )));
    }
    usize::try_from(count).map_err(|_| missing(name))
}
