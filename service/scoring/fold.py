"""The fold: an entity is a state that each of its points advances.

    state, verdict = step(state, point)

Pure, deterministic, vectorised over a batch of distinct entities. The state of an entity is one
record of `state_dtype`, so a snapshot is its bytes. The same code serves, replays and calibrates.
"""

from dataclasses import replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from service.errors import BundleInvalid
from service.scoring.bundle import Bundle
from service.scoring.combine import remember, sustained
from service.scoring.decide import Decider
from service.scoring.detector import Detector, Detects
from service.scoring.drift import corrected, updated
from service.scoring.incident import Evidence, Transition, advance, end
from service.scoring.judge import Judge, Judged
from service.scoring.missing import impute, is_lost
from service.scoring.normaliser import Normaliser
from service.scoring.rules import PLAIN, Rules
from service.scoring.state import STATE_FORMAT, begin_again, fresh_states, state_dtype
from service.scoring.verdict import (
    CALIBRATING,
    SCORED,
    TOP_CAUSES,
    WARMING,
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


class Fold:
    """One bundle, ready to advance entities; `detector` if it is not the bundle's own graph."""

    def __init__(
        self, bundle: Bundle, *, budget: float | None = None, detector: Detects | None = None
    ) -> None:
        manifest = bundle.manifest
        self.bundle = bundle
        self.dimensions = len(manifest.dimensions)
        self.need = manifest.memory_horizon
        self.budget = manifest.default_budget if budget is None else budget
        self._detector = detector or Detector(bundle)
        self._normaliser = Normaliser(manifest)
        self._judge = Judge(bundle, self._normaliser)
        self._memory_points = min(view.half_life_points for view in manifest.views)
        self.decider = Decider(bundle, self.budget)

    @cached_property
    def state_dtype(self) -> np.dtype[np.void]:
        """One entity."""
        manifest = self.bundle.manifest
        return state_dtype(
            dimensions=self.dimensions, views=len(manifest.views), tensors=self._detector.state
        )

    def fresh(self, entity_index: npt.NDArray[np.int64]) -> States:
        """States (batch,) of entities that were never seen."""
        return fresh_states(self.state_dtype, self.bundle, entity_index)

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
        self,
        states: States,
        points: Points,
        decided: Decided | None = None,
        *,
        rules: Rules = PLAIN,
    ) -> tuple[States, Verdicts]:
        """Advance distinct entities by one point each."""
        states = states.copy()
        return states, self.advance(states, points, decided, rules=rules)

    def advance(
        self,
        states: States,
        points: Points,
        decided: Decided | None = None,
        *,
        rules: Rules = PLAIN,
    ) -> Verdicts:
        """The same in place, for who owns the states."""
        states["entity"]["timestamp_ms"] = points.timestamps_ms
        states["entity"]["is_silent"] = False
        values, missing = impute(states["entity"], points.values)
        detection = self._detector.run(states["model"], values, points.entity_index)
        for name, tensor in detection.state.items():
            states["model"][name] = tensor
        states["model"]["have"] += 1
        normaliser = np.ascontiguousarray(states["model"]["normaliser"])
        judged = self._judge.judge(
            normaliser, detection, entity_index=points.entity_index, missing=missing
        )
        verdicts = self._conclude(states, points, judged, decided, rules)
        self._learn(states, normaliser, judged, verdicts)
        return verdicts

    def fall_silent(self, states: States) -> States:
        """Entities (batch,) of which no point came for too long; an open incident ends."""
        states = states.copy()
        states["entity"]["is_silent"] = True
        end(states["entity"]["incident"], states["entity"]["timestamp_ms"])
        return states

    def accept(self, states: States) -> States:
        """Entities (batch,) whose present is the new normal, because a person says so."""
        states = states.copy()
        end(states["entity"]["incident"], states["entity"]["timestamp_ms"])
        begin_again(states, np.ones(len(states), bool))
        return states

    def _conclude(
        self,
        states: States,
        points: Points,
        judged: Judged,
        decided: Decided | None,
        rules: Rules,
    ) -> Verdicts:
        status = self._status(states["model"]["have"], points.entity_index)
        is_warm = status != WARMING
        threshold = self.decider.thresholds(points.entity_index, rules)
        surprisal = corrected(judged.surprisal, states["model"]["exceedance_rate"])
        lost = is_lost(states["entity"])
        is_anomaly = is_warm & (surprisal > threshold)
        blamed = np.where(is_warm[:, None], judged.contributions, np.float32(0.0))
        recent = remember(states["model"]["recent"], judged.severity)
        states["model"]["recent"] = np.where(is_warm[:, None], recent, 0.0)
        evidence = Evidence(
            timestamps_ms=points.timestamps_ms,
            is_flagged=self.decider.wanted(is_anomaly, points, judged, rules) | lost.any(axis=1),
            score=np.where(is_warm, surprisal / threshold, np.nan),
            severity=np.where(is_warm, sustained(recent, judged.severity), np.nan),
            contributions=np.where(lost, np.maximum(blamed, np.float32(1.0)), blamed),
            holds=_holds(surprisal / threshold, is_warm, rules),
            is_public=rules.is_public | np.zeros_like(is_warm),
        )
        if decided is not None:
            known = {name: value for name, value in vars(decided).items() if name != "transition"}
            evidence = replace(evidence, **known)
        incident = states["entity"]["incident"]
        transition = advance(
            incident,
            evidence,
            max_points=self._memory_points,
            rules=rules,
            decided=None if decided is None else decided.transition,
        )
        return Verdicts(
            **vars(evidence),
            status=status,
            have=states["model"]["have"].copy(),
            surprisal=np.where(is_warm, surprisal, np.nan),
            is_anomaly=is_anomaly,
            expected=judged.expected,
            missing=judged.missing,
            transition=transition,
            incident=incident.copy(),
        )

    def _status(
        self, have: npt.NDArray[np.int64], entity_index: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.uint8]:
        known = np.where(entity_index == 0, CALIBRATING, SCORED)
        return np.where(have < self.need, WARMING, known).astype(np.uint8)

    def _learn(
        self, states: States, normaliser: Float32Array, judged: Judged, verdicts: Verdicts
    ) -> None:
        """Normaliser and drift learn from what was scored; a new normal starts them again."""
        model = states["model"]
        is_warm = verdicts.status != WARMING
        rate = model["exceedance_rate"]
        counted = updated(rate, judged.surprisal, half_life_points=self._memory_points)
        model["exceedance_rate"] = np.where(is_warm, counted, rate)
        model["age"] += is_warm
        begins = verdicts.transition == Transition.NEW_NORMAL
        if begins.any():
            begin_again(states, begins)
        learnt = self._normaliser.learn(
            normaliser, judged.deviations, age=model["age"], is_missing=verdicts.missing
        )
        if is_warm.all():
            model["normaliser"] = learnt
        else:
            model["normaliser"][is_warm] = learnt[is_warm]


def _holds(score: FloatArray, is_warm: BoolArray, rules: Rules) -> BoolArray:
    """Not anomalous, and yet too much to count as quiet (batch,)."""
    return np.asarray(is_warm & (score > rules.resolve_below) & (score <= 1.0))
