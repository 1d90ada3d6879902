"""The table: a line per object, its fields below with author, time and Git line, and a summary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.console import Console
from rich.text import Text

from driftd.cli.output import describe
from driftd.cli.output.difference import Side, difference, needs_lines
from driftd.cli.output.lines import MIN_WIDTH, UNLIMITED, Line, print_lines
from driftd.cli.output.preview_table import PreviewLayout
from driftd.cli.output.symbols import ASCII, UNICODE, Symbols
from driftd.model.drift import Change, FieldDrift, Status, Verdict
from driftd.model.next_deployment import PendingRevision
from driftd.model.report import Report
from driftd.model.text import one_line, plural, visible

STATUS_STYLES = {
    Status.IN_SYNC: "green",
    Status.DRIFTED: "yellow",
    Status.MISSING: "red",
    Status.ORPHANED: "magenta",
    Status.IGNORED: "bright_black",
    Status.UNKNOWN: "red",
}
_CHANGE_STYLES = {Change.CHANGED: "yellow", Change.REMOVED: "red", Change.ADDED: "green"}
_SIDE_STYLES = {
    Side.GIT: "red",
    Side.LIVE: "green",
    Side.BOTH: "bright_black",
    Side.NOTE: "cyan",
    Side.WITHIN: "yellow",
}
_DIM = "bright_black"
_QUIET = (Status.IN_SYNC, Status.IGNORED)


def print_reports(console: Console, reports: Sequence[Report], *, now: datetime, show_all: bool = False) -> None:
    """Prints the reports, as wide as the console is.

    Objects that are in sync or ignored are only counted, unless `show_all`. Ages are relative to `now`.
    """
    symbols = ASCII if console.options.ascii_only else UNICODE
    layout = _Layout(max(console.width, MIN_WIDTH), now, symbols, show_all)
    print_lines(console, layout.reports(reports))


@dataclass(frozen=True, slots=True)
class _Layout:
    width: int
    now: datetime
    symbols: Symbols
    show_all: bool

    def reports(self, reports: Sequence[Report]) -> Iterator[Line]:
        spacious = True
        for index, report in enumerate(reports):
            shown = [v for v in report.verdicts if self.show_all or v.status not in _QUIET or v.refused]
            preview = report.preview
            quiet = not shown and not report.error and not (preview and (preview.objects or preview.error))
            if index and not (quiet and not spacious):
                yield Line(Text())
            if quiet:
                yield self._quiet_line(report)
                if report.pending is not None:
                    yield self._pending(report.pending)
            elif preview is not None and not preview.error:
                yield self._heading(report)
                yield from PreviewLayout(self.width, self.now, self.symbols).app(report, preview)
                yield self._summary(report)
            else:
                yield from self._app(report, shown)
            spacious = not quiet
        if len(reports) > 1:
            yield Line(Text())
            yield self._total(reports)
        elif not reports:
            yield Line(Text("There is nothing to check.", style=_DIM))

    def _app(self, report: Report, shown: Sequence[Verdict]) -> Iterator[Line]:
        yield self._heading(report)
        if report.pending is not None:
            yield self._pending(report.pending)
        yield Line(Text())
        for error in (report.error, report.preview.error if report.preview else None):
            if error:
                yield from self._error(error, 2)
                yield Line(Text())
        open_block = False
        for index, verdict in enumerate(shown):
            block = bool(verdict.fields or verdict.error or verdict.refused)
            if index and (block or open_block):
                yield Line(Text())
            yield from self._object(verdict)
            open_block = block
        if shown:
            yield Line(Text())
        yield self._summary(report)

    def _heading(self, report: Report) -> Line:
        line = Text(one_line(report.app), style="bold").append(f" on {one_line(report.cluster)}", style="not bold")
        if report.revision:
            line.append(" at ", style="not bold").append(one_line(report.revision.short), style="not bold cyan")
            line.append(f"  {self._revision(report)}", style=f"not bold {_DIM}")
        return Line(line, cut=True)

    def _pending(self, pending: PendingRevision) -> Line:
        return Line(Text(f"  {describe.pending(pending)}", style="cyan"), hang=2)

    def _quiet_line(self, report: Report) -> Line:
        count = len(report.verdicts)
        objects = plural(count, "object") if count else "no objects"
        ignored = report.counts[Status.IGNORED]
        line = Text.assemble(
            (f"{self.symbols.good} in sync", "green"),
            f"  {one_line(report.app)}",
            f" on {one_line(report.cluster)}  ",
            (objects, _DIM),
            (f", {ignored} ignored" if ignored else "", _DIM),
            (f", {describe.hooks(report)}" if report.hooks else "", _DIM),
        )
        if report.revision:
            line.append(f"  {one_line(report.revision.short)}", style="cyan")
            line.append(f" {self._revision(report)}", style=_DIM)
        return Line(line, cut=True)

    def _revision(self, report: Report) -> str:
        if report.revision is None:
            return ""
        author = f"{one_line(report.revision.author)}, {describe.ago(report.revision.time, self.now)}"
        return f"{author} “{one_line(report.revision.subject)}”"

    def _summary(self, report: Report) -> Line:
        style = "green" if report.in_sync else "red" if report.undecided else "yellow"
        symbol = self.symbols.good if report.in_sync else self.symbols.unknown if report.undecided else self.symbols.bad
        line = Text.assemble((f"{symbol} {describe.conclusion(report)}", f"bold {style}"))
        for status in describe.WORST_FIRST:
            if count := report.counts[status]:
                line.append(" · ", style=_DIM)
                line.append(f"{count} {status.label}", style=STATUS_STYLES[status])
        if report.hooks:
            line.append(f" · {describe.hooks(report)}", style=_DIM)
        return Line(line, hang=2)

    def _total(self, reports: Sequence[Report]) -> Line:
        line = Text(f"{len(reports)} apps", style="bold")
        for count, word, style in (
            (sum(bool(r.drifted) for r in reports), "with drift", "yellow"),
            (sum(r.undecided and not r.drifted for r in reports), "could not be told", "red"),
            (sum(r.in_sync for r in reports), "in sync", "green"),
        ):
            if count:
                line.append(" · ", style=f"not bold {_DIM}").append(f"{count} {word}", style=f"not bold {style}")
        return Line(line, hang=2)

    def _object(self, verdict: Verdict) -> Iterator[Line]:
        style = STATUS_STYLES[verdict.status]
        left = Text.assemble((f"{self.symbols.status[verdict.status]} {verdict.status.label:<8}  ", style))
        kind, _, name = describe.object_name(verdict).partition(" ")
        left.append(f"{kind} ").append(name, style="bold")
        if meaning := describe.STATUS_MEANS.get(verdict.status):
            left.append(f"  {meaning}", style=_DIM)
        yield from self._with_right_part(left, describe.declared_at(verdict))
        if verdict.error:
            yield from self._error(verdict.error, 4)
        if verdict.refused:
            yield from self._error(f"applying it would be refused: {verdict.refused}", 4)
        if verdict.by:
            yield Line(Text(f"deleted by {describe.owner(verdict.by)}"), indent=4, hang=6)
        if (not_compared := describe.undetermined(verdict)) is not None:
            yield Line(Text(not_compared, style=_DIM), indent=4, hang=6)
        if verdict.namespace_deleted:
            yield Line(Text(describe.namespace_deleted(verdict.namespace_deleted, self.now)), indent=4, hang=6)
        if verdict.behind:
            yield Line(Text(describe.behind(verdict.behind, self.now), style="cyan"), indent=4, hang=6)
        if verdict.left_to is not None:
            yield Line(Text(describe.left_to(verdict.left_to), style="cyan"), indent=4, hang=6)
        if (taken := describe.taken_over(verdict)) is not None:
            yield Line(Text(taken, style="cyan"), indent=4, hang=6)
        yield from self._fields(verdict)

    def _fields(self, verdict: Verdict) -> Iterator[Line]:
        for field in verdict.fields[: describe.MAX_FIELDS]:
            yield from self._field(field)
        if (more := describe.more_fields(verdict)) is not None:
            yield Line(Text(more, style=_DIM), indent=4)

    def _field(self, field: FieldDrift) -> Iterator[Line]:
        head = Text.assemble(
            (f"{self.symbols.change[field.change]} ", _CHANGE_STYLES[field.change]), describe.path(field.path)
        )
        if needs_lines(field, self.width - 24):
            yield Line(head, indent=4, hang=6)
            if field.change is Change.CHANGED:
                yield Line(Text("- Git, + live", style=_DIM), indent=8)
            for line in difference(field):
                yield Line(Text(str(line), style=_SIDE_STYLES[line.side]), indent=8, hang=10)
        else:
            values = self._values(field, (self.width - 12) // 2)
            if 4 + head.cell_len + 2 + values.cell_len <= self.width:
                yield Line(Text.assemble(head, "  ", values), indent=4)
            else:
                yield Line(head, indent=4, hang=6)
                yield Line(values, indent=6, hang=6)
        yield from self._authors(field)

    def _values(self, field: FieldDrift, width: int) -> Text:
        desired, live = describe.sides(field, width)
        git = (desired, _DIM) if field.change is Change.ADDED else Text.assemble(("Git ", _DIM), desired)
        there = (live, _DIM) if field.change is Change.REMOVED else Text.assemble(("live ", _DIM), (live, "bold"))
        return Text.assemble(git, (" → ", _DIM), there)

    def _authors(self, field: FieldDrift) -> Iterator[Line]:
        """Who changed the field in the cluster, who declared it in Git where that is known, and whom it is left to."""
        if (why := describe.reason(field)) is not None:
            who = Text(f"by  {why}", style="cyan")
        else:
            who = Text.assemble(("by  ", _DIM), (describe.owner(field.by), "" if field.by else _DIM))
        if field.by and field.by.time and why is None:
            who.append(f", {describe.ago(field.by.time, self.now)}")
            who.append(f" · {describe.absolute(field.by.time)}", style=_DIM)
        yield Line(who, indent=6, hang=10)
        if field.git:
            line = Text.assemble(("git ", _DIM), (describe.git_line(field.git), "cyan"))
            if blamed := describe.commit(field.git):
                line.append(f" {blamed}")
                if field.git.time:
                    line.append(f", {describe.ago(field.git.time, self.now)}")
                line.append(f" {describe.subject(field.git)}", style=_DIM)
            yield Line(line, indent=6, hang=10, cut=True)
        if field.left_to is not None:
            yield Line(Text(describe.left_to(field.left_to), style="cyan"), indent=6, hang=10)

    def _error(self, error: str, indent: int) -> Iterator[Line]:
        for line in visible(error).split("\n"):
            yield Line(Text(line, style="red"), indent=indent, hang=indent)

    def _with_right_part(self, left: Text, right: str | None) -> Iterator[Line]:
        """`right` at the right edge of the line, or on the next line where it does not fit."""
        if right is None:
            yield Line(left, hang=12)
            return
        if self.width == UNLIMITED:
            yield Line(Text.assemble(left, "  ", (right, _DIM)))
            return
        gap = self.width - left.cell_len - Text(right).cell_len
        if gap >= 2:
            yield Line(Text.assemble(left, " " * gap, (right, _DIM)))
        else:
            yield Line(left, hang=12)
            yield Line(Text(right, style=_DIM), indent=12, hang=12)
