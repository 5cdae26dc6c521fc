"""Which conversation a request belongs to, and whose it is, as its body and its baggage say."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote_plus

from gateway.domain.exchange import RawHeaders
from gateway.domain.ids import may_name_session
from gateway.wire.fields import JsonObject, object_in, parse_object, text_in

_BAGGAGE = b"baggage"
_CLAUDE_CODE_USER = re.compile(r"user_([0-9a-f]+)_account_([0-9a-f-]*)_session_([0-9a-f-]+)")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, in which conversation.

    Args:
        previous_response_id: the answer, to an earlier request, that this one continues.
    """

    user: str | None = None
    session: str | None = None
    previous_response_id: str | None = None


NOBODY = Caller()


def read_caller(asked: JsonObject, user: str | None) -> Caller:
    """Return what a request's body says.

    Args:
        asked: the body.
        user: the end user that it names, where its format has that.
    """
    user, session = _unpacked(user)
    sessions = (
        text_in(asked, "conversation"),
        text_in(object_in(asked, "conversation"), "id"),
        session,
        text_in(asked, "prompt_cache_key"),
    )
    earlier = (text_in(asked, "previous_response_id"), text_in(asked, "previous_interaction_id"))
    return Caller(user, _first_name(sessions), _first_name(earlier))


def read_baggage(headers: RawHeaders) -> Caller:
    """Return what W3C baggage says by OpenTelemetry's names, `session.id` and `user.id`.

    Source: W3C Baggage, section 3.2, and OpenTelemetry's semantic conventions, "Session" and "User".
    """
    found: dict[str, str] = {}
    for name, text in headers:
        if len(name) == len(_BAGGAGE) and name.lower() == _BAGGAGE:
            for member in text.decode("utf-8", "replace").split(","):
                key, _, rest = member.partition("=")
                # A plus stands for itself there, but OpenTelemetry for Python writes it for a space.
                found.setdefault(key.strip(), unquote_plus(rest.partition(";")[0].strip()))
    return (
        Caller(_first_name([found.get("user.id")]), _first_name([found.get("session.id")]))
        if found
        else NOBODY
    )


def _unpacked(user: str | None) -> tuple[str | None, str | None]:
    """User and session of what Anthropic's coding agents send for a user; others' texts are the user."""
    if user is None:
        return None, None
    if user[:1] == "{" and (parts := parse_object(user.encode())) is not None:
        account, device = text_in(parts, "account_uuid"), text_in(parts, "device_id")
        return account or device, text_in(parts, "session_id")
    if found := _CLAUDE_CODE_USER.fullmatch(user):
        return found[2] or found[1], found[3]
    return user, None


def _first_name(texts: Iterable[str | None]) -> str | None:
    """The first text that names something."""
    return next((text for text in texts if text is not None and may_name_session(text)), None)
