"""A pickle is read as data: what it holds comes back, and nothing that it names is ever run."""

import os
import pickle
import struct
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmlab.data.cifar10_files import from_python
from cmlab.data.safe_unpickle import STEPS, BadBatch, PickledCall, contents

NUMPY = ("numpy._core.multiarray _reconstruct", "numpy dtype", "numpy ndarray")

atoms = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**31), 2**31 - 1), st.binary(max_size=300)
)
plain = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.lists(inner, max_size=5).map(tuple),
        st.dictionaries(st.binary(max_size=9), inner, max_size=5),
    ),
    max_leaves=25,
)


@given(plain, st.integers(0, pickle.HIGHEST_PROTOCOL))
@settings(max_examples=150, deadline=None)
def test_plain_containers_come_back_as_pickle_would_give_them(value, protocol):
    assert contents(pickle.dumps(value, protocol), ()) == value


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_a_value_or_one_refusal(payload):
    try:
        contents(b"\x80\x04" + payload + b".", ())
    except BadBatch:
        pass


@given(st.integers(0, 10**6), st.integers(0, 255))
@settings(max_examples=300, deadline=None)
def test_any_changed_byte_of_an_array_is_a_value_or_one_refusal(place, byte):
    payload = bytearray(pickle.dumps({b"data": np.arange(12, dtype=np.uint8)}, 4))
    payload[place % len(payload)] = byte
    try:
        contents(bytes(payload), NUMPY)
    except BadBatch:
        pass


def test_an_array_is_a_note_that_nobody_follows():
    (note,) = contents(pickle.dumps([np.arange(12, dtype=np.uint8).reshape(3, 4)], 4), NUMPY)
    assert type(note) is PickledCall and note.name == NUMPY[0]
    _, shape, dtype, _, raw = note.state
    assert (shape, dtype.arguments[0], raw) == ((3, 4), b"u1", bytes(range(12)))


class Evil:
    """Pickles into the command to make a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_command_in_a_pickle_is_refused_and_not_run(tmp_path, protocol):
    payload = pickle.dumps({b"data": Evil(tmp_path / "run"), b"labels": []}, protocol)
    with pytest.raises(BadBatch):
        from_python(payload)
    assert not (tmp_path / "run").exists()
    pickle.loads(payload)
    assert (tmp_path / "run").exists()  # it was a command: pickle itself does run it


NAMED = b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93"
ARRAY = b"cnumpy\nndarray\n"
HARMFUL = {
    "a name, old form": b"cposix\nsystem\n.",
    "a name, new form": NAMED + b".",
    "a name that is called": NAMED + b"\x8c\x051 + 1\x85R.",
    "INST": b"(S'true'\nios\nsystem\n.",
    "OBJ": b"(" + ARRAY + b"K\x05o.",
    "NEWOBJ": ARRAY + b"K\x05\x85\x81.",
    "NEWOBJ_EX": b"\x80\x04" + ARRAY + b"K\x05\x85}\x92.",
    "a persistent name": b"Psecret\n.",
    "a persistent value": b"K\x05Q.",
    "a registered extension": b"\x80\x02\x82\x01.",
    "a number of a million digits": b"I" + b"9" * 10**6 + b"\n.",
    "another of numpy's functions": b"cnumpy.core.multiarray\nscalar\n.",
    "a name made of parts": b"\x80\x04\x8c\x00\x8c\x04eval\x93.",
    "a name that is no text": b"\x80\x04K\x01K\x02\x93.",
    "the call of what is no name": b"]K\x05\x85R.",
    "a state for what is no array": b"]}b.",
    "a key that is a tuple": b"}))s.",
    "a key that is a list": b"}])s.",
    "a dictionary with half a pair": b"}(Nu.",
    "a call with an empty stack": b"R.",
    "a mark that was never set": b"t.",
    "what was never put by": b"h\x05.",
    "two values": b"NN.",
    "nothing": b".",
    "no bytes": b"",
    "no end": b"N",
}


@pytest.mark.parametrize("payload", HARMFUL.values(), ids=HARMFUL)
def test_what_no_batch_needs_is_refused(payload):
    with pytest.raises(BadBatch):
        contents(payload, (*NUMPY, "numpy.core.multiarray _reconstruct"))


def test_no_instruction_that_could_reach_an_object_of_ours_is_followed():
    reaching = {"INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "PERSID", "BINPERSID"}
    assert not STEPS.keys() & {*reaching, "EXT1", "EXT2", "EXT4", "NEXT_BUFFER"}


BOMBS = {
    "an array of 8 terabytes": ARRAY + b"\x8a\x06" + (2**43).to_bytes(6, "little") + b"\x85R.",
    "a place far out in the memory": b"Nr\xff\xff\xff\xff.",
    "text that claims to be long": b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"abc.",
    "a frame that claims to be long": b"\x80\x04\x95" + struct.pack("<Q", 2**60) + b"N.",
    "lists in lists": b"]" * 5000 + b"a" * 4999 + b".",
    "tuples of tuples, 3 to the power of 60": b"N" + b"q\x01h\x01h\x01\x87" * 60 + b".",
    "and as a key": b"}" + b"N" + b"q\x01h\x01h\x01\x87" * 60 + b"Ns.",
    "a list in itself": b"]q\x01h\x01a.",
    "too many instructions": b"]" * 10**7,
    "a long text that is encoded again and again": b"c_codecs\nencode\nq\x01"
    + b"X"
    + struct.pack("<I", 10**6)
    + b"x" * 10**6
    + b"q\x02X\x06\x00\x00\x00latin1\x86q\x03"
    + b"h\x01h\x03R" * 6000
    + b".",
}


@pytest.mark.parametrize("payload", BOMBS.values(), ids=BOMBS)
def test_a_bomb_costs_neither_memory_nor_time(payload, monkeypatch):
    monkeypatch.setattr("cmlab.data.safe_unpickle.INSTRUCTIONS", 20_000)
    tracemalloc.start()
    start = time.process_time()
    try:
        contents(payload, NUMPY)
    except BadBatch:
        pass
    seconds, peak = time.process_time() - start, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seconds < 5 and peak < len(payload) + 50e6


def test_more_instructions_than_a_batch_has_are_refused(monkeypatch):
    monkeypatch.setattr("cmlab.data.safe_unpickle.INSTRUCTIONS", 10)
    assert contents(b"]" + b"Na" * 4 + b".", ()) == [None] * 4
    with pytest.raises(BadBatch):
        contents(b"]" + b"Na" * 5 + b".", ())
