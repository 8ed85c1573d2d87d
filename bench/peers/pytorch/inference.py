"""Steps and whole sequences; forward and backward of recurrent layers and of the selective scan."""

import math

import torch
from torch import nn

import functions
from functions import attention
from race import Comparison

BACKWARD = 1e-3  # the bound of differences of gradients, sums of many
SEQUENCES = [(1, 1000, 64, 64), (1, 1000, 256, 256), (16, 128, 256, 256), (32, 128, 512, 512)]


class TorchComparison(Comparison):
    """Takes tensors."""

    def prepare(self, inputs):
        super().prepare({name: tensor.detach().numpy() for name, tensor in inputs.items()})

    def forward(self, inputs, peers):
        with torch.no_grad():
            super().forward(inputs, peers)

    def training(self, inputs, leaves, call, dy):
        """leaves: by the names of our gradients; call() gives y."""

        def both():
            for leaf in leaves.values():
                leaf.grad = None
            call().backward(dy)

        self.prepare({**inputs, "dy": dy})
        both()
        pairs = [("y", self.race.ours.get("y"), call().detach())]
        pairs += [(name, self.race.ours.get(name), leaf.grad) for name, leaf in leaves.items()]
        self.race.compare(self.name, pairs, BACKWARD)
        self.race.run(self.layer, self.pass_name, self.sizes, {"own": both})


def heads_first(x, heads):
    """[b, t, heads * d] -> [b, heads, t, d], in memory of its own."""
    return x.view(*x.shape[:2], heads, -1).transpose(1, 2).contiguous()


def tokens_first(call):
    """The result [b, heads, t, d] of a call as our [b, t, heads * d]."""
    return lambda: call().transpose(1, 2).flatten(2)


def parameters_of(module):
    return {name.removesuffix("_l0"): p for name, p in module.named_parameters()}


def recurrent_steps(race):
    for layer, kind in (("lstm", nn.LSTMCell), ("gru", nn.GRUCell)):
        for hidden in (8, 16, 20, 32, 40, 64, 128, 256):
            case = TorchComparison(race, layer, "step", (1, 1, 1, hidden))
            if not case.wanted or race.threads > 1:
                continue
            cell, x, h, c = kind(1, hidden), torch.randn(1, 1), torch.randn(1, hidden), torch.randn(1, hidden)
            inputs = {**parameters_of(cell), "x": x, "state.h": h}
            if layer == "lstm":
                case.forward({**inputs, "state.c": c}, {"own": lambda: cell(x, (h, c))[0]})
            else:
                case.forward(inputs, {"own": lambda: cell(x, h)})


def recurrent_sequences(race):
    for layer, kind in (("lstm", nn.LSTM), ("gru", nn.GRU)):
        for sizes in SEQUENCES:
            batch, time, inputs, hidden = sizes
            case = TorchComparison(race, layer, "scan", sizes)
            module, x = kind(inputs, hidden), torch.randn(batch, time, inputs)
            time_first = x.transpose(0, 1).contiguous()  # the layout that PyTorch runs in
            if case.wanted:
                case.forward({**parameters_of(module), "x": x}, {"own": lambda: module(time_first)[0].transpose(0, 1)})
            case = TorchComparison(race, layer, "training", sizes)
            if case.wanted:
                x = x.requires_grad_()
                dy = torch.randn(batch, time, hidden)
                leaves = {"gradient." + name: p for name, p in parameters_of(module).items()}
                case.training({**parameters_of(module), "x": x}, {"dx": x, **leaves},
                              lambda: module(x.transpose(0, 1))[0].transpose(0, 1), dy)


def selective_scans(race):
    for sizes in ((1, 2048, 1536, 16), (1, 256, 768, 16), (1, 1, 1536, 16)):
        batch, time, features, states = sizes
        u, delta = torch.randn(batch, time, features), torch.randn(batch, time, features) - 3
        B, C = torch.randn(batch, time, states), torch.randn(batch, time, states)
        A = -torch.arange(1, states + 1).float().repeat(features, 1)
        D, h = torch.ones(features), torch.randn(batch, features, states)
        inputs = {"x": torch.cat([u, delta, B, C], -1), "A": A, "D": D}
        case = TorchComparison(race, "selective_scan", "step" if time == 1 else "scan", sizes)
        if case.wanted:
            loop = lambda: functions.selective_scan(u, delta, A, B, C, D, h)
            case.forward({**inputs, "state.h": h.transpose(1, 2)}, {"loop": loop})
        case = TorchComparison(race, "selective_scan", "training", sizes)
        if case.wanted and time > 1:
            h = torch.zeros_like(h)
            x, A, D = (tensor.requires_grad_() for tensor in (inputs["x"], A, D))
            call = lambda: functions.selective_scan(x[..., :features], x[..., features:2 * features], A,
                                                    x[..., -2 * states:-states], x[..., -states:], D, h)
            case.training(inputs, {"dx": x, "gradient.A": A, "gradient.D": D}, call, torch.randn(batch, time, features))


def head_inputs(sizes):
    batch, time, heads, key_dim, value_dim = sizes
    q, k = (torch.randn(batch, time, heads * key_dim) for _ in range(2))
    k = nn.functional.normalize(k.view(batch, time, heads, key_dim), dim=-1).flatten(2)
    v, S = torch.randn(batch, time, heads * value_dim), torch.randn(batch, heads, key_dim, value_dim)
    return q, k, v, S


def linear_attentions(race):
    for time, heads, dim in ((2048, 4, 64), (4096, 8, 128), (1, 4, 64), (1, 8, 128)):
        sizes = (1, time, heads, dim, dim)
        q, k, v, S = head_inputs(sizes)
        Q, K, V = heads_first(q * dim**-0.5, heads), heads_first(k, heads), heads_first(v, heads)
        pass_name = "step" if time == 1 else "scan"
        case = TorchComparison(race, "gated_linear_attention", pass_name, sizes)
        if case.wanted:
            g = torch.log(0.8 + 0.2 * torch.rand(1, time, heads * dim))
            G = heads_first(g, heads)
            peers = {"recurrent": tokens_first(lambda: functions.gla_recurrent(Q, K, V, G, S))}
            if time > 1:
                peers["chunk 64"] = tokens_first(lambda: functions.gla_chunked(Q, K, V, G, S))
            case.forward({"x": torch.cat([q, k, v, g], -1), "state.S": S}, peers)
        case = TorchComparison(race, "delta_rule", pass_name, sizes)
        if case.wanted:
            beta = torch.rand(1, time, heads)
            B = beta.transpose(1, 2).contiguous()
            peers = {"recurrent": tokens_first(lambda: functions.delta_recurrent(Q, K, V, B, S))}
            if time > 1:
                peers["chunk 64"] = tokens_first(lambda: functions.delta_chunked(Q, K, V, B, S))
            case.forward({"x": torch.cat([q, k, v, beta], -1), "state.S": S}, peers)


def softmax_attentions(race):
    heads, dim = 8, 64
    for time in (1024, 4096):
        case = TorchComparison(race, "softmax_attention", "scan", (1, time, heads, dim))
        if case.wanted:
            q, k, v = (torch.randn(1, time, heads * dim) for _ in range(3))
            Q, K, V = (heads_first(part, heads) for part in (q, k, v))
            unseen = torch.ones(time, time, dtype=torch.bool).triu(1)
            case.forward({"x": torch.cat([q, k, v], -1)},
                         {"matmul": tokens_first(lambda: attention(Q, K, V, unseen))})
    keys = 8192
    case = TorchComparison(race, "softmax_attention", "step", (1, keys, heads, dim))
    if case.wanted:
        q, k, v = torch.randn(1, heads * dim), torch.randn(1, keys, heads * dim), torch.randn(1, keys, heads * dim)
        Q, K, V = heads_first(q.view(1, 1, -1), heads), heads_first(k, heads), heads_first(v, heads)
        case.forward({"x": torch.cat([q, k[:, -1], v[:, -1]], -1), "keys": k, "values": v},
                     {"matmul": tokens_first(lambda: attention(Q, K, V))})


def state_spaces(race):
    features, states = 256, 64
    for time in (4096, 16384):
        modes = states // 2
        real = torch.full((features, modes), math.log(0.5))
        imaginary = math.pi * torch.arange(modes).repeat(features, 1)
        C, D = torch.randn(features, modes, dtype=torch.cfloat), torch.randn(features)
        log_dt = torch.rand(features) * (math.log(0.1) - math.log(0.001)) + math.log(0.001)
        A, dt = torch.complex(-real.exp(), imaginary), log_dt.exp()
        u = torch.randn(1, time, features)
        channels_first = u.transpose(1, 2).contiguous()
        inputs = {"log_A_real": real, "A_im": imaginary, "C.re": C.real, "C.im": C.imag, "log_dt": log_dt, "D": D}
        sizes = (1, time, features, states)
        response = lambda: functions.s4d_kernel(A, C, dt, time)
        convolve = lambda kernel: functions.fft_convolution(channels_first, kernel, D).transpose(1, 2)
        case = TorchComparison(race, "s4d", "kernel", sizes)
        if case.wanted:
            case.forward(inputs, {"own": response})
        case = TorchComparison(race, "s4d, parameters", "scan", sizes)
        if case.wanted:
            case.forward({**inputs, "x": u}, {"own": lambda: convolve(response())})
        case = TorchComparison(race, "s4d", "scan", sizes)
        if case.wanted:
            kernel = response()
            case.forward({**inputs, "x": u}, {"own": lambda: convolve(kernel)})


def run(race):
    torch.manual_seed(1)
    for part in (recurrent_steps, recurrent_sequences, selective_scans, linear_attentions, softmax_attentions,
                 state_spaces):
        part(race)
