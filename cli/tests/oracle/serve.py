"""Serves the only task of a cluster at a port of this machine, until the process is ended.

Usage: serve.py PORT
"""
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tensorflow.compat.v1 as tf

server = tf.train.Server({"worker": ["127.0.0.1:" + sys.argv[1]]}, job_name="worker", task_index=0)
print(server.target, flush=True)
server.join()
