"""From a YAML file, the environment and flags to a checked `Config`, or to all that is wrong with it.

A flag stands over a `GATEWAY__SECTION__KEY` variable, and that over the file. Relative paths inside the
configuration (`storage.url`, `ca_file`) are left as they are, so they mean the working directory.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from pydantic import ValidationError

from gateway.config.document import Document, parse_document
from gateway.config.explain import explain
from gateway.config.models import Config
from gateway.config.overrides import apply_environment, apply_flags
from gateway.config.problems import ConfigError, Place, Problem, problem_at

MAX_FILE_BYTES = 4 * 1024 * 1024
"""Largest file read."""

_NOTHING: Mapping[str, object] = MappingProxyType({})

_NO_PROVIDER = (
    "missing; name a configuration file with -c, set GATEWAY__PROVIDERS__NAME__BASE_URL, or use serve --demo"
)


def load_config(
    path: Path | None, env: Mapping[str, str], overrides: Mapping[str, object] = _NOTHING
) -> Config:
    """Read and check a configuration.

    Args:
        path: the YAML file; None for the defaults, to which `env` or `overrides` must then add a provider.
        env: the environment: for `${VAR}` in the file, and for `GATEWAY__SECTION__KEY`.
        overrides: values of flags by dotted key, such as `{"server.port": 9000}`; None values are left out.

    Raises:
        ConfigError: with every problem found, in the order in which they stand.
    """
    document = Document(Place("configuration")) if path is None else _read(path, env)
    apply_environment(document, env)
    apply_flags(document, overrides)
    if path is None and not document.data.get("providers") and not document.problems:
        raise ConfigError([problem_at(document.top, ("providers",), _NO_PROVIDER)])
    return _validate(document)


def _read(path: Path, env: Mapping[str, str]) -> Document:
    file = str(path)
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise ConfigError([problem_at(Place(file), (), f"cannot be read: {reason}")]) from None
    if len(raw) > MAX_FILE_BYTES:
        raise ConfigError([problem_at(Place(file), (), f"longer than {MAX_FILE_BYTES:,} bytes")])
    return parse_document(_decode(raw, file), file, env)


def _decode(raw: bytes, file: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        message = f"found byte 0x{raw[error.start]:02x}; the file must be UTF-8"
        raise ConfigError([problem_at(Place(file, line, column), (), message)]) from None


def _validate(document: Document) -> Config:
    # A section with all its keys commented out is null in YAML; it means the same as no section.
    given = {key: value for key, value in document.data.items() if value is not None}
    problems = [*document.problems, *document.unresolved.values()]
    try:
        config = Config.model_validate(given)
    except ValidationError as invalid:
        errors = invalid.errors(include_url=False)
        found = [explain(error, document) for error in errors if error["loc"] not in document.unresolved]
        problems += found
    if problems:
        raise ConfigError(sorted(dict.fromkeys(problems), key=_position))
    return config


def _position(problem: Problem) -> tuple[bool, str, int, int]:
    return problem.line is None, problem.file, problem.line or 0, problem.column or 0


__all__ = ["ConfigError", "Problem", "load_config"]
