"""Attention and decoders, written down with NumPy: TensorFlow 2 has them no more.

Prints JSON: for each model its variables by name with their shapes, and its results, for the values that `values` gives.
"""
import json

import numpy as np


def values(name, shape):
    count = int(np.prod(shape))
    return (np.sin(np.arange(count) * 0.7 + len(name)) * (2 if "kernel" in name else 3 if name == "embedding" else 0.4)).reshape(shape)


made = {}


def var(name, *shape):
    made[name] = list(shape)
    return values(name, shape)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def log_softmax(x):
    return np.log(softmax(x))


MEMORY, LENGTHS = values("memory", (2, 4, 3)), np.array([4, 2])
MASK = np.arange(4)[None] < LENGTHS[:, None]


class Attention:
    def __init__(self, units, masked):
        self.units, self.masked = units, masked
        self.memory = MEMORY * MASK[..., None] if masked else MEMORY
        self.keys = self.memory @ var("memory_layer/kernel", 3, units)

    def shares(self, score):
        return softmax(np.where(MASK, score, -np.inf) if self.masked else score)


class Bahdanau(Attention):
    def __init__(self, scope, query, units=5, masked=True, normalize=False):
        super().__init__(units, masked)
        scope += "/bahdanau_attention/"
        self.kernel, self.v = var(scope + "query_layer/kernel", query, units), var(scope + "attention_v", units)
        self.b = 0
        if normalize:
            self.v = var(scope + "attention_g") * self.v / np.linalg.norm(self.v)
            self.b = var(scope + "attention_b", units)

    def __call__(self, query):
        return self.shares((self.v * np.tanh(self.keys + (query @ self.kernel)[:, None] + self.b)).sum(-1))


class Luong(Attention):
    def __init__(self, scope, query, masked=False, scale=False):
        super().__init__(query, masked)
        self.g = var(scope + "/luong_attention/attention_g") if scale else 1

    def __call__(self, query):
        return self.shares(self.g * np.einsum("btu,bu->bt", self.keys, query))


def basic_rnn(scope, inputs, units):
    kernel, bias = var(scope + "/basic_rnn_cell/kernel", inputs + units, units), var(scope + "/basic_rnn_cell/bias", units)
    return lambda x, h: np.tanh(np.concatenate([x, h], -1) @ kernel + bias)


def attended(scope, inputs, units, make, size=None, output_attention=True):
    """A step of a wrapped cell, on (h, attention, alignments)."""
    scope += "/attention_wrapper"
    cell = basic_rnn(scope, inputs + (size or 3), units)
    mechanism = make(scope, units)
    layer = var(scope + "/attention_layer/kernel", units + 3, size) if size else None

    def step(x, state):
        h = cell(np.concatenate([x, state[1]], -1), state[0])
        shares = mechanism(h)
        attention = np.einsum("bt,btd->bd", shares, mechanism.memory)
        if size:
            attention = np.concatenate([h, attention], -1) @ layer
        return (attention if output_attention else h), (h, attention, shares)
    return step, (np.zeros([2, units]), np.zeros([2, size or 3]), np.zeros([2, 4]))


def unrolled(make, **options):
    step, state = attended("rnn", 2, 5, make, **options)
    x, outputs = values("input", (2, 3, 2)), []
    for t in range(3):
        y, state = step(x[:, t], state)
        outputs.append(y)
    return {"outputs": np.stack(outputs, 1), "alignments": state[2], "attention": state[1], "h": state[0]}


def dense(scope, inputs, units):
    kernel, bias = var(scope + "/dense/kernel", inputs, units), var(scope + "/dense/bias", units)
    return lambda x: x @ kernel + bias


WORDS, END = 6, 2


def greedy(steps, end):
    made["embedding"] = [6, 2]
    embedding = values("embedding", (6, 2))
    cell, layer = basic_rnn("decoder", 2, 4), dense("decoder", 4, WORDS)
    h, ids = values("h", (2, 4)), np.array([1, 4])
    finished, lengths, outputs, words = np.zeros(2, bool), np.zeros(2, int), [], []
    for t in range(steps):
        if finished.all():
            break
        h = cell(embedding[ids], h)
        scores = layer(h)
        ids = scores.argmax(-1)
        outputs.append(scores)
        words.append(ids)
        lengths = np.where(finished, lengths, t + 1)
        finished |= ids == end
    return {"rnn_output": np.stack(outputs, 1), "sample_id": np.stack(words, 1), "lengths": lengths, "state": h}


def training():
    cell, layer = basic_rnn("decoder", 2, 4), dense("decoder", 4, WORDS)
    x, lengths = values("input", (2, 3, 2)), np.array([3, 1])
    h, outputs = values("h", (2, 4)), []
    for t in range(3):
        new = cell(x[:, t], h)
        scores = layer(new)
        gone = (t >= lengths)[:, None]
        outputs.append(np.where(gone, 0, scores))
        h = np.where(gone, h, new)
    return {"rnn_output": np.stack(outputs, 1), "lengths": lengths, "state": h}


def beams(width, steps, weight, bias):
    """Sequences as lists: no table of parents."""
    made["embedding"] = [6, 2]
    embedding = values("embedding", (6, 2))
    cell, layer = basic_rnn("decoder", 2, 4), dense("decoder", 4, WORDS)
    found, scores = [], []
    for example, start in enumerate([1, 4]):
        # sequence, state, log probability, length, finished
        alive = [([], values("h", (2, 4))[example], 0.0, 0, False)]
        for _ in range(steps):
            grown = []
            for words, h, logp, length, finished in alive:
                if finished:
                    grown.append((words + [END], h, logp, length, True))
                    continue
                new = cell(embedding[[words[-1] if words else start]], h[None])[0]
                logps = log_softmax(layer(new[None])[0] + bias)
                grown += [(words + [w], new, logp + logps[w], length + (w != END), w == END) for w in range(WORDS)]
            score = lambda of: of[2] / ((5 + of[3]) / 6) ** weight
            alive = sorted(grown, key=score, reverse=True)[:width]
            # the length counts the end, but the score does not
            alive = [(w, h, p, n + (f and w.count(END) == 1), f) for w, h, p, n, f in alive]
        found.append([words for words, *_ in alive])
        scores.append([of[2] for of in alive])
    return {"predicted_ids": np.array(found).transpose(0, 2, 1), "log_probs": np.array(scores)}


MODELS = {
    "bahdanau": lambda: unrolled(lambda s, n: Bahdanau(s, n)),
    "bahdanau normalized": lambda: unrolled(lambda s, n: Bahdanau(s, n, masked=False, normalize=True), size=4),
    "luong": lambda: unrolled(lambda s, n: Luong(s, n)),
    "luong scaled": lambda: unrolled(lambda s, n: Luong(s, n, masked=True, scale=True), size=4, output_attention=False),
    "training": training,
    "greedy": lambda: greedy(7, 1),
    "beams": lambda: beams(3, 4, 0.0, 0.0),
    "beams by length": lambda: beams(2, 5, 1.5, 0.0),
}
answer = {}
for name, build in MODELS.items():
    made.clear()
    results = {key: np.asarray(value).ravel().tolist() for key, value in build().items()}
    answer[name] = {"variables": dict(made), "results": results}
print(json.dumps(answer))
