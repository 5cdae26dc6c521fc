"""Guardrails of a route: from Portkey's config language to checks, and what the checks of a message say."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gateway.errors import BadInput, GatewayError
from gateway.models.clock import now_us
from gateway.models.exchange import RawHeaders, first_value
from gateway.models.guardrails import (
    DENIED_STATUS,
    CheckedMessage,
    CheckResult,
    Guardrail,
    GuardrailCheck,
    GuardrailFeedback,
    GuardrailResult,
    GuardrailStage,
)
from gateway.routing.guardrail_checks import build_check, request_type
from gateway.wire.content_encoding import decode
from gateway.wire.json_fields import parse_object, text_in
from gateway.wire.message_texts import read_input_texts, read_output_texts

# Of one list in a config.
MAX_CHECKS = 50
# Of all checks of a request or an answer that may be slow, together.
MAX_RUN_SECONDS = 1.0
_OUT_OF_TIME = CheckResult(False, "There was no time left for it.", "the checks before it took too long")
# Longer texts are checked while others go on.
MAX_DIRECT_BYTES = 16 * 1024

_GUARDRAIL, _MUTATOR = "guardrail", "mutator"
_HOOK_KEYS = frozenset({"type", "id", "async", "sequential", "deny", "on_fail", "on_success", "is_enabled"})
# Of saved guardrails, and of what a check itself says; without effect here.
_OTHER_KEYS = frozenset({"guardrail_version_id", "name", "event_type", "eventType", "credentials"})
_MAX_GRADE = 10

_Warn = Callable[[str, str], None]


class GuardrailDenied(GatewayError, status=DENIED_STATUS, code="hooks_failed"):
    """A guardrail refused a request, or its answer; `hook_results` are those of all."""

    def __init__(self, message: str, hook_results: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.hook_results = hook_results


def parse_guardrails(
    given: Sequence[object], path: str, warn: _Warn, kind: str = _GUARDRAIL
) -> tuple[Guardrail, ...]:
    """Return the guardrails of a list, as hooks or in short.

    Args:
        path: of the list, for errors and warnings.
        warn: takes the path of a key and what is doubtful about it.
    """
    built = tuple(_parse(each, f"{path}[{position}]", warn, kind) for position, each in enumerate(given))
    if sum(len(each.checks) for each in built) > MAX_CHECKS:
        raise BadInput(f"has more than {MAX_CHECKS} checks.", field=path)
    return tuple(each for each in built if each.checks)


def _parse(given: object, path: str, warn: _Warn, kind: str) -> Guardrail:
    if isinstance(given, str):
        hint = 'Write its checks here, such as {"default.contains": {"operator": "none", "words": ["x"]}}.'
        raise BadInput(f"no guardrail is saved as {given[:100]!r}.", field=path, hint=hint)
    if not isinstance(given, dict):
        raise BadInput("must be an object.", field=path)
    hook: dict[str, Any] = {_SPELLINGS.get(key, str(key)): value for key, value in given.items()}
    type_ = hook.get("type", kind)
    if type_ not in (_GUARDRAIL, _MUTATOR):
        raise BadInput("must be guardrail or mutator.", field=f"{path}.type")
    denies = _flag(hook, "deny", path, default=False)
    # Without a wait there is nothing left to deny.
    is_async = _flag(hook, "async", path, default=not denies and type_ == _GUARDRAIL)
    if denies and is_async:
        warn(f"{path}.deny", "has no effect, as nothing waits for a guardrail that is async.")
    built = [] if hook.get("is_enabled") is False else list(_checks(hook, path, warn))
    if not built:
        warn(path, "checks nothing.")
    given_id = hook.get("id")
    return Guardrail(
        id=given_id if isinstance(given_id, str) and given_id else path.rpartition(".")[2],
        type=type_,
        checks=tuple(built),
        denies=denies and not is_async,
        is_async=is_async,
        is_sequential=_flag(hook, "sequential", path, default=False) or type_ == _MUTATOR,
        on_success=_feedback(hook.get("on_success"), f"{path}.on_success"),
        on_fail=_feedback(hook.get("on_fail"), f"{path}.on_fail"),
    )


_SPELLINGS = {"onFail": "on_fail", "onSuccess": "on_success", "isEnabled": "is_enabled"}


def _flag(hook: Mapping[str, object], name: str, path: str, *, default: bool) -> bool:
    value = hook.get(name)
    if not isinstance(value, bool | None):
        raise BadInput("must be true or false.", field=f"{path}.{name}")
    return default if value is None else value


def _checks(hook: Mapping[str, Any], path: str, warn: _Warn) -> list[GuardrailCheck]:
    if "checks" not in hook:
        short = {key: value for key, value in hook.items() if key not in _HOOK_KEYS | _OTHER_KEYS}
        return [
            build_check(key, value, f"{path}.{key}", f"{path}.{key}")
            for key, value in short.items()
            if not (isinstance(value, dict) and value.get("is_enabled") is False)
        ]
    for key in hook.keys() - _HOOK_KEYS - _OTHER_KEYS - {"checks"}:
        warn(f"{path}.{key}", "is not known, and has no effect.")
    if not isinstance(hook["checks"], list):
        raise BadInput("must be a list.", field=f"{path}.checks")
    built: list[GuardrailCheck] = []
    for position, check in enumerate(hook["checks"]):
        place = f"{path}.checks[{position}]"
        if not isinstance(check, dict) or not isinstance(check.get("id"), str):
            raise BadInput("must be an object with an id.", field=place)
        if check.get("is_enabled", check.get("isEnabled")) is not False:
            parameters = check.get("parameters")
            built.append(build_check(check["id"], parameters, f"{place}.id", f"{place}.parameters"))
    return built


def _feedback(given: object, path: str) -> GuardrailFeedback | None:
    feedback = given.get("feedback") if isinstance(given, dict) else None
    if feedback is None:
        return None
    if not isinstance(feedback, dict):
        raise BadInput("must be an object.", field=f"{path}.feedback")
    value = _number(feedback.get("value"), -_MAX_GRADE, _MAX_GRADE, f"{path}.feedback.value")
    weight = _number(feedback.get("weight", 1), 0, 1, f"{path}.feedback.weight")
    metadata = feedback.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise BadInput("must be an object.", field=f"{path}.feedback.metadata")
    return GuardrailFeedback(value, weight, metadata)


def _number(value: object, least: int, most: int, path: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value <= most:
        raise BadInput(f"must be a number from {least} to {most}.", field=path)
    return float(value)


@dataclass(frozen=True, slots=True)
class GuardedRequest:
    """What the guardrails of an attempt know of its request.

    Args:
        body: as the target gets it, encoded as the headers say.
    """

    endpoint: str
    path: str
    headers: RawHeaders
    body: bytes
    metadata: Mapping[str, object]

    def input(self) -> CheckedMessage:
        decoded = decode(self.body, self.headers)
        return self._message(GuardrailStage.INPUT, decoded.data, self.headers, is_whole=decoded.is_complete)

    def output(self, headers: RawHeaders, body: bytes) -> CheckedMessage:
        """Return an answer, whose body is as it came."""
        decoded = decode(body, headers)
        return self._message(GuardrailStage.OUTPUT, decoded.data, headers, is_whole=decoded.is_complete)

    def reread(self, message: CheckedMessage, headers: RawHeaders) -> CheckedMessage:
        """Return a message whose body was edited."""
        return replace(message, texts=self._texts(message.stage, message.body, headers))

    def _message(
        self, stage: GuardrailStage, body: bytes, headers: RawHeaders, *, is_whole: bool
    ) -> CheckedMessage:
        asked = parse_object(decode(self.body, self.headers).data) or {}
        fault = None if is_whole else "it cannot be decoded"
        is_json = b"json" in first_value(headers, b"content-type").lower()
        if fault is None and is_json and body.strip() and body[:1] != b"[" and parse_object(body) is None:
            fault = "it is no JSON object, or holds too much"
        return CheckedMessage(
            stage=stage,
            endpoint=self.endpoint,
            texts=() if fault else self._texts(stage, body, headers),
            body=body,
            model=text_in(asked, "model"),
            request_type=request_type(self.endpoint),
            metadata=self.metadata,
            fault=fault,
        )

    def _texts(self, stage: GuardrailStage, body: bytes, headers: RawHeaders) -> tuple[str, ...]:
        if stage is GuardrailStage.INPUT:
            return read_input_texts(self.endpoint, self.path, body)
        return read_output_texts(self.endpoint, self.path, headers, body)


def run_guardrails(
    guardrails: Sequence[Guardrail],
    message: CheckedMessage,
    reread: Callable[[CheckedMessage], CheckedMessage],
) -> tuple[list[GuardrailResult], CheckedMessage]:
    """Return what guardrails say of a message, and the message as they have edited it.

    Args:
        reread: returns a message with the texts of its edited body.
    """
    results: list[GuardrailResult] = []
    ends_at = time.monotonic() + MAX_RUN_SECONDS
    for guardrail in guardrails:
        begun_us = now_us()
        check_results: list[CheckResult] = []
        seen = message
        for check in guardrail.checks:
            looked_at = message if guardrail.is_sequential else replace(seen, body=message.body)
            is_late = check.is_slow and time.monotonic() > ends_at
            checked = _OUT_OF_TIME if is_late else check.run(looked_at)
            check_results.append(checked)
            if checked.body is not None:
                message = replace(message, body=checked.body)
                if guardrail.is_sequential:
                    message = reread(message)
        if message.body is not seen.body:
            message = reread(message)
        milliseconds = (now_us() - begun_us) // 1000
        results.append(GuardrailResult(guardrail, tuple(check_results), begun_us, milliseconds))
    return results, message


def may_take_long(guardrails: Sequence[Guardrail], size_bytes: int) -> bool:
    return size_bytes > MAX_DIRECT_BYTES or any(
        check.is_slow for guardrail in guardrails for check in guardrail.checks
    )


def render_results(results: Mapping[GuardrailStage, Sequence[GuardrailResult]]) -> dict[str, Any]:
    """Return results as Portkey's `hook_results`."""
    return {stage.value: [_render(each) for each in results.get(stage, ())] for stage in GuardrailStage}


def _render(result: GuardrailResult) -> dict[str, Any]:
    guardrail, given = result.guardrail, result.feedback
    checks = [
        {
            "id": check.id,
            "verdict": checked.holds,
            "transformed": checked.body is not None,
            "data": {"explanation": checked.explanation},
            **({} if checked.error is None else {"error": {"name": "Error", "message": checked.error}}),
        }
        for check, checked in zip(guardrail.checks, result.check_results, strict=True)
    ]
    feedback = None
    if given is not None:
        feedback = {"value": given.value, "weight": given.weight, "metadata": given.metadata}
    return {
        "id": guardrail.id,
        "type": guardrail.type,
        "verdict": result.holds,
        "deny": result.is_denied,
        "async": guardrail.is_async,
        "transformed": any(checked.body is not None for checked in result.check_results),
        "checks": checks,
        "feedback": feedback,
        "execution_time": result.milliseconds,
        "created_at": result.created_at_us // 1000,
    }
