//! Texts.
//!
//! Texts are sent as they are, and the page inserts them as text and not as HTML. Markdown is therefore shown with
//! its marks. Tensors of other kinds are shown in NumPy's form.

use super::{Answer, Query};
use crate::Error;
use crate::board::Board;
use crate::run::cut;
use crate::stored;
use serde_json::{Value as Json, json};
use summary::{TagKind, Value, ValueData};

/// The default number of texts in an answer.
const USUAL: usize = 20;
/// The maximum number of texts in an answer.
const MOST: usize = 1000;
/// The maximum number of bytes of a text. A longer one is cut, and the page shows how much is missing.
const MAX_BYTES: usize = 32 << 10;
/// The maximum number of cells of a table: tensors of strings are shown as tables.
const MAX_CELLS: usize = 1000;

impl Board {
    /// Answers `/api/text`: at most `count` texts of a `tag` of a `run`, evenly spread over the steps. `kind=tensor`
    /// returns the content of tensors that no other view shows.
    pub(super) fn text(&self, query: &Query<'_>) -> Result<Answer, Error> {
        let kind = if query.get("kind") == Some("tensor") { TagKind::Tensor } else { TagKind::Text };
        let (places, total) = self.places(query, kind, query.number("count")?.unwrap_or(USUAL).min(MOST))?;
        let mut texts = Vec::with_capacity(places.len());
        for place in &places {
            let content = match self.value_at(query, place) {
                Ok(value) => content(&value),
                Err(error) => json!({"error": error.to_string()}),
            };
            texts.push(json!({"step": place.step, "wall": place.wall, "content": content}));
        }
        Answer::json(&json!({"total": total, "texts": texts}))
    }
}

/// Returns the strings of a value with their shape, or a word on what it is instead.
fn content(value: &Value) -> Json {
    let Some(ValueData::Tensor(stored)) = &value.data else { return json!({"error": "it is not a tensor"}) };
    let tensor = match stored::decode(stored) {
        Ok(tensor) => tensor,
        Err(error) => return json!({"error": error}),
    };
    let (dtype, shape) = (tensor.dtype().name(), tensor.shape().dims());
    let Ok(strings) = tensor.as_strings() else {
        let text = tensor.to_string();
        return json!({"shape": [], "dtype": dtype, "of": shape, "cells": [cell(text.as_bytes())]});
    };
    let cells: Vec<Json> = strings.iter().take(MAX_CELLS).map(|string| cell(string)).collect();
    json!({"shape": shape, "cells": cells, "cut": strings.len().saturating_sub(MAX_CELLS)})
}

/// Returns a text, or its beginning with the number of bytes left out.
fn cell(bytes: &[u8]) -> Json {
    let kept = &bytes[..bytes.len().min(MAX_BYTES)];
    let text = String::from_utf8_lossy(kept);
    // A character that the cut went through shows up as a replacement character at the end.
    let text = if kept.len() < bytes.len() { text.trim_end_matches('\u{fffd}') } else { &*text };
    let text = cut(text, MAX_BYTES);
    if kept.len() < bytes.len() { json!([text, bytes.len() - kept.len()]) } else { json!(text) }
}
