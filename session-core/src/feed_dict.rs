//! Feeds that are collected one by one.

use crate::{FeedKey, FeedList, Feeds, Graph, Output, Result, Variable};
use tensor::Tensor;

/// The feeds of one run, whose values may have different types: TensorFlow's `feed_dict`.
///
/// ```
/// use session_core::{DType, FeedDict, Graph, OutputInfo, PartialShape};
/// # let graph = Graph::new();
/// # let make = |name: &str, dtype| {
/// #     let info = OutputInfo { dtype, shape: PartialShape::unknown(), is_ref: false };
/// #     graph.named(name).undefined_op("Placeholder").described_output(info).finish_output()
/// # };
/// # let (x, labels) = (make("x", DType::Float32), make("labels", DType::Int64));
/// let mut feeds = FeedDict::new().feed(&x, vec![0.5f32, 1.5]).feed(&labels, [1i64, 0]);
/// feeds.insert("rate:0", 0.1f64); // by name, in several steps
/// assert_eq!(feeds.len(), 3);
/// // session.run(&train_op, &feeds)?;
/// ```
///
/// Keys are resolved, and dtypes and shapes checked, when a run uses it. If an output is fed twice, the later
/// value counts (S-46).
#[derive(Clone, Debug, Default)]
pub struct FeedDict {
    feeds: Vec<(FeedDictKey, Tensor)>,
}

/// A key of a [`FeedDict`]: an [`Output`], the value of a [`Variable`], or a name such as `"x:0"`. Created by
/// `into()`.
#[derive(Clone, Debug)]
pub struct FeedDictKey(Key);

#[derive(Clone, Debug)]
enum Key {
    Output(Output),
    Name(String),
}

impl From<Output> for FeedDictKey {
    fn from(output: Output) -> FeedDictKey {
        FeedDictKey(Key::Output(output))
    }
}

impl From<&Output> for FeedDictKey {
    fn from(output: &Output) -> FeedDictKey {
        output.clone().into()
    }
}

impl From<&Variable> for FeedDictKey {
    fn from(variable: &Variable) -> FeedDictKey {
        variable.snapshot().into()
    }
}

impl From<String> for FeedDictKey {
    fn from(name: String) -> FeedDictKey {
        FeedDictKey(Key::Name(name))
    }
}

impl From<&str> for FeedDictKey {
    fn from(name: &str) -> FeedDictKey {
        name.to_owned().into()
    }
}

impl FeedKey for FeedDictKey {
    fn resolve(&self, graph: &Graph) -> Result<Output> {
        match &self.0 {
            Key::Output(output) => output.resolve(graph),
            Key::Name(name) => name.resolve(graph),
        }
    }
}

impl FeedDict {
    /// Creates an empty dictionary.
    ///
    /// ```
    /// assert!(session_core::FeedDict::new().is_empty());
    /// ```
    #[must_use]
    pub fn new() -> FeedDict {
        FeedDict::default()
    }

    /// Adds a feed and returns the dictionary.
    ///
    /// ```
    /// use session_core::FeedDict;
    /// let feeds = FeedDict::new().feed("x:0", 1.0f32).feed("labels:0", [1i64, 0]);
    /// assert_eq!(feeds.len(), 2);
    /// ```
    #[must_use]
    pub fn feed(mut self, key: impl Into<FeedDictKey>, value: impl Into<Tensor>) -> FeedDict {
        self.insert(key, value);
        self
    }

    /// Adds a feed.
    ///
    /// ```
    /// use session_core::FeedDict;
    /// let mut feeds = FeedDict::new();
    /// feeds.insert("x:0", 1.0f32);
    /// assert!(!feeds.is_empty());
    /// ```
    pub fn insert(&mut self, key: impl Into<FeedDictKey>, value: impl Into<Tensor>) {
        // Not checked against earlier keys: a name and an output may be the same tensor, which only the graph
        // can tell.
        self.feeds.push((key.into(), value.into()));
    }

    /// Returns the number of feeds.
    ///
    /// ```
    /// use session_core::FeedDict;
    /// assert_eq!(FeedDict::new().feed("x:0", 1.0f32).len(), 1);
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.feeds.len()
    }

    /// Returns true if there are no feeds.
    ///
    /// ```
    /// assert!(session_core::FeedDict::new().is_empty());
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.feeds.is_empty()
    }
}

impl<K: Into<FeedDictKey>, V: Into<Tensor>> Extend<(K, V)> for FeedDict {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, feeds: I) {
        feeds.into_iter().for_each(|(key, value)| self.insert(key, value));
    }
}

impl<K: Into<FeedDictKey>, V: Into<Tensor>> FromIterator<(K, V)> for FeedDict {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(feeds: I) -> FeedDict {
        let mut dict = FeedDict::new();
        dict.extend(feeds);
        dict
    }
}

impl Feeds for FeedDict {
    fn collect(self, list: &mut FeedList<'_>) -> Result<()> {
        self.feeds.into_iter().try_for_each(|(key, value)| list.push(&key, value))
    }
}

impl Feeds for &FeedDict {
    fn collect(self, list: &mut FeedList<'_>) -> Result<()> {
        self.feeds.iter().try_for_each(|(key, value)| list.push(key, value.clone()))
    }
}
