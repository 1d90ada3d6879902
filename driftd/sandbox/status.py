"""API errors: every refusal of the sandbox is a `Status` with the text of a real API server.

Source: k8s.io/apimachinery/pkg/api/errors.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


class ApiError(Exception):
    """A refused request, with the HTTP code and the Status object of the response."""

    def __init__(
        self, code: int, reason: str, message: str, *, details: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.code = code
        self.reason = reason
        self.details = details
        self.headers = headers or {}
        super().__init__(message)

    def status(self) -> dict[str, Any]:
        body: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": str(self),
        }
        if self.reason:
            body["reason"] = self.reason
        if self.details:
            body["details"] = self.details
        body["code"] = self.code
        return body


@dataclass(frozen=True, slots=True)
class Cause:
    """A cause of an invalid object. `kind` is the API's cause type: FieldValueRequired, FieldValueInvalid, …"""

    kind: str
    message: str
    field: str

    @classmethod
    def required(cls, field: str, detail: str = "") -> Cause:
        return cls("FieldValueRequired", f"Required value: {detail}" if detail else "Required value", field)

    @classmethod
    def invalid(cls, field: str, value: Any, detail: str) -> Cause:
        return cls("FieldValueInvalid", f"Invalid value: {format_value(value)}: {detail}", field)

    @classmethod
    def unsupported(cls, field: str, value: Any, supported: list[str]) -> Cause:
        names = ", ".join(f'"{name}"' for name in sorted(supported))
        return cls(
            "FieldValueNotSupported", f"Unsupported value: {format_value(value)}: supported values: {names}", field
        )

    @classmethod
    def forbidden(cls, field: str, detail: str) -> Cause:
        return cls("FieldValueForbidden", f"Forbidden: {detail}", field)


def format_value(value: Any) -> str:
    """A value in the format of the API's messages."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if value is None:
        return "null"
    if isinstance(value, dict | list):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return str(value)


def _details(name: str, group: str, kind: str, causes: list[dict[str, str]] | None = None) -> dict[str, Any]:
    details: dict[str, Any] = {"name": name, "group": group, "kind": kind, "causes": causes}
    return {key: value for key, value in details.items() if value}


def _qualified(resource: str, group: str) -> str:
    return f"{resource}.{group}" if group else resource


def not_found(group: str, resource: str, name: str) -> ApiError:
    return ApiError(
        404, "NotFound", f'{_qualified(resource, group)} "{name}" not found', details=_details(name, group, resource)
    )


def no_such_path() -> ApiError:
    return ApiError(404, "NotFound", "the server could not find the requested resource", details={})


def already_exists(group: str, resource: str, name: str) -> ApiError:
    return ApiError(
        409, "AlreadyExists", f'{_qualified(resource, group)} "{name}" already exists',
        details=_details(name, group, resource),
    )  # fmt: skip


def conflict(group: str, resource: str, name: str, detail: str) -> ApiError:
    return ApiError(
        409, "Conflict", f'Operation cannot be fulfilled on {_qualified(resource, group)} "{name}": {detail}',
        details=_details(name, group, resource),
    )  # fmt: skip


MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def apply_conflict(message: str, causes: list[dict[str, str]]) -> ApiError:
    return ApiError(409, "Conflict", message, details={"causes": causes})


def invalid(group: str, kind: str, name: str, causes: list[Cause]) -> ApiError:
    texts = [f"{cause.field}: {cause.message}" for cause in causes]
    text = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    return ApiError(
        422, "Invalid", f'{_qualified(kind, group)} "{name}" is invalid: {text}',
        details=_details(
            name, group, kind, [{"reason": c.kind, "message": c.message, "field": c.field} for c in causes]
        ),
    )  # fmt: skip


def invalid_options(kind: str, causes: list[Cause]) -> ApiError:
    return invalid("meta.k8s.io", kind, "", causes)


def bad_request(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


def forbidden(group: str, resource: str, name: str, detail: str) -> ApiError:
    text = (
        f'{_qualified(resource, group)} "{name}" is forbidden: {detail}'
        if name
        else (f"{_qualified(resource, group)} is forbidden: {detail}")
    )
    return ApiError(403, "Forbidden", text, details=_details(name, group, resource))


def unauthorized() -> ApiError:
    return ApiError(401, "Unauthorized", "Unauthorized")


def method_not_allowed(message: str = "the server does not allow this method on the requested resource") -> ApiError:
    return ApiError(405, "MethodNotAllowed", message, details={})


def no_containers(subresource: str) -> ApiError:
    message = f"this embedded cluster runs no containers: its pods are objects only, and have no {subresource}"
    return ApiError(501, "NotImplemented", message)


def unsupported_media_type(accepted: list[str]) -> ApiError:
    return ApiError(
        415, "UnsupportedMediaType",
        "the body of the request was in an unknown format - accepted media types include: " + ", ".join(accepted),
    )  # fmt: skip


def expired(message: str) -> ApiError:
    return ApiError(410, "Expired", message)


def too_many_requests(retry_after: int) -> ApiError:
    return ApiError(
        429, "TooManyRequests", "too many requests, please try again later",
        details={"retryAfterSeconds": retry_after}, headers={"Retry-After": str(retry_after)},
    )  # fmt: skip


def internal(message: str) -> ApiError:
    return ApiError(
        500, "InternalError", f"Internal error occurred: {message}", details={"causes": [{"message": message}]}
    )
