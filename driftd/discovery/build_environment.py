"""Argo CD's build environment: what `$ARGOCD_APP_NAME` and others stand for.

Source: argo-cd 3.6, reposerver/repository/repository.go (newEnv), pkg/apis/application/v1alpha1 (Envsubst); Go's
os.Expand.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from driftd.discovery.argo_logins import namespace_of_argo
from driftd.discovery.deployed import Object, Unsupported, section, text

_KNOWN_TO_THE_CLUSTER = ("KUBE_VERSION", "KUBE_API_VERSIONS")
_REFERENCE = re.compile(
    r"""
    \$ (?:
        \{ (?P<special> [*\#$@!?0-9-] ) \}
      | \{ (?P<braced> [^}]+ ) \}
      | (?P<broken> \{ \}? )
      | (?P<one> [*\#$@!?0-9-] )
      | (?P<plain> [A-Za-z_][A-Za-z0-9_]* )
    )
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class BuildEnvironment:
    """The variables of one source of an Application."""

    variables: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, application: Object, source: Object, revision: str) -> BuildEnvironment:
        """Those of a source that was applied at a revision."""
        metadata = application["metadata"]
        name = metadata["name"]
        if metadata["namespace"] != namespace_of_argo(application):
            name = f"{metadata['namespace']}_{name}"
        spec = section(application, "spec")
        variables = {
            "ARGOCD_APP_NAME": name,
            "ARGOCD_APP_NAMESPACE": text(section(spec, "destination"), "namespace"),
            "ARGOCD_APP_PROJECT_NAME": text(spec, "project"),
            "ARGOCD_APP_REVISION": revision,
            "ARGOCD_APP_REVISION_SHORT": revision[:7],
            "ARGOCD_APP_REVISION_SHORT_8": revision[:8],
            "ARGOCD_APP_SOURCE_REPO_URL": text(source, "repoURL"),
            "ARGOCD_APP_SOURCE_PATH": text(source, "path"),
            "ARGOCD_APP_SOURCE_TARGET_REVISION": text(source, "targetRevision"),
        }
        return cls(tuple(variables.items()))

    def expand(self, value: str) -> str:
        """A text with its variables replaced; one that is not known is empty, and `$$` is `$`, as in Argo CD.

        Raises: Unsupported: it names a variable that not all of Argo CD's ways to render agree upon.
        """
        variables = dict(self.variables)

        def replaced(match: re.Match[str]) -> str:
            name = match["special"] or match["braced"] or match["one"] or match["plain"]
            if name in _KNOWN_TO_THE_CLUSTER:
                raise Unsupported(f"it uses {name} of Argo CD's build environment, which only plugins have")
            return "$" if name == "$" else variables.get(name or "", "")

        return _REFERENCE.sub(replaced, value)
