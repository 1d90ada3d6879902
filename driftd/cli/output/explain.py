"""`check --explain`: every field of one object, with its verdict and rule."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from driftd.cli.output import describe
from driftd.cli.output.json import dump
from driftd.diff.explain import Explanation
from driftd.model.document import timestamp
from driftd.model.path import format_path
from driftd.model.resource import ResourceRef
from driftd.model.text import one_line

_STYLES = {
    "in_sync": "green",
    "undeclared": "bright_black",
    "ignored": "cyan",
    "unknown": "red",
    "changed": "yellow",
    "removed": "red",
    "added": "yellow",
}
_WIDTH = 60


def print_explanation(console: Console, ref: ResourceRef, fields: Sequence[Explanation]) -> None:
    """Prints a block per field: path, verdict, both values, the live one's owner, and the rule that decided."""
    console.print(Text(one_line(str(ref)), style="bold"))
    for field in fields:
        style = _STYLES.get(field.verdict, "")
        head = Text.assemble((f"  {field.verdict:<11}", style), one_line(format_path(field.path)))
        console.print(head, soft_wrap=True)
        console.print(Text.assemble("             ", (_values(field), "")), soft_wrap=True)
        owner = describe.owner(field.owner) if field.owner else "nobody"
        when = f", {describe.absolute(field.owner.time)}" if field.owner and field.owner.time else ""
        source = f"             {owner}{when} · {one_line(field.rule)}"
        console.print(Text(source, style="bright_black"), soft_wrap=True)
        if field.left_to is not None:
            console.print(Text(f"             {describe.left_to(field.left_to)}", style="cyan"), soft_wrap=True)


def explanation_json(ref: ResourceRef, fields: Sequence[Explanation]) -> str:
    """The same as JSON."""
    return dump(
        {
            "version": 1,
            "object": {"group": ref.group, "kind": ref.kind, "namespace": ref.namespace, "name": ref.name},
            "fields": [
                {
                    "path": format_path(field.path),
                    "verdict": field.verdict,
                    "desired": field.desired,
                    "live": field.live,
                    "owner": {
                        "manager": field.owner.manager,
                        "operation": field.owner.operation,
                        "subresource": field.owner.subresource,
                        "time": timestamp(field.owner.time) if field.owner.time else None,
                    }
                    if field.owner
                    else None,
                    "rule": field.rule,
                    **({"left_to": field.left_to} if field.left_to is not None else {}),
                }
                for field in fields
            ],
        }
    )


def _values(field: Explanation) -> str:
    desired = "nothing" if field.desired is None else describe.shorten(describe.scalar(field.desired), _WIDTH)
    live = "nothing" if field.live is None else describe.shorten(describe.scalar(field.live), _WIDTH)
    return f"Git {desired} → live {live}" if field.desired != field.live else live
