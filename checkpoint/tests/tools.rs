//! The tools around checkpoints: readers, waiting, initializing from a checkpoint, safetensors.
#![allow(clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen
#![allow(clippy::unwrap_used)] // a test may

mod support;

use checkpoint::bundle::TensorSlice;
use checkpoint::{
    CheckpointReader, Clock, Error, Saver, VariableSpec, WatchOptions, checkpoints_iterator,
    init_from_checkpoint, list_variables, load_variable, require_new_checkpoint, wait_for_new_checkpoint,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tensor::{DType, Tensor};

fn model() -> BTreeMap<String, Tensor> {
    BTreeMap::from([
        ("a/w".to_owned(), Tensor::from([1.0f32, 2.0])),
        ("a/b/x".to_owned(), Tensor::scalar(3i32)),
        ("c".to_owned(), Tensor::from("text")),
    ])
}

fn save(folder: &Path, step: i64) -> PathBuf {
    Saver::default().save(&model(), folder.join("m"), Some(step)).unwrap()
}

#[test]
fn s_317_a_reader_takes_a_prefix_or_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(CheckpointReader::open(folder.path()), Err(Error::NotFound { .. })));
    let prefix = save(folder.path(), 5);
    for path in [prefix.clone(), folder.path().to_path_buf(), checkpoint::index_path(&prefix)] {
        let reader = CheckpointReader::open(&path).unwrap();
        assert_eq!((reader.format(), reader.step(), reader.path()), ("bundle", Some(5), prefix.as_path()));
        assert!(reader.has_tensor("c") && !reader.has_tensor("d"));
    }
    assert!(matches!(CheckpointReader::open(folder.path().join("x")), Err(Error::NotFound { .. })));
    assert!(matches!(
        CheckpointReader::open(folder.path().join("checkpoint")),
        Err(Error::Unsupported { .. })
    ));
}

#[test]
fn a_saver_restores_from_safetensors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    let tensors = [("w".to_owned(), Tensor::from_vec((0..6).map(|x| x as f32).collect(), [3, 2]).unwrap())];
    checkpoint::safetensors::write_safetensors(&path, &tensors, &Default::default()).unwrap();
    let mut model = BTreeMap::from([("w".to_owned(), Tensor::zeros(DType::Float32, [3, 2]).unwrap())]);
    assert_eq!(Saver::default().restore(&mut model, &path).unwrap().restored, ["w"]);
    assert_eq!(model["w"], tensors[0].1);
    let reader = CheckpointReader::open(&path).unwrap();
    assert_eq!(reader.info("w").unwrap().bytes, 24);
    let part = TensorSlice::new([(1, Some(2)), (1, None)]);
    assert_eq!(reader.read_slice("w", &part).unwrap(), Tensor::from([[3.0f32], [5.0]]));
    assert!(matches!(reader.read_slice("w", &TensorSlice::whole(1)), Err(Error::Invalid(_))));
    assert!(
        matches!(reader.read_many(&["w", "x"]), Err(Error::TensorMissing { names, .. }) if names == ["x"])
    );
}

#[test]
fn s_318_variables_are_listed_and_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let prefix = save(folder.path(), 5);
    let listed: Vec<_> = list_variables(folder.path()).unwrap().into_iter().map(|info| info.name).collect();
    assert_eq!(listed, ["a/b/x", "a/w", "c"]);
    assert_eq!(load_variable(&prefix, "a/b/x:0").unwrap(), Tensor::scalar(3i32));
    let error = load_variable(&prefix, "d").unwrap_err();
    assert!(error.to_string().contains("not found in checkpoint"), "{error}");
}

/// A clock whose sleeps pass at once, and save checkpoints at certain times.
#[derive(Debug)]
struct Script {
    now: Mutex<u64>,
    folder: PathBuf,
    saves: Vec<u64>,
}

impl Clock for Script {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(*self.now.lock().unwrap())
    }

    fn sleep(&self, time: Duration) {
        let mut now = self.now.lock().unwrap();
        let then = *now + time.as_millis() as u64;
        for at in self.saves.iter().filter(|at| (*now + 1..=then).contains(at)) {
            save(&self.folder, *at as i64);
        }
        *now = then;
    }
}

fn script(folder: &Path, saves: &[u64]) -> (Arc<Script>, WatchOptions) {
    let clock = Script { now: Mutex::new(0), folder: folder.to_path_buf(), saves: saves.to_vec() };
    let clock = Arc::new(clock);
    let options = WatchOptions::new().clock(Arc::clone(&clock) as Arc<dyn Clock>);
    (clock, options)
}

#[test]
fn s_315_waiting_stops_before_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, options) = script(folder.path(), &[3500]);
    let limited = options.clone().timeout(Duration::from_millis(1500));
    assert_eq!(wait_for_new_checkpoint(folder.path(), None, &limited).unwrap(), None);
    assert_eq!(*clock.now.lock().unwrap(), 1000, "after one sleep of a second");
    assert!(matches!(require_new_checkpoint(folder.path(), None, &limited), Err(Error::TimedOut { .. })));
    let found = wait_for_new_checkpoint(folder.path(), None, &options).unwrap().unwrap();
    assert_eq!((found, *clock.now.lock().unwrap()), (folder.path().join("m-3500"), 4000));
}

#[test]
fn s_315_a_pause_of_any_length_ends_at_the_limit() {
    /// A clock that goes on at each look.
    #[derive(Debug, Default)]
    struct Ticking(Mutex<u64>);
    impl Clock for Ticking {
        fn now(&self) -> SystemTime {
            let mut now = self.0.lock().unwrap();
            *now += 1;
            UNIX_EPOCH + Duration::from_secs(*now)
        }
        fn sleep(&self, time: Duration) {
            panic!("slept for {time:?}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let options = WatchOptions::new().clock(Arc::new(Ticking::default()));
    let options = options.poll(Duration::MAX).timeout(Duration::from_secs(60));
    assert_eq!(wait_for_new_checkpoint(folder.path(), None, &options).unwrap(), None);
}

#[test]
fn s_316_the_iterator_yields_each_newest() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, options) = script(folder.path(), &[1000, 2000, 2500, 20_000]);
    let options = options.timeout(Duration::from_secs(5)).min_interval(Duration::from_millis(1500));
    let found: Vec<_> = checkpoints_iterator(folder.path(), options).map(|path| path.unwrap()).collect();
    let expected = ["m-1000", "m-2500"].map(|name| folder.path().join(name));
    assert_eq!(found, expected, "2000 was overtaken, 20000 came too late");
    assert!(*clock.now.lock().unwrap() < 20_000);
}

#[test]
fn s_316_a_function_can_end_the_wait() {
    let folder = tempfile::tempdir().unwrap();
    let (_, options) = script(folder.path(), &[1000, 9000]);
    let options = options.timeout(Duration::from_secs(2));
    let asked = Arc::new(Mutex::new(0));
    let count = Arc::clone(&asked);
    let iterator = checkpoints_iterator(folder.path(), options).on_timeout(move || {
        *count.lock().unwrap() += 1;
        *count.lock().unwrap() == 6
    });
    assert_eq!(iterator.count(), 2);
    assert_eq!(*asked.lock().unwrap(), 6, "after each checkpoint and each time-out");
}

#[test]
fn s_319_assignment_maps_are_resolved() {
    let folder = tempfile::tempdir().unwrap();
    let reader = CheckpointReader::open(save(folder.path(), 1)).unwrap();
    let variable = |name: &str, dtype, dims: &[usize]| VariableSpec::new(name, dtype, Some(dims.into()));
    let variables = [
        variable("new/w", DType::Float32, &[2]),
        variable("new/b/x", DType::Int32, &[]),
        variable("other", DType::Int32, &[]),
        variable("wrong", DType::Float32, &[3]),
    ];
    let resolve = |map: &[(&str, &str)]| {
        let found = init_from_checkpoint(&reader, map, &variables)?;
        Ok::<_, Error>(found.into_iter().map(|item| (item.variable, item.stored)).collect::<Vec<_>>())
    };
    let stored =
        |items: &[(usize, &str)]| items.iter().map(|(i, name)| (*i, (*name).to_owned())).collect::<Vec<_>>();
    assert_eq!(resolve(&[("a/", "new/")]).unwrap(), stored(&[(0, "a/w"), (1, "a/b/x")]));
    assert_eq!(resolve(&[("a/b/x", "other:0")]).unwrap(), stored(&[(2, "a/b/x")]));
    assert_eq!(resolve(&[]).unwrap(), []);
    for (map, words) in [
        (&[("absent", "other")][..], "is not found in"),
        (&[("/", "new/")], "is not found in"),
        (&[("a/w", "wrong")], "doesn't match with shape of"),
        (&[("a/w", "new/")], "scope"),
        (&[("a/", "other")], "scope"),
        (&[("a/w", "absent")], "no variable"),
        (&[("a/w", "other")], "the variable is"),
    ] {
        let error = resolve(map).unwrap_err().to_string();
        assert!(error.contains(words), "{map:?}: {error}");
    }
}

#[cfg(feature = "safetensors")]
mod safetensors_files {
    use super::*;
    use checkpoint::bundle::ReadOptions;
    use checkpoint::safetensors::{SafetensorsOptions, SafetensorsReader, write_safetensors};

    fn tensors() -> Vec<(String, Tensor)> {
        let bundle = support::fixtures("tf_bundle/dtypes/model.ckpt");
        let all = checkpoint::bundle::BundleReader::open(bundle).unwrap().read_all().unwrap();
        let fits = |tensor: &Tensor| tensor.dtype() != DType::String && tensor.dtype() != DType::Complex128;
        all.into_iter().filter(|(_, tensor)| fits(tensor)).collect()
    }

    #[test]
    fn the_reference_implementation_reads_ours() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        let tensors = tensors();
        assert!(tensors.len() > 20);
        let options = SafetensorsOptions::new().metadata("source", "a \"test\"\n");
        write_safetensors(&path, &tensors, &options).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let theirs = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(theirs.len(), tensors.len());
        for (name, tensor) in &tensors {
            let view = theirs.tensor(name).unwrap();
            assert_eq!(view.shape(), tensor.shape().dims(), "{name}");
            assert_eq!(view.data(), tensor.as_bytes().unwrap(), "{name}");
        }
        let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        assert_eq!(metadata.metadata().as_ref().unwrap()["source"], "a \"test\"\n");
    }

    #[test]
    fn the_bytes_equal_those_of_the_reference_implementation() {
        use safetensors::{Dtype, tensor::TensorView};
        let (a, b): (Vec<u8>, Vec<u8>) = ((0..24).collect(), vec![1, 0]);
        let views = [
            ("z", TensorView::new(Dtype::F32, vec![2, 3], &a).unwrap()),
            ("a", TensorView::new(Dtype::BOOL, vec![2], &b).unwrap()),
            ("é \"q\"", TensorView::new(Dtype::F64, vec![3, 1], &a).unwrap()),
            ("empty", TensorView::new(Dtype::I64, vec![0, 4], &[]).unwrap()),
        ];
        let theirs = safetensors::serialize(views, None).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        let tensor =
            |dtype, dims: &[usize], bytes: &[u8]| Tensor::from_bytes(dtype, dims, bytes.to_vec()).unwrap();
        let ours = [
            ("z".to_owned(), tensor(DType::Float32, &[2, 3], &a)),
            ("a".to_owned(), tensor(DType::Bool, &[2], &b)),
            ("é \"q\"".to_owned(), tensor(DType::Float64, &[3, 1], &a)),
            ("empty".to_owned(), tensor(DType::Int64, &[0, 4], &[])),
        ];
        write_safetensors(&path, &ours, &SafetensorsOptions::new()).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), theirs);
    }

    #[test]
    fn files_are_read_back_copied_or_mapped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m-12.safetensors");
        let tensors = tensors();
        write_safetensors(&path, &tensors, &SafetensorsOptions::new()).unwrap();
        for map in [false, true] {
            let reader = SafetensorsReader::open_with(&path, ReadOptions::new().map(map)).unwrap();
            for ((name, read), (expected, tensor)) in reader.read_all().unwrap().iter().zip(&tensors) {
                assert_eq!(name, expected);
                assert_eq!(support::raw(read), support::raw(tensor), "{name}");
            }
        }
        let reader = CheckpointReader::open(&path).unwrap();
        assert_eq!((reader.format(), reader.step()), ("safetensors", Some(12)));
        assert!(reader.verify().is_empty());
    }

    #[test]
    fn incompatible_tensors_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        let four = Tensor::from_bytes(DType::Int4, [2], vec![0xf8u8, 7]).unwrap();
        for tensor in [Tensor::from("text"), Tensor::zeros(DType::Complex128, [1]).unwrap(), four.clone()] {
            let error = write_safetensors(&path, &[("x".to_owned(), tensor)], &SafetensorsOptions::new());
            assert!(error.unwrap_err().to_string().contains("\"x\""));
        }
        let wide = SafetensorsOptions::new().widen_int4(true);
        write_safetensors(&path, &[("x".to_owned(), four)], &wide).unwrap();
        let read = SafetensorsReader::open(&path).unwrap().read("x").unwrap();
        assert_eq!(read, Tensor::from([-8i8, 7]));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn every_truncated_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        write_safetensors(&path, &tensors()[..5], &SafetensorsOptions::new()).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        for len in 0..bytes.len() {
            std::fs::write(&path, &bytes[..len]).unwrap();
            let error = SafetensorsReader::open(&path).unwrap_err();
            assert!(matches!(error, Error::Corrupt { .. }), "cut to {len}: {error}");
        }
    }
}
