"""Tokens of a kubeconfig's `auth-provider` (OIDC, GCP), obtained and renewed by kubernetes.aio.

The only module that imports `kubernetes`: that takes half a second and twelve megabytes, and few users need it.
"""

from __future__ import annotations

from typing import Any

from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config import ConfigException
from kubernetes.aio.config.kube_config import KubeConfigLoader

from driftd.kube.kubeconfig import Context
from driftd.model.errors import KubeError


class AuthProvider:
    """The provider of one user. Keep it: it holds a refresh token that its issuer may rotate."""

    def __init__(self, context: Context) -> None:
        self._origin = f"{context.origin}: user {context.user.name!r}"
        # Without client certificates, which the loader would leave behind in temporary files.
        fields = {key: value for key, value in context.user.fields.items() if not key.startswith("client-")}
        make_loader: Any = KubeConfigLoader  # untyped
        self._loader = make_loader(
            {
                "current-context": "_",
                "contexts": [{"name": "_", "context": {"cluster": "_", "user": "_"}}],
                "clusters": [{"name": "_", "cluster": {"server": context.cluster.fields["server"]}}],
                "users": [{"name": "_", "user": fields}],
            },
            config_base_path=str(context.user.folder),
        )

    async def authorization(self) -> str | None:
        """The Authorization header. Raises: KubeError: the provider gave no token."""
        configuration = Configuration()
        try:
            await self._loader.load_and_set(configuration)
        except ConfigException as error:
            raise KubeError(f"{self._origin}: {error}") from error
        except Exception as error:
            # Providers raise any type, with messages that may quote their response.
            raise KubeError(f"{self._origin}: its auth-provider gave no token ({type(error).__name__})") from error
        header: str = configuration.api_key.get("BearerToken", "")
        return header.strip() or None
