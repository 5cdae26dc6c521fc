"""What is wrong with a routing config, as an error by the path of its key."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from gateway.errors import BadInput
from gateway.models.route import RouteMode

MAX_DEPTH = 16
# As Portkey's; of a conditional root ten times as many.
MAX_ROOT_TARGETS, MAX_CONDITIONAL_TARGETS, MAX_NESTED_TARGETS = 100, 1_000, 50


def refuse_depth(config: Mapping[str, object], field: str) -> None:
    level: list[object] = [config]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in _children(node)]
        if not level:
            return
    raise BadInput(f"targets are nested more than {MAX_DEPTH} deep.", field=field)


def refuse_targets(mode: RouteMode, weights: Sequence[float], field: str, *, is_root: bool) -> None:
    """Raise BadInput for targets that a strategy cannot choose among; `field` is their path."""
    if not weights:
        raise BadInput("a strategy needs targets.", field=field)
    most = MAX_ROOT_TARGETS if is_root else MAX_NESTED_TARGETS
    if is_root and mode is RouteMode.CONDITIONAL:
        most = MAX_CONDITIONAL_TARGETS
    if len(weights) > most:
        raise BadInput(f"there may be {most:,} targets; got {len(weights):,}.", field=field)
    if mode is RouteMode.LOADBALANCE and not any(weights):
        raise BadInput(
            "all weights are 0, so no target can be chosen.", field=field, hint="Give one a weight."
        )


def _children(node: object) -> Iterator[object]:
    targets = node.get("targets") if isinstance(node, dict) else None
    yield from targets if isinstance(targets, list) else ()


_MESSAGES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "missing": lambda _: "is missing.",
    "enum": lambda context: f"must be {context['expected']}.",
    "literal_error": lambda context: f"must be {context['expected']}.",
    "greater_than_equal": lambda context: f"must be {context['ge']:g} or more.",
    "greater_than": lambda context: f"must be more than {context['gt']:g}.",
    "less_than_equal": lambda context: f"must be {context['le']:g} or less.",
    "bool_parsing": lambda _: "must be true or false.",
    "bool_type": lambda _: "must be true or false.",
    "string_type": lambda _: "must be a text.",
    "dict_type": lambda _: "must be an object.",
    "model_type": lambda _: "must be an object.",
    "tuple_type": lambda _: "must be a list.",
    "string_pattern_mismatch": lambda _: "must begin with metadata., params. or headers.",
}


def first_fault(error: ValidationError, field: str) -> BadInput:
    fault = error.errors(include_url=False, include_input=False)[0]
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in fault["loc"])
    describe = _MESSAGES.get(fault["type"])
    numbers = ("int_", "float_")
    if describe is not None:
        message = describe(fault.get("ctx", {}))
    elif fault["type"].startswith(numbers):
        message = "must be a number." if fault["type"].startswith("float_") else "must be a whole number."
    else:
        message = f"{fault['msg'][:1].lower()}{fault['msg'][1:]}."
    return BadInput(message, field=f"{field}{place}")
