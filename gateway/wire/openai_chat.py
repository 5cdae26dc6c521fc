"""OpenAI's chat completions and the legacy completions: the same envelope around a message or a text.

Source: https://platform.openai.com/docs/api-reference/chat and /completions, and what compatible servers add
(`reasoning_content`, errors inside a stream).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gateway.domain.request import Usage
from gateway.wire.fields import JsonObject, index_in, object_in, objects_in, parse_object, text_in
from gateway.wire.folding import fold, join_text, latest
from gateway.wire.format import Answered
from gateway.wire.json_format import DONE, ENDED_EARLY, JsonFormat, error_message
from gateway.wire.openai_usage import read_usage
from gateway.wire.sse import Event

_PADDING = "obfuscation"
"""Random text that hides the length of each chunk; no part of the answer."""

_GOES_ON = b'"finish_reason":null'

_UNSTREAMED = {"chat.completion.chunk": "chat.completion"}


def read_user(request: JsonObject) -> str | None:
    """Return the end user that an OpenAI request names."""
    return text_in(request, "user")


def read_answer(answer: JsonObject) -> Answered:
    """Return what an unstreamed completion, or an error in its place, says."""
    return Answered(
        model=text_in(answer, "model"),
        usage=read_usage(object_in(answer, "usage")),
        response_id=text_in(answer, "id"),
        finish_reason=_finish_reason(answer),
        note=error_message(answer),
    )


def read_events(events: Sequence[Event]) -> Answered:
    """Return what a streamed completion says: its first chunks tell who answers, its last how that ended."""
    response_id, model = _read_opening(_chunks(events))
    usage, finish_reason, error = _read_ending(
        _chunks(event for event in reversed(events) if _may_end(event))
    )
    is_whole = finish_reason is not None or (bool(events) and events[-1][1] == DONE)
    note = error or (None if is_whole else ENDED_EARLY)
    return Answered(model, usage, response_id, finish_reason, note)


def rebuild(chunks: list[JsonObject]) -> JsonObject | None:
    """Return the completion that these chunks are of."""
    if not chunks:
        return None
    pieces: dict[int, list[JsonObject]] = {}
    for chunk in chunks:
        for choice in objects_in(chunk, "choices"):
            pieces.setdefault(index_in(choice), []).append(choice)
    whole = latest(chunks)
    whole.pop(_PADDING, None)
    if whole.get("usage") is None:
        whole.pop("usage", None)
    response_id, model = _read_opening(iter(chunks))
    whole |= {"id": response_id, "model": model} if response_id or model else {}
    whole["object"] = _UNSTREAMED.get(text_in(whole, "object") or "", whole.get("object"))
    whole["choices"] = [_build_choice(index, pieces[index]) for index in sorted(pieces)]
    return whole


def _chunks(events: Sequence[Event] | Iterator[Event]) -> Iterator[JsonObject]:
    parsed = (parse_object(data) for _, data in events if data != DONE)
    return (chunk for chunk in parsed if chunk is not None)


def _may_end(event: Event) -> bool:
    # A look at the bytes costs a fraction of parsing them: a compact chunk whose choices all go on, and that
    # has neither usage nor an error, says nothing about the end.
    data = event[1]
    return (
        _GOES_ON not in data
        or data.count(b'"finish_reason"') != data.count(_GOES_ON)
        or b'"usage":{' in data
        or b'"error"' in data
    )


def _read_opening(chunks: Iterator[JsonObject]) -> tuple[str | None, str | None]:
    response_id = model = None
    for chunk in chunks:
        # Azure's first chunk is about its content filter and leaves both empty.
        response_id = response_id or text_in(chunk, "id")
        model = model or text_in(chunk, "model")
        if response_id and model:
            break
    return response_id, model


def _read_ending(backwards: Iterator[JsonObject]) -> tuple[Usage, str | None, str | None]:
    usage: JsonObject = {}
    finish_reason = error = None
    for chunk in backwards:
        # Usage comes with the finish reason or after it, so nothing is missed by stopping there.
        usage = usage or object_in(chunk, "usage")
        error = error or error_message(chunk)
        finish_reason = _finish_reason(chunk)
        if finish_reason is not None:
            break
    return read_usage(usage), finish_reason, error


def _finish_reason(answer: JsonObject) -> str | None:
    for choice in objects_in(answer, "choices"):
        if index_in(choice) == 0:
            return text_in(choice, "finish_reason")
    return None


def _build_choice(index: int, pieces: list[JsonObject]) -> JsonObject:
    choice = {**latest(pieces), "index": index}
    logprobs = [object_in(piece, "logprobs") for piece in pieces]
    choice["logprobs"] = fold(logprobs) or None
    choice.setdefault("finish_reason", None)
    if "text" in choice:
        choice["text"] = join_text([piece.get("text") for piece in pieces])
    else:
        choice.pop("delta", None)
        choice["message"] = _build_message([object_in(piece, "delta") for piece in pieces])
    return choice


def _build_message(deltas: list[JsonObject]) -> JsonObject:
    message: JsonObject = {"role": "assistant", "content": None} | fold(deltas)
    message.pop(_PADDING, None)
    for call in objects_in(message, "tool_calls"):
        call.pop("index", None)
    return message


FORMAT = JsonFormat(read_user, read_answer, read_events, rebuild)
