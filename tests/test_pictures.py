"""Pictures and points of one's own: every form gives the same data, and what is wrong is named."""

import errno
import io
import json
import os
import re
import signal
import struct
import sys
import zipfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cmlab.cli.main import main
from cmlab.data.own import Images, Points
from cmlab.data.pictures import find, flattened, opened, resized
from cmlab.metrics.plots import draw, mosaic
from cmlab.oracle import Empirical
from cmlab.presets import PRESETS
from cmlab.train import checkpoint, runs
from cmlab.train.checkpoint import BadFile
from cmlab.train.trainer import Trainer

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (20, 8, 8, 3)).astype(np.uint8)
LABELS = np.arange(20) % 2


def png(x, **options):
    held = io.BytesIO()
    picture = x if isinstance(x, Image.Image) else Image.fromarray(x)
    picture.save(held, **{"format": "PNG"} | options)
    return held.getvalue()


def write(path, payload):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(payload)


def folder(root):
    for k, x in enumerate(PIXELS):
        write(root / f"class{LABELS[k]}" / f"{k:02d}.png", png(x))
    write(root / "notes.txt", b"left out")
    return root


def zipped(root):
    with zipfile.ZipFile(root / "x.zip", "w") as file:
        for part in sorted(folder(root / "f").rglob("*.png")):
            file.write(part, part.relative_to(root / "f"))
    return root / "x.zip"


def edm(root, labels=LABELS):
    """As EDM's dataset_tool writes it: a folder of up to 1000 pictures that is no class."""
    order = np.argsort(LABELS, kind="stable")
    names = [f"00000/img{k:08d}.png" for k in range(20)]
    rows = (
        None
        if labels is None
        else [[n, int(labels[k])] for n, k in zip(names, order, strict=True)]
    )
    with zipfile.ZipFile(root / "edm.zip", "w") as file:
        for name, k in zip(names, order, strict=True):
            file.writestr(name, png(PIXELS[k]))
        file.writestr("dataset.json", json.dumps({"labels": rows}))
    return root / "edm.zip"


def arrays(root, x=PIXELS, **more):
    order = np.argsort(LABELS, kind="stable")
    np.savez(root / "x.npz", arr_0=x[order], **{"arr_1": LABELS[order]} | more)
    return root / "x.npz"


def floats(root):
    return arrays(root, (PIXELS.transpose(0, 3, 1, 2) / 127.5 - 1).astype(np.float32))


def columns(root):
    """Arrays whose labels stand in a column, as some data sets have them."""
    order = np.argsort(LABELS, kind="stable")
    return arrays(root, arr_1=LABELS[order][:, None])


def worded(root):
    """A table whose classes are words, with bytes of another kind before the pictures."""
    return table(root, words=True)


def table(root, payload=png, names=("class0", "class1"), words=False, kind="struct"):
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    order = np.argsort(LABELS, kind="stable")
    form = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    cells = [{"bytes": payload(PIXELS[k]), "path": f"{k}.png"} for k in order]
    if kind == "list":
        form, cells = pa.list_(form), [[cell] for cell in cells]
    labels = [names[k] if words else int(k) for k in LABELS[order]]
    held = {"image": pa.array(cells, form), "label": labels}
    rows = pa.table({"sha256": pa.array([b"x"] * len(order))} | held if words else held)
    info = {"info": {"features": {"label": {"names": list(names)}}}}
    rows = rows.replace_schema_metadata({"huggingface": json.dumps(info)})
    (root / "data").mkdir()
    parquet.write_table(rows, root / "data" / "train-00000-of-00001.parquet")
    parquet.write_table(rows[:3], root / "data" / "test-00000-of-00001.parquet")
    return root


def packed(path, out, *words):
    assert main(["data", "images", "--path", str(path), "--out", str(out), *words]) == 0
    return checkpoint.read(out)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    root = tmp_path_factory.mktemp("reference")
    return packed(folder(root / "f"), root / "p.safetensors", "--size", "8")


@pytest.mark.parametrize("form", [zipped, edm, arrays, floats, columns, table, worded])
def test_every_form_gives_the_same_pictures_split_and_hash(form, tmp_path, reference):
    _, record = packed(form(tmp_path), tmp_path / "p.safetensors", "--size", "8")
    assert record["digest"] == reference[1]["digest"]
    assert len(record["classes"]) == 2


def test_the_halves_are_apart_and_hold_every_class(reference, capsys):
    tensors, record = reference
    assert (len(tensors["train"]), len(tensors["test"])) == (16, 4)
    assert tensors["test_labels"].bincount().tolist() == [2, 2]
    both = {x.numpy().tobytes() for x in torch.cat([tensors["train"], tensors["test"]])}
    assert both == {x.transpose(2, 0, 1).tobytes() for x in PIXELS}
    assert record["classes"] == ["class0", "class1"]
    values = tensors["train"].double() / 127.5 - 1
    assert record["sigma_data"] == pytest.approx(float(values.std(correction=0)), abs=1e-4)


def test_edms_labels_may_be_null_and_arrays_have_none(tmp_path):
    assert find(edm(tmp_path, None)).labels is None
    np.save(tmp_path / "x.npy", PIXELS[..., 0])
    found = find(tmp_path / "x.npy")
    assert found.labels is None and found.count == 20
    (_, first), *_ = found.images
    assert np.array_equal(np.asarray(first), np.repeat(PIXELS[0, ..., :1], 3, -1))


# What a viewer shows


def shown(payload):
    return np.asarray(opened("x.png", lambda: payload))


def test_sixteen_bits_are_scaled_where_pillow_clips_them():
    grey = (np.arange(64).reshape(8, 8) * 1000).astype(np.uint16)
    assert np.abs(shown(png(grey))[..., 0] - grey / 257).max() <= 0.5
    assert len(np.unique(np.asarray(Image.open(io.BytesIO(png(grey))).convert("L")))) < 5


def test_what_is_transparent_lies_on_white():
    picture = Image.new("P", (8, 8), 0)
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.putpixel((1, 2), 1)
    found = shown(png(picture, transparency=0))
    assert found[2, 1].tolist() == [0, 0, 255] and found[0, 0].tolist() == [255] * 3
    assert shown(png(np.zeros((8, 8, 4), np.uint8))).min() == 255


def test_a_photograph_is_turned_as_its_exif_says_and_cmyk_is_read():
    exif = Image.Exif()
    exif[0x112] = 6
    x = np.zeros((8, 16, 3), np.uint8)
    assert shown(png(x, format="JPEG", exif=exif)).shape == (16, 8, 3)
    cyan = png(Image.new("CMYK", (8, 8), (255, 0, 0, 0)), format="JPEG", quality=100)
    assert np.abs(shown(cyan)[0, 0].astype(int) - [0, 255, 255]).max() < 4


def test_the_central_square_is_kept():
    x = np.zeros((16, 48, 3), np.uint8)
    x[:, 16:32] = 200
    assert (resized(flattened(Image.fromarray(x)), 16) == 200).all()
    assert resized(flattened(Image.fromarray(x)), 8).shape == (3, 8, 8)


# What is refused, in one sentence, with nothing written


def refusal(capsys, *words):
    status, said = main(list(map(str, words))), capsys.readouterr()
    assert status == 2 and said.out == "" and said.err.count("\n") == 1, said
    return said.err


def one_of_them(name, payload):
    def make(root):
        folder(root)
        write(root / "class0" / name, payload)
        return root

    return make


def animation(kind):
    frames = [Image.fromarray(x) for x in PIXELS[:3]]
    return png(frames[0], format=kind, save_all=True, append_images=frames[1:])


def huge():
    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def linked(root):
    os.symlink(folder(root) / "class0" / "00.png", root / "class0" / "zz.png")
    return root


def beside(root):
    write(folder(root) / "top.png", png(PIXELS[0]))
    return root


def single(root):
    write(root / "cats" / "a.png", png(PIXELS[0]))
    return root


def few(root):
    write(root / "a.png", png(PIXELS[0]))
    return root


def grey(root):
    for k in range(12):
        write(root / f"{k}.png", png(np.full((8, 8), 7, np.uint8)))
    return root


def empty(root):
    (root / "nothing").mkdir()
    return root


def file(name, payload):
    def make(root):
        write(root / name, payload)
        return root / name

    return make


def one_file(name):
    def make(root):
        write(root / name, b"x")
        return root

    return make


def lying():
    """An array whose header promises more than any memory holds."""
    held = io.BytesIO()
    np.save(held, PIXELS)
    return held.getvalue().replace(b"(20, 8, 8, 3), }   ", b"(9" + 10 * b"9" + b",8,8),}")


def damaged(root):
    path = next(table(root).rglob("train*"))
    payload = path.read_bytes()
    path.write_bytes(payload[:4] + bytes(b ^ 255 for b in payload[4:60]) + payload[60:])
    return root


def objects(root):
    np.savez(root / "x.npz", images=np.array([{}, None], dtype=object))
    return root / "x.npz"


def stranger(root):
    with zipfile.ZipFile(edm(root), "a") as archive:
        archive.writestr("00000/img99999999.png", png(PIXELS[0]))
    return root / "edm.zip"


def wrong_index(root):
    with zipfile.ZipFile(root / "x.zip", "w") as archive:
        archive.writestr("a.png", png(PIXELS[0]))
        archive.writestr("dataset.json", "[1, 2]")
    return root / "x.zip"


def saved(**held):
    def make(root):
        np.savez(root / "x.npz", **held)
        return root / "x.npz"

    return make


FAULTS = {
    "nothing there": (lambda root: root / "no", "no does not exist; give a folder of pictures"),
    "an empty folder": (empty, "holds no PNG or JPEG picture"),
    "another file": (file("x.tar", b"x"), "x.tar is none of the forms that are read"),
    "a text": (one_of_them("x.png", b"text"), "x.png in .* is no PNG or JPEG picture; restore"),
    "an empty file": (one_of_them("x.png", b""), "is empty; restore it or leave it out"),
    "half a PNG": (one_of_them("x.png", png(PIXELS[0])[:150]), "is truncated or damaged"),
    "half a JPEG": (one_of_them("x.jpg", png(PIXELS[0], format="JPEG")[:400]), "is truncated or"),
    "a GIF": (one_of_them("x.png", animation("GIF")), "is a GIF picture and no PNG or JPEG"),
    "an animation": (one_of_them("x.png", animation("PNG")), "is an animation; leave it out"),
    "a bomb": (one_of_them("x.png", huge()), "is larger than 89 million pixels"),
    "a link": (linked, "zz.png is a link; copy into"),
    "a picture beside": (beside, "has pictures beside folders of pictures"),
    "one class": (single, "one class only, cats; without classes, .* give .*cats"),
    "few": (few, "there are 1 pictures; give at least 10"),
    "one colour": (grey, "all of one colour"),
    "half a zip": (file("x.zip", b"PK\x03\x04 and no more"), "is a truncated or damaged zip"),
    "an unknown label": (stranger, "dataset.json in .* says no label of '00000/img99999999.png'"),
    "another index": (wrong_index, "dataset.json in .* is not EDM's"),
    "objects": (objects, "is damaged, or holds objects where arrays are read"),
    "a pickle": (file("x.npy", b"\x80\x04\x95"), "is damaged, or holds objects where arrays"),
    "no pictures": (saved(x=np.zeros(5)), r"holds \(5,\); give one array of pictures"),
    "channels": (saved(x=np.zeros((5, 8, 8, 4))), r"holds \(5, 8, 4, 8\); pictures have 1 or 3"),
    "range": (saved(x=np.full((12, 8, 8), 200.0)), "holds float64 from 200.0 to 200.0; give"),
    "one-hot": (saved(x=PIXELS, y=np.eye(20, dtype=int)), "has labels that do not fit; give one"),
    "labels": (saved(x=PIXELS, y=np.zeros(3, int)), "has labels that do not fit; give one whole"),
    "one label": (saved(x=PIXELS, y=np.zeros(20, int)), "has pictures of one class only; leave"),
    "a table of names": (lambda root: table(root, lambda x: None), "has a row without a picture"),
    "a negative label": (saved(x=PIXELS, y=LABELS - 1), "no whole numbers below 10000; leave"),
    "Arrow tables": (one_file("data-00000-of-00001.arrow"), "but Arrow tables: write them anew"),
    "WebP": (one_of_them("x.png", png(PIXELS[0], format="WEBP")), "is a WEBP picture and no PNG"),
    "a table of lists": (lambda root: table(root, lambda x: None, kind="list"), "a row without a"),
    "a damaged table": (damaged, "is truncated or damaged; get it again"),
    "letters": (saved(x=np.full((12, 8, 8), "a")), "holds <U1; give bytes, or floats in"),
    "a false length": (file("x.npy", lying()), "is damaged, or holds objects where arrays"),
    "half a table": (file("d/x.parquet", b"PAR1 and no more"), "none of the forms"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_what_cannot_be_packed_is_named_and_nothing_is_written(fault, tmp_path, capsys):
    make, sentence = FAULTS[fault]
    (tmp_path / "in").mkdir()
    path = make(tmp_path / "in")
    out = tmp_path / "out" / "p.safetensors"
    said = refusal(capsys, "data", "images", "--path", path, "--out", out, "--size", 8)
    assert re.search(sentence, said), said
    assert not out.parent.exists()


def test_a_damaged_table_and_a_missing_library_are_named(tmp_path, capsys, monkeypatch):
    write(tmp_path / "x.parquet", b"PAR1 and no more")
    words = ("data", "images", "--path", tmp_path, "--out", tmp_path / "p.safetensors")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "which pyarrow reads: pip install pyarrow" in refusal(capsys, *words)
    monkeypatch.undo()
    pytest.importorskip("pyarrow")
    assert "is no whole parquet file" in refusal(capsys, *words)


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["images", "--size", "12", "--path", "x"], "--size takes a multiple of 8, not 12"),
        (["images", "--size", "7", "--path", "x"], "--size: must be a whole number in [8, 256]"),
        (["images"], "`cmlab data images` packs what is at --path, and downloads nothing"),
        (["cifar10", "--out", "x"], "--out goes with images and points"),
    ],
)
def test_words_that_make_no_file_are_refused(words, sentence, capsys):
    assert sentence in refusal(capsys, "data", *words)


def test_a_full_disk_leaves_nothing(tmp_path, capsys, monkeypatch):
    source = folder(tmp_path / "f")

    def full(self, payload):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    out = tmp_path / "out" / "p.safetensors"
    said = refusal(capsys, "data", "images", "--path", source, "--out", out)
    assert "could not be written (No space left on device)" in said
    assert list(out.parent.iterdir()) == []


POINTS = "x,y\n" + "".join(f"{10 + k % 5},{k / 4}\n" for k in range(40))


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("x,y\n1,2\n3\n", "has no two numbers in its row 2 of data"),
        ("x,y\n1,2,3\n", "has no two numbers in its row 1 of data"),
        ("1,2\nnan,3\n", "has no two numbers in its row 2 of data"),
        (",x,y\n0,1,2\n", "row 1 of data, '0,1,2'; give two columns with a comma between, and no"),
        ("x;y\n1;2\n", "has no two numbers in its row 1 of data, '1;2'; give two columns"),
        ("1,2\n", "has 1 points; give 10 to 5000"),
        ("", "has 0 points"),
        ("1,2\n" * 20, "has points that are all alike"),
        ("\x00\udcff", "is missing or no CSV file in UTF-8"),
    ],
)
def test_a_table_that_holds_no_points_is_named(text, sentence, tmp_path, capsys):
    (tmp_path / "p.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
    words = ("points", "--path", tmp_path / "p.csv", "--out", tmp_path / "p.safetensors")
    assert sentence in refusal(capsys, "data", *words)
    assert not (tmp_path / "p.safetensors").exists()


def test_points_are_judged_by_their_empirical_distribution(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CMLAB_DATA", "")  # set by --data, and put back
    (tmp_path / "p.csv").write_text(POINTS)
    out, run = tmp_path / "p.safetensors", tmp_path / "run"
    words = ["--path", str(tmp_path / "p.csv"), "--out", str(out)]
    assert main(["data", "points", *words]) == 0
    settings = ["steps=2", "train.batch=8", "net.width=8"]
    assert (
        main(["train", "toy.ict", "--data", str(out), "--out", str(run), "--set", *settings]) == 0
    )
    facts = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {"rmse", "rmse_max", "sw1", "sw2"} <= facts.keys() and "hq" not in facts
    _, recipe, _ = runs.load(run)
    points = recipe.data
    assert isinstance(points, Points) and isinstance(points.oracle, Empirical)
    assert points.path == "" and points.oracle.sigma_data == pytest.approx(points.sigma_data)
    x, _ = points.sample(7)
    assert torch.cdist(x.double(), points.oracle.points).amin(1).max() < 1e-6


# The file in a record


def test_a_preset_takes_its_size_classes_and_sigma_from_the_file(tmp_path, monkeypatch):
    out = tmp_path / "p.safetensors"
    _, record = packed(folder(tmp_path / "f"), out, "--size", "24")
    monkeypatch.setenv("CMLAB_DATA", str(out))
    for name in (name for name in PRESETS if name.startswith("images.")):
        recipe = PRESETS[name](steps=34)
        parts = [recipe, *([recipe.start] if recipe.start else [])]
        for part in parts:
            assert part.data == Images("", record["digest"], (3, 24, 24), 2, record["sigma_data"])
            assert part.precond.sigma_data == record["sigma_data"]
        weight = parts[-1].method.weight
        assert weight.sigma_data == record["sigma_data"]


def test_other_pictures_than_the_records_are_refused(tmp_path, monkeypatch, reference):
    out = tmp_path / "p.safetensors"
    _, record = packed(folder(tmp_path / "f"), out, "--size", "16")
    digest = reference[1]["digest"]
    with pytest.raises(BadFile, match=f"holds {record['digest']} and not the images {digest}"):
        Images(str(out), digest).sample(1)
    with pytest.raises(BadFile, match="is not what `cmlab data points` wrote; give that file"):
        _ = Points(str(out)).oracle
    with pytest.raises(BadFile, match=f"the images {digest} were not found at"):
        Images(str(tmp_path), digest).sample(1)
    named = out.rename(tmp_path / f"pets-{record['digest']}.safetensors")
    assert len(Images(str(tmp_path), record["digest"])) == 16
    tensors, told = checkpoint.read(named)
    checkpoint.write(named, tensors | {"train": tensors["train"] + 1}, told)
    with pytest.raises(BadFile, match="is damaged: it has another hash than it says"):
        Images(str(named)).sample(1)


PAGE = (Path(__file__).parents[1] / "docs" / "own-data.md").read_text("utf-8")


def test_500_pictures_go_all_the_way_by_the_commands_of_the_page(tmp_path, monkeypatch, capsys):
    """From `cmlab data images` to a run that was stopped and resumed, samples, scores, a file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CMLAB_DATA", "")  # set by --data, and put back
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(code, "page", "exec"), {})
    (lines,) = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    look, train, again, *others = (line.split()[1:] for line in lines.splitlines())
    tiny = ["--set", "steps=9", "evaluator.n=50"]
    for part in ("", "start."):
        tiny += [f"{part}{setting}" for setting in (
            "train.batch=8", "train.precision=32-true", "net.inner.width=16",
            "net.inner.embedding=0")]  # fmt: skip
    assert main([*look[:-4], "--size", "8", *look[-2:]]) == 0 and look[-4:-2] == ["--size", "32"]
    assert main([*train[:-1], "whole", *tiny]) == 0
    advance, calls = Trainer.advance, []

    def stopping(self):
        calls.append(1)
        if len(calls) == 7:  # in the run, after its start of 4 steps
            os.kill(os.getpid(), signal.SIGTERM)
        return advance(self)

    monkeypatch.setattr(Trainer, "advance", stopping)
    assert main([*train, *tiny]) == 3
    assert main([*again, *tiny]) == 0
    one, two = (checkpoint.read(Path(f) / runs.MODEL)[0] for f in ("whole", train[-1]))
    assert all(torch.equal(one[name], two[name]) for name in one)
    scores = {"pd1", "pd2", "pd4", "pd_floor", "memorised"}
    assert scores <= json.loads(capsys.readouterr().out.splitlines()[-1]).keys()
    assert [main(words) for words in others] == [0, 0, 0] and Path("pets.png").exists()

    monkeypatch.setenv("CMLAB_DATA", str(tmp_path / "nowhere"))  # another person's machine
    shipped = "shipped/pets.safetensors"
    assert main(["sample", shipped, "--n", "4", "--out", "theirs.png"]) == 0
    assert main(["evaluate", shipped]) == 2
    assert main(["sample", shipped, "--nearest", "nowhere", "--out", "two.png"]) == 2
    assert capsys.readouterr().err.count("were not found at") == 2 and not Path("two.png").exists()


@dataclass(frozen=True)
class Gives:
    """A sampler that gives these pictures, whatever the network."""

    x: torch.Tensor
    sigma_max: float = 80.0

    def __call__(self, process, denoise, z, calls):
        return self.x


def test_beside_samples_are_the_training_pictures_nearest_to_them(tmp_path, monkeypatch, capsys):
    out = tmp_path / "p.safetensors"
    tensors, _ = packed(folder(tmp_path / "f"), out, "--size", "8")
    monkeypatch.setenv("CMLAB_DATA", str(out))
    recipe, copies = (
        PRESETS["images.ect-small"](steps=34),
        tensors["train"].flip(0).float() / 127.5 - 1,
    )
    copying = replace(recipe, sampler=Gives(copies.flip(-1)))  # a mirror image is a copy too
    figure = draw(recipe.build(), copying, len(copies), [1], recipe.data)
    shown = figure.axes[-1].images[0].get_array()
    assert np.array_equal(shown, mosaic(copies, 10))
