"""Edges of operations on sparse and ragged tensors, sets, text, summaries, ranges, and NaN: writes `edges.json.gz`.

    python make_edges.py      (tensorflow 2.21.0)
"""

from recorder import Recorder, np, quantized, tf

run = Recorder()
F = np.float32
D = np.float64
I = np.int64
N = np.int32
NAN, INF = float("nan"), float("inf")


def strings(*values):
    return tf.constant(list(values), tf.string)


def column(values):
    return I(values).reshape(-1, 1)


# Sums of sparse tensors: the threshold is for values that both have.
for a, b, threshold in (
    ([(0, 0.1), (1, 5)], [(1, -4.95), (2, NAN)], 0.2),
    ([(0, NAN)], [(0, 1)], 0.2),
    ([(0, NAN)], [(0, 1)], 0),
    ([(0, 1), (1, 2)], [(0, -1)], 0),
    ([(0, 1), (1, 2)], [(0, 1)], 2),
    ([(0, 1), (1, 1)], [(0, 1)], NAN),
    ([(0, 1), (0, 2)], [(0, 4)], 0),
    ([(0, 1), (0, 2)], [(0, 4), (0, 8)], 0),
    ([(1, 1), (0, 2)], [(0, 4)], 0),
    ([], [(0, 4), (2, 0)], 1),
    ([], [], 1),
):
    for dtype in (F, D):
        one, two = ((column([i for i, _ in x]), dtype([v for _, v in x]), I([3])) for x in (a, b))
        run("SparseAdd", *one, *two, dtype(threshold))

# Sums over axes.
POINTS = (I([[1, 0], [0, 1], [0, 1]]), F([1, 2, 4]), I([2, 3]))
for axes in ([], [0], [1], [-1], [0, 1], [0, 0], [0, -2], [5], [-3]):
    for keep in (False, True):
        run("SparseReduceSum", *POINTS, N(axes), keep_dims=keep)
run("SparseReduceSum", *POINTS, N(1), keep_dims=False)
run("SparseReduceSum", np.zeros((0, 2), I), F([]), I([2, 2]), N([]), keep_dims=False)
run("SparseReduceSum", np.zeros((0, 2), I), F([]), I([2, 2]), N([0]), keep_dims=False)

# Sparse tensors with dense ones.
for op in ("SparseDenseCwiseAdd", "SparseDenseCwiseMul", "SparseDenseCwiseDiv"):
    for dtype in (F, D):
        for dense in ([1, 0], [1, 2], [0], [2], [1, -0.0], [1, NAN], [1, INF]):
            run(op, column([0, 1]), dtype([1, 2]), I([2]), dtype(dense))
    run(op, column([0]), F([1]), I([2]), F([1, 0]))
    run(op, column([]), F([]), I([2]), F([1, 0]))
    run(op, I([[0, 1]]), F([1]), I([2, 2]), F([0, 2]))

# Shapes.
for old, new in (
    ([0, 2], [-1, 0]), ([0, 2], [-1, 2]), ([0, 2], [0, 5]), ([0, 2], [-1]), ([0], [-1, 0]), ([2, 2], [-1, 0]),
    ([2, 3], [-1, 4]), ([2, 2], [-1, -1]), ([2, 2], [-2, 2]), ([2, 2], [4]), ([0, 2], [3, 0]), ([0, 2], [0, 0, -1]),
    ([2, 2], [5]), ([0, 2], [1]), ([1], []), ([2, 3], [-1]),
):
    run("SparseReshape", np.zeros((0, len(old)), I), I(old), I(new))
run("SparseReshape", I([[0, 2], [1, 1]]), I([2, 3]), I([3, -1]))

# Sets.
DENSE = I([[1, 2], [3, 4]])
for indices, values in (
    ([[0, 0], [1, 0]], [1, 3]), ([[1, 0], [0, 0]], [3, 1]), ([[0, 1], [0, 0]], [3, 1]), ([[0, 0], [0, 0]], [3, 1]),
    ([[0, 0], [2, 0]], [3, 1]), ([[0, 0], [0, 5]], [3, 1]), ([[0, 0], [1, 0], [0, 1]], [1, 3, 2]), ([[-1, 0]], [3]),
):
    sparse = (I(indices), I(values), I([2, 2]))
    run("DenseToSparseSetOperation", DENSE, *sparse, set_operation="a-b", validate_indices=True)
    run("SparseToSparseSetOperation", *sparse, *sparse, set_operation="union", validate_indices=True)
    run("SetSize", *sparse, validate_indices=True)
for validate in (True, False):
    run("DenseToSparseSetOperation", DENSE, I([[0, 0], [1, 0]]), I([1, 3]), I([2, 2]), set_operation="b-a", validate_indices=validate)
    run("SetSize", I([[0, 0], [1, 0], [1, 1]]), I([1, 3, 3]), I([3, 2]), validate_indices=validate)
    run("SetSize", column([0, 1]), I([1, 3]), I([2]), validate_indices=validate)
run("DenseToDenseSetOperation", I([1, 2]), I([2]), set_operation="union")
run("DenseToSparseSetOperation", DENSE, column([0, 1]), I([1, 3]), I([2]), set_operation="union")

# White space is what `isspace` of C accepts.
SPACES = [b" ", b"\t", b"\n", b"\v", b"\f", b"\r"]
OTHERS = [b"\0", b"\x08", b"\x0e", b"\x1c", b"\x1f", b"\x7f", b"\x85", b"\xa0", b"\xe2\x80\x83"]
for space in SPACES + OTHERS:
    run("StringStrip", strings(space + b"a" + space + b"b" + space, space, b""))
    for sep in (b"", b" "):
        run("StringSplitV2", strings(space + b"a" + space + space + b"b" + space, space), tf.constant(sep), maxsplit=-1)
        run("StringSplitV2", strings(space + b"a" + space + space + b"b" + space, space), tf.constant(sep), maxsplit=1)
    for dtype in (tf.float32, tf.float64, tf.int32, tf.int64, tf.uint32, tf.uint64):
        run("StringToNumber", strings(space + b"5" + space), out_type=dtype)
    for default in (F([0]), D([0]), N([0]), I([0])):
        run("DecodeCSV", strings(space + b"5"), [tf.constant(default)])
        run("DecodeCSV", strings(b'"5' + space + b'"'), [tf.constant(default)])
        run("DecodeCSV", strings(b"5" + space), [tf.constant(default)])

# Line ends before the fields of a record.
for record in (
    b"", b"\n", b"\na", b"\n\r\na", b"a\n", b"a\n,b", b"a,\nb", b"a,\n", b"a,\n\n", b"a,\n,", b"\n,b", b",\n", b"a,", b",", b'\n"a"',
    b'"a"\n', b'a,\n"b"', b' "a"', b'"a\nb",c', b'\n"a\n"', b'"a""b",c', b'"a"b,c', b'"a', b'a"b,c', b'"",c', b'"a",', b",a\r",
):
    for count in (1, 2):
        for quotes in (True, False):
            run("DecodeCSV", strings(record), [strings("d")] * count, use_quote_delim=quotes)

# Numbers.
for text in (
    b"", b" ", b"-", b"+", b"+5", b"-5", b"--5", b"+ 5", b"- 5", b"-0", b"0x", b"0X1", b"0x.", b"0x.8", b"0x1p3", b"0x1.8p",
    b"0x1.8p3", b"-0x1p-3", b"0x1P+3", b"0x1p 3", b"0x10000000000000001", b"0x1.0000010p0", b"0x1.000001000001p0",
    b"0x1p-1074", b"0x1.8p-1073", b"0x18p-1078", b"0x1p2000", b"0x1p-2000", b"0x1p99999999999", b"0x1p-99999999999", b"0x0p99999999999",
    b"inf", b"+inf", b"-INFINITY", b"infi", b"nan", b"NAN", b"-nan", b"nan(5)", b"nan(a_b)", b"nan()", b"nan(", b"nan(-)", b"inf(5)",
    b"1e400", b"1e-400", b"-1e400", b"1e5", b"1E5", b"1e", b"1e+", b"1e+5", b"e5", b".5", b"5.", b".", b"1_0", b"1,0", b"5\0", b"1d5", b"1f",
    b"5 5", b"00005", b"2147483647", b"2147483648", b"-2147483648", b"-2147483649", b"4294967295", b"4294967296",
    b"9223372036854775807", b"9223372036854775808", b"18446744073709551615", b"18446744073709551616",
    b"1.00000017881393432617187499", b"3.4028236e38", b"1.4e-45", b"5e-324", b"\xff5",
):
    for dtype in (tf.float32, tf.float64, tf.int32, tf.int64, tf.uint32, tf.uint64):
        run("StringToNumber", strings(text), out_type=dtype)

# Summaries: tags and values of one shape, and scalar tags.
A, AB = tf.constant("a"), strings("a", "b")
for tags, values in (
    (A, F(2)), (A, F([2])), (strings("a"), F(2)), (strings("a"), F([2])), (AB, F([2, 3])), (AB, F([2])), (AB, F(2)),
    (tf.reshape(AB, [1, 2]), F([2, 3])), (tf.reshape(AB, [1, 2]), F([[2], [3]])), (tf.reshape(AB, [1, 2]), F([[2, 3]])),
    (tf.zeros([0], tf.string), F([])), (tf.zeros([0, 1], tf.string), F([])),
):
    run("ScalarSummary", tags, values)
for tag in (strings("a"), tf.constant([["a"]])):
    run("HistogramSummary", tag, F([1]))
    run("AudioSummaryV2", tag, np.zeros((1, 1, 1), F), F(1))

# Ragged ranges.
for start, limit, delta in (
    (0, NAN, 1), (NAN, 1, 1), (0, 1, NAN), (0, 0, NAN), (1, 0, NAN), (0, INF, 1), (0, -INF, 1), (0, 1, INF), (INF, 1, 1),
    (INF, INF, 1), (-INF, 1, 1), (1, 0, INF), (5, 1, 1), (5, 1, -INF), (0, 1, 0), (0, 1, -0.0), (0, 1e30, 1), (0, 1, 0.3), (0, 10, 0.1),
    (1, -1, -0.07),
):
    for dtype in (F, D):
        run("RaggedRange", dtype(start), dtype(limit), dtype(delta))
RANGES = ((0, 10, 0.1), (0, 0.3, 0.1), (0, 0.7, 0.1), (3, 0, -0.1), (0, 200, 1), (256, 260, 1), (-1, 1, 0.01), (0, 0, 1), (0, 1, -1))
for start, limit, delta in RANGES:
    for dtype in (F, D):
        run("RaggedRange", dtype(start), dtype(limit), dtype(delta))
for start, limit, delta in ((0, 7, 3), (7, 0, -3), (-2147483648, 2147483647, 2000000000), (0, 7, -1), (3, 3, 1), (0, 1, 0)):
    for dtype in (N, I):
        run("RaggedRange", dtype(start), dtype(limit), dtype(delta))
run("RaggedRange", F([0, 0]), F([NAN, 1]), F(1))
run("RaggedRange", F([0]), F([1, 2]), F(1))
run("RaggedRange", F([[0]]), F([[1]]), F(1))
run("RaggedRange", F([]), F([]), F(1))
run("RaggedRange", N([0, 5]), N([3, 0]), N([1, -2]))

# Ranges and evenly spaced numbers.
for start, limit, delta in RANGES:
    for dtype in (tf.float32, tf.float64, tf.bfloat16, tf.float16):
        run("Range", *(tf.constant(x, dtype) for x in (start, limit, delta)))
    for dtype in (F, D):
        run("LinSpace", dtype(start), dtype(limit), N(30))
for count in (-1, 0, 1, 2, 7):
    run("LinSpace", F(-1), F(2), N(count))
for start, limit, delta in ((0, 7, 3), (7, 0, -3), (0, 7, -1), (3, 3, 1), (0, 1, 0), (5, 2, 1), (-2147483648, 2147483647, 1000000000)):
    for dtype in (N, I):
        run("Range", dtype(start), dtype(limit), dtype(delta))
run("Range", I(2**53), I(2**53 + 7), I(2))
for start, limit, delta in ((0, NAN, 1), (NAN, 1, 1), (0, 1, NAN), (0, INF, 1), (0, 1, INF), (-INF, 1, 1), (1, 0, -INF)):
    for dtype in (F, D):
        run("Range", dtype(start), dtype(limit), dtype(delta))

# Samples of no classes.
for rows, classes, samples in ((2, 0, 0), (2, 0, 1), (0, 0, 0), (0, 0, 1), (0, 2, 1), (2, 2, 0), (2, 2, -1)):
    for out in (N, I):
        run("Multinomial", np.zeros((rows, classes), F), N(samples), seed=1, seed2=2, output_dtype=tf.as_dtype(out))
        run("StatelessMultinomial", np.zeros((rows, classes), F), N(samples), I([1, 2]), output_dtype=tf.as_dtype(out))
run("Multinomial", np.zeros((2, 2), F), N([1]), seed=1, seed2=2)
run("Multinomial", np.zeros(2, F), N(1), seed=1, seed2=2)

# NaN equals nothing, and both zeros are equal, except in TensorFlow's hash tables of halves.
for dtype in (F, D, np.float16):
    zeros = [1, 1] if dtype == np.float16 else [0.0, -0.0]
    values = dtype([NAN, 1, NAN, *zeros, 1, INF, -INF, INF])
    for op in ("Unique", "UniqueWithCounts"):
        run(op, values)
    for op in ("UniqueV2", "UniqueWithCountsV2"):
        run(op, values, I([]))
        run(op, values, I([0]))
    run("UniqueV2", dtype([[NAN, 1], [NAN, 1], [zeros[0], 2], [zeros[1], 2]]), I([0]))
    run("UniqueV2", dtype([[NAN, 1, 1], [2, 3, 3]]), I([1]))
    run("ListDiff", values, dtype([1, NAN, zeros[1]]))
    run("ListDiff", values, dtype([zeros[1]]))

# Axes that are listed twice.
for axes in ([0, 0], [0, -2], [1, 0], [], [2], [-3]):
    run("ReverseV2", F([[1, 2], [3, 4]]), N(axes))

# Counts.
run("SparseBincount", I([[0, 0], [2, 1]]), I([3, -3]), I([3, 2]), I(5), F([]))
run("HistogramFixedWidth", F([NAN, 1, 2]), F([0, 3]), N(3), dtype=tf.int32)
run("HistogramFixedWidth", F([INF, -INF, 2]), F([0, 3]), N(3), dtype=tf.int32)
for bounds in ((0, NAN), (NAN, 1), (1, 1), (2, 1)):
    run("HistogramFixedWidth", F([1, 2]), F(bounds), N(3), dtype=tf.int64)
for dtype in (F, D):
    run("Bucketize", dtype([NAN, -NAN, INF, -INF, 0, 5, 10, 11]), boundaries=[0.0, 10.0])
    run("Bucketize", dtype([NAN, 1]), boundaries=[])

# Boxes that are not finite.
IMAGE = F(np.arange(9)).reshape(1, 3, 3, 1)
for box in ([0, 0, NAN, 1], [0, 0, INF, 1], [-INF, 0, 1, 1], [0, 0, 1, 1]):
    for method in ("bilinear", "nearest"):
        run("CropAndResize", IMAGE, F([box]), N([0]), N([2, 2]), method=method, extrapolation_value=-1.0)

# NaN in pools, clamps and extremes.
for pair in ([NAN, 1], [1, NAN], [NAN, NAN], [-INF, -INF], [NAN, -INF], [INF, NAN]):
    run("MaxPool", F(pair).reshape(1, 1, 2, 1), ksize=[1, 1, 2, 1], strides=[1, 1, 2, 1], padding="VALID")
run("FakeQuantWithMinMaxArgsGradient", F([1, 2, 3, 4]), F([NAN, -9, 9, 1]))
run("FakeQuantWithMinMaxVarsGradient", F([1, 2, 3, 4]), F([NAN, -9, 9, 1]), F(-6), F(6))
run("FakeQuantWithMinMaxVarsPerChannelGradient", F([[1, 2], [3, 4]]), F([[NAN, -9], [9, NAN]]), F([-6, -6]), F([6, 6]))
run("FakeQuantWithMinMaxArgs", F([NAN, INF, -INF, 9]))
run("FakeQuantWithMinMaxVars", F([NAN, INF, -INF, 9]), F(-6), F(6))
for op in ("TensorScatterMin", "TensorScatterMax"):
    for have, update in ((1, NAN), (NAN, 1), (NAN, NAN)):
        run(op, F([have, 5]), column([0]), F([update]))
for op in ("SegmentMax", "SegmentMin", "SegmentSum"):
    run(op, F([1, NAN, 2, NAN, NAN]), N([0, 0, 1, 1, 2]))
for op in ("UnsortedSegmentMax", "UnsortedSegmentMin"):
    run(op, F([1, NAN, 2, NAN, NAN]), N([0, 0, 1, 1, 2]), N(4))
for op in ("ArgMax", "ArgMin"):
    for row in ([1, NAN, 2], [NAN, 1, 2], [NAN, NAN, NAN], [INF, -INF, NAN]):
        run(op, F(row), N(0))
for op in ("Maximum", "Minimum"):
    run(op, F([1, NAN, NAN, 0.0, -0.0]), F([NAN, 1, NAN, -0.0, 0.0]))
for op in ("Relu", "Relu6", "Elu", "Selu", "Softplus", "Softsign", "LeakyRelu", "Sign", "Round", "Rint"):
    run(op, F([NAN, INF, -INF, -0.0, 0.5, 1.5, 2.5, -0.5]), tolerance=1e-6)
run("ClipByValue", F([NAN, 1, 9, -9]), F(-1), F(1))
run("InTopKV2", F([[1, NAN, 3]]), N([2]), N(1))

# Means of integers round halves to even.
for values in ([1, 2], [2, 3], [0, 1], [254, 255], [1, 1, 2], [0, 0, 1], [1, 2, 2]):
    for dtype, shift in ((tf.quint8, 0), (tf.qint8, -128)):
        image = quantized(np.array(values).reshape(1, 1, -1, 1) + shift, dtype)
        run("QuantizedAvgPool", image, F(0), F(255), ksize=[1, 1, len(values), 1], strides=[1, 1, 1, 1], padding="VALID")

# Further operations on sparse tensors.
def sparse(indices, values, shape, dtype=F):
    return I(indices).reshape(len(values), len(shape)), dtype(values), I(shape)


SORTED = sparse([[0, 1], [1, 0], [1, 2]], [1, 2, 3], [2, 3])
UNSORTED = sparse([[1, 2], [0, 1], [1, 0], [0, 1]], [3, 1, 2, 7], [2, 3])
OUTSIDE = sparse([[0, 1], [5, 0]], [1, 2], [2, 3])
NEGATIVE = sparse([[0, 1], [-1, 0]], [1, 2], [2, 3])
NOTHING = sparse([], [], [2, 3])
VECTOR = sparse([[0], [2]], [1, NAN], [4])
ALL = (SORTED, UNSORTED, NOTHING, VECTOR)
for given in ALL:
    run("SparseReorder", *given)
for given in ALL:
    run("SparseFillEmptyRows", *given, F(9))
    if given is not UNSORTED:
        run("SparseSoftmax", *given, tolerance=1e-6)
    for start, size in (([0, 0], [2, 3]), ([1, 1], [5, 5]), ([3, 0], [1, 1]), ([0, 0], [0, 3]), ([0], [2])):
        run("SparseSlice", *given, I(start), I(size))
for first, second in ((SORTED, SORTED), (SORTED, UNSORTED), (SORTED, NOTHING), (SORTED, VECTOR)):
    for op in ("SparseSparseMaximum", "SparseSparseMinimum"):
        if second is not UNSORTED:
            run(op, *first, *second)
    for axis in (0, 1, -1, 2, -3):
        run("SparseConcat", *([tf.constant(x) for x in pair] for pair in zip(first, second)), concat_dim=axis)
for given in (SORTED, UNSORTED, NOTHING, OUTSIDE):
    run("SparseTensorDenseAdd", *given, np.ones((2, 3), F))
    run("SparseTensorDenseAdd", *given, np.ones((3, 2), F))
    run("SparseTensorDenseMatMul", *given, F([[1, 2], [3, 4], [5, NAN]]))
    run("SparseTensorDenseMatMul", *given, F([[1, 2], [3, 4]]), adjoint_a=True)
    run("SparseTensorDenseMatMul", *given, F([[1, 2, 3], [3, 4, 5]]), adjoint_b=True)
    run("SparseTensorDenseMatMul", *given, F([[1, 2], [3, 4]]))
for given in (SORTED, UNSORTED, NOTHING, OUTSIDE, NEGATIVE):
    for validate in (True, False):
        if validate or given is not NEGATIVE:
            run("SparseToDense", given[0], given[2], given[1], F(-1), validate_indices=validate)
run("SparseToDense", I(1), I([3]), F(5), F(-1))
run("SparseToDense", I([0, 2]), I([3]), F(5), F(-1))
run("SparseToDense", I([0, 2]), I([3]), F([5, 6, 7]), F(-1))
run("SparseToDense", I([[0, 2]]), I([3]), F([5]), F(-1))
for map_, gradient in (([0, 2], [1, 2, 3]), ([], [1, 2]), ([0, 5], [1, 2]), ([-1], [1, 2]), ([0, 0], [1, 2, 4])):
    run("SparseFillEmptyRowsGrad", I(map_), F(gradient))

# Ragged tensors.
for splits in ([0, 2, 2, 3], [0, 2, 1, 3], [1, 2, 3], [0, 2], [0, 4], [], [0]):
    run("RaggedTensorToSparse", [tf.constant(I(splits))], F([1, 2, 3]))
for indices in ([], [2, 0, 2], [3], [-1], [[0, 1], [2, 2]]):
    run("RaggedGather", [tf.constant(I([0, 2, 2, 3]))], F([1, 2, 3]), I(indices), OUTPUT_RAGGED_RANK=2 if np.ndim(indices) == 2 else 1)
for rows, values, count in (([0, 2], [1, 2], 3), ([2, 0], [1, 2], 3), ([], [], 2), ([0, 3], [1, 2], 3), ([0], [1, 2], 3), ([0, -1], [1, 2], 3)):
    run("RaggedFillEmptyRows", I(rows), F(values), I(count), F(9))

# Text.
TEXTS = strings(b"", b"a", "aäb".encode(), b"abc", b"a\xffb")
for position, length in ((0, 1), (1, 2), (-1, 1), (-3, 2), (0, -1), (0, 0), (5, 1), (1, 100)):
    for unit in ("BYTE", "UTF8_CHAR"):
        run("Substr", TEXTS[1:], N(position), N(length), unit=unit)
        run("Substr", TEXTS[4], N(position), N(length), unit=unit)
        run("Substr", strings(b"", b""), N(position), N(length), unit=unit)
run("Substr", tf.reshape(TEXTS[1:], [2, 2]), N([0, 1]), N([1, 1]))
run("Substr", TEXTS[3], N([0, 1]), N([1, 2]))
run("Substr", TEXTS[3], N([0, 1]), N([1]))
for delimiter in (b"", b"a", b"ab", b"b"):
    for skip in (True, False):
        run("StringSplit", strings(b"", b"a", b"abcab", b"bab", b"\xc3\xa4b"), tf.constant(delimiter), skip_empty=skip)
    for limit in (-1, 0, 1, 2):
        run("StringSplitV2", strings(b"", b"a", b"abcab", b"bab", b"aaa"), tf.constant(delimiter), maxsplit=limit)
run("StringSplitV2", tf.constant("a b"), tf.constant(""))
run("StringSplitV2", strings("a b"), strings(" "))
for encoding in ("", "utf-8", "latin"):
    run("StringUpper", TEXTS[:4], encoding=encoding)
    run("StringLower", strings("ABC", "ÄÖ", "İ"), encoding=encoding)
for unit in ("BYTE", "UTF8_CHAR"):
    run("StringLength", TEXTS, unit=unit)
run("StringJoin", [strings("a", "b"), tf.constant("c")], separator="-")
run("StringJoin", [strings("a", "b"), strings("c")], separator="-")
run("UnsortedSegmentJoin", strings("a", "b", "c"), N([1, 0, 1]), N(3), separator="-")
run("UnsortedSegmentJoin", strings("a", "b", "c"), N([1, 0, 3]), N(3), separator="-")
run("UnsortedSegmentJoin", strings("a", "b", "c"), N([1, 0, -1]), N(3), separator="-")

run.write("edges")
