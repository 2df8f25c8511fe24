//! Elementwise.

mod bias;
mod binary;
mod binary_kernel;
mod broadcast;
mod cast;
mod compare;
mod element;
mod fill;
pub mod layout;
mod narrow;
mod select;
mod unary;
mod unary_kernel;
pub(crate) mod work;

pub use bias::{ChannelLayout, bias_add, bias_add_channels, bias_add_relu};
pub use binary::BinaryOp;
pub use binary_kernel::{ArithmeticError, BinaryFn, BinaryKernel};
pub use broadcast::{Broadcast, BroadcastError, MAX_RANK};
pub use cast::{CastTo, cast};
pub use compare::{CompareOp, test::TestOp};
pub use element::Element;
pub use fill::{add_n, fill};
pub use narrow::Narrow;
pub use select::select;
pub use unary::UnaryOp;
pub use unary_kernel::{UnaryFn, UnaryKernel};
