//! Values that a run is given in the place of computed ones.

use crate::{AsOutput, Endpoint, Error, Graph, GraphMember, Output, Places, Result, Variable};
use smallvec::SmallVec;
use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;
use tensor::Tensor;

/// Feeds of a run: `()` for none, or pairs of what is fed (an [`Output`], a [`Variable`], or a name `"x:0"`) and a
/// value (anything that converts into a [`Tensor`]) in an array, slice, `Vec`, tuple or map.
///
/// ```ignore
/// session.run(&train_op, [(&x, images), (&y, labels)])?;
/// session.run(&train_op, ((&x, vec![1.0f32, 2.0]), (&keep, 0.5f32)))?; // values of different types
/// session.run(&train_op, FeedDict::new().feed(&x, vec![1.0f32, 2.0]).feed("labels:0", [1i64, 0]))?;
/// ```
///
/// Values of one array, `Vec` or map have one Rust type; for values of different types use a tuple of pairs, or a
/// [`FeedDict`](crate::FeedDict), which is also what to fill in a loop.
///
/// Dtype and known sizes are checked (S-43). The same output given twice takes the later value (S-46).
pub trait Feeds {
    /// Adds the feeds to the list.
    ///
    /// # Errors
    /// As [`FeedList::push`].
    fn collect(self, list: &mut FeedList<'_>) -> Result<()>;
}

/// What names an output in a feed.
pub trait FeedKey {
    /// The output in this graph.
    ///
    /// # Errors
    /// For a name that the graph does not have (S-40).
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

/// The feeds of one run, checked.
#[derive(Debug)]
pub struct FeedList<'g> {
    graph: &'g Graph,
    feeds: SmallVec<[(Endpoint, Tensor); 4]>,
    places: Places<Endpoint>,
}

impl<'g> FeedList<'g> {
    /// An empty list for a graph.
    #[must_use]
    pub fn new(graph: &'g Graph) -> FeedList<'g> {
        FeedList { graph, feeds: SmallVec::new(), places: Places::default() }
    }

    /// The feeds, one for each output.
    #[must_use]
    pub fn feeds(&self) -> &[(Endpoint, Tensor)] {
        &self.feeds
    }

    /// Adds a feed, in the place of an earlier one for the same output.
    ///
    /// # Errors
    /// An output of another graph or an unknown name (S-40), a wrong dtype, a shape that contradicts the known
    /// one (S-43), an output that may not be fed (S-45).
    pub fn push(&mut self, key: &(impl FeedKey + ?Sized), value: Tensor) -> Result<()> {
        let output = key.resolve(self.graph)?;
        check_key(self.graph, &output)?;
        check_value(&output, &value)?;
        let endpoint = output.endpoint();
        match self.places.find(endpoint, self.feeds.iter().map(|(known, _)| *known)) {
            Some(place) => self.feeds[place].1 = value,
            None => self.feeds.push((endpoint, value)),
        }
        Ok(())
    }

    /// Whether an output is fed.
    #[must_use]
    pub fn contains(&self, endpoint: Endpoint) -> bool {
        self.feeds.iter().any(|(known, _)| *known == endpoint)
    }
}

/// Checks that an output may be fed in runs of this graph.
pub(crate) fn check_key(graph: &Graph, output: &Output) -> Result<()> {
    output.check_in(graph).map_err(|error| match output.operation().error() {
        Some(_) => error,
        None => Error::type_mismatch(format!(
            "cannot interpret feed key '{}' as Tensor: {}",
            output.name(),
            error.message()
        )),
    })?;
    if !graph.is_feedable(output) {
        return Err(Error::value(format!("tensor '{}' may not be fed", output.name())));
    }
    Ok(())
}

/// Checks a value against what is known of the output it stands for.
///
/// # Errors
/// A wrong dtype or a shape that contradicts the known one, naming the output, expected and found.
pub fn check_value(output: &Output, value: &Tensor) -> Result<()> {
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
