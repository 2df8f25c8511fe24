"""Layers and losses, written with the operations of TensorFlow 1.

Prints JSON: for each model its variables by name with their shapes, its output, and the gradients of the sum of the squared output
with regard to the variables and the input `x`, for the values that `values` gives. And what initializers give.
"""
import json
import os
import warnings

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
warnings.simplefilter("ignore")
import numpy as np
import tensorflow.compat.v1 as tf

tf.logging.set_verbosity(tf.logging.ERROR)
tf.disable_eager_execution()
tf.enable_v2_tensorshape()


def values(name, shape):
    count = int(np.prod(shape))
    return (np.sin(np.arange(count) * 0.7 + len(name)) * 0.4).reshape(shape)


made = {}


def var(name, shape):
    made[name] = tf.constant(values(name, shape))
    return made[name]


def apart(w, dilations):
    """A kernel with zeros between its elements: TensorFlow has no gradients of dilated convolutions on this device."""
    (rows, columns), rest = w.shape[:2], w.shape[2:]
    (down, across), none = dilations, [[0, 0]] * 2
    w = tf.pad(tf.reshape(w, [rows, 1, columns, 1, *rest]), [[0, 0], [0, down - 1], [0, 0], [0, across - 1]] + none)
    w = tf.reshape(w, [rows * down, columns * across, *rest])
    return w[: (rows - 1) * down + 1, : (columns - 1) * across + 1]


def conv1d(x, scope, kernel, filters, stride, padding, dilation=1):
    w = var(scope + "/kernel", [kernel, x.shape[2], filters])
    y = tf.nn.conv1d(x, apart(w[None], (1, dilation))[0], stride, padding)
    return tf.nn.bias_add(y, var(scope + "/bias", [filters]))


def conv2d(x, scope, kernel, filters, strides, padding, dilations=(1, 1), groups=1):
    w = var(scope + "/kernel", kernel + [x.shape[3] // groups, filters])
    parts = [
        tf.nn.conv2d(part, apart(of, dilations), [1, *strides, 1], padding)
        for part, of in zip(tf.split(x, groups, 3), tf.split(w, groups, 3))
    ]
    return tf.nn.bias_add(tf.concat(parts, 3), var(scope + "/bias", [filters]))


def conv3d(x, padding):
    w = var("conv3d/kernel", [2, 3, 2, x.shape[4], 3])
    y = tf.nn.conv3d(x, w, [1, 1, 2, 1, 1], padding)
    return tf.nn.bias_add(y, var("conv3d/bias", [3]))


def transposed(x, padding, sizes):
    w = var("conv2d_transpose/kernel", [3, 2, 4, x.shape[3]])
    y = tf.nn.conv2d_transpose(x, w, [x.shape[0], *sizes, 4], [1, 2, 3, 1], padding)
    return tf.nn.bias_add(y, var("conv2d_transpose/bias", [4]))


def transposed3d(x):
    w = var("conv3d_transpose/kernel", [2, 2, 3, 2, x.shape[4]])
    y = tf.nn.conv3d_transpose(x, w, [x.shape[0], 4, 6, 4, 2], [1, 2, 2, 1, 1], "SAME")
    return tf.nn.bias_add(y, var("conv3d_transpose/bias", [2]))


def depthwise(x):
    w = var("depthwise_conv2d/depthwise_kernel", [3, 2, x.shape[3], 2])
    y = tf.nn.depthwise_conv2d(x, w, [1, 1, 1, 1], "SAME")
    return tf.nn.bias_add(y, var("depthwise_conv2d/bias", [2 * x.shape[3]]))


def separable(x):
    d = var("separable_conv2d/depthwise_kernel", [3, 3, x.shape[3], 2])
    p = var("separable_conv2d/pointwise_kernel", [1, 1, 2 * x.shape[3], 5])
    y = tf.nn.separable_conv2d(x, d, p, [1, 2, 2, 1], "VALID")
    return tf.nn.relu(tf.nn.bias_add(y, var("separable_conv2d/bias", [5])))


def layer_norm(x, axes, shape):
    beta, gamma = var("LayerNorm/beta", shape), var("LayerNorm/gamma", shape)
    mean, variance = tf.nn.moments(x, axes, keepdims=True)
    return tf.nn.batch_normalization(x, mean, variance, beta, gamma, 1e-12)


def instance_norm(x):
    n = x.shape[-1]
    beta, gamma = var("InstanceNorm/beta", [n]), var("InstanceNorm/gamma", [n])
    mean, variance = tf.nn.moments(x, [1, 2], keepdims=True)
    return tf.nn.batch_normalization(x, mean, variance, beta, gamma, 1e-6)


def group_norm(x, groups):
    b, h, w, n = x.shape
    beta, gamma = var("GroupNorm/beta", [n]), var("GroupNorm/gamma", [n])
    split = tf.reshape(x, [b, h, w, groups, n // groups])
    mean, variance = tf.nn.moments(split, [1, 2, 4], keepdims=True)
    normed = tf.reshape((split - mean) / tf.sqrt(variance + 1e-6), x.shape)
    return normed * gamma + beta


def attention(x, scope, memory=None, mask=None, heads=2, size=3, value=4, out=None):
    memory = x if memory is None else memory
    depth = x.shape[2]

    def project(name, of, width):
        w = var(f"{scope}/{name}/kernel", [of.shape[2], heads, width])
        return tf.einsum("btd,dhk->bthk", of, w) + var(f"{scope}/{name}/bias", [heads, width])

    q, k, v = project("query", x, size), project("key", memory, size), project("value", memory, value)
    scores = tf.einsum("bqhk,bvhk->bhqv", q, k) / np.sqrt(size)
    if mask is not None:
        scores = tf.where(tf.broadcast_to(mask, scores.shape), scores, tf.fill(scores.shape, np.float64(-1e9)))
    found = tf.einsum("bhqv,bvhk->bqhk", tf.nn.softmax(scores), v)
    w = var(f"{scope}/attention_output/kernel", [heads, value, out or depth])
    return tf.einsum("bqhk,hkd->bqd", found, w) + var(f"{scope}/attention_output/bias", [out or depth])


def lower(n, m):
    return np.tril(np.ones([n, m], bool))[None, None]


def sparse(weights=False):
    indices = np.int64([[0, 0], [0, 1], [0, 2], [1, 0], [2, 1], [2, 3]])
    ids = tf.SparseTensor(indices, np.int64([4, 0, 4, 2, 1, 3]), np.int64([3, 4]))
    return ids, tf.SparseTensor(indices, np.float64([0.5, 2, 1, 3, 0.25, 1.5]), np.int64([3, 4])) if weights else None


def embedded(x, combiner, weights, parts=1, max_norm=None, strategy="mod"):
    sizes = [5 // parts + (i < 5 % parts) for i in range(parts)]
    tables = [var(f"table{i}", [n, 2]) for i, n in enumerate(sizes)]
    ids, given = sparse(weights)
    rows = tf.nn.embedding_lookup_sparse(
        tables, ids, given, combiner=combiner, max_norm=max_norm, partition_strategy=strategy)
    return rows + 0 * tf.reduce_sum(x)


def single(x, build):
    """What TensorFlow has in single precision only."""
    return tf.cast(build(tf.cast(x, tf.float32)), tf.float64)


SAMPLED = np.int64([0, 3, 7]), np.float32([[0.5, 0.25], [0.125, 0.75]]), np.float32([0.5, 0.25, 0.125])


def sampled(loss, x, labels, **options):
    w, b = var("weights", [10, 4]), var("biases", [10])
    labels = np.int64(labels)
    w, b = (tf.cast(part, tf.float32) for part in (w, b))
    return single(x, lambda x: loss(w, b, labels, x, 3, 10, num_true=labels.shape[1], **options))


def given(truths):
    return SAMPLED[0], SAMPLED[1][:, :truths], SAMPLED[2]


S = tf.nn.sampled_softmax_loss
N = tf.nn.nce_loss
MODELS = {
    "conv1d": ([2, 7, 3], lambda x: conv1d(x, "conv1d", 3, 4, 2, "SAME")),
    "conv1d dilated": ([2, 9, 3], lambda x: conv1d(x, "conv1d", 3, 4, 1, "VALID", 2)),
    "conv2d": ([2, 6, 5, 3], lambda x: conv2d(x, "conv2d", [3, 2], 4, (2, 1), "SAME")),
    "conv2d dilated": ([2, 7, 8, 2], lambda x: conv2d(x, "conv2d", [3, 3], 3, (1, 1), "VALID", (2, 3))),
    "conv2d in groups": ([2, 5, 4, 4], lambda x: conv2d(x, "conv2d", [3, 3], 6, (1, 1), "SAME", groups=2)),
    "conv3d": ([2, 4, 5, 3, 2], lambda x: conv3d(x, "VALID")),
    "conv3d same": ([1, 3, 4, 3, 2], lambda x: conv3d(x, "SAME")),
    "conv2d_transpose": ([2, 3, 4, 2], lambda x: transposed(x, "SAME", [6, 12])),
    "conv2d_transpose valid": ([2, 3, 4, 2], lambda x: transposed(x, "VALID", [7, 12])),
    "conv3d_transpose": ([1, 2, 3, 4, 3], transposed3d),
    "depthwise_conv2d": ([2, 5, 4, 3], depthwise),
    "separable_conv2d": ([2, 7, 6, 3], separable),
    "max_pooling1d": ([2, 7, 3], lambda x: tf.nn.max_pool1d(x, 3, 2, "VALID")),
    "average_pooling1d": ([2, 7, 3], lambda x: tf.nn.avg_pool1d(x, 3, 2, "SAME")),
    "max_pooling3d": ([1, 4, 5, 4, 2], lambda x: single(x, lambda x: tf.nn.max_pool3d(x, 2, 2, "SAME"))),
    "average_pooling3d": ([1, 4, 5, 4, 2], lambda x: single(x, lambda x: tf.nn.avg_pool3d(x, 2, [1, 2, 1], "VALID"))),
    "global_average_pooling": ([2, 3, 4, 3], lambda x: tf.reduce_mean(x, [1, 2])),
    "global_max_pooling": ([2, 5, 3], lambda x: tf.reduce_max(x, [1])),
    "layer_norm": ([3, 4, 5], lambda x: layer_norm(x, [1, 2], [5])),
    "layer_norm of the last axis": ([3, 4, 5], lambda x: layer_norm(x, [2], [4, 5])),
    "instance_norm": ([2, 3, 4, 3], instance_norm),
    "group_norm": ([2, 3, 4, 6], lambda x: group_norm(x, 3)),
    "attention": ([2, 4, 5], lambda x: attention(x, "multi_head_attention")),
    "attention causal": ([2, 4, 5], lambda x: attention(x, "multi_head_attention", mask=lower(4, 4))),
    "attention masked": ([2, 4, 5], lambda x: attention(
        x, "multi_head_attention", tf.constant(values("memory", [2, 3, 6])), (np.arange(6) % 3 != 2).reshape(2, 1, 1, 3), out=7)),
    "embedding sum": ([1], lambda x: embedded(x, "sum", False)),
    "embedding mean": ([1], lambda x: embedded(x, "mean", False, parts=2)),
    "embedding sqrtn": ([1], lambda x: embedded(x, "sqrtn", False, parts=2, strategy="div")),
    "embedding weighted sum": ([1], lambda x: embedded(x, "sum", True, max_norm=0.3)),
    "embedding weighted mean": ([1], lambda x: embedded(x, "mean", True, parts=3)),
    "embedding weighted sqrtn": ([1], lambda x: embedded(x, "sqrtn", True)),
    "sampled_softmax": ([2, 4], lambda x: sampled(S, x, [[3], [5]], sampled_values=given(1))),
    "sampled_softmax of two": ([2, 4], lambda x: sampled(S, x, [[3, 3], [5, 0]], sampled_values=given(2))),
    "sampled_softmax seeded": ([2, 4], lambda x: sampled(S, x, [[3], [5]], seed=4)),
    "nce_loss": ([2, 4], lambda x: sampled(N, x, [[3, 1], [5, 0]], sampled_values=given(2))),
    "nce_loss without hits": (
        [2, 4], lambda x: sampled(N, x, [[3], [5]], sampled_values=given(1), remove_accidental_hits=True)),
    "lrn": ([1, 2, 2, 7], lambda x: single(x, lambda x: tf.nn.lrn(x, 2, 1.5, 0.5, 0.75))),
}

I = tf.initializers
INITIALIZERS = {
    "orthogonal": (lambda: I.orthogonal(1.5, seed=3), [6, 4]),
    "orthogonal wide": (lambda: I.orthogonal(seed=3), [2, 2, 7]),
    "identity": (lambda: I.identity(2.0), [3, 4]),
    "uniform_unit_scaling": (lambda: I.uniform_unit_scaling(1.5, seed=5), [4, 3]),
    "variance_scaling": (lambda: I.variance_scaling(2.0, "fan_out", "truncated_normal", seed=5), [3, 2, 4]),
    "variance_scaling untruncated": (lambda: I.variance_scaling(2.0, "fan_avg", "untruncated_normal", seed=5), [5, 2]),
    "truncated_normal": (lambda: I.truncated_normal(1.0, 0.2, seed=6), [4, 5]),
    "random_normal": (lambda: I.random_normal(1.0, 0.2, seed=6), [4, 5]),
    "random_uniform": (lambda: I.random_uniform(-1.0, 2.0, seed=6), [4, 5]),
    "glorot_uniform": (lambda: I.glorot_uniform(seed=7), [3, 3, 2, 4]),
    "glorot_normal": (lambda: I.glorot_normal(seed=7), [4, 5]),
    "he_uniform": (lambda: I.he_uniform(seed=7), [4, 5]),
    "he_normal": (lambda: I.he_normal(seed=7), [4, 5]),
    "lecun_uniform": (lambda: I.lecun_uniform(seed=7), [4, 5]),
    "lecun_normal": (lambda: I.lecun_normal(seed=7), [4, 5]),
}

answer = {"models": {}, "initializers": {}}
for name, (shape, build) in MODELS.items():
    made.clear()
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(9)
        x = tf.constant(values("x", shape))
        output = build(x)
        grads = tf.gradients(tf.reduce_sum(tf.square(output)), [x, *made.values()])
        dense = [tf.zeros([0], tf.float64) if g is None else tf.convert_to_tensor(g) for g in grads]
        found, grads = session.run([output, dense])
        answer["models"][name] = {
            "output": found.ravel().tolist(),
            "shape": list(found.shape),
            "variables": {key: list(map(int, value.shape)) for key, value in made.items()},
            "gradients": {key: grad.ravel().tolist() for key, grad in zip(["x", *made], grads)},
        }
for name, (make, shape) in INITIALIZERS.items():
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(9)
        w = tf.get_variable("w", shape, initializer=make())
        session.run(w.initializer)
        answer["initializers"][name] = session.run(w).astype(float).ravel().tolist()
print(json.dumps(answer))
