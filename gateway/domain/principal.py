"""Who is calling, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gateway.domain.limit import Limit


class Role(StrEnum):
    """What a key is for. `feedback` may write feedback but read nothing; `admin` may do everything."""

    PROXY = "proxy"
    FEEDBACK = "feedback"
    READ = "read"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Scope:
    """One logged request, to be judged by itself or as part of its trace."""

    trace_id: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller behind a request.

    Args:
        name: name of the key that came with it; None where the gateway is open.
        roles: what it may do.
        tenant: the only tenant whose rows it sees and changes; None sees all.
        limits: how much of what it may use; none: as much as it likes.
        scope: the only request that it may judge, for a caller that came with a feedback token: one that has
            no role, and acts for the key in `name`, whose request that was. None: any request.
    """

    name: str | None
    roles: frozenset[Role]
    tenant: str | None = None
    scope: Scope | None = None
    limits: tuple[Limit, ...] = ()

    def may(self, role: Role) -> bool:
        """Tell whether this caller may act in `role`."""
        return role in self.roles or Role.ADMIN in self.roles

    def sees(self, tenant: str | None) -> bool:
        """Tell whether what belongs to `tenant` exists for this caller."""
        return self.tenant is None or self.tenant == tenant


OPEN = Principal(name=None, roles=frozenset({Role.ADMIN}))
"""Everybody, on a gateway without keys."""
