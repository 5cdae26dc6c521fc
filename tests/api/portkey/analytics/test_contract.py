"""Every path answers as Portkey's document says, and as the gateway's own says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gateway.api.portkey.analytics import GroupParams, portkey_analytics_api
from gateway.api.portkey.filters import ExportFilters
from gateway.query.metrics import MetricsReader
from gateway.store.base import Store
from gateway.web.openapi import build_openapi

from .contract import ANSWERS, assert_conforms
from .samples import fill, has_figures
from .served import MORNING, Served

PAGE = Path(__file__).parents[4] / "docs/portkey.md"


async def test_an_empty_store_answers_in_full(served: Served) -> None:
    for path, shape in ANSWERS.items():
        answer = await served.ask(path)
        assert_conforms(answer, shape, path)
        assert not has_figures(answer), path


async def test_a_full_one_does_too(served: Served) -> None:
    await fill(served)
    for path, shape in ANSWERS.items():
        answer = await served.ask(path)
        assert_conforms(answer, shape, path)
        assert has_figures(answer), path


def test_all_paths_are_documented_with_their_replies_and_parameters(store: Store) -> None:
    api = portkey_analytics_api(MetricsReader(store))
    document: Any = build_openapi([api], "1.2.3")
    paths = {f"/v1/analytics/{path}".replace("/team", "/{metadata_key}") for path in ANSWERS}
    assert document["paths"].keys() == paths
    for path in paths:
        operation = document["paths"][path]["get"]
        assert operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"], path
        required = {parameter["name"] for parameter in operation["parameters"] if parameter["required"]}
        assert required - {"metadata_key"} == MORNING.keys(), path


def test_what_is_taken_is_what_is_documented() -> None:
    documented = {parameter.name for parameter in GroupParams.parameters()}
    assert documented == set(ExportFilters.model_fields)


def test_the_page_names_every_path_and_parameter() -> None:
    page = PAGE.read_text()
    paths = {path.partition("/")[2].replace("/team", "/{key}") for path in ANSWERS}
    names = {parameter.name for parameter in GroupParams.parameters()}
    assert {name for name in {*paths, *names} if f"`{name}`" not in page} == {"cache"}
    assert "/v1/analytics/summary/cache`" in page
