"""Predictions: a question before the figure is seen, its options, and the reply to each.

A lab keeps its predictions in the file predictions.toml of its folder, and its notebook asks for
one by name, `predict("07.1")`, so that no cell shows the answer beside the question.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import Any

import ipywidgets as ipw

from cmlab.train.checkpoint import BadFile

from .explorer import WidgetColumn

FILE = "predictions.toml"
MODEL = f"write it as lab07_ict/{FILE} is written"
TRIES = 2  # then the right answer is shown


@dataclass(frozen=True)
class Prediction:
    """A question, the reply to each of its options, and the option that is right."""

    question: str
    replies: Mapping[str, str]
    right: str

    @property
    def wrong(self) -> list[str]:
        """The wrong options, in order."""
        return [option for option in self.replies if option != self.right]


def predictions(lab: str) -> dict[str, Prediction]:
    """All predictions of a lab by name, such as "07.1".

    Args:
        lab: its number, such as "07".

    Raises:
        BadFile: if the lab has no file of predictions, or one that cannot be read.
    """
    folders = [f for f in files("cmlab_labs").iterdir() if f.name.startswith(f"lab{lab}_")]
    if len(folders) != 1:
        raise BadFile(f"No lab has the number {lab!r}: a prediction is named like 07.1.")
    place = f"{folders[0].name}/{FILE}"
    try:
        text = folders[0].joinpath(FILE).read_text(encoding="utf-8")
        entries = tomllib.loads(text)
    except FileNotFoundError:
        raise BadFile(f"cmlab_labs lacks {place}: install cmlab again, or restore it.") from None
    except ValueError as error:  # no TOML, or no UTF-8
        raise BadFile(f"{place} cannot be read ({error}): {MODEL}.") from error
    return {name: _prediction(name, entry, place) for name, entry in entries.items()}


def _prediction(name: str, entry: Any, place: str) -> Prediction:
    try:
        replies = {given["option"]: given["reply"] for given in entry["options"]}
        right = [given["option"] for given in entry["options"] if given.get("right", False)]
        whole = isinstance(entry["question"], str) and len(replies) == len(entry["options"]) > 1
    except (KeyError, TypeError, AttributeError):
        whole, right = False, []
    if not whole or len(right) != 1:
        raise BadFile(
            f"{place}: {name} needs a question and two options or more, each with a reply, and "
            f"right = true at one of them; {MODEL}."
        )
    return Prediction(entry["question"], replies, right[0])


def prediction(name: str) -> Prediction:
    """The prediction of this name, such as "07.1": the first of lab 07.

    Raises:
        BadFile: as `predictions` does.
        ValueError: if the lab has none of this name.
    """
    found = predictions(name.partition(".")[0])
    if name not in found:
        raise ValueError(f"No prediction is named {name!r}: choose from {', '.join(found)}.")
    return found[name]


class Predict(WidgetColumn):
    """A prediction as a widget: the question, its options, and a reply to what was committed.

    After a wrong answer one may try again; then the right one is shown.
    """

    def __init__(self, question: str, replies: Mapping[str, str], right: str) -> None:
        if right not in replies:
            raise ValueError(f"the right answer {right!r} must be one of {list(replies)}")
        self.replies, self.right = dict(replies), right
        self.tried: list[str] = []
        self.options = ipw.RadioButtons(
            options=list(replies), value=None, layout=ipw.Layout(width="auto")
        )
        self.options.add_class("lab-predict")
        self.commit = ipw.Button(description="This is my prediction", disabled=True,
                                 layout=ipw.Layout(width="auto"))  # fmt: skip
        self.commit.add_class("lab-commit")
        self.reply = ipw.HTML()
        self.reply.add_class("lab-reply")
        self.options.observe(self.ready, names="value")
        self.commit.on_click(self.answer)
        asked = ipw.HTML(f"<b>Predict.</b> {question}")
        super().__init__([asked, self.options, self.commit, self.reply])

    def ready(self, change: dict) -> None:
        self.commit.disabled = change["new"] is None or change["new"] in self.tried

    def answer(self, button: ipw.Button | None = None) -> None:
        """Reply to the prediction; lock it once it is right or was the last try."""
        chosen = self.options.value
        if chosen is None or chosen in self.tried or self.options.disabled:
            return
        self.tried.append(chosen)
        over = chosen == self.right or len(self.tried) == TRIES
        self.options.disabled, self.commit.disabled = over, True
        verdict = "Yes." if chosen == self.right else "Not quite."
        said = f"<b>{verdict}</b> {self.replies[chosen]}"
        if not over:
            said += " <b>You may choose once more.</b>"
        elif chosen != self.right:
            right = f"The right answer is “{escape(self.right)}”."
            said += f"<br><b>{right}</b> {self.replies[self.right]}"
        self.reply.value = f"<p role='status' aria-live='polite'>{said}</p>"


def predict(name: str) -> Predict:
    """Ask for the prediction of this name, such as "07.1"; see `prediction` for its errors."""
    asked = prediction(name)
    return Predict(asked.question, asked.replies, asked.right)
