"""The signed webhook."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time

import notify_world as world
import pytest
from aiohttp import web

from driftd.model.document import notification_document
from driftd.model.errors import NotifyError
from driftd.notify.posting import parse_retry_after
from driftd.notify.webhook import WebhookChannel

CANARY = "canary-key-7f3a"


def channel(receiver: world.Receiver, secret: world.FakeSecret | None = None) -> WebhookChannel:
    return WebhookChannel(name="audit", url=receiver.url, secret=secret or world.FakeSecret(CANARY))


def verify(secret: str, request: world.Request) -> int:
    """What a receiver would do, written from the contract alone. Returns the signature's time."""
    parts = dict(part.split("=", 1) for part in request.headers["Driftd-Signature"].split(","))
    signed = parts["t"].encode() + b"." + request.body
    expected = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(expected, parts["v1"])
    return int(parts["t"])


async def test_the_receiver_can_verify_the_body_by_the_shared_secret(receiver):
    """Signature, time, id and body are as the contract says; the key is the file's text without its newline."""
    notification = world.told(world.OPENED)
    sender = channel(receiver)
    assert await sender.send(notification, None) is None
    await sender.close()
    [request] = receiver.requests
    assert abs(verify(CANARY, request) - time.time()) < 60
    assert json.loads(request.body) == notification_document(notification)
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Driftd-Delivery"] == request.headers["Idempotency-Key"] == notification.id
    with pytest.raises(AssertionError):
        verify("another key", request)


async def test_a_rotated_key_is_used_at_once(receiver):
    """The secret is read at each delivery."""
    secret = world.FakeSecret("old")
    sender = channel(receiver, secret)
    await sender.send(world.told(world.OPENED), None)
    secret.secret = "new"
    await sender.send(world.told(world.CHANGED), None)
    await sender.close()
    verify("old", receiver.requests[0])
    verify("new", receiver.requests[1])


@pytest.mark.parametrize(
    ("status", "permanent"),
    [(400, True), (410, True), (413, True), (422, True), (401, False), (403, False), (404, False), (408, False),
     (429, False), (500, False), (503, False), (301, False), (307, False)],
)  # fmt: skip
async def test_what_a_person_can_put_right_is_tried_again(receiver, status: int, permanent: bool):
    """The receiver's no to this very body is final; an outage, a limit or a wrong key is not."""
    receiver.next(status, Location="http://127.0.0.1:9/elsewhere")
    sender = channel(receiver)
    with pytest.raises(NotifyError, match=rf"audit: HTTP {status}") as caught:
        await sender.send(world.told(world.OPENED), None)
    await sender.close()
    assert caught.value.permanent is permanent
    assert len(receiver.requests) == 1


async def test_the_receivers_wish_to_wait_is_told(receiver):
    """Retry-After in seconds or as a date."""
    receiver.next(429, Retry_After="17")
    sender = channel(receiver)
    with pytest.raises(NotifyError) as caught:
        await sender.send(world.told(world.OPENED), None)
    await sender.close()
    assert caught.value.retry_after == 17
    assert parse_retry_after("Fri, 31 Dec 2100 23:59:59 GMT") > 10**6
    assert parse_retry_after("Fri, 31 Dec 1999 23:59:59 GMT") == 0
    assert parse_retry_after("soon") is None
    assert parse_retry_after(None) is None


async def test_a_receiver_that_is_not_there_is_tried_again_and_its_address_stays_secret(receiver, monkeypatch):
    """No connection, a broken one, no answer, no key: all pass, and none is told with the address or the key."""
    monkeypatch.setattr("driftd.notify.posting.TIMEOUT", 0.2)

    async def hang() -> web.StreamResponse:
        await asyncio.Event().wait()
        return web.Response()

    gone = WebhookChannel(name="audit", url="http://127.0.0.1:9/canary-path", secret=world.FakeSecret(CANARY))
    odd = WebhookChannel(name="audit", url="http://[canary-path/", secret=world.FakeSecret(CANARY))
    slow = channel(receiver)
    receiver.answers.append(hang)
    keyless = channel(receiver, world.FakeSecret(None))
    for sender in (gone, odd, slow, keyless):
        with pytest.raises(NotifyError) as caught:
            await sender.send(world.told(world.OPENED), None)
        await sender.close()
        assert not caught.value.permanent
        assert "canary" not in str(caught.value)
    assert "/etc/driftd/secret" in str(caught.value)
