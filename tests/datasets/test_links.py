"""Links open one file, for a while, and cannot be made by anybody else."""

from __future__ import annotations

import pytest

from gateway.datasets.files import ExportLinks
from gateway.errors import Forbidden
from gateway.store.base import Store


@pytest.fixture
def links(store: Store) -> ExportLinks:
    return ExportLinks(store)


async def test_a_link_opens_its_file_also_in_another_process(links: ExportLinks, store: Store) -> None:
    expires_at, signature = await links.sign("job")
    await links.check("job", str(expires_at), signature)
    await ExportLinks(store).check("job", str(expires_at), signature)


async def test_a_link_opens_no_other_file_and_no_longer_than_it_says(links: ExportLinks) -> None:
    expires_at, signature = await links.sign("job")
    for export_id, expires, signed in (
        ("other", str(expires_at), signature),
        ("job", str(expires_at + 1), signature),
        ("job", f" {expires_at}", signature),
        ("job", str(expires_at), signature[:-1]),
        ("job", str(expires_at), signature.upper()),
        ("job", str(expires_at), "é\ud800"),
        ("job", "", ""),
        (f"job {expires_at}", "", signature),
    ):
        with pytest.raises(Forbidden, match="is not valid"):
            await links.check(export_id, expires, signed)


async def test_a_link_ends(links: ExportLinks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.datasets.files.LINK_SECONDS", 0)
    expires_at, signature = await links.sign("job")
    with pytest.raises(Forbidden, match="expired"):
        await links.check("job", str(expires_at), signature)


async def test_stores_have_keys_of_their_own(links: ExportLinks, store: Store) -> None:
    _, signature = await links.sign("job")
    assert len(signature) == 64
    key = await store.link_key(b"never taken")
    assert len(key) == 32
