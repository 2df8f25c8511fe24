//! Values, shapes and attributes by chance.

use crate::random::Random;
use session_core::{AttrDef, AttrKind, AttrValue, Attrs, DType, PartialShape};
use tensor::{Bytes, Shape, Tensor};

/// Returns sizes and numbers: most are small; some beyond every memory or the end of their type. None in between, which
/// would only take long.
pub(crate) const NUMBERS: [i64; 24] = [
    0,
    1,
    2,
    3,
    4,
    1,
    2,
    3,
    2,
    1,
    0,
    -1,
    -1,
    -2,
    5,
    7,
    1 << 40,
    1 << 62,
    i64::MAX,
    i64::MIN,
    1 << 33,
    -1 << 40,
    2,
    1,
];

const DTYPES: [DType; 16] = [
    DType::Float32,
    DType::Int32,
    DType::Int64,
    DType::Float64,
    DType::String,
    DType::Float32,
    DType::Int32,
    DType::Float32,
    DType::Bool,
    DType::UInt8,
    DType::Float16,
    DType::BFloat16,
    DType::Complex64,
    DType::Variant,
    DType::Resource,
    DType::Int8,
];

pub(crate) const TEXTS: [&str; 12] =
    ["", "a", "b", "ab,c", "1", "-1.5e3", "0", "(a", "\u{1f600}", "%d", "ij,jk->ik", "GZIP"];

pub(crate) fn pick<T: Clone>(random: &mut Random, from: &[T]) -> T {
    from[random.below(from.len())].clone()
}

fn dims(random: &mut Random) -> Vec<usize> {
    let rank = pick(random, &[0, 1, 1, 1, 2, 2, 2, 3, 4, 4, 5]);
    let mut dims: Vec<usize> = (0..rank).map(|_| pick(random, &[0, 1, 2, 2, 3, 4])).collect();
    // Nothing is in a shape with a 0, whatever its other sizes are.
    if dims.contains(&0) && random.below(2) == 0 {
        for dim in dims.iter_mut().filter(|dim| **dim > 1) {
            *dim = pick(random, &[1 << 20, 1 << 31, 1 << 40, (1 << 62) - 1, 3]);
        }
    }
    dims
}

/// The properties that the inputs of one case have in common.
#[derive(Clone, Default)]
pub(crate) struct Mood {
    /// All have this shape.
    pub(crate) shape: Option<Vec<usize>>,
    /// All integers are small, so that more is in range.
    pub(crate) small: bool,
}

impl Mood {
    pub(crate) fn of(random: &mut Random) -> Mood {
        let shape = (random.below(3) == 0).then(|| dims(random));
        Mood { shape, small: random.below(2) == 0 }
    }
}

/// A tensor by chance; nothing for dtypes of handles and for shapes that no tensor has.
pub(crate) fn value(random: &mut Random, mood: &Mood, dtype: DType) -> Option<Tensor> {
    let shape = match &mood.shape {
        Some(shape) if random.below(8) > 0 => Shape::new(shape),
        _ => Shape::from(dims(random)),
    };
    let count = shape.checked_elements()?;
    macro_rules! plain {
        ($type:ty, $make:expr) => {
            Tensor::from_vec((0..count).map(|_| $make).collect::<Vec<$type>>(), shape).ok()
        };
    }
    let int = |random: &mut Random| match mood.small && random.below(16) > 0 {
        true => random.below(3) as i64,
        false => pick(random, &NUMBERS),
    };
    let float = |random: &mut Random| {
        pick(random, &[0.0, 1.0, -1.0, 0.5, 2.0, f64::NAN, f64::INFINITY, -1e300, 1e300, 1e-320, 3.7])
    };
    match dtype {
        DType::Float32 => plain!(f32, float(random) as f32),
        DType::Float64 => plain!(f64, float(random)),
        DType::Float16 => plain!(tensor::f16, tensor::f16::from_f64(float(random))),
        DType::BFloat16 => plain!(tensor::bf16, tensor::bf16::from_f64(float(random))),
        DType::Complex64 => plain!(tensor::Complex<f32>, tensor::Complex::new(float(random) as f32, 1.0)),
        DType::Complex128 => plain!(tensor::Complex<f64>, tensor::Complex::new(float(random), -1.0)),
        DType::Int8 => plain!(i8, int(random).clamp(-128, 127) as i8),
        DType::Int16 => plain!(i16, int(random).clamp(-32768, 32767) as i16),
        DType::Int32 => {
            let narrow = |value: i64| match i32::try_from(value) {
                Ok(value) => value,
                Err(_) => [i32::MIN, -1][usize::from(value > 0)],
            };
            plain!(i32, narrow(int(random)))
        }
        DType::Int64 => plain!(i64, int(random)),
        DType::UInt8 => plain!(u8, int(random) as u8),
        DType::UInt16 => plain!(u16, int(random) as u16),
        DType::UInt32 => plain!(u32, int(random).clamp(0, 9) as u32),
        DType::UInt64 => plain!(u64, int(random) as u64),
        DType::Bool => plain!(bool, random.below(2) == 1),
        DType::String => {
            let texts: Vec<Bytes> = (0..count).map(|_| Bytes::from(pick(random, &TEXTS))).collect();
            Tensor::from_strings(texts, shape).ok()
        }
        _ => None,
    }
}

pub(crate) fn partial_shape(random: &mut Random) -> PartialShape {
    match random.below(4) {
        0 => PartialShape::unknown(),
        1 => PartialShape::from_sizes((0..random.below(6)).map(|_| pick(random, &NUMBERS).max(-1))),
        _ => PartialShape::from_sizes(dims(random).into_iter().map(|dim| dim as i64)),
    }
}

pub(crate) fn attr_value(random: &mut Random, def: &AttrDef, kind: AttrKind) -> Option<AttrValue> {
    Some(match kind {
        AttrKind::Int => {
            let least = def.minimum.unwrap_or(0);
            AttrValue::Int(if random.below(3) > 0 {
                least.saturating_add(random.below(3) as i64)
            } else {
                pick(random, &NUMBERS)
            })
        }
        AttrKind::Float => {
            AttrValue::Float(pick(random, &[0.0, 1.0, -1.0, 0.1, f32::NAN, f32::INFINITY, f32::MIN]))
        }
        AttrKind::Bool => AttrValue::Bool(random.below(2) == 1),
        AttrKind::String if !def.allowed_strings.is_empty() => {
            AttrValue::from(pick(random, &def.allowed_strings))
        }
        AttrKind::String => AttrValue::from(pick(random, &TEXTS)),
        AttrKind::Type if def.allowed_types.is_empty() => AttrValue::Type(pick(random, &DTYPES)),
        AttrKind::Type => AttrValue::Type(pick(random, &def.allowed_types)),
        AttrKind::Shape => AttrValue::Shape(partial_shape(random)),
        AttrKind::Tensor => {
            let dtype = pick(random, &DTYPES);
            AttrValue::Tensor(value(random, &Mood::default(), dtype)?)
        }
        AttrKind::Func => AttrValue::Func("f".to_owned(), Attrs::new()),
        AttrKind::List => {
            let least = usize::try_from(def.minimum.unwrap_or(0)).unwrap_or(0);
            let length = if random.below(4) > 0 { least.max(1) + random.below(2) } else { random.below(6) };
            let items: Option<Vec<AttrValue>> =
                (0..length).map(|_| attr_value(random, def, def.items)).collect();
            AttrValue::List(items?)
        }
    })
}
