"""The borders of an app: what of a cluster it may be written to, and where reading is confined, read. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from driftd.model.app import App
from driftd.model.resource import ResourceRef

ANY = "*"


@dataclass(frozen=True, slots=True)
class Borders:
    """An app's own namespace, and what its configuration names besides: namespaces, and cluster-scoped kinds.

    A kind is a name (`ClusterRole`) of any group, or one with its group (`ClusterRole.rbac.authorization.k8s.io`).
    """

    own_namespace: str
    namespaces: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()

    @classmethod
    def of(cls, app: App, default_namespace: str) -> Borders:
        """The borders of an app; `default_namespace` is that of its cluster's kubeconfig."""
        return cls(app.namespace or default_namespace, app.namespaces, app.kinds)

    def outside(self, ref: ResourceRef) -> str | None:
        """Why an object is outside; None for one within. A `ref` without a namespace is cluster-scoped."""
        if ref.namespace is None:
            if self.kinds & {ANY, ref.kind, f"{ref.kind}.{ref.group}"}:
                return None
            return f"it is outside of the app's borders: {ref.kind} is cluster-scoped, and `kinds` does not name it"
        if ref.namespace == self.own_namespace or self.namespaces & {ANY, ref.namespace}:
            return None
        return (
            f"it is outside of the app's borders: its namespace is {ref.namespace}, the app's {self.own_namespace}, "
            "and `namespaces` does not name it"
        )
