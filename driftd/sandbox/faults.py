"""Fault injection for the API server."""

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
    """Seconds by which each request is delayed."""
    refusing: bool = False
    """Whether connections are closed without a response."""
    drop_watches: Callable[[], None] = field(default=lambda: None)
    """Ends every open watch without an error event, as an API server does with slow clients."""
    _rules: list[_Rule] = field(default_factory=list)
    _running: asyncio.Event | None = None

    def forbid(self, verb: str, resource: str) -> None:
        """Denies requests with 403, and in SelfSubjectAccessReviews, until `clear`."""
        self._rules.append(_Rule(verb, resource, _denied, None))

    def throttle(self, *, retry_after: int = 1, times: int = 1, verb: str = "*", resource: str = "*") -> None:
        """Answers the next `times` requests with 429 and a Retry-After in seconds."""
        self._rules.append(_Rule(verb, resource, lambda *_: too_many_requests(retry_after), times))

    def fail(self, *, times: int = 1, verb: str = "*", resource: str = "*", message: str = "injected") -> None:
        """Answers the next `times` requests with 500."""
        self._rules.append(_Rule(verb, resource, lambda *_: internal(message), times))

    def refuse(self, verb: str, resource: str, message: str) -> None:
        """Refuses requests with 422 until `clear`, as a ValidatingAdmissionPolicy does."""
        self._rules.append(_Rule(verb, resource, lambda *_: ApiError(422, "Invalid", message), None))

    def pause(self) -> None:
        """Blocks every request until `resume`."""
        self._running = self._running or asyncio.Event()
        self._running.clear()

    def resume(self) -> None:
        if self._running is not None:
            self._running.set()
        self._running = None

    def clear(self) -> None:
        """Removes all faults."""
        self._rules.clear()
        self.delay = 0.0
        self.refusing = False
        self.resume()

    async def inject(self, verb: str, group: str, resource: str, namespace: str) -> None:
        """Applies the faults to a request. Raises: ApiError: the injected error."""
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
        """The answer of a SelfSubjectAccessReview."""
        return not any(
            rule.error is _denied and rule.verb in (verb, "*") and rule.resource in (resource, "*")
            for rule in self._rules
        )

    @property
    def forbids_any(self) -> bool:
        """Whether any request is denied with 403."""
        return any(rule.error is _denied for rule in self._rules)


def _denied(verb: str, group: str, resource: str, namespace: str) -> ApiError:
    scope = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    message = f'User "{USER}" cannot {verb} resource "{resource}" in API group "{group}" {scope}'
    return forbidden(group, resource, "", message)
