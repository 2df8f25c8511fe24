"""Imports a frozen graph and prints what it answers for x = 3 and x = 1."""
import json
import sys

import tensorflow as tf

v1 = tf.compat.v1
with tf.Graph().as_default(), v1.Session() as session:
    with open(sys.argv[1], "rb") as file:
        tf.import_graph_def(v1.GraphDef.FromString(file.read()), name="")
    print(json.dumps([float(session.run("chosen:0", {"x:0": x})) for x in (3.0, 1.0)]))
