from __future__ import annotations

import json

import pytest

from gateway.client import Feedback, GatewayClient
from tests.cli.conftest import Played


def feedback_on(played: Played, trace_id: str) -> tuple[Feedback, ...]:
    with GatewayClient(played.gateway.url) as client:
        return client.traces.get(trace_id).feedback


def test_feedback_given_beside_a_running_gateway_is_joined(played: Played) -> None:
    given = played.run("feedback", "add", "first", "-5", "--weight", "0.5", "--metadata", '{"_user": "ann"}')
    assert (given.returncode, given.stderr) == (0, "")
    entry = next(entry for entry in feedback_on(played, "first") if entry.target == "trace")
    assert entry.feedback_id == given.stdout.strip()
    assert (entry.value, entry.weight, entry.score, entry.author) == (-5, 0.5, -0.5, "ann")
    assert entry.dialect == "cli"
    assert entry.joined_at is not None


def test_feedback_on_one_request_names_it(played: Played) -> None:
    played.run("feedback", "add", played.whole, "3")
    (entry,) = (entry for entry in feedback_on(played, "first") if entry.subject_id == played.whole)
    assert entry.request_id == played.whole


def test_feedback_before_its_trace_is_taken_and_said_to_wait(played: Played) -> None:
    given = played.run("feedback", "add", "later", "1")
    assert given.returncode == 0
    assert "waits" in given.stderr
    assert feedback_on(played, "later")[0].joined_at is None


@pytest.mark.parametrize(
    ("arguments", "field"),
    [(["t", "11"], "value"), (["t", "good"], "VALUE"), (["t", "1", "--metadata", "[]"], "metadata")],
)
def test_a_bad_value_is_named(played: Played, arguments: list[str], field: str) -> None:
    refused = played.run("feedback", "add", *arguments)
    assert refused.returncode == 2
    assert refused.stdout == ""
    (line,) = refused.stderr.splitlines()
    assert line.startswith("error: ")
    assert field in line


def test_the_list_shows_the_newest_first_and_no_more_than_asked(played: Played) -> None:
    with GatewayClient(played.gateway.url) as client:
        ids = [client.feedback.create(trace_id="listed", value=value).feedback_id for value in (1, 2)]
    listed = ("feedback", "list", "--trace-id", "listed")
    titles, row = played.run(*listed, "--limit", "1").stdout.splitlines()
    assert titles.startswith("CREATED")
    assert row.endswith(ids[1])
    lines = played.run(*listed, "--json").stdout.splitlines()
    assert [json.loads(line)["feedback_id"] for line in lines] == ids[::-1]


def test_what_was_disliked_is_listed_with_question_answer_and_comment(played: Played) -> None:
    with GatewayClient(played.gateway.url) as client:
        down, up = (
            client.feedback.create(trace_id="first", value=value, metadata={"_user": "ann", "page": page})
            for value, page in ((-10, "faq"), (10, "home"))
        )
    listed = ("feedback", "list", "--since", "15m", "--author", "ann", "--where")
    titles, row, question, answer = played.run(
        *listed, "feedback.metadata.page=faq", "--bad"
    ).stdout.splitlines()
    assert titles.split() == [
        "CREATED",
        "(UTC)",
        "SCORE",
        "VALUE:WEIGHT",
        "AUTHOR",
        "ABOUT",
        "FEEDBACK",
        "ID",
    ]
    assert row.split()[2:] == ["-1.00", "-10:1", "ann", "first", down.feedback_id]
    assert question.startswith("  question  ")
    assert answer.startswith("  answer    ")
    head, line = played.run(*listed, "feedback.metadata.page=home", "--good", "--csv").stdout.splitlines()
    assert head.startswith("feedback_id,")
    assert line.startswith(up.feedback_id)
    nothing = played.run(*listed, "metadata.page=faq")
    assert (nothing.returncode, nothing.stderr) == (0, "Nothing of that time has metadata.page.\n")
