//! Byte strings: joined, split, cut, formatted, read as numbers.
//!
//! Strings are bytes. Operations with the attribute `encoding` or `unit` treat them as UTF-8 where it states
//! so: then lengths and positions are characters, and letters beyond ASCII change their case.
//!
//! # Semantics
//!
//! | op | attributes | result |
//! | --- | --- | --- |
//! | `StringLower`, `StringUpper` | `encoding`: empty for ASCII, or `utf-8` | other letters; with `utf-8` a sigma at the end of a word is a final one, and invalid bytes become U+FFFD |
//! | `StringStrip` | | without white space at both ends |
//! | `StringLength` | `unit`: `BYTE` or `UTF8_CHAR` | lengths, `int32` |
//! | `StringToHashBucketFast` | `num_buckets` | FarmHash fingerprint, modulo |
//! | `StringToHashBucket` | `num_buckets` | MurmurHash64A with TensorFlow's seed, modulo |
//! | `StringToHashBucketStrong` | `num_buckets`, `key` of 2 | SipHash-2-4 under the key, modulo |
//!
//! White space is what C's `isspace` accepts, here and where text is split or read as a number: spaces, tabs,
//! line ends, form feeds and vertical tabs.
//!
//! Outputs have the shape of the input; empty tensors and empty strings are fine. Bad attributes are errors
//! when the kernel is made. Everything runs on one thread.

mod farm_hash;
mod format;
mod join;
pub(super) mod number;
#[cfg(feature = "regex")]
mod pattern;
#[cfg(feature = "regex")]
mod re2;
mod split;
mod template;
mod unicode;

use crate::kernel::{Kernel, KernelContext};
use crate::kernels::math::boxed;
use crate::registry::Registry;

pub(in crate::kernels) use farm_hash::fingerprint64;
pub(in crate::kernels) use join::add;
use session_core::{Code, Error, Result};
use tensor::{Bytes, DType, Tensor, memory};

/// Registers the op types of this file and of the folder.
pub(crate) fn register(registry: &mut Registry) {
    format::register(registry);
    join::register(registry);
    number::register(registry);
    #[cfg(feature = "regex")]
    registry.of_feature("regex", [pattern::register]);
    split::register(registry);
    template::register(registry);
    unicode::register(registry);
    registry
        .add("StringLower", |spec| changed(spec.str("encoding")?, str::to_lowercase, u8::to_ascii_lowercase));
    registry
        .add("StringUpper", |spec| changed(spec.str("encoding")?, str::to_uppercase, u8::to_ascii_uppercase));
    registry.add("StringStrip", |_| {
        // A part of the same memory: stripping copies no bytes.
        Ok(boxed(|context| map(context, |text| Ok(text.slice_ref(trimmed(text))))))
    });
    registry.add("StringLength", |spec| {
        let characters = is_utf8(spec.str("unit")?);
        Ok(boxed(move |context| {
            let shape = context.input(0).shape().clone();
            let lengths = context.input(0).as_strings()?.iter().map(|text| length(text, characters));
            let lengths = memory::collected(lengths.map(|len| i32::try_from(len).unwrap_or(i32::MAX)))?;
            context.set(0, Tensor::from_vec(lengths, shape)?);
            Ok(())
        }))
    });
    registry.add("StringToHashBucketFast", |spec| {
        let buckets = u64::try_from(spec.int("num_buckets")?).ok().filter(|&count| count > 0);
        let buckets = buckets.ok_or_else(|| Error::value("num_buckets must be at least 1"))?;
        Ok(boxed(move |context| {
            let shape = context.input(0).shape().clone();
            let hash = |text: &Bytes| (fingerprint64(text) % buckets).cast_signed();
            let hashes = memory::collected(context.input(0).as_strings()?.iter().map(hash))?;
            context.set(0, Tensor::from_vec(hashes, shape)?);
            Ok(())
        }))
    });
    registry.add("StringToHashBucket", |spec| {
        let buckets = u64::try_from(spec.int("num_buckets")?).ok().filter(|&count| count > 0);
        let buckets = buckets.ok_or_else(|| Error::value("num_buckets must be at least 1"))?;
        Ok(boxed(move |context| {
            let shape = context.input(0).shape().clone();
            let hash = |text: &Bytes| (murmur_hash(text) % buckets).cast_signed();
            let hashes = memory::collected(context.input(0).as_strings()?.iter().map(hash))?;
            context.set(0, Tensor::from_vec(hashes, shape)?);
            Ok(())
        }))
    });
    registry.add("StringToHashBucketStrong", |spec| {
        let buckets = u64::try_from(spec.int("num_buckets")?).ok().filter(|&count| count > 0);
        let buckets = buckets.ok_or_else(|| Error::value("num_buckets must be at least 1"))?;
        let &[first, second] = spec.ints("key")?.as_slice() else {
            return Err(Error::invalid_argument("Key must have 2 elements"));
        };
        let keys = [first.cast_unsigned(), second.cast_unsigned()];
        Ok(boxed(move |context| {
            let shape = context.input(0).shape().clone();
            let hash = |text: &Bytes| (sip_hash(text, keys) % buckets).cast_signed();
            let hashes = memory::collected(context.input(0).as_strings()?.iter().map(hash))?;
            context.set(0, Tensor::from_vec(hashes, shape)?);
            Ok(())
        }))
    });
}

/// Returns MurmurHash64A with TensorFlow's seed, whose values never change.
///
/// Words are read as little-endian on every machine, so buckets are portable.
fn murmur_hash(text: &[u8]) -> u64 {
    const FACTOR: u64 = 0xc6a4_a793_5bd1_e995;
    const SEED: u64 = 0x00de_cafc_affe;
    let mut hash = SEED ^ (text.len() as u64).wrapping_mul(FACTOR);
    let (words, rest) = text.as_chunks::<8>();
    for word in words {
        let mut mixed = u64::from_le_bytes(*word).wrapping_mul(FACTOR);
        mixed = (mixed ^ (mixed >> 47)).wrapping_mul(FACTOR);
        hash = (hash ^ mixed).wrapping_mul(FACTOR);
    }
    if !rest.is_empty() {
        let last = rest.iter().rev().fold(0, |last, &byte| last << 8 | u64::from(byte));
        hash = (hash ^ last).wrapping_mul(FACTOR);
    }
    hash = (hash ^ (hash >> 47)).wrapping_mul(FACTOR);
    hash ^ (hash >> 47)
}

/// Returns SipHash-2-4 under a key of two words. The standard library's hasher is that very function, and its
/// values never change.
#[allow(deprecated)] // for hash maps; here the algorithm itself is requested
pub(in crate::kernels) fn sip_hash(text: &[u8], [first, second]: [u64; 2]) -> u64 {
    let mut hasher = std::hash::SipHasher::new_with_keys(first, second);
    std::hash::Hasher::write(&mut hasher, text);
    std::hash::Hasher::finish(&hasher)
}

/// Returns true for white space. Unlike `u8::is_ascii_whitespace`, this includes the vertical tab.
fn is_space(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Returns the text without white space at its start.
fn trimmed_start(text: &[u8]) -> &[u8] {
    &text[text.iter().position(|byte| !is_space(byte)).unwrap_or(text.len())..]
}

/// Returns the text without white space at both ends.
fn trimmed(text: &[u8]) -> &[u8] {
    let text = trimmed_start(text);
    &text[..text.iter().rposition(|byte| !is_space(byte)).map_or(0, |last| last + 1)]
}

/// Returns true if `unit` asks for characters rather than bytes.
fn is_utf8(unit: &str) -> bool {
    unit == "UTF8_CHAR"
}

/// Returns the number of bytes, or of characters: all bytes but those that continue one. Invalid UTF-8 is
/// counted by the same rule.
fn length(text: &[u8], characters: bool) -> usize {
    // Bytes `10xxxxxx` continue a character in UTF-8.
    if characters { text.iter().filter(|&&byte| byte & 0xc0 != 0x80).count() } else { text.len() }
}

/// Delivers the strings of input 0, each changed by a function. The first error ends the loop.
fn map(context: &mut KernelContext<'_>, change: impl FnMut(&Bytes) -> Result<Bytes>) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let strings = memory::try_collected(context.input(0).as_strings()?.iter().map(change))?;
    context.set(0, Tensor::from_strings(strings, shape)?);
    Ok(())
}

/// Makes the kernel that changes the case of letters: by `whole` for the encoding `utf-8`, where it depends on
/// the letters around, and otherwise byte by byte.
///
/// # Errors
/// `Value` for another encoding.
fn changed(encoding: &str, whole: fn(&str) -> String, byte: fn(&u8) -> u8) -> Result<Box<dyn Kernel>> {
    match encoding {
        "" => Ok(boxed(move |context| {
            map(context, |text| Ok(text.iter().map(byte).collect::<Vec<u8>>().into()))
        })),
        "utf-8" => {
            Ok(boxed(move |context| map(context, |text| Ok(whole(&String::from_utf8_lossy(text)).into()))))
        }
        other => Err(Error::value(format!("encoding '{other}' is neither '' nor 'utf-8'"))),
    }
}

/// Returns the error for a dtype that an operation on strings does not take.
fn unsupported(what: &str, dtype: DType) -> Error {
    Error::new(Code::Unimplemented, format!("the embedded engine does not support {what} for {dtype}"))
}
