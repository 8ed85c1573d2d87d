#!/usr/bin/env python3
"""Compares ONNX Runtime on this CPU with the library.

It chooses the instruction set itself, the widest of the machine, and cannot be held to another. A call from Python
takes half a microsecond of a step's time.
"""

import numpy

import models
import program
from race import Comparison
from runtime import Runtime

HEADS, DIM = 8, 64
random = numpy.random.default_rng(1)


def normal(*shape):
    return random.standard_normal(shape, dtype=numpy.float32)


def zeros(*shape):
    return numpy.zeros(shape, dtype=numpy.float32)


def parameters_of(gates, inputs, hidden):
    uniform = lambda *shape: (random.uniform(-1, 1, shape) / hidden**0.5).astype(numpy.float32)
    rows = gates * hidden
    return {"weight_ih": uniform(rows, inputs), "weight_hh": uniform(rows, hidden), "bias_ih": uniform(rows),
            "bias_hh": uniform(rows)}


def recurrent(race, runtime, operator, pass_name, sizes):
    """A step goes on from a state and gives the next; a sequence starts at zero and gives its outputs alone."""
    case = Comparison(race, operator.lower(), pass_name, sizes)
    if not case.wanted or (pass_name == "step" and race.threads > 1):
        return
    batch, time, inputs, hidden = sizes
    parameters, x = parameters_of(len(models.GATES[operator]), inputs, hidden), normal(batch, time, inputs)
    arrays = {"X": numpy.ascontiguousarray(x.swapaxes(0, 1))}
    outputs = {"Y": zeros(time, 1, batch, hidden)}
    names = (["h", "c"] if operator == "LSTM" else ["h"]) if pass_name == "step" else []
    states = {name: normal(1, batch, hidden) for name in names}
    outputs.update({"next_" + name: zeros(1, batch, hidden) for name in names})
    arrays.update(states)
    run = runtime.session(models.recurrent(operator, parameters, arrays, outputs), arrays, outputs)
    case.forward({**parameters, "x": x, **{"state." + name: state for name, state in states.items()}},
                 {"own": lambda: run()["Y"][:, 0].swapaxes(0, 1)})


def attention(race, runtime, pass_name, keys):
    """A sequence, or one token against a cache that its own key and value close; they are written where they lie."""
    case = Comparison(race, "softmax_attention", pass_name, (1, keys, HEADS, DIM))
    if not case.wanted:
        return
    time = keys if pass_name == "scan" else 1
    cache = {name: normal(1, HEADS, keys, DIM) for name in ("key", "value")}
    inputs = {name: normal(1, time, HEADS * DIM) for name in ("query", "key", "value")}
    numbers = {"x": numpy.concatenate(list(inputs.values()), -1)}
    if pass_name == "step":
        numbers.update({name + "s": kept.swapaxes(1, 2) for name, kept in cache.items()})
        inputs.update({"past_" + name: kept for name, kept in cache.items()})
    inputs["seqlens_k"] = numpy.array([keys - 1], dtype=numpy.int32)
    inputs["total_sequence_length"] = numpy.array(keys, dtype=numpy.int32)
    outputs = {"y": zeros(1, time, HEADS * DIM), **{"present_" + name: kept for name, kept in cache.items()}}
    run = runtime.session(models.attention(HEADS, inputs, outputs), inputs, outputs)
    case.forward(numbers, {"GroupQueryAttention": lambda: run()["y"]})


def run(race, arguments):
    runtime = Runtime(arguments.library, race.threads)
    for operator in models.GATES:
        for hidden in (8, 16, 20, 32, 40, 64, 128, 256):
            recurrent(race, runtime, operator, "step", (1, 1, 1, hidden))
        for sizes in ((1, 1000, 64, 64), (1, 1000, 256, 256), (16, 128, 256, 256), (32, 128, 512, 512)):
            recurrent(race, runtime, operator, "scan", sizes)
    for pass_name, keys in (("scan", 1024), ("scan", 4096), ("scan", 8192), ("step", 8192)):
        attention(race, runtime, pass_name, keys)
    return {"onnxruntime": runtime.version}


if __name__ == "__main__":
    program.main("ONNX Runtime", __doc__, run)
