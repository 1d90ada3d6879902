"""Which requests are repeated, and after how long."""

from __future__ import annotations

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential, wait_random_exponential

from driftd.model.backoff import parse_retry_after
from driftd.model.errors import KubeError

MAX_RETRY_AFTER = 30.0
"""Seconds; a longer Retry-After is cut to this."""

# Half of each delay is fixed and half is random: up to 0.1 s, doubled up to 2 s; after a Retry-After 0.05 s up to 1 s.
_BACKOFF = wait_exponential(multiplier=0.05, max=1.0) + wait_random_exponential(multiplier=0.05, max=1.0)
_EXTRA = wait_exponential(multiplier=0.025, max=0.5) + wait_random_exponential(multiplier=0.025, max=0.5)


class Retryable(Exception):
    """A failed request that may be repeated: `attempts` in all, after the server's `retry_after` seconds if given."""

    def __init__(self, error: KubeError, *, attempts: int, retry_after: float | None = None) -> None:
        self.error = error
        self.attempts = attempts
        self.retry_after = retry_after
        super().__init__(str(error))


def retrying() -> AsyncRetrying:
    """Repeats a block that raises Retryable, and raises it once its `attempts` are used up."""
    return AsyncRetrying(retry=retry_if_exception_type(Retryable), wait=_wait, stop=_stop, reraise=True)


def retry_after(header: str | None) -> float | None:
    """Seconds of an API server's Retry-After header, `MAX_RETRY_AFTER` at most."""
    return parse_retry_after(header, MAX_RETRY_AFTER)


def _wait(state: RetryCallState) -> float:
    after = _retryable(state).retry_after
    return _BACKOFF(state) if after is None else after + _EXTRA(state)


def _stop(state: RetryCallState) -> bool:
    return state.attempt_number >= _retryable(state).attempts


def _retryable(state: RetryCallState) -> Retryable:
    error = state.outcome.exception() if state.outcome else None
    if not isinstance(error, Retryable):
        raise TypeError("asked about an attempt that did not fail")
    return error
