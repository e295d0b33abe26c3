"""The trainer: resumed equals unbroken, nothing bad reaches the weights, nothing leaks out."""

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from itertools import islice
from math import inf, isnan, nan

import pytest
import torch
from history import History
from safetensors.torch import load_file
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from cmlab import process
from cmlab.data.digits import Digits
from cmlab.data.toy import Ring
from cmlab.methods import CD, CT, ECT, EDM, ICT, SCM
from cmlab.methods.scm import CentralDifference, Clip, Unbounded, UnitNorm
from cmlab.model import CMPrecond, Denoiser, EDMPrecond, TrigPrecond
from cmlab.nets import MLP, Positional, UNet, embedding
from cmlab.ops import seeded
from cmlab.schedules import WarmupCosine
from cmlab.teacher import InitialModelTeacher, OracleTeacher
from cmlab.train import checkpoint
from cmlab.train.config import Adam, RAdam, TrainConfig
from cmlab.train.distributed import skip_updates_when
from cmlab.train.nonfinite import NotFinite
from cmlab.train.run_log import LOG, JsonlLogger, Progress, every
from cmlab.train.trainer import Trainer

CONFIG = TrainConfig(steps=12, batch=8, rate=WarmupCosine(12, 3), seed=3)


def points(method=None, **settings):
    """A fresh trainer on the ring."""
    with seeded(torch.device("cpu"), 0):
        model = Denoiser(MLP(2, width=16), CMPrecond())
    return Trainer(model, method or ICT(), Ring(), replace(CONFIG, **settings))


def images(method=None, **settings):
    """A fresh trainer on digits, with classes and dropout."""
    with seeded(torch.device("cpu"), 0):
        net = UNet(width=8, mults=(1, 2), dropout=0.3, classes=10)
    return Trainer(
        Denoiser(net, EDMPrecond()), method or CT(), Digits(), replace(CONFIG, **settings)
    )


def angles(method=None, **settings):
    """A fresh trainer on digits in TrigFlow's clock, with classes and dropout."""
    with seeded(torch.device("cpu"), 0):
        net = UNet(width=8, mults=(1, 2), dropout=0.3, classes=10, embed=Positional(16))
    model = Denoiser(net, TrigPrecond(Digits().sigma_data))
    return Trainer(model, method or SCM(), Digits(), replace(CONFIG, **settings))


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def kept(trainer):
    return {name: value.clone() for name, value in trainer.tensors().items()}


@pytest.mark.parametrize(
    "make, method, optimizer",
    [
        (images, CT(), Adam()),  # dropout, classes, and a moving-average target
        (images, ECT(), RAdam()),
        (points, CT(), RAdam()),
        (points, CD(OracleTeacher(Ring())), Adam()),
        (points, EDM(), Adam()),
        (angles, SCM(), RAdam()),  # a weight that is learned along
        (angles, SCM(InitialModelTeacher()), Adam()),
    ],
)
def test_five_steps_and_seven_from_a_file_are_twelve_bit_for_bit(
    tmp_path, make, method, optimizer
):
    unbroken = make(method, optimizer=optimizer).fit()
    first = make(method, optimizer=optimizer)
    list(islice(first.run(), 5))
    checkpoint.write(tmp_path / "c", first.tensors(), {})
    torch.randn(17)  # the caller's randomness has no part in it
    second = make(method, optimizer=optimizer)
    second.load(checkpoint.read(tmp_path / "c")[0], 5, first.seconds, first.average)
    second.fit()
    assert second.step == 12 and second.average == unbroken.average
    assert same(second.tensors(), unbroken.tensors())
    assert not same(unbroken.tensors(), first.tensors())


def test_a_checkpoint_of_another_network_is_refused():
    with pytest.raises(RuntimeError, match="size mismatch|Missing key"):
        points().load(images(EDM()).tensors(), 1, 0.0, 0.0)


def test_training_leaves_the_callers_randomness_untouched_even_while_paused():
    trainer = images()
    before = torch.get_rng_state()
    for _ in islice(trainer.run(), 3):
        assert torch.equal(torch.get_rng_state(), before)
    with pytest.raises(NotFinite):
        points(ICT(weight=lambda t, r: t * nan)).fit()
    assert torch.equal(torch.get_rng_state(), before)


def test_another_seed_is_another_run_and_the_same_seed_the_same():
    one, two, other = points().fit(), points().fit(), points(seed=4).fit()
    assert same(one.tensors(), two.tensors()) and not same(one.tensors(), other.tensors())


def test_a_run_may_be_paused_and_goes_on_as_if_it_had_not_been():
    trainer, draws = points(), []
    for _ in trainer.run():
        draws.append(torch.randn(3))  # the caller does as it likes
        if trainer.step == 5:
            break
    assert trainer.step == 5
    trainer.fit()
    assert trainer.step == 12 and same(trainer.tensors(), points().fit().tensors())
    assert trainer.samples_seen == 12 * 8
    assert list(trainer.run()) == []


def test_an_interrupted_step_leaves_no_trace():
    trainer, calls = points(parts=2), []
    loss = trainer.method.loss

    def interrupted(*args):
        calls.append(1)
        if len(calls) == 2:  # between the two parts of the first batch
            raise KeyboardInterrupt
        return loss(*args)

    trainer.method.loss = interrupted
    with pytest.raises(KeyboardInterrupt):
        trainer.fit()
    assert same(trainer.fit().tensors(), points(parts=2).fit().tensors())


def gradients(trainer):
    return {name: p.grad.clone() for name, p in trainer.model.named_parameters()}


def test_two_parts_of_a_batch_are_two_streams_of_half_the_size():
    trainer = points(parts=2)
    next(trainer.run())
    found, fresh = gradients(trainer), points(parts=2)
    for stream in (0, 1):
        with seeded(torch.device("cpu"), 3, 0, stream):
            x, _ = Ring().sample(4)
            (fresh.method.loss(fresh.model, x, 0).mean() / 2).backward()
    for name, gradient in gradients(fresh).items():
        torch.testing.assert_close(found[name], gradient)
    assert trainer.average != points().fit().average


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
import torch
from lightning_fabric import Fabric
from safetensors.torch import save_file
from test_train import {make} as make, gradients
from cmlab.train.trainer import Trainer
torch.set_num_threads(1)
fabric = Fabric(accelerator="cpu", devices=2, strategy="ddp")
fabric.launch()
assert fabric.world_size == 2
alone = make(parts=4)
trainer = Trainer(alone.model, alone.method, alone.batches.data, alone.config, fabric)
next(trainer.run())
save_file(gradients(trainer) | {{n: v.contiguous() for n, v in trainer.tensors().items()}},
          {out!r} + f"/{{fabric.global_rank}}")
torch.distributed.barrier()  # nobody leaves while another still needs the group
torch.distributed.destroy_process_group()
"""


@pytest.mark.parametrize("make", [points, angles], ids=["ict", "sct"])
def test_two_processes_share_four_parts_and_take_the_step_that_one_takes_alone(
    tmp_path, request, make
):
    script, tests = tmp_path / "script.py", str(request.path.parent)
    script.write_text(SCRIPT.format(tests=tests, out=str(tmp_path), make=make.__name__))
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run([*run, script], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    ranks = [load_file(tmp_path / rank) for rank in "01"]
    assert same(*ranks)
    alone = make(parts=4)
    next(alone.run())
    for name, value in (gradients(alone) | alone.tensors()).items():
        torch.testing.assert_close(ranks[0][name], value)


ONE_SPOILT = """
import os, sys
sys.path.insert(0, {tests!r})
import torch
from lightning_fabric import Fabric
from test_train import NotFinite, Ring, Spoilt, Trainer, points
torch.set_num_threads(1)
fabric = Fabric(accelerator="cpu", devices=2, strategy="ddp")
fabric.launch()
alone = points(parts=2)
trainer = Trainer(alone.model, alone.method, Ring(), alone.config, fabric)
trainer.batches.data = Spoilt() if fabric.global_rank else Ring()
try:
    trainer.fit()
except NotFinite as error:
    with open({out!r} + f"/{{fabric.global_rank}}", "w") as file:
        file.write(str(error))
torch.distributed.barrier()  # nobody leaves while another still needs the group
os._exit(0)  # now and then gloo's threads abort while Python is taken down
"""


def test_a_bad_number_in_one_process_stops_all_and_each_knows_where_it_began(tmp_path, request):
    script = tmp_path / "script.py"
    script.write_text(ONE_SPOILT.format(tests=str(request.path.parent), out=str(tmp_path)))
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run([*run, script], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    first, second = ((tmp_path / rank).read_text() for rank in "01")
    assert first == second and "the data are not finite at step 0: 1 of 4 samples" in first


@dataclass(frozen=True)
class Spoilt:
    """The ring, with one sample that is no number."""

    def sample(self, n):
        x = Ring().sample(n)[0]
        x[n // 2] = nan
        return x, None


def test_a_sample_that_is_no_number_stops_the_run_before_the_weights_are_touched():
    trainer = points()
    list(islice(trainer.run(), 2))
    before, trainer.batches.data = kept(trainer), Spoilt()
    with pytest.raises(NotFinite, match="the data are not finite at step 2: 1 of 8 samples"):
        trainer.advance()
    assert same(trainer.tensors(), before) and trainer.step == 2
    trainer.batches.data = Ring()  # and once the cause is gone, it goes on
    assert same(trainer.fit().tensors(), points().fit().tensors())


def test_an_infinite_loss_is_reported_with_its_noise_level():
    seen = []

    def weight(t, r):
        seen.append(t)
        return torch.where(t > t.median(), inf, 1.0)

    trainer = points(ICT(weight=weight), parts=2)
    before = kept(trainer)
    with pytest.raises(NotFinite) as error:
        trainer.advance()
    t = seen[0]
    level = t[t > t.median()][0].item()
    assert f"first at noise level {level:.4g};" in str(error.value)
    assert same(trainer.tensors(), before)


def test_a_gradient_that_is_no_number_is_reported_with_its_layer():
    trainer = points()
    trainer.model.net.layers[1].weight.register_hook(lambda gradient: gradient * nan)
    before = kept(trainer)
    with pytest.raises(NotFinite, match=r"gradient .* step 0, first in net\.layers\.1\.weight;"):
        trainer.advance()
    assert same(trainer.tensors(), before)


def lazy(**settings):
    """A trainer that checks its flag every fifth step, as one does on a GPU."""
    trainer = points(**settings)
    assert skip_updates_when(trainer.optimizer.optimizer, trainer.flag.found_inf)
    trainer.check_every = 5
    return trainer


def test_the_host_need_not_look_at_each_step():
    assert same(lazy().fit().tensors(), points().fit().tensors())
    assert lazy().fit().average == points().fit().average


def test_a_bad_number_that_is_seen_late_has_not_reached_the_weights():
    trainer, before = lazy(), []

    class SpoiltAtSeven:
        def sample(self, n):
            return (Spoilt() if trainer.step == 7 else Ring()).sample(n)

    advance, trainer.batches.data = trainer.advance, SpoiltAtSeven()

    def watched():
        before.append({name: p.clone() for name, p in trainer.model.state_dict().items()})
        advance()

    trainer.advance = watched
    with pytest.raises(NotFinite, match="the data are not finite at step 7: 1 of 8 samples"):
        trainer.fit()
    assert len(before) == 10 and trainer.step == 7  # it came up at the look after ten steps
    assert same(dict(trainer.model.state_dict()), before[7])
    assert not same(before[7], before[6])
    trainer.batches.data = Ring()
    trainer.advance = advance
    assert trainer.fit().step == 12  # the guard is down again


def test_the_layer_in_which_a_loss_turned_bad_is_named():
    trainer = points()
    layer = trainer.model.net.layers[1]
    layer.register_forward_hook(lambda layer, given, out: out * nan)
    with pytest.raises(NotFinite, match=r"loss .* at noise level [\d.e-]+, in net\.layers\.1;"):
        trainer.advance()


class Reads(TorchDispatchMode):
    """Counts what would make the host wait for a GPU."""

    count = 0

    def __torch_dispatch__(self, f, types, args=(), kwargs=None):
        self.count += f in (torch.ops.aten._local_scalar_dense.default,)
        return f(*args, **(kwargs or {}))


def test_between_two_looks_no_step_reads_a_number_from_the_device(monkeypatch):
    for part in (process, embedding):
        monkeypatch.setattr(part, "on_host", lambda t: False)  # as it is on a GPU
    for make in (images, angles):
        trainer = make(ECT() if make is images else SCM(bound=Clip()))
        skip_updates_when(trainer.optimizer.optimizer, trainer.flag.found_inf)
        trainer.check_every = 5
        with Reads() as reads:
            for _ in range(4):
                trainer.advance()
        assert reads.count == 0
        with Reads() as reads:
            trainer.advance()
        assert reads.count == 1


def test_a_gradient_is_clipped_to_its_largest_norm():
    free, tied = points(), points(clip=1e-3)
    next(free.run()), next(tied.run())
    size = sum(g.square().sum() for g in gradients(free).values()).sqrt()
    for name, gradient in gradients(tied).items():
        torch.testing.assert_close(
            gradient, gradients(free)[name] * 1e-3 / size, rtol=1e-3, atol=0
        )


def test_a_batch_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="batch must be a multiple of parts"):
        replace(CONFIG, parts=3)
    for wrong in (dict(batch=0), dict(steps=-1), dict(parts=0)):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be a whole number in"):
            replace(CONFIG, **wrong)


def test_callbacks_are_called_every_n_steps_and_at_the_end(tmp_path, capsys):
    curve, log = History(), tmp_path / LOG
    trainer = points()
    assert isnan(trainer.average)
    losses = History(lambda trainer: trainer.average)
    trainer.fit(
        losses, every(5, curve), every(6, JsonlLogger(tmp_path)), every(4, Progress("ring"))
    )
    assert curve.steps == [5, 10, 12] and losses.steps == list(range(1, 13))
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    assert [row["step"] for row in rows] == [6, 12]
    assert rows[1]["loss"] == pytest.approx(trainer.average, abs=1e-6)
    assert "12/12" in capsys.readouterr().err


@pytest.mark.gpu
@pytest.mark.parametrize("method", [EDM(), ECT(), ICT()], ids=["edm", "ect", "ict"])
def test_on_a_gpu_no_step_makes_the_host_wait(method):
    trainer = images(method, accelerator="cuda", steps=100)
    trainer.advance()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(3):
            trainer.advance()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_the_average_forgets_two_percent_a_step():
    trainer, losses = points(), []
    backward = trainer.backward
    trainer.backward = lambda part: losses.append(backward(part)) or losses[-1]
    trainer.fit()
    expected = float(losses[0].mean())
    for loss in losses[1:]:
        expected += 0.02 * (float(loss.mean()) - expected)
    assert trainer.average == pytest.approx(expected)


def test_a_teachers_weights_stay_out_of_the_checkpoint_and_a_target_is_in_it():
    assert {name.split(".")[0] for name in points(CD(OracleTeacher(Ring()))).tensors()} == {
        "model",
        "ema",
    }
    trainer = points(CT())
    assert {name.split(".")[0] for name in trainer.tensors()} == {"model", "ema", "target"}
    next(trainer.run())
    assert any(name.startswith("optimizer.0.") for name in trainer.tensors())


def test_a_weight_that_is_learned_along_is_trained_and_kept():
    trainer = angles()
    before = kept(trainer)
    assert {name.split(".")[0] for name in before} == {"model", "ema", "weight"}
    next(trainer.run())
    after = trainer.tensors()
    moved = [n for n in before if n.startswith("weight.linear") and not after[n].equal(before[n])]
    assert moved == ["weight.linear.weight", "weight.linear.bias"]
    last = len(list(trainer.model.parameters())) + 1
    assert f"optimizer.{last}.exp_avg" in after


def test_a_teacher_as_begun_stays_what_the_student_was():
    trainer = angles(SCM(InitialModelTeacher()))
    begun = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.fit()
    teacher = trainer.method.teacher.network
    assert same(teacher.state_dict(), begun) and not same(trainer.model.state_dict(), begun)
    assert not teacher.training
    assert {name.split(".")[0] for name in angles(SCM(InitialModelTeacher())).tensors()} == {
        "model", "ema", "weight",
    }  # fmt: skip
    with pytest.raises(RuntimeError, match="teacher.attach"):
        InitialModelTeacher()(torch.zeros(2, 2), None)


class Broken(nn.Module):
    """A network whose derivative in x is infinite where an entry of x is above 1."""

    def __init__(self):
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(2))

    def forward(self, x, c_noise, cond=None):
        return (1 - x).clamp_min(0).sqrt() + self.shift


@pytest.mark.parametrize("bound", [UnitNorm(), Clip(), Unbounded()], ids=repr)
def test_a_tangent_that_is_no_number_stops_before_a_bound_can_hide_it(bound):
    model = Denoiser(Broken(), TrigPrecond(Ring().sigma_data))
    trainer = Trainer(model, SCM(bound=bound), Ring(), CONFIG)
    before = kept(trainer)
    with pytest.raises(
        NotFinite, match=r"tangent .* at step 0 for \d of 8 .* noise level [\d.]+;"
    ):
        trainer.fit()
    assert same(trainer.tensors(), before) and trainer.step == 0


def test_what_scm_cannot_train_is_refused_before_the_first_step():
    spread = Ring().sigma_data
    batch = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))

    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = batch

        def forward(self, x, c_noise, cond=None):
            return self.inner(x)

    for model, error, sentence in (
        (Denoiser(MLP(2), EDMPrecond()), TypeError, "written for TrigFlow, not VarianceExploding"),
        (Denoiser(MLP(2), TrigPrecond(0.5)), ValueError, "deviation 0.714.*sigma_data = 0.5"),
        (Denoiser(Plain(), TrigPrecond(spread)), TypeError, "'inner.1' .BatchNorm1d. has no"),
    ):
        with pytest.raises(error, match=sentence):
            Trainer(model, SCM(), Ring(), CONFIG)
    other = SCM(derivative=CentralDifference())  # needs no derivative
    assert Trainer(Denoiser(Plain(), TrigPrecond(spread)), other, Ring(), CONFIG).fit().step == 12


def test_two_trainers_of_one_method_share_no_target():
    method = CT()
    one, two = points(method), points(method)
    assert one.method.target is not two.method.target
    with pytest.raises(RuntimeError, match="attach"):
        method.target.networks()
