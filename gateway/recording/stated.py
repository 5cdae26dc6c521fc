"""Facts that somebody states of a request, completed by what its bytes say."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TypeVar

from gateway.domain.request import Facts, Usage

T = TypeVar("T", Facts, Usage)


def completed(stated: Facts, read: Facts) -> Facts:
    """Return what is stated, and what was read where nothing is."""
    return replace(
        _over(stated, read), usage=_whole(_over(_counted_alike(stated.usage, read.usage), read.usage))
    )


def _over(stated: T, read: T) -> T:
    names = [field.name for field in fields(stated)]
    return replace(read, **{name: value for name in names if (value := getattr(stated, name)) is not None})


def _counted_alike(stated: Usage, read: Usage) -> Usage:
    """Some count a prompt without what came from a cache, and an answer without its reasoning. Where the bytes
    show that, they are right: the parts belong to the whole here."""
    return replace(
        stated,
        prompt_tokens=_with_part(stated.prompt_tokens, _cached(read), read.prompt_tokens),
        completion_tokens=_with_part(
            stated.completion_tokens, read.reasoning_tokens or 0, read.completion_tokens
        ),
    )


def _with_part(stated: int | None, part: int, whole: int | None) -> int | None:
    return whole if stated is not None and stated + part == whole else stated


def _whole(usage: Usage) -> Usage:
    """A part cannot be larger than its whole: then the whole was counted without it."""
    prompt, cached = usage.prompt_tokens, _cached(usage)
    return usage if prompt is None or cached <= prompt else replace(usage, prompt_tokens=prompt + cached)


def _cached(usage: Usage) -> int:
    return (usage.cached_tokens or 0) + (usage.cache_write_tokens or 0)
