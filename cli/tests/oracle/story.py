"""Loads a SavedModel with both loaders of TensorFlow, then trains the newest checkpoint of a folder for 20 steps more."""
import json
import sys

import numpy as np
import tensorflow as tf

export, folder = sys.argv[1:3]
points = np.array([[0.1, 0.2], [0.95, -0.9], [-0.3, 0.5]], np.float32)
answers = {}

model = tf.saved_model.load(export)
answers["v2"] = model.signatures["serving_default"](points=tf.constant(points))["probabilities"].numpy().tolist()

v1 = tf.compat.v1
with tf.Graph().as_default(), v1.Session() as session:
    signature = v1.saved_model.loader.load(session, ["serve"], export).signature_def["serving_default"]
    feeds = {signature.inputs["points"].name: points}
    answers["v1"] = session.run(signature.outputs["probabilities"].name, feeds).tolist()

prefix = tf.train.latest_checkpoint(folder)
with tf.Graph().as_default() as graph, v1.Session() as session:
    saver = v1.train.import_meta_graph(prefix + ".meta")
    saver.restore(session, prefix)
    # The batches are made here, and fed in the place of the iterator's.
    batch = next(op for op in graph.get_operations() if op.type == "IteratorGetNext").outputs
    examples = np.random.default_rng(3).uniform(-1, 1, (32, 2)).astype(np.float32)
    labels = (np.square(examples).sum(1) < 0.6).astype(np.int32)
    feeds = {batch[0]: examples, batch[1]: labels}
    loss = next(op for op in graph.get_operations() if op.name.startswith("loss") and op.type == "Mean").outputs[0]
    answers["first_loss"] = float(session.run(loss, feeds))
    for _ in range(20):
        session.run("train", feeds)
    answers["last_loss"] = float(session.run(loss, feeds))
    step = int(session.run(v1.train.get_global_step()))
    answers["step"] = step
    saver.save(session, folder + "/model.ckpt", global_step=step)
    answers["kernel"] = float(v1.train.load_variable(folder, "hidden1/kernel").ravel()[0])
print(json.dumps(answers))
