//! V1 checkpoints that TensorFlow wrote (`oracle/make_v1.py`) are read, and damaged ones are errors.
#![allow(clippy::unwrap_used)] // in a test a panic is the report

use checkpoint::bundle::TensorSlice;
use checkpoint::v1::{V1Reader, V1Writer};
use checkpoint::{CheckpointReader, Error};
use std::path::{Path, PathBuf};
use tensor::{Complex, DType, Shape, Tensor, f16};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1").join(name)
}

fn check(reader: &V1Reader) {
    let halves = Tensor::from([f16::from_f32(1.5), f16::from_f32(-2.0)]);
    let weights = Tensor::from_vec((0..12).map(|x| x as f32 / 4.0).collect(), [3, 4]).unwrap();
    let rows = Tensor::from_vec((0..10).map(|x| x as f32).collect(), [5, 2]).unwrap();
    let expected = [
        ("b", Tensor::from([1i64, -2, 3 << 40])),
        ("c", Tensor::from([Complex::new(1.0f32, 2.0)])),
        ("deep/name-1", Tensor::from([7.0f32])),
        ("empty", Tensor::zeros(DType::Float32, [0, 3]).unwrap()),
        ("flag", Tensor::from([true, false])),
        ("h", halves),
        ("i32", Tensor::from([-200i32, 1 << 30])),
        ("i8", Tensor::from([-3i8, 4])),
        ("p", rows),
        ("s", Tensor::from(["a", "", "bc"])),
        ("scalar", Tensor::scalar(2.5f64)),
        ("u8", Tensor::from([200u8, 4])),
        ("w", weights),
    ];
    let names: Vec<String> = reader.entries().map(|info| info.name).collect();
    assert_eq!(names, expected.each_ref().map(|(name, _)| *name));
    for (name, value) in &expected {
        assert_eq!(reader.read(name).unwrap(), *value, "{name}");
        let info = reader.info(name).unwrap();
        assert_eq!((info.dtype, &info.shape), (value.dtype(), value.shape()), "{name}");
    }
    assert!(reader.verify().is_empty());
    let middle = TensorSlice::new([(2, Some(2)), (1, None)]);
    assert!(matches!(
        reader.read_slice("p", &TensorSlice::new([(4, Some(2)), (0, None)])),
        Err(Error::Invalid(_))
    ));
    let middle = TensorSlice::new([(middle.extents()[0].start, Some(2)), (0, None)]);
    let part = Tensor::from_vec(vec![4.0f32, 5.0, 6.0, 7.0], [2, 2]).unwrap();
    assert_eq!(reader.read_slice("p", &middle).unwrap(), part);
    assert!(matches!(reader.read("q"), Err(Error::TensorMissing { .. })));
}

#[test]
fn a_file_and_shards_of_tensorflow_are_read() {
    check(&V1Reader::open(fixture("plain.ckpt-7")).unwrap());
    check(&V1Reader::open(fixture("sharded.ckpt-7")).unwrap());
    check(&V1Reader::open(fixture("sharded.ckpt-7-?????-of-00002")).unwrap());
    let reader = CheckpointReader::open(fixture("plain.ckpt-7")).unwrap();
    assert_eq!((reader.format(), reader.step(), reader.variables().len()), ("v1", Some(7), 13));
    assert_eq!(reader.read("scalar:0").unwrap(), Tensor::scalar(2.5f64));
    assert!(matches!(V1Reader::open(fixture("absent")), Err(Error::NotFound { .. })));
}

#[test]
fn what_is_written_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m");
    let mut writer = V1Writer::create(&path);
    for dtype in DType::all() {
        let Ok(zeros) = Tensor::zeros(dtype, [2, 0, 3]) else { continue };
        match writer.add(dtype.name(), &zeros) {
            Ok(()) => {}
            Err(Error::UnsupportedDType { .. }) => continue,
            Err(error) => panic!("{dtype}: {error}"),
        }
        writer.add(&format!("{dtype} of three"), &Tensor::zeros(dtype, [3]).unwrap()).unwrap();
    }
    writer.add("texts", &Tensor::from(["", "x"])).unwrap();
    writer.add("negative", &Tensor::from([i16::MIN, -1, 7])).unwrap();
    let full = Shape::from([4]);
    let half = |start| TensorSlice::new([(start, Some(2))]);
    writer.add_slice("halves", &full, &half(2), &Tensor::from([3.0f32, 4.0])).unwrap();
    writer.add_slice("halves", &full, &half(0), &Tensor::from([1.0f32, 2.0])).unwrap();
    assert!(matches!(writer.add("texts", &Tensor::from(["y"])), Err(Error::Invalid(_))));
    assert!(matches!(
        writer.add_slice("bad", &full, &half(3), &Tensor::from([1.0f32, 2.0])),
        Err(Error::Invalid(_))
    ));
    writer.finish().unwrap();
    let reader = V1Reader::open(&path).unwrap();
    assert!(reader.verify().is_empty(), "{:?}", reader.verify());
    assert_eq!(reader.read("halves").unwrap(), Tensor::from([1.0f32, 2.0, 3.0, 4.0]));
    assert_eq!(reader.read("texts").unwrap(), Tensor::from(["", "x"]));
    assert_eq!(reader.read("negative").unwrap(), Tensor::from([i16::MIN, -1, 7]));
    assert_eq!(reader.read("float64 of three").unwrap(), Tensor::zeros(DType::Float64, [3]).unwrap());
}

#[test]
fn every_damaged_or_shortened_file_is_an_error_or_read_right() {
    let intact = std::fs::read(fixture("plain.ckpt-7")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m");
    for length in [0, 10, 47, 48, intact.len() / 2, intact.len() - 1] {
        std::fs::write(&path, &intact[..length]).unwrap();
        assert!(matches!(V1Reader::open(&path), Err(Error::Corrupt { .. })), "{length}");
    }
    let whole = V1Reader::open(fixture("plain.ckpt-7")).unwrap();
    for at in (0..intact.len()).step_by(3) {
        let mut damaged = intact.clone();
        damaged[at] ^= 0x11;
        std::fs::write(&path, &damaged).unwrap();
        let Ok(reader) = V1Reader::open(&path) else { continue };
        for info in reader.entries() {
            if let Ok(value) = reader.read(&info.name) {
                assert_eq!(value, whole.read(&info.name).unwrap(), "byte {at}");
            }
        }
    }
}
