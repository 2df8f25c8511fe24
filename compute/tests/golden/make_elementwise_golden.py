"""Writes elementwise.csv: what TensorFlow's elementwise operations make of edge cases and random numbers.

Run with a Python that has TensorFlow 2: `python make_elementwise_golden.py`. Each line is `case,name,values`, where
values are the bits of the numbers in hexadecimal (integers in decimal), separated by spaces. The case
`unary/f32` has the inputs `x`, and `Exp` and its like their results; `binary/f32` has `x` and `y`.
"""

import os
import pathlib

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf

OPS = tf.raw_ops
BITS = {2: np.uint16, 4: np.uint32, 8: np.uint64}
LINES = []
BF16 = tf.bfloat16.as_numpy_dtype

UNARY = """Neg Abs Sign Square Sqrt Rsqrt Reciprocal Exp Expm1 Log Log1p Sin Cos Tan Asin Acos Atan Sinh Cosh Tanh
Asinh Acosh Atanh Sigmoid Softplus Softsign Relu Relu6 LeakyRelu Elu Selu Floor Ceil Round Rint Erf Erfc Lgamma
Invert Conj IsNan IsInf IsFinite""".split()
BINARY = """AddV2 Sub Mul RealDiv Div TruncateDiv FloorDiv FloorMod Mod Pow Maximum Minimum SquaredDifference Atan2
DivNoNan MulNoNan Xdivy Xlogy Xlog1py BitwiseAnd BitwiseOr BitwiseXor LeftShift RightShift Less LessEqual Greater
GreaterEqual Equal NotEqual ReluGrad Relu6Grad LeakyReluGrad EluGrad SeluGrad SoftplusGrad SoftsignGrad
SigmoidGrad TanhGrad SqrtGrad RsqrtGrad ReciprocalGrad""".split()
# The operations whose arguments are not called x and y.
ARGUMENTS = {
    "Atan2": ("y", "x"), "Relu": ("features",), "Relu6": ("features",), "LeakyRelu": ("features",),
    "Elu": ("features",), "Selu": ("features",), "Softplus": ("features",), "Softsign": ("features",),
    "ReluGrad": ("gradients", "features"), "Relu6Grad": ("gradients", "features"),
    "LeakyReluGrad": ("gradients", "features"), "EluGrad": ("gradients", "outputs"),
    "SeluGrad": ("gradients", "outputs"), "SoftplusGrad": ("gradients", "features"),
    "SoftsignGrad": ("gradients", "features"), "SigmoidGrad": ("y", "dy"), "TanhGrad": ("y", "dy"),
    "SqrtGrad": ("y", "dy"), "RsqrtGrad": ("y", "dy"), "ReciprocalGrad": ("y", "dy"), "Conj": ("input",),
}


def write(case, name, values):
    values = np.asarray(values)
    if values.dtype.kind in "iub":
        LINES.append(f"{case},{name}," + " ".join(str(int(v)) for v in values))
        return
    if values.dtype.kind == "c":
        values = values.view(np.float32)
    size = values.dtype.itemsize
    bits = np.ascontiguousarray(values).view(BITS[size])
    LINES.append(f"{case},{name}," + " ".join(f"{int(b):0{2 * size}x}" for b in bits))


def run(case, names, inputs):
    for name, value in zip("xy", inputs):
        write(case, name, value)
    for name in names:
        keys = ARGUMENTS.get(name, "xy"[: len(inputs)])
        try:
            result = getattr(OPS, name)(**{key: tf.constant(value) for key, value in zip(keys, inputs)})
        except (tf.errors.NotFoundError, tf.errors.InvalidArgumentError, tf.errors.InternalError, TypeError):
            continue  # TensorFlow has no such kernel for the type, or a divisor is 0.
        write(case, name, result.numpy())


def pairs(values):
    return np.repeat(values, len(values)), np.tile(values, len(values))


def main():
    rng = np.random.default_rng(1)
    for dtype, tag, big, small in [(np.float32, "f32", 3e38, 1e-30), (np.float64, "f64", 1e300, 1e-300),
                                   (np.float16, "f16", 6e4, 1e-4), (BF16, "bf16", 3e38, 1e-30)]:
        count = 60 if tag == "f32" else 12
        edges = np.array([0.0, -0.0, 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, 3, 6, 6.5, 20, -20, 88, -87, 100, -100, 1e4,
                          big, -big, small, -small, np.inf, -np.inf, np.nan, 0.999, 1.001, -14, 14, 9, -9])
        x = np.concatenate([edges, rng.standard_normal(count) * 3, rng.standard_normal(8) * 0.01]).astype(dtype)
        run(f"unary/{tag}", UNARY, [x])
        edges = np.array([0.0, -0.0, 1, -1, 2, -3, 0.5, 7, 6, np.inf, -np.inf, np.nan])
        if tag != "f32":
            edges = edges[[0, 2, 3, 4, 5, 9, 11]]
        x, y = pairs(edges)
        x = np.concatenate([x, rng.standard_normal(count) * 5]).astype(dtype)
        y = np.concatenate([y, rng.standard_normal(count) * 2]).astype(dtype)
        run(f"binary/{tag}", BINARY, [x, y])
    for dtype, tag in [(np.int8, "i8"), (np.int32, "i32"), (np.int64, "i64"), (np.uint8, "u8"), (np.uint32, "u32")]:
        limits = np.iinfo(dtype)
        values = np.array([0, 1, 2, 3, 5, 6, 7, 100, limits.max, limits.max - 1], dtype)
        if limits.min < 0:
            values = np.concatenate([values, np.array([-1, -2, -3, -7, limits.min], dtype)])
        run(f"unary/{tag}", UNARY, [values])
        x, y = pairs(values)
        run(f"binary/{tag}", [op for op in BINARY if op != "Pow"], [x, y])
        # Without divisors of 0 and exponents below it.
        run(f"division/{tag}", ["Div", "TruncateDiv", "FloorDiv", "FloorMod", "Mod"], [x[y != 0], y[y != 0]])
        run(f"power/{tag}", ["Pow"], [x[(y >= 0) & (y <= 100)], y[(y >= 0) & (y <= 100)]])
    z = (rng.standard_normal(12) + 1j * rng.standard_normal(12)).astype(np.complex64)
    w = (rng.standard_normal(12) + 1j * rng.standard_normal(12)).astype(np.complex64)
    run("unary/c32", UNARY, [z])
    run("binary/c32", BINARY, [z, w])
    path = pathlib.Path(__file__).with_name("elementwise.csv")
    path.write_text("\n".join(LINES) + "\n")


if __name__ == "__main__":
    main()
