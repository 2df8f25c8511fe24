"""What tools for frozen graphs leave in them: writes `frozen.json.gz`.

    python make_frozen.py      (tensorflow 2.21.0)
"""

from recorder import BITS, Recorder, np, quantized, tf

run = Recorder()
rng = np.random.default_rng(17)
F = np.float32


def numbers(*shape, dtype=np.float32):
    return rng.normal(size=shape).astype(dtype)


def integers(*shape):
    return quantized(rng.integers(0, 256, shape), tf.quint8)


# Convolutions with mirrored borders: of one image, because TensorFlow 2.21 pads only the first of several right.
borders = np.int32([[0, 0], [1, 2], [2, 1], [0, 0]])
for mode in ("REFLECT", "SYMMETRIC"):
    for padding in ("SAME", "VALID"):
        for strides in ([1, 1, 1, 1], [1, 2, 1, 1], [1, 2, 3, 1]):
            options = dict(mode=mode, padding=padding, strides=strides)
            run("FusedPadConv2D", numbers(1, 4, 5, 3), borders, numbers(3, 2, 3, 4), tolerance=2e-5, **options)
            for align_corners in (False, True):
                run("FusedResizeAndPadConv2D", numbers(1, 4, 5, 3), [6, 8], borders, numbers(3, 2, 3, 4), tolerance=2e-5, resize_align_corners=align_corners, **options)
options = dict(mode="REFLECT", padding="VALID", strides=[1, 1, 1, 1])
run("FusedPadConv2D", numbers(1, 4, 5, 2, dtype=np.float64), borders, numbers(2, 2, 2, 1, dtype=np.float64), tolerance=1e-12, **options)
run("FusedPadConv2D", numbers(1, 2, 5, 2), borders, numbers(2, 2, 2, 1), **options)
run("FusedPadConv2D", numbers(1, 4, 5, 2), -borders, numbers(2, 2, 2, 1), **options)
run("FusedPadConv2D", numbers(1, 4, 5, 2), borders, numbers(2, 2, 3, 1), **options)
run("FusedPadConv2D", numbers(1, 4, 5, 2), borders[:2], numbers(2, 2, 2, 1), **options)
run("FusedResizeAndPadConv2D", numbers(1, 4, 5, 2), [0, 3], borders, numbers(2, 2, 2, 1), **options)

# Integers that stand for numbers. TensorFlow broadcasts along the first axes alone.
for shapes in (((3, 4), (3, 4)), ((3, 4), (4,)), ((), (4,)), ((4,), ()), ((2, 3, 4), (4,)), ((2, 3, 4), (3, 4))):
    for x_range, y_range in (((-1, 3), (-2, 5)), ((0, 1), (-7, 0)), ((0.5, 2), (1, 3))):
        ends = [F(x_range[0]), F(x_range[1]), F(y_range[0]), F(y_range[1])]
        x, y = integers(*shapes[0]), integers(*shapes[1])
        run("QuantizedAdd", x, y, *ends, Toutput=tf.qint32)
        run("QuantizedMul", x, y, *ends, tolerance=0.1, Toutput=tf.qint32)
run("QuantizedAdd", integers(3), integers(3), F(1), F(1), F(0), F(1), Toutput=tf.qint32)
run("QuantizedMul", integers(3), integers(3), F(0), F(1), F(2), F(1), Toutput=tf.qint32)
run("QuantizedMul", integers(3), integers(4), F(0), F(1), F(0), F(1), Toutput=tf.qint32)
for scaled in (False, True):
    for epsilon in (0.001, 0.5):
        channels = [v for ends in ((-1, 2), (0, 5), (-1, 1), (0, 3)) for v in (integers(4), F(ends[0]), F(ends[1]))]
        run("QuantizedBatchNormWithGlobalNormalization", integers(2, 3, 2, 4), F(-10), F(20), *channels, tolerance=1, out_type=tf.qint32, variance_epsilon=epsilon, scale_after_normalization=scaled)
for epsilon in (1e-5, 0.5):
    x = integers(2, 3, 4, 5)
    run("QuantizedInstanceNorm", x, F(-1), F(3), tolerance=1, variance_epsilon=epsilon)
    run("QuantizedInstanceNorm", x, F(-1), F(3), tolerance=1, variance_epsilon=epsilon, output_range_given=True, given_y_min=-1.0, given_y_max=1.5)
run("QuantizedInstanceNorm", quantized(np.full((1, 2, 2, 1), 7), tf.quint8), F(-1), F(3))
run("QuantizedInstanceNorm", integers(1, 2, 2, 1), F(3), F(-1))
wide = quantized(rng.integers(-(2**31), 2**31, (1, 3, 4, 2)), tf.qint32)
for size in ([5, 7], [2, 3], [6, 8], [1, 1]):
    for kind in (dict(), dict(align_corners=True), dict(half_pixel_centers=True)):
        run("QuantizedResizeBilinear", integers(2, 3, 4, 2), size, F(-1), F(3), **kind)
        run("QuantizedResizeBilinear", wide, size, F(-1), F(3), **kind)
        run("QuantizedResizeBilinear", numbers(1, 3, 4, 2), size, F(-1), F(3), tolerance=1e-6, **kind)
run("QuantizedResizeBilinear", integers(1, 3, 4, 2), [0, 3], F(-1), F(3))

# Axes in another order, and rows that are changed.
for source, target in (("NHWC", "NCHW"), ("NCHW", "NHWC"), ("HWNC", "NHWC"), ("NDHWC", "NCDHW")):
    formats = dict(src_format=source, dst_format=target)
    count = len(source)
    for dtype in (np.int32, np.int64):
        run("DataFormatDimMap", np.arange(-count, 2 * count, dtype=dtype), **formats)
        run("DataFormatDimMap", dtype(2), **formats)
        run("DataFormatVecPermute", np.arange(10, 10 + count, dtype=dtype), **formats)
        run("DataFormatVecPermute", np.arange(10, 8 + count, dtype=dtype), **formats)
        run("DataFormatVecPermute", np.arange(2 * count, dtype=dtype).reshape(count, 2), **formats)
        run("DataFormatVecPermute", np.arange(2 * count - 4, dtype=dtype).reshape(count - 2, 2), **formats)
    run("DataFormatVecPermute", np.arange(count + 1), **formats)
    run("DataFormatVecPermute", np.int32(1), **formats)
run("DataFormatVecPermute", np.arange(4), src_format="NHWC", dst_format="NHWA")
run("DataFormatDimMap", np.arange(4), src_format="NHW", dst_format="NHWC")
for op in ("InplaceAdd", "InplaceSub", "InplaceUpdate"):
    for dtype in (np.float32, np.float64, np.int32, np.int64, np.uint8):
        x, v = np.arange(1, 7).reshape(3, 2).astype(dtype), np.arange(6).reshape(3, 2).astype(dtype)
        run(op, x + 20, [0, 2, 0], v)
        run(op, x + 20, [4, -1], v[:2])
    run(op, numbers(3, 2), 1, numbers(1, 2))
    run(op, numbers(3, 2), [1], numbers(2, 2))
    run(op, numbers(3, 2), [1], numbers(1, 3))
run("InplaceUpdate", tf.constant([["a"], ["c"]]), [1], tf.constant([["b"]]))

# Products of factors with many zeros.
a, b = numbers(4, 5) * (rng.random((4, 5)) < 0.3), numbers(5, 3)
for transpose_a in (False, True):
    for transpose_b in (False, True):
        for dtypes in ((tf.float32, tf.float32), (tf.float32, tf.bfloat16), (tf.bfloat16, tf.float32), (tf.bfloat16, tf.bfloat16)):
            left, right = tf.cast(a.T if transpose_a else a, dtypes[0]), tf.cast(b.T if transpose_b else b, dtypes[1])
            run("SparseMatMul", left, right, tolerance=1e-5, transpose_a=transpose_a, transpose_b=transpose_b, a_is_sparse=True)
run("SparseMatMul", a, b.T)

# Windows into images.
x = tf.reshape(tf.range(2 * 5 * 6 * 2, dtype=tf.float32), (2, 5, 6, 2))
for op in ("ExtractGlimpse", "ExtractGlimpseV2"):
    for centered in (False, True):
        for normalized in (False, True):
            for size in ([3, 2], [9, 9], [0, 2], [1, 4]):
                for offsets in ([[0.0, 0], [1, -1]], [[0.3, -0.4], [-2, 2]], [[1e9, -1e9], [0.99, 0.5]]):
                    run(op, x, size, F(offsets), centered=centered, normalized=normalized, uniform_noise=False, noise="zero")
    run(op, x, [3, 2], F([[0, 0]]), uniform_noise=False, noise="zero")
    run(op, x, [3, 2], F([[0, 0], [1, 1]]), uniform_noise=True, noise="zero")
    run(op, x, [3, 2], F([[0, 0], [1, 1]]), uniform_noise=False, noise="none")
    # Nothing random is seen.
    run(op, x, [3, 2], F([[0, 0], [0.1, 0.1]]))
run.write("frozen")
