//! The values that an attribute may have.

use crate::{AttrValue, Error, Result};
use tensor::DType;

/// The definition of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub struct AttrDef {
    /// The name.
    pub name: String,
    /// The kind of the value.
    pub kind: AttrKind,
    /// For a list, the kind of the items.
    pub items: AttrKind,
    /// The default. Without one, the value must be given or follow from the inputs.
    pub default: Option<AttrValue>,
    /// The minimum value of an integer, or the minimum length of a list.
    pub minimum: Option<i64>,
    /// True if the integer, or each integer of a list, must fit an `int32` because kernels read it as one.
    pub is_int32: bool,
    /// The allowed dtypes. Empty for all.
    pub allowed_types: Vec<DType>,
    /// The allowed strings. Empty for all.
    pub allowed_strings: Vec<String>,
}

/// The kind of the value of an attribute.
///
/// ```
/// use session_core::{AttrKind, AttrValue};
/// assert_eq!(AttrKind::of(&AttrValue::Bool(true)).name(), "bool");
/// ```
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

impl AttrKind {
    /// Returns the kind of a value.
    #[must_use]
    pub fn of(value: &AttrValue) -> AttrKind {
        match value {
            AttrValue::Int(_) => AttrKind::Int,
            AttrValue::Float(_) => AttrKind::Float,
            AttrValue::Bool(_) => AttrKind::Bool,
            AttrValue::String(_) => AttrKind::String,
            AttrValue::Type(_) => AttrKind::Type,
            AttrValue::Shape(_) => AttrKind::Shape,
            AttrValue::Tensor(_) => AttrKind::Tensor,
            AttrValue::Func(..) => AttrKind::Func,
            AttrValue::List(_) => AttrKind::List,
        }
    }

    /// Returns TensorFlow's name of the kind.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            AttrKind::Int => "int",
            AttrKind::Float => "float",
            AttrKind::Bool => "bool",
            AttrKind::String => "string",
            AttrKind::Type => "type",
            AttrKind::Shape => "shape",
            AttrKind::Tensor => "tensor",
            AttrKind::Func => "func",
            AttrKind::List => "list",
        }
    }
}

impl AttrDef {
    /// Checks a value against the definition: its kind, minimum value or length, range, and the allowed
    /// values.
    ///
    /// ```
    /// use session_core::{AttrValue, OpDef};
    /// static PACK: OpDef = OpDef::new("Pack", "values: N * T -> output: T").attrs("N: int >= 1, T: type, axis: int32 = 0");
    /// let attr = |name| PACK.signature().attr(name).unwrap();
    /// assert!(attr("N").check(&AttrValue::Int(1)).is_ok());
    /// assert!(attr("N").check(&AttrValue::Int(0)).is_err());
    /// assert!(attr("axis").check(&AttrValue::Int(1 << 40)).is_err());
    /// ```
    ///
    /// # Errors
    /// Fails with `InvalidArgument`, the name of the attribute, and the reason.
    pub fn check(&self, value: &AttrValue) -> Result<()> {
        let name = &self.name;
        // An empty list has kind `List` as well, so it passes for every list attribute.
        if AttrKind::of(value) != self.kind {
            let expected = match self.kind {
                AttrKind::List => format!("list({})", self.items.name()),
                kind => kind.name().to_owned(),
            };
            let found = AttrKind::of(value).name();
            return Err(Error::type_mismatch(format!("attribute '{name}' must be {expected}, not {found}")));
        }
        let AttrValue::List(items) = value else {
            // The minimum applies to the length of a list, and to the value of a plain integer.
            if let (AttrValue::Int(value), Some(minimum)) = (value, self.minimum)
                && *value < minimum
            {
                let text = format!("attribute '{name}' is {value}, less than the minimum value {minimum}");
                return Err(Error::value(text));
            }
            return self.check_one(value);
        };
        if let Some(minimum) = self.minimum
            && i64::try_from(items.len()).is_ok_and(|length| length < minimum)
        {
            let text =
                format!("attribute '{name}' is a list of {}, which needs at least {minimum}", items.len());
            return Err(Error::value(text));
        }
        items.iter().try_for_each(|item| {
            let found = AttrKind::of(item);
            if found != self.items {
                let text = format!(
                    "attribute '{name}' must be list({}), but holds {}",
                    self.items.name(),
                    found.name()
                );
                return Err(Error::type_mismatch(text));
            }
            self.check_one(item)
        })
    }

    /// Checks a single value or an item of a list.
    fn check_one(&self, value: &AttrValue) -> Result<()> {
        let name = &self.name;
        match value {
            AttrValue::Int(value) if self.is_int32 && i32::try_from(*value).is_err() => {
                Err(Error::value(format!("attribute '{name}' has value {value} out of range for an int32")))
            }
            AttrValue::Type(dtype)
                if !self.allowed_types.is_empty() && !self.allowed_types.contains(dtype) =>
            {
                Err(Error::type_mismatch(format!("{name} = {dtype} is not supported")))
            }
            AttrValue::String(_)
                if !self.allowed_strings.is_empty()
                    && !self.allowed_strings.iter().any(|allowed| value.as_str() == Some(allowed)) =>
            {
                let allowed = self.allowed_strings.join(", ");
                Err(Error::type_mismatch(format!("{name} must be one of {allowed}")))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OpDef;

    #[test]
    fn values_beyond_the_definition_are_named() {
        static OP: OpDef = OpDef::new("Op", "->").attrs(
            r#"n: int >= 2, small: int32, sizes: list(int32) >= 2, types: list({float, int32}), pad: {"SAME", "VALID"}"#,
        );
        let refused = |name: &str, value: AttrValue, why: &str| {
            let error = OP.signature().attr(name).unwrap().check(&value).unwrap_err();
            assert!(error.message().contains(why) && error.message().contains(name), "{error}");
        };
        refused("n", AttrValue::Int(1), "minimum value 2");
        refused("n", AttrValue::Bool(true), "must be int, not bool");
        refused("small", AttrValue::Int(1 << 31), "int32");
        refused("small", AttrValue::Int(i64::MIN), "int32");
        refused("sizes", AttrValue::from([1i64]), "at least 2");
        refused("sizes", AttrValue::from([1i64, 1 << 40]), "int32");
        refused("sizes", AttrValue::List(vec![AttrValue::from("a"); 2]), "list(int)");
        refused("types", AttrValue::from(vec![DType::Float32, DType::String]), "string");
        refused("pad", AttrValue::from("EXPLICIT"), "SAME, VALID");
        for (name, value) in [
            ("n", AttrValue::Int(i64::MAX)),
            ("small", AttrValue::Int(-1)),
            ("sizes", AttrValue::from([1i64, -1])),
        ] {
            OP.signature().attr(name).unwrap().check(&value).unwrap();
        }
    }
}
