//! Iterators, which yield the elements of datasets to steps.

use crate::Dataset;
use crate::elements::Spec;
use crate::op::{define_dataset, failed, op};
use session_core::keys::TABLE_INITIALIZERS;
use session_core::{AsOutput, DType, Error, Graph, Operation, Output, OutputInfo};

/// An iterator: each step that needs it takes the next element of a dataset.
#[derive(Clone, Debug)]
pub struct Iterator {
    resource: Output,
    spec: Spec,
    initializer: Option<Operation>,
}

/// An element that may be missing; see [`Iterator::get_next_as_optional`].
#[derive(Clone, Debug)]
pub struct Optional {
    variant: Output,
    spec: Spec,
}

impl Dataset {
    /// Creates an iterator whose [initializer](Iterator::initializer) restarts it at the first element. The initializer is in the
    /// collection `table_initializer`, so monitored sessions run it.
    ///
    /// ```
    /// # use dataset::{Compression, Dataset, Iterator, Remainder};
    /// # use session_core::{DType, Graph, PartialShape};
    /// # let graph = Graph::new();
    /// # let numbers = Dataset::range(&graph, 0, 10, 1);
    /// let iterator = numbers.batch(2, Remainder::Drop).make_initializable_iterator();
    /// assert_eq!(iterator.get_next()[0].shape().to_string(), "[2]");
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn make_initializable_iterator(&self) -> Iterator {
        let mut iterator = Iterator::from_structure(&self.graph(), self.components().to_vec());
        let initializer = iterator.make_initializer(self);
        // A graph that takes no more operations has recorded that already.
        let _ = self.graph().add_to_collection(&TABLE_INITIALIZERS, initializer.clone());
        iterator.initializer = Some(initializer);
        iterator
    }
}

impl Iterator {
    /// Makes an iterator over a dataset that a closure builds. Nothing needs to initialize it, and nothing can do so again.
    ///
    /// ```
    /// use dataset::{Dataset, Iterator};
    /// use session_core::Graph;
    ///
    /// let graph = Graph::new();
    /// let iterator = Iterator::one_shot(&graph, |graph| Dataset::range(graph, 0, 3, 1));
    /// assert_eq!(iterator.resource().operation().op_type(), "OneShotIterator");
    /// # graph.finalize().unwrap();
    /// ```
    ///
    /// The closure cannot use values of the outer graph; if it does, the error is recorded in the graph.
    #[must_use]
    #[track_caller]
    pub fn one_shot(graph: &Graph, build: impl FnOnce(&Graph) -> Dataset) -> Iterator {
        let (factory, spec) = define_dataset(graph, "dataset_factory", &[], |body, _| build(body));
        let spec = spec.unwrap_or_else(|| Spec(Vec::new()));
        let resource = match factory {
            Ok(factory) if factory.captures().is_empty() => {
                let builder = spec.describe(op(graph, "OneShotIterator"));
                builder.attr("dataset_factory", factory.attr()).finish_output()
            }
            Ok(factory) => {
                let used = factory.captures()[0].name();
                let text = format!(
                    "a one-shot iterator cannot use '{used}' of the graph around: make an initializable one"
                );
                failed(graph, "OneShotIterator", DType::Resource, Error::value(text))
            }
            Err(error) => failed(graph, "OneShotIterator", DType::Resource, error),
        };
        Iterator { resource, spec, initializer: None }
    }

    /// Creates an iterator over any dataset with these components: the one whose [initializer](Iterator::make_initializer) ran last.
    ///
    /// ```
    /// # use dataset::{Compression, Dataset, Iterator, Remainder};
    /// # use session_core::{DType, Graph, PartialShape};
    /// # let graph = Graph::new();
    /// # let numbers = Dataset::range(&graph, 0, 10, 1);
    /// let (train, test) = (numbers.repeat(None), numbers.take(3));
    /// let iterator = Iterator::from_structure(&graph, train.components().to_vec());
    /// let (start_training, start_testing) = (iterator.make_initializer(&train), iterator.make_initializer(&test));
    /// let x = iterator.get_next().remove(0);
    /// # let _ = (start_training, start_testing, x);
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn from_structure(graph: &Graph, components: Vec<OutputInfo>) -> Iterator {
        let spec = Spec(components);
        // With an empty name, the iterator has that of the operation in the session.
        let builder = op(graph, "IteratorV2").attr("shared_name", "").attr("container", "");
        let resource = spec.describe(builder).finish_output();
        Iterator { resource, spec, initializer: None }
    }

    /// Creates an iterator that is the one that the value of `string_handle` [names](Iterator::string_handle). A step that feeds one name
    /// trains, and a step that feeds another validates.
    ///
    /// ```
    /// use dataset::{Dataset, Iterator};
    /// use ops::array::placeholder;
    /// use session_core::{DType, Graph, PartialShape};
    ///
    /// let graph = Graph::new();
    /// let numbers = Dataset::range(&graph, 0, 10, 1);
    /// let train = numbers.repeat(None).make_initializable_iterator();
    /// let test = numbers.take(3).make_initializable_iterator();
    /// let (train, test) = (train.string_handle(), test.string_handle()); // their values are fed to `handle`
    ///
    /// let handle = placeholder(&graph.named("handle"), DType::String, PartialShape::scalar());
    /// let x = Iterator::from_string_handle(&handle, numbers.components().to_vec()).get_next().remove(0);
    /// assert_eq!(x.dtype(), DType::Int64);
    /// # let _ = (train, test);
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn from_string_handle(string_handle: &Output, components: Vec<OutputInfo>) -> Iterator {
        let spec = Spec(components);
        let builder = op(&string_handle.graph(), "IteratorFromStringHandleV2").input(string_handle);
        let resource = spec.describe(builder).finish_output();
        Iterator { resource, spec, initializer: None }
    }

    /// Returns an operation that restarts the iterator at the first element of a dataset. It is in the collection `table_initializer` only
    /// for an iterator's [own](Dataset::make_initializable_iterator) dataset.
    #[track_caller]
    pub fn make_initializer(&self, dataset: &Dataset) -> Operation {
        let graph = self.resource.graph();
        op(&graph, "MakeIterator").input(dataset).input(self).finish()
    }

    /// Returns the operation that restarts an [initializable](Dataset::make_initializable_iterator) iterator at its first element.
    #[must_use]
    pub fn initializer(&self) -> Option<&Operation> {
        self.initializer.as_ref()
    }

    /// Returns the handle of the iterator.
    #[must_use]
    pub fn resource(&self) -> &Output {
        &self.resource
    }

    /// Returns the dtypes of the components, and their shapes as far as they are known.
    #[must_use]
    pub fn components(&self) -> &[OutputInfo] {
        &self.spec.0
    }

    /// Returns the components of the next element. Each operation takes one element in each step that needs it: call this once, and use its
    /// outputs wherever they are needed.
    ///
    /// After the last element it fails with `OutOfRange`, which ends monitored loops cleanly.
    ///
    /// ```
    /// # use dataset::{Compression, Dataset, Iterator, Remainder};
    /// # use session_core::{DType, Graph, PartialShape};
    /// # let graph = Graph::new();
    /// # let numbers = Dataset::range(&graph, 0, 10, 1);
    /// let x = numbers.make_initializable_iterator().get_next().remove(0);
    /// let sum = &x + &x; // twice the same element
    /// # let _ = sum;
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn get_next(&self) -> Vec<Output> {
        let builder = op(&self.resource.graph(), "IteratorGetNext").input(self);
        self.spec.describe(builder).finish().outputs()
    }

    /// Returns the next element, which is empty after the last one instead of an error.
    ///
    /// ```
    /// # use dataset::{Compression, Dataset, Iterator, Remainder};
    /// # use session_core::{DType, Graph, PartialShape};
    /// # let graph = Graph::new();
    /// # let numbers = Dataset::range(&graph, 0, 10, 1);
    /// let element = numbers.make_initializable_iterator().get_next_as_optional();
    /// let (there, value) = (element.has_value(), element.get_value());
    /// assert_eq!((there.dtype(), value[0].dtype()), (DType::Bool, DType::Int64));
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn get_next_as_optional(&self) -> Optional {
        let builder = op(&self.resource.graph(), "IteratorGetNextAsOptional").input(self);
        Optional { variant: self.spec.describe(builder).finish_output(), spec: self.spec.clone() }
    }

    /// Returns a string that names the iterator within its session, for [`from_string_handle`](Iterator::from_string_handle).
    #[must_use]
    #[track_caller]
    pub fn string_handle(&self) -> Output {
        op(&self.resource.graph(), "IteratorToStringHandle").input(self).finish_output()
    }
}

impl Optional {
    /// Returns true, as a scalar of the graph, if there is an element.
    #[must_use]
    #[track_caller]
    pub fn has_value(&self) -> Output {
        op(&self.variant.graph(), "OptionalHasValue").input(&self.variant).finish_output()
    }

    /// Returns the components of the element. Without an element it fails when it runs.
    #[must_use]
    #[track_caller]
    pub fn get_value(&self) -> Vec<Output> {
        let builder = op(&self.variant.graph(), "OptionalGetValue").input(&self.variant);
        self.spec.describe(builder).finish().outputs()
    }
}

impl AsOutput for Iterator {
    fn as_output(&self) -> &Output {
        &self.resource
    }
}
