"""What Argo CD ignores, as ignore rules: in an Application, and in its settings for all of them.

Source: argo-cd 3.6, docs/user-guide/diffing.md; docs/operator-manual/declarative-setup.md (resource exclusion).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from driftd.diff.rules.ignore import IgnoreRule
from driftd.discovery.deployed import Object, Unsupported, items, section, text
from driftd.discovery.jq_paths import path_patterns
from driftd.discovery.pointers import path_pattern, pattern_of
from driftd.model.app import ExcludedKinds

SETTINGS = "argocd-cm"
"""The ConfigMap with Argo CD's settings, in its own namespace."""

_REASON = "Argo CD ignores it"
_OWN_GROUPS = frozenset({"", "apps", "autoscaling", "batch", "policy"})
_CUSTOMIZATIONS = "resource.customizations"
_IGNORE = f"{_CUSTOMIZATIONS}.ignoreDifferences."
_EXCLUSIONS, _INCLUSIONS = "resource.exclusions", "resource.inclusions"
_THIS_CLUSTER = frozenset({"*", "https://kubernetes.default.svc", "in-cluster"})
_ALL = {"group": "*", "kind": "*"}
_MAX_SETTING = 1 << 20


def ignore_rules(application: Object) -> tuple[IgnoreRule, ...]:
    """The rules of one Application. Raises: Unsupported: an expression of jq is more than driftd knows."""
    ignored = [
        rule
        for entry in items(section(application, "spec"), "ignoreDifferences")
        if isinstance(entry, Mapping)
        for rule in _rules(entry, entry, "ignoreDifferences")
    ]
    return (*ignored, *_managed_namespace(application))


def _managed_namespace(application: Object) -> Iterator[IgnoreRule]:
    """The labels and annotations that Argo CD itself gives to the namespace that it deploys to."""
    managed = section(application, "spec", "syncPolicy", "managedNamespaceMetadata")
    paths = [
        pattern_of(["metadata", part, key]) for part in ("labels", "annotations") for key in section(managed, part)
    ]
    name = text(section(application, "spec", "destination"), "namespace")
    if paths and name:
        reason, origin = "Argo CD manages it", "managedNamespaceMetadata"
        yield IgnoreRule(paths=tuple(paths), kinds=("Namespace",), names=(name,), reason=reason, origin=origin)


def system_rules(settings: Mapping[str, str]) -> tuple[IgnoreRule, ...]:
    """The rules of Argo CD's settings: `resource.customizations.ignoreDifferences.*`, and the older form of it.

    Raises: Unsupported: as `ignore_rules`, or a setting cannot be read.
    """
    rules: list[IgnoreRule] = []
    for key, setting in settings.items():
        if key.startswith(_IGNORE):
            target = key.removeprefix(_IGNORE)
            group, _, kind = target.rpartition("_")
            named = _ALL if target == "all" else {"group": group, "kind": kind}
            rules += _rules(_read(key, setting), named, key)
        elif key == _CUSTOMIZATIONS:
            for target, customization in _read(key, setting).items():
                group, _, kind = str(target).rpartition("/")
                body = customization if isinstance(customization, Mapping) else {}
                ignored = body.get("ignoreDifferences")
                if isinstance(ignored, str):
                    ignored = _read(key, ignored)
                if isinstance(ignored, Mapping):
                    rules += _rules(ignored, {"group": group, "kind": kind}, key)
    return tuple(rules)


def _rules(entry: Object, target: Mapping[str, Any], origin: str) -> Iterator[IgnoreRule]:
    """The rules of one entry for the objects that `target` names."""
    conditions: dict[str, Any] = {
        "kinds": _condition(target, "kind"),
        "groups": () if text(target, "group") == "*" else (text(target, "group"),),  # none is the core group
        "names": _condition(target, "name"),
        "namespaces": _condition(target, "namespace"),
    }
    group = text(target, "group")
    built_in = bool(text(target, "kind")) and (group in _OWN_GROUPS or group.endswith(".k8s.io"))
    paths = [path_pattern(str(pointer)) for pointer in items(entry, "jsonPointers")]
    for expression in items(entry, "jqPathExpressions"):
        paths += path_patterns(str(expression), built_in=built_in)
    if paths:
        yield IgnoreRule(paths=tuple(paths), reason=_REASON, origin=origin, **conditions)
    if managers := tuple(str(manager) for manager in items(entry, "managedFieldsManagers")):
        yield IgnoreRule(managers=managers, reason=_REASON, origin=origin, **conditions)


def _condition(entry: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = text(entry, key)
    return (value,) if value and value != "*" else ()


def excluded_kinds(settings: Mapping[str, str]) -> tuple[ExcludedKinds, ...]:
    """The kinds that Argo CD neither applies nor looks at: `resource.exclusions`.

    Raises: Unsupported: it cannot be read; or `resource.inclusions` names those that it does apply.
    """
    if settings.get(_INCLUSIONS, "").strip():
        raise Unsupported(f"{_INCLUSIONS} of Argo CD's settings leaves out all kinds but some")
    excluded = []
    for entry in _read_list(_EXCLUSIONS, settings.get(_EXCLUSIONS, "")):
        clusters = [str(each) for each in items(entry, "clusters")]
        if not clusters or any(each in _THIS_CLUSTER for each in clusters):
            groups, kinds = (tuple([str(each) for each in items(entry, key)]) for key in ("apiGroups", "kinds"))
            excluded.append(ExcludedKinds(groups, kinds))
    return tuple(excluded)


def _read(key: str, setting: str) -> Object:
    read = _document(key, setting)
    return read if isinstance(read, Mapping) else {}


def _read_list(key: str, setting: str) -> list[Object]:
    read = _document(key, setting)
    return [entry for entry in read if isinstance(entry, Mapping)] if isinstance(read, list) else []


def _document(key: str, setting: str) -> Any:
    if len(setting) > _MAX_SETTING or "&" in setting:  # no alias, which can stand for any amount
        raise Unsupported(f"{key} of Argo CD's settings cannot be read")
    try:
        return yaml.safe_load(setting)
    except (yaml.YAMLError, RecursionError):
        raise Unsupported(f"{key} of Argo CD's settings cannot be read") from None
