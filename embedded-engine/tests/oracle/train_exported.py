"""Trains models that Rust programs exported, with their own training operations and with gradients that TensorFlow adds.

Usage: train_exported.py FOLDER STEPS
FOLDER holds exported/NAME.meta for each model, with a loss `loss` and a training operation `train`, and own/NAME.meta, without that
operation. Prints JSON: for each name the losses of both trainings, or the error.
"""
import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
import numpy as np
import tensorflow.compat.v1 as tf

tf.disable_eager_execution()
tf.enable_control_flow_v2()


def values(name, shape):
    count = int(np.prod(shape))
    return (np.sin(np.arange(count) * 0.7 + len(name)) * 0.4).reshape(shape)


def train(meta, steps, own):
    with tf.Graph().as_default() as graph, tf.Session() as session:
        tf.train.import_meta_graph(meta)
        loss = graph.get_tensor_by_name("loss:0")
        if own:
            step = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
        else:
            step = graph.get_operation_by_name("train")
        for v in tf.global_variables():
            session.run(v.initializer, {v.initial_value: values(v.op.name, v.shape.as_list())})
        return [float(session.run([loss, step])[0]) for _ in range(steps)]


def attempt(*arguments):
    try:
        return train(*arguments)
    except Exception as error:
        return repr(error)[:700]


folder, steps = sys.argv[1], int(sys.argv[2])
answers = {}
for file in sorted(os.listdir(os.path.join(folder, "own"))):
    answers[file[: -len(".meta")]] = {
        form: attempt(os.path.join(folder, form, file), steps, form == "own") for form in ("exported", "own")
    }
print(json.dumps(answers))
