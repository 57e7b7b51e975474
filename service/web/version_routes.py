"""Routes of single versions of a bundle: what the manifest says, and the report, as a page.

A report is a file of somebody's training: no script of it may run, and it may load nothing, be it
opened by itself or in a frame.
"""

import asyncio
from pathlib import Path
from typing import Final

from fastapi import FastAPI, Request
from starlette.responses import Response

from service.errors import BadInput, BundleInvalid, NotAuthorised, UnknownBundle, UnknownReport
from service.scoring.bundle import read_manifest
from service.scoring.manifest import Manifest
from service.web import views
from service.web.faults import check_parameters
from service.web.openapi import problem_responses
from service.web.report_page import report_page
from service.web.services import json_answer, services_of

LONGEST: Final = 32 * 1024**2  # bytes of a file; a report has about one million
HEADERS: Final = {
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, no-cache",
}


def add_version_routes(app: FastAPI) -> None:
    """After those of bundles: `/v1/models/{name}/shadow` is no version."""
    refusals = problem_responses(BadInput, NotAuthorised, UnknownBundle)
    path = "/v1/models/{name}/{version}"
    answers = {200: {"model": views.ModelView}} | refusals | problem_responses(BundleInvalid)
    app.get(path, tags=["models"], response_model=None, responses=answers)(version)
    lacks = problem_responses(UnknownBundle, UnknownReport)
    page = {200: {"content": {"text/html": {"schema": {"type": "string"}}}}}
    app.get(
        path + "/report",
        tags=["models"],
        response_class=Response,
        responses=page | refusals | lacks,
    )(report)


async def version(request: Request, name: str, version: str) -> Response:
    """What one version in the folder is, whether or not it is in force."""
    services = services_of(request)
    check_parameters(request.query_params)
    folder = await asyncio.to_thread(services.models.folder_of, name, version)
    manifest = await asyncio.to_thread(read_manifest, folder)
    budget = services.settings.false_alarm_budget or manifest.default_budget
    is_default = name == services.models.serving.default
    return json_answer(model_view(manifest, budget=budget, is_default=is_default).model_dump())


async def report(request: Request, name: str, version: str) -> Response:
    """What its training found, as a page: `report.html` of its folder, else `report.md`."""
    services = services_of(request)
    check_parameters(request.query_params)
    folder = await asyncio.to_thread(services.models.folder_of, name, version)
    page = await asyncio.to_thread(_report, folder)
    if page is None:
        raise UnknownReport("neither report.html nor report.md is in the folder of this version")
    return Response(page, media_type="text/html", headers=HEADERS)


def model_view(manifest: Manifest, *, budget: float, is_default: bool) -> views.ModelView:
    """A version as answers show it, with the budget in force here."""
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
        false_alarm_budget=budget,
        created_at=manifest.created_at,
        metrics=manifest.metrics,
    )


def _report(folder: Path) -> str | None:
    if (page := _content(folder / "report.html")) is not None:
        return page.decode(errors="replace")
    if (text := _content(folder / "report.md")) is None:
        return None
    return report_page(text.decode(errors="replace"), picture=lambda name: _content(folder / name))


def _content(path: Path) -> bytes | None:
    """Of a file of the folder itself: a link could lead anywhere."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size > LONGEST:
        return None
    return path.read_bytes()
