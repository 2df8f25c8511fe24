//! The components of a queue's elements, in the forms in which callers pass them.

use crate::variables::Value;
use session_core::{DType, Output, Tensor, Variable};

/// The dtypes of a queue's components: one dtype, or a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dtypes(pub(crate) Vec<DType>);

impl From<DType> for Dtypes {
    fn from(dtype: DType) -> Dtypes {
        Dtypes(vec![dtype])
    }
}

impl<const N: usize> From<[DType; N]> for Dtypes {
    fn from(dtypes: [DType; N]) -> Dtypes {
        Dtypes(dtypes.to_vec())
    }
}

impl From<&[DType]> for Dtypes {
    fn from(dtypes: &[DType]) -> Dtypes {
        Dtypes(dtypes.to_vec())
    }
}

impl From<Vec<DType>> for Dtypes {
    fn from(dtypes: Vec<DType>) -> Dtypes {
        Dtypes(dtypes)
    }
}

/// The components of one element, or for `enqueue_many` of a batch: a single output, tensor, or number; several as an array, slice,
/// vector, or tuple; or, for queues with named components, pairs of name and value.
#[derive(Clone, Debug)]
pub enum Components {
    /// Components in the order of the queue's declaration.
    Listed(Vec<Value>),
    /// Components by name, in any order.
    Named(Vec<(String, Value)>),
}

/// Implements conversions for the tensors of an element: a single one, an array, slice, vector, or tuple of
/// them, or pairs of name and tensor, each as anything that converts into one. For enums with the variants
/// `Listed` and `Named`. The named types must be in scope.
#[doc(hidden)]
#[macro_export]
macro_rules! element_conversions {
    ($list:ident of $item:ident $(, and $($own:ty),+)?) => {
        $crate::element_conversions!(single $list: Value, Output, &Output, &Variable, Tensor, &Tensor, &str $($(, $own)+)?);
        $crate::element_conversions!(single $list: f32, f64, i8, i16, i32, i64, u8, u16, u32, u64, bool);
        // For these types, a list is a list of components and not a tensor.
        $crate::element_conversions!(lists $list of $item: Value, Output, &Output, &Variable, Tensor, &Tensor $($(, $own)+)?);
        $crate::element_conversions!(tuples $list of $item:
            (A 0);
            (A 0) (B 1);
            (A 0) (B 1) (C 2);
            (A 0) (B 1) (C 2) (D 3);
            (A 0) (B 1) (C 2) (D 3) (E 4);
            (A 0) (B 1) (C 2) (D 3) (E 4) (F 5);
        );

        impl From<&[Output]> for $list {
            fn from(values: &[Output]) -> $list {
                $list::Listed(values.iter().map($item::from).collect())
            }
        }

        impl From<&Vec<Output>> for $list {
            fn from(values: &Vec<Output>) -> $list {
                $list::from(values.as_slice())
            }
        }

        impl<K: Into<String>, V: Into<$item>, const N: usize> From<[(K, V); N]> for $list {
            fn from(values: [(K, V); N]) -> $list {
                $list::Named(values.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
            }
        }

        impl<K: Into<String>, V: Into<$item>> From<Vec<(K, V)>> for $list {
            fn from(values: Vec<(K, V)>) -> $list {
                $list::Named(values.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
            }
        }
    };
    (single $list:ident: $($type:ty),*) => {$(
        impl From<$type> for $list {
            fn from(value: $type) -> $list {
                $list::Listed(vec![value.into()])
            }
        }
    )*};
    (lists $list:ident of $item:ident: $($type:ty),*) => {$(
        impl<const N: usize> From<[$type; N]> for $list {
            fn from(values: [$type; N]) -> $list {
                $list::Listed(values.into_iter().map($item::from).collect())
            }
        }

        impl From<Vec<$type>> for $list {
            fn from(values: Vec<$type>) -> $list {
                $list::Listed(values.into_iter().map($item::from).collect())
            }
        }
    )*};
    (tuples $list:ident of $item:ident: $($(($name:ident $index:tt))+;)*) => {$(
        impl<$($name: Into<$item>),+> From<($($name,)+)> for $list {
            fn from(values: ($($name,)+)) -> $list {
                $list::Listed(vec![$(values.$index.into()),+])
            }
        }
    )*};
}

element_conversions!(Components of Value);
