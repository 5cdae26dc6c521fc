"""Conditions of Portkey's configs: queries over metadata, parameters and path, as predicates."""

import functools
import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

import regex

from gateway.errors import BadInput
from gateway.models.route import ConditionContext, Predicate, RouteWarning

# Longer patterns and texts are no use to routing, and take long to match.
MAX_PATTERN_CHARS = 1_000
MAX_MATCHED_CHARS = 64 * 1024
# A pattern may come with a request, so it may not hold up others.
_MATCH_SECONDS = 0.05

_SOURCES = ("metadata", "params", "url")

# What a missing key is, which equals nothing.
_MISSING = object()

_FLOAT = re.compile(r"\s*([+-]?(?:Infinity|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?))")
_DOLLAR = re.compile(r"\\.|\[(?:\\.|[^\]\\])*\]|\$", re.DOTALL)

_FLAGS = {"i": regex.IGNORECASE, "m": regex.MULTILINE, "s": regex.DOTALL}

_Test = Callable[[object], bool]


def compile_query(query: Mapping[str, object], field: str) -> Predicate:
    """Return whether a query holds, as a predicate. Raises BadInput, by the path of the key, for one that no
    request can answer."""
    parts = [_compile_key(key, asked, field) for key, asked in query.items()]
    return lambda context: all(part(context) for part in parts)


def query_warnings(query: Mapping[str, object], field: str) -> Iterator[RouteWarning]:
    """Yield what Portkey would answer differently: it returns at the first of some keys and operators."""
    logical = [key for key in query if key in ("$and", "$or")]
    if logical and len(query) > 1:
        message = f"all keys apply here; Portkey looks at nothing beside {logical[0]}."
        yield RouteWarning(f"{field}.{logical[0]}", message)
    for key, asked in query.items():
        if key in ("$and", "$or"):
            for position, part in enumerate(asked if isinstance(asked, Sequence) else ()):
                if isinstance(part, Mapping):
                    yield from query_warnings(part, f"{field}.{key}[{position}]")
            continue
        if key.count(".") > 1:
            message = f"only {'.'.join(key.split('.')[:2])} is looked at: a key has two parts."
            yield RouteWarning(f"{field}.{key}", message)
        if isinstance(asked, Mapping):
            yield from _operator_warnings(asked, f"{field}.{key}")


def _operator_warnings(operators: Mapping[str, object], field: str) -> Iterator[RouteWarning]:
    names = list(operators)
    if "$regex" in names:
        if names[-1] != "$regex":
            message = "all operators apply here; Portkey ignores those after $regex."
            yield RouteWarning(f"{field}.$regex", message)
        if compile_pattern(operators["$regex"]) is None:
            yield RouteWarning(f"{field}.$regex", "is not a usable pattern, so it never matches.")
    for name in names:
        if name in ("$gt", "$gte", "$lt", "$lte") and math.isnan(_as_float(operators[name])):
            yield RouteWarning(f"{field}.{name}", "is not a number, so it never holds.")


def _compile_key(key: str, asked: object, field: str) -> Predicate:
    path = f"{field}.{key}"
    if key in ("$and", "$or"):
        if not isinstance(asked, list) or not all(isinstance(part, dict) for part in asked):
            raise BadInput("must be a list of queries.", field=path)
        parts = [compile_query(part, f"{path}[{position}]") for position, part in enumerate(asked)]
        combine = all if key == "$and" else any
        return lambda context: combine(part(context) for part in parts)
    source, _, rest = key.partition(".")
    if source not in _SOURCES or not rest:
        hint = "Write metadata.KEY, params.KEY or url.pathname."
        raise BadInput("is nothing that a condition can ask for.", field=path, hint=hint)
    name = rest.split(".")[0]
    if source == "url" and name != "pathname":
        raise BadInput("of the URL only url.pathname can be asked for.", field=path)
    test = _compile_test(asked, path)
    return lambda context: test(_look_up(context, source, name))


def _look_up(context: ConditionContext, source: str, name: str) -> object:
    if source == "url":
        return context.pathname
    return (context.metadata if source == "metadata" else context.params).get(name, _MISSING)


def _compile_test(asked: object, field: str) -> _Test:
    if not isinstance(asked, dict):
        return lambda value: _is_same(value, asked)
    tests = [_compile_operator(name, operand, f"{field}.{name}") for name, operand in asked.items()]
    return lambda value: all(test(value) for test in tests)


def _compile_operator(name: str, operand: object, field: str) -> _Test:
    if name in ("$in", "$nin"):
        if not isinstance(operand, list):
            raise BadInput("must be a list.", field=field)
        is_wanted = name == "$in"
        return lambda value: any(_is_same(value, each) for each in operand) is is_wanted
    if name == "$regex":
        return _compile_regex(operand, field)
    try:
        compare = _OPERATORS[name]
    except KeyError:
        allowed = ", ".join((*_OPERATORS, "$in", "$nin", "$regex", "$and", "$or"))
        raise BadInput("is no operator.", field=field, hint=f"There are {allowed}.") from None
    return lambda value: compare(value, operand)


def _compile_regex(operand: object, field: str) -> _Test:
    if not isinstance(operand, str):
        raise BadInput("must be a text.", field=field)
    pattern = compile_pattern(operand)
    if pattern is None:
        return lambda _: False

    def matches(value: object) -> bool:
        if value is _MISSING or value is None:
            return False
        text = value if isinstance(value, str) else _as_text(value)
        try:
            return pattern.search(text[:MAX_MATCHED_CHARS], timeout=_MATCH_SECONDS) is not None
        except TimeoutError:
            return False

    return matches


def compile_pattern(pattern: object, flags: str = "") -> "regex.Pattern[str] | None":
    """Return a pattern of JavaScript with some of its flags `ims`; None for one that is not usable."""
    if not isinstance(pattern, str) or len(pattern) > MAX_PATTERN_CHARS:
        return None
    # As in JavaScript: classes are ASCII, and $ is the very end.
    text = pattern if "m" in flags else _DOLLAR.sub(_end_of_text, pattern)
    options = (option for flag, option in _FLAGS.items() if flag in flags)
    try:
        return regex.compile(text, functools.reduce(operator.or_, options, regex.ASCII))
    except regex.error:
        return None


def _end_of_text(found: re.Match[str]) -> str:
    return r"\Z" if found[0] == "$" else found[0]


def _is_same(value: object, asked: object) -> bool:
    # JavaScript's ===, for which 1 is 1.0, but true is not 1, and objects are never the same.
    if isinstance(value, bool) or isinstance(asked, bool):
        return value is asked
    if isinstance(value, int | float) and isinstance(asked, int | float):
        return value == asked
    return isinstance(value, str | None) and type(value) is type(asked) and value == asked


def _as_float(value: object) -> float:
    """Return what JavaScript's parseFloat makes of a value; NaN for what does not begin with a number."""
    if value is _MISSING:
        return math.nan
    found = _FLOAT.match(value if isinstance(value, str) else _as_text(value))
    return math.nan if found is None else float(found[1].replace("Infinity", "inf"))


def _as_text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join("" if each is None else _as_text(each) for each in value)
    return "[object Object]" if isinstance(value, dict) else str(value)


# A comparison with NaN is false, as it is there.
_OPERATORS: Mapping[str, Callable[[object, object], bool]] = {
    "$eq": _is_same,
    "$ne": lambda value, asked: not _is_same(value, asked),
    "$gt": lambda value, asked: _as_float(value) > _as_float(asked),
    "$gte": lambda value, asked: _as_float(value) >= _as_float(asked),
    "$lt": lambda value, asked: _as_float(value) < _as_float(asked),
    "$lte": lambda value, asked: _as_float(value) <= _as_float(asked),
}
