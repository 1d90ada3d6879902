"""Every error that driftd raises on purpose. The text is for the user: what, where, and what to do."""

from __future__ import annotations

from typing import Any


class DriftdError(Exception):
    """The root of driftd's own errors. A command prints its text without a traceback and exits with 2."""

    def __reduce__(self) -> tuple[Any, ...]:
        """For another process: Python would call the class with the text alone."""
        return _anew, (type(self), self.args, self.__dict__)


def _anew(kind: type[DriftdError], args: tuple[Any, ...], attributes: dict[str, Any]) -> DriftdError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(attributes)
    return error


class ConfigError(DriftdError):
    """The configuration has mistakes. `mistakes` holds each one with its place in the file."""

    def __init__(self, file: str, mistakes: list[str]) -> None:
        self.file = file
        self.mistakes = mistakes
        super().__init__("\n".join(mistakes))


class GitError(DriftdError):
    """Git could not do what was asked."""


class SourceUnreachable(GitError):
    """The remote did not answer, or refused us. What was fetched before is still there."""


class RefNotFound(GitError):
    """The source has no such branch, tag, version or commit."""


class PathNotFound(GitError):
    """The revision has no such file or folder, or the path leads out of the repository."""


class RenderError(DriftdError):
    """A manifest cannot be read. `file` is relative to the repository; `line` and `column` count from 1."""

    def __init__(self, message: str, *, file: str, line: int | None = None, column: int | None = None) -> None:
        self.message = message
        self.file = file
        self.line = line
        self.column = column
        place = ":".join(str(part) for part in (file, line, column) if part is not None)
        super().__init__(f"{place}: {message}")


class ToolMissing(RenderError):
    """A binary (kustomize, helm) that this folder needs is not installed."""


class SchemaMismatch(DriftdError):
    """A declared value cannot be of the type that the cluster's schema gives for it."""


class KubeError(DriftdError):
    """The Kubernetes API said no, or nothing at all.

    `status` is the HTTP code, or None where there was no answer; `reason` the API's own word ("Forbidden");
    `retry_after` its wish, in seconds, of when to be asked again.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        reason: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.status = status
        self.reason = reason
        self.retry_after = retry_after
        super().__init__(message)


class ClusterUnreachable(KubeError):
    """No answer from the API server: refused, timed out, or its certificate is not to be trusted."""


class Forbidden(KubeError):
    """We are not allowed to do that."""


class NotFound(KubeError):
    """There is no such object."""


class Conflict(KubeError):
    """Another manager owns the field, or the object has changed since."""


class Invalid(KubeError):
    """The API server refuses the object as it is."""


class Gone(KubeError):
    """The resource version asked for is too old (410): list again."""


class UnknownKind(DriftdError):
    """The cluster does not serve this kind (its CRD may not be installed yet)."""


class StoreError(DriftdError):
    """The history could not be read or written."""


class Superseded(StoreError):
    """What was to be recorded rests on what is no longer so: somebody else has written in between."""


class LeaseLost(DriftdError):
    """Another process may run passes over the app by now: this one must not write any more."""


class NotifyError(DriftdError):
    """A channel did not take a message. `retry_after` is its own wish, in seconds."""

    def __init__(self, message: str, *, retry_after: float | None = None, permanent: bool = False) -> None:
        self.retry_after = retry_after
        self.permanent = permanent
        super().__init__(message)
