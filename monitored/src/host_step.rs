//! The context and the results of a step of a plain loop.

use crate::host_random::{StepRandom, epoch_key, permuted};
use session_core::{CancellationGuard, Error, HostContext, Result};
use smallvec::SmallVec;
use std::borrow::Cow;

/// One step of a [`HostTraining`](crate::HostTraining): its number, its random numbers, its batch, and its cancellation.
#[derive(Clone, Copy, Debug)]
pub struct HostStep<'c> {
    number: u64,
    seed: u64,
    context: &'c HostContext<'c>,
}

impl<'c> HostStep<'c> {
    pub(crate) fn new(number: u64, seed: u64, context: &'c HostContext<'c>) -> HostStep<'c> {
        HostStep { number, seed, context }
    }

    /// Returns the number of steps that all runs together completed before this one: 0 in the first step.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Returns the random numbers of this step, from their start. A resumed run draws the same numbers.
    #[must_use]
    pub fn random(&self) -> StepRandom {
        StepRandom::new(self.seed, self.number)
    }

    /// Returns the rows of this step's batch from a data set of `rows` rows: shuffled in each epoch, each row once per epoch,
    /// continuing across the ends of epochs. The batch depends only on the seed and the number of the step, so a resumed run continues
    /// with the next rows. Empty for a data set without rows.
    ///
    /// ```
    /// use hooks::StopAtStepHook;
    /// use monitored::HostTraining;
    ///
    /// let images = vec![[0f32; 16]; 100];
    /// let training = HostTraining::new().seed(7).hook(StopAtStepHook::last_step(10));
    /// training.run(move |step| {
    ///     let batch: Vec<&[f32; 16]> = step.batch(images.len(), 32).into_iter().map(|row| &images[row]).collect();
    ///     assert_eq!(batch.len(), 32);
    ///     Ok(())
    /// })?;
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn batch(&self, rows: usize, size: usize) -> Vec<usize> {
        if rows == 0 {
            return Vec::new();
        }
        let (rows, size) = (rows as u64, size as u64);
        // In 128 bits: the product of a step and a batch size may exceed 64.
        let first = u128::from(self.number) * u128::from(size);
        let row = |offset: u64| {
            let position = first + u128::from(offset);
            let (epoch, place) = (position / u128::from(rows), position % u128::from(rows));
            permuted(epoch_key(self.seed, epoch as u64), rows, place as u64) as usize
        };
        (0..size).map(row).collect()
    }

    /// Checks that the step was not cancelled. A step that waits for something calls it before it continues; after it has changed
    /// objects it should complete instead.
    ///
    /// # Errors
    /// `Cancelled` if the session was interrupted or closed.
    pub fn check(&self) -> Result<()> {
        self.context.check()
    }

    /// Calls `callback` when the session is interrupted, while the guards exist. The callback can wake a blocked step.
    pub fn on_cancel(&self, callback: impl Fn() + Send + Sync + 'static) -> Vec<CancellationGuard> {
        self.context.on_cancel(callback)
    }
}

/// The numbers that a step reports, by the names that were declared with
/// [`HostTraining::metrics`](crate::HostTraining::metrics).
///
/// ```
/// use monitored::Metrics;
/// let metrics = Metrics::from([("loss", 0.25)]).with("accuracy", 0.9);
/// assert_eq!(metrics.get("accuracy"), Some(0.9));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics(SmallVec<[(Cow<'static, str>, f64); 4]>);

impl Metrics {
    /// Creates metrics without any number.
    #[must_use]
    pub fn new() -> Metrics {
        Metrics::default()
    }

    /// Adds a number.
    ///
    /// ```
    /// use monitored::Metrics;
    /// let metrics = Metrics::new().with("loss", 0.25f32).with("rows", 32);
    /// assert_eq!(metrics.get("rows"), Some(32.0));
    /// ```
    #[must_use]
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<f64>) -> Metrics {
        self.0.push((name.into(), value.into()));
        self
    }

    /// Returns the number with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|(known, _)| known == name).map(|&(_, value)| value)
    }

    /// Returns the numbers in the order of their declaration.
    pub(crate) fn in_order(&self, declared: &[String]) -> Result<SmallVec<[f64; 4]>> {
        // Steps usually report in that order.
        if self.0.len() == declared.len()
            && self.0.iter().zip(declared).all(|((name, _), declared)| name == declared)
        {
            return Ok(self.0.iter().map(|&(_, value)| value).collect());
        }
        for (index, (name, _)) in self.0.iter().enumerate() {
            if !declared.iter().any(|declared| name == declared) {
                let text =
                    format!("the step reports a metric '{name}' that was not declared: add it to `metrics`");
                return Err(Error::value(text));
            }
            if self.0[..index].iter().any(|(known, _)| known == name) {
                return Err(Error::value(format!("the step reports the metric '{name}' twice")));
            }
        }
        let value = |name: &String| {
            self.get(name).ok_or_else(|| {
                Error::value(format!("the step reports no metric '{name}', which was declared"))
            })
        };
        declared.iter().map(value).collect()
    }
}

impl<const N: usize> From<[(&'static str, f64); N]> for Metrics {
    fn from(metrics: [(&'static str, f64); N]) -> Metrics {
        Metrics(metrics.into_iter().map(|(name, value)| (Cow::Borrowed(name), value)).collect())
    }
}

impl<const N: usize> From<[(&'static str, f32); N]> for Metrics {
    fn from(metrics: [(&'static str, f32); N]) -> Metrics {
        Metrics(metrics.into_iter().map(|(name, value)| (Cow::Borrowed(name), value.into())).collect())
    }
}

/// No metrics.
impl From<()> for Metrics {
    fn from((): ()) -> Metrics {
        Metrics::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn batches_hold_every_row_once_per_epoch() {
        let context = HostContext::new("step");
        let batch = |number| HostStep::new(number, 9, &context).batch(10, 4);
        let rows: Vec<usize> = (0..5).flat_map(batch).collect();
        for epoch in rows.chunks(10) {
            assert_eq!(epoch.iter().copied().collect::<BTreeSet<_>>(), (0..10).collect());
        }
        assert_ne!(rows[..10], rows[10..]);
        assert!(HostStep::new(0, 9, &context).batch(0, 4).is_empty());
    }

    #[test]
    fn metrics_must_be_those_declared() {
        let declared = ["loss".to_owned(), "accuracy".to_owned()];
        let ordered = |metrics: Metrics| metrics.in_order(&declared).map(SmallVec::into_vec);
        assert_eq!(ordered([("loss", 1.0), ("accuracy", 2.0)].into()).unwrap(), [1.0, 2.0]);
        assert_eq!(ordered([("accuracy", 2.0f32), ("loss", 1.0)].into()).unwrap(), [1.0, 2.0]);
        let error = |metrics: Metrics| ordered(metrics).unwrap_err().to_string();
        assert!(error([("loss", 1.0)].into()).contains("no metric 'accuracy'"));
        assert!(error(Metrics::from([("loss", 1.0), ("accuracy", 1.0)]).with("x", 0.0)).contains("'x'"));
        assert!(error([("loss", 1.0), ("loss", 1.0)].into()).contains("'loss' twice"));
    }
}
