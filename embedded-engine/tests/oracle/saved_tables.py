"""Lookup tables in checkpoints.

Usage: saved_tables.py save FOLDER, saved_tables.py save_dense FOLDER, saved_tables.py restore FOLDER

`save` fills tables and saves FOLDER/theirs with its meta graph, `save_dense` with one table more; `restore` restores FOLDER/ours in the same program, and from
the meta graphs FOLDER/same.meta and FOLDER/made.meta. All print what is then in the tables, as JSON.
"""
import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tensorflow.compat.v1 as tf
from tensorflow.python.ops import lookup_ops

tf.disable_eager_execution()
action, folder = sys.argv[1:]
FOUND = ["find_counts", "find_vectors"]


def model():
    counts = lookup_ops.MutableHashTable(tf.string, tf.int64, -1, name="counts")
    vectors = lookup_ops.MutableHashTable(tf.int64, tf.float32, [0.0, 0.5], name="vectors")
    tf.get_variable("weight", initializer=1.5)
    fill = [
        counts.insert(["a", "b"], tf.constant([10, 20], tf.int64)),
        vectors.insert(tf.constant([1, 2], tf.int64), [[1.0, 2.0], [3.0, 4.0]]),
    ]
    with tf.control_dependencies([counts.insert(["d", "e"], tf.constant([40, 50], tf.int64))]):
        tf.no_op(name="insert_more")
    tf.identity(counts.lookup(tf.constant(["b", "c", "d"])), name="find_counts")
    tf.identity(vectors.lookup(tf.constant([2, 3], tf.int64)), name="find_vectors")
    tf.stack([counts.size(), vectors.size()], name="sizes")
    return fill


def content(session):
    values = session.run({name: name + ":0" for name in FOUND + ["sizes"]})
    return {name: value.ravel().tolist() for name, value in values.items()}


answer = {}
if action.startswith("save"):
    fill = model()
    # What lies in memory is saved of dense tables, not what is in them.
    if action == "save_dense":
        dense = lookup_ops.DenseHashTable(tf.int64, tf.int64, -3, empty_key=-1, deleted_key=-2, name="dense")
    saver = tf.train.Saver()
    with tf.Session() as session:
        session.run([tf.global_variables_initializer()] + fill)
        saver.save(session, os.path.join(folder, "theirs"))
        answer = content(session)
else:
    for way in ["program", "same", "made"]:
        with tf.Graph().as_default(), tf.Session() as session:
            if way == "program":
                model()
                saver = tf.train.Saver()
            else:
                saver = tf.train.import_meta_graph(os.path.join(folder, way + ".meta"))
            saver.restore(session, os.path.join(folder, "ours"))
            answer[way] = content(session)
print(json.dumps(answer))
