//! Tags of a run: the values of each kind, and the metadata.
//!
//! A tag usually has values of one kind. Files can contradict that, for example when two programs use one name, and
//! TensorBoard then shows the values of each kind in the view of that kind. So does the board. The kinds are in a
//! list and not in a map, because a list of one element is smaller and faster to search.

use crate::place::{Place, Places};
use crate::run::{MAX_MESSAGE, MAX_TAG, cut};
use crate::series::{Point, Series};
use summary::{SummaryMetadata, TagKind, Value};

/// A tag's plug-in, metadata and values.
#[derive(Debug, Default)]
pub(crate) struct Tag {
    /// The first plug-in that its values name; the metadata come with a tag's first value only.
    pub(crate) plugin: Option<String>,
    /// The metadata of the first value that has some.
    pub(crate) meta: Option<Meta>,
    /// The values of each kind; rarely of more than one.
    kinds: Vec<(TagKind, Data)>,
}

/// The metadata of a tag.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meta {
    /// The display name, which viewers show instead of the tag.
    pub(crate) name: String,
    /// The description in Markdown. The page shows it as plain text.
    pub(crate) description: String,
}

/// The values of a tag.
#[derive(Debug)]
pub(crate) enum Data {
    /// Numbers, which are kept in memory.
    Scalars(Series),
    /// Values of all other kinds, of which only the positions in the files are kept.
    Places(Places),
}

impl Tag {
    /// Returns true if the values are numbers, also where they are tensors without metadata.
    pub(crate) fn is_of_scalars(&self) -> bool {
        self.plugin.as_deref() == Some("scalars")
    }

    /// Adds a number at a step.
    ///
    /// Only called for tags of which [`is_of_scalars`](Tag::is_of_scalars) holds.
    pub(crate) fn push(&mut self, point: Point) {
        if let Data::Scalars(series) = self.data_mut(TagKind::Scalar) {
            series.push(point);
        }
    }

    /// Adds a value that was read at a place.
    ///
    /// The kind of a value depends on its data and on the plug-in that the first value of the tag named. Values of
    /// different kinds under one tag are kept apart and appear in different views, as in TensorBoard.
    pub(crate) fn add(&mut self, place: Place, value: &Value) {
        // Later values of a tag come without metadata, so the first plug-in holds for all.
        if self.plugin.is_none() {
            self.plugin = value.shown_by().map(|plugin| cut(plugin, MAX_TAG).to_owned());
        }
        if let (None, Some(metadata)) = (&self.meta, &value.metadata) {
            self.meta = Some(Meta::of(metadata));
        }
        let kind = TagKind::of(value, self.plugin.as_deref());
        let number = value.number();
        match (self.data_mut(kind), number) {
            (Data::Scalars(series), Some(value)) => {
                series.push(Point { step: place.step, wall: place.wall, value });
            }
            (Data::Places(places), _) => places.push(place),
            // A scalar without a number is damaged, and is left out.
            (Data::Scalars(_), None) => {}
        }
    }

    /// Returns the values of a kind, which are created at the first value of the kind.
    fn data_mut(&mut self, kind: TagKind) -> &mut Data {
        let index = self.kinds.iter().position(|(known, _)| *known == kind).unwrap_or_else(|| {
            self.kinds.push((kind, Data::new(kind)));
            self.kinds.len() - 1
        });
        &mut self.kinds[index].1
    }

    /// Returns the values by their kinds.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = (TagKind, &Data)> {
        self.kinds.iter().map(|(kind, data)| (*kind, data))
    }

    /// Returns the values of all kinds.
    pub(crate) fn all_data_mut(&mut self) -> impl Iterator<Item = &mut Data> {
        self.kinds.iter_mut().map(|(_, data)| data)
    }

    /// Returns the values of a kind.
    pub(crate) fn data(&self, kind: TagKind) -> Option<&Data> {
        self.kinds().find(|(known, _)| *known == kind).map(|(_, data)| data)
    }

    /// Returns the numbers.
    pub(crate) fn series(&self) -> Option<&Series> {
        match self.data(TagKind::Scalar)? {
            Data::Scalars(series) => Some(series),
            Data::Places(_) => None,
        }
    }

    /// Returns the memory that the kept values of all kinds take, in bytes.
    pub(crate) fn kept_bytes(&self) -> usize {
        self.kinds.iter().map(|(_, data)| data.kept_bytes()).sum()
    }
}

impl Meta {
    /// Truncates the texts, which come from the file and may be of any length.
    fn of(metadata: &SummaryMetadata) -> Meta {
        Meta {
            name: cut(&metadata.display_name, MAX_TAG).to_owned(),
            description: cut(&metadata.description, MAX_MESSAGE).to_owned(),
        }
    }
}

impl Data {
    /// Creates an empty list for values of a kind.
    fn new(kind: TagKind) -> Data {
        match kind {
            TagKind::Scalar => Data::Scalars(Series::default()),
            _ => Data::Places(Places::default()),
        }
    }

    /// Returns the memory that the kept values take, in bytes.
    pub(crate) fn kept_bytes(&self) -> usize {
        match self {
            Data::Scalars(series) => series.kept() * size_of::<Point>(),
            Data::Places(places) => places.kept() * size_of::<Place>(),
        }
    }

    /// Reduces the memory of the values by half. See [`Series::halve`] and [`Places::halve`].
    pub(crate) fn halve(&mut self) {
        match self {
            Data::Scalars(series) => series.halve(),
            Data::Places(places) => places.halve(),
        }
    }

    /// Drops the values of a step and of all later ones, which a restart replaces.
    pub(crate) fn drop_from(&mut self, step: i64) {
        match self {
            Data::Scalars(series) => series.drop_from(step),
            Data::Places(places) => places.drop_from(step),
        }
    }

    /// Returns the number of values in the files, kept or not.
    pub(crate) fn total(&self) -> u64 {
        match self {
            Data::Scalars(series) => series.total(),
            Data::Places(places) => places.total(),
        }
    }

    /// Returns the first step and the last one.
    pub(crate) fn steps(&self) -> Option<(i64, i64)> {
        match self {
            Data::Scalars(series) => Some((series.first()?.step, series.last()?.step)),
            Data::Places(places) => Some((places.first()?.step, places.last()?.step)),
        }
    }
}
