//! The log lines that the rules require.
#![allow(clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen
#![allow(clippy::unwrap_used)] // helpers of tests

use log::{Level, LevelFilter, Log, Metadata, Record};
use queue_runner::{Coordinator, JoinOptions, ManagedThread, start_queue_runners};
use session_core::mock::MockSession;
use session_core::{Code, Error, Graph, Session};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

/// Keeps all that is logged in this program.
struct Kept(Mutex<Vec<(Level, String)>>);

impl Log for Kept {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        self.0.lock().unwrap().push((record.level(), record.args().to_string()));
    }

    fn flush(&self) {}
}

static KEPT: Kept = Kept(Mutex::new(Vec::new()));

fn was_logged(level: Level, text: &str) -> bool {
    KEPT.0.lock().unwrap().iter().any(|(found, line)| *found == level && line.contains(text))
}

#[test]
fn s_192_s_198_s_218_messages_are_logged() {
    log::set_logger(&KEPT).unwrap();
    log::set_max_level(LevelFilter::Debug);

    let coordinator = Coordinator::new();
    coordinator.report_error(Error::new(Code::DataLoss, "the disk is gone")).unwrap();
    assert!(was_logged(Level::Error, "Error reported to Coordinator:"), "S-192");
    assert!(was_logged(Level::Error, "the disk is gone"), "S-192");

    let coordinator = Coordinator::new();
    let (release, held) = mpsc::channel::<()>();
    let straggler = ManagedThread::new("straggler", move || {
        let _either_way = held.recv();
        Ok(())
    });
    straggler.start().unwrap();
    coordinator.register(&straggler);
    coordinator.request_stop();
    let options = JoinOptions::default().stop_grace_period(Duration::ZERO).ignore_live_threads(true);
    coordinator.join_with(&[], &options).unwrap();
    assert!(was_logged(Level::Info, "Coordinator stopped with threads still running: straggler"), "S-198");
    drop(release);

    let session: Arc<dyn Session> = Arc::new(MockSession::new(&Graph::new()));
    assert!(start_queue_runners(&session, None).unwrap().is_empty());
    assert!(was_logged(Level::Warn, "no queue runner"), "S-218");
}
