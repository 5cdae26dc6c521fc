"""DashScope's own format: text and multimodal generation, applications, tasks in the background.

Sources: https://help.aliyun.com/zh/model-studio/ (Qwen, applications, tasks); SDK `dashscope` 2.0.2.
"""

from collections.abc import Sequence
from itertools import pairwise

from gateway.models.request import Billing, Charge
from gateway.wire.formats import JsonFormat, ResponseFacts, error_message, states_error
from gateway.wire.json_fields import (
    JsonObject,
    count_in,
    group_by_index,
    index_in,
    join_deltas,
    join_text,
    last_values,
    object_in,
    objects_in,
    text_in,
)
from gateway.wire.openai_usage import add_usage, counts_anything, read_billing, read_usage

_MODALITY_FIELDS = ("image_tokens", "audio_tokens", "video_tokens")


def recognises(answer: JsonObject) -> bool:
    output = answer.get("output")
    return (
        isinstance(output, dict)
        and "request_id" in answer
        and ("choices" in output or ("text" in output and "finish_reason" in output))
    )


def read_answer(answer: JsonObject) -> ResponseFacts:
    output, usage = object_in(answer, "output"), usage_in(answer)
    models = objects_in(usage, "models")
    applied = [Charge(text_in(part, "model_id"), read_usage(part, "input", "output")) for part in models]
    has_failed = (
        text_in(answer, "code") is not None or states_error(answer) or output.get("task_status") == "FAILED"
    )
    return ResponseFacts(
        model=text_in(answer, "model") or (applied[0].model if applied else None),
        usage=add_usage(charge.usage for charge in applied)
        if applied
        else read_usage(usage, "input", "output"),
        # A task is asked for again by its own id; each of these calls has another request id.
        response_id=text_in(output, "task_id") or text_in(answer, "request_id"),
        finish_reason=_finish_reason(output),
        note=(error_message(answer) or error_message(output)) if has_failed else None,
        billing=Billing(others=tuple(applied[1:]))
        if applied
        else read_billing(answer, usage, "input", "output"),
        has_failed=has_failed,
    )


def usage_in(answer: JsonObject) -> JsonObject:
    """Return the usage of an answer, as OpenAI's Responses would have it."""
    usage = object_in(answer, "usage")
    # Older models state the parts beside the counts, and what came from the cache is stated of the `prompt`.
    parts = {name: usage[name] for name in _MODALITY_FIELDS if name in usage}
    details = object_in(usage, "prompt_tokens_details") | parts | object_in(usage, "input_tokens_details")
    if not details:
        return usage
    counted, beside = count_in(usage, "input_tokens"), sum(count_in(parts, name) or 0 for name in parts)
    if counted is not None and beside > counted:
        # Parts of a whole cannot be more than it: embeddings count images apart from the text.
        usage = usage | {"input_tokens": counted + beside}
    return usage | {"input_tokens_details": details}


def rebuild(events: list[JsonObject]) -> JsonObject | None:
    pieces = [output for event in events if (output := object_in(event, "output"))]
    if not pieces:
        return next((event for event in reversed(events) if "code" in event), None)
    whole = last_values(events)
    usage = next((one["usage"] for one in reversed(events) if counts_anything(object_in(one, "usage"))), None)
    whole |= {"usage": usage} if usage is not None else {}
    found = ((index_in(choice), choice) for piece in pieces for choice in objects_in(piece, "choices"))
    choices = group_by_index(found)
    messages = [[object_in(choice, "message") for choice in group] for group in choices]
    # A stream repeats the answer so far in each event unless it was asked for increments.
    repeats = all(_is_cumulative([_text_of(one) for one in found]) for found in (pieces, *messages))
    output = last_values(pieces)
    if isinstance(output.get("text"), str) and not repeats:
        output["text"] = join_text([piece.get("text") for piece in pieces])
    if choices:
        output["choices"] = [
            last_values(group) | {"message": said[-1] if repeats else _join_messages(said)}
            for group, said in zip(choices, messages, strict=True)
        ]
    return whole | {"output": output}


def _finish_reason(output: JsonObject) -> str | None:
    first = next(iter(objects_in(output, "choices")), {})
    reason = text_in(first, "finish_reason") or text_in(output, "finish_reason")
    # The spelling of "not yet".
    return None if reason == "null" else reason


def _text_of(piece: JsonObject) -> str:
    """All that a piece says in one text."""
    said: list[object] = [piece.get("reasoning_content"), piece.get("text"), piece.get("content")]
    said += [part.get("text") for part in objects_in(piece, "content")]
    said += [object_in(call, "function").get("arguments") for call in objects_in(piece, "tool_calls")]
    return join_text(said)


def _is_cumulative(texts: Sequence[str]) -> bool:
    return all(after.startswith(before) for before, after in pairwise(texts))


def _join_messages(messages: list[JsonObject]) -> JsonObject:
    message = join_deltas(messages)
    if isinstance(message.get("content"), list):
        message["content"] = _join_texts(message["content"])
    for call in objects_in(message, "tool_calls"):
        if isinstance(call.get("function"), dict):
            call["function"] = {"name": call["function"].get("name")} | call["function"]
    return message


def _join_texts(parts: list[object]) -> list[object]:
    joined: list[object] = []
    for part in parts:
        before = joined[-1] if joined else None
        if isinstance(part, dict) and isinstance(before, dict) and part.keys() == before.keys() == {"text"}:
            joined[-1] = {"text": join_text([before["text"], part["text"]])}
        else:
            joined.append(part)
    return joined


FORMAT = JsonFormat(recognises, read_answer, rebuild=rebuild)
