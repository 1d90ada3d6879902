"""driftd as a user runs it: the command in a separate process, and an endpoint that receives its webhooks."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.server_process import HOST

WEBHOOK_SECRET = "the-key-of-the-signature"


def wait_until(condition: Callable[[], Any], awaited: str, within: float = 30.0) -> Any:
    """The first true result of `condition`. Raises: AssertionError: none in time; the text has `awaited`."""
    end = time.monotonic() + within
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"waited {within:.0f} s in vain for {awaited}")
        time.sleep(0.05)


class Driftd:
    """A folder with a configuration, and commands that use it in a given environment."""

    def __init__(self, folder: Path, config: Mapping[str, Any], **environment: str) -> None:
        self.folder = folder
        self._given = environment
        self.file = folder / "driftd.yaml"
        self.log = folder / "driftd.log"
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "webhook-secret").write_text(WEBHOOK_SECRET)
        self.configure(config)

    def configure(self, config: Mapping[str, Any]) -> None:
        """Writes the configuration, with the paths of its files filled in."""
        document = {
            "apiVersion": "driftd.io/v1alpha1",
            "kind": "Config",
            "store": {"url": f"sqlite:///{self.folder / 'driftd.db'}"},
            "web": {"listen": "127.0.0.1:0"},
            "cacheDir": str(self.folder / "mirrors"),
            "log": {"format": "json"},
            **config,
        }
        partial = self.folder / "driftd.new"
        partial.write_text(json.dumps(document))
        partial.replace(self.file)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs a command of driftd to its end."""
        return subprocess.run(
            [sys.executable, "-m", "driftd", *arguments],
            capture_output=True, text=True, env=self._environment(), check=False, timeout=90,
        )  # fmt: skip

    def command(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs a command on this configuration."""
        return self.run(name, *arguments, "--config", str(self.file))

    def start(self) -> Self:
        """Starts the daemon, and waits until it logs that it has started."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "driftd", "run", "--config", str(self.file)],
                stdout=log, stderr=log, env=self._environment(),
            )  # fmt: skip
        before = len(self.lines("started"))
        wait_until(lambda: len(self.lines("started")) > before or self._process_ended(), "the daemon's start", 60)
        return self

    def stop(self) -> float:
        """Stops the daemon gracefully; returns the seconds that it took. Raises: AssertionError: it failed."""
        process, self._process = self._process, None
        if process is None:
            return 0.0
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=30)
        assert code == 0, f"the daemon ended with {code}: {self.log.read_text()}"
        return time.monotonic() - began

    def kill(self) -> None:
        """Kills the daemon, as the loss of its node would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def limit_files(self, size: int) -> int:
        """Makes every write beyond `size` bytes of a file fail, as a full disk does. Returns: the limit before."""
        assert self._process is not None
        before, most = resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (size, most))
        return before

    def hang_up(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def lines(self, message: str | None = None) -> list[dict[str, Any]]:
        """The decoded lines of the log, optionally only those with one message."""
        if not self.log.exists():
            return []
        entries = []
        for line in self.log.read_text().splitlines():
            if line.startswith("{"):
                entry = json.loads(line)
                if message is None or entry["message"] == message:
                    entries.append(entry)
        return entries

    @property
    def url(self) -> str:
        """The URL of the daemon's web server."""
        return str(self.lines("started")[-1]["web"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        if error is not None:
            error.add_note(self.log.read_text() if self.log.exists() else "(no log)")

    def _process_ended(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise AssertionError(f"the daemon ended with {self._process.returncode}: {self.log.read_text()}")
        return False

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "PYTHONUNBUFFERED": "1",
            **self._given,
        }


class WebhookReceiver:
    """Receives webhooks on loopback, verifies every signature, and records the bodies. It can be set to refuse them.

    `delay`: seconds from a body to its answer.
    """

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.forged: list[str] = []
        self.refusing = False
        self.delay = 0.0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(receiver._take(body, self.headers.get("Driftd-Signature", "")))
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name that the base class gives it
                """Logs nothing."""

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._server.server_port}/hook"

    def events(self, type_: str, event: str | None = None) -> list[dict[str, Any]]:
        """The bodies of one type, optionally of one event, in order of arrival."""
        return [b for b in list(self.bodies) if b["type"] == type_ and (event is None or b["event"] == event)]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _take(self, body: bytes, signature: str) -> int:
        if self.refusing:
            return 503
        parts = dict(part.split("=", 1) for part in signature.split(","))
        expected = hmac.new(WEBHOOK_SECRET.encode(), f"{parts.get('t')}.".encode() + body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected, parts.get("v1", "")):
            self.forged.append(signature)
            return 403
        self.bodies.append(json.loads(body))
        time.sleep(self.delay)
        return 204


def app_config(
    *, repository: str, kubeconfig: Path, namespace: str, webhook: WebhookReceiver, folder: Path, **app: Any
) -> dict[str, Any]:
    """A configuration with the app `web` from the folder `app` of a repository."""
    return {
        "clusters": [{"name": "test", "kubeconfig": str(kubeconfig)}],
        "sources": [{"name": "shop", "url": repository, "ref": {"branch": "main"}, "interval": "1s", "timeout": "10s"}],
        "apps": [{"name": "web", "source": "shop", "path": "app", "namespace": namespace, **app}],
        "notify": {"webhooks": [{"name": "test", "url": webhook.url, "secretFile": str(folder / "webhook-secret")}]},
    }
