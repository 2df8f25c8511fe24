//! Steps of a plan that are put off because something must be waited for.
//!
//! A plan runs in its order as long as nothing waits. What waits, and what depends on it, is put off; the rest goes on,
//! and then the step waits for whatever comes first. "Depends" includes the order that the schedule gave to reads and
//! updates of a variable, so that what a step computes does not hang on who waited for whom.

use crate::compile::{Ir, producer};
use crate::execute::Limits;
use crate::kernel::Environment;
use crate::plan::{Frame, Plan};
use crate::schedule;
use crate::waiting::{Wait, wait_until};
use rustc_hash::FxHashMap;
use session_core::{OpStats, Result};
use std::time::{Duration, Instant};
use tensor::Tensor;

/// For each step of a plan in which something may wait, the steps that must have run before it.
pub(crate) type Predecessors = Vec<Vec<u32>>;

/// The predecessors in a plan of these nodes in this order, if one of them may wait.
pub(crate) fn predecessors(ir: &Ir, order: &[usize]) -> Option<Predecessors> {
    if !order.iter().any(|&index| ir.nodes[index].waits) {
        return None;
    }
    let mut wishes: FxHashMap<usize, Vec<usize>> = FxHashMap::default();
    for (before, after) in schedule::wishes(ir) {
        wishes.entry(after).or_default().push(before);
    }
    let mut steps: FxHashMap<usize, u32> = FxHashMap::default();
    // What stands for a node that no step runs: the steps before it.
    let mut passed: FxHashMap<usize, Vec<u32>> = FxHashMap::default();
    let mut all = Predecessors::new();
    for &index in order {
        let node = &ir.nodes[index];
        let inputs = node.inputs.iter().filter_map(|&value| producer(value));
        let wished = wishes.get(&index).into_iter().flatten().copied();
        let mut before = Vec::new();
        for earlier in inputs.chain(node.control.iter().copied()).chain(wished) {
            match steps.get(&earlier) {
                Some(&step) => before.push(step),
                // One that comes later in the order is a wish that could not be met.
                None => before.extend(passed.get(&earlier).into_iter().flatten()),
            }
        }
        before.sort_unstable();
        before.dedup();
        if node.kernel.is_some() {
            steps.insert(index, all.len() as u32);
            all.push(before);
        } else {
            passed.insert(index, before);
        }
    }
    Some(all)
}

/// What became of the waiting in one run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Waited {
    /// How long the run stood still.
    pub(crate) time: Duration,
    /// Whether steps ran out of their order, so that values may be left in the frame.
    pub(crate) reordered: bool,
}

/// One run of a plan in which something may wait.
pub(crate) struct WaitingRun<'r> {
    pub(crate) plan: &'r Plan,
    pub(crate) predecessors: &'r Predecessors,
    pub(crate) frame: &'r mut Frame,
    pub(crate) environment: &'r Environment,
    pub(crate) limits: &'r Limits<'r>,
    pub(crate) recorder: Option<(&'r mut Vec<OpStats>, Instant)>,
    pub(crate) waited: &'r mut Waited,
    /// The step that an error belongs to.
    pub(crate) current: &'r mut usize,
    /// What was put off, in the order of the plan.
    pub(crate) late: Vec<LateStep>,
}

pub(crate) struct LateStep {
    index: usize,
    /// Absent for a step that only depends on others.
    wait: Option<Box<dyn Wait>>,
    /// When it began to wait.
    began: Duration,
    /// Its inputs, as soon as they are there: what runs before it in the place of it may be the last to need them.
    kept: Vec<(u32, Tensor)>,
}

impl WaitingRun<'_> {
    pub(crate) fn run(&mut self) -> Result<()> {
        for index in 0..self.plan.steps.len() {
            if !self.late.is_empty() && self.is_held(index) {
                self.put_off(index);
                continue;
            }
            if let Some(wait) = self.begin(index)? {
                let began = self.elapsed();
                self.late.push(LateStep { index, wait: Some(wait), began, kept: Vec::new() });
                self.waited.reordered = true;
            }
        }
        while !self.late.is_empty() {
            self.wait()?;
            self.go_on()?;
        }
        Ok(())
    }

    /// Whether a step has to wait for one that was put off.
    fn is_held(&self, index: usize) -> bool {
        let before = &self.predecessors[index];
        self.late.iter().any(|late| before.binary_search(&(late.index as u32)).is_ok())
    }

    fn put_off(&mut self, index: usize) {
        self.late.push(LateStep { index, wait: None, began: Duration::ZERO, kept: Vec::new() });
        self.keep(self.late.len() - 1);
    }

    /// Keeps what has come of the inputs of a step that was put off.
    fn keep(&mut self, place: usize) {
        let late = &mut self.late[place];
        for input in &self.plan.steps[late.index].inputs {
            if let Some(value) = &self.frame.slots[input.slot as usize]
                && late.kept.iter().all(|(slot, _)| *slot != input.slot)
            {
                late.kept.push((input.slot, value.clone()));
            }
        }
    }

    fn begin(&mut self, index: usize) -> Result<Option<Box<dyn Wait>>> {
        *self.current = index;
        self.limits.check()?;
        let began = self.elapsed();
        let wait = self.plan.steps[index].begin(self.frame, self.environment, self.limits)?;
        if wait.is_none() {
            self.record(index, began);
        }
        Ok(wait)
    }

    /// Since the start of the run, where somebody wants to know.
    fn elapsed(&self) -> Duration {
        self.recorder.as_ref().map_or(Duration::ZERO, |(_, start)| start.elapsed())
    }

    fn record(&mut self, index: usize, began: Duration) {
        if let Some((stats, start)) = &mut self.recorder {
            let elapsed = start.elapsed().saturating_sub(began);
            stats.push(self.plan.steps[index].stats(self.frame, began, elapsed));
        }
    }

    /// Waits for the first of what is waited for.
    fn wait(&mut self) -> Result<()> {
        let waits = || self.late.iter().filter_map(|late| late.wait.as_ref());
        if waits().any(|wait| wait.is_done()) {
            return Ok(());
        }
        if let Some(first) = self.late.iter().find(|late| late.wait.is_some()) {
            *self.current = first.index;
        }
        let start = Instant::now();
        let describe = || waits().map(|wait| wait.describe()).collect::<Vec<_>>().join("; ");
        let ended = wait_until(self.limits, || waits().any(|wait| wait.is_done()), describe);
        self.waited.time += start.elapsed();
        ended
    }

    /// Finishes what is done waiting, and runs what waits for nothing any more.
    fn go_on(&mut self) -> Result<()> {
        let mut place = 0;
        while place < self.late.len() {
            if self.try_step(place)? {
                self.late.remove(place);
            } else {
                place += 1;
            }
        }
        Ok(())
    }

    /// Whether the step at this place has run.
    fn try_step(&mut self, place: usize) -> Result<bool> {
        let LateStep { index, began, ref mut wait, .. } = self.late[place];
        if let Some(wait) = wait {
            if !wait.is_done() {
                return Ok(false);
            }
            *self.current = index;
            self.plan.steps[index].finish(self.frame, self.environment, self.limits, wait.as_mut())?;
            self.record(index, began);
            return Ok(true);
        }
        if self.is_held(index) {
            self.keep(place);
            return Ok(false);
        }
        for (slot, value) in std::mem::take(&mut self.late[place].kept) {
            self.frame.slots[slot as usize].get_or_insert(value);
        }
        let wait = self.begin(index)?;
        let began = self.elapsed();
        let runs = wait.is_none();
        self.late[place].wait = wait;
        self.late[place].began = began;
        Ok(runs)
    }
}
