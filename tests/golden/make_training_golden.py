#!/usr/bin/env python3
"""Makes the golden files of `tests/training_golden.rs` with the real TensorFlow.

    pip install tensorflow-cpu==2.21.0
    python make_training_golden.py

One small MLP (64-32-10) is trained for 100 steps with each optimizer, from the same initial values, on data that both
sides compute. Written here: `initial` (a checkpoint of the initial weights), `<optimizer>` (a checkpoint of everything
after the last step, slots and global step included) and `losses.json` (the loss of each step).
"""
import json
import os

os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1
v1.disable_eager_execution()
v1.enable_resource_variables()
HERE = os.path.dirname(os.path.abspath(__file__))
STEPS, BATCH, ROWS = 100, 32, 1024


def splitmix(stream, n):
    with np.errstate(over="ignore"):
        x = np.arange(n, dtype=np.uint64) + np.uint64(stream << 40)
        z = x + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def uniform(stream, n):
    return (splitmix(stream, n) >> np.uint64(40)).astype(np.float32) / np.float32(16777216.0)


def weights(stream, inputs, outputs):
    limit = np.float32((6.0 / (inputs + outputs)) ** 0.5)
    return ((uniform(stream, inputs * outputs) * np.float32(2) - np.float32(1)) * limit).reshape(inputs, outputs)


def data():
    images = uniform(1, ROWS * 64).reshape(ROWS, 64)
    labels = ((splitmix(2, ROWS) >> np.uint64(33)) % np.uint64(10)).astype(np.int32)
    return images, labels


OPTIMIZERS = {
    "sgd": lambda: v1.train.GradientDescentOptimizer(0.1),
    "momentum": lambda: v1.train.MomentumOptimizer(0.05, 0.9),
    "nesterov": lambda: v1.train.MomentumOptimizer(0.05, 0.9, use_nesterov=True),
    "adam": lambda: v1.train.AdamOptimizer(0.01),
    "rmsprop": lambda: v1.train.RMSPropOptimizer(0.005, decay=0.9, momentum=0.5, epsilon=1e-6),
    "rmsprop_centered": lambda: v1.train.RMSPropOptimizer(0.005, decay=0.9, momentum=0.5, epsilon=1e-6, centered=True),
    "adagrad": lambda: v1.train.AdagradOptimizer(0.1),
}


def train(name):
    images, labels = data()
    losses = []
    with tf.Graph().as_default():
        x, y = v1.placeholder(tf.float32, [BATCH, 64]), v1.placeholder(tf.int32, [BATCH])
        model = [v1.get_variable("w1", initializer=weights(10, 64, 32)), v1.get_variable("b1", initializer=np.zeros(32, np.float32)),
                 v1.get_variable("w2", initializer=weights(11, 32, 10)), v1.get_variable("b2", initializer=np.zeros(10, np.float32))]
        h = tf.nn.relu(v1.nn.bias_add(tf.matmul(x, model[0]), model[1]))
        logits = v1.nn.bias_add(tf.matmul(h, model[2]), model[3])
        loss = tf.reduce_mean(v1.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits))
        step = v1.train.get_or_create_global_step()
        train_op = OPTIMIZERS[name]().minimize(loss, global_step=step)
        config = v1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
        with v1.Session(config=config) as session:
            session.run(v1.global_variables_initializer())
            if name == "sgd":
                v1.train.Saver(model).save(session, os.path.join(HERE, "initial"), write_state=False, write_meta_graph=False)
            for i in range(STEPS):
                rows = slice(i * BATCH % ROWS, i * BATCH % ROWS + BATCH)
                value, _ = session.run([loss, train_op], {x: images[rows], y: labels[rows]})
                losses.append(float(value))
            v1.train.Saver().save(session, os.path.join(HERE, name), write_state=False, write_meta_graph=False)
    return losses


if __name__ == "__main__":
    with open(os.path.join(HERE, "losses.json"), "w") as f:
        json.dump({name: train(name) for name in OPTIMIZERS}, f, indent=0)
        f.write("\n")
