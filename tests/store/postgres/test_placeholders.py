"""From SQLite's marks to the driver's: what is in quotes is none."""

from __future__ import annotations

import pytest

from gateway.store.postgres.connection import to_driver_placeholders


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("a = ? AND b = :name", "a = %s AND b = %(name)s"),
        ("a::json ->> ?", "a::json ->> %s"),
        (":ids::json", "%(ids)s::json"),
        ("a = '?' AND \"b?\" = ':name'", "a = '?' AND \"b?\" = ':name'"),
        ("a LIKE '50%' AND 5 % 2 = ?", "a LIKE '50%%' AND 5 %% 2 = %s"),
        ("'it''s :name?' || ?", "'it''s :name?' || %s"),
    ],
)
def test_marks_are_those_of_the_driver(sql: str, expected: str) -> None:
    assert to_driver_placeholders(sql).decode() == expected
