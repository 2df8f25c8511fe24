"""Goes on training from meta graphs, as programs of TensorFlow 1 do.

Usage: train_meta.py GRAPHS METAS
METAS holds NAME.meta for folders GRAPHS/NAME that make_graphs.py made. Each is imported with `import_meta_graph`, its saver (or,
if it has none, a new one) restores the checkpoint, and the train op of the collection is run over the examples.
Prints JSON: for each name the losses, or the error.
"""
import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
import numpy as np
import tensorflow.compat.v1 as tf

tf.disable_eager_execution()


def train(folder, meta):
    expected = json.load(open(os.path.join(folder, "expected.json")))
    feeds = np.load(os.path.join(folder, "feeds.npz"))
    losses = []
    with tf.Graph().as_default(), tf.Session() as session:
        saver = tf.train.import_meta_graph(meta) or tf.train.Saver()
        session.run([v.initializer for v in tf.local_variables()])
        saver.restore(session, os.path.join(folder, "model.ckpt-0"))
        train_op = tf.get_collection("train_op")[0]
        batch = expected["batch"]
        for step in range(len(expected["losses"])):
            rows = slice(step * batch, (step + 1) * batch)
            fed = {expected["feeds"][key] + ":0": feeds[key][rows] for key in feeds}
            losses.append(float(session.run([expected["loss"], train_op], fed)[0]))
        saver.save(session, os.path.join(os.path.dirname(meta), "again"))
    return losses


answers = {}
for file in sorted(os.listdir(sys.argv[2])):
    if not file.endswith(".meta"):
        continue
    name = file[: -len(".meta")]
    try:
        answers[name] = train(os.path.join(sys.argv[1], name), os.path.join(sys.argv[2], file))
    except Exception as error:
        answers[name] = repr(error)[:500]
print(json.dumps(answers))
