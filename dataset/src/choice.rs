//! Elements that are chosen among several datasets.

use crate::Dataset;
use crate::Remainder;
use crate::op::{invalid, op};
use ops::{array, math};
use session_core::{AsOutput, Error, Graph, Output, Tensor};

impl Dataset {
    /// Returns elements of these datasets; `choice`, a dataset of `int64` numbers, determines the dataset of each.
    ///
    /// ```
    /// # use dataset::{Compression, Dataset, Iterator, Remainder};
    /// # use session_core::{DType, Graph, PartialShape};
    /// # let graph = Graph::new();
    /// # let numbers = Dataset::range(&graph, 0, 10, 1);
    /// let hundreds = Dataset::range(&graph, 100, 110, 1);
    /// let turns = Dataset::range(&graph, 0, 2, 1).repeat(None);
    /// let mixed = Dataset::choose_from_datasets(&[&numbers, &hundreds], &turns); // 0, 100, 1, 101 ...
    /// # let _ = mixed;
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn choose_from_datasets(datasets: &[&Dataset], choice: &Dataset) -> Dataset {
        const OP: &str = "DirectedInterleaveDataset";
        let fail = |text: &str| invalid(&choice.graph(), OP, choice.spec.clone(), Error::value(text));
        let Some((first, others)) = datasets.split_first() else {
            return fail("there is no dataset to choose elements from");
        };
        // Shapes that differ become unknown, but there is no such thing for dtypes.
        if others.iter().any(|other| other.spec.dtypes() != first.spec.dtypes()) {
            return fail("datasets among which elements are chosen have components of the same dtypes");
        }
        let spec = others.iter().fold(first.spec.clone(), |spec, other| spec.relaxed(&other.spec));
        let variants: Vec<Output> = datasets.iter().map(|dataset| dataset.as_output().clone()).collect();
        Dataset::described(op(&choice.graph(), OP).input(choice).input_list(&variants), spec)
    }

    /// Returns elements of these datasets, each drawn at random from one of them: in proportion to their weights, or from each
    /// as often. A dataset of weight 0 is left out. At the end of one dataset the others continue. With equal seeds
    /// the order is TensorFlow's.
    ///
    /// ```
    /// use dataset::Dataset;
    /// use session_core::Graph;
    ///
    /// let graph = Graph::new();
    /// let (common, rare) = (Dataset::range(&graph, 0, 1000, 1), Dataset::range(&graph, 1000, 1010, 1));
    /// let mixed = Dataset::sample_from_datasets(&[&common, &rare.repeat(None)], Some(&[0.9, 0.1]), Some(1));
    /// assert_eq!(mixed.variant().operation().op_type(), "DirectedInterleaveDataset");
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn sample_from_datasets(
        datasets: &[&Dataset],
        weights: Option<&[f32]>,
        seed: Option<i64>,
    ) -> Dataset {
        // Without datasets there is no graph to record the error in.
        let Some(first) = datasets.first() else {
            return Dataset::choose_from_datasets(datasets, &Dataset::random(&Graph::new(), seed));
        };
        let graph = first.graph();
        let Some(weights) = weights else {
            // As in TensorFlow, these logits are made in the function, and those of weights outside of it.
            let ones = Tensor::from(vec![1.0f32; datasets.len()]);
            return Dataset::sampled(datasets, seed, move |body| {
                array::expand_dims(array::constant(body, ones), 0)
            });
        };
        if weights.len() != datasets.len() {
            let text = format!("{} weights for {} datasets", weights.len(), datasets.len());
            return invalid(&graph, "DirectedInterleaveDataset", first.spec.clone(), Error::value(text));
        }
        if let Some(weight) = weights.iter().find(|weight| !weight.is_finite() || **weight < 0.0) {
            let text = format!("a weight of a dataset is a finite number that is not negative, not {weight}");
            return invalid(&graph, "DirectedInterleaveDataset", first.spec.clone(), Error::value(text));
        }
        // The logarithm of 0 is not finite.
        let (datasets, weights): (Vec<&Dataset>, Vec<f32>) =
            datasets.iter().zip(weights).filter(|&(_, &weight)| weight > 0.0).unzip();
        // All weights are 0: no elements, of the components of the first dataset.
        if datasets.is_empty() {
            return first.take(0);
        }
        let logits = array::expand_dims(math::log(array::constant(&graph, Tensor::from(weights))), 0);
        Dataset::sampled(&datasets, seed, move |_| logits)
    }

    /// Elements of datasets that are drawn by the logarithms of their weights.
    #[track_caller]
    fn sampled(datasets: &[&Dataset], seed: Option<i64>, logits: impl FnOnce(&Graph) -> Output) -> Dataset {
        // There is nothing to choose, and no random number to draw.
        if let [single] = datasets {
            return (*single).clone();
        }
        let graph = datasets.first().map_or_else(Graph::new, |first| first.graph());
        // A stateless draw with two random numbers as its seeds, so that the position of the random dataset
        // is all there is to save.
        let choice = Dataset::random(&graph, seed).batch(2, Remainder::Keep).map(|body, words| {
            let drawn = op(body, "StatelessMultinomial").input(logits(body)).constant(Tensor::scalar(1i32));
            vec![array::squeeze(drawn.input(&words[0]).finish_output(), [0, 1])]
        });
        Dataset::choose_from_datasets(datasets, &choice)
    }
}
