//! Long short-term memory, a step at a time and over whole sequences.
//!
//! The inputs of all steps of a sequence go through one product before the first step, and the gradients of
//! the weights come from one product of all steps after the last: a step itself has the product of its state.
//!
//! # Formulas
//!
//! The four gates are column blocks of one product. Their order is `icfo` in the first version and `ifco` in
//! the second one (input, candidate, forget, output). With peepholes the gates see the memory; `forget_bias`
//! is added to the forget gate, and `cell_clip` limits the memory. `seq_len_max` ends a sequence early; later
//! steps are zeros.
//!
//! # Semantics
//!
//! | op type | inputs | outputs |
//! | --- | --- | --- |
//! | `LSTMBlockCell` | `x`, `cs_prev`, `h_prev`, `w`, `wci`, `wcf`, `wco`, `b` | `i`, `cs`, `f`, `o`, `ci`, `co`, `h` |
//! | `BlockLSTM*` | `seq_len_max`, then as above | as above, for all steps |
//! | `LSTMBlockCellGrad` | those of the cell, its outputs but `h`, gradients of `cs` and `h` | gradients of `cs_prev`, the gates' sums, the peepholes |
//! | `BlockLSTMGrad*` | those of the sequence, its outputs, gradients of `cs` and `h` | gradients of all inputs but `seq_len_max` |
//!
//! `x` is `[batch, depth]`, or `[steps, batch, depth]` for a sequence; states are `[batch, units]`, `w` is
//! `[depth + units, 4 units]`. A step computes
//!
//! ```text
//! i = sigmoid(x_i + wci cs_prev)    ci = tanh(x_c)    f = sigmoid(x_f + wcf cs_prev + forget_bias)
//! cs = clip(ci i + cs_prev f)       o = sigmoid(x_o + wco cs)    co = tanh(cs)    h = o co
//! ```
//!
//! with the blocks `x_i`, `x_c`, `x_f`, `x_o` of `[x, h_prev] w + b`. The gradient ignores clipping, as in
//! TensorFlow. Without peepholes their weights may have any shape, and their gradients are zeros.
//!
//! Shapes that do not fit, and a `seq_len_max` that is negative or above the steps of `x`, are
//! `InvalidArgument`. The dtypes are `float32` and, computed in it, `float16`.
//!
//! The matrix products use the thread pool, and each is the same for any number of threads. Gradients of
//! weights and biases are sums over all steps and examples in a fixed order.

use super::{Products, check, deliver, elements, fresh};
use crate::dispatch::unsupported;
use crate::kernel::{Inputs, Kernel, KernelContext, NodeSpec};
use crate::kernels::math::boxed;
use crate::kernels::widened::widened;
use crate::registry::Registry;
use compute::matmul::Product;
use compute::recurrent::{GateOrder, Lstm, LstmStep, lstm, lstm_gradient};
use session_core::{Error, Result};
use tensor::DType;

/// Registers cells, sequences and their gradients, in both orders of the gates.
pub(crate) fn register(registry: &mut Registry) {
    registry.add("LSTMBlockCell", |spec| {
        let form = Form::of(spec, GateOrder::Icfo)?;
        single(spec, boxed(move |context| step(context, form)))
    });
    registry.add("LSTMBlockCellGrad", |spec| {
        let form = Form::of(spec, GateOrder::Icfo)?;
        single(spec, boxed(move |context| step_gradient(context, form)))
    });
    registry.add("BlockLSTM", |spec| make_sequence(spec, GateOrder::Icfo));
    registry.add("BlockLSTMV2", |spec| make_sequence(spec, GateOrder::Ifco));
    registry.add("BlockLSTMGrad", |spec| make_sequence_gradient(spec, GateOrder::Icfo));
    registry.add("BlockLSTMGradV2", |spec| make_sequence_gradient(spec, GateOrder::Ifco));
}

/// Makes the kernel for a sequence.
///
/// The order of the gates is all that distinguishes the versions.
fn make_sequence(spec: &NodeSpec<'_>, order: GateOrder) -> Result<Box<dyn Kernel>> {
    let form = Form::of(spec, order)?;
    single(spec, boxed(move |context| sequence(context, form)))
}

/// Makes the kernel for the gradient of a sequence.
fn make_sequence_gradient(spec: &NodeSpec<'_>, order: GateOrder) -> Result<Box<dyn Kernel>> {
    let form = Form::of(spec, order)?;
    single(spec, boxed(move |context| sequence_gradient(context, form)))
}

/// Returns the kernel as it is for `float32`, and with conversions around it for `float16`.
///
/// Other dtypes are `Unimplemented`.
fn single(spec: &NodeSpec<'_>, kernel: Box<dyn Kernel>) -> Result<Box<dyn Kernel>> {
    match spec.dtype("T")? {
        DType::Float32 => Ok(kernel),
        DType::Float16 => Ok(widened(spec, kernel)),
        other => Err(unsupported(other)),
    }
}

/// The attributes of a cell.
///
/// It is fixed when the kernel is made.
#[derive(Clone, Copy)]
struct Form {
    /// The order of the gates in the weights.
    order: GateOrder,
    /// The number that is added to the forget gate before its activation.
    forget_bias: f32,
    /// The limit of the cell state; not positive for none.
    cell_clip: f32,
    /// True if the gates also see the cell state.
    use_peephole: bool,
}

impl Form {
    /// Reads the attributes.
    ///
    /// V2 and the gradients have no `forget_bias`, which is 0 then; gradients do not need it, because the
    /// gates after their activations are inputs.
    fn of(spec: &NodeSpec<'_>, order: GateOrder) -> Result<Form> {
        let number = |name: &str| if spec.attr(name).is_ok() { spec.float(name) } else { Ok(0.0) };
        Ok(Form {
            order,
            forget_bias: number("forget_bias")?,
            cell_clip: number("cell_clip")?,
            use_peephole: spec.bool("use_peephole")?,
        })
    }

    /// Returns the cell of a number of units.
    fn cell(self, units: usize) -> Lstm {
        let Form { order, forget_bias, cell_clip, use_peephole } = self;
        Lstm { units, order, forget_bias, cell_clip, use_peephole }
    }
}

/// The sizes of an operation.
///
/// All have been checked against the shapes of all inputs.
#[derive(Clone, Copy)]
struct Sizes {
    /// The number of time steps, 1 for a single step.
    steps: usize,
    /// The number of examples.
    batch: usize,
    /// The size of an input.
    depth: usize,
    /// The number of units.
    units: usize,
}

impl Sizes {
    /// Reads the sizes off the inputs, which begin with `x` at this place, and checks that they fit together.
    ///
    /// `x` is 0 for a single step and 1 for a sequence, whose first input is the length; all other inputs
    /// follow at fixed distances.
    fn of(context: &KernelContext<'_>, x: usize, form: Form) -> Result<Sizes> {
        let (input, memory) = (context.input(x).shape(), context.input(x + 1).shape());
        let (steps, batch, depth) = match (input.dims(), x) {
            (&[batch, depth], 0) => (1, batch, depth),
            (&[steps, batch, depth], 1) => (steps, batch, depth),
            _ => {
                let text = format!("x must have rank {}, not the shape {input}", 2 + x);
                return Err(Error::invalid_argument(text));
            }
        };
        let units = memory.dims().last().copied().unwrap_or(0);
        check("cs_prev", memory, &[batch, units])?;
        check("h_prev", context.input(x + 2).shape(), &[batch, units])?;
        // The sizes come from shapes, which may be absurd as long as a dimension is 0.
        let gates = units.checked_mul(4).ok_or_else(|| Error::invalid_argument("too many units"))?;
        check("w", context.input(x + 3).shape(), &[depth.saturating_add(units), gates])?;
        check("b", context.input(x + 7).shape(), &[gates])?;
        if form.use_peephole {
            for (place, name) in ["wci", "wcf", "wco"].into_iter().enumerate() {
                check(name, context.input(x + 4 + place).shape(), &[units])?;
            }
        }
        Ok(Sizes { steps, batch, depth, units })
    }

    /// Returns the number of elements of a step's state.
    fn state(self) -> usize {
        self.batch * self.units
    }

    /// Checks that inputs have the shape of a state for each step.
    ///
    /// `inputs` is a range of input numbers. For a single step the shape has no axis of steps.
    fn check_steps(
        self,
        context: &KernelContext<'_>,
        x: usize,
        inputs: std::ops::Range<usize>,
    ) -> Result<()> {
        for input in inputs {
            let expected = [self.steps, self.batch, self.units];
            check(&format!("input {input}"), context.input(input).shape(), &expected[1 - x..])?;
        }
        Ok(())
    }
}

/// Returns the peephole weights of the three gates.
///
/// `x` as in `Sizes::of`. Unused ones may be empty.
fn peepholes<'a>(inputs: Inputs<'a>, x: usize) -> Result<[&'a [f32]; 3]> {
    Ok([inputs.slice(x + 4)?, inputs.slice(x + 5)?, inputs.slice(x + 6)?])
}

/// Computes one time step.
///
/// Delivers `i, cs, f, o, ci, co, h`. The weights are split at row `depth`: the first part multiplies the
/// input, the second part the state.
fn step(context: &mut KernelContext<'_>, form: Form) -> Result<()> {
    let sizes = Sizes::of(context, 0, form)?;
    let Sizes { batch, depth, units, .. } = sizes;
    let mut outputs = fresh::<7>(context, &[batch, units])?;
    let mut sums = context.allocate::<f32>([batch, 4 * units])?;
    let pool = context.pool();
    let (inputs, scratch) = context.split();
    let mut products = Products { pool, scratch };
    let (of_x, of_h) = inputs.slice::<f32>(3)?.split_at(depth * 4 * units);
    let gates = elements(&mut sums);
    let by_input = Product::new(batch, depth, 4 * units);
    products.with_bias(&by_input, inputs.slice(0)?, of_x, inputs.slice(7)?, gates)?;
    let by_state = Product::new(batch, units, 4 * units).accumulate();
    products.multiply(&by_state, inputs.slice(2)?, of_h, gates)?;
    let slices = outputs.each_mut().map(elements);
    lstm(pool, &form.cell(units), gates, inputs.slice(1)?, peepholes(inputs, 0)?, slices);
    deliver(context, outputs);
    Ok(())
}

/// Computes the gradient of one time step.
///
/// Delivers the gradients of the memory before the step, of the sums of the gates, and of the peepholes. That
/// of `x` and the weights is left to the gradient function in `ops`, which computes it from the sums.
fn step_gradient(context: &mut KernelContext<'_>, form: Form) -> Result<()> {
    let sizes = Sizes::of(context, 0, form)?;
    let Sizes { batch, units, .. } = sizes;
    sizes.check_steps(context, 0, 8..16)?;
    let mut of_memory = context.allocate::<f32>([batch, units])?;
    let mut gates = context.allocate::<f32>([batch, 4 * units])?;
    let mut of_peepholes = fresh::<3>(context, &[units])?;
    let pool = context.pool();
    let (inputs, _) = context.split();
    let (cell, sums) = (form.cell(units), elements(&mut gates));
    let memory = inputs.slice::<f32>(1)?;
    let step = LstmStep { memory, outputs: kept(inputs, 8)? };
    let grads = [inputs.slice(14)?, inputs.slice(15)?];
    lstm_gradient(pool, &cell, step, grads, peepholes(inputs, 0)?, sums, elements(&mut of_memory));
    let mut peephole_sums = of_peepholes.each_mut().map(elements);
    peephole_sums.iter_mut().for_each(|sums| sums.fill(0.0));
    if form.use_peephole {
        add_peepholes(&cell, sums, memory, inputs.slice(9)?, &mut peephole_sums);
    }
    context.set(0, of_memory);
    context.set(1, gates);
    of_peepholes.into_iter().enumerate().for_each(|(place, sums)| context.set(2 + place, sums));
    Ok(())
}

/// Returns the outputs of the forward operation but the last, which are inputs of its gradient from `first`
/// on.
///
/// They are `i, cs, f, o, ci, co`.
fn kept<'a>(inputs: Inputs<'a>, first: usize) -> Result<[&'a [f32]; 6]> {
    let mut all: [&[f32]; 6] = [&[]; 6];
    for (place, slice) in all.iter_mut().enumerate() {
        *slice = inputs.slice(first + place)?;
    }
    Ok(all)
}

/// Adds the gradients of the weights of the memory: those of the gates' sums times the memory that the gates
/// saw.
///
/// `gates` are the gradients of the sums, a row of `4 units` for each example. Input and forget gate see the
/// memory `before` the step, the output gate the memory after it (`behind`). Adds to the three `sums`, in the
/// order of `wci`, `wcf`, `wco`.
fn add_peepholes(cell: &Lstm, gates: &[f32], before: &[f32], behind: &[f32], sums: &mut [&mut [f32]; 3]) {
    let units = cell.units;
    // The place of the forget gate among the four; input and output are first and last in both orders.
    let forget = if cell.order == GateOrder::Icfo { 2 } else { 1 };
    for (row, gates) in gates.chunks_exact((4 * units).max(1)).enumerate() {
        let of_row = row * units..(row + 1) * units;
        for (place, seen, total) in [(0, before, 0), (forget, before, 1), (3, behind, 2)] {
            let pairs = gates[place * units..][..units].iter().zip(&seen[of_row.clone()]);
            sums[total].iter_mut().zip(pairs).for_each(|(sum, (gate, memory))| *sum += gate * memory);
        }
    }
}

/// Returns the number of steps to take: input 0, `seq_len_max`.
fn taken(context: &KernelContext<'_>, steps: usize) -> Result<usize> {
    let longest = context.int(0)?;
    usize::try_from(longest).ok().filter(|&taken| taken <= steps).ok_or_else(|| {
        Error::invalid_argument(format!(
            "seq_len_max is {longest}, which is not in [0, {steps}], the steps of x"
        ))
    })
}

/// Computes a sequence, whose examples may have different lengths.
///
/// Delivers the outputs of all steps. `seq_len_max` applies to all examples alike; the steps after the end of
/// a shorter example are computed and must be ignored by its user.
fn sequence(context: &mut KernelContext<'_>, form: Form) -> Result<()> {
    let sizes = Sizes::of(context, 1, form)?;
    let Sizes { steps, batch, depth, units } = sizes;
    let taken = taken(context, steps)?;
    let (state, mut watch) = (sizes.state(), context.watch());
    let mut outputs = fresh::<7>(context, &[steps, batch, units])?;
    let mut sums = context.allocate::<f32>([taken * batch, 4 * units])?;
    let pool = context.pool();
    let (inputs, scratch) = context.split();
    let mut products = Products { pool, scratch };
    let (of_x, of_h) = inputs.slice::<f32>(4)?.split_at(depth * 4 * units);
    let gates = elements(&mut sums);
    // The rows of all steps are contiguous, so one product serves all.
    let x = &inputs.slice::<f32>(1)?[..taken * batch * depth];
    let by_input = Product::new(taken * batch, depth, 4 * units);
    products.with_bias(&by_input, x, of_x, inputs.slice(8)?, gates)?;
    let by_state = Product::new(batch, units, 4 * units).accumulate();
    let (cell, peepholes) = (form.cell(units), peepholes(inputs, 1)?);
    let (first_memory, first_output) = (inputs.slice::<f32>(2)?, inputs.slice::<f32>(3)?);
    let mut slices = outputs.each_mut().map(elements);
    for step in 0..taken {
        watch.tick(state)?;
        // The results before this step, and those of this step.
        let [(_, i), (memory, cs), (_, f), (_, o), (_, ci), (_, co), (output, h)] =
            slices.each_mut().map(|slice| {
                let (before, rest) = slice.split_at_mut(step * state);
                (&*before, &mut rest[..state])
            });
        // The state before the first step is an input, later ones are the previous step's outputs.
        let last = step.checked_sub(1).map(|step| step * state);
        let memory = last.map_or(first_memory, |at| &memory[at..]);
        let output = last.map_or(first_output, |at| &output[at..]);
        let gates = &mut gates[4 * step * state..][..4 * state];
        products.multiply(&by_state, output, of_h, gates)?;
        lstm(pool, &cell, gates, memory, peepholes, [i, cs, f, o, ci, co, h]);
    }
    // New memory has arbitrary contents, and the steps that were not taken are outputs, too.
    slices.iter_mut().for_each(|slice| slice[taken * state..].fill(0.0));
    deliver(context, outputs);
    Ok(())
}

/// Computes the gradient of a sequence, from the last time step to the first.
///
/// Delivers the gradients of `x`, the first state, the weights, the peepholes and the bias.
///
/// Going backward, each step adds the gradients of its own outputs to those that come from the next step.
/// Only the product that leads to the previous output is done step by step; `gates` keeps the gradients of
/// all sums, and the gradients of `x` and `w` are single products of it at the end.
fn sequence_gradient(context: &mut KernelContext<'_>, form: Form) -> Result<()> {
    let sizes = Sizes::of(context, 1, form)?;
    let Sizes { steps, batch, depth, units } = sizes;
    let taken = taken(context, steps)?;
    sizes.check_steps(context, 1, 9..18)?;
    let (state, mut watch) = (sizes.state(), context.watch());
    let mut of_x = context.allocate::<f32>([steps, batch, depth])?;
    // The gradients that reach the previous step, and those that it passes on: of memory and output each.
    let [mut of_memory, mut of_output, mut next_memory, mut next_output] =
        fresh::<4>(context, &[batch, units])?;
    let mut of_weights = context.allocate::<f32>([depth + units, 4 * units])?;
    let mut of_peepholes = fresh::<3>(context, &[units])?;
    let mut of_bias = context.allocate::<f32>([4 * units])?;
    let mut sums = context.allocate::<f32>([taken * batch, 4 * units])?;
    let pool = context.pool();
    let (inputs, scratch) = context.split();
    let mut products = Products { pool, scratch };
    let (by_x, by_h) = inputs.slice::<f32>(4)?.split_at(depth * 4 * units);
    let (cell, weights, gates) = (form.cell(units), peepholes(inputs, 1)?, elements(&mut sums));
    let (first_memory, first_output) = (inputs.slice::<f32>(2)?, inputs.slice::<f32>(3)?);
    let kept = kept(inputs, 9)?;
    let (memories, outputs) = (kept[1], inputs.slice::<f32>(15)?);
    let (memory_grads, output_grads) = (inputs.slice::<f32>(16)?, inputs.slice::<f32>(17)?);
    let mut peephole_sums = of_peepholes.each_mut().map(elements);
    peephole_sums.iter_mut().for_each(|sums| sums.fill(0.0));
    let [of_memory_now, of_output_now] = [&mut of_memory, &mut of_output].map(elements);
    of_memory_now.fill(0.0);
    of_output_now.fill(0.0);
    let [total_memory, total_output] = [&mut next_memory, &mut next_output].map(elements);
    for step in (0..taken).rev() {
        watch.tick(state)?;
        let own = step * state..(step + 1) * state;
        add(total_memory, of_memory_now, &memory_grads[own.clone()]);
        add(total_output, of_output_now, &output_grads[own.clone()]);
        let memory = if step == 0 { first_memory } else { &memories[own.start - state..own.start] };
        let gates = &mut gates[4 * step * state..][..4 * state];
        let step = LstmStep { memory, outputs: kept.map(|all| &all[own.clone()]) };
        let grads = [&*total_memory, &*total_output];
        lstm_gradient(pool, &cell, step, grads, weights, gates, of_memory_now);
        let to_output = Product::new(batch, 4 * units, units).transpose_b();
        products.multiply(&to_output, gates, by_h, of_output_now)?;
        if form.use_peephole {
            add_peepholes(&cell, gates, memory, &memories[own], &mut peephole_sums);
        }
    }
    let x = &inputs.slice::<f32>(1)?[..taken * batch * depth];
    let (in_steps, behind) = elements(&mut of_x).split_at_mut(taken * batch * depth);
    behind.fill(0.0);
    products.multiply(&Product::new(taken * batch, 4 * units, depth).transpose_b(), gates, by_x, in_steps)?;
    let (weights_x, weights_h) = elements(&mut of_weights).split_at_mut(depth * 4 * units);
    products.multiply(&Product::new(depth, taken * batch, 4 * units).transpose_a(), x, gates, weights_x)?;
    // The state that multiplies the weights is an input in the first step, and the outputs shifted by one
    // step in the later ones.
    let (first, later) = gates.split_at(4 * state.min(taken * state));
    let of_first = Product::new(units, batch.min(taken * batch), 4 * units).transpose_a();
    products.multiply(&of_first, &first_output[..first.len() / 4], first, weights_h)?;
    let of_later =
        Product::new(units, later.len() / (4 * units).max(1), 4 * units).transpose_a().accumulate();
    products.multiply(&of_later, &outputs[..later.len() / 4], later, weights_h)?;
    let bias = elements(&mut of_bias);
    bias.fill(0.0);
    // In the order of steps and examples, on one thread: the sum's bits must not depend on the pool.
    for row in gates.chunks_exact((4 * units).max(1)) {
        bias.iter_mut().zip(row).for_each(|(sum, gate)| *sum += gate);
    }
    for (place, grad) in [of_x, of_memory, of_output, of_weights].into_iter().enumerate() {
        context.set(place, grad);
    }
    of_peepholes.into_iter().enumerate().for_each(|(place, sums)| context.set(4 + place, sums));
    context.set(7, of_bias);
    Ok(())
}

/// Sets each number to the sum of two others.
fn add(to: &mut [f32], a: &[f32], b: &[f32]) {
    to.iter_mut().zip(a.iter().zip(b)).for_each(|(to, (a, b))| *to = a + b);
}
