"""The signed webhook."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from dataclasses import replace

import notify_world as world
import pytest
from aiohttp import web

from driftd.model.document import notification_document
from driftd.model.errors import NotifyError
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


async def test_the_receiver_can_verify_the_body_with_the_shared_secret(receiver):
    """Signature, time, id and body are as documented; the key is the file's content without its newline."""
    notification = world.notification_of(world.OPENED)
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
    await sender.send(world.notification_of(world.OPENED), None)
    secret.secret = "new"
    await sender.send(world.notification_of(world.CHANGED), None)
    await sender.close()
    verify("old", receiver.requests[0])
    verify("new", receiver.requests[1])


@pytest.mark.parametrize(
    ("status", "permanent"),
    [(400, True), (410, True), (415, True), (422, True), (401, False), (402, False), (403, False), (404, False),
     (405, False), (408, False), (451, False), (429, False), (500, False), (503, False), (301, False),
     (307, False)],
)  # fmt: skip
async def test_only_a_rejected_body_is_permanent(receiver, status: int, permanent: bool):
    """An outage, a rate limit and a wrong key are retried."""
    receiver.next(status, Location="http://127.0.0.1:9/elsewhere")
    sender = channel(receiver)
    with pytest.raises(NotifyError, match=rf"audit: HTTP {status}") as caught:
        await sender.send(world.notification_of(world.OPENED), None)
    await sender.close()
    assert caught.value.permanent is permanent
    assert len(receiver.requests) == 1


async def test_the_retry_after_of_a_receiver_is_passed_on(receiver):
    """In seconds."""
    receiver.next(429, Retry_After="17")
    sender = channel(receiver)
    with pytest.raises(NotifyError) as caught:
        await sender.send(world.notification_of(world.OPENED), None)
    await sender.close()
    assert caught.value.retry_after == 17


async def test_the_status_line_decides_not_the_end_of_the_body(receiver, monkeypatch):
    """2xx is delivered whatever follows; a refusal whose body does not end is one all the same."""
    monkeypatch.setattr("driftd.notify.http_poster._BODY_TIMEOUT", 0.2)
    sender = channel(receiver)
    receiver.next_endless(202)
    await sender.send(world.notification_of(world.OPENED), None)
    receiver.next_endless(503)
    with pytest.raises(NotifyError, match="HTTP 503"):
        await sender.send(world.notification_of(world.OPENED), None)
    receiver.next_endless(200, Content_Encoding="gzip")
    await sender.send(world.notification_of(world.CHANGED), None)
    await sender.close()
    assert len(receiver.requests) == 3


async def test_connection_errors_are_retried_without_showing_the_url(receiver, monkeypatch):
    """No connection, a broken one, no response, no key: the error contains neither URL nor key."""
    monkeypatch.setattr("driftd.notify.http_poster.TIMEOUT", 0.2)

    async def hang(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        return web.Response()

    gone = WebhookChannel(name="audit", url="http://127.0.0.1:9/canary-path", secret=world.FakeSecret(CANARY))
    odd = WebhookChannel(name="audit", url="http://[canary-path/", secret=world.FakeSecret(CANARY))
    slow = channel(receiver)
    receiver.answers.append(hang)
    keyless = channel(receiver, world.FakeSecret(None))
    for sender in (gone, odd, slow, keyless):
        with pytest.raises(NotifyError) as caught:
            await sender.send(world.notification_of(world.OPENED), None)
        await sender.close()
        assert not caught.value.permanent
        assert "canary" not in str(caught.value)
    assert "/etc/driftd/secret" in str(caught.value)


async def test_a_password_of_a_netrc_is_not_sent(receiver, tmp_path, monkeypatch):
    """The receiver gets the signature that it knows, and nothing of the machine that driftd runs on."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password canary\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    sender = channel(receiver)
    await sender.send(world.notification_of(world.OPENED), None)
    await sender.close()
    assert "Authorization" not in receiver.requests[0].headers


async def test_a_body_is_never_larger_than_receivers_take(receiver):
    """One ConfigMap of 20,000 keys, beside hundreds of objects: their number is told, and how many fields there are."""
    many = [replace(world.drift("x" * 300, "y" * 300), path=("data", f"key{number}")) for number in range(20_000)]
    objects = [world.drifted("large", *many), *(world.drifted(f"web-{number}", *many[:20]) for number in range(499))]
    sender = channel(receiver)
    await sender.send(world.notification_of(world.OPENED, world.incident(*objects)), None)
    await sender.close()
    [request] = receiver.requests
    assert len(request.body) < 1_000_000
    resources = json.loads(request.body)["resources"]
    assert [len(one["fields"]) + one.get("more_fields", 0) for one in resources] == [20_000, *[20] * 499]


async def test_a_receiver_that_takes_no_such_body_gets_the_objects_without_their_fields(receiver):
    """Better than no message; one that takes not even that has refused it."""
    receiver.next(413)
    sender = channel(receiver)
    notification = world.notification_of(world.OPENED)
    await sender.send(notification, None)
    whole, short = receiver.requests
    verify(CANARY, short)
    assert whole.headers["Idempotency-Key"] == short.headers["Idempotency-Key"] == notification.id
    [resource] = json.loads(short.body)["resources"]
    assert (resource["name"], resource["fields"], resource["more_fields"]) == ("web", [], 1)
    receiver.next(413)
    receiver.next(413)
    with pytest.raises(NotifyError, match="HTTP 413") as caught:
        await sender.send(notification, None)
    assert caught.value.permanent
    await sender.close()
