"""The definitions of the op types named on standard input, one a line, as JSON by name; null for an unknown one."""
import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tensorflow as tf  # noqa: E402
from tensorflow.python.framework import op_def_registry  # noqa: E402


def dtype(number):
    return tf.dtypes.as_dtype(number % 100).name


def argument(arg):
    if arg.type_list_attr:
        of = arg.type_list_attr
    else:
        of = arg.type_attr or dtype(arg.type)
        if arg.number_attr:
            of = f"{arg.number_attr} * {of}"
    return [arg.name, of, arg.is_ref]


def value(attr):
    kind = attr.WhichOneof("value")
    if kind == "list":
        items = attr.list
        return (
            [int(i) for i in items.i] + [float(f) for f in items.f] + [s.decode() for s in items.s]
            + [bool(b) for b in items.b] + [dtype(t) for t in items.type]
        )
    if kind == "s":
        return attr.s.decode()
    if kind == "type":
        return dtype(attr.type)
    if kind == "shape":
        return None if attr.shape.unknown_rank else [d.size for d in attr.shape.dim]
    if kind == "tensor":
        return tf.make_ndarray(attr.tensor).tolist()
    if kind == "f":
        return float(attr.f)
    return getattr(attr, kind)


def attribute(attr):
    allowed = attr.allowed_values.list
    # Quantised types are left out of sets here.
    types = sorted({dtype(t) for t in allowed.type if not dtype(t).startswith(("q", "float8", "int4", "uint4"))})
    return {
        "kind": attr.type.split("(")[0],
        "default": [value(attr.default_value)] if attr.HasField("default_value") else [],
        "types": types,
        "strings": sorted(s.decode() for s in allowed.s),
        "minimum": attr.minimum if attr.has_minimum else None,
    }


def definition(name):
    found = op_def_registry.get(name)
    if found is None:
        return None
    return {
        "inputs": [argument(arg) for arg in found.input_arg],
        "outputs": [argument(arg) for arg in found.output_arg],
        "attrs": {attr.name: attribute(attr) for attr in found.attr},
        "stateful": found.is_stateful,
    }


print(json.dumps({name: definition(name) for name in sys.stdin.read().split()}))
