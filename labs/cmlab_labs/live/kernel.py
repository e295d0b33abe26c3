"""Matrix product for the live figures, assembled into WebAssembly when the gallery is written.

    C (m, n) = A (m, k) · B (k, n), or C + A · B

B and C lie row by row. Two strides say how A lies, so its transpose needs no copy. m has to be a
multiple of 4, n of 8: a tile of 4 x 8 numbers of C stays in eight SIMD registers while the loop
over k runs. What is written here are the instructions of the WebAssembly specification, one name
each; the module comes to 500 bytes.
"""

from collections.abc import Iterable

I32, V128 = 0x7F, 0x7B
ROWS, COLUMNS = 4, 2  # of a tile, the columns in vectors of four numbers
ARGUMENTS = ("a", "b", "c", "m", "n", "k", "row", "step", "add")  # addresses and strides: bytes
INTEGERS = ("i", "j", "left", "pb", "pc", *(f"pa{r}" for r in range(ROWS)))
VECTORS = (*(f"s{r}{v}" for r in range(ROWS) for v in range(COLUMNS)),
           *(f"b{v}" for v in range(COLUMNS)), "one")  # fmt: skip
PLACE = {name: i for i, name in enumerate((*ARGUMENTS, *INTEGERS, *VECTORS))}


def number(value: int) -> bytes:
    """An unsigned number in LEB128: seven bits a byte, the highest bit set where more follow."""
    low, rest = value & 0x7F, value >> 7
    return bytes([low]) if not rest else bytes([low | 0x80]) + number(rest)


def vector(items: Iterable[bytes]) -> bytes:
    items = list(items)
    return number(len(items)) + b"".join(items)


def sized(content: bytes) -> bytes:
    return number(len(content)) + content


def section(kind: int, *items: bytes) -> bytes:
    return bytes([kind]) + sized(vector(items))


def simd(code: int, *rest: int) -> bytes:
    return b"\xfd" + number(code) + bytes(rest)


ADD, MUL, LESS = b"\x6a", b"\x6c", b"\x48"  # i32.add, i32.mul, i32.lt_s
LOOP, IF, ELSE, END = b"\x03\x40", b"\x04\x40", b"\x05", b"\x0b"
AGAIN = b"\x0d\x00"  # br_if 0: back to the start of the innermost loop
F_ADD, F_MUL = simd(0xE4), simd(0xE6)  # f32x4.add, f32x4.mul
SPLAT = simd(0x09, 2, 0)  # v128.load32_splat: one number, four times
ZERO = simd(0x0C, *[0] * 16)  # v128.const 0


def load(offset: int) -> bytes:
    return simd(0x00, 2, offset)


def store(offset: int) -> bytes:
    return simd(0x0B, 2, offset)


def const(value: int) -> bytes:
    assert 0 <= value < 64  # a signed LEB128 number of one byte
    return b"\x41" + bytes([value])


def get(*names: str) -> bytes:
    return b"".join(b"\x20" + number(PLACE[name]) for name in names)


def put(name: str) -> bytes:
    return b"\x21" + number(PLACE[name])


def more(name: str, by: bytes) -> bytes:
    """name += by"""
    return get(name) + by + ADD + put(name)


TILE = [(r, v) for r in range(ROWS) for v in range(COLUMNS)]


def of_rows(act: bytes, name: str = "pc") -> bytes:
    """An action for each row of the tile of C, then the address back at the first row."""
    return get("c", "i", "n") + MUL + get("j") + ADD + const(4) + MUL + ADD + put(name) + act


def tile_loaded() -> bytes:
    """The tile's sums: C where it is added to, else 0."""
    rows = [get("pc") + load(16 * v) + put(f"s{r}{v}")
            + (more("pc", get("n") + const(4) + MUL) if v == COLUMNS - 1 else b"")
            for r, v in TILE]  # fmt: skip
    zeros = b"".join(ZERO + put(f"s{r}{v}") for r, v in TILE)
    return get("add") + IF + of_rows(b"".join(rows)) + ELSE + zeros + END


def tile_stored() -> bytes:
    rows = [get("pc", f"s{r}{v}") + store(16 * v)
            + (more("pc", get("n") + const(4) + MUL) if v == COLUMNS - 1 else b"")
            for r, v in TILE]  # fmt: skip
    return of_rows(b"".join(rows))


def inner() -> bytes:
    """The loop over k: a row of B times one number each of four rows of A."""
    first = get("a", "i", "row") + MUL + ADD + put("pa0")
    rows = b"".join(get(f"pa{r - 1}", "row") + ADD + put(f"pa{r}") for r in range(1, ROWS))
    start = first + rows + get("b", "j") + const(4) + MUL + ADD + put("pb")
    start += get("k") + put("left")
    body = b"".join(get("pb") + load(16 * v) + put(f"b{v}") for v in range(COLUMNS))
    for r in range(ROWS):
        body += get(f"pa{r}") + SPLAT + put("one")
        body += b"".join(get(f"s{r}{v}", "one", f"b{v}") + F_MUL + F_ADD + put(f"s{r}{v}")
                         for v in range(COLUMNS))  # fmt: skip
        body += more(f"pa{r}", get("step"))
    body += more("pb", get("n") + const(4) + MUL)
    count = more("left", b"\x41\x7f") + get("left") + AGAIN  # left -= 1, and again unless 0
    return start + LOOP + body + count + END


def module() -> bytes:
    """The module: it imports env.memory and exports gemm, see `ARGUMENTS`."""
    columns = tile_loaded() + inner() + tile_stored() + more("j", const(4 * COLUMNS))
    across = const(0) + put("j") + LOOP + columns + get("j", "n") + LESS + AGAIN + END
    down = across + more("i", const(ROWS)) + get("i", "m") + LESS + AGAIN
    code = const(0) + put("i") + LOOP + down + END + END
    variables = vector(number(len(names)) + bytes([kind])
                       for names, kind in ((INTEGERS, I32), (VECTORS, V128)))  # fmt: skip
    kind = b"\x60" + vector([bytes([I32])] * len(ARGUMENTS)) + vector([])
    memory = sized(b"env") + sized(b"memory") + b"\x02\x00" + number(1)
    return b"\x00asm\x01\x00\x00\x00" + b"".join(
        (section(1, kind), section(2, memory), section(3, b"\x00"),
         section(7, sized(b"gemm") + b"\x00\x00"), section(10, sized(variables + code)))
    )  # fmt: skip
