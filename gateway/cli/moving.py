"""What `gateway migrate` and `gateway merge` have in common: one store is brought into another, and both are
checked."""

from __future__ import annotations

import click

from gateway.cli.progress import Progress
from gateway.cli.stores import audited, open_existing, open_or_create
from gateway.domain.database_url import name_of
from gateway.errors import BadInput, Conflict
from gateway.moving import Checked, Moved, Mover


async def move(source_url: str, target_url: str) -> None:
    """Bring everything from one store into another, and say what came of it.

    Raises:
        BadInput: they are the same.
        Conflict: the target is not what it should be afterwards.
        NotFound: there is no source.
    """
    if source_url == target_url:
        raise BadInput("a store cannot be brought into itself.")
    async with (
        open_existing(source_url) as source,
        open_or_create(target_url) as target,
        audited(target, "merge", name_of(source_url)),
    ):
        progress = Progress()
        mover = Mover(source, target, lambda moved: progress.tell(lambda: _read(moved), _number_read(moved)))
        checked = await mover.run()
        _tell(mover.moved, progress.seconds)
        _judge(mover.moved, checked)


def _read(moved: Moved) -> str:
    return f"{moved.met.requests:,} requests and {moved.met.feedback:,} feedback entries read"


def _number_read(moved: Moved) -> int:
    return moved.met.requests + moved.met.feedback


def _tell(moved: Moved, seconds: float) -> None:
    met, added = moved.met, moved.added
    click.echo(f"requests  {met.requests:,} read, {added.requests:,} added")
    click.echo(f"feedback  {met.feedback:,} read, {added.feedback:,} added; {added.versions:,} versions")
    click.echo(f"keys      {moved.keys:,} added")
    for name in moved.refused_keys:
        click.echo(f"The key {name!r} is left out: another live key has its name.", err=True)
    click.echo(f"in {seconds:,.1f} s")


def _judge(moved: Moved, checked: Checked) -> None:
    if checked.wrong:
        raise Conflict(
            f"the target did not grow by what was added, by its {', '.join(checked.wrong)}.",
            hint="If nobody else wrote to it meanwhile, keep the source and compare.",
        )
    if checked.missed:
        click.echo("Somebody wrote to the source meanwhile: run it again to bring the rest.", err=True)
    else:
        click.echo(
            f"checked   {moved.met.prompt_tokens + moved.met.completion_tokens:,} tokens,"
            f" {moved.met.cost_nanousd / 1e9:,.2f} USD, {moved.met.body_bytes:,} bytes of bodies: all there"
        )
