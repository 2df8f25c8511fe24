//! From bytes to tensors: examples, lines of CSV, raw numbers.

mod csv;
mod example;
mod feature;
mod raw;

use crate::kernel::Registry;

pub(crate) fn register(registry: &mut Registry) {
    csv::register(registry);
    example::register(registry);
    raw::register(registry);
}
