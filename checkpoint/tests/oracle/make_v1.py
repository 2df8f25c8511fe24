"""Writes the V1 checkpoints in `fixtures/v1`: one file, and two shards with a partitioned variable.

    python make_v1.py      (tensorflow 2.21.0)
"""

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import tensorflow as tf

tf1 = tf.compat.v1
tf1.disable_eager_execution()
tf1.disable_resource_variables()
HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fixtures", "v1")
VALUES = {
    "w": np.arange(12, dtype=np.float32).reshape(3, 4) / 4, "b": np.int64([1, -2, 3 << 40]), "h": np.float16([1.5, -2]),
    "s": np.array(["a", "", "bc"], object), "flag": np.array([True, False]), "scalar": np.float64(2.5),
    "c": np.complex64([1 + 2j]), "i8": np.int8([-3, 4]), "u8": np.uint8([200, 4]), "i32": np.int32([-200, 1 << 30]),
    "empty": np.zeros((0, 3), np.float32), "deep/name-1": np.float32([7]),
}

with tf.Graph().as_default():
    for number, (name, value) in enumerate(VALUES.items()):
        with tf.device(f"/cpu:{number % 2}"):
            tf1.get_variable(name, initializer=value)
    with tf.device("/cpu:1"):
        rows = lambda shape, dtype, partition_info: np.arange(10, dtype=np.float32).reshape(5, 2)[partition_info.var_offset[0]:][: shape[0]]
        tf1.get_variable("p", shape=[5, 2], initializer=rows, partitioner=tf1.fixed_size_partitioner(2))
    with tf1.Session(config=tf1.ConfigProto(device_count={"CPU": 2})) as session:
        session.run(tf1.global_variables_initializer())
        for name, sharded in (("plain", False), ("sharded", True)):
            saver = tf1.train.Saver(write_version=tf1.train.SaverDef.V1, sharded=sharded)
            saver.save(session, os.path.join(HERE, name + ".ckpt"), global_step=7, write_meta_graph=False, write_state=False)
