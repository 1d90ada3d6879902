"""Everything about one incident."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from rich.console import Console
from rich.text import Text

from driftd.cli.output import describe
from driftd.cli.output.json import dump
from driftd.model.drift import Verdict
from driftd.model.incident import Ended, Incident
from driftd.model.text import one_line, plural
from driftd.service.documents import incident_detail_document
from driftd.service.views import IncidentDetail
from driftd.store.records import DeliveryRecord

_DIM = "bright_black"


def print_incident(console: Console, detail: IncidentDetail, *, now: datetime) -> None:
    """Prints what differed, whose hand it was, how it ended, what driftd wrote, and who was told when."""
    for text in (*_head(detail.incident, now), *_objects(detail.incident), *_writes(detail), *_messages(detail)):
        console.print(text, soft_wrap=True, highlight=False)


def incident_json(detail: IncidentDetail) -> str:
    """The same as JSON."""
    return dump(incident_detail_document(detail))


def _head(incident: Incident, now: datetime) -> Iterator[Text]:
    where = f"{one_line(incident.app)} on {one_line(incident.cluster)}" if incident.cluster else one_line(incident.app)
    ending = f"resolved: {incident.resolution}" if incident.resolution else "open"
    style = "green" if incident.resolution else "red"
    yield Text.assemble((f"incident {incident.id}", "cyan"), f"  {incident.type} of {where}, ", (ending, style))
    times = [("opened", incident.first_seen), ("changed", incident.updated), ("resolved", incident.resolved)]
    for what, time in times:
        if time is not None and (what != "changed" or time not in (incident.first_seen, incident.resolved)):
            yield Text(f"{what:<9} {describe.to_the_second(time)}, {describe.ago(time, now)}")
    if incident.revision:
        yield Text(f"revision  {one_line(incident.revision)}")
    for line in incident.message.splitlines():
        yield Text(f"  {one_line(line)}")


def _objects(incident: Incident) -> Iterator[Text]:
    over = [one.verdict for one in incident.ended]  # no set: a value may be a map
    for verdict in incident.resources:
        if verdict not in over:
            yield Text()
            yield from _object(verdict, None)
    for one in incident.ended:
        yield Text()
        yield from _object(one.verdict, one)
    hidden = incident.objects - len(incident.resources)
    if hidden > 0:
        yield Text(f"… and {hidden} more", style=_DIM)


def _object(verdict: Verdict, ended: Ended | None) -> Iterator[Text]:
    title = f"{describe.object_name(verdict)}: {verdict.status.label}"
    if (place := describe.declared_at(verdict)) is not None:
        title += f" ({place})"
    if verdict.by is not None:
        title += f", deleted by {describe.owner(verdict.by)}"
    if ended is not None:
        who = f" by {one_line(ended.by)}" if ended.by else ""
        title += f"; {str(ended.resolution).replace('_', ' ')}{who} {describe.to_the_second(ended.time)}"
        title += f", taken over from {one_line(str(ended.taken_from))}" if ended.taken_from is not None else ""
    yield Text(title, style="green" if ended is not None else "yellow")
    if verdict.left_to is not None:
        yield Text(f"  {describe.left_to(verdict.left_to)}", style=_DIM)
    for field in verdict.fields[: describe.MAX_FIELDS]:
        git, live = describe.sides(field)
        yield Text(f"  {describe.path(field.path)}: Git {git}, live {live}")
        who = describe.owner(field.by)
        when = f", {describe.to_the_second(field.by.time)}" if field.by and field.by.time else ""
        line = ""
        if field.git is not None:
            parts = (describe.git_line(field.git), describe.commit(field.git), describe.subject(field.git))
            line = "; " + " ".join(part for part in parts if part)
        yield Text(f"    {'Git has moved on' if field.behind else who}{when}{line}", style=_DIM)
        if field.left_to is not None:
            yield Text(f"    {describe.left_to(field.left_to)}", style=_DIM)
    if (more := describe.more_fields(verdict)) is not None:
        yield Text(f"  {more}", style=_DIM)


def _writes(detail: IncidentDetail) -> Iterator[Text]:
    if detail.operations:
        yield Text()
    for one in detail.operations:
        time = describe.to_the_second(one.finished or one.planned)
        outcome = f"{one.outcome}" + (f": {one_line(one.error)}" if one.error else "")
        taken = f", taken over from {one_line(str(one.taken_from))}" if one.taken_from is not None else ""
        yield Text(f"{time}  {one.trigger} by {one_line(one.by)}: {one_line(str(one.ref))} {outcome}{taken}")


def _messages(detail: IncidentDetail) -> Iterator[Text]:
    if detail.told:
        yield Text()
    for told in detail.told:
        event = f"{describe.to_the_second(told.notification.time)}  {told.notification.event}"
        if not told.deliveries:
            yield Text(f"{event}: to no channel, or long ago", style=_DIM)
        for delivery in told.deliveries:
            yield Text(f"{event}: {_delivery(delivery)}")
    if detail.unreadable:
        yield Text(f"… and {plural(detail.unreadable, 'record')} that cannot be read", style=_DIM)


def _delivery(delivery: DeliveryRecord) -> str:
    text = f"{one_line(delivery.channel)} {delivery.state}"
    if delivery.finished is not None:
        text += f" {describe.to_the_second(delivery.finished)}"
    return f"{text}, {delivery.attempts} failed: {one_line(delivery.error)}" if delivery.error else text
