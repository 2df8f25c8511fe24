//! A scaffold that is not finalized yet.

use crate::defaults;
use crate::pieces::Pieces;
use crate::scaffold::Scaffold;
use checkpoint::GraphSaver;
use log::info;
use session_core::{
    AsOutput, Error, FeedList, Graph, GraphMember, Operation, Output, Phase, Result, Session, Tensor,
};
use std::sync::Arc;

/// A scaffold under construction: pieces that were given; what was not given is found or made by
/// [`finalize`](ScaffoldBuilder::finalize).
///
/// A scaffold that is not finalized is a type of its own, so that it cannot be used as if it were:
///
/// ```compile_fail,E0308
/// # use scaffold::Scaffold;
/// let scaffold: Scaffold = Scaffold::builder();
/// ```
///
/// Giving no piece means its default (S-72).
#[derive(Clone, Debug, Default)]
#[must_use = "finalize it, or give it to a session creator"]
pub struct ScaffoldBuilder {
    pieces: Pieces,
    /// The graph of the scaffold that it was made from.
    graph: Option<Graph>,
}

/// Something that has pieces: a scaffold, finalized or not.
pub trait AsPieces: sealed::Sealed {
    /// Its pieces as they stand.
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

/// A builder with the pieces that a scaffold was given: what the scaffold found or made by itself is looked for again,
/// so that variables, tables and summaries added since are included. So a finalized scaffold can be given wherever a
/// builder is taken. The new scaffold must be of the same graph.
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
    /// No piece given.
    pub fn new() -> ScaffoldBuilder {
        ScaffoldBuilder::default()
    }

    /// What was given so far (S-71).
    #[must_use]
    pub fn pieces(&self) -> &Pieces {
        &self.pieces
    }

    /// Initialises the model when there is no checkpoint. Default: all global variables (S-78).
    pub fn init_op(mut self, operation: &Operation) -> Self {
        self.pieces.init_op = Some(operation.clone());
        self
    }

    /// Feeds the init op. Default: nothing.
    pub fn init_feed(mut self, output: &(impl AsOutput + ?Sized), value: impl Into<Tensor>) -> Self {
        self.pieces.init_feed.push((output.as_output().clone(), value.into()));
        self
    }

    /// Called after the init op when there is no checkpoint, with the scaffold that it belongs to in the end, and the
    /// session (S-73). Default: none.
    pub fn init_fn(
        mut self,
        function: impl Fn(&Scaffold, &dyn Session) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.pieces.init_fn = Some(Arc::new(function));
        self
    }

    /// Gives the names of what keeps the model from being ready, none when it is. Default: of all global and local
    /// variables that have no value (S-79).
    pub fn ready_op(mut self, output: &(impl AsOutput + ?Sized)) -> Self {
        self.pieces.ready_op = Some(output.as_output().clone());
        self
    }

    /// The same for what must be ready before the local init op is run. Default: global variables (S-80).
    pub fn ready_for_local_init_op(mut self, output: &(impl AsOutput + ?Sized)) -> Self {
        self.pieces.ready_for_local_init_op = Some(output.as_output().clone());
        self
    }

    /// Initialises what is local to the process, at every start. Default: local variables and tables (S-81).
    pub fn local_init_op(mut self, operation: &Operation) -> Self {
        self.pieces.local_init_op = Some(operation.clone());
        self
    }

    /// Feeds the local init op. Default: nothing.
    pub fn local_init_feed(mut self, output: &(impl AsOutput + ?Sized), value: impl Into<Tensor>) -> Self {
        self.pieces.local_init_feed.push((output.as_output().clone(), value.into()));
        self
    }

    /// Gives all summaries. Default: the collection `summaries` merged (S-82).
    pub fn summary_op(mut self, output: &(impl AsOutput + ?Sized)) -> Self {
        self.pieces.summary_op = Some(output.as_output().clone());
        self
    }

    /// Saves and restores the model. Default: the single item of the collection `savers`, else a new saver of all global
    /// variables (S-83).
    pub fn saver(mut self, saver: &GraphSaver) -> Self {
        self.pieces.saver = Some(saver.clone());
        self
    }

    /// Takes each piece that has not been given from another scaffold, as it stands now (S-74). The other's init
    /// function will be called with this scaffold.
    pub fn copy_from(mut self, other: &impl AsPieces) -> Self {
        self.pieces.fill_from(other.pieces());
        self
    }

    /// Settles all pieces, in the order init op, ready op, ready-for-local-init op, local init op, summary op, saver, and
    /// freezes the graph (S-75). Each is the first of: what was given; the single item of its collection; a default that
    /// is made and added to the collection (S-76).
    ///
    /// A graph that is frozen already will do if nothing has to be made (S-84). A default that an earlier scaffold made is
    /// made anew when variables, tables or summaries came since and the graph is not frozen; TensorFlow leaves them out
    /// (S-86).
    ///
    /// # Errors
    /// More than one item in a collection that is looked up (S-77); a piece of another graph; a frozen graph that lacks a
    /// default; a mistake made while the graph was built. The graph is not frozen then.
    pub fn finalize(self, graph: &Graph) -> Result<Scaffold> {
        self.settle(graph).map_err(|error| error.with_phase(Phase::Build))
    }

    fn settle(mut self, graph: &Graph) -> Result<Scaffold> {
        self.check(graph)?;
        // Nobody's scope, device or control inputs for what the scaffold makes.
        let graph = graph.root();
        defaults::forget_stale(&graph)?;
        let given = self.pieces.clone();
        defaults::settle(&graph, &mut self.pieces)?;
        graph.finalize()?;
        info!("Graph was finalized.");
        Scaffold::settled(graph, given, self.pieces)
    }

    /// That everything given can be run in this graph.
    fn check(&self, graph: &Graph) -> Result<()> {
        if self.graph.as_ref().is_some_and(|known| !known.is_same(graph)) {
            let text = "the scaffold was finalized for another graph; give the session that graph, or copy the pieces \
                        that fit with `copy_from`";
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
            operation.check_in(graph).map_err(|error| in_another_graph(piece, error))?;
        }
        self.pieces.saver.check_in(graph).map_err(|error| in_another_graph("saver", error))?;
        let mut feeds = FeedList::new(graph);
        for (output, value) in self.pieces.init_feed.iter().chain(&self.pieces.local_init_feed) {
            feeds.push(output, value.clone())?;
        }
        Ok(())
    }
}

/// The error for a piece of another graph. An operation that could not be made has an error of its own, with its place.
fn in_another_graph(piece: &str, error: Error) -> Error {
    match error.location() {
        Some(_) => error,
        None => Error::value(format!("the {piece} of the scaffold is in another graph: {}", error.message())),
    }
}
