"""`tf.SequenceExample`s: writes `sequences.json.gz`.

    python make_sequences.py      (tensorflow 2.21.0)
"""

from recorder import Recorder, np, tf

run = Recorder()
S = tf.TensorShape


def feature(values):
    if not values:
        return tf.train.Feature()
    if isinstance(values[0], bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
    if isinstance(values[0], float):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def example(context, lists):
    lists = {key: tf.train.FeatureList(feature=[feature(v) for v in steps]) for key, steps in lists.items()}
    return tf.train.SequenceExample(
        context=tf.train.Features(feature={key: feature(v) for key, v in context.items()}),
        feature_lists=tf.train.FeatureLists(feature_list=lists),
    ).SerializeToString()


FIRST = example({"a": [1.0, 2.0], "n": [5, 6, 7], "m": [1, 2]}, {"q": [[1], [2]], "r": [[b"u", b"v"], [], [b"w"]], "t": [[1.0, 2.0], [3.0]]})
SECOND = example({"a": [3.0, 4.0]}, {"q": [[7]], "r": [[b"k"]]})
THIRD = example({"n": [8], "m": [3]}, {"t": [[]], "q": []})
STRINGS = tf.constant([], tf.string)


def v2(serialized, missing=True, kind=tf.int64, step=S([]), defaults=[], names=STRINGS, splits=tf.int64):
    run(
        "ParseSequenceExampleV2", tf.constant(serialized), names, tf.constant(["n"]), tf.constant(["a"]), tf.constant(["m", "zz"]),
        tf.constant(["r", "absent"]), tf.constant(["q"]), tf.constant(["t"]), tf.constant([missing]), [tf.constant(defaults, tf.float32)],
        Ncontext_sparse=1, context_sparse_types=[tf.int64], context_ragged_value_types=[tf.int64, tf.string],
        context_ragged_split_types=[splits, splits], context_dense_shapes=[S([2])], Nfeature_list_sparse=2, Nfeature_list_dense=1,
        feature_list_dense_types=[kind], feature_list_sparse_types=[tf.string, tf.float32], feature_list_ragged_value_types=[tf.float32],
        feature_list_ragged_split_types=[splits], feature_list_dense_shapes=[step],
        # The outer splits of one example alone are not filled.
        keep=[at for at in range(19) if np.ndim(serialized) == 1 or at not in (6, 7, 17)],
    )


v2([FIRST, SECOND])
v2([FIRST, SECOND], splits=tf.int32)
v2([FIRST, SECOND, THIRD], defaults=[8.0, 9.0])
v2([FIRST, SECOND, THIRD])
v2(FIRST)
v2(SECOND)
v2([FIRST], kind=tf.float32)
v2([FIRST], step=S([2]))
v2([FIRST, b"no example"])
v2([FIRST], names=tf.constant(["x", "y"]))
v2([FIRST, SECOND], names=tf.constant(["x", "y"]))
v2([example({"a": [1.0, 2.0]}, {})], missing=False)
v2([example({"a": [1.0, 2.0]}, {})], missing=True)


def v1(serialized, absent=[]):
    run(
        "ParseSequenceExample", tf.constant(serialized), STRINGS, [tf.constant([], tf.float32)],
        feature_list_dense_missing_assumed_empty=absent, context_sparse_keys=["n"], context_dense_keys=["a"],
        feature_list_sparse_keys=["r"], feature_list_dense_keys=["q", "gone"], Ncontext_sparse=1, Ncontext_dense=1, Nfeature_list_sparse=1,
        Nfeature_list_dense=2, context_sparse_types=[tf.int64], feature_list_dense_types=[tf.int64, tf.float32],
        context_dense_shapes=[S([2])], feature_list_sparse_types=[tf.string], feature_list_dense_shapes=[S([]), S([2, 2])],
    )


v1([FIRST, SECOND], ["gone"])
v1([FIRST, SECOND])


def single(serialized, absent, name=""):
    run(
        "ParseSingleSequenceExample", tf.constant(serialized), tf.constant(absent, tf.string), [tf.constant("n")], [tf.constant("a")],
        [tf.constant("r")], [tf.constant("q"), tf.constant("gone")], [tf.constant([], tf.float32)], tf.constant(name),
        context_sparse_types=[tf.int64], feature_list_dense_types=[tf.int64, tf.float32], context_dense_shapes=[S([2])],
        feature_list_sparse_types=[tf.string], feature_list_dense_shapes=[S([]), S([2])],
    )


single(FIRST, ["gone"])
single(SECOND, ["gone"], "x")
single(FIRST, [])
single(THIRD, ["gone"])
run.write("sequences")
