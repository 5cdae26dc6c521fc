"""OpenAI's chat completions and legacy completions, and what compatible servers add to them.

Source: https://platform.openai.com/docs/api-reference/chat and /completions.
"""

from collections.abc import Iterable, Iterator

from gateway.models.request import Usage
from gateway.wire.event_streams import Stream
from gateway.wire.formats import STREAM_END, JsonFormat, ResponseFacts, error_message, model_in, states_error
from gateway.wire.json_fields import (
    JsonObject,
    all_finished,
    group_by_index,
    index_in,
    join_deltas,
    join_text,
    last_values,
    object_in,
    objects_in,
    parse_object,
    text_in,
)
from gateway.wire.openai_usage import add_usage, counts_anything, read_billing, read_usage, usage_in

# OpenRouter's and others', Zhipu's, DeepSeek's.
_FAILED = frozenset({"error", "network_error", "insufficient_system_resource"})

MAX_IDS = 1000
# The first chunks may say what the later ones leave out.
_OPENING_EVENTS = 3
# Random text that hides the length of each chunk; no part of the answer.
_PADDING = "obfuscation"

_UNFINISHED = b'"finish_reason":null'

_UNSTREAMED = {"chat.completion.chunk": "chat.completion"}


def recognises(answer: JsonObject) -> bool:
    return isinstance(answer.get("choices"), list)


def read_answer(answer: JsonObject) -> ResponseFacts:
    usage = usage_in(answer)
    finish_reason, error = _read_ending(answer)
    error = error or _find_error(answer)
    return ResponseFacts(
        model=model_in(answer),
        usage=read_usage(usage),
        response_id=text_in(answer, "id"),
        finish_reason=finish_reason,
        note=error,
        billing=read_billing(answer, usage),
        has_failed=finish_reason in _FAILED or error is not None,
    )


def read_stream(stream: Stream) -> ResponseFacts:
    # The first chunks say who answers, the last how that ended; those between are not parsed.
    events = stream.all_events
    response_id, model = _read_opening(stream.objects())
    usage: JsonObject = {}
    finish_reason = error = tier = last_id = None
    usage_is_alone = is_counted = False
    for _, data in reversed(events):
        chunk = parse_object(data) if _may_hold_facts(data) and data != STREAM_END else None
        if chunk is None:
            continue
        last_id = last_id or text_in(chunk, "id")
        tier = tier or text_in(chunk, "service_tier")
        # The last usage that says anything holds, wherever it stands; zeros after it do not undo it.
        if not is_counted and (found := usage_in(chunk)):
            usage, usage_is_alone, is_counted = found, not chunk.get("choices"), counts_anything(found)
        reason, choice_error = _read_ending(chunk)
        error = error or choice_error or _find_error(chunk)
        finish_reason = finish_reason or reason
        if finish_reason is not None and (is_counted or not stream.contains(b'"usage"')):
            break
    has_failed = error is not None or finish_reason in _FAILED
    has_ended = bool(events) and events[-1][1] == STREAM_END
    counted = read_usage(usage)
    if (usage_is_alone or not has_ended) and _may_have_several_choices(stream):
        has_ended = has_ended or _all_finished(stream)
        counted = (_sum_by_choice(stream.objects()) if usage_is_alone else None) or counted
    else:
        has_ended = has_ended or finish_reason is not None
    return ResponseFacts(
        model=model,
        usage=counted,
        response_id=response_id,
        finish_reason=finish_reason,
        note=error,
        billing=read_billing({"service_tier": tier or _first_tier(stream)}, usage),
        has_failed=has_failed,
        has_ended=has_ended,
        other_ids=_other_ids(stream.objects(), response_id) if last_id and last_id != response_id else (),
    )


def rebuild(chunks: list[JsonObject]) -> JsonObject | None:
    if not chunks:
        return None
    choices = (choice for chunk in chunks for choice in objects_in(chunk, "choices"))
    pieces = group_by_index((index_in(choice), choice) for choice in choices)
    whole = last_values(chunks)
    whole.pop(_PADDING, None)
    counted = _sum_by_choice(chunks)
    usage = _to_object(counted) if counted else _last_usage(chunks)
    if usage is not None:
        whole["usage"] = usage
    elif whole.get("usage") is None:
        whole.pop("usage", None)
    response_id, model = _read_opening(iter(chunks))
    whole |= {"id": response_id, "model": model} if response_id or model else {}
    whole["object"] = _UNSTREAMED.get(text_in(whole, "object") or "", whole.get("object"))
    whole["choices"] = list(map(_build_choice, pieces))
    return whole


def _may_hold_facts(data: bytes) -> bool:
    # A look at the bytes costs a fraction of parsing them: a compact chunk whose choices all go on, and that
    # has neither usage nor an error, says nothing about the end.
    return (
        _UNFINISHED not in data
        or data.count(b'"finish_reason"') != data.count(_UNFINISHED)
        or b'"usage":{' in data
        or b'"error"' in data
        or b'"timings"' in data
    )


def _read_opening(chunks: Iterator[JsonObject]) -> tuple[str | None, str | None]:
    response_id = model = None
    for chunk in chunks:
        # Azure's first chunk is about its content filter and leaves both empty.
        response_id = response_id or text_in(chunk, "id")
        model = model or model_in(chunk)
        if response_id and model:
            break
    return response_id, model


def _first_tier(stream: Stream) -> str | None:
    opening = (data for _, data in stream.events[:_OPENING_EVENTS] if b'"service_tier"' in data)
    chunks = (parse_object(data) or {} for data in opening)
    return next((tier for chunk in chunks if (tier := text_in(chunk, "service_tier"))), None)


def _may_have_several_choices(stream: Stream) -> bool:
    # Calls of tools have an index as well; then the look at all chunks is in vain, and rare.
    is_compact = not any(b'"index": ' in data for _, data in stream.events[:3])
    return stream.contains(b'"index":1' if is_compact else b'"index": 1')


def _all_finished(stream: Stream) -> bool:
    choices = (choice for chunk in stream.objects() for choice in objects_in(chunk, "choices"))
    return all_finished((index_in(choice), text_in(choice, "finish_reason")) for choice in choices)


def _sum_by_choice(chunks: Iterable[JsonObject]) -> Usage | None:
    # llama.cpp counts each choice on its own, in a chunk that follows that choice's finish reason.
    counted: list[Usage] = []
    finished: set[int] = set()
    is_news = False
    for chunk in chunks:
        for choice in objects_in(chunk, "choices"):
            if text_in(choice, "finish_reason") and index_in(choice) not in finished:
                finished.add(index_in(choice))
                is_news = True
        if is_news and not chunk.get("choices") and counts_anything(usage := usage_in(chunk)):
            counted.append(read_usage(usage))
            is_news = False
    return add_usage(counted) if len(counted) > 1 else None


def _last_usage(chunks: list[JsonObject]) -> JsonObject | None:
    found = (object_in(chunk, "usage") for chunk in reversed(chunks))
    return next((usage for usage in found if counts_anything(usage)), None)


def _to_object(usage: Usage) -> JsonObject:
    prompt, completion = usage.prompt_tokens or 0, usage.completion_tokens or 0
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _other_ids(chunks: Iterable[JsonObject], response_id: str | None) -> tuple[str, ...]:
    ids = dict.fromkeys(found for chunk in chunks if (found := text_in(chunk, "id")) and found != response_id)
    return tuple(ids)[:MAX_IDS]


def _read_ending(answer: JsonObject) -> tuple[str | None, str | None]:
    """Return the finish reason of the first choice, and the message of an error in a choice (OpenRouter's)."""
    finish_reason = error = None
    for choice in objects_in(answer, "choices"):
        if choice.get("error"):
            error = error or error_message(choice)
        if finish_reason is None and index_in(choice) == 0:
            finish_reason = text_in(choice, "finish_reason")
    return finish_reason, error


def _find_error(answer: JsonObject) -> str | None:
    """Return the message of an error beside choices, or in their place."""
    if states_error(answer):
        return error_message(answer) or "an error without a message"
    if stopped_by := text_in(object_in(answer, "x_groq"), "error"):
        return stopped_by
    return error_message(answer) if "choices" not in answer and "usage" not in answer else None


def _is_error_chunk(chunk: JsonObject) -> bool:
    return _read_ending(chunk)[1] is not None or _find_error(chunk) is not None


def _build_choice(pieces: list[JsonObject]) -> JsonObject:
    choice = {**last_values(pieces), "index": index_in(pieces[0])}
    logprobs = [object_in(piece, "logprobs") for piece in pieces]
    choice["logprobs"] = join_deltas(logprobs) or None
    choice.setdefault("finish_reason", None)
    if "text" in choice:
        choice["text"] = join_text([piece.get("text") for piece in pieces])
    else:
        choice.pop("delta", None)
        choice["message"] = _build_message([object_in(piece, "delta") for piece in pieces])
    return choice


def _build_message(deltas: list[JsonObject]) -> JsonObject:
    message: JsonObject = {"role": "assistant", "content": None} | join_deltas(deltas)
    message.pop(_PADDING, None)
    for call in objects_in(message, "tool_calls"):
        call.pop("index", None)
    return message


FORMAT = JsonFormat(recognises, read_answer, read_stream, rebuild, is_error_event=_is_error_chunk)
