"""What each check says of texts, by cases, and which configs of checks are refused."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import BadInput
from gateway.models.guardrails import CheckedMessage, CheckResult, GuardrailStage
from gateway.routing.guardrail_checks import build_check

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "cases/guardrails.json").read_text())


def run(case: dict[str, Any], *texts: str) -> CheckResult:
    check = build_check(case["check"], case["parameters"], "check", "check")
    told = {"model": "m", "request_type": "chatComplete", **case.get("with", {})}
    return check.run(CheckedMessage(GuardrailStage.OUTPUT, "chat.completions", texts, b"{}", **told))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['check']} {json.dumps(case['parameters'])}")
def test_a_check_holds_for_some_texts_and_fails_for_others(case: dict[str, Any]) -> None:
    assert "holds" in case or "fails" in case
    assert [text for text in case.get("holds", ()) if not run(case, text).holds] == []
    assert [text for text in case.get("fails", ()) if run(case, text).holds] == []
    assert [run(case, text).error for text in case.get("fails", ())] == [None] * len(case.get("fails", ()))
    # What takes too long has failed: whoever writes the text must not get around the check.
    for text in case.get("errs", ()):
        told = run(case, text)
        assert (told.holds, told.error) == (False, "the check took longer than 0.1 s")


def test_every_choice_of_an_answer_must_hold() -> None:
    case = {"check": "contains", "parameters": {"operator": "none", "words": ["bad"]}}
    assert run(case, "good", "fine").holds
    assert not run(case, "good", "bad").holds
    assert run(case).holds


def test_a_schema_that_asks_for_the_same_again_and_again_runs_out_of_time() -> None:
    names = [f"d{depth}" for depth in range(40)]
    below = {name: {"allOf": [{"$ref": f"#/$defs/{after}"}] * 2} for name, after in pairwise(names)}
    schema = {"$defs": {**below, names[-1]: {"type": "object"}}, "$ref": "#/$defs/d0"}
    found = run({"check": "jsonSchema", "parameters": {"schema": schema}}, "{}")
    assert (found.holds, found.error) == (False, "the check took longer than 0.1 s")


@pytest.mark.parametrize(
    ("check", "parameters", "fault"),
    [
        ("jwt", {}, "at: the check 'jwt' is not available, as it calls another server."),
        ("default.webhook", {}, "at: the check 'webhook' is not available"),
        ("pangea.pii", {}, "at: there is no check 'pangea.pii'. There are regexMatch, regexReplace,"),
        ("contains", {"words": ["a"]}, "at.parameters.operator: is missing."),
        ("contains", {"words": ["a"], "operator": "some"}, "at.parameters.operator: must be any, all or none."),
        ("contains", {"words": [], "operator": "any"}, "at.parameters.words: is empty."),
        ("contains", {"words": [1], "operator": "any"}, "at.parameters.words: must be a list of texts."),
        ("wordCount", {"minWords": 3, "maxWords": 2}, "at.parameters.maxWords: must be 3 or more."),
        ("wordCount", {"minWords": -1}, "at.parameters.minWords: must be a whole number, 0 or more."),
        ("regexMatch", {"rule": "("}, "at.parameters.rule: is no pattern"),
        ("regexMatch", {"rule": "a", "not": "yes"}, "at.parameters.not: must be true or false."),
        ("jsonSchema", {"schema": {"type": "thing"}}, "at.parameters.schema: is no JSON schema"),
        ("allowedRequestTypes", {"allowedTypes": ["a"], "blockedTypes": ["a"]}, "'a' is allowed too."),
    ],
)  # fmt: skip
def test_what_is_no_check_is_refused_by_name(check: str, parameters: Any, fault: str) -> None:
    with pytest.raises(BadInput) as refused:
        build_check(check, parameters, "at", "at.parameters")
    assert fault in str(refused.value)
