"""Graphs that TensorFlow 1 programs export, with the values that TensorFlow computes from them.

    python make_graphs.py [NAME ...]      (tensorflow 2.21.0; writes NAME.pb, or NAME.pb.gz if it is large, and NAME.json beside this file)

Each JSON file holds the initializer and a list of steps: feeds, fetches, targets, and what the fetches gave.
"""

import gzip
import json
import os
import sys
import tempfile

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
import numpy as np
import tensorflow as tf

tf1 = tf.compat.v1
HERE = os.path.dirname(os.path.abspath(__file__))
GRAPHS = {}
LARGE = 50_000


def graph(v2_control_flow=False, resource=False):
    def register(build):
        GRAPHS[build.__name__] = (build, v2_control_flow, resource)
        return build

    return register


def ramp(*shape):
    count = int(np.prod(shape))
    return (np.sin(np.arange(count, dtype=np.float32) * 1.7) * 0.8).reshape(shape).astype(np.float32)


@graph()
def cond_of_values():
    x = tf1.placeholder(tf.float32, [3], "x")
    y = tf1.cond(tf.reduce_sum(x) > 0, lambda: x * 2 + 1, lambda: tf.zeros_like(x) - x)
    g = tf1.gradients(y, x)[0]
    return [({x: v}, [y, g]) for v in ([1.0, 2, 3], [-1.0, -2, -3])]


@graph()
def cond_of_constants():
    p = tf1.placeholder(tf.bool, [], "p")
    a = tf1.cond(p, lambda: tf.constant(1.0), lambda: tf.constant(2.0))
    with tf1.control_dependencies([a]):
        b = tf.identity(tf1.cond(p, lambda: a + 10.0, lambda: tf.fill([], 20.0)))
    return [({p: v}, [a, b]) for v in (True, False)]


@graph()
def cond_of_variables():
    p = tf1.placeholder(tf.bool, [], "p")
    v = tf1.get_variable("v", initializer=np.float32([1, 2]))
    r = tf1.get_variable("r", initializer=np.float32([10, 20]), use_resource=True)
    out = tf1.cond(p, lambda: tf1.assign_add(v, [1.0, 1.0]) * 1.0, lambda: tf1.assign_sub(r, [1.0, 1.0]) * 1.0)
    with tf1.control_dependencies([out]):
        after = [tf.identity(v), r.read_value()]
    return [({p: x}, [out, after[0], after[1]]) for x in (True, False, False, True)]


@graph()
def nested_cond():
    x = tf1.placeholder(tf.float32, [], "x")
    y = tf1.cond(x > 0, lambda: tf1.cond(x > 10, lambda: x * 100, lambda: x * 10), lambda: tf1.cond(x < -10, lambda: -x, lambda: x / 2))
    return [({x: v}, [y, tf1.gradients(y, x)[0]] if v == 1.0 else [y]) for v in (20.0, 2.0, -2.0, -20.0)]


@graph()
def case_of_functions():
    x = tf1.placeholder(tf.int32, [], "x")
    y = tf1.case([(tf.equal(x, 0), lambda: tf.constant(10)), (tf.equal(x, 1), lambda: tf.constant(20))], default=lambda: tf.constant(-1))
    return [({x: v}, [y]) for v in (0, 1, 2)]


@graph()
def while_counts():
    n = tf1.placeholder(tf.int32, [], "n")
    i, total = tf1.while_loop(lambda i, s: i < n, lambda i, s: (i + 1, s + i), [tf.constant(0), tf.constant(0)])
    return [({n: v}, [i, total]) for v in (0, 1, 100)]


@graph()
def while_of_captured():
    x = tf1.placeholder(tf.float32, [2, 2], "x")
    w = tf1.get_variable("w", initializer=ramp(2, 2))
    k = tf.constant(3)
    y = tf1.while_loop(lambda i, h: i < k, lambda i, h: (i + 1, tf.tanh(tf.matmul(h, w) + x)), [0, x])[1]
    grads = tf1.gradients(tf.reduce_sum(y * y), [x, w])
    return [({x: v}, [y] + grads) for v in (ramp(2, 2), -ramp(2, 2) * 2)]


@graph()
def nested_while():
    x = tf1.placeholder(tf.float32, [3], "x")

    def outer(i, h):
        inner = tf1.while_loop(lambda j, g: j <= i, lambda j, g: (j + 1, tf.sin(g + tf.cast(j, tf.float32)) * x), [0, h])[1]
        return i + 1, inner + h

    y = tf1.while_loop(lambda i, h: i < 3, outer, [0, x])[1]
    return [({x: v}, [y, tf1.gradients(y, x)[0]]) for v in ([0.1, 0.5, -0.3],)]


@graph()
def cond_in_while():
    n = tf1.placeholder(tf.int32, [], "n")
    w = tf1.get_variable("w", initializer=np.float32(1.5))

    def body(i, h):
        return i + 1, tf1.cond(tf.equal(i % 2, 0), lambda: h * w, lambda: h + w)

    y = tf1.while_loop(lambda i, h: i < n, body, [0, tf.constant(2.0)])[1]
    return [({n: v}, [y, tf1.gradients(y, w)[0]]) for v in (0, 1, 4, 5)]


@graph()
def while_in_cond():
    p = tf1.placeholder(tf.bool, [], "p")
    x = tf1.placeholder(tf.float32, [2], "x")
    y = tf1.cond(p, lambda: tf1.while_loop(lambda i, h: i < 4, lambda i, h: (i + 1, h * x), [0, x])[1], lambda: x + 1.0)
    return [({p: v, x: [1.5, -2.0]}, [y, tf1.gradients(y, x)[0]]) for v in (True, False)]


@graph()
def sliced_assignments():
    v = tf1.get_variable("v", initializer=ramp(3, 4))
    r = tf1.get_variable("r", initializer=ramp(3, 4), use_resource=True)
    x = tf1.placeholder(tf.float32, [2], "x")
    changes = [v[1, 1:3].assign(x), r[::2, -1].assign(x)]
    with tf1.control_dependencies(changes):
        after = [tf.identity(v), r.read_value()]
    return [({x: [5.0, 6.0]}, after), ({x: [-1.0, 0.0]}, after + [changes[0] * 1.0])]


@graph()
def while_assigns():
    v = tf1.get_variable("v", initializer=np.float32([0, 0]))
    r = tf1.get_variable("r", initializer=np.float32([0, 0]), use_resource=True)

    def body(i):
        with tf1.control_dependencies([tf1.assign_add(v, [1.0, 2.0]), r.assign_add([3.0, 4.0])]):
            return i + 1

    i = tf1.while_loop(lambda i: i < 5, body, [tf.constant(0)])
    with tf1.control_dependencies([i]):
        out = [tf.identity(v), r.read_value()]
    return [({}, [i] + out)] * 2


@graph()
def tensor_arrays():
    x = tf1.placeholder(tf.float32, [4, 2], "x")
    given = tf.TensorArray(tf.float32, 4, clear_after_read=False).unstack(x)
    made = tf.TensorArray(tf.float32, 0, dynamic_size=True, clear_after_read=False)

    def body(i, total, out):
        total = total + given.read(i)
        return i + 1, total, out.write(i, tf.square(total))

    _, total, made = tf1.while_loop(lambda i, *_: i < 4, body, [0, tf.zeros([2]), made])
    stacked = made.stack()
    parts = tf.TensorArray(tf.float32, 3, infer_shape=False, clear_after_read=False).split(x, [1, 2, 1])
    joined = parts.concat()
    picked = parts.read(1)
    g = tf1.gradients([stacked, total, joined], x)[0]
    return [({x: ramp(4, 2)}, [stacked, total, joined, picked, made.size(), given.gather([2, 0]), g])]


def with_older_arrays(build, version):
    """The same graph with the arrays of TensorFlow's first releases, whose handles are strings (2) or references to strings (1)."""
    with tf.Graph().as_default() as plain:
        steps = build()
        message = plain.as_graph_def()
    made = [node.name for node in message.node if node.op == "TensorArrayV3"]
    handles = set(made) | {node.name for node in message.node if node.op == "TensorArrayGradV3"}
    for node in message.node:
        node.input[:] = [name[:-2] + "/flow" if name[:-2] in made and name.endswith(":1") else name for name in node.input]
        if node.op.startswith("TensorArray"):
            node.op = node.op[:-2] + ("" if version == 1 else "V2")
            node.attr.pop("identical_element_shapes", None)
        elif node.op == "Enter" and node.input[0] in handles:
            node.attr["T"].type = tf.string.as_datatype_enum
            node.op = "Enter" if version == 2 else "RefEnter"
            handles.add(node.name)
    for name in made:
        with tf.Graph().as_default() as other:
            tf.constant(0.0, name=name + "/flow")
        (flow,) = other.as_graph_def().node
        flow.input.append("^" + name)
        message.node.append(flow)
    message.versions.producer = 15 if version == 1 else 25
    tf.import_graph_def(message, name="")
    find = tf1.get_default_graph().get_tensor_by_name
    return [({find(x.name): value for x, value in feeds.items()}, [find(y.name) for y in fetches]) for feeds, fetches in steps]


@graph()
def tensor_arrays_of_references():
    return with_older_arrays(tensor_arrays, 1)


@graph()
def tensor_arrays_of_strings():
    return with_older_arrays(tensor_arrays, 2)


@graph()
def higher_order():
    x = tf1.placeholder(tf.float32, [5], "x")
    mapped = tf1.map_fn(lambda e: e * e + 1, x)
    scanned = tf1.scan(lambda a, e: a * 0.5 + e, x)
    folded = tf1.foldl(lambda a, e: a - e * a, x, initializer=1.0)
    g = tf1.gradients(tf.reduce_sum(mapped) + tf.reduce_sum(scanned) + folded, x)[0]
    return [({x: ramp(5)}, [mapped, scanned, folded, g])]


class Cell:
    """A recurrent cell of the operations that those of TensorFlow 1 (`tf.nn.rnn_cell`) are made of."""

    def __init__(self, kind, units):
        self.kind, self.units = kind, units
        self.state_size = (units, units) if kind == "lstm" else units
        self.output_size = units

    def zero_state(self, batch, dtype):
        zeros = tf.zeros(tf.stack([batch, self.units]), dtype)
        return (zeros, zeros) if self.kind == "lstm" else zeros

    def linear(self, name, x, width, bias=0.0):
        w = tf1.get_variable(name + "/kernel", [x.shape[-1], width])
        b = tf1.get_variable(name + "/bias", [width], initializer=tf1.constant_initializer(bias))
        return tf.nn.bias_add(tf.matmul(x, w), b)

    def __call__(self, x, state, scope=None):
        with tf1.variable_scope(self.kind + "_cell", reuse=tf1.AUTO_REUSE):
            if self.kind == "lstm":
                c, h = state
                i, j, f, o = tf.split(self.linear("lstm", tf.concat([x, h], 1), 4 * self.units), 4, axis=1)
                c = c * tf.sigmoid(f + 1.0) + tf.sigmoid(i) * tf.tanh(j)
                h = tf.tanh(c) * tf.sigmoid(o)
                return h, (c, h)
            if self.kind == "gru":
                gates = tf.sigmoid(self.linear("gates", tf.concat([x, state], 1), 2 * self.units, 1.0))
                r, u = tf.split(gates, 2, axis=1)
                c = tf.tanh(self.linear("candidate", tf.concat([x, r * state], 1), self.units))
                new = u * state + (1 - u) * c
                return new, new
            new = tf.tanh(self.linear("rnn", tf.concat([x, state], 1), self.units))
            return new, new


def dynamic_rnn(cell, x, lengths=None):
    """What `tf.nn.dynamic_rnn` does: TensorArrays, a loop, and states that stay as they are behind the end."""
    x = tf.transpose(x, [1, 0, 2])
    steps, batch = tf.shape(x)[0], tf.shape(x)[1]
    given = tf.TensorArray(tf.float32, steps, tensor_array_name="inputs").unstack(x)
    made = tf.TensorArray(tf.float32, steps, tensor_array_name="outputs", element_shape=[None, cell.units])
    longest = steps if lengths is None else tf.reduce_max(lengths)

    def body(t, out, *state):
        row = given.read(t)
        row.set_shape([None, x.shape[2]])
        packed = tuple(state) if len(state) > 1 else state[0]

        def run():
            output, new = cell(row, packed)
            return [output] + tf.nest.flatten(new)

        values = run()
        if lengths is not None:
            past = t >= lengths
            old = [tf.zeros_like(values[0])] + list(state)
            values = [tf1.where(past, o, n) for o, n in zip(old, values)]
        return [t + 1, out.write(t, values[0])] + values[1:]

    state = tf.nest.flatten(cell.zero_state(batch, tf.float32))
    limit = tf.minimum(steps, tf.maximum(1, longest))
    final = tf1.while_loop(lambda t, *_: t < limit, body, [tf.constant(0), made] + state, parallel_iterations=32)
    outputs = final[1].stack()
    outputs.set_shape([None, None, cell.units])
    return tf.transpose(outputs, [1, 0, 2]), final[2:]


def rnn_loss(cell, x, lengths=None, dynamic=True):
    if dynamic:
        outputs, state = dynamic_rnn(cell, x, lengths)
    else:
        state, outputs = cell.zero_state(tf.shape(x)[0], tf.float32), []
        for row in tf.unstack(x, axis=1):
            output, state = cell(row, state)
            outputs.append(output)
        outputs = tf.stack(outputs, axis=1)
    loss = tf.reduce_mean(tf.square(outputs - 0.3)) + sum(tf.reduce_sum(s * s) * 0.01 for s in tf.nest.flatten(state))
    return outputs, loss


def fixed(name):
    def init(shape, dtype=tf.float32, partition_info=None):
        return tf.constant(ramp(*shape) * 0.5)

    return init


def train(loss, optimizer):
    return optimizer.minimize(loss, global_step=tf1.train.get_or_create_global_step())


@graph()
def dynamic_lstm():
    x = tf1.placeholder(tf.float32, [None, 5, 3], "x")
    lengths = tf1.placeholder(tf.int32, [None], "lengths")
    with tf1.variable_scope("rnn", initializer=fixed("rnn")):
        outputs, loss = rnn_loss(Cell("lstm", 4), x, lengths)
    step = train(loss, tf1.train.AdamOptimizer(0.05))
    feeds = {x: ramp(2, 5, 3), lengths: [5, 3]}
    return [(feeds, [outputs, loss])] + [(feeds, [loss], [step])] * 3


@graph()
def dynamic_gru():
    x = tf1.placeholder(tf.float32, [None, None, 3], "x")
    with tf1.variable_scope("rnn", initializer=fixed("rnn")):
        outputs, loss = rnn_loss(Cell("gru", 4), x)
    step = train(loss, tf1.train.GradientDescentOptimizer(0.5))
    feeds = {x: ramp(2, 6, 3)}
    return [(feeds, [outputs, loss])] + [(feeds, [loss], [step])] * 3


@graph()
def static_lstm():
    x = tf1.placeholder(tf.float32, [2, 4, 3], "x")
    with tf1.variable_scope("rnn", initializer=fixed("rnn")):
        hidden, _ = rnn_loss(Cell("lstm", 3), x, dynamic=False)
        outputs, loss = rnn_loss(Cell("rnn", 2), hidden, dynamic=False)
    step = train(loss, tf1.train.RMSPropOptimizer(0.01, momentum=0.5, centered=True))
    feeds = {x: ramp(2, 4, 3)}
    return [(feeds, [outputs, loss])] + [(feeds, [loss], [step])] * 3


@graph()
def reference_optimizers():
    x = tf1.placeholder(tf.float32, [2], "x")
    steps, variables = [], []
    optimizers = [
        tf1.train.GradientDescentOptimizer(0.1),
        tf1.train.MomentumOptimizer(0.1, 0.9, use_nesterov=True),
        tf1.train.AdamOptimizer(0.1),
        tf1.train.AdagradOptimizer(0.1),
        tf1.train.AdadeltaOptimizer(1.0),
        tf1.train.FtrlOptimizer(0.1, l1_regularization_strength=0.01, l2_regularization_strength=0.01),
        tf1.train.RMSPropOptimizer(0.1),
        tf1.train.RMSPropOptimizer(0.1, momentum=0.3, centered=True),
        tf1.train.ProximalGradientDescentOptimizer(0.1, 0.01, 0.01),
        tf1.train.ProximalAdagradOptimizer(0.1),
        tf1.train.AdagradDAOptimizer(0.1, tf1.train.get_or_create_global_step()),
    ]
    for i, optimizer in enumerate(optimizers):
        v = tf1.get_variable("v%d" % i, initializer=np.float32([1, -2]))
        rows = tf1.get_variable("rows%d" % i, initializer=ramp(4, 2))
        loss = tf.reduce_sum(tf.square(v - x)) + tf.reduce_sum(tf.nn.embedding_lookup(rows, [1, 3, 1]) * x)
        steps.append(optimizer.minimize(loss, name="train%d" % i))
        variables += [v, rows]
    step = tf.group(*steps)
    feeds = {x: [0.5, -0.25]}
    return [(feeds, [], [step])] * 3 + [({}, [tf.identity(v) for v in variables])]


@graph()
def moving_averages():
    x = tf1.placeholder(tf.float32, [], "x")
    v = tf1.get_variable("v", initializer=np.float32(1))
    ema = tf1.train.ExponentialMovingAverage(0.9, tf1.train.get_or_create_global_step())
    update = tf1.assign(v, v + x)
    with tf1.control_dependencies([update]):
        apply = ema.apply([v])
    return [({x: 2.0}, [], [apply]), ({x: 3.0}, [], [apply]), ({}, [v, ema.average(v)])]


@graph()
def functions():
    x = tf1.placeholder(tf.float32, [3], "x")
    v = tf1.get_variable("v", initializer=np.float32([1, 2, 3]), use_resource=True)

    @tf.function
    def inner(a):
        return a * 2 + v

    @tf.function
    def outer(a):
        v.assign_add(tf.ones([3]))
        return inner(a) + inner(a * a), tf.reduce_sum(a)

    y, s = outer(x)
    g = tf1.gradients(y, x)[0]
    return [({x: ramp(3)}, [y, s, g])] * 2


@graph(v2_control_flow=True)
def functional_control_flow():
    x = tf1.placeholder(tf.float32, [3], "x")
    w = tf1.get_variable("w", initializer=np.float32([0.5, -1, 2]), use_resource=True)
    c = tf1.cond(tf.reduce_sum(x) > 0, lambda: x * w, lambda: x - w)
    n, y = tf1.while_loop(lambda i, h: i < 4, lambda i, h: (i + 1, tf.tanh(h * w + x)), [0, c])
    s = tf.switch_case(tf.cast(tf.reduce_sum(tf.abs(x)), tf.int32), [lambda: y + 1, lambda: y * 2, lambda: y - 3])
    grads = tf1.gradients(tf.reduce_sum(s * s), [x, w])
    return [({x: v}, [c, n, y, s] + grads) for v in (ramp(3), -ramp(3), [2.0, 3.0, 4.0])]


@graph(v2_control_flow=True)
def functional_rnn():
    x = tf1.placeholder(tf.float32, [None, 5, 3], "x")
    lengths = tf1.placeholder(tf.int32, [None], "lengths")
    with tf1.variable_scope("rnn", initializer=fixed("rnn"), use_resource=True):
        outputs, loss = rnn_loss(Cell("lstm", 4), x, lengths)
    step = train(loss, tf1.train.AdamOptimizer(0.05))
    feeds = {x: ramp(2, 5, 3), lengths: [5, 3]}
    return [(feeds, [outputs, loss])] + [(feeds, [loss], [step])] * 3


@graph(v2_control_flow=True)
def functional_map():
    x = tf1.placeholder(tf.float32, [5, 2], "x")
    mapped = tf.map_fn(lambda e: tf.reduce_sum(e * e) * e, x)
    scanned = tf.scan(lambda a, e: a * 0.5 + e, x)
    array = tf.TensorArray(tf.float32, 0, dynamic_size=True, element_shape=[2])
    array = tf1.while_loop(lambda i, a: i < 3, lambda i, a: (i + 1, a.write(i, x[i] * 2)), [0, array])[1]
    g = tf1.gradients(tf.reduce_sum(mapped) + tf.reduce_sum(scanned * scanned) + tf.reduce_sum(array.stack()), x)[0]
    return [({x: ramp(5, 2)}, [mapped, scanned, array.stack(), array.concat(), array.size(), g])]


@graph()
def tables():
    keys = tf1.placeholder(tf.string, [None], "keys")
    ids = tf1.placeholder(tf.int64, [None, 2], "ids")
    to_id = tf1.lookup.StaticHashTable(tf1.lookup.KeyValueTensorInitializer(["a", "b", "c"], tf.constant([0, 1, 2], tf.int64)), -1)
    to_text = tf1.lookup.StaticHashTable(tf1.lookup.KeyValueTensorInitializer(tf.constant([0, 1], tf.int64), ["zero", "one"]), "many")
    grows = tf.lookup.experimental.MutableHashTable(tf.int64, tf.float32, tf.constant([-1.0, -1.0]))
    insert = grows.insert(tf.reshape(ids, [-1]), tf.tile(tf.reshape(tf.cast(ids, tf.float32), [-1, 1]), [1, 2]))
    found = [to_id.lookup(keys), to_text.lookup(ids), grows.lookup(ids), to_id.size(), grows.size()]
    feeds = {keys: ["c", "x", "a"], ids: [[0, 7], [1, 0]]}
    return [(feeds, found), (feeds, [], [insert]), (feeds, found)]


@graph()
def savers():
    v = tf1.get_variable("v", initializer=np.float32([1, 2]))
    r = tf1.get_variable("r", initializer=np.int64([[1, 2], [3, 4]]), use_resource=True)
    parts = tf1.get_variable("parts", [5, 2], partitioner=tf1.fixed_size_partitioner(2), initializer=tf1.constant_initializer(3.0))
    saver = tf1.train.Saver()
    sharded = tf1.train.Saver(sharded=True)
    plain, many = saver.as_saver_def(), sharded.as_saver_def()
    g = tf1.get_default_graph()
    change = tf.group(tf1.assign_add(v, [1.0, 1.0]), r.assign(r * 10), *[tf1.assign(p, p * 2) for p in parts])
    values = [v, r.read_value()] + [tf.identity(p) for p in parts]
    steps = []
    for definition, folder in ((plain, "plain"), (many, "sharded")):
        # The folder is put in front of what is fed by whoever plays this.
        feed = {g.get_tensor_by_name(definition.filename_tensor_name): folder + "/model.ckpt"}
        save = g.get_tensor_by_name(definition.save_tensor_name).op
        restore = g.get_operation_by_name(definition.restore_op_name)
        steps += [(feed, [], [save]), ({}, values, []), ({}, [], [change]), ({}, values), (feed, [], [restore]), ({}, values)]
    return steps


@graph()
def special_functions():
    x = tf1.placeholder(tf.float64, [6], "x")
    y = tf1.placeholder(tf.float64, [6], "y")
    p = tf1.placeholder(tf.float32, [5], "p")
    n = tf.constant([0.0, 1, 2, 3, 4, 1], tf.float64)
    values = [
        tf.math.digamma(x), tf.math.igamma(x, y), tf.math.igammac(x, y), tf.math.zeta(x + 1.5, y), tf.math.polygamma(n, y),
        tf.math.betainc(x, y, tf.sigmoid(x - y)), tf.math.erfinv(p), tf.math.ndtri(tf.sigmoid(p * 9)),
        tf.math.bessel_i0e(y - x), tf.math.bessel_i1e(y - x), tf1.gradients(tf.math.igamma(x, y), x)[0],
        tf.raw_ops.LowerBound(sorted_inputs=[[1.0, 2, 2, 3], [0.0, 1, 2, 9]], values=[[2.0, 5], [-1.0, 9]]),
        tf.raw_ops.UpperBound(sorted_inputs=[[1.0, 2, 2, 3], [0.0, 1, 2, 9]], values=[[2.0, 5], [-1.0, 9]]),
    ]
    z = tf.complex(p, p * 2 - 1)
    values += [tf.math.real(z), tf.math.imag(z), tf.abs(z), tf.math.angle(z)]
    given = {x: [0.1, 0.7, 1.0, 2.5, 9.0, 40.0], y: [0.2, 0.5, 3.0, 2.0, 14.0, 38.0], p: [-0.99, -0.3, 1e-4, 0.6, 0.9999]}
    special = {x: [1.0, 2, 3, 4, 5, 6], y: [1e-8, 1e3, 0.0, 6.5, 1.0, 1e-3], p: [-1.0, 1.0, 0.0, 2.0, 0.5]}
    return [(given, values), (special, values)]


@graph()
def einsums():
    a = tf1.placeholder(tf.float32, [2, 3, 4], "a")
    b = tf1.placeholder(tf.float32, [2, 4, 5], "b")
    m = tf1.placeholder(tf.float32, [3, 3], "m")
    feeds = {a: ramp(2, 3, 4), b: ramp(2, 4, 5), m: ramp(3, 3)}
    values = [
        tf.einsum("bij,bjk->bik", a, b), tf.einsum("bij,bjk->kib", a, b), tf.einsum("...ij,...jk->...ik", a, b[0]),
        tf.einsum("bij->jb", a), tf.einsum("ii->i", m), tf.einsum("ii->", m), tf.einsum("bij,ji->b", a, tf.transpose(a[0])),
        tf.einsum("bij,i,j->b", a, m[0], a[0, 0]), tf.einsum("i,j->ij", m[0], m[1]), tf.einsum("...a->...", a),
    ]
    total = tf.add_n([tf.reduce_sum(v * v) for v in values])
    return [(feeds, values + tf1.gradients(total, [a, b, m]))]


@graph()
def volumes():
    x = tf1.placeholder(tf.float32, [2, 5, 4, 6, 2], "x")
    f = tf1.placeholder(tf.float32, [2, 3, 2, 2, 3], "f")
    feeds = {x: ramp(2, 5, 4, 6, 2), f: ramp(2, 3, 2, 2, 3)}
    values = [
        tf.nn.conv3d(x, f, [1, 1, 1, 1, 1], "SAME"), tf.nn.conv3d(x, f, [1, 2, 1, 2, 1], "VALID"),
        tf1.nn.max_pool3d(x, [1, 2, 2, 2, 1], [1, 2, 2, 2, 1], "VALID"), tf1.nn.max_pool3d(x, [1, 3, 2, 3, 1], [1, 2, 1, 2, 1], "SAME"),
        tf1.nn.avg_pool3d(x, [1, 2, 2, 2, 1], [1, 2, 2, 2, 1], "SAME"), tf1.nn.avg_pool3d(x, [1, 3, 2, 2, 1], [1, 1, 1, 2, 1], "VALID"),
    ]
    total = tf.add_n([tf.reduce_sum(v * v) for v in values])
    return [(feeds, values + tf1.gradients(total, [x, f]))]


@graph()
def linear_algebra():
    x = tf1.placeholder(tf.float64, [2, 3, 3], "x")
    r = tf1.placeholder(tf.float64, [2, 3, 2], "r")
    positive = tf.matmul(x, x, transpose_b=True) + tf.eye(3, dtype=tf.float64)
    factor = tf.linalg.cholesky(positive)
    values = [
        tf.linalg.det(x), tf.linalg.inv(positive), tf.linalg.inv(x, adjoint=True), tf.linalg.solve(x, r), tf.linalg.solve(x, r, adjoint=True), factor,
        tf.linalg.triangular_solve(factor, r), tf.linalg.triangular_solve(factor, r, adjoint=True),
    ]
    total = tf.add_n([tf.reduce_sum(v * v) for v in values])
    return [({x: ramp(2, 3, 3) * 3 + np.eye(3), r: ramp(2, 3, 2)}, values + tf1.gradients(total, [x, r]))]


@graph()
def sparse_tensors():
    values = tf1.placeholder(tf.float32, [5], "values")
    dense = tf1.placeholder(tf.float32, [6, 3], "dense")
    s = tf.SparseTensor([[0, 1], [0, 4], [2, 0], [3, 3], [3, 5]], values, [5, 6])
    other = tf.SparseTensor([[0, 1], [1, 1], [3, 5]], [1.0, 2.0, 3.0], [5, 6])
    shuffled = tf.SparseTensor(tf.gather(s.indices, [4, 0, 3, 1, 2]), tf.gather(values, [4, 0, 3, 1, 2]), s.dense_shape)
    filled, empty = tf.sparse.fill_empty_rows(s, -1.0)
    ids = tf.SparseTensor([[0, 0], [0, 1], [2, 0]], tf.constant([1, 3, 0], tf.int64), [4, 2])
    embedded = tf1.nn.safe_embedding_lookup_sparse([dense], ids, combiner="mean")
    product = tf.sparse.sparse_dense_matmul(s, dense)
    adjoint = tf.sparse.sparse_dense_matmul(s, tf.ones([5, 2]), adjoint_a=True)
    parts = [tf.sparse.reorder(shuffled), filled, tf.sparse.reshape(s, [3, -1]), tf.sparse.concat(1, [s, other]), tf.sparse.slice(s, [0, 1], [4, 4])]
    added = tf.sparse.add(s, other)
    outputs = [product, adjoint, empty, embedded, added.indices, added.values, tf.sparse.reduce_sum(s, 1), tf.sparse.reduce_sum(s, 0, keepdims=True)]
    outputs += [tf.sparse.softmax(s).values, tf.sparse.to_dense(s), (s * tf.ones([5, 1])).values, tf.sparse.add(s, tf.ones([5, 6]))]
    for part in parts:
        outputs += [part.indices, part.values, part.dense_shape]
    total = tf.reduce_sum(product * product) + tf.reduce_sum(embedded * embedded) + tf.reduce_sum(filled.values * filled.values)
    return [({values: [0.5, -1.0, 2.0, 0.25, 1.5], dense: ramp(6, 3)}, outputs + tf1.gradients(total, [values, dense]))]


@graph()
def queue_handles():
    """One of several queues by its number, the newer handles and the older references."""
    index = tf1.placeholder(tf.int32, [], "index")
    new = [tf1.FIFOQueue(3, tf.float32, shapes=[[]], name=name) for name in ("a", "b")]
    old = [tf.raw_ops.FIFOQueue(component_types=[tf.float32], shapes=[[]], capacity=3, name=name) for name in ("c", "d")]
    steps = []
    chosen = tf1.QueueBase.from_list(index, new)
    put, take, size = chosen.enqueue_many([[1.0, 2.0]]), chosen.dequeue(), [queue.size() for queue in new]
    handle = tf.raw_ops.RefSelect(index=index, inputs=old)
    put_old = tf.raw_ops.QueueEnqueueMany(handle=handle, components=[tf.constant([3.0, 4.0])])
    take_old = tf.raw_ops.QueueDequeue(handle=handle, component_types=[tf.float32])[0]
    size_old = [tf.raw_ops.QueueSize(handle=queue) for queue in old]
    for puts, takes, sizes in ((put, take, size), (put_old, take_old, size_old)):
        steps += [({index: 1}, [], [puts]), ({}, sizes), ({index: 1}, [takes]), ({index: 0}, [], [puts]), ({}, sizes)]
        steps += [({index: 2}, [takes]), ({index: -1}, [takes]), ({index: 0}, [takes]), ({}, sizes)]
    return steps


@graph()
def sparse_maps():
    i, v, s = tf1.placeholder(tf.int64, name="i"), tf1.placeholder(tf.string, name="v"), tf1.placeholder(tf.int64, name="s")
    h = tf1.placeholder(tf.int64, name="h")
    given = dict(sparse_indices=i, sparse_values=v, sparse_shape=s)
    one = tf.raw_ops.AddSparseToTensorsMap(shared_name="m", **given)
    many = tf.raw_ops.AddManySparseToTensorsMap(shared_name="m", **given)
    take = list(tf.raw_ops.TakeManySparseFromTensorsMap(sparse_handles=h, dtype=tf.string, shared_name="m"))
    wrong = list(tf.raw_ops.TakeManySparseFromTensorsMap(sparse_handles=h, dtype=tf.int64, shared_name="m"))
    other = list(tf.raw_ops.TakeManySparseFromTensorsMap(sparse_handles=h, dtype=tf.string))

    def put(op, indices, values, shape):
        return ({i: indices, v: np.array(values, object), s: shape}, [op])

    return [
        ({h: [0]}, take),
        put(one, [[0, 1], [2, 0]], ["a", "b"], [3, 4]),
        put(one, [[0, 1], [2, 0]], ["c", "d"], [5, 2]),
        put(one, [[1]], ["e"], [5]),
        ({h: [1, 0]}, take),
        ({h: [1]}, take),
        ({h: []}, take),
        ({h: 2}, take),
        ({h: [2]}, other),
        put(many, [[0, 1], [2, 0], [2, 1]], ["f", "g", "h"], [4, 4]),
        ({h: [5, 4, 3, 6]}, take),
        put(many, [[0, 1], [2, 0], [1, 1]], ["f", "g", "h"], [4, 4]),
        put(many, [[0]], ["f"], [4]),
        put(many, [[9, 0]], ["f"], [4, 4]),
        put(one, [[1, 0]], ["f", "g"], [4, 4]),
        put(one, [[1, 0]], ["f"], [4, 4, 4]),
        put(one, [1, 0], ["f"], [4, 4]),
        put(one, [[1, 0]], ["f"], [4, 4]),
        ({h: [7]}, wrong),
    ]


@graph()
def reader_states():
    names = tf1.FIFOQueue(9, tf.string, shapes=[[]], name="names")
    fill = names.enqueue_many([["x", "y", "z", "u", "v", "w"]])
    state = tf1.placeholder(tf.string, [], "state")
    reader = tf1.IdentityReader(name="identity")
    key, value = reader.read(names)
    counts = [reader.num_records_produced(), reader.num_work_units_completed()]
    serialize, restore, reset = reader.serialize_state(), reader.restore_state(state), reader.reset()
    steps = [({}, [], [fill]), ({}, counts + [serialize]), ({}, [key, value]), ({}, [key, value]), ({}, counts + [serialize])]
    steps += [({}, [], [reset]), ({}, counts + [serialize])]
    one = b"\x08\x03\x10\x03\x18\x05\x22\x01q"
    steps += [({state: one}, [], [restore]), ({}, counts + [serialize]), ({}, [key, value]), ({}, counts + [serialize])]
    steps += [({state: b""}, [], [restore]), ({}, counts + [serialize])]
    steps += [({state: bad}, [], [restore]) for bad in (b"junk", b"\x08\x01\x10\x03")]
    for other in (tf1.TFRecordReader(), tf1.TextLineReader(), tf1.FixedLengthRecordReader(3)):
        steps += [({}, [other.serialize_state()]), ({state: b""}, [], [other.restore_state(state)])]
        steps += [({}, [], [other.reset()]), ({}, [other.num_records_produced(), other.num_work_units_completed()])]
    return steps


@graph()
def queues_in_loops():
    """Loops and branches that fill and empty queues within one step."""
    queue = tf1.FIFOQueue(2, tf.int32, shapes=[[]], name="queue")
    back = tf1.FIFOQueue(1, tf.int32, shapes=[[]], name="back")
    n = tf1.placeholder(tf.int32, [], "n")

    def fill(queue, factor=1):
        def body(i):
            with tf1.control_dependencies([queue.enqueue(i * factor)]):
                return i + 1

        return tf1.while_loop(lambda i: i < n, body, [0], parallel_iterations=1)

    def drain(queue):
        def body(i, total):
            return i + 1, total * 2 + queue.dequeue()

        return tf1.while_loop(lambda i, total: i < n, body, [0, 0], parallel_iterations=1)

    def pass_on(i):
        with tf1.control_dependencies([back.enqueue(queue.dequeue() * 10)]):
            return i + 1

    filled = tf.identity(fill(queue), name="filled")
    many = queue.dequeue_many(n)
    drained = tf.identity(drain(queue)[1], name="drained")
    relayed = tf1.while_loop(lambda i: i < n, pass_on, [0], parallel_iterations=1)
    drained_back = drain(back)[1]
    p = tf1.placeholder(tf.bool, [], "p")

    def put():
        with tf1.control_dependencies([queue.enqueue_many([[7, 8, 9]])]):
            return tf.constant(1)

    branch = tf1.cond(p, put, lambda: tf.constant(0))
    three = queue.dequeue_many(3)
    later = tf.reduce_sum(three) + tf.cast(branch, tf.int32)
    return [
        ({n: 10}, [filled, many]),
        ({n: 10}, [many, filled]),
        ({n: 10}, [filled, drained]),
        ({n: 10}, [drained, filled]),
        ({n: 6}, [relayed, filled, drained_back]),
        ({n: 0}, [relayed, filled, drained_back, many]),
        ({p: True}, [branch, three, later]),
        ({p: False, n: 2}, [branch, filled]),
        ({n: 2}, [many]),
    ]


@graph()
def staging_areas():
    x, i = tf1.placeholder(tf.float32, name="x"), tf1.placeholder(tf.int32, [], "i")
    limits = dict(capacity=3, memory_limit=0, shared_name="area")
    both = dict(dtypes=[tf.float32, tf.int32], **limits)
    put = tf.raw_ops.Stage(values=[x, tf.constant(7)], **limits)
    get, peek = tf.raw_ops.Unstage(**both), tf.raw_ops.StagePeek(index=i, **both)
    size, clear = tf.raw_ops.StageSize(**both), tf.raw_ops.StageClear(**both)
    small = tf.raw_ops.Stage(values=[x], memory_limit=8, shared_name="small")
    small_size = tf.raw_ops.StageSize(dtypes=[tf.float32], memory_limit=8, shared_name="small")
    steps = [({}, [size])] + [({x: v}, [], [put]) for v in (1.0, [2.0], [[3.0]])] + [({}, [size])]
    steps += [({i: v}, list(peek)) for v in (0, 2)] + [({}, list(get)), ({x: 4.0}, [], [put])]
    steps += [({}, list(get)), ({}, list(get)), ({}, [size]), ({x: 5.0}, [], [put]), ({}, [], [clear]), ({}, [size])]
    steps += [({x: v}, [], [small]) for v in ([1.0, 2.0, 3.0], [1.0, 2.0])] + [({}, [small_size])]
    # Taken and put within one step.
    return steps + [({x: 6.0}, list(get), [put]), ({}, [size])]


@graph()
def map_staging_areas():
    k, x, y = tf1.placeholder(tf.int64, [], "k"), tf1.placeholder(tf.float32, name="x"), tf1.placeholder(tf.int32, name="y")
    steps = []
    for prefix in ("", "Ordered"):
        op = lambda name: getattr(tf.raw_ops, prefix + name)
        common = dict(capacity=3, memory_limit=0, shared_name="area" + prefix)
        whole = dict(dtypes=[tf.float32, tf.int32], **common)
        both = op("MapStage")(key=k, indices=[0, 1], values=[x, y], **whole)
        first, second = op("MapStage")(key=k, indices=[0], values=[x], **whole), op("MapStage")(key=k, indices=[1], values=[y], **whole)
        bad = op("MapStage")(key=k, indices=[2], values=[y], **whole)
        get, peek = op("MapUnstage")(key=k, indices=[0, 1], **whole), op("MapPeek")(key=k, indices=[0, 1], **whole)
        get0 = op("MapUnstage")(key=k, indices=[0], dtypes=[tf.float32], **common)
        get1 = op("MapUnstage")(key=k, indices=[1], dtypes=[tf.int32], **common)
        any_ = op("MapUnstageNoKey")(indices=[0, 1], **whole)
        any_ = [any_.key] + list(any_.values)
        sizes, clear = [op("MapSize")(**whole), op("MapIncompleteSize")(**whole)], op("MapClear")(**whole)
        put = lambda key, to=both: ({k: key, x: key * 1.5, y: key * 10}, [], [to])
        steps += [put(5), ({}, sizes), put(5), ({}, sizes), put(3, first), ({}, sizes), put(3, first), put(3, second), ({}, sizes)]
        steps += [put(8, bad), put(1), ({}, sizes), ({k: 3}, list(peek)), ({k: 5}, list(get)), ({}, sizes)]
        steps += [({k: 3}, list(get0)), ({}, sizes), ({k: 3}, list(get0)), ({k: 3}, list(get1)), ({}, sizes), ({}, any_), ({}, sizes)]
        steps += [put(9), put(4, first), ({}, sizes), ({}, [], [clear]), ({}, sizes), put(2), ({}, any_)]
    return steps


@graph()
def accumulators():
    x, s, n = tf1.placeholder(tf.float32, name="x"), tf1.placeholder(tf.int64, [], "s"), tf1.placeholder(tf.int32, [], "n")
    steps = []
    for reduction in ("MEAN", "SUM"):
        new = tf1.ConditionalAccumulator(tf.float32, shape=[2], reduction_type=reduction)
        apply, take, count, step = new.apply_grad(x, s), new.take_grad(n), new.num_accumulated(), new.set_global_step(s)
        handle = tf.raw_ops.ConditionalAccumulator(dtype=tf.float32, shape=[2], reduction_type=reduction)
        old = (
            tf.raw_ops.AccumulatorApplyGradient(handle=handle, local_step=s, gradient=x),
            tf.raw_ops.AccumulatorTakeGradient(handle=handle, num_required=n, dtype=tf.float32),
            tf.raw_ops.AccumulatorNumAccumulated(handle=handle),
            tf.raw_ops.AccumulatorSetGlobalStep(handle=handle, new_global_step=s),
        )
        for apply, take, count, step in ((apply, take, count, step), old):
            put = lambda v, at: [({x: v, s: at}, [], [apply]), ({}, [count])]
            steps += put([1, 2], 0) + put([3, 5], 0) + put([100, 100], -1) + [({n: 1}, [take]), ({}, [count])]
            steps += put([9, 9], 0) + put([9, 9], 1) + put([1, 1], 5) + [({s: 10}, [], [step]), ({}, [count])]
            steps += [({s: 3}, [], [step]), ({n: 2}, [take]), ({n: 0}, [take]), ({n: -1}, [take])]
            steps += put([1, 1], 10) + put([1, 2, 3], 11) + put(1.0, 11) + put([7, 7], 2) + [({n: 1}, [take])]
    open_ = tf1.ConditionalAccumulator(tf.float32, shape=[None, 2])
    apply, take = open_.apply_grad(x, s), open_.take_grad(1)
    steps += [({x: v, s: at}, [], [apply]) for v, at in (([[1, 2]], 0), ([[1, 2], [3, 4]], 0), ([1, 2], 0))]
    return steps + [({}, [take]), ({x: [[1, 2], [3, 4]], s: 1}, [], [apply]), ({}, [take])]


@graph()
def sparse_accumulators():
    x, s, n = tf1.placeholder(tf.float32, name="x"), tf1.placeholder(tf.int64, [], "s"), tf1.placeholder(tf.int32, [], "n")
    i, shape = tf1.placeholder(tf.int64, name="i"), tf1.placeholder(tf.int64, name="shape")
    steps = []
    for reduction in ("MEAN", "SUM"):
        rows = tf1.SparseConditionalAccumulator(tf.float32, shape=[None, 2], reduction_type=reduction)
        apply = rows.apply_grad(i, x, shape, local_step=s)
        unshaped = tf.raw_ops.SparseAccumulatorApplyGradient(
            handle=rows.accumulator_ref, local_step=s, gradient_indices=i, gradient_values=x, gradient_shape=shape, has_known_shape=False
        )
        take, count = list(rows.take_grad(n)), rows.num_accumulated()
        put = lambda indices, values, at, of=(9, 2), to=apply: [({i: indices, x: values, s: at, shape: of}, [], [to]), ({}, [count])]
        steps += put([0, 2], [[1, 2], [3, 4]], 0) + put([2, 3], [[10, 20], [30, 40]], 0) + put([1], [[5, 5]], 0, [], unshaped)
        steps += [({n: 3}, take)] + put([0], [[1, 2]], 0) + put([2, 0], [[1, 2], [3, 4]], 1) + [({n: 1}, take)]
        steps += put([2, 2], [[1, 2], [3, 4]], 2) + put([2], [[1, 2]], 2) + put([2], [[1, 2, 3]], 2, (9, 3)) + put([2], [[1, 2, 3]], 2)
        steps += put(2, [[1, 2]], 2) + put([2, 3], [[1, 2]], 2) + put([], [[1, 2]], 2) + [({n: 1}, take)]
        steps += put([20], [[1, 2]], 9) + [({n: 1}, take), ({s: 20}, [], [rows.set_global_step(s)]), ({n: 0}, take)]
        steps += put([1], [[1, 2]], 19) + put([1], [[1, 2]], 20)
    return steps


@graph()
def barriers():
    key, x, y = tf1.placeholder(tf.string, name="key"), tf1.placeholder(tf.float32, name="x"), tf1.placeholder(tf.int32, name="y")
    n = tf1.placeholder(tf.int32, [], "n")
    steps = []
    for cancel in (False, True):
        types = [tf.float32, tf.int32]
        handle = tf.raw_ops.Barrier(component_types=types, shapes=[[2], []], capacity=-1)
        insert0 = tf.raw_ops.BarrierInsertMany(handle=handle, keys=key, values=x, component_index=0)
        insert1 = tf.raw_ops.BarrierInsertMany(handle=handle, keys=key, values=y, component_index=1)
        insert2 = tf.raw_ops.BarrierInsertMany(handle=handle, keys=key, values=y, component_index=2)

        def take(**options):
            taken = tf.raw_ops.BarrierTakeMany(handle=handle, num_elements=n, component_types=types, **options)
            return [taken.indices, taken.keys] + list(taken.values)

        exact, small = take(), take(allow_small_batch=True)
        close = tf.raw_ops.BarrierClose(handle=handle, cancel_pending_enqueues=cancel)
        sizes = [tf.raw_ops.BarrierReadySize(handle=handle), tf.raw_ops.BarrierIncompleteSize(handle=handle)]
        names = lambda text: np.array(list(text), object)
        put0 = lambda text, values: [({key: names(text), x: values}, [], [insert0]), ({}, sizes)]
        put1 = lambda text, values, to=insert1: [({key: names(text), y: values}, [], [to]), ({}, sizes)]
        steps += put0("abc", [[1, 1], [2, 2], [3, 3]]) + put1("ca", [30, 10]) + put0("b", [[9, 9]]) + put0("a", [[9, 9]])
        steps += [({n: 1}, exact), ({}, sizes)] + put0("a", [[7, 7]]) + put1("a", [77]) + [({n: 2}, exact), ({}, sizes)]
        steps += put1("q", [1], insert2) + put1("db", [40, 20]) + [({}, [], [close]), ({}, sizes)]
        steps += put0("z", [[1, 1]]) + put0("d", [[4, 4]]) + [({n: 5}, exact), ({n: 1}, small), ({n: 5}, small), ({n: 5}, small), ({n: 1}, exact), ({}, sizes)]
    return steps


def encode(value):
    value = np.asarray(value)
    if value.dtype.kind in "OS":
        items = [v.decode() if isinstance(v, bytes) else str(v) for v in value.ravel()]
        return {"dtype": "string", "shape": list(value.shape), "values": items}
    items = [str(v) if np.issubdtype(value.dtype, np.floating) and not np.isfinite(v) else v for v in value.ravel().tolist()]
    return {"dtype": tf.dtypes.as_dtype(value.dtype).name, "shape": list(value.shape), "values": items}


def write(name, message):
    plain = os.path.join(HERE, name + ".pb")
    for old in (plain, plain + ".gz"):
        if os.path.exists(old):
            os.remove(old)
    if len(message) < LARGE:
        with open(plain, "wb") as file:
            file.write(message)
    else:
        with open(plain + ".gz", "wb") as file:
            file.write(gzip.compress(message, 9, mtime=0))


def make(name):
    build, v2_control_flow, resource = GRAPHS[name]
    tf1.disable_eager_execution()
    (tf1.enable_control_flow_v2 if v2_control_flow else tf1.disable_control_flow_v2)()
    (tf1.enable_resource_variables if resource else tf1.disable_resource_variables)()
    with tf.Graph().as_default() as g:
        steps = build()
        init = tf.group(tf1.global_variables_initializer(), tf1.tables_initializer(), name="initialize_all")
        write(name, g.as_graph_def().SerializeToString(deterministic=True))
        recorded = []
        config = tf1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
        with tf1.Session(config=config) as session, tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            [os.mkdir(name) for name in ("plain", "sharded")]
            session.run(init)
            for step in steps:
                feeds, fetches, targets = (list(step) + [[]])[:3]
                try:
                    result = {"values": [encode(v) for v in session.run([fetches, targets], feeds)[0]]}
                except tf.errors.OpError as error:
                    result = {"error": error.error_code}
                feeds = {k.name: encode(np.asarray(v, object if k.dtype == tf.string else k.dtype.as_numpy_dtype)) for k, v in feeds.items()}
                recorded.append(
                    {
                        "feeds": feeds,
                        "fetches": [t.name for t in fetches],
                        "targets": [t.name for t in targets],
                        **result,
                    }
                )
    with open(os.path.join(HERE, name + ".json"), "w") as file:
        json.dump({"init": init.name, "steps": recorded}, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    for graph_name in sys.argv[1:] or GRAPHS:
        make(graph_name)
