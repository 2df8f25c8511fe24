//! Putting partitioned tensors together, and cutting parts out of whole ones.

use super::entry::Entry;
use super::fetch;
use super::reader::{BundleReader, Record};
use super::slice::{self, TensorSlice};
use crate::{Error, Result};
use std::collections::HashSet;
use tensor::{Bytes, DType, Shape, Tensor};

/// Start and length along each dimension.
pub(crate) type Ranges = Vec<(usize, usize)>;

/// Returns the stored parts of a partitioned tensor: each slice with its own record and entry, or what is
/// wrong with that.
pub(super) fn parts<'r>(
    reader: &'r BundleReader,
    record: &Record,
    entry: &'r Entry,
) -> Vec<(&'r TensorSlice, Result<(&'r Record, &'r Entry)>)> {
    let find = |part: &TensorSlice| {
        let damaged = |what: String| Error::corrupt_tensor(&reader.prefix, record.name(), what);
        let key = slice::encode_key(&record.key, part);
        let stored =
            reader.find_key(&key).ok_or_else(|| damaged(format!("its slice {part} is not stored")))?;
        let stored_entry = reader.intact(stored)?;
        // The reader looks a slice up by a key that it computed itself, so an entry that is there but
        // different means that the two entries contradict each other. Reading on would mix two tensors.
        let same = stored_entry.dtype == entry.dtype
            && stored_entry.slices.is_empty()
            && part.shape_within(&entry.shape).as_ref() == Some(&stored_entry.shape);
        if same {
            Ok((stored, stored_entry))
        } else {
            Err(damaged(format!("its slice {part} is stored as something else")))
        }
    };
    entry.slices.iter().map(|part| (part, find(part))).collect()
}

/// Reads all of a partitioned tensor.
pub(super) fn whole(reader: &BundleReader, record: &Record, entry: &Entry) -> Result<Tensor> {
    slice(reader, record, entry, &TensorSlice::whole(entry.shape.rank()))
}

/// Checks that the slices of a partitioned tensor are complete and cover it, without reading their bytes.
pub(super) fn check(reader: &BundleReader, record: &Record, entry: &Entry) -> Result<()> {
    // Equal volumes do not prove a cover, since two slices may overlap and leave a hole. It is the check that
    // needs no bytes; `join` finds the rest when the tensor is read.
    let mut volume = 0usize;
    for (part, stored) in parts(reader, record, entry) {
        stored?;
        volume = volume.saturating_add(part.shape_within(&entry.shape).map_or(0, |shape| shape.elements()));
    }
    if volume == entry.shape.elements() { Ok(()) } else { Err(no_cover(reader, record, entry)) }
}

fn no_cover(reader: &BundleReader, record: &Record, entry: &Entry) -> Error {
    let what = format!("its slices do not fill its shape {} exactly", entry.shape);
    Error::corrupt_tensor(&reader.prefix, record.name(), what)
}

/// Reads the part `wanted` of a tensor that is stored whole or in parts.
pub(super) fn slice(
    reader: &BundleReader,
    record: &Record,
    entry: &Entry,
    wanted: &TensorSlice,
) -> Result<Tensor> {
    BundleReader::check_dtype(record, entry.dtype)?;
    let ranges = wanted.ranges_within(&entry.shape).ok_or_else(|| {
        Error::Invalid(format!("slice {wanted} of tensor {:?} of shape {}", record.name(), entry.shape))
    })?;
    let mut sources: Vec<(Ranges, &Record)> = Vec::new();
    // Without this branch, a tensor that is stored whole would be read and then copied once more by `join`.
    if entry.slices.is_empty() {
        if wanted.is_whole(&entry.shape) {
            return fetch::one(reader, record, entry);
        }
        sources.push((entry.shape.iter().map(|&dim| (0, dim)).collect(), record));
    } else {
        for (part, stored) in parts(reader, record, entry) {
            // Ranges were checked when the entry was decoded, so the default (rank 0) is not reached for a
            // part that exists.
            let place = part.ranges_within(&entry.shape).unwrap_or_default();
            // Only parts that are needed are unwrapped: damage to another part of the variable does not
            // matter here.
            if intersection(&place, &ranges).is_some() {
                sources.push((place, stored?.0));
            }
        }
    }
    // Computed before any memory is taken: a damaged index may claim slices that do not cover the request.
    let volume =
        sources.iter().filter_map(|(place, _)| intersection(place, &ranges)).map(|part| volume(&part));
    if volume.fold(0, usize::saturating_add) != volume_of(&ranges) {
        return Err(no_cover(reader, record, entry));
    }
    check_memory(reader, record, entry, &ranges, &sources)?;
    let records: Vec<&Record> = sources.iter().map(|(_, record)| *record).collect();
    let tensors = fetch::many(reader, &records)?;
    let placed: Vec<(Ranges, Tensor)> = sources.into_iter().map(|(place, _)| place).zip(tensors).collect();
    join(entry.dtype, &ranges, &placed).ok_or_else(|| no_cover(reader, record, entry))
}

/// Slices that all point to the same bytes could make a tensor of any size out of a small file.
fn check_memory(
    reader: &BundleReader,
    record: &Record,
    entry: &Entry,
    ranges: &Ranges,
    sources: &[(Ranges, &Record)],
) -> Result<()> {
    let mut places = HashSet::new();
    let mut stored = 0u64;
    for (_, source) in sources {
        let source = reader.intact(source)?;
        // Bytes that two slices claim count once. A slice without elements, which may share its neighbor's
        // offset, intersects nothing and is not among the sources.
        if places.insert((source.shard, source.offset)) {
            stored = stored.saturating_add(source.size);
        }
    }
    // Strings have no fixed size, but each takes at least the one byte of its length.
    let needed = volume_of(ranges).saturating_mul(entry.dtype.size().max(1));
    if needed as u64 <= stored { Ok(()) } else { Err(no_cover(reader, record, entry)) }
}

/// Returns what two boxes have in common.
pub(crate) fn intersection(a: &Ranges, b: &Ranges) -> Option<Ranges> {
    let overlap = |(&(a, a_len), &(b, b_len)): (&(usize, usize), &(usize, usize))| {
        let start = a.max(b);
        let end = (a + a_len).min(b + b_len);
        (start < end).then_some((start, end.saturating_sub(start)))
    };
    a.iter().zip(b).map(overlap).collect()
}

fn volume_of(ranges: &Ranges) -> usize {
    volume(ranges)
}

fn volume(ranges: &[(usize, usize)]) -> usize {
    ranges.iter().map(|range| range.1).product()
}

/// One array of elements that are copied in runs.
trait Elements {
    fn copy_run(&mut self, to: usize, from_tensor: &Tensor, from: usize, len: usize) -> Option<()>;
}

struct Plain {
    bytes: Vec<u8>,
    width: usize,
}

impl Elements for Plain {
    fn copy_run(&mut self, to: usize, from_tensor: &Tensor, from: usize, len: usize) -> Option<()> {
        let source = from_tensor.as_bytes().ok()?.get(from * self.width..(from + len) * self.width)?;
        self.bytes.get_mut(to * self.width..(to + len) * self.width)?.copy_from_slice(source);
        Some(())
    }
}

impl Elements for Vec<Bytes> {
    fn copy_run(&mut self, to: usize, from_tensor: &Tensor, from: usize, len: usize) -> Option<()> {
        let source = from_tensor.as_strings().ok()?.get(from..from + len)?;
        self.get_mut(to..to + len)?.clone_from_slice(source);
        Some(())
    }
}

/// Copies the parts to their places in the wanted ranges. `None` when an element is given twice or
/// never.
pub(crate) fn join(dtype: DType, wanted: &Ranges, parts: &[(Ranges, Tensor)]) -> Option<Tensor> {
    let shape: Shape = wanted.iter().map(|range| range.1).collect();
    let elements = shape.elements();
    let mut seen = Coverage::new(elements);
    if dtype == DType::String {
        let mut strings = vec![Bytes::new(); elements];
        copy_parts(&mut strings, wanted, parts, &mut seen)?;
        return seen.complete().then(|| Tensor::from_strings(strings, shape).ok())?;
    }
    // The caller has compared the size with that of the stored bytes (`check_memory`), so this allocation is
    // bounded by the file.
    let mut plain = Plain { bytes: vec![0; elements.checked_mul(dtype.size())?], width: dtype.size() };
    copy_parts(&mut plain, wanted, parts, &mut seen)?;
    seen.complete().then(|| Tensor::from_bytes(dtype, shape, plain.bytes).ok())?
}

fn copy_parts(
    into: &mut impl Elements,
    wanted: &Ranges,
    parts: &[(Ranges, Tensor)],
    seen: &mut Coverage,
) -> Option<()> {
    for (place, tensor) in parts {
        let Some(common) = intersection(place, wanted) else { continue };
        each_run(wanted, place, &common, |to, from, len| {
            seen.mark(to, len)?;
            into.copy_run(to, tensor, from, len)
        })?;
    }
    Some(())
}

/// Calls `run` with target position, source position and length of each stretch of elements that is
/// contiguous in both.
fn each_run(
    target: &Ranges,
    source: &Ranges,
    common: &Ranges,
    mut run: impl FnMut(usize, usize, usize) -> Option<()>,
) -> Option<()> {
    // A tensor of rank 0 has one element and no dimension to count along.
    let Some((&(_, run_len), outer)) = common.split_last() else { return run(0, 0, 1) };
    let mut position: Vec<usize> = common.iter().map(|range| range.0).collect();
    loop {
        run(flat(target, &position), flat(source, &position), run_len)?;
        // Count on through the outer dimensions, the last one fastest.
        let mut dim = outer.len();
        loop {
            if dim == 0 {
                return Some(());
            }
            dim -= 1;
            position[dim] += 1;
            if position[dim] < common[dim].0 + common[dim].1 {
                break;
            }
            position[dim] = common[dim].0;
        }
    }
}

/// Returns the row-major number of an element in the box that these ranges are.
fn flat(ranges: &Ranges, position: &[usize]) -> usize {
    ranges.iter().zip(position).fold(0, |flat, (&(start, len), &at)| flat * len + (at - start))
}

/// Tracks which elements have been written.
struct Coverage {
    words: Vec<u64>,
    marked: usize,
    elements: usize,
}

impl Coverage {
    fn new(elements: usize) -> Coverage {
        Coverage { words: vec![0; elements.div_ceil(64)], marked: 0, elements }
    }

    /// `None` if one of them was given before.
    fn mark(&mut self, start: usize, len: usize) -> Option<()> {
        let mut at = start;
        let end = start + len;
        while at < end {
            let (word, bit) = (at / 64, at % 64);
            let count = (64 - bit).min(end - at);
            let mask = (u64::MAX >> (64 - count)) << bit;
            let word = self.words.get_mut(word)?;
            // Which of two copies is right cannot be known, so neither is taken.
            if *word & mask != 0 {
                return None;
            }
            *word |= mask;
            at += count;
        }
        self.marked += len;
        Some(())
    }

    fn complete(&self) -> bool {
        self.marked == self.elements
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_go_to_their_places() {
        let left = Tensor::from([[1i32, 2], [5, 6]]);
        let right = Tensor::from([[3i32], [7]]);
        let parts = [(vec![(0, 2), (0, 2)], left), (vec![(0, 2), (2, 1)], right)];
        let whole = join(DType::Int32, &vec![(0, 2), (0, 3)], &parts).unwrap();
        assert_eq!(whole, Tensor::from([[1i32, 2, 3], [5, 6, 7]]));
        let corner = join(DType::Int32, &vec![(1, 1), (1, 2)], &parts).unwrap();
        assert_eq!(corner, Tensor::from([[6i32, 7]]));
        assert!(join(DType::Int32, &vec![(0, 2), (0, 4)], &parts).is_none(), "not covered");
        let twice = [parts[0].clone(), parts[0].clone()];
        assert!(join(DType::Int32, &vec![(0, 2), (0, 2)], &twice).is_none(), "given twice");
    }

    #[test]
    fn coverage_counts_bits_across_words() {
        let mut seen = Coverage::new(200);
        for (start, len) in [(60, 80), (0, 60), (140, 60)] {
            assert!(!seen.complete());
            seen.mark(start, len).unwrap();
        }
        assert!(seen.complete());
        assert!(seen.mark(130, 1).is_none());
    }
}
