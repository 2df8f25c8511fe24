"""Prints the outputs of all op types of TensorFlow, in the form of src/op_outputs.txt.

A line is an op type followed by its outputs, each `name=type`: a dtype, `@attr` for the dtype in an attribute, `n*type` for
as many as attribute n says, `*attr` for a list of any types; `&` before it marks a reference. An attribute with a default is
`attr=default`.
"""
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
from tensorflow.core.framework import op_def_pb2, types_pb2
from tensorflow.python.client import pywrap_tf_session


def dtype_name(number):
    import tensorflow as tf

    return tf.dtypes.as_dtype(number).base_dtype.name


def with_default(op, name):
    default = next(attr for attr in op.attr if attr.name == name).default_value
    kind = default.WhichOneof("value")
    if kind is None:
        return name
    return f"{name}={dtype_name(default.type) if kind == 'type' else default.i}"


def written(op, arg):
    if arg.type_list_attr:
        text = "*" + arg.type_list_attr
    else:
        text = "@" + with_default(op, arg.type_attr) if arg.type_attr else dtype_name(arg.type)
        if arg.number_attr:
            text = with_default(op, arg.number_attr) + "*" + text
    return f"{arg.name}={'&' if arg.is_ref else ''}{text}"


ops = op_def_pb2.OpList()
ops.ParseFromString(pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList()))
for op in sorted(ops.op, key=lambda op: op.name):
    print(" ".join([op.name] + [written(op, arg) for arg in op.output_arg]))
