"""What the calls that erase a person have in common: the parameter that only counts, and the reply."""

from __future__ import annotations

from aiohttp import web
from pydantic import Field

from gateway.api.native.replies import Shape, reply
from gateway.domain.erasure import Belongings
from gateway.erasing import Eraser
from gateway.web.face import Parameter

DRY_RUN = Parameter(
    "dry_run",
    "`true`: say how much would be erased, and erase nothing.",
    {"type": "boolean", "default": False},
)


class ErasedReply(Shape):
    requests: int = Field(description="Requests of which only the figures are left.")
    feedback: int = Field(description="Entries of which nothing is left.")
    dry_run: bool = Field(description="Whether nothing was erased, only counted.")


def target_without_person(request: web.Request) -> str | None:
    """Return what stands in the audit log: not who was erased, only whether nobody was."""
    return f"{DRY_RUN.name}=true" if request.query.get(DRY_RUN.name) == "true" else None


async def erase_unless_dry(eraser: Eraser, belongings: Belongings, is_dry: bool) -> web.Response:
    """Erase what was found, or only count it, and reply."""
    if not is_dry:
        await eraser.erase(belongings)
    erased = ErasedReply(
        requests=len(belongings.request_seqs), feedback=len(belongings.feedback_ids), dry_run=is_dry
    )
    return reply(erased)
