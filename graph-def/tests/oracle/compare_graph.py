"""Imports a graph that was exported in Rust, builds the same model in Python, compares the nodes and runs it.

Usage: compare_graph.py GRAPH.pb
Nodes are comparable when name, op and inputs agree: the two gradient builders take different ways to one result.
Prints JSON: the comparable names, how their attributes differ, and losses of a training run.
"""
import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import tensorflow.compat.v1 as tf

tf.disable_eager_execution()


def model():
    x = tf.placeholder(tf.float32, [None, 3], name="x")
    y = tf.placeholder(tf.int32, [None], name="y")
    with tf.variable_scope("hidden"):
        w = tf.get_variable("w", initializer=np.full([3, 4], 0.1, np.float32), use_resource=True)
        b = tf.get_variable("b", initializer=np.zeros([4], np.float32), use_resource=True)
    h = tf.nn.relu(tf.nn.bias_add(tf.matmul(x, w, name="product"), b, name="biased"), name="relu")
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=h, name="xent")
    loss = tf.reduce_mean(losses, name="loss")
    step = tf.train.create_global_step()
    tf.train.AdamOptimizer(0.01).minimize(loss, global_step=step)


def attrs(node):
    return {k: v for k, v in node.attr.items() if not k.startswith("_") and k != "debug_name"}


def normal(value):
    # Constants are compared by value: there are several ways to write one.
    if value.WhichOneof("value") == "tensor":
        array = tf.make_ndarray(value.tensor)
        return (str(array.dtype), array.shape, array.tolist())
    return value.SerializeToString(deterministic=True)


def difference(ours, theirs):
    a, b = attrs(ours), attrs(theirs)
    if a.keys() != b.keys():
        return f"attributes {sorted(a)} / {sorted(b)}"
    for key in a:
        if normal(a[key]) != normal(b[key]):
            return f"attribute {key}: {a[key]} / {b[key]}"
    return None


def main():
    ours = tf.GraphDef()
    ours.ParseFromString(open(sys.argv[1], "rb").read())
    with tf.Graph().as_default() as graph:
        model()
        theirs = {node.name: node for node in graph.as_graph_def().node}
    mine = {node.name: node for node in ours.node}
    same = [
        name
        for name in sorted(mine.keys() & theirs.keys())
        if mine[name].op == theirs[name].op and list(mine[name].input) == list(theirs[name].input)
    ]
    different = {name: text for name in same if (text := difference(mine[name], theirs[name]))}
    # It runs: some steps of training on the imported graph.
    losses = []
    with tf.Graph().as_default() as graph, tf.Session() as session:
        tf.import_graph_def(ours, name="")
        session.run([op for op in graph.get_operations() if op.name.endswith("/Assign") and op.type == "AssignVariableOp"])
        feeds = {"x:0": np.arange(6, dtype=np.float32).reshape(2, 3), "y:0": np.array([1, 3], np.int32)}
        for _ in range(3):
            losses.append(float(session.run("loss:0", feeds)))
            session.run("Adam", feeds)
    print(json.dumps({
        "same": same,
        "different": different,
        "losses": losses,
        "producer": ours.versions.producer,
        "their_producer": graph.as_graph_def().versions.producer,
    }))


main()
