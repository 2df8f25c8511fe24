//! To be written.

use session_core::OpDef;

pub(crate) static DEFS: &[&OpDef] = &[];
