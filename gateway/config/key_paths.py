"""Look up the section or field at a path of keys, and whether it is secret."""

from typing import get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from gateway.config.errors import KeyPath
from gateway.config.models import Config, Section


def fields_of(section: type[Section]) -> dict[str, FieldInfo]:
    """Return a section's fields by their keys in the file."""
    return {info.alias or name: info for name, info in section.model_fields.items()}


def description_of(info: FieldInfo) -> str:
    """Return a field's description on one line."""
    return " ".join((info.description or "").split())


def inner_section(annotation: object) -> type[Section] | None:
    """Return the section of a field, alone or in a mapping or list; else None."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    if get_origin(annotation) in (dict, tuple):
        return next(filter(None, map(inner_section, get_args(annotation))), None)
    return None


def section_at(path: KeyPath) -> type[Section] | None:
    """Return the section at `path`, if there is one."""
    here: object = Config
    for step in path:
        if isinstance(here, type) and issubclass(here, Section):
            info = fields_of(here).get(str(step))
            here = info.annotation if info else None
        elif get_origin(here) in (dict, tuple):
            here = inner_section(here)
        else:
            return None
    return here if isinstance(here, type) and issubclass(here, Section) else None


def field_at(path: KeyPath) -> FieldInfo | None:
    """Return the field at `path`; None for an item of a list or an unknown key."""
    section = section_at(path[:-1]) if path else None
    return fields_of(section).get(str(path[-1])) if section else None


def is_secret(path: KeyPath) -> bool:
    """Tell whether the value at `path` is a key, a header's value, or part of one."""
    return any(_holds_secret(path[:end]) for end in range(1, len(path) + 1))


def is_single_secret(path: KeyPath) -> bool:
    """Tell whether the value at `path` is one secret text, not a list or mapping of some."""
    info = field_at(path)
    annotation = info.annotation if info else None
    is_whole = section_at(path) is None and get_origin(annotation) not in (dict, tuple)
    return is_whole and is_secret(path)


def _holds_secret(path: KeyPath) -> bool:
    info = field_at(path)
    return info is not None and (path[-1] == "headers" or _annotation_includes(info.annotation, SecretStr))


def _annotation_includes(annotation: object, kind: type) -> bool:
    return annotation is kind or any(_annotation_includes(part, kind) for part in get_args(annotation))
