//! Definitions of op types: arguments, attributes, shapes, and gradients.

mod attr;
mod notation;

pub use attr::{AttrDef, AttrKind};

use crate::function_body::CaptureFn;
use crate::{Operation, Output, Result, ShapeContext};
use std::fmt;
use std::sync::OnceLock;
use tensor::DType;

/// An op type: an entry of TensorFlow's op registry, plus its gradient.
///
/// A definition is a static, with inputs, outputs, and attributes in TensorFlow's notation:
///
/// ```
/// use session_core::OpDef;
/// static MATMUL: OpDef = OpDef::new("MatMul", "a: T, b: T -> product: T")
///     .attrs("transpose_a: bool = false, transpose_b: bool = false, T: {float, double, int32}");
/// assert_eq!(MATMUL.signature().inputs.len(), 2);
/// ```
///
/// - An argument is `name: type`. The type is a dtype (`float`, `int64`, `resource`, and so on), the name of
///   a `type` attribute (`T`), `N * T` for a list of equal types, the name of a `list(type)` attribute for a
///   list of arbitrary types, or `Ref(..)` of a single type for a reference to a variable.
/// - An attribute is `name: kind`, optionally followed by `= default`. The kinds are `int`, `float`, `bool`,
///   `string`, `type`, `shape`, `tensor` (with a vector as default, `uint8[1, 2]`), `func`, `list(kind)`, and
///   `int32` for an integer that must fit 32 bits. `>= 1` after the kind is the minimum value, or the minimum
///   length of a list. `{float, double}` or `{"SAME", "VALID"}` restricts a type or string. `numbertype`,
///   `realnumbertype`, `floattype`, `inexacttype` (floating and complex), `integertype`, and `indextype` stand
///   for the usual sets of types.
pub struct OpDef {
    name: &'static str,
    arguments: &'static str,
    attributes: &'static str,
    stateful: bool,
    shape: Option<ShapeFn>,
    gradient: Gradient,
    capture: Option<CaptureFn>,
    library: Option<&'static dyn OpLibrary>,
    signature: OnceLock<Signature>,
}

/// Computes the known parts of the output shapes and rejects incompatible inputs.
///
/// ```
/// use session_core::{OpDef, Result, ShapeContext};
/// fn unchanged(context: &mut ShapeContext<'_>) -> Result<()> {
///     context.set(0, context.input(0));
///     Ok(())
/// }
/// static RELU: OpDef = OpDef::new("Relu", "x: T -> y: T").attrs("T: type").shape(unchanged);
/// assert!(RELU.shape_fn().is_some());
/// ```
pub type ShapeFn = fn(&mut ShapeContext<'_>) -> Result<()>;

/// Builds the gradients of the inputs of an operation from those of its outputs. `None` stands for an output
/// that nothing depends on, or an input without a gradient.
pub type GradientFn = fn(&Operation, &[Option<Output>]) -> Result<Vec<Option<Output>>>;

/// The gradient rule of an op type.
#[derive(Clone, Copy, Debug)]
pub enum Gradient {
    /// No rule is defined. Requesting the gradient is an error that names the op type.
    Undefined,
    /// The op type passes no gradient: its outputs do not depend smoothly on its inputs.
    Zero,
    /// The gradient is built by this function.
    Function(GradientFn),
}

/// A set of op definitions. Each definition refers to its library, in which operators such as `a + b` find
/// the definitions that they need.
pub trait OpLibrary: Sync {
    /// Returns the definition of an op type.
    fn find(&self, op_type: &str) -> Option<&'static OpDef>;
}

/// The parsed arguments and attributes of an op type.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Signature {
    /// The inputs, in order.
    pub inputs: Vec<ArgDef>,
    /// The outputs, in order.
    pub outputs: Vec<ArgDef>,
    /// The attributes, in order.
    pub attrs: Vec<AttrDef>,
}

/// An input or output of an op type.
#[derive(Clone, Debug, PartialEq)]
pub struct ArgDef {
    /// The name.
    pub name: String,
    /// The type.
    pub arg_type: ArgType,
    /// True if the argument is a reference to a variable.
    pub is_ref: bool,
}

/// The type of an argument.
#[derive(Clone, Debug, PartialEq)]
pub enum ArgType {
    /// Always this dtype.
    Fixed(DType),
    /// The dtype in this attribute.
    Attr(String),
    /// A list of tensors of one type; the attribute holds their number.
    Repeated(String, Box<ArgType>),
    /// One tensor for each dtype in this attribute.
    List(String),
}

impl OpDef {
    /// Creates a definition with these arguments. See the documentation of the type for the notation.
    ///
    /// ```
    /// use session_core::OpDef;
    /// static ADD: OpDef = OpDef::new("AddV2", "x: T, y: T -> z: T").attrs("T: numbertype");
    /// assert_eq!(ADD.name(), "AddV2");
    /// ```
    #[must_use]
    pub const fn new(name: &'static str, arguments: &'static str) -> OpDef {
        OpDef {
            name,
            arguments,
            attributes: "",
            stateful: false,
            shape: None,
            gradient: Gradient::Undefined,
            capture: None,
            library: None,
            signature: OnceLock::new(),
        }
    }

    /// Sets the attributes.
    ///
    /// ```
    /// use session_core::OpDef;
    /// static ADD: OpDef = OpDef::new("AddV2", "x: T, y: T -> z: T").attrs("T: {float, int32}");
    /// assert_eq!(ADD.signature().attr("T").unwrap().allowed_types.len(), 2);
    /// ```
    #[must_use]
    pub const fn attrs(mut self, attributes: &'static str) -> OpDef {
        self.attributes = attributes;
        self
    }

    /// Marks the op type as stateful or having side effects. It is then never folded into a constant or
    /// merged with an equal operation.
    ///
    /// ```
    /// use session_core::OpDef;
    /// static PRINT: OpDef = OpDef::new("Print", "input: T -> output: T").attrs("T: type").stateful();
    /// assert!(PRINT.is_stateful());
    /// ```
    #[must_use]
    pub const fn stateful(mut self) -> OpDef {
        self.stateful = true;
        self
    }

    /// Sets the shape function. Without one, the shapes of all outputs are unknown.
    #[must_use]
    pub const fn shape(mut self, shape: ShapeFn) -> OpDef {
        self.shape = Some(shape);
        self
    }

    /// Sets the gradient function.
    #[must_use]
    pub const fn gradient(mut self, gradient: GradientFn) -> OpDef {
        self.gradient = Gradient::Function(gradient);
        self
    }

    /// Marks the op type as not differentiable: it acts as a constant for gradients.
    ///
    /// ```
    /// use session_core::{Gradient, OpDef};
    /// static SHAPE: OpDef = OpDef::new("Shape", "x: T -> y: int32").attrs("T: type").not_differentiable();
    /// assert!(matches!(SHAPE.gradient_rule(), Gradient::Zero));
    /// ```
    #[must_use]
    pub const fn not_differentiable(mut self) -> OpDef {
        self.gradient = Gradient::Zero;
        self
    }

    /// Sets the function that brings outputs of the op into the bodies of functions. Without one, an output that a body uses becomes an argument of it.
    #[must_use]
    pub const fn captured_by(mut self, capture: CaptureFn) -> OpDef {
        self.capture = Some(capture);
        self
    }

    /// Sets the library that the definition belongs to.
    #[must_use]
    pub const fn library(mut self, library: &'static dyn OpLibrary) -> OpDef {
        self.library = Some(library);
        self
    }

    /// Returns the name of the op type.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Returns true if the op type is stateful or has side effects.
    ///
    /// ```
    /// use session_core::OpDef;
    /// static ADD: OpDef = OpDef::new("AddV2", "x: T, y: T -> z: T").attrs("T: numbertype");
    /// assert!(!ADD.is_stateful());
    /// ```
    #[must_use]
    pub fn is_stateful(&self) -> bool {
        self.stateful
    }

    /// Returns the shape function.
    #[must_use]
    pub fn shape_fn(&self) -> Option<ShapeFn> {
        self.shape
    }

    /// Returns the gradient rule.
    ///
    /// ```
    /// use session_core::{Gradient, OpDef};
    /// static ADD: OpDef = OpDef::new("AddV2", "x: T, y: T -> z: T").attrs("T: numbertype");
    /// assert!(matches!(ADD.gradient_rule(), Gradient::Undefined));
    /// ```
    #[must_use]
    pub fn gradient_rule(&self) -> Gradient {
        self.gradient
    }

    /// Returns the rule by which outputs are captured in the bodies of functions, if they do not become
    /// arguments.
    #[must_use]
    pub fn capture_rule(&self) -> Option<CaptureFn> {
        self.capture
    }

    /// Returns the library that the definition belongs to.
    #[must_use]
    pub fn op_library(&self) -> Option<&'static dyn OpLibrary> {
        self.library
    }

    /// Returns the arguments and attributes.
    ///
    /// ```
    /// use session_core::OpDef;
    /// static SPLIT: OpDef = OpDef::new("Split", "axis: int32, value: T -> output: N * T").attrs("N: int >= 1, T: type");
    /// assert_eq!(SPLIT.signature().inputs[1].name, "value");
    /// ```
    ///
    /// # Panics
    /// Panics on the first use of a definition with invalid notation, which is a bug of the library that its
    /// tests find.
    pub fn signature(&self) -> &Signature {
        // Parsed at first use, because statics cannot allocate. A program uses a small part of the library.
        self.signature.get_or_init(|| {
            notation::parse(self.arguments, self.attributes)
                // A definition is part of the library's code, so there is no caller who could handle the
                // error.
                .unwrap_or_else(|problem| panic!("definition of {}: {problem}", self.name))
        })
    }
}

impl fmt::Debug for OpDef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpDef({}: {})", self.name, self.arguments)
    }
}

impl Signature {
    /// Returns the attribute with a name.
    ///
    /// ```
    /// use session_core::{AttrKind, OpDef};
    /// static SPLIT: OpDef = OpDef::new("Split", "axis: int32, value: T -> output: N * T").attrs("N: int >= 1, T: type");
    /// assert_eq!(SPLIT.signature().attr("N").unwrap().kind, AttrKind::Int);
    /// ```
    #[must_use]
    pub fn attr(&self, name: &str) -> Option<&AttrDef> {
        self.attrs.iter().find(|attr| attr.name == name)
    }
}
