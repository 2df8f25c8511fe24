//! Dispatch from a dtype, which is known when a plan is compiled, to code for its Rust type.
//!
//! Kernels are generic over the element type. `for_dtype!` instantiates them for the listed dtypes and
//! selects one when the kernel is made, so a step does not branch on the dtype. Each instantiation costs
//! compile time and code size: kernels that only move elements use the bit width instead (`moved.rs`).
//!
//! # Lists of dtypes
//!
//! | list | dtypes |
//! | --- | --- |
//! | `all` | everything but strings, quantized types and handles |
//! | `number`, `real` | `all` without `bool`; `real` also without complex numbers |
//! | `float`, `wide`, `widened` | the floating types; `wide` only `f32` and `f64`; `widened` computes the 16-bit types in `f32` |
//! | `field`, `product` | what has a division or a matrix product: `field` for decompositions, `product` for products |
//! | `plain`, `complex`, `index` | `f32`, `f64`, `i32`, `i64`; the two complex types; the two index types |
//! | `bits`, `moved` | unsigned integers of the same width, for kernels that copy elements without reading them; `moved` adds strings |
//!
//! A dtype that the chosen list lacks shows up as a missing kernel before anything runs.

use session_core::{Code, Error};
use tensor::DType;

/// Returns the error for a dtype that a kernel does not take. Returned where kernels are made, it is listed
/// before the first step.
///
/// The code `Unimplemented` matters: `missing.rs` takes exactly this code as "no kernel for this operation"
/// and every other one as a fault of the operation itself.
pub(crate) fn unsupported(dtype: DType) -> Error {
    Error::new(Code::Unimplemented, format!("dtype {dtype} is not supported"))
}

/// Evaluates an expression with `$T` standing for the Rust type of a dtype out of a list; other dtypes are an
/// error.
///
/// The body must be a `Result`; it is instantiated once per dtype in the list, so it should be one call of a
/// generic function. With `widened` the first argument is the `NodeSpec`, from which the adapter takes
/// the dtypes that the outputs are rounded to.
macro_rules! for_dtype {
    (@arms $dtype:expr, $T:ident => $body:expr, $($variant:ident: $type:ty),*) => {
        match $dtype {
            $(tensor::DType::$variant => {
                type $T = $type;
                $body
            })*
            other => Err(crate::dispatch::unsupported(other)),
        }
    };
    (bits $dtype:expr, $T:ident => $body:expr) => {
        match $dtype.size() {
            1 => {
                type $T = u8;
                $body
            }
            2 => {
                type $T = u16;
                $body
            }
            4 => {
                type $T = u32;
                $body
            }
            8 => {
                type $T = u64;
                $body
            }
            16 => {
                type $T = tensor::Complex<f64>;
                $body
            }
            _ => Err(crate::dispatch::unsupported($dtype)),
        }
    };
    (moved $dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            tensor::DType::String => {
                type $T = tensor::Bytes;
                $body
            }
            dtype => for_dtype!(bits dtype, $T => $body),
        }
    };
    (all $dtype:expr, $T:ident => $body:expr) => {
        for_dtype!(@arms $dtype, $T => $body,
            Float32: f32, Float64: f64, Float16: tensor::f16, BFloat16: tensor::bf16,
            Int8: i8, Int16: i16, Int32: i32, Int64: i64, UInt8: u8, UInt16: u16, UInt32: u32, UInt64: u64,
            Bool: bool, Complex64: tensor::Complex<f32>, Complex128: tensor::Complex<f64>)
    };
    (number $dtype:expr, $T:ident => $body:expr) => {
        for_dtype!(@arms $dtype, $T => $body,
            Float32: f32, Float64: f64, Float16: tensor::f16, BFloat16: tensor::bf16,
            Int8: i8, Int16: i16, Int32: i32, Int64: i64, UInt8: u8, UInt16: u16, UInt32: u32, UInt64: u64,
            Complex64: tensor::Complex<f32>, Complex128: tensor::Complex<f64>)
    };
    (real $dtype:expr, $T:ident => $body:expr) => {
        for_dtype!(@arms $dtype, $T => $body,
            Float32: f32, Float64: f64, Float16: tensor::f16, BFloat16: tensor::bf16,
            Int8: i8, Int16: i16, Int32: i32, Int64: i64, UInt8: u8, UInt16: u16, UInt32: u32, UInt64: u64)
    };
    (float $dtype:expr, $T:ident => $body:expr) => {
        for_dtype!(@arms $dtype, $T => $body,
            Float32: f32, Float64: f64, Float16: tensor::f16, BFloat16: tensor::bf16)
    };
    (field $dtype:expr, $T:ident => $body:expr) => {
        for_dtype!(@arms $dtype, $T => $body,
            Float32: f32, Float64: f64, Complex64: tensor::Complex<f32>, Complex128: tensor::Complex<f64>)
    };
    (plain $dtype:expr, $T:ident => $body:expr) => {
        for_dtype!(@arms $dtype, $T => $body, Float32: f32, Float64: f64, Int32: i32, Int64: i64)
    };
    (complex $dtype:expr, $T:ident => $body:expr) => {
        for_dtype!(@arms $dtype, $T => $body,
            Complex64: tensor::Complex<f32>, Complex128: tensor::Complex<f64>)
    };
    (wide $dtype:expr, $T:ident => $body:expr) => {
        for_dtype!(@arms $dtype, $T => $body, Float32: f32, Float64: f64)
    };
    (widened $spec:expr, $dtype:expr, $T:ident => $body:expr) => {{
        let dtype = $dtype;
        let narrow = matches!(dtype, tensor::DType::Float16 | tensor::DType::BFloat16);
        let kernel = for_dtype!(wide if narrow { tensor::DType::Float32 } else { dtype }, $T => $body);
        kernel.map(|kernel| if narrow { crate::kernels::widened::widened($spec, kernel) } else { kernel })
    }};
    (product $dtype:expr, $T:ident => $body:expr) => {
        for_dtype!(@arms $dtype, $T => $body,
            Float32: f32, Float64: f64, Float16: tensor::f16, BFloat16: tensor::bf16, Int32: i32, Int64: i64,
            Complex64: tensor::Complex<f32>, Complex128: tensor::Complex<f64>)
    };
    (index $dtype:expr, $T:ident => $body:expr) => {
        for_dtype!(@arms $dtype, $T => $body, Int32: i32, Int64: i64)
    };
}

/// Refuses dtypes that are not numbers.
///
/// For kernels that are not generic themselves but hand the dtype on. The empty array only makes the macro
/// use `T`.
pub(crate) fn check_number(dtype: tensor::DType) -> session_core::Result<()> {
    for_dtype!(number dtype, T => {
        // Uses the alias, about which the compiler would warn otherwise.
        let _: [T; 0] = [];
        Ok(())
    })
}

/// Refuses dtypes that have no order.
pub(crate) fn check_real(dtype: tensor::DType) -> session_core::Result<()> {
    for_dtype!(real dtype, T => {
        let _: [T; 0] = [];
        Ok(())
    })
}

/// Refuses dtypes that are not floating point.
pub(crate) fn check_float(dtype: tensor::DType) -> session_core::Result<()> {
    for_dtype!(float dtype, T => {
        let _: [T; 0] = [];
        Ok(())
    })
}
