//! Iterators that make elements ahead of the steps: their threads, which change neither elements nor positions.
#![allow(clippy::unwrap_used)] // a panic is the report

use dataset::{Compression, Dataset, Remainder};
use embedded_engine::EmbeddedEngine;
use flate2::write::GzEncoder;
use ops::script::host_func;
use ops::variables::VariableExt;
use session_core::keys::TABLE_INITIALIZERS;
use session_core::{
    Code, DType, Engine, Error, Graph, Output, OutputInfo, PartialShape, QueueStats, RunMetadata, RunOptions,
    Session, SessionConfig, SessionExt, Tensor,
};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;
use summary::record::RecordWriter;

fn session(graph: &Graph) -> Arc<dyn Session> {
    let session = EmbeddedEngine::new().new_session(graph, "", &SessionConfig::with_threads(2)).unwrap();
    session.run(((), &graph.collection(&TABLE_INITIALIZERS)), ()).unwrap();
    session
}

fn number() -> OutputInfo {
    OutputInfo { dtype: DType::Int64, shape: PartialShape::scalar(), is_ref: false }
}

fn next(dataset: &Dataset) -> Output {
    dataset.make_initializable_iterator().get_next().remove(0)
}

fn value(session: &dyn Session, next: &Output) -> i64 {
    session.run(next, ()).unwrap().value().unwrap()
}

/// Returns the iterators that work ahead.
fn iterators(session: &dyn Session, graph: &Graph) -> Vec<QueueStats> {
    let mut metadata = RunMetadata::default();
    let nothing = graph.collection(&TABLE_INITIALIZERS)[0].inputs()[0].clone();
    session.run_with(&nothing, (), &RunOptions::default(), Some(&mut metadata)).unwrap();
    metadata.queues
}

/// Waits until the buffer of the only iterator is full.
fn wait_until_full(session: &dyn Session, graph: &Graph) {
    loop {
        let iterators = iterators(session, graph);
        assert_eq!(iterators.len(), 1, "{iterators:?}");
        if Some(iterators[0].size) == iterators[0].capacity {
            return;
        }
        thread::yield_now();
    }
}

/// Numbers from 0 on, each counted as it is made.
fn counted(graph: &Graph, made: &Arc<AtomicI64>) -> Dataset {
    let made = made.clone();
    Dataset::range(graph, 0, 100, 1).map_host([number()], move |values| {
        made.fetch_add(1, Ordering::SeqCst);
        Ok(values.to_vec())
    })
}

#[test]
fn elements_are_made_ahead_and_the_position_is_that_of_the_steps() {
    let graph = Graph::new();
    let made = Arc::new(AtomicI64::new(0));
    let next = next(&counted(&graph, &made).shuffle(5, Some(3)).prefetch(4));
    let first = session(&graph);
    assert_eq!(made.load(Ordering::SeqCst), 0, "nothing is made before a step requests it");
    assert!(iterators(first.as_ref(), &graph).is_empty());
    let expected: Vec<i64> = (0..3).map(|_| value(first.as_ref(), &next)).collect();
    let early = first.export_state().unwrap();
    wait_until_full(first.as_ref(), &graph);
    assert_eq!(first.export_state().unwrap(), early, "what the thread has made is not in the position");
    assert_eq!(made.load(Ordering::SeqCst), 3 + 4 + 4, "taken, made ahead, in the buffer of the shuffle");
    let rest: Vec<i64> = (0..10).map(|_| value(first.as_ref(), &next)).collect();
    let second = session(&graph);
    second.import_state(&early).unwrap();
    assert_eq!((0..10).map(|_| value(second.as_ref(), &next)).collect::<Vec<_>>(), rest);
    let mut all = [expected, rest].concat();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 13);
    first.close().unwrap();
    assert!(first.join_threads(Duration::ZERO).is_empty());
}

/// Elements that a test sends. The receiver reports each element that is requested of the generator.
fn sent(graph: &Graph) -> (Sender<i64>, Receiver<()>, Dataset) {
    let ((sender, receiver), (asks, asked)) = (channel(), channel());
    let receiver = Arc::new(Mutex::new(receiver));
    let dataset = Dataset::from_generator(graph, [number()], move || {
        let (receiver, asks) = (receiver.clone(), asks.clone());
        std::iter::from_fn(move || {
            asks.send(()).unwrap();
            receiver.lock().unwrap().recv().ok().map(|sent| Ok(vec![Tensor::scalar(sent)]))
        })
    });
    (sender, asked, dataset)
}

#[test]
fn a_time_limit_loses_no_element() {
    let graph = Graph::new();
    let (sender, _asked, dataset) = sent(&graph);
    let next = next(&dataset.batch(2, Remainder::Drop).prefetch(1));
    let session = session(&graph);
    sender.send(1).unwrap();
    let mut metadata = RunMetadata::default();
    let short = RunOptions::with_timeout(Duration::from_millis(20));
    let error = session.run_with(&next, (), &short, Some(&mut metadata)).unwrap_err();
    assert_eq!(error.code(), Code::DeadlineExceeded, "{error}");
    assert!(error.message().contains("iterator 'IteratorV2' (0 of 1 made ahead)"), "{error}");
    assert!(!metadata.input_wait.is_zero());
    sender.send(2).unwrap();
    assert_eq!(session.run(&next, ()).unwrap().to_vec::<i64>().unwrap(), [1, 2]);
}

#[test]
fn a_time_limit_loses_no_element_of_a_partial_batch() {
    // Each pipeline waits for the second element after the first one.
    let pipelines: [(&str, fn(Dataset) -> Dataset); 7] = [
        ("batch", |sent| sent.batch(2, Remainder::Drop)),
        ("map and batch", |sent| sent.map(|_, x| vec![&x[0] * 1i64]).batch(2, Remainder::Drop)),
        ("padded batch", |sent| sent.padded_batch(2, &[PartialShape::scalar()], Remainder::Drop)),
        ("window", |sent| {
            let components = sent.components().to_vec();
            let windows = sent.window(2, 2, 1, Remainder::Drop);
            windows
                .flat_map(|_, window| Dataset::from_variant(&window[0], components).batch(2, Remainder::Drop))
        }),
        ("group", |sent| {
            let one = |graph: &Graph| ops::array::constant(graph, 1i64);
            sent.group_by_window(
                move |graph, _| one(graph),
                |_, _, group| group.batch(2, Remainder::Drop),
                |graph, _| ops::array::constant(graph, 2i64),
            )
        }),
        ("shuffle", |sent| sent.take(2).shuffle(2, Some(1)).batch(2, Remainder::Drop)),
        ("repeat", |sent| sent.repeat(2).batch(2, Remainder::Drop)),
    ];
    for (name, pipeline) in pipelines {
        let graph = Graph::new();
        let (sender, _asked, dataset) = sent(&graph);
        let next = next(&pipeline(dataset));
        let session = session(&graph);
        sender.send(1).unwrap();
        let short = RunOptions::with_timeout(Duration::from_millis(20));
        let error = session.run_with(&next, (), &short, None).unwrap_err();
        assert_eq!(error.code(), Code::DeadlineExceeded, "{name}: {error}");
        assert!(iterators(session.as_ref(), &graph).is_empty(), "{name}: nothing is made ahead");
        sender.send(2).unwrap();
        let mut batch = session.run(&next, ()).unwrap().to_vec::<i64>().unwrap();
        batch.sort_unstable();
        assert_eq!(batch, [1, 2], "{name}");
    }
}

#[test]
fn iterators_over_one_dataset_share_no_state() {
    let shuffled =
        |graph: &Graph| Dataset::range(graph, 0, 10, 1).shuffle(10, Some(3)).cache().repeat(2).prefetch(4);
    let reshuffled =
        |graph: &Graph| Dataset::range(graph, 0, 10, 1).shuffle(10, Some(3)).repeat(4).prefetch(4);
    let sampled =
        |graph: &Graph| Dataset::random(graph, Some(7)).shuffle_and_repeat(9, None, Some(2)).prefetch(2);
    for pipeline in [shuffled as fn(&Graph) -> Dataset, reshuffled, sampled] {
        let graph = Graph::new();
        let alone = next(&pipeline(&graph));
        let alone = {
            let session = session(&graph);
            (0..20).map(|_| value(session.as_ref(), &alone)).collect::<Vec<_>>()
        };
        let graph = Graph::new();
        let dataset = pipeline(&graph);
        let (first, second) = (next(&dataset), next(&dataset));
        let session = session(&graph);
        let take = |next: &Output, count: usize| -> Vec<i64> {
            (0..count).map(|_| value(session.as_ref(), next)).collect()
        };
        // The first one is an epoch ahead, then behind.
        let (mut left, right) = (take(&first, 12), take(&second, 20));
        left.extend(take(&first, 8));
        assert_eq!(left, alone);
        assert_eq!(right, alone);
    }
}

#[test]
fn a_thread_that_does_not_end_is_named() {
    let graph = Graph::new();
    let (sender, asked, dataset) = sent(&graph);
    let next = next(&dataset.prefetch(1));
    let session = session(&graph);
    sender.send(1).unwrap();
    assert_eq!(value(session.as_ref(), &next), 1);
    (0..2).for_each(|_| asked.recv().unwrap());
    session.close().unwrap();
    assert_eq!(session.join_threads(Duration::from_millis(1)), ["prefetch of iterator 'IteratorV2'"]);
    drop(sender);
    assert!(session.join_threads(Duration::from_secs(60)).is_empty());
}

#[test]
fn a_step_that_waits_while_its_session_closes_is_cancelled() {
    for _ in 0..20 {
        let graph = Graph::new();
        let (begins, began) = channel();
        let endless = Dataset::range(&graph, 0, 3, 1).repeat(None).map_host([number()], move |values| {
            let _ = begins.send(());
            Ok(values.to_vec())
        });
        let never = endless.filter(|graph, x| ops::math::less(&x[0], ops::array::constant(graph, 0i64)));
        let next = next(&never.prefetch(1));
        let session = session(&graph);
        let waiting = thread::spawn({
            let session = session.clone();
            move || session.run(&next, ())
        });
        // The thread has begun, and so has the step that started it.
        began.recv().unwrap();
        session.close().unwrap();
        let error = waiting.join().unwrap().unwrap_err();
        assert_eq!(error.code(), Code::Cancelled, "{error}");
    }
}

/// Returns true if a thread that prefetches is alive in this process.
#[cfg(target_os = "linux")]
fn is_prefetching() -> bool {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let names = threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("comm")).ok());
    names.into_iter().any(|name| name.starts_with("prefetch"))
}

#[test]
#[cfg(target_os = "linux")]
fn a_session_that_is_dropped_leaves_no_thread() {
    let graph = Graph::new();
    let next = next(&Dataset::range(&graph, 0, 100, 1).prefetch(2));
    let session = session(&graph);
    assert_eq!(value(session.as_ref(), &next), 0);
    assert!(is_prefetching());
    drop(session);
    while is_prefetching() {
        thread::yield_now();
    }
}

#[test]
fn errors_and_ends_come_in_their_places() {
    let graph = Graph::new();
    let dataset =
        Dataset::range(&graph, 0, 5, 1).map_host([number()], |values| match values[0].as_scalar_i64()? {
            2 => Err(Error::new(Code::DataLoss, "two is lost")),
            _ => Ok(values.to_vec()),
        });
    let next = next(&dataset.prefetch(10));
    let session = session(&graph);
    let given: Vec<Result<i64, Code>> = (0..8)
        .map(|_| session.run(&next, ()).map(|value| value.value().unwrap()).map_err(|e| e.code()))
        .collect();
    let end = Err(Code::OutOfRange);
    assert_eq!(given, [Ok(0), Ok(1), Err(Code::DataLoss), Ok(3), Ok(4), end, end, end]);
}

#[test]
fn an_iterator_that_is_initialized_again_begins_again() {
    let graph = Graph::new();
    let made = Arc::new(AtomicI64::new(0));
    let next = next(&counted(&graph, &made).prefetch(3));
    let session = session(&graph);
    for _ in 0..20 {
        assert_eq!(value(session.as_ref(), &next), 0);
        assert_eq!(value(session.as_ref(), &next), 1);
        session.run(((), &graph.collection(&TABLE_INITIALIZERS)), ()).unwrap();
    }
}

#[test]
fn elements_that_read_variables_are_made_in_the_step() {
    let graph = Graph::new();
    let variable = ops::variables::variable(&graph.named("v"), 10i64);
    let dataset = Dataset::range(&graph, 0, 10, 1).map(|_, x| vec![&x[0] + &variable]).prefetch(5);
    let next = next(&dataset);
    let session = session(&graph);
    session.run(variable.initializer(), ()).unwrap();
    assert_eq!(value(session.as_ref(), &next), 10);
    let assign = variable.assign(100i64);
    session.run(((), &assign), ()).unwrap();
    assert_eq!(value(session.as_ref(), &next), 101);
    assert!(iterators(session.as_ref(), &graph).is_empty());
}

#[test]
fn parallel_calls_run_at_the_same_time_and_keep_the_order() {
    let together = |calls: u64, build: &dyn Fn(Dataset) -> Dataset, expected: &[i64]| {
        let graph = Graph::new();
        let barrier = Arc::new(Barrier::new(2));
        let dataset = Dataset::range(&graph, 0, 4, 1).parallel_map(calls, |body, x| {
            let barrier = barrier.clone();
            let function = host_func(body).inputs(x).stateless().output(DType::Int64, PartialShape::scalar());
            let function = function.call(move |values, _| {
                // Ends only if two calls are in it at the same time.
                barrier.wait();
                Ok(values.to_vec())
            });
            function.outputs()
        });
        let next = next(&build(dataset));
        let session = session(&graph);
        let mut given = Vec::new();
        while given.len() < expected.len() {
            given.extend(session.run(&next, ()).unwrap().to_vec::<i64>().unwrap());
        }
        assert_eq!(given, expected);
    };
    together(2, &|dataset| dataset.batch(4, Remainder::Drop), &[0, 1, 2, 3]);
    together(2, &|dataset| dataset.prefetch(2), &[0, 1, 2, 3]);
    together(
        2,
        &|dataset| {
            dataset.repeat(2).parallel_map(2, |_, x| vec![&x[0] * 2i64]).batch(2, Remainder::Drop).take(4)
        },
        &[0, 2, 4, 6, 0, 2, 4, 6],
    );
}

#[test]
fn inputs_of_a_parallel_interleave_are_read_at_the_same_time_and_keep_their_order() {
    let graph = Graph::new();
    let barrier = Arc::new(Barrier::new(2));
    let dataset = Dataset::range(&graph, 0, 4, 1).parallel_interleave(2, 1, |graph, x| {
        let tens = Dataset::range(graph, 0, 5, 1).map(|_, y| vec![&x[0] * 10i64 + &y[0]]);
        tens.parallel_map(2, |body, x| {
            let barrier = barrier.clone();
            let function = host_func(body).inputs(x).stateless().output(DType::Int64, PartialShape::scalar());
            let function = function.call(move |values, _| {
                // The first elements of two inputs wait for each other.
                if [0, 10].contains(&values[0].as_scalar_i64()?) {
                    barrier.wait();
                }
                Ok(values.to_vec())
            });
            function.outputs()
        })
    });
    let next = next(&dataset);
    let session = session(&graph);
    let given: Vec<i64> = (0..20).map(|_| value(session.as_ref(), &next)).collect();
    let in_turns = |first: i64| (0..5).flat_map(move |y| [first * 10 + y, first * 10 + 10 + y]);
    assert_eq!(given, in_turns(0).chain(in_turns(2)).collect::<Vec<_>>());
    assert_eq!(session.run(&next, ()).unwrap_err().code(), Code::OutOfRange);
}

/// A gzip file of records that is large enough for its own thread, and the records.
fn large_file(folder: &std::path::Path) -> (String, Vec<Vec<u8>>) {
    let mut state = 1u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    let records: Vec<Vec<u8>> = (0..1500).map(|_| (0..1000).map(|_| random()).collect()).collect();
    let mut writer = RecordWriter::new(GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    records.iter().for_each(|record| writer.write(record).unwrap());
    let path = folder.join("large.gz");
    std::fs::write(&path, writer.into_inner().finish().unwrap()).unwrap();
    (path.to_str().unwrap().to_owned(), records)
}

fn record(session: &dyn Session, next: &Output) -> Result<Vec<u8>, Error> {
    session.run(next, ()).map(|value| value.as_strings().unwrap()[0].to_vec())
}

#[test]
fn a_large_compressed_file_is_inflated_by_a_thread_that_ends_with_the_session() {
    let folder = tempfile::tempdir().unwrap();
    let (path, records) = large_file(folder.path());
    let program = || {
        let graph = Graph::new();
        let next = next(&Dataset::tf_record(&graph, &[path.as_str()], Compression::Gzip));
        (graph, next)
    };
    let (graph, next) = program();
    let first = session(&graph);
    let read: Vec<Vec<u8>> = (0..700).map(|_| record(first.as_ref(), &next).unwrap()).collect();
    assert_eq!(read, records[..700]);
    let state = first.export_state().unwrap();
    first.close().unwrap();
    assert!(
        first.join_threads(Duration::from_secs(60)).is_empty(),
        "a thread that waits for the reader ends"
    );

    let (graph, next) = program();
    let second = session(&graph);
    second.import_state(&state).unwrap();
    let rest: Vec<Vec<u8>> = (700..1500).map(|_| record(second.as_ref(), &next).unwrap()).collect();
    assert_eq!(rest, records[700..]);
    assert_eq!(record(second.as_ref(), &next).unwrap_err().code(), Code::OutOfRange);
}

#[test]
fn a_large_truncated_compressed_file_yields_its_whole_records() {
    let folder = tempfile::tempdir().unwrap();
    let (path, records) = large_file(folder.path());
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 100_000]).unwrap();
    let graph = Graph::new();
    let next = next(&Dataset::tf_record(&graph, &[path.as_str()], Compression::Gzip));
    let session = session(&graph);
    let mut read = Vec::new();
    let error = loop {
        match record(session.as_ref(), &next) {
            Ok(record) => read.push(record),
            Err(error) => break error,
        }
    };
    assert_eq!(read, records[..read.len()]);
    assert!(read.len() > 1300, "{}", read.len());
    assert_eq!(error.code(), Code::DataLoss, "{error}");
    assert!(error.message().contains("large.gz"), "{error}");
    assert_eq!(record(session.as_ref(), &next).unwrap_err().code(), Code::OutOfRange);
}
