//! Warnings about work that a restarted session would not find.

use crate::hook_set::HookSet;
use checkpoint::is_same_folder;
use log::warn;
use scaffold::CheckpointSource;
use session_core::Graph;
use session_core::keys::TRAIN_OP;
use std::path::PathBuf;
use tensor::text::escaped;

/// A folder that a session restores from, and into which nothing saves.
#[derive(Debug)]
pub(crate) struct Unsaved {
    folder: PathBuf,
    /// The global step at the start. Only a session that advances it has work to lose; evaluations have none.
    step: Option<i64>,
}

/// Compares the folder that a session restores from with those into which its hooks save, and warns of checkpoints that would
/// not be found again. Returns the folder of the restore if nothing saves into it.
pub(crate) fn find(source: Option<&CheckpointSource>, hooks: &HookSet) -> Option<PathBuf> {
    // A dry run saves nothing, and says so itself.
    let source = source.filter(|_| !hooks.is_dry())?;
    let from = match source {
        CheckpointSource::Directory(folder) => Some(folder),
        _ => None,
    };
    if from.is_some_and(|from| hooks.saved_into().any(|into| is_same_folder(from, into))) {
        return None;
    }
    let begins = match source {
        CheckpointSource::None => "starts from the initial values".to_owned(),
        CheckpointSource::Directory(path) | CheckpointSource::File(path) => {
            format!("continues from '{}'", escaped(path.display()))
        }
    };
    // Nothing saves at all. Whether that matters is known once the first run has trained.
    let Some(into) = hooks.saved_into().next() else { return from.cloned() };
    let into = escaped(into.display());
    warn!(
        "checkpoints are saved to '{into}', but the session does not restore from there: when the program is started again, \
        it {begins} and does not find what it has saved; add .checkpoint_dir(\"{into}\") to the session's builder to \
        continue from the newest checkpoint"
    );
    None
}

impl Unsaved {
    pub(crate) fn new(folder: PathBuf, step: Option<i64>) -> Unsaved {
        Unsaved { folder, step }
    }

    /// Warns if the first run has trained: advanced the global step or, in a graph without one, possibly run an optimizer.
    #[cold]
    pub(crate) fn after_first_run(self, graph: &Graph, step: Option<i64>) {
        let trained = match step {
            // A run that does not advance the step, such as one of an evaluation, has nothing to lose.
            Some(_) => step != self.step,
            None => !graph.collection(&TRAIN_OP).is_empty(),
        };
        if trained {
            let folder = escaped(self.folder.display());
            warn!(
                "the session restores from '{folder}', but nothing saves to it: its training is lost when it ends; \
                add CheckpointSaverHook::every_steps(\"{folder}\", ..), or use MonitoredTrainingSession"
            );
        }
    }
}
