"""Parameters of guardrails' checks, as a config has them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import regex

from gateway.errors import BadInput
from gateway.routing.conditions import MAX_PATTERN_CHARS, compile_pattern

MAX_COUNT = 10**12
_FLAGGED = re.compile(r"/(.+)/([gimsuyd]*)", re.DOTALL)
_OPERATORS = ("any", "all", "none")
_REQUIRED: Any = object()


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of a check, each refused by its field where it is of another kind.

    Args:
        path: of the parameters, for errors.
    """

    given: Mapping[str, Any]
    path: str

    @property
    def is_negated(self) -> bool:
        return self.flag("not")

    def flag(self, name: str, *, default: bool = False) -> bool:
        return bool(self._get(name, bool, "must be true or false.", default))

    def text(self, name: str, default: str = _REQUIRED) -> str:
        return str(self._get(name, str, "must be a text.", default))

    def texts(self, name: str, default: tuple[str, ...] = _REQUIRED) -> tuple[str, ...]:
        value = self.given.get(name)
        if isinstance(value, str):
            return tuple(each.strip() for each in value.split(","))
        found = self._get(name, list | tuple, "must be a list of texts.", default)
        if not all(isinstance(each, str) for each in found):
            raise BadInput("must be a list of texts.", field=f"{self.path}.{name}")
        if not found and default is _REQUIRED:
            raise BadInput("is empty.", field=f"{self.path}.{name}")
        return tuple(found)

    def count(self, name: str, default: int) -> int:
        found = self._get(name, int, "must be a whole number.", default)
        if isinstance(found, bool) or not 0 <= found <= MAX_COUNT:
            raise BadInput("must be a whole number, 0 or more.", field=f"{self.path}.{name}")
        return int(found)

    def mapping(self, name: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._get(name, dict, "must be an object.", _REQUIRED)
        return found

    def operator(self) -> str:
        found = self.text("operator")
        if found not in _OPERATORS:
            raise BadInput("must be any, all or none.", field=f"{self.path}.operator")
        return found

    def pattern(self, name: str) -> regex.Pattern[str]:
        rule = self.text(name)
        flagged = _FLAGGED.fullmatch(rule)
        body, flags = (flagged[1], flagged[2]) if flagged else (rule, "")
        compiled = compile_pattern(body, flags)
        if compiled is None:
            fault = f"is no pattern, or longer than {MAX_PATTERN_CHARS:,} characters."
            raise BadInput(fault, field=f"{self.path}.{name}", hint="Write one as in JavaScript.")
        return compiled

    def _get(self, name: str, kind: Any, fault: str, default: Any) -> Any:
        value = self.given.get(name)
        if value is None:
            if default is _REQUIRED:
                raise BadInput("is missing.", field=f"{self.path}.{name}")
            return default
        if not isinstance(value, kind):
            raise BadInput(fault, field=f"{self.path}.{name}")
        return value
