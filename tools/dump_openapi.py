#!/usr/bin/env python3
"""Dump the description of Kubernetes' built-in kinds for the embedded cluster (driftd/sandbox) from a real API server.

    tools/dump_openapi.py --kubectl KUBECTL --kubeconfig FILE

It writes `driftd/sandbox/schemas/kubernetes.json.xz`, which has the unchanged OpenAPI v3 documents and aggregated
discovery of the API server, and a table of how Go encodes each field of Kubernetes' types as JSON, which no API
provides. That table is extracted from the sources in Go's module cache (`go mod download` of k8s.io/api,
k8s.io/apimachinery, k8s.io/apiextensions-apiserver and k8s.io/kube-aggregator at the server's version).

Both are parts of Kubernetes: Copyright The Kubernetes Authors, Apache License 2.0.
"""

from __future__ import annotations

import argparse
import json
import lzma
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

TARGET = Path(__file__).resolve().parent.parent / "driftd" / "sandbox" / "schemas" / "kubernetes.json.xz"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
SOURCES = {
    "io.k8s.api": ("k8s.io/api", ""),
    "io.k8s.apimachinery.pkg.apis.meta": ("k8s.io/apimachinery", "pkg/apis/meta"),
    "io.k8s.apiextensions-apiserver.pkg.apis": ("k8s.io/apiextensions-apiserver", "pkg/apis"),
    "io.k8s.kube-aggregator.pkg.apis": ("k8s.io/kube-aggregator", "pkg/apis"),
}
STRUCT = re.compile(r"^type (\w+) struct \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
FIELD = re.compile(r'^\t(?:(\w+) +)?(\S+) +`[^`]*json:"([^"]*)"[^`]*`', re.MULTILINE)

Structs = dict[str, dict[str, str]]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kubectl", default="kubectl")
    parser.add_argument("--kubeconfig", required=True)
    arguments = parser.parse_args()
    server = Server(arguments.kubectl, arguments.kubeconfig)
    version = server.get("/version")
    index = server.get("/openapi/v3")["paths"]
    documents = {path: server.get(entry["serverRelativeURL"]) for path, entry in sorted(index.items()) if "/v" in path}
    dump = {
        "version": version,
        "source": f"OpenAPI v3 documents, discovery and Go types of Kubernetes {version['gitVersion']}",
        "license": "Apache-2.0, Copyright The Kubernetes Authors",
        "openapi": documents,
        "discovery": {"api": server.discovery("/api"), "apis": server.discovery("/apis")},
        "structs": go_structs(version["gitVersion"].replace("v1.", "v0.")),
    }
    content = json.dumps(dump, separators=(",", ":"), sort_keys=True).encode()
    TARGET.write_bytes(lzma.compress(content, preset=9))
    print(f"{TARGET}: {len(documents)} documents, {len(dump['structs'])} Go types, {TARGET.stat().st_size} bytes")
    return 0


class Server:
    """A real API server, queried through kubectl and its proxy."""

    def __init__(self, kubectl: str, kubeconfig: str) -> None:
        self._command = [kubectl, "--kubeconfig", kubeconfig]

    def get(self, path: str) -> Any:
        content = subprocess.check_output([*self._command, "get", "--raw", path])  # noqa: S603 - the user's kubectl
        return json.loads(content)

    def discovery(self, path: str) -> Any:
        """Aggregated discovery requires an Accept header, which `kubectl get --raw` cannot send, hence the proxy."""
        command = [*self._command, "proxy", "--port=0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as proxy:  # noqa: S603 - the user's kubectl
            first_line = proxy.stdout.readline() if proxy.stdout else ""
            address = first_line.rsplit(" ", 1)[-1].strip()
            try:
                with urlopen(Request(f"http://{address}{path}", headers={"Accept": AGGREGATED})) as answer:
                    return json.loads(answer.read())
            finally:
                proxy.terminate()


def go_structs(version: str) -> Structs:
    """How Go encodes each field: `{type: {field: code}}`, types by their OpenAPI name.

    Codes: `o` omitted when empty, `v` always written, `p` a pointer omitted when nil, `P` a pointer written as null,
    `z` a struct omitted when it is all zero.
    """
    command = ["go", "env", "GOMODCACHE"]
    cache = Path(subprocess.check_output(command, text=True).strip())  # noqa: S603 - a command of constants
    structs: Structs = {}
    for prefix, (module, folder) in SOURCES.items():
        root = cache / f"{module}@{version}" / folder
        if not root.is_dir():
            raise SystemExit(f"{root} is missing: go mod download {module}@{version}")
        for package in sorted({path.parent for path in root.rglob("v*/types*.go")}):
            name = ".".join([prefix, *package.relative_to(root).parts])
            parsed = dict(_structs_of(package))
            for struct in parsed:
                structs[f"{name}.{struct}"] = dict(_fields(struct, parsed))
    return structs


def _structs_of(package: Path) -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    for path in sorted(package.glob("*.go")):
        if path.name.endswith("_test.go") or path.name.startswith("zz_"):
            continue
        for match in STRUCT.finditer(path.read_text()):
            yield match.group(1), FIELD.findall(match.group(2))


def _fields(struct: str, parsed: dict[str, list[tuple[str, str, str]]]) -> Iterator[tuple[str, str]]:
    for _name, go_type, tag in parsed[struct]:
        field, *options = tag.split(",")
        if field == "-":
            continue
        if not field:  # an embedded struct
            embedded = go_type.lstrip("*").rsplit(".", 1)[-1]
            if "." not in go_type and embedded in parsed:
                yield from _fields(embedded, parsed)
            continue
        if go_type.startswith("*"):
            yield field, "p" if "omitempty" in options else "P"
        elif "omitzero" in options:
            yield field, "z"
        else:
            yield field, "o" if "omitempty" in options else "v"


if __name__ == "__main__":
    sys.exit(main())
