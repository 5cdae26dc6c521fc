from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import httpx
import pytest

from gateway.client import Feedback, GatewayClient
from gateway.store import open_store
from tests.cli.conftest import Played, Run
from tests.gateway_process import RunningGateway
from tests.store.samples import exchange, feedback


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


def test_a_thumb_with_words_is_given_as_to_the_api(played: Played) -> None:
    said = ("--thumb", "down", "--label", "long", "--comment", "Too long", "--author", "bob")
    given = played.run("feedback", "add", "first", *said)
    assert (given.returncode, given.stderr) == (0, "")
    [entry] = [each for each in feedback_on(played, "first") if each.feedback_id == given.stdout.strip()]
    assert (entry.kind, entry.score, entry.label, entry.comment) == ("thumb", -1, "long", "Too long")
    assert (entry.author, entry.dialect) == ("bob", "cli")


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
    [
        (["t", "11"], "value"),
        (["t", "good"], "VALUE"),
        (["t", "1", "--metadata", "[]"], "metadata"),
        (["t"], "has no content"),
    ],
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


def test_thumbs_that_were_read_as_grades_are_mended_and_that_is_audited(
    played: Played, tmp_path: Path
) -> None:
    database = f"sqlite:///{tmp_path / 'thumbs.db'}"
    with RunningGateway(tmp_path, {"storage": {"url": database}}, arguments=("--demo",)) as gateway:
        send = partial(httpx.post, f"{gateway.url}/v1/feedback")
        replies = [send(json={"trace_id": "t", "value": value}).json() for value in (1, 0, 1, 1, 1)]
    assert ["gateway feedback rescale --scale thumbs" in reply["message"] for reply in replies] == [
        False, False, False, False, True,
    ]  # fmt: skip
    assert ".." not in replies[-1]["message"]

    rescale = ("feedback", "rescale", "--storage", database, "--scale", "thumbs")
    assert played.run(*rescale, "--dry-run").stdout == "5 of 5 grades would have another score\n"
    assert (
        played.run(*rescale, "--from", "2099-01-01T00:00:00Z").stdout == "0 of 0 grades have another score\n"
    )
    assert played.run(*rescale, "--key", "app").stdout == "0 of 0 grades have another score\n"
    assert played.run(*rescale).stdout == "5 of 5 grades have another score\n"

    listed = played.run("feedback", "list", "--storage", database, "--json").stdout.splitlines()
    assert sorted(json.loads(line)["score"] for line in listed) == [-1, 1, 1, 1, 1]
    audited = played.run("audit", "--storage", database, "--json").stdout.splitlines()
    assert [json.loads(line)["target"] for line in audited] == [None, "app", None]
    assert json.loads(audited[0])["action"] == "feedback rescale --scale thumbs"


async def test_doctor_tells_of_feedback_that_waits_and_of_thumbs_that_are_read_as_grades(
    run: Run, tmp_path: Path
) -> None:
    store = await open_store(f"sqlite:///{tmp_path / 'gateway.db'}")
    await store.append([exchange()])
    thumbs = [feedback(f"f{n}", key_name="app", value=1.0, grade=1.0, score=0.1) for n in range(5)]
    await store.put_feedback([*thumbs, feedback("typo", "trase-1")])
    await store.close()

    def told(**config: object) -> list[dict[str, str]]:
        sections = {
            "providers": {"up": {"base_url": "http://127.0.0.1:1/v1"}},
            "server": {"port": 0},
            **config,
        }
        (tmp_path / "gateway.yaml").write_text(json.dumps(sections))
        found = json.loads(run("doctor", "--json", "--offline").stdout)
        return [each for each in found if each["about"] == "feedback"]

    waits, misread = told()
    assert waits["level"] == misread["level"] == "warning"
    assert "more than an hour: 1. Nothing is logged under 'trase-1'." in waits["says"]
    assert "is_joined=false" in waits["do"]
    assert "the key 'app' gave 5 grades, all 0 or 1" in misread["says"]
    mend = "`gateway feedback rescale --scale thumbs --key app`"
    assert misread["do"] == f"If they are thumbs, set portkey_scale: thumbs for it, then: {mend}"
    assert told(feedback={"portkey_scale": "thumbs"})[1]["do"] == mend


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
    [line] = played.run(*listed, "feedback.metadata.page=home", "--json").stdout.splitlines()
    row = json.loads(line)
    assert question == f"  question  {row['question']}"
    assert row["answer"].startswith(answer.removeprefix("  answer    ").rstrip("…"))
    nothing = played.run(*listed, "metadata.page=faq")
    assert (nothing.returncode, nothing.stderr) == (0, "Nothing of that time has metadata.page.\n")
