"""A real registry of OCI artifacts, and a Helm repository, both over TLS on this machine."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import ssl
import subprocess
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.support.certificates import Authority
from tests.support.go_programs import cache_folder, go

SOURCE = Path(__file__).resolve().parent.parent / "registry"
FLUX_LAYER = "application/vnd.cncf.flux.content.v1.tar+gzip"
FLUX_CONFIG = "application/vnd.cncf.flux.config.v1+json"


def registry_program() -> Path:
    """The registry's server, built once from its Go module (some minutes where nothing of it was built before)."""
    recipe = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(SOURCE.iterdir()))).hexdigest()[:12]
    program = cache_folder() / "registry" / f"registry-{recipe}"
    program.parent.mkdir(parents=True, exist_ok=True)
    with (program.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            building = program.with_suffix(".new")
            done = go(print).run(["build", "-o", str(building), "."], SOURCE)
            assert done.returncode == 0, done.stderr
            building.replace(program)
    return program


@dataclass(frozen=True, slots=True)
class Registry:
    """A running registry. `login` is the NAME:PASSWORD that it asks for, if any."""

    host: str
    ca_file: Path
    login: str = ""

    def push(self, name: str, tag: str, archive: bytes, media_type: str = FLUX_LAYER) -> str:
        """Pushes an artifact with one layer, as `flux push artifact` does. Returns: its digest."""
        config = self._blob(name, b"{}")
        layer = self._blob(name, archive)
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": FLUX_CONFIG, "digest": config, "size": 2},
            "layers": [{"mediaType": media_type, "digest": layer, "size": len(archive)}],
            "annotations": {"org.opencontainers.image.created": "2026-02-03T04:05:06Z"},
        }
        body = json.dumps(manifest).encode()
        self._send("PUT", f"/v2/{name}/manifests/{tag}", body, manifest["mediaType"])
        return f"sha256:{hashlib.sha256(body).hexdigest()}"

    def _blob(self, name: str, data: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self._send("POST", f"/v2/{name}/blobs/uploads/?digest={digest}", data, "application/octet-stream")
        return digest

    def _send(self, method: str, path: str, body: bytes, content_type: Any) -> None:
        headers = {"Content-Type": str(content_type)}
        if self.login:
            headers["Authorization"] = f"Basic {base64.b64encode(self.login.encode()).decode()}"
        request = urllib.request.Request(f"https://{self.host}{path}", body, headers, method=method)
        with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=self.ca_file)) as answer:
            assert answer.status in (201, 202), answer.status


@contextmanager
def running_registry(authority: Authority, login: str = "") -> Iterator[Registry]:
    pair = authority.server("registry", ["localhost", "127.0.0.1"])
    process = subprocess.Popen(
        [registry_program(), pair.certificate, pair.key],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "REGISTRY_LOGIN": login},
    )
    try:
        assert process.stdout is not None
        yield Registry(f"localhost:{int(process.stdout.readline())}", authority.certificate, login)
    finally:
        process.kill()
        process.wait()


@dataclass(slots=True)
class FileServer:
    """An https server of a folder's files. `requests` are the paths with the logins that were sent; `sent_on` are
    answers that send on to another address, by path."""

    folder: Path
    url: str = ""
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    sent_on: dict[str, str] = field(default_factory=dict)
    login: str = ""
    realm: str = ""
    """Where a token is had with the login, if one is asked for: at this server, `/token`."""


@contextmanager
def running_file_server(folder: Path, authority: Authority) -> Iterator[FileServer]:
    served = FileServer(folder)
    pair = authority.server(f"files-{id(served)}", ["localhost", "127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"served": served}))
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    served.url = f"https://localhost:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    served: FileServer

    def do_GET(self) -> None:
        authorization = self.headers.get("Authorization")
        self.served.requests.append((self.path, authorization))
        wanted = f"Basic {base64.b64encode(self.served.login.encode()).decode()}"
        file = self.served.folder / self.path.lstrip("/").replace(":", "_")
        if self.served.realm and self.path.startswith("/token?"):
            self._answer(200, b'{"token": "t0ken"}') if authorization == wanted else self._answer(403, b"")
        elif self.served.realm and authorization != "Bearer t0ken":
            challenge = f'Bearer realm="{self.served.realm}",service="registry"'
            self._answer(401, b"", {"WWW-Authenticate": challenge})
        elif not self.served.realm and self.served.login and authorization != wanted:
            self._answer(401, b"who are you?")
        elif self.path in self.served.sent_on:
            self._answer(302, b"", {"Location": self.served.sent_on[self.path]})
        elif file.is_file():
            self._answer(200, file.read_bytes())
        else:
            self._answer(404, b"nothing here")

    def log_message(self, *_: Any) -> None:
        """Logs nothing: see `requests`."""

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    print(registry_program())
