"""A forecast of memory and time, measured in a process of its own while the kernel stays free."""

import json
from pathlib import Path
from subprocess import Popen
from tempfile import TemporaryFile

import ipywidgets as ipw

from .base import reading_html
from .child import command, last_sentence
from .order import Order
from .telling import alert_html, plan_line


class Plan(ipw.HTML):
    """`cmlab train … --plan`: on its way while `busy`, then its answer in a sentence."""

    def __init__(self) -> None:
        self.process: Popen | None = None
        super().__init__()
        self.add_class("lab-plan")

    @property
    def busy(self) -> bool:
        return self.process is not None

    def measure(self, order: Order, here: Path) -> None:
        """Begin, unless it has begun. Raises OSError when the machine refuses a process."""
        if self.process is None:
            self.out = TemporaryFile()  # noqa: SIM115 - it lives as long as the process writes
            self.process = command(order.words(plan=True), here, self.out, apart=False)
            self.value = reading_html("Forecast: measuring a few steps …")

    def look(self) -> None:
        """Show the answer, once it is there."""
        if self.process is None or self.process.poll() is None:
            return
        self.out.seek(0)
        text = self.out.read().decode("utf-8", "replace")
        self.out.close()
        failed, self.process = self.process.returncode, None
        try:
            self.value = reading_html(plan_line(json.loads(text.strip().splitlines()[-1])))
        except (ValueError, KeyError, IndexError, TypeError):
            why = last_sentence(text) or f"the measurement ended with status {failed}"
            self.value = alert_html(f"No forecast: {why.rstrip('.')}.")
