//! Warnings of work that a session started again would not find.

use crate::hook_set::HookSet;
use checkpoint::is_same_folder;
use log::warn;
use scaffold::CheckpointSource;
use session_core::Graph;
use session_core::keys::TRAIN_OP;
use std::path::PathBuf;

/// A folder that a session restores from, and into which nothing saves.
#[derive(Debug)]
pub(crate) struct Unsaved {
    folder: PathBuf,
    /// The global step at the beginning. Only a session that moves it has work to lose: evaluations have none.
    step: Option<i64>,
}

/// Compares the folder that a session restores from with those into which its hooks save, and warns of checkpoints that
/// would not be found again. Returns the folder restored from if nothing saves into it.
pub(crate) fn look(source: Option<&CheckpointSource>, hooks: &HookSet) -> Option<PathBuf> {
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
            format!("goes on from '{}'", path.display())
        }
    };
    let Some(into) = hooks.saved_into().next() else { return from.cloned() };
    let into = into.display();
    warn!(
        "checkpoints are saved into '{into}', but the session is not restored from there: started again the same way, \
         it {begins}, and does not find what it has saved; give the session's builder .checkpoint_dir(\"{into}\") to go \
         on from the newest checkpoint"
    );
    None
}

impl Unsaved {
    pub(crate) fn new(folder: PathBuf, step: Option<i64>) -> Unsaved {
        Unsaved { folder, step }
    }

    /// Warns if the first run has trained: moved the global step or, in a graph without one, may have run an optimizer.
    #[cold]
    pub(crate) fn after_first_run(self, graph: &Graph, step: Option<i64>) {
        let trained = match step {
            Some(_) => step != self.step,
            None => !graph.collection(&TRAIN_OP).is_empty(),
        };
        if trained {
            let folder = self.folder.display();
            warn!(
                "the session is restored from '{folder}', but nothing saves into it: what it trains is lost when it ends; \
                 add CheckpointSaverHook::every_steps(\"{folder}\", ..), or use MonitoredTrainingSession"
            );
        }
    }
}
