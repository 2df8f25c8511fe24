//! Images: files of pictures, other sizes, parts of them, and boxes in them.
//!
//! Functions take outputs or variables and build one operation of TensorFlow's type. Errors are recorded in the graph; see
//! [`session_core::Output`]. Colors and sizes of image batches within a model are in [`nn`](crate::nn).

pub(crate) mod codecs;
pub(crate) mod cropping;
pub(crate) mod drawing;
pub(crate) mod glimpse;
pub(crate) mod resizing;
pub(crate) mod suppression;

pub use codecs::*;
pub use cropping::*;
pub use drawing::*;
pub use resizing::*;
pub use suppression::*;
