"""The order in which objects are applied: those that others depend on come first.

Source: the install order of Helm ("InstallOrder"), which Argo CD and kapp follow too.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from driftd.model.resource import Manifest

_WAVES: tuple[frozenset[str], ...] = (
    frozenset(
        {"CustomResourceDefinition", "Namespace", "PriorityClass", "StorageClass", "IngressClass", "RuntimeClass"}
    ),
    frozenset({"ServiceAccount", "ClusterRole", "Role", "ResourceQuota", "LimitRange", "NetworkPolicy"}),
    frozenset(
        {"ClusterRoleBinding", "RoleBinding", "Secret", "ConfigMap", "PersistentVolume", "PersistentVolumeClaim"}
    ),
)
_LAST = frozenset({"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration", "APIService"})


def waves(manifests: Iterable[Manifest]) -> list[list[Manifest]]:
    """The manifests in groups: those of a group can be applied at once, after those of all earlier groups."""
    ordered = sorted(manifests, key=wave)
    return [list(group) for _, group in groupby(ordered, key=wave)]


def wave(manifest: Manifest) -> int:
    """The number of a manifest's group: CRDs and namespaces first, webhooks and API services last."""
    kind = manifest.ref.kind
    for number, kinds in enumerate(_WAVES):
        if kind in kinds:
            return number
    return len(_WAVES) + (1 if kind in _LAST else 0)
