"""`cmlab export RUN --onnx FILE`: a trained network as an ONNX file, for other programs.

The file holds f(x_t, t[, label][, s]) with its preconditioning, in float32 and for any batch:

    x_t, t    noisy data and its time, in the process of the network; under EDM t is σ
    label     the class, where the network has classes
    s         the time where a jump ends, where it is a flow map: with the estimate x, which is the
              output, transport(x_t, x, t -> s) lands on the path

Labels are not checked there: what happens to one that is no class is up to the program.
"""

import inspect
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cmlab.cli.settings import Refused
from cmlab.model import Denoiser
from cmlab.nets.embedding import Labels
from cmlab.ops import expand, seeded
from cmlab.train import checkpoint
from cmlab.train.recipe import Recipe, to_dict

MISSING = "--onnx needs three more libraries: pip install onnx onnxscript onnxruntime"
LARGEST = 2**31  # bytes of one file in ONNX's format
CLOSE = 1e-4  # of the largest answer: how far the file may be from torch, both in float32


class Inputs(nn.Module):
    """A denoiser with the inputs of the file, in their order."""

    def __init__(self, model: Denoiser, names: tuple[str, ...]) -> None:
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *given: Tensor) -> Tensor:
        by_name = dict(zip(self.names, given, strict=True))
        label, s = by_name.get("label"), by_name.get("s")
        return self.model(by_name["x_t"], by_name["t"], label, s)


def classes_of(model: nn.Module) -> int:
    """The number of classes of a network; 0 for an unconditional one."""
    return max((part.classes for part in model.modules() if isinstance(part, Labels)), default=0)


def sigma_range(model: Denoiser, recipe: Recipe) -> tuple[float, float]:
    """The noise level at which f(x) = x, and the one at which the sampler starts."""
    return getattr(model.precond, "sigma_min", 0.0), recipe.sampler.sigma_max


def inputs(model: Denoiser, recipe: Recipe, n: int) -> dict[str, Tensor]:
    """n inputs by name: noise at levels from the highest down, each class, any jump."""
    data: Any = recipe.data
    x, _ = getattr(data, "blank", data.sample)(2)  # own pictures may be elsewhere
    low, high = sigma_range(model, recipe)
    level = low + (high - low) * torch.linspace(1, 0, n) ** 3
    t = model.process.time(level.float())
    z = torch.randn(n, *x.shape[1:])
    found = {"x_t": expand(model.process(t)[1], z) * z, "t": t}
    if classes := classes_of(model):
        found["label"] = torch.arange(n) % classes
    if model.two_times:
        found["s"] = t * torch.rand(n)
    return found


@contextmanager
def quiet() -> Iterator[None]:
    """Without the exporter's warnings: of its own deprecated calls, and of torchvision missing."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def converted(model: Denoiser, given: dict[str, Tensor]) -> Any:
    """The model as an ONNX graph, a protobuf message.

    It is exported by torch.export first. Handed the model itself, torch.onnx.export (torch 2.13)
    fixes the batch, without a word, where a free one cannot be had.
    """
    names = tuple(given)
    free = (tuple({0: torch.export.Dim("batch")} for _ in names),)
    with quiet():
        program = torch.export.export(
            Inputs(model, names), tuple(given.values()), dynamic_shapes=free
        )
        made = torch.onnx.export(program, input_names=names, output_names=["x"], verbose=False)
    assert made is not None
    proto = made.model_proto  # once: it is made anew at each look
    graph = proto.graph
    for part in (*graph.node, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]  # lines of code, with paths on this machine
    del graph.value_info[:]
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    return proto


def metadata(model: Denoiser, recipe: Recipe) -> dict[str, str]:
    """What another program has to know of the network, and its whole recipe as JSON."""
    low, high = sigma_range(model, recipe)
    t_min, t_max = model.process.time(torch.tensor([low, high], dtype=torch.float64)).tolist()
    about = (inspect.getdoc(type(model.process)) or "").partition("\n")[0]
    names = (type(part).__name__ for part in (recipe.method, recipe.data))
    return {
        "cmlab.network": " on ".join(names),
        "cmlab.process": f"{model.process}: {about}",
        "cmlab.sigma": f"{low:g} to {high:g}",
        "cmlab.t": f"{t_min:g} to {t_max:g}",
        "cmlab.classes": str(classes_of(model)),
        "cmlab.recipe": json.dumps(to_dict(recipe)),
    }


def difference(file: Path, model: Denoiser, given: dict[str, Tensor]) -> float:
    """The largest distance of the file's answers from torch's, in units of the largest answer."""
    import onnxruntime  # pyright: ignore[reportMissingImports]

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    numbers = {name: value.numpy() for name, value in given.items()}
    try:
        session = onnxruntime.InferenceSession(
            file.read_bytes(), options, providers=["CPUExecutionProvider"]
        )
        (found,) = session.run(["x"], numbers)
    except Exception as error:  # its errors share no other base
        raise Refused(f"onnxruntime cannot run what was exported: {error}") from error
    with torch.no_grad():
        right = Inputs(model, tuple(given))(*given.values())
    return float((torch.from_numpy(found) - right).abs().max() / right.abs().max())


def export_onnx(model: Denoiser, recipe: Recipe, path: Path) -> dict[str, float]:
    """Write a network as an ONNX file, without dropout, and compare the file with torch.

    Args:
        model: the network, which keeps its mode.
        recipe: its recipe.
        path: the file, which is written whole or not at all.

    Returns:
        For batches of two sizes the largest distance from torch's answers, relative to them.

    Raises:
        Refused: if a package is missing, the network cannot be exported, or the file's answers
            are others.
        BadFile: if the file cannot be written.
    """
    try:
        import onnx  # pyright: ignore[reportMissingImports]
        import onnxruntime  # noqa: F401  # pyright: ignore[reportMissingImports]
        import onnxscript  # noqa: F401  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise Refused(MISSING) from error
    model = deepcopy(model).cpu().float().eval().requires_grad_(False)
    if 4 * sum(weight.numel() for weight in model.state_dict().values()) > LARGEST:
        raise Refused("a network of more than 2 GB cannot be one ONNX file")
    with seeded(torch.device("cpu"), 0):
        tries = [inputs(model, recipe, n) for n in (2, 1, 7)]
    made = converted(model, tries[0])
    onnx.helper.set_model_props(made, metadata(model, recipe))
    onnx.checker.check_model(made)
    apart: dict[str, float] = {}

    def fill(temporary: Path) -> None:
        temporary.write_bytes(made.SerializeToString())
        apart.update({f"batch {len(given['t'])}": difference(temporary, model, given)
                      for given in tries[1:]})  # fmt: skip
        if not max(apart.values()) < CLOSE:  # also false for NaN
            raise Refused(f"the file's answers differ from torch's by {max(apart.values()):.2g}")

    checkpoint.replace(path, fill)
    return apart
