"""Records what TensorFlow's operations give, one operation a case, as compressed JSON that
`recorded_ops.rs` plays.

A case has an op type, attributes, inputs, and either outputs or the code of the error. Numbers are hexadecimal bytes in
little-endian order, strings are hexadecimal bytes each.
"""

import gzip
import json
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
import numpy as np
import tensorflow as tf
from tensorflow.python.framework import op_def_registry

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
HERE = os.path.dirname(os.path.abspath(__file__))
# Arguments that have another name in Python than in the definition.
RENAMED = {"split_dim": "axis", "reduction_indices": "axis"}
BITS = {tf.qint8: tf.int8, tf.quint8: tf.uint8, tf.qint32: tf.int32, tf.qint16: tf.int16, tf.quint16: tf.uint16}


def quantized(values, dtype):
    """A tensor of a quantized dtype from the integers that it stores."""
    return tf.bitcast(tf.constant(np.asarray(values, BITS[dtype].as_numpy_dtype)), dtype)


def encode(value):
    value = tf.convert_to_tensor(value)
    dtype = value.dtype
    if dtype in BITS:
        value = tf.bitcast(value, BITS[dtype])
    array = value.numpy()
    if dtype == tf.string:
        return {"dtype": "string", "shape": list(value.shape), "strings": [v.hex() for v in np.asarray(array, object).ravel().tolist()]}
    return {"dtype": dtype.name, "shape": list(value.shape), "bytes": np.ascontiguousarray(array).tobytes().hex()}


def attribute(value):
    if isinstance(value, tf.DType):
        return {"type": value.name}
    if isinstance(value, tf.TensorShape):
        return {"shape": value.as_list()}
    if isinstance(value, (list, tuple)):
        return [attribute(v) for v in value]
    return value


class Recorder:
    def __init__(self):
        self.cases = []

    def __call__(self, op, *inputs, tolerance=0.0, keep=None, **attrs):
        """Runs an operation. `keep` lists the outputs that are compared; all without it."""
        definition = op_def_registry.get(op)
        inputs = [[tf.convert_to_tensor(v) for v in i] if isinstance(i, (list, tuple)) and all(tf.is_tensor(v) for v in i) else tf.convert_to_tensor(i) for i in inputs]
        case = {"op": op, "inputs": [[encode(v) for v in i] if isinstance(i, list) else encode(i) for i in inputs]}
        case["attrs"] = {name: attribute(value) for name, value in attrs.items()}
        try:
            function = getattr(tf.raw_ops, op)
            names = [RENAMED.get(arg.name, arg.name) for arg in definition.input_arg]
            outputs = function(**dict(zip(names, inputs)), **attrs)
            outputs = tf.nest.flatten(outputs)
            case["outputs"] = [encode(v) if keep is None or at in keep else None for at, v in enumerate(outputs)]
            case["tolerance"] = tolerance
        except tf.errors.OpError as error:
            case["error"] = error.error_code
        except ValueError:
            case["error"] = 3
        self.cases.append(case)
        return case

    def write(self, name):
        text = "[\n" + ",\n".join(json.dumps(case) for case in self.cases) + "\n]\n"
        with open(os.path.join(HERE, name + ".json.gz"), "wb") as file:
            file.write(gzip.compress(text.encode(), mtime=0))
        print(name, len(self.cases), "cases,", sum("error" in case for case in self.cases), "errors")
