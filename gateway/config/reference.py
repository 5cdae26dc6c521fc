"""The reference of all keys for `docs/reference/configuration.md`, generated from the models."""

from collections.abc import Iterator
from enum import Enum
from typing import get_origin

from pydantic.fields import FieldInfo

from gateway.config.key_paths import description_of, fields_of, inner_section
from gateway.config.models import Config, Section

_BOUNDS = (("minimum", "from"), ("exclusiveMinimum", "over"), ("maximum", "to"))


def to_markdown() -> str:
    """Return a heading and a table of keys for each section."""
    return "\n".join(_section_tables("", Config))


def _section_tables(name: str, section: type[Section]) -> Iterator[str]:
    schema = section.model_json_schema()
    yield f"## `{name}`\n" if name else "## Top level\n"
    yield "| key | value | default | what it is |\n|---|---|---|---|"
    for key, info in fields_of(section).items():
        value = _describe_value(schema["properties"][key], schema.get("$defs", {}))
        yield f"| `{key}` | {value} | {_describe_default(info)} | {description_of(info)} |"
    yield ""
    for key, info in fields_of(section).items():
        if inner := inner_section(info.annotation):
            yield from _section_tables(f"{name}.{key}{_item_suffix(info)}".lstrip("."), inner)


def _item_suffix(info: FieldInfo) -> str:
    origin = get_origin(info.annotation)
    return ".NAME" if origin is dict else "[]" if origin is tuple else ""


def _describe_value(schema: dict[str, object], kinds: dict[str, dict[str, object]]) -> str:
    if isinstance(ref := schema.get("$ref"), str):
        return _describe_value(kinds[ref.rpartition("/")[2]], kinds)
    if isinstance(options := schema.get("anyOf"), list):
        return " or ".join(_describe_value(option, kinds) for option in options)
    if isinstance(words := schema.get("enum"), list):
        return ", ".join(f"`{word}`" for word in words)
    kind = schema.get("type")
    if kind == "array" and isinstance(items := schema.get("items"), dict):
        return f"list of {_describe_value(items, kinds)}".replace("of mapping", "of mappings")
    bounds = " ".join(f"{word} {schema[bound]:,}" for bound, word in _BOUNDS if bound in schema)
    return f"{_TYPE_NAMES[str(kind)]} {bounds}".strip()


_TYPE_NAMES = {
    "boolean": "true or false",
    "string": "text",
    "integer": "integer",
    "number": "number",
    "null": "null",
    "object": "mapping",
}


def _describe_default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    default = info.get_default(call_default_factory=True, validated_data={})
    if isinstance(default, Section):
        return "see below"
    if default is None or isinstance(default, bool):
        return "null" if default is None else f"`{default}`".lower()
    if isinstance(default, tuple | dict):
        return "`{}`" if isinstance(default, dict) else "`[]`"
    return f"`{default.value if isinstance(default, Enum) else default}`"
