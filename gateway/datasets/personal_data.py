"""Redaction of training data: by patterns of the caller, and of personal data that libraries recognise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from gateway.errors import BadInput

EXTRA = "training"

# Google's regular expressions take time in proportion to the text, whatever the pattern, so that no caller can
# stall the gateway; the standard library's may take for ever.
_LIBRARIES = ("re2", "phonenumbers", "stdnum")

_EMAIL = r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"
_IBAN = r"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"
# 13 to 19 digits in groups.
_CARD = r"\b[0-9](?:[ -]?[0-9]){12,18}\b"
_IPV4 = r"\b(?:(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])\.){3}(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])\b"

MAX_PATTERNS = 100
MAX_PATTERN_CHARS = 1_000

_MARK = "[{}]"


def missing_library(names: Sequence[str] = _LIBRARIES) -> str | None:
    """Return why texts cannot be redacted here; None if they can."""
    missing = [name for name in names if find_spec(name) is None]
    return f'this needs the extra "{EXTRA}": pip install "feedback-gateway[{EXTRA}]".' if missing else None


class Redactor:
    """Replaces what patterns match by `[REDACTED]`, and personal data by its kind."""

    def __init__(self, patterns: Sequence[str], *, is_personal: bool, region: str | None = None) -> None:
        """Raises BadInput.

        Args:
            is_personal: e-mail addresses, phone numbers, IBANs, card numbers and IP addresses.
            region: two letters; numbers without a country code are looked for as they are dialled there.
        """
        if (problem := missing_library()) is not None:
            raise BadInput(problem, field="redact_patterns" if patterns else "redact_personal_data")
        self._re2: Any = import_module("re2")
        self._patterns = [self._compile(pattern) for pattern in patterns]
        self._region = region
        self._personal: list[tuple[Any, Callable[[str], bool], str]] = []
        if is_personal:
            self._phonenumbers: Any = import_module("phonenumbers")
            self._check_region(region)
            iban, luhn = import_module("stdnum.iban"), import_module("stdnum.luhn")
            self._personal = [
                (self._compile(_EMAIL), lambda _: True, "EMAIL"),
                (self._compile(_IBAN), iban.is_valid, "IBAN"),
                (self._compile(_CARD), lambda found: luhn.is_valid(_digits(found)), "CARD"),
                (self._compile(_IPV4), lambda _: True, "IP"),
            ]

    def __call__(self, text: str) -> str:
        for pattern in self._patterns:
            text = pattern.sub(_MARK.format("REDACTED"), text)
        for pattern, is_valid, kind in self._personal:
            text = pattern.sub(lambda found, check=is_valid, kind=kind: _replace(found[0], check, kind), text)
        return self._without_phones(text) if self._personal else text

    def _without_phones(self, text: str) -> str:
        # Reading numbers takes long; few texts have as many digits as the shortest.
        if sum(map(str.isdigit, text)) < 6:
            return text
        found = list(self._phonenumbers.PhoneNumberMatcher(text, self._region))
        for match in reversed(found):
            text = text[: match.start] + _MARK.format("PHONE") + text[match.end :]
        return text

    def _check_region(self, region: str | None) -> None:
        if region is not None and region not in self._phonenumbers.SUPPORTED_REGIONS:
            raise BadInput(
                f"must be a country's two letters, such as DE; got {region!r}.", field="phone_region"
            )

    def _compile(self, pattern: str) -> Any:
        options = self._re2.Options()
        # Callers read the error; the log need not.
        options.log_errors = False
        try:
            return self._re2.compile(pattern, options)
        except self._re2.error as error:
            problem = error.args[0] if error.args else ""
            reason = problem.decode(errors="replace") if isinstance(problem, bytes) else str(problem)
            raise BadInput(
                f"{pattern!r} is no pattern: {reason}.",
                field="redact_patterns",
                hint="Patterns are of RE2's syntax, which has no look-around and no references back.",
            ) from None


def read_patterns(text: str) -> list[str]:
    """Return the patterns of an option, one a line. Raises BadInput."""
    patterns = [line for line in text.splitlines() if line.strip()]
    if len(patterns) > MAX_PATTERNS or any(len(pattern) > MAX_PATTERN_CHARS for pattern in patterns):
        raise BadInput(
            f"holds at most {MAX_PATTERNS} patterns of {MAX_PATTERN_CHARS} characters.",
            field="redact_patterns",
        )
    return patterns


def _replace(found: str, is_valid: Callable[[str], bool], kind: str) -> str:
    return _MARK.format(kind) if is_valid(found) else found


def _digits(text: str) -> str:
    return "".join(filter(str.isdigit, text))
