"""Prints what TensorBoard sees in each run below a folder: tags, scalars, images and texts, without sampling.

With `write` before the folder, first writes runs with TensorFlow 2 and, where it is installed, with TensorBoard's own
writers into it.
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


def main():
    if sys.argv[1] == "write":
        write(sys.argv[2])
    folder = sys.argv[-1]
    seen = {}
    for path, _, files in os.walk(folder):
        if any("tfevents" in name for name in files):
            seen[os.path.relpath(path, folder)] = numbers(path)
    json.dump(seen, sys.stdout)


main()
