"""Requests and feedback as DataFrames of the real pandas."""

from __future__ import annotations

import sys

import pytest

from gateway.client import AsyncGatewayClient, GatewayClient, GatewayClientError, requests_frame
from tests.client.chat_calls import ask
from tests.client.scripted_server import Reply, ScriptedServer
from tests.gateway_process import RunningGateway
from tests.log_reader import eventually

pandas = pytest.importorskip("pandas")


async def test_frames_hold_what_is_listed(gateway: RunningGateway, client: GatewayClient) -> None:
    for number in range(3):
        ask(gateway.url, f"framed-{number}")
    client.feedback.give("framed-0", thumb="down", comment="Too long", author="ann")
    client.feedback.give("framed-1", label="odd", author="bob")
    eventually(lambda: [one for one in client.requests.find(trace_id="framed-2") if one.completion_tokens])

    requests = client.requests.frame(max_rows=2, since=client.traces.get("framed-0").requests[0].started_at)
    assert list(requests.trace_id) == ["framed-2", "framed-1"]
    types = requests.dtypes.astype(str)
    assert {
        name: types[name] for name in ("started_at", "completion_tokens", "cost_usd", "is_stream", "user")
    } == {
        "started_at": "datetime64[us, UTC]",
        "completion_tokens": "Int64",
        "cost_usd": "float64",
        "is_stream": "bool",
        "user": "string",
    }
    assert requests.completion_tokens.sum() > 0

    entries = client.feedback.frame(texts=True, trace_id="framed-0")
    [entry] = entries.itertuples()
    assert (entry.score, entry.comment, entry.author) == (-1.0, "Too long", "ann")
    assert entry.answer
    assert list(client.feedback.frame(author="bob").score.isna()) == [True]
    assert [one.author for one in client.feedback.find(rating="bad", page_size=1)] == ["ann"]
    async with AsyncGatewayClient(gateway.url) as other:
        frame = await other.feedback.frame(texts=True, trace_id="framed-0")
        pandas.testing.assert_frame_equal(frame, entries)
        assert len(await other.requests.frame(max_rows=1)) == 1


def test_a_frame_without_rows_has_all_columns_with_their_types() -> None:
    with ScriptedServer(Reply(200, {"data": []})) as server, GatewayClient(server.url) as client:
        empty = client.requests.frame()
    assert (len(empty), str(empty.started_at.dtype), str(empty.prompt_tokens.dtype)) == (
        0,
        "datetime64[us, UTC]",
        "Int64",
    )


def test_without_pandas_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(GatewayClientError, match="pip install pandas"):
        requests_frame([])
