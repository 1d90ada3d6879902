"""Reading the logins that deployers have in a cluster, where that is allowed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from time import monotonic

from driftd.discovery.argo_logins import (
    CERTIFICATES,
    KNOWN_HOSTS,
    REPOSITORY,
    SECRET_TYPE,
    TEMPLATE,
    ArgoLogins,
    namespace_of_argo,
    repository_secrets,
)
from driftd.discovery.deployed import Object
from driftd.discovery.flux_logins import FluxLogins, secrets_named
from driftd.discovery.variable_sources import VariableSources
from driftd.kube.listing import list_objects
from driftd.live.cluster import ClusterView
from driftd.model.errors import DriftdError
from driftd.model.resource import ResourceRef

_NAMES = f"{SECRET_TYPE} in ({REPOSITORY},{TEMPLATE})"


class LoginSources:
    """The logins of the deployers of one cluster, read only where `allowed`, and each cached for `max_age` seconds."""

    def __init__(self, view: ClusterView, *, allowed: bool, max_age: float = 0.0) -> None:
        self._view = view
        self._allowed = allowed
        self._max_age = max_age
        self._data = VariableSources(view, max_age)
        self._argo: dict[str, tuple[float, ArgoLogins]] = {}

    async def of_argo(self, applications: Iterable[Object]) -> Mapping[str, ArgoLogins]:
        """By the namespaces that the Argo CDs of Applications run in."""
        namespaces = {namespace_of_argo(body) for body in applications}
        return {namespace: await self._of_argo(namespace) for namespace in namespaces}

    async def of_flux(self, sources: Iterable[Object]) -> FluxLogins:
        """Those that sources name."""
        if not self._allowed:
            return FluxLogins()
        return FluxLogins(await self._data.read({ref for body in sources for ref in secrets_named(body)}), missing="")

    async def _of_argo(self, namespace: str) -> ArgoLogins:
        if not self._allowed:
            return ArgoLogins()
        known = self._argo.get(namespace)
        if known is None or monotonic() - known[0] >= self._max_age:
            known = self._argo[namespace] = (monotonic(), await self._read_argo(namespace))
        return known[1]

    async def _read_argo(self, namespace: str) -> ArgoLogins:
        maps = [ResourceRef("", "ConfigMap", namespace, name) for name in (KNOWN_HOSTS, CERTIFICATES)]
        data = await self._data.read(maps)
        secrets: Sequence[Object] = ()
        missing = ""
        try:
            resource = (await self._view.discovery()).find_kind("", "Secret")
            secrets = (await list_objects(self._view.cluster, resource, namespace, label_selector=_NAMES)).items
        except DriftdError as error:
            missing = f"the Secrets in which Argo CD has its logins cannot be read: {error}"
        return ArgoLogins(
            tuple(repository_secrets(secrets)),
            data.get(maps[0], {}).get("ssh_known_hosts", ""),
            data.get(maps[1], {}),
            missing,
        )
