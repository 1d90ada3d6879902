"""The minimum of a comparison: one LIST of each kind, its decoding, and the parsing of the manifests.

`python -m benchmarks.floor KUBECONFIG FOLDER PATH…`: no comparison, no types, no resolution of values.
It prints the duration of each step in seconds.
"""

from __future__ import annotations

import gc
import http.client
import json
import ssl
import sys
import time
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import yaml


def main(kubeconfig: str, folder: str, paths: list[str]) -> None:
    gc.disable()
    moments = [time.monotonic()]
    payloads = _listed(json.loads(Path(kubeconfig).read_text()), paths)
    moments.append(time.monotonic())
    live = sum(len(orjson.loads(payload)["items"]) for payload in payloads)
    moments.append(time.monotonic())
    declared = sum(_parsed(file.read_bytes()) for file in Path(folder).rglob("*.yaml"))
    moments.append(time.monotonic())
    steps = dict(zip(("list", "decode", "parse"), (b - a for a, b in pairwise(moments)), strict=True))
    print(json.dumps({"objects": declared, "live": live, "seconds": steps}))


def _listed(config: dict[str, list[dict[str, dict[str, str]]]], paths: list[str]) -> list[bytes]:
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    context = ssl.create_default_context(cafile=cluster["certificate-authority"])
    context.load_cert_chain(user["client-certificate"], user["client-key"])
    address = urlsplit(cluster["server"])
    connection = http.client.HTTPSConnection(address.hostname or "", address.port, context=context)
    payloads = []
    for path in paths:
        connection.request("GET", path)
        payloads.append(connection.getresponse().read())
    return payloads


def _parsed(text: bytes) -> int:
    return sum(isinstance(event, yaml.DocumentStartEvent) for event in yaml.parse(text, Loader=yaml.CSafeLoader))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
