//! Slices of elements whose type is known only at run time.
//!
//! An engine knows the dtype of a tensor at run time. These enums carry a slice together with its type, so that one
//! `match` leads to a generic function, and no unchecked cast of slices is needed.

use half::{bf16, f16};
use num_complex::Complex;

/// Makes the enums of slices of all dtypes.
///
/// Each line names a variant and the type of its elements.
macro_rules! values {
    ($($variant:ident: $type:ty,)*) => {
        /// Elements of any type: what a function takes that picks its loop itself, so that callers need not be compiled
        /// for each type.
        #[derive(Clone, Copy, Debug)]
        #[allow(missing_docs)] // the types name themselves
        pub enum Values<'a> {
            $($variant(&'a [$type]),)*
        }

        /// [`Values`] to write to.
        #[derive(Debug)]
        #[allow(missing_docs)] // the types name themselves
        pub enum ValuesMut<'a> {
            $($variant(&'a mut [$type]),)*
        }

        $(
            impl<'a> From<&'a [$type]> for Values<'a> {
                fn from(values: &'a [$type]) -> Self {
                    Values::$variant(values)
                }
            }

            impl<'a> From<&'a mut [$type]> for ValuesMut<'a> {
                fn from(values: &'a mut [$type]) -> Self {
                    ValuesMut::$variant(values)
                }
            }
        )*

        impl<'a> Values<'a> {
            /// Returns the number of elements.
            #[must_use]
            pub fn len(&self) -> usize {
                match self {
                    $(Values::$variant(values) => values.len(),)*
                }
            }

            /// Returns true if there are no elements.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// Returns the elements before `at`, and the others.
            ///
            /// # Panics
            /// Panics if `at` is beyond the end.
            pub(crate) fn split_at(self, at: usize) -> (Self, Self) {
                match self {
                    $(Values::$variant(values) => {
                        let (a, b) = values.split_at(at);
                        (a.into(), b.into())
                    })*
                }
            }
        }

        impl<'a> ValuesMut<'a> {
            /// Returns the number of elements.
            #[must_use]
            pub fn len(&self) -> usize {
                match self {
                    $(ValuesMut::$variant(values) => values.len(),)*
                }
            }

            /// Returns true if there are no elements.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// Returns the elements before `at`, and the others.
            ///
            /// # Panics
            /// Panics if `at` is beyond the end.
            pub(crate) fn split_at(self, at: usize) -> (Self, Self) {
                match self {
                    $(ValuesMut::$variant(values) => {
                        let (a, b) = values.split_at_mut(at);
                        (a.into(), b.into())
                    })*
                }
            }
        }
    };
}

values! {
    F32: f32,
    F64: f64,
    F16: f16,
    BF16: bf16,
    I8: i8,
    I16: i16,
    I32: i32,
    I64: i64,
    U8: u8,
    U16: u16,
    U32: u32,
    U64: u64,
    Bool: bool,
    Complex64: Complex<f32>,
    Complex128: Complex<f64>,
}
