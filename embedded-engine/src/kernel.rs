//! Kernels: the code that runs one operation, and its view of the step.
//!
//! A kernel is made once per plan from the attributes of its operation (`MakeKernel`), so everything that
//! depends on attributes and dtypes alone is decided there. It runs once per step, possibly in several
//! threads at the same time, and therefore keeps no state of its own: state belongs to the session
//! (`Resources`), working memory to the frame (`Scratch`).
//!
//! ```text
//! fn run(&self, context: &mut KernelContext<'_>) -> Result<()> {
//!     let x = context.take(0);                          // in place, if this is the last use
//!     context.produce(0, x.shape().clone(), |_, y| ...) // otherwise new memory from the session's pool
//! }
//! ```
//!
//! Shapes are checked here, although the graph was checked when it was built: a dimension may be unknown
//! until a feed arrives.
//!
//! # Contract
//!
//! - Inputs exist: a step with a missing input does not run, so `input` and `take` may rely on it. What the
//!   inputs contain is not trusted: a kernel checks shapes, ranges and handles and returns an error that
//!   names the offending value.
//! - Every output is set on success, except by ops that decide what runs (`Switch`); an output whose slot is
//!   [`UNUSED`] may be skipped when computing it is expensive.
//! - On an error nothing has to be cleaned up. The frame is dropped, and values that were taken go with it.
//!   Effects on variables happen after all checks, so that a rejected update changes nothing.
//! - Results depend on inputs, attributes and state only: not on the number of threads, and not on what
//!   memory contained before.

use crate::background::Threads;
use crate::limits::Limits;
use crate::resources::{Instance, OpState, Resources};
use compute::elementwise::{Values, ValuesMut, cast_values};
use compute::{OutOfMemory, Pool, Scratch};
use session_core::{AttrValue, Error, FileAccess, Operation, Result};
use std::any::Any;
use std::sync::{Arc, Weak};
use tensor::{BufferPool, DType, Element, Shape, Tensor, TensorError, memory};

/// Runs one operation of a plan. It is made once per plan and called in every step, possibly by several
/// threads at the same time.
///
/// Closures of the form `Fn(&mut KernelContext) -> Result<()>` are kernels, which is what most op types
/// register.
pub(crate) trait Kernel: Send + Sync {
    /// Computes the outputs from the inputs of the context.
    ///
    /// # Errors
    /// `InvalidArgument` and its like for bad input, without the name of the operation: the executor adds it.
    /// `ResourceExhausted` if memory is short.
    fn run(&self, context: &mut KernelContext<'_>) -> Result<()>;

    /// Returns what the kernel can do besides running to its end. There are more than a thousand types of
    /// kernels, and each has its own copy of a default method, so this is the only one and returns a constant.
    fn ability(&self) -> Ability<'_> {
        Ability::Runs
    }
}

/// The abilities of a kernel beyond running to its end.
pub(crate) enum Ability<'k> {
    /// Nothing.
    Runs,
    /// The kernel can return a wait instead of blocking.
    Begins(&'k dyn Begin),
    /// The kernel calls functions of the graph.
    Holds(&'k dyn Hold),
}

/// A kernel of an op type that is registered as waiting.
pub(crate) trait Begin {
    /// Works as `run`, but returns a wait instead of blocking; the step continues with everything that does
    /// not depend on the operation.
    ///
    /// An implementation that returns a wait must have registered it where the other side finds it, and must
    /// have taken from the context everything that `finish` needs: the inputs may be gone by then.
    fn begin(&self, context: &mut KernelContext<'_>) -> Result<Option<Box<dyn Wait>>>;
}

/// A kernel of an op type that holds functions.
pub(crate) trait Hold {
    /// Works as `run`. The functions come in the order in which the registration names their attributes.
    ///
    /// `functions` are compiled plans of the session. A kernel may keep clones of them in a resource, as
    /// datasets do, and call them in later steps.
    fn run_with(&self, context: &mut KernelContext<'_>, functions: &[Arc<dyn Body>]) -> Result<()>;
}

impl<'k> dyn Kernel + 'k {
    /// Begins the operation; without a wait it is complete.
    pub(crate) fn begin(&self, context: &mut KernelContext<'_>) -> Result<Option<Box<dyn Wait>>> {
        match self.ability() {
            Ability::Begins(kernel) => kernel.begin(context),
            Ability::Runs | Ability::Holds(_) => self.run(context).map(|()| None),
        }
    }

    /// Runs the operation with the functions that its registration names.
    pub(crate) fn run_with(
        &self,
        context: &mut KernelContext<'_>,
        functions: &[Arc<dyn Body>],
    ) -> Result<()> {
        match self.ability() {
            Ability::Holds(kernel) => kernel.run_with(context, functions),
            Ability::Runs | Ability::Begins(_) => self.run(context),
        }
    }
}

/// A compiled function of the graph, which a kernel may keep and call.
pub(crate) trait Body: Send + Sync {
    /// Runs it. Errors name the operation of its body.
    ///
    /// The function runs on the calling thread, in a frame of its own. `arguments` are in the order of the
    /// function's inputs; the results are in the order of its outputs.
    ///
    /// # Errors
    /// `InvalidArgument` for a wrong number of arguments, and errors of its operations.
    fn call(&self, caller: &Caller<'_>, arguments: Vec<Tensor>) -> Result<Vec<Tensor>>;

    /// Returns true if equal arguments give equal results, whenever and in whatever order it is called.
    ///
    /// Datasets call a pure function ahead of time and in several threads, and any other one in order.
    fn is_pure(&self) -> bool;

    /// Returns true if a call may fail with `OutOfRange`, which is an end in the function of a map. False is only
    /// certain for a pure function.
    fn may_end(&self) -> bool;

    /// Returns true if a call may block until another thread does something.
    fn may_block(&self) -> bool;
}

/// The caller of a function: the session, the limits of the run, and the owner of the states of random
/// operations.
#[derive(Clone, Copy)]
pub(crate) struct Caller<'a> {
    /// The pool, memory, resources and threads of the session.
    pub(crate) environment: &'a Environment,
    /// The conditions under which the call must end early.
    pub(crate) limits: &'a Limits<'a>,
    /// The owner of the states of stateful operations in the function, such as one iterator; `None` if the
    /// session keeps them.
    pub(crate) instance: Option<&'a Instance>,
}

/// Makes a closure a kernel.
impl<F: Fn(&mut KernelContext<'_>) -> Result<()> + Send + Sync> Kernel for F {
    fn run(&self, context: &mut KernelContext<'_>) -> Result<()> {
        self(context)
    }
}

/// A wait of a step. If it is dropped before completion, the operation has had no effect.
///
/// The implementation must not miss a wakeup: the thread that completes the wait does so under the lock under
/// which `is_done` looks, and unparks the thread afterwards.
///
/// Only the thread of the run calls these methods. Completion comes from other threads, from later operations
/// of the same step, or from a cancellation, which the kernel turns into a result that `finish` reports.
pub(crate) trait Wait {
    /// Returns true if [`finish`](Wait::finish) has something to deliver. The thread that began it is
    /// unparked when it has.
    fn is_done(&self) -> bool;

    /// Delivers the outputs, once, after it is done.
    ///
    /// # Errors
    /// The error with which the other side completed the wait, such as `OutOfRange` for a queue that was
    /// closed.
    fn finish(&mut self, context: &mut KernelContext<'_>) -> Result<()>;

    /// Describes the wait, for messages: `dequeue of 1 element from FIFOQueue 'q' (size 0, capacity 10)`.
    fn describe(&self) -> String;
}

/// Makes the kernel of one operation, after checking its dtypes and attributes.
///
/// `Unimplemented` is the one error that does not end the compilation: the operation is added to the list of
/// missing kernels.
pub(crate) type MakeKernel = fn(&NodeSpec<'_>) -> Result<Box<dyn Kernel>>;

/// The static properties of an operation, from which its kernel is created.
pub(crate) struct NodeSpec<'a> {
    /// The operation that the kernel is created for.
    pub(crate) operation: &'a Operation,
    /// The name of the function whose body contains the operation; `None` for operations of the graph itself.
    pub(crate) function: Option<&'a str>,
    /// The resources of the session. Kernels look theirs up when they are created, not in each run.
    pub(crate) resources: &'a Resources,
}

impl NodeSpec<'_> {
    /// Returns the state that the session keeps for the operation, created at its first use.
    pub(crate) fn state<S: OpState>(&self, make: impl FnOnce() -> S) -> Result<Arc<S>> {
        let name = self.operation.name();
        match self.function {
            // Operations of different bodies may have one name. Names of operations contain no colon.
            Some(function) => self.resources.state(&format!("{function}:{name}"), make),
            None => self.resources.state(name, make),
        }
    }

    /// Returns an attribute; the error names a missing one.
    pub(crate) fn attr(&self, name: &str) -> Result<&AttrValue> {
        self.operation.attr(name).ok_or_else(|| Error::value(format!("attribute '{name}' is missing")))
    }

    /// Returns an integer attribute. An absent attribute or one of another kind is a `Value` error, here and
    /// in the following functions.
    pub(crate) fn int(&self, name: &str) -> Result<i64> {
        self.attr(name)?.as_int().ok_or_else(|| wrong(name, "an integer"))
    }

    /// Returns a `float` attribute, as the `f32` that the attribute stores.
    pub(crate) fn float(&self, name: &str) -> Result<f32> {
        self.attr(name)?.as_float().ok_or_else(|| wrong(name, "a number"))
    }

    /// Returns a bool attribute.
    pub(crate) fn bool(&self, name: &str) -> Result<bool> {
        self.attr(name)?.as_bool().ok_or_else(|| wrong(name, "a bool"))
    }

    /// Returns a string attribute. One that is not UTF-8 counts as an attribute of another kind.
    pub(crate) fn str(&self, name: &str) -> Result<&str> {
        self.attr(name)?.as_str().ok_or_else(|| wrong(name, "a string"))
    }

    /// Returns a dtype attribute.
    pub(crate) fn dtype(&self, name: &str) -> Result<DType> {
        self.attr(name)?.as_type().ok_or_else(|| wrong(name, "a dtype"))
    }

    /// Returns a list of integers.
    pub(crate) fn ints(&self, name: &str) -> Result<Vec<i64>> {
        self.attr(name)?.as_ints().ok_or_else(|| wrong(name, "a list of integers"))
    }

    /// Returns the dtype of an input, counted over flattened lists. For an operation with an empty list of
    /// inputs it is the attribute `T`.
    pub(crate) fn input_dtype(&self, index: usize) -> DType {
        if index < self.operation.num_inputs() {
            return self.operation.input(index).dtype();
        }
        // No kernel is generic over variants, so a maker that gets this one reports it instead of guessing.
        self.dtype("T").unwrap_or(DType::Variant)
    }
}

/// Returns the error for an attribute of another kind.
fn wrong(name: &str, kind: &str) -> Error {
    Error::value(format!("attribute '{name}' is not {kind}"))
}

/// The location of an input in the frame. The same struct describes a fetch, for which `last` says whether
/// the result may be moved out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input {
    /// The slot that holds the value.
    pub(crate) slot: u32,
    /// True if nothing needs the value after this operation, so a kernel may take it and write in place.
    ///
    /// If a step has one value as two inputs, both are false: the kernel needs the value twice, and the step
    /// empties the slot itself.
    pub(crate) last: bool,
}

/// The slot of an output that nothing reads. `set` drops the value; a kernel may test for it and skip the
/// computation.
pub(crate) const UNUSED: u32 = u32::MAX;

/// The state that kernels share within one session. Clones share it.
///
/// It outlives runs: background threads and iterators keep clones, which is why it refers to no run, frame or
/// plan.
#[derive(Clone)]
pub(crate) struct Environment {
    /// The threads among which one kernel divides its work.
    pub(crate) pool: Pool,
    /// The pool from which results are allocated and to which their memory returns. It enforces the memory
    /// limit of the session.
    pub(crate) buffers: BufferPool,
    /// The variables, queues and other state of the session.
    pub(crate) resources: Arc<Resources>,
    /// The threads that work for the session in the background.
    pub(crate) threads: Threads,
    /// The files that operations may reach.
    pub(crate) files: FileAccess,
}

impl Environment {
    /// Returns the same without keeping the resources.
    pub(crate) fn downgrade(&self) -> WeakEnvironment {
        let Environment { pool, buffers, resources, threads, files } = self.clone();
        WeakEnvironment { pool, buffers, resources: Arc::downgrade(&resources), threads, files }
    }
}

/// The state that kernels share, for a value that the resources themselves hold: a strong reference to them
/// would keep both alive.
pub(crate) struct WeakEnvironment {
    /// The threads among which one kernel divides its work.
    pool: Pool,
    /// The memory of results.
    buffers: BufferPool,
    /// The resources, while the session keeps them.
    resources: Weak<Resources>,
    /// The threads in the background.
    threads: Threads,
    /// The files that operations may reach.
    files: FileAccess,
}

impl WeakEnvironment {
    /// Returns the state of the session, or `None` after it is gone.
    pub(crate) fn upgrade(&self) -> Option<Environment> {
        let WeakEnvironment { pool, buffers, threads, files, .. } = self;
        let resources = self.resources.upgrade()?;
        let (pool, buffers, threads, files) = (pool.clone(), buffers.clone(), threads.clone(), files.clone());
        Some(Environment { pool, buffers, resources, threads, files })
    }
}

/// The step in which a kernel runs, as the kernel sees it.
pub(crate) struct KernelContext<'a> {
    /// The values of the frame, by slot. Kernels reach them through `inputs` and `outputs` only.
    pub(crate) slots: &'a mut [Option<Tensor>],
    /// The slots of the inputs, lists flattened, in the order of the op's signature.
    pub(crate) inputs: &'a [Input],
    /// The slots of the outputs, lists flattened; [`UNUSED`] for those that nothing reads.
    pub(crate) outputs: &'a [u32],
    /// The session's pool, memory and resources.
    pub(crate) environment: &'a Environment,
    /// The conditions that end the run early.
    pub(crate) limits: &'a Limits<'a>,
    /// Keeps the states of operations where these are not the session's.
    pub(crate) instance: Option<&'a Instance>,
    /// Working memory that the frame keeps from run to run.
    ///
    /// Its content is arbitrary at the beginning of a kernel.
    pub(crate) scratch: &'a mut Scratch,
}

impl<'a> KernelContext<'a> {
    /// Returns the caller on whose behalf the kernel runs: the session, or one iterator.
    pub(crate) fn caller(&self) -> Caller<'a> {
        Caller { environment: self.environment, limits: self.limits, instance: self.instance }
    }

    /// Returns the number of outputs, lists flattened.
    pub(crate) fn num_outputs(&self) -> usize {
        self.outputs.len()
    }

    /// Returns the number of inputs, lists flattened.
    #[inline]
    pub(crate) fn num_inputs(&self) -> usize {
        self.inputs.len()
    }

    /// Returns an input's value.
    ///
    /// Panics if the kernel has taken the input before.
    #[inline]
    pub(crate) fn input(&self, index: usize) -> &Tensor {
        // A dead input keeps its step from running, so an empty slot is a fault of the compiler and not of
        // the graph.
        let slot = self.inputs[index].slot;
        self.slots[slot as usize].as_ref().expect("producers run before their consumers")
    }

    /// Returns an input's elements in row-major order. A dtype other than `T` is an error rather than a
    /// panic, because a feed of an imported graph may contradict its definition.
    #[inline]
    pub(crate) fn slice<T: Element>(&self, index: usize) -> Result<&[T]> {
        self.input(index).as_slice().map_err(unlike)
    }

    /// Returns an input's elements, for functions that find the loop for their dtype themselves.
    pub(crate) fn values(&self, index: usize) -> Result<Values<'_>> {
        values(self.input(index))
    }

    /// Returns an input's numbers as doubles.
    ///
    /// Integers beyond 2^53 are rounded. The vector comes from the system's memory, not from the pool: use it
    /// for small inputs such as summaries.
    pub(crate) fn doubles(&self, index: usize) -> Result<Vec<f64>> {
        let mut doubles = memory::filled(0.0f64, self.input(index).elements())?;
        cast_values(self.pool(), self.values(index)?, doubles.as_mut_slice().into());
        Ok(doubles)
    }

    /// Returns an input and gives up the kernel's claim to it. At its last use the value is moved out of the
    /// frame, so a kernel can write in place if nothing else shares the elements; otherwise the value is
    /// shared. Must not be called twice for an input.
    #[inline]
    pub(crate) fn take(&mut self, index: usize) -> Tensor {
        let Input { slot, last } = self.inputs[index];
        let slot = &mut self.slots[slot as usize];
        // A clone shares the elements, and writing to shared elements copies them: a kernel need not know
        // which case it is.
        let value = if last { slot.take() } else { slot.clone() };
        value.expect("producers run before their consumers")
    }

    /// Returns the integers of an index or shape input, of any dtype that indices have.
    ///
    /// These are `int8`, `int16`, `uint16`, `int32` and `int64`, whatever the op's definition says; the
    /// result is the flattened list.
    pub(crate) fn ints(&self, index: usize) -> Result<Vec<i64>> {
        integers(self.input(index))
    }

    /// Returns the single integer of an input, of any dtype that indices have.
    pub(crate) fn int(&self, index: usize) -> Result<i64> {
        let tensor = self.input(index);
        match tensor.dtype() {
            DType::Int8 => Ok(tensor.value::<i8>()?.into()),
            DType::Int16 => Ok(tensor.value::<i16>()?.into()),
            DType::Int32 => Ok(tensor.value::<i32>()?.into()),
            // Any other dtype fails here, with an error that names it.
            _ => Ok(tensor.value::<i64>()?),
        }
    }

    /// Returns the value behind the handle of an input, which is `what`, named with its article.
    #[inline]
    pub(crate) fn handle<H: Any + Send + Sync>(&self, input: usize, what: &str) -> Result<&H> {
        self.input(input).as_handle().ok_or_else(|| no_handle(input, what))
    }

    /// Works as [`handle`](KernelContext::handle), but clones the `Arc`, so that the resource can be used
    /// while outputs are set.
    #[inline]
    pub(crate) fn shared_handle<H: Any + Send + Sync>(&self, input: usize, what: &str) -> Result<Arc<H>> {
        self.input(input).to_handle().ok_or_else(|| no_handle(input, what))
    }

    /// Delivers a count as output 0, an `int32`. A count beyond its range is delivered as the largest
    /// `int32`.
    pub(crate) fn set_count(&mut self, count: impl TryInto<i32>) {
        // A count beyond `int32` cannot be expressed; the largest one is nearer to it than a wrapped one.
        self.set(0, Tensor::scalar(count.try_into().unwrap_or(i32::MAX)));
    }

    /// Delivers an output. A value for an [`UNUSED`] output is dropped. The dtype is not checked here;
    /// kernels must match the definition.
    pub(crate) fn set(&mut self, output: usize, value: Tensor) {
        let slot = self.outputs[output];
        if slot != UNUSED {
            self.slots[slot as usize] = Some(value);
        }
    }

    /// Takes back an output that was already delivered, for kernels built on another kernel's result. `None`
    /// if the output is unused.
    pub(crate) fn take_output(&mut self, output: usize) -> Option<Tensor> {
        match self.outputs[output] {
            UNUSED => None,
            slot => self.slots[slot as usize].take(),
        }
    }

    /// Returns a new tensor from the session's memory with arbitrary elements. Every element must be written.
    ///
    /// # Errors
    /// `ResourceExhausted` with the size, if neither the pool nor the system has the memory or the session's
    /// limit forbids it.
    #[inline]
    pub(crate) fn allocate<T: Element>(&self, shape: impl Into<Shape>) -> Result<Tensor> {
        Ok(Tensor::from_pool::<T>(&self.environment.buffers, shape)?)
    }

    /// Works as [`allocate`](Self::allocate), not compiled for each type.
    fn fresh(&self, dtype: DType, shape: Shape) -> Result<Tensor> {
        Ok(Tensor::from_pool_dtype(self.buffers(), dtype, shape)?)
    }

    /// Returns a new tensor that `write` fills.
    ///
    /// `write` receives the elements in row-major order with arbitrary content and must write all of them. It
    /// cannot use the context, which is borrowed; [`produce`](Self::produce) passes it in.
    pub(crate) fn made<T: Element>(
        &self,
        shape: Shape,
        write: impl FnOnce(&mut [T]) -> Result<()>,
    ) -> Result<Tensor> {
        let mut tensor = self.fresh(T::DTYPE, shape)?;
        write(tensor.as_mut_slice().expect("new memory has one owner"))?;
        Ok(tensor)
    }

    /// Delivers as an output a new tensor that `write` fills.
    ///
    /// `write` receives the context to read inputs, and must write every element. If it fails, the output is
    /// not delivered.
    pub(crate) fn produce<T: Element>(
        &mut self,
        output: usize,
        shape: impl Into<Shape>,
        write: impl FnOnce(&Self, &mut [T]) -> Result<()>,
    ) -> Result<()> {
        let mut tensor = self.fresh(T::DTYPE, shape.into())?;
        write(self, tensor.as_mut_slice().expect("new memory has one owner"))?;
        self.set(output, tensor);
        Ok(())
    }

    /// Works as [`produce`](Self::produce), for functions that find the loop for a dtype themselves.
    ///
    /// Takes the closure by reference and the dtype by value, so that it is compiled once and not once per
    /// element type.
    pub(crate) fn produce_values(
        &mut self,
        output: usize,
        dtype: DType,
        shape: Shape,
        write: &dyn Fn(&Self, ValuesMut<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut tensor = self.fresh(dtype, shape)?;
        for_dtype!(all dtype, T => {
            write(self, tensor.as_mut_slice::<T>().expect("new memory has one owner").into())
        })?;
        self.set(output, tensor);
        Ok(())
    }

    /// Returns the inputs and the working memory at the same time, for kernels that need both.
    ///
    /// Without it the borrow of an input would keep the scratch memory from being borrowed mutably.
    #[inline]
    pub(crate) fn split(&mut self) -> (Inputs<'_>, &mut Scratch) {
        (Inputs { slots: self.slots, inputs: self.inputs }, self.scratch)
    }

    /// Returns the threads for one kernel's work.
    #[inline]
    pub(crate) fn pool(&self) -> &'a Pool {
        &self.environment.pool
    }

    /// Runs another kernel on these tensors, for operations that consist of several, and returns its first
    /// output.
    ///
    /// The tensors become the inputs 0 to n - 1 of the inner kernel, each at its last use; output 0 is
    /// requested and all others do not exist. The inner kernel uses the same scratch memory, so the caller
    /// must not hold a part of it.
    ///
    /// # Errors
    /// Those of the inner kernel, and `Internal` if it delivers nothing.
    pub(crate) fn nested(
        &mut self,
        inputs: Vec<Tensor>,
        run: &dyn Fn(&mut KernelContext<'_>) -> Result<()>,
    ) -> Result<Tensor> {
        let output = inputs.len() as u32;
        // All at their last use: the caller gave the tensors away, so the inner kernel may write in place.
        let places: Vec<Input> = (0..output).map(|slot| Input { slot, last: true }).collect();
        let mut slots: Vec<Option<Tensor>> = inputs.into_iter().map(Some).chain([None]).collect();
        run(&mut KernelContext {
            slots: &mut slots,
            inputs: &places,
            outputs: &[output],
            environment: self.environment,
            limits: self.limits,
            instance: self.instance,
            scratch: self.scratch,
        })?;
        slots
            .pop()
            .flatten()
            .ok_or_else(|| Error::new(session_core::Code::Internal, "a kernel did not deliver its output"))
    }

    /// Returns a counter that checks the limits of the run once in a while, for kernels that process many
    /// elements one by one.
    ///
    /// Kernels that hand large blocks to `compute` do not need it: their time is bounded by memory, and the
    /// executor checks between operations.
    pub(crate) fn watch(&self) -> Watch<'a> {
        Watch { limits: self.limits, left: Watch::INTERVAL }
    }

    /// Returns the policy for files. Kernels ask it before they open, list or remove a path.
    pub(crate) fn files(&self) -> &'a FileAccess {
        &self.environment.files
    }

    /// Returns the pool of memory for results.
    #[inline]
    pub(crate) fn buffers(&self) -> &'a BufferPool {
        &self.environment.buffers
    }
}

/// Returns a tensor's elements as an enum over their dtype, for functions that find the loop for a dtype
/// themselves. Strings and handles are `Unimplemented`.
pub(crate) fn values(tensor: &Tensor) -> Result<Values<'_>> {
    for_dtype!(all tensor.dtype(), T => Ok(Values::from(tensor.as_slice::<T>()?)))
}

/// Asks now and then whether a run has ended; see [`KernelContext::watch`].
pub(crate) struct Watch<'a> {
    /// The limits to check.
    limits: &'a Limits<'a>,
    /// The number of elements until the next check.
    left: usize,
}

impl Watch<'_> {
    /// The number of elements between two checks: reading the clock takes tens of nanoseconds, and 65536
    /// elements at least some ten microseconds.
    const INTERVAL: usize = 1 << 16;

    /// Counts work on `elements` elements, and checks the limits of the run when enough has been counted.
    ///
    /// # Errors
    /// The error of the limit that was reached. The kernel returns it without having delivered its outputs.
    #[inline]
    pub(crate) fn tick(&mut self, elements: usize) -> Result<()> {
        // A row without elements still costs a call.
        let elements = elements.max(1);
        if elements < self.left {
            self.left -= elements;
            return Ok(());
        }
        self.left = Watch::INTERVAL;
        self.limits.check()
    }
}

/// The inputs of a kernel, while something else of its context is borrowed.
///
/// Made by [`KernelContext::split`]. The slices that it returns live as long as the frame is borrowed, not
/// only as long as this value.
#[derive(Clone, Copy)]
pub(crate) struct Inputs<'a> {
    /// The values of the frame.
    slots: &'a [Option<Tensor>],
    /// The slots of the inputs.
    inputs: &'a [Input],
}

impl<'a> Inputs<'a> {
    /// Returns an input's elements.
    #[inline]
    pub(crate) fn slice<T: Element>(self, index: usize) -> Result<&'a [T]> {
        let slot = self.inputs[index].slot;
        let tensor = self.slots[slot as usize].as_ref().expect("producers run before their consumers");
        tensor.as_slice().map_err(unlike)
    }
}

/// Returns the error for an input whose dtype is not the one that the kernel was registered for.
#[cold]
fn unlike(error: TensorError) -> Error {
    error.into()
}

/// Returns the integers of a tensor of any dtype that indices have.
pub(crate) fn integers(tensor: &Tensor) -> Result<Vec<i64>> {
    fn wide<T: Element + Into<i64>>(tensor: &Tensor) -> Result<Vec<i64>> {
        Ok(memory::collected(tensor.as_slice::<T>()?.iter().map(|&value| value.into()))?)
    }
    // One conversion for each width that TensorFlow's ops have as index inputs; the last arm also reports
    // wrong dtypes.
    match tensor.dtype() {
        DType::Int8 => wide::<i8>(tensor),
        DType::Int16 => wide::<i16>(tensor),
        DType::UInt16 => wide::<u16>(tensor),
        DType::Int32 => wide::<i32>(tensor),
        _ => Ok(tensor.to_vec::<i64>()?),
    }
}

/// Converts the error of a kernel that could not allocate working memory.
///
/// The limit and the free memory are unknown here: `compute` only knows that its request was refused.
#[cold]
pub(crate) fn no_room(OutOfMemory { bytes }: OutOfMemory) -> Error {
    TensorError::OutOfMemory { bytes, free: None, limit: None }.into()
}

/// Makes working memory that checks the available memory before it grows.
///
/// Allocating without the check would let the system's out-of-memory killer end the process instead of the
/// step.
pub(crate) fn scratch() -> Scratch {
    Scratch::asking(|bytes| memory::check(bytes).is_ok())
}

/// Returns the error for an input that is not a handle of the expected kind.
#[cold]
fn no_handle(input: usize, what: &str) -> Error {
    Error::invalid_argument(format!("input {input} is not the handle of {what}"))
}

/// Returns the kernel of an operation whose one output is known: the handle of something of the session.
///
/// Cloning the handle is a reference count; the resource itself was looked up when the kernel was made.
pub(crate) fn gives(handle: Tensor) -> Box<dyn Kernel> {
    Box::new(move |context: &mut KernelContext<'_>| {
        context.set(0, handle.clone());
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use session_core::{CancellationToken, RunOptions};

    #[test]
    fn a_watch_sees_the_end_of_a_run_between_elements() {
        let (session, options) = (CancellationToken::new(), RunOptions::default());
        let limits = Limits::new(&session, &options, None);
        let mut watch = Watch { limits: &limits, left: Watch::INTERVAL };
        assert!((0..2 * Watch::INTERVAL).all(|_| watch.tick(1).is_ok()));
        session.cancel();
        let seen = (0..Watch::INTERVAL).find_map(|_| watch.tick(1).err()).unwrap();
        assert_eq!(seen.code(), session_core::Code::Cancelled);
        assert!(watch.tick(Watch::INTERVAL).is_err(), "a long row is checked, too");
    }
}
