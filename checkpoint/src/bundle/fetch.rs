//! Getting the bytes of plain tensors out of the data files.
//!
//! Tensors that lie side by side are read together into one piece of memory that they then share, so
//! that a scalar costs neither a system call nor its own allocation. Checksums are computed by the
//! thread that has just read the bytes, while they are in its cache.

use super::assemble;
use super::entry::Entry;
use super::reader::{BundleReader, Record};
use super::strings;
use crate::foreign;
use crate::parallel;
use crate::storage::ReadFile;
use crate::{Error, Problem, Result};
use std::collections::{HashMap, hash_map};
use std::ops::Range;
use std::sync::Mutex;
use std::sync::{Arc, PoisonError};
use tensor::{Bytes, DType, Slab, Tensor, TensorError};
use wire::crc::{self, Running};

/// Tensors below this size share memory with their neighbors.
const SMALL: u64 = 8 << 20;
/// Neighbors share at most this much, so that a single survivor does not keep a whole model alive.
const SPAN: u64 = 32 << 20;
/// Unclaimed bytes between two tensors that are read along rather than read around.
const GAP: u64 = 4096;
/// The amount of data in one thread's task.
const TASK: usize = 8 << 20;
/// The amount of data that is read before its checksum is computed. It fits the second-level cache of a core.
const STEP: usize = 256 << 10;
/// Below this, threads cost more than they bring.
const PARALLEL: u64 = 4 << 20;

/// The processing of the bytes.
#[derive(Clone, Copy)]
struct Mode {
    verify: bool,
    map: bool,
}

impl Mode {
    fn of(reader: &BundleReader) -> Mode {
        Mode { verify: reader.options.verify, map: reader.options.map }
    }
}

/// A tensor that was requested.
#[derive(Clone, Copy)]
struct Want<'a> {
    /// The place of the tensor among the results.
    slot: usize,
    record: &'a Record,
    entry: &'a Entry,
}

/// Tensors that are read into one piece of memory, in the order of their offsets.
struct Span<'a> {
    file: Arc<dyn ReadFile>,
    start: u64,
    end: u64,
    wants: Vec<Want<'a>>,
}

/// Reads one tensor that is stored whole.
pub(super) fn one(reader: &BundleReader, record: &Record, entry: &Entry) -> Result<Tensor> {
    one_with(reader, Mode::of(reader), record, entry)
}

fn one_with(reader: &BundleReader, mode: Mode, record: &Record, entry: &Entry) -> Result<Tensor> {
    let tensors = many_whole(reader, mode, vec![Want { slot: 0, record, entry }], 1)?;
    tensors.into_iter().flatten().next().ok_or_else(|| unread(reader, record))
}

/// Reads tensors in the order given.
pub(super) fn many(reader: &BundleReader, records: &[&Record]) -> Result<Vec<Tensor>> {
    let mut whole = Vec::with_capacity(records.len());
    let mut partitioned = Vec::new();
    for (slot, record) in records.iter().enumerate() {
        let entry = reader.intact(record)?;
        let want = Want { slot, record, entry };
        if entry.slices.is_empty() { whole.push(want) } else { partitioned.push(want) }
    }
    let mut tensors = many_whole(reader, Mode::of(reader), whole, records.len())?;
    for want in partitioned {
        tensors[want.slot] = Some(assemble::whole(reader, want.record, want.entry)?);
    }
    tensors
        .into_iter()
        .zip(records)
        .map(|(tensor, record)| tensor.ok_or_else(|| unread(reader, record)))
        .collect()
}

/// Creates the error for a slot that was not filled. Every request has a slot, and every slot is filled
/// unless an error was returned earlier; this keeps a bug in that reasoning from becoming a panic.
fn unread(reader: &BundleReader, record: &Record) -> Error {
    Error::corrupt_tensor(&reader.prefix, record.name(), "it was not read")
}

/// Reads tensors that are stored whole into their slots.
fn many_whole(
    reader: &BundleReader,
    mode: Mode,
    wants: Vec<Want<'_>>,
    slots: usize,
) -> Result<Vec<Option<Tensor>>> {
    let mut tensors = vec![None; slots];
    if mode.map
        && let Some(maps) = maps(reader, &wants)?
    {
        show(reader, mode, &wants, &maps, &mut tensors)?;
        return Ok(tensors);
    }
    let spans = spans(reader, wants)?;
    let slab = |span: &Span<'_>| {
        Slab::zeroed((span.end - span.start) as usize).map_err(|error| no_memory(reader, error))
    };
    // All memory is taken before the first byte is read: a checkpoint that is too large for this machine
    // fails at once and not after minutes of reading.
    let mut slabs = spans.iter().map(slab).collect::<Result<Vec<Slab>>>()?;
    let sums = read_spans(reader, mode, &spans, &mut slabs)?;
    for ((span, slab), sums) in spans.iter().zip(slabs).zip(&sums) {
        // Sums are compared before tensors are cut, so that no tensor of damaged bytes ever exists.
        for (want, sum) in span.wants.iter().zip(sums) {
            check_sum(reader, mode, want, sum.masked())?;
        }
        cut_tensors(reader, mode, span, slab, &mut tensors)?;
    }
    Ok(tensors)
}

/// Returns the error for a lack of memory, which does not mean that the file is damaged.
fn no_memory(reader: &BundleReader, error: TensorError) -> Error {
    Error::io("read", &reader.prefix)(std::io::Error::new(std::io::ErrorKind::OutOfMemory, error))
}

/// Makes the tensors of a span out of its bytes: those that can be used as they are stay where they are.
fn cut_tensors(
    reader: &BundleReader,
    mode: Mode,
    span: &Span<'_>,
    slab: Slab,
    tensors: &mut [Option<Tensor>],
) -> Result<()> {
    // Strings and big-endian elements are decoded into memory of their own; everything else can stay in the
    // slab.
    let as_stored = |want: &&Want<'_>| want.entry.dtype != DType::String && !reader.header.big_endian;
    // Alone in its span, a string tensor may keep the memory: it has no neighbor that would be held with it.
    if let [want] = span.wants.as_slice()
        && !as_stored(&want)
    {
        tensors[want.slot] = Some(tensor(reader, mode, want, Bytes::from_owner(slab))?);
        return Ok(());
    }
    for want in span.wants.iter().filter(|want| !as_stored(want)) {
        // Strings outlive each other in any order; they must not hold their neighbors' memory.
        let start = (want.entry.offset - span.start) as usize;
        let stored = Bytes::copy_from_slice(&slab.as_ref()[start..start + want.entry.size as usize]);
        tensors[want.slot] = Some(tensor(reader, mode, want, stored)?);
    }
    let plain = || span.wants.iter().filter(as_stored);
    for want in plain() {
        // The size bounded what was read, but `into_tensors` goes by the shape: if they differed, a tensor
        // would show the bytes of its neighbor.
        let expected =
            want.entry.shape.checked_elements().and_then(|n| n.checked_mul(want.entry.dtype.size()));
        if expected.map(|expected| expected as u64) != Some(want.entry.size) {
            let what = format!(
                "{} bytes are not a {} of shape {}",
                want.entry.size, want.entry.dtype, want.entry.shape
            );
            return Err(damaged(reader, want, what));
        }
    }
    let part = |want: &Want<'_>| {
        (want.entry.dtype, want.entry.shape.clone(), (want.entry.offset - span.start) as usize)
    };
    for (want, made) in plain().zip(slab.into_tensors(plain().map(part))) {
        tensors[want.slot] = Some(made.map_err(|error| match error.is_out_of_memory() {
            true => no_memory(reader, error),
            false => damaged(reader, want, error.to_string()),
        })?);
    }
    Ok(())
}

/// Groups tensors into spans, and checks that each lies inside its file before anything is allocated.
fn spans<'a>(reader: &BundleReader, mut wants: Vec<Want<'a>>) -> Result<Vec<Span<'a>>> {
    let place = |want: &Want<'_>| (want.entry.shard, want.entry.offset);
    // Savers write tensors in the order of names, and readers request them so: usually there is nothing to
    // sort.
    if !wants.is_sorted_by_key(place) {
        wants.sort_unstable_by_key(place);
    }
    let mut spans: Vec<Span<'a>> = Vec::new();
    let mut open: Option<(u32, Arc<dyn ReadFile>, u64)> = None;
    for want in wants {
        BundleReader::check_dtype(want.record, want.entry.dtype)?;
        // The length of a file costs a system call. Neighbors share one, since wants are in the order of
        // files.
        let (shard, file, len) = match open.take() {
            Some(open) if open.0 == want.entry.shard => open,
            _ => {
                let file = reader.shard(want.entry.shard)?;
                let len = file.len().map_err(Error::io("open", &reader.data_path(want.entry.shard)))?;
                (want.entry.shard, file, len)
            }
        };
        let end = checked_end(reader, &want, len)?;
        match spans.last_mut() {
            Some(span) if fits(span, &want, end, &file) => {
                span.end = span.end.max(end);
                span.wants.push(want);
            }
            _ => {
                spans.push(Span { file: Arc::clone(&file), start: want.entry.offset, end, wants: vec![want] })
            }
        }
        open = Some((shard, file, len));
    }
    Ok(spans)
}

fn fits(span: &Span<'_>, want: &Want<'_>, end: u64, file: &Arc<dyn ReadFile>) -> bool {
    Arc::ptr_eq(&span.file, file)
        // A large tensor gets a span to itself, so that it is cut into tasks anywhere and its owner alone
        // holds the memory.
        && want.entry.size < SMALL
        && span.wants.last().is_some_and(|last| last.entry.size < SMALL)
        && want.entry.offset <= span.end.saturating_add(GAP)
        && end - span.start <= SPAN
}

fn checked_end(reader: &BundleReader, want: &Want<'_>, file_len: u64) -> Result<u64> {
    let end = want.entry.offset.checked_add(want.entry.size).filter(|&end| end <= file_len);
    end.ok_or_else(|| {
        let Entry { offset, size, shard, .. } = *want.entry;
        let what = format!("its {size} bytes at {offset} lie outside the file's {file_len}");
        let path = reader.data_path(shard);
        let error = Error::corrupt_tensor(&path, want.record.name(), what);
        // A file that is too short is often no data file at all: a pointer file of git LFS, or an error page.
        // Then that is said.
        match reader.shard(shard) {
            Ok(file) => foreign::explained(file.as_ref(), &path, error),
            Err(_) => error,
        }
    })
}

/// The checksum of one tensor, in one piece or in several that are joined at the end.
#[derive(Clone)]
enum Sum {
    /// The caller does not need it.
    Unknown,
    Whole(u32),
    /// Length and checksum of consecutive pieces.
    Pieces(Vec<(u64, u32)>),
}

impl Sum {
    fn masked(&self) -> Option<u32> {
        match self {
            Sum::Unknown => None,
            Sum::Whole(crc) => Some(crc::mask(*crc)),
            Sum::Pieces(pieces) => {
                let joined = |(_, sum), (len, crc)| (len, crc::combine(sum, crc, len));
                pieces.iter().copied().reduce(joined).map(|(_, sum)| crc::mask(sum))
            }
        }
    }
}

/// A part of a span that one thread reads.
struct Task<'s, 'm> {
    span: &'s Span<'s>,
    span_index: usize,
    /// The wants that lie completely in the part; with `piece`, the one want that the part is a piece of.
    wants: Range<usize>,
    piece: Option<usize>,
    /// The offset in the file.
    offset: u64,
    memory: &'m mut [u8],
}

/// Fills the slabs and returns the checksums of each span's tensors, in their order.
fn read_spans(
    reader: &BundleReader,
    mode: Mode,
    spans: &[Span<'_>],
    slabs: &mut [Slab],
) -> Result<Vec<Vec<Sum>>> {
    let total: u64 = spans.iter().map(|span| span.end - span.start).sum();
    // Counted over all spans: a thousand small tensors are worth threads as much as one large one.
    let threads = if total < PARALLEL { 1 } else { parallel::threads(reader.options.threads) };
    let mut tasks = Vec::new();
    for (span_index, (span, slab)) in spans.iter().zip(slabs).enumerate() {
        cut(span, span_index, slab.as_mut(), &mut tasks);
    }
    // Sums are collected instead of compared in the tasks, because the pieces of a large tensor finish in any
    // order.
    let sums: Vec<Vec<Sum>> = spans.iter().map(|span| vec![Sum::Unknown; span.wants.len()]).collect();
    // Guards the sums; taken once per task, and nothing is called under it.
    let sums = Mutex::new(sums);
    parallel::for_each(threads, tasks, |task| {
        let (span_index, wants, piece) = (task.span_index, task.wants.clone(), task.piece);
        let found = read_task(reader, task, mode.verify)?;
        let mut sums = sums.lock().unwrap_or_else(PoisonError::into_inner);
        let sums = &mut sums[span_index];
        match (piece, found.as_slice()) {
            (Some(index), &[crc]) => add_piece(&mut sums[wants.start], index, crc),
            _ => wants.zip(found).for_each(|(want, crc)| sums[want] = Sum::Whole(crc)),
        }
        Ok::<(), Error>(())
    })?;
    let mut sums = sums.into_inner().unwrap_or_else(PoisonError::into_inner);
    for (span, sums) in spans.iter().zip(&mut sums) {
        // Only a span of one tensor is cut into pieces (see `cut`), so the pattern with one sum loses none.
        if let (Some(want), [Sum::Pieces(pieces)]) = (span.wants.first(), sums.as_mut_slice()) {
            set_lengths(pieces, want.entry.size);
        }
    }
    Ok(sums)
}

fn add_piece(sum: &mut Sum, index: usize, crc: u32) {
    if !matches!(sum, Sum::Pieces(_)) {
        *sum = Sum::Pieces(Vec::new());
    }
    if let Sum::Pieces(pieces) = sum {
        // Pieces arrive in any order; a placeholder is overwritten by its own task, because each index has
        // exactly one.
        if pieces.len() <= index {
            pieces.resize(index + 1, (0, 0));
        }
        pieces[index].1 = crc;
    }
}

/// All pieces but the last have the length of a task.
fn set_lengths(pieces: &mut [(u64, u32)], mut size: u64) {
    for piece in pieces {
        piece.0 = size.min(TASK as u64);
        size -= piece.0;
    }
}

/// Cuts a span into tasks: between tensors where it holds several, anywhere where it holds one.
fn cut<'s, 'm>(span: &'s Span<'s>, span_index: usize, memory: &'m mut [u8], tasks: &mut Vec<Task<'s, 'm>>) {
    if span.wants.len() == 1 {
        let chunks = memory.chunks_mut(TASK).enumerate();
        tasks.extend(chunks.map(|(index, memory)| Task {
            span,
            span_index,
            wants: 0..1,
            piece: Some(index),
            offset: span.start + (index * TASK) as u64,
            memory,
        }));
        return;
    }
    let mut rest = memory;
    let (mut first, mut start, mut end) = (0, span.start, span.start);
    for (i, want) in span.wants.iter().enumerate() {
        // Only if no earlier tensor extends beyond this place: damaged files may claim overlapping ones.
        if want.entry.offset >= end && (want.entry.offset - start) as usize >= TASK {
            let (head, tail) = rest.split_at_mut((want.entry.offset - start) as usize);
            tasks.push(Task { span, span_index, wants: first..i, piece: None, offset: start, memory: head });
            (rest, first, start) = (tail, i, want.entry.offset);
        }
        end = end.max(want.entry.offset + want.entry.size);
    }
    let wants = first..span.wants.len();
    tasks.push(Task { span, span_index, wants, piece: None, offset: start, memory: rest });
}

/// Reads a task's bytes and returns the checksums of its numeric tensors (strings are summed when they
/// are decoded; 0 stands for them), none if they are not requested.
fn read_task(reader: &BundleReader, task: Task<'_, '_>, verify: bool) -> Result<Vec<u32>> {
    let Task { span, wants, piece, offset, memory, .. } = task;
    let wants = &span.wants[wants];
    let failed = |error| {
        let shard = wants.first().map_or(0, |want| want.entry.shard);
        Error::io("read", &reader.data_path(shard))(error)
    };
    if piece.is_some() {
        // Reading all and summing afterwards would fetch a large piece from memory twice.
        let mut sum = Running::new();
        for (i, step) in memory.chunks_mut(STEP).enumerate() {
            span.file.read_exact_at(step, offset + (i * STEP) as u64).map_err(failed)?;
            if verify {
                sum.update(step);
            }
        }
        return Ok(if verify { vec![sum.finish()] } else { Vec::new() });
    }
    let mut filled = 0;
    let mut sums = Vec::with_capacity(if verify { wants.len() } else { 0 });
    for want in wants {
        let start = (want.entry.offset - offset) as usize;
        let end = start + want.entry.size as usize;
        // Steps are counted from the start of the task and may reach into the next tensor, whose bytes are
        // then there already.
        while filled < end {
            let step = STEP.min(memory.len() - filled);
            let into = &mut memory[filled..filled + step];
            span.file.read_exact_at(into, offset + filled as u64).map_err(failed)?;
            filled += step;
        }
        if verify {
            let is_string = want.entry.dtype == DType::String;
            sums.push(if is_string { 0 } else { crc::crc32c(&memory[start..end]) });
        }
    }
    Ok(sums)
}

fn check_sum(reader: &BundleReader, mode: Mode, want: &Want<'_>, masked: Option<u32>) -> Result<()> {
    // An empty tensor has no task and so no sum; that of no bytes is known.
    let found = if want.entry.size == 0 { Some(crc::mask(0)) } else { masked };
    let checked = mode.verify && want.entry.dtype != DType::String;
    if checked && found != Some(want.entry.crc) {
        let path = reader.data_path(want.entry.shard);
        return Err(Error::corrupt_tensor(path, want.record.name(), "its checksum is wrong"));
    }
    Ok(())
}

fn damaged(reader: &BundleReader, want: &Want<'_>, what: String) -> Error {
    Error::corrupt_tensor(reader.data_path(want.entry.shard), want.record.name(), what)
}

/// Makes the tensor from its stored bytes.
fn tensor(reader: &BundleReader, mode: Mode, want: &Want<'_>, stored: Bytes) -> Result<Tensor> {
    let entry = want.entry;
    let damaged = |what| damaged(reader, want, what);
    if entry.dtype == DType::String {
        let crc = mode.verify.then_some(entry.crc);
        let strings = strings::decode(&stored, entry.shape.elements(), reader.header.big_endian, crc)
            .map_err(damaged)?;
        return Tensor::from_strings(strings, &entry.shape).map_err(|error| damaged(error.to_string()));
    }
    let tensor = if reader.header.big_endian {
        Tensor::from_bytes(entry.dtype, &entry.shape, swapped(entry.dtype, &stored))
    } else {
        Tensor::from_bytes(entry.dtype, &entry.shape, stored)
    };
    tensor.map_err(|error| damaged(error.to_string()))
}

/// Returns the elements of a big-endian file in the order of this machine.
fn swapped(dtype: DType, stored: &[u8]) -> Vec<u8> {
    let width = if dtype.is_complex() { dtype.size() / 2 } else { dtype.size() };
    let mut bytes = stored.to_vec();
    // A complex number is two floats, each swapped for itself: swapping all of it would exchange real and
    // imaginary part.
    bytes.chunks_exact_mut(width).for_each(<[u8]>::reverse);
    bytes
}

/// Maps the files that are needed; `None` when the storage has no maps.
fn maps(reader: &BundleReader, wants: &[Want<'_>]) -> Result<Option<HashMap<u32, Bytes>>> {
    let mut maps = HashMap::new();
    for want in wants {
        let shard = want.entry.shard;
        if let hash_map::Entry::Vacant(place) = maps.entry(shard) {
            match reader.shard(shard)?.map() {
                Ok(map) => place.insert(map),
                // Only a storage that has no maps at all is read instead. Any other failure is reported,
                // because the caller asked for maps in order not to need the memory.
                Err(error) if error.kind() == std::io::ErrorKind::Unsupported => return Ok(None),
                Err(error) => return Err(Error::io("map", &reader.data_path(shard))(error)),
            };
        }
    }
    Ok(Some(maps))
}

/// Makes tensors that show mapped files.
fn show(
    reader: &BundleReader,
    mode: Mode,
    wants: &[Want<'_>],
    maps: &HashMap<u32, Bytes>,
    tensors: &mut [Option<Tensor>],
) -> Result<()> {
    let slices = wants.iter().map(|want| {
        BundleReader::check_dtype(want.record, want.entry.dtype)?;
        let map = &maps[&want.entry.shard];
        let end = checked_end(reader, want, map.len() as u64)?;
        Ok((*want, map.slice(want.entry.offset as usize..end as usize)))
    });
    let slices = slices.collect::<Result<Vec<_>>>()?;
    // All sums before the first tensor, as in `many_whole`. This reads every mapped page: a caller that maps
    // in order to read little turns verification off.
    if mode.verify {
        sum_maps(reader, mode, &slices)?;
    }
    for (want, stored) in slices {
        tensors[want.slot] = Some(tensor(reader, mode, &want, stored)?);
    }
    Ok(())
}

/// Compares the checksums of mapped tensors.
fn sum_maps(reader: &BundleReader, mode: Mode, slices: &[(Want<'_>, Bytes)]) -> Result<()> {
    let total: u64 = slices.iter().map(|(want, _)| want.entry.size).sum();
    let threads = if total < PARALLEL { 1 } else { parallel::threads(reader.options.threads) };
    let sums = Mutex::new(vec![Sum::Unknown; slices.len()]);
    let locked = || sums.lock().unwrap_or_else(PoisonError::into_inner);
    parallel::for_each(threads, sum_tasks(slices), |task| {
        match task {
            SumTask::Small(range) => {
                let found: Vec<u32> =
                    slices[range.clone()].iter().map(|(_, bytes)| crc::crc32c(bytes)).collect();
                let mut sums = locked();
                range.zip(found).for_each(|(i, crc)| sums[i] = Sum::Whole(crc));
            }
            SumTask::Piece(i, piece, bytes) => {
                let crc = crc::crc32c(bytes);
                add_piece(&mut locked()[i], piece, crc);
            }
        }
        Ok::<(), Error>(())
    })?;
    let sums = sums.into_inner().unwrap_or_else(PoisonError::into_inner);
    for ((want, _), mut sum) in slices.iter().zip(sums) {
        if let Sum::Pieces(pieces) = &mut sum {
            set_lengths(pieces, want.entry.size);
        }
        check_sum(reader, mode, want, sum.masked())?;
    }
    Ok(())
}

/// The checksum task of one thread: several small tensors, or a piece of a large one.
enum SumTask<'s> {
    Small(Range<usize>),
    Piece(usize, usize, &'s [u8]),
}

fn sum_tasks<'s>(slices: &'s [(Want<'_>, Bytes)]) -> Vec<SumTask<'s>> {
    let mut tasks = Vec::new();
    let (mut first, mut bytes) = (0, 0);
    for (i, (_, slice)) in slices.iter().enumerate() {
        let large = slice.len() > TASK;
        if first < i && (large || bytes + slice.len() > TASK) {
            tasks.push(SumTask::Small(first..i));
            (first, bytes) = (i, 0);
        }
        bytes += slice.len();
        if large {
            tasks
                .extend(slice.chunks(TASK).enumerate().map(|(piece, chunk)| SumTask::Piece(i, piece, chunk)));
            (first, bytes) = (i + 1, 0);
        }
    }
    if first < slices.len() {
        tasks.push(SumTask::Small(first..slices.len()));
    }
    tasks
}

/// Compares the checksum of everything that is stored, in pieces of bounded size.
pub(super) fn verify(reader: &BundleReader, problems: &mut Vec<Problem>) {
    let mode = Mode { verify: true, map: false };
    let mut small = Vec::new();
    for record in &reader.records {
        let Ok(entry) = &record.entry else { continue };
        if !entry.slices.is_empty() {
            continue;
        }
        let want = Want { slot: 0, record, entry };
        // Strings of any size go with the small ones: their checksum needs the decoded lengths, which a
        // stream does not have.
        if entry.dtype == DType::String || entry.size < SMALL {
            small.push(want);
        } else if let Err(error) = stream(reader, mode, &want) {
            problems.push(Problem { name: Some(record.name().into_owned()), error });
        }
    }
    // One pass over each file from its beginning to its end, which is what disks and read-ahead like.
    small.sort_unstable_by_key(|want| (want.entry.shard, want.entry.offset));
    for group in groups(&small) {
        // All wants have slot 0, so each tensor replaces the one before: at most a group is in memory.
        if many_whole(reader, mode, group.to_vec(), 1).is_ok() {
            continue;
        }
        // Something in the group is damaged: find out what, one by one.
        for want in group {
            if let Err(error) = one_with(reader, mode, want.record, want.entry) {
                problems.push(Problem { name: Some(want.record.name().into_owned()), error });
            }
        }
    }
}

/// Neighbors whose sizes sum up to about a span.
fn groups<'w, 'a>(wants: &'w [Want<'a>]) -> impl Iterator<Item = &'w [Want<'a>]> {
    let mut rest = wants;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let count = rest.iter().take_while(|want| {
            bytes += want.entry.size;
            bytes <= SPAN
        });
        // A tensor above the limit makes a group of its own; without `max(1)` it would never be taken.
        let count = count.count().max(1).min(rest.len());
        let (group, tail) = rest.split_at(count);
        rest = tail;
        (!group.is_empty()).then_some(group)
    })
}

/// Sums a large tensor without keeping it.
fn stream(reader: &BundleReader, mode: Mode, want: &Want<'_>) -> Result<()> {
    BundleReader::check_dtype(want.record, want.entry.dtype)?;
    let path = reader.data_path(want.entry.shard);
    let file = reader.shard(want.entry.shard)?;
    let mut position = want.entry.offset;
    let end = checked_end(reader, want, file.len().map_err(Error::io("open", &path))?)?;
    let mut sum = Running::new();
    let mut scratch = vec![0; STEP];
    while position < end {
        let step = &mut scratch[..(end - position).min(STEP as u64) as usize];
        file.read_exact_at(step, position).map_err(Error::io("read", &path))?;
        sum.update(step);
        position += step.len() as u64;
    }
    check_sum(reader, mode, want, Some(sum.masked()))
}
