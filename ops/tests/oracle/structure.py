"""What TensorFlow builds for a few small models, as JSON: the facts that ops/tests/oracle.rs holds this crate against.

Names, op types, attributes and inputs only. Inputs are described by what they are (a variable, a read of one, a
constant, a gradient), because the operations between them are not the subject here.
"""
import json
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tensorflow as tensorflow_2  # noqa: E402

tf = tensorflow_2.compat.v1
tf.logging.set_verbosity(tf.logging.FATAL)
tf.disable_eager_execution()
tf.enable_resource_variables()


def constant(operation):
    value = tensorflow_2.make_ndarray(operation.get_attr("value"))
    if value.dtype.kind == "f":
        return [float(x) for x in value.ravel()]
    if value.dtype.kind == "O":
        return [x.decode() for x in value.ravel()]
    return [int(x) for x in value.ravel()]


def described(tensor):
    operation = tensor.op
    if operation.type in ("VarHandleOp", "VariableV2"):
        return "variable " + operation.name
    if operation.type == "ReadVariableOp" or operation.name.endswith("/read"):
        return "read " + operation.inputs[0].op.name
    if operation.type == "Const":
        return constant(operation)
    if operation.name.startswith("gradients"):
        return "gradient"
    return tensor.name


def build(make):
    graph = tf.Graph()
    with graph.as_default():
        make()
    return graph


def plain_operations(graph):
    """Every operation: name, type, inputs, and what matters of its attributes."""
    rows = []
    for operation in graph.get_operations():
        row = [operation.name, operation.type, [tensor.name for tensor in operation.inputs]]
        if operation.type == "Const":
            row.append(constant(operation))
        elif operation.type == "VarHandleOp":
            row.append([operation.get_attr("dtype").name, operation.get_attr("shared_name").decode()])
        elif "seed" in operation.node_def.attr:
            row.append([operation.get_attr("seed"), operation.get_attr("seed2")])
        rows.append(row)
    return rows


def collections(graph):
    return {
        key: [item.name.split(":")[0] for item in graph.get_collection(key)]
        for key in sorted(graph.get_all_collection_keys())
        if key != "global_step_read_op_cache"
    }


def initializers():
    i = tf.initializers
    cases = {
        "zeros": (i.zeros(), [4, 3]),
        "ones": (i.ones(), [4, 3]),
        "random_uniform": (i.random_uniform(-2.0, 3.0), [4, 3]),
        "random_normal": (i.random_normal(1.0, 0.5), [4, 3]),
        "truncated_normal": (i.truncated_normal(0.0, 0.1), [4, 3]),
        "glorot_uniform": (i.glorot_uniform(), [4, 3]),
        "glorot_normal": (i.glorot_normal(), [3, 3, 2, 5]),
        "he_uniform": (i.he_uniform(), [4, 3]),
        "he_normal": (i.he_normal(), [7]),
        "lecun_uniform": (i.lecun_uniform(), [4, 3]),
        "lecun_normal": (i.lecun_normal(), []),
        "fan_out": (i.variance_scaling(3.0, "fan_out", "untruncated_normal"), [4, 3]),
        "own_seed": (i.glorot_uniform(seed=11), [4, 3]),
    }

    def make(initializer, shape):
        tf.set_random_seed(7)
        tf.get_variable("first", [2], initializer=i.random_normal())
        tf.get_variable("w", shape, initializer=initializer)

    return {name: plain_operations(build(lambda: make(*case))) for name, case in cases.items()}


def samplers():
    def make():
        tf.set_random_seed(7)
        tf.random_normal([2])
        tf.random_uniform([2], maxval=10, dtype=tf.int32)
        tf.random_uniform([2], 2.0, 3.0)
        tf.random_uniform([2], 0, 1)
        tf.truncated_normal([2], seed=3)
        tf.random_shuffle(tf.constant([1, 2], name="rows"))
        tf.random_normal([2], 1.0, 2.0, dtype=tf.float64)

    return plain_operations(build(make))


def seeds():
    from tensorflow.python.framework import random_seed

    rows = []
    for of_graph, of_operation in [
        (None, None), (None, 5), (7, None), (7, 5), (0, 0), (0, None), (None, 0),
        (-1, -2), (2**31, 2**31), (2**40 + 3, 2**33 + 1),
    ]:
        with tf.Graph().as_default():
            if of_graph is not None:
                tf.set_random_seed(of_graph)
            found = [random_seed.get_seed(of_operation) for _ in range(2)]
            rows.append([of_graph, of_operation, [[a or 0, b or 0] for a, b in found]])
    return rows


def optimizers():
    return [optimizers_of(True), optimizers_of(False)]


def optimizers_of(resource):
    t = tf.train
    cases = {
        "gradient_descent": lambda: t.GradientDescentOptimizer(0.1),
        "momentum": lambda: t.MomentumOptimizer(0.1, 0.9),
        "nesterov": lambda: t.MomentumOptimizer(0.1, 0.9, use_nesterov=True),
        "adam": lambda: t.AdamOptimizer(0.01),
        "rms_prop": lambda: t.RMSPropOptimizer(0.1),
        "centered_rms_prop": lambda: t.RMSPropOptimizer(0.1, centered=True, momentum=0.5),
        "adagrad": lambda: t.AdagradOptimizer(0.1),
        "adadelta": lambda: t.AdadeltaOptimizer(),
    }

    def make(optimizer):
        step = tf.train.get_or_create_global_step()
        x = tf.placeholder(tf.float32, [4, 2], name="x")
        with tf.variable_scope("layer"):
            w = tf.get_variable("w", [2, 3], use_resource=resource)
            b = tf.get_variable("b", [3], initializer=tf.zeros_initializer(), use_resource=resource)
        loss = tf.reduce_mean(tf.square(tf.matmul(x, w) + b))
        optimizer().minimize(loss, step)

    found = {}
    for name, optimizer in cases.items():
        graph = build(lambda: make(optimizer))
        updates = [
            [o.name, o.type, [described(tensor) for tensor in o.inputs]]
            for o in graph.get_operations()
            if "/update_" in o.name and "Apply" in o.type
        ]
        initial = {
            v.op.name: [v.initial_value.op.type, [int(d) for d in v.shape]]
            for v in graph.get_collection("variables")
        }
        nesterov = sorted({
            bool(o.get_attr("use_nesterov")) for o in graph.get_operations() if "use_nesterov" in o.node_def.attr
        })
        found[name] = {
            "collections": collections(graph), "updates": updates, "initial": initial, "nesterov": nesterov,
        }
    return found


def moving_average():
    def make():
        w = tf.get_variable("w", [2, 3])
        average = tf.train.ExponentialMovingAverage(0.99)
        average.apply([w])

    return collections(build(make))


def summaries():
    def make():
        value = tf.constant(1.0, name="value")
        with tf.name_scope("outer"):
            tf.summary.scalar("loss", value)
            tf.summary.scalar("loss", value)
            tf.summary.scalar("my loss:0/x", value)
            tf.summary.histogram("h", value, family="fam")
        tf.summary.scalar("a", value, family="fam")
        tf.summary.image("img", tf.constant([[[[0.5]]]], name="pixels"), max_outputs=1)
        tf.summary.audio("clip", tf.constant([[0.5]], name="frames"), 8000.0)
        tf.summary.text("note", tf.constant("x", name="words"))
        tf.summary.merge_all()

    rows = plain_operations(build(make))
    return [row for row in rows if "Const" not in row[1] or row[0].endswith(("/tags", "/tag"))]


def main():
    parts = [initializers, samplers, seeds, optimizers, moving_average, summaries]
    print(json.dumps({part.__name__: part() for part in parts}))


main()
