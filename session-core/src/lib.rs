//! Graph, session and engine traits, status codes, fetches and feeds.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod attr;
mod builder;
mod cancellation;
mod collection;
mod config;
mod error;
mod feed;
mod feed_dict;
mod fetch;
mod file_access;
mod function;
mod function_body;
mod graph;
mod graph_id;
mod host;
mod member;
#[cfg(feature = "mock")]
pub mod mock;
mod names;
mod op_def;
mod operation;
mod operators;
mod options;
mod origin;
mod partial_shape;
mod position_index;
mod rewrite;
mod saved_table;
mod session;
mod shape_context;
mod variable;
mod variable_scope;

pub use attr::{AttrValue, Attrs};
pub use builder::OpBuilder;
pub use cancellation::{CancellationGuard, CancellationToken};
pub use collection::{CollectionKey, Named, keys};
pub use config::SessionConfig;
pub use error::{Error, ErrorKind, Phase, Result};
pub use feed::{FeedKey, FeedList, Feeds, check_value};
pub use feed_dict::{FeedDict, FeedDictKey};
pub use fetch::{Fetch, FetchList, FetchValues};
pub use file_access::FileAccess;
pub use function::Function;
pub use function_body::{CaptureFn, Captures, HANDLE_DTYPE, HANDLE_SHAPE, handle_data};
pub use graph::Graph;
pub use graph_id::GraphId;
pub use host::{HostContext, HostFunction, HostGradient};
pub use member::GraphMember;
pub use op_def::{
    ArgDef, ArgType, AttrDef, AttrKind, Gradient, GradientFn, OpDef, OpLibrary, ShapeFn, Signature,
};
pub use operation::{AsOutput, Endpoint, OpId, Operation, Output, OutputInfo};
pub use operators::ToNumber;
pub use options::{OpStats, QueueStats, RunMetadata, RunOptions, TraceLevel};
pub use origin::Origin;
pub use partial_shape::PartialShape;
pub use position_index::PositionIndex;
pub use rewrite::Rewrite;
pub use saved_table::SavedTable;
pub use session::{
    Callable, Engine, PreparedStep, Session, SessionExt, Step, StepSignature, closed, closed_callable,
};
pub use shape_context::ShapeContext;
pub use variable::{SliceInfo, Variable, VariableParts};
pub use variable_scope::Reuse;

pub use tensor::{DType, Number, Shape, Tensor};
pub use wire::Code;

/// Runs the program of the front page.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
