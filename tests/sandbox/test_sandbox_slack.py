"""The Slack-compatible endpoint accepts and refuses the same requests as Slack."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from driftd.sandbox.slack.workspace import SlackSandbox

Block = dict[str, Any]


@pytest.fixture
async def slack() -> AsyncIterator[SlackSandbox]:
    async with SlackSandbox(missing_channels=frozenset({"#none"})).serve() as running:
        yield running


@pytest.fixture
def client(slack: SlackSandbox) -> AsyncWebClient:
    return AsyncWebClient(token=slack.token, base_url=slack.api_url)


def _section(text: str) -> Block:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


async def test_a_message_is_posted_and_updated_in_place(slack: SlackSandbox, client: AsyncWebClient) -> None:
    """chat.postMessage returns a ts, chat.update keeps it, and a thread refers to it."""
    posted = await client.chat_postMessage(channel="#drift", text="one", blocks=[_section("one")])
    await client.chat_update(channel=posted["channel"], ts=posted["ts"], text="two")
    await client.chat_postMessage(channel="#drift", text="more", thread_ts=posted["ts"])
    first, reply = slack.messages("#drift")
    assert (first.text, first.edits, first.ts) == ("two", 1, posted["ts"])
    assert reply.thread_ts == first.ts
    assert (await client.auth_test())["ok"]


@pytest.mark.parametrize("token", ["xoxb-wrong", ""])
async def test_a_wrong_token_is_refused(slack: SlackSandbox, token: str) -> None:
    """With invalid_auth; a missing one with not_authed."""
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as http,
        http.post(slack.api_url + "chat.postMessage", json={"channel": "#c", "text": "t"}) as answer,
    ):
        body = await answer.json()
    assert body == {"ok": False, "error": "invalid_auth" if token else "not_authed"}
    assert not slack.messages()


@pytest.mark.parametrize(
    ("blocks", "remark"),
    [
        ([_section("x" * 3001)], "must be less than 3001 characters"),
        ([{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}], "must be less than 151 characters"),
        ([{"type": "header", "text": {"type": "mrkdwn", "text": "x"}}], "must be one of: plain_text"),
        ([{"type": "divider"}] * 51, "no more than 50 items allowed"),
        ([_section("")], "must be more than 0 characters"),
        ([{"type": "wonder"}], "unsupported type: wonder"),
        ([{"type": "section"}], "missing required field: text"),
        ([{"type": "section", "fields": [{"type": "mrkdwn", "text": "x"}] * 11}], "no more than 10 items"),
        ([{"type": "context", "elements": []}], "must have 1 to 10 items"),
        ([{"type": "actions", "elements": [{"type": "button", "text": {"type": "plain_text", "text": "x" * 76}}]}],
         "must be less than 76 characters"),
        ([{"type": "divider", "block_id": "a"}, {"type": "divider", "block_id": "a"}], "already exists"),
    ],
)  # fmt: skip
async def test_blocks_beyond_their_limits_are_refused(client: AsyncWebClient, blocks: list[Block], remark: str) -> None:
    """With invalid_blocks, and a message with the JSON pointer."""
    with pytest.raises(SlackApiError) as caught:
        await client.chat_postMessage(channel="#drift", text="t", blocks=blocks)
    assert caught.value.response["error"] == "invalid_blocks"
    assert remark in caught.value.response["response_metadata"]["messages"][0]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"channel": "#none", "text": "t"}, "channel_not_found"),
        ({"channel": "#c"}, "no_text"),
        ({"channel": "#c", "text": "x" * 40_001}, "msg_too_long"),
        ({"channel": "#c", "text": "t", "thread_ts": "1.2"}, "thread_not_found"),
    ],
)
async def test_an_invalid_message_is_refused(client: AsyncWebClient, arguments: Block, error: str) -> None:
    """With Slack's error code."""
    with pytest.raises(SlackApiError) as caught:
        await client.api_call("chat.postMessage", json=arguments)
    assert caught.value.response["error"] == error


async def test_rate_limits_and_errors_can_be_injected(slack: SlackSandbox, client: AsyncWebClient) -> None:
    """429 with Retry-After, then an error, then success."""
    slack.rate_limit(retry_after=7)
    with pytest.raises(SlackApiError) as limited:
        await client.chat_postMessage(channel="#c", text="t")
    assert (limited.value.response.status_code, limited.value.response.headers["Retry-After"]) == (429, "7")
    slack.fail("fatal_error")
    with pytest.raises(SlackApiError, match="fatal_error"):
        await client.chat_postMessage(channel="#c", text="t")
    await client.chat_postMessage(channel="#c", text="t")
    assert [message.text for message in slack.messages()] == ["t"]


async def test_the_webhook_accepts_messages(slack: SlackSandbox) -> None:
    """It answers ok, or an error code."""
    hook = AsyncWebhookClient(slack.webhook_url)
    assert (await hook.send(text="t", blocks=[_section("s")])).body == "ok"
    assert (await hook.send(blocks=[_section("x" * 3001)])).body == "invalid_blocks"
    elsewhere = AsyncWebhookClient(slack.webhook_url + "0")
    assert (await elsewhere.send(text="t")).status_code == 404
    assert [(message.via, message.text) for message in slack.messages()] == [("webhook", "t")]
