"""Writes the field numbers of Kubernetes' types for the sandbox, from the .proto files of the Go modules.

`python -m tools.protobuf_fields K8S_IO_API_FOLDER K8S_IO_APIMACHINERY_FOLDER`
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

OUTPUT = Path(__file__).resolve().parents[1] / "driftd/sandbox/schemas/protobuf.json"
_VERSIONS = ("v1", "v2")
_FIELD = re.compile(r"^\s+(?:(optional|repeated) )?(map<string, *)?([.\w]+)>? (\w+) = (\d+);")
_SCALARS = {"string", "bytes", "bool", "int32", "int64", "double"}


def main() -> None:
    table: dict[str, dict[str, list[str]]] = {}
    api, machinery = map(Path, sys.argv[1:])
    for file in [*sorted(api.glob("*/*/generated.proto")), *sorted(machinery.glob("pkg/**/generated.proto"))]:
        if file.is_relative_to(machinery) or file.parent.name in _VERSIONS:
            table.update(_messages(file.read_text()))
    lines = [f"{json.dumps(name)}:{json.dumps(fields, separators=(',', ':'))}" for name, fields in table.items()]
    OUTPUT.write_text("{" + ",\n".join(lines) + "}\n")


def _messages(text: str) -> Iterator[tuple[str, dict[str, list[str]]]]:
    """Each message by its full name: by number, the field's name, its type, and whether it is a list or a map."""
    package = next(iter(re.findall(r"^package ([\w.]+);", text, re.MULTILINE)))
    for name, body in re.findall(r"^message (\w+) \{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL):
        fields = {}
        for line in body.splitlines():
            if match := _FIELD.match(line):
                label, is_map, type_, field, number = match.groups()
                form = "map" if is_map else "list" if label == "repeated" else ""
                full = type_ if type_ in _SCALARS else type_[1:] if type_.startswith(".") else f"{package}.{type_}"
                fields[number] = [field, full, form]
        yield f"{package}.{name}", fields


if __name__ == "__main__":
    main()
