//! Sound.

use crate::SummaryError;
use crate::proto;
use bytes::Bytes;
use tensor::{DType, Tensor};

/// Encoded sound.
#[derive(Clone, Debug, PartialEq)]
pub struct Audio {
    /// Frames a second.
    pub sample_rate: f32,
    /// Samples in a frame.
    pub channels: i64,
    /// The number of frames.
    pub frames: i64,
    /// A sound file.
    pub encoded: Bytes,
    /// The MIME type, such as `audio/wav`.
    pub content_type: String,
}

/// Bytes before the samples.
const HEADER: u32 = 44;

impl Audio {
    /// Encodes samples from -1 to 1, an array (`float32`) of frames and channels, as a WAV file with
    /// 16 bits a sample. Samples beyond are cut off; NaN is silence.
    ///
    /// ```text
    /// 00 "RIFF"  u32 bytes after this    08 "WAVE"
    /// 0c "fmt "  u32 16                  14 u16 1 (PCM)   u16 channels
    /// 18 u32 frames a second             1c u32 bytes a second
    /// 20 u16 bytes a frame   u16 16 bits a sample
    /// 24 "data"  u32 bytes of samples    2c samples, i16, frame after frame
    /// ```
    ///
    /// # Errors
    /// [`SummaryError::Shape`] for another rank, no or over 65,535 channels, or a file over 4 GiB;
    /// [`SummaryError::DType`]; [`SummaryError::SampleRate`].
    pub fn from_samples(samples: &Tensor, sample_rate: f32) -> Result<Audio, SummaryError> {
        let wrong = |rule| SummaryError::Shape { what: "audio", shape: samples.shape().clone(), rule };
        if samples.dtype() != DType::Float32 {
            return Err(SummaryError::DType { what: "audio", dtype: samples.dtype() });
        }
        let &[frames, channels] = samples.shape().dims() else {
            return Err(wrong("it needs frames and channels"));
        };
        // The header has room for a whole number only. TensorFlow rounds in the same way.
        let rate = f64::from(sample_rate).round_ties_even();
        if !(1.0..=f64::from(u32::MAX)).contains(&rate) {
            return Err(SummaryError::SampleRate { rate: sample_rate });
        }
        let channel_count = u16::try_from(channels).ok().filter(|&count| count > 0);
        let channel_count = channel_count.ok_or_else(|| wrong("channels are 1 to 65,535"))?;
        let frame_len = channel_count.checked_mul(2).ok_or_else(|| wrong("a frame is under 64 KiB"))?;
        let data_len = frames.checked_mul(usize::from(frame_len)).and_then(|len| u32::try_from(len).ok());
        // Lengths in the header are 32 bits wide; the outer one includes the header.
        let data_len = data_len
            .filter(|len| len.checked_add(HEADER).is_some())
            .ok_or_else(|| wrong("a sound file is under 4 GiB"))?;
        let mut file = Vec::with_capacity(HEADER as usize + data_len as usize);
        write_header(&mut file, rate as u32, channel_count, frame_len, data_len);
        file.extend(samples.as_slice::<f32>()?.iter().flat_map(|&sample| to_i16(sample).to_le_bytes()));
        Ok(Audio {
            sample_rate,
            channels: i64::from(channel_count),
            frames: frames as i64,
            encoded: file.into(),
            content_type: "audio/wav".to_owned(),
        })
    }
}

fn write_header(file: &mut Vec<u8>, rate: u32, channels: u16, frame_len: u16, data_len: u32) {
    let (one, sixteen) = (1u16.to_le_bytes(), 16u16.to_le_bytes());
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&(HEADER - 8 + data_len).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt ");
    file.extend_from_slice(&16u32.to_le_bytes());
    file.extend_from_slice(&one);
    file.extend_from_slice(&channels.to_le_bytes());
    file.extend_from_slice(&rate.to_le_bytes());
    file.extend_from_slice(&rate.wrapping_mul(u32::from(frame_len)).to_le_bytes());
    file.extend_from_slice(&frame_len.to_le_bytes());
    file.extend_from_slice(&sixteen);
    file.extend_from_slice(b"data");
    file.extend_from_slice(&data_len.to_le_bytes());
}

/// Returns the nearest of 65,536 steps from -1 to 1. The cast cuts off and makes NaN zero.
fn to_i16(sample: f32) -> i16 {
    // 1.0 becomes 32768, which the cast cuts to 32767, as TensorFlow does. NaN becomes 0.
    (sample * 32768.0).round() as i16
}

/// Returns the clips of a batch (one along the first dimension each), at most `max` of them. Without a third
/// dimension they have one channel.
pub(crate) fn batch(samples: &Tensor, sample_rate: f32, max: usize) -> Result<Vec<Audio>, SummaryError> {
    let with_channels = match samples.shape().dims() {
        &[batch, frames] => samples.clone().reshaped([batch, frames, 1])?,
        [_, _, _] => samples.clone(),
        _ => {
            let rule = "a batch needs number, frames and perhaps channels";
            return Err(SummaryError::Shape { what: "audio", shape: samples.shape().clone(), rule });
        }
    };
    with_channels.iter_rows()?.take(max).map(|sound| Audio::from_samples(&sound, sample_rate)).collect()
}

impl From<proto::Audio> for Audio {
    fn from(message: proto::Audio) -> Audio {
        Audio {
            sample_rate: message.sample_rate,
            channels: message.num_channels,
            frames: message.length_frames,
            encoded: message.encoded_audio_string,
            content_type: message.content_type,
        }
    }
}

impl From<Audio> for proto::Audio {
    fn from(audio: Audio) -> proto::Audio {
        proto::Audio {
            sample_rate: audio.sample_rate,
            num_channels: audio.channels,
            length_frames: audio.frames,
            encoded_audio_string: audio.encoded,
            content_type: audio.content_type,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Compares with the file that TensorFlow 2.21 made of the same samples.
    #[test]
    fn files_are_those_of_tensorflow() {
        let samples = vec![
            0.0f32,
            0.5,
            -0.5,
            1.0,
            -1.0,
            1.5,
            -1.5,
            0.00001526,
            0.000_015_258_789,
            0.5 / 32768.0,
            1.5 / 32768.0,
            0.3,
        ];
        let audio = Audio::from_samples(&Tensor::from(samples).reshaped([12, 1]).unwrap(), 44100.0).unwrap();
        assert_eq!(
            hex(&audio.encoded),
            "524946463c00000057415645666d7420100000000100010044ac0000885801000200100064617461180000000000\
             004000c0ff7f0080ff7f008001000100010002006626"
        );
        assert_eq!((audio.channels, audio.frames, &*audio.content_type), (1, 12, "audio/wav"));
    }

    #[test]
    fn samples_that_are_not_finite() {
        assert_eq!([f32::NAN, f32::INFINITY, f32::NEG_INFINITY].map(to_i16), [0, i16::MAX, i16::MIN]);
    }

    #[test]
    fn bytes_that_are_not_audio_are_refused() {
        let zeros = |dims: &[usize]| Tensor::zeros(DType::Float32, dims).unwrap();
        for dims in [&[4][..], &[4, 0], &[0, 70_000], &[0, 40_000]] {
            let error = Audio::from_samples(&zeros(dims), 8000.0).unwrap_err();
            assert!(matches!(error, SummaryError::Shape { .. }), "{dims:?}");
        }
        for rate in [0.0, -1.0, f32::NAN, f32::INFINITY, 1e10] {
            let error = Audio::from_samples(&zeros(&[1, 1]), rate).unwrap_err();
            assert!(matches!(error, SummaryError::SampleRate { .. }), "{rate}");
        }
        let error = Audio::from_samples(&Tensor::from([[1u8]]), 8000.0).unwrap_err();
        assert!(matches!(error, SummaryError::DType { .. }));
    }
}
