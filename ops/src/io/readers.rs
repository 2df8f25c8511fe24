//! Readers of records from files whose names come from a queue.

use crate::data_flow::Queue;
use crate::library::op_defs;
use crate::shapes::{must_be_scalar, old_handle, scalar};
use session_core::{
    AsOutput, Graph, OpBuilder, OpDef, Operation, Output, PartialShape, Result, ShapeContext, Tensor,
};

op_defs! {
    TF_RECORD_READER_V2: OpDef::new("TFRecordReaderV2", " -> reader_handle: resource")
        .attrs("container: string = \"\", shared_name: string = \"\", compression_type: string = \"\"")
        .stateful().shape(scalar).not_differentiable();
    TEXT_LINE_READER_V2: OpDef::new("TextLineReaderV2", " -> reader_handle: resource")
        .attrs("skip_header_lines: int32 = 0, container: string = \"\", shared_name: string = \"\"")
        .stateful().shape(scalar).not_differentiable();
    WHOLE_FILE_READER_V2: OpDef::new("WholeFileReaderV2", " -> reader_handle: resource")
        .attrs("container: string = \"\", shared_name: string = \"\"")
        .stateful().shape(scalar).not_differentiable();
    FIXED_LENGTH_RECORD_READER_V2: OpDef::new("FixedLengthRecordReaderV2", " -> reader_handle: resource")
        .attrs("header_bytes: int = 0, record_bytes: int, footer_bytes: int = 0, hop_bytes: int = 0, container: string = \"\", shared_name: string = \"\", encoding: string = \"\"")
        .stateful().shape(scalar).not_differentiable();
    IDENTITY_READER_V2: OpDef::new("IdentityReaderV2", " -> reader_handle: resource")
        .attrs("container: string = \"\", shared_name: string = \"\"")
        .stateful().shape(scalar).not_differentiable();
    READER_READ_V2: OpDef::new("ReaderReadV2", "reader_handle: resource, queue_handle: resource -> key: string, value: string")
        .stateful().shape(one_record).not_differentiable();
    READER_READ_UP_TO_V2: OpDef::new(
            "ReaderReadUpToV2",
            "reader_handle: resource, queue_handle: resource, num_records: int64 -> keys: string, values: string",
        )
        .stateful().shape(some_records).not_differentiable();
    READER_NUM_RECORDS_PRODUCED_V2: OpDef::new("ReaderNumRecordsProducedV2", "reader_handle: resource -> records_produced: int64")
        .stateful().shape(one_record).not_differentiable();
    READER_NUM_WORK_UNITS_COMPLETED_V2: OpDef::new("ReaderNumWorkUnitsCompletedV2", "reader_handle: resource -> units_completed: int64")
        .stateful().shape(one_record).not_differentiable();
    READER_SERIALIZE_STATE_V2: OpDef::new("ReaderSerializeStateV2", "reader_handle: resource -> state: string")
        .stateful().shape(one_record).not_differentiable();
    READER_RESTORE_STATE_V2: OpDef::new("ReaderRestoreStateV2", "reader_handle: resource, state: string -> ")
        .stateful().shape(only_scalars).not_differentiable();
    READER_RESET_V2: OpDef::new("ReaderResetV2", "reader_handle: resource -> ").stateful().not_differentiable();
    TF_RECORD_READER: OpDef::new("TFRecordReader", " -> reader_handle: Ref(string)")
        .attrs("container: string = \"\", shared_name: string = \"\", compression_type: string = \"\"")
        .stateful().shape(old_handle).not_differentiable();
    TEXT_LINE_READER: OpDef::new("TextLineReader", " -> reader_handle: Ref(string)")
        .attrs("skip_header_lines: int32 = 0, container: string = \"\", shared_name: string = \"\"")
        .stateful().shape(old_handle).not_differentiable();
    WHOLE_FILE_READER: OpDef::new("WholeFileReader", " -> reader_handle: Ref(string)")
        .attrs("container: string = \"\", shared_name: string = \"\"")
        .stateful().shape(old_handle).not_differentiable();
    FIXED_LENGTH_RECORD_READER: OpDef::new("FixedLengthRecordReader", " -> reader_handle: Ref(string)")
        .attrs("header_bytes: int = 0, record_bytes: int, footer_bytes: int = 0, hop_bytes: int = 0, container: string = \"\", shared_name: string = \"\"")
        .stateful().shape(old_handle).not_differentiable();
    IDENTITY_READER: OpDef::new("IdentityReader", " -> reader_handle: Ref(string)")
        .attrs("container: string = \"\", shared_name: string = \"\"")
        .stateful().shape(old_handle).not_differentiable();
    READER_READ: OpDef::new("ReaderRead", "reader_handle: Ref(string), queue_handle: Ref(string) -> key: string, value: string")
        .shape(scalar).not_differentiable();
    READER_READ_UP_TO: OpDef::new(
            "ReaderReadUpTo",
            "reader_handle: Ref(string), queue_handle: Ref(string), num_records: int64 -> keys: string, values: string",
        )
        .shape(records_of_reference).not_differentiable();
    READER_NUM_RECORDS_PRODUCED: OpDef::new("ReaderNumRecordsProduced", "reader_handle: Ref(string) -> records_produced: int64")
        .shape(scalar).not_differentiable();
    READER_NUM_WORK_UNITS_COMPLETED: OpDef::new("ReaderNumWorkUnitsCompleted", "reader_handle: Ref(string) -> units_completed: int64")
        .shape(scalar).not_differentiable();
    READER_SERIALIZE_STATE: OpDef::new("ReaderSerializeState", "reader_handle: Ref(string) -> state: string")
        .shape(scalar).not_differentiable();
    READER_RESTORE_STATE: OpDef::new("ReaderRestoreState", "reader_handle: Ref(string), state: string -> ")
        .shape(scalar_state).not_differentiable();
    READER_RESET: OpDef::new("ReaderReset", "reader_handle: Ref(string) -> ").not_differentiable();
}

/// Requires that the state of a reader is a scalar.
fn scalar_state(context: &mut ShapeContext<'_>) -> Result<()> {
    must_be_scalar(context, 1)
}

fn records_of_reference(context: &mut ShapeContext<'_>) -> Result<()> {
    must_be_scalar(context, 2)?;
    vectors(context)
}

fn vectors(context: &mut ShapeContext<'_>) -> Result<()> {
    context.set(0, PartialShape::of_rank(1));
    context.set(1, PartialShape::of_rank(1));
    Ok(())
}

/// Requires that all inputs are scalars.
fn only_scalars(context: &mut ShapeContext<'_>) -> Result<()> {
    (0..context.inputs().len()).try_for_each(|index| must_be_scalar(context, index))
}

/// Requires scalar inputs, and makes all outputs scalars.
fn one_record(context: &mut ShapeContext<'_>) -> Result<()> {
    only_scalars(context)?;
    scalar(context)
}

fn some_records(context: &mut ShapeContext<'_>) -> Result<()> {
    only_scalars(context)?;
    vectors(context)
}

/// The compression of a file of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// No compression.
    #[default]
    None,
    /// The gzip format, as in `.gz` files.
    Gzip,
    /// A zlib stream.
    Zlib,
}

impl Compression {
    fn name(self) -> &'static str {
        match self {
            Compression::None => "",
            Compression::Gzip => "GZIP",
            Compression::Zlib => "ZLIB",
        }
    }
}

/// Reads records from files whose names it takes from a queue. [`read`](Reader::read) returns one record each
/// time it runs; files are read one after another.
/// ```
/// use ops::data_flow::FifoQueue;
/// use ops::io::Reader;
/// use session_core::{DType, Graph, PartialShape};
///
/// let graph = Graph::new();
/// let names = FifoQueue::new(&graph, 32, DType::String).shapes([PartialShape::scalar()]).build();
/// let (key, line) = Reader::text_line(&graph, 1).read(&names);
/// assert_eq!((key.name().as_str(), line.dtype()), ("ReaderReadV2:0", DType::String));
/// # graph.finalize().unwrap();
/// ```
///
/// # Errors when it runs
///
/// | code | why |
/// |---|---|
/// | `OutOfRange` | the queue is closed and empty: the end of the input |
/// | `NotFound` | there is no file of a name |
/// | `DataLoss` | a file is damaged |
///
/// Errors about files name the file and the offset.
#[derive(Clone, Debug)]
pub struct Reader {
    handle: Output,
}

impl Reader {
    fn make(builder: OpBuilder) -> Reader {
        Reader { handle: builder.finish_output() }
    }

    /// Creates a reader of TFRecord files. The key of a record is `<file>:<offset>`, with offsets into the
    /// uncompressed file.
    ///
    /// ```
    /// # use ops::{data_flow::FifoQueue, io::{Compression, Reader}};
    /// # use session_core::{DType, Graph, PartialShape};
    /// # let graph = Graph::new();
    /// # let names = FifoQueue::new(&graph, 32, DType::String).shapes([PartialShape::scalar()]).build();
    /// let (key, record) = Reader::tf_record(&graph, Compression::None).read(&names);
    /// assert_eq!(record.dtype(), DType::String); // a serialized `tf.Example`
    /// # let _ = key;
    /// ```
    #[must_use]
    #[track_caller]
    pub fn tf_record(graph: &Graph, compression: Compression) -> Reader {
        Reader::make(graph.op(&TF_RECORD_READER_V2).attr("compression_type", compression.name()))
    }

    /// Creates a reader of text lines without their line ends. It skips the first `skip_header_lines` lines of each file. The key of a line
    /// is `<file>:<line>`, with lines counted from 1.
    #[must_use]
    #[track_caller]
    pub fn text_line(graph: &Graph, skip_header_lines: usize) -> Reader {
        Reader::make(graph.op(&TEXT_LINE_READER_V2).attr("skip_header_lines", skip_header_lines))
    }

    /// Creates a reader of whole files. The key is the name of the file, the value its content.
    #[must_use]
    #[track_caller]
    pub fn whole_file(graph: &Graph) -> Reader {
        Reader::make(graph.op(&WHOLE_FILE_READER_V2))
    }

    /// Creates a reader of records of `record_bytes` bytes. It skips `header_bytes` at the beginning and `footer_bytes` at the end of each
    /// file. The key of a record is `<file>:<record>`, with records counted from 0.
    ///
    /// ```
    /// use ops::{data_flow::FifoQueue, io::Reader};
    /// use session_core::{DType, Graph, PartialShape};
    /// let graph = Graph::new();
    /// let names = FifoQueue::new(&graph, 32, DType::String).shapes([PartialShape::scalar()]).build();
    /// let reader = Reader::fixed_length_record(&graph, 28 * 28, 16, 0); // images of MNIST
    /// let (_key, pixels) = reader.read(&names);
    /// assert_eq!(pixels.dtype(), DType::String); // for `parsing::decode_raw`
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub fn fixed_length_record(
        graph: &Graph,
        record_bytes: usize,
        header_bytes: usize,
        footer_bytes: usize,
    ) -> Reader {
        let builder = graph.op(&FIXED_LENGTH_RECORD_READER_V2).attr("record_bytes", record_bytes);
        Reader::make(builder.attr("header_bytes", header_bytes).attr("footer_bytes", footer_bytes))
    }

    /// Creates a reader that returns the names themselves, as keys and values.
    #[must_use]
    #[track_caller]
    pub fn identity(graph: &Graph) -> Reader {
        Reader::make(graph.op(&IDENTITY_READER_V2))
    }

    /// Returns the handle of the reader, an input of every operation on it.
    #[must_use]
    pub fn handle(&self) -> &Output {
        &self.handle
    }

    #[track_caller]
    fn op(&self, def: &'static OpDef) -> OpBuilder {
        self.handle.graph().op(def).input(&self.handle)
    }

    /// Returns the key and content of the next record. Waits for a file name if no file is open.
    #[must_use]
    #[track_caller]
    pub fn read(&self, queue: &Queue) -> (Output, Output) {
        let operation = self.op(&READER_READ_V2).input(queue.handle()).finish();
        (operation.output(0), operation.output(1))
    }

    /// Returns the keys and contents of the next records: at least one and at most `num_records`, fewer at
    /// the end of a file.
    ///
    /// ```
    /// # use ops::{data_flow::FifoQueue, io::{Compression, Reader}};
    /// # use session_core::{DType, Graph, PartialShape};
    /// # let graph = Graph::new();
    /// # let names = FifoQueue::new(&graph, 32, DType::String).shapes([PartialShape::scalar()]).build();
    /// let (keys, records) = Reader::tf_record(&graph, Compression::None).read_up_to(&names, 100);
    /// assert_eq!((keys.shape().to_string(), records.shape().to_string()), ("[?]".into(), "[?]".into()));
    /// ```
    #[must_use]
    #[track_caller]
    pub fn read_up_to(&self, queue: &Queue, num_records: usize) -> (Output, Output) {
        let count = i64::try_from(num_records).unwrap_or(i64::MAX);
        let builder = self.op(&READER_READ_UP_TO_V2).input(queue.handle()).constant(Tensor::scalar(count));
        let operation = builder.finish();
        (operation.output(0), operation.output(1))
    }

    /// Returns the number of records read so far, a scalar `int64`.
    #[must_use]
    #[track_caller]
    pub fn num_records_produced(&self) -> Output {
        self.op(&READER_NUM_RECORDS_PRODUCED_V2).finish_output()
    }

    /// Returns the number of files read to their end, a scalar `int64`.
    #[must_use]
    #[track_caller]
    pub fn num_work_units_completed(&self) -> Output {
        self.op(&READER_NUM_WORK_UNITS_COMPLETED_V2).finish_output()
    }

    /// Returns the state of the reader, for [`restore_state`](Reader::restore_state): a string in the format of TensorFlow's readers.
    ///
    /// As in TensorFlow, only readers of [whole files](Reader::whole_file) and of [names](Reader::identity) have a state. The others, which can
    /// stop within a file, fail with `Unimplemented` at run time. [`index_batch`](super::index_batch) provides input that a resumed run continues
    /// exactly.
    #[must_use]
    #[track_caller]
    pub fn serialize_state(&self) -> Output {
        self.op(&READER_SERIALIZE_STATE_V2).finish_output()
    }

    /// Restores the position of a reader. An empty string is the beginning. An invalid string is an `InvalidArgument` error, and a reader
    /// without a [state](Reader::serialize_state) fails with `Unimplemented`; both leave the reader unchanged (TensorFlow resets it).
    #[track_caller]
    pub fn restore_state(&self, state: impl AsOutput) -> Operation {
        self.op(&READER_RESTORE_STATE_V2).input(state).finish()
    }

    /// Closes the current file and sets the counts to 0.
    #[track_caller]
    pub fn reset(&self) -> Operation {
        self.op(&READER_RESET_V2).finish()
    }
}

impl AsOutput for Reader {
    fn as_output(&self) -> &Output {
        &self.handle
    }
}
