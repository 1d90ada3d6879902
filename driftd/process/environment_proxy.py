"""The proxy that the environment names for an address.

aiohttp finds it too (`trust_env`), but looks for a login in `~/.netrc` then, and sends that to whatever host it talks
to.
"""

from __future__ import annotations

from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass


def environment_proxy(url: str) -> str | None:
    """The URL of `HTTPS_PROXY` or `HTTP_PROXY`, by the scheme of an address; None where `NO_PROXY` names its host."""
    try:
        address = urlsplit(url)
    except ValueError:
        return None  # whoever connects says that it is no address
    if not address.hostname or proxy_bypass(address.hostname):
        return None
    return getproxies().get(address.scheme)
