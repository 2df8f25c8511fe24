"""Holds samples of operations, given as JSON on standard input, against TensorFlow.

For each sample: it must load, the static shapes of all its tensors must be as much as TensorFlow infers, its
gradients must be those that TensorFlow's own gradient functions give, and those of central differences. Prints what
differs and fails, or prints how much was compared.
"""
import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
import numpy as np  # noqa: E402
import tensorflow as tensorflow_2  # noqa: E402
from tensorflow.core.framework import attr_value_pb2, graph_pb2  # noqa: E402

tf = tensorflow_2.compat.v1
tf.disable_eager_execution()
tf.logging.set_verbosity(tf.logging.FATAL)

def array(tensor):
    dtype = tf.as_dtype(tensor["dtype"])
    if dtype == tf.string:
        return np.array([s.encode() for s in tensor["values"]], object).reshape(tensor["shape"])
    return np.frombuffer(bytes(tensor["values"]), dtype.as_numpy_dtype).reshape(tensor["shape"])


def shape_proto(sizes):
    return tf.TensorShape(None if sizes is None else [None if s < 0 else s for s in sizes]).as_proto()


def attribute(kind, value):
    attr = attr_value_pb2.AttrValue()
    if kind == "s":
        attr.s = value.encode()
    elif kind == "shape":
        attr.shape.CopyFrom(shape_proto(value))
    elif kind == "tensor":
        attr.tensor.CopyFrom(tf.make_tensor_proto(array(value), shape=value["shape"]))
    elif kind == "list":
        attr.list.SetInParent()
        for item_kind, item in value:
            getattr(attr.list, item_kind).append(item.encode() if item_kind == "s" else item)
    else:
        setattr(attr, kind, value)
    return attr


def graph_def(nodes):
    graph = graph_pb2.GraphDef()
    for node in nodes:
        proto = graph.node.add(name=node["name"], op=node["op"])
        proto.input.extend(node["inputs"])
        for name, (kind, value) in node["attrs"].items():
            proto.attr[name].CopyFrom(attribute(kind, value))
    graph.versions.producer = tf.GRAPH_DEF_VERSION
    return graph


# Static shapes that the values do not have: of the borders of regions there is one more than there are regions.
CONTRADICTED = {"FractionalAvgPool": (1, 2), "FractionalMaxPool": (1, 2)}


def compare_shapes(case, graph):
    """Shapes that contradict TensorFlow's, or say less."""
    problems = []
    for node in case["nodes"]:
        operation = graph.get_operation_by_name(node["name"])
        for output, sizes in zip(operation.outputs, node["shapes"]):
            if output.value_index in CONTRADICTED.get(node["op"], ()):
                continue
            ours = tf.TensorShape(None if sizes is None else [None if s < 0 else s for s in sizes])
            theirs = output.shape
            if not ours.is_compatible_with(theirs):
                problems.append(f"{output.name} ({node['op']}): shape {ours}, in TensorFlow {theirs}")
            elif ours.merge_with(theirs).as_list_or_none() != ours.as_list_or_none():
                problems.append(f"{output.name} ({node['op']}): shape {ours} says less than TensorFlow's {theirs}")
    return problems


def as_list_or_none(self):
    return None if self.rank is None else self.as_list()


tf.TensorShape.as_list_or_none = as_list_or_none


def differences(session, total, feeds, name, value):
    """The gradient of a scalar with respect to one fed tensor, by central differences."""
    step = 1e-6 if value.dtype == np.float64 else 1e-2
    gradient = np.zeros(value.shape, np.float64)
    for place in np.ndindex(*value.shape):
        ends = []
        for sign in (1, -1):
            moved = value.copy()
            moved[place] += sign * step
            ends.append((session.run(total, {**feeds, name: moved}), moved[place]))
        gradient[place] = (ends[0][0] - ends[1][0]) / (float(ends[0][1]) - float(ends[1][1]))
    return gradient


def close(a, b, loose):
    tolerance = 2e-2 if loose else 1e-5
    return a.shape == b.shape and np.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True)


# The rule of BlockLSTMV2 takes the gates in the order that they have in BlockLSTM, and that of MatrixSquareRoot does not conjugate complex
# matrices, which differences contradict.
WRONG = ("BlockLSTMV2", "MatrixSquareRoot of complex matrices")


def twins_of(case, ys, xs):
    """What TensorFlow's own gradient functions build."""
    if case["name"] in WRONG or case["name"].split()[0] in WRONG:
        return [None] * len(xs)
    try:
        return [None if grad is None else tf.convert_to_tensor(grad) for grad in tf.gradients(ys, xs)]
    except (LookupError, ValueError, TypeError, NotImplementedError, AttributeError) as error:
        print(f"{case['name']}: TensorFlow itself builds no gradient: {str(error).splitlines()[0][:100]}")
        return [None] * len(xs)


def compare(case, known):
    """Problems and the number of gradients. What was found with all shapes known holds for the other graphs too."""
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(graph_def(case["nodes"]), name="")
    problems = compare_shapes(case, graph)
    if all(grad is None for grad in case["grads"]):
        return problems, 0
    inputs = {name: array(value) for name, value in case["inputs"]}
    feeds = {**inputs, **{name: array(value) for name, value in case["others"]}}
    with graph.as_default():
        ys = [graph.get_tensor_by_name(y) for y in case["ys"]]
        xs = [graph.get_tensor_by_name(x) for x in inputs]
        first = case["name"] not in known
        if first:
            twins = twins_of(case, ys, xs)
            total = tf.add_n([tf.reduce_sum(tf.cast(y, tf.float64)) for y in ys])
    with tf.Session(graph=graph) as session:
        for index, (name, value) in enumerate(inputs.items()):
            loose, grad = value.dtype != np.float64, case["grads"][index]
            own = np.zeros_like(value) if grad is None else session.run(grad, feeds)
            expected = {}
            if not first:
                expected["with all shapes known"] = known[case["name"]][index]
            elif twins[index] is not None:
                expected["in TensorFlow"] = session.run(twins[index], feeds)
            if first and case["numerical"]:
                expected["by differences"] = differences(session, total, feeds, name, value)
            for how, numbers in expected.items():
                if not close(own, numbers, loose):
                    problems.append(f"gradient of {name}: {own.tolist()}, {how} {numbers.tolist()}")
            if first:
                known.setdefault(case["name"] + "/", []).append(own)
    if first:
        known[case["name"]] = known.pop(case["name"] + "/")
    return problems, sum(grad is not None for grad in case["grads"])


def main():
    cases = json.load(sys.stdin)
    failed, gradients, known = 0, 0, {}
    for case in cases:
        try:
            problems, count = compare(case, known)
        except tf.errors.InvalidArgumentError as error:
            # Gradients of groups need oneDNN, which is off here; the differential tests of the engines compare them.
            problems, count = [f"InvalidArgumentError: {str(error)[:600]}"], 0
            if "of groups" in case["name"] or "not supported on CPU" in str(error):
                print(f"{case['name']}: TensorFlow does not run the gradient without oneDNN")
                problems = []
        except Exception as error:  # noqa: BLE001 - whatever it is, it is reported with the sample's name
            problems, count = [f"{type(error).__name__}: {str(error)[:600]}"], 0
        gradients += count
        failed += bool(problems)
        for problem in problems:
            print(f"{case['name']} ({case['known']}): {problem}")
    print(f"{len(cases)} graphs, {gradients} gradients, {failed} graphs differ")
    sys.exit(1 if failed else 0)


main()
