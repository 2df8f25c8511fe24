//! What the formats of TensorFlow's files and messages have in common, each in one place: the canonical status codes,
//! CRC-32C with its mask, and protobuf's wire format where there is no type for a message.
//!
//! ```
//! use wire::{Code, message};
//! let mut bytes = Vec::new();
//! message::put_bytes(&mut bytes, 3, b"word");
//! message::fields(&bytes, |field, value| {
//!     assert_eq!((field, value), (3, message::Value::Bytes(b"word")));
//!     Ok(())
//! })?;
//! assert_eq!(Code::from_number(5), Some(Code::NotFound));
//! # Ok::<(), message::Malformed>(())
//! ```
//!
//! It knows nothing of tensors, files or graphs.
//!
//! # Features
//!
//! | feature | default | brings |
//! |---|---|---|
//! | `crc` | yes | the module `crc` |

mod code;
#[cfg(feature = "crc")]
pub mod crc;
pub mod message;

pub use code::Code;
