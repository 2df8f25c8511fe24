//! To be written.

use session_core::OpDef;

pub(crate) const DEFS: &[&OpDef] = &[];
