//! Exporters: what happens to a checkpoint after its evaluation.

use crate::exports::Exports;
use checkpoint::Better;
use session_core::{Error, Result};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use tensor::text::nearest;

/// An evaluated checkpoint, which an exporter may export.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Candidate<'e> {
    /// The prefix of the checkpoint.
    pub checkpoint: &'e Path,
    /// The global step of the checkpoint.
    pub step: i64,
    /// The results of the evaluation.
    pub metrics: &'e BTreeMap<String, f64>,
    /// True once the training has ended by itself. A checkpoint may be offered a second time for that reason alone.
    pub is_the_final_export: bool,
}

/// Exports checkpoints after their evaluation, see [`EvalSpec::exporter`](crate::EvalSpec::exporter).
///
/// [`LatestExporter`], [`BestExporter`] and [`FinalExporter`] are the usual ones. They call a function that writes one model:
/// it receives the prefix of the checkpoint and a folder that does not exist yet. `CheckpointExport` of the crate `saved-model`
/// is such a function for SavedModels.
///
/// ```
/// use monitored::{Candidate, Exporter};
/// use session_core::Result;
/// use std::path::{Path, PathBuf};
///
/// /// Prints the metrics and exports nothing.
/// struct Print;
///
/// impl Exporter for Print {
///     fn name(&self) -> &str {
///         "print"
///     }
///
///     fn export(&mut self, _export_path: &Path, candidate: &Candidate<'_>) -> Result<Option<PathBuf>> {
///         println!("step {}: {:?}", candidate.step, candidate.metrics);
///         Ok(None)
///     }
/// }
/// ```
pub trait Exporter: Send {
    /// Returns the name, which is that of the folder of the exports.
    fn name(&self) -> &str;

    /// Called before the training begins, with the folder of this exporter's exports, which may not exist. An exporter checks here
    /// that it will be able to write; `checkpoint::storage::check_future_folder` does it.
    ///
    /// # Errors
    /// Prevents the training.
    fn begin(&mut self, export_path: &Path) -> Result<()> {
        let _ = export_path;
        Ok(())
    }

    /// Exports a checkpoint if the exporter wants it, and returns the folder of the new export.
    ///
    /// # Errors
    /// Ends the training.
    fn export(&mut self, export_path: &Path, candidate: &Candidate<'_>) -> Result<Option<PathBuf>>;
}

/// Exports every evaluated checkpoint, and keeps the newest exports.
///
/// Each export is a folder named by the time in seconds, as serving systems expect. It is there completely or not at all. A
/// checkpoint that was exported before an interruption is not exported again.
///
/// ```
/// use monitored::LatestExporter;
/// let exporter = LatestExporter::new("latest", |checkpoint, folder| {
///     std::fs::create_dir(folder)?;
///     Ok(std::fs::write(folder.join("source"), checkpoint.to_string_lossy().as_bytes())?)
/// });
/// let exporter = exporter.exports_to_keep(3);
/// ```
#[derive(Debug)]
pub struct LatestExporter {
    exports: Exports,
}

impl LatestExporter {
    /// Creates an exporter with this name, which writes models with this function.
    ///
    /// ```
    /// use monitored::LatestExporter;
    /// let exporter = LatestExporter::new("latest", |_checkpoint, folder| Ok(std::fs::create_dir(folder)?));
    /// ```
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        write: impl FnMut(&Path, &Path) -> Result<()> + Send + 'static,
    ) -> LatestExporter {
        LatestExporter { exports: Exports::new(name.into(), Box::new(write)) }
    }

    /// Sets the number of the newest exports that are kept, at least one; `None` keeps all. Default: 5. Only folders that an exporter
    /// of this name wrote are removed.
    #[must_use]
    pub fn exports_to_keep(mut self, exports: impl Into<Option<usize>>) -> LatestExporter {
        self.exports.keep = exports.into();
        self
    }
}

impl Exporter for LatestExporter {
    fn name(&self) -> &str {
        &self.exports.name
    }

    fn begin(&mut self, export_path: &Path) -> Result<()> {
        self.exports.begin(export_path)
    }

    fn export(&mut self, export_path: &Path, candidate: &Candidate<'_>) -> Result<Option<PathBuf>> {
        self.exports.export(export_path, candidate, None)
    }
}

/// Exports a checkpoint whenever a metric reaches a new best value. The best value is kept with the exports, so a training
/// that is resumed continues the comparison.
///
/// ```
/// use checkpoint::Better;
/// use monitored::BestExporter;
/// let exporter = BestExporter::new("best", "accuracy", Better::Higher, |_checkpoint, folder| {
///     Ok(std::fs::create_dir(folder)?)
/// });
/// ```
#[derive(Debug)]
pub struct BestExporter {
    exports: Exports,
    metric: String,
    better: Better,
}

impl BestExporter {
    /// Creates an exporter with this name, which compares this metric and writes models with this function.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        metric: impl Into<String>,
        better: Better,
        write: impl FnMut(&Path, &Path) -> Result<()> + Send + 'static,
    ) -> BestExporter {
        let exports = Exports::new(name.into(), Box::new(write));
        BestExporter { exports, metric: metric.into(), better }
    }

    /// Sets the number of the best exports that are kept, at least one; `None` keeps all. Default: 5. Only folders that an exporter of
    /// this name wrote are removed.
    #[must_use]
    pub fn exports_to_keep(mut self, exports: impl Into<Option<usize>>) -> BestExporter {
        self.exports.keep = exports.into();
        self
    }

    /// Returns true if a value is better than the one of the last export. NaN never is.
    fn improves(&self, value: f64) -> bool {
        match (self.exports.last_value(), self.better) {
            (None, _) => !value.is_nan(),
            (Some(best), Better::Lower) => value < best,
            (Some(best), Better::Higher) => value > best,
        }
    }
}

impl Exporter for BestExporter {
    fn name(&self) -> &str {
        &self.exports.name
    }

    fn begin(&mut self, export_path: &Path) -> Result<()> {
        self.exports.begin(export_path)
    }

    fn export(&mut self, export_path: &Path, candidate: &Candidate<'_>) -> Result<Option<PathBuf>> {
        let metrics = candidate.metrics;
        let value = *metrics.get(&self.metric).ok_or_else(|| {
            // Suggests the nearest name, since a mistyped metric is the usual cause.
            let near = nearest(&self.metric, metrics.keys().map(String::as_str));
            let near = near.map(|near| format!("; is '{near}' meant?")).unwrap_or_default();
            let known: Vec<String> = metrics.keys().map(|name| format!("'{name}'")).collect();
            let (name, metric, known) = (&self.exports.name, &self.metric, known.join(", "));
            Error::key(format!(
                "the exporter '{name}' compares '{metric}', and the evaluation has no such metric{near} (of {known})"
            ))
        })?;
        if self.improves(value) { self.exports.export(export_path, candidate, Some(value)) } else { Ok(None) }
    }
}

/// Exports the last checkpoint of a training that has ended by itself. A training that a signal or a
/// [`StopHandle`](queue_runner::StopHandle) stops is not exported: it is expected to be resumed.
///
/// ```
/// use monitored::FinalExporter;
/// let exporter = FinalExporter::new("final", |_checkpoint, folder| Ok(std::fs::create_dir(folder)?));
/// ```
#[derive(Debug)]
pub struct FinalExporter {
    exports: Exports,
}

impl FinalExporter {
    /// Creates an exporter with this name, which writes models with this function.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        write: impl FnMut(&Path, &Path) -> Result<()> + Send + 'static,
    ) -> FinalExporter {
        let mut exports = Exports::new(name.into(), Box::new(write));
        // A training has one final export, so there is nothing to limit.
        exports.keep = None;
        FinalExporter { exports }
    }
}

impl Exporter for FinalExporter {
    fn name(&self) -> &str {
        &self.exports.name
    }

    fn begin(&mut self, export_path: &Path) -> Result<()> {
        self.exports.begin(export_path)
    }

    fn export(&mut self, export_path: &Path, candidate: &Candidate<'_>) -> Result<Option<PathBuf>> {
        if !candidate.is_the_final_export {
            return Ok(None);
        }
        self.exports.export(export_path, candidate, None)
    }
}

impl fmt::Debug for dyn Exporter + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Exporter").field(&self.name()).finish()
    }
}
