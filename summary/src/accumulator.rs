//! The content of a run's event files, by tag.

use crate::{
    Event, EventData, EventError, EventReader, EventRef, NumberEvent, Restarts, SessionLog, TagKind, Value,
    VoidPoints, event_files,
};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Reads the event files of a run's directory and lists what is in them, now and, by
/// [`reload`](EventAccumulator::reload), as they grow.
///
/// As in TensorBoard, points that an interrupted session wrote beyond its last checkpoint are dropped when the session that
/// resumed from there begins; [`Restarts`] has the rules.
///
/// ```
/// use summary::{EventAccumulator, EventWriter, Summary, TagKind};
/// # let directory = tempfile::tempdir()?;
/// let writer = EventWriter::open(&directory)?;
/// writer.add_summary(Summary::scalar("loss", 0.5), 10)?;
/// writer.add_summary(Summary::scalar("loss", 0.25), 20)?;
/// writer.close()?;
///
/// let run = EventAccumulator::open(&directory)?;
/// let tag = run.tags().next().unwrap();
/// assert_eq!((tag.tag, tag.kind, tag.count, tag.steps), ("loss", TagKind::Scalar, 2, Some((10, 20))));
/// assert_eq!(run.scalars("loss")[1].value, 0.25);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct EventAccumulator {
    directory: PathBuf,
    files: Vec<OpenFile>,
    tags: BTreeMap<String, Tag>,
    graph: Option<Bytes>,
    meta_graph: Option<Bytes>,
    run_metadata: BTreeMap<String, Bytes>,
    sessions: Vec<SessionEvent>,
    first_wall_time: Option<f64>,
    restarts: Restarts,
    damage: Vec<EventError>,
}

#[derive(Debug)]
struct OpenFile {
    path: PathBuf,
    /// `None` for a file that nothing more can be read from.
    reader: Option<EventReader>,
}

/// A tag and how often, and over which steps, it has values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TagInfo<'a> {
    /// The tag.
    pub tag: &'a str,
    /// The kind of its values. A tag with values of two kinds is listed twice.
    pub kind: TagKind,
    /// The plug-in of TensorBoard that shows them; `None` for tensors whose metadata name none.
    pub plugin: Option<&'a str>,
    /// The number of values.
    pub count: usize,
    /// The steps of the first and the last value, in the order of the files.
    pub steps: Option<(i64, i64)>,
}

/// A number at a step.
///
/// ```
/// use summary::ScalarPoint;
/// let point = ScalarPoint { wall_time: 1.7e9, step: 10, value: 0.5 };
/// assert_eq!(point, point.clone());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScalarPoint {
    /// Seconds since 1970.
    pub wall_time: f64,
    /// The step.
    pub step: i64,
    /// The number.
    pub value: f64,
}

/// A session's beginning, end or checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionEvent {
    /// Seconds since 1970.
    pub wall_time: f64,
    /// The step.
    pub step: i64,
    /// The log: a beginning, an end or a checkpoint.
    pub log: SessionLog,
}

/// A tag's plug-in and its values by kind.
#[derive(Debug, Default)]
struct Tag {
    /// The first plug-in that its values name; the metadata come with a tag's first value only.
    plugin: Option<String>,
    kinds: BTreeMap<TagKind, Points>,
}

/// The values of a tag, as far as they are kept.
#[derive(Debug)]
enum Points {
    Scalars(Vec<ScalarPoint>),
    /// The steps of values of all other kinds.
    Steps(Vec<i64>),
}

impl EventAccumulator {
    /// Reads a run's directory, or one file.
    ///
    /// ```
    /// # use summary::{EventAccumulator, EventWriter, SessionLog, Summary};
    /// # let directory = tempfile::tempdir()?;
    /// # let writer = EventWriter::open(&directory)?;
    /// # writer.add_summary(Summary::scalar("loss", 0.5), 10)?;
    /// # writer.close()?;
    /// let run = EventAccumulator::open(&directory)?;
    /// assert_eq!(run.tags().count(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`reload`](EventAccumulator::reload).
    pub fn open(directory: impl AsRef<Path>) -> Result<EventAccumulator, EventError> {
        let mut accumulator = EventAccumulator {
            directory: directory.as_ref().to_path_buf(),
            files: Vec::new(),
            tags: BTreeMap::new(),
            graph: None,
            meta_graph: None,
            run_metadata: BTreeMap::new(),
            sessions: Vec::new(),
            first_wall_time: None,
            restarts: Restarts::new(),
            damage: Vec::new(),
        };
        accumulator.reload()?;
        Ok(accumulator)
    }

    /// Reads the events that were appended since, new files included, and returns their number. A
    /// truncated end is read again the next time; other damage ends a file and is noted in
    /// [`damage`](EventAccumulator::damage).
    ///
    /// ```
    /// # use summary::{EventAccumulator, EventWriter, Summary};
    /// # let directory = tempfile::tempdir()?;
    /// let writer = EventWriter::open(&directory)?;
    /// let mut run = EventAccumulator::open(&directory)?;
    /// writer.add_summary(Summary::scalar("loss", 0.5), 10)?;
    /// writer.flush()?;
    /// run.reload()?;
    /// assert_eq!(run.scalars("loss").len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`EventError::File`] when the directory cannot be listed.
    pub fn reload(&mut self) -> Result<usize, EventError> {
        for path in event_files(&self.directory)? {
            if self.files.iter().any(|file| file.path == path) {
                continue;
            }
            let reader = EventReader::open(&path).map_err(|error| self.damage.push(error)).ok();
            self.files.push(OpenFile { path, reader });
        }
        // In the order of names, which is that of time, however the system lists them. Sorted again because a
        // new file may sort between old ones.
        self.files.sort_by(|a, b| a.path.cmp(&b.path));
        // Taken out for the loop, in which `read_on` needs all of `self`.
        let mut files = std::mem::take(&mut self.files);
        let count = files.iter_mut().map(|file| self.read_on(file)).sum();
        self.files = files;
        Ok(count)
    }

    fn read_on(&mut self, file: &mut OpenFile) -> usize {
        let mut count = 0;
        while let Some(reader) = &mut file.reader {
            match reader.next_whole_ref() {
                Ok(Some(EventRef::Numbers(event))) => {
                    if !self.add_numbers(&event) {
                        self.add(event.to_event());
                    }
                    count += 1;
                }
                Ok(Some(EventRef::Other(event))) => {
                    self.add(event);
                    count += 1;
                }
                Ok(None) => break,
                Err(error) => {
                    // After an event that cannot be decoded the next record begins at a known place. After
                    // any other error it does not.
                    if !matches!(error, EventError::Decode { .. }) {
                        file.reader = None;
                    }
                    self.damage.push(error);
                }
            }
        }
        count
    }

    /// Adds an event of numbers; returns false, with nothing done, if a tag is not known to be of scalars.
    fn add_numbers(&mut self, event: &NumberEvent<'_>) -> bool {
        let is_scalar =
            |tag: &str| self.tags.get(tag).is_some_and(|tag| tag.plugin.as_deref() == Some("scalars"));
        // Only tags that are known to be scalars: the first value of a tag may have metadata, and a tensor's
        // kind depends on them.
        if !event.numbers().all(|number| is_scalar(number.tag)) {
            return false;
        }
        self.first_wall_time.get_or_insert(event.wall_time);
        if let Some(void) =
            self.restarts.observe_summary(event.step, event.numbers().map(|number| number.tag))
        {
            self.drop_void(&void);
        }
        for number in event.numbers() {
            let Some(tag) = self.tags.get_mut(number.tag) else { continue };
            let point = ScalarPoint { wall_time: event.wall_time, step: event.step, value: number.value };
            tag.points(TagKind::Scalar).push(point.step, Some(point));
        }
        true
    }

    fn add(&mut self, event: Event) {
        self.first_wall_time.get_or_insert(event.wall_time);
        if let Some(void) = self.restarts.observe(&event) {
            self.drop_void(&void);
        }
        let Event { wall_time, step, data, .. } = event;
        match data {
            Some(EventData::Summary(summary)) => {
                for value in summary.values {
                    self.add_value(wall_time, step, &value);
                }
            }
            // The last one counts, as in TensorBoard.
            Some(EventData::Graph(graph)) => self.graph = Some(graph),
            Some(EventData::MetaGraph(meta_graph)) => self.meta_graph = Some(meta_graph),
            Some(EventData::RunMetadata { tag, metadata }) => {
                self.run_metadata.insert(tag, metadata);
            }
            Some(EventData::SessionLog(log)) => {
                self.sessions.push(SessionEvent { wall_time, step, log });
            }
            _ => {}
        }
    }

    fn add_value(&mut self, wall_time: f64, step: i64, value: &Value) {
        // Two look-ups instead of `entry`, which would need an owned tag for every value.
        if !self.tags.contains_key(&value.tag) {
            self.tags.insert(value.tag.clone(), Tag::default());
        }
        let Some(tag) = self.tags.get_mut(&value.tag) else { return };
        // Writers send metadata with the first value of a tag only, so the first plugin holds for all of
        // them.
        if tag.plugin.is_none() {
            tag.plugin = value.shown_by().map(str::to_owned);
        }
        let kind = TagKind::of(value, tag.plugin.as_deref());
        let number = value.number().filter(|_| kind == TagKind::Scalar);
        let point = number.map(|value| ScalarPoint { wall_time, step, value });
        tag.points(kind).push(step, point);
    }

    fn drop_void(&mut self, void: &VoidPoints<'_>) {
        for (tag, of_tag) in &mut self.tags {
            if let Some(first) = void.first_step_of(tag) {
                of_tag.kinds.values_mut().for_each(|points| points.drop_from(first));
            }
        }
    }

    /// Returns all tags in order.
    ///
    /// ```
    /// # use summary::{EventAccumulator, EventWriter, SessionLog, Summary};
    /// # let directory = tempfile::tempdir()?;
    /// # let writer = EventWriter::open(&directory)?;
    /// # writer.add_summary(Summary::scalar("loss", 0.5), 10)?;
    /// # writer.close()?;
    /// let run = EventAccumulator::open(&directory)?;
    /// let steps: Vec<_> = run.tags().map(|tag| (tag.tag, tag.steps)).collect();
    /// assert_eq!(steps, [("loss", Some((10, 10)))]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn tags(&self) -> impl Iterator<Item = TagInfo<'_>> {
        self.tags.iter().flat_map(|(name, tag)| {
            tag.kinds.iter().map(|(&kind, points)| TagInfo {
                tag: name,
                kind,
                plugin: tag.plugin.as_deref(),
                count: points.count(),
                steps: points.steps(),
            })
        })
    }

    /// Returns the numbers of a tag in the order of the files; none for a tag without numbers.
    ///
    /// ```
    /// # use summary::{EventAccumulator, EventWriter, Summary};
    /// # let directory = tempfile::tempdir()?;
    /// # let writer = EventWriter::open(&directory)?;
    /// # writer.add_summary(Summary::scalar("loss", 0.5), 10)?;
    /// # writer.close()?;
    /// let run = EventAccumulator::open(&directory)?;
    /// let last = run.scalars("loss").last().unwrap();
    /// assert_eq!((last.step, last.value), (10, 0.5));
    /// assert!(run.scalars("accuracy").is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn scalars(&self, tag: &str) -> &[ScalarPoint] {
        match self.tags.get(tag).and_then(|tag| tag.kinds.get(&TagKind::Scalar)) {
            Some(Points::Scalars(points)) => points,
            _ => &[],
        }
    }

    /// Returns the serialized graph, the last one if there are several.
    ///
    /// ```
    /// # use summary::{EventAccumulator, EventWriter, SessionLog, Summary};
    /// # let directory = tempfile::tempdir()?;
    /// # let writer = EventWriter::open(&directory)?;
    /// # writer.add_summary(Summary::scalar("loss", 0.5), 10)?;
    /// # writer.close()?;
    /// let run = EventAccumulator::open(&directory)?;
    /// assert!(run.graph().is_none() && run.meta_graph().is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn graph(&self) -> Option<&Bytes> {
        self.graph.as_ref()
    }

    /// Returns the serialized meta graph, the last one if there are several.
    #[must_use]
    pub fn meta_graph(&self) -> Option<&Bytes> {
        self.meta_graph.as_ref()
    }

    /// Returns the tags and the serialized contents of run metadata.
    pub fn run_metadata(&self) -> impl Iterator<Item = (&str, &Bytes)> {
        self.run_metadata.iter().map(|(tag, metadata)| (&**tag, metadata))
    }

    /// Returns the beginnings, checkpoints and ends of sessions.
    ///
    /// ```
    /// # use summary::{EventAccumulator, EventWriter, SessionLog, SessionStatus};
    /// # let directory = tempfile::tempdir()?;
    /// # let writer = EventWriter::open(&directory)?;
    /// # writer.add_session_log(SessionLog::start(), 7)?;
    /// # writer.close()?;
    /// let run = EventAccumulator::open(&directory)?;
    /// assert_eq!((run.sessions()[0].step, run.sessions()[0].log.status), (7, SessionStatus::Start));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn sessions(&self) -> &[SessionEvent] {
        &self.sessions
    }

    /// Returns the time of the first event, in seconds since 1970.
    #[must_use]
    pub fn first_wall_time(&self) -> Option<f64> {
        self.first_wall_time
    }

    /// Returns the files read so far, in order.
    ///
    /// ```
    /// # use summary::{EventAccumulator, EventWriter, SessionLog, Summary};
    /// # let directory = tempfile::tempdir()?;
    /// # let writer = EventWriter::open(&directory)?;
    /// # writer.add_summary(Summary::scalar("loss", 0.5), 10)?;
    /// # writer.close()?;
    /// let run = EventAccumulator::open(&directory)?;
    /// assert_eq!(run.files().collect::<Vec<_>>(), [writer.path()]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|file| &*file.path)
    }

    /// Returns the damage that was found.
    ///
    /// ```
    /// # use summary::{EventAccumulator, EventWriter, SessionLog, Summary};
    /// # let directory = tempfile::tempdir()?;
    /// # let writer = EventWriter::open(&directory)?;
    /// # writer.add_summary(Summary::scalar("loss", 0.5), 10)?;
    /// # writer.close()?;
    /// std::fs::write(directory.path().join("events.out.tfevents.2"), "no records")?;
    /// let run = EventAccumulator::open(&directory)?;
    /// assert!(run.scalars("loss").len() == 1 && run.damage().len() <= 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn damage(&self) -> &[EventError] {
        &self.damage
    }
}

impl Tag {
    fn points(&mut self, kind: TagKind) -> &mut Points {
        self.kinds.entry(kind).or_insert_with(|| match kind {
            TagKind::Scalar => Points::Scalars(Vec::new()),
            _ => Points::Steps(Vec::new()),
        })
    }
}

impl Points {
    /// Adds a value: the point of a scalar, the step of any other.
    fn push(&mut self, step: i64, point: Option<ScalarPoint>) {
        match self {
            Points::Scalars(points) => points.extend(point),
            Points::Steps(steps) => steps.push(step),
        }
    }

    /// Drops the points of this step and later ones.
    fn drop_from(&mut self, first: i64) {
        match self {
            Points::Scalars(points) => points.retain(|point| point.step < first),
            Points::Steps(steps) => steps.retain(|&step| step < first),
        }
    }

    fn count(&self) -> usize {
        match self {
            Points::Scalars(points) => points.len(),
            Points::Steps(steps) => steps.len(),
        }
    }

    fn steps(&self) -> Option<(i64, i64)> {
        match self {
            Points::Scalars(points) => Some((points.first()?.step, points.last()?.step)),
            Points::Steps(steps) => Some((*steps.first()?, *steps.last()?)),
        }
    }
}
