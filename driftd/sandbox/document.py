"""The form of the objects that the sandbox keeps: JSON documents that may be changed in place."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]
