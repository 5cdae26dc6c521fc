"""Training, validation and test files such that nobody, and no conversation, is in two of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from os import SEEK_CUR
from pathlib import Path
from struct import Struct

from gateway.datasets.overlaps import digest
from gateway.errors import BadInput

SPLIT_NAMES = ("train", "validation", "test")

_HASHES = 2**64
_HEAD = Struct("<QI")


@dataclass(frozen=True, slots=True)
class Shares:
    """Parts of a whole that go to each split, in the order of `SPLIT_NAMES`."""

    parts: tuple[float, ...]
    seed: int

    @classmethod
    def read(cls, text: str, seed: int) -> Shares:
        """Return the shares of `90/5/5` or `90/10`. Raises BadInput."""
        try:
            parts = [float(part) for part in text.split("/")]
        except ValueError:
            parts = []
        # NaN fails each comparison.
        if len(parts) not in (2, 3) or not all(0 < part < 100 for part in parts) or sum(parts) != 100:
            raise BadInput(
                f"must be the percentages of train, validation and test, such as 90/5/5 or 90/10; got {text!r}.",
                field="split",
            )
        return cls(tuple(part / 100 for part in parts), seed)

    @property
    def names(self) -> tuple[str, ...]:
        return SPLIT_NAMES[: len(self.parts)]

    def split_of(self, key: int) -> str:
        """Return the split of a hash."""
        place, end = key / _HASHES, 0.0
        for name, part in zip(self.names, self.parts, strict=True):
            end += part
            if place < end:
                return name
        return self.names[-1]


@dataclass(slots=True)
class Groups:
    """Hashes of names that belong together, directly or through others, as a disjoint-set forest.

    Args:
        seed: makes other hashes of the same names.
    """

    seed: int
    _parents: dict[int, int] = field(default_factory=dict)

    def join(self, names: Sequence[str]) -> int:
        """Put these names into one group; return the hash of the first."""
        first, *others = (self._hash(name) for name in names)
        root = self.find(first)
        for other in others:
            other_root = self.find(other)
            # The smaller hash stands for both, in whatever order the names come.
            low, high = sorted((root, other_root), key=_rank)
            if low != high:
                self._parents[high] = low
            root = low
        return first

    def find(self, key: int) -> int:
        """Return the hash that stands for the group of another."""
        root = key
        while (parent := self._parents.get(root, root)) != root:
            root = parent
        while key != root:
            self._parents[key], key = root, self._parents.get(key, root)
        return root

    def _hash(self, name: str) -> int:
        hashed = digest(f"{self.seed} {name}")
        # A group goes by its users, so that their new sessions do not move it. The lowest bit tells them apart.
        return hashed & ~1 if name.startswith("user ") else hashed | 1


def _rank(key: int) -> tuple[int, int]:
    return key & 1, key


class SplitSpool:
    """Lines in a temporary file, until it is known which of them belong together."""

    def __init__(self, folder: Path, resources: ExitStack, shares: Shares) -> None:
        self._shares = shares
        self._groups = Groups(shares.seed)
        self._file = resources.enter_context((folder / "lines.spool").open("w+b"))

    def add(self, names: Sequence[str], line: bytes) -> None:
        """Keep a line that these people and conversations had part in."""
        self._file.write(_HEAD.pack(self._groups.join(names), len(line)))
        self._file.write(line)

    def lines(self, split: str) -> Iterator[bytes]:
        """Yield the lines of a split, in order."""
        for group, length in self._heads():
            line = self._file.read(length)
            if self._shares.split_of(group) == split:
                yield line

    def largest_group(self) -> int:
        """Return the number of lines of the group that has most."""
        lines: dict[int, int] = {}
        for group, length in self._heads():
            self._file.seek(length, SEEK_CUR)
            lines[group] = lines.get(group, 0) + 1
        return max(lines.values(), default=0)

    def _heads(self) -> Iterator[tuple[int, int]]:
        """Yield group and length of each line, which is read or passed over before the next."""
        self._file.seek(0)
        while head := self._file.read(_HEAD.size):
            key, length = _HEAD.unpack(head)
            yield self._groups.find(key), length
