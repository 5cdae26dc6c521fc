"""Replicate's predictions: begun by one call, shown again by others until they have ended.

Sources: https://replicate.com/docs/reference/http; SDK `replicate` 1.0.7.
"""

import mimetypes
import re
from collections.abc import Iterable

from gateway.models.conversation import Message, Part, Text
from gateway.models.request import Usage
from gateway.wire.conversation import json_text, read_media
from gateway.wire.formats import JsonFormat, ResponseFacts, error_message, states_error
from gateway.wire.json_fields import JsonObject, count_in, join_text, object_in, text_in

_FILE_URL = re.compile(r"(?:https?://|data:)\S+$")
_RUNNING_STATUSES = frozenset({"starting", "processing"})
_FAILED_STATUSES = frozenset({"failed", "aborted"})
_MODEL_IN_PATH = re.compile(r"/(?:models|deployments)/([^/]+/[^/]+)/predictions$")


def recognises(answer: JsonObject) -> bool:
    # The answer to a poll looks like that to the call that began it, and would count again.
    return False


def read_answer(answer: JsonObject) -> ResponseFacts:
    metrics, status = object_in(answer, "metrics"), text_in(answer, "status")
    return ResponseFacts(
        model=text_in(answer, "model"),
        usage=Usage(count_in(metrics, "input_token_count"), count_in(metrics, "output_token_count")),
        response_id=text_in(answer, "id"),
        finish_reason=None if status in _RUNNING_STATUSES else status,
        note=error_message(answer),
        has_failed=status in _FAILED_STATUSES or states_error(answer),
    )


def read_model(request: JsonObject) -> str | None:
    return (text_in(request, "version") or "").partition(":")[0] or None


def read_output(answer: JsonObject) -> Iterable[Message]:
    """Yield the output of a prediction: a text or its pieces, files, or an object as JSON."""
    output = answer.get("output")
    members = output if isinstance(output, list) else [output]
    files = [member for member in members if isinstance(member, str) and _FILE_URL.match(member)]
    if files and len(files) == len(members):
        parts: list[Part] = [read_media(_modality_of(url), url) for url in files]
    elif all(isinstance(member, str) for member in members):
        parts = [Text(join_text(members))]
    else:
        parts = [Text(json_text(output))] if output else []
    if parts:
        yield Message("assistant", tuple(parts), text_in(answer, "status"))


def _modality_of(url: str) -> str:
    kind = (mimetypes.guess_type(url.partition("?")[0])[0] or "").partition("/")[0]
    return kind if kind in ("image", "audio", "video") else "file"


FORMAT = JsonFormat(
    recognises,
    read_answer,
    # The stream of a prediction comes from another host, as text.
    lambda stream: ResponseFacts(has_ended=True),
    read_model=read_model,
    model_path=_MODEL_IN_PATH,
    read_output=read_output,
)
