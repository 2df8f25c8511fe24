//! Samples of sparse tensors. Their values are differentiated, their coordinates are not.

use super::math::rows;
use super::{Inputs, Sample, shaped};
use session_core::{OpBuilder, Output};

/// A sparse tensor of rank 2: the coordinates and as many values.
struct Sparse {
    indices: Output,
    values: Output,
    shape: Output,
}

impl Sparse {
    /// Entries of a tensor of shape `[3, 4]`, whose second row is empty.
    fn of(i: &mut Inputs<'_>) -> Sparse {
        Sparse::at(i, vec![0, 1, 0, 3, 2, 0, 2, 1], [3, 4])
    }

    fn at(i: &mut Inputs<'_>, indices: Vec<i64>, shape: [i64; 2]) -> Sparse {
        let count = indices.len() / 2;
        let (indices, values) = (i.other(shaped(indices, &[count, 2])), i.doubles(&[count]));
        Sparse { indices, values, shape: i.constant(shape) }
    }

    fn input_of(&self, builder: OpBuilder) -> OpBuilder {
        builder.input(&self.indices).input(&self.values).input(&self.shape)
    }
}

fn product(i: &mut Inputs<'_>, b: &[usize], adjoint_a: bool, adjoint_b: bool) -> Vec<Output> {
    let (a, b) = (Sparse::of(i), i.doubles(b));
    let builder = a.input_of(i.op("SparseTensorDenseMatMul")).input(b);
    vec![builder.attr("adjoint_a", adjoint_a).attr("adjoint_b", adjoint_b).finish_output()]
}

fn with_dense(i: &mut Inputs<'_>, op_type: &str, dense: &[usize]) -> Vec<Output> {
    let (a, b) = (Sparse::of(i), i.between(0.5, 2.0, dense));
    vec![a.input_of(i.op(op_type)).input(b).finish_output()]
}

fn sum(i: &mut Inputs<'_>, axes: &[i32], keep: bool) -> Vec<Output> {
    let a = Sparse::of(i);
    let builder = a.input_of(i.op("SparseReduceSum")).constant(axes.to_vec());
    vec![builder.attr("keep_dims", keep).finish_output()]
}

fn extreme(i: &mut Inputs<'_>, op_type: &str) -> Vec<Output> {
    let (a, b) = (i.other([0.5f64, -1.0, 2.0]), i.other([-0.25f64, 1.0]));
    let at_a = i.other(shaped(vec![0i64, 1, 0, 3, 2, 0], &[3, 2]));
    let at_b = i.other(shaped(vec![0i64, 3, 1, 1], &[2, 2]));
    let builder = i.op(op_type).input(at_a).input(a).constant([3i64, 4]);
    builder.input(at_b).input(b).constant([3i64, 4]).finish().outputs()
}

const SPARSE: &[Sample] = rows! {
    "SparseTensorDenseMatMul" => |i| product(i, &[4, 2], false, false);
    "SparseTensorDenseMatMul adjoint" => |i| product(i, &[2, 3], true, true);
    "SparseTensorDenseMatMul second adjoint" => |i| product(i, &[2, 4], false, true);
    "SparseAdd" => |i| {
        let (a, b) = (Sparse::of(i), Sparse::at(i, vec![0, 0, 0, 3, 1, 1, 2, 1], [3, 4]));
        b.input_of(a.input_of(i.op("SparseAdd"))).constant(0.0f64).finish().outputs()
    };
    "SparseAdd with a threshold" => |i| {
        let (a, b) = (Sparse::of(i), Sparse::at(i, vec![0, 0, 0, 3, 1, 1, 2, 1], [3, 4]));
        b.input_of(a.input_of(i.op("SparseAdd"))).constant(0.3f64).finish().outputs()
    };
    "SparseSplit" => |i| {
        let values = i.other([0.5f64, -1.0, 2.0, 3.0]);
        let indices = i.other(shaped(vec![0i64, 1, 0, 3, 2, 0, 2, 1], &[4, 2]));
        let builder = i.op("SparseSplit").constant(1i64).input(indices).input(values).constant([3i64, 4]);
        builder.attr("num_split", 3i64).finish().outputs()
    };
    "SparseSparseMaximum" => |i| extreme(i, "SparseSparseMaximum");
    "SparseSparseMinimum" => |i| extreme(i, "SparseSparseMinimum");
    "SparseAddGrad" but not_numerical => |i| {
        let grad = i.other([1.0f64, 2.0, 3.0]);
        let [a, b, sum] = [vec![0i64, 0, 1, 1], vec![1, 1, 2, 2], vec![0, 0, 1, 1, 2, 2]].map(|at| {
            let rows = at.len() / 2;
            i.other(shaped(at, &[rows, 2]))
        });
        i.op("SparseAddGrad").input(grad).input(a).input(b).input(sum).finish().outputs()
    };
    "SparseReorder" => |i| {
        let a = Sparse::at(i, vec![2, 1, 0, 3, 2, 0, 0, 1], [3, 4]);
        a.input_of(i.op("SparseReorder")).finish().outputs()
    };
    "SparseReshape" => |i| {
        let (indices, shape) = (i.other(shaped(vec![0i64, 1, 2, 3], &[2, 2])), i.constant([3i64, 4]));
        i.op("SparseReshape").input(indices).input(shape).constant([2i64, -1]).finish().outputs()
    };
    "SparseFillEmptyRows" => |i| {
        let (a, filling) = (Sparse::of(i), i.doubles(&[]));
        a.input_of(i.op("SparseFillEmptyRows")).input(filling).finish().outputs()
    };
    "SparseFillEmptyRowsGrad" but not_numerical => |i| {
        let (map, grad) = (i.other([0i64, 2]), i.other([1.0f64, 2.0, 3.0]));
        i.op("SparseFillEmptyRowsGrad").input(map).input(grad).finish().outputs()
    };
    "SparseSlice" => |i| {
        let a = Sparse::of(i);
        a.input_of(i.op("SparseSlice")).constant([0i64, 1]).constant([2i64, 9]).finish().outputs()
    };
    "SparseSliceGrad" but not_numerical => |i| {
        let grad = i.other([1.0f64, 2.0]);
        let indices = i.other(shaped(vec![0i64, 1, 0, 3, 2, 0], &[3, 2]));
        let found = i.other(shaped(vec![0i64, 0, 0, 2], &[2, 2]));
        [i.op("SparseSliceGrad").input(grad).input(indices).constant([0i64, 1]).input(found).finish_output()]
    };
    "SparseConcat" but not_numerical => |i| {
        let a = [i.other(shaped(vec![0i64, 1, 2, 0], &[2, 2])), i.other(shaped(vec![1i64, 0], &[1, 2]))];
        let values = [i.other([1.0f64, 2.0]), i.other([3.0f64])];
        let shapes = [i.constant([3i64, 4]), i.constant([3i64, 2])];
        let builder = i.op("SparseConcat").input_list(&a).input_list(&values).input_list(&shapes);
        builder.attr("concat_dim", 1i64).finish().outputs()
    };
    "SparseReduceSum" => |i| sum(i, &[1], false);
    "SparseReduceSum kept" => |i| sum(i, &[-2], true);
    "SparseReduceSum of all" => |i| sum(i, &[0, 1], false);
    "SparseReduceSum of none" => |i| sum(i, &[], false);
    "SparseReduceSum computed" => |i| {
        let (a, axes) = (Sparse::of(i), i.other([0i32]));
        [a.input_of(i.op("SparseReduceSum")).input(axes).finish_output()]
    };
    "SparseDenseCwiseAdd" => |i| with_dense(i, "SparseDenseCwiseAdd", &[3, 4]);
    "SparseDenseCwiseAdd broadcast" => |i| with_dense(i, "SparseDenseCwiseAdd", &[4]);
    "SparseDenseCwiseMul" => |i| with_dense(i, "SparseDenseCwiseMul", &[3, 4]);
    "SparseDenseCwiseMul broadcast" => |i| with_dense(i, "SparseDenseCwiseMul", &[3, 1]);
    "SparseDenseCwiseMul one row" => |i| with_dense(i, "SparseDenseCwiseMul", &[4]);
    "SparseDenseCwiseDiv" => |i| with_dense(i, "SparseDenseCwiseDiv", &[3, 4]);
    "SparseDenseCwiseDiv broadcast" => |i| with_dense(i, "SparseDenseCwiseDiv", &[1, 4]);
    "SparseSoftmax" => |i| { let a = Sparse::of(i); [a.input_of(i.op("SparseSoftmax")).finish_output()] };
    "SparseTensorDenseAdd" => |i| {
        let (a, b) = (Sparse::of(i), i.doubles(&[3, 4]));
        [a.input_of(i.op("SparseTensorDenseAdd")).input(b).finish_output()]
    };
};

pub(super) static SAMPLES: &[&[Sample]] = &[SPARSE];
