"""Results are read from the store: assigned requests, the latest scores of persons, one version, one tenant."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.errors import NotFound
from gateway.experiments.reader import ExperimentReader
from gateway.models.exchange import Exchange
from gateway.models.feedback import Feedback, Source, Target
from gateway.models.route import Route
from gateway.routing.portkey_config import parse_config
from gateway.store import open_store
from gateway.store.base import Store
from tests.factories import MakeExchange, MakeFeedback, make_exchange, make_feedback

__all__ = ["make_exchange", "make_feedback"]

ROUTE: Route = parse_config(
    {
        "experiment": {
            "version": 2,
            "variants": [
                {"name": "plain", "provider": "a"},
                {
                    "name": "warm",
                    "strategy": {"mode": "fallback"},
                    "targets": [{"name": "first", "provider": "b"}, {"provider": "a"}],
                },
            ],
        }
    },
    "routes.tone",
)


@pytest.fixture
async def store(sqlite_url: str) -> AsyncIterator[Store]:
    opened = await open_store(sqlite_url)
    yield opened
    await opened.close()


def asked(make: MakeExchange, number: int, version: int = 2) -> Exchange:
    variant = ("plain", "warm")[number % 2]
    target = {"plain": "plain", "warm": "first" if number % 4 == 1 else "config.targets[1]"}[variant]
    return make(
        f"r{version}-{number}",
        f"t{version}-{number}",
        metadata={"_user": f"user {number // 2 % 10} of {variant}"},
        experiment=f"tone@{version}",
        variant=variant,
        target=target,
        tenant="red" if number < 40 else None,
    )


def vote(make: MakeFeedback, number: int, score: float, **given: object) -> Feedback:
    return make(f"r2-{number}", target=Target.REQUEST, author=None, score=score, value=score, **given)


async def test_an_experiment_is_read_from_the_store(
    store: Store, make_exchange: MakeExchange, make_feedback: MakeFeedback
) -> None:
    await store.append([asked(make_exchange, n) for n in range(80)])
    # Another version, whose rows are not these.
    await store.append([asked(make_exchange, n, version=1) for n in range(10)])
    votes = [
        *(vote(make_feedback, n, -1.0) for n in range(80)),
        # People of the variant who change their mind: the latest counts.
        *(vote(make_feedback, n, 1.0) for n in range(1, 80, 2)),
        *(vote(make_feedback, n, 1.0, source=Source.IMPLICIT) for n in range(0, 80, 2)),
    ]
    await store.put_feedback(votes)
    reader = ExperimentReader(store, lambda: [ROUTE])
    found = await reader.read("tone", None)
    plain, warm = found.variants
    assert [plain.sums.arm.usage.requests, warm.sums.arm.usage.requests] == [40, 40]
    assert [plain.people, warm.people] == [10, 10]
    assert [plain.sums.units, warm.sums.units] == [10, 10]
    assert [plain.sums.crossed, warm.sums.crossed] == [0, 20]
    assert [each.estimate.value for each in found.variants if each.estimate] == [-1, 1]
    assert found.winner == "warm"
    of_tenant = await reader.read("tone", "red")
    assert sum(each.sums.arm.usage.requests for each in of_tenant.variants) == 40
    assert (await reader.read_all("blue"))[0].summary.startswith("Nothing can be said yet")
    with pytest.raises(NotFound, match="no route called 'tune' has an experiment"):
        await reader.read("tune", None)
