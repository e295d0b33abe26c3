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
    "toy.sct": toy.sct,
    "toy.scd": toy.scd,
    "digits.edm": digits.edm,
    "digits.ect": digits.ect,
    "digits.ict": digits.ict,
    "digits.sct": digits.sct,
    "digits.scd": digits.scd,
    "shapes.edm": shapes.edm,
    "shapes.ect": shapes.ect,
    "shapes.sct": shapes.sct,
}
