//! Bytes as web-safe base64 text.
//!
//! The alphabet is the one for URLs, with `-` and `_`. Padding is written with the attribute `pad` and optional when
//! reading. Other characters are an error.

use crate::kernel::KernelContext;
use crate::kernels::math::boxed;
use crate::registry::Registry;
use session_core::{Error, Result};
use tensor::{Bytes, Tensor, memory};

pub(super) fn register(registry: &mut Registry) {
    registry.add("DecodeBase64", |_| Ok(boxed(|context| map(context, decoded))));
    registry.add("EncodeBase64", |spec| {
        let pad = spec.bool("pad")?;
        Ok(boxed(move |context| map(context, |bytes| encoded(bytes, pad))))
    });
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Replaces each string.
fn map(context: &mut KernelContext<'_>, change: impl Fn(&[u8]) -> Result<Vec<u8>>) -> Result<()> {
    let input = context.input(0).clone();
    let strings = input.as_strings()?.iter().map(|text| Ok::<_, Error>(Bytes::from(change(text)?)));
    let strings = memory::try_collected(strings)?;
    context.set(0, Tensor::from_strings(strings, input.shape().clone())?);
    Ok(())
}

fn encoded(bytes: &[u8], pad: bool) -> Result<Vec<u8>> {
    let mut text = memory::reserve(bytes.len().div_ceil(3) * 4)?;
    for part in bytes.chunks(3) {
        let bits =
            part.iter().fold(0u32, |bits, &byte| bits << 8 | u32::from(byte)) << (8 * (3 - part.len()));
        for digit in 0..4 {
            match digit <= part.len() {
                true => text.push(DIGITS[(bits >> (18 - 6 * digit) & 63) as usize]),
                false if pad => text.push(b'='),
                false => {}
            }
        }
    }
    Ok(text)
}

fn decoded(text: &[u8]) -> Result<Vec<u8>> {
    let wrong =
        |what: &str| Error::invalid_argument(format!("a text of {} bytes is not base64: {what}", text.len()));
    // Padding belongs to texts whose length it makes a multiple of four.
    let padding = text.iter().rev().take_while(|&&byte| byte == b'=').count();
    if padding > 2 || (padding > 0 && !text.len().is_multiple_of(4)) {
        return Err(wrong("its padding is wrong"));
    }
    let digits = &text[..text.len() - padding];
    if digits.len() % 4 == 1 {
        return Err(wrong("a single digit is left at its end"));
    }
    let mut bytes = memory::reserve(digits.len() / 4 * 3 + 3)?;
    for part in digits.chunks(4) {
        let mut bits = 0u32;
        for &byte in part {
            let digit = DIGITS.iter().position(|&digit| digit == byte);
            bits = bits << 6
                | digit.ok_or_else(|| wrong("only letters, digits, '-' and '_' are in one"))? as u32;
        }
        let all = (bits << (6 * (4 - part.len()))).to_be_bytes();
        bytes.extend_from_slice(&all[1..part.len()]);
    }
    Ok(bytes)
}
