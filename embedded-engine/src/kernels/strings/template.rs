//! Texts with tensors in them.
//!
//! # Semantics
//!
//! `StringFormat` takes any number of tensors and returns a scalar string: the attribute `template` with its
//! placeholders replaced by the tensors, in order. As many tensors as placeholders are required, which is
//! checked when the plan is compiled.
//!
//! Tensors are written in nested brackets, with `summarize` elements at either end of each axis and dots
//! between; a negative number shows all. Strings are quoted and escaped. Floats have the fewest digits that
//! read back as the same number, tried with 6 and 9 (`float64`: 15 and 17).
//!
//! ```text
//! template "x {} y", [1, 2, 3, 4, 5, 6, 7, 8], summarize 2   ->   x [1 2 ... 7 8] y
//! ```

use super::format::shortest;
use crate::kernel::KernelContext;
use crate::kernels::math::boxed;
use crate::registry::Registry;
use session_core::{Error, Result};
use tensor::{DType, Tensor, bf16, f16};

/// Registers `StringFormat`.
pub(super) fn register(registry: &mut Registry) {
    registry.add("StringFormat", |spec| {
        let (template, placeholder) = (spec.str("template")?.to_owned(), spec.str("placeholder")?.to_owned());
        let summarize = usize::try_from(spec.int("summarize")?).ok();
        let mut parts: Vec<String> = vec![template];
        // Nothing is a placeholder if it is empty.
        if !placeholder.is_empty() {
            parts = parts[0].split(&placeholder).map(str::to_owned).collect();
        }
        let (places, inputs) = (parts.len() - 1, spec.operation.num_inputs());
        if places != inputs {
            let text =
                format!("num placeholders in template and num inputs must match: {places} vs. {inputs}");
            return Err(Error::invalid_argument(text));
        }
        Ok(boxed(move |context| {
            let text = filled(context, &parts, summarize)?;
            context.set(0, Tensor::string(text));
            Ok(())
        }))
    });
}

/// Returns the parts of a template with a tensor after each but the last.
///
/// `parts` has one part more than there are inputs.
fn filled(context: &KernelContext<'_>, parts: &[String], summarize: Option<usize>) -> Result<Vec<u8>> {
    let mut text = parts[0].clone().into_bytes();
    for (input, part) in parts[1..].iter().enumerate() {
        let tensor = context.input(input);
        let elements = tensor.elements();
        let ends = summarize.map_or(elements, |ends| ends.min(elements));
        Printed { tensor, dims: tensor.shape().dims(), ends }.print(&mut text, 0, 0)?;
        text.extend(part.bytes());
    }
    Ok(text)
}

/// A tensor that is written as text: of each axis as many elements at either end.
///
/// The writer walks the axes recursively, from the outermost inward.
struct Printed<'t> {
    /// The whole tensor; its elements are found by a row-major index.
    tensor: &'t Tensor,
    /// The shape of the tensor.
    dims: &'t [usize],
    /// The number of elements at either end; at most that of all elements, so that doubling it cannot
    /// overflow.
    ends: usize,
}

impl Printed<'_> {
    /// Appends the part of the tensor that begins at element `place` and has the axes from `axis` on.
    fn print(&self, text: &mut Vec<u8>, axis: usize, place: usize) -> Result<()> {
        let Some(&size) = self.dims.get(axis) else {
            match self.ends {
                // A scalar of which nothing is shown.
                0 => text.extend(b"..."),
                _ => text.extend(element(self.tensor, place)?),
            }
            return Ok(());
        };
        let step: usize = self.dims[axis + 1..].iter().product();
        text.push(b'[');
        for index in 0..self.ends.min(size) {
            if index > 0 {
                self.space(text, axis);
            }
            self.print(text, axis + 1, place + index * step)?;
        }
        if size > 2 * self.ends {
            self.space(text, axis);
            text.extend(b"...");
        }
        // Without dots the second half begins where the first ended.
        for index in self.ends.max(size.saturating_sub(self.ends))..size {
            self.space(text, axis);
            self.print(text, axis + 1, place + index * step)?;
        }
        text.push(b']');
        Ok(())
    }

    /// Appends what separates two elements: a space within rows, and between them line ends and as many
    /// spaces as brackets are open.
    ///
    /// `axis` is that of the elements to separate. Deeper tensors are separated by more line ends.
    fn space(&self, text: &mut Vec<u8>, axis: usize) {
        let inner = self.dims.len() - 1 - axis;
        if inner == 0 {
            text.push(b' ');
            return;
        }
        text.extend(std::iter::repeat_n(b'\n', inner));
        text.extend(std::iter::repeat_n(b' ', axis + 1));
    }
}

/// Returns an element as text, a string in quotation marks.
///
/// `place` is a row-major index.
fn element(tensor: &Tensor, place: usize) -> Result<Vec<u8>> {
    let dtype = tensor.dtype();
    let text = match dtype {
        DType::Bool => u8::from(tensor.as_slice::<bool>()?[place]).to_string(),
        DType::String => return Ok(quoted(&tensor.as_strings()?[place])),
        DType::Float16 => single(tensor.as_slice::<f16>()?[place].to_f32()),
        DType::BFloat16 => single(tensor.as_slice::<bf16>()?[place].to_f32()),
        DType::Float32 => single(tensor.as_slice::<f32>()?[place]),
        DType::Float64 => double(tensor.as_slice::<f64>()?[place]),
        _ if dtype.is_integer() => {
            for_dtype!(real dtype, T => Ok::<_, Error>(tensor.as_slice::<T>()?[place].to_string()))?
        }
        // TensorFlow shows no others either.
        _ => "?".to_owned(),
    };
    Ok(text.into_bytes())
}

/// Returns the shortest of the two precisions that gives the number back.
///
/// Six digits are enough for most numbers in programs, nine for every `float32`.
fn single(value: f32) -> String {
    if !value.is_finite() {
        return unusual(value.into());
    }
    let short = shortest(value.into(), 6);
    if short.parse() == Ok(value) { short } else { shortest(value.into(), 9) }
}

/// Works as `single`, with the 15 and 17 digits of `float64`.
fn double(value: f64) -> String {
    if !value.is_finite() {
        return unusual(value);
    }
    let short = shortest(value, 15);
    if short.parse() == Ok(value) { short } else { shortest(value, 17) }
}

/// Returns the text of an infinity or NaN, whose sign is not shown.
fn unusual(value: f64) -> String {
    if value.is_nan() { "nan".to_owned() } else { value.to_string() }
}

/// Returns a text in quotation marks, with escapes as in C; bytes beyond ASCII stay.
///
/// Control characters are octal escapes of three digits.
fn quoted(text: &[u8]) -> Vec<u8> {
    let mut quoted = vec![b'"'];
    for &byte in text {
        match byte {
            b'\n' => quoted.extend(b"\\n"),
            b'\r' => quoted.extend(b"\\r"),
            b'\t' => quoted.extend(b"\\t"),
            b'"' | b'\'' | b'\\' => quoted.extend([b'\\', byte]),
            b' '..=b'~' | 0x80.. => quoted.push(byte),
            _ => quoted.extend(format!("\\{byte:03o}").bytes()),
        }
    }
    quoted.push(b'"');
    quoted
}
