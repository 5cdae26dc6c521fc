"""Tenants see and change their own rows alone, whatever they ask, by every documented route.

Two tenants, each with a key that may do everything. What the other one has is told apart by a word that the asking
one never says, so an answer that holds it has it from the other's rows.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from gateway.models.ids import new_id
from tests.conftest import StartGateway
from tests.gateway_process import RunningGateway
from tests.log_reader import query, wait_until_interpreted
from tests.openapi_paths import without_endless
from tests.scripted_upstream import UpstreamProcess, answer
from tests.ui_pages import form_token, page_endpoints, signed_in

SECRET = "zeta"
"""In all that the other tenant writes, and in no id of it, since refusals repeat the id that was asked for."""

FOR_EVERYBODY = ("/healthz", "/readyz", "/openapi.json", "/f/", "/widget.js")
"""Routes that are about no tenant's rows."""

# What clients ask before they have a key.
OPEN_TO_ALL = ("/langfuse/api/public/health", "/langsmith/info")
SIGNED = ("/v1/logs/exports/{export_id}/file", "/api/v1/exports/{export_id}/file")
"""Takes a signature instead of a key."""

NOW = datetime.now(UTC)
WINDOW = {
    "time_of_generation_min": (NOW - timedelta(hours=1)).isoformat(),
    "time_of_generation_max": (NOW + timedelta(hours=1)).isoformat(),
}
BODIES: Mapping[str, Any] = {
    "POST /v1/request/query": {"filter": "all", "includeInputs": True},
    "POST /v1/request/query-clickhouse": {"filter": "all"},
}
"""Bodies of questions that take one."""

_TWO_DAYS = {"from": (NOW - timedelta(days=2)).isoformat()}
PERIODS = {"/api/v1/overview": _TWO_DAYS, "/api/v1/report": _TWO_DAYS}
"""Of answers whose time would begin later each time they are asked for."""
ENDS_NOW = re.compile(r'"(ends_at|to)":"[^"]+"')

Answers = dict[str, tuple[int, Any]]


@dataclass(frozen=True)
class Tenant:
    """A tenant with ids that are known before anything has them."""

    name: str
    client: httpx.Client

    @property
    def trace_id(self) -> str:
        return f"trace-of-{self.name}"

    @property
    def request_id(self) -> str:
        return f"request-of-{self.name}"

    @property
    def named(self) -> dict[str, str]:
        """Values of parameters of paths and queries, by their names."""
        return {
            "trace_id": self.trace_id,
            "request_id": self.request_id,
            "log_id": self.request_id,
            "session": f"session-of-{self.name}",
            "user": f"user-of-{self.name}",
            "author": f"author-of-{self.name}",
            "metadata_key": "colour",
            "q": f"session-of-{self.name}",
        }

    def write(self, upstream: UpstreamProcess, word: str) -> dict[str, str]:
        """Make a request, votes in each dialect and an export; return the ids that were given to them."""
        reply = {
            "id": f"chatcmpl-{self.name}",
            "model": f"model-{word}",
            "choices": [],
            "usage": {"prompt_tokens": 7},
        }
        script = upstream.script(*answer(json.dumps(reply).encode()))
        fields = {
            "x-portkey-trace-id": self.trace_id,
            "helicone-request-id": self.request_id,
            "helicone-session-id": f"session-of-{self.name}",
            "x-portkey-span-name": word,
            "x-portkey-metadata": json.dumps({"_user": f"user-of-{self.name}", "colour": word}),
            **dict([script.decode().split(": ", 1)]),
        }
        self.ok(
            "POST", "/v1/chat/completions", headers=fields, json={"model": f"model-{word}", "content": word}
        )
        vote = {
            "trace_id": self.trace_id,
            "value": 5,
            "metadata": {"why": word, "_user": f"author-of-{self.name}"},
        }
        [portkey] = self.ok("POST", "/v1/feedback", json=vote)["feedback_ids"]
        self.ok("POST", f"/v1/request/{self.request_id}/feedback", json={"rating": True})
        self.ok("POST", f"/v1/request/{self.request_id}/score", json={"scores": {word: 3}})
        edit = {"trace_id": self.trace_id, "app_id": word, "feedback": {"edited": word}}
        pharia = self.ok("POST", "/api/feedback", json=edit)["feedback_id"]
        export = self.ok(
            "POST",
            "/v1/logs/exports",
            json={"filters": WINDOW, "requested_data": ["id", "request"], "description": word},
        )["id"]
        return {"portkey": portkey, "pharia": pharia, "export": export}

    def ok(self, method: str, path: str, **options: Any) -> Any:
        reply = self.client.request(method, path, **options)
        assert reply.status_code == 200, reply.text
        return reply.json()


@pytest.fixture
def house(start_gateway: StartGateway, upstream: UpstreamProcess) -> RunningGateway:
    keys = [
        {"name": f"key-{name}", "key": f"key-of-{name}-0123456789", "role": "admin", "tenant": name}
        for name in ("north", "south")
    ]
    return start_gateway({"providers": {"up": {"base_url": f"{upstream.url}/v1"}}, "keys": keys})


@pytest.fixture
def tenants(house: RunningGateway) -> Iterator[tuple[Tenant, Tenant]]:
    clients = [
        httpx.Client(
            base_url=house.url,
            headers={"x-portkey-api-key": f"key-of-{name}-0123456789"},
            trust_env=False,
            timeout=20,
        )
        for name in ("north", "south")
    ]
    yield Tenant("north", clients[0]), Tenant("south", clients[1])
    for client in clients:
        client.close()


def routes(tenant: Tenant, *methods: str) -> list[tuple[str, str, list[dict[str, Any]]]]:
    """Method, path and parameters of each documented route that is about rows."""
    document = without_endless(tenant.ok("GET", "/openapi.json"))
    return [
        (method.upper(), path, operation.get("parameters", []))
        for path, operations in document["paths"].items()
        if not path.startswith(FOR_EVERYBODY)
        for method, operation in operations.items()
        if method.upper() in methods
    ]


def ask_everything(asker: Tenant, about: Tenant) -> Answers:
    """Ask every question there is, without conditions and with those that name the other's things."""
    answers: Answers = {}
    for method, path, parameters in routes(asker, "GET", "POST"):
        if method == "POST" and f"POST {path}" not in BODIES:
            continue
        required = {each["name"]: WINDOW[each["name"]] for each in parameters if each["name"] in WINDOW}
        required |= PERIODS.get(path, {})
        optional = [
            each["name"] for each in parameters if each["in"] == "query" and each["name"] in about.named
        ]
        for conditions in ({}, *({name: about.named[name]} for name in optional)):
            target = _filled(path, about.named)
            reply = asker.client.request(
                method, target, params={**required, **conditions}, json=BODIES.get(f"{method} {path}")
            )
            assert reply.status_code != 500, reply.text
            answers[f"{method} {target} {conditions}"] = (reply.status_code, ENDS_NOW.sub("", reply.text))
    return answers


def _filled(path: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        path = path.replace(f"{{{name}}}", quote(value, safe=""))
    return path


def rows_of(gateway: RunningGateway, tenant: str) -> list[list[tuple[Any, ...]]]:
    tables = ("requests", "feedback", "feedback_versions", "exports", "reviews")
    return [
        [
            tuple(row)
            for row in query(gateway.database, f"SELECT * FROM {table} WHERE tenant = ? ORDER BY 1", tenant)
        ]
        for table in tables
    ]


def test_what_one_tenant_is_told_does_not_change_with_what_another_one_has(
    house: RunningGateway, tenants: tuple[Tenant, Tenant], upstream: UpstreamProcess
) -> None:
    north, south = tenants
    north.write(upstream, "alpha")
    wait_until_interpreted(house.database)
    before = [ask_everything(north, about) for about in (north, south)]
    south.write(upstream, SECRET)
    wait_until_interpreted(house.database)
    after = [ask_everything(north, about) for about in (north, south)]
    for earlier, later in zip(before, after, strict=True):
        assert later == earlier
    assert len(before[1]) > 60

    told = ask_everything(south, south)
    assert sum(SECRET in text for _, text in told.values()) > 15, "the word would not have been found"


def test_a_tenant_changes_nothing_of_another_s_by_any_route(
    house: RunningGateway, tenants: tuple[Tenant, Tenant], upstream: UpstreamProcess
) -> None:
    north, south = tenants
    ids = south.write(upstream, SECRET)
    wait_until_interpreted(house.database)
    theirs = rows_of(house, "south")
    assert [len(table) for table in theirs] == [1, 4, 0, 1, 0]
    tried = 0
    for method, path, _ in routes(north, "POST", "PUT", "PATCH", "DELETE", "GET"):
        if "{" not in path and method != "DELETE":
            continue
        for feedback_id in (ids["portkey"], ids["pharia"]):
            named = {**south.named, "feedback_id": feedback_id, "export_id": ids["export"]}
            for body in (
                None,
                {"rating": False},
                {"value": -5},
                {"scores": {"tone": 1}},
                {"state": "reviewed"},
                {"key": "colour", "value": "x"},
            ):
                parameters = {**WINDOW, "author": south.named["author"]}
                reply = north.client.request(method, _filled(path, named), params=parameters, json=body)
                assert reply.status_code != 500, reply.text
                assert SECRET not in reply.text, f"{method} {path}"
                tried += 1
    assert tried > 200
    assert rows_of(house, "south") == theirs


def test_no_route_that_is_about_rows_answers_without_a_key(
    house: RunningGateway, tenants: tuple[Tenant, Tenant]
) -> None:
    named = {**tenants[0].named, "feedback_id": new_id(), "export_id": new_id(), "name": "tone"}
    for method, path, _ in routes(tenants[0], "GET", "POST", "PUT", "PATCH", "DELETE"):
        if path.endswith("/tokens/{token}"):
            # The token in the path is the key.
            continue
        reply = httpx.request(method, house.url + _filled(path, named), trust_env=False)
        expected = 403 if path in SIGNED else 200 if path in OPEN_TO_ALL else 401
        assert reply.status_code == expected, f"{method} {path}"


def test_a_tenant_is_not_shown_the_figures_of_all_tenants(tenants: tuple[Tenant, Tenant]) -> None:
    refused = tenants[0].client.get("/metrics")
    assert refused.status_code == 403
    assert "a key without a tenant" in refused.json()["error"]["message"]


TAIL = "/ui/tail"


def page_paths(about: Tenant, feedback_id: str) -> Iterator[str]:
    """All pages, and each of them with conditions that name things of a tenant."""
    for path in (each.path_template for each in page_endpoints("GET")):
        target = _filled(path, about.named).replace("{name}", "app.css")
        yield target
        for name, value in about.named.items():
            yield f"{target}?from=all&{name}={quote(value)}"
        yield from (f"{target}?from=all&{each}" for each in ("by=metadata.colour", "q=south", "prefix=user"))
        yield f"{target}?from=all&item={feedback_id}"
        yield from (f"{target}?tab={tab}" for tab in ("timeline", "raw", "headers", "feedback"))
        yield f"{target}?trace_id={about.trace_id}"


def test_no_page_shows_another_tenant_s_rows(
    house: RunningGateway, tenants: tuple[Tenant, Tenant], upstream: UpstreamProcess
) -> None:
    _, south = tenants
    ids = south.write(upstream, SECRET)
    wait_until_interpreted(house.database)
    told = {}
    for tenant in tenants:
        with signed_in(house, f"key-of-{tenant.name}-0123456789") as client:
            replies = {
                path: client.get(path) for path in page_paths(south, ids["portkey"]) if TAIL not in path
            }
        assert not [path for path, reply in replies.items() if reply.status_code == 500]
        told[tenant.name] = {path for path, reply in replies.items() if SECRET in reply.text}
    assert told["north"] == set()
    assert len(told["south"]) > 40, "the word would not have been found"


def test_the_live_list_of_a_page_shows_a_tenant_its_own_requests(
    house: RunningGateway, tenants: tuple[Tenant, Tenant], upstream: UpstreamProcess
) -> None:
    north, south = tenants
    with signed_in(house, "key-of-north-0123456789") as client, client.stream("GET", TAIL) as events:
        south.write(upstream, SECRET)
        north.write(upstream, "alpha")
        [shown] = itertools.islice((line for line in events.iter_lines() if line.startswith("data:")), 1)
    assert "alpha" in shown


def test_no_form_of_a_page_changes_another_tenant_s_rows(
    house: RunningGateway, tenants: tuple[Tenant, Tenant], upstream: UpstreamProcess
) -> None:
    _, south = tenants
    south.write(upstream, SECRET)
    wait_until_interpreted(house.database)
    theirs = rows_of(house, "south")
    fields = {
        "request_id": south.request_id,
        "trace_id": south.trace_id,
        "name": south.named["user"],
        "tenant": "south",
        "role": "admin",
        "text": "5",
    }
    kinds = [{"give": kind} for kind in ("up", "down", "stars", "label", "comment", "edit")]
    states = [{"state": state} for state in ("reserve", "reviewed", "open")]
    named = [{"name": "key-south"}, {"from": "all", "user": south.named["user"]}]
    with signed_in(house, "key-of-north-0123456789") as client:
        for path in (each.path_template for each in page_endpoints("POST")):
            for change in (*kinds, *states, *named):
                if path in ("/ui/sign-in", "/ui/sign-out"):
                    continue
                form = {"form_token": form_token(client, "/ui/settings"), **fields, **change}
                reply = client.post(_filled(path, south.named), data=form)
                assert reply.status_code != 500, reply.text
                assert SECRET not in reply.text, path
    assert rows_of(house, "south") == theirs
    assert south.client.get("/api/v1/requests").status_code == 200, "its key was revoked"
