//! A run: the content of its event files, which are read further as they grow.
//!
//! Each call reads a limited number of events, so that a large run does not delay the others. If a file disappears or becomes shorter, the run
//! is read again from its beginning.
//!
//! # Memory
//!
//! Scalars are kept as numbers. Of all other values only the positions in the files are kept: histograms, images and
//! graphs are read again when the page asks for them. Tags, descriptions, the story and the notes each have a limit
//! in number and in bytes, because a file can name a new tag in each event. Beyond a limit a note states what is
//! missing.
//!
//! # Locks
//!
//! A run is behind a lock of its own. `read_on` holds it for a limited number of events, so a request waits for a
//! short time at most. A file is read for an answer only after the lock was released.

use crate::place::{self, Place, Places};
use crate::series::{Point, Series};
use crate::tag::{Data, Meta, Tag};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use summary::{
    Event, EventData, EventError, EventReader, EventRef, NumberEvent, Restarts, SessionLog, TagKind, Value,
    VoidPoints,
};

/// The most tags of a run that are kept: more are of no use to a reader, and they take memory.
const MAX_TAGS: usize = 20_000;
/// Tags with more bytes are shortened.
pub(crate) const MAX_TAG: usize = 4096;
/// The bytes that all tags of a run may have, with their descriptions.
const MAX_TAG_BYTES: usize = 16 << 20;
/// The maximum number of entries of a session's story that are kept.
const MAX_STORY: usize = 20_000;
/// The maximum number of bytes of their messages.
const MAX_STORY_BYTES: usize = 16 << 20;
/// The maximum number of notes of a run.
const MAX_NOTES: usize = 100;
/// The longest text of an entry of the story.
pub(crate) const MAX_MESSAGE: usize = 64 << 10;

/// An entry of the session's story.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The step at which the entry was written.
    pub(crate) step: i64,
    /// The time, in seconds since 1970.
    pub(crate) wall: f64,
    /// The log entry, with its message cut to [`MAX_MESSAGE`] bytes.
    pub(crate) log: SessionLog,
}

/// An event file of the run, and the position up to which it was read.
#[derive(Debug)]
struct OpenFile {
    /// The path of the file, as the search found it.
    path: PathBuf,
    /// `None` where nothing more can be read.
    reader: Option<EventReader>,
}

/// A run's events so far.
#[derive(Debug)]
pub(crate) struct Run {
    /// The folder of the run, or the single event file that was given.
    directory: PathBuf,
    /// The folder that symbolic links must not leave.
    root: PathBuf,
    /// The event files in the order in which they were found. Places refer to them by index, so the list only grows.
    files: Vec<OpenFile>,
    /// The values of each tag.
    pub(crate) tags: BTreeMap<String, Tag>,
    /// The position of the last graph.
    pub(crate) graph: Option<Place>,
    /// The position of the last meta graph, which is shown if there is no plain graph.
    pub(crate) meta_graph: Option<Place>,
    /// The positions of run metadata by tag. A tag that is written twice denotes the newer one.
    pub(crate) run_metadata: BTreeMap<String, Place>,
    /// The session logs, oldest first.
    pub(crate) story: Vec<Entry>,
    /// The time of the first event that was read, in seconds since 1970.
    pub(crate) first_wall: Option<f64>,
    /// The latest time of an event. Several writers may interleave their events, so it is the maximum and not the
    /// time of the last event.
    pub(crate) last_wall: Option<f64>,
    /// The step of the last event with values.
    pub(crate) last_step: Option<i64>,
    /// Problems of the files, for the page to show: damage, limits, links that lead out of the folder.
    pub(crate) notes: Vec<String>,
    /// Detects restarts, whose points replace those of the interrupted run. The rule is TensorBoard's.
    restarts: Restarts,
    /// The bytes of the tags with their descriptions, and of the story's messages.
    tag_bytes: usize,
    /// The bytes of the story's messages.
    story_bytes: usize,
}

impl Run {
    /// A run of a directory, or of one event file, of which nothing was read yet.
    pub(crate) fn new(directory: PathBuf, root: PathBuf) -> Run {
        Run {
            directory,
            root,
            files: Vec::new(),
            tags: BTreeMap::new(),
            graph: None,
            meta_graph: None,
            run_metadata: BTreeMap::new(),
            story: Vec::new(),
            first_wall: None,
            last_wall: None,
            last_step: None,
            notes: Vec::new(),
            restarts: Restarts::new(),
            tag_bytes: 0,
            story_bytes: 0,
        }
    }

    /// Returns the path of a file of the run, to read a value again.
    pub(crate) fn file(&self, index: u32) -> Option<&Path> {
        self.files.get(index as usize).map(|file| &*file.path)
    }

    /// Reads new files and new events. If a file that was read is gone, or shorter than before, the whole run is read again.
    pub(crate) fn refresh(&mut self) {
        let rewritten = self.files.iter().any(|file| match std::fs::metadata(&file.path) {
            Ok(info) => file.reader.as_ref().is_some_and(|reader| info.len() < reader.offset()),
            Err(_) => true,
        });
        if rewritten {
            *self = Run::new(std::mem::take(&mut self.directory), std::mem::take(&mut self.root));
            self.note("its files were replaced; they were read again".to_owned());
        }
        let found = match summary::event_files(&self.directory) {
            Ok(found) => found,
            Err(error) => return self.note(error.to_string()),
        };
        // The number of files is small, so a linear search for each is enough.
        for path in found {
            if self.files.iter().any(|file| file.path == path) {
                continue;
            }
            if !is_inside(&path, &self.root) {
                self.note(format!("{} leads out of {}", path.display(), self.root.display()));
                continue;
            }
            let reader = place::open(&path, 0).map_err(|error| self.note(error.to_string())).ok();
            // New files come last whatever their names: places refer to files by their index in the list.
            self.files.push(OpenFile { path, reader });
        }
    }

    /// Reads about this many further events at most, and returns their number.
    pub(crate) fn read_on(&mut self, limit: usize) -> usize {
        let mut count = 0;
        for index in 0..self.files.len() {
            // Out of the list, since it lends events.
            let Some(mut reader) = self.files[index].reader.take() else { continue };
            let mut is_readable = true;
            while count < limit && is_readable {
                let offset = reader.offset();
                match reader.next_whole_ref() {
                    Ok(Some(EventRef::Numbers(event))) => {
                        if !self.add_numbers(&event) {
                            self.add(event.to_event(), index as u32, offset);
                        }
                        count += 1;
                    }
                    Ok(Some(EventRef::Other(event))) => {
                        self.add(event, index as u32, offset);
                        count += 1;
                    }
                    Ok(None) => break,
                    Err(error) => is_readable = self.damaged(index, offset, &error),
                }
            }
            self.files[index].reader = Some(reader).filter(|_| is_readable);
        }
        count
    }

    /// Notes damage, and returns true if the file can be read on.
    ///
    /// An event that cannot be decoded is skipped, because its record was intact. After a damaged record the
    /// boundaries of the following ones are unknown, so the rest of the file is given up.
    fn damaged(&mut self, file: usize, offset: u64, error: &EventError) -> bool {
        // One bad event does not make the next ones unreadable; a bad record does.
        let goes_on = matches!(error, EventError::Decode { .. });
        let (path, rest) =
            (&self.files[file].path, if goes_on { "" } else { "; the rest of the file is not shown" });
        let note = format!("{} is damaged at offset {offset}: {error}{rest}", path.display());
        self.note(note);
        goes_on
    }

    /// Adds a note once: files are read again and again, and a lasting problem would fill the list.
    fn note(&mut self, note: String) {
        if self.notes.len() < MAX_NOTES && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Adds an event of numbers; returns false, with nothing done, if a tag is not known to be of scalars.
    ///
    /// The short path for the most frequent events of training loops. It decodes only steps and numbers and
    /// allocates nothing. The first value of a tag takes the long path, which learns the tag's kind from its
    /// metadata.
    fn add_numbers(&mut self, event: &NumberEvent<'_>) -> bool {
        let is_of_scalars = |tag| self.tags.get(tag).is_some_and(Tag::is_of_scalars);
        if !event.numbers().all(|number| is_of_scalars(number.tag)) {
            return false;
        }
        let (step, wall) = (event.step, event.wall_time);
        if let Some(void) = self.restarts.observe_summary(step, event.numbers().map(|number| number.tag)) {
            self.drop_void(&void);
        }
        self.saw(wall);
        self.last_step = Some(step);
        for number in event.numbers() {
            if let Some(tag) = self.tags.get_mut(number.tag) {
                tag.push(Point { step, wall, value: number.value });
            }
        }
        true
    }

    /// Adds an event of any kind: its numbers, and the places of everything that stays in the file.
    fn add(&mut self, event: Event, file: u32, offset: u64) {
        if let Some(void) = self.restarts.observe(&event) {
            self.drop_void(&void);
        }
        let Event { wall_time: wall, step, data, .. } = event;
        self.saw(wall);
        let place = Place { step, wall, file, offset, value: 0 };
        match data {
            Some(EventData::Summary(summary)) => {
                self.last_step = Some(step);
                for (index, value) in summary.values.iter().enumerate() {
                    self.add_value(Place { value: index as u32, ..place }, value);
                }
            }
            Some(EventData::Graph(_)) => self.graph = Some(place),
            Some(EventData::MetaGraph(_)) => self.meta_graph = Some(place),
            Some(EventData::RunMetadata { tag, .. }) if self.run_metadata.len() < MAX_TAGS => {
                self.run_metadata.insert(shortened(&tag).into_owned(), place);
            }
            Some(EventData::SessionLog(log)) => self.add_log(step, wall, log),
            _ => {}
        }
    }

    /// Extends the range of times by that of an event.
    fn saw(&mut self, wall: f64) {
        self.first_wall.get_or_insert(wall);
        self.last_wall = Some(self.last_wall.map_or(wall, |last| last.max(wall)));
    }

    /// Drops the points that a restart has made void: a resumed training computes them again.
    ///
    /// Tags are looked up under their shortened names, as they were stored.
    fn drop_void(&mut self, void: &VoidPoints<'_>) {
        let drop = |tag: &mut Tag| tag.all_data_mut().for_each(|data| data.drop_from(void.first_step()));
        match void.tags() {
            None => self.tags.values_mut().for_each(drop),
            Some(tags) => {
                for tag in tags {
                    if let Some(tag) = self.tags.get_mut(&*shortened(tag)) {
                        drop(tag);
                    }
                }
            }
        }
    }

    /// Beyond the limits, the oldest quarter is dropped at once, so that a long story costs amortized constant time
    /// per entry.
    fn add_log(&mut self, step: i64, wall: f64, mut log: SessionLog) {
        // The entry was decoded before: cutting the serialized JSON would leave none.
        if log.message.len() > MAX_MESSAGE {
            log.message = cut(&log.message, MAX_MESSAGE).to_owned();
        }
        self.story_bytes += log.message.len();
        if self.story.len() >= MAX_STORY || self.story_bytes > MAX_STORY_BYTES {
            self.note(
                "the session's story is longer than what is kept; the oldest entries are left out".to_owned(),
            );
            let dropped = self.story.drain(..self.story.len().div_ceil(4));
            self.story_bytes -= dropped.map(|entry| entry.log.message.len()).sum::<usize>();
        }
        self.story.push(Entry { step, wall, log });
    }

    /// Adds a value of a summary to its tag, and creates the tag at its first value. Limits on the number and the
    /// bytes of tags protect against files that name a tag per step.
    fn add_value(&mut self, place: Place, value: &Value) {
        let name = shortened(&value.tag);
        if !self.tags.contains_key(&*name) {
            if self.tags.len() >= MAX_TAGS || self.tag_bytes + name.len() > MAX_TAG_BYTES {
                return self
                    .note(format!("there are more than {} tags; the others are not shown", self.tags.len()));
            }
            self.tag_bytes += name.len();
            self.tags.insert(name.clone().into_owned(), Tag::default());
        }
        let Some(tag) = self.tags.get_mut(&*name) else { return };
        let was_described = tag.meta.is_some();
        tag.add(place, value);
        if let (false, Some(meta)) = (was_described, &mut tag.meta) {
            let bytes = meta.name.len() + meta.description.len();
            if self.tag_bytes + bytes > MAX_TAG_BYTES {
                *meta = Meta::default();
                return self.note(
                    "the descriptions of tags are longer than what is kept; some are left out".to_owned(),
                );
            }
            self.tag_bytes += bytes;
        }
    }

    /// Returns the numbers of a tag, if it has some.
    pub(crate) fn series(&self, tag: &str) -> Option<&Series> {
        self.tags.get(tag)?.series()
    }

    /// Returns the positions of the values of a tag that are of a kind other than numbers.
    pub(crate) fn places(&self, tag: &str, kind: TagKind) -> Option<&Places> {
        match self.tags.get(tag)?.data(kind)? {
            Data::Places(places) => Some(places),
            Data::Scalars(_) => None,
        }
    }

    /// Returns the approximate number of bytes that its points take.
    pub(crate) fn kept_bytes(&self) -> usize {
        self.tags.values().map(Tag::kept_bytes).sum()
    }

    /// Returns the values that take the most bytes, and their number of bytes.
    pub(crate) fn largest(&mut self) -> Option<(usize, &mut Data)> {
        let data = self.tags.values_mut().flat_map(Tag::all_data_mut);
        data.map(|data| (data.kept_bytes(), data)).max_by_key(|(bytes, _)| *bytes)
    }
}

/// Returns true if a path, with links followed, is in a folder or is that path itself.
///
/// Both paths must be canonical below the root, so `root` is passed as the search resolved it.
pub(crate) fn is_inside(path: &Path, root: &Path) -> bool {
    path.canonicalize().is_ok_and(|real| real.starts_with(root))
}

/// The beginning of a text, of at most `limit` bytes.
///
/// The cut is at a character boundary, so the result may be up to three bytes shorter than the limit.
pub(crate) fn cut(text: &str, limit: usize) -> &str {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Returns a tag of limited length. Long tags end in a hash, so that different ones stay different.
fn shortened(tag: &str) -> Cow<'_, str> {
    if tag.len() <= MAX_TAG {
        return tag.into();
    }
    // FNV-1a.
    let hash = tag
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{}… ({} bytes, {hash:016x})", cut(tag, 200), tag.len()).into()
}
