"""Vercel's AI SDK for Node, with its clients of OpenAI, Anthropic and Google."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.clients.answers import DONE, cut, data, named, streamed, whole
from tests.clients.contract import EVERY_CLIENT, GATEWAY_KEY, Contract
from tests.clients.wires import (
    CHAT_ERROR,
    GEMINI_ERROR,
    GPT,
    MESSAGE_ERROR,
    chat,
    chat_begun,
    chat_facts,
    chat_stream,
    embeddings,
    gemini,
    gemini_begun,
    gemini_facts,
    gemini_stream,
    message,
    message_begun,
    message_facts,
    message_stream,
    response,
    response_begun,
    response_stream,
)

NODE = Path(__file__).parent / "node"
CALL_SECONDS = 60
CUT_MESSAGE = "Failed to process successful response"

pytestmark = pytest.mark.skipif(not os.environ.get(EVERY_CLIENT), reason="run by `make clients` alone")

FAMILIES = ("chat", "responses", "messages", "gemini")
FACTS = {
    "chat": chat_facts(),
    "responses": chat_facts("gpt-5-mini", finish_reason="completed"),
    "messages": message_facts(),
    "gemini": gemini_facts(),
}
RESPONSE_ERROR = {
    "type": "error",
    "sequence_number": 9,
    "code": "server_error",
    "message": "Boom",
    "param": None,
}
FAILURES = {
    "chat": (data(CHAT_ERROR), "The engine died"),
    "responses": (named(RESPONSE_ERROR), "Boom"),
    "messages": (named(MESSAGE_ERROR), "Overloaded"),
    "gemini": (data(GEMINI_ERROR), "The model is overloaded."),
}


def plain_of(family: str) -> dict[str, Any]:
    """An answer that says "Hi there"."""
    match family:
        case "chat":
            return chat()
        case "responses":
            return response()
        case "messages":
            return message()
        case _:
            return gemini({"text": "Hi there"})


def begun_of(family: str) -> list[bytes]:
    """The first events of a stream that says "Hi there"."""
    match family:
        case "chat":
            return data(*chat_begun())
        case "gemini":
            return data(*gemini_begun())
        case _:
            return named(*(message_begun() if family == "messages" else response_begun()))


def stream_of(family: str) -> list[bytes]:
    """All events of that stream."""
    match family:
        case "chat":
            return [*data(*chat_stream()), DONE]
        case "gemini":
            return data(*gemini_stream())
        case _:
            return named(*(message_stream() if family == "messages" else response_stream()))


def call(contract: Contract, family: str, kind: str) -> dict[str, Any]:
    """Make one call in a process of its own, and return what it tells."""
    done = subprocess.run(
        ["node", "call.mjs", contract.url, GATEWAY_KEY, family, kind],
        cwd=NODE,
        capture_output=True,
        text=True,
        timeout=CALL_SECONDS,
        check=True,
    )
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize("family", FAMILIES)
def test_an_answer_is_logged_whole_and_feedback_finds_it(contract: Contract, family: str) -> None:
    contract.play(whole(plain_of(family)))
    told = call(contract, family, "plain")
    assert (told["text"], told["finishReason"]) == ("Hi there", "stop")
    row = contract.complete_row(**FACTS[family], is_stream=False)
    assert (told["input"], told["output"]) == (row["prompt_tokens"], row["completion_tokens"])
    contract.vote(told["id"], row)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_stream_is_logged_whole_and_feedback_finds_it(contract: Contract, family: str) -> None:
    contract.play(streamed(stream_of(family)))
    told = call(contract, family, "stream")
    assert (told["text"], told["finishReason"], told["errors"]) == ("Hi there", "stop", [])
    row = contract.complete_row(**FACTS[family], is_stream=True)
    contract.vote(told["id"], row)


def test_a_call_of_a_tool_reaches_the_caller(contract: Contract) -> None:
    contract.play(whole(chat(tools=True)))
    assert call(contract, "chat", "tool") == {"calls": [["find", {"q": "ann"}]]}
    contract.complete_row(**chat_facts(finish_reason="tool_calls"))


def test_embeddings_are_counted(contract: Contract) -> None:
    contract.play(whole(embeddings()))
    assert call(contract, "chat", "embed") == {"embedding": [0.5, -0.25], "tokens": 8}
    contract.complete_row(requested_model="text-embedding-3-small", prompt_tokens=8)


def test_the_providers_refusal_is_the_sdks_own_error(contract: Contract) -> None:
    contract.play(whole(CHAT_ERROR, status=b"429 Too Many Requests"))
    told = call(contract, "chat", "plain")
    assert told == {"thrown": "AI_APICallError", "message": "The engine died", "status": 429}
    row = contract.row(status=429, note="The engine died", requested_model=GPT)
    assert contract.errors(row) == 1


@pytest.mark.parametrize("family", FAMILIES)
def test_an_error_inside_a_stream_is_the_providers_failure(contract: Contract, family: str) -> None:
    events, reason = FAILURES[family]
    contract.play(streamed([*begun_of(family), *events]))
    told = call(contract, family, "stream")
    assert (told["text"], told["finishReason"], told["errors"]) == ("Hi there", "error", [reason])
    contract.failed_row("provider_error", status=200, note=reason)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_stream_that_lost_its_connection_is_cut_for_the_caller_too(contract: Contract, family: str) -> None:
    contract.play(cut(begun_of(family)))
    told = call(contract, family, "stream")
    assert told == {"thrown": "AI_APICallError", "message": CUT_MESSAGE, "status": 200}
    contract.failed_row("upstream_truncated", status=200)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_stream_without_its_end_was_cut(contract: Contract, family: str) -> None:
    contract.play(streamed(begun_of(family)))
    told = call(contract, family, "stream")
    assert (told["text"], told["finishReason"], told["errors"]) == ("Hi there", "other", [])
    contract.failed_row("upstream_truncated", status=200)
