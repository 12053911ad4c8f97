"""The servers that tests share, and an HTTP session for each test, as an agent's job has one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import lastword_server
import pytest
import pytest_asyncio
from livekit.agents import utils


@pytest.fixture(scope="session")
def whisper_url() -> Iterator[str]:
    """The real server with the fixture model."""
    with lastword_server.running() as url:
        yield url


@pytest.fixture(scope="session")
def scripted_url() -> Iterator[str]:
    """The real server with words made from audio by rule."""
    with lastword_server.running("--recognizer", "scripted") as url:
        yield url


@pytest.fixture(scope="session")
def impatient_url() -> Iterator[str]:
    """The real server, which ends a session after 3 s without a sign of life."""
    small = ("--keepalive-interval-ms", "500", "--idle-timeout-ms", "3000")
    with lastword_server.running("--recognizer", "scripted", *small) as url:
        yield url


@pytest.fixture(scope="session")
def guarded_url() -> Iterator[str]:
    """The real server, which asks for a credential."""
    with lastword_server.running("--recognizer", "scripted", "--token", "open-sesame") as url:
        yield url


@pytest_asyncio.fixture(autouse=True)
async def http_session() -> AsyncIterator[None]:
    """What an agent's job binds: the plugin takes its session from there."""
    async with utils.http_context.open():
        yield
