//! Input pipelines on the embedded engine: the values of producers and batches, their names, their errors.
#![cfg(feature = "embedded")]
#![allow(clippy::unwrap_used)] // a panic is the report

use monitored_session::embedded_engine::EmbeddedEngine;
use monitored_session::ops::array::{constant, placeholder, placeholder_with_default};
use monitored_session::ops::io::{Compression, Reader};
use monitored_session::ops::parsing::{FeatureSpec, SparseTensor, parse_single_example};
use monitored_session::ops::variables::local_variables_initializer;
use monitored_session::prelude::SingularMonitoredSession;
use monitored_session::queue_runner::input::*;
use monitored_session::queue_runner::{
    Coordinator, JoinOptions, QUEUE_RUNNERS, start_queue_runners, start_queue_runners_in_scope,
};
use monitored_session::session_core::{
    Code, DType, Engine, Error, Fetch, Graph, Output, PartialShape, Session, SessionConfig, SessionExt,
    Tensor, keys,
};
use monitored_session::summary::example::Example;
use monitored_session::summary::record::RecordWriter;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

fn session(graph: &Graph) -> Arc<dyn Session> {
    EmbeddedEngine::new().new_session(graph, "", &SessionConfig::default()).unwrap()
}

/// Fetches until the end of the input, and returns all values, the final error, and the errors of the threads.
fn drain<F: Fetch + Clone>(graph: &Graph, fetch: &F) -> (Vec<F::Value>, Error, Result<(), Error>) {
    let init = local_variables_initializer(graph);
    graph.finalize().unwrap();
    let session = session(graph);
    session.run(&init, ()).unwrap();
    let coordinator = Coordinator::new();
    let threads = start_queue_runners(&session, Some(&coordinator)).unwrap();
    let mut found = Vec::new();
    let error = loop {
        match session.run(fetch.clone(), ()) {
            Ok(values) => found.push(values),
            Err(error) => break error,
        }
    };
    coordinator.request_stop();
    let joined =
        coordinator.join_with(&threads, &JoinOptions::default().stop_grace_period(Duration::from_secs(20)));
    (found, error, joined)
}

fn strings(tensor: &Tensor) -> Vec<String> {
    tensor.as_strings().unwrap().iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect()
}

fn ints(tensor: &Tensor) -> Vec<i32> {
    tensor.to_vec::<i32>().unwrap()
}

fn sorted<T: Ord>(mut items: Vec<T>) -> Vec<T> {
    items.sort();
    items
}

fn plain() -> ProducerOptions {
    ProducerOptions::default().shuffle(false).num_epochs(1)
}

/// Counts from 0, as many times as requested.
fn numbers(graph: &Graph, limit: i64, epochs: u64) -> Output {
    range_input_producer(&graph.named("numbers"), limit, &plain().num_epochs(epochs)).dequeue().output()
}

fn build_error(build: impl FnOnce(&Graph)) -> String {
    let graph = Graph::new();
    build(&graph);
    let error = graph.finalize().unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument, "{error}");
    error.to_string()
}

// ---- producers -------------------------------------------------------------------------------------------

#[test]
fn s_251_s_254_strings_come_in_order_epoch_by_epoch_and_end() {
    let graph = Graph::new();
    let queue = string_input_producer(&graph, ["a", "b", "c"], &plain().num_epochs(2));
    let (found, error, joined) = drain(&graph, &queue.dequeue().output());
    let found: Vec<String> = found.iter().flat_map(strings).collect();
    assert_eq!(found, ["a", "b", "c", "a", "b", "c"]);
    assert_eq!(error.code(), Code::OutOfRange);
    assert!(error.message().contains("'input_producer' is closed and has insufficient elements"), "{error}");
    joined.unwrap();
}

#[test]
fn s_255_each_epoch_has_its_own_order_and_epochs_do_not_mix() {
    let run = || {
        let graph = Graph::new();
        let options = ProducerOptions::default().num_epochs(3).seed(5);
        let queue = range_input_producer(&graph, 20, &options);
        let (found, ..) = drain(&graph, &queue.dequeue().output());
        found.iter().flat_map(ints).collect::<Vec<i32>>()
    };
    let found = run();
    let epochs: Vec<&[i32]> = found.chunks(20).collect();
    assert_eq!(epochs.len(), 3);
    for epoch in &epochs {
        assert!(sorted(epoch.to_vec()).into_iter().eq(0..20), "{epoch:?}");
    }
    assert!(epochs[0] != epochs[1] && epochs[1] != epochs[2]);
    assert_eq!(run(), found, "a seed gives the same order in every run");
}

#[test]
fn s_258_slices_are_of_the_same_row() {
    let graph = Graph::new();
    let letters = constant(&graph, Tensor::from(["a", "b", "c"]));
    let numbers = constant(&graph, Tensor::from([[1i32, 10], [2, 20], [3, 30]]));
    let slices =
        slice_input_producer(&graph, &[letters, numbers], &plain().num_epochs(2).shuffle(true).seed(1));
    let (found, ..) = drain(&graph, &slices);
    let pairs: Vec<(String, Vec<i32>)> =
        found.iter().map(|row| (strings(&row[0]).remove(0), ints(&row[1]))).collect();
    let expected = [("a", [1, 10]), ("b", [2, 20]), ("c", [3, 30])];
    let expected = expected.map(|(letter, row)| (letter.to_owned(), row.to_vec()));
    for epoch in pairs.chunks(3) {
        assert_eq!(sorted(epoch.to_vec()), expected);
    }
    assert_eq!(pairs.len(), 6);
}

#[test]
fn s_256_an_empty_list_of_strings_is_an_error() {
    let text = build_error(|graph| {
        let _ = string_input_producer(graph, Vec::<String>::new(), &plain());
    });
    assert!(text.contains("requires a non-null input tensor: the list of strings is empty"), "{text}");
    assert!(text.contains("node 'input_producer' of type FIFOQueueV2, made at"), "{text}");
    assert!(text.contains(&format!("made at {}", file!())), "{text}");

    let graph = Graph::new();
    let none = constant(&graph, Tensor::zeros(DType::String, [0]).unwrap());
    let none = monitored_session::ops::array::placeholder_with_default(&none, PartialShape::from([None]));
    let queue = string_input_producer(&graph, &none, &plain());
    let (found, error, joined) = drain(&graph, &queue.dequeue().output());
    assert!(found.is_empty());
    assert_eq!(error.code(), Code::OutOfRange);
    let error = joined.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    let text = error.chain().to_string();
    assert!(text.contains("non-null input tensor") && text.contains("input_producer/Assert"), "{text}");
}

#[test]
fn s_251_s_254_s_258_build_errors_are_recorded() {
    let open = |graph: &Graph| placeholder(graph, DType::Int32, [None, None]);
    for (build, expected) in [
        (
            &(|graph: &Graph| drop(range_input_producer(graph, 3, &plain().num_epochs(0))))
                as &dyn Fn(&Graph),
            "> 0",
        ),
        (&|graph| drop(input_producer(graph, open(graph), &plain())), "must have a fully defined shape"),
        (&|graph| drop(slice_input_producer(graph, &[], &plain())), "at least one tensor"),
        (
            &|graph| drop(slice_batch(graph, &[open(graph)], 2, &IndexOptions::default())),
            "known number of rows",
        ),
    ] {
        let text = build_error(build);
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn s_252_an_uninitialized_epoch_count_fails_the_session() {
    let graph = Graph::new();
    let element = numbers(&graph, 3, 1);
    graph.finalize().unwrap();
    let session = session(&graph);
    let coordinator = Coordinator::new();
    let threads = start_queue_runners(&session, Some(&coordinator)).unwrap();
    assert_eq!(session.run(&element, ()).unwrap_err().code(), Code::OutOfRange);
    let error = coordinator.join(&threads).unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition);
}

#[test]
fn s_260_file_names_come_from_the_local_initialization() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("b.txt"), "").unwrap();
    std::fs::write(path("a.txt"), "").unwrap();
    let graph = Graph::new();
    let names = match_filenames_once(&graph, [path("*.txt")]);
    let init = local_variables_initializer(&graph);
    graph.finalize().unwrap();
    let session = session(&graph);
    session.run(&init, ()).unwrap();
    std::fs::write(path("c.txt"), "").unwrap();
    let found = strings(&session.run(&names, ()).unwrap());
    assert_eq!(found, [path("a.txt"), path("b.txt")]);
}

// ---- batches ---------------------------------------------------------------------------------------------

#[test]
fn s_261_s_264_a_smaller_final_batch_is_optional() {
    for (smaller, expected) in
        [(false, vec![vec![0, 1, 2], vec![3, 0, 1]]), (true, vec![vec![0, 1, 2], vec![3, 0, 1], vec![2, 3]])]
    {
        let graph = Graph::new();
        let number = numbers(&graph, 4, 2);
        let options = BatchOptions::default().allow_smaller_final_batch(smaller);
        let batch = batch(&graph, &number, 3, &options);
        // S-263
        assert_eq!(batch.output().shape().to_string(), if smaller { "[?]" } else { "[3]" });
        let (found, error, joined) = drain(&graph, &batch.output());
        assert_eq!(found.iter().map(ints).collect::<Vec<_>>(), expected);
        assert!(error.is_end_of_input(), "{error}");
        joined.unwrap();
    }
}

#[test]
fn s_262_mappings_are_ordered_by_key() {
    let graph = Graph::new();
    let number = numbers(&graph, 4, 1);
    let batch =
        batch(&graph, [("z", &number), ("a", &constant(&graph, 7.5f32))], 2, &BatchOptions::default());
    assert_eq!(batch.names(), ["a", "z"]);
    let (found, ..) = drain(&graph, &vec![batch.get("z"), batch.get("a")]);
    assert_eq!(found.len(), 2);
    assert_eq!((ints(&found[1][0]), found[1][1].to_vec::<f32>().unwrap()), (vec![2, 3], vec![7.5, 7.5]));
}

#[test]
fn rows_are_enqueued_at_once_and_batches_are_padded() {
    let graph = Graph::new();
    let rows = constant(&graph, Tensor::from([[1i32, 2], [3, 4], [5, 6]]));
    let rows = limit_epochs(&rows, Some(2));
    let many = batch(&graph, &rows, 4, &BatchOptions::default().enqueue_many(true));
    let (found, ..) = drain(&graph, &many.output());
    assert_eq!(found.iter().map(ints).collect::<Vec<_>>(), [[1, 2, 3, 4, 5, 6, 1, 2]]);

    let graph = Graph::new();
    let number = numbers(&graph, 4, 1);
    let run = monitored_session::ops::array::range(constant(&graph, 0i32), &number, constant(&graph, 1i32));
    let batch = batch(&graph, &run, 4, &BatchOptions::default().dynamic_pad(true));
    assert_eq!(batch.output().shape().to_string(), "[4,?]");
    let (found, ..) = drain(&graph, &batch.output());
    assert_eq!(ints(&found[0]), [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2]);
}

/// Returns rows of a table as sparse tensors: row `i` has the value `i` in its columns `0..i % 4`.
fn sparse_row(graph: &Graph, number: &Output) -> SparseTensor {
    use monitored_session::ops::array::{expand_dims, fill, range, stack};
    use monitored_session::ops::math::{cast, floor_mod};
    let count = floor_mod(number, constant(graph, 4i32));
    let places = range(constant(graph, 0i32), &count, constant(graph, 1i32));
    SparseTensor {
        indices: cast(expand_dims(&places, 1), DType::Int64),
        values: fill(expand_dims(&count, 0), number),
        dense_shape: cast(stack(&[&count], 0), DType::Int64),
    }
}

#[test]
fn s_267_sparse_tensors_are_batched_with_one_more_dimension() {
    type Parts = (Tensor, Tensor, Tensor, Tensor);
    type Build<'a> = &'a dyn Fn(&Graph, &Output, &SparseTensor) -> Batch;
    let check = |build: Build<'_>, expected: &[(Vec<i32>, usize)]| {
        let graph = Graph::new();
        let number = numbers(&graph, 7, 1);
        let batch = build(&graph, &number, &sparse_row(&graph, &number));
        let (dense, sparse) = (batch.get("dense"), batch.get_sparse("sparse"));
        assert_eq!(sparse.indices.shape().to_string(), "[?,2]");
        let fetches = (dense, sparse.indices, sparse.values, sparse.dense_shape);
        let (found, error, joined): (Vec<Parts>, _, _) = drain(&graph, &fetches);
        joined.unwrap();
        assert!(error.is_end_of_input(), "{error}");
        for ((dense, indices, values, shape), (rows, widest)) in found.iter().zip(expected) {
            assert_eq!(ints(dense), *rows);
            let every =
                rows.iter().enumerate().flat_map(|(row, &i)| (0..i % 4).map(move |place| (row, place, i)));
            let (places, held): (Vec<_>, Vec<i32>) =
                every.map(|(row, place, i)| ([row as i64, i64::from(place)], i)).unzip();
            assert_eq!(indices.to_vec::<i64>().unwrap(), places.concat());
            assert_eq!(ints(values), held);
            assert_eq!(shape.to_vec::<i64>().unwrap(), [rows.len() as i64, *widest as i64]);
        }
        assert_eq!(found.len(), expected.len());
    };
    let element = |number: &Output, row: &SparseTensor| -> [(&'static str, BatchTensor); 2] {
        [("sparse", row.into()), ("dense", number.into())]
    };
    let options = BatchOptions::default().allow_smaller_final_batch(true);
    check(
        &|graph, number, row| batch(graph, element(number, row), 3, &options),
        &[(vec![0, 1, 2], 2), (vec![3, 4, 5], 3), (vec![6], 2)],
    );
    // Dropped elements are not stored: bools for one element, and for each of a batch.
    let odd = |graph: &Graph, number: &Output| {
        let two = constant(graph, 2i32);
        let rest = monitored_session::ops::math::floor_mod(number, &two);
        monitored_session::ops::math::equal(rest, constant(graph, 1i32))
    };
    check(
        &|graph, number, row| maybe_batch(graph, element(number, row), odd(graph, number), 2, &options),
        &[(vec![1, 3], 3), (vec![5], 1)],
    );
    check(
        &|graph, number, row| {
            let first = batch(graph, element(number, row), 7, &BatchOptions::default());
            let (dense, sparse) = (first.get("dense"), first.get_sparse("sparse"));
            let keep = odd(graph, &dense);
            maybe_batch(graph, element(&dense, &sparse), keep, 3, &options.clone().enqueue_many(true))
        },
        &[(vec![1, 3, 5], 3)],
    );
    let text = build_error(|graph| {
        let _ = batch(graph, constant(graph, 1i32), 2, &BatchOptions::default()).sparse(0);
    });
    assert!(text.contains("no sparse tensor in place 0"), "{text}");
}

#[test]
fn s_267_a_batch_of_a_batch_keeps_its_sparse_tensors() {
    let graph = Graph::new();
    let number = numbers(&graph, 6, 1);
    let row = sparse_row(&graph, &number);
    let element: [(&str, BatchTensor); 2] = [("sparse", (&row).into()), ("dense", (&number).into())];
    let first = batch(&graph, element, 3, &BatchOptions::default());
    let second = batch(&graph, &first, 6, &BatchOptions::default().enqueue_many(true));
    assert_eq!(second.names(), ["dense", "sparse"]);
    let (found, ..) = drain(&graph, &second);
    let [values] = found.as_slice() else { panic!("{} batches, not one", found.len()) };
    assert_eq!(ints(&values[0]), [0, 1, 2, 3, 4, 5]);
    let Some(BatchValue::Sparse { indices, values, dense_shape }) = values.get(1) else {
        panic!("it is sparse")
    };
    assert_eq!(ints(values), [1, 2, 2, 3, 3, 3, 5]);
    let rows: Vec<i64> = indices.to_vec::<i64>().unwrap().chunks(2).map(|place| place[0]).collect();
    assert_eq!(rows, [1, 2, 2, 3, 3, 3, 5]);
    assert_eq!(dense_shape.to_vec::<i64>().unwrap(), [6, 3]);

    // As a list of outputs, a batch has dense tensors only; the error names the lost ones.
    let text = build_error(|graph| {
        let number = numbers(graph, 6, 1);
        let element: [BatchTensor; 2] = [(&number).into(), sparse_row(graph, &number).into()];
        let first = batch(graph, element, 3, &BatchOptions::default());
        let _ = batch(graph, &*first, 2, &BatchOptions::default());
    });
    assert!(text.contains("tensor 1 of the batch is sparse: take it with sparse(1)"), "{text}");
}

#[test]
fn s_270_only_chosen_elements_of_several_sources_are_batched() {
    for shuffled in [false, true] {
        let graph = Graph::new();
        let sources = [numbers(&graph, 4, 1), numbers(&graph, 4, 1)];
        let keep = placeholder_with_default(constant(&graph, true), PartialShape::scalar());
        let options = BatchOptions::default().allow_smaller_final_batch(true).seed(1);
        let batch = match shuffled {
            false => maybe_batch_join(&graph, &sources, &keep, 3, &options),
            true => maybe_shuffle_batch_join(&graph, &sources, &keep, 3, 2, &options.clone().capacity(16)),
        };
        let runners = graph.collection(&QUEUE_RUNNERS);
        assert_eq!(runners.last().unwrap().enqueue_ops().len(), 2);
        let (found, error, joined) = drain(&graph, &batch.output());
        joined.unwrap();
        assert!(error.is_end_of_input(), "{error}");
        let mut all: Vec<i32> = found.iter().flat_map(ints).collect();
        all.sort_unstable();
        assert_eq!(all, [0, 0, 1, 1, 2, 2, 3, 3]);

        let graph = Graph::new();
        let source = [numbers(&graph, 4, 1)];
        let none = constant(&graph, false);
        let batch = maybe_batch_join(&graph, source, none, 3, &options);
        assert!(drain(&graph, &batch.output()).0.is_empty());
    }
}

#[test]
fn file_names_are_given_as_texts_lists_and_slices() {
    let listed = vec!["a".to_owned(), "b".to_owned()];
    type Build<'a> = &'a dyn Fn(&Graph) -> Output;
    let builds: [(Build<'_>, usize); 5] = [
        (&|graph| string_input_producer(graph, "a", &plain()).dequeue().output(), 1),
        (&|graph| string_input_producer(graph, &listed, &plain()).dequeue().output(), 2),
        (&|graph| string_input_producer(graph, listed.as_slice(), &plain()).dequeue().output(), 2),
        (&|graph| string_input_producer(graph, ["a", "b"], &plain()).dequeue().output(), 2),
        (&|graph| string_input_producer(graph, String::from("a"), &plain()).dequeue().output(), 1),
    ];
    for (build, count) in builds {
        let graph = Graph::new();
        let name = build(&graph);
        let (found, ..) = drain(&graph, &name);
        assert_eq!(found.len(), count);
    }
}

#[test]
fn errors_of_batches_and_producers_name_them() {
    let unknown = |graph: &Graph| placeholder(graph, DType::Int32, PartialShape::unknown());
    let named = |graph: &Graph| graph.named("examples");
    type Build<'a> = &'a dyn Fn(&Graph);
    let builds: [(Build<'_>, &str); 5] = [
        (
            &|graph| drop(batch(&named(graph), unknown(graph), 2, &BatchOptions::default())),
            "QueueDequeueManyV2",
        ),
        (
            &|graph| {
                let options = BatchOptions::default().allow_smaller_final_batch(true);
                drop(shuffle_batch(&named(graph), constant(graph, 1), 2, 4, &options.clone().capacity(4)));
            },
            "QueueDequeueUpToV2",
        ),
        (
            &|graph| {
                let lists = [vec![constant(graph, 1)], vec![constant(graph, 1.0f32)]];
                drop(batch_join(&named(graph), lists, 2, &BatchOptions::default()));
            },
            "QueueDequeueManyV2",
        ),
        (&|graph| drop(input_producer(&named(graph), unknown(graph), &plain())), "FIFOQueueV2"),
        (&|graph| drop(slice_batch(&named(graph), &[], 2, &IndexOptions::default())), "IndexBatch"),
    ];
    for (build, op_type) in builds {
        let text = build_error(|graph| build(graph));
        assert!(text.contains(&format!("node 'examples' of type {op_type}, made at {}", file!())), "{text}");
    }
}

#[test]
fn only_runners_of_one_scope_are_started() {
    let graph = Graph::new();
    for scope in ["train", "eval"] {
        let _ = range_input_producer(&graph.scope(scope), 3, &plain());
    }
    let init = local_variables_initializer(&graph);
    graph.finalize().unwrap();
    let session = session(&graph);
    session.run(&init, ()).unwrap();
    let coordinator = Coordinator::new();
    let threads =
        start_queue_runners_in_scope(&session, Some(&coordinator), &QUEUE_RUNNERS, "eval/").unwrap();
    assert!(!threads.is_empty() && threads.iter().all(|thread| thread.name().contains("-eval/")));
    coordinator.request_stop();
    coordinator.join_with(&threads, &JoinOptions::default()).unwrap();
}

#[test]
fn batches_larger_than_their_queue_are_build_errors() {
    let options = BatchOptions::default().capacity(8);
    type Build<'a> = &'a dyn Fn(&Graph, Output) -> Batch;
    let cases: [(Build<'_>, &str, &str); 4] = [
        (&|graph, number| batch(graph, number, 9, &options), "batch", "FIFOQueue 'batch/fifo_queue'"),
        (
            &|graph, number| batch(graph, number, 9, &options.clone().allow_smaller_final_batch(true)),
            "batch",
            "FIFOQueue 'batch/fifo_queue'",
        ),
        (
            &|graph, number| batch_join(graph, [[number]], 9, &options.clone().dynamic_pad(true)),
            "batch_join",
            "PaddingFIFOQueue 'batch_join/padding_fifo_queue'",
        ),
        (
            &|graph, number| shuffle_batch(graph, number, 9, 2, &options.clone().capacity(8)),
            "shuffle_batch",
            "RandomShuffleQueue 'shuffle_batch/random_shuffle_queue'",
        ),
    ];
    for (build, node, queue) in cases {
        let graph = Graph::new();
        let _ = build(&graph, numbers(&graph, 20, 1));
        let error = graph.finalize().unwrap_err();
        assert_eq!((error.code(), error.node()), (Code::InvalidArgument, Some(node)), "{error}");
        let expected = format!("9 elements are dequeued at once from {queue}, whose capacity is 8");
        assert_eq!(error.message(), expected);
        assert_eq!(error.location().map(|place| place.file()), Some(file!()));
    }
}

#[test]
fn s_261_a_queue_of_the_default_size_holds_a_batch() {
    let graph = Graph::new();
    let rows = batch(&graph, numbers(&graph, 100, 1), 64, &BatchOptions::default());
    let found = drain(&graph, &rows.output()).0;
    assert_eq!(found.iter().map(ints).collect::<Vec<_>>(), [(0..64).collect::<Vec<i32>>()]);
}

#[test]
fn s_270_s_271_dropped_elements_do_not_count() {
    use monitored_session::ops::math::{equal, floor_mod};
    let even = |graph: &Graph, number: &Output| {
        let two = constant(graph, 2i32);
        equal(floor_mod(number, &two), constant(graph, 0i32))
    };
    let graph = Graph::new();
    let number = numbers(&graph, 10, 1);
    let keep = even(&graph, &number);
    let found = drain(&graph, &maybe_batch(&graph, &number, &keep, 2, &BatchOptions::default()).output()).0;
    assert_eq!(found.iter().map(ints).collect::<Vec<_>>(), [[0, 2], [4, 6]]);

    let options = BatchOptions::default().enqueue_many(true);
    let graph = Graph::new();
    let many = limit_epochs(constant(&graph, Tensor::from([1i32, 2, 3, 4])), Some(2));
    let keep = even(&graph, &many);
    let found = drain(&graph, &maybe_batch(&graph, &many, &keep, 4, &options).output()).0;
    assert_eq!(found.iter().map(ints).collect::<Vec<_>>(), [[2, 4, 2, 4]]);

    let text = build_error(|graph| {
        let keep = constant(graph, Tensor::from([true, false]));
        let _ = maybe_batch(graph, constant(graph, 1i32), &keep, 2, &BatchOptions::default());
    });
    assert!(text.contains("keep_input cannot be a vector"), "{text}");
}

#[test]
fn s_268_shuffled_batches_hold_every_element_once() {
    let run = |seed: i64| {
        let graph = Graph::new();
        let number = numbers(&graph, 50, 2);
        let options = BatchOptions::default().seed(seed).exact_resume().allow_smaller_final_batch(true);
        let batch = shuffle_batch(&graph, &number, 8, 10, &options.clone().capacity(40));
        let (found, error, joined) = drain(&graph, &batch.output());
        assert!(error.is_end_of_input(), "{error}");
        joined.unwrap();
        found.iter().flat_map(ints).collect::<Vec<i32>>()
    };
    let found = run(1);
    let twice = (0..50).flat_map(|number| [number, number]).collect::<Vec<i32>>();
    assert_eq!(sorted(found.clone()), twice);
    assert_ne!(found, sorted(found.clone()));
    assert_eq!(run(1), found, "a replayable pipeline gives one order");
    assert_ne!(run(2), found);
}

#[test]
fn s_269_joined_inputs_are_all_consumed() {
    let graph = Graph::new();
    let parts: Vec<[Output; 1]> = [10i32, 20, 30]
        .map(|base| {
            let values = Tensor::from([base, base + 1, base + 2]);
            [input_producer(&graph, constant(&graph, values), &plain()).dequeue().output()]
        })
        .to_vec();
    let batch = batch_join(&graph, parts, 3, &BatchOptions::default());
    let (found, ..) = drain(&graph, &batch.output());
    let all = sorted(found.iter().flat_map(ints).collect::<Vec<i32>>());
    assert_eq!(all, [10, 11, 12, 20, 21, 22, 30, 31, 32]);

    let text = build_error(|graph| {
        let parts = [[constant(graph, 1i32)], [constant(graph, 1.0f32)]];
        let _ = shuffle_batch_join(graph, parts, 2, 5, &BatchOptions::default().capacity(10));
    });
    assert!(text.contains("different dtypes"), "{text}");
}

#[test]
fn s_266_s_268_build_errors_are_recorded() {
    let options = BatchOptions::default();
    let open = |graph: &Graph, shape: PartialShape| placeholder(graph, DType::Int32, shape);
    for (build, expected) in [
        (
            &(|graph: &Graph| drop(batch(graph, Vec::<Output>::new(), 2, &options))) as &dyn Fn(&Graph),
            "at least one tensor",
        ),
        (
            &|graph| drop(batch(graph, open(graph, PartialShape::unknown()), 2, &options)),
            "Cannot infer Tensor's rank",
        ),
        (&|graph| drop(batch(graph, open(graph, PartialShape::from([None])), 2, &options)), "fully defined"),
        (
            &|graph| drop(shuffle_batch(graph, constant(graph, 1i32), 2, 10, &options.clone().capacity(10))),
            "must be bigger than min_after_dequeue",
        ),
        (
            &|graph| {
                drop(batch(graph, numbers(graph, 3, 1), 2, &options.clone().exact_resume().num_threads(2)))
            },
            "one thread",
        ),
        (
            &|graph| {
                let queue = range_input_producer(graph, 3, &ProducerOptions::default());
                drop(batch(graph, queue.dequeue().output(), 2, &options.clone().exact_resume()));
            },
            "needs a seed",
        ),
    ] {
        let text = build_error(build);
        assert!(text.contains(expected), "{text}");
    }
}

// ---- names -----------------------------------------------------------------------------------------------

/// S-272, and the names of TensorFlow 2.21.
#[test]
fn operations_runners_and_summaries_are_named_as_in_tensorflow() {
    let graph = Graph::new();
    let options = ProducerOptions::default().seed(1).num_epochs(1);
    let _ = string_input_producer(&graph, ["a"], &options);
    let rows = constant(&graph.named("rows"), Tensor::from([1i32, 2]));
    let slices = slice_input_producer(&graph.named("slices"), &[rows], &options);
    let _ = batch(&graph, &slices, 2, &BatchOptions::default());
    let _ = shuffle_batch(&graph.named("mixed"), &slices, 2, 10, &BatchOptions::default().capacity(20));
    let names: BTreeSet<String> =
        graph.operations().iter().map(|operation| operation.name().to_owned()).collect();
    for name in [
        "input_producer",
        "input_producer/Const",
        "input_producer/Size",
        "input_producer/Greater",
        "input_producer/Greater/y",
        "input_producer/Assert/Const",
        "input_producer/Assert/Assert",
        "input_producer/Identity",
        "input_producer/RandomShuffle",
        "input_producer/limit_epochs",
        "input_producer/limit_epochs/Const",
        "input_producer/limit_epochs/epochs",
        "input_producer/limit_epochs/CountUpTo",
        "input_producer/input_producer_EnqueueMany",
        "input_producer/input_producer_Close",
        "input_producer/input_producer_Close_1",
        "input_producer/input_producer_Size",
        "input_producer/Cast",
        "input_producer/mul",
        "input_producer/mul/y",
        "input_producer/fraction_of_32_full",
        "input_producer/fraction_of_32_full/tags",
        "slices/input_producer",
        "slices/input_producer/range",
        "slices/input_producer/range/start",
        "slices/input_producer/range/delta",
        "slices/input_producer/input_producer_EnqueueMany",
        "slices/input_producer_Dequeue",
        "slices/GatherV2",
        "batch",
        "batch/n",
        "batch/Const",
        "batch/fifo_queue",
        "batch/fifo_queue_enqueue",
        "batch/fifo_queue_Close",
        "batch/fifo_queue_Size",
        "batch/fraction_of_32_full",
        "mixed",
        "mixed/random_shuffle_queue",
        "mixed/random_shuffle_queue_enqueue",
        "mixed/sub",
        "mixed/Maximum",
        "mixed/mul",
        "mixed/fraction_over_10_of_10_full",
    ] {
        assert!(names.contains(name), "{name} is not among {names:#?}");
    }
    let runners = graph.collection(&QUEUE_RUNNERS);
    let runners: Vec<&str> = runners.iter().map(|runner| runner.queue()).collect();
    assert_eq!(
        runners,
        ["input_producer", "slices/input_producer", "batch/fifo_queue", "mixed/random_shuffle_queue"]
    );
    let summaries = graph.collection(&keys::SUMMARIES);
    let summaries: Vec<String> = summaries.iter().map(Output::name).collect();
    assert_eq!(
        summaries,
        [
            "input_producer/fraction_of_32_full:0",
            "slices/input_producer/fraction_of_32_full:0",
            "batch/fraction_of_32_full:0",
            "mixed/fraction_over_10_of_10_full:0",
        ]
    );
    graph.finalize().unwrap();
}

// ---- host producers --------------------------------------------------------------------------------------

fn item(number: i64) -> Vec<Tensor> {
    vec![Tensor::scalar(number), Tensor::from([number as f32, -number as f32])]
}

fn specs() -> [(DType, PartialShape); 2] {
    [(DType::Int64, PartialShape::scalar()), (DType::Float32, PartialShape::from([2]))]
}

#[test]
fn an_iterator_is_a_source_that_ends_with_out_of_range() {
    let graph = Graph::new();
    let items = (0..5).map(|number| Ok::<_, Error>(item(number)));
    let queue = producer(&graph, specs(), items, &HostOptions::default().capacity(2));
    assert_eq!(queue.name(), "producer");
    let (found, error, joined) = drain(&graph, &queue.dequeue_many(2));
    let found: Vec<(Vec<i64>, Vec<f32>)> =
        found.iter().map(|pair| (pair[0].to_vec().unwrap(), pair[1].to_vec().unwrap())).collect();
    assert_eq!(found[1], (vec![2, 3], vec![2.0, -2.0, 3.0, -3.0]));
    assert_eq!(found.len(), 2);
    assert!(error.is_end_of_input(), "{error}");
    joined.unwrap();
}

#[test]
fn a_failing_iterator_fails_the_session() {
    let failing = |number: i64| match number {
        3 => Err(std::io::Error::other("the disk is gone")),
        _ => Ok(item(number)),
    };
    let graph = Graph::new();
    let queue = producer(&graph, specs(), (0..5).map(failing), &HostOptions::default());
    let error = drain(&graph, &queue.dequeue()).2.unwrap_err();
    let text = error.chain().to_string();
    assert!(
        text.contains("item 3 of host producer 'producer' failed") && text.contains("the disk is gone"),
        "{text}"
    );

    let graph = Graph::new();
    let panicking = (0..5).map(|number| {
        assert!(number < 3, "no more than three");
        Ok::<_, Error>(item(number))
    });
    let queue = producer(&graph, specs(), panicking, &HostOptions::default());
    let error = drain(&graph, &queue.dequeue()).2.unwrap_err();
    assert!(error.chain().to_string().contains("no more than three"), "{error}");
}

#[test]
fn items_of_other_dtypes_or_shapes_are_reported_with_their_index() {
    let pair = Tensor::from([1.0f32, 2.0]);
    let wrong = [
        (vec![Tensor::scalar(1i64)], "has 1 components instead of the declared 2"),
        (vec![Tensor::scalar(1i64), Tensor::from([1.0f32])], "has shape [1] in component 1, declared is [2]"),
        (vec![Tensor::scalar(1i32), pair], "has int32 in component 0, declared is int64"),
    ];
    for (wrong, expected) in wrong {
        let graph = Graph::new();
        let items = [Ok::<_, Error>(item(0)), Ok(wrong)];
        let queue = producer(&graph.named("rows"), specs(), items, &HostOptions::default());
        let error = drain(&graph, &queue.dequeue()).2.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument);
        assert_eq!(error.message(), format!("item 1 of host producer 'rows' {expected}"));
        assert!(error.to_string().contains(&format!("made at {}", file!())), "{error}");
    }
}

#[test]
fn a_factory_creates_an_iterator_for_each_session() {
    let graph = Graph::new();
    let queue = producer_with(&graph, specs(), &HostOptions::default().names(["id", "pair"]), || {
        (0..3).map(|number| Ok::<_, Error>(item(number)))
    });
    let element = queue.dequeue();
    for _ in 0..2 {
        let ids: Vec<i64> = drain(&graph, &element).0.iter().map(|pair| pair[0].value().unwrap()).collect();
        assert_eq!(ids, [0, 1, 2]);
        graph.unfinalize();
    }
}

// ---- bad input in a monitored session --------------------------------------------------------------------

/// Returns the failure that ends a monitored loop.
fn failure(graph: &Graph, fetch: &Output) -> Error {
    let mut session = SingularMonitoredSession::builder(graph).build().unwrap();
    let error = loop {
        match session.run(fetch, ()) {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    // S-252: a dequeue may only see the end of the queue; the cause is returned when the session is closed.
    match session.close() {
        Err(cause) if error.is_end_of_input() => cause,
        _ => error,
    }
}

fn record_ids(graph: &Graph, files: Vec<String>) -> Output {
    let queue = string_input_producer(graph, files, &plain());
    let (_, record) = Reader::tf_record(graph, Compression::None).read(&queue);
    let id = parse_single_example(&record, &[("id", FeatureSpec::fixed([], DType::Int64))]).dense("id");
    batch(graph, &id, 1, &BatchOptions::default()).output()
}

#[test]
fn bad_files_end_a_monitored_session_with_file_offset_and_operation() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let mut writer = RecordWriter::new(Vec::new());
    let example = Example::new().with("id", [7i64]).encode();
    (0..3).for_each(|_| writer.write(&example).unwrap());
    let record = 16 + example.len();
    let mut damaged = writer.into_inner();
    damaged[2 * record + 14] ^= 1;
    std::fs::write(path("damaged"), &damaged).unwrap();
    std::fs::write(path("short"), &damaged[..2 * record + 20]).unwrap();
    let mut writer = RecordWriter::new(Vec::new());
    writer.write(&Example::new().with("id", [1.5f32]).encode()).unwrap();
    std::fs::write(path("floats"), writer.into_inner()).unwrap();

    let offset = format!("offset {}", 2 * record);
    for (name, code, parts) in [
        ("damaged", Code::DataLoss, ["ReaderReadV2", offset.as_str()]),
        ("short", Code::DataLoss, ["ReaderReadV2", offset.as_str()]),
        ("missing", Code::NotFound, ["ReaderReadV2", "could not open"]),
        ("floats", Code::InvalidArgument, ["ParseExampleV2", "Key: id.  Data types don't match"]),
    ] {
        let graph = Graph::new();
        let ids = record_ids(&graph, vec![path(name)]);
        let error = failure(&graph, &ids);
        let text = error.chain().to_string();
        assert_eq!(error.code(), code, "{name}: {text}");
        for part in parts {
            assert!(text.contains(part), "{name}: {text}");
        }
        assert!(name == "floats" || text.contains(&path(name)), "{name}: {text}");
    }
}

#[test]
fn elements_of_another_shape_end_a_monitored_session_with_queue_and_operation() {
    let graph = Graph::new();
    let number = numbers(&graph, 4, 1);
    let run = monitored_session::ops::array::range(constant(&graph, 0i32), &number, constant(&graph, 1i32));
    let batch = batch(&graph, &run, 1, &BatchOptions::default().shapes([PartialShape::from([1])]));
    let error = failure(&graph, &batch.output());
    let text = error.chain().to_string();
    assert_eq!(error.code(), Code::InvalidArgument, "{text}");
    assert!(text.contains("batch/fifo_queue_enqueue"), "{text}");
    assert!(text.contains("component 0. Expected [1], got [0] (in FIFOQueue 'batch/fifo_queue')"), "{text}");
}
