"""Kinds that Kubernetes and OpenShift have moved to another API group, where the same objects are served."""

from __future__ import annotations

from collections.abc import Mapping

_MOVED: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "extensions": {
        "apps": ("DaemonSet", "Deployment", "ReplicaSet"),
        "autoscaling": ("HorizontalPodAutoscaler",),
        "batch": ("Job",),
        "networking.k8s.io": ("Ingress", "NetworkPolicy"),
        "policy": ("PodSecurityPolicy",),
    },
    "events.k8s.io": {"": ("Event",)},
    # OpenShift's kinds had no group of their own until 3.7.
    "": {
        "apps.openshift.io": ("DeploymentConfig",),
        "authorization.openshift.io": ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"),
        "build.openshift.io": ("Build", "BuildConfig"),
        "events.k8s.io": ("Event",),
        "image.openshift.io": ("Image", "ImageStream", "ImageStreamTag"),
        "project.openshift.io": ("Project",),
        "quota.openshift.io": ("ClusterResourceQuota",),
        "route.openshift.io": ("Route",),
        "security.openshift.io": ("SecurityContextConstraints",),
        "template.openshift.io": ("Template",),
        "user.openshift.io": ("Group", "Identity", "User"),
    },
}
"""By the old group and the new one, the kinds that have moved.

Source: Kubernetes' deprecation guide, and `legacyscheme` of OpenShift's API.
"""


def new_group(group: str, kind: str) -> str | None:
    """The group that a kind has moved to from `group`, or None if it has not moved."""
    return next((new for new, kinds in _MOVED.get(group, {}).items() if kind in kinds), None)
