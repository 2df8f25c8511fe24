//! Building blocks that TensorFlow's file and message formats share: canonical status codes, masked CRC-32C,
//! and the protobuf wire format for messages that have no generated type.
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
//! The crate has no notion of tensors, files, or graphs.
//!
//! # Features
//!
//! | feature | default | brings |
//! |---|---|---|
//! | `crc` | yes | the module `crc` |
#![cfg_attr(docsrs, feature(doc_cfg))]

mod code;
#[cfg(feature = "crc")]
pub mod crc;
pub mod message;

pub use code::Code;

/// Runs the program of the front page.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
