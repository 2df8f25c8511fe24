"""Graph files as text.

Usage: text_form.py write GRAPHS OUT, text_form.py compare GRAPHS OUT

`write` makes OUT/NAME.theirs.pbtxt of each GRAPHS/NAME/model.meta, and OUT/NAME.graph.pbtxt of its graph alone. `compare`
reads OUT/NAME.ours.pbtxt and prints how often it differs from that file.
"""
import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tensorflow.compat.v1 as tf
from google.protobuf import text_format

action, graphs, out = sys.argv[1:]
answer = {"files": 0, "differ": []}
for name in sorted(os.listdir(graphs)):
    meta = tf.MetaGraphDef()
    with open(os.path.join(graphs, name, "model.meta"), "rb") as file:
        meta.ParseFromString(file.read())
    answer["files"] += 1
    if action == "write":
        with open(os.path.join(out, name + ".theirs.pbtxt"), "w") as file:
            file.write(text_format.MessageToString(meta))
        tf.io.write_graph(meta.graph_def, out, name + ".graph.pbtxt", as_text=True)
    else:
        with open(os.path.join(out, name + ".ours.pbtxt")) as file:
            ours = text_format.Parse(file.read(), tf.MetaGraphDef())
        if ours != meta:
            answer["differ"].append(name)
print(json.dumps(answer))
