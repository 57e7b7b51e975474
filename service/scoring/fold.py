"""The fold: an entity is a state that each of its points advances.

    state, verdict = step(state, point)

Pure, deterministic, vectorised over a batch of distinct entities. The state of an entity is one
record of `state_dtype`, so a snapshot is its bytes. The same code serves, replays and calibrates.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from service.errors import BundleInvalid
from service.scoring.bundle import Bundle
from service.scoring.detector import Detection, Detector
from service.scoring.incident import Evidence, Transition, advance, incident_dtype
from service.scoring.normaliser import (
    LN_2,
    Normaliser,
    aggregate,
    normal_surprisal,
    surprisal_cap,
)
from service.scoring.tail import surprisal, threshold_surprisal
from service.scoring.verdict import (
    TOP_CAUSES,
    BoolArray,
    Decided,
    Float32Array,
    FloatArray,
    Points,
    States,
    Status,
    Verdicts,
    shares_of,
    top_causes,
)

__all__ = [
    "STATE_FORMAT",
    "TOP_CAUSES",
    "Decided",
    "Fold",
    "Points",
    "States",
    "Status",
    "Verdicts",
    "shares_of",
    "top_causes",
]

STATE_FORMAT = 1  # a snapshot of another format, or of another bundle, is never read
LOST_AFTER = 5  # points without a value before a dimension counts as lost
NEVER_SEEN = np.iinfo(np.uint16).max
CALIBRATING_AGE = 256  # points the pooled calibration is worth for an entity it never saw


class Fold:
    """One bundle, ready to advance entities."""

    def __init__(self, bundle: Bundle, *, budget: float | None = None) -> None:
        manifest = bundle.manifest
        self.bundle = bundle
        self.dimensions = len(manifest.dimensions)
        self.need = manifest.memory_horizon
        self.budget = budget or manifest.default_budget
        self._detector = Detector(bundle)
        self._normaliser = Normaliser(manifest)
        self._views = manifest.views
        self._roles = [
            [v for v, view in enumerate(manifest.views) if view.role in (role, "both")]
            for role in ("score", "severity")
        ]
        self._max_incident_points = min(view.half_life_points for view in manifest.views)
        self._cap = surprisal_cap(bundle.calibration.is_constant)
        self._deciding = self._roles[0]  # contributions explain the score: its views alone
        self._unit = bundle.calibration.excess.astype(np.float32)[:, self._deciding, None]
        self._threshold = threshold_surprisal(
            bundle.calibration.kappa, budget=self.budget, period_seconds=manifest.period_seconds
        )

    @cached_property
    def state_dtype(self) -> np.dtype[np.void]:
        """One entity: `entity` survives a change of bundle, `model` belongs to this one."""
        entity = [
            ("timestamp_ms", "<i8"),  # of the newest point; always first
            ("values", "<f4", (self.dimensions,)),  # the last of each dimension
            ("missing", "<u2", (self.dimensions,)),  # points in a row without a value
            ("incident", incident_dtype(self.dimensions)),
        ]
        model = [
            ("have", "<i8"),
            ("age", "<i8"),
            ("normaliser", "<f4", (len(self._views), self.dimensions, 2)),
            *((tensor.name, "<f4", tensor.shape) for tensor in self._detector.state),
        ]
        return np.dtype([("entity", np.dtype(entity)), ("model", np.dtype(model))])

    def fresh(self, entity_index: npt.NDArray[np.int64]) -> States:
        """States (batch,) of entities that were never seen."""
        states = np.zeros(len(entity_index), self.state_dtype)
        states["entity"]["missing"] = NEVER_SEEN
        states["model"]["normaliser"] = self.bundle.calibration.seed[entity_index]
        states["model"]["age"] = np.where(entity_index == 0, CALIBRATING_AGE, 1 << 30)
        return states

    def decode(self, snapshot: bytes) -> States:
        """The state (1,) a snapshot holds."""
        if len(snapshot) != self.state_dtype.itemsize:
            raise BundleInvalid(
                f"a snapshot for {self.bundle.title} has {self.state_dtype.itemsize} bytes, "
                f"this one has {len(snapshot)}"
            )
        return np.frombuffer(snapshot, self.state_dtype).copy()

    def centre(self, values: FloatArray, entity_index: npt.NDArray[np.int64]) -> Float32Array:
        """Raw values (batch, dimension) as the fold takes and the log keeps them."""
        return (values - self.bundle.calibration.center[entity_index]).astype(np.float32)

    def step(
        self, states: States, points: Points, decided: Decided | None = None
    ) -> tuple[States, Verdicts]:
        """Advance distinct entities by one point each."""
        states = states.copy()
        states["entity"]["timestamp_ms"] = points.timestamps_ms
        values, missing = _impute(states["entity"], points.values)
        detection = self._detector.run(states["model"], values, points.entity_index)
        for name, tensor in detection.state.items():
            states["model"][name] = tensor
        states["model"]["have"] += 1
        judged = self._judge(states, points.entity_index, detection, missing)
        verdicts = self._conclude(states, points, judged, decided)
        self._learn(states, judged, verdicts)
        return states, verdicts

    def _judge(
        self,
        states: States,
        entity_index: npt.NDArray[np.int64],
        detection: Detection,
        missing: BoolArray,
    ) -> "_Judged":
        calibration = self.bundle.calibration
        errors = self._normaliser.view_errors(detection.error)
        deviations = self._normaliser.deviations(states["model"]["normaliser"], errors)
        nats = normal_surprisal(deviations)  # (batch, view, dimension)
        nats = np.minimum(nats, self._cap[entity_index][:, None, :])
        nats = np.where(missing[:, None, :], np.float32(LN_2), nats)
        aggregates = np.stack(
            [aggregate(nats[:, v], view) for v, view in enumerate(self._views)], axis=1
        )
        knots, tail = calibration.knots[entity_index], calibration.tail[entity_index]
        levels = surprisal(aggregates, knots[:, :-1], tail[:, :-1])  # (batch, view)
        alarm, severity = (_row_mean(levels[:, role]) for role in self._roles)
        excess = np.maximum(nats[:, self._deciding] - np.float32(LN_2), 0.0)
        return _Judged(
            deviations=deviations,
            surprisal=surprisal(alarm, knots[:, -1], tail[:, -1]),
            severity=severity,
            contributions=np.ascontiguousarray((excess / self._unit[entity_index]).sum(axis=1)),
            expected=detection.expected + calibration.center[entity_index],
            missing=missing,
        )

    def _conclude(
        self, states: States, points: Points, judged: "_Judged", decided: Decided | None
    ) -> Verdicts:
        status = self._status(states["model"]["have"], points.entity_index)
        is_warm = status != Status.WARMING
        threshold = self._threshold[points.entity_index]
        lost = _is_lost(states["entity"]["missing"])
        is_anomaly = is_warm & (judged.surprisal > threshold)
        blamed = np.where(is_warm[:, None], judged.contributions, np.float32(0.0))
        evidence = Evidence(
            timestamps_ms=points.timestamps_ms,
            is_flagged=is_anomaly | lost.any(axis=1),
            score=np.where(is_warm, judged.surprisal / threshold, np.nan),
            severity=np.where(is_warm, judged.severity, np.nan),
            contributions=np.where(lost, np.maximum(blamed, np.float32(1.0)), blamed),
        )
        if decided is not None:
            evidence = replace(evidence, **vars(decided))
        incident = states["entity"]["incident"]
        transition = advance(incident, evidence, max_points=self._max_incident_points)
        return Verdicts(
            **vars(evidence),
            status=status,
            have=states["model"]["have"].copy(),
            surprisal=np.where(is_warm, judged.surprisal, np.nan),
            is_anomaly=is_anomaly,
            expected=judged.expected,
            missing=judged.missing,
            transition=transition,
            incident=incident.copy(),
        )

    def _status(
        self, have: npt.NDArray[np.int64], entity_index: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.uint8]:
        known = np.where(entity_index == 0, Status.CALIBRATING, Status.SCORED)
        return np.where(have < self.need, Status.WARMING, known).astype(np.uint8)

    def _learn(self, states: States, judged: "_Judged", verdicts: Verdicts) -> None:
        """The normaliser learns from what was scored; a new normal starts it again."""
        model = states["model"]
        is_warm = verdicts.status != Status.WARMING
        reseeds = verdicts.transition == Transition.NEW_NORMAL
        age = model["age"] = np.where(reseeds, 0, model["age"] + is_warm)
        learnt = self._normaliser.learn(
            model["normaliser"],
            judged.deviations,
            age=age,
            is_open=verdicts.incident["is_open"],
            is_missing=verdicts.missing,
        )
        model["normaliser"] = np.where(is_warm[:, None, None, None], learnt, model["normaliser"])


@dataclass(frozen=True)
class _Judged:
    """What one point says before anything is decided."""

    deviations: Float32Array  # (batch, view, dimension)
    surprisal: FloatArray  # (batch,) of the alarm score
    severity: FloatArray  # (batch,)
    contributions: Float32Array  # (batch, dimension)
    expected: FloatArray  # (batch, dimension)
    missing: BoolArray  # (batch, dimension)


def _impute(entity: States, values: Float32Array) -> tuple[Float32Array, BoolArray]:
    """Carry the last value forward where one is missing; the centre (0) before the first."""
    missing = np.isnan(values)
    entity["values"] = np.where(missing, entity["values"], values)
    run = np.minimum(entity["missing"] + np.uint32(1), np.uint32(NEVER_SEEN - 1))
    run = np.where(entity["missing"] == NEVER_SEEN, np.uint32(NEVER_SEEN), run)
    entity["missing"] = np.where(missing, run, 0)
    return entity["values"].copy(), missing


def _is_lost(missing: npt.NDArray[np.uint16]) -> BoolArray:
    """A dimension that was there, and has been missing for a while."""
    lost: BoolArray = (missing >= LOST_AFTER) & (missing < NEVER_SEEN)
    return lost


def _row_mean(levels: FloatArray) -> FloatArray:
    means: FloatArray = np.ascontiguousarray(levels).mean(axis=1)
    return means
