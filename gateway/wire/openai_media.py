"""OpenAI's images, audio and moderation, and Mistral's reading of documents: what has no text to price by alone.

Sources: https://platform.openai.com/docs/api-reference/images, /audio and /moderations, the types of the SDK
`openai` 3.57.0; https://docs.mistral.ai/api (transcription, OCR) and the SDK `mistralai`. Requests come as JSON
or as forms, answers as JSON, streams of events, plain text or bytes.
"""

from __future__ import annotations

from dataclasses import replace

from gateway.domain.exchange import first_value
from gateway.domain.request import Charge, Usage
from gateway.wire.conversation import read_caller
from gateway.wire.fields import (
    JsonObject,
    amount_in,
    count_in,
    object_in,
    objects_in,
    parse_object,
    text_in,
)
from gateway.wire.folding import join_text
from gateway.wire.format import Answered, Asked, WireMessage
from gateway.wire.forms import read_form
from gateway.wire.json_format import ENDED_EARLY, JsonFormat, error_message, states_error
from gateway.wire.openai_usage import add_usage, details_in, read_billing, read_usage
from gateway.wire.sse import Stream

_PIECES = (b".partial_image", b".delta", b".segment")
_SAYING_NOTHING = ("audio/", "image/", "application/octet-stream", "text/plain", "text/vtt", "text/srt")
_DATA_OF_IMAGE = ("b64_json", "url", "revised_prompt")


def recognises(answer: JsonObject) -> bool:
    """Tell whether an event calls itself one of a stream of images or audio."""
    kind = text_in(answer, "type") or ""
    return kind.startswith(("image_generation.", "image_edit.", "transcript.text.", "speech.audio."))


def read_answer(answer: JsonObject) -> Answered:
    """Return what an unstreamed answer, the last event of a stream, or an error in its place, says."""
    usage = object_in(answer, "usage")
    prompt, completion = ("input", "output") if _has_inputs(usage) else ("prompt", "completion")
    beside = _svg_charges(answer)
    billing = read_billing(answer, usage, prompt, completion)
    units = {name: count for name, count in _units_of(answer, usage).items() if count}
    return Answered(
        model=text_in(answer, "model"),
        usage=add_usage([read_usage(usage, prompt, completion), *(charge.usage for charge in beside)]),
        response_id=text_in(answer, "id"),
        note=error_message(answer),
        billing=replace(billing, units={**units, **billing.units}, others=beside)
        if units or beside
        else billing,
        has_failed=states_error(answer),
    )


def read_stream(stream: Stream) -> Answered:
    """Return what a stream says: its last event has all of it."""
    for name, data in reversed(stream.arrived):
        if name.encode(errors="replace").endswith(_PIECES) or any(piece in data[:200] for piece in _PIECES):
            continue
        event = parse_object(data)
        if event is None:
            continue
        is_end = (text_in(event, "type") or name).endswith((".completed", ".done"))
        if is_end or states_error(event):
            return replace(read_answer(event), is_over=is_end)
    return Answered(note=ENDED_EARLY, is_over=False)


def rebuild(events: list[JsonObject]) -> JsonObject | None:
    """Return the answer to these events: images or a transcript. Speech is bytes, and has none."""
    ends = [event for event in events if str(event.get("type")).endswith((".completed", ".done"))]
    if ends and "b64_json" in ends[-1]:
        rest = {
            key: value
            for key, value in ends[-1].items()
            if key not in ("type", "created_at", *_DATA_OF_IMAGE)
        }
        data = [{key: event[key] for key in _DATA_OF_IMAGE if key in event} for event in ends]
        return {"created": ends[-1].get("created_at"), "data": data} | rest
    if ends and isinstance(ends[-1].get("text"), str):
        return {key: value for key, value in ends[-1].items() if key != "type"}
    deltas = [event.get("delta") for event in events if event.get("type") == "transcript.text.delta"]
    return (
        {"text": join_text(deltas)}
        if deltas
        else next((event for event in events if states_error(event)), None)
    )


class _MediaFormat(JsonFormat):
    def read_request(self, request: WireMessage) -> Asked:
        """Return what the request says, be it a form, and how long the text is that it wants spoken."""
        content_type = first_value(request.headers, b"content-type")
        form = read_form(content_type, request.body, ("model", "user"))
        if form is not None:
            asked = super().read_request(replace(request, body=b""))
            return replace(
                asked, model=form.get("model") or asked.model, caller=read_caller({}, form.get("user"))
            )
        asked = super().read_request(request)
        if not request.path.partition("?")[0].rstrip("/").endswith("/audio/speech"):
            return asked
        text = (parse_object(request.body) or {}).get("input")
        return (
            replace(asked, units={"input_characters": len(text)}) if isinstance(text, str) and text else asked
        )

    def read_response(self, response: WireMessage) -> Answered:
        """Return what the response says; subtitles, sound and pictures say nothing."""
        is_text = response.body.lstrip()[:1] == b"{" or response.body.startswith((b"data:", b"event:"))
        if response.content_type.startswith(_SAYING_NOTHING) and not is_text:
            return Answered()
        return super().read_response(response)


def _has_inputs(usage: JsonObject) -> bool:
    return count_in(usage, "input_tokens") is not None or count_in(usage, "output_tokens") is not None


def _units_of(answer: JsonObject, usage: JsonObject) -> dict[str, float | None]:
    """What is billed by another measure than text: seconds, pages, and images where they are not told apart."""
    seconds = amount_in(usage, "seconds")
    if not usage and "text" in answer:
        # Who states no usage may still say how long it was, if asked to be verbose.
        seconds = amount_in(answer, "duration")
    pages = count_in(object_in(answer, "usage_info"), "pages_processed")
    has_images = "b64_json" in answer or any("b64_json" in one for one in objects_in(answer, "data"))
    return {
        "audio_seconds": seconds,
        "input_document_pages": pages,
        "input_annotated_document_pages": pages if _is_annotated(answer) else None,
        "output_image_tokens": count_in(usage, "output_tokens")
        if has_images and not details_in(usage, "output")
        else None,
    }


def _is_annotated(answer: JsonObject) -> bool:
    images = (image for page in objects_in(answer, "pages") for image in objects_in(page, "images"))
    return bool(answer.get("document_annotation")) or any(image.get("image_annotation") for image in images)


def _svg_charges(answer: JsonObject) -> tuple[Charge, ...]:
    """Vector images are written by a model of its own, counted beside what draws them."""
    usage = object_in(answer, "svg_usage")
    if not usage:
        return ()
    counted = read_usage(usage, "input", "output")
    reasoning = count_in(usage, "reasoning_tokens")
    part = reasoning if reasoning is not None and reasoning <= (counted.completion_tokens or 0) else None
    tokens: Usage = replace(counted, reasoning_tokens=part)
    return (Charge(text_in(usage, "model"), tokens),)


FORMAT = _MediaFormat(recognises, read_answer, read_stream, rebuild)
