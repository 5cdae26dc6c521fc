"""Feedback that does not count as it was meant: what it is about is not there, or it is read on the wrong scale."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.cli.doctor.findings import Deployment, Finding, ok, warning
from gateway.config import Config
from gateway.store import Examined

MAX_SHOWN = 3
"""How many ids are named."""


def check_feedback(deployment: Deployment) -> Iterator[Finding]:
    """None waits for long, and no thumbs are read as grades."""
    examined = deployment.examined
    if not isinstance(examined, Examined):
        return
    found = examined.feedback
    if not found.waiting and not found.misread:
        yield ok("feedback", "none has waited for more than an hour")
    if found.waiting:
        awaited = ", ".join(map(repr, found.awaited[:MAX_SHOWN]))
        others = " and others" if len(found.awaited) > MAX_SHOWN else ""
        yield warning(
            "feedback",
            f"entries that have waited for more than an hour: {found.waiting:,}. Nothing is logged under "
            f"{awaited}{others}.",
            "See GET /api/v1/feedback?is_joined=false, and hold the ids against x-portkey-trace-id and helicone-id "
            "of the answers that they are about.",
        )
    for key_name, count in found.misread:
        whose = "callers without a key" if key_name is None else f"the key {key_name!r}"
        only = "" if key_name is None else f" --key {key_name}"
        is_thumbs = _scale_of(deployment.config, key_name) == "thumbs"
        yield warning(
            "feedback",
            f"{whose} gave {count:,} grades, all 0 or 1: they count as 0 and 0.1; thumbs would count as -1 and 1.",
            f"{'' if is_thumbs else 'If they are thumbs, set portkey_scale: thumbs for it, then: '}"
            f"`gateway feedback rescale --scale thumbs{only}`",
        )


def _scale_of(config: Config, key_name: str | None) -> str:
    of_key = next((key.portkey_scale for key in config.keys if key.name == key_name), None)
    return of_key or config.feedback.portkey_scale
