"""Models of one operator each, as bytes of ONNX."""

import numpy
from onnx import TensorProto, helper, numpy_helper

MICROSOFT = "com.microsoft"
ELEMENTS = {"float32": TensorProto.FLOAT, "int32": TensorProto.INT32}


def model(operator, arguments, inputs, outputs, constants=None, domain="", **attributes):
    """arguments: the operator's inputs in their order, "" where one is left out, each of them a constant or an input of
    the model; inputs, outputs and constants: {name: array}."""
    describe = lambda arrays: [helper.make_tensor_value_info(name, ELEMENTS[array.dtype.name], array.shape)
                               for name, array in arrays.items()]
    fixed = [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()]
    node = helper.make_node(operator, arguments, list(outputs), domain=domain, **attributes)
    graph = helper.make_graph([node], operator, describe(inputs), describe(outputs), fixed)
    versions = [helper.make_opsetid("", 17), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(graph, opset_imports=versions, ir_version=8).SerializeToString()


# Its gates by their places in ours: input, output, forget, cell of ours' input, forget, cell, output; update, reset,
# candidate of ours' reset, update, candidate.
GATES = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2)}


def recurrent(operator, parameters, inputs, outputs):
    """LSTM or GRU with our parameters. Inputs: X [time, batch, inputs], and as they are there h, c [1, batch, hidden];
    outputs: Y [time, 1, batch, hidden], and h and c behind."""

    def gates(name):
        blocks = numpy.split(parameters[name], len(GATES[operator]))
        return numpy.concatenate([blocks[gate] for gate in GATES[operator]])

    constants = {"W": gates("weight_ih")[None], "R": gates("weight_hh")[None],
                 "B": numpy.concatenate([gates("bias_ih"), gates("bias_hh")])[None]}
    states = [name for name in inputs if name != "X"]
    attributes = {"hidden_size": parameters["weight_hh"].shape[1]}
    if operator == "GRU":
        attributes["linear_before_reset"] = 1
    return model(operator, ["X", "W", "R", "B", *([""] if states else []), *states], inputs, outputs, constants,
                 **attributes)


def attention(heads, inputs, outputs):
    """Causal attention. Inputs: query, key, value [batch, time, heads * dim], past_key, past_value [batch, heads, kept,
    dim] if there are, seqlens_k [batch] and total_sequence_length []; outputs: y, present_key, present_value."""
    order = ["query", "key", "value", "past_key", "past_value", "seqlens_k", "total_sequence_length"]
    arguments = [name if name in inputs else "" for name in order]
    return model("GroupQueryAttention", arguments, inputs, outputs, domain=MICROSOFT, num_heads=heads,
                 kv_num_heads=heads)
