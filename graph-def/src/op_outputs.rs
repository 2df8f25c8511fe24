//! The outputs of all op types of TensorFlow, for those that this op library does not define.

use crate::proto::ArgDef;
use session_core::DType;
use std::collections::HashMap;
use std::sync::OnceLock;

/// One line for each op type; `tests/oracle/op_outputs.py` documents the format and creates the file.
const TABLE: &str = include_str!("op_outputs.txt");

/// Returns the outputs of an op type.
pub(crate) fn find(op_type: &str) -> Option<Vec<ArgDef>> {
    static INDEX: OnceLock<HashMap<&str, &str>> = OnceLock::new();
    let index =
        INDEX.get_or_init(|| TABLE.lines().map(|line| line.split_once(' ').unwrap_or((line, ""))).collect());
    index.get(op_type)?.split_whitespace().map(parse).collect()
}

fn parse(text: &str) -> Option<ArgDef> {
    let (name, spec) = text.split_once('=')?;
    let mut arg = ArgDef { name: name.to_owned(), ..ArgDef::default() };
    let spec = match spec.strip_prefix('&') {
        Some(rest) => {
            arg.is_ref = true;
            rest
        }
        None => spec,
    };
    let each = match spec.split_once('*') {
        Some(("", list)) => {
            arg.type_list_attr = list.to_owned();
            return Some(arg);
        }
        Some((count, each)) => {
            arg.number_attr = count.to_owned();
            each
        }
        None => spec,
    };
    match each.strip_prefix('@') {
        Some(attr) => arg.type_attr = attr.to_owned(),
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
        let pop = find("TensorListPopBack").unwrap();
        assert_eq!((pop[0].r#type, pop[1].type_attr.as_str()), (DType::Variant.number(), "element_dtype"));
        assert!(find("VariableV2").unwrap()[0].is_ref);
        assert!(find("NoSuchOp").is_none());
    }

    #[test]
    fn the_library_agrees_with_it() {
        let mut compared = 0;
        for def in LIBRARY.iter() {
            // This library has some op types of its own.
            let Some(args) = find(def.name()) else { continue };
            let ours = &LIBRARY.find(def.name()).unwrap().signature().outputs;
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
