//! Samples of what moves elements.

use super::math::rows;
use super::{Inputs, Known, Sample, shaped};
use crate::array::*;
use crate::math::{cast, greater, mul, reduce_sum};
use crate::parsing::{parse_tensor, serialize_tensor};
use session_core::{AsOutput, DType, Output, PartialShape};

const PLAIN: &[Sample] = rows! {
    "Const" => |i| [i.constant([1.0f32, 2.0])];
    "Placeholder" => |i| [i.doubles(&[2])];
    "PlaceholderWithDefault" => |i| [placeholder_with_default(i.doubles(&[2, 3]), [2, 3])];
    "Identity" => |i| [identity(i.doubles(&[2, 3]))];
    "IdentityN" => |i| { let x = [i.doubles(&[2, 3]), i.doubles(&[2])]; identity_n(&x) };
    "StopGradient" => |i| [stop_gradient(i.doubles(&[2, 3]))];
    "SerializeTensor" => |i| { let x = i.other([1i32, 2]); [serialize_tensor(x)] };
    "ParseTensor" => |i| { let x = i.other([1i32, 2]); [parse_tensor(serialize_tensor(x), DType::Int32)] };
    "PreventGradient" but not_numerical => |i| { let x = i.other([1.0f64]); [prevent_gradient(x, "why")] };
    "Snapshot" => |i| { let x = i.doubles(&[2]); [i.op("Snapshot").input(x).finish_output()] };
    "DeepCopy" => |i| { let x = i.doubles(&[2]); [i.op("DeepCopy").input(x).finish_output()] };
    "GuaranteeConst" => |i| { let x = i.doubles(&[2]); [i.op("GuaranteeConst").input(x).finish_output()] };
    "EnsureShape" => |i| [ensure_shape(i.doubles(&[2, 3]), [None, Some(3)])];
    "CheckNumerics" => |i| [check_numerics(i.doubles(&[2, 3]), "bad")];
    "CheckNumericsV2" => |i| {
        let x = i.doubles(&[2]);
        [i.op("CheckNumericsV2").input(x).attr("message", "bad").finish_output()]
    };
    "Fill" => |i| { let x = i.doubles(&[]); [fill([2, 3], x)] };
    "Fill computed" => |i| { let (x, dims) = (i.doubles(&[]), i.other([2i32, 3])); [fill(dims, x)] };
    "ZerosLike" => |i| { let x = i.doubles(&[2, 3]); [i.op("ZerosLike").input(&x).finish_output(), zeros_like(x)] };
    "OnesLike" => |i| { let x = i.doubles(&[2, 3]); [i.op("OnesLike").input(&x).finish_output(), ones_like(x)] };
    "Range" => |i| { let ends = [i.other(1i32), i.other(9i32), i.other(2i32)]; [range(&ends[0], &ends[1], &ends[2])] };
    "Range known" => |i| [range(i.constant(0.5f32), i.constant(2.0f32), i.constant(0.4f32))];
    "LinSpace" => |i| { let (a, b) = (i.doubles(&[]), i.doubles(&[])); [linspace(a, b, 5)] };
    "Empty" but not_numerical => |i| [i.op("Empty").constant([2i32, 3]).attr("dtype", DType::Float32).attr("init", true).finish_output()];
};

const SHAPES: &[Sample] = rows! {
    "Shape" => |i| { let x = i.doubles(&[2, 3]); [shape(&x), shape_as(&x, DType::Int64)] };
    "ShapeN" => |i| { let x = [i.doubles(&[2, 3]), i.doubles(&[])]; shape_n(&x) };
    "Size" => |i| [size(i.doubles(&[2, 3]))];
    "Rank" => |i| [rank(i.doubles(&[2, 3]))];
    "Reshape" => |i| [reshape(i.doubles(&[2, 6]), [3, -1])];
    "Reshape computed" => |i| {
        let (x, like) = (i.doubles(&[2, 6]), i.doubles(&[4, 3]));
        [reshape(x, shape(like))]
    };
    "Reshape of parts of a shape" => |i| {
        let x = i.doubles(&[2, 3, 4]);
        let first = strided_slice(shape(&x), &[Index::At(0)]);
        let sizes = stack(&[first, i.constant(-1i32)], 0);
        [reshape(&x, sizes)]
    };
    "ExpandDims" => |i| { let x = i.doubles(&[2, 3]); [expand_dims(&x, 1), expand_dims(&x, -1)] };
    "Squeeze" => |i| [squeeze(i.doubles(&[1, 2, 1, 3]), [0, -2])];
    "Squeeze all" => |i| [squeeze(i.doubles(&[1, 2, 1]), ..)];
    "Transpose" => |i| [transpose(i.doubles(&[2, 3, 4]), [2, 0, 1])];
    "Transpose computed" => |i| { let (x, perm) = (i.doubles(&[2, 3, 4]), i.other([1i32, 2, 0])); [transpose(x, perm)] };
    "ConjugateTranspose" => |i| { let x = i.doubles(&[2, 3]); [i.op("ConjugateTranspose").input(x).constant([1i32, 0]).finish_output()] };
    "InvertPermutation" => |i| [invert_permutation(i.other([2i32, 0, 1]))];
    "BroadcastTo" => |i| [broadcast_to(i.doubles(&[2, 1]), [3, 2, 4])];
    "BroadcastTo computed" => |i| { let (x, sizes) = (i.doubles(&[2, 1]), i.other([3i32, 2, 4])); [broadcast_to(x, sizes)] };
    "BroadcastArgs" => |i| { let (a, b) = (i.other([2i32, 1]), i.other([3i32])); [broadcast_dynamic_shape(a, b)] };
    "BroadcastGradientArgs" => |i| {
        let (a, b) = (i.other([2i32, 1]), i.other([3i32]));
        i.op("BroadcastGradientArgs").input(a).input(b).finish().outputs()
    };
    "Bitcast" => |i| { let x = i.other([1.0f32, -2.0]); [bitcast(&x, DType::Int32), bitcast(x, DType::UInt8)] };
};

const JOINS: &[Sample] = rows! {
    "ConcatV2" => |i| { let x = [i.doubles(&[2, 1]), i.doubles(&[2, 3])]; [concat(&x, 1)] };
    "ConcatV2 along a computed axis" => |i| {
        let x = [i.doubles(&[2, 3]), i.doubles(&[1, 3]), i.doubles(&[2, 3])];
        let axis = i.other(-2i32);
        [concat(&x, axis)]
    };
    "Concat" => |i| {
        let (x, axis) = ([i.doubles(&[2, 1]), i.doubles(&[2, 3])], i.constant(1i32));
        [i.op("Concat").input(axis).input_list(&x).finish_output()]
    };
    "ConcatOffset" => |i| {
        let sizes = [i.other([2i32, 3]), i.other([2i32, 4])];
        i.op("ConcatOffset").constant(1i32).input_list(&sizes).finish().outputs()
    };
    "Split" => |i| split(i.doubles(&[2, 6]), 3, 1);
    "Split used in part" => |i| { let parts = split(i.doubles(&[2, 6]), 3, 1); [parts[1].clone()] };
    "SplitV" => |i| split_sizes(i.doubles(&[2, 6]), &[1, -1, 2], 1);
    "Pack" => |i| { let x = [i.doubles(&[2, 3]), i.doubles(&[2, 3])]; [stack(&x, 0), stack(&x, 1), stack(&x, -1)] };
    "Unpack" => |i| unstack_into(i.doubles(&[2, 3]), 3, 1);
    "Unpack used in part" => |i| { let parts = unstack_into(i.doubles(&[2, 3]), 2, 0); [parts[1].clone()] };
    "ParallelConcat" needs Shapes but not_numerical => |i| {
        let x = [i.other(shaped(vec![1.0f64, 2.0], &[1, 2])), i.other(shaped(vec![3.0f64, 4.0], &[1, 2]))];
        [i.op("ParallelConcat").input_list(&x).attr("shape", PartialShape::from([2, 2])).finish_output()]
    };
};

const PARTS: &[Sample] = rows! {
    "Slice" => |i| [slice(i.doubles(&[3, 4]), [1, 0], [2, -1])];
    "Slice computed" => |i| {
        let (x, begin, size) = (i.doubles(&[3, 4]), i.other([1i32, 2]), i.other([2i32, 1]));
        [slice(x, begin, size)]
    };
    "StridedSlice" => |i| [strided_slice(i.doubles(&[5, 4, 3]), &[(1..4).into(), Index::Ellipsis, Index::At(-1)])];
    "StridedSlice backwards" => |i| {
        let back = Index::Range { begin: None, end: Some(0), stride: -2 };
        [strided_slice(i.doubles(&[6, 2]), &[back, Index::NewAxis, Index::ALL])]
    };
    "StridedSlice long" => |i| {
        let x = i.doubles(&[5, 2]);
        let [begin, end, strides] = [i.other([1i64]), i.other([5i64]), i.constant([2i64])];
        [i.op("StridedSlice").input(x).input(begin).input(end).input(strides).finish_output()]
    };
    "StridedSliceGrad" => |i| {
        let dy = i.doubles(&[2, 3]);
        let builder = i.op("StridedSliceGrad").constant([5i32, 3]).constant([1i32]).constant([5i32]);
        [builder.constant([2i32]).input(dy).finish_output()]
    };
    "TensorStridedSliceUpdate" => |i| {
        let (x, value) = (i.doubles(&[5, 3]), i.doubles(&[2, 1]));
        let builder = i.op("TensorStridedSliceUpdate").input(x).constant([1i32]).constant([5i32]);
        [builder.constant([2i32]).input(value).finish_output()]
    };
    "Gather" => |i| {
        let (x, at) = (i.doubles(&[4, 3]), i.other([3i32, 0, 3]));
        [i.op("Gather").input(x).input(at).finish_output()]
    };
    "GatherV2" => |i| { let (x, at) = (i.doubles(&[4, 3]), i.other([3i32, 0, 3])); [gather(x, at)] };
    "GatherV2 of a table" => |i| {
        let (x, at) = (i.doubles(&[4, 3]), i.other(shaped(vec![3i64, 0, 3, 1], &[2, 2])));
        [gather(x, at)]
    };
    "GatherV2 of one" => |i| { let (x, at) = (i.doubles(&[4, 3]), i.other(2i32)); [gather(x, at)] };
    "GatherV2 along the last axis" needs Ranks => |i| {
        let (x, at) = (i.doubles(&[2, 4, 3]), i.other(shaped(vec![2i32, 0, 2, 1], &[2, 2])));
        [gather_along(x, at, -1)]
    };
    "GatherV2 within batches" needs Ranks => |i| {
        let (x, at) = (i.doubles(&[2, 4, 3]), i.other(shaped(vec![2i32, 0, 2, 1, 1, 3], &[2, 3])));
        [gather_batches(x, at, 1, 1)]
    };
    "GatherNd" => |i| {
        let (x, at) = (i.doubles(&[3, 4, 2]), i.other(shaped(vec![2i32, 0, 1, 3, 2, 0], &[3, 2])));
        [gather_nd(x, at)]
    };
    "GatherNd long" => |i| {
        let (x, at) = (i.doubles(&[3, 4]), i.other(shaped(vec![2i64, 0, 1, 3], &[2, 2])));
        [gather_nd(x, at)]
    };
    "ScatterNd" => |i| {
        let (updates, at) = (i.doubles(&[3, 2]), i.other(shaped(vec![2i32, 0, 2], &[3, 1])));
        [scatter_nd(at, updates, i.constant([4i32, 2]))]
    };
    "TensorScatterUpdate" => |i| {
        let (x, updates) = (i.doubles(&[4, 2]), i.doubles(&[2, 2]));
        let at = i.other(shaped(vec![2i32, 0], &[2, 1]));
        [tensor_scatter_update(x, at, updates)]
    };
    "TensorScatterAdd" => |i| {
        let (x, updates) = (i.doubles(&[4, 2]), i.doubles(&[3, 2]));
        let at = i.other(shaped(vec![2i32, 0, 2], &[3, 1]));
        [tensor_scatter_add(x, at, updates)]
    };
    "ScatterNdNonAliasingAdd" => |i| {
        let (x, updates) = (i.doubles(&[4, 2]), i.doubles(&[3, 2]));
        let at = i.other(shaped(vec![2i32, 0, 2], &[3, 1]));
        [scatter_nd_non_aliasing_add(x, at, updates)]
    };
    "TensorScatterSub" => |i| {
        let (x, updates) = (i.doubles(&[4, 2]), i.doubles(&[3, 2]));
        let at = i.other(shaped(vec![2i32, 0, 2], &[3, 1]));
        [tensor_scatter_sub(x, at, updates)]
    };
    "TensorScatterMin" => |i| {
        let (x, updates) = (i.doubles(&[4, 2]), i.doubles(&[3, 2]));
        let at = i.other(shaped(vec![2i32, 0, 2], &[3, 1]));
        [tensor_scatter_min(x, at, updates)]
    };
    "TensorScatterMax" => |i| {
        let (x, updates) = (i.doubles(&[4, 3]), i.doubles(&[3]));
        let at = i.other(shaped(vec![2i32, 0, 2, 1, 3, 2], &[3, 2]));
        [tensor_scatter_max(x, at, updates)]
    };
    "OneHot" => |i| { let at = i.other([2i32, 0, 9]); [one_hot(&at, 3, DType::Float32), one_hot_with(at, 4, 2.0f64, -1.0f64, 0)] };
    "Tile" => |i| [tile(i.doubles(&[2, 3]), [3, 2])];
    "Tile computed" needs Ranks => |i| { let (x, times) = (i.doubles(&[2, 3]), i.other([3i32, 2])); [tile(x, times)] };
    "Tile to repeat" needs Ranks => |i| [repeat(i.doubles(&[2, 3]), 2, 0)];
    "Pad" => |i| [pad(i.doubles(&[2, 3]), [[1, 0], [0, 2]])];
    "Pad computed" => |i| {
        let (x, rows) = (i.doubles(&[2, 3]), i.other(shaped(vec![1i32, 0, 0, 2], &[2, 2])));
        [pad(x, &rows)]
    };
    "PadV2" => |i| { let x = i.doubles(&[2, 3]); [pad_with(x, [[1, 0], [0, 2]], i.constant(7.0f64))] };
    "MirrorPad" => |i| { let x = i.doubles(&[3, 4]); [mirror_pad(&x, [[1, 2], [0, 3]], Mirror::Reflect), mirror_pad(&x, [[3, 0], [1, 1]], Mirror::Symmetric)] };
    "MirrorPadGrad" => |i| {
        let x = i.doubles(&[6, 7]);
        let rows = i.constant(shaped(vec![1i32, 2, 0, 3], &[2, 2]));
        [i.op("MirrorPadGrad").input(x).input(rows).attr("mode", "REFLECT").finish_output()]
    };
    "Where" => |i| { let x = i.doubles(&[2, 3]); [where_true(greater(&x, i.constant(0.0f64)))] };
    "Where, to mask" => |i| {
        let (x, mask) = (i.doubles(&[3, 2]), i.constant([true, false, true]));
        [boolean_mask(x, mask)]
    };
    "Where, to mask entries" => |i| {
        let (x, mask) = (i.doubles(&[2, 2, 3]), i.constant(shaped(vec![true, false, true, true], &[2, 2])));
        [boolean_mask(x, mask)]
    };
    "Unique" => |i| { let (y, at) = unique(i.other([3i32, 1, 3, 2])); [y, at] };
    "UniqueV2" => |i| {
        let x = i.other(shaped(vec![3i32, 1, 3, 1], &[2, 2]));
        i.op("UniqueV2").input(x).constant([0i64]).finish().outputs()
    };
    "UniqueWithCounts" => |i| { let (y, at, counts) = unique_with_counts(i.other([3i32, 1, 3, 2])); [y, at, counts] };
    "ListDiff" => |i| { let (x, y) = (i.other([3i32, 1, 2]), i.other([1i32])); let (out, at) = setdiff1d(x, y); [out, at] };
    "LowerBound" => |i| bounds(i, Side::Left);
    "UpperBound" => |i| bounds(i, Side::Right);
};

fn bounds(i: &mut Inputs<'_>, side: Side) -> Vec<Output> {
    let sorted = i.other(shaped(vec![1.0f32, 2.0, 2.0, 3.0], &[1, 4]));
    let values = i.other(shaped(vec![2.0f32, 0.0, 9.0], &[1, 3]));
    vec![searchsorted(sorted, values, side)]
}

const MOVES: &[Sample] = rows! {
    "Reverse" => |i| { let x = i.doubles(&[2, 3]); let dims = i.constant([false, true]); [i.op("Reverse").input(x).input(dims).finish_output()] };
    "ReverseV2" => |i| [reverse(i.doubles(&[2, 3]), [-1])];
    "ReverseV2 computed" => |i| { let (x, axes) = (i.doubles(&[2, 3]), i.other([0i32, 1])); [reverse(x, axes)] };
    "ReverseSequence" => |i| { let (x, lengths) = (i.doubles(&[3, 4]), i.other([2i64, 4, 1])); [reverse_sequence(x, lengths, 1, 0)] };
    "Roll" => |i| [roll(i.doubles(&[3, 4]), [1, -2], [0, 1])];
    "Roll one axis" => |i| [roll(i.doubles(&[5]), 2, 0)];
    "MatrixDiag" => |i| { let x = i.doubles(&[2, 3]); [i.op("MatrixDiag").input(x).finish_output()] };
    "MatrixDiagPart" => |i| { let x = i.doubles(&[2, 3, 4]); [i.op("MatrixDiagPart").input(x).finish_output()] };
    "MatrixSetDiag" => |i| { let (x, d) = (i.doubles(&[2, 3, 4]), i.doubles(&[2, 3])); [i.op("MatrixSetDiag").input(x).input(d).finish_output()] };
    "MatrixBandPart" => |i| [matrix_band_part(i.doubles(&[2, 3, 4]), 1, -1)];
    "MatrixDiagV3" => |i| [matrix_diag(i.doubles(&[2, 3]))];
    "MatrixDiagV3 band" needs Shapes => |i| {
        let x = i.doubles(&[2, 3]);
        let builder = i.op("MatrixDiagV3").input(x).constant([-1i32, 0]).constant(3i32).constant(4i32);
        [builder.constant(0.5f64).finish_output()]
    };
    "MatrixDiagV2" needs Shapes => |i| {
        let x = i.doubles(&[2, 3]);
        let builder = i.op("MatrixDiagV2").input(x).constant([-1i32, 0]).constant(3i32).constant(4i32);
        [builder.constant(0.5f64).finish_output()]
    };
    "MatrixDiagPartV2" needs Shapes => |i| {
        let x = i.doubles(&[3, 4]);
        [i.op("MatrixDiagPartV2").input(x).constant([-1i32, 1]).constant(0.5f64).finish_output()]
    };
    "MatrixSetDiagV2" needs Shapes => |i| {
        let (x, d) = (i.doubles(&[3, 4]), i.doubles(&[3, 3]));
        [i.op("MatrixSetDiagV2").input(x).input(d).constant([-1i32, 1]).finish_output()]
    };
    "MatrixDiagPartV3" => |i| [matrix_diag_part(i.doubles(&[2, 3, 4]))];
    "MatrixDiagPartV3 band" needs Shapes => |i| {
        let x = i.doubles(&[3, 4]);
        [i.op("MatrixDiagPartV3").input(x).constant([-1i32, 1]).constant(0.5f64).finish_output()]
    };
    "MatrixSetDiagV3" => |i| { let (x, d) = (i.doubles(&[2, 3, 4]), i.doubles(&[2, 3])); [matrix_set_diag(x, d)] };
    "MatrixSetDiagV3 band" needs Shapes => |i| {
        let (x, d) = (i.doubles(&[3, 3]), i.doubles(&[2, 3]));
        [i.op("MatrixSetDiagV3").input(x).input(d).constant([0i32, 1]).attr("align", "LEFT_LEFT").finish_output()]
    };
    "Diag" => |i| [tensor_diag(i.doubles(&[2, 3]))];
    "DiagPart" => |i| [tensor_diag_part(i.doubles(&[2, 3, 2, 3]))];
    "SpaceToDepth" => |i| [space_to_depth(i.doubles(&[1, 4, 2, 3]), 2)];
    "DepthToSpace" => |i| [depth_to_space(i.doubles(&[1, 2, 1, 8]), 2)];
    "SpaceToBatchND" => |i| [space_to_batch_nd(i.doubles(&[1, 3, 4, 2]), [2, 2], [[1, 0], [0, 0]])];
    "BatchToSpaceND" => |i| [batch_to_space_nd(i.doubles(&[4, 2, 2, 1]), [2, 2], [[0, 1], [0, 0]])];
    "SpaceToBatch" => |i| {
        let x = i.doubles(&[1, 3, 4, 2]);
        let rows = i.constant(shaped(vec![1i32, 0, 0, 0], &[2, 2]));
        [i.op("SpaceToBatch").input(x).input(rows).attr("block_size", 2i64).finish_output()]
    };
    "BatchToSpace" => |i| {
        let x = i.doubles(&[4, 2, 2, 1]);
        let rows = i.constant(shaped(vec![0i32, 1, 0, 0], &[2, 2]));
        [i.op("BatchToSpace").input(x).input(rows).attr("block_size", 2i64).finish_output()]
    };
    "ExtractImagePatches" => |i| {
        let x = i.doubles(&[2, 4, 3, 2]);
        [extract_image_patches(x, [3, 2], [1, 2], [1, 1], crate::nn::Padding::Same)]
    };
    "ExtractImagePatches dilated" => |i| {
        let x = i.doubles(&[1, 5, 5, 1]);
        [extract_image_patches(x, [2, 2], [1, 1], [2, 2], crate::nn::Padding::Valid)]
    };
    // Without the sizes TensorFlow infers four axes where there are five.
    "ExtractVolumePatches" needs Shapes => |i| {
        let x = i.doubles(&[2, 3, 4, 3, 2]);
        [extract_volume_patches(x, [2, 3, 2], [2, 1, 2], crate::nn::Padding::Same)]
    };
    "ExtractVolumePatches valid" needs Shapes => |i| {
        let x = i.doubles(&[1, 3, 4, 3, 1]);
        [extract_volume_patches(x, [2, 2, 3], [1, 2, 1], crate::nn::Padding::Valid)]
    };
    "DynamicPartition" => |i| { let (x, to) = (i.doubles(&[4, 2]), i.other([1i32, 0, 1, 1])); dynamic_partition(x, to, 2) };
    "DynamicPartition used in part" => |i| {
        let (x, to) = (i.doubles(&[4, 2]), i.other([1i32, 0, 1, 1]));
        [dynamic_partition(x, to, 2)[1].clone()]
    };
    "DynamicStitch" => |i| {
        let x = [i.doubles(&[2, 2]), i.doubles(&[2])];
        let at = [i.other([2i32, 0]), i.other(1i32)];
        [dynamic_stitch(&at, &x)]
    };
    "ParallelDynamicStitch" => |i| {
        let x = [i.doubles(&[2, 2]), i.doubles(&[1, 2])];
        let at = [i.other([2i32, 0]), i.other([1i32])];
        [i.op("ParallelDynamicStitch").input_list(&at).input_list(&x).finish_output()]
    };
    "Sum of a padded part" => |i| {
        let x = i.doubles(&[3, 4]);
        let doubled = mul(&x, cast(size(x.as_output()), DType::Float64));
        [reduce_sum(pad(slice(doubled, [1, 1], [2, 2]), [[0, 1], [1, 0]]), 0)]
    };
};

pub(super) static SAMPLES: &[&[Sample]] = &[PLAIN, SHAPES, JOINS, PARTS, MOVES];
