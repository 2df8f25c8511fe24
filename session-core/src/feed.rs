//! Feeds: values that replace outputs during a run.

use crate::{AsOutput, Endpoint, Error, Graph, GraphMember, Output, PositionIndex, Result, Variable};
use smallvec::SmallVec;
use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;
use tensor::Tensor;

/// The feeds of a run: `()` for none, or pairs of a key and a value in an array, slice, `Vec`, tuple, or map.
/// A key is an [`Output`], a [`Variable`], or a name such as `"x:0"`; a value is anything that converts into
/// a [`Tensor`].
///
/// ```
/// use session_core::mock::MockSession;
/// use session_core::{FeedDict, SessionExt};
/// # use session_core::{DType, Graph, OutputInfo, PartialShape};
/// let graph = Graph::new();
/// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::from([Some(2)]), is_ref: false };
/// # let x = graph.undefined_op("Placeholder").name("x").described_output(info).finish_output();
/// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::from([Some(2)]), is_ref: false };
/// # let keep = graph.undefined_op("Placeholder").name("keep").described_output(info).finish_output();
/// let session = MockSession::new(&graph);
/// session.run((), [(&x, [1.0f32, 2.0])])?;
/// session.run((), ((&x, [1.0f32, 2.0]), ("keep:0", [0.5f32, 0.5])))?; // values of different types
/// session.run((), FeedDict::new().feed(&x, [1.0f32, 2.0]).feed(&keep, [0.5f32, 0.5]))?;
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// The values of one array, `Vec`, or map have the same Rust type. For values of different types, use a tuple
/// of pairs or a [`FeedDict`](crate::FeedDict), which can also be filled in a loop.
///
/// Dtypes and known dimensions are checked (S-43). If an output is fed twice, the later value counts (S-46).
pub trait Feeds {
    /// Adds the feeds to the list.
    ///
    /// # Errors
    /// As [`FeedList::push`].
    fn collect(self, list: &mut FeedList<'_>) -> Result<()>;
}

/// A key that identifies an output in a feed.
pub trait FeedKey {
    /// Returns the output of this graph that the key names.
    ///
    /// # Errors
    /// Fails for a name that the graph does not have (S-40).
    fn resolve(&self, graph: &Graph) -> Result<Output>;
}

impl FeedKey for Output {
    fn resolve(&self, _: &Graph) -> Result<Output> {
        Ok(self.clone())
    }
}

impl FeedKey for Variable {
    fn resolve(&self, _: &Graph) -> Result<Output> {
        Ok(self.as_output().clone())
    }
}

impl FeedKey for str {
    fn resolve(&self, graph: &Graph) -> Result<Output> {
        // TensorFlow reports an unknown key as a type error.
        graph.output(self).map_err(|error| {
            Error::type_mismatch(format!("cannot interpret feed key '{self}' as Tensor: {}", error.message()))
        })
    }
}

impl FeedKey for String {
    fn resolve(&self, graph: &Graph) -> Result<Output> {
        self.as_str().resolve(graph)
    }
}

impl<K: FeedKey + ?Sized> FeedKey for &K {
    fn resolve(&self, graph: &Graph) -> Result<Output> {
        (**self).resolve(graph)
    }
}

/// The checked feeds of one run.
///
/// ```
/// use session_core::FeedList;
/// # use session_core::{DType, Graph, OutputInfo, PartialShape};
/// let graph = Graph::new();
/// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::from([Some(2)]), is_ref: false };
/// # let x = graph.undefined_op("Placeholder").name("x").described_output(info).finish_output();
/// let mut feeds = FeedList::new(&graph);
/// feeds.push("x:0", [1.0f32, 2.0].into())?;
/// assert!(feeds.contains(x.endpoint()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FeedList<'g> {
    graph: &'g Graph,
    feeds: SmallVec<[(Endpoint, Tensor); 4]>,
    places: PositionIndex<Endpoint>,
}

impl<'g> FeedList<'g> {
    /// Creates an empty list for a graph.
    #[must_use]
    pub fn new(graph: &'g Graph) -> FeedList<'g> {
        FeedList { graph, feeds: SmallVec::new(), places: PositionIndex::default() }
    }

    /// Returns the feeds, one per output.
    #[must_use]
    pub fn feeds(&self) -> &[(Endpoint, Tensor)] {
        &self.feeds
    }

    /// Adds a feed. It replaces an earlier one for the same output.
    ///
    /// ```
    /// use session_core::FeedList;
    /// # use session_core::{DType, Graph, OutputInfo, PartialShape};
    /// let graph = Graph::new();
    /// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::from([Some(2)]), is_ref: false };
    /// # let x = graph.undefined_op("Placeholder").name("x").described_output(info).finish_output();
    /// let mut feeds = FeedList::new(&graph);
    /// assert!(feeds.push(&x, [1.0f32, 2.0].into()).is_ok());
    /// assert!(feeds.push(&x, [1.0f32, 2.0, 3.0].into()).is_err()); // wrong shape
    /// assert!(feeds.push("y:0", 1.0f32.into()).is_err()); // unknown name
    /// ```
    ///
    /// # Errors
    /// Fails for an output of another graph or an unknown name (S-40), a wrong dtype, a shape that
    /// contradicts the known one (S-43), and an output that must not be fed (S-45).
    pub fn push(&mut self, key: &(impl FeedKey + ?Sized), value: Tensor) -> Result<()> {
        let output = key.resolve(self.graph)?;
        check_key(self.graph, &output)?;
        check_value(&output, &value)?;
        let endpoint = output.endpoint();
        // The later value counts, as in a dictionary (S-46).
        match self.places.find(endpoint, self.feeds.iter().map(|(known, _)| *known)) {
            Some(place) => self.feeds[place].1 = value,
            None => self.feeds.push((endpoint, value)),
        }
        Ok(())
    }

    /// Returns true if an output is fed.
    #[must_use]
    pub fn contains(&self, endpoint: Endpoint) -> bool {
        self.feeds.iter().any(|(known, _)| *known == endpoint)
    }
}

/// Checks that an output may be fed in runs of this graph.
pub(crate) fn check_key(graph: &Graph, output: &Output) -> Result<()> {
    output.check_belongs_to(graph).map_err(|error| match output.operation().error() {
        // An output that could not be created explains itself better than the membership check does.
        Some(_) => error,
        None => Error::type_mismatch(format!(
            "cannot interpret feed key '{}' as Tensor: {}",
            output.name(),
            error.message()
        )),
    })?;
    if !graph.is_feedable(output) {
        // TensorFlow's wording, which programs may match.
        return Err(Error::value(format!("tensor '{}' may not be fed", output.name())));
    }
    Ok(())
}

/// Checks a value against the dtype and known shape of the output that it replaces.
///
/// ```
/// use session_core::check_value;
/// # use session_core::{DType, Graph, OutputInfo, PartialShape};
/// let graph = Graph::new();
/// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::from([Some(2)]), is_ref: false };
/// # let x = graph.undefined_op("Placeholder").name("x").described_output(info).finish_output();
/// assert!(check_value(&x, &[1.0f32, 2.0].into()).is_ok());
/// assert!(check_value(&x, &[1i64, 2].into()).is_err());
/// ```
///
/// # Errors
/// Fails for a wrong dtype or a shape that contradicts the known one. The error names the output, the
/// expected and the actual value.
pub fn check_value(output: &Output, value: &Tensor) -> Result<()> {
    // Checked here rather than in the engine, where the error would appear in the middle of the step without
    // the caller's key.
    if value.dtype() != output.dtype() {
        let text = format!(
            "cannot feed value of dtype {} for '{}', which is {}",
            value.dtype(),
            output.name(),
            output.dtype()
        );
        return Err(output.operation().place(Error::type_mismatch(text)));
    }
    if !output.shape().is_compatible_with(value.shape()) {
        let text = format!(
            "Cannot feed value of shape {} for '{}', which has shape {}",
            value.shape(),
            output.name(),
            output.shape()
        );
        return Err(output.operation().place(Error::value(text)));
    }
    Ok(())
}

impl Feeds for () {
    fn collect(self, _: &mut FeedList<'_>) -> Result<()> {
        Ok(())
    }
}

impl<K: FeedKey, V: Into<Tensor>, const N: usize> Feeds for [(K, V); N] {
    fn collect(self, list: &mut FeedList<'_>) -> Result<()> {
        self.into_iter().try_for_each(|(key, value)| list.push(&key, value.into()))
    }
}

impl<K: FeedKey, V: Into<Tensor>> Feeds for Vec<(K, V)> {
    fn collect(self, list: &mut FeedList<'_>) -> Result<()> {
        self.into_iter().try_for_each(|(key, value)| list.push(&key, value.into()))
    }
}

impl<K: FeedKey, V: Clone + Into<Tensor>> Feeds for &[(K, V)] {
    fn collect(self, list: &mut FeedList<'_>) -> Result<()> {
        self.iter().try_for_each(|(key, value)| list.push(key, value.clone().into()))
    }
}

impl<K: FeedKey, V: Clone + Into<Tensor>> Feeds for &Vec<(K, V)> {
    fn collect(self, list: &mut FeedList<'_>) -> Result<()> {
        self.as_slice().collect(list)
    }
}

impl<K: FeedKey, V: Into<Tensor>, S: BuildHasher> Feeds for HashMap<K, V, S> {
    fn collect(self, list: &mut FeedList<'_>) -> Result<()> {
        self.into_iter().try_for_each(|(key, value)| list.push(&key, value.into()))
    }
}

impl<K: FeedKey, V: Into<Tensor>> Feeds for BTreeMap<K, V> {
    fn collect(self, list: &mut FeedList<'_>) -> Result<()> {
        self.into_iter().try_for_each(|(key, value)| list.push(&key, value.into()))
    }
}

impl<F: Feeds> Feeds for Option<F> {
    fn collect(self, list: &mut FeedList<'_>) -> Result<()> {
        self.map_or(Ok(()), |feeds| feeds.collect(list))
    }
}

macro_rules! tuples {
    ($(($($key:ident $value:ident $index:tt),+))+) => {$(
        impl<$($key: FeedKey, $value: Into<Tensor>),+> Feeds for ($(($key, $value),)+) {
            fn collect(self, list: &mut FeedList<'_>) -> Result<()> {
                $(list.push(&self.$index.0, self.$index.1.into())?;)+
                Ok(())
            }
        }
    )+};
}

tuples! {
    (K1 V1 0)
    (K1 V1 0, K2 V2 1)
    (K1 V1 0, K2 V2 1, K3 V3 2)
    (K1 V1 0, K2 V2 1, K3 V3 2, K4 V4 3)
    (K1 V1 0, K2 V2 1, K3 V3 2, K4 V4 3, K5 V5 4)
    (K1 V1 0, K2 V2 1, K3 V3 2, K4 V4 3, K5 V5 4, K6 V6 5)
    (K1 V1 0, K2 V2 1, K3 V3 2, K4 V4 3, K5 V5 4, K6 V6 5, K7 V7 6)
    (K1 V1 0, K2 V2 1, K3 V3 2, K4 V4 3, K5 V5 4, K6 V6 5, K7 V7 6, K8 V8 7)
}
