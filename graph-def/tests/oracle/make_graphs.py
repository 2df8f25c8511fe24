"""Training graphs as programs of TensorFlow 1 export them.

Usage: make_graphs.py OUT [NAME...]

For each graph: OUT/NAME/model.meta, the checkpoint model.ckpt-0 of its initial values, feeds.npz with all examples, and
expected.json with the fetches of every training step, from batches of 8 examples in turn.
"""
import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
import numpy as np
import tensorflow.compat.v1 as tf

tf.disable_eager_execution()
BATCH, STEPS, CLASSES = 8, 6, 4
MODELS = {}


def model(resource=True, v2_control_flow=False):
    def add(build):
        MODELS[build.__name__] = (build, resource, v2_control_flow)
        return build

    return add


def features(*shape):
    return tf.placeholder(tf.float32, [None, *shape], name="x")


def labels():
    return tf.placeholder(tf.int32, [None], name="y")


def dense(x, units, name, activation=None):
    with tf.variable_scope(name):
        w = tf.get_variable("kernel", [int(x.shape[-1]), units], initializer=tf.glorot_uniform_initializer(seed=1))
        b = tf.get_variable("bias", [units], initializer=tf.zeros_initializer())
        x = tf.nn.bias_add(tf.matmul(x, w), b)
        return x if activation is None else activation(x)


def cross_entropy(logits, y):
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits), name="loss")


def minimize(loss, optimizer):
    return optimizer.minimize(loss, global_step=tf.train.get_or_create_global_step(), name="train")


def mlp():
    return cross_entropy(dense(dense(features(6), 5, "hidden", tf.nn.tanh), CLASSES, "out"), labels())


def optimizers():
    train = tf.train
    return {
        "sgd": lambda: train.GradientDescentOptimizer(0.1),
        "momentum": lambda: train.MomentumOptimizer(0.1, 0.9),
        "nesterov": lambda: train.MomentumOptimizer(0.1, 0.9, use_nesterov=True),
        "adam": lambda: train.AdamOptimizer(0.01),
        "adagrad": lambda: train.AdagradOptimizer(0.1),
        "adagrad_da": lambda: train.AdagradDAOptimizer(0.1, train.get_or_create_global_step()),
        "adadelta": lambda: train.AdadeltaOptimizer(0.5),
        "rmsprop": lambda: train.RMSPropOptimizer(0.01),
        "rmsprop_centered": lambda: train.RMSPropOptimizer(0.01, momentum=0.5, centered=True),
        "ftrl": lambda: train.FtrlOptimizer(0.1),
        "proximal_sgd": lambda: train.ProximalGradientDescentOptimizer(0.1, 0.001, 0.001),
        "proximal_adagrad": lambda: train.ProximalAdagradOptimizer(0.1, 0.1, 0.001, 0.001),
    }


def add_optimizer(name, make, resource):
    def build():
        loss = mlp()
        return loss, minimize(loss, make())

    build.__name__ = f"mlp_{name}_{'resource' if resource else 'ref'}"
    model(resource)(build)


for name, make in optimizers().items():
    for resource in (True, False):
        add_optimizer(name, make, resource)


@model(resource=False)
def softmax():
    x, y = features(6), labels()
    w = tf.Variable(tf.zeros([6, CLASSES]), name="w")
    b = tf.Variable(tf.zeros([CLASSES]), name="b")
    p = tf.nn.softmax(tf.matmul(x, w) + b)
    loss = tf.reduce_mean(-tf.reduce_sum(tf.one_hot(y, CLASSES) * tf.log(p), axis=[1]), name="loss")
    right = tf.equal(tf.argmax(p, 1), tf.cast(y, tf.int64))
    tf.reduce_mean(tf.cast(right, tf.float32), name="accuracy")
    return loss, minimize(loss, tf.train.GradientDescentOptimizer(0.5))


@model()
def conv_net():
    x, y = features(8, 8, 3), labels()
    with tf.variable_scope("conv"):
        k = tf.get_variable("kernel", [3, 3, 3, 4], initializer=tf.truncated_normal_initializer(stddev=0.2, seed=3))
        b = tf.get_variable("bias", [4], initializer=tf.zeros_initializer())
        h = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, k, [1, 1, 1, 1], "SAME"), b))
        h = tf.nn.max_pool(h, [1, 2, 2, 1], [1, 2, 2, 1], "VALID")
        d = tf.get_variable("depthwise", [3, 3, 4, 2], initializer=tf.truncated_normal_initializer(stddev=0.2, seed=4))
        h = tf.nn.elu(tf.nn.depthwise_conv2d(h, d, [1, 1, 1, 1], "SAME"))
        h = tf.nn.avg_pool(h, [1, 2, 2, 1], [1, 2, 2, 1], "VALID")
        u = tf.get_variable("up", [2, 2, 3, 8], initializer=tf.truncated_normal_initializer(stddev=0.2, seed=5))
        h = tf.nn.conv2d_transpose(h, u, tf.stack([tf.shape(h)[0], 4, 4, 3]), [1, 2, 2, 1], "SAME")
    h = tf.reshape(h, [-1, 48])
    loss = cross_entropy(dense(h, CLASSES, "out"), y)
    return loss, minimize(loss, tf.train.MomentumOptimizer(0.05, 0.9))


@model(resource=False)
def batch_norm_fused():
    x, y = features(4, 4, 3), labels()
    with tf.variable_scope("bn"):
        gamma = tf.get_variable("gamma", [3], initializer=tf.ones_initializer())
        beta = tf.get_variable("beta", [3], initializer=tf.zeros_initializer())
        mean = tf.get_variable("moving_mean", [3], initializer=tf.zeros_initializer(), trainable=False)
        var = tf.get_variable("moving_variance", [3], initializer=tf.ones_initializer(), trainable=False)
    h, m, v = tf.nn.fused_batch_norm(x, gamma, beta, is_training=True)
    for moving, value in ((mean, m), (var, v)):
        update = tf.assign_sub(moving, (moving - value) * 0.1)
        tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, update)
    loss = cross_entropy(dense(tf.reshape(h, [-1, 48]), CLASSES, "out"), y)
    with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
        return loss, minimize(loss, tf.train.AdamOptimizer(0.01))


@model()
def batch_norm_moments_and_averages():
    x, y = features(6), labels()
    h = dense(x, 5, "hidden")
    mean, var = tf.nn.moments(h, [0])
    ema = tf.train.ExponentialMovingAverage(0.9)
    averages = ema.apply([mean, var])
    with tf.control_dependencies([averages]):
        h = tf.nn.relu(tf.nn.batch_normalization(h, tf.identity(mean), tf.identity(var), None, None, 1e-3))
    loss = cross_entropy(dense(h, CLASSES, "out"), y)
    step = tf.train.get_or_create_global_step()
    train = tf.train.GradientDescentOptimizer(0.1).minimize(loss, global_step=step)
    weights = tf.train.ExponentialMovingAverage(0.99, num_updates=step)
    with tf.control_dependencies([train]):
        return loss, weights.apply(tf.trainable_variables())


@model()
def dropout():
    x, y = features(6), labels()
    h = tf.nn.dropout(dense(x, 16, "hidden", tf.nn.relu), rate=0.4, seed=9)
    loss = cross_entropy(dense(h, CLASSES, "out"), y)
    return loss, minimize(loss, tf.train.GradientDescentOptimizer(0.1))


class Cell:
    """An LSTM cell: what `tf.nn.dynamic_rnn` asks of one."""

    def __init__(self, units):
        self.units = units
        self.output_size = units
        self.state_size = (units, units)

    def zero_state(self, batch_size, dtype):
        return tuple(tf.zeros(tf.stack([batch_size, self.units]), dtype) for _ in range(2))

    def get_initial_state(self, inputs=None, batch_size=None, dtype=None):
        return self.zero_state(batch_size, dtype)

    def __call__(self, inputs, state, scope=None):
        c, h = state
        with tf.variable_scope("cell", reuse=tf.AUTO_REUSE):
            gates = dense(tf.concat([inputs, h], 1), 4 * self.units, "gates")
            i, j, f, o = tf.split(gates, 4, 1)
            c = c * tf.sigmoid(f + 1.0) + tf.sigmoid(i) * tf.tanh(j)
            h = tf.tanh(c) * tf.sigmoid(o)
        return h, (c, h)


@model()
def lstm_static():
    x, y = features(5, 3), labels()
    outputs, _ = tf.nn.static_rnn(Cell(4), tf.unstack(x, axis=1), dtype=tf.float32)
    loss = cross_entropy(dense(outputs[-1], CLASSES, "out"), y)
    return loss, minimize(loss, tf.train.AdamOptimizer(0.02))


def lstm(loop_lengths):
    x, y = features(5, 3), labels()
    lengths = 1 + y if loop_lengths else None
    outputs, _ = tf.nn.dynamic_rnn(Cell(4), x, sequence_length=lengths, dtype=tf.float32)
    loss = cross_entropy(dense(tf.reduce_max(outputs, axis=1), CLASSES, "out"), y)
    gradients, variables = zip(*tf.train.AdamOptimizer(0.02).compute_gradients(loss))
    gradients, _ = tf.clip_by_global_norm(gradients, 0.5)
    step = tf.train.get_or_create_global_step()
    return loss, tf.train.AdamOptimizer(0.02).apply_gradients(zip(gradients, variables), global_step=step)


@model()
def lstm_dynamic():
    return lstm(False)


@model(resource=False)
def lstm_dynamic_lengths_ref():
    return lstm(True)


@model(v2_control_flow=True)
def lstm_dynamic_v2_control_flow():
    return lstm(True)


@model(resource=False)
def embeddings():
    words, y = tf.placeholder(tf.int64, [None, 3], name="x"), labels()
    table = tf.get_variable("table", [10, 4], initializer=tf.random_uniform_initializer(-1, 1, seed=2))
    h = tf.reduce_mean(tf.nn.embedding_lookup(table, words), axis=1)
    loss = cross_entropy(dense(h, CLASSES, "out"), y)
    return loss, minimize(loss, tf.train.AdagradOptimizer(0.3))


@model()
def embeddings_resource_adam():
    words, y = tf.placeholder(tf.int64, [None, 3], name="x"), labels()
    table = tf.get_variable("table", [10, 4], initializer=tf.random_uniform_initializer(-1, 1, seed=2))
    h = tf.reduce_sum(tf.nn.embedding_lookup(table, words), axis=1)
    loss = cross_entropy(dense(h, CLASSES, "out"), y)
    return loss, minimize(loss, tf.train.AdamOptimizer(0.05))


@model(resource=False)
def nce():
    x = features(6)
    y = labels()
    h = dense(x, 4, "hidden", tf.nn.relu)
    w = tf.get_variable("w", [CLASSES, 4], initializer=tf.random_normal_initializer(seed=6))
    b = tf.get_variable("b", [CLASSES], initializer=tf.zeros_initializer())
    wanted = tf.cast(y[:, None], tf.int64)
    sampled = tf.random.log_uniform_candidate_sampler(wanted, 1, 2, True, CLASSES, seed=3)
    loss = tf.reduce_mean(tf.nn.nce_loss(w, b, wanted, h, 2, CLASSES, sampled_values=sampled), name="loss")
    return loss, minimize(loss, tf.train.GradientDescentOptimizer(0.1))


def conditional():
    loss = mlp()
    step = tf.train.get_or_create_global_step()
    scaled = tf.cond(tf.equal(step % 2, 0), lambda: loss * 2.0, lambda: tf.square(loss))
    rate = tf.case([(step < 2, lambda: tf.constant(0.1)), (step < 4, lambda: tf.constant(0.05))],
                   default=lambda: tf.constant(0.01))
    return scaled, minimize(scaled, tf.train.GradientDescentOptimizer(rate))


@model(resource=False)
def cond_v1():
    return conditional()


@model(v2_control_flow=True)
def cond_v2():
    return conditional()


def loop():
    x, y = features(6), labels()
    w = tf.get_variable("w", [6, 6], initializer=tf.orthogonal_initializer(seed=4))
    done = tf.while_loop(lambda i, h: i < 3, lambda i, h: (i + 1, tf.tanh(tf.matmul(h, w))), (tf.constant(0), x))
    loss = cross_entropy(dense(done[1], CLASSES, "out"), y)
    return loss, minimize(loss, tf.train.GradientDescentOptimizer(0.2))


@model()
def while_v1():
    return loop()


@model(resource=False)
def while_v1_ref():
    return loop()


@model(v2_control_flow=True)
def while_v2():
    return loop()


@model()
def map_and_scan():
    x, y = features(6), labels()
    squares = tf.map_fn(lambda row: tf.square(row) - row, x)
    sums = tf.scan(lambda a, row: 0.5 * a + row, squares, initializer=tf.zeros([6]))
    loss = cross_entropy(dense(sums, CLASSES, "out"), y)
    return loss, minimize(loss, tf.train.GradientDescentOptimizer(0.1))


@model(resource=False)
def decay_clip_regularize():
    loss = mlp()
    step = tf.train.get_or_create_global_step()
    rate = tf.train.exponential_decay(0.5, step, 2, 0.7, staircase=True)
    rate = tf.minimum(rate, tf.train.piecewise_constant(step, [3], [0.4, 0.1]))
    rate = rate * tf.train.polynomial_decay(1.0, step, 10) * tf.train.cosine_decay(1.0, step, 20)
    weights = [v for v in tf.trainable_variables() if "kernel" in v.name]
    total = tf.add_n([loss] + [0.01 * tf.nn.l2_loss(w) for w in weights], name="total")
    optimizer = tf.train.MomentumOptimizer(rate, 0.9)
    clipped = [(tf.clip_by_norm(g, 0.3), v) for g, v in optimizer.compute_gradients(total)]
    return total, optimizer.apply_gradients(clipped, global_step=step)


@model()
def metrics_and_summaries():
    x, y = features(6), labels()
    logits = dense(x, CLASSES, "out")
    loss = cross_entropy(logits, y)
    _, update = tf.metrics.accuracy(y, tf.argmax(logits, 1))
    _, mean = tf.metrics.mean(loss)
    tf.summary.scalar("loss", loss)
    tf.summary.histogram("logits", logits)
    tf.summary.text("note", tf.strings.join(["step ", tf.as_string(tf.train.get_or_create_global_step())]))
    tf.summary.merge_all(name="merged")
    tf.add_to_collection(tf.GraphKeys.SUMMARY_OP, tf.get_default_graph().get_tensor_by_name("merged/merged:0"))
    train = minimize(loss, tf.train.GradientDescentOptimizer(0.1))
    return loss, tf.group(train, update, mean, name="step_op")


@model(resource=False)
def partitioned():
    x, y = features(6), labels()
    with tf.variable_scope("big", partitioner=tf.fixed_size_partitioner(3)):
        w = tf.get_variable("w", [6, CLASSES], initializer=tf.random_normal_initializer(seed=5))
    loss = cross_entropy(tf.matmul(x, tf.convert_to_tensor(w)), y)
    return loss, minimize(loss, tf.train.AdamOptimizer(0.1))


@model()
def name_scopes_and_devices():
    with tf.name_scope("input"), tf.device("/cpu:0"):
        x, y = features(6), labels()
    with tf.name_scope("tower_0"), tf.variable_scope("net"):
        h = dense(x, 5, "a", tf.nn.leaky_relu)
    with tf.name_scope("tower_1"), tf.variable_scope("net", reuse=tf.AUTO_REUSE):
        g = dense(x, 5, "a", tf.nn.selu)
    loss = cross_entropy(dense(tf.concat([h, g], axis=-1), CLASSES, "out", tf.nn.softplus), y)
    return loss, minimize(loss, tf.train.RMSPropOptimizer(0.02))


@model(resource=False)
def losses_and_shapes():
    x, y = features(6), labels()
    h = tf.expand_dims(dense(x, 6, "h", tf.sigmoid), 1)
    h = tf.squeeze(tf.tile(h, [1, 2, 1])[:, :1, ::-1], 1)
    h = tf.pad(tf.transpose(tf.gather(tf.transpose(h), [0, 2, 4])), [[0, 0], [1, 0]])
    hot = tf.one_hot(y, CLASSES)
    total = tf.losses.softmax_cross_entropy(hot, h) + tf.losses.mean_squared_error(hot, h, weights=0.5)
    tf.losses.huber_loss(hot, h)
    tf.losses.sigmoid_cross_entropy(hot, h)
    tf.losses.log_loss(hot, tf.sigmoid(h))
    total = total + tf.losses.get_total_loss()
    return total, minimize(total, tf.train.AdamOptimizer(0.05))


@model()
def function_call():
    @tf.function
    def half(value):
        return value * 0.5 + tf.reduce_mean(value)

    x, y = features(6), labels()
    logits = half(dense(x, CLASSES, "out"))
    loss = cross_entropy(logits, y)
    return loss, minimize(loss, tf.train.GradientDescentOptimizer(0.2))


@model(resource=False)
def linear_algebra_and_layer_norm():
    x, y = features(6), labels()
    h = dense(x, 8, "hidden")
    mean, var = tf.nn.moments(h, [-1], keepdims=True)
    h = (h - mean) * tf.rsqrt(var + 1e-6)
    q = tf.reshape(h, [-1, 2, 4])
    weights = tf.nn.softmax(tf.matmul(q, q, transpose_b=True) / 2.0)
    h = tf.reshape(tf.einsum("bij,bjk->bik", weights, q), [-1, 8])
    values, _ = tf.nn.top_k(h, 4)
    loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits_v2(labels=tf.one_hot(y, 4), logits=values), name="loss")
    return loss, minimize(loss, tf.train.AdamOptimizer(0.02))


@model(resource=False)
def shared_start():
    x, y = features(6), labels()
    start = tf.random.truncated_normal([6, CLASSES], stddev=0.5, seed=8)
    left, right = tf.Variable(start, name="left"), tf.Variable(start, name="right")
    loss = cross_entropy(tf.matmul(x, left) + tf.matmul(tf.square(x), right), y)
    return loss, minimize(loss, tf.train.AdamOptimizer(0.05))


@model()
def no_saver_no_step():
    x, y = features(6), labels()
    loss = cross_entropy(dense(x, CLASSES, "out"), y)
    return loss, tf.train.GradientDescentOptimizer(0.1).minimize(loss)


def feeds(placeholders):
    random = np.random.RandomState(5)
    arrays = {}
    for name, (dtype, shape) in placeholders.items():
        shape = [BATCH * STEPS] + shape[1:]
        if name == "y":
            arrays[name] = random.randint(0, CLASSES, shape).astype(dtype)
        elif dtype.startswith("int"):
            arrays[name] = random.randint(0, 10, shape).astype(dtype)
        else:
            arrays[name] = random.standard_normal(shape).astype(dtype)
    return arrays


def make(name, folder):
    build, resource, v2 = MODELS[name]
    (tf.enable_resource_variables if resource else tf.disable_resource_variables)()
    (tf.enable_control_flow_v2 if v2 else tf.disable_control_flow_v2)()
    os.makedirs(folder, exist_ok=True)
    with tf.Graph().as_default() as graph, tf.Session() as session:
        tf.set_random_seed(7)
        loss, train = build()
        tf.add_to_collection("train_op", train)
        saver = None if name == "no_saver_no_step" else tf.train.Saver()
        init = tf.group(tf.global_variables_initializer(), tf.local_variables_initializer(), tf.tables_initializer())
        path = os.path.join(folder, "model.meta")
        # As a saver writes it next to a checkpoint, but without the operations that were made only here.
        if saver:
            saver.export_meta_graph(path)
        else:
            tf.train.export_meta_graph(path)
        session.run(init)
        tf.train.Saver().save(session, os.path.join(folder, "model.ckpt-0"), write_meta_graph=False)
        inputs = [op for op in graph.get_operations() if op.type == "Placeholder" and op.name.split("/")[-1] in "xy"]
        described = {op.name.split("/")[-1]: (op.outputs[0].dtype.as_numpy_dtype.__name__, op.outputs[0].shape.as_list()) for op in inputs}
        arrays = feeds(described)
        names = {op.name.split("/")[-1]: op.name for op in inputs}
        losses = []
        for step in range(STEPS):
            rows = slice(step * BATCH, (step + 1) * BATCH)
            fed = {names[key] + ":0": array[rows] for key, array in arrays.items()}
            losses.append(float(session.run([loss, train], fed)[0]))
    np.savez(os.path.join(folder, "feeds.npz"), **arrays)
    expected = {"loss": loss.name, "losses": losses, "feeds": names, "batch": BATCH}
    with open(os.path.join(folder, "expected.json"), "w") as file:
        json.dump(expected, file, indent=1)


def main():
    out, names = sys.argv[1], sys.argv[2:] or sorted(MODELS)
    failed = {}
    for name in names:
        try:
            make(name, os.path.join(out, name))
        except Exception as error:  # what this TensorFlow cannot build is said, not tested
            failed[name] = repr(error)[:300]
    print(json.dumps({"made": [name for name in names if name not in failed], "failed": failed}))


main()
