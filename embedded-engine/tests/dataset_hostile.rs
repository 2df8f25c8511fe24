//! Datasets with arguments, closures and files that nobody wants: typed errors, and nothing hangs, panics or is lost.
#![allow(clippy::unwrap_used)] // a panic is the report

use dataset::{BucketOptions, Compression, Dataset, Remainder};
use embedded_engine::EmbeddedEngine;
use session_core::keys::TABLE_INITIALIZERS;
use session_core::{
    Code, DType, Engine, Error, Graph, OpLibrary as _, OutputInfo, PartialShape, Result, SessionConfig,
    SessionExt, Tensor,
};
use std::fs;
use std::io::Write as _;

/// Returns the results of the first steps over a dataset, up to its end.
fn steps(graph: &Graph, dataset: &Dataset) -> Vec<Result<Tensor>> {
    let run = || -> Result<Vec<Result<Tensor>>> {
        let next = dataset.make_initializable_iterator().get_next().remove(0);
        let session = EmbeddedEngine::new().new_session(graph, "", &SessionConfig::with_threads(2))?;
        session.run(((), &graph.collection(&TABLE_INITIALIZERS)), ())?;
        let mut found = Vec::new();
        while found.len() < 12 {
            match session.run(&next, ()) {
                Err(error) if error.code() == Code::OutOfRange => break,
                given => found.push(given),
            }
        }
        Ok(found)
    };
    run().unwrap_or_else(|error| vec![Err(error)])
}

fn numbers(graph: &Graph, dataset: &Dataset) -> Vec<i64> {
    steps(graph, dataset).into_iter().flat_map(|given| given.unwrap().to_vec::<i64>().unwrap()).collect()
}

/// Returns the error of the only step.
#[track_caller]
fn refused(graph: &Graph, dataset: &Dataset) -> Error {
    let found = steps(graph, dataset);
    let first = found.into_iter().next().expect("a step");
    first.expect_err("an error")
}

fn five(graph: &Graph) -> Dataset {
    Dataset::range(graph, 0, 5, 1)
}

fn int64(shape: impl Into<PartialShape>) -> OutputInfo {
    OutputInfo { dtype: DType::Int64, shape: shape.into(), is_ref: false }
}

#[test]
fn datasets_of_other_dtypes_are_not_concatenated() {
    let graph = Graph::new();
    let words = Dataset::from_tensors(&graph, [ops::array::constant(&graph, "a")]);
    let _ = five(&graph).concatenate(&words);
    let error = graph.finalize().unwrap_err();
    assert!(error.message().contains("cannot be concatenated"), "{error}");
}

#[test]
fn unbounded_sizes_take_all_elements() {
    let transform = |size: u64, name: &str, make: &dyn Fn(&Dataset, u64) -> Dataset| {
        let graph = Graph::new();
        let mut found = numbers(&graph, &make(&five(&graph), size));
        found.sort_unstable();
        assert_eq!(found, [0, 1, 2, 3, 4], "{name} of {size}");
    };
    for size in [1 << 31, 1 << 40, 1 << 62, i64::MAX as u64] {
        transform(size, "batch", &|x, size| x.batch(size, Remainder::Keep));
        transform(size, "padded_batch", &|x, size| {
            x.padded_batch(size, &[PartialShape::scalar()], Remainder::Keep)
        });
        transform(size, "map_and_batch", &|x, size| {
            x.map_and_batch(size, Remainder::Keep, 2, |_, x| vec![x[0].clone()])
        });
        transform(size, "shuffle", &|x, size| x.shuffle(size, Some(1)));
        transform(size, "shuffle_and_repeat", &|x, size| x.shuffle_and_repeat(size, 1, Some(1)));
        transform(size, "prefetch", &|x, size| x.prefetch(size));
        transform(size, "take", &|x, size| x.take(size));
        transform(size, "parallel_map", &|x, size| x.parallel_map(size, |_, x| vec![x[0].clone()]));
        transform(size, "window", &|x, size| {
            let inner = x.components().to_vec();
            let windows = x.window(size, size, 1, Remainder::Keep);
            windows.flat_map(|_, window| Dataset::from_variant(&window[0], inner))
        });
        transform(size, "group_by_window", &|x, size| {
            x.group_by_window(
                |graph, _| ops::array::constant(graph, 0i64),
                |_, _, group| group.clone(),
                |graph, _| ops::array::constant(graph, size as i64),
            )
        });
    }
}

#[test]
fn a_remainder_of_an_unbounded_batch_is_dropped() {
    let graph = Graph::new();
    let batches = five(&graph).batch(1 << 62, Remainder::Drop);
    assert!(steps(&graph, &batches).is_empty());
    let graph = Graph::new();
    assert!(steps(&graph, &five(&graph).skip(1 << 62)).is_empty());
    let graph = Graph::new();
    assert!(steps(&graph, &five(&graph).shard(1 << 62, 1 << 61)).is_empty());
}

#[test]
fn cycles_that_no_memory_holds_are_refused() {
    for cycle in [1u64 << 40, 1 << 62] {
        let graph = Graph::new();
        let cycled = five(&graph).interleave(cycle, 1, |graph, _| five(graph));
        assert_eq!(refused(&graph, &cycled).code(), Code::ResourceExhausted);
    }
}

#[test]
fn arguments_out_of_range_are_refused() {
    let check = |reason: &str, make: &dyn Fn(&Graph) -> Dataset| {
        let graph = Graph::new();
        let error = refused(&graph, &make(&graph));
        assert_eq!(error.code(), Code::InvalidArgument, "{reason}: {error}");
        assert!(error.chain().contains(reason), "{reason}: {}", error.chain());
    };
    check("Batch size must be greater than zero", &|graph| five(graph).batch(0, Remainder::Keep));
    check("batch_size must be greater than zero", &|graph| {
        five(graph).map_and_batch(0, Remainder::Keep, 1, |_, x| vec![x[0].clone()])
    });
    check("Window size must be greater than zero", &|graph| five(graph).window(0, 1, 1, Remainder::Keep));
    check("Window shift must be greater than zero", &|graph| five(graph).window(1, 0, 1, Remainder::Keep));
    check("Window stride must be greater than zero", &|graph| five(graph).window(1, 1, 0, Remainder::Keep));
    check("Index must be between 0 and 2", &|graph| five(graph).shard(3, 3));
    check("Number of shards must be greater than zero", &|graph| five(graph).shard(0, 0));
    check("cycle_length must be greater than zero", &|graph| five(graph).interleave(0, 1, |g, _| five(g)));
    check("block_length must be greater than zero", &|graph| five(graph).interleave(1, 0, |g, _| five(g)));
    check("buffer_size must be greater than zero", &|graph| five(graph).shuffle(0, None));
    check("step must be a non-zero integer", &|graph| Dataset::range(graph, 0, 3, 0));
    check("num_parallel_calls must be greater than zero", &|graph| {
        five(graph).parallel_map(0, |_, x| vec![x[0].clone()])
    });
}

#[test]
fn numbers_that_do_not_fit_int64_are_build_errors() {
    let makes: [(&str, &dyn Fn(&Dataset) -> Dataset); 9] = [
        ("batch", &|x| x.batch(u64::MAX, Remainder::Keep)),
        ("shuffle", &|x| x.shuffle(u64::MAX - 1, Some(1))),
        ("prefetch", &|x| x.prefetch(u64::MAX)),
        ("take", &|x| x.take(u64::MAX)),
        ("skip", &|x| x.skip(u64::MAX)),
        ("repeat", &|x| x.repeat(u64::MAX)),
        ("shard", &|x| x.shard(u64::MAX, 0)),
        ("window", &|x| x.window(u64::MAX, 1, 1, Remainder::Keep)),
        ("parallel_map", &|x| x.parallel_map(u64::MAX, |_, x| vec![x[0].clone()])),
    ];
    for (name, make) in makes {
        let graph = Graph::new();
        let made = make(&five(&graph));
        let found = steps(&graph, &made);
        // A number that large means without end, or is refused; it never is a negative number with a meaning of its own.
        match found.first() {
            Some(Err(error)) => assert_eq!(error.code(), Code::InvalidArgument, "{name}: {error}"),
            Some(Ok(_)) if name == "repeat" => assert_eq!(found.len(), 12),
            Some(Ok(value)) if name == "batch" => assert_eq!(value.elements(), 5, "{name}"),
            Some(Ok(_)) => assert_eq!(found.len(), if name == "shard" { 1 } else { 5 }, "{name}"),
            None => assert_eq!(name, "skip"),
        }
    }
}

#[test]
fn zip_and_choose_need_at_least_one_dataset() {
    assert!(Dataset::zip(&[]).graph().finalize().is_err());
    let graph = Graph::new();
    let nothing = Dataset::choose_from_datasets(&[], &five(&graph));
    assert!(nothing.graph().finalize().is_err());
    assert!(Dataset::sample_from_datasets(&[], None, None).graph().finalize().is_err());
}

#[test]
fn invalid_weights_are_refused() {
    for weights in [[f32::NAN, 1.0], [-1.0, 2.0], [f32::INFINITY, 1.0], [f32::NEG_INFINITY, 1.0]] {
        let graph = Graph::new();
        let (a, b) = (five(&graph), five(&graph));
        let sampled = Dataset::sample_from_datasets(&[&a, &b], Some(&weights), Some(1));
        let error = refused(&graph, &sampled);
        assert_eq!(error.code(), Code::InvalidArgument, "{weights:?}: {error}");
    }
    let graph = Graph::new();
    let (a, b) = (five(&graph), five(&graph));
    let sampled = Dataset::sample_from_datasets(&[&a, &b], Some(&[1.0]), Some(1));
    assert_eq!(refused(&graph, &sampled).code(), Code::InvalidArgument);
    let graph = Graph::new();
    let (a, b) = (five(&graph), five(&graph));
    let none = Dataset::sample_from_datasets(&[&a, &b], Some(&[0.0, 0.0]), Some(1));
    assert!(steps(&graph, &none).is_empty());
}

#[test]
fn a_choice_out_of_range_fails_its_step_only() {
    let graph = Graph::new();
    let (a, b) = (five(&graph), Dataset::range(&graph, 10, 15, 1));
    let choice = Dataset::from_tensor_slices(&graph, [ops::array::constant(&graph, [0i64, 7, 1, -1, 0])]);
    let chosen = Dataset::choose_from_datasets(&[&a, &b], &choice);
    let found: Vec<Result<i64, Code>> = steps(&graph, &chosen)
        .into_iter()
        .map(|given| given.map(|value| value.value().unwrap()).map_err(|error| error.code()))
        .collect();
    let wrong = Err(Code::InvalidArgument);
    assert_eq!(found, [Ok(0), wrong, Ok(10), wrong, Ok(1)]);
}

#[test]
fn rows_that_change_their_type_or_shape_fail_their_steps_only() {
    let row = |number: u64| {
        Ok(vec![match number {
            1 => Tensor::scalar(1.5f32),
            2 => Tensor::from([1i64, 2]),
            3 => panic!("row 3 is gone"),
            other => Tensor::scalar(other as i64),
        }])
    };
    let graph = Graph::new();
    let rows = Dataset::from_rows(&graph, 6, [int64(PartialShape::scalar())], row);
    let found = steps(&graph, &rows);
    assert_eq!(found.len(), 6);
    for (number, given) in found.iter().enumerate() {
        match (number, given) {
            (1..=3, Err(error)) => {
                assert!(error.chain().contains(&format!("element {number}")), "{}", error.chain());
            }
            (_, Ok(value)) => assert_eq!(value.value::<i64>().unwrap(), number as i64),
            (_, Err(error)) => panic!("{}", error.chain()),
        }
    }
    let graph = Graph::new();
    let none = Dataset::from_rows(&graph, 2, [int64(PartialShape::scalar())], |_| Ok(Vec::new()));
    assert_eq!(steps(&graph, &none).iter().filter(|given| given.is_err()).count(), 2);
}

#[test]
fn a_generator_that_panics_fails_one_step() {
    struct Trap(i64);
    impl std::iter::Iterator for Trap {
        type Item = Result<Vec<Tensor>>;

        fn next(&mut self) -> Option<Result<Vec<Tensor>>> {
            self.0 += 1;
            match self.0 {
                2 => panic!("a trap"),
                5 => None,
                number => Some(Ok(vec![Tensor::scalar(number)])),
            }
        }
    }
    let graph = Graph::new();
    let generator = Dataset::from_generator(&graph, [int64(PartialShape::scalar())], || Trap(0));
    let found = steps(&graph, &generator);
    let [Ok(_), Err(error)] = found.as_slice() else { panic!("{found:?}") };
    let text = error.chain();
    assert!(text.contains("panicked: a trap") && text.contains("element 1 of GeneratorDataset"), "{text}");
    let graph = Graph::new();
    let unopened =
        Dataset::from_generator(&graph, [int64(PartialShape::scalar())], || -> Trap { panic!("shut") });
    let error = refused(&graph, &unopened);
    assert!(error.chain().contains("panicked: shut"), "{}", error.chain());
}

#[test]
fn an_input_that_cannot_be_opened_fails_every_request() {
    let graph = Graph::new();
    let cycled = five(&graph).interleave(1 << 40, 1, |graph, _| five(graph));
    let found = steps(&graph, &Dataset::range(&graph, 0, 2, 1).concatenate(&cycled));
    assert_eq!(found.len(), 12);
    for (number, given) in found.into_iter().enumerate() {
        match given {
            Ok(value) => assert_eq!((number < 2, value.value::<i64>().unwrap()), (true, number as i64)),
            Err(error) => assert_eq!((number >= 2, error.code()), (true, Code::ResourceExhausted)),
        }
    }
}

#[test]
fn padded_shapes_that_no_memory_holds_are_refused() {
    for shape in [[1i64 << 40, 1 << 40], [1 << 32, 1 << 32], [i64::MAX, 2], [1 << 62, 4]] {
        let graph = Graph::new();
        let matrices = five(&graph).map(|_, x| vec![ops::array::fill([1i64, 1], &x[0])]);
        let padded = matrices.padded_batch(2, &[PartialShape::from_sizes(shape)], Remainder::Keep);
        let error = refused(&graph, &padded);
        assert_eq!(error.code(), Code::ResourceExhausted, "{shape:?}: {}", error.chain());
    }
}

#[test]
fn windows_of_extreme_sizes_are_counted() {
    let large = i64::MAX as u64;
    for (size, shift, stride, remainder, expected) in [
        (2, large, 1, Remainder::Keep, 1),
        (2, large, 1, Remainder::Drop, 1),
        (large, 1, 1, Remainder::Keep, 5),
        (large, 1, large, Remainder::Keep, 5),
        (large, 1, large, Remainder::Drop, 0),
        (2, 2, large, Remainder::Drop, 0),
        (5, large, 1, Remainder::Drop, 1),
        (6, 1, 1, Remainder::Drop, 0),
    ] {
        let graph = Graph::new();
        let windows = five(&graph).window(size, shift, stride, remainder);
        let op = graph.op(ops::library().find("DatasetCardinality").unwrap());
        let count = op.input(&windows).finish_output();
        let session = EmbeddedEngine::new().new_session(&graph, "", &SessionConfig::with_threads(1)).unwrap();
        let found: i64 = session.run(&count, ()).unwrap().value().unwrap();
        assert_eq!(found, expected, "size {size}, shift {shift}, stride {stride}, {remainder:?}");
    }
}

#[test]
fn a_bucket_without_order_is_a_build_error() {
    let graph = Graph::new();
    let rows = five(&graph).map(|_, x| vec![ops::array::fill([3i64], &x[0])]);
    let _ = rows.bucket_by_sequence_length(
        |_, x| ops::math::reduce_sum(&x[0], ..),
        &[5, 3],
        &[1, 1, 1],
        BucketOptions::default(),
    );
    assert!(graph.finalize().is_err());
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

fn records(count: usize) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records");
    let mut writer = summary::record::RecordWriter::new(fs::File::create(&path).unwrap());
    for number in 0..count {
        let record: Vec<u8> = (0..400).map(|at| (number * 31 + at * at) as u8).collect();
        writer.write(&record).unwrap();
    }
    writer.flush().unwrap();
    fs::read(path).unwrap()
}

#[test]
fn damaged_files_end_with_an_error_and_the_next_one_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let whole = records(50);
    let good = write("good", &gzip(&records(2)));
    let packed = gzip(&whole);
    let mut damaged = packed.clone();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 40].fill(0xFF);
    for (name, bytes) in [
        ("cut", packed[..middle].to_vec()),
        ("damaged", damaged),
        ("no header", b"plain text".to_vec()),
        ("a header alone", packed[..10].to_vec()),
    ] {
        let path = write(name, &bytes);
        let graph = Graph::new();
        let dataset = Dataset::tf_record(&graph, &[&path, &good], Compression::Gzip).skip(0);
        let next = dataset.make_initializable_iterator().get_next().remove(0);
        let session = EmbeddedEngine::new().new_session(&graph, "", &SessionConfig::with_threads(2)).unwrap();
        session.run(((), &graph.collection(&TABLE_INITIALIZERS)), ()).unwrap();
        let (mut whole, mut errors) = (0, Vec::new());
        for _ in 0..60 {
            match session.run(&next, ()) {
                Ok(_) => whole += 1,
                Err(error) if error.code() == Code::OutOfRange => break,
                Err(error) => errors.push(error),
            }
        }
        assert_eq!(errors.len(), 1, "{name}: {errors:?}");
        assert_eq!(errors[0].code(), Code::DataLoss, "{name}: {}", errors[0].chain());
        assert!(errors[0].chain().contains(name), "the file is named: {}", errors[0].chain());
        assert!((2..52).contains(&whole), "{name}: {whole} records");
    }
    // The checksums of these lengths are right.
    for (length, checksum) in [(1u64 << 63, 0xb6670895_u32), (u64::MAX, 0x3a117ba6), (1 << 40, 0xe46b3daa)] {
        let mut bytes = length.to_le_bytes().to_vec();
        bytes.extend(checksum.to_le_bytes());
        bytes.extend(b"some bytes");
        let path = write(&format!("length {length}"), &bytes);
        let graph = Graph::new();
        let found = steps(&graph, &Dataset::tf_record(&graph, &[&path], Compression::None));
        assert_eq!(found.len(), 1, "{length}: {found:?}");
        let error = found[0].as_ref().unwrap_err();
        assert!(matches!(error.code(), Code::DataLoss | Code::ResourceExhausted), "{}", error.chain());
    }
}

#[test]
fn a_field_of_many_bytes_is_one_field() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wide.csv");
    let wide = "x".repeat(8 << 20);
    fs::write(&path, format!("\"{wide}\",1\nshort,2\n\"never closed {wide}\n")).unwrap();
    let graph = Graph::new();
    let defaults = [Tensor::from_strings([""], [1]).unwrap(), Tensor::from([0i64])];
    let rows = Dataset::csv(&graph, &[path.to_str().unwrap()], &defaults);
    let found = steps(&graph, &rows);
    assert_eq!(found[0].as_ref().unwrap().as_strings().unwrap()[0].len(), wide.len());
    assert_eq!(&found[1].as_ref().unwrap().as_strings().unwrap()[0][..], b"short");
    let error = found[2].as_ref().unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(error.to_string().len() < 10_000, "an error does not quote the file");
}

#[test]
fn patterns_without_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), b"").unwrap();
    for pattern in ["missing/*", "file/*", "*.none"] {
        let graph = Graph::new();
        let path = folder.path().join(pattern);
        let error = refused(&graph, &Dataset::list_files(&graph, path.to_str().unwrap()));
        assert_eq!(error.code(), Code::NotFound, "{}", error.chain());
        assert!(error.chain().contains(pattern), "{}", error.chain());
    }
}

#[test]
fn foreign_and_incomplete_cache_files_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let prefix = folder.path().join("cache").to_str().unwrap().to_owned();
    let graph = Graph::new();
    assert_eq!(numbers(&graph, &five(&graph).cache_in(&prefix)), [0, 1, 2, 3, 4]);
    // Another dataset reads what is there; its type is checked.
    let graph = Graph::new();
    let floats = five(&graph).map(|_, x| vec![ops::math::cast(&x[0], DType::Float32)]).cache_in(&prefix);
    assert_eq!(refused(&graph, &floats).code(), Code::InvalidArgument);
    // A data file that was cut.
    let data = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_str().unwrap().contains("data-"))
        .unwrap();
    let bytes = fs::read(&data).unwrap();
    fs::write(&data, &bytes[..bytes.len() / 2]).unwrap();
    let graph = Graph::new();
    let found = steps(&graph, &five(&graph).cache_in(&prefix));
    let error = found.iter().find_map(|given| given.as_ref().err()).expect("an error");
    assert!(matches!(error.code(), Code::DataLoss | Code::OutOfRange), "{}", error.chain());
    // An index that is none.
    let index = folder.path().join("cache.index");
    fs::write(&index, b"no index").unwrap();
    let graph = Graph::new();
    let error = refused(&graph, &five(&graph).cache_in(&prefix));
    assert!(matches!(error.code(), Code::DataLoss | Code::InvalidArgument), "{}", error.chain());
    assert!(error.chain().contains("cache"), "{}", error.chain());
}
