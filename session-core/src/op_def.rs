//! Definitions of op types: arguments, attributes, shapes, gradients.

mod attr;
mod notation;

pub use attr::{AttrDef, AttrKind};

use crate::{Operation, Output, Result, ShapeContext};
use std::fmt;
use std::sync::OnceLock;
use tensor::DType;

/// An op type: what TensorFlow's op registry holds, plus its gradient.
///
/// Written as a static, with inputs, outputs and attributes in TensorFlow's notation:
///
/// ```
/// use session_core::OpDef;
/// static MATMUL: OpDef = OpDef::new("MatMul", "a: T, b: T -> product: T")
///     .attrs("transpose_a: bool = false, transpose_b: bool = false, T: {float, double, int32}");
/// assert_eq!(MATMUL.signature().inputs.len(), 2);
/// ```
///
/// - an argument is `name: type`, where the type is a dtype (`float`, `int64`, `resource` ...), the name of
///   a `type` attribute (`T`), `N * T` for a list of equal types, the name of a `list(type)` attribute for a
///   list of any types, or `Ref(..)` of a single type for a reference to a variable;
/// - an attribute is `name: kind`, optionally `= default`. Kinds: `int`, `float`, `bool`, `string`, `type`,
///   `shape`, `tensor` (its default a vector, `uint8[1, 2]`), `func`, `list(kind)`, and `int32` for an integer that must
///   fit one; `>= 1` behind the kind is the least value, or the least length of a list; `{float, double}` or
///   `{"SAME", "VALID"}` limit a type or string; `numbertype`, `realnumbertype`, `floattype`, `inexacttype`
///   (floating and complex), `integertype` and `indextype` stand for the usual sets of types.
pub struct OpDef {
    name: &'static str,
    arguments: &'static str,
    attributes: &'static str,
    stateful: bool,
    shape: Option<ShapeFn>,
    gradient: Gradient,
    library: Option<&'static dyn OpLibrary>,
    signature: OnceLock<Signature>,
}

/// Computes what is known of the output shapes; reports inputs that cannot fit.
pub type ShapeFn = fn(&mut ShapeContext<'_>) -> Result<()>;

/// Builds the gradients of an operation's inputs from those of its outputs (`None` where nothing depends on
/// an output, or an input has no gradient).
pub type GradientFn = fn(&Operation, &[Option<Output>]) -> Result<Vec<Option<Output>>>;

/// How an op type is differentiated.
#[derive(Clone, Copy, Debug)]
pub enum Gradient {
    /// Nobody has said how: asking for it is an error that names the op type.
    Undefined,
    /// It passes no gradient on: its inputs do not influence its outputs smoothly.
    Zero,
    /// By this function.
    Function(GradientFn),
}

/// A set of op definitions. Every definition knows its library, through which operators such as `a + b` find
/// the definitions they need.
pub trait OpLibrary: Sync {
    /// The definition of an op type.
    fn find(&self, op_type: &str) -> Option<&'static OpDef>;
}

/// An op type's arguments and attributes, parsed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Signature {
    /// The inputs in order.
    pub inputs: Vec<ArgDef>,
    /// The outputs in order.
    pub outputs: Vec<ArgDef>,
    /// The attributes in order.
    pub attrs: Vec<AttrDef>,
}

/// One input or output.
#[derive(Clone, Debug, PartialEq)]
pub struct ArgDef {
    /// Its name.
    pub name: String,
    /// Its type.
    pub arg_type: ArgType,
    /// Whether it is a reference to a variable.
    pub is_ref: bool,
}

/// The type of an argument.
#[derive(Clone, Debug, PartialEq)]
pub enum ArgType {
    /// Always this dtype.
    Fixed(DType),
    /// The dtype in this attribute.
    Attr(String),
    /// As many as the first attribute says, of one type each.
    Repeated(String, Box<ArgType>),
    /// One for each dtype in this attribute.
    List(String),
}

impl OpDef {
    /// A definition with these arguments; see the type's documentation for the notation.
    #[must_use]
    pub const fn new(name: &'static str, arguments: &'static str) -> OpDef {
        OpDef {
            name,
            arguments,
            attributes: "",
            stateful: false,
            shape: None,
            gradient: Gradient::Undefined,
            library: None,
            signature: OnceLock::new(),
        }
    }

    /// With these attributes.
    #[must_use]
    pub const fn attrs(mut self, attributes: &'static str) -> OpDef {
        self.attributes = attributes;
        self
    }

    /// With state or an effect: never folded into a constant and never merged with its like.
    #[must_use]
    pub const fn stateful(mut self) -> OpDef {
        self.stateful = true;
        self
    }

    /// With this shape function. Without one the shapes of all outputs are unknown.
    #[must_use]
    pub const fn shape(mut self, shape: ShapeFn) -> OpDef {
        self.shape = Some(shape);
        self
    }

    /// With this gradient.
    #[must_use]
    pub const fn gradient(mut self, gradient: GradientFn) -> OpDef {
        self.gradient = Gradient::Function(gradient);
        self
    }

    /// Without gradient: what depends on its inputs only through it counts as constant.
    #[must_use]
    pub const fn not_differentiable(mut self) -> OpDef {
        self.gradient = Gradient::Zero;
        self
    }

    /// In this library.
    #[must_use]
    pub const fn library(mut self, library: &'static dyn OpLibrary) -> OpDef {
        self.library = Some(library);
        self
    }

    /// The op type's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether it has state or an effect.
    #[must_use]
    pub fn is_stateful(&self) -> bool {
        self.stateful
    }

    /// Its shape function.
    #[must_use]
    pub fn shape_fn(&self) -> Option<ShapeFn> {
        self.shape
    }

    /// How it is differentiated.
    #[must_use]
    pub fn gradient_rule(&self) -> Gradient {
        self.gradient
    }

    /// The library it belongs to.
    #[must_use]
    pub fn op_library(&self) -> Option<&'static dyn OpLibrary> {
        self.library
    }

    /// Arguments and attributes.
    ///
    /// # Panics
    /// At the first use of a definition whose notation is wrong: a mistake in the library, found by its tests.
    pub fn signature(&self) -> &Signature {
        self.signature.get_or_init(|| {
            notation::parse(self.arguments, self.attributes)
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
    /// The attribute of a name.
    #[must_use]
    pub fn attr(&self, name: &str) -> Option<&AttrDef> {
        self.attrs.iter().find(|attr| attr.name == name)
    }
}
