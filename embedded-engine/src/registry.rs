//! The registry: the kernel of each op type, and the facts that the compiler needs to know about it.
//!
//! A fact is declared where the kernel is registered, and nowhere else:
//!
//! ```text
//! registry.add("ReadVariableOp", read_variable).reads();
//! registry.add_both(["QueueDequeueV2", "QueueDequeue"], dequeue).waits();
//! ```
//!
//! Facts that the definition of an op type states are not repeated: an op is stateful by its definition, and takes references by its
//! signature.
//!
//! A missing fact costs speed at worst, with two exceptions. An op type that may block must be registered as waiting, or its steps could wait
//! for themselves. An op type whose result changes although it is stateless must be registered as changing, or it is folded.

use crate::kernel::{Kernel, MakeKernel, NodeSpec};
use compute::elementwise::{BinaryKernel, UnaryKernel};
use rustc_hash::FxHashMap;
use session_core::{Operation, Result};

/// The op types that this engine runs.
#[derive(Default)]
pub(crate) struct Registry(FxHashMap<&'static str, OpType>);

/// One op type.
pub(crate) struct OpType {
    /// Makes its kernel; absent where it takes none to run it.
    pub(crate) make: Option<MakeKernel>,
    /// The role in a plan.
    pub(crate) role: Role,
    /// True if the op only reads the variables of its handles.
    pub(crate) reads: bool,
    /// True if the operation may have to wait for another thread: its kernel begins and returns a wait.
    pub(crate) waits: bool,
    /// True if the outputs may differ between runs although the definition is stateless, such as those that
    /// depend on a file.
    pub(crate) changes: bool,
    /// True if it computes its outputs from its inputs although its definition is stateful: it describes what others do later.
    pub(crate) describes: bool,
    /// The memory that outputs share with inputs in TensorFlow, where that is visible if the memory belongs
    /// to a variable.
    pub(crate) shares: Shares,
    /// The role of the op when it is fused with a product.
    pub(crate) fusion: Option<Fusion>,
    /// The function of single `f32` elements that an operation of this type computes, for chains.
    pub(crate) elementwise: Option<fn(&Operation) -> Option<Elementwise>>,
    /// The attributes that name functions which its kernel keeps, to call them later.
    pub(crate) holds: &'static [&'static str],
    /// True if it opens files, or describes what opens them later.
    pub(crate) accesses_files: bool,
    /// True if a feature of this crate that is off would bring its kernel; the kernel registered instead reports which feature.
    pub(crate) lacks_feature: bool,
}

/// The role of an op type for the compiler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The op computes its outputs.
    Compute,
    /// The outputs of the op are its inputs, so it needs no step.
    PassOn,
    /// A constant: the value of its attribute `value`.
    Constant,
    /// The shape of its input, which may be known before anything runs.
    Shape,
    /// The handle of something that the session keeps: the same in every run, though the op type counts as stateful.
    Handle,
    /// A value that must be fed.
    Placeholder,
    /// The op only orders others.
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
    /// Passes its first input on as one of two outputs.
    Switch,
    /// Passes on whichever input is there.
    Merge,
    /// Takes a value into a frame.
    Enter,
    /// Takes a value out of its frame.
    Exit,
    /// Hands a value to the next round.
    NextIteration,
}

/// The functions that an operation runs: which attributes name them, and when each is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// The one of attribute `f`.
    Function,
    /// Runs `then_branch` or `else_branch`.
    If,
    /// One of `branches`, by number.
    Case,
    /// Runs `body` as long as `cond` returns true.
    While,
    /// Runs `body` for each number of a range.
    For,
    /// The gradient of the one of attribute `f`.
    Gradient,
}

/// The sharing of memory between outputs and inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shares {
    /// Nowhere.
    Nothing,
    /// Each output is the input of the same number.
    Inputs,
    /// The first output is the first input, in another form.
    View,
}

/// The part of an op type in the fusion of a product or convolution with the operations that follow it.
#[derive(Clone, Copy)]
pub(crate) enum Fusion {
    /// A product: this makes the kernel that adds a bias, and that cuts off what is negative where asked to. None where it
    /// cannot.
    Product(fn(&NodeSpec<'_>, bool) -> Option<Result<Box<dyn Kernel>>>),
    /// Adds its second input to each row of its first.
    Bias,
    /// Adds its inputs, one of which may be a bias.
    Sum,
    /// Cuts off what is negative.
    Relu,
}

/// A function of single elements, several of which may run in one pass over memory.
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
    fn new(make: Option<MakeKernel>, role: Role) -> OpType {
        let (reads, waits, changes, describes) = (false, false, false, false);
        let (fusion, elementwise, holds) = (None, None, &[][..]);
        let (shares, accesses_files, lacks_feature) = (Shares::Nothing, false, false);
        OpType {
            make,
            role,
            reads,
            waits,
            changes,
            describes,
            shares,
            fusion,
            elementwise,
            holds,
            accesses_files,
            lacks_feature,
        }
    }

    /// Returns the kind of a control flow op.
    pub(crate) fn control(&self) -> Option<Control> {
        if let Role::Control(control) = self.role { Some(control) } else { None }
    }
}

impl Registry {
    /// Adds an op type with what makes its kernel.
    pub(crate) fn add(&mut self, op_type: &'static str, make: MakeKernel) -> Added<'_, 1> {
        self.insert([op_type], OpType::new(Some(make), Role::Compute))
    }

    /// Works as [`add`](Registry::add), for two op types of one kernel: an update of a variable by its handle and that by
    /// reference, or two versions.
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
    pub(crate) fn add_handle(&mut self, op_type: &'static str, make: MakeKernel) -> Added<'_, 1> {
        self.insert([op_type], OpType::new(Some(make), Role::Handle))
    }

    /// Adds op types that take no kernel.
    pub(crate) fn add_compiled<const N: usize>(
        &mut self,
        op_types: [&'static str; N],
        role: Role,
    ) -> Added<'_, N> {
        self.insert(op_types, OpType::new(None, role))
    }

    /// Op types that have been added, to add facts of theirs.
    pub(crate) fn of<const N: usize>(&mut self, op_types: [&'static str; N]) -> Added<'_, N> {
        Added { registry: self, op_types }
    }

    fn insert<const N: usize>(&mut self, op_types: [&'static str; N], op: OpType) -> Added<'_, N> {
        for op_type in op_types {
            let previous = self.0.insert(op_type, OpType { ..op });
            debug_assert!(previous.is_none(), "{op_type} is registered twice");
        }
        Added { registry: self, op_types }
    }

    /// Returns the facts of an op type.
    pub(crate) fn find(&self, op_type: &str) -> Option<&OpType> {
        self.0.get(op_type)
    }
}

/// Op types that were just added: more facts of them.
pub(crate) struct Added<'r, const N: usize> {
    registry: &'r mut Registry,
    op_types: [&'static str; N],
}

impl<const N: usize> Added<'_, N> {
    fn each(self, change: impl Fn(&mut OpType)) -> Self {
        for op_type in self.op_types {
            self.registry.0.get_mut(op_type).into_iter().for_each(&change);
        }
        self
    }

    /// Declares another role than computing.
    pub(crate) fn role(self, role: Role) -> Self {
        self.each(|op| op.role = role)
    }

    /// Declares that the op only reads variables, so that reads are not ordered among each other.
    pub(crate) fn reads(self) -> Self {
        self.each(|op| op.reads = true)
    }

    /// Declares that the op may wait for another thread.
    pub(crate) fn waits(self) -> Self {
        self.each(|op| op.waits = true)
    }

    /// Declares that the op may have another result in each run although it is stateless.
    pub(crate) fn changes(self) -> Self {
        self.each(|op| op.changes = true)
    }

    /// Declares that the result follows from the shape of the input, which may be known before anything runs.
    pub(crate) fn describes(self) -> Self {
        self.each(|op| op.describes = true)
    }

    /// Declares that outputs share the memory of inputs.
    pub(crate) fn shares(self, shares: Shares) -> Self {
        self.each(|op| op.shares = shares)
    }

    /// Declares that the op opens files, or describes what opens them later.
    pub(crate) fn accesses_files(self) -> Self {
        self.each(|op| op.accesses_files = true)
    }

    /// Declares that the kernel is missing because the crate was built without its feature.
    #[cfg(not(all(feature = "images", feature = "fft")))]
    pub(crate) fn lacks_feature(self) -> Self {
        self.each(|op| op.lacks_feature = true)
    }

    /// Declares the attributes with functions that the kernel calls itself.
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

/// Returns true if an operation has an effect other than computing its outputs: its definition is stateful, it takes a reference, or it has
/// no definition.
pub(crate) fn has_effect(operation: &Operation) -> bool {
    operation
        .def()
        .is_none_or(|def| def.is_stateful() || def.signature().inputs.iter().any(|input| input.is_ref))
}

/// Returns true if the only effect of an operation is to draw random numbers.
pub(crate) fn draws(operation: &Operation) -> bool {
    operation.attr("seed2").is_some()
}
