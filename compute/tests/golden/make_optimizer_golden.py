"""Writes optimizer.csv: what TensorFlow's training operations make of random weights.

Run with a Python that has TensorFlow 2: `python make_optimizer_golden.py`. Each line is `case,name,values`, where
values are the bits of the numbers in hexadecimal, separated by spaces. A case has its parameters, its state before
(`weights`, `slot1`, ...), the gradient, the state after (`weights'`, ...), and for sparse cases the indices.
"""

import os
import pathlib

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf

OPS = tf.raw_ops
BITS = {2: np.uint16, 4: np.uint32, 8: np.uint64}
LINES = []


def write(case, name, values):
    values = np.atleast_1d(np.asarray(values))
    if values.dtype == np.int64:
        LINES.append(f"{case},{name}," + " ".join(str(v) for v in values))
        return
    size = values.dtype.itemsize
    bits = np.ascontiguousarray(values).view(BITS[size]).reshape(-1)
    LINES.append(f"{case},{name}," + " ".join(f"{int(b):0{2 * size}x}" for b in bits))


def state(rng, dtype, kinds, count):
    """Random weights and slots; a slot of kind '+' is positive."""
    values = []
    for kind in kinds:
        value = rng.standard_normal(count)
        if kind == "+":
            value = np.abs(value) * 0.5 + 1e-3
        values.append(value.astype(dtype))
    return values


def record(case, dtype, kinds, params, call, count=19, sparse=False):
    rng = np.random.default_rng(sum(case.encode()))
    before = state(rng, dtype, kinds, (6, 4) if sparse else count)
    gradient = (rng.standard_normal((4, 4) if sparse else count)).astype(dtype)
    variables = [tf.Variable(tf.constant(v)) for v in before]
    handles = [v.handle for v in variables]
    scalars = {name: tf.constant(np.asarray(value).astype(dtype)) for name, value in params.items()}
    extra = {}
    if sparse:
        indices = np.array([4, 0, 4, 2], np.int64)
        extra["indices"] = tf.constant(indices)
    try:
        call(handles, tf.constant(gradient), scalars, extra)
    except (tf.errors.NotFoundError, tf.errors.InvalidArgumentError):
        return  # TensorFlow has no such kernel for the type.
    for name, value in scalars.items():
        write(case, name, value.numpy())
    if sparse:
        write(case, "indices", indices)
    names = ["weights"] + [f"slot{k}" for k in range(1, len(kinds))]
    for name, value in zip(names, before):
        write(case, name, value)
    write(case, "gradient", gradient)
    for name, variable in zip(names, variables):
        write(case, name + "'", variable.numpy())


def main():
    for dtype, tag in [(np.float32, "f32"), (np.float64, "f64"), (np.float16, "f16"), (tf.bfloat16.as_numpy_dtype, "bf16")]:
        dense(dtype, tag)
    sparse(np.float32, "f32")
    path = pathlib.Path(__file__).with_name("optimizer.csv")
    path.write_text("\n".join(LINES) + "\n")


def dense(dtype, tag):
    record(f"GradientDescent/{tag}", dtype, ".", {"lr": 0.1}, lambda h, g, s, _: OPS.ResourceApplyGradientDescent(
        var=h[0], alpha=s["lr"], delta=g))
    for nesterov in (False, True):
        flag = "/nesterov" if nesterov else ""
        record(f"Momentum/{tag}{flag}", dtype, "..", {"lr": 0.1, "momentum": 0.9},
               lambda h, g, s, _: OPS.ResourceApplyMomentum(
                   var=h[0], accum=h[1], lr=s["lr"], grad=g, momentum=s["momentum"], use_nesterov=nesterov))
        record(f"KerasMomentum/{tag}{flag}", dtype, "..", {"lr": 0.1, "momentum": 0.9},
               lambda h, g, s, _: OPS.ResourceApplyKerasMomentum(
                   var=h[0], accum=h[1], lr=s["lr"], grad=g, momentum=s["momentum"], use_nesterov=nesterov))
        record(f"Adam/{tag}{flag}", dtype, "..+", {
            "lr": 0.01, "beta1": 0.9, "beta2": 0.99, "epsilon": 1e-3, "beta1_power": 0.729, "beta2_power": 0.97},
            lambda h, g, s, _: OPS.ResourceApplyAdam(
                var=h[0], m=h[1], v=h[2], beta1_power=s["beta1_power"], beta2_power=s["beta2_power"], lr=s["lr"],
                beta1=s["beta1"], beta2=s["beta2"], epsilon=s["epsilon"], grad=g, use_nesterov=nesterov))
    record(f"AdaMax/{tag}", dtype, "..+", {
        "lr": 0.01, "beta1": 0.9, "beta2": 0.99, "epsilon": 1e-3, "beta1_power": 0.729},
        lambda h, g, s, _: OPS.ResourceApplyAdaMax(
            var=h[0], m=h[1], v=h[2], beta1_power=s["beta1_power"], lr=s["lr"], beta1=s["beta1"],
            beta2=s["beta2"], epsilon=s["epsilon"], grad=g))
    rms = {"lr": 0.01, "rho": 0.9, "momentum": 0.5, "epsilon": 1e-3}
    record(f"RMSProp/{tag}", dtype, ".+.", rms, lambda h, g, s, _: OPS.ResourceApplyRMSProp(
        var=h[0], ms=h[1], mom=h[2], grad=g, **s))
    record(f"CenteredRMSProp/{tag}", dtype, "..+.", rms | {"epsilon": 4.0}, lambda h, g, s, _: OPS.ResourceApplyCenteredRMSProp(
        var=h[0], mg=h[1], ms=h[2], mom=h[3], grad=g, **s))
    for slots in (True, False):
        flag = "" if slots else "/frozen"
        record(f"Adagrad/{tag}{flag}", dtype, ".+", {"lr": 0.1}, lambda h, g, s, _: OPS.ResourceApplyAdagrad(
            var=h[0], accum=h[1], lr=s["lr"], grad=g, update_slots=slots))
        record(f"AdagradV2/{tag}{flag}", dtype, ".+", {"lr": 0.1, "epsilon": 1e-3},
               lambda h, g, s, _: OPS.ResourceApplyAdagradV2(
                   var=h[0], accum=h[1], lr=s["lr"], epsilon=s["epsilon"], grad=g, update_slots=slots))
    record(f"Adadelta/{tag}", dtype, ".++", {"lr": 0.1, "rho": 0.9, "epsilon": 1e-3},
           lambda h, g, s, _: OPS.ResourceApplyAdadelta(var=h[0], accum=h[1], accum_update=h[2], grad=g, **s))
    for l1 in (0.0, 0.02):
        flag = "/l1" if l1 else ""
        penalties = {"lr": 0.1, "l1": l1, "l2": 0.03}
        record(f"ProximalGradientDescent/{tag}{flag}", dtype, ".", penalties | {"l1": 10 * l1},
               lambda h, g, s, _: OPS.ResourceApplyProximalGradientDescent(
                   var=h[0], alpha=s["lr"], l1=s["l1"], l2=s["l2"], delta=g))
        record(f"ProximalAdagrad/{tag}{flag}", dtype, ".+", penalties | {"l1": 10 * l1},
               lambda h, g, s, _: OPS.ResourceApplyProximalAdagrad(var=h[0], accum=h[1], grad=g, **s))
        if tag in ("f32", "f64"):
            record(f"AdagradDA/{tag}{flag}", dtype, "..+", penalties, lambda h, g, s, _: OPS.ResourceApplyAdagradDA(
                var=h[0], gradient_accumulator=h[1], gradient_squared_accumulator=h[2], grad=g,
                global_step=tf.constant(7, tf.int64), **s))
        wide = tag in ("f32", "f64")
        for power in (-0.5, -0.6) if wide else (-0.5,):
            for multiply in (False, True) if wide else (False,):
                flags = flag + ("/power" if power != -0.5 else "") + ("/multiply" if multiply else "")
                record(f"Ftrl/{tag}{flags}", dtype, ".+.", penalties | {"l1": 10 * l1, "lr_power": power},
                       lambda h, g, s, _: OPS.ResourceApplyFtrl(
                           var=h[0], accum=h[1], linear=h[2], grad=g, multiply_linear_by_lr=multiply, **s))
                record(f"FtrlV2/{tag}{flags}", dtype, ".+.",
                       penalties | {"l1": 10 * l1, "l2_shrinkage": 0.05, "lr_power": power},
                       lambda h, g, s, _: OPS.ResourceApplyFtrlV2(
                           var=h[0], accum=h[1], linear=h[2], grad=g, multiply_linear_by_lr=multiply, **s))
    signs = {"lr": 0.1, "sign_decay": 0.7, "beta": 0.9}
    record(f"PowerSign/{tag}", dtype, "..", signs | {"logbase": 1.0}, lambda h, g, s, _: OPS.ResourceApplyPowerSign(
        var=h[0], m=h[1], grad=g, **s))
    record(f"AddSign/{tag}", dtype, "..", signs | {"alpha": 1.0}, lambda h, g, s, _: OPS.ResourceApplyAddSign(
        var=h[0], m=h[1], grad=g, **s))


def sparse(dtype, tag):
    record(f"SparseMomentum/{tag}", dtype, "..", {"lr": 0.1, "momentum": 0.9},
           lambda h, g, s, e: OPS.ResourceSparseApplyMomentum(var=h[0], accum=h[1], grad=g, **s, **e), sparse=True)
    record(f"SparseAdagrad/{tag}", dtype, ".+", {"lr": 0.1},
           lambda h, g, s, e: OPS.ResourceSparseApplyAdagrad(var=h[0], accum=h[1], grad=g, **s, **e), sparse=True)
    record(f"SparseRMSProp/{tag}", dtype, ".+.", {"lr": 0.01, "rho": 0.9, "momentum": 0.5, "epsilon": 1e-3},
           lambda h, g, s, e: OPS.ResourceSparseApplyRMSProp(
               var=h[0], ms=h[1], mom=h[2], grad=g, **s, **e), sparse=True)
    record(f"SparseAdadelta/{tag}", dtype, ".++", {"lr": 0.1, "rho": 0.9, "epsilon": 1e-3},
           lambda h, g, s, e: OPS.ResourceSparseApplyAdadelta(
               var=h[0], accum=h[1], accum_update=h[2], grad=g, **s, **e), sparse=True)
    record(f"SparseFtrl/{tag}", dtype, ".+.", {"lr": 0.1, "l1": 0.2, "l2": 0.03, "lr_power": -0.5},
           lambda h, g, s, e: OPS.ResourceSparseApplyFtrl(
               var=h[0], accum=h[1], linear=h[2], grad=g, **s, **e), sparse=True)


if __name__ == "__main__":
    main()
