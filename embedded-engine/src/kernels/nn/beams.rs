//! The sequences that a beam search found.
//!
//! # Semantics
//!
//! `GatherTree` takes `step_ids` and `parent_ids` `[steps, batch, beams]`, `max_sequence_lengths` `[batch]`
//! and the scalar `end_token`, all `int32`. At each step a beam has a token and the beam of the step before
//! that it continues. The output, of the same shape, has the tokens of each beam that is alive at the last
//! step of its example, from the first to the last. All tokens after the first end token, and those beyond
//! the length of the example, are the end token.
//!
//! For example, with two beams, tokens `[[1, 2], [3, 4]]` and parents `[[0, 0], [1, 0]]`, beam 0 has 3 after
//! the 2 of beam 1, and beam 1 has 4 after 1: the output is `[[2, 1], [3, 4]]`.
//!
//! A parent that is no beam is `InvalidArgument`, except at the first step, where it is ignored. Lengths are
//! limited to the number of steps; negative ones are 0. One pass over the result in one thread.

use crate::kernel::KernelContext;
use crate::kernels::math::boxed;
use crate::registry::Registry;
use session_core::{Error, Result};

/// Registers the op type, which belongs to `tf.contrib.seq2seq` in TensorFlow 1.
pub(crate) fn register(registry: &mut Registry) {
    registry.add("GatherTree", |_| Ok(boxed(gather_tree)));
}

/// Follows each beam from its last step back to the first, and then cuts it off after the first end token.
fn gather_tree(context: &mut KernelContext<'_>) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let &[steps, batch, beams] = shape.dims() else {
        return Err(Error::invalid_argument(format!("step_ids must be a 3-tensor: {shape}")));
    };
    let parents = context.input(1).shape();
    if parents != &shape {
        return Err(Error::invalid_argument(format!(
            "parent_ids of shape {parents} do not fit step_ids of {shape}"
        )));
    }
    if context.input(2).shape().dims() != [batch] {
        let lengths = context.input(2).shape();
        let text = format!("max_sequence_lengths of shape {lengths} do not fit a batch of {batch}");
        return Err(Error::invalid_argument(text));
    }
    let lengths = context.ints(2)?;
    // The dtype of the input is `int32`, so this always fits.
    let end = i32::try_from(context.int(3)?).unwrap_or(i32::MAX);
    context.produce::<i32>(0, shape, |context, output| {
        let (ids, parents) = (context.slice::<i32>(0)?, context.slice::<i32>(1)?);
        output.fill(end);
        for (example, &length) in lengths.iter().enumerate() {
            let length = usize::try_from(length).unwrap_or(0).min(steps);
            for beam in 0..beams {
                let at = |step: usize, beam: usize| (step * batch + example) * beams + beam;
                let mut place = beam;
                for step in (0..length).rev() {
                    output[at(step, beam)] = ids[at(step, place)];
                    let parent = parents[at(step, place)];
                    let known = usize::try_from(parent).ok().filter(|&parent| parent < beams);
                    // The first step has no parents.
                    place = match known {
                        Some(parent) => parent,
                        None if step == 0 => place,
                        None => {
                            let text = format!(
                                "saw invalid parent id {parent} at (batch, time, beam) == ({example}, {step}, {place})"
                            );
                            return Err(Error::invalid_argument(text));
                        }
                    };
                }
                // Only the way forward knows which end token is the first.
                let mut ended = false;
                for step in 0..length {
                    let token = &mut output[at(step, beam)];
                    if ended {
                        *token = end;
                    }
                    ended |= *token == end;
                }
            }
        }
        Ok(())
    })
}
