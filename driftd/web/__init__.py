"""The HTTP server: health, metrics and a read-only API."""

from __future__ import annotations

from driftd.web.app import create_app
from driftd.web.metrics import Metrics
from driftd.web.port import WebPort
from driftd.web.server import Server, serve

__all__ = ["Metrics", "Server", "WebPort", "create_app", "serve"]
