"""A request gives a response, or an error that says what to do."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from pathlib import Path

import pytest
from aiohttp import web

from driftd.kube import session
from driftd.kube.errors import response_error
from driftd.kube.rest_client import Cluster, ClusterAccess
from driftd.model.errors import ClusterUnreachable, Conflict, Forbidden, Gone, Invalid, KubeError, NotFound
from tests.kube.scripted import ScriptedApi, data, kubeconfig, never, refused, reset, text
from tests.support.certificates import Authority

SECRETS = "/api/v1/namespaces/shop/secrets/db"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, Invalid), (403, Forbidden), (404, NotFound), (409, Conflict), (410, Gone), (422, Invalid), (500, KubeError)],
)
async def test_errors_have_the_api_servers_message(
    api: ScriptedApi, cluster: Cluster, status: int, kind: type[KubeError]
) -> None:
    """Status, reason and message reach the user unchanged."""
    api.on("GET", "/x", refused(status, "Because", 'deployments.apps "web" is not for you', name="web"))
    with pytest.raises(kind) as caught:
        await cluster.request("GET", "/x")
    assert (caught.value.status, caught.value.reason) == (status, "Because")
    assert str(caught.value) == 'deployments.apps "web" is not for you'


async def test_a_number_past_64_bits_is_sent_as_it_is(api: ScriptedApi, cluster: Cluster) -> None:
    """A manifest may declare any number: the server refuses it, and only that object has an error."""
    api.on("PATCH", "/x", data({}))
    await cluster.request("PATCH", "/x", body={"spec": {"replicas": 10**30}})
    assert json.loads(api.seen[-1].body) == {"spec": {"replicas": 10**30}}


async def test_a_throttled_request_is_repeated_after_the_retry_after(api: ScriptedApi, cluster: Cluster) -> None:
    """429 with Retry-After: also for writes."""
    api.on("PATCH", "/x", refused(429, "TooManyRequests", "later", {"Retry-After": "1"}), data({"done": True}))
    started = time.monotonic()
    assert await cluster.request("PATCH", "/x", body={}) == {"done": True}
    assert time.monotonic() - started >= 1


async def test_a_request_that_stays_throttled_is_an_error(api: ScriptedApi, cluster: Cluster) -> None:
    """The number of attempts is limited."""
    api.on("GET", "/x", refused(429, "TooManyRequests", "too many requests", {"Retry-After": "0"}))
    with pytest.raises(KubeError, match="too many requests") as caught:
        await cluster.request("GET", "/x")
    assert caught.value.status == 429
    assert len(api.seen) == 6


async def test_a_broken_connection_repeats_reads_and_not_writes(api: ScriptedApi, cluster: Cluster) -> None:
    """A write may have been done."""
    api.on("GET", "/x", reset, data({"here": True}))
    assert await cluster.request("GET", "/x") == {"here": True}
    api.on("POST", "/x", reset, data({}))
    with pytest.raises(ClusterUnreachable, match="closed the connection before it had answered"):
        await cluster.request("POST", "/x", body={})


async def test_reads_are_repeated_after_a_gateway_error(api: ScriptedApi, cluster: Cluster) -> None:
    """502 and 503 of a load balancer in front of an API server that restarts."""
    api.on("GET", "/x", text("<html>bad gateway</html>", 502), text("", 503), data({"here": True}))
    assert await cluster.request("GET", "/x") == {"here": True}


async def test_a_server_that_is_no_api_server_is_reported(api: ScriptedApi, cluster: Cluster) -> None:
    """A login page or a portal: the message has the path, and says that this is no Kubernetes API."""
    api.on("GET", "/x", text("<html>canary</html>"))
    with pytest.raises(KubeError, match=r"GET /x: .* sent something that is not JSON") as caught:
        await cluster.request("GET", "/x")
    assert "canary" not in f"{caught.value}{caught.value.__cause__}"
    api.on("GET", "/x", text("go away", 302, {"Location": "https://login.example.com"}))
    with pytest.raises(KubeError, match=r"GET /x: answered 302, not in the words of a Kubernetes API"):
        await cluster.request("GET", "/x")


async def test_a_server_that_does_not_respond_in_time_is_unreachable(api: ScriptedApi, cluster: Cluster) -> None:
    """The message has the server and what to check."""
    api.on("GET", "/x", never)
    with pytest.raises(ClusterUnreachable, match=rf"cluster shop: {api.url} did not answer in time") as caught:
        await cluster.request("GET", "/x", timeout=0.2)
    assert caught.value.status is None


@pytest.mark.parametrize(
    ("server", "says"),
    [
        ("https://127.0.0.1:9", "refused the connection: check that the API server runs"),
        ("https://no-such-host.invalid:6443", "has a host name that cannot be resolved"),
    ],
)
async def test_the_error_for_an_unreachable_server_says_what_to_check(tmp_path: Path, server: str, says: str) -> None:
    """With its URL."""
    cluster = await Cluster.connect(ClusterAccess("shop", kubeconfig(tmp_path, server)))
    with pytest.raises(ClusterUnreachable, match=f"cluster shop: {server} {says}"):
        await cluster.request("GET", "/version")
    await cluster.close()


async def test_tls_trusts_the_kubeconfigs_authority_and_no_other(tmp_path: Path) -> None:
    """The right CA works, another is refused, and verification is skipped only on request."""
    for name in ("right", "wrong"):
        (tmp_path / name).mkdir()
    authority, stranger = Authority(tmp_path / "right"), Authority(tmp_path / "wrong")
    pair = authority.server("api", ("kubernetes.internal",))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.certificate, pair.key)
    async with ScriptedApi(context) as api:
        api.on("GET", "/version", data({"gitVersion": "v1"}))

        async def ask(**settings: str | bool) -> str:
            cluster = await Cluster.connect(ClusterAccess("shop", kubeconfig(tmp_path, api.url, {}, settings)))
            try:
                version: str = (await cluster.request("GET", "/version"))["gitVersion"]
                return version
            finally:
                await cluster.close()

        name = {"tls-server-name": "kubernetes.internal"}
        assert await ask(**{"certificate-authority": str(authority.certificate), **name}) == "v1"
        assert await ask(**{"insecure-skip-tls-verify": True}) == "v1"
        for settings in (
            {"certificate-authority": str(stranger.certificate), **name},
            {"certificate-authority": str(authority.certificate)},
            {},
        ):
            with pytest.raises(ClusterUnreachable, match=r"certificate that is not to be trusted \(.+\): check cert"):
                await ask(**settings)


async def test_a_rotated_authority_is_taken_up_from_the_kubeconfig(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a restart, and not more often than every few seconds where the file still has the old one."""
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    old, new = Authority(tmp_path / "old"), Authority(tmp_path / "new")
    pair = new.server("api", ("kubernetes.internal",))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.certificate, pair.key)
    async with ScriptedApi(context) as api:
        api.on("GET", "/version", data({"gitVersion": "v1"}))

        def trusting(authority: Authority) -> Path:
            settings = {"certificate-authority": str(authority.certificate), "tls-server-name": "kubernetes.internal"}
            return kubeconfig(tmp_path, api.url, {}, settings)

        cluster = await Cluster.connect(ClusterAccess("shop", trusting(old)))
        with pytest.raises(ClusterUnreachable, match="not to be trusted"):
            await cluster.request("GET", "/version")
        trusting(new)
        with pytest.raises(ClusterUnreachable, match="not to be trusted"):  # it has just been read
            await cluster.request("GET", "/version")
        monkeypatch.setattr(session, "_MIN_RENEWAL_SECONDS", 0.0)
        assert await cluster.request("GET", "/version") == {"gitVersion": "v1"}
        await cluster.close()


async def test_plain_http_on_a_tls_port_is_recognised(api: ScriptedApi, tmp_path: Path) -> None:
    """https in the kubeconfig, http on the port."""
    server = api.url.replace("http://", "https://")
    cluster = await Cluster.connect(ClusterAccess("shop", kubeconfig(tmp_path, server)))
    with pytest.raises(ClusterUnreachable, match=r"ended the TLS handshake .* that the port speaks TLS"):
        await cluster.request("GET", "/version")
    await cluster.close()


@pytest.mark.parametrize(
    ("status", "message", "details"),
    [
        (
            422,
            'Secret "db" is invalid: [data[a b]: Invalid value: "canary": a valid key, data: Required value]',
            {
                "name": "db",
                "causes": [
                    {"reason": "FieldValueInvalid", "field": "data[a b]", "message": 'Invalid value: "canary": no'}
                ],
            },
        ),
        (422, 'Secret "db" is invalid: data: Invalid value: map[string][]byte{"a": []byte{0xca}}: canary', {}),
        (
            500,
            "failed to create typed patch object (a/b; /v1, Kind=Secret): .data: expected map, got &{[canary]}",
            {},
        ),
        (403, 'admission webhook "w" denied the request: the value "canary" is weak', {"name": "db"}),
        (400, 'strict decoding error: unknown field "canary"', {}),
        (400, '{"kind":"Secret","data":{"a":"canary"}} Secret.data', {}),
        (409, 'Apply failed with 1 conflict: {"canary"}', {}),
    ],
)
def test_errors_for_secrets_contain_no_values(status: int, message: str, details: dict[str, object]) -> None:
    """The API server and admission webhooks quote values; for a Secret only fields and reasons are shown."""
    payload = {"kind": "Status", "message": message, "reason": "R", "details": details, "code": status}
    error = response_error(status, json.dumps(payload).encode(), method="PATCH", path=SECRETS)
    assert "canary" not in str(error)
    assert "0xca" not in str(error)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (404, 'secrets "db" not found'),
        (404, 'namespaces "shop" not found'),
        (
            403,
            'secrets "db" is forbidden: User "jane" cannot get resource "secrets" in API group "" in the namespace "a"',
        ),
        (403, 'secrets is forbidden: User "jane" cannot list resource "secrets" in API group "" at the cluster scope'),
        (409, 'Apply failed with 1 conflict: conflict with "kubectl-edit" using v1: .data.password'),
        (409, 'Apply failed with 2 conflicts: conflicts with "kubectl" using v1:\n- .data.a\n- .data.b'),
        (400, 'Secret in version "v1" cannot be handled as a Secret: illegal base64 data at input byte 6'),
        (
            400,
            'Secret in version "v1" cannot be handled as a Secret: json: cannot unmarshal number into Go struct field '
            "Secret.stringData of type string",
        ),
        (
            500,
            "failed to create typed patch object (shop/db; /v1, Kind=Secret): .stringDta: field not declared in schema",
        ),
    ],
)
def test_errors_for_secrets_without_values_are_unchanged(status: int, message: str) -> None:
    """Without the reason a user could do nothing."""
    payload = {"kind": "Status", "message": message, "reason": "R", "details": {"name": "db"}, "code": status}
    assert str(response_error(status, json.dumps(payload).encode(), method="GET", path=SECRETS)) == message


def test_what_a_patch_was_refused_for_does_not_repeat_the_object() -> None:
    """The API server quotes all of it, with whatever is in it, where its outcome does not fit the kind."""
    quoted = json.dumps(json.dumps({"spec": {"env": [{"name": "PASSWORD", "value": "hunter2"}], "note": '": '}}))
    why = "json: cannot unmarshal bool into Go struct field Container.image of type string"
    payload = {"kind": "Status", "code": 422, "message": f' "" is invalid: patch: Invalid value: {quoted}: {why}'}
    error = response_error(422, json.dumps(payload).encode(), method="PATCH", path="/apis/apps/v1/namespaces/a/x/b")
    assert str(error) == f"the patch is invalid: {why}"


async def test_concurrent_requests_are_limited(api: ScriptedApi, tmp_path: Path) -> None:
    """The API server never has more of them than configured."""
    under_way = most = 0

    async def answer(_: web.Request) -> web.StreamResponse:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.01)
        under_way -= 1
        return web.json_response({})

    api.on("GET", "/x", answer)
    cluster = await Cluster.connect(ClusterAccess("shop", kubeconfig(tmp_path, api.url)), concurrency=3)
    await asyncio.gather(*(cluster.request("GET", "/x") for _ in range(20)))
    assert most == 3
    await cluster.close()


async def test_a_netrc_is_never_used(api: ScriptedApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither is its password sent to the API server, nor does its default entry break a kubeconfig with a token."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password canary\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    api.on("GET", "/x", data({}))
    for user in ({}, {"token": "mine"}):
        cluster = await Cluster.connect(ClusterAccess("shop", kubeconfig(tmp_path, api.url, user)))
        await cluster.request("GET", "/x")
        await cluster.close()
    assert [seen.headers.get("Authorization") for seen in api.seen] == [None, "Bearer mine"]


async def test_the_proxy_of_the_environment_is_used_unless_no_proxy_names_the_host(
    api: ScriptedApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by every other program on the machine."""
    api.on("GET", "/x", data({}))
    file = kubeconfig(tmp_path, "http://cluster.example.com:6443")
    monkeypatch.setenv("http_proxy", api.url)
    cluster = await Cluster.connect(ClusterAccess("shop", file))
    await cluster.request("GET", "/x")
    assert api.seen[-1].headers["Host"] == "cluster.example.com:6443"
    monkeypatch.setenv("no_proxy", "cluster.example.com")
    with pytest.raises(ClusterUnreachable):
        await cluster.request("GET", "/x", timeout=2)
    await cluster.close()


@pytest.mark.parametrize(
    ("inner", "shown"),
    [
        ({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "stringData": {"p": "hunter2"}}, False),
        ({"kind": "Secret", "name": "a"}, True),
        ({"apiVersion": "v1", "kind": "ConfigMap", "data": {"p": "x"}}, True),
    ],
)
def test_a_refused_object_that_contains_a_secret_is_not_quoted(inner: dict[str, object], shown: bool) -> None:
    """As Crossplane's and other templates have one; one that only refers to a Secret is told in full."""
    sent = json.dumps({"kind": "Object", "spec": {"manifests": [inner]}}).encode()
    message = 'admission webhook "x" denied the request: hunter2 is too short'
    payload = json.dumps({"kind": "Status", "code": 422, "message": message}).encode()
    error = response_error(422, payload, method="PATCH", path="/apis/x.io/v1/namespaces/a/objects/b", sent=sent)
    assert (str(error) == message) is shown
    assert ("hunter2" in str(error)) is shown
    for status, message in (
        (409, "Apply failed with 1 conflict"),
        (403, 'objects.x.io "b" is forbidden: User "me" cannot patch resource "objects" in API group "x.io"'),
    ):
        payload = json.dumps({"kind": "Status", "code": status, "message": message}).encode()
        path = "/apis/x.io/v1/namespaces/a/objects/b"
        assert str(response_error(status, payload, method="PATCH", path=path, sent=sent)) == message
