"""Places: where the entry is that stands for a vote on a request.

A request has several names, and may be voted on before it is logged and after. Each way to say the same leads
to ids that can be worked out: so votes at the same time meet in one entry without asking each other, and a
later vote finds what an earlier one made under another name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.domain.feedback import Feedback
from gateway.domain.ids import content_id
from gateway.domain.principal import Principal
from gateway.domain.subject import Subject
from gateway.errors import Conflict


@dataclass(frozen=True, slots=True)
class Place:
    """The place of one vote.

    Args:
        metric: what is judged.
        subject: the logged request; None while there is none of that name.
        ids: where entries may be that stand for the vote. The first is the id of a new one.
    """

    metric: str
    subject: Subject | None
    ids: tuple[str, ...]

    def entries(self, known: Mapping[str, Feedback], principal: Principal) -> list[Feedback]:
        """Return the entries that stand here, of those that are known by their ids: the one given last comes
        first, and withdrawn ones come after all others.

        Raises:
            Conflict: the id of a new entry is that of one which stands for something else.
        """
        found = [known[each] for each in self.ids if each in known]
        here = [entry for entry in found if self._holds(entry, principal)]
        own = known.get(self.ids[0])
        if own is not None and own not in here:
            raise Conflict(f"the id {own.feedback_id} is that of another entry.")
        return sorted(here, key=lambda entry: (entry.deleted_at_us is not None, -entry.updated_at_us))

    def _holds(self, entry: Feedback, principal: Principal) -> bool:
        if entry.metric != self.metric or not principal.sees(entry.tenant):
            return False
        subject = self.subject
        return subject is None or (
            (entry.tenant, entry.trace_id, entry.request_id)
            == (subject.tenant, subject.trace_id, subject.request_id)
        )


def place_of(
    request_id: str, subject: Subject | None, tenant: str | None, author: str | None, metric: str
) -> Place:
    """Return the place of a vote.

    Args:
        request_id: the request's id as the voter gave it.
        subject: the request that it names, if it is logged.
        tenant: the voter's.
    """
    if subject is None:
        return Place(metric, None, (standing_id(tenant, request_id, author, metric),))
    own = standing_id(subject.tenant, (subject.trace_id, subject.request_id), author, metric)
    given_before_it_was_logged = (
        standing_id(owner, name, author, metric)
        for owner in (subject.tenant, None)
        for name in (subject.request_id, subject.response_id, request_id)
        if name is not None
    )
    return Place(metric, subject, tuple(dict.fromkeys((own, *given_before_it_was_logged))))


def standing_id(
    tenant: str | None, name: str | tuple[str | None, str | None], author: str | None, metric: str
) -> str:
    """Return the id of the entry that stands for these, made from all of them.

    Args:
        name: trace id and request id of a logged request; of another, the one id that is known of it.
    """
    return content_id(json.dumps([tenant, name, author, metric]).encode())
