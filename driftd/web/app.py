"""The web application: health, metrics and the read-only API."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

import driftd
from driftd.model.document import reports_document
from driftd.model.errors import StoreError
from driftd.web.metrics import Metrics
from driftd.web.port import WebPort
from driftd.web.query_api import query_routes
from driftd.web.response import HEADERS, JsonResponse

_INDEX = """driftd {version}

/healthz      is the process alive
/readyz       is it ready, and if not, why
/metrics      for Prometheus
/api/v1/apps  the last report of every app, as `driftd check -o json` prints it

/api/v1/status      the apps as their last passes left them; /api/v1/status/APP all of one
/api/v1/resources   objects by app, status, kind, namespace, name, manager, health
/api/v1/incidents   incidents by app, type, state, since; /api/v1/incidents/ID all of one
/api/v1/history     what happened, by app, since, manager, kind, namespace
/api/v1/operations  what driftd wrote, by app, kind, namespace, name, since
/api/v1/outbox      messages that wait for delivery or were given up, by channel
"""


def create_probes_app(port: WebPort) -> Starlette:
    """The ASGI application of a listener for probes alone: what others do at the other one does not touch them."""
    return Starlette(routes=_probes(port))


def _probes(port: WebPort) -> list[Route]:
    async def healthz(_: Request) -> Response:
        reasons = port.unhealthy()
        return PlainTextResponse("\n".join([*(reasons or ["ok"]), ""]), 503 if reasons else 200, headers=HEADERS)

    async def readyz(_: Request) -> Response:
        reasons = list(port.not_ready())
        document = {
            "ready": not reasons,
            "reasons": reasons,
            "warnings": list(port.warnings()),
            "standby": dict(port.apps_of_others()),
        }
        return JsonResponse(document, 503 if reasons else 200, headers=HEADERS)

    return [Route("/healthz", healthz), Route("/readyz", readyz)]


def create_app(port: WebPort, metrics: Metrics) -> Starlette:
    """The ASGI application. All of its endpoints are read-only."""

    async def index(_: Request) -> Response:
        return PlainTextResponse(_INDEX.format(version=driftd.__version__), headers=HEADERS)

    async def prometheus(request: Request) -> Response:
        body, content_type = metrics.render(request.headers.get("accept", ""))
        return Response(body, headers={**HEADERS, "Content-Type": content_type})

    async def apps(_: Request) -> Response:
        reports = list(port.reports())
        queries, others = port.queries(), port.apps_of_others()
        if queries is not None and others:
            try:
                reports += await queries.last_reports(list(others))
            except StoreError as error:
                return JsonResponse({"error": str(error)}, 503, headers=HEADERS)
        # In a thread: serialising thousands of objects would delay /healthz.
        document = await run_in_threadpool(reports_document, reports)
        return await run_in_threadpool(JsonResponse, document, headers=HEADERS)

    def failures() -> dict[str, str]:
        return {report.app: report.error for report in port.reports() if report.error is not None}

    return Starlette(
        routes=[
            Route("/", index),
            *_probes(port),
            Route("/metrics", prometheus),
            Route("/api/v1/apps", apps),
            *query_routes(port.queries, failures),
        ]
    )
