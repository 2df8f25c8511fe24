"""Runs the scripts of scripts.json on TensorFlow, and prints the sequence of calls of each as JSON.

    python play.py scripts.json > tensorflow.json
"""

import json
import logging
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
import tensorflow  # noqa: E402

tf = tensorflow.compat.v1
tf.disable_v2_behavior()
tf.logging.set_verbosity(tf.logging.FATAL)
logging.disable(logging.CRITICAL)

ERRORS = {
    "aborted": lambda: tf.errors.AbortedError(None, None, "scripted"),
    "unavailable": lambda: tf.errors.UnavailableError(None, None, "scripted"),
    "out_of_range": lambda: tf.errors.OutOfRangeError(None, None, "scripted"),
    "invalid_argument": lambda: tf.errors.InvalidArgumentError(None, None, "scripted"),
    "value": lambda: ValueError("scripted"),
}


def word(error):
    for name, make in ERRORS.items():
        if type(error) is type(make()):
            return name
    return {RuntimeError: "runtime", StopIteration: "stop_iteration"}.get(type(error), type(error).__name__)


class Player:
    """Records calls and does what the script says at them."""

    def __init__(self, script):
        self.script = script
        self.trace = []
        self.counts = {}

    def call(self, name, context=None, silent=False):
        if not silent:
            self.trace.append(name)
        self.counts[name] = self.counts.get(name, 0) + 1
        for event in self.script.get("events", []):
            if event["at"] == name and event["nth"] == self.counts[name]:
                if event.get("stop"):
                    context.request_stop()
                if "raise" in event:
                    raise ERRORS[event["raise"]]()


class Hook(tf.train.SessionRunHook):
    def __init__(self, name, player):
        self.name, self.player = name, player

    def begin(self):
        self.player.call(self.name + ".begin")

    def after_create_session(self, session, coord):
        self.player.call(self.name + ".after_create_session")

    def before_run(self, run_context):
        self.player.call(self.name + ".before_run", run_context)

    def after_run(self, run_context, run_values):
        self.player.call(self.name + ".after_run", run_context)

    def end(self, session):
        self.player.call(self.name + ".end")


def loop(script, player, session, train, raw):
    kind = script.get("loop", "while")
    for _ in range(script["steps"]):
        if kind != "count" and session.should_stop():
            break

        def step_fn(step_context):
            player.call("step_fn", step_context, silent=True)
            step_context.session.run(raw)
            step_context.run_with_hooks(train)

        try:
            if kind == "step_fn":
                session.run_step_fn(step_fn)
            else:
                session.run(train)
        except Exception as error:
            if not script.get("catches"):
                raise
            player.trace.append("caught " + word(error))
        player.call("body", silent=True)


def play(script):
    player = Player(script)
    session_type = tf.Session
    run, close = session_type.run, session_type.close

    alive = []  # a session that is dropped closes itself: that is nobody's doing

    def traced_run(self, fetches, *args, **kwargs):
        alive.append(self)
        flat = tensorflow.nest.flatten(fetches)
        if any(item is init for item in flat):
            player.call("init_op")
        if any(item is raw for item in flat):
            player.call("raw run")
        if any(item is train for item in flat):
            player.call("run")
        return run(self, fetches, *args, **kwargs)

    def traced_close(self):
        if not self._closed:
            player.trace.append("close")
        return close(self)

    with tf.Graph().as_default():
        tf.train.get_or_create_global_step()
        train, raw = tf.no_op("train"), tf.no_op("raw")
        init = tf.global_variables_initializer()
        hooks = [Hook(name, player) for name in "abcdef"[:script.get("hooks", 2)]]
        scaffold = tf.train.Scaffold(init_op=init)
        session_type.run, session_type.close = traced_run, traced_close
        try:
            if script.get("session", "singular") == "singular":
                session = tf.train.SingularMonitoredSession(hooks=hooks, scaffold=scaffold)
            else:
                creator = tf.train.ChiefSessionCreator(scaffold)
                session = tf.train.MonitoredSession(session_creator=creator, hooks=hooks)
            if script.get("block", True):
                with session:
                    loop(script, player, session, train, raw)
                    for _ in range(script.get("closes", 0)):
                        session.close()
            else:
                loop(script, player, session, train, raw)
                for _ in range(script.get("closes", 1)):
                    session.close()
            player.trace.append("returns")
        except Exception as error:
            player.trace.append("raises " + word(error))
        finally:
            session_type.run, session_type.close = run, close
    return player.trace


def main():
    with open(sys.argv[1]) as file:
        scripts = json.load(file)
    traces = {script["name"]: play(script) for script in scripts if "ours_only" not in script}
    print(json.dumps({"tensorflow": tensorflow.__version__, "traces": traces}, indent=1))


main()
