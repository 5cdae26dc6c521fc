"""Idempotency: telling a retry from a new call, so that it gets the same answer and changes nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.errors import Conflict
from gateway.models.feedback import Receipt
from gateway.models.ids import content_id
from gateway.models.principal import Principal


@dataclass(frozen=True, slots=True)
class IdempotentCall:
    """A call that came with an idempotency key.

    Args:
        scope: whose key it is; equal only for the same caller doing the same thing in the same dialect.
        key: the caller's idempotency key.
        digest: hash of the call's content.
    """

    scope: str
    key: str
    digest: str

    def receipt(self, feedback_ids: Sequence[str]) -> Receipt:
        """Return the proof that this call was carried out."""
        return Receipt(self.scope, self.key, self.digest, tuple(feedback_ids))

    def refuse_unless_repeats(self, earlier: Receipt) -> None:
        """Raise Conflict where the earlier call under the key had other content than this one."""
        if earlier.digest != self.digest:
            raise Conflict(
                "was used before for a call with other content.",
                field="Idempotency-Key",
                hint="Send a new key for a new call.",
            )


def idempotent_call(
    principal: Principal, dialect: str, operation: str, key: str | None, contents: Sequence[tuple[str, str]]
) -> IdempotentCall | None:
    """Return the call that `key` names, None without a key.

    `contents` is what the call says, in order: the id that each part is about, and its JSON.
    """
    if key is None:
        return None
    own = principal.scope
    bearer = [] if own is None else [own.trace_id, own.request_id]
    scope = json.dumps([principal.tenant, principal.name, dialect, operation, *bearer])
    canonical = json.dumps([(about, canonical_json(text)) for about, text in contents])
    return IdempotentCall(scope, key, hashlib.sha256(canonical.encode()).hexdigest())


def stored_feedback_ids(chosen: str, tenant: str | None) -> tuple[str, ...]:
    """Return the ids that an entry of a tenant's may have whose voter chose one: first that which it gets.

    That is made of both where there is a tenant, so that no id tells whether another tenant has it. The chosen one
    may be what a reply showed, or stem from before this was so.
    """
    return (chosen,) if tenant is None else (content_id(f"{chosen}\0{tenant}".encode()), chosen)


def canonical_json(text: str) -> str:
    """Return the one spelling of a JSON text that all texts with the same keys and values share."""
    return json.dumps(json.loads(text), sort_keys=True)
