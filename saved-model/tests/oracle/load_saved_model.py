"""Loads a model with both loaders of TensorFlow and prints what it answers."""
import json
import sys

import numpy as np
import tensorflow as tf

folder = sys.argv[1]
rows = np.array([[1.0, 2.0], [-0.5, 0.25]], np.float32)
words = [b"two", b"three", b"zero"]
answers = {}

with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    meta_graph = tf.compat.v1.saved_model.loader.load(session, ["serve"], folder)

    def ask(name, **inputs):
        signature = meta_graph.signature_def[name]
        feeds = {signature.inputs[key].name: value for key, value in inputs.items()}
        return {key: session.run(info.name, feeds) for key, info in signature.outputs.items()}

    answers["v1"] = {
        "y": ask("serving_default", x=rows)["y"].ravel().tolist(),
        "ids": ask("lookup", words=words)["ids"].tolist(),
        "n": [int(ask("count", x=rows)["n"]) for _ in range(2)],
    }

model = tf.saved_model.load(folder, tags=["serve"])
answers["v2"] = {
    "y": model.signatures["serving_default"](x=tf.constant(rows))["y"].numpy().ravel().tolist(),
    "ids": model.signatures["lookup"](words=tf.constant(words))["ids"].numpy().tolist(),
    "n": [int(model.signatures["count"](x=tf.constant(rows))["n"]) for _ in range(2)],
}
print(json.dumps(answers))
