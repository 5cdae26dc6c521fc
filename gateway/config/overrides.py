"""Values that stand over those of the file: `GATEWAY__SECTION__KEY` variables, and flags over both."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.config.document import Document, Entry, parse_value
from gateway.config.problems import ConfigError, Path, Place, problem_at
from gateway.config.schema import is_single_secret

PREFIX = "GATEWAY__"

_FOLD = str.maketrans("-.", "__")


def apply_environment(document: Document, env: Mapping[str, str]) -> None:
    """Put the values of `GATEWAY__SECTION__KEY` variables in place, those of whole sections first.

    Names match in any case, and `_` also stands for `-` and `.`, which names of variables cannot hold. Values
    are YAML, except that of a single secret, which is taken as it is.
    """
    named = {name: name[len(PREFIX) :].lower().split("__") for name in env if name.upper().startswith(PREFIX)}
    for name, steps in sorted(named.items(), key=lambda item: (len(item[1]), item)):
        place = Place(f"environment variable {name}")
        path = _match(document, steps)
        try:
            value = env[name] if is_single_secret(path) else parse_value(env[name], place.source)
        except ConfigError as error:
            document.problems += error.problems
        else:
            _put(document, path, value, place)


def apply_flags(document: Document, overrides: Mapping[str, object]) -> None:
    """Put values under dotted keys (`server.port`) in place. None stands for a flag that was not given."""
    for key, value in overrides.items():
        if value is not None:
            _put(document, tuple(key.split(".")), value, Place("command line"))


def _match(document: Document, steps: list[str]) -> Path:
    """Find the keys that are meant by the lower-case words of a variable's name."""
    path: list[str] = []
    here: object = document.data
    for step in steps:
        known = here if isinstance(here, dict) else {}
        key = next((key for key in known if key.lower().translate(_FOLD) == step), step)
        path.append(key)
        here = known.get(key)
    return tuple(path)


def _put(document: Document, path: Path, value: object, place: Place) -> None:
    here: dict[str, object] = document.data
    for depth, step in enumerate(path[:-1], 1):
        below = here.get(str(step))
        if below is None:
            below = here[str(step)] = {}
            document.forget(path[:depth])
            document.entries[path[:depth]] = Entry(place, place)
        if not isinstance(below, dict):
            whole = "__".join(map(str, path[:depth])).upper()
            message = f"is no mapping, so nothing in it can be set alone; set the whole: {PREFIX}{whole}"
            document.problems.append(problem_at(place, path[:depth], message))
            return
        here = below
    document.forget(path)
    here[str(path[-1])] = value
    document.entries[path] = Entry(place, place)
