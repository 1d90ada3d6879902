"""The store and the channels of a configuration, with the dispatcher between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from driftd.config.folders import shared_database
from driftd.config.settings import Config
from driftd.daemon.assembly import Clock, utc_now
from driftd.daemon.channels import ObservedChannel, channels
from driftd.notify.dispatcher import Dispatcher
from driftd.store.store import Store
from driftd.store.takeover import take_over


@dataclass(frozen=True, slots=True)
class Messaging:
    """What a change of the rest of the configuration leaves as it is. `channels` are their names."""

    store: Store
    channels: tuple[str, ...]
    dispatcher: Dispatcher


def _unobserved(_channel: str, _ok: bool) -> None:  # as ObservedChannel calls it
    """A command has no metrics."""


@asynccontextmanager
async def messaging(
    config: Config, *, now: Clock = utc_now, on_delivery: Callable[[str, bool], None] = _unobserved
) -> AsyncIterator[Messaging]:
    """Opens the store and the channels of a configuration. `on_delivery` observes each delivery.

    What is being sent at the end is sent, and recorded, before the store closes. Raises: StoreError.
    """
    async with AsyncExitStack() as stack:
        store = await open_store(config)
        stack.push_async_callback(store.close)
        opened = tuple(ObservedChannel(channel, on_delivery) for channel in channels(config))
        dispatcher = Dispatcher(store, opened, now)
        stack.push_async_callback(dispatcher.close)
        yield Messaging(store, tuple(channel.name for channel in opened), dispatcher)


async def open_store(config: Config) -> Store:
    """The store of a configuration. Raises: ConfigError: its password cannot be read; StoreError."""
    if config.store.url is None:
        own = Path(config.store_url.removeprefix("sqlite:///"))
        await asyncio.to_thread(take_over, shared_database(), own, {app.name for app in config.apps})
    return await Store.open(store_url(config))


def store_url(config: Config) -> str:
    """The store's address with its password, where it has one."""
    from sqlalchemy import make_url  # noqa: PLC0415  # only where a store is opened

    url = make_url(config.store_url)
    password = config.store.password
    return (url.set(password=password.read()) if password else url).render_as_string(hide_password=False)
