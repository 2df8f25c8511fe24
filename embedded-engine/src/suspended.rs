//! Programs in which something may wait for another thread, or for another part of the same step.
//!
//! A block, which is the whole step or one round of a loop, runs in its order as long as nothing waits. What waits is
//! suspended, be it an operation or a loop in the middle of a round, and so is what depends on it; everything else goes
//! on. Only when nothing in any block can go on does the thread sleep. So a loop that fills a queue and another one that
//! empties it take turns within one step, and no thread but the caller's is held.

use crate::plan::{Frame, PlanStep};
use crate::program::{Action, Before, Loop, Run, Step};
use crate::waiting::{Wait, wait_until};
use session_core::{Operation, Result};
use std::cell::Cell;
use std::time::{Duration, Instant};
use tensor::Tensor;

/// The operation that an error belongs to.
type Current<'s> = Cell<Option<&'s Operation>>;

/// A block that is running.
pub(crate) struct Block<'s> {
    steps: &'s [Step],
    before: &'s Before,
    /// The first step that was not looked at.
    next: usize,
    /// What is suspended, in order.
    late: Vec<Late<'s>>,
}

/// A suspended step.
struct Late<'s> {
    index: usize,
    state: State<'s>,
    /// Its inputs as they were first seen: what runs in the place of it may be the last to need them.
    kept: Vec<(u32, Tensor)>,
}

enum State<'s> {
    /// It depends on others.
    Held,
    /// It began to wait at this time of the run.
    Waits(Box<dyn Wait>, Duration),
    /// A loop in which something waits.
    Loop(Box<Round<'s>>),
}

/// A loop in the middle of a round.
struct Round<'s> {
    body: &'s Loop,
    number: u64,
    block: Block<'s>,
}

impl<'s> Block<'s> {
    pub(crate) fn new(steps: &'s [Step], before: &'s Before) -> Block<'s> {
        Block { steps, before, next: 0, late: Vec::new() }
    }

    /// Whether a step has to wait for one that is suspended, of the first so many.
    fn is_held(&self, index: usize) -> bool {
        let before = &self.before[index];
        self.late.iter().any(|late| before.binary_search(&(late.index as u32)).is_ok())
    }

    fn waits<'b>(&'b self) -> Box<dyn Iterator<Item = (&'s Step, &'b dyn Wait)> + 'b> {
        Box::new(self.late.iter().flat_map(move |late| -> Box<dyn Iterator<Item = _> + 'b> {
            match &late.state {
                State::Held => Box::new(std::iter::empty()),
                State::Waits(wait, _) => Box::new(std::iter::once((&self.steps[late.index], &**wait))),
                State::Loop(round) => round.block.waits(),
            }
        }))
    }
}

fn inputs(step: &Step) -> &[crate::kernel::Input] {
    match &step.action {
        Action::Run(planned) => &planned.inputs,
        Action::Loop(body) => &body.inputs,
        Action::Nothing => &[],
    }
}

impl Late<'_> {
    /// Keeps what there is of the inputs.
    fn keep(&mut self, step: &Step, frame: &Frame) {
        for input in inputs(step) {
            if let Some(value) = &frame.slots[input.slot as usize]
                && self.kept.iter().all(|(slot, _)| *slot != input.slot)
            {
                self.kept.push((input.slot, value.clone()));
            }
        }
    }

    /// Puts inputs back that were taken meanwhile; gives their slots, which are empty again afterwards.
    fn put_back(&self, frame: &mut Frame) -> Vec<u32> {
        let mut filled = Vec::new();
        for (slot, value) in &self.kept {
            let place = &mut frame.slots[*slot as usize];
            if place.is_none() {
                *place = Some(value.clone());
                filled.push(*slot);
            }
        }
        filled
    }
}

impl Run<'_> {
    /// Runs a block until all of it has run.
    pub(crate) fn finish_block<'s>(
        &mut self,
        mut block: Block<'s>,
        frame: &mut Frame,
        current: &Current<'s>,
    ) -> Result<()> {
        while !self.go_on(&mut block, frame, current)? {
            self.waited.reordered = true;
            if let Some((step, _)) = block.waits().next()
                && let Action::Run(planned) = &step.action
            {
                current.set(planned.operations.first());
            }
            let start = Instant::now();
            let describe = || block.waits().map(|(_, wait)| wait.describe()).collect::<Vec<_>>().join("; ");
            let ended = wait_until(self.limits, || block.waits().any(|(_, wait)| wait.is_done()), describe);
            self.waited.time += start.elapsed();
            ended?;
        }
        Ok(())
    }

    /// Runs what can run of a block; whether all of it has.
    fn go_on<'s>(&mut self, block: &mut Block<'s>, frame: &mut Frame, current: &Current<'s>) -> Result<bool> {
        let mut place = 0;
        while place < block.late.len() {
            let mut late = block.late.remove(place);
            // Those behind it in the list cannot be what it depends on.
            let held = matches!(late.state, State::Held) && block.is_held(late.index);
            let step = &block.steps[late.index];
            if held {
                late.keep(step, frame);
            } else {
                let filled = late.put_back(frame);
                let ended = self.resume(step, &mut late, frame, current);
                for slot in filled {
                    frame.slots[slot as usize] = None;
                }
                if ended? {
                    continue;
                }
            }
            block.late.insert(place, late);
            place += 1;
        }
        while let Some(step) = block.steps.get(block.next) {
            let index = block.next;
            block.next += 1;
            let mut late = Late { index, state: State::Held, kept: Vec::new() };
            let waits_inside = match &step.action {
                Action::Loop(body) => body.waits,
                _ => false,
            };
            if !block.late.is_empty() && block.is_held(index) {
                late.keep(step, frame);
                block.late.push(late);
                continue;
            }
            if waits_inside {
                late.keep(step, frame);
            }
            if !self.resume(step, &mut late, frame, current)? {
                block.late.push(late);
            }
        }
        Ok(block.late.is_empty())
    }

    /// Begins or goes on with a step that nothing holds; whether it is through.
    fn resume<'s>(
        &mut self,
        step: &'s Step,
        late: &mut Late<'s>,
        frame: &mut Frame,
        current: &Current<'s>,
    ) -> Result<bool> {
        match (&step.action, &mut late.state) {
            (Action::Run(planned), State::Waits(wait, began)) => {
                if !wait.is_done() {
                    return Ok(false);
                }
                current.set(planned.operations.first());
                planned.finish(frame, self.environment, self.limits, wait.as_mut())?;
                self.record(planned, frame, *began);
                step.note(frame, true);
                Ok(true)
            }
            (Action::Run(planned), state) if planned.waits && step.is_alive(planned, frame) => {
                current.set(planned.operations.first());
                self.limits.check()?;
                let began = self.elapsed();
                let wait = planned.begin(frame, self.environment, self.limits)?;
                if let Some(wait) = wait {
                    *state = State::Waits(wait, began);
                    return Ok(false);
                }
                self.record(planned, frame, began);
                step.note(frame, true);
                Ok(true)
            }
            (Action::Loop(body), state) if body.waits => {
                let round = match state {
                    State::Loop(round) => round,
                    _ => {
                        self.enter(body, frame, current)?;
                        if !self.begin_round(body, frame, current)? {
                            body.leave(frame);
                            step.note(frame, true);
                            return Ok(true);
                        }
                        let block = Block::new(&body.body, &body.before);
                        *state = State::Loop(Box::new(Round { body, number: 0, block }));
                        let State::Loop(round) = state else { return Ok(false) };
                        round
                    }
                };
                if !self.rounds(round, frame, current)? {
                    return Ok(false);
                }
                step.note(frame, true);
                Ok(true)
            }
            _ => {
                self.step(step, frame, current)?;
                Ok(true)
            }
        }
    }

    /// Goes on with a loop; whether its last round is through.
    fn rounds<'s>(
        &mut self,
        round: &mut Round<'s>,
        frame: &mut Frame,
        current: &Current<'s>,
    ) -> Result<bool> {
        loop {
            if !self.go_on(&mut round.block, frame, current)? {
                return Ok(false);
            }
            let body = round.body;
            if !body.end_round(&mut round.number, frame) || !self.begin_round(body, frame, current)? {
                body.leave(frame);
                return Ok(true);
            }
            round.block = Block::new(&body.body, &body.before);
        }
    }

    /// Since the start of the run, where somebody wants to know.
    fn elapsed(&self) -> Duration {
        self.recorder.as_ref().map_or(Duration::ZERO, |(_, start)| start.elapsed())
    }

    fn record(&mut self, planned: &PlanStep, frame: &Frame, began: Duration) {
        if let Some((stats, start)) = &mut self.recorder {
            let elapsed = start.elapsed().saturating_sub(began);
            stats.push(planned.stats(frame, began, elapsed));
        }
    }
}
