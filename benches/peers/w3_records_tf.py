"""W3, its second half, in TensorFlow: from a TFRecord file to shuffled batches of parsed examples.

usage: w3_records_tf.py [queues | data]
The rows are those of ours: parsed examples in the shuffling queue, read one by one or 128 at a time, or records in it that
the step parses; and tf.data, with one step per batch as well.
"""
import gzip, os, shutil, sys, tempfile, time
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import numpy as np
import common as C
import tensorflow as tf
tf1 = tf.compat.v1
tf1.disable_v2_behavior()
tf1.logging.set_verbosity(tf1.logging.ERROR)
RECORDS, BATCH, PIXELS = 60000, 128, 784
ROUNDS = int(os.environ.get("ROUNDS", "5"))
THREADS = int(os.environ.get("THREADS", "0"))
CONFIG = tf1.ConfigProto(intra_op_parallelism_threads=THREADS, inter_op_parallelism_threads=THREADS)
SPEC = {"image": tf1.FixedLenFeature([], tf.string), "label": tf1.FixedLenFeature([], tf.int64)}


def write(path):
    images = (C.splitmix(5, RECORDS * PIXELS) >> np.uint64(56)).astype(np.uint8).reshape(RECORDS, PIXELS)
    labels = C.labels(6, RECORDS, 10)
    start = time.perf_counter()
    with tf.io.TFRecordWriter(path) as writer:
        for image, label in zip(images, labels):
            writer.write(tf.train.Example(features=tf.train.Features(feature={
                "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image.tobytes()])),
                "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[int(label)]))})).SerializeToString())
    C.emit("w3/tf/tfrecord_write", "records_per_s", "1/s", [RECORDS / (time.perf_counter() - start)])


def decoded(parsed, shape):
    image = tf.cast(tf.reshape(tf1.decode_raw(parsed["image"], tf.uint8), shape), tf.float32) / 255.0
    return image, tf.cast(parsed["label"], tf.int32)


def queues(path, row):
    files = tf1.train.string_input_producer([path], shuffle=False)
    reader = tf1.TFRecordReader()
    if row == "shuffle_batch/1thread":
        element = decoded(tf1.parse_single_example(reader.read(files)[1], SPEC), [PIXELS])
        return tf1.train.shuffle_batch(element, BATCH, 5000, 2000)
    records = reader.read_up_to(files, BATCH)[1]
    if row == "shuffle_batch/read_up_to/1thread":
        elements = decoded(tf1.parse_example(records, SPEC), [-1, PIXELS])
        return tf1.train.shuffle_batch(elements, BATCH, 5000, 2000, enqueue_many=True, shapes=[[PIXELS], []])
    batch = tf1.train.shuffle_batch([records], BATCH, 5000, 2000, enqueue_many=True, shapes=[[]])
    return decoded(tf1.parse_example(batch, SPEC), [-1, PIXELS])


def data(path, row):
    """Elements of a dataset, with the number of them that a step takes."""
    Dataset = tf1.data.Dataset
    if row.startswith("tf.data/tfrecord"):
        compression = "GZIP" if row.endswith("gzip") else ""
        records = tf1.data.TFRecordDataset([path], compression).repeat().shuffle(5000).batch(BATCH, True)
        return records.map(lambda s: decoded(tf1.parse_example(s, SPEC), [-1, PIXELS]), num_parallel_calls=2).prefetch(2)
    if row == "tf.data/slices":
        count = RECORDS // 4
        images = C.uniform(5, count * PIXELS).reshape(count, PIXELS)
        slices = Dataset.from_tensor_slices((images, C.labels(6, count, 10)))
        return slices.shuffle(5000).repeat().batch(BATCH, True).prefetch(2)
    return Dataset.range(1000000).repeat().map(lambda x: x + 1).batch(1000, True).prefetch(2)


def from_dataset(path, row):
    iterator = tf1.data.make_initializable_iterator(data(path, row))
    tf1.add_to_collection(tf1.GraphKeys.TABLE_INITIALIZERS, iterator.initializer)
    return tf.nest.flatten(iterator.get_next())


def measure(path, row, build, batch=BATCH):
    with tf.Graph().as_default():
        total = tf.add_n([tf.cast(tf.reduce_sum(part), tf.float32) for part in build(path, row)])
        with tf1.Session(config=CONFIG) as session:
            session.run([tf1.global_variables_initializer(), tf1.local_variables_initializer(), tf1.tables_initializer()])
            coordinator = tf1.train.Coordinator()
            threads = tf1.train.start_queue_runners(session, coordinator)
            step = session.make_callable(total)

            def pump(seconds):
                count, start = 0, time.perf_counter()
                while time.perf_counter() - start < seconds:
                    step()
                    count += batch
                return count / (time.perf_counter() - start)
            pump(0.4)
            runs = [pump(1.0) for _ in range(ROUNDS)]
            C.emit("w3/tf/tfrecord/" + row, "elements_per_s", "1/s", runs, rss_mb=C.rss_mb())
            coordinator.request_stop()
            coordinator.join(threads, stop_grace_period_secs=10)


if __name__ == "__main__":
    which = sys.argv[1] if len(sys.argv) > 1 else "queues"
    path = os.path.join(tempfile.mkdtemp(), "data.tfrecord")
    try:
        write(path)
        if which == "data":
            measure(path, "tf.data/tfrecord_plain", from_dataset)
            with open(path, "rb") as plain, gzip.open(path + ".gz", "wb", compresslevel=6) as compressed:
                shutil.copyfileobj(plain, compressed)
            measure(path + ".gz", "tf.data/tfrecord_gzip", from_dataset)
            measure(path, "tf.data/slices", from_dataset)
            measure(path, "tf.data/map", from_dataset, 1000)
        else:
            for row in ("shuffle_batch/1thread", "shuffle_batch/read_up_to/1thread", "shuffle_then_parse/1thread"):
                measure(path, row, queues)
    except Exception as error:
        C.fail("w3/tf/tfrecord", error)
    sys.stdout.flush()
    os._exit(0)
