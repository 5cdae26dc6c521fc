"""`${VAR}` and `${VAR:-default}` inside a string, with the rules that a POSIX shell has for them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_PIECE = re.compile(
    r"""
      (?P<escaped> \$\$\{ )
    | \$\{ (?P<name> [A-Za-z_][A-Za-z0-9_]* ) (?P<fallback> :- [^}]* )? \}
    | (?P<broken> \$\{ )
    """,
    re.VERBOSE,
)


class Unresolved(Exception):
    """A substitution that cannot be made; says why without showing any value."""


@dataclass(frozen=True, slots=True)
class Expansion:
    """A string after substitution, and the variables whose values went into it."""

    text: str
    variables: tuple[str, ...]


def expand(text: str, env: Mapping[str, str]) -> Expansion:
    """Substitute variables in `text`. What is put in is not looked at again; `$${` stands for `${`.

    A default is taken where the variable is unset or empty (POSIX.1-2017, Shell, section 2.6.2).

    Raises:
        Unresolved: a variable without a default is not set, or `${` begins no substitution.
    """
    used: list[str] = []

    def piece(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "${"
        if match["broken"]:
            raise Unresolved(
                "'${' must begin ${VARIABLE} or ${VARIABLE:-default}; write $${ for the characters themselves"
            )
        name, fallback = match["name"], match["fallback"]
        if env.get(name) or (fallback is None and name in env):
            used.append(name)
            return env[name]
        if fallback is None:
            raise Unresolved(
                f"the environment variable {name} is not set; set it, or give a default: ${{{name}:-default}}"
            )
        return fallback.removeprefix(":-")

    return Expansion(_PIECE.sub(piece, text), tuple(used))
