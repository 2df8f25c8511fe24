//! Obstacles to a save are reported before there is something to lose.
#![cfg(unix)]
#![allow(clippy::unwrap_used)] // helpers of tests

use checkpoint::storage::{LocalStorage, Storage, check_file, check_folder};
use checkpoint::{Code, Error, FolderClaim, Saver, SaverOptions};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use tempfile::tempdir;
use tensor::Tensor;

fn pipe(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}

#[test]
fn only_files_may_have_the_names_of_a_saver() {
    let names = [
        "checkpoint",
        "checkpoint.lock",
        "checkpoint.journal",
        "model.ckpt-100.index",
        "model.ckpt-7.data-00000-of-00001",
        "model.ckpt-7.meta",
        "model.ckpt-7.session",
        "model.ckpt.index",
    ];
    for name in names {
        let folder = tempdir().unwrap();
        let (base, path) = (folder.path().join("model.ckpt"), folder.path().join(name));
        let saver = Saver::default();
        saver.check(&base).unwrap();
        fs::create_dir(&path).unwrap();
        let error = saver.check(&base).unwrap_err();
        assert_eq!(error.code(), Code::FailedPrecondition, "{error}");
        let text = error.to_string();
        assert!(text.contains(&format!("{name} is a folder, but a file is to be written there")), "{text}");
        assert!(text.contains("move it away, or choose another folder"), "{text}");

        fs::remove_dir(&path).unwrap();
        pipe(&path);
        let text = saver.check(&base).unwrap_err().to_string();
        assert!(text.contains(&format!("{name} is a pipe, a socket or a device")), "{text}");

        fs::remove_file(&path).unwrap();
        fs::write(&path, "").unwrap();
        saver.check(&base).unwrap();
        fs::remove_file(&path).unwrap();
        symlink(folder.path().join("nowhere"), &path).unwrap();
        saver.check(&base).unwrap();
    }
}

#[test]
fn files_of_other_programs_are_ignored() {
    let folder = tempdir().unwrap();
    for name in ["model.ckpt-best.index", "other.ckpt-1.index", "checkpoints", "model.ckpt", "events"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    let saver = Saver::default();
    saver.check(folder.path().join("model.ckpt")).unwrap();
    let model = BTreeMap::from([("w".to_owned(), Tensor::from([1.0f32]))]);
    saver.save(&model, folder.path().join("model.ckpt"), Some(1)).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 10, "the check leaves nothing behind");
}

#[test]
fn a_path_that_is_not_a_folder_is_refused() {
    let folder = tempdir().unwrap();
    let (file, link, fifo) =
        (folder.path().join("file"), folder.path().join("link"), folder.path().join("pipe"));
    fs::write(&file, "").unwrap();
    symlink(folder.path().join("nowhere/at/all"), &link).unwrap();
    pipe(&fifo);
    let storage = LocalStorage::shared();
    for (path, text) in [
        (&file, "file is a file, but a folder is needed"),
        (&link, "link is a link that leads nowhere, but a folder is needed"),
        (&fifo, "pipe is a pipe, a socket or a device, but a folder is needed"),
    ] {
        let error = FolderClaim::take(&storage, path, "a training").unwrap_err();
        assert!(matches!(error, Error::Obstructed { .. }), "{error}");
        assert!(error.to_string().contains(text), "{error}");
        let saver = Saver::new(SaverOptions::new().create_directory(true));
        let model = BTreeMap::from([("w".to_owned(), Tensor::from([1.0f32]))]);
        let error = saver.save(&model, path.join("model.ckpt"), Some(1)).unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
    }
    let missing = folder.path().join("missing");
    assert!(matches!(Saver::default().check(missing.join("m")), Err(Error::ParentMissing { .. })));
    Saver::new(SaverOptions::new().create_directory(true)).check(missing.join("m")).unwrap();
    assert!(check_folder(&LocalStorage, &missing, |_| true).unwrap_err().to_string().contains("cannot find"));
    check_file(&LocalStorage, &missing).unwrap();
    check_file(&LocalStorage, &file).unwrap();
}

#[test]
fn a_folder_that_may_not_be_written_to() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempdir().unwrap();
    let base = folder.path().join("model.ckpt");
    // The lock is there already, so that only new files are refused.
    Saver::default().save(&BTreeMap::from([("w".to_owned(), Tensor::from(1f32))]), &base, Some(1)).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(folder.path().join("anything"), "").is_ok() {
        eprintln!("skipped: the system lets this user write anywhere");
        return;
    }
    let error = Saver::default().check(&base).unwrap_err();
    assert_eq!(error.code(), Code::PermissionDenied, "{error}");
    assert!(error.to_string().contains("cannot write into"), "{error}");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn reading_a_pipe_does_not_wait_for_a_writer() {
    let folder = tempdir().unwrap();
    let prefix = folder.path().join("model.ckpt-1");
    pipe(&folder.path().join("checkpoint"));
    let error = checkpoint::latest_checkpoint(folder.path()).unwrap_err();
    assert!(
        error.to_string().contains("it is a pipe, a socket or a device, but a file is needed"),
        "{error}"
    );
    assert!(!error.is_damage(), "the checkpoints need not be damaged");
    pipe(&checkpoint::index_path(&prefix));
    let error = checkpoint::CheckpointReader::open(&prefix).unwrap_err();
    assert!(error.to_string().contains("model.ckpt-1.index"), "{error}");
    assert!(LocalStorage.open(Path::new("/dev/null")).is_err());
}
