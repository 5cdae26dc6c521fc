"""Guardrails of a config: hooks and the short form, what inherits, what they make of messages, what they report."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from gateway.errors import BadInput
from gateway.models.guardrails import GuardrailResult, GuardrailStage
from gateway.routing.guardrails import GuardedRequest, render_results, run_guardrails
from gateway.routing.portkey_config import parse_config

NO_APPLES = {"default.contains": {"operator": "none", "words": ["apple"]}}
JSON = ((b"content-type", b"application/json"),)


def guardrails(*given: Any) -> Any:
    return parse_config({"provider": "a", "input_guardrails": list(given)}).leaves[0].settings.input_checks


def check(endpoint: str, body: Any, *given: Any, answer: Any = None) -> tuple[list[GuardrailResult], Any]:
    """What guardrails say of a request, or of its answer, and its body as they leave it."""
    request = GuardedRequest(endpoint, "/v1/x", JSON, orjson.dumps(body), {"team": "a"})
    message = request.input() if answer is None else request.output(JSON, orjson.dumps(answer))
    results, message = run_guardrails(guardrails(*given), message, lambda each: request.reread(each, JSON))
    return results, orjson.loads(message.body)


def chat(*contents: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": content} for content in contents]}


def replace(rule: str, text: str) -> dict[str, Any]:
    return {"default.regexReplace": {"rule": rule, "redactText": text}, "async": False}


def test_the_short_form_is_that_of_a_hook() -> None:
    checks = [{"id": "default.contains", "parameters": NO_APPLES["default.contains"]}]
    [hook] = guardrails({"type": "guardrail", "id": "fruit", "checks": checks, "deny": True})
    [short] = guardrails({**NO_APPLES, "id": "fruit", "deny": True})
    assert short == hook
    assert (hook.id, hook.denies, hook.is_async) == ("fruit", True, False)
    [plain] = guardrails(NO_APPLES)
    assert (plain.id, plain.denies, plain.is_async) == ("input_guardrails[0]", False, True)


def test_guardrails_add_up_and_hooks_are_replaced() -> None:
    def named(name: str) -> list[Any]:
        return [{**NO_APPLES, "id": name}]

    config = {
        "strategy": {"mode": "fallback"},
        "default_input_guardrails": named("default"),
        "input_guardrails": named("root"),
        "before_request_hooks": named("root hook"),
        "output_guardrails": named("out"),
        "targets": [
            {"provider": "a", "inputGuardrails": named("own"), "beforeRequestHooks": named("own hook")},
            {"provider": "b"},
        ],
    }
    first, second = (target.settings for target in parse_config(config).leaves)
    assert [each.id for each in first.input_checks] == ["own hook", "default", "root", "own"]
    assert [each.id for each in second.input_checks] == ["root hook", "default", "root"]
    assert [each.id for each in first.output_checks] == ["out"]
    assert not parse_config({"provider": "a"}).has_guardrails


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ("pg-1", "no guardrail is saved as 'pg-1'. Write its checks here"),
        ({"default.nothing": {}}, "input_guardrails[0].default.nothing: there is no check"),
        ({"checks": [{"id": "jwt"}]}, "input_guardrails[0].checks[0].id: the check 'jwt' is not available"),
        ({"checks": [{}]}, "input_guardrails[0].checks[0]: must be an object with an id."),
        ({"type": "webhook"}, "input_guardrails[0].type: must be guardrail or mutator."),
        ({**NO_APPLES, "deny": "yes"}, "input_guardrails[0].deny: must be true or false."),
        (
            {**NO_APPLES, "on_fail": {"feedback": {"value": 11}}},
            "input_guardrails[0].on_fail.feedback.value: must be a number from -10 to 10.",
        ),
        (
            {**NO_APPLES, "onSuccess": {"feedback": {"value": 1, "weight": 2}}},
            "input_guardrails[0].on_success.feedback.weight: must be a number from 0 to 1.",
        ),
        ({"checks": [{"id": "notNull"}] * 51}, "input_guardrails: has more than 50 checks."),
    ],
)
def test_what_is_no_guardrail_is_refused(given: Any, fault: str) -> None:
    with pytest.raises(BadInput) as refused:
        guardrails(given)
    assert fault in str(refused.value)


def test_what_has_no_effect_is_warned_of() -> None:
    config = {
        "strategy": {"mode": "single"},
        "input_guardrails": [{**NO_APPLES, "deny": True, "async": True}, {}],
        "targets": [{"provider": "a", "default_output_guardrails": [NO_APPLES]}],
    }
    assert [f"{each.field}: {each.message}" for each in parse_config(config).warnings] == [
        "config.input_guardrails[0].deny: has no effect, as nothing waits for a guardrail that is async.",
        "config.input_guardrails[1]: checks nothing.",
        "config.targets[0].default_output_guardrails: has an effect at the root alone.",
    ]


@pytest.mark.parametrize(
    ("endpoint", "body", "holds"),
    [
        ("chat.completions", chat("apple", "pear"), True),
        ("chat.completions", chat("pear", "apple"), False),
        ("chat.completions", chat([{"type": "text", "text": "an"}, {"type": "text", "text": "apple"}]), False),
        ("messages", chat([{"type": "tool_result", "tool_use_id": "t", "content": "apple"}]), False),
        ("gemini.generate", {"contents": [{"role": "user", "parts": [{"text": "apple"}]}]}, False),
        ("responses", {"input": "apple"}, False),
        ("responses", {"input": [{"role": "user", "content": "apple"}, {"role": "user", "content": "x"}]}, True),
        ("completions", {"prompt": "apple"}, False),
        ("embeddings", {"input": ["apple", "pear"]}, False),
        ("embeddings", {"input": ["fig", "pear"]}, True),
    ],
)  # fmt: skip
def test_the_last_message_of_a_request_is_checked(endpoint: str, body: Any, holds: bool) -> None:
    [result], _ = check(endpoint, body, NO_APPLES)
    assert result.holds is holds


@pytest.mark.parametrize(
    ("endpoint", "answer", "holds"),
    [
        ("chat.completions", {"choices": [{"message": {"content": "pear"}}]}, True),
        (
            "chat.completions",
            {"choices": [{"message": {"content": "x"}}, {"message": {"content": "apple"}}]},
            False,
        ),
        ("messages", {"role": "assistant", "content": [{"type": "text", "text": "apple"}]}, False),
        ("gemini.generate", {"candidates": [{"content": {"parts": [{"text": "apple"}]}}]}, False),
        (
            "responses",
            {"output": [{"type": "message", "content": [{"type": "output_text", "text": "apple"}]}]},
            False,
        ),
    ],
)  # fmt: skip
def test_every_choice_of_an_answer_is_checked(endpoint: str, answer: Any, holds: bool) -> None:
    [result], _ = check(endpoint, {}, NO_APPLES, answer=answer)
    assert result.holds is holds


def test_an_answer_that_only_calls_tools_has_no_text_to_check() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    answer: Any = {"choices": [{"message": {"content": None, "tool_calls": [call]}}]}
    assert check("chat.completions", {}, {"notNull": {}}, answer=answer)[0][0].holds
    answer["choices"][0]["message"] = {"content": ""}
    assert not check("chat.completions", {}, {"notNull": {}}, answer=answer)[0][0].holds


def test_a_body_that_cannot_be_read_fails() -> None:
    request = GuardedRequest("chat.completions", "/", JSON, b'{"messages": [', {})
    [result], _ = run_guardrails(guardrails(NO_APPLES), request.input(), lambda each: each)
    assert (result.holds, result.check_results[0].error) == (False, "it is no JSON object, or holds too much")


@pytest.mark.parametrize(
    ("endpoint", "body", "edited"),
    [
        ("chat.completions", chat("12", "34 56"), chat("12", "* *")),
        ("messages", chat([{"type": "text", "text": "12"}]), chat([{"type": "text", "text": "*"}])),
        ("gemini.generate", {"contents": [{"parts": [{"text": "1"}]}]}, {"contents": [{"parts": [{"text": "*"}]}]}),
        ("responses", {"input": "1", "model": "m1"}, {"input": "*", "model": "m1"}),
        ("embeddings", {"input": ["1", "a"]}, {"input": ["*", "a"]}),
    ],
)  # fmt: skip
def test_texts_of_a_request_are_replaced(endpoint: str, body: Any, edited: Any) -> None:
    [result], made = check(endpoint, body, replace(r"\d+", "*"))
    assert (result.holds, made) == (True, edited)


def test_texts_of_an_answer_are_replaced_and_nothing_else() -> None:
    answer = {"id": "c1", "choices": [{"index": 1, "message": {"role": "assistant", "content": "call 0123"}}]}
    _, made = check("chat.completions", {}, replace("/(CALL) ([0-9]+)/i", "$1 <$$>"), answer=answer)
    assert made["choices"][0] == {"index": 1, "message": {"role": "assistant", "content": "call <$>"}}
    assert made["id"] == "c1"


def test_checks_in_sequence_see_what_those_before_them_have_edited() -> None:
    checks = [
        {"id": "regexReplace", "parameters": {"rule": "apple", "redactText": "pear"}},
        {"id": "contains", "parameters": NO_APPLES["default.contains"]},
    ]
    [beside], _ = check("chat.completions", chat("apple"), {"checks": checks})
    [behind], made = check("chat.completions", chat("apple"), {"checks": checks, "sequential": True})
    assert (beside.holds, behind.holds) == (False, True)
    assert made == chat("pear")


@pytest.mark.parametrize(
    ("parameters", "edited"),
    [
        ({}, ["> a", "b"]),
        ({"addToExisting": False}, [">", "a", "b"]),
        ({"onlyIfEmpty": True}, ["a", "b"]),
    ],
)
def test_a_prefix_is_added_to_the_first_message_of_a_role(parameters: Any, edited: list[str]) -> None:
    prefix = ">" if "addToExisting" in parameters else "> "
    _, made = check("chat.completions", chat("a", "b"), {"addPrefix": {"prefix": prefix, **parameters}})
    assert [each["content"] for each in made["messages"]] == edited


def test_a_missing_message_is_made_for_a_prefix() -> None:
    _, made = check("messages", chat("a"), {"addPrefix": {"prefix": "Be kind.", "applyToRole": "system"}})
    assert made["messages"][0] == {"role": "system", "content": [{"type": "text", "text": "Be kind."}]}


def test_checks_that_come_when_the_time_is_over_have_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.routing.guardrails.MAX_RUN_SECONDS", 0.05)
    slow = {"id": "regexMatch", "parameters": {"rule": "(a|aa)+$"}}
    quick = {"id": "notNull"}
    text = "a" * 60 + "b"
    [result], _ = check("chat.completions", chat(text), {"checks": [slow, slow, quick]})
    assert [each.error for each in result.check_results] == [
        "the check took longer than 0.1 s", "the checks before it took too long", None,
    ]  # fmt: skip


def test_a_result_tells_its_feedback_and_what_became_of_each_check() -> None:
    given = {
        "id": "fruit",
        "checks": [
            {"id": "notNull"},
            {"id": "contains", "parameters": NO_APPLES["default.contains"]},
            {"id": "regexMatch", "parameters": {"rule": "(a|aa)+$"}},
        ],
        "on_fail": {"feedback": {"value": -5, "weight": 0.5, "metadata": {"team": "fruit"}}},
        "on_success": {"feedback": {"value": 5}},
    }
    text = "apple " + "a" * 60 + "b"
    [failed], _ = check("chat.completions", chat(text), given)
    rendered = render_results({GuardrailStage.INPUT: [failed]})
    [told] = rendered["before_request_hooks"]
    assert rendered["after_request_hooks"] == []
    assert (told["id"], told["verdict"], told["deny"]) == ("fruit", False, False)
    assert [(each["id"], each["verdict"]) for each in told["checks"]] == [
        ("default.notNull", True), ("default.contains", False), ("default.regexMatch", False),
    ]  # fmt: skip
    assert told["feedback"] == {
        "value": -5.0,
        "weight": 0.5,
        "metadata": {
            "team": "fruit",
            "successfulChecks": "default.notNull",
            "failedChecks": "default.contains",
            "erroredChecks": "default.regexMatch",
        },
    }
    [passed], _ = check("chat.completions", chat("a"), given)
    assert passed.feedback is not None
    assert (passed.feedback.value, passed.feedback.weight) == (5.0, 1.0)
