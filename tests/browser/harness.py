"""A learner's hands and eyes: open a lab in a running JupyterLab, run it, move a slider, look."""

import contextlib
import io
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, Playwright

# Every host but this machine is unknown to the browser, so that no test can need the network.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]

# All cells stay in the page, since a widget scrolled out of it is not there.
SETTINGS = {"notebook-extension/tracker": {"windowingMode": "none"}}

# A server whose test run was killed ends by itself after some minutes.
OPTIONS = [
    "--no-browser",
    "--allow-root",
    "--ip=127.0.0.1",
    "--ServerApp.port_retries=0",
    "--ServerApp.shutdown_no_activity_timeout=300",
    "--MappingKernelManager.cull_idle_timeout=300",
    "--MappingKernelManager.cull_interval=60",
    "--MappingKernelManager.cull_connected=True",
    "--LabApp.expose_app_in_browser=True",
]

ENOUGH_INK = 500  # dark pixels: a blank figure has none, the plainest line plot a few thousand

NOTEBOOK = "window.jupyterapp.shell.currentWidget"
STATUS = (
    "window.jupyterapp?.shell?.currentWidget?.context?.sessionContext?.session?.kernel?.status"
)
CELLS = f"{NOTEBOOK}.content.model.toJSON().cells"
ASKED = f"{CELLS}.slice(0, end).filter(cell => cell.cell_type === 'code')"
ERRORS = f"""end => {ASKED}.flatMap(cell => cell.outputs)
    .filter(output => output.output_type === 'error')
    .map(output => output.ename + ': ' + output.evalue)"""
# An error stops the run, and the cells below it never get their number.
FINISHED = f"""end => {STATUS} === 'idle' && (({ERRORS})(end).length > 0 ||
    {ASKED}.every(cell => cell.execution_count !== null || !cell.source.trim()))"""
# The command's promise ends with the run: not returned, it cannot run into a time limit.
RUN = f"""last => {{
    const end = {CELLS}.findLastIndex(cell => cell.source.includes(last)) + 1;
    const whole = end === {CELLS}.length;
    if (!whole) {NOTEBOOK}.content.activeCellIndex = end;
    window.jupyterapp.commands.execute(`notebook:run-all-${{whole ? 'cells' : 'above'}}`);
    return end;
}}"""
LOOK = f"""() => [{STATUS}, ...[...document.querySelectorAll('.jp-OutputArea-output')]
    .map(area => area.innerText), ...[...document.querySelectorAll('.jp-OutputArea-output img')]
    .map(image => [image.src.length, image.src.slice(-200), image.complete])]"""


@dataclass(frozen=True)
class Jupyter:
    """A running JupyterLab that serves `folder`."""

    url: str
    token: str
    folder: Path


def chromium() -> str | None:
    """The browser's path, from CMLAB_CHROMIUM or the usual names."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = (shutil.which(name) for name in names)
    return os.environ.get("CMLAB_CHROMIUM") or next(filter(None, found), None)


def firefox() -> str | None:
    """The path of a Firefox from CMLAB_FIREFOX, which the live figures are then tested in."""
    return os.environ.get("CMLAB_FIREFOX")


def launched(playwright: Playwright) -> Browser:
    """Chromium, or the Firefox that CMLAB_FIREFOX names: any, driven by WebDriver BiDi."""
    if firefox():
        return playwright.firefox.launch(channel="moz-firefox", executable_path=firefox())
    return playwright.chromium.launch(executable_path=chromium(), args=FLAGS)


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[Jupyter]:
    """JupyterLab with its own settings in `folder`/.., serving `folder`, for as long as needed."""
    home, token = folder.parent, secrets.token_hex(16)
    for name, values in SETTINGS.items():
        file = home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    where = [
        f"--port={port}",
        f"--IdentityProvider.token={token}",
        f"--ServerApp.root_dir={folder}",
    ]
    log = home / "server.log"
    with log.open("w") as said:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *OPTIONS, *where],
            env=os.environ | _own_folders(home), stdout=said, stderr=said, start_new_session=True,
        )  # fmt: skip
    try:
        _wait_for(f"http://127.0.0.1:{port}/api/status?token={token}", server, log)
        yield Jupyter(f"http://127.0.0.1:{port}", token, folder)
    finally:
        _stop(server)


def _own_folders(home: Path) -> dict[str, str]:
    """Nothing of the user's own Jupyter is read or written."""
    names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    own = {name: str(home / name.lower()) for name in (*names, "JUPYTERLAB_WORKSPACES_DIR")}
    return own | {"JUPYTERLAB_SETTINGS_DIR": str(home / "settings")}


def _wait_for(url: str, server: subprocess.Popen, log: Path, seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and server.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2):
            return
        time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()[-2000:]}")


def _stop(server: subprocess.Popen) -> None:
    server.terminate()  # it ends its kernels first
    try:
        server.wait(60)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def open_and_run(page: Page, jupyter: Jupyter, name: str, last: str = "") -> None:
    """Opens a notebook, runs its cells, and waits; AssertionError if a cell ends in an error.

    Cells below the last one with `last` in its text are not run: what they show is tested, cell by
    cell, where no browser is needed.
    """
    url = f"{jupyter.url}/lab/tree/{name}.ipynb?reset&token={jupyter.token}"
    page.goto(url, wait_until="domcontentloaded")
    page.wait_for_function(f"() => {STATUS} === 'idle'", timeout=300_000)
    end = page.evaluate(RUN, last)
    assert end > 0, f"{name} has no cell with {last}"
    page.wait_for_function(FINISHED, arg=end)
    settle(page)
    errors = page.evaluate(ERRORS, end)
    assert not errors, f"{name}: {errors}"


def settle(page: Page, quiet: float = 0.6, seconds: float = 300) -> None:
    """Waits until the kernel is idle and what is shown has been the same for `quiet` seconds."""
    end, last, since = time.monotonic() + seconds, None, time.monotonic()
    while time.monotonic() < end:
        now = page.evaluate(LOOK)
        if now != last:
            last, since = now, time.monotonic()
        elif now[0] == "idle" and time.monotonic() - since > quiet:
            return
        time.sleep(0.05)
    raise TimeoutError(f"The page did not come to rest within {seconds} s.")


def slide(page: Page, css_class: str, key: str = "ArrowRight", times: int = 1) -> None:
    """Moves the slider of that class by keyboard."""
    page.locator(f".{css_class} [role=slider]").first.focus()
    for _ in range(times):
        page.keyboard.press(key)


def wait_for_text(page: Page, css_class: str, text: str) -> None:
    """Waits until the box of that class says so."""
    says = "([box, text]) => document.querySelector(box)?.innerText.includes(text)"
    page.wait_for_function(says, arg=[f".{css_class}", text])


def picture(page: Page, css_class: str) -> bytes:
    """The first figure in the box of that class, as the learner sees it (PNG)."""
    image = page.locator(f".{css_class} img").first
    image.scroll_into_view_if_needed(timeout=120_000)
    return image.screenshot()


def ink(png: bytes) -> int:
    """Dark pixels of a picture: a figure that stayed blank has next to none."""
    return int((np.asarray(Image.open(io.BytesIO(png)).convert("L")) < 200).sum())
