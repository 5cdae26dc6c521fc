"""Load a configuration from file, environment and flags; report all that is wrong with it."""

import difflib
import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from gateway.config import key_paths
from gateway.config.document import Document, SourceEntry, parse_document, parse_value
from gateway.config.errors import ConfigError, KeyPath, Location, Problem, problem_at
from gateway.config.models import Config

ENVIRONMENT_PREFIX = "GATEWAY__"
MAX_FILE_BYTES = 4 * 1024 * 1024

_NO_PROVIDER_MESSAGE = (
    "missing; name a configuration file with -c, set GATEWAY__PROVIDERS__NAME__BASE_URL, or use serve --demo"
)
_SECRET_NAME = re.compile(r"key|token|secret|passw|credential", re.IGNORECASE)
_MAX_SHOWN_CHARS = 60

# Names of environment variables cannot hold these.
_DASH_AND_DOT = str.maketrans("-.", "__")

# Messages by pydantic's type of error.
_EXPECTED_BY_TYPE = {
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


def apply_environment(document: Document, env: Mapping[str, str]) -> None:
    """Set the values of `GATEWAY__SECTION__KEY` variables, those of whole sections first.

    Names match in any case, and `_` also stands for `-` and `.`. Values are YAML, except a single secret's.
    """
    named = {
        name: name[len(ENVIRONMENT_PREFIX) :].lower().split("__")
        for name in env
        if name.upper().startswith(ENVIRONMENT_PREFIX)
    }
    for name, steps in sorted(named.items(), key=lambda item: (len(item[1]), item)):
        location = Location(f"environment variable {name}")
        path = _find_key_path(document, steps)
        try:
            value = env[name] if key_paths.is_single_secret(path) else parse_value(env[name], location.source)
        except ConfigError as error:
            document.problems += error.problems
        else:
            _set_value(document, path, value, location)


def apply_flags(document: Document, overrides: Mapping[str, object]) -> None:
    """Set values by dotted keys (`server.port`); None is a flag that was not given."""
    for key, value in overrides.items():
        if value is not None:
            _set_value(document, tuple(key.split(".")), value, Location("command line"))


def _find_key_path(document: Document, steps: list[str]) -> KeyPath:
    path: list[str] = []
    here: object = document.data
    for step in steps:
        known = here if isinstance(here, dict) else {}
        key = next((key for key in known if key.lower().translate(_DASH_AND_DOT) == step), step)
        path.append(key)
        here = known.get(key)
    return tuple(path)


def _set_value(document: Document, path: KeyPath, value: object, location: Location) -> None:
    here: dict[str, object] = document.data
    for depth, step in enumerate(path[:-1], 1):
        below = here.get(str(step))
        if below is None:
            below = here[str(step)] = {}
            document.forget(path[:depth])
            document.entries[path[:depth]] = SourceEntry(location, location)
        if not isinstance(below, dict):
            whole = "__".join(map(str, path[:depth])).upper()
            message = f"is not a mapping; set it as a whole: {ENVIRONMENT_PREFIX}{whole}"
            document.problems.append(problem_at(location, path[:depth], message))
            return
        here = below
    document.forget(path)
    here[str(path[-1])] = value
    document.entries[path] = SourceEntry(location, location)


def explain_error(error: ErrorDetails, document: Document) -> Problem:
    path = tuple(step for step in error["loc"] if step != "[key]")
    entry = document.nearest_entry(path)
    if error["type"] == "extra_forbidden":
        return problem_at(entry.key, path, _explain_unknown_key(path))
    if error["type"] == "missing":
        return problem_at(entry.value, path, _explain_missing(path))
    location = entry.key if error["loc"][-1:] == ("[key]",) else entry.value
    found = "a single value"
    if not _is_single_value(error):
        found = _describe_input(error["input"], path, entry.variables)
    return problem_at(location, path, f"found {found}; {_describe_expected(error, path)}")


def _is_single_value(error: ErrorDetails) -> bool:
    # Such as a key in place of a list of keys, which may be a secret.
    wants_several = error["type"] in ("model_type", "dict_type", "tuple_type")
    return wants_several and error["input"] is not None and not isinstance(error["input"], dict | list)


def _explain_unknown_key(path: KeyPath) -> str:
    section = key_paths.section_at(path[:-1])
    allowed = list(key_paths.fields_of(section)) if section else []
    near = difflib.get_close_matches(str(path[-1]).lower(), allowed, n=1)
    guess = f"did you mean {near[0]}? " if near else ""
    return f"not a key here; {guess}allowed: {', '.join(allowed)}"


def _explain_missing(path: KeyPath) -> str:
    field = key_paths.field_at(path)
    meaning = key_paths.description_of(field) if field else ""
    return f"missing; must be given: {meaning.rstrip('.')}"


def _describe_expected(error: ErrorDetails, path: KeyPath) -> str:
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    if error["type"] in ("too_short", "string_too_short"):
        return "must not be empty"
    if error["type"] == "model_type":
        section = key_paths.section_at(path)
        return f"must be a mapping with keys of: {', '.join(key_paths.fields_of(section)) if section else ''}"
    return _EXPECTED_BY_TYPE.get(error["type"], re.sub(r"^\w+ should", "must", error["msg"]))


def _describe_input(value: object, path: KeyPath, variables: tuple[str, ...]) -> str:
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    if value is None:
        return "nothing"
    origin = f" (from {', '.join(f'${{{name}}}' for name in variables)})" if variables else ""
    return f"{_display_value(value, path, variables)}{origin}"


def _display_value(value: object, path: KeyPath, variables: tuple[str, ...]) -> str:
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    if value == "":
        return "an empty text"
    if key_paths.is_secret(path) or any(map(_SECRET_NAME.search, variables)):
        return "a value that is not shown here"
    if "://" in text and "@" in text:
        return "a URL with a user name or password"
    return text if len(text) <= _MAX_SHOWN_CHARS else f"{text[:_MAX_SHOWN_CHARS]}…"


def load_config(path: Path | None, env: Mapping[str, str], overrides: Mapping[str, object] = {}) -> Config:
    """Read and check a configuration.

    Args:
        path: the YAML file; None for the defaults, to which `env` or `overrides` must add a provider.
        env: the environment, for `${VAR}` in the file and for `GATEWAY__SECTION__KEY`.
        overrides: values of flags by dotted key, such as `{"server.port": 9000}`; None is left out.

    Raises:
        ConfigError: with all problems by location.
    """
    document = Document(Location("configuration")) if path is None else _read(path, env)
    apply_environment(document, env)
    apply_flags(document, overrides)
    if path is None and not document.data.get("providers") and not document.problems:
        raise ConfigError([problem_at(document.root_location, ("providers",), _NO_PROVIDER_MESSAGE)])
    return _validate(document)


def _read(path: Path, env: Mapping[str, str]) -> Document:
    file = str(path)
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise ConfigError([problem_at(Location(file), (), f"cannot be read: {reason}")]) from None
    if len(raw) > MAX_FILE_BYTES:
        raise ConfigError([problem_at(Location(file), (), f"longer than {MAX_FILE_BYTES:,} bytes")])
    return parse_document(_decode(raw, file), file, env)


def _decode(raw: bytes, file: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        message = f"found byte 0x{raw[error.start]:02x}; the file must be UTF-8"
        raise ConfigError([problem_at(Location(file, line, column), (), message)]) from None


def _validate(document: Document) -> Config:
    # A section with all its keys commented out is null in YAML.
    given = {key: value for key, value in document.data.items() if value is not None}
    problems = [*document.problems, *document.unresolved.values()]
    try:
        config = Config.model_validate(given)
    except ValidationError as invalid:
        errors = invalid.errors(include_url=False)
        problems += [explain_error(one, document) for one in errors if one["loc"] not in document.unresolved]
    if problems:
        raise ConfigError(sorted(dict.fromkeys(problems), key=_sort_key))
    return config


def _sort_key(problem: Problem) -> tuple[bool, str, int, int]:
    at = problem.location
    return at.line is None, at.source, at.line or 0, at.column or 0
