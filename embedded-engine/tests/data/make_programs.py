#!/usr/bin/env python3
"""Makes the folders `program_*` beside this file: TensorFlow 1 programs that train from datasets, with the losses of their first steps.

    pip install tensorflow-cpu==2.21.0
    python make_programs.py [NAME ...]

The form of the folders is in README.md.
"""

import json
import os
import shutil
import sys
import traceback
from collections import Counter

import make_op_cases as cases
import numpy as np
import tensorflow as tf

v1 = tf.compat.v1
D, X = v1.data.Dataset, v1.data.experimental
PROGRAMS = {}


def program(build):
    PROGRAMS["program_" + build.__name__] = build
    return build


def ramp(*shape):
    return np.sin(np.arange(np.prod(shape), dtype=np.float32) * 1.7).reshape(shape).astype(np.float32) * 0.5


def variable(name, *shape):
    return v1.get_variable(name, initializer=ramp(*shape))


def trained(loss, optimizer=None):
    """The loss before the update that a step makes."""
    step = (optimizer or v1.train.GradientDescentOptimizer(0.1)).minimize(loss, v1.train.get_or_create_global_step())
    loss = tf.identity(loss, "loss")
    with tf.control_dependencies([loss]):
        return [loss, tf.group(step)]


def linear(features, labels, name="weights"):
    logits = tf.squeeze(tf.matmul(features, variable(name, int(features.shape[-1]), 1)), -1)
    return tf.reduce_mean(tf.square(logits - tf.cast(labels, tf.float32)))


def floats(values):
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def ints(*values):
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def write_examples(name, count, first=0, compression=""):
    rows = []
    for number in range(first, first + count):
        feature = {"x": floats(ramp(4) * (number % 7)), "y": ints(number % 3), "words": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"w%d" % (number % 5)] * (number % 4)))}
        rows.append(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString(deterministic=True))
    cases.records(name, rows, compression)


FEATURES = {"x": tf.io.FixedLenFeature([4], tf.float32), "y": tf.io.FixedLenFeature([], tf.int64)}


@program
def records(_):
    """Records, parsed one by one, shuffled and batched."""
    write_examples("a", 20)
    write_examples("b", 9, 20)

    def parse(record):
        parsed = v1.parse_single_example(record, FEATURES)
        return parsed["x"], parsed["y"]
    dataset = v1.data.TFRecordDataset(["data/a", "data/b"]).map(parse, num_parallel_calls=2).shuffle(10, seed=3).repeat().batch(8).prefetch(1)
    iterator = v1.data.make_initializable_iterator(dataset)
    loss = trained(linear(*iterator.get_next()))
    return [iterator.initializer] + [loss] * 6


@program
def batches_of_records(_):
    """Compressed shards, interleaved, parsed by batches, with sparse features."""
    for shard in range(3):
        write_examples(f"part-{shard}", 8, shard * 8, "GZIP")
    files = D.list_files("data/part-*", shuffle=True, seed=5)
    dataset = files.apply(X.parallel_interleave(lambda name: v1.data.TFRecordDataset(name, "GZIP"), cycle_length=2, block_length=1))
    dataset = dataset.apply(X.shuffle_and_repeat(16, 3, seed=7)).batch(6)
    features = dict(FEATURES, words=tf.io.VarLenFeature(tf.string))
    dataset = dataset.map(lambda batch: tf.io.parse_example(batch, features))
    parsed = v1.data.make_one_shot_iterator(dataset).get_next()
    buckets = tf.strings.to_hash_bucket_fast(parsed["words"].values, 6)
    ids = tf.SparseTensor(parsed["words"].indices, buckets, parsed["words"].dense_shape)
    words = tf.nn.safe_embedding_lookup_sparse(variable("words", 6, 4), ids, combiner="mean")
    words = tf.concat([words, tf.zeros([tf.shape(parsed["x"])[0] - tf.shape(words)[0], 4])], 0)
    return [trained(linear(tf.reshape(parsed["x"] + words, [-1, 4]), parsed["y"]))] * 6


@program
def text(_):
    """Lines of words, looked up in tables, in padded batches."""
    cases.put("lines.txt", b"the cat sat\t1\na dog\t0\nthe dog sat on the cat\t1\nunknown words here\t0\ncat\t1\n")
    cases.put("words.txt", b"the\ncat\nsat\ndog\na\n")
    words = v1.tables_initializer  # the tables are initialized by name
    table = tf.lookup.StaticVocabularyTable(tf.lookup.TextFileInitializer("data/words.txt", tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER), 2)

    def parse(line):
        parts = v1.string_split([line], "\t").values
        tokens = v1.string_split([parts[0]]).values
        return table.lookup(tokens), tf.size(tokens), v1.string_to_number(parts[1], tf.int32)
    dataset = v1.data.TextLineDataset("data/lines.txt").map(parse).repeat(4).padded_batch(3, ([None], [], []), (tf.constant(-1, tf.int64), 0, 0))
    iterator = v1.data.make_initializable_iterator(dataset)
    ids, lengths, labels = iterator.get_next()
    vectors = tf.nn.embedding_lookup(variable("vectors", 8, 4), ids + 1)
    mask = tf.sequence_mask(lengths, dtype=tf.float32)
    pooled = tf.reduce_sum(vectors * mask[:, :, None], 1) / tf.cast(lengths, tf.float32)[:, None]
    return [words(), iterator.initializer] + [trained(linear(pooled, labels))] * 6


@program
def images(_):
    """Encoded images, decoded, resized and flipped."""
    with v1.Session(graph=tf.Graph()) as session:
        for number in range(5):
            picture = ((np.arange(6 * 5 * 3) * (number + 3)) % 251).reshape(6, 5, 3).astype(np.uint8)
            cases.put(f"{number}.png", session.run(tf.io.encode_png(picture)))
    names, labels = [f"data/{number}.png" for number in range(5)], [0, 1, 2, 1, 0]

    def load(name, label):
        picture = tf.image.decode_png(tf.io.read_file(name), channels=3)
        picture = tf.image.convert_image_dtype(picture, tf.float32)
        picture = v1.image.resize_images(picture, [4, 4])
        picture = tf.cond(tf.equal(label, 1), lambda: tf.image.flip_left_right(picture), lambda: picture)
        return tf.image.per_image_standardization(picture), label
    dataset = D.from_tensor_slices((names, labels)).apply(X.map_and_batch(load, 2, num_parallel_calls=2)).repeat(3)
    pictures, labels = v1.data.make_one_shot_iterator(dataset).get_next()
    hidden = tf.nn.relu(tf.nn.conv2d(pictures, variable("filters", 3, 3, 3, 4), [1, 2, 2, 1], "SAME"))
    logits = tf.matmul(tf.reduce_mean(hidden, [1, 2]), variable("out", 4, 3))
    return [trained(tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)))] * 6


@program
def placeholders(_):
    """Arrays that are fed to the initializer."""
    x, y = v1.placeholder(tf.float32, [None, 3]), v1.placeholder(tf.float32, [None])
    size = v1.placeholder_with_default(tf.constant(4, tf.int64), [])
    dataset = D.from_tensor_slices({"x": x, "y": y}).shuffle(100, seed=2).repeat().batch(size)
    iterator = v1.data.make_initializable_iterator(dataset)
    batch = iterator.get_next()
    step = trained(linear(batch["x"], batch["y"]), v1.train.AdamOptimizer(0.05))
    feed = {x: ramp(9, 3), y: ramp(9)}
    again = {x: ramp(5, 3) * 2, y: ramp(5), size: np.int64(2)}
    return [(iterator.initializer, feed)] + [step] * 4 + [(iterator.initializer, again)] + [step] * 3


@program
def handles(_):
    """Training and validation through a string handle."""
    train = D.from_tensor_slices((ramp(10, 3), ramp(10))).shuffle(10, seed=4).repeat().batch(4)
    valid = D.from_tensor_slices((ramp(6, 3) * 0.5, ramp(6))).batch(3)
    handle = v1.placeholder(tf.string, [])
    iterator = v1.data.Iterator.from_string_handle(handle, v1.data.get_output_types(train), v1.data.get_output_shapes(train))
    first, second = v1.data.make_one_shot_iterator(train), v1.data.make_initializable_iterator(valid)
    loss = linear(*iterator.get_next())
    step = trained(loss)
    plan = [("handle", "train", first.string_handle()), ("handle", "valid", second.string_handle())]
    for _ in range(2):
        plan += [(step, {handle: "handle train"})] * 3 + [second.initializer] + [([step[0]], {handle: "handle valid"})] * 3
    return plan


@program
def reinitializable(_):
    """One iterator over two datasets."""
    def augment(x, y):
        return x + tf.random.uniform([3], seed=11) * 0.1, y
    train = D.from_tensor_slices((ramp(8, 3), ramp(8))).map(augment).shuffle(8, seed=6).batch(4, drop_remainder=True)
    valid = D.from_tensor_slices((ramp(4, 3), ramp(4))).batch(4, drop_remainder=True)
    iterator = v1.data.Iterator.from_structure(v1.data.get_output_types(train), v1.data.get_output_shapes(train))
    to_train, to_valid = iterator.make_initializer(train), iterator.make_initializer(valid)
    step = trained(linear(*iterator.get_next()), v1.train.MomentumOptimizer(0.1, 0.9))
    return [to_train, step, step, step, to_valid, step, step, to_train, step]


@program
def csv(_):
    """Columns of numbers and text."""
    rows = "".join(f"{n * 0.5},{'red' if n % 2 else 'blue'},{n % 3},{n}\n" for n in range(12))
    cases.put("table.csv", ("size,color,kind,label\n" + rows).encode())
    dataset = X.make_csv_dataset("data/table.csv", 4, label_name="label", column_defaults=[0.0, "", 0, 0.0], shuffle=True, shuffle_seed=9, shuffle_buffer_size=6, num_epochs=2)
    features, label = v1.data.make_one_shot_iterator(dataset).get_next()
    color = tf.cast(tf.equal(features["color"], "red"), tf.float32)
    x = tf.stack([features["size"], color, tf.cast(features["kind"], tf.float32)], 1)
    return [trained(linear(x * 0.1, label * 0.1))] * 7


@program
def buckets(_):
    """Sequences, batched by their lengths, through a recurrent loop."""
    rows = D.range(1, 24).map(lambda n: (tf.cast(tf.range(n % 7 + 1), tf.float32) * 0.1, tf.cast(n % 2, tf.float32)))
    dataset = rows.apply(X.bucket_by_sequence_length(lambda x, _: tf.size(x), [3, 5], [4, 3, 2])).repeat()
    x, y = v1.data.make_one_shot_iterator(dataset).get_next()
    w = variable("w", 2)
    _, state = v1.while_loop(lambda at, _: at < tf.shape(x)[1], lambda at, h: (at + 1, tf.tanh(h * w[0] + x[:, at] * w[1])), [0, tf.zeros_like(y)])
    return [trained(tf.reduce_mean(tf.square(state - y)))] * 7


@program
def groups(_):
    """Windows of elements with one key, and windows that slide."""
    numbers = D.range(30).map(lambda n: tf.cast(n, tf.float32) * 0.1)
    windows = numbers.window(4, shift=2, drop_remainder=True).flat_map(lambda w: w.batch(4))
    grouped = windows.apply(X.group_by_window(lambda w: tf.cast(w[0] * 10, tf.int64) % 3, lambda key, ws: ws.batch(2), window_size=2))
    sums = grouped.apply(X.scan(tf.constant(0.0), lambda s, w: (s + tf.reduce_sum(w), (w, s * 0.01))))
    window, total = v1.data.make_one_shot_iterator(sums).get_next()
    return [trained(linear(tf.reshape(window, [-1, 4])[:, :3], window[:, 3] + total))] * 6


@program
def mixtures(_):
    """Datasets drawn from by weights, chosen from by turns, and resampled."""
    kinds = [D.from_tensors((np.float32(n), n)).repeat() for n in range(3)]
    sampled = X.sample_from_datasets(kinds, [0.2, 0.3, 0.5], seed=8)
    chosen = X.choose_from_datasets(kinds, D.range(3).repeat())
    both = D.zip((sampled, chosen)).map(lambda a, b: (tf.stack([a[0], b[0], tf.cast(a[1] * b[1], tf.float32)]), a[1]))
    resampled = both.apply(X.rejection_resample(lambda x, y: y, [0.3, 0.3, 0.4], initial_dist=[0.2, 0.3, 0.5], seed=1)).map(lambda _, rest: rest)
    iterator = v1.data.make_initializable_iterator(resampled.batch(5))
    return [iterator.initializer] + [trained(linear(*iterator.get_next()))] * 6


@program
def functions(_):
    """Datasets within functions, and sums over them."""
    @tf.function
    def mean(stop):
        total = D.range(stop).map(lambda n: tf.cast(n, tf.float32)).reduce(tf.constant(0.0), lambda s, x: s + x)
        return total / tf.cast(stop, tf.float32)
    scale = D.from_tensor_slices(ramp(6, 3)).reduce(tf.zeros([3]), lambda s, x: s + tf.abs(x)) / 6.0
    count = v1.placeholder_with_default(tf.constant(5, tf.int64), [])
    dataset = D.from_tensor_slices((ramp(12, 3), ramp(12))).batch(4).cache().repeat().enumerate()
    at, (x, y) = v1.data.make_one_shot_iterator(dataset).get_next()
    step = trained(linear(x / scale, y + mean(count) * 0.1 + tf.cast(at, tf.float32) * 0.01))
    return [step] * 3 + [(step, {count: np.int64(9)})] * 3


@program
def sparse_and_ragged(_):
    """Sparse and ragged tensors as elements."""
    sparse = tf.SparseTensor([[0, 1], [1, 0], [1, 2], [3, 3], [4, 0]], [1.0, 2.0, 3.0, 4.0, 5.0], [6, 4])
    ragged = tf.ragged.constant([[1, 2], [], [3], [0, 1, 2], [3], [2]], dtype=tf.int64)
    dataset = D.zip((D.from_tensor_slices(sparse), D.from_tensor_slices(ragged), D.range(6))).shuffle(4, seed=3).repeat().batch(3)
    iterator = v1.data.make_initializable_iterator(dataset)
    rows, ids, label = iterator.get_next()
    hidden = tf.sparse.sparse_dense_matmul(rows, variable("dense", 4, 3))
    vectors = tf.ragged.map_flat_values(lambda flat: tf.gather(variable("vectors", 4, 3), flat), ids)
    hidden += tf.reduce_sum(vectors, axis=1) + tf.reduce_sum(vectors.to_tensor(0.5), axis=1) * 0.1
    return [iterator.initializer] + [trained(linear(tf.reshape(hidden, [-1, 3]), tf.cast(label, tf.float32) * 0.2))] * 6


@program
def cached_and_unbatched(_):
    """A cache in files, taken apart, filtered and numbered."""
    cases.put("readme", b"The cache is written here.\n")
    batches = D.from_tensor_slices((ramp(12, 3), np.arange(12, dtype=np.int32))).batch(4)
    dataset = batches.apply(X.unbatch()).filter(lambda x, n: tf.not_equal(n % 4, 2)).cache("data/cached").apply(X.enumerate_dataset())
    dataset = dataset.map(lambda at, row: (row[0], tf.cast(at, tf.float32) * 0.1)).apply(X.take_while(lambda x, y: y < 0.85)).repeat().batch(3)
    iterator = v1.data.make_initializable_iterator(dataset)
    return [iterator.initializer] + [trained(linear(*iterator.get_next()))] * 7


@program
def optional(_):
    """Elements that may be absent: a loop of one epoch within the graph."""
    dataset = D.from_tensor_slices((ramp(7, 3), ramp(7))).batch(2)
    iterator = v1.data.make_initializable_iterator(dataset)
    value = v1.data.experimental.get_next_as_optional(iterator)
    loss = tf.cond(value.has_value(), lambda: linear(*value.get_value()), lambda: tf.constant(-1.0))
    return [iterator.initializer] + [[tf.identity(loss)]] * 6


@program
def sequences(_):
    """Sequence examples, padded by buckets, through a recurrent layer with masks."""
    def record(number):
        steps = [tf.train.Feature(float_list=tf.train.FloatList(value=ramp(2) * (number + at))) for at in range(number % 4 + 1)]
        lists = tf.train.FeatureLists(feature_list={"steps": tf.train.FeatureList(feature=steps)})
        context = tf.train.Features(feature={"label": ints(number % 2)})
        return tf.train.SequenceExample(context=context, feature_lists=lists).SerializeToString(deterministic=True)
    cases.records("sequences", [record(number) for number in range(14)])

    def parse(serialized):
        context, lists = tf.io.parse_single_sequence_example(serialized, {"label": tf.io.FixedLenFeature([], tf.int64)}, {"steps": tf.io.FixedLenSequenceFeature([2], tf.float32)})
        return lists["steps"], tf.shape(lists["steps"])[0], context["label"]
    dataset = v1.data.TFRecordDataset("data/sequences").map(parse).cache().shuffle(6, seed=12).repeat().padded_batch(4, ([None, 2], [], []))
    iterator = v1.data.make_initializable_iterator(dataset)
    x, lengths, labels = iterator.get_next()
    kernel, bias = variable("kernel", 5, 3), v1.get_variable("bias", initializer=np.zeros(3, np.float32))

    def body(at, h):
        new = tf.tanh(tf.matmul(tf.concat([x[:, at], h], 1), kernel) + bias)
        return at + 1, tf.where(tf.less(at, lengths)[:, None] & tf.ones_like(h, tf.bool), new, h)
    _, state = v1.while_loop(lambda at, _: at < tf.shape(x)[1], body, [0, tf.zeros([4, 3])])
    return [iterator.initializer] + [trained(linear(state, labels), v1.train.AdagradOptimizer(0.2))] * 7


@program
def ragged_examples(_):
    """Ragged features of records, embedded and pooled."""
    rows = []
    for number in range(11):
        feature = {"words": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"w%d" % (number * at % 6) for at in range(number % 4)])), "y": ints(number % 3)}
        rows.append(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString(deterministic=True))
    cases.records("ragged", rows)
    features = {"words": tf.io.RaggedFeature(tf.string, row_splits_dtype=tf.int64), "y": tf.io.FixedLenFeature([], tf.int64)}
    dataset = v1.data.TFRecordDataset("data/ragged").repeat(3).batch(4).apply(X.parse_example_dataset(features, num_parallel_calls=2)).prefetch(2)
    iterator = v1.data.make_initializable_iterator(dataset)
    parsed = iterator.get_next()
    ids = tf.ragged.map_flat_values(lambda words: tf.strings.to_hash_bucket_fast(words, 8), parsed["words"])
    vectors = tf.ragged.map_flat_values(lambda flat: tf.gather(variable("vectors", 8, 4), flat), ids)
    dense = vectors.to_tensor()
    pooled = tf.reduce_sum(dense, 1) / tf.cast(tf.maximum(ids.row_lengths(), 1), tf.float32)[:, None]
    return [iterator.initializer] + [trained(linear(tf.reshape(pooled, [-1, 4]), parsed["y"]))] * 7


@program
def sharded(_):
    """Shards of rows for two workers, stacked by zip, with an end that a loop sees."""
    rows = D.from_tensor_slices({"x": ramp(14, 3), "meta": {"y": ramp(14), "id": np.arange(14)}})
    halves = [rows.shard(2, index).shuffle(3, seed=index + 1, reshuffle_each_iteration=False).repeat(2) for index in range(2)]
    both = D.zip(tuple(halves)).map(lambda a, b: (tf.stack([a["x"], b["x"]]), tf.stack([a["meta"]["y"], b["meta"]["y"]])))
    dataset = both.apply(X.unbatch()).batch(6, drop_remainder=True).apply(X.ignore_errors())
    iterator = v1.data.make_initializable_iterator(dataset)
    return [iterator.initializer] + [trained(linear(*iterator.get_next()))] * 6


@program
def fixed_records(_):
    """Records of one length, decoded from bytes, as of CIFAR."""
    rows = np.arange(7 * 13, dtype=np.uint8).reshape(7, 13)
    cases.put("rows.bin", b"head" + rows.tobytes() + b"t")

    def parse(record):
        raw = tf.io.decode_raw(record, tf.uint8)
        pixels = tf.reshape(tf.cast(raw[1:], tf.float32) / 255.0, [3, 2, 2])
        return tf.transpose(pixels, [1, 2, 0]), tf.cast(raw[0] % 3, tf.int64)
    dataset = v1.data.FixedLengthRecordDataset("data/rows.bin", 13, 4, 1).apply(X.map_and_batch(parse, 3, num_parallel_batches=1, drop_remainder=True)).repeat()
    images, labels = v1.data.make_one_shot_iterator(dataset).get_next()
    logits = tf.matmul(tf.reshape(images, [3, 12]), variable("out", 12, 3))
    return [trained(v1.losses.sparse_softmax_cross_entropy(labels, logits))] * 6


# ---- recording -------------------------------------------------------------

def step(session, kept, entry):
    """Runs an entry of a plan; returns the step of the fixture."""
    if isinstance(entry, tuple) and entry[0] == "handle":
        _, key, tensor = entry
        kept[key] = session.run(tensor)
        return {"handle": key, "tensor": tensor.name}
    what, feed = entry if isinstance(entry, tuple) else (entry, {})
    given = {tensor: kept[value[len("handle "):]] if isinstance(value, str) else value for tensor, value in feed.items()}
    made = {"feed": {tensor.name: value if isinstance(value, str) else cases.plain(value) for tensor, value in feed.items()}} if feed else {}
    if isinstance(what, list):
        tensors = [item for item in what if isinstance(item, tf.Tensor)]
        operations = [item for item in what if not isinstance(item, tf.Tensor)]
        values, failed = cases.attempt(lambda: session.run([tensors, operations], given)[0])
        made.update(fetch=[tensor.name for tensor in tensors], targets=[operation.name for operation in operations], values=failed or [cases.plain(value) for value in values])
    else:
        _, failed = cases.attempt(lambda: session.run(what, given))
        made.update(run=what.name)
    return {**made, **({"error": failed} if failed else {})}


def make(name):
    target = os.path.join(cases.HERE, name)
    shutil.rmtree(target, ignore_errors=True)
    os.makedirs(target)
    os.chdir(target)
    with tf.Graph().as_default() as graph:
        v1.set_random_seed(17)
        plan = PROGRAMS[name](None)
        variables = v1.global_variables_initializer()
        session, kept = v1.Session(graph=graph), {}
        session.run(variables)
        steps = [step(session, kept, entry) for entry in plan]
        meta = v1.train.export_meta_graph(clear_extraneous_savers=True)
    for node in [*meta.graph_def.node, *(node for f in meta.graph_def.library.function for node in f.node_def)]:
        node.ClearField("experimental_debug_info")
    meta.meta_info_def.Clear()
    cases.put_compressed("pipeline.meta", meta.SerializeToString(deterministic=True))
    expected = {
        "note": PROGRAMS[name].__doc__,
        "tolerance": 1e-5,
        "table_initializers": [],
        "ops": dict(Counter(node.op for node in meta.graph_def.node)),
        "function_ops": dict(Counter(node.op for f in meta.graph_def.library.function for node in f.node_def)),
        "iterators": [{"name": name, "kind": "program", "outputs": [], "sessions": [steps]}],
    }
    cases.put_compressed("expected.json", json.dumps(expected, separators=(",", ":")).encode())
    for left in os.listdir("data") if os.path.isdir("data") else []:
        if left.startswith("cached"):
            os.remove(os.path.join("data", left))
    losses = [entry.get("values") for entry in steps if "fetch" in entry]
    print(name, [len(losses)], losses[0], losses[-1], [entry["error"] for entry in steps if "error" in entry][:2])


if __name__ == "__main__":
    for chosen in sys.argv[1:] or sorted(PROGRAMS):
        try:
            make(chosen)
        except Exception:
            traceback.print_exc()
            print(chosen, "failed")
    sys.stdout.flush()
    os._exit(0)
