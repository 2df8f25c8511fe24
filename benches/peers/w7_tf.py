"""W7: a SavedModel in use: start to first answer, and steady calls with one example.   usage: w7_tf.py WORKLOAD
WORKLOAD: start | mlp | cnn   (run `w7` first: it writes the models)
"""
import os, subprocess, sys, time
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
MODELS = os.path.join("target", "bench-models")


def first(folder):
    import tensorflow as tf
    import common as C
    f = tf.saved_model.load(folder).signatures["serving_default"]
    y = f(x=tf.constant(C.uniform(1, 784).reshape(1, 784)))["y"].numpy()
    print("T", time.time(), C.rss_mb(), float(y[0, 0]), flush=True)
    os._exit(0)


def start():
    import common as C
    runs, memory = [], []
    for _ in range(int(os.environ.get("ROUNDS", "5")) + 1):
        t = time.time()
        p = subprocess.run([sys.executable, __file__, "first", os.path.join(MODELS, "large")], capture_output=True, text=True)
        line = [l for l in p.stdout.splitlines() if l.startswith("T ")][0].split()
        runs.append(float(line[1]) - t)
        memory.append(float(line[2]))
    C.emit("w7/tf/start_100mb", "start_to_first_answer", "s", runs[1:], rss_mb=sorted(memory)[len(memory) // 2], first_cold=runs[0])


def calls(name):
    import tensorflow as tf
    import common as C
    n = int(os.environ.get("THREADS", "2"))
    tf.config.threading.set_intra_op_parallelism_threads(n)
    tf.config.threading.set_inter_op_parallelism_threads(n)
    x = C.uniform(1, 784).reshape(1, 784)
    count = 50 if name == "cnn" else 1000
    rounds = int(os.environ.get("ROUNDS", "7"))
    f = tf.saved_model.load(os.path.join(MODELS, name)).signatures["serving_default"]
    t = tf.constant(x)
    runs = C.timed_chunks(lambda: f(x=t)["y"], count, rounds, count)
    C.emit(f"w7/tf/{name}/load", "call_of_one_example", "us", [r * 1e6 for r in runs])
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session(config=v1.ConfigProto(intra_op_parallelism_threads=n, inter_op_parallelism_threads=n)) as s:
        m = v1.saved_model.loader.load(s, ["serve"], os.path.join(MODELS, name)).signature_def["serving_default"]
        call = s.make_callable(m.outputs["y"].name, feed_list=[m.inputs["x"].name])
        runs = C.timed_chunks(lambda: call(x), count, rounds, count)
    C.emit(f"w7/tf/{name}/v1_callable", "call_of_one_example", "us", [r * 1e6 for r in runs])


if __name__ == "__main__":
    if sys.argv[1] == "first":
        first(sys.argv[2])
    elif sys.argv[1] == "start":
        start()
    else:
        calls(sys.argv[1])
