//! Operations of TensorFlow's first releases that later ones replace.
#![allow(clippy::unwrap_used)] // a panic is the report

use embedded_engine::EmbeddedEngine;
use ops::array::placeholder;
use ops::math::{MatMulOptions, cast, matmul_with, reduce_sum, square};
use session_core::{DType, Engine, Graph, OpLibrary, Output, SessionConfig, SessionExt, Tensor};

fn values(shape: [usize; 2]) -> Tensor {
    // Halves are exact in bfloat16.
    let values = (0..shape[0] * shape[1]).map(|i| ((i * 5 % 7) as f32 - 3.0) / 2.0);
    Tensor::from_vec(values.collect::<Vec<f32>>(), shape).unwrap()
}

/// `SparseMatMul` is a product like any other, of any mixture of `float32` and `bfloat16`.
#[test]
fn a_product_of_matrices_that_may_be_sparse_is_a_product() {
    for (transpose_a, transpose_b) in [(false, false), (false, true), (true, false), (true, true)] {
        for narrow in [false, true] {
            let graph = Graph::new();
            let a_shape = if transpose_a { [3, 2] } else { [2, 3] };
            let b_shape = if transpose_b { [4, 3] } else { [3, 4] };
            let a = placeholder(&graph.named("a"), DType::Float32, a_shape);
            let b = placeholder(&graph.named("b"), DType::Float32, b_shape);
            let options = MatMulOptions::default().transpose_a(transpose_a).transpose_b(transpose_b);
            let plain = matmul_with(&a, &b, options);
            let a_given = if narrow { cast(&a, DType::BFloat16) } else { a.clone() };
            let builder = graph.op(OpLibrary::find(ops::library(), "SparseMatMul").unwrap());
            let builder = builder.input(&a_given).input(&b).attr("a_is_sparse", true);
            let builder = builder.attr("transpose_a", transpose_a).attr("transpose_b", transpose_b);
            let sparse = builder.attr("Ta", a_given.dtype()).finish_output();
            let gradients = |product: &Output| -> Vec<Output> {
                let loss = reduce_sum(square(product), ..);
                ops::gradients(&[loss], &[&a, &b]).unwrap().into_iter().map(Option::unwrap).collect()
            };
            let (expected, found) = (gradients(&plain), gradients(&sparse));
            let session = EmbeddedEngine::new().new_session(&graph, "", &SessionConfig::default()).unwrap();
            let feeds = [(&a, values(a_shape)), (&b, values(b_shape))];
            let results = session.run(&(&plain, &sparse, &expected, &found), feeds).unwrap();
            assert_eq!(results.0, results.1, "{transpose_a} {transpose_b}");
            assert_eq!(results.2[1], results.3[1], "{transpose_a} {transpose_b}");
            let [of_a, of_narrow] = [&results.2[0], &results.3[0]].map(|grad| grad.to_vec::<f32>().unwrap());
            let close = |(x, y): (&f32, &f32)| (x - y).abs() <= if narrow { 0.01 * x.abs() } else { 0.0 };
            assert!(of_a.iter().zip(&of_narrow).all(close), "{of_a:?} {of_narrow:?}");
        }
    }
}
