"""Reads checkpoints with TensorFlow and prints what it found, as one JSON object.

    read_checkpoint.py PREFIX [--saver]     tensors by name: dtype, shape, sha256, values read by the reader;
                                            with --saver also restored through tf.compat.v1.train.Saver
    read_checkpoint.py --state DIRECTORY    the state file as TensorFlow understands it

sha256 is over row-major little-endian elements; for strings over an 8-byte little-endian length and the
bytes of each element.
"""
import hashlib
import json
import os
import struct
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1
v1.disable_eager_execution()
v1.disable_resource_variables()


def digest(value):
    value = np.asarray(value)
    if value.dtype == object or value.dtype.kind in "SU":
        elements = [e if isinstance(e, bytes) else e.encode() for e in value.reshape(-1).tolist()]
        data = b"".join(struct.pack("<Q", len(e)) + e for e in elements)
    else:
        data = np.ascontiguousarray(value).tobytes()
    return hashlib.sha256(data).hexdigest()


def tensors(prefix):
    reader = tf.train.load_checkpoint(prefix)
    dtypes = reader.get_variable_to_dtype_map()
    found = {}
    for name, shape in reader.get_variable_to_shape_map().items():
        found[name] = {"dtype": dtypes[name].name, "shape": shape, "sha256": digest(reader.get_tensor(name))}
    return found


def restored(prefix, names):
    """Through a Saver, into variables that hold something else."""
    reader = tf.train.load_checkpoint(prefix)
    with tf.Graph().as_default(), v1.Session() as session:
        variables = {}
        for i, name in enumerate(names):
            value = reader.get_tensor(name)
            dtype = reader.get_variable_to_dtype_map()[name]
            other = np.full(np.shape(value), b"other", object) if dtype == tf.string else np.zeros(np.shape(value))
            other = tf.constant(other, dtype=tf.string) if dtype == tf.string else tf.cast(other, dtype)
            variables[name] = v1.get_variable("v%d" % i, initializer=other)
        v1.train.Saver(variables).restore(session, prefix)
        return {name: digest(session.run(variable)) for name, variable in variables.items()}


def main():
    if sys.argv[1] == "--state":
        state = tf.train.get_checkpoint_state(sys.argv[2])
        result = {
            "latest": tf.train.latest_checkpoint(sys.argv[2]),
            "all": list(state.all_model_checkpoint_paths),
            "timestamps": list(state.all_model_checkpoint_timestamps),
        }
    else:
        result = {"tensors": tensors(sys.argv[1])}
        if "--saver" in sys.argv:
            result["restored"] = restored(sys.argv[1], sorted(result["tensors"]))
    json.dump(result, sys.stdout)


main()
