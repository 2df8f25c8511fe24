//! What a graph needs and this engine has not.

use crate::flow::Flow;
use crate::functions::CALLERS;
use crate::kernel::Registry;
use session_core::{Code, Error, Graph, Operation, Result};
use std::collections::BTreeMap;
use std::fmt;

/// Op types that the compiler itself deals with.
const COMPILED: [&str; 4] = ["Placeholder", "PlaceholderV2", "NoOp", "ControlTrigger"];

/// Whether this engine runs operations of a type.
///
/// ```
/// assert!(embedded_engine::supports("MatMul") && embedded_engine::supports("While"));
/// assert!(!embedded_engine::supports("PyFunc"));
/// ```
#[must_use]
pub fn supports(op_type: &str) -> bool {
    let flow = ["Switch", "Merge", "Enter", "Exit", "NextIteration"];
    COMPILED.contains(&op_type)
        || CALLERS.contains(&op_type)
        || flow.contains(&op_type.strip_prefix("Ref").unwrap_or(op_type))
        || Registry::get().find(op_type).is_some()
}

/// The operations of a graph, and of the functions of its library, that this engine cannot run: all of them, whether a
/// step would need them or not.
#[must_use]
pub fn missing_kernels(graph: &Graph) -> Missing {
    let mut missing = Missing::default();
    let runs = |operation: &Operation| {
        supports(operation.op_type())
            || Flow::of(operation).is_some()
            || graph.function(operation.op_type()).is_some()
    };
    graph
        .operations()
        .iter()
        .filter(|operation| !runs(operation))
        .for_each(|operation| missing.add(operation, None));
    for function in graph.functions() {
        let operations = function.body().operations();
        let lacking = operations.iter().filter(|operation| !runs(operation));
        lacking.for_each(|operation| missing.add(operation, Some(function.name())));
    }
    missing
}

/// Op types without a kernel, each with the operations of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    by_type: BTreeMap<String, Vec<String>>,
}

impl Missing {
    /// Whether nothing is missing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_type.is_empty()
    }

    /// The op types, sorted, each with the names of its operations; those in the body of a function as
    /// `function/operation`.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.by_type.iter().map(|(op_type, nodes)| (op_type.as_str(), nodes.as_slice()))
    }

    pub(crate) fn add(&mut self, operation: &Operation, function: Option<&str>) {
        let name = match function {
            Some(function) => format!("{function}/{}", operation.name()),
            None => operation.name().to_owned(),
        };
        let nodes = self.by_type.entry(operation.op_type().to_owned()).or_default();
        if !nodes.contains(&name) {
            nodes.push(name);
        }
    }

    /// An error that lists everything, unless there is nothing.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        Err(Error::new(Code::Unimplemented, format!("the embedded engine has no kernel for: {self}")))
    }
}

/// As one line: each op type with its first three operations.
impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (op_type, nodes)) in self.iter().enumerate() {
            let (comma, more) =
                (if index > 0 { "; " } else { "" }, if nodes.len() > 3 { ", ..." } else { "" });
            let first = nodes.iter().take(3).map(String::as_str).collect::<Vec<_>>().join(", ");
            write!(f, "{comma}{op_type} ({first}{more})")?;
        }
        Ok(())
    }
}
