"""The read model over HTTP: apps, objects, incidents, operations and the history, a page at a time; the outbox."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from driftd.model.bounded import MAX_OBJECT_FIELDS, bounded
from driftd.model.document import incident_document, operation_document, timestamp, verdict_document
from driftd.model.drift import Status
from driftd.model.errors import DriftdError
from driftd.model.health import HealthState
from driftd.model.incident import IncidentType
from driftd.service.documents import (
    app_document,
    history_document,
    incident_detail_document,
    left_out,
    outbox_document,
    statuses_document,
)
from driftd.service.queries import Queries
from driftd.service.views import AppStatus, HistoryFilter
from driftd.store.records import StoredVerdict, VerdictFilter
from driftd.web.response import HEADERS, JsonResponse

Limit = Annotated[int, Field(ge=1, le=1000)]


class _Query(BaseModel):
    """The parameters of an endpoint; an unknown one is a mistake, not ignored."""

    model_config = ConfigDict(extra="forbid")
    limit: Limit = 100


class _NoQuery(BaseModel):
    """No parameters."""

    model_config = ConfigDict(extra="forbid")


class _ResourceQuery(_Query):
    app: str | None = None
    status: frozenset[Status] = frozenset()
    group: str | None = None
    kind: str | None = None
    namespace: str | None = None
    name: str | None = None
    manager: str | None = None
    health: frozenset[HealthState] = frozenset()
    after: Annotated[str, Field(pattern=r"^\d+@.+$")] | None = None


class _IncidentQuery(_Query):
    app: str | None = None
    type: IncidentType | None = None
    state: Literal["open", "resolved"] | None = None
    since: AwareDatetime | None = None
    before: str | None = None


class _OperationQuery(_Query):
    app: str | None = None
    kind: str | None = None
    namespace: str | None = None
    name: str | None = None
    since: AwareDatetime | None = None
    before: str | None = None


class _HistoryQuery(_Query):
    app: str | None = None
    since: AwareDatetime | None = None
    manager: str | None = None
    kind: str | None = None
    namespace: str | None = None
    before: Annotated[int, Field(ge=1)] | None = None


def query_routes(queries: Callable[[], Queries | None], failures: Callable[[], Mapping[str, str]]) -> list[Route]:
    """The endpoints. `queries` gives None while the daemon has no store open.

    `failures` are the errors of apps whose last pass could not tell; they may be missing in the store, since it may be
    what fails.
    """

    async def resources(request: Request, ask: Queries) -> Any:
        query = _ResourceQuery.model_validate(_parameters(request, "status", "health"))
        criteria = VerdictFilter(
            query.app, query.status, query.group, query.kind, query.namespace, query.name, query.manager, query.health
        )
        page = await ask.resources(criteria, query.limit, query.after)
        next_page = page[-1].cursor if len(page) == query.limit else None
        errors = {**await ask.pass_errors(), **failures()}
        return {
            "version": 1,
            "resources": bounded([_resource(stored) for stored in page]),
            "errors": {app: error for app, error in errors.items() if query.app in (None, app)},
            "next": next_page,
        }

    async def incidents(request: Request, ask: Queries) -> Any:
        query = _IncidentQuery.model_validate(_parameters(request))
        is_open = None if query.state is None else query.state == "open"
        page = await ask.incidents(query.app, query.type, is_open, query.since, query.limit, query.before)
        next_page = page[-1].id if len(page) == query.limit else None
        found = [incident_document(incident) for incident in page]
        return {"version": 1, "incidents": found, "next": next_page, **left_out(len(page.unreadable))}

    async def operations(request: Request, ask: Queries) -> Any:
        query = _OperationQuery.model_validate(_parameters(request))
        page = await ask.operations(
            app=query.app, kind=query.kind, namespace=query.namespace, name=query.name, since=query.since,
            limit=query.limit, before=query.before,
        )  # fmt: skip
        next_page = page[-1].id if len(page) == query.limit else None
        found = bounded(map(operation_document, page))
        return {"version": 1, "operations": found, "next": next_page, **left_out(len(page.unreadable))}

    async def outbox(request: Request, ask: Queries) -> Any:
        _NoQuery.model_validate(_parameters(request))
        return {"version": 1, "channels": outbox_document(await ask.outbox())}

    return [
        *_detail_routes(queries, failures),
        Route("/api/v1/outbox", _endpoint(queries, outbox)),
        Route("/api/v1/resources", _endpoint(queries, resources)),
        Route("/api/v1/incidents", _endpoint(queries, incidents)),
        Route("/api/v1/operations", _endpoint(queries, operations)),
    ]


def _detail_routes(queries: Callable[[], Queries | None], failures: Callable[[], Mapping[str, str]]) -> list[Route]:
    """The endpoints that answer as the commands `status`, `history` and `incident` do."""

    def as_it_is(app: AppStatus) -> AppStatus:
        """The app with the failure of its last pass, where the store does not have it."""
        failure = failures().get(app.app)
        return app if failure is None else replace(app, error=failure)

    async def history(request: Request, ask: Queries) -> Any:
        query = _HistoryQuery.model_validate(_parameters(request))
        criteria = HistoryFilter(query.app, query.since, query.manager, query.kind, query.namespace)
        page = await ask.history(criteria, query.limit, query.before)
        next_page = page[-1].id if len(page) == query.limit else None
        return {**history_document(query.app, page), "next": next_page}

    async def statuses(_: Request, ask: Queries) -> Any:
        return statuses_document([as_it_is(app) for app in await ask.app_statuses()])

    async def status(request: Request, ask: Queries) -> Any:
        name = request.path_params["app"]
        detail = await ask.app_detail(name)
        if detail is None:
            raise HTTPException(404, f"there is no app {name!r} in the configuration")
        return app_document(replace(detail, status=as_it_is(detail.status)))

    async def incident(request: Request, ask: Queries) -> Any:
        name = request.path_params["incident"]
        detail = await ask.incident(name)
        if detail is None:
            raise HTTPException(404, f"there is no incident {name!r} in the store")
        return incident_detail_document(detail)

    return [
        Route("/api/v1/status", _endpoint(queries, statuses)),
        Route("/api/v1/status/{app}", _endpoint(queries, status)),
        Route("/api/v1/history", _endpoint(queries, history)),
        Route("/api/v1/incidents/{incident}", _endpoint(queries, incident)),
    ]


def _endpoint(
    queries: Callable[[], Queries | None], answer: Callable[[Request, Queries], Awaitable[Any]]
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        ask = queries()
        if ask is None:
            return JsonResponse({"error": "the daemon is starting"}, 503, headers=HEADERS)
        try:
            return JsonResponse(await answer(request, ask), headers=HEADERS)
        except HTTPException as error:
            return JsonResponse({"error": error.detail}, error.status_code, headers=HEADERS)
        except ValidationError as error:
            mistakes = [f"{'.'.join(map(str, detail['loc'][:1]))}: {detail['msg']}" for detail in error.errors()]
            return JsonResponse({"error": "; ".join(mistakes)}, 400, headers=HEADERS)
        except DriftdError as error:
            return JsonResponse({"error": str(error)}, 503, headers=HEADERS)

    return endpoint


def _parameters(request: Request, *repeatable: str) -> dict[str, Any]:
    """The query's parameters; those that may be repeated as lists."""
    parameters: dict[str, Any] = dict(request.query_params)
    return parameters | {name: request.query_params.getlist(name) for name in repeatable if name in parameters}


def _resource(stored: StoredVerdict) -> dict[str, Any]:
    verdict = stored.verdict
    return {
        "app": stored.app,
        **verdict_document(verdict, MAX_OBJECT_FIELDS),
        "since": timestamp(stored.since),
        "health": str(verdict.health) if verdict.health else None,
        "health_message": verdict.health_message,
    }
