"""Counts, crosses and other small operations that preprocessing layers leave in models: writes `counts.json.gz`.

    python make_counts.py      (tensorflow 2.21.0)
"""

from recorder import Recorder, np, tf

run = Recorder()
F = np.float32
I = np.int64
NONE = np.zeros(0, F)

# Counts as sparse tensors.
for minlength, maxlength in ((-1, -1), (12, -1), (-1, 5), (9, 5), (-1, 0)):
    lengths = dict(minlength=minlength, maxlength=maxlength)
    for binary in (False, True):
        for dtype in (np.int32, I):
            run("DenseCountSparseOutput", dtype([1, 2, 2, 7]), NONE, binary_output=binary, **lengths)
        run("DenseCountSparseOutput", I([[1, 2], [2, 7]]), F([[0.5, 0.25], [2, 3]]), binary_output=binary, **lengths)
        run("SparseCountSparseOutput", I([[0, 0], [2, 1], [2, 2]]), I([3, 3, 4]), I([3, 4]), F([1, 0.5, 2]), binary_output=binary, **lengths)
        run("RaggedCountSparseOutput", I([0, 2, 2, 3]), I([1, 1, 4]), F([1, 2, 3]), binary_output=binary, **lengths)
for weights in (np.array([3, 4], np.int32), I([3, 4]), np.array([0.5, 4])):
    run("DenseCountSparseOutput", I([2, 2]), weights, binary_output=False)
run("DenseCountSparseOutput", I([[1, 2], [2, 7]]), F([0.5, 0.25, 2, 3]), binary_output=False)
run("DenseCountSparseOutput", I([[1, 2], [2, -7]]), NONE, binary_output=False)
run("DenseCountSparseOutput", I([[[1, 2]]]), NONE, binary_output=False)
run("DenseCountSparseOutput", I(3), NONE, binary_output=False)
run("DenseCountSparseOutput", I([]), NONE, binary_output=False)
run("DenseCountSparseOutput", np.zeros((2, 0), I), NONE, binary_output=False, minlength=3)
run("SparseCountSparseOutput", I([[0], [2]]), I([3, 3]), I([3]), NONE, binary_output=False)
run("SparseCountSparseOutput", I([[2, 0], [0, 1]]), I([3, 1]), I([3, 2]), NONE, binary_output=False)
run("SparseCountSparseOutput", I([[0, 0, 0], [2, 1, 0]]), I([3, 3]), I([3, 2, 1]), NONE, binary_output=False)
run("SparseCountSparseOutput", np.zeros((0, 2), I), I([]), I([3, 2]), NONE, binary_output=False)
for indices, values, shape, weights in (
    ([[0, 0], [2, 1]], [3, 3], [3, 2], F([1])),
    ([[0, 0], [3, 1]], [3, 3], [3, 2], NONE),
    ([[0, 0], [2, 5]], [3, 3], [3, 2], NONE),
    ([[0, 0], [2, 1]], [3, -3], [3, 2], NONE),
    ([[0, 0], [2, 1]], [3, 3, 3], [3, 2], NONE),
    ([[0, 0], [2, 1]], [3, 3], [0, 2], NONE),
):
    run("SparseCountSparseOutput", I(indices), I(values), I(shape), weights, binary_output=False)
for splits, values in (([0, 2, 2, 4], [1, 1, 4]), ([1, 2, 3], [1, 1, 4]), ([0], []), ([], [1]), ([0, 1], [-1])):
    run("RaggedCountSparseOutput", I(splits), I(values), NONE, binary_output=False)

# Bins.
for size in (0, 3, 6):
    for binary in (False, True):
        for dtype in (np.int32, I):
            run("RaggedBincount", I([0, 2, 2, 3]), dtype([1, 1, 4]), dtype(size), NONE, binary_output=binary)
            run("SparseBincount", I([[0, 0], [2, 1]]), dtype([3, 3]), I([3, 2]), dtype(size), NONE, binary_output=binary)
        run("RaggedBincount", I([0, 2, 2, 3]), I([1, 1, 4]), I(size), F([1, 2, 3]), binary_output=binary)
        run("SparseBincount", I([[0], [2]]), I([3, 3]), I([3]), I(size), F([1, 2]), binary_output=binary)
run("RaggedBincount", I([0, 2, 2, 3]), I([1, -1, 4]), I(6), NONE)
run("RaggedBincount", I([0, 2, 2, 4]), I([1, 1, 4]), I(6), NONE)
run("RaggedBincount", I([1, 2, 2, 3]), I([1, 1, 4]), I(6), NONE)
run("RaggedBincount", I([0, 1]), I([1]), I(-6), NONE)
run("SparseBincount", np.zeros((0, 2), I), I([]), I([3, 2]), I(5), NONE)
run("SparseBincount", I([[0, 0], [2, 1]]), I([3, -3]), I([3, 2]), I(5), NONE)
run("SparseBincount", I([[0, 0], [3, 1]]), I([3, 3]), I([3, 2]), I(5), NONE)
run("SparseBincount", I([[0, 0], [2, 1]]), I([3, 3]), I([3, 2]), I(-5), NONE)
run("SparseBincount", I([[0, 0], [2, 1]]), I([3, 3, 3]), I([3, 2]), I(5), NONE)

# Crosses.
numbers, words, one = tf.constant(I([[1], [-2]])), tf.constant([["a", "b"], ["c", "d"]]), tf.constant([["x"], [""]])
sparse = ([tf.constant(I([[0, 0], [1, 0], [1, 1]]))], [tf.constant(["x", "y", "z"])], [tf.constant(I([2, 2]))])
of_numbers = (sparse[0], [tf.constant(I([5, 2**40 + 7, -1]))], sparse[2])
nothing = ([], [], [])
for separator in ("_X_", ""):
    run("SparseCrossV2", *nothing, [words, numbers], separator)
    run("SparseCrossV2", *sparse, [words], separator)
    run("SparseCrossV2", *of_numbers, [words, one], separator)
for buckets in (0, 100):
    for given, dense in ((nothing, [words, numbers]), (sparse, [words]), (of_numbers, [words, one]), (sparse, [one])):
        run("SparseCrossHashed", *given, dense, I(buckets), False, I([3, 7]))
    for given, dense in ((nothing, [words, one]), (sparse, [words]), (of_numbers, [words])):
        run("SparseCrossHashed", *given, dense, I(buckets), True, I([3, 7]))
run("SparseCrossV2", *nothing, [one, tf.constant([["a"]])], "")

# Hashes and formats.
texts = tf.constant(["a", "", "hello", "eight888", "\u00e9tude", "a longer text, of several words"])
for buckets in (1, 100, 2**62):
    run("StringToHashBucket", texts, num_buckets=buckets)
square = np.arange(64).reshape(8, 8)
for summarize in (-1, 0, 1, 2, 3, 4):
    for values in (F([1, 2.5, 3, 4, 5, 6, 7, 8]), square, square.reshape(4, 4, 4), square[:2, :2], np.arange(32).reshape(2, 2, 2, 2, 2), F(3)):
        run("StringFormat", [tf.constant(values)], template="a {} b", placeholder="{}", summarize=summarize)
    for shape in ((0,), (2, 0), (0, 3)):
        run("StringFormat", [tf.zeros(shape)], template="%s", summarize=summarize)
unusual = F([1e-7, 1e20, 0.1, 1 / 3, 123456789, 1.123456789, float("nan"), float("-inf"), -0.0])
for values in (unusual, unusual.astype(np.float64), np.array([1 / 3, 0.1, 1e300, 12345678901234567.0]), np.float16([1.5, 0.1]), np.array([True, False]), np.int8([-3, 5]), np.uint64([2**64 - 1])):
    run("StringFormat", [tf.constant(values)], summarize=-1)
run("StringFormat", [tf.constant([1.5, 0.1], tf.bfloat16), tf.constant(1 + 2j)], template="{}{}", placeholder="{}")
run("StringFormat", [tf.constant(["hi", 'a"b', "c\n\t\r'\\", b"\x80\x01z"])], template="{}", placeholder="{}", summarize=-1)
run("StringFormat", [tf.constant("hi"), tf.constant(2)], template="{} and {}", placeholder="{}")
run("StringFormat", [tf.constant(1)], template="none", placeholder="{}")
run("StringFormat", [tf.constant(1)], template="{} {}", placeholder="{}")
run.write("counts")
