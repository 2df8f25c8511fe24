//! What a queue's elements consist of, as callers give it.

use crate::variables::Value;
use session_core::{DType, Output, Tensor, Variable};

/// The dtypes of a queue's components: one dtype, or a list of them.
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

/// The components of one element (or, for `enqueue_many`, of a batch): a single output, tensor or number; several
/// as an array, slice, vector or tuple; or, for queues whose components have names, pairs of name and value.
#[derive(Clone, Debug)]
pub enum Components {
    /// In the order of the queue's declaration.
    Listed(Vec<Value>),
    /// By name, in any order.
    Named(Vec<(String, Value)>),
}

macro_rules! one_component {
    ($($type:ty),*) => {$(
        impl From<$type> for Components {
            fn from(value: $type) -> Components {
                Components::Listed(vec![value.into()])
            }
        }
    )*};
}

one_component!(Value, Output, &Output, &Variable, Tensor, &Tensor, &str);
one_component!(f32, f64, i8, i16, i32, i64, u8, u16, u32, u64, bool);

/// Those of which a list is a list of components, not a tensor.
macro_rules! component_lists {
    ($($type:ty),*) => {$(
        impl<const N: usize> From<[$type; N]> for Components {
            fn from(values: [$type; N]) -> Components {
                Components::Listed(values.into_iter().map(Value::from).collect())
            }
        }

        impl From<Vec<$type>> for Components {
            fn from(values: Vec<$type>) -> Components {
                Components::Listed(values.into_iter().map(Value::from).collect())
            }
        }
    )*};
}

component_lists!(Value, Output, &Output, &Variable, Tensor, &Tensor);

impl From<&[Output]> for Components {
    fn from(values: &[Output]) -> Components {
        Components::Listed(values.iter().map(Value::from).collect())
    }
}

impl From<&Vec<Output>> for Components {
    fn from(values: &Vec<Output>) -> Components {
        Components::from(values.as_slice())
    }
}

macro_rules! component_tuples {
    ($($(($name:ident $index:tt))+;)*) => {$(
        impl<$($name: Into<Value>),+> From<($($name,)+)> for Components {
            fn from(values: ($($name,)+)) -> Components {
                Components::Listed(vec![$(values.$index.into()),+])
            }
        }
    )*};
}

component_tuples! {
    (A 0);
    (A 0) (B 1);
    (A 0) (B 1) (C 2);
    (A 0) (B 1) (C 2) (D 3);
    (A 0) (B 1) (C 2) (D 3) (E 4);
    (A 0) (B 1) (C 2) (D 3) (E 4) (F 5);
}

impl<K: Into<String>, V: Into<Value>, const N: usize> From<[(K, V); N]> for Components {
    fn from(values: [(K, V); N]) -> Components {
        Components::Named(values.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl<K: Into<String>, V: Into<Value>> From<Vec<(K, V)>> for Components {
    fn from(values: Vec<(K, V)>) -> Components {
        Components::Named(values.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}
