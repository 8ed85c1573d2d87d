"""Layers for training, eager, their parameters named as ours."""

import torch
from torch import nn
from torch.nn import functional

from functions import attention, gla_chunked, gla_recurrent, selective_scan


def split_heads(x, heads):
    return x.view(*x.shape[:2], heads, -1).transpose(1, 2)


def join_heads(x):
    return x.transpose(1, 2).flatten(2)


class Recurrent(nn.Module):
    """torch.nn.LSTM or GRU, whose first output is the sequence."""

    def __init__(self, kind, inputs, hidden):
        super().__init__()
        self.layer = kind(inputs, hidden, batch_first=True)

    def forward(self, x):
        return self.layer(x)[0]

    def parameters_by_name(self):
        return {name.removesuffix("_l0"): p for name, p in self.layer.named_parameters()}


class Named(nn.Module):
    def parameters_by_name(self):
        return dict(self.named_parameters())


class Gain(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))


class GatedLinearAttention(Named):
    """arXiv 2312.06635, section 4.4."""

    def __init__(self, width, heads, scan):
        super().__init__()
        self.heads, self.scan = heads, scan
        self.q_proj = nn.Linear(width, width // 2, bias=False)
        self.k_proj = nn.Linear(width, width // 2, bias=False)
        self.v_proj = nn.Linear(width, width, bias=False)
        self.gk_proj = nn.Sequential(nn.Linear(width, 16, bias=False), nn.Linear(16, width // 2))
        self.g_proj = nn.Linear(width, width, bias=False)
        self.g_norm_swish_gate = Gain(width // heads)
        self.o_proj = nn.Linear(width, width, bias=False)

    def forward(self, x):
        q, k, v = (split_heads(part(x), self.heads) for part in (self.q_proj, self.k_proj, self.v_proj))
        g = split_heads(functional.logsigmoid(self.gk_proj(x)) / 16, self.heads)
        state = x.new_zeros(x.shape[0], self.heads, q.shape[-1], v.shape[-1])
        o = self.scan(q * q.shape[-1] ** -0.5, k, v, g, state)
        o = o * torch.rsqrt(o.pow(2).mean(-1, keepdim=True) + 1e-5) * self.g_norm_swish_gate.weight
        return self.o_proj(join_heads(o) * functional.silu(self.g_proj(x)))


class Mamba(Named):
    """arXiv 2312.00752, figure 3; its scan is the authors' reference loop."""

    def __init__(self, width, states):
        super().__init__()
        inner, self.rank, self.states = 2 * width, (width + 15) // 16, states
        self.in_proj = nn.Linear(width, 2 * inner, bias=False)
        self.conv = nn.Conv1d(inner, inner, 4, groups=inner, padding=3)
        self.x_proj = nn.Linear(inner, self.rank + 2 * states, bias=False)
        self.dt_proj = nn.Linear(self.rank, inner)
        self.A_log = nn.Parameter(torch.log(torch.arange(1, states + 1).float()).repeat(inner, 1))
        self.D = nn.Parameter(torch.ones(inner))
        self.out_proj = nn.Linear(inner, width, bias=False)

    def forward(self, u):
        x, z = self.in_proj(u).chunk(2, -1)
        x = functional.silu(self.conv(x.transpose(1, 2))[..., : u.shape[1]].transpose(1, 2))
        r, B, C = self.x_proj(x).split([self.rank, self.states, self.states], -1)
        state = x.new_zeros(x.shape[0], x.shape[2], self.states)
        y = selective_scan(x, self.dt_proj(r), -torch.exp(self.A_log), B, C, self.D, state)
        return self.out_proj(y * functional.silu(z))


class MatmulAttention(Named):
    """Causal attention by two products and a softmax."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            setattr(self, name, nn.Linear(width, width, bias=False))

    def forward(self, x):
        q, k, v = (split_heads(part(x), self.heads) for part in (self.q_proj, self.k_proj, self.v_proj))
        unseen = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
        return self.o_proj(join_heads(attention(q, k, v, unseen)))


class BuiltInAttention(nn.Module):
    """torch.nn.MultiheadAttention."""

    def __init__(self, width, heads):
        super().__init__()
        self.layer = nn.MultiheadAttention(width, heads, bias=False, batch_first=True)

    def forward(self, x):
        unseen = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
        return self.layer(x, x, x, attn_mask=unseen, need_weights=False)[0]

    def parameters_by_name(self):
        joint = self.layer.in_proj_weight
        return {"q_proj.weight k_proj.weight v_proj.weight": joint, "o_proj.weight": self.layer.out_proj.weight}


def lstm(width, _):
    return {"own": Recurrent(nn.LSTM, width, width)}


def gru(width, _):
    return {"own": Recurrent(nn.GRU, width, width)}


def gated_linear_attention(width, heads):
    return {"chunk 64": GatedLinearAttention(width, heads, gla_chunked),
            "recurrent": GatedLinearAttention(width, heads, gla_recurrent)}


def mamba(width, states):
    return {"own": Mamba(width, states)}


def multi_head_attention(width, heads):
    return {"matmul": MatmulAttention(width, heads), "MultiheadAttention": BuiltInAttention(width, heads)}
