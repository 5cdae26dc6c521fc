"""Tool choice, and structured output: values that fit a JSON Schema.

Source: json-schema.org, draft 2020-12, "Validation"; the providers' pages on tools and structured output.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.demo.replies import Body, Reply, reply_to, reply_with
from gateway.errors import BadInput

AUTO, NONE, REQUIRED = "auto", "none", "required"

# Ends schemas that contain themselves.
_MAX_DEPTH = 12

_FORMATS = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T09:30:00Z",
    "time": "09:30:00Z",
    "duration": "PT1H",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call, with the JSON Schema of its arguments."""

    name: str
    schema: object


def choose_tool(tools: Sequence[Tool], choice: str, question: str, *, has_result: bool) -> Tool | None:
    """Return the tool to call, if any; `choice` is `auto`, `none`, `required` or a tool's name."""
    if choice == NONE or (choice == AUTO and has_result):
        return None
    if choice == AUTO:
        # Only a tool that the question names, since agents have many and run what is called.
        words = question.lower()
        return next((tool for tool in tools if tool.name.lower() in words), None)
    named = [tool for tool in tools if choice in (REQUIRED, tool.name)]
    if not named:
        raise BadInput("no tool of that name is given in 'tools'.", field="tool_choice")
    return named[0]


def arguments_for(tool: Tool) -> str:
    example = example_of(tool.schema)
    return json.dumps(example if isinstance(example, dict) else {})


def structured_reply(kind: object, schema: object, question: str, limit: int) -> Reply:
    """Reply in a format: `json_schema` for a value that fits the schema, `json_object`, or plain text."""
    if kind == "json_schema":
        return reply_with(json.dumps(example_of(schema)), limit)
    reply = reply_to(question, limit)
    if kind == "json_object":
        return reply_with(json.dumps({"reply": reply.text}, ensure_ascii=False), limit)
    return reply


def example_of(schema: object) -> object:
    return _example(schema, schema, 0)


def _example(schema: object, root: object, depth: int) -> object:
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        return None
    if "const" in schema:
        return schema["const"]
    if isinstance(choices := schema.get("enum"), list) and choices:
        return choices[0]
    if isinstance(reference := schema.get("$ref"), str):
        return _example(_resolve(reference, root), root, depth + 1)
    if isinstance(parts := schema.get("allOf"), list):
        others = {keyword: value for keyword, value in schema.items() if keyword != "allOf"}
        return _example(_merge_schemas([*parts, others]), root, depth + 1)
    for keyword in ("anyOf", "oneOf"):
        if isinstance(options := schema.get(keyword), list) and options:
            # Prefer null deep inside a schema that contains itself.
            ends = depth > _MAX_DEPTH // 2 and {"type": "null"} in options
            return None if ends else _example(options[0], root, depth + 1)
    return _example_of_type(schema, root, depth)


def _example_of_type(schema: Body, root: object, depth: int) -> object:
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = kind[0] if kind else "null"
    match kind:
        case "object":
            return _object(schema, root, depth)
        case "array":
            wanted = _whole_number(schema.get("minItems"), 0 if depth > _MAX_DEPTH // 2 else 1)
            return [_example(schema.get("items", {}), root, depth + 1) for _ in range(wanted)]
        case "integer" | "number":
            return _number(schema)
        case "boolean":
            return True
        case "null":
            return None
        case _:
            text = _FORMATS.get(str(schema.get("format")), "demo")
            return text.ljust(_whole_number(schema.get("minLength"), 0), "x")


def _object(schema: Body, root: object, depth: int) -> dict[str, object]:
    properties = schema.get("properties")
    properties = properties if isinstance(properties, dict) else {}
    required = schema.get("required")
    names = properties if depth <= _MAX_DEPTH // 2 else (required if isinstance(required, list) else ())
    return {name: _example(properties.get(name), root, depth + 1) for name in names}


def _number(schema: Body) -> float:
    least, most = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if isinstance(least, int | float):
        return least
    if isinstance(above, int | float):
        return above + 1 if not isinstance(below, int | float) else (above + below) / 2
    if isinstance(most, int | float) and most < 1:
        return most
    return below - 1 if isinstance(below, int | float) and below <= 1 else 1


def _whole_number(value: object, default: int) -> int:
    return min(value, 1000) if isinstance(value, int) and value > 0 else default


def _resolve(reference: str, root: object) -> object:
    found = root
    for name in reference.removeprefix("#").strip("/").split("/"):
        if name:
            found = found.get(name.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
    return found


def _merge_schemas(schemas: Sequence[object]) -> Body:
    merged: dict[str, object] = {}
    for schema in schemas:
        if isinstance(schema, Mapping):
            for keyword, value in schema.items():
                before = merged.get(keyword)
                is_table = keyword == "properties" and isinstance(before, dict) and isinstance(value, dict)
                merged[keyword] = {**before, **value} if is_table else value  # type: ignore[dict-item]
    return merged
