"""A demo on a real socket, without pauses, and the official SDKs that talk to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from gateway.demo import DemoUpstream, start_demo


@pytest.fixture
async def demo() -> AsyncIterator[DemoUpstream]:
    upstream = await start_demo(pause_seconds=0)
    yield upstream
    await upstream.close()


@pytest.fixture
async def openai(demo: DemoUpstream) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=demo.base_url, api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture
async def anthropic(demo: DemoUpstream) -> AsyncIterator[AsyncAnthropic]:
    base_url = demo.base_url.removesuffix("/v1")
    async with AsyncAnthropic(base_url=base_url, api_key="any", max_retries=0) as client:
        yield client
