from __future__ import annotations

import json
import re
import signal
import sqlite3
import subprocess

import httpx
import pytest

from gateway.cli.logs import conversation_lines
from gateway.models.conversation import (
    Conversation,
    Media,
    Message,
    OtherPart,
    Reasoning,
    Refusal,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from tests.cli.command import COMMAND, plain_environment, run_gateway
from tests.cli.conftest import Played
from tests.client.chat_calls import ask
from tests.conftest import StartGateway
from tests.flows.promises import kill_tree


def ids(output: str) -> list[str]:
    return [json.loads(line)["request_id"] for line in output.splitlines()]


def test_tail_shows_the_newest_last(played: Played) -> None:
    both = [played.whole, played.stream]
    assert ids(played.run("logs", "tail", "--json", "--trace-id", "first").stdout) == both
    assert ids(played.run("logs", "tail", "--json", "--trace-id", "first", "-n", "1").stdout) == [
        played.stream
    ]


def test_query_shows_the_newest_first(played: Played) -> None:
    found = played.run("logs", "query", "--trace-id", "first", "--json")
    assert ids(found.stdout) == [played.stream, played.whole]


FITTING = {
    "--request-id": "", "--model": "demo", "--status": "2xx", "--user": "ann", "--metadata": "plan=gold",
    "--from": "2020-01-01T00:00:00Z", "--outcome": "complete", "--provider": "demo",
}  # fmt: skip


@pytest.mark.parametrize(
    ("other", "is_found"),
    [
        ({}, True),
        ({"--metadata": "plan=free"}, False),
        ({"--to": "2020-01-01T00:00:00Z"}, False),
    ],
)
def test_query_takes_the_filters_of_the_api(played: Played, other: dict[str, str], is_found: bool) -> None:
    criteria = {**FITTING, "--request-id": played.whole, **other}
    found = played.run("logs", "query", "--json", *(part for pair in criteria.items() for part in pair))
    assert found.returncode == 0
    assert ids(found.stdout) == ([played.whole] if is_found else [])


def test_what_was_said_stands_in_each_row(played: Played) -> None:
    played.run("feedback", "add", played.stream, "-5", "--weight", "0.5")
    asked = ("logs", "query", "--max-score", "-0.1", "--since", "1h", "--request-id", played.stream)
    titles, row = played.run(*asked).stdout.splitlines()
    assert "FEEDBACK" in titles
    # On its trace there may be more, by other tests.
    assert re.search(r" [1-9] -0\.[0-9]{2} ", row)
    head, line = played.run(*asked, "--csv").stdout.splitlines()
    assert head.endswith("feedback_count,mean_score,feedback_pairs")
    assert '""value"":-5.0,""weight"":0.5' in line


def test_a_filter_with_a_bad_value_is_wrong_usage(played: Played) -> None:
    refused = played.run("logs", "query", "--from", "tuesday")
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: from: must be a time: RFC 3339")


def test_the_table_fits_and_ends_with_the_id(played: Played) -> None:
    titles, *rows = played.run("logs", "query", "--trace-id", "first").stdout.splitlines()
    assert titles.split()[-2:] == ["REQUEST", "ID"]
    assert [row.split()[-1] for row in rows] == [played.stream, played.whole]
    assert all(len(line) <= 100 for line in (titles, *rows))


def test_show_has_the_row_the_headers_and_both_bodies(played: Played) -> None:
    shown = played.run("logs", "show", played.whole).stdout
    assert f"request_id         {played.whole}" in shown
    assert "\ncontent-type: application/json\n" in shown.lower()
    assert '\n      "content": "Hello"\n' in shown
    assert '"object": "chat.completion"' in shown


def test_show_has_the_conversation(played: Played) -> None:
    for request_id in (played.whole, played.stream):
        shown = played.run("logs", "show", request_id).stdout
        assert "\n--- conversation\nuser\n  " in shown
        assert "\nassistant (stop)\n  Hello" in shown


def test_a_conversation_is_lines_of_roles_and_parts() -> None:
    parts = (
        Reasoning("Hm."),
        Reasoning(""),
        Text("two\nlines"),
        Refusal("No."),
        ToolCall("c1", "weather", '{"city":"Ulm"}'),
        OtherPart("hologram"),
    )
    result = ToolResult("c1", (Text("rain"), Media("image", "image/png", size_bytes=1234)), "weather")
    asked = (Message("tool", (result,)), Message("user", (Media("image", uri="https://example.com/a.png"),)))
    conversation = Conversation(asked, (Message("assistant", parts, "stop"),), (Tool("weather"), Tool("sql")))
    assert (
        "\n".join(conversation_lines(conversation))
        == """
--- conversation
tools: weather, sql
tool
  [tool result weather c1] rain [image, image/png, 1,234 bytes]
user
  [image, https://example.com/a.png]
assistant (stop)
  [reasoning] Hm.
  [reasoning] hidden by the provider
  two
  lines
  [refusal] No.
  [tool call weather c1] {"city":"Ulm"}
  [hologram]"""
    )


def test_show_puts_a_stream_together(played: Played) -> None:
    shown = played.run("logs", "show", played.stream).stdout
    assert '"object": "chat.completion"' in shown
    assert "chat.completion.chunk" not in shown


def test_show_takes_the_id_of_a_trace_or_a_session_and_lists_their_requests(played: Played) -> None:
    _, *rows = played.run("logs", "show", "first").stdout.splitlines()
    assert [row.split()[-1] for row in rows] == [played.stream, played.whole]
    refused = played.run("logs", "show", "first", "--raw", "response")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "has 2 requests" in refused.stderr

    named = {"Helicone-Session-Id": "one-turn", "x-portkey-trace-id": "its-trace"}
    httpx.get(f"{played.gateway.url}/v1/models", headers=named).raise_for_status()
    for any_id in ("one-turn", "its-trace"):
        assert "\ntrace_id           its-trace\n" in played.run("logs", "show", any_id).stdout


def test_raw_is_what_went_over_the_wire(played: Played) -> None:
    raw = subprocess.run(
        [*COMMAND, "logs", "show", played.stream, "--raw", "response"],
        cwd=played.gateway.folder,
        env=plain_environment(),
        capture_output=True,
        check=True,
    )
    assert raw.stdout == played.stream_bytes


def test_an_unknown_request_is_a_failure(played: Played) -> None:
    refused = played.run("logs", "show", "unheard-of")
    assert refused.returncode == 1
    assert refused.stderr == "error: no request, response, trace or session has the id 'unheard-of'.\n"


def test_an_id_of_several_requests_is_a_failure_that_tells_them_until_the_trace_is_given(
    played: Played,
) -> None:
    for trace_id in ("left", "right"):
        named = {"x-portkey-trace-id": trace_id, "Helicone-Request-Id": "shared"}
        httpx.get(f"{played.gateway.url}/v1/models", headers=named).raise_for_status()
    refused = played.run("logs", "show", "shared")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "'shared' names several requests" in refused.stderr
    assert "request 'shared' in trace 'left'" in refused.stderr
    shown = played.run("logs", "show", "shared", "--trace-id", "left").stdout
    assert "\ntrace_id           left\n" in shown
    vote = played.run("feedback", "add", "shared", "1")
    assert (vote.returncode, vote.stdout) == (1, "")
    assert vote.stderr.startswith("error: id: 'shared' names several requests")


def test_show_has_the_feedback_on_the_trace_and_the_session_and_says_so_and_the_judged_one_is_found(
    played: Played,
) -> None:
    for request_id in ("turn-1", "turn-2"):
        named = {
            "Helicone-Session-Id": "cli-chat",
            "x-portkey-trace-id": "cli-turns",
            "Helicone-Request-Id": request_id,
        }
        httpx.get(f"{played.gateway.url}/v1/models", headers=named).raise_for_status()
    for subject in ("cli-chat", "cli-turns", "turn-1"):
        assert played.run("feedback", "add", subject, "-5").returncode == 0

    first = played.run("logs", "show", "turn-1").stdout
    assert "rating -5 × 1  via session" in first
    assert "rating -5 × 1  via trace" in first
    assert "rating -5 × 1\n" in first
    assert "rating -5 × 1\n" not in played.run("logs", "show", "turn-2").stdout
    judged = played.run("logs", "query", "--session", "cli-chat", "--judged", "true").stdout.splitlines()[1:]
    assert [row.split()[-1] for row in judged] == ["turn-2", "turn-1"]


def test_follow_shows_each_new_request_once_and_ends_quietly(played: Played) -> None:
    with subprocess.Popen(
        [*COMMAND, "logs", "tail", "-f", "-n", "1", "--json", "--trace-id", "followed"],
        cwd=played.gateway.folder,
        env=plain_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        asked = []
        shown = []
        for _ in range(2):
            asked.append(ask(played.gateway.url, "followed").headers["helicone-id"])
            ask(played.gateway.url, "not followed")
            row = json.loads(process.stdout.readline())
            assert row["model"] == "demo"
            shown.append(row["request_id"])
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30) == ("", "")
    assert shown == asked
    assert process.returncode == 0


def test_follow_ends_when_nobody_reads_on_though_nothing_comes(played: Played) -> None:
    with subprocess.Popen(
        [*COMMAND, "logs", "tail", "-f", "-n", "1", "--trace-id", "first"],
        cwd=played.gateway.folder,
        env=plain_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert process.returncode == 0


def test_commands_say_what_waits_in_the_journal_of_a_gateway_that_is_gone(
    start_gateway: StartGateway,
) -> None:
    providers = {"other": {"base_url": "http://127.0.0.1:1/v1"}}
    gateway = start_gateway({"providers": providers}, arguments=("--demo",))
    ask(gateway.url, "stored")
    assert ids(run_gateway("logs", "tail", "--json", cwd=gateway.folder).stdout)
    other = sqlite3.connect(gateway.database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    ask(gateway.url, "waiting")
    kill_tree(gateway)
    other.close()
    shown = run_gateway("logs", "tail", "--json", "--trace-id", "waiting", cwd=gateway.folder)
    assert (shown.returncode, shown.stdout) == (0, "")
    assert "wait in the journal" in shown.stderr
