"""Who keeps a live object: deployers that write without being asked leave their marks on what they deploy.

A mark stays when its deployer is uninstalled, and nothing in the cluster tells: it may work from another one. So a mark
is believed for as long as it is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from driftd.diff.deployer import count_owned
from driftd.diff.ownership import ManagedFieldsEntry, managed_fields
from driftd.diff.rules.field_managers import DeployerRow, Managers
from driftd.diff.rules.globs import matches_any
from driftd.model.claim import Claim
from driftd.model.drift import FIELD_MANAGER
from driftd.model.path import FieldPath, format_path
from driftd.model.resource import JsonObject

_SECTIONS = ("labels", "annotations")

_COMMON = "app.kubernetes.io/"
"""Where labels are that everybody uses: only their owner says whose they are."""

_ABOUT = frozenset({"apiVersion", "kind", "metadata", "status"})
"""What does not say what an object does: controllers write to it, too."""

_Fields = Mapping[str, tuple[FieldPath, str]]
"""Labels and annotations by the text of their paths."""


def claim_on(declared: JsonObject, live: JsonObject, managers: Managers) -> Claim | None:
    """Whose a live object is; None where no deployer claims it that Git's declaration and people do not explain."""
    fields = _label_fields(live)
    row = next(_claiming(declared, live, managers, fields), None)
    return _claim(row, fields) if row is not None else None


def claiming_rows(declared: JsonObject, live: JsonObject, managers: Managers) -> tuple[DeployerRow, ...]:
    """All the deployers that claim a live object."""
    return tuple(_claiming(declared, live, managers, _label_fields(live)))


def _claiming(declared: JsonObject, live: JsonObject, managers: Managers, fields: _Fields) -> Iterator[DeployerRow]:
    names = {raw.get("manager") or "" for raw in live["metadata"].get("managedFields") or ()}
    entries: tuple[ManagedFieldsEntry, ...] | None = None
    for row in managers.deployers:
        if not row.claims:
            continue
        marks = [fields[path] for group in row.claims for path in group if path in fields]
        if not marks and not any(row.is_controller(name) for name in names):
            continue
        if entries is None:
            entries = tuple([one for one in managed_fields(live) if one.owner.subresource is None])
        own = [entry for entry in entries if row.is_by(entry.owner)]
        if _deploys(row, own, declared, only_controllers=not marks) or any(
            _is_claim(row, *mark, declared, entries, managers) for mark in marks
        ):
            yield row


def _deploys(
    row: DeployerRow, entries: Sequence[ManagedFieldsEntry], declared: JsonObject, *, only_controllers: bool
) -> bool:
    """Whether the deployer owns something of what Git declares: its marks may have keys of a user's, or another owner.

    It writes to objects of its own kinds as their controller, whoever deploys them.
    """
    content = {key: value for key, value in declared.items() if key not in _ABOUT}
    group = str(declared.get("apiVersion", "")).rpartition("/")[0]
    if matches_any(row.groups, group):
        return False
    return any(
        count_owned(entry.fields, content, None)
        for entry in entries
        if not only_controllers or row.is_controller(entry.owner.manager)
    )


def _is_claim(
    row: DeployerRow,
    path: FieldPath,
    value: str,
    declared: JsonObject,
    entries: Sequence[ManagedFieldsEntry],
    managers: Managers,
) -> bool:
    """Whether a mark is the deployer's: it has set it, or nobody else is known to have."""
    owners = [entry.owner for entry in entries if entry.owns(path)]
    if any(row.is_by(owner) for owner in owners):
        return True
    if str(path[-1]).startswith(_COMMON) or _declared_mark(declared, path) == value:
        return False
    return not owners or not all(owner.manager == FIELD_MANAGER or managers.is_of_people(owner) for owner in owners)


def _declared_mark(declared: JsonObject, path: FieldPath) -> object:
    section = (declared.get("metadata") or {}).get(path[1])
    return section.get(path[-1]) if isinstance(section, Mapping) else None


def _label_fields(live: JsonObject) -> _Fields:
    metadata = live["metadata"]
    return {
        _text(section, key): (("metadata", section, key), str(value))
        for section in _SECTIONS
        for key, value in (metadata.get(section) or {}).items()
    }


@lru_cache(maxsize=4096)
def _text(section: str, key: str) -> str:
    return format_path(("metadata", section, key))


def _claim(row: DeployerRow, fields: _Fields) -> Claim:
    for group in row.claims:
        if all(path in fields for path in group):
            return _interned(row.product, row.keeper, "/".join(_name(fields[path][1]) for path in group))
    return _interned(row.product, "", "")


def _name(mark: str) -> str:
    """The name in a mark. Argo CD's are `NAMESPACE_NAME`, and its annotation goes on with the object after a colon."""
    return mark.strip(":").partition(":")[0].replace("_", "/", 1)


@lru_cache(maxsize=4096)
def _interned(product: str, keeper: str, name: str) -> Claim:
    """One object for all that one of the deployer's objects keeps."""
    return Claim(product, f"{keeper} {name}".strip() if name else "")
