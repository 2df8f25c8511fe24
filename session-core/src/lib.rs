//! Graph, session and engine traits, status codes, fetches and feeds.

mod attr;
mod builder;
mod code;
mod collection;
mod error;
mod graph;
mod names;
mod op_def;
mod operation;
mod operators;
mod partial_shape;
mod shape_context;
mod variable;

pub use attr::{AttrValue, Attrs};
pub use builder::OpBuilder;
pub use code::Code;
pub use collection::{CollectionKey, Named, keys};
pub use error::{Error, ErrorKind, Phase, Result};
pub use graph::Graph;
pub use op_def::{
    ArgDef, ArgType, AttrDef, AttrKind, Gradient, GradientFn, OpDef, OpLibrary, ShapeFn, Signature,
};
pub use operation::{AsOutput, Endpoint, OpId, Operation, Output, OutputInfo};
pub use partial_shape::PartialShape;
pub use shape_context::ShapeContext;
pub use variable::{SliceInfo, Variable, VariableParts};

pub use tensor::{DType, Shape, Tensor};
