"""Google's SDK, for the Gemini API and for Vertex AI."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients.answers import cut, data, streamed, whole
from tests.clients.contract import GATEWAY_KEY, PROVIDER_KEY, Contract, library
from tests.clients.wires import (
    FIND,
    GEMINI,
    GEMINI_ERROR,
    QUESTION,
    fresh,
    gemini,
    gemini_begun,
    gemini_facts,
    gemini_stream,
)

genai = library("google.genai")
errors = library("google.genai.errors")
credentials = library("google.oauth2.credentials")
httpx2 = library("httpx2")

BUSY = {"error": {"code": 429, "message": "Quota is used up", "status": "RESOURCE_EXHAUSTED"}}
VERTEX_PATH = "/v1beta1/projects/team/locations/us-central1/publishers/google/models"


@pytest.fixture(params=["gemini", "vertex"])
def client(request: pytest.FixtureRequest, contract: Contract) -> Any:
    """The SDK as either of the two services' client."""
    return gemini_client(contract) if request.param == "gemini" else vertex_client(contract)


def gemini_client(contract: Contract, **more: Any) -> Any:
    """A client of the Gemini API, with the gateway's key beside the provider's."""
    headers = {"x-portkey-api-key": GATEWAY_KEY}
    options = {"base_url": f"{contract.url}/google", "headers": headers, **more}
    return genai.Client(api_key=PROVIDER_KEY, http_options=options)


def vertex_client(contract: Contract) -> Any:
    """A client of Vertex AI."""
    return genai.Client(
        vertexai=True,
        project="team",
        location="us-central1",
        credentials=credentials.Credentials(GATEWAY_KEY),
        http_options={"base_url": f"{contract.url}/google"},
    )


def text_of(client: Any) -> str:
    """Ask for a stream and return its text."""
    chunks = client.models.generate_content_stream(model=GEMINI, contents=QUESTION)
    return "".join(chunk.text or "" for chunk in chunks)


def test_an_answer_is_logged_whole_and_feedback_finds_it(client: Any, contract: Contract) -> None:
    contract.play(whole(gemini({"text": "Hi there"})))
    answer = client.models.generate_content(model=GEMINI, contents=QUESTION)
    assert answer.text == "Hi there"
    row = contract.complete_row(**gemini_facts(is_stream=False))
    assert answer.usage_metadata.prompt_token_count == row["prompt_tokens"]
    contract.vote(answer.response_id, row)


def test_a_stream_is_put_together_and_its_last_counts_stand(client: Any, contract: Contract) -> None:
    chunks = gemini_stream()
    contract.play(streamed(data(*chunks)))
    assert text_of(client) == "Hi there"
    row = contract.complete_row(**gemini_facts(is_stream=True))
    [candidate] = row["response"]["reassembled"]["candidates"]
    assert "".join(part["text"] for part in candidate["content"]["parts"]) == "Hi there"
    contract.vote(chunks[0]["responseId"], row)


def test_a_call_of_a_function_reaches_the_caller(client: Any, contract: Contract) -> None:
    contract.play(whole(gemini({"functionCall": {"name": "find", "args": {"q": "ann"}}})))
    answer = client.models.generate_content(
        model=GEMINI, contents=QUESTION, config={"tools": [{"function_declarations": [FIND]}]}
    )
    [call] = answer.function_calls
    assert (call.name, call.args) == ("find", {"q": "ann"})
    contract.complete_row(**gemini_facts())


def test_a_question_that_is_blocked_costs_its_prompt_and_is_no_failure(
    client: Any, contract: Contract
) -> None:
    blocked = {
        "promptFeedback": {"blockReason": "SAFETY"},
        "usageMetadata": {"promptTokenCount": 500, "totalTokenCount": 500},
        "modelVersion": GEMINI,
        "responseId": fresh("gemini"),
    }
    contract.play(whole(blocked))
    answer = client.models.generate_content(model=GEMINI, contents=QUESTION)
    assert answer.prompt_feedback.block_reason == "SAFETY"
    contract.complete_row(prompt_tokens=500, model=GEMINI, response_id=blocked["responseId"])


def test_the_providers_refusal_is_the_sdks_own_error(client: Any, contract: Contract) -> None:
    contract.play(whole(BUSY, status=b"429 Too Many Requests"))
    with pytest.raises(errors.ClientError, match="Quota is used up") as refused:
        client.models.generate_content(model=GEMINI, contents=QUESTION)
    assert refused.value.code == 429
    row = contract.row(status=429, requested_model=GEMINI)
    assert (contract.errors(row), row["note"]) == (1, "Quota is used up")


@pytest.mark.parametrize("begun", [gemini_begun(), []])
def test_an_error_inside_a_stream_is_the_providers_failure(
    client: Any, contract: Contract, begun: list[Any]
) -> None:
    gate = contract.gate()
    contract.play(streamed(data(*begun, GEMINI_ERROR), hold=gate))
    with pytest.raises(errors.ServerError, match="overloaded"):
        text_of(client)
    row = contract.failed_row("provider_error", status=200, requested_model=GEMINI, is_stream=True)
    assert row["note"] == "The model is overloaded."
    contract.open(gate)


def test_an_error_under_200_is_the_providers_failure(client: Any, contract: Contract) -> None:
    contract.play(whole(GEMINI_ERROR))
    assert client.models.generate_content(model=GEMINI, contents=QUESTION).candidates is None
    contract.failed_row("provider_error", status=200, note="The model is overloaded.")


def test_a_stream_that_lost_its_connection_is_cut_for_the_caller_too(client: Any, contract: Contract) -> None:
    contract.play(cut(data(*gemini_begun())))
    with pytest.raises(httpx2.RemoteProtocolError):
        text_of(client)
    contract.failed_row("upstream_truncated", status=200, prompt_tokens=500, finish_reason=None)


def test_a_stream_without_a_finish_reason_was_cut(client: Any, contract: Contract) -> None:
    contract.play(streamed(data(*gemini_begun())))
    assert text_of(client) == "Hi there"
    contract.failed_row("upstream_truncated", status=200, prompt_tokens=500, finish_reason=None)


@pytest.mark.parametrize("version", ["v1", "v1beta"])
def test_the_path_is_asked_in_the_version_that_the_sdk_names(contract: Contract, version: str) -> None:
    contract.play(whole(gemini({"text": "Hi there"})))
    client = gemini_client(contract, api_version=version)
    client.models.generate_content(model=GEMINI, contents=QUESTION)
    received = contract.received()
    assert received.target == f"/{version}/models/{GEMINI}:generateContent"
    assert received.values(b"x-goog-api-key") == [PROVIDER_KEY.encode()]


def test_a_gateway_key_in_the_sdks_own_place_opens_the_gateway_and_stays_there(contract: Contract) -> None:
    contract.play(whole(gemini({"text": "Hi there"})))
    client = genai.Client(api_key=GATEWAY_KEY, http_options={"base_url": f"{contract.url}/google"})
    assert client.models.generate_content(model=GEMINI, contents=QUESTION).text == "Hi there"
    sent = [value for _, value in contract.received().fields]
    assert not [value for value in sent if GATEWAY_KEY.encode() in value]


def test_vertex_is_asked_by_its_own_path(contract: Contract) -> None:
    contract.play(streamed(data(*gemini_stream())))
    text_of(vertex_client(contract))
    assert contract.received().target == f"{VERTEX_PATH}/{GEMINI}:streamGenerateContent?alt=sse"
    contract.complete_row(**gemini_facts())


def test_embeddings_name_their_model_though_they_count_nothing(contract: Contract) -> None:
    contract.play(whole({"embeddings": [{"values": [0.5, -0.25]}]}))
    client = gemini_client(contract)
    answer = client.models.embed_content(model="gemini-embedding-001", contents=QUESTION)
    assert answer.embeddings[0].values == [0.5, -0.25]
    contract.row(requested_model="gemini-embedding-001", outcome="complete", prompt_tokens=None, note=None)
