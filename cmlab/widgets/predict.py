"""A prediction made before the figure is seen; the reply names the misconception."""

from collections.abc import Mapping

import ipywidgets as ipw


class Predict(ipw.VBox):
    """A question, its options, and for each the reply that it gets once committed."""

    def __init__(self, question: str, replies: Mapping[str, str], right: str) -> None:
        if right not in replies:
            raise ValueError(f"the right answer {right!r} must be one of {list(replies)}")
        self.replies, self.right = dict(replies), right
        self.options = ipw.RadioButtons(
            options=list(replies), value=None, layout=ipw.Layout(width="auto")
        )
        self.options.add_class("lab-predict")
        self.commit = ipw.Button(description="This is my prediction", disabled=True,
                                 layout=ipw.Layout(width="auto"))  # fmt: skip
        self.commit.add_class("lab-commit")
        self.reply = ipw.HTML()
        self.options.observe(self.ready, names="value")
        self.commit.on_click(self.answer)
        asked = ipw.HTML(f"<b>Predict.</b> {question}")
        super().__init__([asked, self.options, self.commit, self.reply])

    def ready(self, change: dict) -> None:
        self.commit.disabled = change["new"] is None

    def answer(self, button: ipw.Button | None = None) -> None:
        """Lock the prediction in and show its reply."""
        chosen = self.options.value
        if chosen is None:
            return
        self.options.disabled = self.commit.disabled = True
        verdict = "Yes." if chosen == self.right else "Not quite."
        said = f"<b>{verdict}</b> {self.replies[chosen]}"
        self.reply.value = f"<p role='status' aria-live='polite'>{said}</p>"
