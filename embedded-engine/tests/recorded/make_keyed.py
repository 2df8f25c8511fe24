"""Random numbers of seeds, keys and counters, and places in tensors: writes `keyed.json.gz`.

    python make_keyed.py      (tensorflow 2.21.0)
"""

from recorder import Recorder, np, tf

run = Recorder()
for seed in ([1, 2], [-5, 9]):
    run("StatelessRandomGetKeyCounterAlg", tf.constant(seed, tf.int64))
    for dtype in (tf.int32, tf.int64, tf.uint32, tf.uint64):
        run("StatelessRandomUniformFullInt", tf.constant([2, 3]), tf.constant(seed, tf.int64), dtype=dtype)
    for alpha in (2.0, [0.5, 3.0], [[0.1], [1.0]]):
        shape = [3] + list(np.shape(alpha))
        run("StatelessRandomGammaV2", tf.constant(shape), tf.constant(seed), tf.constant(alpha, tf.float32), tolerance=1e-5)
        run("StatelessRandomPoisson", tf.constant(shape), tf.constant(seed), tf.constant(alpha) * 9, dtype=tf.int32)
run("StatelessRandomGammaV2", tf.constant([2, 3]), tf.constant([1, 2]), tf.constant([1.0, 2.0]))
run("StatelessRandomPoisson", tf.constant([2, 3]), tf.constant([1, 2]), tf.constant([1.0, 2.0]), dtype=tf.int64)
run("StatelessRandomGetAlg")
for key, counter in (([5], [3, 4]), ([0], [0, 9]), ([2**63], [2**64 - 1, 0])):
    key, counter = tf.constant(key, tf.uint64), tf.constant(counter, tf.uint64)
    for dtype in (tf.int32, tf.int64, tf.uint32, tf.uint64):
        run("StatelessRandomUniformFullIntV2", tf.constant([5]), key, counter, 1, dtype=dtype)
        if dtype in (tf.int32, tf.int64):
            run("StatelessRandomUniformIntV2", tf.constant([5]), key, counter, 1, tf.constant(3, dtype), tf.constant(100, dtype))
    run("StatelessRandomUniformIntV2", tf.constant([5]), key, counter, 1, tf.constant(-(2**62)), tf.constant(2**63 - 1))
    for value in (tf.range(10), tf.range(1), tf.constant(["a", "b", "c"]), tf.reshape(tf.range(12.0), [4, 3]), tf.constant(7)):
        run("StatelessShuffle", value, key, counter, 1)
    run("StatelessRandomGammaV3", tf.constant([4, 2]), key, counter, 1, tf.constant([2.0, 0.5]), tolerance=1e-5)
    run("StatelessRandomGammaV3", tf.constant([4]), key, counter, 1, tf.constant(2.0, tf.float64), tolerance=1e-12)
key, counter = tf.constant([5], tf.uint64), tf.constant([3, 4], tf.uint64)
run("StatelessRandomUniformIntV2", tf.constant([5]), key, counter, 1, 3, 3)
for dtype in (tf.int32, tf.int64):
    for places in (5, 0, [22, 41, 37], [], [42], [[1]]):
        run("UnravelIndex", tf.constant(places, dtype), tf.constant([7, 6], dtype))
    run("UnravelIndex", tf.constant([0], dtype), tf.constant([3, 0], dtype))
    run("UnravelIndex", tf.constant([100], dtype), tf.constant([3, 4, 9], dtype))
for axis in ([0], [1], []):
    run("UniqueWithCountsV2", tf.constant([[1, 0, 1], [1, 0, 1], [2, 0, 2]]), tf.constant(axis, tf.int64))
run("UniqueWithCountsV2", tf.constant(["b", "a", "b"]), tf.constant([], tf.int32), out_idx=tf.int64)
run.write("keyed")
