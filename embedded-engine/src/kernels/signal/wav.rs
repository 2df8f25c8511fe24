//! WAV files of 16-bit samples.
//!
//! Samples become floats in \[-1, 1\) by division by 32768; encoding rounds and clamps. Chunks other than the
//! format and the data are skipped.
//!
//! # Semantics
//!
//! - `DecodeWav` takes the content of a file as a scalar string and returns samples `[samples, channels]` of
//!   `float32` and the sample rate. `desired_channels` and `desired_samples` that are not -1 determine the
//!   shape: missing samples are zeros, missing channels repeat the last one, and what is too much is dropped.
//! - `EncodeWav` takes samples `[samples, channels]` and a sample rate, and returns the file. A value of 1 is
//!   clamped to 32767.
//!
//! Files that are not RIFF WAVE with PCM samples of 16 bits, that are cut off, or whose header contradicts
//! itself are `InvalidArgument`. Sizes in a file are checked against what is there before anything is read or
//! allocated.

use crate::kernel::{KernelContext, NodeSpec};
use crate::kernels::math::boxed;
use crate::registry::Registry;
use session_core::{Error, Result};
use tensor::{Tensor, memory};

/// Registers the two op types.
pub(super) fn register(registry: &mut Registry) {
    registry.add("DecodeWav", |spec| {
        // -1 and other negative numbers mean as many as the file has.
        let wanted = |name: &str| Ok::<_, Error>(usize::try_from(spec.int(name)?).ok());
        let (channels, samples) = (wanted("desired_channels")?, wanted("desired_samples")?);
        Ok(boxed(move |context| decode(context, channels, samples)))
    });
    registry.add("EncodeWav", |_: &NodeSpec<'_>| Ok(boxed(encode)));
}

/// The samples of a file, of all channels in turn.
struct Wav<'a> {
    /// The number of channels, at least 1.
    channels: usize,
    /// The number of samples per second of each channel.
    sample_rate: i32,
    /// The samples: whole frames of `2 * channels` bytes, little-endian.
    samples: &'a [u8],
}

/// Returns the error for an invalid file.
fn bad(what: impl AsRef<str>) -> Error {
    Error::invalid_argument(format!("Bad WAV file: {}", what.as_ref()))
}

/// Takes bytes off the front of `rest`. Fails if there are fewer; `what` completes the sentence.
fn take<'a>(rest: &mut &'a [u8], count: usize, what: &str) -> Result<&'a [u8]> {
    let (taken, left) = rest
        .split_at_checked(count)
        .ok_or_else(|| bad(format!("Data too short when trying to read {what}")))?;
    *rest = left;
    Ok(taken)
}

/// Takes an unsigned little-endian integer of `N` bytes, at most 4.
fn number<const N: usize>(rest: &mut &[u8], what: &str) -> Result<u32> {
    let bytes = take(rest, N, what)?;
    Ok(bytes.iter().rev().fold(0, |number, &byte| number << 8 | u32::from(byte)))
}

impl<'a> Wav<'a> {
    /// Reads the header and finds the data. Nothing is copied.
    ///
    /// The layout of a file, with numbers of 2 and 4 bytes in little-endian order:
    ///
    /// ```text
    /// "RIFF" size "WAVE"
    /// "fmt " 16 or 18, format 1, channels, rate, bytes per second, bytes per frame, bits per sample [, 0]
    /// further chunks: four letters, size, content; one of them is "data"
    /// ```
    ///
    /// Fails with `InvalidArgument` for anything else, for a second `data` chunk and for a file without one.
    fn parse(file: &'a [u8]) -> Result<Wav<'a>> {
        let mut rest = file;
        if take(&mut rest, 4, "the header")? != b"RIFF" {
            return Err(bad("Header mismatch: Expected RIFF"));
        }
        take(&mut rest, 4, "the size")?;
        if take(&mut rest, 4, "the header")? != b"WAVE" || take(&mut rest, 4, "the header")? != b"fmt " {
            return Err(bad("Header mismatch: Expected WAVE and fmt"));
        }
        let size = number::<4>(&mut rest, "the size of the format")?;
        if size != 16 && size != 18 {
            return Err(bad(format!("Bad format chunk size for WAV: Expected 16 or 18, but got {size}")));
        }
        let audio_format = number::<2>(&mut rest, "the format")?;
        if audio_format != 1 {
            return Err(bad(format!("Bad audio format for WAV: Expected 1 (PCM), but got {audio_format}")));
        }
        let channels = number::<2>(&mut rest, "the number of channels")? as usize;
        let sample_rate = number::<4>(&mut rest, "the sample rate")?.cast_signed();
        let per_second = number::<4>(&mut rest, "the bytes per second")?;
        let per_sample = number::<2>(&mut rest, "the bytes per sample")?;
        let bits = number::<2>(&mut rest, "the bits per sample")?;
        if channels == 0 || bits != 16 || per_sample as usize != 2 * channels {
            return Err(bad(format!(
                "Can only read 16-bit WAV files, but received {bits} bits, {per_sample} bytes a sample of {channels} channels"
            )));
        }
        if u64::from(per_second) != u64::from(per_sample) * u64::from(sample_rate.cast_unsigned()) {
            return Err(bad(format!("Bad bytes per second in WAV header: {per_second}")));
        }
        // An extension of no bytes, which some programs write for PCM as well.
        if size == 18 {
            take(&mut rest, 2, "the size of the extension")?;
        }
        let mut samples = None;
        while !rest.is_empty() {
            let (kind, size) =
                (take(&mut rest, 4, "a chunk")?, number::<4>(&mut rest, "the size of a chunk")? as usize);
            if kind != b"data" {
                take(&mut rest, size, "a chunk")?;
                continue;
            }
            if samples.is_some() {
                return Err(bad("More than one data chunk found in WAV"));
            }
            // A frame that is cut off within its channels is dropped.
            samples = Some(take(&mut rest, size / (2 * channels) * 2 * channels, "the samples")?);
        }
        let samples = samples.ok_or_else(|| bad("No data chunk found in WAV"))?;
        Ok(Wav { channels, sample_rate, samples })
    }
}

/// Delivers the samples and the rate. `None` stands for the number in the file.
///
/// Output 0 has the shape `[samples, channels]`; frames beyond the end of the file are zeros. Sizes from
/// attributes are checked by the allocation of the output.
fn decode(context: &mut KernelContext<'_>, channels: Option<usize>, samples: Option<usize>) -> Result<()> {
    let contents = match (context.input(0).shape().dims(), context.input(0).as_strings()?) {
        ([], [contents]) => contents.clone(),
        _ => {
            let text = format!("contents must be scalar, got shape {}", context.input(0).shape());
            return Err(Error::invalid_argument(text));
        }
    };
    let wav = Wav::parse(&contents)?;
    let channels = channels.unwrap_or(wav.channels);
    let samples = samples.unwrap_or(wav.samples.len() / (2 * wav.channels));
    context.produce::<f32>(0, [samples, channels], |_, output| {
        output.fill(0.0);
        let frames = wav.samples.chunks_exact(2 * wav.channels);
        for (to, frame) in output.chunks_exact_mut(channels.max(1)).zip(frames) {
            for (channel, to) in to.iter_mut().enumerate() {
                // Channels beyond those of the file repeat its last one.
                let from = 2 * channel.min(wav.channels - 1);
                *to = f32::from(i16::from_le_bytes([frame[from], frame[from + 1]])) / 32768.0;
            }
        }
        Ok(())
    })?;
    context.set(1, Tensor::scalar(wav.sample_rate));
    Ok(())
}

/// Delivers a file with one format and one data chunk. Fails if a size does not fit the fields of the header,
/// which have 16 and 32 bits.
///
/// The header is that of 44 bytes: RIFF and WAVE, a format chunk of 16 bytes with format 1, and a data chunk.
fn encode(context: &mut KernelContext<'_>) -> Result<()> {
    let &[samples, channels] = context.input(0).shape().dims() else {
        let text = format!("audio must be 2-dimensional, got shape {}", context.input(0).shape());
        return Err(Error::invalid_argument(text));
    };
    let rate = u32::try_from(context.int(1)?).ok().filter(|&rate| rate > 0);
    let size = samples
        .checked_mul(channels)
        .and_then(|count| u32::try_from(count.checked_mul(2)?.checked_add(36)?).ok());
    let per_frame = u16::try_from(channels.saturating_mul(2)).ok().filter(|&bytes| bytes > 0);
    let (Some(rate), Some(size), Some(per_frame)) = (rate, size, per_frame) else {
        let text = format!(
            "audio of shape {} at {} samples a second does not fit a WAV file",
            context.input(0).shape(),
            context.int(1)?
        );
        return Err(Error::invalid_argument(text));
    };
    let per_second = rate
        .checked_mul(per_frame.into())
        .ok_or_else(|| Error::invalid_argument("the sample rate is too large"))?;
    let mut file = memory::reserve(size as usize + 8)?;
    file.extend(b"RIFF");
    file.extend(size.to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0");
    file.extend((channels as u16).to_le_bytes());
    file.extend(rate.to_le_bytes());
    file.extend(per_second.to_le_bytes());
    file.extend(per_frame.to_le_bytes());
    file.extend(b"\x10\0data");
    file.extend((size - 36).to_le_bytes());
    for &sample in context.slice::<f32>(0)? {
        // The clamp also covers 1.0, which has no 16-bit value.
        let scaled = (sample * 32768.0).round().clamp(f32::from(i16::MIN), f32::from(i16::MAX));
        file.extend((scaled as i16).to_le_bytes());
    }
    context.set(0, Tensor::string(file));
    Ok(())
}
