"""The logins that Argo CD has for repositories: Secrets and ConfigMaps in its own namespace.

Source: argo-cd 3.6, util/db/repository_secrets.go, util/git/git.go (NormalizeGitURL), util/db/certificate.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from driftd.discovery.deployed import Object, Unsupported, section, text
from driftd.discovery.login import NOT_ALLOWED, Login, secret_data

SECRET_TYPE = "argocd.argoproj.io/secret-type"  # noqa: S105  # a label's key
REPOSITORY, TEMPLATE = "repository", "repo-creds"
KNOWN_HOSTS, CERTIFICATES = "argocd-ssh-known-hosts-cm", "argocd-tls-certs-cm"

_SSH = re.compile(r"(?:ssh://)?[^/:]*?@[^@]+")
_UNSUPPORTED = {
    "githubAppID": "a GitHub App",
    "gcpServiceAccountKey": "a service account of Google Cloud",
    "useAzureWorkloadIdentity": "a workload identity of Azure",
    "azureServicePrincipalClientId": "a service principal of Azure",
}
_FLAGS = ("useAzureWorkloadIdentity",)
_UNVERIFIED = ("insecure", "insecureIgnoreHostKey", "insecureOCIForceHttp")
_LOGINS = ("username", "password", "bearerToken", "sshPrivateKey", "tlsClientCertKey", *_UNSUPPORTED)


@dataclass(frozen=True, slots=True)
class RepositorySecret:
    """A Secret of Argo CD: of one repository, or as a template of all whose address begins with `url`."""

    is_template: bool
    url: str
    project: str
    data: Mapping[str, str] = field(repr=False)

    @property
    def has_login(self) -> bool:
        return any(self.data.get(key) and not _is_off(key, self.data) for key in _LOGINS)


@dataclass(frozen=True, slots=True)
class ArgoLogins:
    """All that one Argo CD has; `missing` is why there is nothing."""

    secrets: Sequence[RepositorySecret] = ()
    known_hosts: str = field(default="", repr=False)
    certificates: Mapping[str, str] = field(default_factory=dict, repr=False)
    missing: str = NOT_ALLOWED

    def of(self, url: str, project: str) -> Login:
        """The login for a repository's address in a project. Raises: Unsupported: it is of a kind that driftd lacks."""
        repository = normal_url(url)
        own = _own(self.secrets, repository, project)
        template = _template(self.secrets, repository) if own is None or not own.has_login else None
        for secret in (own, template):
            if secret is not None:
                _require_supported(secret.data)
        chosen: Mapping[str, str] = template.data if template is not None else own.data if own is not None else {}
        return Login(
            username=chosen.get("username", ""),
            password=chosen.get("password", ""),
            bearer=chosen.get("bearerToken", ""),
            ssh_key=chosen.get("sshPrivateKey", ""),
            known_hosts=self.known_hosts,
            ca=self.certificates.get(_host(repository), ""),
            client_certificate=chosen.get("tlsClientCertData", ""),
            client_key=chosen.get("tlsClientCertKey", ""),
            proxy=(own.data.get("proxy", "") if own is not None else "") or chosen.get("proxy", ""),
            missing=self.missing or f"Argo CD has {'the same login' if chosen else 'no login'} for it",
        )


def repository_secrets(secrets: Sequence[Object]) -> Iterator[RepositorySecret]:
    """What Secrets hold of logins."""
    for secret in secrets:
        kind = text(section(secret, "metadata", "labels"), SECRET_TYPE)
        data = secret_data(secret)
        if kind in (REPOSITORY, TEMPLATE) and (url := normal_url(data.get("url", ""))):
            yield RepositorySecret(kind == TEMPLATE, url, data.get("project", ""), data)


def normal_url(url: str) -> str:
    """An address as Argo CD compares it: in small letters, without `.git`, and `git@host:path` as `git@host/path`."""
    normal = url.strip().lower()
    if _SSH.fullmatch(normal) and not normal.startswith("ssh://"):
        normal = normal.replace(":", "/", 1)
    return normal.removesuffix(".git").removeprefix("ssh://")


def _own(secrets: Sequence[RepositorySecret], repository: str, project: str) -> RepositorySecret | None:
    """The Secret of a repository: that of the project, else one of no project."""
    matching = [each for each in secrets if not each.is_template and each.url == repository]
    for wanted in (project, ""):
        if found := next((each for each in matching if each.project == wanted), None):
            return found
    return None


def _template(secrets: Sequence[RepositorySecret], repository: str) -> RepositorySecret | None:
    """The template with the longest address that the repository's begins with, and on the same server only."""
    covering = [
        each
        for each in secrets
        if each.is_template and repository.startswith(each.url) and _server(each.url) == _server(repository)
    ]
    return max(covering, key=lambda each: len(each.url), default=None)


def _server(normal: str) -> tuple[str, str]:
    """Protocol and server of an address: a beginning of it may be that of another server's name."""
    scheme, separator, rest = normal.rpartition("://")
    return scheme + separator, rest.partition("/")[0]


def _host(normal: str) -> str:
    """A server's name as Argo CD has certificates for it: without a port."""
    return _server(normal)[1].rpartition("@")[2].partition(":")[0]


def _is_off(key: str, data: Mapping[str, str]) -> bool:
    return key in _FLAGS and data.get(key) != "true"


def _require_supported(data: Mapping[str, str]) -> None:
    for key, what in _UNSUPPORTED.items():
        if data.get(key) and not _is_off(key, data):
            raise Unsupported(f"Argo CD logs in to its repository as {what}, which driftd cannot")
    for key in _UNVERIFIED:
        if data.get(key) == "true":
            raise Unsupported(f"Argo CD does not verify the server of its repository ({key}), which driftd always does")


def namespace_of_argo(application: Object) -> str:
    """Where the Argo CD of an Application runs, and keeps what it knows."""
    own: str = application["metadata"]["namespace"]
    return text(section(application, "status"), "controllerNamespace") or own
