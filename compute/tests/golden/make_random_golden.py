#!/usr/bin/env python3
"""Writes random_golden.txt, the numbers that TensorFlow's CPU kernels give for fixed seeds.

Usage: make_random_golden.py [OUTPUT]. Needs tensorflow (made with 2.21.0 through tf.compat.v1, glibc 2.36).

A line is `kind dtype seed seed2 n parameters` and one word for each of three consecutive executions in
one session: the bytes in hexadecimal, or `#` and a hash where there are more than 32. The hash is
h = h * 0x100000001B3 + byte + 1 modulo 2^64 over the bytes, from 0. TensorFlow runs with one thread,
on which the rows of a multinomial depend.
"""

import ctypes
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow.compat.v1 as tf

RUNS = 3
SEEDS = [(5, 9), (87654321, 0), (-3, -(2**40))]
SIZES = [0, 1, 3, 4, 5, 255, 256, 257, 1023, 100_000]
FEW_SIZES = [1, 5, 257]
REALS = [tf.float16, tf.bfloat16, tf.float32, tf.float64]
raw = tf.raw_ops


def file_hash(values):
    """The polynomial hash of the module's text, over the bytes of `values`."""
    data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8).astype(np.uint64) + np.uint64(1)
    powers = np.full(len(data), 0x100000001B3, np.uint64)
    if len(data):
        powers[0] = 1
    powers = np.multiply.accumulate(powers)[::-1]
    return int(np.sum(data * powers, dtype=np.uint64))


def word(values):
    data = np.ascontiguousarray(values).tobytes()
    if len(data) > 32:
        return f"#{file_hash(values):016x}"
    return data.hex() or "-"


def session_runs(make, runs=RUNS):
    with tf.Graph().as_default():
        output = make()
        config = tf.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
        with tf.Session(config=config) as session:
            return [session.run(output) for _ in range(runs)]


def line(kind, dtype, seeds, n, parameters, make, runs=RUNS):
    words = [word(values) for values in session_runs(make, runs)]
    name = dtype if isinstance(dtype, str) else dtype.name
    return " ".join([kind, name, str(seeds[0]), str(seeds[1]), str(n), parameters, *words])


def simple(kind, op):
    for dtype in REALS:
        for i, seeds in enumerate(SEEDS):
            for n in SIZES if i == 0 else FEW_SIZES:
                yield line(kind, dtype, seeds, n, "-",
                           lambda: op(shape=[n], dtype=dtype, seed=seeds[0], seed2=seeds[1]))


def integers():
    ranges = {
        tf.int32: [(0, 10), (-3, 4), (0, 2**31 - 1), (-(2**31), 2**31 - 1), (0, 1)],
        tf.int64: [(0, 10), (-3, 2**33), (0, 2**63 - 1), (-(2**63), 2**63 - 1)],
    }
    for dtype, bounds in ranges.items():
        for low, high in bounds:
            for n in [0, 1, 5, 257, 100_000]:
                yield line("uniform_int", dtype, SEEDS[0], n, f"{low},{high}",
                           lambda: raw.RandomUniformInt(shape=[n], minval=tf.constant(low, dtype),
                                                        maxval=tf.constant(high, dtype), seed=SEEDS[0][0],
                                                        seed2=SEEDS[0][1]))


def logits(rows, classes, dtype):
    """Exact in every type: (37 i mod 64 - 32) / 8, every eleventh -infinity."""
    i = np.arange(rows * classes)
    values = ((i * 37 % 64) - 32) / 8
    values[i % 11 == 5] = -np.inf
    return tf.constant(values.reshape(rows, classes), dtype)


def multinomials():
    for dtype in REALS:
        for rows, classes, n in [(1, 3, 1), (1, 5, 7), (3, 4, 10), (2, 3, 0), (17, 30, 1), (300, 40, 33)]:
            yield line("multinomial", dtype, SEEDS[0], n, f"{rows},{classes}",
                       lambda: raw.Multinomial(logits=logits(rows, classes, dtype), num_samples=n,
                                               seed=SEEDS[0][0], seed2=SEEDS[0][1], output_dtype=tf.int64))


def shuffles():
    for n in SIZES:
        yield line("shuffle", tf.int64, SEEDS[0], n, "-",
                   lambda: raw.RandomShuffle(value=tf.range(n, dtype=tf.int64), seed=SEEDS[0][0],
                                             seed2=SEEDS[0][1]))


def queue_picks():
    def make(n):
        queue = raw.RandomShuffleQueueV2(component_types=[tf.int64], shapes=[()], capacity=2 * n,
                                         min_after_dequeue=0, seed=SEEDS[0][0], seed2=SEEDS[0][1])
        fill = raw.QueueEnqueueManyV2(handle=queue, components=[tf.range(n, dtype=tf.int64)])
        with tf.control_dependencies([fill]):
            return raw.QueueDequeueManyV2(handle=queue, n=n, component_types=[tf.int64])[0]

    for n in [1, 4, 21, 1000]:
        yield line("queue", tf.int64, SEEDS[0], n, "-", lambda: make(n))


def gammas():
    alphas = [0.25, 1.0, 2.5, 50.0, 0.0]
    for dtype in [tf.float16, tf.float32, tf.float64]:
        for n in [1, 257]:
            yield line("gamma", dtype, SEEDS[0], n, ",".join(map(str, alphas)),
                       lambda: raw.RandomGamma(shape=[n], alpha=tf.constant(alphas, dtype), seed=SEEDS[0][0],
                                               seed2=SEEDS[0][1]))


def poissons():
    rates = [0.25, 9.5, 10.0, 50.0, 1000.0, 0.0]
    for dtype in [tf.float16, tf.float32, tf.float64, tf.int32, tf.int64]:
        for n in [1, 257]:
            yield line("poisson", dtype, SEEDS[0], n, ",".join(map(str, rates)),
                       lambda: raw.RandomPoissonV2(shape=[n], rate=tf.constant(rates, tf.float64),
                                                   seed=SEEDS[0][0], seed2=SEEDS[0][1], dtype=dtype))


def stateless():
    ops = {
        "stateless_uniform": raw.StatelessRandomUniform,
        "stateless_normal": raw.StatelessRandomNormal,
        "stateless_truncated": raw.StatelessTruncatedNormal,
    }
    for kind, op in ops.items():
        for dtype in REALS:
            for seeds in [(1, 2), (-7, 2**40)]:
                for n in [1, 5, 1023]:
                    yield line(kind, dtype, seeds, n, "-",
                               lambda: op(shape=[n], seed=np.array(seeds, np.int64), dtype=dtype), runs=1)
    for dtype in [tf.int32, tf.int64]:
        yield line("stateless_int", dtype, (1, 2), 1023, "-5,1000",
                   lambda: raw.StatelessRandomUniformInt(shape=[1023], seed=[1, 2],
                                                         minval=tf.constant(-5, dtype),
                                                         maxval=tf.constant(1000, dtype)), runs=1)
    yield line("stateless_multinomial", tf.float32, (1, 2), 33, "30,40",
               lambda: raw.StatelessMultinomial(logits=logits(30, 40, tf.float32), num_samples=33, seed=[1, 2],
                                                output_dtype=tf.int64), runs=1)


def op_seeds():
    """`seed` and `seed2` are the graph's and the operation's seed or `none`; the word is the result."""
    values = [None, 0, 1, -1, 42, 2**31 - 2, 2**31 - 1, 2**31, 2**40 + 7, -(2**31), -(2**63), 2**63 - 1]
    for graph_seed in values:
        for op_seed in values:
            if op_seed is None and graph_seed is not None:
                continue  # its default differs between versions
            with tf.Graph().as_default():
                tf.set_random_seed(graph_seed)
                seed, seed2 = tf.random.get_seed(op_seed)
            shown = ["none" if s is None else str(s) for s in (graph_seed, op_seed)]
            yield " ".join(["op_seeds", "-", *shown, "0", "-", f"{seed or 0},{seed2 or 0}"])


def library_functions():
    """Hashes of all results that f32 normal numbers can depend on; n is the number of arguments."""
    libm = ctypes.CDLL("libm.so.6")
    libm.logf.restype = ctypes.c_float
    libm.logf.argtypes = [ctypes.c_float]
    libm.sincosf.argtypes = [ctypes.c_float, ctypes.c_void_p, ctypes.c_void_p]
    n = 1 << 23
    unit = (np.arange(n, dtype=np.uint32) | 0x3F800000).view(np.float32) - np.float32(1)
    logs = np.array([libm.logf(x) for x in np.maximum(unit, np.float32(1e-7)).tolist()], np.float32)
    angles = (2 * np.pi * unit.astype(np.float64)).astype(np.float32)
    sines, cosines = np.empty(n, np.float32), np.empty(n, np.float32)
    at = [a.ctypes.data for a in (sines, cosines)]
    for i, angle in enumerate(angles.tolist()):
        libm.sincosf(angle, at[0] + 4 * i, at[1] + 4 * i)
    for kind, values in [("logf", logs), ("sinf", sines), ("cosf", cosines)]:
        yield " ".join([kind, "float32", "0", "0", str(n), "-", word(values)])


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    output = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "random_golden.txt")
    parts = [
        simple("uniform", raw.RandomUniform),
        simple("normal", raw.RandomStandardNormal),
        simple("truncated", raw.TruncatedNormal),
        integers(), multinomials(), shuffles(), queue_picks(), gammas(), poissons(), stateless(), op_seeds(),
        library_functions(),
    ]
    with open(output, "w", encoding="ascii") as file:
        print("# Written by make_random_golden.py with tensorflow", tf.__version__, file=file)
        for part in parts:
            for text in part:
                print(text, file=file)


if __name__ == "__main__":
    main()
