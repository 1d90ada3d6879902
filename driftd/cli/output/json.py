"""The JSON format."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

import orjson

from driftd.model.document import check_document
from driftd.model.report import Report

_RAW = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
"""Characters that JSON does not escape and a terminal or an editor would act on."""


def render(reports: Iterable[Report]) -> str:
    """The document of `check -o json` (docs/cli.md, "The JSON document"), indented, with a trailing newline."""
    return dump(check_document(reports))


def dump(document: Any) -> str:
    """JSON text with every character escaped that a terminal or an editor would act on."""
    try:
        text = orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()
    except orjson.JSONEncodeError:
        # orjson refuses integers past 64 bits and lone surrogates; a cluster's values may hold either.
        text = json.dumps(document, indent=2)
    return _RAW.sub(lambda match: f"\\u{ord(match.group()):04x}", text) + "\n"
