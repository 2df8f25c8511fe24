"""Recurrent cells of single operations, with raw operations of TensorFlow, and a checkpoint of cells that have the same variables.

Prints JSON: for each operation its outputs for the inputs that `values` gives; for each model its outputs and gradients after
some training, whose variables are in a checkpoint in the folder that is the first argument.
"""
import json
import os
import sys
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
T, B, I, U = 5, 2, 3, 4


def values(name, shape):
    count = int(np.prod(shape))
    return (np.sin(np.arange(count) * 0.7 + len(name)) * 0.4).reshape(shape).astype(np.float32)


def lstm(x):
    shapes = dict(x=x, cs_prev=[B, U], h_prev=[B, U], w=[I + U, 4 * U], wci=[U], wcf=[U], wco=[U], b=[4 * U])
    return {name: values(name, shape) for name, shape in shapes.items()}


def gradient_of(op, inputs, outputs, grads, **attrs):
    given = {**inputs, **outputs, **{name: values(name, shape) for name, shape in grads.items()}}
    return op(**given, **attrs)


def found(*tensors):
    return [np.asarray(t).ravel().tolist() for t in tensors]


answer = {"operations": {}, "models": {}}
raw = tf.raw_ops
for peephole in [False, True]:
    for clip in [-1.0, 0.3]:
        with tf.Graph().as_default(), tf.Session() as session:
            step = raw.LSTMBlockCell(**lstm([B, I]), forget_bias=0.5, cell_clip=clip, use_peephole=peephole)
            kept = {name: getattr(step, name) for name in ["i", "cs", "f", "o", "ci", "co"]}
            back = gradient_of(
                raw.LSTMBlockCellGrad, lstm([B, I]), kept, dict(cs_grad=[B, U], h_grad=[B, U]), use_peephole=peephole
            )
            answer["operations"][f"cell {peephole} {clip}".lower()] = found(*session.run(list(step) + list(back)))
        for longest in [0, 1, 3, 5]:
            for version in ["", "V2"]:
                with tf.Graph().as_default(), tf.Session() as session:
                    inputs = dict(seq_len_max=np.int64(longest), **lstm([T, B, I]))
                    attrs = dict(cell_clip=clip, use_peephole=peephole)
                    if not version:
                        attrs["forget_bias"] = 0.5
                    steps = getattr(raw, "BlockLSTM" + version)(**inputs, **attrs)
                    grads = dict(cs_grad=[T, B, U], h_grad=[T, B, U])
                    back = gradient_of(
                        getattr(raw, "BlockLSTMGrad" + version), inputs, steps._asdict(), grads, use_peephole=peephole
                    )
                    # Behind the longest sequence only memory and output are defined.
                    name = f"sequence{version} {peephole} {clip} {longest}".lower()
                    answer["operations"][name] = found(*session.run([steps.cs, steps.h] + list(back)))
with tf.Graph().as_default(), tf.Session() as session:
    shapes = dict(x=[B, I], h_prev=[B, U], w_ru=[I + U, 2 * U], w_c=[I + U, U], b_ru=[2 * U], b_c=[U])
    inputs = {name: values(name, shape) for name, shape in shapes.items()}
    step = raw.GRUBlockCell(**inputs)
    kept = {name: getattr(step, name) for name in ["r", "u", "c"]}
    back = gradient_of(raw.GRUBlockCellGrad, inputs, kept, dict(d_h=[B, U]))
    answer["operations"]["gru"] = found(*session.run(list(step) + list(back)))

MODELS = {
    "lstm": lambda: cells.LSTMCell(U, use_peepholes=True, name="lstm_cell"),
    "gru": lambda: cells.GRUCell(U, name="gru_cell"),
}
for name, cell in MODELS.items():
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.constant(values("input", [B, T, I]))
        outputs, _ = rnn.dynamic_rnn(cell(), x, dtype=x.dtype, sequence_length=np.int32([5, 2]))
        loss = tf.reduce_sum(tf.square(outputs - 0.5))
        variables = tf.trainable_variables()
        grads = tf.gradients(loss, variables)
        for v in variables:
            session.run(v.initializer, {v.initial_value: values(v.op.name, v.shape.as_list())})
        train = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
        for _ in range(5):
            session.run(train)
        tf.train.Saver().save(session, os.path.join(sys.argv[1], name), write_meta_graph=False)
        results = session.run([outputs, loss, grads])
        answer["models"][name] = {
            "outputs": results[0].ravel().tolist(),
            "loss": float(results[1]),
            "gradients": {v.op.name: g.ravel().tolist() for v, g in zip(variables, results[2])},
        }
print(json.dumps(answer))
