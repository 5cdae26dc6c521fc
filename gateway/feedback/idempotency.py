"""Idempotency keys of feedback calls: a repeated call changes nothing and gets the same answer."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.errors import Conflict
from gateway.models.feedback import Receipt
from gateway.models.principal import Principal


@dataclass(frozen=True, slots=True)
class IdempotentCall:
    """A call with an idempotency key; `scope` is that of caller, operation and dialect."""

    scope: str
    key: str
    digest: str

    def receipt(self, feedback_ids: Sequence[str]) -> Receipt:
        return Receipt(self.scope, self.key, self.digest, tuple(feedback_ids))

    def refuse_unless_repeats(self, earlier: Receipt) -> None:
        if earlier.digest != self.digest:
            raise Conflict(
                "was used before for a call with other content.",
                field="Idempotency-Key",
                hint="Send a new key for a new call.",
            )


def idempotent_call(
    principal: Principal, dialect: str, operation: str, key: str | None, contents: Sequence[tuple[str, str]]
) -> IdempotentCall | None:
    """Return the call of an idempotency key; `contents` are subject id and JSON of each part."""
    if key is None:
        return None
    own = principal.scope
    # Every bearer of a feedback token has the name of the key that its request came with.
    bearer = [] if own is None else [own.trace_id, own.request_id]
    scope = json.dumps([principal.tenant, principal.name, dialect, operation, *bearer])
    canonical = json.dumps([(about, canonical_json(text)) for about, text in contents])
    return IdempotentCall(scope, key, hashlib.sha256(canonical.encode()).hexdigest())


def canonical_json(text: str) -> str:
    return json.dumps(json.loads(text), sort_keys=True)
