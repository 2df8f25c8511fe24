"""NaN, infinities, rows without elements, and inputs that are refused, of mathematical, neural and image operations: writes
`boundaries.json.gz`.

    python make_boundaries.py      (tensorflow 2.21.0)

Left out are inputs on which TensorFlow itself crashes (boxes with NaN in the gradients of `CropAndResize`, infinite ranges of
`HistogramFixedWidth`) or does not end (`AdjustHue` of infinities, soft suppression of boxes
with NaN), results that depend on the width of the CPU's vectors (`SegmentMax` of wide rows with NaN), and complex
factors, of which TensorFlow returns zeros where those of real numbers are NaN.
"""

import os

# As on most machines: without oneDNN, `MaxPool3D` treats NaN in a way that depends on the number of channels.
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"

from recorder import Recorder, encode, np, tf

run = Recorder()
F, D, H, I, N = np.float32, np.float64, np.float16, np.int64, np.int32
C, Z = np.complex64, np.complex128
nan, inf = float("nan"), float("inf")
NONE = np.zeros(0, F)


def zeros(*shape, dtype=F):
    return np.zeros(shape, dtype)


# Colors, whose hues are turned by next to nothing.
for color in ([1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1], [0, 0, 0], [1, 0, 1e-9], [1, 1e-9, 0], [0.2, 0.4, 0.9]):
    for delta in (-1e-9, 1e-9, -1e-30, 0, 1, -1, -1e-7, 0.5, 2):
        run("AdjustHue", F([[color]]), F(delta), tolerance=1e-6)
    run("RGBToHSV", F([color]), tolerance=1e-6)
for hue in (0, 1, 1 - 1e-7, 1 / 6, 0.5):
    run("HSVToRGB", F([[hue, 1, 1], [hue, 0.5, 1]]), tolerance=1e-6)

    for scale in (0, -1, 2, nan, inf, -inf):
        run("AdjustSaturation", F([[color]]), F(scale), tolerance=1e-6)
for value in (nan, inf):
    run("AdjustContrastv2", F([[[value], [1]]]), F(2))

# Rows without elements.
for op in ("SegmentSum", "SegmentMean", "SegmentProd", "SegmentMax", "SegmentMin"):
    for ids in ([0, 0, 1], [0, 0, 3], [1, 0, 3], [-1, 0, 3]):
        run(op, zeros(3, 0), I(ids))
    run(op, zeros(3, 2, 0, dtype=N), N([0, 0, 1]))
    run(op, zeros(0, 2), I([]))
    run(op, zeros(0, 0), I([]))
for op in ("UnsortedSegmentSum", "UnsortedSegmentProd", "UnsortedSegmentMax", "UnsortedSegmentMin"):
    for ids in ([0, 0, 1], [0, -1, 1], [0, 0, 5]):
        run(op, zeros(3, 0), I(ids), N(3))
        run(op, F([1, 2, 3]), I(ids), N(3))
    run(op, zeros(0, 2), I([]), N(2))
    run(op, zeros(0, 0), zeros(0, 0, dtype=I), N(2))
    run(op, zeros(3, 0), I([0, -1, 1]), N(0))
for op in ("SparseSegmentSum", "SparseSegmentMean", "SparseSegmentSqrtN"):
    for indices in ([0, 0, 1], [0, 0, 9]):
        run(op, zeros(3, 0), N(indices), N([0, 0, 1]))
    run(op + "WithNumSegments", zeros(3, 0), N([0, 0, 1]), N([0, 0, 1]), N(4))
    run(op + "Grad", zeros(3, 0), N([0, 0, 1]), N([0, 0, 1]), N(4))
    run(op + "GradV2", zeros(3, 0), N([0, 0, 1]), N([0, 0, 1]), N(4))
    run(op, F([[nan], [1], [2]]), N([0, 1, 2]), N([0, 0, 1]))
for op in ("InplaceAdd", "InplaceSub", "InplaceUpdate"):
    run(op, zeros(3, 0), N([0, 2]), zeros(2, 0))
for op in ("TensorScatterAdd", "TensorScatterUpdate"):
    run(op, zeros(3, 0), I([[0], [2]]), zeros(2, 0))
run("ScatterNd", I([[0], [2]]), zeros(2, 0), I([3, 0]))
run("GatherV2", zeros(3, 0), I([0, 2]), N(0))
run("GatherV2", zeros(0, 3), I([0, 2]), N(1))
run("GatherNd", zeros(3, 0), I([[0], [2]]))
run("Multinomial", zeros(2, 0), N(3))

# Extremes.
ROWS = ([1, nan, 3], [nan, 1, 3], [1, 3, nan], [3, nan, 1], [nan] * 3, [nan], [inf, nan], [-inf, nan], [-inf], [inf])
for row in ROWS:
    for dtype in (F, D, H):
        for end in ("Max", "Min"):
            run("Segment" + end, dtype(row), I([0] * len(row)))
            run("UnsortedSegment" + end, dtype(row), I([0] * len(row)), N(1))
            run("UnsortedSegment" + end, np.stack([dtype(row)] * 9, 1), I([0] * len(row)), N(1))
            run(end, dtype(row), N([0]))
            run("Arg" + end, dtype(row), N(0))
            run("Arg" + end, np.stack([dtype(row)] * 2, 1), N(0))
    run("Maximum", F(row), F(row[::-1]))
    run("Minimum", F(row), F(row[::-1]))
run("SegmentMax", F([[1, 5], [nan, nan], [3, 2]]), I([0, 0, 1]))
for k in (1, 3):
    run("InTopKV2", F([[1, nan, 3], [1, 2, inf], [1, 2, -inf], [1, 2, 3]]), N([0, 0, 1, 2]), N(k))
run("ClipByValue", F([nan, 1]), F(0), F(1))
for row in ([-inf, -inf], [-inf, 1]):
    run("Softmax", F([row]), tolerance=1e-6)
    run("LogSoftmax", F([row]), tolerance=1e-6)
for op in ("LowerBound", "UpperBound"):
    run(op, F([[1, 2, 3]]), F([[nan]]))

# Counts.
for dtype in (F, D):
    for values in ([nan, 1], [inf, -inf], [1, nan], []):
        run("HistogramFixedWidth", dtype(values), dtype([0, 2]), N(2))
    run("HistogramFixedWidth", dtype([1]), dtype([nan, 1]), N(2))
    run("HistogramFixedWidth", dtype([1]), dtype([2, 1]), N(2))
    run("Bucketize", dtype([nan, 1, -1, 11, inf, -inf]), boundaries=[0.0, 10.0])
    run("Bucketize", dtype([nan]), boundaries=[])
for op in ("Bincount", "DenseBincount"):
    run(op, N([1, -1]), N(3), NONE)
for binary in (False, True):
    run("SparseBincount", I([[0], [2]]), I([3, -3]), I([3]), I(5), NONE, binary_output=binary)
    run("SparseBincount", I([[0], [2]]), N([-1, 3]), I([3]), N(0), NONE, binary_output=binary)
    run("RaggedBincount", I([0, 2]), I([3, -3]), I(5), NONE, binary_output=binary)

# Matrices.
MATRICES = (
    [[nan, 0], [0, 1]],
    [[1, 0], [nan, 1]],
    [[1, nan], [0, 1]],
    [[1, 0], [0, nan]],
    [[inf, 0], [0, 1]],
    [[-inf, 0], [0, 1]],
    [[1, 0], [0, inf]],
    [[1, 2], [inf, 1]],
    [[1, inf], [0, 1]],
    [[1, 2], [2, 4]],
    [[0, nan], [0, 1]],
    [[0, 0], [0, 0]],
    [[inf, 0], [0, 0]],
)
for dtype in (F, D, C, Z):
    real = dtype in (F, D)
    for matrix in MATRICES:
        matrix, side = dtype(matrix), dtype([[1], [1]])
        if real or not np.isinf(matrix).any():
            run("MatrixDeterminant", matrix)
        run("LogMatrixDeterminant", matrix, tolerance=1e-6)
        if real:
            run("MatrixInverse", matrix)
            run("MatrixSolve", matrix, side)
            run("Lu", matrix)
            for lower in (False, True):
                run("MatrixTriangularSolve", matrix, side, lower=lower)
            run("MatrixSolveLs", matrix, side, D(0.0), tolerance=1e-6)
            run("MatrixSolveLs", matrix, side, D(1.0), tolerance=1e-6)
        if real and not np.isfinite(matrix).all():
            run("Svd", matrix)
            run("Svd", matrix, compute_uv=False, keep=[0])
            run("Svd", matrix, full_matrices=True)
    for matrix in (MATRICES[:4] + MATRICES[9:10] + ([[-1, 0], [0, 1]], [[1, 0], [2, nan]], [[4, nan], [2, 5]], [[1, 0, 0], [0, nan, 0], [0, 0, -1]])) if real else ():
        case = run("Cholesky", dtype(matrix))
        # TensorFlow leaves the upper triangle of what is no factor as its memory was.
        factor = np.frombuffer(bytes.fromhex(case["outputs"][0]["bytes"]), dtype).reshape(np.shape(matrix))
        case["outputs"] = [encode(np.tril(factor))]
    if real:
        run("Svd", dtype([[1, 2, nan], [1, 1, 1]]))
        run("Svd", dtype([[nan, 1], [1, 1], [1, 1]]), full_matrices=True)
        run("Qr", dtype([[1, 0], [nan, 1]]))
    run("Qr", dtype([[1, 0], [0, nan]]))
    run("SelfAdjointEigV2", dtype([[1, 0], [nan, 1]]))
    run("SelfAdjointEigV2", dtype([[nan, 0], [0, 1]]))
    run("Eig", dtype([[1, 0], [nan, 1]]), Tout=tf.as_dtype(np.result_type(dtype, C)))
    run("BandedTriangularSolve", dtype([[nan, 1], [1, 1]]), dtype([[1], [1]]))
    run("BandedTriangularSolve", dtype([[1, 0], [1, 1]]), dtype([[1], [1]]))
run("TridiagonalSolve", F([[1, 1], [nan, 1], [1, 1]]), F([[1], [1]]))
run("MatrixSquareRoot", C([[nan, 0], [0, 1]]))

# Special functions.
for op in ("I0", "I1", "I0e", "I1e", "J0", "J1", "K0", "K1", "K0e", "K1e", "Y0", "Y1"):
    for dtype in (F, D, H):
        run("Bessel" + op, dtype([nan, inf, -inf, 0, -0.0]))

for x in (1e-300, -1e-30, 1e-7, -0.01, 0.5, 0.999, 1.0):
    run("BesselI1", D([x]), tolerance=1e-14 * abs(x))
    run("BesselI1e", D([x]), tolerance=1e-14 * abs(x))

SHAPES = [0, 0, 1, -1, inf, 1, nan, 1, 2, 0, -inf, -1, nan, 1e-3, inf]
PLACES = [0, 1, 0, 1, 1, inf, 1, nan, 3, inf, 1, 0.5, 0, inf, inf]
for dtype in (F, D):
    for op in ("Igamma", "Igammac", "IgammaGradA", "Polygamma", "Zeta"):
        run(op, dtype(SHAPES), dtype(PLACES), tolerance=1e-6)

# Windows.
WINDOWS = ([nan, 1, 2, 3], [1, nan, 2, 3], [3, 2, 1, nan], [3, nan, 1, 2], [nan] * 4, [-inf] * 4, [-inf, nan, -inf, nan])
move = dict(strides=[1, 1, 1, 1], rates=[1, 1, 1, 1], padding="VALID")
slide = dict(ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="VALID")
volume = dict(ksize=[1, 1, 2, 2, 1], strides=[1, 1, 2, 2, 1], padding="VALID")
for window in WINDOWS:
    for dtype in (F, D, H):
        x, one, filters = dtype(window).reshape(1, 2, 2, 1), np.ones((1, 1, 1, 1), dtype), zeros(2, 2, 1, dtype=dtype)
        run("Dilation2D", x, filters, **move)
        run("Dilation2DBackpropInput", x, filters, one, **move)
        run("Dilation2DBackpropFilter", x, filters, one, **move)
        # Without oneDNN, `float16` has a least finite number, too.
        if dtype is not H or np.isfinite(x).any():
            run("MaxPool", x, **slide)
            run("MaxPool", np.repeat(x, 9, 3), **slide)
        run("MaxPoolGrad", x, tf.raw_ops.MaxPool(input=x, **slide), one, **slide)
        run("MaxPoolWithArgmax", x, **slide)
        run("MaxPoolWithArgmax", x[:0], **slide)
        run("MaxPoolWithArgmax", x[..., :0], **slide)
        if dtype is not H:
            ratio = [1.0, 1.9, 1.9, 1.0]
            run("FractionalMaxPool", x, pooling_ratio=ratio, seed=1, seed2=1, deterministic=True, keep=[0])
    for channels in (1, 9):
        x = np.repeat(F(window).reshape(1, 1, 2, 2, 1), channels, 4)
        pooled = tf.raw_ops.MaxPool3D(input=x, **volume)
        run("MaxPool3D", x, **volume)
        run("MaxPool3DGrad", x, pooled, tf.ones_like(pooled), **volume)

# Boxes.
image = np.arange(9, dtype=F).reshape(1, 3, 3, 1)
for box in ([nan, 0, 1, 1], [0, 0, inf, 1], [-inf, 0, 1, 1], [0, nan, 1, 1], [0, 0, 1, 1]):
    for size in ([2, 2], [1, 1]):
        for method in ("bilinear", "nearest"):
            run("CropAndResize", image, F([box]), N([0]), N(size), method=method)
    run("CropAndResize", image, F([[0, 0, 1, 1], box]), N([5, 0]), N([2, 2]))
    run("CropAndResize", image, F([box]), N([0]), N([0, 2]))

for op in ("ResizeBilinear", "ResizeNearestNeighbor", "ResizeArea", "ResizeBicubic"):
    for shape in ((0, 3, 3, 1), (1, 3, 3, 0), (1, 0, 3, 1)):
        run(op, zeros(*shape), N([2, 2]))
run("ScaleAndTranslate", zeros(1, 3, 3, 0), N([2, 2]), F([1, 1]), F([0, 0]))
run("ResizeBilinearGrad", zeros(1, 2, 2, 0), zeros(1, 3, 3, 0))
run("ResizeNearestNeighborGrad", zeros(1, 2, 2, 0), N([3, 3]))
BOXES = F([[0, 0, 1, 1], [0, 0, 1, 0.9], [2, 2, 3, 3]])
for first in ([nan, 0, 1, 1], [0, 0, nan, 1], [0, 0, 1, 1], [0, 0, 0, 0]):
    boxes = np.concatenate([F([first]), BOXES])
    for scores in ([4, 3, 2, 1], [1, 2, 3, 4], [nan, 2, 3, inf], [1, -inf, 3, nan]):
        run("NonMaxSuppressionV3", boxes, F(scores), N(4), F(0.5), F(0))
        if np.isfinite(first).all():
            run("NonMaxSuppressionV2", boxes, F(scores), N(4), F(0.5))
            run("NonMaxSuppressionV5", boxes, F(scores), N(4), F(0.5), F(0), F(0.5), tolerance=1e-5)

# Labels.
three = zeros(2, 2, 3)
for ignore in (False, True):
    for indices, values, lengths in (
        ([], [], [2, 2]),
        ([[0, 0]], [0], [2, 2]),
        ([[0, 0]], [0], [2, 0]),
        ([[1, 0]], [0], [2, 2]),
        ([[0, 0], [1, 0]], [0, 1], [2, 2]),
        ([[0, 0], [1, 0]], [0, 1], [2, 0]),
        ([[0, 0], [1, 0], [1, 1], [1, 2]], [0, 0, 0, 0], [2, 2]),
    ):
        indices = I(indices).reshape(-1, 2)
        run("CTCLoss", three, indices, N(values), N(lengths), ignore_longer_outputs_than_inputs=ignore, tolerance=1e-6)
run("CTCLoss", zeros(2, 0, 3), zeros(0, 2, dtype=I), N([]), N([]))
run("CTCLoss", zeros(0, 1, 3), I([[0, 0]]), N([0]), N([0]))

run("CTCGreedyDecoder", F([[[nan, 1, 0]], [[0, nan, 1]], [[1, 0, nan]]]), N([3]))
for shape in ((0, 1, 3), (2, 0, 3)):
    run("CTCGreedyDecoder", zeros(*shape), zeros(shape[1], dtype=N))

# Equations, whose ellipses only runs can count.
ones = lambda *shape: tf.ones(shape)
for equation, *operands in (
    ("...j,...j->j", ones(2, 3), ones(2, 3)),
    ("...j,...j->j", ones(3), ones(3)),
    ("...j->j", ones(2, 3)),
    ("...j->j", ones(3)),
    ("...j,j->j", ones(2, 3), ones(3)),
    ("...,...->", ones(2), ones(2)),
    ("...->", ones(2)),
    ("...->", ones()),
    ("...->...", ones(2)),
    ("...j,...k->jk", ones(3), ones(2)),
    ("j,...->...j", ones(2), ones(3, 1)),
    ("...j,...j->...j", ones(2, 3), ones(1, 3)),
    ("...j,...j->...j", ones(2, 3), ones(4, 3)),
    ("...ii->...i", ones(2, 3, 3)),
    ("i->ii", ones(2)),
    ("i...,i...->...", ones(2, 3), ones(2, 0)),
    ("ij,jk->ik", ones(2, 0), ones(0, 3)),
):
    run("Einsum", operands, equation=equation)
run.write("boundaries")
