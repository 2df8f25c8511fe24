//! Elements that Rust makes.

use crate::Dataset;
use crate::elements::Spec;
use crate::op::{invalid, op, with_function};
use ops::functions::define;
use ops::script::host_func;
use session_core::{Code, DType, Error, Graph, Output, OutputInfo, PartialShape, Result, Tensor};
use std::collections::HashMap;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An operation of a body that calls a closure of the program.
#[track_caller]
fn called(
    graph: &Graph,
    inputs: &[Output],
    outputs: &[OutputInfo],
    stateless: bool,
    call: impl Fn(&[Tensor]) -> Result<Vec<Tensor>> + Send + Sync + 'static,
) -> Vec<Output> {
    let function = host_func(graph).inputs(inputs);
    // Only stateless calls may be repeated, left out or made in advance.
    let function = if stateless { function.stateless() } else { function };
    let function =
        outputs.iter().fold(function, |function, info| function.output(info.dtype, info.shape.clone()));
    function.call(move |values, _| call(values)).outputs()
}

impl Dataset {
    /// Creates a dataset of `len` elements, which a closure returns by their numbers. It is the way to bring data of a program into a
    /// session: shuffling mixes only the numbers, and a resumed run continues at once, at a constant cost.
    ///
    /// ```
    /// use dataset::{Dataset, Remainder};
    /// use session_core::{DType, Graph, OutputInfo, PartialShape, Tensor};
    ///
    /// let graph = Graph::new();
    /// let rows: Vec<[f32; 2]> = vec![[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]];
    /// let row = OutputInfo { dtype: DType::Float32, shape: PartialShape::from([2]), is_ref: false };
    /// let dataset = Dataset::from_rows(&graph, 3, [row], move |index| Ok(vec![Tensor::from(rows[index as usize])]));
    /// let batches = dataset.shuffle(3, Some(1)).repeat(None).batch(2, Remainder::Drop);
    /// # let _ = batches;
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn from_rows(
        graph: &Graph,
        len: u64,
        components: impl IntoIterator<Item = OutputInfo>,
        row: impl Fn(u64) -> Result<Vec<Tensor>> + Send + Sync + 'static,
    ) -> Dataset {
        let infos: Vec<OutputInfo> = components.into_iter().collect();
        let numbers = Dataset::range(graph, 0, i64::try_from(len).unwrap_or(i64::MAX), 1);
        let function = define(graph, "Dataset_row", &numbers.spec.arguments(), |body, number| {
            called(body, number, &infos, true, move |values| {
                let number = values.first().map(Tensor::as_scalar_i64).transpose()?.unwrap_or_default();
                // The numbers of a range that begins at 0 are not negative.
                row(number.cast_unsigned())
            })
        });
        // Tells the embedded engine that an element depends on its number alone.
        numbers.mapped("MapDataset", function, |builder| builder.attr("_random_access", true))
    }

    /// Transforms each element by a Rust closure, which gets the values of its components and returns those of these components.
    ///
    /// ```
    /// use dataset::{Compression, Dataset};
    /// use session_core::{DType, Graph, OutputInfo, PartialShape, Tensor};
    ///
    /// let graph = Graph::new();
    /// let length = OutputInfo { dtype: DType::Int64, shape: PartialShape::scalar(), is_ref: false };
    /// let lines = Dataset::text_line(&graph, &["words.txt"], Compression::None);
    /// let lengths = lines.map_host([length], |values| Ok(vec![Tensor::scalar(values[0].as_strings()?[0].len() as i64)]));
    /// assert_eq!(lengths.components()[0].dtype, DType::Int64);
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn map_host(
        &self,
        components: impl IntoIterator<Item = OutputInfo>,
        call: impl Fn(&[Tensor]) -> Result<Vec<Tensor>> + Send + Sync + 'static,
    ) -> Dataset {
        let infos: Vec<OutputInfo> = components.into_iter().collect();
        let function = define(&self.graph(), "Dataset_map_host", &self.spec.arguments(), |body, element| {
            // The closure may count or draw, so its calls stay in order.
            called(body, element, &infos, false, call)
        });
        self.mapped("MapDataset", function, |builder| builder)
    }

    /// Creates a dataset of the items of a Rust iterator, which `open` creates for each epoch. After a restore it runs again from its
    /// beginning, and the elements that steps have taken are dropped; [`from_rows`](Dataset::from_rows) continues at once. An iterator
    /// that panics fails one step and is at its end.
    ///
    /// The Rust iterator is dropped at its end, and where its epoch is left before: when a [`take`](Dataset::take) after it ends, when
    /// the dataset's iterator is initialized again or restored, and with the session.
    ///
    /// ```
    /// use dataset::Dataset;
    /// use session_core::{DType, Graph, OutputInfo, PartialShape, Tensor};
    ///
    /// let graph = Graph::new();
    /// let number = OutputInfo { dtype: DType::Int64, shape: PartialShape::scalar(), is_ref: false };
    /// let powers = Dataset::from_generator(&graph, [number], || {
    ///     (0u32..10).map(|exponent| Ok(vec![Tensor::scalar(1i64 << exponent)]))
    /// });
    /// assert_eq!(powers.components()[0].dtype, DType::Int64);
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn from_generator<I>(
        graph: &Graph,
        components: impl IntoIterator<Item = OutputInfo>,
        open: impl Fn() -> I + Send + Sync + 'static,
    ) -> Dataset
    where
        I: std::iter::Iterator<Item = Result<Vec<Tensor>>> + Send + 'static,
    {
        let infos: Vec<OutputInfo> = components.into_iter().collect();
        let spec = Spec(infos.clone());
        // Shared by the three functions, which know a generator by its number.
        let running = Arc::new(Running::default());
        let number = Spec::one(DType::Int64, PartialShape::scalar());
        let begin = {
            let running = running.clone();
            define(graph, "Dataset_generator_init", &[], |body, _| {
                called(body, &[], &number.0, false, move |_| {
                    Ok(vec![Tensor::scalar(running.begin(Box::new(open())))])
                })
            })
        };
        let next = {
            let running = running.clone();
            define(graph, "Dataset_generator_next", &number.arguments(), |body, state| {
                called(body, state, &infos, false, move |values| running.next(id(values)?))
            })
        };
        let end = define(graph, "Dataset_generator_finalize", &number.arguments(), |body, state| {
            called(body, state, &number.0, false, move |values| {
                // A generator that is not read to its end would stay otherwise. Its drop is code of the program,
                // which runs without the lock.
                let left = running.lock().remove(&id(values)?);
                drop(left);
                // The operation requires a result.
                Ok(vec![Tensor::scalar(0i64)])
            })
        });
        match (begin, next, end) {
            (Ok(begin), Ok(next), Ok(end)) => {
                let builder = with_function(op(graph, "GeneratorDataset"), "init_func", &begin);
                let builder = with_function(builder, "next_func", &next);
                Dataset::described(with_function(builder, "finalize_func", &end), spec)
            }
            (Err(error), _, _) | (_, Err(error), _) | (_, _, Err(error)) => {
                invalid(graph, "GeneratorDataset", spec, error)
            }
        }
    }
}

/// The number of a generator that runs.
fn id(values: &[Tensor]) -> Result<i64> {
    Ok(values.first().map(Tensor::as_scalar_i64).transpose()?.unwrap_or_default())
}

type Generated = Box<dyn std::iter::Iterator<Item = Result<Vec<Tensor>>> + Send>;

/// The generators that run, by their numbers.
#[derive(Default)]
struct Running {
    next: AtomicI64,
    /// Guards the table. A generator that works is taken out.
    by_number: Mutex<HashMap<i64, Generated>>,
}

impl Running {
    fn lock(&self) -> MutexGuard<'_, HashMap<i64, Generated>> {
        self.by_number.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, generator: Generated) -> i64 {
        // The numbers only need to differ.
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(number, generator);
        number
    }

    fn next(&self, number: i64) -> Result<Vec<Tensor>> {
        // Taken out, so that a slow generator does not hold the lock.
        let generator = self.lock().remove(&number);
        let Some(mut generator) = generator else {
            return Err(Error::new(Code::FailedPrecondition, format!("generator {number} does not run")));
        };
        let element = panic::catch_unwind(AssertUnwindSafe(|| generator.next()));
        // A closure that panicked is not called again: as in TensorFlow, the error is followed by the end.
        let rest = if element.is_ok() { generator } else { Box::new(std::iter::empty()) };
        self.lock().insert(number, rest);
        // Only after the rest is back in the table; the caller turns the panic into an error.
        let element = element.unwrap_or_else(|payload| panic::resume_unwind(payload));
        element.unwrap_or_else(|| Err(Error::new(Code::OutOfRange, "the generator is at its end")))
    }
}
