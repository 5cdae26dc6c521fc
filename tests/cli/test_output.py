from __future__ import annotations

import pytest

from gateway.cli.output import Column, Table, escape_unprintable, format_time

COLUMNS = (Column("A", 3), Column("WORDS", 5, min_width=10), Column("ID", 4))


def test_columns_are_aligned_under_their_titles() -> None:
    assert list(Table(COLUMNS).lines([("1", "some", "x"), ("22", "more words", "y")])) == [
        "A    WORDS       ID",
        "1    some        x",
        "22   more words  y",
    ]


def test_titles_come_once_and_later_rows_keep_the_widths() -> None:
    table = Table(COLUMNS)
    assert len(list(table.lines([]))) == 1
    assert list(table.lines([("1", "some", "x")])) == ["1    some   x"]
    assert list(table.lines([("1", "too long", "x")])) == ["1    too …  x"]


def test_a_table_that_is_too_wide_is_cut_where_it_may_be() -> None:
    lines = list(Table(COLUMNS).lines([("1", "w" * 500, "i" * 40), ("2", "short", "x")]))
    assert max(map(len, lines)) == 100
    assert lines[1].endswith("…  " + "i" * 40)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ü ✓", "plain ü ✓"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\u202eevil", "\\u202eevil"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_could_steer_a_terminal_is_spelled_out(text: str, shown: str) -> None:
    assert escape_unprintable(text) == shown


def test_a_row_stays_on_its_line() -> None:
    assert list(Table(COLUMNS).lines([("1", "a\nb", "x")]))[1] == "1    a b    x"


def test_times_are_utc_to_the_second() -> None:
    assert format_time(1_709_213_400_999_999) == "2024-02-29 13:30:00"
