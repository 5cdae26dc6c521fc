"""Imported by the fork server alone: does once what each gateway would do at its start, before any is forked."""

from __future__ import annotations

import asyncio
import gc
import os
import ssl
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import gateway.cli.serve
import gateway.server.ingester
import gateway.server.worker  # noqa: F401
from gateway.app import WorkerContext
from gateway.config import load_config
from gateway.server.http_server import open_http_server
from gateway.store.journal_files import GatewayJournal

_create_context = ssl.create_default_context


@cache
def _trust(file: str | None, folder: str | None) -> ssl.SSLContext:
    return _create_context()


def _share_context(*arguments: Any, **options: Any) -> ssl.SSLContext:
    if arguments or options:
        return _create_context(*arguments, **options)
    return _trust(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


async def _start_once() -> None:
    with tempfile.TemporaryDirectory() as folder:
        options = {
            "storage.url": f"sqlite:///{folder}/gateway.db",
            "providers.up.base_url": "http://127.0.0.1:9/v1",
        }
        config = load_config(None, {}, options)
        journal = GatewayJournal.create(Path(folder, "gateway.db.journal"))
        async with open_http_server(config, WorkerContext(journal)):
            pass
        journal.close()


# All certificates of the machine are read for each context.
ssl.create_default_context = _share_context
# Fills caches, of regular expressions for instance.
asyncio.run(_start_once())
# What is frozen no gateway's collector visits, so it stays one memory for all.
gc.collect()
gc.freeze()
