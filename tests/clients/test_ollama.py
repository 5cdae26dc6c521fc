"""Ollama's own library, in Ollama's own format."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.clients.answers import NDJSON, cut, lines, streamed, whole
from tests.clients.contract import GATEWAY_KEY, Contract, library
from tests.clients.wires import FIND_TOOL, QUESTION, QUESTIONS

ollama = library("ollama")

MODEL = "llama3.2"
COUNTS = {
    "total_duration": 9,
    "load_duration": 1,
    "prompt_eval_count": 41,
    "prompt_eval_duration": 3,
    "eval_count": 7,
    "eval_duration": 5,
}
FACTS = {
    "requested_model": MODEL,
    "model": MODEL,
    "prompt_tokens": 41,
    "completion_tokens": 7,
    "finish_reason": "stop",
    "outcome": "complete",
    "status": 200,
    "note": None,
}
FAILURE = {"error": "an error was encountered while running the model"}


def said(text: str, **more: object) -> dict[str, Any]:
    """An object of a chat's stream."""
    return {
        "model": MODEL,
        "created_at": "2026-01-31T09:30:00Z",
        "message": {"role": "assistant", "content": text},
        "done": False,
        **more,
    }


def generated(text: str, **more: object) -> dict[str, Any]:
    """An object of a completion's stream."""
    return {"model": MODEL, "created_at": "2026-01-31T09:30:00Z", "response": text, "done": False, **more}


END: dict[str, Any] = {"done": True, "done_reason": "stop", **COUNTS}
CHAT_STREAM = [said("Hi "), said("there"), said("", **END)]


@pytest.fixture
def client(contract: Contract) -> Any:
    """The library, with the gateway's key where it puts keys."""
    return ollama.Client(host=f"{contract.url}/ollama", headers={"Authorization": f"Bearer {GATEWAY_KEY}"})


def text_of(client: Any) -> str:
    """Ask for a stream and return its text."""
    return "".join(part.message.content for part in client.chat(model=MODEL, messages=QUESTIONS, stream=True))


def test_a_chat_is_logged_whole(client: Any, contract: Contract) -> None:
    contract.play(whole(said("Hi there", **END)))
    answer = client.chat(model=MODEL, messages=QUESTIONS)
    assert (answer.message.content, answer.done_reason) == ("Hi there", "stop")
    assert contract.received().target == "/api/chat"
    contract.row(**FACTS, is_stream=False)


def test_a_stream_of_lines_is_put_together(client: Any, contract: Contract) -> None:
    contract.play(streamed(lines(*CHAT_STREAM), content_type=NDJSON))
    assert text_of(client) == "Hi there"
    row = contract.row(**FACTS, is_stream=True)
    assert row["response"]["reassembled"]["message"] == {"role": "assistant", "content": "Hi there"}


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_call_of_a_tool_reaches_the_caller(client: Any, contract: Contract, is_stream: bool) -> None:
    called = said("", **END)
    called["message"]["tool_calls"] = [{"function": {"name": "find", "arguments": {"q": "ann"}}}]
    contract.play(streamed(lines(called), content_type=NDJSON) if is_stream else whole(called))
    answer = client.chat(model=MODEL, messages=QUESTIONS, tools=[FIND_TOOL], stream=is_stream)
    [part] = answer if is_stream else [answer]
    [call] = part.message.tool_calls
    assert (call.function.name, call.function.arguments) == ("find", {"q": "ann"})
    contract.row(**FACTS, is_stream=is_stream)


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_completion_is_read_like_a_chat(client: Any, contract: Contract, is_stream: bool) -> None:
    parts = [generated("Hi "), generated("there", **END)]
    contract.play(
        streamed(lines(*parts), content_type=NDJSON) if is_stream else whole(generated("Hi there", **END))
    )
    answer = client.generate(model=MODEL, prompt=QUESTION, stream=is_stream)
    assert "".join(part.response for part in (answer if is_stream else [answer])) == "Hi there"
    row = contract.row(**FACTS, is_stream=is_stream)
    if is_stream:
        assert row["response"]["reassembled"]["response"] == "Hi there"


def test_embeddings_count_what_they_read(client: Any, contract: Contract) -> None:
    contract.play(whole({"model": "all-minilm", "embeddings": [[0.5, -0.25]], "prompt_eval_count": 8}))
    assert client.embed(model="all-minilm", input=QUESTION).embeddings == [[0.5, -0.25]]
    contract.row(requested_model="all-minilm", model="all-minilm", prompt_tokens=8, outcome="complete")


def test_the_servers_refusal_is_the_librarys_own_error(client: Any, contract: Contract) -> None:
    contract.play(whole({"error": f"model '{MODEL}' not found"}, status=b"404 Not Found"))
    with pytest.raises(ollama.ResponseError, match="not found") as refused:
        client.chat(model=MODEL, messages=QUESTIONS)
    assert refused.value.status_code == 404
    row = contract.row(status=404, note=f"model '{MODEL}' not found", requested_model=MODEL)
    assert contract.errors(row) == 1


def test_an_error_inside_a_stream_is_the_providers_failure(client: Any, contract: Contract) -> None:
    gate = contract.gate()
    contract.play(streamed(lines(said("Hi "), FAILURE), content_type=NDJSON, hold=gate))
    with pytest.raises(ollama.ResponseError, match="running the model"):
        text_of(client)
    contract.failed_row("provider_error", status=200, is_stream=True, note=FAILURE["error"])
    contract.open(gate)


def test_an_error_under_200_is_the_providers_failure(client: Any, contract: Contract) -> None:
    contract.play(whole(FAILURE))
    with pytest.raises(ValueError, match="validation error"):
        client.chat(model=MODEL, messages=QUESTIONS)
    contract.failed_row("provider_error", status=200, note=FAILURE["error"])


def test_a_stream_that_lost_its_connection_is_cut_for_the_caller_too(client: Any, contract: Contract) -> None:
    contract.play(cut(lines(*CHAT_STREAM[:2]), content_type=NDJSON))
    with pytest.raises(httpx.RemoteProtocolError):
        text_of(client)
    contract.failed_row("upstream_truncated", status=200, requested_model=MODEL, model=MODEL)


def test_a_stream_that_is_never_done_was_cut(client: Any, contract: Contract) -> None:
    contract.play(streamed(lines(*CHAT_STREAM[:2]), content_type=NDJSON))
    assert text_of(client) == "Hi there"
    contract.failed_row("upstream_truncated", status=200, requested_model=MODEL, model=MODEL)
