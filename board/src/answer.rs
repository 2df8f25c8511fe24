//! The answers to the page's requests: JSON, or the bytes of an image or audio clip.
//!
//! Each view of the page has a file here. An answer is made under the lock of a run only as far as the run's memory
//! is concerned; values in files are read after the lock was released, so that a slow disk does not delay the reader
//! of new events.

mod checkpoints;
mod graphs;
mod histograms;
mod hparams;
mod media;
mod runs;
mod scalars;
mod story;
mod text;

pub(crate) use graphs::Cached;

use crate::board::Board;
use crate::{Error, page};
use bytes::Bytes;
use serde::Serialize;
use std::borrow::Cow;
use std::str::FromStr;

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The media type.
    pub content_type: &'static str,
    /// The content.
    pub body: Bytes,
}

/// The media type of all answers but the parts of the page and media.
pub(crate) const JSON: &str = "application/json";

impl Answer {
    /// Creates a successful answer.
    pub(crate) fn new(content_type: &'static str, body: impl Into<Bytes>) -> Answer {
        Answer { status: 200, content_type, body: body.into() }
    }

    /// Serializes a value as a successful answer.
    fn json(value: &impl Serialize) -> Result<Answer, Error> {
        let body = serde_json::to_vec(value);
        // JSON has no map with other keys than strings; such a value would be an error of this program.
        let body = body.map_err(|error| Error::Request(format!("the answer cannot be written: {error}")))?;
        Ok(Answer::new(JSON, body))
    }

    /// Returns the answer that reports an invalid request.
    pub(crate) fn error(status: u16, text: &str) -> Answer {
        let body = serde_json::json!({"error": text}).to_string();
        Answer { status, ..Answer::new(JSON, body) }
    }
}

/// The parameters of a request.
pub(crate) struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl Query<'_> {
    /// Decodes a query. Malformed escapes are kept as text, so every query has a meaning.
    fn parse(text: &str) -> Query<'_> {
        Query(form_urlencoded::parse(text.as_bytes()).collect())
    }

    /// Returns a parameter; of repeated ones the first.
    fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| &**value)
    }

    /// Returns a parameter, or the error that names the missing one.
    fn need(&self, key: &str) -> Result<&str, Error> {
        self.get(key).ok_or_else(|| Error::Request(format!("the parameter '{key}' is missing")))
    }

    /// Returns a parameter as a number, or the error that quotes it.
    fn number<N: FromStr>(&self, key: &str) -> Result<Option<N>, Error> {
        let Some(text) = self.get(key) else { return Ok(None) };
        let wrong = |_| Error::Request(format!("the parameter '{key}' is not a number: '{text}'"));
        text.parse().map(Some).map_err(wrong)
    }
}

impl Board {
    /// Answers a request: a path with its query, such as `/` or `/api/scalars?tag=loss`. No path names a file: what is
    /// requested is looked up among the board's own runs, tags and checkpoints.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// let board = board::Board::open(&[folder.path()])?;
    /// assert_eq!(board.answer("/").content_type, "text/html; charset=utf-8");
    /// assert_eq!(board.answer("/../secret").status, 404);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn answer(&self, target: &str) -> Answer {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        match self.answer_or_fail(path, &Query::parse(query)) {
            Ok(answer) => answer,
            // Only this one is a 404: the page then shows the text in place of the view.
            Err(error @ Error::NotFound(_)) => Answer::error(404, &error.to_string()),
            Err(error) => Answer::error(400, &error.to_string()),
        }
    }

    /// Dispatches a request. Paths outside of `/api/` are parts of the page.
    fn answer_or_fail(&self, path: &str, query: &Query<'_>) -> Result<Answer, Error> {
        match path {
            "/api/state" => self.state(),
            "/api/tags" => self.tags(),
            "/api/scalars" => self.scalars(query),
            "/api/histograms" => self.histograms(query),
            "/api/samples" => self.samples(query),
            "/api/image" => self.image(query),
            "/api/audio" => self.audio(query),
            "/api/text" => self.text(query),
            "/api/hparams" => self.hparams(),
            "/api/graph" => self.graph(query),
            "/api/node" => self.node(query),
            "/api/checkpoints" => self.checkpoints(query),
            "/api/checkpoint" => self.checkpoint(query),
            "/api/verify" => self.verify(query),
            "/api/tensor" => self.tensor(query),
            "/api/story" => self.story(query),
            _ => page::asset(path).ok_or_else(|| Error::NotFound(format!("there is nothing at '{path}'"))),
        }
    }
}
