"""Decodes the protobuf bodies that kubectl sends for built-in types: `kubectl create`, `kubectl auth can-i`.

Source: k8s.io/apimachinery/pkg/runtime/serializer/protobuf: four bytes, then a runtime.Unknown with the object in it.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

from driftd.sandbox.document import Object

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"

_MAGIC = b"k8s\x00"
_META = "k8s.io.apimachinery.pkg.apis.meta.v1"
_INLINE = {
    "ephemeralContainerCommon", "handler", "localObjectReference", "persistentVolumeSource", "volumeSource",
}  # fmt: skip
"""Fields whose own fields stand beside them in JSON."""
_FIXED64 = 1

_Field = tuple[str, str, str]
"""Its name in JSON, its type, and "list", "map" or nothing."""


def decode(content: bytes) -> Object:
    """The object of a body, as JSON has it. Raises: ValueError: it is none, or of a type that is not known."""
    if not content.startswith(_MAGIC):
        raise ValueError("the body does not begin as protobuf of Kubernetes does")
    unknown = dict(_fields(content[len(_MAGIC) :]))
    type_ = {number: bytes(value).decode() for number, value in _fields(unknown[1])}
    version, kind = type_[1], type_[2]
    group, _, number = version.rpartition("/")
    message = f"k8s.io.api.{group.split('.')[0] or 'core'}.{number}.{kind}"
    if message not in _messages():
        raise ValueError(f"{kind} of {version} is not known")
    return {"apiVersion": version, "kind": kind, **_message(message, unknown.get(2, b""))}


@cache
def _messages() -> dict[str, dict[int, _Field]]:
    table = json.loads((files("driftd.sandbox") / "schemas" / "protobuf.json").read_bytes())
    return {name: {int(number): tuple(field) for number, field in fields.items()} for name, fields in table.items()}


def _fields(content: bytes) -> Iterator[tuple[int, Any]]:
    """The number of each field on the wire, with an integer or bytes."""
    at = 0
    while at < len(content):
        tag, at = _varint(content, at)
        match tag & 7:
            case 0:
                value, at = _varint(content, at)
                yield tag >> 3, value
            case 2:
                size, at = _varint(content, at)
                if at + size > len(content):
                    raise ValueError("the body ends within a field")
                yield tag >> 3, content[at : at + size]
                at += size
            case 1 | 5 as form:
                size = 8 if form == _FIXED64 else 4
                yield tag >> 3, content[at : at + size]
                at += size
            case form:
                raise ValueError(f"wire type {form} is not known")


def _varint(content: bytes, at: int) -> tuple[int, int]:
    result = shift = 0
    while at < len(content) and shift < 70:
        byte = content[at]
        result |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return result, at
    raise ValueError("the body ends within a number")


def _message(name: str, content: bytes) -> Any:
    """A message as JSON: types with a JSON form of their own in that."""
    own = name.removeprefix(f"{_META}.").rpartition(".")[2]
    if special := _SPECIAL.get(own):
        return special(dict(_fields(content)))
    known = _messages()[name]
    result: Object = {}
    for number, value in _fields(content):
        if number not in known:
            continue
        field, type_, form = known[number]
        if form == "map":
            entry = dict(_fields(value))
            key = bytes(entry.get(1, b"")).decode()
            result.setdefault(field, {})[key] = _value(type_, entry.get(2, b""))
        elif form == "list":
            result.setdefault(field, []).append(_value(type_, value))
        elif field in _INLINE:
            result.update(_value(type_, value))
        else:
            result[field] = _value(type_, value)
    return result["items"] if own in ("ExtraValue", "Verbs") and "items" in result else result


def _value(type_: str, value: Any) -> Any:
    match type_:
        case "string":
            return bytes(value).decode()
        case "bytes":
            return base64.b64encode(value).decode()
        case "bool":
            return bool(value)
        case "int32" | "int64":
            return value - (1 << 64) if value >= 1 << 63 else value
        case "double":
            return struct.unpack("<d", value)[0]
        case _:
            return _message(type_, value)


def _time(fields: dict[int, Any]) -> str | None:
    if not fields.get(1):
        return None
    return datetime.fromtimestamp(fields[1], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _int_or_string(fields: dict[int, Any]) -> int | str:
    return bytes(fields.get(3, b"")).decode() if fields.get(1) else int(_value("int32", fields.get(2, 0)))


def _raw(fields: dict[int, Any]) -> Any:
    return json.loads(fields[1]) if fields.get(1) else None


_SPECIAL = {
    "Time": _time,
    "MicroTime": _time,
    "IntOrString": _int_or_string,
    "Quantity": lambda fields: bytes(fields.get(1, b"0")).decode(),
    "RawExtension": _raw,
    "FieldsV1": _raw,
}
