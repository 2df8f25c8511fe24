//! One run: what its event files hold, read as they grow.

use crate::place::{self, Place, Places};
use crate::series::{Point, Series};
use crate::stored;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use summary::{
    Event, EventData, EventError, EventReader, Restarts, SessionLog, Value, ValueData, VoidPoints,
};

/// How many tags of a run are kept; nobody looks at more, and they take memory.
const MAX_TAGS: usize = 20_000;
/// Tags with more bytes are shortened.
const MAX_TAG: usize = 4096;
/// How many entries of a session's story are kept, and how many notes.
const MAX_STORY: usize = 20_000;
const MAX_NOTES: usize = 100;
/// The longest text of an entry of the story.
const MAX_MESSAGE: usize = 64 << 10;

/// The kind of a tag's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Scalar,
    Histogram,
    Image,
    Audio,
    Text,
    HParams,
    Tensor,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Scalar => "scalar",
            Kind::Histogram => "histogram",
            Kind::Image => "image",
            Kind::Audio => "audio",
            Kind::Text => "text",
            Kind::HParams => "hparams",
            Kind::Tensor => "tensor",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Kind> {
        let all = [Kind::Scalar, Kind::Histogram, Kind::Image, Kind::Audio, Kind::Text, Kind::HParams];
        all.into_iter().chain([Kind::Tensor]).find(|kind| kind.name() == name)
    }

    fn of(value: &Value, plugin: Option<&str>) -> Kind {
        match (&value.data, plugin) {
            (Some(ValueData::Scalar(_)), _) | (_, Some("scalars")) => Kind::Scalar,
            (Some(ValueData::Histogram(_)), _) | (_, Some("histograms")) => Kind::Histogram,
            (Some(ValueData::Image(_)), _) | (_, Some("images")) => Kind::Image,
            (Some(ValueData::Audio(_)), _) | (_, Some("audio")) => Kind::Audio,
            (_, Some("text")) => Kind::Text,
            (_, Some("hparams")) => Kind::HParams,
            _ => Kind::Tensor,
        }
    }
}

/// The values of a tag.
#[derive(Debug)]
pub(crate) enum Data {
    Scalars(Series),
    Places(Places),
}

impl Data {
    fn kept_bytes(&self) -> usize {
        match self {
            Data::Scalars(series) => series.kept() * size_of::<Point>(),
            Data::Places(places) => places.kept() * size_of::<Place>(),
        }
    }

    pub(crate) fn halve(&mut self) {
        match self {
            Data::Scalars(series) => series.halve(),
            Data::Places(places) => places.halve(),
        }
    }

    fn drop_from(&mut self, step: i64) {
        match self {
            Data::Scalars(series) => series.drop_from(step),
            Data::Places(places) => places.drop_from(step),
        }
    }

    pub(crate) fn total(&self) -> u64 {
        match self {
            Data::Scalars(series) => series.total(),
            Data::Places(places) => places.total(),
        }
    }

    /// The first step and the last one.
    pub(crate) fn steps(&self) -> Option<(i64, i64)> {
        match self {
            Data::Scalars(series) => Some((series.first()?.step, series.last()?.step)),
            Data::Places(places) => Some((places.first()?.step, places.last()?.step)),
        }
    }
}

/// The metadata of a tag, from its first value that has some.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meta {
    pub(crate) plugin: String,
    pub(crate) name: String,
    pub(crate) description: String,
}

/// An entry of the session's story.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) step: i64,
    pub(crate) wall: f64,
    pub(crate) log: SessionLog,
}

#[derive(Debug)]
struct OpenFile {
    path: PathBuf,
    /// `None` where nothing more can be read.
    reader: Option<EventReader>,
}

/// A run's events so far.
#[derive(Debug)]
pub(crate) struct Run {
    directory: PathBuf,
    /// Nothing outside this folder is read, whatever links say.
    root: PathBuf,
    files: Vec<OpenFile>,
    pub(crate) tags: BTreeMap<String, BTreeMap<Kind, Data>>,
    pub(crate) metas: BTreeMap<String, Meta>,
    pub(crate) graph: Option<Place>,
    pub(crate) meta_graph: Option<Place>,
    pub(crate) run_metadata: BTreeMap<String, Place>,
    pub(crate) story: Vec<Entry>,
    pub(crate) first_wall: Option<f64>,
    pub(crate) last_wall: Option<f64>,
    pub(crate) last_step: Option<i64>,
    pub(crate) notes: Vec<String>,
    restarts: Restarts,
    tag_count: usize,
}

impl Run {
    /// A run of a directory, or of one event file, of which nothing was read yet.
    pub(crate) fn new(directory: PathBuf, root: PathBuf) -> Run {
        Run {
            directory,
            root,
            files: Vec::new(),
            tags: BTreeMap::new(),
            metas: BTreeMap::new(),
            graph: None,
            meta_graph: None,
            run_metadata: BTreeMap::new(),
            story: Vec::new(),
            first_wall: None,
            last_wall: None,
            last_step: None,
            notes: Vec::new(),
            restarts: Restarts::new(),
            tag_count: 0,
        }
    }

    pub(crate) fn file(&self, index: u32) -> Option<&Path> {
        self.files.get(index as usize).map(|file| &*file.path)
    }

    /// Looks for new files. When one that was read is gone, or shorter than it was, the run begins again from nothing.
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

    /// Reads on, about this many events at most, and returns how many there were.
    pub(crate) fn read_on(&mut self, limit: usize) -> usize {
        let mut count = 0;
        for index in 0..self.files.len() {
            while count < limit {
                let Some(reader) = &mut self.files[index].reader else { break };
                let offset = reader.offset();
                match reader.next_whole_event() {
                    Ok(Some(event)) => {
                        self.add(event, index as u32, offset);
                        count += 1;
                    }
                    Ok(None) => break,
                    Err(error) => self.damaged(index, offset, &error),
                }
            }
        }
        count
    }

    fn damaged(&mut self, file: usize, offset: u64, error: &EventError) {
        // One bad event does not make the next ones unreadable; a bad record does.
        let ends = !matches!(error, EventError::Decode { .. });
        if ends {
            self.files[file].reader = None;
        }
        let (path, rest) =
            (&self.files[file].path, if ends { "; the rest of the file is not shown" } else { "" });
        let note = format!("{} is damaged at offset {offset}: {error}{rest}", path.display());
        self.note(note);
    }

    fn note(&mut self, note: String) {
        if self.notes.len() < MAX_NOTES && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    fn add(&mut self, event: Event, file: u32, offset: u64) {
        if let Some(void) = self.restarts.observe(&event) {
            self.drop_void(&void);
        }
        let Event { wall_time: wall, step, data, .. } = event;
        self.first_wall.get_or_insert(wall);
        self.last_wall = Some(self.last_wall.map_or(wall, |last| last.max(wall)));
        let place = Place { step, wall, file, offset, value: 0 };
        match data {
            Some(EventData::Summary(summary)) => {
                self.last_step = Some(step);
                for (index, value) in summary.values.into_iter().enumerate() {
                    self.add_value(Place { value: index as u32, ..place }, value);
                }
            }
            Some(EventData::Graph(_)) => self.graph = Some(place),
            Some(EventData::MetaGraph(_)) => self.meta_graph = Some(place),
            Some(EventData::RunMetadata { tag, .. }) if self.run_metadata.len() < MAX_TAGS => {
                self.run_metadata.insert(shortened(tag), place);
            }
            Some(EventData::SessionLog(log)) => self.add_log(step, wall, log),
            _ => {}
        }
    }

    fn drop_void(&mut self, void: &VoidPoints<'_>) {
        let drop = |kinds: &mut BTreeMap<Kind, Data>| {
            kinds.values_mut().for_each(|data| data.drop_from(void.first_step()));
        };
        match void.tags() {
            None => self.tags.values_mut().for_each(drop),
            Some(tags) => {
                for tag in tags {
                    if let Some(kinds) = self.tags.get_mut(&*shortened((*tag).to_owned())) {
                        drop(kinds);
                    }
                }
            }
        }
    }

    fn add_log(&mut self, step: i64, wall: f64, mut log: SessionLog) {
        // Cut JSON would be none.
        if log.message.len() > MAX_MESSAGE {
            log.message = cut(&log.message, MAX_MESSAGE).to_owned();
        }
        if self.story.len() >= MAX_STORY {
            self.note(format!(
                "the session's story has more than {MAX_STORY} entries; the oldest are left out"
            ));
            self.story.drain(..MAX_STORY / 4);
        }
        self.story.push(Entry { step, wall, log });
    }

    fn add_value(&mut self, place: Place, mut value: Value) {
        let tag = shortened(std::mem::take(&mut value.tag));
        if let Some(metadata) = &value.metadata
            && let Some(plugin) = &metadata.plugin
            && !self.metas.contains_key(&tag)
            && self.metas.len() < MAX_TAGS
        {
            let meta = Meta {
                plugin: cut(&plugin.name, MAX_TAG).to_owned(),
                name: cut(&metadata.display_name, MAX_TAG).to_owned(),
                description: cut(&metadata.description, MAX_MESSAGE).to_owned(),
            };
            self.metas.insert(tag.clone(), meta);
        }
        let plugin = self.metas.get(&tag).map(|meta| &*meta.plugin);
        let kind = Kind::of(&value, plugin);
        // Only the first value of a tag names its plug-in, but each number of it is one.
        let number = match kind {
            Kind::Scalar => {
                if let (Some(ValueData::Tensor(_)), None) = (&value.data, value.plugin_name()) {
                    value.metadata = Some(summary::SummaryMetadata::plugin("scalars"));
                }
                let is_one = match &value.data {
                    Some(ValueData::Tensor(stored)) => stored::elements(stored) == Ok(1),
                    _ => true,
                };
                is_one.then(|| value.as_scalar()).flatten()
            }
            _ => None,
        };
        if kind == Kind::Scalar && number.is_none() {
            return self.note(format!("a value of the tag '{tag}' is no number"));
        }
        let Some(data) = self.data(tag, kind) else { return };
        match (data, number) {
            (Data::Scalars(series), Some(value)) => {
                series.push(Point { step: place.step, wall: place.wall, value });
            }
            (Data::Places(places), _) => places.push(place),
            (Data::Scalars(_), None) => {}
        }
    }

    /// The values of a tag; none when there are too many tags.
    fn data(&mut self, tag: String, kind: Kind) -> Option<&mut Data> {
        if !self.tags.contains_key(&tag) {
            if self.tag_count >= MAX_TAGS {
                self.note(format!("there are more than {MAX_TAGS} tags; the others are not shown"));
                return None;
            }
            self.tag_count += 1;
        }
        let new = || match kind {
            Kind::Scalar => Data::Scalars(Series::default()),
            _ => Data::Places(Places::default()),
        };
        Some(self.tags.entry(tag).or_default().entry(kind).or_insert_with(new))
    }

    pub(crate) fn series(&self, tag: &str) -> Option<&Series> {
        match self.tags.get(tag)?.get(&Kind::Scalar)? {
            Data::Scalars(series) => Some(series),
            Data::Places(_) => None,
        }
    }

    pub(crate) fn places(&self, tag: &str, kind: Kind) -> Option<&Places> {
        match self.tags.get(tag)?.get(&kind)? {
            Data::Places(places) => Some(places),
            Data::Scalars(_) => None,
        }
    }

    /// About how many bytes its points take.
    pub(crate) fn kept_bytes(&self) -> usize {
        self.tags.values().flat_map(BTreeMap::values).map(Data::kept_bytes).sum()
    }

    /// The values that take the most bytes, and how many.
    pub(crate) fn largest(&mut self) -> Option<(usize, &mut Data)> {
        let data = self.tags.values_mut().flat_map(BTreeMap::values_mut);
        data.map(|data| (data.kept_bytes(), data)).max_by_key(|(bytes, _)| *bytes)
    }
}

/// Returns true if a path, with links followed, is in a folder or is that path itself.
pub(crate) fn is_inside(path: &Path, root: &Path) -> bool {
    path.canonicalize().is_ok_and(|real| real.starts_with(root))
}

/// The beginning of a text, of at most `limit` bytes.
pub(crate) fn cut(text: &str, limit: usize) -> &str {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// A tag of bearable length, which still differs from others.
fn shortened(tag: String) -> String {
    if tag.len() <= MAX_TAG {
        return tag;
    }
    // FNV-1a.
    let hash = tag
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{}… ({} bytes, {hash:016x})", cut(&tag, 200), tag.len())
}
