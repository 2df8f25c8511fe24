"""Trainings with loops and branches as TensorFlow 1 programs wrote them, in the format of `make_graphs.py`.

    python make_programs.py [NAME ...]

The gradients with respect to some variables are fetched as `gradient_of_NAME`.
"""

import sys

import make_graphs
from tensorflow.python.framework import function
from tensorflow.python.keras.layers import recurrent
from make_graphs import Cell, dynamic_rnn, fixed, graph, np, ramp, tf, tf1, train

FIRST = set(make_graphs.GRAPHS)


def gradient_of(loss, **variables):
    found = tf1.gradients(loss, list(variables.values()))
    return [tf.identity(tf.convert_to_tensor(g), "gradient_of_" + name) for name, g in zip(variables, found)]


def weights(name, *shape):
    return tf1.get_variable(name, shape, initializer=fixed(name))


@graph()
def program_stacked_lstm():
    x = tf1.placeholder(tf.float32, [None, 6, 3], "x")
    lengths = tf1.placeholder(tf.int32, [None], "lengths")
    keep = tf1.placeholder_with_default(1.0, [], "keep")
    hidden = x
    for layer in range(2):
        with tf1.variable_scope("layer_%d" % layer, initializer=fixed("layer")):
            hidden, state = dynamic_rnn(Cell("lstm", 4), tf1.nn.dropout(hidden, keep_prob=keep), lengths)
    loss = tf.add(tf.reduce_mean(tf.square(hidden - 0.2)), tf.reduce_sum(state[1]), "loss")
    optimizer = tf1.train.MomentumOptimizer(0.1, 0.9)
    pairs = optimizer.compute_gradients(loss)
    clipped, norm = tf.clip_by_global_norm([g for g, _ in pairs], 1.0)
    step = optimizer.apply_gradients(zip(clipped, [v for _, v in pairs]))
    feeds = {x: ramp(3, 6, 3), lengths: [6, 2, 4]}
    return [(feeds, [hidden, norm])] + [(feeds, [loss], [step])] * 5


@graph()
def program_bidirectional_gru():
    ids = tf1.placeholder(tf.int32, [None, None], "ids")
    lengths = tf1.placeholder(tf.int32, [None], "lengths")
    labels = tf1.placeholder(tf.int32, [None], "labels")
    table = weights("table", 9, 3)
    x = tf.nn.embedding_lookup(table, ids)
    sides = []
    for side in ("fw", "bw"):
        turn = (lambda v: v) if side == "fw" else (lambda v: tf.reverse_sequence(v, lengths, seq_axis=1, batch_axis=0))
        with tf1.variable_scope(side, initializer=fixed(side)):
            sides.append(turn(dynamic_rnn(Cell("gru", 3), turn(x), lengths)[0]))
    both = tf.concat(sides, 2)
    mask = tf.sequence_mask(lengths, tf.shape(ids)[1], tf.float32)
    pooled = tf.reduce_sum(both * mask[:, :, None], 1) / tf.reduce_sum(mask, 1)[:, None]
    logits = tf.matmul(pooled, weights("output", 6, 4))
    loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits), name="loss")
    step = train(loss, tf1.train.AdagradOptimizer(0.3))
    feeds = {ids: [[1, 2, 3, 2], [8, 1, 0, 0], [4, 4, 4, 0]], lengths: [4, 2, 3], labels: [0, 3, 1]}
    return [(feeds, [logits] + gradient_of(loss, table=table))] + [(feeds, [loss], [step])] * 5


def attention(memory, query, units):
    keys = tf.tensordot(memory, weights("memory_layer", memory.shape[2], units), 1)
    score = tf.reduce_sum(weights("v", units) * tf.tanh(keys + tf.matmul(query, weights("query_layer", units, units))[:, None]), 2)
    return tf.reduce_sum(tf.nn.softmax(score)[:, :, None] * memory, 1)


def attention_decoder():
    source = tf1.placeholder(tf.float32, [2, 5, 3], "source")
    target = tf1.placeholder(tf.int32, [2, None], "target")
    forced = tf1.placeholder(tf.bool, [None], "forced")
    with tf1.variable_scope("encoder", initializer=fixed("encoder")):
        memory, state = dynamic_rnn(Cell("gru", 4), source)
    table = weights("table", 6, 4)
    cell = Cell("gru", 4)
    inputs = tf.TensorArray(tf.int32, tf.shape(target)[1], clear_after_read=False).unstack(tf.transpose(target))
    outputs = tf.TensorArray(tf.float32, 0, dynamic_size=True, element_shape=[2, 6])

    def body(t, token, state, outputs):
        with tf1.variable_scope("decoder", initializer=fixed("decoder"), reuse=tf1.AUTO_REUSE):
            seen = attention(memory, state, 4)
            output, state = cell(tf.concat([tf.nn.embedding_lookup(table, token), seen], 1), state)
            logits = tf.matmul(output, weights("projection", 4, 6))
        token = tf1.cond(forced[t], lambda: inputs.read(t), lambda: tf.argmax(logits, 1, output_type=tf.int32))
        token.set_shape([2])
        return t + 1, token, state, outputs.write(t, logits)

    start = [tf.constant(0), tf.zeros([2], tf.int32), state[0], outputs]
    final = tf1.while_loop(lambda t, *_: t < tf.shape(target)[1], body, start)
    logits = tf.transpose(final[3].stack(), [1, 0, 2])
    loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=target, logits=logits), name="loss")
    step = train(loss, tf1.train.AdamOptimizer(0.05))
    feeds = {source: ramp(2, 5, 3), target: [[1, 2, 3, 4], [5, 4, 2, 0]], forced: [True, False, True, True]}
    return [(feeds, [logits] + gradient_of(loss, table=table))] + [(feeds, [loss], [step])] * 5


@graph()
def program_attention_decoder():
    return attention_decoder()


@graph(resource=True)
def program_attention_of_resources():
    return attention_decoder()


@graph(v2_control_flow=True, resource=True)
def program_functional_attention():
    return attention_decoder()


@graph()
def program_language_model():
    ids = tf1.placeholder(tf.int32, [2, 4], "ids")
    table = weights("table", 7, 3)
    carried = tf1.get_variable("carried", [2, 3], initializer=tf1.zeros_initializer(), trainable=False)
    cell = Cell("gru", 3)

    def body(t, state, total):
        with tf1.variable_scope("model", initializer=fixed("model"), reuse=tf1.AUTO_REUSE):
            output, state = cell(tf.nn.embedding_lookup(table, ids[:, t]), state)
        logits = tf.matmul(output, table, transpose_b=True)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=ids[:, t + 1], logits=logits)
        return t + 1, state, total + tf.reduce_mean(losses)

    _, state, total = tf1.while_loop(lambda t, *_: t < 3, body, [0, carried.read_value(), 0.0], swap_memory=True)
    loss = tf.divide(total, 3.0, "loss")
    gradients = gradient_of(loss, table=table)
    with tf1.control_dependencies([train(loss, tf1.train.RMSPropOptimizer(0.05))]):
        step = tf1.assign(carried, state).op
    texts = [[[1, 2, 3, 4], [6, 5, 4, 3]], [[4, 0, 1, 2], [3, 2, 1, 0]]]
    return [({ids: texts[0]}, gradients)] + [({ids: texts[i % 2]}, [loss, state], [step]) for i in range(5)]


@graph()
def program_memory_machine():
    x = tf1.placeholder(tf.float32, [2, 4, 3], "x")
    control = weights("control", 3 + 5, 3 * 5)
    memory = tf.tile(weights("memory", 1, 6, 5), [2, 1, 1])

    def step(carried, row):
        memory, read = carried
        key, erase, add = tf.split(tf.matmul(tf.concat([row, read], 1), control), 3, axis=1)
        similar = tf.matmul(tf.nn.l2_normalize(memory, 2), tf.nn.l2_normalize(key, 1)[:, :, None])
        address = tf.nn.softmax(similar, axis=1)
        memory = memory * (1 - address * tf.sigmoid(erase)[:, None]) + address * tf.tanh(add)[:, None]
        return memory, tf.reduce_sum(address * memory, 1)

    _, reads = tf1.scan(step, tf.transpose(x, [1, 0, 2]), (memory, tf.zeros([2, 5])))
    loss = tf.reduce_sum(tf.square(reads[-1] - 0.4), name="loss")
    gradients = gradient_of(loss, control=control)
    step = train(loss, tf1.train.AdamOptimizer(0.1))
    return [({x: ramp(2, 4, 3)}, gradients)] + [({x: ramp(2, 4, 3)}, [loss], [step])] * 5


@graph()
def program_beam_search():
    state = tf1.placeholder(tf.float32, [2, 3], "state")
    kernel, project = weights("kernel", 3, 3), weights("project", 3, 5)

    def body(t, ids, scores, states, parents, tokens):
        flat = tf.tanh(tf.matmul(tf.reshape(states, [6, 3]) + tf.one_hot(tf.reshape(ids, [-1]), 3), kernel))
        logp = tf.nn.log_softmax(tf.reshape(tf.matmul(flat, project), [2, 3, 5]) * 3.0)
        masked = tf1.cond(t > 0, lambda: scores[:, :, None] + logp, lambda: logp + tf.constant([[[0.0], [-1e9], [-1e9]]]))
        scores, best = tf.nn.top_k(tf.reshape(masked, [2, 15]), 3)
        parent, ids = best // 5, best % 5
        where = tf.stack([tf.tile(tf.range(2)[:, None], [1, 3]), parent], 2)
        states = tf.gather_nd(tf.reshape(flat, [2, 3, 3]), where)
        return [t + 1, ids, scores, states, parents.write(t, parent), tokens.write(t, ids)]

    arrays = [tf.TensorArray(tf.int32, 0, dynamic_size=True, element_shape=[2, 3]) for _ in range(2)]
    start = [0, tf.zeros([2, 3], tf.int32), tf.zeros([2, 3]), tf.tile(state[:, None], [1, 3, 1])] + arrays
    going = lambda t, ids, *_: tf.logical_and(t < 7, tf.reduce_any(tf.not_equal(ids, 4)))
    _, _, scores, _, parents, tokens = tf1.while_loop(going, body, start, maximum_iterations=6)
    parents, tokens = parents.stack(), tokens.stack()

    def back(carried, row):
        parent, token = row
        return tf.gather(parent, carried[0], batch_dims=1), tf.gather(token, carried[0], batch_dims=1)

    last = tf.tile(tf.range(3)[None], [2, 1])
    _, beams = tf1.scan(back, (parents, tokens), (last, last), reverse=True)
    return [({state: ramp(2, 3)}, [beams, scores]), ({state: -ramp(2, 3)}, [beams, scores])]


@graph()
def program_policy_gradient():
    seen = tf1.placeholder(tf.float32, [5, 2], "seen")
    actions = tf1.placeholder(tf.int32, [5], "actions")
    rewards = tf1.placeholder(tf.float32, [5], "rewards")
    returns = tf1.scan(lambda total, r: r + 0.9 * total, rewards, initializer=0.0, reverse=True)
    baseline = tf1.get_variable("baseline", initializer=0.0, trainable=False)
    ahead = tf1.cond(tf.reduce_mean(returns) > baseline, lambda: returns - baseline, lambda: tf.nn.relu(returns))
    w = weights("w", 2, 3)
    picked = tf.reduce_sum(tf.nn.log_softmax(tf.matmul(seen, w)) * tf.one_hot(actions, 3), 1)
    loss = tf.negative(tf.reduce_mean(picked * tf.stop_gradient(ahead)), "loss")
    gradients = gradient_of(loss, w=w)
    step = train(loss, tf1.train.AdamOptimizer(0.1))
    with tf1.control_dependencies([step]):
        step = tf1.assign_add(baseline, 0.3 * (tf.reduce_mean(returns) - baseline)).op
    plays = [{seen: ramp(5, 2), actions: [0, 1, 2, 1, 0], rewards: [1.0, 0, sign, 0, 2 * sign]} for sign in (1, -1)]
    return [(plays[0], [returns] + gradients)] + [(plays[i % 2], [loss, baseline], [step]) for i in range(5)]


@graph()
def program_loops_in_a_branch():
    x = tf1.placeholder(tf.float32, [3], "x")
    w = weights("w", 3)

    def looped():
        def inner(i, j, v):
            return i, j + 1, tf.sin(v * w) + x

        def outer(i, v):
            return i + 1, tf1.while_loop(lambda i, j, _: j < i + 1, inner, [i, 0, v])[2] * 0.5

        return tf1.while_loop(lambda i, _: i < 3, outer, [0, x])[1]

    value = tf1.cond(tf.reduce_sum(x) > 0, looped, lambda: tf1.cond(x[0] > -1, lambda: x * w, lambda: tf.exp(w)))
    loss = tf.reduce_sum(tf.square(value), name="loss")
    gradients = gradient_of(loss, w=w, x=x)
    step = train(loss, tf1.train.GradientDescentOptimizer(0.1))
    given = [[1.0, 2.0, -0.5], [-0.5, -1.0, 0.2], [-2.0, 0.1, 0.0]]
    return [({x: v}, gradients) for v in given] + [({x: given[i % 3]}, [loss], [step]) for i in range(5)]


@graph()
def program_mapped_convolutions():
    x = tf1.placeholder(tf.float32, [None, 6, 6, 1], "x")
    kernel = weights("kernel", 3, 3, 1, 2)

    def one(pair):
        image, scale = pair
        made = tf.nn.conv2d(image[None], kernel, strides=1, padding="SAME")
        return tf.reduce_mean(tf.nn.relu(made)) * scale, tf.argmax(tf.reshape(made, [-1]))

    scales = tf.cast(tf.range(tf.shape(x)[0]) + 1, tf.float32)
    means, best = tf1.map_fn(one, (x, scales), dtype=(tf.float32, tf.int64), parallel_iterations=4)
    loss = tf.reduce_sum(tf.square(means - 0.5), name="loss")
    gradients = gradient_of(loss, kernel=kernel)
    step = train(loss, tf1.train.AdamOptimizer(0.02))
    return [({x: ramp(3, 6, 6, 1)}, [best] + gradients)] + [({x: ramp(3, 6, 6, 1)}, [loss], [step])] * 5


@graph()
def program_ctc():
    x = tf1.placeholder(tf.float32, [2, 6, 3], "x")
    labels = tf1.SparseTensor([[0, 0], [0, 1], [1, 0]], tf.constant([1, 1, 2]), [2, 2])
    lengths = tf.constant([6, 4])
    with tf1.variable_scope("rnn", initializer=fixed("rnn")):
        hidden, _ = dynamic_rnn(Cell("lstm", 4), x, lengths)
    output = weights("output", 4, 5)
    logits = tf.transpose(tf.tensordot(hidden, output, 1), [1, 0, 2])
    loss = tf.reduce_mean(tf1.nn.ctc_loss(labels, logits, lengths), name="loss")
    (decoded,), _ = tf.nn.ctc_greedy_decoder(logits, lengths)
    gradients = gradient_of(loss, output=output)
    step = train(loss, tf1.train.AdamOptimizer(0.1))
    return [({x: ramp(2, 6, 3)}, [decoded.values] + gradients)] + [({x: ramp(2, 6, 3)}, [loss], [step])] * 5


@graph()
def program_adaptive_computation():
    x = tf1.placeholder(tf.float32, [3, 2], "x")
    w, halting = weights("w", 2, 2), weights("halting", 2, 1)

    def body(state, halted, remainder, total, rounds):
        state = tf.tanh(tf.matmul(state, w) + x)
        p = tf.sigmoid(tf.matmul(state, halting))
        running = tf.cast(halted < 0.9, tf.float32)
        stops = tf.cast(halted + p * running >= 0.9, tf.float32) * running
        used = p * running * (1 - stops) + (1 - halted) * stops
        return [state, halted + used, remainder + stops * used, total + used * state, rounds + running]

    zeros = tf.zeros([3, 1])
    going = lambda state, halted, *_: tf.reduce_any(halted < 0.9)
    _, _, remainder, total, rounds = tf1.while_loop(going, body, [x, zeros, zeros, tf.zeros([3, 2]), zeros], maximum_iterations=9)
    loss = tf.add(tf.reduce_sum(tf.square(total - 0.1)), 0.1 * tf.reduce_sum(remainder + rounds), "loss")
    gradients = gradient_of(loss, w=w, halting=halting)
    step = train(loss, tf1.train.MomentumOptimizer(0.1, 0.5, use_nesterov=True))
    return [({x: ramp(3, 2)}, [rounds] + gradients)] + [({x: ramp(3, 2)}, [loss], [step])] * 5


@graph()
def program_tree():
    left = tf1.placeholder(tf.int32, [None], "left")
    right = tf1.placeholder(tf.int32, [None], "right")
    table, join = weights("table", 4, 3), weights("join", 6, 3)
    nodes = tf.TensorArray(tf.float32, 4 + tf.shape(left)[0], clear_after_read=False, infer_shape=False)
    nodes = nodes.scatter(tf.range(4), table)

    def body(i, nodes):
        pair = tf.concat([nodes.read(left[i]), nodes.read(right[i])], 0)
        return i + 1, nodes.write(4 + i, tf.tanh(tf.matmul(pair[None], join))[0])

    _, nodes = tf1.while_loop(lambda i, _: i < tf.shape(left)[0], body, [0, nodes], parallel_iterations=1)
    root = nodes.read(3 + tf.shape(left)[0])
    loss = tf.reduce_sum(tf.square(root - 0.3), name="loss")
    gradients = gradient_of(loss, table=table, join=join)
    step = train(loss, tf1.train.GradientDescentOptimizer(0.3))
    trees = [{left: [0, 2, 4], right: [1, 3, 5]}, {left: [0, 4], right: [0, 1]}]
    return [(tree, gradients) for tree in trees] + [(trees[i % 2], [loss], [step]) for i in range(5)]


@graph(resource=True)
def program_custom_gradients():
    x = tf1.placeholder(tf.float32, [2, 3], "x")
    w = weights("w", 3, 3)

    @tf.custom_gradient
    def bounded(v):
        return tf.identity(v), lambda dy: tf.clip_by_value(dy, -0.05, 0.05)

    _, y = tf1.while_loop(lambda i, _: i < 4, lambda i, v: (i + 1, bounded(tf.tanh(tf.matmul(v, w)) + x)), [0, x])
    loss = tf.reduce_sum(tf.square(y), name="loss")
    step = train(loss, tf1.train.GradientDescentOptimizer(0.2))
    return [({x: ramp(2, 3)}, [y])] + [({x: ramp(2, 3)}, [loss], [step])] * 5


@graph()
def program_block_lstm():
    x = tf1.placeholder(tf.float32, [5, 2, 3], "x")
    w, b = weights("w", 7, 16), weights("b", 16)
    zeros, diagonal = tf.zeros([2, 4]), weights("diagonal", 4)
    made = tf.raw_ops.BlockLSTM(
        seq_len_max=tf.constant(4, tf.int64), x=x, cs_prev=zeros, h_prev=zeros, w=w, wci=diagonal, wcf=diagonal, wco=diagonal,
        b=b, forget_bias=1.0, cell_clip=3.0, use_peephole=True,
    )
    loss = tf.reduce_sum(tf.square(made.h - 0.1), name="loss")
    gradients = gradient_of(loss, w=w, b=b)
    step = train(loss, tf1.train.FtrlOptimizer(0.1))
    return [({x: ramp(5, 2, 3)}, [made.h] + gradients)] + [({x: ramp(5, 2, 3)}, [loss], [step])] * 5


@graph(resource=True)
def program_defined_functions():
    x = tf1.placeholder(tf.float32, [2, 3], "x")
    w, b = weights("w", 3, 3), weights("b", 3)

    @function.Defun(tf.float32, tf.float32)
    def layer(v, kernel):
        return tf.tanh(tf.matmul(v, kernel)), tf.reduce_sum(tf.square(kernel))

    first, norm = layer(x, w.read_value())
    second, _ = layer(first, w.read_value())
    loss = tf.add(tf.reduce_sum(tf.square(second + b - 0.3)), 0.1 * norm, "loss")
    gradients = gradient_of(loss, w=w, b=b)
    step = train(loss, tf1.train.AdamOptimizer(0.1))
    return [({x: ramp(2, 3)}, [second] + gradients)] + [({x: ramp(2, 3)}, [loss], [step])] * 5


@graph(v2_control_flow=True, resource=True)
def program_traced_functions():
    x = tf1.placeholder(tf.float32, [2, 3], "x")
    rounds = tf1.placeholder(tf.int32, [], "rounds")
    w, b = weights("w", 3, 3), weights("b", 3)

    @tf.function
    def twice(v):
        return tf.nn.softplus(tf.matmul(v, w) + b) * 0.5

    @tf.function
    def repeated(v, count):
        for i in tf.range(count):
            if tf.reduce_sum(v) > 1.0:
                v = twice(v) - tf.cast(i, tf.float32)
            else:
                v = tf.sin(v) + x
        return v, tf.reduce_mean(v)

    found, mean = repeated(x, rounds)
    loss = tf.add(tf.reduce_sum(tf.square(twice(found) - 0.2)), mean, "loss")
    gradients = gradient_of(loss, w=w, b=b)
    step = train(loss, tf1.train.MomentumOptimizer(0.1, 0.9))
    feeds = [{x: ramp(2, 3), rounds: count} for count in (3, 0, 5)]
    return [(fed, [found] + gradients) for fed in feeds] + [(feeds[i % 3], [loss], [step]) for i in range(6)]


def keras_layer(kind, **options):
    x = tf1.placeholder(tf.float32, [2, 5, 3], "x")
    with tf1.variable_scope("model"):
        layer = kind(4, kernel_initializer=fixed("kernel"), recurrent_initializer=fixed("recurrent"), return_sequences=True, **options)
        outputs = layer(x)
    loss = tf.reduce_sum(tf.square(outputs - 0.1), name="loss")
    step = train(loss, tf1.train.GradientDescentOptimizer(0.1))
    return [({x: ramp(2, 5, 3)}, [outputs])] + [({x: ramp(2, 5, 3)}, [loss], [step])] * 5


@graph(resource=True)
def program_cudnn_compatible_gru():
    return keras_layer(recurrent.GRU, reset_after=True)


@graph(v2_control_flow=True, resource=True)
def program_cudnn_compatible_lstm():
    return keras_layer(recurrent.LSTM, go_backwards=True)


if __name__ == "__main__":
    for name in sys.argv[1:] or [name for name in make_graphs.GRAPHS if name not in FIRST]:
        make_graphs.make(name)
