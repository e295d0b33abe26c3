"""Softmax attention with a forward-mode derivative (JVP) in memory linear in the sequence length.

With S = q kᵀ / √c and P = softmax(S) row by row,

    y   = P v
    t_S = (t_q kᵀ + q t_kᵀ) / √c
    t_y = (P ∘ t_S) v - rowsum(P ∘ t_S) y + P t_v

Neither needs S as a whole. One pass over blocks of keys keeps a running maximum m of the scores
and, weighted by exp(S - m), the sums that make up y and t_y; whenever m grows, what was summed is
scaled down by exp(m_before - m). This is the flash attention of Dao et al. 2022 with the tangent
carried along, as Lu & Song 2025 (arXiv:2410.11081, Appendix F) propose it.
"""

import math
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from .norm import at_least_float32

BLOCK = 256  # queries and keys at a time; 256 keys are an image of 16 × 16 pixels

Pair = tuple[Tensor, Tensor]


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Scaled dot-product attention softmax(q kᵀ / √c) v.

    Up to 256 keys the formula is computed as written, beyond that block by block. Sums are in at
    least float32. Forward mode, gradients and one of the other all work.

    Args:
        q: queries (b, heads, n_q, c).
        k: keys (b, heads, n, c).
        v: values (b, heads, n, c).

    Returns:
        (b, heads, n_q, c).

    Raises:
        ValueError: for shapes that do not fit together.
        TypeError: for types that are not one floating-point type.

    torch.compile ignores the jvp of a custom autograd.Function and differentiates its forward
    instead (torch 2.13, pytorch issue 192985), which no GPU kernel allows. While it traces, the
    plain formula is used: right, but with memory quadratic in n. To keep it linear,
    leave what differentiates uncompiled, or hide this function with torch.compiler.disable.
    """
    check(q, k, v)
    if k.shape[2] <= BLOCK or torch.compiler.is_compiling():
        return dense(q, k, v)
    return Blockwise.apply(q, k, v)[0]


def dense(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """`attention` from the whole matrix of scores, in memory quadratic in n."""
    score = torch.einsum("bhqc,bhkc->bhqk", q, k) / math.sqrt(q.shape[3])
    share = at_least_float32(score).softmax(dim=3)
    return torch.einsum("bhqk,bhkc->bhqc", share.to(v.dtype), v)


def check(q: Tensor, k: Tensor, v: Tensor) -> None:
    """Raise ValueError or TypeError for arguments that `attention` does not take."""
    fits = q.ndim == k.ndim == 4 and (q.shape[:2], q.shape[3]) == (k.shape[:2], k.shape[3])
    if not fits or k.shape != v.shape or not k.shape[2]:
        raise ValueError(
            "attention takes q (b, heads, n_q, c) and k, v (b, heads, n, c) with n > 0, not "
            f"{tuple(q.shape)}, {tuple(k.shape)}, {tuple(v.shape)}."
        )
    if not q.is_floating_point() or not q.dtype == k.dtype == v.dtype:
        raise TypeError(
            "attention takes q, k and v of one floating-point type, not "
            f"{q.dtype}, {k.dtype}, {v.dtype}: convert them to one."
        )


@cache
def kernels() -> ModuleType | None:
    """The Triton kernels, or None where Triton is missing; asked for on GPUs only."""
    try:
        return import_module("cmlab.nets.attention_kernels")
    except ImportError:
        return None


def blocks(*tensors: Tensor) -> list[tuple[Tensor, ...]]:
    """The tensors split along n into blocks."""
    return list(zip(*(a.split(BLOCK, dim=2) for a in tensors), strict=True))


def one_pass(
    q: Tensor, k: Tensor, v: Tensor, tangents: Sequence[Tensor] = ()
) -> tuple[Pair, Pair]:
    """Attention and its JVP: (y, ℓ) and (t_y, t_ℓ) along (t_q, t_k, t_v), 0 if absent.

    ℓ = ln Σ exp(S) (b, heads, n_q, 1) is what the gradient needs of P, and t_ℓ = rowsum(P ∘ t_S).
    On a GPU a Triton kernel computes the same, where there is one for these types and sizes.
    """
    fast = kernels() if q.is_cuda else None
    if fast is not None and fast.takes(q):
        return fast.one_pass(q, k, v, tangents)
    return reference(q, k, v, tangents)


def reference(
    q: Tensor, k: Tensor, v: Tensor, tangents: Sequence[Tensor] = ()
) -> tuple[Pair, Pair]:
    """`one_pass` in PyTorch, with one block of scores in memory at a time."""
    with torch.autocast(q.device.type, enabled=False):  # it would round the products' inputs
        inputs = [at_least_float32(a) for a in (q, k, v, *tangents)]
        rows = blocks(inputs[0], *inputs[3:4])
        keys = blocks(*inputs[1:3], *inputs[4:])
        parts = [of_rows(keys, *some) for some in rows]
        y, lse, t_y, t_lse = (torch.cat(part, dim=2) for part in zip(*parts, strict=True))
    return (y.to(q.dtype), lse), (t_y.to(q.dtype), t_lse)


def of_rows(
    keys: Sequence[tuple[Tensor, ...]], q: Tensor, t_q: Tensor | None = None
) -> tuple[Tensor, ...]:
    """y, ℓ, t_y, t_ℓ of a block of queries; `keys` are blocks (k, v) or (k, v, t_k, t_v)."""
    scale = 1 / math.sqrt(q.shape[3])
    top = torch.full_like(q[..., :1], -math.inf)
    total, t_total, y, t_y = (torch.zeros_like(a) for a in (top, top, q, q))
    for k, v, *t in keys:
        score = q @ k.mT * scale
        before, top = top, torch.maximum(top, score.amax(3, keepdim=True))
        share, shrink = (score - top).exp(), (before - top).exp()
        total = total * shrink + share.sum(3, keepdim=True)
        y = y * shrink + share @ v
        if t_q is not None:
            t_k, t_v = t
            moved = share * ((t_q @ k.mT + q @ t_k.mT) * scale)
            t_total = t_total * shrink + moved.sum(3, keepdim=True)
            t_y = t_y * shrink + moved @ v + share @ t_v
    y, t_lse = y / total, t_total / total
    return y, top + total.log(), t_y / total - t_lse * y, t_lse


def gradient(saved: Sequence[Tensor], g_y: Tensor, g_lse: Tensor) -> tuple[Tensor, ...]:
    """The gradients of q, k, v from those of y and ℓ; P = exp(S - ℓ) is recomputed in blocks.

    With D = rowsum(g_y ∘ y), the gradient of S is P ∘ (g_y vᵀ - D + g_ℓ).
    """
    scale = 1 / math.sqrt(saved[0].shape[3])
    q, k, v, y, lse, g_y = (at_least_float32(a) for a in (*saved, g_y))
    shift = g_lse - (g_y * y).sum(3, keepdim=True)
    keys = blocks(k, v)
    g_q: list[Tensor] = []
    g_k, g_v = [torch.zeros_like(a) for a, _ in keys], [torch.zeros_like(a) for a, _ in keys]
    for q_i, lse_i, g_i, shift_i in blocks(q, lse, g_y, shift):
        g_q.append(torch.zeros_like(q_i))
        for j, (k_j, v_j) in enumerate(keys):
            share = (q_i @ k_j.mT * scale - lse_i).exp()
            g_score = share * (g_i @ v_j.mT + shift_i) * scale
            g_q[-1] = g_q[-1] + g_score @ k_j
            g_k[j] = g_k[j] + g_score.mT @ q_i
            g_v[j] = g_v[j] + share.mT @ g_i
    return tuple(torch.cat(part, dim=2).to(saved[0].dtype) for part in (g_q, g_k, g_v))


class Blockwise(torch.autograd.Function):
    """(q, k, v) -> (y, ℓ), blockwise. ℓ is an output so that second derivatives are right."""

    @staticmethod
    def forward(q: Tensor, k: Tensor, v: Tensor) -> Pair:
        return one_pass(q, k, v)[0]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Pair) -> None:
        ctx.save_for_forward(*inputs)
        ctx.save_for_backward(*inputs, *output)

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Pair:
        q, k, v = ctx.saved_tensors[:3]
        return one_pass(q, k, v, tangents)[1]

    @staticmethod
    def backward(ctx: Any, g_y: Tensor, g_lse: Tensor) -> tuple[Tensor, ...]:
        with torch.autocast(g_y.device.type, enabled=False):
            return gradient(ctx.saved_tensors, g_y, g_lse)
