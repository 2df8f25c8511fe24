"""Goes on training in Python from what `monitored train` left in a directory.

Usage: go_on.py DIRECTORY X.npy Y.npy FIRST STEPS
Imports the newest checkpoint's own meta graph, restores, and runs STEPS batches of 8 rows from batch FIRST on; then saves.
Prints JSON: the losses, the global step, and the names of the trainable variables.
"""
import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import tensorflow.compat.v1 as tf

tf.disable_eager_execution()
directory, x, y, first, steps = sys.argv[1], np.load(sys.argv[2]), np.load(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])
checkpoint = tf.train.latest_checkpoint(directory)
losses = []
with tf.Graph().as_default(), tf.Session() as session:
    saver = tf.train.import_meta_graph(checkpoint + ".meta")
    saver.restore(session, checkpoint)
    train_op = tf.get_collection("train_op")[-1]
    for batch in range(first, first + steps):
        rows = slice(8 * batch, 8 * batch + 8)
        losses.append(float(session.run(["loss:0", train_op], {"x:0": x[rows], "y:0": y[rows]})[0]))
    step = int(session.run(tf.train.get_global_step()))
    saver.save(session, os.path.join(directory, "model.ckpt"), global_step=step)
    names = [v.op.name for v in tf.trainable_variables()]
print(json.dumps({"losses": losses, "step": step, "trainable": names}))
