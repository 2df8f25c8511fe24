//! Saving checkpoints.

use crate::events::{EventTarget, announce_checkpoint, flush_before_checkpoint};
use crate::graph_files::{GRAPH_FILE, GraphFiles};
use crate::step::{GlobalStep, begun};
use crate::training_folder::TrainingFolder;
use crate::{
    CheckpointSaverListener, Clock, HookState, Milestone, Moment, SavePoint, SecondOrStepTimer,
    SessionRunArgs, SessionRunContext, SessionRunHook, SessionRunValues,
};
use checkpoint::{GraphSaver, SAVERS, SaveOptions, SaverOptions, checkpoint_exists_with, same_checkpoint};
use queue_runner::StopHandle;
use session_core::{Error, ErrorKind, Graph, Phase, Result, Session};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use summary::EventWriter;
use tensor::text::escaped;

const NAME: &str = "CheckpointSaverHook";

/// Saves a checkpoint every `n` steps or seconds, when the session is created, and at a clean end (S-340 to S-351).
///
/// A checkpoint holds the variables, the state of the session (such as its random operations) and the states of all
/// hooks, all of the same step: it is written at a [save point](SessionRunHook::at_save_point), which follows the
/// `after_run` of all hooks.
///
/// # When it saves
///
/// - When a session is created, also in a recovery (S-342). The exception is a session that was restored from the very
///   checkpoint that would be written, whichever program wrote it. TensorFlow writes that checkpoint again (Q-36);
///   [`save_after_restore`](CheckpointSaverHook::save_after_restore) does so too.
/// - After a run in which the step reached the interval (S-343): with an interval of 2 steps, a training from step 0 to 5
///   leaves checkpoints of 0, 2, 4 and 5 (S-349). With an interval of time, nothing is saved while the step does not
///   change. If runs advance the step by more than one, the largest advance so far decides which runs may reach the
///   interval; the first run of a session shows it. A jump that is larger than all before may be noticed one run late (see
///   [`steps_per_run`](CheckpointSaverHook::steps_per_run)).
/// - At a clean end, unless the last step is saved already (S-344). After an error nothing is saved (S-345), unless
///   [`save_on_error`](CheckpointSaverHook::save_on_error) is on.
///
/// # The order of one save
///
/// 1. The `before_save` of all listeners.
/// 2. A flush of the events so far, so that a run that resumes from the checkpoint misses none that are older. Errors of the
///    event file are logged and prevent no save; another event file is then started.
/// 3. The save itself. It is atomic: the checkpoint exists completely or not at all.
/// 4. An event `CHECKPOINT` with the checkpoint's path and step, and a flush. TensorFlow's event has no step and stays in
///    memory (Q-37).
/// 5. The `after_save` of all listeners. A listener can request a stop after every save except the last; TensorFlow
///    ignores the request after the first save (Q-36).
///
/// # The folder
///
/// No other training may use the folder while the session exists, neither in this process nor in another. The second one
/// fails when it is built, before it trains anything, with an error that names the process that uses the folder, and since when.
///
/// # The saver
///
/// The hook saves with the saver given to [`saver`](CheckpointSaverHook::saver). Otherwise it uses the saver of the session's
/// scaffold, which also restores. In a session without a scaffold it uses the saver in the graph's collection `savers`. If
/// that is empty too, TensorFlow fails; this hook creates a saver for all global variables that keeps five checkpoints
/// (S-348).
///
/// # Errors
///
/// `begin`: a runtime error if the graph has no global step; a failed precondition if another training uses the folder; the
/// errors of opening the event file. When a session is created: a runtime error if the graph has several savers. Each save: the
/// errors of [`GraphSaver::save`] and of listeners. Earlier checkpoints remain.
///
/// ```
/// use hooks::CheckpointSaverHook;
/// use std::time::Duration;
/// # let directory = tempfile::tempdir().unwrap();
/// let every_100_steps = CheckpointSaverHook::every_steps(directory.path(), 100);
/// let every_10_minutes = CheckpointSaverHook::every_secs(directory.path(), Duration::from_secs(600));
/// ```
pub struct CheckpointSaverHook {
    directory: PathBuf,
    basename: String,
    timer: SecondOrStepTimer,
    saver: Option<GraphSaver>,
    listeners: Vec<Box<dyn CheckpointSaverListener>>,
    save_after_restore: bool,
    save_on_error: bool,
    background: bool,
    save_graph_def: bool,
    graph_files: GraphFiles,
    dry: bool,
    folder: TrainingFolder,
    /// The largest known advance of the step in one run.
    advance: i64,
    /// True if `advance` was given, or a run that changed the step has shown it.
    is_advance_known: bool,
    /// The step of the new session, as long as no run that changed it has shown the advance.
    first: Option<i64>,
    found: Option<Found>,
    /// The step before the last run, if the hook follows the step.
    before: Option<i64>,
    /// The checkpoint that the session was restored from, until the first save point uses it.
    restored: Option<PathBuf>,
    /// The step that is being saved, was saved last, or was restored.
    saving: Option<i64>,
    /// A save in the background that has not been seen to end.
    pending: Option<Pending>,
    /// True if the error that ends the session means that the model is broken, such as a NaN loss.
    broken: bool,
}

/// Objects that `begin` found.
struct Found {
    step: GlobalStep,
    writer: Arc<EventWriter>,
}

struct Pending {
    step: i64,
    prefix: PathBuf,
}

impl CheckpointSaverHook {
    /// Saves into `directory` every `steps` steps.
    ///
    /// ```
    /// use hooks::CheckpointSaverHook;
    /// let hook = CheckpointSaverHook::every_steps("run", 1000);
    /// ```
    #[must_use]
    pub fn every_steps(directory: impl AsRef<Path>, steps: u64) -> CheckpointSaverHook {
        CheckpointSaverHook::of(directory.as_ref(), SecondOrStepTimer::every_steps(steps))
    }

    /// Saves into `directory` each time this much time has passed.
    ///
    /// ```
    /// use hooks::CheckpointSaverHook;
    /// use std::time::Duration;
    /// let hook = CheckpointSaverHook::every_secs("run", Duration::from_secs(600));
    /// ```
    #[must_use]
    pub fn every_secs(directory: impl AsRef<Path>, time: Duration) -> CheckpointSaverHook {
        CheckpointSaverHook::of(directory.as_ref(), SecondOrStepTimer::every_secs(time))
    }

    /// Saves into `directory` whenever the timer is due: for example by steps and by time (Q-41), or only at the beginning
    /// and at the end.
    ///
    /// ```
    /// use hooks::{CheckpointSaverHook, SecondOrStepTimer};
    /// let hook = CheckpointSaverHook::with_timer("run", SecondOrStepTimer::never());
    /// ```
    #[must_use]
    pub fn with_timer(directory: impl AsRef<Path>, timer: SecondOrStepTimer) -> CheckpointSaverHook {
        CheckpointSaverHook::of(directory.as_ref(), timer)
    }

    fn of(directory: &Path, timer: SecondOrStepTimer) -> CheckpointSaverHook {
        log::info!("Create CheckpointSaverHook.");
        CheckpointSaverHook {
            directory: directory.to_path_buf(),
            basename: "model.ckpt".to_owned(),
            timer,
            saver: None,
            listeners: Vec::new(),
            save_after_restore: false,
            save_on_error: false,
            background: false,
            save_graph_def: true,
            graph_files: GraphFiles::default(),
            dry: false,
            folder: TrainingFolder::default(),
            advance: 1,
            is_advance_known: false,
            first: None,
            found: None,
            before: None,
            restored: None,
            saving: None,
            pending: None,
            broken: false,
        }
    }

    /// Saves with this saver. Default: the saver of the session's scaffold.
    #[must_use]
    pub fn saver(mut self, saver: GraphSaver) -> CheckpointSaverHook {
        self.saver = Some(saver);
        self
    }

    /// Sets the name of checkpoints, without the step. Default: `model.ckpt`.
    ///
    /// ```
    /// use hooks::CheckpointSaverHook;
    /// let hook = CheckpointSaverHook::every_steps("run", 1000).basename("digits.ckpt");
    /// ```
    #[must_use]
    pub fn basename(mut self, name: impl Into<String>) -> CheckpointSaverHook {
        self.basename = name.into();
        self
    }

    /// Adds a listener, after those already added.
    ///
    /// ```
    /// use hooks::{CheckpointSaverHook, CheckpointSaverListener};
    /// struct Quiet;
    /// impl CheckpointSaverListener for Quiet {}
    /// let hook = CheckpointSaverHook::every_steps("run", 1000).listener(Quiet);
    /// ```
    #[must_use]
    pub fn listener(mut self, listener: impl CheckpointSaverListener + 'static) -> CheckpointSaverHook {
        self.listeners.push(Box::new(listener));
        self
    }

    /// Sets whether a checkpoint that was just restored is written again (S-342). Default: `false`; TensorFlow: `true`.
    ///
    /// ```
    /// use hooks::CheckpointSaverHook;
    /// let hook = CheckpointSaverHook::every_steps("run", 1000).save_after_restore(true);
    /// ```
    #[must_use]
    pub fn save_after_restore(mut self, save: bool) -> CheckpointSaverHook {
        self.save_after_restore = save;
        self
    }

    /// Sets whether the session is saved when an error ends it, so that no work since the last checkpoint is lost (Q-11). A
    /// failed step may have updated only some of the variables. After a NaN or infinite loss nothing is saved. If this save
    /// fails, its error is logged. Default: `false`, as in TensorFlow.
    ///
    /// ```
    /// use hooks::CheckpointSaverHook;
    /// let hook = CheckpointSaverHook::every_steps("run", 1000).save_on_error(true);
    /// ```
    #[must_use]
    pub fn save_on_error(mut self, save: bool) -> CheckpointSaverHook {
        self.save_on_error = save;
        self
    }

    /// Sets whether the training continues while files are written. The checkpoint holds the state at the start of the save.
    /// The listeners' `after_save` and the event follow at the first save point after the checkpoint is complete, which also
    /// returns any error of the save. The hook waits before the next save and at the end. Default: `false`.
    ///
    /// ```
    /// use hooks::CheckpointSaverHook;
    /// let hook = CheckpointSaverHook::every_steps("run", 1000).background(true);
    /// ```
    #[must_use]
    pub fn background(mut self, background: bool) -> CheckpointSaverHook {
        self.background = background;
        self
    }

    /// Sets whether the graph is written next to the checkpoints (in their `.meta` files and as `graph.pbtxt`) and to the
    /// event file. Default: `true`.
    ///
    /// ```
    /// use hooks::CheckpointSaverHook;
    /// let hook = CheckpointSaverHook::every_steps("run", 1000).save_graph_def(false);
    /// ```
    #[must_use]
    pub fn save_graph_def(mut self, save: bool) -> CheckpointSaverHook {
        self.save_graph_def = save;
        self
    }

    /// Sets by how much a run may advance the step, for loops that make many steps in one run (S-351). The value only decides
    /// when the hook reads the step. Default: learned from the runs, beginning with the first one. Values below 1 count as 1.
    ///
    /// ```
    /// use hooks::CheckpointSaverHook;
    /// let hook = CheckpointSaverHook::every_steps("run", 1000).steps_per_run(50);
    /// ```
    #[must_use]
    pub fn steps_per_run(mut self, steps: i64) -> CheckpointSaverHook {
        self.advance = steps.max(1);
        self.is_advance_known = true;
        self
    }

    /// Measures time with this clock. Default: the system's monotonic clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> CheckpointSaverHook {
        self.timer = self.timer.clock(clock);
        self
    }

    fn found(&self) -> Result<&Found> {
        begun(&self.found, NAME)
    }

    fn base(&self) -> PathBuf {
        self.directory.join(&self.basename)
    }

    fn saver_of(&mut self, point: &SavePoint<'_>) -> Result<GraphSaver> {
        // The scaffold's saver comes before the graph's collection: it is also the one that restores, so
        // both use the same names and files.
        if let Some(saver) = self.saver.as_ref().or(point.saver()) {
            return Ok(saver.clone());
        }
        let mut savers = point.session().graph().collection(&SAVERS);
        // Choosing one of several savers would be a guess about which variables a restore needs.
        if savers.len() > 1 {
            let text = format!("More than one item in collection '{}'", SAVERS.name());
            return Err(Error::runtime(text));
        }
        let saver =
            savers.pop().unwrap_or_else(|| GraphSaver::new(SaverOptions::new().create_directory(true)));
        // Kept, so that all saves of this session share one list of recent checkpoints.
        self.saver = Some(saver.clone());
        Ok(saver)
    }

    fn prefix_of(&self, step: i64) -> PathBuf {
        self.directory.join(format!("{}-{step}", self.basename))
    }

    /// Returns the checkpoint that the session was just restored from, if a save of this step would write the same.
    fn restored_from(&mut self, saver: &GraphSaver, step: i64) -> Result<Option<PathBuf>> {
        // `take`: the comparison holds only for the first save of a session. After further steps the same
        // path would mean different values.
        let Some(restored) = self.restored.take() else { return Ok(None) };
        let saver = saver.saver();
        let prefix = saver.prefix(self.base(), Some(step));
        let prefix = prefix.map_err(|error| Error::from(error).with_phase(Phase::Save))?;
        Ok(Some(restored).filter(|restored| same_checkpoint(saver.storage().as_ref(), restored, &prefix)))
    }

    fn created(&mut self, point: &mut SavePoint<'_>) -> Result<()> {
        let saver = self.saver_of(point)?;
        let step = self.found()?.step.now(point.session())?;
        // The step of a lost session is not the one before the next run.
        self.before = None;
        // With an interval of time only, the advance decides nothing.
        self.first = (self.timer.counts_steps() && !self.is_advance_known).then_some(step);
        if self.save_graph_def {
            let writer = begun(&self.found, NAME)?.writer.clone();
            let folder = (!self.dry).then_some(self.directory.as_path());
            self.graph_files.write(point.session().graph(), &saver, (&writer, step), folder)?;
        }
        match self.restored_from(&saver, step)?.filter(|_| !self.save_after_restore) {
            Some(prefix) => {
                // Counts as saved, so that a training without a step does not write the same checkpoint at
                // its end.
                self.saving = Some(step);
                self.listeners.iter_mut().for_each(|listener| listener.on_checkpoint(step, &prefix));
            }
            None => self.save(&saver, step, point)?,
        }
        // The interval starts at the step of the new session. After a recovery it would otherwise start
        // at a step that is ahead of the session.
        self.timer.update(step);
        Ok(())
    }

    /// Kept out of the path of ordinary steps.
    #[cold]
    fn due(&mut self, point: &mut SavePoint<'_>) -> Result<()> {
        // The step that was fetched with the run may be the one before the update, so the real one is
        // read. This costs a run, which `may_trigger` limits to the neighborhood of the interval.
        let step = self.found()?.step.now(point.session())?;
        // A run that changes nothing, such as an evaluation, shows no advance.
        if let Some(first) = self.first.take_if(|first| *first != step) {
            self.advance = self.advance.max(step.saturating_sub(first));
            self.is_advance_known = true;
        }
        if !self.timer.should_trigger(step) {
            return Ok(());
        }
        // Before the save, as in TensorFlow: a save that fails does not become due again in the very next
        // step.
        self.timer.update(step);
        let saver = self.saver_of(point)?;
        self.save(&saver, step, point)
    }

    fn last(&mut self, point: &mut SavePoint<'_>) -> Result<()> {
        let saver = self.saver_of(point)?;
        let step = self.found()?.step.now(point.session())?;
        // An error of a save in the background is reported below, even if the last step counts as saved.
        if self.saving != Some(step) {
            self.save(&saver, step, point)?;
            self.timer.update(step);
        }
        self.finish_pending(&saver, point)
    }

    /// Saves as much as possible. The caller already has an error to report.
    fn failed(&mut self, point: &mut SavePoint<'_>) {
        // A NaN in the variables cannot be trained away, so such a checkpoint would only replace a usable
        // one. Without a first save the session never finished its creation, and its variables may not be
        // restored yet.
        if !self.save_on_error || self.broken || self.saving.is_none() {
            return;
        }
        if let Err(error) = self.last(point) {
            // The error that ended the session is the one that the program must see; this one would hide
            // it.
            log::error!("could not save after an error: {}", error.chain());
        }
    }

    /// Saves once, with everything that surrounds the save (S-346).
    fn save(&mut self, saver: &GraphSaver, step: i64, point: &mut SavePoint<'_>) -> Result<()> {
        // The saver writes one checkpoint at a time. Waiting here keeps the order of events and of calls
        // to listeners equal to the order of steps.
        if self.pending.is_some() {
            self.finish_pending(saver, point)?;
        }
        let session = point.session();
        log::info!("Calling checkpoint listeners before saving checkpoint {step}...");
        for listener in &mut self.listeners {
            listener.before_save(session, step)?;
        }
        log::info!("Saving checkpoints for {step} into {}...", escaped(self.base().display()));
        // Events are flushed before the checkpoint exists: a process that dies in between leaves events
        // that are written again, which TensorBoard tolerates, rather than a gap.
        flush_before_checkpoint(Some(&self.found()?.writer));
        // Set before the files are written, so that a save that failed is not tried again at the same
        // step when the session fails.
        self.saving = Some(step);
        // The states include this hook's own, which the save point collects while it is borrowed mutably
        // here; hence the argument.
        let states = point.hook_states(self).into_iter();
        let states: Vec<_> = states.map(|HookState { name, bytes }| (name, bytes)).collect();
        let (base, mut options) = (self.base(), SaveOptions::new());
        if self.save_graph_def
            && let Some(meta) = self.graph_files.meta_graph(session.graph(), saver)
        {
            options = options.meta_graph(meta);
        }
        if self.dry {
            // Everything except the files.
            session.export_state()?;
            log::info!("Dry run: the checkpoint is not written.");
            return self.saved(step, &self.prefix_of(step), point);
        }
        if self.background {
            // The values are captured before this call returns, so the next step may change the
            // variables.
            let prefix = saver.save_in_background(session, base, Some(step), states, options)?;
            self.pending = Some(Pending { step, prefix });
            return Ok(());
        }
        let prefix = saver.save_with(session, base, Some(step), states, options)?;
        self.saved(step, &prefix, point)
    }

    /// Announces a complete checkpoint to events and listeners.
    fn saved(&mut self, step: i64, prefix: &Path, point: &mut SavePoint<'_>) -> Result<()> {
        announce_checkpoint(&self.found()?.writer, prefix, step);
        log::info!("Calling checkpoint listeners after saving checkpoint {step}...");
        let mut stop = false;
        for listener in &mut self.listeners {
            listener.on_checkpoint(step, prefix);
            // `|=` rather than `||`: every listener is called, also after one that requested a stop.
            stop |= listener.after_save(point.session(), step)?;
        }
        if stop {
            log::info!("A CheckpointSaverListener requested that training be stopped.");
            point.request_stop(format!("a checkpoint listener requested it at step {step}"));
        }
        Ok(())
    }

    /// Waits for the save in the background, and announces its checkpoint if it was written.
    fn finish_pending(&mut self, saver: &GraphSaver, point: &mut SavePoint<'_>) -> Result<()> {
        // Taken before the result is known: the saver reports a failure once, and a later call must not take
        // the checkpoint for a complete one.
        let pending = self.pending.take();
        saver.wait()?;
        let Some(Pending { step, prefix }) = pending else { return Ok(()) };
        // Another hook of the session may save with the same saver, and got the error of this save.
        if !checkpoint_exists_with(saver.saver().storage().as_ref(), &prefix) {
            log::warn!("The checkpoint {} is not there any more.", escaped(prefix.display()));
            return Ok(());
        }
        self.saved(step, &prefix, point)
    }

    #[cold]
    fn poll_pending(&mut self, point: &mut SavePoint<'_>) -> Result<()> {
        let saver = self.saver_of(point)?;
        // Never waits here: the point of a save in the background is that steps do not wait for the disk.
        if saver.saver().is_saving() {
            return Ok(());
        }
        self.finish_pending(&saver, point)
    }
}

impl SessionRunHook for CheckpointSaverHook {
    fn dry_run(&mut self) {
        self.dry = true;
        self.listeners.iter_mut().for_each(|listener| listener.dry_run());
    }

    fn attach(&mut self, stop: &StopHandle) {
        self.folder.attach(stop);
    }

    fn begin(&mut self, graph: &Graph) -> Result<()> {
        // Before the folder is taken and files are created: a graph without a global step must leave
        // nothing behind.
        let step = GlobalStep::of(graph, NAME)?;
        let mut target = EventTarget::Directory(self.directory.clone());
        if self.dry {
            target.discard();
        } else {
            // `graph.pbtxt` is checked along with the checkpoints, but only if the hook writes it.
            let others: &[&str] = if self.save_graph_def { &[GRAPH_FILE] } else { &[] };
            self.folder.take(graph, self.saver.as_ref(), (&self.directory, &self.basename), others)?;
        }
        let writer = target.open()?;
        self.found = writer.map(|writer| Found { step, writer });
        self.timer.reset();
        // Last, so that a listener that writes into the folder finds it locked.
        self.listeners.iter_mut().try_for_each(|listener| listener.begin())
    }

    fn before_run(&mut self, _: &mut SessionRunContext<'_>) -> Result<Option<SessionRunArgs>> {
        // With an interval of time only, the step is read once the time has passed.
        let followed = self.found.as_ref().filter(|_| self.timer.counts_steps());
        Ok(followed.map(|found| SessionRunArgs::new().fetch(found.step.read())))
    }

    fn after_run(&mut self, _: &mut SessionRunContext<'_>, values: &SessionRunValues<'_>) -> Result<()> {
        if let Some(value) = values.get(0) {
            let step = value.as_scalar_i64()?;
            let advance = self.before.map_or(0, |before| step.saturating_sub(before));
            self.advance = self.advance.max(advance);
            self.before = Some(step);
        }
        Ok(())
    }

    fn at_save_point(&mut self, point: &mut SavePoint<'_>) -> Result<()> {
        match point.moment() {
            Moment::Step => {
                // Before the next save may start, so that the completed checkpoint is announced first.
                if self.pending.is_some() {
                    self.poll_pending(point)?;
                }
                // A comparison of two numbers decides for almost all steps; only the few near the
                // interval read the step, and the first one, to learn by how much a run advances it.
                if self.first.is_some() || self.timer.may_trigger(self.before.unwrap_or(0), self.advance) {
                    return self.due(point);
                }
                Ok(())
            }
            Moment::Created => self.created(point),
            Moment::End => self.last(point),
            Moment::Failed => {
                self.failed(point);
                self.folder.release();
                Ok(())
            }
        }
    }

    fn end(&mut self, session: &dyn Session) -> Result<()> {
        let step = match self.saving {
            // At a clean end the last save has set the step, which saves a run.
            Some(step) => step,
            None => self.found()?.step.now(session)?,
        };
        // Before the listeners, whose failure must not leave the folder locked.
        self.folder.release();
        self.listeners.iter_mut().try_for_each(|listener| listener.end(session, step))
    }

    fn on_error(&mut self, error: &Error) {
        // Reported before the save point of the failure, where `failed` needs it.
        self.broken = error.kind() == ErrorKind::NanLoss;
    }

    fn on_milestone(&mut self, milestone: &Milestone<'_>) {
        match milestone {
            // Remembered instead of compared at once: the saver of the session is known only at the save
            // point.
            Milestone::Restored(report) => self.restored = Some(report.prefix.clone()),
            // A session that a recovery could not replace has no save point any more.
            Milestone::Abandoned => self.folder.release(),
            _ => {}
        }
    }

    fn saves_into(&self) -> Option<&Path> {
        Some(&self.directory)
    }
}

impl fmt::Debug for CheckpointSaverHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(NAME)
            .field("directory", &self.directory)
            .field("basename", &self.basename)
            .field("timer", &self.timer)
            .field("listeners", &self.listeners.len())
            .finish_non_exhaustive()
    }
}
