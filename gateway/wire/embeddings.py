"""Embeddings and rerankers of all providers: vectors or scores beside usage."""

from dataclasses import replace

from gateway.models.request import Billing, Usage
from gateway.wire import cohere, dashscope
from gateway.wire.formats import JsonFormat, ResponseFacts, WireMessage, error_message, model_in, states_error
from gateway.wire.json_fields import JsonObject, amount_in, count_in, object_in, objects_in, text_in
from gateway.wire.openai_usage import read_billing, read_usage
from gateway.wire.text_generation import header_count


def recognises(answer: JsonObject) -> bool:
    data = answer.get("data")
    first = data if isinstance(data, dict) else next(iter(objects_in(answer, "data")), {})
    if first.get("object") == "embedding" or "embedding" in first or "relevance_score" in first:
        return True
    output = object_in(answer, "output")
    found = objects_in(answer, "results") or objects_in(output, "results") or objects_in(output, "embeddings")
    return bool(found) and ("relevance_score" in found[0] or "embedding" in found[0])


def read_answer(answer: JsonObject) -> ResponseFacts:
    if "output" in answer or "code" in answer:
        return dashscope.read_answer(answer)
    usage, billing = _read_usage(answer)
    return ResponseFacts(
        model=model_in(answer),
        usage=usage,
        response_id=text_in(answer, "id"),
        note=error_message(answer),
        billing=billing,
        has_failed=states_error(answer),
    )


class _ListFormat(JsonFormat):
    def read_response(self, response: WireMessage) -> ResponseFacts:
        counted = header_count(response.headers, b"x-compute-tokens")
        is_bare = response.body.startswith(b"[")
        facts = ResponseFacts() if is_bare else super().read_response(response)
        if counted is None or facts.usage != Usage() or facts.has_failed:
            return facts
        return replace(facts, usage=Usage(prompt_tokens=counted))

    def reassemble(self, content_type: str, body: bytes) -> None:
        return None


def _read_usage(answer: JsonObject) -> tuple[Usage, Billing]:
    if object_in(answer, "meta"):
        return cohere.read_billed(answer)
    usage = object_in(answer, "usage")
    billing = read_billing(answer, usage)
    pixels = (amount_in(usage, "image_pixels") or 0) + (amount_in(usage, "video_pixels") or 0)
    if pixels:
        billing = replace(billing, units={**billing.units, "input_pixels": pixels})
    if (counted := count_in(answer, "input_token_count")) is not None:
        return Usage(prompt_tokens=counted), billing
    return read_usage(usage), billing


FORMAT = _ListFormat(
    recognises,
    read_answer,
    lambda stream: ResponseFacts(note="embeddings came as a stream of events", has_ended=True),
    read_output=lambda _: (),
)
