//! The element types of tensors.

use std::fmt;

/// The element type of a tensor, with TensorFlow's names and numbers.
///
/// ```
/// use tensor::DType;
/// assert_eq!(DType::Float32.name(), "float32");
/// assert_eq!(DType::from_name("float"), Some(DType::Float32));
/// assert_eq!((DType::Float32.number(), DType::Float32.size()), (1, 4));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
#[repr(u8)]
#[allow(missing_docs)] // the table below is the documentation: `name()` gives TensorFlow's name
pub enum DType {
    Float32 = 1,
    Float64 = 2,
    Int32 = 3,
    UInt8 = 4,
    Int16 = 5,
    Int8 = 6,
    String = 7,
    Complex64 = 8,
    Int64 = 9,
    Bool = 10,
    QInt8 = 11,
    QUInt8 = 12,
    QInt32 = 13,
    BFloat16 = 14,
    QInt16 = 15,
    QUInt16 = 16,
    UInt16 = 17,
    Complex128 = 18,
    Float16 = 19,
    Resource = 20,
    Variant = 21,
    UInt32 = 22,
    UInt64 = 23,
    Float8E5M2 = 24,
    Float8E4M3FN = 25,
    Float8E4M3FNUZ = 26,
    Float8E4M3B11FNUZ = 27,
    Float8E5M2FNUZ = 28,
    Int4 = 29,
    UInt4 = 30,
}

/// Every dtype with its name and the size of an element (0: not stored as plain bytes).
const TABLE: [(DType, &str, usize); 30] = [
    (DType::Float32, "float32", 4),
    (DType::Float64, "float64", 8),
    (DType::Int32, "int32", 4),
    (DType::UInt8, "uint8", 1),
    (DType::Int16, "int16", 2),
    (DType::Int8, "int8", 1),
    (DType::String, "string", 0),
    (DType::Complex64, "complex64", 8),
    (DType::Int64, "int64", 8),
    (DType::Bool, "bool", 1),
    (DType::QInt8, "qint8", 1),
    (DType::QUInt8, "quint8", 1),
    (DType::QInt32, "qint32", 4),
    (DType::BFloat16, "bfloat16", 2),
    (DType::QInt16, "qint16", 2),
    (DType::QUInt16, "quint16", 2),
    (DType::UInt16, "uint16", 2),
    (DType::Complex128, "complex128", 16),
    (DType::Float16, "float16", 2),
    (DType::Resource, "resource", 0),
    (DType::Variant, "variant", 0),
    (DType::UInt32, "uint32", 4),
    (DType::UInt64, "uint64", 8),
    (DType::Float8E5M2, "float8_e5m2", 1),
    (DType::Float8E4M3FN, "float8_e4m3fn", 1),
    (DType::Float8E4M3FNUZ, "float8_e4m3fnuz", 1),
    (DType::Float8E4M3B11FNUZ, "float8_e4m3b11fnuz", 1),
    (DType::Float8E5M2FNUZ, "float8_e5m2fnuz", 1),
    (DType::Int4, "int4", 1),
    (DType::UInt4, "uint4", 1),
];

impl DType {
    /// Returns all dtypes, ordered by number.
    ///
    /// ```
    /// use tensor::DType;
    /// assert_eq!(DType::all().filter(|dtype| dtype.is_complex()).count(), 2);
    /// ```
    pub fn all() -> impl Iterator<Item = DType> {
        TABLE.iter().map(|row| row.0)
    }

    /// Returns TensorFlow's name, such as `float32`, `bfloat16`, or `string`.
    #[must_use]
    pub fn name(self) -> &'static str {
        TABLE[self as usize - 1].1
    }

    /// Returns the dtype with a name. TensorFlow's aliases `half`, `float`, and `double` are accepted.
    ///
    /// ```
    /// use tensor::DType;
    /// assert_eq!(DType::from_name("half"), Some(DType::Float16));
    /// assert_eq!(DType::from_name("decimal"), None);
    /// ```
    #[must_use]
    pub fn from_name(name: &str) -> Option<DType> {
        let name = match name {
            "half" => "float16",
            "float" => "float32",
            "double" => "float64",
            other => other,
        };
        TABLE.iter().find(|row| row.1 == name).map(|row| row.0)
    }

    /// Returns the number of the dtype in TensorFlow's protocol messages.
    ///
    /// ```
    /// assert_eq!(tensor::DType::String.number(), 7);
    /// ```
    #[must_use]
    pub fn number(self) -> i32 {
        self as i32
    }

    /// Returns the dtype with a number in TensorFlow's protocol messages. Reference types (numbers over 100)
    /// and unknown numbers yield `None`.
    ///
    /// ```
    /// use tensor::DType;
    /// assert_eq!(DType::from_number(7), Some(DType::String));
    /// assert_eq!(DType::from_number(107), None); // a reference to a string
    /// ```
    #[must_use]
    pub fn from_number(number: i32) -> Option<DType> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        TABLE.get(index).map(|row| row.0)
    }

    /// Returns the size of an element in bytes, in memory and on disk: 0 for strings, resources, and
    /// variants, which are not plain bytes.
    ///
    /// ```
    /// use tensor::DType;
    /// assert_eq!((DType::Float64.size(), DType::String.size()), (8, 0));
    /// ```
    #[must_use]
    #[inline]
    pub fn size(self) -> usize {
        TABLE[self as usize - 1].2
    }

    /// Returns true if elements are plain bytes, that is, neither strings nor handles.
    ///
    /// ```
    /// use tensor::DType;
    /// assert!(DType::Bool.is_plain() && !DType::Resource.is_plain());
    /// ```
    #[must_use]
    pub fn is_plain(self) -> bool {
        self.size() != 0
    }

    /// Returns true for a floating-point type.
    ///
    /// ```
    /// use tensor::DType;
    /// assert!(DType::BFloat16.is_floating() && !DType::Complex64.is_floating());
    /// ```
    #[must_use]
    pub fn is_floating(self) -> bool {
        use DType::*;
        matches!(
            self,
            Float32
                | Float64
                | Float16
                | BFloat16
                | Float8E5M2
                | Float8E4M3FN
                | Float8E4M3FNUZ
                | Float8E4M3B11FNUZ
                | Float8E5M2FNUZ
        )
    }

    /// Returns true for a signed or unsigned integer type. Quantized types are not included.
    ///
    /// ```
    /// use tensor::DType;
    /// assert!(DType::UInt8.is_integer() && !DType::QInt8.is_integer());
    /// ```
    #[must_use]
    pub fn is_integer(self) -> bool {
        use DType::*;
        matches!(self, Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | UInt64 | Int4 | UInt4)
    }

    /// Returns true for a complex type.
    ///
    /// ```
    /// use tensor::DType;
    /// assert!(DType::Complex64.is_complex() && !DType::Float32.is_complex());
    /// ```
    #[must_use]
    pub fn is_complex(self) -> bool {
        matches!(self, DType::Complex64 | DType::Complex128)
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_indexed_by_number() {
        for (i, row) in TABLE.iter().enumerate() {
            assert_eq!(row.0.number() as usize, i + 1);
            assert_eq!(DType::from_number(row.0.number()), Some(row.0));
            assert_eq!(DType::from_name(row.1), Some(row.0));
        }
        for number in [-1, 0, 31, 101, i32::MAX, i32::MIN] {
            assert_eq!(DType::from_number(number), None);
        }
        assert_eq!(DType::from_name("half"), Some(DType::Float16));
        assert_eq!(DType::from_name("no such"), None);
    }
}
