"""Classifier-free guidance of a teacher: away from its answer without a label, Ho & Salimans 2022.

    D_w(x_t, t, c) = D(x_t, t, c) + w (D(x_t, t, c) - D(x_t, t, ∅))

The student distils the guided teacher, so it needs no guidance of its own when it samples. w
counts as in MusicCM and in the code of PCM: with w = 0 there is no guidance.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .guide import Memory
from .ingredients import ingredient
from .vocabulary import Data, Denoise, Teacher


@ingredient
@dataclass(eq=False)
class Guided(Memory):
    """A teacher, guided by w = `scale`. `null` is the label that stands for none.

    The teacher's network has one class more than the data, `null` the last of them, and was
    trained on `data.Unlabelled`. Without labels (cond is None) it answers as it is.
    """

    teacher: Teacher
    scale: float = 2.0
    null: int = 0

    def __call__(self, x: Data, cond: Tensor | None = None) -> Denoise:
        with_label = self.teacher(x, cond)
        if cond is None or self.scale == 0:
            return with_label
        without = self.teacher(x, torch.full_like(cond, self.null))

        def denoise(x_t: Tensor, t: Tensor) -> Tensor:
            c = with_label(x_t, t)
            return c + self.scale * (c - without(x_t, t))

        return denoise

    def attach(self, model: nn.Module) -> None:
        if isinstance(self.teacher, Memory):
            self.teacher.attach(model)

    def update(self, model: nn.Module, step: int) -> None:
        if isinstance(self.teacher, Memory):
            self.teacher.update(model, step)

    def networks(self) -> dict[str, nn.Module]:
        return self.teacher.networks() if isinstance(self.teacher, Memory) else {}
