"""Writes input.json: what TensorFlow's string and parsing operations make of ordinary and odd input.

Run with a Python that has TensorFlow 2: `python make_input_golden.py`. Each case has an op type, its inputs (a list where
the operation takes one), its attributes, and the outputs or the code of the error. Tensors are dtype number, shape and
either hexadecimal bytes or a list of hexadecimal strings.
"""

import json
import os
import pathlib

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf
from tensorflow.python.framework import op_def_registry

CASES = []


def tensor(value):
    value = tf.convert_to_tensor(value)
    record = {"dtype": value.dtype.as_datatype_enum, "shape": value.shape.as_list()}
    if value.dtype == tf.string:
        record["strings"] = [s.hex() for s in np.asarray(value.numpy(), object).reshape(-1)]
    else:
        record["bytes"] = np.ascontiguousarray(value.numpy()).tobytes().hex()
    return record


def attribute(kind, value):
    if kind.startswith("list("):
        return ["list", [attribute(kind[5:-1], item) for item in value]]
    if kind == "type":
        return ["type", tf.as_dtype(value).as_datatype_enum]
    if kind == "shape":
        return ["shape", [-1 if size is None else size for size in value]]
    return [kind, value]


def case(op, inputs, **attrs):
    """`inputs` by the operation's names for them, lists for those that are lists."""
    definition = op_def_registry.get(op)
    kinds = {attr.name: attr.type for attr in definition.attr}
    record = {
        "op": op,
        "inputs": [
            [tensor(item) for item in inputs[arg.name]] if isinstance(inputs[arg.name], list) else tensor(inputs[arg.name])
            for arg in definition.input_arg
        ],
        "attrs": {name: attribute(kinds[name], value) for name, value in attrs.items()},
    }
    # What raw_ops derives from lists.
    hidden = {attr.number_attr for attr in definition.input_arg} | {"OUT_TYPE", "Tdense", "sparse_types"}
    try:
        given = {name: value for name, value in attrs.items() if name not in hidden or op.startswith("Parse") and name in ("sparse_types", "num_sparse")}
        if op.startswith("Parse"):
            given.pop("Tdense", None)
            if op == "ParseExample":
                given.pop("Nsparse", None), given.pop("Ndense", None)
        result = getattr(tf.raw_ops, op)(**{name: value for name, value in inputs.items()}, **given)
        flat = tf.nest.flatten(list(result) if isinstance(result, tuple) else result)
        record["outputs"] = [tensor(output) for output in flat]
    except tf.errors.OpError as error:
        record["error"] = error.error_code
    CASES.append(record)


def strings(*values):
    return tf.constant(list(values), tf.string)


def text_cases():
    for out_type in [tf.float32, tf.float64, tf.int32, tf.int64]:
        for text in ["1", "1.5", "  2 ", "1e3", "abc", "", "0x1F", "inf", "nan", "1e400", "-7", "+3", "12a", "1_0", "1e-400",
                     "3.4e38", "3.5e38", "Infinity", ".5", "5.", "1.17549e-39", "99999999999", "-0", "0x1.8p3", "16777217"]:
            case("StringToNumber", {"string_tensor": tf.constant(text)}, out_type=out_type)
    for options in [{}, {"precision": 2}, {"scientific": True}, {"shortest": True}, {"width": 12}, {"width": 12, "fill": "0"},
                    {"width": 12, "fill": "-"}, {"width": 12, "fill": "+"}, {"shortest": True, "precision": 3}, {"precision": 0}]:
        for dtype in [tf.float32, tf.float64, tf.float16]:
            values = [1.5, 1 / 3, -2.0, 0.0, 1e-10, 123456.789, 1234567.89, 65504.0, 1e20, 9.9999999, 0.0001, 2.5, 1e-5]
            case("AsString", {"input": tf.constant(values, dtype)}, **options)
        case("AsString", {"input": tf.constant([np.inf, -np.inf, np.nan], tf.float32)}, **options)
    for dtype in [tf.int32, tf.int64, tf.uint8, tf.int8]:
        for options in [{}, {"width": 5}, {"width": 5, "fill": "0"}, {"width": 5, "fill": "-"}, {"precision": 1}]:
            case("AsString", {"input": tf.constant([0, 7, 100], dtype)}, **options)
    case("AsString", {"input": tf.constant([-7, 12345678], tf.int32)}, width=5, fill="0")
    case("AsString", {"input": tf.constant([True, False])}, width=7)
    case("AsString", {"input": strings("ab", "abcdefgh")}, width=5)
    case("AsString", {"input": strings("ab", "abcdefgh")}, width=5, fill="-")
    case("AsString", {"input": tf.constant([1.0])}, fill="x")
    many = strings("", "a", "ab", " a  b ", "one,two,,three", "grüße aus", "\t\n x", "a" * 20, "b" * 40, "c" * 70, "d" * 200)
    for delimiter in [" ", ",", "", " ,", "ü"]:
        for skip in [True, False]:
            case("StringSplit", {"input": many, "delimiter": tf.constant(delimiter)}, skip_empty=skip)
    for sep in ["", ",", " ", ",,", "two", "a"]:
        for limit in [-1, 0, 1, 2]:
            case("StringSplitV2", {"input": many, "sep": tf.constant(sep)}, maxsplit=limit)
    for unit in ["BYTE", "UTF8_CHAR"]:
        case("StringLength", {"input": many}, unit=unit)
        for pos, length in [(0, 2), (1, 3), (-2, 2), (0, 100), (3, 0), (2, 2)]:
            text = strings("abcd", "grüße", "0123456789")
            case("Substr", {"input": text, "pos": tf.constant(pos), "len": tf.constant(length)}, unit=unit)
    case("Substr", {"input": strings("abcd", "efgh"), "pos": tf.constant([1, 2]), "len": tf.constant([2, 1])})
    case("Substr", {"input": tf.constant("abcd"), "pos": tf.constant([[1], [2]], tf.int64), "len": tf.constant([[2], [1]], tf.int64)})
    case("Substr", {"input": strings("abcd", "e"), "pos": tf.constant(2), "len": tf.constant(1)})
    case("Substr", {"input": strings("abcd", ""), "pos": tf.constant(-1), "len": tf.constant(1)})
    for buckets in [1, 10, 2**40]:
        for length in list(range(0, 70)) + [127, 128, 129, 191, 192, 193, 1000]:
            case("StringToHashBucketFast", {"input": strings("".join(chr(33 + (i * 7 + length) % 90) for i in range(length)))}, num_buckets=buckets)
    for op in ["StringLower", "StringUpper"]:
        for encoding in ["", "utf-8"]:
            case(op, {"input": strings("Abc Xyz", "GRÜSSE grüße", "")}, encoding=encoding)
    case("StringStrip", {"input": many})
    case("StringJoin", {"inputs": [strings("a", "b"), strings("x", "y")]}, separator="-")
    case("StringJoin", {"inputs": [tf.constant("p/"), strings("x", "y"), tf.constant("!")]}, separator="")
    case("StringJoin", {"inputs": [tf.constant("a"), tf.constant("b")]}, separator=", ")
    case("StringJoin", {"inputs": [strings("a", "b"), strings("x", "y", "z")]}, separator="-")
    cube = tf.constant([[["a", "b"], ["c", "d"]], [["e", "f"], ["g", "h"]]])
    for axes in [[0], [1], [-1], [0, 1], [1, 0], [2, 1, 0], [0, 1, 2], []]:
        for keep in [True, False]:
            case("ReduceJoin", {"inputs": cube, "reduction_indices": tf.constant(axes, tf.int32)}, keep_dims=keep, separator="-")
    case("ReduceJoin", {"inputs": cube, "reduction_indices": tf.constant(1)}, keep_dims=False, separator="")


def csv_cases():
    def csv(records, defaults, **attrs):
        records = tf.constant(records, tf.string)
        attrs["OUT_TYPE"] = [default.dtype for default in defaults]
        case("DecodeCSV", {"records": records, "record_defaults": defaults}, **attrs)

    three = [tf.constant([1]), tf.constant([2.0]), tf.constant(["d"])]
    for line in ["1,2.5,abc", '"1",,"a,b"', '1,2,"a ""q"" b"', "1, 2 ,x y", "1,2", "1,2,3,4", "a,2,x", '1,2,a"b', '1,2,"ab',
                 '1,2,"a"b', "99999999999,2,x", "1,nan,x", "1,1e400,x", "1,-inf,x", " 1,2,x", "1,,", "\n", "", "1,2,x\n",
                 "1,2,x\r\n", '"1\n",2,x', "1,0x10,x", "+1,2,x", "1,2.5f,x", "1,NA,x", '1,"",x', '1,2,""', "1,.5,x", "1,5.,x",
                 ",,", '"a""",2,x', '1,2,"x"\n', '1,2,"""', " ,2,x"]:
        csv(line, three)
    csv("NA,NA,NA", three, na_value="NA")
    csv(",2,x", [tf.constant([], tf.int32)] + three[1:])
    csv("a,b,c,4", [tf.constant([1])], select_cols=[3])
    csv("a,b,c,4", [tf.constant(["-"]), tf.constant([1])], select_cols=[1, 3])
    csv("a,b", [tf.constant([1])], select_cols=[3])
    csv('1\t"2"\tx', three, field_delim="\t", use_quote_delim=False)
    csv('1\t2\t"x', three, field_delim="\t", use_quote_delim=False)
    csv("99999999999,1.5", [tf.constant([1], tf.int64), tf.constant([2.0], tf.float64)])
    csv(["1,2", "3,"], [tf.constant([1]), tf.constant([9])])
    csv([["1,2"], ["3,"]], [tf.constant(1), tf.constant(9)])


def raw_cases():
    data = bytes(range(1, 17))
    for dtype in [tf.uint8, tf.int8, tf.uint16, tf.int16, tf.int32, tf.int64, tf.float32, tf.float64, tf.float16, tf.complex64]:
        for little in [True, False]:
            case("DecodeRaw", {"bytes": tf.constant([data, data[::-1]])}, out_type=dtype, little_endian=little)
    case("DecodeRaw", {"bytes": tf.constant(data)}, out_type=tf.int32)
    case("DecodeRaw", {"bytes": tf.constant([data, data[:3]])}, out_type=tf.uint8)
    case("DecodeRaw", {"bytes": tf.constant([data[:3]])}, out_type=tf.int32)
    case("DecodeRaw", {"bytes": tf.constant([], tf.string)}, out_type=tf.int32)
    case("DecodeRaw", {"bytes": tf.constant([b"\0\1"])}, out_type=tf.bool)
    for length in [4, 8, 20, 0, 3]:
        case("DecodePaddedRaw", {"input_bytes": tf.constant([data, data[:3], b""]), "fixed_length": tf.constant(length)},
             out_type=tf.int16)
    import gzip, zlib
    case("DecodeCompressed", {"bytes": tf.constant([gzip.compress(data)])}, compression_type="GZIP")
    case("DecodeCompressed", {"bytes": tf.constant([zlib.compress(data)])}, compression_type="ZLIB")
    case("DecodeCompressed", {"bytes": tf.constant([data])}, compression_type="")
    case("DecodeCompressed", {"bytes": tf.constant([data])}, compression_type="GZIP")
    case("DecodeCompressed", {"bytes": tf.constant([data])}, compression_type="LZ")
    for values, default in [([1.5, 2.5], 0.0), (["a", "b"], ""), (7, 0)]:
        case("SparseToDense", {"sparse_indices": tf.constant([[0, 1], [2, 0]]), "output_shape": tf.constant([3, 2]),
                               "sparse_values": tf.constant(values), "default_value": tf.constant(default)})
    for indices in [[0, 2], [2, 0], [1, 1], [0, 3]]:
        for validate in [True, False]:
            if validate or indices == [0, 2] or indices == [2, 0]:
                case("SparseToDense", {"sparse_indices": tf.constant(indices), "output_shape": tf.constant([3]),
                     "sparse_values": tf.constant([5, 6]), "default_value": tf.constant(-1)}, validate_indices=validate)


def feature(values):
    if values is None:
        return tf.train.Feature()
    if isinstance(values, list) and (not values or isinstance(values[0], int)):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
    if isinstance(values[0], float):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def example(**features):
    features = {name: feature(values) for name, values in features.items()}
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)


def parse(serialized, sparse=(), dense=(), ragged=(), names=()):
    """`sparse`: (key, dtype); `dense`: (key, dtype, shape, default); `ragged`: (key, dtype, splits)."""
    serialized = tf.constant(serialized, tf.string)
    defaults = [tf.constant(default, dtype) for _, dtype, _, default in dense]
    keys = lambda specs: tf.constant([spec[0] for spec in specs], tf.string)
    case("ParseExampleV2",
         {"serialized": serialized, "names": tf.constant(list(names), tf.string), "sparse_keys": keys(sparse),
          "dense_keys": keys(dense), "ragged_keys": keys(ragged), "dense_defaults": defaults},
         Tdense=[spec[1] for spec in dense], num_sparse=len(sparse), sparse_types=[spec[1] for spec in sparse],
         ragged_value_types=[spec[1] for spec in ragged], ragged_split_types=[spec[2] for spec in ragged],
         dense_shapes=[spec[2] for spec in dense])
    if ragged:
        return
    if serialized.shape.rank == 1:
        case("ParseExample",
             {"serialized": serialized, "names": tf.constant(list(names), tf.string),
              "sparse_keys": [tf.constant(spec[0]) for spec in sparse], "dense_keys": [tf.constant(spec[0]) for spec in dense],
              "dense_defaults": defaults},
             Nsparse=len(sparse), Ndense=len(dense), sparse_types=[spec[1] for spec in sparse],
             Tdense=[spec[1] for spec in dense], dense_shapes=[spec[2] for spec in dense])
    else:
        case("ParseSingleExample", {"serialized": serialized, "dense_defaults": defaults},
             num_sparse=len(sparse), sparse_keys=[spec[0] for spec in sparse], dense_keys=[spec[0] for spec in dense],
             sparse_types=[spec[1] for spec in sparse], Tdense=[spec[1] for spec in dense],
             dense_shapes=[spec[2] for spec in dense])


def example_cases():
    one = example(f=[1.5, 2.5], i=[3], s=[b"xyz"], v=[1, 2, 3], w=[b"a", b""])
    two = example(f=[-1.0, 0.0], i=[2**62], s=[b""], v=[], extra=[9])
    three = example(f=[7.0, 8.0], i=[-5], s=[b"\0\xff"], v=[300], w=[b"cc"])
    f, i, s = ("f", tf.float32, [2], []), ("i", tf.int64, [], []), ("s", tf.string, [], [])
    v, w = ("v", tf.int64), ("w", tf.string)
    batch = [one, two, three]
    parse(batch, [v, w], [f, i, s])
    parse(batch, [], [f])
    parse(batch, [w], [])
    parse([], [v, w], [f, i])
    parse(one, [v, w], [f, i, s])
    parse(two, [v, w], [f, i, s])
    parse(batch, [v, w], [f, i, s], names=["a", "b", "c"])
    parse(batch, [v, w], [f, i, s], names=["a", "b"])
    parse(batch, [], [("f", tf.float32, [1, 2, 1], [])])
    parse(batch, [], [("f", tf.float32, [3], [])])
    parse(batch, [], [("missing", tf.float32, [2], [])])
    parse(batch, [], [("missing", tf.float32, [2], [0.5, 0.25])])
    parse(batch, [], [("missing", tf.string, [], "none")])
    parse(batch, [], [("missing", tf.string, [], ["none"])])
    parse(batch, [], [("missing", tf.float32, [2], [0.5])])
    parse(batch, [("missing", tf.float32)], [])
    parse(batch, [("f", tf.int64)], [])
    parse(batch, [], [("f", tf.int64, [2], [])])
    parse(batch, [], [("v", tf.int64, [None], 0)])
    parse(batch, [], [("v", tf.int64, [None], -1), ("w", tf.string, [None], "pad"), ("missing", tf.float32, [None], 0.0)])
    parse(batch, [], [("f", tf.float32, [None, 2], 0.0)])
    parse(batch, [], [("v", tf.int64, [None, 2], 0)])
    parse(one, [], [("v", tf.int64, [None], 0)])
    parse(batch, [], [("v", tf.int64, [None], [1, 2])])
    parse(batch, [], [("w", tf.string, [0], [])])
    empty = example(f=None, i=[1])
    parse([empty], [("f", tf.float32)], [i])
    parse([empty], [], [f])
    parse([empty], [], [("f", tf.float32, [2], [1.0, 2.0])])
    parse([b""], [v], [("f", tf.float32, [2], [1.0, 2.0])])
    parse([one[:-1]], [v], [])
    parse([one + three], [v, w], [f, i, s])
    parse([b"\x12\x01x" + one], [v], [f])
    for splits in [tf.int32, tf.int64]:
        parse(batch, [("i", tf.int64)], [f], [("v", tf.int64, splits), ("w", tf.string, splits), ("missing", tf.float32, splits)])
    parse(one, [], [f], [("w", tf.string, tf.int64)])


def serialized_cases():
    dtypes = [tf.float32, tf.float64, tf.float16, tf.bfloat16, tf.int8, tf.int16, tf.int32, tf.int64, tf.uint8, tf.uint16,
              tf.uint32, tf.uint64, tf.complex64, tf.complex128, tf.bool, tf.string]
    for dtype in dtypes:
        source = tf.constant([[0, 1, 7], [100, 5, 2]])
        value = tf.as_string(source) if dtype == tf.string else tf.cast(source, dtype)
        for value in [value, value[0, 1], value[:0], value[1]]:
            case("SerializeTensor", {"tensor": value})
            serialized = tf.raw_ops.SerializeTensor(tensor=value)
            case("ParseTensor", {"serialized": serialized}, out_type=dtype)
        case("ParseTensor", {"serialized": serialized}, out_type=tf.int32 if dtype != tf.int32 else tf.float32)
    for value in [serialized.numpy()[:-1], serialized.numpy() + b"\0", b"", b"\xff"]:
        case("ParseTensor", {"serialized": tf.constant(value)}, out_type=tf.string)
    case("ParseTensor", {"serialized": serialized[tf.newaxis]}, out_type=tf.string)
    proto = tf.make_tensor_proto(3.0, tf.float32, [4])
    case("ParseTensor", {"serialized": tf.constant(proto.SerializeToString())}, out_type=tf.float32)
    proto.tensor_shape.dim[0].size = -1
    case("ParseTensor", {"serialized": tf.constant(proto.SerializeToString())}, out_type=tf.float32)
    proto.dtype = 99
    case("ParseTensor", {"serialized": tf.constant(proto.SerializeToString())}, out_type=tf.float32)


text_cases()
csv_cases()
raw_cases()
example_cases()
serialized_cases()
lines = ",\n".join(json.dumps(record, separators=(",", ":")) for record in CASES)
pathlib.Path(__file__).with_name("input.json").write_text(f"[\n{lines}\n]\n")
print(len(CASES), "cases")
