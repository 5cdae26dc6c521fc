"""Sums of very many names as columns of numbers: small to keep, and added up a column at a time."""

import sys
from array import array
from collections.abc import Iterable, Sequence
from itertools import compress, repeat
from operator import add, is_
from typing import Any, TypeAlias

import orjson

Column: TypeAlias = Sequence[Any]

# Types of `array` by how many bytes a number takes, unsigned before signed, and of numbers that are not whole.
_WHOLE = "BbHhIiq"
_REAL = "d"
_LIMITS = {
    code: (-(1 << bits - 1), (1 << bits - 1) - 1) for code, bits in zip("bhiq", (8, 16, 32, 64), strict=True)
}
_LIMITS |= {code: (0, (1 << bits) - 1) for code, bits in zip("BHI", (8, 16, 32), strict=True)}
_BASE_BYTES = 8

# So many numbers of a column may wait for others of the same names.
_MOST_WAITING = 200_000

# Less than every time.
_BEFORE_ALL = -(1 << 63)


def pack(names: str, *columns: str) -> tuple[str | bytes, ...]:
    """Return names and what was found by name, all of which were JSON lists."""
    return pack_columns(read_names(names), map(orjson.loads, columns))


def pack_columns(names: Iterable[str], columns: Iterable[Column]) -> tuple[str | bytes, ...]:
    """Return names, sorted, as JSON, and packed columns in their order."""
    found = list(names)
    order = sorted(range(len(found)), key=found.__getitem__)
    in_order = (list(map(column.__getitem__, order)) for column in columns)
    return orjson.dumps(list(map(found.__getitem__, order))).decode(), *map(_packed, in_order)


def read_names(names: str) -> list[str]:
    found: list[str] = orjson.loads(names)
    return found


def _packed(column: Column) -> bytes:
    """Return the type and the least of the numbers, and how much greater each is, or that is 0 and each itself."""
    if not all(isinstance(number, int) or number.is_integer() for number in column):
        return _encoded(_REAL, 0, map(float, column))
    whole = list(map(int, column))
    low, high = min(whole, default=0), max(whole, default=0)
    plain, above = _type_for(low, high), _type_for(0, high - low)
    if array(above).itemsize < array(plain).itemsize:
        return _encoded(above, low, (number - low for number in whole))
    return _encoded(plain, 0, whole)


def _type_for(low: int, high: int) -> str:
    return next(code for code in _WHOLE if _LIMITS[code][0] <= low and high <= _LIMITS[code][1])


def _encoded(code: str, base: int, numbers: Iterable[Any]) -> bytes:
    packed = array(code, numbers)
    if sys.byteorder == "big":
        packed.byteswap()
    return code.encode() + base.to_bytes(_BASE_BYTES, "little", signed=True) + packed.tobytes()


def unpack(packed: bytes) -> Column:
    numbers, base = _decoded(packed)
    return list(map(base.__add__, numbers)) if base else numbers


def pick(packed: bytes, places: Iterable[int]) -> list[Any]:
    """Return a few of the numbers."""
    numbers, base = _decoded(packed)
    return [numbers[place] + base for place in places]


def _decoded(packed: bytes) -> tuple["array[Any]", int]:
    view = memoryview(packed)
    numbers = array(bytes(view[:1]).decode())
    numbers.frombytes(view[1 + _BASE_BYTES :])
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers, int.from_bytes(view[1 : 1 + _BASE_BYTES], "little", signed=True)


class SumsByName:
    """Adds up columns by name; those in `maxima` are combined by their maximum."""

    def __init__(self, columns: int, maxima: Iterable[int] = ()) -> None:
        self._maxima = frozenset(maxima)
        self._places: dict[str, int] = {}
        self._totals: list[list[Any]] = [[] for _ in range(columns)]
        # Where nobody is missing, spans have the same names, and whole columns are added.
        self._alike: dict[str, list[Column]] = {}

    def add_packed(self, names: str, columns: Sequence[bytes]) -> None:
        more = list(map(unpack, columns))
        known = self._alike.get(names)
        if known is not None:
            more = list(map(self._combined, range(len(more)), known, more))
        self._alike[names] = more
        if sum(len(column) for column, *_ in self._alike.values()) > _MOST_WAITING:
            self._add_alike()

    def add_rows(self, rows: Sequence[Sequence[Any]]) -> None:
        if rows:
            names, *columns = zip(*rows, strict=True)
            self._add(names, columns)

    @property
    def size(self) -> int:
        """How many names are known so far; there may be `_MOST_WAITING` more."""
        return len(self._places)

    def totals(self) -> tuple[dict[str, int], list[list[Any]]]:
        """Return columns, and the place of each name in them, in order."""
        self._add_alike()
        return self._places, self._totals

    def _add_alike(self) -> None:
        for names, columns in self._alike.items():
            self._add(read_names(names), columns)
        self._alike.clear()

    def _combined(self, number: int, one: Column, other: Column) -> Column:
        if number in self._maxima:
            return [first if first > second else second for first, second in zip(one, other, strict=True)]
        return list(map(add, one, other))

    def _add(self, names: Sequence[str], columns: Sequence[Column]) -> None:
        known, before = self._places, len(self._places)
        places: list[Any] = list(map(known.get, names))
        if None in places:
            for name in compress(names, map(is_, places, repeat(None))):
                known.setdefault(name, len(known))
            places = list(map(known.__getitem__, names))
        new = len(known) - before
        if new == len(names):
            for total, column in zip(self._totals, columns, strict=True):
                total.extend(column)
            return
        for number, (total, column) in enumerate(zip(self._totals, columns, strict=True)):
            total.extend(repeat(_BEFORE_ALL if number in self._maxima else 0, new))
            if number in self._maxima:
                for place, value in zip(places, column, strict=True):
                    if value > total[place]:
                        total[place] = value
            elif any(column):
                for place, value in zip(places, column, strict=True):
                    total[place] += value
