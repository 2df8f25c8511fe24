//! Random generators whose state is a variable, tables with reserved keys, and spellings of the first releases.
#![allow(clippy::unwrap_used)] // a panic is the report

use embedded_engine::EmbeddedEngine;
use ops::{array, library};
use session_core::{
    AttrValue, Code, DType, Engine, Graph, OpBuilder, OpLibrary as _, Operation, Output, PartialShape,
    Session, SessionConfig, SessionExt, Tensor,
};
use std::sync::Arc;

fn op(graph: &Graph, op_type: &str) -> OpBuilder {
    graph.op(library().find(op_type).unwrap())
}

fn session(graph: &Graph) -> Arc<dyn Session> {
    EmbeddedEngine::new().new_session(graph, "", &SessionConfig::with_threads(1)).unwrap()
}

/// A variable with the state of a generator, and the operation that assigns it.
fn state(graph: &Graph, value: Tensor) -> (Output, Operation) {
    let shape = AttrValue::Shape(PartialShape::unknown());
    let handle = op(graph, "VarHandleOp").attr("dtype", value.dtype()).attr("shape", shape).finish_output();
    let dtype = value.dtype();
    let assign = op(graph, "AssignVariableOp").input(&handle).constant(value).attr("dtype", dtype).finish();
    (handle, assign)
}

/// The numbers are those of TensorFlow for the counter (3, 4) and the key 5.
#[test]
fn generators_draw_tensorflows_numbers_and_advance() {
    let graph = Graph::new();
    let (handle, assign) = state(&graph, Tensor::from([3i64, 4, 5]));
    let read = op(&graph, "ReadVariableOp").input(&handle).attr("dtype", DType::Int64).finish_output();
    let sampler = |op_type: &str, dtype: DType| {
        let builder = op(&graph, op_type).input(&handle).constant(1i64).constant(Tensor::from([5i64]));
        builder.attr("dtype", dtype).attr("shape_dtype", DType::Int64)
    };
    let uniform = sampler("StatefulUniform", DType::Float32).finish_output();
    let normal = sampler("StatefulStandardNormalV2", DType::Float32).finish_output();
    let truncated = sampler("StatefulTruncatedNormal", DType::Float32).finish_output();
    let full = sampler("StatefulUniformFullInt", DType::Int64).finish_output();
    let below = sampler("StatefulUniformInt", DType::Int32).constant(0i32).constant(100i32).finish_output();
    let skipped = op(&graph, "RngReadAndSkip").input(&handle).constant(1i32).constant(7u64).finish_output();
    let skip = op(&graph, "RngSkip").input(&handle).constant(1i64).constant(2i64).finish();
    let session = session(&graph);
    let drawn = |output: &Output| {
        session.run(&assign, ()).unwrap();
        let value = session.run(output, ()).unwrap();
        assert_eq!(session.run(&read, ()).unwrap(), Tensor::from([1283i64, 4, 5]), "{}", output.name());
        value
    };
    let floats = |output: &Output| drawn(output).to_vec::<f32>().unwrap();
    let near = |found: Vec<f32>, expected: [f32; 5]| {
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
    };
    near(floats(&uniform), [0.33674836, 0.9383882, 0.96642387, 0.616735, 0.7593235]);
    near(floats(&normal), [-0.5569993, 1.366232, -0.17496277, -0.19414823, -0.50114703]);
    near(floats(&truncated), [-0.5569993, 1.366232, -0.17496277, -0.19414823, 0.9664807]);
    let expected = [
        -8360900703749989742i64,
        -5093868953110072377,
        -3940901781837368957,
        -1131678816824757837,
        4054897579822113990,
    ];
    assert_eq!(drawn(&full), Tensor::from(expected));
    assert_eq!(drawn(&below), Tensor::from([86, 3, 71, 8, 47]));
    session.run(&assign, ()).unwrap();
    assert_eq!(session.run(&skipped, ()).unwrap(), Tensor::from([3i64, 4, 5]));
    assert_eq!(session.run(&read, ()).unwrap(), Tensor::from([1795i64, 4, 5]));
    session.run(&skip, ()).unwrap();
    assert_eq!(session.run(&read, ()).unwrap(), Tensor::from([2307i64, 4, 5]));
}

#[test]
fn invalid_philox_states_are_refused() {
    for (value, algorithm, code) in [
        (Tensor::from([3i64, 4]), 1, Code::InvalidArgument),
        (Tensor::from([3i32, 4, 5]), 1, Code::InvalidArgument),
        (Tensor::from([3i64, 4, 5]), 2, Code::Unimplemented),
    ] {
        let graph = Graph::new();
        let (handle, assign) = state(&graph, value);
        let skip =
            op(&graph, "RngReadAndSkip").input(&handle).constant(algorithm).constant(1u64).finish_output();
        let session = session(&graph);
        let unset = session.run(&skip, ()).unwrap_err();
        assert!(matches!(unset.code(), Code::FailedPrecondition | Code::Unimplemented), "{unset}");
        session.run(&assign, ()).unwrap();
        assert_eq!(session.run(&skip, ()).unwrap_err().code(), code);
    }
}

/// TensorFlow exports a dense table with its empty places, and refuses the keys that stand for them.
#[test]
fn empty_buckets_of_a_dense_table_are_not_exported() {
    let graph = Graph::new();
    let table = op(&graph, "MutableDenseHashTableV2").constant(-1i64).constant(-2i64);
    let table = table.attr("value_dtype", DType::Int64).finish_output();
    let keys = array::placeholder(&graph, DType::Int64, PartialShape::unknown());
    let change = |op_type: &str| {
        let builder = op(&graph, op_type).input(&table).input(&keys).input(&keys);
        builder.attr("Tin", DType::Int64).attr("Tout", DType::Int64).finish()
    };
    let (import, insert) = (change("LookupTableImportV2"), change("LookupTableInsertV2"));
    let size = op(&graph, "LookupTableSizeV2").input(&table).finish_output();
    let find = op(&graph, "LookupTableFindV2").input(&table).input(&keys).constant(9i64).finish_output();
    let session = session(&graph);
    session.run(&import, [(&keys, Tensor::from([4i64, -1, 7, -2, -1]))]).unwrap();
    assert_eq!(session.run(&size, ()).unwrap(), Tensor::from(2i64));
    assert_eq!(session.run(&find, [(&keys, Tensor::from([7i64, 8]))]).unwrap(), Tensor::from([7i64, 9]));
    for reserved in [-1i64, -2] {
        for error in [
            session.run(&insert, [(&keys, Tensor::from([5, reserved]))]).unwrap_err(),
            session.run(&find, [(&keys, Tensor::from([reserved]))]).map(drop).unwrap_err(),
        ] {
            assert_eq!(error.code(), Code::InvalidArgument);
            assert!(error.to_string().contains("_key as a table key"), "{error}");
        }
    }
    assert_eq!(session.run(&size, ()).unwrap(), Tensor::from(2i64));
}

/// TensorFlow runs them in graphs of their time only.
#[test]
fn legacy_op_types_are_the_current_operations() {
    let matrices = Tensor::from_vec(vec![4.0f64, 1.0, 1.0, 3.0, 2.0, 0.5, 0.5, 5.0], [2, 2, 2]).unwrap();
    let sides = Tensor::from_vec(vec![1.0f64, 2.0, 3.0, 4.0], [2, 2, 1]).unwrap();
    for (plain, takes_sides) in [
        ("Cholesky", false),
        ("MatrixDeterminant", false),
        ("MatrixDiag", false),
        ("MatrixDiagPart", false),
        ("MatrixInverse", false),
        ("SelfAdjointEig", false),
        ("SelfAdjointEigV2", false),
        ("Svd", false),
        ("MatrixSolve", true),
        ("MatrixTriangularSolve", true),
    ] {
        let graph = Graph::new();
        let outputs = [plain.to_owned(), format!("Batch{plain}")].map(|op_type| {
            let builder = op(&graph, &op_type).constant(matrices.clone());
            let builder = if takes_sides { builder.constant(sides.clone()) } else { builder };
            builder.finish().outputs()
        });
        let session = session(&graph);
        let [plain_values, old_values] = outputs.map(|outputs| session.run(&outputs, ()).unwrap());
        assert_eq!(plain_values, old_values, "{plain}");
    }
}
