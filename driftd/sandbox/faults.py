"""What can go wrong with an API server, on demand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from driftd.sandbox.status import ApiError, forbidden, internal, too_many_requests

USER = "sandbox-admin"


@dataclass(slots=True, eq=False)
class _Rule:
    verb: str
    resource: str
    error: Callable[[str, str, str, str], ApiError]
    remaining: int | None


@dataclass(slots=True, eq=False)
class Faults:
    """The faults of a sandbox. A `verb` is one of Kubernetes' (get, list, watch, create, update, patch, delete,
    deletecollection) and a `resource` a plural; `*` stands for each of them.
    """

    delay: float = 0.0
    """Seconds that each request waits before it is looked at."""
    refusing: bool = False
    """Connections are closed without an answer."""
    drop_watches: Callable[[], None] = field(default=lambda: None)
    """Ends every open watch, cleanly and without an error, as an API server does with slow readers."""
    _rules: list[_Rule] = field(default_factory=list)
    _running: asyncio.Event | None = None

    def forbid(self, verb: str, resource: str) -> None:
        """Answers 403, and SelfSubjectAccessReviews with no, until `clear`."""
        self._rules.append(_Rule(verb, resource, _denied, None))

    def throttle(self, *, retry_after: int = 1, times: int = 1, verb: str = "*", resource: str = "*") -> None:
        """Answers the next `times` requests with 429 and a Retry-After in seconds."""
        self._rules.append(_Rule(verb, resource, lambda *_: too_many_requests(retry_after), times))

    def fail(self, *, times: int = 1, verb: str = "*", resource: str = "*", message: str = "injected") -> None:
        """Answers the next `times` requests with 500."""
        self._rules.append(_Rule(verb, resource, lambda *_: internal(message), times))

    def pause(self) -> None:
        """Lets every request hang until `resume`."""
        self._running = self._running or asyncio.Event()
        self._running.clear()

    def resume(self) -> None:
        if self._running is not None:
            self._running.set()
        self._running = None

    def clear(self) -> None:
        """Heals everything."""
        self._rules.clear()
        self.delay = 0.0
        self.refusing = False
        self.resume()

    async def inject(self, verb: str, group: str, resource: str, namespace: str) -> None:
        """Called for every request. Raises: ApiError: what was asked for."""
        if self._running is not None:
            await self._running.wait()
        if self.delay:
            await asyncio.sleep(self.delay)
        for rule in self._rules:
            if rule.verb in (verb, "*") and rule.resource in (resource, "*"):
                if rule.remaining is not None:
                    rule.remaining -= 1
                    if rule.remaining <= 0:
                        self._rules.remove(rule)
                raise rule.error(verb, group, resource, namespace)

    def allows(self, verb: str, resource: str) -> bool:
        """What a SelfSubjectAccessReview says."""
        return not any(
            rule.error is _denied and rule.verb in (verb, "*") and rule.resource in (resource, "*")
            for rule in self._rules
        )


def _denied(verb: str, group: str, resource: str, namespace: str) -> ApiError:
    scope = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    message = f'User "{USER}" cannot {verb} resource "{resource}" in API group "{group}" {scope}'
    return forbidden(group, resource, "", message)
