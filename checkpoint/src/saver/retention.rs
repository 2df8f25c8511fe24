//! Retention: the rules that decide which checkpoints are kept.

use std::time::Duration;

/// The order of metrics: selects the better of two.
///
/// ```
/// use checkpoint::{Better, SaverOptions};
/// let by_loss = SaverOptions::new().keep_best(2, Better::Lower);
/// let by_accuracy = SaverOptions::new().keep_best(2, Better::Higher);
/// # let _ = (by_loss, by_accuracy);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// The lower one, as for a loss.
    Lower,
    /// The higher one, as for an accuracy.
    Higher,
}

impl Better {
    /// Returns a number that is the higher the better the metric is; `None` for a metric that does not count.
    fn score(self, metric: Option<f64>) -> Option<f64> {
        let metric = metric.filter(|metric| !metric.is_nan())?;
        Some(match self {
            Better::Lower => -metric,
            Better::Higher => metric,
        })
    }
}

/// The rules. A checkpoint is kept if any of them wants it.
#[derive(Clone, Debug)]
pub(crate) struct Retention {
    pub(crate) max_to_keep: Option<usize>,
    pub(crate) keep_every: Option<Duration>,
    pub(crate) best: Option<(usize, Better)>,
}

impl Default for Retention {
    fn default() -> Self {
        Retention { max_to_keep: Some(5), keep_every: None, best: None }
    }
}

/// A checkpoint that a saver manages.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Kept {
    /// The last component of its prefix: it lies in the folder of the list.
    pub(crate) name: String,
    /// The time of the save, in seconds since 1970.
    pub(crate) time: f64,
    pub(crate) metric: Option<f64>,
    pub(crate) pinned: bool,
    /// True if it may be deleted though no saver wrote it: the caller passed its name to this one.
    pub(crate) given: bool,
}

impl Kept {
    pub(crate) fn new(name: String, time: f64) -> Kept {
        Kept { name, time, metric: None, pinned: false, given: false }
    }
}

impl Retention {
    /// Removes checkpoints beyond the limits from a list, which is sorted from old to new, and returns what is
    /// to be deleted. An entry that stays for good leaves the list without being deleted, and
    /// `last_preserved` becomes its time.
    pub(crate) fn prune(&self, list: &mut Vec<Kept>, last_preserved: &mut f64) -> Vec<Kept> {
        // Without a limit nothing is ever deleted, so the other rules have nothing to protect.
        let Some(max_to_keep) = self.max_to_keep else { return Vec::new() };
        let best = self.best_of(list);
        // The best checkpoints are kept in addition to the newest ones and do not count toward `max_to_keep`.
        let newest = list.len().saturating_sub(max_to_keep);
        let mut deleted = Vec::new();
        let mut position = 0;
        list.retain(|kept| {
            let wanted = position >= newest || kept.pinned || best.contains(&position);
            position += 1;
            if !wanted && !self.preserves(kept, last_preserved) {
                deleted.push(kept.clone());
            }
            wanted
        });
        deleted
    }

    fn preserves(&self, kept: &Kept, last_preserved: &mut f64) -> bool {
        let due = self.keep_every.is_some_and(|every| kept.time - *last_preserved >= every.as_secs_f64());
        if due {
            *last_preserved = kept.time;
        }
        due
    }

    /// Positions of the best.
    fn best_of(&self, list: &[Kept]) -> Vec<usize> {
        let Some((count, better)) = self.best else { return Vec::new() };
        let scored = list.iter().enumerate().filter_map(|(i, kept)| Some((better.score(kept.metric)?, i)));
        let mut scored: Vec<(f64, usize)> = scored.collect();
        // Best first; of equals the newer.
        scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)));
        scored.into_iter().take(count).map(|(_, i)| i).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(metrics: &[f64]) -> Vec<Kept> {
        let kept = |(i, &metric): (usize, &f64)| Kept {
            metric: Some(metric),
            ..Kept::new(i.to_string(), i as f64 * 10.0)
        };
        metrics.iter().enumerate().map(kept).collect()
    }

    fn names(list: &[Kept]) -> Vec<&str> {
        list.iter().map(|kept| kept.name.as_str()).collect()
    }

    #[test]
    fn rules_add_up() {
        let rules = Retention { max_to_keep: Some(2), keep_every: None, best: Some((2, Better::Lower)) };
        let mut all = list(&[0.5, 0.1, 0.9, 0.1, f64::NAN, 0.7]);
        all[2].pinned = true;
        let deleted = rules.prune(&mut all, &mut 0.0);
        assert_eq!(names(&deleted), ["0"]);
        assert_eq!(names(&all), ["1", "2", "3", "4", "5"]);
    }

    #[test]
    fn s_322_one_is_preserved_per_interval() {
        let every = Some(Duration::from_secs(20));
        let rules = Retention { max_to_keep: Some(1), keep_every: every, best: None };
        let mut all = list(&[0.0; 6]);
        let mut last = 0.0;
        let deleted = rules.prune(&mut all, &mut last);
        assert_eq!(names(&deleted), ["0", "1", "3"], "2 and 4 stay for good");
        assert_eq!((names(&all), last), (vec!["5"], 40.0));
    }

    #[test]
    fn without_a_limit_all_stay() {
        let rules = Retention { max_to_keep: None, ..Default::default() };
        assert!(rules.prune(&mut list(&[0.0; 9]), &mut 0.0).is_empty());
    }
}
