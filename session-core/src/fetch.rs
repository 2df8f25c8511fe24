//! Fetches: single outputs and operations, or any nesting of them.

use crate::{Endpoint, Error, Graph, GraphMember, OpId, Operation, Output, PositionIndex, Result, Variable};
use smallvec::SmallVec;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hash};
use tensor::Tensor;

/// A value that can be fetched, with the type of the result (S-30, S-31). An [`Output`] or [`Variable`]
/// yields a [`Tensor`], an [`Operation`] is run and yields `()`, and a `&str` names either (`"c:0"` or `"c"`)
/// and yields an `Option<Tensor>`. Tuples, `Vec`, slices, arrays, maps, and `Option` nest freely.
///
/// ```
/// use session_core::SessionExt;
/// use session_core::mock::MockSession;
/// # use session_core::{DType, Graph, OutputInfo, PartialShape};
/// let graph = Graph::new();
/// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::from([Some(2)]), is_ref: false };
/// # let loss = graph.undefined_op("Placeholder").name("loss").described_output(info).finish_output();
/// let train_op = graph.undefined_op("NoOp").name("train").finish();
/// let session = MockSession::new(&graph);
/// let (value, ()) = session.run((&loss, &train_op), ())?;
/// assert_eq!(value.value::<f32>()?, 0.0); // the mock session returns zeros
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// The same leaf may occur several times; it is evaluated once (S-33). Empty containers yield empty results
/// (S-32).
pub trait Fetch {
    /// The type of the result.
    type Value;

    /// Lists the leaves in the order in which [`collect`](Fetch::collect) takes their values.
    ///
    /// # Errors
    /// Fails for a leaf that this graph does not have or that must not be fetched.
    fn expand(&self, list: &mut FetchList<'_>) -> Result<()>;

    /// Takes the values of the leaves that [`expand`](Fetch::expand) listed.
    fn collect(&self, values: &mut FetchValues<'_>) -> Self::Value;
}

/// The leaves of a fetch: the distinct outputs to deliver, the operations to run, and the output of each
/// leaf.
#[derive(Debug)]
pub struct FetchList<'g> {
    graph: &'g Graph,
    fetches: SmallVec<[Endpoint; 8]>,
    targets: SmallVec<[OpId; 4]>,
    /// The position in `fetches` of each tensor leaf. Operation leaves have no entry.
    leaves: SmallVec<[u32; 8]>,
    fetch_places: PositionIndex<Endpoint>,
    target_places: PositionIndex<OpId>,
}

impl<'g> FetchList<'g> {
    /// Creates an empty list for a graph.
    ///
    /// ```
    /// use session_core::{Fetch, FetchList};
    /// # use session_core::{DType, Graph, OutputInfo, PartialShape};
    /// let graph = Graph::new();
    /// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::from([Some(2)]), is_ref: false };
    /// # let x = graph.undefined_op("Placeholder").name("x").described_output(info).finish_output();
    /// let mut list = FetchList::new(&graph);
    /// (&x, &x).expand(&mut list)?;
    /// assert_eq!(list.fetches().len(), 1); // distinct outputs
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn new(graph: &'g Graph) -> FetchList<'g> {
        FetchList {
            graph,
            fetches: SmallVec::new(),
            targets: SmallVec::new(),
            leaves: SmallVec::new(),
            fetch_places: PositionIndex::default(),
            target_places: PositionIndex::default(),
        }
    }

    /// Returns the graph in which names are resolved.
    #[must_use]
    pub fn graph(&self) -> &'g Graph {
        self.graph
    }

    /// Returns the distinct outputs in the order in which an engine delivers them.
    ///
    /// ```
    /// use session_core::{Fetch, FetchList};
    /// # use session_core::{DType, Graph, OutputInfo, PartialShape};
    /// let graph = Graph::new();
    /// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::from([Some(2)]), is_ref: false };
    /// # let x = graph.undefined_op("Placeholder").name("x").described_output(info).finish_output();
    /// let mut list = FetchList::new(&graph);
    /// [&x, &x].expand(&mut list)?;
    /// assert_eq!(list.fetches(), [x.endpoint()]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn fetches(&self) -> &[Endpoint] {
        &self.fetches
    }

    /// Returns the operations to run for their effect, each once.
    #[must_use]
    pub fn targets(&self) -> &[OpId] {
        &self.targets
    }

    /// Adds an output as a leaf.
    ///
    /// ```
    /// use session_core::FetchList;
    /// # use session_core::{DType, Graph, OutputInfo, PartialShape};
    /// let graph = Graph::new();
    /// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::from([Some(2)]), is_ref: false };
    /// # let x = graph.undefined_op("Placeholder").name("x").described_output(info).finish_output();
    /// let mut list = FetchList::new(&graph);
    /// list.push_output(&x)?;
    /// assert!(FetchList::new(&Graph::new()).push_output(&x).is_err()); // another graph
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Fails if the output belongs to another graph (S-36), could not be created, or must not be fetched
    /// (S-37).
    pub fn push_output(&mut self, output: &Output) -> Result<()> {
        self.check(output.operation())?;
        let endpoint = output.endpoint();
        // Leaves are separate from fetches, so that a tensor that is fetched twice is evaluated once.
        let position = self.position(endpoint);
        self.leaves.push(position);
        Ok(())
    }

    /// Adds an operation as a leaf.
    ///
    /// ```
    /// use session_core::{FetchList, Graph};
    /// let graph = Graph::new();
    /// let init = graph.undefined_op("NoOp").finish();
    /// let mut list = FetchList::new(&graph);
    /// list.push_operation(&init)?;
    /// assert_eq!(list.targets(), [init.id()]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`push_output`](FetchList::push_output).
    pub fn push_operation(&mut self, operation: &Operation) -> Result<()> {
        self.check(operation)?;
        let id = operation.id();
        // An operation that is run twice in one step has its effect once (S-33).
        if self.target_places.find(id, self.targets.iter().copied()).is_none() {
            self.targets.push(id);
        }
        Ok(())
    }

    fn check(&self, operation: &Operation) -> Result<()> {
        // An element that could not be created explains itself better than the membership check does.
        operation.check_belongs_to(self.graph).map_err(|error| match operation.error() {
            Some(_) => error,
            None => Error::value(format!(
                "'{}' cannot be interpreted as a Tensor or Operation of this graph: {}",
                operation.name(),
                error.message()
            )),
        })?;
        if !self.graph.is_fetchable(operation) {
            return Err(Error::value(format!(
                "operation '{}' has been marked as not fetchable",
                operation.name()
            )));
        }
        Ok(())
    }

    fn position(&mut self, endpoint: Endpoint) -> u32 {
        let place = self.fetch_places.find(endpoint, self.fetches.iter().copied());
        place.unwrap_or_else(|| {
            self.fetches.push(endpoint);
            self.fetches.len() - 1
        }) as u32
    }

    /// Distributes the results of a run to the leaves.
    #[must_use]
    pub fn values<'a>(&'a self, results: &'a [Tensor]) -> FetchValues<'a> {
        FetchValues { leaves: &self.leaves, results, next: 0 }
    }

    /// Returns the number of tensor leaves so far. Together with [`values_from`](FetchList::values_from), it
    /// lets several fetches share one run.
    #[must_use]
    pub fn mark(&self) -> usize {
        self.leaves.len()
    }

    /// Distributes results as [`values`](FetchList::values) does, starting with the leaf at a mark.
    #[must_use]
    pub fn values_from<'a>(&'a self, mark: usize, results: &'a [Tensor]) -> FetchValues<'a> {
        FetchValues { leaves: &self.leaves, results, next: mark }
    }
}

/// The values of the leaves of a fetch, taken in the order in which the leaves were listed.
#[derive(Debug)]
pub struct FetchValues<'a> {
    leaves: &'a [u32],
    results: &'a [Tensor],
    next: usize,
}

impl FetchValues<'_> {
    /// Returns the value of the next tensor leaf.
    ///
    /// # Panics
    /// Panics if a [`Fetch`] takes more leaves than it listed.
    #[must_use]
    pub fn next_tensor(&mut self) -> Tensor {
        let position = self.leaves[self.next];
        self.next += 1;
        // A clone of a tensor shares its buffer.
        self.results[position as usize].clone()
    }
}

impl Fetch for Output {
    type Value = Tensor;
    fn expand(&self, list: &mut FetchList<'_>) -> Result<()> {
        list.push_output(self)
    }
    fn collect(&self, values: &mut FetchValues<'_>) -> Tensor {
        values.next_tensor()
    }
}

impl Fetch for Variable {
    type Value = Tensor;
    fn expand(&self, list: &mut FetchList<'_>) -> Result<()> {
        list.push_output(self.snapshot())
    }
    fn collect(&self, values: &mut FetchValues<'_>) -> Tensor {
        values.next_tensor()
    }
}

impl Fetch for Operation {
    type Value = ();
    fn expand(&self, list: &mut FetchList<'_>) -> Result<()> {
        list.push_operation(self)
    }
    fn collect(&self, _: &mut FetchValues<'_>) {}
}

impl Fetch for str {
    type Value = Option<Tensor>;
    fn expand(&self, list: &mut FetchList<'_>) -> Result<()> {
        // The colon alone decides, as in TensorFlow: names of operations cannot contain one.
        if self.contains(':') {
            let output = list.graph.output(self).map_err(unknown_name)?;
            list.push_output(&output)
        } else {
            let operation = list.graph.operation(self).map_err(unknown_name)?;
            list.push_operation(&operation)
        }
    }
    fn collect(&self, values: &mut FetchValues<'_>) -> Option<Tensor> {
        self.contains(':').then(|| values.next_tensor())
    }
}

/// Converts the error of an unknown name into a value error (S-36).
fn unknown_name(error: Error) -> Error {
    Error::value(format!("fetch cannot be interpreted as a Tensor: {}", error.message()))
}

impl Fetch for String {
    type Value = Option<Tensor>;
    fn expand(&self, list: &mut FetchList<'_>) -> Result<()> {
        self.as_str().expand(list)
    }
    fn collect(&self, values: &mut FetchValues<'_>) -> Option<Tensor> {
        self.as_str().collect(values)
    }
}

impl Fetch for () {
    type Value = ();
    fn expand(&self, _: &mut FetchList<'_>) -> Result<()> {
        Ok(())
    }
    fn collect(&self, _: &mut FetchValues<'_>) {}
}

impl<F: Fetch + ?Sized> Fetch for &F {
    type Value = F::Value;
    fn expand(&self, list: &mut FetchList<'_>) -> Result<()> {
        (**self).expand(list)
    }
    fn collect(&self, values: &mut FetchValues<'_>) -> F::Value {
        (**self).collect(values)
    }
}

impl<F: Fetch> Fetch for Option<F> {
    type Value = Option<F::Value>;
    fn expand(&self, list: &mut FetchList<'_>) -> Result<()> {
        self.as_ref().map_or(Ok(()), |fetch| fetch.expand(list))
    }
    fn collect(&self, values: &mut FetchValues<'_>) -> Self::Value {
        self.as_ref().map(|fetch| fetch.collect(values))
    }
}

impl<F: Fetch> Fetch for [F] {
    type Value = Vec<F::Value>;
    fn expand(&self, list: &mut FetchList<'_>) -> Result<()> {
        self.iter().try_for_each(|fetch| fetch.expand(list))
    }
    fn collect(&self, values: &mut FetchValues<'_>) -> Self::Value {
        self.iter().map(|fetch| fetch.collect(values)).collect()
    }
}

impl<F: Fetch> Fetch for Vec<F> {
    type Value = Vec<F::Value>;
    fn expand(&self, list: &mut FetchList<'_>) -> Result<()> {
        self.as_slice().expand(list)
    }
    fn collect(&self, values: &mut FetchValues<'_>) -> Self::Value {
        self.as_slice().collect(values)
    }
}

impl<F: Fetch, const N: usize> Fetch for [F; N] {
    type Value = [F::Value; N];
    fn expand(&self, list: &mut FetchList<'_>) -> Result<()> {
        self.as_slice().expand(list)
    }
    fn collect(&self, values: &mut FetchValues<'_>) -> Self::Value {
        std::array::from_fn(|i| self[i].collect(values))
    }
}

impl<K: Ord + Clone, F: Fetch> Fetch for BTreeMap<K, F> {
    type Value = BTreeMap<K, F::Value>;
    fn expand(&self, list: &mut FetchList<'_>) -> Result<()> {
        self.values().try_for_each(|fetch| fetch.expand(list))
    }
    fn collect(&self, values: &mut FetchValues<'_>) -> Self::Value {
        self.iter().map(|(key, fetch)| (key.clone(), fetch.collect(values))).collect()
    }
}

impl<K: Hash + Eq + Clone, F: Fetch, S: BuildHasher + Default> Fetch for HashMap<K, F, S> {
    type Value = HashMap<K, F::Value, S>;
    fn expand(&self, list: &mut FetchList<'_>) -> Result<()> {
        self.values().try_for_each(|fetch| fetch.expand(list))
    }
    fn collect(&self, values: &mut FetchValues<'_>) -> Self::Value {
        // An unmodified map is iterated in the same order each time.
        self.iter().map(|(key, fetch)| (key.clone(), fetch.collect(values))).collect()
    }
}

macro_rules! tuples {
    ($(($($name:ident $index:tt),+))+) => {$(
        impl<$($name: Fetch),+> Fetch for ($($name,)+) {
            type Value = ($($name::Value,)+);
            fn expand(&self, list: &mut FetchList<'_>) -> Result<()> {
                $(self.$index.expand(list)?;)+
                Ok(())
            }
            fn collect(&self, values: &mut FetchValues<'_>) -> Self::Value {
                ($(self.$index.collect(values),)+)
            }
        }
    )+};
}

tuples! {
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7)
}
