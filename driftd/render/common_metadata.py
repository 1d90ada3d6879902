"""Labels and annotations that a deployer sets in all objects once they are rendered: the `commonMetadata` of Flux.

Source: fluxcd/pkg/ssa, utils.SetCommonMetadata.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from driftd.model.resource import Manifest
from driftd.render.rendering import RenderedPart


def with_common_metadata(part: RenderedPart, labels: Mapping[str, str], annotations: Mapping[str, str]) -> RenderedPart:
    """A rendered part in which every object has these, whatever it says itself; not its selectors or pod templates."""
    return replace(part, manifests=tuple([_marked(each, labels, annotations) for each in part.manifests]))


def _marked(manifest: Manifest, labels: Mapping[str, str], annotations: Mapping[str, str]) -> Manifest:
    metadata: dict[str, Any] = dict(manifest.body["metadata"])
    for key, pairs in (("labels", labels), ("annotations", annotations)):
        if pairs:
            metadata[key] = {**(metadata.get(key) or {}), **pairs}
    return replace(manifest, content={**manifest.body, "metadata": metadata})
