//! Definitions of op types: arguments, attributes, shapes, gradients.

use crate::{AttrValue, Operation, Output, PartialShape, Result, ShapeContext};
use std::fmt;
use std::sync::OnceLock;
use tensor::{Bytes, DType, Element, Tensor};

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
///   `shape`, `tensor` (its default a vector, `uint8[1, 2]`), `func`, `list(kind)`; `{float, double}` or
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

/// One attribute.
#[derive(Clone, Debug, PartialEq)]
pub struct AttrDef {
    /// Its name.
    pub name: String,
    /// The kind of its value.
    pub kind: AttrKind,
    /// Its default; without one it must be given or follow from the inputs.
    pub default: Option<AttrValue>,
    /// The dtypes allowed; empty for all.
    pub allowed_types: Vec<DType>,
    /// The strings allowed; empty for all.
    pub allowed_strings: Vec<String>,
}

/// The kind of an attribute's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // one for each kind of `AttrValue`
pub enum AttrKind {
    Int,
    Float,
    Bool,
    String,
    Type,
    Shape,
    Tensor,
    Func,
    List,
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
            parse(self.arguments, self.attributes)
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

const FLOATS: [DType; 4] = [DType::Float16, DType::BFloat16, DType::Float32, DType::Float64];
const INTEGERS: [DType; 8] = [
    DType::Int8,
    DType::Int16,
    DType::Int32,
    DType::Int64,
    DType::UInt8,
    DType::UInt16,
    DType::UInt32,
    DType::UInt64,
];
const COMPLEX: [DType; 2] = [DType::Complex64, DType::Complex128];

type Parsed<T> = std::result::Result<T, String>;

fn parse(arguments: &str, attributes: &str) -> Parsed<Signature> {
    let (inputs, outputs) = arguments.split_once("->").ok_or("no '->' between inputs and outputs")?;
    let attrs = split(attributes).into_iter().map(parse_attr).collect::<Parsed<Vec<_>>>()?;
    let args =
        |list: &str| split(list).into_iter().map(|arg| parse_arg(arg, &attrs)).collect::<Parsed<Vec<_>>>();
    Ok(Signature { inputs: args(inputs)?, outputs: args(outputs)?, attrs })
}

/// Splits at commas that stand in no bracket and no quotes.
fn split(list: &str) -> Vec<&str> {
    let (mut depth, mut quoted, mut start, mut parts) = (0, false, 0, Vec::new());
    for (i, c) in list.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '(' | '{' | '[' if !quoted => depth += 1,
            ')' | '}' | ']' if !quoted => depth -= 1,
            ',' if depth == 0 && !quoted => {
                parts.push(list[start..i].trim());
                start = i + 1;
            }
            _ => {}
        }
    }
    parts.push(list[start..].trim());
    parts.retain(|part| !part.is_empty());
    parts
}

fn parse_arg(text: &str, attrs: &[AttrDef]) -> Parsed<ArgDef> {
    let (name, spec) = text.split_once(':').ok_or_else(|| format!("argument '{text}' has no type"))?;
    let spec = spec.trim();
    let inner = spec.strip_prefix("Ref(").and_then(|rest| rest.strip_suffix(')'));
    let arg_type = parse_type(inner.unwrap_or(spec), attrs)?;
    Ok(ArgDef { name: name.trim().to_owned(), arg_type, is_ref: inner.is_some() })
}

fn parse_type(spec: &str, attrs: &[AttrDef]) -> Parsed<ArgType> {
    if let Some((count, each)) = spec.split_once('*') {
        return Ok(ArgType::Repeated(count.trim().to_owned(), Box::new(parse_type(each.trim(), attrs)?)));
    }
    if let Some(attr) = attrs.iter().find(|attr| attr.name == spec) {
        return match attr.kind {
            AttrKind::Type => Ok(ArgType::Attr(spec.to_owned())),
            AttrKind::List => Ok(ArgType::List(spec.to_owned())),
            _ => Err(format!("attribute '{spec}' is no type")),
        };
    }
    DType::from_name(spec).map(ArgType::Fixed).ok_or_else(|| format!("unknown type '{spec}'"))
}

fn parse_attr(text: &str) -> Parsed<AttrDef> {
    let (name, rest) = text.split_once(':').ok_or_else(|| format!("attribute '{text}' has no kind"))?;
    let (kind, default) = match rest.split_once('=') {
        Some((kind, default)) => (kind.trim(), Some(default.trim())),
        None => (rest.trim(), None),
    };
    let mut attr = AttrDef {
        name: name.trim().to_owned(),
        kind: AttrKind::Type,
        default: None,
        allowed_types: Vec::new(),
        allowed_strings: Vec::new(),
    };
    attr.kind = parse_kind(kind, &mut attr)?;
    attr.default = default.map(|text| parse_default(text, attr.kind)).transpose()?;
    Ok(attr)
}

fn parse_kind(kind: &str, attr: &mut AttrDef) -> Parsed<AttrKind> {
    if let Some(inner) = kind.strip_prefix("list(").and_then(|rest| rest.strip_suffix(')')) {
        parse_kind(inner, attr)?;
        return Ok(AttrKind::List);
    }
    if let Some(set) = kind.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        for item in split(set) {
            match item.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
                Some(string) => attr.allowed_strings.push(string.to_owned()),
                None => attr.allowed_types.push(parse_dtype(item)?),
            }
        }
        return Ok(if attr.allowed_strings.is_empty() { AttrKind::Type } else { AttrKind::String });
    }
    attr.allowed_types = match kind {
        "numbertype" => [FLOATS.as_slice(), &INTEGERS, &COMPLEX].concat(),
        "realnumbertype" => [FLOATS.as_slice(), &INTEGERS].concat(),
        "floattype" => FLOATS.to_vec(),
        "inexacttype" => [FLOATS.as_slice(), &COMPLEX].concat(),
        "integertype" => INTEGERS.to_vec(),
        "indextype" => vec![DType::Int32, DType::Int64],
        _ => return parse_plain_kind(kind),
    };
    Ok(AttrKind::Type)
}

fn parse_plain_kind(kind: &str) -> Parsed<AttrKind> {
    Ok(match kind {
        "int" => AttrKind::Int,
        "float" => AttrKind::Float,
        "bool" => AttrKind::Bool,
        "string" => AttrKind::String,
        "type" => AttrKind::Type,
        "shape" => AttrKind::Shape,
        "tensor" => AttrKind::Tensor,
        "func" => AttrKind::Func,
        other => return Err(format!("unknown kind '{other}'")),
    })
}

fn parse_dtype(name: &str) -> Parsed<DType> {
    DType::from_name(name).ok_or_else(|| format!("unknown dtype '{name}'"))
}

fn parse_default(text: &str, kind: AttrKind) -> Parsed<AttrValue> {
    let bad = || format!("'{text}' is no default for {kind:?}");
    Ok(match kind {
        AttrKind::Int => AttrValue::Int(text.parse().map_err(|_| bad())?),
        AttrKind::Float => AttrValue::Float(text.parse().map_err(|_| bad())?),
        AttrKind::Bool => AttrValue::Bool(text.parse().map_err(|_| bad())?),
        AttrKind::String => {
            let inner = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).ok_or_else(bad)?;
            AttrValue::String(Bytes::copy_from_slice(inner.as_bytes()))
        }
        AttrKind::Type => AttrValue::Type(parse_dtype(text)?),
        AttrKind::Shape => AttrValue::Shape(parse_shape(text).ok_or_else(bad)?),
        AttrKind::List => {
            let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).ok_or_else(bad)?;
            AttrValue::List(split(inner).into_iter().map(parse_item).collect::<Parsed<_>>()?)
        }
        AttrKind::Tensor => AttrValue::Tensor(parse_tensor(text).ok_or_else(bad)?),
        AttrKind::Func => return Err(bad()),
    })
}

/// A vector, written `uint8[255, 0, 0, 255]`.
fn parse_tensor(text: &str) -> Option<Tensor> {
    let (dtype, items) = text.strip_suffix(']')?.split_once('[')?;
    fn vector<T: Element + std::str::FromStr>(items: &str) -> Option<Tensor> {
        let values: Option<Vec<T>> = split(items).into_iter().map(|item| item.parse().ok()).collect();
        Some(Tensor::from(values?))
    }
    match DType::from_name(dtype)? {
        DType::UInt8 => vector::<u8>(items),
        DType::Int32 => vector::<i32>(items),
        DType::Int64 => vector::<i64>(items),
        DType::Float32 => vector::<f32>(items),
        _ => None,
    }
}

fn parse_shape(text: &str) -> Option<PartialShape> {
    if text == "unknown" {
        return Some(PartialShape::unknown());
    }
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    let sizes: Option<Vec<i64>> = split(inner).into_iter().map(|size| size.parse().ok()).collect();
    Some(PartialShape::from_sizes(sizes?))
}

/// One item of a default list, its kind told by how it is written.
fn parse_item(text: &str) -> Parsed<AttrValue> {
    if let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        return Ok(AttrValue::from(inner));
    }
    if let Ok(value) = text.parse::<i64>() {
        return Ok(AttrValue::Int(value));
    }
    if let Ok(value) = text.parse::<f32>() {
        return Ok(AttrValue::Float(value));
    }
    parse_dtype(text).map(AttrValue::Type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_notation() {
        static CONCAT: OpDef = OpDef::new("ConcatV2", "values: N * T, axis: Tidx -> output: T")
            .attrs("N: int, T: type, Tidx: indextype = int32");
        let signature = CONCAT.signature();
        let repeated = ArgType::Repeated("N".into(), Box::new(ArgType::Attr("T".into())));
        assert_eq!(signature.inputs[0].arg_type, repeated);
        assert_eq!(signature.attr("Tidx").unwrap().default, Some(AttrValue::Type(DType::Int32)));
        assert_eq!(signature.attr("Tidx").unwrap().allowed_types, [DType::Int32, DType::Int64]);

        static CONV: OpDef = OpDef::new("Conv2D", "input: T, filter: T -> output: T").attrs(
            r#"T: floattype, strides: list(int), padding: {"SAME", "VALID"}, data_format: string = "NHWC", dilations: list(int) = [1, 1, 1, 1]"#,
        );
        let padding = CONV.signature().attr("padding").unwrap();
        assert_eq!((padding.kind, padding.allowed_strings.len()), (AttrKind::String, 2));
        assert_eq!(
            CONV.signature().attr("dilations").unwrap().default,
            Some(AttrValue::from([1i64, 1, 1, 1]))
        );

        static IMAGE: OpDef = OpDef::new("ImageSummary", "tag: string -> summary: string")
            .attrs("bad_color: tensor = uint8[255, 0, 0, 255]");
        let color = IMAGE.signature().attr("bad_color").unwrap();
        assert_eq!(color.default, Some(AttrValue::Tensor(Tensor::from([255u8, 0, 0, 255]))));

        static ASSIGN: OpDef =
            OpDef::new("Assign", "ref: Ref(T), value: T -> output_ref: Ref(T)").attrs("T: type");
        assert!(ASSIGN.signature().inputs[0].is_ref && ASSIGN.signature().outputs[0].is_ref);
    }

    #[test]
    fn wrong_notation_is_named() {
        assert!(parse("a: float", "").unwrap_err().contains("->"));
        assert!(parse("a: float5 ->", "").unwrap_err().contains("float5"));
        assert!(parse("->", "n: int = x").unwrap_err().contains('x'));
    }
}
