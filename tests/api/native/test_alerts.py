"""Alerts over HTTP: who may, what is refused, what a tenant sees, and what is said of the past."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from gateway.alerts.definition import AlertService
from gateway.alerts.scheduler import AlertScheduler
from gateway.models.clock import now_us
from gateway.store.base import Store
from tests.api.native.conftest import key
from tests.factories import MakeExchange

ERRORS: dict[str, Any] = {"name": "errors", "measure": "error_rate", "above": 0.05, "settle": "0s"}
MINUTE_US = 60_000_000


async def send(
    client: httpx.AsyncClient, method: str, path: str, who: str, body: Any = None
) -> httpx.Response:
    return await client.request(method, f"/api/v1/alerts{path}", json=body, headers=key(who))


@pytest.fixture
async def failing(store: Store, make_exchange: MakeExchange) -> Store:
    """Tenant b's requests of the last hour, of which every second one failed."""
    now = now_us()
    await store.append(
        [
            make_exchange(
                f"r{n}",
                f"t{n}",
                tenant="b",
                status=500 if n % 2 else 200,
                started_at_us=now - n * MINUTE_US // 2,
            )
            for n in range(100)
        ]
    )
    return store


@pytest.mark.usefixtures("failing")
async def test_an_alert_is_made_looked_at_changed_and_deleted(
    client: httpx.AsyncClient, store: Store
) -> None:
    made = await send(client, "POST", "", "admin-b", ERRORS)
    assert made.status_code == 200, made.text
    alert = made.json()
    assert {name: alert[name] for name in ("tenant", "version", "window", "test", "min_count", "where")} == {
        "tenant": "b", "version": 1, "window": "1h", "test": "sequential", "min_count": 20, "where": {},
    }  # fmt: skip
    scheduler = AlertScheduler(store, AlertService(store))
    await scheduler.run_due()
    [shown] = (await send(client, "GET", "", "reader-b")).json()["data"]
    [state] = shown["states"]
    assert (state["status"], state["value"]) == ("firing", pytest.approx(0.5, abs=0.02))
    assert state["low"] < 0.5 < state["high"]
    assert state["evidence"] >= 1
    events = (await send(client, "GET", f"/events?alert_id={alert['alert_id']}", "reader-b")).json()
    assert [(each["kind"], each["name"], each["threshold"]) for each in events["data"]] == [
        ("fired", "errors", 0.05)
    ]
    assert events["next_cursor"] is None
    # Others see nothing of it, and cannot change it.
    assert (await send(client, "GET", "", "reader-a")).json() == {"data": []}
    assert (await send(client, "GET", "/events", "reader-a")).json()["data"] == []
    assert (await send(client, "GET", "/errors", "reader-a")).status_code == 404
    assert (await send(client, "DELETE", "/errors", "reader-b")).status_code == 403
    changed = await send(
        client, "PUT", "/errors", "admin-b", {**ERRORS, "above": 0.9, "where": {"model": "m"}}
    )
    assert {name: changed.json()[name] for name in ("version", "above", "where", "alert_id")} == {
        "version": 2, "above": 0.9, "where": {"model": "m"}, "alert_id": alert["alert_id"],
    }  # fmt: skip
    assert (await send(client, "POST", "", "admin-b", ERRORS)).status_code == 409
    assert (await send(client, "DELETE", "/errors", "admin")).json() == {"alert_id": alert["alert_id"]}
    assert (await send(client, "GET", "/errors", "admin")).status_code == 404
    assert len((await send(client, "GET", "/events", "reader-b")).json()["data"]) == 1


@pytest.mark.usefixtures("failing")
async def test_a_preview_says_when_it_would_have_fired_for_the_callers_tenant(
    client: httpx.AsyncClient,
) -> None:
    body = {**ERRORS, "days": 1}
    found = (await send(client, "POST", "/preview", "reader-b", body)).json()
    assert (found["fired"], found["step_seconds"]) == (1, 60)
    [fired] = [each for each in found["events"] if each["kind"] == "fired"]
    assert found["points"][-1]["is_firing"] is True
    assert sum(point["is_firing"] for point in found["points"]) < len(found["points"]) / 10
    assert found["firing_seconds"][""] < 3600
    assert fired["message"].endswith("above 5 %.")
    assert (await send(client, "POST", "/preview", "reader-a", body)).json()["fired"] == 0


@pytest.mark.parametrize(
    ("path", "change", "field", "words"),
    [
        ("", {"above": None}, "above", "give above or below"),
        ("", {"measure": "errors"}, "measure", "mean_score"),
        ("", {"where": {"colour": "red"}}, "where.colour", "is not a filter"),
        ("", {"window": "1m"}, "window", "from 5m to 31d"),
        ("", {"colour": 1}, "colour", ""),
        ("/preview", {"days": 0}, "days", ""),
        ("/preview", {"days": 400, "window": "5m"}, "days", "at most with this window"),
        ("/preview", {"measure": "orphaned_feedback", "above": 5}, "measure", "cannot be shown for the past"),
    ],
)
async def test_bad_fields_are_named(
    client: httpx.AsyncClient, path: str, change: dict[str, Any], field: str, words: str
) -> None:
    refused = await send(client, "POST", path, "admin", {**ERRORS, **change})
    assert refused.status_code == 400
    error = refused.json()["error"]
    assert error["field"] == field
    assert words in error["message"]
