//! W6: shutdown. A full queue of capacity 8, and 8 queue-runner threads that wait for room. Measures the time from the stop until
//! all threads are joined and the session is closed, and until the process has exited.
//!
//! `w6 exit KIND` is one such process, which prints the time of its stop.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic reports the failure, and the output is meant to be read

mod support;

use monitored_session::ops::data_flow::{FifoQueue, Queue};
use monitored_session::prelude::*;
use monitored_session::queue_runner::{JoinOptions, QueueRunner, start_queue_runners};
use monitored_session::session_core::{PartialShape, RunMetadata};
use std::io::Read as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use support::{emit, rounds, threads};

fn model(graph: &Graph) -> Result<Queue> {
    let queue = FifoQueue::new(graph, 8, DType::Float32).shapes([PartialShape::scalar()]).build();
    let enqueue = queue.enqueue(1.0f32);
    QueueRunner::for_queue(&queue, vec![enqueue; 8])?.add_to_graph()?;
    Ok(queue)
}

/// Waits until the queue is full and all eight threads sleep.
fn wait_until_blocked(session: &dyn Session, size: &Output) -> Result<()> {
    loop {
        let mut metadata = RunMetadata::default();
        session.run_with(size, (), &RunOptions::default(), Some(&mut metadata))?;
        if metadata.queues.iter().all(|stats| stats.size == 8 && stats.pending_enqueues == 8) {
            thread::sleep(Duration::from_millis(100));
            return Ok(());
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// The time of the stop request, and the time until the threads were joined and the session was closed.
struct Stopped {
    start: SystemTime,
    joined: Duration,
    closed: Duration,
}

fn stop(kind: &str) -> Result<Stopped> {
    let graph = Graph::new();
    let size = model(&graph)?.size();
    let config = SessionConfig::with_threads(threads());
    if kind == "monitored" {
        let mut session = SingularMonitoredSession::builder(&graph).config(config).build()?;
        wait_until_blocked(&**session.raw_session().unwrap(), &size)?;
        let (start, clock) = (SystemTime::now(), Instant::now());
        session.close()?;
        let closed = clock.elapsed();
        return Ok(Stopped { start, joined: closed, closed });
    }
    let session: Arc<dyn Session> = EmbeddedEngine::new().new_session(&graph, "", &config)?;
    let coordinator = Coordinator::new();
    start_queue_runners(&session, Some(&coordinator))?;
    wait_until_blocked(&*session, &size)?;
    let (start, clock) = (SystemTime::now(), Instant::now());
    coordinator.request_stop();
    coordinator.join_with(&[], &JoinOptions::default().stop_grace_period(Duration::from_secs(30)))?;
    let joined = clock.elapsed();
    session.close()?;
    Ok(Stopped { start, joined, closed: clock.elapsed() })
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Measures the time from the stop in another process to the end of that process.
fn exit(kind: &str) -> f64 {
    let program = std::env::current_exe().unwrap();
    let mut child = Command::new(program).args(["exit", kind]).stdout(Stdio::piped()).spawn().unwrap();
    let mut printed = String::new();
    child.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    assert!(child.wait().unwrap().success());
    let end = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let start = printed.lines().find_map(|line| line.strip_prefix("T ")?.parse::<f64>().ok()).unwrap();
    (end - start) * 1e3
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    if let [mode, kind] = args.as_slice()
        && mode == "exit"
    {
        let stopped = stop(kind)?;
        println!("T {:.9}", stopped.start.duration_since(UNIX_EPOCH).unwrap().as_secs_f64());
        return Ok(());
    }
    for kind in ["coord", "monitored"] {
        let stops: Vec<Stopped> = (0..4 * rounds(5)).map(|_| stop(kind)).collect::<Result<_>>()?;
        let times: Vec<f64> = stops.iter().map(|stopped| milliseconds(stopped.closed)).collect();
        let mut joins: Vec<f64> = stops.iter().map(|stopped| milliseconds(stopped.joined)).collect();
        joins.sort_by(f64::total_cmp);
        let extra = format!("\"join_ms\": {:.4}", joins[joins.len() / 2]);
        emit(&format!("w6/ours/{kind}/request_stop_to_closed"), "time", "ms", &times, &extra);
        let exits: Vec<f64> = (0..rounds(5)).map(|_| exit(kind)).collect();
        emit(&format!("w6/ours/{kind}/request_stop_to_process_exit"), "time", "ms", &exits, "");
    }
    Ok(())
}
