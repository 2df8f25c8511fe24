//! Transformations that Rust programs build yield TensorFlow's elements in TensorFlow's order, and continue after a restore.
#![allow(clippy::unwrap_used)] // a panic is the report

use dataset::nest::Nested;
use dataset::{BucketOptions, Dataset, Remainder};
use embedded_engine::EmbeddedEngine;
use ops::array::{self, constant};
use ops::parsing::SparseTensor;
use session_core::keys::TABLE_INITIALIZERS;
use session_core::{Code, Engine, Graph, Output, Session, SessionConfig, SessionExt, Tensor};
use std::sync::Arc;

fn session(graph: &Graph) -> Arc<dyn Session> {
    let session = EmbeddedEngine::new().new_session(graph, "", &SessionConfig::with_threads(1)).unwrap();
    session.run(((), &graph.collection(&TABLE_INITIALIZERS)), ()).unwrap();
    session
}

/// The elements up to the end, each with its numbers in a row.
fn rest(session: &dyn Session, next: &Output) -> Vec<Vec<i64>> {
    let mut found = Vec::new();
    loop {
        match session.run(next, ()) {
            Ok(value) => found.push(value.to_vec().unwrap()),
            Err(error) if error.code() == Code::OutOfRange => return found,
            Err(error) => panic!("{}", error.chain()),
        }
    }
}

/// Checks that a dataset yields these elements, also to a session that continues after any of them.
fn gives(graph: &Graph, dataset: &Dataset, expected: &[&[i64]]) {
    let next = dataset.make_initializable_iterator().get_next().remove(0);
    let whole = session(graph);
    assert_eq!(rest(whole.as_ref(), &next), expected);
    for taken in 0..=expected.len() {
        let cut = session(graph);
        (0..taken).for_each(|_| drop(cut.run(&next, ()).unwrap()));
        let resumed = session(graph);
        resumed.import_state(&cut.export_state().unwrap()).unwrap();
        assert_eq!(rest(resumed.as_ref(), &next), expected[taken..], "after {taken} elements");
    }
}

/// Checks that a dataset of scalars yields these numbers.
fn gives_numbers(graph: &Graph, dataset: &Dataset, expected: &[i64]) {
    let expected: Vec<&[i64]> = expected.iter().map(std::slice::from_ref).collect();
    gives(graph, dataset, &expected);
}

fn numbers(graph: &Graph, stop: i64) -> Dataset {
    Dataset::range(graph, 0, stop, 1)
}

#[test]
fn map_and_batch_makes_batches_of_results() {
    for (remainder, expected) in [(Remainder::Keep, 3), (Remainder::Drop, 2)] {
        let graph = Graph::new();
        let squares = numbers(&graph, 7).map_and_batch(3, remainder, 2, |_, x| vec![&x[0] * &x[0]]);
        let all: [&[i64]; 3] = [&[0, 1, 4], &[9, 16, 25], &[36]];
        gives(&graph, &squares, &all[..expected]);
    }
}

#[test]
fn shuffle_and_repeat_yields_tensorflows_order() {
    let graph = Graph::new();
    let epochs = numbers(&graph, 6).shuffle_and_repeat(4, 2, Some(1));
    gives_numbers(&graph, &epochs, &[0, 4, 5, 2, 3, 1, 2, 1, 3, 5, 4, 0]);
}

#[test]
fn windows_are_datasets() {
    let windows = |stop, size, shift, stride, remainder, expected: &[&[i64]]| {
        let graph = Graph::new();
        let numbers = numbers(&graph, stop);
        let components = numbers.components().to_vec();
        let windows = numbers.window(size, shift, stride, remainder);
        let batches = windows
            .flat_map(|_, window| Dataset::from_variant(&window[0], components).batch(size, Remainder::Keep));
        gives(&graph, &batches, expected);
    };
    windows(7, 3, 2, 1, Remainder::Keep, &[&[0, 1, 2], &[2, 3, 4], &[4, 5, 6], &[6]]);
    windows(10, 2, 4, 3, Remainder::Drop, &[&[0, 3], &[4, 7]]);
    windows(0, 2, 1, 1, Remainder::Keep, &[]);
}

#[test]
fn groups_are_emitted_when_full_and_the_rest_in_the_order_of_keys() {
    let graph = Graph::new();
    let groups = numbers(&graph, 10).group_by_window(
        |graph, x| &x[0] % constant(graph, 3i64),
        |_, _, group| group.batch(4, Remainder::Keep),
        |graph, _| constant(graph, 2i64),
    );
    gives(&graph, &groups, &[&[0, 3], &[1, 4], &[2, 5], &[6, 9], &[7], &[8]]);
}

/// Number n as often as n modulo 5, in buckets by how often.
fn bucketed(graph: &Graph, boundaries: &[i64], sizes: &[u64], options: BucketOptions) -> Dataset {
    let rows = Dataset::range(graph, 1, 13, 1)
        .map(|_, x| vec![array::fill(array::expand_dims(&x[0] % 5i64, 0), &x[0])]);
    rows.bucket_by_sequence_length(|_, row| array::size(&row[0]), boundaries, sizes, options)
}

#[test]
fn buckets_hold_rows_of_about_the_same_length() {
    let full: [&[i64]; 4] = [&[2, 2, 0, 3, 3, 3], &[1, 0, 6], &[7, 7, 0, 8, 8, 8], &[4, 4, 4, 4, 9, 9, 9, 9]];
    let graph = Graph::new();
    gives(
        &graph,
        &bucketed(&graph, &[2, 4], &[3, 2, 2], BucketOptions::default().remainder(Remainder::Drop)),
        &full,
    );
    let graph = Graph::new();
    let rest: [&[i64]; 2] = [&[0, 11], &[12, 12]];
    let options = BucketOptions::default();
    gives(&graph, &bucketed(&graph, &[2, 4], &[3, 2, 2], options), &[&full[..], &rest[..]].concat());
}

#[test]
fn buckets_are_padded_to_their_boundaries() {
    let graph = Graph::new();
    let options = BucketOptions::default().pad_to_bucket_boundary(true);
    let expected: [&[i64]; 7] = [
        &[2, 2, 0, 0, 3, 3, 3, 0],
        &[1, 0],
        &[4, 4, 4, 4, 7, 7, 0, 0],
        &[8, 8, 8, 0, 9, 9, 9, 9],
        &[6, 0],
        &[11],
        &[12, 12, 0, 0],
    ];
    gives(&graph, &bucketed(&graph, &[2, 5], &[2, 2, 2], options), &expected);

    let graph = Graph::new();
    let next =
        bucketed(&graph, &[2, 4], &[2, 2, 2], options).make_initializable_iterator().get_next().remove(0);
    let session = session(&graph);
    let failed = (0..6).find_map(|_| session.run(&next, ()).err()).unwrap();
    assert_eq!(failed.code(), Code::InvalidArgument, "{failed}");
}

#[test]
fn buckets_that_do_not_fit_are_refused() {
    for (boundaries, sizes, reason) in
        [(&[2i64, 4][..], &[3u64, 2][..], "3 buckets"), (&[4, 2], &[1, 1, 1], "ascend")]
    {
        let graph = Graph::new();
        let _ = bucketed(&graph, boundaries, sizes, BucketOptions::default());
        let error = graph.finalize().unwrap_err();
        assert!(error.message().contains(reason), "{error}");
    }
}

#[test]
fn parallel_interleave_yields_tensorflows_order() {
    let graph = Graph::new();
    let tens = Dataset::range(&graph, 1, 6, 1).parallel_interleave(2, 1, |graph, x| {
        let count = x[0].clone();
        Dataset::range(graph, 0, 5, 1)
            .take_while(|_, y| ops::math::less(&y[0], &count))
            .map(|_, y| vec![&count * 10i64 + &y[0]])
    });
    let expected = [10, 20, 21, 30, 31, 40, 32, 41, 42, 50, 43, 51, 52, 53, 54];
    gives_numbers(&graph, &tens, &expected);
}

#[test]
fn sampling_draws_as_tensorflow_does() {
    let sample = |graph_seed: Option<i64>, weights: Option<&[f32]>, seed, expected: &[i64]| {
        let graph = Graph::new();
        graph_seed.into_iter().for_each(|seed| graph.set_random_seed(seed));
        let parts = [0, 10, 20].map(|start| Dataset::range(&graph, start, start + 4, 1));
        let parts: Vec<&Dataset> = parts.iter().collect();
        gives_numbers(&graph, &Dataset::sample_from_datasets(&parts, weights, seed), expected);
    };
    sample(None, Some(&[0.5, 0.0, 0.5]), Some(3), &[20, 21, 22, 0, 23, 1, 2, 3]);
    sample(None, None, Some(7), &[10, 0, 20, 1, 11, 12, 13, 21, 2, 22, 23, 3]);
    sample(Some(5), Some(&[0.2, 0.3, 0.5]), None, &[0, 10, 20, 11, 1, 12, 2, 13, 21, 22, 3, 23]);
    sample(Some(5), None, None, &[0, 1, 20, 10, 2, 3, 11, 12, 21, 13, 22, 23]);
    sample(None, Some(&[0.0, 1.0, 0.0]), None, &[10, 11, 12, 13]);
    sample(None, Some(&[0.0, 0.0, 0.0]), None, &[]);
}

#[test]
fn incompatible_datasets_are_refused() {
    let graph = Graph::new();
    let (one, other) = (numbers(&graph, 3), Dataset::from_tensors(&graph, [constant(&graph, 1.0f32)]));
    let _ = Dataset::sample_from_datasets(&[&one, &other], None, Some(1));
    assert!(graph.finalize().unwrap_err().message().contains("the same dtypes"));
    let graph = Graph::new();
    let one = numbers(&graph, 3);
    let _ = Dataset::sample_from_datasets(&[&one, &one], Some(&[1.0]), Some(1));
    assert!(graph.finalize().unwrap_err().message().contains("1 weights for 2 datasets"));
}

#[test]
fn chosen_elements_have_the_shape_that_fits_all_datasets() {
    let graph = Graph::new();
    let (pairs, triples) =
        (numbers(&graph, 4).batch(2, Remainder::Drop), numbers(&graph, 3).batch(3, Remainder::Drop));
    let order = Dataset::from_tensor_slices(&graph, [constant(&graph, vec![0i64, 1, 0, 1, 1])]);
    let chosen = Dataset::choose_from_datasets(&[&pairs, &triples], &order);
    assert_eq!(chosen.components()[0].shape.to_string(), "[?]");
    gives(&graph, &chosen, &[&[0, 1], &[0, 1, 2], &[2, 3]]);
}

#[test]
fn a_generator_that_is_replayed_is_shuffled_as_before() {
    let graph = Graph::new();
    let number = numbers(&graph, 1).components().to_vec();
    let generated =
        Dataset::from_generator(&graph, number, || (0..10i64).map(|i| Ok(vec![Tensor::scalar(i)])));
    let expected = [0, 4, 5, 1, 2, 7, 9, 8, 6, 3, 2, 1, 3, 4, 6, 8, 7, 9, 5, 0];
    gives_numbers(&graph, &generated.shuffle(4, Some(1)).repeat(2), &expected);
}

#[test]
fn sparse_tensors_are_components_of_nested_elements() {
    let graph = Graph::new();
    let sparse = SparseTensor {
        indices: constant(&graph, [[0i64, 1], [0, 2], [2, 0]]),
        values: constant(&graph, vec![5i64, 6, 7]),
        dense_shape: constant(&graph, vec![3i64, 4]),
    };
    let rows = Nested::map([
        ("tokens", Nested::from(sparse)),
        ("pair", Nested::tuple([constant(&graph, vec![1i64, 2, 3]), constant(&graph, vec![4i64, 5, 6])])),
    ]);
    let structure = rows.structure();
    assert_eq!(structure.components(), 3);
    let dataset = Dataset::from_tensor_slices(&graph, rows.flatten_rows()).map(|_, element| {
        let mut element = structure.pack(element);
        if let Nested::Map(parts) = &mut element {
            let sum = parts["pair"][0].output() + parts["pair"][1].output();
            parts.insert("pair".to_owned(), Nested::tuple([sum.clone(), sum]));
        }
        element.flatten()
    });
    let next = structure.pack(&dataset.batch(3, Remainder::Drop).make_initializable_iterator().get_next());
    let SparseTensor { indices, values, dense_shape } = next["tokens"].sparse();
    let session = session(&graph);
    let (sums, indices, values, shape) =
        session.run((next["pair"][1].output(), indices, values, dense_shape), ()).unwrap();
    assert_eq!(sums.to_vec::<i64>().unwrap(), [5, 7, 9]);
    assert_eq!(indices.to_vec::<i64>().unwrap(), [0, 1, 0, 2, 2, 0]);
    assert_eq!(values.to_vec::<i64>().unwrap(), [5, 6, 7]);
    assert_eq!(shape.to_vec::<i64>().unwrap(), [3, 4]);
}
