//! Hooks that consist of closures.

use crate::{SessionRunArgs, SessionRunContext, SessionRunHook, SessionRunValues};
use queue_runner::Coordinator;
use session_core::{AsOutput, Graph, Result, Session};
use std::borrow::Cow;
use std::fmt;

type Begin = Box<dyn FnMut(&Graph) -> Result<()> + Send>;
type Created = Box<dyn FnMut(&dyn Session, &Coordinator) -> Result<()> + Send>;
type Before = Box<dyn FnMut(&mut SessionRunContext<'_>) -> Result<Option<SessionRunArgs>> + Send>;
type After = Box<dyn FnMut(&mut SessionRunContext<'_>, &SessionRunValues<'_>) -> Result<()> + Send>;
type End = Box<dyn FnMut(&dyn Session) -> Result<()> + Send>;

/// A hook that consists of closures, one for each callback that it needs.
///
/// ```
/// use hooks::ClosureHook;
/// # use session_core::{DType, Graph, OutputInfo, PartialShape};
/// # let graph = Graph::new();
/// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::scalar(), is_ref: false };
/// # let loss = graph.undefined_op("Loss").described_output(info).finish_output();
/// let mut lowest = f32::INFINITY;
/// let hook = ClosureHook::new("lowest").fetch(&loss).after_run(move |context, values| {
///     lowest = lowest.min(values[0].value()?);
///     if lowest < 0.1 {
///         context.request_stop("the loss is low enough");
///     }
///     Ok(())
/// });
/// ```
#[must_use = "a hook has no effect until a session has it"]
pub struct ClosureHook {
    name: Cow<'static, str>,
    args: SessionRunArgs,
    begin: Option<Begin>,
    created: Option<Created>,
    before: Option<Before>,
    after: Option<After>,
    end: Option<End>,
}

impl ClosureHook {
    /// Creates a hook of this name that does nothing yet.
    pub fn new(name: impl Into<Cow<'static, str>>) -> ClosureHook {
        ClosureHook {
            name: name.into(),
            args: SessionRunArgs::new(),
            begin: None,
            created: None,
            before: None,
            after: None,
            end: None,
        }
    }

    /// Fetches an output with each run, after the outputs added before. Ignored if [`before_run`](ClosureHook::before_run) is
    /// set.
    pub fn fetch(mut self, output: &(impl AsOutput + ?Sized)) -> ClosureHook {
        self.args = self.args.fetch(output);
        self
    }

    /// Sets the closure of [`begin`](SessionRunHook::begin).
    ///
    /// ```
    /// use hooks::ClosureHook;
    /// let hook = ClosureHook::new("names").begin(|graph| {
    ///     println!("{} operations", graph.operations().len());
    ///     Ok(())
    /// });
    /// ```
    pub fn begin(mut self, begin: impl FnMut(&Graph) -> Result<()> + Send + 'static) -> ClosureHook {
        self.begin = Some(Box::new(begin));
        self
    }

    /// Sets the closure of [`after_create_session`](SessionRunHook::after_create_session).
    ///
    /// ```
    /// use hooks::ClosureHook;
    /// let hook = ClosureHook::new("hello").after_create_session(|_session, _coord| {
    ///     println!("the session is ready");
    ///     Ok(())
    /// });
    /// ```
    pub fn after_create_session(
        mut self,
        created: impl FnMut(&dyn Session, &Coordinator) -> Result<()> + Send + 'static,
    ) -> ClosureHook {
        self.created = Some(Box::new(created));
        self
    }

    /// Sets the closure of [`before_run`](SessionRunHook::before_run).
    ///
    /// ```
    /// use hooks::{ClosureHook, SessionRunArgs};
    /// let hook = ClosureHook::new("metadata").before_run(|_context| Ok(Some(SessionRunArgs::new().with_metadata())));
    /// ```
    pub fn before_run(
        mut self,
        before: impl FnMut(&mut SessionRunContext<'_>) -> Result<Option<SessionRunArgs>> + Send + 'static,
    ) -> ClosureHook {
        self.before = Some(Box::new(before));
        self
    }

    /// Sets the closure of [`after_run`](SessionRunHook::after_run).
    ///
    /// ```
    /// use hooks::ClosureHook;
    /// let hook = ClosureHook::new("once").after_run(|context, _values| {
    ///     context.request_stop("one run is enough");
    ///     Ok(())
    /// });
    /// ```
    pub fn after_run(
        mut self,
        after: impl FnMut(&mut SessionRunContext<'_>, &SessionRunValues<'_>) -> Result<()> + Send + 'static,
    ) -> ClosureHook {
        self.after = Some(Box::new(after));
        self
    }

    /// Sets the closure of [`end`](SessionRunHook::end).
    ///
    /// ```
    /// use hooks::ClosureHook;
    /// let hook = ClosureHook::new("goodbye").end(|_session| {
    ///     println!("the training ended cleanly");
    ///     Ok(())
    /// });
    /// ```
    pub fn end(mut self, end: impl FnMut(&dyn Session) -> Result<()> + Send + 'static) -> ClosureHook {
        self.end = Some(Box::new(end));
        self
    }
}

impl SessionRunHook for ClosureHook {
    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.name)
    }

    fn begin(&mut self, graph: &Graph) -> Result<()> {
        self.begin.as_mut().map_or(Ok(()), |begin| begin(graph))
    }

    fn after_create_session(&mut self, session: &dyn Session, coord: &Coordinator) -> Result<()> {
        self.created.as_mut().map_or(Ok(()), |created| created(session, coord))
    }

    fn before_run(&mut self, context: &mut SessionRunContext<'_>) -> Result<Option<SessionRunArgs>> {
        match &mut self.before {
            Some(before) => before(context),
            // Cloned in every run, because the session consumes the arguments; up to four fetches are
            // stored inline, so the clone allocates nothing.
            None => Ok((!self.args.is_empty()).then(|| self.args.clone())),
        }
    }

    fn after_run(
        &mut self,
        context: &mut SessionRunContext<'_>,
        values: &SessionRunValues<'_>,
    ) -> Result<()> {
        self.after.as_mut().map_or(Ok(()), |after| after(context, values))
    }

    fn end(&mut self, session: &dyn Session) -> Result<()> {
        self.end.as_mut().map_or(Ok(()), |end| end(session))
    }
}

impl fmt::Debug for ClosureHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClosureHook").field(&self.name).finish()
    }
}
