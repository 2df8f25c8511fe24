//! Damaged files: each byte changed, each truncation. Never a panic, never wrong data without an error.
#![allow(clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen
#![allow(clippy::unwrap_used)] // a test may

#[path = "support/disk.rs"]
mod disk;
mod support;

use checkpoint::Error;
use checkpoint::bundle::{BundleReader, ReadOptions};
use checkpoint::storage::Storage;
use disk::Disk;
use std::path::Path;
use std::sync::Arc;
use tensor::Tensor;

type Tensors = Vec<(String, Tensor)>;

/// Fixtures small enough to change every byte of.
const FIXTURES: [&str; 9] = [
    "tiny",
    "dtypes",
    "rare_dtypes",
    "shapes",
    "merged",
    "partitioned",
    "partitioned_sharded",
    "slices",
    "sharded3",
];

/// The files of a fixture on a disk in memory.
fn load(fixture: &str) -> (Disk, Vec<String>) {
    let disk = Disk::default();
    let folder = support::fixtures("tf_bundle").join(fixture);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.contains(".data-") || name.ends_with(".index") {
            disk.put(Path::new("d").join(&name), std::fs::read(&path).unwrap());
            names.push(name);
        }
    }
    names.sort();
    (disk, names)
}

fn prefix(names: &[String]) -> String {
    let index = names.iter().find_map(|name| name.strip_suffix(".index"));
    format!("d/{}", index.unwrap())
}

fn open(disk: &Disk, prefix: &str) -> Result<BundleReader, Error> {
    let storage: Arc<dyn Storage> = Arc::new(disk.clone());
    BundleReader::open_with(prefix, ReadOptions::new().storage(storage).threads(1))
}

/// Reads what can be read. Each tensor must be the original or an error that names a file.
fn check(disk: &Disk, names: &[String], original: &Tensors, what: &str) {
    let reader = match open(disk, &prefix(names)) {
        Ok(reader) => reader,
        Err(error) => return assert_typed(&error, what),
    };
    let problems = reader.verify();
    problems.iter().for_each(|problem| assert_typed(&problem.error, what));
    let mut errors = 0;
    for (name, tensor) in original {
        match reader.read(name) {
            Ok(found) => {
                assert_eq!(
                    (found.dtype(), found.shape()),
                    (tensor.dtype(), tensor.shape()),
                    "{what}: {name}"
                );
                assert_eq!(support::raw(&found), support::raw(tensor), "{what}: {name}");
            }
            Err(error) => {
                assert_typed(&error, what);
                errors += 1;
            }
        }
    }
    assert_eq!(errors > 0, !problems.is_empty(), "{what}: verifying and reading agree");
}

fn assert_typed(error: &Error, what: &str) {
    match error {
        Error::Corrupt { path, .. } | Error::Unsupported { path, .. } | Error::NotFound { path } => {
            assert!(path.starts_with("d"), "{what}: {error}");
        }
        // A name that is not found any more: the index has another.
        Error::TensorMissing { .. } => {}
        other => panic!("{what}: {other:?}"),
    }
}

fn each_fixture(test: impl Fn(&str, &Disk, &[String], &Tensors)) {
    for fixture in FIXTURES {
        let (disk, names) = load(fixture);
        let original = open(&disk, &prefix(&names)).unwrap().read_all().unwrap();
        assert!(!original.is_empty());
        test(fixture, &disk, &names, &original);
    }
}

/// Each byte; of the one long file, which holds tens of thousands of alike elements, one in 61.
fn stride(bytes: &[u8]) -> usize {
    if bytes.len() > 8000 { 61 } else { 1 }
}

#[test]
fn a_change_of_any_byte_is_detected_or_harmless() {
    each_fixture(|fixture, disk, names, original| {
        for name in names {
            let path = Path::new("d").join(name);
            let bytes = disk.get(&path).unwrap();
            for i in (0..bytes.len()).step_by(stride(&bytes)) {
                for change in [0x01, 0xff] {
                    let mut damaged = bytes.clone();
                    damaged[i] ^= change;
                    disk.put(&path, damaged);
                    check(disk, names, original, &format!("{fixture}/{name}: byte {i} ^ {change:02x}"));
                }
            }
            disk.put(&path, bytes);
        }
    });
}

#[test]
fn every_truncation_is_detected_or_harmless() {
    each_fixture(|fixture, disk, names, original| {
        for name in names {
            let path = Path::new("d").join(name);
            let bytes = disk.get(&path).unwrap();
            for len in (0..bytes.len()).step_by(stride(&bytes)) {
                disk.put(&path, &bytes[..len]);
                check(disk, names, original, &format!("{fixture}/{name}: cut to {len}"));
            }
            disk.put(&path, bytes);
        }
    });
}

#[test]
fn a_missing_shard_affects_only_its_own_tensors() {
    let (disk, names) = load("sharded3");
    let reader = open(&disk, &prefix(&names)).unwrap();
    let original = reader.read_all().unwrap();
    let whole = disk.clone();
    let disk = Disk::default();
    for name in names.iter().filter(|name| !name.contains("data-00001")) {
        let path = Path::new("d").join(name);
        disk.put(&path, whole.get(&path).unwrap());
    }
    let reader = open(&disk, &prefix(&names)).unwrap();
    let read: Vec<_> = original.iter().map(|(name, _)| reader.read(name)).collect();
    assert!(read.iter().any(Result::is_ok));
    let errors: Vec<_> = read.into_iter().filter_map(Result::err).collect();
    assert!(!errors.is_empty());
    for error in errors {
        assert!(matches!(&error, Error::NotFound { path } if path.to_str().unwrap().contains("data-00001")));
    }
}

#[test]
fn reading_unverified_never_panics() {
    let (disk, names) = load("dtypes");
    for name in &names {
        let path = Path::new("d").join(name);
        let bytes = disk.get(&path).unwrap();
        for i in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[i] ^= 0xff;
            disk.put(&path, damaged);
            let storage: Arc<dyn Storage> = Arc::new(disk.clone());
            let options = ReadOptions::new().storage(storage).verify(false);
            if let Ok(reader) = BundleReader::open_with(prefix(&names), options) {
                for info in reader.entries().collect::<Vec<_>>() {
                    let _ = reader.read(&info.name);
                }
            }
        }
        disk.put(&path, bytes);
    }
}

#[test]
fn countless_data_files_that_an_index_states_are_not_listed() {
    let (disk, names) = load("tiny");
    let index = Path::new("d").join(names.iter().find(|name| name.ends_with(".index")).unwrap());
    let mut bytes = disk.get(&index).unwrap();
    // The header states one file and the version: a number of five bytes and no version take as much room.
    let header = [0x08, 0x01, 0x1a, 0x02, 0x08, 0x01];
    let at = bytes.windows(header.len()).position(|part| part == header).unwrap();
    bytes[at..at + header.len()].copy_from_slice(&[0x08, 0xff, 0xff, 0xff, 0xff, 0x07]);
    seal_first_block(&mut bytes);
    disk.put(&index, bytes);
    let reader = open(&disk, &prefix(&names)).unwrap();
    assert_eq!(reader.num_shards(), 0x7fff_ffff);
    let files = reader.data_files();
    assert_eq!(files, [checkpoint::data_path(prefix(&names), 0, 0x7fff_ffff)]);
}

/// Makes the checksum of the first block of an index right again. The block ends before the one byte of its compression, which four
/// bytes of checksum follow; its length is in the index of the table, whose place is at the end of the file.
fn seal_first_block(table: &mut [u8]) {
    let varint = |bytes: &[u8], at: &mut usize| {
        let (mut value, mut shift) = (0u64, 0);
        loop {
            let byte = bytes[*at];
            *at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return value as usize;
            }
        }
    };
    let mut at = table.len() - 48;
    let _ = (varint(table, &mut at), varint(table, &mut at));
    let index = varint(table, &mut at);
    // One entry: shared, own and value lengths, then the key, then the value: offset and length.
    let mut at = index;
    let _shared = varint(table, &mut at);
    let own = varint(table, &mut at);
    let _value = varint(table, &mut at);
    at += own;
    let (offset, length) = (varint(table, &mut at), varint(table, &mut at));
    let end = offset + length + 1;
    let sum = wire::crc::masked(&table[offset..end]);
    table[end..end + 4].copy_from_slice(&sum.to_le_bytes());
}
