"""A task of a cluster in TensorFlow's Python, in the role of the same name in `roles.rs`."""
import os
import sys

import tensorflow.compat.v1 as tf

tf.disable_v2_behavior()
tf.enable_resource_variables()

job, index = os.environ["DISTRIBUTED_JOB"], int(os.environ["DISTRIBUTED_INDEX"])
tasks = {}
for task in os.environ["DISTRIBUTED_CLUSTER"].split(","):
    name, address = task.split("=")
    tasks.setdefault(name, []).append(address)
cluster = tf.train.ClusterSpec(tasks)
server = tf.train.Server(cluster, job_name=job, task_index=index)


def say(what):
    print("@@" + what, flush=True)


if job == "ps":
    say("ready")
    server.join()

filters = ["/job:ps", "/job:worker/task:%d" % index]
with tf.device(tf.train.replica_device_setter(cluster=cluster, worker_device=filters[1])):
    step = tf.train.get_or_create_global_step()
    x = tf.placeholder(tf.float32, [], name="x")
    w = tf.get_variable("w", initializer=0.0)
    table = tf.get_variable("table", initializer=[[1.0], [2.0]])
    row = tf.reduce_sum(tf.nn.embedding_lookup(table, [1]))
    optimizer = tf.train.SyncReplicasOptimizer(tf.train.MomentumOptimizer(1.0, 0.9), 2)
    train = optimizer.minimize(w * x + row * x, global_step=step)
hook = optimizer.make_session_run_hook(index == 0, num_tokens=0)
config = tf.ConfigProto(device_filters=filters)
with tf.train.MonitoredTrainingSession(
    master=server.target, is_chief=index == 0, hooks=[hook], config=config, log_step_count_steps=None
) as session:
    say("ready")
    for _ in sys.stdin:
        session.run(train, {x: index + 1.0})
        values = session.run_step_fn(lambda step_context: step_context.session.run([w, table, step]))
        say("%r %r %r %d" % (float(values[0]), float(values[1][0, 0]), float(values[1][1, 0]), values[2]))
