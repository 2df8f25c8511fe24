//! Readers.
//!
//! # Semantics
//!
//! - A reader is a resource of the session: `TFRecordReader`, `TextLineReader`, `WholeFileReader`,
//!   `FixedLengthRecordReader` or `IdentityReader` (`format.rs` describes their records). Two operations with
//!   one `shared_name` share it, if their formats are equal; otherwise the second is `InvalidArgument`.
//! - `ReaderRead` takes the reader and the handle of a queue of file names, and returns the key and value of
//!   the next record, two scalars. When a file ends, it dequeues the next name; the error of a closed, empty
//!   queue (`OutOfRange`) is its own.
//! - `ReaderReadUpTo` also takes `num_records` and returns vectors of at least one and at most that many
//!   records, all of one file.
//! - `ReaderNumRecordsProduced` and `ReaderNumWorkUnitsCompleted` return counts as `int64`. `ReaderReset`
//!   forgets the open file and the counts.
//! - `ReaderSerializeState` and `ReaderRestoreState` keep the position between files, in TensorFlow's
//!   message. Readers that stop within a file are `Unimplemented` here, as in TensorFlow.
//!
//! The op types with and without `V2` differ in the type of the handle only.
//!
//! **Waiting.** A read without a name does not block a thread: it returns a wait, and the step continues with
//! what does not depend on it. The lock of the reader is held while a file is read, never while a queue is
//! waited for. So several threads can read at once; a thread that gets a name while another file is still
//! open puts it into `waiting`, and no name is lost.

use super::Compression;
use super::format::{FixedLength, Format, Record, Work};
use crate::kernel::{Ability, Begin, Kernel, KernelContext, MakeKernel, NodeSpec, UNUSED, Wait, gives};
use crate::kernels::data_flow::{Coming, Feed, Next, run_to_end};
use crate::kernels::math::boxed;
use crate::kernels::state::resource_name;
use crate::registry::Registry;
use prost::Message;
use session_core::{Code, Error, FileAccess, Result};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tensor::{Bytes, Tensor};

/// Registers readers as handles and reads as waiting. Attributes that are invalid are reported when the plan
/// is compiled.
pub(super) fn register(registry: &mut Registry) {
    readers(registry, ["TFRecordReaderV2", "TFRecordReader"], |spec| {
        make(spec, Format::TfRecord(Compression::of(spec.str("compression_type")?)?))
    });
    readers(registry, ["TextLineReaderV2", "TextLineReader"], |spec| {
        let skip = spec.int("skip_header_lines")?;
        let skip = u64::try_from(skip)
            .map_err(|_| Error::invalid_argument(format!("skip_header_lines must be >= 0 but got {skip}")))?;
        make(spec, Format::TextLine { skip })
    });
    readers(registry, ["WholeFileReaderV2", "WholeFileReader"], |spec| make(spec, Format::WholeFile));
    readers(registry, ["FixedLengthRecordReaderV2", "FixedLengthRecordReader"], |spec| {
        make(spec, Format::FixedLength(FixedLength::of(spec)?))
    });
    for op_type in ["IdentityReaderV2", "IdentityReader"] {
        registry.add_handle(op_type, |spec| make(spec, Format::Identity));
    }
    registry
        .add_both(["ReaderReadV2", "ReaderRead"], |_| Ok(Box::new(Read { up_to: false })))
        .waits()
        .accesses_files();
    registry
        .add_both(["ReaderReadUpToV2", "ReaderReadUpTo"], |_| Ok(Box::new(Read { up_to: true })))
        .waits()
        .accesses_files();
    registry.add_both(["ReaderNumRecordsProducedV2", "ReaderNumRecordsProduced"], |_| {
        counted(|state| state.produced)
    });
    registry.add_both(["ReaderNumWorkUnitsCompletedV2", "ReaderNumWorkUnitsCompleted"], |_| {
        counted(|state| state.completed)
    });
    registry.add_both(["ReaderSerializeStateV2", "ReaderSerializeState"], |_| {
        Ok(boxed(|context| {
            let reader = reader(context)?;
            let state = reader.lock().position(&reader)?.encode_to_vec();
            context.set(0, Tensor::string(state));
            Ok(())
        }))
    });
    registry.add_both(["ReaderRestoreStateV2", "ReaderRestoreState"], |_| {
        Ok(boxed(|context| {
            let reader = reader(context)?;
            let given = context.input(1).as_strings()?.first().cloned().unwrap_or_default();
            let mut state = reader.lock();
            // For its error: a reader that cannot save its state cannot restore one either.
            state.position(&reader)?;
            *state = State::at(&given).ok_or_else(|| {
                let text = format!(
                    "could not parse the state of reader '{}': {}",
                    reader.name,
                    given.escape_ascii()
                );
                Error::invalid_argument(text)
            })?;
            Ok(())
        }))
    });
    registry.add_both(["ReaderResetV2", "ReaderReset"], |_| {
        Ok(boxed(|context| {
            *reader(context)?.lock() = State::default();
            Ok(())
        }))
    });
}

/// Adds the two versions of a reader of files.
///
/// An identity reader opens no file and is registered separately.
fn readers(registry: &mut Registry, op_types: [&'static str; 2], make: MakeKernel) {
    for op_type in op_types {
        registry.add_handle(op_type, make).accesses_files();
    }
}

/// A reader of a session.
///
/// It lives as long as the session or its container, not as long as one of the operations that use it.
struct Reader {
    /// The name, for messages.
    name: String,
    /// The format of the files. Fixed when the reader is created, and compared by the other operations that
    /// share it.
    format: Format,
    /// Guards what is read. Held while a file is read, not while the queue is waited for.
    state: Mutex<State>,
}

/// The guarded part of a reader.
#[derive(Default)]
struct State {
    /// The file that is being read; `None` between two files.
    work: Option<Work>,
    /// Names that were taken while another file was open, by threads that read at the same time. They are
    /// read in this order before another name is dequeued. A restored state begins with the interrupted file
    /// here.
    waiting: VecDeque<Bytes>,
    /// The number of records so far.
    produced: i64,
    /// The number of files that were read to their ends. An empty file counts as well.
    completed: i64,
    /// The file that was opened last. Empty before the first file. It is exported as a part of the position.
    current: Bytes,
}

/// The position of a reader, in TensorFlow's form (`ReaderBaseState`).
///
/// The tags are those of TensorFlow's message, so its sessions and these can restore each other's states.
#[derive(Clone, PartialEq, Message)]
struct Position {
    /// The number of files that were opened.
    #[prost(int64, tag = "1")]
    work_started: i64,
    /// The number of files that were read to their ends: equal, or one less while a file is open.
    #[prost(int64, tag = "2")]
    work_finished: i64,
    /// The number of records that were returned.
    #[prost(int64, tag = "3")]
    num_records_produced: i64,
    /// The name of the file that was opened last.
    #[prost(bytes = "vec", tag = "4")]
    current_work: Vec<u8>,
}

impl Reader {
    /// Locks the state.
    ///
    /// A panic while a file is read drops only the record in progress, so the state of a poisoned lock is
    /// usable.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the kernel that creates a reader.
///
/// The reader is created here, when the plan is compiled, or found by its name. Fails if it exists in another
/// format.
fn make(spec: &NodeSpec<'_>, format: Format) -> Result<Box<dyn Kernel>> {
    let container = spec.str("container").unwrap_or_default();
    let name = resource_name(spec);
    let make = || Reader { name: name.to_owned(), format: format.clone(), state: Mutex::default() };
    let handle = spec.resources.handle("reader", container, name, make);
    if handle.as_handle::<Reader>().is_none_or(|reader| reader.format != format) {
        let text = format!("shared reader '{name}' exists as another kind of reader");
        return Err(Error::invalid_argument(text));
    }
    Ok(gives(handle))
}

/// Returns the reader of input 0.
fn reader(context: &KernelContext<'_>) -> Result<Arc<Reader>> {
    context.shared_handle(0, "a reader")
}

/// Returns the kernel whose output is one number of the reader's state.
fn counted(count: fn(&State) -> i64) -> Result<Box<dyn Kernel>> {
    Ok(boxed(move |context| {
        let count = count(&reader(context)?.lock());
        context.set(0, Tensor::scalar(count));
        Ok(())
    }))
}

/// The kernel of `ReaderRead` and `ReaderReadUpTo`.
struct Read {
    /// True for several records at a time.
    up_to: bool,
}

impl Kernel for Read {
    fn run(&self, context: &mut KernelContext<'_>) -> Result<()> {
        run_to_end(self, context)
    }

    fn ability(&self) -> Ability<'_> {
        Ability::Begins(self)
    }
}

impl Begin for Read {
    /// Reads from the open file if it can, and otherwise asks the queue for the next name, without waiting
    /// for it.
    fn begin(&self, context: &mut KernelContext<'_>) -> Result<Option<Box<dyn Wait>>> {
        let limit = self.limit(context)?;
        let (reader, names) = (reader(context)?, Feed::of(context, 1)?);
        // An unused output has no slot; its keys need not be built.
        let with_keys = context.outputs[0] != UNUSED;
        loop {
            let records = reader.read(limit, with_keys, context.files())?;
            if !records.is_empty() {
                return self.deliver(context, records).map(|()| None);
            }
            match names.next()? {
                // The file may be empty, so the loop tries again.
                Next::Here(name) => reader.open(&name)?,
                Next::Later(name) => {
                    let read = Read { up_to: self.up_to };
                    return Ok(Some(Box::new(WaitsForName { read, reader, limit, with_keys, name })));
                }
            }
        }
    }
}

impl Read {
    /// Returns the maximum number of records.
    ///
    /// Fails with `InvalidArgument` if `num_records` is not positive.
    fn limit(&self, context: &KernelContext<'_>) -> Result<usize> {
        if !self.up_to {
            return Ok(1);
        }
        let count = context.int(2)?;
        let positive = usize::try_from(count).ok().filter(|&count| count > 0);
        positive.ok_or_else(|| Error::invalid_argument(format!("num_records must be positive, not {count}")))
    }

    /// Sets the outputs.
    ///
    /// `records` is not empty. One record gives two scalars, a read of several two vectors, even if there is
    /// only one.
    fn deliver(&self, context: &mut KernelContext<'_>, mut records: Vec<Record>) -> Result<()> {
        if !self.up_to {
            let (key, value) = records.pop().ok_or_else(|| Error::invalid_argument("no record was read"))?;
            context.set(0, Tensor::string(key));
            context.set(1, Tensor::string(value));
            return Ok(());
        }
        let (keys, values): (Vec<Bytes>, Vec<Bytes>) = records.into_iter().unzip();
        let count = keys.len();
        context.set(0, Tensor::from_strings(keys, [count])?);
        context.set(1, Tensor::from_strings(values, [count])?);
        Ok(())
    }
}

/// A read that waits for the name of a file.
struct WaitsForName {
    /// The kernel.
    read: Read,
    /// The reader.
    reader: Arc<Reader>,
    /// The maximum number of records. Taken from the input when the read began.
    limit: usize,
    /// True to return the keys of the records.
    with_keys: bool,
    /// The name of the next file, which comes from a queue.
    name: Coming,
}

impl Wait for WaitsForName {
    fn is_done(&self) -> bool {
        self.name.is_here()
    }

    /// Opens the file whose name arrived and reads it. If it is empty, the thread waits for the next name: a
    /// wait can finish only once.
    fn finish(&mut self, context: &mut KernelContext<'_>) -> Result<()> {
        let (name, names) = self.name.take()?;
        self.reader.open(&name)?;
        loop {
            let records = self.reader.read(self.limit, self.with_keys, context.files())?;
            if !records.is_empty() {
                return self.read.deliver(context, records);
            }
            // The file was empty.
            self.reader.open(&names.wait(context.limits)?)?;
        }
    }

    fn describe(&self) -> String {
        format!("reader '{}': {}", self.reader.name, self.name.describe())
    }
}

impl Reader {
    /// Reads the next records, at least one, and more as long as the file has them; none when the next name
    /// is needed.
    ///
    /// `limit` is at least 1. An error that comes after some records is kept for the next call.
    fn read(&self, limit: usize, with_keys: bool, files: &FileAccess) -> Result<Vec<Record>> {
        self.lock().read(&self.format, limit, with_keys, files)
    }

    /// Opens a file, which is read next.
    ///
    /// The name is appended to those that are waiting; the file itself is opened by the next read, under the
    /// same lock. Fails if the element is not a single string.
    fn open(&self, name: &Tensor) -> Result<()> {
        let [name] = name.as_strings().unwrap_or_default() else {
            let text = format!("a queue of file names holds {} of shape {}", name.dtype(), name.shape());
            return Err(Error::invalid_argument(text));
        };
        self.lock().waiting.push_back(name.clone());
        Ok(())
    }
}

impl State {
    /// Returns the position, for a reader that never stops within a file.
    ///
    /// Fails with `Unimplemented` for formats with several records in a file.
    fn position(&self, reader: &Reader) -> Result<Position> {
        if !matches!(reader.format, Format::WholeFile | Format::Identity) {
            let text = format!("the state of reader '{}' can be neither saved nor restored", reader.name);
            return Err(Error::new(Code::Unimplemented, text));
        }
        Ok(Position {
            work_started: self.completed + i64::from(self.work.is_some()),
            work_finished: self.completed,
            num_records_produced: self.produced,
            current_work: self.current.to_vec(),
        })
    }

    /// Returns the state of a reader at a position, if the bytes are a valid one.
    ///
    /// `None` for bytes that are not the message, and for negative counts. A file that had been opened but
    /// not finished is read again.
    fn at(bytes: &[u8]) -> Option<State> {
        let Position { work_started, work_finished, num_records_produced, current_work } =
            Position::decode(bytes).ok()?;
        if work_finished < 0 || num_records_produced < 0 {
            return None;
        }
        let current = Bytes::from(current_work);
        let waiting = (work_started > work_finished).then(|| current.clone()).into_iter().collect();
        Some(State { work: None, waiting, produced: num_records_produced, completed: work_finished, current })
    }

    /// Records of files whose names were taken already; none when the next name is needed.
    ///
    /// All records come from one file. Files that end without a record are passed over as long as names are
    /// waiting.
    fn read(
        &mut self,
        format: &Format,
        limit: usize,
        with_keys: bool,
        files: &FileAccess,
    ) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        while records.is_empty() {
            let work = match (&mut self.work, self.waiting.front()) {
                (Some(work), _) => work,
                (None, Some(name)) => {
                    // The name stays in front if the file cannot be opened, so the next read reports the same
                    // file.
                    let work = Work::open(format, name, files)?;
                    self.current = self.waiting.pop_front().unwrap_or_default();
                    self.work.insert(work)
                }
                (None, None) => return Ok(records),
            };
            let mut ended = false;
            while records.len() < limit && !ended {
                match work.next(with_keys) {
                    Ok(Some(record)) => {
                        records.push(record);
                        ended = work.is_done();
                    }
                    Ok(None) => ended = true,
                    // It comes again when what is before it has been given.
                    Err(_) if !records.is_empty() => break,
                    Err(error) => return Err(error),
                }
            }
            if ended {
                self.work = None;
                self.completed += 1;
            }
        }
        self.produced += i64::try_from(records.len()).unwrap_or(i64::MAX);
        Ok(records)
    }
}
