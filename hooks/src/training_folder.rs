//! The folder that a session saves into, which no other training may use at the same time.

use checkpoint::storage::check_file;
use checkpoint::{FolderClaim, GraphSaver, SAVERS, Saver, SaverOptions};
use queue_runner::StopHandle;
use session_core::{Error, Graph, GraphMember, Phase, Result};
use std::path::Path;

/// The claim of a hook to a folder. All hooks of one session share the claims of the session.
#[derive(Debug, Default)]
pub(crate) struct TrainingFolder {
    /// Identifies the session.
    stop: StopHandle,
    claim: Option<FolderClaim>,
}

impl TrainingFolder {
    pub(crate) fn attach(&mut self, stop: &StopHandle) {
        self.stop = stop.clone();
    }

    /// Claims a folder before anything is trained, and checks that checkpoints of this name and these other files can be written
    /// into it, so that a conflict, or a saver of another graph, is reported now and not by the first save.
    pub(crate) fn take(
        &mut self,
        graph: &Graph,
        saver: Option<&GraphSaver>,
        (directory, basename): (&Path, &str),
        others: &[&str],
    ) -> Result<()> {
        let found = graph.collection(&SAVERS);
        saver.check_belongs_to(graph)?;
        let default = Saver::new(SaverOptions::new().create_directory(true));
        let saver = saver.or(found.first()).map_or(&default, |saver| saver.saver());
        let failed = |error: checkpoint::Error| Error::from(error).with_phase(Phase::Build);
        // A program may turn locks off, for storage that has none.
        if saver.options().locks() {
            // Two sessions of one graph differ in the handle that stops them.
            let session = format!("{:?} {}", graph.id(), self.stop.id());
            let claim = FolderClaim::take(saver.storage(), directory, &session);
            self.claim = Some(claim.map_err(failed)?);
        }
        let mut others = others.iter().map(|name| directory.join(name));
        let checked = saver
            .check(directory.join(basename))
            .and_then(|()| others.try_for_each(|other| check_file(saver.storage().as_ref(), other)));
        // A training that is not built must not keep the folder from the next attempt.
        if checked.is_err() {
            self.claim = None;
        }
        checked.map_err(failed)
    }

    /// Releases the folder at the end of the session, which may outlive its training.
    pub(crate) fn release(&mut self) {
        self.claim = None;
    }
}
