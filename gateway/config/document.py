"""Parse YAML with ${VAR} substitution into data with the location of each value."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import yaml

from gateway.config.errors import ConfigError, KeyPath, Location, Problem, problem_at

_SUBSTITUTION = re.compile(
    r"""
      (?P<escaped> \$\$\{ )
    | \$\{ (?P<name> [A-Za-z_][A-Za-z0-9_]* ) (?P<fallback> :- [^}]* )? \}
    | (?P<broken> \$\{ )
    """,
    re.VERBOSE,
)

# Deepest nesting; the configuration needs five levels. Ends aliases that contain themselves.
MAX_DEPTH = 20

# Most values, each alias counted in full, so that a few lines cannot fill the memory.
MAX_NODES = 100_000

_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_TAG = "tag:yaml.org,2002:"
_TEXT_TAGS = frozenset(_TAG + name for name in ("str", "timestamp", "merge", "value"))
_TYPED_TAGS = frozenset(_TAG + name for name in ("null", "bool", "int", "float"))


class UnresolvedVariable(Exception):
    """Why a substitution failed, without any value."""


@dataclass(frozen=True, slots=True)
class Expansion:
    """A string after substitution, and the variables that it used."""

    text: str
    variables: tuple[str, ...]


def expand_variables(text: str, env: Mapping[str, str]) -> Expansion:
    """Substitute variables in `text`; `$${` stands for `${`. Raises UnresolvedVariable."""
    used: list[str] = []

    def piece(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "${"
        if match["broken"]:
            raise UnresolvedVariable(
                "'${' must begin ${VARIABLE} or ${VARIABLE:-default}; write $${ for the characters themselves"
            )
        # A default is used where the variable is unset or empty (POSIX.1-2017, Shell, section 2.6.2).
        name, fallback = match["name"], match["fallback"]
        if env.get(name) or (fallback is None and name in env):
            used.append(name)
            return env[name]
        if fallback is None:
            raise UnresolvedVariable(
                f"the environment variable {name} is not set; set it, or give a default: ${{{name}:-default}}"
            )
        return fallback.removeprefix(":-")

    return Expansion(_SUBSTITUTION.sub(piece, text), tuple(used))


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """The locations of a value and its key, and the environment variables that it used."""

    key: Location
    value: Location
    variables: tuple[str, ...] = ()


@dataclass(slots=True)
class Document:
    """Parsed data with its locations and problems."""

    root_location: Location
    data: dict[str, object] = field(default_factory=dict)
    entries: dict[KeyPath, SourceEntry] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    # Values with a missing variable; a flag or GATEWAY__ variable may still set them.
    unresolved: dict[KeyPath, Problem] = field(default_factory=dict)

    def nearest_entry(self, path: KeyPath) -> SourceEntry:
        """Return the entry at `path`, or of the closest value around it."""
        while path and path not in self.entries:
            path = path[:-1]
        return self.entries.get(path, SourceEntry(self.root_location, self.root_location))

    def forget(self, path: KeyPath) -> None:
        """Remove the entries at `path` and below."""
        size = len(path)
        self.entries = {known: entry for known, entry in self.entries.items() if known[:size] != path}
        self.unresolved = {known: why for known, why in self.unresolved.items() if known[:size] != path}


def parse_document(text: str, file: str, env: Mapping[str, str]) -> Document:
    """Parse a YAML mapping. Raises ConfigError where nothing can be read; other problems are in the document."""
    root = _compose(text, file)
    if root is None:
        raise _config_error(Location(file, 1, 1), "empty; must hold at least `providers:` with one provider")
    start = _location_of(file, root)
    if not isinstance(root, yaml.MappingNode):
        found = "a list" if isinstance(root, yaml.SequenceNode) else "a single value"
        raise _config_error(start, f"found {found}; must be a mapping of sections such as `providers:`")
    document = Document(start)
    document.data = _NodeReader(document, file, env).mapping(root, ())
    return document


def parse_value(text: str, source: str) -> object:
    """Parse one YAML value of another source, without substitution. Raises ConfigError, without the text."""
    location = Location(source)
    document = Document(location)
    try:
        root = _compose(text, source)
        value = None if root is None else _NodeReader(document, source, None).value(root, ())
    except ConfigError as error:
        raise _config_error(location, error.problems[0].message) from None
    if document.problems:
        raise _config_error(location, document.problems[0].message)
    return value


class _NodeReader:
    def __init__(self, document: Document, file: str, env: Mapping[str, str] | None) -> None:
        self._document = document
        self._file = file
        # None: nothing is substituted.
        self._env = env
        self._remaining_nodes = MAX_NODES

    def value(self, node: yaml.Node, path: KeyPath) -> object:
        self._check_size(node, path)
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._child(None, item, (*path, index)) for index, item in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        return self._scalar(node, path)

    def mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, object]:
        data: dict[str, object] = {}
        for key, value in node.value:
            name = self._name(key, path)
            if name is None:
                continue
            here = (*path, name)
            if name in data:
                first = self._document.entries[here].key
                self._add_problem(key, here, f"given twice; the first is on line {first.line}")
                continue
            data[name] = self._child(key, value, here)
        return data

    def _child(self, key: yaml.Node | None, node: yaml.Node, path: KeyPath) -> object:
        value_location = _location_of(self._file, node)
        key_location = value_location if key is None else _location_of(self._file, key)
        self._document.entries[path] = SourceEntry(key_location, value_location)
        return self.value(node, path)

    def _name(self, key: yaml.Node, path: KeyPath) -> str | None:
        if not isinstance(key, yaml.ScalarNode):
            fault = "a key must be plain text, not a list or a mapping"
        elif key.tag == _TAG + "merge":
            fault = "merge keys (<<) are not taken; use an alias for the whole value instead"
        else:
            return str(key.value)
        self._add_problem(key, path, fault)
        return None

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> object:
        try:
            expansion = self._expand(node)
        except UnresolvedVariable as reason:
            self._document.unresolved[path] = problem_at(_location_of(self._file, node), path, str(reason))
            return None
        if expansion.variables:
            entry = self._document.entries[path]
            self._document.entries[path] = SourceEntry(entry.key, entry.value, expansion.variables)
        is_retyped = node.style is None and expansion.text != node.value
        tag = _implicit_tag(expansion.text) if is_retyped else node.tag
        return self._typed(node, tag, expansion.text, path)

    def _expand(self, node: yaml.ScalarNode) -> Expansion:
        return Expansion(node.value, ()) if self._env is None else expand_variables(node.value, self._env)

    def _typed(self, node: yaml.Node, tag: str, text: str, path: KeyPath) -> object:
        if tag in _TEXT_TAGS:
            return text
        if tag not in _TYPED_TAGS:
            self._add_problem(node, path, "YAML tags are not taken here; write the value alone")
            return None
        try:
            value: object = yaml.constructor.SafeConstructor().construct_document(yaml.ScalarNode(tag, text))
        except (ValueError, KeyError, IndexError):
            # Such as a number of thousands of digits, or `!!int` before a word.
            return text
        return value

    def _check_size(self, node: yaml.Node, path: KeyPath) -> None:
        self._remaining_nodes -= 1
        fault = None
        if len(path) > MAX_DEPTH:
            fault = f"nested more than {MAX_DEPTH} levels deep"
        elif self._remaining_nodes < 0:
            fault = f"more than {MAX_NODES:,} values, aliases written out"
        if fault is not None:
            raise _config_error(_location_of(self._file, node), fault, path[:3])

    def _add_problem(self, node: yaml.Node, path: KeyPath, message: str) -> None:
        self._document.problems.append(problem_at(_location_of(self._file, node), path, message))


def _compose(text: str, file: str) -> yaml.Node | None:
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        location = Location(file, mark.line + 1, mark.column + 1) if mark else Location(file, 1, 1)
        raise _config_error(location, f"not valid YAML: {_yaml_error_reason(error)}") from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        location = Location(file, before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)
        raise _config_error(location, "a control character, which YAML does not take") from None
    except RecursionError:
        raise _config_error(Location(file, 1, 1), f"nested more than {MAX_DEPTH} levels deep") from None
    return node


def _yaml_error_reason(error: yaml.MarkedYAMLError) -> str:
    # Without words of the file, which may be part of a secret.
    problem = error.problem or error.context or "cannot be read"
    if "alias" in problem:
        return "an alias that names no anchor; put a value that begins with * in quotes"
    if "'{'" in problem or "'}'" in problem:
        return f"{problem}; inside {{…}} and […] put a value with ${{VARIABLE}} in quotes"
    return _QUOTED.sub(_redact_word, problem)


def _redact_word(quoted: re.Match[str]) -> str:
    is_token = quoted[0].startswith("'<") or len(quoted[0]) <= len(r"'\t'")
    return quoted[0] if is_token else "a word"


def _implicit_tag(text: str) -> str:
    return str(yaml.resolver.Resolver().resolve(yaml.ScalarNode, text, (True, False)))  # type: ignore[no-untyped-call]


def _location_of(file: str, node: yaml.Node) -> Location:
    return Location(file, node.start_mark.line + 1, node.start_mark.column + 1)


def _config_error(location: Location, message: str, path: KeyPath = ()) -> ConfigError:
    return ConfigError([problem_at(location, path, message)])
