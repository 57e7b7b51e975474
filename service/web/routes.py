"""The routes: each one translates between HTTP and the stream floor."""

from fastapi import FastAPI, Request
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service.errors import NotAuthorised
from service.scoring.fold import Fold
from service.web import views
from service.web.alert_events import GetAlerts
from service.web.alerts import alerts
from service.web.detect import PostDetect
from service.web.entity_routes import add_entity_routes
from service.web.example_routes import add_example_routes
from service.web.fleet_routes import add_fleet_route
from service.web.incident_routes import add_incident_routes
from service.web.model_routes import add_model_routes
from service.web.openapi import problem_responses
from service.web.page import add_page
from service.web.points import PATH, PostPoints
from service.web.policy_routes import add_policy_routes
from service.web.probe import add_probe_route
from service.web.promise_routes import add_promise_route
from service.web.services import json_answer, services_of


def add_routes(app: FastAPI) -> None:
    """All routes. Access to each is ruled in `auth`."""
    # POST goes by the hot path (app.py); here it is for its name, and for other methods.
    app.router.routes.insert(0, Route(PATH, PostPoints(), methods=["POST"]))
    app.router.routes.insert(1, Route("/v1/detect", PostDetect(), methods=["POST"]))
    add_entity_routes(app)
    add_fleet_route(app)
    app.get(
        "/v1/models",
        tags=["models"],
        response_model=None,
        responses={200: {"model": list[views.ModelView]}, **problem_responses(NotAuthorised)},
    )(models)
    add_model_routes(app)
    add_example_routes(app)
    add_incident_routes(app)
    add_promise_route(app)
    add_policy_routes(app)
    app.get("/livez", tags=["operations"])(live)
    app.get("/readyz", tags=["operations"], responses={503: {"description": "Not now"}})(ready)
    app.get("/metrics", tags=["operations"], response_class=Response)(metrics)
    add_probe_route(app)
    app.router.routes.append(Route("/v1/alerts", GetAlerts(), methods=["GET"]))
    app.add_api_websocket_route("/v1/alerts", alerts)
    add_page(app)


async def models(request: Request) -> Response:
    """The bundles that are loaded."""
    services = services_of(request)
    views = [
        _model_view(fold, is_default=name == services.models.serving.default)
        for name, fold in services.models.serving.folds.items()
    ]
    return json_answer([view.model_dump() for view in views])


async def live() -> dict[str, str]:
    """Whether the process runs its event loop."""
    return {"status": "live"}


async def ready(request: Request) -> JSONResponse:
    """Whether points can be scored now."""
    reasons = services_of(request).readiness.reasons()
    if reasons:
        answer = {"status": "not_ready", "reasons": reasons}
        return JSONResponse(answer, 503, {"Retry-After": "1"})
    return JSONResponse({"status": "ready", "reasons": []})


async def metrics(request: Request) -> Response:
    """For Prometheus, in its text format."""
    page = services_of(request).metrics.render()
    return Response(page, media_type=CONTENT_TYPE_PLAIN_0_0_4)


def _model_view(fold: Fold, *, is_default: bool) -> views.ModelView:
    manifest = fold.bundle.manifest
    return views.ModelView(
        name=manifest.name,
        version=manifest.version,
        digest=manifest.digest,
        model=manifest.model,
        is_default=is_default,
        dimensions=list(manifest.dimensions),
        entities=len(manifest.entities),
        window_length=manifest.window_length,
        memory_horizon=manifest.memory_horizon,
        period_seconds=manifest.period_seconds,
        false_alarm_budget=fold.budget,
        metrics=manifest.metrics,
    )
