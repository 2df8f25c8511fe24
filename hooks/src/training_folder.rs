//! The folder that a session saves into, which no other training may use at the same time.

use checkpoint::storage::LocalStorage;
use checkpoint::{FolderClaim, GraphSaver, SAVERS};
use queue_runner::StopHandle;
use session_core::{Graph, Phase, Result};
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

    /// Claims a folder before anything is trained, so that a conflict is reported now and not by the first save.
    pub(crate) fn take(&mut self, graph: &Graph, saver: Option<&GraphSaver>, directory: &Path) -> Result<()> {
        let found = graph.collection(&SAVERS);
        let saver = saver.or(found.first());
        if saver.is_some_and(|saver| !saver.saver().options().locks()) {
            return Ok(());
        }
        let storage = saver.map_or_else(LocalStorage::shared, |saver| saver.saver().storage().clone());
        // Two sessions of one graph differ in the handle that stops them.
        let session = format!("{:?} {}", graph.id(), self.stop.id());
        let claim = FolderClaim::take(&storage, directory, &session);
        self.claim = Some(claim.map_err(|error| session_core::Error::from(error).with_phase(Phase::Build))?);
        Ok(())
    }

    /// Releases the folder at the end of the session, which may outlive its training.
    pub(crate) fn release(&mut self) {
        self.claim = None;
    }
}
