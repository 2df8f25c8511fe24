"""Numbers of few bits: writes `quantized.json.gz`.

    python make_quantized.py      (tensorflow 2.21.0)
"""

from recorder import BITS, Recorder, np, quantized, tf

run = Recorder()
rng = np.random.default_rng(11)
F = np.float32


def numbers(*shape, dtype=np.float32, scale=4):
    return (rng.normal(size=shape) * scale).astype(dtype)


x = numbers(4, 5)
x[0, 0], x[1, 1], x[2, 2] = 0, 100, -100
for bits in (2, 8, 16):
    for narrow in (False, True):
        for least, most in ((-6.0, 6.0), (-1.0, 3.0), (0.5, 4.0), (-5.0, -1.0), (0.0, 0.0)):
            if least < most:
                run("FakeQuantWithMinMaxArgs", x, tolerance=1e-5, min=least, max=most, num_bits=bits, narrow_range=narrow)
                run("FakeQuantWithMinMaxArgsGradient", numbers(4, 5), x, tolerance=1e-5, min=least, max=most, num_bits=bits, narrow_range=narrow)
            run("FakeQuantWithMinMaxVars", x, F(least), F(most), tolerance=1e-5, num_bits=bits, narrow_range=narrow)
            run("FakeQuantWithMinMaxVarsGradient", numbers(4, 5), x, F(least), F(most), tolerance=1e-5, num_bits=bits, narrow_range=narrow)
        lows, highs = F([-6, -1, 0.5, -5, 0]), F([6, 3, 4, -1, 0])
        run("FakeQuantWithMinMaxVarsPerChannel", x, lows, highs, tolerance=1e-5, num_bits=bits, narrow_range=narrow)
        run("FakeQuantWithMinMaxVarsPerChannelGradient", numbers(4, 5), x, lows, highs, tolerance=1e-5, num_bits=bits, narrow_range=narrow)
run("FakeQuantWithMinMaxArgs", x, num_bits=1)
run("FakeQuantWithMinMaxArgs", x, min=2.0, max=1.0)
run("FakeQuantWithMinMaxVars", x, F([1, 2]), F(1))
run("FakeQuantWithMinMaxVarsPerChannel", x, F([1, 2]), F([1, 2]))
run("FakeQuantWithMinMaxVars", x[:0], F(-1), F(1))

for dtype, tolerance in ((np.float32, 1e-5), (np.float64, 1e-9)):
    x = numbers(3, 4, dtype=dtype)
    for signed in (True, False):
        for given in (True, False):
            for narrow in (False, True):
                for mode in ("HALF_TO_EVEN", "HALF_UP"):
                    for op in ("QuantizeAndDequantizeV2", "QuantizeAndDequantizeV4"):
                        run(op, x, dtype(-2), dtype(3), tolerance=tolerance, signed_input=signed, range_given=given, narrow_range=narrow, round_mode=mode)
                if not given:
                    run("QuantizeAndDequantizeV2", x, -np.arange(1, 5).astype(dtype), np.arange(2, 6).astype(dtype), tolerance=tolerance, signed_input=signed, range_given=given, narrow_range=narrow, axis=1)
                run("QuantizeAndDequantizeV3", x, dtype(-2), dtype(3), 6, tolerance=tolerance, signed_input=signed, range_given=given, narrow_range=narrow)
    run("QuantizeAndDequantizeV4Grad", numbers(3, 4, dtype=dtype), x, dtype(-2), dtype(3), tolerance=tolerance)
    run("QuantizeAndDequantizeV4Grad", numbers(3, 4, dtype=dtype), x, -np.ones(3, dtype), np.ones(3, dtype), tolerance=tolerance, axis=0)
run("QuantizeAndDequantizeV2", numbers(3), F(3), F(2), range_given=True)
run("QuantizeAndDequantizeV2", numbers(3), F(1), F(2), num_bits=0)

def integers(*shape, dtype=tf.quint8):
    info = np.iinfo(BITS[dtype].as_numpy_dtype)
    return quantized(rng.integers(info.min, int(info.max) + 1, shape), dtype)


TYPES = (tf.quint8, tf.qint8, tf.qint16, tf.quint16, tf.qint32)
x = numbers(3, 7)
for dtype in TYPES:
    for mode in ("MIN_COMBINED", "MIN_FIRST", "SCALED"):
        for least, most in ((-6.0, 6.0), (0.0, 3.0), (-8.0, -1.0), (1.0, 1.0), (0.0, 0.0)):
            if dtype in (tf.quint8, tf.qint8) or (mode == "SCALED" and dtype != tf.qint32):
                run("QuantizeV2", x, F(least), F(most), tolerance=1, T=dtype, mode=mode)
            if mode == "SCALED" and dtype in (tf.qint8, tf.quint8):
                for narrow in (False, True) if dtype == tf.qint8 else (False,):
                    run("QuantizeV2", x, F(least), F(most), tolerance=1e-5, T=dtype, mode=mode, round_mode="HALF_TO_EVEN", narrow_range=narrow)
            values = integers(3, 7, dtype=dtype)
            if not (dtype in (tf.quint16, tf.quint8) and mode == "SCALED" and least < 0):
                run("Dequantize", values, F(least), F(most), tolerance=2e-5, mode=mode)
run("QuantizeV2", x, F([-1, -2, -3]), F([1, 2, 4]), tolerance=1e-5, T=tf.qint8, mode="SCALED", axis=0)
run("Dequantize", quantized(rng.integers(-128, 128, (3, 7)), tf.qint8), F([-1, -2, -3]), F([1, 2, 4]), tolerance=1e-5, mode="SCALED", axis=0)
run("QuantizeV2", x, F(2), F(1), T=tf.quint8)


for transpose_a, transpose_b in ((False, False), (True, False), (False, True), (True, True)):
    a, b = integers(*((5, 3) if transpose_a else (3, 5))), integers(*((4, 5) if transpose_b else (5, 4)))
    run("QuantizedMatMul", a, b, F(-1), F(3), F(0), F(2), tolerance=1e-5, Toutput=tf.qint32, transpose_a=transpose_a, transpose_b=transpose_b)
run("QuantizedMatMul", integers(3, 5), integers(4, 4), F(-1), F(3), F(0), F(2), Toutput=tf.qint32)
for padding in ("SAME", "VALID"):
    for stride in (1, 2):
        run("QuantizedConv2D", integers(2, 5, 6, 3), integers(3, 2, 3, 4), F(-1), F(3), F(-0.5), F(2), tolerance=1e-5, out_type=tf.qint32, strides=[1, stride, stride, 1], padding=padding)
        run("QuantizedMaxPool", integers(2, 5, 6, 3), F(-1), F(3), ksize=[1, 3, 2, 1], strides=[1, stride, stride, 1], padding=padding)
        run("QuantizedAvgPool", integers(2, 5, 6, 3), F(-1), F(3), ksize=[1, 3, 2, 1], strides=[1, stride, stride, 1], padding=padding)
sums = quantized(rng.integers(-(2**20), 2**20, (2, 3, 4)), tf.qint32)
run("QuantizedBiasAdd", integers(3, 4), integers(4), F(-1), F(3), F(-2), F(2), tolerance=1, out_type=tf.qint32)
run("QuantizedRelu", integers(3, 4), F(-1), F(3), out_type=tf.quint8)
run("QuantizedRelu6", integers(3, 4), F(-2), F(9), out_type=tf.quint8)
run("QuantizedReshape", integers(3, 4), [2, -1], F(-2), F(9))
run("QuantizedReshape", integers(3, 4), [5, -1], F(-2), F(9))
parts = [integers(2, 3), integers(2, 2)]
run("QuantizedConcat", np.int32(1), parts, [tf.constant(F(-1)), tf.constant(F(-1))], [tf.constant(F(3)), tf.constant(F(3))])
run("QuantizedConcat", np.int32(1), parts, [tf.constant(F(-1)), tf.constant(F(-2))], [tf.constant(F(3)), tf.constant(F(1))], tolerance=1)
run("QuantizedConcat", np.int32(0), parts, [tf.constant(F(-1)), tf.constant(F(-2))], [tf.constant(F(3)), tf.constant(F(1))])
run("RequantizationRange", sums, F(-100), F(100), tolerance=1e-5)
run("Requantize", sums, F(-1000), F(1000), F(-0.3), F(0.4), tolerance=1, out_type=tf.quint8)
run("QuantizeDownAndShrinkRange", sums, F(-1000), F(1000), tolerance=1, out_type=tf.quint8)
run.write("quantized")
