"""Explorers: knobs around figure functions, so that both can be tested without a browser."""

from .base import Explorer, Picture, choice, log_slider, slider, toggle
from .live import LiveTraining
from .predict import Predict
from .show import show_source, start_lab

__all__ = [
    "Explorer",
    "LiveTraining",
    "Picture",
    "Predict",
    "choice",
    "log_slider",
    "show_source",
    "slider",
    "start_lab",
    "toggle",
]
