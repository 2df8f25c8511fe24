//! The index file's container: an immutable table of sorted keys, written as LevelDB writes it.
//!
//! ```text
//! [data block][trailer] ... [metaindex block][trailer] [index block][trailer] [footer, 48 bytes]
//! ```
//! A trailer is the compression type and a masked checksum over block and type. The index block names
//! the data blocks; the footer, found from the end of the file, names the index block.

use std::borrow::Cow;
use wire::crc;
use wire::message::{put_varint, take, take_varint32, take_varint64};

const MAGIC: u64 = 0xdb47_7524_8b80_fb57;
/// The size of the footer at the end of a file, in bytes.
pub(crate) const FOOTER: usize = 48;
// The compression type and a checksum of four bytes.
const TRAILER: usize = 5;
/// TensorFlow's block size; LevelDB's own default is 4,096.
const BLOCK_SIZE: usize = 256 << 10;
/// A data block restarts its prefix compression at every sixteenth key: LevelDB's default, which TensorFlow keeps.
/// A reader accepts any interval; this one makes files equal to TensorFlow's.
const RESTART_INTERVAL: usize = 16;
const UNCOMPRESSED: u8 = 0;
const SNAPPY: u8 = 1;

/// The defect of a table, for an error that names the file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TableError {
    Damaged(String),
    #[cfg_attr(feature = "snappy", expect(dead_code, reason = "only compressed blocks can be unsupported"))]
    Unsupported(String),
}

fn damaged<T>(what: impl Into<String>) -> Result<T, TableError> {
    Err(TableError::Damaged(what.into()))
}

/// Calls `visit` with each key and value in order.
pub(crate) fn read<E: From<TableError>>(
    file: &[u8],
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut last = Vec::new();
    let mut first = true;
    for handle in data_blocks(file)? {
        visit_block(file, handle, |key, value| {
            // Binary searches over the records rely on the order. Equal keys are refused as well: one of the
            // two would never be found.
            if !first && key <= last.as_slice() {
                return Err(TableError::Damaged("keys are not in increasing order".into()).into());
            }
            first = false;
            last.clear();
            last.extend_from_slice(key);
            visit(key, value)
        })?;
    }
    Ok(())
}

/// Calls `visit` with each key and value of one block.
pub(crate) fn visit_block<E: From<TableError>>(
    file: &[u8],
    handle: Handle,
    visit: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    each_entry(&stored_block(file, handle)?, visit)
}

/// The place of a block in the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Handle {
    offset: u64,
    size: u64,
}

fn take_handle(bytes: &mut &[u8]) -> Option<Handle> {
    Some(Handle { offset: take_varint64(bytes)?, size: take_varint64(bytes)? })
}

/// Returns true if the end of a file is that of a table.
pub(crate) fn is_footer(end: &[u8]) -> bool {
    end.len() >= FOOTER && end.ends_with(&MAGIC.to_le_bytes())
}

/// Returns the handles of the data blocks, from the index block.
pub(crate) fn data_blocks(file: &[u8]) -> Result<Vec<Handle>, TableError> {
    let Some(start) = file.len().checked_sub(FOOTER) else {
        return damaged(format!("{} bytes are too few for an index", file.len()));
    };
    if !is_footer(file) {
        return damaged("the magic number at its end is wrong");
    }
    // The padding between the handles and the magic number is ignored, as TensorFlow's reader does.
    let mut handles = &file[start..file.len() - 8];
    let metaindex = take_handle(&mut handles);
    let (Some(metaindex), Some(index)) = (metaindex, take_handle(&mut handles)) else {
        return damaged("the footer cannot be parsed");
    };
    // The metaindex is always empty. It is read so that damage in it does not go unnoticed.
    each_entry::<TableError>(&stored_block(file, metaindex)?, |_, _| Ok(()))?;
    let mut blocks = Vec::new();
    each_entry(&stored_block(file, index)?, |_, mut value| match take_handle(&mut value) {
        Some(handle) => {
            blocks.push(handle);
            Ok(())
        }
        None => damaged("a block handle cannot be parsed"),
    })?;
    // Blocks lie side by side. Without this a small file could name one large block a million times.
    let total = blocks.iter().fold(0u64, |total, block| total.saturating_add(block.size));
    if total > file.len() as u64 {
        return damaged("its blocks overlap");
    }
    Ok(blocks)
}

/// Returns a block's content, after its checksum was checked.
fn stored_block(file: &[u8], handle: Handle) -> Result<Cow<'_, [u8]>, TableError> {
    let range = usize::try_from(handle.offset).ok().zip(usize::try_from(handle.size).ok());
    let stored = range
        .and_then(|(offset, size)| Some(offset..offset.checked_add(size)?.checked_add(TRAILER)?))
        .and_then(|range| file.get(range));
    let Some(stored) = stored else {
        return damaged(format!(
            "a block at {} of {} bytes lies outside the file",
            handle.offset, handle.size
        ));
    };
    // The checksum covers the compression type, so that a flipped bit there is not taken for a compressed
    // block.
    let (covered, checksum) = stored.split_at(stored.len() - 4);
    if crc::masked(covered).to_le_bytes() != checksum {
        return damaged(format!("the checksum of the block at {} is wrong", handle.offset));
    }
    let (content, kind) = covered.split_at(covered.len() - 1);
    match kind[0] {
        UNCOMPRESSED => Ok(Cow::Borrowed(content)),
        SNAPPY => decompress(content).map(Cow::Owned),
        other => damaged(format!("the block at {} has unknown compression {other}", handle.offset)),
    }
}

#[cfg(feature = "snappy")]
fn decompress(content: &[u8]) -> Result<Vec<u8>, TableError> {
    /// Snappy cannot shrink data further than to about a 21st (a copy of 64 bytes takes 3), so a longer
    /// claim is a lie and not worth an allocation.
    const MAX_RATIO: usize = 32;
    let len = snap::raw::decompress_len(content);
    if len.is_ok_and(|len| len > content.len().saturating_mul(MAX_RATIO)) {
        return damaged("a compressed block claims an impossible length");
    }
    snap::raw::Decoder::new()
        .decompress_vec(content)
        .map_err(|error| TableError::Damaged(format!("a block cannot be decompressed: {error}")))
}

#[cfg(not(feature = "snappy"))]
fn decompress(_: &[u8]) -> Result<Vec<u8>, TableError> {
    Err(TableError::Unsupported("its blocks are compressed, which needs the feature `snappy`".into()))
}

/// Calls `visit` with each entry of a block.
fn each_entry<E: From<TableError>>(
    block: &[u8],
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut entries = without_restarts(block)?;
    let mut key = Vec::new();
    while !entries.is_empty() {
        let Some((shared, unshared, value)) = take_entry(&mut entries) else {
            return Err(TableError::Damaged("an entry of a block cannot be parsed".into()).into());
        };
        if shared > key.len() {
            return Err(TableError::Damaged("an entry shares more than the previous key has".into()).into());
        }
        key.truncate(shared);
        key.extend_from_slice(unshared);
        visit(&key, value)?;
    }
    Ok(())
}

/// Returns the entries of a block. The restart points after them serve binary search only; they are checked for
/// presence and not used.
fn without_restarts(block: &[u8]) -> Result<&[u8], TableError> {
    let (rest, count) = match block.split_last_chunk::<4>() {
        Some((rest, count)) => (rest, u32::from_le_bytes(*count)),
        None => return damaged("a block is too short"),
    };
    let end = usize::try_from(count).ok().and_then(|n| rest.len().checked_sub(n.checked_mul(4)?));
    end.map(|end| &rest[..end]).ok_or_else(|| TableError::Damaged("a block's restarts do not fit it".into()))
}

#[inline]
fn take_entry<'a>(entries: &mut &'a [u8]) -> Option<(usize, &'a [u8], &'a [u8])> {
    let shared = take_varint32(entries)? as usize;
    let unshared = take_varint32(entries)? as usize;
    let value = take_varint32(entries)? as usize;
    Some((shared, take(entries, unshared)?, take(entries, value)?))
}

/// Builds a table in memory from keys in increasing order.
pub(crate) struct TableBuilder {
    file: Vec<u8>,
    data: BlockBuilder,
    index: BlockBuilder,
    /// The last data block that was closed: its handle waits for the next block's first key, so that
    /// the index can hold a short separator.
    closed: Option<(Vec<u8>, Handle)>,
}

impl TableBuilder {
    /// Creates an empty table that will have about `capacity` bytes.
    pub(crate) fn new(capacity: usize) -> TableBuilder {
        TableBuilder {
            file: Vec::with_capacity(capacity),
            data: BlockBuilder::new(RESTART_INTERVAL),
            index: BlockBuilder::new(1),
            closed: None,
        }
    }

    pub(crate) fn add(&mut self, key: &[u8], value: &[u8]) {
        // TensorFlow finds keys by binary search; out of order, a key would be in the file and not be found.
        debug_assert!(self.data.is_empty() || self.data.last_key.as_slice() < key);
        // TensorFlow's own rule, together with the one below. Other cuts are as valid, but files would differ
        // from TensorFlow's.
        if !self.data.is_empty() && key.len() + value.len() >= 2 * BLOCK_SIZE {
            self.close_block();
        }
        if let Some((last, handle)) = self.closed.take() {
            self.index.add(separator(&last, key), &encoded(handle));
        }
        self.data.add(key, value);
        if self.data.size() >= BLOCK_SIZE {
            self.close_block();
        }
    }

    fn close_block(&mut self) {
        // `finish_into` clears the key, and the separator needs it when the next block's first key is known.
        let last = std::mem::take(&mut self.data.last_key);
        let handle = append_block(&mut self.file, &mut self.data);
        self.closed = Some((last, handle));
    }

    /// Returns the finished file.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        if !self.data.is_empty() {
            self.close_block();
        }
        // Always empty in a bundle. The footer has a place for its handle, so the block is written as
        // TensorFlow writes it.
        let metaindex = append_block(&mut self.file, &mut BlockBuilder::new(RESTART_INTERVAL));
        if let Some((last, handle)) = self.closed.take() {
            self.index.add(successor(&last), &encoded(handle));
        }
        let index = append_block(&mut self.file, &mut self.index);
        let footer = self.file.len();
        self.file.extend_from_slice(&encoded(metaindex));
        self.file.extend_from_slice(&encoded(index));
        // A footer has a fixed size, by which it is found from the end of the file.
        self.file.resize(footer + FOOTER - 8, 0);
        self.file.extend_from_slice(&MAGIC.to_le_bytes());
        self.file
    }
}

fn encoded(handle: Handle) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(20);
    put_varint(&mut bytes, handle.offset);
    put_varint(&mut bytes, handle.size);
    bytes
}

fn append_block(file: &mut Vec<u8>, block: &mut BlockBuilder) -> Handle {
    let start = file.len();
    block.finish_into(file);
    let size = file.len() - start;
    file.push(UNCOMPRESSED);
    let checksum = crc::masked(&file[start..]);
    file.extend_from_slice(&checksum.to_le_bytes());
    Handle { offset: start as u64, size: size as u64 }
}

/// Some short key that is >= `last` and < `next`.
fn separator<'a>(last: &'a [u8], next: &[u8]) -> Cow<'a, [u8]> {
    let shared = common_prefix(last, next);
    match (last.get(shared), next.get(shared)) {
        // `a + 1 == b` would give a key that is not below `next` if `next` ends there. LevelDB gives up in
        // this case, and so do we.
        (Some(&a), Some(&b)) if a != 0xff && a + 1 < b => {
            let mut short = last[..=shared].to_vec();
            short[shared] = a + 1;
            Cow::Owned(short)
        }
        _ => Cow::Borrowed(last),
    }
}

/// Some short key that is >= `last`.
fn successor(last: &[u8]) -> Cow<'_, [u8]> {
    match last.iter().position(|&byte| byte != 0xff) {
        Some(i) => {
            let mut short = last[..=i].to_vec();
            short[i] += 1;
            Cow::Owned(short)
        }
        None => Cow::Borrowed(last),
    }
}

fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

struct BlockBuilder {
    bytes: Vec<u8>,
    restarts: Vec<u32>,
    interval: usize,
    since_restart: usize,
    last_key: Vec<u8>,
}

impl BlockBuilder {
    fn new(interval: usize) -> BlockBuilder {
        BlockBuilder {
            bytes: Vec::new(),
            // Also an empty block has one restart, at 0: a reader that searches by restarts needs the first
            // one.
            restarts: vec![0],
            interval,
            since_restart: 0,
            last_key: Vec::new(),
        }
    }

    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes of the block if it were finished now.
    fn size(&self) -> usize {
        self.bytes.len() + 4 * self.restarts.len() + 4
    }

    fn add(&mut self, key: impl AsRef<[u8]>, value: &[u8]) {
        let key = key.as_ref();
        let shared = if self.since_restart < self.interval {
            common_prefix(&self.last_key, key)
        } else {
            // Fits: an entry of two or more block sizes is alone in its data block, and an index block has an entry of
            // some bytes for each data block.
            debug_assert!(u32::try_from(self.bytes.len()).is_ok());
            self.restarts.push(self.bytes.len() as u32);
            self.since_restart = 0;
            0
        };
        put_varint(&mut self.bytes, shared as u64);
        put_varint(&mut self.bytes, (key.len() - shared) as u64);
        put_varint(&mut self.bytes, value.len() as u64);
        self.bytes.extend_from_slice(&key[shared..]);
        self.bytes.extend_from_slice(value);
        self.last_key.truncate(shared);
        self.last_key.extend_from_slice(&key[shared..]);
        self.since_restart += 1;
    }

    /// Appends the block to a file and starts a new one.
    fn finish_into(&mut self, file: &mut Vec<u8>) {
        file.extend_from_slice(&self.bytes);
        for restart in &self.restarts {
            file.extend_from_slice(&restart.to_le_bytes());
        }
        file.extend_from_slice(&(self.restarts.len() as u32).to_le_bytes());
        self.bytes.clear();
        self.restarts.truncate(1);
        self.since_restart = 0;
        self.last_key.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pair = (Vec<u8>, Vec<u8>);

    fn table(entries: &[Pair]) -> Vec<u8> {
        let mut builder = TableBuilder::new(0);
        for (key, value) in entries {
            builder.add(key, value);
        }
        builder.finish()
    }

    fn read_all(file: &[u8]) -> Result<Vec<Pair>, TableError> {
        let mut out = Vec::new();
        read::<TableError>(file, |key, value| {
            out.push((key.to_vec(), value.to_vec()));
            Ok(())
        })?;
        Ok(out)
    }

    #[test]
    fn separators_are_short_and_in_between() {
        assert_eq!(*separator(b"abc", b"abx"), b"abd"[..]);
        assert_eq!(*separator(b"abc", b"abd"), b"abc"[..], "nothing fits between");
        assert_eq!(*separator(b"ab", b"abd"), b"ab"[..], "a prefix stays");
        assert_eq!(*separator(b"a\xffc", b"b"), b"a\xffc"[..]);
        assert_eq!(*successor(b"\xff\xffm"), b"\xff\xffn"[..]);
        assert_eq!(*successor(b"\xff"), b"\xff"[..]);
    }

    #[test]
    fn entries_come_back_from_many_blocks() {
        let entries: Vec<_> = (0..5000u32)
            .map(|i| {
                let size = if i % 700 == 3 { 600_000 } else { (i % 300) as usize };
                (format!("key/{i:06}").into_bytes(), vec![i as u8; size])
            })
            .collect();
        assert_eq!(read_all(&table(&entries)).unwrap(), entries);
        assert_eq!(read_all(&table(&[])).unwrap(), []);
    }

    #[test]
    fn disorder_is_reported() {
        let file = table(&[(b"a".to_vec(), vec![1]), (b"b".to_vec(), vec![2])]);
        // Swap the two keys and mend the checksum: only the order is wrong then.
        let mut swapped = file.clone();
        (swapped[3], swapped[8]) = (b'b', b'a');
        let end = swapped.iter().rposition(|&byte| byte == b'c').unwrap();
        assert!(end > 20, "the index block names the successor of b");
        let covered = 5 + 5 + 8 + 1;
        let checksum = crc::masked(&swapped[..covered]).to_le_bytes();
        swapped[covered..covered + 4].copy_from_slice(&checksum);
        assert_eq!(read_all(&swapped), Err(TableError::Damaged("keys are not in increasing order".into())));
        assert_eq!(read_all(&file).unwrap().len(), 2);
    }

    #[cfg(feature = "snappy")]
    #[test]
    fn compressed_blocks_are_read() {
        let mut block = BlockBuilder::new(RESTART_INTERVAL);
        for i in 0..100 {
            block.add(format!("name/{i:03}"), b"the same value each time");
        }
        let mut plain = Vec::new();
        block.finish_into(&mut plain);
        let compressed = snap::raw::Encoder::new().compress_vec(&plain).unwrap();
        assert!(compressed.len() < plain.len());
        let stored = |file: &mut Vec<u8>, content: &[u8], kind: u8| {
            let offset = file.len();
            file.extend_from_slice(content);
            file.push(kind);
            let checksum = crc::masked(&file[offset..]);
            file.extend_from_slice(&checksum.to_le_bytes());
            Handle { offset: offset as u64, size: content.len() as u64 }
        };
        let mut file = Vec::new();
        let data = stored(&mut file, &compressed, SNAPPY);
        let metaindex = append_block(&mut file, &mut BlockBuilder::new(1));
        let mut index = BlockBuilder::new(1);
        index.add(b"o", &encoded(data));
        let index = append_block(&mut file, &mut index);
        let footer = file.len();
        file.extend(encoded(metaindex));
        file.extend(encoded(index));
        file.resize(footer + FOOTER - 8, 0);
        file.extend(MAGIC.to_le_bytes());
        let entries = read_all(&file).unwrap();
        assert_eq!(entries.len(), 100);
        assert_eq!(entries[7].0, b"name/007");
    }
}
