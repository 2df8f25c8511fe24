//! Web-safe base64, in which models on servers accept and return images.

use crate::library::op_defs;
use crate::shapes::unchanged;
use session_core::{AsOutput, OpDef, Output};

op_defs! {
    DECODE_BASE64: OpDef::new("DecodeBase64", "input: string -> output: string").shape(unchanged).not_differentiable();
    ENCODE_BASE64: OpDef::new("EncodeBase64", "input: string -> output: string")
        .attrs("pad: bool = false").shape(unchanged).not_differentiable();
}

/// Decodes web-safe base64 text, with `-` and `_`, with or without padding.
///
/// ```
/// # use session_core::Graph;
/// # use ops::{array::constant, parsing::decode_base64};
/// let graph = Graph::new();
/// assert_eq!(decode_base64(constant(&graph, ["aGk"])).shape().to_string(), "[1]");
/// ```
#[must_use]
#[track_caller]
pub fn decode_base64(input: impl AsOutput) -> Output {
    input.as_output().graph().op(&DECODE_BASE64).input(input).finish_output()
}

/// Encodes bytes as web-safe base64 text without padding.
///
/// ```
/// use ops::{array::constant, parsing::encode_base64};
/// let graph = session_core::Graph::new();
/// let text = encode_base64(constant(&graph, "hello")); // "aGVsbG8"
/// # let _ = text;
/// # graph.finalize().unwrap();
/// ```
#[must_use]
#[track_caller]
pub fn encode_base64(input: impl AsOutput) -> Output {
    input.as_output().graph().op(&ENCODE_BASE64).input(input).finish_output()
}
