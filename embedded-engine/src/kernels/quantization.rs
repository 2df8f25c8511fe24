//! Numbers of few bits: simulated in training, and stored.

mod arithmetic;
mod fake;
mod layers;
mod pooling;
mod ranges;
mod simulated;

use crate::registry::Registry;

pub(crate) fn register(registry: &mut Registry) {
    arithmetic::register(registry);
    fake::register(registry);
    layers::register(registry);
    pooling::register(registry);
    ranges::register(registry);
    simulated::register(registry);
}
