"""What may be asked for: every parameter with what it finds, what is refused, and who may ask."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from gateway.models.exchange import Identity
from tests.api.portkey.served import complaint

from .contract import ANSWERS
from .samples import fill, has_figures
from .served import MORNING, Served


@pytest.fixture
async def morning(served: Served) -> Served:
    """Four requests at 9:00, 9:20, 9:40 and 10:00 that differ in all that can be asked for; a and b are judged."""
    openai: dict[str, Any] = {"provider": "openai"}
    local: dict[str, Any] = {"provider": "local"}
    greeting = {"name": "a", "_user": "ann", "_prompt": "greet", "plan": "pro", "n": 1}
    parting = {"name": "b", "_user": "bob", "_prompt": "part", "plan": "free", "n": True}
    a = Identity("a", "trace-a", span_id="first span", metadata=greeting)
    b = Identity("b", "trace-b", span_id="second span", metadata=parting)
    c = Identity("c", "trace-c", metadata={"name": "c", "_user": "ann", "plan": "free"})
    d = Identity("d", "trace-d", metadata={"name": "d"})
    await served.log(minute=0, identity=a, **openai, key_name="app", model="large", tokens=(10, 5), cents=1.5)
    await served.log(
        minute=20, identity=b, **openai, key_name="web", model="small", tokens=(20, 0), cents=0.1, status=429
    )
    await served.log(
        minute=40, identity=c, **local, key_name="app", model="large", tokens=(0, 7), cents=0, status=500
    )
    await served.log(minute=60, identity=d, **local)
    await served.judge("a", 8, 0.5)
    await served.judge("a", 2)
    await served.judge("b", -5)
    return served


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ({"workspace_slug": "mine"}, "abcd"),
        ({"total_units_min": "15"}, "ab"),
        ({"total_units_max": "15"}, "ac"),
        ({"prompt_token_min": "10", "prompt_token_max": "10"}, "a"),
        ({"completion_token_min": "5"}, "ac"),
        ({"completion_token_max": "0"}, "b"),
        ({"cost_min": "0.1"}, "ab"),
        ({"cost_max": "0.1"}, "bc"),
        ({"weighted_feedback_min": "3"}, "a"),
        ({"weighted_feedback_max": "2.9"}, "b"),
        ({"weighted_feedback_min": "-5", "weighted_feedback_max": "3"}, "ab"),
        ({"status_code": "200"}, "ad"),
        ({"status_code": "429,500"}, "bc"),
        ({"virtual_keys": "openai"}, "ab"),
        ({"virtual_keys": "openai,local"}, "abcd"),
        ({"ai_model": "large"}, "ac"),
        ({"ai_org_model": "openai__large"}, "a"),
        ({"ai_org_model": "openai__small,local__large"}, "bc"),
        ({"api_key_ids": "app"}, "ac"),
        ({"api_key_ids": "web,app"}, "abc"),
        ({"configs": "pc-1"}, ""),
        ({"metadata": '{"_user": "ann"}'}, "ac"),
        ({"metadata": '{"plan": "free", "_user": "bob"}'}, "b"),
        ({"metadata": '{"n": 1}'}, "a"),
        ({"metadata": "{}"}, "abcd"),
        ({"trace_id": "trace-a,trace-d"}, "ad"),
        ({"span_id": "first span"}, "a"),
        ({"prompt_slug": "greet,part"}, "ab"),
        ({"virtual_keys": "openai", "status_code": "200", "cost_min": "1"}, "a"),
        ({"virtual_keys": "nowhere"}, ""),
    ],
    ids=str,
)
async def test_filters_find_what_they_say(morning: Served, parameters: dict[str, str], found: str) -> None:
    groups = await morning.ask("groups/metadata/name", **parameters)
    assert "".join(sorted(group["metadata_value"] for group in groups["data"])) == found


async def test_every_path_takes_filters(served: Served) -> None:
    await fill(served)
    for path in ANSWERS:
        assert has_figures(await served.ask(path, virtual_keys="openai")), path
        assert not has_figures(await served.ask(path, virtual_keys="nowhere")), path


@pytest.mark.parametrize(
    ("bounds", "found"),
    [
        (("2026-01-31T09:00:00Z", "2026-01-31T10:00:00Z"), 4),
        (("2026-01-31T09:00:00Z", "2026-01-31T09:20:00Z"), 2),
        (("2026-01-31T09:00:00.000001Z", "2026-01-31T09:19:59.999999Z"), 0),
        (("2026-01-31T14:30:00+05:30", "2026-01-31T14:30:00+05:30"), 1),
        (("2026-01-31", "2026-02-01"), 4),
        (("2026-01-31T09:00:00", "2026-01-31T09:30:00"), 2),
        (("2020-01-01T00:00:00Z", "2039-01-01T00:00:00Z"), 4),
    ],
    ids=str,
)
async def test_both_bounds_of_the_time_are_part_of_it(
    morning: Served, bounds: tuple[str, str], found: int
) -> None:
    graph = await morning.ask("graphs/requests", **dict(zip(MORNING, bounds, strict=True)))
    assert graph["summary"]["total"] == found
    assert sum(point["total"] for point in graph["data_points"]) == found


@pytest.mark.parametrize(
    ("parameters", "complaints"),
    [
        ({"time_of_generation_min": "tuesday"}, ["time_of_generation_min: must be a time", "%2B"]),
        ({"time_of_generation_max": "2026-02-31T00:00:00Z"}, ["time_of_generation_max: must be a time"]),
        ({"time_of_generation_min": "2026-01-31T14:30:00 05:30"}, ["time_of_generation_min", "%2B"]),
        ({"time_of_generation_max": ""}, ["time_of_generation_max: has no value"]),
        ({"time_of_generation_min": "0001-01-01"}, ["time_of_generation_min: must not be before 1970"]),
        (
            {"time_of_generation_max": "2026-01-31T08:59:59Z"},
            ["time_of_generation_max: must not be before time_of_generation_min"],
        ),
        ({"time_of_generation_min": "1970-01-01T00:00:00Z"}, ["time_of_generation_max", "7,000 days"]),
        ({"total_units_min": "-1"}, ["total_units_min: must be a number from 0"]),
        ({"total_units_max": "1.5"}, ["total_units_max: must be a whole number"]),
        ({"prompt_token_min": "many"}, ["prompt_token_min: must be a number"]),
        ({"prompt_token_max": "1e3"}, ["prompt_token_max: must be a number"]),
        ({"completion_token_min": "NaN"}, ["completion_token_min: must be a number"]),
        ({"completion_token_max": "9" * 40}, ["completion_token_max: must be a number"]),
        ({"cost_min": "-0.1"}, ["cost_min: must be a number from 0"]),
        ({"cost_max": "free"}, ["cost_max: must be a number"]),
        ({"weighted_feedback_min": "-11"}, ["weighted_feedback_min: must be a number from -10 to 10"]),
        ({"weighted_feedback_max": "10.1"}, ["weighted_feedback_max: must be a number from -10 to 10"]),
        ({"status_code": "4xx"}, ["status_code: must be statuses", "401,403"]),
        ({"status_code": "200,"}, ["status_code"]),
        ({"virtual_keys": "a,,b"}, ["virtual_keys: must be a string of"]),
        ({"configs": ","}, ["configs: must be a string of"]),
        ({"workspace_slug": ","}, ["workspace_slug: must be a string of"]),
        ({"ai_org_model": "gpt-4o"}, ["ai_org_model: must be such as openai__gpt-4o"]),
        ({"metadata": "team:blue"}, ["metadata: must be an object"]),
        ({"metadata": '{"team": ["blue"]}'}, ["metadata: holds an array under 'team'"]),
        ({"trace_id": ""}, ["trace_id: has no value"]),
        ({"colour": "red"}, ["colour: is not a query parameter here", "status_code"]),
    ],
    ids=str,
)
async def test_what_makes_no_sense_is_refused_by_its_name(
    served: Served, parameters: dict[str, str], complaints: list[str]
) -> None:
    for path in ("graphs/requests", "summary/cache", "groups/users"):
        refused = await served.get(path, **parameters)
        assert refused.status_code == 400
        for words in complaints:
            assert words in complaint(refused)


@pytest.mark.parametrize("missing", MORNING)
async def test_the_time_has_to_be_said(served: Served, missing: str) -> None:
    given = {name: text for name, text in MORNING.items() if name != missing}
    refused = await served.client.get("/graphs/requests", params=given)
    assert refused.status_code == 400
    assert complaint(refused) == f"{missing}: is missing."


async def test_nothing_is_said_twice(served: Served) -> None:
    refused = await served.client.get(
        "/graphs/requests", params=[*MORNING.items(), ("status_code", "200"), ("status_code", "201")]
    )
    assert (refused.status_code, complaint(refused)) == (400, "status_code: is given twice; give it once.")


@pytest.mark.parametrize(
    ("name", "value"),
    [("page_size", "1001"), ("page_size", "-1"), ("current_page", "1.5"), ("current_page", "x")],
)
async def test_a_page_is_a_whole_number_within_bounds(served: Served, name: str, value: str) -> None:
    refused = await served.get("groups/users", **{name: value})
    assert refused.status_code == 400
    assert complaint(refused).startswith(f"{name}: must be a ")


async def test_a_tenant_sees_its_own_alone(served: Served) -> None:
    await fill(served, tenant="north")
    for path in ANSWERS:
        assert has_figures(await served.ask(path, "read-key")), path
        assert await served.ask(path, "north-key") == await served.ask(path, "read-key"), path
        assert not has_figures(await served.ask(path, "south-key")), path


@pytest.mark.parametrize(("key", "total"), [("read-key", 3), ("north-key", 1), ("south-key", 1)])
async def test_who_has_no_tenant_sees_all(served: Served, key: str, total: int) -> None:
    for tenant in ("north", "south", None):
        await served.log(tenant=tenant)
    assert (await served.ask("graphs/requests", key))["summary"]["total"] == total


@pytest.mark.parametrize(("key", "status"), [("app-key", 403), ("unknown-key", 401)])
async def test_only_readers_may_ask(served: Served, key: str, status: int) -> None:
    for path in ANSWERS:
        refused = await served.get(path, key)
        assert refused.status_code == status
        assert complaint(refused)


@pytest.mark.parametrize("path", ["graphs", "graphs/nothing", "groups/metadata/", "groups/workspaces"])
async def test_other_paths_are_not_found_in_portkeys_shape(served: Served, path: str) -> None:
    missing: httpx.Response = await served.get(path)
    assert missing.status_code == 404
    assert "nothing is served at" in complaint(missing)


async def test_a_slash_at_the_end_changes_nothing(served: Served) -> None:
    assert await served.ask("graphs/cost/") == await served.ask("graphs/cost")
    assert await served.ask("groups/metadata/team/") == await served.ask("groups/metadata/team")


async def test_analytics_are_read_only(served: Served) -> None:
    refused = await served.client.post("/graphs/requests", params=MORNING)
    assert refused.status_code == 405
    assert "Allowed: GET" in complaint(refused)
