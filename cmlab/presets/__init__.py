"""Runs by name: functions that return a recipe, each with its command, seconds and scores."""

from collections.abc import Callable

from ..recipe import Recipe
from . import digits, shapes, toy

PRESETS: dict[str, Callable[..., Recipe]] = {
    "toy.edm": toy.edm,
    "toy.cd": toy.cd,
    "toy.ct": toy.ct,
    "toy.ict": toy.ict,
    "toy.ect": toy.ect,
    "digits.edm": digits.edm,
    "digits.ect": digits.ect,
    "digits.ict": digits.ict,
    "shapes.edm": shapes.edm,
    "shapes.ect": shapes.ect,
}
