//! V1 checkpoints that TensorFlow wrote (`oracle/make_v1.py`) are read, and damaged ones are errors.
#![allow(clippy::unwrap_used)] // in a test a panic is the report

#[path = "support/observed.rs"]
mod observed;

use checkpoint::bundle::{ReadOptions, TensorSlice};
use checkpoint::v1::{V1Reader, V1Writer};
use checkpoint::{
    CheckpointReader, Error, RestoreOptions, RestoreTarget, Saver, VariableSpec, checkpoint_exists,
    checkpoints_in, latest_checkpoint, read_all, read_session_state,
};
use observed::{Observed, Use};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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
fn written_files_are_read_back() {
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
fn every_damaged_or_truncated_file_is_an_error_or_read_correctly() {
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

/// Variables of any shape, and a part of a partitioned one.
#[derive(Default)]
struct Model(BTreeMap<String, Tensor>);

impl RestoreTarget for Model {
    fn variables(&self) -> Vec<VariableSpec> {
        let rows = TensorSlice::new([(1, Some(3)), (0, None)]);
        let part = VariableSpec::new("rows", DType::Float32, Some([3, 2].into()));
        vec![
            VariableSpec::new("w", DType::Float32, Some([3, 4].into())),
            VariableSpec::new("encoder/b", DType::Int64, None).stored_as("b"),
            part.part_of("p", [5, 2].into(), rows),
        ]
    }

    fn assign(&mut self, values: Vec<(String, Tensor)>) -> checkpoint::Result<()> {
        self.0.extend(values);
        Ok(())
    }
}

#[test]
fn a_saver_restores_from_a_file_and_from_shards() {
    for name in ["plain.ckpt-7", "sharded.ckpt-7", "sharded.ckpt-7-?????-of-00002"] {
        let mut model = Model::default();
        let report = Saver::default().restore(&mut model, fixture(name)).unwrap();
        assert_eq!((report.restored.len(), report.unexpected.len()), (3, 10), "{name}");
        assert_eq!(report.session_state, None);
        let part = Tensor::from_vec(vec![2.0f32, 3.0, 4.0, 5.0, 6.0, 7.0], [3, 2]).unwrap();
        assert_eq!(model.0["rows"], part, "{name}");
        assert_eq!(model.0["encoder/b"], Tensor::from([1i64, -2, 3 << 40]));
        let plan = Saver::default().restore_plan(&model, fixture(name), &RestoreOptions::new()).unwrap();
        assert_eq!(plan.variables.len(), 3);
        assert_eq!(read_all(fixture(name)).unwrap().len(), 13);
        assert_eq!(read_session_state(fixture(name)).unwrap(), None);
        assert!(checkpoint_exists(fixture(name)));
    }
    let mut lacking = BTreeMap::from([("W".to_owned(), Tensor::from([1.0f32]))]);
    let error = Saver::default().restore(&mut lacking, fixture("plain.ckpt-7")).unwrap_err().to_string();
    assert!(error.contains("plain.ckpt-7") && error.contains("\"w\" for \"W\""), "{error}");
}

/// Copies fixtures into a folder under other names.
fn copied(folder: &Path, files: &[(&str, &str)]) {
    for (from, to) in files {
        std::fs::copy(fixture(from), folder.join(to)).unwrap();
    }
}

#[test]
fn the_newest_of_a_folder_may_be_a_table() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    copied(path, &[("plain.ckpt-7", "m-7"), ("plain.ckpt-7", "m-8")]);
    copied(path, &[("sharded.ckpt-7-00000-of-00002", "m-9-00000-of-00002")]);
    copied(path, &[("sharded.ckpt-7-00001-of-00002", "m-9-00001-of-00002")]);
    for name in ["m-7.meta", "m-8.meta", "m-9.meta", "other.meta", "other"] {
        std::fs::write(path.join(name), "not a table").unwrap();
    }
    assert_eq!(checkpoints_in(path).unwrap(), ["m-7", "m-8", "m-9"].map(|name| path.join(name)));
    let reader = CheckpointReader::open(path).unwrap();
    assert_eq!((reader.step(), reader.format()), (Some(9), "v1"));

    // As the saver of TensorFlow lists the shards.
    std::fs::write(path.join("checkpoint"), "model_checkpoint_path: \"m-9-?\\077???-of-00002\"").unwrap();
    assert_eq!(latest_checkpoint(path).unwrap(), Some(path.join("m-9-?????-of-00002")));
    std::fs::write(path.join("checkpoint"), "model_checkpoint_path: \"/gone/m-8\"").unwrap();
    assert_eq!(latest_checkpoint(path).unwrap(), Some(path.join("m-8")));

    // A damaged newest one is passed over.
    std::fs::write(path.join("m-8"), "damaged").unwrap();
    let mut model = Model::default();
    let saver = Saver::default();
    let report = saver.restore_latest(&mut model, path, &RestoreOptions::new()).unwrap().unwrap();
    assert_eq!((report.prefix, report.rejected.len()), (path.join("m-9"), 1));
}

#[test]
fn a_file_without_a_table_footer_is_not_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("m"), [0; 100]).unwrap();
    assert!(!checkpoint_exists(folder.path().join("m")));
    let model = BTreeMap::from([("w".to_owned(), Tensor::from([1.0f32]))]);
    let prefix = Saver::default().save(&model, folder.path().join("n"), None);
    assert!(
        !checkpoint_exists(checkpoint::index_path(prefix.unwrap())),
        "the index of a bundle is not a table"
    );
}

#[test]
fn a_table_becomes_a_bundle_by_restoring_and_saving() {
    let folder = tempfile::tempdir().unwrap();
    let all = read_all(fixture("sharded.ckpt-7")).unwrap();
    let prefix = Saver::default().save(&all, folder.path().join("m"), Some(7)).unwrap();
    let reader = CheckpointReader::open(&prefix).unwrap();
    assert_eq!(reader.format(), "bundle");
    assert_eq!(reader.read_all().unwrap(), all.into_iter().collect::<Vec<_>>());
}

#[test]
fn the_folder_is_listed_once_for_shards_and_never_for_other_checkpoints() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("model.ckpt");
    let model = BTreeMap::from([("w".to_owned(), Tensor::from(1f32))]);
    checkpoint::Saver::default().save(&model, &bundle, None).unwrap();
    for (path, format, count) in
        [(fixture("sharded.ckpt-7"), "v1", 1), (fixture("plain.ckpt-7"), "v1", 0), (bundle, "bundle", 0)]
    {
        let listings = Arc::new(AtomicUsize::new(0));
        let counter = listings.clone();
        let storage = Observed(move |used, _: &Path| {
            counter.fetch_add(usize::from(used == Use::List), Ordering::Relaxed);
            Ok(())
        });
        let options = ReadOptions::new().storage(Arc::new(storage));
        let reader = CheckpointReader::open_with(path, options).unwrap();
        assert_eq!((reader.format(), listings.load(Ordering::Relaxed)), (format, count));
    }
}

#[test]
fn the_newer_format_is_preferred_where_both_exist() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plain.ckpt-7");
    std::fs::copy(fixture("plain.ckpt-7"), &path).unwrap();
    assert_eq!(CheckpointReader::open(&path).unwrap().format(), "v1");
    let model = BTreeMap::from([("w".to_owned(), Tensor::from(1f32))]);
    checkpoint::Saver::default().save(&model, folder.path().join("plain.ckpt"), Some(7)).unwrap();
    assert_eq!(CheckpointReader::open(&path).unwrap().format(), "bundle");
}
