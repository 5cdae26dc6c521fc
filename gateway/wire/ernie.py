"""Baidu's ERNIE in its first API (Qianfan v1): `result` in place of choices, errors with status 200.

Sources: https://cloud.baidu.com/doc/WENXINWORKSHOP (chat of each model); SDK `qianfan` 0.4.12.3.
"""

import re
from dataclasses import replace

from gateway.wire.event_streams import Stream
from gateway.wire.formats import JsonFormat, ResponseFacts, error_message, states_error
from gateway.wire.json_fields import JsonObject, join_text, last_values, object_in, text_in
from gateway.wire.openai_usage import read_billing, read_usage

_MODEL_IN_PATH = re.compile(r"/(?:chat|completions)/(?!completions/?$)([^/]+)/?$")
_MARKER_FIELDS = ("is_end", "need_clear_history", "is_truncated")
_EVENT_FIELDS = ("is_end", "sentence_id")


def recognises(answer: JsonObject) -> bool:
    return ("result" in answer and any(sign in answer for sign in _MARKER_FIELDS)) or (
        "error_code" in answer and "error_msg" in answer
    )


def read_answer(answer: JsonObject) -> ResponseFacts:
    usage = object_in(answer, "usage")
    return ResponseFacts(
        model=text_in(answer, "model"),
        usage=read_usage(usage),
        response_id=text_in(answer, "id"),
        finish_reason=text_in(answer, "finish_reason"),
        note=error_message(answer),
        billing=read_billing(answer, usage),
        has_failed=states_error(answer),
    )


def read_stream(stream: Stream) -> ResponseFacts:
    events = list(stream.objects())
    facts = read_answer(rebuild(events) or {})
    has_ended = any(event.get("is_end") is True for event in events)
    # An event that does not end the answer says how it would have ended.
    return replace(facts, has_ended=has_ended, finish_reason=facts.finish_reason if has_ended else None)


def rebuild(events: list[JsonObject]) -> JsonObject | None:
    if not events:
        return None
    whole = {key: value for key, value in last_values(events).items() if key not in _EVENT_FIELDS}
    if any("result" in event for event in events):
        whole["result"] = join_text([event.get("result") for event in events])
    return whole


def read_user(request: JsonObject) -> str | None:
    return text_in(request, "user_id")


FORMAT = JsonFormat(recognises, read_answer, read_stream, rebuild, read_user, model_path=_MODEL_IN_PATH)
