//! Elementwise.

mod binary;
mod binary_kernel;
mod broadcast;
mod compare;
mod element;
mod narrow;
mod unary;
mod unary_kernel;
pub(crate) mod work;

pub use binary::BinaryOp;
pub use binary_kernel::{ArithmeticError, BinaryFn, BinaryKernel};
pub use broadcast::{Broadcast, BroadcastError, MAX_RANK};
pub use compare::{CompareOp, test::TestOp};
pub use element::Element;
pub use narrow::Narrow;
pub use unary::UnaryOp;
pub use unary_kernel::{UnaryFn, UnaryKernel};
