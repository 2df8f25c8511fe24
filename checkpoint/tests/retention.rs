//! Retention against a model, over random sequences of saves, restarts, metrics, pins and clock changes.
#![allow(clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen
#![allow(clippy::unwrap_used)] // a test may

#[path = "support/disk.rs"]
mod disk;

use checkpoint::storage::Storage;
use checkpoint::{Better, Clock, SaveOptions, Saver, SaverOptions, checkpoint_exists_with};
use disk::Disk;
use proptest::prelude::*;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tensor::Tensor;

#[derive(Clone, Debug)]
enum Action {
    Save {
        step: u8,
        metric: Option<i8>,
        pinned: bool,
    },
    Restart,
    Wait(u8),
    /// The clock is set back.
    Back(u8),
    Pin {
        step: u8,
        pinned: bool,
    },
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => (0u8..30, proptest::option::of(-5i8..5), proptest::bool::weighted(0.1))
            .prop_map(|(step, metric, pinned)| Action::Save { step, metric, pinned }),
        1 => Just(Action::Restart),
        3 => (0u8..200).prop_map(Action::Wait),
        1 => (0u8..100).prop_map(Action::Back),
        1 => (0u8..30, any::<bool>()).prop_map(|(step, pinned)| Action::Pin { step, pinned }),
    ]
}

#[derive(Clone, Debug)]
struct Rules {
    keep: usize,
    every: Option<u64>,
    best: Option<(usize, Better)>,
}

fn rules() -> impl Strategy<Value = Rules> {
    let better = prop_oneof![Just(Better::Lower), Just(Better::Higher)];
    (0usize..4, proptest::option::of(1u64..300), proptest::option::of((1usize..4, better)))
        .prop_map(|(keep, every, best)| Rules { keep, every, best })
}

#[derive(Debug, Default)]
struct Manual(Mutex<u64>);

impl Clock for Manual {
    fn now(&self) -> SystemTime {
        disk::at(*self.0.lock().unwrap())
    }

    fn sleep(&self, _: Duration) {}
}

fn saver(rules: &Rules, disk: &Disk, clock: &Arc<Manual>) -> Saver {
    let storage: Arc<dyn Storage> = Arc::new(disk.clone());
    let mut options = SaverOptions::new().max_to_keep(rules.keep).storage(storage);
    options = options.clock(Arc::clone(clock) as Arc<dyn Clock>);
    if let Some(every) = rules.every {
        options = options.keep_checkpoint_every(Duration::from_secs(every));
    }
    if let Some((count, better)) = rules.best {
        options = options.keep_best(count, better);
    }
    Saver::new(options)
}

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    step: u8,
    time: u64,
    metric: Option<i8>,
    pinned: bool,
}

/// The checkpoints that should be listed, and those that should be on disk, computed as plainly as possible.
#[derive(Debug, Default)]
struct Expected {
    listed: Vec<Entry>,
    on_disk: Vec<u8>,
    preserved: u64,
}

impl Expected {
    fn save(&mut self, rules: &Rules, entry: Entry) {
        let now = entry.time;
        self.listed.iter_mut().for_each(|old| old.time = old.time.min(now));
        self.preserved = self.preserved.min(now);
        self.listed.retain(|old| old.step != entry.step);
        self.on_disk.retain(|&step| step != entry.step);
        self.on_disk.push(entry.step);
        self.listed.push(entry);
        if rules.keep == 0 {
            return;
        }
        let wanted: Vec<bool> = (0..self.listed.len()).map(|i| self.is_wanted(rules, i)).collect();
        for (entry, wanted) in self.listed.clone().into_iter().zip(wanted) {
            if wanted {
                continue;
            }
            self.listed.retain(|other| other.step != entry.step);
            match rules.every {
                Some(every) if entry.time >= self.preserved + every => self.preserved = entry.time,
                _ => self.on_disk.retain(|&step| step != entry.step),
            }
        }
    }

    fn is_wanted(&self, rules: &Rules, i: usize) -> bool {
        let entry = &self.listed[i];
        let newer = self.listed.len() - 1 - i;
        let among_best = rules.best.is_some_and(|(count, better)| {
            let Some(metric) = entry.metric else { return false };
            let ahead = self.listed.iter().enumerate().filter(|(j, other)| match (other.metric, better) {
                (None, _) => false,
                (Some(other), _) if other == metric => *j > i,
                (Some(other), Better::Lower) => other < metric,
                (Some(other), Better::Higher) => other > metric,
            });
            ahead.count() < count
        });
        newer < rules.keep || entry.pinned || among_best
    }
}

fn prefix(step: u8) -> PathBuf {
    PathBuf::from(format!("train/m-{step}"))
}

/// Without a recorded time of the last preserved one (no rule by time) a restart forgets it; with one,
/// it does not. Times are recorded only with a rule by time; otherwise nothing reads them.
fn run(rules: &Rules, actions: &[Action]) {
    let (disk, clock) = (Disk::default(), Arc::new(Manual(Mutex::new(1000))));
    let mut saver = self::saver(rules, &disk, &clock);
    let mut expected = Expected { preserved: 1000, ..Expected::default() };
    let now = || *clock.0.lock().unwrap();
    for action in actions {
        match *action {
            Action::Save { step, metric, pinned } => {
                let mut options = SaveOptions::new().pinned(pinned);
                if let Some(metric) = metric {
                    options = options.metric(f64::from(metric));
                }
                let source = vec![("step".to_owned(), Tensor::scalar(step))];
                saver.save_with(&source, "train/m", Some(i64::from(step)), options).unwrap();
                expected.save(rules, Entry { step, time: now(), metric, pinned });
            }
            Action::Restart => {
                drop(saver);
                saver = self::saver(rules, &disk, &clock);
                if expected.listed.is_empty() {
                    expected.preserved = now();
                }
            }
            Action::Wait(time) => *clock.0.lock().unwrap() += u64::from(time),
            Action::Back(time) => *clock.0.lock().unwrap() -= u64::from(time).min(now() - 500),
            Action::Pin { step, pinned } => {
                // A saver that has saved nothing yet manages nothing.
                let managed = if pinned { saver.pin(prefix(step)) } else { saver.unpin(prefix(step)) };
                if managed.unwrap() {
                    let entry = expected.listed.iter_mut().find(|entry| entry.step == step);
                    entry.unwrap().pinned = pinned;
                }
            }
        }
        let listed: Vec<PathBuf> = expected.listed.iter().map(|entry| prefix(entry.step)).collect();
        let state = checkpoint::get_checkpoint_state_with(&disk, "train", None).unwrap();
        let found = state.map(|state| state.all_model_checkpoint_paths).unwrap_or_default();
        assert_eq!(found.iter().map(PathBuf::from).collect::<Vec<_>>(), listed, "after {action:?}");
        for step in 0..30 {
            let there = checkpoint_exists_with(&disk, &prefix(step));
            assert_eq!(there, expected.on_disk.contains(&step), "step {step} after {action:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_agrees_with_the_model(
        rules in rules(),
        actions in proptest::collection::vec(action(), 1..40),
    ) {
        run(&rules, &actions);
    }
}
