"""Filters of commands."""

from __future__ import annotations

import click
import pytest

from gateway.cli.filters import pairs_by_name


def test_a_filter_that_is_stored_is_given_once() -> None:
    assert pairs_by_name(["rating=bad", "metadata.x=a=b"]) == {"rating": "bad", "metadata.x": "a=b"}
    with pytest.raises(click.BadParameter, match="rating is given twice"):
        pairs_by_name(["rating=bad", "model=m", "rating=good"])
