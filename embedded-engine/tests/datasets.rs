//! Datasets that Rust programs build, and where a resumed run continues.
#![allow(clippy::unwrap_used)] // a panic is the report

use dataset::{Compression, Dataset, Iterator, Remainder};
use embedded_engine::EmbeddedEngine;
use graph_def::{ImportOptions, import_graph_def, to_graph_def};
use ops::script::host_func;
use session_core::keys::TABLE_INITIALIZERS;
use session_core::{
    Code, DType, Engine, Error, Graph, HostFunction, Output, OutputInfo, PartialShape, Session,
    SessionConfig, SessionExt, Tensor,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

fn session(graph: &Graph) -> Arc<dyn Session> {
    let session = EmbeddedEngine::new().new_session(graph, "", &SessionConfig::with_threads(1)).unwrap();
    let initializers = graph.collection(&TABLE_INITIALIZERS);
    if !initializers.is_empty() {
        session.run(((), &initializers), ()).unwrap();
    }
    session
}

fn numbers(session: &dyn Session, output: &Output) -> Vec<i64> {
    session.run(output, ()).unwrap().to_vec().unwrap()
}

fn all(session: &dyn Session, output: &Output) -> Vec<i64> {
    let mut found = Vec::new();
    loop {
        match session.run(output, ()) {
            Ok(value) => found.extend(value.to_vec::<i64>().unwrap()),
            Err(error) if error.code() == Code::OutOfRange => return found,
            Err(error) => panic!("{}", error.chain()),
        }
    }
}

fn int64() -> OutputInfo {
    OutputInfo { dtype: DType::Int64, shape: PartialShape::scalar(), is_ref: false }
}

#[test]
fn closures_build_functions_that_use_the_graph_around() {
    let graph = Graph::new();
    let offset = ops::array::constant(&graph, 100i64);
    let dataset = Dataset::range(&graph, 0, 6, 1)
        .map(|_, element| vec![&element[0] * &element[0] + &offset])
        .filter(|graph, element| ops::math::greater(&element[0], ops::array::constant(graph, 103i64)))
        .enumerate(5);
    let iterator = dataset.make_initializable_iterator();
    let next = iterator.get_next();
    let session = session(&graph);
    let mut found = Vec::new();
    while let Ok((place, value)) = session.run((&next[0], &next[1]), ()) {
        found.push((place.value::<i64>().unwrap(), value.value::<i64>().unwrap()));
    }
    assert_eq!(found, [(5, 104), (6, 109), (7, 116), (8, 125)]);
}

#[test]
fn shuffle_yields_tensorflows_order() {
    let graph = Graph::new();
    let dataset = Dataset::range(&graph, 0, 10, 1).shuffle(4, Some(1)).repeat(2);
    let next = dataset.make_initializable_iterator().get_next().remove(0);
    let expected = [0, 4, 5, 1, 2, 7, 9, 8, 6, 3, 2, 1, 3, 4, 6, 8, 7, 9, 5, 0];
    assert_eq!(all(session(&graph).as_ref(), &next), expected);
}

#[test]
fn one_shot_reinitializable_and_feedable_iterators_take_turns() {
    let graph = Graph::new();
    let training =
        Iterator::one_shot(&graph, |graph| Dataset::range(graph, 0, 100, 1).batch(2, Remainder::Keep));
    let validation = Iterator::from_structure(&graph, training.components().to_vec());
    let begin = validation.make_initializer(&Dataset::range(&graph, 1000, 1003, 1).batch(2, Remainder::Keep));
    let handle = ops::array::placeholder(&graph, DType::String, PartialShape::scalar());
    let next = Iterator::from_string_handle(&handle, training.components().to_vec()).get_next().remove(0);
    let (train, validate) = (training.string_handle(), validation.string_handle());
    let session = session(&graph);
    let (train, validate) = session.run((&train, &validate), ()).unwrap();
    let take = |name: &Tensor| {
        session.run(&next, [(&handle, name.clone())]).map(|value| value.to_vec::<i64>().unwrap())
    };
    assert_eq!(take(&train).unwrap(), [0, 1]);
    assert_eq!(take(&validate).unwrap_err().code(), Code::FailedPrecondition);
    session.run(((), &begin), ()).unwrap();
    assert_eq!(take(&validate).unwrap(), [1000, 1001]);
    assert_eq!(take(&train).unwrap(), [2, 3]);
    assert_eq!(take(&validate).unwrap(), [1002]);
    assert_eq!(take(&validate).unwrap_err().code(), Code::OutOfRange);
    session.run(((), &begin), ()).unwrap();
    assert_eq!(take(&validate).unwrap(), [1000, 1001]);
}

#[test]
fn a_one_shot_iterator_that_uses_the_graph_around_is_refused() {
    let graph = Graph::new();
    let limit = ops::array::placeholder(&graph, DType::Int64, PartialShape::scalar());
    let _ =
        Iterator::one_shot(&graph, |graph| Dataset::range(graph, 0, 5, 1).map(|_, x| vec![&x[0] + &limit]));
    let error = graph.finalize().unwrap_err();
    assert!(error.message().contains("Placeholder"), "{error}");
}

#[test]
fn optional_elements_report_the_end() {
    let graph = Graph::new();
    let optional = Dataset::range(&graph, 0, 1, 1).make_initializable_iterator().get_next_as_optional();
    let has_value = optional.has_value();
    let session = session(&graph);
    let has = || session.run(&has_value, ()).unwrap().value::<bool>().unwrap();
    assert_eq!([has(), has(), has()], [true, false, false]);
}

/// Returns rows of a program, shuffled, repeated and batched, and the number of rows that were requested.
fn rows(graph: &Graph) -> (Output, Arc<AtomicU64>) {
    let asked = Arc::new(AtomicU64::new(0));
    let count = asked.clone();
    let dataset = Dataset::from_rows(graph, 1000, [int64()], move |index| {
        count.fetch_add(1, Ordering::Relaxed);
        Ok(vec![Tensor::scalar(index as i64)])
    });
    let batches = dataset.shuffle(1000, Some(3)).repeat(None).batch(10, Remainder::Drop).prefetch(1);
    (batches.make_initializable_iterator().get_next().remove(0), asked)
}

#[test]
fn rows_resume_at_once_after_any_interruption() {
    let graph = Graph::new();
    let (next, _) = rows(&graph);
    let whole = session(&graph);
    for _ in 0..250 {
        numbers(whole.as_ref(), &next);
    }
    let state = whole.export_state().unwrap();
    let resumed_graph = Graph::new();
    let (resumed_next, asked) = rows(&resumed_graph);
    let resumed = session(&resumed_graph);
    resumed.import_state(&state).unwrap();
    let expected: Vec<_> = (0..120).map(|_| numbers(whole.as_ref(), &next)).collect();
    let found: Vec<_> = (0..120).map(|_| numbers(resumed.as_ref(), &resumed_next)).collect();
    assert_eq!(found, expected);
    // No row was requested twice: nothing was replayed. The prefetch may have begun one more batch.
    let asked = asked.load(Ordering::Relaxed);
    assert!((1200..=1210).contains(&asked), "{asked}");
}

#[test]
fn generators_restart_in_each_epoch_and_are_replayed() {
    let make = || {
        let graph = Graph::new();
        let dataset = Dataset::from_generator(&graph, [int64()], || {
            (0..4).map(|i| Ok(vec![Tensor::scalar(10i64 * i)]))
        });
        let next =
            dataset.repeat(2).batch(1, Remainder::Keep).make_initializable_iterator().get_next().remove(0);
        (graph, next)
    };
    let (graph, next) = make();
    let whole = session(&graph);
    assert_eq!(all(whole.as_ref(), &next), [0, 10, 20, 30, 0, 10, 20, 30]);
    let cut = session(&graph);
    (0..5).for_each(|_| drop(numbers(cut.as_ref(), &next)));
    let state = cut.export_state().unwrap();
    let (graph, next) = make();
    let resumed = session(&graph);
    resumed.import_state(&state).unwrap();
    assert_eq!(all(resumed.as_ref(), &next), [10, 20, 30]);
}

#[test]
fn an_error_of_a_host_map_names_the_element_and_does_not_end_the_iterator() {
    let graph = Graph::new();
    let dataset =
        Dataset::range(&graph, 0, 3, 1).map_host([int64()], |values| match values[0].value::<i64>()? {
            1 => Err(Error::invalid_argument("one is not wanted")),
            other => Ok(vec![Tensor::scalar(other)]),
        });
    let next = dataset.make_initializable_iterator().get_next().remove(0);
    let session = session(&graph);
    let take = || session.run(&next, ()).map(|value| value.value::<i64>().unwrap());
    assert_eq!(take().unwrap(), 0);
    let error = take().unwrap_err();
    assert!(
        error.chain().contains("one is not wanted") && error.message().contains("element 1"),
        "{}",
        error.chain()
    );
    assert_eq!(take().unwrap(), 2);
    assert_eq!(take().unwrap_err().code(), Code::OutOfRange);
}

#[test]
fn records_of_several_files_are_interleaved_and_a_changed_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, records: &[&str]| {
        let mut writer = summary::record::RecordWriter::new(Vec::new());
        records.iter().for_each(|record| writer.write(record.as_bytes()).unwrap());
        std::fs::write(folder.path().join(name), writer.into_inner()).unwrap();
    };
    file("a.rec", &["a0", "a1", "a2"]);
    file("b.rec", &["b0"]);
    let graph = Graph::new();
    let pattern = folder.path().join("*.rec").to_str().unwrap().to_owned();
    let dataset = Dataset::list_files(&graph, &pattern)
        .interleave(2, 1, |_, name| Dataset::tf_record_of(&name[0], Compression::None))
        .prefetch(2);
    let next = dataset.make_initializable_iterator().get_next().remove(0);
    let whole = session(&graph);
    let text = |session: &dyn Session| session.run(&next, ()).map(|value| value.to_string_lossy().unwrap());
    assert_eq!([text(whole.as_ref()).unwrap(), text(whole.as_ref()).unwrap()], ["a0", "b0"]);
    let state = whole.export_state().unwrap();
    let resumed = session(&graph);
    resumed.import_state(&state).unwrap();
    assert_eq!([text(resumed.as_ref()).unwrap(), text(resumed.as_ref()).unwrap()], ["a1", "a2"]);
    file("a.rec", &["a0", "other"]);
    let changed = session(&graph);
    changed.import_state(&state).unwrap();
    let error = text(changed.as_ref()).unwrap_err();
    assert!(error.code() == Code::FailedPrecondition && error.message().contains("a.rec"), "{error}");
}

/// A dataset whose function calls a closure by its token.
fn scaled(graph: &Graph, factor: i64) -> Output {
    let dataset = Dataset::range(graph, 0, 4, 1).map(|body, element| {
        let call =
            host_func(&body.named("scale")).input(&element[0]).output(DType::Int64, PartialShape::scalar());
        vec![call.token("scale").finish(times(factor)).output(0)]
    });
    dataset.make_initializable_iterator().get_next().remove(0)
}

fn times(factor: i64) -> HostFunction {
    HostFunction::new(move |values, _| Ok(vec![Tensor::from(factor * values[0].value::<i64>()?)]))
}

#[test]
fn a_py_func_within_an_imported_map_is_bound_by_its_token_and_resumes() {
    let graph = Graph::new();
    let next = scaled(&graph, 10);
    assert_eq!(all(session(&graph).as_ref(), &next), [0, 10, 20, 30]);

    let message = to_graph_def(&graph).unwrap();
    let import = |options: &ImportOptions| {
        let copy = Graph::new();
        let imported = import_graph_def(&copy, &message, options).unwrap();
        let initializers = graph.collection(&TABLE_INITIALIZERS);
        let initializers: Vec<_> =
            initializers.iter().map(|operation| copy.operation(operation.name()).unwrap()).collect();
        let session = EmbeddedEngine::new().new_session(&copy, "", &SessionConfig::with_threads(1)).unwrap();
        (imported.output(&next.name()).unwrap(), session, initializers)
    };
    let bound = ImportOptions::new().bind_py_func("scale", &times(-1));
    let (copied, cut, initializers) = import(&bound);
    cut.run(((), &initializers), ()).unwrap();
    assert_eq!(cut.run(&copied, ()).unwrap(), Tensor::from(0i64));
    assert_eq!(cut.run(&copied, ()).unwrap(), Tensor::from(-1i64));
    let (copied, resumed, initializers) = import(&bound);
    resumed.run(((), &initializers), ()).unwrap();
    resumed.import_state(&cut.export_state().unwrap()).unwrap();
    assert_eq!(all(resumed.as_ref(), &copied), [-2, -3]);

    // Without a closure the operation is reported by name, and before an element is made.
    let (_, unbound, initializers) = import(&ImportOptions::new());
    let error = unbound.run(((), &initializers), ()).unwrap_err().chain();
    assert!(
        error.contains("no closure is bound to its token 'scale'") && error.contains("/scale"),
        "{error}"
    );
}

#[test]
fn a_closure_that_panics_in_a_map_fails_the_step_and_names_the_element() {
    let graph = Graph::new();
    let dataset = Dataset::range(&graph, 0, 3, 1)
        .map_host([int64()], |values| match values[0].value::<i64>()? {
            1 => panic!("out of luck"),
            other => Ok(vec![Tensor::scalar(other)]),
        })
        .repeat(None);
    let next = dataset.make_initializable_iterator().get_next().remove(0);
    let session = session(&graph);
    let take = || session.run(&next, ()).map(|value| value.value::<i64>().unwrap());
    assert_eq!(take().unwrap(), 0);
    let error = take().unwrap_err().chain();
    assert!(error.contains("panicked: out of luck") && error.contains("element 1"), "{error}");
    assert_eq!([take().unwrap(), take().unwrap()], [2, 0], "the iterator continues");
}

#[test]
fn a_restored_position_outlives_a_factory_that_fails() {
    let fails = Arc::new(AtomicBool::new(false));
    let program = || {
        let graph = Graph::new();
        let fails = fails.clone();
        let iterator = Iterator::one_shot(&graph, |graph| {
            let numbers = host_func(graph).output(DType::Int64, [6]).call(move |_, _| {
                if fails.swap(false, Ordering::Relaxed) {
                    return Err(Error::runtime("not yet"));
                }
                Ok(vec![Tensor::from([0i64, 1, 2, 3, 4, 5])])
            });
            Dataset::from_tensor_slices(graph, numbers.outputs())
        });
        let next = iterator.get_next().remove(0);
        (session(&graph), next)
    };
    let (cut, next) = program();
    assert_eq!([numbers(cut.as_ref(), &next), numbers(cut.as_ref(), &next)], [[0], [1]]);
    let state = cut.export_state().unwrap();
    let (resumed, next) = program();
    resumed.import_state(&state).unwrap();
    fails.store(true, Ordering::Relaxed);
    let error = resumed.run(&next, ()).unwrap_err();
    assert!(error.chain().contains("not yet"), "{}", error.chain());
    assert_eq!(resumed.export_state().unwrap(), state, "a checkpoint meanwhile has the position");
    assert_eq!(all(resumed.as_ref(), &next), [2, 3, 4, 5]);
}

#[test]
fn a_group_that_depends_on_random_numbers_resumes_with_the_same_ones() {
    let program = || {
        let graph = Graph::new();
        let groups = Dataset::range(&graph, 0, 12, 1).group_by_window(
            |_, x| &x[0] % 2i64,
            |graph, _, group| {
                let noise = ops::random::random_uniform_int(graph, [1i64], 0, 1000, DType::Int64, Some(3));
                group.map(|_, x| vec![&x[0] * 1000i64 + ops::array::reshape(&noise, Vec::<i64>::new())])
            },
            |graph, _| ops::array::constant(graph, 3i64),
        );
        let next = groups.make_initializable_iterator().get_next().remove(0);
        (session(&graph), next)
    };
    let (whole, next) = program();
    let expected = all(whole.as_ref(), &next);
    assert_eq!(expected.len(), 12);
    for place in 0..=12 {
        let (cut, next) = program();
        let begin: Vec<i64> = (0..place).flat_map(|_| numbers(cut.as_ref(), &next)).collect();
        let (resumed, next) = program();
        resumed.import_state(&cut.export_state().unwrap()).unwrap();
        assert_eq!([begin, all(resumed.as_ref(), &next)].concat(), expected, "cut at {place}");
    }
}

#[test]
fn a_position_of_a_larger_dataset_is_refused() {
    let program = |rows: i64, seed: i64| {
        let graph = Graph::new();
        let shuffled = Dataset::range(&graph, 0, rows, 1).shuffle(3, Some(seed));
        let next = shuffled.make_initializable_iterator().get_next().remove(0);
        (session(&graph), next)
    };
    // Some seeds leave no element in the buffer that the smaller dataset lacks.
    for seed in 1..20 {
        let (cut, next) = program(100, seed);
        (0..24).for_each(|_| drop(numbers(cut.as_ref(), &next)));
        let (resumed, next) = program(25, seed);
        resumed.import_state(&cut.export_state().unwrap()).unwrap();
        for _ in 0..2 {
            let error = resumed.run(&next, ()).unwrap_err();
            assert_eq!(error.code(), Code::DataLoss, "seed {seed}: {}", error.chain());
        }
    }
}
