//! At whatever moment a save is interrupted, the newest checkpoint on disk is complete, and at most the save
//! under way is lost.
//!
//! Three kinds of interruption: the program stops at every single file operation (in this process, and by
//! SIGKILL in a child), it is killed at random moments, and the machine loses power, which keeps of what
//! was not synced only what chance decides. `CHECKPOINT_KILLS=1000` kills as many children (60 by default).
#![allow(clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen
#![allow(clippy::unwrap_used)] // a test may

#[path = "support/disk.rs"]
mod disk;

use checkpoint::storage::{LocalStorage, Storage};
use checkpoint::{Error, RestoreOptions, SaveOptions, Saver, SaverOptions};
use disk::{Disk, Fate, Faulty, Random};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tensor::Tensor;

type Model = BTreeMap<String, Tensor>;

/// Everything in it tells the round.
fn model(round: i64) -> Model {
    BTreeMap::from([
        ("round".to_owned(), Tensor::scalar(round)),
        ("weights".to_owned(), Tensor::full(round as f32, [5000])),
        ("name".to_owned(), Tensor::from(format!("round {round}").as_str())),
    ])
}

/// The step under which a round is saved: some prefixes are saved twice in a row, with other content, as
/// happens after a restart.
fn step(round: i64) -> i64 {
    round - round % 3 / 2
}

fn options(round: i64) -> SaveOptions {
    let options = SaveOptions::new().session_state(round.to_le_bytes().to_vec());
    if round % 2 == 0 { options.meta_graph(&b"graph"[..]) } else { options }
}

fn saver(storage: &Arc<dyn Storage>) -> Saver {
    let options = SaverOptions::new().storage(Arc::clone(storage)).max_to_keep(2).direct_io(false);
    Saver::new(options.shards(2))
}

/// Saves rounds, and returns the last that succeeded and whether one failed.
fn save_rounds(
    storage: &Arc<dyn Storage>,
    folder: &Path,
    rounds: std::ops::Range<i64>,
) -> (Option<i64>, bool) {
    let mut last = None;
    let mut saver = self::saver(storage);
    for round in rounds {
        if round % 4 == 0 {
            saver = self::saver(storage);
        }
        if saver.save_with(&model(round), folder.join("m"), Some(step(round)), options(round)).is_err() {
            return (last, true);
        }
        last = Some(round);
    }
    (last, false)
}

/// The round of the newest checkpoint, which must be whole, without falling back to another.
fn newest(storage: &Arc<dyn Storage>, folder: &Path) -> Option<i64> {
    let mut target = model(-1);
    let strict = RestoreOptions::new().fallback(false);
    let report = self::saver(storage).restore_latest(&mut target, folder, &strict).unwrap()?;
    let round: i64 = target["round"].value().unwrap();
    assert_eq!(target, model(round), "all tensors are of one save");
    let state = report.session_state.expect("each save has a session state");
    assert_eq!(*state, round.to_le_bytes(), "the session state is of the same save");
    Some(round)
}

/// After an interruption in or after round `last`: the newest is that round or the next one. Then continues,
/// and looks whether everything was tidied up.
fn check(storage: &Arc<dyn Storage>, folder: &Path, last: Option<i64>, what: &str) {
    let found = newest(storage, folder);
    // A first checkpoint whose state file was not written yet is whole, but not listed.
    let expected = [last, Some(last.map_or(0, |last| last + 1))];
    assert!(expected.contains(&found), "{what}: found {found:?} after {last:?}");
    let next = found.unwrap_or(-1) + 1;
    let (_, failed) = save_rounds(storage, folder, next..next + 1);
    assert!(!failed, "{what}: cannot continue");
    assert_eq!(newest(storage, folder), Some(next), "{what}");
    let names: Vec<String> =
        storage.list(folder).unwrap().into_iter().map(|name| name.into_string().unwrap()).collect();
    assert!(!names.iter().any(|name| name.contains("tempstate")), "{what}: {names:?}");
    for name in &names {
        if let Some(at) = name.find(".data-").or_else(|| name.find(".session")) {
            assert!(names.contains(&format!("{}.index", &name[..at])), "{what}: {name} is left over");
        }
    }
}

const ROUNDS: i64 = 7;

/// Returns the number of changing operations of all rounds.
fn operations() -> u64 {
    let storage = Faulty::new(Arc::new(Disk::default()), u64::MAX, Fate::Freeze);
    let shared: Arc<dyn Storage> = Arc::new(storage.clone());
    assert_eq!(save_rounds(&shared, Path::new("train"), 0..ROUNDS), (Some(ROUNDS - 1), false));
    storage.operations()
}

#[test]
fn a_stop_at_any_file_operation_keeps_a_checkpoint() {
    let operations = operations();
    assert!(operations > 100, "{operations}");
    for n in 0..operations {
        let disk: Arc<dyn Storage> = Arc::new(Disk::default());
        let faulty: Arc<dyn Storage> = Arc::new(Faulty::new(Arc::clone(&disk), n, Fate::Freeze));
        let (last, failed) = save_rounds(&faulty, Path::new("train"), 0..ROUNDS);
        // Removing leftovers and superseded files may fail without failing the save.
        assert!(failed || last == Some(ROUNDS - 1));
        check(&disk, Path::new("train"), last, &format!("operation {n}"));
    }
}

#[test]
fn a_full_disk_at_any_file_operation_keeps_a_checkpoint() {
    for n in 0..operations() {
        let disk: Arc<dyn Storage> = Arc::new(Disk::default());
        let faulty: Arc<dyn Storage> = Arc::new(Faulty::new(Arc::clone(&disk), n, Fate::Full));
        let (last, failed) = save_rounds(&faulty, Path::new("train"), 0..ROUNDS);
        if failed {
            check(&faulty, Path::new("train"), last, &format!("operation {n}"));
        } else {
            assert_eq!(newest(&faulty, Path::new("train")), Some(ROUNDS - 1));
        }
    }
}

#[test]
fn a_loss_of_power_at_any_file_operation_keeps_a_checkpoint() {
    for n in 0..operations() {
        for chance in 0..8 {
            let disk = Disk::default();
            let faulty: Arc<dyn Storage> = Arc::new(Faulty::new(Arc::new(disk.clone()), n, Fate::Freeze));
            let (last, _) = save_rounds(&faulty, Path::new("train"), 0..ROUNDS);
            let rebooted: Arc<dyn Storage> = Arc::new(disk.lose_power(&mut Random(n * 1000 + chance)));
            check(&rebooted, Path::new("train"), last, &format!("operation {n}, chance {chance}"));
        }
    }
}

#[test]
fn the_test_detects_a_loss_of_power_without_syncs() {
    // The test above can fail: a saver configured not to sync loses checkpoints.
    let mut lost = 0;
    for chance in 0..50 {
        let disk = Disk::default();
        let storage: Arc<dyn Storage> = Arc::new(disk.clone());
        let saver = Saver::new(SaverOptions::new().storage(storage).durable(false));
        saver.save_with(&model(0), "train/m", Some(0), options(0)).unwrap();
        let rebooted: Arc<dyn Storage> = Arc::new(disk.lose_power(&mut Random(chance)));
        let mut target = model(-1);
        let report = self::saver(&rebooted).restore_latest(&mut target, "train", &RestoreOptions::new());
        lost += i32::from(!matches!(report, Ok(Some(_))));
    }
    assert!(lost > 10, "{lost}");
}

// ---- children ------------------------------------------------------------------------------------------

const FOLDER: &str = "CHECKPOINT_CRASH_FOLDER";
const AT: &str = "CHECKPOINT_CRASH_AT";

/// Runs a child: saves rounds until it is killed, and prints which are saved. Does nothing in an
/// ordinary run of the tests.
#[test]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let at = std::env::var(AT).unwrap().parse().unwrap();
    let local = LocalStorage::shared();
    let storage: Arc<dyn Storage> = Arc::new(Faulty::new(Arc::clone(&local), at, Fate::Kill));
    let saver = saver(&storage);
    let first = newest(&local, &folder).map_or(0, |round| round + 1);
    for round in first.. {
        saver.save_with(&model(round), folder.join("m"), Some(step(round)), options(round)).unwrap();
        writeln!(std::io::stdout(), "\nsaved {round}").unwrap();
    }
}

/// Starts a child, lets it be killed, and returns the last round it reported.
fn kill_a_child(folder: &Path, at: u64, after: Option<Duration>) -> Option<i64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads", "1"])
        .env(FOLDER, folder)
        .env(AT, at.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let output = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let lines = BufReader::new(output).lines().map_while(Result::ok);
        lines.filter_map(|line| line.strip_prefix("saved ")?.parse().ok()).last()
    });
    if let Some(after) = after {
        std::thread::sleep(after);
        let _ = child.kill();
    }
    let status = child.wait().unwrap();
    assert!(!status.success(), "a child only ends by being killed");
    reader.join().unwrap()
}

#[test]
fn killed_children_leave_a_checkpoint() {
    let kills: u64 = std::env::var("CHECKPOINT_KILLS").map_or(60, |n| n.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let local = LocalStorage::shared();
    let mut random = Random(kills);
    let mut last: Option<i64> = None;
    for n in 0..kills {
        // Two in three at the next file operation in turn (a save takes about 30), one at any moment.
        let reported = if n % 3 < 2 {
            kill_a_child(folder.path(), n % 97, None)
        } else {
            kill_a_child(folder.path(), u64::MAX, Some(Duration::from_millis(5 + random.next() % 120)))
        };
        last = reported.or(last);
        let found = newest(&local, folder.path());
        let expected = [last, Some(last.map_or(0, |last| last + 1))];
        // A child may be killed between a save and its report; the next one then starts from there.
        let ahead = found.is_some_and(|found| found == last.map_or(0, |last| last + 1) + 1);
        assert!(expected.contains(&found) || ahead, "kill {n}: found {found:?} after {last:?}");
        last = found.or(last);
    }
    let (_, failed) = save_rounds(&local, folder.path(), last.unwrap() + 1..last.unwrap() + 3);
    assert!(!failed);
}

#[test]
fn a_read_only_folder_is_an_error_and_nothing_is_lost() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let local = LocalStorage::shared();
    save_rounds(&local, folder.path(), 0..1);
    let permit =
        |mode| std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(mode)).unwrap();
    permit(0o555);
    let error = saver(&local).save_with(&model(1), folder.path().join("m"), Some(1), options(1));
    permit(0o755);
    // The superuser may write all the same.
    if let Err(error) = error {
        assert!(matches!(error, Error::Io { .. }), "{error}");
        assert_eq!(newest(&local, folder.path()), Some(0));
    }
}
