"""`values.schema.json` of the Helm chart: the shape of its `values.yaml`, with driftd's own schema for `config`.

`python -m tests.deploy.generated` writes it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from driftd.config.schema import json_schema

CHART = Path(__file__).resolve().parents[1] / "deploy" / "chart"

_QUANTITY = {"type": ["string", "integer"], "pattern": r"^[0-9.]+([eE][0-9]+|[numkKMGTPE]i?)?$"}
_NAMES = {"type": "array", "items": {"type": "string", "minLength": 1}}
_OBJECTS = {"type": "array", "items": {"type": "object"}}
_STRINGS = {"type": "array", "items": {"type": "string"}}
_CLOSER = {
    "affinity": {"type": "object"},
    "extraArgs": _STRINGS,
    "extraEnv": _OBJECTS,
    "extraEnvFrom": _OBJECTS,
    "extraVolumeMounts": _OBJECTS,
    "extraVolumes": _OBJECTS,
    "image.digest": {"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"},
    "image.pullPolicy": {"enum": ["", "Always", "IfNotPresent", "Never"]},
    "image.repository": {"type": "string", "pattern": "^[^@:]+(:[0-9]+/[^@:]+)?$"},
    "imagePullSecrets": _OBJECTS,
    "networkPolicy.egressPorts": {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 65535}},
    "networkPolicy.metricsFrom": _NAMES,
    "persistence.accessModes": _NAMES,
    "persistence.size": _QUANTITY,
    "rbac.healNamespaces": _NAMES,
    "resources": {"type": "object"},
    "tmpSize": _QUANTITY,
    "tolerations": _OBJECTS,
}
"""Values of which `values.yaml` does not show the whole shape."""


def values_schema() -> dict[str, Any]:
    """The schema of the chart's values.

    The definitions of driftd's schema are lifted to the top: its `$ref`s are `#/$defs/…`, which Helm's library resolves
    from the root of the document, and nothing has to be fetched.
    """
    config = json_schema()
    definitions = config.pop("$defs")
    for key in ("$schema", "$id"):
        del config[key]
    shape = _shape(yaml.safe_load((CHART / "values.yaml").read_text()), "")
    shape["properties"]["config"] = {"$ref": "#/$defs/Configuration"}
    shape["properties"]["global"] = {"type": "object"}  # what a parent chart hands to all that it depends on
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": {"Configuration": config, **definitions},
        **shape,
    }


def values_schema_text() -> str:
    """The schema as the text of its file."""
    return json.dumps(values_schema(), indent=2, ensure_ascii=False) + "\n"


def _shape(value: Any, path: str) -> dict[str, Any]:
    """What a default tells of its value: a map with keys may have no others, an empty one may have any."""
    if path in _CLOSER:
        return _CLOSER[path]
    if isinstance(value, dict) and value:
        properties = {key: _shape(below, f"{path}.{key}".lstrip(".")) for key, below in value.items()}
        return {"type": "object", "additionalProperties": False, "properties": properties}
    return {"type": _TYPES[type(value)]}


_TYPES = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer"}
