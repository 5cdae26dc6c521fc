"""Training exports: what lines hold, what is left out, and promises that hold for any rows."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.datasets.export_format import ExportRow
from gateway.datasets.export_query import ExportQuery
from gateway.datasets.registry import FORMATS
from gateway.errors import BadInput
from gateway.models.exchange import Outcome
from tests.datasets.training_rows import chat, edit, entry, export, files, lines, row, score, texts

TRAINING = [name for name, each in FORMATS.items() if each.is_training]
# What trainers take for tokens, pictures or arguments of templates.
RESERVED = {
    "images", "image", "chat_template_kwargs", "labels", "input_ids", "prompt_ids", "chosen_ids",
    "completion_mask", "margin",
}  # fmt: skip

CALL = {"id": "call_a", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Ulm"}'}}
ASKED_AGAIN: list[dict[str, Any]] = [
    {"role": "developer", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "Where"}, {"type": "text", "text": "is it dry?"}]},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "call_a", "content": "rain"},
]


def test_openai_and_anthropic_turns_become_the_same_messages(tmp_path: Path) -> None:
    anthropic = {
        "system": "Be brief.",
        "messages": [
            {"role": "user", "content": "Where\nis it dry?"},
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "x", "name": "weather", "input": {"city": "Ulm"}}],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "x", "content": "rain"}]},
        ],
    }
    answered = {
        "role": "assistant",
        "type": "message",
        "content": [{"type": "text", "text": "Not "}, {"type": "text", "text": "here."}],
    }
    rows = [
        row(*chat(ASKED_AGAIN, "Nowhere."), score(1)),
        row(anthropic, answered, score(-1), provider="anthropic", endpoint="messages", path="/v1/messages"),
    ]
    first, second = lines(export("sft", rows, tmp_path)[0])
    called = {
        "id": "call_a",
        "type": "function",
        "function": {"name": "weather", "arguments": {"city": "Ulm"}},
    }
    assert first["prompt"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Where\nis it dry?"},
        {"role": "assistant", "content": "", "tool_calls": [called]},
        {"role": "tool", "tool_call_id": "call_a", "name": "weather", "content": "rain"},
    ]
    assert second["prompt"][3]["tool_call_id"] == "x"
    assert second["completion"] == [{"role": "assistant", "content": "Not here."}]
    # One prompt, whatever ids the providers gave its calls.
    [pair] = lines(export("dpo", rows, tmp_path)[0])
    assert texts(pair["chosen"]) == ["Nowhere."]
    assert (pair["chosen_provider"], pair["rejected_provider"]) == ("openai", "anthropic")


PICTURE = {"type": "image_url", "image_url": {"url": "http://x"}}
LONG = '{"n":9007199254740993}'
SYSTEM = {"role": "system", "content": "s"}
USER = {"role": "user", "content": "q"}


@pytest.mark.parametrize(
    ("asked", "answer", "why"),
    [
        ([{"role": "user", "content": [PICTURE]}], "a", "image content"),
        ([USER, SYSTEM], "a", "a system message after the first turn"),
        ([SYSTEM], "a", "no question"),
        ([USER, {"role": "assistant", "content": "a"}], "b", "the prompt ends with a turn of the assistant"),
        ([{"role": "tool", "tool_call_id": "z", "content": "r"}], "a", "a tool's result without its call"),
        ([USER], {"content": None, "refusal": "No."}, "the answer is a refusal"),
        ([USER], {"content": ""}, "the answer is empty"),
        (
            [USER],
            {"content": None, "tool_calls": [{**CALL, "function": {"name": "f", "arguments": "{"}}]},
            "a tool's arguments that are no JSON object",
        ),
        (
            [USER],
            {"content": None, "tool_calls": [{**CALL, "function": {"name": "f", "arguments": LONG}}]},
            "a number beyond 53 bits in a tool's arguments",
        ),
    ],
)  # fmt: skip
def test_what_trainers_would_spoil_is_left_out_and_counted(
    tmp_path: Path, asked: list[dict[str, object]], answer: dict[str, object] | str, why: str
) -> None:
    data, counts = export("sft", [row(*chat(asked, answer), score(1))], tmp_path)
    assert (data, counts.written, counts.left_out) == (b"", 0, {why: 1})


def test_failed_and_unkept_requests_are_left_out(tmp_path: Path) -> None:
    asked, answered = chat("q", "a")
    rows = [
        row(asked, answered, score(1), outcome=Outcome.CLIENT_CLOSED),
        row({"input": "q", "previous_response_id": "r"}, {"output": []}, score(1), endpoint="responses"),
    ]
    _, counts = export("sft", rows, tmp_path)
    assert counts.left_out == {
        "the request failed or broke off": 1,
        "earlier turns are with the provider alone": 1,
    }


def test_refusals_and_reasoning_are_there_on_request_only(tmp_path: Path) -> None:
    rows = [
        row(*chat("q", {"content": "a", "reasoning_content": "hm"}), score(1)),
        row(*chat("q", {"content": None, "refusal": "No."}), score(1)),
    ]
    [plain] = lines(export("sft", rows, tmp_path)[0])
    assert plain["completion"] == [{"role": "assistant", "content": "a"}]
    both = lines(export("sft", rows, tmp_path, reasoning="true", refusals="true")[0])
    assert both[0]["completion"][0]["reasoning_content"] == "hm"
    assert texts(both[1]["completion"]) == ["No."]


def test_each_choice_is_a_row_and_feedback_on_several_makes_no_pair(tmp_path: Path) -> None:
    rows = [
        row(*chat("q", "a", "b"), score(1), edit("c", original_text="b")),
        row(*chat("q", "d"), score(-1)),
    ]
    assert [texts(line["completion"]) for line in lines(export("sft", rows, tmp_path)[0])] == [
        ["a"],
        ["c"],
        ["d"],
    ]
    data, counts = export("dpo", rows, tmp_path)
    [pair] = lines(data)
    # The edit names its choice by the text that was edited.
    assert (texts(pair["chosen"]), texts(pair["rejected"]), pair["pair_origin"]) == (["c"], ["b"], "edit")
    assert counts.left_out["feedback that names no choice of several"] == 1


def test_pairs_come_of_edits_and_of_feedback_that_differs(tmp_path: Path) -> None:
    liked, disliked, edited = score(1), score(-1), edit("better")
    rows = [
        row(*chat("q", "good"), liked, seq=101),
        row(*chat("q", "bad"), disliked, seq=102),
        row(*chat("other", "meh"), edited, seq=103),
        row(*chat("alone", "fine"), score(1)),
        row(*chat("zero", "fine"), score(0)),
    ]
    data, counts = export("dpo", rows, tmp_path)
    first, second = lines(data)
    assert (texts(first["chosen"]), texts(first["rejected"])) == (["good"], ["bad"])
    assert (first["chosen_row"], first["rejected_row"]) == (101, 102)
    assert (first["chosen_feedback_ids"], first["rejected_feedback_ids"]) == (
        [liked.feedback_id],
        [disliked.feedback_id],
    )
    assert (texts(second["chosen"]), texts(second["rejected"])) == (["better"], ["meh"])
    assert second["chosen_feedback_ids"] == [edited.feedback_id]
    assert counts.left_out == {"a score of 0": 1, "no answer to the same prompt was judged otherwise": 1}


def test_contradictory_and_equal_pairs_are_counted_out(tmp_path: Path) -> None:
    rows = [
        row(*chat("q", "a"), score(1)),
        row(*chat("q", "a"), score(-1)),
        row(*chat("p", "x"), edit("y", author="ann")),
        row(*chat("p", "y"), edit("x", author="bob")),
        row(*chat("o", "same"), edit(" same ")),
    ]
    data, counts = export("dpo", rows, tmp_path)
    assert data == b""
    assert counts.left_out == {
        "an edit that changes nothing": 1,
        "neither a score nor an edit": 1,
        "an answer that is liked and disliked": 1,
        "a pair that other feedback contradicts": 2,
    }


def test_pairs_of_one_prompt_are_bounded_and_use_many_answers(tmp_path: Path) -> None:
    rows = [row(*chat("q", f"answer {place}"), score(1 if place < 3 else -1)) for place in range(6)]
    data, counts = export("reward", rows, tmp_path, pairs_per_prompt="3")
    assert {texts(line["chosen"])[0] for line in lines(data)} == {"answer 0", "answer 1", "answer 2"}
    assert counts.left_out == {"a pair of a prompt that has enough": 6}


def test_kto_labels_are_true_above_0_and_false_below(tmp_path: Path) -> None:
    rows = [
        row(*chat("q", "a"), score(0.2)),
        row(*chat("q", "b"), score(-0.2)),
        row(*chat("q", "c"), score(0)),
        row(*chat("q", "d"), edit("e")),
    ]
    found = [
        (texts(line["completion"])[0], line["label"]) for line in lines(export("kto", rows, tmp_path)[0])
    ]
    assert found == [("a", True), ("b", False), ("d", False), ("e", True)]


def test_openai_preferences_hold_one_message_a_side_and_arguments_as_text(tmp_path: Path) -> None:
    rows = [row(*chat(ASKED_AGAIN, answer), score(value)) for answer, value in (("yes", 1), ("no", -1))]
    [line] = lines(export("openai-preference", rows, tmp_path)[0])
    assert set(line) == {"input", "preferred_output", "non_preferred_output"}
    assert line["input"]["messages"][2]["tool_calls"][0]["function"]["arguments"] == '{"city":"Ulm"}'
    assert line["preferred_output"] == [{"role": "assistant", "content": "yes"}]


def test_evaluations_expect_what_people_wrote_or_liked(tmp_path: Path) -> None:
    rows = [
        row(*chat("q", "liked"), score(1), entry(label="tone"), prompt="greeting"),
        row(*chat("q", "disliked"), score(-1)),
        row(*chat("q", "edited"), score(-1), edit("right")),
    ]
    found = lines(export("eval", rows, tmp_path)[0])
    assert [line["expected"] for line in found] == ["liked", None, "right"]
    assert found[0]["tags"] == ["tone", "prompt:greeting"]


def test_conversations_alternate_as_llama_factory_asks(tmp_path: Path) -> None:
    [line] = lines(export("conversations", [row(*chat(ASKED_AGAIN, "No."), score(1))], tmp_path)[0])
    assert [turn["from"] for turn in line["conversations"]] == [
        "human",
        "function_call",
        "observation",
        "gpt",
    ]
    assert line["system"] == "Be brief."


def test_withdrawn_feedback_is_in_no_file(tmp_path: Path) -> None:
    withdrawn = edit("secret", deleted_at_us=5)
    rows = [row(*chat("q", "a"), withdrawn, score(1, deleted_at_us=5)), row(*chat("q", "b"), score(-1))]
    for name in TRAINING:
        data, _ = export(name, rows, tmp_path)
        assert b"secret" not in data
        assert withdrawn.feedback_id.encode() not in data
    assert export("dpo", rows, tmp_path)[0] == b""


def test_patterns_and_personal_data_are_replaced_everywhere(tmp_path: Path) -> None:
    said = (
        "Mail ann@example.com, call +49 30 901820, pay DE89 3704 0044 0532 0130 00 or 4111 1111 1111 1111, "
        "see K-77"
    )
    called = {**CALL, "function": {"name": "f", "arguments": '{"to":{"mail":"ann@example.com"}}'}}
    rows = [
        row(*chat(said, {"content": said, "tool_calls": [called]}), score(1)),
        row(*chat("q", "a"), edit(said)),
    ]
    data, _ = export("sft", rows, tmp_path, redact_personal_data="true", redact_patterns="K-[0-9]+")
    for secret in (b"ann@", b"901820", b"DE89", b"4111", b"K-77"):
        assert secret not in data
    assert lines(data)[0]["prompt"][0]["content"] == (
        "Mail [EMAIL], call [PHONE], pay [IBAN] or [CARD], see [REDACTED]"
    )


def test_duplicates_are_left_out_exactly_or_nearly(tmp_path: Path) -> None:
    long = " ".join(f"word{place}" for place in range(60))
    rows = [
        row(*chat("q", text), score(1)) for text in (long, f" {long}\n", f"{long} more", "another answer")
    ]
    _, exact = export("sft", rows, tmp_path, deduplicate="exact")
    assert exact.left_out == {"it repeats an earlier line": 1}
    _, near = export("sft", rows, tmp_path, deduplicate="near")
    assert (near.written, near.left_out["it nearly repeats an earlier line"]) == (2, 1)


@pytest.mark.parametrize("name", TRAINING)
def test_the_card_names_exactly_the_columns_of_the_file(tmp_path: Path, name: str) -> None:
    rows = [
        row(*chat("q", "a"), score(1), user="u"),
        row(*chat("q", "b"), score(-1), user="v"),
        row(*chat("p", "c"), edit("d"), user="w"),
    ]
    shapes = ({}, {"shape": "messages"}) if name == "sft" else ({},)
    for options in shapes:
        found = files(export(name, rows, tmp_path, archive="true", **options)[0])
        card = yaml.safe_load(found["README.md"].split(b"---\n")[1])
        columns = [feature["name"] for feature in card["dataset_info"]["features"]]
        assert all(list(line) == columns for line in lines(found["train.jsonl"]))
        assert not RESERVED & set(columns)
        assert [split["path"] for split in card["configs"][0]["data_files"]] == ["train.jsonl"]


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"split": "90/20"}, "split"),
        ({"split": "nan/10"}, "split"),
        ({"redact_patterns": "(?=a)"}, "redact_patterns"),
        ({"redact_personal_data": "true", "phone_region": "XX"}, "phone_region"),
        ({"evaluation_prompts": '{"a": 1}'}, "evaluation_prompts"),
        ({"deduplicate": "some"}, "deduplicate"),
    ],
)
def test_an_option_that_cannot_be_followed_is_refused_by_name(options: dict[str, str], field: str) -> None:
    with pytest.raises(BadInput) as refused:
        ExportQuery.read({"format": "sft", **options})
    assert refused.value.field == field


WORDS = st.sampled_from(["what", "is", "the", "capital", "of", "peru", "and", "how", "far", "away"])
TEXTS = st.lists(WORDS, min_size=1, max_size=9).map(" ".join)
NAMES = st.sampled_from([None, "a", "b", "c", "d"])
ROWS = st.lists(
    st.builds(
        lambda question, answer, value, user, session: row(
            *chat(question, answer), score(value), user=user, session=session
        ),
        TEXTS,
        TEXTS,
        st.sampled_from([-1, 0.5, 1]),
        NAMES,
        NAMES,
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=30, deadline=None)
@given(rows=ROWS, name=st.sampled_from(["sft", "kto", "dpo"]), seed=st.integers(0, 50))
def test_nobody_is_in_two_splits_and_files_repeat_byte_for_byte(
    rows: list[ExportRow], name: str, seed: int
) -> None:
    options = {"split": "40/30/30", "seed": str(seed)}
    with TemporaryDirectory() as folder:
        first, counts = export(name, rows, Path(folder), **options)
        assert export(name, rows, Path(folder), **options)[0] == first
    if not counts.written:
        assert first == b""
        return
    records = {each.record.seq: each.record for each in rows}
    places: dict[tuple[str, str], set[str]] = {}
    found = {file: data for file, data in files(first).items() if file != "README.md"}
    assert sum(len(lines(data)) for data in found.values()) == counts.written
    for file, data in found.items():
        for line in lines(data):
            seqs = [line["row"]] if "row" in line else [line["chosen_row"], line["rejected_row"]]
            for record in map(records.__getitem__, seqs):
                for kind, value in (("user", record.user), ("session", record.session)):
                    if value is not None:
                        places.setdefault((kind, value), set()).add(file)
    assert all(len(files_of) == 1 for files_of in places.values())


@settings(max_examples=30, deadline=None)
@given(rows=ROWS, prompts=st.lists(TEXTS, min_size=1, max_size=4))
def test_no_evaluation_prompt_is_in_training_data(rows: list[ExportRow], prompts: list[str]) -> None:
    with TemporaryDirectory() as folder:
        data, _ = export(
            "sft", rows, Path(folder), evaluation_prompts="\n".join(prompts), evaluation_run_words="5"
        )
    for line in lines(data):
        for text in texts([*line["prompt"], *line["completion"]]):
            assert text not in prompts
            assert not any(prompt in text for prompt in prompts if len(prompt.split()) >= 5)


def test_new_sessions_do_not_move_a_user_to_another_split(tmp_path: Path) -> None:
    users = [f"user-{number}" for number in range(30)]
    old = [row(*chat("q", f"a {user}"), score(1), user=user, session=f"s-{user}") for user in users]
    new = [row(*chat("q", f"b {user}"), score(1), user=user, session=f"t-{user}") for user in users]

    def places(rows: list[ExportRow]) -> dict[str, str]:
        by_seq = {each.record.seq: str(each.record.user) for each in rows}
        found = files(export("sft", rows, tmp_path, split="60/20/20")[0])
        return {
            by_seq[line["row"]]: name
            for name, data in found.items()
            if name != "README.md"
            for line in lines(data)
        }

    before = places(old)
    assert len(set(before.values())) == 3
    assert places([*old, *new]) == before
