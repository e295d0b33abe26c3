"""Attention block by block: its values, tangents and gradients are the dense formula's."""

import importlib.util
import math
import sys
import weakref
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.utils._python_dispatch import TorchDispatchMode

from cmlab.nets import attention as code
from cmlab.nets.attention import BLOCK, attention


def formula(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.softmax(q @ k.mT / math.sqrt(q.shape[-1]), dim=-1) @ v


def draw(n: int, keys: int | None = None, b: int = 2, heads: int = 2, c: int = 16, **kw):
    """q, k, v and a tangent for each."""
    sizes = 2 * (n, keys or n, keys or n)
    every = tuple(torch.randn(b, heads, m, c, **kw) for m in sizes)
    return every[:3], every[3:]


def double(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(a.double() for a in tensors)


def error(a: Tensor, exact: Tensor) -> float:
    return ((a.double() - exact).norm() / exact.norm()).item()


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of three queries and keys, so that the smallest arrays have many."""
    monkeypatch.setattr(code, "BLOCK", 3)


@pytest.mark.parametrize("n", [16, 64, BLOCK])
def test_up_to_one_block_it_is_the_formula_that_networks_were_trained_with_to_the_last_bit(n):
    def before(q: Tensor, k: Tensor, v: Tensor) -> Tensor:  # heads of channels first
        score = torch.einsum("bhcq,bhck->bhqk", q, k) / math.sqrt(q.shape[2])
        share = score.to(torch.promote_types(score.dtype, torch.float32)).softmax(dim=3)
        return torch.einsum("bhqk,bhck->bhcq", share.to(v.dtype), v)

    def now(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return attention(q.mT, k.mT, v.mT).mT

    for dtype in (torch.float32, torch.bfloat16):
        x, t = draw(n, dtype=dtype)
        x, t = (tuple(a.mT.contiguous() for a in some) for some in (x, t))
        for a, b in zip(torch.func.jvp(now, x, t), torch.func.jvp(before, x, t), strict=True):
            assert torch.equal(a, b)


SHAPES = [(BLOCK + 1, None), (2 * BLOCK, None), (700, 300), (5, 900), (1000, BLOCK + 1)]


@pytest.mark.parametrize(("n", "keys"), SHAPES)
def test_value_and_tangent_are_those_of_the_dense_formula(n, keys):
    for dtype, allowed in ((torch.float32, 1e-5), (torch.float64, 1e-12)):
        x, t = draw(n, keys, dtype=dtype)
        y, t_y = torch.func.jvp(attention, x, t)
        exact, t_exact = torch.func.jvp(formula, double(x), double(t))
        assert y.dtype == t_y.dtype == dtype
        assert error(y, exact) < allowed and error(t_y, t_exact) < allowed


def test_the_tangent_is_the_formula_of_the_documentation():
    (q, k, v), (t_q, t_k, t_v) = draw(300, dtype=torch.float64)
    share, t_score = (q @ k.mT / 4).softmax(3), (t_q @ k.mT + q @ t_k.mT) / 4
    y, moved = share @ v, share * t_score
    t_y = moved @ v - moved.sum(3, keepdim=True) * y + share @ t_v
    (_, lse), (t, t_lse) = code.one_pass(q, k, v, (t_q, t_k, t_v))
    torch.testing.assert_close(t, t_y)
    torch.testing.assert_close(lse, (q @ k.mT / 4).logsumexp(3, keepdim=True))
    torch.testing.assert_close(t_lse, moved.sum(3, keepdim=True))


def test_scores_far_beyond_what_exp_can_hold_do_no_harm():
    """q and k are whole numbers, so that scores up to ±2000 are exact in both types."""
    for dtype, allowed in ((torch.float32, 1e-5), (torch.float64, 1e-12)):
        (_, _, v), t = draw(300, 600, dtype=dtype)
        q, k = (torch.randint(-40, 41, (2, 2, m, 16)).to(dtype) for m in (300, 600))
        y, t_y = torch.func.jvp(attention, (q, k, v), t)
        x = double((q, k, v))
        assert formula(*x).isfinite().all() and (x[0] @ x[1].mT).abs().max() / 4 > 1000
        exact, t_exact = torch.func.jvp(formula, x, double(t))
        assert error(y, exact) < allowed and error(t_y, t_exact) < allowed


def test_derivatives_of_every_order_and_mode_are_right(small_blocks):
    x = tuple(a.requires_grad_() for a in draw(5, 7, b=1, c=4, dtype=torch.float64)[0])
    assert torch.autograd.gradcheck(attention, x, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(attention, x, check_fwd_over_rev=True)


def test_gradients_equal_those_of_the_dense_formula():
    for dtype, allowed in ((torch.float32, 1e-5), (torch.float64, 1e-12)):
        x, _ = draw(300, 600, dtype=dtype)
        x = tuple(a.requires_grad_() for a in x)
        exact = tuple(a.detach().double().requires_grad_() for a in x)
        g = torch.randn_like(x[0])
        ours = torch.autograd.grad(attention(*x), x, g)
        theirs = torch.autograd.grad(formula(*exact), exact, g.double())
        assert all(error(a, b) < allowed for a, b in zip(ours, theirs, strict=True))


def test_each_way_to_ask_for_the_tangent_gives_the_same(small_blocks):
    x, t = draw(7, dtype=torch.float64)
    _, expected = torch.func.jvp(formula, x, t)
    with torch.no_grad():
        quiet = torch.func.jvp(attention, x, t)[1]
    with forward_ad.dual_level():
        pairs = (forward_ad.make_dual(a, b) for a, b in zip(x, t, strict=True))
        dual = forward_ad.unpack_dual(attention(*pairs)).tangent
    compared = torch.func.jvp(attention, tuple(a.requires_grad_() for a in x), t)[1]
    for tangent in (quiet, dual, compared):
        torch.testing.assert_close(tangent, expected)
    one = torch.func.jvp(lambda k: attention(x[0], k, x[2]), x[1:2], t[1:2])[1]
    torch.testing.assert_close(
        one, torch.func.jvp(lambda k: formula(x[0], k, x[2]), x[1:2], t[1:2])[1]
    )


def test_sums_are_in_float32_for_bfloat16_and_under_autocast():
    x, t = draw(600, dtype=torch.bfloat16)
    y, t_y = torch.func.jvp(attention, x, t)
    exact, t_exact = torch.func.jvp(formula, double(x), double(t))
    assert y.dtype == t_y.dtype == torch.bfloat16
    assert max(error(y, exact), error(t_y, t_exact)) < 2**-8  # half a step of bfloat16
    x, t = draw(600)
    plain = torch.func.jvp(attention, x, t)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = torch.func.jvp(attention, x, t)
    assert all(torch.equal(a, b) for a, b in zip(plain, cast, strict=True))


@pytest.mark.parametrize(
    "shapes",
    [
        [(2, 3, 4), (2, 3, 4), (2, 3, 4)],
        [(1, 2, 5, 4), (1, 2, 5, 8), (1, 2, 5, 8)],
        [(1, 2, 5, 4), (1, 1, 5, 4), (1, 1, 5, 4)],
        [(1, 2, 5, 4), (1, 2, 6, 4), (1, 2, 5, 4)],
        [(1, 2, 5, 4), (1, 2, 0, 4), (1, 2, 0, 4)],
    ],
)
def test_shapes_that_do_not_belong_together_are_one_sentence(shapes):
    with pytest.raises(ValueError, match=r"attention takes q \(b, heads, n_q, c\)") as error:
        attention(*(torch.zeros(shape) for shape in shapes))
    assert str(error.value).count(". ") == 0


@pytest.mark.parametrize("other", [torch.float64, torch.long])
def test_types_that_do_not_belong_together_are_one_sentence(other):
    a = torch.zeros(1, 1, 4, 4)
    with pytest.raises(TypeError, match="one floating-point type"):
        attention(a, a, a.to(other))
    with pytest.raises(TypeError, match="one floating-point type"):
        attention(a.long(), a.long(), a.long())


class Peak(TorchDispatchMode):
    """The most bytes of tensors that were alive at once, those from before apart."""

    def __init__(self) -> None:
        super().__init__()
        self.alive, self.now, self.most = {}, 0, 0

    def __torch_dispatch__(self, f, types, args=(), kwargs=None):
        out = f(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else (out,):
            if isinstance(tensor, Tensor):
                self.seen(tensor.untyped_storage())
        return out

    def seen(self, storage) -> None:
        where = storage._cdata
        if where not in self.alive:
            self.alive[where] = storage.nbytes()
            self.now += storage.nbytes()
            self.most = max(self.most, self.now)
            weakref.finalize(storage, self.gone, where)

    def gone(self, where) -> None:
        self.now -= self.alive.pop(where)


def peak(f, n: int) -> int:
    """Bytes that a tangent of attention over n pixels needs on top of its inputs."""
    x, t = draw(n, b=1, heads=1, c=32)
    with torch.no_grad(), Peak() as mode:
        torch.func.jvp(f, x, t)
    return mode.most


def test_memory_at_4096_pixels_is_eight_times_below_the_dense_formulas_and_grows_linearly():
    assert peak(formula, 4096) > 8 * peak(attention, 4096)
    assert peak(formula, 4096) > 3.5 * peak(formula, 2048)
    assert peak(attention, 4096) < 2.1 * peak(attention, 2048)


def test_the_measure_of_memory_is_right_where_it_can_be_known():
    a = torch.zeros(1000)
    with Peak() as mode:
        b = a + 1
        view = b[:250].reshape(25, 10)  # takes nothing, and keeps all of b alive
        b = b * 2
        assert (mode.now, mode.most) == (8000, 8000)
        view = view.clone()
        assert (mode.now, mode.most) == (5000, 9000)
    assert len(view) == 25


@pytest.fixture
def kernels(monkeypatch):
    """The Triton kernel: on a GPU, or interpreted (see conftest.py) where there is none.

    It is loaded under another name, past the hook that checks annotations: Triton reads the
    source of a function and must find the function itself.
    """
    pytest.importorskip("triton", reason="needs Triton")
    path = Path(code.__file__).with_name("attention_kernels.py")
    spec = importlib.util.spec_from_file_location("attention_kernels", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(sys.modules, "cmlab.nets.attention_kernels", module)
    code.kernels.cache_clear()
    yield module
    code.kernels.cache_clear()


@pytest.mark.parametrize(
    ("n", "keys", "c"), [(64, 64, 16), (100, 70, 32), (33, 130, 64), (20, 40, 128)]
)
def test_the_kernel_computes_what_the_reference_does(kernels, n, keys, c):
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for scale in (1, 30):  # at 30 the scores are beyond what exp can hold
        x, t = draw(n, keys, b=1, c=c, device=device)
        x = (scale * x[0], x[1], x[2])
        assert kernels.takes(x[0])
        exact = code.reference(*double(x), double(t))
        for ours, theirs in zip(kernels.one_pass(*x, t), exact, strict=True):
            assert all(error(a, b) < 1e-5 for a, b in zip(ours, theirs, strict=True))
    (y, _), (t_y, _) = kernels.one_pass(*x)
    assert error(y, exact[0][0]) < 1e-5 and t_y.abs().max() == 0


def test_what_the_kernel_cannot_take_goes_to_the_reference(kernels):
    for shape, dtype in (
        ((1, 1, 4, 24), torch.float32),
        ((1, 1, 4, 32), torch.float64),
        ((1, 1, 4, 256), torch.float32),
        ((1, 1, 4, 8), torch.float32),
    ):
        assert not kernels.takes(torch.zeros(shape, dtype=dtype))


@pytest.mark.gpu
def test_on_a_gpu_the_kernel_is_in_use_and_tangents_are_right(kernels):
    assert code.kernels() is kernels
    for dtype, allowed in ((torch.float32, 1e-5), (torch.bfloat16, 2**-7), (torch.float64, 1e-12)):
        x, t = draw(1000, 700, c=64, dtype=dtype, device="cuda")
        y, t_y = torch.func.jvp(attention, x, t)
        exact, t_exact = torch.func.jvp(formula, double(x), double(t))
        assert error(y, exact) < allowed and error(t_y, t_exact) < allowed


def test_without_triton_nothing_asks_for_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "cmlab.nets.attention_kernels", None)
    code.kernels.cache_clear()
    assert code.kernels() is None
    code.kernels.cache_clear()


def test_while_torch_compiles_the_dense_formula_takes_over(monkeypatch):
    x, t = draw(300)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    for a, b in zip(
        torch.func.jvp(attention, x, t), torch.func.jvp(code.dense, x, t), strict=True
    ):
        assert torch.equal(a, b)
