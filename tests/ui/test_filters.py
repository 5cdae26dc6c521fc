"""The filter of a page: its URL is all there is to it, and it reads as a sentence."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest
from aiohttp.test_utils import make_mocked_request

from gateway.errors import BadInput
from gateway.query.filters import FEEDBACK_FILTERS, REQUEST_FILTERS
from gateway.ui.filters import PageQuery, describe_condition


def read(url: str, own: tuple[str, ...] = ()) -> PageQuery:
    return PageQuery.read(make_mocked_request("GET", url), FEEDBACK_FILTERS, own)


def params(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


def test_the_sentence_says_what_is_shown() -> None:
    query = read("/ui/feedback?rating=bad&metadata.team=support&min_score=-0.5&model=gpt&from=24h")
    assert [condition.phrase for condition in query.conditions()] == [
        "score is below 0",
        "team is support",
        "score is at least -0.5",
        "model is gpt",
    ]
    assert query.time_phrase == "last 24 hours"


def test_without_a_time_the_last_week_is_shown() -> None:
    query = read("/ui/feedback?rating=bad")
    assert query.time_phrase == "last 7 days"
    assert [each.text for each in query.ranges() if each.is_current] == ["last 7 days"]
    assert params(query.url()) == {"rating": "bad", "from": "7d"}


def test_all_time_ends_now() -> None:
    query = read("/ui/feedback?from=all&to=all")
    assert (query.time_phrase, query.api_query) == ("all time", "")
    assert query.times_us()[0] == 0


def test_each_word_can_be_taken_out_and_changed() -> None:
    [rating, team] = read("/ui/feedback?rating=bad&metadata.team=a%26b&from=all&cursor=5.x").conditions()
    assert params(rating.url_without) == {"metadata.team": "a&b", "from": "all"}
    assert rating.choices == ("good", "bad", "neutral")
    assert dict(team.kept) == {"rating": "bad", "from": "all"}


def test_a_form_adds_a_filter() -> None:
    query = read("/ui/feedback?rating=bad&add=metadata.team&value=support")
    assert dict(query.filters) == {"rating": "bad", "metadata.team": "support"}
    with pytest.raises(BadInput, match=r"metadata\.team"):
        read("/ui/feedback?add=metadata.team&value=")


def test_another_filter_begins_the_list_anew_and_another_item_does_not() -> None:
    query = read("/ui/feedback?rating=bad&from=7d&cursor=12.id&item=one")
    assert params(query.url({"rating": "good"})) == {"rating": "good", "from": "7d"}
    assert params(query.url({"item": "two", "cursor": "12.id"})) == {
        "rating": "bad",
        "from": "7d",
        "cursor": "12.id",
        "item": "two",
    }


def test_all_time_is_no_condition() -> None:
    assert read("/ui/feedback?from=all").where() == FEEDBACK_FILTERS.to_filter([])
    assert read("/ui/feedback?from=all").times_us()[0] == 0
    assert read("/ui/feedback?from=all").api_query == ""


@pytest.mark.parametrize(
    ("url", "field"),
    [
        ("/ui/feedback?model=a&model=b", "model"),
        ("/ui/feedback?colour=red", "colour"),
        ("/ui/feedback?rating=awful", "rating"),
        ("/ui/feedback?from=whenever", "from"),
    ],
)
def test_a_filter_that_cannot_be_applied_is_named(url: str, field: str) -> None:
    with pytest.raises(BadInput) as refused:
        read(url).where()
    assert refused.value.field == field


def test_every_filter_reads_as_words() -> None:
    for schema in (REQUEST_FILTERS, FEEDBACK_FILTERS):
        for name in schema.criteria:
            assert "_" not in describe_condition(name, "x")
