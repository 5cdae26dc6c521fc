"""The words of the glossary are used: one word for one thing, and it is the field's."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CODE = sorted((ROOT / "gateway").rglob("*.py"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

INSTEAD = {
    "face": "API",
    "faces": "APIs",
    "house": "package, server",
    "rooms": "modules",
    "door": "dispatcher, listener",
    "floor": "layer",
    "floors": "layers",
    "crew": "supervisor",
    "nursery": "fork server",
    "heed": "on_message",
    "vote": "feedback",
    "votes": "feedback",
    "voter": "author",
    "voting": "feedback",
    "verdict": "feedback",
    "verdicts": "feedback",
    "ballot": "feedback form",
    "judgement": "feedback",
    "allowance": "quota",
    "allowances": "quotas",
    "keyring": "API keys",
    "logbook": "log ingestion",
    "echoes": "echoed credentials",
    "belongings": "erasure scope",
    "holdings": "store totals",
    "manifold": "high-cardinality",
    "whoever": "the caller, the process that",
    "told": "receives",
}
"""Words that once had a meaning of their own here, and what is said instead."""

QUOTED = {"face": {"gateway/wire/text_generation.py"}, "vote": {"gateway/ui/feedback_form.py"}}
"""Where such a word is a public name: Hugging Face, and the field of the feedback form."""


def identifiers(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        for field in ("id", "attr", "arg", "name"):
            if isinstance(word := getattr(node, field, None), str):
                yield word


def prose(source: str, tree: ast.Module) -> Iterator[str]:
    """Docstrings and comments."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.string


def split_words(text: str) -> Iterator[str]:
    """Words of a text or an identifier, in lower case: `FrontDoor` and `front_door` are two each."""
    yield from (word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", text))


@pytest.mark.parametrize("file", CODE, ids=lambda file: str(file.relative_to(ROOT)))
def test_code_speaks_the_language_of_the_field(file: Path) -> None:
    source = file.read_text()
    tree = ast.parse(source)
    name = str(file.relative_to(ROOT))
    texts = [*identifiers(tree), *prose(source, tree)]
    found = {word for text in texts for word in split_words(text) if word in INSTEAD}
    assert {word: INSTEAD[word] for word in found if name not in QUOTED.get(word, ())} == {}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_docs_speak_the_language_of_the_field(page: Path) -> None:
    text = re.sub(r"```.*?```|`[^`]*`|\]\([^)]*\)", "", page.read_text(), flags=re.DOTALL)
    found = {word for word in split_words(text) if word in INSTEAD}
    assert {word: INSTEAD[word] for word in found} == {}
