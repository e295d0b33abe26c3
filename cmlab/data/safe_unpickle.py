"""Safe unpickling: read plain containers and arrays from a pickle without running it.

A pickle is a program for a stack machine, and some of its instructions import and call whatever
the file names. So it is not run here. `pickletools`, the standard library's disassembler, splits
it into instructions, and `Machine` follows only those that arrays and plain containers need: a
name stays a name, and a call is recorded as a `PickledCall`. All text is kept as bytes, as
Python 2 wrote it. Python 3 writes bytes in protocols below 3 as text with a call to encode it,
and such calls alone are followed here, by `Machine.bytes`.
"""

import pickletools
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

INSTRUCTIONS = 100_000  # a published batch has about 30 000; each may cost memory
BYTES = ("_codecs encode", "__builtin__ bytes")  # calls for bytes in protocols 0 to 2
OUTSIDE = "persistent id"  # stands for a name where something lies outside the pickle


class BadBatch(ValueError):
    """A batch file is refused; the message ends a sentence that begins with the file's name."""


@dataclass
class PickledCall:
    """A call that a pickle asks for, recorded and not made.

    Args:
        name: module and name of what would be called, with a space between.
        arguments: its arguments.
        state: the state that would then be set.
        items: what would then be put into it, as into a dictionary.
    """

    name: str
    arguments: Any = None
    state: Any = None
    items: dict[Any, Any] = field(default_factory=dict)


def contents(
    payload: bytes | BytesIO, admitted: Collection[str], machine: "Machine | None" = None
) -> Any:
    """The value in a pickle.

    Args:
        payload: the bytes of the pickle; of a stream the next pickle in it is read.
        admitted: the names, as "module name", that it may hold.
        machine: reads it, by default one for batches.

    Raises:
        BadBatch: for other names or instructions, and for a damaged pickle.
    """
    size = len(payload if isinstance(payload, bytes) else payload.getbuffer())
    machine = machine or Machine({*admitted, *BYTES}, 2 * size)
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(payload)):
            if opcode.name not in machine.steps or count == machine.most:
                raise BadBatch("holds more than arrays and plain containers")
            machine.steps[opcode.name](machine, argument)
        (value,) = machine.stack
    except BadBatch:
        raise
    except (ValueError, LookupError) as error:
        raise BadBatch("is truncated or no batch in the Python layout") from error
    return value


@dataclass
class Machine:
    """The state of the stack machine: stack, stacks below open marks, and memo.

    `room` is how many bytes may still be encoded: a text in the memo could be so again and again.
    """

    admitted: Collection[str]
    room: int
    stack: list[Any] = field(default_factory=list)
    aside: list[list[Any]] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    @property
    def steps(self) -> dict[str, "Step"]:
        """The instructions that are followed, by pickletools' name."""
        return STEPS

    @property
    def most(self) -> int:
        """How many instructions are followed."""
        return INSTRUCTIONS

    def push(self, value: Any) -> None:
        """Append to the stack, after the value is computed: `since_mark` changes the stack."""
        self.stack.append(value)

    def mark(self) -> None:
        self.aside.append(self.stack)
        self.stack = []

    def since_mark(self) -> tuple[Any, ...]:
        values, self.stack = tuple(self.stack), self.aside.pop()
        return values

    def take(self, n: int) -> tuple[Any, ...]:
        """Pop the last n values, in the order in which they were pushed."""
        return tuple(reversed([self.stack.pop() for _ in range(n)]))

    def top(self, kind: type) -> Any:
        if type(self.stack[-1]) is not kind:
            raise ValueError(f"expected a {kind.__name__}")
        return self.stack[-1]

    def extend(self, values: tuple[Any, ...]) -> None:
        self.top(list).extend(values)

    def update(self, pairs: tuple[Any, ...]) -> None:
        """Only text is a key: to hash a tuple of tuples of tuples could take for ever."""
        if any(type(key) is not bytes for key in pairs[::2]):
            raise ValueError("expected text as the key")
        self.top(dict).update(zip(pairs[::2], pairs[1::2], strict=True))

    def name(self, name: str) -> None:
        if name not in self.admitted:
            raise BadBatch(f"names {name[:60]!r}, and a batch holds arrays and plain containers")
        self.stack.append(PickledCall(name))

    def qualified(self, parts: tuple[Any, ...]) -> None:
        """As `name`, from a module and a name taken off the stack."""
        if any(type(part) is not bytes for part in parts):
            raise ValueError("expected a name")
        self.name(b" ".join(parts).decode())

    def dictionary(self, pairs: tuple[Any, ...]) -> None:
        self.stack.append({})
        self.update(pairs)

    def call(self, arguments: Any) -> None:
        name = self.top(PickledCall).name
        made = self.bytes(name, arguments) if name in BYTES else PickledCall(name, arguments)
        self.stack[-1] = made

    def bytes(self, name: str, arguments: Any) -> bytes:
        """The bytes that a protocol below 3 holds as bytes() or encode(text, "latin1")."""
        if name == BYTES[1] and arguments == ():
            return b""
        text, coding = arguments
        if type(text) is not bytes or coding != b"latin1":
            raise ValueError("expected text")
        self.room -= len(text)
        if self.room < 0:
            raise ValueError("more text than the file has")
        return text.decode().encode("latin-1")

    def build(self, state: Any) -> None:
        self.top(PickledCall).state = state


Step = Callable[[Machine, Any], None]


def same(step: Step, *names: str) -> dict[str, Step]:
    return dict.fromkeys(names, step)


STEPS: dict[str, Step] = {  # by pickletools' name of the instruction: machine m, argument a
    **same(lambda m, a: None, "PROTO", "FRAME", "STOP"),
    **same(lambda m, a: m.stack.append(a), "BININT", "BININT1", "BININT2", "LONG1"),
    **same(lambda m, a: m.stack.append(a), "INT", "LONG"),
    **same(lambda m, a: m.stack.append(a), "SHORT_BINBYTES", "BINBYTES", "BINBYTES8"),
    **same(lambda m, a: m.stack.append(a.encode("latin-1")), "SHORT_BINSTRING", "BINSTRING"),
    **same(lambda m, a: m.stack.append(a.encode()), "SHORT_BINUNICODE", "BINUNICODE", "UNICODE"),
    **same(lambda m, a: m.memo.update({a: m.stack[-1]}), "BINPUT", "LONG_BINPUT", "PUT"),
    **same(lambda m, a: m.stack.append(m.memo[a]), "BINGET", "LONG_BINGET", "GET"),
    "BYTEARRAY8": lambda m, a: m.stack.append(bytes(a)),
    "MEMOIZE": lambda m, a: m.memo.update({len(m.memo): m.stack[-1]}),
    "NONE": lambda m, a: m.stack.append(None),
    "NEWTRUE": lambda m, a: m.stack.append(True),
    "NEWFALSE": lambda m, a: m.stack.append(False),
    "EMPTY_DICT": lambda m, a: m.stack.append({}),
    "EMPTY_LIST": lambda m, a: m.stack.append([]),
    "EMPTY_TUPLE": lambda m, a: m.stack.append(()),
    "LIST": lambda m, a: m.push(list(m.since_mark())),
    "DICT": lambda m, a: m.dictionary(m.since_mark()),
    "MARK": lambda m, a: m.mark(),
    "TUPLE": lambda m, a: m.push(m.since_mark()),
    "TUPLE1": lambda m, a: m.stack.append(m.take(1)),
    "TUPLE2": lambda m, a: m.stack.append(m.take(2)),
    "TUPLE3": lambda m, a: m.stack.append(m.take(3)),
    "APPEND": lambda m, a: m.extend(m.take(1)),
    "APPENDS": lambda m, a: m.extend(m.since_mark()),
    "SETITEM": lambda m, a: m.update(m.take(2)),
    "SETITEMS": lambda m, a: m.update(m.since_mark()),
    "GLOBAL": lambda m, a: m.name(a),
    "STACK_GLOBAL": lambda m, a: m.qualified(m.take(2)),
    "REDUCE": lambda m, a: m.call(*m.take(1)),
    "BUILD": lambda m, a: m.build(*m.take(1)),
}


# Whole networks, as EDM's and ECT's authors pickled them


@dataclass
class ObjectMachine(Machine):
    """Objects of any class, recorded as `PickledCall` and never made, for the tensors in them.

    `outside` is what lies outside the pickle, in the order in which it is named.
    """

    outside: list[PickledCall] = field(default_factory=list)

    @property
    def steps(self) -> dict[str, Step]:
        return STEPS | OBJECT_STEPS

    @property
    def most(self) -> int:
        return 5_000_000

    def name(self, name: str) -> None:
        self.stack.append(PickledCall(name[:200]))

    def extend(self, values: tuple[Any, ...]) -> None:
        if type(self.stack[-1]) is list:
            self.stack[-1].extend(values)  # of an object that is a list nothing is kept

    def update(self, pairs: tuple[Any, ...]) -> None:
        """Text and numbers alone are keys; what has another key is left out."""
        thing = self.stack[-1]
        items = thing.items if type(thing) is PickledCall else self.top(dict)
        kept = zip(pairs[::2], pairs[1::2], strict=True)
        items.update({key: value for key, value in kept if type(key) in (bytes, int, float)})

    def call(self, arguments: Any) -> None:
        if type(self.stack[-1]) is PickledCall and self.stack[-1].name in BYTES:
            super().call(arguments)
        else:  # of a call of what another call would return, that is recorded instead
            self.stack[-1] = PickledCall(getattr(self.stack[-1], "name", ""), arguments)

    def build(self, state: Any) -> None:
        if type(self.stack[-1]) is PickledCall:
            self.stack[-1].state = state


def made(machine: Machine, n: int) -> None:
    """An object of a class with arguments: NEWOBJ has two values on the stack, NEWOBJ_EX three."""
    kind, arguments, *_ = machine.take(n)
    machine.push(PickledCall(getattr(kind, "name", ""), arguments))


def dropped(values: tuple[Any, ...]) -> None:
    """Nothing is done with values that a pickle takes off its stack."""


def outside(machine: Machine, told: Any) -> None:
    """Something that lies outside the pickle: what it is, and where."""
    call = PickledCall(OUTSIDE, told)
    if isinstance(machine, ObjectMachine):
        machine.outside.append(call)
    machine.push(call)


OBJECT_STEPS: dict[str, Step] = {
    "BINFLOAT": lambda m, a: m.stack.append(a),
    "BINPERSID": lambda m, a: outside(m, *m.take(1)),
    "NEWOBJ": lambda m, a: made(m, 2),
    "NEWOBJ_EX": lambda m, a: made(m, 3),
    "EMPTY_SET": lambda m, a: m.stack.append([]),
    "ADDITEMS": lambda m, a: m.extend(m.since_mark()),
    "FROZENSET": lambda m, a: m.push(list(m.since_mark())),
    "POP": lambda m, a: dropped(m.take(1)),
    "POP_MARK": lambda m, a: dropped(m.since_mark()),
}
