"""What an answer of 200 has to be before it is believed: the object, the list or the page that was asked for.

A proxy, a gateway or a broken backend may answer 200 with a `Status`, a page of HTML or the list of another kind. Taken
for an empty answer, it would say that nothing exists.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from driftd.kube.discovery import ApiResource
from driftd.kube.errors import status_error
from driftd.model.errors import KubeError


def checked_object(answer: Any, resource: ApiResource, namespace: str | None, name: str) -> dict[str, Any]:
    """The object, which has the kind, the namespace and the name that it was asked for by.

    Raises: KubeError: it is something else; a `Status` as the error that it stands for.
    """
    _refuse_status(answer)
    asked = f"asked for {resource.kind} {name!r}"
    if not isinstance(answer, dict) or (answer.get("kind"), answer.get("apiVersion")) != (
        resource.kind,
        resource.api_version,
    ):
        raise _unexpected(asked, _kind_of(answer))
    in_namespace, its_name = _identity(answer, resource)
    if its_name != name or in_namespace != (namespace if resource.namespaced else None):
        raise _unexpected(asked, f"{resource.kind} {its_name!r}" + (f" in {in_namespace}" if in_namespace else ""))
    return answer


def checked_page(
    page: Any, resource: ApiResource, namespace: str | None
) -> tuple[list[dict[str, Any]], Mapping[str, Any]]:
    """The objects of one page of a list, each with apiVersion and kind, and the metadata of the list.

    Raises: KubeError: it is no page of that list, or holds something else.
    """
    _refuse_status(page)
    if not isinstance(page, dict) or not _is_list_of(page, resource):
        raise _unexpected(f"asked for the list of {resource}", _kind_of(page))
    items, metadata = page.get("items"), page.get("metadata")
    # Go writes an empty list as null; the key itself is always there.
    if "items" not in page or not isinstance(items, list | None) or not isinstance(metadata, dict):
        raise _unexpected(f"asked for the list of {resource}", "a list without items or without metadata")
    for item in items or ():
        check_item(item, resource, namespace)
    return items or [], metadata


def check_item(item: Any, resource: ApiResource, namespace: str | None) -> None:
    """Checks an object of a collection (of all namespaces: None), and gives it apiVersion and kind.

    Raises: KubeError: it does not belong there.
    """
    in_namespace, name = _identity(item, resource)
    if not isinstance(item["metadata"].get("resourceVersion"), str):
        raise _unexpected(f"asked for {resource}", f"{name!r} without a resourceVersion")
    if namespace is not None and resource.namespaced and in_namespace != namespace:
        raise _unexpected(f"asked for {resource} in {namespace}", f"{name!r} in {in_namespace}")
    # Lists of built-in kinds omit both from their items.
    kind, api_version = (
        item.setdefault("kind", resource.kind),
        item.setdefault("apiVersion", resource.api_version),
    )
    if kind != resource.kind or api_version != resource.api_version:
        raise _unexpected(f"asked for {resource} of {resource.api_version}", _kind_of(item))


def _identity(body: Any, resource: ApiResource) -> tuple[str | None, str]:
    """Namespace and name. Raises: KubeError: it lacks what the API server gives to each object."""
    metadata = body.get("metadata") if isinstance(body, dict) else None
    if not isinstance(metadata, dict):
        raise _unexpected(f"asked for {resource}", "something that is no object")
    name, uid, namespace = metadata.get("name"), metadata.get("uid"), metadata.get("namespace") or None
    if not (name and isinstance(name, str) and uid and isinstance(uid, str)):
        raise _unexpected(f"asked for {resource}", "an object without a name or a uid")
    if resource.namespaced != isinstance(namespace, str):
        raise _unexpected(
            f"asked for {resource}", f"{name!r} {'without' if resource.namespaced else 'with'} a namespace"
        )
    return namespace, name


def _is_list_of(page: Mapping[str, Any], resource: ApiResource) -> bool:
    """Whether it calls itself the list of that kind. A CustomResourceDefinition may choose another `listKind`."""
    kind, api_version = page.get("kind"), page.get("apiVersion")
    if api_version != resource.api_version or not isinstance(kind, str):
        return False
    is_built_in = "." not in resource.group
    return kind == f"{resource.kind}List" or (not is_built_in and kind != resource.kind)


def _refuse_status(answer: Any) -> None:
    if isinstance(answer, dict) and answer.get("kind") == "Status":
        raise status_error(answer)


def _kind_of(answer: Any) -> str:
    if not isinstance(answer, dict):
        return "no JSON object"
    kind, api_version = answer.get("kind"), answer.get("apiVersion")
    return f"{kind} of {api_version}" if isinstance(kind, str) and isinstance(api_version, str) else "no object"


def _unexpected(asked: str, got: str) -> KubeError:
    return KubeError(f"the API server was {asked}, and answered with {got}: check for proxies in between")
