"""Texts that are there twice, exactly or nearly, and texts that repeat an evaluation's prompts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import orjson

from gateway.datasets.messages import ChatMessage
from gateway.datasets.personal_data import EXTRA
from gateway.errors import BadInput

# Words; in scripts without spaces each character is one.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+")

_DIGEST_BYTES = 8

_PERMUTATIONS = 128
_BANDS = 16
_SHINGLE_WORDS = 3
# The library's index takes no sketch of another one.
_MINHASH_SEED = 42
# About 2.5 kB each.
MAX_NEAR_LINES = 200_000

# Shorter runs of words are common phrases.
_FEWEST_WORDS = 5
_PROMPT_FIELDS = ("input", "prompt", "question", "messages", "text")


def words(text: str) -> list[str]:
    """Return the words of a text without case and punctuation."""
    return _WORD.findall(text.casefold())


def digest(text: str) -> int:
    """Return a hash of a text that is the same in every process."""
    return int.from_bytes(blake2b(text.encode(errors="replace"), digest_size=_DIGEST_BYTES).digest())


def texts_of(messages: Iterable[ChatMessage]) -> Iterator[str]:
    """Yield what the messages say, calls of tools as JSON."""
    for message in messages:
        if message["content"]:
            yield message["content"]
        for call in message.get("tool_calls", ()):
            yield orjson.dumps(call["function"], option=orjson.OPT_SORT_KEYS).decode()


def message_key(messages: Iterable[ChatMessage]) -> int:
    """Return a hash that is the same for messages that differ in white space at most."""
    return digest("\n".join(" ".join(text.split()) for text in texts_of(messages)))


class NearDuplicates:
    """Recognises conversations that share most runs of three words with an earlier one, by MinHash."""

    def __init__(self, threshold: float) -> None:
        """Raises BadInput without the library."""
        if find_spec("rensa") is None:
            raise BadInput(
                f'near needs the extra "{EXTRA}": pip install "feedback-gateway[{EXTRA}]".',
                field="deduplicate",
            )
        self._rensa: Any = import_module("rensa")
        self._index: Any = self._rensa.RMinHashDeduplicator(
            threshold=threshold, num_perm=_PERMUTATIONS, use_lsh=True, num_bands=_BANDS
        )
        self._number = 0

    def has_seen(self, messages: Sequence[ChatMessage]) -> bool:
        """Tell whether messages like these were there before, and remember them. Raises BadInput."""
        self._number += 1
        if self._number > MAX_NEAR_LINES:
            raise BadInput(
                f"near compares at most {MAX_NEAR_LINES:,} lines.",
                field="deduplicate",
                hint="Narrow the export, or ask for exact.",
            )
        sketch = self._rensa.RMinHash(num_perm=_PERMUTATIONS, seed=_MINHASH_SEED)
        # Instructions are the same in all conversations of an application, and often longer than these.
        spoken = texts_of(message for message in messages if message["role"] != "system")
        sketch.update(list(_shingles(words("\n".join(spoken)))))
        return not self._index.add(str(self._number), sketch)


def _shingles(found: Sequence[str]) -> Iterator[str]:
    for start in range(max(1, len(found) - _SHINGLE_WORDS + 1)):
        yield " ".join(found[start : start + _SHINGLE_WORDS])


class EvaluationPrompts:
    """Prompts that training data must not hold."""

    def __init__(self, prompts: Iterable[str], run_words: int) -> None:
        """`run_words`: a text that shares so many words in a row with a prompt repeats it."""
        self._whole: set[int] = set()
        self._runs: set[int] = set()
        lengths: set[int] = set()
        for prompt in prompts:
            found = words(prompt)
            if not found:
                continue
            self._whole.add(digest(" ".join(found)))
            length = min(run_words, len(found))
            if length >= _FEWEST_WORDS:
                lengths.add(length)
                self._runs.update(_runs(found, length))
        self._lengths = sorted(lengths)

    def repeats(self, messages: Sequence[ChatMessage]) -> bool:
        """Tell whether one of the messages is a prompt, or holds a run of words of one."""
        return any(self._repeats(words(text)) for text in texts_of(messages))

    def _repeats(self, found: Sequence[str]) -> bool:
        if digest(" ".join(found)) in self._whole:
            return True
        return any(not self._runs.isdisjoint(_runs(found, length)) for length in self._lengths)


def _runs(found: Sequence[str], length: int) -> Iterator[int]:
    return (digest(" ".join(found[start : start + length])) for start in range(len(found) - length + 1))


def read_evaluation_prompts(text: str) -> list[str]:
    """Return the prompts of JSON Lines, such as the format `eval` has, or of lines of text. Raises BadInput."""
    prompts = [prompt for line in text.splitlines() if line.strip() for prompt in _prompts_in(line)]
    if not any(map(words, prompts)):
        raise BadInput("holds no prompt.", field="evaluation_prompts")
    return prompts


def _prompts_in(line: str) -> Iterator[str]:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        value = line
    if isinstance(value, dict):
        named = [value[name] for name in _PROMPT_FIELDS if value.get(name)]
        if not named:
            raise BadInput(
                f"has a line without any of {', '.join(_PROMPT_FIELDS)}.", field="evaluation_prompts"
            )
        value = named[0]
    if isinstance(value, list):
        yield from (text for message in value if (text := _question(message)))
    else:
        yield value if isinstance(value, str) else line


def _question(message: object) -> str | None:
    if not isinstance(message, dict) or message.get("role") != "user":
        return None
    content = message.get("content")
    if isinstance(content, list):
        content = "\n".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else None
