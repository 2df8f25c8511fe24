//! The additions of a hook to a run, and the results that it gets back.

use session_core::{
    AsOutput, Endpoint, Error, GraphId, OpId, Operation, Output, PositionIndex, Result, RunMetadata,
    RunOptions, Tensor,
};
use smallvec::SmallVec;
use std::ops::Index;

/// Fetches, operations, feeds and options that a hook adds to a run (S-116). They become part of the user's own run,
/// in the same execution (S-120, S-121).
///
/// Each [`before_run`](crate::SessionRunHook::before_run) creates a new value. Up to four fetches and two operations need
/// no allocation.
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
/// A tensor of another graph, or one with a build error, is reported together with the hook's name when the run is
/// assembled.
#[derive(Clone, Debug, Default)]
#[must_use = "return it from `before_run`"]
pub struct SessionRunArgs {
    fetches: SmallVec<[Endpoint; 4]>,
    targets: SmallVec<[OpId; 2]>,
    /// Not inline: few hooks feed, and the arguments are moved in every step.
    feeds: Vec<(Endpoint, Tensor)>,
    places: PositionIndex<Endpoint>,
    options: Option<Box<RunOptions>>,
    wants_metadata: bool,
    /// The graph of all endpoints, which is compared with the session's.
    graph: Option<GraphId>,
    /// The first endpoint or operation that cannot run.
    build_error: Option<Error>,
}

impl SessionRunArgs {
    /// Creates arguments that add nothing.
    ///
    /// ```
    /// use hooks::SessionRunArgs;
    /// let args = SessionRunArgs::new();
    /// assert!(args.is_empty());
    /// ```
    #[inline]
    pub fn new() -> SessionRunArgs {
        SessionRunArgs::default()
    }

    /// Fetches an output, or the value of a variable. The results come back in the order of these calls. An output that
    /// is fetched twice is evaluated once and returned twice.
    #[inline]
    pub fn fetch(mut self, output: &(impl AsOutput + ?Sized)) -> SessionRunArgs {
        let output = output.as_output();
        // The setters return `self` rather than a `Result`, so that a hook can chain them. The error is
        // kept, and `check` returns it when the session assembles the run, where the hook's name is
        // known.
        self.belongs(output.operation());
        self.fetches.push(output.endpoint());
        self
    }

    /// Fetches several tensors, each as [`fetch`](SessionRunArgs::fetch) does.
    ///
    /// ```
    /// use hooks::SessionRunArgs;
    /// # use session_core::{DType, Graph, OutputInfo, PartialShape};
    /// # let graph = Graph::new();
    /// # let info = || OutputInfo { dtype: DType::Float32, shape: PartialShape::scalar(), is_ref: false };
    /// # let loss = graph.undefined_op("Loss").described_output(info()).finish_output();
    /// # let accuracy = graph.undefined_op("Accuracy").described_output(info()).finish_output();
    /// let args = SessionRunArgs::new().fetch_all(&[loss, accuracy]);
    /// assert_eq!(args.fetches().len(), 2);
    /// ```
    #[inline]
    pub fn fetch_all<'a>(self, outputs: impl IntoIterator<Item = &'a Output>) -> SessionRunArgs {
        outputs.into_iter().fold(self, SessionRunArgs::fetch)
    }

    /// Runs an operation for its side effects. It adds no result.
    #[inline]
    pub fn target(mut self, operation: &Operation) -> SessionRunArgs {
        self.belongs(operation);
        self.targets.push(operation.id());
        self
    }

    /// Feeds a value. A second feed of the same output replaces the first. If the user or another hook feeds the output
    /// too, the run fails with an error that names both (S-128).
    ///
    /// ```
    /// use hooks::SessionRunArgs;
    /// # use session_core::{DType, Graph, OutputInfo, PartialShape};
    /// # let graph = Graph::new();
    /// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::scalar(), is_ref: false };
    /// # let rate = graph.undefined_op("Placeholder").described_output(info).finish_output();
    /// let args = SessionRunArgs::new().feed(&rate, 0.1f32).feed(&rate, 0.01f32);
    /// assert_eq!(args.feeds().len(), 1);
    /// assert_eq!(args.feeds()[0].1.value::<f32>()?, 0.01);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn feed(mut self, output: &(impl AsOutput + ?Sized), value: impl Into<Tensor>) -> SessionRunArgs {
        let output = output.as_output();
        let value = value.into();
        self.belongs(output.operation());
        if self.build_error.is_none() {
            self.build_error = session_core::check_value(output, &value).err();
        }
        let endpoint = output.endpoint();
        // Two feeds of one output within a hook are the hook's own decision: the later one wins. Only
        // feeds of different owners conflict, which the session detects when it merges the arguments.
        match self.places.find(endpoint, self.feeds.iter().map(|(known, _)| *known)) {
            Some(place) => self.feeds[place].1 = value,
            None => self.feeds.push((endpoint, value)),
        }
        self
    }

    /// Requests run options. They are merged with those of the user and of other hooks (S-130).
    ///
    /// ```
    /// use hooks::SessionRunArgs;
    /// use session_core::RunOptions;
    /// let args = SessionRunArgs::new().options(RunOptions::default());
    /// assert!(args.run_options().is_some());
    /// ```
    pub fn options(mut self, options: RunOptions) -> SessionRunArgs {
        self.options = Some(Box::new(options));
        self
    }

    /// Requests the run's metadata: its start, its duration and the time it waited. Without this request, and without a
    /// trace level or metadata requested by another caller, the metadata stays empty, because reading clocks costs time.
    ///
    /// ```
    /// use hooks::SessionRunArgs;
    /// assert!(!SessionRunArgs::new().wants_metadata());
    /// assert!(SessionRunArgs::new().with_metadata().wants_metadata());
    /// ```
    pub fn with_metadata(mut self) -> SessionRunArgs {
        self.wants_metadata = true;
        self
    }

    #[inline]
    fn belongs(&mut self, operation: &Operation) {
        let known = *self.graph.get_or_insert(operation.graph_id());
        if known != operation.graph_id() || operation.error().is_some() {
            self.record_error(operation);
        }
    }

    // Formatting and cloning an error would otherwise be inlined into `fetch` and `target`, which run in
    // every step.
    #[cold]
    fn record_error(&mut self, operation: &Operation) {
        // The first error is kept: later ones are often its consequences.
        self.build_error.get_or_insert_with(|| match operation.error() {
            Some(error) => error.clone(),
            None => foreign(operation.name()),
        });
    }

    /// Returns the outputs to deliver, in the order of their requests.
    #[must_use]
    #[inline]
    pub fn fetches(&self) -> &[Endpoint] {
        &self.fetches
    }

    /// Returns the operations to run.
    #[must_use]
    #[inline]
    pub fn targets(&self) -> &[OpId] {
        &self.targets
    }

    /// Returns the feeds, one for each output.
    #[must_use]
    #[inline]
    pub fn feeds(&self) -> &[(Endpoint, Tensor)] {
        &self.feeds
    }

    /// Returns the options, if any were requested.
    #[must_use]
    #[inline]
    pub fn run_options(&self) -> Option<&RunOptions> {
        self.options.as_deref()
    }

    /// Returns true if metadata was requested.
    #[must_use]
    #[inline]
    pub fn wants_metadata(&self) -> bool {
        self.wants_metadata
    }

    /// Returns true if a run gains nothing from these arguments.
    ///
    /// ```
    /// use hooks::SessionRunArgs;
    /// assert!(SessionRunArgs::new().is_empty());
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        // `graph` and `build_error` are not compared: they are set only together with an element.
        self.fetches.is_empty()
            && self.targets.is_empty()
            && self.feeds.is_empty()
            && self.options.is_none()
            && !self.wants_metadata
    }

    /// Checks that every element belongs to this graph and has no build error.
    ///
    /// # Errors
    /// Returns the error of the first element that fails the check (S-36, S-40, S-43).
    #[inline]
    pub fn check(&self, graph: GraphId) -> Result<()> {
        if let Some(build_error) = &self.build_error {
            return Err(build_error.clone());
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

/// Results of one hook's own fetches, and how the run was executed (S-118).
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
    /// The position of each result in `fetched`; `None` if the results are in order.
    positions: Option<&'a [u32]>,
    options: &'a RunOptions,
    metadata: &'a RunMetadata,
}

impl<'a> SessionRunValues<'a> {
    /// Creates the values of a hook whose results are at `positions` of the fetched tensors.
    ///
    /// For code that drives hooks. A hook receives one.
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

    /// Creates the values of a hook that owns all fetched tensors, in order. For tests of hooks.
    #[must_use]
    pub fn all(
        fetched: &'a [Tensor],
        options: &'a RunOptions,
        metadata: &'a RunMetadata,
    ) -> SessionRunValues<'a> {
        SessionRunValues { fetched, positions: None, options, metadata }
    }

    /// Returns the number of results, which is the number of the hook's fetches.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.positions.map_or(self.fetched.len(), <[u32]>::len)
    }

    /// Returns true if the hook fetched nothing.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the result of the hook's fetch number `index`, or `None` if the hook fetched fewer tensors.
    #[must_use]
    #[inline]
    pub fn get(&self, index: usize) -> Option<&'a Tensor> {
        match self.positions {
            Some(positions) => positions.get(index).and_then(|&position| self.fetched.get(position as usize)),
            None => self.fetched.get(index),
        }
    }

    /// Iterates over the results in the order of the hook's fetches.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a Tensor> + use<'a> {
        let values = *self;
        (0..self.len())
            .map(move |index| &values.fetched[values.positions.map_or(index, |p| p[index] as usize)])
    }

    /// Returns the options of the run, merged from those of the user and of all hooks.
    #[must_use]
    #[inline]
    pub fn options(&self) -> &'a RunOptions {
        self.options
    }

    /// Returns the run's metadata, which is the user's own metadata object if there was one. It is empty unless a caller
    /// requested it (see [`SessionRunArgs::with_metadata`]).
    #[must_use]
    #[inline]
    pub fn metadata(&self) -> &'a RunMetadata {
        self.metadata
    }
}

impl Index<usize> for SessionRunValues<'_> {
    type Output = Tensor;

    /// Returns the result of the hook's fetch number `index`.
    ///
    /// # Panics
    /// Panics if the hook fetched fewer tensors.
    #[inline]
    fn index(&self, index: usize) -> &Tensor {
        match self.positions {
            Some(positions) => &self.fetched[positions[index] as usize],
            None => &self.fetched[index],
        }
    }
}
