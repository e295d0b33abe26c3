"""One JupyterLab and one Chromium for all browser tests of a worker."""

import shutil
from pathlib import Path

import pytest
from browser.harness import FLAGS, chromium, serve

LABS = Path(__file__).parents[2] / "labs"


@pytest.fixture(scope="session")
def jupyter(tmp_path_factory):
    """JupyterLab on a copy of the labs: it saves what it opens."""
    if chromium() is None:
        pytest.skip("Chromium is not installed: on Debian, `apt-get install chromium`")
    folder = tmp_path_factory.mktemp("jupyter") / "labs"
    folder.mkdir()
    for notebook in LABS.glob("*.ipynb"):
        shutil.copy(notebook, folder)
    with serve(folder) as running:
        yield running


@pytest.fixture(scope="session")
def browser(jupyter, tmp_path_factory):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(tmp_path_factory.mktemp("profile")),
            executable_path=chromium(),
            headless=True,
            args=FLAGS,
            viewport={"width": 1300, "height": 1700},
        )
        yield context
        context.close()


@pytest.fixture
def page(browser):
    """An empty page. The test fails if the page asked for anything outside this machine."""
    page = browser.new_page()
    page.set_default_timeout(600_000)  # a lab may run for a minute, and longer on a busy machine
    page.external = []
    page.on("request", lambda request: _note(request.url, page.external))
    yield page
    page.close()
    assert page.external == []


def _note(url, external):
    if url.startswith(("http", "ws")) and "//127.0.0.1" not in url:
        external.append(url)
