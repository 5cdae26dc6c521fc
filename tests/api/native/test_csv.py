from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Sequence

import httpx
import orjson
import pytest
from aiohttp import web
from pytest_aiohttp import AiohttpServer

from gateway.api.native.http_responses import stream_csv, to_csv
from gateway.errors import StoreUnavailable
from gateway.web.endpoint import Schema


class Estimate(Schema):
    value: float
    low: float | None


class Row(Schema):
    name: str | bool | None
    count: int
    score: Estimate | None


def cells(*rows: Row) -> list[list[str]]:
    return list(csv.reader(io.StringIO(to_csv(Row, rows), newline="")))


def test_each_field_that_holds_no_further_ones_is_a_column() -> None:
    assert cells() == [["name", "count", "score_value", "score_low"]]
    row = Row(name="a", count=1, score=Estimate(value=-0.5, low=None))
    assert cells(row)[1] == ["a", "1", "-0.5", ""]
    assert cells(Row(name=None, count=0, score=None))[1] == ["", "0", "", ""]
    assert cells(Row(name=True, count=0, score=None))[1][0] == "true"


@pytest.mark.parametrize(
    "name",
    [
        '=HYPERLINK("http://x")',
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "\uff1d1",
        "\uff20a",
        " =1",
        " \t\n+1",
    ],
)
def test_a_text_that_a_spreadsheet_would_run_is_made_harmless(name: str) -> None:
    assert cells(Row(name=name, count=1, score=None))[1][0] == f"'{name}"


@pytest.mark.parametrize("name", ["a,b", 'say "hi"', "two\r\nlines", "semi;colon", " a=1", "ü🙂", " ", ""])
def test_any_other_text_comes_back_as_it_is(name: str) -> None:
    assert cells(Row(name=name, count=1, score=None))[1][0] == name


def test_lines_end_as_the_format_says() -> None:
    assert (
        to_csv(Row, [Row(name="a", count=1, score=None)]) == "name,count,score_value,score_low\r\na,1,,\r\n"
    )


class Pair(Schema):
    value: float


class Nested(Schema):
    pairs: list[Pair]
    metadata: object


def test_lists_and_objects_are_json() -> None:
    row = Nested(pairs=[Pair(value=-1.0)], metadata=orjson.Fragment('{"a":1}'))
    assert to_csv(Nested, [row]).splitlines() == ["pairs,metadata", '"[{""value"":-1.0}]","{""a"":1}"']


async def test_what_is_cut_short_does_not_look_whole(aiohttp_server: AiohttpServer) -> None:
    async def slices() -> AsyncIterator[Sequence[Row]]:
        yield [Row(name="a", count=1, score=None)]
        raise StoreUnavailable("gone.")

    async def handle(request: web.Request) -> web.StreamResponse:
        return await stream_csv(request, "rows", Row, slices())

    app = web.Application()
    app.router.add_get("/", handle)
    server = await aiohttp_server(app)
    async with httpx.AsyncClient(trust_env=False) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(str(server.make_url("/")))
