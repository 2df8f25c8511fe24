"""Compares what the Rust crate made with what TensorFlow makes and reads.

    check.py REQUEST.json

The request holds summaries with the inputs they were made of, stored tensors, a file of records, and a
directory of event files.  Prints what was compared; exit status 1 if anything differs.
TensorBoard's EventAccumulator takes part if it is installed.
"""

import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import numpy as np
import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, struct_pb2
from tensorflow.core.framework import tensor_pb2
from tensorflow.core.util import event_pb2

v1 = tf.compat.v1
differences = []
compared = {}


def compare(what, ours, theirs):
    kind = what.split(" ")[0]
    compared[kind] = compared.get(kind, 0) + 1
    if ours != theirs:
        differences.append("%s: ours %.300r, theirs %.300r" % (what, ours, theirs))


def array(row):
    dtype = tf.as_dtype(row["dtype"])
    return np.frombuffer(bytes.fromhex(row["data"]), dtype.as_numpy_dtype).reshape(row["shape"])


def made_by_tensorflow(case, values):
    tag = case["tag"]
    if case["op"] == "scalar":
        return tf.raw_ops.ScalarSummary(tags=tag, values=values)
    if case["op"] == "histogram":
        return tf.raw_ops.HistogramSummary(tag=tag, values=values)
    if case["op"] == "image":
        return tf.raw_ops.ImageSummary(tag=tag, tensor=values, max_images=case["max"])
    return tf.raw_ops.AudioSummaryV2(
        tag=tag, tensor=values, sample_rate=22050.5, max_outputs=case["max"])


def without_pictures(blob):
    """The summary with the pixels instead of each PNG file: compressors differ."""
    message = v1.Summary.FromString(blob)
    pixels = []
    for value in message.value:
        pixels.append(tf.io.decode_png(value.image.encoded_image_string).numpy().tobytes())
        value.image.encoded_image_string = b""
    return message.SerializeToString(deterministic=True), pixels


def check_cases(cases):
    for number, case in enumerate(cases):
        ours = bytes.fromhex(case["summary"])
        with tf.Graph().as_default(), v1.Session() as session:  # ImageSummary is for graphs only
            theirs = session.run(made_by_tensorflow(case, tf.constant(array(case))))
        if case["op"] == "image":
            ours, theirs = without_pictures(ours), without_pictures(theirs)
        compare("%s %d %s" % (case["op"], number, case["dtype"]), ours, theirs)


def check_tensors(rows):
    for row in rows:
        message = tensor_pb2.TensorProto.FromString(bytes.fromhex(row["stored"]))
        found = tf.make_ndarray(message)
        name = "tensor " + row["dtype"]
        compare(name, list(found.shape), row["shape"])
        if row["dtype"] == "string":
            compare(name, [item.hex() for item in found.reshape(-1)], row["data"])
        else:
            compare(name, found.tobytes().hex(), row["data"])


def check_records(path, expected):
    compare("records", [r.hex() for r in v1.io.tf_record_iterator(path)], expected)


def check_events(run):
    """Every event is read, and is what TensorFlow would have serialised."""
    events = []
    for name in sorted(os.listdir(run)):
        of_file = list(v1.io.tf_record_iterator(os.path.join(run, name)))
        first = event_pb2.Event.FromString(of_file[0])
        compare("event version", first.file_version, "brain.Event:2")
        for record in of_file:
            event = event_pb2.Event.FromString(record)
            compare("event bytes", record, event.SerializeToString(deterministic=True))
            events.append(event)
    return events


def hparams_type():
    """The plug-in's message, built here since only TensorBoard brings it along."""
    file = descriptor_pb2.FileDescriptorProto(
        name="hparams.proto", package="check", syntax="proto3",
        dependency=[struct_pb2.DESCRIPTOR.name])
    start = file.message_type.add(name="SessionStartInfo")
    entry = start.nested_type.add(name="HparamsEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=9, label=1)
    entry.field.add(name="value", number=2, type=11, label=1, type_name=".google.protobuf.Value")
    start.field.add(name="hparams", number=1, type=11, label=3,
                    type_name=".check.SessionStartInfo.HparamsEntry")
    start.field.add(name="group_name", number=4, type=9, label=1)
    start.field.add(name="start_time_secs", number=5, type=1, label=1)
    data = file.message_type.add(name="HParamsPluginData")
    data.field.add(name="session_start_info", number=3, type=11, label=1,
                   type_name=".check.SessionStartInfo")
    pool = descriptor_pool.Default()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("check.HParamsPluginData"))


def check_run(events):
    kinds = [event.WhichOneof("what") for event in events]
    for kind, count in (("file_version", 2), ("graph_def", 1), ("meta_graph_def", 1),
                        ("session_log", 5), ("tagged_run_metadata", 1), ("summary", 31)):
        compare("kinds " + kind, kinds.count(kind), count)
    graph = next(e.graph_def for e in events if e.graph_def)
    compare("graph", v1.GraphDef.FromString(graph).SerializeToString(deterministic=True) != b"", True)
    values = [value for event in events for value in event.summary.value]
    described = [value.tag for value in values if value.HasField("metadata")]
    compare("metadata", described, ["_hparams_/session_start_info", "note"])
    content = values[0].metadata.plugin_data.content
    start = hparams_type().FromString(content).session_start_info
    found = {key: value.number_value or value.string_value or value.bool_value
             for key, value in start.hparams.items()}
    compare("hparams", (found, start.group_name, start.start_time_secs),
            ({"rate": 0.125, "optimizer": "adam", "decay": True}, "group", 1.5e9))
    for value in values:
        if value.HasField("audio"):
            sound, rate = tf.audio.decode_wav(value.audio.encoded_audio_string)
            compare("wav", (list(sound.shape), int(rate), float(sound[0, 0])), ([100, 1], 8000, 0.5))


def check_tensorboard(run, tags):
    try:
        from tensorboard.backend.event_processing import event_accumulator, plugin_event_accumulator
    except ImportError:
        return False
    seen = event_accumulator.EventAccumulator(
        run, size_guidance={kind: 0 for kind in event_accumulator.DEFAULT_SIZE_GUIDANCE})
    seen.Reload()
    names = seen.Tags()
    for kind, key, get in (("Scalar", "scalars", seen.Scalars), ("Histogram", "histograms", seen.Histograms),
                           ("Image", "images", seen.Images), ("Audio", "audio", seen.Audio)):
        ours = {tag["tag"]: tag["count"] for tag in tags if tag["kind"] == kind}
        compare("tensorboard " + kind, ours, {name: len(get(name)) for name in names[key]})
    # The reader above leaves tensors alone when a session starts again. TensorBoard's server has another one, which takes
    # everything for tensors and drops what was overwritten, of all kinds: what it keeps is what people see.
    shown = plugin_event_accumulator.EventAccumulator(run, size_guidance={plugin_event_accumulator.TENSORS: 0})
    shown.Reload()
    for tag in tags:
        compare("tensorboard's server " + tag["tag"], tag["count"], len(shown.Tensors(tag["tag"])))
    compare("tensorboard graph", (names["graph"], names["meta_graph"], names["run_metadata"]),
            (True, True, ["step_9"]))
    return True


def main():
    with open(sys.argv[1]) as file:
        request = json.load(file)
    check_cases(request["cases"])
    check_tensors(request["tensors"])
    check_records(request["records_file"], request["records"])
    check_run(check_events(request["run"]))
    tensorboard = check_tensorboard(request["run"], request["tags"])
    print("TensorFlow %s, TensorBoard %s" % (tf.__version__, "too" if tensorboard else "not installed"))
    print("compared:", json.dumps(compared))
    for difference in differences:
        print("DIFFERS:", difference)
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
