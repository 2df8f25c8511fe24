//! Options of a whole pipeline.

use crate::Dataset;
use session_core::AttrValue;

/// Options of a pipeline, for engines that have a choice: TensorFlow's `tf.data.Options`.
///
/// ```
/// use dataset::{Dataset, Options};
/// use session_core::Graph;
///
/// let graph = Graph::new();
/// let options = Options::default().deterministic(true).private_threadpool_size(4);
/// let numbers = Dataset::range(&graph, 0, 10, 1).with_options(&options);
/// assert_eq!(numbers.variant().operation().op_type(), "OptionsDataset");
/// # graph.finalize().unwrap();
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    deterministic: Option<bool>,
    private_threadpool_size: Option<u32>,
    max_intra_op_parallelism: Option<u32>,
}

impl Options {
    /// Sets whether parallel transformations keep the order of their elements. By default each transformation decides. The embedded
    /// engine always keeps the order.
    #[must_use]
    pub fn deterministic(mut self, deterministic: bool) -> Options {
        self.deterministic = Some(deterministic);
        self
    }

    /// Sets the number of threads that TensorFlow takes for the pipeline alone. By default it takes those of the session, as the
    /// embedded engine always does.
    #[must_use]
    pub fn private_threadpool_size(mut self, threads: u32) -> Options {
        self.private_threadpool_size = Some(threads);
        self
    }

    /// Limits the threads of each operation of the pipeline's functions in TensorFlow. There is no limit by default.
    #[must_use]
    pub fn max_intra_op_parallelism(mut self, threads: u32) -> Options {
        self.max_intra_op_parallelism = Some(threads);
        self
    }

    /// Returns TensorFlow's message.
    fn to_bytes(&self) -> Vec<u8> {
        /// The message's field of threading options, whose own fields are 1 and 2.
        const THREADING: u8 = 5;
        let (mut message, mut threading) = (Vec::new(), Vec::new());
        // A field that is not set is left out, which leaves the choice to the engine.
        if let Some(deterministic) = self.deterministic {
            message.extend([field(1, VARINT), deterministic.into()]);
        }
        for (number, threads) in [(1, self.max_intra_op_parallelism), (2, self.private_threadpool_size)] {
            if let Some(threads) = threads {
                threading.push(field(number, VARINT));
                varint(threads.into(), &mut threading);
            }
        }
        if !threading.is_empty() {
            message.push(field(THREADING, BYTES));
            varint(threading.len() as u64, &mut message);
            message.extend(threading);
        }
        message
    }
}

/// Protobuf's wire types.
const VARINT: u8 = 0;
const BYTES: u8 = 2;

fn field(number: u8, wire_type: u8) -> u8 {
    number << 3 | wire_type
}

fn varint(mut value: u64, to: &mut Vec<u8>) {
    // Seven bits in each byte, the lowest first; the high bit says that more follow.
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

impl Dataset {
    /// Returns the same elements, with options for the pipeline up to here.
    #[must_use]
    #[track_caller]
    pub fn with_options(&self, options: &Options) -> Dataset {
        let message = AttrValue::String(options.to_bytes().into());
        self.same(self.op("OptionsDataset").attr("serialized_options", message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_tensorflows_message() {
        assert!(Options::default().to_bytes().is_empty());
        let options =
            Options::default().deterministic(true).private_threadpool_size(300).max_intra_op_parallelism(1);
        assert_eq!(options.to_bytes(), b"\x08\x01\x2a\x05\x08\x01\x10\xac\x02");
    }
}
