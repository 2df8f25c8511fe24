//! Files that TensorFlow 2.21.0 wrote are read as it reads them, and written again byte for byte.
#![allow(clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen
#![allow(clippy::unwrap_used)] // a test may

mod support;

use checkpoint::bundle::{BundleOptions, BundleReader, BundleWriter, ReadOptions, TensorSlice};
use checkpoint::{CheckpointReader, Error};
use std::path::{Path, PathBuf};
use support::{check_tensors, dtype, folders, json, raw, shape, unhex};

fn open(folder: &Path) -> (serde_json::Value, BundleReader) {
    let expected = json(folder.join("expected.json"));
    let prefix = folder.join(expected["prefix"].as_str().unwrap());
    let reader = BundleReader::open(prefix).unwrap();
    (expected, reader)
}

#[test]
fn every_fixture_is_read_as_expected() {
    for folder in folders("tf_bundle") {
        let (expected, reader) = open(&folder);
        assert_eq!(reader.num_shards() as u64, expected["index"]["num_shards"].as_u64().unwrap());
        assert_eq!(reader.problems().count(), 0);
        assert!(reader.verify().is_empty(), "{}", folder.display());
        if expected["tensors"].is_array() {
            check_tensors(&expected["tensors"], &reader);
        }
        if let Some(raw_hex) = expected["raw_hex"].as_object() {
            assert_eq!(reader.entries().count(), raw_hex.len());
            for (name, bytes) in raw_hex {
                let tensor = reader.read(name).unwrap();
                assert_eq!(tensor.dtype(), dtype(expected["dtypes"][name].as_str().unwrap()));
                assert_eq!(raw(&tensor), unhex(bytes.as_str().unwrap()), "{name}");
            }
        }
    }
}

#[test]
fn mapped_reading_returns_the_same() {
    for folder in folders("tf_bundle") {
        let (_, reader) = open(&folder);
        let mapped = BundleReader::open_with(reader.prefix(), ReadOptions::new().map(true)).unwrap();
        let copied = reader.read_all().unwrap();
        for ((name, a), (_, b)) in copied.iter().zip(mapped.read_all().unwrap()) {
            assert_eq!(raw(a), raw(&b), "{name}");
            assert_eq!(raw(a), raw(&mapped.read(name).unwrap()), "{name}");
        }
    }
}

#[test]
fn reading_with_several_threads_returns_the_same() {
    let (_, reader) = open(&support::fixtures("tf_bundle/sharded3"));
    let threads = BundleReader::open_with(reader.prefix(), ReadOptions::new().threads(3)).unwrap();
    for ((name, a), (_, b)) in reader.read_all().unwrap().iter().zip(threads.read_all().unwrap()) {
        assert_eq!(raw(a), raw(&b), "{name}");
    }
}

/// One stored piece: shard, offset and size, and how to write it again.
struct Piece {
    place: (u64, u64, u64),
    name: String,
    part: Option<TensorSlice>,
}

fn pieces(reader: &BundleReader, entries: &serde_json::Value) -> Vec<Piece> {
    let place = |entry: &serde_json::Value| {
        let number = |key: &str| entry[key].as_u64().unwrap();
        (number("shard_id"), number("offset"), number("size"))
    };
    let mut pieces = Vec::new();
    for entry in entries.as_array().unwrap() {
        let Some(name) = entry["key"].as_str().filter(|key| reader.contains(key)) else { continue };
        let Some(slices) = entry["slices"].as_array() else {
            pieces.push(Piece { place: place(entry), name: name.to_owned(), part: None });
            continue;
        };
        for slice in slices {
            let extents = slice.as_array().unwrap().iter().map(|extent| {
                let (start, length) = (extent[0].as_u64().unwrap(), extent[1].as_i64().unwrap());
                (start, u64::try_from(length).ok())
            });
            let part = TensorSlice::new(extents);
            let key = support::hex(slice_key(name, &part));
            let stored = entries.as_array().unwrap().iter().find(|entry| entry["key_hex"] == key.as_str());
            pieces.push(Piece { place: place(stored.unwrap()), name: name.to_owned(), part: Some(part) });
        }
    }
    pieces.sort_by_key(|piece| piece.place);
    pieces
}

/// The key of a slice, for small numbers only: an encoder apart from the one that is tested.
fn slice_key(name: &str, part: &TensorSlice) -> Vec<u8> {
    let mut key = [&[0], name.as_bytes(), &[0, 1, 1, part.extents().len() as u8]].concat();
    for extent in part.extents() {
        for value in [extent.start as i64, extent.length.map_or(-1, |length| length as i64)] {
            match value {
                -1 => key.push(0x7f),
                0..64 => key.push(0x80 | value as u8),
                64..8192 => key.extend([0xc0 | (value >> 8) as u8, value as u8]),
                _ => key.extend([0xe0 | (value >> 16) as u8, (value >> 8) as u8, value as u8]),
            }
        }
    }
    key
}

fn files(prefix: &Path) -> Vec<PathBuf> {
    let name = prefix.file_name().unwrap().to_str().unwrap().to_owned();
    let entries = std::fs::read_dir(prefix.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    let ours = |path: &PathBuf| {
        let file = path.file_name().unwrap().to_str().unwrap();
        file.starts_with(&name) && !file.ends_with(".meta")
    };
    let mut files: Vec<_> = entries.filter(ours).collect();
    files.sort();
    files
}

#[test]
fn every_fixture_is_written_again_byte_for_byte() {
    let target = tempfile::tempdir().unwrap();
    for folder in folders("tf_bundle") {
        let (expected, reader) = open(&folder);
        let copy = target.path().join(folder.file_name().unwrap()).join(expected["prefix"].as_str().unwrap());
        std::fs::create_dir(copy.parent().unwrap()).unwrap();
        let options = BundleOptions::new().shards(reader.num_shards());
        let mut writer = BundleWriter::create_with(&copy, options).unwrap();
        if expected["index"]["entries"].is_array() {
            for piece in pieces(&reader, &expected["index"]["entries"]) {
                writer.select_shard(piece.place.0 as u32).unwrap();
                let shape = reader.info(&piece.name).unwrap().shape;
                match piece.part {
                    None => writer.add(&piece.name, &reader.read(&piece.name).unwrap()).unwrap(),
                    Some(part) => {
                        let tensor = reader.read_slice(&piece.name, &part).unwrap();
                        writer.add_slice(&piece.name, &shape, &part, &tensor).unwrap();
                    }
                }
            }
        } else {
            // Left out where there are thousands; those were saved in the order of their numbers.
            let mut tensors = reader.read_all().unwrap();
            tensors.sort_by_key(|(name, _)| layer(name));
            for (name, tensor) in tensors {
                writer.add(&name, &tensor).unwrap();
            }
        }
        writer.finish().unwrap();
        let (ours, theirs) = (files(&copy), files(reader.prefix()));
        assert_eq!(ours.len(), theirs.len());
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(ours.file_name(), theirs.file_name());
            assert!(std::fs::read(ours).unwrap() == std::fs::read(theirs).unwrap(), "{}", theirs.display());
        }
    }
}

/// The number in a name such as `002492/layer_1280/0024927ac...`.
fn layer(name: &str) -> u32 {
    name.split(['_', '/']).nth(2).unwrap().parse().unwrap()
}

#[test]
fn any_slice_can_be_read_of_any_tensor() {
    for folder in ["partitioned", "partitioned_sharded", "slices", "shapes"] {
        let (_, reader) = open(&support::fixtures(&format!("tf_bundle/{folder}")));
        for info in reader.entries().filter(|info| info.shape.rank() > 0 && info.dtype.is_plain()) {
            let whole = reader.read(&info.name).unwrap();
            let rows = info.shape[0];
            for (start, end) in [(0, rows / 2), (rows / 3, rows), (rows / 2, (rows / 2 + 1).min(rows))] {
                let rest = std::iter::repeat_n((0, None), info.shape.rank() - 1);
                let part =
                    TensorSlice::new(std::iter::once((start as u64, Some((end - start) as u64))).chain(rest));
                let found = reader.read_slice(&info.name, &part).unwrap();
                assert_eq!(raw(&found), raw(&whole.rows(start, end).unwrap()), "{} {part}", info.name);
            }
        }
    }
}

#[test]
fn four_bundles_merge_as_tensorflow_merges_them() {
    let target = tempfile::tempdir().unwrap();
    let (_, reader) = open(&support::fixtures("tf_bundle/merged"));
    let parts: Vec<_> = (0..4).map(|i| target.path().join(format!("part-{i}"))).collect();
    for (i, part) in parts.iter().enumerate() {
        let mut writer = BundleWriter::create(part).unwrap();
        for name in [format!("p{i}/s"), format!("p{i}/x")] {
            writer.add(&name, &reader.read(&name).unwrap()).unwrap();
        }
        writer.finish().unwrap();
    }
    let into = target.path().join("model.ckpt");
    let storage = checkpoint::storage::LocalStorage::shared();
    checkpoint::bundle::merge_bundles(&storage, &parts, &into).unwrap();
    let merged = BundleReader::open(&into).unwrap();
    assert_eq!(merged.num_shards(), 4);
    assert_eq!(merged.read_all().unwrap(), reader.read_all().unwrap());
    assert!(parts.iter().all(|part| !checkpoint::checkpoint_exists(part)));
    assert!(checkpoint::bundle::merge_bundles(&storage, &[&into], &into).is_err(), "it exists already");
}

#[test]
fn rewriting_a_prefix_replaces_it_whole() {
    let target = tempfile::tempdir().unwrap();
    let prefix = target.path().join("m");
    for round in 0..5i32 {
        let mut writer = BundleWriter::create(&prefix).unwrap();
        writer.add("round", &tensor::Tensor::scalar(round)).unwrap();
        if round > 0 {
            let before = BundleReader::open(&prefix).unwrap().read("round").unwrap();
            assert_eq!(before.value::<i32>().unwrap(), round - 1, "the old one is whole until the end");
        }
        writer.finish().unwrap();
        let reader = BundleReader::open(&prefix).unwrap();
        assert_eq!(reader.read("round").unwrap().value::<i32>().unwrap(), round);
        assert_eq!(files(&prefix).len(), 1 + reader.num_shards() as usize, "nothing superseded is left");
    }
}

#[test]
fn dropping_a_writer_leaves_nothing() {
    let target = tempfile::tempdir().unwrap();
    let prefix = target.path().join("m");
    let mut writer = BundleWriter::create(&prefix).unwrap();
    writer.add("a", &shape_tensor(&json(support::fixtures("tf_bundle/tiny/expected.json")))).unwrap();
    drop(writer);
    let mut writer = BundleWriter::create(&prefix).unwrap();
    writer.add("a", &tensor::Tensor::scalar(1u8)).unwrap();
    drop(writer.seal().unwrap());
    let mut writer = BundleWriter::create(&prefix).unwrap();
    writer.add("a", &tensor::Tensor::scalar(1u8)).unwrap();
    writer.add("a", &tensor::Tensor::scalar(2u8)).unwrap();
    assert!(writer.finish().unwrap_err().to_string().contains("same name"));
    assert_eq!(std::fs::read_dir(target.path()).unwrap().count(), 0);
}

fn shape_tensor(expected: &serde_json::Value) -> tensor::Tensor {
    let dims: Vec<i64> = shape(&expected["tensors"][0]["shape"]).iter().map(|&dim| dim as i64).collect();
    tensor::Tensor::from(dims)
}

/// A bundle of TensorFlow's, in which the numbers of two dtypes are replaced by 99: of the tensor `plain` and of
/// `scope/cols`, which is stored in slices.
#[test]
fn tensors_of_unknown_dtypes_are_listed_and_are_no_damage() {
    let reader = CheckpointReader::open(support::fixtures("unknown_dtype").join("model.ckpt-1")).unwrap();
    let known: Vec<String> = reader.variables().into_iter().map(|info| info.name).collect();
    assert_eq!(known, ["rows", "single"]);
    let unknown = reader.unsupported_tensors();
    let unknown: Vec<_> =
        unknown.iter().map(|info| (&*info.name, &*info.dtype, info.shape.dims(), info.bytes)).collect();
    assert_eq!(unknown, [("plain", "99", &[2][..], 8), ("scope/cols", "99", &[3, 9], 3 * 9 * 8)]);
    assert!(reader.verify().is_empty(), "{:?}", reader.verify());
    assert!(reader.has_tensor("plain"));
    assert_eq!(reader.read("rows").unwrap().shape().dims(), [10, 4]);

    for name in ["plain", "scope/cols"] {
        let error = reader.read(name).unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");
        let said = error.to_string();
        assert!(said.contains("dtype 99, which is not known here") && said.contains(name), "{said}");
    }
    assert_eq!(reader.read_bytes("plain").unwrap().len(), 8);
    assert!(matches!(reader.read_bytes("scope/cols"), Err(Error::Unsupported { .. })));
    assert!(matches!(reader.read_bytes("rows"), Err(Error::TensorMissing { .. })));
    let CheckpointReader::Bundle(bundle) = &reader else { panic!("a bundle") };
    assert_eq!(bundle.problems().count(), 0);
    assert!(matches!(bundle.read_all(), Err(Error::Unsupported { .. })));
    assert!(matches!(bundle.read_many(&["rows", "plain"]), Err(Error::Unsupported { .. })));
}

#[test]
fn missing_bytes_of_an_unknown_dtype_are_damage() {
    let folder = tempfile::tempdir().unwrap();
    let prefix = folder.path().join("model.ckpt-1");
    let fixture = support::fixtures("unknown_dtype").join("model.ckpt-1");
    std::fs::copy(checkpoint::index_path(&fixture), checkpoint::index_path(&prefix)).unwrap();
    std::fs::write(checkpoint::data_path(&prefix, 0, 1), "").unwrap();
    let reader = CheckpointReader::open(&prefix).unwrap();
    let problems = reader.verify();
    let plain = problems.iter().find(|problem| problem.name.as_deref() == Some("plain")).unwrap();
    assert!(matches!(plain.error, Error::Corrupt { .. }), "{plain:?}");
    assert!(matches!(reader.read_bytes("plain"), Err(Error::Corrupt { .. })));
}
