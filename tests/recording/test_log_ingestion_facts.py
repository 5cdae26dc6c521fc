"""What is stated of a request wins over what is read from its bytes, which fills the gaps."""

from __future__ import annotations

import pytest

from gateway.models.request import Cost, Facts, Usage
from gateway.recording.log_ingestion import merge_facts

READ = Facts(
    requested_model="asked",
    model="answered",
    usage=Usage(
        prompt_tokens=100, completion_tokens=50, cached_tokens=30, cache_write_tokens=10, reasoning_tokens=20
    ),
    response_id="chatcmpl-1",
    finish_reason="stop",
    user="ann",
    note="read",
)


def test_what_nothing_is_stated_of_is_read() -> None:
    assert merge_facts(Facts(), READ) == READ
    assert merge_facts(READ, Facts()) == READ


def test_what_is_stated_wins_field_by_field() -> None:
    stated = Facts(model="other", cost=Cost(5, "theirs"), usage=Usage(prompt_tokens=200), user="bob")

    found = merge_facts(stated, READ)

    assert (found.model, found.requested_model, found.cost) == ("other", "asked", Cost(5, "theirs"))
    assert (found.usage.prompt_tokens, found.usage.completion_tokens, found.usage.cached_tokens) == (
        200,
        50,
        30,
    )
    assert (found.user, found.finish_reason) == ("bob", "stop")


def test_a_count_of_nought_is_a_count() -> None:
    assert merge_facts(Facts(usage=Usage(completion_tokens=0)), READ).usage.completion_tokens == 0


@pytest.mark.parametrize(
    ("stated", "counts"),
    [
        (Usage(prompt_tokens=60, completion_tokens=30), (100, 50)),
        (Usage(prompt_tokens=60), (100, 50)),
        (Usage(prompt_tokens=100, completion_tokens=50), (100, 50)),
        (Usage(prompt_tokens=70, completion_tokens=31), (70, 31)),
    ],
)
def test_counts_that_leave_out_a_part_are_recognised_by_what_the_bytes_say(
    stated: Usage, counts: tuple[int, int]
) -> None:
    usage = merge_facts(Facts(usage=stated), READ).usage
    assert (usage.prompt_tokens, usage.completion_tokens) == counts


def test_a_prompt_is_never_smaller_than_what_came_from_the_cache() -> None:
    stated = Facts(usage=Usage(prompt_tokens=3, cached_tokens=100, cache_write_tokens=7))

    assert merge_facts(stated, Facts()).usage.prompt_tokens == 110
