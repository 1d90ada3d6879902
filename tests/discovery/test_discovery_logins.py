"""The logins of Argo CD and Flux: which Secret is for which address, and for no other."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from driftd.discovery.argo_logins import ArgoLogins, repository_secrets
from driftd.discovery.deployed import Unsupported, git_source
from driftd.discovery.flux_logins import FluxLogins, secrets_named
from driftd.discovery.login import NOT_ALLOWED, Login
from driftd.git.source import BasicAuth, BearerAuth, GitSource, HeldFiles, Ref
from tests.discovery.objects import git_repository

URL = "https://git.example.com/shop/deploy.git"
CANARY = "c4n4ry-5ecret"


def secret(kind: str, name: str = "one", namespace: str = "argocd", **data: str) -> dict[str, Any]:
    """A Secret of Argo CD, or (with an empty `kind`) of Flux."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"argocd.argoproj.io/secret-type": kind} if kind else {},
        },
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
    }


def argo(*secrets: dict[str, Any], **more: Any) -> ArgoLogins:
    return ArgoLogins(tuple(repository_secrets(secrets)), missing="", **more)


def password(login: Login) -> str:
    source = login.given_to(git_source(URL, Ref()))
    return source.auth.password.read() if isinstance(source.auth, BasicAuth) else ""


@pytest.mark.parametrize(
    ("of_secret", "of_application"),
    [
        (URL, URL),
        ("https://git.example.com/shop/deploy", URL),
        ("HTTPS://Git.Example.com/Shop/deploy.git", URL),
        ("git@git.example.com:shop/deploy.git", "ssh://git@git.example.com/shop/deploy"),
    ],
)
def test_the_secret_of_a_repository_is_that_with_its_address(of_secret: str, of_application: str) -> None:
    """As Argo CD compares addresses: in any letters, with or without `.git`, in both forms of ssh."""
    logins = argo(secret("repository", url=of_secret, username="ann", password=CANARY))
    assert logins.of(of_application, "default").password == CANARY


@pytest.mark.parametrize(
    "other",
    [
        "https://git.example.com.evil.example/shop/deploy.git",
        "https://git.example.com@evil.example/shop/deploy.git",
        "https://git.example.com:8443/shop/deploy.git",
        "http://git.example.com/shop/deploy.git",
        "ssh://git@git.example.com/shop/deploy.git",
        "git@git.example.com.evil.example:shop/deploy.git",
        "https://evil.example/https://git.example.com/shop/deploy.git",
        "git.example.com/shop/deploy.git",
    ],
)
def test_a_secret_is_for_no_other_server(other: str) -> None:
    """Whatever its name begins with, and whatever the template covers."""
    for url in ("https://git.example.com", "https://git.example.com/", "https://git.example.com/shop", URL):
        logins = argo(
            secret("repo-creds", url=url, username="ann", password=CANARY, sshPrivateKey=CANARY),
            secret("repository", url=url, username="ann", password=CANARY),
        )
        assert CANARY not in str([logins.of(other, "default").password, logins.of(other, "default").ssh_key])


def test_the_template_with_the_longest_beginning_is_taken_where_the_repository_has_no_login() -> None:
    """A Secret of the repository itself comes first, unless it has none in it."""
    templates = [
        secret("repo-creds", url="https://git.example.com", password="short"),
        secret("repo-creds", url="https://git.example.com/shop", password="long"),
    ]
    assert password(argo(*templates).of(URL, "default")) == "long"
    assert password(argo(*templates, secret("repository", url=URL, password="own")).of(URL, "default")) == "own"
    assert password(argo(*templates, secret("repository", url=URL, type="git")).of(URL, "default")) == "long"


def test_a_secret_of_another_project_is_not_used() -> None:
    """That of the Application's own project comes before one of none."""
    own = secret("repository", url=URL, password="own", project="shop")
    common = secret("repository", url=URL, password="common")
    assert password(argo(common, own).of(URL, "shop")) == "own"
    assert password(argo(own, common).of(URL, "default")) == "common"
    assert password(argo(own).of(URL, "default")) == ""


def test_what_argo_cd_trusts_is_trusted() -> None:
    """Host keys for ssh, and the authority of just that server for https."""
    logins = argo(
        secret("repository", url="git@git.example.com:shop/deploy.git", sshPrivateKey=CANARY),
        known_hosts="git.example.com ssh-ed25519 AAAA",
        certificates={"git.example.com": "PEM", "other.example.com": "OTHER"},
    )
    ssh = git_source("git@git.example.com:shop/deploy.git", Ref())
    held = logins.of(ssh.url, "default").given_to(ssh).held
    assert held == HeldFiles(ssh_key=CANARY, known_hosts="git.example.com ssh-ed25519 AAAA")
    assert logins.of(URL, "default").given_to(git_source(URL, Ref())).held == HeldFiles(ca="PEM")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"githubAppID": "1", "githubAppPrivateKey": CANARY}, "as a GitHub App"),
        ({"gcpServiceAccountKey": CANARY}, "Google Cloud"),
        ({"useAzureWorkloadIdentity": "true"}, "identity of Azure"),
        ({"insecure": "true"}, "does not verify the server"),
        ({"insecureIgnoreHostKey": "true"}, "does not verify the server"),
    ],
)
def test_a_login_of_a_kind_that_driftd_lacks_is_said_by_name(data: dict[str, str], says: str) -> None:
    """Nothing of it is shown."""
    with pytest.raises(Unsupported, match=says) as raised:
        argo(secret("repository", url=URL, **data)).of(URL, "default")
    assert CANARY not in str(raised.value)
    assert (
        argo(secret("repository", url=URL, useAzureWorkloadIdentity="false", password="a")).of(URL, "").password == "a"
    )


def test_without_leave_the_switch_is_named_where_a_login_is_asked_for() -> None:
    """And nothing else changes: a public repository needs none."""
    source = ArgoLogins().of(URL, "default").given_to(git_source(URL, Ref()))
    assert (source.auth, source.held, source.why_no_login) == (None, None, NOT_ALLOWED)
    assert "--use-deployer-credentials" in NOT_ALLOWED
    assert "deployerCredentials: true" in NOT_ALLOWED


def flux(data: dict[str, str], url: str = URL, **spec: Any) -> GitSource:
    body = git_repository(url, secretRef={"name": "login"}, **spec)
    [ref, *_] = secrets_named(body)
    return FluxLogins({ref: data}, missing="").of(body).given_to(git_source(url, Ref()))


def test_the_secret_that_a_source_of_flux_names_is_used() -> None:
    """In all forms that Flux knows."""
    assert flux({"username": "ann", "password": CANARY}).auth == flux({"password": CANARY, "username": "ann"}).auth
    assert isinstance(flux({"bearerToken": CANARY}).auth, BearerAuth)
    assert flux({"ca.crt": "PEM"}).held == HeldFiles(ca="PEM")
    assert flux({"tls.crt": "CERT", "tls.key": "KEY"}).held == HeldFiles(client_certificate="CERT", client_key="KEY")
    ssh = flux({"identity": CANARY, "known_hosts": "host key"}, "ssh://git@git.example.com/shop")
    assert (ssh.auth, ssh.held) == (None, HeldFiles(ssh_key=CANARY, known_hosts="host key"))


def test_a_registry_s_login_is_that_of_its_host_in_docker_s_configuration() -> None:
    """And of no other."""
    auth = base64.b64encode(f"ann:{CANARY}".encode()).decode()
    config = json.dumps({"auths": {"https://git.example.com/v1/": {"auth": auth}}})
    assert password(FluxLogins({}, missing="").of(git_repository(URL))) == ""
    source = flux({".dockerconfigjson": config})
    assert isinstance(source.auth, BasicAuth)
    assert source.auth.password.read() == CANARY
    assert flux({".dockerconfigjson": config}, "https://git.example.com.evil.example/shop").auth is None


def test_the_proxy_of_a_source_is_used_with_its_login() -> None:
    """The login is no part of what is shown of the source."""
    body = git_repository(URL, proxySecretRef={"name": "proxy"})
    [ref] = secrets_named(body)
    data = {"address": "http://proxy.example.com:3128", "username": "ann", "password": f"{CANARY}@/"}
    source = FluxLogins({ref: data}, missing="").of(body).given_to(git_source(URL, Ref()))
    assert source.proxy is not None
    assert source.proxy.read() == f"http://ann:{CANARY}%40%2F@proxy.example.com:3128"
    assert CANARY not in repr(source)
    with pytest.raises(Unsupported, match="proxy is no http"):
        FluxLogins({ref: {"address": "socks5://a"}}, missing="").of(body)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"provider": "azure"}, "provider azure"),
        ({"provider": "github"}, "provider github"),
        ({"serviceAccountName": "x"}, "ServiceAccount"),
        ({"insecure": True}, "without TLS"),
    ],
)
def test_a_way_of_flux_to_log_in_that_driftd_lacks_is_said_by_name(spec: dict[str, Any], says: str) -> None:
    """Instead of trying without."""
    with pytest.raises(Unsupported, match=says):
        FluxLogins().of(git_repository(URL, **spec))
    with pytest.raises(Unsupported, match="GitHub App"):
        flux({"githubAppID": "1"})


def test_a_secret_that_cannot_be_read_is_named_where_a_login_is_asked_for() -> None:
    """The repository may be public all the same."""
    body = git_repository(URL, secretRef={"name": "login"})
    login = FluxLogins({}, missing="").of(body)
    assert login.missing == "Secret flux-system/login, which Flux has a login in, cannot be read"
    assert FluxLogins().of(body).missing == NOT_ALLOWED


def test_no_login_shows_in_what_is_printed_of_it() -> None:
    """Logs and tracebacks print values as they are."""
    login = Login(*[CANARY] * 9)
    for url in (URL, "git@git.example.com:shop"):
        assert CANARY not in repr([login, login.given_to(git_source(url, Ref()))])
    assert CANARY not in repr(argo(secret("repository", url=URL, password=CANARY)))
    assert CANARY not in repr(FluxLogins({}, missing=""))
