"""Faults of an API server can be injected into the sandbox."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from driftd.sandbox.server import Sandbox

Object = dict[str, Any]
MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(bookmark_interval=0.05).serve() as running:
        yield running


@pytest.fixture
async def http(sandbox: Sandbox) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(sandbox.url, headers={"Authorization": f"Bearer {sandbox.token}"}) as session:
        yield session


async def _create(http: aiohttp.ClientSession, name: str) -> int:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"k": "v"}}
    async with http.post(MAPS, json=body) as answer:
        return answer.status


async def _get(http: aiohttp.ClientSession, path: str) -> tuple[int, Object]:
    async with http.get(path) as answer:
        return answer.status, await answer.json()


async def test_a_wrong_token_is_refused_and_a_missing_one_is_accepted(sandbox: Sandbox) -> None:
    """kubectl sends no token over plain HTTP; a token that is sent has to be the right one."""
    async with aiohttp.ClientSession(sandbox.url) as session:
        assert (await _get(session, MAPS))[0] == 200
    async with aiohttp.ClientSession(sandbox.url, headers={"Authorization": "Bearer wrong"}) as session:
        code, body = await _get(session, MAPS)
    assert (code, body["reason"]) == (401, "Unauthorized")


async def test_a_forbidden_verb_is_forbidden_and_an_access_review_says_so(
    sandbox: Sandbox, http: aiohttp.ClientSession
) -> None:
    """403 with the API's message, for that verb and resource only."""
    sandbox.faults.forbid("list", "secrets")
    code, body = await _get(http, "/api/v1/namespaces/default/secrets")
    assert (code, body["reason"]) == (403, "Forbidden")
    assert body["message"] == (
        'secrets is forbidden: User "sandbox-admin" cannot list resource "secrets" in API group "" '
        'in the namespace "default"'
    )
    assert (await _get(http, MAPS))[0] == 200
    for verb, allowed in (("list", False), ("get", True)):
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {"verb": verb, "resource": "secrets"}},
        }
        async with http.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", json=review) as answer:
            assert (await answer.json())["status"]["allowed"] is allowed
    sandbox.faults.clear()
    assert (await _get(http, "/api/v1/namespaces/default/secrets"))[0] == 200


async def test_a_client_is_told_who_it_is_and_what_it_may_do(sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
    """As `kubectl auth whoami` and `kubectl auth can-i --list` ask."""

    async def ask(group: str, plural: str, kind: str, spec: dict[str, str]) -> Any:
        body = {"apiVersion": f"{group}/v1", "kind": kind, "spec": spec}
        async with http.post(f"/apis/{group}/v1/{plural}", json=body) as answer:
            assert answer.status == 201, await answer.text()
            return (await answer.json())["status"]

    who = await ask("authentication.k8s.io", "selfsubjectreviews", "SelfSubjectReview", {})
    assert who["userInfo"]["username"] == "sandbox-admin"
    rules = ("authorization.k8s.io", "selfsubjectrulesreviews", "SelfSubjectRulesReview", {"namespace": "default"})
    may = await ask(*rules)
    assert may["resourceRules"] == [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
    assert may["incomplete"] is False
    sandbox.faults.forbid("list", "secrets")
    assert (await ask(*rules))["incomplete"] is True


async def test_too_many_requests_are_answered_with_retry_after(sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
    """Exactly the given number of times."""
    sandbox.faults.throttle(retry_after=3, times=2)
    for _ in range(2):
        async with http.get(MAPS) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (429, "3")
    assert (await _get(http, MAPS))[0] == 200


async def test_the_server_fails_on_demand(sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
    """A 500 for one verb leaves the others alone."""
    sandbox.faults.fail(verb="create")
    assert (await _get(http, MAPS))[0] == 200
    assert await _create(http, "a") == 500
    assert await _create(http, "a") == 201


async def test_a_paused_server_answers_when_it_is_resumed(sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
    """Requests are blocked, and none is lost."""
    sandbox.faults.pause()
    waiting = asyncio.create_task(_create(http, "late"))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(waiting), 0.2)
    sandbox.faults.resume()
    assert await waiting == 201


async def test_a_server_that_refuses_closes_connections(sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
    """No response, neither on new nor on existing connections, until the fault is cleared."""
    assert (await _get(http, MAPS))[0] == 200
    sandbox.faults.refusing = True
    with pytest.raises(aiohttp.ClientConnectionError):
        await _get(http, MAPS)
    sandbox.faults.refusing = False
    assert (await _get(http, MAPS))[0] == 200


async def test_dropped_watches_end_without_an_error(sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
    """The stream ends cleanly, so the client has to detect it."""
    async with http.get(f"{MAPS}?watch=true&resourceVersion={sandbox.resource_version}") as watch:
        sandbox.faults.drop_watches()
        assert await watch.content.read() == b""


async def test_bookmarks_are_sent_between_changes(sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
    """They have the latest resource version, and are sent only on request."""
    async with http.get(
        f"{MAPS}?watch=true&allowWatchBookmarks=true&resourceVersion={sandbox.resource_version}"
    ) as watch:
        line = await asyncio.wait_for(watch.content.readline(), 5)
    assert b'"BOOKMARK"' in line
    assert str(sandbox.resource_version).encode() in line


async def test_compacted_history_is_expired_for_watches_and_pages(
    sandbox: Sandbox, http: aiohttp.ClientSession
) -> None:
    """410 for a continue token, 410 in the stream of a watch."""
    for name in "abc":
        await _create(http, name)
    _, page = await _get(http, f"{MAPS}?limit=1")
    version = page["metadata"]["resourceVersion"]
    await _create(http, "d")
    sandbox.compact()
    code, body = await _get(http, f"{MAPS}?limit=1&continue={page['metadata']['continue']}")
    assert (code, body["reason"]) == (410, "Expired")
    async with http.get(f"{MAPS}?watch=true&resourceVersion={version}") as watch:
        assert b'"code":410' in await watch.content.readline()


async def test_history_is_bounded(http: aiohttp.ClientSession) -> None:
    """A watch can start as far back as the limit, and no further."""
    async with Sandbox(history_limit=3).serve() as small, aiohttp.ClientSession(small.url) as session:
        first = small.resource_version
        for number in range(5):
            await _create(session, f"m{number}")
        async with session.get(f"{MAPS}?watch=true&resourceVersion={first}") as watch:
            assert b'"code":410' in await watch.content.readline()
        async with session.get(f"{MAPS}?watch=true&resourceVersion={small.resource_version - 2}") as watch:
            assert b'"m3"' in await watch.content.readline()


async def test_objects_outlive_a_restart_at_the_same_address() -> None:
    """Serving again is a restart of the API server: same objects, same resource versions."""
    sandbox = Sandbox()
    async with sandbox.serve() as running, aiohttp.ClientSession(running.url) as session:
        url = running.url
        assert await _create(session, "kept") == 201
        version = sandbox.resource_version
    port = int(url.rsplit(":", 1)[1])
    async with sandbox.serve(port=port) as running, aiohttp.ClientSession(url) as session:
        assert running.url == url
        code, body = await _get(session, f"{MAPS}/kept")
        assert (code, body["data"]) == (200, {"k": "v"})
        assert sandbox.resource_version == version


@pytest.mark.parametrize("method", ["get", "post"])
async def test_unserved_resources_are_not_found(http: aiohttp.ClientSession, method: str) -> None:
    """404 for an unknown kind, subresource and version; nothing succeeds by accident."""
    for path in (
        "/api/v1/namespaces/default/pods/p/nothing",
        "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers",
        "/apis/resource.k8s.io/v1/resourceclaims",
        "/openapi/v2",
    ):
        async with http.request(method, path, json={}) as answer:
            assert answer.status in (404, 405), path


async def test_a_body_that_cannot_be_read_is_refused(http: aiohttp.ClientSession) -> None:
    """415 for a form that is not known, 400 for protobuf and text that are not what they are said to be."""
    async with http.post(MAPS, data=b"\xa0", headers={"Content-Type": "application/cbor"}) as answer:
        assert answer.status == 415
    headers = {"Content-Type": "application/vnd.kubernetes.protobuf"}
    async with http.post(MAPS, data=b"k8s\x00", headers=headers) as answer:
        assert answer.status == 400
    async with http.post(MAPS, data=b"{", headers={"Content-Type": "application/json"}) as answer:
        assert answer.status == 400
