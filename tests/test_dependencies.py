"""Each package that is asked for is explained, and each that is explained is asked for."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/dependencies.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

NAME = re.compile(r"[A-Za-z0-9._-]+")


def names(requirements: list[str]) -> set[str]:
    """Return the packages that requirements name, this one left out."""
    found = {match[0].lower() for text in requirements if (match := NAME.match(text))}
    return found - {PROJECT["name"]}


def explained(heading: str) -> set[str]:
    """Return the packages in the first column of the table under a heading."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| ([^|]+) \|", section, re.MULTILINE)
    return {name.strip().lower() for cell in cells[1:] for name in cell.split(",")}


def test_every_package_needed_at_run_time_is_explained_and_no_other() -> None:
    assert explained("At run time") == names(PROJECT["dependencies"])


def test_every_package_for_development_is_explained_and_no_other() -> None:
    assert explained("For tests and development") == names(PROJECT["optional-dependencies"]["dev"])


def test_every_package_of_the_other_extras_is_named() -> None:
    extras = PROJECT["optional-dependencies"]
    wanted = (
        names(extras["sdk"])
        | names(extras["real-llm"])
        | names(extras["clients"])
        | names(extras["bench"])
        | names(extras["postgres"])
        | names(extras["otel"])
        | names(extras["training"])
        | names(extras["trainers"])
    )
    assert {name for name in wanted if f"`{name}`" not in PAGE} == set()
