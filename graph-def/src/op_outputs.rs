//! The outputs of all op types of TensorFlow, for those that the op library does not define.
//!
//! With the table, a graph with unknown operations can be inspected, transformed, exported, and run on TensorFlow.

use crate::proto::ArgDef;
use session_core::{AttrValue, DType};
use std::collections::HashMap;
use std::sync::OnceLock;

/// One line for each op type; `tests/oracle/op_outputs.py` documents the format and creates the file.
const TABLE: &str = include_str!("op_outputs.txt");

/// The outputs of an op type.
#[derive(Debug)]
pub(crate) struct Outputs {
    /// The output arguments.
    pub(crate) args: Vec<ArgDef>,
    /// The defaults of the attributes that decide about the outputs.
    pub(crate) defaults: Vec<(String, AttrValue)>,
}

/// Returns the outputs of an op type.
pub(crate) fn find(op_type: &str) -> Option<Outputs> {
    // Only the lines are indexed. Parsing all of them would cost more than the few unknown types of a graph.
    static INDEX: OnceLock<HashMap<&str, &str>> = OnceLock::new();
    let index =
        INDEX.get_or_init(|| TABLE.lines().map(|line| line.split_once(' ').unwrap_or((line, ""))).collect());
    let mut outputs = Outputs { args: Vec::new(), defaults: Vec::new() };
    for text in index.get(op_type)?.split_whitespace() {
        let arg = parse(text, &mut outputs.defaults)?;
        outputs.args.push(arg);
    }
    Some(outputs)
}

/// Parses one argument of a line of the table.
fn parse(text: &str, defaults: &mut Vec<(String, AttrValue)>) -> Option<ArgDef> {
    let (name, spec) = text.split_once('=')?;
    let mut arg = ArgDef { name: name.to_owned(), ..ArgDef::default() };
    let spec = match spec.strip_prefix('&') {
        Some(rest) => {
            arg.is_ref = true;
            rest
        }
        None => spec,
    };
    let mut attr = |text: &str, parse: &dyn Fn(&str) -> Option<AttrValue>| -> Option<String> {
        let Some((name, default)) = text.split_once('=') else { return Some(text.to_owned()) };
        defaults.push((name.to_owned(), parse(default)?));
        Some(name.to_owned())
    };
    let each = match spec.split_once('*') {
        Some(("", list)) => {
            arg.type_list_attr = list.to_owned();
            return Some(arg);
        }
        Some((count, each)) => {
            arg.number_attr = attr(count, &|text| text.parse().ok().map(AttrValue::Int))?;
            each
        }
        None => spec,
    };
    match each.strip_prefix('@') {
        Some(name) => arg.type_attr = attr(name, &|text| DType::from_name(text).map(AttrValue::Type))?,
        None => arg.r#type = DType::from_name(each)?.number(),
    }
    Some(arg)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ops::LIBRARY;
    use session_core::{ArgType, DType, OpLibrary};

    #[test]
    fn every_line_can_be_parsed() {
        for line in TABLE.lines() {
            let name = line.split(' ').next().unwrap();
            assert!(find(name).is_some(), "{line}");
        }
        let pop = find("TensorListPopBack").unwrap().args;
        assert_eq!((pop[0].r#type, pop[1].type_attr.as_str()), (DType::Variant.number(), "element_dtype"));
        assert!(find("VariableV2").unwrap().args[0].is_ref);
        let transform = find("RFFT").unwrap();
        assert_eq!(transform.args[0].type_attr, "Tcomplex");
        assert_eq!(transform.defaults, [("Tcomplex".to_owned(), AttrValue::Type(DType::Complex64))]);
        assert!(find("NoSuchOp").is_none());
    }

    #[test]
    fn the_library_agrees_with_it() {
        let mut compared = 0;
        for def in LIBRARY.iter() {
            // This library has some op types of its own.
            let Some(Outputs { args, defaults }) = find(def.name()) else { continue };
            let signature = LIBRARY.find(def.name()).unwrap().signature();
            for (name, default) in defaults {
                let ours = signature.attrs.iter().find(|attr| attr.name == name).unwrap();
                assert_eq!(ours.default.as_ref(), Some(&default), "{}: {name}", def.name());
            }
            let ours = &signature.outputs;
            assert_eq!(ours.len(), args.len(), "{}", def.name());
            for (ours, theirs) in ours.iter().zip(&args) {
                assert_eq!((&ours.name, ours.is_ref), (&theirs.name, theirs.is_ref), "{}", def.name());
                assert!(agrees(&ours.arg_type, theirs), "{}: {ours:?} {theirs:?}", def.name());
            }
            compared += 1;
        }
        assert!(compared > 300);
    }

    fn agrees(ours: &ArgType, theirs: &ArgDef) -> bool {
        match ours {
            ArgType::Fixed(dtype) => theirs.r#type == dtype.number(),
            ArgType::Attr(name) => theirs.type_attr == *name,
            ArgType::Repeated(count, each) => theirs.number_attr == *count && agrees(each, theirs),
            ArgType::List(name) => theirs.type_list_attr == *name,
        }
    }
}
