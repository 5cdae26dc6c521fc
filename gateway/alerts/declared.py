"""What webhooks and rules have in common: names, how many there may be, and those of the configuration file."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from gateway.errors import BadInput, Conflict, GatewayError, StoreUnavailable
from gateway.models.principal import Principal
from gateway.models.rules import Rule
from gateway.models.webhooks import SettingSource, Webhook

MAX_NAME_CHARS = 128

Settings = TypeVar("Settings")
Stored = TypeVar("Stored", Rule, Webhook)


@dataclass(frozen=True, slots=True)
class Declared(Generic[Settings]):
    """A setting of the configuration file."""

    tenant: str | None
    settings: Settings


def check_name(name: str) -> None:
    """Raise BadInput for a name that cannot be shown."""
    if not (0 < len(name) <= MAX_NAME_CHARS and name.isprintable()):
        raise BadInput(f"must be 1 to {MAX_NAME_CHARS} printable characters.", field="name")


def check_room(stored: Sequence[Rule | Webhook], principal: Principal, most: int, noun: str) -> None:
    """Raise Conflict where a tenant has as many as it may have; what one tenant has leaves room for others."""
    if sum(each.tenant == principal.tenant for each in stored) >= most:
        raise Conflict(f"there are {most} {noun}s, as many as may be.", hint="Remove some.")


def refuse_file(setting: Rule | Webhook, noun: str) -> None:
    """Raise Conflict for a setting of the configuration file, which is changed there."""
    if setting.source is SettingSource.FILE:
        raise Conflict(
            f"the {noun} {setting.name!r} is declared in the configuration file.",
            field=f"{noun}_id",
            hint="Change it there, and have the gateway reload it (SIGHUP); it can be enabled and disabled here.",
        )


async def store_declared(
    declared: Mapping[str, Declared[Settings]],
    stored: Sequence[Stored],
    remove: Callable[[Stored], Awaitable[None]],
    store: Callable[[str, Declared[Settings], Stored | None], Awaitable[None]],
) -> dict[str, str]:
    """Make the stored settings of the file those that it declares; return by name why some could not be stored.

    Args:
        store: takes also what is stored of that name and tenant, if anything.
    """
    of_file = {each.name: each for each in stored if each.source is SettingSource.FILE}
    for name, each in list(of_file.items()):
        if name not in declared or declared[name].tenant != each.tenant:
            await remove(of_file.pop(name))
    failures: dict[str, str] = {}
    for name, setting in declared.items():
        try:
            await store(name, setting, of_file.get(name))
        except StoreUnavailable:
            raise
        except GatewayError as error:
            # Another process may have stored it just now, or what it names is not stored yet.
            failures[name] = str(error)
    return failures
