"""`gateway export`: files that are whole or not there, and a file that grows without a gap or a double."""

from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.cli.command import COMMAND, plain_environment
from tests.cli.conftest import Played
from tests.client.chat_calls import ask
from tests.log_reader import eventually


def ids(text: str) -> list[str]:
    return [json.loads(line)["request_id"] for line in text.splitlines()]


def test_requests_with_texts_go_to_standard_output_or_a_file(played: Played) -> None:
    found = played.run("export", "--trace-id", "first")
    assert (found.returncode, found.stderr) == (0, "")
    assert ids(found.stdout) == [played.whole, played.stream]
    rows = [json.loads(line) for line in found.stdout.splitlines()]
    # A stream is put together as its answer.
    assert all(row["question"] and row["answer"] for row in rows)
    assert [row["is_stream"] for row in rows] == [False, True]

    file = played.gateway.folder / "first.csv"
    written = played.run("export", "-f", "csv", "--where", "trace_id=first", "-o", file.name, "--limit", "1")
    assert (written.returncode, written.stderr) == (0, "1 rows of 1 requests\n")
    assert len(list(csv.DictReader(io.StringIO(file.read_text())))) == 1

    kept = file.read_bytes()
    refused = played.run("export", "-f", "csv", "-o", file.name)
    assert refused.returncode == 2
    assert "--force" in refused.stderr
    assert file.read_bytes() == kept
    options = ("-f", "csv", "--trace-id", "first", "--option", "texts=false")
    assert played.run("export", *options, "-o", file.name, "--force").returncode == 0
    assert "question" not in file.read_text().splitlines()[0]
    assert [path.name for path in played.gateway.folder.glob("*first.csv*")] == ["first.csv"]


def test_nothing_found_is_said_beside_an_empty_file(played: Played) -> None:
    found = played.run("export", "--where", "metadata.tem=1")
    assert (found.returncode, found.stdout) == (0, "")
    assert found.stderr == "No request matches.\nNothing of that time has metadata.tem.\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--option", "nope=1"], "nope"),
        (["--bad", "--rating", "bad"], "rating is given twice"),
        (["--min-people", "x"], "min-people"),
        (["-f", "parquet", "--follow"], "jsonl, csv"),
        (["--follow", "--bad"], "--settle"),
        (["--follow", "--limit", "3"], "--limit"),
        (["--since", "someday"], "from"),
        (["-o", "no-such-folder/x.csv"], "no-such-folder"),
    ],
)
def test_what_cannot_be_done_is_said(played: Played, arguments: list[str], message: str) -> None:
    refused = played.run("export", *arguments)
    assert refused.returncode in (1, 2)
    assert message in refused.stderr
    assert refused.stdout == ""


def test_training_data_is_a_file_an_archive_or_a_folder_with_its_card(played: Played) -> None:
    prompts = played.gateway.folder / "prompts.txt"
    prompts.write_text("a prompt of an evaluation\n")
    options = ["-f", "sft", "--option", "unjudged=true", "--option", f"evaluation_prompts=@{prompts}"]
    lines = [json.loads(line) for line in played.run("export", *options).stdout.splitlines()]
    assert played.whole in {line["request_id"] for line in lines}
    for name, card in (("data", "data/README.md"), ("data.zip", "data.zip")):
        made = played.run("export", *options, "--option", "archive=true", "-o", name)
        assert made.returncode == 0
        assert (played.gateway.folder / card).is_file()
    misnamed = played.run("export", *options, "--option", "archive=true", "-o", "data.jsonl")
    assert misnamed.returncode == 2
    assert "name the output data.zip, or data for a folder" in misnamed.stderr
    folder = played.gateway.folder / "data"
    written = (folder / "train.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in written] == lines
    assert sorted(file.name for file in folder.iterdir()) == ["README.md", "train.jsonl"]
    # Nobody has judged anything in a way that makes pairs.
    refused = played.run("export", "-f", "dpo", "--trace-id", "no-such-trace")
    assert refused.returncode == 1
    assert "there is nothing to train on" in refused.stderr


def test_a_followed_file_has_each_request_once_and_in_order(played: Played, tmp_path: Path) -> None:
    file = tmp_path / "growing.jsonl"
    asked = [ask(played.gateway.url, "grows").headers["helicone-id"] for _ in range(3)]
    arguments = ["export", "--follow", "--trace-id", "grows", "-o", str(file)]
    with subprocess.Popen(
        [*COMMAND, *arguments], cwd=played.gateway.folder, env=plain_environment(), stderr=subprocess.PIPE
    ) as process:
        # While it reads what is there, more comes.
        asked += [ask(played.gateway.url, "grows").headers["helicone-id"] for _ in range(10)]
        eventually(lambda: file.exists() and len(file.read_text().splitlines()) >= 13)
        asked.append(ask(played.gateway.url, "grows").headers["helicone-id"])
        eventually(lambda: len(file.read_text().splitlines()) >= 14)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30)[1] == b""
    assert process.returncode == 0
    assert ids(file.read_text()) == asked


def test_with_settle_a_followed_request_has_the_feedback_that_came_meanwhile(
    played: Played, tmp_path: Path
) -> None:
    file = tmp_path / "settled.jsonl"
    arguments = ["export", "--follow", "--settle", "2s", "--bad", "--session", "settles", "-o", str(file)]
    with subprocess.Popen(
        [*COMMAND, *arguments], cwd=played.gateway.folder, env=plain_environment()
    ) as process:
        headers = {"Helicone-Session-Id": "settles"}
        body = {"model": "demo", "messages": [{"role": "user", "content": "Hi"}]}
        url = played.gateway.url
        said = [httpx.post(f"{url}/v1/chat/completions", json=body, headers=headers) for _ in range(2)]
        disliked = said[1].headers["helicone-id"]
        given = {"id": disliked, "thumb": "down"}
        httpx.post(f"{url}/api/v1/feedback", json=given).raise_for_status()
        eventually(lambda: file.exists() and file.read_text())
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert ids(file.read_text()) == [disliked]
