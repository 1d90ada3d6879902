"""Incidents, notifications, channels and an HTTP server for the tests of notify/."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from driftd.model.drift import Change, FieldDrift, FieldOwner, Status, Verdict
from driftd.model.errors import ConfigError, NotifyError
from driftd.model.incident import Incident, IncidentEvent, IncidentType, Notification, Resolution
from driftd.model.path import ListKey
from driftd.model.resource import ResourceRef, Source
from driftd.model.revision import GitLine

T0 = datetime(2026, 11, 22, 8, 52, 11, tzinfo=UTC)
OPENED, CHANGED, RESOLVED = IncidentEvent.OPENED, IncidentEvent.CHANGED, IncidentEvent.RESOLVED
SHA = "4f0c1234" * 5


def drift(
    desired: Any = "nginx:1.25",
    live: Any = "nginx:1.26",
    change: Change = Change.CHANGED,
    manager: str = "kubectl-edit",
) -> FieldDrift:
    return FieldDrift(
        path=("spec", "template", "spec", "containers", ListKey((("name", "web"),)), "image"),
        change=change,
        desired=desired,
        live=live,
        at=("spec", "template", "spec", "containers", 0, "image"),
        by=FieldOwner(manager, "Update", time=T0),
        git=GitLine("apps/web/deploy.yaml", 14, SHA, "Ada", T0, "Pin nginx"),
    )


def drifted(name: str = "web", *fields: FieldDrift, status: Status = Status.DRIFTED) -> Verdict:
    fields = fields or (() if status is not Status.DRIFTED else (drift(),))
    return Verdict(
        ResourceRef("apps", "Deployment", "web", name), "apps/v1", status, Source("apps/web/deploy.yaml", 1), fields
    )


def incident(
    *resources: Verdict, kind: IncidentType = IncidentType.DRIFT, message: str = "", number: int = 1
) -> Incident:
    return Incident(
        id=f"incident-{number}",
        app=f"web-{number}" if number > 1 else "web",
        cluster="prod",
        type=kind,
        revision=SHA,
        fingerprint="f",
        first_seen=T0,
        updated=T0,
        resources=resources or ((drifted(),) if kind is IncidentType.DRIFT else ()),
        message=message,
    )


def notification_of(
    event: IncidentEvent, about: Incident | None = None, resolution: Resolution = Resolution.HEALED
) -> Notification:
    about = about or incident()
    time = T0
    if event is RESOLVED:
        time = T0 + timedelta(seconds=42)
        about = replace(about, resolution=resolution, resolved=time)
    return Notification(f"{about.id}-{event}", event, about, time)


@dataclass
class FakeSecret:
    """A secret that a test may remove or change."""

    secret: str | None

    def read(self) -> str:
        if self.secret is None:
            raise ConfigError("/etc/driftd/secret", ["notify.secretFile: /etc/driftd/secret: there is no such file"])
        return self.secret + "\n"


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    body: bytes


class Receiver:
    """An HTTP server on loopback: records requests, answers 200 or the next of `answers`."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answers: deque[Callable[[web.Request], Awaitable[web.StreamResponse]]] = deque()
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/hook"

    async def stop(self) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    def next(self, status: int, *, text: str = "", **headers: str) -> None:
        async def answer(_: web.Request) -> web.StreamResponse:
            return web.Response(status=status, text=text, headers=_header_names(headers))

        self.answers.append(answer)

    def next_endless(self, status: int, **headers: str) -> None:
        """Answers with a status and a body that does not end."""

        async def answer(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(status=status, headers=_header_names(headers))
            await response.prepare(request)
            while True:
                await response.write(b"x")
                await asyncio.sleep(0.05)

        self.answers.append(answer)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(Request(request.path, dict(request.headers), await request.read()))
        if self.answers:
            return await self.answers.popleft()(request)
        return web.Response(text="ok")


def _header_names(keywords: dict[str, str]) -> dict[str, str]:
    return {keyword.replace("_", "-"): value for keyword, value in keywords.items()}


@dataclass
class RecordingChannel:
    """A channel that records notifications, and fails with the errors in `errors`, one per attempt."""

    name: str = "memory"
    sent: list[tuple[Notification, str | None]] = field(default_factory=list)
    errors: deque[Exception | None] = field(default_factory=deque)
    gate: asyncio.Event | None = None
    closed: bool = False
    attempts: int = 0

    async def send(self, notification: Notification, receipt: str | None) -> str | None:
        self.attempts += 1
        if self.gate is not None:
            await self.gate.wait()
        error = self.errors.popleft() if self.errors else None
        if error is not None:
            raise error
        self.sent.append((notification, receipt))
        return f"receipt-{len(self.sent)}"

    async def close(self) -> None:
        self.closed = True


@dataclass
class Clock:
    """The clock on the wall, and the monotonic one. Time passes on both; only the first can be set."""

    now: datetime = T0 + timedelta(minutes=1)
    passed: timedelta = timedelta()

    def __call__(self) -> datetime:
        return self.now

    def monotonic(self) -> float:
        return self.passed.total_seconds()

    def advance(self, span: timedelta) -> None:
        self.now += span
        self.passed += span

    def set(self, now: datetime) -> None:
        self.now = now


def refused(after: float | None = None, *, permanent: bool = False) -> NotifyError:
    return NotifyError("memory: HTTP 503", retry_after=after, permanent=permanent)


async def until(condition: Callable[[], Any], seconds: float = 10) -> None:
    """Waits for a condition, with a deadline."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 (the world has no event for every state)
            await asyncio.sleep(0.01)
