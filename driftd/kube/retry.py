"""When a request is sent again, and after how long."""

from __future__ import annotations

import random

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from driftd.model.errors import KubeError

LONGEST_WAIT = 30.0
"""Seconds; a Retry-After beyond it is cut."""


class Retryable(Exception):
    """The request may be sent again. `after`: the server's own wish in seconds. `tries`: of all attempts together."""

    def __init__(self, error: KubeError, *, tries: int, after: float | None = None) -> None:
        self.error = error
        self.tries = tries
        self.after = after
        super().__init__(str(error))


def retrying() -> AsyncRetrying:
    """Tries again on `Again` until its `tries` are used up, then lets it through."""
    return AsyncRetrying(retry=retry_if_exception_type(Retryable), wait=_wait, stop=_stop, reraise=True)


def jittered(base: float, attempt: int, cap: float) -> float:
    """Exponential backoff in seconds with half of it random; `attempt` counts from 1."""
    wait = min(cap, base * 2.0 ** (min(attempt, 32) - 1))
    return wait * random.uniform(0.5, 1.0)  # noqa: S311  spreads load, keeps no secret


def retry_after(header: str | None) -> float | None:
    """Seconds of a Retry-After header. Kubernetes sends seconds only; a date counts as no wish."""
    return min(float(header), LONGEST_WAIT) if header and header.strip().isdigit() else None


def _wait(state: RetryCallState) -> float:
    again = _again(state)
    if again.after is None:
        return jittered(0.1, state.attempt_number, 2.0)
    return again.after + jittered(0.05, state.attempt_number, 1.0)


def _stop(state: RetryCallState) -> bool:
    return state.attempt_number >= _again(state).tries


def _again(state: RetryCallState) -> Retryable:
    error = state.outcome.exception() if state.outcome else None
    if not isinstance(error, Retryable):
        raise TypeError("asked about an attempt that did not fail")
    return error
