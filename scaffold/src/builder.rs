//! Scaffolds that are not finalized yet.

use crate::pieces::Pieces;
use crate::scaffold::Scaffold;
use crate::{defaults, objects};
use checkpoint::{GraphSaver, RestoreTarget, SaveSource, SavedObject};
use log::info;
use session_core::{
    AsOutput, Error, FeedList, Graph, GraphMember, Operation, Origin, Output, Phase, Result, Session, Tensor,
};
use std::sync::{Arc, Mutex};

/// A scaffold under construction. It holds the pieces that were given; [`finalize`](ScaffoldBuilder::finalize) finds or creates
/// the others.
///
/// A scaffold that is not finalized has its own type, so it cannot be used as if it were:
///
/// ```compile_fail,E0308
/// # use scaffold::Scaffold;
/// let scaffold: Scaffold = Scaffold::builder();
/// ```
///
/// A piece that is not given has its default (S-72).
#[derive(Clone, Debug, Default)]
#[must_use = "finalize it, or give it to a session creator"]
pub struct ScaffoldBuilder {
    pieces: Pieces,
    /// The graph of the scaffold that this builder was created from.
    graph: Option<Graph>,
}

/// Types that have the pieces of a scaffold: [`Scaffold`] and [`ScaffoldBuilder`].
pub trait AsPieces: sealed::Sealed {
    /// Returns the current pieces.
    fn pieces(&self) -> &Pieces;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::ScaffoldBuilder {}
    impl Sealed for super::Scaffold {}
}

impl AsPieces for ScaffoldBuilder {
    fn pieces(&self) -> &Pieces {
        &self.pieces
    }
}

impl AsPieces for Scaffold {
    fn pieces(&self) -> &Pieces {
        self.as_pieces()
    }
}

/// Creates a builder with the pieces that were given to a scaffold. Pieces that the scaffold found or created are looked up
/// again, so that variables, tables and summaries added since are included. A finalized scaffold can therefore be passed
/// wherever a builder is expected. The new scaffold must be for the same graph.
impl From<&Scaffold> for ScaffoldBuilder {
    fn from(scaffold: &Scaffold) -> ScaffoldBuilder {
        ScaffoldBuilder { pieces: scaffold.given().clone(), graph: Some(scaffold.graph().clone()) }
    }
}

impl From<Scaffold> for ScaffoldBuilder {
    fn from(scaffold: Scaffold) -> ScaffoldBuilder {
        ScaffoldBuilder::from(&scaffold)
    }
}

impl ScaffoldBuilder {
    /// Creates a builder without any piece.
    ///
    /// ```
    /// use scaffold::ScaffoldBuilder;
    /// let builder = ScaffoldBuilder::new().init_fn(|_scaffold, _session| Ok(()));
    /// ```
    pub fn new() -> ScaffoldBuilder {
        ScaffoldBuilder::default()
    }

    /// Returns the pieces given so far (S-71).
    ///
    /// ```
    /// use scaffold::Scaffold;
    /// assert!(Scaffold::builder().pieces().init_op().is_none());
    /// ```
    #[must_use]
    pub fn pieces(&self) -> &Pieces {
        &self.pieces
    }

    /// Sets the operation that initializes the model if there is no checkpoint. Default: initializes all global variables
    /// (S-78).
    ///
    /// ```
    /// # use ops::variables::{global_variables_initializer, variable};
    /// # use scaffold::Scaffold;
    /// # use session_core::Graph;
    /// let graph = Graph::new();
    /// let w = variable(&graph.named("w"), 1.0f32);
    /// let init = global_variables_initializer(&graph);
    /// let scaffold = Scaffold::builder().init_op(&init).finalize(&graph)?;
    /// assert_eq!(scaffold.init_op(), &init);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn init_op(mut self, operation: &Operation) -> Self {
        self.pieces.init_op = Some(operation.clone());
        self
    }

    /// Feeds a value to the init op. Default: none.
    ///
    /// ```
    /// # use ops::array::placeholder;
    /// # use scaffold::Scaffold;
    /// # use session_core::{DType, Graph};
    /// let graph = Graph::new();
    /// let rate = placeholder(&graph.named("rate"), DType::Float32, [None]);
    /// let builder = Scaffold::builder().init_feed(&rate, vec![0.1f32]);
    /// assert_eq!(builder.pieces().init_feed().len(), 1);
    /// ```
    pub fn init_feed(mut self, output: &(impl AsOutput + ?Sized), value: impl Into<Tensor>) -> Self {
        self.pieces.init_feed.push((output.as_output().clone(), value.into()));
        self
    }

    /// Sets a function that runs after the init op if there is no checkpoint. It receives the finalized scaffold and the session
    /// (S-73). Default: none.
    ///
    /// ```
    /// use scaffold::Scaffold;
    /// let builder = Scaffold::builder().init_fn(|_scaffold, _session| Ok(()));
    /// assert!(builder.pieces().has_init_fn());
    /// ```
    pub fn init_fn(
        mut self,
        function: impl Fn(&Scaffold, &dyn Session) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.pieces.init_fn = Some(Arc::new(function));
        self
    }

    /// Sets the output that lists the names of the variables that are not ready; an empty list means ready. Default: all global
    /// and local variables without a value (S-79).
    ///
    /// ```
    /// # use ops::variables::{report_uninitialized_variables, variable};
    /// # use scaffold::Scaffold;
    /// let graph = session_core::Graph::new();
    /// let w = variable(&graph.named("w"), 1.0f32);
    /// let ready = report_uninitialized_variables(&graph);
    /// let scaffold = Scaffold::builder().ready_op(&ready).finalize(&graph)?;
    /// assert_eq!(scaffold.ready_op(), &ready);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn ready_op(mut self, output: &(impl AsOutput + ?Sized)) -> Self {
        self.pieces.ready_op = Some(output.as_output().clone());
        self
    }

    /// Sets the output that lists the names of the variables that must be ready before the local init op runs. Default: global
    /// variables without a value (S-80).
    pub fn ready_for_local_init_op(mut self, output: &(impl AsOutput + ?Sized)) -> Self {
        self.pieces.ready_for_local_init_op = Some(output.as_output().clone());
        self
    }

    /// Sets the operation that initializes process-local state at every start. Default: initializes local variables and tables
    /// (S-81).
    ///
    /// ```
    /// # use scaffold::{Scaffold, default_local_init_op};
    /// # use session_core::Graph;
    /// let graph = Graph::new();
    /// let local = default_local_init_op(&graph);
    /// let builder = Scaffold::builder().local_init_op(&local);
    /// assert_eq!(builder.pieces().local_init_op(), Some(&local));
    /// ```
    pub fn local_init_op(mut self, operation: &Operation) -> Self {
        self.pieces.local_init_op = Some(operation.clone());
        self
    }

    /// Feeds a value to the local init op. Default: none.
    pub fn local_init_feed(mut self, output: &(impl AsOutput + ?Sized), value: impl Into<Tensor>) -> Self {
        self.pieces.local_init_feed.push((output.as_output().clone(), value.into()));
        self
    }

    /// Sets the output that evaluates all summaries. Default: the merged collection `summaries` (S-82).
    pub fn summary_op(mut self, output: &(impl AsOutput + ?Sized)) -> Self {
        self.pieces.summary_op = Some(output.as_output().clone());
        self
    }

    /// Sets the saver that saves and restores the model. Default: the single item of the collection `savers`, or a new saver of all
    /// global variables (S-83).
    ///
    /// ```
    /// # use checkpoint::{GraphSaver, SaverOptions};
    /// # use ops::variables::variable;
    /// # use scaffold::Scaffold;
    /// # use session_core::Graph;
    /// let graph = Graph::new();
    /// let w = variable(&graph.named("w"), 1.0f32);
    /// let saver = GraphSaver::new(SaverOptions::default().max_to_keep(3));
    /// let scaffold = Scaffold::builder().saver(&saver).finalize(&graph)?;
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn saver(mut self, saver: &GraphSaver) -> Self {
        self.pieces.saver = Some(saver.clone());
        self
    }

    /// Saves an object of the program with the model and restores it, under a name that begins those of its tensors; see
    /// [`SavedObject`]. The default saver saves it, and any of [all variables](GraphSaver::new); one of chosen variables saves
    /// what it was given. Default: none.
    ///
    /// ```
    /// use scaffold::Scaffold;
    /// use session_core::{Graph, Tensor};
    /// use std::collections::BTreeMap;
    /// use std::sync::{Arc, Mutex};
    ///
    /// let weights = Arc::new(Mutex::new(BTreeMap::from([("w".to_owned(), Tensor::from([0.0f32; 3]))])));
    /// let graph = Graph::new();
    /// let scaffold = Scaffold::builder().saved_object("model", &weights).finalize(&graph)?;
    /// assert_eq!(scaffold.saver().objects(&graph)[0].tensor_names(), ["model/w"]);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn saved_object<T>(self, name: impl Into<String>, object: &Arc<Mutex<T>>) -> Self
    where
        T: SaveSource + RestoreTarget + Send + 'static,
    {
        self.saved_objects([SavedObject::new(name, object)])
    }

    /// Works as [`saved_object`](ScaffoldBuilder::saved_object), for several existing objects, such as those with
    /// [private state](SavedObject::with_state).
    pub fn saved_objects(mut self, objects: impl IntoIterator<Item = SavedObject>) -> Self {
        self.pieces.saved_objects.extend(objects);
        self
    }

    /// Copies each piece that has not been given from another scaffold's current pieces (S-74). A copied init function is called
    /// with this scaffold.
    ///
    /// ```
    /// use scaffold::Scaffold;
    /// let first = Scaffold::builder().init_fn(|_scaffold, _session| Ok(()));
    /// let second = Scaffold::builder().copy_from(&first);
    /// assert!(second.pieces().has_init_fn());
    /// ```
    pub fn copy_from(mut self, other: &impl AsPieces) -> Self {
        self.pieces.fill_from(other.pieces());
        self
    }

    /// Settles all pieces in the order init op, ready op, ready-for-local-init op, local init op, summary op, saver, and
    /// freezes the graph (S-75). Each piece is the first of: the given one; the single item of its collection; a default,
    /// which is created and added to the collection (S-76).
    ///
    /// A graph that is already frozen is accepted if nothing has to be created (S-84). A default of an earlier scaffold is
    /// recreated if variables, tables or summaries were added since and the graph is not frozen; TensorFlow leaves those
    /// out (S-86).
    ///
    /// ```
    /// # use ops::variables::variable;
    /// # use scaffold::Scaffold;
    /// let graph = session_core::Graph::new();
    /// variable(&graph.named("w"), 1.0f32);
    /// let scaffold = Scaffold::builder().finalize(&graph)?;
    /// assert!(graph.is_finalized());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// More than one item in a collection that is looked up (S-77); a piece of another graph; a frozen graph that lacks a
    /// default; a build error of the graph. In these cases the graph is not frozen.
    pub fn finalize(self, graph: &Graph) -> Result<Scaffold> {
        self.settle(graph).map_err(|error| error.with_phase(Phase::Build))
    }

    fn settle(mut self, graph: &Graph) -> Result<Scaffold> {
        self.check(graph)?;
        // The scope, device and control inputs of the caller do not apply to the scaffold's operations.
        let graph = graph.root();
        defaults::forget_stale(&graph)?;
        // Before defaults are created: a name that is taken would leave them behind.
        objects::add(&graph, &self.pieces.saved_objects)?;
        // A builder that is made from the scaffold starts again from these.
        let given = self.pieces.clone();
        let own = graph.originating(Origin::library("the scaffold's defaults"));
        defaults::settle(&own, &mut self.pieces)?;
        let Pieces { ready_op, ready_for_local_init_op, summary_op, .. } = &mut self.pieces;
        // The program decides what it does with them.
        for output in [ready_op, ready_for_local_init_op, summary_op].into_iter().flatten() {
            *output = output.within(&graph);
        }
        graph.finalize()?;
        info!("Graph was finalized.");
        Scaffold::settled(graph, given, self.pieces)
    }

    /// Checks that everything given can run in this graph.
    fn check(&self, graph: &Graph) -> Result<()> {
        // Pieces of a finalized scaffold belong to its graph. The check of each piece would not tell what to
        // do about it.
        if self.graph.as_ref().is_some_and(|known| !known.is_same(graph)) {
            let text = "the scaffold was finalized for another graph; pass that graph to the session, or copy the \
                        compatible parts with `copy_from`";
            return Err(Error::value(text));
        }
        let Pieces { init_op, local_init_op, ready_op, ready_for_local_init_op, summary_op, .. } =
            &self.pieces;
        let outputs = [
            ("ready op", ready_op),
            ("ready-for-local-init op", ready_for_local_init_op),
            ("summary op", summary_op),
        ];
        let given =
            [("init op", init_op.as_ref()), ("local init op", local_init_op.as_ref())].into_iter().chain(
                outputs.into_iter().map(|(piece, output)| (piece, output.as_ref().map(Output::operation))),
            );
        for (piece, operation) in given {
            operation.check_belongs_to(graph).map_err(|error| in_another_graph(piece, error))?;
        }
        self.pieces.saver.check_belongs_to(graph).map_err(|error| in_another_graph("saver", error))?;
        // The list itself is not used: pushing checks the graph, the dtype and the shape of each feed.
        let mut feeds = FeedList::new(graph);
        for (output, value) in self.pieces.init_feed.iter().chain(&self.pieces.local_init_feed) {
            feeds.push(output, value.clone())?;
        }
        Ok(())
    }
}

/// Returns the error for a piece of another graph. An operation with a build error returns that error, with its place.
fn in_another_graph(piece: &str, error: Error) -> Error {
    match error.location() {
        Some(_) => error,
        None => {
            Error::value(format!("the {piece} of the scaffold belongs to another graph: {}", error.message()))
        }
    }
}
