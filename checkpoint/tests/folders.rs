//! Folders as they are found in the world: with files of other programs, copied, moved, reached by several
//! names, used by several savers at once.
#![allow(clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen
#![allow(clippy::unwrap_used)] // a test may

#[path = "support/disk.rs"]
mod disk;
#[path = "support/observed.rs"]
mod observed;

use checkpoint::bundle::BundleReader;
use checkpoint::storage::Storage;
use checkpoint::{
    CheckpointReader, Code, Error, RestoreOptions, SaveOptions, Saver, SaverOptions, checkpoint_exists,
    checkpoints_in, data_path, get_checkpoint_state, index_path, latest_checkpoint,
};
use disk::{Disk, Fate, Faulty};
use observed::{Observed, Use};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tensor::Tensor;

type Model = BTreeMap<String, Tensor>;

fn model(value: i64) -> Model {
    BTreeMap::from([
        ("w".to_owned(), Tensor::from([value as f32, 2.0])),
        ("global_step".to_owned(), Tensor::scalar(value)),
    ])
}

fn keeping(count: usize) -> Saver {
    Saver::new(SaverOptions::new().max_to_keep(count))
}

fn save(folder: &Path, steps: impl IntoIterator<Item = i64>) {
    let saver = keeping(0);
    for step in steps {
        saver.save(&model(step), folder.join("m"), Some(step)).unwrap();
    }
}

/// The steps of a folder's checkpoints.
fn steps(folder: &Path) -> Vec<i64> {
    let step = |prefix: PathBuf| prefix.to_str().unwrap().rsplit_once('-').unwrap().1.parse().unwrap();
    checkpoints_in(folder).unwrap().into_iter().map(step).collect()
}

fn restored(saver: &Saver, folder: &Path) -> checkpoint::Result<Option<i64>> {
    let mut target = model(-1);
    let report = saver.restore_latest(&mut target, folder, &RestoreOptions::new())?;
    Ok(report.map(|_| target["global_step"].value().unwrap()))
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

fn copy_checkpoint(from: &Path, to: &Path) {
    std::fs::copy(index_path(from), index_path(to)).unwrap();
    std::fs::copy(data_path(from, 0, 1), data_path(to, 0, 1)).unwrap();
}

// ---- files of others --------------------------------------------------------------------------------

#[test]
fn files_of_other_programs_are_kept_whatever_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m");
    save(folder.path(), [1]);
    let foreign = [
        "notes.txt",
        "bot.session",
        "bot.session-2",
        "train.data-00000-of-00002",
        "train.data-00001-of-00002",
        "train.meta",
        "corpus.index",
        "m-2.data-00000-of-00001.tempstate123",
        "m-2.index.tempstate77",
        "checkpoint.tempstate9",
        // Copies under way: their indexes have not arrived yet.
        "m-3.data-00000-of-00001",
        "m-3.meta",
        "m-4.data-00000-of-00001",
        "m-1.data-00000-of-00002",
        "m-5.session",
    ];
    for name in foreign {
        std::fs::write(folder.path().join(name), format!("precious {name}")).unwrap();
    }
    let saver = keeping(1);
    for step in 2..8 {
        let options = SaveOptions::new().session_state(vec![1]);
        saver.save_with(&model(step), &path, Some(step), options).unwrap();
        assert_eq!(restored(&keeping(1), folder.path()).unwrap(), Some(step));
    }
    for name in foreign {
        let content = std::fs::read_to_string(folder.path().join(name));
        assert_eq!(content.ok(), Some(format!("precious {name}")), "{name}");
    }
}

#[test]
fn a_session_state_does_not_overwrite_files_of_another_program() {
    let folder = tempfile::tempdir().unwrap();
    let (saver, path) = (Saver::default(), folder.path().join("bot"));
    let save = || saver.save_with(&model(1), &path, None, SaveOptions::new().session_state(vec![7]));
    std::fs::write(folder.path().join("bot.session"), "precious").unwrap();
    for _ in 0..3 {
        save().unwrap();
        assert_eq!(*checkpoint::read_session_state(&path).unwrap().unwrap(), [7]);
    }
    assert_eq!(std::fs::read_to_string(folder.path().join("bot.session")).unwrap(), "precious");
    std::fs::write(folder.path().join("bot.session-2"), "precious").unwrap();
    let error = save().unwrap_err();
    assert!(error.to_string().contains("files of another program"), "{error}");
}

#[test]
fn a_killed_save_is_cleaned_up_by_the_next_and_nothing_else_is() {
    let mut interrupted = 0;
    for at in 0..200 {
        let disk = Disk::default();
        let storage: Arc<dyn Storage> = Arc::new(disk.clone());
        let saver = |storage: &Arc<dyn Storage>| {
            Saver::new(SaverOptions::new().storage(Arc::clone(storage)).shards(2))
        };
        saver(&storage).save(&model(1), "d/m", Some(1)).unwrap();
        let before = disk.paths();
        // Another program copies a checkpoint of the same names in, data first.
        let foreign = ["d/m-3.data-00000-of-00002", "d/m-3.meta", "d/m-2.index.tempstate5"];
        let faulty: Arc<dyn Storage> = Arc::new(Faulty::new(Arc::clone(&storage), at, Fate::Freeze));
        let options = SaveOptions::new().session_state(vec![1]).meta_graph(&b"graph"[..]);
        let killed = saver(&faulty).save_with(&model(2), "d/m", Some(2), options).is_err();
        foreign.iter().for_each(|path| disk.put(path, "precious"));
        saver(&storage).save_with(&model(9), "d/m", Some(9), SaveOptions::new()).unwrap();
        let after = disk.paths();
        for path in before.iter().map(PathBuf::as_path).chain(foreign.iter().map(Path::new)) {
            assert!(after.iter().any(|found| found == path), "{at}: {} is gone", path.display());
        }
        let whole = checkpoint::checkpoint_exists_with(&disk, Path::new("d/m-2"));
        for path in after.iter().filter(|path| !foreign.iter().any(|known| *path == Path::new(known))) {
            let name = path.file_name().unwrap().to_str().unwrap();
            assert!(!name.contains("tempstate"), "{at}: {name}");
            assert!(whole || !name.starts_with("m-2."), "{at}: {name} is left over");
        }
        if !killed {
            break;
        }
        interrupted += 1;
    }
    assert!((20..200).contains(&interrupted), "{interrupted}");
}

#[test]
fn a_missing_or_foreign_journal_loses_no_file() {
    for content in [None, Some("dear diary"), Some("")] {
        let folder = tempfile::tempdir().unwrap();
        save(folder.path(), 1..4);
        let journal = folder.path().join("checkpoint.journal");
        match content {
            None => std::fs::remove_file(&journal).unwrap(),
            Some(content) => std::fs::write(&journal, content).unwrap(),
        }
        let saver = keeping(1);
        for step in 4..7 {
            saver.save(&model(step), folder.path().join("m"), Some(step)).unwrap();
        }
        assert_eq!(steps(folder.path()), [1, 2, 3, 6], "{content:?}");
        if let Some(content @ "dear diary") = content {
            assert_eq!(std::fs::read_to_string(&journal).unwrap(), content);
        }
    }
}

// ---- what is deleted --------------------------------------------------------------------------------

#[test]
fn a_copied_run_never_deletes_the_checkpoints_of_its_original() {
    for relative in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("run1"), folder.path().join("run2"));
        std::fs::create_dir(&one).unwrap();
        let saver = |count| Saver::new(SaverOptions::new().max_to_keep(count).save_relative_paths(relative));
        let first = saver(3);
        for step in 1..4 {
            first.save(&model(step), one.join("m"), Some(step)).unwrap();
        }
        drop(first);
        copy_folder(&one, &two);
        let second = saver(2);
        for step in 4..9 {
            second.save(&model(step), two.join("m"), Some(step)).unwrap();
        }
        assert_eq!(steps(&one), [1, 2, 3], "relative: {relative}");
        // In the copy the files are the same, and so is the right to delete them.
        assert_eq!(steps(&two), [7, 8]);
        assert_eq!(second.last_checkpoints(), [two.join("m-7"), two.join("m-8")]);
    }
}

#[test]
fn paths_that_lead_out_of_the_folder_are_never_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    for path in [&one, &two] {
        std::fs::create_dir(path).unwrap();
    }
    save(&one, 1..4);
    let text: String = ["../one/m-1", "../one/m-2", "../two/../one/m-3"]
        .iter()
        .map(|path| format!("all_model_checkpoint_paths: \"{path}\"\n# monitored: \"{path}\" doomed\n"))
        .collect();
    std::fs::write(two.join("checkpoint"), format!("model_checkpoint_path: \"../one/m-3\"\n{text}")).unwrap();
    assert_eq!(restored(&keeping(1), &two).unwrap(), Some(3), "reading is allowed");
    let saver = Saver::new(SaverOptions::new().max_to_keep(1).delete_adopted(true));
    saver.save(&model(4), two.join("m"), Some(4)).unwrap();
    saver.prune(&two).unwrap();
    assert_eq!((steps(&one), steps(&two)), (vec![1, 2, 3], vec![4]));
}

#[test]
fn adopted_checkpoints_are_deleted_only_on_request() {
    let elsewhere = tempfile::tempdir().unwrap();
    save(elsewhere.path(), 1..4);
    let fresh = || {
        let folder = tempfile::tempdir().unwrap();
        for step in 1..4 {
            let name = format!("m-{step}");
            copy_checkpoint(&elsewhere.path().join(&name), &folder.path().join(&name));
        }
        std::fs::copy(elsewhere.path().join("checkpoint"), folder.path().join("checkpoint")).unwrap();
        folder
    };
    let folder = fresh();
    let saver = keeping(2);
    saver.save(&model(4), folder.path().join("m"), Some(4)).unwrap();
    assert_eq!(steps(folder.path()), [1, 2, 3, 4]);
    let listed = get_checkpoint_state(folder.path(), None).unwrap().unwrap().all_model_checkpoint_paths;
    assert_eq!(listed.len(), 2, "it leaves the list");

    let folder = fresh();
    let saver = Saver::new(SaverOptions::new().max_to_keep(2).delete_adopted(true));
    saver.save(&model(4), folder.path().join("m"), Some(4)).unwrap();
    assert_eq!(steps(folder.path()), [3, 4]);

    let folder = fresh();
    let saver = keeping(2);
    saver.recover_last_checkpoints(&[folder.path().join("m-1"), folder.path().join("m-3")]);
    saver.save(&model(4), folder.path().join("m"), Some(4)).unwrap();
    assert_eq!(steps(folder.path()), [2, 3, 4], "what is given by name");

    let folder = fresh();
    assert_eq!(keeping(1).prune(folder.path()).unwrap().len(), 2);
    assert_eq!(steps(folder.path()), [3], "the requested one");
}

#[test]
fn a_foreign_checkpoint_that_replaced_one_of_the_saver_stays() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    save(elsewhere.path(), [70]);
    let saver = keeping(2);
    for step in 1..3 {
        saver.save(&model(step), folder.path().join("m"), Some(step)).unwrap();
    }
    copy_checkpoint(&elsewhere.path().join("m-70"), &folder.path().join("m-1"));
    saver.save(&model(3), folder.path().join("m"), Some(3)).unwrap();
    assert_eq!(steps(folder.path()), [1, 2, 3]);
    saver.save(&model(4), folder.path().join("m"), Some(4)).unwrap();
    assert_eq!(steps(folder.path()), [1, 3, 4]);
}

#[test]
fn a_rejected_checkpoint_is_never_deleted() {
    let folder = tempfile::tempdir().unwrap();
    save(folder.path(), 1..4);
    let data = data_path(folder.path().join("m-3"), 0, 1);
    let mut bytes = std::fs::read(&data).unwrap();
    bytes[0] ^= 1;
    std::fs::write(&data, bytes).unwrap();
    let saver = keeping(1);
    assert_eq!(restored(&saver, folder.path()).unwrap(), Some(2));
    for step in 4..7 {
        saver.save(&model(step), folder.path().join("m"), Some(step)).unwrap();
    }
    assert_eq!(steps(folder.path()), [3, 6]);
    drop(saver);
    let later = keeping(1);
    assert_eq!(restored(&later, folder.path()).unwrap(), Some(6));
    later.save(&model(7), folder.path().join("m"), Some(7)).unwrap();
    assert_eq!(steps(folder.path()), [3, 7]);
}

// ---- paths ------------------------------------------------------------------------------------------

#[cfg(unix)]
#[test]
fn a_folder_is_the_same_under_all_its_names() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("run");
    std::fs::create_dir(&folder).unwrap();
    std::os::unix::fs::symlink(&folder, root.path().join("link")).unwrap();
    let names = ["run", "link", "./run", "run/../link"].map(|name| root.path().join(name));
    let saver = keeping(2);
    for (step, name) in (1..).zip(names.iter().cycle()).take(9) {
        saver.save(&model(step), name.join("m"), Some(step)).unwrap();
        assert_eq!(latest_checkpoint(name).unwrap(), Some(name.join(format!("m-{step}"))));
    }
    assert_eq!(steps(&folder), [8, 9]);
    // The same prefix under another name is the same checkpoint: it moves to the end of the list.
    saver.save(&model(8), names[1].join("m"), Some(8)).unwrap();
    assert!(saver.pin(names[2].join("m-9")).unwrap());
    saver.save(&model(10), names[0].join("m"), Some(10)).unwrap();
    saver.save(&model(11), names[3].join("m"), Some(11)).unwrap();
    assert_eq!(steps(&folder), [9, 10, 11], "pinned and the last two");
    // A restart that comes by another name, with absolute paths in the state file.
    drop(saver);
    let saver = Saver::new(SaverOptions::new().max_to_keep(2).save_relative_paths(false));
    saver.save(&model(12), names[0].join("m"), Some(12)).unwrap();
    drop(saver);
    let saver = keeping(2);
    saver.save(&model(13), names[1].join("m"), Some(13)).unwrap();
    assert_eq!(steps(&folder), [9, 12, 13]);
}

#[test]
fn a_prefix_that_ends_with_a_separator_is_refused_and_touches_nothing() {
    let root = tempfile::tempdir().unwrap();
    save(root.path(), [7]);
    std::fs::create_dir(root.path().join("epoch88")).unwrap();
    let before = std::fs::read(root.path().join("checkpoint")).unwrap();
    for step in [None, Some(3)] {
        let path = format!("{}/epoch88/", root.path().display());
        let error = Saver::default().save(&model(1), &path, step).unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument);
        assert!(error.to_string().contains("names no checkpoint"), "{error}");
        assert!(checkpoint::bundle::BundleWriter::create(&path).is_err());
    }
    assert_eq!(std::fs::read(root.path().join("checkpoint")).unwrap(), before);
    assert_eq!(std::fs::read_dir(root.path().join("epoch88")).unwrap().count(), 0);
}

#[test]
fn a_moved_folder_resumes_from_its_state_file() {
    for listed in ["/home/someone/run/", r"C:\\Users\\me\\run\\", "run/", "./", "../old/run/"] {
        let folder = tempfile::tempdir().unwrap();
        save(folder.path(), [10, 20, 30]);
        // 20 was copied last.
        let newer = std::time::SystemTime::now() + Duration::from_secs(60);
        let index =
            std::fs::File::options().append(true).open(index_path(folder.path().join("m-20"))).unwrap();
        index.set_modified(newer).unwrap();
        let mut text = format!("model_checkpoint_path: \"{listed}m-30\"\n");
        for step in [10, 20, 30] {
            text.push_str(&format!("all_model_checkpoint_paths: \"{listed}m-{step}\"\n"));
        }
        std::fs::write(folder.path().join("checkpoint"), text).unwrap();
        let newest = latest_checkpoint(folder.path()).unwrap().unwrap();
        assert_eq!(CheckpointReader::open(folder.path()).unwrap().step(), Some(30), "{listed}");
        assert!(newest.ends_with("m-30"), "{listed}");
        let saver = keeping(2);
        assert_eq!(restored(&saver, folder.path()).unwrap(), Some(30), "{listed}");
        saver.save(&model(40), folder.path().join("m"), Some(40)).unwrap();
        assert_eq!(steps(folder.path()), [30, 40], "{listed}: limits are known, too");
    }
}

#[test]
fn without_a_state_file_the_highest_step_counts_and_not_the_time_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    save(folder.path(), [100, 20, 3]);
    std::fs::remove_file(folder.path().join("checkpoint")).unwrap();
    assert_eq!(restored(&keeping(1), folder.path()).unwrap(), Some(100));
    assert_eq!(CheckpointReader::open(folder.path()).unwrap().step(), Some(100));
}

#[test]
fn relative_folders_are_found_again_with_and_without_relative_paths() {
    // Relative to the crate's own folder, in which tests run.
    let folder = tempfile::tempdir_in(".").unwrap();
    let relative = Path::new(folder.path().file_name().unwrap());
    for relative_paths in [false, true] {
        for step in 1..6 {
            let options = SaverOptions::new().max_to_keep(2).save_relative_paths(relative_paths);
            Saver::new(options).save(&model(step), relative.join("m"), Some(step)).unwrap();
            assert_eq!(latest_checkpoint(relative).unwrap(), Some(relative.join(format!("m-{step}"))));
        }
        assert_eq!(steps(relative), [4, 5], "limits outlive a restart");
    }
}

// ---- what counts as a checkpoint --------------------------------------------------------------------

#[test]
fn files_that_only_look_like_checkpoints_neither_block_nor_are_pruned() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["corpus.index", "faiss-9.index", "half-99.index"] {
        std::fs::write(folder.path().join(name), "some other program's").unwrap();
    }
    assert_eq!(restored(&Saver::default(), folder.path()).unwrap(), None);
    assert!(!Saver::default().has_checkpoint(folder.path()).unwrap());
    assert!(matches!(CheckpointReader::open(folder.path()), Err(Error::NotFound { .. })));
    assert!(matches!(keeping(1).prune(folder.path()), Err(Error::NotFound { .. })));
    save(folder.path(), [1, 2, 3]);
    Saver::default().save(&model(0), folder.path().join("pretrained"), None).unwrap();
    let writer = Saver::default();
    for step in [1, 2] {
        let options = SaveOptions::new().write_state(false);
        writer.save_with(&model(step), folder.path().join("best"), Some(step), options).unwrap();
    }
    std::fs::remove_file(folder.path().join("checkpoint")).unwrap();
    keeping(1).prune(folder.path()).unwrap();
    let left: Vec<_> = checkpoints_in(folder.path())
        .unwrap()
        .iter()
        .map(|prefix| prefix.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(left, ["pretrained", "best-2", "m-3"], "the newest of each series");
    assert!(folder.path().join("half-99.index").exists());
}

#[test]
fn an_unlisted_checkpoint_of_another_model_does_not_block_a_fresh_start() {
    let folder = tempfile::tempdir().unwrap();
    let other = Model::from([
        ("encoder/kernel".to_owned(), Tensor::from([1.0f32])),
        ("global_step".to_owned(), Tensor::scalar(900i64)),
    ]);
    let options = SaveOptions::new().write_state(false);
    Saver::default().save_with(&other, folder.path().join("bert"), Some(900), options).unwrap();
    assert_eq!(restored(&Saver::default(), folder.path()).unwrap(), None);
    // The state file's word counts, and so does a checkpoint that shares a variable with the model.
    let related = Model::from([("w".to_owned(), Tensor::from([1.0f32, 2.0]))]);
    Saver::default().save(&related, folder.path().join("m"), Some(1)).unwrap();
    for _ in 0..2 {
        let error = restored(&Saver::default(), folder.path()).unwrap_err();
        assert!(matches!(error, Error::RestoreMismatch { .. }), "{error}");
        let _ = std::fs::remove_file(folder.path().join("checkpoint"));
    }
}

// ---- what the system refuses ------------------------------------------------------------------------

#[cfg(unix)]
#[test]
fn errors_of_the_system_are_not_damage() {
    let folder = tempfile::tempdir().unwrap();
    // Files whose names end like this cannot be opened.
    let refused = Arc::new(Mutex::new(None::<(&str, i32)>));
    let current = refused.clone();
    let storage = Observed(move |used, path: &Path| match *current.lock().unwrap() {
        Some((name, error)) if used == Use::Open && path.to_str().unwrap().ends_with(name) => {
            Err(io::Error::from_raw_os_error(error))
        }
        _ => Ok(()),
    });
    let saver = Saver::new(SaverOptions::new().max_to_keep(2).storage(Arc::new(storage)));
    for step in 1..3 {
        let options = SaveOptions::new().session_state(vec![1]);
        saver.save_with(&model(step), folder.path().join("m"), Some(step), options).unwrap();
    }
    let (eio, eacces, emfile, enomem, eloop) = (5, 13, 24, 12, 40);
    for (error, code) in [
        (eio, Code::Unknown),
        (eacces, Code::PermissionDenied),
        (emfile, Code::ResourceExhausted),
        (enomem, Code::ResourceExhausted),
        (eloop, Code::Unknown),
    ] {
        for name in ["m-2.index", "m-2.data-00000-of-00001", "m-2.session", "/checkpoint"] {
            *refused.lock().unwrap() = Some((name, error));
            let found = restored(&saver, folder.path()).unwrap_err();
            assert!(matches!(&found, Error::Io { path, .. } if path.ends_with(name.trim_start_matches('/'))));
            assert_eq!(found.code(), code, "{name}: {found:?}");
        }
    }
    *refused.lock().unwrap() = None;
    assert_eq!(restored(&saver, folder.path()).unwrap(), Some(2));
}

#[cfg(unix)]
#[test]
fn a_file_that_cannot_be_opened_stops_a_restore_for_the_superuser_too() {
    let folder = tempfile::tempdir().unwrap();
    save(folder.path(), 1..3);
    let index = index_path(folder.path().join("m-2"));
    std::fs::rename(&index, folder.path().join("aside")).unwrap();
    std::os::unix::fs::symlink(&index, &index).unwrap();
    let error = restored(&Saver::default(), folder.path()).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    std::fs::rename(folder.path().join("aside"), &index).unwrap();
    assert_eq!(restored(&Saver::default(), folder.path()).unwrap(), Some(2));
}

// ---- several at once --------------------------------------------------------------------------------

#[test]
fn two_savers_of_one_process_do_not_tear_a_prefix() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m");
    let source = |value: f32| Model::from([("w".to_owned(), Tensor::full(value, [20_000]))]);
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let (path, source) = (&path, &source);
            scope.spawn(move || {
                let saver = Saver::default();
                for round in 0..15u8 {
                    let value = f32::from(thread * 100 + round);
                    let options = SaveOptions::new().session_state(value.to_le_bytes().to_vec());
                    saver.save_with(&source(value), path, None, options).unwrap();
                }
            });
        }
    });
    let mut target = source(-1.0);
    let report = Saver::default().restore(&mut target, &path).unwrap();
    let value: Vec<f32> = target["w"].to_vec().unwrap();
    assert_eq!(*report.session_state.unwrap(), value[0].to_le_bytes());
    assert!(value.iter().all(|other| *other == value[0]));
    let files = std::fs::read_dir(folder.path()).unwrap();
    let data = files.filter(|entry| entry.as_ref().unwrap().file_name().to_str().unwrap().contains(".data-"));
    assert!(data.count() <= 2, "nothing is left over");
}

#[test]
fn a_reader_concurrent_with_a_saver_sees_one_consistent_save() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m");
    let source = |value: f32| Model::from([("w".to_owned(), Tensor::full(value, [50_000]))]);
    let save = |saver: &Saver, value: f32| {
        let options = SaveOptions::new().session_state(value.to_le_bytes().to_vec());
        saver.save_with(&source(value), &path, None, options).unwrap();
    };
    let writer = Saver::new(SaverOptions::new().durable(false));
    save(&writer, 0.0);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let reader = Saver::default();
            while !done.load(Ordering::Relaxed) {
                let mut target = source(-1.0);
                let report = reader.restore_latest(&mut target, folder.path(), &RestoreOptions::new());
                let report = report.unwrap().unwrap();
                let value: Vec<f32> = target["w"].to_vec().unwrap();
                assert_eq!(*report.session_state.unwrap(), value[0].to_le_bytes());
                assert!(value.iter().all(|other| *other == value[0]));
            }
        });
        for round in 1..200u8 {
            save(&writer, f32::from(round));
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn an_open_reader_reports_a_replaced_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m");
    let saver = Saver::default();
    saver.save(&model(1), &path, None).unwrap();
    let reader = BundleReader::open(&path).unwrap();
    saver.save(&model(2), &path, None).unwrap();
    let error = reader.read("w").unwrap_err();
    assert!(matches!(error, Error::Replaced { .. }) && !error.is_damage(), "{error}");
    assert!(error.to_string().ends_with("open it again"), "{error}");
    assert!(matches!(reader.verify()[..], [checkpoint::Problem { error: Error::Replaced { .. }, .. }]));
    assert!(checkpoint_exists(&path));
}
