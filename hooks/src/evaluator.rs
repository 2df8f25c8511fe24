//! Evaluation between steps.

use crate::cadence::Cadence;
use crate::events::{EventTarget, flush, flush_before_checkpoint};
use crate::number::significant;
use crate::{SecondOrStepTimer, SessionRunArgs, SessionRunContext, SessionRunHook, SessionRunValues};
use queue_runner::Coordinator;
use session_core::{Graph, GraphMember as _, Result, Session, SessionExt, Tensor, Variable};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use summary::{EventWriter, Summary, Value};
use tensor::text::escaped;

const NAME: &str = "EvaluatorHook";

/// Evaluates the model every `n` steps in the session that trains it, and logs the results at level info, for example
/// `evaluation at step 500: accuracy = 0.97, loss = 0.1`.
///
/// The function receives the raw session after the step, so its runs call no hooks. As long as it neither assigns variables
/// nor consumes the training's input, it does not influence the training. Steps are counted from the step at which the
/// training began, also across interruptions.
///
/// # Errors
///
/// `begin`: a runtime error if the graph has no global step; the errors of the event file. Runs and `end`: the errors of the
/// function and of the event file.
///
/// A model with dropout or batch normalization needs an evaluation graph that shares its variables: build the model twice
/// in one [variable scope](session_core::Graph::variable_scope). In the training graph the accuracy would be that of a
/// model with half of its units dropped.
///
/// ```
/// use hooks::EvaluatorHook;
/// use ops::array::placeholder;
/// use ops::layers::{LayerOptions, Training, dense, dropout};
/// use ops::math::{argmax, cast, equal, reduce_mean};
/// use session_core::{DType, Graph, Output, Reuse, SessionExt, Tensor};
///
/// fn model(graph: &Graph, images: &Output, training: Training) -> Output {
///     let images = images.within(&graph.variable_scope("model", Reuse::Auto));
///     let hidden = dense(&images, 32, &LayerOptions::default());
///     dense(dropout(&hidden, 0.5, training, None), 10, &LayerOptions::default())
/// }
///
/// let graph = Graph::new();
/// let images = placeholder(&graph.named("images"), DType::Float32, [None, Some(64)]);
/// let labels = placeholder(&graph.named("labels"), DType::Int64, [None]);
/// let logits = model(&graph, &images, Training::On); // the loss is that of these
/// let found = argmax(model(&graph, &images, Training::Off), 1);
/// let accuracy = reduce_mean(cast(equal(found, &labels), DType::Float32), ..);
/// # let (test_images, test_labels) = (Tensor::from(vec![0f32; 64]), Tensor::from(vec![0i64]));
/// let hook = EvaluatorHook::every_steps(500, move |session| {
///     let feeds = [(&images, test_images.clone()), (&labels, test_labels.clone())];
///     Ok(vec![("accuracy".to_owned(), session.run(&accuracy, feeds)?.as_scalar_f64()?)])
/// });
/// # let _ = logits;
/// # graph.finalize()?;
/// # Ok::<(), session_core::Error>(())
/// ```
pub struct EvaluatorHook {
    evaluate: Evaluate,
    cadence: Cadence,
    target: EventTarget,
    at_end: bool,
    /// Variables, each with the one whose value it has during an evaluation.
    weights: Vec<(Variable, Variable)>,
    writer: Option<Arc<EventWriter>>,
    /// The step of the last evaluation.
    evaluated: Option<i64>,
}

type Evaluate = Box<dyn FnMut(&dyn Session) -> Result<Vec<(String, f64)>> + Send>;

impl EvaluatorHook {
    /// Evaluates every `steps` steps with a function that returns results and their names.
    ///
    /// ```
    /// use hooks::EvaluatorHook;
    /// use session_core::SessionExt;
    /// let hook = EvaluatorHook::every_steps(500, |session| {
    ///     let accuracy = session.run("accuracy:0", ())?;
    ///     Ok(accuracy.map(|value| value.as_scalar_f64()).transpose()?.map(|value| ("accuracy".to_owned(), value)).into_iter().collect())
    /// });
    /// ```
    #[must_use]
    pub fn every_steps(
        steps: u64,
        evaluate: impl FnMut(&dyn Session) -> Result<Vec<(String, f64)>> + Send + 'static,
    ) -> EvaluatorHook {
        EvaluatorHook {
            evaluate: Box::new(evaluate),
            // Nothing has been trained since the initializer or the checkpoint, so the first run is not
            // evaluated.
            cadence: Cadence::skipping_first(NAME, SecondOrStepTimer::every_steps(steps)),
            target: EventTarget::None,
            at_end: true,
            weights: Vec::new(),
            writer: None,
            evaluated: None,
        }
    }

    /// Also writes the results as summaries into this directory. Default: the results are only logged.
    ///
    /// ```
    /// use hooks::EvaluatorHook;
    /// let hook = EvaluatorHook::every_steps(500, |_session| Ok(Vec::new())).output_dir("run/eval");
    /// ```
    #[must_use]
    pub fn output_dir(mut self, directory: impl AsRef<Path>) -> EvaluatorHook {
        self.target = EventTarget::Directory(directory.as_ref().to_path_buf());
        self
    }

    /// Also writes the results as summaries to this writer.
    #[must_use]
    pub fn writer(mut self, writer: Arc<EventWriter>) -> EvaluatorHook {
        self.target = EventTarget::Writer(writer);
        self
    }

    /// Sets whether a clean end evaluates the last step, if that has not been done. Default: `true`.
    ///
    /// ```
    /// use hooks::EvaluatorHook;
    /// let hook = EvaluatorHook::every_steps(500, |_session| Ok(Vec::new())).at_end(false);
    /// ```
    #[must_use]
    pub fn at_end(mut self, at_end: bool) -> EvaluatorHook {
        self.at_end = at_end;
        self
    }

    /// Sets variables to the values of others during each evaluation, such as their moving averages. Default: none.
    ///
    /// Afterwards they have their own values again, whether the evaluation succeeds or fails. Nothing else may train or save in
    /// the meantime, such as a thread of the program.
    ///
    /// ```
    /// use hooks::EvaluatorHook;
    /// use ops::optimizers::ExponentialMovingAverage;
    /// let graph = session_core::Graph::new();
    /// let w = ops::variables::variable(&graph.named("w"), 1.0f32);
    /// let average = ExponentialMovingAverage::new(0.99);
    /// average.apply(&graph, std::slice::from_ref(&w)); // behind the training step
    /// let hook = EvaluatorHook::every_steps(500, |_session| Ok(Vec::new())).weights(average.averages(&[w]));
    /// # let _ = hook;
    /// ```
    #[must_use]
    pub fn weights(mut self, weights: impl IntoIterator<Item = (Variable, Variable)>) -> EvaluatorHook {
        self.weights = weights.into_iter().collect();
        self
    }

    /// Calls the function, while variables have the values of others.
    fn results(&mut self, session: &dyn Session) -> Result<Vec<(String, f64)>> {
        if self.weights.is_empty() {
            return (self.evaluate)(session);
        }
        let (own, other): (Vec<Variable>, Vec<Variable>) = self.weights.iter().cloned().unzip();
        // One run reads all values, so that they belong to the same step.
        let (own_values, other_values) = session.run((&own, &other), ())?;
        let evaluated = put(session, &own, other_values).and_then(|()| (self.evaluate)(session));
        // Restored before the error of the evaluation is returned: the training must never continue with
        // the averages.
        let restored = put(session, &own, own_values);
        let results = evaluated?;
        restored.map(|()| results)
    }

    #[cold]
    fn evaluate(&mut self, session: &dyn Session) -> Result<()> {
        let step = self.cadence.reached(session)?;
        // The interval may fall on the last step, which `end` would then evaluate again.
        if self.evaluated == Some(step) {
            return Ok(());
        }
        let results = self.results(session)?;
        // Only after it succeeded: a failed evaluation is repeated at the end.
        self.evaluated = Some(step);
        let texts: Vec<String> = results
            .iter()
            .map(|(name, value)| format!("{} = {}", escaped(name), significant(*value, 6)))
            .collect();
        log::info!("evaluation at step {step}: {}", texts.join(", "));
        let Some(writer) = &self.writer else { return Ok(()) };
        // Summaries of scalars have 32 bits, as TensorFlow's.
        let values = results.into_iter().map(|(name, value)| Value::scalar(name, value as f32));
        Ok(writer.add_summary(values.collect::<Summary>(), step)?)
    }
}

/// Assigns values to variables, each in a separate run: several variables may have one initial value.
fn put(session: &dyn Session, variables: &[Variable], values: Vec<Tensor>) -> Result<()> {
    // Through the initializer with its initial value fed, because an assignment would need new operations
    // and the graph is frozen.
    variables.iter().zip(values).try_for_each(|(variable, value)| {
        session.run(variable.initializer(), [(variable.initial_value(), value)])
    })
}

impl SessionRunHook for EvaluatorHook {
    fn dry_run(&mut self) {
        self.target.discard();
    }

    fn begin(&mut self, graph: &Graph) -> Result<()> {
        let mut weights = self.weights.iter().flat_map(|(own, other)| [own, other]);
        // In `begin`, where the error names the hook, rather than at the first evaluation, which may be
        // hours later.
        weights.try_for_each(|variable| variable.check_belongs_to(graph))?;
        self.writer = self.target.open()?;
        self.evaluated = None;
        self.cadence.begin(graph, Ok(Vec::new()))
    }

    fn after_create_session(&mut self, session: &dyn Session, _: &Coordinator) -> Result<()> {
        // A recovered session may reach the same step with other values.
        self.evaluated = None;
        self.cadence.session_created(session)
    }

    #[inline]
    fn before_run(&mut self, _: &mut SessionRunContext<'_>) -> Result<Option<SessionRunArgs>> {
        Ok(self.cadence.before_run())
    }

    #[inline]
    fn after_run(
        &mut self,
        context: &mut SessionRunContext<'_>,
        values: &SessionRunValues<'_>,
    ) -> Result<()> {
        if self.cadence.after_run(values)? { self.evaluate(context.session()) } else { Ok(()) }
    }

    fn end(&mut self, session: &dyn Session) -> Result<()> {
        if self.at_end {
            self.evaluate(session)?;
        }
        flush(self.writer.as_deref())
    }

    fn save_state(&self) -> Option<Vec<u8>> {
        // In `save_state`, because it is called at the save point, before the checkpoint exists.
        flush_before_checkpoint(self.writer.as_deref());
        self.cadence.save_state()
    }

    fn load_state(&mut self, state: &[u8]) -> Result<()> {
        self.cadence.load_state(state)
    }
}

impl fmt::Debug for EvaluatorHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(NAME)
            .field("cadence", &self.cadence)
            .field("at_end", &self.at_end)
            .finish_non_exhaustive()
    }
}
