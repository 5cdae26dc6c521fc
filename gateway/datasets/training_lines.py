"""The lines of each training format: columns with their types, and what of a sample or a pair goes into them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import orjson
from pydantic import Field, model_validator

from gateway.datasets.data_splits import Shares
from gateway.datasets.export_format import ExportCounts, FormatOptions
from gateway.datasets.messages import ChatMessage, Choice, openai_messages
from gateway.datasets.overlaps import NearDuplicates, read_evaluation_prompts
from gateway.datasets.pairs import Answer, Pair
from gateway.datasets.personal_data import Redactor, read_patterns
from gateway.datasets.samples import Sample


class TrainingOptions(FormatOptions):
    """What all formats of training data have."""

    reasoning: bool = Field(False, description="Models' reasoning as `reasoning_content`.")
    refusals: bool = Field(False, description="Refusals as answers; else they are left out.")
    redact_patterns: str = Field(
        "", description="Regular expressions (RE2), one a line, replaced in all texts."
    )
    redact_personal_data: bool = Field(
        False, description="Replace e-mail addresses, phone, card and account numbers, IP addresses."
    )
    phone_region: str | None = Field(
        None, description="Country, such as `DE`, of phone numbers without a country code."
    )
    evaluation_prompts: str = Field(
        "", description="Prompts that must not be in the file: JSON Lines (such as `eval`) or lines of text."
    )
    evaluation_run_words: int = Field(
        13, ge=5, le=100, description="Words in a row that a text shares with a prompt to repeat it."
    )
    deduplicate: Literal["no", "exact", "near"] = Field(
        "no", description="Leave out lines that repeat an earlier one, exactly or nearly."
    )
    near_threshold: float = Field(
        0.85, ge=0.5, le=1, description="Share of runs of three words that near duplicates have in common."
    )
    split: str | None = Field(
        None, description="Percentages of train, validation and test, such as `90/5/5`, in a zip file."
    )
    seed: int = Field(0, ge=0, le=2**32, description="Decides who is in which split.")
    archive: bool = Field(False, description="A zip file of the data and its README.md.")

    @model_validator(mode="after")
    def check(self) -> Self:
        """Refuse before anything is read. Raises BadInput."""
        if self.split is not None:
            Shares.read(self.split, self.seed)
        if self.evaluation_prompts:
            read_evaluation_prompts(self.evaluation_prompts)
        if self.deduplicate == "near":
            NearDuplicates(self.near_threshold)
        self.redactor()
        return self

    def redactor(self) -> Redactor | None:
        """Return what replaces personal data and other texts; None where nothing is asked for."""
        if not self.redact_patterns and not self.redact_personal_data:
            return None
        patterns = read_patterns(self.redact_patterns)
        return Redactor(patterns, is_personal=self.redact_personal_data, region=self.phone_region)

    @property
    def is_archive(self) -> bool:
        return self.archive or self.split is not None


class UnjudgedOptions(TrainingOptions):
    unjudged: bool = Field(False, description="Requests without any feedback, too.")

    @property
    def takes_unjudged(self) -> bool:
        return self.unjudged


class SftOptions(UnjudgedOptions):
    shape: Literal["prompt", "messages"] = Field(
        "prompt", description="`prompt` and `completion`, or all in `messages`."
    )
    edits: bool = Field(True, description="An edited answer in the place of the model's.")


class PairOptions(TrainingOptions):
    pairs_per_prompt: int = Field(
        4, ge=1, le=100, description="Most pairs of liked and disliked answers of one prompt."
    )


@dataclass(frozen=True, slots=True)
class Line:
    """A line, and what decides whether it is kept and where it goes.

    Args:
        messages: all that is said in it.
        people: names of who and which conversations had part in it.
    """

    columns: Mapping[str, object]
    messages: list[ChatMessage]
    people: list[str]


# Types as a dataset card writes them.
JSON_LIST, TEXT, NUMBER, WHOLE, FLAG = (
    "list: json",
    "dtype: string",
    "dtype: float64",
    "dtype: int64",
    "dtype: bool",
)
TEXT_LIST = "list: string"

_ORIGIN = {
    "request_id": TEXT,
    "row": WHOLE,
    "provider": TEXT,
    "model": TEXT,
    "score": NUMBER,
    "feedback_ids": TEXT_LIST,
}
_PAIR_ORIGIN = {f"{side}_{name}": kind for side in ("chosen", "rejected") for name, kind in _ORIGIN.items()}

Columns = Mapping[str, str]

PROMPT_COLUMNS: Columns = {
    "prompt": JSON_LIST,
    "completion": JSON_LIST,
    "tools": TEXT,
    **_ORIGIN,
    "is_edited": FLAG,
}
MESSAGES_COLUMNS: Columns = {"messages": JSON_LIST, "tools": TEXT, **_ORIGIN, "is_edited": FLAG}
KTO_COLUMNS: Columns = {
    "prompt": JSON_LIST,
    "completion": JSON_LIST,
    "label": FLAG,
    "tools": TEXT,
    **_ORIGIN,
    "is_edited": FLAG,
}
EVAL_COLUMNS: Columns = {
    "input": JSON_LIST,
    "expected": TEXT,
    "answer": TEXT,
    "tags": TEXT_LIST,
    "tools": TEXT,
    **_ORIGIN,
}
CONVERSATION_COLUMNS: Columns = {"conversations": JSON_LIST, "system": TEXT, "tools": TEXT, **_ORIGIN}
PAIR_COLUMNS: Columns = {
    "prompt": JSON_LIST,
    "chosen": JSON_LIST,
    "rejected": JSON_LIST,
    "tools": TEXT,
    "pair_origin": TEXT,
    **_PAIR_ORIGIN,
}
PREFERENCE_COLUMNS: Columns = {
    "input": "dtype: json",
    "preferred_output": JSON_LIST,
    "non_preferred_output": JSON_LIST,
}

# Of a reason, which is then counted.
LeaveOut = Callable[[str], object]
LinesOf = Callable[[Sample, TrainingOptions, LeaveOut], Iterator[Line]]


def _origin(sample: Sample) -> dict[str, object]:
    record = sample.record
    return {
        "request_id": record.request_id,
        "row": record.seq,
        "provider": record.provider,
        "model": record.any_model,
        "score": sample.score,
        "feedback_ids": sample.feedback_ids,
    }


def _final(sample: Sample, choice: Choice, *, edits: bool) -> tuple[Choice, bool]:
    """Return a choice, or its latest edit, and whether it is one."""
    found = [edit.edited for edit in sample.edits if edit.choice is choice] if edits else []
    return (found[-1], True) if found else (choice, False)


def sft_lines(sample: Sample, options: TrainingOptions, leave_out: LeaveOut) -> Iterator[Line]:
    """Yield a line for each choice."""
    assert isinstance(options, SftOptions)
    for choice in sample.choices:
        final, is_edited = _final(sample, choice, edits=options.edits)
        said = [*sample.prompt, *final.messages]
        shaped: dict[str, object] = (
            {"messages": said}
            if options.shape == "messages"
            else {"prompt": sample.prompt, "completion": final.messages}
        )
        columns = {**shaped, "tools": sample.tools, **_origin(sample), "is_edited": is_edited}
        yield Line(columns, said, sample.people)


def kto_lines(sample: Sample, options: TrainingOptions, leave_out: LeaveOut) -> Iterator[Line]:
    """Yield a line for the answer where it is judged, and one for each edit of it."""
    if not sample.score and not sample.edits:
        leave_out("neither a score nor an edit" if sample.score is None else "a score of 0")
        return
    if sample.score and len(sample.choices) > 1:
        leave_out("feedback that names no choice of several")
    for choice in sample.choices:
        edited = [edit.edited for edit in sample.edits if edit.choice is choice]
        if sample.score and len(sample.choices) == 1:
            yield _kto_line(sample, choice, label=sample.score > 0, is_edited=False)
        elif edited:
            # What had to be edited was not good enough.
            yield _kto_line(sample, choice, label=False, is_edited=False)
        for edit in edited:
            yield _kto_line(sample, edit, label=True, is_edited=True)


def _kto_line(sample: Sample, choice: Choice, *, label: bool, is_edited: bool) -> Line:
    columns = {
        "prompt": sample.prompt,
        "completion": choice.messages,
        "label": label,
        "tools": sample.tools,
        **_origin(sample),
        "is_edited": is_edited,
    }
    return Line(columns, [*sample.prompt, *choice.messages], sample.people)


def eval_lines(sample: Sample, options: TrainingOptions, leave_out: LeaveOut) -> Iterator[Line]:
    """Yield a line for the first choice; expected is what people wrote or liked."""
    if not sample.choices:
        return
    choice = sample.choices[0]
    final, is_edited = _final(sample, choice, edits=True)
    is_expected = is_edited or ((sample.score or 0) > 0 and len(sample.choices) == 1)
    record = sample.record
    named = (("prompt", record.prompt), ("environment", record.environment))
    columns = {
        "input": sample.prompt,
        "expected": _plain(final) if is_expected else None,
        "answer": _plain(choice),
        "tags": [*sample.labels, *(f"{name}:{value}" for name, value in named if value)],
        "tools": sample.tools,
        **_origin(sample),
    }
    yield Line(columns, [*sample.prompt, *final.messages], sample.people)


def _plain(choice: Choice) -> str:
    """Return an answer as text, calls of tools as JSON."""
    calls = [call["function"] for call in choice.messages[-1].get("tool_calls", ())]
    return choice.text or orjson.dumps(calls).decode()


_SPEAKERS = {"user": "human", "tool": "observation", "assistant": "gpt"}
_ASKING = ("human", "observation")


def conversation_lines(sample: Sample, options: TrainingOptions, leave_out: LeaveOut) -> Iterator[Line]:
    """Yield a line for each choice in the shape that ShareGPT had, of which trainers refuse uneven turns."""
    for choice in sample.choices:
        said = [*sample.prompt, *choice.messages]
        system = said[0]["content"] if said[0]["role"] == "system" else None
        turns = [_turn(message) for message in said if message["role"] != "system"]
        is_even = all((turn["from"] in _ASKING) is (place % 2 == 0) for place, turn in enumerate(turns))
        if any(message["content"] and "tool_calls" in message for message in said):
            leave_out("a turn with both text and tool calls")
        elif not is_even:
            leave_out("turns that do not alternate")
        else:
            columns = {"conversations": turns, "system": system, "tools": sample.tools, **_origin(sample)}
            yield Line(columns, said, sample.people)


def _turn(message: ChatMessage) -> dict[str, str]:
    if calls := [call["function"] for call in message.get("tool_calls", ())]:
        return {
            "from": "function_call",
            "value": orjson.dumps(calls if len(calls) > 1 else calls[0]).decode(),
        }
    return {"from": _SPEAKERS[message["role"]], "value": message["content"]}


def pair_line(pair: Pair, counts: ExportCounts) -> Line | None:
    """Return a pair as a line with where both sides are from."""
    columns = {
        "prompt": pair.prompt,
        "chosen": pair.chosen.messages,
        "rejected": pair.rejected.messages,
        "tools": pair.tools,
        "pair_origin": pair.origin,
        **_side("chosen", pair.chosen),
        **_side("rejected", pair.rejected),
    }
    return _line_of_pair(pair, columns)


def preference_line(pair: Pair, counts: ExportCounts) -> Line | None:
    """Return a pair in the form of OpenAI's API, which takes one message a side and no other fields."""
    if len(pair.chosen.messages) != 1 or len(pair.rejected.messages) != 1:
        counts.leave_out("an answer of several messages")
        return None
    tools = [] if pair.tools is None else orjson.loads(pair.tools)
    columns = {
        "input": {"messages": openai_messages(pair.prompt), "tools": tools, "parallel_tool_calls": True},
        "preferred_output": openai_messages(pair.chosen.messages),
        "non_preferred_output": openai_messages(pair.rejected.messages),
    }
    return _line_of_pair(pair, columns)


def _line_of_pair(pair: Pair, columns: Mapping[str, Any]) -> Line:
    people = [*pair.chosen.people, *pair.rejected.people]
    return Line(columns, [*pair.prompt, *pair.chosen.messages, *pair.rejected.messages], people)


def _side(name: str, answer: Answer) -> dict[str, object]:
    return {f"{name}_{field}": getattr(answer, field) for field in _ORIGIN}
