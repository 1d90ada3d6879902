"""Slack, by token and by webhook."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace

import notify_world as world
import pytest
from slack_workspace import TOKEN, Workspace

from driftd.model.errors import NotifyError
from driftd.notify.dispatcher import Dispatcher
from driftd.notify.slack_channel import SlackChannel
from driftd.notify.slack_webhook import SlackWebhookChannel
from driftd.store import Store
from tests.support.incidents import save_incident


@pytest.fixture
async def workspace() -> AsyncIterator[Workspace]:
    started = Workspace()
    await started.start()
    yield started
    await started.stop()


@pytest.fixture
async def token() -> world.FakeSecret:
    return world.FakeSecret(TOKEN)


@pytest.fixture
async def channel(workspace: Workspace, token: world.FakeSecret) -> AsyncIterator[SlackChannel]:
    made = SlackChannel(token=token, channel="#drift", api_url=workspace.api_url)
    yield made
    await made.close()


async def test_an_incident_is_one_message_with_a_reply_on_resolution(workspace, channel):
    """OpenWorld posts, changed updates, resolved updates and replies in the thread, which notifies people."""
    receipt = None
    for event in (world.OPENED, world.CHANGED, world.RESOLVED):
        receipt = await channel.send(world.notification_of(event), receipt)
    message, reply = workspace.messages
    assert message["text"].startswith("✅ web on prod: drift is over: healed by driftd after 42 s")
    assert "~Deployment `web/web`~ was drifted" in json.dumps(message["blocks"], ensure_ascii=False)
    assert (reply["text"], reply["thread_ts"]) == ("✅ resolved: healed by driftd after 42 s", message["ts"])
    assert workspace.edits == 2
    assert all(m["link_names"] is False and m["parse"] == "none" for m in workspace.messages)


async def test_a_deleted_message_is_posted_again(workspace, channel):
    """An update without a message to update is not lost."""
    await channel.send(world.notification_of(world.OPENED), None)
    workspace.messages.clear()
    receipt = await channel.send(world.notification_of(world.CHANGED), "C1:1700000000.000001")
    assert len(workspace.messages) == 1
    assert receipt == f"C1:{workspace.messages[0]['ts']}"


async def test_the_biggest_message_is_within_slacks_limits(workspace, channel):
    """Thousands of objects with long values make one message that Slack accepts."""
    fields = [world.drift("&" * 500 + str(i), "<" * 500 + str(i)) for i in range(40)]
    objects = [world.drifted(f"web-{i}", *fields) for i in range(2000)]
    await channel.send(world.notification_of(world.OPENED, world.incident(*objects)), None)
    [message] = workspace.messages
    assert "more objects" in message["blocks"][-2]["text"]["text"]


async def test_a_wrong_token_is_not_shown_and_a_new_one_is_used_at_once(workspace, channel, token, caplog):
    """The file is read at each use; neither the error nor the log contains it."""
    caplog.set_level(logging.DEBUG)
    token.secret = "xoxb-wrong-canary"
    with pytest.raises(NotifyError, match="invalid_auth") as caught:
        await channel.send(world.notification_of(world.OPENED), None)
    assert not caught.value.permanent
    assert "canary" not in str(caught.value) + caplog.text
    token.secret = TOKEN
    await channel.send(world.notification_of(world.OPENED), None)
    assert len(workspace.messages) == 1
    assert "canary" not in caplog.text
    token.secret = None
    with pytest.raises(NotifyError, match="no such file"):
        await channel.send(world.notification_of(world.OPENED), None)


@pytest.mark.parametrize(
    ("status", "answer", "headers", "retry_after", "says"),
    [
        (429, {"ok": False, "error": "ratelimited"}, {"Retry-After": "30"}, 30, "ratelimited"),
        (503, {}, {}, None, "HTTP 503"),
        (200, {"ok": False, "error": "not_in_channel"}, {}, None, "invite it"),
        (200, {"ok": False, "error": "internal_error"}, {}, None, "internal_error"),
    ],
)
async def test_temporary_failures_of_slack_are_retried(workspace, channel, status, answer, headers, retry_after, says):
    """Rate limits with their delay, outages, and what an administrator can mend."""
    workspace.failures.append((status, answer, headers))
    with pytest.raises(NotifyError, match=says) as caught:
        await channel.send(world.notification_of(world.OPENED), None)
    assert (caught.value.permanent, caught.value.retry_after) == (False, retry_after)
    await channel.send(world.notification_of(world.OPENED), None)
    assert len(workspace.messages) == 1


@pytest.mark.parametrize("code", ["is_archived", "not_in_channel", "channel_not_found", "message_not_found"])
async def test_a_message_that_cannot_be_updated_where_it_is_is_posted_where_it_belongs_now(workspace, channel, code):
    """The channel may have been archived, and another one configured, since it was posted."""
    receipt = await channel.send(world.notification_of(world.OPENED), None)
    workspace.failures.append((200, {"ok": False, "error": code}, {}))
    again = await channel.send(world.notification_of(world.CHANGED), receipt)
    assert again != receipt
    assert len(workspace.messages) == 2


async def test_a_page_of_a_proxy_is_no_delivery(workspace, channel):
    """It answers with 200, by token and by webhook; the message is sent again."""
    hook = SlackWebhookChannel(url=world.FakeSecret(workspace.webhook_url))
    for sender in (channel, hook):
        workspace.failures.append((200, "<!DOCTYPE html><title>Sign in</title>", {}))
        with pytest.raises(NotifyError, match="proxy") as caught:
            await sender.send(world.notification_of(world.OPENED), None)
        assert not caught.value.permanent
        await sender.send(world.notification_of(world.OPENED), None)
    await hook.close()
    assert len(workspace.messages) == 2


@pytest.mark.parametrize(
    "answer",
    ["\ufeff<!doctype html>Sign in", ' {"ok": false, "error": "x"}', '{"success":false}', '{"a":1,"ok" : false}'],
)
async def test_a_webhook_that_says_it_has_not_taken_the_message_has_not(workspace, answer: str):
    """Whatever the status line: servers that are compatible with Slack's webhooks answer so, and proxies."""
    hook = SlackWebhookChannel(url=world.FakeSecret(workspace.webhook_url))
    workspace.failures.append((200, answer, {}))
    with pytest.raises(NotifyError) as caught:
        await hook.send(world.notification_of(world.OPENED), None)
    assert not caught.value.permanent
    for taken in ('{"ok": true}', '{"success":true,"text":"ok: false"}', ""):
        workspace.failures.append((200, taken, {}))
        await hook.send(world.notification_of(world.OPENED), None)
    await hook.close()


@pytest.mark.parametrize(
    "answer", [{"ok": True, "channel": None, "ts": 5}, {"ok": True, "channel": "C1", "ts": ["1.2"]}]
)
async def test_a_post_without_a_usable_place_cannot_be_updated_and_is_delivered(workspace, channel, answer):
    """A receipt that is made up would make the next message go nowhere."""
    workspace.failures.append((200, answer, {}))
    assert await channel.send(world.notification_of(world.OPENED), None) is None


async def test_a_token_with_a_line_break_in_it_is_an_error_that_does_not_quote_it(workspace, token):
    """It is retried: the file may be put right."""
    token.secret = "xoxb-canary\nsecond line"
    sender = SlackChannel(token=token, channel="#drift", api_url=workspace.api_url)
    with pytest.raises(NotifyError, match="a line break, say") as caught:
        await sender.send(world.notification_of(world.OPENED), None)
    await sender.close()
    assert not caught.value.permanent
    assert "canary" not in str(caught.value)


async def test_when_slack_rejects_the_blocks_the_plain_text_is_sent(workspace, channel):
    """Only if that is rejected too, the failure is permanent."""
    workspace.failures.append((200, {"ok": False, "error": "invalid_blocks"}, {}))
    await channel.send(world.notification_of(world.OPENED), None)
    assert workspace.messages[0]["blocks"] == []
    assert "Deployment web/web" in workspace.messages[0]["text"]
    workspace.failures.append((200, {"ok": False, "error": "msg_too_long"}, {}))
    with pytest.raises(NotifyError) as caught:
        await channel.send(world.notification_of(world.OPENED), None)
    assert caught.value.permanent


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_takes_neither_the_token_nor_the_message_elsewhere(workspace, channel, receiver, status: int):
    """By token and by webhook."""
    hook = SlackWebhookChannel(url=world.FakeSecret(workspace.webhook_url))
    for sender in (channel, hook):
        workspace.failures.append((status, {"text": ""}, {"Location": receiver.url}))
        with pytest.raises(NotifyError, match="redirects are not followed"):
            await sender.send(world.notification_of(world.OPENED), None)
    await hook.close()
    assert receiver.requests == []
    assert workspace.messages == []


async def test_a_post_that_slack_accepted_is_not_repeated_for_want_of_its_answer(receiver, token, monkeypatch):
    """An answer that does not end, or names no message: the message is there, and cannot be updated."""
    monkeypatch.setattr("driftd.notify.http_poster._BODY_TIMEOUT", 0.2)
    channel = SlackChannel(token=token, channel="#drift", api_url=receiver.url)
    receiver.next_endless(200)
    assert await channel.send(world.notification_of(world.OPENED), None) is None
    receiver.next(200, text='{"ok": true}')
    assert await channel.send(world.notification_of(world.OPENED), None) is None
    receiver.next(200, text='{"ok": true, "channel": {"a": 1}, "ts": ["' + "9" * 100 + '"]}')
    assert await channel.send(world.notification_of(world.OPENED), None) is None
    receiver.next(200, text="<html>a proxy's page</html>")
    with pytest.raises(NotifyError, match="HTTP 200"):
        await channel.send(world.notification_of(world.OPENED), None)
    await channel.close()
    assert len(receiver.requests) == 4


async def test_the_error_for_an_unreachable_slack_does_not_contain_the_token(token):
    """It is a sentence about Slack."""
    channel = SlackChannel(token=token, channel="#drift", api_url="http://127.0.0.1:9/api/")
    with pytest.raises(NotifyError, match="slack: no connection") as caught:
        await channel.send(world.notification_of(world.OPENED), None)
    await channel.close()
    assert "canary" not in str(caught.value)


async def test_a_webhook_posts_every_event_as_a_message(workspace):
    """It cannot update; errors do not contain the URL, which is the secret."""
    channel = SlackWebhookChannel(url=world.FakeSecret(workspace.webhook_url))
    for event in (world.OPENED, world.CHANGED, world.RESOLVED):
        assert await channel.send(world.notification_of(event), None) is None
    assert [m["text"][:2] for m in workspace.messages] == ["⚠️", "⚠️", "✅ "]
    workspace.failures.append((403, {"text": "action_prohibited"}, {}))
    with pytest.raises(NotifyError, match=r"slack: HTTP 403 .action_prohibited") as caught:
        await channel.send(world.notification_of(world.OPENED), None)
    assert not caught.value.permanent
    assert "canary" not in str(caught.value)
    workspace.failures.append((400, {"text": "invalid_blocks"}, {}))
    await channel.send(world.notification_of(world.OPENED), None)
    assert "blocks" not in workspace.messages[-1]
    await channel.close()


async def test_from_the_outbox_an_incident_becomes_one_updated_message(workspace, channel, store: Store):
    """Across a restart in between, and a rate limit: one message, updated, one reply."""
    clock = world.Clock()
    await _accept(store, world.OPENED)
    workspace.failures.append((429, {"ok": False, "error": "ratelimited"}, {"Retry-After": "5"}))
    assert not await Dispatcher(store, [channel], clock, monotonic=clock.monotonic).drain(5)
    clock.now += 10 * (world.T0 - world.T0.replace(second=10))
    assert await Dispatcher(store, [channel], clock, monotonic=clock.monotonic).drain(5)
    await _accept(store, world.CHANGED)
    await _accept(store, world.RESOLVED)
    clock.now += 10 * (world.T0 - world.T0.replace(second=10))
    assert await Dispatcher(store, [channel], clock, monotonic=clock.monotonic).drain(5)
    assert [("thread_ts" in m, m["text"][0]) for m in workspace.messages] == [(False, "✅"), (True, "✅")]


async def _accept(store: Store, event) -> None:
    told = world.notification_of(event)
    await save_incident(store, replace(told.incident), told, ["slack"])
