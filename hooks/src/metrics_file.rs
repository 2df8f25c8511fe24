//! Metrics in a text file.

mod rows;

use crate::cadence::Cadence;
use crate::own_file::check_own_file;
use crate::tensor_ref::resolve_all;
use crate::{
    SecondOrStepTimer, SessionRunArgs, SessionRunContext, SessionRunHook, SessionRunValues, TensorRef,
};
use checkpoint::storage::replace_file;
use queue_runner::Coordinator;
use rows::Format;
use session_core::{Code, Error, Graph, Result, Session};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const NAME: &str = "MetricsFileHook";

/// Writes the values of tensors to a text file every `n` steps, as comma-separated values or JSON lines.
///
/// Each row has the step after the run and one number for each tensor, with enough digits to read back the same number. The
/// hook writes the first run, and then the runs whose step is due, also across interruptions. Each row is in the file as
/// soon as its run ends.
///
/// When a session is created, rows of later steps are removed: an interrupted training wrote them, and the resumed one
/// will write them again. The file of an interrupted training is therefore the same as that of an uninterrupted one.
///
/// # Errors
///
/// `begin`: a runtime error if the graph has no global step; the errors of [`TensorRef::resolve`]. When a session is created:
/// if the file cannot be read or written; a value error if the file has other columns. Runs: if the file cannot be written;
/// a value error for a tensor that is not a single number.
///
/// ```
/// use hooks::MetricsFileHook;
/// # let directory = tempfile::tempdir().unwrap();
/// # let directory = directory.path();
/// let hook = MetricsFileHook::csv(directory.join("metrics.csv"), 100).tensor("loss", "loss:0");
/// let hook = MetricsFileHook::json_lines(directory.join("metrics.jsonl"), 100).tensor("loss", "loss:0");
/// ```
#[derive(Debug)]
pub struct MetricsFileHook {
    path: PathBuf,
    format: Format,
    cadence: Cadence,
    tensors: Vec<(String, TensorRef)>,
    file: Option<Box<dyn RowSink>>,
    dry: bool,
}

/// The destination of rows.
trait RowSink: Write + Send + std::fmt::Debug {}

impl RowSink for File {}
impl RowSink for io::Sink {}

impl MetricsFileHook {
    /// Writes comma-separated values with a header line, every `steps` steps. NaN and infinity become `NaN` and `inf`.
    ///
    /// ```
    /// use hooks::MetricsFileHook;
    /// let hook = MetricsFileHook::csv("run/metrics.csv", 100).tensor("loss", "loss:0");
    /// ```
    #[must_use]
    pub fn csv(path: impl AsRef<Path>, steps: u64) -> MetricsFileHook {
        MetricsFileHook::of(path.as_ref(), Format::Csv, steps)
    }

    /// Writes one JSON object per line, every `steps` steps. NaN and infinity become `null`.
    ///
    /// ```
    /// use hooks::MetricsFileHook;
    /// let hook = MetricsFileHook::json_lines("run/metrics.jsonl", 100).tensor("loss", "loss:0");
    /// ```
    #[must_use]
    pub fn json_lines(path: impl AsRef<Path>, steps: u64) -> MetricsFileHook {
        MetricsFileHook::of(path.as_ref(), Format::JsonLines, steps)
    }

    fn of(path: &Path, format: Format, steps: u64) -> MetricsFileHook {
        MetricsFileHook {
            path: path.to_path_buf(),
            format,
            cadence: Cadence::new(NAME, SecondOrStepTimer::every_steps(steps)),
            tensors: Vec::new(),
            file: None,
            dry: false,
        }
    }

    /// Adds a column.
    ///
    /// ```
    /// use hooks::MetricsFileHook;
    /// let hook = MetricsFileHook::csv("run/metrics.csv", 100).tensor("loss", "loss:0").tensor("accuracy", "accuracy:0");
    /// ```
    #[must_use]
    pub fn tensor(mut self, tag: impl Into<String>, tensor: impl Into<TensorRef>) -> MetricsFileHook {
        self.tensors.push((tag.into(), tensor.into()));
        self
    }

    fn failed(&self, action: &str) -> impl Fn(io::Error) -> Error + use<> {
        // The text is built early, so that the closure does not borrow the hook while its file is
        // borrowed mutably.
        let text = format!("could not {action} {}", self.path.display());
        move |error| Error::new(Code::Unknown, text.clone()).with_source(error)
    }

    fn header(&self) -> Option<String> {
        self.format.header(self.tensors.iter().map(|(tag, _)| tag.as_str()))
    }

    /// Opens the file for further rows, and keeps those up to this step.
    fn open(&self, step: i64) -> Result<File> {
        let known = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(self.failed("read")(error)),
        };
        let kept = self
            .format
            .up_to(&known, self.header().as_deref(), step)
            .map_err(|what| Error::value(format!("{} {what}", self.path.display())))?;
        // A file that needs no change keeps its inode, which programs such as `tail -f` follow.
        if kept != known {
            // At once, so that an interruption loses no row.
            replace_file(&self.path, kept.as_bytes())?;
        }
        // Opened in append mode: every row goes to the end, wherever an editor or another process has
        // left the file.
        let file = OpenOptions::new().append(true).create(true).open(&self.path);
        file.map_err(self.failed("open"))
    }

    #[cold]
    fn write(&mut self, session: &dyn Session, values: &SessionRunValues<'_>) -> Result<()> {
        let step = self.cadence.reached(session)?;
        let tags = self.tensors.iter().map(|(tag, _)| tag.as_str());
        let row = self.format.row(step, tags.zip(Cadence::values(values)))?;
        let failed = self.failed("write");
        let file = self.file.as_mut().ok_or_else(|| Error::runtime(format!("{NAME} has no session yet")))?;
        // One write per row and no buffer: a row is in the file when its run ends, and a killed process
        // leaves at most one partial row, which `up_to` removes.
        file.write_all(row.as_bytes()).map_err(failed)
    }
}

impl SessionRunHook for MetricsFileHook {
    fn dry_run(&mut self) {
        self.dry = true;
    }

    fn begin(&mut self, graph: &Graph) -> Result<()> {
        if !self.dry {
            if let Some(directory) = self.path.parent() {
                fs::create_dir_all(directory).map_err(self.failed("create the directory of"))?;
            }
            // In `begin`, before anything is trained: a file that is not a regular file of this hook
            // would otherwise be truncated or followed.
            check_own_file(&self.path)?;
        }
        self.cadence.begin(graph, resolve_all(&self.tensors, graph))
    }

    fn after_create_session(&mut self, session: &dyn Session, _: &Coordinator) -> Result<()> {
        self.cadence.session_created(session)?;
        self.file = Some(match self.dry {
            true => Box::new(io::sink()),
            // Rows are cut at each creation of a session, so after a recovery the steps that are repeated
            // replace those that were lost.
            false => Box::new(self.open(self.cadence.now(session)?)?),
        });
        Ok(())
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
        if self.cadence.after_run(values)? { self.write(context.session(), values) } else { Ok(()) }
    }

    fn save_state(&self) -> Option<Vec<u8>> {
        self.cadence.save_state()
    }

    fn load_state(&mut self, state: &[u8]) -> Result<()> {
        self.cadence.load_state(state)
    }
}
