"""A store with a month of traffic in it, made through the store's own seam."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from uuid import UUID

from benchmarks.stopwatch import Stopwatch
from gateway.models.exchange import Exchange, Identity, Outcome, RawHeaders
from gateway.models.feedback import Feedback, Kind, Target
from gateway.models.metrics import DAY_US
from gateway.models.request import Cost, Facts, Usage
from gateway.store import open_store
from gateway.store.base import Store
from gateway.store.rows import headers_from_json, headers_to_json, redact_headers

DAYS = 30
VOTES_A_REQUEST = 0.2
MOST_VOTES = 200_000
"""Votes on requests drawn from a whole month touch other pages of the database each; with more of them the filling
would take longer than all else."""

_BATCH = 1000
_SLICES = 10
_REQUESTS_A_TRACE = 2
_USERS = 2000
_MODELS = ("gpt-4o", "gpt-4o-mini", "claude-sonnet", "claude-haiku", "llama-70b", "mistral-small")
_PROVIDERS = ("openai", "anthropic", "local")
_BODY = b'{"model": "gpt-4o", "messages": [{"role": "user", "content": "%s"}]}'
_ANSWER = (
    b'{"object": "chat.completion", "choices": [{"index": 0, "message": {"role": "assistant", "content": "%s"}, '
    b'"finish_reason": "stop"}]}'
)


@dataclass(frozen=True, slots=True)
class Month:
    """A month of traffic that ends at some time.

    Args:
        requests: how many there were.
        ends_at_us: microseconds since the epoch.
    """

    requests: int
    ends_at_us: int

    @property
    def starts_at_us(self) -> int:
        """When it begins."""
        return self.ends_at_us - DAYS * DAY_US

    def started_at_us(self, number: int) -> int:
        """When a request started; they come evenly."""
        return self.starts_at_us + number * DAYS * DAY_US // self.requests


@dataclass(frozen=True, slots=True)
class Growth:
    """How quickly requests were written, facts included, where so many were in the store already."""

    rows: int
    rows_per_second: float
    cpu_us_a_row: float


async def fill(url: str, month: Month, say: Callable[[str], None]) -> list[Growth]:
    """Fill a new store with the requests of a month and a fifth as many votes, up to `MOST_VOTES`, and sum it up;
    return how quickly the requests went in, a tenth at a time."""
    store = await open_store(url)
    try:
        dice = random.Random(1)
        growth = [await _add_slice(store, month, dice, slice_, say) for slice_ in _slices(month.requests)]
        votes = min(round(month.requests * VOTES_A_REQUEST), MOST_VOTES)
        for first in range(0, votes, _BATCH):
            await store.put_feedback([vote(month, dice, number) for number in range(first, first + _BATCH)])
        say("votes are in; summing up")
        await store.roll_up(month.ends_at_us + DAY_US)
    finally:
        await store.close()
    return growth


def _slices(requests: int) -> Iterator[range]:
    length = max(requests // _SLICES // _BATCH, 1) * _BATCH
    return (range(first, first + length) for first in range(0, requests, length))


async def _add_slice(
    store: Store, month: Month, dice: random.Random, numbers: range, say: Callable[[str], None]
) -> Growth:
    watch = Stopwatch()
    batches = (numbers[first : first + _BATCH] for first in range(0, len(numbers), _BATCH))
    await add_requests(store, (exchanges(month, dice, batch) for batch in batches), dice, watch)
    say(f"{numbers.stop:,} requests")
    return Growth(numbers.start, len(numbers) / watch.seconds, watch.cpu_seconds / len(numbers) * 1e6)


async def add_requests(
    store: Store, batches: Iterable[list[Exchange]], dice: random.Random, watch: Stopwatch
) -> int:
    """Write batches of requests with their facts, as the ingester does; return how many requests there were.

    Args:
        batches: made one at a time, while the watch stands still.
        watch: takes the time of writing.
    """
    written = 0
    for batch in batches:
        rows = with_facts(dice, batch)
        with watch:
            await store.ingest(rows, None, batch[-1].ended_at_us)
        written += len(batch)
    return written


def with_facts(dice: random.Random, batch: Iterable[Exchange]) -> list[tuple[Exchange, Facts]]:
    """Return requests as the ingester has them: read from the journal, with their facts."""
    return [(_from_journal(exchange), _facts(dice, exchange.identity.request_id)) for exchange in batch]


def _from_journal(exchange: Exchange) -> Exchange:
    return replace(
        exchange,
        request_headers=_as_kept(exchange.request_headers),
        response_headers=_as_kept(exchange.response_headers),
    )


def _as_kept(headers: RawHeaders) -> RawHeaders:
    return headers_from_json(headers_to_json(redact_headers(headers)))


def exchanges(month: Month, dice: random.Random, numbers: Iterable[int]) -> list[Exchange]:
    """Return requests of a month by their numbers."""
    return [_exchange(month, dice, number) for number in numbers]


def _exchange(month: Month, dice: random.Random, number: int) -> Exchange:
    started = month.started_at_us(number)
    took = round(dice.lognormvariate(14, 0.8))
    text = dice.randbytes(150).hex().encode()
    asked, answered = _BODY % text, _ANSWER % text
    metadata = {
        "_user": f"user-{dice.randrange(_USERS)}",
        "_environment": "prod",
        "team": dice.choice("abcdefgh"),
    }
    return Exchange(
        identity=Identity(f"request-{number}", f"trace-{number // _REQUESTS_A_TRACE}", metadata=metadata),
        key_name=dice.choice(("web", "batch")),
        provider=dice.choice(_PROVIDERS),
        endpoint="chat.completions",
        method="POST",
        path="/v1/chat/completions",
        started_at_us=started,
        first_byte_at_us=started + took // 3,
        ended_at_us=started + took,
        status=500 if dice.random() < 0.03 else 200,
        outcome=Outcome.COMPLETE,
        request_headers=((b"content-type", b"application/json"),),
        request_body=asked,
        request_size=len(asked),
        response_headers=((b"content-type", b"application/json"),),
        response_body=answered,
        response_size=len(answered),
    )


def _facts(dice: random.Random, name: str) -> Facts:
    model = dice.choice(_MODELS)
    return Facts(
        requested_model=model,
        model=model,
        usage=Usage(dice.randint(10, 2000), dice.randint(5, 800)),
        cost=Cost(dice.randint(1_000, 9_000_000), "bench"),
        response_id=f"chatcmpl-{name}",
        finish_reason="stop",
    )


def vote(month: Month, dice: random.Random, number: int) -> Feedback:
    """Return a vote on some request or trace of a month."""
    about = dice.randrange(month.requests)
    at = month.started_at_us(about) + 60_000_000
    is_thumb = number % 2 == 0
    score = dice.choice((-1.0, 1.0)) if is_thumb else dice.randint(-10, 10) / 10
    return Feedback(
        feedback_id=str(UUID(int=dice.getrandbits(128), version=4)),
        subject_id=f"request-{about}" if is_thumb else f"trace-{about // _REQUESTS_A_TRACE}",
        target=Target.REQUEST if is_thumb else Target.TRACE,
        trace_id=None if is_thumb else f"trace-{about // _REQUESTS_A_TRACE}",
        kind=Kind.THUMB if is_thumb else Kind.RATING,
        metric="rating" if is_thumb else None,
        value=score if is_thumb else 10 * score,
        score=score,
        grade=10 * score,
        weight=dice.choice((0.5, 1.0)),
        author=f"user-{dice.randrange(_USERS)}",
        dialect="helicone" if is_thumb else "portkey",
        raw="{}",
        created_at_us=at,
        updated_at_us=at,
    )
