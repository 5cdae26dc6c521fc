"""A store with a month of traffic in it, made through the store's own seam."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import UUID

from gateway.domain.aggregate import DAY_US
from gateway.domain.exchange import Exchange, Identity, Outcome
from gateway.domain.feedback import Feedback, Kind, Target
from gateway.domain.request import Cost, Facts, Usage
from gateway.store import open_store
from gateway.store.base import Store

DAYS = 30
VOTES_A_REQUEST = 0.2

_BATCH = 1000
_SAID = 100_000
"""After how many requests something is said."""
_REQUESTS_A_TRACE = 2
_USERS = 2000
_MODELS = ("gpt-4o", "gpt-4o-mini", "claude-sonnet", "claude-haiku", "llama-70b", "mistral-small")
_PROVIDERS = ("openai", "anthropic", "local")
_BODY = b'{"model": "gpt-4o", "messages": [{"role": "user", "content": "%s"}]}'


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


async def fill(url: str, month: Month, say: Callable[[str], None]) -> None:
    """Fill a new store with the requests of a month and a fifth as many votes, and sum it up."""
    store = await open_store(url)
    try:
        dice = random.Random(1)
        for first in _batches(month.requests):
            await _add_requests(store, month, dice, first)
            if (first + _BATCH) % _SAID == 0:
                say(f"{first + _BATCH:,} requests")
        for first in _batches(round(month.requests * VOTES_A_REQUEST)):
            await store.put_feedback([_vote(month, dice, number) for number in range(first, first + _BATCH)])
        say("votes are in; summing up")
        await store.roll_up(month.ends_at_us + DAY_US)
    finally:
        await store.close()


def _batches(total: int) -> Iterator[int]:
    yield from range(0, total, _BATCH)


async def _add_requests(store: Store, month: Month, dice: random.Random, first: int) -> None:
    seqs = await store.append([_exchange(month, dice, number) for number in range(first, first + _BATCH)])
    await store.annotate([(seq, _facts(dice, seq)) for seq in seqs], month.ends_at_us)


def _exchange(month: Month, dice: random.Random, number: int) -> Exchange:
    started = month.started_at_us(number)
    took = round(dice.lognormvariate(14, 0.8))
    body = _BODY % dice.randbytes(150).hex().encode()
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
        request_body=body,
        request_size=len(body),
        response_headers=((b"content-type", b"application/json"),),
        response_body=body,
        response_size=len(body),
    )


def _facts(dice: random.Random, seq: int) -> Facts:
    model = dice.choice(_MODELS)
    return Facts(
        requested_model=model,
        model=model,
        usage=Usage(dice.randint(10, 2000), dice.randint(5, 800)),
        cost=Cost(dice.randint(1_000, 9_000_000), "bench"),
        response_id=f"chatcmpl-{seq}",
        finish_reason="stop",
    )


def _vote(month: Month, dice: random.Random, number: int) -> Feedback:
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
