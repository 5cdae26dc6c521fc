"""Content of the demo data, from JSON files: questions with good and bad answers, and what surrounds them."""

import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from string import Template
from typing import Any

TEAMS = ("support", "sales", "legal", "engineering")

# Bytes of a token, as a rule of thumb for the languages in the content.
_TOKEN_BYTES = 4
_MARKUP = re.compile(r"[*`#|>]|^[-\d.]+\s", re.MULTILINE)
_MAX_GIST_CHARS = 160


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A call of a tool with its result; `arguments` is JSON."""

    name: str
    arguments: str
    result: str


@dataclass(frozen=True, slots=True)
class Scenario:
    """A question, a good and a bad answer, and what people say about the bad one.

    Args:
        kind: `text`, `image` (the question has one), `json` (the answer is), `refusal`, `tools` or `follow_up`.
    """

    question: str
    good: str
    bad: str
    why: str
    label: str
    kind: str = "text"
    language: str = "en"
    tool: ToolUse | None = None


@dataclass(frozen=True, slots=True)
class Setting:
    """People, prompts and texts that all teams share.

    Args:
        values: what the placeholders in scenarios stand for.
        instructions: system prompts by `prompt/version`, or by team.
        reference: paragraphs of a policy or contract that system prompts quote; `conventions`: those for code.
        quibbles: what is said of good answers that are not liked.
        failures: messages of providers, by kind; `failure_comments`: what people say then.
    """

    values: Mapping[str, Sequence[str]]
    first_names: Sequence[str]
    last_names: Sequence[str]
    organisations: Sequence[str]
    instructions: Mapping[str, str]
    reference: Sequence[str]
    conventions: Sequence[str]
    follow_ups: Sequence[tuple[str, str]]
    praise: Sequence[str]
    quibbles: Sequence[str]
    failure_comments: Mapping[str, Sequence[str]]
    failures: Mapping[str, str]


@cache
def read_setting() -> Setting:
    return Setting(**_read_json("setting"))


def choose_scenarios(rng: random.Random, team: str, language: str, most: int) -> list[Scenario]:
    """Return different scenarios of a team, English ones if it has none in that language."""
    templates: Sequence[Mapping[str, Any]] = _read_json(team)
    spoken = [each for each in templates if each.get("language", "en") == language]
    known = spoken or [each for each in templates if "language" not in each]
    return [_fill_scenario(rng, each) for each in rng.sample(known, min(most, len(known)))]


def _fill_scenario(rng: random.Random, template: Mapping[str, Any]) -> Scenario:
    values = {name: rng.choice(options) for name, options in read_setting().values.items()}
    texts = {name: fill(text, values) for name, text in template.items() if name != "tool"}
    tool = template.get("tool")
    return Scenario(**texts, tool=None if tool is None else _read_tool(tool, values))


def fill(text: str, values: Mapping[str, str]) -> str:
    # Safe, since code has dollar signs of its own.
    return Template(text).safe_substitute(values)


def gist_of(answer: str) -> str:
    """Return the first line of an answer without its markup."""
    lines = (_MARKUP.sub("", line).strip() for line in answer.splitlines())
    return next((line for line in lines if len(line) > 1), answer)[:_MAX_GIST_CHARS]


def count_tokens(text: str) -> int:
    return 1 + len(text.encode()) // _TOKEN_BYTES


def _read_tool(tool: Mapping[str, object], values: Mapping[str, str]) -> ToolUse:
    arguments = json.dumps(tool["arguments"], ensure_ascii=False)
    return ToolUse(str(tool["name"]), fill(arguments, values), fill(str(tool["result"]), values))


@cache
def _read_json(name: str) -> Any:
    return json.loads(files("gateway.demo").joinpath("content", f"{name}.json").read_text("utf-8"))
