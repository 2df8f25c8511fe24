//! The registry: the kernel of each op type, and the facts that the compiler needs to know about it.
//!
//! A fact is declared where the kernel is registered, and nowhere else:
//!
//! ```text
//! registry.add("ReadVariableOp", read_variable).reads();
//! registry.add_both(["QueueDequeueV2", "QueueDequeue"], dequeue).waits();
//! ```
//!
//! Facts that the definition of an op type states are not repeated: an op is stateful by its definition, and
//! takes references by its signature.
//!
//! A missing fact costs speed at worst, with three exceptions. An op type that may block must be registered as
//! waiting, or its steps could wait for themselves. An op type whose result changes although it is stateless
//! must be registered as changing, or it is folded. A stateless op type that may fail with `OutOfRange` must be
//! registered as ending, or an epoch of a parallel map does not end there.
//!
//! # Adding an op type
//!
//! 1. Write the kernel in the file of its family, and register it in the `register` function there.
//! 2. Ask for each fact below whether it holds. Most ops compute: they need none.
//! 3. If the op names functions in attributes that its kernel keeps, list them with `holds`; if it runs them
//!    itself, it has the role `Call` and no kernel.
//! 4. Add a test next to the kernel's others, and let the test `op_page` rewrite `docs/ops.md`.

use crate::kernel::{Kernel, MakeKernel, NodeSpec};
use compute::elementwise::{BinaryKernel, UnaryKernel};
use rustc_hash::FxHashMap;
use session_core::{Operation, Result};

/// The op types that this engine runs, by name. Built once per process and never changed afterwards
/// (`kernels::registry`).
#[derive(Default)]
pub(crate) struct Registry {
    /// The facts of each op type.
    op_types: FxHashMap<&'static str, OpType>,
    /// The feature to which the op types belong that are being added.
    feature: Option<&'static str>,
}

/// The facts of one op type. Everything else that the compiler uses is in the definition of the op.
pub(crate) struct OpType {
    /// Makes its kernel; `None` for op types that the compiler or the executor handles without one.
    pub(crate) make: Option<MakeKernel>,
    /// The role of the op in a plan, which decides whether it gets a node.
    pub(crate) role: Role,
    /// True if the op only reads the variables of its handles. Reads are put before updates of the same
    /// variable where the graph leaves the order open. A function with a read is not pure, because its
    /// results depend on when it is called.
    pub(crate) reads: bool,
    /// True if the operation may have to wait for another thread: its kernel begins and returns a wait. The
    /// step is then run by `suspend.rs`.
    pub(crate) waits: bool,
    /// True if the operation never waits, but may end the wait of another one.
    pub(crate) wakes: bool,
    /// True if the kernel calls code of the program, which may block until another thread does something.
    pub(crate) calls_program: bool,
    /// True if the outputs may differ between runs although the definition is stateless, such as those that
    /// depend on a file. Such an op is not folded.
    pub(crate) changes: bool,
    /// True if it computes its outputs from its inputs although its definition is stateful: it describes what
    /// others do later. Datasets are the example: making one opens nothing and draws nothing.
    pub(crate) describes: bool,
    /// The memory that outputs share with inputs in TensorFlow, where that is visible if the memory belongs
    /// to a variable.
    pub(crate) shares: Shares,
    /// The role of the op when it is fused with a product.
    pub(crate) fusion: Option<Fusion>,
    /// The function of single `f32` elements that an operation of this type computes, for chains. It returns
    /// `None` for attributes or dtypes that chains do not support.
    pub(crate) elementwise: Option<fn(&Operation) -> Option<Elementwise>>,
    /// The attributes that name functions which its kernel keeps, to call them later. They are compiled with
    /// the plan and passed to `run_with` in this order.
    pub(crate) holds: &'static [&'static str],
    /// True if the kernel may fail with `OutOfRange`, with which the function of a map ends its dataset. Only
    /// needed for ops that a pure function may contain: others are called in the order of the elements.
    pub(crate) ends: bool,
    /// True if it opens files, or describes what opens them later. Tools that inspect graphs from elsewhere
    /// use it (`accesses_files`).
    pub(crate) accesses_files: bool,
    /// The feature of this crate that brings its kernel. `None` if the kernel is always there.
    pub(crate) feature: Option<&'static str>,
    /// True if that feature is off. What is registered then is a maker that returns an error with its name.
    pub(crate) is_left_out: bool,
}

/// The role of an op type for the compiler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The op computes its outputs with its kernel.
    Compute,
    /// The outputs of the op are its inputs of the same number, so it needs no node: its users take the
    /// inputs themselves.
    PassOn,
    /// A constant: the value of its attribute `value`. It becomes a slot that is filled when a frame is made.
    Constant,
    /// The shape of its input. It is a constant where the graph knows all dimensions, and otherwise computed
    /// by its kernel.
    Shape,
    /// The handle of something that the session keeps: the same in every run, though the op type counts as
    /// stateful. Its kernel runs once, when the plan is compiled.
    Handle,
    /// A value that must be fed. A plan that needs one without a feed is an error (S-49).
    Placeholder,
    /// The op only orders others. It has no kernel, and no step either unless something may wait or not run.
    Order,
    /// The op orders others as [`Order`](Role::Order) does, also after operations that did not run.
    Trigger,
    /// The op decides which operations run.
    Control(Control),
    /// The op runs functions of the graph's library.
    Call(Call),
}

/// The control flow role of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    /// Forwards its first input as one of two outputs, and leaves the other one dead.
    Switch,
    /// Forwards the input that is alive, and its number.
    Merge,
    /// Takes a value into a frame, which its attribute `frame_name` names.
    Enter,
    /// Takes a value out of its frame.
    Exit,
    /// Hands a value to the next iteration.
    NextIteration,
}

/// The functions that an operation runs: which attributes name them, and when each is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// Runs the function of attribute `f` once.
    Function,
    /// Runs `then_branch` or `else_branch`, by the first input.
    If,
    /// Runs one of `branches`, by the number that is the first input.
    Case,
    /// Runs `body` as long as `cond` returns true.
    While,
    /// Runs `body` for each number from `start` to `limit` in steps of `delta`, which are the first three
    /// inputs.
    For,
    /// Runs the gradient of the function of attribute `f`, which is built when the plan is compiled.
    Gradient,
}

/// The sharing of memory between outputs and inputs in TensorFlow. It matters if the memory belongs to a
/// variable of TensorFlow 1: a later update of the variable is then visible in the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shares {
    /// The outputs have memory of their own.
    Nothing,
    /// Each output is the input of the same number.
    Inputs,
    /// The first output has the elements of the first input in another shape or dtype.
    View,
}

/// The part of an op type in the fusion of a product or convolution with the operations that follow it.
#[derive(Clone, Copy)]
pub(crate) enum Fusion {
    /// A product: this makes the kernel that also does what follows. None where it cannot.
    ///
    /// The inputs of the fused kernel are those of the product, and then the other operand of the addition.
    Product(fn(&NodeSpec<'_>, Then) -> Option<Result<Box<dyn Kernel>>>),
    /// Adds its second input to each row of its first.
    Bias,
    /// Adds its two inputs, one of which may be a bias.
    Sum,
    /// Adds any number of inputs of one shape, from the first to the last.
    Summands,
    /// Replaces negative elements by zero.
    Relu,
}

/// The operation that a fused product includes.
#[derive(Clone)]
pub(crate) enum Then {
    /// Adds a bias to each row.
    Bias,
    /// Adds a bias to each row and replaces negative elements by zero.
    BiasRelu,
    /// Adds a tensor of its shape.
    Sum(Addition),
}

/// The addition after a product.
#[derive(Clone)]
pub(crate) struct Addition {
    /// The operation, whose errors have its name.
    pub(crate) operation: Operation,
    /// True if the product is the left operand, which messages name first.
    pub(crate) product_first: bool,
    /// True if operands of other shapes are broadcast.
    pub(crate) broadcasts: bool,
}

/// A function of single elements, several of which may run in one pass over memory.
///
/// Only `f32` has such functions: chains exist for the activations and losses of training in single
/// precision.
#[derive(Clone, Copy)]
pub(crate) enum Elementwise {
    /// A function of one operand.
    Unary(UnaryKernel<f32>),
    /// A function of two operands.
    Binary(BinaryKernel<f32>),
    /// The sum of any number of operands of one shape.
    Sum,
}

impl OpType {
    /// Returns the facts of an op type about which nothing else is declared. The module names the three facts
    /// whose absence is not safe.
    fn new(make: Option<MakeKernel>, role: Role) -> OpType {
        let (reads, waits, wakes, calls_program) = (false, false, false, false);
        let (changes, describes) = (false, false);
        let (fusion, elementwise, holds) = (None, None, &[][..]);
        let (shares, ends, accesses_files) = (Shares::Nothing, false, false);
        let (feature, is_left_out) = (None, false);
        OpType {
            make,
            role,
            reads,
            waits,
            wakes,
            calls_program,
            changes,
            describes,
            shares,
            fusion,
            elementwise,
            holds,
            ends,
            accesses_files,
            feature,
            is_left_out,
        }
    }

    /// Returns the kind of a control flow op. `None` for all other op types.
    pub(crate) fn control(&self) -> Option<Control> {
        if let Role::Control(control) = self.role { Some(control) } else { None }
    }
}

impl Registry {
    /// Adds an op type with what makes its kernel.
    ///
    /// Facts are added to the result: `registry.add("ReadFile", read).changes().accesses_files()`.
    pub(crate) fn add(&mut self, op_type: &'static str, make: MakeKernel) -> Added<'_, 1> {
        self.insert([op_type], OpType::new(Some(make), Role::Compute))
    }

    /// Works as [`add`](Registry::add), for two op types of one kernel: an update of a variable by its handle
    /// and that by reference, or two versions.
    pub(crate) fn add_both(&mut self, op_types: [&'static str; 2], make: MakeKernel) -> Added<'_, 2> {
        self.add_all(op_types, make)
    }

    /// Works as [`add`](Registry::add), for several op types of one kernel.
    pub(crate) fn add_all<const N: usize>(
        &mut self,
        op_types: [&'static str; N],
        make: MakeKernel,
    ) -> Added<'_, N> {
        self.insert(op_types, OpType::new(Some(make), Role::Compute))
    }

    /// Adds an op type that returns the handle of something that the session keeps.
    ///
    /// The compiler runs the kernel once and treats the handle as a constant, so that the scheduler knows
    /// which variable a read or update concerns.
    pub(crate) fn add_handle(&mut self, op_type: &'static str, make: MakeKernel) -> Added<'_, 1> {
        self.insert([op_type], OpType::new(Some(make), Role::Handle))
    }

    /// Adds op types that have no kernel: the compiler or the executor implements the role.
    pub(crate) fn add_compiled<const N: usize>(
        &mut self,
        op_types: [&'static str; N],
        role: Role,
    ) -> Added<'_, N> {
        self.insert(op_types, OpType::new(None, role))
    }

    /// Returns op types that were added before, to declare further facts where the family that knows them is
    /// registered.
    pub(crate) fn of<const N: usize>(&mut self, op_types: [&'static str; N]) -> Added<'_, N> {
        Added { registry: self, op_types }
    }

    /// Adds op types with the same facts. A type that is registered twice is a programming error, found by
    /// every test in a debug build.
    fn insert<const N: usize>(&mut self, op_types: [&'static str; N], op: OpType) -> Added<'_, N> {
        for op_type in op_types {
            // All facts are plain data, so each op type gets a copy of its own, which later facts change
            // alone.
            let previous = self.op_types.insert(op_type, OpType { feature: self.feature, ..op });
            debug_assert!(previous.is_none(), "{op_type} is registered twice");
        }
        Added { registry: self, op_types }
    }

    /// Registers families of op types that a feature of this crate brings.
    pub(crate) fn of_feature<const N: usize>(
        &mut self,
        feature: &'static str,
        families: [fn(&mut Registry); N],
    ) {
        self.feature = Some(feature);
        families.into_iter().for_each(|register| register(self));
        self.feature = None;
    }

    /// Adds an op type that a feature brings, with a maker that reports it, unless the feature is on and the op
    /// type already here.
    pub(crate) fn leave_out(&mut self, op_type: &'static str, feature: &'static str, make: MakeKernel) {
        self.op_types.entry(op_type).or_insert_with(|| OpType {
            feature: Some(feature),
            is_left_out: true,
            ..OpType::new(Some(make), Role::Compute)
        });
    }

    /// Returns the facts of an op type, or `None` if this engine has no kernel for it.
    pub(crate) fn find(&self, op_type: &str) -> Option<&OpType> {
        self.op_types.get(op_type)
    }
}

/// Op types that were just added, to declare more facts about them. Every method returns it for the next one.
pub(crate) struct Added<'r, const N: usize> {
    /// The registry that has them.
    registry: &'r mut Registry,
    /// The names of the op types that the facts apply to.
    op_types: [&'static str; N],
}

impl<const N: usize> Added<'_, N> {
    /// Changes the facts of all of these op types.
    fn each(self, change: impl Fn(&mut OpType)) -> Self {
        for op_type in self.op_types {
            self.registry.op_types.get_mut(op_type).into_iter().for_each(&change);
        }
        self
    }

    /// Declares another role than computing.
    pub(crate) fn role(self, role: Role) -> Self {
        self.each(|op| op.role = role)
    }

    /// Declares that the op only reads variables, so that reads are not ordered among each other.
    ///
    /// Declaring it for an op that writes would let an update overtake it.
    pub(crate) fn reads(self) -> Self {
        self.each(|op| op.reads = true)
    }

    /// Declares that the op may wait for another thread.
    ///
    /// Its kernel must implement `begin`; otherwise it blocks the thread that would have to end the wait.
    pub(crate) fn waits(self) -> Self {
        self.each(|op| op.waits = true)
    }

    /// Declares that the op may end the wait of another one, and never waits itself. In a step that waits, it
    /// is not held back for the sake of reads.
    pub(crate) fn wakes(self) -> Self {
        self.each(|op| op.wakes = true)
    }

    /// Declares that the kernel calls code of the program.
    pub(crate) fn calls_program(self) -> Self {
        self.each(|op| op.calls_program = true)
    }

    /// Declares that the op may have another result in each run although it is stateless.
    pub(crate) fn changes(self) -> Self {
        self.each(|op| op.changes = true)
    }

    /// Declares that the op only describes what others do later, although its definition is stateful. A
    /// function that makes a dataset then still counts as pure.
    pub(crate) fn describes(self) -> Self {
        self.each(|op| op.describes = true)
    }

    /// Declares that the op may fail with `OutOfRange` although it is stateless.
    pub(crate) fn ends(self) -> Self {
        self.each(|op| op.ends = true)
    }

    /// Declares that outputs share the memory of inputs.
    pub(crate) fn shares(self, shares: Shares) -> Self {
        self.each(|op| op.shares = shares)
    }

    /// Declares that the op opens files, or describes what opens them later.
    pub(crate) fn accesses_files(self) -> Self {
        self.each(|op| op.accesses_files = true)
    }

    /// Declares the attributes with functions that the kernel calls itself.
    ///
    /// Each attribute must hold exactly one function.
    pub(crate) fn holds(self, functions: &'static [&'static str]) -> Self {
        self.each(|op| op.holds = functions)
    }

    /// Declares the role of the op in fusions.
    pub(crate) fn fuses(self, fusion: Fusion) -> Self {
        self.each(|op| op.fusion = Some(fusion))
    }

    /// Declares the function of single elements that the op computes.
    pub(crate) fn chains(self, function: fn(&Operation) -> Option<Elementwise>) -> Self {
        self.each(|op| op.elementwise = Some(function))
    }
}

/// Returns true if an operation has an effect other than computing its outputs: its definition is stateful,
/// it takes a reference, or it has no definition.
///
/// An operation with an effect runs in every step that needs it, is never folded, and stays even if nothing
/// reads its outputs.
pub(crate) fn has_effect(operation: &Operation) -> bool {
    // Without a definition nothing is known about an operation, which may then do anything.
    operation
        .def()
        .is_none_or(|def| def.is_stateful() || def.signature().inputs.iter().any(|input| input.is_ref))
}

/// Returns true if the only effect of an operation is to draw random numbers. Random ops have an
/// attribute `seed2`; so has the shuffling queue, which counts as a handle before this is asked.
pub(crate) fn draws(operation: &Operation) -> bool {
    operation.attr("seed2").is_some()
}
