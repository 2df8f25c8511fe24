//! Vectors of decompositions are orthonormal and make the matrix again. Their signs are free, so they are not compared.
#![allow(clippy::unwrap_used)] // a panic is the report

use embedded_engine::EmbeddedEngine;
use ops::array::{constant, matrix_diag, matrix_transpose};
use ops::math::{matmul, self_adjoint_eig, svd, svd_full_matrices};
use session_core::{Engine, Graph, Output, SessionConfig, SessionExt, Tensor};

fn numbers(shape: [usize; 3]) -> Tensor {
    let values = (0..shape.iter().product::<usize>()).map(|at| ((at * at) as f64 * 0.37).sin()).collect();
    Tensor::from_vec(values, shape).unwrap()
}

fn check(graph: &Graph, pairs: &[(Output, Output)]) {
    let session = EmbeddedEngine::new().new_session(graph, "", &SessionConfig::with_threads(1)).unwrap();
    for (found, expected) in pairs {
        let (found, expected) = session.run((found, expected), ()).unwrap();
        assert_eq!(found.shape(), expected.shape());
        let pairs = found.as_slice::<f64>().unwrap().iter().zip(expected.as_slice::<f64>().unwrap());
        let most = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(most < 1e-12, "{most}");
    }
}

fn identity(graph: &Graph, size: usize) -> Output {
    matrix_diag(constant(graph, Tensor::from_vec(vec![1.0f64; 2 * size], [2, size]).unwrap()))
}

#[test]
fn singular_vectors_make_up_the_matrix() {
    for [rows, columns] in [[4, 4], [7, 3], [3, 7], [1, 5], [5, 1]] {
        for rank_one in [false, true] {
            let graph = Graph::new();
            let x = numbers([2, rows, columns]);
            let x = if rank_one { Tensor::full(0.5f64, [2, rows, columns]) } else { x };
            let x = constant(&graph, x);
            let inner = rows.min(columns);
            let (s, u, v) = svd(&x);
            let made = matmul(matmul(&u, matrix_diag(&s)), matrix_transpose(&v));
            let (_, full_u, full_v) = svd_full_matrices(&x);
            let square = |x: &Output| matmul(matrix_transpose(x), x);
            check(
                &graph,
                &[
                    (made, x.clone()),
                    (square(&u), identity(&graph, inner)),
                    (square(&v), identity(&graph, inner)),
                    (square(&full_u), identity(&graph, rows)),
                    (square(&full_v), identity(&graph, columns)),
                ],
            );
        }
    }
}

#[test]
fn eigenvectors_make_up_the_matrix() {
    for size in [1, 2, 5, 20] {
        let graph = Graph::new();
        let x = constant(&graph, numbers([2, size, size]));
        let symmetric = &x + matrix_transpose(&x);
        let (e, v) = self_adjoint_eig(&symmetric);
        let made = matmul(matmul(&v, matrix_diag(&e)), matrix_transpose(&v));
        check(&graph, &[(made, symmetric), (matmul(matrix_transpose(&v), &v), identity(&graph, size))]);
    }
}

#[test]
fn transforms_of_length_zero_are_empty() {
    use session_core::{DType, OutputInfo, PartialShape};
    let graph = Graph::new();
    let x = constant(&graph, Tensor::full(tensor::Complex::new(1.0f32, 0.0), [2, 3, 4]));
    let real = OutputInfo { dtype: DType::Float32, shape: PartialShape::unknown(), is_ref: false };
    let transform = |lengths: [i32; 2]| {
        let lengths = constant(&graph, lengths);
        let builder = graph.undefined_op("IRFFT2D").input(&x).input(&lengths);
        let builder = builder.attr("Treal", DType::Float32).attr("Tcomplex", DType::Complex64);
        builder.described_output(real.clone()).finish_output()
    };
    let numbers = [transform([0, 4]), transform([3, 0]), transform([0, 0])];
    let session = EmbeddedEngine::new().new_session(&graph, "", &SessionConfig::with_threads(1)).unwrap();
    let shapes = numbers.map(|output| session.run(&output, ()).unwrap().shape().dims().to_vec());
    assert_eq!(shapes, [[2, 0, 4], [2, 3, 0], [2, 0, 0]]);
}
