"""Samples: an exported request as prompt, answers, score and edits, and where each is from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import orjson

from gateway.datasets.export_format import ExportRow
from gateway.datasets.messages import (
    ChatMessage,
    ChatRow,
    Choice,
    LeftOut,
    MessageOptions,
    chat_row,
    has_parallel_calls,
)
from gateway.models.exchange import Outcome
from gateway.models.feedback import Feedback, summarise_scores
from gateway.models.request import RequestRecord

_FIRST_ERROR_STATUS = 400
# Fields of a request that continues what the provider remembers of earlier ones.
_CONTINUED = ("previous_response_id", "conversation")
# Numbers of a JSON file with messages are rounded to ten digits by the library that loads it.
_SCORE_DIGITS = 6
_PARALLEL = "parallel tool calls, which the templates of Llama and gpt-oss refuse or cut"
_THOUGHT_AND_SAID = "reasoning, text and tool calls in one turn, which the template of gpt-oss refuses"

Redact = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Edit:
    """An answer as it should have been, and the choice that it replaces."""

    choice: Choice
    edited: Choice
    feedback_id: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One request as training data.

    Args:
        score: weighted mean of its feedback in −1…1; None without any.
        edits: the latest of each author, oldest first.
        left_out: why choices or edits are missing.
        remarks: what trainers may stumble over.
    """

    record: RequestRecord
    prompt: list[ChatMessage]
    choices: list[Choice]
    tools: str | None
    score: float | None
    edits: list[Edit]
    feedback_ids: list[str]
    labels: list[str]
    left_out: list[str]
    remarks: list[str]

    @property
    def people(self) -> list[str]:
        """The user and the session that this is of, by names that are the same in every request of theirs."""
        record = self.record
        named = [
            f"{kind} {record.tenant or ''} {name}"
            for kind, name in (("user", record.user), ("session", record.session))
            if name
        ]
        return named or [f"trace {record.tenant or ''} {record.trace_id}"]


def read_sample(
    row: ExportRow, entries: Sequence[Feedback], options: MessageOptions, redact: Redact | None
) -> Sample:
    """Return a request as a sample; `entries` is the feedback that counts for it. Raises LeftOut."""
    _check_kept(row)
    chat = chat_row(row.logged.conversation(), options)
    if redact is not None:
        chat = replace(
            chat,
            prompt=_redact_messages(chat.prompt, redact),
            choices=[Choice(_redact_messages(choice.messages, redact)) for choice in chat.choices],
        )
    remarks = list(_remarks(chat))
    if not entries:
        return Sample(
            row.record, chat.prompt, chat.choices, chat.tools, None, [], [], [], chat.left_out, remarks
        )
    left_out = list(chat.left_out)
    standing = [entry for entry in entries if entry.deleted_at_us is None]
    mean = summarise_scores(standing).weighted_mean
    return Sample(
        record=row.record,
        prompt=chat.prompt,
        choices=chat.choices,
        tools=chat.tools,
        score=None if mean is None else round(mean, _SCORE_DIGITS),
        edits=list(_edits(chat, standing, redact, left_out)),
        feedback_ids=[entry.feedback_id for entry in standing],
        labels=sorted({_redacted(entry.label, redact) for entry in standing if entry.label}),
        left_out=left_out,
        remarks=remarks,
    )


def _remarks(chat: ChatRow) -> Iterator[str]:
    said = [*chat.prompt, *(message for choice in chat.choices for message in choice.messages)]
    # Most conversations have no calls.
    calling = [message for message in said if "tool_calls" in message]
    if has_parallel_calls(calling):
        yield _PARALLEL
    if any("reasoning_content" in message and message["content"] for message in calling):
        yield _THOUGHT_AND_SAID


def _check_kept(row: ExportRow) -> None:
    record, logged = row.record, row.logged
    if record.outcome is not Outcome.COMPLETE or (record.status or 0) >= _FIRST_ERROR_STATUS:
        raise LeftOut("the request failed or broke off")
    if logged.request is None or logged.response is None:
        raise LeftOut("its bodies are not kept")
    if logged.request.is_truncated or logged.response.is_truncated:
        raise LeftOut("its bodies are not kept whole")
    if record.endpoint.startswith("responses") and _continues(logged.request.body):
        raise LeftOut("earlier turns are with the provider alone")


def _continues(body: bytes) -> bool:
    if not any(name.encode() in body for name in _CONTINUED):
        return False
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return isinstance(asked, dict) and any(asked.get(name) for name in _CONTINUED)


def _edits(
    chat: ChatRow, entries: Sequence[Feedback], redact: Redact | None, left_out: list[str]
) -> Iterator[Edit]:
    latest: dict[str, Feedback] = {}
    for entry in entries:
        if entry.edited_text and entry.edited_text.strip():
            latest[entry.author or entry.feedback_id] = entry
    for entry in sorted(latest.values(), key=lambda one: (one.created_at_us, one.feedback_id)):
        choice = _edited_choice(chat.choices, entry, redact)
        edited = _redacted(entry.edited_text or "", redact)
        if choice is None:
            left_out.append("an edit that names no choice of several")
        elif len(choice.messages) > 1 or "tool_calls" in choice.messages[0]:
            left_out.append("an edit of an answer with tool calls")
        elif edited.strip() == choice.text.strip():
            left_out.append("an edit that changes nothing")
        else:
            yield Edit(choice, Choice([{"role": "assistant", "content": edited}]), entry.feedback_id)


def _edited_choice(choices: Sequence[Choice], entry: Feedback, redact: Redact | None) -> Choice | None:
    if len(choices) == 1:
        return choices[0]
    original = _redacted(entry.original_text or "", redact).strip()
    same = [choice for choice in choices if choice.text.strip() == original]
    return same[0] if original and same else None


def _redacted(text: str, redact: Redact | None) -> str:
    return text if redact is None else redact(text)


def _redact_messages(messages: Sequence[ChatMessage], redact: Redact) -> list[ChatMessage]:
    return [_redact_message(message, redact) for message in messages]


def _redact_message(message: ChatMessage, redact: Redact) -> ChatMessage:
    redacted = dict(message)
    for key in ("content", "reasoning_content"):
        if message.get(key):
            redacted[key] = redact(message[key])
    if calls := message.get("tool_calls"):
        redacted["tool_calls"] = [
            {**call, "function": _redact_values(call["function"], redact)} for call in calls
        ]
    return redacted


def _redact_values(value: object, redact: Redact) -> object:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {key: _redact_values(item, redact) for key, item in value.items()}
    if isinstance(value, list):
        return [_redact_values(item, redact) for item in value]
    return value
