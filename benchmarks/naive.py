"""The naive service: what a competent team writes in an afternoon. We are measured against it.

A pydantic body, a Redis list per entity, and the whole window through the graph for every point.
It runs the network of the same bundle, but keeps no score calibration, incidents or alerts.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import onnxruntime as ort
import typer
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from redis.asyncio import Redis

from service.scoring.bundle import Bundle, load_bundle
from service.scoring.detector import single_threaded

THRESHOLD = 10.0


class Point(BaseModel):
    """One row of an entity."""

    entity: str
    timestamp_ms: int
    values: list[float]


class Points(BaseModel):
    """Several rows; scored one after the other."""

    points: list[Point]


class Verdict(BaseModel):
    """The score of a row; null until the window is full."""

    entity: str
    timestamp_ms: int
    score: float | None
    is_anomaly: bool


class Verdicts(BaseModel):
    """One verdict per row."""

    verdicts: list[Verdict]


class Naive:
    """Window in Redis, model in memory."""

    def __init__(self, bundle: Bundle, redis: Redis) -> None:
        self._redis = redis
        self._window_length = bundle.manifest.window_length
        self._center = bundle.calibration.center[0]
        self._session = ort.InferenceSession(
            bundle.folder / bundle.manifest.window.file, single_threaded()
        )

    async def score(self, point: Point) -> Verdict:
        """Append the row, read the window back, run the model on it."""
        window = await self._append(point)
        score = None
        if len(window) == self._window_length:
            error = self._error(window)
            score = float(error[0, -1].sum())  # the network is the last member
        return Verdict(
            entity=point.entity,
            timestamp_ms=point.timestamp_ms,
            score=score,
            is_anomaly=score is not None and score > THRESHOLD * len(point.values),
        )

    async def _append(self, point: Point) -> list[bytes]:
        key = list_key(point.entity)
        row = (np.array(point.values) - self._center).astype(np.float32).tobytes()
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.rpush(key, row)
            pipeline.ltrim(key, -self._window_length, -1)
            pipeline.lrange(key, 0, -1)
            replies: list[Any] = await pipeline.execute()
        rows: list[bytes] = replies[2]
        return rows

    def _error(self, rows: list[bytes]) -> Any:
        window = np.frombuffer(b"".join(rows), np.float32).reshape(1, len(rows), -1)
        feed = {"window": window, "entity_index": np.zeros(1, np.int64)}
        return self._session.run(["error"], feed)[0]


def list_key(entity: str) -> str:
    """The window of an entity."""
    return f"naive:{entity}"


def create_app(bundle: Bundle, redis_url: str) -> FastAPI:
    """The naive service."""
    redis = Redis.from_url(redis_url, max_connections=1_024)
    naive = Naive(bundle, redis)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await redis.aclose()

    app = FastAPI(lifespan=lifespan)

    @app.post("/v1/points")
    async def score(points: Points) -> Verdicts:
        return Verdicts(verdicts=[await naive.score(point) for point in points.points])

    @app.post("/v1/point")
    async def score_one(point: Point) -> Verdict:
        return await naive.score(point)

    @app.get("/readyz")
    async def readyz() -> str:
        return "ready"

    return app


def main(
    port: Annotated[int, typer.Option()],
    redis_url: Annotated[str, typer.Option()],
    bundle: Annotated[Path, typer.Option(help="Folder of one bundle.")],
) -> None:
    """Serve naively."""
    app = create_app(load_bundle(bundle), redis_url)
    uvicorn.run(app, host="127.0.0.1", port=port, access_log=False, log_level="warning")


if __name__ == "__main__":
    typer.run(main)
