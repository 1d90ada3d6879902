"""The errors that driftd raises on purpose. Their texts are for users: what is wrong, where, and what to do."""

from __future__ import annotations

import traceback
from typing import Any


class DriftdError(Exception):
    """Base of driftd's own errors. A command prints the text without a traceback and exits with 2."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles subclasses with further arguments: by default Python would call the class with the text alone."""
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(kind: type[DriftdError], args: tuple[Any, ...], attributes: dict[str, Any]) -> DriftdError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(attributes)
    return error


def describe_defect(error: BaseException) -> str:
    """A sentence about an error that nobody foresaw: its type and place. Its text may quote anything, also a secret."""
    frames = traceback.extract_tb(error.__traceback__)
    own = next((frame for frame in reversed(frames) if "/driftd/" in frame.filename), None)
    place = f" at driftd/{own.filename.rpartition('/driftd/')[2]}:{own.lineno}" if own is not None else ""
    what = f"{type(error).__name__}: {error.strerror}" if isinstance(error, OSError) else type(error).__name__
    return f"an unexpected error ({what}){place}"


class ConfigError(DriftdError):
    """The configuration is invalid. `mistakes` are its errors, each with its position in the file."""

    def __init__(self, file: str, mistakes: list[str]) -> None:
        self.file = file
        self.mistakes = mistakes
        super().__init__("\n".join(mistakes))


class GitError(DriftdError):
    """A Git operation failed."""


class SourceUnreachable(GitError):
    """The remote did not answer, or refused access. Commits that were fetched before are still available."""


class RefNotFound(GitError):
    """The source has no such branch, tag, version or commit."""


class PathNotFound(GitError):
    """The revision has no such file or folder, or the path is outside of the repository."""


class RenderError(DriftdError):
    """A manifest cannot be rendered or parsed. `file` is relative to the repository; `line` and `column` start at 1."""

    def __init__(self, message: str, *, file: str, line: int | None = None, column: int | None = None) -> None:
        self.message = message
        self.file = file
        self.line = line
        self.column = column
        position = ":".join(str(part) for part in (file, line, column) if part is not None)
        super().__init__(f"{position}: {message}")


class ToolMissing(RenderError):
    """A binary (kustomize, helm) that this folder needs is not installed."""


class SchemaMismatch(DriftdError):
    """A declared value does not have the type of the cluster's schema."""


class KubeError(DriftdError):
    """A request to the Kubernetes API failed.

    `status` is the HTTP status, or None if there was no response; `reason` that of the API ("Forbidden"); `retry_after`
    the seconds that it asks to wait before the next request.
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
    """No response from the API server: refused, timed out, or its certificate is not trusted."""


class Forbidden(KubeError):
    """driftd does not have the permission."""


class NotFound(KubeError):
    """The object does not exist."""


class Conflict(KubeError):
    """Another manager owns the field, or the object has changed since."""


class Invalid(KubeError):
    """The API server rejects the object as invalid."""


class Gone(KubeError):
    """The requested resourceVersion is too old (410): list again."""


class UnknownKind(DriftdError):
    """The cluster does not serve this kind (its CRD may not be installed yet)."""


class StoreError(DriftdError):
    """The history could not be read or written."""


class ManifestsNotKept(StoreError):
    """The manifests of a revision are not in the store (any more), or are damaged there."""


class Superseded(StoreError):
    """A write is based on outdated state: another process has written in between."""


class LeaseLost(DriftdError):
    """Another process may run passes over the app by now: this one must not write any more."""


class NotifyError(DriftdError):
    """A channel did not accept a message. `retry_after` is the seconds that it asks to wait."""

    def __init__(self, message: str, *, retry_after: float | None = None, permanent: bool = False) -> None:
        self.retry_after = retry_after
        self.permanent = permanent
        super().__init__(message)
