//! What a hook adds to a run, and what it gets back.

use session_core::{
    AsOutput, Endpoint, Error, GraphId, OpId, Operation, Output, Places, Result, RunMetadata, RunOptions,
    Tensor,
};
use smallvec::SmallVec;
use std::ops::Index;

/// What a hook adds to a run: fetches, operations to run, feeds, options (S-116). It becomes part of the user's own
/// run, in the same execution (S-120, S-121).
///
/// Made in every [`before_run`](crate::SessionRunHook::before_run) that wants something; up to four fetches and two
/// operations need no allocation.
///
/// ```
/// use hooks::SessionRunArgs;
/// # use session_core::{DType, Graph, OutputInfo, PartialShape};
/// # let graph = Graph::new();
/// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::scalar(), is_ref: false };
/// # let loss = graph.undefined_op("Loss").described_output(info).finish_output();
/// # let update = graph.undefined_op("Update").finish();
/// let args = SessionRunArgs::new().fetch(&loss).target(&update);
/// assert_eq!(args.fetches(), [loss.endpoint()]);
/// assert_eq!(args.targets(), [update.id()]);
/// ```
///
/// An output of another graph, or one that could not be made, is reported when the run is put together, with the
/// hook's name.
#[derive(Clone, Debug, Default)]
#[must_use = "return it from `before_run`"]
pub struct SessionRunArgs {
    fetches: SmallVec<[Endpoint; 4]>,
    targets: SmallVec<[OpId; 2]>,
    /// Not inline: few hooks feed, and arguments are moved in every step.
    feeds: Vec<(Endpoint, Tensor)>,
    places: Places<Endpoint>,
    options: Option<Box<RunOptions>>,
    wants_metadata: bool,
    /// The graph of all endpoints, to be compared with the session's.
    graph: Option<GraphId>,
    /// The first thing that cannot be run.
    mistake: Option<Error>,
}

impl SessionRunArgs {
    /// Nothing yet.
    #[inline]
    pub fn new() -> SessionRunArgs {
        SessionRunArgs::default()
    }

    /// Fetches an output, or the value of a variable. The results come back in the order of these calls; fetching one
    /// output twice gives it twice, evaluated once.
    #[inline]
    pub fn fetch(mut self, output: &(impl AsOutput + ?Sized)) -> SessionRunArgs {
        let output = output.as_output();
        self.belongs(output.operation());
        self.fetches.push(output.endpoint());
        self
    }

    /// Fetches several tensors, as [`fetch`](SessionRunArgs::fetch) does each.
    #[inline]
    pub fn fetch_all<'a>(self, outputs: impl IntoIterator<Item = &'a Output>) -> SessionRunArgs {
        outputs.into_iter().fold(self, SessionRunArgs::fetch)
    }

    /// Runs an operation for its effect. It has no result.
    #[inline]
    pub fn target(mut self, operation: &Operation) -> SessionRunArgs {
        self.belongs(operation);
        self.targets.push(operation.id());
        self
    }

    /// Feeds a value. A second feed of the same output takes the place of the first. An output that the user or another
    /// hook feeds too makes the run fail, naming both (S-128).
    pub fn feed(mut self, output: &(impl AsOutput + ?Sized), value: impl Into<Tensor>) -> SessionRunArgs {
        let output = output.as_output();
        let value = value.into();
        self.belongs(output.operation());
        if self.mistake.is_none() {
            self.mistake = session_core::check_value(output, &value).err();
        }
        let endpoint = output.endpoint();
        match self.places.find(endpoint, self.feeds.iter().map(|(known, _)| *known)) {
            Some(place) => self.feeds[place].1 = value,
            None => self.feeds.push((endpoint, value)),
        }
        self
    }

    /// Asks for options; they are joined with the user's and other hooks' (S-130).
    pub fn options(mut self, options: RunOptions) -> SessionRunArgs {
        self.options = Some(Box::new(options));
        self
    }

    /// Asks for the run's metadata to be filled in: when it began, how long it took and waited. Without this, and
    /// without a trace level or metadata asked for by somebody, they stay empty, because clocks cost.
    pub fn with_metadata(mut self) -> SessionRunArgs {
        self.wants_metadata = true;
        self
    }

    #[inline]
    fn belongs(&mut self, operation: &Operation) {
        let known = *self.graph.get_or_insert(operation.graph_id());
        if known != operation.graph_id() || operation.error().is_some() {
            self.mistaken(operation);
        }
    }

    #[cold]
    fn mistaken(&mut self, operation: &Operation) {
        self.mistake.get_or_insert_with(|| match operation.error() {
            Some(error) => error.clone(),
            None => foreign(operation.name()),
        });
    }

    /// The outputs to deliver, in order, as asked for.
    #[must_use]
    #[inline]
    pub fn fetches(&self) -> &[Endpoint] {
        &self.fetches
    }

    /// The operations to run.
    #[must_use]
    #[inline]
    pub fn targets(&self) -> &[OpId] {
        &self.targets
    }

    /// The feeds, one for each output.
    #[must_use]
    #[inline]
    pub fn feeds(&self) -> &[(Endpoint, Tensor)] {
        &self.feeds
    }

    /// The options, if any were asked for.
    #[must_use]
    #[inline]
    pub fn run_options(&self) -> Option<&RunOptions> {
        self.options.as_deref()
    }

    /// Whether metadata were asked for.
    #[must_use]
    #[inline]
    pub fn wants_metadata(&self) -> bool {
        self.wants_metadata
    }

    /// Whether it adds nothing at all to a run.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fetches.is_empty()
            && self.targets.is_empty()
            && self.feeds.is_empty()
            && self.options.is_none()
            && !self.wants_metadata
    }

    /// Checks that everything belongs to this graph and could be made.
    ///
    /// # Errors
    /// For what does not or could not (S-36, S-40, S-43).
    #[inline]
    pub fn check(&self, graph: GraphId) -> Result<()> {
        if let Some(mistake) = &self.mistake {
            return Err(mistake.clone());
        }
        match self.graph {
            Some(known) if known != graph => Err(foreign("it")),
            _ => Ok(()),
        }
    }
}

fn foreign(name: &str) -> Error {
    Error::value(format!("'{name}' cannot be interpreted as a Tensor or Operation of this graph"))
}

/// What a run gave to one hook: the results of its own fetches, and how the run was made (S-118).
///
/// ```
/// use hooks::SessionRunValues;
/// use session_core::{RunMetadata, RunOptions, Tensor};
/// let (options, metadata) = (RunOptions::default(), RunMetadata::default());
/// let fetched = [Tensor::from(2f32)];
/// let values = SessionRunValues::all(&fetched, &options, &metadata);
/// assert_eq!(values.len(), 1);
/// assert_eq!(values[0], Tensor::from(2f32));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SessionRunValues<'a> {
    fetched: &'a [Tensor],
    /// Where each result is in `fetched`; in order when absent.
    positions: Option<&'a [u32]>,
    options: &'a RunOptions,
    metadata: &'a RunMetadata,
}

impl<'a> SessionRunValues<'a> {
    /// The values of a hook whose results are at these positions of what the run delivered.
    ///
    /// For what drives hooks; a hook is given one.
    #[must_use]
    #[inline]
    pub fn new(
        fetched: &'a [Tensor],
        positions: &'a [u32],
        options: &'a RunOptions,
        metadata: &'a RunMetadata,
    ) -> SessionRunValues<'a> {
        SessionRunValues { fetched, positions: Some(positions), options, metadata }
    }

    /// The values of a hook to which all that was delivered belongs, in order: for tests of hooks.
    #[must_use]
    pub fn all(
        fetched: &'a [Tensor],
        options: &'a RunOptions,
        metadata: &'a RunMetadata,
    ) -> SessionRunValues<'a> {
        SessionRunValues { fetched, positions: None, options, metadata }
    }

    /// How many results the hook gets: as many as it asked for.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.positions.map_or(self.fetched.len(), <[u32]>::len)
    }

    /// Whether the hook asked for no result.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The result of the hook's fetch of this number.
    #[must_use]
    #[inline]
    pub fn get(&self, index: usize) -> Option<&'a Tensor> {
        match self.positions {
            Some(positions) => positions.get(index).and_then(|&position| self.fetched.get(position as usize)),
            None => self.fetched.get(index),
        }
    }

    /// The results in the order of the hook's fetches.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a Tensor> + use<'a> {
        let values = *self;
        (0..self.len())
            .map(move |index| &values.fetched[values.positions.map_or(index, |p| p[index] as usize)])
    }

    /// The options that the run was made with, everybody's joined.
    #[must_use]
    #[inline]
    pub fn options(&self) -> &'a RunOptions {
        self.options
    }

    /// What the run told of itself: the user's own metadata object if there was one. Empty unless somebody asked for it
    /// (see [`SessionRunArgs::with_metadata`]).
    #[must_use]
    #[inline]
    pub fn metadata(&self) -> &'a RunMetadata {
        self.metadata
    }
}

impl Index<usize> for SessionRunValues<'_> {
    type Output = Tensor;

    /// The result of the hook's fetch of this number.
    ///
    /// # Panics
    /// When the hook did not ask for so many.
    #[inline]
    fn index(&self, index: usize) -> &Tensor {
        match self.positions {
            Some(positions) => &self.fetched[positions[index] as usize],
            None => &self.fetched[index],
        }
    }
}
