//! Images and audio clips, read from the event files on demand.
//!
//! The board keeps the positions of media and not their bytes. A request opens the file, reads the one event at the
//! position, whose checksum is verified. A file that was replaced meanwhile therefore causes an error.
//!
//! The media type comes from the first bytes of the content, never from the file. Only types that a browser does not
//! run as a script are sent: an SVG image or an HTML page in an image summary is refused.

use super::{Answer, Query};
use crate::board::Board;
use crate::place::{self, Place};
use crate::{Error, media};
use serde_json::json;
use summary::{EventData, TagKind, Value};

/// The default number of samples in an answer.
const USUAL: usize = 50;
/// The maximum number of samples in an answer.
const MOST: usize = 1000;

impl Board {
    /// Answers `/api/samples`: at most `count` values of a `tag` of a `run` and a `kind`, evenly spread over the
    /// steps. The field `at` of each is the word by which its content is requested.
    pub(super) fn samples(&self, query: &Query<'_>) -> Result<Answer, Error> {
        let kind = query.need("kind")?;
        let kind =
            TagKind::from_name(kind).ok_or_else(|| Error::Request(format!("there is no kind '{kind}'")))?;
        let (places, total) = self.places(query, kind, query.number("count")?.unwrap_or(USUAL).min(MOST))?;
        let mut samples = Vec::with_capacity(places.len());
        for place in &places {
            let mut sample = json!({"step": place.step, "wall": place.wall, "at": place.word()});
            match self.value_at(query, place).map(|value| media::items(&value, kind)) {
                // A sample that cannot be read takes its place with the error, so that the steps of the
                // others stay right.
                Ok(items) => sample["items"] = json!(items),
                Err(error) => sample["error"] = json!(error.to_string()),
            }
            samples.push(sample);
        }
        Answer::json(&json!({"total": total, "samples": samples}))
    }

    /// Returns the image that `at` and `index` name.
    pub(super) fn image(&self, query: &Query<'_>) -> Result<Answer, Error> {
        self.medium(query, TagKind::Image, media::picture_type)
    }

    /// Returns the clip that `at` and `index` name.
    pub(super) fn audio(&self, query: &Query<'_>) -> Result<Answer, Error> {
        self.medium(query, TagKind::Audio, media::sound_type)
    }

    /// Reads one image or clip again from its file, and determines its media type.
    fn medium(
        &self,
        query: &Query<'_>,
        kind: TagKind,
        media_type: fn(&[u8]) -> Option<&'static str>,
    ) -> Result<Answer, Error> {
        let at = query.need("at")?;
        // All places, because the listing may have been of another number of samples.
        let (places, _) = self.places(query, kind, usize::MAX)?;
        // Only what is listed can be requested.
        let place = places.iter().find(|place| place.word() == at);
        let place = place.ok_or_else(|| Error::NotFound(format!("there is no sample '{at}'")))?;
        let index = query.number("index")?.unwrap_or(0);
        let bytes = media::bytes(&self.value_at(query, place)?, kind, index);
        let bytes = bytes.ok_or_else(|| Error::NotFound(format!("the sample '{at}' has no item {index}")))?;
        // By the bytes and not by what the file states, which a browser would otherwise follow.
        let content_type = media_type(&bytes)
            .ok_or_else(|| Error::Request(format!("no {} of a known format", kind.name())))?;
        Ok(Answer::new(content_type, bytes))
    }

    /// Returns the places of at most `limit` values of the request's `tag` and `run`, and the number of all of them.
    pub(super) fn places(
        &self,
        query: &Query<'_>,
        kind: TagKind,
        limit: usize,
    ) -> Result<(Vec<Place>, u64), Error> {
        let (name, tag) = (query.need("run")?, query.need("tag")?);
        let shown = self.named(name)?;
        let run = shown.run();
        let places = run.places(tag, kind).ok_or_else(|| {
            Error::NotFound(format!("the run '{name}' has no {} with the tag '{tag}'", kind.name()))
        })?;
        Ok((places.spread(limit), places.total()))
    }

    /// Reads a value of the request's `run` again.
    pub(super) fn value_at(&self, query: &Query<'_>, place: &Place) -> Result<Value, Error> {
        let shown = self.named(query.need("run")?)?;
        // Not under the run's lock: reading takes its time.
        let path = shown.run().file(place.file).map(std::path::Path::to_path_buf);
        let path = path.ok_or_else(|| Error::NotFound("the event file is gone".to_owned()))?;
        let event = place::read(&path, place.offset)?;
        match event.data {
            Some(EventData::Summary(mut summary)) if (place.value as usize) < summary.values.len() => {
                // `swap_remove` moves the value out without a copy; the rest of the event is dropped.
                Ok(summary.values.swap_remove(place.value as usize))
            }
            _ => Err(Error::NotFound(format!("{} has changed", path.display()))),
        }
    }
}
