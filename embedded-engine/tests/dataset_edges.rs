//! Pipelines that fail, end early, or wait: an error is never the end, a pipeline that is left releases what it holds, and a
//! step may provide what its own element waits for. The expected outcomes are TensorFlow's.
#![allow(clippy::unwrap_used)] // a panic is the report

use crate::support::op;
use dataset::{Compression, Dataset, Remainder};
use embedded_engine::EmbeddedEngine;
use ops::array::constant;
use ops::data_flow::{FifoQueue, Queue};
use ops::functions::{FunctionWithCaptures, define};
use ops::math::{equal, not_equal};
use ops::script::host_func;
use session_core::keys::TABLE_INITIALIZERS;
use session_core::{
    AttrValue, Code, DType, Engine, Error, Graph, OpBuilder, Operation, Output, OutputInfo, PartialShape,
    RunOptions, Session, SessionConfig, SessionExt, Tensor,
};
use std::fs;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

fn closed(graph: &Graph) -> Arc<dyn Session> {
    EmbeddedEngine::new().new_session(graph, "", &SessionConfig::with_threads(2)).unwrap()
}

fn session(graph: &Graph) -> Arc<dyn Session> {
    let session = closed(graph);
    session.run(((), &graph.collection(&TABLE_INITIALIZERS)), ()).unwrap();
    session
}

fn int64() -> OutputInfo {
    OutputInfo { dtype: DType::Int64, shape: PartialShape::scalar(), is_ref: false }
}

fn next_of(dataset: &Dataset) -> Output {
    dataset.make_initializable_iterator().get_next().remove(0)
}

fn value(session: &dyn Session, next: &Output) -> i64 {
    session.run(next, ()).unwrap().value().unwrap()
}

fn range(graph: &Graph, stop: i64) -> Dataset {
    Dataset::range(graph, 0, stop, 1)
}

/// The outcomes of a number of steps: numbers joined by commas, `end`, or the code of an error.
fn taken(session: &dyn Session, outputs: &[Output], count: usize) -> Vec<String> {
    let outcome = |_| match session.run(outputs, ()) {
        Ok(values) => {
            let numbers = values.iter().flat_map(|value| value.to_vec::<i64>().unwrap());
            numbers.map(|number| number.to_string()).collect::<Vec<_>>().join(",")
        }
        Err(error) if error.code() == Code::OutOfRange && error.message().contains("End of sequence") => {
            "end".to_owned()
        }
        Err(error) => format!("{:?}", error.code()),
    };
    (0..count).map(outcome).collect()
}

/// Checks the outcomes of steps, separated by spaces, also of a session that continues after any of them.
fn gives(name: &str, graph: &Graph, dataset: &Dataset, expected: &str) {
    let outputs = dataset.make_initializable_iterator().get_next();
    let expected: Vec<&str> = expected.split(' ').collect();
    assert_eq!(taken(session(graph).as_ref(), &outputs, expected.len()), expected, "{name}");
    for at in 0..expected.len() {
        let (cut, resumed) = (session(graph), closed(graph));
        taken(cut.as_ref(), &outputs, at);
        resumed.import_state(&cut.export_state().unwrap()).unwrap();
        resumed.run(((), &graph.collection(&TABLE_INITIALIZERS)), ()).unwrap();
        let rest = taken(resumed.as_ref(), &outputs, expected.len() - at);
        assert_eq!(rest, expected[at..], "{name} after {at} steps");
    }
}

/// A value, or an error where a number is another one.
fn unless(graph: &Graph, code: Code, at: i64, x: &Output, value: impl Into<Tensor>) -> Output {
    let value = value.into();
    let call = host_func(graph).input(x).output(value.dtype(), PartialShape::scalar());
    let call = call.call(move |values, _| match values[0].as_scalar_i64()? {
        number if number == at => Err(Error::new(code, "the input is closed")),
        _ => Ok(vec![value.clone()]),
    });
    call.output(0)
}

/// The number itself, or an error where it is another one.
fn same_unless(graph: &Graph, code: Code, at: i64, x: &Output) -> Output {
    x + &unless(graph, code, at, x, 0i64)
}

/// Five numbers, the third of which ends a filter with this error.
fn filtered(graph: &Graph, code: Code) -> Dataset {
    range(graph, 5).filter(|graph, x| unless(graph, code, 2, &x[0], true))
}

/// A dataset of integers that an operation makes.
fn described(builder: OpBuilder) -> Dataset {
    let builder = builder.attr("output_types", vec![AttrValue::Type(DType::Int64)]);
    let builder = builder.attr("output_shapes", vec![PartialShape::scalar()]);
    Dataset::from_variant(&builder.finish_output(), vec![int64()])
}

/// A function of integers.
fn function(
    graph: &Graph,
    arguments: usize,
    build: impl FnOnce(&Graph, &[Output]) -> Output,
) -> FunctionWithCaptures {
    let arguments = vec![(DType::Int64, PartialShape::scalar()); arguments];
    define(graph, "function", &arguments, |graph, arguments| vec![build(graph, arguments)]).unwrap()
}

fn with(builder: OpBuilder, name: &str, function: &FunctionWithCaptures) -> OpBuilder {
    builder.input_list(function.captures()).attr(name, function.attr())
}

/// Adds the numbers of each key to 100; one of the four functions fails for a number.
fn reduced(graph: &Graph, stop: i64, code: Code, failing: &str, at: i64) -> Dataset {
    let fails = |graph: &Graph, name: &str, x: &Output| {
        if name == failing { same_unless(graph, code, at, x) } else { x.clone() }
    };
    let key = function(graph, 1, |graph, x| fails(graph, "key", &x[0]));
    let init = function(graph, 1, |graph, x| fails(graph, "init", &x[0]) - &x[0] + 100i64);
    let reduce = function(graph, 2, |graph, x| &x[0] + &fails(graph, "reduce", &x[1]));
    let finalize = function(graph, 1, |graph, x| fails(graph, "finalize", &x[0]));
    let builder = with(op(graph, "GroupByReducerDataset").input(range(graph, stop)), "key_func", &key);
    let builder = with(with(builder, "init_func", &init), "reduce_func", &reduce);
    described(with(builder, "finalize_func", &finalize))
}

#[test]
fn out_of_range_of_a_dataset_function_is_an_error_of_its_element() {
    type Build = fn(&Graph) -> Dataset;
    const END: Code = Code::OutOfRange;
    fn one(graph: &Graph, x: &Output) -> Dataset {
        Dataset::from_tensors(graph, [same_unless(graph, END, 2, x)])
    }
    fn inner(graph: &Graph, x: &Output) -> Dataset {
        Dataset::from_tensors(graph, [x]).filter(|graph, x| unless(graph, END, 2, &x[0], true))
    }
    let whole = "0 1 Internal 3 4 end end";
    let pipelines: [(&str, Build, &str); 16] = [
        ("filter", |graph| filtered(graph, END), whole),
        ("take while", |graph| range(graph, 5).take_while(|g, x| unless(g, END, 2, &x[0], true)), whole),
        ("flat map", |graph| range(graph, 5).flat_map(|g, x| one(g, &x[0])), whole),
        ("inner dataset", |graph| range(graph, 5).flat_map(|g, x| inner(g, &x[0])), whole),
        ("interleave", |graph| range(graph, 5).interleave(2, 1, |g, x| one(g, &x[0])), whole),
        ("inner interleave", |graph| range(graph, 5).interleave(2, 1, |g, x| inner(g, &x[0])), whole),
        ("parallel", |graph| range(graph, 5).parallel_interleave(2, 1, |g, x| one(g, &x[0])), whole),
        ("inner parallel", |graph| range(graph, 5).parallel_interleave(2, 1, |g, x| inner(g, &x[0])), whole),
        (
            "key of a window",
            |graph| {
                let numbers = range(graph, 5);
                numbers.group_by_window(
                    |g, x| same_unless(g, END, 2, &x[0]),
                    |_, _, group| group.batch(2, Remainder::Keep),
                    |g, _| constant(g, 1i64),
                )
            },
            whole,
        ),
        (
            "size of a window",
            |graph| {
                let numbers = range(graph, 5);
                numbers.group_by_window(
                    |_, x| x[0].clone(),
                    |_, _, group| group.batch(2, Remainder::Keep),
                    |g, key| unless(g, END, 2, key, 1i64),
                )
            },
            whole,
        ),
        ("key", |graph| reduced(graph, 4, END, "key", 2), "Internal 100 101 103 end"),
        ("init", |graph| reduced(graph, 4, END, "init", 2), "Internal 100 101 103 end"),
        ("reduce", |graph| reduced(graph, 4, END, "reduce", 2), "Internal 100 101 100 103 end"),
        ("finalize", |graph| reduced(graph, 4, END, "finalize", 102), "100 101 Internal 103 end"),
        ("prefetch", |graph| filtered(graph, END).prefetch(2), whole),
        ("filter of a filter", |graph| filtered(graph, END).filter(|g, _| constant(g, true)), whole),
    ];
    for (name, build, expected) in pipelines {
        let graph = Graph::new();
        let dataset = build(&graph);
        gives(name, &graph, &dataset, expected);
    }
    let graph = Graph::new();
    let next = next_of(&filtered(&graph, END));
    let session = session(&graph);
    (0..2).for_each(|_| drop(session.run(&next, ()).unwrap()));
    let error = session.run(&next, ()).unwrap_err();
    let text = error.message();
    assert!(text.contains("iterator 'IteratorV2'") && text.contains("the input is closed"), "{error}");
}

#[test]
fn what_follows_a_failing_dataset_filter_fails_one_request_as_well() {
    type Build = fn(&Graph, &Dataset) -> Dataset;
    let whole = "0 1 Internal 3 4 end";
    let pipelines: [(&str, Build, &str); 12] = [
        ("batch", |_, all| all.batch(2, Remainder::Keep), "0,1 Internal 3,4 end"),
        ("zip", |g, all| Dataset::zip(&[all, &range(g, 10)]), "0,0 1,1 Internal 3,3 4,4 end"),
        ("zip after", |g, all| Dataset::zip(&[&range(g, 10), all]), "0,0 1,1 Internal 3,3 4,4 end"),
        ("concatenate", |g, all| all.concatenate(&range(g, 2)), "0 1 Internal 3 4 0 1 end"),
        ("repeat", |_, all| all.repeat(2), "0 1 Internal 3 4 0 1 Internal 3 4 end"),
        ("ignore errors", |_, all| all.ignore_errors(), "0 1 3 4 end end"),
        ("take", |_, all| all.take(4), "0 1 Internal 3 4 end"),
        ("cache", |_, all| all.cache().repeat(2), "0 1 Internal 3 4 0 1 3 4 end"),
        (
            "map and batch",
            |_, all| all.map(|_, x| vec![&x[0] + 1i64]).batch(2, Remainder::Keep),
            "1,2 Internal 5 end",
        ),
        ("unbatch", |_, all| all.batch(2, Remainder::Keep).unbatch(), whole),
        ("shard", |_, all| all.shard(2, 0), "0 Internal 3 end"),
        ("unique", |_, all| all.unique(), whole),
    ];
    for (name, build, expected) in pipelines {
        let graph = Graph::new();
        let dataset = build(&graph, &filtered(&graph, Code::OutOfRange));
        gives(name, &graph, &dataset, expected);
    }
    let graph = Graph::new();
    let next = next_of(&filtered(&graph, Code::OutOfRange).shuffle(3, Some(1)));
    let mut found = taken(session(&graph).as_ref(), &[next], 7);
    assert_eq!(found[0], "Internal");
    found.sort();
    assert_eq!(found, ["0", "1", "3", "4", "Internal", "end", "end"]);
}

#[test]
fn a_closed_queue_is_no_end_of_a_dataset() {
    let graph = Graph::new();
    let queue = FifoQueue::new(&graph, 4, DType::Int64).shapes([PartialShape::scalar()]).build();
    let dataset = range(&graph, 3).filter(|g, x| not_equal(queue.within(g).dequeue().output(), &x[0]));
    let outputs = dataset.make_initializable_iterator().get_next();
    let (fill, close) = (queue.enqueue(7i64), queue.close());
    let session = session(&graph);
    session.run(((), &fill), ()).unwrap();
    session.run(((), &close), ()).unwrap();
    assert_eq!(taken(session.as_ref(), &outputs, 4), ["0", "Internal", "Internal", "end"]);
}

/// The operation that reduces a dataset to the sum of its numbers.
fn sum(graph: &Graph, dataset: &Dataset, add: &FunctionWithCaptures) -> Output {
    let builder = op(graph, "ReduceDataset").input(dataset).input_list(&[constant(graph, 0i64)]);
    let builder = with(builder, "f", add).attr("output_types", vec![AttrValue::Type(DType::Int64)]);
    builder.attr("output_shapes", vec![PartialShape::scalar()]).finish_output()
}

#[test]
fn a_reduction_of_a_failing_dataset_does_not_report_an_end() {
    let graph = Graph::new();
    let add = function(&graph, 2, |_, x| &x[0] + &x[1]);
    let failing = function(&graph, 2, |g, x| &x[0] + &same_unless(g, Code::OutOfRange, 2, &x[1]));
    let of_input = sum(&graph, &filtered(&graph, Code::OutOfRange), &add);
    let of_function = sum(&graph, &range(&graph, 5), &failing);
    let all = sum(&graph, &range(&graph, 5), &add);
    let session = session(&graph);
    assert_eq!(value(session.as_ref(), &all), 10);
    let error = session.run(&of_input, ()).unwrap_err();
    assert_eq!(error.code(), Code::Internal, "{error}");
    assert!(error.message().contains("Range > Filter"), "{error}");
    assert_eq!(session.run(&of_function, ()).unwrap_err().code(), Code::OutOfRange);
}

#[test]
fn a_scan_over_a_dataset_keeps_its_number_of_elements() {
    let graph = Graph::new();
    let zero = constant(&graph, 0i64);
    let scanned = range(&graph, 5).scan(&[zero], |graph, state, x| {
        (vec![state[0].clone()], vec![same_unless(graph, Code::OutOfRange, 2, &x[0])])
    });
    gives("scan", &graph, &scanned, "0 1 InvalidArgument 3 4 end");
}

#[test]
fn an_error_before_the_end_of_a_zipped_dataset_is_reported() {
    let graph = Graph::new();
    let failing = filtered(&graph, Code::Aborted);
    let two = range(&graph, 2);
    gives("error first", &graph, &Dataset::zip(&[&failing, &two]), "0,0 1,1 Aborted end end");
    let graph = Graph::new();
    let (failing, two) = (filtered(&graph, Code::Aborted), range(&graph, 2));
    gives("end first", &graph, &Dataset::zip(&[&two, &failing]), "0,0 1,1 end end");
    let graph = Graph::new();
    let (failing, two) = (filtered(&graph, Code::Aborted), range(&graph, 2));
    let twice = Dataset::zip(&[&failing, &two]).repeat(2);
    gives("repeated", &graph, &twice, "0,0 1,1 Aborted 0,0 1,1 Aborted end");
}

#[test]
fn a_dataset_key_whose_first_element_fails_has_a_result() {
    let graph = Graph::new();
    gives("reduce", &graph, &reduced(&graph, 3, Code::Aborted, "reduce", 1), "Aborted 100 100 102 end");
}

#[test]
fn a_dataset_without_end_passes_a_cache() {
    let graph = Graph::new();
    gives("memory", &graph, &range(&graph, 3).repeat(None).cache().take(5), "0 1 2 0 1 end");
    let (graph, folder) = (Graph::new(), TempDir::new().unwrap());
    let prefix = folder.path().join("cache");
    let cached = range(&graph, 3).repeat(None).cache_in(prefix.to_str().unwrap()).take(5);
    let outputs = cached.make_initializable_iterator().get_next();
    let found = taken(session(&graph).as_ref(), &outputs, 6);
    assert_eq!(found, ["0", "1", "2", "0", "1", "end"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// A part of a dataset whose other parts have elements as well.
fn part(graph: &Graph, dataset: &Dataset, shards: i64, index: i64) -> Dataset {
    let builder = op(graph, "ShardDataset").input(dataset).constant(Tensor::scalar(shards));
    described(builder.constant(Tensor::scalar(index)).attr("require_non_empty", true))
}

#[test]
fn shards_of_a_dataset_that_must_not_be_empty_are_counted() {
    for (shards, index, stop, expected) in [
        (4, 0, 2, "InvalidArgument end end"),
        (4, 3, 2, "end end"),
        (4, 1, 2, "InvalidArgument end"),
        (4, 2, 3, "InvalidArgument end"),
        (2, 0, 2, "0 end"),
        (2, 1, 2, "1 end"),
        (2, 0, 1, "InvalidArgument end"),
        (2, 1, 1, "end"),
        (2, 0, 0, "end"),
        (1, 0, 1, "0 end"),
        (3, 0, 4, "0 3 end"),
        (3, 1, 7, "1 4 end"),
        (4, 0, 9, "0 4 8 end"),
    ] {
        let graph = Graph::new();
        let name = format!("shard {index} of {shards}, {stop} elements");
        gives(&name, &graph, &part(&graph, &range(&graph, stop), shards, index), expected);
    }
    // After an error the full number is skipped again.
    for (at, index, expected) in [
        (2, 0, "Aborted 6 end"),
        (0, 0, "Aborted 1 5 9 end"),
        (1, 2, "Aborted 4 8 end"),
        (5, 0, "0 4 Aborted 9 end"),
    ] {
        let graph = Graph::new();
        let ten = range(&graph, 10).filter(|g, x| unless(g, Code::Aborted, at, &x[0], true));
        gives("failing shard", &graph, &part(&graph, &ten, 4, index), expected);
    }
    let graph = Graph::new();
    let twice = part(&graph, &range(&graph, 2), 4, 0).repeat(2);
    gives("repeated", &graph, &twice, "InvalidArgument InvalidArgument end");
    // Indices are shuffled only where the first element does not fail.
    for (stop, expected) in [(2, "InvalidArgument end"), (4, "0 end")] {
        let graph = Graph::new();
        let shuffled = part(&graph, &range(&graph, stop), 4, 0).shuffle(10, Some(1));
        gives("shuffled", &graph, &shuffled, expected);
    }
}

#[test]
fn numbers_of_dataset_elements_are_tensorflows() {
    type Build = fn(&Graph) -> Dataset;
    let endless = |graph: &Graph| range(graph, 3).repeat(None);
    let one = |graph: &Graph, _: &Output| constant(graph, 1i64);
    let group = move |all: &Dataset| {
        all.group_by_window(|_, x| x[0].clone(), |_, _, group| group.batch(1, Remainder::Keep), one)
    };
    let graph = Graph::new();
    let unknown = range(&graph, 3).filter(|g, x| equal(&x[0], constant(g, 1i64)));
    let (all, few, none) = (endless(&graph), range(&graph, 3), range(&graph, 0));
    let sampled = |parts: &[&Dataset]| Dataset::sample_from_datasets(parts, None, Some(1));
    let v4: Build = |graph| {
        let inner = function(graph, 1, |g, x| Dataset::from_tensors(g, [&x[0]]).variant().clone());
        let scalar = |value: i64| Tensor::scalar(value);
        let builder = op(graph, "ParallelInterleaveDatasetV4").input(range(graph, 3).repeat(None));
        let builder = builder.input_list(inner.captures()).attr("f", inner.attr());
        described([2, 1, 1, 0, 2].into_iter().map(scalar).fold(builder, OpBuilder::constant))
    };
    for (name, dataset, expected) in [
        ("endless and few", sampled(&[&all, &few]), -1),
        ("few and few", sampled(&[&few, &few]), -2),
        ("unknown and endless", sampled(&[&unknown, &all]), -1),
        ("choice that ends", Dataset::choose_from_datasets(&[&few, &all], &few), -1),
        ("nothing and nothing", Dataset::choose_from_datasets(&[&none, &none], &all), -2),
        ("groups without end", group(&all), -1),
        ("groups", group(&few), -2),
        ("rows without end", all.batch(2, Remainder::Keep).unbatch(), -1),
        ("rows of equal batches", range(&graph, 10).batch(2, Remainder::Drop).unbatch(), 10),
        ("rows of batches", range(&graph, 10).batch(2, Remainder::Keep).unbatch(), -2),
        ("parallel interleave", v4(&graph), -1),
        ("interleave", all.interleave(2, 1, |g, x| Dataset::from_tensors(g, [&x[0]])), -2),
    ] {
        let count = op(&graph, "DatasetCardinality").input(&dataset).finish_output();
        assert_eq!(value(closed(&graph).as_ref(), &count), expected, "{name}");
    }
}

#[test]
fn lines_of_a_text_dataset_need_more_than_a_carriage_return_at_the_end() {
    let cases: [(&[u8], &[&[u8]]); 10] = [
        (b"a\nb\r", &[b"a", b"b"]),
        (b"a\r\nb\r", &[b"a", b"b"]),
        (b"a\n\r", &[b"a"]),
        (b"a\n\r\r", &[b"a"]),
        (b"\r", &[]),
        (b"a\rb\r", &[b"ab"]),
        (b"", &[]),
        (b"a\n\r\n", &[b"a", b""]),
        (b"\r\n\r", &[b""]),
        (b"\n", &[b""]),
    ];
    for (content, expected) in cases {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("text");
        fs::write(&path, content).unwrap();
        let graph = Graph::new();
        let next = next_of(&Dataset::text_line(&graph, &[path.to_str().unwrap()], Compression::None));
        let session = session(&graph);
        let mut lines: Vec<Vec<u8>> = Vec::new();
        while let Ok(line) = session.run(&next, ()) {
            lines.push(line.as_strings().unwrap()[0].to_vec());
        }
        assert_eq!(lines, expected, "{content:?}");
    }
}

/// Counts what it belongs to while it exists.
struct Open(Arc<AtomicI64>);

impl Open {
    fn new(count: &Arc<AtomicI64>) -> Open {
        count.fetch_add(1, Ordering::SeqCst);
        Open(count.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Numbers without end, of a generator that is counted while it exists.
fn generated(graph: &Graph) -> (Dataset, Arc<AtomicI64>) {
    let count = Arc::new(AtomicI64::new(0));
    let open = count.clone();
    let dataset = Dataset::from_generator(graph, [int64()], move || {
        let (open, mut next) = (Open::new(&open), -1i64);
        std::iter::from_fn(move || {
            let _ = &open;
            next += 1;
            Some(Ok(vec![Tensor::scalar(next)]))
        })
    });
    (dataset, count)
}

#[test]
fn a_generator_that_is_left_early_is_dropped() {
    let graph = Graph::new();
    let (dataset, open) = generated(&graph);
    let session = session(&graph);
    let open = || open.load(Ordering::SeqCst);

    // By the end of a part of it, in each epoch.
    let part = dataset.take(2).repeat(2).make_initializable_iterator();
    let part_next = part.get_next();
    session.run(((), part.initializer().unwrap()), ()).unwrap();
    assert_eq!(taken(session.as_ref(), &part_next, 3), ["0", "1", "0"]);
    assert_eq!(open(), 1);
    assert_eq!(taken(session.as_ref(), &part_next, 3), ["1", "end", "end"]);
    assert_eq!(open(), 0);

    // By another initialization, and a restored position.
    for prefetch in [0, 2] {
        let all = if prefetch == 0 { dataset.clone() } else { dataset.prefetch(prefetch) };
        let (all, outputs) = {
            let iterator = all.make_initializable_iterator();
            let outputs = iterator.get_next();
            (iterator, outputs)
        };
        for _ in 0..3 {
            session.run(((), all.initializer().unwrap()), ()).unwrap();
            assert_eq!(taken(session.as_ref(), &outputs, 2), ["0", "1"]);
            assert_eq!(open(), 1);
        }
        let position = session.export_state().unwrap();
        for _ in 0..3 {
            session.import_state(&position).unwrap();
            assert_eq!(taken(session.as_ref(), &outputs, 1), ["2"]);
            assert_eq!(open(), 1);
        }
        session.run(((), all.initializer().unwrap()), ()).unwrap();
        assert_eq!(open(), 0);
    }

    // With the session.
    let next = next_of(&dataset);
    session.run(((), &graph.collection(&TABLE_INITIALIZERS)), ()).unwrap();
    assert_eq!(value(session.as_ref(), &next), 0);
    assert_eq!(open(), 1);
    session.close().unwrap();
    assert_eq!(open(), 0);
}

#[test]
fn a_failing_end_of_a_generator_that_is_left_is_no_error_of_a_step() {
    let graph = Graph::new();
    let ended = Arc::new(AtomicI64::new(0));
    let count = ended.clone();
    let begin = function(&graph, 0, |g, _| constant(g, 3i64));
    let more = function(&graph, 1, |_, x| x[0].clone());
    let end = function(&graph, 1, |g, x| {
        let call = host_func(g).input(&x[0]).output(DType::Int64, PartialShape::scalar());
        let call = call.call(move |values, _| {
            count.fetch_add(values[0].as_scalar_i64()?, Ordering::SeqCst);
            panic!("the file is gone")
        });
        call.output(0)
    });
    let builder = with(op(&graph, "GeneratorDataset"), "init_func", &begin);
    let dataset = described(with(with(builder, "next_func", &more), "finalize_func", &end));
    let iterator = dataset.make_initializable_iterator();
    let outputs = iterator.get_next();
    let session = closed(&graph);
    for round in 1..=3 {
        session.run(((), iterator.initializer().unwrap()), ()).unwrap();
        assert_eq!(taken(session.as_ref(), &outputs, 2), ["3", "3"]);
        assert_eq!(ended.load(Ordering::SeqCst), 3 * (round - 1));
    }
    session.close().unwrap();
    assert_eq!(ended.load(Ordering::SeqCst), 9);
}

/// Ten times a number and an element of a queue; the first operation takes the next one, the second fills the queue.
fn fed(graph: &Graph) -> (Queue, Output, Operation) {
    let queue = FifoQueue::new(graph, 4, DType::Int64).shapes([PartialShape::scalar()]).build();
    let numbers = range(graph, 5);
    let dataset = numbers.map(|g, x| vec![&x[0] * 10i64 + queue.within(g).dequeue().output()]);
    let next = next_of(&dataset);
    let fill = queue.enqueue(7i64);
    (queue, next, fill)
}

#[test]
fn a_step_fills_the_queue_that_its_dataset_element_waits_for() {
    for options in [RunOptions::default(), RunOptions::with_timeout(Duration::from_secs(300))] {
        let graph = Graph::new();
        let (_, next, fill) = fed(&graph);
        let session = session(&graph);
        for expected in [7, 17, 27] {
            let (found, ()) = session.run_with((&next, &fill), (), &options, None).unwrap();
            assert_eq!(found.value::<i64>().unwrap(), expected);
        }
        // The position is that of the steps.
        let state = session.export_state().unwrap();
        let resumed = closed(&graph);
        resumed.import_state(&state).unwrap();
        resumed.run(((), &graph.collection(&TABLE_INITIALIZERS)), ()).unwrap();
        let (found, ()) = resumed.run_with((&next, &fill), (), &options, None).unwrap();
        assert_eq!(found.value::<i64>().unwrap(), 37);
        // A step that gives up loses nothing.
        let short = RunOptions::with_timeout(Duration::from_millis(20));
        let error = resumed.run_with(&next, (), &short, None).unwrap_err();
        assert_eq!(error.code(), Code::DeadlineExceeded, "{error}");
        assert!(error.message().contains("next element of iterator 'IteratorV2'"), "{error}");
        let (found, ()) = resumed.run_with((&next, &fill), (), &options, None).unwrap();
        assert_eq!(found.value::<i64>().unwrap(), 47);
        assert_eq!(
            resumed.run_with((&next, &fill), (), &options, None).unwrap_err().code(),
            Code::OutOfRange
        );
    }
}

#[test]
fn a_checkpoint_does_not_wait_for_a_dataset_element_that_waits_for_its_thread() {
    // A queue that this thread fills later.
    let graph = Graph::new();
    let (queue, next, fill) = fed(&graph);
    let (size, first) = (queue.size(), session(&graph));
    let before = first.export_state().unwrap();
    let waiting = thread::spawn({
        let (session, next) = (first.clone(), next.clone());
        move || value(session.as_ref(), &next)
    });
    // Until the other thread is in its step there is nothing to wait for, and then it must not be waited for.
    for _ in 0..50 {
        assert_eq!(first.export_state().unwrap(), before);
        thread::sleep(Duration::from_millis(1));
    }
    first.run(((), &fill), ()).unwrap();
    assert_eq!(waiting.join().unwrap(), 7);
    assert_eq!(first.run(&size, ()).unwrap().value::<i32>().unwrap(), 0);

    // A closure that this thread serves later, with and without a time limit.
    for options in [RunOptions::default(), RunOptions::with_timeout(Duration::from_secs(300))] {
        let graph = Graph::new();
        let ((asks, asked), (sender, receiver)) = (channel(), channel());
        let receiver = Mutex::new(receiver);
        let served = range(&graph, 5).map_host([int64()], move |values| {
            asks.send(()).unwrap();
            let sent: i64 = receiver.lock().unwrap().recv().unwrap();
            Ok(vec![Tensor::scalar(values[0].as_scalar_i64()? + sent)])
        });
        let next = next_of(&served);
        let first = session(&graph);
        sender.send(10).unwrap();
        let found = first.run_with(&next, (), &options, None).unwrap();
        assert_eq!(found.value::<i64>().unwrap(), 10);
        asked.recv().unwrap();
        let before = first.export_state().unwrap();
        let waiting = thread::spawn({
            let (session, next) = (first.clone(), next.clone());
            move || session.run_with(&next, (), &options, None).unwrap().value::<i64>().unwrap()
        });
        asked.recv().unwrap();
        assert_eq!(first.export_state().unwrap(), before, "the element was not taken");
        sender.send(20).unwrap();
        assert_eq!(waiting.join().unwrap(), 21);
        assert_ne!(first.export_state().unwrap(), before);
        // The position that was saved is the one before that element.
        let resumed = closed(&graph);
        resumed.import_state(&before).unwrap();
        resumed.run(((), &graph.collection(&TABLE_INITIALIZERS)), ()).unwrap();
        sender.send(30).unwrap();
        assert_eq!(value(resumed.as_ref(), &next), 31);
    }
}

#[test]
fn steps_that_wait_for_one_dataset_iterator_share_its_elements() {
    let graph = Graph::new();
    let slow = range(&graph, 200).map_host([int64()], |values| {
        thread::sleep(Duration::from_micros(300));
        Ok(values.to_vec())
    });
    let next = next_of(&slow.prefetch(1));
    let session = session(&graph);
    let steps: Vec<_> = (0..3)
        .map(|_| {
            let (session, next) = (session.clone(), next.clone());
            thread::spawn(move || {
                let elements = std::iter::from_fn(|| match session.run(&next, ()) {
                    Ok(element) => Some(element.value::<i64>().unwrap()),
                    Err(error) => {
                        assert_eq!(error.code(), Code::OutOfRange, "{error}");
                        None
                    }
                });
                elements.collect::<Vec<_>>()
            })
        })
        .collect();
    let mut all: Vec<i64> = steps.into_iter().flat_map(|step| step.join().unwrap()).collect();
    all.sort_unstable();
    assert_eq!(all, (0..200).collect::<Vec<_>>());
}
