"""Prints what TensorBoard sees in each run below a folder: tags, scalars, images and texts, without sampling.

With `write` before the folder, first writes runs into it, with TensorFlow and as torch and tensorboardX write them. With `kinds`, writes a run of values whose style
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

    torch(folder)
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


def torch(folder):
    """Writes what torch.utils.tensorboard and tensorboardX write: the same messages, by TensorBoard's classes."""
    import numpy
    from google.protobuf import struct_pb2
    from tensorboard.compat.proto import attr_value_pb2, config_pb2, event_pb2, graph_pb2, node_def_pb2, summary_pb2, tensor_pb2
    from tensorboard.compat.proto import tensor_shape_pb2, versions_pb2
    from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2
    from tensorboard.plugins.text import plugin_data_pb2 as text_data_pb2
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    Value = summary_pb2.Summary.Value

    def writer(name):
        return EventFileWriter(os.path.join(folder, name))

    def add(writer, step, *values):
        writer.add_event(event_pb2.Event(wall_time=1.6e9 + step, step=step, summary=summary_pb2.Summary(value=values)))

    def described(plugin, content=b""):
        data = summary_pb2.SummaryMetadata.PluginData(plugin_name=plugin, content=content)
        return summary_pb2.SummaryMetadata(plugin_data=data)

    main = writer("torch")
    for step in range(20):
        add(main, step, Value(tag="Loss/train", simple_value=1.0 / (step + 1)))
        # With new_style: the metadata again and again, typed values, no shape.
        float_val = tensor_pb2.TensorProto(float_val=[step * 0.5], dtype="DT_FLOAT")
        add(main, step, Value(tag="new style", tensor=float_val, metadata=described("scalars")))
        double_val = tensor_pb2.TensorProto(double_val=[step / 3], dtype="DT_DOUBLE")
        add(main, step, Value(tag="double", tensor=double_val, metadata=described("scalars")))
    # It puts empty buckets before and behind.
    histogram = summary_pb2.HistogramProto(min=-1, max=1, num=30, sum=0, sum_squares=20, bucket_limit=[-1.1, -1, 0, 1, 1.1], bucket=[0, 0, 14, 16, 0])
    add(main, 3, Value(tag="conv1.weight", histo=histogram))
    picture = summary_pb2.Summary.Image(height=2, width=2, colorspace=3, encoded_image_string=b"\x89PNG\r\n\x1a\npicture")
    add(main, 4, Value(tag="grid", image=picture))
    sound = summary_pb2.Summary.Audio(sample_rate=8000, num_channels=1, length_frames=2, encoded_audio_string=b"RIFF....WAVEdata", content_type="audio/wav")
    add(main, 5, Value(tag="sound", audio=sound))
    shape = tensor_shape_pb2.TensorShapeProto(dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=1)])
    text = tensor_pb2.TensorProto(dtype="DT_STRING", string_val=[b"a *note*"], tensor_shape=shape)
    content = text_data_pb2.TextPluginData(version=0).SerializeToString()
    add(main, 6, Value(tag="note/text_summary", metadata=described("text", content), tensor=text))
    curve = tensor_util.make_tensor_proto(numpy.zeros([6, 4], numpy.float32))
    add(main, 7, Value(tag="pr", metadata=described("pr_curves"), tensor=curve))
    node = node_def_pb2.NodeDef(name="Net/Conv2d[conv1]/input.1", op="aten::_convolution", input=["input/x", "Net/Conv2d[conv1]/weight"])
    output_shapes = attr_value_pb2.AttrValue.ListValue(shape=[tensor_shape_pb2.TensorShapeProto(dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=n) for n in (1, 8)])])
    node.attr["_output_shapes"].list.CopyFrom(output_shapes)
    nodes = [node_def_pb2.NodeDef(name="input/x", op="IO Node"), node_def_pb2.NodeDef(name="Net/Conv2d[conv1]/weight", op="prim::GetAttr"), node]
    graph = graph_pb2.GraphDef(node=nodes, versions=versions_pb2.VersionDef(producer=22))
    main.add_event(event_pb2.Event(graph_def=graph.SerializeToString()))
    recorded = event_pb2.TaggedRunMetadata(tag="step1", run_metadata=config_pb2.RunMetadata().SerializeToString())
    main.add_event(event_pb2.Event(tagged_run_metadata=recorded))
    main.close()
    # add_hparams makes a run of its own, of values without data.
    trial = writer("torch/1600000000.5")
    info = api_pb2.HParamInfo(name="lr", type=api_pb2.DATA_TYPE_FLOAT64)
    experiment = plugin_data_pb2.HParamsPluginData(experiment=api_pb2.Experiment(hparam_infos=[info]))
    start = plugin_data_pb2.SessionStartInfo()
    start.hparams["lr"].CopyFrom(struct_pb2.Value(number_value=0.125))
    start.hparams["optimizer"].CopyFrom(struct_pb2.Value(string_value="adam"))
    end = plugin_data_pb2.SessionEndInfo(status=api_pb2.STATUS_SUCCESS)
    for tag, data in (
        ("_hparams_/experiment", experiment),
        ("_hparams_/session_start_info", plugin_data_pb2.HParamsPluginData(session_start_info=start)),
        ("_hparams_/session_end_info", plugin_data_pb2.HParamsPluginData(session_end_info=end)),
    ):
        add(trial, 0, Value(tag=tag, metadata=described("hparams", data.SerializeToString())))
    add(trial, 0, Value(tag="hparam/accuracy", simple_value=0.75))
    trial.close()


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
