"""The same channels with the Slack-compatible endpoint of the sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator

import notify_world as world
import pytest

from driftd.model.errors import NotifyError
from driftd.notify.dispatcher import Dispatcher
from driftd.notify.slack_channel import SlackChannel
from driftd.notify.slack_webhook import SlackWebhookChannel
from driftd.sandbox.slack.workspace import SlackSandbox
from driftd.store import Store
from tests.support.incidents import save_incident


@pytest.fixture
async def slack() -> AsyncIterator[SlackSandbox]:
    async with SlackSandbox(token="xoxb-canary").serve() as served:
        yield served


@pytest.fixture
async def channel(slack: SlackSandbox) -> AsyncIterator[SlackChannel]:
    made = SlackChannel(token=world.FakeSecret(slack.token), channel="#drift", api_url=slack.api_url)
    yield made
    await made.close()


async def test_an_incident_is_one_message_and_a_reply(slack, channel, store: Store):
    """Through the outbox, past a rate limit and an outage."""
    clock = world.Clock()
    dispatcher = Dispatcher(store, [channel], clock, monotonic=clock.monotonic)
    slack.rate_limit(retry_after=3)
    slack.fail("internal_error")
    for event in (world.OPENED, world.CHANGED, world.RESOLVED):
        told = world.notification_of(event)
        await save_incident(store, told.incident, told, ["slack"])
    for _ in range(3):
        await dispatcher.drain(5)
        clock.advance(world.timedelta(minutes=1))
    message, reply = slack.messages("#drift")
    assert (message.edits, message.text[0]) == (2, "✅")
    assert (reply.thread_ts, reply.text) == (message.ts, "✅ resolved: healed by driftd after 42 s")
    assert not (await store.backlog())


async def test_the_biggest_messages_keep_every_limit(slack, channel):
    """By token and by webhook, nothing is refused: the blocks arrive, not the plain text in their place."""
    fields = [world.drift("&" * 500 + str(i), "line <\n" * 50 + str(i)) for i in range(40)]
    about = world.incident(*[world.drifted(f"web-{i}", *fields) for i in range(500)])
    await channel.send(world.notification_of(world.OPENED, about), None)
    hook = SlackWebhookChannel(url=world.FakeSecret(slack.webhook_url))
    await hook.send(world.notification_of(world.OPENED, about), None)
    await hook.close()
    assert [(m.via, bool(m.blocks)) for m in slack.messages()] == [("api", True), ("webhook", True)]


async def test_the_error_for_a_wrong_token_does_not_contain_it(slack):
    """It says what to do."""
    channel = SlackChannel(token=world.FakeSecret("xoxb-wrong-canary"), channel="#drift", api_url=slack.api_url)
    with pytest.raises(NotifyError, match="token is not valid") as caught:
        await channel.send(world.notification_of(world.OPENED), None)
    await channel.close()
    assert "canary" not in str(caught.value)
