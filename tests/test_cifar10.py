"""CIFAR-10 comes back from both layouts, folder or archive, to the bit, or not at all."""

import argparse
import io
import os
import pickle
import re
import shutil
import tarfile
import zipfile

import cifar_files
import numpy as np
import pytest
import torch
from cifar_files import BATCHES, TEST, TRAIN, as_python, as_python2, pictures

from cmlab.cli import data
from cmlab.cli.main import main
from cmlab.data import cifar10_files
from cmlab.data.cifar10 import CIFAR10, CLASSES, load
from cmlab.data.cifar10_files import from_python
from cmlab.data.digits import Unlabelled
from cmlab.data.safe_unpickle import BadBatch
from cmlab.train.checkpoint import BadFile
from cmlab.train.config import HasSigmaData, Source

FOLDER = {"binary": "cifar-10-batches-bin", "python": "cifar-10-batches-py"}
SUFFIX = {"binary": ".bin", "python": ""}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with both layouts, 370 MB, removed at the end."""
    folder = tmp_path_factory.mktemp("cifar")
    cifar_files.write_binary(folder)
    cifar_files.write_python(folder)
    yield folder
    load.cache_clear()
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def tar(home, tmp_path_factory):
    """The binary layout as an archive, the batches in another order, and a readme first."""
    path = tmp_path_factory.mktemp("tar") / "cifar-10-binary.tar.gz"
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        archive.addfile(tarfile.TarInfo("cifar-10-batches-bin/readme.html"))
        for name in ["test_batch", *reversed(TRAIN)]:
            file = f"cifar-10-batches-bin/{name}.bin"
            archive.add(home / file, file)
    yield path
    path.unlink()


def copy(home, layout, folder, without=(), changed=None):
    """The folder of a layout again, by links, but for some files."""
    copied = folder / FOLDER[layout]
    copied.mkdir()
    for name in BATCHES:
        file = f"{name}{SUFFIX[layout]}"
        if name not in without and file not in (changed or {}):
            (copied / file).symlink_to(home / FOLDER[layout] / file)
    for file, payload in (changed or {}).items():
        (copied / file).write_bytes(payload)
    return folder


def refusal(path, train=True):
    with pytest.raises(BadFile) as caught:
        CIFAR10(str(path), train).images  # noqa: B018
    said = str(caught.value)
    assert "\n" not in said and "; run cmlab data cifar10 --download" in said
    assert "remove" not in said and "delete" not in said
    return said


@pytest.mark.parametrize("layout", FOLDER)
def test_the_images_and_labels_are_those_of_the_files_in_their_order(home, layout):
    data = CIFAR10(str(home / FOLDER[layout]))
    assert data.images.shape == (50_000, 3, 32, 32) and data.images.dtype == torch.uint8
    assert data.labels.shape == (50_000,) and data.labels.dtype == torch.int64
    for index, name in enumerate(TRAIN):
        images, labels = pictures(name)
        part = slice(10_000 * index, 10_000 * (index + 1))
        assert np.array_equal(data.images[part].reshape(10_000, -1).numpy(), images)
        assert data.labels[part].tolist() == labels.tolist()


@pytest.mark.parametrize("layout", FOLDER)
def test_the_test_images_are_those_of_the_test_batch(home, layout):
    data = CIFAR10(str(home / FOLDER[layout]), train=False)
    images, labels = pictures("test_batch")
    assert len(data) == 10_000 and data.labels.tolist() == labels.tolist()
    assert np.array_equal(data.images.reshape(10_000, -1).numpy(), images)


def test_an_archive_holds_what_its_folder_holds_in_whatever_order(home, tar):
    folder, archive = CIFAR10(str(home / FOLDER["binary"])), CIFAR10(str(tar))
    assert torch.equal(folder.images, archive.images)
    assert torch.equal(folder.labels, archive.labels)


def test_a_path_may_be_the_folder_or_its_parent_or_that_of_an_archive(home, tar, monkeypatch):
    assert cifar10_files.find(str(home)) == cifar10_files.find(str(home / FOLDER["binary"]))
    assert cifar10_files.find(str(tar.parent)) == cifar10_files.find(str(tar))
    monkeypatch.setattr(cifar10_files, "DATA", home)
    assert cifar10_files.find("").path == home / FOLDER["binary"]


def test_reading_an_archive_leaves_nothing_on_the_disk(tar):
    before = sorted(tar.parent.iterdir())
    load.cache_clear()
    assert len(CIFAR10(str(tar), train=False).images) == 10_000
    assert sorted(tar.parent.iterdir()) == before


def test_a_batch_pickled_by_python_2_reads_as_pickle_reads_it():
    payload = as_python2(*pictures("test_batch"))
    images, labels = from_python(payload)
    reference = pickle.loads(payload, encoding="bytes")
    assert set(reference) == {b"batch_label", b"labels", b"data", b"filenames"}
    assert np.array_equal(images, reference[b"data"]) and labels.tolist() == reference[b"labels"]


@pytest.mark.parametrize("protocol, order", [*zip(range(6), "CFCFCC", strict=True), (5, "F")])
def test_a_batch_pickled_by_any_protocol_reads_as_pickle_reads_it(protocol, order):
    images, labels = pictures("test_batch")
    record = {b"data": np.asarray(images, order=order), b"labels": labels.tolist()}
    found = from_python(pickle.dumps(record, protocol))
    assert np.array_equal(found[0], images) and np.array_equal(found[1], labels)


def test_a_batch_stored_column_by_column_reads_as_pickle_reads_it():
    images, labels = pictures("test_batch")
    payload = as_python(np.asfortranarray(images), labels)
    assert np.array_equal(from_python(payload)[0], images)


def test_a_channel_is_a_plane_and_a_row_runs_from_left_to_right(home):
    images, _ = pictures("data_batch_1")
    x = CIFAR10(str(home)).images
    for channel, row, column in ((0, 0, 5), (1, 7, 0), (2, 31, 30)):
        at = 1024 * channel + 32 * row + column
        assert x[:10_000, channel, row, column].tolist() == images[:, at].tolist()


def test_a_sample_is_an_image_with_bytes_mapped_from_minus_one_to_one(home):
    data = CIFAR10(str(home), flip=False)
    x, cond = data.sample(64)
    torch.manual_seed(0)
    expected = data.images[torch.randint(50_000, (64,))].double() / 127.5 - 1
    torch.manual_seed(0)
    assert cond is None and x.dtype == torch.float32
    assert torch.allclose(data.sample(64)[0].double(), expected, atol=1e-6)
    assert ((x + 1) * 127.5).sub(((x + 1) * 127.5).round()).abs().max() < 1e-4


@pytest.mark.parametrize("layout", FOLDER)
@pytest.mark.parametrize("flip", [False, True])
def test_each_labelled_sample_has_its_own_images_label(home, layout, flip):
    data = CIFAR10(str(home / FOLDER[layout]), flip=flip, labelled=True)
    assert data.classes == len(CLASSES) and CIFAR10(str(home)).classes == 0
    for source in (data, data.on("cpu")):
        torch.manual_seed(3)
        x, labels = source.sample(200)
        torch.manual_seed(3)
        drawn = torch.randint(50_000, (200,))
        whole = np.concatenate([pictures(name)[1] for name in TRAIN])
        assert labels.tolist() == whole[drawn.numpy()].tolist()
        bytes_ = ((x + 1) * 127.5).round().byte()
        own = data.images[drawn]
        same = (bytes_ == own).flatten(1).all(1) | (bytes_ == own.flip(3)).flatten(1).all(1)
        assert same.all() and labels.dtype == torch.int64


def test_dropped_labels_are_the_eleventh_class_and_the_others_stay(home):
    labelled = CIFAR10(str(home), flip=False, labelled=True)
    data = Unlabelled(labelled, 0.25)
    assert (data.null, data.classes, data.shape) == (10, 11, (3, 32, 32))
    torch.manual_seed(4)
    x, labels = data.sample(2000)
    torch.manual_seed(4)
    same, whole = labelled.sample(2000)
    kept = labels != data.null
    assert torch.equal(x, same) and torch.equal(labels[kept], whole[kept])
    assert 0.2 < float((~kept).double().mean()) < 0.3


def test_half_of_the_images_are_turned_left_to_right_and_none_upside_down(home):
    data = CIFAR10(str(home))
    still = CIFAR10(str(home), flip=False)
    torch.manual_seed(1)
    x, _ = data.sample(2000)
    torch.manual_seed(1)
    original, _ = still.sample(2000)
    same = (x == original).flatten(1).all(1)
    turned = (x == original.flip(3)).flatten(1).all(1)
    assert (same | turned).all()
    assert 0.45 < float((turned & ~same).sum() / (~(turned & same)).sum()) < 0.55


def test_on_the_cpu_the_resident_source_draws_what_the_set_draws(home):
    data = CIFAR10(str(home))
    torch.manual_seed(5)
    one, _ = data.sample(32)
    torch.manual_seed(5)
    resident = data.on("cpu")
    two, _ = resident.sample(32)
    assert torch.equal(one, two)
    assert resident.images.data_ptr() == data.images.data_ptr()  # no second copy
    assert len(resident) == len(data) and resident.shape == data.shape
    assert resident.sigma_data == data.sigma_data


@pytest.mark.gpu
def test_on_a_gpu_the_bytes_lie_there_and_a_sample_waits_for_nothing(home):
    resident = CIFAR10(str(home)).on("cuda")
    assert resident.images.is_cuda and resident.images.dtype == torch.uint8
    torch.cuda.set_sync_debug_mode("error")
    try:
        x, _ = resident.sample(64)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert x.is_cuda and x.shape == (64, 3, 32, 32)


def test_it_is_a_source_whose_images_are_read_once(home):
    data = CIFAR10(str(home))
    assert isinstance(data, Source) and isinstance(data, HasSigmaData)
    assert data.sigma_data == 0.5 and data.shape == (3, 32, 32) and len(CLASSES) == 10
    assert data.images is data.images
    assert data.images.data_ptr() == CIFAR10(str(home), flip=False).images.data_ptr()


def test_a_missing_batch_is_named_with_the_remedy(home, tmp_path):
    path = copy(home, "python", tmp_path, without=["data_batch_3"])
    assert "lacks data_batch_3;" in refusal(path)
    assert len(CIFAR10(str(path), train=False).images) == 10_000


@pytest.mark.parametrize("make", [os.mkdir, getattr(os, "mkfifo", os.mkdir),
                                  lambda path: path.symlink_to("nowhere")])  # fmt: skip
def test_what_is_no_file_in_a_batchs_place_is_not_taken_for_a_missing_batch(home, tmp_path, make):
    path = copy(home, "python", tmp_path, TEST)
    make(path / FOLDER["python"] / "test_batch")
    assert "test_batch is a folder, a pipe or a link that leads nowhere;" in refusal(path, False)


def spoilt(images, labels, place, byte):
    payload = bytearray(cifar_files.as_binary(images, labels))
    payload[place] = byte
    return bytes(payload)


def test_a_label_above_nine_is_named(home, tmp_path):
    images, labels = pictures("data_batch_2")
    changed = {"data_batch_2.bin": spoilt(images, labels, 3073 * 77, 10)}
    assert "data_batch_2.bin" in (said := refusal(copy(home, "binary", tmp_path, (), changed)))
    assert "has the label 10" in said


BAD_LABELS = ([3] * 9_999, [3] * 9_999 + [10], [3] * 9_999 + [-1], [3] * 9_999 + [True], "3")


@pytest.mark.parametrize("labels", BAD_LABELS, ids=("few", "ten", "minus", "bool", "text"))
def test_labels_in_a_pickle_that_are_not_those_of_a_batch_are_refused(labels):
    images, _ = pictures("test_batch")
    with pytest.raises(BadBatch, match="label"):
        from_python(pickle.dumps({b"data": images, b"labels": labels}, 4))


BAD_IMAGES = {
    "other numbers": lambda x: x[:1250].view(np.float64),
    "other shape": lambda x: x.reshape(3072, 10_000),
    "fewer": lambda x: x[:-1],
    "signed": lambda x: x.view(np.int8),
    "objects": lambda x: np.array([x, None], dtype=object),
    "bytes": lambda x: x.tobytes(),
    "none": lambda x: None,
}


@pytest.mark.parametrize("change", BAD_IMAGES.values(), ids=BAD_IMAGES)
def test_images_in_a_pickle_that_are_not_those_of_a_batch_are_refused(change):
    images, labels = pictures("test_batch")
    with pytest.raises(BadBatch, match="images"):
        from_python(pickle.dumps({b"data": change(images), b"labels": labels.tolist()}, 4))


def test_a_dictionary_of_cifar_100_is_called_that():
    with pytest.raises(BadBatch, match="holds CIFAR-100"):
        from_python(pickle.dumps({b"data": None, b"fine_labels": [], b"labels": []}, 4))


@pytest.mark.parametrize("layout", FOLDER)
@pytest.mark.parametrize("size", [0, 1000, 30_729_999, 30_740_000, 64_460_001])
def test_a_file_of_another_size_is_refused_before_it_is_read(home, tmp_path, layout, size):
    file = f"data_batch_1{SUFFIX[layout]}"
    path = copy(home, layout, tmp_path, BATCHES, {file: b""})
    with (path / FOLDER[layout] / file).open("wb") as hollow:
        hollow.truncate(size)
    said = refusal(path)
    assert file in said
    assert f"has {size} bytes" in said or (layout == "python" and size == 30_740_000)


def test_a_truncated_pickle_of_a_likely_size_is_refused(home, tmp_path):
    payload = as_python2(*pictures("data_batch_1"))[:30_800_000]
    said = refusal(copy(home, "python", tmp_path, (), {"data_batch_1": payload}))
    assert "data_batch_1" in said and "truncated" in said


def test_a_pickle_that_carries_code_is_refused_by_name(home, tmp_path):
    payload = b"cposix\nsystem\n(S'false'\ntR." + bytes(30_740_000)
    said = refusal(copy(home, "python", tmp_path, (), {"data_batch_1": payload}))
    assert "names 'posix system'" in said


def test_a_truncated_archive_is_refused_at_any_length(tar, tmp_path):
    whole = tar.read_bytes()
    short = tmp_path / tar.name
    for length in (0, 10, 1000, len(whole) // 5):
        short.write_bytes(whole[:length])
        refusal(short)


def test_what_is_no_archive_is_refused(tmp_path):
    for payload in (b"hello", b"\x1f\x8b" + bytes(100), bytes(2000)):
        (tmp_path / "cifar-10-python.tar.gz").write_bytes(payload)
        refusal(tmp_path)


def archive(path, *members):
    """A small tar.gz of (name, type, payload)."""
    with tarfile.open(path, "w:gz", compresslevel=1) as tar:
        for name, kind, payload in members:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = kind, len(payload), "/etc/passwd"
            tar.addfile(info, io.BytesIO(payload))
    return path


def test_members_count_by_exact_name_and_never_as_links(tmp_path):
    folder = "cifar-10-batches-bin"
    wrong = [
        (f"{folder}/../{folder}/test_batch.bin", tarfile.REGTYPE, b"x"),
        (f"/{folder}/test_batch.bin", tarfile.REGTYPE, b"x"),
        (f"{folder}/test_batch.bin", tarfile.SYMTYPE, b""),
        (f"{folder}/test_batch.bin", tarfile.LNKTYPE, b""),
        (f"{folder}/test_batch.bin", tarfile.FIFOTYPE, b""),
        (f"{folder}/sub/test_batch.bin", tarfile.REGTYPE, b"x"),
    ]
    said = refusal(archive(tmp_path / "a.tar.gz", *wrong), train=False)
    assert "lacks test_batch.bin" in said


def test_a_member_of_another_size_is_refused(tmp_path):
    member = ("cifar-10-batches-bin/test_batch.bin", tarfile.REGTYPE, bytes(3073))
    said = refusal(archive(tmp_path / "a.tar.gz", member), train=False)
    assert "has 3073 bytes" in said


def test_an_archive_that_unpacks_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("cmlab.data.cifar10_files.LARGEST", 2**22)
    member = ("cifar-10-batches-bin/big", tarfile.REGTYPE, bytes(2**23))
    assert "unpacks to more" in refusal(archive(tmp_path / "a.tar.gz", member))
    header = ("cifar-10-batches-bin/big", tarfile.XHDTYPE, bytes(2**23))
    assert "unpacks to more" in refusal(archive(tmp_path / "a.tar.gz", header))


OTHERS = {
    "EDM's zip": ({"dataset.json": b"{}", "00000/img00000000.png": b"x"}, "as EDM and ECT take"),
    "an npz": ({"x_train.npy": b"x", "y_train.npy": b"x"}, r"a NumPy archive \(.npz\)"),
    "a zip of batches": ({"cifar-10-batches-py/data_batch_1": b"x"}, "unpack it and give their"),
    "half a zip": (b"PK\x03\x04" + bytes(99), "a truncated or damaged zip"),
    "a web page": (b"\n<!DOCTYPE html>", "a web page"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\n", "a git-lfs pointer"),
    "a batch": (b"\x80\x02}q\x01.", "give the folder of all batches"),
    "xz": (b"\xfd7zXZ\x00", "compressed by xz"),
    "half an archive": (b"\x1f\x8b\x08\x00" + bytes(50), "a truncated or damaged archive"),
    "nothing": (b"", "empty"),
    "anything": (b"hello" * 300, "no tar or tar.gz archive"),
}


@pytest.mark.parametrize("members, what", OTHERS.values(), ids=OTHERS)
def test_another_file_is_called_what_it_is_and_is_left_alone(tmp_path, members, what):
    path = tmp_path / "cifar10-32x32.zip"
    if isinstance(members, bytes):
        path.write_bytes(members)
    else:
        with zipfile.ZipFile(path, "w") as file:
            for name, payload in members.items():
                file.writestr(name, payload)
    before = path.read_bytes()
    assert re.search(f"{path} is {what}|{what}", refusal(path))
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["cifar-10-binary.tar", "cifar-10-binary.tar.gz", "mine"])
def test_a_tar_that_a_browser_unpacked_is_read_and_so_are_members_that_begin_with_a_dot(
    home, tmp_path, name
):
    with tarfile.open(tmp_path / name, "w") as packed:
        packed.add(home / FOLDER["binary"] / "test_batch.bin",
                   f"./{FOLDER['binary']}/test_batch.bin")  # fmt: skip
    for path in (tmp_path / name, tmp_path)[: 2 - (name == "mine")]:
        labels = CIFAR10(str(path), train=False).labels
        assert labels.tolist() == pictures("test_batch")[1].tolist()
        load.cache_clear()


@pytest.mark.parametrize("layout, cut", [("binary", b"x"), ("binary", None), ("python", None)])
def test_beside_a_half_unpacked_folder_the_archive_is_read(home, tar, tmp_path, layout, cut):
    changed = {} if cut is None else {"data_batch_4.bin": cut}
    copy(home, layout, tmp_path, ["data_batch_4"], changed)
    (tmp_path / tar.name).symlink_to(tar)
    assert cifar10_files.find(str(tmp_path)).path == tmp_path / tar.name
    assert cifar10_files.find(str(tmp_path), TEST).path == tmp_path / FOLDER[layout]
    (tmp_path / tar.name).unlink()
    (tmp_path / tar.name).write_bytes(b"half an archive")  # of two broken ones the folder is told
    assert "data_batch_4" in refusal(tmp_path)


def test_a_tilde_is_the_home_folder_in_paths_options_and_the_environment(
    home, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("HOME", str(home))
    assert cifar10_files.find("~/cifar-10-batches-py").path == home / FOLDER["python"]
    monkeypatch.setenv("CMLAB_DATA", "~")
    assert cifar10_files.find("").path == home / FOLDER["binary"]
    assert main(["data", "cifar10", "--path=~/cifar-10-batches-py"]) == 0
    monkeypatch.setenv("HOME", str(tmp_path))
    assert main(["train", "toy.ct", "--set", "steps=2", "net.width=4", "--out=~/run"]) == 0
    assert main(["sample", "~/run", "--n", "2", "--out=~/x.png"]) == 0
    hidden = {".cache", ".config"}  # of libraries that are first imported here
    assert {path.name for path in tmp_path.iterdir()} - hidden == {"run", "x.png"}
    assert main(["sample", "~nobody-at-all/run", "--out", "x.png"]) == 2


def test_cifar_100_is_called_by_its_name(tmp_path):
    member = ("cifar-100-python/train", tarfile.REGTYPE, b"x")
    assert "holds CIFAR-100" in refusal(archive(tmp_path / "a.tar.gz", member))
    (tmp_path / "cifar-100-binary").mkdir()
    assert "holds CIFAR-100" in refusal(tmp_path)
    assert "holds CIFAR-100" in refusal(tmp_path / "cifar-100-binary")
    other = archive(tmp_path / "b.tar.gz", ("holiday.jpg", tarfile.REGTYPE, b"x"))
    assert "holds no batches of CIFAR-10" in refusal(other)


def test_nothing_there_is_said_with_both_remedies(tmp_path):
    said = refusal(tmp_path / "nowhere")
    assert "there is no CIFAR-10 in" in said and "--download, or give" in said


def check(*words):
    parser = argparse.ArgumentParser()
    data.add_arguments(parser)
    return data.main(parser.parse_args(["cifar10", *map(str, words)]))


def test_the_command_says_what_is_there(home, capsys):
    assert check("--path", home / FOLDER["python"]) == 0
    said = capsys.readouterr().out
    images = np.concatenate([pictures(name)[0] for name in TRAIN]).reshape(-1, 3, 1024)
    mean = " ".join(f"{images[:, k].mean():.3f}" for k in range(3))
    assert "python layout" in said and "train: 50000 images, of each class 5000" in said
    assert f"train: mean of red, green, blue {mean}, standard deviation" in said
    assert "test: 10000 images, of each class 1000" in said


def test_the_moments_of_a_channel_are_numpys():
    images = torch.randint(256, (50, 3, 32, 32), dtype=torch.uint8)
    mean, deviation = data.moments(images)
    assert np.allclose(mean, images.numpy().mean((0, 2, 3)), rtol=1e-12)
    assert np.allclose(deviation, images.numpy().std((0, 2, 3)), rtol=1e-12)


def test_the_command_says_when_classes_are_uneven_and_the_test_set_is_missing(
    home, tmp_path, capsys
):
    images, labels = pictures("data_batch_1")
    changed = {"data_batch_1.bin": spoilt(images, labels, 0, (int(labels[0]) + 1) % 10)}
    assert check("--path", copy(home, "binary", tmp_path, TEST, changed)) == 0
    said = capsys.readouterr().out
    assert re.search("4999 [a-z]+, .*5001|5001 [a-z]+, .*4999", said)
    assert "test: not there" in said


def test_the_command_says_whether_an_archive_is_the_published_one(tar, capsys):
    assert check("--path", tar) == 0
    assert "not the archive as it was published" in capsys.readouterr().out


def test_the_command_raises_what_the_set_raises(tmp_path, capsys):
    with pytest.raises(BadFile, match="there is no CIFAR-10"):
        check("--path", tmp_path)
    assert capsys.readouterr().out == ""
