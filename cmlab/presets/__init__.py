"""Runs by name: functions that return a recipe, each with its command, seconds and scores."""

from collections.abc import Callable

from ..recipe import Recipe
from . import cifar10, cifar10_laptop, cifar10_paper, digits, faster, latent, music, phased, shapes, toy

PRESETS: dict[str, Callable[..., Recipe]] = {
    "toy.edm": toy.edm,
    "toy.cd": toy.cd,
    "toy.ct": toy.ct,
    "toy.ict": toy.ict,
    "toy.ect": toy.ect,
    "toy.sct": toy.sct,
    "toy.scd": toy.scd,
    "digits.edm": digits.edm,
    "digits.ect": digits.ect,
    "digits.ict": digits.ict,
    "digits.sct": digits.sct,
    "digits.scd": digits.scd,
    "digits.ict-latents": latent.digits_ict,
    "digits.slct": latent.digits_slct,
    "shapes.edm": shapes.edm,
    "shapes.ect": shapes.ect,
    "shapes.sct": shapes.sct,
    "shapes.slct": latent.shapes_slct,
    "music.edm": music.edm,
    "music.cd": music.cd,
    "toy.pcm": phased.ring,
    "digits.pcm": phased.digit,
    "digits.pcm-guided": phased.guided,
    "toy.edm-fast": faster.ring,
    "digits.edm-fast": faster.digit,
    "shapes.edm-fast": faster.shape,
    "cifar10.edm-sprint": cifar10.edm,
    "cifar10.edm-laptop": cifar10_laptop.edm,
    "cifar10.ect-laptop": cifar10_laptop.ect,
    "cifar10.edm-paper": cifar10_paper.edm,
    "cifar10.ect-sprint": cifar10.ect,
    "cifar10.ect-paper": cifar10_paper.ect,
    "cifar10.ict-sprint": cifar10.ict,
    "cifar10.ict-paper": cifar10_paper.ict,
    "cifar10.sct-sprint": cifar10.sct,
    "cifar10.sct-paper": cifar10_paper.sct,
    "cifar10.scd-sprint": cifar10.scd,
    "cifar10.scd-paper": cifar10_paper.scd,
}
