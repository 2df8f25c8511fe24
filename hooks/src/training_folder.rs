//! The folder that a session saves into, which no other training may have meanwhile.

use checkpoint::storage::LocalStorage;
use checkpoint::{FolderClaim, GraphSaver, SAVERS};
use queue_runner::StopHandle;
use session_core::{Graph, Phase, Result};
use std::path::Path;

/// A hook's claim to a folder. All hooks of one session share the folders that one of them has.
#[derive(Debug, Default)]
pub(crate) struct TrainingFolder {
    /// By which the session is known.
    stop: StopHandle,
    claim: Option<FolderClaim>,
}

impl TrainingFolder {
    pub(crate) fn attach(&mut self, stop: &StopHandle) {
        self.stop = stop.clone();
    }

    /// Takes a folder before anything is trained: who else has it is known now, and not at the first save.
    pub(crate) fn take(&mut self, graph: &Graph, saver: Option<&GraphSaver>, directory: &Path) -> Result<()> {
        let found = graph.collection(&SAVERS);
        let saver = saver.or(found.first());
        if saver.is_some_and(|saver| !saver.saver().options().locks()) {
            return Ok(());
        }
        let storage = saver.map_or_else(LocalStorage::shared, |saver| saver.saver().storage().clone());
        // A session of the same graph is another one if another handle stops it.
        let session = format!("{:?} {}", graph.id(), self.stop.id());
        let claim = FolderClaim::take(&storage, directory, &session);
        self.claim = Some(claim.map_err(|error| session_core::Error::from(error).with_phase(Phase::Build))?);
        Ok(())
    }

    /// Gives the folder back at the end of the session, which may live on.
    pub(crate) fn release(&mut self) {
        self.claim = None;
    }
}
