"""Write `driftd/diff/typed/go_fields.py`: which zero values an API server keeps, and its defaults, field by field.

    python -m tools.zero_values --kubectl KUBECTL --kubeconfig FILE

It probes the server by dry-run creates of small objects (`seeds.yaml`) in the namespace `default`; nothing is stored.
Every struct of Kubernetes' own types is inserted where it is allowed, and each of its fields is set to `false`, `0`,
`""`, `[]` or `{}` separately. If the server refuses that, the encoding in Go decides (the table of Go types in
`driftd/sandbox/schemas`, see `tools/dump_openapi.py`): a pointer keeps its zero value. If both are available, they must
agree; disagreements are printed, and the server's answer is used.
"""

from __future__ import annotations

import argparse
import json
import lzma
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from tools.zero_values.probing import Findings, Prober
from tools.zero_values.server import Server
from tools.zero_values.types import Types

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "driftd" / "diff" / "go_fields.py"
GO_TYPES = ROOT / "driftd" / "sandbox" / "schemas" / "kubernetes.json.xz"
_POINTER = "p"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kubectl", default="kubectl")
    parser.add_argument("--kubeconfig", required=True)
    parser.add_argument("--print", action="store_true", help="print the table instead of writing it")
    arguments = parser.parse_args()
    with Server(arguments.kubectl, arguments.kubeconfig) as server:
        version = server.get("/version")["gitVersion"]
        types = Types(documents(server))
        findings = probe(server, types)
    structs = go_structs()
    for line in disagreements(findings, types, structs):
        print(line, file=sys.stderr)
    kept = kept_fields(findings, types, structs)
    text = module(version, kept, findings.defaults)
    if arguments.print:
        print(text)
    else:
        TARGET.write_text(text)
    counts = f"{len(findings.kept)} kept, {len(findings.dropped)} dropped, {len(findings.defaults)} with defaults"
    refused = len(findings.refused - findings.kept - findings.dropped)
    print(f"{version}: {server.requests} requests, {len(findings.reached)} types; {counts}, {refused} refused",
          file=sys.stderr)  # fmt: skip
    return 0


def documents(server: Server) -> dict[str, Any]:
    index = server.get("/openapi/v3")["paths"]
    return {path: server.get(entry["serverRelativeURL"]) for path, entry in sorted(index.items()) if "/v" in path}


def probe(server: Server, types: Types, seeds: Iterable[dict[str, Any]] | None = None) -> Findings:
    """Probes the fields that can be reached from the seeds."""
    prober = Prober(server, types)
    for body in seeds if seeds is not None else read_seeds():
        api_version, kind = body["apiVersion"], body["kind"]
        collection = collection_of(server, api_version, kind)
        struct = types.kinds.get((api_version, kind))
        if collection is None or struct is None or not prober.explore(collection, struct, body):
            print(f"this server does not take the seed {kind}/{body['metadata']['name']}", file=sys.stderr)
    return prober.findings


def read_seeds() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((Path(__file__).parent / "seeds.yaml").read_text()))


def collection_of(server: Server, api_version: str, kind: str) -> str | None:
    base = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    for resource in server.get(base)["resources"]:
        if resource["kind"] == kind and "/" not in resource["name"]:
            return (
                f"{base}/namespaces/default/{resource['name']}"
                if resource["namespaced"]
                else f"{base}/{resource['name']}"
            )
    return None


def go_structs() -> Mapping[str, Mapping[str, str]]:
    structs: Mapping[str, Mapping[str, str]] = json.loads(lzma.decompress(GO_TYPES.read_bytes()))["structs"]
    return structs


def kept_fields(findings: Findings, types: Types, structs: Mapping[str, Mapping[str, str]]) -> dict[str, list[str]]:
    """By type, the scalar fields whose zero value is stored: as observed, or else as Go encodes them."""
    kept: dict[str, list[str]] = {}
    for struct, codes in structs.items():
        for name, code in codes.items():
            at = (struct, name)
            stored = at in findings.kept or (code == _POINTER and at not in findings.dropped)
            if stored and _is_scalar(types, at):
                kept.setdefault(struct, []).append(name)
    return kept


def disagreements(findings: Findings, types: Types, structs: Mapping[str, Mapping[str, str]]) -> Iterable[str]:
    for at in sorted(findings.kept | findings.dropped):
        code = structs.get(at[0], {}).get(at[1])
        if code is None or not _is_scalar(types, at):
            continue
        observed, written = at in findings.kept, code != "o"
        if observed != written:
            yield f"{at[0]}.{at[1]}: the server {'keeps' if observed else 'drops'} zero, Go's tag says {code!r}"


def _is_scalar(types: Types, at: tuple[str, str]) -> bool:
    try:
        field = types.field(*at)
    except KeyError:
        return False
    return field is not None and field.kind in ("boolean", "integer", "number", "string")


def module(version: str, kept: Mapping[str, list[str]], defaults: Mapping[tuple[str, str], list[Any]]) -> str:
    by_type: dict[str, dict[str, tuple[Any, ...]]] = {}
    for (struct, name), values in sorted(defaults.items()):
        by_type.setdefault(struct, {})[name] = tuple(sorted(values, key=json.dumps))
    lines = [
        f'"""How Kubernetes {version} treats fields of its Go types. Written by `python -m tools.zero_values`."""',
        "# ruff: noqa: E501  # one type a line",
        "# fmt: off",
        "",
        "from __future__ import annotations",
        "",
        "from collections.abc import Mapping",
        "from typing import Any",
        "",
        f'KUBERNETES = "{version}"',
        '"""The version that was probed."""',
        "",
        "KEPT: Mapping[str, frozenset[str]] = {",
        *(
            f'    "{struct}": frozenset({{{", ".join(map(repr, sorted(names)))}}}),'
            for struct, names in sorted(kept.items())
        ),
        "}",
        '"""By Go type (its OpenAPI name), the fields that keep `false`, `0` and `""`. All others drop them."""',
        "",
        "DEFAULTS: Mapping[str, Mapping[str, tuple[Any, ...]]] = {",
        *(f'    "{struct}": {fields!r},' for struct, fields in sorted(by_type.items())),
        "}",
        '"""By Go type and field, the values that the API server sets if none, or a dropped zero value, is given."""',
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
