"""What `POST /audit` takes, and from whom."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from driftd.config.secret import SecretFile
from driftd.model.audit import ApiPath
from driftd.web import serve
from driftd.web.audit import writes
from driftd.web.audit_receiver import create_audit_app
from tests.web.test_web_app import Daemon

EVENT: dict[str, Any] = {
    "stage": "ResponseComplete",
    "verb": "patch",
    "requestURI": "/apis/apps/v1/namespaces/shop/deployments/web?fieldManager=kubectl-edit",
    "user": {"username": "grace", "groups": ["ops"]},
    "sourceIPs": ["10.0.0.7", "10.0.0.1"],
    "userAgent": "kubectl/v1.37.2 (linux/amd64) kubernetes/abc",
    "objectRef": {
        "resource": "deployments",
        "namespace": "shop",
        "name": "web",
        "apiGroup": "apps",
        "apiVersion": "v1",
    },
    "responseStatus": {"code": 200},
    "requestReceivedTimestamp": "2026-11-22T09:00:00.123456Z",
    "stageTimestamp": "2026-11-22T09:00:00.223456Z",
}
LIST: dict[str, Any] = {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": [EVENT]}


def test_a_write_is_read_with_its_user_manager_and_address() -> None:
    """All that attribution needs is in the event's metadata."""
    (write,) = writes(LIST)
    assert write.path == ApiPath("apps", "deployments", "shop", "web")
    assert (write.user, write.manager, write.source, write.verb) == ("grace", "kubectl-edit", "10.0.0.7", "patch")
    assert write.answered - write.time == timedelta(milliseconds=100)


@pytest.mark.parametrize(
    "change",
    [
        {"verb": "get"},
        {"stage": "RequestReceived"},
        {"responseStatus": {"code": 403}},
        {"requestURI": "/x?dryRun=All"},
        {"objectRef": None},
        {"requestReceivedTimestamp": "yesterday"},
        {"requestReceivedTimestamp": "2026-11-22T09:00:00"},
        {"requestReceivedTimestamp": 7},
    ],
)
def test_what_wrote_nothing_is_passed_over(change: dict[str, Any]) -> None:
    """Reads, refusals, dry-runs, and events without an object or a time."""
    assert list(writes({**LIST, "items": [{**EVENT, **change}]})) == []


def test_without_a_field_manager_the_user_agent_names_it_as_the_api_server_would() -> None:
    """The part before the first slash."""
    (write,) = writes({**LIST, "items": [{**EVENT, "requestURI": "/apis"}]})
    assert write.manager == "kubectl"


async def test_audit_events_are_accepted_with_the_right_token_only(tmp_path: Path) -> None:
    """No token configured: 404. Its file is gone: 503. A wrong one: 401. The right one, read anew each time: 204."""
    daemon = Daemon()
    async with serve(create_audit_app(daemon), "127.0.0.1", 0) as server, aiohttp.ClientSession() as session:

        async def post(token: str | None, body: Any = LIST, query: str = "") -> int:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            async with session.post(f"{server.url}/audit{query}", json=body, headers=headers) as answer:
                return answer.status

        assert await post("anything") == 404
        file = tmp_path / "token"
        daemon.token = SecretFile("web.audit.tokenFile", file)
        assert await post("anything") == 503
        file.write_text("right\n")
        assert await post(None) == 401
        assert await post("wrong") == 401
        assert daemon.written == []
        assert await post("right") == 204
        assert [write.user for _, write in daemon.written] == ["grace"]
        assert await post("right", query="?cluster=elsewhere") == 404
        assert await post("right", {"kind": "Pod"}) == 400
        assert await post("right", [1]) == 400
        file.write_text("rotated\n")
        assert await post("right") == 401
