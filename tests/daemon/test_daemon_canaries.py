"""Where a secret may be, by every way out of a daemon that logs everything, and of the commands beside it."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import sqlite3
import threading
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from driftd.model.errors import DriftdError
from driftd.sandbox.server import Sandbox
from tests.support.canaries import revealed
from tests.support.commands import invoke
from tests.support.driftd_process import Driftd, WebhookReceiver, wait_until
from tests.support.gitserver import GitRepo

pytestmark = pytest.mark.timeout(300)

_PLACES = (
    "in Git", "live", "misspelt", "applied", "compressed", "refused by the server", "refused by the parser",
    "Git token", "token in the environment", "webhook key", "webhook address", "Slack token", "audit token",
    "kubeconfig token", "login plugin",
)  # fmt: skip
CANARIES = {place: f"canary?{place.replace(' ', '&')}/+{number:04}" for number, place in enumerate(_PLACES)}
IN_MANIFESTS = ("in Git", "misspelt", "compressed")
"""What Git declares: the store keeps whole manifests, for rollbacks."""

ERRORS = ("the alias has no anchor", "credential plugin", "refused the connection", "127.0.0.1:9/x.git", "/y.git")
"""Of the apps that cannot be read, of two clusters, and of two sources."""


def secret(name: str, metadata: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, **(metadata or {})}, **more}


def declared() -> dict[str, str]:
    """The repository: apps that drift, are healed, are refused, and cannot be read."""
    packed = base64.b64encode(gzip.compress(json.dumps(secret("a", stringData={"a": CANARIES["compressed"]})).encode()))
    annotated = {"annotations": {"objectset.rio.cattle.io/applied": packed.decode()}}
    files = {
        "drifts/a": secret("drifts", annotated, stringData={"password": CANARIES["in Git"]}),
        "drifts/b": secret("misspelt", stringdata={"password": CANARIES["misspelt"]}, password=CANARIES["misspelt"]),
        "healed/a": secret("healed", stringData={"password": CANARIES["in Git"]}),
        "refused/a": secret("refused", stringData={"password": CANARIES["in Git"]}),
    }
    return {
        **{f"{name}.yaml": json.dumps(body) for name, body in files.items()},
        "broken/a.yaml": f"apiVersion: v1\nkind: Secret\nmetadata: {{name: b}}\nstringData:\n"
        f"  p: *{CANARIES['refused by the parser']}\n",
    }


def live() -> list[dict[str, Any]]:
    applied = json.dumps(secret("drifts", stringData={"password": CANARIES["applied"]}))
    annotated = {"namespace": "web", "annotations": {"kubectl.kubernetes.io/last-applied-configuration": applied}}
    value = base64.b64encode(CANARIES["live"].encode()).decode()
    names = ("drifts", "misspelt", "healed", "refused")
    return [secret(name, annotated, type="Opaque", data={"password": value}) for name in names]


@dataclass
class Observed:
    """Texts by their way out, and the values that the store holds, by its tables."""

    texts: dict[str, str] = field(default_factory=dict)
    tables: dict[str, set[bytes]] = field(default_factory=dict)


class Programs:
    """The command lines of all programs that this process' descendants run, as `ps` shows them."""

    def __init__(self) -> None:
        self.lines: set[str] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    @contextmanager
    def watched(self) -> Iterator[None]:
        self._thread.start()
        yield
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.02):
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    line = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
                except OSError:
                    continue
                if "git" in line or "driftd" in line:
                    self.lines.add(line)


@contextmanager
def cluster(folder: Path) -> Iterator[tuple[Sandbox, Path]]:
    """A cluster in this process whose API server refuses to write one Secret, and quotes it."""
    sandbox, ready, over = Sandbox(), threading.Event(), threading.Event()
    sandbox.load([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "web"}}, *live()], manager="somebody")

    async def serve() -> None:
        async with sandbox.serve():
            sandbox.write_kubeconfig(folder / "kubeconfig")
            ready.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    try:
        yield sandbox, folder / "kubeconfig"
    finally:
        over.set()
        thread.join()


def kubeconfigs(folder: Path) -> list[dict[str, str]]:
    """Clusters that cannot be reached: by a token, and by a login plugin that fails and says why."""
    users = {
        "token": {"token": CANARIES["kubeconfig token"]},
        "plugin": {
            "exec": {
                "apiVersion": "client.authentication.k8s.io/v1",
                "command": "sh",
                "args": ["-c", 'echo "password $PIN is wrong" >&2; exit 1'],
                "env": [{"name": "PIN", "value": CANARIES["login plugin"]}],
            }
        },
    }
    for name, user in users.items():
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:9"}}],
            "users": [{"name": "u", "user": user}],
        }
        (folder / name).write_text(json.dumps(document))
    return [{"name": name, "kubeconfig": str(folder / name)} for name in users]


def configuration(folder: Path, repository: GitRepo, kubeconfig: Path, webhook: WebhookReceiver) -> dict[str, Any]:
    for name in ("Git token", "webhook key", "Slack token", "audit token"):
        (folder / name.replace(" ", "-")).write_text(CANARIES[name])
    local = {"url": repository.url, "interval": "1s"}
    common = {"namespace": "web", "source": "shop"}
    return {
        "clusters": [{"name": "prod", "kubeconfig": str(kubeconfig)}, *kubeconfigs(folder)],
        "sources": [
            {"name": "shop", **local},
            {"name": "far", "url": "https://127.0.0.1:9/x.git", "auth": {"tokenFile": str(folder / "Git-token")}},
            {"name": "farther", "url": "https://127.0.0.1:9/y.git", "auth": {"tokenEnv": "CANARY_TOKEN"}},
        ],
        "apps": [
            {**common, "name": "drifts", "path": "drifts"},
            {**common, "name": "healed", "path": "healed", "mode": "heal"},
            {**common, "name": "refused", "path": "refused", "mode": "heal"},
            {**common, "name": "broken", "path": "broken"},
            {**common, "name": "far", "source": "far"},
            {**common, "name": "farther", "source": "farther"},
            {**common, "name": "with-token", "path": "drifts", "cluster": "token"},
            {**common, "name": "with-plugin", "path": "drifts", "cluster": "plugin"},
        ],
        "notify": {
            "slack": {
                "tokenFile": str(folder / "Slack-token"), "channel": "c", "apiUrl": "http://127.0.0.1:9/api/",
            },
            "webhooks": [
                {"name": "here", "url": webhook.url, "secretFile": str(folder / "webhook-secret")},
                {
                    "name": "gone", "secretFile": str(folder / "webhook-key"),
                    "url": f"http://127.0.0.1:9/{CANARIES['webhook address'].partition('?')[2]}",
                },
            ],
        },
        "log": {"level": "debug", "format": "json"},
    }  # fmt: skip


def get(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        return error.read().decode()


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Observed:
    """A daemon at work on all of it, and everything that it says."""
    folder = tmp_path_factory.mktemp("canaries")
    found, programs = Observed(), Programs()
    repository = GitRepo(folder / "repository").write(declared())
    repository.commit("Declare")
    (folder / "d").mkdir()
    with cluster(folder) as (sandbox, kubeconfig), WebhookReceiver() as webhook, programs.watched():
        message = f'admission webhook "x" denied the request: {CANARIES["refused by the server"]} is too short'
        sandbox.faults.refuse("patch", "secrets", message)
        given = configuration(folder / "d", repository, kubeconfig, webhook)
        with Driftd(folder / "d", given, CANARY_TOKEN=CANARIES["token in the environment"]) as daemon:
            daemon.start()
            everything = "/api/v1/operations?limit=1000"
            wait_until(lambda: '"failed"' in get(f"{daemon.url}{everything}"), "a write that is refused")
            sandbox.faults.clear()
            wait_until(lambda: "healed" in json.dumps(webhook.bodies), "a heal")
            wait_until(lambda: any(body["app"] == "drifts" for body in webhook.bodies), "a message")
            wait_until(lambda: all(error in get(f"{daemon.url}/api/v1/apps") for error in ERRORS), "all errors")
            incidents = json.loads(get(f"{daemon.url}/api/v1/incidents?limit=1000"))["incidents"]
            paths = ["", "healthz", "readyz", "metrics", "api/v1/apps", "api/v1/resources?limit=1000", "api/v1/status"]
            paths += [f"api/v1/status/{app['name']}" for app in given["apps"]]
            paths += [f"api/v1/incidents/{incident['incident']}" for incident in incidents]
            paths += ["api/v1/incidents?limit=1000", "api/v1/history?limit=1000", "api/v1/outbox", everything[1:]]
            found.texts["the HTTP API"] = "\n".join(get(f"{daemon.url}/{path}") for path in paths)
            with pytest.MonkeyPatch.context() as environment:
                environment.setenv("XDG_CACHE_HOME", str(folder / "cache"))
                for name, arguments in commands(incidents).items():
                    found.texts[name] = said([*arguments, "--config", str(daemon.file)])
            daemon.stop()
            found.texts["the log"] = daemon.log.read_text()
    found.texts["messages"] = "\n".join(json.dumps(body) for body in webhook.bodies)
    found.texts["ps"] = "\n".join(programs.lines)
    found.texts["the settings of mirrors"] = "\n".join(
        file.read_text(errors="replace") for file in (folder / "d" / "mirrors").rglob("config")
    )
    found.tables.update(stored(folder / "d" / "driftd.db"))
    return found


def commands(incidents: list[Mapping[str, Any]]) -> dict[str, list[str]]:
    checked = ("drifts", "broken", "far", "with-plugin")
    listed: dict[str, list[str]] = {
        f"check -o {output}": ["check", *checked, "-o", output, "--all", "--debug"]
        for output in ("table", "json", "markdown", "junit", "sarif")
    }
    listed["check --explain"] = ["check", "drifts", "--explain", "secret/drifts"]
    listed["check --explain of a misspelt one"] = ["check", "drifts", "--explain", "secret/misspelt", "-o", "json"]
    for output in ("table", "json"):
        listed |= {f"{name} -o {output}": [name, "-o", output] for name in ("status", "history")}
        listed[f"status APP -o {output}"] = ["status", "drifts", "-o", output]
        listed[f"incident -o {output}"] = ["incident", incidents[0]["incident"], "-o", output]
    listed["sync"] = ["sync", "healed", "--debug"]
    return listed


def said(arguments: list[str]) -> str:
    """All that a command prints: in this process, since starting eighteen takes long on a busy machine."""
    result = invoke(arguments)
    if isinstance(result.exception, DriftdError):
        return f"{result.output}{result.exception}"
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def stored(file: Path) -> dict[str, set[bytes]]:
    """The values in each table."""
    with closing(sqlite3.connect(file)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            table: {
                value if isinstance(value, bytes) else str(value).encode()
                for row in database.execute(f'SELECT * FROM "{table}"')  # its own names
                for value in row
            }
            for table in tables
        }


def places(texts: Iterable[str | bytes]) -> set[str]:
    """Where the secrets are from that can be had from these texts."""
    values = set().union(*(revealed(text, CANARIES.values()) for text in texts))
    return {place for place, canary in CANARIES.items() if canary in values}


def test_no_secret_leaves_by_any_way(observed: Observed) -> None:
    """Credentials and values of Secrets, in every form that can be undone."""
    assert all(observed.texts.values())
    found = {way: places(set(text.splitlines())) for way, text in observed.texts.items()}
    assert found == {way: set() for way in observed.texts}


def test_the_store_keeps_what_git_declares_and_no_other_secret(observed: Observed) -> None:
    """Manifests are kept whole, in one table; live values and credentials nowhere."""
    kept = {table: found for table, values in observed.tables.items() if (found := places(values))}
    assert kept == {"manifests": set(IN_MANIFESTS)}
