//! The program `monitored checkpoint`, run as a user runs it.
#![allow(clippy::print_stdout)] // a panic reports the failure, and the output is meant to be read
#![allow(clippy::unwrap_used)] // a test may

use std::path::{Path, PathBuf};
use std::process::Command;
use tensor::Tensor;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../checkpoint/tests/fixtures").join(name)
}

/// Runs the program; returns exit code, output and errors.
fn run(arguments: &[&dyn AsRef<std::ffi::OsStr>]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_monitored"));
    let output = command.arg("checkpoint").args(arguments.iter().map(|a| a.as_ref())).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn save(path: &Path, step: i64, value: f32) -> PathBuf {
    let tensors = vec![("w".to_owned(), Tensor::from([value, 2.0])), ("s".to_owned(), Tensor::from("x"))];
    checkpoint::Saver::default().save(&tensors, path, Some(step)).unwrap()
}

#[test]
fn list_prints_names_types_shapes_and_hashes() {
    let folder = fixture("tf_bundle/dtypes");
    let (code, out, _) = run(&[&"list", &folder.join("model.ckpt"), &"--json", &"--sha256"]);
    assert_eq!(code, 0);
    let found: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(found["format"], "bundle");
    assert!(found["step"].is_null());
    let expected = std::fs::read_to_string(folder.join("expected.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&expected).unwrap();
    let (found, expected) = (found["tensors"].as_array().unwrap(), expected["tensors"].as_array().unwrap());
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        for key in ["name", "shape", "sha256"] {
            assert_eq!(found[key], expected[key], "{found}");
        }
        if expected["bytes"].is_number() {
            assert_eq!(found["bytes"], expected["bytes"], "{found}");
        }
    }
    let dtypes: Vec<_> = found.iter().map(|row| row["dtype"].as_str().unwrap()).collect();
    for dtype in ["float32", "bfloat16", "string", "complex128", "float16", "bool"] {
        assert!(dtypes.contains(&dtype), "{dtype}");
    }
    let (code, out, _) = run(&[&"list", &fixture("checkpoint_dirs/keep3")]);
    assert!(code == 0 && out.contains("model.ckpt-5"), "a folder stands for its newest: {out}");
}

#[test]
fn verify_names_damaged_tensors() {
    let folder = tempfile::tempdir().unwrap();
    let prefix = save(&folder.path().join("m"), 1, 1.0);
    assert_eq!(run(&[&"verify", &folder.path()]).0, 0);
    let data = checkpoint::data_path(&prefix, 0, 1);
    let mut bytes = std::fs::read(&data).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&data, bytes).unwrap();
    let (code, out, _) = run(&[&"verify", &prefix]);
    assert!(code == 1 && out.contains("w: ") && out.contains("data-00000-of-00001"), "{out}");
    assert!(!out.contains("s: "));
    std::fs::write(checkpoint::index_path(&prefix), "short").unwrap();
    let (code, _, err) = run(&[&"verify", &prefix]);
    assert!(code == 1 && err.contains("m-1.index"), "{err}");
    assert_eq!(run(&[&"verify", &folder.path().join("absent")]).0, 1);
}

#[test]
fn show_prints_values_or_statistics() {
    let folder = tempfile::tempdir().unwrap();
    let prefix = save(&folder.path().join("m"), 1, 1.0);
    let (code, out, _) = run(&[&"show", &prefix, &"w"]);
    assert_eq!((code, out.as_str()), (0, "w float32 [2]\n[1. 2.]\n"));
    let (_, out, _) = run(&[&"show", &prefix, &"w", &"--stats"]);
    assert!(out.contains("mean      1.5") && out.contains("std       0.5"), "{out}");
    let (code, _, err) = run(&[&"show", &prefix, &"absent"]);
    assert!(code == 1 && err.contains("absent"), "{err}");
    let (code, _, err) = run(&[&"show", &prefix, &"scope/W"]);
    assert!(code == 1 && err.contains("is 'w' meant?"), "{err}");
}

#[test]
fn a_conversion_there_and_back_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let source = fixture("tf_bundle/partitioned/model.ckpt");
    let file = path("m.safetensors");
    for (to, target) in [("bundle", path("x.safetensors")), ("safetensors", path("x"))] {
        let (code, _, err) = run(&[&"convert", &source, &target, &"--to", &to]);
        assert!(code == 1 && err.contains("with .safetensors"), "{err}");
    }
    let (code, _, err) = run(&[&"convert", &source, &source, &"--to", &"bundle"]);
    assert!(code == 1 && err.contains("is the checkpoint that is read"), "{err}");
    assert_eq!(run(&[&"convert", &source, &file, &"--to", &"safetensors"]).0, 0);
    assert_eq!(run(&[&"convert", &file, &path("m"), &"--to", &"bundle"]).0, 0);
    for other in [&file, &path("m")] {
        let (code, out, _) = run(&[&"diff", &source, other]);
        assert_eq!((code, out.as_str()), (0, ""));
    }
    let strings = fixture("tf_bundle/merged/model.ckpt");
    let (code, _, err) = run(&[&"convert", &strings, &path("s.safetensors"), &"--to", &"safetensors"]);
    assert!(code == 1 && err.contains("p0/s"), "{err}");
    let drop = "--drop-unsupported";
    let (code, out, _) = run(&[&"convert", &strings, &path("s.safetensors"), &"--to", &"safetensors", &drop]);
    assert!(code == 0 && out.contains("dropped p0/s"), "{out}");
}

/// A safetensors file with tensors of these names and dtypes, of four bytes each.
fn safetensors(path: &Path, tensors: &[(&str, &str, &str, [u8; 4])]) {
    let entry = |(i, (name, dtype, shape, _)): (usize, &(&str, &str, &str, [u8; 4]))| {
        let (begin, end) = (4 * i, 4 * i + 4);
        format!("\"{name}\":{{\"dtype\":\"{dtype}\",\"shape\":{shape},\"data_offsets\":[{begin},{end}]}}")
    };
    let json = format!("{{{}}}", tensors.iter().enumerate().map(entry).collect::<Vec<_>>().join(","));
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.extend(json.as_bytes());
    tensors.iter().for_each(|tensor| bytes.extend(tensor.3));
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn tensors_of_unknown_dtypes_are_named_and_never_silently_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (one, two) = (path("one.safetensors"), path("two.safetensors"));
    let known = ("a", "F32", "[1]", [0, 0, 128, 63]);
    safetensors(&one, &[known, ("b.fp4", "F4", "[8]", [1; 4]), ("c.scale", "F8_E8M0", "[4]", [2; 4])]);
    safetensors(&two, &[known, ("b.fp4", "F4", "[8]", [9; 4]), ("d", "F6_E2M3", "[4]", [2; 4])]);

    let (code, out, _) = run(&[&"list", &one]);
    assert_eq!(code, 0);
    for words in ["b.fp4    F4 ", "c.scale  F8_E8M0 ", "3 tensors (2 of unknown dtypes", ", 12 bytes in"] {
        assert!(out.contains(words), "{words}: {out}");
    }
    let (_, out, _) = run(&[&"list", &one, &"--json", &"--sha256"]);
    let listed: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(listed["tensors"][1]["dtype"], "F4");
    assert_eq!(listed["tensors"][1]["sha256"].as_str().unwrap().len(), 64);

    let bundle = fixture("unknown_dtype");
    let verified = [
        (
            &one,
            ["b.fp4: not verified, its dtype F4 is", ": 1 tensors are intact, 2 of unknown dtypes are not"],
        ),
        (
            &bundle,
            ["plain: not verified, its dtype 99 is", ": 2 tensors are intact, 2 of unknown dtypes are not"],
        ),
    ];
    for (path, expected) in verified {
        let (code, out, _) = run(&[&"verify", path]);
        assert!(code == 0 && expected.iter().all(|words| out.contains(words)), "{out}");
    }

    let (code, out, _) = run(&[&"diff", &one, &two]);
    assert_eq!(code, 1);
    for words in ["b.fp4: bytes differ", "c.scale: only in", "d: only in"] {
        assert!(out.contains(words), "{words}: {out}");
    }
    assert_eq!(run(&[&"diff", &one, &one]).0, 0);

    for (to, target) in [("bundle", path("m")), ("safetensors", path("new.safetensors"))] {
        let (code, _, err) = run(&[&"convert", &one, &target, &"--to", &to]);
        assert!(code == 1 && err.contains("\"b.fp4\" has dtype F4"), "{err}");
        assert!(checkpoint::CheckpointReader::open(&target).is_err(), "nothing was written");
        let (code, out, _) = run(&[&"convert", &one, &target, &"--to", &to, &"--drop-unsupported"]);
        assert!(code == 0 && out.contains("dropped b.fp4 of dtype F4"), "{out}");
        assert!(out.contains("dropped c.scale of dtype F8_E8M0") && out.contains(": 1 tensors"), "{out}");
    }
    let (code, _, err) = run(&[&"show", &one, &"b.fp4"]);
    assert!(code == 1 && err.contains("F4"), "{err}");
    assert!(checkpoint::safetensors::SafetensorsReader::open(&one).unwrap().read_all().is_err());
}

#[test]
fn diff_reports_differences() {
    let folder = tempfile::tempdir().unwrap();
    let a = save(&folder.path().join("a"), 1, 1.0);
    let b = save(&folder.path().join("b"), 1, 1.25);
    let (code, out, _) = run(&[&"diff", &a, &b]);
    assert_eq!((code, out.as_str()), (1, "w: 1 of 2 elements differ, by up to 0.25\n"));
    assert_eq!(run(&[&"diff", &a, &b, &"--tolerance", &"0.25"]).0, 0);
    assert_eq!(run(&[&"diff", &a, &b, &"--tolerance", &"0.2"]).0, 1);
    assert_eq!(run(&[&"diff", &a, &folder.path().join("absent")]).0, 2);
    let (code, out, _) = run(&[&"diff", &a, &fixture("tf_bundle/tiny/model.ckpt")]);
    assert!(code == 1 && out.contains("s: only in") && out.contains("w/step: only in"), "{out}");
    assert!(!out.contains("w: "), "both hold the same");
}

#[test]
fn prune_keeps_the_newest() {
    let folder = tempfile::tempdir().unwrap();
    for step in 1..5 {
        save(&folder.path().join("m"), step, 1.0);
    }
    let (code, out, _) = run(&[&"prune", &folder.path(), &"--keep", &"2"]);
    assert!(code == 0 && out.contains("removed") && out.contains("m-2"), "{out}");
    let left = checkpoint::checkpoints_in(folder.path()).unwrap();
    assert_eq!(left, [folder.path().join("m-3"), folder.path().join("m-4")]);
    assert!(checkpoint::latest_checkpoint(folder.path()).unwrap().unwrap().ends_with("m-4"));
    std::fs::remove_file(folder.path().join("checkpoint")).unwrap();
    assert_eq!(run(&[&"prune", &folder.path(), &"--keep", &"1"]).0, 0);
    assert_eq!(checkpoint::checkpoints_in(folder.path()).unwrap(), [folder.path().join("m-4")]);
    assert_eq!(run(&[&"prune", &folder.path().join("absent"), &"--keep", &"1"]).0, 1);
    assert_eq!(run(&[&"prune", &folder.path(), &"--keep", &"0"]).0, 2);
}

#[test]
fn v1_checkpoints_are_listed_shown_compared_verified_and_converted() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, shards) = (fixture("v1/plain.ckpt-7"), fixture("v1/sharded.ckpt-7"));
    let (code, out, _) = run(&[&"list", &plain]);
    assert!(code == 0 && out.contains("13 tensors") && out.contains("in v1 "), "{out}");
    let (code, out, _) = run(&[&"show", &shards, &"scalar"]);
    assert!(code == 0 && out.contains("2.5"), "{out}");
    assert_eq!(run(&[&"verify", &shards]).0, 0);
    assert_eq!(run(&[&"diff", &plain, &shards]).0, 0);
    let bundle = folder.path().join("m-7");
    let (code, _, errors) = run(&[&"convert", &shards, &bundle, &"--to", &"bundle"]);
    assert_eq!((code, errors.as_str()), (0, ""));
    assert_eq!(run(&[&"diff", &plain, &bundle]).0, 0);
}
