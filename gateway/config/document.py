"""YAML text as plain data that still knows where each value stood.

The only file that knows the YAML library. Keys are taken as written (`on:` is the text `on`), dates stay
text, and `${VAR}` is substituted in values; a value written without quotes gets its type after that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import yaml

from gateway.config.problems import ConfigError, Path, Place, Problem, problem_at
from gateway.config.substitution import Expansion, Unresolved, expand

MAX_DEPTH = 20
"""Deepest nesting taken; the configuration itself needs five levels. Ends aliases that hold themselves."""

MAX_NODES = 100_000
"""Most values taken, each alias counted as what it stands for, so that a few lines cannot fill the memory."""

_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_TAG = "tag:yaml.org,2002:"
_TEXT_TAGS = frozenset(_TAG + name for name in ("str", "timestamp", "merge", "value"))
_TYPED_TAGS = frozenset(_TAG + name for name in ("null", "bool", "int", "float"))


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a value and its key stand, and the environment variables that went into it."""

    key: Place
    value: Place
    variables: tuple[str, ...] = ()


@dataclass(slots=True)
class Document:
    """A configuration on its way to being one: data, where it came from, what is wrong with it so far.

    `unresolved` are values that wait for a variable; setting such a value by other means mends it.
    """

    top: Place
    data: dict[str, object] = field(default_factory=dict)
    entries: dict[Path, Entry] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    unresolved: dict[Path, Problem] = field(default_factory=dict)

    def nearest(self, path: Path) -> Entry:
        """Return the entry at `path`, or at the closest value around it that was written somewhere."""
        while path and path not in self.entries:
            path = path[:-1]
        return self.entries.get(path, Entry(self.top, self.top))

    def forget(self, path: Path) -> None:
        """Drop what is known of the value at `path` and of all below it."""
        size = len(path)
        self.entries = {known: entry for known, entry in self.entries.items() if known[:size] != path}
        self.unresolved = {known: why for known, why in self.unresolved.items() if known[:size] != path}


def parse_document(text: str, file: str, env: Mapping[str, str]) -> Document:
    """Read a YAML mapping.

    Raises:
        ConfigError: it is not YAML, empty, not a mapping, too deep or too large. Problems that leave
            something to go on with (a key given twice, a variable not set) are noted in the document.
    """
    document = Document(Place(file, 1, 1))
    root = _compose(text, file)
    if root is None:
        raise _error(document.top, (), "empty; must hold at least `providers:` with one provider")
    document.top = _place(file, root)
    if not isinstance(root, yaml.MappingNode):
        found = "a list" if isinstance(root, yaml.SequenceNode) else "a single value"
        raise _error(document.top, (), f"found {found}; must be a mapping of sections such as `providers:`")
    document.data = _Reader(document, file, env).mapping(root, ())
    return document


def parse_value(text: str, source: str) -> object:
    """Read one YAML value from outside the file, without substitution.

    Raises:
        ConfigError: it is not YAML. The message does not show the text.
    """
    place = Place(source)
    document = Document(place)
    try:
        root = _compose(text, source)
        value = None if root is None else _Reader(document, source, {}, substitutes=False).value(root, ())
    except ConfigError as error:
        raise _error(place, (), error.problems[0].message) from None
    if document.problems:
        raise _error(place, (), document.problems[0].message)
    return value


class _Reader:
    """Turns nodes into data and notes in the document where each stood."""

    def __init__(
        self, document: Document, file: str, env: Mapping[str, str], *, substitutes: bool = True
    ) -> None:
        self._document = document
        self._file = file
        self._env = env
        self._substitutes = substitutes
        self._nodes_left = MAX_NODES

    def value(self, node: yaml.Node, path: Path) -> object:
        self._bound(node, path)
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._child(None, item, (*path, index)) for index, item in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        return self._scalar(node, path)

    def mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, object]:
        data: dict[str, object] = {}
        for key, value in node.value:
            name = self._name(key, path)
            if name is None:
                continue
            here = (*path, name)
            if name in data:
                first = self._document.entries[here].key
                self._note(key, here, f"given twice; the first is on line {first.line}")
                continue
            data[name] = self._child(key, value, here)
        return data

    def _child(self, key: yaml.Node | None, node: yaml.Node, path: Path) -> object:
        value_place = _place(self._file, node)
        key_place = value_place if key is None else _place(self._file, key)
        self._document.entries[path] = Entry(key_place, value_place)
        return self.value(node, path)

    def _name(self, key: yaml.Node, path: Path) -> str | None:
        if not isinstance(key, yaml.ScalarNode):
            self._note(key, path, "a key must be plain text, not a list or a mapping")
            return None
        if key.tag == _TAG + "merge":
            self._note(key, path, "merge keys (<<) are not taken; use an alias for the whole value instead")
            return None
        return str(key.value)

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> object:
        try:
            expansion = self._expand(node)
        except Unresolved as reason:
            self._document.unresolved[path] = problem_at(_place(self._file, node), path, str(reason))
            return None
        if expansion.variables:
            entry = self._document.entries[path]
            self._document.entries[path] = Entry(entry.key, entry.value, expansion.variables)
        is_retyped = node.style is None and expansion.text != node.value
        tag = _plain_tag(expansion.text) if is_retyped else node.tag
        return self._typed(node, tag, expansion.text, path)

    def _expand(self, node: yaml.ScalarNode) -> Expansion:
        return expand(node.value, self._env) if self._substitutes else Expansion(node.value, ())

    def _typed(self, node: yaml.Node, tag: str, text: str, path: Path) -> object:
        if tag in _TEXT_TAGS:
            return text
        if tag not in _TYPED_TAGS:
            self._note(node, path, "YAML tags are not taken here; write the value alone")
            return None
        try:
            value: object = yaml.constructor.SafeConstructor().construct_document(yaml.ScalarNode(tag, text))
        except (ValueError, KeyError, IndexError):
            # Such as a number of thousands of digits, or `!!int` before something that is none.
            return text
        return value

    def _bound(self, node: yaml.Node, path: Path) -> None:
        self._nodes_left -= 1
        if len(path) > MAX_DEPTH:
            raise _error(_place(self._file, node), path[:3], f"nested more than {MAX_DEPTH} levels deep")
        if self._nodes_left < 0:
            raise _error(
                _place(self._file, node), path[:3], f"more than {MAX_NODES:,} values, aliases written out"
            )

    def _note(self, node: yaml.Node, path: Path, message: str) -> None:
        self._document.problems.append(problem_at(_place(self._file, node), path, message))


def _compose(text: str, file: str) -> yaml.Node | None:
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file, 1, 1)
        raise _error(place, (), f"not valid YAML: {_reason(error)}") from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        place = Place(file, before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)
        raise _error(place, (), "a control character, which YAML does not take") from None
    except RecursionError:
        raise _error(Place(file, 1, 1), (), f"nested more than {MAX_DEPTH} levels deep") from None
    return node


def _reason(error: yaml.MarkedYAMLError) -> str:
    """Say what the parser tripped over, without words of the file, since these may be part of a secret."""
    problem = error.problem or error.context or "cannot be read"
    if "alias" in problem:
        return "an alias that names no anchor; put a value that begins with * in quotes"
    if "'{'" in problem or "'}'" in problem:
        return f"{problem}; inside {{…}} and […] put a value with ${{VARIABLE}} in quotes"
    return _QUOTED.sub(_without_words, problem)


def _without_words(quoted: re.Match[str]) -> str:
    is_token = quoted[0].startswith("'<") or len(quoted[0]) <= len(r"'\t'")
    return quoted[0] if is_token else "a word"


def _plain_tag(text: str) -> str:
    """Return the type that YAML gives to a text without quotes."""
    return str(yaml.resolver.Resolver().resolve(yaml.ScalarNode, text, (True, False)))  # type: ignore[no-untyped-call]


def _place(file: str, node: yaml.Node) -> Place:
    return Place(file, node.start_mark.line + 1, node.start_mark.column + 1)


def _error(place: Place, path: Path, message: str) -> ConfigError:
    return ConfigError([problem_at(place, path, message)])
