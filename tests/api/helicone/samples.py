"""Fifty requests of all sorts, to be searched: a third of them of each tenant and of none."""

from __future__ import annotations

import gzip
import random
from typing import Any

import brotli

from gateway.models.clock import now_us
from gateway.models.exchange import LoggingOptOut, PayloadPolicy, RawHeaders
from gateway.models.feedback import Feedback
from gateway.models.request import Cost, Facts, Usage

from .served import Served

ROWS = 50
TRACES = 20
START_US = 1_700_000_000_000_000
USERS = [None, "ann", "Ann", "bob", "a%b", "é"]
MODELS = [None, "gpt-4o", "GPT-4o", "claude", "a_b"]
STATED_MODELS: list[Any] = ["gpt-4o", "Claude", "", 5]
PROVIDERS = ["openai", "anthropic", "groq", "mine"]
VALUES: list[Any] = [
    "pro", "Pro", "free", "a%b", "null?", "", 5, -1, 0.5, True, False, None, ["x", 1], {"a": "é"},
]  # fmt: skip
KEYS = ["plan", "Plan", 'say "k"', "a.b", "_prompt"]
SCORES = ["quality", "a.b"]
COUNTS = [None, 0, 1, 7, 12]
COSTS = [None, 0, 1, 1_250_000, 100_000_000, 3_000_000_000]

QUESTION = '{"prompt":"Ann asks for a refund"}'
LONG = '{"messages":[{"role":"user","content":"' + "refund, please. " * 20 + '"}]}'
STREAM = 'data: {"delta":"No re"}\n\ndata: {"delta":"fund, é!"}\n\ndata: [DONE]\n\n'
GZIP: RawHeaders = ((b"Content-Encoding", b"gzip"),)
BROTLI: RawHeaders = ((b"content-encoding", b"br"),)
BODIES: list[tuple[bytes, RawHeaders, str | None]] = [
    (QUESTION.encode(), (), QUESTION),
    (LONG.encode(), (), LONG),
    (gzip.compress(LONG.encode()), GZIP, LONG),
    (STREAM.encode(), ((b"content-type", b"text/event-stream"),), STREAM),
    (brotli.compress(STREAM.encode()), BROTLI, STREAM),
    (b"no gzip, Ann", GZIP, "no gzip, Ann"),
    (b"ANN\0", (), "ANN\ufffd"),
    ("cut: é".encode()[:-1], (), "cut: "),
    (b"\xff\xfe", (), None),
    (b"", (), None),
]
"""Bodies with their header fields, and the text in each."""


class Rows(list[dict[str, Any]]):
    """Rows as they are answered, in the order in which they were logged; each with the texts of its bodies under
    `request_text` and `response_text`."""

    def __repr__(self) -> str:
        return f"<{len(self)} rows>"


async def fill(served: Served) -> Rows:
    """Log the same requests each time, most of them with verdicts of some dialect; return them."""
    chance = random.Random(7)
    texts = {}
    for number in range(ROWS):
        tenant = [None, "north", "south"][number % 3]
        request_id = f"{tenant}-{number}"
        texts[request_id] = await _log(served, request_id, tenant, chance)
        for author in chance.sample(["ann", "bob"], chance.randrange(3)):
            await served.rate(request_id, chance.random() < 0.5, tenant, Helicone_User_Id=author)
        for name in chance.sample(SCORES, chance.randrange(3)):
            await served.score(request_id, tenant, **{name: chance.choice([True, 0.5, -2, 0])})
    for number in range(ROWS // 2):
        await served.store.put_feedback([_vote(number, chance)])
    answered = {row["request_id"]: row for row in await served.query("all", limit=1000)}
    assert set(answered) == set(texts)
    return Rows({**answered[request_id], **texts[request_id]} for request_id in texts)


def _vote(number: int, chance: random.Random) -> Feedback:
    """A grade on a trace or a session, or, where nothing is logged under that id, on nothing."""
    score = chance.choice([-1.0, -0.3, 0.0, 0.5, None])
    at_us = now_us() + chance.choice([-(10**9), 10**6 + number])
    return Feedback(
        feedback_id=f"vote-{number}",
        tenant=chance.choice([None, "north", "south"]),
        subject_id=chance.choice([f"trace-{chance.randrange(TRACES)}", "chat", "run"]),
        value=score,
        score=score,
        weight=chance.choice([0.0, 0.5, 1.0]),
        dialect="portkey",
        raw="{}",
        created_at_us=at_us,
        updated_at_us=at_us,
    )


async def _log(served: Served, request_id: str, tenant: str | None, chance: random.Random) -> dict[str, Any]:
    start_us = START_US + chance.randrange(4) * 500_000
    payloads = chance.choice([PayloadPolicy.FULL, PayloadPolicy.FULL, PayloadPolicy.OFF])
    opt_out = LoggingOptOut(chance.random() < 0.2, chance.random() < 0.2)
    request_body, request_headers, request_text = chance.choice(BODIES)
    response_body, response_headers, response_text = chance.choice(BODIES)
    cache_status = chance.choice([None, "HIT", "MISS"])
    await served.log(
        request_id,
        _facts(chance),
        tenant=tenant,
        trace_id=f"trace-{chance.randrange(TRACES)}",
        metadata=_metadata(chance),
        started_at_us=start_us,
        first_byte_at_us=chance.choice([None, start_us + 1_999, start_us + 100_000]),
        ended_at_us=start_us + chance.choice([100_000, 250_999, 7_000_000]),
        status=chance.choice([None, 200, 404]),
        cache_status=cache_status,
        provider=chance.choice(PROVIDERS),
        payloads=payloads,
        opt_out=opt_out,
        request_body=request_body,
        request_headers=request_headers,
        response_body=response_body,
        response_headers=response_headers,
    )
    is_kept = payloads is PayloadPolicy.FULL
    return {
        "request_text": request_text if is_kept and not opt_out.request else None,
        "response_text": response_text if is_kept and not opt_out.response else None,
        "is_cached": cache_status == "HIT",
    }


def _metadata(chance: random.Random) -> dict[str, Any]:
    metadata = {key: chance.choice(VALUES) for key in KEYS if chance.random() < 0.6}
    if (user := chance.choice(USERS)) is not None:
        metadata["_user"] = user
    if chance.random() < 0.4:
        metadata["_session"] = chance.choice(["chat", "run"])
    if chance.random() < 0.3:
        metadata["_model"] = chance.choice(STATED_MODELS)
    return metadata


def _facts(chance: random.Random) -> Facts:
    nanousd = chance.choice(COSTS)
    return Facts(
        requested_model=chance.choice(MODELS),
        model=chance.choice(MODELS),
        usage=Usage(*(chance.choice(COUNTS) for _ in range(4))),
        cost=None if nanousd is None else Cost(nanousd, "1"),
    )
