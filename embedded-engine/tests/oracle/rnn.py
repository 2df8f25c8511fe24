"""Recurrent cells and nets of TensorFlow 1.

Prints JSON: for each model its variables by name with their shapes, and outputs, last state, loss and gradients of the
variables for the values that `values` gives.
"""
import json
import os
import warnings

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
warnings.simplefilter("ignore")
import numpy as np
import tensorflow.compat.v1 as tf
from tensorflow.python.keras.layers.legacy_rnn import rnn_cell_impl as cells
from tensorflow.python.ops import rnn

tf.logging.set_verbosity(tf.logging.ERROR)
tf.disable_eager_execution()
tf.disable_control_flow_v2()


def values(name, shape):
    count = int(np.prod(shape))
    return (np.sin(np.arange(count) * 0.7 + len(name)) * 0.4).reshape(shape)


def static(cell, x, **kwargs):
    outputs, state = rnn.static_rnn(cell, tf.unstack(x, axis=1), dtype=x.dtype, **kwargs)
    return tf.stack(outputs, axis=1), state


def both(cell, x, **kwargs):
    outputs, state = rnn.bidirectional_dynamic_rnn(cell, type(cell)(4), x, dtype=x.dtype, **kwargs)
    return tf.concat(outputs, 2), state


def dynamic(cell, x, **kwargs):
    return rnn.dynamic_rnn(cell, x, dtype=x.dtype, **kwargs)


LENGTHS = dict(sequence_length=np.int32([5, 2]))
MODELS = {
    "basic_rnn": lambda x: dynamic(cells.BasicRNNCell(4), x),
    "gru": lambda x: dynamic(cells.GRUCell(4), x, **LENGTHS),
    "basic_lstm": lambda x: dynamic(cells.BasicLSTMCell(4), x),
    "basic_lstm_lengths": lambda x: dynamic(cells.BasicLSTMCell(4, forget_bias=0.5), x, **LENGTHS),
    "lstm": lambda x: dynamic(
        cells.LSTMCell(4, use_peepholes=True, cell_clip=0.3, num_proj=3, proj_clip=0.2), x, **LENGTHS
    ),
    "stack": lambda x: dynamic(cells.MultiRNNCell([cells.BasicLSTMCell(4), cells.BasicLSTMCell(4)]), x),
    "static_gru": lambda x: static(cells.GRUCell(4), x, **LENGTHS),
    "static_lstm": lambda x: static(cells.LSTMCell(4), x),
    "bidirectional": lambda x: both(cells.GRUCell(4), x),
    "bidirectional_lengths": lambda x: both(cells.GRUCell(4), x, **LENGTHS),
}

answer = {}
for name, build in MODELS.items():
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.constant(values("input", [2, 5, 3]))
        outputs, state = build(x)
        flat = tf.nest.flatten(state)
        loss = tf.reduce_sum(tf.square(outputs)) + tf.add_n([tf.reduce_sum(s) for s in flat])
        variables = tf.global_variables()
        grads = tf.gradients(loss, variables)
        for v in variables:
            v.load(values(v.op.name, v.shape.as_list()), session)
        found = session.run([outputs, flat, loss, grads])
        answer[name] = {
            "variables": {v.op.name: v.shape.as_list() for v in variables},
            "outputs": found[0].ravel().tolist(),
            "states": [s.ravel().tolist() for s in found[1]],
            "loss": float(found[2]),
            "gradients": {v.op.name: g.ravel().tolist() for v, g in zip(variables, found[3])},
        }
print(json.dumps(answer))
