"""A morning of which every path has something to show."""

from __future__ import annotations

from typing import Any

from gateway.models.exchange import Outcome

from .served import Served


async def fill(served: Served, tenant: str | None = None) -> None:
    """Log four requests of a tenant, and a verdict on one."""
    red, blue = {"_user": "ann", "team": "red"}, {"team": "blue"}
    await served.log("a", tenant=tenant, model="small", tokens=(7, 8), cents=1.5, metadata=red)
    await served.log("b", tenant=tenant, status=500, outcome=Outcome.UPSTREAM_ERROR, metadata=blue)
    await served.log("c", tenant=tenant, attempt=1, cache_status="HIT", cents=2.25)
    await served.log("d", tenant=tenant, cache_status="SEMANTIC HIT", cents=0.75)
    await served.judge("a", 7, 0.5, tenant=tenant)


def has_figures(answer: Any) -> bool:
    """Tell whether there is any number but 0 in an answer."""
    if isinstance(answer, dict):
        return any(map(has_figures, answer.values()))
    if isinstance(answer, list):
        return any(map(has_figures, answer))
    return isinstance(answer, int | float) and answer != 0
