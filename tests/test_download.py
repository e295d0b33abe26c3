"""A download ends with the published archive under its name, or with nothing under it."""

import argparse
import errno
import hashlib
import os
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cmlab.cli import data
from cmlab.data import cifar10_files, download
from cmlab.data.cifar10_files import BINARY, PYTHON, PublishedArchive
from cmlab.data.download import download as fetch
from cmlab.train.checkpoint import BadFile

PAYLOAD = np.random.default_rng(0).bytes(1_500_000)
NAME = "cifar-10-binary.tar.gz"


class Server(ThreadingHTTPServer):
    """Sends `payload`; `cuts` says after how many bytes it hangs up, request by request."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.payload, self.ranges, self.cuts, self.codes = PAYLOAD, True, [], []
        self.stall = threading.Event()
        self.asked, self.headers = [], {}

    def handle_error(self, request, client):
        """Clients hang up here on purpose."""

    @property
    def archive(self):
        address = f"http://127.0.0.1:{self.server_port}/{NAME}"
        return PublishedArchive(address, len(PAYLOAD), hashlib.md5(PAYLOAD).hexdigest())


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.asked.append(self.headers["Range"])
        if server.codes and (code := server.codes.pop(0)) != 200:
            return self.send_error(code)
        start = 0
        if self.headers["Range"] and server.ranges:
            start = int(re.fullmatch(r"bytes=(\d+)-", self.headers["Range"])[1])
            if start >= len(server.payload):
                return self.send_error(416)
            self.send_response(206)
            size = len(server.payload)
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(server.payload) - start))
        self.end_headers()
        cut = server.cuts.pop(0) if server.cuts else None
        self.wfile.write(server.payload[start:][:cut])
        if cut == 0:
            server.stall.wait(10)

    def log_message(self, *words):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(download, "PAUSE", 0.0)
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.stall.set()
        server.shutdown()
        thread.join()


def refusal(archive, folder):
    with pytest.raises(BadFile) as caught:
        fetch(archive, folder)
    said = str(caught.value)
    assert "\n" not in said and not (folder / archive.name).exists()
    return said


def test_what_arrives_is_the_archive_and_nothing_else_is_left(server, tmp_path):
    path = fetch(server.archive, tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / NAME
    assert path.read_bytes() == PAYLOAD and list(path.parent.iterdir()) == [path]
    assert server.asked == [None]


def test_what_is_there_already_is_not_fetched_again(server, tmp_path):
    (tmp_path / NAME).write_bytes(PAYLOAD)
    assert fetch(server.archive, tmp_path) == tmp_path / NAME
    assert server.asked == []


def test_another_file_of_that_name_is_left_alone(server, tmp_path):
    (tmp_path / NAME).write_bytes(b"mine")
    with pytest.raises(BadFile, match="is not the published archive, and is left as it is; give"):
        fetch(server.archive, tmp_path)
    assert (tmp_path / NAME).read_bytes() == b"mine" and server.asked == []


def test_a_broken_transfer_goes_on_where_it_broke(server, tmp_path):
    server.cuts = [400_000, 500_000]
    assert fetch(server.archive, tmp_path).read_bytes() == PAYLOAD
    assert server.asked == [None, "bytes=400000-", "bytes=900000-"]


def test_a_server_without_ranges_is_asked_for_all_of_it_again(server, tmp_path):
    server.ranges, server.cuts = False, [400_000]
    assert fetch(server.archive, tmp_path).read_bytes() == PAYLOAD
    assert server.asked == [None, "bytes=400000-"]


def test_an_interrupted_download_is_taken_up_by_the_next(server, tmp_path, monkeypatch):
    arrived, blocks = download.arrived, []

    def interrupted(reply, n):
        blocks.append(n)
        if len(blocks) == 3:
            raise KeyboardInterrupt
        return arrived(reply, min(n, 100_000))

    monkeypatch.setattr(download, "arrived", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch(server.archive, tmp_path)
    (part,) = tmp_path.iterdir()
    assert part.name == f"{NAME}.part" and 0 < (had := part.stat().st_size) <= 200_000
    assert fetch(server.archive, tmp_path).read_bytes() == PAYLOAD
    assert server.asked == [None, f"bytes={had}-"]


def test_a_part_of_another_file_is_thrown_away_once_the_checksum_tells(server, tmp_path):
    (tmp_path / f"{NAME}.part").write_bytes(bytes(300_000))
    assert fetch(server.archive, tmp_path).read_bytes() == PAYLOAD
    assert server.asked == ["bytes=300000-", None]


@pytest.mark.parametrize("surplus", [0, 1, 1000])
def test_a_part_that_is_long_enough_but_wrong_is_fetched_anew(server, tmp_path, surplus):
    (tmp_path / f"{NAME}.part").write_bytes(bytes(len(PAYLOAD) + surplus))
    assert fetch(server.archive, tmp_path).read_bytes() == PAYLOAD
    assert server.asked == [None]


def test_a_part_that_is_whole_needs_no_server(server, tmp_path):
    (tmp_path / f"{NAME}.part").write_bytes(PAYLOAD)
    assert fetch(server.archive, tmp_path).read_bytes() == PAYLOAD
    assert server.asked == []


def test_a_wrong_checksum_is_said_and_leaves_nothing(server, tmp_path):
    server.payload = PAYLOAD[:-1] + bytes([PAYLOAD[-1] ^ 1])
    assert "without the published checksum" in refusal(server.archive, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("had", [0, 1000])
def test_a_file_of_another_size_on_the_server_is_refused_before_it_arrives(server, tmp_path, had):
    if had:
        (tmp_path / f"{NAME}.part").write_bytes(PAYLOAD[:had])
    server.payload = PAYLOAD + b"more"
    assert "of another size" in refusal(server.archive, tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == had


def test_a_server_that_says_a_range_cannot_be_is_asked_for_all(server, tmp_path):
    (tmp_path / f"{NAME}.part").write_bytes(PAYLOAD[:1000])
    server.codes = [416]
    assert fetch(server.archive, tmp_path).read_bytes() == PAYLOAD
    assert server.asked == ["bytes=1000-", None]


@pytest.mark.parametrize("code", [403, 404, 416])
def test_a_server_that_refuses_is_not_pestered(server, tmp_path, code):
    server.codes = [code]
    assert f"answers {code}" in refusal(server.archive, tmp_path)
    assert len(server.asked) == 1


def test_a_server_in_trouble_is_asked_again_and_then_believed(server, tmp_path):
    server.codes = [503, 200]
    assert fetch(server.archive, tmp_path).read_bytes() == PAYLOAD
    server.codes = [503] * 10
    assert "answers 503" in refusal(server.archive, tmp_path / "other")
    assert len(server.asked) == 2 + download.TRIES


def test_a_server_that_falls_silent_is_left(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", 0.1)
    server.cuts = [0] * 10
    assert "timed out" in refusal(server.archive, tmp_path)


def test_without_a_network_one_sentence_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(download, "PAUSE", 0.0)
    with Server() as closed:
        archive = closed.archive
    said = refusal(archive, tmp_path)
    assert "cannot be reached" in said and "get cifar-10-binary.tar.gz elsewhere" in said
    nowhere = PublishedArchive(f"http://no-such-host.invalid/{NAME}", 1, "")
    assert "cannot be reached" in refusal(nowhere, tmp_path)


def test_a_disk_without_room_is_refused_before_anything_is_sent(server, tmp_path, monkeypatch):
    room = SimpleNamespace(free=len(PAYLOAD) - 1)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: room)
    said = refusal(server.archive, tmp_path)
    assert "could not be written to (No space left on device)" in said and server.asked == []
    (tmp_path / f"{NAME}.part").write_bytes(PAYLOAD[:1])  # one byte less is needed
    assert fetch(server.archive, tmp_path).read_bytes() == PAYLOAD


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_a_disk_that_fills_up_on_the_way_is_said(server, tmp_path):
    (tmp_path / f"{NAME}.part").symlink_to("/dev/full")
    assert "No space left on device" in refusal(server.archive, tmp_path)


def test_a_disk_that_fails_at_the_last_moment_leaves_no_archive(server, tmp_path, monkeypatch):
    def full(file):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        assert "what has arrived is kept" in refusal(server.archive, tmp_path)
    assert fetch(server.archive, tmp_path).read_bytes() == PAYLOAD
    assert len(server.asked) == 1


def test_a_place_that_is_no_folder_is_refused(server, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BadFile, match="could not be written to"):
        fetch(server.archive, tmp_path / "file" / "folder")


def test_the_progress_bar_is_for_people_alone(server, tmp_path, capsys):
    fetch(server.archive, tmp_path)
    assert capsys.readouterr() == ("", "")


def given(*words):
    parser = argparse.ArgumentParser()
    data.add_arguments(parser)
    return parser.parse_args(["cifar10", *map(str, words)])


@pytest.mark.parametrize("layout", ["binary", "python"])
def test_the_command_downloads_only_on_request_and_then_reads_what_came(
    tmp_path, monkeypatch, layout
):
    wanted = []
    monkeypatch.setattr(data, "download", lambda *words: wanted.append(words))
    with pytest.raises(BadFile, match="there is no CIFAR-10"):
        data.main(given("--path", tmp_path))
    assert wanted == []
    with pytest.raises(BadFile, match="there is no CIFAR-10"):
        data.main(given("--path", tmp_path, "--download", "--layout", layout))
    assert wanted == [({"binary": BINARY, "python": PYTHON}[layout], tmp_path)]


def test_the_command_wants_a_folder_to_download_into(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BadFile, match="give --path a folder"):
        data.main(given("--path", tmp_path / "file", "--download"))


def test_the_archives_are_the_published_ones_and_git_ignores_them():
    assert (BINARY.size, BINARY.md5[:8]) == (170_052_171, "c32a1d4a")
    assert (PYTHON.size, PYTHON.md5[:8]) == (170_498_071, "c58f3010")
    assert BINARY.address.startswith("https://") and PYTHON.address.startswith("https://")
    ignored = (Path(cifar10_files.__file__).parents[2] / ".gitignore").read_text().splitlines()
    assert "/data/cifar-10-*" in ignored and BINARY.name.startswith("cifar-10-")
