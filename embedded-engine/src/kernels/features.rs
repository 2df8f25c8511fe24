//! The op types that features of this crate bring.
//!
//! Few programs need them, and everyone would wait for their compilation: a third of this crate's code. Without
//! its feature an op type is registered all the same, with a maker that names the feature, so that a graph
//! with it reports what is missing and why.
//!
//! A family belongs to a feature where it is registered (`Registry::of_feature`). The names of its op types are
//! also in `features.tsv`, because a family that is not compiled cannot list them. The test `op_page` compares the
//! two, and writes the file with the page of op types.

use super::facts;
use crate::kernel::{Kernel, NodeSpec};
use crate::registry::Registry;
use session_core::{Code, Error, Result};

/// One line for each op type: its name and its feature, separated by a tab.
const OP_TYPES: &str = include_str!("features.tsv");

/// Registers the op types of features that are off.
pub(super) fn leave_out(registry: &mut Registry) {
    for (op_type, feature) in OP_TYPES.lines().filter_map(|line| line.split_once('\t')) {
        registry.leave_out(op_type, feature, refuse);
    }
}

/// The maker of the kernels that were left out.
///
/// # Errors
/// Always, with `Unimplemented` and the name of the feature.
fn refuse(spec: &NodeSpec<'_>) -> Result<Box<dyn Kernel>> {
    let feature = facts(spec.operation).and_then(|op| op.feature).unwrap_or_default();
    Err(Error::new(
        Code::Unimplemented,
        format!(
            "it needs the feature `{feature}` of embedded-engine or monitored-session, which is off in this program"
        ),
    ))
}
