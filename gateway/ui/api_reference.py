"""The OpenAPI document as pages show it: groups of operations, their fields and examples."""

import json
import re
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from markupsafe import Markup, escape

from gateway.ui.markdown import highlight_json
from gateway.web.endpoint import Tag
from gateway.web.middleware import TOKEN_HEADER
from gateway.web.openapi import SECURITY_SCHEMES
from gateway.wire.curl import KEY_VARIABLE

# Stands for the gateway's own URL, which is known only when a page is sent.
BASE_URL = "https://gateway.invalid"

_KEY = f"x-portkey-api-key: ${KEY_VARIABLE}"
_TOKEN = f"{TOKEN_HEADER}: $FEEDBACK_TOKEN"

# Parameters that so many operations share are filters, which are listed after their own.
_MIN_SHARING = 4
# So few shared parameters are listed with an operation's own.
_MAX_SHARED_SHOWN = 4

_LIMITS = (
    ("minimum", "at least"),
    ("exclusiveMinimum", "above"),
    ("maximum", "at most"),
    ("exclusiveMaximum", "below"),
    ("minLength", "min length"),
    ("maxLength", "max length"),
    ("minItems", "min items"),
    ("maxItems", "max items"),
    ("default", "default"),
)

_Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter, or a field of a body or reply.

    Args:
        type: in words, such as `list of objects`.
        limits: such as `at most 10`.
    """

    name: str
    type: str
    limits: str
    description: str
    is_required: bool
    fields: tuple["Field", ...] = ()


@dataclass(frozen=True, slots=True)
class Shape:
    """A body or a reply: what it is, and its fields where it has any."""

    type: str
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """A status beside 200 that an operation answers with."""

    status: str
    description: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One method on one path.

    Args:
        shared_parameters: those that many operations take.
        reply_types: media types of a 200.
        curl: a command that calls it at `BASE_URL`, with a key from the environment where it needs one.
        reply_example: JSON with colours.
    """

    id: str
    method: str
    path: str
    summary: str
    description: str
    parameters: tuple[Field, ...]
    shared_parameters: tuple[Field, ...]
    body: Shape | None
    reply: Shape | None
    reply_types: tuple[str, ...]
    failures: tuple[Failure, ...]
    curl: "Curl"
    reply_example: Markup | None

    def matches(self, words: Sequence[str]) -> bool:
        """Tell whether all words are in its path, texts or parameters."""
        names = " ".join(each.name for each in (*self.parameters, *self.shared_parameters))
        text = f"{self.method} {self.path} {self.summary} {self.description} {names}".lower()
        return all(word in text for word in words)


@dataclass(frozen=True, slots=True)
class Curl:
    """A command that calls an operation.

    Args:
        url: with the query of the example.
        credential: header with the variable that holds a key or a feedback token; None where it is open to all.
    """

    method: str
    url: str
    credential: str | None
    body: object

    def lines(self, is_open: bool) -> list[str]:
        """Return the words of the command, one option a line.

        Args:
            is_open: whether the gateway takes requests without a key.
        """
        is_implied = self.method == "GET" or (self.method == "POST" and self.body is not None)
        command = "curl " if is_implied else f"curl -X {self.method} "
        lines = [command + (self.url if re.fullmatch(r"[\w:/.%-]+", self.url) else f'"{self.url}"')]
        if self.credential and not (is_open and self.credential == _KEY):
            lines.append(f'-H "{self.credential}"')
        if self.body is not None:
            lines.append('-H "content-type: application/json"')
            lines.append(f"-d {shlex.quote(json.dumps(self.body, ensure_ascii=False))}")
        return lines

    def text(self, is_open: bool) -> str:
        return " \\\n  ".join(self.lines(is_open))

    def one_line(self, is_open: bool) -> str:
        return " ".join(self.lines(is_open))


@dataclass(frozen=True, slots=True)
class Group:
    """The operations of a tag."""

    tag: Tag
    operations: tuple[Operation, ...]
    error: Shape | None

    def statuses(self) -> list[tuple[str, str]]:
        """Return the statuses beside 200 of all operations, with what they mean."""
        return sorted({(each.status, each.description) for one in self.operations for each in one.failures})


def read_groups(document: _Schema) -> tuple[Group, ...]:
    """Return the operations of an OpenAPI document by tag, in the document's order.

    Args:
        document: with a description for each tag.
    """
    reader = _Reader(document)
    # Those of one vendor, named `Vendor: …`, stand together.
    families = list(dict.fromkeys(_family_of(tag) for tag in document["tags"]))
    tags = sorted(document["tags"], key=lambda tag: families.index(_family_of(tag)))
    return tuple(reader.group(Tag(tag["name"], tag["description"])) for tag in tags)


def _family_of(tag: _Schema) -> str:
    return str(tag["name"]).partition(":")[0]


class _Reader:
    def __init__(self, document: _Schema) -> None:
        self._schemas: _Schema = document["components"]["schemas"]
        self._operations: list[tuple[str, str, _Schema]] = [
            (method, path, operation)
            for path, operations in document["paths"].items()
            for method, operation in operations.items()
        ]
        self._uses = Counter(
            _key_of(parameter)
            for _, _, operation in self._operations
            for parameter in operation.get("parameters", ())
        )

    def group(self, tag: Tag) -> Group:
        found = [each for each in self._operations if tag.name in each[2]["tags"]]
        operations = tuple(self._operation(*each) for each in found)
        errors = (
            response["content"]["application/json"]["schema"]
            for _, _, operation in found
            for status, response in operation["responses"].items()
            if status != "200" and "content" in response
        )
        error = next(errors, None)
        return Group(tag, operations, None if error is None else self._shape(error))

    def _operation(self, method: str, path: str, operation: _Schema) -> Operation:
        parameters: Sequence[_Schema] = operation.get("parameters", ())
        shared = [each for each in parameters if self._uses[_key_of(each)] >= _MIN_SHARING]
        shared = [each for each in shared if each["in"] == "query"]
        if len(shared) <= _MAX_SHARED_SHOWN:
            shared = []
        own = [each for each in parameters if each not in shared]
        body = operation.get("requestBody", {}).get("content", {}).get("application/json")
        replies: _Schema = operation["responses"]["200"].get("content", {})
        reply = replies.get("application/json")
        return Operation(
            id=operation["operationId"],
            method=method.upper(),
            path=path,
            summary=operation["summary"],
            description=operation["description"],
            parameters=tuple(map(self._parameter, own)),
            shared_parameters=tuple(map(self._parameter, shared)),
            body=None if body is None else self._shape(body["schema"]),
            reply=None if reply is None else self._shape(reply["schema"]),
            reply_types=tuple(replies),
            failures=tuple(
                Failure(status, response["description"])
                for status, response in operation["responses"].items()
                if status != "200"
            ),
            curl=_curl(method.upper(), path, operation, body),
            reply_example=_reply_example(reply),
        )

    def _parameter(self, parameter: _Schema) -> Field:
        schema = parameter["schema"]
        kind = "in the path" if parameter["in"] == "path" else self._type_of(schema)
        return Field(
            parameter["name"], kind, _limits_of(schema), parameter["description"], parameter["required"]
        )

    def _shape(self, schema: _Schema) -> Shape:
        return Shape(self._type_of(schema), self._fields_of(schema, frozenset()))

    def _fields_of(self, schema: _Schema, seen: frozenset[str]) -> tuple[Field, ...]:
        found: dict[str, Field] = {}
        for each, names in self._objects_in(schema, seen):
            required = each.get("required", ())
            for name, field in each["properties"].items():
                inner = self._fields_of(field, names)
                found.setdefault(
                    name,
                    Field(
                        name,
                        self._type_of(field),
                        _limits_of(field),
                        self._description_of(field),
                        name in required,
                        inner,
                    ),
                )
        return tuple(found.values())

    def _objects_in(self, schema: _Schema, seen: frozenset[str]) -> Iterator[tuple[_Schema, frozenset[str]]]:
        """Yield the objects with known fields of a schema, with the names of those around them."""
        if "$ref" in schema:
            name = schema["$ref"].rsplit("/", 1)[1]
            # A shape inside itself is listed once.
            if name not in seen:
                yield from self._objects_in(self._schemas[name], seen | {name})
            return
        if "properties" in schema:
            yield schema, seen
        single = (schema.get("items"), schema.get("additionalProperties"))
        inner = (each for each in single if isinstance(each, dict))
        for each in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *inner):
            yield from self._objects_in(each, seen)

    def _type_of(self, schema: _Schema) -> str:
        if "$ref" in schema:
            return self._type_of(self._schemas[schema["$ref"].rsplit("/", 1)[1]])
        if options := schema.get("anyOf") or schema.get("oneOf"):
            kinds = [self._type_of(option) for option in options if option.get("type") != "null"]
            nullable = ["null"] if any(option.get("type") == "null" for option in options) else []
            return " or ".join(dict.fromkeys([*kinds, *nullable]))
        if "enum" in schema:
            return ", ".join(f"`{value}`" for value in schema["enum"])
        if "const" in schema:
            return f"`{schema['const']}`"
        kind = schema.get("type", "any JSON")
        if kind == "array":
            return f"list of {self._plural_of(schema.get('items', {}))}"
        if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
            return f"object of {self._plural_of(schema['additionalProperties'])}"
        return str(schema.get("format", kind))

    def _plural_of(self, schema: _Schema) -> str:
        kind = self._type_of(schema)
        return f"{kind}s" if kind in ("object", "string", "number", "integer") else kind

    def _description_of(self, schema: _Schema) -> str:
        if "description" in schema or "$ref" not in schema:
            return str(schema.get("description", ""))
        return str(self._schemas[schema["$ref"].rsplit("/", 1)[1]].get("description", ""))


def _key_of(parameter: _Schema) -> tuple[str, str]:
    return parameter["name"], parameter["description"]


def _limits_of(schema: _Schema) -> str:
    options = [option for option in schema.get("anyOf", ()) if option.get("type") != "null"]
    merged = {**(options[0] if len(options) == 1 else {}), **schema}
    given = {name: merged[name] for name, _ in _LIMITS if merged.get(name) not in (None, "", [], {})}
    return ", ".join(f"{words} `{json.dumps(given[name])}`" for name, words in _LIMITS if name in given)


def _curl(method: str, path: str, operation: _Schema, body: _Schema | None) -> Curl:
    examples = [each for each in operation.get("parameters", ()) if "example" in each]
    for each in examples:
        if each["in"] == "path":
            path = path.replace(f"{{{each['name']}}}", quote(each["example"], safe=""))
    query = urlencode(
        [(each["name"], each["example"]) for each in examples if each["in"] == "query"], safe=":,"
    )
    return Curl(
        method=method,
        url=f"{BASE_URL}{path}{'?' if query else ''}{query}",
        credential=_credential(operation["security"]),
        body=None if body is None else body.get("example"),
    )


def _credential(security: Sequence[Mapping[str, object]]) -> str | None:
    if not security:
        return None
    return _KEY if any(name in SECURITY_SCHEMES for scheme in security for name in scheme) else _TOKEN


def _reply_example(reply: _Schema | None) -> Markup | None:
    if reply is None or "example" not in reply:
        return None
    return highlight_json(json.dumps(reply["example"], indent=2, ensure_ascii=False))


def key_headers() -> list[tuple[str, str]]:
    """Return the headers that may carry a gateway key, each with its value."""
    return [
        (str(scheme.get("name", "Authorization")), "Bearer KEY" if _is_bearer(scheme) else "KEY")
        for scheme in SECURITY_SCHEMES.values()
    ]


def _is_bearer(scheme: Mapping[str, object]) -> bool:
    return scheme["type"] == "http" or "description" in scheme


def prose_to_html(text: str) -> Markup:
    """Return text with blank lines between paragraphs and `code` in backticks as HTML, all else escaped."""
    paragraphs = [paragraph for paragraph in re.split(r"\n\s*\n", text.strip()) if paragraph]
    return Markup("").join(Markup("<p>{}</p>").format(inline_to_html(each)) for each in paragraphs)


def inline_to_html(text: str) -> Markup:
    """Return a line with `code` in backticks as HTML, all else escaped."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def breakable(name: str) -> Markup:
    """Return a path or a name as HTML that breaks between its words and nowhere inside them."""
    return Markup(re.sub(r"([/_.])(?=\w)", r"\1<wbr>", str(escape(name))))
