//! Tests of savers, rule by rule.
#![allow(clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen
#![allow(clippy::unwrap_used)] // a test may

#[path = "support/observed.rs"]
mod observed;
mod support;

use checkpoint::bundle::{BundleReader, BundleWriter, TensorSlice};
use checkpoint::{
    Better, Clock, Code, Error, RestoreOptions, RestoreTarget, Result, SaveOptions, SaveSource, Saver,
    SaverOptions, Slice, VariableSpec, checkpoint_exists, get_checkpoint_state, latest_checkpoint,
    read_session_state, remove_checkpoint,
};
use observed::{Observed, Use};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tensor::{DType, Shape, Tensor};

type Model = BTreeMap<String, Tensor>;

fn model(value: i64) -> Model {
    BTreeMap::from([
        ("w".to_owned(), Tensor::from([value as f32, 2.0])),
        ("global_step".to_owned(), Tensor::scalar(value)),
    ])
}

fn step_of(model: &Model) -> i64 {
    model["global_step"].value().unwrap()
}

/// A clock that tests set.
#[derive(Debug, Default)]
struct Manual(Mutex<u64>);

impl Manual {
    fn set(&self, seconds: u64) {
        *self.0.lock().unwrap() = seconds;
    }
}

impl Clock for Manual {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(*self.0.lock().unwrap())
    }

    fn sleep(&self, time: Duration) {
        *self.0.lock().unwrap() += time.as_secs();
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| !["checkpoint.lock", "checkpoint.journal"].contains(&name.as_str()));
    names.sort();
    names
}

fn steps(paths: &[impl AsRef<Path>]) -> Vec<String> {
    let step = |path: &Path| path.to_str().unwrap().rsplit('-').next().unwrap().to_owned();
    paths.iter().map(|path| step(path.as_ref())).collect()
}

fn listed(directory: &Path) -> Vec<String> {
    steps(&get_checkpoint_state(directory, None).unwrap().unwrap().all_model_checkpoint_paths)
}

#[test]
fn s_283_prefixes_carry_the_step() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m");
    let saver = Saver::default();
    let padded = Saver::new(SaverOptions::new().pad_step_number(true));
    for (saver, step, name) in [
        (&saver, None, "m"),
        (&saver, Some(7), "m-7"),
        (&saver, Some(-3), "m--3"),
        (&padded, Some(7), "m-00000007"),
        (&padded, Some(123_456_789), "m-123456789"),
    ] {
        assert_eq!(saver.save(&model(1), &path, step).unwrap(), folder.path().join(name));
    }
}

#[test]
fn s_284_a_checkpoint_has_a_file_for_each_part() {
    let folder = tempfile::tempdir().unwrap();
    let options = SaveOptions::new().meta_graph(&b"graph"[..]).session_state(&b"state"[..]);
    let prefix = Saver::default().save_with(&model(1), folder.path().join("m"), Some(1), options).unwrap();
    let expected = ["checkpoint", "m-1.data-00000-of-00001", "m-1.index", "m-1.meta", "m-1.session"];
    assert_eq!(names(folder.path()), expected);
    assert_eq!(read_session_state(&prefix).unwrap().unwrap(), &b"state"[..]);
    remove_checkpoint(&prefix).unwrap();
    assert_eq!(names(folder.path()), ["checkpoint"], "S-313");
}

#[test]
fn s_286_checks_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let saver = |name: &str| Saver::new(SaverOptions::new().state_file(name));
    for (saver, name, step) in [
        (saver("a/b"), "m", Some(1)),
        (saver(""), "m", Some(1)),
        (saver("m.index"), "m", Some(1)),
        (saver("m"), "m", None),
        (saver("checkpoint"), "..", None),
        (saver("checkpoint"), "m/", None),
        (saver("checkpoint"), "m/", Some(1)),
        (saver("checkpoint"), "m/.", Some(1)),
        (saver("checkpoint.lock"), "m", Some(1)),
        (saver("checkpoint.journal"), "m", Some(1)),
    ] {
        let error = saver.save(&model(1), folder.path().join(name), step).unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
    }
    let empty = Model::new();
    let error = Saver::default().save(&empty, folder.path().join("m"), None).unwrap_err();
    assert!(error.to_string().contains("no variables to save"));
    assert!(names(folder.path()).is_empty());
    let saver = Saver::new(SaverOptions::new().allow_empty(true));
    let prefix = saver.save(&empty, folder.path().join("m"), None).unwrap();
    assert_eq!(BundleReader::open(prefix).unwrap().entries().count(), 0);
}

#[test]
fn s_288_a_missing_folder_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("absent/m");
    let error = Saver::default().save(&model(1), &path, None).unwrap_err();
    assert!(matches!(error, Error::ParentMissing { .. }), "{error}");
    let saver = Saver::new(SaverOptions::new().create_directory(true));
    assert!(checkpoint_exists(saver.save(&model(1), &path, None).unwrap()));
}

#[test]
fn s_289_without_state_nothing_is_listed_or_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let saver = Saver::new(SaverOptions::new().max_to_keep(1));
    for step in 1..4 {
        let options = SaveOptions::new().write_state(false);
        saver.save_with(&model(step), folder.path().join("m"), Some(step), options).unwrap();
    }
    assert_eq!(names(folder.path()).len(), 6);
    assert!(saver.last_checkpoints().is_empty());
    assert_eq!(latest_checkpoint(folder.path()).unwrap(), None);
}

#[test]
fn s_292_the_oldest_is_deleted_and_a_repeated_prefix_becomes_the_newest() {
    let folder = tempfile::tempdir().unwrap();
    let saver = Saver::new(SaverOptions::new().max_to_keep(2));
    for step in [1, 2, 1, 3] {
        saver.save(&model(step), folder.path().join("m"), Some(step)).unwrap();
    }
    assert_eq!(steps(&saver.last_checkpoints()), ["1", "3"]);
    assert_eq!(listed(folder.path()), ["1", "3"]);
    assert!(!checkpoint_exists(folder.path().join("m-2")));
    assert_eq!(latest_checkpoint(folder.path()).unwrap(), Some(folder.path().join("m-3")));
    let text = std::fs::read_to_string(folder.path().join("checkpoint")).unwrap();
    let expected = "model_checkpoint_path: \"m-3\"\nall_model_checkpoint_paths: \"m-1\"\n\
        all_model_checkpoint_paths: \"m-3\"\n";
    assert_eq!(text, expected, "as TensorFlow writes it");
}

#[test]
fn q_43_limits_are_kept_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    for step in 1..9i64 {
        // A new saver for each save, as after a restart.
        let saver = Saver::new(SaverOptions::new().max_to_keep(3).keep_best(1, Better::Lower));
        let options = SaveOptions::new().metric((step - 2).abs() as f64).pinned(step == 4);
        saver.save_with(&model(step), folder.path().join("m"), Some(step), options).unwrap();
    }
    assert_eq!(listed(folder.path()), ["2", "4", "6", "7", "8"]);
    let found = names(folder.path()).iter().filter(|name| name.ends_with(".index")).count();
    assert_eq!(found, 5);
}

#[test]
fn q_45_without_a_limit_all_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let saver = Saver::new(SaverOptions::new().max_to_keep(0));
    for step in 0..8 {
        saver.save(&model(step), folder.path().join("m"), Some(step)).unwrap();
    }
    assert_eq!(listed(folder.path()).len(), 8);
}

#[test]
fn s_322_some_are_kept_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(Manual::default());
    let options = || {
        let options = SaverOptions::new().max_to_keep(1).keep_checkpoint_every_n_hours(1.0);
        options.clock(Arc::clone(&clock) as Arc<dyn Clock>)
    };
    for step in 0..8u64 {
        // Every half hour, by a new saver each time: the last preserved time outlives a restart, too.
        clock.set(10_000 + step * 1800);
        let saver = Saver::new(options());
        saver.save(&model(step as i64), folder.path().join("m"), Some(step as i64)).unwrap();
    }
    let kept: Vec<_> =
        (0..8).filter(|step| checkpoint_exists(folder.path().join(format!("m-{step}")))).collect();
    assert_eq!(kept, [2, 4, 6, 7]);
    assert_eq!(listed(folder.path()), ["7"]);
}

#[test]
fn s_298_recovering_skips_missing_checkpoints() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m");
    for step in [1, 3] {
        Saver::default().save(&model(step), &path, Some(step)).unwrap();
    }
    let saver = Saver::new(SaverOptions::new().adopt_existing(false));
    let all: Vec<PathBuf> = (1..4).map(|step| folder.path().join(format!("m-{step}"))).collect();
    saver.recover_last_checkpoints(&all);
    assert_eq!(steps(&saver.last_checkpoints()), ["1", "3"]);
    saver.save(&model(4), &path, Some(4)).unwrap();
    assert_eq!(listed(folder.path()), ["1", "3", "4"]);
}

#[test]
fn restoring_returns_the_saved_values() {
    let folder = tempfile::tempdir().unwrap();
    let saver = Saver::default();
    let prefix = saver.save(&model(5), folder.path().join("m"), Some(5)).unwrap();
    let mut target = model(0);
    let report = saver.restore(&mut target, &prefix).unwrap();
    assert_eq!(target, model(5));
    assert_eq!(report.restored, ["global_step", "w"]);
}

#[test]
fn s_300_mismatches_name_the_tensor_and_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let saver = Saver::default();
    let prefix = saver.save(&model(5), folder.path().join("m"), Some(5)).unwrap();
    let absent = saver.restore(&mut model(0), folder.path().join("x")).unwrap_err();
    assert!(matches!(absent, Error::NotFound { .. }));
    for (name, tensor, code) in [
        ("absent", Tensor::scalar(0i64), Code::NotFound),
        ("w", Tensor::from([0.0f32; 3]), Code::InvalidArgument),
        ("w", Tensor::from([0.0f64; 2]), Code::InvalidArgument),
    ] {
        let mut target = model(0);
        target.insert(name.to_owned(), tensor);
        let before = target.clone();
        let error = saver.restore(&mut target, &prefix).unwrap_err();
        assert_eq!(error.code(), code);
        assert!(error.to_string().starts_with("restoring from checkpoint"), "{error}");
        assert!(std::error::Error::source(&error).unwrap().to_string().contains(name));
        assert_eq!(target, before, "Q-47: restoring is atomic");
    }
}

#[test]
fn restoring_can_be_lenient_partial_and_renamed() {
    let folder = tempfile::tempdir().unwrap();
    let saver = Saver::default();
    let prefix = saver.save(&model(5), folder.path().join("m"), Some(5)).unwrap();
    let mut target = Model::from([
        ("scope/w".to_owned(), Tensor::from([[0.0f32], [0.0]])),
        ("new".to_owned(), Tensor::scalar(1u8)),
    ]);
    let options = RestoreOptions::new().allow_missing(true).rename("scope/w", "w").reshape(true);
    let report = saver.restore_with(&mut target, &prefix, &options).unwrap();
    assert_eq!(target["scope/w"], Tensor::from([[5.0f32], [2.0]]));
    assert_eq!((report.missing, report.reshaped), (vec!["new".to_owned()], vec!["scope/w".to_owned()]));
    assert_eq!(report.unexpected, ["global_step"]);
    let strict = options.allow_unexpected(false);
    assert!(saver.restore_with(&mut target, &prefix, &strict).is_err());

    let mut target = model(0);
    let only = RestoreOptions::new().only(|name| name == "w").allow_unexpected(false);
    let report = saver.restore_with(&mut target, &prefix, &only).unwrap();
    assert_eq!((step_of(&target), report.restored), (0, vec!["w".to_owned()]));
}

#[test]
fn s_303_object_based_files_are_restored_by_usual_names() {
    let folder = support::fixtures("tf_bundle/object_based");
    let reader = BundleReader::open(folder.join("ckpt")).unwrap();
    let key = "v/.ATTRIBUTES/VARIABLE_VALUE";
    let key = if reader.contains(key) { key.to_owned() } else { first_variable(&reader) };
    let stored = reader.read(&key).unwrap();
    let names = usual_names(&reader);
    let name = names.iter().find(|(_, stored)| **stored == key).unwrap().0;
    let mut target = Model::from([(name.clone(), Tensor::zeros(stored.dtype(), stored.shape()).unwrap())]);
    Saver::default().restore(&mut target, folder.join("ckpt")).unwrap();
    assert_eq!(target[name], stored);
}

fn first_variable(reader: &BundleReader) -> String {
    reader.entries().map(|info| info.name).find(|name| name.ends_with("VARIABLE_VALUE")).unwrap()
}

/// Usual names by a crude search: a full name stands just before its key in the graph.
fn usual_names(reader: &BundleReader) -> BTreeMap<String, String> {
    let graph = reader.read("_CHECKPOINTABLE_OBJECT_GRAPH").unwrap();
    let graph = graph.as_strings().unwrap()[0].clone();
    let mut names = BTreeMap::new();
    for key in reader.entries().map(|info| info.name) {
        let needle = [&[0x1a, key.len() as u8], key.as_bytes()].concat();
        if let Some(at) = graph.windows(needle.len()).position(|window| window == needle) {
            let start = graph[..at].iter().rposition(|&byte| byte == 0x12).unwrap();
            names.insert(String::from_utf8(graph[start + 2..at].to_vec()).unwrap(), key);
        }
    }
    names
}

/// A variable in two parts along its rows.
struct Partitioned {
    rows: [Vec<f32>; 2],
}

impl Partitioned {
    fn part(&self, i: usize) -> (u64, u64) {
        let before = if i == 0 { 0 } else { self.rows[0].len() };
        (before as u64, self.rows[i].len() as u64)
    }

    fn full(&self) -> Shape {
        Shape::from([self.rows[0].len() + self.rows[1].len()])
    }
}

impl SaveSource for Partitioned {
    fn tensors(&self) -> Result<Vec<(String, Tensor)>> {
        Ok(Vec::new())
    }

    fn slices(&self) -> Result<Vec<(Slice, Tensor)>> {
        let slice = |i: usize| {
            let (start, length) = self.part(i);
            let part = TensorSlice::new([(start, Some(length))]);
            let slice = Slice { name: "v".to_owned(), full_shape: self.full(), part };
            (slice, Tensor::from(self.rows[i].clone()))
        };
        Ok(vec![slice(0), slice(1)])
    }
}

impl RestoreTarget for Partitioned {
    fn variables(&self) -> Vec<VariableSpec> {
        let spec = |i: usize| {
            let (start, length) = self.part(i);
            let shape = Some(Shape::from([length as usize]));
            let part = TensorSlice::new([(start, Some(length))]);
            VariableSpec::new(format!("v/part_{i}"), DType::Float32, shape).part_of("v", self.full(), part)
        };
        vec![spec(0), spec(1)]
    }

    fn assign(&mut self, values: Vec<(String, Tensor)>) -> Result<()> {
        for (name, tensor) in values {
            self.rows[usize::from(name == "v/part_1")] = tensor.to_vec().unwrap();
        }
        Ok(())
    }
}

#[test]
fn s_275_a_partitioned_variable_is_restored_in_other_parts() {
    let folder = tempfile::tempdir().unwrap();
    let saver = Saver::default();
    let source = Partitioned { rows: [vec![1.0, 2.0], vec![3.0, 4.0, 5.0]] };
    let prefix = saver.save(&source, folder.path().join("m"), None).unwrap();
    assert_eq!(BundleReader::open(&prefix).unwrap().slices("v").unwrap().len(), 2);
    let mut target = Partitioned { rows: [vec![0.0; 4], vec![0.0]] };
    saver.restore(&mut target, &prefix).unwrap();
    assert_eq!(target.rows, [vec![1.0, 2.0, 3.0, 4.0], vec![5.0]]);
    let mut whole = Model::from([("v".to_owned(), Tensor::from([0.0f32; 5]))]);
    saver.restore(&mut whole, &prefix).unwrap();
    assert_eq!(whole["v"], Tensor::from([1.0f32, 2.0, 3.0, 4.0, 5.0]));
}

#[test]
fn a_damaged_newest_checkpoint_is_skipped_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let saver = Saver::default();
    let path = folder.path().join("m");
    for step in 1..5 {
        saver.save(&model(step), &path, Some(step)).unwrap();
    }
    // 4 with a flipped byte, 3 without its data.
    let data = folder.path().join("m-4.data-00000-of-00001");
    let mut bytes = std::fs::read(&data).unwrap();
    bytes[3] ^= 1;
    std::fs::write(&data, bytes).unwrap();
    std::fs::remove_file(folder.path().join("m-3.data-00000-of-00001")).unwrap();
    let mut target = model(0);
    let options = RestoreOptions::new();
    let report = saver.restore_latest(&mut target, folder.path(), &options).unwrap().unwrap();
    assert_eq!(step_of(&target), 2);
    assert_eq!(report.prefix, folder.path().join("m-2"));
    assert_eq!(steps(&report.rejected.iter().map(|(path, _)| path).collect::<Vec<_>>()), ["4", "3"]);
    assert_eq!(report.rejected[0].1.code(), Code::DataLoss);
    let strict = options.clone().fallback(false);
    assert!(saver.restore_latest(&mut target, folder.path(), &strict).is_err());

    // A mismatch is not damage.
    let mut other = Model::from([("w".to_owned(), Tensor::scalar(0u8))]);
    remove_checkpoint(folder.path().join("m-4")).unwrap();
    remove_checkpoint(folder.path().join("m-3")).unwrap();
    let error = saver.restore_latest(&mut other, folder.path(), &options).unwrap_err();
    assert!(matches!(error, Error::RestoreMismatch { .. }));

    // Without a state file what lies there is found all the same.
    std::fs::remove_file(folder.path().join("checkpoint")).unwrap();
    let report = saver.restore_latest(&mut target, folder.path(), &options).unwrap().unwrap();
    assert!(report.prefix.ends_with("m-2") && report.rejected.is_empty());
    let empty = tempfile::tempdir().unwrap();
    assert!(saver.restore_latest(&mut target, empty.path(), &options).unwrap().is_none());
}

#[test]
fn a_background_save_is_the_state_of_the_call() {
    let folder = tempfile::tempdir().unwrap();
    let saver = Saver::default();
    let mut source = model(1);
    let prefix =
        saver.save_in_background(&source, folder.path().join("m"), Some(1), SaveOptions::new()).unwrap();
    source.insert("global_step".to_owned(), Tensor::scalar(2i64));
    saver.wait().unwrap();
    assert!(!saver.is_saving());
    let mut target = model(0);
    saver.restore(&mut target, prefix).unwrap();
    assert_eq!(step_of(&target), 1);
}

#[test]
fn a_background_save_releases_its_values_before_it_writes() {
    let folder = tempfile::tempdir().unwrap();
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let wait = gate.clone();
    // No file is created before it is allowed.
    let storage = Observed(move |used, _: &Path| {
        if used == Use::Create {
            let (allowed, changed) = &*wait;
            drop(changed.wait_while(allowed.lock().unwrap(), |allowed| !*allowed).unwrap());
        }
        Ok(())
    });
    let saver = Saver::new(SaverOptions::new().storage(Arc::new(storage)));
    let mut source = Model::from([("w".to_owned(), Tensor::full(1f32, [1000]))]);
    let prefix =
        saver.save_in_background(&source, folder.path().join("m"), None, SaveOptions::new()).unwrap();
    let w = source.get_mut("w").unwrap();
    // Nothing has been written, and the variable can be without a copy.
    while !w.is_writable() {
        std::thread::yield_now();
    }
    w.as_mut_slice::<f32>().unwrap().fill(2.0);
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
    saver.wait().unwrap();
    let mut target = Model::from([("w".to_owned(), Tensor::full(0f32, [1000]))]);
    saver.restore(&mut target, prefix).unwrap();
    assert_eq!(target["w"], Tensor::full(1f32, [1000]));
}

#[test]
fn a_background_error_surfaces_at_the_next_call_once() {
    let folder = tempfile::tempdir().unwrap();
    let saver = Saver::default();
    let inside = folder.path().join("inside");
    std::fs::create_dir(&inside).unwrap();
    std::fs::write(inside.join("file"), "").unwrap();
    // A folder that is a file: only the background thread notices.
    let path = inside.join("file/m");
    saver.save_in_background(&model(1), &path, None, SaveOptions::new()).unwrap();
    let error = saver.save(&model(2), inside.join("m"), None).unwrap_err();
    assert!(matches!(error, Error::Background { .. }), "{error}");
    assert!(names(&inside).len() == 1, "nothing was saved");
    saver.save(&model(2), inside.join("m"), None).unwrap();
    saver.save_in_background(&model(1), &path, None, SaveOptions::new()).unwrap();
    assert!(saver.close().is_err());
}

#[test]
fn another_process_is_kept_out_with_a_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let lock = folder.path().join("checkpoint.lock");
    std::fs::write(&lock, "process 4711 since 0").unwrap();
    // An open file of our own behaves as another process's would.
    let other = std::fs::File::open(&lock).unwrap();
    other.lock().unwrap();
    let saver = Saver::default();
    let error = saver.save(&model(1), folder.path().join("m"), None).unwrap_err();
    assert!(error.to_string().contains("process 4711"), "{error}");
    assert_eq!(error.code(), Code::FailedPrecondition);
    other.unlock().unwrap();
    saver.save(&model(1), folder.path().join("m"), None).unwrap();
}

#[test]
fn saving_a_prefix_again_replaces_tensors_and_state_together() {
    let folder = tempfile::tempdir().unwrap();
    let saver = Saver::default();
    for round in 0..5u8 {
        let options = SaveOptions::new().session_state(vec![round]);
        // The tensors are the same every other time: then only the state differs.
        let prefix = saver.save_with(&model(i64::from(round / 2)), folder.path().join("m"), None, options);
        assert_eq!(*read_session_state(prefix.unwrap()).unwrap().unwrap(), [round]);
        let states = names(folder.path()).iter().filter(|name| name.contains(".session")).count();
        assert_eq!(states, 1);
    }
    let prefix = saver.save(&model(9), folder.path().join("m"), None).unwrap();
    assert_eq!(read_session_state(prefix).unwrap(), None);
}

#[test]
fn many_shards_hold_about_equal_parts() {
    let folder = tempfile::tempdir().unwrap();
    let saver = Saver::new(SaverOptions::new().shards(3));
    let source: Model = (0..30).map(|i| (format!("v{i:02}"), Tensor::full(i as f32, [100]))).collect();
    let prefix = saver.save(&source, folder.path().join("m"), None).unwrap();
    for shard in 0..3 {
        let data = checkpoint::data_path(&prefix, shard, 3);
        assert_eq!(std::fs::metadata(data).unwrap().len(), 4000);
    }
    let mut target: Model = source.keys().map(|name| (name.clone(), Tensor::full(0.0f32, [100]))).collect();
    saver.restore(&mut target, prefix).unwrap();
    assert_eq!(target, source);
}

#[test]
fn s_308_to_s_310_state_files_of_tensorflow_are_read() {
    for folder in support::folders("checkpoint_dirs") {
        let expected = support::json(folder.join("expected.json"));
        let name = expected["state_file"].as_str().unwrap_or("checkpoint");
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        assert_eq!(text, expected["state_text"].as_str().unwrap());
        let parsed = checkpoint::CheckpointState::parse(&text).unwrap();
        assert_eq!(parsed.to_text(), text, "written again byte for byte");
        let state = get_checkpoint_state(&folder, Some(name)).unwrap().unwrap();
        let path =
            |value: &serde_json::Value| folder.join(value.as_str().unwrap()).to_str().unwrap().to_owned();
        assert_eq!(state.model_checkpoint_path, path(&expected["model_checkpoint_path"]));
        let all: Vec<_> =
            expected["all_model_checkpoint_paths"].as_array().unwrap().iter().map(path).collect();
        assert_eq!(state.all_model_checkpoint_paths, all);
        let latest =
            checkpoint::latest_checkpoint_with(&checkpoint::storage::LocalStorage, &folder, Some(name));
        assert_eq!(latest.unwrap(), expected["latest_checkpoint"].as_str().map(|name| folder.join(name)));
        for (prefix, tensors) in expected["tensors"].as_object().unwrap() {
            support::check_tensors(tensors, &BundleReader::open(folder.join(prefix)).unwrap());
        }
    }
}

#[test]
fn s_308_an_unreadable_state_file_counts_as_absent() {
    let folder = tempfile::tempdir().unwrap();
    assert!(get_checkpoint_state(folder.path(), None).unwrap().is_none());
    let without_newest = &b"model_checkpoint_path: \"\""[..];
    for content in [&b"nonsense: 1"[..], b"\xff", b"", b" \n\n", b"# only\n", without_newest] {
        std::fs::write(folder.path().join("checkpoint"), content).unwrap();
        assert!(get_checkpoint_state(folder.path(), None).unwrap().is_none());
        // None keeps a new checkpoint from being saved, or one that lies there from being found.
        Saver::default().save(&model(1), folder.path().join("m"), Some(1)).unwrap();
        std::fs::write(folder.path().join("checkpoint"), content).unwrap();
        let mut target = model(0);
        let report = Saver::default().restore_latest(&mut target, folder.path(), &RestoreOptions::new());
        assert!(report.unwrap().unwrap().prefix.ends_with("m-1"));
    }
}

#[test]
fn s_310_latest_is_none_when_its_files_are_gone() {
    let folder = tempfile::tempdir().unwrap();
    let saver = Saver::default();
    for step in 1..3 {
        saver.save(&model(step), folder.path().join("m"), Some(step)).unwrap();
    }
    remove_checkpoint(folder.path().join("m-2")).unwrap();
    assert_eq!(latest_checkpoint(folder.path()).unwrap(), None);
    let mut writer = BundleWriter::create(folder.path().join("m-2")).unwrap();
    writer.add("x", &Tensor::scalar(1u8)).unwrap();
    writer.finish().unwrap();
    assert_eq!(latest_checkpoint(folder.path()).unwrap(), Some(folder.path().join("m-2")));
}

#[test]
fn a_folder_can_be_moved() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    std::fs::create_dir(&a).unwrap();
    let saver = Saver::default();
    saver.save(&model(1), a.join("m"), Some(1)).unwrap();
    saver.close().unwrap();
    std::fs::rename(&a, &b).unwrap();
    assert_eq!(latest_checkpoint(&b).unwrap(), Some(b.join("m-1")));
}

#[test]
fn a_deleted_folder_can_be_recreated() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("inside");
    let saver = Saver::new(SaverOptions::new().create_directory(true));
    saver.save(&model(1), inside.join("m"), Some(1)).unwrap();
    std::fs::remove_dir_all(&inside).unwrap();
    saver.save(&model(2), inside.join("m"), Some(2)).unwrap();
    assert_eq!(latest_checkpoint(&inside).unwrap(), Some(inside.join("m-2")));
    assert_eq!(listed(&inside), ["2"]);
}
