//! Any serde type as bytes. The only place that knows which codec it is.
//!
//! bincode reads from slices with the slice's length as its limit and refuses trailing bytes; the
//! envelope around it has compared length and checksum before.

use super::read_session_state;
use crate::{Error, Result};
use bincode::Options;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;

fn codec(limit: u64) -> impl Options {
    bincode::options().with_fixint_encoding().with_little_endian().reject_trailing_bytes().with_limit(limit)
}

/// Returns a value as a payload for [`SaveOptions::session_state`](crate::SaveOptions::session_state).
///
/// ```
/// use checkpoint::sidecar::{decode, encode};
/// let position = (3u32, "train.tfrecord".to_string());
/// assert_eq!(decode::<(u32, String)>(&encode(&position)?)?, position);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::State`] when the type's own serialization fails, or uses what the codec cannot express
/// (sequences of unknown length).
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>> {
    codec(u64::MAX).serialize(value).map_err(|error| Error::State { operation: "encode", source: error })
}

/// Returns the value of a payload.
///
/// ```
/// assert!(checkpoint::sidecar::decode::<u64>(b"short").is_err());
/// ```
///
/// # Errors
/// [`Error::State`] when the bytes are not a `T`, wholly and exactly.
pub fn decode<T: DeserializeOwned>(payload: &[u8]) -> Result<T> {
    codec(payload.len() as u64)
        .deserialize(payload)
        .map_err(|error| Error::State { operation: "decode", source: error })
}

/// Reads the session state of a checkpoint; `None` when it has none.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("model.ckpt");
/// # let mut model = std::collections::BTreeMap::from([("w".to_string(), tensor::Tensor::from([1.0f32, 2.0]))]);
/// use checkpoint::{SaveOptions, Saver, sidecar};
/// let options = SaveOptions::new().session_state(sidecar::encode(&12u64)?);
/// let prefix = Saver::default().save_with(&model, &path, None, options)?;
/// assert_eq!(sidecar::load::<u64>(&prefix)?, Some(12));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`read_session_state`] and [`decode`].
pub fn load<T: DeserializeOwned>(prefix: impl AsRef<Path>) -> Result<Option<T>> {
    read_session_state(prefix)?.map(|payload| decode(&payload)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
    struct Position {
        epoch: u64,
        files: Vec<String>,
        random: Option<[u64; 4]>,
    }

    #[test]
    fn values_round_trip_and_nothing_may_follow() {
        let value = Position { epoch: 3, files: vec!["a".into(), "b".into()], random: Some([1, 2, 3, 4]) };
        let mut bytes = encode(&value).unwrap();
        assert_eq!(decode::<Position>(&bytes).unwrap(), value);
        for len in 0..bytes.len() {
            assert!(decode::<Position>(&bytes[..len]).is_err(), "cut to {len}");
        }
        bytes.push(0);
        assert!(decode::<Position>(&bytes).is_err());
    }

    #[test]
    fn a_huge_length_is_an_error_without_an_allocation() {
        let mut bytes = vec![0; 8];
        bytes.extend(u64::MAX.to_le_bytes());
        assert!(decode::<Position>(&bytes).is_err());
        bytes[8..].copy_from_slice(&(1u64 << 60).to_le_bytes());
        assert!(decode::<Vec<u64>>(&bytes[8..]).is_err());
    }
}
