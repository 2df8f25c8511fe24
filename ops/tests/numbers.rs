//! Numbers next to tensors: each takes the tensor's dtype, or is a build error.
#![allow(clippy::unwrap_used)] // helpers of tests

use ops::array::{constant, placeholder};
use ops::data_flow::{FifoQueue, StagingArea};
use ops::learning_rate::piecewise_constant;
use ops::math::{floordiv, truediv};
use ops::variables::{VariableBuilder, VariableExt, variable};
use ops::{OutputExt, initializers, random};
use session_core::{DType, ErrorKind, Graph, Output, PartialShape, Tensor};
use tensor::{Complex, f16};

fn of(graph: &Graph, dtype: DType) -> Output {
    placeholder(&graph.named("x"), dtype, [2])
}

/// The constant that an operation has in this place.
fn number(result: &Output, place: usize) -> Tensor {
    result.operation().input(place).constant_value().cloned().unwrap()
}

#[test]
fn numbers_of_all_types_take_the_dtype_of_the_tensor() {
    let graph = Graph::new();
    let x = of(&graph, DType::Int64);
    for result in [&x * 2, &x * 2u8, &x * 2i16, &x * 2u64, &x * 2usize, &x * 2.0, &x * 2f32] {
        assert_eq!(number(&result, 1), Tensor::scalar(2i64));
    }
    assert_eq!(number(&(&x + i64::MAX), 1), Tensor::scalar(i64::MAX));
    assert_eq!(number(&(3 - &x), 0), Tensor::scalar(3i64));
    assert_eq!(number(&(3.0 - &x), 0), Tensor::scalar(3i64));
    let half = of(&graph, DType::Float16);
    assert_eq!(number(&(&half + 0.5f32), 1).dtype(), DType::Float16);
    let complex = of(&graph, DType::Complex64);
    assert_eq!(number(&(&complex * Complex::new(0.0, 1.0)), 1), Tensor::scalar(Complex::new(0f32, 1.0)));
    assert_eq!(number(&(Complex::new(0.0, 1.0) * &complex), 0), Tensor::scalar(Complex::new(0f32, 1.0)));
    assert_eq!(number(&(f16::ONE - &half), 0), Tensor::scalar(f16::ONE));
    // Unsuffixed literals are accepted by methods, too.
    let _ = ((&x * 2).square(), (2 * &x).square(), (2.0 * of(&graph, DType::Float32)).square());
    let named = 2.0 * half.named("twice");
    assert_eq!(named.operation().name(), "twice");
    graph.finalize().unwrap();
}

#[test]
fn a_number_that_the_dtype_cannot_hold_is_a_build_error() {
    let rows: [(DType, fn(&Output) -> Output, &str); 10] = [
        (DType::Int32, |x| x * 0.5, "int32 cannot hold 0.5"),
        (DType::Int32, |x| 0.5 * x, "int32 cannot hold 0.5"),
        (DType::Int32, |x| x / 0.5, "int32 cannot hold 0.5"),
        (DType::UInt8, |x| x + -1.0, "uint8 cannot hold -1.0"),
        (DType::UInt8, |x| x - 256, "uint8 cannot hold 256"),
        (DType::Int8, |x| x % 128, "int8 cannot hold 128"),
        (DType::Int64, |x| x + u64::MAX, "int64 cannot hold 18446744073709551615"),
        (DType::Int32, |x| x + f64::NAN, "int32 cannot hold NaN"),
        (DType::Float16, |x| x * 1e6, "cannot hold 1000000.0"),
        (DType::Float32, |x| x * Complex::new(0.0, 1.0), "cannot hold 0+1i"),
    ];
    for (dtype, combine, expected) in rows {
        let graph = Graph::new();
        let x = of(&graph, dtype);
        assert!(combine(&x).operation().error().is_some());
        let error = graph.finalize().unwrap_err();
        assert!(error.message().contains(expected), "{error}");
        assert!(error.message().contains("'x:0'") && error.message().contains("cast"), "{error}");
        assert_eq!(error.kind(), ErrorKind::Type);
        assert!(error.location().is_some_and(|place| place.file() == file!()), "{error}");
    }
}

#[test]
fn integers_are_divided_as_tensorflow_does() {
    let graph = Graph::new();
    let quotients = [
        (DType::UInt8, DType::Float32),
        (DType::Int16, DType::Float32),
        (DType::Int32, DType::Float64),
        (DType::UInt64, DType::Float64),
        (DType::BFloat16, DType::BFloat16),
        (DType::Complex64, DType::Complex64),
    ];
    for (dtype, expected) in quotients {
        let x = placeholder(&graph, dtype, [2]);
        for quotient in [&x / &x, &x / 2, 4 / &x, truediv(&x, &x), x.truediv(&x)] {
            assert_eq!((quotient.dtype(), quotient.operation().op_type()), (expected, "RealDiv"));
        }
    }
    let x = placeholder(&graph.named("x"), DType::Int32, [2]);
    let rest = [floordiv(&x, &x), x.floordiv(&x)];
    assert!(rest.iter().all(|rest| (rest.dtype(), rest.operation().op_type()) == (DType::Int32, "FloorDiv")));
    assert_eq!(((&x % 3).dtype(), (&x % &x).operation().op_type()), (DType::Int32, "FloorMod"));
    graph.finalize().unwrap();
    // As TensorFlow names them.
    let graph = Graph::new();
    let x = placeholder(&graph.named("x"), DType::Int32, [2]);
    let quotient = &x / &x;
    assert_eq!(quotient.name(), "truediv:0");
    let inputs: Vec<String> = quotient.operation().inputs().iter().map(Output::name).collect();
    assert_eq!(inputs, ["truediv/Cast:0", "truediv/Cast_1:0"]);
    assert_eq!((&quotient + 1).name(), "AddV2:0", "what is built on it stands outside");
    assert_eq!((x.named("half") / 2).name(), "half:0");
    graph.finalize().unwrap();
    let mixed = &x / placeholder(&graph, DType::Float32, [2]);
    assert!(mixed.operation().error().is_some());
}

/// Returns the error that the graph reports after this.
fn reported(build: impl FnOnce(&Graph)) -> session_core::Error {
    let graph = Graph::new();
    build(&graph);
    graph.check().unwrap_err()
}

#[test]
fn numbers_elsewhere_are_checked_too() {
    let assigned = reported(|graph| {
        let small = VariableBuilder::new(&graph.named("small")).initial_value(1u8).build();
        let _ = small.assign(300);
    });
    assert!(assigned.message().contains("uint8 cannot hold 300"), "{assigned}");
    assert!(assigned.message().contains("variable 'small'"), "{assigned}");
    assert!(assigned.location().is_some_and(|place| place.file() == file!()), "{assigned}");
    let enqueued = reported(|graph| {
        let queue = FifoQueue::new(&graph.named("ages"), 4, [DType::Int64, DType::UInt8]).build();
        let _ = queue.enqueue((1, -1));
    });
    assert!(enqueued.message().contains("component 1 of queue 'ages': uint8 cannot hold -1"), "{enqueued}");
    let listed = reported(|graph| {
        let queue = FifoQueue::new(graph, 4, DType::Int8).shapes([PartialShape::scalar()]).build();
        let _ = queue.enqueue_many(Tensor::from([1, 2, 200]));
    });
    assert!(listed.message().contains("int8 cannot hold 200"), "{listed}");
    let staged = reported(|graph| drop(StagingArea::new(graph, DType::UInt8).put([256])));
    assert!(staged.message().contains("uint8 cannot hold 256"), "{staged}");
    let surplus = reported(|graph| drop(StagingArea::new(graph, DType::UInt8).put([1, 2])));
    assert!(surplus.message().contains("2 values for an area of 1"), "{surplus}");
    let initial = reported(|graph| {
        let half = initializers::constant(0.5);
        let _ = VariableBuilder::new(graph).initializer([2], DType::Int32, &half).build();
    });
    assert!(initial.message().contains("int32 cannot hold 0.5"), "{initial}");
    let bound = reported(|graph| {
        let _ = random::random_uniform_int(graph, [2], 0, 1 << 40, DType::Int32, None);
    });
    assert!(bound.message().contains("int32 cannot hold 1099511627776"), "{bound}");
    let boundary = reported(|graph| {
        let step = variable(&graph.named("step"), 0i32);
        let _ = piecewise_constant(&step, &[1 << 40], &[0.1, 0.2]);
    });
    assert!(boundary.message().contains("int32 cannot hold 1099511627776"), "{boundary}");
}

#[test]
fn lists_take_the_dtype_of_their_queue() {
    let graph = Graph::new();
    let shapes = [PartialShape::from([2]), PartialShape::scalar()];
    let queue = FifoQueue::new(&graph, 4, [DType::Float32, DType::Int64]).shapes(shapes).build();
    let one = queue.enqueue((Tensor::from([1, 2]), 7u8));
    assert_eq!(one.input(1).constant_value(), Some(&Tensor::from([1f32, 2.0])));
    assert_eq!(one.input(2).constant_value(), Some(&Tensor::scalar(7i64)));
    let two = queue.enqueue_many((Tensor::from([[0.5, 1.0]]), Tensor::from([3])));
    assert_eq!(two.input(1).constant_value(), Some(&Tensor::from([[0.5f32, 1.0]])));
    graph.finalize().unwrap();
    // Fractions are not made integers, nor tensors of the graph converted.
    let error = reported(|graph| {
        let queue = FifoQueue::new(graph, 4, DType::Int64).build();
        let _ = queue.enqueue(constant(graph, 1i32));
    });
    assert!(error.message().contains("component 0 has dtype int32"), "{error}");
}

#[test]
fn the_value_after_an_update_is_read_after_it() {
    let graph = Graph::new();
    let count = variable(&graph.named("count"), 0i64);
    let update = count.assign_add(1);
    let value = count.after(&update);
    assert_eq!(value.operation().control_inputs(), [update]);
    assert_eq!(value.dtype(), DType::Int64);
    graph.finalize().unwrap();
}

#[test]
fn resources_of_a_container_scope_are_in_it() {
    let graph = Graph::new();
    let inner = graph.container("workers");
    let queue = FifoQueue::new(&inner, 4, DType::Int64).build();
    let count = variable(&inner.scope("a").named("count"), 0i64);
    let outside = variable(&graph.named("count"), 0i64);
    let container =
        |output: &Output| output.operation().attr("container").and_then(|c| c.as_str().map(str::to_owned));
    assert_eq!(container(queue.handle()).as_deref(), Some("workers"));
    assert_eq!(container(count.handle()).as_deref(), Some("workers"));
    assert_eq!(container(outside.handle()).as_deref(), Some(""));
    let back = FifoQueue::new(&inner.container(""), 4, DType::Int64).build();
    assert_eq!(container(back.handle()).as_deref(), Some(""));
}
