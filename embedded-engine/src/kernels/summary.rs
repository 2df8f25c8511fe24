//! To be written.

use crate::kernel::Registry;

pub(crate) fn register(_: &mut Registry) {}
