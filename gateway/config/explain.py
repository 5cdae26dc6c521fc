"""What pydantic found wrong, in words for the person who wrote the file."""

from __future__ import annotations

import difflib
import re

from pydantic_core import ErrorDetails

from gateway.config.document import Document
from gateway.config.problems import Path, Problem, problem_at
from gateway.config.schema import field_at, fields_of, is_secret, section_at

_SECRET_NAME = re.compile(r"key|token|secret|passw|credential", re.IGNORECASE)
_LONGEST_SHOWN = 60

_EXPECTED = {
    "string_type": "must be text; put numbers, yes, no and null in quotes",
    "string_sub_type": "must be text",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "dict_type": "must be a mapping of names to values",
    "tuple_type": "must be a list",
    "frozen_set_type": "must be a word or a list of words",
}


def explain(error: ErrorDetails, document: Document) -> Problem:
    """Say where a validation error stands and what is wrong, without showing a secret."""
    path = tuple(step for step in error["loc"] if step != "[key]")
    entry = document.nearest(path)
    if error["type"] == "extra_forbidden":
        return problem_at(entry.key, path, _unknown_key(path))
    if error["type"] == "missing":
        return problem_at(entry.value, path, _missing(path))
    place = entry.key if error["loc"][-1:] == ("[key]",) else entry.value
    found = "a single value" if _is_lone(error) else _found(error["input"], path, entry.variables)
    return problem_at(place, path, f"found {found}; {_expected(error, path)}")


def _is_lone(error: ErrorDetails) -> bool:
    """Tell whether a single value stands where several should, such as a key in place of a list of keys."""
    wants_several = error["type"] in ("model_type", "dict_type", "tuple_type")
    return wants_several and error["input"] is not None and not isinstance(error["input"], dict | list)


def _unknown_key(path: Path) -> str:
    section = section_at(path[:-1])
    allowed = list(fields_of(section)) if section else []
    near = difflib.get_close_matches(str(path[-1]).lower(), allowed, n=1)
    guess = f"did you mean {near[0]}? " if near else ""
    return f"not a key here; {guess}allowed: {', '.join(allowed)}"


def _missing(path: Path) -> str:
    field = field_at(path)
    meaning = (field.description or "") if field else ""
    return f"missing; must be given: {meaning.rstrip('.')}"


def _expected(error: ErrorDetails, path: Path) -> str:
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    if error["type"] in ("too_short", "string_too_short"):
        return "must not be empty"
    if error["type"] == "model_type":
        section = section_at(path)
        return f"must be a mapping with keys of: {', '.join(fields_of(section)) if section else ''}"
    return _EXPECTED.get(error["type"], re.sub(r"^\w+ should", "must", error["msg"]))


def _found(value: object, path: Path, variables: tuple[str, ...]) -> str:
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    if value is None:
        return "nothing"
    origin = f" (from {', '.join(f'${{{name}}}' for name in variables)})" if variables else ""
    return f"{_shown(value, path, variables)}{origin}"


def _shown(value: object, path: Path, variables: tuple[str, ...]) -> str:
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    if value == "":
        return "an empty text"
    if is_secret(path) or any(map(_SECRET_NAME.search, variables)):
        return "a value that is not shown here"
    if "://" in text and "@" in text:
        return "a URL with a user name or password"
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
