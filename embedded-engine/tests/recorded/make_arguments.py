"""Small operations at the edges of their arguments: NaN, zeros, extreme integers, many axes. Writes `arguments.json.gz`.

    python make_arguments.py    (tensorflow 2.21.0)
"""

from recorder import Recorder, np, tf

run = Recorder()
F = np.float32
I = np.int64
HALF, BRAIN = np.float16, tf.bfloat16.as_numpy_dtype
FLOATS = (F, np.float64, HALF, BRAIN)
nan, inf = float("nan"), float("inf")

# Ranges: integers are exact, floats are computed in their dtype.
ENDS = [(2**53 + 1, 2**53 + 4, 1), (2**63 - 3, 2**63 - 1, 1), (-(2**63), 2**63 - 1, 2**62), (-(2**63), 2**63 - 1, 2**63 - 1)]
ENDS += [(2**63 - 1, -(2**63), -(2**62)), (5, 5, 1), (5, 5, -1), (0, 5, 0), (5, 0, 1), (0, 5, -1), (2**63 - 2, 2**63 - 1, 5), (0, 10, -(2**63)), (10, 0, -(2**63))]
for ends in ENDS:
    run("Range", *(I(end) for end in ends))
for ends in ((2**31 - 3, 2**31 - 1, 1), (-(2**31), 2**31 - 1, 2**30), (2**31 - 1, -(2**31), -(2**30)), (2**31 - 2, 2**31 - 1, 5)):
    run("Range", *(np.int32(end) for end in ends))
ENDS = [(0, 1.2, 0.4), (0, 1, 0.1), (0.5, 2, 0.4), (0, 1, 0.3), (1, 0, -0.1), (0, 2.1, 0.7), (0, 1, 1 / 3), (0, 300, 1), (2048, 2060, 1)]
ENDS += [(nan, 1, 1), (0, nan, 1), (0, 1, nan), (0, 1, inf), (0, 0, inf), (0, 1, -inf), (0, inf, 1), (-inf, 0, 1), (1, 0, 1), (0, 0, 0)]
for dtype in FLOATS:
    for ends in ENDS:
        run("Range", *(np.array(end, dtype) for end in ends))
run("Range", F(0), F(1e30), F(1))
run("Range", F([0, 1]), F(1), F(1))

# Extremes of segments: the later of two rows remains where one is NaN. In wide rows the result of the sorted
# forms depends on vector instructions.
for dtype in FLOATS:
    rows = np.array([1, nan, nan, 1, nan, nan, 0.0, -0.0, -0.0, 0.0, 1, 2, nan, nan, 1, 2, 1, nan, 2, inf, -inf], dtype)
    ids = [0, 0, 1, 1, 2, 3, 4, 4, 5, 5, 6, 6, 6, 7, 7, 7, 8, 8, 8, 9, 10]
    for op in ("Max", "Min"):
        run("Segment" + op, rows, ids)
        run("UnsortedSegment" + op, rows, ids, 12)
        run("UnsortedSegment" + op, np.repeat(rows[:, None], 9, 1), [-1 if at == 5 else at for at in ids], 12)
        run("TensorScatter" + op, np.array([1, nan, 3], dtype), [[0], [1], [2]], np.array([nan, 2, 4], dtype))
run("UnsortedSegmentMax", np.int32([[3, -1], [2, 5], [-7, 0]]), [1, 1, 0], 3)
run("SegmentMin", np.uint8([3, 200, 7]), [0, 0, 2])

# Divisions of integers by 0.
for op in ("Div", "FloorDiv", "Mod", "FloorMod"):
    for dtype in (np.int32, I):
        run(op, dtype([7, -7]), dtype([2, 0]))
        run(op, dtype([7, -7]), dtype(0))

# Many axes.
for rank in (9, 11):
    x = np.arange(2**rank, dtype=F).reshape((2,) * rank)
    run("Transpose", x, list(range(rank))[::-1])
    run("Transpose", x, list(range(1, rank)) + [0])
    run("Transpose", x, [rank - 1] + list(range(1, rank - 1)) + [0])
    run("Split", 3, x, num_split=2)
    run("SplitV", x, [0, 2], 3, num_split=2)
    run("Unpack", x, num=2, axis=3)
    run("Pack", [tf.constant(x), tf.constant(-x)], axis=4)
    run("ConcatV2", [tf.constant(x), tf.constant(-x)], 5)
    run("Slice", x, [1] + [0] * (rank - 1), [1] + [2] * (rank - 1))
    run("StridedSlice", x, [1], [2], [1], shrink_axis_mask=1)
    run("Tile", x, [1, 2] + [1] * (rank - 2))
    run("BroadcastTo", F(3), [2] * rank)
    run("BroadcastTo", F([[1], [2]]), [2] * rank)
    for axes in (list(range(rank)), list(range(0, rank, 2)), [-1]):
        for op in ("Sum", "Max", "Min"):
            run(op, x, axes, keep_dims=axes == [-1])
        run("Mean", x, axes, tolerance=1e-3)
    run("Cumsum", x, 3)
    for y in (x, F(1), F([1, 2]), x[:1]):
        run("AddV2", x, y)
    alternating = np.ones([2 if at % 2 else 1 for at in range(rank)], F)
    run("AddV2", x, alternating)
    run("Equal", x, alternating)
    run("BroadcastTo", alternating, [2] * rank)
    run("SpaceToBatchND", x, [2, 2], [[0, 0], [0, 0]])
    run("GatherV2", x, [1, 0], 3)
    run("Roll", x, 1, 3)
    run("BatchMatMulV2", x % 5, x % 3)
    run("BroadcastGradientArgs", [2] * rank, list(alternating.shape))

# Axes, strides.
run("ReverseV2", F([[1, 2], [3, 4]]), [0, 0])
run("ReverseV2", F([[1, 2], [3, 4]]), [0, -2])
run("ReverseV2", F([[1, 2], [3, 4]]), [1, 0])
for begin, end, stride, masks in ((2, 0, -(2**63), {}), (2, 0, -(2**63), dict(end_mask=1)), (1, 3, 2**63 - 1, {}), (-(2**63), 2**63 - 1, 1, {}), (2**63 - 1, -(2**63), -1, {}), (0, 3, -(2**63), {})):
    run("StridedSlice", F([[1, 2], [3, 4], [5, 6]]), I([begin]), I([end]), I([stride]), **masks)

# Searches.
for dtype in FLOATS:
    for op in ("UpperBound", "LowerBound"):
        run(op, np.array([[1, 2, 3], [2, 2, inf]], dtype), np.array([[nan, 2, 0, 4], [nan, inf, -inf, 2]], dtype))
    x = np.array([nan, 1, nan, 1, nan, 2], dtype)
    for op in ("Unique", "UniqueWithCounts"):
        run(op, x)
        run(op, np.array([0.0, 1, -0.0], dtype))
    for axis in ([], [0]):
        run("UniqueV2", x, np.array(axis, I))
    run("UniqueV2", np.array([[nan, 1], [nan, 1], [0, 1], [0, 1]], dtype), I([0]))
    run("UniqueWithCountsV2", np.array([[nan, 1, 1], [2, 0, 0]], dtype), I([1]))
    run("ListDiff", x, np.array([nan, 1], dtype))
    run("ListDiff", np.array([0.0, 1, -0.0], dtype), np.array([-0.0], dtype))
run("UniqueV2", F([[0, 1], [-0.0, 1]]), I([0]))
run("UpperBound", I([[1, 2, 2, 2**53 + 1]]), I([[2, 2**53]]))

# Shapes of gradients.
for a, b in (([1], [1]), ([1, 2], [1, 2]), ([1, 1], [1]), ([1], []), ([], []), ([2, 1, 3], [1, 3]), ([1, 2, 1], [2, 1]), ([0, 1], [1, 1]), ([2, 3], [3]), ([2, 3], [2, 4]), ([1, 3], [1, 1])):
    for dtype in (np.int32, I):
        run("BroadcastGradientArgs", np.array(a, dtype), np.array(b, dtype))

# Dtypes of indices.
for dtype in (np.int8, np.uint8, np.int32, I):
    run("OneHot", dtype([1, 0, 127]), 3, F(1), F(0))
    run("OneHot", np.array([[2, 0]], dtype), 3, "on", "off", axis=0)
run("OneHot", np.int8([-1, 2]), 3, F(1), F(0))
for dtype in (np.int16, np.int32, I):
    run("GatherV2", F([[1, 2, 3], [4, 5, 6]]), dtype([2, 0]), 1)
    run("GatherV2", F([[1, 2, 3], [4, 5, 6]]), dtype([[2, 0], [1, 1]]), 1, batch_dims=1)
    run("GatherV2", F([1, 2, 3]), dtype([2, -1]), 0)
    run("GatherV2", tf.constant(["a", "b"]), dtype([1]), 0)
    run("GatherNd", F([[1, 2, 3], [4, 5, 6]]), dtype([[1, 2], [0, 0]]))

# Numbers of few bits.
x = F([nan, 1, -inf, inf, -0.0])
g = F([1, 2, 3, 4, 5])
for least, most in ((-6, 6), (0, 0), (nan, 1), (-1, nan), (-1, inf), (1, 1), (2, 1), (-1, -1)):
    for narrow in (False, True):
        run("FakeQuantWithMinMaxVars", x, F(least), F(most), tolerance=1e-6, narrow_range=narrow)
        run("FakeQuantWithMinMaxVarsGradient", g, x, F(least), F(most), narrow_range=narrow)
        run("FakeQuantWithMinMaxVarsPerChannel", x, F([least] * 5), F([most] * 5), tolerance=1e-6, narrow_range=narrow)
        run("FakeQuantWithMinMaxVarsPerChannelGradient", g, x, F([least] * 5), F([most] * 5), narrow_range=narrow)
run("FakeQuantWithMinMaxArgs", x, tolerance=1e-6)
run("FakeQuantWithMinMaxArgsGradient", g, x)

# Distances.
def distance(guess, truth, normalize=False):
    sizes = [1, max(len(guess), len(truth), 1)]
    places = [np.array([[0, at] for at in range(len(side))], I).reshape(-1, 2) for side in (guess, truth)]
    run("EditDistance", places[0], guess, I(sizes), places[1], truth, I(sizes), normalize=normalize)


for dtype in FLOATS + (np.complex64,):
    for guess, truth in (([0.0], [-0.0]), ([nan], [nan]), ([1, 2], [1, 3]), ([nan, 1], [1]), ([], [nan])):
        distance(np.array(guess, dtype), np.array(truth, dtype))
distance(np.array(["a", "b"]), np.array(["b"]), True)
run("EditDistance", I([[0]]), F([1]), I([1]), I([[0]]), F([1]), I([1]))

# Patterns for a whole text.
TEXTS = tf.constant(["a", "b", "ab", "ba", "a\n", "\na", "aa", ""])
for pattern in ("a)(?:b", "(?:a", "a|b", "(?i)A", "^a$", "a\n", "(?m)a$", "a*?", "(a|ab)(b|c)?", "(?P<x>a)b", "", "a\\z", "a$\n", "(?m)a$\n", "a # c", "a\\", ")", "(?s).", "."):
    run("StaticRegexFullMatch", TEXTS, pattern=pattern)
    run("RegexFullMatch", TEXTS, pattern)

# Repeated axes and sizes.
x = F([[1, 2], [3, 4]])
for op in ("Sum", "Max", "Min", "Mean", "Prod", "Any", "All"):
    for axes in ([0, 0], [0, -2], [1, 0], [-1]):
        run(op, x > 2 if op[0] == "A" else x, axes)
for sizes in ([-1, -1], [-1, 2], [2, -1], [0, 2], [1, -2], [3, -1], [1, 2]):
    run("SplitV", F([1, 2]), sizes, 0, num_split=2)
run("SplitV", F([]), [-1, -1], 0, num_split=2)
run("SplitV", F([1, 2]), [2, -1, -1], 0, num_split=3)
for shapes in (([2, 3], [2, 4]), ([2, 3], [5, 3]), ([2, 3], [2, 3, 1])):
    for axis in (0, 1, -1, 2, -3):
        run("ConcatOffset", axis, [tf.constant(shape) for shape in shapes])
for permutation in ([1, 1], [1, 0], [0, 2], [-1, 0], []):
    run("InvertPermutation", np.int32(permutation))
for shift in (4, -4, 0):
    run("Roll", F([1, 2, 3]), I(shift), 0)
run("Fill", [-1], F(1))
run("OneHot", [0], -1, F(1), F(0))

# Other ranges.
for starts, limits, deltas in (([2**53 + 1], [2**53 + 4], [1]), ([-(2**63)], [2**63 - 1], [2**62]), ([5, 0], [0, 5], [-2, 2]), ([0], [5], [0]), ([0], [5], [-1]), ([2**63 - 1], [-(2**63)], [-(2**62)])):
    run("RaggedRange", I(starts), I(limits), I(deltas))
for dtype in (F, np.float64):
    for starts, limits, deltas in (([0], [1.2], [0.4]), ([0], [2.1], [0.7]), ([1], [0], [-0.1]), ([0], [1], [0.1]), ([0], [1], [-1]), ([0], [1], [0])):
        run("RaggedRange", dtype(starts), dtype(limits), dtype(deltas))
    for start, stop, count in ((0, 1, 4), (0, 1, 7), (1, 3e38, 4), (nan, 3, 3), (0, 1, 1), (0.1, 0.7, 7), (0, inf, 3), (5, -5, 11)):
        for index in (np.int32, I):
            run("LinSpace", dtype(start), dtype(stop), index(count))
run("LinSpace", F(0), F(1), np.int32(0))

# Dtypes of axes and positions.
for dtype in (np.int16, np.int32, I):
    run("StridedSlice", F([1, 2, 3]), dtype([0]), dtype([2]), dtype([1]))
for dtype in (np.int32, I):
    run("ArgMax", x, dtype(0))
    run("ArgMin", x, dtype(-1))
for dtype in (tf.int16, tf.uint16, tf.int32, tf.int64):
    run("ArgMax", x, 0, output_type=dtype)

# NaN.
nans = F([[nan, 1], [1, nan], [nan, nan], [-0.0, 0.0]])
for op in ("Max", "Min", "ArgMax", "ArgMin", "Sum", "Prod"):
    run(op, nans, 1)
for op in ("Maximum", "Minimum"):
    run(op, F([nan, 1, nan]), F([1, nan, nan]))
for op in ("Relu", "Relu6", "Sign", "Elu", "Selu"):
    run(op, F([nan, -0.0, 7]))
for least, most in ((0, 2), (nan, 2), (0, nan), (3, 2)):
    run("ClipByValue", F([nan, 1, 5, inf]), F(least), F(most))
    run("ClipByValue", F([nan, 1, 5, inf]), F([least] * 4), F([most] * 4))
    run("ClipByValue", HALF([nan, 1, 5, inf]), HALF(least), HALF(most))
run("Bucketize", F([nan, 1, 0, 5, inf, -inf, -0.0]), boundaries=[0.0, 1.0, 2.0])
run("HistogramFixedWidth", F([1, 0, 5, inf, -inf]), F([0, 4]), np.int32(4))
run("InTopKV2", F([[nan, 1, 3], [1, 2, 3]]), np.int32([1, 2]), np.int32(1))
run("ApproximateEqual", F([nan, 1, inf]), F([nan, 1, inf]))
run("DynamicStitch", [tf.constant([0, 0])], [tf.constant([1.0, 2.0])])
run("Bincount", [1, 2, -1], 3, F([]))
run.write("arguments")
