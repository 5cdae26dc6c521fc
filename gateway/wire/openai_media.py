"""OpenAI's images, audio and moderation, Mistral's OCR; JSON and form requests."""

import re
from collections.abc import Collection, Iterable
from dataclasses import replace
from urllib.parse import parse_qsl

import orjson

from gateway.models.conversation import Conversation, Message, Part, Text
from gateway.models.exchange import first_value
from gateway.models.request import Charge, Usage
from gateway.wire import formats
from gateway.wire.conversation import read_media
from gateway.wire.event_streams import Stream
from gateway.wire.json_fields import (
    MAX_TEXT,
    JsonObject,
    amount_in,
    count_in,
    join_text,
    object_in,
    objects_in,
    parse_object,
    text_in,
    without_zeros,
)
from gateway.wire.openai_usage import add_usage, read_billing, read_usage, token_details

_MAX_PARTS = 256
_MAX_HEAD_BYTES = 2048
_MAX_PROMPT = 32_768
_MAX_URLENCODED_BYTES = 64 * 1024
_BOUNDARY = re.compile(rb'boundary="?([^";,\s]{1,200})', re.IGNORECASE)
_NAME = re.compile(rb'content-disposition:[^\r\n]*?[;\s]name="?([^";\r\n]*)', re.IGNORECASE)


def read_form(
    content_type: bytes, body: bytes, names: Collection[str], max_text: int = MAX_TEXT
) -> dict[str, str] | None:
    """Return the fields of a form with these names, up to `max_text` long; None if the body is no form."""
    kind = content_type[:100].lower()
    if kind.startswith(b"application/x-www-form-urlencoded"):
        pairs = parse_qsl(body[:_MAX_URLENCODED_BYTES].decode(errors="replace"), max_num_fields=None)
        return {name: value for name, value in pairs if name in names and len(value) <= max_text}
    boundary = _BOUNDARY.search(content_type)
    if not kind.startswith(b"multipart/form-data") or boundary is None:
        return None
    return _read_parts(b"--" + boundary[1], body, names, max_text)


def _read_parts(delimiter: bytes, body: bytes, names: Collection[str], max_text: int) -> dict[str, str]:
    found: dict[str, str] = {}
    start = body.find(delimiter)
    for _ in range(_MAX_PARTS):
        if start < 0:
            break
        end = body.find(delimiter, start + len(delimiter))
        head, blank, _ = body[start : start + _MAX_HEAD_BYTES].partition(b"\r\n\r\n")
        name = _NAME.search(head)
        field = name[1].decode(errors="replace") if name and blank and b"filename" not in head else ""
        if field in names and end >= 0:
            begins = start + len(head) + len(blank)
            raw = body[begins : min(end, begins + 4 * max_text + 2)]
            text = raw.removesuffix(b"\r\n").decode(errors="replace")
            if 0 < len(text) <= max_text:
                found[field] = text
        start = end
    return found


_TEXT_TYPES = ("text/plain", "text/vtt", "text/srt")
_OPAQUE_TYPES = ("audio/", "image/", "application/octet-stream", *_TEXT_TYPES)
_IMAGE_FIELDS = ("b64_json", "url", "revised_prompt")


def recognises(answer: JsonObject) -> bool:
    kind = text_in(answer, "type") or ""
    return kind.startswith(("image_generation.", "image_edit.", "transcript.text.", "speech.audio."))


def read_answer(answer: JsonObject) -> formats.ResponseFacts:
    usage = object_in(answer, "usage")
    prompt, completion = ("input", "output") if _has_input_counts(usage) else ("prompt", "completion")
    beside = _svg_charges(answer)
    billing = read_billing(answer, usage, prompt, completion)
    units = without_zeros(_units_of(answer, usage))
    return formats.ResponseFacts(
        model=text_in(answer, "model"),
        usage=add_usage([read_usage(usage, prompt, completion), *(charge.usage for charge in beside)]),
        response_id=text_in(answer, "id"),
        note=formats.error_message(answer),
        billing=replace(billing, units={**units, **billing.units}, others=beside)
        if units or beside
        else billing,
        has_failed=formats.states_error(answer),
    )


def read_stream(stream: Stream) -> formats.ResponseFacts:
    events = list(stream.objects())
    ends = list(filter(_is_end, events))
    # Streams of speech make no such answer, but their last event has the usage.
    whole = rebuild(events) or (ends[-1] if ends else {})
    return replace(read_answer(whole), has_ended=bool(ends))


def _is_end(event: JsonObject) -> bool:
    return str(event.get("type")).endswith((".completed", ".done"))


def rebuild(events: list[JsonObject]) -> JsonObject | None:
    # Images or a transcript; speech is bytes, and has no such answer.
    ends = list(filter(_is_end, events))
    if ends and "b64_json" in ends[-1]:
        own = ("type", "created_at", *_IMAGE_FIELDS)
        rest = {key: value for key, value in ends[-1].items() if key not in own}
        data = [{key: event[key] for key in _IMAGE_FIELDS if key in event} for event in ends]
        return {"created": ends[-1].get("created_at"), "data": data} | rest
    if ends and isinstance(ends[-1].get("text"), str):
        return {key: value for key, value in ends[-1].items() if key != "type"}
    deltas = [event.get("delta") for event in events if event.get("type") == "transcript.text.delta"]
    if deltas:
        return {"text": join_text(deltas)}
    return next((event for event in events if formats.states_error(event)), None)


class _MediaFormat(formats.JsonFormat):
    def read_request(self, request: formats.WireMessage) -> formats.RequestFacts:
        content_type = first_value(request.headers, b"content-type")
        form = read_form(content_type, request.body, ("model", "user"))
        if form is not None:
            asked = super().read_request(replace(request, body=b""))
            caller = formats.read_caller({}, form.get("user"))
            return replace(asked, model=form.get("model") or asked.model, caller=caller)
        asked = super().read_request(request)
        if not request.path.partition("?")[0].rstrip("/").endswith("/audio/speech"):
            return asked
        text = (parse_object(request.body) or {}).get("input")
        return (
            replace(asked, units={"input_characters": len(text)}) if isinstance(text, str) and text else asked
        )

    def read_response(self, response: formats.WireMessage) -> formats.ResponseFacts:
        is_text = response.body.lstrip()[:1] == b"{" or response.body.startswith((b"data:", b"event:"))
        if response.content_type.startswith(_OPAQUE_TYPES) and not is_text:
            return formats.ResponseFacts()
        return super().read_response(response)

    def conversation(self, request: formats.WireMessage, response: formats.WireMessage) -> Conversation:
        content_type = first_value(request.headers, b"content-type")
        form = read_form(content_type, request.body, ("prompt", "input"), _MAX_PROMPT)
        if form is not None:
            request = replace(request, body=orjson.dumps(form))
        # Transcripts come as bare text or subtitles where the caller asked for that.
        if response.content_type.startswith(_TEXT_TYPES) and response.body.lstrip()[:1] != b"{":
            response = replace(response, body=orjson.dumps({"text": response.body.decode(errors="replace")}))
        return super().conversation(request, response)


def _has_input_counts(usage: JsonObject) -> bool:
    return count_in(usage, "input_tokens") is not None or count_in(usage, "output_tokens") is not None


def _units_of(answer: JsonObject, usage: JsonObject) -> dict[str, float | None]:
    # Seconds, pages, and images where their tokens are not stated apart.
    seconds = amount_in(usage, "seconds")
    if not usage and "text" in answer:
        # Without usage, verbose answers still say how long the sound was.
        seconds = amount_in(answer, "duration")
    pages = count_in(object_in(answer, "usage_info"), "pages_processed")
    has_images = "b64_json" in answer or any("b64_json" in one for one in objects_in(answer, "data"))
    return {
        "audio_seconds": seconds,
        "input_document_pages": pages,
        "input_annotated_document_pages": pages if _is_annotated(answer) else None,
        "output_image_tokens": count_in(usage, "output_tokens")
        if has_images and not token_details(usage, "output")
        else None,
    }


def _is_annotated(answer: JsonObject) -> bool:
    images = (image for page in objects_in(answer, "pages") for image in objects_in(page, "images"))
    return bool(answer.get("document_annotation")) or any(image.get("image_annotation") for image in images)


def _svg_charges(answer: JsonObject) -> tuple[Charge, ...]:
    # Vector images are written by a model of their own, counted beside the one that draws.
    usage = object_in(answer, "svg_usage")
    if not usage:
        return ()
    counted = read_usage(usage, "input", "output")
    reasoning = count_in(usage, "reasoning_tokens")
    part = reasoning if reasoning is not None and reasoning <= (counted.completion_tokens or 0) else None
    tokens: Usage = replace(counted, reasoning_tokens=part)
    return (Charge(text_in(usage, "model"), tokens),)


def read_output(answer: JsonObject) -> Iterable[Message]:
    """Yield the images that were drawn, or the text that was heard or read."""
    images = [image for image in objects_in(answer, "data") if "b64_json" in image or "url" in image]
    media_type = {name: answer["output_format"] for name in ["format"] if "output_format" in answer}
    parts: list[Part] = [read_media("image", media_type | image) for image in images]
    texts = [answer.get("text"), *(page.get("markdown") for page in objects_in(answer, "pages"))]
    parts += [Text(text) for text in texts if isinstance(text, str) and text]
    if parts:
        yield Message("assistant", tuple(parts))


FORMAT = _MediaFormat(recognises, read_answer, read_stream, rebuild, read_output=read_output)
