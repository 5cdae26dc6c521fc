"""Requests and answers put together by chance, the same in every run."""

from __future__ import annotations

import random
import string

from tests.flows.differential_case import CHUNKED, Case, sized
from tests.raw_http import LAST_CHUNK, chunk
from tests.scripted_upstream import READ, send
from tests.upstream_server import Step


def random_cases(count: int) -> list[Case]:
    """Return so many cases, each from a seed of its own."""
    return [_random_case(seed) for seed in range(count)]


def _random_case(seed: int) -> Case:
    dice = random.Random(seed)
    method = dice.choice([b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"REPORT"])
    body = dice.randbytes(dice.choice([0, 1, 10, 1000, 70_000])) if method != b"GET" else b""
    fields, pieces = _random_framing(dice, body)
    return Case(
        f"random {seed}",
        method,
        b"/v1/" + _random_text(dice, string.ascii_letters + string.digits + "-._~!$&'()*+,=:@/%", 30),
        (*_random_fields(dice), *fields),
        pieces,
        steps=_random_answer(dice),
    )


def _random_answer(dice: random.Random) -> tuple[Step, ...]:
    body = dice.randbytes(dice.choice([0, 1, 10, 1000, 70_000]))
    status = b"%d " % dice.choice([200, 201, 206, 300, 400, 404, 429, 500, 503, 599])
    fields, pieces = _random_framing(dice, body)
    lines = [b"HTTP/1.1 " + status + _random_text(dice, string.ascii_letters + " ", 12).strip()]
    head = b"\r\n".join([*lines, *_random_fields(dice), *fields, b"", b""])
    if CHUNKED not in fields:
        return READ, send(head), *[send(piece) for piece in pieces]
    return READ, send(head), *[send(chunk(piece)) for piece in pieces], send(LAST_CHUNK)


def _random_framing(dice: random.Random, body: bytes) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    cuts = sorted(dice.randrange(len(body)) for _ in range(dice.randrange(6))) if body else []
    pieces = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    framing = CHUNKED if dice.random() < 0.5 else sized(body)
    return (framing,), tuple(piece for piece in pieces if piece)


def _random_fields(dice: random.Random) -> tuple[bytes, ...]:
    names = [
        _random_text(dice, string.ascii_letters + string.digits + "-_", 12) for _ in range(dice.randrange(8))
    ]
    names += dice.choices(names, k=2) if names else []
    printable = "".join(map(chr, [*range(0x20, 0x7F), *range(0xA1, 0x100)]))
    return tuple(b"X-" + name + b": " + _random_text(dice, printable, 40, least=0) for name in names)


def _random_text(dice: random.Random, letters: str, most: int, *, least: int = 1) -> bytes:
    return "".join(dice.choices(letters, k=dice.randint(least, most))).encode("latin-1")
