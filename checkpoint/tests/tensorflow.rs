//! TensorFlow reads the files that this crate writes, with equal bytes.
//!
//! Runs where a Python with TensorFlow is found: the one that `MONITORED_SESSION_TF_PYTHON` names, or
//! `target/tensorflow/venv/bin/python` in the workspace. Says so where it does not.
#![allow(clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen
#![allow(clippy::unwrap_used)] // a test may

#[path = "../../tests/support/python.rs"]
mod python;

mod support;

use checkpoint::bundle::{BundleReader, BundleWriter, TensorSlice};
use checkpoint::{SaveOptions, Saver, SaverOptions};
use python::python;
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tensor::Tensor;

fn ask(python: &Path, arguments: &[&std::ffi::OsStr]) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/read_checkpoint.py");
    let output = Command::new(python).arg(script).args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Compares what TensorFlow read with what was written.
fn check(found: &Value, tensors: &[(String, Tensor)], saver: bool) {
    assert_eq!(found["tensors"].as_object().unwrap().len(), tensors.len());
    for (name, tensor) in tensors {
        let row = &found["tensors"][name];
        assert_eq!(row["dtype"], tensor.dtype().name(), "{name}");
        assert_eq!(support::shape(&row["shape"]), tensor.shape().dims(), "{name}");
        let sha256 = support::sha256(&support::raw(tensor));
        assert_eq!(row["sha256"], sha256.as_str(), "{name}");
        if saver {
            assert_eq!(found["restored"][name], sha256.as_str(), "{name} through a saver");
        }
    }
}

#[test]
fn tensorflow_reads_every_kind_of_tensor_that_we_write() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    for fixture in ["dtypes", "strings", "shapes", "names"] {
        let source = support::fixtures("tf_bundle").join(fixture).join("model.ckpt");
        let tensors = BundleReader::open(source).unwrap().read_all().unwrap();
        // Saved twice, so that the second lies in the other data file.
        let saver = Saver::default();
        let path = folder.path().join(fixture);
        saver.save(&tensors, &path, None).unwrap();
        let prefix = saver.save(&tensors, &path, None).unwrap();
        assert!(checkpoint::data_path(&prefix, 1, 2).exists());
        check(&ask(&python, &[prefix.as_os_str(), "--saver".as_ref()]), &tensors, true);
    }
}

#[test]
fn tensorflow_reads_shards_and_slices_that_we_write() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let tensors: Vec<(String, Tensor)> =
        (0..20).map(|i| (format!("scope/v{i}"), Tensor::full(i as f32, [100, i]))).collect();
    let saver = Saver::new(SaverOptions::new().shards(4));
    let prefix = saver.save(&tensors, folder.path().join("sharded"), Some(3)).unwrap();
    check(&ask(&python, &[prefix.as_os_str(), "--saver".as_ref()]), &tensors, true);

    let prefix = folder.path().join("sliced");
    let mut writer = BundleWriter::create(&prefix).unwrap();
    let whole = Tensor::from_vec((0..40).map(|i| i as f64).collect(), [10, 4]).unwrap();
    for (start, end) in [(0u64, 4u64), (4, 7), (7, 10)] {
        let part = TensorSlice::new([(start, Some(end - start)), (0, Some(4))]);
        let rows = whole.rows(start as usize, end as usize).unwrap();
        writer.add_slice("rows", &[10, 4].into(), &part, &rows).unwrap();
    }
    writer.finish().unwrap();
    check(&ask(&python, &[prefix.as_os_str(), "--saver".as_ref()]), &[("rows".to_owned(), whole)], true);
}

#[test]
fn tensorflow_reads_our_state_file_with_notes_and_times() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let options = SaverOptions::new().max_to_keep(2).keep_checkpoint_every(Duration::from_secs(3600));
    let saver = Saver::new(options);
    let tensors = vec![("w".to_owned(), Tensor::scalar(1.0f32))];
    for step in 1..5 {
        let options = SaveOptions::new().metric(step as f64).pinned(step == 1);
        saver.save_with(&tensors, folder.path().join("mö\"del"), Some(step), options).unwrap();
    }
    let found = ask(&python, &["--state".as_ref(), folder.path().as_os_str()]);
    let path = |step: i32| folder.path().join(format!("mö\"del-{step}")).to_str().unwrap().to_owned();
    assert_eq!(found["latest"], path(4));
    assert_eq!(found["all"], serde_json::json!([path(1), path(3), path(4)]));
    assert_eq!(found["timestamps"].as_array().unwrap().len(), 3);
}
