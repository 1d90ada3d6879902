"""Credentials, and their renewal."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from driftd.kube.exec_plugin import run_exec_plugin
from driftd.kube.kubeconfig import KubeconfigEntry
from driftd.kube.rest_client import Cluster, ClusterAccess
from driftd.kube.rest_config import RestConfigLoader
from driftd.model.errors import ClusterUnreachable, ConfigError, KubeError
from tests.kube.scripted import ScriptedApi, data, kubeconfig, refused
from tests.support.canaries import reveals

EXEC_API = "client.authentication.k8s.io/v1"


def only(api: ScriptedApi, *tokens: str) -> None:
    """The server accepts these tokens and no other."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization", "") in [f"Bearer {token}" for token in tokens]:
            return web.json_response({"gitVersion": "v1"})
        return await refused(401, "Unauthorized", "Unauthorized")(request)

    api.on("GET", "/version", answer)


def plugin(folder: Path, **more: Any) -> dict[str, Any]:
    """A credential plugin that gives the token in the file `token`, and counts its runs in the file `runs`."""
    script = folder / "plugin.py"
    script.write_text(
        "import json, os, pathlib\n"
        "here = pathlib.Path(__file__).parent\n"
        "with (here / 'runs').open('a') as runs: runs.write('x')\n"
        "(here / 'info').write_text(os.environ['KUBERNETES_EXEC_INFO'])\n"
        "print((here / 'answer').read_text())\n"
    )
    return {"exec": {"apiVersion": EXEC_API, "command": sys.executable, "args": [str(script)], **more}}


def answers(folder: Path, lifetime: float | None = None, **status: str) -> None:
    if lifetime is not None:
        status["expirationTimestamp"] = (datetime.now(UTC) + timedelta(seconds=lifetime)).isoformat()
    (folder / "answer").write_text(json.dumps({"apiVersion": EXEC_API, "kind": "ExecCredential", "status": status}))


def runs(folder: Path) -> int:
    return len((folder / "runs").read_text())


async def connect(file: Path) -> Cluster:
    return await Cluster.connect(ClusterAccess("shop", file))


async def test_a_credential_plugin_runs_once_while_its_token_is_valid(api: ScriptedApi, tmp_path: Path) -> None:
    """Many requests, one run."""
    only(api, "first")
    answers(tmp_path, lifetime=900, token="first")
    cluster = await connect(kubeconfig(tmp_path, api.url, plugin(tmp_path)))
    for _ in range(3):
        await cluster.request("GET", "/version")
    assert runs(tmp_path) == 1
    await cluster.close()


async def test_a_token_is_renewed_before_it_expires(api: ScriptedApi, tmp_path: Path) -> None:
    """The plugin runs a minute before, so that no request fails."""
    only(api, "first", "second")
    answers(tmp_path, lifetime=0.0, token="first")
    cluster = await connect(kubeconfig(tmp_path, api.url, plugin(tmp_path)))
    answers(tmp_path, lifetime=900, token="second")
    await cluster.request("GET", "/version")
    assert [seen.headers["Authorization"] for seen in api.seen] == ["Bearer second"]
    await cluster.close()


async def test_a_plugin_does_not_run_for_every_request_because_the_clock_is_wrong(
    api: ScriptedApi, tmp_path: Path
) -> None:
    """Where the machine's clock is a year ahead, every token has expired before it comes."""
    only(api, "first")
    answers(tmp_path, lifetime=-365 * 86_400, token="first")
    cluster = await connect(kubeconfig(tmp_path, api.url, plugin(tmp_path)))
    for _ in range(5):
        await cluster.request("GET", "/version")
    assert runs(tmp_path) == 2
    await cluster.close()


async def test_a_rejected_token_is_renewed_and_the_request_repeated(
    api: ScriptedApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A revoked token costs one 401, which the caller does not get."""
    monkeypatch.setattr("driftd.kube.session._MIN_RENEWAL_SECONDS", 0.0)
    only(api, "second")
    answers(tmp_path, token="first")
    cluster = await connect(kubeconfig(tmp_path, api.url, plugin(tmp_path)))
    answers(tmp_path, token="second")
    assert await cluster.request("GET", "/version") == {"gitVersion": "v1"}
    assert len(api.seen) == 2
    await cluster.close()


async def test_the_error_for_rejected_credentials_names_their_origin(api: ScriptedApi, tmp_path: Path) -> None:
    """File, context and user, not the token; and the plugin does not run for every request."""
    only(api)
    answers(tmp_path, token="canary-token")
    file = kubeconfig(tmp_path, api.url, plugin(tmp_path))
    cluster = await connect(file)
    for _ in range(10):
        with pytest.raises(KubeError, match=rf"does not accept the credentials of kubeconfig {file}.*'somebody'") as e:
            await cluster.request("GET", "/version")
        assert e.value.status == 401
        assert "canary" not in str(e.value)
    assert runs(tmp_path) == 1
    await cluster.close()


async def test_a_failing_plugin_leaves_a_valid_token_in_use(api: ScriptedApi, tmp_path: Path) -> None:
    """Requests succeed as long as the server accepts it."""
    only(api, "first")
    answers(tmp_path, lifetime=0.0, token="first")
    cluster = await connect(kubeconfig(tmp_path, api.url, plugin(tmp_path)))
    (tmp_path / "answer").unlink()
    await cluster.request("GET", "/version")
    await cluster.close()


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("print('canary')", "printed something that is not JSON"),
        ("print('{}')", "printed no ExecCredential"),
        (
            f'print(\'{{"apiVersion": "{EXEC_API}", "status": {{"clientCertificateData": "canary"}}}}\')',
            "neither a token nor a client certificate with its key",
        ),
        ("import sys; sys.exit('please run: cloud login')", "failed with 1: please run: cloud login"),
        (f"import sys; sys.exit('bad {'canary' * 10}')", "failed with 1: bad …"),
        (
            "import sys; sys.exit('no token=canary of https://ann:canary@id.example.com')",
            "no … of https://…@id.example",
        ),
        ("import os, sys; sys.exit('not ' + os.environ['PIN'])", "failed with 1: not …"),
        (
            "import base64, os, sys; sys.exit('not ' + base64.b64encode(os.environ['PIN'].encode()).decode())",
            "failed with 1: not …",
        ),
        ("import time; time.sleep(60)", "did not finish in 0.5 s"),
        ("while True: print('canary' * 1000)", "printed more than 1 MiB"),
        ("import sys\nwhile True: sys.stderr.write('canary' * 1000)", "printed more than 1 MiB"),
    ],
)
async def test_the_error_for_a_failing_plugin_says_what_it_did(tmp_path: Path, program: str, says: str) -> None:
    """No request is sent without credentials, and the message contains none."""
    user = KubeconfigEntry(
        "me",
        {
            "exec": {
                "apiVersion": EXEC_API,
                "command": sys.executable,
                "args": ["-c", program],
                "env": [{"name": "PIN", "value": "canary!"}],
            }
        },
        tmp_path,
    )
    time_limit = 0.5 if "sleep" in program else 30
    with pytest.raises(KubeError, match=says) as caught:
        await run_exec_plugin(user, KubeconfigEntry("c", {}, tmp_path), {}, time_limit)
    assert not reveals(f"{caught.value}{caught.value.__cause__}", "canary")


async def test_a_plugin_that_floods_its_output_is_always_waited_for_to_an_end(tmp_path: Path) -> None:
    """Killed with a full pipe, it is not known to have ended before that is read: one of six was never over."""
    program = "import sys\nwhile True: sys.stderr.write('x' * 6000)"
    spec = {"apiVersion": EXEC_API, "command": sys.executable, "args": ["-c", program]}
    user, cluster = KubeconfigEntry("me", {"exec": spec}, tmp_path), KubeconfigEntry("c", {}, tmp_path)
    for _ in range(20):
        with pytest.raises(KubeError, match="printed more than 1 MiB"):
            async with asyncio.timeout(60):
                await run_exec_plugin(user, cluster, {})


async def test_the_error_for_a_missing_plugin_has_its_install_hint(tmp_path: Path) -> None:
    """From the kubeconfig."""
    spec = {"apiVersion": EXEC_API, "command": "no-such-plugin", "installHint": "Install the cloud's CLI."}
    with pytest.raises(KubeError, match=r"'no-such-plugin' .* cannot be started.*Install the cloud's CLI\."):
        await run_exec_plugin(KubeconfigEntry("me", {"exec": spec}, tmp_path), KubeconfigEntry("c", {}, tmp_path), {})


async def test_a_relative_plugin_is_found_and_receives_the_cluster(tmp_path: Path) -> None:
    """A relative command starts at the kubeconfig's folder; provideClusterInfo passes the server."""
    program = tmp_path / "plugin"
    program.write_text(f"#!/bin/sh\nexec {sys.executable} {tmp_path}/plugin.py\n")
    program.chmod(0o700)
    plugin(tmp_path)
    answers(tmp_path, token="first")
    spec = {"apiVersion": EXEC_API, "command": "./plugin", "provideClusterInfo": True}
    cluster = KubeconfigEntry("c", {"server": "https://here"}, tmp_path)
    credential = await run_exec_plugin(KubeconfigEntry("me", {"exec": spec}, tmp_path), cluster, {})
    info = json.loads((tmp_path / "info").read_text())
    assert (credential.token, info["spec"]["cluster"]["server"]) == ("first", "https://here")
    assert "first" not in repr(credential)


async def test_a_rotated_token_file_is_read_again(api: ScriptedApi, tmp_path: Path) -> None:
    """Within a minute, and without its newline."""
    only(api, "first", "second")
    (tmp_path / "token").write_text("first\n")
    cluster = await connect(kubeconfig(tmp_path, api.url, {"tokenFile": "token"}))
    await cluster.request("GET", "/version")
    (tmp_path / "token").write_text("second\n")
    await _a_minute_later(cluster)
    await cluster.request("GET", "/version")
    assert [seen.headers["Authorization"] for seen in api.seen] == ["Bearer first", "Bearer second"]
    await cluster.close()


@pytest.mark.parametrize(("file", "expected"), [("file\n", "file"), ("\n", "token"), (None, "token")])
async def test_a_token_file_wins_over_a_token(tmp_path: Path, file: str | None, expected: str) -> None:
    """As in kubectl, unless the file cannot be read."""
    if file is not None:
        (tmp_path / "given").write_text(file)
    access = ClusterAccess("here", kubeconfig(tmp_path, "https://here", {"token": "token", "tokenFile": "given"}))
    assert dict((await RestConfigLoader(access, {}).load()).headers) == {"Authorization": f"Bearer {expected}"}


async def test_a_token_of_an_oidc_provider_is_used_while_it_is_valid(tmp_path: Path) -> None:
    """The issuer is not contacted before the token expires."""
    claims = base64.urlsafe_b64encode(json.dumps({"exp": time.time() + 3600}).encode()).decode().rstrip("=")
    user = {"auth-provider": {"name": "oidc", "config": {"id-token": f"a.{claims}.b"}}}
    source = RestConfigLoader(ClusterAccess("here", kubeconfig(tmp_path, "https://here", user)), {})
    for _ in range(2):
        assert dict((await source.load()).headers) == {"Authorization": f"Bearer a.{claims}.b"}


def test_only_auth_providers_import_the_kubernetes_package(tmp_path: Path) -> None:
    """That takes half a second, for every command."""
    file = kubeconfig(tmp_path, "https://here", {"token": "t"})
    code = (
        "import asyncio, pathlib, sys; from driftd.kube.rest_client import Cluster, ClusterAccess\n"
        f"asyncio.run(Cluster.connect(ClusterAccess('here', pathlib.Path({str(file)!r}))))\n"
        "sys.exit('kubernetes' in sys.modules)"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize(
    ("port", "files", "says"),
    [
        ("", {"token": "t", "ca.crt": "c"}, "KUBERNETES_SERVICE_PORT is not set"),
        ("443", {"token": "t", "ca.crt": ""}, "its token or its ca.crt is empty"),
        ("443", {"token": "t"}, "No such file"),
    ],
)
async def test_the_error_for_an_incomplete_service_account_says_what_is_missing(
    tmp_path: Path, port: str, files: dict[str, str], says: str
) -> None:
    """In a pod without a token, or outside of a cluster with part of its environment."""
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    environ = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": port}
    with pytest.raises(KubeError, match=says):
        await RestConfigLoader(ClusterAccess("here"), environ, service_account=tmp_path).load()


async def test_in_a_pod_the_service_account_and_its_rotated_token_are_used(tmp_path: Path) -> None:
    """Without kubeconfig and context, with the CA and namespace of the pod."""
    (tmp_path / "token").write_text("first\n")
    (tmp_path / "ca.crt").write_text("the CA")
    (tmp_path / "namespace").write_text("driftd")
    environ = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}
    source = RestConfigLoader(ClusterAccess("here"), environ, service_account=tmp_path)
    login = await source.load()
    assert (login.server, login.namespace, login.tls.ca) == ("https://[fd00::1]:443", "driftd", b"the CA")
    assert dict(login.headers) == {"Authorization": "Bearer first"}
    assert login.renew_at <= time.monotonic() + 60
    assert not login.compress, "the way is short, and the API server's time is everybody's"
    (tmp_path / "token").write_text("second")
    assert dict((await source.load()).headers) == {"Authorization": "Bearer second"}


@pytest.mark.parametrize(
    ("server", "more", "compressed"),
    [
        ("https://shop.example.com:6443", {}, True),
        ("https://shop.example.com:6443", {"disable-compression": True}, False),
        ("https://10.0.0.1", {}, True),
        ("https://127.0.0.1:6443", {}, False),
        ("https://[::1]:6443", {}, False),
        ("https://localhost:6443", {}, False),
        ("https://localhost:6443", {"disable-compression": False}, True),
        ("https://127.0.0.1:6443", {"proxy-url": "http://proxy.example.com:3128"}, True),
    ],
)
async def test_responses_are_compressed_over_slow_networks_only(
    tmp_path: Path, server: str, more: dict[str, Any], compressed: bool
) -> None:
    """It costs the API server more than a fast network saves; the kubeconfig decides."""
    source = RestConfigLoader(ClusterAccess("shop", kubeconfig(tmp_path, server, cluster=more)), {})
    assert (await source.load()).compress is compressed


async def test_impersonation_of_the_kubeconfig_is_sent(api: ScriptedApi, tmp_path: Path) -> None:
    """Otherwise requests would run under another identity."""
    api.on("GET", "/version", data({}))
    user = {"token": "t", "as": "jane", "as-groups": ["a", "b"], "as-user-extra": {"dept/x": ["1"]}}
    cluster = await connect(kubeconfig(tmp_path, api.url, user))
    await cluster.request("GET", "/version")
    headers = api.seen[0].headers
    assert headers["Impersonate-User"] == "jane"
    assert headers.getall("Impersonate-Group") == ["a", "b"]
    assert headers["Impersonate-Extra-dept%2Fx"] == "1"
    await cluster.close()


async def test_a_users_password_is_sent_as_basic_authentication(api: ScriptedApi, tmp_path: Path) -> None:
    """For proxies that authenticate."""
    api.on("GET", "/version", data({}))
    cluster = await connect(kubeconfig(tmp_path, api.url, {"username": "jane", "password": "pw"}))
    await cluster.request("GET", "/version")
    assert api.seen[0].headers["Authorization"] == f"Basic {base64.b64encode(b'jane:pw').decode()}"
    await cluster.close()


@pytest.mark.parametrize(
    ("user", "cluster", "says"),
    [
        ({"client-certificate-data": "canary!"}, {}, "a …-data field is not base64"),
        ({"client-certificate": "none.pem"}, {}, r"none.pem cannot be read: No such file"),
        ({"client-certificate-data": "Y2FuYXJ5"}, {}, "needs its key"),
        ({"tokenFile": "none"}, {}, "none: No such file"),
        ({"tokenFile": "empty"}, {}, "empty: is empty"),
        ({"tokenFile": "binary"}, {}, "binary: is no text"),
        ({"token": "canary\ncanary"}, {}, "the token has a line break"),
        ({}, {"proxy-url": "socks5://proxy:1"}, "proxy-url must be an http or https address"),
        ({}, {"server": "unix:///x"}, "is not an http"),
        ({}, {"server": "https://me:canary@a"}, "holds a login, a query or a fragment"),
        ({}, {"server": "https://a?token=canary"}, "holds a login, a query or a fragment"),
        ({}, {"server": "//me:canary@a"}, "is not an http"),
        ({}, {"tls-server-name": "a\0b"}, "no name that a server can have"),
        ({}, {"certificate-authority": "/dev/zero"}, "/dev/zero cannot be read: it is a device"),
        ({"tokenFile": "/dev/zero"}, {}, "/dev/zero: it is a device"),
        ({"client-certificate-data": "Y2FuYXJ5", "client-key-data": "Y2FuYXJ5"}, {}, "certificates cannot be used"),
        ({"auth-provider": {"name": "oidc", "config": {"id-token": "canary"}}}, {}, "auth-provider gave no token"),
    ],
)
async def test_the_error_for_broken_credentials_does_not_contain_them(
    tmp_path: Path, user: dict[str, Any], cluster: dict[str, Any], says: str
) -> None:
    """It has the kubeconfig and the mistake; no key, certificate or token."""
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"canary\xff")
    file = kubeconfig(tmp_path, "https://127.0.0.1:1", user, cluster)
    with pytest.raises((ConfigError, KubeError), match=says) as caught:
        await connect(file)
    assert str(file) in str(caught.value)
    assert "canary" not in str(caught.value)


async def test_the_error_for_an_unreachable_proxy_names_it(tmp_path: Path) -> None:
    """Without its password."""
    file = kubeconfig(tmp_path, "https://127.0.0.1:1", cluster={"proxy-url": "http://u:canary@127.0.0.1:9"})
    cluster = await connect(file)
    with pytest.raises(ClusterUnreachable, match=r"through the proxy http://127\.0\.0\.1:9: check the proxy") as caught:
        await cluster.request("GET", "/version")
    assert "canary" not in str(caught.value)
    await cluster.close()


async def test_no_private_key_stays_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys of a kubeconfig are in a private folder only while they are loaded."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    certificate, key = _self_signed()
    user = {"client-certificate-data": _base64(certificate), "client-key-data": _base64(key)}
    cluster = await connect(
        kubeconfig(tmp_path, "https://127.0.0.1:1", user, {"certificate-authority-data": _base64(certificate)})
    )
    assert list((tmp_path / "tmp").iterdir()) == []
    assert "PRIVATE" not in repr(cluster._session.config)
    await cluster.close()


async def test_a_rotated_client_certificate_is_used_for_new_connections(tmp_path: Path) -> None:
    """A new certificate gets a new transport; the old one is closed when it is idle."""
    for name, content in zip(("cert", "key"), _self_signed(), strict=True):
        (tmp_path / name).write_bytes(content)
    user = {"client-certificate": "cert", "client-key": "key"}
    cluster = await connect(kubeconfig(tmp_path, "https://127.0.0.1:1", user))
    old = cluster._session._transport
    for name, content in zip(("cert", "key"), _self_signed(), strict=True):
        (tmp_path / name).write_bytes(content)
    await _a_minute_later(cluster)
    with pytest.raises(ClusterUnreachable):
        await cluster.request("GET", "/version")
    assert old is not None
    assert old.session.closed
    assert cluster._session._transport is not old
    await cluster.close()


async def _a_minute_later(cluster: Cluster) -> None:
    """As if the login had been made a minute ago."""
    object.__setattr__(cluster._session.config, "renew_at", time.monotonic() - 1)


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _self_signed() -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "somebody")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
    ).sign(key, hashes.SHA256())
    return certificate.public_bytes(serialization.Encoding.PEM), key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
