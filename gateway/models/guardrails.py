"""Guardrails of a route as frozen data: checks of what is asked and answered, and what follows from them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

# Of an answer that failed a check and is delivered all the same, and of one, or a request, that is denied.
FAILED_STATUS = 246
DENIED_STATUS = 446
# Of both.
FAILED_REASON = "Hooks Failed"


class GuardrailStage(StrEnum):
    """When a guardrail checks."""

    INPUT = "before_request_hooks"
    OUTPUT = "after_request_hooks"


@dataclass(frozen=True, slots=True)
class CheckedMessage:
    """What checks look at.

    Args:
        texts: of a request's last message, or of each choice of an answer that has text.
        body: decoded, as checks edit it.
        fault: why the body cannot be read.
    """

    stage: GuardrailStage
    endpoint: str
    texts: tuple[str, ...]
    body: bytes
    model: str | None = None
    request_type: str = ""
    metadata: Mapping[str, object] = field(default_factory=dict)
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check found.

    Args:
        error: why it could not be run, which counts as a failure.
        body: what the check makes of the body.
    """

    holds: bool
    explanation: str
    error: str | None = None
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class GuardrailCheck:
    """A check; one that `is_slow` may take long enough to keep others waiting."""

    id: str
    run: Callable[[CheckedMessage], CheckResult] = field(repr=False, compare=False)
    is_slow: bool = False


@dataclass(frozen=True, slots=True)
class GuardrailFeedback:
    """The feedback that a guardrail gives."""

    value: float
    weight: float
    metadata: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Guardrail:
    """Checks that fail together.

    Args:
        denies: a failed check refuses the request, or its answer.
        is_async: nothing waits for the checks, so that they give feedback alone.
        is_sequential: each check sees what those before it have edited.
    """

    id: str
    type: str
    checks: tuple[GuardrailCheck, ...]
    denies: bool = False
    is_async: bool = True
    is_sequential: bool = False
    on_success: GuardrailFeedback | None = None
    on_fail: GuardrailFeedback | None = None


@dataclass(frozen=True, slots=True)
class GuardrailResult:
    """The results of a guardrail's checks, and how long they took in all."""

    guardrail: Guardrail
    check_results: tuple[CheckResult, ...]
    created_at_us: int
    milliseconds: int

    @property
    def holds(self) -> bool:
        return all(checked.holds for checked in self.check_results)

    @property
    def is_denied(self) -> bool:
        return self.guardrail.denies and not self.holds

    @property
    def feedback(self) -> GuardrailFeedback | None:
        """The feedback that it gives, with the ids of its checks by how they ended."""
        given = self.guardrail.on_success if self.holds else self.guardrail.on_fail
        if given is None:
            return None
        ids: dict[str, list[str]] = {"successfulChecks": [], "failedChecks": [], "erroredChecks": []}
        for check, checked in zip(self.guardrail.checks, self.check_results, strict=True):
            failed = "failedChecks" if checked.error is None else "erroredChecks"
            ids["successfulChecks" if checked.holds else failed].append(check.id)
        ids_by_end = {name: ", ".join(those) for name, those in ids.items()}
        return GuardrailFeedback(given.value, given.weight, {**given.metadata, **ids_by_end})

    @property
    def failures(self) -> Sequence[str]:
        """The ids of the checks that failed."""
        pairs = zip(self.guardrail.checks, self.check_results, strict=True)
        return [check.id for check, checked in pairs if not checked.holds]


@dataclass(frozen=True, slots=True)
class GuardrailReport:
    """What a guardrail said of a request, or of its answer, of a tenant's key."""

    request_id: str
    tenant: str | None
    key_name: str | None
    result: GuardrailResult
