"""Decodes and encodes objects of built-in kinds as Go does.

An API server decodes JSON into Go structs and encodes those again: unknown fields and nulls are dropped, zero values
are dropped for fields with `omitempty` and added for others, quantities and times get their canonical form.
Source: the Go types of Kubernetes (see tools/dump_openapi.py); encoding/json.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from driftd.sandbox.resources.quantity import InvalidQuantity, canonical
from driftd.sandbox.status import format_value

Path = tuple[Any, ...]
"""A linked list `(parent, name)` from a value to the root: cheap to extend, rendered only for a message."""

_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_JSON = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1."
_OPEN = {
    _META + "FieldsV1", _META + "Patch", "io.k8s.apimachinery.pkg.runtime.RawExtension", _JSON + "JSON",
    _JSON + "JSONSchemaPropsOrArray", _JSON + "JSONSchemaPropsOrBool", _JSON + "JSONSchemaPropsOrStringArray",
}  # fmt: skip
_GO_NAMES = {str: "string", bool: "bool", int: "number", float: "number", dict: "object", list: "array"}
_DROP = object()
_HEAD = frozenset({"apiVersion", "kind"})


class DecodeError(Exception):
    """The object cannot be decoded into its Go type. The text is encoding/json's."""


Decoder = Callable[[Any, Path, list[str]], Any]


class Codec:
    """Decoders for a set of OpenAPI definitions, built on first use."""

    def __init__(self, schemas: Mapping[str, Mapping[str, Any]], structs: Mapping[str, Mapping[str, str]]) -> None:
        self._schemas = schemas
        self._structs = structs
        self._decoders: dict[str, Decoder] = {}

    def decode(self, definition: str, obj: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Returns: the decoded object, and the paths of its unknown fields.

        Raises: DecodeError.
        """
        unknown: list[str] = []
        decoded: dict[str, Any] = self._decoder(definition)(obj, (), unknown)
        head = {key: obj[key] for key in ("apiVersion", "kind") if key in obj}
        return {**head, **decoded}, unknown

    def _decoder(self, definition: str) -> Decoder:
        decoder = self._decoders.get(definition)
        if decoder is None:
            decoder = self._decoders[definition] = _SPECIAL.get(definition) or self._struct(definition)
        return decoder

    def _struct(self, definition: str) -> Decoder:
        schema = self._schemas[definition]
        if definition in _OPEN or not schema.get("properties"):
            return _any
        codes, name = self._structs[definition], definition.rsplit(".", 1)[-1]
        head = _HEAD if "kind" in schema["properties"] and "x-kubernetes-group-version-kind" in schema else frozenset()

        def fields() -> dict[str, tuple[str, _Field]]:
            members = schema["properties"].items()
            return {key: (codes[key], self._field(member, name)) for key, member in members if key not in head}

        return _Struct(name, head, fields)

    def _field(self, schema: Mapping[str, Any], struct: str) -> _Field:
        target = schema.get("$ref") or (schema["allOf"][0].get("$ref") if "allOf" in schema else None)
        if target is not None:
            definition = target.rsplit("/", 1)[-1]
            zero = _ZEROS.get(definition)
            if zero is None and (definition in _OPEN or not self._schemas[definition].get("properties")):
                return _Field(_any, "scalar", None)
            return _Field(self._decoder(definition), "struct" if zero is None else "leaf", zero)
        kind = schema.get("type")
        if kind == "array":
            return _Field(_list(self._field(schema["items"], struct).decode), "collection", None)
        if kind == "object":
            additional = schema.get("additionalProperties")
            inner = self._field(additional, struct).decode if isinstance(additional, dict) else _any
            return _Field(_map(inner), "collection", None)
        decoder, zero = _scalar(kind, schema.get("format", ""))
        return _Field(decoder, "scalar", zero)


class _Struct:
    """The decoder of one Go struct. Its fields are resolved on first use, because types are recursive."""

    __slots__ = ("_fields", "_head", "_lookup", "_name")

    def __init__(self, name: str, head: frozenset[str], lookup: Callable[[], dict[str, tuple[str, _Field]]]) -> None:
        self._name = name
        self._head = head
        self._lookup = lookup
        self._fields: dict[str, tuple[str, _Field]] | None = None

    def __call__(self, value: Any, path: Path, unknown: list[str]) -> Any:
        if self._fields is None:
            self._fields = self._lookup()
        if not isinstance(value, dict):
            raise _mismatch(value, path, f"v1.{self._name}")
        result = {}
        for key, child in value.items():
            member = self._fields.get(key)
            if member is not None:
                if child is not None:
                    decoded = member[1].decode(child, (path, key, self._name), unknown)
                    if member[0] in "pP" or not member[1].omitted(decoded, member[0]):
                        result[key] = decoded
            elif key not in self._head:
                unknown.append(dotted_path((path, key)))
        for key, (code, field) in self._fields.items():
            if key not in result and (absent := field.absent(code, (path, key, self._name))) is not _DROP:
                result[key] = absent
        return result


class _Field:
    """The decoder of one field, and the value that Go writes when the field is absent."""

    __slots__ = ("decode", "kind", "zero")

    def __init__(self, decode: Decoder, kind: str, zero: Any) -> None:
        self.decode = decode
        self.kind = kind
        self.zero = zero

    def omitted(self, value: Any, code: str) -> bool:
        if self.kind == "struct":
            return code == "z" and not value
        if self.kind == "leaf":
            return code == "z" and value == self.zero[0]
        if code == "v":
            return False
        return not value if self.kind == "collection" else value == self.zero

    def absent(self, code: str, path: Path) -> Any:
        if code in "poz" and (code != "o" or self.kind in ("scalar", "collection")):
            return _DROP
        if code == "P" or self.kind == "collection":
            return None
        if self.kind == "struct":
            return self.decode({}, path, [])
        return self.zero[0] if self.kind == "leaf" else self.zero


class _Key(str):
    """A key of a map, which encoding/json leaves out of its messages."""

    __slots__ = ()


def dotted_path(path: Path) -> str:
    """`spec.containers[0].image`."""
    names: list[Any] = []
    while path:
        names.append(path[1])
        path = path[0]
    text = ""
    for name in reversed(names):
        text += f"[{name}]" if isinstance(name, int) else f".{name}" if text else str(name)
    return text


def _mismatch(value: Any, path: Path, go_type: str) -> DecodeError:
    names: list[str] = []
    struct = ""
    while path:
        if not isinstance(path[1], int | _Key):
            names.append(path[1])
        if not struct and len(path) > 2:
            struct = path[2]
        path = path[0]
    location = f"Go struct field {struct}.{'.'.join(reversed(names))}" if struct else "Go value"
    type_name = _GO_NAMES.get(type(value), "null")
    if isinstance(value, float):
        type_name = f"number {value}"
    return DecodeError(f"json: cannot unmarshal {type_name} into {location} of type {go_type}")


def _any(value: Any, _path: Path, _unknown: list[str]) -> Any:
    return value


def _list(inner: Decoder) -> Decoder:
    def decode(value: Any, path: Path, unknown: list[str]) -> Any:
        if not isinstance(value, list):
            raise _mismatch(value, path, "[]interface {}")
        return [
            inner({} if child is None and inner is not _string else child, (path, index), unknown)
            for index, child in enumerate(value)
        ]

    return decode


def _map(inner: Decoder) -> Decoder:
    def decode(value: Any, path: Path, unknown: list[str]) -> Any:
        if not isinstance(value, dict):
            raise _mismatch(value, path, "map[string]string")
        return {
            key: "" if child is None and inner in (_string, _bytes) else inner(child, (path, _Key(key)), unknown)
            for key, child in value.items()
        }

    return decode


def _string(value: Any, path: Path, _unknown: list[str]) -> Any:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _mismatch(value, path, "string")
    return value


def _bytes(value: Any, path: Path, _unknown: list[str]) -> Any:
    if not isinstance(value, str):
        raise _mismatch(value, path, "[]uint8")
    try:
        return base64.b64encode(base64.b64decode("".join(value.split()), validate=True)).decode()
    except binascii.Error:
        position = next((i for i, c in enumerate(value) if not (c.isalnum() or c in "+/=\r\n")), len(value))
        raise DecodeError(f"illegal base64 data at input byte {position}") from None


def _boolean(value: Any, path: Path, _unknown: list[str]) -> Any:
    if not isinstance(value, bool):
        raise _mismatch(value, path, "bool")
    return value


def _integer(go_type: str) -> Decoder:
    def decode(value: Any, path: Path, _unknown: list[str]) -> Any:
        if isinstance(value, float) and value.is_integer():
            return int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise _mismatch(value, path, go_type)
        return value

    return decode


def _number(value: Any, path: Path, _unknown: list[str]) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _mismatch(value, path, "float64")
    return value


def _quantity(value: Any, _path: Path, _unknown: list[str]) -> Any:
    try:
        return canonical(str(value))
    except InvalidQuantity as error:
        raise DecodeError(str(error)) from error


def _int_or_string(value: Any, path: Path, _unknown: list[str]) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise _mismatch(value, path, "int32")
    return value


def _time(layout: str) -> Decoder:
    def decode(value: Any, path: Path, _unknown: list[str]) -> Any:
        if not isinstance(value, str):
            raise _mismatch(value, path, "string")
        try:
            parsed = datetime.fromisoformat(value)
        except ValueError as error:
            raise DecodeError(
                f"parsing time {format_value(value)} as {format_value('2006-01-02T15:04:05Z07:00')}: {error}"
            ) from error
        return parsed.astimezone(UTC).strftime(layout)

    return decode


def _scalar(kind: str | None, form: str) -> tuple[Decoder, Any]:
    if kind == "string":
        return (_bytes if form == "byte" else _string), ""
    if kind == "integer":
        return _integer(form or "int64"), 0
    if kind == "boolean":
        return _boolean, False
    if kind == "number":
        return _number, 0
    return _any, None


_SPECIAL: dict[str, Decoder] = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": _quantity,
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": _int_or_string,
    _META + "Time": _time("%Y-%m-%dT%H:%M:%SZ"),
    _META + "MicroTime": _time("%Y-%m-%dT%H:%M:%S.%fZ"),
}
_ZEROS: dict[str, tuple[Any]] = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": ("0",),
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": (0,),
    _META + "Time": (None,),
    _META + "MicroTime": (None,),
}
