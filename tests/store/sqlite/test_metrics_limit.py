"""Answers of very many parts are refused, and leave nothing behind that later ones would suffer from."""

from __future__ import annotations

import pytest

from gateway.errors import TooLarge
from gateway.models.metrics import MetricsQuery
from gateway.store import metrics
from gateway.store.base import Store
from tests.store.samples import exchange

ALL = MetricsQuery(0, 2**60, group_by="metadata.n")


async def test_more_parts_than_are_kept_in_memory_are_refused(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "MAX_PARTS", 3)
    await store.append([exchange(metadata={"n": n}) for n in range(3)])
    assert len(await store.usage(ALL)) == 3
    await store.append([exchange(metadata={"n": n}) for n in range(3, 6)])

    with pytest.raises(TooLarge, match="more than 3 parts"):
        await store.usage(ALL)

    assert len(await store.feedback_sums(ALL)) == 0
    await store.append([exchange()])
    [sums] = (await store.usage(MetricsQuery(0, 2**60))).values()
    assert sums.requests == 7
