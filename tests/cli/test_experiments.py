"""`gateway experiments plan`: how many people show a difference, before anybody is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.experiments.confidence import people_needed, people_needed_at_fixed_end
from tests.cli.command import run_gateway


def test_a_plan_says_how_many_people_and_days_a_difference_takes(tmp_path: Path) -> None:
    asked = ("--now", "0.2", "--difference", "0.2", "--people-a-day", "50")
    done = run_gateway("experiments", "plan", *asked, cwd=tmp_path)
    needed, fixed = people_needed(0.7, 0.6, 0.05), people_needed_at_fixed_end(0.7, 0.6, 0.05)
    assert needed is not None
    first, second, third = done.stdout.splitlines()
    assert first.startswith(f"{needed:,} people a variant show a difference of 0.2 with a power of 80%")
    assert f"would need {fixed:,}." in second
    assert third == f"At 50 people a day that takes {-(-2 * needed // 50):,} days."
    several = run_gateway("experiments", "plan", *asked, "--variants", "4", cwd=tmp_path).stdout
    assert f"{people_needed(0.7, 0.6, 0.05 / 3):,} people a variant" in several


@pytest.mark.parametrize(
    ("now", "difference", "message"),
    [("0.9", "0.2", "between -1 and 1"), ("0.1", "0", "is not 0"), ("0.1", "0.0001", "too small")],
)
def test_a_plan_that_cannot_be_is_refused(tmp_path: Path, now: str, difference: str, message: str) -> None:
    done = run_gateway("experiments", "plan", "--now", now, "--difference", difference, cwd=tmp_path)
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr
