"""Pairs of a better and a worse answer to the same prompt: from edits, and from feedback that differs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, fields
from hashlib import blake2b
from itertools import product
from pathlib import Path
from struct import Struct
from typing import Any, NamedTuple

import orjson

from gateway.datasets.export_format import ExportCounts
from gateway.datasets.messages import ChatMessage, Choice, json_line
from gateway.datasets.samples import Sample

_KEY_BYTES = 12
# Before each answer in the spool: its length, and what is equal for the same answers.
_HEAD = Struct(f"<I{_KEY_BYTES}s")

_ALONE = "no answer to the same prompt was judged otherwise"

# Where an answer begins in the spool.
_Place = int


@dataclass(frozen=True, slots=True)
class Answer:
    """One side of a pair, and where it is from.

    Args:
        score: None where an edit alone made it a side.
    """

    messages: list[ChatMessage]
    request_id: str
    row: int
    provider: str
    model: str | None
    score: float | None
    feedback_ids: list[str]
    people: list[str]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers to one prompt; `origin` is `edit` or `feedback`."""

    prompt: list[ChatMessage]
    tools: str | None
    chosen: Answer
    rejected: Answer
    origin: str


_ANSWER_FIELDS = tuple(each.name for each in fields(Answer))


class KeptAnswer(NamedTuple):
    """An answer as the spool has it; answers that say the same have the same key."""

    key: bytes
    data: bytes


class JudgedAnswers(NamedTuple):
    """What feedback says of one request.

    Args:
        prompt_key: the same for prompts whose messages and tools are the same.
        edits: edited and answered.
        rated: the answer, where it was liked or disliked as a whole.
    """

    prompt_key: bytes
    edits: tuple[tuple[KeptAnswer, KeptAnswer], ...]
    rated: KeptAnswer | None
    is_liked: bool


def judged_answers(sample: Sample, leave_out: Callable[[str], object]) -> JudgedAnswers | None:
    """Return what may become one side of pairs, or both."""
    if not sample.score and not sample.edits:
        leave_out("a score of 0" if sample.score is not None else "neither a score nor an edit")
        return None
    if sample.score and len(sample.choices) > 1:
        leave_out("feedback that names no choice of several")
    is_alone = len(sample.choices) == 1
    if not sample.edits and not is_alone:
        return None
    edits = tuple(
        (
            _kept(sample, edit.edited, None, [edit.feedback_id]),
            _kept(sample, edit.choice, sample.score if is_alone else None, [edit.feedback_id]),
        )
        for edit in sample.edits
    )
    rated = None
    if sample.score and is_alone:
        rated = _kept(sample, sample.choices[0], sample.score, sample.feedback_ids)
    return JudgedAnswers(_prompt_key(sample), edits, rated, (sample.score or 0) > 0)


def _kept(sample: Sample, choice: Choice, score: float | None, feedback_ids: list[str]) -> KeptAnswer:
    record = sample.record
    answer = Answer(
        choice.messages,
        record.request_id,
        record.seq,
        record.provider,
        record.any_model,
        score,
        feedback_ids,
        sample.people,
    )
    shown = {name: getattr(answer, name) for name in _ANSWER_FIELDS}
    data = json_line({"prompt": sample.prompt, "tools": sample.tools, "answer": shown})
    return KeptAnswer(_key(_without_ids(choice.messages)), data)


@dataclass(slots=True)
class _Prompt:
    """What was answered to one prompt, by the answer: its first place where it is liked, disliked, edited."""

    liked: dict[bytes, _Place] = field(default_factory=dict)
    disliked: dict[bytes, _Place] = field(default_factory=dict)
    edits: dict[tuple[bytes, bytes], tuple[_Place, _Place]] = field(default_factory=dict)


class PairFinder:
    """Keeps judged answers in a temporary file, and pairs those to the same prompt when all are known.

    Prompts are the same where messages and tools are, whatever provider and API they went to.
    """

    def __init__(self, folder: Path, resources: ExitStack, counts: ExportCounts, most_of_prompt: int) -> None:
        self._file = resources.enter_context((folder / "answers.spool").open("w+b"))
        self._end = 0
        self._counts = counts
        self._most = most_of_prompt
        # Most prompts have one answer: of these the place, even where it is liked, odd where it is disliked.
        self._prompts: dict[bytes, _Prompt | int] = {}

    def add(self, answers: JudgedAnswers) -> None:
        """Keep what feedback says of a request."""
        prompt = self._prompts.get(answers.prompt_key)
        if prompt is None and answers.rated is not None and not answers.edits:
            place = self._keep(answers.rated)
            self._prompts[answers.prompt_key] = 2 * place + (not answers.is_liked)
            return
        if not isinstance(prompt, _Prompt):
            prompt = self._prompts[answers.prompt_key] = self._unfold(prompt)
        for edited, answered in answers.edits:
            self._add_edit(prompt, edited, answered)
        if (rated := answers.rated) is not None:
            side = prompt.liked if answers.is_liked else prompt.disliked
            if rated.key not in side:
                side[rated.key] = self._keep(rated)

    def _unfold(self, alone: int | None) -> _Prompt:
        prompt = _Prompt()
        if alone is not None:
            place = alone // 2
            self._file.seek(place)
            _, key = _HEAD.unpack(self._file.read(_HEAD.size))
            (prompt.disliked if alone % 2 else prompt.liked)[key] = place
        return prompt

    def _add_edit(self, prompt: _Prompt, edited: KeptAnswer, answered: KeptAnswer) -> None:
        if (keys := (edited.key, answered.key)) in prompt.edits:
            self._counts.leave_out("a pair that is there already")
        else:
            prompt.edits[keys] = self._keep(edited), self._keep(answered)

    def _keep(self, answer: KeptAnswer) -> _Place:
        place = self._end
        self._file.seek(place)
        self._file.write(_HEAD.pack(len(answer.data), answer.key))
        self._file.write(answer.data)
        self._end += _HEAD.size + len(answer.data)
        return place

    def pairs(self) -> Iterator[Pair]:
        """Yield the pairs, those of the prompt that came first before others."""
        for prompt in self._prompts.values():
            if isinstance(prompt, int):
                self._counts.leave_out(_ALONE)
                continue
            for (edited, answered), places in prompt.edits.items():
                # Somebody disliked what another wrote, or wrote it back.
                if edited in prompt.disliked or (answered, edited) in prompt.edits:
                    self._counts.leave_out("a pair that other feedback contradicts")
                else:
                    yield self._read(*places, "edit")
            yield from self._judged_pairs(prompt)

    def _judged_pairs(self, prompt: _Prompt) -> Iterator[Pair]:
        both = prompt.liked.keys() & prompt.disliked.keys()
        if both:
            self._counts.leave_out("an answer that is liked and disliked", len(both))
        liked = [place for key, place in prompt.liked.items() if key not in both]
        disliked = [place for key, place in prompt.disliked.items() if key not in both]
        if not liked or not disliked:
            if alone := len(liked) + len(disliked):
                self._counts.leave_out(_ALONE, alone)
            return
        sides = product(range(min(len(liked), self._most)), range(min(len(disliked), self._most)))
        # Each answer is used before one is used twice.
        spread = sorted(sides, key=lambda pair: (abs(pair[0] - pair[1]), pair))[: self._most]
        for better, worse in spread:
            yield self._read(liked[better], disliked[worse], "feedback")
        if beyond := len(liked) * len(disliked) - len(spread):
            self._counts.leave_out("a pair of a prompt that has enough", beyond)

    def _read(self, chosen: _Place, rejected: _Place, origin: str) -> Pair:
        kept = self._load(chosen)
        other = self._load(rejected)
        return Pair(
            kept["prompt"], kept["tools"], Answer(**kept["answer"]), Answer(**other["answer"]), origin
        )

    def _load(self, place: _Place) -> dict[str, Any]:
        self._file.seek(place)
        length, _ = _HEAD.unpack(self._file.read(_HEAD.size))
        loaded: dict[str, Any] = orjson.loads(self._file.read(length))
        return loaded


def _prompt_key(sample: Sample) -> bytes:
    tools = None if sample.tools is None else orjson.loads(sample.tools)
    return _key([_without_ids(sample.prompt), tools])


def _without_ids(messages: list[ChatMessage]) -> list[ChatMessage]:
    """Return messages with their calls numbered: each provider has ids of its own."""
    numbers: dict[str, int] = {}
    plain = []
    for message in messages:
        one = {**message, "content": message["content"].strip()}
        one.pop("reasoning_content", None)
        if calls := message.get("tool_calls"):
            one["tool_calls"] = [
                {**call, "id": numbers.setdefault(call["id"], len(numbers))} for call in calls
            ]
        if call_id := message.get("tool_call_id"):
            one["tool_call_id"] = numbers.get(call_id, call_id)
        plain.append(one)
    return plain


def _key(value: object) -> bytes:
    return blake2b(json_line(value, orjson.OPT_SORT_KEYS), digest_size=_KEY_BYTES).digest()
