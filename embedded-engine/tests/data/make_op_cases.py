#!/usr/bin/env python3
"""Makes the folders `op_*` beside this file: each op type of datasets in all its spellings, over inputs that are empty, have one
element, several, ragged ones and one that fails, with what TensorFlow gives for it.

    pip install tensorflow-cpu==2.21.0
    python make_op_cases.py           # all folders
    python make_op_cases.py op_order  # some

A row of the table is an op type with its arguments. The form of the folders is in README.md.
"""

import gzip
import json
import os
import re
import shutil
import sys
import zlib
from collections import Counter

os.environ.update(TF_ENABLE_ONEDNN_OPTS="0", TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")

import numpy as np
import tensorflow as tf
from tensorflow.python.data.ops import dataset_ops, structured_function
from tensorflow.python.framework import op_def_registry

tf.get_logger().setLevel("ERROR")
tf.autograph.set_verbosity(0)
v1, ops = tf.compat.v1, tf.raw_ops
v1.disable_v2_behavior()
D, I64, STR, F32 = v1.data.Dataset, tf.int64, tf.string, tf.float32
HERE = os.path.dirname(os.path.abspath(__file__))
LIMIT = 16
SCALAR, VECTOR = tf.TensorSpec([], I64), tf.TensorSpec([None], I64)


def n(*values):
    """A number as TensorFlow's arguments are: of 64 bits."""
    return tf.constant(values[0] if len(values) == 1 else values, I64)


def function(f, *specs):
    spec = specs[0] if len(specs) == 1 else tuple(specs)
    wrapper = structured_function.StructuredFunctionWrapper(f, "case", input_structure=spec, use_legacy_function=False)
    return wrapper.function


def failing(x, at):
    """A function that fails for one number."""
    return tf.cast(tf.debugging.check_numerics(12.0 / tf.cast(x - at, F32), "failed"), I64)


def var(dataset):
    return dataset._variant_tensor


def dataset(op, spec, **arguments):
    """The dataset of an op type whose elements have these specs."""
    flat = tf.nest.flatten(spec)
    definition = op_def_registry.get(op)
    derived = {argument.type_list_attr for argument in definition.input_arg}
    names = {attr.name for attr in definition.attr} - derived
    if "output_types" in names:
        arguments["output_types"] = [s.dtype for s in flat]
    if "output_shapes" in names:
        arguments["output_shapes"] = [s.shape for s in flat]
    variant = getattr(ops, op)(**arguments)

    class Source(dataset_ops.DatasetSource):
        element_spec = property(lambda self: spec)
    return dataset_ops.DatasetV1Adapter(Source(variant))


def unrewritten(ds):
    options = tf.data.Options()
    options.experimental_optimization.apply_default_optimizations = False
    options.autotune.enabled = False
    return ds.with_options(options)


class Inputs:
    """The datasets that the rows are tried over."""

    def __init__(self):
        self.all = {
            "empty": D.range(0),
            "one": D.range(3, 4),
            "several": D.range(7),
            "ragged": D.range(5).map(lambda x: tf.fill([x % 3], x)),
            "failing": D.range(5).map(lambda x: failing(x, 2)),
        }

    def numbers(self):
        return {name: ds for name, ds in self.all.items() if name != "ragged"}


class Sheet:
    def __init__(self):
        self.iterators, self.inputs = [], Inputs()

    def add(self, name, build, limit=LIMIT, init_twice=False):
        """A row: `build` makes its dataset."""
        with v1.name_scope(re.sub(r"\W", "_", name)):
            made = build()
            plain = v1.data.make_initializable_iterator(made)
            outs = tf.nest.flatten(plain.get_next(), expand_composites=True)
            other = v1.data.make_initializable_iterator(unrewritten(made))
            other_outs = tf.nest.flatten(other.get_next(), expand_composites=True)
        rounds = 2 if init_twice else 1
        self.iterators.append(dict(name=name, choices=[(plain.initializer, outs), (other.initializer, other_outs)], limit=limit, rounds=rounds))

    def over(self, op, inputs, build, **options):
        """A row for each of some inputs."""
        for name, ds in inputs.items():
            self.add(f"{op} of {name}", lambda: build(ds), **options)

    def fetch(self, name, build):
        """A row that fetches one value."""
        with v1.name_scope(re.sub(r"\W", "_", name)):
            outs = tf.nest.flatten(build())
        self.iterators.append(dict(name=name, choices=[(None, outs)], limit=1, rounds=1))


FOLDERS = {}


def folder(make):
    FOLDERS[make.__name__] = make
    return make


def spellings(*names):
    """Each name, and with `Experimental` before it."""
    return [prefix + name for name in names for prefix in ("", "Experimental")]


@folder
def op_order(z):
    """What passes elements on, in whatever order and number."""
    seeds = dict(seed=n(7), seed2=n(3))
    for size in (1, 3, 100, -2):
        # How far a buffer without limit is filled behind an error is not described.
        inputs = {name: ds for name, ds in z.inputs.all.items() if (size, name) != (-2, "failing")}
        z.over(f"ShuffleDataset {size}", inputs, lambda d: dataset("ShuffleDataset", d.element_spec, input_dataset=var(d), buffer_size=n(size), **seeds).repeat(2))
    for reshuffle in (True, False):
        z.over(f"ShuffleDataset {reshuffle}", z.inputs.numbers(), lambda d: dataset("ShuffleDataset", d.element_spec, input_dataset=var(d), buffer_size=n(4), reshuffle_each_iteration=reshuffle, **seeds).repeat(2), init_twice=True)
        z.over(f"ShuffleDatasetV3 {reshuffle}", z.inputs.numbers(), lambda d: dataset("ShuffleDatasetV3", d.element_spec, input_dataset=var(d), buffer_size=n(4), seed_generator=ops.DummySeedGenerator(), reshuffle_each_iteration=reshuffle, **seeds).repeat(2))
        z.over(f"ShuffleDatasetV3 of a generator {reshuffle}", z.inputs.numbers(), lambda d: dataset("ShuffleDatasetV3", d.element_spec, input_dataset=var(d), buffer_size=n(4), seed_generator=ops.AnonymousSeedGenerator(reshuffle=reshuffle, **seeds)[0], **seeds).repeat(2))
    z.over("ShuffleDatasetV2", z.inputs.numbers(), lambda d: dataset("ShuffleDatasetV2", d.element_spec, input_dataset=var(d), buffer_size=n(4), seed_generator=ops.AnonymousSeedGenerator(reshuffle=True, **seeds)[0]))
    for count in (2, -1):
        z.over(f"ShuffleAndRepeatDataset {count}", z.inputs.all, lambda d: dataset("ShuffleAndRepeatDataset", d.element_spec, input_dataset=var(d), buffer_size=n(4), count=n(count), **seeds))
        z.over(f"ShuffleAndRepeatDatasetV2 {count}", z.inputs.numbers(), lambda d: dataset("ShuffleAndRepeatDatasetV2", d.element_spec, input_dataset=var(d), buffer_size=n(4), count=n(count), seed_generator=ops.DummySeedGenerator(), **seeds))
    for count in (0, 1, 2, -1, -7):
        z.over(f"RepeatDataset {count}", z.inputs.all, lambda d: dataset("RepeatDataset", d.element_spec, input_dataset=var(d), count=n(count)))
    for count in (0, 1, 3, 100, -1):
        z.over(f"TakeDataset {count}", z.inputs.all, lambda d: dataset("TakeDataset", d.element_spec, input_dataset=var(d), count=n(count)))
        z.over(f"SkipDataset {count}", z.inputs.all, lambda d: dataset("SkipDataset", d.element_spec, input_dataset=var(d), count=n(count)))
    for shards, index in ((1, 0), (3, 2), (9, 8)):
        z.over(f"ShardDataset {shards} {index}", z.inputs.all, lambda d: dataset("ShardDataset", d.element_spec, input_dataset=var(d), num_shards=n(shards), index=n(index)))
    z.over("ShardDataset that needs elements", z.inputs.numbers(), lambda d: dataset("ShardDataset", d.element_spec, input_dataset=var(d), num_shards=n(4), index=n(3), require_non_empty=True))
    for size in (0, 1, 5, -1):
        z.over(f"PrefetchDataset {size}", z.inputs.all, lambda d: dataset("PrefetchDataset", d.element_spec, input_dataset=var(d), buffer_size=n(size)))
    z.over("CacheDataset", z.inputs.all, lambda d: dataset("CacheDataset", d.element_spec, input_dataset=var(d), filename="").repeat(2))
    z.over("CacheDatasetV2", z.inputs.all, lambda d: dataset("CacheDatasetV2", d.element_spec, input_dataset=var(d), filename="", cache=ops.DummyMemoryCache()).repeat(2))
    z.over("ConcatenateDataset", z.inputs.numbers(), lambda d: dataset("ConcatenateDataset", d.element_spec, input_dataset=var(d), another_dataset=var(D.range(20, 22))))
    for rate in (0.0, 0.5, 1.0):
        z.over(f"SamplingDataset {rate}", z.inputs.numbers(), lambda d: dataset("SamplingDataset", d.element_spec, input_dataset=var(d), rate=tf.constant(rate), **seeds))


@folder
def op_choice(z):
    """What leaves elements out, and what mixes datasets."""
    even = function(lambda x: x % 2 == 0, SCALAR)
    small = function(lambda x: x < 4, SCALAR)
    none, fails = function(lambda x: x < -100, SCALAR), function(lambda x: failing(x, 3) > -100, SCALAR)
    for name, predicate in (("even", even), ("none", none), ("fails", fails)):
        z.over(f"FilterDataset {name}", z.inputs.numbers(), lambda d: dataset("FilterDataset", SCALAR, input_dataset=var(d), other_arguments=[], predicate=predicate))
    z.over("ParallelFilterDataset", z.inputs.numbers(), lambda d: dataset("ParallelFilterDataset", SCALAR, input_dataset=var(d), other_arguments=[], num_parallel_calls=n(2), predicate=even))
    for op in spellings("TakeWhileDataset"):
        for name, predicate in (("small", small), ("none", none), ("fails", fails)):
            z.over(f"{op} {name}", z.inputs.numbers(), lambda d: dataset(op, SCALAR, input_dataset=var(d), other_arguments=[], predicate=predicate))
    for op in spellings("UniqueDataset"):
        z.over(op, z.inputs.numbers(), lambda d: dataset(op, SCALAR, input_dataset=var(d.repeat(2))))
        z.add(f"{op} of text", lambda: dataset(op, tf.TensorSpec([], STR), input_dataset=var(D.from_tensor_slices(["a", "b", "a", ""]))))
        z.add(f"{op} of int32", lambda: dataset(op, tf.TensorSpec([], tf.int32), input_dataset=var(D.from_tensor_slices([3, 3, 1, 3]))))
    for op in spellings("IgnoreErrorsDataset"):
        z.over(op, z.inputs.all, lambda d: dataset(op, d.element_spec, input_dataset=var(d)))
    selector = lambda *choices: D.from_tensor_slices(np.array(choices, np.int64))
    for op in spellings("DirectedInterleaveDataset"):
        for name, choices in (("", (1, 0, 0, 1, 1, 1, 0, 0, 0, 0)), ("outside", (0, 5, 1)), ("negative", (0, -1, 1)), ("nothing", ())):
            z.over(f"{op} {name}", z.inputs.numbers(), lambda d: dataset(op, SCALAR, selector_input_dataset=var(selector(*choices)), data_input_datasets=[var(d), var(D.range(50, 53))]))
    z.over("DirectedInterleaveDataset that stops", z.inputs.numbers(), lambda d: dataset("DirectedInterleaveDataset", SCALAR, selector_input_dataset=var(selector(1, 0, 0, 1, 1, 1, 0)), data_input_datasets=[var(d), var(D.range(50, 53))], stop_on_empty_dataset=True))
    for op in spellings("ChooseFastestDataset"):
        z.over(op, {"several": z.inputs.all["several"]}, lambda d: dataset(op, SCALAR, input_datasets=[var(d), var(d)], num_experiments=2))
    z.over("ZipDataset", z.inputs.all, lambda d: dataset("ZipDataset", (d.element_spec, SCALAR), input_datasets=[var(d), var(D.range(4))]))


@folder
def op_batches(z):
    """What puts elements together and takes them apart."""
    batched = lambda d: tf.TensorSpec(tf.TensorShape([None]).concatenate(d.element_spec.shape), I64)
    for size in (1, 2, 3, 100):
        z.over(f"BatchDataset {size}", z.inputs.all, lambda d: dataset("BatchDataset", batched(d), input_dataset=var(d), batch_size=n(size)))
        for drop in (False, True):
            z.over(f"BatchDatasetV2 {size} {drop}", z.inputs.all, lambda d: dataset("BatchDatasetV2", batched(d), input_dataset=var(d), batch_size=n(size), drop_remainder=drop))
    z.over("ParallelBatchDataset", z.inputs.all, lambda d: dataset("ParallelBatchDataset", batched(d), input_dataset=var(d), batch_size=n(2), num_parallel_calls=n(2), drop_remainder=False))
    padded = tf.TensorSpec([None, None], I64)
    vectors = {"empty": z.inputs.all["empty"].map(lambda x: tf.fill([x], x)), "ragged": z.inputs.all["ragged"], "one": D.from_tensors(n(4, 5))}
    for width in (-1, 2, 1):
        arguments = dict(batch_size=n(2), padded_shapes=[tf.constant([width], I64)], padding_values=[n(9)])
        z.over(f"PaddedBatchDataset {width}", vectors, lambda d: dataset("PaddedBatchDataset", padded, input_dataset=var(d), **arguments))
        for drop in (False, True):
            z.over(f"PaddedBatchDatasetV2 {width} {drop}", vectors, lambda d: dataset("PaddedBatchDatasetV2", padded, input_dataset=var(d), drop_remainder=drop, **arguments))
    tens = function(lambda x: x * 10, SCALAR)
    for op in spellings("MapAndBatchDataset"):
        for drop in (False, True):
            z.over(f"{op} {drop}", z.inputs.numbers(), lambda d: dataset(op, VECTOR, input_dataset=var(d), other_arguments=[], batch_size=n(2), num_parallel_calls=n(2), drop_remainder=drop, f=tens))
        ragged = function(lambda x: tf.fill([x % 3], x), SCALAR)
        z.over(f"{op} ragged", z.inputs.numbers(), lambda d: dataset(op, padded, input_dataset=var(d), other_arguments=[], batch_size=n(2), num_parallel_calls=n(2), drop_remainder=False, f=ragged))
    for op in spellings("UnbatchDataset"):
        z.over(op, {"ragged": z.inputs.all["ragged"], "batches": D.range(7).batch(3), "empty": D.range(0).batch(3)}, lambda d: dataset(op, SCALAR, input_dataset=var(d)))
        z.add(f"{op} of scalars", lambda: dataset(op, tf.TensorSpec(None, I64), input_dataset=var(D.range(3))))
    window = lambda d, **arguments: dataset("WindowDataset", tf.TensorSpec([], tf.variant), input_dataset=var(d), **arguments)
    for size, shift, stride, drop in ((3, 3, 1, False), (3, 1, 1, False), (2, 3, 1, True), (2, 1, 2, False), (100, 1, 1, True)):
        flat = lambda d: window(d, size=n(size), shift=n(shift), stride=n(stride), drop_remainder=drop)
        inner = lambda d: dataset("FlatMapDataset", VECTOR, input_dataset=var(flat(d)), other_arguments=[], f=function(lambda w: var(dataset_ops._VariantDataset(w, SCALAR).batch(9)), tf.TensorSpec([], tf.variant)))
        z.over(f"WindowDataset {size} {shift} {stride} {drop}", z.inputs.numbers(), inner, limit=20)
    for op in spellings("SlidingWindowDataset"):
        for size, shift, stride in ((3, 2, 1), (2, 1, 2), (1, 2, 1), (100, 1, 1)):
            z.over(f"{op} {size} {shift} {stride}", z.inputs.numbers(), lambda d: dataset(op, VECTOR, input_dataset=var(d), window_size=n(size), window_shift=n(shift), window_stride=n(stride)))
    for op in spellings("DenseToSparseBatchDataset"):
        spec = tf.SparseTensorSpec([None, 3], I64)
        for name, d in vectors.items():
            z.add(f"{op} of {name}", lambda: sparse_batches(op, d, 3))
        z.add(f"{op} too wide", lambda: sparse_batches(op, D.from_tensors(n(1, 2, 3, 4)), 3))
    for op in spellings("RebatchDataset"):
        for batch, replicas in ((4, 2), (5, 2), (4, 1)):
            z.add(f"{op} {batch} {replicas}", lambda: dataset(op, VECTOR, input_dataset=var(D.range(9).batch(batch)), num_replicas=n(replicas)))
    for sizes in ((3, 2), (1,), (20,)):
        for drop in (False, True):
            z.over(f"RebatchDatasetV2 {sizes} {drop}", {"several": D.range(9).batch(4), "empty": D.range(0).batch(4), "ragged": z.inputs.all["ragged"]}, lambda d: dataset("RebatchDatasetV2", VECTOR, input_dataset=var(d), batch_sizes=tf.constant(sizes, I64), drop_remainder=drop))


def sparse_batches(op, d, width):
    """Batches of sparse tensors, as their indices and values."""
    raw = getattr(ops, op)(input_dataset=var(d), batch_size=n(2), row_shape=tf.constant([width], I64), output_types=[I64], output_shapes=[tf.TensorShape([None, width])])
    spec = tf.SparseTensorSpec([None, width], I64)

    class Source(dataset_ops.DatasetSource):
        element_spec = property(lambda self: spec)
    return dataset_ops.DatasetV1Adapter(Source(raw))


@folder
def op_functions(z):
    """What calls functions."""
    tens, fails = function(lambda x: x * 10 + 1, SCALAR), function(lambda x: failing(x, 3), SCALAR)
    for name, f in (("", tens), ("fails", fails)):
        arguments = dict(other_arguments=[], f=f)
        z.over(f"MapDataset {name}", z.inputs.numbers(), lambda d: dataset("MapDataset", SCALAR, input_dataset=var(d), **arguments))
        z.over(f"ParallelMapDataset {name}", z.inputs.numbers(), lambda d: dataset("ParallelMapDataset", SCALAR, input_dataset=var(d), num_parallel_calls=2, **arguments))
        z.over(f"ParallelMapDatasetV2 {name}", z.inputs.numbers(), lambda d: dataset("ParallelMapDatasetV2", SCALAR, input_dataset=var(d), num_parallel_calls=n(2), **arguments))
    captured = n(1000)
    plus = structured_function.StructuredFunctionWrapper(lambda x: x + captured, "case", input_structure=SCALAR, use_legacy_function=False).function
    z.over("MapDataset that captures", z.inputs.numbers(), lambda d: dataset("MapDataset", SCALAR, input_dataset=var(d), other_arguments=plus.captured_inputs, f=plus))
    inner = function(lambda x: var(D.range(x % 4).map(lambda y: x * 10 + y)), SCALAR)
    broken = function(lambda x: var(D.range(3).map(lambda y: failing(x + y, 3))), SCALAR)
    for name, f in (("", inner), ("fails", broken)):
        arguments = dict(other_arguments=[], f=f)
        z.over(f"FlatMapDataset {name}", z.inputs.numbers(), lambda d: dataset("FlatMapDataset", SCALAR, input_dataset=var(d), **arguments), limit=24)
        for cycle, block in ((1, 1), (3, 2), (9, 1)):
            turns = dict(cycle_length=n(cycle), block_length=n(block), **arguments)
            z.over(f"InterleaveDataset {cycle} {block} {name}", z.inputs.numbers(), lambda d: dataset("InterleaveDataset", SCALAR, input_dataset=var(d), **turns), limit=24)
            calls = dict(num_parallel_calls=n(min(cycle, 2)), **turns)
            for op in ("ParallelInterleaveDatasetV2", "ParallelInterleaveDatasetV3"):
                z.over(f"{op} {cycle} {block} {name}", z.inputs.numbers(), lambda d: dataset(op, SCALAR, input_dataset=var(d), **calls), limit=24)
            for outputs, inputs in ((-1, -1), (2, 1)):
                z.over(f"ParallelInterleaveDatasetV4 {cycle} {block} {outputs} {inputs} {name}", z.inputs.numbers(), lambda d: dataset("ParallelInterleaveDatasetV4", SCALAR, input_dataset=var(d), buffer_output_elements=n(outputs), prefetch_input_elements=n(inputs), **calls), limit=24)
        for cycle in (1, 2, 9):
            turns = dict(cycle_length=n(cycle), block_length=n(1), buffer_output_elements=n(2), prefetch_input_elements=n(2), **arguments)
            for op in spellings("ParallelInterleaveDataset"):
                z.over(f"{op} {cycle} {name}", z.inputs.numbers(), lambda d: dataset(op, SCALAR, input_dataset=var(d), sloppy=False, **turns), limit=24)
            z.over(f"LegacyParallelInterleaveDatasetV2 {cycle} {name}", z.inputs.numbers(), lambda d: dataset("LegacyParallelInterleaveDatasetV2", SCALAR, input_dataset=var(d), **turns), limit=24)
    longer = function(lambda x: var(D.range(4).map(lambda y: failing(x + y, 3))), SCALAR)
    for cycle, block in ((1, 2), (2, 2), (2, 3)):
        turns = dict(cycle_length=n(cycle), block_length=n(block), buffer_output_elements=n(2), prefetch_input_elements=n(2), other_arguments=[], f=longer)
        z.add(f"LegacyParallelInterleaveDatasetV2 {cycle} {block} fails", lambda: dataset("LegacyParallelInterleaveDatasetV2", SCALAR, input_dataset=var(D.range(5)), **turns), limit=24)
    add = function(lambda s, x: (s + x, s * 100 + x), SCALAR, SCALAR)
    for op in spellings("ScanDataset"):
        z.over(op, z.inputs.numbers(), lambda d: dataset(op, SCALAR, input_dataset=var(d), initial_state=[n(1)], other_arguments=[], f=add))
    key, size = function(lambda x: x % 3, SCALAR), function(lambda k: k + 1, SCALAR)
    reduce = function(lambda k, w: var(dataset_ops._VariantDataset(w, SCALAR).batch(9)), SCALAR, tf.TensorSpec([], tf.variant))
    for op in spellings("GroupByWindowDataset"):
        z.over(op, z.inputs.numbers(), lambda d: dataset(op, VECTOR, input_dataset=var(d), key_func_other_arguments=[], reduce_func_other_arguments=[], window_size_func_other_arguments=[], key_func=key, reduce_func=reduce, window_size_func=size))
    first, sums, last = function(lambda k: k * 100, SCALAR), function(lambda s, x: s + x, SCALAR, SCALAR), function(lambda s: s, SCALAR)
    for op in spellings("GroupByReducerDataset"):
        z.over(op, z.inputs.numbers(), lambda d: dataset(op, SCALAR, input_dataset=var(d), key_func_other_arguments=[], init_func_other_arguments=[], reduce_func_other_arguments=[], finalize_func_other_arguments=[], key_func=key, init_func=first, reduce_func=sums, finalize_func=last))
    for name, d in z.inputs.numbers().items():
        z.fetch(f"ReduceDataset of {name}", lambda: ops.ReduceDataset(input_dataset=var(d), initial_state=[n(5)], other_arguments=[], f=sums, output_types=[I64], output_shapes=[[]]))
        z.fetch(f"DatasetToSingleElement of {name}", lambda: ops.DatasetToSingleElement(dataset=var(d), output_types=[I64], output_shapes=[[]]))
        for op in spellings("DatasetCardinality"):
            z.fetch(f"{op} of {name}", lambda: getattr(ops, op)(input_dataset=var(d)))


@folder
def op_ends(z):
    """Functions that signal the end of their dataset, in the order of the elements and in parallel."""
    def ending(x, at):
        # A box of an image that does not exist is an error of the same code as an end.
        box = tf.reshape(tf.where(tf.equal(x, at), [1], [0]), [1])
        pixel = tf.image.crop_and_resize(tf.reshape(tf.cast(x, F32), [1, 1, 1, 1]), [[0.0] * 4], box, [1, 1])
        return tf.cast(tf.reshape(pixel, []), I64)
    second, first = function(lambda x: ending(x, 2), SCALAR), function(lambda x: ending(x, 0), SCALAR)
    maps = {"MapDataset": {}, "ParallelMapDataset": dict(num_parallel_calls=2), "ParallelMapDatasetV2": dict(num_parallel_calls=n(2))}
    for op, calls in maps.items():
        def ended(d, f=second, **more):
            return dataset(op, SCALAR, input_dataset=var(d), other_arguments=[], f=f, **calls, **more)
        five = D.range(5)
        z.add(f"{op}", lambda: ended(five))
        z.add(f"{op} that preserves the cardinality", lambda: ended(five, preserve_cardinality=True))
        z.add(f"{op} of {op}", lambda: ended(ended(five, function(lambda x: x + 1, SCALAR))))
        # TensorFlow leaves out a repeat of one epoch, and with it the end of that epoch.
        for count in (2, -1):
            z.add(f"{op} repeated {count}", lambda: ended(five).repeat(count))
            z.add(f"{op} without elements repeated {count}", lambda: ended(five, first).repeat(count))
        for count in (2, 3, 4):
            z.add(f"{op} take {count}", lambda: ended(five).take(count))
        z.add(f"{op} take repeated", lambda: ended(five).take(4).repeat(3))
        z.add(f"{op} repeated take", lambda: ended(five).repeat(3).take(5))
        z.add(f"{op} repeated mapped", lambda: dataset(op, SCALAR, input_dataset=var(ended(five).repeat(2)), other_arguments=[], f=function(lambda x: x + 10, SCALAR), **calls))
        z.add(f"{op} skip", lambda: ended(five).skip(1).repeat(2))
        z.add(f"{op} concatenate", lambda: ended(five).concatenate(D.range(10, 12)))
        z.add(f"{op} cache", lambda: ended(five).cache().repeat(2))
        z.add(f"{op} prefetch", lambda: ended(five).prefetch(2).repeat(2))
        z.add(f"{op} filter", lambda: ended(five).filter(lambda x: x < 9).repeat(2))
        z.add(f"{op} shuffle", lambda: ended(five).shuffle(3, seed=5).repeat(2))
        z.add(f"{op} zip", lambda: v1.data.Dataset.zip((ended(five), D.range(9))).repeat(2))


@folder
def op_wrappers(z):
    """What hands elements on as they are."""
    some = {name: z.inputs.all[name] for name in ("empty", "several", "failing")}
    for op in spellings("BytesProducedStatsDataset", "LatencyStatsDataset"):
        z.over(op, some, lambda d: dataset(op, SCALAR, input_dataset=var(d), tag="t"))
    for op in spellings("MaxIntraOpParallelismDataset"):
        z.over(op, some, lambda d: dataset(op, SCALAR, input_dataset=var(d), max_intra_op_parallelism=n(1)))
    for op in spellings("PrivateThreadPoolDataset"):
        z.over(op, some, lambda d: dataset(op, SCALAR, input_dataset=var(d), num_threads=n(1)))
    for op in spellings("NonSerializableDataset"):
        z.over(op, some, lambda d: dataset(op, SCALAR, input_dataset=var(d)))
    for op in spellings("SleepDataset"):
        z.over(op, some, lambda d: dataset(op, SCALAR, input_dataset=var(d), sleep_microseconds=n(10)))
    for op in spellings("SetStatsAggregatorDataset"):
        handle = "ExperimentalStatsAggregatorHandle" if op.startswith("Exp") else "StatsAggregatorHandle"
        z.over(op, some, lambda d: dataset(op, SCALAR, input_dataset=var(d), stats_aggregator=getattr(ops, handle)(), tag="t", counter_prefix="c"))
    for op in spellings("ThreadPoolDataset"):
        handle = op.replace("Dataset", "Handle")
        z.over(op, some, lambda d: dataset(op, SCALAR, input_dataset=var(d), thread_pool=getattr(ops, handle)(num_threads=1, display_name="p")))
    for op in spellings("AutoShardDataset"):
        for workers, index in ((1, 0), (2, 1)):
            z.over(f"{op} {workers} {index}", some, lambda d: dataset(op, SCALAR, input_dataset=var(d), num_workers=n(workers), index=n(index)))
    for op in spellings("AssertNextDataset"):
        z.over(op, some, lambda d: dataset(op, SCALAR, input_dataset=var(d), transformations=tf.constant([], STR)))
    for cardinality in (7, 3, 9, 0):
        z.over(f"AssertCardinalityDataset {cardinality}", some, lambda d: dataset("AssertCardinalityDataset", SCALAR, input_dataset=var(d), cardinality=n(cardinality)))
    z.over("OptionsDataset", some, lambda d: dataset("OptionsDataset", SCALAR, input_dataset=var(d), serialized_options=""))
    z.over("FinalizeDataset", some, lambda d: dataset("FinalizeDataset", SCALAR, input_dataset=var(d)))
    z.over("ModelDataset", some, lambda d: dataset("ModelDataset", SCALAR, input_dataset=var(d)))
    z.over("OptimizeDataset", some, lambda d: dataset("OptimizeDataset", SCALAR, input_dataset=var(d), optimizations=tf.constant([], STR)))
    nothing = tf.constant([], STR)
    z.over("OptimizeDatasetV2", some, lambda d: dataset("OptimizeDatasetV2", SCALAR, input_dataset=var(d), optimizations_enabled=nothing, optimizations_disabled=nothing, optimizations_default=nothing))
    z.over("RewriteDataset", some, lambda d: dataset("RewriteDataset", SCALAR, input_dataset=var(d), rewrite_name="replicate_on_split"))

    def wrapped(d):
        class Source(dataset_ops.DatasetSource):
            element_spec = property(lambda self: SCALAR)
        return dataset_ops.DatasetV1Adapter(Source(ops.UnwrapDatasetVariant(input_handle=ops.WrapDatasetVariant(input_handle=var(d)))))
    z.over("WrapDatasetVariant and UnwrapDatasetVariant", some, wrapped)


@folder
def op_sources(z):
    """What makes elements of nothing."""
    for start, stop, step in ((0, 5, 1), (5, 0, -2), (0, 0, 1), (3, 0, 1), (-2, 3, 2)):
        z.add(f"RangeDataset {start} {stop} {step}", lambda: dataset("RangeDataset", SCALAR, start=n(start), stop=n(stop), step=n(step)))
    z.add("RangeDataset of int32", lambda: dataset("RangeDataset", tf.TensorSpec([], tf.int32), start=n(0), stop=n(3), step=n(1)))
    spec = lambda *tensors: tuple(tf.TensorSpec(t.shape, t.dtype) for t in tensors)
    rows = lambda *tensors: tuple(tf.TensorSpec(t.shape[1:], t.dtype) for t in tensors)
    values = (tf.constant([[1.5, 2.5], [3.5, 4.5], [5.5, 6.5]]), tf.constant(["a", "", "c"]), tf.constant([True, False, True]), tf.constant([1 + 2j, 3, 4], tf.complex64))
    z.add("TensorDataset", lambda: dataset("TensorDataset", spec(*values), components=list(values)))
    z.add("TensorDataset of nothing", lambda: dataset("TensorDataset", spec(tf.zeros([0, 3])), components=[tf.zeros([0, 3])]))
    z.add("TensorSliceDataset", lambda: dataset("TensorSliceDataset", rows(*values), components=list(values)))
    z.add("TensorSliceDataset of nothing", lambda: dataset("TensorSliceDataset", rows(tf.zeros([0, 3])), components=[tf.zeros([0, 3])]))
    z.add("TensorSliceDataset of empty rows", lambda: dataset("TensorSliceDataset", rows(tf.zeros([2, 0])), components=[tf.zeros([2, 0])]))
    z.add("ListDataset", lambda: dataset("ListDataset", (SCALAR, tf.TensorSpec([], STR)), tensors=[n(1), tf.constant("a"), n(2), tf.constant("b")]))
    sparse = tf.SparseTensor([[0, 1], [2, 0], [2, 2]], n(5, 6, 7), [4, 3])

    def sparse_slices(tensor):
        raw = ops.SparseTensorSliceDataset(indices=tensor.indices, values=tensor.values, dense_shape=tensor.dense_shape)

        class Source(dataset_ops.DatasetSource):
            element_spec = property(lambda self: (tf.TensorSpec([None, 1], I64), tf.TensorSpec([None], I64), tf.TensorSpec([1], I64)))
        return dataset_ops.DatasetV1Adapter(Source(raw))
    z.add("SparseTensorSliceDataset", lambda: sparse_slices(sparse))
    z.add("SparseTensorSliceDataset of nothing", lambda: sparse_slices(tf.SparseTensor(tf.zeros([0, 2], I64), tf.zeros([0], I64), [2, 3])))
    for op in ("RandomDataset", "ExperimentalRandomDataset"):
        z.add(op, lambda: dataset(op, SCALAR, seed=n(7), seed2=n(3)).take(5).repeat(2))
    for again in (False, True):
        z.add(f"RandomDatasetV2 {again}", lambda: dataset("RandomDatasetV2", SCALAR, seed=n(7), seed2=n(3), seed_generator=ops.DummySeedGenerator(), rerandomize_each_iteration=again).take(5).repeat(2))
    init, stop = function(lambda x: x, SCALAR), function(lambda x: x, SCALAR)
    counts = function(lambda x: failing(x, 3), SCALAR)
    z.add("GeneratorDataset that fails", lambda: dataset("GeneratorDataset", SCALAR, init_func_other_args=[n(3)], next_func_other_args=[], finalize_func_other_args=[], init_func=init, next_func=counts, finalize_func=stop), limit=3)
    z.add("GeneratorDataset", lambda: dataset("GeneratorDataset", SCALAR, init_func_other_args=[n(3)], next_func_other_args=[], finalize_func_other_args=[], init_func=init, next_func=init, finalize_func=stop).take(3))


def put(name, data):
    os.makedirs("data", exist_ok=True)
    with open(f"data/{name}", "wb") as file:
        file.write(data)


def records(name, items, compression=""):
    os.makedirs("data", exist_ok=True)
    with tf.io.TFRecordWriter(f"data/{name}", compression) as writer:
        for item in items:
            writer.write(item)


@folder
def op_readers(z):
    """What reads files, whole and damaged ones."""
    items = [b"first", b"", b"third record"]
    for compression in ("", "GZIP", "ZLIB"):
        records("some" + compression, items, compression)
        records("none" + compression, [], compression)
    whole = open("data/some", "rb").read()
    put("empty", b"")
    put("cut", whole[:-3])
    put("cut_length", whole[:26])
    put("cutGZIP", open("data/someGZIP", "rb").read()[:-12])
    put("bad_data", whole[:14] + b"X" + whole[15:])
    put("bad_length", whole[:21] + b"\xff" + whole[22:])
    put("lines", b"one\n\ntwo\r\nlast")
    put("linesGZIP", gzip.compress(b"one\ntwo\n", mtime=0))
    put("linesZLIB", zlib.compress(b"one\ntwo\n"))
    put("fixed", b"HHaabbccF")
    put("fixedGZIP", gzip.compress(b"HHaabbccF", mtime=0))
    put("odd", b"HHaabbcF")
    put("short", b"H")
    put("table", b"x,y\n1,a\n,b\n3,\nbad,d\n5,e,6\n7\n\"8\",\"q\"\"r\"\n")
    put("tableGZIP", gzip.compress(b"x,y\n1,a\n", mtime=0))
    lists = {"no file": [], "one file": ["data/some"], "some": ["data/some", "data/empty", "data/some"], "a missing file": ["data/some", "data/missing", "data/some"], "a folder": ["data"], "a damaged record": ["data/bad_data", "data/some"], "a damaged length": ["data/bad_length", "data/some"], "a cut record": ["data/cut", "data/some"], "a cut length": ["data/cut_length", "data/some"], "lines": ["data/lines"]}
    names = lambda files: tf.constant(files, STR)
    text = tf.TensorSpec([], STR)
    for name, files in lists.items():
        z.add(f"TFRecordDataset of {name}", lambda: dataset("TFRecordDataset", text, filenames=names(files), compression_type="", buffer_size=n(0)), limit=10)
    for compression in ("GZIP", "ZLIB"):
        for name in ("some", "none", "empty", "cut"):
            path = f"data/{name}{'' if name == 'empty' else compression}"
            if os.path.exists(path):
                z.add(f"TFRecordDataset of {name} {compression}", lambda: dataset("TFRecordDataset", text, filenames=names([path]), compression_type=compression, buffer_size=n(100)), limit=6)
        z.add(f"TFRecordDataset of a plain file as {compression}", lambda: dataset("TFRecordDataset", text, filenames=names(["data/some", "data/some" + compression]), compression_type=compression, buffer_size=n(100)), limit=6)
    z.add("TFRecordDataset of a gzip file as plain", lambda: dataset("TFRecordDataset", text, filenames=names(["data/someGZIP", "data/some"]), compression_type="", buffer_size=n(100)), limit=6)
    for offsets in ((0, 0), (21, 0), (21, 37)):
        z.add(f"TFRecordDatasetV2 {offsets}", lambda: dataset("TFRecordDatasetV2", text, filenames=names(["data/some", "data/some"]), compression_type="", buffer_size=n(100), byte_offsets=tf.constant(offsets, I64)))
    for name, files in {"no file": [], "lines": ["data/lines"], "some": ["data/lines", "data/empty", "data/lines"], "a missing file": ["data/lines", "data/missing"], "a folder": ["data"]}.items():
        z.add(f"TextLineDataset of {name}", lambda: dataset("TextLineDataset", text, filenames=names(files), compression_type="", buffer_size=n(0)), limit=12)
    for compression in ("GZIP", "ZLIB"):
        z.add(f"TextLineDataset {compression}", lambda: dataset("TextLineDataset", text, filenames=names(["data/lines" + compression]), compression_type=compression, buffer_size=n(0)))
        z.add(f"TextLineDataset of plain lines as {compression}", lambda: dataset("TextLineDataset", text, filenames=names(["data/lines"]), compression_type=compression, buffer_size=n(0)), limit=4)
    sizes = dict(header_bytes=n(2), record_bytes=n(3), footer_bytes=n(1), buffer_size=n(0))
    for name in ("fixed", "odd", "short", "empty", "missing"):
        files = names(["data/" + name])
        z.add(f"FixedLengthRecordDataset of {name}", lambda: dataset("FixedLengthRecordDataset", text, filenames=files, **sizes), limit=6)
        z.add(f"FixedLengthRecordDatasetV2 of {name}", lambda: dataset("FixedLengthRecordDatasetV2", text, filenames=files, compression_type="", **sizes), limit=6)
    z.add("FixedLengthRecordDatasetV2 GZIP", lambda: dataset("FixedLengthRecordDatasetV2", text, filenames=names(["data/fixedGZIP"]), compression_type="GZIP", **sizes))
    columns = (SCALAR, text)
    for op in ("CSVDataset", "CSVDatasetV2", "ExperimentalCSVDataset"):
        more = dict(exclude_cols=tf.constant([], I64)) if op == "CSVDatasetV2" else {}
        arguments = dict(buffer_size=n(100), header=True, field_delim=",", use_quote_delim=True, na_value="", select_cols=tf.constant([], I64), **more)
        required, optional = [tf.constant([], I64), tf.constant([], STR)], [n(-1), tf.constant(["?"])]
        optional = [tf.constant([-1], I64), tf.constant(["?"])]
        for name, defaults in (("required", required), ("optional", optional)):
            for file, compression in (("table", ""), ("tableGZIP", "GZIP"), ("empty", ""), ("missing", "")):
                z.add(f"{op} {name} {file}", lambda: dataset(op, columns, filenames=names(["data/" + file]), compression_type=compression, record_defaults=defaults, **arguments), limit=11)
    for op in spellings("MatchingFilesDataset"):
        for pattern in ("data/some*", "data/[l]ine?", "none*"):
            z.add(f"{op} {pattern}", lambda: dataset(op, text, patterns=names([pattern])))
    examples = [example(a=[1, 2], s=[b"x"]), example(a=[3, 4]), example(a=[5], s=[b"y", b"z"])]
    for op in ("ParseExampleDataset", "ParseExampleDatasetV2", "ExperimentalParseExampleDataset"):
        for name, chosen, width in (("", examples[:2], 2), ("of another length", examples, 2), ("of garbage", [examples[0], b"garbage"], 2), ("of nothing", [], 2)):
            z.add(f"{op} {name}", lambda: parsed(op, chosen, width))


def example(**features):
    def feature(values):
        if isinstance(values[0], bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
    built = tf.train.Features(feature={key: feature(values) for key, values in features.items()})
    return tf.train.Example(features=built).SerializeToString(deterministic=True)


def parsed(op, items, width):
    batches = D.from_tensor_slices(tf.constant(items, STR)).batch(2)
    arguments = dict(input_dataset=var(batches), num_parallel_calls=n(1), dense_defaults=[tf.constant([], I64)], sparse_keys=["s"], dense_keys=["a"], sparse_types=[STR], dense_shapes=[[width]])
    if op == "ParseExampleDatasetV2":
        arguments.update(ragged_keys=[], ragged_value_types=[], ragged_split_types=[])
    sparse = tf.SparseTensorSpec([None, None], STR)
    spec = (tf.TensorSpec([None, width], I64), sparse)
    raw = getattr(ops, op)(output_types=[I64, tf.variant], output_shapes=[tf.TensorShape([None, width]), tf.TensorShape(None)], **arguments)

    class Source(dataset_ops.DatasetSource):
        element_spec = property(lambda self: spec)
    return dataset_ops.DatasetV1Adapter(Source(raw))


@folder
def op_ragged(z):
    """Ragged tensors, which are variants within datasets."""
    numbers = tf.ragged.constant([[1, 2], [], [3], [4, 5, 6]], dtype=I64)
    kinds = {
        "numbers": numbers,
        "no rows": tf.RaggedTensor.from_row_splits(tf.zeros([0], I64), tf.constant([0], I64)),
        "empty rows": tf.RaggedTensor.from_row_splits(tf.zeros([0], I64), tf.constant([0, 0, 0], I64)),
        "rows of rows": tf.ragged.constant([[[1], [2, 3]], [], [[4], [], [5]]], dtype=I64),
        "blocks": tf.RaggedTensor.from_row_splits(tf.constant([[1.5, 2.5], [3.5, 4.5], [5.5, 6.5]]), tf.constant([0, 1, 1, 3], I64)),
        "text": tf.ragged.constant([["a"], ["b", ""], []]),
        "narrow splits": tf.ragged.constant([[1, 2], [3]], dtype=I64, row_splits_dtype=tf.int32),
    }
    for name, t in kinds.items():
        z.add(f"TensorDataset of {name}", lambda: D.from_tensors(t))
        z.add(f"TensorDataset of {name} unbatched", lambda: D.from_tensors(t).unbatch())
        z.add(f"TensorSliceDataset of {name}", lambda: D.from_tensor_slices(t))
        for drop in (False, True):
            z.add(f"BatchDatasetV2 of {name} {drop}", lambda: D.from_tensor_slices(t).batch(2, drop_remainder=drop))
        z.add(f"BatchDatasetV2 of batches of {name}", lambda: D.from_tensors(t).repeat(3).batch(2))
        z.add(f"ShuffleDataset of {name}", lambda: D.from_tensor_slices(t).shuffle(3, seed=5).repeat(2))
        z.add(f"CacheDataset of {name}", lambda: D.from_tensor_slices(t).batch(2).cache().repeat(2))
    z.add("MapDataset to ragged", lambda: D.range(4).map(lambda x: tf.RaggedTensor.from_row_lengths(tf.range(x * 2), [x, 0, x])))
    z.add("MapDataset of ragged", lambda: D.from_tensors(numbers).map(lambda r: (r * 10, r.row_lengths(), tf.reduce_sum(r, axis=1))))
    z.add("FilterDataset of ragged", lambda: D.from_tensor_slices(numbers).filter(lambda r: tf.size(r) > 1).batch(2))
    z.add("ZipDataset of ragged", lambda: D.zip((D.from_tensor_slices(numbers).batch(2), D.range(4))))
    z.add("FlatMapDataset of ragged", lambda: D.from_tensors(numbers).flat_map(lambda r: D.from_tensor_slices(r)).batch(3))
    z.add("WindowDataset of ragged", lambda: D.from_tensor_slices(numbers).window(3, shift=1).flat_map(lambda w: w.batch(3)))
    for name in ("ragged", "failing", "empty", "several"):
        for drop in (False, True):
            z.add(f"dense_to_ragged_batch of {name} {drop}", lambda: z.inputs.all[name].apply(tf.data.experimental.dense_to_ragged_batch(2, drop_remainder=drop)))
    feature = lambda value: tf.io.RaggedFeature(value, row_splits_dtype=tf.int64)
    examples = [example(r=[1, 2], t=[b"x"], a=[7]), example(a=[8]), example(r=[3], t=[b"y", b"z"], a=[9]), example(r=[4, 5, 6], a=[10])]
    features = {"r": feature(I64), "a": tf.io.FixedLenFeature([], I64), "t": feature(STR), "s": tf.io.VarLenFeature(STR)}
    for name, chosen in (("", examples), ("of nothing", []), ("of another type", [example(r=[b"no"], a=[1])]), ("of another sparse type", [example(s=[1], a=[1])]), ("of another dense type", [example(a=[b"no"])]), ("of garbage", [examples[0], b"garbage", examples[2]])):
        for calls in (1, 2):
            z.add(f"ParseExampleDatasetV2 {calls} {name}", lambda: D.from_tensor_slices(tf.constant(chosen, STR)).batch(2).apply(tf.data.experimental.parse_example_dataset(features, num_parallel_calls=calls)))
    narrow = {"r": tf.io.RaggedFeature(I64), "t": tf.io.RaggedFeature(STR)}
    z.add("ParseExampleDatasetV2 of narrow splits", lambda: D.from_tensor_slices(tf.constant(examples, STR)).batch(3).apply(tf.data.experimental.parse_example_dataset(narrow)))
    parts = {"p": tf.io.RaggedFeature(I64, value_key="r", partitions=[tf.io.RaggedFeature.RowLengths("l")]), "u": tf.io.RaggedFeature(I64, value_key="r", partitions=[tf.io.RaggedFeature.UniformRowLength(2)])}
    partitioned = [example(r=[1, 2, 3, 4], l=[1, 3]), example(r=[5, 6], l=[0, 2, 0])]
    z.add("MapDataset of ParseExampleV2", lambda: D.from_tensor_slices(tf.constant(partitioned, STR)).batch(2).map(lambda e: tf.io.parse_example(e, parts)))
    z.add("MapDataset of ParseExampleV2 alone", lambda: D.from_tensor_slices(tf.constant(examples, STR)).map(lambda e: tf.io.parse_single_example(e, features)).batch(3))
    steps = lambda *lists: tf.train.FeatureLists(feature_list={"w": tf.train.FeatureList(feature=[tf.train.Feature(int64_list=tf.train.Int64List(value=v)) for v in lists])})
    sequence = lambda context, *lists: tf.train.SequenceExample(context=tf.train.Example.FromString(example(**context)).features, feature_lists=steps(*lists)).SerializeToString(deterministic=True)
    sequences = [sequence(dict(c=[1, 2]), [1], [2, 3]), sequence({}), sequence(dict(c=[3]), [], [4])]
    both = dict(context_features={"c": feature(I64)}, sequence_features={"w": feature(I64)})
    flat = lambda parsed: (parsed[0]["c"], parsed[1]["w"])
    z.add("MapDataset of ParseSequenceExampleV2", lambda: D.from_tensor_slices(tf.constant(sequences, STR)).batch(2).map(lambda e: flat(tf.io.parse_sequence_example(e, **both))))
    z.add("MapDataset of ParseSequenceExampleV2 alone", lambda: D.from_tensor_slices(tf.constant(sequences, STR)).map(lambda e: flat(tf.io.parse_single_sequence_example(e, **both))).batch(2))
    variant_rows(z)


def variant_rows(z):
    """Ragged tensors to variants and back."""
    def variant(splits, values, batched):
        dtype = I64
        given = [v1.placeholder_with_default(tf.constant(s, dtype), None) for s in splits]
        return ops.RaggedTensorToVariant(rt_nested_splits=given, rt_dense_values=values, batched_input=batched)

    def back(encoded, inner, outer, values=I64, splits=I64):
        made = ops.RaggedTensorFromVariant(encoded_ragged=encoded, input_ragged_rank=inner, output_ragged_rank=outer, Tvalues=values, Tsplits=splits)
        return [*made.output_nested_splits, made.output_dense_values]
    values, blocks = n(1, 2, 3), tf.constant([[1, 2], [3, 4]], I64)
    one, two = [[0, 2, 2, 3]], [[0, 1, 2], [0, 2, 3]]
    for name, splits, inner, outer in (("one axis", one, -1, 1), ("one axis given", one, 1, 1), ("two axes", two, -1, 2), ("too many axes", one, -1, 2), ("falling splits", [[0, 3, 2, 3]], -1, 1), ("long splits", [[0, 2, 9]], -1, 1), ("short splits", [[0, 2]], -1, 1), ("late splits", [[1, 3]], -1, 1), ("no splits", [[]], -1, 1)):
        z.fetch(f"RaggedTensorToVariant whole {name}", lambda: back(variant(splits, values, False), inner, outer))
        z.fetch(f"RaggedTensorToVariant rows {name}", lambda: back(variant(splits, values, True), -1, outer))
    z.fetch("RaggedTensorToVariant of dense values", lambda: back(variant([], blocks, False), -1, 0))
    z.fetch("RaggedTensorToVariant of dense rows", lambda: back(variant([], blocks, True), 0, 1))
    z.fetch("RaggedTensorToVariant of scalars", lambda: back(variant([], values, True), -1, 1))
    z.fetch("RaggedTensorFromVariant of inner rank 1", lambda: back(variant(one, values, True), 1, 2))
    z.fetch("RaggedTensorFromVariant of another dtype", lambda: back(variant(one, values, True), -1, 1, F32))
    z.fetch("RaggedTensorFromVariant of other splits", lambda: back(variant(one, values, False), -1, 1, I64, tf.int32))
    stacked = lambda *parts: tf.stack(parts)
    three, tall = variant([[0, 2, 3]], values, False), variant([[0, 3]], values, False)
    z.fetch("RaggedTensorFromVariant of a stack", lambda: back(stacked(three, tall), -1, 2))
    z.fetch("RaggedTensorFromVariant of a matrix", lambda: back(tf.reshape(stacked(three, tall, tall, three), [2, 2]), -1, 3))
    z.fetch("RaggedTensorFromVariant of other ranks", lambda: back(stacked(three, variant([], values, False)), -1, 2))
    z.fetch("RaggedTensorFromVariant of other blocks", lambda: back(stacked(variant([], blocks, False), variant([], tf.constant([[1, 2, 3]], I64), False)), -1, 1))
    z.fetch("TensorArray of ragged rows", lambda: tf.map_fn(lambda row: tf.reduce_sum(row), tf.ragged.constant([[1, 2], [], [3]], dtype=I64), fn_output_signature=I64))
    z.fetch("TensorArray to ragged rows", lambda: tf.nest.flatten(tf.map_fn(lambda row: row * 2, tf.ragged.constant([[1, 2], [], [3]], dtype=I64), fn_output_signature=tf.RaggedTensorSpec([None], I64, ragged_rank=0)), expand_composites=True))
    weights = tf.constant([1.0, 2.0, 3.0])
    slopes = lambda y, inputs: [tf.convert_to_tensor(slope) for slope in v1.gradients(tf.reduce_sum(y), inputs)]
    for batched in (False, True):
        z.fetch(f"RaggedTensorToVariantGradient {batched}", lambda: slopes(back(variant(one, weights, batched), -1, 1, F32)[-1] ** 3, [weights]))
    filled = tf.constant(0.5)
    ragged = tf.RaggedTensor.from_row_splits(weights, tf.constant([0, 2, 2, 3], I64))
    places = lambda dense: tf.cast(tf.reshape(tf.range(tf.size(dense)), tf.shape(dense)), F32)
    weighed = lambda dense: dense ** 2 * places(dense)
    for shape in (None, [2, 1], [4, 3]):
        z.fetch(f"gradient of RaggedTensorToTensor {shape}", lambda: slopes(weighed(ragged.to_tensor(filled, shape=shape)), [weights, filled]))
    deep = tf.RaggedTensor.from_nested_row_splits(tf.constant([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), [tf.constant([0, 1, 2], I64), tf.constant([0, 2, 3], I64)])
    z.fetch("gradient of RaggedTensorToTensor of blocks", lambda: slopes(weighed(deep.to_tensor()), [deep.flat_values]))
    z.fetch("gradient of RaggedTensorToSparse", lambda: slopes(ragged.to_sparse().values ** 2, [weights]))
    z.fetch("gradient of RaggedGather", lambda: slopes(tf.gather(ragged, [0, 0, 2]).flat_values ** 2, [weights]))
    z.fetch("RaggedRange", lambda: tf.nest.flatten(tf.ragged.range([0, 5, 3], [3, 4, 3]), expand_composites=True))


@folder
def op_iterators(z):
    """Iterators of all kinds, and files that datasets are written to."""
    types = dict(output_types=[I64], output_shapes=[[]])
    source = D.range(5, 9)

    def element(handle, after=()):
        with tf.control_dependencies(after):
            return ops.IteratorGetNext(iterator=handle, **types)[0]

    def begun(handle, d=source):
        return ops.MakeIterator(dataset=var(d), iterator=handle)
    named = lambda name: ops.Iterator(shared_name=name, container="", **types)

    def first(handle):
        return element(handle, [begun(handle)])
    z.fetch("Iterator", lambda: first(named("one")))
    z.fetch("IteratorV2", lambda: first(ops.IteratorV2(shared_name="two", container="", **types)))
    z.fetch("AnonymousIterator", lambda: first(ops.AnonymousIterator(**types)))
    z.fetch("AnonymousIteratorV3", lambda: first(ops.AnonymousIteratorV3(**types)))

    def deleted():
        handle, deleter = ops.AnonymousIteratorV2(**types)
        given = first(handle)
        with tf.control_dependencies([given]):
            gone = ops.DeleteIterator(handle=handle, deleter=deleter)
        with tf.control_dependencies([gone]):
            return tf.identity(given)
    z.fetch("AnonymousIteratorV2 and DeleteIterator", deleted)
    for op in ("IteratorFromStringHandle", "IteratorFromStringHandleV2"):
        def by_handle():
            handle = named("by " + op)
            again = getattr(ops, op)(string_handle=ops.IteratorToStringHandle(resource_handle=handle), **types)
            return element(again, [begun(handle)])
        z.fetch(op, by_handle)

        def of_nothing():
            return element(getattr(ops, op)(string_handle="no handle", **types))
        z.fetch(f"{op} of no handle", of_nothing)

    def moved(d, is_begun=True):
        handle, other = (named(f"{way} {d is source} {is_begun}") for way in ("from", "to"))
        given = element(handle, [begun(handle, d)])
        with tf.control_dependencies([given]):
            state = ops.SerializeIterator(resource_handle=handle)
        with tf.control_dependencies([begun(other, d)] if is_begun else []):
            restored = ops.DeserializeIterator(resource_handle=other, serialized=state)
        return element(other, [restored])
    z.fetch("SerializeIterator and DeserializeIterator", lambda: moved(source))
    z.fetch("SerializeIterator of a shuffle", lambda: moved(source.shuffle(3, seed=4)))
    z.fetch("DeserializeIterator before it begins", lambda: moved(source, False))
    z.fetch("not begun", lambda: element(named("never")))
    z.fetch("begun with another type", lambda: element(named("typed"), [begun(named("typed"), source.map(lambda x: tf.cast(x, F32)))]))

    def written(op, d, compression):
        name = f"{op}{compression}.rec"
        done = getattr(ops, op)(input_dataset=var(d), filename=name, compression_type=compression)
        with tf.control_dependencies([done]):
            records = dataset("TFRecordDataset", tf.TensorSpec([], STR), filenames=tf.constant([name]), compression_type=compression, buffer_size=n(0))
            whole = records.batch(9)
        return ops.DatasetToSingleElement(dataset=var(whole), output_types=[STR], output_shapes=[[None]])
    for op in spellings("DatasetToTFRecord"):
        for compression in ("", "GZIP"):
            z.fetch(f"{op} {compression}", lambda: written(op, D.from_tensor_slices(["a", "", "record"]), compression))
        z.fetch(f"{op} of numbers", lambda: written(op, source, ""))
        z.fetch(f"{op} of nothing", lambda: written(op, D.from_tensor_slices(tf.constant([], STR)), ""))


@folder
def op_arguments(z):
    """Arguments that no dataset has, and how TensorFlow refuses them."""
    d = D.range(5)
    one, vectors = SCALAR, d.map(lambda x: tf.fill([x % 3], x))
    inner = function(lambda x: var(D.range(2)), SCALAR)
    f = function(lambda x: x + 1, SCALAR)
    seeds = dict(seed=n(7), seed2=n(3))
    rows = []

    def row(op, spec, values, argument, **arguments):
        for value in values:
            given = {**arguments, argument: tf.constant(value, I64)}
            rows.append((f"{op} {argument} {value}", lambda given=given: dataset(op, spec, **given)))
    row("BatchDataset", VECTOR, (0, -1), "batch_size", input_dataset=var(d))
    row("BatchDatasetV2", VECTOR, (0, -1), "batch_size", input_dataset=var(d), drop_remainder=False)
    row("ParallelBatchDataset", VECTOR, (0, -1), "batch_size", input_dataset=var(d), num_parallel_calls=n(2), drop_remainder=False)
    row("PaddedBatchDatasetV2", tf.TensorSpec([None, None], I64), (0, -1), "batch_size", input_dataset=var(vectors), padded_shapes=[tf.constant([-1], I64)], padding_values=[n(0)], drop_remainder=False)
    for op in spellings("MapAndBatchDataset"):
        row(op, VECTOR, (0, -1), "batch_size", input_dataset=var(d), other_arguments=[], num_parallel_calls=n(1), drop_remainder=False, f=f)
        row(op, VECTOR, (0, -2), "num_parallel_calls", input_dataset=var(d), other_arguments=[], batch_size=n(2), drop_remainder=False, f=f)
    row("ParallelMapDatasetV2", one, (0, -2), "num_parallel_calls", input_dataset=var(d), other_arguments=[], f=f)
    row("ShuffleDataset", one, (0, -1, -3), "buffer_size", input_dataset=var(d), **seeds)
    row("ShuffleDatasetV3", one, (0, -1, -3), "buffer_size", input_dataset=var(d), seed_generator=ops.DummySeedGenerator(), **seeds)
    row("ShuffleAndRepeatDataset", one, (0, -1, -2), "buffer_size", input_dataset=var(d), count=n(1), **seeds)
    row("ShuffleAndRepeatDataset", one, (0, -2), "count", input_dataset=var(d), buffer_size=n(2), **seeds)
    row("PrefetchDataset", one, (-2, -100), "buffer_size", input_dataset=var(d))
    row("ShardDataset", one, (0, -1), "num_shards", input_dataset=var(d), index=n(0))
    row("ShardDataset", one, (2, -1), "index", input_dataset=var(d), num_shards=n(2))
    row("RangeDataset", one, (0,), "step", start=n(0), stop=n(3))
    window = tf.TensorSpec([], tf.variant)
    for argument in ("size", "shift", "stride"):
        others = {name: n(2) for name in ("size", "shift", "stride") if name != argument}
        row("WindowDataset", window, (0, -1), argument, input_dataset=var(d), drop_remainder=False, **others)
    for op in spellings("SlidingWindowDataset"):
        for argument in ("window_size", "window_shift", "window_stride"):
            others = {name: n(2) for name in ("window_size", "window_shift", "window_stride") if name != argument}
            row(op, VECTOR, (0, -1), argument, input_dataset=var(d), **others)
        row("DenseToSparseBatchDataset", tf.TensorSpec([None, None], tf.variant), (0, -1), "batch_size", input_dataset=var(vectors), row_shape=tf.constant([3], I64)) if op == "SlidingWindowDataset" else None
    turns = dict(input_dataset=var(d), other_arguments=[], f=inner)
    for op, more in (("InterleaveDataset", {}), ("ParallelInterleaveDatasetV2", dict(num_parallel_calls=n(1))), ("ParallelInterleaveDatasetV4", dict(num_parallel_calls=n(1), buffer_output_elements=n(-1), prefetch_input_elements=n(-1))), ("LegacyParallelInterleaveDatasetV2", dict(buffer_output_elements=n(2), prefetch_input_elements=n(2)))):
        row(op, one, (0, -2), "cycle_length", block_length=n(1), **turns, **more)
        row(op, one, (0, -1), "block_length", cycle_length=n(2), **turns, **more)
    row("ParallelInterleaveDatasetV2", one, (0, -2, 3), "num_parallel_calls", cycle_length=n(2), block_length=n(1), **turns)
    row("ParallelInterleaveDatasetV4", one, (0, -2), "buffer_output_elements", cycle_length=n(2), block_length=n(1), num_parallel_calls=n(1), prefetch_input_elements=n(0), **turns)
    row("ParallelInterleaveDatasetV4", one, (-2,), "prefetch_input_elements", cycle_length=n(2), block_length=n(1), num_parallel_calls=n(1), buffer_output_elements=n(1), **turns)
    for op, more in (("ParallelInterleaveDataset", dict(sloppy=False)), ("LegacyParallelInterleaveDatasetV2", {})):
        row(op, one, (0, -1, -2), "buffer_output_elements", cycle_length=n(2), block_length=n(1), prefetch_input_elements=n(1), **turns, **more)
        row(op, one, (-1, -2), "prefetch_input_elements", cycle_length=n(2), block_length=n(1), buffer_output_elements=n(1), **turns, **more)
    for op in spellings("PrivateThreadPoolDataset"):
        row(op, one, (-1,), "num_threads", input_dataset=var(d))
    for op in spellings("MaxIntraOpParallelismDataset"):
        row(op, one, (-1, 0), "max_intra_op_parallelism", input_dataset=var(d))
    for op in spellings("AutoShardDataset"):
        row(op, one, (0, -1), "num_workers", input_dataset=var(d), index=n(0))
        row(op, one, (2, -1), "index", input_dataset=var(d), num_workers=n(2))
    for op in spellings("RebatchDataset"):
        row(op, VECTOR, (0, -1), "num_replicas", input_dataset=var(d.batch(2)))
    text = tf.TensorSpec([], STR)
    files = tf.constant(["data/none"])
    for op, more in (("FixedLengthRecordDataset", {}), ("FixedLengthRecordDatasetV2", dict(compression_type=""))):
        sizes = dict(filenames=files, buffer_size=n(0), **more)
        row(op, text, (0, -1), "record_bytes", header_bytes=n(0), footer_bytes=n(0), **sizes)
        row(op, text, (-1,), "header_bytes", record_bytes=n(1), footer_bytes=n(0), **sizes)
        row(op, text, (-1,), "footer_bytes", record_bytes=n(1), header_bytes=n(0), **sizes)
        row(op, text, (-1,), "buffer_size", record_bytes=n(1), header_bytes=n(0), footer_bytes=n(0), filenames=files, **more)
    csv = dict(filenames=files, compression_type="", header=False, field_delim=",", use_quote_delim=True, na_value="", select_cols=tf.constant([], I64), record_defaults=[n(0)])
    row("CSVDataset", one, (0, -1), "buffer_size", **csv)
    row("TFRecordDataset", text, (-2,), "buffer_size", filenames=files, compression_type="")
    row("TextLineDataset", text, (-2,), "buffer_size", filenames=files, compression_type="")
    # TensorFlow reads records of an unknown compression as they are.
    for op in ("TextLineDataset",):
        rows.append((f"{op} compression", lambda op=op: dataset(op, text, filenames=files, compression_type="ZIP", buffer_size=n(0))))
    rows.append(("CSVDataset select_cols", lambda: dataset("CSVDataset", one, filenames=files, compression_type="", buffer_size=n(100), header=False, field_delim=",", use_quote_delim=True, na_value="", select_cols=n(2, 0), record_defaults=[n(0)])))
    rows.append(("TensorSliceDataset", lambda: dataset("TensorSliceDataset", (one, one), components=[tf.constant([1, 2], I64), v1.placeholder_with_default(tf.constant([1, 2, 3], I64), [None])])))
    for name, build in rows:
        try:
            z.add(name, build, limit=2)
        except ValueError as refused:
            print(f"  {name}: refused while the graph is built: {str(refused)[:90]}")


# ---- recording -------------------------------------------------------------

def plain(value):
    array = np.asarray(value)

    def one(item):
        if isinstance(item, bytes):
            printable = all(32 <= byte < 127 for byte in item)
            return item.decode() if printable else {"hex": item.hex()}
        if isinstance(item, bool):
            return item
        if isinstance(item, complex):
            return [item.real, item.imag]
        return item

    def walk(items):
        return [walk(item) for item in items] if isinstance(items, list) else one(items)
    values = walk(array.tolist())
    return {"shape": list(array.shape), "values": values} if array.ndim else values


def error(failed):
    """The code and the message without the names of nodes."""
    text = failed.message
    inside = re.search(r"Node: '[^']*'\n(.*)", text, re.S)
    text = inside.group(1) if inside else text
    text = re.sub(r"\n\t? *\[\[.*", "", text, flags=re.S).split("\nOriginal stack")[0].split("\nErrors may")[0]
    text = text.split("before restorin")[0].replace("Failed to restore dataset iterator from checkpoint: ", "")
    text = text.split("  If you are using tf.map_fn")[0].split(" has values Tensor:")[0]
    # Elements of a batch arrive in any order.
    text = re.sub(r" Shapes are: \[tensor\]: .*", "", text)
    text = re.sub(r"Error in user-defined function passed to .*? transformation with iterator: \S+: ", "", text)
    names = {code: name for name, code in tf.errors.__dict__.items() if isinstance(code, int)}
    return {"code": failed.error_code, "name": names[failed.error_code], "text": text.replace("Graph execution error:", "").strip()[:200]}


def attempt(run):
    try:
        return run(), None
    except tf.errors.OpError as failed:
        return None, error(failed)


def recorded(session, row, choice):
    """The steps of one row: to its end, and once more."""
    initializer, outs = row["choices"][choice]
    steps = []
    for _ in range(row["rounds"]):
        if initializer is not None:
            _, failed = attempt(lambda: session.run(initializer))
            steps.append({"run": initializer.name, **({"error": failed} if failed else {})})
        ends = 0
        for _ in range(row["limit"]):
            values, failed = attempt(lambda: session.run(outs))
            step = {"next": "error", "error": failed} if failed else {"next": [plain(value) for value in values]}
            steps.append(step)
            ends += bool(failed) and failed["code"] == 11
            if ends == 2:
                break
    return steps


def put_compressed(name, data):
    with open(name + ".gz", "wb") as file:
        file.write(gzip.compress(data, mtime=0))


def make(name):
    target = os.path.join(HERE, name)
    shutil.rmtree(target, ignore_errors=True)
    os.makedirs(target)
    os.chdir(target)
    with tf.Graph().as_default() as graph:
        v1.set_random_seed(None)
        z = Sheet()
        FOLDERS[name](z)
        iterators = []
        # No row uses what another one leaves in the session.
        config = v1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=8)
        session = v1.Session(graph=graph, config=config)
        for row in z.iterators:
            steps = recorded(session, row, 0)
            chosen = 0
            # Releases that cannot write an op type into the graph that they rewrite run it without rewriting.
            if len(row["choices"]) > 1 and steps[0].get("error", {}).get("code") in (12, 13):
                steps, chosen = recorded(session, row, 1), 1
            if steps[0].get("error", {}).get("code") in (3, 12, 13) and "kernel" in steps[0]["error"]["text"]:
                print(f"  {row['name']}: TensorFlow cannot run it: {steps[0]['error']['text'][:90]}")
                continue
            row["chosen"] = chosen
            outs = row["choices"][chosen][1]
            kind = "none" if row["choices"][chosen][0] is None else "initializable"
            iterators.append({"name": row["name"], "kind": kind, "outputs": [{"tensor": out.name} for out in outs], "sessions": [steps]})
        kept = {row["name"] for row in iterators}
        wanted = [tensor.op.name for row in z.iterators if row["name"] in kept for tensor in row["choices"][row["chosen"]][1]]
        wanted += [row["choices"][row["chosen"]][0].name for row in z.iterators if row["name"] in kept and row["choices"][row["chosen"]][0] is not None]
        reduced = v1.graph_util.extract_sub_graph(graph.as_graph_def(), sorted(set(wanted)))
        for node in reduced.node:
            node.ClearField("experimental_debug_info")
            for key in [key for key in node.attr if key == "_class" or key == "metadata"]:
                del node.attr[key]
    for left in os.listdir():
        if left.endswith(".rec"):
            os.remove(left)
    used, pending = set(), [a.func.name for node in reduced.node for a in node.attr.values() if a.HasField("func")]
    by_name = {f.signature.name: f for f in reduced.library.function}
    while pending:
        current = pending.pop()
        if current in used or current not in by_name:
            continue
        used.add(current)
        pending += [a.func.name for node in by_name[current].node_def for a in node.attr.values() if a.HasField("func")]
    for function_def in [f for f in reduced.library.function if f.signature.name not in used]:
        reduced.library.function.remove(function_def)
    meta = tf.compat.v1.MetaGraphDef(graph_def=reduced)
    meta.meta_info_def.stripped_default_attrs = False
    put_compressed("pipeline.meta", meta.SerializeToString(deterministic=True))
    expected = {
        "note": FOLDERS[name].__doc__,
        "table_initializers": [],
        "ops": dict(Counter(node.op for node in reduced.node)),
        "function_ops": dict(Counter(node.op for f in reduced.library.function for node in f.node_def)),
        "iterators": iterators,
    }
    put_compressed("expected.json", json.dumps(expected, separators=(",", ":")).encode())
    sizes = [os.path.getsize(part + ".gz") for part in ("pipeline.meta", "expected.json")]
    print(f"{name}: {len(iterators)} rows, {sizes} bytes")


if __name__ == "__main__":
    for name in sys.argv[1:] or sorted(FOLDERS):
        make(name)
    # Threads of iterators that were left in the middle may keep the process.
    sys.stdout.flush()
    os._exit(0)
