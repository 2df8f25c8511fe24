//! A run that is killed at any moment and started again sees the elements that an uninterrupted run sees.
//!
//! The program under test is this test binary, started as a child with a folder in an environment variable. After every step it
//! writes a line with the step and the elements that it took. It is killed after some line, or kills itself in the middle of a
//! step, and is restarted until the input ends.
#![cfg(feature = "embedded")]
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic is the report; the child speaks through its output

use monitored_session::ops::array::constant;
use monitored_session::ops::io::{Compression, Reader};
use monitored_session::ops::parsing::{FeatureSpec, parse_single_example};
use monitored_session::ops::{global_step, math, random};
use monitored_session::prelude::*;
use monitored_session::queue_runner::input::*;
use monitored_session::summary::example::Example;
use monitored_session::summary::record::RecordWriter;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

const FOLDER: &str = "INPUT_RESUME_FOLDER";
const KIND: &str = "INPUT_RESUME_KIND";

/// Pipelines of every kind that can be resumed.
const KINDS: [&str; 4] = ["indices", "records", "slices", "host"];

fn elements(graph: &Graph, kind: &str, folder: &Path) -> Output {
    let files: Vec<String> = (0..3).map(|file| format!("{}/{file}.tfrecord", folder.display())).collect();
    let batches = BatchOptions::default().seed(4).exact_resume().allow_smaller_final_batch(true);
    match kind {
        "indices" => {
            let options = IndexOptions::default().num_epochs(3).seed(3).allow_smaller_final_batch(true);
            index_batch(graph, 41, 5, &options)
        }
        "records" => {
            let options = ProducerOptions::default().num_epochs(3).seed(2).capacity(2);
            let queue = string_input_producer(graph, files, &options);
            let (_, record) = Reader::tf_record(graph, Compression::None).read(&queue);
            let id =
                parse_single_example(&record, &[("id", FeatureSpec::fixed([], DType::Int64))]).dense("id");
            // Random operations of the pipeline's threads are replayed too.
            let noise = random::random_uniform_int(graph, [0usize; 0], 0, 1000, DType::Int64, Some(9));
            let id = math::add(math::mul(id, constant(graph, 1000i64)), noise);
            shuffle_batch(graph, &id, 5, 12, &batches.clone().capacity(30)).output()
        }
        "slices" => {
            let rows = constant(graph, Tensor::from((0..41i64).collect::<Vec<_>>()));
            let options = ProducerOptions::default().num_epochs(3).seed(6);
            let slices = slice_input_producer(graph, &[rows], &options);
            batch(graph, &slices, 5, &batches).output()
        }
        _ => {
            let specs = [(DType::Int64, PartialShape::scalar())];
            let queue = producer_with(graph, specs, &HostOptions::default(), || {
                (0..120i64).map(|number| Ok::<_, Error>(vec![Tensor::scalar(number * number)]))
            });
            let number = queue.dequeue().output();
            shuffle_batch(graph, &number, 5, 12, &batches.clone().capacity(30)).output()
        }
    }
}

/// The program: takes batches to the end of the input and writes a line for each completed step.
fn run(folder: &Path, kind: &str) -> Result<()> {
    let graph = Graph::new();
    let elements = elements(&graph, kind, folder);
    let step = global_step::get_or_create_global_step(&graph);
    let count = math::reduce_sum(&elements, ..);
    let train = monitored_session::ops::state::assign_add_variable_op(
        step.handle().within(&graph.control_dependencies([count.operation()])),
        constant(&graph, 1i64),
    );
    let checkpoints = folder.join(format!("checkpoints-{kind}"));
    let mut session = SingularMonitoredSession::builder(&graph)
        .checkpoint_dir(&checkpoints)
        .hook(CheckpointSaverHook::every_steps(&checkpoints, 2))
        .build()?;
    let mut next = session.run_without_hooks(&step, ())?.value::<i64>()?;
    while !session.should_stop() {
        match session.run((&elements, &train), ()) {
            Ok((elements, ())) => {
                next += 1;
                let line: Vec<String> = elements.to_vec::<i64>()?.iter().map(i64::to_string).collect();
                println!("STEP {next} {}", line.join(","));
            }
            Err(error) if error.is_end_of_input() => break,
            Err(error) => return Err(error),
        }
    }
    println!("END");
    session.close()
}

#[test]
fn child() {
    let (Some(folder), Some(kind)) = (std::env::var_os(FOLDER), std::env::var(KIND).ok()) else { return };
    run(Path::new(&folder), &kind).unwrap();
}

fn write_records(folder: &Path) {
    for file in 0..3i64 {
        let mut writer = RecordWriter::new(Vec::new());
        for row in 0..(10 + file) {
            writer.write(&Example::new().with("id", [file * 100 + row]).encode()).unwrap();
        }
        std::fs::write(folder.join(format!("{file}.tfrecord")), writer.into_inner()).unwrap();
    }
}

/// Runs the child until it has written a number of lines, then kills it. Returns the elements of each step, and true if it ended.
fn run_child(folder: &Path, kind: &str, lines: usize) -> (BTreeMap<i64, String>, bool) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "input_resume::child", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .env(KIND, kind)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut steps = BTreeMap::new();
    let mut ended = false;
    // The harness writes the test's name before the first line, without ending it.
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some((_, step)) = line.split_once("STEP ") {
            let (number, elements) = step.split_once(' ').unwrap();
            steps.insert(number.parse().unwrap(), elements.to_owned());
            if steps.len() == lines {
                break;
            }
        }
        ended |= line.ends_with("END");
    }
    let _ = child.kill();
    let status = child.wait().unwrap();
    assert!(!ended || status.success() || lines != usize::MAX, "{status}");
    (steps, ended)
}

#[test]
fn a_killed_run_resumes_with_the_next_element() {
    for kind in KINDS {
        let folder = tempfile::tempdir().unwrap();
        write_records(folder.path());
        let (whole, ended) = run_child(folder.path(), kind, usize::MAX);
        assert!(ended && whole.len() > 15, "{kind}: {} steps", whole.len());
        let taken: usize = whole.values().map(|line| line.split(',').count()).sum();
        let expected = if kind == "records" {
            33 * 3
        } else if kind == "host" {
            120
        } else {
            41 * 3
        };
        assert_eq!(taken, expected, "{kind}");
        std::fs::remove_dir_all(folder.path().join(format!("checkpoints-{kind}"))).unwrap();

        // Killed after different numbers of steps; steps after the last checkpoint are repeated.
        let (mut kills, mut seen) = (0, BTreeMap::new());
        loop {
            let (steps, ended) = run_child(folder.path(), kind, 1 + kills * 5 % 7);
            for (step, elements) in steps {
                assert_eq!(whole.get(&step), Some(&elements), "{kind}: step {step} after {kills} kills");
                seen.insert(step, elements);
            }
            if ended {
                break;
            }
            kills += 1;
            assert!(kills < 100, "{kind}: no progress");
        }
        assert_eq!(seen, whole, "{kind}");
        let mut report = std::io::stdout();
        writeln!(report, "{kind}: {} steps, {kills} kills", whole.len()).unwrap();
    }
}
