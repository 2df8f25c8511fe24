//! Files that are something else than what a command wants, and names that would take over a terminal.
#![allow(clippy::unwrap_used)] // a test may

mod support;

use std::fs;
use std::path::Path;
use support::{fixture, run_in};
use tensor::Tensor;

const POINTER: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:0123456789abcdef\nsize 12345\n";

/// The one line that a command fails with.
fn refused(folder: &Path, arguments: &[&str]) -> String {
    let arguments: Vec<&dyn AsRef<std::ffi::OsStr>> = arguments.iter().map(|text| text as _).collect();
    let answer = run_in(folder, &arguments);
    assert_eq!(answer.code, 1, "{arguments:?}: {answer:?}", arguments = arguments.len());
    assert_eq!(answer.errors.lines().count(), 1, "{answer:?}");
    answer.errors
}

#[test]
fn other_files_given_as_graphs_are_identified() {
    let folder = tempfile::tempdir().unwrap();
    let meta = fs::read(fixture("mlp_resource/model.meta")).unwrap();
    let rows: [(&str, &[u8], &[&str]); 17] = [
        ("lfs.meta", POINTER.as_bytes(), &["Git LFS pointer", "git lfs pull"]),
        ("page.pb", b"<!DOCTYPE html>\n<html><body>Sign in</body></html>", &["HTML", "download"]),
        ("graph.pb.gz", b"\x1f\x8b\x08\x00\x9b\x04\x0c\x6b\x02\xff", &["gzip", "gunzip"]),
        (
            "export.pb",
            b"\x08\x01\x12\x16\x0a\x07\x22\x05serve\x12\x0b",
            &["SavedModel", "variables/variables"],
        ),
        ("model.onnx", b"\x08\x07\x12\x07pytorch\x1a\x032.1", &["ONNX"]),
        ("weights.h5", b"\x89HDF\r\n\x1a\n\0\0", &["HDF5", "Keras"]),
        ("model.tflite", b"\x1c\0\0\0TFL3\0\0", &["TensorFlow Lite"]),
        ("cut.meta", &meta[..2000], &["inside a field", "truncated"]),
        (
            "latin1.pbtxt",
            b"node { name: \"gr\xf6\xdfe\" op: \"NoOp\" }\n",
            &["0xf6 at line 1, column 17", "Latin-1", "iconv"],
        ),
        ("utf16.pbtxt", b"\xff\xfen\0o\0d\0e\0", &["UTF-16"]),
        ("empty.meta", b"", &["empty"]),
        ("model.meta.bz2", b"BZh91AY&SY", &["bzip2", "bunzip2"]),
        ("model.meta.xz", b"\xfd7zXZ\0\0\x04", &["xz", "unxz"]),
        ("model.meta.zst", b"\x28\xb5\x2f\xfd\x04", &["Zstandard", "unzstd"]),
        ("graph.png", b"\x89PNG\r\n\x1a\n\0", &["a picture"]),
        ("llama.gguf", b"GGUF\x03\0\0\0", &["llama.cpp"]),
        ("w.safetensors", b"\x02\0\0\0\0\0\0\0{}", &["safetensors", "no graph"]),
    ];
    for (name, content, words) in rows {
        fs::write(folder.path().join(name), content).unwrap();
        let said = refused(folder.path(), &["graph", "show", name]);
        for word in words.iter().chain(&[name]) {
            assert!(said.contains(word), "{word}: {said}");
        }
    }
    let said = refused(folder.path(), &["graph", "show", "empty.meta/inner.meta"]);
    assert!(said.contains("empty.meta/inner.meta"), "{said}");
    let train: &[&str] = &["train", "--meta", ".", "--checkpoint-dir", "runs", "--steps", "1"];
    let evaluate: &[&str] = &["evaluate", "--meta", ".", "--checkpoint-dir", "runs", "--fetch", "x"];
    for command in [train, evaluate] {
        let said = refused(folder.path(), command);
        assert!(said.contains("'.' is a folder: name the file in it"), "{said}");
    }
    let text = "\u{feff}node { name: \"c\" op: \"NoOp\" }\n";
    fs::write(folder.path().join("bom.pbtxt"), text).unwrap();
    let answer = run_in(folder.path(), &[&"graph", &"show", &"bom.pbtxt"]);
    assert_eq!(answer.code, 0, "{answer:?}");
}

#[test]
fn other_files_given_as_checkpoints_are_identified() {
    let folder = tempfile::tempdir().unwrap();
    let model = std::collections::BTreeMap::from([("w".to_owned(), Tensor::from([1.0f32, 2.0]))]);
    let saved = checkpoint::Saver::default().save(&model, folder.path().join("m.ckpt"), Some(5)).unwrap();
    assert!(saved.ends_with("m.ckpt-5"));
    let say = |name: &str| refused(folder.path(), &["checkpoint", "list", name]);
    let said = say("m.ckpt-5.data-00000-of-00001");
    assert!(said.contains("a data file of a checkpoint: pass its prefix, m.ckpt-5"), "{said}");
    fs::write(folder.path().join("m.ckpt-5.meta"), b"\x0a\x00").unwrap();
    let said = say("m.ckpt-5.meta");
    assert!(said.contains("the meta graph of a checkpoint: pass its prefix, m.ckpt-5"), "{said}");
    for name in ["lfs.safetensors", "lfs.ckpt.index", "lfs.bin"] {
        fs::write(folder.path().join(name), POINTER).unwrap();
        let said = say(name);
        assert!(said.contains("Git LFS pointer"), "{name}: {said}");
    }
    fs::write(folder.path().join("weights.h5"), b"\x89HDF\r\n\x1a\n").unwrap();
    assert!(say("weights.h5").contains("HDF5"));
    let model_folder = folder.path().join("export/variables");
    fs::create_dir_all(&model_folder).unwrap();
    checkpoint::Saver::default().save(&model, model_folder.join("variables"), None).unwrap();
    assert!(say("export").contains("its variables are the checkpoint export/variables/variables"));
    let run = folder.path().join("runs/first");
    fs::create_dir_all(&run).unwrap();
    checkpoint::Saver::default().save(&model, run.join("m.ckpt"), Some(1)).unwrap();
    assert!(say("runs").contains("a folder without checkpoints, which are in runs/first"));
    fs::write(folder.path().join("m.ckpt-5.data-00000-of-00001"), "version https://git-lfs").unwrap();
    let answer = run_in(folder.path(), &[&"checkpoint", &"verify", &"m.ckpt-5"]);
    assert_eq!(answer.code, 1, "{answer:?}");
}

#[test]
fn other_files_given_as_event_files_are_identified() {
    let folder = tempfile::tempdir().unwrap();
    let name = "events.out.tfevents.1.host";
    fs::write(folder.path().join(name), POINTER).unwrap();
    let answer = run_in(folder.path(), &[&"events", &"list", &name]);
    assert_eq!(answer.code, 1);
    assert!(answer.errors.contains("Git LFS pointer") && answer.errors.contains(name), "{answer:?}");
    for run in ["train", "eval"] {
        let run = folder.path().join("logs").join(run);
        fs::create_dir_all(&run).unwrap();
        fs::write(run.join(name), "").unwrap();
    }
    let said = refused(folder.path(), &["events", "list", "logs"]);
    assert!(said.contains("logs/eval, logs/train"), "{said}");
}

#[test]
fn other_files_given_as_arrays_or_folders_are_identified() {
    let folder = tempfile::tempdir().unwrap();
    let meta = fixture("mlp_resource/model.meta");
    let meta = meta.to_str().unwrap();
    let page = b"<!DOCTYPE html><html></html>";
    for name in ["x.npy", "x.npz", "x.json", "x.txt", "page"] {
        fs::write(folder.path().join(name), page).unwrap();
        let input = format!("x={name}");
        let said = refused(folder.path(), &["run", meta, "--input", &input, "--output", "loss"]);
        assert!(said.contains("a web page (HTML)") && said.contains(name), "{said}");
    }
    for name in ["x.npy", "x.npz"] {
        let feed = format!("x={name}");
        let options = ["--checkpoint-dir", "run", "--steps", "1", "--feed", &feed];
        let said = refused(folder.path(), &[&["train", "--meta", meta], &options[..]].concat());
        assert!(said.contains("a web page (HTML)") && said.contains(name), "{said}");
    }
    let said = refused(folder.path(), &["train", "--meta", meta, "--steps", "1", "--checkpoint-dir", "page"]);
    assert!(said.contains("page is a file, but a folder is needed"), "{said}");
    let watched = run_in(folder.path(), &[&"watch", &"page", &"--updates", &"1"]);
    assert!(watched.out.contains("a web page (HTML)"), "{watched:?}");
}

#[test]
fn names_from_files_cannot_control_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let name = "w\x1b[2J\u{202e}\nfake line";
    let model = std::collections::BTreeMap::from([(name.to_owned(), Tensor::from([1.0f32]))]);
    checkpoint::Saver::default().save(&model, folder.path().join("a"), None).unwrap();
    let other = std::collections::BTreeMap::from([("x".to_owned(), Tensor::from([1.0f32]))]);
    checkpoint::Saver::default().save(&other, folder.path().join("b"), None).unwrap();
    let text = "node { name: \"\\033[2Jx\\n\" op: \"Evil\\033]0;t\\007\" }";
    fs::write(folder.path().join("evil.pbtxt"), text).unwrap();
    let commands: [&[&str]; 5] = [
        &["checkpoint", "list", "a"],
        &["checkpoint", "verify", "a"],
        &["checkpoint", "diff", "a", "b"],
        &["checkpoint", "show", "b", name],
        &["graph", "show", "evil.pbtxt"],
    ];
    for command in commands {
        let arguments: Vec<&dyn AsRef<std::ffi::OsStr>> = command.iter().map(|text| text as _).collect();
        let answer = run_in(folder.path(), &arguments);
        let shown = format!("{}{}", answer.out, answer.errors);
        let unfit = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        assert!(!shown.contains(unfit), "{command:?}: {shown:?}");
        assert!(!shown.lines().any(|line| line.starts_with("fake")), "{command:?}: {shown:?}");
    }
}
