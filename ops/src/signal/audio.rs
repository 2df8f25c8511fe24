//! Audio: WAV files, spectrograms, and mel-frequency cepstral coefficients.

use crate::library::op_defs;
use crate::shapes::{int_attr, must_be_scalar};
use session_core::{AsOutput, OpDef, Output, PartialShape, Result, ShapeContext};

op_defs! {
    DECODE_WAV: OpDef::new("DecodeWav", "contents: string -> audio: float, sample_rate: int32")
        .attrs("desired_channels: int = -1, desired_samples: int = -1").shape(wav_shape);
    ENCODE_WAV: OpDef::new("EncodeWav", "audio: float, sample_rate: int32 -> contents: string").shape(encoded_shape);
    AUDIO_SPECTROGRAM: OpDef::new("AudioSpectrogram", "input: float -> spectrogram: float")
        .attrs("window_size: int, stride: int, magnitude_squared: bool = false").shape(spectrogram_shape);
    MFCC: OpDef::new("Mfcc", "spectrogram: float, sample_rate: int32 -> output: float")
        .attrs(
            "upper_frequency_limit: float = 4000.0, lower_frequency_limit: float = 20.0, \
             filterbank_channel_count: int = 40, dct_coefficient_count: int = 13",
        )
        .shape(mfcc_shape);
}

fn wav_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    must_be_scalar(context, 0)?;
    // -1, for all there are, is no size: the shape is known in the run.
    let size = |name: &str| Ok(usize::try_from(int_attr(context, name)?).ok());
    let (samples, channels): (_, Result<_>) = (size("desired_samples")?, size("desired_channels"));
    let channels = channels?;
    context.set(0, PartialShape::from([samples, channels]));
    context.set(1, PartialShape::scalar());
    Ok(())
}

fn encoded_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    context.input_of_rank(0, 2)?;
    must_be_scalar(context, 1)?;
    context.set(0, PartialShape::scalar());
    Ok(())
}

fn spectrogram_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let input = context.input_of_rank(0, 2)?;
    let size = |name: &str| Ok(usize::try_from(int_attr(context, name)?).ok().filter(|&size| size > 0));
    let (window, stride): (Option<usize>, Result<Option<usize>>) = (size("window_size")?, size("stride"));
    let frames = window
        .zip(stride?)
        .zip(input.dim(0))
        .map(|((window, stride), length)| length.checked_sub(window).map_or(0, |rest| rest / stride + 1));
    // The transform has the next power of two as its length; the frequencies beyond
    // half of it repeat the others.
    let bins = window.and_then(usize::checked_next_power_of_two).map(|size| size / 2 + 1);
    context.set(0, PartialShape::from([input.dim(1), frames, bins]));
    Ok(())
}

fn mfcc_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let spectrogram = context.input_of_rank(0, 3)?;
    must_be_scalar(context, 1)?;
    let count = usize::try_from(int_attr(context, "dct_coefficient_count")?).ok();
    context.set(0, PartialShape::from([spectrogram.dim(0), spectrogram.dim(1), count]));
    Ok(())
}

/// Decodes a WAV file of 16-bit samples to numbers between -1 and 1, `[samples, channels]`, and its sample rate.
///
/// ```
/// # use session_core::Graph;
/// # use ops::{array::constant, io::read_file, signal::decode_wav};
/// let graph = Graph::new();
/// let (audio, rate) = decode_wav(read_file(constant(&graph, "yes.wav")));
/// assert_eq!((audio.shape().to_string(), rate.shape().to_string()), ("[?,?]".into(), "[]".into()));
/// ```
#[must_use]
#[track_caller]
pub fn decode_wav(contents: impl AsOutput) -> (Output, Output) {
    let operation = contents.as_output().graph().op(&DECODE_WAV).input(contents).finish();
    (operation.output(0), operation.output(1))
}

/// Encodes samples between -1 and 1, `[samples, channels]`, as a WAV file with 16 bits per sample. `sample_rate` is a scalar `int32` in
/// hertz.
///
/// ```
/// use ops::{array, signal::encode_wav};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let silence = array::zeros(&graph, DType::Float32, [16_000, 1]);
/// let file = encode_wav(&silence, array::constant(&graph, 16_000)); // one second
/// assert_eq!(file.dtype(), DType::String);
/// # graph.finalize().unwrap();
/// ```
#[must_use]
#[track_caller]
pub fn encode_wav(audio: impl AsOutput, sample_rate: impl AsOutput) -> Output {
    audio.as_output().graph().op(&ENCODE_WAV).input(audio).input(sample_rate).finish_output()
}

/// Returns the squared magnitudes of the frequencies in windows of `window_size` samples, one every `stride` samples: `[channels, windows,
/// frequencies]`, where `frequencies` is half the next power of two of the window size, plus 1.
///
/// ```
/// use ops::{array, signal::audio_spectrogram};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let samples = array::zeros(&graph, DType::Float32, [16_000, 1]);
/// let spectrogram = audio_spectrogram(&samples, 512, 256);
/// assert_eq!(spectrogram.shape().rank(), Some(3));
/// # graph.finalize().unwrap();
/// ```
#[must_use]
#[track_caller]
pub fn audio_spectrogram(input: impl AsOutput, window_size: i64, stride: i64) -> Output {
    let builder = input.as_output().graph().op(&AUDIO_SPECTROGRAM).input(input);
    let builder = builder.attr("window_size", window_size).attr("stride", stride);
    // Squares, which `mfcc` expects.
    builder.attr("magnitude_squared", true).finish_output()
}

/// Returns the first `dct_coefficient_count` mel-frequency cepstral coefficients of a spectrogram of squared magnitudes, as
/// [`audio_spectrogram`] returns it: `[channels, windows, coefficients]`.
#[must_use]
#[track_caller]
pub fn mfcc(spectrogram: impl AsOutput, sample_rate: impl AsOutput, dct_coefficient_count: i64) -> Output {
    let builder = spectrogram.as_output().graph().op(&MFCC).input(spectrogram).input(sample_rate);
    builder.attr("dct_coefficient_count", dct_coefficient_count).finish_output()
}
