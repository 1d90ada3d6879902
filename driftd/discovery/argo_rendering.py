"""How an Application has its sources rendered, as driftd's render options.

Source: argo-cd 3.6, reposerver/repository/repository.go, util/helm and util/kustomize.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from driftd.discovery.build_environment import BuildEnvironment
from driftd.discovery.deployed import Object, Unsupported, items, section, text
from driftd.discovery.kustomize import KustomizationFields
from driftd.model.app import HelmParameter, PlainFiles
from driftd.model.json_text import encode_json
from driftd.render.kustomization_edits import IGNORE_MISSING_COMPONENTS, REPLACES

_COMMA = re.compile(r"(^|[^\\]),")
_IMAGE = re.compile(r"(?:(?P<old>[^=]+)=)?(?P<new>[^@]*?)(?::(?P<tag>[^:/@]+))?(?:@(?P<digest>.+))?")


def plain_files(directory: Object) -> PlainFiles:
    """Which files of a folder count. Raises: Unsupported: jsonnet renders it."""
    if section(directory, "jsonnet"):
        raise Unsupported("it is rendered with jsonnet")
    return PlainFiles(
        recurse=directory.get("recurse") is True, include=text(directory, "include"), exclude=text(directory, "exclude")
    )


def kustomize_edits(kustomize: Object, environment: BuildEnvironment) -> str | None:
    """What an Application sets for Kustomize, as fields of the folder's kustomization file."""
    labels = section(kustomize, "commonLabels")
    annotations = section(kustomize, "commonAnnotations")
    if kustomize.get("commonAnnotationsEnvsubst") is True:
        annotations = {key: environment.expand(str(value)) for key, value in annotations.items()}
    edits = KustomizationFields()
    edits.set("namespace", text(kustomize, "namespace"))
    edits.set("namePrefix", text(kustomize, "namePrefix"))
    edits.set("nameSuffix", text(kustomize, "nameSuffix"))
    if kustomize.get("labelWithoutSelector") is True:
        edits.add_labels(labels, templates=kustomize.get("labelIncludeTemplates") is True)
    else:
        edits.set("commonLabels", labels)
    edits.set("commonAnnotations", annotations)
    edits.set("images", [_image(str(each)) for each in items(kustomize, "images")])
    edits.set("replicas", [_replicas(each) for each in items(kustomize, "replicas")])
    edits.set("patches", items(kustomize, "patches"))
    edits.set("components", items(kustomize, "components"))
    edits.set(IGNORE_MISSING_COMPONENTS, kustomize.get(IGNORE_MISSING_COMPONENTS) is True)
    return edits.text()


def _image(override: str) -> dict[str, Any]:
    """An image as `kustomize edit set image` takes it: `[NAME=]NEW[:TAG][@DIGEST]`."""
    match = _IMAGE.fullmatch(override)
    if match is None:
        raise Unsupported(f"its image {override!r} cannot be read")
    new = match["new"]
    image = {"name": match["old"] or new, "newName": new if match["old"] and new else ""}
    image |= {"newTag": match["tag"] or "", "digest": match["digest"] or "", REPLACES: True}
    return {key: value for key, value in image.items() if value}


def _replicas(each: Any) -> dict[str, Any]:
    if not isinstance(each, Mapping) or not str(each.get("count")).isdecimal():
        raise Unsupported("its replicas cannot be read")
    return {"name": text(each, "name"), "count": int(str(each["count"]))}


def helm_options(helm: Object, environment: BuildEnvironment, file: Callable[[str], str]) -> dict[str, Any]:
    """What an Application sets for Helm, as render options. `file` is the path of a file that it names.

    Raises: Unsupported: it sets what driftd cannot.
    """
    for key in ("kubeVersion", "apiVersions"):
        if helm.get(key):
            raise Unsupported(f"its chart is rendered for another cluster than this one ({key})")
    values = [text(helm, "values")] if text(helm, "values") else []
    if section(helm, "valuesObject"):
        values = [encode_json(helm["valuesObject"]).decode()]  # it takes the place of the text
    parameters = []
    for each in items(helm, "parameters"):
        value = text(each, "value")
        if not value.startswith("{"):
            value = _COMMA.sub(r"\1\\,", value)
        parameters.append(
            HelmParameter(text(each, "name"), environment.expand(value), is_string=each.get("forceString") is True)
        )
    return {
        "values_files": tuple([file(str(each)) for each in items(helm, "valueFiles")]),
        "values": tuple(values),
        "parameters": tuple(parameters),
        "file_parameters": tuple(
            [(text(each, "name"), file(text(each, "path"))) for each in items(helm, "fileParameters")]
        ),
        "skip_crds": helm.get("skipCrds") is True,
        "ignore_missing_values_files": helm.get("ignoreMissingValueFiles") is True,
    }
