"""A PostgreSQL server that goes silent, as behind a firewall that forgets connections, or in a failover."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import store_world as world
from sqlalchemy import make_url

from driftd.model.errors import StoreError
from driftd.store import Store, database
from tests.support import POSTGRESQL
from tests.support.postgres import Postgres


@dataclass
class Wire:
    """Passes bytes on between a client and a server, or keeps them while `talks` is not set."""

    host: str
    port: int
    talks: asyncio.Event = field(default_factory=asyncio.Event)

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self.host, self.port)
        await asyncio.gather(self._pass(reader, back), self._pass(there, writer), return_exceptions=True)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                await self.talks.wait()
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()


@asynccontextmanager
async def wired(address: str) -> AsyncIterator[tuple[Wire, str]]:
    """A wire to a database server, and the database's address by way of it."""
    url = make_url(address)
    wire = Wire(str(url.host), int(url.port or 0))
    wire.talks.set()
    server = await asyncio.start_server(wire.connect, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield wire, url.set(host="127.0.0.1", port=port).render_as_string(hide_password=False)
    finally:
        wire.talks.set()
        server.close()


@getattr(pytest.mark, POSTGRESQL)
async def test_a_silent_server_is_given_up_and_works_again_when_it_talks(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else all passes and messages would wait, and what was in sync before would stay so."""
    address = postgres.new_database()
    async with wired(address) as (wire, url):
        store = await Store.open(url)
        await store.record_report(world.report(world.verdict()))
        monkeypatch.setattr(database, "_ANSWER_SECONDS", 0.5)
        wire.talks.clear()
        calls = [
            store.record_report(world.report(world.verdict(), minute=1)),
            store.backlog(),
            store.last_report("web"),
        ]
        async with asyncio.timeout(30):
            results = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(one, StoreError) for one in results), results
        assert any("did not answer within" in str(one) for one in results), results
        assert "did not answer" in str(store.write_error)
        monkeypatch.undo()
        wire.talks.set()
        await store.record_report(world.report(world.verdict(), minute=2))
        last = await store.last_report("web")
        assert last is not None
        assert last.time == world.report(minute=2).time
        await store.close()
    postgres.drop_database(address)
