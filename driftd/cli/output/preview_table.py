"""What deploying a revision would do, as the table shows it: live and after, and whose edits are undone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from rich.text import Text

from driftd.cli.output import describe, preview
from driftd.cli.output.difference import Side, difference, needs_lines
from driftd.cli.output.lines import Line
from driftd.cli.output.symbols import Symbols
from driftd.model.drift import FieldDrift, Status
from driftd.model.preview import Effect, FieldPreview, ObjectPreview, Preview
from driftd.model.report import Report
from driftd.model.text import one_line, plural, visible

_DIM = "bright_black"
_STYLES = {
    Effect.CREATED: "green",
    Effect.CHANGED: "yellow",
    Effect.CONFLICT: "red",
    Effect.UNDONE: "red",
    Effect.ADOPTED: "cyan",
    Effect.REMOVED: "magenta",
    Effect.STANDING: _DIM,
}
_SIDE_STYLES = {Side.GIT: "red", Side.LIVE: "green", Side.BOTH: _DIM, Side.NOTE: "cyan", Side.WITHIN: "yellow"}
_WORD_WIDTH = 8


@dataclass(frozen=True, slots=True)
class PreviewLayout:
    """The lines of a preview, `width` columns wide; ages are relative to `now`."""

    width: int
    now: datetime
    symbols: Symbols

    def app(self, report: Report, told: Preview) -> Iterator[Line]:
        """The objects that the revision has something to do with, then in short what differs besides."""
        yield Line(Text(preview.told_from(report), style=_DIM), indent=2, hang=2)
        if report.error:
            yield from self._error(report.error, 2)
        for each in told.objects:
            if not each.is_standing or each.verdict.status is Status.UNKNOWN:
                yield Line(Text())
                yield from self._object(each)
        yield from self._standing(report)
        yield Line(Text())
        undone = preview.edits(told)
        text = Text.assemble(("It ", "bold"), (preview.conclusion([report]), "bold red" if undone else "bold"))
        yield Line(text, hang=2)

    def _object(self, each: ObjectPreview) -> Iterator[Line]:
        verdict = each.verdict
        unknown = verdict.status is Status.UNKNOWN
        word = "unknown" if unknown else str(each.effect or Effect.CHANGED)
        style = "red" if unknown else _STYLES[each.effect or Effect.CHANGED]
        kind, _, name = describe.object_name(verdict).partition(" ")
        line = Text.assemble((f"{word:<{_WORD_WIDTH}}  ", style), f"{kind} ", (name, "bold"))
        if each.effect is Effect.REMOVED:
            meaning = f"kept by its deployer ({one_line(each.kept)})" if each.kept else preview.REMOVED_MEANS
            line.append(f"  {meaning}", style=_DIM)
        elif each.effect is not None:
            line.append(f"  {preview.OBJECT_MEANS[each.effect]}", style=_DIM)
        if place := describe.declared_at(verdict):
            line.append(f"  {place}", style=_DIM)
        yield Line(line, hang=_WORD_WIDTH + 2)
        if verdict.error:
            yield from self._error(verdict.error, 4)
        if verdict.refused:
            yield from self._error(f"applying it would be refused: {verdict.refused}", 4)
        shown = [field for field in each.fields if field.effect is not Effect.STANDING]
        for field in shown[: describe.MAX_FIELDS]:
            yield from self._field(field, gone=each.effect is Effect.REMOVED)
        if (hidden := len(shown) - describe.MAX_FIELDS) > 0:
            yield Line(Text(f"… and {plural(hidden, 'more field')}", style=_DIM), indent=4)
        if left := preview.in_short(each, self.now):
            yield Line(Text(f"not touched: {left}", style=_DIM), indent=4, hang=6)

    def _field(self, field: FieldPreview, *, gone: bool) -> Iterator[Line]:
        drift = field.drift
        head = Text.assemble(
            (f"{self.symbols.change[drift.change]} ", _STYLES[field.effect]), describe.path(drift.path)
        )
        if needs_lines(drift, self.width - 24) and not gone and field.effect is not Effect.ADOPTED:
            yield Line(head, indent=4, hang=6)
            yield Line(Text("- live, + after", style=_DIM), indent=8)
            for line in difference(preview.reversed_drift(field), sides=("in the cluster", "after")):
                yield Line(Text(str(line), style=_SIDE_STYLES[line.side]), indent=8, hang=10)
        else:
            yield from self._values(head, field, gone=gone)
        meaning = preview.meaning(field, gone=gone)
        if meaning is not None:
            yield Line(Text(meaning, style=_STYLES[field.effect]), indent=6, hang=8)
            yield Line(self._who(drift), indent=6, hang=10)
        elif (why := describe.reason(drift)) is not None and not drift.behind:
            yield Line(Text(why, style="cyan"), indent=6, hang=8)
        if drift.git and not gone:
            declared = " ".join(
                part
                for part in (describe.git_line(drift.git), describe.commit(drift.git), describe.subject(drift.git))
                if part
            )
            yield Line(Text.assemble(("git ", _DIM), (declared, _DIM)), indent=6, hang=10, cut=True)

    def _values(self, head: Text, field: FieldPreview, *, gone: bool) -> Iterator[Line]:
        live, after = preview.sides(field, gone=gone, width=(self.width - 12) // 2)
        values = Text.assemble(("live ", _DIM), live, (" → ", _DIM), (after, "bold"))
        if 4 + head.cell_len + 2 + values.cell_len <= self.width:
            yield Line(Text.assemble(head, "  ", values), indent=4)
        else:
            yield Line(head, indent=4, hang=6)
            yield Line(values, indent=6, hang=6)

    def _who(self, drift: FieldDrift) -> Text:
        text = Text.assemble(("by  ", _DIM), preview.who(drift, self.now))
        if drift.by and drift.by.time:
            text.append(f" · {describe.absolute(drift.by.time)}", style=_DIM)
        return text

    def _standing(self, report: Report) -> Iterator[Line]:
        """A line for each object that differs, and with which the revision has nothing to do."""
        left = [each for each in preview.standing(report) if each.verdict.status is not Status.UNKNOWN]
        if not left:
            return
        yield Line(Text())
        yield Line(Text(preview.STANDING_MEANS, style=_DIM), hang=2)
        for each in left:
            yield Line(
                Text(f"{describe.object_name(each.verdict)}: {preview.in_short(each, self.now)}"), indent=4, hang=6
            )

    def _error(self, error: str, indent: int) -> Iterator[Line]:
        for line in visible(error).split("\n"):
            yield Line(Text(line, style="red"), indent=indent, hang=indent)
