//! The cache of a session's plans.
//!
//! A program usually runs a few different steps many times. A program that requests ever new combinations of
//! fetches and feeds would fill the memory with plans and with the constants that were folded for them.
//! Beyond a limit, the plans that have not been used for longest are dropped.
//!
//! A lookup is on the path of every step: it takes a shared lock, hashes the ids of fetches and feeds, and
//! allocates nothing.
//!
//! # Clock
//!
//! The plans are in a circle with a hand. A lookup sets the flag `used` of its plan; if room is needed, the
//! hand clears set flags and drops the first plan whose flag is clear already. In contrast to a list in order
//! of use, a lookup writes at most one flag.

use crate::plan::{Plan, PlanKey};
use rustc_hash::{FxHashMap, FxHasher};
use session_core::{Endpoint, OpId};
use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use tensor::Tensor;

/// The number of plans that a session caches. A training uses a handful; the limit is for programs that build
/// keys in a loop.
const PLANS: usize = 1024;

/// The maximum size, in bytes, of the constants that were folded for cached plans: 1 GiB. A single plan may
/// exceed it, until the next one comes.
const FOLDED: usize = 1 << 30;

/// The plans of a session.
#[derive(Default)]
pub(crate) struct Plans {
    /// Guards the table; plans are compiled and run outside.
    table: RwLock<Table>,
}

/// The plans with their order of use.
#[derive(Default)]
struct Table {
    /// The entries by the hash of their keys. Entries with equal hashes share a list, in which their keys
    /// distinguish them.
    by_hash: FxHashMap<u64, Vec<Arc<Entry>>>,
    /// All entries with their hashes. The front is where the hand of the clock is.
    all: VecDeque<(u64, Arc<Entry>)>,
    /// The bytes of folded constants in all plans, those of shared functions counted for each plan.
    folded: usize,
}

/// A cached plan.
struct Entry {
    /// The fetches, targets and feeds that it is for.
    key: PlanKey,
    /// The plan. Runs hold it, so dropping an entry does not disturb them.
    plan: Arc<Plan>,
    /// True if the plan was used since the hand of the clock passed it. Relaxed: a lost update costs a
    /// compilation at worst.
    used: AtomicBool,
}

impl Plans {
    /// Returns the plan for a key, or `None` if it must be compiled. Marks it as used.
    pub(crate) fn find(&self, key: KeyRef<'_>) -> Option<Arc<Plan>> {
        self.table.read().unwrap_or_else(PoisonError::into_inner).find(key.hash(), key)
    }

    /// Adds a plan. If another thread has added one for the same key meanwhile, returns that one.
    ///
    /// May drop other plans. Runs and callables that use these keep them alive.
    pub(crate) fn add(&self, key: PlanKey, plan: Arc<Plan>) -> Arc<Plan> {
        let borrowed =
            KeyRef { fetches: &key.fetches, targets: &key.targets, feeds: Feeds::Names(&key.feeds) };
        let hash = borrowed.hash();
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(other) = table.find(hash, borrowed) {
            return other;
        }
        table.folded += plan.folded;
        // Not used yet: a plan that never runs again is the first to go, even if it is the newest.
        let entry = Arc::new(Entry { key, plan: plan.clone(), used: AtomicBool::new(false) });
        table.by_hash.entry(hash).or_default().push(entry.clone());
        // Before the new entry is in the queue, which therefore cannot be dropped itself.
        let given_up = table.give_up();
        table.all.push_back((hash, entry));
        drop(table);
        drop(given_up); // outside the lock
        plan
    }

    /// Drops all plans. Those of running steps live until the steps end.
    pub(crate) fn clear(&self) {
        let table = std::mem::take(&mut *self.table.write().unwrap_or_else(PoisonError::into_inner));
        // The lock was released at the end of the statement above: dropping a plan may run code of the
        // program, such as that of a host function.
        drop(table);
    }
}

impl Table {
    /// Returns the plan with a key, whose hash the caller has computed, and marks it as used.
    fn find(&self, hash: u64, key: KeyRef<'_>) -> Option<Arc<Plan>> {
        let entry = self.by_hash.get(&hash)?.iter().find(|entry| key.equals(&entry.key))?;
        // Read first: what several threads write to again and again moves between their caches.
        if !entry.used.load(Ordering::Relaxed) {
            entry.used.store(true, Ordering::Relaxed);
        }
        Some(entry.plan.clone())
    }

    /// Makes room for one more plan, and returns the plans that are dropped. This is the clock algorithm: a
    /// plan that was used since the hand passed it last is kept for another turn, so recent use counts
    /// without a list that each lookup would have to reorder.
    fn give_up(&mut self) -> Vec<Arc<Entry>> {
        let mut given_up = Vec::new();
        while self.all.len() >= PLANS || self.folded > FOLDED {
            let Some((hash, entry)) = self.all.pop_front() else { break };
            if entry.used.swap(false, Ordering::Relaxed) {
                self.all.push_back((hash, entry));
                continue;
            }
            self.folded -= entry.plan.folded;
            if let Some(same) = self.by_hash.get_mut(&hash) {
                same.retain(|other| !Arc::ptr_eq(other, &entry));
                if same.is_empty() {
                    self.by_hash.remove(&hash);
                }
            }
            given_up.push(entry);
        }
        given_up
    }
}

/// The key of a plan, borrowed from the arguments of a run.
#[derive(Clone, Copy)]
pub(crate) struct KeyRef<'a> {
    /// The fetched outputs.
    pub(crate) fetches: &'a [Endpoint],
    /// The operations to run for their effects.
    pub(crate) targets: &'a [OpId],
    /// The fed outputs.
    pub(crate) feeds: Feeds<'a>,
}

/// The fed outputs, borrowed in the form in which the caller has them, so that a lookup copies nothing.
#[derive(Clone, Copy)]
pub(crate) enum Feeds<'a> {
    /// Outputs with their values, as in a run.
    Values(&'a [(Endpoint, Tensor)]),
    /// Outputs alone, as in a key.
    Names(&'a [Endpoint]),
}

impl Feeds<'_> {
    fn len(self) -> usize {
        match self {
            Feeds::Values(values) => values.len(),
            Feeds::Names(names) => names.len(),
        }
    }

    fn get(self, index: usize) -> Endpoint {
        match self {
            Feeds::Values(values) => values[index].0,
            Feeds::Names(names) => names[index],
        }
    }

    /// Returns the fed outputs in order, whatever form they come in.
    fn iter(self) -> impl Iterator<Item = Endpoint> {
        (0..self.len()).map(move |index| self.get(index))
    }
}

impl KeyRef<'_> {
    /// Returns the hash of the key. It must not depend on whether feeds come with values, and does not
    /// identify a key by itself.
    fn hash(self) -> u64 {
        let mut hasher = FxHasher::default();
        self.fetches.hash(&mut hasher);
        self.targets.hash(&mut hasher);
        self.feeds.iter().for_each(|feed| feed.hash(&mut hasher));
        hasher.finish()
    }

    /// Returns true if a stored key has the same fetches, targets and feeds in the same order.
    fn equals(self, key: &PlanKey) -> bool {
        // One by one: these lists are short and were just written in smaller pieces than a comparison of
        // memory reads, which then waits for them.
        same(&key.fetches, self.fetches)
            && same(&key.targets, self.targets)
            && key.feeds.len() == self.feeds.len()
            && key.feeds.iter().copied().eq(self.feeds.iter())
    }

    /// Copies the key to store it.
    pub(crate) fn to_owned(self) -> PlanKey {
        PlanKey {
            fetches: self.fetches.to_vec(),
            targets: self.targets.to_vec(),
            feeds: self.feeds.iter().collect(),
        }
    }
}

/// Returns true if two lists have equal elements.
fn same<T: PartialEq>(left: &[T], right: &[T]) -> bool {
    left.len() == right.len() && left.iter().zip(right).all(|(left, right)| left == right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::empty_plan;

    fn key(number: u32) -> PlanKey {
        let fetch = Endpoint { op: OpId::default(), index: number };
        PlanKey { fetches: vec![fetch], targets: Vec::new(), feeds: Vec::new() }
    }

    fn find(plans: &Plans, number: u32) -> Option<Arc<Plan>> {
        let key = key(number);
        plans.find(KeyRef { fetches: &key.fetches, targets: &[], feeds: Feeds::Names(&[]) })
    }

    #[test]
    fn plans_in_use_are_kept_and_others_dropped() {
        let plans = Plans::default();
        let first = plans.add(key(0), empty_plan(0));
        for number in 1..3 * PLANS as u32 {
            plans.add(key(number), empty_plan(0));
            assert!(Arc::ptr_eq(&find(&plans, 0).expect("it is used again and again"), &first));
        }
        let kept = (0..3 * PLANS as u32).filter(|&number| find(&plans, number).is_some()).count();
        assert_eq!(kept, PLANS);
    }

    #[test]
    fn folded_constants_of_plans_are_bounded() {
        let plans = Plans::default();
        for number in 0..10 {
            plans.add(key(number), empty_plan(FOLDED / 4));
        }
        let kept = (0..10).filter(|&number| find(&plans, number).is_some()).count();
        assert_eq!(kept, 4);
        assert!(find(&plans, 9).is_some(), "the newest one");
        // One that is too large by itself is kept as long as it is the newest.
        plans.add(key(10), empty_plan(2 * FOLDED));
        assert!(find(&plans, 10).is_some());
        plans.add(key(11), empty_plan(0));
        assert!(find(&plans, 10).is_none() && find(&plans, 11).is_some());
    }
}
