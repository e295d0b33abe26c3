"""Triton kernels: flash attention and its JVP in one pass on a GPU, as `attention.reference`.

Only `attention` imports this file, and only for tensors on a GPU: it needs Triton, which comes
with torch's CUDA builds. A program takes a block of queries of one head through all keys, so that
the scores never leave the chip.
"""

from collections.abc import Sequence
from typing import Any

import torch
import triton  # pyright: ignore[reportMissingImports]
import triton.language as tl  # pyright: ignore[reportMissingImports]
from torch import Tensor

TYPES = (torch.float32, torch.bfloat16, torch.float16)
CHANNELS = (16, 32, 64, 128)  # tl.dot takes powers of two from 16 on; beyond 128 memory runs out


def takes(q: Tensor) -> bool:
    """Whether there is a kernel for this type and number of channels."""
    return q.dtype in TYPES and q.shape[3] in CHANNELS


def one_pass(
    q: Tensor, k: Tensor, v: Tensor, tangents: Sequence[Tensor] = ()
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Attention and its JVP, (y, ℓ) and (t_y, t_ℓ), as in `attention.one_pass`."""
    inputs = [a.contiguous() for a in (q, k, v, *tangents)]
    y, t_y = torch.empty_like(inputs[0]), torch.empty_like(inputs[0])
    lse, t_lse = (torch.empty(*q.shape[:3], 1, device=q.device) for _ in range(2))
    b, heads, n_q, c = q.shape
    # With larger tiles a program's sums no longer fit into the registers.
    rows = 16 if q.dtype == torch.float32 and c > 32 else 32
    launch: Any = through_all_keys  # whose arguments are the kernel's and the launcher's
    with torch.cuda.device_of(q):
        launch[(b * heads, triton.cdiv(n_q, rows))](
            *inputs[:3], *(inputs[3:] or inputs[:3]), y, lse, t_y, t_lse,
            n_q, k.shape[2], c**-0.5,
            C=c, ROWS=rows, KEYS=16, TANGENT=bool(tangents), num_warps=4, num_stages=1,
        )  # fmt: skip
    return (y, lse), (t_y, t_lse)


@triton.jit
def through_all_keys(  # noqa: ANN201
    q, k, v, t_q, t_k, t_v, y, lse, t_y, t_lse, n_q, n_k, scale,  # noqa: ANN001
    C: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, TANGENT: tl.constexpr,
):  # fmt: skip
    head, row = tl.program_id(0).to(tl.int64), tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    q_i, t_q_i = tile(q, head, row, n_q, C), tile(t_q, head, row, n_q, C)
    top, total = tl.full([ROWS], float("-inf"), tl.float32), tl.zeros([ROWS], tl.float32)
    y_i, t_total, t_y_i = tl.zeros([ROWS, C], tl.float32), total, tl.zeros([ROWS, C], tl.float32)
    for start in range(0, n_k, KEYS):
        key = start + tl.arange(0, KEYS)
        k_j, v_j = tile(k, head, key, n_k, C), tile(v, head, key, n_k, C)
        score = tl.where((key < n_k)[None, :], product(q_i, tl.trans(k_j)) * scale, float("-inf"))
        higher = tl.maximum(top, tl.max(score, 1))
        share, shrink = tl.exp(score - higher[:, None]), tl.exp(top - higher)
        top, total = higher, total * shrink + tl.sum(share, 1)
        y_i = y_i * shrink[:, None] + product(share.to(v_j.dtype), v_j)
        if TANGENT:
            moved = product(t_q_i, tl.trans(k_j))
            moved = share * scale * (moved + product(q_i, tl.trans(tile(t_k, head, key, n_k, C))))
            t_total = t_total * shrink + tl.sum(moved, 1)
            t_y_i = t_y_i * shrink[:, None] + product(moved.to(v_j.dtype), v_j)
            t_y_i += product(share.to(v_j.dtype), tile(t_v, head, key, n_k, C))
    keep(y, lse, y_i / total[:, None], top + tl.log(total), head, row, n_q, C)
    t_y_i = (t_y_i - (t_total / total)[:, None] * y_i) / total[:, None]
    keep(t_y, t_lse, t_y_i, t_total / total, head, row, n_q, C)


@triton.jit
def tile(a, head, row, n, C: tl.constexpr):  # noqa: ANN001, ANN201
    """Rows of one head of a (b · heads, n, C), with zeros beyond the last."""
    at = (head * n + row)[:, None] * C + tl.arange(0, C)[None, :]
    return tl.load(a + at, mask=(row < n)[:, None], other=0.0)


@triton.jit
def product(a, b):  # noqa: ANN001, ANN201
    # "tf32x3": a float32 product from three of the tensor cores', whose own has three digits.
    return tl.dot(a, b, input_precision="tf32x3")


@triton.jit
def keep(a, per_row, a_i, number, head, row, n, C: tl.constexpr):  # noqa: ANN001, ANN201
    at, there = head * n + row, row < n
    tl.store(a + at[:, None] * C + tl.arange(0, C)[None, :], a_i, mask=there[:, None])
    tl.store(per_row + at, number, mask=there)
