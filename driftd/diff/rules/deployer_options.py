"""Options that a manifest gives to its deployer, by which this leaves an object, or some of it, as it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto

from driftd.model.resource import JsonObject


class Absent(Enum):
    """What it means that the object is not there."""

    MISSING = auto()
    """It should be, and its deployer would create it."""
    NOT_CREATED = auto()
    """It should be, and somebody else has to create it."""
    LEFT = auto()
    """It need not be there."""
    RENAMED = auto()
    """It is there under a name that its deployer has chosen."""


@dataclass(frozen=True, slots=True)
class DeployerOption:
    """A label or annotation of a manifest, with any value if `value` is None, and what its deployer does then.

    Without `declared`, only what others have added is left as it is.
    """

    key: str
    value: str | None
    reason: str
    absent: Absent = Absent.MISSING
    declared: bool = True

    def __str__(self) -> str:
        return self.key if self.value is None else f"{self.key}: {self.value}"


_FLUX = "kustomize.toolkit.fluxcd.io"

OPTIONS: tuple[DeployerOption, ...] = (
    DeployerOption(f"{_FLUX}/reconcile", "disabled", "Flux does not apply it", Absent.LEFT),
    DeployerOption(f"{_FLUX}/ssa", "Ignore", "Flux does not apply it", Absent.LEFT),
    DeployerOption(f"{_FLUX}/ssa", "IfNotPresent", "Flux applies it only where it is not there"),
    DeployerOption(f"{_FLUX}/ssa", "Merge", "Flux leaves what others have added", declared=False),
    DeployerOption("kapp.k14s.io/noop", None, "kapp does not touch it", Absent.LEFT),
    DeployerOption("kapp.k14s.io/exists", None, "kapp only waits for it to be there", Absent.NOT_CREATED),
    DeployerOption("kapp.k14s.io/update-strategy", "skip", "kapp applies it only where it is not there"),
    DeployerOption("kapp.k14s.io/versioned", None, "kapp makes another one for each version", Absent.RENAMED),
    DeployerOption("configmanagement.gke.io/managed", "disabled", "Config Sync does not manage it", Absent.LEFT),
    DeployerOption(
        "client.lifecycle.config.k8s.io/mutation", "ignore", "Config Sync applies it only where it is not there"
    ),
    DeployerOption("config.kubernetes.io/local-config", "true", "it is no object for a cluster", Absent.LEFT),
    DeployerOption("kluctl.io/ignore", "true", "kluctl does not apply it", Absent.LEFT),
    DeployerOption("kluctl.io/delete", "true", "kluctl deletes it", Absent.LEFT),
    DeployerOption("kluctl.io/ignore-diff", "true", "kluctl ignores its differences"),
    DeployerOption("helm.toolkit.fluxcd.io/driftDetection", "disabled", "Flux does not look for drift in it"),
    DeployerOption("pipecd.dev/ignore-drift-detection", "true", "PipeCD does not look for drift in it"),
    DeployerOption("projectsveltos.io/driftDetectionIgnore", None, "Sveltos does not look for drift in it"),
)
"""Sources: Flux, "Controlling the apply behavior of resources" and "Drift detection"; kapp, "Apply ordering" and
"Versioned resources"; Config Sync, "Ignore object mutations" and "Stop managing an object"; Kubernetes, "Well-Known
Labels, Annotations and Taints"; kluctl, "Annotations"; PipeCD, "Annotations"; Sveltos, "Configuration drift"."""

_KEPT = (
    ("argocd.argoproj.io/sync-options", "Prune=false"),
    ("argocd.argoproj.io/compare-options", "IgnoreExtraneous"),
    (f"{_FLUX}/prune", "disabled"),
    ("helm.sh/resource-policy", "keep"),
    ("kapp.k14s.io/delete-strategy", "orphan"),
    ("client.lifecycle.config.k8s.io/deletion", "detach"),
    ("cli-utils.sigs.k8s.io/on-remove", "keep"),
    ("kluctl.io/skip-delete", "true"),
)
"""Annotations, and a word in their value, of what stays when Git no longer declares it."""


_REPLACED = (
    ("argocd.argoproj.io/sync-options", "Force=true"),
    (f"{_FLUX}/force", "enabled"),
    ("kapp.k14s.io/update-strategy", "always-replace"),
    ("kapp.k14s.io/update-strategy", "fallback-on-replace"),
)
"""Annotations, and a word in their value, of what its deployer deletes and creates anew."""


def option_of(declared: JsonObject) -> DeployerOption | None:
    """The first option of a manifest by which its deployer leaves it, or some of it, as it is.

    What is live does not count: a manual change could exempt itself.
    """
    labels, annotations = _map(declared, "labels"), _map(declared, "annotations")
    if not labels and not annotations:
        return None
    for option in OPTIONS:
        values = [each[option.key] for each in (labels, annotations) if option.key in each]
        if values and (option.value is None or option.value in values):
            return option
    return None


def created_by_others(declared: JsonObject) -> str | None:
    """To whom a missing object is left that its deployer does not create either; None if it does."""
    option = option_of(declared)
    return f"people: {option.reason} ({option})" if option and option.absent is Absent.NOT_CREATED else None


def kept_without_declaration(declared: JsonObject) -> str | None:
    """The annotation by which an object is meant to stay when Git no longer declares it; None if there is none."""
    return _word_of(declared, _KEPT)


def replaces_object(declared: JsonObject) -> bool:
    """Whether a manifest lets its deployer delete the object, and create it anew."""
    return _word_of(declared, _REPLACED) is not None


def _word_of(declared: JsonObject, words: Iterable[tuple[str, str]]) -> str | None:
    """The first of some annotations that has its word in it."""
    annotations = _map(declared, "annotations")
    for key, word in words:
        value = annotations.get(key)
        if isinstance(value, str) and word in (part.strip() for part in value.split(",")):
            return f"{key}: {word}"
    return None


def _map(declared: JsonObject, key: str) -> Mapping[str, object]:
    metadata = declared.get("metadata")
    value = metadata.get(key) if isinstance(metadata, Mapping) else None
    return value if isinstance(value, Mapping) else {}
