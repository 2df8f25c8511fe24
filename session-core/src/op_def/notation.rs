//! The parser of definitions.

use super::{ArgDef, ArgType, AttrDef, AttrKind, Signature};
use crate::{AttrValue, PartialShape};
use tensor::{Bytes, DType, Element, Tensor};

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

pub(super) fn parse(arguments: &str, attributes: &str) -> Parsed<Signature> {
    let (inputs, outputs) = arguments.split_once("->").ok_or("no '->' between inputs and outputs")?;
    // The attributes first: the type of an argument may name one of them.
    let attrs = split(attributes).into_iter().map(parse_attr).collect::<Parsed<Vec<_>>>()?;
    let args =
        |list: &str| split(list).into_iter().map(|arg| parse_arg(arg, &attrs)).collect::<Parsed<Vec<_>>>();
    Ok(Signature { inputs: args(inputs)?, outputs: args(outputs)?, attrs })
}

/// Splits at commas outside of brackets and quotes.
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
    // An empty list and a trailing comma have no item.
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
            _ => Err(format!("attribute '{spec}' is not a type")),
        };
    }
    DType::from_name(spec).map(ArgType::Fixed).ok_or_else(|| format!("unknown type '{spec}'"))
}

fn parse_attr(text: &str) -> Parsed<AttrDef> {
    let (name, rest) = text.split_once(':').ok_or_else(|| format!("attribute '{text}' has no kind"))?;
    let (kind, rest) =
        // `>=` contains the sign that begins a default, so the kind ends before the `>`.
        rest.split_at(rest.find('=').map_or(rest.len(), |at| at - usize::from(rest[..at].ends_with('>'))));
    let (minimum, default) = match rest.strip_prefix(">=") {
        Some(rest) => match rest.split_once('=') {
            Some((minimum, default)) => (Some(minimum), Some(default)),
            None => (Some(rest), None),
        },
        None => (None, rest.strip_prefix('=')),
    };
    let number = |text: &str| text.trim().parse().map_err(|_| format!("'{text}' is not a minimum"));
    let mut attr = AttrDef {
        name: name.trim().to_owned(),
        kind: AttrKind::Type,
        items: AttrKind::Type,
        default: None,
        minimum: minimum.map(number).transpose()?,
        is_int32: false,
        allowed_types: Vec::new(),
        allowed_strings: Vec::new(),
    };
    attr.kind = parse_kind(kind.trim(), &mut attr)?;
    attr.default = default.map(|text| parse_default(text.trim(), attr.kind)).transpose()?;
    Ok(attr)
}

fn parse_kind(kind: &str, attr: &mut AttrDef) -> Parsed<AttrKind> {
    if let Some(inner) = kind.strip_prefix("list(").and_then(|rest| rest.strip_suffix(')')) {
        attr.items = parse_kind(inner, attr)?;
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
    attr.is_int32 = kind == "int32";
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
        "int" | "int32" => AttrKind::Int,
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
    let bad = || format!("'{text}' is not a valid default for {kind:?}");
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

/// Parses a vector, written `uint8[255, 0, 0, 255]`.
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

/// Parses an item of a default list, whose notation reveals its kind.
fn parse_item(text: &str) -> Parsed<AttrValue> {
    if let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        return Ok(AttrValue::from(inner));
    }
    // Integers before floats: `1` is an integer in TensorFlow's definitions, and `1.0` a float.
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
    use crate::OpDef;

    #[test]
    fn parses_the_notation() {
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
    fn reads_least_values_and_ranges() {
        static POOL: OpDef = OpDef::new("AvgPool", "value: T -> output: T").attrs(
            r#"T: type, ksize: list(int32) >= 4, block: int >= 2, n: int32 >= 1 = 3, text: string = ">=""#,
        );
        let attr = |name| POOL.signature().attr(name).unwrap();
        let (ksize, n, text) = (attr("ksize"), attr("n"), attr("text"));
        assert_eq!(
            (ksize.kind, ksize.items, ksize.minimum, ksize.is_int32),
            (AttrKind::List, AttrKind::Int, Some(4), true)
        );
        assert_eq!((attr("block").minimum, attr("block").is_int32), (Some(2), false));
        assert_eq!((n.minimum, n.default.clone()), (Some(1), Some(AttrValue::Int(3))));
        assert_eq!((text.minimum, text.default.clone()), (None, Some(AttrValue::from(">="))));
    }

    #[test]
    fn malformed_notation_is_an_error_that_quotes_it() {
        assert!(parse("a: float", "").unwrap_err().contains("->"));
        assert!(parse("a: float5 ->", "").unwrap_err().contains("float5"));
        assert!(parse("->", "n: int = x").unwrap_err().contains('x'));
        assert!(parse("->", "n: int >= y").unwrap_err().contains('y'));
    }
}
