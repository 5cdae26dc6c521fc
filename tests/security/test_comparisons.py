"""How long it takes to refuse a secret tells nothing about it: none is compared by == or `in`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import gateway

PACKAGE = Path(gateway.__file__).parent

SECRETS = {"mac", "signature", "digest", "token", "secret", "api_key", "sha256", "password"}
"""What a variable is called that holds a secret, or what proves to know one."""

ALLOWED = {
    ("feedback/idempotency.py", "digest"),
    ("recording/log_ingestion.py", "digest"),
}
"""Digests that tell a retry from another call open nothing."""

CONSTANT_TIME = {"auth/api_keys.py", "auth/feedback_tokens.py", "datasets/files.py"}
"""Where keys, feedback tokens and signed links are judged."""


def comparisons() -> Iterator[tuple[str, str]]:
    """The file and the name, where a name that stands for a secret is compared for equality."""
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Compare) and any(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops):
                for operand in (node.left, *node.comparators):
                    if (name := _name(operand)) in SECRETS:
                        yield str(file.relative_to(PACKAGE)), name


def _name(operand: ast.expr) -> str | None:
    if isinstance(operand, ast.Name):
        return operand.id
    return operand.attr if isinstance(operand, ast.Attribute) else None


def test_no_secret_is_compared_in_a_time_that_depends_on_it() -> None:
    assert set(comparisons()) == ALLOWED


def test_keys_tokens_and_links_are_compared_in_constant_time_wherever_they_are_judged() -> None:
    users = {
        str(file.relative_to(PACKAGE))
        for file in PACKAGE.rglob("*.py")
        if "hmac.compare_digest(" in file.read_text()
    }
    assert users >= CONSTANT_TIME
