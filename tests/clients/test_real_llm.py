"""A real model through OpenAI's, Anthropic's and Ollama's own shapes: rows say what its servers said.

llama.cpp speaks the first two itself, and calls its model by the path of a file, which no row does. Ollama's is
spoken by a bridge to it that others wrote, and that counts words for tokens.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import openai
import pytest
import yaml

from tests.clients.contract import GATEWAY_KEY, Contract, library
from tests.gateway_fixtures import closed_port
from tests.gateway_process import RunningGateway
from tests.log_reader import eventually
from tests.real_llm import llm, needs_real_llm
from tests.scripted_upstream import UpstreamProcess

__all__ = ["llm"]

MODEL = "gemma-3-270m"
BRIDGED_MODEL = f"local/{MODEL}"
MAX_TOKENS = 16
QUESTIONS: Any = [{"role": "user", "content": "Name a colour."}]

ollama = library("ollama")
library("ollama_proxy")

pytestmark = [pytest.mark.slow, needs_real_llm]


@pytest.fixture(scope="module")
def bridge(llm: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server that speaks Ollama's format for the same model."""
    folder = tmp_path_factory.mktemp("bridge")
    config = folder / "bridge.yaml"
    config.write_text(yaml.safe_dump({"providers": {"local": {"api_key": "none", "base_url": llm}}}))
    port = closed_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "uvicorn", "ollama_proxy.server:app", "--port", str(port)]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "PROXY_CONFIG_FILE": str(config)},
            stdout=log,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            eventually(lambda: process.poll() is not None or is_listening(url))
            assert process.poll() is None, (folder / "log").read_text()
            yield url
        finally:
            process.terminate()


def is_listening(url: str) -> bool:
    """Tell whether anything answers there."""
    try:
        return httpx.get(url).status_code > 0
    except httpx.ConnectError:
        return False


@pytest.fixture(scope="module")
def real(llm: str, bridge: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway with llama.cpp as the provider `local`, and the bridge as `bridge`."""
    config = {
        "default_provider": "local",
        "providers": {"local": {"base_url": llm}, "bridge": {"base_url": bridge}},
        "keys": [{"name": "client", "key": GATEWAY_KEY, "role": ["proxy", "feedback", "read"]}],
    }
    with RunningGateway(tmp_path_factory.mktemp("real"), config) as running:
        yield running


@pytest.fixture
def contract(real: RunningGateway, upstream: UpstreamProcess) -> Iterator[Contract]:
    """One call through that gateway."""
    contract = Contract(real, upstream)
    contract.begin()
    yield contract
    contract.close()


@pytest.fixture
def gpt(contract: Contract) -> Iterator[openai.OpenAI]:
    """OpenAI's SDK in front of both."""
    with openai.OpenAI(base_url=f"{contract.url}/local/v1", api_key=GATEWAY_KEY, max_retries=0) as sdk:
        yield sdk


@pytest.fixture
def claude(contract: Contract) -> Iterator[anthropic.Anthropic]:
    """Anthropic's SDK in front of both."""
    with anthropic.Anthropic(base_url=f"{contract.url}/local", api_key=GATEWAY_KEY, max_retries=0) as sdk:
        yield sdk


@pytest.fixture
def bridged(contract: Contract) -> Any:
    """Ollama's library in front of the gateway, the bridge and llama.cpp."""
    return ollama.Client(host=f"{contract.url}/bridge", headers={"Authorization": f"Bearer {GATEWAY_KEY}"})


def whole_row(contract: Contract, **facts: object) -> dict[str, Any]:
    """Return the only row, which must have gone well and cost nothing that anybody knows."""
    return contract.row(outcome="complete", status=200, note=None, cost_nanousd=None, **facts)


def test_a_chat_stream_is_counted_though_nobody_asked_for_its_usage(
    gpt: openai.OpenAI, contract: Contract
) -> None:
    chunks = list(
        gpt.chat.completions.create(model=MODEL, messages=QUESTIONS, max_tokens=MAX_TOKENS, stream=True)
    )
    last = chunks[-1]
    assert last.usage is None
    timings = (last.model_extra or {})["timings"]
    row = whole_row(
        contract,
        requested_model=MODEL,
        model=MODEL,
        response_id=last.id,
        is_stream=True,
        prompt_tokens=timings["prompt_n"] + timings["cache_n"],
        cached_tokens=timings["cache_n"],
        completion_tokens=timings["predicted_n"],
        finish_reason=last.choices[0].finish_reason,
    )
    contract.vote(last.id, row)


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_response_is_counted_as_the_server_counted_it(
    gpt: openai.OpenAI, contract: Contract, is_stream: bool
) -> None:
    answer: Any
    if is_stream:
        events = gpt.responses.create(
            model=MODEL, input="Name a colour.", max_output_tokens=MAX_TOKENS, stream=True
        )
        *_, last = events
        answer = last.response  # type: ignore[union-attr]
    else:
        answer = gpt.responses.create(model=MODEL, input="Name a colour.", max_output_tokens=MAX_TOKENS)
    row = whole_row(
        contract,
        endpoint="responses",
        response_id=answer.id,
        prompt_tokens=answer.usage.input_tokens,
        cached_tokens=answer.usage.input_tokens_details.cached_tokens,
        completion_tokens=answer.usage.output_tokens,
        finish_reason=answer.status,
    )
    contract.vote(answer.id, row)


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_message_is_counted_as_the_server_counted_it(
    claude: anthropic.Anthropic, contract: Contract, is_stream: bool
) -> None:
    if is_stream:
        with claude.messages.stream(model=MODEL, max_tokens=MAX_TOKENS, messages=QUESTIONS) as stream:
            answer: Any = stream.get_final_message()
    else:
        answer = claude.messages.create(model=MODEL, max_tokens=MAX_TOKENS, messages=QUESTIONS)
    row = whole_row(
        contract,
        endpoint="messages",
        requested_model=MODEL,
        model=MODEL,
        response_id=answer.id,
        is_stream=is_stream,
        prompt_tokens=answer.usage.input_tokens + answer.usage.cache_read_input_tokens,
        cached_tokens=answer.usage.cache_read_input_tokens,
        completion_tokens=answer.usage.output_tokens,
        finish_reason=answer.stop_reason,
    )
    contract.vote(answer.id, row)


@pytest.mark.parametrize("is_stream", [False, True])
def test_ollamas_own_chat_is_counted_as_the_bridge_counted_it(
    bridged: Any, contract: Contract, is_stream: bool
) -> None:
    answer = bridged.chat(
        model=BRIDGED_MODEL, messages=QUESTIONS, options={"num_predict": MAX_TOKENS}, stream=is_stream
    )
    parts = list(answer) if is_stream else [answer]
    row = whole_row(
        contract,
        requested_model=BRIDGED_MODEL,
        model=parts[-1].model,
        is_stream=is_stream,
        prompt_tokens=parts[-1].prompt_eval_count,
        completion_tokens=parts[-1].eval_count,
        finish_reason=parts[-1].done_reason,
    )
    if is_stream:
        text = "".join(part.message.content for part in parts)
        assert row["response"]["reassembled"]["message"]["content"] == text


def test_a_model_that_failed_behind_the_bridge_is_counted_as_a_failure(
    bridged: Any, contract: Contract
) -> None:
    with pytest.raises(ollama.ResponseError, match="temperature"):
        list(bridged.chat(model=BRIDGED_MODEL, messages=[], options={"temperature": "warm"}, stream=True))
    contract.failed_row("provider_error", status=200, requested_model=BRIDGED_MODEL)
