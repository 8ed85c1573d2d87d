"""The scans and attentions as PyTorch users write them: the reference code of their papers, eager."""

import math

import torch


def selective_scan(u, delta, A, B, C, D, h):
    """Mamba's reference loop. u, delta [b, t, d]; A [d, n]; B, C [b, t, n]; D [d]; h [b, d, n]."""
    dt = torch.nn.functional.softplus(delta)
    decay = torch.exp(dt.unsqueeze(-1) * A)
    drive = (dt * u).unsqueeze(-1) * B.unsqueeze(2)
    outputs = []
    # unbind, for the gradient of an index is a tensor of zeros of full size at every step
    for a, x, c in zip(decay.unbind(1), drive.unbind(1), C.unsqueeze(-1).unbind(1)):
        h = a * h + x
        outputs.append((h @ c).squeeze(-1))
    return torch.stack(outputs, 1) + u * D


def gla_recurrent(q, k, v, g, S):
    """q, k, g [b, h, t, dk], g log decays; v [b, h, t, dv]; S [b, h, dk, dv]."""
    outputs = []
    for q_t, k_t, v_t, a_t in zip(q.unbind(2), k.unbind(2), v.unbind(2), g.exp().unbind(2)):
        S = S * a_t.unsqueeze(-1) + k_t.unsqueeze(-1) * v_t.unsqueeze(-2)
        outputs.append((q_t.unsqueeze(-2) @ S).squeeze(-2))
    return torch.stack(outputs, 2)


def gla_chunked(q, k, v, g, S, chunk=64):
    """The same in chunks (arXiv 2312.06635, section 4.2), all of them at once but for the states between."""
    b, h, t, dk = q.shape
    q, k, g = (x.reshape(b, h, t // chunk, chunk, dk) for x in (q, k, g))
    v = v.reshape(b, h, t // chunk, chunk, -1)
    a = g.cumsum(3)
    last = a[:, :, :, -1:, :]
    q = q * a.exp()
    future = torch.ones(chunk, chunk, dtype=torch.bool).triu(1)
    inside = (q @ (k * (-a).exp()).transpose(-1, -2)).masked_fill(future, 0.0) @ v
    new = (k * (last - a).exp()).transpose(-1, -2) @ v
    decay = last.exp().transpose(-1, -2)
    before = []
    for q_c, decay_c, new_c in zip(q.unbind(2), decay.unbind(2), new.unbind(2)):
        before.append(q_c @ S)
        S = decay_c * S + new_c
    return (inside + torch.stack(before, 2)).reshape(b, h, t, -1)


def delta_recurrent(q, k, v, beta, S):
    """q, k [b, h, t, dk], k of length one; v [b, h, t, dv]; beta [b, h, t]; S [b, h, dk, dv]."""
    outputs = []
    for q_t, k_t, v_t, beta_t in zip(q.unbind(2), k.unbind(2), v.unbind(2), beta.unbind(2)):
        wrong = v_t - (k_t.unsqueeze(-2) @ S).squeeze(-2)
        S = S + k_t.unsqueeze(-1) * (beta_t.unsqueeze(-1) * wrong).unsqueeze(-2)
        outputs.append((q_t.unsqueeze(-2) @ S).squeeze(-2))
    return torch.stack(outputs, 2)


def delta_chunked(q, k, v, beta, S, chunk=64):
    """The same in chunks (arXiv 2406.06484, section 3.2)."""
    b, h, t, dk = q.shape
    q, k = (x.reshape(b, h, t // chunk, chunk, dk) for x in (q, k))
    v = v.reshape(b, h, t // chunk, chunk, -1)
    beta = beta.reshape(b, h, t // chunk, chunk, 1)
    ahead = (beta * k @ k.transpose(-1, -2)).tril(-1)
    solved = torch.linalg.solve_triangular(ahead, beta * torch.cat([k, v], -1), upper=False, unitriangular=True)
    w, u = solved.split([dk, v.shape[-1]], -1)
    scores = (q @ k.transpose(-1, -2)).tril()
    outputs = []
    for q_c, k_c, w_c, u_c, scores_c in zip(*(x.unbind(2) for x in (q, k, w, u, scores))):
        wrong = u_c - w_c @ S
        outputs.append(q_c @ S + scores_c @ wrong)
        S = S + k_c.transpose(-1, -2) @ wrong
    return torch.stack(outputs, 2).reshape(b, h, t, -1)


def attention(q, k, v, unseen=None):
    """q, k, v [b, h, t, d]; unseen [t, t]: the pairs that are not."""
    scores = (q @ k.transpose(-1, -2)) * (1 / math.sqrt(q.shape[-1]))
    if unseen is not None:
        scores = scores.masked_fill(unseen, float("-inf"))
    return torch.softmax(scores, -1) @ v


def s4d_kernel(A, C, dt, length):
    """S4D's impulse response (arXiv 2206.11893, listing 1). A, C [d, n] complex; dt [d]."""
    z = A * dt[:, None]
    weight = C * (torch.exp(z) - 1) / A
    return 2 * torch.einsum("dn,dnl->dl", weight, torch.exp(z[:, :, None] * torch.arange(length))).real


def fft_convolution(u, kernel, D):
    """u [b, d, t]; kernel [d, t]; D [d]."""
    n = 2 * u.shape[-1]
    product = torch.fft.rfft(u, n=n) * torch.fft.rfft(kernel, n=n)
    return torch.fft.irfft(product, n=n)[..., : u.shape[-1]] + u * D[:, None]
