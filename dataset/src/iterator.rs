//! Iterators, which give the elements of datasets to steps.

use crate::Dataset;
use crate::elements::Spec;
use crate::op::{define_dataset, failed, op};
use session_core::keys::TABLE_INITIALIZERS;
use session_core::{AsOutput, DType, Error, Graph, Operation, Output, OutputInfo};

/// Gives the elements of a dataset to steps.
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
    /// Makes an iterator whose [initializer](Iterator::initializer) begins with the first element. The initializer is in the
    /// collection `table_initializer`: monitored sessions run it by themselves.
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

    /// Makes an iterator over whatever dataset of these components an [initializer](Iterator::make_initializer) is run for:
    /// one for training and one for validation.
    #[must_use]
    #[track_caller]
    pub fn from_structure(graph: &Graph, components: Vec<OutputInfo>) -> Iterator {
        let spec = Spec(components);
        let builder = op(graph, "IteratorV2").attr("shared_name", "").attr("container", "");
        let resource = spec.describe(builder).finish_output();
        Iterator { resource, spec, initializer: None }
    }

    /// Makes an iterator that is whichever the value of `string_handle` [names](Iterator::string_handle): fed with one or
    /// the other, a step trains or validates.
    #[must_use]
    #[track_caller]
    pub fn from_string_handle(string_handle: &Output, components: Vec<OutputInfo>) -> Iterator {
        let spec = Spec(components);
        let builder = op(&string_handle.graph(), "IteratorFromStringHandleV2").input(string_handle);
        let resource = spec.describe(builder).finish_output();
        Iterator { resource, spec, initializer: None }
    }

    /// Makes an operation that begins with the first element of a dataset. It is in the collection `table_initializer` only
    /// if it is the iterator's [own](Dataset::make_initializable_iterator).
    #[track_caller]
    pub fn make_initializer(&self, dataset: &Dataset) -> Operation {
        let graph = self.resource.graph();
        op(&graph, "MakeIterator").input(dataset).input(self).finish()
    }

    /// Returns the operation that begins with the first element, of an
    /// [initializable](Dataset::make_initializable_iterator) iterator.
    #[must_use]
    pub fn initializer(&self) -> Option<&Operation> {
        self.initializer.as_ref()
    }

    /// Returns the handle of the iterator.
    #[must_use]
    pub fn resource(&self) -> &Output {
        &self.resource
    }

    /// Returns what is known of the components: dtypes and shapes.
    #[must_use]
    pub fn components(&self) -> &[OutputInfo] {
        &self.spec.0
    }

    /// Returns the components of the next element. Each operation takes one element in each step that needs it; call this
    /// once, and use its outputs wherever they are needed.
    ///
    /// At the end it gives `OutOfRange`, which ends `should_stop` loops in good order.
    #[must_use]
    #[track_caller]
    pub fn get_next(&self) -> Vec<Output> {
        let builder = op(&self.resource.graph(), "IteratorGetNext").input(self);
        self.spec.describe(builder).finish().outputs()
    }

    /// Returns the next element, or none at the end instead of an error.
    #[must_use]
    #[track_caller]
    pub fn get_next_as_optional(&self) -> Optional {
        let builder = op(&self.resource.graph(), "IteratorGetNextAsOptional").input(self);
        Optional { variant: self.spec.describe(builder).finish_output(), spec: self.spec.clone() }
    }

    /// Returns a string that names the iterator within its session, for
    /// [`from_string_handle`](Iterator::from_string_handle).
    #[must_use]
    #[track_caller]
    pub fn string_handle(&self) -> Output {
        op(&self.resource.graph(), "IteratorToStringHandle").input(self).finish_output()
    }
}

impl Optional {
    /// Returns true where there is an element.
    #[must_use]
    #[track_caller]
    pub fn has_value(&self) -> Output {
        op(&self.variant.graph(), "OptionalHasValue").input(&self.variant).finish_output()
    }

    /// Returns the components of the element; where there is none, it is an error.
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
