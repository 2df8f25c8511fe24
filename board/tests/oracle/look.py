"""Prints what TensorBoard sees in each run below a folder: tags, scalars, images and texts, without sampling.

With `write` before the folder, first writes runs with TensorFlow 2 into it. With `kinds`, writes a run of values whose style
and plug-ins contradict or are missing, and prints by which plug-in TensorBoard's server shows each tag.
"""

import base64
import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

from tensorboard.backend.event_processing import event_accumulator
from tensorboard.util import tensor_util


def write(folder):
    import tensorflow as tf

    v2 = tf.summary.create_file_writer(os.path.join(folder, "v2"))
    with v2.as_default():
        for step in range(30):
            tf.summary.scalar("loss", 1.0 / (step + 1), step=step)
            tf.summary.scalar("wide", tf.constant(1 / 3, tf.float64) * step, step=step)
        tf.summary.histogram("weights", tf.random.stateless_normal([500], [1, 2]), step=3)
        pixels = tf.reshape(tf.cast(tf.range(2 * 8 * 8 * 3) % 255, tf.uint8), [2, 8, 8, 3])
        tf.summary.image("pictures", pixels, step=1, max_outputs=2)
        tf.summary.audio("tone", tf.zeros([1, 100, 1]), 8000, step=2)
        tf.summary.text("note", "a *note*", step=4)
    v2.close()
    v1 = tf.compat.v1
    with tf.Graph().as_default():
        writer = v1.summary.FileWriter(os.path.join(folder, "v1"))
        for step in range(10, 40):
            value = v1.Summary.Value(tag="loss", simple_value=float(step))
            writer.add_summary(v1.Summary(value=[value]), step)
        start = v1.SessionLog(status=v1.SessionLog.START)
        writer.add_session_log(start, 25)
        for step in range(25, 30):
            value = v1.Summary.Value(tag="loss", simple_value=float(-step))
            writer.add_summary(v1.Summary(value=[value]), step)
        writer.close()


def numbers(path):
    accumulator = event_accumulator.EventAccumulator(path, size_guidance={key: 0 for key in event_accumulator.DEFAULT_SIZE_GUIDANCE})
    accumulator.Reload()
    tags = accumulator.Tags()
    scalars = {tag: [[e.step, e.value] for e in accumulator.Scalars(tag)] for tag in tags["scalars"]}
    images = {tag: [base64.b64encode(e.encoded_image_string).decode() for e in accumulator.Images(tag)] for tag in tags["images"]}
    texts = {}
    plugins = {}
    tensors = tags["tensors"]
    for tag in tensors:
        plugin = accumulator.SummaryMetadata(tag).plugin_data.plugin_name
        plugins[tag] = plugin
        events = accumulator.Tensors(tag)
        arrays = [tensor_util.make_ndarray(e.tensor_proto) for e in events]
        if plugin == "scalars":
            scalars[tag] = [[e.step, float(a)] for e, a in zip(events, arrays)]
        elif plugin == "images":
            images[tag] = [base64.b64encode(item).decode() for a in arrays for item in a[2:]]
        elif plugin == "text":
            texts[tag] = [a.reshape(-1)[0].decode() for a in arrays]
    kinds = {"histogram": list(tags["histograms"]), "audio": list(tags["audio"])}
    kinds["histogram"] += [tag for tag in tensors if plugins[tag] == "histograms"]
    kinds["audio"] += [tag for tag in tensors if plugins[tag] == "audio"]
    return {"scalars": scalars, "images": images, "texts": texts, "kinds": kinds}


def values_of_all_kinds():
    """Values of each tag whose kind is not obvious, in order."""
    import numpy
    from tensorboard.compat.proto import summary_pb2

    def tensor(data, plugin=None, data_class=0):
        value = summary_pb2.Summary.Value(tensor=tensor_util.make_tensor_proto(data))
        if plugin is not None:
            value.metadata.plugin_data.plugin_name = plugin
            value.metadata.data_class = data_class
        return value

    def styled(plugin=None, **data):
        value = summary_pb2.Summary.Value(**data)
        if plugin is not None:
            value.metadata.plugin_data.plugin_name = plugin
        return value

    number = numpy.float32(1.5)
    histogram = summary_pb2.HistogramProto(min=0, max=2, num=2, sum=2, sum_squares=2, bucket_limit=[1, 2], bucket=[1, 1])
    image = summary_pb2.Summary.Image(height=1, width=1, colorspace=1, encoded_image_string=b"PNG")
    audio = summary_pb2.Summary.Audio(sample_rate=8000, num_channels=1, length_frames=1, encoded_audio_string=b"RIFF")
    return {
        "number of text": [styled("text", simple_value=1.0)] * 2,
        "number of histograms": [styled("histograms", simple_value=1.0)] * 2,
        "number of nothing": [styled("", simple_value=1.0)] * 2,
        "number, then tensor": [styled(simple_value=1.0), tensor(number)],
        "histogram of scalars": [styled("scalars", histo=histogram)] * 2,
        "image of text": [styled("text", image=image)] * 2,
        "audio of scalars": [styled("scalars", audio=audio)] * 2,
        "tensor": [tensor(number)] * 2,
        "text tensor": [tensor("text")] * 2,
        "tensor of scalars": [tensor(number, "scalars"), tensor(number)],
        "long of scalars": [tensor(numpy.int64(7), "scalars"), tensor(numpy.int64(8))],
        "bool of scalars": [tensor(numpy.bool_(True), "scalars")],
        "half of scalars": [tensor(numpy.float16(1.5), "scalars")],
        "vector of one of scalars": [tensor(numpy.float32([1.5]), "scalars")],
        "tensor of scalars by class": [tensor(number, "", 1)] * 2,
        "tensor of an unknown plugin": [tensor(number, "mine", 1)] * 2,
        "tensor of text": [tensor("text", "text"), tensor("more")],
        "tensor of histograms": [tensor(numpy.float32([[0, 1, 2]]), "histograms")] * 2,
    }


def kinds(folder):
    from tensorboard import context
    from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
    from tensorboard.compat.proto import event_pb2
    from tensorboard.summary.writer.record_writer import RecordWriter

    run = os.path.join(folder, "kinds")
    os.makedirs(run)
    with open(os.path.join(run, "events.out.tfevents.1.host"), "wb") as file:
        writer = RecordWriter(file)
        writer.write(event_pb2.Event(file_version="brain.Event:2").SerializeToString())
        for tag, values in values_of_all_kinds().items():
            for step, value in enumerate(values):
                event = event_pb2.Event(wall_time=step, step=step)
                event.summary.value.add().CopyFrom(value)
                event.summary.value[0].tag = tag
                writer.write(event.SerializeToString())
    runs = plugin_event_multiplexer.EventMultiplexer()
    runs.AddRunsFromDirectory(folder)
    runs.Reload()
    provider = data_provider.MultiplexerDataProvider(runs, folder)
    shown = {tag: None for tag in values_of_all_kinds()}
    for plugin, listed in [
        ("scalars", provider.list_scalars), ("histograms", provider.list_tensors), ("text", provider.list_tensors),
        ("images", provider.list_blob_sequences), ("audio", provider.list_blob_sequences),
    ]:
        for tag in listed(context.RequestContext(), experiment_id="", plugin_name=plugin).get("kinds", {}):
            shown[tag] = plugin
    return shown


def main():
    if sys.argv[1] == "kinds":
        return json.dump(kinds(sys.argv[2]), sys.stdout)
    if sys.argv[1] == "write":
        write(sys.argv[2])
    folder = sys.argv[-1]
    seen = {}
    for path, _, files in os.walk(folder):
        if any("tfevents" in name for name in files):
            seen[os.path.relpath(path, folder)] = numbers(path)
    json.dump(seen, sys.stdout)


main()
